//! Responses as bytes: at most as many as one answer may have.

use std::io;

use async_graphql::{Response, ServerError, Value};
use bytes::Bytes;
use mullion_schema::{answer_size::too_large, error::ErrorCode};

use super::Executed;
use crate::error_chain::chain;

/// The answer, and whether it would have been larger than an answer may be. A response without data whose errors have no path never got
/// to a field: it was refused.
pub(super) fn answer(response: Response, limit: usize) -> (Executed, bool) {
    let refused = matches!(response.data, Value::Null)
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty());
    if refused {
        return (Executed::Refused(response.errors), false);
    }
    match written(&response, limit) {
        Ok(bytes) => (Executed::Answer { bytes, internal: response.errors.iter().any(is_logged) }, false),
        Err(instead) => (Executed::Answer { bytes: instead.bytes, internal: instead.internal }, instead.too_large),
    }
}

impl Executed {
    /// Whether the log may tell more about it.
    pub(super) fn has_failed(&self) -> bool {
        match self {
            Self::Answer { internal, .. } => *internal,
            Self::Refused(errors) => errors.iter().any(is_logged),
        }
    }
}

fn is_logged(error: &ServerError) -> bool {
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
    let Some(Value::String(code)) = code else { return false };
    code.parse::<ErrorCode>().is_ok_and(ErrorCode::is_logged)
}

/// The answer in the place of a response that cannot be sent.
pub(super) struct Instead {
    pub(super) bytes: Bytes,
    internal: bool,
    too_large: bool,
}

/// A response as bytes, at most so many.
pub(super) fn written(response: &Response, limit: usize) -> Result<Bytes, Instead> {
    let mut bytes = Bounded { bytes: Vec::new(), limit, over: false };
    match serde_json::to_writer(&mut bytes, response) {
        Ok(()) => Ok(bytes.bytes.into()),
        Err(_) if bytes.over => {
            let mut instead = Response::from_errors(vec![too_large(limit)]);
            instead.extensions.clone_from(&response.extensions);
            let bytes = serde_json::to_vec(&instead).map_or_else(|error| unserializable(&error), Bytes::from);
            Err(Instead { bytes, internal: false, too_large: true })
        }
        Err(error) => Err(Instead { bytes: unserializable(&error), internal: true, too_large: false }),
    }
}

/// Takes so many bytes, and refuses the next.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    over: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.write_all(part)?;
        Ok(part.len())
    }

    fn write_all(&mut self, part: &[u8]) -> io::Result<()> {
        if self.bytes.len().saturating_add(part.len()) > self.limit {
            self.over = true;
            self.bytes = Vec::new();
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unserializable(error: &serde_json::Error) -> Bytes {
    tracing::error!(error = %chain(error), "a response could not be serialized");
    Bytes::from_static(
        br#"{"data":null,"errors":[{"message":"internal error","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}"#,
    )
}

#[cfg(test)]
mod tests {
    use async_graphql::{PathSegment, Response, ServerError, Value, value};

    use super::{answer, written};
    use crate::execution::Executed;

    fn response(data: Value, codes: &[&str]) -> Response {
        let mut response = Response::new(data);
        response.errors.extend(codes.iter().map(|code| {
            let mut error = ServerError::new("it failed", None);
            error.path = vec![PathSegment::Field("widget".into())];
            error.extensions.get_or_insert_default().set("code", *code);
            error
        }));
        response
    }

    #[test]
    fn an_answer_says_whether_the_log_tells_more_of_one_of_its_errors() {
        let mentioned = value!({ "title": "INTERNAL_SERVER_ERROR" });
        for (data, codes, expected) in [
            (value!({ "widget": null }), &[][..], false),
            (mentioned.clone(), &[], false),
            (mentioned, &["NOT_FOUND"], false),
            (value!({ "widget": null }), &["NOT_FOUND", "INTERNAL_SERVER_ERROR"], true),
            (value!({ "widget": null }), &["SERVICE_UNAVAILABLE"], true),
            (value!({ "widget": null }), &["PROVIDER_UNAVAILABLE"], true),
        ] {
            let (Executed::Answer { internal, .. }, _) = answer(response(data, codes), 1_000) else {
                panic!("refused")
            };
            assert_eq!(internal, expected, "{codes:?}");
        }
    }

    #[test]
    fn a_response_that_is_too_large_is_an_error_with_the_same_extensions() {
        let response =
            |length: usize| response(value!({ "text": "x".repeat(length) }), &[]).extension("cursor", "c".into());
        let fitting = written(&response(100), 200).unwrap_or_else(|_| panic!("it fits"));
        assert!(fitting.len() > 100);
        let Err(instead) = written(&response(200), 200) else { panic!("it does not fit") };
        let told: serde_json::Value = serde_json::from_slice(&instead.bytes).unwrap();
        assert_eq!(told["errors"][0]["extensions"]["code"], "OPERATION_TOO_COMPLEX");
        assert_eq!((&told["data"], &told["extensions"]["cursor"]), (&serde_json::Value::Null, &"c".into()));
        assert!(instead.too_large && !instead.internal);
    }
}
