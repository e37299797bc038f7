//! Deliveries that are applied in the transaction that stores them: on SQLite, where they come from the log and were understood on
//! their way. It is one flush instead of two until people see a change, and a third of the statements less.
//!
//! If a delivery must wait, those behind it wait too, and so does its whole lane: the inbox's worker applies them in order.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    panic::AssertUnwindSafe,
};

use futures::FutureExt as _;
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::Statement;

use super::{
    IGNORED, RECEIVED,
    insert::{insert_all, places},
    row::DeliveryRow,
    settle::{Verdict, note},
};
use crate::store::{
    Database, StoreError,
    apply::{Applied, Batch, Rules, Target},
    session::Session,
    setting::set,
    transaction::broken_off,
};

/// Lanes that are asked for in one statement, so that few are prepared.
const LANES_ASKED: [usize; 3] = [1, 8, 64];

/// The meaning of deliveries of one integration.
pub struct Meant {
    /// Their tenant.
    pub tenant: TenantId,
    /// Their integration.
    pub integration: IntegrationId,
    /// How its lists are kept.
    pub rules: Box<dyn Rules>,
    /// The batches to apply, in order; each is of one delivery.
    pub batches: Vec<Batch>,
    /// Deliveries that are knowingly not used, by id, and why.
    pub ignored: Vec<(String, &'static str)>,
}

impl Meant {
    /// The deliveries' ids.
    fn deliveries(&self) -> impl Iterator<Item = &str> {
        let applied = self.batches.iter().filter_map(|batch| batch.delivery.as_deref());
        applied.chain(self.ignored.iter().map(|(id, _)| id.as_str()))
    }
}

/// The outcome of deliveries.
#[derive(Debug, Default)]
pub struct Arrived {
    /// The batches that were applied, each with its tenant.
    pub applied: Vec<(TenantId, Applied)>,
    /// For each delivery that was settled: its provider, and how.
    pub settled: Vec<(String, &'static str)>,
    /// Whether one waits to be worked.
    pub waits: bool,
}

impl Database {
    /// Stores deliveries and applies what they mean, and sets a setting: all of it or nothing. Those that were there before are left
    /// alone. For one process that has the database: no lease is checked, no tenant locked. A panic is an error.
    pub async fn insert_and_apply(
        &self,
        rows: Vec<(String, DeliveryRow)>,
        setting: (&'static str, String),
        meant: Vec<Meant>,
    ) -> Result<Arrived, StoreError> {
        let (arrived, heard) = if let Some(direct) = self.0.direct.clone() {
            self.directly(direct, async move |database, session| database.arrive(session, rows, setting, meant).await)
                .await?
        } else {
            // A database in memory, or one through another system layer than SQLite's own, has no direct connection.
            let arriving = async {
                let transaction = self.begin().await?;
                let arrived = self.arrive(&transaction, rows, setting, meant).await?;
                transaction.commit().await?;
                Ok(arrived)
            };
            AssertUnwindSafe(arriving).catch_unwind().await.unwrap_or_else(|_| Err(broken_off(&"a panic")))?
        };
        self.heard(heard);
        Ok(arrived)
    }

    /// The same inside a transaction; beside it, what is to be remembered of it once that is committed.
    async fn arrive(
        &self,
        transaction: &impl Session,
        rows: Vec<(String, DeliveryRow)>,
        (name, value): (&'static str, String),
        meant: Vec<Meant>,
    ) -> Result<(Arrived, BTreeMap<String, i64>), StoreError> {
        let known: HashMap<String, (i64, String)> =
            rows.iter().map(|(id, row)| (id.clone(), (row.lane, row.provider.clone()))).collect();
        let mut busy = busy_lanes(transaction, known.values().map(|(lane, _)| *lane).collect()).await?;
        // One whose meaning is not known will wait.
        let understood: HashSet<&str> = meant.iter().flat_map(Meant::deliveries).collect();
        busy.extend(known.iter().filter(|(id, _)| !understood.contains(id.as_str())).map(|(_, (lane, _))| *lane));
        let heard = self.note_all_heard(transaction, &rows).await?;
        let mut new = insert_all(transaction, rows).await?;
        let mut arrived = Arrived::default();
        // Takes what is settled out of what is new: in the end that is what waits.
        let mut settle = |id: &str, how: &'static str| {
            let Some((_, provider)) = known.get(id).filter(|(lane, _)| !busy.contains(lane)) else { return false };
            let is_new = new.remove(id);
            if is_new {
                arrived.settled.push((provider.clone(), how));
            }
            is_new
        };
        for Meant { tenant, integration, rules, mut batches, mut ignored } in meant {
            ignored.retain(|(id, _)| settle(id, "ignored"));
            note_ignored(transaction, &ignored, self.now().timestamp_micros()).await?;
            batches.retain(|batch| batch.delivery.as_ref().is_some_and(|id| settle(id, "applied")));
            if batches.is_empty() {
                continue;
            }
            let first_time = batches.iter().filter_map(|batch| Some((batch.delivery.clone()?, false))).collect();
            let target = Target { tenant: &tenant, integration: &integration, rules: rules.as_ref() };
            let applied = self.apply_within(transaction, target, batches, &first_time).await?;
            arrived.applied.push((tenant, applied));
        }
        arrived.waits = !new.is_empty();
        set(transaction, name, &value).await?;
        Ok((arrived, heard))
    }
}

/// Those of the lanes in which something waits.
async fn busy_lanes(connection: &impl Session, lanes: HashSet<i64>) -> Result<HashSet<i64>, StoreError> {
    let Some(first) = lanes.iter().next().copied() else { return Ok(lanes) };
    let count = LANES_ASKED.into_iter().find(|count| lanes.len() <= *count).unwrap_or(lanes.len());
    let backend = connection.backend();
    let sql = format!(
        "WITH asked(lane) AS (VALUES {}) SELECT lane FROM asked \
         WHERE EXISTS (SELECT 1 FROM delivery d WHERE d.state = '{RECEIVED}' AND d.lane = asked.lane)",
        places(backend, count, 1),
    );
    let values = lanes.into_iter().chain(std::iter::repeat(first)).take(count).map(Into::into);
    let statement = Statement::from_sql_and_values(backend, sql, values);
    Ok(connection.numbers(statement).await?.into_iter().collect())
}

/// Writes that deliveries are knowingly not used.
async fn note_ignored(
    connection: &impl Session,
    ignored: &[(String, &'static str)],
    now: i64,
) -> Result<(), StoreError> {
    let mut by_reason: HashMap<&str, Vec<&str>> = HashMap::new();
    for (id, why) in ignored {
        by_reason.entry(why).or_default().push(id);
    }
    for (why, ids) in by_reason {
        note(connection, ids, &Verdict::Settled(IGNORED), why, now).await?;
    }
    Ok(())
}
