//! The configuration: defaults, then `mullion.toml`, then the environment; read once, checked before anything starts.

pub mod cache;
pub mod database;
pub mod limits;
pub mod live;
pub mod persisted;
pub mod reconcile;
pub mod replicas;
pub mod sandbox;
pub mod section;
pub mod security;
pub mod server;
pub mod table;
pub mod telemetry;
pub mod upstream;
pub mod webhooks;

mod environment;
mod validate;

use std::path::Path;

use serde::{Deserialize, Serialize};

use self::section::SectionDoc;
pub use self::{
    cache::Cache, database::Database, limits::Limits, live::Live, persisted::Persisted, reconcile::Reconcile,
    replicas::Replicas, sandbox::Sandbox, security::Security, server::Server, telemetry::Telemetry, upstream::Upstream,
    validate::Mode, validate::encryption_key, webhooks::Webhooks,
};

/// Everything that can be set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[database]`
    pub database: Database,
    /// `[security]`
    pub security: Security,
    /// `[limits]`
    pub limits: Limits,
    /// `[live]`
    pub live: Live,
    /// `[webhooks]`
    pub webhooks: Webhooks,
    /// `[reconcile]`
    pub reconcile: Reconcile,
    /// `[upstream]`
    pub upstream: Upstream,
    /// `[cache]`
    pub cache: Cache,
    /// `[persisted]`
    pub persisted: Persisted,
    /// `[replicas]`
    pub replicas: Replicas,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// `[sandbox]`
    pub sandbox: Sandbox,
}

/// A setting that cannot be used; the message says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

impl Config {
    /// Reads the file, if one is named, then the environment over it.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table = match file {
            Some(path) => read(path)?,
            None => toml::Table::new(),
        };
        environment::apply(&mut table, environment)?;
        table.try_into().map_err(|error: toml::de::Error| {
            ConfigError(format!("the configuration cannot be used: {}", error.message().trim()))
        })
    }

    /// All sections with their options, in the order of the documentation.
    pub(crate) fn sections() -> Vec<SectionDoc> {
        vec![
            Server::describe(),
            Database::describe(),
            Security::describe(),
            Limits::describe(),
            Live::describe(),
            Webhooks::describe(),
            Reconcile::describe(),
            Upstream::describe(),
            Cache::describe(),
            Persisted::describe(),
            Replicas::describe(),
            Telemetry::describe(),
            Sandbox::describe(),
        ]
    }
}

fn read(path: &Path) -> Result<toml::Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("{} cannot be read: {error}", path.display())))?;
    // Parsed once as the configuration itself, so that an unknown name is reported with its line.
    toml::from_str::<Config>(&text).map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| ConfigError(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests;
