//! The token that the provider refused last. Until it is worth another try, nothing is sent with it: each query would cost a call that
//! is known to fail, and providers slow down or lock out accounts that keep asking with a bad token.
//!
//! A token is recognised by its hash, so a new one is used at once, whichever replica it was given to.

use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::secret::Secret;

/// How long after a refusal one call tries the same token again: providers refuse good tokens during some of their outages.
pub(super) const TRY_AGAIN: Duration = Duration::from_mins(1);

/// The refusals that are remembered.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Option<Refused>>);

#[derive(Clone, Copy)]
struct Refused {
    /// The hash of the token.
    token: [u8; 32],
    /// When it was refused, or tried again.
    at: DateTime<Utc>,
}

impl Refusals {
    /// Whether a token was refused and not accepted since: only then the token of a call has to be looked at before it is sent.
    pub(super) fn any(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Whether a call with this token may be sent. One call with a refused token may be sent every [`TRY_AGAIN`].
    pub(super) fn allow(&self, token: &Secret, now: DateTime<Utc>) -> bool {
        let mut refused = self.0.lock();
        let Some(known) = refused.as_mut().filter(|known| known.token == hash(token)) else { return true };
        // After the clock was set back, the refusal lies in the future and says nothing.
        if (now - known.at).to_std().is_ok_and(|age| age < TRY_AGAIN) {
            return false;
        }
        known.at = now;
        true
    }

    /// Notes what the provider made of a token.
    pub(super) fn note(&self, token: &Secret, is_refused: bool, now: DateTime<Utc>) {
        let mut refused = self.0.lock();
        if is_refused {
            *refused = Some(Refused { token: hash(token), at: now });
        } else if refused.is_some() {
            refused.take_if(|known| known.token == hash(token));
        }
    }
}

fn hash(token: &Secret) -> [u8; 32] {
    blake3::hash(token.expose()).into()
}
