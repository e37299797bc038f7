//! The entry of the sandbox port: a request is one of the control API or one of a provider's.

use bytes::Bytes;
use http::{Request, Response};

use super::{
    host::{SandboxHost, relative_request},
    refusal::Refusal,
};

impl SandboxHost {
    /// Answers any request of the sandbox port.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        if path == "/_sandbox" || path.starts_with("/_sandbox/") {
            return self.control(&request).await;
        }
        let Some((hosted, relative)) = self.mounted(path) else {
            return Refusal::not_found("nothing is mounted here: `GET /_sandbox` lists what is").into_response();
        };
        match relative_request(request, &relative) {
            Ok(request) => self.call(hosted, request).await,
            Err(error) => Refusal::bad_input(error.to_string()).into_response(),
        }
    }
}
