//! Leases: what one process at a time may hold, for some seconds, unless it renews. Lanes of the inbox are leased, and chores.
//!
//! A lease carries a fence, which grows with each new owner. Work under a lease checks the fence in its own transaction, so
//! a process that was paused while its lease ran out cannot write any more, whatever it believes. Time is the database's: clocks of
//! replicas differ. (SQLite has no clock of its own; its processes share one machine's.)

use std::{sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Database, StoreError};

/// How many lanes the inbox has: as many workers can share it. Each delivery is stored with its lane, so the number never changes.
pub const LANES: i64 = 64;
/// How long a lease lasts that is not renewed.
pub const LEASE: Duration = Duration::from_secs(5);
/// One beat at a time, over all replicas: shares are counted and taken under it.
const BEAT_LOCK: i64 = 0x006d_756c_6c69_6f6e;

/// How processes' names begin, at PostgreSQL (`application_name`) and before the slash in their workers' names.
pub(super) const PROCESS: &str = "mullion-";

/// Whether the process of a worker has no connection to PostgreSQL. The connections of a killed process end with it, unless its
/// machine goes down too: then its leases have to run out. A process cut off only for a moment counts as gone, and is fenced.
const GONE: &str = "(owner LIKE 'mullion-%/%' AND split_part(owner, '/', 1) NOT IN \
    (SELECT application_name FROM pg_stat_activity WHERE application_name IS NOT NULL))";

/// A lease, as its holder remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The name of the thing that is held.
    pub name: Arc<str>,
    /// By whom.
    pub owner: Arc<str>,
    /// As what number of an owner.
    pub fence: i64,
}

/// The lanes that a worker holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Lane and lease, in order.
    pub lanes: Vec<(i64, Lease)>,
    /// Workers that are alive, this one included.
    pub workers: i64,
}

impl Lease {
    /// Fails with [`StoreError::LeaseLost`] unless it still holds; until the end of the transaction it cannot be taken then.
    pub(super) async fn check(&self, connection: &impl ConnectionTrait) -> Result<(), StoreError> {
        let backend = connection.get_database_backend();
        let lock = if backend == DbBackend::Postgres { " FOR SHARE" } else { "" };
        let sql = format!("SELECT 1 FROM lease WHERE name = $1 AND owner = $2 AND fence = $3{lock}");
        let values = [self.name.as_ref().into(), self.owner.as_ref().into(), self.fence.into()];
        let row = connection.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        row.map(drop).ok_or(StoreError::LeaseLost)
    }
}

impl Database {
    /// Shows that a worker is alive, renews its lanes, and makes their number its fair share: it gives up what is too many, and takes
    /// what nobody holds. With `first` on SQLite, where one process has the database, it takes all: whoever held them is gone, and if
    /// it is not, the fence keeps it out until the next beats share them. With `first` on PostgreSQL, it takes over from the processes
    /// that have no connection any more: they were killed, or are cut off, and then the same holds for them.
    pub async fn beat(&self, worker: &str, first: bool) -> Result<Held, StoreError> {
        let seize = first && self.0.backend == DbBackend::Sqlite;
        let beat = Beat { now: self.lease_clock(), worker, connection: self.begin().await? };
        if self.0.backend == DbBackend::Postgres {
            beat.run(format!("SELECT pg_advisory_xact_lock({BEAT_LOCK})")).await?;
        }
        if first {
            beat.make_lanes().await?;
            beat.bury().await?;
        }
        if seize {
            beat.run("DELETE FROM lease WHERE name >= 'worker/' AND name < 'worker0'".to_owned()).await?;
        }
        let workers = beat.show_alive().await?;
        let share = (LANES + workers - 1) / workers.max(1);
        let held = beat.renew().await?;
        let count = i64::try_from(held.len()).unwrap_or(LANES);
        let held = if count > share {
            let (kept, given_up) = held.split_at(usize::try_from(share).unwrap_or(0));
            beat.give_up(given_up).await?;
            kept.to_vec()
        } else {
            let taken = beat.take(share - count, seize).await?;
            held.into_iter().chain(taken).collect()
        };
        beat.connection.commit().await?;
        let mut lanes: Vec<(i64, Lease)> =
            held.into_iter().filter_map(|lease| Some((lane_of(&lease.name)?, lease))).collect();
        lanes.sort_unstable_by_key(|(lane, _)| *lane);
        Ok(Held { lanes, workers })
    }

    /// Notes that the worker of this name stops: all that it holds is free at once.
    pub async fn leave(&self, worker: &str) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        for sql in [
            "UPDATE lease SET owner = '', expires_at = 0 WHERE owner = $1 AND name < 'worker/'",
            "DELETE FROM lease WHERE owner = $1 AND name >= 'worker/' AND name < 'worker0'",
        ] {
            transaction.execute_raw(Statement::from_sql_and_values(self.0.backend, sql, [worker.into()])).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Takes or renews a lease of a chore, for `time`. `None`: another process has it.
    pub async fn take_lease(&self, name: &str, owner: &str, time: Duration) -> Result<Option<Lease>, StoreError> {
        let now = self.lease_clock();
        let expires = expiry(&now, time);
        let sql = format!(
            "INSERT INTO lease (name, owner, expires_at, fence) VALUES ($1, $2, {expires}, 1) \
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at, \
             fence = lease.fence + CASE WHEN lease.owner = excluded.owner THEN 0 ELSE 1 END \
             WHERE lease.owner = excluded.owner OR lease.expires_at <= {now} RETURNING fence"
        );
        let transaction = self.begin().await?;
        let statement = Statement::from_sql_and_values(self.0.backend, sql, [name.into(), owner.into()]);
        let row = transaction.query_one_raw(statement).await?;
        let fence = row.map(|row| row.try_get_by_index::<i64>(0)).transpose()?;
        transaction.commit().await?;
        Ok(fence.map(|fence| Lease { name: name.into(), owner: owner.into(), fence }))
    }

    /// On SQLite, which one process has, the leases of an earlier one are over: nothing waits for those of this kind (`kind/…`) to run
    /// out.
    pub async fn free_leases(&self, kind: &str) -> Result<(), StoreError> {
        if !self.is_sqlite() {
            return Ok(());
        }
        let sql = "UPDATE lease SET owner = '', expires_at = 0 WHERE name >= $1 AND name < $2";
        // `0` comes after `/`.
        self.execute(sql.to_owned(), [format!("{kind}/").into(), format!("{kind}0").into()]).await
    }

    /// Whether a worker other than this one is alive. On SQLite, where one process has the database, none is.
    pub async fn other_workers(&self, worker: &str) -> Result<bool, StoreError> {
        if self.0.backend == DbBackend::Sqlite {
            return Ok(false);
        }
        let now = self.lease_clock();
        let sql = format!(
            "SELECT count(*) FROM lease WHERE name >= 'worker/' AND name < 'worker0' AND owner <> $1 AND expires_at > {now} \
             AND NOT {GONE}"
        );
        let statement = Statement::from_sql_and_values(self.0.backend, sql, [worker.into()]);
        let row = self.0.reader.query_one_raw(statement).await?;
        let count: i64 = row.ok_or(StoreError::NotFound)?.try_get_by_index(0)?;
        Ok(count > 0)
    }

    /// The time by which leases run out, as SQL.
    pub(super) fn lease_clock(&self) -> String {
        if self.0.backend == DbBackend::Postgres && !self.0.own_lease_clock {
            "(extract(epoch from clock_timestamp()) * 1000000)::bigint".to_owned()
        } else {
            self.0.clock.now().timestamp_micros().to_string()
        }
    }
}

/// One beat of a worker, in its transaction.
struct Beat<'a> {
    now: String,
    worker: &'a str,
    connection: sea_orm::DatabaseTransaction,
}

impl Beat<'_> {
    fn statement(&self, sql: String) -> Statement {
        Statement::from_sql_and_values(self.connection.get_database_backend(), sql, [self.worker.into()])
    }

    async fn run(&self, sql: String) -> Result<(), StoreError> {
        self.connection.execute_unprepared(&sql).await?;
        Ok(())
    }

    /// Frees everything held by processes that are gone.
    async fn bury(&self) -> Result<(), StoreError> {
        if self.connection.get_database_backend() == DbBackend::Sqlite {
            return Ok(());
        }
        self.run(format!(
            "WITH buried AS (DELETE FROM lease WHERE name >= 'worker/' AND name < 'worker0' AND {GONE} RETURNING owner) \
             UPDATE lease SET owner = '', expires_at = 0 WHERE name < 'worker/' AND owner IN (SELECT owner FROM buried)"
        ))
        .await
    }

    async fn make_lanes(&self) -> Result<(), StoreError> {
        let rows: Vec<String> = (0..LANES).map(|lane| format!("('{}', '', 0, 0)", name_of(lane))).collect();
        let rows = rows.join(", ");
        self.run(format!(
            "INSERT INTO lease (name, owner, expires_at, fence) VALUES {rows} ON CONFLICT (name) DO NOTHING"
        ))
        .await
    }

    /// How many workers are alive, with this one.
    async fn show_alive(&self) -> Result<i64, StoreError> {
        let (now, expires) = (&self.now, expiry(&self.now, LEASE));
        self.run(format!("DELETE FROM lease WHERE name >= 'worker/' AND name < 'worker0' AND expires_at <= {now}"))
            .await?;
        let alive = format!(
            "INSERT INTO lease (name, owner, expires_at, fence) VALUES ('worker/' || $1, $1, {expires}, 0) \
             ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at"
        );
        self.connection.execute_raw(self.statement(alive)).await?;
        let count = "SELECT count(*) FROM lease WHERE name >= 'worker/' AND name < 'worker0'";
        let count = Statement::from_string(self.connection.get_database_backend(), count);
        let row = self.connection.query_one_raw(count).await?.ok_or(StoreError::NotFound)?;
        Ok(row.try_get_by_index::<i64>(0)?.max(1))
    }

    async fn renew(&self) -> Result<Vec<Lease>, StoreError> {
        let expires = expiry(&self.now, LEASE);
        let sql = format!(
            "UPDATE lease SET expires_at = {expires} WHERE owner = $1 AND name >= 'lane/' AND name < 'lane0' \
             RETURNING name, fence"
        );
        self.leases(sql).await
    }

    async fn take(&self, count: i64, seize: bool) -> Result<Vec<Lease>, StoreError> {
        if count <= 0 {
            return Ok(Vec::new());
        }
        let (now, expires) = (&self.now, expiry(&self.now, LEASE));
        let free = if seize { "1 = 1".to_owned() } else { format!("(owner = '' OR expires_at <= {now})") };
        // A lane whose owner is just applying something is left for the next beat.
        let postgres = self.connection.get_database_backend() == DbBackend::Postgres;
        let lock = if postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = format!(
            "WITH free AS (SELECT name FROM lease WHERE name >= 'lane/' AND name < 'lane0' AND owner <> $1 AND {free} \
             ORDER BY name LIMIT {count}{lock}) \
             UPDATE lease SET owner = $1, expires_at = {expires}, fence = fence + 1 \
             WHERE name IN (SELECT name FROM free) RETURNING name, fence"
        );
        self.leases(sql).await
    }

    async fn give_up(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let names: Vec<String> = leases.iter().map(|lease| format!("'{}'", lease.name)).collect();
        let names = names.join(", ");
        let sql = format!("UPDATE lease SET owner = '', expires_at = 0 WHERE owner = $1 AND name IN ({names})");
        self.connection.execute_raw(self.statement(sql)).await?;
        Ok(())
    }

    async fn leases(&self, sql: String) -> Result<Vec<Lease>, StoreError> {
        let mut leases = Vec::new();
        for row in self.connection.query_all_raw(self.statement(sql)).await? {
            let (name, fence): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            leases.push(Lease { name: name.into(), owner: self.worker.into(), fence });
        }
        leases.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(leases)
    }
}

fn expiry(now: &str, time: Duration) -> String {
    format!("{now} + {}", time.as_micros())
}

fn name_of(lane: i64) -> String {
    format!("lane/{lane:02}")
}

fn lane_of(name: &str) -> Option<i64> {
    name.strip_prefix("lane/")?.parse().ok()
}
