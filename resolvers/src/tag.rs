//! Tags: what everything that is fetched, cached, stored, sent or waited for is keyed by.
//!
//! A tag carries the tenant and the integration, so whoever knows one webhook secret can make nothing stale for anyone else.

use std::{fmt, sync::Arc};

use mullion_schema::{
    id::{IntegrationId, NodeKey, TenantId},
    ports::List,
};
use serde::{Deserialize, Serialize};

/// `{tenant}/{integration}/GithubPullRequest:PR_kw…`, `…/GithubRepository:R_kg…/pullRequests`, `{tenant}/mullion:Dashboard:01J…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The tag of one provider node.
    pub fn node(tenant: &TenantId, key: &NodeKey) -> Self {
        Self::of_node(tenant, &key.integration, key.type_name, &key.native_id)
    }

    /// The same from its parts.
    pub fn of_node(tenant: &TenantId, integration: &IntegrationId, type_name: &str, native_id: &str) -> Self {
        Self(format!("{tenant}/{integration}/{type_name}:{native_id}").into())
    }

    /// The tag of a list that was read. All filters of a list share it.
    pub fn list(tenant: &TenantId, list: &List) -> Self {
        let parent = list.parent.as_ref().map(|(type_name, native_id)| (*type_name, native_id.as_ref()));
        Self::of_list(tenant, &list.integration, parent, list.name)
    }

    /// The same from its parts.
    pub fn of_list(tenant: &TenantId, integration: &IntegrationId, parent: Option<(&str, &str)>, name: &str) -> Self {
        match parent {
            Some((type_name, native_id)) => {
                Self(format!("{tenant}/{integration}/{type_name}:{native_id}/{name}").into())
            }
            None => Self(format!("{tenant}/{integration}/{name}").into()),
        }
    }

    /// The tag of a row of ours: `Dashboard`, `Widget`, `Integration`.
    pub fn own(tenant: &TenantId, type_name: &str, id: &str) -> Self {
        Self(format!("{tenant}/mullion:{type_name}:{id}").into())
    }

    /// The tag of the stream's head itself, which is another after every change.
    pub fn head(tenant: &TenantId) -> Self {
        Self::own_list(tenant, "head")
    }

    /// The tag of a collection of ours: `dashboards`, `integrations`, `activity`.
    pub fn own_list(tenant: &TenantId, name: &str) -> Self {
        Self(format!("{tenant}/mullion:{name}").into())
    }

    /// The integration whose node or list this is; `None` for rows of ours.
    pub fn integration(&self) -> Option<&str> {
        let (_, rest) = self.0.split_once('/')?;
        let (integration, _) = rest.split_once('/')?;
        (!integration.starts_with("mullion:")).then_some(integration)
    }

    /// Its name within its integration: `Type:nativeId`, or a list; `None` for rows of ours.
    pub fn within_integration(&self) -> Option<&str> {
        self.integration()?;
        self.0.splitn(3, '/').nth(2)
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
