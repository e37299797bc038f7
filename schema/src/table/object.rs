//! Objects whose type is only known when they are answered, and what a loaded node can become.

use std::{borrow::Cow, sync::Arc};

use async_graphql::{
    ContainerType, Context, ContextSelectionSet, OutputType, ServerResult, Value,
    resolver_utils::{Fields, resolve_container},
};
use futures::future::BoxFuture;

use crate::view::NodeView;

/// An object of the graph, whatever its type.
pub trait AnyObject: Send + Sync {
    /// Its concrete type.
    fn concrete_name(&self) -> Cow<'static, str>;

    /// One of its fields.
    fn field<'a>(&'a self, ctx: &'a Context<'a>) -> BoxFuture<'a, ServerResult<Option<Value>>>;

    /// Everything that is selected of it.
    fn resolve<'a>(&'a self, ctx: &'a ContextSelectionSet<'a>) -> BoxFuture<'a, ServerResult<Value>>;

    /// The fields of a fragment that applies to its type.
    fn collect<'a>(&'a self, ctx: &ContextSelectionSet<'a>, fields: &mut Fields<'a>) -> ServerResult<()>;
}

impl<T: ContainerType + Send + Sync> AnyObject for T {
    fn concrete_name(&self) -> Cow<'static, str> {
        self.introspection_type_name()
    }

    fn field<'a>(&'a self, ctx: &'a Context<'a>) -> BoxFuture<'a, ServerResult<Option<Value>>> {
        Box::pin(self.resolve_field(ctx))
    }

    fn resolve<'a>(&'a self, ctx: &'a ContextSelectionSet<'a>) -> BoxFuture<'a, ServerResult<Value>> {
        Box::pin(resolve_container(ctx, self))
    }

    fn collect<'a>(&'a self, ctx: &ContextSelectionSet<'a>, fields: &mut Fields<'a>) -> ServerResult<()> {
        self.collect_all_fields(ctx, fields)
    }
}

/// Something that a loaded node can become; `None` where it is of another type.
pub trait FromView: OutputType + Send + Sync + Sized + 'static {
    /// From a loaded node.
    fn from_view(view: Arc<NodeView>) -> Option<Self>;
}
