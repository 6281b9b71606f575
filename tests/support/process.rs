//! Processes that do not outlive their test, however it ends.
//!
//! Each runs in a process group of its own. Drop kills the group; when the test process itself is
//! killed and no Drop runs, a guard does it: a shell that waits for the end of a pipe whose other
//! end only the test process holds.

use std::net::TcpListener;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use super::wait::{self, SOON};

/// What the group wrote can only be removed when nobody of it writes any more. `kill -9` is not
/// used: not every shell takes it together with `--`.
const GUARD: &str = r#"
    read -r _
    kill -s KILL -- "-$1"
    n=0
    while kill -s 0 -- "-$1" && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.1; done
    if [ -n "$2" ]; then rm -rf "$2"; fi
"#;

/// A process, what it started, and the guard that ends them with the test.
#[derive(Debug)]
pub struct ProcessGroup {
    leader: Child,
    guard: Child,
    ended: Option<ExitStatus>,
}

impl ProcessGroup {
    /// Starts `command` as the leader of a new group. `directory` is what the guard removes too.
    pub fn start(command: &mut Command, directory: Option<&Path>) -> Self {
        let leader = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard", &leader.id().to_string()])
            .arg(directory.unwrap_or(Path::new("")))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("/bin/sh starts");
        Self {
            leader,
            guard,
            ended: None,
        }
    }

    /// The leader's process id, which is the group's too.
    pub fn id(&self) -> u32 {
        self.leader.id()
    }

    /// How the leader ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.leader.try_wait().expect("the leader is our child");
        }
        self.ended
    }

    /// Kills all of the group, reaps the leader and lets the guard go.
    pub fn kill_9(&mut self) {
        // Also after the leader's end, since others of the group may live on.
        let _ = try_signal("KILL", &format!("-{}", self.id()));
        if self.ended.is_none() {
            self.ended = self.leader.wait().ok();
        }
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }

    /// What happens when the test process is gone: the guard acts. Returns once it has.
    pub fn abandon(&mut self) {
        drop(self.guard.stdin.take());
        let acted = wait::blocking_until(SOON, || {
            // Whoever inherits the leader reaps it, and so must we.
            let _ = self.ended();
            matches!(self.guard.try_wait(), Ok(Some(_)))
        });
        assert!(acted, "the guard of group {} does not act", self.id());
    }

    /// Waits for the leader's own end, and panics when it takes longer than `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let ended = wait::blocking_until(limit, || self.ended().is_some());
        assert!(ended, "process {} has not ended in {limit:?}", self.id());
        self.ended.expect("it has just ended")
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill_9();
    }
}

/// Sends a signal (`TERM`, `STOP`, …) to a process, or to a group when the id is negative.
pub fn signal(name: &str, target: &str) {
    assert!(try_signal(name, target), "no SIG{name} for {target}");
}

fn try_signal(name: &str, target: &str) -> bool {
    Command::new("/bin/sh")
        .args(["-c", r#"kill -s "$1" -- "$2""#, "signal", name, target])
        .stderr(Stdio::null())
        .status()
        .expect("/bin/sh starts")
        .success()
}

/// Whether a process exists and is not merely waiting to be reaped.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with(['Z', 'X'])))
        .is_some_and(|dead| !dead)
}

/// Waits until the process is gone.
pub fn wait_gone(pid: u32) -> bool {
    wait::blocking_until(SOON, || !is_alive(pid))
}

/// Whether the process ended by SIGKILL.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// A port of 127.0.0.1 that nobody listens on. It is below the range that the system takes ports
/// for outgoing connections from, so none of those can come in between.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 18_000;
    const COUNT: u16 = 14_000;
    let offset = u16::try_from(std::process::id().wrapping_mul(61) % u32::from(COUNT))
        .expect("it is below COUNT");
    for _ in 0..COUNT {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (offset + step % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}
