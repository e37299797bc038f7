//! The command line: one file a command. Arguments are checked here; the work begins in `boot`.

mod config;
mod config_table;
pub mod dev;
mod key;
mod migrate;
mod sandbox;
mod schema;
mod serve;
mod webhooks;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    config::{self as settings, Config, table},
    telemetry::{self, Log},
    terminal,
};

/// One GraphQL graph over the tools a team works in, live.
#[derive(Debug, Parser)]
#[command(name = "mullion", version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  mullion dev                                try everything on this machine, without accounts
  mullion key generate                       an encryption key for `serve`
  mullion serve --config mullion.toml        production
  mullion key create --tenant acme --name wall --role viewer
  mullion schema > schema.graphql";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process on loopback, with stand-ins for the providers
    Dev(dev::Dev),
    /// Run in production: settings from a file and the environment, API keys
    Serve(serve::Serve),
    /// Check the settings of `serve`
    Config(config::Config),
    /// Bring the database's schema up to date
    Migrate(migrate::Migrate),
    /// Print the graph's schema
    Schema(schema::Schema),
    /// Run only the stand-ins for the providers
    Sandbox(sandbox::Sandbox),
    /// Make, list and revoke API keys
    Key(key::Key),
    /// List, show and replay webhook deliveries
    Webhooks(webhooks::Webhooks),
    /// Print the table of settings for the guide
    #[command(hide = true)]
    ConfigTable(config_table::ConfigTable),
}

/// Where settings come from, for every command that reads them.
#[derive(Debug, Clone, clap::Args)]
struct Source {
    /// File with settings; the environment wins over it
    #[arg(long, value_name = "FILE", env = "MULLION_CONFIG")]
    config: Option<PathBuf>,
    /// Data folder: the database, unless `database.url` names one, and of `dev` and `sandbox` the stand-ins' world too [default: .mullion]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Source {
    fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    fn load(&self) -> anyhow::Result<Config> {
        let mut config = Config::load(self.config.as_deref(), environment())?;
        if let Some(data) = &self.data {
            config.database.data.clone_from(data);
        }
        Ok(config)
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Starts the log of a command. Its first line says which version runs.
fn start_log(config: &Config) -> anyhow::Result<Log> {
    let log = telemetry::start(&config.telemetry)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "Mullion starts");
    let injected = settings::injected_by_kubernetes(environment());
    if !injected.is_empty() {
        tracing::info!(
            names = injected.join(" "),
            "ignored: Kubernetes sets these for a Service named mullion; enableServiceLinks: false in the pod leaves them out"
        );
    }
    Ok(log)
}

/// Reads the command line and runs the command.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let result = Cli::from_arg_matches(&matches).map_err(anyhow::Error::from).and_then(|cli| run(cli.command));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// The command line, with the settings below the help of the commands that read them.
fn command() -> clap::Command {
    let settings = table::plain();
    Cli::command().mut_subcommand("serve", |serve| {
        let examples = "Examples:\n  MULLION_ENCRYPTION_KEY=… DATABASE_URL=postgres://… mullion serve\n  \
            mullion serve --config /etc/mullion.toml";
        serve
            .after_help(format!("{examples}\n\nAll settings: `mullion serve --help`"))
            .after_long_help(format!("{examples}\n\n{settings}"))
    })
}

fn run(command: Command) -> anyhow::Result<()> {
    // These commands need no runtime.
    match &command {
        Command::Schema(schema) => {
            schema.run();
            return Ok(());
        }
        Command::ConfigTable(table) => return table.run(),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match command {
            Command::Dev(dev) => dev.run().await,
            Command::Serve(serve) => serve.run().await,
            Command::Config(config) => config.run().await,
            Command::Migrate(migrate) => migrate.run().await,
            Command::Sandbox(sandbox) => sandbox.run().await,
            Command::Key(key) => key.run().await,
            Command::Webhooks(webhooks) => webhooks.run().await,
            Command::Schema(_) | Command::ConfigTable(_) => Ok(()),
        }
    });
    // Blocking work that is left must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_help_of_serve_lists_every_setting() {
        let mut command = command();
        let help = command.find_subcommand_mut("serve").unwrap().render_long_help().to_string();
        for expected in ["--config", "MULLION_ENCRYPTION_KEY", "server.port = 4000", "live.ping_seconds"] {
            assert!(help.contains(expected), "{expected} is not in\n{help}");
        }
    }

    #[test]
    fn commands_are_read_as_documented() {
        for line in [
            "mullion dev",
            "mullion dev --port 0 --sandbox-port 0 --data /tmp/x --traffic off --webhook-secret s",
            "mullion dev --public-url https://tunnel.example",
            "mullion serve --config mullion.toml",
            "mullion config check --config mullion.toml",
            "mullion migrate",
            "mullion schema --federation",
            "mullion sandbox --port 4001",
            "mullion key generate",
            "mullion key create --tenant t --name n --role viewer",
            "mullion key list --tenant t --data /tmp/x",
            "mullion key revoke 01J",
            "mullion webhooks list --state parked --provider github --after 2026-11-22T10:00:00Z --json",
            "mullion webhooks list --data /tmp/x --after 2026-11-22 --before 2026-11-22T10:00:00+01:00",
            "mullion webhooks show 01J",
            "mullion webhooks replay 01J --json",
            "mullion config-table",
        ] {
            assert!(command().try_get_matches_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "mullion",
            "mullion dev --traffic wild",
            "mullion key create --tenant t --name n --role god",
            "mullion webhooks list --state lost",
            "mullion webhooks list --provider nobody",
            "mullion webhooks list --after yesterday",
        ] {
            assert!(command().try_get_matches_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn a_time_that_is_none_is_refused_with_what_is_expected() {
        for given in ["yesterday", "2026-11-22T10:00:00", "2026-13-01"] {
            let error = command().try_get_matches_from(["mullion", "webhooks", "list", "--after", given]).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("2026-11-22T10:00:00Z") && error.contains(given), "{error}");
        }
    }
}
