//! The sandboxed Slack through its API and its acts.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use http::{Request, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::SlackSandbox;
use crate::sandbox::{ActError, Rejection, Sandbox};

/// A call's arguments.
type Args<'a> = &'a [(&'a str, &'a str)];

const ROOT: &str = "http://127.0.0.1:4001/slack/api";

fn base() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn sandbox() -> SlackSandbox {
    SlackSandbox::seeded(1, base(), ROOT.to_owned())
}

async fn call(sandbox: &SlackSandbox, method: &str, args: &[(&str, &str)]) -> Value {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(args).finish();
    let request = Request::post(format!("/{method}"))
        .header("Authorization", "Bearer xoxb-1")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body))
        .unwrap();
    let outcome = sandbox.call(base(), request).await;
    assert_eq!(outcome.response.status(), 200);
    serde_json::from_slice(outcome.response.body()).unwrap()
}

/// All pages of a method: how many, and the items under `key`.
async fn pages(sandbox: &SlackSandbox, method: &str, args: &[(&str, &str)], key: &str) -> (usize, Vec<Value>) {
    let (mut cursor, mut count, mut items) = (String::new(), 0, Vec::new());
    loop {
        let mut args = args.to_vec();
        args.push(("cursor", &cursor));
        let page = call(sandbox, method, &args).await;
        items.extend(page[key].as_array().unwrap_or_else(|| panic!("{page}")).clone());
        count += 1;
        match page["response_metadata"]["next_cursor"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut cursor),
            _ => return (count, items),
        }
    }
}

fn act(sandbox: &SlackSandbox, action: &str, input: &Value) -> (Value, Vec<Value>) {
    let acted = sandbox.act(base(), action, input).unwrap_or_else(|error| panic!("{action}: {error}"));
    let events = acted.webhooks.iter().map(|webhook| serde_json::from_slice(&webhook.body).unwrap()).collect();
    (acted.result, events)
}

fn strings(items: &[Value], key: &str) -> Vec<String> {
    items.iter().map(|item| item[key].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn the_world_has_the_size_of_a_real_team() {
    let sandbox = sandbox();
    let users = call(&sandbox, "users.list", &[]).await["members"].as_array().unwrap().clone();
    assert!(users.iter().filter(|user| user["is_bot"] == false && user["deleted"] == false).count() >= 25);
    assert!(users.iter().any(|user| user["deleted"] == true) && users.iter().any(|user| user["is_bot"] == true));
    let types = ("types", "public_channel,private_channel,im");
    let (_, channels) = pages(&sandbox, "conversations.list", &[types], "channels").await;
    assert!(channels.iter().filter(|channel| channel["is_private"] == false).count() >= 12);
    for flag in ["is_private", "is_archived", "is_im", "is_general"] {
        assert!(channels.iter().any(|channel| channel[flag] == true), "{flag}");
    }
    let (mut messages, mut replies) = (0, 0);
    for channel in strings(&channels, "id") {
        let (_, roots) =
            pages(&sandbox, "conversations.history", &[("channel", &channel), ("limit", "999")], "messages").await;
        messages += roots.len();
        replies += roots.iter().filter_map(|root| root["reply_count"].as_u64()).sum::<u64>();
        let stamps: BTreeSet<String> = strings(&roots, "ts").into_iter().collect();
        assert_eq!(stamps.len(), roots.len(), "a ts is unique in its channel");
    }
    assert!(messages > 1_500 && replies > 1_000, "{messages} {replies}");
    assert!(messages as u64 + replies >= 3_000, "{messages} {replies}");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_world_and_another_gives_another() {
    let general = sandbox().channel_id("general").unwrap();
    let mut answers = Vec::new();
    for seed in [1, 1, 2] {
        let sandbox = SlackSandbox::seeded(seed, base(), ROOT.to_owned());
        let args = [("channel", general.as_str()), ("limit", "999")];
        answers.push((call(&sandbox, "users.list", &[]).await, call(&sandbox, "conversations.history", &args).await));
    }
    assert_eq!(answers[0], answers[1]);
    assert_ne!(answers[1], answers[2]);
}

#[tokio::test]
async fn pages_join_to_the_whole_and_keep_their_place() {
    let sandbox = sandbox();
    let general = sandbox.channel_id("general").unwrap();
    let engineering = sandbox.channel_id("engineering").unwrap();
    let table: [(&str, Args<'_>, &str, &str); 4] = [
        ("users.list", &[], "members", "5"),
        ("conversations.list", &[("exclude_archived", "true")], "channels", "4"),
        ("conversations.members", &[("channel", &general)], "members", "10"),
        ("conversations.history", &[("channel", &engineering)], "messages", "50"),
    ];
    for (method, args, key, limit) in table {
        let mut args = args.to_vec();
        args.push(("limit", "999"));
        let (count, whole) = pages(&sandbox, method, &args, key).await;
        assert_eq!(count, 1, "{method}");
        args.pop();
        args.push(("limit", limit));
        let (count, joined) = pages(&sandbox, method, &args, key).await;
        assert!(count > 2, "{method}");
        assert_eq!(joined, whole, "{method}");
    }
    let first = call(&sandbox, "conversations.history", &[("channel", &general), ("limit", "2")]).await;
    assert_eq!(first["has_more"], true);
    let cursor = first["response_metadata"]["next_cursor"].as_str().unwrap();
    let second = [("channel", general.as_str()), ("limit", "2"), ("cursor", cursor)];
    let before = call(&sandbox, "conversations.history", &second).await;
    act(&sandbox, "post_message", &json!({"channel": "general", "text": "new"}));
    assert_eq!(call(&sandbox, "conversations.history", &second).await, before);
}

#[tokio::test]
async fn history_keeps_to_its_span() {
    let sandbox = sandbox();
    let general = sandbox.channel_id("general").unwrap();
    let (_, all) = pages(&sandbox, "conversations.history", &[("channel", &general)], "messages").await;
    let stamps = strings(&all, "ts");
    let mut sorted = stamps.clone();
    sorted.sort_by(|a, b| b.cmp(a));
    assert_eq!(stamps, sorted, "newest first");
    let (newer, older) = (stamps[3].as_str(), stamps[6].as_str());
    let table: [(Args<'_>, &[String]); 4] = [
        (&[("latest", newer), ("oldest", older)], &stamps[4..6]),
        (&[("latest", newer), ("oldest", older), ("inclusive", "true")], &stamps[3..7]),
        (&[("latest", newer), ("oldest", newer), ("inclusive", "1"), ("limit", "1")], &stamps[3..4]),
        (&[("oldest", newer)], &stamps[..3]),
    ];
    for (span, expected) in table {
        let mut args = vec![("channel", general.as_str())];
        args.extend(span);
        let answer = call(&sandbox, "conversations.history", &args).await;
        assert_eq!(strings(answer["messages"].as_array().unwrap(), "ts"), expected, "{span:?}");
    }
}

#[tokio::test]
async fn a_thread_is_read_from_its_first_message_or_from_a_reply() {
    let sandbox = sandbox();
    let general = sandbox.channel_id("general").unwrap();
    let (root, _) = act(&sandbox, "post_message", &json!({"channel": "general", "text": "who?"}));
    let root = root["ts"].as_str().unwrap();
    let reply = json!({"channel": "#general", "thread_ts": root, "text": "me", "user": "@benokafor"});
    let (reply, _) = act(&sandbox, "reply", &reply);
    for ts in [root, reply["ts"].as_str().unwrap()] {
        let thread = call(&sandbox, "conversations.replies", &[("channel", &general), ("ts", ts)]).await;
        let messages = thread["messages"].as_array().unwrap();
        assert_eq!(strings(messages, "text"), ["who?", "me"]);
        assert_eq!((&messages[0]["reply_count"], &messages[0]["latest_reply"]), (&json!(1), &reply["ts"]));
        assert_eq!((&messages[1]["thread_ts"], &messages[1]["parent_user_id"]), (&json!(root), &messages[0]["user"]));
    }
    let history = call(&sandbox, "conversations.history", &[("channel", &general), ("limit", "1")]).await;
    assert_eq!(history["messages"][0]["ts"], root, "replies are not in the history");
}

#[tokio::test]
async fn mistakes_are_answered_with_ok_false() {
    let sandbox = sandbox();
    let general = sandbox.channel_id("general").unwrap();
    let here = ("channel", general.as_str());
    let (_, taken) = pages(&sandbox, "conversations.history", &[here], "messages").await;
    let foreign = taken[0]["ts"].as_str().unwrap();
    let table: [(&str, Args<'_>, &str); 18] = [
        ("conversations.info", &[("channel", "C0UNKNOWN1")], "channel_not_found"),
        ("conversations.info", &[], "invalid_arguments"),
        ("conversations.history", &[("channel", "C0UNKNOWN1")], "channel_not_found"),
        ("conversations.history", &[here, ("latest", "soon")], "invalid_ts_latest"),
        ("conversations.history", &[here, ("limit", "many")], "invalid_limit"),
        ("conversations.history", &[here, ("cursor", "????")], "invalid_cursor"),
        ("conversations.replies", &[here, ("ts", "1.000000")], "thread_not_found"),
        ("conversations.list", &[("types", "party")], "invalid_types"),
        ("users.info", &[("user", "U0UNKNOWN1")], "user_not_found"),
        ("users.lookupByEmail", &[("email", "nobody@acme.example")], "users_not_found"),
        ("bots.info", &[("bot", "B0UNKNOWN1")], "bot_not_found"),
        ("chat.postMessage", &[here], "no_text"),
        ("chat.postMessage", &[("channel", "project-atlas"), ("text", "x")], "is_archived"),
        ("chat.update", &[here, ("ts", "1.000000"), ("text", "x")], "message_not_found"),
        ("chat.update", &[here, ("ts", foreign), ("text", "x")], "cant_update_message"),
        ("chat.delete", &[here, ("ts", foreign)], "cant_delete_message"),
        ("reactions.get", &[here, ("timestamp", "1.000000")], "message_not_found"),
        ("conversations.fly", &[], "unknown_method"),
    ];
    for (method, args, error) in table {
        let answer = call(&sandbox, method, args).await;
        assert_eq!((&answer["ok"], &answer["error"]), (&json!(false), &json!(error)), "{method} {args:?}");
    }
}

#[tokio::test]
async fn a_token_travels_in_the_header_or_in_the_arguments() {
    let sandbox = sandbox();
    let form = "application/x-www-form-urlencoded";
    let table = [
        (Request::get("/auth.test"), "", json!("not_authed")),
        (Request::get("/auth.test").header("Authorization", "Bearer "), "", json!("not_authed")),
        (Request::get("/auth.test").header("authorization", "bearer x"), "", Value::Null),
        (Request::get("/auth.test?token=x"), "", Value::Null),
        (Request::post("/auth.test").header(CONTENT_TYPE, form), "token=x", Value::Null),
        (
            Request::post("/auth.test").header(CONTENT_TYPE, "application/json; charset=utf-8"),
            r#"{"token":"x"}"#,
            Value::Null,
        ),
        (Request::post("/auth.test?token=x").header(CONTENT_TYPE, "application/json"), "[]", json!("json_not_object")),
        (Request::post("/auth.test?token=x").header(CONTENT_TYPE, "application/json"), "{", json!("invalid_json")),
    ];
    for (request, body, error) in table {
        let outcome = sandbox.call(base(), request.body(Bytes::from(body)).unwrap()).await;
        let answer: Value = serde_json::from_slice(outcome.response.body()).unwrap();
        assert_eq!(answer["error"], error);
        assert!(outcome.response.headers().contains_key("x-oauth-scopes"));
        assert!(outcome.response.headers().contains_key("x-slack-req-id"));
    }
}

#[tokio::test]
async fn the_bot_writes_changes_and_takes_back() {
    let sandbox = sandbox();
    let general = sandbox.channel_id("general").unwrap();
    let here = ("channel", general.as_str());
    let posted = call(&sandbox, "chat.postMessage", &[("channel", "#general"), ("text", "beep")]).await;
    let ts = posted["ts"].as_str().unwrap();
    assert_eq!((&posted["channel"], &posted["message"]["bot_id"]), (&json!(general), &json!("B0MULLION1")));
    let updated = call(&sandbox, "chat.update", &[here, ("ts", ts), ("text", "boop")]).await;
    assert_eq!(updated["text"], "boop");
    call(&sandbox, "reactions.add", &[here, ("timestamp", ts), ("name", "tada")]).await;
    let got = call(&sandbox, "reactions.get", &[here, ("timestamp", ts)]).await;
    assert_eq!(got["message"]["reactions"], json!([{"name": "tada", "users": ["U0MULLION1"], "count": 1}]));
    let link = call(&sandbox, "chat.getPermalink", &[here, ("message_ts", ts)]).await;
    assert_eq!(link["permalink"], format!("https://acme.slack.com/archives/{general}/p{}", ts.replace('.', "")));
    assert_eq!(call(&sandbox, "chat.delete", &[here, ("ts", ts)]).await["ok"], true);
    assert_eq!(call(&sandbox, "reactions.get", &[here, ("timestamp", ts)]).await["error"], "message_not_found");
}

#[test]
fn every_act_works_with_its_example_and_tells_its_events() {
    let sandbox = sandbox();
    sandbox.add_webhook("http://a/hook", "test-secret");
    let expected = [
        "message",
        "message",
        "message/message_changed",
        "message/message_deleted",
        "reaction_added",
        "reaction_removed",
        "channel_created",
        "channel_rename message/channel_name",
        "channel_archive message/channel_archive",
        "message/channel_topic",
        "user_change",
        "member_joined_channel message/group_join",
        "url_verification",
        "",
        "",
    ];
    let acts = sandbox.acts();
    assert_eq!(acts.len(), expected.len());
    let mut ids = BTreeSet::new();
    for ((action, input), expected) in acts.into_iter().zip(expected) {
        let (_, events) = act(&sandbox, action, &input);
        let mut kinds = Vec::new();
        for event in &events {
            if event["type"] == "url_verification" {
                kinds.push("url_verification".to_owned());
                continue;
            }
            assert!(ids.insert(event["event_id"].to_string()), "event ids differ");
            assert_eq!((&event["type"], &event["event_time"]), (&json!("event_callback"), &json!(1_700_000_000)));
            assert!(event["event"]["event_ts"].is_string());
            let kind = event["event"]["type"].as_str().unwrap();
            let subtype = event["event"]["subtype"].as_str().map(|subtype| format!("/{subtype}"));
            kinds.push(format!("{kind}{}", subtype.unwrap_or_default()));
        }
        assert_eq!(kinds.join(" "), expected, "{action}");
    }
}

#[test]
fn webhooks_go_to_every_subscription_and_carry_the_time_of_the_act() {
    let sandbox = sandbox();
    sandbox.add_webhook("http://a/1", "one");
    sandbox.add_webhook("http://a/2", "two");
    let acted = sandbox.act(base(), "post_message", &json!({"channel": "general", "text": "hi"})).unwrap();
    let urls: Vec<&str> = acted.webhooks.iter().map(|webhook| webhook.url.as_str()).collect();
    assert_eq!(urls, ["http://a/1", "http://a/2"]);
    assert_ne!(acted.webhooks[0].headers["x-slack-signature"], acted.webhooks[1].headers["x-slack-signature"]);
    for webhook in &acted.webhooks {
        assert_eq!(webhook.headers["x-slack-request-timestamp"], "1700000000");
        assert_eq!(webhook.headers["content-type"], "application/json");
    }
    assert_eq!(acted.result["ts"], "1700000000.000000");
    let next = sandbox.act(base(), "post_message", &json!({"channel": "general", "text": "hi"})).unwrap();
    assert_eq!(next.result["ts"], "1700000000.000001", "a ts is unique in its channel");
}

#[test]
fn bad_acts_are_refused_by_field_and_change_nothing() {
    let sandbox = sandbox();
    sandbox.add_webhook("http://a/hook", "s");
    let table = [
        ("post_message", json!({"text": "x"}), "`channel`"),
        ("post_message", json!({"channel": "nowhere", "text": "x"}), "nowhere"),
        ("post_message", json!({"channel": "general"}), "`text`"),
        ("post_message", json!({"channel": "general", "text": " "}), "`text`"),
        ("post_message", json!({"channel": 7, "text": "x"}), "`channel`"),
        ("post_message", json!({"channel": "general", "txt": "x"}), "`txt`"),
        ("post_message", json!({"channel": "general", "text": "x", "user": "nobody"}), "nobody"),
        ("post_message", json!({"channel": "project-atlas", "text": "x"}), "archived"),
        ("reply", json!({"channel": "general", "text": "x", "thread_ts": "yesterday"}), "`thread_ts`"),
        ("edit_message", json!({"channel": "general", "text": "x", "ts": "1.0"}), "1.0"),
        ("add_reaction", json!({"channel": "general", "reaction": "Über"}), "`reaction`"),
        ("remove_reaction", json!({"channel": "general", "reaction": "nose"}), "has not reacted"),
        ("create_channel", json!({"name": "general"}), "taken"),
        ("create_channel", json!({"name": "Big News"}), "`name`"),
        ("change_user", json!({"user": "gracelin", "deleted": "yes"}), "`deleted`"),
        ("dance", json!({}), "dance"),
    ];
    for (action, input, part) in table {
        let error = sandbox.act(base(), action, &input).unwrap_err();
        assert!(error.to_string().contains(part), "{action} {input}: {error}");
    }
    let (_, events) = act(&sandbox, "post_message", &json!({"channel": "general", "text": "x"}));
    assert_eq!(events.len(), 1, "nothing of a refused act is left over");
}

#[test]
fn a_day_of_gentle_traffic_is_valid_and_the_same_again() {
    let worlds = [sandbox(), sandbox()];
    let (mut fitting, mut now) = (0, base());
    for n in 0..400 {
        now += Duration::seconds(4);
        let (action, input) = worlds[0].gentle(n);
        assert_eq!(worlds[1].gentle(n), (action, input.clone()));
        let acted: Vec<Result<Value, String>> = worlds
            .iter()
            .map(|world| world.act(now, action, &input).map(|acted| acted.result).map_err(|error| error.to_string()))
            .collect();
        assert_eq!(acted[0], acted[1]);
        match &acted[0] {
            Ok(_) => fitting += 1,
            Err(error) => assert!(error.contains("reacted"), "{action} {input}: {error}"),
        }
    }
    assert!(fitting > 380, "{fitting}");
}

#[test]
fn refusals_are_those_of_slack() {
    let sandbox = sandbox();
    let request = Request::get("/users.list").body(Bytes::new()).unwrap();
    let limited = sandbox.rejection(base(), &request, Rejection::RateLimited { retry_after: 7 });
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(limited.body(), r#"{"ok":false,"error":"ratelimited"}"#);
    let unauthorized = sandbox.rejection(base(), &request, Rejection::Unauthorized);
    assert_eq!(
        (unauthorized.status().as_u16(), &unauthorized.body()[..]),
        (200, &br#"{"ok":false,"error":"invalid_auth"}"#[..])
    );
    assert!(matches!(sandbox.act(base(), "dance", &json!({})), Err(ActError::Unknown(_))));
}
