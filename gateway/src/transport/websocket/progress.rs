//! What a ping may tell: the position up to which every subscription of a socket has sent everything.
//!
//! Of its own, since it is where clients lose events when it is wrong, and is tested without a socket.

use mullion_schema::id::EventCursor;

use crate::transport::engine::LiveMark;

/// How far one subscription has come.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Everything up to here was sent.
    through: Option<LiveMark>,
    /// Where its client goes on from: the last event, or where it began.
    held: Option<i64>,
}

impl Reach {
    /// An event was sent; with it, perhaps, everything up to a position.
    pub(super) fn event(&mut self, through: Option<LiveMark>) {
        if let Some(mark) = through {
            self.held = Some(mark.position);
            self.through = Some(mark);
        }
    }

    /// Everything up to a position was sent.
    pub(super) fn mark(&mut self, mark: LiveMark) {
        self.held.get_or_insert(mark.position);
        self.through = Some(mark);
    }
}

/// The least position, if each subscription has one; and none that is behind what one of them has told already: a client that goes
/// on from there would be told it twice.
pub(super) fn least<'a>(subscriptions: impl IntoIterator<Item = &'a Reach>) -> Option<&'a EventCursor> {
    let mut least: Option<&LiveMark> = None;
    let mut held = None;
    for reach in subscriptions {
        let mark = reach.through.as_ref()?;
        least = Some(least.filter(|known| known.position <= mark.position).unwrap_or(mark));
        held = held.max(reach.held);
    }
    least.filter(|mark| Some(mark.position) >= held).map(|mark| &mark.cursor)
}

#[cfg(test)]
mod tests {
    use super::{EventCursor, LiveMark, Reach, least};

    fn at(position: i64) -> LiveMark {
        LiveMark { position, cursor: position.to_string().into() }
    }

    /// A subscription that began at a position, told an event, and came to another position.
    fn reach(began: i64, event: Option<i64>, mark: Option<i64>) -> Reach {
        let mut reach = Reach::default();
        reach.mark(at(began));
        if event.is_some() {
            reach.event(event.map(at));
        }
        if let Some(mark) = mark {
            reach.mark(at(mark));
        }
        reach
    }

    #[test]
    fn a_ping_tells_the_least_of_all_and_nothing_older_than_an_event() {
        let cases = [
            ("no subscription", vec![], None),
            ("one that has told nothing yet", vec![reach(1, None, Some(9)), Reach::default()], None),
            ("the least", vec![reach(1, None, Some(9)), reach(1, Some(3), Some(7))], Some("7")),
            ("an event counts", vec![reach(1, Some(8), None), reach(1, None, Some(9))], Some("8")),
            ("older than an event", vec![reach(1, Some(8), None), reach(1, None, Some(7))], None),
            ("older than where one began", vec![reach(9, None, None), reach(1, None, Some(7))], None),
        ];
        for (case, subscriptions, expected) in cases {
            assert_eq!(least(&subscriptions).map(EventCursor::as_str), expected, "{case}");
        }
        let mut unfinished = reach(1, None, Some(4));
        unfinished.event(None);
        assert_eq!(least([&unfinished]).map(EventCursor::as_str), Some("4"), "it stays true");
    }
}
