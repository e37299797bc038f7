//! Rewrites a JSON document that fits the grammar and that the parser refuses all the same: halves of surrogate pairs (a text that
//! was cut in the middle of an emoji) become U+FFFD, numbers beyond a double and what is nested very deep become null.

/// How deep values may be nested; the parser's own limit is 128.
const DEPTH: usize = 100;

/// The document as the parser takes it. Text that does not fit the grammar stays as it is.
pub(super) fn mended(document: &[u8]) -> Vec<u8> {
    let mut mended = Vec::with_capacity(document.len());
    let mut rest = document;
    let mut depth = 0usize;
    while let Some(byte) = rest.first().copied() {
        let token = rest.get(..length(rest).max(1)).unwrap_or(rest);
        rest = rest.get(token.len()..).unwrap_or_default();
        let skipped = depth > DEPTH;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                match depth {
                    _ if depth <= DEPTH => mended.push(byte),
                    _ if !skipped => mended.extend_from_slice(b"null"),
                    _ => {}
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !skipped {
                    mended.push(byte);
                }
            }
            _ if skipped => {}
            b'"' => text(token, &mut mended),
            b'-' | b'0'..=b'9' => mended.extend_from_slice(if is_finite(token) { token } else { b"null" }),
            _ => mended.extend_from_slice(token),
        }
    }
    mended
}

/// The bytes of the token that `rest` begins with: a string, a number, or one byte.
fn length(rest: &[u8]) -> usize {
    match rest.first() {
        Some(b'"') => {
            let mut escaped = false;
            let end = rest.iter().skip(1).position(|byte| {
                let ends = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        }
        Some(b'-' | b'0'..=b'9') => {
            rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count()
        }
        _ => 1,
    }
}

fn is_finite(number: &[u8]) -> bool {
    std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_finite)
}

/// Copies a string with its quotes; half a pair becomes U+FFFD.
fn text(string: &[u8], mended: &mut Vec<u8>) {
    let mut rest = string;
    while let Some(byte) = rest.first().copied() {
        let taken = match (byte, unit(rest), unit(rest.get(6..).unwrap_or_default())) {
            (b'\\', Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (b'\\', Some(0xd800..=0xdfff), _) => {
                mended.extend_from_slice(br"\ufffd");
                rest = rest.get(6..).unwrap_or_default();
                continue;
            }
            (b'\\', ..) => 2,
            _ => 1,
        };
        mended.extend_from_slice(rest.get(..taken).unwrap_or(rest));
        rest = rest.get(taken..).unwrap_or_default();
    }
}

/// The UTF-16 unit of `\uXXXX`.
fn unit(rest: &[u8]) -> Option<u16> {
    let hex = rest.strip_prefix(br"\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
}
