//! The stand-in for Asana's API: a seeded world, the calls, the events and the webhooks of it.

mod acts;
mod answer;
mod batch;
mod dice;
mod edit;
mod edit_project;
mod event_log;
mod events;
mod fields;
mod gentle;
mod hook_fields;
mod hooks;
mod input;
mod node;
mod records;
mod registration;
mod render;
mod request;
mod routes;
mod seed;
mod session;
mod task_calls;
mod task_fields;
#[cfg(test)]
mod tests;
mod words;
mod world;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde_json::Value;

use self::records::Hook;
use self::request::Call;
use self::session::Session;
use self::world::{Origin, World};
use crate::sandbox::{ActError, Acted, ApiRequest, ApiResponse, CallOutcome, HandshakeAnswer, Rejection, Sandbox};

/// Asana's stand-in.
#[derive(Debug)]
pub struct AsanaSandbox {
    api_root: String,
    world: Mutex<World>,
}

impl AsanaSandbox {
    /// A world made from `seed`, its past ending at `base`; `api_root` is where clients reach the API
    /// (`http://127.0.0.1:4001/asana/api/1.0`).
    pub fn seeded(seed: u64, base: DateTime<Utc>, api_root: String) -> Self {
        Self { api_root, world: Mutex::new(seed::seed(seed, base)) }
    }

    /// The projects, by gid and name, in the order of their making: the same gids for the same seed.
    pub fn projects(&self) -> Vec<(String, String)> {
        self.world.lock().projects.iter().map(|(gid, project)| (gid.to_string(), project.name.clone())).collect()
    }
}

#[async_trait]
impl Sandbox for AsanaSandbox {
    fn provider(&self) -> &'static str {
        "asana"
    }

    fn mount(&self) -> &'static str {
        "/asana/api/1.0"
    }

    async fn call(&self, now: DateTime<Utc>, request: ApiRequest) -> CallOutcome {
        let call = match Call::read(&request) {
            Ok(call) => call,
            Err(error) => return CallOutcome::answer(answer::respond(Err(error))),
        };
        let answer = request.extensions().get::<HandshakeAnswer>().cloned();
        let mut world = self.world.lock();
        let mut session = Session {
            world: &mut world,
            api_root: &self.api_root,
            now,
            call,
            answer,
            webhooks: Vec::new(),
            handshake: None,
        };
        let outcome = routes::answer(&mut session);
        CallOutcome {
            response: answer::respond(outcome),
            webhooks: std::mem::take(&mut session.webhooks),
            handshake: session.handshake.take(),
        }
    }

    fn act(&self, now: DateTime<Utc>, action: &str, input: &Value) -> Result<Acted, ActError> {
        acts::act(&mut self.world.lock(), now, action, input)
    }

    fn acts(&self) -> Vec<(&'static str, Value)> {
        acts::examples(&self.world.lock())
    }

    fn gentle(&self, n: u64) -> (&'static str, Value) {
        gentle::act(&self.world.lock(), n)
    }

    fn rejection(&self, _now: DateTime<Utc>, request: &ApiRequest, rejection: Rejection) -> ApiResponse {
        answer::refuse(request, rejection)
    }

    fn add_webhook(&self, url: &str, secret: &str) {
        let hook = Hook {
            resource: None,
            target: url.to_owned(),
            secret: secret.to_owned(),
            filters: Vec::new(),
            active: true,
            created_at: None,
            last_success_at: None,
        };
        let mut world = self.world.lock();
        world.hooks.retain(|_, known| known.resource.is_some() || known.target != url);
        let gid = world.mint(Origin::Hook);
        world.hooks.insert(gid, hook);
    }
}
