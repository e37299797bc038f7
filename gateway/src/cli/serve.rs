//! `mullion serve`

use clap::Args;

use super::Source;
use crate::{boot, config::Mode, reload::Reload};

/// Production: settings from a file and the environment; callers hold API keys.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    source: Source,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let source = self.source;
        let load = move || {
            let config = source.load()?;
            config.validate(Mode::Serve)?;
            Ok(config)
        };
        let config = load()?;
        let log = super::start_log(&config)?;
        boot::serve(config, Reload { level: log.level(), load: Box::new(load) }, &log).await
    }
}
