//! The loop that ingest is compared with, which only flushes; and the database that ingest needs, made and asked with `psql`.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use anyhow::bail;
use tempfile::TempDir;
use tokio::process::Command;

use super::deliveries::Mill;
use crate::{
    figures::{long, real},
    limit::append,
};

/// The bare loop.
pub(super) struct Looped {
    pub(super) a_second: f64,
    /// One group's write and flush.
    pub(super) flush: Duration,
}

/// Appends groups of bodies to a file, a flush after each, with nothing else around.
pub(super) fn group_commit(mill: &Mill, group: usize, window: Duration) -> anyhow::Result<Looped> {
    let folder = TempDir::with_prefix("mullion-load-")?;
    let mut file = File::create(folder.path().join("log"))?;
    let mut groups = 0_u32;
    let mut spent = Duration::ZERO;
    while spent < window / 3 {
        let bodies = (0..group).map(|_| Ok(mill.next()?.1.body)).collect::<anyhow::Result<Vec<_>>>()?;
        // Only the flush counts: the limit over HTTP gets its bodies made beside it, as Mullion does.
        let begin = Instant::now();
        append(&mut file, bodies.iter())?;
        spent += begin.elapsed();
        groups += 1;
    }
    let a_second = real(long(group)) * f64::from(groups) / spent.as_secs_f64();
    Ok(Looped { a_second, flush: spent / groups.max(1) })
}

/// An empty database on this server.
pub(super) async fn new_database(server: &str) -> anyhow::Result<String> {
    let name = format!("load_{}", std::process::id());
    psql(server, &format!("CREATE DATABASE {name}")).await?;
    let (head, _) = server.rsplit_once('/').unwrap_or((server, ""));
    Ok(format!("{head}/{name}"))
}

/// The settings that decide what an acknowledgement is worth.
pub(super) async fn durability(server: &str) -> anyhow::Result<String> {
    let (fsync, commit) = (psql(server, "SHOW fsync").await?, psql(server, "SHOW synchronous_commit").await?);
    Ok(format!("fsync {fsync}, synchronous_commit {commit}"))
}

async fn psql(server: &str, command: &str) -> anyhow::Result<String> {
    let done = Command::new("psql").args(["-v", "ON_ERROR_STOP=1", "-At", "-c", command, server]).output().await?;
    if !done.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
