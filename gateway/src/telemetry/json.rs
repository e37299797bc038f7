//! The log's lines for machines: one object a line. Fields of the spans around an event stand beside its own, so that a search for a
//! request's id finds everything that was logged on its behalf, in whichever layer or task; and an error comes with its causes.

use std::{error::Error, fmt};

use mullion_resolvers::error_chain::chain;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// Formats fields of spans as JSON, so that [`JsonLines`] can take them apart again.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonSpans;

impl<'writer> FormatFields<'writer> for JsonSpans {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut collected = Fields::default();
        fields.record(&mut collected);
        // One object after another: more are added when fields are recorded later.
        write!(writer, "{}", Value::Object(collected.0))
    }
}

/// Formats events.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonLines;

impl<S> FormatEvent<S, JsonSpans> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonSpans>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".into(), timestamp.into());
        line.insert("level".into(), metadata.level().as_str().into());
        let mut own = Fields::default();
        event.record(&mut own);
        line.extend(own.0);
        line.insert("target".into(), metadata.target().into());
        let mut names: Vec<Value> = Vec::new();
        // The innermost first: what it says is closest to the event.
        for span in context.event_scope().into_iter().flatten() {
            names.push(span.name().into());
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonSpans>>() {
                let objects = serde_json::Deserializer::from_str(&fields.fields).into_iter::<Map<String, Value>>();
                for (name, value) in objects.flatten().flatten() {
                    line.entry(name).or_insert(value);
                }
            }
        }
        if !names.is_empty() {
            names.reverse();
            line.insert("spans".into(), names.into());
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Fields by name.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        let name = field.name();
        self.0.insert(name.strip_prefix("r#").unwrap_or(name).to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field, chain(value).to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use tracing::Instrument as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{JsonLines, JsonSpans};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_fields_of_all_spans_around_it_and_the_causes_of_its_error() {
        let lines = Lines::default();
        let written = lines.clone();
        let layer = tracing_subscriber::fmt::layer().fmt_fields(JsonSpans).event_format(JsonLines);
        let subscriber = tracing_subscriber::registry().with(layer.with_writer(move || written.clone()));
        let cause = anyhow::anyhow!("no \"space\"\nleft").context("the database failed");
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::error_span!("request", requestId = "r-1", tenant = tracing::field::Empty);
            request.record("tenant", "acme");
            let _entered = request.enter();
            let execution = tracing::error_span!("execution", operation = "Board");
            let logs = async {
                let error: &(dyn std::error::Error + 'static) = cause.as_ref();
                tracing::error!(error, rows = 3, "it failed");
            };
            futures::executor::block_on(logs.instrument(execution));
        });
        let line = String::from_utf8(lines.0.lock().clone()).unwrap();
        let mut line: Value = serde_json::from_str(&line).unwrap();
        assert!(line["timestamp"].take().as_str().unwrap().ends_with('Z'));
        assert!(line["target"].take().as_str().unwrap().ends_with("json::tests"));
        let expected = json!({
            "timestamp": null, "level": "ERROR", "message": "it failed",
            "error": "the database failed: no \"space\"\nleft", "rows": 3, "target": null,
            "operation": "Board", "requestId": "r-1", "tenant": "acme", "spans": ["request", "execution"],
        });
        assert_eq!(line, expected);
    }
}
