//! The environment over the file: `MULLION_{SECTION}_{OPTION}`, with short names for what is set most.

use super::{Config, ConfigError, section::SectionDoc};

/// Names that do not follow the rule, and what they mean. The first that is set wins over the rule's own name.
pub(super) const SHORT_NAMES: [(&str, &str, &str); 6] = [
    ("DATABASE_URL", "database", "url"),
    ("MULLION_DATA", "database", "data"),
    ("MULLION_ENCRYPTION_KEY", "security", "encryption_key"),
    ("MULLION_PORT", "server", "port"),
    ("MULLION_PUBLIC_URL", "server", "public_url"),
    ("MULLION_LOG", "telemetry", "log"),
];

/// Read by the command line itself.
const OF_THE_COMMAND_LINE: [&str; 2] = ["MULLION_CONFIG", "MULLION_WEBHOOK_SECRET"];

/// Whether Kubernetes sets the variable in every container of a namespace that has a Service named `mullion`: the Service's
/// address, in several forms.
fn is_injected(name: &str, value: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    name == "MULLION_PORT" && address || name.starts_with("MULLION_PORT_") || name.starts_with("MULLION_SERVICE_")
}

/// The names in the environment that Kubernetes has set for a Service; they are no settings, and are ignored.
pub fn injected_by_kubernetes(environment: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    let mut names: Vec<String> =
        environment.into_iter().filter(|(name, value)| is_injected(name, value)).map(|(name, _)| name).collect();
    names.sort();
    names
}

/// Puts the environment's settings over those of the file.
pub(super) fn apply(
    table: &mut toml::Table,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    let sections = Config::sections();
    let mut settings: Vec<(String, String)> = environment
        .into_iter()
        .filter(|(name, value)| (name.starts_with("MULLION_") || name == "DATABASE_URL") && !value.is_empty())
        .filter(|(name, value)| !OF_THE_COMMAND_LINE.contains(&name.as_str()) && !is_injected(name, value))
        .collect();
    // `DATABASE_URL` sorts first, so that `MULLION_DATABASE_URL` wins over it.
    settings.sort();
    for (name, text) in settings {
        let (section, option) = find(&sections, &name).ok_or_else(|| unknown(&sections, &name, &text))?;
        let value = parse(section.defaults.get(option), &text)
            .ok_or_else(|| ConfigError(format!("{name}={text:?} has the wrong type: see `mullion serve --help`")))?;
        let entry = table.entry(section.name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let Some(entries) = entry.as_table_mut() {
            entries.insert(option.to_owned(), value);
        }
    }
    Ok(())
}

/// The name of the environment's setting for an option.
pub(super) fn name_of(section: &str, option: &str) -> String {
    SHORT_NAMES
        .iter()
        .find(|(name, of, it)| name.starts_with("MULLION_") && *of == section && *it == option)
        .map_or_else(|| rule(section, option), |(name, _, _)| (*name).to_owned())
}

fn rule(section: &str, option: &str) -> String {
    format!("MULLION_{}_{}", section.to_uppercase(), option.to_uppercase())
}

fn find<'a>(sections: &'a [SectionDoc], name: &str) -> Option<(&'a SectionDoc, &'static str)> {
    let short = SHORT_NAMES.iter().find(|(short, _, _)| *short == name);
    sections.iter().find_map(|section| {
        section
            .options
            .iter()
            .map(|option| option.name)
            .find(|option| match short {
                Some((_, of, it)) => *of == section.name && it == option,
                None => rule(section.name, option) == name,
            })
            .map(|option| (section, option))
    })
}

/// So many letters a setting has in common with a misspelt name at least: `MULLION_` and some.
const ALIKE: usize = 12;

fn unknown(sections: &[SectionDoc], name: &str, value: &str) -> ConfigError {
    if value.starts_with("tcp://") || name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") {
        return ConfigError(format!(
            "{name} is no setting of Mullion, and looks like the address of a Kubernetes Service: set enableServiceLinks: false in the pod"
        ));
    }
    let all = sections.iter().flat_map(|section| section.options.iter().map(|option| rule(section.name, option.name)));
    let equal = |(a, b): &(u8, u8)| a == b;
    let begin = |other: &str| other.bytes().zip(name.bytes()).take_while(equal).count();
    let end = |other: &str| other.bytes().rev().zip(name.bytes().rev()).take_while(equal).count();
    // All begin alike: a few letters more in common are no likeness yet.
    let likeness = |other: &String| begin(other) + end(other);
    let near = all.max_by_key(likeness).filter(|other| likeness(other) >= ALIKE && 2 * likeness(other) > other.len());
    let hint = near.map_or_else(String::new, |near| format!(", or did you mean {near}?"));
    ConfigError(format!("{name} is no setting of Mullion: unset it{hint} (`mullion serve --help` lists all)"))
}

/// Reads the text as what the default is; what has no default is text.
fn parse(default: Option<&toml::Value>, text: &str) -> Option<toml::Value> {
    Some(match default {
        Some(toml::Value::Integer(_)) => toml::Value::Integer(text.trim().parse().ok()?),
        Some(toml::Value::Float(_)) => toml::Value::Float(text.trim().parse().ok()?),
        Some(toml::Value::Boolean(_)) => toml::Value::Boolean(text.trim().parse().ok()?),
        Some(toml::Value::Array(_)) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            toml::Value::Array(parts.map(|part| toml::Value::String(part.to_owned())).collect())
        }
        _ => toml::Value::String(text.to_owned()),
    })
}
