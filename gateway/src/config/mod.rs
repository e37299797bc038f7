//! The configuration: defaults, then `mullion.toml`, then the environment; read once, checked before anything starts.

pub mod cache;
pub mod database;
pub mod limits;
pub mod live;
pub mod persisted;
pub mod reconcile;
pub mod replicas;
pub mod sandbox;
pub mod secret;
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

use serde::Deserialize;

use self::section::SectionDoc;
pub use self::{
    cache::Cache, database::Database, environment::injected_by_kubernetes, limits::Limits, live::Live,
    persisted::Persisted, reconcile::Reconcile, replicas::Replicas, sandbox::Sandbox, security::Security,
    server::Server, telemetry::Telemetry, upstream::Upstream, validate::Mode, validate::encryption_key,
    webhooks::Webhooks,
};

/// Everything that can be set.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
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
        check_ranges(&table).map_err(ConfigError)?;
        table.clone().try_into().map_err(|error: toml::de::Error| {
            let message = error.message().trim().to_owned();
            ConfigError(unusable(&table).unwrap_or_else(|| format!("the configuration cannot be used: {message}")))
        })
    }

    /// The options that differ, as `section.option`.
    pub(crate) fn differing(&self, other: &Self) -> Vec<&'static str> {
        [
            self.server.differing(&other.server),
            self.database.differing(&other.database),
            self.security.differing(&other.security),
            self.limits.differing(&other.limits),
            self.live.differing(&other.live),
            self.webhooks.differing(&other.webhooks),
            self.reconcile.differing(&other.reconcile),
            self.upstream.differing(&other.upstream),
            self.cache.differing(&other.cache),
            self.persisted.differing(&other.persisted),
            self.replicas.differing(&other.replicas),
            self.telemetry.differing(&other.telemetry),
            self.sandbox.differing(&other.sandbox),
        ]
        .concat()
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

/// Which option cannot be used, and why: the library names a value's place in a file, and not a variable of the environment.
fn unusable(table: &toml::Table) -> Option<String> {
    Config::sections().iter().find_map(|section| {
        let entries = table.get(section.name)?.as_table()?;
        entries.iter().find_map(|(name, value)| {
            let alone = toml::Table::from_iter([(name.clone(), value.clone())]);
            let alone = toml::Table::from_iter([(section.name.to_owned(), toml::Value::Table(alone))]);
            let error = alone.try_into::<Config>().err()?;
            let variable = environment::name_of(section.name, name);
            Some(format!("{}.{name} ({variable}): {}", section.name, error.message().trim()))
        })
    })
}

fn read(path: &Path) -> Result<toml::Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("{} cannot be read: {error}", path.display())))?;
    let refused = |message: &str| ConfigError(format!("{}: {message}", path.display()));
    let table: toml::Table = toml::from_str(&text).map_err(|error| refused(&with_line(&text, &error)))?;
    check_ranges(&table).map_err(|message| refused(&message))?;
    // Parsed once as the configuration itself, so that an unknown name is reported with its line.
    toml::from_str::<Config>(&text).map_err(|error| refused(&with_line(&text, &error)))?;
    Ok(table)
}

/// The error with its line's number. The library's own text repeats the line, which may hold a secret.
fn with_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim();
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map_or_else(|| message.to_owned(), |before| format!("line {}: {message}", before.matches('\n').count() + 1))
}

/// Refuses numbers that are out of their option's range. Types would let most of them pass, and name no option where they do not.
fn check_ranges(table: &toml::Table) -> Result<(), String> {
    for section in Config::sections() {
        let Some(toml::Value::Table(entries)) = table.get(section.name) else { continue };
        for option in section.options {
            if let (Some(toml::Value::Integer(number)), Some(range)) = (entries.get(option.name), option.range)
                && !range.contains(*number)
            {
                let variable = environment::name_of(section.name, option.name);
                return Err(format!("{}.{} ({variable}) must be {range}, not {number}", section.name, option.name));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
