//! librepo's source, for tests that build it or read its headers: Debian's source packages, fetched
//! once with this machine's apt and kept in Cargo's target directory. It is not part of this
//! repository.

mod apt;
pub mod built;
mod sources_list;

use crate::build::target;
use lab::skip;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// A version of librepo that Debian has, and the number of tests in its suites.
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
    /// The unpacked source package. If it cannot be fetched, the test is skipped.
    pub fn source(&self) -> Option<PathBuf> {
        let source = home().join(self.version);
        let _lock = lock(&source);
        let fetched = if source.is_dir() { Ok(()) } else { apt::fetch(self, &source) };
        or_skip(fetched.map_err(|why| format!("librepo {}: {why}", self.version)))?;
        Some(source)
    }
}

/// The value; on an error the test is skipped with this reason.
pub fn or_skip<T>(there: Result<T, String>) -> Option<T> {
    there.map_err(|why| skip(&why)).ok()
}

fn home() -> PathBuf {
    let directory = target().join("librepo");
    fs::create_dir_all(&directory).expect("the target directory can be written");
    directory
}

/// Locks the directory of this name against other tests and processes. Dropping the file releases
/// the lock.
fn lock(directory: &Path) -> File {
    let file = File::create(directory.with_added("lock")).expect("the target directory can be written");
    // SAFETY: flock on an open descriptor.
    while unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } != 0 {
        let why = io::Error::last_os_error();
        assert_eq!(why.kind(), io::ErrorKind::Interrupted, "{why}");
    }
    file
}

/// Creates a directory beside the one that it replaces when it is complete.
fn partial(directory: &Path) -> PathBuf {
    let partial = directory.with_added("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir(&partial).expect("the target directory can be written");
    partial
}

trait WithAdded {
    fn with_added(&self, what: &str) -> PathBuf;
}

impl WithAdded for Path {
    /// Appends to the file name: `1.14.5` becomes `1.14.5.lock`, where `with_extension` would make
    /// `1.14.lock`.
    fn with_added(&self, what: &str) -> PathBuf {
        let mut name = self.as_os_str().to_owned();
        name.push(".");
        name.push(what);
        name.into()
    }
}
