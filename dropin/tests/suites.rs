//! librepo's own suites over this library: Debian's Python binding with it preloaded, and librepo built with it inside.
//! Its log lines count the calls that reached it; the same run without it shows that they would have gone elsewhere.

use lab::figure;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::build::{run, dropin};
use support::librepo_source::built::{Built, python_suite};
use support::librepo_source::{RELEASES, Release, or_skip};

/// What a run of the Python suite has logged.
#[derive(Debug, PartialEq)]
struct Calls {
    /// librepo says that it is about to have one handle's mirrors sorted. (Of several handles it does not say so.)
    announced: usize,
    /// We say that we were asked to sort one handle's mirrors.
    one_handle: usize,
    /// The same, several handles'.
    many_handles: usize,
    /// librepo's own function says that it begins to measure, or is offline.
    upstream: usize,
}

/// Runs a Python suite, all of which has to pass.
fn python(command: &mut Command, tests: u32) -> Calls {
    let scratch = tempfile::tempdir().expect("a folder");
    command.env("G_MESSAGES_DEBUG", "librepo").env("TMPDIR", scratch.path());
    let output = command.output().expect("Python starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    // "OK (skipped=1)" would be another line.
    assert!(stderr.lines().any(|line| line == "OK"), "{stderr}");
    assert!(stderr.contains(&format!("Ran {tests} tests in ")), "{stderr}");

    let stdout = String::from_utf8_lossy(&output.stdout);
    let lines = || stdout.lines().chain(stderr.lines());
    let ours = |function: &str| {
        let asked = |line: &str| {
            let (_, message) = line.split_once(": libfastestmirror ")?;
            message.split_once(' ')?.1.strip_prefix(function)?.strip_prefix(':').map(drop)
        };
        lines().filter(|line| asked(line).is_some()).count()
    };
    let theirs = |message: &str| lines().filter(|line| line.contains(message)).count();
    Calls {
        announced: theirs(": Sorting internal mirrorlist by connection speed"),
        one_handle: ours("lr_fastestmirror_sort_internalmirrorlist"),
        many_handles: ours("lr_fastestmirror_sort_internalmirrorlists"),
        upstream: theirs("lr_fastestmirror_detailed: Fastest mirror determination"),
    }
}

/// Runs a C suite, all of which has to pass.
fn c(command: &mut Command, tests: u32) {
    let output = run(command);
    let passed = format!("100%: Checks: {tests}, Failures: 0, Errors: 0");
    assert!(output.lines().any(|line| line == passed), "{output}");
    // It leaves its folder behind.
    let folder = output.lines().find_map(|line| line.strip_prefix("Tests using directory: "));
    if let Some(folder) = folder.filter(|folder| folder.starts_with("/tmp/librepo")) {
        let _ = fs::remove_dir_all(folder);
    }
}

/// Every call that librepo made reached us in one run, and its own functions in the other.
fn compare_calls(what: &str, with_us: &Calls, without_us: &Calls) {
    let Calls { announced, one_handle, many_handles, upstream } = with_us;
    assert!(one_handle == announced && *announced > 0 && *many_handles > 0, "{with_us:?}");
    assert_eq!(*upstream, 0, "{with_us:?}");
    assert_eq!(without_us.announced, *announced);
    assert_eq!((without_us.one_handle, without_us.many_handles), (0, 0), "{without_us:?}");
    assert!(without_us.upstream > 0, "{without_us:?}");
    figure(&format!("{what}: {} calls reached this library, without it none", one_handle + many_handles));
}

#[test]
fn python_suite_passes_with_the_library_preloaded() {
    let version =
        Command::new("/usr/bin/python3").args(["-c", "print(__import__('librepo').VERSION)"]).output();
    let version = version.ok().filter(|output| output.status.success());
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let Some(version) = or_skip(version.ok_or("python3-librepo is not installed".to_owned())) else { return };
    let release = RELEASES.iter().find(|release| release.version == version);
    let unknown = || format!("no suite is known for python3-librepo {version}");
    let Some(release) = or_skip(release.ok_or_else(unknown)) else { return };
    let Some(source) = release.source() else { return };
    let library = dropin().join("libfastestmirror_librepo.so");
    lab::isolated!(|| {
        let without_us = python(&mut python_suite(&source), release.python_tests);
        let with_us = python(python_suite(&source).env("LD_PRELOAD", library), release.python_tests);
        compare_calls(&format!("python3-librepo {version}, preloaded"), &with_us, &without_us);
    });
}

#[test]
fn suites_of_1_14_5_pass_with_the_library_inside() {
    pass_with_the_library_inside(lab::test_name!(), &RELEASES[0]);
}

#[test]
fn suites_of_1_20_0_pass_with_the_library_inside() {
    pass_with_the_library_inside(lab::test_name!(), &RELEASES[1]);
}

fn pass_with_the_library_inside(test: &str, release: &Release) {
    if !lab::is_inside() {
        let archive = dropin().join("libfastestmirror_librepo.a");
        let Some(built) = Built::new(release, &archive) else { return };
        compare_libraries(release, &built);
    }
    lab::isolated(test, || {
        let built = Built::of(release);
        let suites = [built.original(), built.ours()].map(|library| {
            c(&mut built.c_suite(&library), release.c_tests);
            python(&mut built.python_suite(&library), release.python_tests)
        });
        compare_calls(&format!("librepo {}, built in", release.version), &suites[1], &suites[0]);
    });
}

fn compare_libraries(release: &Release, built: &Built) {
    let libraries = [built.original(), built.ours()].map(|folder| folder.join("librepo.so.0"));
    let exports = |library: &Path| -> BTreeSet<String> {
        let symbols = run(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(library));
        // The name and its kind, without address and size.
        symbols.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let [original, ours] = [exports(&libraries[0]), exports(&libraries[1])];
    assert_eq!(original, ours);
    assert!(
        ours.contains("lr_fastestmirror T") && ours.contains("lr_fastestmirror_error_quark T"),
        "{ours:?}"
    );

    let needed = |library: &Path| -> BTreeSet<String> {
        let dynamic = run(Command::new("readelf").arg("-d").arg(library));
        let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)") || line.contains("(SONAME)"));
        needed.filter_map(|line| line.split(['[', ']']).nth(1).map(str::to_owned)).collect()
    };
    let [original, ours] = [needed(&libraries[0]), needed(&libraries[1])];
    assert!(original.is_subset(&ours), "{original:?} {ours:?}");
    let more: Vec<_> = ours.difference(&original).map(String::as_str).collect();
    let part_of_system =
        |name: &&str| ["libgcc_s.", "libm.", "ld-linux"].iter().any(|it| name.starts_with(it));
    assert!(more.iter().all(part_of_system), "{more:?}");

    let stripped = |library: &Path| {
        let stripped = library.with_extension("stripped");
        run(Command::new("strip").arg("-o").arg(&stripped).arg(library));
        fs::metadata(stripped).expect("a library").len() / 1024
    };
    figure(&format!(
        "librepo.so {}, stripped: {} KiB, and {} with this library inside, which needs {} besides",
        release.version,
        stripped(&libraries[0]),
        stripped(&libraries[1]),
        more.join(", ")
    ));
}
