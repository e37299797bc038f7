//! The body keys: the sub-selection of GitHub's GraphQL that asks for each, and how it is read from the answer.
//!
//! One table for both directions, so that what is asked is what is read. Reading goes by presence: a field that is not in the
//! answer is an unknown key.

use serde_json::Value;

use super::{
    names::{
        CHECKS, COMMENT, CORE, COUNTS, ISSUE, LATEST, OPEN, PULL_REQUEST, PUSHED, RELEASE, REPOSITORY, REVIEW, TEAM,
        USER,
    },
    values::{day, labels, list, non_empty, reference, sorted, stamp},
};

/// A body key of a type.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) aspect: &'static str,
    /// The sub-selection. Equal selections of several keys are sent once.
    pub(super) select: &'static str,
    /// The answer's field, for reading.
    field: &'static str,
    read: fn(&Value) -> Value,
}

impl Key {
    /// The key's value; `None`: the answer does not have it. A connection without its items is not an empty one.
    pub(super) fn read(&self, object: &Value) -> Option<Value> {
        let value = object.get(self.field)?;
        (!self.is_broken(value)).then(|| (self.read)(value))
    }

    /// Whether the answer has something that the schema does not allow in the place of the key's value.
    pub(super) fn is_broken_in(&self, object: &Value) -> bool {
        object.get(self.field).is_some_and(|value| self.is_broken(value))
    }

    fn is_broken(&self, value: &Value) -> bool {
        let counts = self.select.contains("{totalCount}");
        let lists = self.select.contains("nodes{");
        match value {
            // Labels and requests of reviews may be null: https://docs.github.com/en/graphql/reference/objects#issue
            Value::Null => counts || self.field == "assignedActors",
            Value::Object(connection) => {
                (counts && !connection.get("totalCount").is_some_and(Value::is_u64))
                    || (lists && !connection.get("nodes").is_some_and(Value::is_array))
            }
            _ => counts || lists,
        }
    }
}

/// Names everyone who acts: enough for a person's card, so that no further call is needed.
macro_rules! person {
    () => {
        "__typename login avatarUrl url ...on User{id name createdAt updatedAt}...on Organization{id name createdAt \
         updatedAt}...on Bot{id createdAt updatedAt}...on Mannequin{id createdAt updatedAt}"
    };
}
macro_rules! user {
    () => {
        "__typename id login name avatarUrl url createdAt updatedAt"
    };
}

/// A person behind an interface.
pub(super) const PERSON: &str = person!();

const fn key(name: &'static str, select: &'static str, field: &'static str, read: fn(&Value) -> Value) -> Key {
    Key { name, aspect: CORE, select, field, read }
}

const fn plain(name: &'static str) -> Key {
    key(name, name, name, Value::clone)
}

const fn moment(name: &'static str) -> Key {
    key(name, name, name, stamp)
}

const fn renamed(name: &'static str, field: &'static str) -> Key {
    key(name, field, field, Value::clone)
}

const fn in_aspect(aspect: &'static str, mut key: Key) -> Key {
    key.aspect = aspect;
    key
}

fn member(value: &Value, name: &str) -> Value {
    value.get(name).cloned().unwrap_or(Value::Null)
}

fn references(connection: &Value) -> Value {
    sorted(list(connection, "nodes").iter().filter_map(|node| Some(reference(node)?.to_string())))
}

fn reference_value(node: &Value) -> Value {
    reference(node).map_or(Value::Null, |node| node.to_string().into())
}

fn repository_reference(node: &Value) -> Value {
    node.get("id").and_then(Value::as_str).map_or(Value::Null, |id| format!("{REPOSITORY}:{id}").into())
}

fn reviewers(connection: &Value) -> Value {
    let requests = list(connection, "nodes").iter();
    sorted(requests.filter_map(|request| Some(reference(request.get("requestedReviewer")?)?.to_string())))
}

const REPOSITORY_OF: &str = "repository{id nameWithOwner}";
/// People and bots that are assigned. GitHub's `assignees` lists people only: a coding agent that webhooks name would be lost at the
/// next reading (<https://docs.github.com/en/graphql/reference/interfaces#assignable>).
pub(super) const ASSIGNEES: &str = concat!(
    "assignedActors(first:20){nodes{...on User{",
    user!(),
    "}...on Organization{",
    user!(),
    "}...on Bot{__typename id login avatarUrl url createdAt updatedAt}...on Mannequin{__typename id login avatarUrl url \
     createdAt updatedAt}}}"
);
/// The same for an Enterprise Server, which knows no bots as assignees and refuses a document that asks for them.
pub(super) const ASSIGNED_PEOPLE: &str = concat!("assignedActors:assignees(first:20){nodes{", user!(), "}}");
const LABELS: &str = "labels(first:50){nodes{name color}}";
const MILESTONE: &str = "milestone{title dueOn}";
const AUTHOR: &str = concat!("author{", person!(), "}");

const fn author() -> Key {
    key("author", AUTHOR, "author", reference_value)
}

/// The keys that issues and pull requests have in common.
macro_rules! work_item_keys {
    () => {
        [
            plain("number"),
            plain("title"),
            // The raw text: webhooks bring only that, and both must agree.
            key("bodyText", "body", "body", |body| body.as_str().unwrap_or_default().into()),
            plain("url"),
            moment("createdAt"),
            moment("updatedAt"),
            moment("closedAt"),
            author(),
            key("assignees", ASSIGNEES, "assignedActors", references),
            key("assigneeLogins", ASSIGNEES, "assignedActors", |connection| {
                let logins = list(connection, "nodes").iter().filter_map(|user| user.get("login")?.as_str());
                sorted(logins.map(str::to_lowercase))
            }),
            key("labels", LABELS, "labels", |connection| labels(list(connection, "nodes"))),
            key("milestone", MILESTONE, "milestone", |milestone| member(milestone, "title")),
            key("dueOn", MILESTONE, "milestone", |milestone| day(&member(milestone, "dueOn"))),
            key("commentCount", "comments{totalCount}", "comments", |comments| member(comments, "totalCount")),
            key("repository", REPOSITORY_OF, "repository", repository_reference),
            key("repositoryName", REPOSITORY_OF, "repository", |repository| member(repository, "nameWithOwner")),
        ]
    };
}

static WORK_ITEM: [Key; 16] = work_item_keys!();

static ISSUE_OWN: [Key; 2] = [
    renamed("issueState", "state"),
    key("stateReason", "stateReason(enableDuplicate:true)", "stateReason", Value::clone),
];

static PULL_REQUEST_OWN: [Key; 12] = [
    renamed("pullRequestState", "state"),
    plain("isDraft"),
    moment("mergedAt"),
    renamed("headRef", "headRefName"),
    renamed("baseRef", "baseRefName"),
    renamed("headSha", "headRefOid"),
    plain("additions"),
    plain("deletions"),
    plain("changedFiles"),
    key(
        "requestedReviewers",
        concat!(
            "reviewRequests(first:20){nodes{requestedReviewer{...on User{",
            user!(),
            "}...on Bot{__typename id login \
            avatarUrl url createdAt updatedAt}...on Mannequin{__typename id login avatarUrl url createdAt updatedAt}...on \
            Team{__typename id teamName:name slug url createdAt updatedAt}}}}"
        ),
        "reviewRequests",
        reviewers,
    ),
    in_aspect(REVIEW, plain("reviewDecision")),
    in_aspect(CHECKS, key("checks", "statusCheckRollup{state}", "statusCheckRollup", |rollup| member(rollup, "state"))),
];

static REPOSITORY_KEYS: [Key; 17] = [
    plain("name"),
    plain("nameWithOwner"),
    key("description", "description", "description", non_empty),
    plain("url"),
    plain("isPrivate"),
    plain("isArchived"),
    key(
        "owner",
        "owner{__typename id login avatarUrl url ...on User{name createdAt updatedAt}...on Organization{name createdAt \
         updatedAt}}",
        "owner",
        reference_value,
    ),
    key("defaultBranch", "defaultBranchRef{name}", "defaultBranchRef", |branch| member(branch, "name")),
    key("primaryLanguage", "primaryLanguage{name}", "primaryLanguage", |language| member(language, "name")),
    moment("createdAt"),
    moment("updatedAt"),
    in_aspect(COUNTS, plain("stargazerCount")),
    in_aspect(COUNTS, plain("forkCount")),
    in_aspect(
        OPEN,
        key("openIssueCount", "openIssues:issues(states:OPEN){totalCount}", "openIssues", |open| {
            member(open, "totalCount")
        }),
    ),
    in_aspect(
        OPEN,
        key("openPullRequestCount", "openPulls:pullRequests(states:OPEN){totalCount}", "openPulls", |open| {
            member(open, "totalCount")
        }),
    ),
    in_aspect(PUSHED, moment("pushedAt")),
    in_aspect(
        LATEST,
        key(
            "latestRelease",
            concat!(
                "latestRelease{__typename id name tagName isPrerelease isDraft publishedAt url createdAt updatedAt \
                 author{",
                user!(),
                "}repository{id}}"
            ),
            "latestRelease",
            reference_value,
        ),
    ),
];

static USER_KEYS: [Key; 8] = [
    plain("login"),
    key("name", "name", "name", non_empty),
    key("email", "email", "email", non_empty),
    plain("avatarUrl"),
    plain("url"),
    key("kind", "__typename", "__typename", |typename| match typename.as_str() {
        Some("Organization") => "ORGANIZATION".into(),
        Some("Bot") => "BOT".into(),
        Some("Mannequin") => "MANNEQUIN".into(),
        _ => "USER".into(),
    }),
    moment("createdAt"),
    moment("updatedAt"),
];

static TEAM_KEYS: [Key; 6] = [
    plain("name"),
    // Beside people, whose names may be null, a team's must have another alias.
    key("name", "", "teamName", Value::clone),
    plain("slug"),
    plain("url"),
    moment("createdAt"),
    moment("updatedAt"),
];

static COMMENT_KEYS: [Key; 9] = [
    key("text", "body", "body", |body| body.as_str().unwrap_or_default().into()),
    author(),
    plain("url"),
    key("sentAt", "createdAt", "createdAt", stamp),
    key("editedAt", "lastEditedAt", "lastEditedAt", stamp),
    moment("createdAt"),
    moment("updatedAt"),
    // Selected by hand: what it hangs on differs between the types of comments.
    key("subject", "", "subject", Value::clone),
    // GitHub's comments have no replies.
    key("replyCount", "", "replyCount", Value::clone),
];

static RELEASE_KEYS: [Key; 10] = [
    key("name", "name", "name", non_empty),
    plain("tagName"),
    plain("isPrerelease"),
    plain("isDraft"),
    moment("publishedAt"),
    key("author", concat!("author{", user!(), "}"), "author", reference_value),
    plain("url"),
    moment("createdAt"),
    moment("updatedAt"),
    key("repository", "repository{id}", "repository", repository_reference),
];

/// The keys of a type.
pub(super) fn keys(type_name: &str) -> impl Iterator<Item = &'static Key> {
    let (common, own): (&'static [Key], &'static [Key]) = match type_name {
        ISSUE => (&WORK_ITEM, &ISSUE_OWN),
        PULL_REQUEST => (&WORK_ITEM, &PULL_REQUEST_OWN),
        REPOSITORY => (&REPOSITORY_KEYS, &[]),
        USER => (&USER_KEYS, &[]),
        TEAM => (&TEAM_KEYS, &[]),
        COMMENT => (&COMMENT_KEYS, &[]),
        RELEASE => (&RELEASE_KEYS, &[]),
        _ => (&[], &[]),
    };
    common.iter().chain(own)
}
