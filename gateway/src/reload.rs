//! Settings that change while `serve` runs: read again at SIGHUP, checked as at the start, and taken on together or not at all.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use mullion_resolvers::upstream::Upstream;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Limits},
    http::App,
    lifecycle::Hangups,
    telemetry::LogLevel,
};

/// The options that are taken on; all others need a restart.
const WHILE_RUNNING: [&str; 9] = [
    "server.allowed_origins",
    "upstream.allow",
    "telemetry.log",
    "limits.max_tokens",
    "limits.max_nesting",
    "limits.max_aliases",
    "limits.max_fields",
    "limits.max_depth",
    "limits.max_cost",
];

/// The parts of the command line that a reload needs.
pub struct Reload {
    /// Changes what is logged.
    pub level: LogLevel,
    /// The file with settings, where there is one.
    pub file: Option<PathBuf>,
    /// Reads the settings from where they came from, and checks them.
    pub load: Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>,
}

/// The parts whose settings change.
pub(crate) struct Parts {
    pub(crate) app: Arc<App>,
    pub(crate) upstream: Upstream,
}

/// Reloads while the process runs.
pub(crate) struct Reloader {
    reload: Reload,
    parts: Parts,
    /// The settings that hold, and the signals that ask for others.
    state: Mutex<(Config, Hangups)>,
}

impl Reloader {
    /// A reloader for a process that was started with the `running` settings.
    pub(crate) fn new(reload: Reload, parts: Parts, running: Config, hangups: Hangups) -> Self {
        Self { reload, parts, state: Mutex::new((running, hangups)) }
    }

    /// Reloads at each SIGHUP until `stop` fires.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut state = self.state.lock().await;
        let (running, hangups) = &mut *state;
        loop {
            tokio::select! {
                () = hangups.next() => {}
                () = stop.cancelled() => return,
            }
            let new = self.reload.file.as_deref().map_or(Ok(()), can_be_read_again).and_then(|()| (self.reload.load)());
            match new {
                Ok(new) => *running = self.take_on(running.clone(), &new),
                Err(error) => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the new settings are refused, and the old ones stay"
                    );
                }
            }
        }
    }

    /// Takes on what can change while running; the settings that hold from now on.
    fn take_on(&self, running: Config, new: &Config) -> Config {
        let (changed, restart): (Vec<_>, Vec<_>) =
            running.differing(new).into_iter().partition(|option| WHILE_RUNNING.contains(option));
        if !restart.is_empty() {
            tracing::warn!(options = restart.join(" "), "changed settings need a restart");
        }
        // It was checked with the other settings.
        if let Ok(filter) = new.telemetry.filter()
            && !self.reload.level.set(filter)
        {
            tracing::error!("the log's level could not be changed");
        }
        let next = with_changes(running, new);
        self.parts.app.guard.set_public(next.server.public_url.as_deref(), &next.server.allowed_origins);
        self.parts.upstream.guard().set_allowed(&next.upstream.allow);
        self.parts.app.pipeline.set_limits(next.limits.clone());
        if changed.is_empty() {
            tracing::info!("the settings were read again, and nothing changed that can change while running");
        } else {
            tracing::info!(options = changed.join(" "), "the settings were read again");
        }
        next
    }
}

/// Refuses a file whose content is gone once it was read, such as a pipe, which would be waited for; and one that is empty because
/// somebody is just writing it.
fn can_be_read_again(file: &Path) -> anyhow::Result<()> {
    let metadata = fs::metadata(file).with_context(|| format!("{} cannot be read", file.display()))?;
    if !metadata.is_file() {
        anyhow::bail!("{} is no regular file, so it cannot be read a second time", file.display());
    }
    if metadata.len() == 0 {
        anyhow::bail!("{} is empty; to reload the defaults, leave a comment in it", file.display());
    }
    Ok(())
}

/// The running settings, with those of the new ones that can change while running.
fn with_changes(mut running: Config, new: &Config) -> Config {
    let limits = &new.limits;
    running.server.allowed_origins.clone_from(&new.server.allowed_origins);
    running.upstream.allow.clone_from(&new.upstream.allow);
    running.telemetry.log.clone_from(&new.telemetry.log);
    running.limits = Limits {
        max_tokens: limits.max_tokens,
        max_nesting: limits.max_nesting,
        max_aliases: limits.max_aliases,
        max_fields: limits.max_fields,
        max_depth: limits.max_depth,
        max_cost: limits.max_cost,
        ..running.limits
    };
    running
}

#[cfg(test)]
mod tests {
    use super::{WHILE_RUNNING, can_be_read_again, with_changes};
    use crate::config::Config;

    #[test]
    fn what_is_taken_on_is_what_is_said_to_be_and_the_rest_waits_for_a_restart() {
        let mut new = Config::default();
        new.server.allowed_origins.push("https://a.example".to_owned());
        new.upstream.allow.push("ghe.example".to_owned());
        new.telemetry.log = "debug".to_owned();
        new.limits.max_tokens += 1;
        new.limits.max_nesting += 1;
        new.limits.max_aliases += 1;
        new.limits.max_fields += 1;
        new.limits.max_depth += 1;
        new.limits.max_cost += 1;
        new.limits.max_concurrent_executions += 1;
        new.server.port += 1;
        new.security.encryption_key = Some("other".to_owned().into());
        let running = with_changes(Config::default(), &new);
        let mut taken = Config::default().differing(&running);
        taken.sort_unstable();
        let mut expected = WHILE_RUNNING.to_vec();
        expected.sort_unstable();
        assert_eq!(taken, expected);
        let left = running.differing(&new);
        assert_eq!(left, ["server.port", "security.encryption_key", "limits.max_concurrent_executions"]);
    }

    #[test]
    fn a_file_that_is_empty_or_not_regular_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mullion.toml");
        for (text, is_read) in [(None, false), (Some(""), false), (Some("# all defaults\n"), true)] {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            assert_eq!(can_be_read_again(&file).is_ok(), is_read, "{text:?}");
        }
        assert!(can_be_read_again(folder.path()).is_err());
    }
}
