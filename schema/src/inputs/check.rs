//! Checks that inputs share. Each names the field in its error.

use async_graphql::{Context, ID};

use crate::{
    error::PortError,
    id::{DeliveryId, GlobalId, IntegrationId, NodeReference},
    limits::MAX_ITEMS,
    ports::{Ports, Role},
    providers,
    table::ports,
};

/// How long names and titles may be.
pub const MAX_TITLE: usize = 200;
/// How long other texts may be.
pub const MAX_TEXT: usize = 2_000;

fn bad<T>(field: &str, problem: &str) -> Result<T, PortError> {
    Err(PortError::bad_input(format!("{field}: {problem}")))
}

/// The ports, for a caller whose role is at least this.
pub fn allowed<'a>(ctx: &Context<'a>, role: Role) -> Result<&'a Ports, PortError> {
    let ports = ports(ctx)?;
    if ports.viewer.role < role {
        return Err(PortError::forbidden(format!("this needs the role {role}")));
    }
    Ok(ports)
}

/// A name or a title: trimmed, 1 to 200 characters, on one line, and something of it can be seen.
pub fn title(field: &str, text: &str) -> Result<String, PortError> {
    let text = text.trim();
    let length = text.chars().count();
    if length == 0 || length > MAX_TITLE {
        return bad(field, &format!("must have 1 to {MAX_TITLE} characters"));
    }
    if text.chars().any(char::is_control) {
        return bad(field, "must not contain control characters");
    }
    if text.chars().all(is_invisible) {
        return bad(field, "must have a character that can be seen");
    }
    Ok(text.to_owned())
}

/// Characters that show nothing by themselves: Unicode's default-ignorable ones (zero-width ones, controls of direction, variation
/// selectors, tags), fillers, and white space.
fn is_invisible(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A longer text, which may have lines: trimmed, `None` when empty.
pub fn text(field: &str, text: &str) -> Result<Option<String>, PortError> {
    let text = text.trim();
    if text.chars().count() > MAX_TEXT {
        return bad(field, &format!("must have at most {MAX_TEXT} characters"));
    }
    if text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        return bad(field, "must not contain control characters");
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// A token or a secret: not empty, without spaces, printable.
pub fn secret(field: &str, text: &str) -> Result<String, PortError> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_TEXT || !text.chars().all(|letter| letter.is_ascii_graphic()) {
        return bad(field, "must be printable characters without spaces");
    }
    Ok(text.to_owned())
}

/// A slug: lower-case letters, digits and single dashes, 1 to 64.
pub fn slug(field: &str, text: &str) -> Result<String, PortError> {
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let dashes = text.starts_with('-') || text.ends_with('-') || text.contains("--");
    if text.is_empty() || text.len() > 64 || dashes || !text.chars().all(fits) {
        return bad(field, "must be 1 to 64 lower-case letters, digits and single dashes between them");
    }
    Ok(text.to_owned())
}

/// A slug made from a name.
pub fn slug_like(name: &str) -> String {
    let mut slug = String::new();
    for letter in name.to_lowercase().chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= 48 {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "dashboard".to_owned() } else { slug.to_owned() }
}

/// A list that must not be too long.
pub fn at_most<T>(field: &str, items: &[T]) -> Result<(), PortError> {
    if items.len() > MAX_ITEMS { bad(field, &format!("must have at most {MAX_ITEMS} values")) } else { Ok(()) }
}

/// A list of short texts.
pub fn texts(field: &str, items: &[String]) -> Result<Vec<String>, PortError> {
    at_most(field, items)?;
    items.iter().enumerate().map(|(index, item)| title(&format!("{field}[{index}]"), item)).collect()
}

/// Any id of this graph.
pub fn global_id(field: &str, id: &ID) -> Result<GlobalId, PortError> {
    GlobalId::decode(id).or_else(|_| bad(field, "not an id of this graph"))
}

/// The row id in an id of ours; `None` when it names something else, which is as if unknown.
pub fn own_id(field: &str, id: &ID, expected: &str) -> Result<Option<String>, PortError> {
    Ok(match global_id(field, id)? {
        GlobalId::Own { type_name, id } if type_name == expected => Some(id),
        _ => None,
    })
}

/// The same where it must exist.
pub fn required_own_id(field: &str, id: &ID, expected: &str) -> Result<String, PortError> {
    own_id(field, id, expected)?.ok_or_else(|| PortError::not_found(field))
}

/// The row of a webhook delivery that must exist: by its id in the graph, or as the command line and the log show it.
pub fn delivery_id(field: &str, id: &ID) -> Result<DeliveryId, PortError> {
    /// Letters of a row's id, which are capitals and digits; no id of the graph looks so.
    const ROW_ID: usize = 26;
    let is_row = id.len() == ROW_ID && id.bytes().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit());
    if is_row {
        Ok(DeliveryId::from(id.as_str()))
    } else {
        required_own_id(field, id, "WebhookDelivery").map(Into::into)
    }
}

/// Keys of providers, each of which there is.
pub fn provider_keys(field: &str, keys: &[String]) -> Result<Vec<String>, PortError> {
    let keys = texts(field, keys)?;
    for (index, key) in keys.iter().enumerate() {
        provider_key(&format!("{field}[{index}]"), key)?;
    }
    Ok(keys)
}

/// The key of a provider that this build has.
pub fn provider_key(field: &str, key: &str) -> Result<(), PortError> {
    if providers::PROVIDERS.iter().any(|provider| provider.key == key) {
        return Ok(());
    }
    let known: Vec<&str> = providers::PROVIDERS.iter().map(|provider| provider.key).collect();
    bad(field, &format!("there is no such provider; there are {}", known.join(", ")))
}

/// The treatment of ids that can name nothing that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They match nothing: a query's filter.
    MatchNothing,
    /// They are refused: what is stored must exist.
    NotFound,
}

/// Ids of nodes whose types implement one of `interfaces`; ids of other things are refused. Whether such a node exists is not looked up.
pub fn node_ids(
    field: &str,
    ids: &[ID],
    interfaces: &[&str],
    unknown: Unknown,
) -> Result<Vec<NodeReference>, PortError> {
    at_most(field, ids)?;
    let mut nodes = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        let field = format!("{field}[{index}]");
        match node_reference(global_id(&field, id)?, interfaces) {
            Some(node) if nodes.contains(&node) => {}
            Some(node) => nodes.push(node),
            None if unknown == Unknown::NotFound => return Err(PortError::not_found(&field)),
            None => {
                return Err(PortError::bad_input(format!("{field}: is not the id of a {}", interfaces.join(" or a "))));
            }
        }
    }
    Ok(nodes)
}

fn node_reference(id: GlobalId, interfaces: &[&str]) -> Option<NodeReference> {
    let GlobalId::Node { integration, type_name, native_id } = id else { return None };
    let table = providers::node_type(&type_name)?;
    let fits = interfaces.iter().any(|interface| table.implements(interface));
    fits.then(|| NodeReference { integration, type_name: table.name.into(), native_id: native_id.into() })
}

/// Ids of integrations.
pub fn integration_ids(field: &str, ids: &[ID], unknown: Unknown) -> Result<Vec<IntegrationId>, PortError> {
    at_most(field, ids)?;
    let mut found = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        let field = format!("{field}[{index}]");
        match own_id(&field, id, "Integration")? {
            Some(id) => found.push(IntegrationId::from(id)),
            None if unknown == Unknown::NotFound => return Err(PortError::not_found(&field)),
            None => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{slug, slug_like, text, title};

    #[test]
    fn titles_are_trimmed_and_measured() {
        for (given, expected) in [
            ("  Team  ", Some("Team")),
            ("", None),
            ("   ", None),
            ("two\nlines", None),
            ("nul\0", None),
            ("\u{200b}", None),
            (" \u{200b}\u{feff}\u{2060} ", None),
            ("\u{202e}\u{202c}", None),
            ("\u{2066}\u{2069}\u{200f}", None),
            ("\u{3164}\u{a0}\u{2800}", None),
            ("\u{e0041}\u{fe0f}", None),
            ("a\u{200b}", Some("a\u{200b}")),
            ("\u{200f}שלום", Some("\u{200f}שלום")),
            ("👩\u{200d}🚀", Some("👩\u{200d}🚀")),
            (&"x".repeat(200), Some("x".repeat(200).as_str())),
            (&"x".repeat(201), None),
            (&"ü".repeat(200), Some("ü".repeat(200).as_str())),
        ] {
            assert_eq!(title("title", given).ok().as_deref(), expected, "{given:.10}");
        }
    }

    #[test]
    fn errors_name_the_field() {
        assert!(title("input.title", "").is_err_and(|error| error.message.starts_with("input.title: ")));
        assert!(text("input.description", &"x".repeat(2001)).is_err());
    }

    #[test]
    fn slugs_are_checked() {
        for (given, fits) in [
            ("team", true),
            ("team-2", true),
            ("", false),
            ("Team", false),
            ("-team", false),
            ("team-", false),
            ("a--b", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(slug("slug", given).is_ok(), fits, "{given}");
        }
    }

    #[test]
    fn slugs_are_made_from_names() {
        for (name, made) in [("Web Team!", "web-team"), ("Ü", "dashboard"), ("  a  b ", "a-b"), ("2026 Q4", "2026-q4")]
        {
            assert_eq!(slug_like(name), made);
            assert!(slug("slug", &slug_like(name)).is_ok());
        }
        assert!(slug("slug", &slug_like(&"ab ".repeat(100))).is_ok());
    }
}
