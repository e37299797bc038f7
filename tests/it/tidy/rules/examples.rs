//! A bad example of each rule, so that none of them passes everything.

use super::{
    Finding, begins_with_its_purpose, dependencies_have_reasons, has_a_way_back, has_no_machinery, is_short,
    keeps_to_its_dependencies, leaves_nothing_for_later, lists_its_folders, migrations_are_in_order, names_no_provider,
    names_paths_that_exist, states_its_sentences,
};

/// The lines of the findings.
fn lines(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn files_without_a_purpose_are_found() {
    for (text, found) in [
        ("//! The purpose.\n", 0),
        ("use a;\n//! Too late.\n", 1),
        ("//!\n", 1),
        ("//! placeholder\n", 1),
        ("// No documentation.\n", 1),
        ("", 1),
    ] {
        assert_eq!(begins_with_its_purpose("a.rs", text).len(), found, "{text}");
    }
}

#[test]
fn sentences_that_begin_like_a_question_are_found() {
    for (text, found) in [
        ("/// What it costs.\n", 1),
        ("/// The price. Who pays\n/// it is left open.\n", 1),
        ("//! What is this for?\n", 0),
        ("/// The price, and who pays.\n/// Off by default.\n", 0),
        ("let text = \"What it costs.\"; // The price.\n", 0),
    ] {
        assert_eq!(states_its_sentences("a.rs", text).len(), found, "{text}");
    }
}

#[test]
fn long_files_are_found() {
    assert!(is_short("a.rs", &"\n".repeat(500)).is_empty());
    assert_eq!(lines(&is_short("a.rs", &"\n".repeat(501))), [501]);
}

#[test]
fn what_is_left_for_later_is_found() {
    let bad = [
        "//! A.",
        concat!("/", "/ TODO: more"),
        "#[ignore = \"slow\"]",
        "#[allow(dead_code)]",
        "#![allow(unused)]",
        concat!("a(); /", "/ FIXME"),
    ];
    assert_eq!(lines(&leaves_nothing_for_later("a.rs", &bad.join("\n"))), [2, 6, 3, 4, 5]);
    let good = [
        "const STATE: &str = \"TODO\";",
        "// says \"#[ignore]\"",
        "State::TODO",
        "#[expect(dead_code, reason = \"r\")]",
    ];
    assert!(leaves_nothing_for_later("a.rs", &good.join("\n")).is_empty());
}

#[test]
fn folders_and_lists_that_differ_are_found() {
    let text = "pub mod one;\npub mod two;\nfn all() { one::One; two::Two; }";
    assert!(lists_its_folders("l", text, &owned(&["one", "two"])).is_empty());
    assert_eq!(lists_its_folders("l", text, &owned(&["one"])).len(), 1);
    assert_eq!(lists_its_folders("l", text, &owned(&["one", "three", "two"])).len(), 1);
    assert_eq!(lists_its_folders("l", "pub mod one;", &owned(&["one"])).len(), 1);
}

#[test]
fn named_providers_are_found() {
    let providers = owned(&["acme"]);
    let found = |path: &str, text: &str| lines(&names_no_provider(path, text, &providers));
    for bad in ["acme::run()", "key == \"acme\"", "AcmeIssue", "ACME_LIMIT", "of_acme(x)", "\"see ACME's site\""] {
        assert_eq!(found("resolvers/src/reading/a.rs", bad), [1], "{bad}");
    }
    for good in ["// acme", "acmeism()", "fn a() {}\n#[cfg(test)]\nmod tests { acme(); }", "/* acme */"] {
        assert!(found("resolvers/src/reading/a.rs", good).is_empty(), "{good}");
    }
    assert_eq!(found("resolvers/src/reading/a.rs", "fn a() {}\n    acme();"), [2]);
    for path in
        ["resolvers/src/providers/acme/a.rs", "resolvers/src/providers/mod.rs", "tests/it/a.rs", "a/src/tests/b.rs"]
    {
        assert!(found(path, "acme").is_empty(), "{path}");
    }
}

#[test]
fn crates_out_of_place_are_found() {
    for (path, text, found) in [
        ("schema/src/a.rs", "use tokio::time;", 1),
        ("schema/src/a.rs", "use reqwest::Client;\nuse axum::Router;\nuse sea_orm::Value;", 3),
        ("resolvers/src/reading/a.rs", "sea_orm::Statement::from_string(x)", 1),
        ("resolvers/src/providers/x/client.rs", "reqwest::get(url)", 1),
        ("resolvers/src/reading/a.rs", "use axum::Router;", 1),
        ("migrations/src/a.rs", "use mullion_entities::node;", 1),
        ("resolvers/src/store/a.rs", "use sea_orm::Value;", 0),
        ("resolvers/src/upstream/a.rs", "use reqwest::Client;", 0),
        ("gateway/src/a.rs", "use sea_orm_migration::MigratorTrait; // not sea_orm", 0),
        ("schema/src/a.rs", "const TEXT: &str = \"tokio\";", 0),
    ] {
        assert_eq!(keeps_to_its_dependencies(path, text).len(), found, "{path}: {text}");
    }
}

#[test]
fn machinery_of_the_graph_is_found() {
    assert_eq!(lines(&has_no_machinery("[dependencies]\nserde.workspace = true\ntokio.workspace = true")), [3]);
    assert_eq!(lines(&has_no_machinery("sea-orm = \"2\"")), [1]);
}

#[test]
fn paths_that_do_not_exist_are_found() {
    let text = "`a/b.rs` and `x/` and `no path`, a/c.rs\n`a/d.rs` `a/*.rs`";
    assert_eq!(lines(&names_paths_that_exist("m.md", text, |path| path == "a/b.rs")), [1, 2]);
}

#[test]
fn migrations_out_of_order_are_found() {
    let list = |names: &[&str]| -> String {
        let declared = names.iter().map(|name| format!("mod {name};\n"));
        declared.chain(names.iter().map(|name| format!("    Box::new({name}::Migration),\n"))).collect()
    };
    let files = ["m0001_a", "m0002_b"];
    assert!(migrations_are_in_order(&list(&files), &owned(&files)).is_empty());
    assert_eq!(migrations_are_in_order(&list(&["m0002_b", "m0001_a"]), &owned(&files)).len(), 2);
    assert_eq!(migrations_are_in_order(&list(&["m0001_a"]), &owned(&files)).len(), 2);
    assert_eq!(migrations_are_in_order(&list(&["m0001_a", "m0003_c"]), &owned(&["m0001_a", "m0003_c"])).len(), 1);
    assert_eq!(has_a_way_back("migrations/src/m0001_a.rs", "async fn up() {} // async fn down()").len(), 1);
    assert!(has_a_way_back("migrations/src/m0001_a.rs", "async fn down(&self) {}").is_empty());
}

#[test]
fn dependencies_without_a_reason_are_found() {
    let manifest = "[workspace.dependencies]\nmullion-a = { path = \"a\" }\n# b, c: reasons\nb = \"1\"\nc.version = \"1\"\nd = \"1\"\n# e:\ne = \"1\"\n[profile]\nf = 1";
    assert_eq!(lines(&dependencies_have_reasons(manifest)), [6, 8]);
}
