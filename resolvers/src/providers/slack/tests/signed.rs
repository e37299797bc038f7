//! The adapter accepts all that the sandbox sends, and its view of it is what the API would answer.

use serde_json::{Value, json};

use super::fake::{Fake, base};
use crate::{
    provider::{
        EndpointSecrets, Provider as _, Reception, StoredDelivery, WebhookRequest,
        change::{Change, Interpretation, NodeWrite},
        sentence::{Names, SentenceParts},
    },
    providers::slack::Slack,
    sandbox::Sandbox as _,
    upstream::Connection,
};

fn acted(fake: &Fake, action: &str, input: &Value) -> Vec<Change> {
    fake.later(1);
    let now = crate::clock::Clock::now(&fake.clock);
    let acted = fake.sandbox.act(now, action, input).expect("the act");
    let endpoint = EndpointSecrets { secrets: vec!["s3".into()], handshake_pending: false };
    let mut changes = Vec::new();
    for webhook in acted.webhooks {
        let request = WebhookRequest { headers: webhook.headers, body: webhook.body, received_at: now };
        let Reception::Delivery(delivery) = Slack::default().receive(&request, &endpoint) else { panic!("{action}") };
        assert!(delivery.delivery_id.is_some());
        let stored = StoredDelivery {
            event: delivery.event,
            headers: http::HeaderMap::new(),
            document: delivery.document,
            received_at: now,
        };
        match Slack::default().interpret(&stored) {
            Interpretation::Changes(more) => changes.extend(more),
            Interpretation::Ignored(reason) => panic!("{action}: {reason}"),
        }
    }
    changes
}

async fn fetched(api: &Connection, write: &NodeWrite) -> NodeWrite {
    let want = crate::provider::FetchWant::Node { node: write.node.clone(), asks: std::collections::BTreeSet::new() };
    let mut answers = Slack::default().fetch(api, vec![want]).await;
    let fetched = answers.remove(0).expect("an answer");
    fetched.writes.into_iter().rev().find(|known| known.node == write.node).expect("the node")
}

#[tokio::test]
async fn every_act_of_the_sandbox_changes_something_and_agrees_with_the_api() {
    let (fake, api) = Fake::new();
    fake.sandbox.add_webhook("http://127.0.0.1/hook", "s3");
    assert_eq!(base(), crate::clock::Clock::now(&fake.clock));
    for (action, input) in fake.sandbox.acts() {
        // These acts concern the ways that events take.
        if matches!(action, "verify_url" | "disconnect_sockets" | "lose_acknowledgements") {
            continue;
        }
        let changes = acted(&fake, action, &input);
        assert!(!changes.is_empty() && changes.iter().any(|change| change.activity.is_some()), "{action}");
        fake.later(1);
        for write in changes.iter().flat_map(|change| &change.writes).filter(|write| write.deleted.is_none()) {
            let known = fetched(&api, write).await;
            for aspect in &write.aspects {
                let other = known.aspects.iter().find(|other| other.name == aspect.name).expect("the aspect");
                for (key, value) in aspect.fields.iter().filter(|(key, _)| !matches!(key.as_str(), "url" | "updatedAt"))
                {
                    assert_eq!(Some(value), other.fields.get(key), "{action}: {key} of {}", write.node);
                }
            }
        }
    }
    let changes = acted(&fake, "post_message", &json!({ "channel": "general", "text": "Hello", "user": "gracelin" }));
    let activity = changes[0].activity.as_ref().expect("an activity");
    let sentence = SentenceParts::worded(&Slack::default(), activity, &Names::default());
    assert_eq!((activity.kind.as_str(), sentence.as_str()), ("message", "Somebody wrote in a channel: ‘Hello’"));
    assert_eq!(activity.subject.as_ref(), Some(&changes[0].writes[0].node));
}
