//! The labels of the metrics' series.

use prometheus_client::encoding::EncodeLabelSet;

/// A delivery, by what came of it: one of `metrics::DELIVERY_RESULTS`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeliveryLabels {
    /// The provider.
    pub provider: String,
    /// The result.
    pub result: String,
}

/// A call to a provider, by what came of it: one of `metrics::CALL_RESULTS`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// The provider.
    pub provider: String,
    /// The result.
    pub result: String,
}

/// An integration: its id is no secret, its name is not told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct IntegrationLabels {
    /// The provider.
    pub provider: String,
    /// The integration's id.
    pub integration: String,
    /// The quota, where there are several; empty otherwise.
    pub bucket: String,
}

/// A cache look-up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CacheLabels {
    /// `document`, `response`, `node`.
    pub cache: &'static str,
    /// `hit`, `miss`, `shared`.
    pub result: &'static str,
}

/// A word of a provider that the graph shows as `UNKNOWN`, by where it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WordLabels {
    /// `GithubWorkflowRun`
    pub type_name: &'static str,
    /// `status`
    pub field: &'static str,
}

/// A request over HTTP; the route is its pattern, never its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `/graphql`
    pub route: String,
    /// The status.
    pub status: u16,
}

/// By transport: `websocket`, `event_stream`, `multipart`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TransportLabels {
    /// The transport.
    pub transport: &'static str,
}

/// By kind: `query`, `mutation`, `subscription`, `live`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ExecutionLabels {
    /// The kind.
    pub kind: &'static str,
}
