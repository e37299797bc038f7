//! Slack, all of it: what other folders know about Slack is the one line that names this folder.

pub mod sandbox;
