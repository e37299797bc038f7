//! Users and teams.

use async_graphql::Value;

use super::GithubUserKind;
use crate::{
    interfaces::{node, person, provider_node},
    table::{Abstract, Abstraction, Derive, Field, Shape, table},
    view::NodeView,
};

fn name_or_login(view: &NodeView) -> Option<Value> {
    view.text("name").or_else(|| view.text("login")).map(Value::from)
}

const DISPLAY_NAME: Derive = Derive { read: name_or_login, needs: &["login"], asks: &["name"] };
const LOGIN: Derive = Derive::new(|view| view.text("login").map(Value::from), &["login"]);
const IS_BOT: Derive = Derive::new(|view| view.text("kind").map(|kind| Value::from(kind == "BOT")), &["kind"]);

table! {
    /// A user of GitHub.
    GithubUser = GITHUB_USER {
        provider: "github",
        doc: "A user, an organization or a bot of GitHub.",
        interfaces: &["Node", "ProviderNode", "Person"],
        always: &["login", "kind"],
        fields: &[
            &node(),
            &provider_node(DISPLAY_NAME),
            &person(LOGIN, DISPLAY_NAME, IS_BOT),
            &[
                Field::text("login", "The name in addresses and mentions.").required(),
                Field::value::<GithubUserKind>("kind", "What kind of account it is.").required(),
            ],
        ],
    }

    /// A team of an organization.
    GithubTeam = GITHUB_TEAM {
        provider: "github",
        doc: "A team of an organization on GitHub.",
        interfaces: &["Node", "ProviderNode"],
        always: &["name", "slug"],
        fields: &[
            &node(),
            &provider_node(Derive::new(|view| view.text("name").map(Value::from), &["name"])),
            &[
                Field::text("name", "Its name.").required(),
                Field::text("slug", "Its name in addresses and mentions.").required(),
            ],
        ],
    }
}

/// A reviewer that can be requested: a person or a team.
pub type GithubReviewer = Abstract<GithubReviewerMark>;

/// Marks [`GithubReviewer`].
pub struct GithubReviewerMark;

impl Abstraction for GithubReviewerMark {
    const NAME: &'static str = "GithubReviewer";
    const DOC: &'static str = "A person or a team that can be asked to review a pull request.";
    const SHAPE: Shape = Shape::Union(&["GithubUser", "GithubTeam"]);
}
