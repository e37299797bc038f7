//! Slack's cursors: opaque, the base64 of what comes next, so a page stays right when something is added before it.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::request::{Args, Fail};

/// The items of one page and the cursor of the next.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

impl<T> Page<T> {
    /// Cuts a page of `limit` out of `items`, each named by `key`, beginning with the one that the cursor names.
    pub(super) fn cut(
        items: impl Iterator<Item = T>,
        key: impl Fn(&T) -> String,
        args: &Args,
        limit: usize,
    ) -> Result<Self, Fail> {
        let first = args.get("cursor").map(|cursor| decode(cursor).ok_or("invalid_cursor")).transpose()?;
        let mut items = items.skip_while(|item| first.as_ref().is_some_and(|first| key(item) != *first)).peekable();
        if first.is_some() && items.peek().is_none() {
            return Err("invalid_cursor".into());
        }
        let page = items.by_ref().take(limit).collect();
        let next = items.next().map(|item| encode(&key(&item)));
        Ok(Self { items: page, next })
    }

    /// `response_metadata`, with an empty cursor on the last page.
    pub(super) fn metadata(&self) -> Value {
        json!({ "next_cursor": self.next.as_deref().unwrap_or_default() })
    }
}

fn encode(key: &str) -> String {
    STANDARD.encode(format!("next:{key}"))
}

fn decode(cursor: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("next:").map(str::to_owned)
}
