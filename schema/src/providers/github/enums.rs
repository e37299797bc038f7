//! GitHub's own enums.

use async_graphql::Enum;

use crate::enums::provider_enums;

/// Whether an issue is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum GithubIssueState {
    /// Open.
    Open,
    /// Closed, for whatever reason.
    Closed,
}

/// The kind of things that a search looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum GithubSearchType {
    /// Issues.
    Issue,
    /// Pull requests.
    PullRequest,
    /// Repositories.
    Repository,
}

/// The kind of a user's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, strum::EnumString)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum GithubUserKind {
    /// A person.
    User,
    /// An organization.
    Organization,
    /// An app or another program.
    Bot,
    /// A stand-in for somebody whose account could not be found when their work was imported.
    Mannequin,
    /// GitHub has a word for it that this version does not know. It is only answered, never asked for.
    Unknown,
}

provider_enums!(GithubUserKind);
