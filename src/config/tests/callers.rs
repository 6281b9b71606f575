//! Callers in the file and beside it.

use super::*;
use crate::domain::access::{Credentials, KeyHash, Sight};

#[test]
fn a_table_gives_a_caller_its_rights_and_the_keys_of_both_places_are_its() {
    let hash = KeyHash::of(b"0123456789abcdef");
    let text = format!("[callers.billing]\nkeys = [\"{hash}\"]\nsee = \"all\"\n[callers.shop]");
    let flags = [
        "--api-keys",
        "billing:fedcba9876543210,other:0123456789fedcba",
    ];
    let config = with_file(&text, &flags).expect("good");
    for (key, name, see) in [
        ("0123456789abcdef", "billing", Sight::All),
        ("fedcba9876543210", "billing", Sight::All),
        ("0123456789fedcba", "other", Sight::Own),
    ] {
        let access = config.callers.identify(Credentials::Key(key.as_bytes()));
        let access = access.unwrap_or_else(|| panic!("{key} is nobody's"));
        assert_eq!((access.caller.as_str(), access.rights.see), (name, see));
    }
    assert_eq!(config.callers.names().count(), 3);
    let repeated = ["--api-keys", "shop:0123456789abcdef"];
    let told = with_file(&text, &repeated).expect_err("a mistake").0;
    let words = "--api-keys: api_keys: entry 1, of shop: the key is given more than once";
    assert_eq!(told, [words]);
}

#[test]
fn the_example_file_and_the_readme_show_a_caller_as_it_can_be() {
    let example = include_str!("../../../amqpost.example.toml");
    let (_, table) = example
        .split_once("#\n# [callers.billing]\n")
        .expect("a caller");
    let bare = |line: &str| format!("{}\n", line.strip_prefix("# ").unwrap_or_default());
    let table: String = table.lines().map(bare).collect();
    let rights = |table: &str| {
        let text = format!("[callers.billing]\n{table}");
        let config = with_file(&text, &[]).expect("a good table");
        let key = Credentials::Key(b"0123456789abcdef");
        config.callers.identify(key).expect("its key").rights
    };
    let readme = include_str!("../../../README.md");
    let (_, shown) = readme.split_once("[callers.billing]\n").expect("a caller");
    let (shown, _) = shown.split_once("```").expect("an end");
    let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let shown = rights(&shown.replace("whsec_…", secret));
    assert_eq!(shown, rights(&table));
    assert!(shown.messages.is_some() && shown.publish.is_some());
}

#[test]
fn a_caller_without_a_key_keeps_the_gateway_closed() {
    let config = with_file("[callers.billing]", &["--listen", "0.0.0.0:80"]).expect("good");
    assert!(!config.callers.are_this_machine());
    assert_eq!(config.callers.identify(Credentials::None), None);
}

#[test]
fn mistakes_in_the_tables_of_callers_are_told_with_their_place() {
    for (text, start) in [
        (
            "[callers.a]\nsee = \"all\"\nkeys = [\"k\"]",
            ":3: callers.a.keys: entry 1: a key is configured as sha256:",
        ),
        (
            "lanes = 2\n[callers.a]\nse = \"all\"",
            ":3: callers.a: unknown field `se`",
        ),
        (
            "[callers.a]\nsee = \"most\"",
            ":2: callers.a: unknown variant `most`",
        ),
        (
            "[callers.a]\nkeys = \"hidden\"",
            ":2: callers.a: must be an array of strings",
        ),
        (
            "[callers.\"a b\"]",
            ":1: callers.a b: a caller's name has 1 to 64",
        ),
        ("callers = 3", ":1: callers: must be tables"),
        ("[callers]\na = 3", ":2: callers.a: invalid type: integer"),
    ] {
        let told = with_file(text, &[]).expect_err("a mistake").0;
        assert_eq!(told.len(), 1, "{told:?}");
        let (_, place) = told[0].split_once(".toml").expect("the file");
        assert!(place.starts_with(start), "{told:?}");
        assert!(!told[0].contains("hidden"), "{told:?}");
    }
}

#[test]
fn the_effective_configuration_has_the_callers_without_their_secrets() {
    let text = "[callers.billing]\nkeys = [\"sha256:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c2\
                8b548e564176929f\"]\npublish = [{ exchange = \"e\" }]\nact = [\"cancel\"]\n\
                webhook_secrets = [\"whsec_aGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVu\"]\n\
                [callers.shop]\nsee = \"all\"\nmessages_per_second = 5";
    let file = file(text);
    let path = file.path().to_str().expect("a path");
    let cli = parse(["amqpost", "--config", path].into_iter());
    let printed = Config::effective(&cli.file, &cli.options).expect("good");
    assert!(!printed.contains("aGlk"), "{printed}");
    assert!(
        printed.contains(&format!("# {path}:1\n[callers.billing]")),
        "{printed}"
    );
    let without = text.replace(
        "webhook_secrets = [\"whsec_aGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVu\"]",
        "",
    );
    let again = with_file(&printed, &[]).expect("it can be loaded");
    assert_eq!(
        again.callers,
        with_file(&without, &[]).expect("good").callers
    );
}
