//! What a campaign leaves behind when it is killed: directories, and a file system that is mounted on one.
//!
//! Each is named after the process that it belongs to, so that the next campaign knows whether there is still
//! somebody who uses it. A process id may be given again, so the name also says when the process started.

use std::path::Path;
use std::process::{self, Command};

use tempfile::TempDir;

const PREFIX: &str = "amqpost-faults-";

/// A directory for temporary files that is removed by the next campaign if this process cannot do it.
pub(crate) fn directory() -> std::io::Result<TempDir> {
    directory_in(&std::env::temp_dir(), &own_mark())
}

fn directory_in(parent: &Path, mark: &str) -> std::io::Result<TempDir> {
    let prefix = format!("{PREFIX}{mark}-");
    tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)
}

/// Removes what belongs to processes that have ended.
pub(crate) fn remove() {
    remove_in(&std::env::temp_dir());
}

fn remove_in(parent: &Path) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let Some((pid, started)) = name.to_str().and_then(owner) else {
            continue;
        };
        if start_of(pid).as_deref() != Some(started) {
            // Nothing may be mounted there; and a gateway that has not ended yet may still use it.
            let mut unmount = Command::new("umount");
            let _ = unmount.arg("--lazy").arg(entry.path()).output();
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The process id and the start in a name.
fn owner(name: &str) -> Option<(u32, &str)> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let (pid, started) = (parts.next()?.parse().ok()?, parts.next()?);
    parts.next().map(|_| (pid, started))
}

fn own_mark() -> String {
    let pid = process::id();
    // Where there is no /proc, nobody is found dead either: see `start_of`.
    format!("{pid}-{}", start_of(pid).unwrap_or_default())
}

/// When the process started, in ticks since the machine did; nothing when it has ended.
fn start_of(pid: u32) -> Option<String> {
    if !Path::new("/proc/self/stat").exists() {
        return Some(String::new());
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let started = fields.nth(18)?;
    (!state.starts_with(['Z', 'X'])).then(|| started.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bad_disk::SmallDisk;

    /// Left as it is when its owner is killed.
    fn left_by(mark: &str, parent: &Path) -> std::path::PathBuf {
        let directory = directory_in(parent, mark).expect("there is room").keep();
        std::fs::write(directory.join("clock"), "+1").expect("it is ours");
        directory
    }

    #[test]
    fn what_belongs_to_the_dead_is_removed_and_what_belongs_to_the_living_is_not() {
        let parent = tempfile::tempdir().expect("there is room");
        let pid = process::id();
        let ours = left_by(&own_mark(), parent.path());
        // The same process id, given to another process before.
        let before = left_by(&format!("{pid}-1"), parent.path());
        let mut child = Command::new("true").spawn().expect("it starts");
        let gone = format!(
            "{}-{}",
            child.id(),
            start_of(child.id()).unwrap_or_default()
        );
        child.wait().expect("it ends");
        let gone = left_by(&gone, parent.path());
        let not_ours = parent.path().join("amqpost-faults-notes");
        std::fs::create_dir(&not_ours).expect("it is ours");
        remove_in(parent.path());
        let there = [&ours, &before, &gone, &not_ours].map(|path| path.exists());
        assert_eq!(there, [true, false, false, true]);
    }

    #[test]
    fn a_file_system_that_is_mounted_there_goes_too() {
        let parent = tempfile::tempdir().expect("there is room");
        let directory = directory_in(parent.path(), "1-1").expect("there is room");
        // Who may not mount has nothing to remove.
        let Ok(disk) = SmallDisk::mounted_on(directory) else {
            return;
        };
        let path = disk.path().to_owned();
        std::fs::write(path.join("amqpost.db"), "").expect("it is ours");
        std::mem::forget(disk);
        let mounted = || {
            let mounts = std::fs::read_to_string("/proc/self/mounts").expect("it is there");
            mounts.contains(&path.display().to_string())
        };
        assert!(mounted());
        remove_in(parent.path());
        assert!(!mounted() && !path.exists());
    }
}
