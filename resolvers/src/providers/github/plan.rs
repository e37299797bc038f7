//! The wants of one tick, sorted into pieces of as few GraphQL calls as possible.

use std::collections::{BTreeMap, BTreeSet};

use mullion_schema::ports::{Filter, Lookup};

use super::{
    documents::{self, ListField, Piece, list_field, person_selection, selection},
    names::{ISSUE, PULL_REQUEST, REPOSITORIES, REPOSITORY, SEARCH, USER, WORKFLOW_RUN, WORKFLOW_RUNS},
};
use crate::{
    provider::{FetchWant, NodeRef, PageWant},
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// Ids that GitHub takes in one `nodes` field.
const IDS: usize = 100;
/// Parents whose first pages go into one field: 100 items each.
const PARENTS: usize = 20;

/// Where in a piece's answer something is, and what it answers.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The index of the want.
    pub(super) want: usize,
    pub(super) at: At,
    pub(super) kind: PartKind,
}

/// Where in a piece's answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Whole,
    Item(usize),
    /// Below `item`: an issue of a repository.
    Inner,
}

/// The want that a part answers.
#[derive(Debug, Clone)]
pub(super) enum PartKind {
    Node(NodeRef),
    /// With the lists that were asked along, in the order of their suffixes, and those that only REST has.
    Lookup {
        lists: Vec<(&'static str, Filter)>,
        over_rest: Vec<(&'static str, Filter)>,
        /// GitHub says by null alone, without an error, that there is no such thing.
        null_is_absent: bool,
    },
    Page(PageWant),
}

/// A want that only REST answers, once repositories' names are known.
#[derive(Debug, Clone)]
pub(super) enum RestWant {
    Runs(PageWant),
    Run(NodeRef),
}

/// The plan of a tick.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) pieces: Vec<(Piece, Vec<Part>)>,
    pub(super) rest: Vec<(usize, RestWant)>,
    pub(super) refused: Vec<(usize, UpstreamError)>,
}

type NodeGroup<'a> = BTreeMap<(&'static str, bool, &'a BTreeSet<&'static str>), Vec<(usize, &'a NodeRef)>>;
type PageGroup<'a> = BTreeMap<(&'static str, &'static str, &'a Filter), Vec<(usize, &'a PageWant, &'a NodeRef)>>;

impl Plan {
    /// Sorts the wants. `known` says whether a repository's name is known already.
    pub(super) fn of(wants: &[FetchWant], emails: bool, known: impl Fn(&NodeRef) -> bool) -> Self {
        let mut plan = Self::default();
        let (mut nodes, mut pages) = (NodeGroup::new(), PageGroup::new());
        for (index, want) in wants.iter().enumerate() {
            match want {
                FetchWant::Node { node, .. } if node.type_name == WORKFLOW_RUN => {
                    plan.rest.push((index, RestWant::Run(node.clone())));
                }
                FetchWant::Node { node, asks } => {
                    let review = node.native_id.starts_with("PRRC_");
                    nodes.entry((node.type_name, review, asks)).or_default().push((index, node));
                }
                FetchWant::Lookup { lookup, asks, lists } => plan.lookup((index, emails), lookup, asks, lists),
                FetchWant::Page(page) => match &page.list.parent {
                    Some(_) if page.list.name == WORKFLOW_RUNS => {
                        plan.rest.push((index, RestWant::Runs(page.clone())));
                    }
                    Some(parent) if page.cursor.is_none() => {
                        pages
                            .entry((parent.type_name, page.list.name, &page.filter))
                            .or_default()
                            .push((index, page, parent));
                    }
                    Some(parent) => plan.further_page(index, page, parent),
                    None => plan.account_list(index, page),
                },
            }
        }
        plan.nodes(nodes, emails);
        plan.first_pages(pages);
        plan.names(known);
        plan
    }

    fn refuse(&mut self, want: usize, message: &str) {
        self.refused.push((want, UpstreamError::new(UpstreamErrorKind::Rejected, message)));
    }

    fn nodes(&mut self, groups: NodeGroup<'_>, emails: bool) {
        for ((type_name, _, asks), members) in groups {
            for chunk in members.chunks(IDS) {
                let ids: Vec<&str> = chunk.iter().map(|(_, node)| &*node.native_id).collect();
                let parts = chunk.iter().enumerate().map(|(item, (want, node))| Part {
                    want: *want,
                    at: At::Item(item),
                    kind: PartKind::Node((*node).clone()),
                });
                self.pieces.push((documents::nodes(type_name, asks, &ids, emails), parts.collect()));
            }
        }
    }

    fn first_pages(&mut self, groups: PageGroup<'_>) {
        for ((parent, list, filter), members) in groups {
            for chunk in members.chunks(PARENTS) {
                let Some(field) = list_field(list, filter, "", None) else {
                    for (want, ..) in chunk {
                        self.refuse(*want, "GitHub has no such list");
                    }
                    continue;
                };
                let ids: Vec<&str> = chunk.iter().map(|(.., parent)| &*parent.native_id).collect();
                let parts = chunk.iter().enumerate().map(|(item, (want, page, _))| Part {
                    want: *want,
                    at: At::Item(item),
                    kind: PartKind::Page((*page).clone()),
                });
                self.pieces.push((documents::pages(parent, &ids, field, false), parts.collect()));
            }
        }
    }

    fn further_page(&mut self, want: usize, page: &PageWant, parent: &NodeRef) {
        let Some(field) = list_field(page.list.name, &page.filter, "", page.cursor.as_deref()) else {
            return self.refuse(want, "GitHub has no such list");
        };
        let piece = documents::pages(parent.type_name, &[&parent.native_id], field, true);
        let part = Part { want, at: At::Whole, kind: PartKind::Page(page.clone()) };
        self.pieces.push((piece, vec![part]));
    }

    fn account_list(&mut self, want: usize, page: &PageWant) {
        let piece = match page.list.name {
            REPOSITORIES => documents::own_repositories(page.cursor.as_deref()),
            SEARCH => documents::search(&page.filter, page.cursor.as_deref()),
            _ => return self.refuse(want, "GitHub has no such list"),
        };
        let part = Part { want, at: At::Whole, kind: PartKind::Page(page.clone()) };
        self.pieces.push((piece, vec![part]));
    }

    fn lookup(
        &mut self,
        (want, emails): (usize, bool),
        lookup: &Lookup,
        asks: &BTreeSet<&'static str>,
        lists: &[(&'static str, Filter)],
    ) {
        let Some(by) = by(lookup) else { return self.refuse(want, "GitHub has no such look-up") };
        let selected = match lookup.type_name {
            USER => person_selection(lookup.name == "viewer", emails),
            type_name => selection(type_name, |key| asks.contains(key.name)),
        };
        let (mut fields, mut in_call, mut over_rest): (Vec<ListField>, _, _) = (Vec::new(), Vec::new(), Vec::new());
        for (list, filter) in lists {
            match list_field(list, filter, &in_call.len().to_string(), None) {
                Some(field) => {
                    fields.push(field);
                    in_call.push((*list, filter.clone()));
                }
                None => over_rest.push((*list, filter.clone())),
            }
        }
        let at = if matches!(by, documents::Lookup::Numbered { .. }) { At::Inner } else { At::Whole };
        // https://docs.github.com/en/graphql/reference/queries#repositoryowner
        let null_is_absent = matches!(by, documents::Lookup::User { .. });
        let part = Part { want, at, kind: PartKind::Lookup { lists: in_call, over_rest, null_is_absent } };
        self.pieces.push((documents::lookup(&by, &selected, fields), vec![part]));
    }

    /// Asks for the names that REST needs, in the same call as everything else.
    fn names(&mut self, known: impl Fn(&NodeRef) -> bool) {
        let (mut repositories, mut runs) = (BTreeSet::new(), BTreeSet::new());
        for (_, want) in &self.rest {
            match want {
                RestWant::Runs(page) => repositories.extend(page.list.parent.iter().filter(|parent| !known(parent))),
                RestWant::Run(run) => drop(runs.insert(run)),
            }
        }
        let ids = |nodes: &BTreeSet<&NodeRef>| -> Vec<String> {
            nodes.iter().map(|node| node.native_id.to_string()).collect()
        };
        let (repositories, runs) = (ids(&repositories), ids(&runs));
        for (ids, piece) in [
            (repositories, documents::repository_names as fn(&[&str]) -> Piece),
            (runs, documents::run_numbers as fn(&[&str]) -> Piece),
        ] {
            for chunk in ids.chunks(IDS) {
                let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
                self.pieces.push((piece(&chunk), Vec::new()));
            }
        }
    }
}

fn by(lookup: &Lookup) -> Option<documents::Lookup<'_>> {
    let argument = |name: &str| lookup.arguments.get(name).map(String::as_str);
    let numbered = |field| {
        // The repository comes as a native id, or as the reference that bodies hold.
        let repository = argument("repository")?;
        let repository = repository.strip_prefix(REPOSITORY).and_then(|id| id.strip_prefix(':')).unwrap_or(repository);
        Some(documents::Lookup::Numbered { repository, field, number: argument("number")?.parse().ok()? })
    };
    match (lookup.name, lookup.type_name) {
        ("viewer", USER) => Some(documents::Lookup::Viewer),
        ("user", USER) => Some(documents::Lookup::User { login: argument("login")? }),
        ("repository", REPOSITORY) => {
            Some(documents::Lookup::Repository { owner: argument("owner")?, name: argument("name")? })
        }
        ("issue", ISSUE) => numbered("issue"),
        ("pullRequest", PULL_REQUEST) => numbered("pullRequest"),
        _ => None,
    }
}
