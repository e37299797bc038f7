//! The one list of providers: a `mod` line and an entry each.

pub mod asana;
pub mod github;
pub mod slack;

use std::sync::Arc;

use crate::{answers::Providers, provider::Provider};

/// All providers of this build, by key.
pub fn all() -> Providers {
    let list: Vec<Arc<dyn Provider>> =
        vec![Arc::new(asana::Asana), Arc::new(github::Github::default()), Arc::new(slack::Slack::default())];
    list.into_iter().map(|provider| (provider.descriptor().key, provider)).collect()
}
