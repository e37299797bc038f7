//! Frames as strangers may send them: another implementation must make the same of them.

use std::io::{self, Read, Write};

use mullion_fuzz::Target;
use tokio_tungstenite::tungstenite::{
    Error, Message as Theirs, WebSocket,
    protocol::{Role, WebSocketConfig},
};

use super::{
    super::frame::{Decoded, Decoder, Message},
    autobahn::frame,
};

/// The largest message.
const LONGEST: usize = 1_000;
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/transport/websocket/tests/kept");

/// How the bytes end.
#[derive(Debug, PartialEq)]
enum End {
    /// More may come.
    Open,
    /// With a close frame, right or wrong, or with bytes that are no frame.
    Over,
}

/// The messages of some bytes that come in pieces of this length; none after a close frame.
fn ours(bytes: &[u8], piece: usize) -> (Vec<Message>, End) {
    let mut decoder = Decoder::new(LONGEST);
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.feed(piece);
        loop {
            match decoder.next() {
                Ok(Some(Decoded::Message(Message::Close(_)))) | Err(_) => return (messages, End::Over),
                Ok(Some(Decoded::Message(message))) => messages.push(message),
                Ok(Some(Decoded::Part)) => {}
                Ok(None) => break,
            }
        }
    }
    (messages, End::Open)
}

/// A connection that has brought these bytes and no more, and takes everything.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(to) }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(bytes: &[u8]) -> (Vec<Message>, End) {
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    let mut socket = WebSocket::from_raw_socket(Wire(bytes), Role::Server, Some(config));
    let mut messages = Vec::new();
    loop {
        messages.push(match socket.read() {
            Ok(Theirs::Text(text)) => Message::Text(text.to_string()),
            Ok(Theirs::Binary(_)) => Message::Binary,
            Ok(Theirs::Ping(payload)) => Message::Ping(payload.to_vec()),
            Ok(Theirs::Pong(_)) => Message::Pong,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (messages, End::Open),
            Ok(Theirs::Close(_) | Theirs::Frame(_)) | Err(_) => return (messages, End::Over),
        });
    }
}

fn check(bytes: &[u8]) -> Result<(), String> {
    let whole = ours(bytes, bytes.len().max(1));
    for piece in [1, 3, 200] {
        let pieces = ours(bytes, piece);
        if pieces != whole {
            return Err(format!("in pieces of {piece} it means {pieces:?}, else {whole:?}"));
        }
    }
    let theirs = theirs(bytes);
    // Ours refuses a wrong frame as soon as it can be known, which may be before theirs has all of it.
    let same = whole.0 == theirs.0 && (whole.1 == theirs.1 || whole.1 == End::Over);
    if same { Ok(()) } else { Err(format!("it means {whole:?}, for others {theirs:?}")) }
}

#[test]
fn any_bytes_mean_what_they_mean_for_others() {
    let text = |text: &str| frame(0x81, text.as_bytes());
    let seeds = vec![
        text(r#"{"type":"connection_init"}"#),
        [text("κόσμε 𤭢"), frame(0x89, b"ping"), text("")].concat(),
        [frame(0x01, "κόσ".as_bytes()), frame(0x89, b""), frame(0x00, b"x"), frame(0x80, "με".as_bytes())].concat(),
        [frame(0x02, &[0xff; 130]), frame(0x80, &[0; 600]), frame(0x8a, &[b'p'; 125])].concat(),
        [text(&"*".repeat(LONGEST)), frame(0x88, &[0x03, 0xe8, b'b', b'y', b'e'])].concat(),
        [frame(0x88, b""), text("late")].concat(),
        [frame(0x01, &[b'a'; 126]), frame(0x01, b"b"), frame(0xc1, b"c")].concat(),
        [frame(0x81, b"\xed\xa0\x80"), frame(0x88, &1005_u16.to_be_bytes())].concat(),
    ];
    Target::new("frames", KEPT, seeds).run(check);
}
