//! The queries of a GitHub account.

use std::collections::BTreeMap;

use super::{GithubRepository, GithubSearchType, GithubUser};
use crate::{
    interfaces::root,
    table::{AFTER, Abstract, Abstraction, Arg, Arguments, FIRST, Field, Found, Row, Shape, table},
    view::NodeView,
};

fn viewer(_: &NodeView, _: &Arguments) -> Found {
    Found::Lookup("viewer", "GithubUser", BTreeMap::new())
}

fn repository(_: &NodeView, arguments: &Arguments) -> Found {
    let text = |name| (name, arguments.text(name).unwrap_or_default());
    Found::Lookup("repository", "GithubRepository", BTreeMap::from([text("owner"), text("name")]))
}

fn user(_: &NodeView, arguments: &Arguments) -> Found {
    let login = arguments.text("login").unwrap_or_default();
    Found::Lookup("user", "GithubUser", BTreeMap::from([("login", login)]))
}

const REPOSITORY: &[Arg] =
    &[Arg::lookup::<String>("owner", "The owner's login."), Arg::lookup::<String>("name", "The repository's name.")];
const SEARCH: &[Arg] = &[
    Arg::filter::<String>("query", "What to search for, in GitHub's search syntax."),
    Arg::filter::<GithubSearchType>("type", "What to look for."),
    FIRST,
    AFTER,
];

table! {
    /// The root of a GitHub account.
    Github = GITHUB {
        provider: "github",
        doc: "GitHub, as one integration sees it.",
        interfaces: &[],
        always: &[],
        fields: &[
            &root(),
            &[
                Field::find::<Row<GithubUser>>("viewer", "The user that the integration's token acts as.", viewer),
                Field::find::<Row<GithubRepository>>("repository", "One repository by owner and name.", repository)
                    .args(REPOSITORY),
                Field::list::<Row<GithubRepository>>(
                    "repositories",
                    "The repositories that the integration sees, by name.",
                ),
                Field::find::<Row<GithubUser>>("user", "One user by login.", user)
                    .args(&[Arg::lookup::<String>("login", "The user's login.")]),
                Field::list::<GithubSearchHit>("search", "What GitHub finds, in GitHub's order.").args(SEARCH),
            ],
        ],
    }
}

/// A result of a search.
pub type GithubSearchHit = Abstract<GithubSearchHitMark>;

/// Marks [`GithubSearchHit`].
pub struct GithubSearchHitMark;

impl Abstraction for GithubSearchHitMark {
    const NAME: &'static str = "GithubSearchHit";
    const DOC: &'static str = "What a search on GitHub can find.";
    const STEM: &'static str = "GithubSearch";
    const SHAPE: Shape = Shape::Union(&["GithubIssue", "GithubPullRequest", "GithubRepository"]);
}
