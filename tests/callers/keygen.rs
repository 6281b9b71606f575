//! `amqpost keygen`: its lines let the caller in.

use std::process::{Command, Output};

use super::{File, gateway, get};

fn keygen(name: &str) -> Output {
    let binary = std::env::var_os("AMQPOST_TEST_BINARY")
        .or_else(|| option_env!("CARGO_BIN_EXE_amqpost").map(Into::into))
        .expect("the crate has a binary amqpost");
    let mut command = Command::new(binary);
    command.args(["keygen", name]).env_clear();
    command.output().expect("it starts")
}

#[tokio::test]
async fn a_new_key_lets_in_who_it_was_made_for() {
    let made = keygen("billing.eu");
    assert!(made.status.success());
    let printed = String::from_utf8(made.stdout).expect("text");
    let (key, table): (Vec<_>, Vec<_>) = (printed.lines().filter(|line| !line.starts_with('#')))
        .partition(|line| line.starts_with("amqpost_"));
    let file = File::new(&table.join("\n"));
    let gateway = gateway(&file).await;
    assert_eq!(get(&gateway, key[0], "/v1/stats").await.status, 200);
    assert_eq!(
        get(&gateway, "amqpost_wrong", "/v1/stats").await.status,
        401
    );
    assert!(!gateway.log().contains(key[0]));
    assert!(
        !table.concat().contains(key[0]),
        "the configuration holds the key itself"
    );
}

#[test]
fn what_is_no_name_is_a_mistake() {
    let made = keygen("a b");
    assert!(!made.status.success() && made.stdout.is_empty());
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(said.contains("a caller's name has 1 to 64"), "{said}");
}
