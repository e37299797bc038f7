//! The load generator: measures a running Mullion and, with the same clients, a limit; `tests/load/README.md` says what and how.

mod crowd;
mod distinct;
mod fan_out;
mod figures;
mod http;
mod ingest;
mod limit;
mod options;
mod program;
mod publish;
mod side;
mod socket;
mod subscribe;
mod target;
mod watch;

use std::{env, io::Write as _, path::Path};

use anyhow::Context as _;

use self::{figures::Table, options::Options};

/// The program's own allocator, so that the limit has the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [command, address, log, read_buffer] = arguments.as_slice()
        && command == "limit"
    {
        return limit::serve(address.parse()?, Path::new(log), read_buffer.parse()?).await;
    }
    let options = Options::read(&arguments)?;
    let mut table = Table::default();
    for part in &options.parts {
        eprintln!("load: {part}");
        match *part {
            "fan-out" => fan_out::measure(&options, &mut table).await,
            "distinct" => distinct::measure(&options, &mut table).await,
            "ingest" => ingest::measure(&options, &mut table).await,
            _ => subscribe::measure(&options, &mut table).await,
        }
        .with_context(|| format!("the part {part}"))?;
    }
    let how = if options.quick { ", quick: no figures to quote" } else { "" };
    let machine = program::machine();
    Ok(writeln!(std::io::stdout().lock(), "{machine}{how}\n\n{}", table.into_markdown())?)
}
