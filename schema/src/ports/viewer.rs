//! The caller, as the credential names it. Fields decide by the role; which rows are visible is the ports' matter.

use crate::id::TenantId;

/// The role of a caller; each role may do what the ones before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Changes dashboards and widgets.
    Editor,
    /// Connects, changes and disconnects integrations.
    Admin,
}

impl Role {
    /// The permissions of the role, in words of the graph.
    pub fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::Viewer => &["read"],
            Self::Editor => &["read", "dashboards:write"],
            Self::Admin => &["read", "dashboards:write", "integrations:write"],
        }
    }
}

/// The caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewerView {
    /// Id of the credential (API key).
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The role of the caller.
    pub role: Role,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The tenant's name.
    pub tenant_name: String,
}
