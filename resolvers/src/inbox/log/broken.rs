//! Rules that panic while a delivery is applied, for the tests of the log.

use mullion_schema::{ports::Filter, view::Body};

use crate::{
    provider::{CopiedFields, Count, Keeping, ListRef, NodeRef, sentence::SentenceParts},
    store::apply::Rules,
};

/// Rules that break off.
pub(super) struct Broken;

impl Rules for Broken {
    fn copied(&self) -> &'static [CopiedFields] {
        &[]
    }

    fn memberships(&self, _: &NodeRef, _: &Body) -> Vec<(ListRef, String)> {
        panic!("on purpose")
    }

    fn matches(&self, _: &ListRef, _: &Filter, _: &Body) -> bool {
        false
    }

    fn keeping(&self, _: &ListRef) -> Keeping {
        Keeping::Window
    }

    fn type_name(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn filter_name(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn counts(&self) -> &'static [Count] {
        &[]
    }

    fn is_container(&self, _: &str) -> bool {
        false
    }

    fn sentence(&self, _: &SentenceParts<'_>) -> String {
        String::new()
    }

    fn names_come_later(&self) -> bool {
        false
    }
}
