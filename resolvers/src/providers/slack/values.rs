//! Values as Slack writes them and as they stand in bodies. A missing or odd value is `None`, never an error.

use chrono::{DateTime, SecondsFormat, Utc};
use mullion_schema::providers::slack::plain;
use serde_json::Value;

pub(super) use crate::json::{list, object, text};

/// Longer texts of people are cut in summaries.
const EXCERPT: usize = 80;

/// A text as it stands in bodies: null where it is empty or missing.
pub(super) fn text_or_null(value: &Value, key: &str) -> Value {
    text(value, key).map_or(Value::Null, Into::into)
}

/// A flag; false when it is missing.
pub(super) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// The time that a `ts` tells. It is read digit by digit: as a number it would lose its last places.
pub(super) fn ts(text: &str) -> Option<DateTime<Utc>> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || seconds.len() > 11 || fraction.len() > 6 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let micros: u32 = format!("{fraction:0<6}").parse().ok()?;
    DateTime::from_timestamp(seconds.parse().ok()?, micros * 1000)
}

/// A member that is a `ts`.
pub(super) fn ts_of(value: &Value, key: &str) -> Option<DateTime<Utc>> {
    ts(text(value, key)?)
}

/// Seconds since 1970.
pub(super) fn seconds(value: &Value, key: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(value.get(key)?.as_i64().filter(|seconds| *seconds > 0)?, 0)
}

/// Milliseconds since 1970, as channels have them; small numbers are seconds.
pub(super) fn millis(value: &Value, key: &str) -> Option<DateTime<Utc>> {
    let number = value.get(key)?.as_i64().filter(|number| *number > 0)?;
    if number < 100_000_000_000 { DateTime::from_timestamp(number, 0) } else { DateTime::from_timestamp_millis(number) }
}

/// A time as it stands in bodies.
pub(super) fn stamp(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::Null, |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
}

/// The beginning of what somebody wrote, in one line and without Slack's markup of mentions and links.
pub(super) fn excerpt(text: &str) -> String {
    shortened(&plain(text).split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A text of people, cut.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{excerpt, ts};

    #[test]
    fn a_ts_is_read_to_the_microsecond() {
        let micros = |text| ts(text).map(|at| at.timestamp_micros());
        assert_eq!(micros("1700000000.123456"), Some(1_700_000_000_123_456));
        assert_eq!(micros("1700000000.000001"), Some(1_700_000_000_000_001));
        assert_eq!(micros("1700000000.5"), Some(1_700_000_000_500_000));
        assert_eq!(micros("1700000000"), Some(1_700_000_000_000_000));
        for odd in ["", ".", "x", "1.x", "-1.0", "1700000000.1234567", "99999999999999.0", "1 2"] {
            assert_eq!(micros(odd), None, "{odd}");
        }
    }

    #[test]
    fn an_excerpt_is_one_plain_line() {
        for (text, plain) in [
            ("plain", "plain"),
            ("a\n b", "a b"),
            ("<@U1> and <@U2|ada>", "@someone and @ada"),
            ("<#C1|general> <#C2>", "#general #channel"),
            ("<!here> <!subteam^S1|@team> <!date^1^{date}|today>", "@here @team today"),
            ("see <https://a.example/x|the page> or <https://b.example>", "see the page or https://b.example"),
            ("1 &lt; 2 &amp;&amp; 3", "1 < 2 && 3"),
            ("a < b", "a  b"),
            ("", ""),
        ] {
            assert_eq!(excerpt(text), plain.split_whitespace().collect::<Vec<_>>().join(" "), "{text}");
        }
        assert_eq!(excerpt(&"é".repeat(100)), format!("{}…", "é".repeat(80)));
    }
}
