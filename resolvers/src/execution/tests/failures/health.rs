//! An integration's word on its calls: how it does, and how much of its quotas it used.

use chrono::Duration as Span;
use serde_json::{Value, json};

use super::world::{Account, World};

/// Anything that makes a call.
const ASKING: &str = r#"repository(owner: "acme", name: "web") { name }"#;

async fn state(world: &World, account: &Account) -> Value {
    let answer = world.ask(account, "integration { status health { state } }").await;
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
    let integration = &answer.data["integration"];
    json!([integration["status"], integration["health"]["state"]])
}

#[tokio::test]
async fn an_integration_is_not_healthy_while_its_calls_fail() {
    let world = World::new("github").await;
    for (fault, expected) in [
        (json!({ "kind": "bad_gateway" }), json!(["CONNECTED", "DOWN"])),
        (json!({ "kind": "error", "code": "SOMETHING_WENT_WRONG" }), json!(["CONNECTED", "DOWN"])),
        (json!({ "kind": "rate_limit" }), json!(["CONNECTED", "DEGRADED"])),
        (json!({ "kind": "unauthorized" }), json!(["NEEDS_RECONNECT", "DOWN"])),
    ] {
        let account = world.account().await;
        world.ask(&account, "viewer { login }").await;
        assert_eq!(state(&world, &account).await, json!(["CONNECTED", "HEALTHY"]), "before {fault}");
        let mut input = fault.clone();
        input["provider"] = "github".into();
        world.control("POST", input).await;
        world.ask(&account, ASKING).await;
        assert_eq!(state(&world, &account).await, expected, "{fault}");
        world.heal().await;
        world.ask(&account, ASKING).await;
        let [status, after] = [0_usize, 1].map(|at| expected[at].clone());
        let now = state(&world, &account).await;
        assert_eq!(now[0], "CONNECTED", "{status} after {fault}");
        assert!(now[1] == "DEGRADED" || now[1] == "HEALTHY", "{after} before, {now} after {fault}");
    }
}

/// The quota of GraphQL calls: used today, and used in all as far as the provider's own numbers go.
async fn used(world: &World, account: &Account) -> Option<(i64, i64)> {
    let answer = world.ask(account, "integration { quota { name limit remaining usedToday } }").await;
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
    let quotas = answer.data["integration"]["quota"].as_array().cloned().unwrap();
    let quota = quotas.into_iter().find(|quota| quota["name"] == "graphql")?;
    let number = |name: &str| quota[name].as_i64().unwrap_or_default();
    Some((number("usedToday"), number("limit") - number("remaining")))
}

#[tokio::test]
async fn the_use_of_a_quota_is_counted_for_each_integration_and_day() {
    let world = World::new("github").await;
    let (one, other) = (world.account().await, world.account().await);
    for selection in [ASKING, "viewer { login }"] {
        world.ask(&one, selection).await;
    }
    world.ask(&other, ASKING).await;
    let (by_one, _) = used(&world, &one).await.unwrap();
    let (by_other, by_all) = used(&world, &other).await.unwrap();
    assert!(by_one > by_other && by_other > 0, "{by_one} and {by_other}");
    assert_eq!(by_one + by_other, by_all, "the stand-in counts them together");
    world.store.clock.advance(Span::days(1));
    assert_eq!(used(&world, &one).await.map(|(today, _)| today), Some(0));
}
