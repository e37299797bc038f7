//! The rules: texts in, findings out. Each has a bad example in `examples`.

#[cfg(test)]
mod examples;

use std::fmt;

use super::source::{code_of, identifiers, without_tests};

/// The longest that a file may be.
const LONGEST: usize = 500;
/// Crates, and the only places that may use them.
const DEPENDENCIES: [(&str, &[&str]); 5] = [
    ("sea_orm", &["entities/", "migrations/", "resolvers/src/store/"]),
    // The sandbox's courier delivers webhooks to us, as a provider would.
    ("reqwest", &["resolvers/src/upstream/", "resolvers/src/sandbox/delivery.rs", "tests/"]),
    ("axum", &["gateway/", "tests/"]),
    ("tokio", &["gateway/", "resolvers/", "tests/"]),
    // History must not change when a model does.
    ("mullion_entities", &["resolvers/", "entities/"]),
];
/// The crates that the graph must not depend on.
const MACHINERY: [&str; 6] = ["tokio", "reqwest", "axum", "sea-orm", "hyper", "mullion-resolvers"];
/// Where a provider may be named although it is not its folder, and why.
const NAMES_ALLOWED: [(&str, &str); 7] = [
    ("resolvers/src/providers/mod.rs", "the list"),
    ("schema/src/providers/mod.rs", "the list"),
    ("schema/src/query.rs", "an argument's documentation gives an example of a key"),
    ("schema/src/interfaces/groups.rs", "a field's documentation gives examples of keys"),
    ("resolvers/src/sandbox/control.rs", "the control API's own listing explains itself by an example"),
    ("gateway/src/banner.rs", "prints an example of a command to copy"),
    ("gateway/src/fake.rs", "compiled for tests only"),
];

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// No sentence of a comment begins like a question and is none: "What it costs." reads as if something were missing.
pub(super) fn states_its_sentences(path: &str, text: &str) -> Vec<Finding> {
    const QUESTIONING: [&str; 6] = ["Of", "What", "Who", "Whoever", "Whom", "Whose"];
    let mut found = Vec::new();
    let mut sentence = String::new();
    for (number, line) in text.lines().enumerate() {
        let Some(comment) = line.trim_start().strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!'])) else {
            sentence.clear();
            continue;
        };
        for word in comment.split_whitespace() {
            if sentence.is_empty() {
                word.clone_into(&mut sentence);
            }
            if word.ends_with(['.', '?', '!']) {
                let is_questioning = QUESTIONING.contains(&sentence.as_str()) && !word.ends_with('?');
                found.extend(is_questioning.then(|| {
                    Finding::new(path, number + 1, "begin the sentence with its subject, as a plain statement does")
                }));
                sentence.clear();
            }
        }
    }
    found
}

/// `//!` on line 1, with something behind it.
pub(super) fn begins_with_its_purpose(path: &str, text: &str) -> Vec<Finding> {
    let purpose = text.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default();
    match purpose.trim() {
        "" => vec![Finding::new(path, 1, "line 1 must say with `//!` what the file is for")],
        "placeholder" => vec![Finding::new(path, 1, "a placeholder is no purpose")],
        _ => Vec::new(),
    }
}

/// Not over the cap.
pub(super) fn is_short(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    let long = lines > LONGEST;
    long.then(|| Finding::new(path, lines, format!("over {LONGEST} lines: split it"))).into_iter().collect()
}

/// No notes to self in comments, no ignored test, no lint that is switched off for good.
pub(super) fn leaves_nothing_for_later(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let comment = line.split_once("//").map_or("", |(_, comment)| comment);
        if let Some(note) = identifiers(comment).find(|word| matches!(*word, "TODO" | "FIXME" | "XXX")) {
            findings.push(Finding::new(path, number + 1, format!("{note}: do it, or write an issue")));
        }
    }
    for (number, line) in code_of(text, true).lines().enumerate() {
        if line.contains("#[ignore") {
            findings.push(Finding::new(path, number + 1, "a test that is ignored tests nothing"));
        }
        if line.contains("#[allow(") || line.contains("#![allow(") {
            findings.push(Finding::new(path, number + 1, "use #[expect(…, reason = …)]"));
        }
    }
    findings
}

/// Each folder beside a list has its `mod` line and an entry in it, and each `mod` line its folder.
pub(super) fn lists_its_folders(list: &str, text: &str, folders: &[String]) -> Vec<Finding> {
    let code = code_of(text, true);
    let modules: Vec<&str> =
        code.lines().filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let entries = |name: &str| code.matches(&format!("{name}::")).count();
    let mut findings = Vec::new();
    for folder in folders {
        if !modules.contains(&folder.as_str()) || entries(folder) != 1 {
            findings.push(Finding::new(list, 1, format!("{folder}: one `pub mod` line and one entry")));
        }
    }
    for module in modules.iter().filter(|module| !folders.iter().any(|folder| folder == *module)) {
        findings.push(Finding::new(list, 1, format!("{module}: is in the list and has no folder")));
    }
    findings
}

/// No provider in code outside its folders: neither as an identifier nor in a text. Comments explain by example, and tests try.
pub(super) fn names_no_provider(path: &str, text: &str, providers: &[String]) -> Vec<Finding> {
    let of_a_provider = path.split_once("/providers/").is_some_and(|(_, inside)| inside != "mod.rs");
    let tests = path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs");
    if of_a_provider || tests || NAMES_ALLOWED.iter().any(|(allowed, _)| *allowed == path) {
        return Vec::new();
    }
    let code = code_of(text, false);
    let mut findings = Vec::new();
    for (number, line) in without_tests(&code) {
        for provider in providers {
            if identifiers(line).any(|word| names(word, provider)) {
                findings.push(Finding::new(path, number, format!("names the provider {provider}")));
            }
        }
    }
    findings
}

/// Whether a word is the provider's name, or has it as one of its parts: `github`, `GitHub`, `GithubIssue`, `a_github_id`.
fn names(word: &str, provider: &str) -> bool {
    word.split('_').any(|part| {
        let rest = part.get(provider.len()..);
        let begins = part.get(..provider.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(provider));
        begins && rest.is_some_and(|rest| !rest.starts_with(char::is_lowercase))
    })
}

/// Crates are used only where they belong.
pub(super) fn keeps_to_its_dependencies(path: &str, text: &str) -> Vec<Finding> {
    let code = code_of(text, true);
    let mut findings = Vec::new();
    for (name, places) in DEPENDENCIES.iter().filter(|(_, places)| !places.iter().any(|place| path.starts_with(place)))
    {
        for (number, line) in code.lines().enumerate() {
            if identifiers(line).any(|word| word == *name) {
                let places = places.join(", ");
                findings.push(Finding::new(path, number + 1, format!("{name} belongs to {places}")));
            }
        }
    }
    findings
}

/// The manifest of the graph's crate names nothing that does I/O, not even for its tests.
pub(super) fn has_no_machinery(manifest: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if MACHINERY.contains(&name) {
            findings.push(Finding::new("schema/Cargo.toml", number + 1, format!("the graph does not need {name}")));
        }
    }
    findings
}

/// Text between backticks in a document that looks like a path names one that exists.
pub(super) fn names_paths_that_exist(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2) {
            let is_path = quoted.contains('/') && !quoted.contains([' ', '*', '<', '…', '{']);
            if is_path && !exists(quoted) {
                findings.push(Finding::new(path, number + 1, format!("{quoted} does not exist")));
            }
        }
    }
    findings
}

/// All migrations are declared and run, each once, counted without a gap.
pub(super) fn migrations_are_in_order(list: &str, files: &[String]) -> Vec<Finding> {
    let code = code_of(list, true);
    let between = |begin: &str, end: &str| -> Vec<String> {
        let inside = code.lines().filter_map(|line| line.trim().strip_prefix(begin)?.strip_suffix(end));
        inside.filter(|name| name.starts_with("m0")).map(str::to_owned).collect()
    };
    let here = |what: String| Finding::new("migrations/src/lib.rs", 1, what);
    let mut findings = Vec::new();
    if between("mod ", ";") != files {
        findings.push(here("its `mod` lines are not the files in order".to_owned()));
    }
    if between("Box::new(", "::Migration),") != files {
        findings.push(here("what it runs are not the files in order".to_owned()));
    }
    for (index, file) in files.iter().enumerate() {
        if !file.starts_with(&format!("m{:04}_", index + 1)) {
            findings.push(here(format!("{file} is number {}", index + 1)));
        }
    }
    findings
}

/// A migration can be taken back.
pub(super) fn has_a_way_back(path: &str, text: &str) -> Vec<Finding> {
    let migration = path.starts_with("migrations/src/m0");
    if !migration || code_of(text, true).contains("async fn down(") {
        return Vec::new();
    }
    vec![Finding::new(path, 1, "a migration needs `down`")]
}

/// Above each dependency of the workspace, alone or with those it comes with, a comment names it and says why.
pub(super) fn dependencies_have_reasons(manifest: &str) -> Vec<Finding> {
    let lines = manifest.lines().enumerate().skip_while(|(_, line)| *line != "[workspace.dependencies]").skip(1);
    let mut reason = "";
    let mut findings = Vec::new();
    for (number, line) in lines.take_while(|(_, line)| !line.starts_with('[')) {
        if let Some(comment) = line.strip_prefix("# ") {
            reason = comment;
        } else if let Some((name, _)) = line.split_once([' ', '.', '=']) {
            let (about, why) = reason.split_once(':').unwrap_or_default();
            let argued = about.split(',').any(|known| known.trim() == name) && !why.trim().is_empty();
            if !argued && !name.starts_with("mullion-") {
                findings.push(Finding::new("Cargo.toml", number + 1, format!("{name} has no reason")));
            }
        }
    }
    findings
}
