//! A list that was fetched while the store takes nothing: answered from what the fetch brought.

use mullion_schema::{error::PortError, ports::Position, view::Body};

use super::{ListPart, ListReader, ReadItem};
use crate::{
    provider::{FetchedPage, Keeping, NodeRef},
    reading::{failure::port_error, list_items::opaque_position},
    upstream::UpstreamError,
};

impl ListReader<'_> {
    /// The first page of the list, where it was fetched for this execution and could not be stored.
    pub(super) fn unstored_page(&self) -> Option<(FetchedPage, UpstreamError)> {
        self.scope.fetches.unstored_page(&self.list, &self.query.list.filter)
    }

    /// The page that is wanted, as far as it is in the first that the provider gave. Items behind that are not known here.
    pub(super) async fn read_unstored(
        &mut self,
        page: FetchedPage,
        error: &UpstreamError,
    ) -> Result<ListPart, PortError> {
        let keeping = self.integration.keeping(&self.query.list);
        let views = self.views(page.items).await?;
        let items = views.into_iter().enumerate().filter_map(|(index, (node, read))| {
            let position = match (keeping, &read) {
                (Keeping::Opaque, _) | (_, Err(_)) => opaque_position(index, &node.native_id),
                (Keeping::Window, Ok(view)) if self.matches(&view.body) => self.position_of(&node, &view.body)?,
                (Keeping::Window, Ok(_)) => return None,
            };
            Some((position, read))
        });
        let mut items: Vec<(Position, ReadItem)> = items.collect();
        if keeping == Keeping::Window {
            items.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        items.retain(|(position, _)| self.query.after.as_ref().is_none_or(|after| position > after));
        let has_next = page.next.is_some() || items.len() > self.query.first;
        self.is_cut = page.next.is_some() && items.len() < self.query.first;
        items.truncate(self.query.first);
        let items = self.shown(items);
        let failure = self.is_cut.then(|| self.lost.take().unwrap_or_else(|| port_error(&self.integration, error)));
        Ok(ListPart { items, has_next, total: page.total, failure, is_cut: self.is_cut, ..ListPart::default() })
    }

    /// The position of an item in the list.
    fn position_of(&self, node: &NodeRef, body: &Body) -> Option<Position> {
        let mut memberships = self.integration.provider.memberships(node, body).into_iter();
        let (_, sort) = memberships.find(|(list, _)| *list == self.list)?;
        Some(Position { sort, native_id: node.native_id.as_ref().to_owned() })
    }
}
