//! Ingest: signed deliveries over keep-alive connections, as many as are acknowledged, then half of that with the way to the
//! subscriber timed.

mod bare;
mod deliveries;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::task::JoinSet;

use self::deliveries::Mill;
use crate::{
    crowd::{Counter, Crowd},
    figures::{Histogram, Spread, Table, ratio, real, time, whole},
    http::Connection,
    options::Options,
    program::Program,
    target::{GRAPHQL, activity},
    watch::{Tells, Watch},
};

/// Connections that deliver at a time.
const CONNECTIONS: usize = 64;
/// How long to wait until everything was seen.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a connection waits after it was refused.
const RETRY: Duration = Duration::from_millis(20);

/// Acknowledged as fast as it goes.
struct Acknowledged {
    a_second: f64,
    times: Spread,
    refused: u64,
    microseconds: f64,
    /// How long after the last acknowledgement everything was applied; nothing where it never was.
    drained: Option<Duration>,
}

impl Acknowledged {
    /// Deliveries that were acknowledged and applied a second, as long as it took; nothing where they never all were.
    fn applied(&self) -> Option<f64> {
        let count = real(self.times.count);
        self.drained.map(|drained| count / (count / self.a_second + drained.as_secs_f64()))
    }
}

/// At half of a rate.
struct Seen {
    rate: f64,
    acknowledged: Spread,
    activity: Spread,
    missing: u64,
}

/// Rows for SQLite and, where there is a server, PostgreSQL.
pub(crate) async fn measure(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    let mill = Arc::new(Mill::read(&options.examples)?);
    let bare = Program::limit(options).await?;
    let limit = at_full_rate(&bare, &mill, None, options).await?;
    bare.stop().await;
    let looped = bare::group_commit(&mill, CONNECTIONS, options.window())?;
    table.row("Ingest, bare loop: deliveries a second", ["", &whole(looped.a_second), ""], &format!(
            "groups of {CONNECTIONS} of the same bodies ({} bytes on average) appended to a file, `fdatasync` after each ({}); no HTTP",
            whole(mill.average()),
            time(looped.flush)
        ));
    one(table, "SQLite", None, (&mill, &limit, options)).await?;
    let Some(server) = &options.postgres else {
        table.skipped("Ingest, PostgreSQL", "neither MULLION_TEST_POSTGRES_URL nor PostgreSQL's programs are there");
        return Ok(());
    };
    let database = bare::new_database(server).await?;
    let name = format!("PostgreSQL ({})", bare::durability(server).await?);
    one(table, &name, Some(&database), (&mill, &limit, options)).await
}

async fn one(
    table: &mut Table,
    name: &str,
    database: Option<&str>,
    (mill, limit, options): (&Arc<Mill>, &Acknowledged, &Options),
) -> anyhow::Result<()> {
    let program = Program::mullion(options, database).await?;
    let watch = Arc::new(Watch::new(1, Tells::Each));
    let crowd = Crowd::gather(program.address, Arc::clone(&watch), 1, |_| (GRAPHQL.into(), activity())).await?;
    let full = at_full_rate(&program, mill, Some(&watch), options).await?;
    let what = format!("Ingest, {name}");
    rows(table, &what, &full, limit);
    // More than is applied a second cannot go on for long: what waits only grows.
    for (of, rate) in [("what is applied", full.applied()), ("what is acknowledged", Some(full.a_second))] {
        if let Some(rate) = rate {
            let half = at_half_rate(program.address, mill, &watch, (rate / 2.0, options.window())).await?;
            half_rows(table, &format!("{what}, half of {of}"), &half);
        }
    }
    crowd.leave().await;
    program.stop().await;
    Ok(())
}

/// The state that all connections share.
struct Load {
    mill: Arc<Mill>,
    watch: Option<Arc<Watch>>,
    /// From sending, or from when it was due, to the 2xx.
    times: Histogram,
    refused: Counter,
    /// Acknowledged deliveries that a subscriber should see.
    edits: Counter,
}

impl Load {
    fn new(mill: &Arc<Mill>, watch: Option<&Arc<Watch>>) -> Arc<Self> {
        let (times, refused, edits) = (Histogram::new(), Counter::default(), Counter::default());
        Arc::new(Self { mill: Arc::clone(mill), watch: watch.cloned(), times, refused, edits })
    }

    /// Makes a delivery that is due at this time, sends it, and waits for the answer.
    async fn deliver(&self, connection: &mut Connection, due: Instant) -> anyhow::Result<bool> {
        let (number, request) = self.mill.next()?;
        if let (Some(number), Some(watch)) = (number, &self.watch) {
            watch.due(number, due.elapsed());
        }
        let answer = connection.ask(&request).await?;
        if !(200..300).contains(&answer.status) {
            self.refused.draw();
            return Ok(false);
        }
        self.times.record(u64::try_from(due.elapsed().as_nanos())?);
        if number.is_some() {
            self.edits.draw();
        }
        Ok(true)
    }

    /// Until every acknowledged edit was seen, or patience ends; how many were not.
    async fn unseen(&self) -> u64 {
        let Some(watch) = &self.watch else { return 0 };
        let deadline = Instant::now() + PATIENCE;
        while watch.timed() < self.edits.now() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.edits.now().saturating_sub(watch.timed())
    }
}

/// Each connection sends the next delivery when the last is acknowledged.
async fn at_full_rate(
    program: &Program,
    mill: &Arc<Mill>,
    watch: Option<&Arc<Watch>>,
    options: &Options,
) -> anyhow::Result<Acknowledged> {
    let (load, window) = (Load::new(mill, watch), options.window());
    let (cpu, begin) = (program.cpu(), Instant::now());
    let mut senders = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (mut connection, load) = (Connection::open(program.address).await?, Arc::clone(&load));
        senders.spawn(async move {
            while begin.elapsed() < window {
                if !load.deliver(&mut connection, Instant::now()).await? {
                    tokio::time::sleep(RETRY).await;
                }
            }
            Ok(())
        });
    }
    ended(senders).await?;
    let (elapsed, last) = (begin.elapsed().as_secs_f64(), Instant::now());
    let times = load.times.spread();
    let count = real(times.count).max(1.0);
    let microseconds = (program.cpu() - cpu) * 1e6 / count;
    let drained = (load.unseen().await == 0).then(|| last.elapsed());
    Ok(Acknowledged { a_second: count / elapsed, times, refused: load.refused.now(), microseconds, drained })
}

/// Each delivery at its time, on the first connection that is free; its time runs from when it is due.
async fn at_half_rate(
    address: SocketAddr,
    mill: &Arc<Mill>,
    watch: &Arc<Watch>,
    (rate, window): (f64, Duration),
) -> anyhow::Result<Seen> {
    watch.begin(mill.numbers());
    let (load, slots) = (Load::new(mill, Some(watch)), Arc::new(Counter::default()));
    let begin = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(address).await?;
        let (load, slots) = (Arc::clone(&load), Arc::clone(&slots));
        senders.spawn(async move {
            loop {
                let due = begin + Duration::from_secs_f64(real(slots.draw()) / rate);
                if due - begin > window {
                    return Ok(());
                }
                tokio::time::sleep_until(due.into()).await;
                load.deliver(&mut connection, due).await?;
            }
        });
    }
    ended(senders).await?;
    let missing = load.unseen().await;
    Ok(Seen { rate, acknowledged: load.times.spread(), activity: watch.latency(), missing })
}

async fn ended(mut senders: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(sender) = senders.join_next().await {
        sender?.context("a sender")?;
    }
    Ok(())
}

fn rows(table: &mut Table, what: &str, full: &Acknowledged, limit: &Acknowledged) {
    let refused = if full.refused > 0 { format!("; {} answered 503 or so", full.refused) } else { String::new() };
    table.row(&format!("{what}: acknowledged a second"), [&whole(full.a_second), &whole(limit.a_second), &ratio(full.a_second, limit.a_second)], &format!(
            "{CONNECTIONS} connections, each with one delivery at a time{refused}; processor time of one {:.0} and {:.0} µs",
            full.microseconds, limit.microseconds
        ));
    table.row(
        &format!("{what}: webhook to 2xx, p50 / p99"),
        [&full.times.two(), &limit.times.two(), &ratio(full.times.p99.as_secs_f64(), limit.times.p99.as_secs_f64())],
        "ratio of p99; at that rate",
    );
    let applied = full.applied().zip(full.drained).map(|(applied, drained)| (whole(applied), time(drained)));
    let (applied, drained) = applied.unwrap_or_else(|| ("too few".to_owned(), format!("more than {}", time(PATIENCE))));
    table.row(
        &format!("{what}: applied a second"),
        [&applied, "", ""],
        &format!("until a subscriber has seen all of them, {drained} after the last 2xx"),
    );
}

fn half_rows(table: &mut Table, what: &str, half: &Seen) {
    let missing = if half.missing > 0 { format!("; **{} never seen**", half.missing) } else { String::new() };
    table.row(
        &format!("{what}: webhook to 2xx, p50 / p99"),
        [&half.acknowledged.two(), "", ""],
        &format!("{} a second, from when each is due", whole(half.rate)),
    );
    table.row(
        &format!("{what}: webhook to frame of `activity`, p50 / p99 / p99.9"),
        [&half.activity.three(), "", ""],
        &format!("{} deliveries timed{missing}", whole(real(half.activity.count))),
    );
}
