//! librepo's own test suites, run over this library: through Debian's Python binding with it
//! preloaded, in the drop-in directory, and in a librepo that is built with it inside or linked to
//! it through the adapter. Log lines count the calls that reached it. The same run without it shows
//! that those calls would have gone to librepo's own functions.

use lab::figure;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::build::{dropin, run, soname};
use support::dropin_directory::{Installed, have_tools};
use support::librepo_calls::{compile, have_librepo};
use support::librepo_source::built::{Built, python_suite};
use support::librepo_source::{RELEASES, Release, or_skip};

/// How often each of these lines was logged in a run of the Python suite.
#[derive(Debug, PartialEq)]
struct Calls {
    /// librepo is about to have the mirrors of one handle sorted. (For several handles it logs
    /// nothing.)
    announced: usize,
    /// This library was called to sort the mirrors of one handle.
    one_handle: usize,
    /// This library was called to sort the mirrors of several handles.
    many_handles: usize,
    /// Downloads were watched.
    watched: usize,
    /// librepo's own function begins to measure, or is offline.
    upstream: usize,
}

/// Runs a Python suite. All its tests have to pass.
fn python(command: &mut Command, tests: u32) -> Calls {
    let scratch = tempfile::tempdir().expect("a directory");
    command.env("G_MESSAGES_DEBUG", "librepo").env("TMPDIR", scratch.path());
    let output = command.output().expect("Python starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    // A skipped test would make it "OK (skipped=1)".
    assert!(stderr.lines().any(|line| line == "OK"), "{stderr}");
    assert!(stderr.contains(&format!("Ran {tests} tests in ")), "{stderr}");

    let stdout = String::from_utf8_lossy(&output.stdout);
    let lines = || stdout.lines().chain(stderr.lines());
    let ours = |function: &str| {
        let call = |line: &str| {
            let (_, message) = line.split_once(": libfastestmirror ")?;
            message.split_once(' ')?.1.strip_prefix(function)?.strip_prefix(':').map(drop)
        };
        lines().filter(|line| call(line).is_some()).count()
    };
    let theirs = |message: &str| lines().filter(|line| line.contains(message)).count();
    Calls {
        announced: theirs(": Sorting internal mirrorlist by connection speed"),
        one_handle: ours("lr_fastestmirror_sort_internalmirrorlist"),
        many_handles: ours("lr_fastestmirror_sort_internalmirrorlists"),
        watched: ours("lr_download"),
        upstream: theirs("lr_fastestmirror_detailed: Fastest mirror determination"),
    }
}

/// Runs a C suite. All its tests have to pass.
fn c(command: &mut Command, tests: u32) {
    let output = run(command);
    let passed = format!("100%: Checks: {tests}, Failures: 0, Errors: 0");
    assert!(output.lines().any(|line| line == passed), "{output}");
    // It leaves its directory behind.
    let directory = output.lines().find_map(|line| line.strip_prefix("Tests using directory: "));
    if let Some(directory) = directory.filter(|path| path.starts_with("/tmp/librepo")) {
        let _ = fs::remove_dir_all(directory);
    }
}

/// Preloads the library and what makes it watch every download.
fn preload(command: &mut Command, cache: &Path) {
    let shim = compile(
        "dropin/tests/c/with_cache.c",
        "with_cache.so",
        &["-shared", "-fPIC"],
        &["librepo", "glib-2.0"],
    );
    let both = format!("{}:{}", shim.display(), dropin().join("libfastestmirror_librepo.so").display());
    command.env("LD_PRELOAD", both).env("DOWNLOAD_CACHE", cache).env("FASTESTMIRROR_HISTORY", "all");
}

/// Asserts that every call by librepo reached this library in one run, and librepo's own functions
/// in the other.
fn compare_calls(what: &str, with: &Calls, without: &Calls) {
    let Calls { announced, one_handle, many_handles, upstream, .. } = with;
    assert!(one_handle == announced && *announced > 0 && *many_handles > 0, "{with:?}");
    assert_eq!(*upstream, 0, "{with:?}");
    assert_eq!(without.announced, *announced);
    assert_eq!((without.one_handle, without.many_handles), (0, 0), "{without:?}");
    assert!(without.upstream > 0, "{without:?}");
    figure(&format!("{what}: {} calls reached this library, without it none", one_handle + many_handles));
}

#[test]
fn python_suite_passes_with_the_library_preloaded() {
    let library = dropin().join("libfastestmirror_librepo.so");
    python_suite_of_the_machine_passes(lab::test_name!(), "preloaded", ("LD_PRELOAD", &library));
}

#[test]
fn python_suite_passes_with_the_drop_in_directory() {
    if have_tools() {
        let installed = Installed::install();
        let variable = ("LD_LIBRARY_PATH", &*installed.directory());
        python_suite_of_the_machine_passes(lab::test_name!(), "drop-in directory", variable);
    }
}

/// Runs the suite for Debian's Python binding, without and with this variable in its environment.
fn python_suite_of_the_machine_passes(test: &str, what: &str, (variable, value): (&str, &Path)) {
    let version =
        Command::new("/usr/bin/python3").args(["-c", "print(__import__('librepo').VERSION)"]).output();
    let version = version.ok().filter(|output| output.status.success());
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let Some(version) = or_skip(version.ok_or("python3-librepo is not installed".to_owned())) else { return };
    let release = RELEASES.iter().find(|release| release.version == version);
    let unknown = || format!("no suite for python3-librepo {version} is known");
    let Some(release) = or_skip(release.ok_or_else(unknown)) else { return };
    let Some(source) = release.source() else { return };
    lab::isolated(test, || {
        let without = python(&mut python_suite(&source), release.python_tests);
        let with = python(python_suite(&source).env(variable, value), release.python_tests);
        compare_calls(&format!("python3-librepo {version}, {what}"), &with, &without);
    });
}

#[test]
fn suites_of_1_14_5_pass_with_the_library_inside_and_before_it() {
    pass_with_the_library(lab::test_name!(), &RELEASES[0]);
}

#[test]
fn suites_of_1_20_0_pass_with_the_library_inside_and_before_it() {
    pass_with_the_library(lab::test_name!(), &RELEASES[1]);
}

/// Runs both suites over a librepo as it is, over one with this library inside, and over the first
/// with the drop-in directory before it.
fn pass_with_the_library(test: &str, release: &Release) {
    if !have_tools() {
        return;
    }
    if !lab::is_inside() {
        let archive = dropin().join("libfastestmirror_librepo.a");
        let Some(built) = Built::new(release, &archive) else { return };
        compare_libraries(release, &built);
    }
    lab::isolated(test, || {
        let built = Built::of(release);
        let installed = Installed::install_before(Some(&built.original().join("librepo.so.0")));
        let suites = [built.original(), built.ours(), installed.directory()].map(|library| {
            c(&mut built.c_suite(&library), release.c_tests);
            python(&mut built.python_suite(&library), release.python_tests)
        });
        // Neither suite uses a cache, without which no download is watched.
        if have_librepo() {
            let scratch = tempfile::tempdir().expect("a directory");
            let cache = scratch.path().join("cache");
            let [mut suite, mut python_suite] =
                [built.c_suite(&built.original()), built.python_suite(&built.original())];
            preload(&mut suite, &cache);
            c(&mut suite, release.c_tests);
            preload(&mut python_suite, &cache);
            let watched = python(&mut python_suite, release.python_tests).watched;
            assert!(watched > 50, "{watched}");
            figure(&format!(
                "librepo {}, all downloads watched: {watched} calls of lr_download in Python",
                release.version
            ));
        }
        compare_calls(&format!("librepo {}, built in", release.version), &suites[1], &suites[0]);
        compare_calls(&format!("librepo {}, drop-in directory", release.version), &suites[2], &suites[0]);
    });
}

#[test]
fn suites_of_1_20_0_pass_with_the_adapter() {
    let release = &RELEASES[1];
    if !lab::is_inside() {
        let Some(built) = Built::with_adapter(release) else { return };
        let libraries = [built.original(), built.ours()].map(|directory| directory.join("librepo.so.0"));
        let [original, ours] = libraries.each_ref().map(|library| exports(library));
        assert_eq!(original, ours);
        let [original, mut ours] = libraries.each_ref().map(|library| needed(library));
        assert!(ours.remove(&soname()), "{ours:?}");
        assert_eq!(original, ours);
        if !cfg!(debug_assertions) {
            let [original, ours] = libraries.each_ref().map(|library| stripped(library));
            let library = stripped(&built.library().expect("the adapter is linked to it"));
            figure(&format!(
                "librepo.so {}, stripped: {original} KiB, {ours} KiB with the adapter; libfastestmirror.so: {library} KiB",
                release.version
            ));
        }
    }
    lab::isolated!(|| {
        let built = Built::of_adapter(release);
        let suites = [built.original(), built.ours()].map(|library| {
            c(&mut built.c_suite(&library), release.c_tests);
            python(&mut built.python_suite(&library), release.python_tests)
        });
        compare_calls(&format!("librepo {}, adapter", release.version), &suites[1], &suites[0]);
    });
}

/// The exported symbols: name and kind, without address and size.
fn exports(library: &Path) -> BTreeSet<String> {
    let symbols = run(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(library));
    symbols.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

/// The names of the libraries that it needs, and its own.
fn needed(library: &Path) -> BTreeSet<String> {
    let dynamic = run(Command::new("readelf").arg("-d").arg(library));
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)") || line.contains("(SONAME)"));
    needed.filter_map(|line| line.split(['[', ']']).nth(1).map(str::to_owned)).collect()
}

fn compare_libraries(release: &Release, built: &Built) {
    let libraries = [built.original(), built.ours()].map(|directory| directory.join("librepo.so.0"));
    let [mut original, ours] = libraries.each_ref().map(|library| exports(library));
    // Ours calls it.
    original.insert("lr_download_itself T".into());
    assert_eq!(original, ours);
    assert!(
        ours.contains("lr_fastestmirror T") && ours.contains("lr_fastestmirror_error_quark T"),
        "{ours:?}"
    );

    let [original, ours] = libraries.each_ref().map(|library| needed(library));
    assert!(original.is_subset(&ours), "{original:?} {ours:?}");
    let more: Vec<_> = ours.difference(&original).map(String::as_str).collect();
    let part_of_system =
        |name: &&str| ["libgcc_s.", "libm.", "ld-linux"].iter().any(|it| name.starts_with(it));
    assert!(more.iter().all(part_of_system), "{more:?}");

    figure(&format!(
        "librepo.so {}, stripped: {} KiB, and {} with this library inside, which also needs {}",
        release.version,
        stripped(&libraries[0]),
        stripped(&libraries[1]),
        more.join(", ")
    ));
}

/// The size of a library without debugging information, in KiB.
fn stripped(library: &Path) -> u64 {
    let scratch = tempfile::tempdir().expect("a directory");
    let stripped = scratch.path().join("stripped");
    run(Command::new("strip").arg("-o").arg(&stripped).arg(library));
    fs::metadata(stripped).expect("a library").len() / 1024
}
