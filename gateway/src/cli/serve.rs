//! `mullion serve`

use clap::Args;

use super::Source;
use crate::{boot, config::Mode, telemetry};

/// Production: settings from a file and the environment; callers hold API keys.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    source: Source,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let config = self.source.load()?;
        config.validate(Mode::Serve)?;
        let log = telemetry::start(&config.telemetry)?;
        boot::serve(config, &log).await
    }
}
