//! The operations on a seeded Mullion, and signed deliveries that change what they show.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    http::{self, Request},
    program::Program,
    socket::{Operation, Socket, source},
    watch,
};

const SECRET: &[u8] = b"mullion-dev-secret";
/// Where deliveries go; the limit has the same path.
pub(crate) const WEBHOOK: &str = "/webhooks/github/github-dev";
/// Where sockets go.
pub(crate) const GRAPHQL: &str = "/graphql";
/// A frame of the widget shall be at least so long.
const FRAME: usize = 2_000;

/// The seeded dashboard's widgets and an issue on the first page of one of them.
pub(crate) struct Target {
    /// Shows issues; each edit of the subject touches it.
    pub(crate) issues: String,
    /// Shows pull requests; no edit of an issue touches it.
    pub(crate) pulls: String,
    /// Things on a page, so that a frame has about 2 KB.
    pub(crate) page: usize,
    pub(crate) subject: Subject,
}

impl Target {
    pub(crate) async fn find(program: &Program) -> anyhow::Result<Self> {
        let address = program.address;
        let answer = query(address, r#"{ dashboard(slug: "team") { widgets { id __typename } } }"#).await?;
        let widget = |kind: &str| {
            let widgets = answer.pointer("/data/dashboard/widgets")?.as_array()?;
            let found = widgets.iter().find(|widget| widget.get("__typename").is_some_and(|name| name == kind))?;
            Some(found.get("id")?.as_str()?.to_owned())
        };
        let issues = widget("WorkItemsWidget").context("no widget shows issues")?;
        let pulls = widget("PullRequestsWidget").context("no widget shows pull requests")?;
        for page in 1..=20 {
            let mut socket = Socket::open(address, source(0), GRAPHQL).await?;
            let frame = socket.subscribe(&widget_operation(&issues, page)).await?.context("no frame")?;
            let items: Value = serde_json::from_str(&frame)?;
            let nodes = items.pointer("/payload/data/widgetUpdated/widget/items/nodes").and_then(Value::as_array);
            let issue =
                nodes.into_iter().flatten().find(|node| node.get("__typename").is_some_and(|n| n == "GithubIssue"));
            if let Some(key) = issue.and_then(|issue| issue.get("key")?.as_str()).filter(|_| frame.len() >= FRAME) {
                let subject = Subject::read(program.sandbox, key).await?;
                return Ok(Self { issues, pulls, page, subject });
            }
        }
        bail!("no page of the widget is long enough and shows an issue of GitHub")
    }

    /// The widget subscription that all sockets share.
    pub(crate) fn operation(&self) -> Operation {
        widget_operation(&self.issues, self.page)
    }

    /// One of many operations that no two numbers share: a selection with a name of its own, and pages of two lengths. `touched`
    /// says whether it shows the issues.
    pub(crate) fn distinct(&self, number: usize, touched: bool) -> Operation {
        let own = format!("own{number}: title");
        let (id, list) = if touched {
            (&self.issues, format!("... on WorkItemsWidget {{ items(first: $first) {{ nodes {{ id {own} }} }} }}"))
        } else {
            (
                &self.pulls,
                format!("... on PullRequestsWidget {{ pullRequests(first: $first) {{ nodes {{ id {own} }} }} }}"),
            )
        };
        operation(&list, id, self.page + number % 2)
    }
}

/// A widget with everything that a wall shows of an issue.
fn widget_operation(id: &str, page: usize) -> Operation {
    let list =
        "... on WorkItemsWidget { items(first: $first) { totalCount nodes { id __typename key title stateName } } }";
    operation(list, id, page)
}

fn operation(list: &str, id: &str, page: usize) -> Operation {
    let query = format!(
        "subscription Load($id: ID!, $first: Int) {{ widgetUpdated(id: $id, throttleMs: 0) \
         {{ reason cursor widget {{ id title state {list} }} }} }}"
    );
    Operation { query, variables: json!({ "id": id, "first": page }), snapshot: true }
}

/// All activities, no more of each than its line.
pub(crate) fn activity() -> Operation {
    let query = "subscription { activity { summary } }".to_owned();
    Operation { query, variables: json!({}), snapshot: false }
}

async fn query(address: SocketAddr, document: &str) -> anyhow::Result<Value> {
    let request = Request::post(GRAPHQL, json!({ "query": document }).to_string());
    Ok(serde_json::from_slice(&http::ask(address, &request).await?)?)
}

/// An issue as the provider's API and its payloads show it, and its repository.
pub(crate) struct Subject {
    payload: Value,
}

impl Subject {
    /// From the stand-in; `key` is like `acme/web#12`.
    async fn read(sandbox: SocketAddr, key: &str) -> anyhow::Result<Self> {
        let (repository, number) = key.split_once('#').context("a key without a number")?;
        let read = async |path: String| -> anyhow::Result<Value> {
            Ok(serde_json::from_slice(&http::ask(sandbox, &Request::get(&path)).await?)?)
        };
        let issue = read(format!("/github/repos/{repository}/issues/{number}")).await?;
        let repository = read(format!("/github/repos/{repository}")).await?;
        let sender = issue.get("user").cloned();
        Ok(Self {
            payload: json!({
                "action": "edited", "issue": issue, "changes": { "title": { "from": "" } },
                "repository": repository, "sender": sender
            }),
        })
    }

    /// From an example payload, made into issue `number` of its repository.
    pub(crate) fn from_example(mut payload: Value, number: u64) -> Self {
        if let Some(issue) = payload.get_mut("issue").and_then(Value::as_object_mut) {
            let url = format!("https://github.com/Codertocat/Hello-World/issues/{number}");
            issue.insert("id".into(), json!(900_000_000 + number));
            issue.insert("node_id".into(), json!(format!("I_load_{number}")));
            issue.insert("number".into(), json!(number));
            issue.insert("html_url".into(), json!(url));
        }
        Self { payload }
    }

    /// Delivery `number`: somebody gives the issue a title. Each edit is 10 ms younger than the one before (the provider tells whole
    /// seconds): versions minutes ahead of the clock are not believed.
    pub(crate) fn edit(&mut self, number: u64) -> anyhow::Result<Request> {
        let issue = self.payload.get_mut("issue").and_then(Value::as_object_mut).context("no issue")?;
        let before = issue.insert("title".into(), watch::title(number).into());
        let at = issue.get("updated_at").and_then(Value::as_str).context("no updated_at")?;
        let at = DateTime::parse_from_rfc3339(at)?.to_utc() + TimeDelta::milliseconds(10);
        issue.insert("updated_at".into(), at.to_rfc3339_opts(SecondsFormat::Millis, true).into());
        if let Some(from) = self.payload.pointer_mut("/changes/title/from") {
            *from = before.unwrap_or_default();
        }
        Ok(signed("issues", &format!("load-{number}"), self.payload.to_string().into()))
    }
}

/// A signed delivery of the provider.
pub(crate) fn signed(event: &str, id: &str, body: Bytes) -> Request {
    // Keys of any length are taken.
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).map(|mac| mac.chain_update(&body).finalize().into_bytes());
    let signature = mac.map(hex::encode).unwrap_or_default();
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", "GitHub-Hookshot/load"),
        ("x-github-event", event),
        ("x-github-delivery", id),
        ("x-hub-signature-256", &format!("sha256={signature}")),
    ];
    Request::new("POST", WEBHOOK, &headers, body)
}
