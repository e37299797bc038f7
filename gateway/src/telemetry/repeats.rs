//! Failures that repeat: while a disk is full or a database away, each request fails for the same cause, and a line for each would
//! fill what is left. The first is logged as it is; those after it are counted, and one line tells of them later, with the ids of
//! their requests, so that each of these still finds its cause.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use mullion_resolvers::error_chain::chain;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{
    Event, Level, Metadata, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// How long after a line the same failure is only counted, and how often there is a line about those that were.
const WINDOW: Duration = Duration::from_secs(10);
/// Different failures that are known at a time; one more, and all are forgotten, which costs lines and nothing else.
const MOST: usize = 256;
/// Ids of requests in one line.
const IDS: usize = 200;
/// Characters of an error by which it is known.
const TEXT: usize = 512;
/// The target of the lines about repeated failures, which are not counted themselves.
pub(super) const TARGET: &str = module_path!();

/// Knows which failures were logged a moment ago.
#[derive(Debug, Clone, Default)]
pub struct Repeats(Arc<Mutex<HashMap<Key, Repeated>>>);

/// Where something failed, why, and what it failed for, where the line names that.
type Key = (Identifier, String, String);

#[derive(Debug)]
struct Repeated {
    what: String,
    last_line: Instant,
    /// How many there were since then.
    count: u64,
    request_ids: Vec<Arc<str>>,
}

/// A request's id, on its span.
struct RequestId(Arc<str>);

impl Repeats {
    /// Tells of what was counted, from time to time, until `stop` fires.
    pub async fn report_often(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(WINDOW) => {}
                () = stop.cancelled() => {}
            }
            self.report();
        }
    }

    /// Tells of what was counted, and forgets what did not happen again.
    fn report(&self) {
        let mut due = Vec::new();
        self.0.lock().retain(|(_, error, _), repeated| {
            if repeated.count > 0 {
                let ids = std::mem::take(&mut repeated.request_ids);
                due.push((error.clone(), repeated.what.clone(), std::mem::take(&mut repeated.count), ids));
                repeated.last_line = Instant::now();
                return true;
            }
            repeated.last_line.elapsed() < WINDOW
        });
        for (error, what, count, ids) in due {
            let request_ids = ids.join(" ");
            tracing::error!(target: TARGET, error, count, requestIds = request_ids, "again: {what}");
        }
    }

    /// Whether this failure is to be logged; otherwise it is counted.
    fn is_new(&self, callsite: Identifier, failure: Failure, request_id: Option<Arc<str>>) -> bool {
        let mut known = self.0.lock();
        let key = (callsite, failure.error, failure.subject);
        if let Some(repeated) = known.get_mut(&key) {
            repeated.count += 1;
            if repeated.request_ids.len() < IDS {
                repeated.request_ids.extend(request_id);
            }
            return false;
        }
        if known.len() >= MOST {
            known.clear();
        }
        let repeated = Repeated { what: failure.message, last_line: Instant::now(), count: 0, request_ids: Vec::new() };
        known.insert(key, repeated);
        true
    }
}

impl<S> Layer<S> for Repeats
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().fields().field("requestId").is_none() {
            return;
        }
        let mut found = FindId(None);
        attributes.record(&mut found);
        if let (FindId(Some(request_id)), Some(span)) = (found, context.span(id)) {
            span.extensions_mut().insert(RequestId(request_id));
        }
    }

    fn event_enabled(&self, event: &Event<'_>, context: Context<'_, S>) -> bool {
        if !may_repeat(event.metadata()) {
            return true;
        }
        let mut failure = Failure::default();
        event.record(&mut failure);
        if failure.error.is_empty() {
            return true;
        }
        let mut spans = context.event_scope(event).into_iter().flatten();
        let request_id = spans.find_map(|span| span.extensions().get::<RequestId>().map(|id| Arc::clone(&id.0)));
        self.is_new(event.metadata().callsite(), failure, request_id)
    }
}

fn may_repeat(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::WARN && metadata.fields().field("error").is_some() && metadata.target() != TARGET
}

/// A failure and its reason.
#[derive(Default)]
struct Failure {
    message: String,
    error: String,
    /// The delivery or the integration that it is about: each is a failure of its own.
    subject: String,
}

impl Visit for Failure {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = match field.name() {
            "message" => &mut self.message,
            "error" => &mut self.error,
            "delivery" | "integration" | "container" => &mut self.subject,
            _ => return,
        };
        // Writing to a string does not fail.
        let _ = write!(text, "{value:?}");
        if let Some((end, _)) = text.char_indices().nth(TEXT) {
            text.truncate(end);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &chain(value));
    }
}

struct FindId(Option<Arc<str>>);

impl Visit for FindId {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "requestId" {
            self.0 = Some(value.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, sync::Arc};

    use parking_lot::Mutex;
    use tracing::{Event, Subscriber, field::Visit};
    use tracing_subscriber::{Layer, layer::SubscriberExt as _};

    use super::{Context, Repeats};

    #[derive(Clone, Default)]
    struct Logged(Arc<Mutex<Vec<String>>>);

    #[derive(Default)]
    struct Text(String);

    impl Visit for Text {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            let _ = write!(self.0, "{}={value:?};", field.name());
        }
    }

    impl<S: Subscriber> Layer<S> for Logged {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut text = Text::default();
            event.record(&mut text);
            self.0.lock().push(text.0);
        }
    }

    fn fail(request: u32, error: &str) {
        let id = format!("r-{request}");
        let span = tracing::error_span!("request", requestId = &*id);
        span.in_scope(|| tracing::error_span!("execution").in_scope(|| tracing::error!(error, "it failed")));
    }

    #[test]
    fn a_failure_is_logged_once_and_those_like_it_together_with_their_requests() {
        let (logged, repeats) = (Logged::default(), Repeats::default());
        let subscriber = tracing_subscriber::registry().with(repeats.clone()).with(logged.clone());
        tracing::subscriber::with_default(subscriber, || {
            for request in 1..=1_000 {
                fail(request, "the disk is full");
            }
            fail(1_001, "the database is away");
            for delivery in ["d1", "d2"] {
                tracing::warn!(error = "the same", delivery, "a delivery is tried again");
            }
            for _ in 0..3 {
                tracing::error!("without an error");
                tracing::info!(error = "no failure", "information");
            }
            assert_eq!(logged.0.lock().len(), 1 + 1 + 2 + 3 + 3, "{:?}", logged.0.lock());
            repeats.report();
            let last = logged.0.lock().pop().unwrap();
            assert!(last.contains("count=999;") && last.contains("the disk is full"), "{last}");
            assert!(last.contains("again: it failed") && last.contains("r-2 r-3 "), "{last}");
            assert!(last.len() < 2_000, "it is bounded");
            repeats.report();
            assert_eq!(logged.0.lock().len(), 10, "nothing happened again");
        });
    }
}
