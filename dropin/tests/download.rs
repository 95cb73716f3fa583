//! `lr_download` with this library before librepo's own, and without: for its caller all is the
//! same. A C program (`c/download.c`) prints what the caller sees; the servers are on loopback.

use std::fs;
use support::build::run;
use support::downloads::{
    self, CALLS, FAILURES, Mirrors, NO_FAULT, REDIRECTED, command, comparable, downloader,
};
use support::librepo_calls::{lines, ours};
use support::programs::{have, program};

#[test]
fn download_shows_its_caller_the_same_with_the_library_and_without() {
    let Some(downloader) = downloader() else { return };
    let world = Mirrors::start();
    for (kinds, arguments) in CALLS {
        let is_parallel = arguments.contains(&"--parallel");
        let arguments = world.arguments(kinds, arguments);
        let without = run(&mut command(downloader, &arguments));
        assert!(!without.contains("libfastestmirror") && !world.cache().exists(), "{without}");
        for history in ["off", "trouble", "all"] {
            let mut with = command(downloader, &arguments);
            with.env("LD_PRELOAD", ours()).env("FASTESTMIRROR_HISTORY", history);
            let with = run(&mut with);
            let [same, expected] = [&with, &without].map(|output| comparable(output, is_parallel));
            assert_eq!(same, expected, "history={history}: {arguments:?}\n{with}\n{without}");
            let is_quiet = !world.cache().exists() && lines(&with, "log ").is_empty();
            assert!(is_quiet || history != "off", "{arguments:?}: {with}");
            let _ = fs::remove_file(world.cache());
        }
    }
    // A whole URL needs neither mirrors nor a handle.
    let url = format!("{}whole-10", world.mirror(0, "good"));
    for arguments in [&["download", &url][..], &["download", "--no-handle", &url]] {
        let without = run(&mut command(downloader, arguments));
        let with = run(command(downloader, arguments).env("LD_PRELOAD", ours()));
        assert_eq!(comparable(&with, false), comparable(&without, false));
        assert!(with.contains("result 1") && lines(&with, "log ").is_empty(), "{with}");
    }
}

#[test]
fn download_leaves_nothing_behind_and_valgrind_finds_no_error() {
    let Some(downloader) = downloader() else { return };
    let world = Mirrors::start();
    let calls: &[(&[&str], &[&str])] = &[
        (&["missing", "stale", "good"], &["download", "a-10", "b-100000"]),
        (&["broken", "good"], &["single", "a-10", "b-10"]),
        (&["missing", "good"], &["packages", "--fastestmirror", "--parallel", "a-10", "b-1000", "c-200000"]),
        (&["missing", "good"], &["download", "--return", "failure", "2", "a-10", "b-10"]),
        (&["good"], &["download", "--return", "progress", "2", "a-10", "b-10"]),
        (&["good"], &["download", "--fd", "--twice", "a-10"]),
    ];
    for (kinds, arguments) in calls {
        let arguments = |repeat| {
            world.arguments(kinds, &[&arguments[..1], &["--repeat", repeat], &arguments[1..]].concat())
        };
        let mut many = command(downloader, &arguments("20"));
        let output = run(many.env("LD_PRELOAD", ours()).env("FASTESTMIRROR_HISTORY", "all"));
        assert_eq!(lines(&output, "left behind: "), ["0 descriptors"], "{output}");
        if !have("valgrind", program("valgrind").arg("--version")) {
            continue;
        }
        let mut valgrind = program("valgrind");
        valgrind.args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible"]);
        valgrind.args(["--show-leak-kinds=definite,indirect,possible", "--error-exitcode=9"]);
        valgrind.arg(downloader).args(arguments("3"));
        let output = valgrind.env("LD_PRELOAD", ours()).env("FASTESTMIRROR_HISTORY", "all").output();
        let output = output.expect("valgrind runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}", arguments = arguments("3"));
    }
}

/// What a call with this library teaches.
fn learned(world: &Mirrors, kinds: &[&str], arguments: &[&str], history: &str) -> (Vec<String>, bool) {
    let arguments = world.arguments(kinds, arguments);
    let mut command = command(downloader().expect("asked before"), &arguments);
    command.env("LD_PRELOAD", ours()).env("FASTESTMIRROR_HISTORY", history);
    // All mirrors in the pool, as the list has them.
    command.env("FASTESTMIRROR_POOL", "given").env("FASTESTMIRROR_SLACK", "10000");
    downloads::learned(world, &mut command)
}

#[test]
fn failures_are_learned_if_another_mirror_has_served() {
    if downloader().is_none() {
        return;
    }
    let world = Mirrors::start();
    for (kind, word) in FAILURES {
        for (history, word) in [("trouble", *word), ("all", *word), ("off", None)] {
            if history == "all" && *kind == "hanging" {
                continue; // It takes two seconds.
            }
            let (troubles, _) = learned(&world, &[kind, "good"], &["download", "A-100"], history);
            assert_eq!(troubles, word.into_iter().collect::<Vec<_>>(), "{kind}, history={history}");
        }
    }
    for function in ["target", "single", "packages"] {
        let arguments = [function, "--fastestmirror", "a-10"];
        let (troubles, _) = learned(&world, &["missing", "stale", "good"], &arguments, "trouble");
        assert_eq!(troubles.len(), 2, "{function}: {troubles:?}");
    }
}

#[test]
fn nothing_is_learned_unless_a_mirror_is_known_to_be_at_fault() {
    if downloader().is_none() {
        return;
    }
    let world = Mirrors::start();
    for (kinds, arguments) in NO_FAULT.iter().chain([&REDIRECTED]) {
        let learned = learned(&world, kinds, arguments, "all");
        assert_eq!(learned, (Vec::new(), false), "{kinds:?} {arguments:?}");
    }
}

#[test]
fn speeds_of_large_files_are_learned_with_history_all() {
    if downloader().is_none() {
        return;
    }
    let world = Mirrors::start();
    for (history, file, is_learned) in
        [("all", "b-600000", true), ("all", "b-500000", false), ("trouble", "b-600000", false)]
    {
        for more in [&[][..], &["--no-callbacks"]] {
            let arguments = [&["download"], more, &[file]].concat();
            let (troubles, has_speeds) = learned(&world, &["good"], &arguments, history);
            assert!(troubles.is_empty());
            assert_eq!(has_speeds, is_learned, "{history}: {arguments:?}");
        }
    }
}
