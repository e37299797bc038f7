//! Persisted queries over a WebSocket.

use serde_json::{Value, json};

use super::Client;
use crate::{fake::Gateway, operation::persisted::DocumentHash};

#[tokio::test]
async fn a_document_is_found_by_its_hash_here_too() {
    let gateway = Gateway::start(|_| {}).await;
    let mut client = Client::ready(&gateway).await;
    for (text, answers) in [
        ("subscription{count}", &[r#"{"data":{"count":1}}"#, r#"{"data":{"count":2}}"#, r#"{"data":{"count":3}}"#][..]),
        ("{hello}", &[r#"{"data":{"hello":"hello "}}"#]),
    ] {
        let extensions =
            json!({ "persistedQuery": { "version": 1, "sha256Hash": DocumentHash::of(text).to_string() } });
        let by_hash = json!({ "extensions": extensions });
        let with_text = json!({ "query": text, "extensions": extensions });
        let ask = |payload: &Value| json!({ "type": "subscribe", "id": "1", "payload": payload }).to_string();
        client.send(&ask(&by_hash)).await;
        let refused = client.next().await;
        assert!(refused.contains(r#""message":"PersistedQueryNotFound""#), "{text}: {refused}");
        for payload in [&with_text, &by_hash] {
            client.send(&ask(payload)).await;
            for answer in answers {
                client.expect(&format!(r#"{{"id":"1","type":"next","payload":{answer}}}"#)).await;
            }
            client.expect(r#"{"id":"1","type":"complete"}"#).await;
        }
    }
}
