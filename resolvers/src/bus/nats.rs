//! The bus over NATS: a subject on which every process says whose stream has grown, and to where; and one for the inbox.
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
use crate::{background::Background, error_chain::chain, supervisor::Supervisor};

/// Hints of others that wait to be followed; more are dropped, because each look at the heads makes up for them.
const HEARD: usize = 10_000;
/// The subjects, under the installation's prefix.
const HEAD: &str = "head";
const INBOX: &str = "inbox";
/// How long a server may take to let us in, at the start and again later.
const CONNECT: Duration = Duration::from_secs(5);

/// What is not sent yet.
#[derive(Default)]
struct Untold {
    /// The newest head of each tenant.
    heads: HashMap<TenantId, i64>,
    inbox: bool,
}

/// The bus over NATS.
pub struct Nats {
    client: Client,
    prefix: String,
    untold: Mutex<Untold>,
    wake: Arc<Notify>,
    heard: tokio::sync::Mutex<mpsc::Receiver<Hint>>,
}

impl Nats {
    /// Connects to `url` (`nats://[user:password@]host:port`, several with commas). Where no server answers yet, it goes on trying.
    /// All processes of an installation use the same `prefix`, and no others.
    pub async fn connect(
        url: &str,
        prefix: &str,
        (supervisor, tasks, stop): (&Supervisor, &Background, &CancellationToken),
    ) -> Result<Arc<Self>, async_nats::ConnectError> {
        let servers: Vec<&str> = url.split(',').map(str::trim).collect();
        let options =
            ConnectOptions::new().name("mullion").no_echo().retry_on_initial_connect().connection_timeout(CONNECT);
        let options = options.event_callback(|event| async move { tracing::info!(%event, "NATS") });
        let client = options.connect(servers).await?;
        let (send, heard) = mpsc::channel(HEARD);
        let bus = Arc::new(Self {
            client: client.clone(),
            prefix: prefix.to_owned(),
            untold: Mutex::default(),
            wake: Arc::default(),
            heard: tokio::sync::Mutex::new(heard),
        });
        let (told, until) = (Arc::clone(&bus), stop.clone());
        supervisor.supervise(tasks, "nats-publisher", stop, move || Arc::clone(&told).tell_all(until.clone()));
        let (heard, until) = (Arc::clone(&bus), stop.clone());
        supervisor
            .supervise(tasks, "nats-listener", stop, move || Arc::clone(&heard).listen(send.clone(), until.clone()));
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
            if untold.inbox {
                self.publish(INBOX, String::new()).await;
            }
            for (tenant, head) in untold.heads {
                self.publish(HEAD, format!("{head} {tenant}")).await;
            }
        }
    }

    async fn publish(&self, subject: &str, hint: String) {
        if let Err(error) = self.client.publish(format!("{}.{subject}", self.prefix), hint.into()).await {
            tracing::debug!(error = %chain(&error), "a hint was not sent");
        }
    }

    async fn listen(self: Arc<Self>, send: mpsc::Sender<Hint>, stop: CancellationToken) {
        let mut messages = match self.client.subscribe(format!("{}.*", self.prefix)).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "hints of other processes cannot be heard");
                return;
            }
        };
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return };
                    if let Some(hint) = hint_of(&message.subject, &message.payload) {
                        // Hints may be lost: the heads are looked at without them, too.
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
        match hint {
            Hint::Head { tenant, head } => {
                let known = untold.heads.entry(tenant).or_insert(head);
                *known = Ord::max(*known, head);
            }
            Hint::Inbox => untold.inbox = true,
        }
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

/// Of a head, `{head} {tenant}`; of the inbox, that there is one. Anything else is nothing.
fn hint_of(subject: &str, payload: &[u8]) -> Option<Hint> {
    match subject.rsplit_once('.')?.1 {
        INBOX => Some(Hint::Inbox),
        HEAD => {
            let (head, tenant) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
            Some(Hint::Head { tenant: tenant.into(), head: head.parse().ok()? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Hint, hint_of};

    #[test]
    fn a_hint_is_a_head_and_a_tenant_or_the_inbox_and_nothing_else_is_one() {
        let head = Hint::Head { tenant: "acme".into(), head: 12 };
        assert_eq!(hint_of("mullion.head", b"12 acme"), Some(head));
        assert_eq!(hint_of("mullion.inbox", b""), Some(Hint::Inbox));
        assert_eq!(hint_of("mullion.later", b"12 acme"), None);
        for payload in [&b""[..], b"12", b"acme 12", b"\xff 1", b"99999999999999999999 acme"] {
            assert_eq!(hint_of("mullion.head", payload), None, "{payload:?}");
        }
    }
}
