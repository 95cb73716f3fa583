//! Tests of how a test gets into the lab, and how its result gets out.

use crate::client::{connect, handshakes, lookup};
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
fn failure_inside_fails_the_test_outside() {
    let failed = catch_unwind(|| {
        isolated!(|| {
            // Where the lab cannot run, neither does this body, and nothing fails.
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
fn wrong_test_name_is_an_error() {
    let failed = catch_unwind(|| isolated("namespace::no_such_test", || ()));
    let why = failed.unwrap_err();
    let why = why.downcast_ref::<String>().unwrap();
    assert!(why.contains("no test ran inside the lab"), "{why}");
}

#[test]
fn failure_is_tried_again_if_the_lab_was_late() {
    let mut repeats = 0;
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
            let script = "sleep 0.1; kill -STOP $PPID; sleep 0.8; kill -CONT $PPID";
            let mut stopper = Command::new("sh").args(["-c", script]).spawn().unwrap();
            handshakes(&all, ms(5000));
            stopper.wait().unwrap();
        }
        assert!(world.report().error.could_not_keep_up() && !world.watch().could_not_keep_up());
        panic!("on purpose");
    };
    // The message is expected here and need not be shown.
    let print = |line: &str| match line.ends_with(": the lab was late, running it again") {
        true => repeats += 1,
        false => writeln!(io::stderr(), "{line}").unwrap(),
    };
    let ran = isolated_with_output(test_name!(), print, fail_once);
    assert_eq!(repeats, u32::from(!is_inside() && ran));
}

#[test]
fn outside_cannot_be_reached_from_inside() {
    isolated!(|| {
        let _world = World::start(Spec::new()).unwrap();
        // An address of another documentation prefix.
        let refused = connect("192.0.2.1".parse().unwrap(), 80).0.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NetworkUnreachable);
    });
}

/// Other tests run this one again as another user, or without the device.
#[test]
fn world_runs_for_any_user() {
    isolated!(|| {
        let world =
            World::start(Spec::new().mirror(Mirror::new("a.lab.example").both(answer(ms(20))))).unwrap();
        let found = lookup("a.lab.example").0.unwrap();
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
fn missing_device_skips_a_test_and_fails_it_under_ci() {
    if !can_become_others() {
        return;
    }
    let without_device = |ci: &str, skips: Option<&Path>| {
        let mut command = Command::new("/proc/self/exe");
        command.args(["namespace::world_runs_for_any_user", "--exact"]).env("CI", ci);
        match skips {
            Some(file) => command.env("FASTESTMIRROR_SKIPS", file),
            None => command.env_remove("FASTESTMIRROR_SKIPS"),
        };
        // SAFETY: system calls only.
        unsafe { command.pre_exec(hide_device) };
        let output = command.output().expect("root may change its mounts");
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
fn ordinary_user_gets_inside_through_a_user_namespace() {
    if !can_become_others() {
        return;
    }
    let mut command = Command::new("/proc/self/exe");
    command.args(["namespace::world_runs_for_any_user", "--exact", "--nocapture"]);
    command.env("LAB_TEST_USER", NOBODY.to_string()).env("CI", "1");
    // SAFETY: system calls only.
    unsafe { command.pre_exec(become_nobody) };
    let output = command.output().expect("root may change its mounts and its user");
    let text = transcript(&output);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
