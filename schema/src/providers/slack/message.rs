//! Messages and reactions to them.

use super::{SlackChannel, SlackUser};
use crate::{
    interfaces::{message, node, provider_node},
    providers::first_line,
    table::{Derive, Field, Row, table},
};

table! {
    /// A message.
    SlackMessage = SLACK_MESSAGE {
        provider: "slack",
        doc: "A message in a channel of Slack.",
        interfaces: &["Node", "ProviderNode", "Message"],
        always: &["text", "ts", "sentAt", "reactions"],
        fields: &[
            &node(),
            &provider_node(Derive::new(first_line, &["text"])),
            &message(),
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
