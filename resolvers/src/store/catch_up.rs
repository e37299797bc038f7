//! How far integrations and their containers were caught up with their providers, and what tells how far their values can be trusted.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use chrono::{DateTime, Utc};
use mullion_entities::{catch_up, change, delivery, integration};
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, Statement,
    sea_query::{Expr, OnConflict},
};
use serde_json::Value;

use super::{
    Database, StoreError,
    integration::{IntegrationStatus, present, present_by_id},
    session::{CHUNK, Session},
    text::{index_text, key_text},
    time::from_micros,
};

/// How an open socket stands in its row.
const OPEN: &str = "OPEN";
/// The row of the integration as a whole.
const WHOLE: &str = "";

/// The signs of how an integration's webhooks do, as the database has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulse {
    /// When a webhook last came in.
    pub last_delivery_at: Option<DateTime<Utc>>,
    /// When the webhooks were last found in order at the provider.
    pub proven_at: Option<DateTime<Utc>>,
    /// When something may last have been missed.
    pub suspect_at: Option<DateTime<Utc>>,
    /// When it was last caught up, whatever that left out.
    pub caught_up_at: Option<DateTime<Utc>>,
    /// When it was last caught up and nothing was left out.
    pub covered_at: Option<DateTime<Utc>>,
    /// How often that failed since it last went well.
    pub failures: u32,
    /// Whether webhooks were registered from here, or there is a socket in place of them.
    pub registered: bool,
    /// Whether such a socket is open.
    pub listening: bool,
    /// Whether there is such a socket, not open, and nothing else that events could come by; or it was taken away, and nothing came
    /// since then.
    pub deaf: bool,
    /// Since when events may be missing because the socket was closed, until that is made up for.
    pub missed_since: Option<DateTime<Utc>>,
    /// When the socket was open again.
    pub missed_until: Option<DateTime<Utc>>,
}

/// Where the log of a container was read up to.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Which container: `Type:nativeId`.
    pub subject: String,
    /// The place in the log, in a form that only the provider understands.
    pub mark: Option<Value>,
    /// When it was last looked at.
    pub caught_up_at: Option<DateTime<Utc>>,
    /// When somebody last wanted it looked after.
    pub wanted_at: DateTime<Utc>,
}

/// The result of a round over an integration that did not break off.
#[derive(Debug, Clone, Copy, Default)]
pub struct Round {
    /// Nothing was left out.
    pub covered: bool,
    /// Its webhooks were found in order.
    pub proven: bool,
    /// Something may have been missed: what was read before is to be read again.
    pub suspect: bool,
}

impl Database {
    /// The pulses of these integrations, as far as they are there.
    pub async fn pulses(&self, ids: &[IntegrationId]) -> Result<HashMap<IntegrationId, Pulse>, StoreError> {
        let mut pulses = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            let places: Vec<String> = (1..=chunk.len()).map(|number| format!("${number}")).collect();
            let sql = format!(
                "SELECT i.id, i.last_delivery_at, c.proven_at, c.suspect_at, c.caught_up_at, c.covered_at, c.failures, \
                 (SELECT count(*) FROM endpoint e WHERE e.tenant = i.tenant AND e.integration = i.id AND e.external_id IS NOT NULL), \
                 (SELECT max(CASE WHEN s.state = '{OPEN}' THEN 1 ELSE 0 END) FROM event_socket s WHERE s.integration = i.id), \
                 c.missed_since, c.missed_until, c.unheard_at \
                 FROM integration i LEFT JOIN catch_up c ON c.integration = i.id AND c.subject = '{WHOLE}' \
                 WHERE i.id IN ({})",
                places.join(", ")
            );
            let values: Vec<sea_orm::Value> = chunk.iter().map(|id| id.as_str().into()).collect();
            let statement = Statement::from_sql_and_values(self.0.backend, sql, values);
            for row in self.0.reader.query_all_raw(statement).await? {
                let id: String = row.try_get_by_index(0)?;
                let time = |index| -> Result<Option<DateTime<Utc>>, StoreError> {
                    Ok(row.try_get_by_index::<Option<i64>>(index)?.map(from_micros))
                };
                let failures: Option<i64> = row.try_get_by_index(6)?;
                let registered: i64 = row.try_get_by_index(7)?;
                let socket: Option<i32> = row.try_get_by_index(8)?;
                let (last_delivery_at, unheard_at) = (time(1)?, time(11)?);
                let is_unheard = last_delivery_at.is_some() && unheard_at >= last_delivery_at;
                let pulse = Pulse {
                    last_delivery_at,
                    proven_at: time(2)?,
                    suspect_at: time(3)?,
                    caught_up_at: time(4)?,
                    covered_at: time(5)?,
                    failures: failures.and_then(|failures| u32::try_from(failures).ok()).unwrap_or(0),
                    registered: registered > 0 || socket.is_some(),
                    listening: socket == Some(1),
                    deaf: registered == 0 && (socket == Some(0) || (socket.is_none() && is_unheard)),
                    missed_since: time(9)?,
                    missed_until: time(10)?,
                };
                pulses.insert(id.into(), pulse);
            }
        }
        Ok(pulses)
    }

    /// Something may have been missed, of any integration: what was read up to now is to be read again when it is asked for. Spared
    /// are those whose provider is at an address that begins like one of these.
    pub async fn suspect_all(&self, spared: &[String]) -> Result<(), StoreError> {
        let mut values: Vec<sea_orm::Value> = vec![self.now().timestamp_micros().into()];
        let mut others = String::new();
        for begin in spared {
            values.push(begin.as_str().into());
            let length = begin.chars().count();
            let _ = write!(others, " AND substr(coalesce(base_url, ''), 1, {length}) <> ${}", values.len());
        }
        self.execute(suspecting(&format!("1 = 1{others}")), values).await
    }

    /// The same of one integration.
    pub async fn suspect(&self, id: &IntegrationId) -> Result<(), StoreError> {
        let values = [self.now().timestamp_micros().into(), id.as_str().into()];
        self.execute(suspecting("id = $2"), values).await
    }

    /// Notes what a round over an integration came to; `None`: it broke off. An integration that is gone by now has none.
    pub async fn finish_round(&self, id: &IntegrationId, round: Option<Round>) -> Result<(), StoreError> {
        let now = self.now().timestamp_micros();
        let when = |is: fn(&Round) -> bool| round.as_ref().is_some_and(is).then_some(now);
        let transaction = self.begin().await?;
        if present_by_id(id).one(&transaction).await?.is_none() {
            return Ok(());
        }
        let row = catch_up::ActiveModel {
            integration: Set(id.as_str().to_owned()),
            subject: Set(WHOLE.to_owned()),
            mark: Set(None),
            caught_up_at: Set(when(|_| true)),
            covered_at: Set(when(|round| round.covered)),
            proven_at: Set(when(|round| round.proven)),
            suspect_at: Set(when(|round| round.suspect)),
            wanted_at: Set(0),
            failures: Set(i64::from(round.is_none())),
            ..Default::default()
        };
        let mut over = OnConflict::columns([catch_up::Column::Integration, catch_up::Column::Subject]);
        match round {
            Some(round) => {
                over.update_columns([
                    catch_up::Column::CaughtUpAt,
                    catch_up::Column::CoveredAt,
                    catch_up::Column::Failures,
                ]);
                over.update_columns(round.proven.then_some(catch_up::Column::ProvenAt));
                over.update_columns(round.suspect.then_some(catch_up::Column::SuspectAt));
            }
            None => {
                over.value(catch_up::Column::Failures, Expr::cust("catch_up.failures + 1"));
            }
        }
        catch_up::Entity::insert(row).on_conflict(over).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The marks of an integration's containers.
    pub async fn marks(&self, id: &IntegrationId) -> Result<Vec<Mark>, StoreError> {
        let rows = catch_up::Entity::find()
            .filter(catch_up::Column::Integration.eq(id.as_str()))
            .filter(catch_up::Column::Subject.ne(WHOLE))
            .all(&self.0.reader)
            .await?;
        let mark_of = |row: catch_up::Model| {
            let mark = row.mark.as_deref().map(serde_json::from_str).transpose();
            Ok(Mark {
                subject: row.subject,
                mark: mark.map_err(|source| StoreError::Corrupt { what: "mark of a container", source })?,
                caught_up_at: row.caught_up_at.map(from_micros),
                wanted_at: from_micros(row.wanted_at),
            })
        };
        rows.into_iter().map(mark_of).collect()
    }

    /// Keeps where a container was read up to. Nothing is kept of an integration that is gone by now.
    pub async fn keep_mark(&self, id: &IntegrationId, mark: &Mark) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        if present_by_id(id).one(&transaction).await?.is_none() {
            return Ok(());
        }
        let row = catch_up::ActiveModel {
            integration: Set(id.as_str().to_owned()),
            subject: Set(index_text(&mark.subject)),
            mark: Set(mark.mark.as_ref().map(Value::to_string)),
            caught_up_at: Set(mark.caught_up_at.map(|at| at.timestamp_micros())),
            covered_at: Set(None),
            proven_at: Set(None),
            suspect_at: Set(None),
            wanted_at: Set(mark.wanted_at.timestamp_micros()),
            failures: Set(0),
            ..Default::default()
        };
        let mut over = OnConflict::columns([catch_up::Column::Integration, catch_up::Column::Subject]);
        over.update_columns([catch_up::Column::Mark, catch_up::Column::CaughtUpAt, catch_up::Column::WantedAt]);
        catch_up::Entity::insert(row).on_conflict(over).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes that everything a closed socket missed up to then is made up for.
    pub async fn close_gap(&self, id: &IntegrationId, until: DateTime<Utc>) -> Result<(), StoreError> {
        let none = || Expr::value(None::<i64>);
        let transaction = self.begin().await?;
        catch_up::Entity::update_many()
            .col_expr(catch_up::Column::MissedSince, none())
            .col_expr(catch_up::Column::MissedUntil, none())
            .filter(catch_up::Column::Integration.eq(id.as_str()))
            .filter(catch_up::Column::Subject.eq(WHOLE))
            .filter(catch_up::Column::MissedUntil.eq(until.timestamp_micros()))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets the marks of containers that nobody wanted looked after since then.
    pub async fn forget_marks(&self, id: &IntegrationId, before: DateTime<Utc>) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        catch_up::Entity::delete_many()
            .filter(catch_up::Column::Integration.eq(id.as_str()))
            .filter(catch_up::Column::Subject.ne(WHOLE))
            .filter(catch_up::Column::WantedAt.lt(before.timestamp_micros()))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// All integrations that can be used, of all tenants.
    pub async fn connected_integrations(&self) -> Result<Vec<(TenantId, IntegrationId)>, StoreError> {
        let rows = present()
            .select_only()
            .column(integration::Column::Tenant)
            .column(integration::Column::Id)
            .filter(integration::Column::Status.eq(IntegrationStatus::Connected.to_string()))
            .into_tuple::<(String, String)>()
            .all(&self.0.reader)
            .await?;
        Ok(rows.into_iter().map(|(tenant, id)| (tenant.into(), id.into())).collect())
    }

    /// Which of these delivery ids are not known at an endpoint.
    pub async fn unknown_deliveries(&self, endpoint: &str, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut unknown: HashSet<String> = ids.iter().cloned().collect();
        for chunk in ids.chunks(CHUNK) {
            let keys = chunk.iter().map(|id| format!("id:{}", key_text(id)));
            let known = delivery::Entity::find()
                .select_only()
                .column(delivery::Column::DedupeKey)
                .filter(delivery::Column::Endpoint.eq(endpoint))
                .filter(delivery::Column::DedupeKey.is_in(keys))
                .into_tuple::<String>()
                .all(&self.0.reader)
                .await?;
            let known: HashSet<String> = known.into_iter().collect();
            unknown.retain(|id| !known.contains(&format!("id:{}", key_text(id))));
        }
        Ok(unknown)
    }

    /// Which of these things nobody was told of yet.
    pub async fn untold(
        &self,
        tenant: &TenantId,
        integration: &IntegrationId,
        keys: &[String],
    ) -> Result<HashSet<String>, StoreError> {
        let told = told(&self.0.reader, tenant, integration, keys).await?;
        Ok(keys.iter().filter(|key| !told.contains(&key_text(key))).cloned().collect())
    }
}

/// Notes the time `$1` for the integrations of which a condition holds.
fn suspecting(which: &str) -> String {
    format!(
        "INSERT INTO catch_up (integration, subject, suspect_at, wanted_at, failures) \
         SELECT id, '{WHOLE}', $1, 0, 0 FROM integration WHERE removed_at IS NULL AND {which} \
         ON CONFLICT (integration, subject) DO UPDATE SET suspect_at = excluded.suspect_at"
    )
}

/// Which of these things people were told of, by their keys as they are stored.
pub(super) async fn told(
    connection: &impl Session,
    tenant: &TenantId,
    integration: &IntegrationId,
    keys: &[String],
) -> Result<HashSet<String>, StoreError> {
    let mut told = HashSet::new();
    for chunk in keys.chunks(CHUNK) {
        let keys = chunk.iter().map(|key| key_text(key));
        let found = change::Entity::find()
            .select_only()
            .column(change::Column::ToldKey)
            .filter(change::Column::Tenant.eq(tenant.as_str()))
            .filter(change::Column::Integration.eq(integration.as_str()))
            .filter(change::Column::ToldKey.is_in(keys))
            .build(connection.backend());
        told.extend(connection.texts(found).await?.into_iter().flatten());
    }
    Ok(told)
}

/// An integration's socket is about to be closed: where it was open, events may be missing from then on. Since when exactly it is not,
/// nobody may have noted; that all came up to the last event is certain.
pub(super) async fn begin_gap(connection: &impl ConnectionTrait, id: &IntegrationId) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO catch_up (integration, subject, wanted_at, failures, missed_since) \
         SELECT i.id, '{WHOLE}', 0, 0, CASE WHEN i.last_delivery_at > s.changed_at THEN i.last_delivery_at ELSE s.changed_at END \
         FROM event_socket s JOIN integration i ON i.id = s.integration WHERE i.id = $1 AND s.state = '{OPEN}' \
         ON CONFLICT (integration, subject) DO UPDATE SET \
         missed_since = coalesce(catch_up.missed_since, excluded.missed_since), missed_until = NULL"
    );
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, [id.as_str().into()]);
    connection.execute_raw(statement).await?;
    Ok(())
}

/// The socket is open: what is missing is to be made up for now.
pub(super) async fn end_gap(
    connection: &impl ConnectionTrait,
    id: &IntegrationId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE catch_up SET missed_until = $1 WHERE integration = $2 AND subject = '{WHOLE}' \
         AND missed_since IS NOT NULL AND missed_until IS NULL"
    );
    let values = [now.timestamp_micros().into(), id.as_str().into()];
    connection.execute_raw(Statement::from_sql_and_values(connection.get_database_backend(), sql, values)).await?;
    Ok(())
}

/// No socket is there any more: what it brought up to now is no sign that anything else is alive.
pub(super) async fn note_unheard(
    connection: &impl ConnectionTrait,
    id: &IntegrationId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO catch_up (integration, subject, wanted_at, failures, unheard_at) \
         SELECT id, '{WHOLE}', 0, 0, $1 FROM integration WHERE id = $2 AND removed_at IS NULL \
         ON CONFLICT (integration, subject) DO UPDATE SET unheard_at = excluded.unheard_at"
    );
    let values = [now.timestamp_micros().into(), id.as_str().into()];
    connection.execute_raw(Statement::from_sql_and_values(connection.get_database_backend(), sql, values)).await?;
    Ok(())
}
