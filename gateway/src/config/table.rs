//! The options as text: a Markdown table for the README, plain lines for `--help`.

use std::fmt::Write;

use super::{Config, environment::name_of};

/// Where the table begins in the README, and where it ends.
pub const MARKERS: (&str, &str) =
    ("<!-- config-table: written by `mullion config-table` -->", "<!-- /config-table -->");

/// The README's table.
pub fn markdown() -> String {
    let mut text = String::from("| option | environment | default | what it is |\n|---|---|---|---|\n");
    each(|section, option, default, help| {
        let variable = name_of(section, option);
        let default = if default.is_empty() { "not set".to_owned() } else { format!("`{default}`") };
        let help = help.replace('|', "\\|");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{section}.{option}` | `{variable}` | {default} | {help} |");
    });
    text
}

/// The lines below `mullion serve --help`.
pub fn plain() -> String {
    let mut text = String::from("Settings (mullion.toml, or the environment; * = no default):\n");
    each(|section, option, default, help| {
        let default = if default.is_empty() { "*" } else { default };
        let _ = writeln!(text, "  {section}.{option} = {default}\n      {}: {help}", name_of(section, option));
    });
    text
}

fn each(mut line: impl FnMut(&str, &str, &str, &str)) {
    for section in Config::sections() {
        for option in section.options {
            let default = section.defaults.get(option.name).map(ToString::to_string).unwrap_or_default();
            let help: Vec<&str> = option.help.iter().map(|part| part.trim()).collect();
            line(section.name, option.name, &default, &help.join(" "));
        }
    }
}
