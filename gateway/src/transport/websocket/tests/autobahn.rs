//! The cases of the Autobahn test suite, by their numbers there, on a real port. (The suite itself needs Python 2.) Where it expects an
//! echo, a `ping` of the protocol is sent, which is answered with its payload; binary messages and empty ones are no part of the
//! protocol and close with 4400. Chapters 12 and 13 are about compression, which is not offered.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    net::TcpStream,
    time::timeout,
};

use super::{ACK, Duration, Gateway, HANDSHAKE, INIT};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// The beginning of a text, a part of a message, and its end.
const BEGIN: u8 = 0x01;
const PART: u8 = 0x00;
const END: u8 = 0x80;
/// The mask of all frames.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Greek letters and others, of one to four bytes each.
const WORDS: &str = "Hello-µ@ßöäüàá-UTF-8!! κόσμε 𤭢";

/// A case: its number, the section of RFC 6455 that asks for it, what is sent in which pieces, and what comes back.
struct Case {
    number: &'static str,
    section: &'static str,
    pieces: Vec<Vec<u8>>,
    expected: Vec<String>,
}

/// A case whose frames are sent at once. The expected answers are divided by semicolons.
fn case(number: &'static str, section: &'static str, frames: &[Vec<u8>], expected: &str) -> Case {
    let expected = expected.split("; ").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    Case { number, section, pieces: vec![frames.concat()], expected }
}

impl Case {
    /// The same bytes in pieces of this length.
    fn chopped(mut self, length: usize) -> Self {
        self.pieces = self.pieces.concat().chunks(length).map(<[u8]>::to_vec).collect();
        self
    }

    /// The message comes back.
    fn echoed(mut self, text: &str) -> Self {
        self.expected.push(answer(text));
        self
    }
}

pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=65_535 => {
            bytes.push(0xfe);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0xff);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A message that is answered with its text.
fn message(text: &str) -> Vec<u8> {
    format!(r#"{{"type":"ping","payload":{{"echo":"{text}"}}}}"#).into_bytes()
}

fn answer(text: &str) -> String {
    format!(r#"text {{"type":"pong","payload":{{"echo":"{text}"}}}}"#)
}

/// The message in a frame.
fn echo(text: &str) -> Vec<u8> {
    frame(TEXT, &message(text))
}

/// The message as it is when it has so many bytes.
fn echo_of(length: usize) -> String {
    "*".repeat(length - message("").len())
}

/// A message in frames of so many bytes.
fn fragments(payload: &[u8], length: usize) -> Vec<Vec<u8>> {
    let count = payload.len().div_ceil(length);
    let frames = payload.chunks(length).enumerate().map(|(at, part)| {
        let first = if at == 0 { BEGIN } else { PART };
        frame(if at + 1 == count { first | 0x80 } else { first }, part)
    });
    frames.collect()
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// Reads all that the server sends until it ends the connection; each frame in the only form that section 5 leaves to a server.
fn frames_of(mut bytes: &[u8]) -> Vec<String> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!(first & 0xf0, 0x80, "whole, without reserved bits");
        assert_eq!(second & 0x80, 0, "not masked");
        let (length, rest) = match second {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk().unwrap())), &rest[2..]),
            127 => (u64::from_be_bytes(*rest.first_chunk().unwrap()), &rest[8..]),
            short => (u64::from(*short), rest),
        };
        let wide = match length {
            0..=125 => *second == u8::try_from(length).unwrap(),
            126..=65_535 => *second == 126,
            _ => *second == 127,
        };
        assert!(wide && (first & 0x08 == 0 || length <= 125), "the shortest head, and short control frames");
        let (payload, rest) = rest.split_at(usize::try_from(length).unwrap());
        frames.push(match *first {
            TEXT => format!("text {}", std::str::from_utf8(payload).unwrap()),
            PONG => format!("pong {}", payload.escape_ascii()),
            CLOSE if payload.is_empty() => "close".to_owned(),
            CLOSE => format!("close {}", u16::from_be_bytes(*payload.first_chunk().unwrap())),
            other => format!("{other:x}"),
        });
        bytes = rest;
    }
    frames
}

/// Sends, closes unless the server does, and reads to the end.
async fn talk(gateway: &Gateway, pieces: &[Vec<u8>], closes: bool) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!(
        "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n{HANDSHAKE}Sec-WebSocket-Protocol: {}\r\n\r\n",
        super::super::SUBPROTOCOL
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", head.escape_ascii());
    let (mut reader, mut writer) = stream.split();
    let write = async {
        let first = frame(TEXT, INIT.as_bytes());
        let last = closes.then(|| close(1000, b""));
        for piece in [first].iter().chain(pieces).chain(&last) {
            // It may have closed already.
            if writer.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut bytes = Vec::new();
    let (read, ()) = join!(reader.read_to_end(&mut bytes), write);
    // A reset is no end: the close frame was not lost to it.
    read.unwrap();
    frames_of(&bytes)
}

async fn check(cases: Vec<Case>, closes: bool) {
    let gateway = Gateway::start(|config| {
        config.live.max_messages_per_second = 1_000_000;
        config.live.max_message_bytes = 8_000_000;
        config.live.max_queued_bytes = 64_000_000;
    })
    .await;
    for Case { number, section, pieces, mut expected } in cases {
        let heard = timeout(Duration::from_mins(1), talk(&gateway, &pieces, closes)).await;
        let heard = heard.unwrap_or_else(|_| panic!("{number}: the server does not close (RFC 6455, {section})"));
        expected.insert(0, format!("text {ACK}"));
        if closes && !expected.iter().any(|frame| frame.starts_with("close")) {
            expected.push("close 1000".to_owned());
        }
        let short =
            |frames: &[String]| frames.iter().map(|one| one.chars().take(200).collect()).collect::<Vec<String>>();
        assert!(heard == expected, "{number} (RFC 6455, {section}): {:?}, not {:?}", short(&heard), short(&expected));
    }
}

#[tokio::test]
async fn chapter_1_messages_of_every_length_are_answered() {
    let mut cases: Vec<Case> =
        [("1.1.2", 125), ("1.1.3", 126), ("1.1.4", 127), ("1.1.5", 128), ("1.1.6", 65_535), ("1.1.7", 65_536)]
            .map(|(number, length)| case(number, "5.2", &[echo(&echo_of(length))], "").echoed(&echo_of(length)))
            .into();
    let long = echo_of(65_536);
    cases.push(case("1.1.8", "5.2", &[echo(&long)], "").echoed(&long).chopped(997));
    cases.push(case("1.1.1", "5.6", &[frame(TEXT, b"")], "close 4400"));
    cases.push(case("1.2.1", "5.6", &[frame(BINARY, b"")], "close 4400"));
    for (number, length) in
        [("1.2.2", 125), ("1.2.3", 126), ("1.2.4", 127), ("1.2.5", 128), ("1.2.6", 65_535), ("1.2.7", 65_536)]
    {
        cases.push(case(number, "5.6", &[frame(BINARY, &vec![0xfe; length])], "close 4400"));
    }
    cases.push(case("1.2.8", "5.6", &[frame(BINARY, &vec![0xfe; 65_536])], "close 4400").chopped(997));
    check(cases, true).await;
}

#[tokio::test]
async fn chapter_2_pings_are_answered_and_pongs_are_not() {
    let ping = |payload: &[u8]| [frame(PING, payload)];
    let odd = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
    let full = [0xfe; 125];
    let full_pong = format!("pong {}", full.escape_ascii());
    let ten: Vec<Vec<u8>> = (0..10).map(|number| frame(PING, format!("payload-{number}").as_bytes())).collect();
    let ten_pongs = (0..10).map(|number| format!("pong payload-{number}")).collect::<Vec<_>>().join("; ");
    let cases = vec![
        case("2.1", "5.5.2", &ping(b""), "pong "),
        case("2.2", "5.5.2", &ping(b"Hello, world!"), "pong Hello, world!"),
        case("2.3", "5.5.2", &ping(odd), &format!("pong {}", odd.escape_ascii())),
        case("2.4", "5.5", &ping(&full), &full_pong),
        case("2.5", "5.5", &ping(&[0xfe; 126]), "close 1002"),
        case("2.6", "5.5", &ping(&full), &full_pong).chopped(1),
        case("2.7", "5.5.3", &[frame(PONG, b"")], ""),
        case("2.8", "5.5.3", &[frame(PONG, b"unsolicited")], ""),
        case("2.9", "5.5.3", &[frame(PONG, b"unsolicited"), frame(PING, b"asked")], "pong asked"),
        case("2.10", "5.5.2", &ten, &ten_pongs),
        case("2.11", "5.5.2", &ten, &ten_pongs).chopped(1),
    ];
    check(cases, true).await;
}

#[tokio::test]
async fn chapters_3_and_4_reserved_bits_and_opcodes_fail_the_connection() {
    let behind = |bad: Vec<u8>| [echo("first"), bad, frame(PING, b"")];
    let after_the_first = format!("{}; close 1002", answer("first"));
    let reserved = |bits: u8, first: u8| frame(first | bits << 4, b"Hello");
    let mut cases = vec![
        case("3.1", "5.2", &[reserved(1, TEXT)], "close 1002"),
        case("3.2", "5.2", &behind(reserved(2, TEXT)), &after_the_first),
        case("3.3", "5.2", &behind(reserved(3, TEXT)), &after_the_first).chopped(3),
        case("3.4", "5.2", &behind(reserved(4, TEXT)), &after_the_first).chopped(1),
        case("3.5", "5.2", &[reserved(5, BINARY)], "close 1002"),
        case("3.6", "5.2", &[reserved(6, PING)], "close 1002"),
        case("3.7", "5.2", &[frame(CLOSE | 0x70, &1000_u16.to_be_bytes())], "close 1002"),
    ];
    for (number, opcode) in [("4.1.1", 3), ("4.1.2", 4), ("4.2.1", 11), ("4.2.2", 12)] {
        cases.push(case(number, "5.2", &[frame(0x80 | opcode, b"payload"), frame(PING, b"")], "close 1002"));
    }
    for (number, opcode) in [("4.1.3", 5), ("4.1.4", 6), ("4.1.5", 7), ("4.2.3", 13), ("4.2.4", 14), ("4.2.5", 15)] {
        for payload in [&b""[..], b"payload"] {
            cases.push(case(number, "5.2", &behind(frame(0x80 | opcode, payload)), &after_the_first));
        }
    }
    check(cases, true).await;
}

#[tokio::test]
async fn chapter_5_fragments_make_one_message_and_nothing_else_does() {
    let whole = message("fragment1fragment2");
    let (one, two) = whole.split_at(whole.len() - 12);
    let halves = || [frame(BEGIN, one), frame(END, two)];
    let answered = answer("fragment1fragment2");
    let with_ping = [frame(BEGIN, one), frame(PING, b"between"), frame(END, two)];
    let pong_first = format!("pong between; {answered}");
    let stray = |first: u8| [frame(first, b"non-continuation"), echo("Hello")];
    let mut cases = vec![
        case("5.1", "5.5", &[frame(0x09, b"fragment1"), frame(END, b"fragment2")], "close 1002"),
        case("5.2", "5.5", &[frame(0x0a, b"fragment1"), frame(END, b"fragment2")], "close 1002"),
        case("5.3", "5.4", &halves(), &answered),
        case("5.5", "5.4", &halves(), &answered).chopped(1),
        case("5.6", "5.4", &with_ping, &pong_first),
        case("5.8", "5.4", &with_ping, &pong_first).chopped(1),
    ];
    for (number, first, length) in [
        ("5.9", END, 1_000),
        ("5.10", END, 22),
        ("5.11", END, 1),
        ("5.12", PART, 1_000),
        ("5.13", PART, 22),
        ("5.14", PART, 1),
    ] {
        cases.push(case(number, "5.4", &stray(first), "close 1002").chopped(length));
    }
    for (number, pieces) in [("5.4", halves().to_vec()), ("5.7", with_ping.to_vec())] {
        let expected = if number == "5.4" { &answered } else { &pong_first };
        cases.push(Case { pieces, ..case(number, "5.4", &[], expected) });
    }
    let behind = [&halves()[..], &stray(PART)].concat();
    cases.push(case("5.15", "5.4", &behind, &format!("{answered}; close 1002")));
    for (number, first) in [("5.16", PART), ("5.17", END)] {
        let repeated = [&[frame(first, b"stray")], &halves()[..], &[frame(first, b"stray")], &halves()].concat();
        cases.push(case(number, "5.4", &repeated, "close 1002"));
    }
    cases.push(case("5.18", "5.4", &[frame(BEGIN, one), frame(TEXT, two)], "close 1002"));
    let five = fragments(&whole, whole.len().div_ceil(5));
    let (begin, end) = five.split_at(2);
    let pings = [begin, &[frame(PING, b"one")], &end[..2], &[frame(PING, b"two")], &end[2..]].concat();
    let expected = format!("pong one; pong two; {answered}");
    cases.push(case("5.19", "5.4", &pings, &expected));
    cases.push(Case { pieces: pings, ..case("5.20", "5.4", &[], &expected) });
    check(cases, true).await;
}

/// Beginnings of all prefixes, edges of the lengths, surrogates, and what is longer than it may be: as in Markus Kuhn's test, which
/// chapters 6.5 to 6.23 go through.
fn sequences() -> Vec<(&'static str, Vec<u8>)> {
    let mut all: Vec<(&'static str, Vec<u8>)> = Vec::new();
    let mut add = |number, sequences: &[&[u8]]| all.extend(sequences.iter().map(|bytes| (number, bytes.to_vec())));
    let greek = "κόσμε".as_bytes();
    let prefixes: Vec<&[u8]> = (1..=greek.len()).map(|length| &greek[..length]).collect();
    add("6.5", &[b"hello$world", "hello¢world".as_bytes(), "hello€world".as_bytes(), "hello𤭢world".as_bytes(), greek]);
    add("6.6", &prefixes);
    add("6.7", &[b" ", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]);
    add("6.8", &[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]);
    add("6.9", &[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]);
    add("6.10", &[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]);
    add("6.11", &[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"]);
    let continuations: Vec<u8> = (0x80..=0xbf).collect();
    add("6.12", &[b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80", b"\x80\xbf\x80\xbf", &continuations]);
    for range in [0xc0..=0xdf, 0xe0..=0xef, 0xf0..=0xf7, 0xf8..=0xfb, 0xfc..=0xfd_u8] {
        add("6.13", &[&range.flat_map(|lead| [lead, b' ']).collect::<Vec<u8>>()]);
    }
    let incomplete: [&[u8]; 10] = [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ];
    add("6.14", &incomplete);
    add("6.15", &[&incomplete.concat()]);
    add("6.16", &[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]);
    add(
        "6.17",
        &[b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"],
    );
    add(
        "6.18",
        &[b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"],
    );
    add(
        "6.19",
        &[b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"],
    );
    add(
        "6.20",
        &[b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80", b"\xed\xbf\xbf"],
    );
    for first in [&b"\xed\xa0\x80"[..], b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"] {
        add("6.21", &[&[first, b"\xed\xb0\x80"].concat(), &[first, b"\xed\xbf\xbf"].concat()]);
    }
    add("6.22", &["\u{fffe}".as_bytes(), "\u{ffff}".as_bytes(), "\u{1fffe}".as_bytes(), "\u{10ffff}".as_bytes()]);
    add("6.23", &["\u{fff9}".as_bytes(), "\u{fffc}".as_bytes(), "\u{fffd}".as_bytes()]);
    all
}

#[tokio::test]
async fn chapter_6_texts_are_utf_8_however_they_are_divided() {
    let octets = |payload: &[u8]| fragments(payload, 1);
    let words = message(WORDS);
    let (one, two) = words.split_at(words.len() - "𤭢\"}}".len());
    let wrong = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    let empty = |first| frame(first, b"");
    let mut cases = vec![
        case("6.1.1", "5.6", &[empty(TEXT)], "close 4400"),
        case("6.1.2", "5.4", &[empty(BEGIN), empty(PART), empty(END)], "close 4400"),
        case("6.1.3", "5.4", &[empty(BEGIN), frame(PART, &words), empty(END)], "").echoed(WORDS),
        case("6.2.1", "8.1", &[frame(TEXT, &words)], "").echoed(WORDS),
        case("6.2.2", "8.1", &[frame(BEGIN, one), frame(END, two)], "").echoed(WORDS),
        case("6.2.3", "5.6", &octets(&words), "").echoed(WORDS),
        case("6.2.4", "5.6", &octets(&message("κόσμε")), "").echoed("κόσμε"),
        case("6.3.1", "8.1", &[frame(TEXT, wrong)], "close 1007"),
        case("6.3.2", "8.1", &octets(wrong), "close 1007"),
    ];
    for (number, bytes) in sequences() {
        if let Ok(text) = std::str::from_utf8(&bytes) {
            cases.push(case(number, "8.1", &[echo(text)], "").echoed(text));
        } else {
            cases.push(case(number, "8.1", &[frame(TEXT, &bytes)], "close 1007"));
            cases.push(case(number, "8.1", &octets(&bytes), "close 1007"));
        }
    }
    check(cases, true).await;
}

#[tokio::test]
async fn chapter_6_4_a_text_is_refused_at_its_first_wrong_byte() {
    let valid = "κόσμε".as_bytes();
    // Later bytes would not make it right, and never come.
    let (wrong, rest) = (b"\xf4\x90\x80\x80", b"edited");
    let whole = frame(TEXT, &[valid, wrong, rest].concat());
    let until = |length: usize| whole[..whole.len() - rest.len() - wrong.len() + length].to_vec();
    let cases = vec![
        case("6.4.1", "8.1", &[frame(BEGIN, valid), frame(PART, wrong)], "close 1007"),
        case("6.4.2", "8.1", &[frame(BEGIN, valid), frame(PART, &wrong[..2])], "close 1007"),
        case("6.4.3", "8.1", &[until(4)], "close 1007"),
        case("6.4.4", "8.1", &[until(2)], "close 1007").chopped(1),
    ];
    check(cases, false).await;
}

#[tokio::test]
async fn chapter_7_a_close_is_answered_and_the_last_word() {
    let plain = || close(1000, b"");
    let long = echo_of(256 * 1024);
    let mut cases = vec![
        case("7.1.1", "5.5.1", &[echo("Hello"), plain()], "").echoed("Hello"),
        case("7.1.2", "5.5.1", &[plain(), plain()], ""),
        case("7.1.3", "5.5.1", &[plain(), frame(PING, b"")], ""),
        case("7.1.4", "5.5.1", &[plain(), echo("Hello")], ""),
        case("7.1.5", "5.5.1", &[frame(BEGIN, b"fragment1"), plain(), frame(END, b"fragment2")], ""),
        case("7.1.6", "5.5.1", &[echo(&long), plain(), frame(PING, b"")], "").echoed(&long),
        case("7.3.1", "5.5.1", &[frame(CLOSE, b"")], "close"),
        case("7.3.2", "5.5.1", &[frame(CLOSE, b"a")], "close 1002"),
        case("7.3.3", "5.5.1", &[plain()], "close 1000"),
        case("7.3.4", "5.5.1", &[close(1000, b"Hello World!")], "close 1000"),
        case("7.3.5", "5.5", &[close(1000, &[b'*'; 123])], "close 1000"),
        case("7.3.6", "5.5", &[close(1000, &[b'*'; 124])], "close 1002"),
        case("7.5.1", "8.1", &[close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited")], "close 1007"),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(case("7.7", "7.4.1", &[close(code, b"")], &format!("close {code}")));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999] {
        cases.push(case("7.9", "7.4.1", &[close(code, b"")], "close 1002"));
    }
    for code in [5000, 65_535] {
        cases.push(case("7.13", "7.4.2", &[close(code, b"")], "close 1002"));
    }
    check(cases, true).await;
}

#[tokio::test]
async fn chapters_9_and_10_long_messages_in_frames_and_pieces_of_any_length() {
    const MEGABYTE: usize = 1 << 20;
    let long = echo_of(MEGABYTE);
    let mut cases = vec![
        case("9.1", "5.2", &[echo(&echo_of(4 * MEGABYTE))], "").echoed(&echo_of(4 * MEGABYTE)),
        case("9.2", "5.6", &[frame(BINARY, &vec![0xfe; 4 * MEGABYTE])], "close 4400"),
        case("9.4", "5.6", &[frame(BINARY & 0x7f, &[0xfe; 64]), frame(END, &[0xfe; 64])], "close 4400"),
        case("10.1.1", "5.4", &fragments(&message(&echo_of(65_536)), 1_300), "").echoed(&echo_of(65_536)),
        case("a message over the limit", "7.4.1", &[echo(&echo_of(8_000_001))], "close 1009"),
    ];
    for length in [64, 256, 1_024, 65_536] {
        cases.push(case("9.3", "5.4", &fragments(&message(&long), length), "").echoed(&long));
    }
    for length in [64, 256, 1_024, 2_048] {
        cases.push(case("9.5", "5.2", &[echo(&long)], "").echoed(&long).chopped(length));
    }
    for length in [64, 1_024] {
        let text = echo_of(length);
        let all = vec![echo(&text); 1_000];
        cases.push((0..1_000).fold(case("9.7", "5.2", &all, ""), |case, _| case.echoed(&text)));
    }
    check(cases, true).await;
}
