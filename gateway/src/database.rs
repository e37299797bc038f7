//! Opens the database that the configuration names, and says what is wrong where it cannot be reached.

use mullion_migrations::Migrator;
use sea_orm_migration::MigratorTrait;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use mullion_resolvers::{
    clock::Clock,
    store::{Database, OpenOptions},
};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use url::Url;

use crate::{
    config::{Config, secret::SecretSetting},
    data_folder, terminal,
};

/// After which one who waits is told for what.
const NOTICE: Duration = Duration::from_secs(1);
/// How long a server may take for the first connection: one that is just being started is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const POSTGRES_PORT: u16 = 5432;

/// Opens the database that the configuration names; the SQLite file of the data folder where it names none.
pub(crate) async fn open(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Database> {
    let url = if let Some(url) = &config.database.url {
        url.expose().to_owned()
    } else {
        let folder = &config.database.data;
        data_folder::make(folder).with_context(|| format!("the data folder {} cannot be made", folder.display()))?;
        format!("sqlite://{}", folder.join(FILE).display())
    };
    let options = OpenOptions {
        max_connections: config.database.max_connections,
        dashboards: config.limits.max_dashboards,
        widgets: config.limits.max_widgets_per_dashboard,
        ..OpenOptions::default()
    };
    let place = Place::of(&url);
    let opening = async {
        loop {
            match Database::open(&url, &options, Arc::clone(&clock)).await {
                // Until the patience for it ends, below.
                Err(error) if place.is_some() && error.is_no_connection() => {}
                opened => return opened,
            }
        }
    };
    let Some(place) = &place else { return opening.await.context(CHECK) };
    tokio::select! {
        opened = opening => opened.context(CHECK),
        () = wait_for(place) => {
            let wrong = place.what_is_wrong().await;
            let (host, port) = (&place.host, place.port);
            anyhow::bail!(
                "the database at {host}:{port} cannot be opened: {wrong}. Is PostgreSQL running there, and may this machine \
                reach it? Check database.url (MULLION_DATABASE_URL or DATABASE_URL)"
            )
        }
    }
}

/// The same, for commands that have nothing to do in an empty database, and make none.
pub(crate) async fn open_existing(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Database> {
    let file = config.database.data.join(FILE);
    if config.database.url.is_none() && !file.exists() {
        anyhow::bail!(
            "there is no database at {}: run this where Mullion runs, or name its data folder (--data, MULLION_DATA, database.data); \
            `mullion dev`, `serve` and `key create` make one",
            file.display()
        );
    }
    open(config, clock).await
}

/// Looks whether SQLite's file is there or could be made. It is not opened: a running Mullion holds it.
pub(crate) fn check_file(config: &Config) -> anyhow::Result<()> {
    let named = config.database.url.as_ref().map(SecretSetting::expose);
    let named = named.and_then(|url| url.trim_start_matches("sqlite:").trim_start_matches("//").split('?').next());
    let (file, folder_is_made) = match named {
        Some(path) => (PathBuf::from(path), false),
        None => (config.database.data.join(FILE), true),
    };
    if file.exists() {
        return fs::OpenOptions::new()
            .append(true)
            .open(&file)
            .map(drop)
            .with_context(|| format!("the database {} cannot be written", file.display()));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder_is_made && !folder.is_dir() {
        anyhow::bail!("database.url: there is no folder {}: make it, or name another", folder.display());
    }
    // Folders above are made with it.
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let probe = there.join(format!(".mullion-check-{}", std::process::id()));
    fs::File::create_new(&probe)
        .and_then(|_| fs::remove_file(&probe))
        .with_context(|| format!("nothing can be made in {}; check database.data or database.url", there.display()))
}

/// SQLite's file in the data folder.
const FILE: &str = "mullion.db";
const CHECK: &str = "the database cannot be opened; check database.url";

async fn wait_for(place: &Place) {
    sleep(NOTICE).await;
    terminal::note(&format!("waiting for the database at {}:{} …", place.host, place.port));
    sleep(PATIENCE.saturating_sub(NOTICE)).await;
}

/// Where a server of PostgreSQL is. The address has a password, too: only this much of it is ever shown.
struct Place {
    host: String,
    port: u16,
}

impl Place {
    fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))?;
        let host = url.host_str().filter(|host| !host.is_empty())?;
        // An IPv6 address has brackets in an address, and none where one connects to it.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: url.port().unwrap_or(POSTGRES_PORT) })
    }

    async fn what_is_wrong(&self) -> String {
        match timeout(NOTICE, TcpStream::connect((self.host.as_str(), self.port))).await {
            Ok(Ok(_)) => "something listens there, but did not let us in in time".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "nothing answers".to_owned(),
        }
    }
}

/// Brings the database's schema up to date.
pub(crate) async fn migrate(database: &Database) -> anyhow::Result<()> {
    Migrator::up(database.migration_connection(), None)
        .await
        .context("the database's schema cannot be brought up to date")
}

/// Brings the database's schema up to date where the settings let it, otherwise refuses one that is not.
pub(crate) async fn prepare_schema(config: &Config, database: &Database) -> anyhow::Result<()> {
    if config.database.migrate { migrate(database).await } else { check_schema(database).await }
}

/// Refuses a database whose schema is older than this version's.
async fn check_schema(database: &Database) -> anyhow::Result<()> {
    if is_outdated(database).await? {
        anyhow::bail!(
            "the database's schema is not up to date, and database.migrate is false: run `mullion migrate` first"
        );
    }
    Ok(())
}

async fn is_outdated(database: &Database) -> anyhow::Result<bool> {
    let pending = Migrator::get_pending_migrations_read_only(database.migration_connection()).await;
    Ok(!pending.context("the version of the database's schema cannot be read")?.is_empty())
}

/// Refuses a key that is not the one that the database's secrets are sealed with: nothing could be opened, and what is sealed from
/// now on could not be opened with the right one.
pub(crate) async fn check_key(database: &Database, key: [u8; 32]) -> anyhow::Result<()> {
    if is_its_key(database, key).await? {
        return Ok(());
    }
    Ok(database.set_setting(FINGERPRINT, &fingerprint(key)).await?)
}

/// The row of the database that tells its encryption key from others.
const FINGERPRINT: &str = "fingerprint of the encryption key";

fn fingerprint(key: [u8; 32]) -> String {
    blake3::keyed_hash(&key, FINGERPRINT.as_bytes()).to_hex().to_string()
}

/// Refuses a key of another database; `false` where the database has none yet.
async fn is_its_key(database: &Database, key: [u8; 32]) -> anyhow::Result<bool> {
    match database.setting(FINGERPRINT).await? {
        Some(known) if known != fingerprint(key) => anyhow::bail!(
            "this database's secrets are sealed with another encryption key: set MULLION_ENCRYPTION_KEY to the one it was begun with"
        ),
        known => Ok(known.is_some()),
    }
}

/// Refuses what `serve` would refuse of a database, and writes nothing.
pub(crate) async fn check(config: &Config, database: &Database, key: [u8; 32]) -> anyhow::Result<()> {
    check_durability(database, config.webhooks.allow_unsafe_database).await?;
    if !config.database.migrate {
        check_schema(database).await?;
    } else if is_outdated(database).await? {
        // There may be no table to look into yet; `serve` would make it.
        return Ok(());
    }
    is_its_key(database, key).await.map(drop)
}

/// Refuses a database that may lose what it says is committed: providers would be told that a delivery is safe which is not.
pub(crate) async fn check_durability(database: &Database, allowed: bool) -> anyhow::Result<()> {
    let found = database.unsafe_settings().await.context("the database's settings cannot be read")?.join(", ");
    if found.is_empty() {
        return Ok(());
    }
    if allowed {
        tracing::warn!(
            settings = found,
            "the database may lose acknowledged deliveries (webhooks.allow_unsafe_database)"
        );
        return Ok(());
    }
    anyhow::bail!(
        "PostgreSQL runs with {found}: a power failure would lose deliveries that were acknowledged to their providers. \
         Turn it on in postgresql.conf, or for this user with `ALTER ROLE … RESET synchronous_commit`; \
         or, where that may happen, set webhooks.allow_unsafe_database = true"
    )
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_is_told_without_the_password() {
        for (url, expected) in [
            ("postgres://me:secret@db.example/x", Some(("db.example", 5432))),
            ("postgresql://db.example:6000/x?sslmode=require", Some(("db.example", 6000))),
            ("postgres://me@[::1]:6000/x", Some(("::1", 6000))),
            ("postgres:///x?host=/run/postgresql", None),
            ("sqlite://x.db", None),
        ] {
            let place = Place::of(url);
            assert_eq!(place.as_ref().map(|place| (place.host.as_str(), place.port)), expected, "{url}");
        }
    }
}
