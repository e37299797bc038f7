//! The release of activities that wait. One transaction gives them their positions in the stream, so each is released once, however
//! many processes try and whatever fails in between.

use mullion_entities::pending_activity;
use mullion_schema::id::TenantId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{
    Database, StoreError,
    activity::Activity,
    pending::{oldest, pending_of},
    session::Session,
    stream::{AppliedChange, NewChange, append},
};
use crate::tag::Tag;

impl Database {
    /// Appends a tenant's activities that wait, up to that of a position, to the stream. Those that another process released
    /// meanwhile are left out. `settle` adds what is known only now.
    pub async fn release_activities(
        &self,
        tenant: &TenantId,
        through: i64,
        settle: impl Fn(&mut Activity) + Send,
    ) -> Result<Vec<AppliedChange>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let chosen = oldest(tenant).filter(pending_activity::Column::Position.lte(through));
        let rows = Session::all(&transaction, chosen).await?;
        let Some(last) = rows.last().map(|row| row.position) else { return Ok(Vec::new()) };
        let tags = vec![Tag::own_list(tenant, "activity")];
        let changes: Result<Vec<NewChange>, StoreError> = rows
            .into_iter()
            .map(|row| {
                let mut activity = Activity { pending: false, ..pending_of(&row)?.activity };
                settle(&mut activity);
                Ok(NewChange { tags: tags.clone(), activity: Some(activity), ..NewChange::default() })
            })
            .collect();
        pending_activity::Entity::delete_many()
            .filter(pending_activity::Column::Tenant.eq(tenant.as_str()))
            .filter(pending_activity::Column::Position.lte(last))
            .exec(&transaction)
            .await?;
        let released = append(&transaction, tenant, self.now(), changes?).await?;
        transaction.commit().await?;
        Ok(released)
    }
}
