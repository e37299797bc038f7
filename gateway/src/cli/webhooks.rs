//! `mullion webhooks`: what came in, what became of it, and its replay. Works on the database, whether a server runs or not.

use std::sync::Arc;

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use clap::{Args, Subcommand, ValueEnum, builder::PossibleValuesParser};
use mullion_resolvers::{
    clock::SystemClock,
    store::{
        Database,
        inbox::{
            APPLIED, IGNORED, PARKED, RECEIVED,
            list::{DeliveryFilter, DeliveryInfo},
        },
    },
};
use mullion_schema::{id::GlobalId, providers::PROVIDERS};
use serde_json::json;

use super::Source;
use crate::database;

/// Lists, shows and replays webhook deliveries.
#[derive(Debug, Args)]
pub(super) struct Webhooks {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List deliveries, newest first
    #[command(after_help = "Examples:\n  mullion webhooks list --state parked\n  \
        mullion webhooks list --data /tmp/try --after 2026-11-22T10:00:00Z")]
    List {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        filter: Box<Filter>,
        /// Print a JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show a delivery with its error; never its body or headers, which may hold secrets
    Show {
        #[command(flatten)]
        source: Source,
        /// The delivery's id, as `list` or the graph shows it
        id: String,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Put a delivery back to those that wait, with all its tries; a running server takes it up within a second
    #[command(after_help = "Example:\n  mullion webhooks replay 01J9ZQ…   (the id that `mullion webhooks list` shows)")]
    Replay {
        #[command(flatten)]
        source: Source,
        /// The delivery's id, as `list` or the graph shows it
        id: String,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Filter {
    /// Only this tenant's
    #[arg(long)]
    tenant: Option<String>,
    /// Only of this provider
    #[arg(long, value_parser = PossibleValuesParser::new(PROVIDERS.iter().map(|provider| provider.key)))]
    provider: Option<String>,
    /// Only of this integration, by its id in the graph or its row's
    #[arg(long)]
    integration: Option<String>,
    /// Only in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only of this event: issues.closed, or issues for all that begin so
    #[arg(long)]
    event: Option<String>,
    /// Only what came in at this time or later: 2026-11-22T10:00:00Z, or 2026-11-22
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    after: Option<DateTime<Utc>>,
    /// Only what came in before this time
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    before: Option<DateTime<Utc>>,
    /// How many
    #[arg(long, default_value_t = 50)]
    limit: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// Waits to be applied
    Received,
    /// Is applied
    Applied,
    /// Knowingly not used
    Ignored,
    /// Given up after too many tries
    Parked,
}

impl Webhooks {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List { source, filter, json } => {
                let database = open(&source).await?;
                let limit = filter.limit;
                let filter = DeliveryFilter::from(filter);
                let found = database.deliveries(&filter, None, limit).await?;
                if found.is_empty() {
                    crate::terminal::note(&why_nothing(&database, &filter).await?);
                }
                for info in found {
                    crate::terminal::print(&if json { object(&info) } else { line(&info) });
                }
            }
            Command::Show { source, id, json } => {
                let info = found(&open(&source).await?, &id).await?;
                crate::terminal::print(&if json { object(&info) } else { paragraph(&info) });
            }
            Command::Replay { source, id, json } => {
                let database = open(&source).await?;
                let info = found(&database, &id).await?;
                let info = database.replay_delivery(&info.tenant, &info.id).await?;
                crate::terminal::print(&if json { object(&info) } else { replayed(&info) });
            }
        }
        Ok(())
    }
}

impl From<Box<Filter>> for DeliveryFilter {
    fn from(filter: Box<Filter>) -> Self {
        let state = filter.state.map(|state| match state {
            State::Received => RECEIVED,
            State::Applied => APPLIED,
            State::Ignored => IGNORED,
            State::Parked => PARKED,
        });
        Self {
            tenant: filter.tenant.map(Into::into),
            integrations: filter.integration.map(|id| vec![row_id(&id).into()]),
            providers: filter.provider.map(|provider| vec![provider]),
            states: state.map(|state| vec![state.to_owned()]),
            events: filter.event.map(|event| vec![event]),
            received_after: filter.after,
            received_before: filter.before,
        }
    }
}

async fn open(source: &Source) -> anyhow::Result<Database> {
    let config = source.load()?;
    if source.data.is_some() && config.database.url.is_some() {
        bail!(
            "--data names a folder, and database.url (MULLION_DATABASE_URL or DATABASE_URL) another database: leave one out"
        );
    }
    database::open_existing(&config, Arc::new(SystemClock)).await
}

/// A time with its zone, or a day.
fn read_time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let time = text.parse::<DateTime<Utc>>().ok();
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    time.or_else(day).ok_or(
        "expected a time with its zone, as 2026-11-22T10:00:00Z, or a day, as 2026-11-22 (which begins at 00:00 UTC)",
    )
}

/// The message where nothing is listed. A tenant or integration that a filter names and that is not there is an error; its
/// deliveries may outlive it, so it is looked for only then.
async fn why_nothing(database: &Database, filter: &DeliveryFilter) -> anyhow::Result<String> {
    let mut tenants = database.tenants().await?;
    if let Some(tenant) = &filter.tenant {
        tenants.retain(|known| known.id == *tenant);
        if tenants.is_empty() {
            bail!("there is no tenant {tenant}; `mullion key list` shows those that have keys");
        }
    }
    for integration in filter.integrations.iter().flatten() {
        let mut known = false;
        for tenant in &tenants {
            known |= database.integration(&tenant.id, integration).await?.is_some();
        }
        if !known {
            bail!(
                "there is no integration {integration}; the query {{ integrations {{ nodes {{ id name }} }} }} lists them"
            );
        }
    }
    let all = *filter == DeliveryFilter::default();
    Ok(if all { "there is no delivery: none came in, or none is kept any more" } else { "no delivery matches" }
        .to_owned())
}

fn replayed(info: &DeliveryInfo) -> String {
    let id = &info.id;
    format!(
        "it waits again: a running server takes it within a second; `mullion webhooks show {id}` tells what became of it"
    )
}

async fn found(database: &Database, id: &str) -> anyhow::Result<DeliveryInfo> {
    let info = database.delivery(None, &row_id(id)).await.context("the delivery cannot be read")?;
    let Some(info) = info else { bail!("there is no delivery {id}; `mullion webhooks list` shows them") };
    Ok(info)
}

/// The id of a row, also where it comes out of the graph.
fn row_id(id: &str) -> String {
    match GlobalId::decode(id) {
        Ok(GlobalId::Own { id, .. }) => id,
        _ => id.to_owned(),
    }
}

fn state(info: &DeliveryInfo) -> &str {
    if info.state == PARKED { "parked" } else { &info.state }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn line(info: &DeliveryInfo) -> String {
    let error = info.error.as_deref().unwrap_or_default();
    let line = format!(
        "{}  {}  {}  {}  {}  {}  by {}  tried {}  {} bytes  {error}",
        info.id,
        time(info.received_at),
        info.tenant,
        info.provider,
        info.event,
        state(info),
        info.source.as_str(),
        info.attempts,
        info.size
    );
    line.trim_end().replace(['\n', '\r'], " ")
}

fn paragraph(info: &DeliveryInfo) -> String {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        ("id", info.id.clone()),
        ("tenant", info.tenant.to_string()),
        ("provider", info.provider.clone()),
        ("integration", info.integration.to_string()),
        ("event", info.event.clone()),
        ("delivery id", or_none(info.delivery_id.clone())),
        ("came by", info.source.as_str().to_owned()),
        ("state", state(info).to_owned()),
        ("attempts", info.attempts.to_string()),
        ("received", time(info.received_at)),
        ("settled", or_none(info.settled_at.map(time))),
        ("next attempt", or_none(info.next_attempt_at.map(time))),
        ("size", format!("{} bytes", info.size)),
        ("error", or_none(info.error.clone())),
    ]
    .map(|(name, value)| format!("{name:<13} {value}"))
    .join("\n")
}

fn object(info: &DeliveryInfo) -> String {
    json!({
        "id": info.id,
        "tenant": info.tenant.as_str(),
        "provider": info.provider,
        "integration": info.integration.as_str(),
        "event": info.event,
        "deliveryId": info.delivery_id,
        "source": info.source.as_str().to_uppercase(),
        "state": state(info).to_uppercase(),
        "attempts": info.attempts,
        "receivedAt": time(info.received_at),
        "settledAt": info.settled_at.map(time),
        "nextAttemptAt": info.next_attempt_at.map(time),
        "size": info.size,
        "error": info.error,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use mullion_resolvers::store::inbox::DeliverySource;

    use super::{DeliveryInfo, GlobalId, line, object, paragraph, row_id};

    fn info() -> DeliveryInfo {
        DeliveryInfo {
            id: "01J".into(),
            tenant: "acme".into(),
            integration: "i1".into(),
            provider: "github".into(),
            delivery_id: None,
            source: DeliverySource::Log,
            event: "issues.closed".into(),
            state: "failed".into(),
            attempts: 8,
            received_at: DateTime::UNIX_EPOCH,
            settled_at: Some(DateTime::UNIX_EPOCH),
            next_attempt_at: None,
            error: Some("two\nlines".into()),
            size: 12,
        }
    }

    #[test]
    fn a_delivery_is_a_line_a_paragraph_or_an_object() {
        let expected =
            "01J  1970-01-01T00:00:00.000Z  acme  github  issues.closed  parked  by log  tried 8  12 bytes  two lines";
        assert_eq!(line(&info()), expected);
        assert!(paragraph(&info()).contains("state         parked\n"), "{}", paragraph(&info()));
        let object: serde_json::Value = serde_json::from_str(&object(&info())).unwrap();
        assert_eq!((object["state"].as_str(), object["nextAttemptAt"].is_null()), (Some("PARKED"), true));
        assert_eq!(object["source"], "LOG");
    }

    #[test]
    fn an_id_of_the_graph_is_as_good_as_that_of_the_row() {
        let global = GlobalId::own("WebhookDelivery", "01J").encode();
        assert_eq!((row_id(&global).as_str(), row_id("01J").as_str()), ("01J", "01J"));
    }
}
