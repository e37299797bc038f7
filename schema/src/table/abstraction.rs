//! Interfaces and unions: one wrapper around any object of the graph, told apart by a marker.
//!
//! It is flat: it holds the concrete object, so `__typename` and fragments always see the concrete type.

use std::{borrow::Cow, marker::PhantomData, sync::Arc};

use async_graphql::{
    ContainerType, Context, ContextSelectionSet, InterfaceType, OutputType, Positioned, ServerResult, UnionType, Value,
    indexmap::{IndexMap, IndexSet},
    parser::types::Field as ParsedField,
    registry::{MetaType, MetaTypeId, Registry},
    resolver_utils::{Fields, resolve_container},
};

use super::{
    Field, NodeType, TypeInfo,
    catalog::{node_type, node_types},
    connection::Item,
    meta::fields_meta,
    object::{AnyObject, FromView},
};
use crate::view::NodeView;

/// An interface or a union.
pub trait Abstraction: Send + Sync + 'static {
    /// Its GraphQL name.
    const NAME: &'static str;
    /// For users.
    const DOC: &'static str;
    /// The stem of its connections' names.
    const STEM: &'static str = Self::NAME;
    /// Which of the two it is.
    const SHAPE: Shape;
    /// Types of our own that belong to it.
    const OWN_TYPES: &'static [TypeInfo] = &[];
}

/// The parts of an abstraction.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// An interface: its fields, and the interfaces that it implements. Provider types name it themselves.
    Interface {
        /// Its fields, in groups.
        fields: &'static [&'static [Field]],
        /// The interfaces above it.
        implements: &'static [&'static str],
    },
    /// A union of these provider types.
    Union(&'static [&'static str]),
}

/// An object behind an interface or a union.
pub struct Abstract<A>(Box<dyn AnyObject>, PhantomData<fn() -> A>);

impl<A> Abstract<A> {
    /// The concrete type of the object.
    pub fn concrete_name(&self) -> Cow<'static, str> {
        self.0.concrete_name()
    }

    /// Wraps an object, whose type must belong to the abstraction.
    pub fn new(object: impl AnyObject + 'static) -> Self {
        Self(Box::new(object), PhantomData)
    }
}

impl<A: Abstraction> Abstract<A> {
    fn has(table: &NodeType) -> bool {
        match A::SHAPE {
            Shape::Interface { .. } => table.implements(A::NAME),
            Shape::Union(members) => members.contains(&table.name),
        }
    }

    fn meta(registry: &mut Registry, rust_typename: &'static str) -> MetaType {
        let mut possible_types = IndexSet::new();
        for table in node_types().filter(|table| Self::has(table)) {
            (table.register)(registry);
            possible_types.insert(table.name.to_owned());
        }
        for register in A::OWN_TYPES {
            possible_types.insert(register(registry).trim_end_matches('!').to_owned());
        }
        let (name, description) = (A::NAME.to_owned(), Some(A::DOC.to_owned()));
        match A::SHAPE {
            Shape::Union(_) => MetaType::Union {
                name,
                description,
                possible_types,
                visible: None,
                inaccessible: false,
                tags: Vec::new(),
                rust_typename: Some(rust_typename),
                directive_invocations: Vec::new(),
            },
            Shape::Interface { fields, implements } => {
                let fields: IndexMap<_, _> = fields_meta(registry, fields);
                for above in implements {
                    registry.add_implements(A::NAME, above);
                }
                MetaType::Interface {
                    name,
                    description,
                    fields,
                    possible_types,
                    extends: false,
                    keys: None,
                    visible: None,
                    inaccessible: false,
                    tags: Vec::new(),
                    rust_typename: Some(rust_typename),
                    directive_invocations: Vec::new(),
                    requires_scopes: Vec::new(),
                }
            }
        }
    }
}

impl<A: Abstraction> FromView for Abstract<A> {
    fn from_view(view: Arc<NodeView>) -> Option<Self> {
        let table = node_type(view.key.type_name).filter(|table| Self::has(table))?;
        Some(Self((table.make)(view), PhantomData))
    }
}

impl<A: Abstraction> OutputType for Abstract<A> {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed(A::NAME)
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.concrete_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        let rust_typename = std::any::type_name::<Self>();
        let id = match A::SHAPE {
            Shape::Interface { .. } => MetaTypeId::Interface,
            Shape::Union(_) => MetaTypeId::Union,
        };
        registry.create_output_type::<Self, _>(id, |registry| Self::meta(registry, rust_typename))
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _field: &Positioned<ParsedField>) -> ServerResult<Value> {
        resolve_container(ctx, self).await
    }
}

impl<A: Abstraction> ContainerType for Abstract<A> {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        self.0.field(ctx).await
    }

    fn collect_all_fields<'a>(&'a self, ctx: &ContextSelectionSet<'a>, fields: &mut Fields<'a>) -> ServerResult<()> {
        self.0.collect(ctx, fields)
    }
}

impl<A: Abstraction> InterfaceType for Abstract<A> {}
impl<A: Abstraction> UnionType for Abstract<A> {}

impl<A: Abstraction> Item for Abstract<A> {
    fn stem() -> Cow<'static, str> {
        Cow::Borrowed(A::STEM)
    }
}
