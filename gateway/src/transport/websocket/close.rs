//! The end of a connection: its code and its reason.

use std::borrow::Cow;

/// Close codes, of RFC 6455 and of the protocol.
pub(super) mod code {
    pub(in super::super) const GOING_AWAY: u16 = 1001;
    pub(in super::super) const PROTOCOL_ERROR: u16 = 1002;
    pub(in super::super) const NOT_TEXT: u16 = 1007;
    pub(in super::super) const TOO_BIG: u16 = 1009;
    /// graphql-ws takes 1011 for fatal, and comes back after this one.
    pub(in super::super) const TRY_AGAIN: u16 = 1013;
    pub(in super::super) const INVALID: u16 = 4400;
    pub(in super::super) const UNAUTHORIZED: u16 = 4401;
    pub(in super::super) const FORBIDDEN: u16 = 4403;
    pub(in super::super) const SUBPROTOCOL: u16 = 4406;
    pub(in super::super) const INIT_TIMEOUT: u16 = 4408;
    pub(in super::super) const DUPLICATE: u16 = 4409;
    /// Our own: the client does not read what it is sent. Clients of the protocol come back after it.
    pub(in super::super) const UNREAD: u16 = 4413;
    /// Too many initialisation requests; and of our own, too many messages. Clients of the protocol do not come back.
    pub(in super::super) const TOO_MANY: u16 = 4429;
}

/// A close frame takes 125 bytes, the code two of them.
const LONGEST_REASON: usize = 123;

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: Cow<'static, str>,
}

impl Close {
    pub(super) fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.len() > LONGEST_REASON {
            let end = (0..=LONGEST_REASON).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
            reason = reason.get(..end).unwrap_or_default().to_owned().into();
        }
        Self { code, reason }
    }

    pub(super) fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::INVALID, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::Close;

    #[test]
    fn a_close_reason_fits_its_frame() {
        let close = Close::new(4400, "ä".repeat(100));
        assert!(close.reason.len() <= 123);
        assert_eq!(close.reason.chars().count(), 61);
    }
}
