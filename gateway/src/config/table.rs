//! The options as text: a Markdown table for the guide, plain lines for `--help`.

use std::fmt::Write;

use super::{Config, environment::name_of};

/// Where the table begins in `docs/guide/configuration.md`, and where it ends.
pub const MARKERS: (&str, &str) =
    ("<!-- config-table: written by `mullion config-table` -->", "<!-- /config-table -->");

/// The table of the guide.
pub fn markdown() -> String {
    let mut text = String::from("| option | environment | default | range | what it is |\n|---|---|---|---|---|\n");
    each(|section, (option, range), default, help| {
        let variable = name_of(section, option);
        let default = if default.is_empty() { "not set".to_owned() } else { format!("`{default}`") };
        let help = help.replace('|', "\\|");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{section}.{option}` | `{variable}` | {default} | {range} | {help} |");
    });
    text
}

/// The lines below `mullion serve --help`.
pub fn plain() -> String {
    let mut text = String::from("Settings (mullion.toml, or the environment; * = no default):\n");
    each(|section, (option, range), default, help| {
        let default = if default.is_empty() { "*" } else { default };
        let range = if range.is_empty() { String::new() } else { format!(" ({range})") };
        let _ = writeln!(text, "  {section}.{option} = {default}{range}\n      {}: {help}", name_of(section, option));
    });
    text
}

/// Calls `line` with each option's section, its name and range, its default, and what it is.
fn each(mut line: impl FnMut(&str, (&str, &str), &str, &str)) {
    for section in Config::sections() {
        for option in section.options {
            let default = section.defaults.get(option.name).map(ToString::to_string).unwrap_or_default();
            let help: Vec<&str> = option.help.iter().map(|part| part.trim()).collect();
            let range = option.range.map(|range| range.to_string()).unwrap_or_default();
            line(section.name, (option.name, &range), &default, &help.join(" "));
        }
    }
}
