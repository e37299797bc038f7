//! Connections, edges and page information: one form for every list.

use std::borrow::Cow;

use async_graphql::{Object, OutputType, SimpleObject, TypeName};

use super::many::Many;
use crate::{cursor::Origin, ports::Position};

/// A type that connections are made of.
pub trait Item: OutputType + Send + Sync {
    /// The stem of its connection's and edge's names: `GithubIssue` for `GithubIssueConnection`.
    fn stem() -> Cow<'static, str>;
}

/// Where a page stands in its list.
#[derive(Debug, Clone, Default, SimpleObject)]
#[graphql(shareable)]
pub struct PageInfo {
    /// Whether more items follow.
    has_next_page: bool,
    /// Whether items come before: true when the page was asked for with `after`.
    has_previous_page: bool,
    /// Cursor of the first item of the page.
    start_cursor: Option<String>,
    /// Cursor of the last item of the page: the next page's `after`. Where nothing of a page could be read although more follows, this
    /// is the `after` that the page was asked for with.
    end_cursor: Option<String>,
}

/// A page of a list.
pub struct Connection<T> {
    pub(crate) edges: Vec<Edge<T>>,
    pub(crate) page_info: PageInfo,
    pub(crate) total_count: Option<i32>,
}

impl<T> Connection<T> {
    /// A page of these items of a list, those behind `after`. One that is empty although more follow ends where it began, so that the
    /// client can ask for the same again.
    pub fn new(
        origin: Origin,
        items: Vec<(Position, T)>,
        has_next: bool,
        after: Option<&str>,
        total: Option<i64>,
    ) -> Self {
        let edges: Vec<Edge<T>> =
            items.into_iter().map(|(at, node)| Edge { cursor: origin.encode(&at), node }).collect();
        let page_info = PageInfo {
            has_next_page: has_next,
            has_previous_page: after.is_some(),
            start_cursor: edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: edges
                .last()
                .map(|edge| edge.cursor.clone())
                .or_else(|| after.filter(|_| has_next).map(str::to_owned)),
        };
        Self { edges, page_info, total_count: total.and_then(|total| i32::try_from(total).ok()) }
    }
}

impl<T: Item> TypeName for Connection<T> {
    fn type_name() -> Cow<'static, str> {
        Cow::Owned(format!("{}Connection", T::stem()))
    }
}

/// A page of a list.
#[Object(name_type)]
impl<T: Item> Connection<T> {
    /// The items with their cursors.
    async fn edges(&self) -> Many<&Edge<T>> {
        self.edges.iter().collect()
    }

    /// The items.
    async fn nodes(&self) -> Many<&T> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// Where the page stands in its list.
    async fn page_info(&self) -> &PageInfo {
        &self.page_info
    }

    /// How many items the whole list has; null where that is not known: the provider does not say, or a part could not be read.
    async fn total_count(&self) -> Option<i32> {
        self.total_count
    }
}

/// An item of a list.
pub struct Edge<T> {
    cursor: String,
    pub(crate) node: T,
}

impl<T: Item> TypeName for Edge<T> {
    fn type_name() -> Cow<'static, str> {
        Cow::Owned(format!("{}Edge", T::stem()))
    }
}

/// An item of a list and its place there.
#[Object(name_type)]
impl<T: Item> Edge<T> {
    /// The item's place: give it as `after` to go on behind it.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The item.
    async fn node(&self) -> &T {
        &self.node
    }
}
