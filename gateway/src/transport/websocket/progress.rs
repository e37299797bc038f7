//! The cursor of a ping: the position up to which every subscription of a socket has sent everything.
//!
//! It is apart because clients lose events where it is wrong, and it is tested without a socket.

use mullion_resolvers::live::{Frame, Watermark};
use mullion_schema::id::EventCursor;

/// How far one subscription has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Everything up to here was sent.
    watermark: Option<Watermark>,
    /// Where its client goes on from: the last event, or where it began.
    held: Option<i64>,
}

impl Progress {
    /// An event was sent; with it, perhaps, everything up to a position.
    pub(super) fn event(&mut self, frame: &Frame) {
        if let Some(position) = frame.watermark {
            self.held = Some(position);
            self.watermark = Some(Watermark { position, cursor: frame.cursor.clone() });
        }
    }

    /// Everything up to a position was sent.
    pub(super) fn watermark(&mut self, watermark: Watermark) {
        self.held.get_or_insert(watermark.position);
        self.watermark = Some(watermark);
    }
}

/// The least position, if each subscription has one; and none that is behind what one of them has told already: a client that goes
/// on from there would be told it twice.
pub(super) fn resumable<'a>(subscriptions: impl IntoIterator<Item = &'a Progress>) -> Option<&'a EventCursor> {
    let mut least: Option<&Watermark> = None;
    let mut held = None;
    for progress in subscriptions {
        let watermark = progress.watermark.as_ref()?;
        least = Some(least.filter(|known| known.position <= watermark.position).unwrap_or(watermark));
        held = held.max(progress.held);
    }
    least.filter(|watermark| Some(watermark.position) >= held).map(|watermark| &watermark.cursor)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{EventCursor, Frame, Progress, Watermark, resumable};

    fn frame(watermark: Option<i64>) -> Frame {
        let cursor = watermark.unwrap_or_default().to_string().into();
        Frame { payload: Bytes::new(), cursor, watermark }
    }

    fn at(position: i64) -> Watermark {
        Watermark { position, cursor: position.to_string().into() }
    }

    /// A subscription that began at a position, told an event, and came to another position.
    fn progress(began: i64, event: Option<i64>, watermark: Option<i64>) -> Progress {
        let mut progress = Progress::default();
        progress.watermark(at(began));
        if let Some(position) = event {
            progress.event(&frame(Some(position)));
        }
        if let Some(watermark) = watermark {
            progress.watermark(at(watermark));
        }
        progress
    }

    #[test]
    fn a_ping_tells_the_least_of_all_and_nothing_older_than_an_event() {
        let cases = [
            ("no subscription", vec![], None),
            ("one that has told nothing yet", vec![progress(1, None, Some(9)), Progress::default()], None),
            ("the least", vec![progress(1, None, Some(9)), progress(1, Some(3), Some(7))], Some("7")),
            ("an event counts", vec![progress(1, Some(8), None), progress(1, None, Some(9))], Some("8")),
            ("older than an event", vec![progress(1, Some(8), None), progress(1, None, Some(7))], None),
            ("older than where one began", vec![progress(9, None, None), progress(1, None, Some(7))], None),
        ];
        for (case, subscriptions, expected) in cases {
            assert_eq!(resumable(&subscriptions).map(EventCursor::as_str), expected, "{case}");
        }
        let mut unfinished = progress(1, None, Some(4));
        unfinished.event(&frame(None));
        assert_eq!(resumable([&unfinished]).map(EventCursor::as_str), Some("4"), "it stays true");
    }
}
