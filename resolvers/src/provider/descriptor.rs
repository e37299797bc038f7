//! The fixed facts about a provider: its types, its lists, and all that the rest of the resolvers must know of them.

use mullion_schema::{table::NodeType, view::Body};

use super::reference::NodeRef;

/// The facts that the graph shows of a provider, and those that the engine must know.
#[derive(Debug)]
pub struct Descriptor {
    /// `github`: in URLs, configuration and `Provider.key`.
    pub key: &'static str,
    /// `GitHub`.
    pub name: &'static str,
    /// Its developer documentation.
    pub documentation_url: &'static str,
    /// The public API root, used where an integration names no base URL.
    pub default_base_url: &'static str,
    /// Whether it offers OAuth.
    pub oauth: bool,
    /// Webhook bodies over this many bytes are refused.
    pub webhook_body_limit: usize,
    /// Its node types.
    pub types: &'static [&'static NodeType],
    /// Its lists.
    pub lists: &'static [ListType],
    /// The arguments that filters of its lists may name.
    pub filters: &'static [&'static str],
    /// Numbers in the bodies of its nodes that say how many items of a list pass a filter.
    pub counts: &'static [Count],
    /// Fields that items copy from what they belong to.
    pub copied: &'static [CopiedFields],
}

/// Fields that the items of a thing's lists copy from it: the name of a repository in the keys of its issues. When the thing is
/// renamed, the items that are known are rewritten.
#[derive(Debug)]
pub struct CopiedFields {
    /// The type of the thing: `GithubRepository`.
    pub source: &'static str,
    /// Its body keys that are copied.
    pub keys: &'static [&'static str],
    /// The lists of it that hold the items.
    pub lists: &'static [&'static str],
    /// The body key by which an item refers to it.
    pub reference: &'static str,
    /// The copies of an item, from the bodies of the thing and of the item. Keys that the item does not have yet are left out.
    pub copy: fn(&Body, &NodeRef, &Body) -> Body,
}

/// A number in the body of a node that events of a list's items move.
#[derive(Debug)]
pub struct Count {
    /// `GithubRepository`.
    pub parent: &'static str,
    /// `openIssueCount`.
    pub key: &'static str,
    /// `issues`.
    pub list: &'static str,
    /// Which items are counted: an argument of the list and its value.
    pub filter: (&'static str, &'static str),
}

/// A list of a provider, as the engine keeps it.
#[derive(Debug)]
pub struct ListType {
    /// The parent's type; `None`: hangs on the account.
    pub parent: Option<&'static str>,
    /// `issues`.
    pub name: &'static str,
    /// How it is kept.
    pub keeping: Keeping,
}

/// How the engine keeps a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// A window over the node store: pages are read from the provider in list order, and from then on the list is re-evaluated
    /// locally when one of its nodes changes. [`Provider::memberships`] and [`Provider::matches`] say which nodes belong to it.
    Window,
    /// The provider's own order and choice (searches): ids are kept as they came, and read again when `ListRef` is outdated.
    Opaque,
}

/// Which lists of a container type feed the cross-provider widgets.
#[derive(Debug)]
pub struct ContainerLists {
    /// `GithubRepository`.
    pub container: &'static str,
    /// The account's list of such containers, for "all containers": `repositories`.
    pub all: &'static str,
    /// Work items: the list's name, and the filters for open and for closed items (`None`: the list cannot be narrowed so).
    pub work_items: Option<WorkItemLists>,
    /// Pull requests, last updated first: the list and the filter argument that takes `PullRequestState` names.
    pub pull_requests: Option<(&'static str, &'static str)>,
    /// Builds, last created first: the list, and the filter argument that takes a branch.
    pub builds: Option<(&'static str, &'static str)>,
    /// For how many days after its creation a build can finish: to know which builds finished, one must read so far back.
    pub days_of_a_build: i64,
    /// Messages, last sent first.
    pub messages: Option<&'static str>,
}

/// The work items of a container.
#[derive(Debug)]
pub struct WorkItemLists {
    /// The list's name.
    pub list: &'static str,
    /// Its item type as a `WorkItemType`: `ISSUE` or `TASK`.
    pub item_type: &'static str,
    /// Filter argument and value for open items.
    pub open: Option<(&'static str, &'static str)>,
    /// Filter argument and value for closed items.
    pub closed: Option<(&'static str, &'static str)>,
    /// The body key of the time by which the list is ordered, newest first; `None`: ordered otherwise.
    pub newest_first: Option<&'static str>,
    /// Whether an item may be in several containers at once. Each is counted once all the same.
    pub in_several: bool,
}

/// A provider's part of the development dashboard: lookups of containers in the sandbox's seeded world.
#[derive(Debug, Default)]
pub struct Demo {
    /// Containers of the work-items widget.
    pub work_items: Vec<NodeRef>,
    /// Containers of the pull-requests widget.
    pub pull_requests: Vec<NodeRef>,
    /// Containers of the builds widget.
    pub builds: Vec<NodeRef>,
    /// Containers of the messages widget.
    pub messages: Vec<NodeRef>,
}
