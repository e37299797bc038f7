//! `mullion migrate`

use clap::Args;

use super::Source;
use crate::boot;

/// Brings the database's schema up to date.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  DATABASE_URL=postgres://… mullion migrate\n  mullion migrate --config mullion.toml"
)]
pub(super) struct Migrate {
    #[command(flatten)]
    source: Source,
}

impl Migrate {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let config = self.source.load()?;
        let _log = super::start_log(&config)?;
        boot::migrate(&config).await
    }
}
