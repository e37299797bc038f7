//! The contents of the sandboxed workspace: plain data, and how it is found.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use chrono::{DateTime, Utc};

use super::sockets::Sockets;
use crate::sandbox::OutgoingWebhook;

/// A message's id in its channel: microseconds, written "1700000000.123456". Never a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ts(pub(super) u64);

impl fmt::Display for Ts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl FromStr for Ts {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if seconds.is_empty() || seconds.len() > 11 || fraction.len() > 6 || !digits(seconds) || !digits(fraction) {
            return Err(());
        }
        format!("{seconds}{fraction:0<6}").parse().map(Self).map_err(|_| ())
    }
}

impl Ts {
    pub(super) fn at(now: DateTime<Utc>) -> Self {
        Self(u64::try_from(now.timestamp_micros()).unwrap_or_default())
    }

    /// Slack tells when a message was edited in whole seconds.
    pub(super) fn whole_seconds(self) -> Self {
        Self(self.0 - self.0 % 1_000_000)
    }
}

/// A time zone as Slack tells it: name, label, seconds east of UTC.
pub(super) type Zone = (&'static str, &'static str, i32);

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: String,
    /// The handle.
    pub(super) name: String,
    pub(super) real_name: String,
    pub(super) display_name: String,
    pub(super) title: String,
    pub(super) email: Option<String>,
    pub(super) zone: Zone,
    pub(super) color: String,
    pub(super) rank: Rank,
    /// The bot that this user is.
    pub(super) bot_id: Option<String>,
    pub(super) deleted: bool,
    pub(super) status_text: String,
    pub(super) status_emoji: String,
    pub(super) active: bool,
    pub(super) updated: i64,
}

/// The rights of a user; each rank may do what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Guest,
    Member,
    Admin,
    Owner,
    PrimaryOwner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    Private,
    /// With one user.
    Direct,
}

/// A topic or purpose.
#[derive(Debug, Clone, Default)]
pub(super) struct Note {
    pub(super) value: String,
    pub(super) creator: String,
    pub(super) last_set: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) creator: String,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) topic: Note,
    pub(super) purpose: Note,
    pub(super) members: Vec<String>,
    pub(super) archived: bool,
    pub(super) previous_names: Vec<String>,
    pub(super) messages: BTreeMap<Ts, Message>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    pub(super) user: String,
    pub(super) text: String,
    pub(super) subtype: Option<&'static str>,
    /// The fields that the subtype adds to the message (`topic`, `old_name`).
    pub(super) extra: Vec<(&'static str, String)>,
    /// The thread that this replies to.
    pub(super) thread: Option<Ts>,
    /// By whom and when.
    pub(super) edited: Option<(String, Ts)>,
    /// In the order of their first use: name and users.
    pub(super) reactions: Vec<(String, Vec<String>)>,
}

/// An Events API subscription.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) url: String,
    pub(super) secret: String,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) base: DateTime<Utc>,
    pub(super) api_root: String,
    pub(super) users: Vec<User>,
    pub(super) channels: Vec<Channel>,
    pub(super) subscriptions: Vec<Subscription>,
    /// Channels made so far: their ids count on.
    pub(super) last_channel: u64,
    /// Events told so far.
    pub(super) last_event: u64,
    /// The app's sockets: no part of the world, but told of it.
    pub(super) sockets: Arc<Sockets>,
    /// Webhooks of the act or call that is going on.
    pub(super) outbox: Vec<OutgoingWebhook>,
}

impl World {
    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn user_by_name(&self, name: &str) -> Option<&User> {
        let name = name.trim_start_matches('@');
        self.users.iter().find(|user| user.id == name || user.name == name)
    }

    pub(super) fn user_mut(&mut self, id: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id)
    }

    pub(super) fn channel(&self, id: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.id == id)
    }

    pub(super) fn channel_mut(&mut self, id: &str) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.id == id)
    }

    /// By id, name or "#name".
    pub(super) fn channel_by_name(&self, name: &str) -> Option<&Channel> {
        let name = name.trim_start_matches('#');
        let named = |channel: &&Channel| channel.id == name || (channel.kind != Kind::Direct && channel.name == name);
        self.channels.iter().find(named)
    }

    /// The next channel's id.
    pub(super) fn next_channel_id(&mut self) -> String {
        self.last_channel += 1;
        id_of("C0", self.last_channel)
    }
}

impl Channel {
    pub(super) fn is_general(&self) -> bool {
        self.kind == Kind::Public && self.name == "general"
    }

    pub(super) fn has(&self, user: &str) -> bool {
        self.members.iter().any(|member| member == user)
    }

    /// A ts that no message of the channel has, at or right after `wanted`.
    pub(super) fn free_ts(&self, wanted: Ts) -> Ts {
        let mut ts = wanted;
        while self.messages.contains_key(&ts) {
            ts.0 += 1;
        }
        ts
    }

    /// The thread's replies, oldest first.
    pub(super) fn replies(&self, root: Ts) -> impl Iterator<Item = (Ts, &Message)> {
        let later = self.messages.range(root..).skip_while(move |(ts, _)| **ts == root);
        later.filter(move |(_, message)| message.thread == Some(root)).map(|(ts, message)| (*ts, message))
    }

    /// The newest message that a person wrote into the channel itself.
    pub(super) fn newest_root(&self) -> Option<Ts> {
        let root = |message: &Message| message.thread.is_none() && message.subtype.is_none();
        self.messages.iter().rev().find(|(_, message)| root(message)).map(|(ts, _)| *ts)
    }
}

impl Message {
    /// Whether `conversations.history` shows it: replies are in their thread only, unless they were broadcast.
    pub(super) fn in_history(&self) -> bool {
        self.thread.is_none() || self.subtype == Some("thread_broadcast")
    }
}

/// An id as Slack's look: a prefix and eight of `0-9A-Z`. Not sorted by age, and the same for the same number in every world, so
/// that scripts can rely on it.
pub(super) fn id_of(prefix: &str, number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    // Odd and prime to 36, so the map is one to one on 36^8.
    let mut rest = u128::from(number) * 1_500_450_271_967 % 36_u128.pow(8);
    let mut digits = [b'0'; 8];
    for digit in digits.iter_mut().rev() {
        *digit = usize::try_from(rest % 36).ok().and_then(|index| DIGITS.get(index)).copied().unwrap_or(b'0');
        rest /= 36;
    }
    format!("{prefix}{}", String::from_utf8_lossy(&digits))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_ts_is_a_decimal_string_with_six_places() {
        let table = [
            ("1700000000.123456", Some("1700000000.123456")),
            ("1700000000", Some("1700000000.000000")),
            ("1700000000.5", Some("1700000000.500000")),
            ("0", Some("0.000000")),
            ("", None),
            (".1", None),
            ("-1", None),
            ("1e9", None),
            ("1700000000.1234567", None),
            ("99999999999999999999", None),
            ("١", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Ts>().ok().map(|ts| ts.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn ids_look_like_those_of_slack_and_differ() {
        let ids: BTreeSet<String> = (0..5_000).map(|number| id_of("C0", number)).collect();
        assert_eq!(ids.len(), 5_000);
        assert!(ids.iter().all(|id| id.len() == 10));
    }
}
