//! Sort keys of windows by time: texts of one width, whose ascending order is the order of the list.

use chrono::{DateTime, Utc};

/// Ascending by time.
pub(crate) fn oldest_first(at: Option<DateTime<Utc>>) -> Option<String> {
    Some(format!("{:020}", micros(at?)))
}

/// Descending by time.
pub(crate) fn newest_first(at: Option<DateTime<Utc>>) -> Option<String> {
    Some(format!("{:020}", u64::MAX - micros(at?)))
}

fn micros(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp_micros()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{newest_first, oldest_first};

    #[test]
    fn keys_sort_as_texts_both_ways() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        assert!(oldest_first(at(9)) < oldest_first(at(10)) && newest_first(at(10)) < newest_first(at(9)));
        assert_eq!(oldest_first(at(-1)), oldest_first(at(0)), "nothing of these is older");
        assert_eq!((oldest_first(None), newest_first(None)), (None, None));
    }
}
