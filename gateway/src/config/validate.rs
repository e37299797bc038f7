//! Checks that types cannot express: settings that are unsafe or contradict each other are refused before anything starts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderName;
use url::Url;

use super::{Config, ConfigError, secret::SecretSetting};

/// The command that the configuration is for.
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
        self.check_sizes()?;
        self.check_replicas()?;
        self.telemetry.filter()?;
        self.check_collector()?;
        if let Some(key) = &self.security.encryption_key {
            encryption_key(key.expose())?;
        } else if mode == Mode::Serve {
            return refuse(
                "no encryption key: tokens are sealed with it. Make one with `mullion key generate`, keep it safe, and set it as MULLION_ENCRYPTION_KEY",
            );
        }
        if let Some(url) = self.database.url.as_ref().map(SecretSetting::expose) {
            let known = ["postgres://", "postgresql://", "sqlite:"];
            if !known.iter().any(|scheme| url.starts_with(scheme)) {
                return refuse("database.url must begin with postgres:// or sqlite://");
            }
            if url.starts_with("sqlite:") && (url.contains(":memory:") || url.contains("mode=memory")) {
                return refuse("database.url: a database in memory is lost with the process; name a file");
            }
        }
        Ok(())
    }

    fn check_replicas(&self) -> Result<(), ConfigError> {
        let of_postgres = self.database.url.as_ref().is_some_and(|url| url.expose().starts_with("postgres"));
        if let Some(servers) = &self.replicas.nats_url {
            let fits = |server: &str| {
                Url::parse(server.trim()).is_ok_and(|url| matches!(url.scheme(), "nats" | "tls") && url.has_host())
            };
            if !servers.expose().split(',').all(fits) {
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
        for entry in &self.upstream.allow {
            let is_host =
                !entry.contains("//") && Url::parse(&format!("http://{entry}/")).is_ok_and(|url| url.path() == "/");
            if !is_host {
                return refuse(format!(
                    "upstream.allow: {entry:?} is no host; write it like ghe.example.com, or ghe.example.com:8443 for one port"
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

    fn check_collector(&self) -> Result<(), ConfigError> {
        let Some(text) = &self.telemetry.otlp_endpoint else { return Ok(()) };
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            return refuse("telemetry.otlp_endpoint must be like http://collector.example.com:4318");
        };
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return refuse(
                "telemetry.otlp_endpoint must have no query and no user; credentials go in OTEL_EXPORTER_OTLP_HEADERS",
            );
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), ConfigError> {
        if self.server.max_bytes_in_flight < self.server.max_body_bytes {
            return refuse("server.max_bytes_in_flight must be at least server.max_body_bytes");
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
