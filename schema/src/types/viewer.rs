//! The caller.

use std::sync::Arc;

use async_graphql::{ID, Object};

use crate::{cost::Items, id::GlobalId, ports::ViewerView};

/// The caller.
pub struct Viewer(pub Arc<ViewerView>);

/// The credential that you use, and what it may do.
#[Object]
impl Viewer {
    /// Opaque, global and stable.
    async fn id(&self) -> ID {
        GlobalId::own("Viewer", &self.0.id).encode().into()
    }

    /// The credential's name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The tenant that everything here belongs to.
    async fn tenant(&self) -> Tenant {
        Tenant(Arc::clone(&self.0))
    }

    /// Your permissions: `read`, `dashboards:write`, `integrations:write`.
    #[graphql(directive = Items::apply(3))]
    async fn permissions(&self) -> &[&'static str] {
        self.0.role.permissions()
    }
}

/// The caller's tenant.
pub struct Tenant(Arc<ViewerView>);

/// A team or a company: owns its dashboards and integrations.
#[Object]
impl Tenant {
    /// Opaque, global and stable.
    async fn id(&self) -> ID {
        GlobalId::own("Tenant", self.0.tenant.as_str()).encode().into()
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.tenant_name
    }
}
