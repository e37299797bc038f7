//! Builds GraphQL documents: selections by body keys, aliased pieces, and as many pieces in one call as GitHub allows.

use std::{collections::BTreeSet, fmt::Write as _};

use mullion_schema::ports::Filter;
use serde_json::{Map, Value};

use super::{
    keys::{PERSON, keys},
    lists::{self, PAGE},
    names::{COMMENT, ISSUE, OPEN, PULL_REQUEST, RELEASE, REPOSITORY, TEAM, USER},
};

/// GitHub refuses calls that could touch 500,000 nodes; well below that it is also quick enough.
const NODE_LIMIT: u64 = 300_000;
/// Documents have a size limit too; few pieces keep them readable.
const PIECE_LIMIT: usize = 50;

/// A part of a document that is answered under one alias.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// The field with its sub-selection; `@` stands for the piece's alias, which also prefixes its variables.
    pub(super) text: String,
    /// Suffix, type, value.
    pub(super) variables: Vec<(String, &'static str, Value)>,
    /// How many nodes it may touch.
    pub(super) weight: u64,
}

impl Piece {
    /// The ids that it asks for, in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        let ids = self.variables.iter().filter(|(suffix, ..)| suffix == "ids");
        ids.flat_map(|(.., ids)| ids.as_array().into_iter().flatten().filter_map(Value::as_str))
    }
}

/// Keys that hang on their own aspect and cost extra are left out of cards.
fn on_card(key: &super::keys::Key) -> bool {
    key.aspect != OPEN && key.name != "email" && key.name != "latestRelease"
}

/// The sub-selection of these keys. Always with identity and version, so that what comes can be written.
pub(super) fn selection(type_name: &'static str, asked: impl Fn(&super::keys::Key) -> bool) -> String {
    if type_name == USER {
        return people(asked);
    }
    let mut parts = vec!["__typename", "id", "updatedAt"];
    for key in keys(type_name).filter(|key| asked(key)) {
        if !key.select.is_empty() && !parts.contains(&key.select) {
            parts.push(key.select);
        }
    }
    if type_name == REPOSITORY && !parts.contains(&"nameWithOwner") {
        parts.push("nameWithOwner");
    }
    parts.join(" ")
}

/// People come in four types, whose fields differ.
fn people(asked: impl Fn(&super::keys::Key) -> bool) -> String {
    let fields = |left_out: &[&str]| {
        let mut parts = vec!["id", "login", "updatedAt"];
        for key in keys(USER).filter(|key| asked(key) && !left_out.contains(&key.name)) {
            if !parts.contains(&key.select) && key.select != "__typename" {
                parts.push(key.select);
            }
        }
        parts.join(" ")
    };
    let (user, organization, other) = (fields(&[]), fields(&["email"]), fields(&["email", "name"]));
    format!(
        "__typename ...on User{{{user}}}...on Organization{{{organization}}}...on Bot{{{other}}}...on Mannequin{{{other}}}"
    )
}

/// Everything that lists and cards show of a type.
pub(super) fn card(type_name: &'static str) -> String {
    match type_name {
        COMMENT => format!("{} pullRequest{{id}} issue{{id}}", selection(COMMENT, on_card)),
        _ => selection(type_name, on_card),
    }
}

fn weight_of(type_name: &str) -> u64 {
    match type_name {
        ISSUE => 71,
        PULL_REQUEST => 91,
        _ => 1,
    }
}

/// GitHub's name of one of our types, for a type condition.
fn github_type(type_name: &str) -> &'static str {
    match type_name {
        REPOSITORY => "Repository",
        ISSUE => "Issue",
        PULL_REQUEST => "PullRequest",
        TEAM => "Team",
        RELEASE => "Release",
        _ => "IssueComment",
    }
}

/// Nodes by id.
pub(super) fn nodes(type_name: &'static str, asks: &BTreeSet<&'static str>, ids: &[&str], emails: bool) -> Piece {
    let asked = |key: &super::keys::Key| asks.contains(key.name) && (emails || key.name != "email");
    let selected = selection(type_name, asked);
    let inner = match type_name {
        USER => selected,
        // A comment on a line of a diff is of another type, with other fields.
        COMMENT if ids.iter().any(|id| id.starts_with("PRRC_")) => {
            format!("__typename id ...on PullRequestReviewComment{{{selected} reviewed:pullRequest{{id}}}}")
        }
        COMMENT => format!("__typename id ...on IssueComment{{{selected} pullRequest{{id}} issue{{id}}}}"),
        _ => format!("__typename id ...on {}{{{selected}}}", github_type(type_name)),
    };
    Piece {
        text: format!("@:nodes(ids:$@ids){{{inner}}}"),
        variables: vec![("ids".into(), "[ID!]!", ids.to_vec().into())],
        weight: ids.len() as u64 * weight_of(type_name),
    }
}

/// `owner/name` of repositories.
pub(super) fn repository_names(ids: &[&str]) -> Piece {
    Piece {
        text: "@:nodes(ids:$@ids){__typename id ...on Repository{name nameWithOwner updatedAt}}".into(),
        variables: vec![("ids".into(), "[ID!]!", ids.to_vec().into())],
        weight: ids.len() as u64,
    }
}

/// Numbers and repositories of workflow runs, with which REST can be asked for them.
pub(super) fn run_numbers(ids: &[&str]) -> Piece {
    let repository = "repository{__typename id name nameWithOwner updatedAt}";
    Piece {
        text: format!(
            "@:nodes(ids:$@ids){{__typename id ...on WorkflowRun{{databaseId checkSuite{{id {repository}}}}}}}"
        ),
        variables: vec![("ids".into(), "[ID!]!", ids.to_vec().into())],
        weight: ids.len() as u64,
    }
}

/// A list's connection as a field, answered under `alias`.
pub(super) struct ListField {
    text: String,
    variables: Vec<(String, &'static str, Value)>,
    weight: u64,
}

/// The field of a list; `None`: GraphQL does not have it. `suffix` tells the variables of several lists apart.
pub(super) fn list_field(list: &str, filter: &Filter, suffix: &str, cursor: Option<&str>) -> Option<ListField> {
    let connection = lists::connection(list, filter, &format!("@{suffix}"))?;
    let named = connection.variables.into_iter();
    let mut variables: Vec<_> = named.map(|(name, kind, value)| (format!("{suffix}{name}"), kind, value)).collect();
    let after = cursor.map(|cursor| {
        variables.push((format!("{suffix}after"), "String", cursor.into()));
        format!(",after:$@{suffix}after")
    });
    let (field, after, card) = (connection.field, after.unwrap_or_default(), card(connection.item));
    let text = format!("list{suffix}:{field}{after}){{totalCount pageInfo{{endCursor hasNextPage}}nodes{{{card}}}}}");
    Some(ListField { text, variables, weight: PAGE as u64 * weight_of(connection.item) })
}

/// The first page of a list of several parents, or a further page of one parent's.
pub(super) fn pages(parent: &str, ids: &[&str], list: ListField, further: bool) -> Piece {
    let condition = github_type(parent);
    let brief = if parent == REPOSITORY { card(REPOSITORY) } else { "__typename id".into() };
    let inner = format!("__typename id ...on {condition}{{{brief} {}}}", list.text);
    let (text, variable) = if further {
        let id: Value = ids.first().copied().unwrap_or_default().into();
        (format!("@:node(id:$@id){{{inner}}}"), ("id".into(), "ID!", id))
    } else {
        (format!("@:nodes(ids:$@ids){{{inner}}}"), ("ids".into(), "[ID!]!", ids.to_vec().into()))
    };
    let variables = std::iter::once(variable).chain(list.variables).collect();
    Piece { text, variables, weight: ids.len() as u64 * list.weight }
}

/// The account's repositories.
pub(super) fn own_repositories(cursor: Option<&str>) -> Piece {
    let mine = "[OWNER,COLLABORATOR,ORGANIZATION_MEMBER]";
    let card = card(REPOSITORY);
    Piece {
        text: format!(
            "@:viewer{{list:repositories(first:{PAGE},after:$@after,affiliations:{mine},ownerAffiliations:{mine},\
             orderBy:{{field:NAME,direction:ASC}}){{totalCount pageInfo{{endCursor hasNextPage}}nodes{{{card}}}}}}}"
        ),
        variables: vec![("after".into(), "String", cursor.map_or(Value::Null, Into::into))],
        weight: PAGE as u64,
    }
}

/// A search. GitHub searches issues and pull requests together: the query tells them apart.
pub(super) fn search(filter: &Filter, cursor: Option<&str>) -> Piece {
    let first = |name: &str| filter.get(name).and_then(|values| values.first()).map_or("", String::as_str);
    let (kind, item, qualifier) = match first("type") {
        "PULL_REQUEST" => ("ISSUE", PULL_REQUEST, " is:pr"),
        "REPOSITORY" => ("REPOSITORY", REPOSITORY, ""),
        _ => ("ISSUE", ISSUE, " is:issue"),
    };
    let count = if item == REPOSITORY { "repositoryCount" } else { "issueCount" };
    let (condition, card) = (github_type(item), card(item));
    Piece {
        text: format!(
            "@:search(type:{kind},first:{PAGE},query:$@query,after:$@after){{totalCount:{count} \
             pageInfo{{endCursor hasNextPage}}nodes{{...on {condition}{{{card}}}}}}}"
        ),
        variables: vec![
            ("query".into(), "String!", format!("{}{qualifier}", first("query")).into()),
            ("after".into(), "String", cursor.map_or(Value::Null, Into::into)),
        ],
        weight: PAGE as u64 * weight_of(item),
    }
}

/// The names that a lookup goes by.
pub(super) enum Lookup<'a> {
    Viewer,
    User { login: &'a str },
    Repository { owner: &'a str, name: &'a str },
    Numbered { repository: &'a str, field: &'static str, number: i64 },
}

/// A node by name, with first pages of its lists.
pub(super) fn lookup(lookup: &Lookup<'_>, selected: &str, lists: Vec<ListField>) -> Piece {
    let mut inner = selected.to_owned();
    let mut variables = Vec::new();
    let mut weight = 1;
    for list in lists {
        let _infallible = write!(inner, " {}", list.text);
        variables.extend(list.variables);
        weight += list.weight;
    }
    let mut variable = |name: &str, kind, value: Value| variables.push((name.to_owned(), kind, value));
    let text = match lookup {
        Lookup::Viewer => format!("@:viewer{{{inner}}}"),
        Lookup::User { login } => {
            variable("login", "String!", (*login).into());
            format!("@:repositoryOwner(login:$@login){{{inner}}}")
        }
        Lookup::Repository { owner, name } => {
            variable("owner", "String!", (*owner).into());
            variable("name", "String!", (*name).into());
            format!("@:repository(owner:$@owner,name:$@name){{{inner}}}")
        }
        Lookup::Numbered { repository, field, number } => {
            variable("id", "ID!", (*repository).into());
            variable("number", "Int!", (*number).into());
            format!("@:node(id:$@id){{...on Repository{{item:{field}(number:$@number){{{inner}}}}}}}")
        }
    };
    Piece { text, variables, weight }
}

/// The selection of a lookup of a person: people are behind interfaces there.
pub(super) fn person_selection(viewer: bool, emails: bool) -> String {
    match (viewer, emails) {
        (false, _) => PERSON.replace("...on Bot{id createdAt updatedAt}...on Mannequin{id createdAt updatedAt}", ""),
        (true, false) => "__typename id login name avatarUrl url createdAt updatedAt".into(),
        (true, true) => "__typename id login name email avatarUrl url createdAt updatedAt".into(),
    }
}

/// Splits pieces into calls.
pub(super) fn batches<T>(pieces: Vec<(Piece, T)>) -> Vec<Vec<(Piece, T)>> {
    let mut batches: Vec<Vec<(Piece, T)>> = Vec::new();
    let mut weight = 0;
    for (piece, what) in pieces {
        let fits = weight + piece.weight <= NODE_LIMIT;
        if let Some(batch) = batches.last_mut().filter(|batch| fits && batch.len() < PIECE_LIMIT) {
            weight += piece.weight;
            batch.push((piece, what));
        } else {
            weight = piece.weight;
            batches.push(vec![(piece, what)]);
        }
    }
    batches
}

/// The alias of a piece in its call.
pub(super) fn alias(index: usize) -> String {
    format!("a{index}")
}

/// One call: document and variables.
pub(super) fn assemble<'a>(pieces: impl Iterator<Item = &'a Piece>) -> (String, Map<String, Value>) {
    let (mut head, mut fields, mut variables) = (String::new(), String::new(), Map::new());
    for (index, piece) in pieces.enumerate() {
        let alias = alias(index);
        for (suffix, kind, value) in &piece.variables {
            let _infallible = write!(head, "${alias}{suffix}:{kind} ");
            variables.insert(format!("{alias}{suffix}"), value.clone());
        }
        fields += &piece.text.replace('@', &alias);
        fields.push(' ');
    }
    let head = if head.is_empty() { head } else { format!("({})", head.trim_end()) };
    (format!("query{head}{{{fields}rateLimit{{cost limit remaining resetAt}}}}"), variables)
}

#[cfg(test)]
mod tests {
    use super::{Piece, batches};

    #[test]
    fn a_call_stays_below_the_node_limit() {
        let piece = |weight| (Piece { text: String::new(), variables: Vec::new(), weight }, ());
        let split = |weights: &[u64]| -> Vec<usize> {
            batches(weights.iter().copied().map(piece).collect()).iter().map(Vec::len).collect()
        };
        assert_eq!(split(&[1, 2, 3]), [3]);
        assert_eq!(split(&[200_000, 100_000, 1]), [2, 1]);
        assert_eq!(split(&[900_000, 1]), [1, 1]);
        assert_eq!(split(&[1; 51]), [50, 1]);
    }
}
