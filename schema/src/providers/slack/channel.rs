//! The workspace, its channels, and their messages with reactions. They refer to one another, and so stand together.

use async_graphql::Value;

use super::{SlackUser, markup::plain};
use crate::{
    interfaces::{container, message, node, provider_node},
    providers::first_line_of,
    table::{Derive, Field, Row, table},
    view::NodeView,
};

/// The text of a message without words that can be shown here: a block of a type that is not known, a huddle.
const WORDLESS: &str = "(to be seen in Slack)";
const HUDDLE: &str = "(a huddle)";

/// A message as people see it: without markup, and never blank.
fn said(view: &NodeView) -> Option<String> {
    let text = plain(&view.text("text")?);
    if !text.trim().is_empty() {
        return Some(text);
    }
    let is_huddle = view.text("subtype").is_some_and(|subtype| subtype == "huddle_thread");
    Some(if is_huddle { HUDDLE } else { WORDLESS }.to_owned())
}

/// The first line of a message.
fn title(view: &NodeView) -> Option<Value> {
    said(view).map(|text| first_line_of(&text))
}

/// All of it.
const SAID: Derive = Derive::new(|view| said(view).map(Value::from), &["text"]);

table! {
    /// A workspace.
    SlackWorkspace = SLACK_WORKSPACE {
        provider: "slack",
        doc: "A workspace of Slack.",
        interfaces: &["Node", "ProviderNode"],
        always: &["name"],
        fields: &[
            &node(),
            &provider_node(Derive::new(|view| view.text("name").map(Value::from), &["name"])),
            &[
                Field::text("name", "Its name.").required(),
                Field::text("domain", "The first part of its address: acme of acme.slack.com."),
                Field::url("iconUrl", "Its icon."),
            ],
        ],
    }

    /// A channel.
    SlackChannel = SLACK_CHANNEL {
        provider: "slack",
        doc: "A channel of Slack.",
        interfaces: &["Node", "ProviderNode", "Container"],
        always: &["name", "isPrivate", "isArchived"],
        fields: &[
            &node(),
            &provider_node(Derive::new(
                |view| view.text("name").map(|name| Value::from(format!("#{name}"))),
                &["name"],
            )),
            &container(),
            &[
                Field::text("topic", "What it is about just now."),
                Field::flag("isPrivate", "Whether only invited people see it.").required(),
                Field::flag("isArchived", "Whether it is archived.").required(),
                Field::int("memberCount", "How many people are in it."),
                Field::list::<Row<SlackMessage>>("messages", "Its messages, newest first, without the replies in threads."),
            ],
        ],
    }

    /// A message.
    SlackMessage = SLACK_MESSAGE {
        provider: "slack",
        doc: "A message in a channel of Slack. Where it has no words that can be shown here, its text is `(to be seen in Slack)`, \
              or `(a huddle)`.",
        interfaces: &["Node", "ProviderNode", "Message"],
        always: &["text", "ts", "sentAt", "reactions"],
        fields: &[
            &node(),
            &provider_node(Derive::new(title, &["text"])),
            &message(SAID),
            &[
                Field::text("ts", "Slack's id of the message in its channel.").required(),
                Field::node::<Row<SlackChannel>>("channel", "The channel it was said in."),
                Field::text("threadTs", "The `ts` of the message that began the thread it belongs to."),
                Field::records::<SlackReaction>("reactions", "The reactions to it.", 10).required(),
                Field::list::<Row<SlackMessage>>("replies", "The replies in its thread, oldest first."),
            ],
        ],
    }

    /// A reaction.
    SlackReaction = SLACK_REACTION {
        provider: "slack",
        doc: "An emoji with which people reacted to a message.",
        interfaces: &[],
        always: &["name", "count"],
        fields: &[&[
            Field::text("name", "The emoji's name, without colons.").required(),
            Field::int("count", "How many people reacted with it.").required(),
            Field::nodes::<Row<SlackUser>>("users", "Who reacted with it; of many perhaps only some.", 10),
        ]],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use serde_json::json;

    use super::{NodeView, said};
    use crate::{
        id::NodeKey,
        view::{FreshnessSource, FreshnessView},
    };

    #[test]
    fn a_message_is_plain_text_and_never_blank() {
        for (body, expected) in [
            (json!({ "text": "hi <@U1|ada> &lt;b&gt; &amp; <https://e.example|docs>" }), "hi @ada <b> & docs"),
            (json!({ "text": "", "subtype": null }), "(to be seen in Slack)"),
            (json!({ "text": " ", "subtype": "huddle_thread" }), "(a huddle)"),
        ] {
            let view = NodeView {
                key: NodeKey::new(&"i".into(), "SlackMessage", "T/C/1"),
                body: Arc::new(body.as_object().cloned().unwrap_or_default()),
                freshness: FreshnessView {
                    fetched_at: DateTime::UNIX_EPOCH,
                    source: FreshnessSource::Cache,
                    stale_because: None,
                },
                failure: None,
            };
            assert_eq!(said(&view).as_deref(), Some(expected));
        }
    }
}
