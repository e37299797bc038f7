//! The account that a token belongs to, and the workspace in which it acts.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Slack, client, names::USER, normalize::Workspace, values::text};
use crate::{
    provider::{Account, NodeRef},
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// The workspace of an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) team: String,
    pub(super) name: String,
    /// `https://acme.slack.com/`.
    pub(super) url: String,
}

impl Home {
    pub(super) fn workspace(&self) -> Workspace<'_> {
        Workspace { team: &self.team, site: Some(self.url.as_str()).filter(|url| !url.is_empty()) }
    }

    /// `acme` of `https://acme.slack.com/`.
    pub(super) fn domain(&self) -> Option<String> {
        let url = url::Url::parse(&self.url).ok()?;
        url.host_str()?.split('.').next().map(str::to_owned)
    }

    fn of_facts(facts: &Map<String, Value>) -> Option<Self> {
        let fact = |key| facts.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Self { team: fact("team_id")?, name: fact("team").unwrap_or_default(), url: fact("url")? })
    }

    fn of_answer(answer: &Value) -> Result<Self, UpstreamError> {
        let missing = || UpstreamError::new(UpstreamErrorKind::Down, "auth.test did not tell the workspace");
        let read = |key| text(answer, key).unwrap_or_default().to_owned();
        let team = text(answer, "team_id").ok_or_else(missing)?.to_owned();
        Ok(Self { team, name: read("team"), url: read("url") })
    }
}

/// Asks who the token belongs to.
pub(super) async fn identify(api: &Connection) -> Result<Account, UpstreamError> {
    let (answer, headers) = client::call_for_headers(api, "auth.test", &[]).await?;
    let home = Home::of_answer(&answer)?;
    let scopes = headers.get("x-oauth-scopes").and_then(|scopes| scopes.to_str().ok()).unwrap_or_default();
    let scopes = scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty());
    let mut facts = Map::new();
    let told = [
        ("team_id", Some(home.team.clone())),
        ("team", Some(home.name.clone())),
        ("url", Some(home.url.clone())),
        ("domain", home.domain()),
        ("user_id", text(&answer, "user_id").map(str::to_owned)),
        ("bot_id", text(&answer, "bot_id").map(str::to_owned)),
        ("enterprise_id", text(&answer, "enterprise_id").map(str::to_owned)),
    ];
    for (name, fact) in told {
        if let Some(fact) = fact.filter(|fact| !fact.is_empty()) {
            facts.insert(name.to_owned(), fact.into());
        }
    }
    Ok(Account {
        name: home.name,
        scopes: scopes.map(str::to_owned).collect(),
        user: text(&answer, "user_id").map(|id| NodeRef::new(USER, id)),
        facts,
    })
}

/// The integration's workspace: from its facts, or asked once.
pub(super) async fn home(slack: &Slack, api: &Connection) -> Result<Arc<Home>, UpstreamError> {
    if let Some(home) = Home::of_facts(&api.facts) {
        return Ok(Arc::new(home));
    }
    if let Some(home) = slack.homes.get(&api.integration) {
        return Ok(home);
    }
    let home = Arc::new(Home::of_answer(&client::call(api, "auth.test", &[]).await?)?);
    slack.homes.insert(api.integration.clone(), Arc::clone(&home));
    Ok(home)
}
