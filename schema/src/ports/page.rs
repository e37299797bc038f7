//! Pages and changes, as every port takes and gives them.

use super::nodes::Position;
use crate::fields::FieldSet;

/// A page of our own rows.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows in order, each with the position that its cursor carries.
    pub items: Vec<(Position, T)>,
    /// Whether more follow.
    pub has_next: bool,
    /// How many there are in all, where that is cheap to know.
    pub total: Option<i64>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), has_next: false, total: None }
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageRequest {
    /// 1 to 100, checked.
    pub first: usize,
    /// After which position.
    pub after: Option<Position>,
    /// Fields selected on the items; empty for our own rows and where only the count or the state is wanted.
    pub fields: FieldSet,
    /// Whether `totalCount` is selected: where no provider tells it, everything has to be read and counted.
    pub total: bool,
}

/// A change of a value that may be empty: absent in the input, null, or a new value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Leave it.
    #[default]
    Keep,
    /// Empty it.
    Clear,
    /// Put this there.
    Set(T),
}
