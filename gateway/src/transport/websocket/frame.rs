//! The frames of RFC 6455 without I/O: bytes in, messages out; and the heads of what leaves.
//!
//! Why not a library's: those keep a read buffer for each socket and copy every message into a write buffer. Here bytes are kept
//! only while a frame is incomplete, and what leaves is written from where it lies (`super::outbox`).

use std::mem;

use super::close::{Close, code};

/// A message from the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Text(String),
    Binary,
    Ping(Vec<u8>),
    Pong,
    /// With the code to answer.
    Close(Option<u16>),
}

/// The result of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decoded {
    Message(Message),
    /// A part of a message.
    Part,
}

/// The kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// A control frame's payload.
const LONGEST_CONTROL: usize = 125;
/// A head without the mask: two bytes, and eight of the length.
pub(super) const LONGEST_HEAD: usize = 10;

impl Opcode {
    fn read(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head of a whole frame from server to client, and how long it is.
pub(super) fn head(opcode: Opcode, length: usize) -> ([u8; LONGEST_HEAD], usize) {
    let mut head = [0; LONGEST_HEAD];
    head[0] = 0x80 | opcode.bits();
    let long = (length as u64).to_be_bytes();
    if let Ok(short @ 0..=125) = u8::try_from(length) {
        head[1] = short;
        (head, 2)
    } else if u16::try_from(length).is_ok() {
        head[1] = 126;
        head[2..4].copy_from_slice(&long[6..]);
        (head, 4)
    } else {
        head[1] = 127;
        head[2..].copy_from_slice(&long);
        (head, LONGEST_HEAD)
    }
}

/// Takes in bytes, gives out messages. Idle, it holds none.
///
/// Payloads are unmasked and checked as they arrive, so that a text that is no UTF-8 is refused at its first wrong byte.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Bytes that nothing was made of yet.
    bytes: Vec<u8>,
    /// The frame whose payload is not here as a whole.
    frame: Option<Head>,
    /// The payload of the control frame that is not here as a whole.
    control: Vec<u8>,
    /// The message whose frames are not here as a whole.
    message: Option<Partial>,
    longest: usize,
}

/// The head of a frame, and what of its payload is still to come.
#[derive(Debug, Clone, Copy)]
struct Head {
    last: bool,
    opcode: Opcode,
    /// Turned, so that it begins with the next byte's.
    mask: [u8; 4],
    missing: usize,
}

/// A message that is not here as a whole.
#[derive(Debug)]
struct Partial {
    is_text: bool,
    payload: Vec<u8>,
    /// So much of a text is whole characters.
    checked: usize,
}

impl Decoder {
    pub(super) fn new(longest: usize) -> Self {
        Self { bytes: Vec::new(), frame: None, control: Vec::new(), message: None, longest }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame; `None`: more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Decoded>, Close> {
        let mut head = match self.frame.take() {
            Some(head) => head,
            None => match self.head()? {
                Some(head) => head,
                None => return Ok(None),
            },
        };
        let length = head.missing.min(self.bytes.len());
        self.payload(&head, length)?;
        head.missing -= length;
        if head.missing > 0 {
            head.mask.rotate_left(length % 4);
            self.frame = Some(head);
            return Ok(None);
        }
        let message = self.end_of_frame(head)?;
        Ok(Some(message.map_or(Decoded::Part, Decoded::Message)))
    }

    /// Takes the head of the next frame, when it is here as a whole.
    fn head(&mut self) -> Result<Option<Head>, Close> {
        let &[first, second, ref rest @ ..] = self.bytes.as_slice() else { return Ok(None) };
        let Some(opcode) = Opcode::read(first & 0x0f) else { return Err(broken("Unknown frame")) };
        if first & 0x70 != 0 {
            return Err(broken("Reserved bits are set"));
        }
        if second & 0x80 == 0 {
            return Err(broken("Frames of clients are masked"));
        }
        let (length, wide) = match second & 0x7f {
            126 => (rest.first_chunk().map(|bytes| u64::from(u16::from_be_bytes(*bytes))), 2),
            127 => (rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)), 8),
            short => (Some(u64::from(short)), 0),
        };
        let Some(length) = length else { return Ok(None) };
        let last = first & 0x80 != 0;
        if opcode.is_control() && (!last || length > LONGEST_CONTROL as u64) {
            return Err(broken("A control frame is one short frame"));
        }
        let missing = usize::try_from(length).unwrap_or(usize::MAX);
        self.check_message(opcode, missing)?;
        let Some(&mask) = rest.get(wide..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        self.forget(2 + wide + mask.len());
        if matches!(opcode, Opcode::Text | Opcode::Binary) {
            self.message = Some(Partial { is_text: opcode == Opcode::Text, payload: Vec::new(), checked: 0 });
        }
        Ok(Some(Head { last, opcode, mask, missing }))
    }

    /// Whether a frame with so many bytes may come here in its message.
    fn check_message(&self, opcode: Opcode, length: usize) -> Result<(), Close> {
        let before = match (opcode, &self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
            (Opcode::Continuation, None) => return Err(broken("There is nothing to continue")),
            (Opcode::Continuation, Some(message)) => message.payload.len(),
            (Opcode::Text | Opcode::Binary, None) => 0,
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(broken("A message begins within another")),
        };
        if length.saturating_add(before) > self.longest {
            return Err(Close::new(code::TOO_BIG, format!("A message may have {} bytes", self.longest)));
        }
        Ok(())
    }

    /// Takes the payload's next bytes.
    fn payload(&mut self, head: &Head, length: usize) -> Result<(), Close> {
        let to = match &mut self.message {
            Some(message) if !head.opcode.is_control() => &mut message.payload,
            _ => &mut self.control,
        };
        let before = to.len();
        to.extend_from_slice(self.bytes.get(..length).unwrap_or_default());
        if let Some(fresh) = to.get_mut(before..) {
            unmask(fresh, head.mask);
        }
        self.forget(length);
        // The last piece is checked with the whole.
        let is_last = head.last && head.missing == length;
        match &mut self.message {
            Some(message) if !head.opcode.is_control() && !is_last => message.check(),
            _ => Ok(()),
        }
    }

    /// Forgets bytes that were taken.
    fn forget(&mut self, length: usize) {
        if length == self.bytes.len() {
            // Given back: most sockets are silent for most of the time.
            self.bytes = Vec::new();
        } else {
            self.bytes.drain(..length);
        }
    }

    fn end_of_frame(&mut self, head: Head) -> Result<Option<Message>, Close> {
        match head.opcode {
            Opcode::Ping => Ok(Some(Message::Ping(mem::take(&mut self.control)))),
            Opcode::Pong => {
                self.control = Vec::new();
                Ok(Some(Message::Pong))
            }
            Opcode::Close => close(&mem::take(&mut self.control)).map(|code| Some(Message::Close(code))),
            Opcode::Continuation | Opcode::Text | Opcode::Binary if !head.last => Ok(None),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => match self.message.take() {
                Some(Partial { is_text: true, payload, .. }) => text(payload).map(|text| Some(Message::Text(text))),
                _ => Ok(Some(Message::Binary)),
            },
        }
    }
}

impl Partial {
    /// Refuses a text as soon as no more bytes can make it UTF-8.
    fn check(&mut self) -> Result<(), Close> {
        if !self.is_text {
            return Ok(());
        }
        let fresh = self.payload.get(self.checked..).unwrap_or_default();
        match str::from_utf8(fresh) {
            Ok(_) => self.checked = self.payload.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(not_text()),
        }
        Ok(())
    }
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    for chunk in bytes.chunks_mut(mask.len()) {
        for (byte, mask) in chunk.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
}

fn text(bytes: Vec<u8>) -> Result<String, Close> {
    String::from_utf8(bytes).map_err(|_| not_text())
}

fn not_text() -> Close {
    Close::new(code::NOT_TEXT, "The text is not UTF-8")
}

/// The code of a close frame, to be sent back.
fn close(payload: &[u8]) -> Result<Option<u16>, Close> {
    let &[high, low, ref reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(broken("A close code has two bytes")) };
    };
    let code = u16::from_be_bytes([high, low]);
    // Those between are not for the wire (RFC 6455, section 7.4).
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(broken("This is no close code"));
    }
    text(reason.to_vec()).map(|_| Some(code))
}

fn broken(reason: &'static str) -> Close {
    Close::new(code::PROTOCOL_ERROR, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Decoded, Decoder, LONGEST_HEAD, Message, Opcode, head};

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let (made, length) = head(Opcode::Text, payload.len());
        let mut bytes = made[..length].to_vec();
        bytes[0] = first;
        bytes[1] |= 0x80;
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// The messages of some bytes, which come in pieces, and the code that they are closed with.
    fn decode(bytes: &[u8], piece: usize) -> (Vec<Message>, Option<u16>) {
        let mut decoder = Decoder::new(1_000);
        let mut messages = Vec::new();
        for piece in bytes.chunks(piece) {
            decoder.feed(piece);
            loop {
                match decoder.next() {
                    Ok(Some(Decoded::Message(message))) => messages.push(message),
                    Ok(Some(Decoded::Part)) => {}
                    Ok(None) => break,
                    Err(close) => return (messages, Some(close.code)),
                }
            }
        }
        (messages, None)
    }

    #[test]
    fn broken_frames_have_their_codes() {
        let mut unmasked = masked(0x81, b"a");
        unmasked[1] &= 0x7f;
        for (bytes, expected) in [
            (masked(0x81, b"\xff\xfe"), 1007),
            (masked(0x83, b""), 1002),
            (masked(0xc1, b""), 1002),
            (unmasked, 1002),
            (masked(0x09, b""), 1002),
            (masked(0x89, &[0; 126]), 1002),
            (masked(0x80, b"a"), 1002),
            ([masked(0x01, b"a"), masked(0x81, b"b")].concat(), 1002),
            (masked(0x88, b"\x03"), 1002),
            (masked(0x88, &1005u16.to_be_bytes()), 1002),
            (masked(0x81, &[b'a'; 1_001]), 1009),
            ([masked(0x01, &[b'a'; 600]), masked(0x80, &[b'a'; 600])].concat(), 1009),
            // As long as a frame can say; refused by its head alone.
            ([&[0x82, 0xff][..], &[0xff; 8]].concat(), 1009),
        ] {
            for piece in [1, 7, 10_000] {
                assert_eq!(decode(&bytes, piece).1, Some(expected), "{bytes:02x?}");
            }
        }
    }

    #[test]
    fn control_frames_may_come_within_a_message() {
        let bytes = [
            masked(0x01, b"{\"a"),
            masked(0x89, b"p"),
            masked(0x80, b"\":1}"),
            masked(0x8a, b""),
            masked(0x82, b"\0"),
            masked(0x88, &4_400u16.to_be_bytes()),
        ]
        .concat();
        let expected = [
            Message::Ping(b"p".to_vec()),
            Message::Text("{\"a\":1}".to_owned()),
            Message::Pong,
            Message::Binary,
            Message::Close(Some(4_400)),
        ];
        for piece in [1, 3, 1_000] {
            assert_eq!(decode(&bytes, piece), (expected.to_vec(), None));
        }
    }

    #[test]
    fn heads_take_the_shortest_form() {
        for (length, expected) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, LONGEST_HEAD)] {
            assert_eq!(head(Opcode::Text, length).1, expected, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_mean_the_same(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
            prop_assert_eq!(decode(&bytes, piece), decode(&bytes, 1_000));
        }

        #[test]
        fn texts_arrive_as_they_were_sent(texts in prop::collection::vec(".{0,200}", 1..6), piece in 1usize..400) {
            let bytes: Vec<u8> = texts.iter().flat_map(|text| masked(0x81, text.as_bytes())).collect();
            let expected: Vec<_> = texts.into_iter().map(Message::Text).collect();
            prop_assert_eq!(decode(&bytes, piece), (expected, None));
        }
    }
}
