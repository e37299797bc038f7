//! How long lists may be, both those that a client sends and those that it asks for.

/// The number of values that a list in an input may have.
pub const MAX_ITEMS: usize = 100;
/// The number of items on a page where `first` is left out.
pub const DEFAULT_FIRST: usize = 20;
/// The largest value of `first`.
pub const MAX_FIRST: i32 = 100;
