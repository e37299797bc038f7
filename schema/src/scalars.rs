//! Scalars. Newtypes, because the library's own implementations for chrono and url go by other names (`NaiveDate`, `Url`).

use std::fmt::Write as _;

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use url::Url;

use crate::id::EventCursor;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub DateTime<Utc>);

impl Time {
    /// As text: RFC 3339 in UTC with microseconds, always, so that texts compare as the times do. It is as exact as what is stored.
    pub fn text(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Micros, true)
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

/// A moment as RFC 3339 writes it. Answers are always in UTC and with microseconds, so that they sort as texts:
/// `2026-11-22T14:00:00.000000Z`. Arguments may have any offset and as many digits as they like.
#[Scalar(name = "DateTime", specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339")]
impl ScalarType for Time {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let time = DateTime::parse_from_rfc3339(text);
        time.map(|time| Self(time.with_timezone(&Utc)))
            .map_err(|_| InputValueError::custom("expected an RFC 3339 time"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.text())
    }
}

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date(pub NaiveDate);

/// A day of the calendar: `2026-11-22`.
#[Scalar(name = "Date", specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339#section-5.6")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d");
        date.map(Self).map_err(|_| InputValueError::custom("expected a day such as 2026-11-22"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl(pub Url);

/// An absolute address.
#[Scalar(name = "URL", specified_by_url = "https://url.spec.whatwg.org/")]
impl ScalarType for WebUrl {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        Url::parse(text).map(Self).map_err(|_| InputValueError::custom("expected an absolute address"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// Whether a text is an address that a page may link to.
pub(crate) fn is_of_the_web(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// A length of time in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub u32);

const UNITS: [(char, bool, u32); 5] =
    [('W', false, 604_800), ('D', false, 86_400), ('H', true, 3_600), ('M', true, 60), ('S', true, 1)];

impl Duration {
    /// Reads `P7D`, `PT1H`, `P1DT12H`. Years and months have no fixed length and are refused.
    pub fn read(text: &str) -> Option<Self> {
        let mut seconds = 0_u32;
        let (mut digits, mut in_time, mut next_unit, mut any) = (String::new(), false, 0, false);
        for letter in text.strip_prefix('P')?.chars() {
            match letter {
                '0'..='9' => digits.push(letter),
                'T' if !in_time && digits.is_empty() => {
                    in_time = true;
                    any = false;
                }
                unit => {
                    let index = UNITS.iter().position(|(name, time, _)| *name == unit && *time == in_time)?;
                    let (_, _, length) = UNITS.get(index).filter(|_| index >= next_unit)?;
                    let amount: u32 = std::mem::take(&mut digits).parse().ok()?;
                    seconds = seconds.checked_add(amount.checked_mul(*length)?)?;
                    next_unit = index + 1;
                    any = true;
                }
            }
        }
        (any && digits.is_empty()).then_some(Self(seconds))
    }

    /// As text, in days, hours, minutes and seconds.
    pub fn text(self) -> String {
        let mut text = String::from("P");
        let mut left = self.0;
        for (name, in_time, length) in UNITS.into_iter().skip(1) {
            let amount = left / length;
            left %= length;
            if amount > 0 {
                if in_time && !text.contains('T') {
                    text.push('T');
                }
                // Writing to a string cannot fail.
                let _ = write!(text, "{amount}{name}");
            }
        }
        if text == "P" { "PT0S".to_owned() } else { text }
    }
}

/// A length of time as ISO 8601 writes it, in weeks, days, hours, minutes and seconds: `P7D`, `PT1H`.
#[Scalar(name = "Duration", specified_by_url = "https://www.iso.org/iso-8601-date-and-time-format.html")]
impl ScalarType for Duration {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        Self::read(text).ok_or_else(|| InputValueError::custom("expected an ISO 8601 duration such as P7D or PT1H"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.text())
    }
}

/// An opaque position in the stream of everything that happens in your tenant. A subscription that is given one as `after`
/// goes on behind it.
#[Scalar(name = "EventCursor")]
impl ScalarType for EventCursor {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self::from(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::{Duration, Time};

    #[test]
    fn all_times_have_one_form_and_sort_as_texts() {
        let at = DateTime::from_timestamp(1_795_356_000, 0).expect("a time");
        for (after, written) in [
            (TimeDelta::zero(), "2026-11-22T14:00:00.000000Z"),
            (TimeDelta::nanoseconds(1_999), "2026-11-22T14:00:00.000001Z"),
            (TimeDelta::milliseconds(120), "2026-11-22T14:00:00.120000Z"),
            (TimeDelta::seconds(1), "2026-11-22T14:00:01.000000Z"),
        ] {
            assert_eq!(Time(at + after).text(), written);
        }
    }

    #[test]
    fn durations_are_read_and_written() {
        for (text, seconds, written) in [
            ("P7D", 604_800, "P7D"),
            ("P1W", 604_800, "P7D"),
            ("PT1H", 3_600, "PT1H"),
            ("P1DT12H", 129_600, "P1DT12H"),
            ("PT90M", 5_400, "PT1H30M"),
            ("PT0S", 0, "PT0S"),
        ] {
            assert_eq!(Duration::read(text), Some(Duration(seconds)), "{text}");
            assert_eq!(Duration(seconds).text(), written);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "P", "PT", "7D", "P1Y", "P1M", "P1DT", "P1H", "PT1D", "P-1D", "P1.5D", "PT1S1M", "P99999999W"]
        {
            assert_eq!(Duration::read(text), None, "{text}");
        }
    }
}
