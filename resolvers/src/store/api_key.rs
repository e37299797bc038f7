//! API keys: 256 random bits, of which only a hash is stored. No pepper and no slow hash: there is nothing to guess. For the same
//! reason they may be looked up by that hash: how long it takes tells of the hash at most.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use mullion_entities::api_key;
use mullion_schema::id::TenantId;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QueryResult, Statement,
    sea_query::Expr,
};
use sha2::{Digest, Sha256};

use super::{Database, StoreError, session::CHUNK, stream::Written, text::clean, time::from_micros};
use crate::{secret::Secret, tag::Tag};

/// The prefix of every key, by which scanners recognise leaked ones.
const PREFIX: &str = "mln_";

/// How many characters of a key are kept to recognise it by: 48 of its 256 bits.
const KEPT: usize = 12;

/// The hash that a key is looked up by.
pub type KeyHash = [u8; 32];

/// An API key, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// Its first characters.
    pub prefix: String,
    /// For people.
    pub name: String,
    /// The role, which says what it may do.
    pub role: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it is not accepted.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to some minutes.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A key that is accepted, with what each request of its holder needs, all as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedKey {
    /// The key.
    pub key: ApiKey,
    /// Its tenant's name.
    pub tenant_name: String,
    /// The head of its tenant's stream.
    pub head: i64,
}

/// The hash that a presented key is looked up by.
pub fn key_hash(presented: &Secret) -> KeyHash {
    Sha256::digest(presented.expose()).into()
}

impl Database {
    /// Makes a key. This is the only time that it is seen.
    pub async fn create_api_key(
        &self,
        tenant: &TenantId,
        name: &str,
        role: &str,
    ) -> Result<(ApiKey, Secret), StoreError> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| StoreError::Random)?;
        let secret = Secret::from(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)));
        let key = self.insert_api_key(tenant, name, role, &secret).await?;
        Ok((key, secret))
    }

    /// Stores a key that was made elsewhere: the fixed one of a development server.
    pub async fn insert_api_key(
        &self,
        tenant: &TenantId,
        name: &str,
        role: &str,
        secret: &Secret,
    ) -> Result<ApiKey, StoreError> {
        // A key that is no text has nothing to recognise it by.
        let prefix = secret.expose_text().unwrap_or_default().chars().take(KEPT).collect();
        let row = api_key::Model {
            id: self.new_id()?,
            tenant: tenant.as_str().to_owned(),
            hash: key_hash(secret).to_vec(),
            prefix,
            name: clean(name),
            role: role.to_owned(),
            created_at: self.now().timestamp_micros(),
            revoked_at: None,
            last_used_at: None,
        };
        let transaction = self.begin().await?;
        let taken =
            api_key::Entity::find().filter(api_key::Column::Hash.eq(row.hash.clone())).one(&transaction).await?;
        if taken.is_some() {
            return Err(StoreError::Taken("key"));
        }
        let active = api_key::ActiveModel {
            id: Set(row.id.clone()),
            tenant: Set(row.tenant.clone()),
            hash: Set(row.hash.clone()),
            prefix: Set(row.prefix.clone()),
            name: Set(row.name.clone()),
            role: Set(row.role.clone()),
            created_at: Set(row.created_at),
            revoked_at: Set(None),
            last_used_at: Set(None),
        };
        api_key::Entity::insert(active).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(key_of(row))
    }

    /// The key with a hash, if it is accepted.
    pub async fn accepted_key(&self, hash: &KeyHash) -> Result<Option<AcceptedKey>, StoreError> {
        let sql = format!("{ACCEPTED} AND k.hash = $1");
        let statement = Statement::from_sql_and_values(self.0.backend, sql, [hash.to_vec().into()]);
        let row = self.0.essential.query_one_raw(statement).await?;
        row.map(|row| accepted_of(&row)).transpose()
    }

    /// Those of these keys that are accepted, by their ids.
    pub async fn accepted_keys(
        &self,
        ids: impl IntoIterator<Item = &str> + Send,
    ) -> Result<Vec<AcceptedKey>, StoreError> {
        let ids: Vec<&str> = ids.into_iter().collect();
        let mut accepted = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            let places: Vec<String> = (1..=chunk.len()).map(|number| format!("${number}")).collect();
            let sql = format!("{ACCEPTED} AND k.id IN ({})", places.join(", "));
            let values = chunk.iter().map(|id| sea_orm::Value::from(*id));
            let statement = Statement::from_sql_and_values(self.0.backend, sql, values);
            for row in self.0.essential.query_all_raw(statement).await? {
                accepted.push(accepted_of(&row)?);
            }
        }
        Ok(accepted)
    }

    /// Notes that keys were used about now.
    pub async fn note_keys_used(&self, ids: impl IntoIterator<Item = &str> + Send) -> Result<(), StoreError> {
        let (ids, now) = (ids.into_iter().collect::<Vec<_>>(), self.now().timestamp_micros());
        for chunk in ids.chunks(CHUNK) {
            let transaction = self.begin().await?;
            api_key::Entity::update_many()
                .col_expr(api_key::Column::LastUsedAt, Expr::value(now))
                .filter(api_key::Column::Id.is_in(chunk.iter().copied()))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// The keys of a tenant, revoked ones too, oldest first.
    pub async fn api_keys(&self, tenant: &TenantId) -> Result<Vec<ApiKey>, StoreError> {
        let rows = api_key::Entity::find()
            .filter(api_key::Column::Tenant.eq(tenant.as_str()))
            .order_by_asc(api_key::Column::Id)
            .all(&self.0.reader)
            .await?;
        Ok(rows.into_iter().map(key_of).collect())
    }

    /// Revokes a key, by id; `None`: there is no such key that was accepted until now. The change tells everybody who has let its
    /// holder in.
    pub async fn revoke_api_key(&self, tenant: &TenantId, id: &str) -> Result<Option<Written<()>>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let revoked = api_key::Entity::update_many()
            .col_expr(api_key::Column::RevokedAt, Expr::value(self.now().timestamp_micros()))
            .filter(api_key::Column::Tenant.eq(tenant.as_str()))
            .filter(api_key::Column::Id.eq(id))
            .filter(api_key::Column::RevokedAt.is_null())
            .exec(&transaction)
            .await?;
        if revoked.rows_affected == 0 {
            return Ok(None);
        }
        self.finish(tenant, transaction, (), vec![Tag::own(tenant, "ApiKey", id)]).await.map(Some)
    }
}

/// Keys that are accepted, each in one moment with its tenant and the head of its stream.
const ACCEPTED: &str = "SELECT k.id, k.tenant, k.prefix, k.name, k.role, k.created_at, k.last_used_at, t.name, \
     (SELECT h.head FROM stream_head h WHERE h.tenant = k.tenant) \
     FROM api_key k JOIN tenant t ON t.id = k.tenant WHERE k.revoked_at IS NULL";

fn accepted_of(row: &QueryResult) -> Result<AcceptedKey, StoreError> {
    let text = |index| row.try_get_by_index::<String>(index);
    Ok(AcceptedKey {
        key: ApiKey {
            id: text(0)?,
            tenant: text(1)?.into(),
            prefix: text(2)?,
            name: text(3)?,
            role: text(4)?,
            created_at: from_micros(row.try_get_by_index(5)?),
            revoked_at: None,
            last_used_at: row.try_get_by_index::<Option<i64>>(6)?.map(from_micros),
        },
        tenant_name: text(7)?,
        // Before the first change there is none.
        head: row.try_get_by_index::<Option<i64>>(8)?.unwrap_or(0),
    })
}

fn key_of(row: api_key::Model) -> ApiKey {
    ApiKey {
        id: row.id,
        tenant: row.tenant.into(),
        prefix: row.prefix,
        name: row.name,
        role: row.role,
        created_at: from_micros(row.created_at),
        revoked_at: row.revoked_at.map(from_micros),
        last_used_at: row.last_used_at.map(from_micros),
    }
}
