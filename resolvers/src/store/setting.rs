//! Settings of the whole installation: few, by name.

use mullion_entities::setting;
use sea_orm::{ActiveValue::Set, EntityTrait, QueryTrait, sea_query::OnConflict};

use super::{Database, StoreError, session::Session, text::clean};

impl Database {
    /// A setting.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = setting::Entity::find_by_id(name).one(&self.0.reader).await?;
        Ok(row.map(|row| row.value))
    }

    /// Sets a setting.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        set(&transaction, name, value).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Sets a setting inside a transaction.
pub(super) async fn set(connection: &impl Session, name: &str, value: &str) -> Result<(), StoreError> {
    let row = setting::ActiveModel { name: Set(name.to_owned()), value: Set(clean(value)) };
    let over = OnConflict::column(setting::Column::Name).update_column(setting::Column::Value).to_owned();
    Ok(connection.run(setting::Entity::insert(row).on_conflict(over).build(connection.backend())).await?)
}
