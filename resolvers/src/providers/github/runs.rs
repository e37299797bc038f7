//! Workflow runs: GraphQL lacks most of them, so they are read over REST, with ETags.

use futures::future::join_all;
use serde_json::Value;

use super::{
    client,
    names::WORKFLOW_RUN,
    rest,
    values::{list, object, time},
};
use crate::{
    provider::{Fetched, FetchedPage, NodeRef, PageWant, change::NodeWrite},
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// So many runs are read one by one; of more, pages are read first.
const FEW: usize = 2;

/// A run that is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Which of the wants it is.
    pub(super) index: usize,
    pub(super) run: NodeRef,
    /// Its number at GitHub.
    pub(super) number: i64,
}

/// Splits `owner/name`.
pub(super) fn split(name: &str) -> Result<(&str, &str), UpstreamError> {
    let malformed = || UpstreamError::new(UpstreamErrorKind::NotFound, "GitHub does not know the repository");
    name.split_once('/').ok_or_else(malformed)
}

/// A page of the runs of a repository. The cursor is GitHub's page number.
pub(super) async fn page(api: &Connection, repository: &str, want: PageWant) -> Result<Fetched, UpstreamError> {
    let first = |argument: &str| want.filter.get(argument).and_then(|values| values.first());
    let conclusion = first("conclusion").map(|conclusion| conclusion.to_ascii_lowercase());
    let mut query = vec![("per_page", "100")];
    query.extend(first("branch").map(|branch| ("branch", branch.as_str())));
    query.extend(conclusion.as_deref().map(|conclusion| ("status", conclusion)));
    query.extend(want.cursor.as_deref().map(|page| ("page", page)));
    let (answer, next) = listed(api, repository, &query).await?;
    let runs = list(&answer, "workflow_runs");
    let broken = || UpstreamError::new(UpstreamErrorKind::Down, "GitHub's answer has a broken list of runs");
    let items: Option<Vec<NodeRef>> = runs.iter().map(item).collect();
    if next.is_some() && next == want.cursor {
        return Err(broken()); // it would go on forever
    }
    let least = i64::try_from(runs.len()).unwrap_or(i64::MAX);
    let total = answer.get("total_count").and_then(Value::as_i64).filter(|total| *total >= least);
    let page = FetchedPage { items: items.ok_or_else(broken)?, next, total, want };
    let mut writes = rest::people(&answer);
    writes.extend(runs.iter().filter_map(|run| rest::workflow_run(run, None)));
    Ok(Fetched { found: None, writes, pages: vec![page], ..Fetched::default() })
}

/// The run that an item is; `None`: it lacks what it takes to know it again, or to place it in the list.
fn item(run: &Value) -> Option<NodeRef> {
    time(run, "created_at").and(object(run, "repository"))?;
    rest::node(WORKFLOW_RUN, run)
}

/// A page of a repository's runs, and where the next one is.
async fn listed(
    api: &Connection,
    repository: &str,
    query: &[(&str, &str)],
) -> Result<(Value, Option<String>), UpstreamError> {
    let (owner, name) = split(repository)?;
    let request = client::get(api, &["repos", owner, name, "actions", "runs"], query)?.revalidate();
    let response = client::rest(api, request).await?;
    let answer: Value = client::parse(&response.body)?;
    if !answer.get("workflow_runs").is_some_and(Value::is_array) {
        return Err(UpstreamError::new(UpstreamErrorKind::Down, "GitHub's answer has no runs"));
    }
    Ok((answer, client::next(&response.headers, "page")))
}

/// Several runs of a repository. Those that a page of the newest brings take no call of their own; it is gone on to the next page
/// while that is worth it. So what a dashboard shows is read again with a call or two, and not with one for each run.
pub(super) async fn several(
    api: &Connection,
    repository: &str,
    mut wanted: Vec<Wanted>,
) -> Vec<(usize, Result<Fetched, UpstreamError>)> {
    let mut outcomes = Vec::with_capacity(wanted.len());
    let mut next: Option<String> = None;
    while wanted.len() > FEW {
        let mut query = vec![("per_page", "100")];
        query.extend(next.as_deref().map(|page| ("page", page)));
        let (answer, further) = match listed(api, repository, &query).await {
            Ok(listed) => listed,
            Err(error) => {
                outcomes.extend(wanted.into_iter().map(|wanted| (wanted.index, Err(error.clone()))));
                return outcomes;
            }
        };
        let before = wanted.len();
        for run in list(&answer, "workflow_runs") {
            let number = run.get("id").and_then(Value::as_i64);
            for Wanted { index, run: node, .. } in wanted.extract_if(.., |wanted| Some(wanted.number) == number) {
                outcomes.push((index, Ok(found(run, node))));
            }
        }
        next = further.filter(|_| before - wanted.len() > FEW);
        if next.is_none() {
            break;
        }
    }
    let rest = wanted
        .into_iter()
        .map(async |Wanted { index, run: node, number }| (index, run(api, repository, number, node).await));
    outcomes.extend(join_all(rest).await);
    outcomes
}

/// One run.
async fn run(api: &Connection, repository: &str, number: i64, node: NodeRef) -> Result<Fetched, UpstreamError> {
    let (owner, name) = split(repository)?;
    let request = client::get(api, &["repos", owner, name, "actions", "runs", &number.to_string()], &[])?.revalidate();
    let response = match client::rest(api, request).await {
        Err(error) if error.kind == UpstreamErrorKind::NotFound => return Ok(Fetched::default()),
        response => response?,
    };
    let run: Value = client::parse(&response.body)?;
    if rest::node(WORKFLOW_RUN, &run).is_none() {
        return Err(UpstreamError::new(UpstreamErrorKind::Down, "GitHub's answer is no run"));
    }
    Ok(found(&run, node))
}

fn found(run: &Value, node: NodeRef) -> Fetched {
    let mut writes = rest::people(run);
    writes.extend(rest::workflow_run(run, None).map(|write| NodeWrite { node: node.clone(), ..write }));
    Fetched { found: Some(node), writes, ..Fetched::default() }
}
