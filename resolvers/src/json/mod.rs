//! Reading JSON that others wrote, so that nothing in it can be an error: what is missing or odd is `None`.

mod lean;
mod mend;

use serde::de::{DeserializeSeed as _, IgnoredAny};
use serde_json::Value;

/// A text that is not empty.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// A member that is an object.
pub(crate) fn object<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).filter(|member| member.is_object())
}

/// A list; empty when it is missing.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The text of a document, without the byte order mark that some senders begin it with (RFC 8259, 8.1, allows to pass it by).
fn text_of(document: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(document).ok()?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Whether this is a JSON object in UTF-8, by the grammar.
pub(crate) fn is_object(document: &[u8]) -> bool {
    let Some(text) = text_of(document) else { return false };
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Reads everything that [`is_object`] lets in, also what fits the grammar and not the parser.
pub(crate) fn read_object(document: &[u8]) -> Option<Value> {
    read_members(document, |_| true)
}

/// The same without the members, at any depth, whose names are not wanted.
pub(crate) fn read_members(document: &[u8], wanted: fn(&str) -> bool) -> Option<Value> {
    let value = read(document, wanted).or_else(|| {
        let mended = is_object(document).then(|| mend::mended(document))?;
        read(&mended, wanted)
    });
    value.filter(Value::is_object)
}

fn read(document: &[u8], wanted: fn(&str) -> bool) -> Option<Value> {
    // The document is known to be UTF-8, so its parts are not checked again.
    let mut deserializer = serde_json::Deserializer::from_str(text_of(document)?);
    let value = lean::Lean(wanted).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok().map(|()| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{is_object, read_object};

    #[test]
    fn what_fits_the_grammar_is_read() {
        let deep = format!(r#"{{"a":{}1{},"b":2}}"#, "[".repeat(50_000), "]".repeat(50_000));
        let table = [
            (r#"{"a":"x\ud83d"}"#, json!({"a": "x\u{fffd}"})),
            (r#"{"a":"\ude00\ud83d\ude00\ud83dx"}"#, json!({"a": "\u{fffd}😀\u{fffd}x"})),
            (r#"{"a":"\\ud83d\"","b":"\\"}"#, json!({"a": "\\ud83d\"", "b": "\\"})),
            (r#"{"\ud800":[1e999,-1e999,1e5,-0.5]}"#, json!({"\u{fffd}": [null, null, 1e5, -0.5]})),
            (r#"{"a":"1e999 \ud800 {[","b":1e400}"#, json!({"a": "1e999 \u{fffd} {[", "b": null})),
        ];
        for (document, expected) in table {
            assert!(is_object(document.as_bytes()), "{document}");
            assert_eq!(read_object(document.as_bytes()), Some(expected), "{document}");
        }
        let read = read_object(deep.as_bytes()).unwrap();
        assert_eq!(read["b"], 2);
        assert!(read["a"][0][0][0].is_array());
    }

    #[test]
    fn a_byte_order_mark_is_passed_by_once() {
        assert_eq!(read_object("\u{feff}{\"a\":1}".as_bytes()), Some(json!({"a": 1})));
        assert!(read_object("\u{feff}\u{feff}{\"a\":1}".as_bytes()).is_none());
    }

    #[test]
    fn what_does_not_is_not() {
        let all: [&[u8]; 9] = [
            b"",
            b"[]",
            b"null",
            b"{",
            br#"{"a":}"#,
            br#"{"a":1}x"#,
            b"{\"a\":\"\xff\"}",
            br#"{"a":"\ud8zz"}"#,
            b"\"{}\"",
        ];
        for document in all {
            assert!(!is_object(document) && read_object(document).is_none(), "{}", String::from_utf8_lossy(document));
        }
    }

    /// JSON by its grammar: what no parser need take is in it too.
    fn document() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            r"\ud83d",
            r"\ude00",
            r"\ud83d\ude00",
            r"\\",
            r#"\""#,
            "e",
            "9",
            r"\u0000",
            "[{",
        ]);
        let string = prop::collection::vec(part, 0..6).prop_map(|parts| format!("\"{}\"", parts.concat()));
        let number = prop::sample::select(vec![
            "0",
            "-1",
            "1e999",
            "-1E+400",
            "1e-400",
            "0.5",
            "123456789012345678901234567890",
        ]);
        let leaf = prop_oneof![string.clone(), number.prop_map(str::to_owned), Just("null".to_owned())];
        let value = leaf.prop_recursive(130, 300, 4, move |inner| {
            let members = prop::collection::vec((string.clone(), inner.clone()), 0..3);
            let object = members.prop_map(|members| {
                let members: Vec<String> =
                    members.into_iter().map(|(name, value)| format!("{name} : {value}")).collect();
                format!("{{{}}}", members.join(","))
            });
            prop_oneof![object, prop::collection::vec(inner, 1..3).prop_map(|items| format!("[ {}]", items.join(",")))]
        });
        value.prop_map(|value| format!(r#"{{"a":{value}}}"#))
    }

    proptest! {
        #[test]
        fn whatever_is_let_in_can_be_read(document in document()) {
            prop_assert!(is_object(document.as_bytes()));
            let read = read_object(document.as_bytes());
            prop_assert!(read.is_some(), "{document}");
            if let Ok(plain) = serde_json::from_str::<Value>(&document) {
                prop_assert_eq!(read, Some(plain));
            }
        }
    }
}
