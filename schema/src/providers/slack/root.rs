//! The queries of a Slack workspace.

use std::collections::BTreeMap;

use super::{SlackChannel, SlackUser, SlackWorkspace};
use crate::{
    error::PortError,
    interfaces::root,
    table::{AFTER, Arg, Arguments, FIRST, Field, FilterRule, Found, Row, table},
    view::NodeView,
};

fn workspace(_: &NodeView, _: &Arguments) -> Found {
    Found::Lookup("workspace", "SlackWorkspace", BTreeMap::new())
}

fn channel(_: &NodeView, arguments: &Arguments) -> Found {
    match (arguments.text("slackId"), arguments.text("name")) {
        (Some(id), None) => Found::Key("SlackChannel", id),
        (None, Some(name)) => {
            let name = name.strip_prefix('#').unwrap_or(&name).to_owned();
            Found::Lookup("channel", "SlackChannel", BTreeMap::from([("name", name)]))
        }
        _ => Found::Refused(PortError::bad_input("slackId, name: give exactly one of the two")),
    }
}

fn user(_: &NodeView, arguments: &Arguments) -> Found {
    Found::Key("SlackUser", arguments.text("slackId").unwrap_or_default())
}

const CHANNELS: &[Arg] = &[
    FIRST,
    AFTER,
    Arg::new::<Option<bool>>(
        "includeArchived",
        "Whether archived channels are listed too. False or absent: they are left out.",
        FilterRule::UnlessIncluded("archived"),
    ),
];
const CHANNEL: &[Arg] = &[
    Arg::lookup::<Option<String>>("slackId", "Slack's id of the channel: C024BE91L."),
    Arg::lookup::<Option<String>>("name", "The channel's name."),
];

table! {
    /// The root of a Slack workspace.
    Slack = SLACK {
        provider: "slack",
        doc: "Slack, as one integration sees it.",
        interfaces: &[],
        always: &[],
        fields: &[
            &root(),
            &[
                Field::find::<Row<SlackWorkspace>>("workspace", "The workspace of the integration.", workspace),
                Field::list::<Row<SlackChannel>>("channels", "The channels that the integration sees, by name.")
                    .args(CHANNELS),
                Field::find::<Row<SlackChannel>>("channel", "One channel, by id or by name: give exactly one.", channel)
                    .args(CHANNEL),
                Field::list::<Row<SlackUser>>("users", "The members of the workspace, by handle."),
                Field::find::<Row<SlackUser>>("user", "One user by Slack's id.", user)
                    .args(&[Arg::lookup::<String>("slackId", "Slack's id of the user: U024BE7LH.")]),
            ],
        ],
    }
}
