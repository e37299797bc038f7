//! Changes: written to the store in one transaction, then announced to this process and to the others.

mod announcer;
mod applier;
pub mod follower;

pub use self::{announcer::Announcer, applier::Applier};
