//! Webhooks that are registered for some containers say nothing of the others: what is in those is read again as if there were none.

use std::collections::HashSet;

use chrono::Duration;
use mullion_schema::ports::{Filter, List, ListQuery, Nodes as _};
use serde_json::json;

use super::bench::{World, issue, repository};
use crate::{
    clock::Clock as _,
    provider::{FetchWant, Fetched, FetchedPage, NodeRef},
    store::endpoint::EndpointDraft,
    tag::Tag,
};

/// The ids that calls asked for: of a repository whose issues were read, or of an issue.
type Calls = Vec<String>;

impl World {
    /// A webhook is registered for a repository.
    async fn covers(&self, id: &str) {
        let draft = EndpointDraft {
            external_id: Some(format!("hook of {id}")),
            container: Some(repository(id).to_string()),
            ..EndpointDraft::default()
        };
        self.store.db.create_endpoint(&self.tenant, &self.account, None, draft).await.unwrap();
    }

    /// Each repository has one issue, named after it.
    fn has_an_issue_each(&self) {
        let now = self.store.clock.now();
        self.upstream.answer(move |want| {
            let (id, pages, found) = match want {
                FetchWant::Page(want) => {
                    let (id, total) = (want.list.parent.as_ref().unwrap().native_id.to_string(), Some(1));
                    let items = vec![NodeRef::new("GithubIssue", format!("I{id}"))];
                    (id, vec![FetchedPage { want: want.clone(), items, next: None, total }], None)
                }
                FetchWant::Node { node, .. } => (node.native_id[1..].to_owned(), Vec::new(), Some(node.clone())),
                other @ FetchWant::Lookup { .. } => panic!("{other:?}"),
            };
            let writes = vec![issue(&id, &format!("I{id}"), now, json!({}))];
            Ok(Fetched { found, writes, pages, ..Fetched::default() })
        });
    }

    fn calls_since(&self, before: usize) -> Calls {
        let wants = self.upstream.batches().into_iter().flatten().skip(before);
        let mut calls: Calls = wants
            .map(|want| match want {
                FetchWant::Page(want) => want.list.parent.unwrap().native_id.to_string(),
                FetchWant::Node { node, .. } => node.native_id.to_string(),
                other @ FetchWant::Lookup { .. } => panic!("{other:?}"),
            })
            .collect();
        calls.sort();
        calls
    }

    /// Reads the lists of issues of both repositories; gives the calls that it took.
    async fn read_all(&self) -> Calls {
        let before = self.upstream.batches().into_iter().flatten().count();
        for id in ["R1", "R2"] {
            let list = List {
                integration: self.account.clone(),
                parent: Some(("GithubRepository", id.into())),
                name: "issues",
                filter: Filter::new(),
            };
            let query = ListQuery { list, first: 50, after: None, fields: ["title"].into_iter().collect() };
            assert_eq!(self.session().list(query).await.unwrap().items.len(), 1);
        }
        self.calls_since(before)
    }

    /// The same for each issue by its id.
    async fn read_each(&self) -> Calls {
        let before = self.upstream.batches().into_iter().flatten().count();
        for id in ["IR1", "IR2"] {
            assert!(self.node(&NodeRef::new("GithubIssue", id), &["title"]).await.unwrap().is_some());
        }
        self.calls_since(before)
    }
}

#[tokio::test]
async fn a_container_without_a_webhook_is_read_again_after_five_minutes_although_another_one_has_one() {
    for (covered, lists, nodes) in [
        // A webhook of the whole account, or one that somebody made by hand: what comes in may be of every container.
        (&[][..], &[][..], &[][..]),
        (&["R1", "R2"], &[], &[]),
        (&["R1"], &["R2"], &["IR2"]),
    ] {
        let world = World::new().await;
        for id in covered {
            world.covers(id).await;
        }
        world.has_an_issue_each();
        world.integration().await.heard(world.store.clock.now());
        assert_eq!(world.read_all().await, ["R1", "R2"], "nothing is known yet");
        assert_eq!(world.read_all().await, Calls::new());
        world.store.clock.advance(Duration::minutes(6));
        assert_eq!(world.read_each().await, nodes, "{covered:?}");
        assert_eq!(world.read_all().await, lists, "{covered:?}");
    }
}

#[tokio::test]
async fn what_is_watched_of_a_container_without_a_webhook_is_read_again_now_and_then() {
    let world = World::new().await;
    world.covers("R1").await;
    let (integration, now) = (world.integration().await, world.store.clock.now());
    integration.heard(now);
    let node = |type_name, id| Tag::of_node(&world.tenant, &world.account, type_name, id);
    let list = |id| Tag::of_list(&world.tenant, &world.account, Some(("GithubRepository", id)), "issues");
    for (tag, is_silent) in [
        (node("GithubRepository", "R1"), false),
        (list("R1"), false),
        (node("GithubUser", "U1"), false),
        (Tag::own(&world.tenant, "Widget", "w"), false),
        (node("GithubRepository", "R2"), true),
        (list("R2"), true),
    ] {
        assert_eq!(integration.is_silent(integration.covers_tag(&tag), now), is_silent, "{tag}");
    }
    let read = world.store.db.registered_containers(std::slice::from_ref(&world.account)).await.unwrap();
    assert_eq!(read.get(&world.account), Some(&HashSet::from(["GithubRepository:R1".to_owned()])));
}
