//! `[telemetry]`: what is logged, and how.

use serde::{Deserialize, Serialize};

use tracing_subscriber::EnvFilter;

use super::{ConfigError, section::section};

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// For machines: one object a line.
    Json,
}

section! {
    /// Logs and traces.
    Telemetry in "telemetry" {
        /// The level of the log: `info`, or by module: `info,mullion_resolvers=debug`.
        log: String = "info,sqlx=warn,sea_orm_migration=warn".to_owned();
        /// `auto` (human on a terminal, JSON otherwise), `human` or `json`.
        format: LogFormat = LogFormat::Auto;
        /// An OpenTelemetry collector that traces are sent to (OTLP over HTTP): `http://collector:4318`. None: there are no traces.
        otlp_endpoint: Option<String> = None;
        /// So many of the traces that begin here are kept, in percent. For its own, a caller's `traceparent` decides.
        otlp_percent: u64 = 100, 1..=100;
    }
}

impl Telemetry {
    /// The filter that `telemetry.log` describes.
    pub fn filter(&self) -> Result<EnvFilter, ConfigError> {
        let text = &self.log;
        EnvFilter::try_new(text).map_err(|error| {
            ConfigError(format!(
                "telemetry.log: {text:?} is no filter ({error}); write it like info,mullion_resolvers=debug"
            ))
        })
    }
}
