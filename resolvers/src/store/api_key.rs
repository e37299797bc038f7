//! API keys: 256 random bits, of which only a hash is stored. No pepper and no slow hash: there is nothing to guess.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use mullion_entities::api_key;
use mullion_schema::id::TenantId;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::Expr};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Database, StoreError, text::clean, transaction::from_micros};
use crate::secret::Secret;

/// What every key begins with, so that leaked ones are recognised by scanners.
const PREFIX: &str = "mln_";

/// How many characters of a key are kept to recognise it by: 48 of its 256 bits.
const KEPT: usize = 12;

/// How exactly `last_used_at` is kept, so that reads do not become writes.
const LAST_USED_EVERY: Duration = Duration::minutes(5);

/// An API key, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// Its first characters.
    pub prefix: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it is not accepted.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to some minutes.
    pub last_used_at: Option<DateTime<Utc>>,
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
        let prefix = secret.expose_text().unwrap_or_default().chars().take(KEPT).collect();
        let row = api_key::Model {
            id: self.new_id()?,
            tenant: tenant.as_str().to_owned(),
            hash: hash(secret.expose()),
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

    /// The key that was presented, if it is one that is accepted.
    pub async fn authenticate(&self, presented: &Secret) -> Result<Option<ApiKey>, StoreError> {
        let hash = hash(presented.expose());
        let row = api_key::Entity::find().filter(api_key::Column::Hash.eq(hash.clone())).one(&self.0.reader).await?;
        let row = row.filter(|row| bool::from(row.hash.ct_eq(&hash)) && row.revoked_at.is_none());
        let Some(key) = row.map(key_of) else { return Ok(None) };
        let now = self.now();
        if key.last_used_at.is_none_or(|used| now - used >= LAST_USED_EVERY) {
            let transaction = self.begin().await?;
            api_key::Entity::update_many()
                .col_expr(api_key::Column::LastUsedAt, Expr::value(now.timestamp_micros()))
                .filter(api_key::Column::Id.eq(key.id.as_str()))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
        }
        Ok(Some(key))
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

    /// Revokes a key, by id. Whether it was accepted until now.
    pub async fn revoke_api_key(&self, tenant: &TenantId, id: &str) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        let revoked = api_key::Entity::update_many()
            .col_expr(api_key::Column::RevokedAt, Expr::value(self.now().timestamp_micros()))
            .filter(api_key::Column::Tenant.eq(tenant.as_str()))
            .filter(api_key::Column::Id.eq(id))
            .filter(api_key::Column::RevokedAt.is_null())
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(revoked.rows_affected > 0)
    }
}

fn hash(key: &[u8]) -> Vec<u8> {
    Sha256::digest(key).to_vec()
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
