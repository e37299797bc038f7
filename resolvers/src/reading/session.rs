//! The nodes' port for one execution: batches what its fields ask, and records what the answer was read from.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use futures::FutureExt as _;
use mullion_schema::{
    error::PortError,
    fields::FieldSet,
    id::{IntegrationId, NodeKey},
    ports::{ListPage, ListQuery, Lookup, Nodes, Want},
    view::NodeView,
};
use parking_lot::Mutex;

use super::{
    Engine,
    fetches::readers::Reading,
    read_lists::ListPart,
    read_nodes::{Loaded, NodeWant},
    scope::Scope,
};
use crate::{loaders::Batcher, tag::Tag};

/// One execution's way to the engine.
pub struct Session {
    engine: Arc<Engine>,
    scope: Arc<Scope>,
    nodes: Batcher<NodeWant, Loaded>,
    begun: Begun,
}

/// Reads of nodes that wait for others of the same tick.
type Begun = Arc<Mutex<HashMap<IntegrationId, Reading>>>;

impl Session {
    /// A session for one execution, with loaders of its own.
    pub fn new(engine: Arc<Engine>, scope: Arc<Scope>) -> Self {
        let begun = Begun::default();
        let nodes = {
            let (engine, scope, begun) = (Arc::clone(&engine), Arc::clone(&scope), Arc::clone(&begun));
            Batcher::new(engine.tasks.clone(), move |wants: Vec<NodeWant>| {
                let (engine, scope) = (Arc::clone(&engine), Arc::clone(&scope));
                let begun = std::mem::take(&mut *begun.lock());
                async move { engine.load_nodes_while(&scope, wants, begun).await }.boxed()
            })
        };
        Self { engine, scope, nodes, begun }
    }

    /// The execution.
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    async fn load(&self, key: NodeKey, fields: FieldSet) -> Result<Option<Arc<NodeView>>, PortError> {
        self.scope.record(Tag::node(&self.scope.tenant, &key));
        if let Some(view) = self.engine.node_at_hand(&self.scope, &key, &fields) {
            return Ok(Some(view));
        }
        let reading = || self.engine.reading(&self.scope, &key.integration);
        self.begun.lock().entry(key.integration.clone()).or_insert_with(reading);
        // A batch answers for each of its keys, unless it broke off.
        self.nodes.load((key, fields)).await.unwrap_or_else(|| {
            tracing::error!("a batch of reads broke off");
            Err(PortError::internal())
        })
    }
}

#[async_trait]
impl Nodes for Session {
    async fn node(&self, key: NodeKey, want: Want) -> Result<Option<Arc<NodeView>>, PortError> {
        self.load(key, want.fields).await
    }

    async fn find(&self, lookup: Lookup, want: Want) -> Result<Option<Arc<NodeView>>, PortError> {
        let Some(found) = self.engine.resolve(&self.scope, &lookup, &want).await? else { return Ok(None) };
        let mut view = self.load(found.key, want.fields).await?;
        if let (Some(view), Some(reason)) = (&mut view, found.stale_because) {
            // However new the node is: whether the name still stands for it is not known.
            Arc::make_mut(view).freshness.outdate(reason);
        }
        Ok(view)
    }

    async fn list(&self, query: ListQuery) -> Result<ListPage, PortError> {
        let ListPart { items, has_next, total, failure, is_cut, .. } =
            self.engine.read_list(&self.scope, &query).await?;
        let failure = match failure {
            Some(error) if is_cut && items.is_empty() => return Err(error),
            // Where nothing is missing, the items say themselves that they are old.
            failure => failure.filter(|_| is_cut || items.is_empty()),
        };
        Ok(ListPage { items, has_next, total, failure })
    }
}
