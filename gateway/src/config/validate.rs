//! What the types cannot say: settings that are unsafe or contradict each other, refused before anything starts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderName;
use url::Url;

use super::{Config, ConfigError};

/// What the configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One process on loopback, with stand-ins.
    Dev,
    /// Production.
    Serve,
}

impl Config {
    /// Refuses what cannot be meant or is not safe.
    pub fn validate(&self, mode: Mode) -> Result<(), ConfigError> {
        self.check_addresses()?;
        self.check_numbers()?;
        self.check_replicas()?;
        if let Some(key) = &self.security.encryption_key {
            encryption_key(key)?;
        } else if mode == Mode::Serve {
            return refuse(
                "no encryption key: tokens are sealed with it. Make one with `mullion key generate`, keep it safe, and set it as MULLION_ENCRYPTION_KEY",
            );
        }
        if let Some(url) = &self.database.url {
            let known = ["postgres://", "postgresql://", "sqlite:"];
            if !known.iter().any(|scheme| url.starts_with(scheme)) {
                return refuse("database.url must begin with postgres:// or sqlite://");
            }
        }
        Ok(())
    }

    fn check_replicas(&self) -> Result<(), ConfigError> {
        let of_postgres = self.database.url.as_deref().is_some_and(|url| url.starts_with("postgres"));
        if let Some(servers) = &self.replicas.nats_url {
            let fits = |server: &str| {
                Url::parse(server.trim()).is_ok_and(|url| matches!(url.scheme(), "nats" | "tls") && url.has_host())
            };
            if !servers.split(',').all(fits) {
                return refuse("replicas.nats_url must be like nats://nats.example.com:4222, several with commas");
            }
            if !of_postgres {
                return refuse(
                    "replicas.nats_url is for several replicas, which share a PostgreSQL: set database.url, or leave it out",
                );
            }
        }
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        let prefix = &self.replicas.nats_prefix;
        if prefix.is_empty() || !prefix.chars().all(plain) || prefix.starts_with('.') || prefix.ends_with('.') {
            return refuse("replicas.nats_prefix must be letters, digits, hyphens, underscores and dots");
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), ConfigError> {
        if let Some(text) = &self.server.public_url {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            let Some(url) = url else {
                return refuse(format!("server.public_url must be like https://mullion.example.com, not {text:?}"));
            };
            if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
                return refuse("server.public_url must be a scheme and a host, without path, query or user");
            }
        }
        for origin in &self.server.allowed_origins {
            if origin == "*" {
                return refuse("server.allowed_origins must name each origin: `*` would let any page ask");
            }
            let parsed = Url::parse(origin).ok();
            if parsed.map(|url| url.origin().ascii_serialization()).as_deref() != Some(origin.as_str()) {
                return refuse(format!(
                    "server.allowed_origins: {origin:?} is no origin; write it like https://dashboard.example.com"
                ));
            }
        }
        for name in &self.server.allowed_headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                return refuse(format!("server.allowed_headers: {name:?} is no name of a header"));
            }
        }
        if self.server.admin_address.port() != 0 && self.server.admin_address.port() == self.server.port {
            return refuse("server.admin_address and server.port must not share a port");
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), ConfigError> {
        let at_least_one = [
            ("server.header_timeout_seconds", self.server.header_timeout_seconds),
            ("server.request_timeout_seconds", self.server.request_timeout_seconds),
            ("limits.max_concurrent_executions", self.limits.max_concurrent_executions as u64),
            ("limits.max_concurrent_live_executions", self.limits.max_concurrent_live_executions as u64),
            ("limits.max_held_bytes_per_tenant", self.limits.max_held_bytes_per_tenant as u64),
            ("limits.max_dashboards", self.limits.max_dashboards as u64),
            ("limits.max_widgets_per_dashboard", self.limits.max_widgets_per_dashboard as u64),
            ("live.max_subscriptions_per_tenant", self.live.max_subscriptions_per_tenant as u64),
            ("live.max_operations_per_tenant", self.live.max_operations_per_tenant as u64),
            ("live.init_timeout_milliseconds", self.live.init_timeout_milliseconds),
            ("live.ping_seconds", self.live.ping_seconds),
            ("live.event_stream_keep_alive_seconds", self.live.event_stream_keep_alive_seconds),
            ("live.max_sockets", self.live.max_sockets as u64),
            ("live.max_sockets_per_tenant", self.live.max_sockets_per_tenant as u64),
            ("live.max_operations_per_socket", self.live.max_operations_per_socket as u64),
            ("live.max_messages_per_second", u64::from(self.live.max_messages_per_second)),
            ("live.reconnects_per_second", u64::from(self.live.reconnects_per_second)),
            ("live.retention_days", self.live.retention_days),
            ("live.poll_seconds", self.live.poll_seconds),
            ("live.retention_changes", self.live.retention_changes),
            ("webhooks.read_timeout_seconds", self.webhooks.read_timeout_seconds),
            ("replicas.poll_milliseconds", self.replicas.poll_milliseconds),
            ("webhooks.max_queued", self.webhooks.max_queued as u64),
            ("webhooks.max_queued_bytes", self.webhooks.max_queued_bytes as u64),
            ("webhooks.max_attempts", u64::from(self.webhooks.max_attempts)),
            ("webhooks.workers", self.webhooks.workers as u64),
            ("webhooks.retention_days", self.webhooks.retention_days),
            ("persisted.max_documents", self.persisted.max_documents),
            ("persisted.max_bytes", self.persisted.max_bytes),
            ("persisted.retention_days", self.persisted.retention_days),
            ("reconcile.live_seconds", self.reconcile.live_seconds),
            ("reconcile.silent_seconds", self.reconcile.silent_seconds),
            ("reconcile.polling_seconds", self.reconcile.polling_seconds),
            ("reconcile.silent_after_seconds", self.reconcile.silent_after_seconds),
            ("reconcile.max_calls", self.reconcile.max_calls as u64),
            ("upstream.timeout_seconds", self.upstream.timeout_seconds),
            ("database.max_connections", u64::from(self.database.max_connections)),
        ];
        if let Some((name, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return refuse(format!("{name} must be at least 1"));
        }
        if self.limits.max_nesting > 64 || self.limits.max_depth > 64 {
            return refuse(
                "limits.max_nesting and limits.max_depth must not be over 64: the executor recurses on them",
            );
        }
        if self.limits.max_processor_seconds_per_minute > 60_000 {
            return refuse(
                "limits.max_processor_seconds_per_minute must not be over 60000: that is a thousand processors",
            );
        }
        if self.limits.max_widgets_per_dashboard > 1_000 {
            return refuse("limits.max_widgets_per_dashboard must not be over 1000: each answer reads all of them");
        }
        if self.server.max_bytes_in_flight < self.server.max_body_bytes {
            return refuse("server.max_bytes_in_flight must be at least server.max_body_bytes");
        }
        if self.webhooks.max_bytes_in_flight < 26_000_000 {
            return refuse("webhooks.max_bytes_in_flight must be at least 26000000: one delivery may have 25 MB");
        }
        Ok(())
    }
}

/// The key's 32 bytes.
pub fn encryption_key(text: &str) -> Result<[u8; 32], ConfigError> {
    let random = |bytes: &[u8; 32]| bytes.iter().any(|byte| *byte != bytes[0]);
    STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok()).filter(random).ok_or_else(|| {
        ConfigError(
            "the encryption key must be 32 bytes in base64, made at random: `mullion key generate` makes one"
                .to_owned(),
        )
    })
}

fn refuse(message: impl Into<String>) -> Result<(), ConfigError> {
    Err(ConfigError(message.into()))
}
