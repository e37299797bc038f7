//! `mullion config`

use clap::{Args, Subcommand};

use super::Source;
use crate::{boot, config::Mode};

/// Checks settings.
#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what `serve` would refuse, and change nothing: exit code 0 when it would start with these settings, 1 when not
    #[command(
        after_help = "It reads the same file and environment as `serve`, and asks a PostgreSQL whether it is safe, up to date (where \
            database.migrate = false) and sealed with this key. A SQLite file is not opened: a running Mullion holds it.\n\n\
            Example:\n  mullion config check --config /etc/mullion.toml"
    )]
    Check {
        #[command(flatten)]
        source: Source,
    },
}

impl Config {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Command::Check { source } = self.command;
        let config = source.load()?;
        config.validate(Mode::Serve)?;
        boot::check(&config).await?;
        crate::terminal::print("`mullion serve` accepts these settings.");
        Ok(())
    }
}
