//! The adapter against a transport that answers from memory: numbers of calls, documents, partial errors, and GitHub's own
//! published examples of events.

mod broken;
mod examples;
mod fake;
mod hooks;
mod log;
mod reads;
mod sandboxed;
