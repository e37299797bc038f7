//! Reads one list of a feed: as far as a page needs it, back to a time, or all of it; and says what is known after that.

use std::sync::Arc;

use chrono::{DateTime, NaiveTime, Utc};
use mullion_schema::{
    error::ErrorCode,
    id::IntegrationId,
    ports::{List, ListQuery, PageRequest, Position, Problem},
    view::NodeView,
};

use super::{
    feed::{Admits, By, DEEP, Extent, Feed, NewestFirst, Source},
    gathered::Gathered,
};
use crate::reading::{
    cached_store::derived::DerivedFacts, complete_list::CompleteList, fetches::readers::Reading, read_lists::ListPart,
};

/// Items that are read of a list in one go.
const STEP: usize = 100;
/// Items in memory that are looked at before others may have their turn.
const STRETCH: usize = 64;

/// When enough of a list was read.
#[derive(Clone, Copy)]
enum Stop<'a> {
    /// At its end.
    AtEnd,
    /// When the page is full, and it is known whether it goes on.
    Full(&'a PageRequest),
    /// At the first item that is older.
    Before(NewestFirst, DateTime<Utc>),
}

impl Stop<'_> {
    /// How many items are read first.
    fn first_step(self) -> usize {
        match self {
            // From the head of an ordered list, one more than the page holds tells whether it goes on.
            Self::Full(page) if page.after.is_none() => STEP.min(page.first + 1),
            _ => self.step(),
        }
    }

    /// How many items are read in one go. Providers give a hundred: where the first of them may do, the rest is not asked for, so
    /// that one that left the list does not cost a call.
    fn step(self) -> usize {
        if let Self::Before(..) = self { STEP / 2 } else { STEP }
    }
}

impl Feed<'_> {
    fn stop(&self, source: &Source<'_>) -> Stop<'_> {
        match (self.extent, source.newest_first) {
            // The number of all is the provider's, or has to be counted. No list tells it where lists share items.
            (Extent::Page(page), _) if source.in_order && !source.overlaps && (source.exact || !page.total) => {
                Stop::Full(page)
            }
            (Extent::Since(since), Some(order)) => Stop::Before(order, since),
            _ => Stop::AtEnd,
        }
    }

    /// Reads one list.
    pub(super) async fn read(&self, source: &Source<'_>, begun: Option<Reading>, admits: &Admits<'_>) -> Gathered {
        let integration = &source.container.integration;
        let list = List {
            integration: integration.id.clone(),
            parent: Some((source.container.lists.container, Arc::clone(&source.container.native_id))),
            name: source.name,
            filter: source.filter.clone(),
        };
        let engine = self.session.engine();
        let stop = self.stop(source);
        let mut query = ListQuery { list, first: stop.first_step(), after: None, fields: self.fields.clone() };
        let scope = self.session.scope();
        // Batches of this integration wait while the store is looked into.
        let mut reading = begun.unwrap_or_else(|| engine.reading(scope, &integration.id));
        if let Some(complete) = engine.complete_list(scope, &query).await
            && let Some(part) = self.walk(&complete, source, stop, admits).await
        {
            return part;
        }
        let mut part = Gathered::nothing();
        let mut looked_at = 0;
        loop {
            let listed = match engine.read_list_while(scope, &query, reading).await {
                Ok(listed) => listed,
                Err(error) => {
                    part.miss(&error, engine.clock.now());
                    return part;
                }
            };
            reading = engine.reading(scope, &integration.id);
            query.first = stop.step();
            query.after = listed.items.last().map(|(position, _)| position.clone()).or(query.after);
            looked_at += self.counted(&listed, stop);
            let read = Read { stuck: listed.items.is_empty() || looked_at >= DEEP, ..Read::of(&listed, stop) };
            self.add(&mut part, source, listed, admits);
            if part.ends(source, stop, &read) {
                return part;
            }
        }
    }

    /// How many items of a step count against the bound of a reading. Those before the page do not, so that one can page on behind
    /// any of them.
    fn counted(&self, listed: &ListPart, stop: Stop<'_>) -> usize {
        let after = if let Stop::Full(page) = stop { page.after.as_ref() } else { None };
        let Some(after) = after else { return listed.items.len() };
        listed.items.iter().filter(|(position, view)| self.position(position, view) > *after).count()
    }

    fn add(&self, part: &mut Gathered, source: &Source<'_>, listed: ListPart, admits: &Admits<'_>) {
        let integration = &source.container.integration;
        part.refreshed_at = listed.refreshed_at;
        let admitted = listed.items.into_iter().filter(|(_, view)| admits(integration, view, &DerivedFacts::default()));
        part.items.extend(admitted.map(|(listed, view)| (self.position(&listed, &view), view)));
        match &listed.failure {
            Some(error) if listed.is_cut => part.miss(error, self.session.engine().clock.now()),
            // A list of many steps is old once.
            Some(error) if part.problems.is_empty() => part.outdate(error, self.session.engine().clock.now()),
            _ => {}
        }
    }

    /// The same over a list that is all in memory, as if it were read page by page. `None`: not all
    /// is known that is needed.
    async fn walk(
        &self,
        complete: &CompleteList,
        source: &Source<'_>,
        stop: Stop<'_>,
        admits: &Admits<'_>,
    ) -> Option<Gathered> {
        let page = if let Stop::Full(page) = stop { Some(page) } else { None };
        let mut part = Gathered { refreshed_at: Some(complete.refreshed_at()), ..Gathered::nothing() };
        let mut tags = Vec::new();
        let (mut looked_at, mut end_of_page) = (0, stop.first_step());
        for item in complete.items() {
            let (listed, known) = item?;
            if looked_at == end_of_page {
                end_of_page += STEP;
                if page.is_some_and(|page| part.reaches(page)) {
                    part.has_more = true;
                    part.total = Some(complete.count()).filter(|_| source.exact);
                    self.session.scope().record_all(tags);
                    return Some(part);
                }
            }
            looked_at += 1;
            if page.is_some() {
                tags.push(known.tag.clone());
            }
            if admits(&complete.integration, &known.view, &known.facts) {
                part.items.push((self.position(listed, &known.view), Arc::clone(&known.view)));
            }
            if looked_at.is_multiple_of(STRETCH) {
                // One document may ask for many such walks: others have their turn in between.
                tokio::task::consume_budget().await;
            }
        }
        self.session.scope().record_group(complete.tags());
        part.total = i64::try_from(part.items.len()).ok();
        Some(part)
    }

    /// Where an item stands in the feed.
    fn position(&self, listed: &Position, view: &NodeView) -> Position {
        // Where everything is wanted, nobody pages through it.
        if !matches!(self.extent, Extent::Page(_)) {
            return Position { sort: String::new(), native_id: String::new() };
        }
        let sort = match self.order.by {
            By::Listed => listed.sort.clone(),
            By::Key(key) => {
                let time =
                    view.time(key).or_else(|| view.date(key).map(|date| date.and_time(NaiveTime::MIN).and_utc()));
                sort_text(time, self.order.ascending)
            }
        };
        Position { sort, native_id: view.key.reference() }
    }
}

/// The result of a step of a reading.
struct Read {
    has_next: bool,
    total: Option<i64>,
    /// The time of the last item, where the list is ordered by it.
    back_to: Option<DateTime<Utc>>,
    /// It cannot go on, or has read as much as it may.
    stuck: bool,
}

impl Read {
    fn of(listed: &ListPart, stop: Stop<'_>) -> Self {
        let back_to = match stop {
            Stop::Before(order, _) => listed.items.last().and_then(|(_, view)| view.time(order.key)),
            Stop::AtEnd | Stop::Full(_) => None,
        };
        Self { has_next: listed.has_next, total: listed.total, back_to, stuck: false }
    }
}

impl Gathered {
    /// Whether there are enough items for a page, and one more to know whether it goes on.
    fn reaches(&self, page: &PageRequest) -> bool {
        let after = page.after.as_ref();
        self.items.iter().filter(|(position, _)| after.is_none_or(|after| position > after)).count() > page.first
    }

    /// Whether the list needs not be read any further, after a step; then what is known of it is noted.
    fn ends(&mut self, source: &Source<'_>, stop: Stop<'_>, read: &Read) -> bool {
        if self.missing.is_some() {
            return true;
        }
        if !read.has_next {
            self.total = i64::try_from(self.items.len()).ok();
            return true;
        }
        let known_from = match stop {
            Stop::Before(order, _) => read.back_to.map(|at| at + order.lag),
            Stop::AtEnd | Stop::Full(_) => None,
        };
        let enough = match stop {
            Stop::AtEnd => false,
            Stop::Full(page) => self.reaches(page),
            Stop::Before(_, since) => known_from.is_some_and(|from| from < since),
        };
        if enough || read.stuck {
            if !enough {
                self.cut(too_many(&source.container.integration.id));
            }
            self.has_more = true;
            self.total = read.total.filter(|_| source.exact && !source.overlaps);
            self.known_from = known_from.unwrap_or(DateTime::<Utc>::MAX_UTC);
        }
        enough || read.stuck
    }
}

fn too_many(integration: &IntegrationId) -> Problem {
    Problem {
        code: ErrorCode::Incomplete,
        message: format!(
            "a list has more than the {DEEP} items that are read for counts, metrics and other orders than its own: \
             narrow the filter, or name fewer containers"
        ),
        integration: Some(integration.clone()),
        retry_after: None,
    }
}

/// Text whose ascending order is the order of the times, those without one last either way.
fn sort_text(time: Option<DateTime<Utc>>, ascending: bool) -> String {
    const LAST: &str = "~";
    let Some(time) = time else { return LAST.to_owned() };
    // Shifted so that times before 1970 are positive: 19 digits hold every microsecond that chrono knows.
    let micros = time.timestamp_micros().saturating_add(1 << 62);
    let key = if ascending { micros } else { i64::MAX - micros };
    format!("{key:019}")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::sort_text;

    #[test]
    fn times_sort_both_ways_and_nothing_comes_last() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        assert!(sort_text(at(-5), true) < sort_text(at(0), true));
        assert!(sort_text(at(0), true) < sort_text(at(1_700_000_000), true));
        assert!(sort_text(at(1_700_000_000), false) < sort_text(at(0), false));
        assert!(sort_text(at(1_700_000_000), true) < sort_text(None, true));
        assert!(sort_text(at(-5), false) < sort_text(None, false));
    }
}
