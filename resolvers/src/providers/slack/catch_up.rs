//! What was said in a channel and was not delivered, by its history: the newest messages as they are now, and all that are newer than
//! those of the last time.
//!
//! Slack keeps no log of events. The newest page tells of edits, reactions and deletions too, for what dashboards show.

use http::HeaderMap;
use serde_json::{Value, json};

use super::{
    Slack, account, client,
    interpret::{edited_key, said_key},
    messages::{self, HISTORY, PAGE, REPLIES_CALL},
    names::{CHANNEL, MESSAGES},
    normalize::{self, Place},
    values::{flag, list, object, text, ts_of},
    webhook::event_name,
};
use crate::{
    change::ListRef,
    provider::{FetchWant, Fetched, PageWant, VerifiedDelivery},
    recovery::{CaughtUp, Known, Recovered, Since},
    upstream::{Connection, UpstreamError},
};

/// How far ahead of our clock a message's stamp may be, to be believed.
const AHEAD: chrono::Duration = chrono::Duration::days(1);

/// The history of a channel, as far as it is read.
struct Reader<'a> {
    api: &'a Connection,
    channel: &'a str,
    /// What is not newer was seen before.
    mark: Option<chrono::DateTime<chrono::Utc>>,
    calls: usize,
    most_calls: usize,
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
    let mark = since.mark.and_then(|mark| ts_of(mark, "ts"));
    let team = home.team.as_str();
    let mut reader = Reader { api, channel, mark, calls: 0, most_calls: since.calls.max(2) };
    // A stamp of the far future would hide all that comes until then.
    let latest = api.clock.now() + AHEAD;
    let newest = |page: &Value| {
        let messages = list(page, "messages").iter();
        let believed = messages.filter(|message| ts_of(message, "ts").is_some_and(|at| at <= latest));
        believed.filter_map(|message| text(message, "ts")).max().map(str::to_owned)
    };
    let Some(earlier) = since.mark.and_then(|mark| text(mark, "ts")) else {
        // From here on it is told: the answers and edits that there are of older messages are not. In an empty channel, all that
        // comes is news.
        let page = reader.call(HISTORY, &[("channel", channel), ("limit", PAGE)]).await?;
        let last = last_of(&page, latest).unwrap_or_else(|| "0000000000.000000".to_owned());
        let mark = Some(json!({ "ts": last }));
        return Ok(CaughtUp { mark, calls: reader.calls, ..CaughtUp::default() });
    };
    let asked_at = api.clock.now();
    let info = reader.call("conversations.info", &[("channel", channel)]).await?;
    let first = reader.call(HISTORY, &[("channel", channel), ("limit", PAGE)]).await?;
    let (events, complete) = reader.news(&first).await?;
    let up_to = newest(&first).max(Some(earlier.to_owned()));
    Ok(CaughtUp {
        mark: Some(json!({ "ts": up_to })),
        deliveries: untold(events, team, known).await?,
        fetched: vec![shown(since, home.place(), (&info, &first), asked_at)],
        complete,
        calls: reader.calls,
    })
}

/// When something last happened to a page's messages: they were said, answered or edited.
fn last_of(page: &Value, latest: chrono::DateTime<chrono::Utc>) -> Option<String> {
    let stamps = |message| {
        let edited = object(message, "edited");
        [(Some(message), "ts"), (Some(message), "latest_reply"), (edited, "ts")]
    };
    let stamps = list(page, "messages").iter().flat_map(stamps);
    let believed = stamps.filter_map(|(of, key)| {
        let of = of?;
        ts_of(of, key).filter(|at| *at <= latest)?;
        text(of, key)
    });
    believed.max().map(str::to_owned)
}

/// The newest page as a fetch that somebody asked for would have brought it, and the channel itself.
fn shown(
    since: Since<'_>,
    place: Place<'_>,
    (info, first): (&Value, &Value),
    asked_at: chrono::DateTime<chrono::Utc>,
) -> (FetchWant, Fetched) {
    let list = ListRef { parent: Some(since.container.clone()), name: MESSAGES };
    let want = PageWant { list, filter: mullion_schema::ports::Filter::default(), cursor: None };
    let mut fetched = messages::newest(first, place, &since.container.native_id, (want.clone(), asked_at));
    let channel = object(info, "channel").and_then(|channel| normalize::channel(channel, place, asked_at));
    fetched.writes.extend(channel);
    (FetchWant::Page(want), fetched)
}

impl Reader<'_> {
    async fn call(&mut self, method: &'static str, arguments: &[(&str, &str)]) -> Result<Value, UpstreamError> {
        self.calls += 1;
        client::call(self.api, method, arguments).await
    }

    fn is_new(&self, value: &Value, key: &str) -> bool {
        ts_of(value, key).is_some_and(|at| self.mark.is_none_or(|mark| at > mark))
    }

    /// What the history has since the mark, oldest first, and whether that is all.
    async fn news(&mut self, first: &Value) -> Result<(Vec<Untold>, bool), UpstreamError> {
        let mut found = Vec::new();
        let mut page = first.clone();
        let mut whole = true;
        loop {
            for message in list(&page, "messages") {
                self.told_by(message, &mut found);
                if self.is_new(message, "latest_reply") {
                    whole &= self.replies(message, &mut found).await?;
                }
            }
            let reached = list(&page, "messages").iter().any(|message| !self.is_new(message, "ts"));
            let Some(next) = client::next_cursor(&page).filter(|_| !reached) else { break };
            if self.calls >= self.most_calls {
                whole = false;
                break;
            }
            let channel = self.channel;
            page = self.call(HISTORY, &[("channel", channel), ("limit", PAGE), ("cursor", &next)]).await?;
        }
        found.sort_by(|one, other| text(&one.event, "event_ts").cmp(&text(&other.event, "event_ts")));
        Ok((found, whole))
    }

    /// The replies of a thread since the mark; whether these are all.
    async fn replies(&mut self, root: &Value, found: &mut Vec<Untold>) -> Result<bool, UpstreamError> {
        let (Some(ts), true) = (text(root, "ts"), self.calls < self.most_calls) else { return Ok(false) };
        let oldest = self
            .mark
            .map_or_else(String::new, |mark| format!("{}.{:06}", mark.timestamp(), mark.timestamp_subsec_micros()));
        let channel = self.channel;
        let arguments = [("channel", channel), ("ts", ts), ("oldest", oldest.as_str()), ("limit", PAGE)];
        let answer = self.call(REPLIES_CALL, &arguments).await?;
        for reply in list(&answer, "messages").iter().filter(|reply| text(reply, "ts") != Some(ts)) {
            self.told_by(reply, found);
        }
        Ok(client::next_cursor(&answer).is_none())
    }

    /// What a message tells of: that it was said, or that it was edited.
    fn told_by(&self, message: &Value, found: &mut Vec<Untold>) {
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
            found.push(Untold { key: said_key(self.channel, ts), event });
            return;
        }
        let Some(edited) = object(message, "edited").filter(|edited| self.is_new(edited, "ts")) else { return };
        if let Some(at) = text(edited, "ts").filter(|_| !flag(message, "hidden")) {
            let event = json!({
                "type": "message", "subtype": "message_changed", "hidden": true, "channel": self.channel,
                "ts": at, "event_ts": at, "message": message,
            });
            found.push(Untold { key: edited_key(self.channel, ts, at), event });
        }
    }
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
