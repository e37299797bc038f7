//! Failing fields: present, null, in the order of the selection, bubbling as far as their type says, with the error at the
//! path of the field that failed.

use std::sync::Arc;

use serde_json::json;

use crate::fake::{Fake, run_as};

struct Case {
    name: &'static str,
    fails: &'static str,
    document: &'static str,
    data: &'static str,
    path: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "a nullable field between others",
        fails: "GithubUser:U1",
        document: "{ github { repository(owner: \"acme\", name: \"web\") { name owner { login } isPrivate } } }",
        data: r#"{"github":{"repository":{"name":"web","owner":null,"isPrivate":false}}}"#,
        path: r#"["github","repository","owner"]"#,
    },
    Case {
        name: "a list of a node",
        fails: "list issues",
        document: "{ a: viewer { name } github { repository(owner: \"a\", name: \"b\") { issues { nodes { title } } name } } }",
        data: r#"{"a":{"name":"Key"},"github":{"repository":{"issues":null,"name":"web"}}}"#,
        path: r#"["github","repository","issues"]"#,
    },
    Case {
        name: "people of an item in a list keep their path",
        fails: "GithubUser:U1",
        document: "{ github { repository(owner: \"a\", name: \"b\") { issues { nodes { number assignees { displayName } title } } } } }",
        data: r#"{"github":{"repository":{"issues":{"nodes":[{"number":12,"assignees":null,"title":"Broken"}]}}}}"#,
        path: r#"["github","repository","issues","nodes",0,"assignees"]"#,
    },
    Case {
        name: "a non-null field of a nullable one",
        fails: "integration gh",
        document: "{ viewer { name } github { repository(owner: \"a\", name: \"b\") { name integration { name } } id } }",
        data: r#"{"viewer":{"name":"Key"},"github":{"repository":null,"id":"bwpHaXRodWIKZ2g"}}"#,
        path: r#"["github","repository","integration"]"#,
    },
    Case {
        name: "a non-null field in a list bubbles through it and keeps its path",
        fails: "feeding",
        document: "{ viewer { name } dashboard(slug: \"team\") { name widgets { title stage } } }",
        data: r#"{"viewer":{"name":"Key"},"dashboard":null}"#,
        path: r#"["dashboard","widgets",0,"stage"]"#,
    },
    Case {
        name: "a non-null field of the root",
        fails: "head",
        document: "{ viewer { name } eventCursor }",
        data: "null",
        path: r#"["eventCursor"]"#,
    },
    Case {
        name: "one widget's data, while the widget says so",
        fails: "builds",
        document: "{ dashboard(slug: \"team\") { widgets { title state ... on BuildsWidget { builds { totalCount } } ... on WorkItemsWidget { items { totalCount } } } } }",
        data: r#"{"dashboard":{"widgets":[{"title":"Widget 0","state":"READY","items":{"totalCount":2}},{"title":"Widget 1","state":"FAILED","builds":null}]}}"#,
        path: r#"["dashboard","widgets",1,"builds"]"#,
    },
    Case {
        name: "one node of several",
        fails: "GithubIssue:I1",
        document: "{ nodes(ids: [\"bgpHaXRodWJJc3N1ZQpnaApJMQ\", \"bgpHaXRodWJVc2VyCmdoClUx\", \"bwpEYXNoYm9hcmQKeA\"]) { id __typename } }",
        data: r#"{"nodes":[null,{"id":"bgpHaXRodWJVc2VyCmdoClUx","__typename":"GithubUser"},null]}"#,
        path: r#"["nodes",0]"#,
    },
    Case {
        name: "an interface's field, with an alias and a condition",
        fails: "GithubUser:U1",
        document: "{ workItems { nodes { key who: assignees @include(if: true) { handle } left: title @skip(if: true) title } } }",
        data: r#"{"workItems":{"nodes":[{"key":"acme/web#12","who":null,"title":"Broken"},{"key":"T1","who":[],"title":"Write it"}]}}"#,
        path: r#"["workItems","nodes",0,"who"]"#,
    },
    Case {
        name: "the rest of a list, beside what is known of it",
        fails: "rest of issues",
        document: "{ github { repository(owner: \"a\", name: \"b\") { all: issues { nodes { title } pageInfo { hasNextPage } } name } } }",
        data: r#"{"github":{"repository":{"all":{"nodes":[{"title":"Broken"}],"pageInfo":{"hasNextPage":true}},"name":"web"}}}"#,
        path: r#"["github","repository","all"]"#,
    },
    Case {
        name: "a field that could not be fetched, beside others that are known",
        fails: "fields of GithubRepository:R1",
        document: "{ github { repository(owner: \"a\", name: \"b\") { name openIssueCount stargazerCount } } }",
        data: r#"{"github":{"repository":{"name":"web","openIssueCount":null,"stargazerCount":7}}}"#,
        path: r#"["github","repository","openIssueCount"]"#,
    },
    Case {
        name: "a node that it is not known of whether there is one",
        fails: "fields of GithubRepository:R1",
        document: "{ github { repository(owner: \"a\", name: \"b\") { name latestRelease { tagName } owner { login } } } }",
        data: r#"{"github":{"repository":{"name":"web","latestRelease":null,"owner":{"login":"ada"}}}}"#,
        path: r#"["github","repository","latestRelease"]"#,
    },
];

#[test]
fn failing_fields_are_null_in_their_place_with_an_error_at_their_path() {
    for case in CASES {
        let fake = Arc::new(Fake::new().failing(case.fails));
        let response = run_as(&fake, mullion_schema::ports::Role::Admin, case.document, json!({}));
        let data = serde_json::to_string(&response.data).expect("JSON");
        let errors = serde_json::to_value(&response.errors).expect("JSON");
        assert_eq!(data, case.data, "{}: {errors}", case.name);
        assert_eq!(response.errors.len(), 1, "{}: {errors}", case.name);
        assert_eq!(errors[0]["path"].to_string(), case.path, "{}", case.name);
        let extensions = &errors[0]["extensions"];
        assert_eq!(extensions["code"], "PROVIDER_UNAVAILABLE", "{}", case.name);
        assert_eq!(extensions["retryAfter"], 30, "{}", case.name);
        assert_eq!(extensions["integrationId"], crate::fake::own_id("Integration", "gh"), "{}", case.name);
    }
}

#[test]
fn a_body_that_lacks_what_a_non_null_field_needs_nulls_the_node_and_not_more() {
    let mut fake = Fake::new();
    if let Some(body) = fake.nodes.get_mut("GithubUser:U1").and_then(serde_json::Value::as_object_mut) {
        body.remove("kind");
    }
    let fake = Arc::new(fake);
    let document = "{ github { repository(owner: \"a\", name: \"b\") { name owner { login kind } } } }";
    let response = run_as(&fake, mullion_schema::ports::Role::Viewer, document, json!({}));
    let data = serde_json::to_string(&response.data).expect("JSON");
    assert_eq!(data, r#"{"github":{"repository":{"name":"web","owner":null}}}"#);
    let errors = serde_json::to_value(&response.errors).expect("JSON");
    assert_eq!(errors[0]["path"], json!(["github", "repository", "owner", "kind"]));
    assert_eq!(errors[0]["extensions"]["code"], "PROVIDER_ERROR");
}
