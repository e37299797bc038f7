//! `[replicas]`: several processes over one PostgreSQL.

use super::{secret::SecretSetting, section::section};

section! {
    /// Several processes over one PostgreSQL.
    Replicas in "replicas" {
        /// `nats://[user:password@]host:port`, several with commas: carries hints between replicas. Without it they look at the database often.
        nats_url: Option<SecretSetting> = None;
        /// The beginning of the subjects on NATS: the same for all replicas of an installation, and for no others.
        nats_prefix: String = "mullion".to_owned();
        /// Time between looks at the database for what other replicas wrote, while no hints get through.
        poll_milliseconds: u64 = 250, 1..=60_000;
    }
}
