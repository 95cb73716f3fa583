//! librepo's own source, for tests that build it or look into its headers: Debian's packages, fetched once with the
//! machine's own apt and kept in Cargo's target folder. None of it is ours, so none of it is committed.
#![allow(dead_code)]

mod apt;
pub(crate) mod built;
mod sources_list;

use crate::build::target;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A version of librepo that Debian has, and what its own suites amount to.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) version: &'static str,
    pub(crate) suite: &'static str,
    pub(crate) c_tests: u32,
    pub(crate) python_tests: u32,
}

pub(crate) const RELEASES: [Release; 2] = [
    Release { version: "1.14.5", suite: "bookworm", c_tests: 46, python_tests: 108 },
    Release { version: "1.20.0", suite: "trixie", c_tests: 48, python_tests: 109 },
];

impl Release {
    /// The unpacked source package. None, and the reason said, where it cannot be had.
    pub(crate) fn source(&self) -> Option<PathBuf> {
        let source = home().join(self.version);
        let _turn = turn(&source);
        let fetched = if source.is_dir() { Ok(()) } else { apt::fetch(self, &source) };
        or_skip(fetched.map_err(|why| format!("librepo {}: {why}", self.version)))?;
        Some(source)
    }
}

/// What is there, or None and the reason. Under CI nothing is skipped.
pub(crate) fn or_skip<T>(there: Result<T, String>) -> Option<T> {
    match there {
        Ok(there) => Some(there),
        Err(why) if std::env::var_os("CI").is_some() => panic!("{why}"),
        Err(why) => {
            // Not eprintln, which the harness keeps to itself when a test passes.
            let _ = writeln!(io::stderr(), "skipped: {why}");
            None
        }
    }
}

/// The first of the commands that do not succeed, each under the name of what it stands for.
pub(crate) fn all_there<'a>(things: impl IntoIterator<Item = (&'a str, Command)>) -> Result<(), String> {
    for (name, mut command) in things {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if !command.status().is_ok_and(|status| status.success()) {
            return Err(format!("{name} is not installed: tests/run installs it"));
        }
    }
    Ok(())
}

pub(crate) fn program(name: &str) -> (&str, Command) {
    let mut command = Command::new(name);
    command.arg("--version");
    (name, command)
}

/// What pkg-config knows under this name.
pub(crate) fn module(name: &str) -> (&str, Command) {
    let mut command = Command::new("pkg-config");
    command.args(["--exists", name]);
    (name, command)
}

/// A module of the system's Python.
pub(crate) fn python(name: &str) -> (&str, Command) {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", &format!("import {name}")]);
    (name, command)
}

fn home() -> PathBuf {
    let folder = target().join("librepo");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// Only one at a time may make the folder of this name, in this program or another. Ends with the value returned.
fn turn(folder: &Path) -> File {
    let lock = File::create(folder.with_added("lock")).expect("the target folder can be written");
    // SAFETY: flock on an open descriptor.
    while unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) } != 0 {
        let why = io::Error::last_os_error();
        assert_eq!(why.kind(), io::ErrorKind::Interrupted, "{why}");
    }
    lock
}

/// A new folder next to one that will take its name when it is complete.
fn partial(folder: &Path) -> PathBuf {
    let partial = folder.with_added("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir(&partial).expect("the target folder can be written");
    partial
}

trait WithAdded {
    fn with_added(&self, what: &str) -> PathBuf;
}

impl WithAdded for Path {
    /// `1.14.5` becomes `1.14.5.lock`: `with_extension` would make it `1.14.lock`.
    fn with_added(&self, what: &str) -> PathBuf {
        let mut name = self.as_os_str().to_owned();
        name.push(".");
        name.push(what);
        name.into()
    }
}
