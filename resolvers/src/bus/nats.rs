//! The bus over NATS: a subject on which every process says whose stream has grown, and to where; and one for the inbox.
//!
//! Core NATS, not JetStream: a hint that is lost costs one look at the database, so nothing is gained by keeping it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, connection::State};
use async_trait::async_trait;
use futures::StreamExt as _;
use mullion_schema::id::TenantId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Bus, Hint};
use crate::{background::Background, error_chain::chain, secret::Secret, supervisor::Supervisor};

/// Hints of others that wait to be followed; more are dropped, because each look at the heads makes up for them.
const HEARD: usize = 10_000;
/// The subjects, under the installation's prefix.
const HEAD: &str = "head";
const INBOX: &str = "inbox";
/// How long a server may take to let us in, at the start and again later.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a quiet server is asked whether it is there. The client takes a connection for lost when the third question comes and the
/// first has no answer: within a second. With its own interval of a minute, a server that hangs would count as connected for minutes,
/// and every change of another replica would wait for the slow look at the heads.
const PING: Duration = Duration::from_millis(300);

/// Hints that are not sent yet.
#[derive(Default)]
struct Untold {
    /// The newest head of each tenant.
    heads: HashMap<TenantId, i64>,
    inbox: bool,
}

/// The time before a connection is made anew after its listener ended.
const AGAIN: Duration = Duration::from_secs(1);

/// The bus over NATS.
pub struct Nats {
    /// Another one after the listener of the one before has ended.
    client: RwLock<Client>,
    /// The servers, separated by commas; there may be a password in it.
    servers: Secret,
    prefix: String,
    untold: Mutex<Untold>,
    wake: Arc<Notify>,
    heard: tokio::sync::Mutex<mpsc::Receiver<Hint>>,
}

impl Nats {
    /// Connects to `url` (`nats://[user:password@]host:port`, several with commas). Where no server answers yet, it goes on trying.
    /// All processes of an installation use the same `prefix`, and no others.
    /// `restarted` is called each time that the listener has ended and the connection is made anew.
    pub async fn connect(
        (url, prefix): (&str, &str),
        restarted: impl Fn() + Send + Sync + 'static,
        (supervisor, tasks, stop): (&Supervisor, &Background, &CancellationToken),
    ) -> Result<Arc<Self>, async_nats::ConnectError> {
        let client = open(url).await?;
        let (send, heard) = mpsc::channel(HEARD);
        let bus = Arc::new(Self {
            client: RwLock::new(client),
            servers: url.into(),
            prefix: prefix.to_owned(),
            untold: Mutex::default(),
            wake: Arc::default(),
            heard: tokio::sync::Mutex::new(heard),
        });
        let (told, until) = (Arc::clone(&bus), stop.clone());
        supervisor.supervise(tasks, "nats-publisher", stop, move || Arc::clone(&told).tell_all(until.clone()));
        let (heard, until, restarted) = (Arc::clone(&bus), stop.clone(), Arc::new(restarted));
        supervisor.supervise(tasks, "nats-listener", stop, move || {
            let (heard, send, restarted) = (Arc::clone(&heard), send.clone(), Arc::clone(&restarted));
            let until = until.clone();
            async move { heard.keep_listening(send, restarted.as_ref(), until).await }
        });
        Ok(bus)
    }

    /// Sends one hint from a process that hears none: a command that ends right after it.
    pub async fn tell_once(url: &str, prefix: &str, tenant: &TenantId, head: i64) -> Result<(), async_nats::Error> {
        let servers: Vec<&str> = url.split(',').map(str::trim).collect();
        let client = ConnectOptions::new().name("mullion").connection_timeout(CONNECT).connect(servers).await?;
        client.publish(format!("{prefix}.{HEAD}"), format!("{head} {tenant}").into()).await?;
        client.flush().await?;
        Ok(())
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
        let client = self.client();
        if let Err(error) = client.publish(format!("{}.{subject}", self.prefix), hint.into()).await {
            tracing::debug!(error = %chain(&error), "a hint was not sent");
        }
    }

    fn client(&self) -> Client {
        self.client.read().clone()
    }

    /// Listens until `stop` fires. The library reconnects by itself; a listener that ends nevertheless would never hear again, so
    /// that everything came by the slow looks at the database, and nobody would know why.
    async fn keep_listening(
        &self,
        send: mpsc::Sender<Hint>,
        restarted: &(impl Fn() + Send + Sync),
        stop: CancellationToken,
    ) {
        let listening = async {
            loop {
                self.listen(&send).await;
                tracing::error!("the listener of NATS has ended; the connection is made anew");
                restarted();
                tokio::time::sleep(AGAIN).await;
                match open(self.servers.expose_text().unwrap_or_default()).await {
                    Ok(client) => *self.client.write() = client,
                    Err(error) => tracing::error!(error = %chain(&error), "NATS cannot be used"),
                }
            }
        };
        tokio::select! {
            () = listening => {}
            () = stop.cancelled() => {}
        }
    }

    /// Hands on what is heard until nothing can be heard any more.
    async fn listen(&self, send: &mpsc::Sender<Hint>) {
        let subscribed = self.client().subscribe(format!("{}.*", self.prefix)).await;
        let mut messages = match subscribed {
            Ok(messages) => messages,
            Err(error) => {
                return tracing::error!(error = %chain(&error), "NATS cannot be listened to");
            }
        };
        while let Some(message) = messages.next().await {
            if let Some(hint) = hint_of(&message.subject, &message.payload) {
                // Hints may be lost: the heads are looked at without them, too.
                let _ = send.try_send(hint);
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
        self.client.read().connection_state() == State::Connected
    }
}

/// Connects to one of the servers; where none answers yet, it goes on trying.
async fn open(servers: &str) -> Result<Client, async_nats::ConnectError> {
    let servers: Vec<&str> = servers.split(',').map(str::trim).collect();
    let options = ConnectOptions::new().name("mullion").no_echo().retry_on_initial_connect();
    let options = options.connection_timeout(CONNECT).ping_interval(PING);
    options.event_callback(|event| async move { tracing::info!(%event, "NATS") }).connect(servers).await
}

/// The hint in a message. A head's payload is `{head} {tenant}`, the inbox's does not matter; anything else is no hint.
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
#[expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::{TcpListener, TcpStream},
    };
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::{Bus, Hint, Nats, hint_of};
    use crate::supervisor::{Supervisor, TaskObserver};

    struct Unobserved;

    impl TaskObserver for Unobserved {
        fn begun(&self, _: &'static str) {}

        fn ended(&self, _: &'static str) {}
    }

    /// Speaks NATS as far as one client needs it, and sends one hint to each subscription. While it hangs, it reads and says nothing.
    async fn serve(stream: TcpStream, hangs: Arc<AtomicBool>) {
        let (read, mut write) = stream.into_split();
        let info = r#"INFO {"server_id":"x","server_name":"x","version":"2.10.0","go":"","host":"127.0.0.1","port":1,"headers":true,"max_payload":1048576,"proto":1}"#;
        if !hangs.load(Ordering::SeqCst) {
            write.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
        }
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if hangs.load(Ordering::SeqCst) {
                continue;
            }
            let words: Vec<&str> = line.split(' ').collect();
            let answer = match words.as_slice() {
                ["PING", ..] => "PONG\r\n".to_owned(),
                ["SUB", _, id] => format!("MSG mullion.inbox {id} 0\r\n\r\n"),
                _ => continue,
            };
            if write.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// A server of its own, and the switch that makes it hang.
    async fn server() -> (String, Arc<AtomicBool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let hangs = Arc::new(AtomicBool::new(false));
        let switch = Arc::clone(&hangs);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&hangs)));
            }
        });
        (url, switch)
    }

    async fn connect(url: &str, restarted: impl Fn() + Send + Sync + 'static, stop: &CancellationToken) -> Arc<Nats> {
        let (supervisor, tasks) = (Supervisor::new(Arc::new(Unobserved)), TaskTracker::new().into());
        Nats::connect((url, "mullion"), restarted, (&supervisor, &tasks, stop)).await.unwrap()
    }

    #[tokio::test]
    async fn a_listener_that_ends_is_counted_and_begun_anew() {
        let (url, _) = server().await;
        let ended = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&ended);
        let restarted = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        let stop = CancellationToken::new();
        let bus = connect(&url, restarted, &stop).await;
        let patience = Duration::from_secs(20);
        for round in 1..=2 {
            assert_eq!(tokio::time::timeout(patience, bus.hear()).await.unwrap(), Hint::Inbox, "round {round}");
            assert_eq!(ended.load(Ordering::SeqCst), round - 1);
            // A client that is drained delivers nothing any more, as one whose own task has died.
            bus.client().drain().await.unwrap();
        }
        stop.cancel();
    }

    #[tokio::test]
    async fn a_server_that_hangs_on_an_open_connection_does_not_count_as_connected() {
        let ((url, hangs), stop) = (server().await, CancellationToken::new());
        let bus = connect(&url, || {}, &stop).await;
        // The subscription is answered with a hint: the connection works.
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, bus.hear()).await.expect("no hint comes");
        assert!(bus.is_connected());
        hangs.store(true, Ordering::SeqCst);
        let noticed = async {
            while bus.is_connected() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(patience, noticed).await.expect("it counts as connected for as long as it hangs");
        stop.cancel();
    }

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
