//! How long lists are and what fields weigh, as declared beside each field: `@listSize` and `@cost` of the cost specification
//! (<https://ibm.github.io/graphql-specs/cost-spec.html>). The SDL shows them, [`Costs`](super::Costs) measures with them, and a
//! federation's router reads the same numbers.

use std::borrow::Cow;

use async_graphql::{
    TypeDirective, Value,
    indexmap::IndexMap,
    registry::{
        __DirectiveLocation, MetaDirective, MetaDirectiveInvocation, MetaField, MetaInputValue, MetaType, MetaTypeName,
        Registry, location_traits::Directive_At_FIELD_DEFINITION,
    },
};

use crate::limits::MAX_ITEMS;

pub(super) const LIST_SIZE: &str = "listSize";
pub(super) const ASSUMED: &str = "assumedSize";
pub(super) const SLICING: &str = "slicingArguments";
pub(super) const SIZED: &str = "sizedFields";
const REQUIRE_ONE: &str = "requireOneSlicingArgument";
pub(super) const COST: &str = "cost";
pub(super) const WEIGHT: &str = "weight";

/// How many items a page has when `first` is left out.
const USUAL_PAGE: u32 = 20;

/// How many items a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSize {
    /// A page of a connection: `first` items, or 20, below `nodes` and below `edges`.
    Page,
    /// The usual number, or the largest where there is one.
    Items(u32),
    /// As many as the list in this argument has.
    Given(&'static str),
    /// As many as this argument says, or all of so many.
    Slice(&'static str, u32),
}

impl ListSize {
    /// The directive that says so.
    pub(crate) fn directive(self) -> MetaDirectiveInvocation {
        let given = u32::try_from(MAX_ITEMS).unwrap_or(u32::MAX);
        let (assumed, slicing, sized): (u32, &[&str], &[&str]) = match &self {
            Self::Page => (USUAL_PAGE, &["first"], &["nodes", "edges"]),
            Self::Items(count) => (*count, &[], &[]),
            Self::Given(argument) => (given, std::slice::from_ref(argument), &[]),
            Self::Slice(argument, all) => (*all, std::slice::from_ref(argument), &[]),
        };
        let names = |names: &[&str]| Value::List(names.iter().map(|name| Value::from(*name)).collect());
        let mut args = IndexMap::from([(ASSUMED.to_owned(), Value::from(assumed))]);
        if !slicing.is_empty() {
            args.insert(SLICING.to_owned(), names(slicing));
        }
        if !sized.is_empty() {
            args.insert(SIZED.to_owned(), names(sized));
        }
        if !slicing.is_empty() {
            args.insert(REQUIRE_ONE.to_owned(), Value::from(false));
        }
        MetaDirectiveInvocation { name: LIST_SIZE.to_owned(), args }
    }
}

/// The directive that says what a field weighs where it is not 1.
pub(crate) fn weight(weight: u32) -> MetaDirectiveInvocation {
    let args = IndexMap::from([(WEIGHT.to_owned(), Value::from(weight.to_string()))]);
    MetaDirectiveInvocation { name: COST.to_owned(), args }
}

/// Declares how the fields of derived types name a [`ListSize`]: `#[graphql(directive = Items::apply(10))]`.
macro_rules! declarations {
    ($($(#[doc = $doc:literal])+ $name:ident($($argument:ident: $ty:ty),*) = $size:expr;)+) => { $(
        $(#[doc = $doc])+
        pub(crate) struct $name;

        impl $name {
            /// The directive.
            pub(crate) fn apply($($argument: $ty),*) -> MetaDirectiveInvocation {
                $size.directive()
            }
        }

        impl TypeDirective for $name {
            fn name(&self) -> Cow<'static, str> {
                Cow::Borrowed(LIST_SIZE)
            }

            fn register(&self, registry: &mut Registry) {
                register(registry);
            }
        }

        impl Directive_At_FIELD_DEFINITION for $name {}
    )+ };
}

declarations! {
    /// Declares [`ListSize::Page`].
    Page() = ListSize::Page;
    /// Declares [`ListSize::Items`].
    Items(count: u32) = ListSize::Items(count);
    /// Declares [`ListSize::Given`].
    Given(argument: &'static str) = ListSize::Given(argument);
    /// Declares [`ListSize::Slice`].
    Slice(argument: &'static str, all: u32) = ListSize::Slice(argument, all);
}

/// Adds the definitions of both directives.
pub(crate) fn register(registry: &mut Registry) {
    let define = |name: &str, description: &str, args: &[(&str, &str, Option<&str>)]| MetaDirective {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        locations: vec![__DirectiveLocation::FIELD_DEFINITION],
        args: args
            .iter()
            .map(|(name, ty, default)| {
                let mut value = MetaInputValue::new(*name, *ty);
                value.default_value = default.map(str::to_owned);
                ((*name).to_owned(), value)
            })
            .collect(),
        is_repeatable: false,
        visible: None,
        composable: None,
    };
    registry.add_directive(define(
        LIST_SIZE,
        "How many items a list has, for the limit on an operation's cost: the slicing argument's value where it is given, else the assumed size. A connection's size counts below its sized fields.",
        &[
            (ASSUMED, "Int", None),
            (SLICING, "[String!]", None),
            (SIZED, "[String!]", None),
            (REQUIRE_ONE, "Boolean", Some("true")),
        ],
    ));
    registry.add_directive(define(
        COST,
        "A field's share of an operation's cost, where it is not 1.",
        &[(WEIGHT, "String!", None)],
    ));
}

/// Leaves only what the specification knows: it slices by numbers, and not by the length of a list.
pub(crate) fn keep_to_the_specification(registry: &mut Registry) {
    for MetaField { args, directive_invocations, .. } in fields(registry) {
        for directive in directive_invocations.iter_mut().filter(|directive| directive.name == LIST_SIZE) {
            let Some(Value::List(slicing)) = directive.args.get_mut(SLICING) else { continue };
            slicing.retain(|name| {
                let Value::String(name) = name else { return false };
                args.get(name).is_some_and(|arg| !MetaTypeName::create(&arg.ty).is_list())
            });
            if slicing.is_empty() {
                directive.args.shift_remove(SLICING);
                directive.args.shift_remove(REQUIRE_ONE);
            }
        }
    }
}

/// Takes the definitions away, because a subgraph imports them. Federation's weight is a number, where the specification has a text.
pub(crate) fn import_definitions(registry: &mut Registry) {
    registry.directives.remove(LIST_SIZE);
    registry.directives.remove(COST);
    for field in fields(registry) {
        for directive in field.directive_invocations.iter_mut().filter(|directive| directive.name == COST) {
            if let Some(weight) = directive.args.get_mut(WEIGHT)
                && let Value::String(text) = weight
                && let Ok(number) = text.parse::<u32>()
            {
                *weight = Value::from(number);
            }
        }
    }
}

fn fields(registry: &mut Registry) -> impl Iterator<Item = &mut MetaField> {
    let fields = registry.types.values_mut().filter_map(|ty| match ty {
        MetaType::Object { fields, .. } | MetaType::Interface { fields, .. } => Some(fields.values_mut()),
        _ => None,
    });
    fields.flatten()
}

/// The SDL of a subgraph with the import of both directives, which federation has since 2.9. The library writes 2.5.
pub(crate) fn with_import(sdl: &str) -> String {
    sdl.replacen("federation/v2.5\"", "federation/v2.9\"", 1).replacen(
        "import: [\"@key\"",
        "import: [\"@cost\", \"@listSize\", \"@key\"",
        1,
    )
}
