//! Changes an input: as JSON where it is JSON, as text, or as bytes.

use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// Longer inputs are cut: what is slow shows at this length too.
const LONGEST: usize = 64 * 1024;
/// Steps of one mutation, at most.
const STEPS: usize = 4;

/// Texts that readers stumble over.
const WORDS: &[&str] = &[
    "",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "\u{1f469}\u{200d}\u{1f4bb}",
    "\r\n\r\n",
    "../../x",
    "%00",
    "${x}",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ":",
    "\"",
    "\"\"\"",
    "\\u0000",
    "\\ud800",
    "...",
    "@",
    "@skip(if: true)",
    "@include(if: $x)",
    "$x",
    "__schema",
    "__typename",
    "fragment F on Query { ...F }",
    "...F",
    "query",
    "mutation",
    "subscription",
    "null",
    "true",
    "-0",
    "1e400",
    "-1",
    "2147483648",
    "9223372036854775808",
    "18446744073709551616",
    "0.1e-400",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:60+14:00",
    "-262144-01-01T00:00:00Z",
];

/// A changed copy of an input. Parts of `others` may come into it.
pub(crate) fn mutate(dice: &mut Dice, input: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(STEPS) {
        let start = body_of(&bytes);
        let way = dice.below(10);
        let changed = if way < 5 { as_json(dice, &bytes, start, others) } else { None };
        bytes = match changed {
            Some(changed) => changed,
            None if way < 8 => as_text(dice, &bytes, others),
            None => as_bytes(dice, &bytes, others),
        };
        bytes.truncate(LONGEST);
    }
    bytes
}

/// Where the body begins: behind the headers, where the input has some.
pub fn body_of(bytes: &[u8]) -> usize {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4)
}

fn as_json(dice: &mut Dice, bytes: &[u8], start: usize, others: &[Vec<u8>]) -> Option<Vec<u8>> {
    let (head, body) = bytes.split_at_checked(start)?;
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let other = dice.pick(others).and_then(|other| serde_json::from_slice(other.get(body_of(other)..)?).ok());
    let chosen = dice.below(count(&value));
    change_nth(dice, &mut value, &mut { chosen }, other.as_ref());
    Some([head, value.to_string().as_bytes()].concat())
}

/// How many values there are, this one among them.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// Changes the value that is reached when `left` is used up.
fn change_nth(dice: &mut Dice, value: &mut Value, left: &mut usize, other: Option<&Value>) -> bool {
    if *left == 0 {
        change(dice, value, other);
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change_nth(dice, item, left, other)),
        Value::Object(fields) => fields.values_mut().any(|field| change_nth(dice, field, left, other)),
        _ => false,
    }
}

fn change(dice: &mut Dice, value: &mut Value, other: Option<&Value>) {
    match (dice.below(6), &mut *value) {
        (0, _) => *value = odd(dice),
        (1, _) => {
            for _ in 0..=dice.below(150) {
                *value = if dice.below(8) == 0 { json!({ "a": value.take() }) } else { json!([value.take()]) };
            }
        }
        (2, _) if other.is_some() => *value = other.map(|other| nth(dice, other)).unwrap_or_default(),
        (_, Value::String(text)) => {
            let changed = as_text(dice, text.as_bytes(), &[]);
            *text = String::from_utf8_lossy(&changed).into_owned();
        }
        (_, Value::Array(items)) => {
            let at = dice.below(items.len());
            let item = items.get(at).cloned().unwrap_or_else(|| odd(dice));
            match dice.below(3) {
                0 if at < items.len() => drop(items.remove(at)),
                1 => items.extend(vec![item; dice.below(40)]),
                _ => items.insert(at, odd(dice)),
            }
        }
        (_, Value::Object(fields)) => change_fields(dice, fields),
        _ => *value = odd(dice),
    }
}

fn change_fields(dice: &mut Dice, fields: &mut Map<String, Value>) {
    let name = fields.keys().nth(dice.below(fields.len())).cloned().unwrap_or_default();
    let removed = fields.remove(&name).unwrap_or_default();
    match dice.below(3) {
        0 => {}
        1 => {
            fields.insert(dice.pick(WORDS).copied().unwrap_or_default().to_owned(), removed);
        }
        _ => {
            fields.insert(name, odd(dice));
        }
    }
}

/// A value out of another.
fn nth(dice: &mut Dice, value: &Value) -> Value {
    let below: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    match dice.pick(&below) {
        Some(below) if dice.below(4) > 0 => nth(dice, below),
        _ => value.clone(),
    }
}

fn odd(dice: &mut Dice) -> Value {
    match dice.below(9) {
        0 => Value::Null,
        1 => (dice.below(2) == 0).into(),
        2 => json!([]),
        3 => json!({}),
        4 => json!([[], {}, null, "x"]),
        5 => dice.pick(&[i64::MIN, -1, 0, 1, 1 << 31, 1 << 53, i64::MAX]).copied().into(),
        6 => dice.pick(&[u64::MAX.into(), json!(1e308), json!(-0.0), json!(1.5)]).cloned().unwrap_or_default(),
        7 => dice.pick(WORDS).copied().unwrap_or_default().repeat(1 + dice.below(300)).into(),
        _ => dice.pick(WORDS).copied().into(),
    }
}

fn as_text(dice: &mut Dice, bytes: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut tokens = tokens(&text);
    let range = dice.range(tokens.len());
    let some: Vec<&str> = tokens.get(range.clone()).unwrap_or_default().to_vec();
    let at = dice.below(tokens.len() + 1);
    let other = dice.pick(others).map(|other| String::from_utf8_lossy(other)).unwrap_or_default();
    match dice.below(6) {
        0 => drop(tokens.drain(range)),
        1 => drop(tokens.splice(at..at, some.iter().copied().cycle().take(some.len() * (1 + dice.below(60))))),
        2 => drop(tokens.splice(range, dice.pick(WORDS).copied())),
        3 => drop(tokens.splice(at..at, dice.pick(WORDS).copied())),
        4 => {
            let theirs = self::tokens(&other);
            let part = dice.range(theirs.len());
            tokens.splice(range, theirs.get(part).unwrap_or_default().iter().copied());
        }
        _ => {
            let (one, two) = (range.start, dice.below(tokens.len()));
            if one.max(two) < tokens.len() {
                tokens.swap(one, two);
            }
        }
    }
    tokens.concat().into_bytes()
}

/// Words, and every other character by itself.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|one: char| !one.is_alphanumeric() && one != '_').unwrap_or(rest.len());
        let (token, behind) = rest.split_at(if word > 0 { word } else { first.len_utf8() });
        tokens.push(token);
        rest = behind;
    }
    tokens
}

fn as_bytes(dice: &mut Dice, bytes: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let range = dice.range(bytes.len());
    let some = bytes.get(range.clone()).unwrap_or_default().to_vec();
    match dice.below(6) {
        0 => {
            if let Some(byte) = bytes.get_mut(range.start) {
                *byte ^= 1 << dice.below(8);
            }
        }
        1 => {
            let odd = dice.pick(&[0, 1, 0x7d, 0x7e, 0x7f, 0x80, 0xbf, 0xc0, 0xed, 0xf4, 0xfe, 0xff]).copied();
            bytes.splice(range, odd);
        }
        2 => drop(bytes.drain(range)),
        3 => {
            let times = 1 + dice.below(30);
            bytes.splice(range.start..range.start, some.repeat(times));
        }
        4 => bytes.truncate(range.start),
        _ => {
            let other = dice.pick(others).map(Vec::as_slice).unwrap_or_default();
            let part = dice.range(other.len());
            bytes.splice(range, other.get(part).unwrap_or_default().iter().copied());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{body_of, mutate, tokens};
    use crate::dice::Dice;

    #[test]
    fn the_same_seed_makes_the_same_input() {
        let seeds = [br#"{"query":"{ a(b: [1, \"x\"]) }","variables":{"x":[1,2]}}"#.to_vec(), b"\x81\x85abcd".to_vec()];
        let run = |seed| {
            let mut dice = Dice::new(seed);
            (0..500).map(|_| mutate(&mut dice, &seeds[0], &seeds)).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let same = run(7).iter().filter(|input| **input == seeds[0]).count();
        assert!(same < 50, "{same} of 500 are as they were");
        let json = run(7).iter().filter(|input| serde_json::from_slice::<serde_json::Value>(input).is_ok()).count();
        assert!(json > 100, "{json} of 500 are JSON");
        mutate(&mut Dice::new(1), b"", &[]);
    }

    #[test]
    fn texts_are_cut_into_words_and_signs() {
        assert_eq!(tokens("{ ab_1(é: \"x\")"), ["{", " ", "ab_1", "(", "é", ":", " ", "\"", "x", "\"", ")"]);
        assert_eq!(body_of(b"POST /\r\na: b\r\n\r\n{}"), 16);
        assert_eq!(body_of(b"{}"), 0);
    }
}
