//! Lists some items of which the token may not read: what there is is shown, the failure says that some are missing, and nothing is
//! read again for it.

use std::sync::Arc;

use chrono::Duration;
use mullion_schema::{
    error::ErrorCode,
    ports::{Filter, List, ListPage, ListQuery, Nodes as _},
};
use serde_json::json;

use super::bench::{World, issue};
use crate::{
    clock::Clock as _,
    provider::{FetchWant, Fetched, FetchedPage, NodeRef},
    upstream::{UpstreamError, UpstreamErrorKind as Kind},
};

impl World {
    /// The provider has four issues in pages of two, of which the last of one page is withheld.
    fn withholds(&self, withheld: usize) {
        let now = self.store.clock.now();
        self.upstream.answer(move |want| {
            let FetchWant::Page(want) = want else { panic!("{want:?} is no page") };
            let number = usize::from(want.cursor.is_some());
            let has_gap = number == withheld;
            let places = number * 2..(number * 2 + if has_gap { 1 } else { 2 });
            let at = |place: usize| now - Duration::minutes(i64::try_from(place).unwrap());
            let page = FetchedPage {
                want: want.clone(),
                items: places.clone().map(|place| NodeRef::new("GithubIssue", format!("I{place}"))).collect(),
                next: (number == 0).then(|| "2".to_owned()),
                total: Some(4),
            };
            let writes = places.map(|place| issue("R1", &format!("I{place}"), at(place), json!({}))).collect();
            let refused = has_gap.then(|| UpstreamError::new(Kind::Forbidden, "SAML"));
            Ok(Fetched { writes, pages: vec![page], refused, ..Fetched::default() })
        });
    }

    async fn all_issues(&self) -> ListPage {
        let list = List {
            integration: self.account.clone(),
            parent: Some(("GithubRepository", Arc::from("R1"))),
            name: "issues",
            filter: Filter::new(),
        };
        let query = ListQuery { list, first: 50, after: None, fields: ["title"].into_iter().collect() };
        self.session().list(query).await.unwrap()
    }
}

#[tokio::test]
async fn a_list_with_withheld_items_shows_the_others_and_says_that_some_are_missing() {
    for (withheld, expected) in [(0, vec!["I0", "I2", "I3"]), (1, vec!["I0", "I1", "I2"])] {
        let world = World::new().await;
        world.withholds(withheld);
        for _ in 0..3 {
            let page = world.all_issues().await;
            let ids: Vec<&str> = page.items.iter().map(|(_, view)| view.key.native_id.as_ref()).collect();
            assert_eq!((ids, page.has_next, page.total), (expected.clone(), false, Some(4)));
            let failure = page.failure.expect("a failure");
            assert_eq!(failure.code, ErrorCode::ProviderError);
            assert!(failure.message.contains("some items"), "{}", failure.message);
        }
        assert_eq!(world.upstream.batches().len(), 2, "what was read is not read again");
        // The token may read them now.
        world.withholds(9);
        world.grow_old();
        let page = world.all_issues().await;
        assert_eq!((page.items.len(), page.total, page.failure.is_none()), (4, Some(4), true));
    }
}
