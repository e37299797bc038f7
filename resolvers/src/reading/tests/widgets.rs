//! What widgets say of themselves: who is missing, and where there is nothing to read.

use mullion_schema::{
    enums::WidgetState,
    error::ErrorCode,
    ports::{Filter, PageRequest, Work as _},
};
use serde_json::json;

use super::{
    bench::{World, all_of, issue, issues_of},
    missing::of_repository,
};
use crate::{clock::Clock as _, provider::NodeRef, upstream::UpstreamErrorKind as Kind};

#[tokio::test]
async fn a_widget_that_shows_somebody_who_cannot_be_loaded_says_so() {
    let world = World::new().await;
    let item = NodeRef::new("GithubIssue", "I1");
    let write = issue("R1", "I1", world.store.clock.now(), json!({ "author": "GithubUser:U1" }));
    world.fetched(vec![write], vec![all_of(issues_of("R1"), Filter::new(), vec![item])]).await;
    let page =
        |fields: &[&str]| PageRequest { first: 9, fields: fields.iter().copied().collect(), ..PageRequest::default() };
    let load = async |fields: &[&str]| world.session().work_items(&of_repository(&world), page(fields)).await.unwrap();
    for (kind, code, state) in [
        (Kind::Down, ErrorCode::ProviderUnavailable, WidgetState::Stale),
        (Kind::AuthExpired, ErrorCode::ProviderAuthExpired, WidgetState::Reconnect),
    ] {
        world.upstream.fail(kind);
        let shown = load(&["title", "author"]).await;
        assert_eq!((shown.value.items.len(), shown.state), (1, state), "{kind:?}");
        assert_eq!(shown.problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [code]);
        assert_eq!(load(&["title"]).await.state, WidgetState::Ready, "nobody is shown");
    }
    // That there is no such person is an answer.
    world.knows_nothing();
    let shown = load(&["title", "author"]).await;
    assert_eq!((shown.state, shown.problems.len()), (WidgetState::Ready, 0));
}
