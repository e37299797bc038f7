//! The trace that work belongs to, as W3C Trace Context carries it between programs (`traceparent`,
//! <https://www.w3.org/TR/trace-context/>): in with requests, along with deliveries through the inbox, out with calls to providers.
//! Where no traces are exported there is none, and none of this does anything.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Characters of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// A span of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

impl TraceContext {
    /// The span that runs.
    pub fn current() -> Option<Self> {
        let context = Span::current().context();
        let span = context.span();
        let known = span.span_context();
        known.is_valid().then(|| Self { trace: known.trace_id(), span: known.span_id(), flags: known.trace_flags() })
    }

    /// The caller's span, where the headers name one.
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
    }

    /// Reads a `traceparent`; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (version, rest) = (text.get(..2)?, text.get(LENGTH..)?);
        // Later versions may say more behind what this one says.
        let fits = match version {
            "ff" => false,
            "00" => rest.is_empty(),
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let mut parts = text.get(..LENGTH)?.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let lengths = (version.len(), trace.len(), span.len(), flags.len()) == (2, 32, 16, 2);
        if !fits || !lengths || parts.next().is_some() || ![version, trace, span, flags].into_iter().all(is_hex) {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
        (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(Self { trace, span, flags })
    }

    /// Makes a span that has just begun a part of this one.
    pub fn adopt(self, span: &Span) {
        // Fails where no traces are exported, which is nobody's fault.
        let _ = span.set_parent(Context::new().with_remote_span_context(self.into()));
    }

    /// Makes a span that has just begun a part of the first of its causes, and names the others on it.
    pub fn caused(span: &Span, causes: impl IntoIterator<Item = Self>) {
        let mut causes = causes.into_iter();
        if let Some(first) = causes.next() {
            first.adopt(span);
        }
        causes.for_each(|other| span.add_link(other.into()));
    }

    /// Adds the header.
    pub fn write(self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.to_string()) {
            headers.insert(TRACEPARENT, value);
        }
    }
}

impl From<TraceContext> for SpanContext {
    fn from(context: TraceContext) -> Self {
        Self::new(context.trace, context.span, context.flags, true, TraceState::default())
    }
}

/// As a `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags.to_u8())
    }
}

#[cfg(test)]
mod tests {
    use super::TraceContext;

    #[test]
    fn a_traceparent_is_read_as_the_standard_says_and_written_again() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const SPAN: &str = "00f067aa0ba902b7";
        for (text, expected) in [
            (format!("00-{TRACE}-{SPAN}-01"), Some(format!("00-{TRACE}-{SPAN}-01"))),
            (format!("00-{TRACE}-{SPAN}-00"), Some(format!("00-{TRACE}-{SPAN}-00"))),
            (format!("00-{TRACE}-{SPAN}-ff"), Some(format!("00-{TRACE}-{SPAN}-01"))),
            (format!("cc-{TRACE}-{SPAN}-01-more"), Some(format!("00-{TRACE}-{SPAN}-01"))),
            (format!("cc-{TRACE}-{SPAN}-01more"), None),
            (format!("00-{TRACE}-{SPAN}-01-more"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{TRACE}-{SPAN}-0x"), None),
            (format!("00-{TRACE}{SPAN}--01"), None),
            ("00-ä".repeat(14), None),
            (String::new(), None),
        ] {
            assert_eq!(TraceContext::parse(&text).map(|context| context.to_string()), expected, "{text}");
        }
    }

    #[test]
    fn there_is_no_trace_where_none_are_exported() {
        let span = tracing::error_span!("request");
        let caller = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        TraceContext::caused(&span, [caller, caller]);
        assert_eq!(span.in_scope(TraceContext::current), None);
    }
}
