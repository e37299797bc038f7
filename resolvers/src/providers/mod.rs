//! The one list of providers: a `mod` line and an entry each.

pub mod asana;
pub mod github;
pub mod slack;

use std::sync::Arc;

use crate::provider::{Provider, Providers};

/// All providers of this build, by key.
pub fn all() -> Providers {
    let mut all = Providers::new();
    add(&mut all, asana::Asana);
    add(&mut all, github::Github::default());
    add(&mut all, slack::Slack::default());
    all
}

fn add(all: &mut Providers, provider: impl Provider + 'static) {
    all.insert(provider.descriptor().key, Arc::new(provider));
}
