//! librepo's own source, for tests that build it or look into its headers: Debian's packages,
//! fetched once with the machine's own apt and kept in Cargo's target folder. None of it is ours,
//! so none of it is committed.

mod apt;
pub mod built;
mod sources_list;

use crate::build::target;
use lab::skip;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// A version of librepo that Debian has, and what its own suites amount to.
#[derive(Debug)]
pub struct Release {
    pub version: &'static str,
    pub suite: &'static str,
    pub c_tests: u32,
    pub python_tests: u32,
}

pub const RELEASES: [Release; 2] = [
    Release { version: "1.14.5", suite: "bookworm", c_tests: 46, python_tests: 108 },
    Release { version: "1.20.0", suite: "trixie", c_tests: 48, python_tests: 109 },
];

impl Release {
    /// The unpacked source package. None, and the reason said, where it cannot be had.
    pub fn source(&self) -> Option<PathBuf> {
        let source = home().join(self.version);
        let _turn = turn(&source);
        let fetched = if source.is_dir() { Ok(()) } else { apt::fetch(self, &source) };
        or_skip(fetched.map_err(|why| format!("librepo {}: {why}", self.version)))?;
        Some(source)
    }
}

/// What is there, or None after the reason has been said.
pub fn or_skip<T>(there: Result<T, String>) -> Option<T> {
    there.map_err(|why| skip(&why)).ok()
}

fn home() -> PathBuf {
    let folder = target().join("librepo");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// Only one at a time may make the folder of this name, in this program or another. Ends with the
/// value returned.
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
