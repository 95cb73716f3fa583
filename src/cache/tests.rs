//! Tests of the cache with the file system, other processes, GLib and librepo. What a text means is
//! tested in `records`.
//!
//! Some tests need other processes with the inside of the crate. They start this test program
//! again; environment variables say which part it is to run.

mod file;
mod glib;
mod history;
mod librepo;
mod processes;

use super::file::{CacheFile, FileError, LOCK_TIMEOUT, Lock, Status};
use super::groups::RecordName;
use super::number;
use super::policy::Remembered;
use super::records::{self, KeptSeed, Learned, Records};

use crate::network::Network;
use crate::sys;
use crate::url::{Endpoint, Mirror};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use support::build;

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const NOBODY: u32 = 65_534;

fn record_name(url: &str) -> RecordName {
    RecordName::for_url(url)
}

fn endpoint(url: &str) -> Endpoint {
    match Mirror::parse(url) {
        Mirror::Remote(_, endpoint) => endpoint,
        other => panic!("{url}: {other:?}"),
    }
}

fn latency(milliseconds: u64) -> Remembered {
    Remembered::Latency(Duration::from_millis(milliseconds))
}

/// Writes one latency, now.
fn write(path: &Path) -> Status {
    let learned = [(record_name("http://mirror.example/"), latency(5))];
    CacheFile::new(path).write(SystemTime::now(), None, learned, None)
}

fn read(path: &Path) -> (Records, Status) {
    CacheFile::new(path).read(SystemTime::now(), None, MONTH)
}

fn is_root() -> bool {
    sys::effective_user() == 0
}

/// Returns whether something that a test needs is installed. If not, the test is skipped.
fn have(what: &str, found: bool) -> bool {
    if !found {
        lab::skip(&format!("{what} is not installed: tests/run installs it"));
    }
    found
}

/// Builds a program of `tests/c` with the flags that pkg-config gives for a library; returns none
/// if the library is not installed.
fn program(source: &'static str, library: &str) -> Option<PathBuf> {
    static BUILT: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    // If another test panicked, the map is still in order.
    let mut built = BUILT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(program) = built.get(source) {
        return Some(program.clone());
    }
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", library]).output();
    let flags = flags.ok().filter(|output| output.status.success());
    if !have(&format!("the development package of {library}"), flags.is_some()) {
        return None;
    }
    let flags = String::from_utf8(flags?.stdout).expect("flags");
    let directory = build::target().join("tmp/cache");
    fs::create_dir_all(&directory).expect("a directory");
    let program = directory.join(source.trim_end_matches(".c"));
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"]).arg(&program);
    build::run(command.arg(build::root().join("tests/c").join(source)).args(flags.split_whitespace()));
    built.insert(source, program.clone());
    Some(program)
}

/// This program again, as one part of [`another_process`].
fn part(part: &str, path: &Path) -> Command {
    // Not by its path: the user it is started as may have no access to the build directory.
    start("/proc/self/exe".into(), &[], part, path)
}

/// As [`part`], but started through another command.
fn part_through(starter: &[&str], part: &str, path: &Path) -> Command {
    let this = std::env::current_exe().expect("a test knows itself").into_os_string();
    let words: Vec<OsString> = starter[1..].iter().map(OsString::from).chain([this]).collect();
    start(starter[0].into(), &words, part, path)
}

fn start(program: OsString, words: &[OsString], part: &str, path: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command.args(["cache::tests::another_process", "--exact", "--nocapture", "--test-threads=1"]);
    command.env("FASTESTMIRROR_CACHE_PART", part).env("FASTESTMIRROR_CACHE_PATH", path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a part and returns its report, without the output of the test harness.
fn report(command: &mut Command) -> String {
    let output = build::run(command);
    let line =
        output.lines().find_map(|line| line.split_once("report: ")).map(|(_, report)| report.to_string());
    line.unwrap_or_else(|| panic!("no report: {output}"))
}

/// The parts that other tests start in a process of their own; without the environment variables
/// it does nothing.
#[test]
fn another_process() {
    let Ok(part) = std::env::var("FASTESTMIRROR_CACHE_PART") else { return };
    let path = PathBuf::from(std::env::var_os("FASTESTMIRROR_CACHE_PATH").expect("set with it"));
    match part.split_once(' ') {
        None if part == "write" => println!("report: {}", write(&path)),
        None if part == "read" => {
            let (records, status) = read(&path);
            println!("report: {} {status}", records.len());
        }
        None if part == "write-through-two-mounts" => processes::write_through_two_mounts(&path),
        Some(("write-mirrors-of", name)) => processes::write_mirrors_of(name, &path),
        Some(("write-downloads-of", name)) => history::write_downloads_of(name, &path),
        Some(("write-forever", start)) => processes::write_forever(start.parse().expect("a number"), &path),
        _ => panic!("there is no part {part}"),
    }
}
