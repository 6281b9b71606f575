//! SIGHUP, which ends processes that do not expect it.

use std::os::unix::fs::OpenOptionsExt as _;

use super::gateway;
use super::support::gateway::Gateway;
use super::support::process;
use super::support::wait::{SOON, blocking_until};

fn hang_up(gateway: &Gateway) {
    process::signal("HUP", &gateway.pid().to_string());
}

#[tokio::test]
async fn with_nothing_to_read_anew_that_is_what_is_said() {
    let mut gateway = gateway(&[]).await;
    for times in 1..=2 {
        hang_up(&gateway);
        let said = || {
            let log = gateway.log();
            let words = "there is no file to read the callers from anew";
            log.matches(words).count() == times
        };
        assert!(blocking_until(SOON, said), "{}", gateway.log());
    }
    assert_eq!(gateway.get_path("/healthz").await.status, 200);
    assert!(gateway.terminate().success());
}

#[tokio::test]
async fn with_nothing_new_that_is_what_is_said() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "shop:0123456789abcdef-of-shop").expect("the folder is ours");
    let keys = keys.display().to_string();
    let gateway = gateway(&[("AMQPOST_API_KEYS_FILE", &*keys)]).await;
    hang_up(&gateway);
    let said = || (gateway.log()).contains("the callers were read anew, and are the same");
    assert!(blocking_until(SOON, said), "{}", gateway.log());
}

#[tokio::test]
async fn a_file_that_is_never_read_to_its_end_does_not_keep_the_gateway_from_stopping() {
    const O_NONBLOCK: i32 = 0o4000;
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "shop:0123456789abcdef-of-shop").expect("the folder is ours");
    let told = keys.display().to_string();
    let mut gateway = gateway(&[("AMQPOST_API_KEYS_FILE", &*told)]).await;
    std::fs::remove_file(&keys).expect("it is there");
    let made = std::process::Command::new("mkfifo").arg(&keys).status();
    assert!(made.expect("mkfifo runs").success());
    hang_up(&gateway);
    // A pipe can be opened like this only once somebody reads it, who then waits for what never comes.
    let mut end = None;
    let is_read = || {
        let mut how = std::fs::File::options();
        end = how.write(true).custom_flags(O_NONBLOCK).open(&keys).ok();
        end.is_some()
    };
    assert!(blocking_until(SOON, is_read), "nobody reads it");
    assert!(gateway.terminate_within(SOON).success());
    drop(end);
}
