//! Start and end of the process: listeners, signals, and a shutdown in two steps.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{http::App, listen};

/// Connections that may wait to be accepted: after a restart all clients come back within seconds.
const BACKLOG: u32 = 4096;
/// Open files beside the sockets of clients: database, providers, requests.
const OTHER_FILES: u64 = 1024;

/// Binds an address; the error names it, and what it is set by.
pub fn bind(address: SocketAddr, set_by: &str) -> anyhow::Result<TcpListener> {
    let hint = "is another Mullion running? choose another port with";
    open(address).with_context(|| format!("{address} cannot be bound; {hint} {set_by}"))
}

fn open(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Raises the limit of open files as far as it may. Where that is not enough for the sockets that are to be admitted: the limit.
#[cfg(unix)]
pub fn raise_open_files(sockets: usize) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = u64::try_from(sockets).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let found = getrlimit(Resource::Nofile);
    let raised = |maximum: Option<u64>| setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    // Beyond the hard limit only who may do anything comes.
    if found.maximum.is_none_or(|maximum| maximum >= wanted) || !raised(Some(wanted)) {
        raised(found.maximum);
    }
    getrlimit(Resource::Nofile).current.filter(|files| *files < wanted)
}

/// How many files may be open; `None`: as many as there may be.
#[cfg(unix)]
fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// There is no such limit.
#[cfg(not(unix))]
fn open_files() -> Option<u64> {
    None
}

/// There is no such limit.
#[cfg(not(unix))]
pub fn raise_open_files(_sockets: usize) -> Option<u64> {
    None
}

/// Both loopback addresses with one port: what `localhost` means differs. IPv6 may be missing.
pub fn bind_loopback(port: u16, set_by: &str) -> anyhow::Result<Vec<TcpListener>> {
    let first = bind(SocketAddr::from(([127, 0, 0, 1], port)), set_by)?;
    let port = first.local_addr()?.port();
    let mut all = vec![first];
    if let Ok(second) = open(SocketAddr::from(([0u16, 0, 0, 0, 0, 0, 0, 1], port))) {
        all.push(second);
    }
    Ok(all)
}

/// A token that fires at the first SIGTERM or SIGINT. The second one ends the process at once.
pub fn on_signal() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let fired = token.clone();
    let mut signals = signals().context("signals cannot be listened for")?;
    // The process does not wait for it when it ends: the second signal is for an end that hangs.
    TaskTracker::new().spawn(async move {
        signals.next().await;
        fired.cancel();
        tracing::info!("shutting down; a second signal ends at once");
        signals.next().await;
        std::process::exit(130);
    });
    Ok(token)
}

/// SIGHUPs, by which operators ask for the settings to be read again.
#[cfg(unix)]
pub struct Hangups(tokio::signal::unix::Signal);

/// There is no such signal.
#[cfg(not(unix))]
pub struct Hangups;

/// Listens for SIGHUP from now on; it no longer ends the process.
pub fn on_hangup() -> anyhow::Result<Hangups> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Hangups(signal(SignalKind::hangup()).context("SIGHUP cannot be listened for")?))
    }
    #[cfg(not(unix))]
    Ok(Hangups)
}

impl Hangups {
    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if self.0.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
fn signals() -> std::io::Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
}

#[cfg(unix)]
impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as where signals are")]
fn signals() -> std::io::Result<Signals> {
    Ok(Signals)
}

#[cfg(not(unix))]
impl Signals {
    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Serves until `stop` fires; then stops accepting, says goodbye to sockets, and waits at most `grace` for the rest.
pub async fn serve(
    app: &Arc<App>,
    listeners: Vec<(TcpListener, Router)>,
    stop: CancellationToken,
    grace: Duration,
) -> anyhow::Result<()> {
    let mut servers = tokio::task::JoinSet::new();
    let shutdown = app.shutdown.clone();
    let live = &app.connections.live;
    let limits = listen::Limits {
        patience: listen::Patience::of(&app.server, live),
        room: listen::Room::of(live.max_sockets, open_files()),
    };
    for (listener, router) in listeners {
        servers.spawn(listen::serve(listener, router, limits, shutdown.clone()));
    }
    app.readiness.set(true);
    stop.cancelled().await;
    app.readiness.set(false);
    app.shutdown.cancel();
    app.tracker.close();
    let finished = async {
        while servers.join_next().await.is_some() {}
        app.tracker.wait().await;
    };
    if tokio::time::timeout(grace, finished).await.is_err() {
        tracing::warn!(seconds = grace.as_secs(), "requests were cut off");
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };
    use tokio_util::sync::CancellationToken;

    use super::{bind_loopback, serve};
    use crate::{fake::Gateway, http::router};

    /// A gateway that gives its clients a second for their headers, its port, and what stops it.
    async fn impatient() -> (Gateway, u16, CancellationToken) {
        let gateway = Gateway::start(|config| config.server.header_timeout_seconds = 1).await;
        let listeners = bind_loopback(0, "--port").unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        let routes = router(&gateway.app, true);
        let listeners = listeners.into_iter().map(|listener| (listener, routes.clone())).collect();
        let stop = CancellationToken::new();
        let (app, until) = (std::sync::Arc::clone(&gateway.app), stop.clone());
        tokio::spawn(async move { serve(&app, listeners, until, Duration::ZERO).await });
        (gateway, port, stop)
    }

    #[tokio::test]
    async fn a_client_that_is_slow_with_its_headers_is_left_and_others_are_not() {
        let (_gateway, port, stop) = impatient().await;
        let preface = "PRI * HTTP/2.0\r\n";
        for sent in ["", "G", "GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", preface] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
            assert!(closed.is_ok(), "still open after {sent:?}");
            assert!(!String::from_utf8_lossy(&answer).contains("200 OK"), "{sent:?}");
        }
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = "GET /graphql?query=%7Bpause%7D HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for _ in 0..3 {
            // Each takes half a second: together longer than the limit, which is for headers only.
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = [0; 4096];
            let read = stream.read(&mut answer).await.unwrap();
            assert!(String::from_utf8_lossy(&answer[..read]).contains("200 OK"));
        }
        stop.cancel();
    }

    #[tokio::test]
    async fn streams_outlive_the_time_for_headers() {
        let (_gateway, port, stop) = impatient().await;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = "GET /graphql/stream?query=subscription%7Bforever%7D HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let ended = async {
            let mut bytes = [0; 4096];
            while stream.read(&mut bytes).await.unwrap() > 0 {}
        };
        assert!(tokio::time::timeout(Duration::from_secs(3), ended).await.is_err(), "the stream was cut off");
        stop.cancel();
    }

    async fn stopped_within(grace: Duration, query: &str) -> (String, Duration) {
        let gateway = Gateway::start(|_| {}).await;
        let listeners = bind_loopback(0, "--port").unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        let routes = router(&gateway.app, true);
        let listeners = listeners.into_iter().map(|listener| (listener, routes.clone())).collect();
        let stop = CancellationToken::new();
        let app = std::sync::Arc::clone(&gateway.app);
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move { serve(&app, listeners, stop, grace).await }
        });
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = format!("GET {query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
        let started = Instant::now();
        serving.await.unwrap().unwrap();
        let took = started.elapsed();
        assert!(!gateway.app.readiness.get());
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "still accepting");
        let mut answer = String::new();
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.read_to_string(&mut answer)).await;
        (answer, took)
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let taken = bind_loopback(0, "--port").unwrap();
        let address = taken[0].local_addr().unwrap();
        let error = super::bind(address, "--port").unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("--port"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_of_open_files_is_raised_to_what_may_be() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let before = getrlimit(Resource::Nofile);
        let low = before.maximum.map_or(512, |maximum| maximum.min(512));
        setrlimit(Resource::Nofile, Rlimit { current: Some(low), ..before }).unwrap();
        assert_eq!(super::raise_open_files(1), None);
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after, Rlimit { current: before.maximum, ..before });
    }

    #[tokio::test]
    async fn requests_finish_before_the_end() {
        let (answer, took) = stopped_within(Duration::from_secs(10), "/graphql?query=%7Bpause%7D").await;
        assert!(answer.contains(r#"{"data":{"pause":true}}"#), "{answer}");
        assert!(took < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn streams_end_at_once() {
        let query = "/graphql/stream?query=subscription%7Bforever%7D";
        let (answer, took) = stopped_within(Duration::from_secs(10), query).await;
        assert!(answer.contains("event: next") && !answer.contains("complete"), "{answer}");
        assert!(took < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn the_end_does_not_wait_forever() {
        let (_, took) = stopped_within(Duration::from_millis(200), "/graphql?query=%7Bslow%7D").await;
        assert!(took < Duration::from_secs(5));
    }
}
