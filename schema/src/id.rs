//! Ids: newtypes for our own, keys of the providers' nodes, and the opaque global ids that clients hold.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

macro_rules! id_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.into())
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id_newtype! {
    /// A tenant. Comes from the credential, never from an id or an argument.
    TenantId
}
id_newtype! {
    /// A tenant's account at a provider.
    IntegrationId
}

id_newtype! {
    /// A dashboard's row.
    DashboardId
}
id_newtype! {
    /// A widget's row.
    WidgetId
}
id_newtype! {
    /// An activity's row.
    ActivityId
}
id_newtype! {
    /// A webhook delivery's row.
    DeliveryId
}
id_newtype! {
    /// An opaque, authenticated position in the tenant's stream, as clients hold it. Only `resolvers` reads it.
    EventCursor
}

/// A provider's node as stored rows name it: the type is plain text, since a row may outlive its provider in the build.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReference {
    /// The integration through which it is read.
    pub integration: IntegrationId,
    /// Its GraphQL type.
    #[serde(rename = "type")]
    pub type_name: Arc<str>,
    /// The provider's own id.
    pub native_id: Arc<str>,
}

impl From<&NodeKey> for NodeReference {
    fn from(key: &NodeKey) -> Self {
        Self {
            integration: key.integration.clone(),
            type_name: key.type_name.into(),
            native_id: Arc::clone(&key.native_id),
        }
    }
}

impl From<&NodeReference> for GlobalId {
    fn from(reference: &NodeReference) -> Self {
        Self::Node {
            integration: reference.integration.clone(),
            type_name: reference.type_name.as_ref().into(),
            native_id: reference.native_id.as_ref().into(),
        }
    }
}

/// A node at a provider, as one integration sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeKey {
    /// The integration through which it is read.
    pub integration: IntegrationId,
    /// Its GraphQL type: `GithubIssue`.
    pub type_name: &'static str,
    /// The provider's own id (GitHub `node_id`, Slack `team:channel:ts`, Asana gid).
    pub native_id: Arc<str>,
}

impl NodeKey {
    /// A key.
    pub fn new(integration: &IntegrationId, type_name: &'static str, native_id: impl Into<Arc<str>>) -> Self {
        Self { integration: integration.clone(), type_name, native_id: native_id.into() }
    }

    /// The node without its integration, as it stands in bodies and tags: `GithubIssue:I_kw…`.
    pub fn reference(&self) -> String {
        [self.type_name, ":", &*self.native_id].concat()
    }
}

/// The thing that an opaque global id names. Ids never carry the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GlobalId {
    /// A row of ours: type name and row id (`Dashboard`, `Integration`, `Widget`, `Activity`, …).
    Own {
        /// GraphQL type name; all widget types use `Widget`.
        type_name: String,
        /// The row's id.
        id: String,
    },
    /// A provider's node.
    Node {
        /// The integration.
        integration: IntegrationId,
        /// GraphQL type name, not yet checked against the list of types.
        type_name: String,
        /// The provider's id.
        native_id: String,
    },
}

/// The text is no global id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this graph")]
pub struct MalformedId;

/// Ids are capped so that a forged one cannot carry a megabyte into the database.
const MAX_ID_LENGTH: usize = 1024;

impl GlobalId {
    /// The id of a row of ours.
    pub fn own(type_name: &str, id: &str) -> Self {
        Self::Own { type_name: type_name.into(), id: id.into() }
    }

    /// The opaque text: unpadded base64url.
    pub fn encode(&self) -> String {
        let plain = match self {
            Self::Own { type_name, id } => format!("o\n{type_name}\n{id}"),
            Self::Node { integration, type_name, native_id } => format!("n\n{type_name}\n{integration}\n{native_id}"),
        };
        URL_SAFE_NO_PAD.encode(plain)
    }

    /// Reads an opaque text.
    pub fn decode(text: &str) -> Result<Self, MalformedId> {
        if text.len() > MAX_ID_LENGTH {
            return Err(MalformedId);
        }
        let plain = URL_SAFE_NO_PAD.decode(text).map_err(|_| MalformedId)?;
        let plain = String::from_utf8(plain).map_err(|_| MalformedId)?;
        if plain.contains('\0') {
            return Err(MalformedId);
        }
        let parts: Vec<&str> = plain.split('\n').collect();
        match parts.as_slice() {
            ["o", type_name, id] if !type_name.is_empty() && !id.is_empty() => Ok(Self::own(type_name, id)),
            ["n", type_name, integration, native_id]
                if !type_name.is_empty() && !integration.is_empty() && !native_id.is_empty() =>
            {
                Ok(Self::Node {
                    integration: (*integration).into(),
                    type_name: (*type_name).into(),
                    native_id: (*native_id).into(),
                })
            }
            _ => Err(MalformedId),
        }
    }
}

impl From<&NodeKey> for GlobalId {
    fn from(key: &NodeKey) -> Self {
        Self::Node {
            integration: key.integration.clone(),
            type_name: key.type_name.into(),
            native_id: key.native_id.as_ref().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GlobalId, MalformedId};

    #[test]
    fn an_id_reads_back_as_what_it_was() {
        for id in [
            GlobalId::own("Dashboard", "team"),
            GlobalId::Node {
                integration: "i1".into(),
                type_name: "SlackMessage".into(),
                native_id: "T1:C1:1.5".into(),
            },
        ] {
            assert_eq!(GlobalId::decode(&id.encode()), Ok(id));
        }
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in ["", "x", "====", "b3g", "bwpEYXNoYm9hcmQ", "bgpBCkIK", &"A".repeat(5000)] {
            assert_eq!(GlobalId::decode(text), Err(MalformedId), "{text:.20}");
        }
    }
}
