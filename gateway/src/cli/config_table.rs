//! `mullion config-table`

use clap::Args;

use crate::config::table;

/// Prints the table of settings for `docs/guide/configuration.md`.
#[derive(Debug, Args)]
pub(super) struct ConfigTable {}

impl ConfigTable {
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the same signature as the other commands")]
    pub(super) fn run(&self) -> anyhow::Result<()> {
        crate::terminal::print(table::markdown().trim_end());
        Ok(())
    }
}
