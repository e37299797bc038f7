//! The history of a sandbox, on disk: one JSON object a line, replayed over the seeded world at the next start.
//!
//! Lines reach the operating system before the caller gets an answer, so a killed process forgets nothing that it admitted.
//! No token is ever written: an `Authorization` header is kept as the mere fact that there was one.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("the sandbox journal {path} cannot be opened")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A line other than the last is no entry.
    #[error("line {line} of the sandbox journal {path} is damaged; delete the file to start with a fresh world")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    seed: u64,
    base: DateTime<Utc>,
}

/// Something that changed the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A successful act.
    Act {
        /// When.
        at: DateTime<Utc>,
        /// Which.
        action: String,
        /// Its input.
        input: Value,
    },
    /// A writing API call that was not refused.
    Call {
        /// When.
        at: DateTime<Utc>,
        /// The request.
        #[serde(flatten)]
        call: RecordedCall,
    },
}

/// An API call as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// "POST".
    pub method: String,
    /// Relative to the mount, with its query.
    pub path: String,
    /// Those that change what the call means.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body, without a token in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The target's answer to the handshake that the call caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<RecordedAnswer>,
}

/// A handshake's answer; without a status the target could not be reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedAnswer {
    /// Its status.
    pub status: Option<u16>,
    /// Its headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// A provider's journal, open for more.
#[derive(Debug, Default)]
pub struct Journal {
    file: Option<File>,
    entries: u64,
}

/// The contents that [`Journal::open`] found: build the sandbox with `seed` and `base`, then give all of it to the host.
#[derive(Debug)]
pub struct OpenedJournal {
    /// The provider's key.
    pub provider: &'static str,
    /// The seed of the world that the entries belong to.
    pub seed: u64,
    /// The time at which that world was made.
    pub base: DateTime<Utc>,
    /// The entries since then, oldest first.
    pub entries: Vec<Entry>,
    /// Takes what happens next.
    pub journal: Journal,
}

impl Journal {
    /// Opens `{folder}/{provider}.jsonl`, or makes it with `seed` and `base`, which are ignored when it is there already.
    /// A last line that was torn by a crash is cut off.
    pub fn open(
        folder: &Path,
        provider: &'static str,
        seed: u64,
        base: DateTime<Utc>,
    ) -> Result<OpenedJournal, JournalError> {
        let path = folder.join(format!("{provider}.jsonl"));
        let io = |source| JournalError::Io { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let mut file = open_private(&path).map_err(io)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let (header, entries, good) =
            parse(&bytes).map_err(|(line, source)| JournalError::Damaged { path: path.clone(), line, source })?;
        file.set_len(good).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        let header = header.unwrap_or(Header { seed, base });
        if good == 0 {
            write_line(&mut file, &header).map_err(io)?;
        }
        let journal = Self { file: Some(file), entries: entries.len() as u64 };
        Ok(OpenedJournal { provider, seed: header.seed, base: header.base, entries, journal })
    }

    /// How many entries there are, those of earlier runs included.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Whether nothing ever happened.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Adds an entry. A journal that is kept in memory only counts.
    pub fn append(&mut self, entry: &Entry) -> std::io::Result<()> {
        self.entries += 1;
        self.file.as_mut().map_or(Ok(()), |file| write_line(file, entry))
    }
}

/// The journal holds webhook secrets of the sandbox's world, so it is readable by its owner only.
fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

fn write_line(file: &mut File, value: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    file.write_all(&line)
}

type Parsed = (Option<Header>, Vec<Entry>, u64);

/// The header, the entries, and how many bytes of the file they take. Fails with the number of a damaged line.
fn parse(bytes: &[u8]) -> Result<Parsed, (usize, serde_json::Error)> {
    let mut header = None;
    let mut entries = Vec::new();
    let mut good = 0_u64;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let torn_if_bad = lines.peek().is_none();
        let whole = line.ends_with(b"\n");
        let parsed = if header.is_none() {
            serde_json::from_slice(line).map(|parsed| header = whole.then_some(parsed))
        } else {
            serde_json::from_slice(line).map(|entry| entries.extend(whole.then_some(entry)))
        };
        match parsed {
            Ok(()) if whole => good += line.len() as u64,
            Ok(()) => break,
            Err(_) if torn_if_bad => break,
            Err(source) => return Err((index + 1, source)),
        }
    }
    Ok((header, entries, good))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 123_456_789).unwrap()
    }

    fn act(second: i64) -> Entry {
        Entry::Act { at: at(second), action: "write".to_owned(), input: json!({"number": second, "title": "é"}) }
    }

    fn open(folder: &Path, seed: u64) -> OpenedJournal {
        Journal::open(folder, "notes", seed, at(0)).unwrap()
    }

    #[test]
    fn a_second_start_finds_seed_base_and_entries_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = open(folder.path(), 7);
        assert!(first.entries.is_empty() && first.journal.is_empty());
        let call = RecordedCall {
            method: "POST".to_owned(),
            path: "/webhooks?x=1".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: "{}".to_owned(),
            handshake: Some(RecordedAnswer { status: Some(200), headers: Vec::new() }),
        };
        let entries = vec![act(1), Entry::Call { at: at(2), call }];
        for entry in &entries {
            first.journal.append(entry).unwrap();
        }
        let second = Journal::open(folder.path(), "notes", 8, at(99)).unwrap();
        assert_eq!((second.seed, second.base, second.journal.len()), (7, at(0), 2));
        assert_eq!(second.entries, entries);
    }

    #[test]
    fn a_torn_last_line_is_cut_off_wherever_it_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.jsonl");
        let mut opened = open(folder.path(), 7);
        opened.journal.append(&act(1)).unwrap();
        let one = std::fs::read(&path).unwrap().len();
        opened.journal.append(&act(2)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let mut reopened = open(folder.path(), 7);
            assert_eq!(reopened.entries, if length < one { vec![] } else { vec![act(1)] }, "cut at {length}");
            reopened.journal.append(&act(3)).unwrap();
            assert_eq!(open(folder.path(), 7).entries.last(), Some(&act(3)), "cut at {length}");
        }
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_told_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.jsonl");
        open(folder.path(), 7).journal.append(&act(1)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap().replace("{\"act\"", "{\"cat\"");
        std::fs::write(&path, format!("{text}{text}")).unwrap();
        let error = Journal::open(folder.path(), "notes", 7, at(0)).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error}");
    }
}
