//! The words of the seeded world: who is there and what they work on. Data only.

pub(super) const PEOPLE: [&str; 28] = [
    "Ada Okafor",
    "Ben Lindqvist",
    "Carla Mendes",
    "Dmitri Volkov",
    "Elif Kaya",
    "Farid Rahimi",
    "Grace Huang",
    "Hannah Weiss",
    "Ivo Petrov",
    "Jana Novak",
    "Kenji Sato",
    "Lucia Romano",
    "Maya Singh",
    "Nils Berg",
    "Olga Marin",
    "Pedro Alvarez",
    "Quinn Harper",
    "Rosa Jimenez",
    "Sven Aalto",
    "Tara Quinlan",
    "Umar Farouk",
    "Vera Kowalski",
    "Wes Carter",
    "Xin Li",
    "Yara Haddad",
    "Zoe Laurent",
    "Arjun Patel",
    "Bea Thompson",
];

pub(super) const TEAMS: [&str; 4] = ["Engineering", "Product", "Marketing", "Operations"];

/// Name, index of the team, color.
pub(super) const PROJECTS: [(&str, usize, &str); 12] = [
    ("Website relaunch", 2, "light-green"),
    ("Mobile app 3.0", 0, "dark-blue"),
    ("Billing migration", 0, "dark-orange"),
    ("Customer onboarding", 1, "light-pink"),
    ("Platform reliability", 0, "dark-red"),
    ("Q4 product roadmap", 1, "dark-purple"),
    ("Data warehouse", 0, "dark-teal"),
    ("Partner launch", 2, "light-orange"),
    ("Hiring 2026", 3, "light-blue"),
    ("Security review", 3, "dark-brown"),
    ("Support backlog", 3, "light-yellow"),
    ("Design system", 1, "dark-pink"),
];

pub(super) const VERBS: [&str; 20] = [
    "Write",
    "Review",
    "Fix",
    "Plan",
    "Design",
    "Test",
    "Draft",
    "Measure",
    "Document",
    "Migrate",
    "Announce",
    "Clean up",
    "Prepare",
    "Investigate",
    "Ship",
    "Estimate",
    "Schedule",
    "Simplify",
    "Automate",
    "Update",
];

pub(super) const THINGS: [&str; 24] = [
    "the sign-up flow",
    "invoice e-mails",
    "the pricing page",
    "search results",
    "the export to CSV",
    "password reset",
    "the release checklist",
    "dashboard loading times",
    "the onboarding guide",
    "push notifications",
    "the billing webhooks",
    "customer interviews",
    "the status page",
    "access for contractors",
    "the quarterly report",
    "dark mode colors",
    "the backup restore drill",
    "API rate limits",
    "the partner portal",
    "translations",
    "the help center",
    "usage metrics",
    "the settings screen",
    "error messages",
];

pub(super) const CONTEXTS: [&str; 8] = [
    "",
    "",
    " for the beta",
    " after the audit",
    " with the design team",
    " before the launch",
    " for enterprise customers",
    " on mobile",
];

pub(super) const NOTES: [&str; 6] = [
    "",
    "See the linked document for details.",
    "Agreed in the weekly meeting; keep it small.",
    "Customers asked for this several times last month.\nStart with the simplest version.",
    "Blocked until the numbers of last week are in.",
    "Ask Operations before changing anything in production.",
];

pub(super) const COMMENTS: [&str; 14] = [
    "Looks good to me, thanks!",
    "Can we get this done before Friday?",
    "I pushed a first version, please have a look.",
    "Waiting for feedback from the customer.",
    "Moved the meeting to Thursday, so this can wait a day.",
    "I split off the second part, it is bigger than we thought.",
    "Tested on staging: works as described.",
    "The numbers are better than last week \u{1f389}",
    "Who can review this?",
    "I added the screenshots to the folder.",
    "Not sure this is still needed. Shall we drop it?",
    "Done on my side.",
    "Legal has signed it off.",
    "Found one more case: empty lists & <null> names.",
];

pub(super) const TAGS: [(&str, &str); 8] = [
    ("urgent", "dark-red"),
    ("bug", "dark-orange"),
    ("quick win", "light-green"),
    ("waiting", "light-yellow"),
    ("customer", "dark-blue"),
    ("tech debt", "dark-brown"),
    ("research", "dark-purple"),
    ("launch", "light-pink"),
];

/// Title, text, color.
pub(super) const STATUSES: [(&str, &str, &str); 3] = [
    ("On track", "Everything goes as planned; the next milestone is in two weeks.", "green"),
    ("Some risk", "Two people are away, we may need a week more.", "yellow"),
    ("Behind", "The vendor is late. We look for another way.", "red"),
];

pub(super) const CUSTOMERS: [&str; 6] = ["Acme", "Globex", "Initech", "Umbra", "Stark Tools", "Wayne Freight"];
