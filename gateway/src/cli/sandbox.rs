//! `mullion sandbox`

use clap::Args;

use super::Source;
use crate::{boot, stand_ins::Traffic};

/// Only the stand-ins for the providers, on loopback.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mullion sandbox\n  mullion sandbox --port 4001 --data /tmp/world")]
pub(super) struct Sandbox {
    #[command(flatten)]
    source: Source,
    /// Port of the stand-ins [default: 4001]
    #[arg(long)]
    port: Option<u16>,
    /// Simulated activity
    #[arg(long, value_enum, default_value = "off")]
    traffic: Traffic,
}

impl Sandbox {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut config = self.source.load()?;
        if let Some(port) = self.port {
            config.sandbox.port = port;
        }
        let _log = super::start_log(&config)?;
        boot::sandbox(&config, self.traffic).await
    }
}
