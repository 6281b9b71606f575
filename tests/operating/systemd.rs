//! systemd is told what it asks for, and nobody is told where it is not.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::gateway;
use super::support::wait::{SOON, blocking_until};

/// Waits until systemd is told a line.
fn told(socket: &UnixDatagram, line: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while !all.iter().any(|one| one == line) {
        let length = socket.recv(&mut buffer).expect(line);
        let text = str::from_utf8(&buffer[..length]).expect("UTF-8");
        all.extend(text.lines().map(ToOwned::to_owned));
    }
    all
}

#[tokio::test]
async fn systemd_hears_of_the_start_of_life_and_of_the_stop() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("a time limit");
    let path = path.to_str().expect("UTF-8");
    let mut gateway = gateway(&[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "200000")]).await;
    let first = told(&socket, "READY=1");
    assert!(!first.iter().any(|line| line == "STOPPING=1"), "{first:?}");
    told(&socket, "WATCHDOG=1");
    told(&socket, "WATCHDOG=1");
    assert!(gateway.terminate().success());
    let last = told(&socket, "STOPPING=1");
    assert!(!last.iter().any(|line| line == "READY=1"), "{last:?}");
}

#[tokio::test]
async fn a_socket_that_is_gone_is_told_in_the_log_and_changes_nothing() {
    let nowhere = Path::new("/nowhere/at/all");
    let mut gateway = gateway(&[("NOTIFY_SOCKET", nowhere.to_str().expect("UTF-8"))]).await;
    // It is told once the port answers, so that the first answer may come before the line.
    let told = || gateway.log().contains("systemd cannot be told");
    assert!(blocking_until(SOON, told), "{}", gateway.log());
    assert!(gateway.terminate().success());
}
