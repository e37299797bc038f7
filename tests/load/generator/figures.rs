//! Numbers and how they are shown: a histogram that many sockets fill at once, times, rates and the table.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets for each doubling: less than two percent between neighbours.
const STEPS: u64 = 64;
/// Enough for all of `u64`.
const BUCKETS: usize = 4096;

/// Durations, counted in buckets without a lock.
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(crate) fn record(&self, nanoseconds: u64) {
        if let Some(bucket) = usize::try_from(place(nanoseconds)).ok().and_then(|place| self.buckets.get(place)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// The quantiles of the times it holds now.
    pub(crate) fn spread(&self) -> Spread {
        Spread { p50: self.quantile(0.5), p99: self.quantile(0.99), p999: self.quantile(0.999), count: self.count() }
    }

    fn quantile(&self, part: f64) -> Duration {
        let wanted = real(self.count()) * part;
        let mut passed = 0;
        let found = (0_u64..).zip(&self.buckets).find(|(_, bucket)| {
            passed += bucket.load(Ordering::Relaxed);
            passed > 0 && real(passed) >= wanted
        });
        Duration::from_nanos(found.map_or(0, |(place, _)| middle(place)))
    }
}

fn place(value: u64) -> u64 {
    let shift = u64::from(value.max(STEPS).ilog2() - STEPS.ilog2());
    shift * STEPS + (value >> shift)
}

fn middle(place: u64) -> u64 {
    let shift = (place / STEPS).saturating_sub(1);
    ((place - shift * STEPS) << shift) + (1 << shift) / 2
}

/// The middle and the ends of many durations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    pub(crate) count: u64,
}

impl Spread {
    /// All three.
    pub(crate) fn three(&self) -> String {
        format!("{} / {} / {}", time(self.p50), time(self.p99), time(self.p999))
    }

    /// Without the last.
    pub(crate) fn two(&self) -> String {
        format!("{} / {}", time(self.p50), time(self.p99))
    }
}

/// As a number with a fraction; what is counted here stays far below where that loses anything.
#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of minutes fit")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

/// A length as a count.
pub(crate) fn long(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// `12,345`
pub(crate) fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds with as many digits as tell something.
pub(crate) fn time(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1_000.0;
    match milliseconds {
        ..10.0 => format!("{milliseconds:.2} ms"),
        10.0..100.0 => format!("{milliseconds:.1} ms"),
        _ => format!("{} ms", whole(milliseconds)),
    }
}

/// `0.93`, or nothing where there is nothing to divide by.
pub(crate) fn ratio(value: f64, limit: f64) -> String {
    if limit > 0.0 { format!("{:.2}", value / limit) } else { String::new() }
}

/// The rows of the table; `Display` is not for them, because they come one by one while the rest is still measured.
#[derive(Default)]
pub(crate) struct Table {
    text: String,
}

impl Table {
    /// A figure of the program, the same of the limit, the one divided by the other, and what there is to know.
    pub(crate) fn row(&mut self, what: &str, [program, limit, ratio]: [&str; 3], remark: &str) {
        eprintln!("load: {what}: {program} (limit: {limit}) {remark}");
        // Writing into a string does not fail.
        let _ = writeln!(self.text, "| {what} | {program} | {limit} | {ratio} | {remark} |");
    }

    /// Something that was not measured, and why.
    pub(crate) fn skipped(&mut self, what: &str, why: &str) {
        self.row(what, ["not measured", "", ""], why);
    }

    pub(crate) fn into_markdown(self) -> String {
        format!("| What | Mullion | Limit | Ratio | Remark |\n|---|---:|---:|---:|---|\n{}", self.text)
    }
}
