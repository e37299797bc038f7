//! Things of the world in GitHub's REST form, which webhook payloads share. Here: the small ones; larger ones have their files.

pub(crate) mod builds;
pub(crate) mod issues;
pub(crate) mod pulls;
pub(crate) mod repository;

use serde_json::Value;

use super::world::{
    World,
    model::{Actor, ActorKind, Label, Milestone, Repo, Team},
};
pub(crate) use crate::sandbox::fields::extend;

/// A JSON object with its keys in the order that they are written in. (`json!` recurses; these objects are too long for it.)
macro_rules! shape {
    () => { serde_json::Value::Object(serde_json::Map::new()) };
    ($($key:literal : $value:expr),+ $(,)?) => {{
        let mut object = serde_json::Map::new();
        $( object.insert($key.to_owned(), serde_json::json!($value)); )+
        serde_json::Value::Object(object)
    }};
}
pub(crate) use shape;

/// Where a thing is on the web (as opposed to the API).
pub(crate) const WEB: &str = "https://github.com";

pub(crate) fn login(actor: &Actor) -> String {
    if actor.kind == ActorKind::Bot { format!("{}[bot]", actor.login) } else { actor.login.clone() }
}

pub(crate) fn avatar(actor: &Actor) -> String {
    format!("https://avatars.githubusercontent.com/u/{}?v=4", actor.id)
}

pub(crate) fn actor_page(actor: &Actor) -> String {
    if actor.kind == ActorKind::Bot { format!("{WEB}/apps/{}", actor.login) } else { format!("{WEB}/{}", actor.login) }
}

/// The short form, as it stands in other things.
pub(crate) fn actor(world: &World, index: usize) -> Value {
    let actor = world.actor(index);
    let login = login(actor);
    let url = format!("{}/users/{login}", world.api_root);
    let mut object = shape! {
        "login": login,
        "id": actor.id,
        "node_id": actor.node_id(),
        "avatar_url": avatar(actor),
        "gravatar_id": "",
        "url": url,
        "html_url": actor_page(actor),
    };
    for (key, suffix) in [
        ("followers_url", "/followers"),
        ("following_url", "/following{/other_user}"),
        ("gists_url", "/gists{/gist_id}"),
        ("starred_url", "/starred{/owner}{/repo}"),
        ("subscriptions_url", "/subscriptions"),
        ("organizations_url", "/orgs"),
        ("repos_url", "/repos"),
        ("events_url", "/events{/privacy}"),
        ("received_events_url", "/received_events"),
    ] {
        extend(
            &mut object,
            Value::Object([(key.to_owned(), Value::from(format!("{url}{suffix}")))].into_iter().collect()),
        );
    }
    let kind = match actor.kind {
        ActorKind::User => "User",
        ActorKind::Organization => "Organization",
        ActorKind::Bot => "Bot",
        ActorKind::Mannequin => "Mannequin",
    };
    extend(&mut object, shape! { "type": kind, "site_admin": false });
    object
}

/// The whole form, as `/users/{login}` gives it.
pub(crate) fn profile(world: &World, index: usize) -> Value {
    let who = world.actor(index);
    let repositories = world.repos.iter().filter(|repo| repo.owner == index && !repo.private).count();
    let mut object = actor(world, index);
    extend(
        &mut object,
        shape! {
            "name": who.name,
            "company": (who.kind == ActorKind::User).then_some("@acme"),
            "blog": "",
            "location": Value::Null,
            "email": who.email,
            "hireable": Value::Null,
            "bio": who.bio,
            "twitter_username": Value::Null,
            "public_repos": repositories,
            "public_gists": 0,
            "followers": 12,
            "following": 7,
            "created_at": who.created,
            "updated_at": who.updated,
        },
    );
    object
}

/// The organisation, short (payloads) or whole (`/orgs/{org}`).
pub(crate) fn organization(world: &World, whole: bool) -> Value {
    let org = world.actor(world.org);
    let url = format!("{}/orgs/{}", world.api_root, org.login);
    let mut object = shape! {
        "login": org.login,
        "id": org.id,
        "node_id": org.node_id(),
        "url": url,
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events"),
        "hooks_url": format!("{url}/hooks"),
        "issues_url": format!("{url}/issues"),
        "members_url": format!("{url}/members{{/member}}"),
        "public_members_url": format!("{url}/public_members{{/member}}"),
        "avatar_url": avatar(org),
        "description": "We make the things that everything is made of.",
    };
    if whole {
        extend(
            &mut object,
            shape! {
                "name": org.name,
                "company": Value::Null,
                "blog": "https://acme.example",
                "location": "Berlin",
                "email": org.email,
                "is_verified": true,
                "has_organization_projects": true,
                "has_repository_projects": true,
                "public_repos": world.repos.iter().filter(|repo| !repo.private).count(),
                "public_gists": 0,
                "followers": 88,
                "following": 0,
                "html_url": actor_page(org),
                "created_at": org.created,
                "updated_at": org.updated,
                "type": "Organization",
            },
        );
    }
    object
}

pub(crate) fn team(world: &World, team: &Team) -> Value {
    let org = world.actor(world.org);
    let url = format!("{}/organizations/{}/team/{}", world.api_root, org.id, team.id);
    shape! {
        "name": team.name,
        "id": team.id,
        "node_id": super::ids::owned("T", org.id, team.id),
        "slug": team.slug,
        "description": team.description,
        "privacy": "closed",
        "notification_setting": "notifications_enabled",
        "url": url,
        "html_url": format!("{WEB}/orgs/{}/teams/{}", org.login, team.slug),
        "members_url": format!("{url}/members{{/member}}"),
        "repositories_url": format!("{url}/repos"),
        "permission": "push",
        "parent": Value::Null,
    }
}

pub(crate) fn label(world: &World, repo: &Repo, label: &Label) -> Value {
    shape! {
        "id": label.id,
        "node_id": super::ids::owned("LA", repo.id, label.id),
        "url": format!("{}/labels/{}", repository::url(world, repo), encoded(&label.name)),
        "name": label.name,
        "color": label.color,
        "default": matches!(label.name.as_str(), "bug" | "documentation" | "enhancement" | "good first issue" | "question"),
        "description": label.description,
    }
}

pub(crate) fn milestone(world: &World, repo: &Repo, milestone: &Milestone) -> Value {
    let of = |open: bool| {
        repo.items.values().filter(|item| item.milestone == Some(milestone.number) && item.is_open() == open).count()
    };
    let url = format!("{}/milestones/{}", repository::url(world, repo), milestone.number);
    shape! {
        "url": url,
        "html_url": format!("{}/milestone/{}", repository::page(world, repo), milestone.number),
        "labels_url": format!("{url}/labels"),
        "id": milestone.id,
        "node_id": super::ids::owned("MI", repo.id, milestone.id),
        "number": milestone.number,
        "title": milestone.title,
        "description": "",
        "creator": actor(world, 0),
        "open_issues": of(true),
        "closed_issues": of(false),
        "state": if milestone.open { "open" } else { "closed" },
        "created_at": milestone.created,
        "updated_at": milestone.created,
        "due_on": milestone.due,
        "closed_at": (!milestone.open).then_some(milestone.created + chrono::Duration::days(300)),
    }
}

/// A text as one segment of a path.
pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
