mod callers;
mod effective;
mod places;

use std::io::Write as _;

use clap::builder::Resettable;
use clap::{CommandFactory as _, FromArgMatches as _};

use super::*;
use crate::domain::Caller;

/// The command line, deaf to the environment that the tests run in.
fn parse<'a>(arguments: impl Iterator<Item = &'a str>) -> Cli {
    let mut command = Cli::command().mut_args(|option| option.env(Resettable::Reset));
    let matches = command.try_get_matches_from_mut(arguments);
    Cli::from_arg_matches(&matches.expect("flags that exist")).expect("a command line")
}

/// The configuration by flags alone.
fn with(flags: &[&str]) -> Result<Config, ConfigError> {
    let arguments = ["amqpost"].iter().chain(flags);
    let cli = parse(arguments.copied());
    Config::load(&cli.file, &cli.options)
}

fn mistakes(flags: &[&str]) -> Vec<String> {
    with(flags).expect_err("mistakes").0
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new();
    let mut file = file.suffix(".toml").tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn with_file(text: &str, flags: &[&str]) -> Result<Config, ConfigError> {
    let file = file(text);
    let path = file.path().to_str().expect("a path").to_owned();
    let mut all = vec!["--config", &path];
    all.extend(flags);
    with(&all)
}

#[test]
fn without_anything_there_are_defaults() {
    let config = with(&[]).expect("defaults");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.management_listen, None);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.retry, RetrySchedule::default());
    assert_eq!(config.http, http::Settings::default());
    assert_eq!(config.brokers.user(), Some("guest"));
    assert_eq!(config.brokers.urls()[0].vhost, "/");
}

#[test]
fn the_example_file_names_every_option_with_its_default() {
    let text = include_str!("../../amqpost.example.toml");
    assert_eq!(with_file(text, &[]), with(&[]));
    let table: toml::Table = text.parse().expect("TOML");
    let command = Cli::command();
    let options = command.get_arguments().map(clap::Arg::get_id);
    let mut keys: Vec<_> = options.filter(|key| *key != "path").collect();
    assert!(keys.len() > 40);
    keys.retain(|key| !table.contains_key(key.as_str()));
    assert_eq!(keys, [""; 0], "these are not in the example file");
}

#[test]
fn every_option_has_an_environment_variable_of_its_name_and_tells_its_default() {
    let table: toml::Table = include_str!("../../amqpost.example.toml")
        .parse()
        .expect("TOML");
    let command = Cli::command();
    for (key, default) in &table {
        let option = command
            .get_arguments()
            .find(|option| option.get_id() == key)
            .expect(key);
        let variable = option.get_env().and_then(|name| name.to_str());
        assert_eq!(
            variable,
            Some(format!("AMQPOST_{}", key.to_uppercase()).as_str())
        );
        let default = match default {
            toml::Value::String(text) if text.is_empty() => "none".to_owned(),
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let help = option
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(
            help.contains(&format!("[default: {default}]")),
            "{key}: {help}"
        );
    }
}

#[test]
fn the_readme_tells_the_limits_as_they_are() {
    let table: toml::Table = include_str!("../../amqpost.example.toml")
        .parse()
        .expect("TOML");
    let readme = include_str!("../../README.md");
    let (_, limits) = readme
        .split_once("| limit | default |")
        .expect("a table of limits");
    let rows = limits
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| `"));
    let mut told = 0;
    for row in rows {
        let (name, rest) = row.split_once("` | ").expect("a name");
        let default = rest.split(' ').next().unwrap_or_default();
        let known = table
            .get(name)
            .unwrap_or_else(|| panic!("{name} is no option"));
        assert_eq!(known.to_string(), default, "{name}");
        told += 1;
    }
    assert!(told >= 10, "only {told} limits are told");
}

#[test]
fn flags_are_stronger_than_the_file() {
    let text = "lanes = 2\nwindow_messages = 7";
    let config = with_file(text, &["--lanes", "3"]).expect("good");
    assert_eq!((config.lanes, config.window_messages), (3, 7));
}

#[test]
fn options_may_stand_before_and_after_the_command() {
    let parse = |arguments: &[&'static str]| parse(arguments.iter().copied());
    let before = parse(&["amqpost", "--lanes", "3", "serve"]);
    let after = parse(&["amqpost", "serve", "--lanes", "3"]);
    for cli in [before, after] {
        assert_eq!(cli.command, Some(Command::Serve));
        assert_eq!(
            Config::load(&cli.file, &cli.options).expect("good").lanes,
            3
        );
    }
    assert_eq!(parse(&["amqpost"]).command, None);
    assert_eq!(
        parse(&["amqpost", "openapi"]).command,
        Some(Command::Openapi)
    );
}

#[test]
fn an_unknown_key_of_the_file_is_named() {
    let mistakes = with_file("lanes = 2\nlains = 3", &[])
        .expect_err("a mistake")
        .0;
    assert!(
        mistakes[0].contains(".toml:2: lains: is no option; is lanes meant?"),
        "{mistakes:?}"
    );
}

#[test]
fn a_mistake_in_the_file_does_not_show_the_secrets_beside_it() {
    for text in [
        "broker_url = \"amqp://u:secret@h\" x",
        "broker_url = [\"secret\"]",
    ] {
        let mistakes = with_file(text, &[]).expect_err("a mistake").0;
        assert!(!mistakes.concat().contains("secret"), "{mistakes:?}");
    }
}

#[test]
fn a_misspelt_environment_variable_is_named() {
    let refuse = |name: &str| Config::refuse_unknown_variables([name.into()]);
    assert_eq!(refuse("AMQPOST_LANES"), Ok(()));
    assert_eq!(refuse("AMQPOST_CONFIG"), Ok(()));
    assert_eq!(refuse("AMQPOST_PORT"), Ok(()));
    assert_eq!(refuse("PATH"), Ok(()));
    for link in [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT_8080_TCP_ADDR",
        "PODS_PORT_8080_TCP",
    ] {
        assert_eq!(refuse(&format!("AMQPOST_{link}")), Ok(()), "{link}");
    }
    assert!(refuse("AMQPOST_PORT_LISTEN").is_err() && refuse("AMQPOST_PORT_80").is_err());
    let told = refuse("AMQPOST_LANE").expect_err("misspelt").0;
    assert_eq!(
        told,
        ["the environment variable AMQPOST_LANE is no option; is AMQPOST_LANES meant?"]
    );
    let told = refuse("AMQPOST_QUUX").expect_err("like nothing").0;
    let words =
        "the environment variable AMQPOST_QUUX is no option; amqpost --help has all of them";
    assert_eq!(told, [words]);
}

#[test]
fn a_file_that_is_not_there_is_a_mistake() {
    assert!(mistakes(&["--config", "/nowhere/at/all.toml"])[0].contains("/nowhere/at/all.toml"));
}

#[test]
fn what_is_not_supported_yet_is_refused() {
    assert!(mistakes(&["--store-url", "postgres://h/db"])[0].contains("sqlite:FILE"));
    assert!(with(&["--store-url", "memory:", "--api-keys", ""]).is_ok());
}

#[test]
fn a_store_has_room_for_few_lanes_and_is_not_tiny() {
    assert!(with(&["--lanes", "16"]).is_ok());
    let lanes = "--lanes: lanes: must be a whole number from 1 to 16, and is \"17\"";
    assert_eq!(mistakes(&["--lanes", "17"]), [lanes]);
    let store = &mistakes(&["--store-bytes-max", "1000"])[0];
    assert!(store.contains("store_bytes_max: must be a whole number of at least 67108864"));
}

#[test]
fn other_machines_are_served_only_when_that_is_said() {
    for open in ["0.0.0.0:80", "[::]:80", "192.168.0.1:80"] {
        assert!(mistakes(&["--listen", open])[0].contains("AMQPOST_ALLOW_ANONYMOUS=true"));
        let config = with(&["--listen", open, "--allow-anonymous"]).expect("said so");
        assert!(!config.callers.are_this_machine());
    }
    for here in ["127.9.9.9:80", "[::1]:80"] {
        let config = with(&["--listen", here]).expect("loopback");
        assert!(config.callers.are_this_machine());
    }
}

#[test]
fn with_keys_other_machines_may_be_served() {
    let keys = ["--api-keys", "billing:secret-0123456789"];
    let config = with(&[&keys[..], &["--listen", "0.0.0.0:80"]].concat()).expect("keys");
    let callers = &config.callers;
    assert!(!callers.are_this_machine() && !callers.allow_anonymous);
    assert!(!format!("{config:?}").contains("secret-0123"));
    let both = with(&[&keys[..], &["--allow-anonymous"]].concat()).expect("both");
    assert!(both.callers.allow_anonymous && both.callers.keys_count() == 1);
    // A faulty key is told without a word about the address.
    let told = mistakes(&["--api-keys", "billing:secret", "--listen", "0.0.0.0:80"]);
    assert!(
        told.len() == 1 && told[0].starts_with("--api-keys: api_keys: entry 1"),
        "{told:?}"
    );
    assert!(!told[0].contains("secret"));
    let in_file = with_file("api_keys = \"billing:secret-0123456789\"", &[]).expect("keys");
    assert_eq!(in_file.callers, config.callers);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let flags = [
        "--listen",
        "x",
        "--management-listen",
        "9464",
        "--api-keys",
        "k",
        "--lanes",
        "0",
        "--json-depth-max",
        "1000",
    ];
    let mistakes = mistakes(&flags);
    for word in [
        "listen",
        "management_listen",
        "api_keys",
        "lanes",
        "json_depth_max",
    ] {
        assert!(
            mistakes.iter().any(|mistake| mistake.contains(word)),
            "{word}: {mistakes:?}"
        );
    }
}

#[test]
fn a_configuration_shows_no_password() {
    let secrets = "billing:whsec_aGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVu";
    let flags = [
        "--broker-url",
        "amqp://u:pa55word@h",
        "--webhook-secrets",
        secrets,
    ];
    let config = with(&flags).expect("good");
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("pa55word") && !shown.contains("aGlk"),
        "{shown}"
    );
    // What --help shows of the environment.
    for id in ["broker_url", "store_url", "api_keys", "webhook_secrets"] {
        let command = Cli::command();
        let option = command.get_arguments().find(|one| one.get_id() == id);
        assert!(option.expect(id).is_hide_env_values_set(), "{id}");
    }
}

#[test]
fn webhooks_are_signed_and_led_as_is_said_and_mistakes_show_no_secret() {
    let secret = "whsec_aGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVu";
    let flags = [
        "--webhook-secrets",
        &format!("billing:{secret}"),
        "--webhook-allow",
        "10.0.0.0/8",
    ];
    let config = with(&flags).expect("good");
    let billing = Caller::named("billing").expect("a name");
    let expected = [secret.parse().expect("a secret")];
    assert_eq!(config.callers.secrets(&billing), expected);
    assert_eq!(Ok(config.webhook_allow), "10.0.0.0/8".parse());
    let in_file = with_file(&format!("webhook_secrets = \"{secret}\""), &[]).expect("good");
    assert_eq!(in_file.callers.secrets(&Caller::default()), expected);
    let bad = [
        "--webhook-secrets",
        &secret[1..],
        "--webhook-allow",
        "10.0.0.0/8/9",
    ];
    let told = mistakes(&bad);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("--webhook-secrets: ") && !told[0].contains("aGlk"));
    assert!(told[1].starts_with("--webhook-allow: webhook_allow: ") && told[1].contains("0 to 32"));
    let many = mistakes(&["--webhooks-per-caller-max", "1001"]);
    assert!(many[0].contains("webhooks_per_caller_max: must be a whole number from 0 to 1000"));
    assert!(with(&["--webhooks-per-caller-max", "1000"]).is_ok());
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn traces_are_exported_only_where_they_are_built_in() {
    let good = ["http://127.0.0.1:4318", "https://collector:4318/base/"];
    if cfg!(feature = "otlp") {
        for endpoint in good {
            let config = with(&["--otlp-endpoint", endpoint]).expect("a good endpoint");
            assert_eq!(config.otlp_endpoint.as_deref(), Some(endpoint));
        }
    } else {
        let told = mistakes(&["--otlp-endpoint", good[0]]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("cargo build --features otlp"), "{told:?}");
    }
    for bad in [
        "collector:4318",
        "grpc://h",
        "http://u:secret@h",
        "http://h/?token=secret",
    ] {
        let told = mistakes(&["--otlp-endpoint", bad]).concat();
        assert!(!told.contains("secret"), "{told}");
    }
    assert_eq!(with(&[]).expect("defaults").otlp_endpoint, None);
}
