//! The enums that the graph, the ports and stored rows share.

use std::str::FromStr;

use async_graphql::Enum;
use serde::{Deserialize, Serialize};

macro_rules! graph_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Enum, Serialize, Deserialize,
            strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray,
        )]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name {
            $($(#[$value_doc])* $value,)+
        }
    };
}

/// The name of the value that stands for words of a provider that this version does not know.
pub const UNKNOWN: &str = "UNKNOWN";

/// An enum of a provider's words. Providers invent new ones: a word that is not known here must not take away the node that has it,
/// or the list that the node is in.
pub trait ProviderEnum: FromStr {
    /// The value under the name [`UNKNOWN`].
    const UNKNOWN: Self;
}

macro_rules! provider_enums {
    ($($name:ty),+) => { $(
        impl $crate::enums::ProviderEnum for $name {
            const UNKNOWN: Self = Self::Unknown;
        }
    )+ };
}
pub(crate) use provider_enums;

provider_enums!(PullRequestState, ReviewDecision, ChecksState, BuildStatus, BuildConclusion);

graph_enum! {
    /// How far an integration experiment has come. It cannot be set yet, and is the same for all that were connected with a token; it
    /// comes with sign-in.
    Stage {
        /// Tried out; may break or vanish.
        Prototype,
        /// In use by a few, on trial.
        Pilot,
        /// Relied upon.
        Production,
        /// No longer supported.
        Retired,
    }
}
graph_enum! {
    /// The state of a piece of work, over all providers. Draft pull requests and tasks in a "doing" section are in progress. A state
    /// that the provider names by a word that this version does not know counts as open and not begun; `stateName` has the word.
    WorkItemState {
        /// Open, nobody has begun.
        Todo,
        /// Being worked on: a draft pull request, a task in a section such as "Doing".
        InProgress,
        /// Completed or merged.
        Done,
        /// Closed without being done: not planned, duplicate, closed unmerged.
        Canceled,
    }
}
graph_enum! {
    /// Kinds of work items.
    WorkItemType {
        /// Issues, for example of GitHub.
        Issue,
        /// Tasks, for example of Asana.
        Task,
        /// Pull requests.
        PullRequest,
    }
}
graph_enum! {
    /// The orders of work items.
    WorkItemOrderField {
        /// Last change.
        UpdatedAt,
        /// Creation.
        CreatedAt,
        /// Due date; items without one come last.
        DueOn,
    }
}
graph_enum! {
    /// Direction of an order.
    OrderDirection {
        /// Smallest or oldest first.
        Asc,
        /// Largest or newest first.
        Desc,
    }
}
graph_enum! {
    /// The state of a pull request.
    PullRequestState {
        /// Open, drafts included.
        Open,
        /// Closed without being merged.
        Closed,
        /// Merged.
        Merged,
        /// The provider has a word for it that this version does not know. It is only answered, never asked for.
        Unknown,
    }
}
graph_enum! {
    /// The decision of a pull request's reviews.
    ReviewDecision {
        /// Approved by everyone whose review is required.
        Approved,
        /// A reviewer asks for changes.
        ChangesRequested,
        /// A required review is missing.
        ReviewRequired,
        /// The provider has a word for it that this version does not know. It is only answered, never asked for.
        Unknown,
    }
}
graph_enum! {
    /// The result of all checks of a commit.
    ChecksState {
        /// A required check has not reported yet.
        Expected,
        /// Checks are running.
        Pending,
        /// All checks passed.
        Success,
        /// A check failed.
        Failure,
        /// A check could not be carried out.
        Error,
        /// The provider has a word for it that this version does not know. It is only answered, never asked for.
        Unknown,
    }
}
graph_enum! {
    /// Where a build stands.
    BuildStatus {
        /// Waits for a machine.
        Queued,
        /// Runs.
        InProgress,
        /// Ended; see its conclusion.
        Completed,
        /// Waits for an approval or another run.
        Waiting,
        /// Asked for, not queued yet.
        Requested,
        /// Held back by a limit on concurrent runs.
        Pending,
        /// The provider has a word for it that this version does not know. It is only answered, never asked for.
        Unknown,
    }
}
graph_enum! {
    /// How a build ended.
    BuildConclusion {
        /// It passed.
        Success,
        /// It failed.
        Failure,
        /// Somebody or something canceled it.
        Cancelled,
        /// It was skipped.
        Skipped,
        /// It took too long.
        TimedOut,
        /// It ended without a verdict.
        Neutral,
        /// It needs somebody to act.
        ActionRequired,
        /// The provider gave it up.
        Stale,
        /// It could not start.
        StartupFailure,
        /// The provider has a word for it that this version does not know. It is only answered, never asked for.
        Unknown,
    }
}
graph_enum! {
    /// Where an integration stands.
    IntegrationStatus {
        /// Not connected yet: a sign-in has begun. It comes with sign-in; with a token an integration is connected at once.
        Pending,
        /// Connected.
        Connected,
        /// Its credential is no longer accepted: reconnect it.
        NeedsReconnect,
        /// Its provider is not part of this build: what is known of it is kept, and nothing is read or received.
        Disabled,
    }
}
graph_enum! {
    /// How an integration does.
    HealthState {
        /// Calls succeed.
        Healthy,
        /// Some calls fail or are slow.
        Degraded,
        /// Calls fail.
        Down,
        /// Not enough calls to tell.
        Unknown,
    }
}
graph_enum! {
    /// The socket that an integration's events come over.
    SocketState {
        /// It is being opened.
        Connecting,
        /// Events come over it.
        Open,
        /// The provider refuses it: `socketError` says what to do.
        Failed,
    }
}
graph_enum! {
    /// The circuit breaker in front of a provider.
    CircuitState {
        /// Calls go through.
        Closed,
        /// Calls are paused after repeated failures.
        Open,
        /// A trial call decides.
        HalfOpen,
    }
}
graph_enum! {
    /// How an integration's webhooks do.
    WebhookState {
        /// They arrive, or the provider says that they would: changes are seen at once.
        Live,
        /// There are webhooks, and nothing came for a long time: the provider is asked often.
        Silent,
        /// There are none: the provider is asked often.
        Polling,
    }
}
graph_enum! {
    /// The state of a widget.
    WidgetState {
        /// It shows current data.
        Ready,
        /// There is nothing to show.
        Empty,
        /// It shows what is known, which is old or not all; `problems` says why.
        Stale,
        /// An integration must be reconnected.
        Reconnect,
        /// It draws on a provider or a kind of data that this build does not support.
        Unsupported,
        /// It could not be loaded; `problems` says why.
        Failed,
    }
}
graph_enum! {
    /// How a webhook delivery came in.
    WebhookDeliverySource {
        /// The provider sent it to the webhook's address.
        Webhook,
        /// The provider sent it over the socket that was opened to it (Slack's Socket Mode).
        Socket,
        /// It never came: it was taken out of what the provider keeps (GitHub's log of deliveries, Slack's history, Asana's events).
        Log,
    }
}
graph_enum! {
    /// The state of a webhook delivery.
    WebhookDeliveryState {
        /// It is stored and waits to be applied, for the first time or again.
        Received,
        /// It is applied: what it told is in the graph.
        Applied,
        /// It is knowingly not used; `error` says why.
        Ignored,
        /// It could not be applied and was given up; `error` says why. It can be replayed.
        Parked,
    }
}
graph_enum! {
    /// The quantity that a metric measures.
    MetricKind {
        /// Pull requests that are open. `previous` is the number that was open one window ago, and each point of `series` the number
        /// that was open then. One that was reopened meanwhile counts as if it had never been closed.
        OpenPullRequests,
        /// Median seconds from opened to merged, of those merged in the window.
        MedianTimeToMerge,
        /// The share of the builds finished in the window that succeeded, 0 to 1. Builds that were cancelled or skipped, or that
        /// ended neutral, stale or with an action required, do not count: they neither succeeded nor failed.
        BuildSuccessRate,
        /// Issues and tasks that are open. `previous` is the number that was open one window ago, and each point of `series` the
        /// number that was open then. One that was reopened meanwhile counts as if it had never been closed.
        OpenWorkItems,
        /// Issues and tasks completed in the window.
        CompletedWorkItems,
        /// Messages sent to the channels in the window. Replies in threads do not count, unless they were sent to the channel too.
        Messages,
    }
}
graph_enum! {
    /// Why a subscription answers.
    UpdateReason {
        /// The state when the subscription began.
        Snapshot,
        /// The snapshot is complete.
        SnapshotEnd,
        /// Data that it shows changed.
        Changed,
        /// Its title, layout or source changed.
        Configured,
        /// Somebody asked for a refresh.
        Refreshed,
        /// It was removed.
        Removed,
    }
}
