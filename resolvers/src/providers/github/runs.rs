//! Workflow runs: GraphQL lacks most of them, so they are read over REST, with ETags.

use http::header::LINK;
use serde_json::Value;

use super::{client, names::WORKFLOW_RUN, rest, values::list};
use crate::{
    change::NodeRef,
    provider::{Fetched, FetchedPage, PageWant},
    upstream::{Connection, UpstreamError, UpstreamErrorKind, UpstreamResponse},
};

/// Splits `owner/name`.
pub(super) fn split(name: &str) -> Result<(&str, &str), UpstreamError> {
    let malformed = || UpstreamError::new(UpstreamErrorKind::NotFound, "GitHub does not know the repository");
    name.split_once('/').ok_or_else(malformed)
}

/// A page of the runs of a repository. The cursor is GitHub's page number.
pub(super) async fn page(api: &Connection, repository: &str, want: PageWant) -> Result<Fetched, UpstreamError> {
    let (owner, name) = split(repository)?;
    let first = |argument: &str| want.filter.get(argument).and_then(|values| values.first());
    let conclusion = first("conclusion").map(|conclusion| conclusion.to_ascii_lowercase());
    let mut query = vec![("per_page", "100")];
    query.extend(first("branch").map(|branch| ("branch", branch.as_str())));
    query.extend(conclusion.as_deref().map(|conclusion| ("status", conclusion)));
    query.extend(want.cursor.as_deref().map(|page| ("page", page)));
    let request = client::get(api, &["repos", owner, name, "actions", "runs"], &query)?.revalidate();
    let response = client::rest(api, request).await?;
    let answer: Value = client::parse(&response.body)?;
    let runs = list(&answer, "workflow_runs");
    let page = FetchedPage {
        items: runs.iter().filter_map(|run| rest::node(WORKFLOW_RUN, run)).collect(),
        next: next_page(&response),
        total: answer.get("total_count").and_then(Value::as_i64),
        want,
    };
    let mut writes = rest::people(&answer);
    writes.extend(runs.iter().filter_map(|run| rest::workflow_run(run, None)));
    Ok(Fetched { found: None, writes, pages: vec![page] })
}

/// One run.
pub(super) async fn run(
    api: &Connection,
    repository: &str,
    number: i64,
    node: NodeRef,
) -> Result<Fetched, UpstreamError> {
    let (owner, name) = split(repository)?;
    let request = client::get(api, &["repos", owner, name, "actions", "runs", &number.to_string()], &[])?.revalidate();
    let response = match client::rest(api, request).await {
        Err(error) if error.kind == UpstreamErrorKind::NotFound => return Ok(Fetched::default()),
        response => response?,
    };
    let answer: Value = client::parse(&response.body)?;
    let mut writes = rest::people(&answer);
    writes.extend(
        rest::workflow_run(&answer, None).map(|write| crate::change::NodeWrite { node: node.clone(), ..write }),
    );
    Ok(Fetched { found: Some(node), writes, pages: Vec::new() })
}

/// The page that `Link: <…page=3>; rel="next"` leads to.
fn next_page(response: &UpstreamResponse) -> Option<String> {
    let links = response.headers.get(LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    let url: url::Url = url.parse().ok()?;
    url.query_pairs().find(|(name, _)| name == "page").map(|(_, page)| page.into_owned())
}
