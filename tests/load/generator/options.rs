//! The options: the parts to measure, how long, and with which programs. All are on the command line, because `tests/load/run`
//! decides on them.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};

/// The parts, in the order in which `all` runs them.
const PARTS: [&str; 4] = ["fan-out", "distinct", "ingest", "subscribe"];

/// The command line.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) parts: Vec<&'static str>,
    pub(crate) quick: bool,
    /// Numbers of sockets of the fan-out.
    pub(crate) sockets: Vec<usize>,
    /// The binary that is measured.
    pub(crate) binary: PathBuf,
    /// Its settings, `NAME=value` with blanks between them.
    pub(crate) settings: String,
    /// The file of example payloads.
    pub(crate) examples: PathBuf,
    /// A server on which a database may be made.
    pub(crate) postgres: Option<String>,
    /// Bytes of the read buffer that each socket of the limit has.
    pub(crate) read_buffer: String,
}

impl Options {
    /// `PART… --quick --name=value…`
    pub(crate) fn read(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            parts: Vec::new(),
            quick: false,
            sockets: Vec::new(),
            binary: "target/release/mullion".into(),
            settings: String::new(),
            examples: "tests/clients/node_modules/@octokit/webhooks-examples/api.github.com/index.json".into(),
            postgres: None,
            read_buffer: "2048".to_owned(),
        };
        for argument in arguments {
            match argument.split_once('=') {
                Some((name, value)) => options.set(name, value)?,
                None if argument == "--quick" => options.quick = true,
                None if argument == "all" => options.parts.extend(PARTS),
                None => {
                    let part = PARTS.iter().find(|part| *part == argument);
                    options.parts.push(part.with_context(|| format!("unknown part {argument}: {}", PARTS.join(", ")))?);
                }
            }
        }
        if options.sockets.is_empty() {
            options.sockets = if options.quick { vec![200, 1_000] } else { vec![1_000, 10_000, 30_000] };
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        match name {
            "--binary" => self.binary = value.into(),
            "--settings" => value.clone_into(&mut self.settings),
            "--sockets" => {
                self.sockets =
                    value.split(',').filter(|part| !part.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
            }
            "--examples" => self.examples = value.into(),
            "--postgres" => self.postgres = Some(value.to_owned()).filter(|url| !url.is_empty()),
            "--read-buffer" => value.clone_into(&mut self.read_buffer),
            _ => bail!("unknown option {name}"),
        }
        Ok(())
    }

    /// How long a steady state is watched.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(if self.quick { 3 } else { 10 })
    }
}
