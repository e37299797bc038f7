//! The measured processes, Mullion and the limit: starting them, and what the system says of them.

use std::{
    env,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{
    http::{self, Request},
    options::Options,
};

/// The kernel's ticks in a second, as user programs are told.
const TICKS: f64 = 100.0;
const PATIENCE: Duration = Duration::from_mins(1);

/// A running process; it ends when this is dropped.
pub(crate) struct Program {
    child: Child,
    pid: u32,
    pub(crate) address: SocketAddr,
    /// Where the stand-ins of the providers are.
    pub(crate) sandbox: SocketAddr,
    _folder: TempDir,
}

impl Program {
    /// `mullion dev --traffic off` in a folder of its own.
    pub(crate) async fn mullion(options: &Options, database: Option<&str>) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("mullion-load-")?;
        let (address, sandbox) = (free_address()?, free_address()?);
        let mut command = Command::new(&options.binary);
        command.args(["dev", "--traffic", "off", "--data"]).arg(folder.path().join("data"));
        command.args(["--port", &address.port().to_string(), "--sandbox-port", &sandbox.port().to_string()]);
        // The binary refuses settings of its prefix that it does not know, and takes others from around here.
        command.env_clear();
        command.envs(options.settings.split_whitespace().filter_map(|setting| setting.split_once('=')));
        command.envs(database.map(|url| ("MULLION_DATABASE_URL", url)));
        Self::start(command, folder, (address, sandbox), "/health/ready").await
    }

    /// The limit: this binary again.
    pub(crate) async fn limit(options: &Options) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("mullion-load-")?;
        let address = free_address()?;
        let mut command = Command::new(env::current_exe()?);
        command.arg("limit").arg(address.to_string()).arg(folder.path().join("log")).arg(&options.read_buffer);
        Self::start(command, folder, (address, address), "/health").await
    }

    async fn start(
        mut command: Command,
        folder: TempDir,
        (address, sandbox): (SocketAddr, SocketAddr),
        ready: &str,
    ) -> anyhow::Result<Self> {
        let said = folder.path().join("load.log");
        let log = File::create(&said)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().context("the program does not start")?;
        let deadline = Instant::now() + PATIENCE;
        while http::ask(address, &Request::get(ready)).await.is_err() {
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("the program did not get ready:\n{}", fs::read_to_string(&said)?);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let pid = child.id().context("the program is gone")?;
        Ok(Self { child, pid, address, sandbox, _folder: folder })
    }

    pub(crate) async fn stop(mut self) {
        // Its data is thrown away, so that it need not end well.
        let _ = self.child.kill().await;
    }

    /// Resident memory in bytes, without what is mapped from files.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() * 1024
    }

    /// Seconds of processor time so far.
    pub(crate) fn cpu(&self) -> f64 {
        cpu(&self.pid.to_string())
    }

    /// The sum of a counter in `/metrics`, over the label sets that have this label.
    pub(crate) async fn counter(&self, name: &str, label: &str) -> f64 {
        let answer = http::ask(self.address, &Request::get("/metrics")).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&answer);
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }
}

/// Seconds of processor time of the generator itself.
pub(crate) fn own_cpu() -> f64 {
    cpu("self")
}

fn cpu(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// How many files a process may open.
pub(crate) fn file_limit() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(usize::MAX)
}

/// A port that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The machine that everything was measured on.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |(_, model)| model);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {processors} processors; the generator runs on them too; `mullion dev --traffic off`")
}
