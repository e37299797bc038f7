//! The queries of an Asana account.

use std::collections::BTreeMap;

use super::{AsanaProject, AsanaTask, AsanaUser, AsanaWorkspace};
use crate::{
    interfaces::root,
    table::{AFTER, Arg, Arguments, FIRST, Field, FilterRule, Found, Row, table},
    view::NodeView,
};

fn viewer(_: &NodeView, _: &Arguments) -> Found {
    Found::Lookup("viewer", "AsanaUser", BTreeMap::new())
}

fn project(_: &NodeView, arguments: &Arguments) -> Found {
    Found::Key("AsanaProject", arguments.text("gid").unwrap_or_default())
}

fn task(_: &NodeView, arguments: &Arguments) -> Found {
    Found::Key("AsanaTask", arguments.text("gid").unwrap_or_default())
}

const GID: &[Arg] = &[Arg::lookup::<String>("gid", "Asana's id.")];
const PROJECTS: &[Arg] = &[
    Arg::new::<Option<String>>(
        "workspaceGid",
        "Only projects of the workspace with this id.",
        FilterRule::Named("workspace"),
    ),
    FIRST,
    AFTER,
];

table! {
    /// The root of an Asana account.
    Asana = ASANA {
        provider: "asana",
        doc: "Asana, as one integration sees it.",
        interfaces: &[],
        always: &[],
        fields: &[
            &root(),
            &[
                Field::find::<Row<AsanaUser>>("viewer", "The user that the integration's token acts as.", viewer),
                Field::whole_list::<Row<AsanaWorkspace>>("workspaces", "The workspaces that the integration sees.", 5),
                Field::find::<Row<AsanaProject>>("project", "One project by Asana's id.", project).args(GID),
                Field::list::<Row<AsanaProject>>("projects", "The projects that the integration sees, by name.")
                    .args(PROJECTS),
                Field::find::<Row<AsanaTask>>("task", "One task by Asana's id.", task).args(GID),
            ],
        ],
    }
}
