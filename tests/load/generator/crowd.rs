//! Many sockets with one subscription each, which do nothing but read.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::JoinSet;

use crate::{
    socket::{Operation, Socket, source},
    watch::Watch,
};

/// Sockets that are being opened at a time.
const OPENING: usize = 64;
/// Tries of a socket, because a queue of connections can be full for a moment.
const TRIES: usize = 5;

/// The sockets; dropped, they are closed.
pub(crate) struct Crowd {
    readers: JoinSet<()>,
}

impl Crowd {
    /// Opens `count` sockets; `asked` says where each of them connects to and what it asks.
    pub(crate) async fn gather(
        address: SocketAddr,
        watch: Arc<Watch>,
        count: usize,
        asked: impl Fn(usize) -> (String, Operation) + Send,
    ) -> anyhow::Result<Self> {
        let opening = stream::iter(0..count).map(move |number| {
            let (path, operation) = asked(number);
            async move { Ok::<_, anyhow::Error>((number, open(address, number, &path, &operation).await?)) }
        });
        let mut opened = opening.buffer_unordered(OPENING);
        let mut readers = JoinSet::new();
        while let Some((number, socket)) = opened.try_next().await? {
            readers.spawn(read(Arc::clone(&watch), number, socket));
        }
        Ok(Self { readers })
    }

    /// Closes all sockets and waits until the kernel has done so too.
    pub(crate) async fn leave(mut self) {
        self.readers.shutdown().await;
    }
}

async fn open(address: SocketAddr, number: usize, path: &str, operation: &Operation) -> anyhow::Result<Socket> {
    let mut tries = 0;
    loop {
        tries += 1;
        match subscribed(address, number, path, operation).await {
            Ok(socket) => return Ok(socket),
            Err(error) if tries == TRIES => return Err(error).with_context(|| format!("socket {number}")),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn subscribed(address: SocketAddr, number: usize, path: &str, operation: &Operation) -> anyhow::Result<Socket> {
    let mut socket = Socket::open(address, source(number), path).await?;
    if socket.subscribe(operation).await?.is_some() {
        socket.snapshot_end().await?;
    }
    Ok(socket)
}

async fn read(watch: Arc<Watch>, number: usize, mut socket: Socket) {
    let mut place = 0;
    while let Ok(text) = socket.answer().await {
        watch.frame(number, &mut place, &text);
    }
    watch.gone();
}

/// A number that several tasks draw from.
#[derive(Debug, Default)]
pub(crate) struct Counter(std::sync::atomic::AtomicU64);

impl Counter {
    pub(crate) fn draw(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
