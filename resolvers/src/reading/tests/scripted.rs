//! A provider whose fetches come to what the case says: they give, fail, or hang until they are let go.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, join_all};
use mullion_schema::{
    ports::{Filter, Lookup},
    view::Body,
};
use parking_lot::Mutex;

use crate::{
    provider::{
        Account, ContainerLists, Demo, Descriptor, EndpointSecrets, FetchWant, Fetched, ListRef, NodeRef, Provider,
        Reception, RegisteredWebhook, StoredDelivery, WebhookRequest, change::Interpretation, sentence::SentenceParts,
    },
    sandbox::Sandbox,
    secret::Secret,
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// The outcome of one want.
pub(crate) type Outcome = Result<Fetched, UpstreamError>;

type Answer = Arc<dyn Fn(FetchWant) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// A provider with fetches of our own making.
pub(crate) struct Scripted {
    inner: Arc<dyn Provider>,
    answer: Mutex<Answer>,
    batches: Mutex<Vec<Vec<FetchWant>>>,
}

impl Scripted {
    pub(super) fn new(inner: Arc<dyn Provider>) -> Self {
        let scripted = Self { inner, answer: Mutex::new(Arc::new(|_| unreachable!())), batches: Mutex::default() };
        scripted.fail(UpstreamErrorKind::Down);
        scripted
    }

    /// From now on, each want comes to what `answer` says.
    pub(crate) fn answer(&self, answer: impl Fn(&FetchWant) -> Outcome + Send + Sync + 'static) {
        *self.answer.lock() = Arc::new(move |want| Box::pin(std::future::ready(answer(&want))));
    }

    /// From now on, each want fails.
    pub(crate) fn fail(&self, kind: UpstreamErrorKind) {
        self.answer(move |_| Err(UpstreamError::new(kind, "as the case says")));
    }

    /// From now on, each want comes to what `answer` says as soon as `gate` is open.
    pub(crate) fn hang(
        &self,
        gate: &tokio::sync::watch::Sender<bool>,
        answer: impl Fn(&FetchWant) -> Outcome + Send + Sync + 'static,
    ) {
        let (gate, answer) = (gate.subscribe(), Arc::new(answer));
        *self.answer.lock() = Arc::new(move |want| {
            let (mut gate, answer) = (gate.clone(), Arc::clone(&answer));
            Box::pin(async move {
                gate.wait_for(|open| *open).await.unwrap();
                answer(&want)
            })
        });
    }

    /// The wants asked for so far, one entry for each batch.
    pub(crate) fn batches(&self) -> Vec<Vec<FetchWant>> {
        self.batches.lock().clone()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for Scripted {
    fn descriptor(&self) -> &'static Descriptor {
        self.inner.descriptor()
    }

    async fn fetch(&self, _api: &Connection, wants: Vec<FetchWant>) -> Vec<Outcome> {
        self.batches.lock().push(wants.clone());
        let answer = Arc::clone(&self.answer.lock());
        join_all(wants.into_iter().map(|want| answer(want))).await
    }

    async fn identify(&self, api: &Connection) -> Result<Account, UpstreamError> {
        self.inner.identify(api).await
    }

    fn memberships(&self, node: &NodeRef, body: &Body) -> Vec<(ListRef, String)> {
        self.inner.memberships(node, body)
    }

    fn matches(&self, list: &ListRef, filter: &Filter, body: &Body) -> bool {
        self.inner.matches(list, filter, body)
    }

    fn listed_in(&self, lookup: &Lookup) -> Option<ListRef> {
        self.inner.listed_in(lookup)
    }

    fn is_named(&self, lookup: &Lookup, body: &Body) -> Option<bool> {
        self.inner.is_named(lookup, body)
    }

    fn receive(&self, request: &WebhookRequest, endpoint: &EndpointSecrets) -> Reception {
        self.inner.receive(request, endpoint)
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        self.inner.kept_headers()
    }

    fn interpret(&self, delivery: &StoredDelivery) -> Interpretation {
        self.inner.interpret(delivery)
    }

    fn sentence(&self, parts: &SentenceParts<'_>) -> String {
        parts.get("text").unwrap_or_else(|| self.inner.sentence(parts))
    }

    async fn register_webhook(
        &self,
        api: &Connection,
        container: &NodeRef,
        target: &url::Url,
        secret: &Secret,
    ) -> Option<Result<RegisteredWebhook, UpstreamError>> {
        self.inner.register_webhook(api, container, target, secret).await
    }

    async fn unregister_webhook(&self, api: &Connection, external_id: &str) -> Result<(), UpstreamError> {
        self.inner.unregister_webhook(api, external_id).await
    }

    fn secret_by_handshake(&self) -> bool {
        self.inner.secret_by_handshake()
    }

    fn containers(&self) -> &'static [ContainerLists] {
        self.inner.containers()
    }

    fn sandbox(&self, seed: u64, base: DateTime<Utc>, api_root: String) -> Arc<dyn Sandbox> {
        self.inner.sandbox(seed, base, api_root)
    }

    fn demo(&self) -> Demo {
        self.inner.demo()
    }
}
