//! Tables as async-graphql's registry wants them.

use async_graphql::{
    indexmap::IndexMap,
    registry::{MetaField, MetaInputValue, MetaType, ObjectBuilder, Registry},
};

use super::{Field, NodeType};
use crate::cost::{self, ListSize};

/// The fields of groups as the registry holds them.
pub fn fields_meta(registry: &mut Registry, groups: &[&[Field]]) -> IndexMap<String, MetaField> {
    let all = groups.iter().flat_map(|group| group.iter());
    all.map(|field| (field.name.to_owned(), field_meta(registry, field))).collect()
}

fn field_meta(registry: &mut Registry, field: &Field) -> MetaField {
    let qualified = (field.ty)(registry);
    let bare = qualified.strip_suffix('!').unwrap_or(&qualified);
    let mut meta = MetaField::new(field.name, if field.nullable { bare.to_owned() } else { format!("{bare}!") });
    meta.description = Some(field.doc.to_owned());
    cost::register(registry);
    meta.directive_invocations.extend(field.size.map(ListSize::directive));
    meta.directive_invocations.extend((field.weight != 1).then(|| cost::weight(field.weight)));
    for arg in field.args {
        let mut value = MetaInputValue::new(arg.name, (arg.ty)(registry));
        value.description = Some(arg.doc.to_owned());
        meta.args.insert(arg.name.to_owned(), value);
    }
    meta
}

/// An object type.
pub(super) fn object_meta(registry: &mut Registry, table: &NodeType, rust_typename: &'static str) -> MetaType {
    let fields = fields_meta(registry, table.fields);
    let keys = table.implements("Node").then(|| vec!["id".to_owned()]);
    for interface in table.interfaces {
        registry.add_implements(table.name, interface);
    }
    ObjectBuilder::new(table.name, fields)
        .description(Some(table.doc.to_owned()))
        .keys(keys)
        .rust_typename(rust_typename)
        .build()
}
