//! Sends the sandbox's webhooks: per provider one after the other, in the order in which things happened.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, SecondsFormat, Utc};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{OutgoingWebhook, faults::Faults, fields};
use crate::clock::Clock;

/// How many sent webhooks `GET /_sandbox/deliveries` remembers.
const REMEMBERED: usize = 200;
/// As long as providers wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// So much of an answer is looked at.
const ANSWER: usize = 64 << 10;

/// Carries a webhook to its target.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Posts it; `None` when the target could not be reached or did not answer in time.
    async fn post(&self, webhook: OutgoingWebhook) -> Option<(StatusCode, HeaderMap, Bytes)>;
}

/// Carries webhooks over HTTP.
#[derive(Debug, Clone)]
pub struct HttpCourier {
    client: reqwest::Client,
}

impl HttpCourier {
    /// A courier with a client of its own: no redirects, no proxy.
    #[expect(clippy::disallowed_methods, reason = "what the stand-ins send is no call to a provider")]
    pub fn direct() -> Result<Self, reqwest::Error> {
        crate::upstream::install_crypto_provider();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        Ok(Self { client })
    }

    /// Uses `client`, which should follow no redirects: providers follow none either.
    pub fn new(client: reqwest::Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Courier for HttpCourier {
    async fn post(&self, webhook: OutgoingWebhook) -> Option<(StatusCode, HeaderMap, Bytes)> {
        let request = self.client.post(&webhook.url).headers(webhook.headers).body(webhook.body);
        match request.timeout(ANSWER_WITHIN).send().await {
            Ok(mut response) => {
                let mut body = BytesMut::new();
                while body.len() < ANSWER
                    && let Ok(Some(chunk)) = response.chunk().await
                {
                    body.extend_from_slice(&chunk);
                }
                Some((response.status(), response.headers().clone(), body.freeze()))
            }
            Err(error) => {
                tracing::debug!(error = %error.without_url(), "sandbox webhook not delivered");
                None
            }
        }
    }
}

/// A webhook that was sent, and what its target said.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The provider's key.
    pub provider: &'static str,
    /// The target.
    pub url: String,
    /// Its answer; `None` when there was none.
    pub status: Option<StatusCode>,
    /// Whether the answer repeated the challenge; `None`: the webhook was none.
    pub challenge_answered: Option<bool>,
    /// When the answer came.
    pub at: DateTime<Utc>,
}

impl Delivery {
    /// As the control API shows it.
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "provider": self.provider,
            "url": self.url,
            "status": self.status.map(|status| status.as_u16()),
            "at": self.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        });
        if let Some(answered) = self.challenge_answered {
            fields::set(&mut object, "challengeAnswered", answered);
        }
        object
    }
}

/// The last deliveries of all providers.
#[derive(Debug, Default)]
pub struct DeliveryLog {
    deliveries: Mutex<VecDeque<Delivery>>,
}

impl DeliveryLog {
    fn push(&self, delivery: Delivery) {
        let mut deliveries = self.deliveries.lock();
        if deliveries.len() == REMEMBERED {
            deliveries.pop_front();
        }
        deliveries.push_back(delivery);
    }

    /// Oldest first.
    pub fn to_json(&self) -> Value {
        self.deliveries.lock().iter().map(Delivery::to_json).collect()
    }
}

/// The parts that a queue needs to send.
#[derive(Clone)]
pub struct Sender {
    /// Carries.
    pub courier: Arc<dyn Courier>,
    /// Says when.
    pub clock: Arc<dyn Clock>,
    /// Remembers.
    pub log: Arc<DeliveryLog>,
    /// Loses some on their way.
    pub faults: Arc<Faults>,
}

/// One provider's webhooks, waiting to be sent. Its task ends when it is dropped or the token is cancelled; what waits then is lost.
#[derive(Debug)]
pub struct DeliveryQueue {
    jobs: mpsc::UnboundedSender<Job>,
}

#[derive(Debug)]
struct Job {
    webhook: OutgoingWebhook,
    pause: Duration,
    done: oneshot::Sender<Delivery>,
}

/// Resolves when its webhook was sent.
pub type Sent = oneshot::Receiver<Delivery>;

impl DeliveryQueue {
    /// Starts the queue's task.
    pub fn start(provider: &'static str, sender: Sender, tracker: &TaskTracker, token: CancellationToken) -> Self {
        let (jobs, mut waiting) = mpsc::unbounded_channel::<Job>();
        tracker.spawn(async move {
            let send_all = async {
                while let Some(job) = waiting.recv().await {
                    sender.send(provider, job).await;
                }
            };
            token.run_until_cancelled(send_all).await;
        });
        Self { jobs }
    }

    /// Queues webhooks in order; the first waits for `pause` after its turn has come.
    pub fn push(&self, webhooks: Vec<OutgoingWebhook>, pause: Duration) -> Vec<Sent> {
        let mut pause = Some(pause);
        let queue = |webhook| {
            let (done, sent) = oneshot::channel();
            // A stopped queue drops the job, and `sent` resolves with an error: nothing is left to do here.
            let _ = self.jobs.send(Job { webhook, pause: pause.take().unwrap_or_default(), done });
            sent
        };
        webhooks.into_iter().map(queue).collect()
    }
}

impl Sender {
    async fn send(&self, provider: &'static str, job: Job) {
        if !job.pause.is_zero() {
            tokio::time::sleep(job.pause).await;
        }
        let url = job.webhook.url.clone();
        let challenge = job.webhook.challenge.clone();
        let lost = self.faults.loses(provider, &url);
        let answer = if lost { None } else { self.courier.post(job.webhook).await };
        let right = |challenge: String| {
            answer.as_ref().is_some_and(|(status, _, body)| *status == StatusCode::OK && repeats(body, &challenge))
        };
        let challenge_answered = challenge.map(right);
        let status = answer.map(|(status, ..)| status);
        let delivery = Delivery { provider, url, status, challenge_answered, at: self.clock.now() };
        self.log.push(delivery.clone());
        // Only `?wait=true` listens.
        let _ = job.done.send(delivery);
    }
}

/// Whether a body is the challenge: as it is, as a form or as JSON.
/// <https://docs.slack.dev/reference/events/url_verification>
fn repeats(body: &[u8], challenge: &str) -> bool {
    let plain = body.trim_ascii() == challenge.as_bytes();
    let form = || form_urlencoded::parse(body.trim_ascii()).any(|pair| pair.0 == "challenge" && pair.1 == challenge);
    let json = || {
        serde_json::from_slice::<Value>(body)
            .is_ok_and(|body| body.get("challenge").is_some_and(|text| text == challenge))
    };
    plain || form() || json()
}

#[cfg(test)]
mod tests {
    use super::repeats;

    #[test]
    fn a_challenge_is_repeated_in_one_of_three_forms() {
        for (body, expected) in [
            ("x1", true),
            (" x1\n", true),
            ("challenge=x1", true),
            (r#"{"challenge":"x1"}"#, true),
            ("", false),
            ("x12", false),
            ("ok", false),
            ("challenge=x2", false),
            (r#"{"challenge":"x2"}"#, false),
            (r#""x1""#, false),
        ] {
            assert_eq!(repeats(body.as_bytes(), "x1"), expected, "{body}");
        }
    }
}
