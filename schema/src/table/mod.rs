//! Provider types as tables: every field of a provider's type says its name, its documentation, its GraphQL type, where its
//! value lies in the body, and what must be asked of the provider to have it. The graph's type, its answers, selection
//! pushdown and prefetching of nested lists are all read from the same line, so none of them can disagree with another.
//!
//! (One derive for each of some twenty provider types, with interfaces over them, would be most of the crate's compile time.)

/// Declares a marker and the static table of a type: `table! { /// Marker doc. GithubIssue = ISSUE { doc: …, … } }`.
macro_rules! table {
    ($($(#[$meta:meta])* $marker:ident = $table:ident { $($field:ident: $value:expr),+ $(,)? })+) => { $(
        $(#[$meta])*
        pub struct $marker;

        #[doc = concat!("The table of [`", stringify!($marker), "`].")]
        pub static $table: $crate::table::NodeType = $crate::table::NodeType {
            name: stringify!($marker),
            $($field: $value,)+
            make: $crate::table::make::<$marker>,
            register: <$crate::table::Row<$marker> as async_graphql::OutputType>::create_type_info,
        };

        impl $crate::table::Kind for $marker {
            fn table() -> &'static $crate::table::NodeType {
                &$table
            }
        }
    )+ };
}
pub(crate) use table;

mod abstraction;
mod arguments;
mod build;
mod catalog;
mod connection;
mod context;
mod list;
mod load;
mod many;
mod meta;
mod object;
mod row;
mod showable;

use std::{collections::BTreeSet, sync::Arc};

use async_graphql::{Context, ServerResult, Value, registry::Registry};
use futures::future::BoxFuture;

pub use abstraction::{Abstract, Abstraction, Shape};
pub use arguments::{Arg, Arguments, FilterRule};
pub use build::{AFTER, Derive, FIRST};
pub use catalog::{Catalog, NodeTypeList, node_type, node_types};
pub use connection::{Connection, Edge, Item, PageInfo};
pub use context::server_error;
pub(crate) use context::{note_missing, ports, resolve_value};
pub use load::{Found, load};
pub use many::Many;
pub use meta::fields_meta;
pub use object::{AnyObject, FromView};
pub use row::{Kind, Row, make};
pub use showable::showable;

use crate::{cost::ListSize, fields::FieldSet, view::NodeView};

/// Registers a type and gives its qualified name.
pub type TypeInfo = fn(&mut Registry) -> String;

/// Reads a value from a body.
pub type Read = fn(&NodeView) -> Option<Value>;

/// Says what a field finds.
pub type Finder = fn(&NodeView, &Arguments) -> Found;

/// Answers a field that needs more than the body.
pub type Answerer = for<'a> fn(Call<'a>) -> BoxFuture<'a, ServerResult<Value>>;

/// A type of a provider: of nodes, of values inside them, or the provider's root.
#[derive(Debug)]
pub struct NodeType {
    /// The GraphQL type: `GithubIssue`.
    pub name: &'static str,
    /// The provider's key: `github`.
    pub provider: &'static str,
    /// For users.
    pub doc: &'static str,
    /// The interfaces that it implements, all of them.
    pub interfaces: &'static [&'static str],
    /// Body keys that are asked for whenever the node is fetched: identity, times, and what non-null fields need.
    pub always: &'static [&'static str],
    /// Its fields, in groups that types share.
    pub fields: &'static [&'static [Field]],
    /// Wraps a loaded node of this type.
    pub make: fn(Arc<NodeView>) -> Box<dyn AnyObject>,
    /// Registers the type.
    pub register: TypeInfo,
}

impl NodeType {
    /// The body keys that must be there to answer `selected`.
    pub fn needs(&self, selected: &FieldSet) -> impl Iterator<Item = &'static str> {
        let always = if selected.is_empty() { &[][..] } else { self.always };
        always.iter().copied().chain(selected.iter().filter_map(|name| self.field(name)).flat_map(Field::needed))
    }

    /// The body keys to ask the provider for to answer `selected`.
    pub fn asks(&self, selected: &FieldSet) -> BTreeSet<&'static str> {
        self.always.iter().copied().chain(self.chosen(selected).flat_map(Field::asked)).collect()
    }

    /// Every body key that a field of this type is answered from.
    pub fn keys(&self) -> BTreeSet<&'static str> {
        self.always.iter().copied().chain(self.all().flat_map(Field::asked)).collect()
    }

    /// Non-null fields whose keys are not among `always`: mistakes of the table.
    pub fn lacking(&self) -> impl Iterator<Item = &'static str> {
        let missing = |field: &&Field| !field.nullable && field.needed().any(|key| !self.always.contains(&key));
        self.all().filter(missing).map(|field| field.name)
    }

    /// The names of all fields.
    pub fn names(&self) -> FieldSet {
        self.all().map(|field| field.name).collect()
    }

    /// All fields.
    pub fn all(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().flat_map(|group| group.iter())
    }

    /// A field by its GraphQL name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.all().find(|field| field.name == name)
    }

    /// A stored or derived value of a node of this type, by its GraphQL name, as the graph answers it: `state`, `title`.
    pub fn read(&self, view: &NodeView, name: &str) -> Option<Value> {
        let field = self.field(name)?;
        match field.answer {
            Answer::Key(read) => read(view, field.key.unwrap_or(field.name)),
            Answer::Derived(read) => read(view),
            Answer::Ask(_) => None,
        }
    }

    /// Fields that show a provider's words as values of an enum.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.all().filter(|field| field.is_word).map(|field| field.name)
    }

    /// The first field that can never be null and has no value: a node without it cannot be shown.
    pub fn missing(&self, view: &NodeView) -> Option<&'static str> {
        let lacks = |field: &&Field| match field.answer {
            _ if field.nullable => false,
            Answer::Key(_) | Answer::Ask(_) => field.key.is_some_and(|key| view.get(key).is_none()),
            Answer::Derived(read) => !field.needs.is_empty() && read(view).is_none(),
        };
        self.all().find(lacks).map(|field| field.name)
    }

    /// Whether it implements an interface.
    pub fn implements(&self, interface: &str) -> bool {
        self.interfaces.contains(&interface)
    }

    fn chosen<'a>(&self, selected: &'a FieldSet) -> impl Iterator<Item = &'static Field> + use<'a> {
        let groups = self.fields;
        groups.iter().flat_map(|group| group.iter()).filter(|field| selected.contains(field.name))
    }
}

/// A field of a provider's type. Made by the functions of `build`.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) ty: TypeInfo,
    pub(crate) nullable: bool,
    /// The body key that holds it, where one does.
    pub(crate) key: Option<&'static str>,
    pub(crate) needs: &'static [&'static str],
    pub(crate) asks: &'static [&'static str],
    pub(crate) args: &'static [Arg],
    /// The list of the node that it pages through.
    pub(crate) list: Option<&'static str>,
    /// How many items it has, if it is a list.
    pub(crate) size: Option<ListSize>,
    /// Its share of an operation's cost.
    pub(crate) weight: u32,
    /// How it finds something by name.
    pub(crate) find: Option<Finder>,
    /// Whether the provider's word behind a derived value is unknown to this version.
    pub(crate) is_unknown: Option<fn(&NodeView) -> bool>,
    /// It shows a provider's word as a value of an enum.
    pub(crate) is_word: bool,
    pub(crate) answer: Answer,
}

impl Field {
    fn needed(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.key.into_iter().chain(self.needs.iter().copied())
    }

    fn asked(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.needed().chain(self.asks.iter().copied())
    }
}

/// How a field is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// The value under its key.
    Key(fn(&NodeView, &str) -> Option<Value>),
    /// From several keys.
    Derived(Read),
    /// By asking further.
    Ask(Answerer),
}

/// A field that is being answered.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The execution.
    pub ctx: &'a Context<'a>,
    /// The node that the field belongs to.
    pub view: &'a Arc<NodeView>,
    /// The field.
    pub field: &'static Field,
}
