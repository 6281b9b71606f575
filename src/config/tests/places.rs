//! Who is stronger than whom, and where a mistake was made.

use super::*;
use crate::config::options::by_key;
use crate::config::source::Source;

/// What variables say, and below them a file.
fn with_variables(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = file(text);
    let path = Some(file.path().to_owned());
    Config::load(&ConfigFile { path }, &super::places::variables(variables))
}

/// The environment with these variables, by the keys of their options.
pub(super) fn variables(given: &[(&str, &str)]) -> Options {
    let variables = given.iter().map(|(key, value)| {
        let option = by_key(key).expect(key);
        (option, Source::Variable(option), value.into())
    });
    Options(variables.collect())
}

fn told(loaded: Result<Config, ConfigError>) -> Vec<String> {
    loaded.expect_err("mistakes").0
}

#[test]
fn variables_are_stronger_than_the_file_and_weaker_than_flags() {
    let text = "lanes = 2\nwindow_messages = 7";
    let config = with_variables(text, &[("lanes", "3")]).expect("good");
    assert_eq!((config.lanes, config.window_messages), (3, 7));
    let lanes = by_key("lanes").expect("an option");
    let both = Options(vec![
        (lanes, Source::Variable(lanes), "5".into()),
        (lanes, Source::Flag(lanes), "6".into()),
    ]);
    let config = Config::load(&ConfigFile::default(), &both).expect("good");
    assert_eq!(config.lanes, 6);
}

#[test]
fn every_mistake_of_a_file_is_told_with_its_line_and_what_is_allowed() {
    let text = "\
        lanes = 17\n\
        log_format = \"yaml\"\n\
        window_messages = 2\n\
        \n\
        allow_anonymous = \"yes\"\n\
        heartbeat_seconds = 70000\n\
        lane_messages = 2\n\
        [limits]\n\
        body_bytes_max = 3\n";
    let file = file(text);
    let path = file.path().to_str().expect("a path");
    let told = mistakes(&["--config", path]);
    let wanted = [
        "1: lanes: must be a whole number from 1 to 16, and is 17",
        "2: log_format: must be human or json, and is \"yaml\"",
        "5: allow_anonymous: must be true or false, and is \"yes\"",
        "6: heartbeat_seconds: must be a whole number from 1 to 65535, and is 70000",
        "7: lane_messages: is no option; is lane_memory_messages_max meant?",
        "8: limits: is no option; amqpost --help has all of them",
    ];
    let wanted = wanted.map(|words| format!("{path}:{words}"));
    let mut told = told;
    told.sort();
    assert_eq!(told, wanted);
}

#[test]
fn a_mistake_is_told_with_the_place_where_it_was_made() {
    let told = told(with_variables(
        "retry_pause_ms_min = 5\nbodies_bytes_max = 3",
        &[("stall_after_ms", "5s"), ("retry_pause_ms_max", "4")],
    ));
    let stall = "AMQPOST_STALL_AFTER_MS: stall_after_ms: must be a whole number from 100 to 4294967295, \
                 and is \"5s\"";
    assert_eq!(told[0], stall);
    assert!(told[1].ends_with(".toml:2: bodies_bytes_max: must not be below body_bytes_max"));
    assert!(told[2].ends_with(".toml:1: retry_pause_ms_min: must not be above retry_pause_ms_max"));
    assert_eq!(told.len(), 3);
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_lines_and_nothing_else() {
    let told = told(with_file(
        "lanes = 99\nwindow_bytes = \nlains = 3\n= 4\n",
        &[],
    ));
    assert!(told[0].contains(".toml:2: "), "{told:?}");
    assert!(told[1].contains(".toml:4: "), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn secrets_are_read_from_files_of_their_own_without_the_newline_at_the_end() {
    let keys = file("billing:secret-0123456789\r\n");
    let path = keys.path().to_str().expect("a path");
    let inline = with(&["--api-keys", "billing:secret-0123456789"]).expect("keys");
    let by_variable = with_variables("", &[("api_keys_file", path)]).expect("keys");
    assert_eq!(by_variable, inline);
    let in_file = format!("api_keys_file = {path:?}\napi_keys = \"\"");
    assert_eq!(with_file(&in_file, &[]).expect("keys"), inline);
    // Whoever is stronger, in whatever form.
    let stronger = with_variables(
        "api_keys = \"shop:secret-9876543210\"",
        &[("api_keys_file", path)],
    );
    assert_eq!(stronger.expect("keys"), inline);
    let stronger = with_file(&in_file, &["--api-keys", "shop:secret-9876543210"]).expect("keys");
    let names: Vec<_> = stronger.callers.names().map(Caller::as_str).collect();
    assert_eq!(names, ["shop"]);
    // An empty path is none.
    assert_eq!(with_variables("", &[("api_keys_file", "")]), with(&[]));
}

#[test]
fn a_secret_that_is_given_in_both_forms_is_a_mistake() {
    let keys = file("billing:secret-0123456789");
    let path = keys.path().to_str().expect("a path");
    let both = [
        ("api_keys", "billing:secret-0123456789"),
        ("api_keys_file", path),
    ];
    let words =
        "AMQPOST_API_KEYS: api_keys: api_keys_file is given too, and one of the two is enough";
    assert_eq!(told(with_variables("", &both)), [words]);
    let text = format!("broker_url = \"amqp://h\"\nbroker_url_file = {path:?}");
    assert!(
        told(with_file(&text, &[]))[0].contains(".toml:1: broker_url: broker_url_file is given")
    );
}

#[test]
fn a_file_without_a_usable_secret_is_named_and_not_taken_for_none() {
    let (empty, big, odd) = (file("\n"), file(&"x".repeat((1 << 20) + 1)), file(""));
    std::fs::write(odd.path(), [0xff, 0xfe]).expect("written");
    let listen = ("listen", "0.0.0.0:80");
    for (path, words) in [
        (empty.path(), "which is empty"),
        (big.path(), "more than 1048576 bytes"),
        (odd.path(), "not UTF-8"),
        (
            std::path::Path::new("/nowhere/keys"),
            "cannot be read: No such file",
        ),
    ] {
        let path = path.to_str().expect("a path");
        // Not a word about the address, for which there would be keys.
        let told = told(with_variables("", &[("api_keys_file", path), listen]));
        assert_eq!(told.len(), 1, "{told:?}");
        let start = format!("AMQPOST_API_KEYS_FILE: api_keys_file: names the file {path}, ");
        assert!(
            told[0].starts_with(&start) && told[0].contains(words),
            "{told:?}"
        );
    }
    // A mistake in the text is told with both places, and without the text.
    let faulty = file("billing:secret");
    let path = faulty.path().to_str().expect("a path");
    let told = told(with_variables("", &[("api_keys_file", path)]));
    let start = format!("AMQPOST_API_KEYS_FILE ({path}): api_keys: entry 1");
    assert!(
        told[0].starts_with(&start) && !told[0].contains("secret"),
        "{told:?}"
    );
}
