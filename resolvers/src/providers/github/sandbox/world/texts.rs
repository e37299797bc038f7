//! The words of the seeded world: people, repositories, titles. Apart, because they are long and decide nothing.

/// Name, login.
pub(super) const PEOPLE: [(&str, &str); 25] = [
    ("Ada Brandt", "ada-brandt"),
    ("Ben Okafor", "benokafor"),
    ("Carla Mendes", "carlamendes"),
    ("Dmitri Sokolov", "dsokolov"),
    ("Elena Rossi", "elenarossi"),
    ("Farid Haddad", "faridh"),
    ("Grace Lin", "gracelin"),
    ("Hugo Lefèvre", "hugolefevre"),
    ("Ines Castro", "inescastro"),
    ("Jonas Weber", "jonasweber"),
    ("Keiko Tanaka", "keikot"),
    ("Liam Murphy", "liam-murphy"),
    ("Maya Patel", "mayapatel"),
    ("Nils Andersen", "nilsandersen"),
    ("Olga Novak", "olganovak"),
    ("Priya Raman", "priya-raman"),
    ("Quentin Dubois", "qdubois"),
    ("Rosa Vargas", "rosavargas"),
    ("Samir Khan", "samirkhan"),
    ("Tove Lindqvist", "tovel"),
    ("Uma Desai", "umadesai"),
    ("Viktor Hansen", "vhansen"),
    ("Wendy Zhao", "wendyzhao"),
    ("Xavier Moreau", "xmoreau"),
    ("Yara Costa", "yaracosta"),
];

/// The start of a repository.
pub(super) struct RepoPlan {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) language: &'static str,
    pub(super) color: &'static str,
    pub(super) issues: usize,
    pub(super) pulls: usize,
    pub(super) private: bool,
    pub(super) protected: bool,
}

const fn plan(name: &'static str, description: &'static str, language: (&'static str, &'static str)) -> RepoPlan {
    RepoPlan {
        name,
        description,
        language: language.0,
        color: language.1,
        issues: 40,
        pulls: 16,
        private: true,
        protected: true,
    }
}

/// The repositories, the largest first.
pub(super) const REPOS: [RepoPlan; 9] = [
    RepoPlan { issues: 120, pulls: 132, ..plan("web", "The web application", ("TypeScript", "#3178c6")) },
    RepoPlan { issues: 80, pulls: 48, ..plan("api", "The public API and its workers", ("Rust", "#dea584")) },
    RepoPlan { issues: 60, pulls: 24, ..plan("mobile", "Apps for iOS and Android", ("Kotlin", "#A97BFF")) },
    plan("infra", "Infrastructure as code", ("HCL", "#844FBA")),
    RepoPlan { private: false, protected: false, ..plan("docs", "Guides and reference", ("MDX", "#fcb32c")) },
    RepoPlan { private: false, ..plan("design-system", "Tokens, icons and components", ("TypeScript", "#3178c6")) },
    plan("billing", "Invoices, plans and metering", ("Go", "#00ADD8")),
    plan("data", "Pipelines and reports", ("Python", "#3572A5")),
    RepoPlan {
        issues: 6,
        pulls: 4,
        private: false,
        ..plan("legacy-portal", "The old portal, kept for reference", ("PHP", "#4F5D95"))
    },
];

/// Name, colour, description.
pub(super) const LABELS: [(&str, &str, &str); 9] = [
    ("bug", "d73a4a", "Something isn't working"),
    ("enhancement", "a2eeef", "New feature or request"),
    ("documentation", "0075ca", "Improvements or additions to documentation"),
    ("good first issue", "7057ff", "Good for newcomers"),
    ("performance", "fbca04", "Too slow, or too large"),
    ("security", "b60205", "Needs care before it is public"),
    ("needs design", "d4c5f9", "Waits for a design"),
    ("priority: high", "e99695", "Before everything else"),
    ("question", "d876e3", "Further information is requested"),
];

pub(super) const VERBS: [&str; 12] = [
    "Fix",
    "Speed up",
    "Rework",
    "Document",
    "Simplify",
    "Add tests for",
    "Harden",
    "Remove",
    "Redesign",
    "Cache",
    "Measure",
    "Translate",
];

pub(super) const SUBJECTS: [&str; 24] = [
    "the login form",
    "password resets",
    "the invoice export",
    "search results",
    "webhook deliveries",
    "the onboarding tour",
    "rate limits",
    "avatar uploads",
    "the settings page",
    "dark mode",
    "CSV imports",
    "session expiry",
    "the audit log",
    "keyboard navigation",
    "push notifications",
    "the pricing table",
    "e-mail templates",
    "time zones in reports",
    "the connection pool",
    "database migrations",
    "the release checklist",
    "error messages",
    "team invitations",
    "the activity feed",
];

pub(super) const TAILS: [&str; 10] = [
    "on Safari",
    "for large accounts",
    "after an upgrade",
    "when offline",
    "behind a proxy",
    "in the mobile view",
    "for read-only members",
    "under load",
    "with two-factor sign-in",
    "in the trial plan",
];

pub(super) const BODIES: [&str; 6] = [
    "Reported by two customers this week. It happens about once in twenty attempts.\n\n**Expected:** it just works.\n**Actual:** a blank page.",
    "We agreed on this in planning. The details are in the linked document; please keep the change small.",
    "Follow-up of the last incident. Metrics show a slow rise since Monday.",
    "## Why\nSupport spends hours on this.\n\n## What\n- [ ] reproduce\n- [ ] fix\n- [ ] add a test",
    "Small, but it annoys everybody. `curl -i` shows the wrong status code.",
    "This came up in review and deserves its own change. Größe und Umlaute bitte mit testen.",
];

pub(super) const REMARKS: [&str; 10] = [
    "I can reproduce this on the staging system.",
    "Looks good to me, one question inline.",
    "Could we split this in two? The first half is ready.",
    "Done in the last commit, thanks!",
    "Blocked until the migration has run.",
    "Nice find. I would also add a test for the empty case.",
    "Moved to the next milestone after the planning meeting.",
    "The numbers before: 840 ms, after: 95 ms.",
    "+1, our largest customer asked for this again.",
    "Let us talk about this tomorrow. 🙂",
];

pub(super) const WORKFLOWS: [(&str, &str); 3] =
    [("CI", "ci.yml"), ("Deploy", "deploy.yml"), ("Nightly", "nightly.yml")];
