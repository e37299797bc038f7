//! Webhooks set up and taken down, and who a token belongs to.

use serde_json::json;

use super::fake::Fake;
use crate::{
    provider::{NodeRef, Provider as _},
    providers::github::Github,
    upstream::UpstreamErrorKind,
};

#[tokio::test]
async fn a_token_tells_its_user_and_scopes() {
    let (_, connection) = Fake::answering(|_, _| {
        let user = json!({"login": "ann", "node_id": "U_1", "type": "User"});
        (200, vec![("x-oauth-scopes", "repo, read:user"), ("x-ratelimit-remaining", "9")], user)
    });
    let account = Github::default().identify(&connection).await.expect("an account");
    assert_eq!((account.name.as_str(), account.scopes), ("ann", vec!["repo".to_owned(), "read:user".to_owned()]));
    assert_eq!(account.user, Some(NodeRef::new("GithubUser", "U_1")));
    let (_, connection) = Fake::answering(|_, _| (401, vec![], json!({"message": "Bad credentials"})));
    let error = Github::default().identify(&connection).await.expect_err("refused");
    assert_eq!(error.kind, UpstreamErrorKind::AuthExpired);
}

#[tokio::test]
async fn a_webhook_is_created_or_renewed_and_deleted() {
    let (fake, connection) = Fake::answering(|request, _| match (request.method.as_str(), request.url.path()) {
        ("POST", "/graphql") => (
            200,
            vec![],
            json!({"data": {"a0": [{"__typename": "Repository", "id": "R_1", "nameWithOwner": "acme/web"}]}}),
        ),
        ("POST", _) => (422, vec![], json!({"message": "Hook already exists on this repository"})),
        ("GET", _) => (200, vec![], json!([{"id": 5, "config": {"url": "https://m.example/webhooks/github/e"}}])),
        ("PATCH", _) => (200, vec![], json!({"id": 5})),
        _ => (404, vec![], json!({"message": "Not Found"})),
    });
    let target = "https://m.example/webhooks/github/e".parse().expect("a URL");
    let (github, repository) = (Github::default(), NodeRef::new("GithubRepository", "R_1"));
    let registered = github.register_webhook(&connection, &repository, &target, &"s3cret".into()).await;
    let registered = registered.expect("supported").expect("registered");
    assert_eq!(registered.external_id, "acme/web/5");
    github.unregister_webhook(&connection, &registered.external_id).await.expect("gone is as good");
    assert_eq!(
        fake.lines(),
        [
            "POST /graphql",
            "POST /repos/acme/web/hooks",
            "GET /repos/acme/web/hooks?per_page=100",
            "PATCH /repos/acme/web/hooks/5",
            "DELETE /repos/acme/web/hooks/5",
        ]
    );
    let sent = fake.requests.lock()[1].1.clone();
    assert_eq!(sent["config"]["secret"], "s3cret");
    assert_eq!(sent["config"]["content_type"], "json");
}
