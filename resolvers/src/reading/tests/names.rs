//! Names: which thing one stands for, after things were renamed, made and replaced.

use std::sync::Arc;

use chrono::Duration;
use mullion_schema::ports::{Filter, List, Lookup, Nodes as _};
use serde_json::json;

use super::{
    bench::{World, issue},
    failures::{card, want, written},
};
use crate::{
    clock::Clock as _,
    provider::{
        FetchWant, Fetched, LOOKUPS, ListRef,
        change::{Change, NodeWrite},
    },
    tag::Tag,
};

impl World {
    fn lookup(&self, name: &'static str, arguments: &[(&'static str, &str)]) -> Lookup {
        let type_name = if name == "issue" { "GithubIssue" } else { "GithubRepository" };
        let arguments = arguments.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Lookup { integration: self.account.clone(), name, type_name, arguments }
    }

    /// The id of the thing that a name stands for.
    async fn named(&self, lookup: &Lookup) -> Option<Arc<str>> {
        let found = self.session().find(lookup.clone(), want(&["url"])).await.unwrap();
        found.map(|view| Arc::clone(&view.key.native_id))
    }

    fn calls(&self) -> usize {
        self.upstream.batches().iter().flatten().filter(|want| matches!(want, FetchWant::Lookup { .. })).count()
    }

    /// GitHub knows this repository by the name, or none.
    fn github_finds(&self, found: Option<(&str, &str)>) {
        let write = found.map(|(id, name)| named(self, id, name));
        self.upstream.answer(move |want| match want {
            FetchWant::Lookup { .. } => {
                let found = write.as_ref().map(|write| write.node.clone());
                Ok(Fetched { found, writes: write.iter().cloned().collect(), ..Fetched::default() })
            }
            _ => Ok(Fetched::default()),
        });
    }
}

fn named(world: &World, id: &str, name: &str) -> NodeWrite {
    let mut fields = card(name);
    fields["url"] = json!(format!("https://github.com/acme/{name}"));
    written(world, id, fields)
}

#[tokio::test]
async fn a_name_that_was_given_away_is_looked_up_again_and_once() {
    let world = World::new().await;
    let web = world.lookup("repository", &[("owner", "acme"), ("name", "web")]);
    world.github_finds(Some(("R1", "web")));
    for _ in 0..2 {
        assert_eq!(world.named(&web).await.as_deref(), Some("R1"));
    }
    assert_eq!(world.calls(), 1);
    world.store.clock.advance(Duration::minutes(1));
    let renamed = Change { writes: vec![named(&world, "R1", "website")], ..Change::default() };
    world.told(renamed).await;
    // Something else has the name now.
    world.store.clock.advance(Duration::minutes(1));
    world.github_finds(Some(("R2", "web")));
    for _ in 0..2 {
        assert_eq!(world.named(&web).await.as_deref(), Some("R2"));
    }
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn an_old_name_that_the_provider_still_understands_is_not_asked_for_each_time() {
    let world = World::new().await;
    let old = world.lookup("repository", &[("owner", "acme"), ("name", "old")]);
    world.github_finds(Some(("R1", "new")));
    for _ in 0..3 {
        assert_eq!(world.named(&old).await.as_deref(), Some("R1"));
        world.store.clock.advance(Duration::minutes(1));
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_name_that_stood_for_nothing_stands_for_what_a_webhook_tells_of_at_once() {
    let world = World::new().await;
    world.upstream.answer(|_| Ok(Fetched::default()));
    let second = world.lookup("issue", &[("repository", "R1"), ("number", "2")]);
    for _ in 0..2 {
        assert_eq!(world.named(&second).await, None);
    }
    assert_eq!(world.calls(), 1, "it is not asked for again within seconds");
    let opened = issue("R1", "I2", world.store.clock.now(), json!({ "number": 2 }));
    world.told(Change { writes: vec![opened], ..Change::default() }).await;
    assert_eq!(world.named(&second).await.as_deref(), Some("I2"));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_name_that_stood_for_nothing_is_looked_up_again_when_the_lists_of_the_account_change() {
    let world = World::new().await;
    let name = world.lookup("repository", &[("owner", "acme"), ("name", "brandnew")]);
    world.github_finds(None);
    assert_eq!(world.named(&name).await, None);
    world.github_finds(Some(("R1", "brandnew")));
    let stale_lists = vec![ListRef { parent: None, name: "repositories" }];
    let tags = world
        .outdated_by(Change { writes: vec![named(&world, "R1", "brandnew")], stale_lists, ..Change::default() })
        .await;
    let lookups = List { integration: world.account.clone(), parent: None, name: LOOKUPS, filter: Filter::new() };
    assert!(tags.contains(&Tag::list(&world.tenant, &lookups)), "who was answered with nothing is told: {tags:?}");
    assert_eq!(world.named(&name).await.as_deref(), Some("R1"));
}

#[tokio::test]
async fn a_name_that_the_provider_does_not_find_yet_stands_for_what_a_webhook_told_of() {
    let world = World::new().await;
    world.upstream.answer(|_| Ok(Fetched::default()));
    let lookup = |number| world.lookup("issue", &[("repository", "R1"), ("number", number)]);
    let (second, third) = (lookup("2"), lookup("3"));
    let opened = issue("R1", "I2", world.store.clock.now(), json!({ "number": 2 }));
    world.told(Change { writes: vec![opened], ..Change::default() }).await;
    assert_eq!(world.named(&second).await.as_deref(), Some("I2"));
    // The first answer says nothing, and is outdated by the news that something is there.
    let session = world.session();
    assert!(session.find(third, want(&["url"])).await.unwrap().is_none());
    let issues = Tag::list(&world.tenant, &world.issues(1, None).list);
    assert!(session.scope().tags().contains(&issues));
}

#[tokio::test]
async fn a_name_that_stood_for_nothing_is_asked_for_again_soon() {
    let world = World::new().await;
    let web = world.lookup("repository", &[("owner", "acme"), ("name", "web")]);
    world.github_finds(None);
    assert_eq!(world.named(&web).await, None);
    world.github_finds(Some(("R1", "web")));
    world.store.clock.advance(Duration::seconds(11));
    assert_eq!(world.named(&web).await.as_deref(), Some("R1"));
}
