//! The deliveries: the example payloads that GitHub's own libraries are tested with, each signed once and sent again and again
//! under new ids, and between them edits of issues, whose titles tell when they arrive.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    crowd::Counter,
    figures::{long, real},
    http::Request,
    target::{Subject, signed},
};

/// Events that a busy organization sends.
const EVENTS: [&str; 12] = [
    "check_run",
    "check_suite",
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "release",
    "status",
    "workflow_job",
    "workflow_run",
];
/// One delivery of so many is an edit that is timed.
const TIMED: u64 = 5;
/// Issues that are edited in turn, so that two edits of one are far from each other.
const SUBJECTS: u64 = 256;
/// Stands in a request's head for its id.
const ID: &str = "load-mill-0000000000";

/// Makes deliveries.
pub(super) struct Mill {
    examples: Vec<Request>,
    subjects: Vec<Mutex<Subject>>,
    drawn: Counter,
    edits: AtomicU64,
}

impl Mill {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read(path)
            .with_context(|| format!("no examples at {}: npm ci --prefix tests/clients", path.display()))?;
        let events: Vec<Value> = serde_json::from_slice(&text)?;
        let mut examples = Vec::new();
        let mut edited = None;
        for event in &events {
            let name = event.get("name").and_then(Value::as_str).unwrap_or_default();
            for payload in event.get("examples").and_then(Value::as_array).into_iter().flatten() {
                if name == "issues" && payload.get("action").is_some_and(|action| action == "edited") {
                    edited = Some(payload.clone());
                }
                if EVENTS.contains(&name) {
                    examples.push(signed(name, ID, payload.to_string().into()));
                }
            }
        }
        let edited = edited.context("no example of an edited issue")?;
        let subjects = (1..=SUBJECTS).map(|number| Mutex::new(Subject::from_example(edited.clone(), number))).collect();
        Ok(Self { examples, subjects, drawn: Counter::default(), edits: AtomicU64::new(1) })
    }

    /// The next delivery, and its number if it is timed.
    pub(super) fn next(&self) -> anyhow::Result<(Option<u64>, Request)> {
        let drawn = self.drawn.draw();
        if drawn.is_multiple_of(TIMED) {
            let number = self.edits.fetch_add(1, Ordering::Relaxed);
            let subject = self.subjects.get(usize::try_from(number % SUBJECTS)?).context("no subject")?;
            return Ok((Some(number), subject.lock().unwrap_or_else(PoisonError::into_inner).edit(number)?));
        }
        let place = usize::try_from(drawn)? % self.examples.len().max(1);
        let mut request = self.examples.get(place).context("no examples")?.clone();
        let own = format!("load-mill-{drawn:010}");
        if let Some(at) = request.head.windows(ID.len()).position(|window| window == ID.as_bytes())
            && let Some(id) = request.head.get_mut(at..at + ID.len())
        {
            id.copy_from_slice(own.as_bytes());
        }
        Ok((None, request))
    }

    /// The number that the next timed delivery gets.
    pub(super) fn numbers(&self) -> u64 {
        self.edits.load(Ordering::Relaxed)
    }

    /// Bytes of a body on average.
    pub(super) fn average(&self) -> f64 {
        let bytes: usize = self.examples.iter().map(|request| request.body.len()).sum();
        real(long(bytes)) / real(long(self.examples.len())).max(1.0)
    }
}
