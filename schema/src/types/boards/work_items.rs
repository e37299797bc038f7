//! Pages over several integrations as connections.

use async_graphql::Object;

use super::common::WidgetProblem;
use crate::{
    cost::Items,
    cursor::Origin,
    interfaces::WorkItem,
    ports::{Load, WorkPage},
    table::{Connection, Edge, FromView, Many, PageInfo},
};

/// A page of nodes as a connection; nodes of another type than the widget shows are left out.
pub fn node_connection<T: FromView>(origin: Origin, page: &WorkPage, after: Option<&str>) -> Connection<T> {
    let items = page.items.iter().filter_map(|(at, view)| Some((at.clone(), T::from_view(view.clone())?)));
    Connection::new(origin, items.collect(), page.has_next, after, page.total)
}

/// A page of work items with its problems.
pub fn work_item_connection(origin: Origin, load: &Load<WorkPage>, after: Option<&str>) -> WorkItemConnection {
    let problems = load.problems.iter().cloned().map(WidgetProblem).collect();
    WorkItemConnection::new(node_connection::<WorkItem>(origin, &load.value, after), problems)
}

/// A page of work items of several integrations.
pub struct WorkItemConnection {
    page: Connection<WorkItem>,
    problems: Vec<WidgetProblem>,
}

impl WorkItemConnection {
    /// A page and what is wrong with it.
    pub fn new(page: Connection<WorkItem>, problems: Vec<WidgetProblem>) -> Self {
        Self { page, problems }
    }
}

/// A page of work items, which may come from several integrations.
#[Object]
impl WorkItemConnection {
    /// The items with their cursors.
    async fn edges(&self) -> Many<&Edge<WorkItem>> {
        self.page.edges.iter().collect()
    }

    /// The items.
    async fn nodes(&self) -> Many<&WorkItem> {
        self.page.edges.iter().map(|edge| &edge.node).collect()
    }

    /// Where the page stands in its list.
    async fn page_info(&self) -> &PageInfo {
        &self.page.page_info
    }

    /// How many items the whole list has, as many as paging gives: an item that is in several projects, or that several
    /// integrations show, counts once. Null where that is not known: a part could not be read, or there is more than can be
    /// counted; `problems` says which.
    async fn total_count(&self) -> Option<i32> {
        self.page.total_count
    }

    /// Integrations whose items are missing, old or not all counted, and why. Where this is not selected, a part that is missing is an
    /// error at the connection.
    #[graphql(directive = Items::apply(5))]
    async fn problems(&self) -> Many<&WidgetProblem> {
        self.problems.iter().collect()
    }
}
