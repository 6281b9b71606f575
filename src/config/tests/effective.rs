//! What `amqpost config` prints.

use super::places::variables;
use super::*;

fn effective(text: &str, given: &[(&str, &str)]) -> String {
    let file = file(text);
    let path = Some(file.path().to_owned());
    Config::effective(&ConfigFile { path }, &variables(given)).expect("good")
}

#[test]
fn what_is_printed_can_be_loaded_and_is_the_same() {
    let keys = file("billing:secret-0123456789");
    let path = keys.path().to_str().expect("a path");
    let text = "lanes = 3\nbroker_url = \"amqp://rabbit/v\"\nlog_format = \"json\"";
    let given = [
        ("api_keys_file", path),
        ("listen", "0.0.0.0:80"),
        ("log_filter", "a\"\\b"),
        ("allow_anonymous", "true"),
    ];
    let printed = effective(text, &given);
    let file = file(text);
    let path = Some(file.path().to_owned());
    let loaded = Config::load(&ConfigFile { path }, &variables(&given));
    assert_eq!(with_file(&printed, &[]), loaded);
    assert_eq!(with_file(&effective("", &[]), &[]), with(&[]));
}

#[test]
fn each_line_says_where_its_value_comes_from() {
    let keys = file("billing:secret-0123456789");
    let path = keys.path().to_str().expect("a path");
    let printed = effective(
        "\n\nlanes = 3",
        &[("heartbeat_seconds", "5"), ("api_keys_file", path)],
    );
    let line = |key: &str| {
        let found = printed.lines().find(|line| line.starts_with(key));
        found.expect(key).to_owned()
    };
    assert!(line("lanes").starts_with("lanes = 3 # /"));
    assert!(line("lanes").ends_with(".toml:3"));
    assert_eq!(
        line("heartbeat"),
        "heartbeat_seconds = 5 # AMQPOST_HEARTBEAT_SECONDS"
    );
    assert_eq!(line("listen"), "listen = \"127.0.0.1:8080\" # default");
    assert_eq!(
        line("api_keys"),
        format!("api_keys_file = {path:?} # AMQPOST_API_KEYS_FILE")
    );
}

#[test]
fn secrets_are_not_printed_and_what_holds_them_is_a_comment() {
    let secret = "whsec_aGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVu";
    let printed = effective(
        &format!("webhook_secrets = \"shop:{secret}\""),
        &[
            ("broker_url", "amqp://u:pa55word@h,amqp://u:pa55word@h2"),
            ("api_keys", "billing:pa55word-0123456789"),
        ],
    );
    assert!(
        !printed.contains("pa55word") && !printed.contains("aGlk"),
        "{printed}"
    );
    let words =
        "# broker_url = \"amqp://u:***@h,amqp://u:***@h2\" # AMQPOST_BROKER_URL, with a secret";
    assert!(printed.contains(words), "{printed}");
    assert!(
        printed.contains("\n# api_keys = \"billing:***\" # AMQPOST_API_KEYS, "),
        "{printed}"
    );
    assert!(
        printed.contains("\n# webhook_secrets = \"shop:***\" # /"),
        "{printed}"
    );
    assert!(with_file(&printed, &[]).is_ok());
}

#[test]
fn a_configuration_with_mistakes_is_not_printed() {
    let told = Config::effective(&ConfigFile::default(), &variables(&[("lanes", "0")]));
    assert!(told.expect_err("a mistake").0[0].contains("lanes"));
}
