//! The configuration: what is read, what wins, what is refused.

use super::{Config, Mode, table};

const KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

fn environment(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_environment_wins_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mullion.toml");
    std::fs::write(&file, "[server]\nport = 5000\nconsole = true\n").unwrap();
    let settings = environment(&[
        ("MULLION_PORT", "6000"),
        ("DATABASE_URL", "postgres://a"),
        ("MULLION_DATABASE_URL", "postgres://b"),
        ("MULLION_SERVER_ALLOWED_ORIGINS", "https://a.example, https://b.example"),
        ("HOME", "/root"),
    ]);
    let config = Config::load(Some(&file), settings).unwrap();
    assert_eq!(config.server.port, 6000);
    assert!(config.server.console);
    assert_eq!(config.database.url.as_deref(), Some("postgres://b"));
    assert_eq!(config.server.allowed_origins, ["https://a.example", "https://b.example"]);
}

#[test]
fn unknown_and_mistyped_settings_are_refused_by_name() {
    for (name, value, expected) in [
        ("MULLION_SERVER_PROT", "1", "did you mean MULLION_SERVER_PORT"),
        ("MULLION_SERVR_PORT", "1", "did you mean MULLION_SERVER_PORT"),
        ("MULLION_PORT", "many", "MULLION_PORT"),
        ("MULLION_SERVER_CONSOLE", "perhaps", "wrong type"),
    ] {
        let error = Config::load(None, environment(&[(name, value)])).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mullion.toml");
    std::fs::write(&file, "[server]\nprot = 5000\n").unwrap();
    let error = Config::load(Some(&file), []).unwrap_err().to_string();
    assert!(error.contains("prot") && error.contains('2'), "{error}");
}

#[test]
fn unsafe_settings_are_refused_with_what_to_do() {
    for (name, value, expected) in [
        ("MULLION_ENCRYPTION_KEY", "c2hvcnQ=", "mullion key generate"),
        ("MULLION_ENCRYPTION_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "mullion key generate"),
        ("MULLION_SERVER_ALLOWED_ORIGINS", "*", "must name each origin"),
        ("MULLION_SERVER_ALLOWED_ORIGINS", "https://a.example/", "is no origin"),
        ("MULLION_PUBLIC_URL", "mullion.example.com", "https://mullion.example.com"),
        ("MULLION_DATABASE_URL", "mysql://a", "postgres://"),
        ("MULLION_LIVE_PING_SECONDS", "0", "at least 1"),
        ("MULLION_LIMITS_MAX_DEPTH", "1000", "64"),
        ("MULLION_LIMITS_MAX_ANSWER_BYTES", "1000", "from 100000"),
        ("MULLION_LIMITS_MAX_ANSWER_BYTES", "1000000000", "to 256000000"),
    ] {
        let mut settings = environment(&[("MULLION_ENCRYPTION_KEY", KEY)]);
        settings.retain(|(set, _)| set != name);
        settings.extend(environment(&[(name, value)]));
        let error = Config::load(None, settings).unwrap().validate(Mode::Serve).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn serve_needs_an_encryption_key_and_dev_does_not() {
    let config = Config::default();
    config.validate(Mode::Dev).unwrap();
    let error = config.validate(Mode::Serve).unwrap_err().to_string();
    assert!(error.contains("mullion key generate") && error.contains("MULLION_ENCRYPTION_KEY"), "{error}");
    let config = Config::load(None, environment(&[("MULLION_ENCRYPTION_KEY", KEY)])).unwrap();
    config.validate(Mode::Serve).unwrap();
}

#[test]
fn every_option_is_documented_with_its_default() {
    let table = table::markdown();
    for expected in [
        "| `server.port` | `MULLION_PORT` | `4000` |",
        "| `database.url` | `MULLION_DATABASE_URL` | not set |",
        "| `limits.max_cost` | `MULLION_LIMITS_MAX_COST` | `200000` |",
    ] {
        assert!(table.contains(expected), "{table}");
    }
}

#[test]
fn the_readme_holds_the_table_that_the_code_makes() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let Ok(text) = std::fs::read_to_string(readme) else { return };
    let (begin, end) = table::MARKERS;
    let between = text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(table, _)| table.trim());
    assert_eq!(between, Some(table::markdown().trim()), "write it anew with `mullion config-table`");
}
