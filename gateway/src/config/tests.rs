//! The configuration: what is read, what wins, what is refused.

use super::{Config, Mode, injected_by_kubernetes, secret::SecretSetting, table};

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
    assert_eq!(config.database.url.as_ref().map(SecretSetting::expose), Some("postgres://b"));
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
        ("MULLION_UPSTREAM_ALLOW", "https://ghe.example.com", "is no host"),
        ("MULLION_LOG", "info,=", "write it like info,mullion_resolvers=debug"),
        ("MULLION_TELEMETRY_OTLP_ENDPOINT", "collector:4317", "must be like http://collector.example.com:4318"),
        ("MULLION_TELEMETRY_OTLP_ENDPOINT", "http://me:key@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
    ] {
        let mut settings = environment(&[("MULLION_ENCRYPTION_KEY", KEY)]);
        settings.retain(|(set, _)| set != name);
        settings.extend(environment(&[(name, value)]));
        let error = Config::load(None, settings).unwrap().validate(Mode::Serve).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn numbers_out_of_their_range_are_refused_by_name_in_the_environment_and_in_the_file() {
    for (section, option, value, expected) in [
        (
            "upstream",
            "max_concurrency",
            "0",
            "upstream.max_concurrency (MULLION_UPSTREAM_MAX_CONCURRENCY) must be 1 to",
        ),
        ("live", "ping_seconds", "0", "must be 1 to 3600, not 0"),
        ("limits", "max_depth", "1000", "must be 1 to 64, not 1000"),
        ("limits", "max_cost", "-1", "must be 1 to 1000000000000, not -1"),
        ("webhooks", "max_bytes_in_flight", "1000", "must be 26000000 to"),
        ("server", "port", "70000", "server.port (MULLION_PORT) must be 0 to 65535, not 70000"),
        ("sandbox", "seed", "-1", "must be at least 0, not -1"),
    ] {
        let name = super::environment::name_of(section, option);
        let error = Config::load(None, environment(&[(&name, value)])).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let file = file_with(&format!("[{section}]\n{option} = {value}\n"));
        let error = Config::load(Some(file.path()), []).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(&file.path().display().to_string()), "{error}");
    }
}

#[test]
fn every_number_has_a_range_and_its_default_is_in_it() {
    for section in Config::sections() {
        for option in section.options {
            let Some(toml::Value::Integer(number)) = section.defaults.get(option.name) else { continue };
            let name = format!("{}.{}", section.name, option.name);
            let range =
                option.range.unwrap_or_else(|| panic!("{name} has no range: write `, 1..=100` behind its default"));
            assert!(range.contains(*number), "{name} = {number} is not {range}");
        }
    }
}

fn file_with(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn a_secret_in_a_file_that_is_wrong_is_not_in_the_error() {
    for text in [
        "[security]\nencryption_key = hunter2\n",
        "[security]\nencryption_key = \"hunter2\n",
        "[security]\nencryption_key = [\"hunter2\"]\n",
        "[security]\nencryption_kee = \"hunter2\"\n",
        "[database]\nurl = \"postgres://me:hunter2@db\" x\n",
        "[replicas]\nnats_url = { password = \"hunter2\" }\n",
    ] {
        let error = Config::load(Some(file_with(text).path()), []).unwrap_err();
        assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{error:?}");
        assert!(error.to_string().contains("line "), "{error}");
    }
    let number = Config::load(Some(file_with("[security]\nencryption_key = 20261130\n").path()), []).unwrap_err();
    assert!(!number.to_string().contains("20261130") && number.to_string().contains("expected text"), "{number}");
}

#[test]
fn a_configuration_prints_none_of_its_secrets() {
    let settings = environment(&[
        ("MULLION_ENCRYPTION_KEY", "hunter2"),
        ("DATABASE_URL", "postgres://me:hunter2@db.example/x"),
        ("MULLION_REPLICAS_NATS_URL", "nats://me:hunter2@nats.example"),
    ]);
    let config = Config::load(None, settings).unwrap();
    assert_eq!(config.security.encryption_key.as_ref().map(SecretSetting::expose), Some("hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}

#[test]
fn what_kubernetes_injects_for_a_service_is_no_setting() {
    let mut settings = environment(&[
        ("MULLION_PORT", "tcp://10.96.0.12:80"),
        ("MULLION_PORT_80_TCP", "tcp://10.96.0.12:80"),
        ("MULLION_PORT_80_TCP_ADDR", "10.96.0.12"),
        ("MULLION_SERVICE_HOST", "10.96.0.12"),
        ("MULLION_SERVICE_PORT", "80"),
        ("MULLION_SERVICE_PORT_HTTP", "80"),
    ]);
    let names: Vec<_> = settings.iter().map(|(name, _)| name.clone()).collect();
    settings.push(("MULLION_PUBLIC_URL".to_owned(), "https://mullion.example".to_owned()));
    assert_eq!(Config::load(None, settings.clone()).unwrap().server.port, 4000);
    assert_eq!(injected_by_kubernetes(settings), names);
    for (name, value) in [("MULLION_PORT", "80x"), ("MULLION_PORTS", "80"), ("MULLION_SERVICES", "1")] {
        assert!(Config::load(None, environment(&[(name, value)])).is_err(), "{name}");
    }
    let error = Config::load(None, environment(&[("MULLION_WEB_SERVICE_HOST", "10.0.0.1")])).unwrap_err().to_string();
    assert!(error.contains("enableServiceLinks: false"), "{error}");
    for section in Config::sections() {
        assert!(!["port", "service"].contains(&section.name), "Kubernetes injects names that begin so");
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
        "| `limits.max_cost` | `MULLION_LIMITS_MAX_COST` | `200000` | 1 to 1000000000000 |",
    ] {
        assert!(table.contains(expected), "{table}");
    }
}

#[test]
fn the_guide_holds_the_table_that_the_code_makes() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/configuration.md");
    let Ok(text) = std::fs::read_to_string(page) else { return };
    let (begin, end) = table::MARKERS;
    let between = text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(table, _)| table.trim());
    assert_eq!(between, Some(table::markdown().trim()), "write it anew with `mullion config-table`");
}
