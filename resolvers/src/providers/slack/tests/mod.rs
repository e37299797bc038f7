//! The adapter against the sandbox behind a transport that counts, and against examples of Slack's events.

mod broken;
mod examples;
mod fake;
mod history;
mod reads;
mod signed;
