//! Skipping a test that cannot run on this machine.
//!
//! Rust's test harness cannot skip a test that is already running, and counts it as passed. So
//! these tests are recorded in a file, with which `tests/run` corrects the numbers.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The file that `tests/run` reads afterwards. Each line is about one test: an identifier, a tab,
/// and the reason.
const SKIPS: &str = "FASTESTMIRROR_SKIPS";

/// Whether the tests run under CI, where nothing may be skipped.
fn under_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| !ci.is_empty())
}

/// Records that the calling test is skipped, and why; the test has to return after this. Under CI
/// the test fails instead.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(!under_ci(), "this test cannot be skipped under CI: {reason}");
    record(reason);
}

/// As [`skip`], for what no package manager brings: under CI, too, the test is skipped, and
/// counted.
pub fn skip_even_under_ci(reason: &str) {
    record(reason);
}

fn record(reason: &str) {
    let recorded = std::env::var_os(SKIPS).map(|file| {
        let line = format!("{}\t{}\n", test_identifier(), reason.replace('\n', " "));
        // One write, since other tests append to the file at the same time.
        OpenOptions::new().append(true).open(file)?.write_all(line.as_bytes())
    });
    if !matches!(recorded, Some(Ok(()))) {
        // The harness would capture what `eprintln!` prints.
        let _ = writeln!(io::stderr(), "skipped: {reason}");
    }
}

/// An identifier of the calling test, so that a test with several reasons counts once.
fn test_identifier() -> String {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let process = std::process::id();
    match thread::current().name() {
        // The harness names the thread of a test after the test, but with --test-threads=1 it runs
        // all tests in the main thread.
        Some(name) if name != "main" => format!("{process}:{name}"),
        _ => format!("{process}::{}", CALLS.fetch_add(1, Ordering::Relaxed)),
    }
}
