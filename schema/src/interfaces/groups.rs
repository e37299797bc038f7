//! The fields of the interfaces, as groups for the tables of the types that implement them.

use async_graphql::{ID, OutputType, ServerResult, Value};
use futures::future::BoxFuture;

use super::{Container, Person, freshness::Freshness};
use crate::{
    accounts::{
        integration::{Integration, integration_of},
        provider::Provider,
    },
    enums::{BuildConclusion, BuildStatus, ChecksState, PullRequestState, ReviewDecision, WorkItemState},
    id::GlobalId,
    table::{Call, Derive, Field, node_type, resolve_value, server_error, table},
    view::NodeView,
};

pub(super) const ASSIGNEES: &str = "Who is to do it. Null when that could not be loaded.";

/// At most as many at GitHub.
pub(super) const USUAL_ASSIGNEES: u32 = 10;

/// The field of `Node`.
pub const fn node() -> [Field; 1] {
    let id = Derive::new(|view| Some(Value::from(GlobalId::from(&view.key).encode())), &[]);
    [Field::derived::<ID>("id", "Opaque, global and stable.", id).required()]
}

/// The fields that `ProviderNode` adds.
pub const fn provider_node(title: Derive) -> [Field; 8] {
    let native_id = Derive::new(|view| Some(Value::from(view.key.native_id.as_ref())), &[]);
    [
        Field::ask("provider", "The provider it lives at.", <Provider as OutputType>::create_type_info, provider)
            .required(),
        Field::ask(
            "integration",
            "The integration it is read through.",
            <Integration as OutputType>::create_type_info,
            integration,
        )
        .required(),
        Field::derived::<String>("nativeId", "The provider's own id.", native_id).required(),
        Field::derived::<String>("title", "One line that names it to people.", title).required(),
        Field::url("url", "Where people see it at the provider."),
        Field::time("createdAt", "When it was created."),
        Field::time("updatedAt", "When it last changed, by the provider's account."),
        Field::ask(
            "freshness",
            "How fresh this is, and where it came from.",
            <Freshness as OutputType>::create_type_info,
            freshness,
        )
        .required(),
    ]
}

/// The values that a type of work items derives in its own way.
#[derive(Debug, Clone, Copy)]
pub struct WorkItemWords {
    /// The name that people call it by: `acme/web#12`.
    pub key: Derive,
    /// Its state over all providers.
    pub state: Derive,
    /// Whether the provider's word for it is unknown to this version.
    pub unknown_state: fn(&NodeView) -> bool,
    /// The provider's own word for it.
    pub state_name: Derive,
    /// The field `assignees`.
    pub assignees: Field,
}

impl WorkItemWords {
    /// The usual `assignees`: an array of references under that key.
    pub const fn new(key: Derive, state: Derive, state_name: Derive) -> Self {
        let assignees = Field::nodes::<Person>("assignees", ASSIGNEES, USUAL_ASSIGNEES);
        Self { key, state, unknown_state: |_| false, state_name, assignees }
    }

    /// With a test for words of the provider that this version does not know.
    #[must_use]
    pub const fn unknown_if(self, unknown_state: fn(&NodeView) -> bool) -> Self {
        Self { unknown_state, ..self }
    }
}

/// The fields that `WorkItem` adds.
pub const fn work_item(words: WorkItemWords) -> [Field; 9] {
    [
        Field::derived::<String>("key", "What people call it by: acme/web#12, or Asana's gid.", words.key).required(),
        Field::text("bodyText", "Its description as plain text."),
        Field::derived::<WorkItemState>("state", "Where it stands, in words common to all providers.", words.state)
            .unknown_if(words.unknown_state)
            .required(),
        Field::derived::<String>(
            "stateName",
            "Where it stands, in the provider's own word: open, Doing.",
            words.state_name,
        )
        .required(),
        words.assignees,
        Field::records::<Label>("labels", "Its labels or tags.", 10).required(),
        Field::date(
            "dueOn",
            "The day it is due: an issue or a pull request on that of its milestone, a task on its own.",
        ),
        Field::int("commentCount", "How many comments it has; null where the provider does not say."),
        Field::time("closedAt", "When it was closed, completed or merged."),
    ]
}

/// The fields that `PullRequest` adds; `container` is the body key of its repository.
pub const fn pull_request(container: &'static str) -> [Field; 14] {
    [
        Field::int("number", "Its number in the repository.").required(),
        Field::value::<PullRequestState>("pullRequestState", "Open, closed or merged.").required(),
        Field::flag("isDraft", "Whether it is a draft.").required(),
        Field::time("mergedAt", "When it was merged."),
        Field::node::<Person>("author", "Who opened it."),
        Field::text("headRef", "The branch that is to be merged.").required(),
        Field::text("baseRef", "The branch it is to be merged into.").required(),
        Field::text("headSha", "The newest commit of it.").required(),
        Field::int("additions", "Lines added."),
        Field::int("deletions", "Lines deleted."),
        Field::int("changedFiles", "Files changed."),
        Field::value::<ReviewDecision>("reviewDecision", "What its reviews amount to."),
        Field::value::<ChecksState>("checks", "What the checks of its newest commit amount to."),
        Field::node::<Container>("container", "The repository it belongs to.").key(container),
    ]
}

/// The fields that `Build` adds; `container` is the body key of its repository.
pub const fn build(container: &'static str) -> [Field; 9] {
    [
        Field::text("name", "What was run.").required(),
        Field::value::<BuildStatus>("status", "Where it stands.").required(),
        Field::value::<BuildConclusion>("conclusion", "How it ended; null while it has not."),
        Field::text("branch", "The branch it ran on."),
        Field::text("headSha", "The commit it ran on.").required(),
        Field::time("startedAt", "When it started."),
        Field::time("finishedAt", "When it ended."),
        Field::node::<Person>("actor", "Who started it."),
        Field::node::<Container>("container", "The repository it belongs to.").key(container),
    ]
}

/// The fields that `Person` adds.
pub const fn person(handle: Derive, display_name: Derive, is_bot: Derive) -> [Field; 5] {
    [
        Field::derived::<String>("handle", "The name they are mentioned by, without the @.", handle),
        Field::derived::<String>("displayName", "The name people know them by.", display_name).required(),
        Field::text("email", "Their address, where the provider and the token's scopes tell it."),
        Field::url("avatarUrl", "Their picture."),
        Field::derived::<bool>("isBot", "Whether it is a program.", is_bot).required(),
    ]
}

/// The text of a message as it is stored.
pub const MESSAGE_TEXT: Derive = Derive::new(|view| view.text("text").map(Value::from), &["text"]);

/// The fields that `Message` adds.
pub const fn message(text: Derive) -> [Field; 5] {
    [
        Field::derived::<String>(
            "text",
            "What was said. At Slack it is plain text, without the markup of mentions and links.",
            text,
        )
        .required(),
        Field::node::<Person>("author", "Who said it."),
        Field::time("sentAt", "When it was said.").required(),
        Field::time("editedAt", "When it was last edited."),
        Field::int("replyCount", "How many replies it has; null where there are no threads."),
    ]
}

/// The fields that `Container` adds.
pub const fn container() -> [Field; 2] {
    [Field::text("name", "Its name.").required(), Field::text("description", "What it is for, as its owners say.")]
}

table! {
    /// A label or tag.
    Label = LABEL {
        provider: "",
        doc: "A label or tag of a work item.",
        interfaces: &[],
        always: &["name"],
        fields: &[&[
            Field::text("name", "Its name.").required(),
            Field::text("color", "Its color, as the provider writes it."),
        ]],
    }
}

fn provider(call: Call<'_>) -> BoxFuture<'_, ServerResult<Value>> {
    Box::pin(async move {
        let key = node_type(call.view.key.type_name).map_or("", |table| table.provider);
        let provider = Provider::of(call.ctx, key).map_err(|error| server_error(call.ctx, error))?;
        resolve_value(call.ctx, &provider).await
    })
}

fn integration(call: Call<'_>) -> BoxFuture<'_, ServerResult<Value>> {
    Box::pin(async move {
        let integration = integration_of(call.ctx, &call.view.key.integration).await;
        let integration = integration.map_err(|error| server_error(call.ctx, error))?;
        resolve_value(call.ctx, &integration).await
    })
}

fn freshness(call: Call<'_>) -> BoxFuture<'_, ServerResult<Value>> {
    Box::pin(async move { resolve_value(call.ctx, &Freshness::from(call.view.freshness)).await })
}

/// The fields of every provider's root.
pub const fn root() -> [Field; 2] {
    let id = Derive::new(
        |view| Some(Value::from(GlobalId::own(view.key.type_name, view.key.integration.as_str()).encode())),
        &[],
    );
    [
        Field::derived::<ID>("id", "Opaque, global and stable.", id).required(),
        Field::ask(
            "integration",
            "The integration that everything below is read through.",
            <Integration as OutputType>::create_type_info,
            integration,
        )
        .required(),
    ]
}
