//! Verifies GitHub's webhook requests over their raw bytes: pure, before anything else looks at them.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::{
    form::is_form,
    json::read_members,
    provider::{EndpointSecrets, Reception, Refusal, VerifiedDelivery, WebhookRequest},
    secret::Secret,
    signature::{self, single},
};

pub(super) const EVENT: &str = "x-github-event";
const DELIVERY: &str = "x-github-delivery";
const SIGNATURE: &str = "x-hub-signature-256";

/// The verdict on a request.
pub(super) fn receive(request: &WebhookRequest, endpoint: &EndpointSecrets) -> Reception {
    match verified(request, endpoint) {
        Ok(delivery) => Reception::Delivery(delivery),
        Err(refusal) => Reception::Refused(refusal),
    }
}

fn verified(request: &WebhookRequest, endpoint: &EndpointSecrets) -> Result<VerifiedDelivery, Refusal> {
    let form = is_form(&request.headers)?;
    if !is_signed(&request.headers, &request.body, &endpoint.secrets) {
        return Err(Refusal::BadSignature);
    }
    let event = header(&request.headers, EVENT).ok_or(Refusal::MissingEvent)?;
    let document = if form { payload(&request.body).ok_or(Refusal::NotJson)? } else { request.body.clone() };
    // All else is skipped: it must be JSON, and is not kept.
    let envelope = read_members(&document, |name| matches!(name, "action" | "repository" | "id"));
    let envelope = envelope.ok_or(Refusal::NotJson)?;
    let event = match action(&envelope) {
        Some(action) => format!("{event}.{action}"),
        None => event.to_owned(),
    };
    let delivery_id = header(&request.headers, DELIVERY).map(str::to_owned);
    Ok(VerifiedDelivery { delivery_id, event, subject: repository(&envelope), document })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

/// Whether one of the secrets signed the body.
fn is_signed(headers: &HeaderMap, body: &[u8], secrets: &[Secret]) -> bool {
    let signature = single(headers, SIGNATURE).and_then(|value| value.to_str().ok());
    signature
        .and_then(|text| text.strip_prefix("sha256="))
        .is_some_and(|hex| signature::is_signed(hex, &[body], secrets))
}

/// The document in a form's `payload`.
fn payload(body: &[u8]) -> Option<Bytes> {
    let (_, payload) = form_urlencoded::parse(body).find(|(name, _)| name == "payload")?;
    Some(Bytes::from(payload.into_owned()))
}

fn action(document: &Value) -> Option<&str> {
    document.get("action")?.as_str().filter(|text| !text.is_empty() && text.len() <= 100)
}

/// The repository that a document is about.
pub(super) fn repository(document: &Value) -> Option<String> {
    Some(document.get("repository")?.get("id")?.as_u64()?.to_string())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;
    use hmac::{Hmac, KeyInit, Mac};
    use http::{HeaderMap, HeaderName, HeaderValue};
    use sha2::Sha256;

    use super::{is_signed, receive};
    use crate::provider::{EndpointSecrets, Reception, Refusal, VerifiedDelivery, WebhookRequest};

    fn sign(secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
        mac.update(body);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("text")))
            .collect()
    }

    fn received(body: &[u8], secrets: &[&str], pairs: &[(&'static str, &str)]) -> Result<(String, Bytes), Refusal> {
        delivery(body, secrets, pairs).map(|delivery| (delivery.event, delivery.document))
    }

    fn delivery(body: &[u8], secrets: &[&str], pairs: &[(&'static str, &str)]) -> Result<VerifiedDelivery, Refusal> {
        let request = WebhookRequest {
            headers: headers(pairs),
            body: Bytes::copy_from_slice(body),
            received_at: DateTime::UNIX_EPOCH,
        };
        let secrets = secrets.iter().map(|&secret| secret.into()).collect();
        match receive(&request, &EndpointSecrets { secrets, handshake_pending: false }) {
            Reception::Delivery(delivery) => Ok(delivery),
            Reception::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn published_vectors_verify() {
        let table = [
            (
                "It's a Secret to Everybody",
                "Hello, World!".as_bytes(),
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
            (
                "test-secret",
                "{\"id\":1,\"t\":\"héllo\"}".as_bytes(),
                "sha256=1fd06e7adc6ae360c3e4c0c45d8cf81429d6448e50f51f579354df2bc463b84e",
            ),
        ];
        for (secret, body, signature) in table {
            let signed = headers(&[("x-hub-signature-256", signature)]);
            assert!(is_signed(&signed, body, &["other".into(), secret.into()]), "{secret}");
            assert!(!is_signed(&signed, body, &["other".into()]));
            assert!(!is_signed(&signed, body, &[]));
            assert!(!is_signed(&signed, &body[1..], &[secret.into()]));
        }
    }

    #[test]
    fn a_signed_json_object_with_an_event_is_a_delivery_and_nothing_else_is() {
        let json = ("content-type", "application/json; charset=utf-8");
        let event = ("x-github-event", "issues");
        let secrets: &[&str] = &["old", "s"];
        let check = |body: &[u8], extra: &[(&'static str, &str)]| {
            let signature = sign("s", body);
            let mut pairs = extra.to_vec();
            pairs.push(("x-hub-signature-256", &signature));
            received(body, secrets, &pairs).map(|(event, _)| event)
        };
        assert_eq!(check(b"{\"action\":\"closed\"}", &[json, event]), Ok("issues.closed".into()));
        assert_eq!(check(b" {\"action\":7}", &[json, event]), Ok("issues".into()));
        assert_eq!(check(b"{}", &[json]), Err(Refusal::MissingEvent));
        assert_eq!(check(b"{}", &[event]), Err(Refusal::UnsupportedType));
        assert_eq!(check(b"{}", &[event, ("content-type", "text/plain")]), Err(Refusal::UnsupportedType));
        for body in [&b""[..], b"[]", b"1", b"{", b"{}{}", b"{\"a\":\"\xff\"}", b"null"] {
            assert_eq!(check(body, &[json, event]), Err(Refusal::NotJson), "{body:?}");
        }
        assert_eq!(received(b"{}", secrets, &[json, event]), Err(Refusal::BadSignature));
        let bare = sign("s", b"{}").replace("sha256=", "");
        for wrong in [bare.as_str(), "sha256=", "sha256=zz", "sha1=00"] {
            let pairs = [json, event, ("x-hub-signature-256", wrong)];
            assert_eq!(received(b"{}", secrets, &pairs), Err(Refusal::BadSignature), "{wrong}");
        }
        let empty = sign("", b"{}");
        assert_eq!(received(b"{}", &[""], &[json, event, ("x-hub-signature-256", &empty)]), Err(Refusal::BadSignature));
    }

    #[test]
    fn what_is_about_a_repository_stays_in_order_with_it() {
        for (document, expected) in [
            (
                r#"{"action":"closed","id":1,"repository":{"id":7,"name":"web","owner":{"id":8}},"sender":{"id":9}}"#,
                Some("7"),
            ),
            (r#"{"text":"\ud83d","repository":{"id":7,"size":1e999}}"#, Some("7")),
            (r#"{"organization":{"id":7}}"#, None),
            (r#"{"repository":null}"#, None),
            (r#"{"repository":7}"#, None),
            (r#"{"repository":{"id":"x"}}"#, None),
        ] {
            let pairs = [
                ("content-type", "application/json"),
                ("x-github-event", "issues"),
                ("x-hub-signature-256", &sign("s", document.as_bytes())),
            ];
            let delivery = delivery(document.as_bytes(), &["s"], &pairs).expect("a delivery");
            assert_eq!(delivery.subject.as_deref(), expected, "{document}");
        }
    }

    #[test]
    fn a_form_carries_the_document_in_payload() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let body = b"payload=%7B%22action%22%3A%22opened%22%7D";
        let signature = sign("s", body);
        let pairs = [form, ("x-github-event", "issues"), ("x-hub-signature-256", signature.as_str())];
        let (event, document) = received(body, &["s"], &pairs).expect("a delivery");
        assert_eq!((event.as_str(), &document[..]), ("issues.opened", &b"{\"action\":\"opened\"}"[..]));
        let body = b"other=1";
        let signature = sign("s", body);
        let pairs = [form, ("x-github-event", "issues"), ("x-hub-signature-256", signature.as_str())];
        assert_eq!(received(body, &["s"], &pairs), Err(Refusal::NotJson));
    }
}
