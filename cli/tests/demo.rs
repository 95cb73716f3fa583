//! The demonstration: as root, as an unprivileged user, and where there can be no simulated
//! internet.
#![cfg(feature = "demo")]

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use support::users;

/// The command under test.
const COMMAND: &str = env!("CARGO_BIN_EXE_fastestmirror");

const PLACES: [&str; 3] = ["From Frankfurt: 421 mirrors", "From São Paulo", "From Sydney"];

/// Runs the demonstration, and returns for each place whether the pool was exactly right.
fn demonstrate(command: &mut Command, options: &[&str]) -> [bool; 3] {
    let output = command.arg("demo").args(options).env_remove("CI").output().expect("the command starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {stdout}{stderr}", output.status);
    PLACES.map(|place| {
        let view = stdout.split_once(place).unwrap_or_else(|| panic!("no {place}: {stdout}{stderr}")).1;
        let (view, cost) = view.split_once("It cost ").expect("the cost in SYNs");
        assert!(
            cost.split('.').next().is_some_and(|cost| cost.ends_with("to 421 mirrors, and 0 bytes")),
            "{cost}"
        );
        assert!(view.contains("The pool (●)") && view.contains("Measuring stopped after"), "{view}");
        view.contains("The pool (●) is exactly right")
    })
}

#[test]
fn demo_shows_the_truth_beside_the_measurement_and_draws_it() {
    if !lab::isolated_with_output(lab::test_name!(), |_| (), || {}) {
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let picture = scratch.path().join("demo.svg");
    // On a busy machine the pool of a place may be wrong, but not in every run.
    let mut right = [false; 3];
    for _ in 0..8 {
        let now = demonstrate(&mut Command::new(COMMAND), &["--svg", picture.to_str().expect("UTF-8")]);
        let svg = fs::read_to_string(&picture).expect("the picture has been drawn");
        assert!(svg.starts_with("<svg ") && svg.contains("From Frankfurt: 421 mirrors"), "{svg}");
        assert!(svg.len() < 20_000, "{} bytes", svg.len());
        right = std::array::from_fn(|place| right[place] || now[place]);
        if right == [true; 3] {
            return;
        }
    }
    panic!("right at least once in eight runs, of {PLACES:?}: {right:?}");
}

#[test]
fn demo_works_for_an_unprivileged_user() {
    if !users::can_become_others() {
        return;
    }
    let file = File::open(COMMAND).expect("the command");
    // SAFETY: fcntl on an open descriptor. It stays open after exec, for a user who cannot search
    // the directories above the command.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    // SAFETY: system calls only.
    unsafe { command.pre_exec(users::become_nobody) };
    demonstrate(&mut command, &[]);
}

#[test]
fn demo_without_a_lab_says_why_and_ranks_loopback() {
    if !users::can_become_others() {
        return;
    }
    let mut command = Command::new(COMMAND);
    // SAFETY: system calls only.
    unsafe { command.pre_exec(users::hide_device) };
    let output = command.arg("demo").env_remove("CI").output().expect("root may change its own mounts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("There can be no simulated internet on this machine for this user: no TUN device"),
        "{text}"
    );
    assert!(text.contains("5 of 6 mirrors answered") && text.contains("file:///srv/mirror/"), "{text}");
}
