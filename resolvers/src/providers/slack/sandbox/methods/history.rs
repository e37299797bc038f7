//! `conversations.history` (newest first) and `conversations.replies` (oldest first).

use serde_json::{Value, json};

use super::super::{
    model::{Channel, Message, Ts, World},
    page::Page,
    render,
    request::{Answer, Args, Fail},
};

/// The span of time that `oldest`, `latest` and `inclusive` ask for.
struct Span {
    oldest: Option<Ts>,
    latest: Option<Ts>,
    inclusive: bool,
}

impl Span {
    fn of(args: &Args) -> Result<Self, Fail> {
        let ts = |name| {
            args.ts(name)
                .map_err(|_| Fail::from(if name == "oldest" { "invalid_ts_oldest" } else { "invalid_ts_latest" }))
        };
        Ok(Self { oldest: ts("oldest")?, latest: ts("latest")?, inclusive: args.flag("inclusive") })
    }

    fn holds(&self, ts: Ts) -> bool {
        let edge = |at: Ts| self.inclusive && at == ts;
        self.oldest.is_none_or(|oldest| ts > oldest || edge(oldest))
            && self.latest.is_none_or(|latest| ts < latest || edge(latest))
    }
}

pub(super) fn history(world: &World, args: &Args) -> Answer {
    let channel = args.channel(world)?;
    let span = Span::of(args)?;
    let newest_first = channel.messages.iter().rev();
    let wanted = newest_first.filter(|(ts, message)| message.in_history() && span.holds(**ts));
    let page = Page::cut(wanted, |(ts, _)| ts.to_string(), args, args.limit(100, 999)?)?;
    let shown: Vec<Value> =
        page.items.iter().map(|(ts, message)| render::message(world, channel, **ts, message)).collect();
    let mut answer = json!({ "messages": shown, "has_more": page.next.is_some(), "pin_count": 0, "channel_actions_ts": null, "channel_actions_count": 0 });
    add_cursor(&mut answer, &page);
    Ok(answer)
}

/// The whole thread of the message that `ts` names: the first message, then the replies in the span.
pub(super) fn replies(world: &World, args: &Args) -> Answer {
    let channel = args.channel(world)?;
    args.need("ts")?;
    let named = args.ts("ts")?.and_then(|ts| Some((ts, channel.messages.get(&ts)?)));
    let (ts, message) = named.ok_or("thread_not_found")?;
    let root = message.thread.unwrap_or(ts);
    let span = Span::of(args)?;
    let parent = channel.messages.get_key_value(&root).map(|(ts, message)| (*ts, message));
    let thread = parent.into_iter().chain(channel.replies(root).filter(|(ts, _)| span.holds(*ts)));
    let page = Page::cut(thread, |(ts, _)| ts.to_string(), args, args.limit(1_000, 1_000)?)?;
    let shown: Vec<Value> = page.items.iter().map(|(ts, message)| show(world, channel, *ts, message)).collect();
    let mut answer = json!({ "messages": shown, "has_more": page.next.is_some() });
    add_cursor(&mut answer, &page);
    Ok(answer)
}

fn show(world: &World, channel: &Channel, ts: Ts, message: &Message) -> Value {
    render::message(world, channel, ts, message)
}

/// Unlike the lists, these two have no metadata on their last page.
fn add_cursor<T>(answer: &mut Value, page: &Page<T>) {
    if page.next.is_some() {
        answer["response_metadata"] = page.metadata();
    }
}
