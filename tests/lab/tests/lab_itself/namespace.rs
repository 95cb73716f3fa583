//! How one gets inside, and what is heard of it outside.

use crate::client::{connect, handshakes, look_up};
use lab::*;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;
use std::process::Command;
use support::build::transcript;
use support::users::{NOBODY, become_nobody, can_become_others, hide_device};

#[test]
fn a_failure_inside_fails_the_test_outside() {
    let failed = catch_unwind(|| {
        isolated!(|| {
            // Where there can be no lab this body does not run, and nothing fails.
            World::start(Spec::new()).unwrap();
            panic!("on purpose");
        });
    });
    if is_inside() {
        resume_unwind(failed.unwrap_err());
    }
    if let Err(why) = failed {
        let why = why.downcast_ref::<String>().unwrap();
        assert!(why.contains("inside the lab: exit status: 101"), "{why}");
    }
}

#[test]
fn a_test_that_names_itself_wrongly_fails() {
    let failed = catch_unwind(|| isolated("namespace::nobody_is_called_so", || ()));
    let why = failed.unwrap_err();
    let why = why.downcast_ref::<String>().unwrap();
    assert!(why.contains("nothing ran"), "{why}");
}

#[test]
fn a_failure_in_a_world_that_was_late_is_tried_again() {
    let mut again = 0;
    let fail_once = || {
        if attempt() > 1 {
            return;
        }
        let mirrors = (0..3).map(|n| Mirror::new(&format!("m{n}")).ipv4(answer(ms(300))));
        let world = World::start(Spec::new().names(Names::Untouched).mirrors(mirrors)).unwrap();
        let all: Vec<_> = (0..3).map(|n| SocketAddr::new(world.ipv4(&format!("m{n}")), 80)).collect();
        let watch = world.watch();
        while !watch.could_not_keep_up() {
            // The lab stands still while the answers are due.
            let stop_us = "sleep 0.1; kill -STOP $PPID; sleep 0.8; kill -CONT $PPID";
            let mut stopper = Command::new("sh").args(["-c", stop_us]).spawn().unwrap();
            handshakes(&all, ms(5000));
            stopper.wait().unwrap();
        }
        assert!(world.report().error.could_not_keep_up() && !world.watch().could_not_keep_up());
        panic!("on purpose");
    };
    // That it is tried again is expected here, and nobody need read it.
    let hear = |line: &str| match line.ends_with(": the lab was late") {
        true => again += 1,
        false => writeln!(io::stderr(), "{line}").unwrap(),
    };
    let ran = isolated_saying(test_name!(), hear, fail_once);
    assert_eq!(again, u32::from(!is_inside() && ran));
}

#[test]
fn the_outside_cannot_be_reached_from_inside() {
    isolated!(|| {
        let _world = World::start(Spec::new()).unwrap();
        // Of another documentation prefix.
        let refused = connect("192.0.2.1".parse().unwrap(), 80).0.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NetworkUnreachable);
    });
}

/// Also the body that the next test runs as another user.
#[test]
fn a_world_runs_whoever_starts_it() {
    isolated!(|| {
        let world =
            World::start(Spec::new().mirror(Mirror::new("a.lab.example").both(answer(ms(20))))).unwrap();
        let found = look_up("a.lab.example").0.unwrap();
        assert_eq!(found, [world.ipv6("a.lab.example"), world.ipv4("a.lab.example")]);
        let quickest = found.iter().map(|&address| connect(address, 80)).map(|(stream, took)| {
            stream.unwrap();
            took
        });
        assert!(quickest.min().unwrap() >= ms(20));
        if let Some(expected) = std::env::var_os("LAB_TEST_USER") {
            let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
            let outside = map.split_whitespace().nth(1).unwrap();
            assert_eq!(outside, expected.to_str().unwrap());
        }
    });
}

#[test]
fn where_there_is_no_device_a_test_is_skipped_and_fails_under_ci() {
    if !can_become_others() {
        return;
    }
    let without_device = |ci: &str, skips: Option<&Path>| {
        let mut command = Command::new("/proc/self/exe");
        command.args(["namespace::a_world_runs_whoever_starts_it", "--exact"]).env("CI", ci);
        match skips {
            Some(file) => command.env("FASTESTMIRROR_SKIPS", file),
            None => command.env_remove("FASTESTMIRROR_SKIPS"),
        };
        // SAFETY: system calls only.
        unsafe { command.pre_exec(hide_device) };
        let output = command.output().expect("root may change its own mounts");
        (output.status.success(), transcript(&output))
    };
    let (passes, text) = without_device("", None);
    assert!(passes && text.contains("skipped: ") && text.contains("no TUN device"), "{text}");

    let file = tempfile::NamedTempFile::new().unwrap();
    let skips = || std::fs::read_to_string(file.path()).unwrap();
    let (passes, text) = without_device("", Some(file.path()));
    assert!(passes && !text.contains("skipped: "), "{text}");
    let recorded = skips();
    assert!(recorded.lines().count() == 1 && recorded.contains("no TUN device"), "{recorded}");

    let (passes, text) = without_device("1", Some(file.path()));
    assert!(!passes && text.contains("no TUN device"), "{text}");
    assert_eq!(skips(), recorded);
}

#[test]
fn an_ordinary_user_gets_inside_through_a_user_namespace() {
    if !can_become_others() {
        return;
    }
    let mut command = Command::new("/proc/self/exe");
    command.args(["namespace::a_world_runs_whoever_starts_it", "--exact", "--nocapture"]);
    command.env("LAB_TEST_USER", NOBODY.to_string()).env("CI", "1");
    // SAFETY: system calls only.
    unsafe { command.pre_exec(become_nobody) };
    let output = command.output().expect("root may change its own mounts and user");
    let text = transcript(&output);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
