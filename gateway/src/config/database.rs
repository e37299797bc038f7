//! `[database]`: where rows lie.

use std::path::PathBuf;

use super::{secret::SecretSetting, section::section};

section! {
    /// Where rows lie.
    Database in "database" {
        /// `postgres://…` or `sqlite://…`; without it, SQLite in the data folder. `DATABASE_URL` is read too.
        url: Option<SecretSetting> = None;
        /// The data folder: database, key file of `dev`, the sandbox's world.
        data: PathBuf = PathBuf::from(".mullion");
        /// Most connections to PostgreSQL.
        max_connections: u32 = 20, 1..=10_000;
        /// Whether `serve` brings the database's schema up to date when it starts.
        migrate: bool = true;
    }
}
