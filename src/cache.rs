//! What is remembered from run to run, in one file that librepo reads and writes too.
//!
//! This file meets the file system: it opens nothing that is not an ordinary file, waits for nobody longer than
//! [`PATIENCE`], and replaces the old file by a whole new one. What stands in it is the business of `records`.
//!
//! Nothing here is an error of the caller's: a cache that cannot be used is a [`Status`], and the run goes on.
//!
//! What it does not do: librepo knows no lock and writes the file in place, so of two that write at the same moment,
//! one of them librepo, one may lose its news. The new file has the old one's mode, owner and group, but not its extended
//! attributes. Folders on the way to the file are the caller's choice, links among them are followed.
#![forbid(unsafe_code)]

pub(crate) mod keyfile;
mod number;
pub(crate) mod records;

pub(crate) use records::{KeptSeed, Key, Known, Memory, Update};

use crate::network::Network;
use crate::sys;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long to wait for another process that is writing.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often to look whether it is done.
const PAUSE: Duration = Duration::from_millis(2);
/// For new files: latencies tell where a machine is.
const PRIVATE: u32 = 0o600;

/// How the file fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// It was read, or written.
    Fine,
    /// There was nothing to write: nobody answered.
    Nothing,
    /// There is no file yet.
    Missing {
        path: PathBuf,
    },
    /// It is not a cache, or a damaged one. It counts as empty, and the next writing begins it anew.
    Foreign {
        path: PathBuf,
        why: &'static str,
    },
    /// Another process was writing it for too long.
    Busy {
        path: PathBuf,
    },
    Unreadable {
        path: PathBuf,
        why: String,
    },
    Unwritable {
        path: PathBuf,
        why: String,
    },
}

impl Status {
    /// Whether there is nothing to tell anybody.
    pub(crate) fn is_fine(&self) -> bool {
        matches!(self, Status::Fine | Status::Nothing)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Fine => write!(f, "the cache is fine"),
            Status::Nothing => write!(f, "there is nothing to write to the cache"),
            Status::Missing { path } => write!(f, "there is no cache {} yet", path.display()),
            Status::Foreign { path, why } => {
                write!(f, "the cache {} is begun anew: {why}", path.display())
            }
            Status::Busy { path } => {
                write!(f, "the cache {} was not written: another process is writing it", path.display())
            }
            Status::Unreadable { path, why } => {
                write!(f, "the cache {} cannot be read: {why}", path.display())
            }
            Status::Unwritable { path, why } => {
                write!(f, "the cache {} cannot be written: {why}", path.display())
            }
        }
    }
}

/// Why a file is not used.
#[derive(Debug)]
enum Trouble {
    Busy,
    Because(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Because(error.to_string())
    }
}

impl From<&str> for Trouble {
    fn from(why: &str) -> Trouble {
        Trouble::Because(why.into())
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Trouble {
        Trouble::Because(why)
    }
}

/// The file's text and whose it is.
#[derive(Debug)]
struct Existing {
    text: Vec<u8>,
    mode: u32,
    owner: u32,
    group: u32,
}

/// The file in which latencies are remembered.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    path: PathBuf,
}

impl Cache {
    /// Nothing is opened yet. A relative path is relative to the folder that the process is in now.
    pub(crate) fn open(path: &Path) -> Cache {
        Cache { path: std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()) }
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says that still counts now, in this network, with latencies of at most this age.
    pub(crate) fn read(
        &self,
        now: SystemTime,
        network: Option<&Network>,
        max_age: Duration,
    ) -> (Memory, Status) {
        let path = || self.path.clone();
        match self.load() {
            Ok(Some(existing)) => match records::read(&existing.text, now, network, max_age) {
                Ok(memory) => (memory, Status::Fine),
                Err(why) => (Memory::default(), Status::Foreign { path: path(), why }),
            },
            Ok(None) => (Memory::default(), Status::Missing { path: path() }),
            Err(why) => (Memory::default(), self.unreadable(why)),
        }
    }

    /// Adds what a run has learned, and the seed that is to be kept. Without a single latency among it nothing but the
    /// seed is written, since then the network was down and not the mirrors.
    pub(crate) fn write(
        &self,
        now: SystemTime,
        network: Option<&Network>,
        updates: impl IntoIterator<Item = (Key, Update)>,
        seed: Option<KeptSeed>,
    ) -> Status {
        let updates: Vec<(Key, Update)> = updates.into_iter().collect();
        if !records::is_worth_writing(&updates, seed) {
            return Status::Nothing;
        }
        let path = || self.path.clone();
        match self.replace(|text| records::merge(text, now, network, &updates, seed)) {
            Ok(None) => Status::Fine,
            Ok(Some(why)) => Status::Foreign { path: path(), why },
            Err(Trouble::Busy) => Status::Busy { path: path() },
            Err(Trouble::Because(why)) => Status::Unwritable { path: path(), why },
        }
    }

    fn unreadable(&self, why: Trouble) -> Status {
        let path = self.path.clone();
        match why {
            Trouble::Busy => Status::Busy { path },
            Trouble::Because(why) => Status::Unreadable { path, why },
        }
    }

    /// The file, if there is one and it may be used.
    fn load(&self) -> Result<Option<Existing>, Trouble> {
        let Some(mut file) = open_ordinary(&self.path, OpenOptions::new().read(true))? else {
            return Ok(None);
        };
        let metadata = file.metadata()?;
        self.trust(&metadata)?;
        let size = metadata.len();
        let too_large = || Trouble::Because(format!("it is larger than {} bytes", records::MAX_SIZE));
        if size > records::MAX_SIZE as u64 {
            return Err(too_large());
        }
        let mut text = Vec::with_capacity(size as usize + 1);
        // It may be growing.
        (&mut file).take(records::MAX_SIZE as u64 + 1).read_to_end(&mut text)?;
        if text.len() > records::MAX_SIZE {
            return Err(too_large());
        }
        Ok(Some(Existing { text, mode: metadata.mode(), owner: metadata.uid(), group: metadata.gid() }))
    }

    /// What everybody may write to is not believed. Nor, where everybody may put files, as in `/tmp`, what is neither
    /// root's nor our own. Elsewhere a file belongs to whom the owner of the folder has let in.
    fn trust(&self, file: &Metadata) -> Result<(), Trouble> {
        const EVERYBODY: u32 = 0o002;
        let owner = file.uid();
        if file.mode() & EVERYBODY != 0 {
            return Err("everybody may write to it".into());
        }
        if owner == 0 || owner == sys::effective_user() {
            return Ok(());
        }
        let folder = fs::metadata(self.folder()?)?;
        match folder.mode() & EVERYBODY {
            0 => Ok(()),
            _ => Err(format!("it belongs to user {owner}, in a folder that everybody may write to").into()),
        }
    }

    fn folder(&self) -> Result<&Path, Trouble> {
        Ok(self.path.parent().ok_or("it is not the path of a file")?)
    }

    /// A file beside ours.
    fn sibling(&self, ending: &str) -> Result<PathBuf, Trouble> {
        let mut name = self.path.file_name().ok_or("it is not the path of a file")?.to_os_string();
        name.push(ending);
        Ok(self.path.with_file_name(name))
    }

    /// Puts a new file in the place of the old one, under the lock. A process that is killed here leaves the old file
    /// or the new one, and at worst a temporary file that the next one removes.
    fn replace<T>(&self, change: impl FnOnce(&[u8]) -> (Vec<u8>, T)) -> Result<T, Trouble> {
        let temporary = self.sibling(".new")?;
        // Before the lock, so that nothing is created beside what we will not touch.
        self.load()?;
        let _lock = Lock::take(&self.sibling(".lock")?)?;
        let existing = self.load()?;
        let (text, result) = change(existing.as_ref().map_or(&[], |existing| &existing.text));
        if text.len() > records::MAX_SIZE {
            return Err("there is no room in it beside what is not ours".into());
        }
        // Of somebody who was killed: nobody else is here under the lock.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(about(&temporary, &error)),
            _ => {}
        }
        if existing.as_ref().is_some_and(|existing| existing.text == text) {
            return Ok(result);
        }
        // create_new follows no link: O_EXCL.
        let file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&temporary);
        let mut file = file.map_err(|error| about(&temporary, &error))?;
        let written = fill(&mut file, &text, existing.as_ref())
            .and_then(|()| fs::rename(&temporary, &self.path).map_err(Trouble::from));
        if written.is_err() {
            // Nothing more can be done, and the next one will try again.
            let _ = fs::remove_file(&temporary);
        }
        written.map(|()| result)
    }
}

/// No fsync: after a crash of the machine the file may be lost, which costs one measuring. An empty or zeroed file is
/// begun anew, and a cut line is not read.
fn fill(file: &mut File, text: &[u8], existing: Option<&Existing>) -> Result<(), Trouble> {
    let mode = existing.map_or(PRIVATE, |existing| existing.mode & 0o777);
    if let Some(existing) = existing {
        let created = file.metadata()?;
        if (created.uid(), created.gid()) != (existing.owner, existing.group) {
            fchown(&*file, Some(existing.owner), Some(existing.group)).map_err(|error| {
                let (owner, group) = (existing.owner, existing.group);
                Trouble::Because(format!("it cannot stay with user {owner} and group {group}: {error}"))
            })?;
        }
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text)?;
    Ok(())
}

fn about(path: &Path, error: &io::Error) -> Trouble {
    Trouble::Because(format!("{}: {error}", path.display()))
}

/// Opens a file that is an ordinary one; none if nothing is there. A link is not followed, and what may block or act
/// when it is opened is not opened.
fn open_ordinary(path: &Path, options: &mut OpenOptions) -> Result<Option<File>, Trouble> {
    match fs::symlink_metadata(path) {
        Ok(found) => ordinary(&found)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    // Whatever has taken its place meanwhile is not followed, does not block, and becomes nobody's terminal.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    match options.custom_flags(flags).open(path) {
        Ok(file) => {
            ordinary(&file.metadata()?)?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn ordinary(found: &Metadata) -> Result<(), Trouble> {
    let kind = found.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(match () {
        () if kind.is_symlink() => "it is a symbolic link, which is not followed",
        () if kind.is_dir() => "it is a folder",
        () if kind.is_fifo() => "it is a FIFO",
        () if kind.is_socket() => "it is a socket",
        () => "it is a device",
    }
    .into())
}

/// The lock of those who write; readers need none, since a file is replaced as a whole.
#[derive(Debug)]
struct Lock(File);

impl Lock {
    fn take(path: &Path) -> Result<Lock, Trouble> {
        let start = Instant::now();
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(PRIVATE);
            let about_lock = |why| match why {
                Trouble::Because(why) => {
                    Trouble::Because(format!("its lock {} cannot be taken: {why}", path.display()))
                }
                busy => busy,
            };
            let file = open_ordinary(path, &mut options).map_err(about_lock)?;
            let file = file.ok_or("its folder does not exist")?;
            while !sys::try_lock(file.as_fd()).map_err(|error| about_lock(error.into()))? {
                if start.elapsed() >= PATIENCE {
                    return Err(Trouble::Busy);
                }
                thread::sleep(PAUSE);
            }
            let lock = Lock(file);
            // Somebody may have removed the file while we waited for it; then it keeps nobody out.
            let mine = lock.0.metadata()?;
            if fs::symlink_metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == (mine.dev(), mine.ino())) {
                return Ok(lock);
            }
            if start.elapsed() >= PATIENCE {
                return Err(Trouble::Busy);
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread has forked meanwhile holds the descriptor, too.
        sys::unlock(self.0.as_fd());
    }
}

#[cfg(test)]
mod tests;
