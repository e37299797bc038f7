//! The messages of a channel that were not delivered, by its history: the newest messages as they are now, and all that are newer than
//! those of the last time.
//!
//! Slack keeps no log of events. The newest page tells of edits, reactions and deletions too, for what dashboards show. Where the calls
//! of one look do not reach back to the mark, the next one goes on where this one ended, and the mark stays until it is reached.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Slack, account, client,
    interpret::{edited_key, said_key},
    messages::{self, HISTORY, PAGE, REPLIES_CALL},
    names::{CHANNEL, MESSAGES},
    normalize::{self, Workspace},
    values::{self, flag, list, object, text, ts_of},
    webhook::{channel, event_name},
};
use crate::{
    error_chain::chain,
    provider::{
        FetchWant, Fetched, ListRef, PageWant, VerifiedDelivery,
        recovery::{CaughtUp, Known, Recovered, Since},
    },
    upstream::{Connection, UpstreamError},
};

/// How far ahead of our clock a message's stamp may be, to be believed.
const AHEAD: chrono::Duration = chrono::Duration::days(1);

/// Up to where a channel's history was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Checkpoint {
    /// The stamp of the newest message that was seen.
    ts: String,
    /// How far the reading is that did not get there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reading: Option<Reading>,
}

/// A reading of the history that was not finished.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Reading {
    /// All since this message was read, and it itself.
    before: String,
    /// The mark when it is finished.
    to: String,
}

/// How a reading of the history ended.
enum Ended {
    /// At the mark.
    There,
    /// On the way: this message was the last one that was read, if any was.
    Before(Option<String>),
}

/// The history of a channel, as far as it is read.
struct Reader<'a> {
    api: &'a Connection,
    channel: &'a str,
    /// Everything that is not newer was seen before.
    mark: Option<DateTime<Utc>>,
    calls: usize,
    most_calls: usize,
    found: Vec<Untold>,
    /// The newest stamp that can be believed.
    newest: Option<String>,
    /// Whether something is left out for good.
    gaps: bool,
}

/// An event that was not delivered, as Slack would have told it.
struct Untold {
    key: String,
    event: Value,
}

/// Reads a channel's history back to where it was read the last time.
pub(super) async fn catch_up(
    slack: &Slack,
    api: &Connection,
    since: Since<'_>,
    known: &dyn Known,
) -> Result<CaughtUp, UpstreamError> {
    if since.container.type_name != CHANNEL {
        return Ok(CaughtUp::default());
    }
    let home = account::home(slack, api).await?;
    let channel = since.container.native_id.as_ref();
    let most_calls = since.calls.max(2);
    let (found, newest) = (Vec::new(), None);
    let mut reader = Reader { api, channel, mark: None, calls: 0, most_calls, found, newest, gaps: false };
    let known_from = since.from.map(|from| Checkpoint { ts: stamp(from), reading: None });
    let Some(mut mark) = since.mark.and_then(|mark| Checkpoint::deserialize(mark).ok()).or(known_from) else {
        // From here on it is told: the answers and edits that there are of older messages are not. In an empty channel, all that
        // comes is news.
        let page = reader.call(HISTORY, &[("channel", channel), ("limit", PAGE)]).await?;
        let ts = last_of(&page, api.clock.now() + AHEAD).unwrap_or_else(|| "0000000000.000000".to_owned());
        let mark = serde_json::to_value(Checkpoint { ts, reading: None }).ok();
        return Ok(CaughtUp { mark, calls: reader.calls, ..CaughtUp::default() });
    };
    let anew = mark.reading.is_none();
    let (mut fetched, mut complete) = (Vec::new(), false);
    let looked = async {
        if !anew && !reader.go_on(&mut mark).await? {
            return Ok(());
        }
        if !anew && reader.calls + 2 > reader.most_calls {
            return Ok(());
        }
        let asked_at = api.clock.now();
        let info = reader.call("conversations.info", &[("channel", channel)]).await?;
        let first = reader.call(HISTORY, &[("channel", channel), ("limit", PAGE)]).await?;
        // A page with a message that cannot be read is no page to show; its other messages are recovered all the same.
        fetched.extend(shown(since, home.workspace(), (&info, &first), asked_at).ok());
        complete = reader.begin(&mut mark, first).await? && anew && !reader.gaps;
        Ok(())
    };
    match looked.await {
        // The messages that were found before it count.
        Err(error) if reader.found.is_empty() && fetched.is_empty() => return Err(error),
        Err(error) => tracing::debug!(error = %chain(&error), "a channel's history was read in part"),
        Ok(()) => {}
    }
    let mut found = std::mem::take(&mut reader.found);
    found.sort_by(|one, other| text(&one.event, "event_ts").cmp(&text(&other.event, "event_ts")));
    Ok(CaughtUp {
        mark: serde_json::to_value(mark).ok(),
        deliveries: untold(found, &home.team, known).await?,
        fetched,
        complete,
        calls: reader.calls,
    })
}

/// When something last happened to a page's messages: they were said, answered or edited.
fn last_of(page: &Value, latest: DateTime<Utc>) -> Option<String> {
    newest(
        list(page, "messages").iter().flat_map(|message| {
            let edited = object(message, "edited").map(|edited| (edited, "ts"));
            [(message, "ts"), (message, "latest_reply")].into_iter().chain(edited)
        }),
        latest,
    )
}

/// The newest of some stamps. One of the far future would hide all that comes until then.
fn newest<'v>(stamps: impl Iterator<Item = (&'v Value, &'static str)>, latest: DateTime<Utc>) -> Option<String> {
    let believed = stamps.filter(|(of, key)| ts_of(of, key).is_some_and(|at| at <= latest));
    believed.filter_map(|(of, key)| text(of, key)).max().map(str::to_owned)
}

/// The newest page as a fetch that somebody asked for would have brought it, and the channel itself.
fn shown(
    since: Since<'_>,
    workspace: Workspace<'_>,
    (info, first): (&Value, &Value),
    asked_at: DateTime<Utc>,
) -> Result<(FetchWant, Fetched), UpstreamError> {
    let list = ListRef { parent: Some(since.container.clone()), name: MESSAGES };
    let want = PageWant { list, filter: mullion_schema::ports::Filter::default(), cursor: None };
    let mut fetched = messages::newest(first, workspace, &since.container.native_id, (want.clone(), asked_at))?;
    let channel = object(info, "channel").and_then(|channel| normalize::channel(channel, workspace, asked_at));
    fetched.writes.extend(channel);
    Ok((FetchWant::Page(want), fetched))
}

impl Reader<'_> {
    async fn call(&mut self, method: &'static str, arguments: &[(&str, &str)]) -> Result<Value, UpstreamError> {
        self.calls += 1;
        client::call(self.api, method, arguments).await
    }

    fn is_new(&self, value: &Value, key: &str) -> bool {
        ts_of(value, key).is_some_and(|at| self.mark.is_none_or(|mark| at > mark))
    }

    /// Slack tells the time of an edit in whole seconds. An edit that was told already is known by its key.
    fn is_edited_since(&self, edited: &Value) -> bool {
        ts_of(edited, "ts").is_some_and(|at| self.mark.is_none_or(|mark| at.timestamp() >= mark.timestamp()))
    }

    /// The newest stamp of a page's messages.
    fn newest_of(&self, page: &Value) -> Option<String> {
        newest(list(page, "messages").iter().map(|message| (message, "ts")), self.api.clock.now() + AHEAD)
    }

    /// Goes on with a reading that was not finished; whether it is now.
    async fn go_on(&mut self, mark: &mut Checkpoint) -> Result<bool, UpstreamError> {
        let Some(Reading { before, to }) = mark.reading.clone() else { return Ok(true) };
        self.mark = values::ts(&mark.ts);
        let arguments = [("channel", self.channel), ("limit", PAGE), ("latest", &before)];
        let page = self.call(HISTORY, &arguments).await?;
        match self.back(page, Some(&before)).await {
            Ended::There => *mark = Checkpoint { ts: to, reading: None },
            Ended::Before(message) => {
                mark.reading = Some(Reading { before: message.unwrap_or(before), to });
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads from the newest page on; whether the mark was reached.
    async fn begin(&mut self, mark: &mut Checkpoint, first: Value) -> Result<bool, UpstreamError> {
        self.mark = values::ts(&mark.ts);
        let ended = self.back(first, None).await;
        let to = self.newest.take().unwrap_or_default().max(mark.ts.clone());
        match ended {
            Ended::There => mark.ts = to,
            Ended::Before(message) => {
                mark.reading = message.map(|before| Reading { before, to });
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads from a page on, back to the mark, as far as calls and quota reach. `latest` is what the page was asked for with.
    async fn back(&mut self, mut page: Value, latest: Option<&str>) -> Ended {
        let mut last = None;
        let mut asked: Option<String> = None;
        loop {
            self.newest = self.newest.take().max(self.newest_of(&page));
            for message in list(&page, "messages") {
                if self.is_new(message, "latest_reply") && !self.replies(message).await {
                    if last.is_some() || self.calls < self.most_calls {
                        return Ended::Before(last);
                    }
                    // A thread that takes more than all calls of a look would keep the rest from being read for ever.
                    self.gaps = true;
                }
                self.told_by(message);
                last = text(message, "ts").map(str::to_owned).or(last);
            }
            let is_seen = |message: &Value| ts_of(message, "ts").is_some() && !self.is_new(message, "ts");
            let reached = list(&page, "messages").iter().any(is_seen);
            if reached {
                return Ended::There;
            }
            let next = match client::next_page(&page, asked.as_deref()) {
                Ok(Some(next)) => next,
                Ok(None) => return Ended::There,
                Err(error) => {
                    tracing::debug!(%error, "a channel's history was read in part");
                    return Ended::Before(last);
                }
            };
            if self.calls >= self.most_calls {
                return Ended::Before(last);
            }
            let channel = self.channel;
            let mut arguments = vec![("channel", channel), ("limit", PAGE), ("cursor", next.as_str())];
            arguments.extend(latest.map(|latest| ("latest", latest)));
            match self.call(HISTORY, &arguments).await {
                Ok(older) => (page, asked) = (older, Some(next)),
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "a channel's history was read in part");
                    return Ended::Before(last);
                }
            }
        }
    }

    /// The replies of a thread since the mark; whether these are all.
    async fn replies(&mut self, root: &Value) -> bool {
        let Some(ts) = text(root, "ts") else { return true };
        let oldest = self.mark.map_or_else(String::new, stamp);
        let channel = self.channel;
        let mut cursor: Option<String> = None;
        loop {
            if self.calls >= self.most_calls {
                return false;
            }
            let mut arguments = vec![("channel", channel), ("ts", ts), ("oldest", oldest.as_str()), ("limit", PAGE)];
            arguments.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let Ok(answer) = self.call(REPLIES_CALL, &arguments).await else { return false };
            for reply in list(&answer, "messages").iter().filter(|reply| text(reply, "ts") != Some(ts)) {
                self.told_by(reply);
            }
            match client::next_page(&answer, cursor.as_deref()) {
                Ok(Some(next)) => cursor = Some(next),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// The event that a message tells of: that it was said, or that it was edited.
    fn told_by(&mut self, message: &Value) {
        let Some(ts) = text(message, "ts") else { return };
        if text(message, "subtype") == Some("tombstone") {
            return;
        }
        if self.is_new(message, "ts") {
            let mut event = message.clone();
            if let Some(event) = event.as_object_mut() {
                event.insert("type".to_owned(), "message".into());
                event.insert("channel".to_owned(), self.channel.into());
                event.insert("event_ts".to_owned(), ts.into());
            }
            self.found.push(Untold { key: said_key(self.channel, ts), event });
            return;
        }
        let Some(edited) = object(message, "edited").filter(|edited| self.is_edited_since(edited)) else { return };
        let edit = text(edited, "ts").zip(edited_key(self.channel, message));
        if let Some((at, key)) = edit.filter(|_| !flag(message, "hidden")) {
            let event = json!({
                "type": "message", "subtype": "message_changed", "hidden": true, "channel": self.channel,
                "ts": at, "event_ts": at, "message": message,
            });
            self.found.push(Untold { key, event });
        }
    }
}

fn stamp(at: DateTime<Utc>) -> String {
    format!("{:010}.{:06}", at.timestamp(), at.timestamp_subsec_micros())
}

/// Those events that nobody was told of, as they would have been delivered.
async fn untold(events: Vec<Untold>, team: &str, known: &dyn Known) -> Result<Vec<Recovered>, UpstreamError> {
    let keys: Vec<String> = events.iter().map(|event| event.key.clone()).collect();
    let untold = known.untold(&keys).await?;
    let missing = events.into_iter().filter(|event| untold.contains(&event.key));
    let delivery = |Untold { key, event }: Untold| {
        let envelope = json!({ "type": "event_callback", "team_id": team, "event": event });
        let verified = VerifiedDelivery {
            delivery_id: Some(key),
            event: event_name(&envelope),
            subject: channel(&envelope),
            document: envelope.to_string().into(),
        };
        Recovered { verified, headers: HeaderMap::new() }
    };
    Ok(missing.map(delivery).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::last_of;

    #[test]
    fn what_was_answered_or_edited_last_counts_and_what_is_of_the_far_future_does_not() {
        let latest = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let edited = json!({ "ts": "1700000002.000000", "edited": { "ts": "1700000004.000000" } });
        let answered = json!({ "ts": "1700000001.000000", "latest_reply": "1700000005.000000" });
        for (messages, expected) in [
            (json!([]), None),
            (json!([{ "ts": "1700000003.000000" }, { "ts": "1700000001.000000" }]), Some("1700000003.000000")),
            (json!([{ "ts": "1700000003.000000" }, edited]), Some("1700000004.000000")),
            (json!([edited, answered]), Some("1700000005.000000")),
            (json!([{ "ts": "1900000000.000000" }, { "ts": "1700000003.000000" }]), Some("1700000003.000000")),
        ] {
            let page = json!({ "messages": messages });
            assert_eq!(last_of(&page, latest).as_deref(), expected, "{page}");
        }
    }
}
