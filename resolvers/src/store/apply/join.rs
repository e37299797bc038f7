//! Several events of one act, told as one activity while that waits for the names in its sentence.

use super::ApplyContext;
use crate::{
    provider::{
        change::Act,
        sentence::{Detail, Details},
    },
    store::{
        StoreError,
        activity::Activity,
        pending::{corrupt, newest, pending_of, update},
        session::Session,
        stream::NewChange,
    },
};

/// Joins new activities that wait to those of the same act that wait already, or came before them in the same batch.
pub(super) async fn join(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    changes: &mut [NewChange],
) -> Result<(), StoreError> {
    let joins = |change: &NewChange| is_pending(change.activity.as_ref()) && !change.act.names.is_empty();
    if !changes.iter().any(joins) {
        return Ok(());
    }
    let mut open = Vec::new();
    for row in connection.all(newest(context.tenant, context.integration)).await?.into_iter().rev() {
        let names = serde_json::from_str(&row.acts).map_err(corrupt)?;
        let act = Act { names, partial: row.partial };
        open.push(Open { source: Source::Row(row.position), act, activity: pending_of(&row)?.activity, joined: false });
    }
    for (index, change) in changes.iter_mut().enumerate().filter(|(_, change)| joins(change)) {
        let Some(activity) = change.activity.take() else { continue };
        match open.iter_mut().rev().find(|known| known.takes(&change.act, &activity)) {
            Some(known) => known.join(&change.act, activity),
            None => {
                open.push(Open { source: Source::Change(index), act: change.act.clone(), activity, joined: false });
            }
        }
    }
    for Open { source, act, activity, joined } in open {
        match source {
            Source::Change(index) => {
                if let Some(change) = changes.get_mut(index) {
                    (change.act, change.activity) = (act, Some(activity));
                }
            }
            Source::Row(position) if joined => update(connection, context.tenant, position, &act, &activity).await?,
            Source::Row(_) => {}
        }
    }
    Ok(())
}

/// An activity that others may join.
struct Open {
    source: Source,
    act: Act,
    activity: Activity,
    joined: bool,
}

/// Where it stands.
#[derive(Clone, Copy)]
enum Source {
    /// In the row with this position.
    Row(i64),
    /// In the change with this index.
    Change(usize),
}

impl Open {
    /// Whether an event belongs to the same act: it has a name in common, and says nothing else of anything.
    fn takes(&self, act: &Act, activity: &Activity) -> bool {
        let agrees = |(name, detail): (&String, &Detail)| {
            self.details().is_none_or(|known| known.get(name).is_none_or(|known| known == detail))
        };
        self.act.names.iter().any(|name| act.names.contains(name)) && activity.details.iter().flatten().all(agrees)
    }

    fn details(&self) -> Option<&Details> {
        self.activity.details.as_ref()
    }

    fn join(&mut self, act: &Act, other: Activity) {
        self.joined = true;
        if self.act.partial && !act.partial {
            self.activity.kind = other.kind;
            self.act.partial = false;
        }
        self.activity.details.get_or_insert_default().extend(other.details.into_iter().flatten());
        for container in other.containers {
            if !self.activity.containers.contains(&container) {
                self.activity.containers.push(container);
            }
        }
    }
}

fn is_pending(activity: Option<&Activity>) -> bool {
    activity.is_some_and(|activity| activity.pending)
}
