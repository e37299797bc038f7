//! Registration with its handshake, and deliveries from the sandbox to their meaning.

use futures::executor::block_on;
use serde_json::json;

use super::world::{base, world};
use crate::{
    provider::{
        EndpointSecrets, NodeRef, Provider as _, Reception, StoredDelivery, WebhookRequest, change::Interpretation,
    },
    providers::asana::{Asana, names},
    sandbox::{OutgoingWebhook, Sandbox as _},
    secret::Secret,
    upstream::UpstreamErrorKind,
};

const TARGET: &str = "https://mullion.example/webhooks/asana/one";

fn received(sent: &OutgoingWebhook, endpoint: &EndpointSecrets) -> Reception {
    let request = WebhookRequest { headers: sent.headers.clone(), body: sent.body.clone(), received_at: base() };
    Asana.receive(&request, endpoint)
}

#[test]
fn a_registration_takes_the_secret_and_its_deliveries_verify_with_it() {
    let world = world();
    let (project, tasks) = world.project();
    let target = TARGET.parse().expect("a URL");
    let project = NodeRef::new(names::PROJECT, project);
    let registered = block_on(Asana.register_webhook(&world.api, &project, &target, &Secret::from("unused")));
    let registered = registered.expect("possible").expect("a webhook");
    let shown = world.transport.webhooks.lock().remove(0);
    let pending = EndpointSecrets { secrets: Vec::new(), handshake_pending: true };
    let Reception::Handshake { secret, headers } = received(&shown, &pending) else { panic!("no handshake") };
    assert_eq!(headers.get("x-hook-secret"), shown.headers.get("x-hook-secret"));
    let endpoint = EndpointSecrets { secrets: vec![secret], handshake_pending: false };
    let sent = world.act("complete_task", &json!({"task": tasks[0]}));
    let open = sent.is_empty();
    let sent = if open { world.act("reopen_task", &json!({"task": tasks[0]})) } else { sent };
    assert_eq!(sent.len(), 1);
    let Reception::Delivery(delivery) = received(&sent[0], &endpoint) else { panic!("not verified") };
    assert_eq!((delivery.event.as_str(), &delivery.delivery_id), ("task.changed", &None));
    let stored = StoredDelivery {
        event: delivery.event,
        headers: http::HeaderMap::new(),
        document: delivery.document,
        received_at: base(),
    };
    let Interpretation::Changes(changes) = Asana.interpret(&stored) else { panic!("ignored") };
    // Notes that Asana makes by itself are filtered out at Asana.
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].stale, [NodeRef::new(names::TASK, tasks[0].as_str())]);
    let gone = || block_on(Asana.unregister_webhook(&world.api, &registered.external_id));
    assert!(gone().is_ok() && gone().is_ok(), "one that is gone already is as good");
    assert!(world.act("rename_task", &json!({"task": tasks[0], "name": "x"})).is_empty());
}

#[test]
fn only_projects_have_webhooks_and_ids_are_asana_s() {
    let world = world();
    let target = TARGET.parse().expect("a URL");
    let task = NodeRef::new(names::TASK, "1");
    assert!(block_on(Asana.register_webhook(&world.api, &task, &target, &Secret::from("x"))).is_none());
    let error = block_on(Asana.unregister_webhook(&world.api, "../tasks/1")).expect_err("refused");
    assert_eq!(error.kind, UpstreamErrorKind::Rejected);
    assert!(world.calls().is_empty());
}

#[test]
fn every_act_of_the_sandbox_is_understood() {
    let world = world();
    world.sandbox.add_webhook(TARGET, "s");
    let endpoint = EndpointSecrets { secrets: vec!["s".into()], handshake_pending: false };
    for (action, input) in world.sandbox.acts() {
        for sent in world.act(action, &input) {
            let Reception::Delivery(delivery) = received(&sent, &endpoint) else { panic!("{action} is not verified") };
            let stored = StoredDelivery {
                event: delivery.event.clone(),
                headers: http::HeaderMap::new(),
                document: delivery.document,
                received_at: base(),
            };
            match Asana.interpret(&stored) {
                Interpretation::Changes(changes) => {
                    assert!(changes.iter().any(|change| change.activity.is_some()), "{action}");
                }
                Interpretation::Ignored(reason) => assert_eq!((action, reason), ("heartbeat", "heartbeat")),
            }
        }
    }
}

#[test]
fn the_demo_s_projects_are_in_the_world_of_its_seed() {
    let world = world();
    let known: Vec<String> = world.sandbox.projects().into_iter().map(|(gid, _)| gid).collect();
    let demo = Asana.demo().work_items;
    assert_eq!(demo.len(), 2);
    assert!(demo.iter().all(|project| known.contains(&project.native_id.as_ref().to_owned())));
}
