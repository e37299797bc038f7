//! Asana's "input/output options": which fields of a record are written (`opt_fields=name,assignee.name`), and the records
//! written as JSON accordingly.

use serde_json::{Map, Value};

use super::fields;
use super::node::{Group, Node};
use super::records::Ref;
use super::world::World;

/// Selected fields: a tree, in the order of first mention.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selection(Vec<(String, Selection)>);

impl Selection {
    /// Reads `a,b.c,b.d`. `this.` before a path means nothing.
    pub(super) fn parse(paths: &str) -> Self {
        let mut root = Self::default();
        for path in paths.split(',').map(str::trim).filter(|path| !path.is_empty()) {
            root.insert(path.strip_prefix("this.").unwrap_or(path));
        }
        root
    }

    fn insert(&mut self, path: &str) {
        let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        let at = self.0.iter().position(|(name, _)| name == head).unwrap_or_else(|| {
            self.0.push((head.to_owned(), Self::default()));
            self.0.len() - 1
        });
        if let (Some(rest), Some((_, below))) = (rest, self.0.get_mut(at)) {
            below.insert(rest);
        }
    }

    fn below(&self, name: &str) -> Option<&Self> {
        self.0.iter().find(|(of, _)| of == name).map(|(_, below)| below)
    }
}

/// How much of a record is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'s> {
    /// Only what it is: `gid` and `resource_type`.
    Stub,
    /// As in a list.
    Compact,
    /// As asked for by itself.
    Full,
    /// As `opt_fields` says.
    Fields(&'s Selection),
}

/// Writes a record.
pub(super) fn record(world: &World, of: Ref, shape: Shape<'_>) -> Value {
    let mut written = Map::new();
    written.insert("gid".to_owned(), Value::String(of.gid.to_string()));
    let mut write = |name: &str, below: Shape<'_>| {
        if let Some(value) = fields::field(world, of, name) {
            written.insert(name.to_owned(), node(world, value, below));
        }
    };
    match shape {
        Shape::Stub => write("resource_type", Shape::Stub),
        Shape::Compact => fields::compact(of.kind).iter().for_each(|name| write(name, Shape::Compact)),
        Shape::Full => fields::full(of.kind).iter().for_each(|name| write(name, Shape::Compact)),
        Shape::Fields(selection) => selection.0.iter().for_each(|(name, below)| write(name, shape_below(below))),
    }
    Value::Object(written)
}

/// Writes a field's value.
pub(super) fn node(world: &World, value: Node, shape: Shape<'_>) -> Value {
    match value {
        Node::Value(value) => value,
        Node::One(of) => of.map_or(Value::Null, |of| record(world, of, shape)),
        Node::Many(all) => all.into_iter().map(|of| record(world, of, shape)).collect(),
        Node::Group(of) => group(world, of, shape),
        Node::Groups(all) => all.into_iter().map(|of| group(world, of, shape)).collect(),
    }
}

/// Writes an object without a record of its own: whole unless fields of it are selected; its gid always.
pub(super) fn group(world: &World, of: Group, shape: Shape<'_>) -> Value {
    let mut written = Map::new();
    for (name, value) in of {
        let below = match shape {
            Shape::Fields(selection) => match selection.below(name) {
                Some(below) => shape_below(below),
                None if name == "gid" => Shape::Stub,
                None => continue,
            },
            whole => whole,
        };
        written.insert(name.to_owned(), node(world, value, below));
    }
    Value::Object(written)
}

fn shape_below(selection: &Selection) -> Shape<'_> {
    if selection.0.is_empty() { Shape::Stub } else { Shape::Fields(selection) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_a_tree_in_order_of_first_mention() {
        let name = || ("name".to_owned(), Selection::default());
        let cases = [
            ("", Selection::default()),
            ("name", Selection(vec![name()])),
            ("this.name, name", Selection(vec![name()])),
            (
                "memberships.section.name,name,memberships.project",
                Selection(vec![
                    (
                        "memberships".to_owned(),
                        Selection(vec![
                            ("section".to_owned(), Selection(vec![name()])),
                            ("project".to_owned(), Selection::default()),
                        ]),
                    ),
                    name(),
                ]),
            ),
        ];
        for (paths, expected) in cases {
            assert_eq!(Selection::parse(paths), expected, "{paths}");
        }
    }
}
