//! The bus over NATS: one subject, on which every process says whose stream has grown, and to where.
//!
//! Core NATS, not JetStream: a hint that is lost costs one look at the database, so nothing is gained by keeping it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, connection::State};
use async_trait::async_trait;
use futures::StreamExt as _;
use mullion_schema::id::TenantId;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Bus, Hint};

/// Hints of others that wait to be followed; more are dropped, because each look at the heads makes up for them.
const HEARD: usize = 10_000;
/// How long a server may take to let us in, at the start and again later.
const CONNECT: Duration = Duration::from_secs(5);

/// The bus over NATS.
pub struct Nats {
    client: Client,
    subject: String,
    /// The newest head of each tenant that is not sent yet.
    untold: Arc<Mutex<HashMap<TenantId, i64>>>,
    wake: Arc<Notify>,
    heard: tokio::sync::Mutex<mpsc::Receiver<Hint>>,
}

impl Nats {
    /// Connects to `url` (`nats://[user:password@]host:port`, several with commas). Where no server answers yet, it goes on trying.
    /// All processes of an installation use the same `prefix`, and no others.
    pub async fn connect(
        url: &str,
        prefix: &str,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, async_nats::ConnectError> {
        let servers: Vec<&str> = url.split(',').map(str::trim).collect();
        let options = ConnectOptions::new().name("mullion").retry_on_initial_connect().connection_timeout(CONNECT);
        let options = options.event_callback(|event| async move { tracing::info!(%event, "NATS") });
        let client = options.connect(servers).await?;
        let (send, heard) = mpsc::channel(HEARD);
        let bus = Arc::new(Self {
            client: client.clone(),
            subject: format!("{prefix}.head"),
            untold: Arc::default(),
            wake: Arc::default(),
            heard: tokio::sync::Mutex::new(heard),
        });
        tokio::spawn(Arc::clone(&bus).tell_all(stop.clone()));
        tokio::spawn(Arc::clone(&bus).listen(send, stop));
        Ok(bus)
    }

    /// Sends what waits: many hints about one tenant are one.
    async fn tell_all(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = stop.cancelled() => return,
            }
            let untold = std::mem::take(&mut *self.untold.lock());
            for (tenant, head) in untold {
                let hint = format!("{head} {tenant}");
                if let Err(error) = self.client.publish(self.subject.clone(), hint.into()).await {
                    tracing::debug!(%error, "a hint was not sent");
                }
            }
        }
    }

    async fn listen(self: Arc<Self>, send: mpsc::Sender<Hint>, stop: CancellationToken) {
        let Ok(mut messages) = self.client.subscribe(self.subject.clone()).await else { return };
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return };
                    if let Some(hint) = hint_of(&message.payload) {
                        let _ = send.try_send(hint);
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }
}

#[async_trait]
impl Bus for Nats {
    fn tell(&self, hint: Hint) {
        let mut untold = self.untold.lock();
        let head = untold.entry(hint.tenant).or_insert(hint.head);
        *head = Ord::max(*head, hint.head);
        drop(untold);
        self.wake.notify_one();
    }

    async fn hear(&self) -> Hint {
        match self.heard.lock().await.recv().await {
            Some(hint) => hint,
            None => std::future::pending().await,
        }
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }
}

/// `{head} {tenant}`; anything else is nothing.
fn hint_of(payload: &[u8]) -> Option<Hint> {
    let (head, tenant) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
    Some(Hint { tenant: tenant.into(), head: head.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Hint, hint_of};

    #[test]
    fn a_hint_is_a_head_and_a_tenant_and_nothing_else_is_one() {
        assert_eq!(hint_of(b"12 acme"), Some(Hint { tenant: "acme".into(), head: 12 }));
        for payload in [&b""[..], b"12", b"acme 12", b"\xff 1", b"99999999999999999999 acme"] {
            assert_eq!(hint_of(payload), None, "{payload:?}");
        }
    }
}
