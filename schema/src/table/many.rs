//! Lists whose items' errors keep their paths. The library's own lists replace the path of an error that bubbles through them
//! by that of the item.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerError, ServerResult, Value,
    parser::types::Field,
    registry::{MetaType, Registry},
};
use futures::future::try_join_all;

use super::catalog::node_type;
use crate::answer_size;

/// A list of values that are not null.
#[derive(Debug, Clone, Default)]
pub struct Many<T>(pub Vec<T>);

impl<T> FromIterator<T> for Many<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<T: OutputType> OutputType for Many<T> {
    fn type_name() -> Cow<'static, str> {
        Cow::Owned(format!("[{}]", T::qualified_type_name()))
    }

    fn qualified_type_name() -> String {
        format!("[{}]!", T::qualified_type_name())
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry);
        Self::qualified_type_name()
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let counted = match ctx.schema_env.registry.types.get(&*T::type_name()) {
            Some(MetaType::Interface { .. } | MetaType::Union { .. }) => Counted::ByType,
            Some(MetaType::Object { name, .. }) if node_type(name).is_none() => Counted::Here,
            _ => Counted::Elsewhere,
        };
        self.resolve_items(ctx, field, counted).await
    }
}

/// Where the bytes of a list's items are counted, for the limit of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Here: they are objects of our own.
    Here,
    /// By their fields: they are rows of tables.
    Elsewhere,
    /// The one or the other, by the type of each.
    ByType,
}

impl<T: OutputType> Many<T> {
    pub(crate) async fn resolve_items(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
        counted: Counted,
    ) -> ServerResult<Value> {
        let items = self.0.iter().enumerate().map(|(index, item)| async move {
            let ctx = ctx.with_index(index);
            let value = OutputType::resolve(item, &ctx, field)
                .await
                .map_err(|error| if error.path.is_empty() { ctx.set_error_path(error) } else { error })?;
            let here = match counted {
                Counted::Here => true,
                Counted::Elsewhere => false,
                Counted::ByType => is_our_own(&ctx.schema_env.registry, &item.introspection_type_name()),
            };
            if here {
                answer_size::count_object(&ctx, &value).await;
            }
            // The library adds those of nullable fields in the item.
            answer_size::count_errors(&ctx).await;
            Ok::<_, ServerError>(value)
        });
        Ok(Value::List(try_join_all(items).await?))
    }
}

fn is_our_own(registry: &Registry, name: &str) -> bool {
    node_type(name).is_none() && matches!(registry.types.get(name), Some(MetaType::Object { .. }))
}
