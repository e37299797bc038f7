//! Reads that draw on several integrations at once: the lists of many containers, filtered, ordered and paged together.
//!
//! A container that fails is a problem of the answer, not its end: the others are shown, and the widget says what is missing.

mod container;
mod containers;
mod feed;
mod filter;
mod gathered;
mod history;
mod metric;
mod people;
mod read_source;
mod sources;

use std::collections::BTreeMap;

use async_trait::async_trait;
use mullion_schema::{
    enums::{OrderDirection, WorkItemOrderField, WorkItemState},
    error::{ErrorCode, PortError},
    fields::FieldSet,
    ports::{
        BuildsSource, Load, MessagesSource, MetricSource, MetricValue, PageRequest, PullRequestsSource, Work,
        WorkItemsSource, WorkPage,
    },
};

pub(crate) use self::container::all_containers;
use self::{
    feed::{By, Extent, Feed, LISTED, Order},
    filter::WorkFilter,
};
use super::{cached_store::derived::work_item_state, session::Session};

fn order_of(source: &WorkItemsSource) -> Order {
    let by = match source.order.field {
        WorkItemOrderField::UpdatedAt => By::Key("updatedAt"),
        WorkItemOrderField::CreatedAt => By::Key("createdAt"),
        WorkItemOrderField::DueOn => By::Key("dueOn"),
    };
    Order { by, ascending: source.order.direction == OrderDirection::Asc }
}

#[async_trait]
impl Work for Session {
    async fn work_items(&self, source: &WorkItemsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        let filter = WorkFilter::new(&source.filter);
        let mut fields = page.fields.clone();
        fields.extend(&filter.fields());
        let feed = Feed { session: self, order: order_of(source), fields, extent: Extent::Page(&page) };
        let load = feed.work_items(&filter).await?.page(&page)?;
        Ok(self.checked(self.with_people(load, &page.fields).await))
    }

    async fn counts_by_state(&self, source: &WorkItemsSource) -> Result<Load<BTreeMap<WorkItemState, i32>>, PortError> {
        let filter = WorkFilter::new(&source.filter);
        let feed = Feed { session: self, order: order_of(source), fields: filter.fields(), extent: Extent::All };
        let mut gathered = feed.work_items(&filter).await?;
        gathered.notes_are_problems();
        gathered.distinct();
        let mut counts = BTreeMap::new();
        for (_, view) in &gathered.items {
            if let Some(state) = work_item_state(view) {
                *counts.entry(state).or_default() += 1;
            }
        }
        let empty = gathered.items.is_empty();
        Ok(self.checked(gathered.load(counts, empty)))
    }

    async fn pull_requests(&self, source: &PullRequestsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        let fields = with(&page.fields, &["author"]);
        let feed = Feed { session: self, order: LISTED, fields, extent: Extent::Page(&page) };
        let load = feed.pull_requests(source).await?.page(&page)?;
        Ok(self.checked(self.with_people(load, &page.fields).await))
    }

    async fn builds(&self, source: &BuildsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        let feed = Feed { session: self, order: LISTED, fields: page.fields.clone(), extent: Extent::Page(&page) };
        let load = feed.builds(source).await?.page(&page)?;
        Ok(self.checked(self.with_people(load, &page.fields).await))
    }

    async fn messages(&self, source: &MessagesSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        let feed = Feed { session: self, order: LISTED, fields: page.fields.clone(), extent: Extent::Page(&page) };
        let load = feed.messages(&source.containers).await?.page(&page)?;
        Ok(self.checked(self.with_people(load, &page.fields).await))
    }

    async fn metric(&self, source: &MetricSource) -> Result<Load<MetricValue>, PortError> {
        metric::measure(self, source).await.map(|load| self.checked(load))
    }
}

impl Session {
    /// An answer one of whose problems is a fault of ours says so, but must neither be kept nor be the last word.
    fn checked<T>(&self, load: Load<T>) -> Load<T> {
        let ours = [ErrorCode::InternalServerError, ErrorCode::ServiceUnavailable];
        if load.problems.iter().any(|problem| ours.contains(&problem.code)) {
            self.scope().note_failed();
        }
        load
    }
}

fn with(fields: &FieldSet, more: &[&str]) -> FieldSet {
    let mut fields = fields.clone();
    fields.extend(&more.iter().copied().collect());
    fields
}
