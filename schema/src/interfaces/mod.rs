//! The interfaces over all providers, and the groups of fields that their types share.
//!
//! A provider's type takes the groups of its interfaces and says only what it derives differently.

mod freshness;
mod groups;

pub use groups::{
    LABEL, Label, MESSAGE_TEXT, WorkItemWords, build, container, message, node, person, provider_node, pull_request,
    root, work_item,
};

use crate::table::{Abstract, Abstraction, Derive, Field, Shape};

/// Stands where only a field's name, type and documentation matter.
const UNREAD: Derive = Derive::new(|_| None, &[]);
const UNREAD_WORDS: WorkItemWords = WorkItemWords {
    key: UNREAD,
    state: UNREAD,
    unknown_state: |_| false,
    state_name: UNREAD,
    assignees: Field::nodes::<Person>("assignees", groups::ASSIGNEES, groups::USUAL_ASSIGNEES),
};

static NODE: [Field; 1] = node();
static PROVIDER_NODE: [Field; 8] = provider_node(UNREAD);
static WORK_ITEM: [Field; 9] = work_item(UNREAD_WORDS);
static PULL_REQUEST: [Field; 14] = pull_request("container");
static BUILD: [Field; 9] = build("container");
static PERSON: [Field; 5] = person(UNREAD, UNREAD, UNREAD);
static MESSAGE: [Field; 5] = message(MESSAGE_TEXT);
static CONTAINER: [Field; 2] = container();

macro_rules! interfaces {
    ($($(#[doc = $doc:literal])+ $name:ident, $marker:ident, [$($fields:ident),*], [$($above:literal),*];)+) => { $(
        $(#[doc = $doc])+
        pub type $name = Abstract<$marker>;

        #[doc = concat!("Marks [`", stringify!($name), "`].")]
        pub struct $marker;

        impl Abstraction for $marker {
            const NAME: &'static str = stringify!($name);
            const DOC: &'static str = concat!($($doc, "\n"),+);
            const SHAPE: Shape = Shape::Interface { fields: &[$(&$fields),*], implements: &[$($above),*] };
        }
    )+ };
}

interfaces! {
    /// A thing that lives at a provider: an issue, a channel, a task, a person.
    ProviderNode, ProviderNodeMark, [NODE, PROVIDER_NODE], ["Node"];
    /// Work somebody has to do: a GitHub issue, an Asana task.
    WorkItem, WorkItemMark, [NODE, PROVIDER_NODE, WORK_ITEM], ["Node", "ProviderNode"];
    /// A change that waits for review: a GitHub pull request.
    PullRequest, PullRequestMark, [NODE, PROVIDER_NODE, WORK_ITEM, PULL_REQUEST], ["Node", "ProviderNode", "WorkItem"];
    /// A build, test or deployment run: a GitHub workflow run.
    Build, BuildMark, [NODE, PROVIDER_NODE, BUILD], ["Node", "ProviderNode"];
    /// Somebody, or something that acts like somebody: a user, a bot, an organization.
    Person, PersonMark, [NODE, PROVIDER_NODE, PERSON], ["Node", "ProviderNode"];
    /// Something said: a Slack message, a comment on an issue or a task.
    Message, MessageMark, [NODE, PROVIDER_NODE, MESSAGE], ["Node", "ProviderNode"];
    /// A thing that holds work or messages: a repository, a channel, a project.
    Container, ContainerMark, [NODE, PROVIDER_NODE, CONTAINER], ["Node", "ProviderNode"];
}
