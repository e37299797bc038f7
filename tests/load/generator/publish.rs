//! Sends deliveries at a steady rate, whether they are answered in time or not.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::Instant,
};

use crate::{
    crowd::Counter,
    figures::real,
    http::{Connection, Request},
    watch::Watch,
};

/// How many connections the sender has, as a provider has several.
const SENDERS: usize = 16;

/// Open connections of a sender.
pub(crate) struct Publisher {
    queue: mpsc::UnboundedSender<Request>,
    refused: Arc<Counter>,
    answered: Arc<Counter>,
    sent: Counter,
    _senders: JoinSet<()>,
}

impl Publisher {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let (queue, requests) = mpsc::unbounded_channel::<Request>();
        let requests = Arc::new(Mutex::new(requests));
        let (refused, answered) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let mut connection = Connection::open(address).await?;
            let (requests, refused) = (Arc::clone(&requests), Arc::clone(&refused));
            let answered = Arc::clone(&answered);
            senders.spawn(async move {
                loop {
                    let next = requests.lock().await.recv().await;
                    let Some(request) = next else { return };
                    let answer = connection.ask(&request).await;
                    answered.draw();
                    if !answer.is_ok_and(|answer| (200..300).contains(&answer.status)) {
                        refused.draw();
                    }
                }
            });
        }
        Ok(Self { queue, refused, answered, sent: Counter::default(), _senders: senders })
    }

    /// Each at its time, which counts from when it is due, also while all connections are busy; then until the last one's
    /// interval is over.
    pub(crate) async fn steadily(&self, watch: &Watch, rate: f64, deliveries: Vec<(u64, Request)>) {
        let begin = Instant::now();
        let mut due = begin;
        for (index, (number, request)) in (0_u32..).zip(deliveries) {
            tokio::time::sleep_until(due).await;
            self.send(watch, number, request);
            due = begin + Duration::from_secs_f64(real(u64::from(index) + 1) / rate);
        }
        tokio::time::sleep_until(due).await;
    }

    pub(crate) fn send(&self, watch: &Watch, number: u64, request: Request) {
        watch.sent(number);
        self.sent.draw();
        // The receiver lives as long as the senders.
        let _ = self.queue.send(request);
    }

    /// Deliveries that wait for their answer, or to be sent because all connections wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.sent.now().saturating_sub(self.answered.now())
    }

    /// Deliveries that were not answered with 2xx.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.now()
    }
}
