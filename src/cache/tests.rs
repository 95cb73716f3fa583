//! The cache against the file system, other processes, GLib and librepo. What a text means is tested in `records`.
//!
//! These need the inside of the crate, and other processes of it: they start this test program again, in a part that is
//! named by its environment.

mod files;
mod glib;
mod librepo;
mod processes;

use super::*;
use crate::url::{Endpoint, Mirror};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use support::build;

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const NOBODY: u32 = 65_534;

fn key(url: &str) -> Key {
    Key::new(url, &Mirror::parse(url)).unwrap_or_else(|| panic!("{url} has no key"))
}

fn endpoint(url: &str) -> Endpoint {
    match Mirror::parse(url) {
        Mirror::Remote(_, endpoint) => endpoint,
        other => panic!("{url}: {other:?}"),
    }
}

fn latency(milliseconds: u64) -> Update {
    Update::Latency(Duration::from_millis(milliseconds))
}

/// Writes one latency, now.
fn write(path: &Path) -> Status {
    let updates = [(key("http://mirror.example/"), latency(5))];
    Cache::open(path).write(SystemTime::now(), None, updates, None)
}

fn read(path: &Path) -> (Memory, Status) {
    Cache::open(path).read(SystemTime::now(), None, MONTH)
}

fn is_root() -> bool {
    sys::effective_user() == 0
}

/// Whether something is there that a test needs. If not, the test is skipped.
fn have(what: &str, found: bool) -> bool {
    if !found {
        lab::skip(&format!("{what} is not installed: tests/run installs it"));
    }
    found
}

/// A program of `tests/c`, built with what pkg-config knows of a library; none where the library is missing.
fn program(source: &'static str, library: &str) -> Option<PathBuf> {
    static BUILT: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    // A panic of another test's has built nothing.
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
    let folder = build::target().join("tmp/cache");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let program = folder.join(source.trim_end_matches(".c"));
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"]).arg(&program);
    build::run(command.arg(build::root().join("tests/c").join(source)).args(flags.split_whitespace()));
    built.insert(source, program.clone());
    Some(program)
}

/// This program again, in a part of [`another_process`].
fn part(part: &str, path: &Path) -> Command {
    // By this name, not by its path: the folder of the build may be closed to whom it is started as.
    start("/proc/self/exe".into(), &[], part, path)
}

/// The same, started by another command.
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

/// What a part that reports has to say, without the words of the harness.
fn report(command: &mut Command) -> String {
    let output = build::run(command);
    let line =
        output.lines().find_map(|line| line.split_once("report: ")).map(|(_, report)| report.to_string());
    line.unwrap_or_else(|| panic!("no report: {output}"))
}

/// The parts that other tests start; by itself it does nothing.
#[test]
fn another_process() {
    let Ok(part) = std::env::var("FASTESTMIRROR_CACHE_PART") else { return };
    let path = PathBuf::from(std::env::var_os("FASTESTMIRROR_CACHE_PATH").expect("set with it"));
    match part.split_once(' ') {
        None if part == "write" => println!("report: {}", write(&path)),
        None if part == "read" => {
            let (memory, status) = read(&path);
            println!("report: {} {status}", memory.len());
        }
        Some(("write-mirrors-of", name)) => processes::write_mirrors_of(name, &path),
        Some(("write-for-ever", start)) => processes::write_for_ever(start.parse().expect("a number"), &path),
        _ => panic!("there is no part {part}"),
    }
}
