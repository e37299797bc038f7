//! The items that one subscriber has not taken yet.

use std::collections::VecDeque;

use super::{End, Item};

/// The items that wait for a subscriber to take them. The first is kept apart, not on the heap: there is rarely another.
#[derive(Default)]
pub(super) struct Queue {
    first: Option<Result<Item, End>>,
    others: VecDeque<Result<Item, End>>,
}

impl Queue {
    pub(super) fn push(&mut self, item: Result<Item, End>) {
        match self.first {
            None => self.first = Some(item),
            Some(_) => self.others.push_back(item),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn pop(&mut self) -> Option<Result<Item, End>> {
        let first = self.first.take()?;
        self.first = self.others.pop_front();
        if self.others.is_empty() {
            // Given back: a subscriber waits far longer than it is told something.
            self.others = VecDeque::new();
        }
        Some(first)
    }
}
