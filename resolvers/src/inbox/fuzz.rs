//! Webhooks as strangers may send them, to all providers: verification lets nothing pass that was not signed, and what was signed is
//! interpreted whatever it says.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use mullion_fuzz::{Target, body_of};

use crate::{
    provider::{
        EndpointSecrets, Provider, Providers, Reception, StoredDelivery, WebhookRequest,
        change::Interpretation,
        sentence::{Names, SentenceParts},
    },
    providers,
    secret::Secret,
};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/inbox/kept");
const SECRET: &str = "the secret of the endpoint";
/// Acts of each stand-in, beside the examples of its kinds.
const ACTS: u64 = 60;
/// A sentence is one line.
const LONGEST_SENTENCE: usize = 20_000;
/// Changes for a byte of a document: each event takes some bytes.
const BYTES_OF_A_CHANGE: usize = 2;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_764_547_200, 0).unwrap()
}

/// A provider's key and event, headers, and the body.
fn written(key: &str, event: &str, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{key} {event}\r\n").into_bytes();
    for (name, value) in headers {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend([b"\r\n", body].concat());
    text
}

/// An input, read; `None`: it is no request at all.
struct Parsed {
    provider: Arc<dyn Provider>,
    event: String,
    headers: HeaderMap,
    body: Bytes,
}

fn parsed(providers: &Providers, input: &[u8]) -> Option<Parsed> {
    let (head, body) = input.split_at(body_of(input));
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = String::from_utf8(lines.next()?.to_vec()).ok()?;
    let (key, event) = first.split_once(' ')?;
    let provider = Arc::clone(providers.get(key)?);
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(at);
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        headers.append(HeaderName::from_bytes(name.trim_ascii()).ok()?, value);
    }
    Some(Parsed { provider, event: event.to_owned(), headers, body: Bytes::copy_from_slice(body) })
}

/// Webhooks that the stand-ins of all providers send: of every kind of act, and of what happens there by itself.
fn webhooks() -> Vec<Parsed> {
    let mut all = Vec::new();
    for (key, provider) in providers::all() {
        let sandbox = provider.sandbox(1, now(), format!("http://localhost/{key}"));
        sandbox.add_webhook("http://localhost/webhook", SECRET);
        let gentle = (0..ACTS).map(|number| sandbox.gentle(number));
        for (action, input) in sandbox.acts().into_iter().chain(gentle) {
            let acted = sandbox.act(now(), action, &input);
            for webhook in acted.into_iter().flat_map(|acted| acted.webhooks) {
                let provider = Arc::clone(&provider);
                all.push(Parsed { provider, event: String::new(), headers: webhook.headers, body: webhook.body });
            }
        }
    }
    all
}

impl Parsed {
    fn receive(&self, handshake_pending: bool) -> Reception {
        let request = WebhookRequest { headers: self.headers.clone(), body: self.body.clone(), received_at: now() };
        let endpoint = EndpointSecrets { secrets: vec![Secret::from(SECRET)], handshake_pending };
        self.provider.receive(&request, &endpoint)
    }

    fn key(&self) -> &'static str {
        self.provider.descriptor().key
    }
}

#[test]
fn no_webhook_that_was_not_signed_is_taken() {
    let webhooks = webhooks();
    let signed: HashSet<(&str, Bytes)> = webhooks.iter().map(|webhook| (webhook.key(), webhook.body.clone())).collect();
    let seeds = webhooks.iter().map(|webhook| written(webhook.key(), "-", &webhook.headers, &webhook.body)).collect();
    let providers = providers::all();
    Target::new("verification", KEPT, seeds).run(|input| {
        let Some(webhook) = parsed(&providers, input) else { return Ok(()) };
        for handshake_pending in [false, true] {
            match webhook.receive(handshake_pending) {
                Reception::Delivery(_) | Reception::Answer { .. }
                    if !signed.contains(&(webhook.key(), webhook.body.clone())) =>
                {
                    return Err("it was not signed, and is taken".to_owned());
                }
                Reception::Handshake { .. } if !handshake_pending => return Err("no handshake was awaited".to_owned()),
                _ => {}
            }
        }
        Ok(())
    });
}

/// The changes of a document are bounded by its length, can be worded, and stand in lists.
fn check(webhook: &Parsed) -> Result<(), String> {
    let provider = &*webhook.provider;
    let delivery = StoredDelivery {
        event: webhook.event.clone(),
        headers: webhook.headers.clone(),
        document: webhook.body.clone(),
        received_at: now(),
    };
    let interpretation = provider.interpret(&delivery);
    if interpretation != provider.interpret(&delivery) {
        return Err("it means something else the second time".to_owned());
    }
    let Interpretation::Changes(changes) = interpretation else { return Ok(()) };
    let parts: usize = changes.iter().map(|change| 1 + change.writes.len() + change.stale.len()).sum();
    if parts > 100 + webhook.body.len() / BYTES_OF_A_CHANGE {
        return Err(format!("{parts} changes of {} bytes", webhook.body.len()));
    }
    for change in &changes {
        if let Some(activity) = &change.activity {
            let sentence = SentenceParts::worded(provider, activity, &Names::default());
            if sentence.is_empty() || sentence.len() > LONGEST_SENTENCE || sentence.contains('\n') {
                return Err(format!("the sentence {sentence:?}"));
            }
        }
        for write in &change.writes {
            let body = write.aspects.iter().flat_map(|aspect| aspect.fields.clone()).collect();
            provider.memberships(&write.node, &body);
        }
    }
    Ok(())
}

#[test]
fn any_document_that_was_signed_is_interpreted() {
    let seeds = webhooks().into_iter().filter_map(|webhook| {
        let Reception::Delivery(delivery) = webhook.receive(false) else { return None };
        let mut headers = webhook.headers.clone();
        let kept: Vec<HeaderName> =
            webhook.provider.kept_headers().iter().filter_map(|name| name.parse().ok()).collect();
        let others: Vec<HeaderName> = headers.keys().filter(|name| !kept.contains(name)).cloned().collect();
        for name in others {
            headers.remove(name);
        }
        Some(written(webhook.key(), &delivery.event, &headers, &delivery.document))
    });
    let seeds: Vec<Vec<u8>> = seeds.collect();
    assert!(seeds.len() > 100, "the stand-ins send {} webhooks", seeds.len());
    let providers = providers::all();
    Target::new("interpretation", KEPT, seeds)
        .run(|input| parsed(&providers, input).map_or(Ok(()), |webhook| check(&webhook)));
}
