//! An execution has its turn while it reads the store, and not while it waits for a provider.

use std::sync::Arc;

use mullion_schema::{
    fields::FieldSet,
    id::NodeKey,
    ports::{Filter, List, ListQuery, Lookup, Nodes as _, Want},
};
use serde_json::json;

use super::bench::{World, all_of, issue, issues_of};
use crate::{
    clock::Clock as _,
    provider::NodeRef,
    reading::{Scope, session::Session},
};

struct Bench {
    world: World,
    scope: Arc<Scope>,
    session: Session,
    turn: Arc<()>,
}

impl Bench {
    /// An execution that has its turn.
    async fn new() -> Self {
        let world = World::new().await;
        let at = world.store.clock.now();
        let page = all_of(issues_of("R1"), Filter::new(), vec![NodeRef::new("GithubIssue", "1")]);
        world.fetched(vec![issue("R1", "1", at, json!({}))], vec![page]).await;
        let scope = Arc::new(Scope::new(world.tenant.clone(), world.store.clock.now(), None));
        let turn = Arc::new(());
        scope.hold_turn(Arc::clone(&turn));
        let session = Session::new(Arc::clone(&world.services.engine), Arc::clone(&scope));
        Self { world, scope, session, turn }
    }

    fn has_turn(&self) -> bool {
        Arc::strong_count(&self.turn) == 2
    }

    async fn read_node(&self, id: &str) {
        let key = NodeKey::new(&self.world.account, "GithubIssue", id);
        drop(self.session.node(key, Want { fields: FieldSet::default(), lists: Vec::new() }).await);
    }

    async fn read_list(&self, repository: &str) {
        let parent = Some(("GithubRepository", repository.into()));
        let list = List { integration: self.world.account.clone(), parent, name: "issues", filter: Filter::new() };
        let query = ListQuery { list, first: 1, after: None, fields: FieldSet::default() };
        drop(self.session.list(query).await);
    }
}

#[tokio::test]
async fn an_answer_from_the_store_keeps_the_turn_to_the_end() {
    let bench = Bench::new().await;
    bench.read_node("1").await;
    bench.read_list("R1").await;
    assert!(bench.has_turn());
    bench.scope.give_turn_back();
    assert!(!bench.has_turn());
}

#[tokio::test]
async fn whatever_a_provider_is_asked_for_gives_the_turn_back() {
    let node = Bench::new().await;
    node.read_node("unknown").await;
    assert!(!node.has_turn());
    let list = Bench::new().await;
    list.read_list("unknown").await;
    assert!(!list.has_turn());
    let found = Bench::new().await;
    let lookup = Lookup {
        integration: found.world.account.clone(),
        name: "repository",
        type_name: "GithubRepository",
        arguments: vec![("owner", "acme".to_owned()), ("name", "web".to_owned())].into_iter().collect(),
    };
    drop(found.session.find(lookup, Want { fields: FieldSet::default(), lists: Vec::new() }).await);
    assert!(!found.has_turn());
}
