//! Verifies Asana's webhook requests over their raw bytes, and takes its secret while a registration is pending: pure, before
//! anything else looks at them.

use http::{HeaderMap, HeaderName, header::CONTENT_TYPE};
use serde_json::Value;

use super::interpret::{HEARTBEAT, kind_of};
use crate::{
    json::read_object,
    provider::{EndpointSecrets, Reception, Refusal, VerifiedDelivery, WebhookRequest},
    secret::Secret,
    signature::{self, single},
};

const SECRET: HeaderName = HeaderName::from_static("x-hook-secret");
const SIGNATURE: HeaderName = HeaderName::from_static("x-hook-signature");

/// The verdict on a request.
pub(super) fn receive(request: &WebhookRequest, endpoint: &EndpointSecrets) -> Reception {
    let verdict = match request.headers.contains_key(SECRET) {
        // Taking a secret at any other time would let anyone replace it.
        true if !endpoint.handshake_pending => Err(Refusal::NoHandshakePending),
        true if !request.headers.contains_key(SIGNATURE) => handshake(&request.headers),
        _ => delivery(request, endpoint).map(Reception::Delivery),
    };
    verdict.unwrap_or_else(Reception::Refused)
}

/// Asana shows the secret once, and wants to see it again.
fn handshake(headers: &HeaderMap) -> Result<Reception, Refusal> {
    let secret = single(headers, &SECRET).filter(|secret| secret.to_str().is_ok_and(|text| !text.trim().is_empty()));
    let secret = secret.ok_or(Refusal::BadSignature)?;
    Ok(Reception::Handshake {
        secret: Secret::new(secret.as_bytes()),
        headers: HeaderMap::from_iter([(SECRET, secret.clone())]),
    })
}

fn delivery(request: &WebhookRequest, endpoint: &EndpointSecrets) -> Result<VerifiedDelivery, Refusal> {
    if !is_json(&request.headers) {
        return Err(Refusal::UnsupportedType);
    }
    if !is_signed(&request.headers, &request.body, &endpoint.secrets) {
        return Err(Refusal::BadSignature);
    }
    let event = event_name(&read_object(&request.body).ok_or(Refusal::NotJson)?);
    Ok(VerifiedDelivery { delivery_id: None, event, subject: None, document: request.body.clone() })
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Whether one of the secrets signed the body.
fn is_signed(headers: &HeaderMap, body: &[u8], secrets: &[Secret]) -> bool {
    let hex = single(headers, &SIGNATURE).and_then(|value| value.to_str().ok());
    hex.is_some_and(|hex| signature::is_signed(hex.trim(), &[body], secrets))
}

fn event_name(document: &Value) -> String {
    match document.get("events").and_then(Value::as_array).map(Vec::as_slice) {
        Some([]) => HEARTBEAT.to_owned(),
        Some([first, ..]) => kind_of(first),
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;
    use hmac::{Hmac, KeyInit, Mac};
    use http::{HeaderMap, HeaderName, HeaderValue};
    use sha2::Sha256;

    use super::{is_signed, receive};
    use crate::provider::{EndpointSecrets, Reception, Refusal, WebhookRequest};

    const JSON: (&str, &str) = ("content-type", "application/json; charset=UTF-8");

    fn sign(secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
        mac.update(body);
        hex::encode(mac.finalize().into_bytes())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("text"));
        }
        headers
    }

    fn received(body: &[u8], pending: bool, secrets: &[&str], pairs: &[(&'static str, &str)]) -> Reception {
        let request = WebhookRequest {
            headers: headers(pairs),
            body: Bytes::copy_from_slice(body),
            received_at: DateTime::UNIX_EPOCH,
        };
        let secrets = secrets.iter().map(|&secret| secret.into()).collect();
        receive(&request, &EndpointSecrets { secrets, handshake_pending: pending })
    }

    fn event(reception: Reception) -> Result<String, Refusal> {
        match reception {
            Reception::Delivery(delivery) => Ok(delivery.event),
            Reception::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_common_vector_verifies_as_bare_hex() {
        let body = "{\"id\":1,\"t\":\"h\u{e9}llo\"}".as_bytes();
        let signature = "1fd06e7adc6ae360c3e4c0c45d8cf81429d6448e50f51f579354df2bc463b84e";
        let signed = headers(&[("x-hook-signature", signature)]);
        assert!(is_signed(&signed, body, &["other".into(), "test-secret".into()]));
        assert!(!is_signed(&signed, body, &["other".into()]));
        assert!(!is_signed(&signed, body, &[]));
        assert!(!is_signed(&signed, &body[1..], &["test-secret".into()]));
        assert!(!is_signed(
            &headers(&[("x-hook-signature", &format!("sha256={signature}"))]),
            body,
            &["test-secret".into()]
        ));
    }

    #[test]
    fn a_signed_json_object_is_a_delivery_and_nothing_else_is() {
        let check = |body: &[u8]| {
            let signature = sign("s", body);
            event(received(body, false, &["old", "s"], &[JSON, ("x-hook-signature", &signature)]))
        };
        assert_eq!(check(b"{\"events\":[]}"), Ok("heartbeat".into()));
        let task = b"{\"events\":[{\"action\":\"changed\",\"resource\":{\"gid\":\"1\",\"resource_type\":\"task\"}}]}";
        assert_eq!(check(task), Ok("task.changed".into()));
        assert_eq!(check(b"{\"events\":[7]}"), Ok("unknown.unknown".into()));
        for body in [&b"{}"[..], b"{\"events\":null}", b"{\"events\":{}}"] {
            assert_eq!(check(body), Ok("unknown".into()), "{body:?}");
        }
        for body in [&b""[..], b"[]", b"1", b"{", b"{}{}", b"{\"a\":\"\xff\"}", b"null"] {
            assert_eq!(check(body), Err(Refusal::NotJson), "{body:?}");
        }
    }

    #[test]
    fn what_is_not_signed_is_refused() {
        let refused = |secrets: &[&str], pairs: &[(&'static str, &str)]| event(received(b"{}", false, secrets, pairs));
        let (right, empty) = (sign("s", b"{}"), sign("", b"{}"));
        let signed = ("x-hook-signature", right.as_str());
        assert_eq!(refused(&["s"], &[JSON]), Err(Refusal::BadSignature));
        assert_eq!(refused(&["s"], &[JSON, signed, signed]), Err(Refusal::BadSignature));
        assert_eq!(refused(&[], &[JSON, signed]), Err(Refusal::BadSignature));
        assert_eq!(refused(&[""], &[JSON, ("x-hook-signature", &empty)]), Err(Refusal::BadSignature));
        for wrong in ["", "zz", "00", &right[..62]] {
            assert_eq!(refused(&["s"], &[JSON, ("x-hook-signature", wrong)]), Err(Refusal::BadSignature), "{wrong}");
        }
        assert_eq!(refused(&["s"], &[signed]), Err(Refusal::UnsupportedType));
        assert_eq!(refused(&["s"], &[signed, ("content-type", "text/plain")]), Err(Refusal::UnsupportedType));
        assert_eq!(refused(&["s"], &[JSON, signed]), Ok("unknown".into()));
    }

    #[test]
    fn a_secret_is_taken_only_while_a_registration_is_pending() {
        let shown = ("x-hook-secret", "b53c");
        let Reception::Handshake { secret, headers } = received(b"{}", true, &[], &[JSON, shown]) else {
            panic!("a handshake was refused");
        };
        assert_eq!(secret.expose(), b"b53c");
        assert_eq!(headers.get("x-hook-secret").map(HeaderValue::as_bytes), Some(&b"b53c"[..]));
        assert_eq!(event(received(b"{}", false, &["s"], &[JSON, shown])), Err(Refusal::NoHandshakePending));
        // Not even with a right signature.
        let signature = sign("s", b"{}");
        let both = [JSON, shown, ("x-hook-signature", signature.as_str())];
        assert_eq!(event(received(b"{}", false, &["s"], &both)), Err(Refusal::NoHandshakePending));
        assert_eq!(event(received(b"{}", true, &["s"], &both)), Ok("unknown".into()));
        for odd in [&[("x-hook-secret", "")][..], &[shown, shown]] {
            assert_eq!(event(received(b"{}", true, &[], odd)), Err(Refusal::BadSignature), "{odd:?}");
        }
    }
}
