//! Users.

use async_graphql::Value;

use crate::{
    interfaces::{node, person, provider_node},
    table::{Derive, Field, table},
};

const DISPLAY_NAME: Derive = Derive::new(|view| view.text("displayName").map(Value::from), &["displayName"]);
const HANDLE: Derive = Derive::new(|view| view.text("handle").map(Value::from), &["handle"]);
const IS_BOT: Derive = Derive::new(|view| view.flag("isBot").map(Value::from), &["isBot"]);

table! {
    /// A user.
    SlackUser = SLACK_USER {
        provider: "slack",
        doc: "A member or a bot of a workspace of Slack.",
        interfaces: &["Node", "ProviderNode", "Person"],
        always: &["displayName", "isBot", "isDeleted"],
        fields: &[
            &node(),
            &provider_node(DISPLAY_NAME),
            &person(HANDLE, DISPLAY_NAME, IS_BOT),
            &[
                Field::text("realName", "The full name."),
                Field::text("timezone", "The time zone: Europe/Berlin."),
                Field::text("statusText", "What they say they are doing."),
                Field::text("statusEmoji", "The emoji beside that."),
                Field::flag("isDeleted", "Whether the account was deactivated.").required(),
            ],
        ],
    }
}
