//! The workspace and its channels.

use async_graphql::Value;

use super::SlackMessage;
use crate::{
    interfaces::{container, node, provider_node},
    table::{Derive, Field, Row, table},
};

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
}
