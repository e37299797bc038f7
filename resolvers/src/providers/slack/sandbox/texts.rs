//! The words of the seeded workspace: people, channels, what is said. Apart, because they are long and decide nothing.

use super::model::Zone;

const BERLIN: Zone = ("Europe/Berlin", "Central European Time", 3600);
const NEW_YORK: Zone = ("America/New_York", "Eastern Standard Time", -18_000);
const KOLKATA: Zone = ("Asia/Kolkata", "India Standard Time", 19_800);

/// Time zones, given out in turn.
pub(super) const ZONES: [Zone; 3] = [BERLIN, NEW_YORK, KOLKATA];

/// Name, handle (the same people as in the other sandboxed tools), title.
pub(super) const PEOPLE: [(&str, &str, &str); 27] = [
    ("Ada Brandt", "ada-brandt", "Engineering Manager"),
    ("Ben Okafor", "benokafor", "Staff Engineer"),
    ("Carla Mendes", "carlamendes", "Product Designer"),
    ("Dmitri Sokolov", "dsokolov", "Site Reliability Engineer"),
    ("Elena Rossi", "elenarossi", "Product Manager"),
    ("Farid Haddad", "faridh", "Backend Engineer"),
    ("Grace Lin", "gracelin", "Frontend Engineer"),
    ("Hugo Lefèvre", "hugolefevre", "Backend Engineer"),
    ("Ines Castro", "inescastro", "Support Lead"),
    ("Jonas Weber", "jonasweber", "Data Engineer"),
    ("Keiko Tanaka", "keikot", "Frontend Engineer"),
    ("Liam Murphy", "liam-murphy", "Sales"),
    ("Maya Patel", "mayapatel", "CTO"),
    ("Nils Andersen", "nilsandersen", "Security Engineer"),
    ("Olga Novak", "olganovak", "QA Engineer"),
    ("Priya Raman", "priya-raman", "Backend Engineer"),
    ("Quentin Dubois", "qdubois", "Technical Writer"),
    ("Rosa Vargas", "rosavargas", "Customer Success"),
    ("Samir Khan", "samirkhan", "Mobile Engineer"),
    ("Tove Lindqvist", "tovel", "UX Researcher"),
    ("Uma Desai", "umadesai", "Data Analyst"),
    ("Viktor Hansen", "vhansen", "Platform Engineer"),
    ("Wendy Zhao", "wendyzhao", "Mobile Engineer"),
    ("Xavier Moreau", "xmoreau", "Support Engineer"),
    ("Yara Costa", "yaracosta", "Marketing"),
    ("Zita Horvat", "zitahorvat", "Contractor"),
    ("Anton Berg", "antonberg", "Backend Engineer"),
];

/// Bots: name, handle.
pub(super) const BOTS: [(&str, &str); 3] =
    [("GitHub", "github"), ("Deploy Bot", "deploybot"), ("PagerBot", "pagerbot")];

/// The start of a channel.
pub(super) struct ChannelPlan {
    pub(super) name: &'static str,
    pub(super) topic: &'static str,
    pub(super) purpose: &'static str,
    /// How many people are in it.
    pub(super) members: usize,
    /// Conversations in it: threads and single messages.
    pub(super) roots: usize,
    pub(super) private: bool,
    pub(super) archived: bool,
    pub(super) lines: &'static [&'static str],
}

const fn plan(name: &'static str, topic: &'static str, lines: &'static [&'static str]) -> ChannelPlan {
    let purpose = "Talk that belongs here stays findable here.";
    ChannelPlan { name, topic, purpose, members: 14, roots: 130, private: false, archived: false, lines }
}

/// The channels, in the order in which they were made.
pub(super) const CHANNELS: [ChannelPlan; 15] = [
    ChannelPlan { members: 27, roots: 150, ..plan("general", "Company-wide announcements", TEAM) },
    ChannelPlan { members: 25, roots: 180, ..plan("random", "Everything else", RANDOM) },
    ChannelPlan { members: 18, roots: 300, ..plan("engineering", "How we build it", WORK) },
    ChannelPlan { members: 20, ..plan("releases", "What went out, and when", RELEASES) },
    ChannelPlan { members: 16, ..plan("incidents", "All clear :large_green_circle:", INCIDENTS) },
    ChannelPlan { members: 9, ..plan("design", "Pixels and flows", DESIGN) },
    ChannelPlan { roots: 190, ..plan("support", "Customers' questions; be kind", SUPPORT) },
    plan("frontend", "TypeScript, CSS and tears", WORK),
    plan("backend", "API, workers, databases", WORK),
    ChannelPlan { members: 10, ..plan("platform", "CI, clusters, cost", WORK) },
    ChannelPlan { members: 8, ..plan("mobile", "iOS and Android", WORK) },
    ChannelPlan { roots: 80, ..plan("product", "What and why", DESIGN) },
    ChannelPlan { roots: 60, ..plan("watercooler", "Coffee at 15:00", RANDOM) },
    ChannelPlan { members: 6, roots: 40, private: true, ..plan("leads", "Plans that are not plans yet", TEAM) },
    ChannelPlan { members: 5, roots: 25, archived: true, ..plan("project-atlas", "Done, thank you all", WORK) },
];

/// `{p}` is a mention, `{n}` a number, `{r}` a repository, `{c}` a channel.
const TEAM: &[&str] = &[
    "All hands is on Thursday at 16:00, agenda in the usual place.",
    "Welcome {p}, who starts with us today! :wave:",
    "Please fill in the survey by Friday, it takes {n} minutes.",
    "The office is closed on Monday.",
    "Thanks to {p} for organising the offsite :tada:",
    "Quarterly goals are final, see {c} for the discussion.",
];
const RANDOM: &[&str] = &[
    "Who is in for lunch at 12:30?",
    "My plant has a new leaf :seedling:",
    "{p} you won the bet: it took {n} days.",
    "Today I learned that octopuses have three hearts.",
    "Is the coffee machine on strike again? :coffee:",
    "Found a pair of gloves on the third floor.",
    "That talk was great: <https://talks.example/{n}|How we halved our build times>",
];
const WORK: &[&str] = &[
    "Can someone review <https://github.com/acme/{r}/pull/{n}|{r}#{n}>? It is small, promise.",
    "{p} your change made `{r}` {n} % faster, nice one!",
    "CI on `{r}` is red since this morning, anyone on it?",
    "I get `connection reset by peer` on {r}, only locally though:\n```\nerror: after {n} ms\n```",
    "Merged <https://github.com/acme/{r}/pull/{n}|{r}#{n}>, please rebase.",
    "We should talk about the cache before we ship {r}. {p}, tomorrow?",
    "Flaky test of the day: `{r}::tests::case_{n}`",
    "Heads up: dependency update in {r}, run the install step again.",
    "Reading the traces, p99 is at {n} ms & the pool is *not* the problem.",
    "Moved the discussion to {c}.",
];
const RELEASES: &[&str] = &[
    "`{r}` 2.{n}.0 is out :rocket:",
    "Rolling `{r}` back, error rate went up by {n} %.",
    "Release notes for {r} are ready, {p} please have a look.",
    "Canary of `{r}` at {n} %, looks healthy.",
    "Freeze starts on Thursday; see {c} for exceptions.",
];
const INCIDENTS: &[&str] = &[
    ":rotating_light: Elevated error rate on `{r}`: {n} % of requests fail.",
    "I am on it. {p} can you look at the database?",
    "Mitigated: traffic moved away from zone {n}.",
    "All clear. Postmortem by Friday, {p} is the owner.",
    "Latency alert on {r} resolved itself after {n} minutes, still looking.",
];
const DESIGN: &[&str] = &[
    "New version of the settings flow: <https://design.example/f/{n}|draft {n}>",
    "{p} is the empty state final?",
    "I talked to {n} customers this week, notes are in the folder.",
    "Contrast of the secondary button is too low, fixing.",
    "Can we drop the third step? It loses {n} % of the people.",
];
const SUPPORT: &[&str] = &[
    "Customer asks whether exports include archived items. Ticket {n}.",
    "Third report today about slow log-in, {p} is that known?",
    "Ticket {n} is solved, thanks {p}!",
    "Refund of {n} EUR approved.",
    "How do I reset somebody's second factor? Docs link is dead.",
    "Escalating ticket {n} to {c}.",
];

/// The replies in threads.
pub(super) const REPLIES: &[&str] = &[
    "On it.",
    "+1",
    "Looking :eyes:",
    "Thanks!",
    "{p} do you know more?",
    "Same here, since about {n} minutes.",
    "Fixed in <https://github.com/acme/{r}/pull/{n}|{r}#{n}>.",
    "Can't reproduce; which version?",
    "Let us take that to {c}.",
    "Done, please check again.",
    "I would wait until tomorrow.",
    "Nice :tada:",
];

/// Repositories that are talked about.
pub(super) const REPOS: [&str; 5] = ["web", "api", "mobile", "infra", "docs"];

/// Reactions, the most frequent first.
pub(super) const REACTIONS: [&str; 9] =
    ["+1", "eyes", "tada", "heart", "white_check_mark", "rocket", "joy", "pray", "party-parrot"];

/// Statuses: text and emoji.
pub(super) const STATUSES: [(&str, &str); 5] = [
    ("", ""),
    ("In a meeting", ":spiral_calendar_pad:"),
    ("Heads down", ":no_bell:"),
    ("Vacationing", ":palm_tree:"),
    ("Working remotely", ":house_with_garden:"),
];
