//! Processes of tests end with their tests, however those end.

mod support;

use std::fs;
use std::process::Command;

use support::process::{self, ProcessGroup};
use support::wait::{self, SOON};

/// A shell that has started another one, whose process id it leaves in a file.
fn family(directory: &std::path::Path) -> (ProcessGroup, u32) {
    let file = directory.join("pid");
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            r#"sleep 600 & echo $! >"$1".new; mv "$1".new "$1"; wait"#,
            "sh",
        ])
        .arg(&file);
    let group = ProcessGroup::start(&mut command, Some(directory));
    let written = wait::blocking_until(SOON, || file.exists());
    assert!(written, "the child has started");
    let child = fs::read_to_string(&file).expect("it is there");
    (group, child.trim().parse().expect("it is a number"))
}

#[test]
fn a_group_that_is_dropped_is_gone_with_all_that_it_started() {
    let directory = tempfile::tempdir().expect("there is room");
    let (group, child) = family(directory.path());
    let leader = group.id();
    assert!(process::is_alive(leader) && process::is_alive(child));
    drop(group);
    assert!(process::wait_gone(leader) && process::wait_gone(child));
    assert!(directory.path().exists(), "that is for its owner to remove");
}

#[test]
fn a_group_whose_test_process_is_killed_is_gone_too_and_so_is_its_directory() {
    let directory = tempfile::tempdir().expect("there is room").keep();
    let (mut group, child) = family(&directory);
    let leader = group.id();
    group.abandon();
    assert!(process::wait_gone(leader) && process::wait_gone(child));
    assert!(!directory.exists());
    let ended = group.ended().expect("it is gone");
    assert!(process::was_killed(ended), "{ended}");
}
