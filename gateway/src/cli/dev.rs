//! `mullion dev`

use clap::Args;

use super::Source;
use crate::{
    boot,
    config::{Mode, server::Audience},
    stand_ins::Traffic,
};

/// Everything in one process, on loopback only, with a seeded world and no accounts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mullion dev\n  mullion dev --traffic off --data /tmp/try\n  \
    mullion dev --public-url https://my-tunnel.example   (reaches /webhooks/ only)")]
pub(super) struct Dev {
    #[command(flatten)]
    source: Source,
    /// Port of GraphQL, webhooks and GraphiQL [default: 4000]
    #[arg(long)]
    port: Option<u16>,
    /// Port of the stand-ins [default: 4001]
    #[arg(long)]
    sandbox_port: Option<u16>,
    /// Simulated activity of the providers
    #[arg(long, value_enum, default_value = "gentle")]
    traffic: Traffic,
    /// Secret of the three webhook endpoints
    #[arg(
        long,
        value_name = "S",
        env = "MULLION_WEBHOOK_SECRET",
        default_value = "mullion-dev-secret",
        hide_env_values = true
    )]
    webhook_secret: String,
    /// Address of a tunnel, which may reach /webhooks/ only
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl Dev {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut config = self.source.load()?;
        if let Some(port) = self.port {
            config.server.port = port;
        }
        if let Some(port) = self.sandbox_port {
            config.sandbox.port = port;
        }
        if self.public_url.is_some() {
            config.server.public_url = self.public_url;
        }
        // On loopback, with the developer's own tools.
        config.server.allow_get = true;
        config.server.introspection = Audience::Viewer;
        config.validate(Mode::Dev)?;
        let log = super::start_log(&config)?;
        let options = boot::DevOptions { traffic: self.traffic, webhook_secret: self.webhook_secret.into() };
        boot::dev(config, options, &log).await
    }
}
