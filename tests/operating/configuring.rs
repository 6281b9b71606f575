//! `amqpost check-config` and `amqpost config`, with the environment and files as they really are.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::run;
use super::support::gateway::command;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn amqpost(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut amqpost = command();
    amqpost.current_dir(folder.path()).args(arguments);
    amqpost
}

#[test]
fn every_mistake_is_named_with_its_place_and_what_is_allowed() {
    let folder = folder(&[
        (
            "amqpost.toml",
            "lanes = 0\nlisten = \"here\"\nheartbeat = 5\n",
        ),
        ("keys", "billing:secret\n"),
    ]);
    let mut check = amqpost(&folder, &["check-config", "--config", "amqpost.toml"]);
    check
        .env("AMQPOST_API_KEYS_FILE", "keys")
        .env("AMQPOST_STORE_BYTES_MAX", "1G");
    let (code, printed, told) = run(&mut check);
    assert_eq!((code, printed.as_str()), (1, ""));
    for words in [
        "amqpost.toml:1: lanes: must be a whole number from 1 to 16, and is 0",
        "amqpost.toml:2: listen: must be an address and a port, such as 127.0.0.1:8080",
        "amqpost.toml:3: heartbeat: is no option; is heartbeat_seconds meant?",
        "AMQPOST_STORE_BYTES_MAX: store_bytes_max: must be a whole number of at least 67108864",
        "AMQPOST_API_KEYS_FILE (keys): api_keys: entry 1, of billing: a key has 16 to 512 characters",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(told.lines().count(), 5, "{told}");
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn a_misspelt_variable_and_faulty_files_are_mistakes_of_the_configuration_too() {
    let folder = folder(&[("topology.json", "{\n\"queues\": [{}]}"), ("none.pem", "")]);
    let mut check = amqpost(&folder, &["check-config"]);
    check
        .env("AMQPOST_LISTENS", "127.0.0.1:80")
        .env("AMQPOST_TOPOLOGY_FILE", "topology.json")
        .env("AMQPOST_TLS_CERT_FILE", "none.pem")
        .env("AMQPOST_TLS_KEY_FILE", "none.pem")
        .env("AMQPOST_BROKER_URL", "amqps://rabbit")
        .env("AMQPOST_BROKER_CA_FILE", "nowhere.pem");
    let (code, _, told) = run(&mut check);
    assert_eq!(code, 1);
    for words in [
        "AMQPOST_LISTENS is no option; is AMQPOST_LISTEN meant?",
        "topology.json has mistakes:\nmissing field `name` at line 2",
        "none.pem holds no certificate in PEM",
        "nowhere.pem cannot be read",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    // With options that are wrong, there are none that say which files are meant.
    let (code, _, told) = run(check.env("AMQPOST_LANES", "0"));
    assert_eq!(code, 1);
    for words in [
        "AMQPOST_LISTENS is no option",
        "AMQPOST_LANES: lanes: must be",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn a_good_configuration_is_called_good_and_printed_without_its_secrets() {
    let folder = folder(&[
        (
            "amqpost.toml",
            "lanes = 2\nbroker_url = \"amqp://u:hidden@rabbit/v\"\n",
        ),
        ("keys", "billing:hidden-0123456789\n"),
    ]);
    let with = |arguments: &[&str]| {
        let mut amqpost = amqpost(&folder, arguments);
        amqpost.env("AMQPOST_CONFIG", "amqpost.toml");
        run(amqpost.env("AMQPOST_API_KEYS_FILE", "keys"))
    };
    let (code, printed, told) = with(&["check-config", "--lanes=3"]);
    assert_eq!(
        (code, printed.as_str(), told.as_str()),
        (0, "the configuration is good\n", "")
    );
    let (code, printed, _) = with(&["config", "--lanes=3"]);
    assert_eq!(code, 0);
    assert!(!printed.contains("hidden"), "{printed}");
    for line in [
        "lanes = 3 # --lanes",
        "api_keys_file = \"keys\" # AMQPOST_API_KEYS_FILE",
        "# broker_url = \"amqp://u:***@rabbit/v\" # amqpost.toml:2, with a secret that is not shown",
        "window_messages = 1000 # default",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}: {printed}"
        );
    }
    // It says the same when it is loaded.
    fs::write(folder.path().join("printed.toml"), &printed).expect("written");
    let again = amqpost(&folder, &["config", "--config", "printed.toml"]).output();
    let again = String::from_utf8(again.expect("the binary runs").stdout).expect("UTF-8");
    assert!(again.contains("lanes = 3 # printed.toml:"), "{again}");
}
