//! The engine: answers reads from caches, store and providers, in that order, and records what each answer was read from.

mod apply;
pub mod directory;
mod failure;
mod fetcher;
pub mod integrations;
mod read_lists;
mod read_nodes;
mod scope;
pub mod session;
mod shelf;
mod work;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

pub use self::{apply::Applier, scope::Scope, shelf::Shelf};
use self::{directory::Directory, fetcher::Fetcher};
use crate::clock::Clock;

/// Everything that reads and writes of the providers' nodes go through.
pub struct Engine {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: TaskTracker,
}
