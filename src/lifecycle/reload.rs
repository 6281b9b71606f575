//! When files are to be read again: on SIGHUP, or when one of them has changed.
//!
//! Changes are looked for, not waited for: what mounts secrets replaces links to folders, which notices of
//! the file system tell of in as many ways as there are. A file that is still being written, or of which
//! the partner is, is left alone until it has rested between two looks.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why files are to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An operator has asked for it.
    Signal,
    /// A file is another one than before.
    Change,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal => "SIGHUP",
            Self::Change => "the file has changed",
        })
    }
}

/// Tells one reader of files when to read them again. There may be any number of them.
pub struct Reloads {
    hangup: Signal,
    files: Vec<PathBuf>,
    /// As they were when they were last read.
    read: Vec<Look>,
    /// As they were at the last look.
    seen: Vec<Look>,
}

/// What tells one state of a file from another: device, inode, size, seconds and nanoseconds of the last
/// change. Nothing, while there is no file.
type Look = Option<(u64, u64, u64, i64, i64)>;

impl Reloads {
    /// For `files`, which are read about now.
    ///
    /// # Errors
    /// The system lets no signal be watched.
    pub fn of(files: Vec<PathBuf>) -> std::io::Result<Self> {
        let looks = look_at(&files);
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            files,
            read: looks.clone(),
            seen: looks,
        })
    }

    /// Returns when the files are to be read (again).
    pub async fn next(&mut self) -> Cause {
        loop {
            let cause = tokio::select! {
                Some(()) = self.hangup.recv() => Some(Cause::Signal),
                () = tokio::time::sleep(LOOK_EVERY) => None,
            };
            let files = self.files.clone();
            // A file system may take its time.
            let looked = tokio::task::spawn_blocking(move || look_at(&files)).await;
            let Ok(now) = looked else { continue };
            let rests = now == self.seen;
            self.seen.clone_from(&now);
            let cause = cause.or((rests && now != self.read).then_some(Cause::Change));
            if let Some(cause) = cause {
                self.read = now;
                return cause;
            }
        }
    }
}

fn look_at(files: &[PathBuf]) -> Vec<Look> {
    files
        .iter()
        .map(|file| {
            let found = std::fs::metadata(file).ok()?;
            Some((
                found.dev(),
                found.ino(),
                found.size(),
                found.ctime(),
                found.ctime_nsec(),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn next(reloads: &mut Reloads) -> Option<Cause> {
        tokio::time::timeout(PATIENCE, reloads.next()).await.ok()
    }

    #[tokio::test]
    async fn a_file_that_is_written_replaced_or_removed_is_noticed() {
        let directory = tempfile::tempdir().expect("there is room");
        let [file, other] = ["file", "other"].map(|name| directory.path().join(name));
        std::fs::write(&file, "one").expect("the directory is ours");
        let mut reloads = Reloads::of(vec![file.clone()]).expect("a signal");
        std::fs::write(&file, "two").expect("the directory is ours");
        assert_eq!(next(&mut reloads).await, Some(Cause::Change), "written");
        std::fs::write(&other, "two").expect("the directory is ours");
        std::fs::rename(&other, &file).expect("the directory is ours");
        assert_eq!(next(&mut reloads).await, Some(Cause::Change), "replaced");
        std::fs::remove_file(&file).expect("it is there");
        assert_eq!(next(&mut reloads).await, Some(Cause::Change), "removed");
        let quiet = LOOK_EVERY * 3;
        assert!(
            tokio::time::timeout(quiet, reloads.next()).await.is_err(),
            "nothing more happens"
        );
    }

    #[tokio::test]
    async fn the_folder_of_a_file_may_be_replaced_by_a_link_as_for_mounted_secrets() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = |name: &str| directory.path().join(name);
        for (folder, text) in [("v1", "one"), ("v2", "two")] {
            std::fs::create_dir(path(folder)).expect("the directory is ours");
            std::fs::write(path(folder).join("file"), text).expect("the directory is ours");
        }
        std::os::unix::fs::symlink("v1", path("data")).expect("the directory is ours");
        let mut reloads = Reloads::of(vec![path("data/file")]).expect("a signal");
        std::os::unix::fs::symlink("v2", path("next")).expect("the directory is ours");
        std::fs::rename(path("next"), path("data")).expect("the directory is ours");
        assert_eq!(next(&mut reloads).await, Some(Cause::Change));
    }
}
