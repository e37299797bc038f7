//! Fills a new world: people, a team, repositories. Their contents are in `seed_repo`.

use super::{
    World,
    dice::Dice,
    model::{Actor, ActorKind, Team, Time, days},
    seed_repo, texts,
};

pub(super) fn fill(world: &mut World, base: Time) {
    let mut dice = Dice::new(world.seed ^ 0x6769_7468_7562);
    people(world, &mut dice, base);
    for plan in &texts::REPOS {
        let repo = seed_repo::repo(world, plan, &mut dice, base);
        world.repos.push(repo);
    }
}

fn people(world: &mut World, dice: &mut Dice, base: Time) {
    for (name, login) in texts::PEOPLE {
        let public = dice.chance(60);
        let email = public.then(|| format!("{login}@acme.example"));
        add_actor(world, (ActorKind::User, login, name), email, base - days(dice.between(500, 3000)));
    }
    add_actor(world, (ActorKind::Bot, "dependabot", "dependabot"), None, base - days(2500));
    add_actor(world, (ActorKind::Bot, "acme-release", "acme-release"), None, base - days(800));
    add_actor(world, (ActorKind::Mannequin, "old-importer", "Old Importer"), None, base - days(1500));
    let email = Some("hello@acme.example".to_owned());
    world.org = world.actors.len();
    add_actor(world, (ActorKind::Organization, "acme", "Acme, Inc."), email, base - days(3000));
    for (name, slug, from) in [("Platform", "platform", 0), ("Frontend", "frontend", 8), ("Mobile", "mobile", 16)] {
        let id = world.next_id();
        world.teams.push(Team {
            id,
            name: name.to_owned(),
            slug: slug.to_owned(),
            description: format!("The {name} team"),
            members: (from..from + 8).collect(),
            created: base - days(700),
        });
    }
}

fn add_actor(world: &mut World, who: (ActorKind, &str, &str), email: Option<String>, created: Time) {
    let (kind, login, name) = who;
    let id = world.next_id();
    let bio = (kind == ActorKind::User).then(|| format!("{name} builds things at @acme."));
    world.actors.push(Actor {
        id,
        kind,
        login: login.to_owned(),
        name: name.to_owned(),
        email,
        bio,
        created,
        updated: created + days(400),
    });
}
