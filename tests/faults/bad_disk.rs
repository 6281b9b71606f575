//! A disk that is full, slow, or fails to sync.
//!
//! Full: the store is on a small file system of its own (tmpfs), which is made as small as what is on it; this
//! takes root. Slow and failing: `strace` lets each `fdatasync` and `fsync` of the gateway take so long, or
//! fail with EIO; this takes the right to trace the process. Who has not what it takes is told so.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::left_over;

/// More than any campaign writes; it is memory only once it is used.
const SIZE: &str = "3g";

/// A file system for the store.
pub(crate) struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// Makes one, or says why not.
    pub(crate) fn new() -> Result<Self, String> {
        let directory = left_over::directory().map_err(|error| error.to_string())?;
        Self::mounted_on(directory)
    }

    /// The same, on this directory.
    pub(crate) fn mounted_on(directory: TempDir) -> Result<Self, String> {
        let mut mount = Command::new("mount");
        mount.args([
            "-t",
            "tmpfs",
            "-o",
            &format!("size={SIZE}"),
            "amqpost-faults",
        ]);
        run(mount.arg(directory.path()))?;
        Ok(Self { directory })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Leaves no room but for a few pages.
    pub(crate) fn fill(&self) -> Result<(), String> {
        let used = run(Command::new("df")
            .args(["-k", "--output=used"])
            .arg(self.path()))?;
        let used: u64 = (used.lines().last())
            .and_then(|line| line.trim().parse().ok())
            .ok_or("df tells no number")?;
        // What is written meanwhile takes room too, and less than there is cannot be left.
        for spare in [16, 256, 4096, 65536] {
            if self.resize(&format!("{}k", used + spare)).is_ok() {
                return Ok(());
            }
        }
        Err("it cannot be made smaller".into())
    }

    /// Gives it its room back.
    pub(crate) fn free(&self) -> Result<(), String> {
        self.resize(SIZE)
    }

    fn resize(&self, size: &str) -> Result<(), String> {
        let options = format!("remount,size={size}");
        run(Command::new("mount")
            .args(["-o", &options])
            .arg(self.path()))
        .map(|_| ())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Also while the gateway that uses it is ending.
        let _ = run(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}

/// A gateway whose syncs are tampered with, until this is dropped.
pub(crate) struct Tampered {
    strace: Child,
}

impl Tampered {
    /// Every sync takes so long.
    pub(crate) fn slow(pid: u32, ms: u64) -> Result<Self, String> {
        Self::start(pid, &format!("delay_enter={}", ms * 1000))
    }

    /// Every sync fails.
    pub(crate) fn failing(pid: u32) -> Result<Self, String> {
        Self::start(pid, "error=EIO")
    }

    fn start(pid: u32, what: &str) -> Result<Self, String> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-q", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]);
        strace.args(["-e", &format!("inject=fdatasync,fsync:{what}")]);
        strace.args(["-p", &pid.to_string()]);
        strace
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let strace = strace.spawn().map_err(|error| format!("strace: {error}"))?;
        Ok(Self { strace })
    }
}

impl Drop for Tampered {
    /// Asked to end, it lets the process go.
    fn drop(&mut self) {
        let _ = run(Command::new("kill").args(["-s", "TERM", &self.strace.id().to_string()]));
        let _ = self.strace.wait();
    }
}

/// Whether processes can be tampered with: a trial on one of our own.
pub(crate) fn can_tamper() -> Result<(), String> {
    let inject = [
        "-e",
        "inject=fdatasync:delay_enter=1",
        "-e",
        "trace=fdatasync",
    ];
    let mut child = Command::new("sleep")
        .arg("60")
        .spawn()
        .map_err(|error| error.to_string())?;
    let pid = child.id().to_string();
    let mut strace = Command::new("timeout");
    strace
        .args(["-s", "TERM", "1", "strace", "-f", "-o", "/dev/null"])
        .args(inject)
        .args(["-p", &pid]);
    let output = strace.output();
    let _ = child.kill();
    let _ = child.wait();
    let output = output.map_err(|error| format!("strace: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("attached") {
        Ok(())
    } else {
        Err(format!("strace does not attach: {}", said.trim()))
    }
}

/// Where Debian keeps the library that fakes times.
pub(crate) fn faketime() -> Result<PathBuf, String> {
    let name = "faketime/libfaketimeMT.so.1";
    (std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten())
    .map(|entry| entry.path().join(name))
    .chain([Path::new("/usr/lib").join(name)])
    .find(|path| path.exists())
    .ok_or_else(|| "there is no libfaketime".into())
}

fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}
