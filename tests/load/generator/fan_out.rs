//! Fan-out: many sockets with the same subscription, and one thing that changes.

use std::{sync::Arc, time::Duration};

use crate::{
    crowd::Crowd,
    figures::{Spread, Table, long, ratio, real, time, whole},
    options::Options,
    program::{file_limit, own_cpu},
    publish::Publisher,
    side::Side,
    target::GRAPHQL,
    watch::{Tells, Watch},
};

/// Files that a process needs beside its sockets.
pub(crate) const OTHER_FILES: usize = 300;
const RATES: [u64; 3] = [1, 10, 100];
const PATIENCE: Duration = Duration::from_secs(20);
/// Deliveries before those that count.
const WARM_UP: u64 = 5;

/// One rate on one side.
struct Steady {
    frames: f64,
    latency: Spread,
    cores: f64,
    own_cores: f64,
    microseconds: f64,
    /// Deliveries that were not answered yet when the window ended.
    waiting: u64,
    /// Sockets that never saw the last delivery, sockets that broke, deliveries that were refused.
    losses: (u64, u64, u64),
}

/// One number of sockets on one side.
struct Held {
    memory: f64,
    steady: Vec<Steady>,
}

/// Rows for each number of sockets and each rate.
pub(crate) async fn measure(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    for &sockets in &options.sockets {
        let what = format!("Fan-out, {} sockets", whole(real(long(sockets))));
        if sockets + OTHER_FILES > file_limit() {
            table.skipped(&what, &format!("a process may open only {} files here", file_limit()));
            continue;
        }
        let mut side = Side::mullion(options).await?;
        let bytes = side.frame.len();
        let program = hold(&mut side, sockets, options).await?;
        let mut bare = Side::limit(options, &side).await?;
        side.program.stop().await;
        let limit = hold(&mut bare, sockets, options).await?;
        bare.program.stop().await;
        rows(table, &what, bytes, &program, &limit);
    }
    Ok(())
}

async fn hold(side: &mut Side, sockets: usize, options: &Options) -> anyhow::Result<Held> {
    let watch = Arc::new(Watch::new(sockets, Tells::Latest));
    let before = side.program.memory();
    let operation = side.operation.clone();
    let crowd =
        Crowd::gather(side.program.address, Arc::clone(&watch), sockets, |_| (GRAPHQL.into(), operation.clone()))
            .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let memory = real(side.program.memory().saturating_sub(before)) / real(long(sockets));
    let publisher = Publisher::open(side.program.address).await?;
    let warm_up = side.deliveries(WARM_UP)?;
    let last = warm_up.last().map_or(0, |one| one.0);
    publisher.steadily(&watch, 5.0, warm_up).await;
    watch.caught_up(last, 0, PATIENCE).await;
    let mut steady = Vec::new();
    for rate in RATES {
        steady.push(steadily(side, &watch, &publisher, (rate, options)).await?);
    }
    crowd.leave().await;
    Ok(Held { memory, steady })
}

async fn steadily(
    side: &mut Side,
    watch: &Watch,
    publisher: &Publisher,
    (rate, options): (u64, &Options),
) -> anyhow::Result<Steady> {
    // At one a second the longer watch gives the tail enough deliveries.
    let seconds = options.window().as_secs() * if rate == 1 { 3 } else { 1 };
    let deliveries = side.deliveries(rate * seconds)?;
    let (first, last) = (deliveries.first().map_or(0, |one| one.0), deliveries.last().map_or(0, |one| one.0));
    watch.begin(first);
    let (frames, cpu, own, begin) = (watch.frames(), side.program.cpu(), own_cpu(), std::time::Instant::now());
    publisher.steadily(watch, real(rate), deliveries).await;
    let elapsed = begin.elapsed().as_secs_f64();
    let frames = real(watch.frames() - frames);
    let cpu = side.program.cpu() - cpu;
    let own = own_cpu() - own;
    let waiting = publisher.waiting();
    watch.caught_up(last, 0, PATIENCE).await;
    Ok(Steady {
        frames: frames / elapsed,
        latency: watch.latency(),
        cores: cpu / elapsed,
        own_cores: own / elapsed,
        waiting,
        microseconds: cpu * 1e6 / frames.max(1.0),
        losses: (watch.behind(last), watch.lost_sockets(), publisher.refused()),
    })
}

fn rows(table: &mut Table, what: &str, bytes: usize, program: &Held, limit: &Held) {
    let kilobytes = |bytes: f64| format!("{:.1} KB", bytes / 1_000.0);
    table.row(
        &format!("{what}: memory a socket"),
        [&kilobytes(program.memory), &kilobytes(limit.memory), &ratio(program.memory, limit.memory)],
        "idle, subscribed; growth of what is not mapped from files, without the kernel's part",
    );
    for ((rate, one), bare) in RATES.iter().zip(&program.steady).zip(&limit.steady) {
        let what = format!("{what}, {rate} a second");
        table.row(
            &format!("{what}: frames a second"),
            [&whole(one.frames), &whole(bare.frames), &ratio(one.frames, bare.frames)],
            &format!("frames of {bytes} bytes{}", losses(one.losses, bare.losses)),
        );
        let slowest = |steady: &Steady| steady.latency.p99.as_secs_f64();
        table.row(
            &format!("{what}: delivery to frame, p50 / p99 / p99.9"),
            [&one.latency.three(), &bare.latency.three(), &ratio(slowest(one), slowest(bare))],
            &format!(
                "ratio of p99; {} and {} times; deliveries without an answer when the window ended: {} and {}",
                whole(real(one.latency.count)),
                whole(real(bare.latency.count)),
                one.waiting,
                bare.waiting
            ),
        );
        let cpu = |steady: &Steady| format!("{:.2} ({:.1} µs a frame)", steady.cores, steady.microseconds);
        table.row(
            &format!("{what}: processors"),
            [&cpu(one), &cpu(bare), &ratio(one.microseconds, bare.microseconds)],
            &format!("the generator beside them: {:.2} and {:.2}", one.own_cores, bare.own_cores),
        );
    }
}

/// The losses, if there were any.
fn losses(program: (u64, u64, u64), limit: (u64, u64, u64)) -> String {
    let one = |name: &str, (behind, broken, refused): (u64, u64, u64)| {
        if (behind, broken, refused) == (0, 0, 0) {
            return String::new();
        }
        format!(
            "; **{name}: {behind} sockets without the last delivery after {}, {broken} broken, {refused} refused**",
            time(PATIENCE)
        )
    };
    format!("{}{}", one("Mullion", program), one("limit", limit))
}
