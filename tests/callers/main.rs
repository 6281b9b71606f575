//! Callers from end to end: a gateway process with a configuration file that changes under it.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod keygen;
mod reloading;
mod rights;
mod wrong_keys;

use std::fs;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::Value;
use support::broker_node::shared_broker_url;
use support::gateway::{Answer, Gateway};
use support::process;
use tempfile::TempDir;
use tokio::sync::Mutex;

const ALICE: &str = "alices-key-0123456789";
/// `printf alices-key-0123456789 | sha256sum`
const ALICES_HASH: &str = "sha256:6d6c1651432ee7fad77543199832067ab0e10fa617134e5cdce726427ff3e26f";
const BOB: &str = "bobs-key-0123456789";
/// `printf bobs-key-0123456789 | sha256sum`
const BOBS_HASH: &str = "sha256:282ff5df66070249a7267533c467c2b65aed773896f0c7f9c97d7b845429537a";

/// Held by the test that compares times and by the one that keeps the machine busy.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A file with the tables of callers.
struct File {
    directory: TempDir,
}

impl File {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let file = Self { directory };
        file.write(text);
        file
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("amqpost.toml")
    }

    /// Writes it as editors do: whole, under another name first.
    fn write(&self, text: &str) {
        let new = self.directory.path().join("new");
        fs::write(&new, text).expect("the directory is ours");
        fs::rename(new, self.path()).expect("the directory is ours");
    }
}

/// A gateway at the shared broker with this file.
async fn gateway(file: &File) -> Gateway {
    let path = file.path();
    let environment = [
        ("AMQPOST_BROKER_URL", shared_broker_url()),
        ("AMQPOST_CONFIG", path.to_string_lossy().into_owned()),
    ];
    Gateway::start(environment).await
}

/// Alice with these lines in her table, and Bob.
fn alice_and_bob(alice: &str) -> String {
    format!(
        "[callers.alice]\nkeys = [\"{ALICES_HASH}\"]\n{alice}\n[callers.bob]\nkeys = [\"{BOBS_HASH}\"]\n"
    )
}

/// Sends a request with this key, and JSON if there is a body.
async fn call(gateway: &Gateway, key: &str, method: Method, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {key}");
    let mut headers = vec![("authorization", bearer.as_str())];
    let mut text = String::new();
    if !body.is_null() {
        headers.push(("content-type", "application/json"));
        text = body.to_string();
    }
    gateway.request(method, path, &headers, text).await
}

async fn get(gateway: &Gateway, key: &str, path: &str) -> Answer {
    call(gateway, key, Method::GET, path, &Value::Null).await
}

async fn post(gateway: &Gateway, key: &str, path: &str, body: &Value) -> Answer {
    call(gateway, key, Method::POST, path, body).await
}

/// When the callers that are in force were read, as `/readyz` says it.
async fn loaded_at(gateway: &Gateway) -> Value {
    gateway.get_path("/readyz").await.json["callers"]["loaded_at"].clone()
}

/// Writes the file, asks for it to be read, and waits until it was.
async fn reload(gateway: &Gateway, file: &File, text: &str) {
    let before = loaded_at(gateway).await;
    file.write(text);
    process::signal("HUP", &gateway.pid().to_string());
    let read = |answer: &Answer| answer.json["callers"]["loaded_at"] != before;
    gateway.wait_for("/readyz", read).await;
}
