//! The process as its operating system sees it, under the names that Prometheus' own clients give these metrics, without a prefix.
//! Read at each scrape; where the system does not tell, a metric is left out.

use std::{fmt, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::ConstCounter,
        gauge::{ConstGauge, Gauge},
        info::Info,
    },
    registry::{Registry, Unit},
};

/// The metrics of the process, in a registry of their own because that of Mullion has a prefix.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    pub(super) registry: Registry,
    /// Seconds since 1970 at which the process started.
    pub(super) started: Gauge<f64, AtomicU64>,
}

impl Default for ProcessMetrics {
    fn default() -> Self {
        let started = Gauge::<f64, AtomicU64>::default();
        let mut registry = Registry::default();
        let help = "When the process started, in seconds since 1970";
        registry.register_with_unit("process_start_time", help, Unit::Seconds, started.clone());
        registry.register_collector(Box::new(Process));
        Self { registry, started }
    }
}

/// Registers which version runs.
pub(super) fn register_build(registry: &mut Registry) {
    let labels = vec![("version", env!("CARGO_PKG_VERSION"))];
    registry.register("build", "The version that runs", Info::new(labels));
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(seconds) = processor_seconds() {
            let help = "Processor time of the process, in user mode and in the kernel";
            write(
                &mut encoder,
                Series { name: "process_cpu", help, unit: Some(&Unit::Seconds) },
                &ConstCounter::new(seconds),
            )?;
        }
        if let Some(bytes) = resident_bytes() {
            let help = "Memory of the process that is in RAM";
            write(
                &mut encoder,
                Series { name: "process_resident_memory", help, unit: Some(&Unit::Bytes) },
                &ConstGauge::new(bytes),
            )?;
        }
        if let Some(files) = open_files() {
            write(
                &mut encoder,
                Series { name: "process_open_fds", help: "Open files and sockets", unit: None },
                &ConstGauge::new(files),
            )?;
        }
        if let Some(files) = most_files() {
            let help = "Files and sockets that may be open";
            write(&mut encoder, Series { name: "process_max_fds", help, unit: None }, &ConstGauge::new(files))?;
        }
        Ok(())
    }
}

/// How a series is described.
#[derive(Clone, Copy)]
struct Series {
    name: &'static str,
    help: &'static str,
    unit: Option<&'static Unit>,
}

fn write(encoder: &mut DescriptorEncoder<'_>, series: Series, metric: &impl EncodeMetric) -> Result<(), fmt::Error> {
    let Series { name, help, unit } = series;
    metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
}

#[cfg(unix)]
fn processor_seconds() -> Option<f64> {
    use rustix::time::{ClockId, clock_gettime};
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(spent.tv_sec).ok()?;
    Some(Duration::new(seconds, u32::try_from(spent.tv_nsec).ok()?).as_secs_f64())
}

#[cfg(not(unix))]
fn processor_seconds() -> Option<f64> {
    None
}

/// Linux tells it in kilobytes, whatever the size of its pages.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn open_files() -> Option<i64> {
    // One of them is the folder itself, which is open while it is read.
    let entries = std::fs::read_dir("/proc/self/fd").ok()?.count();
    i64::try_from(entries.saturating_sub(1)).ok()
}

#[cfg(unix)]
fn most_files() -> Option<i64> {
    use rustix::process::{Resource, getrlimit};
    i64::try_from(getrlimit(Resource::Nofile).current?).ok()
}

#[cfg(not(unix))]
fn most_files() -> Option<i64> {
    None
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::super::metrics::Metrics;

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).expect(name)
    }

    #[test]
    fn the_process_is_shown_under_the_names_that_prometheus_gives_it() {
        let metrics = Metrics::default();
        metrics.process_started("2026-11-30T20:00:00Z".parse().unwrap());
        let text = metrics.encode();
        assert!((value(&text, "process_start_time_seconds") - 1_796_068_800.0).abs() < 1.0);
        assert!(value(&text, "process_cpu_seconds_total") > 0.0);
        assert!(value(&text, "process_resident_memory_bytes") > 1_000_000.0);
        assert!(value(&text, "process_open_fds") >= 3.0);
        assert!(value(&text, "process_max_fds") >= value(&text, "process_open_fds"));
        let build = format!("mullion_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&build), "{build} is not in\n{text}");
        assert_eq!(text.matches("# EOF").count(), 1);
        let files: Vec<_> = (0..5).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let more = value(&metrics.encode(), "process_open_fds");
        assert!(more >= value(&text, "process_open_fds") + 1.0, "{more} with {} more", files.len());
    }
}
