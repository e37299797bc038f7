//! Everything that can be asked of a provider, read from the schema: a field that is added tomorrow is asked for, too.

use std::collections::BTreeMap;

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, FieldDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition},
};
use serde_json::Value;

/// Fields that say where something was read and not what: they differ between accounts.
const ELSEWHERE: [&str; 5] = ["id", "integration", "provider", "freshness", "cursor"];

/// Arguments of fields that cannot be asked for without any. Braces stand for the value at that place of the answer to
/// [`examples`].
const ARGUMENTS: &[(&str, &str)] = &[
    ("Github.repository", r#"owner: "acme", name: "web""#),
    ("Github.user", r#"login: "benokafor""#),
    ("Github.search", r#"query: "repo:acme/web is:open", type: ISSUE"#),
    ("GithubRepository.issue", "number: {/repository/issues/nodes/0/number}"),
    ("GithubRepository.pullRequest", "number: {/repository/pullRequests/nodes/0/number}"),
    ("Slack.channel", r#"name: "general""#),
    ("Slack.user", "slackId: {/users/nodes/0/nativeId}"),
    ("Asana.project", "gid: {/projects/nodes/0/nativeId}"),
    ("Asana.task", "gid: {/projects/nodes/0/tasks/nodes/0/nativeId}"),
];

/// The selection that the values of arguments are taken from.
pub(super) fn examples(provider: &str) -> &'static str {
    match provider {
        "github" => {
            r#"repository(owner: "acme", name: "web") {
                issues(first: 1) { nodes { number } } pullRequests(first: 1) { nodes { number } }
            }"#
        }
        "slack" => "users(first: 1) { nodes { nativeId } }",
        "asana" => "projects(first: 1) { nodes { nativeId tasks(first: 1) { nodes { nativeId } } } }",
        other => panic!("say what can be asked of {other}, and with which ARGUMENTS"),
    }
}

/// The schema's types.
pub(super) struct Graph(BTreeMap<String, TypeDefinition>);

/// How much of a type is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    /// All its fields, so many levels of objects deep.
    All(usize),
    /// Its plain values.
    Values,
}

impl Graph {
    pub(super) fn read() -> Self {
        let document = parse_schema(undescribed(&mullion_schema::build::sdl())).unwrap();
        let types = document.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => Some((definition.node.name.node.to_string(), definition.node)),
            _ => None,
        });
        Self(types.collect())
    }

    /// The type of a provider's field on `Query`.
    pub(super) fn root(&self, provider: &str) -> String {
        let field = self.fields("Query").into_iter().find(|field| field.name.node.as_str() == provider).unwrap();
        name_of(&field.ty.node).to_owned()
    }

    /// The names of the root's fields that ask the provider for something.
    pub(super) fn asked(&self, root: &str) -> Vec<String> {
        let fields = self.fields(root).into_iter().map(|field| field.name.node.to_string());
        fields.filter(|name| !ELSEWHERE.contains(&name.as_str())).collect()
    }

    fn fields(&self, type_name: &str) -> Vec<&FieldDefinition> {
        match self.0.get(type_name).map(|definition| &definition.kind) {
            Some(TypeKind::Object(object)) => object.fields.iter().map(|field| &field.node).collect(),
            Some(TypeKind::Interface(interface)) => interface.fields.iter().map(|field| &field.node).collect(),
            _ => Vec::new(),
        }
    }

    /// A selection of a type's fields; `None`: there is nothing to select.
    pub(super) fn selection(&self, type_name: &str, parts: Parts, examples: &Value) -> Option<String> {
        if matches!(self.0.get(type_name).map(|definition| &definition.kind), Some(TypeKind::Union(_))) {
            return Some("__typename".to_owned());
        }
        let fields = self.fields(type_name);
        let selected = fields.iter().filter(|field| !ELSEWHERE.contains(&field.name.node.as_str()));
        let selected: Vec<String> =
            selected.filter_map(|field| self.field(type_name, field, parts, examples)).collect();
        (!selected.is_empty()).then(|| selected.join(" "))
    }

    fn field(&self, owner: &str, field: &FieldDefinition, parts: Parts, examples: &Value) -> Option<String> {
        let (name, of) = (field.name.node.as_str(), name_of(&field.ty.node));
        let definition = self.0.get(of);
        let plain = definition.is_none_or(|found| matches!(found.kind, TypeKind::Scalar | TypeKind::Enum(_)));
        let mut arguments = Self::arguments(owner, field, examples);
        if plain {
            return Some(format!("{name}{}", in_brackets(&arguments)));
        }
        match (name, of) {
            ("edges" | "problems", _) => return None,
            (_, "PageInfo") => return Some("pageInfo { hasNextPage }".to_owned()),
            _ => {}
        }
        if of.ends_with("Connection") {
            arguments.push("first: 2".to_owned());
        }
        let deeper = match parts {
            // A page and its items are one level.
            parts if owner.ends_with("Connection") => parts,
            Parts::Values | Parts::All(0) => return None,
            Parts::All(1) => Parts::Values,
            Parts::All(levels) => Parts::All(levels - 1),
        };
        let inside = self.selection(of, deeper, examples)?;
        Some(format!("{name}{} {{ {inside} }}", in_brackets(&arguments)))
    }

    fn arguments(owner: &str, field: &FieldDefinition, examples: &Value) -> Vec<String> {
        let path = format!("{owner}.{}", field.name.node);
        if let Some((_, given)) = ARGUMENTS.iter().find(|(known, _)| *known == path) {
            return vec![filled(given, examples)];
        }
        let required = field.arguments.iter().any(|argument| !argument.node.ty.node.nullable);
        assert!(!required, "{path} cannot be asked for without arguments: add an example to ARGUMENTS");
        Vec::new()
    }
}

/// An argument list with its examples in place.
fn filled(given: &str, examples: &Value) -> String {
    let Some((before, rest)) = given.split_once('{') else { return given.to_owned() };
    let (pointer, after) = rest.split_once('}').unwrap();
    let value = examples.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not in {examples}"));
    format!("{before}{value}{after}")
}

fn in_brackets(arguments: &[String]) -> String {
    if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) }
}

fn name_of(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => name_of(inner),
    }
}

/// The SDL without the description of the schema itself, which the library's parser does not know.
fn undescribed(sdl: &str) -> String {
    let mut parts: Vec<&str> = sdl.split("\"\"\"\n").collect();
    let schema = parts.pop().unwrap();
    parts.pop();
    parts.join("\"\"\"\n") + schema
}
