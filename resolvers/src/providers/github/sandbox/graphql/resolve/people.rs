//! Users, organisations, bots, mannequins and teams.

use super::{accounts, issues, repository};
use crate::providers::github::sandbox::{
    graphql::{
        object::{Object, Out},
        values::Arguments,
    },
    shapes::{self, WEB},
    world::{Key, World, model::ActorKind},
};

pub(super) fn actor(world: &World, at: usize, (name, arguments): (&str, &Arguments)) -> Out {
    let actor = world.actor(at);
    let is_org = actor.kind == ActorKind::Organization;
    match name {
        "databaseId" => Out::leaf(actor.id),
        "login" => Out::leaf(&actor.login),
        "name" => Out::leaf(&actor.name),
        // A user's hidden address is an empty text, an organisation's or a mannequin's is null.
        "email" if actor.kind == ActorKind::User => Out::leaf(actor.email.as_deref().unwrap_or("")),
        "email" => Out::leaf(&actor.email),
        "avatarUrl" => Out::leaf(shapes::avatar(actor)),
        "url" => Out::leaf(shapes::actor_page(actor)),
        "createdAt" => Out::leaf(actor.created),
        "updatedAt" => Out::leaf(actor.updated),
        "bio" => Out::leaf(&actor.bio),
        "company" => Out::leaf("@acme"),
        "description" => Out::leaf("We make the things that everything is made of."),
        "isViewer" => Out::leaf(at == world.viewer),
        "isVerified" => Out::leaf(true),
        "viewerIsAMember" | "viewerCanAdminister" => Out::leaf(is_org),
        "repositories" | "topRepositories" | "repositoriesContributedTo" | "watching" => {
            // A member sees the organisation's repositories where it is asked for them.
            let member = arguments.texts("ownerAffiliations").is_some_and(|all| all.contains(&"ORGANIZATION_MEMBER"));
            repository::list(world, arguments, |repo| repo.owner == at || !is_org && (member || name != "repositories"))
        }
        "repository" => {
            let found = arguments.text("name").and_then(|name| world.repo_named(&actor.login, name));
            Out::maybe(found.map(Key::Repo))
        }
        "issues" | "pullRequests" if !is_org => {
            let pulls = name == "pullRequests";
            let mut keys = Vec::new();
            for (index, repo) in world.repos.iter().enumerate() {
                let own = repo.items.values().filter(|item| item.author == at && item.pull.is_some() == pulls);
                keys.extend(own.map(|item| Key::Item(index, item.number)));
            }
            issues::list(world, keys, arguments)
        }
        "organizations" => Out::keys([Key::Actor(world.org)]),
        "organization" => {
            let found = arguments.text("login").and_then(|login| world.actor_named(login));
            Out::maybe(found.filter(|found| *found == world.org).map(Key::Actor))
        }
        "membersWithRole" | "followers" | "following" => Out::keys(accounts::users(world)),
        "mannequins" => Out::keys(accounts::of_kind(world, ActorKind::Mannequin)),
        "teams" => Out::keys((0..world.teams.len()).map(Key::Team)),
        "team" => {
            let slug = arguments.text("slug").unwrap_or("");
            Out::maybe(world.teams.iter().position(|team| team.slug == slug).map(Key::Team))
        }
        _ => Out::Default,
    }
}

pub(super) fn team(world: &World, at: usize, (name, arguments): (&str, &Arguments)) -> Out {
    let Some(team) = world.teams.get(at) else { return Out::Default };
    let org = world.actor(world.org);
    match name {
        "databaseId" => Out::leaf(team.id),
        "name" => Out::leaf(&team.name),
        "slug" => Out::leaf(&team.slug),
        "combinedSlug" => Out::leaf(format!("{}/{}", org.login, team.slug)),
        "description" => Out::leaf(&team.description),
        "privacy" => Out::leaf("VISIBLE"),
        "avatarUrl" => Out::leaf(format!("https://avatars.githubusercontent.com/t/{}?v=4", team.id)),
        "url" => Out::leaf(format!("{WEB}/orgs/{}/teams/{}", org.login, team.slug)),
        "createdAt" | "updatedAt" => Out::leaf(team.created),
        "organization" => Out::key(Key::Actor(world.org)),
        "members" => Out::Connection(team.members.iter().map(|at| Object::Key(Key::Actor(*at))).collect()),
        "repositories" => repository::list(world, arguments, |_| true),
        _ => Out::Default,
    }
}
