//! The lists under which the results of look-ups are kept: a look-up is a list of at most one node.

use std::collections::HashMap;

use mullion_schema::ports::{List, Lookup};

use crate::provider::{FetchedPage, LOOKUPS, ListRef, NodeRef, PageWant};

/// The list under which a look-up's answer is kept.
pub(super) fn lookup_list(lookup: &Lookup) -> List {
    let mut filter: HashMap<&'static str, Vec<String>> =
        lookup.arguments.iter().map(|(name, value)| (*name, vec![value.to_lowercase()])).collect();
    filter.insert("lookup", vec![lookup.name.to_owned()]);
    List { integration: lookup.integration.clone(), parent: None, name: LOOKUPS, filter: filter.into_iter().collect() }
}

/// The result of a look-up, as a page of that list: finding nothing is an answer too.
pub(crate) fn lookup_page(lookup: &Lookup, found: Option<NodeRef>) -> FetchedPage {
    let list = ListRef { parent: None, name: LOOKUPS };
    let total = i64::from(found.is_some());
    FetchedPage {
        want: PageWant { list, filter: lookup_list(lookup).filter, cursor: None },
        items: found.into_iter().collect(),
        next: None,
        total: Some(total),
    }
}
