//! Rules about the source tree that no compiler checks: each is a function from texts to findings, tried on a bad example below.

mod modules;
mod paths;
mod rules;
mod source;
mod tree;

use rules::Finding;
use tree::Tree;

/// Fails with all findings at once.
fn none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn every_rust_file_begins_with_what_it_is_for() {
    none(&Tree::read().each_rust_file(rules::begins_with_its_purpose));
}

#[test]
fn no_sentence_of_a_comment_begins_like_a_question() {
    none(&Tree::read().each_rust_file(rules::states_its_sentences));
}

#[test]
fn no_rust_file_is_too_long_to_read() {
    none(&Tree::read().each_rust_file(rules::is_short));
}

#[test]
fn nothing_is_left_for_later_and_no_lint_or_test_is_switched_off() {
    none(&Tree::read().each_rust_file(rules::leaves_nothing_for_later));
}

#[test]
fn each_provider_has_its_folders_and_its_line_in_both_lists() {
    let tree = Tree::read();
    let resolvers = tree.providers();
    assert!(!resolvers.is_empty());
    for list in ["resolvers/src/providers", "schema/src/providers"] {
        let text = tree.text(&format!("{list}/mod.rs"));
        none(&rules::lists_its_folders(list, &text, &tree.folders(list)));
        assert_eq!(tree.folders(list), resolvers, "{list}");
    }
}

#[test]
fn providers_are_named_in_their_folders_and_in_the_lists_only() {
    let tree = Tree::read();
    let providers = tree.providers();
    none(&tree.each_rust_file(|path, text| rules::names_no_provider(path, text, &providers)));
}

#[test]
fn crates_and_folders_keep_to_their_dependencies() {
    none(&Tree::read().each_rust_file(rules::keeps_to_its_dependencies));
}

#[test]
fn no_modules_of_a_folder_use_each_other_in_a_circle() {
    let tree = Tree::read();
    for name in ["entities", "gateway", "migrations", "resolvers", "schema"] {
        let circles = modules::Crate::read(tree.sources(name)).circles();
        assert!(circles.is_empty(), "{name}:\n{}", circles.join("\n"));
    }
}

#[test]
fn the_graph_depends_on_no_machinery() {
    none(&rules::has_no_machinery(&Tree::read().text("schema/Cargo.toml")));
}

#[test]
fn the_map_names_paths_that_exist() {
    let tree = Tree::read();
    let map = tree.text("docs/ARCHITECTURE.md");
    none(&rules::names_paths_that_exist("docs/ARCHITECTURE.md", &map, |path| tree.exists(path)));
}

#[test]
fn migrations_are_in_order_and_each_has_a_way_back() {
    let tree = Tree::read();
    none(&rules::migrations_are_in_order(&tree.text("migrations/src/lib.rs"), &tree.migrations()));
    none(&tree.each_rust_file(rules::has_a_way_back));
}

#[test]
fn each_dependency_has_its_reason() {
    none(&rules::dependencies_have_reasons(&Tree::read().text("Cargo.toml")));
}
