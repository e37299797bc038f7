//! Fetches all that is wanted in one tick: the plan's GraphQL calls at once, then what only REST has.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{join, join_all};
use mullion_schema::ports::Filter;

use super::{
    Github,
    answers::{self, Reading},
    client,
    documents::{self, Piece},
    normalize::repository_names,
    plan::{Part, PartKind, Plan, RestWant},
    runs,
};
use crate::{
    provider::{FetchWant, Fetched, ListRef, NodeRef, PageWant, change::NodeWrite},
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

type Outcome = Result<Fetched, UpstreamError>;

/// Where runs are to be found: `owner/name` and number, by native id.
type RunPlaces = BTreeMap<NodeRef, (String, i64)>;

/// The results of the GraphQL calls of a tick.
#[derive(Default)]
struct Tick {
    outcomes: BTreeMap<usize, Outcome>,
    places: RunPlaces,
    /// The failure of a call that should have told names.
    failed: Option<UpstreamError>,
    /// Ids of repositories and runs of which GitHub says that there is no such thing.
    absent: BTreeSet<String>,
    /// Lists of looked-up nodes that only REST has.
    further: Vec<(usize, Vec<(&'static str, Filter)>)>,
}

impl Tick {
    fn add(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
        self.places.extend(other.places);
        self.absent.extend(other.absent);
        self.further.extend(other.further);
        self.failed = self.failed.take().or(other.failed);
    }
}

pub(super) async fn fetch(github: &Github, api: &Connection, wants: Vec<FetchWant>) -> Vec<Outcome> {
    let emails = may_read_emails(&api.scopes);
    let plan = Plan::of(&wants, emails, |repository| github.known_name(api, repository).is_some());
    let Plan { pieces, rest, refused } = plan;
    let reading = Reading { asked_at: api.clock.now(), emails };
    let mut tick = Tick::default();
    tick.outcomes.extend(refused.into_iter().map(|(want, error)| (want, Err(error))));
    let calls = documents::batches(pieces).into_iter().map(|batch| call(github, api, batch, reading));
    join_all(calls).await.into_iter().for_each(|done| tick.add(done));
    over_rest(github, api, rest, &mut tick).await;
    further_lists(github, api, &mut tick).await;
    let lost = || UpstreamError::new(UpstreamErrorKind::Down, "GitHub's answer lacks this part");
    (0..wants.len()).map(|want| tick.outcomes.remove(&want).unwrap_or_else(|| Err(lost()))).collect()
}

/// Only with one of these scopes: without, asking for an address fails the query.
pub(super) fn may_read_emails(scopes: &[String]) -> bool {
    scopes.iter().any(|scope| matches!(scope.as_str(), "user" | "user:email" | "read:user"))
}

/// Makes the call of a batch. GitHub refuses a document whole, also for one selection that it does not know (an older GitHub Enterprise
/// Server). So a batch that is refused is asked for again in halves, until only the piece at fault is refused.
async fn call(github: &Github, api: &Connection, mut batch: Vec<(Piece, Vec<Part>)>, reading: Reading) -> Tick {
    let (document, variables) = documents::assemble(batch.iter().map(|(piece, _)| piece));
    let mut tick = Tick::default();
    let answer = match client::graphql(api, &document, variables).await {
        Ok(answer) => answers::pruned(answer),
        Err(error) if error.kind == UpstreamErrorKind::Rejected && batch.len() > 1 => {
            let rest = batch.split_off(batch.len() / 2);
            let halves =
                join(Box::pin(call(github, api, batch, reading)), Box::pin(call(github, api, rest, reading))).await;
            tick.add(halves.0);
            tick.add(halves.1);
            return tick;
        }
        Err(error) => {
            let parts = batch.into_iter().flat_map(|(_, parts)| parts);
            tick.outcomes.extend(parts.map(|part| (part.want, Err(error.clone()))));
            tick.failed = Some(error);
            return tick;
        }
    };
    let mut any_good = false;
    for (index, (piece, parts)) in batch.into_iter().enumerate() {
        let alias = documents::alias(index);
        if parts.is_empty() {
            let absent = piece.ids().enumerate().filter(|(item, _)| answers::is_absent(&answer, &alias, *item));
            tick.absent.extend(absent.map(|(_, id)| id.to_owned()));
            tick.failed = tick.failed.or_else(|| answers::failure(&answer, &alias));
            github.learn_names(api, &answers::writes(&answer, &alias, reading));
            tick.places
                .extend(answers::runs(&answer, &alias).into_iter().map(|(run, name, number)| (run, (name, number))));
        }
        for part in parts {
            let outcome = answers::fetched(&answer, &alias, &part, reading);
            any_good |= outcome.as_ref().map_or_else(|error| error.kind == UpstreamErrorKind::NotFound, is_good);
            if let Ok(fetched) = &outcome {
                github.learn_names(api, &fetched.writes);
            }
            if let PartKind::Lookup { over_rest, .. } = part.kind
                && !over_rest.is_empty()
            {
                tick.further.push((part.want, over_rest));
            }
            tick.outcomes.insert(part.want, outcome);
        }
    }
    let mut failures = tick.outcomes.values().filter_map(|outcome| match outcome {
        Ok(fetched) => fetched.failure.as_ref().or(fetched.refused.as_ref()),
        Err(error) => Some(error),
    });
    if let Some(error) = failures.next().or(tick.failed.as_ref()).filter(|_| !any_good) {
        api.transport.failed(error);
    }
    tick
}

/// Whether an outcome shows that GitHub answers: it did not fail, and not all that it is about was refused.
fn is_good(fetched: &Fetched) -> bool {
    let brings = || fetched.found.is_some() || fetched.pages.iter().any(|page| !page.items.is_empty());
    fetched.failure.is_none() && (fetched.refused.is_none() || brings())
}

async fn over_rest(github: &Github, api: &Connection, wants: Vec<(usize, RestWant)>, tick: &mut Tick) {
    let unsaid = || UpstreamError::new(UpstreamErrorKind::Down, "GitHub's answer lacks a part without saying why");
    let unknown = |repository: Option<&NodeRef>| match repository {
        Some(repository) if tick.absent.contains(&*repository.native_id) => {
            UpstreamError::new(UpstreamErrorKind::NotFound, "GitHub does not know the repository")
        }
        _ => tick.failed.clone().unwrap_or_else(unsaid),
    };
    let mut pages = Vec::new();
    let mut singles: BTreeMap<&str, Vec<runs::Wanted>> = BTreeMap::new();
    let mut lost = Vec::new();
    for (index, want) in wants {
        match want {
            RestWant::Runs(page) => pages.push((index, page)),
            RestWant::Run(run) => match tick.places.get(&run) {
                Some((name, number)) => {
                    singles.entry(name).or_default().push(runs::Wanted { index, run, number: *number });
                }
                None if tick.absent.contains(&*run.native_id) => lost.push((index, Ok(Fetched::default()))),
                None => lost.push((index, Err(tick.failed.clone().unwrap_or_else(unsaid)))),
            },
        }
    }
    let pages = pages.into_iter().map(async |(index, page)| {
        let name = page.list.parent.as_ref().and_then(|parent| github.known_name(api, parent));
        let outcome = match name {
            Some(name) => runs::page(api, &name, page).await,
            None => Err(unknown(page.list.parent.as_ref())),
        };
        (index, outcome)
    });
    let singles = singles.into_iter().map(|(name, wanted)| runs::several(api, name, wanted));
    let (pages, singles) = join(join_all(pages), join_all(singles)).await;
    tick.outcomes.extend(pages.into_iter().chain(singles.into_iter().flatten()).chain(lost));
}

/// First pages of lists that a look-up asked along and that GraphQL lacks. They may fail without the look-up failing: the engine
/// asks for them again on their own.
async fn further_lists(github: &Github, api: &Connection, tick: &mut Tick) {
    for (want, lists) in std::mem::take(&mut tick.further) {
        let Some(Ok(fetched)) = tick.outcomes.get_mut(&want) else { continue };
        let Some(found) = fetched.found.clone() else { continue };
        let Some(name) = github.known_name(api, &found) else { continue };
        for (list, filter) in lists {
            if !answers::is_over_rest(list) {
                continue;
            }
            let list = ListRef { parent: Some(found.clone()), name: list };
            if let Ok(page) = runs::page(api, &name, PageWant { list, filter, cursor: None }).await {
                fetched.writes.extend(page.writes);
                fetched.pages.extend(page.pages);
            }
        }
    }
}

impl Github {
    /// `owner/name` of a repository, where it was seen.
    pub(super) fn known_name(&self, api: &Connection, repository: &NodeRef) -> Option<std::sync::Arc<str>> {
        self.names.get(&(api.integration.clone(), repository.native_id.clone()))
    }

    fn learn_names(&self, api: &Connection, writes: &[NodeWrite]) {
        for (repository, name) in repository_names(writes) {
            self.names.insert((api.integration.clone(), repository.native_id.clone()), name.into());
        }
    }
}
