//! Subscribe: how many subscriptions a second begin, and how long the first answer takes when everything is cached.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    crowd::Counter,
    figures::{Histogram, Spread, Table, ratio, whole},
    options::Options,
    side::Side,
    socket::{Operation, Socket, source},
    target::GRAPHQL,
};

/// Clients that subscribe at a time.
const CLIENTS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Connect, init, subscribe, first answer, and close; somebody else watches the same.
    NewSocket,
    /// Subscribe, first answer, complete, on an open socket; somebody else watches the same.
    OpenSocket,
    /// The same with an operation that nobody else has, from cached nodes.
    Distinct,
}

const WAYS: [(Way, &str); 3] = [
    (Way::NewSocket, "connect, init and subscribe"),
    (Way::OpenSocket, "on an open socket"),
    (Way::Distinct, "on an open socket, each operation its own"),
];

struct Begun {
    a_second: f64,
    first: Spread,
    microseconds: f64,
}

/// Rows for each way.
pub(crate) async fn measure(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    let side = Side::mullion(options).await?;
    let bare = Side::limit(options, &side).await?;
    for (way, name) in WAYS {
        let program = begin(&side, way, options.window()).await?;
        let limit = begin(&bare, way, options.window()).await?;
        let cpu = |begun: &Begun| format!("{:.0}", begun.microseconds);
        table.row(
            &format!("Subscribe, {name}: subscriptions a second"),
            [&whole(program.a_second), &whole(limit.a_second), &ratio(program.a_second, limit.a_second)],
            &format!("{CLIENTS} clients at a time; processor time of one {} and {} µs", cpu(&program), cpu(&limit)),
        );
        table.row(
            &format!("Subscribe, {name}: time to the first answer, p50 / p99"),
            [
                &program.first.two(),
                &limit.first.two(),
                &ratio(program.first.p99.as_secs_f64(), limit.first.p99.as_secs_f64()),
            ],
            "ratio of p99; at that rate, from cache",
        );
    }
    side.program.stop().await;
    bare.program.stop().await;
    Ok(())
}

async fn begin(side: &Side, way: Way, window: Duration) -> anyhow::Result<Begun> {
    let address = side.program.address;
    // Holds the operation while others come and go.
    let mut holder = Socket::open(address, source(0), GRAPHQL).await?;
    holder.subscribe(&side.operation).await?;
    holder.snapshot_end().await?;
    let (times, numbers) = (Arc::new(Histogram::new()), Arc::new(Counter::default()));
    let (cpu, started) = (side.program.cpu(), Instant::now());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (times, numbers, operation) = (Arc::clone(&times), Arc::clone(&numbers), side.operation.clone());
        clients.spawn(async move {
            let mut socket = Socket::open(address, source(client), GRAPHQL).await?;
            while started.elapsed() < window {
                let begin = Instant::now();
                let number = numbers.draw();
                if way == Way::NewSocket {
                    // Spread over addresses, because closed connections keep their ports for a while.
                    socket = Socket::open(address, source(usize::try_from(number)?), GRAPHQL).await?;
                }
                let first = match way {
                    Way::Distinct => socket.subscribe(&renamed(&operation, number)).await?,
                    _ => socket.subscribe(&operation).await?,
                };
                times.record(u64::try_from(begin.elapsed().as_nanos())?);
                drop(first);
                socket.snapshot_end().await?;
                if way != Way::NewSocket {
                    socket.complete().await?;
                }
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let (elapsed, first) = (started.elapsed().as_secs_f64(), times.spread());
    let cpu = side.program.cpu() - cpu;
    let count = crate::figures::real(first.count).max(1.0);
    Ok(Begun { a_second: count / elapsed, first, microseconds: cpu * 1e6 / count })
}

/// The same under names that nobody else uses, so that nothing is shared and nothing parsed before.
fn renamed(operation: &Operation, number: u64) -> Operation {
    let query = operation.query.replacen(" key ", &format!(" own{number}: key "), 1);
    Operation { query, ..operation.clone() }
}
