//! Accounts by their kind.

use crate::providers::github::sandbox::{
    graphql::object::Out,
    world::{Key, World, model::ActorKind},
};

/// The keys of all people.
pub(super) fn users(world: &World) -> Vec<Key> {
    of_kind(world, ActorKind::User)
}

pub(super) fn of_kind(world: &World, kind: ActorKind) -> Vec<Key> {
    (0..world.actors.len()).filter(|at| world.actor(*at).kind == kind).map(Key::Actor).collect()
}

/// The account, if it is a user: fields like `Release.author` are no `Actor`.
pub(super) fn user(world: &World, at: usize) -> Out {
    Out::maybe((world.actor(at).kind == ActorKind::User).then_some(Key::Actor(at)))
}
