//! Fan-out over distinct operations: nothing can be shared between them, and a change touches a part.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    crowd::Crowd,
    fan_out::OTHER_FILES,
    figures::{Spread, Table, long, ratio, real, whole},
    options::Options,
    program::file_limit,
    publish::Publisher,
    side::Side,
    watch::{Tells, Watch},
};

/// Parts of the operations that the change touches, in percent.
const PARTS: [usize; 3] = [1, 10, 100];
/// Sockets of each operation.
const SHARE: usize = 10;
const PATIENCE: Duration = Duration::from_mins(1);

/// Changes one after the other, each seen by everyone whom it touches before the next.
struct Changes {
    a_second: f64,
    latency: Spread,
    /// Processor time of one change.
    milliseconds: f64,
    executions: f64,
    frames: f64,
    complete: bool,
}

/// Rows for each part.
pub(crate) async fn measure(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    let operations = if options.quick { 100 } else { 1_000 };
    let what = format!("{} live operations × {SHARE} sockets", whole(real(long(operations))));
    if operations * SHARE + OTHER_FILES > file_limit() {
        table.skipped(&what, &format!("a process may open only {} files here", file_limit()));
        return Ok(());
    }
    for part in PARTS {
        let mut side = Side::mullion(options).await?;
        let program = change(&mut side, operations, part, options).await?;
        let mut bare = Side::limit(options, &side).await?;
        side.program.stop().await;
        let limit = change(&mut bare, operations, part, options).await?;
        bare.program.stop().await;
        rows(table, &format!("{what}, {part} % touched"), &program, &limit);
    }
    Ok(())
}

async fn change(side: &mut Side, operations: usize, part: usize, options: &Options) -> anyhow::Result<Changes> {
    let sockets = operations * SHARE;
    let touched = operations * part / 100;
    let watch = Arc::new(Watch::new(sockets, Tells::Latest));
    let asked = |number: usize| side.distinct(number % operations, number % operations < touched);
    let crowd = Crowd::gather(side.program.address, Arc::clone(&watch), sockets, asked).await?;
    let untouched = long(sockets - touched * SHARE);
    let publisher = Publisher::open(side.program.address).await?;
    let mut complete = true;
    for (number, request) in side.deliveries(2)? {
        publisher.send(&watch, number, request);
        complete &= watch.caught_up(number, untouched, PATIENCE).await;
    }
    let executions = side.program.counter("mullion_executions_total", "").await;
    let (frames, cpu, begin) = (watch.frames(), side.program.cpu(), Instant::now());
    let mut changes = 0;
    while complete && begin.elapsed() < options.window() {
        for (number, request) in side.deliveries(1)? {
            if changes == 0 {
                watch.begin(number);
            }
            publisher.send(&watch, number, request);
            complete &= watch.caught_up(number, untouched, PATIENCE).await;
        }
        changes += 1;
    }
    let (elapsed, count) = (begin.elapsed().as_secs_f64(), real(changes).max(1.0));
    let done = Changes {
        a_second: count / elapsed,
        latency: watch.latency(),
        milliseconds: (side.program.cpu() - cpu) * 1e3 / count,
        executions: (side.program.counter("mullion_executions_total", "").await - executions) / count,
        frames: real(watch.frames() - frames) / count,
        complete: complete && watch.lost_sockets() == 0 && publisher.refused() == 0,
    };
    crowd.leave().await;
    Ok(done)
}

fn rows(table: &mut Table, what: &str, program: &Changes, limit: &Changes) {
    let lost = if program.complete && limit.complete { "" } else { "; **not every socket saw every change**" };
    table.row(
        &format!("{what}: frames a second"),
        [
            &whole(program.a_second * program.frames),
            &whole(limit.a_second * limit.frames),
            &ratio(program.a_second * program.frames, limit.a_second * limit.frames),
        ],
        &format!(
            "{:.1} executions and {:.1} frames a change, one change after the other{lost}",
            program.executions, program.frames
        ),
    );
    table.row(
        &format!("{what}: delivery to frame, p50 / p99 / p99.9"),
        [
            &program.latency.three(),
            &limit.latency.three(),
            &ratio(program.latency.p99.as_secs_f64(), limit.latency.p99.as_secs_f64()),
        ],
        "ratio of p99; the limit sends the same frame to as many sockets and executes nothing",
    );
    let cpu = |changes: &Changes| format!("{:.2} ms", changes.milliseconds);
    table.row(
        &format!("{what}: processor time a change"),
        [&cpu(program), &cpu(limit), &ratio(program.milliseconds, limit.milliseconds)],
        &format!("{:.1} µs an execution, with its frames", program.milliseconds * 1e3 / program.executions.max(1.0)),
    );
}
