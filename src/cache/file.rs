//! The cache as a file: which files are trusted, the lock among writers, the replacement of the old
//! file by a whole new one. What the text in it means is decided in `records`.
//!
//! It opens only regular files and waits for other processes for at most [`LOCK_TIMEOUT`]. A file
//! that cannot be used is never an error for the caller but a [`Status`], and the run goes on.
//!
//! Limitations: librepo takes no lock and writes the file in place, so if librepo and this crate
//! write at the same moment, the records of one of them may be lost. The new file has the mode,
//! owner and group of the old one, but not its extended attributes. A file that may be written but
//! not replaced (a container's mount, another user's in a directory of the group's) is written in
//! place: a process that is killed meanwhile leaves the beginning of the new text. Writers in place
//! lock the file itself, since each may have the file under another path, with another lock beside
//! it. One that replaces the file does not: what is written in place by a process that cannot take
//! the lock beside it may be lost.
//! Symbolic links among the directories of the path are followed; the path is the caller's choice.
#![forbid(unsafe_code)]

use super::contents::{self, Cache};
use super::groups::RecordName;
use super::history::DownloadRecords;
use super::policy::{self, Remembered};
use super::records::{self, KeptSeed, Learned, NotACache, Records};
use crate::history::LearnedDownloads;
use crate::network::Network;
use crate::options::Pattern;
use crate::sys;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long to wait for a lock.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// How long to sleep between two attempts to take it.
const LOCK_RETRY: Duration = Duration::from_millis(2);
/// The mode of new files. They are private because latencies reveal where a machine is.
const NEW_FILE_MODE: u32 = 0o600;

/// What happened when the file was read or written. Its text is a message for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// It was read, or written.
    Fine,
    /// There was nothing to write: no mirror answered.
    NothingToWrite,
    /// There is no file yet.
    Missing { path: PathBuf },
    /// It is not a cache, or a damaged one. It is ignored, and the next write replaces it.
    NotACache { path: PathBuf, why: NotACache },
    /// Another process held the lock for too long.
    Locked { path: PathBuf },
    /// It cannot be read, or is not trusted.
    Unreadable { path: PathBuf, why: String },
    /// It cannot be written, or is not trusted.
    Unwritable { path: PathBuf, why: String },
}

impl Status {
    /// Whether there is nothing to report.
    pub(crate) fn is_fine(&self) -> bool {
        matches!(self, Status::Fine | Status::NothingToWrite)
    }

    /// The message, if there is something to report.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.is_fine() { None } else { Some(self.to_string()) }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Fine => write!(f, "the cache is fine"),
            Status::NothingToWrite => write!(f, "there is nothing to write to the cache"),
            Status::Missing { path } => write!(f, "there is no cache {} yet", path.display()),
            Status::NotACache { path, why } => {
                write!(f, "ignoring cache {}: {why}; a new one will be written", path.display())
            }
            Status::Locked { path } => {
                write!(f, "cannot write cache {}: {}", path.display(), FileError::Locked)
            }
            Status::Unreadable { path, why } => write!(f, "cannot read cache {}: {why}", path.display()),
            Status::Unwritable { path, why } => write!(f, "cannot write cache {}: {why}", path.display()),
        }
    }
}

/// Why a file is not used.
#[derive(Debug)]
pub(crate) enum FileError {
    Locked,
    /// The system does not let this process create or replace a file here.
    Denied(String),
    Other(String),
}

impl FileError {
    /// Adds what was tried in vain.
    fn about(self, what: &str) -> FileError {
        match self {
            FileError::Locked => FileError::Locked,
            FileError::Denied(why) => FileError::Denied(format!("{what}: {why}")),
            FileError::Other(why) => FileError::Other(format!("{what}: {why}")),
        }
    }
}

/// The reason alone.
impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Locked => {
                write!(f, "another process kept it locked for {} ms", LOCK_TIMEOUT.as_millis())
            }
            FileError::Denied(why) | FileError::Other(why) => f.write_str(why),
        }
    }
}

impl From<NotACache> for FileError {
    fn from(why: NotACache) -> FileError {
        FileError::Other(format!("it is not a cache: {why}"))
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> FileError {
        match error.kind() {
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            // It is a mount.
            | ErrorKind::ResourceBusy
            | ErrorKind::CrossesDevices => FileError::Denied(error.to_string()),
            _ => FileError::Other(error.to_string()),
        }
    }
}

impl From<&str> for FileError {
    fn from(why: &str) -> FileError {
        FileError::Other(why.into())
    }
}

impl From<String> for FileError {
    fn from(why: String) -> FileError {
        FileError::Other(why)
    }
}

/// The text of a file, and what the new file takes over from it.
#[derive(Debug)]
pub(super) struct Existing {
    text: Vec<u8>,
    mode: u32,
    owner: u32,
    group: u32,
}

/// The file in which runs are remembered.
#[derive(Debug, Clone)]
pub(crate) struct CacheFile {
    path: PathBuf,
}

impl CacheFile {
    /// Opens nothing yet. A relative path counts from the directory that the process is in now.
    pub(crate) fn new(path: &Path) -> CacheFile {
        CacheFile { path: std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()) }
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what counts at this time and in this network; latencies count up to `max_age`.
    pub(crate) fn read(
        &self,
        now: SystemTime,
        network: Option<&Network>,
        max_age: Duration,
    ) -> (Records, Status) {
        self.read_as(|text| records::read(text, now, network, max_age))
    }

    /// Reads that, and what downloads have shown.
    pub(crate) fn read_with_downloads(
        &self,
        now: SystemTime,
        network: &Network,
        max_age: Duration,
    ) -> ((Records, DownloadRecords), Status) {
        self.read_as(|text| {
            let records = records::read(text, now, Some(network), max_age)?;
            Ok((records, records::read_downloads(text, now, network)?))
        })
    }

    fn read_as<T: Default>(&self, read: impl Fn(&[u8]) -> Result<T, NotACache>) -> (T, Status) {
        let path = || self.path.clone();
        match self.load_whole() {
            Ok(Some(existing)) => match read(&existing.text) {
                Ok(found) => (found, Status::Fine),
                Err(why) => (T::default(), Status::NotACache { path: path(), why }),
            },
            Ok(None) => (T::default(), Status::Missing { path: path() }),
            Err(FileError::Locked) => (T::default(), Status::Locked { path: path() }),
            Err(FileError::Denied(why) | FileError::Other(why)) => {
                (T::default(), Status::Unreadable { path: path(), why })
            }
        }
    }

    /// Adds what a run has learned, and the seed to keep.
    pub(crate) fn write(
        &self,
        now: SystemTime,
        network: Option<&Network>,
        learned: impl IntoIterator<Item = (RecordName, Remembered)>,
        seed: Option<KeptSeed>,
    ) -> Status {
        // Not under the lock, since a list may have a million URLs.
        let learned: Learned = learned.into_iter().collect();
        if !policy::is_worth_writing(learned.facts(), seed.is_some()) {
            return Status::NothingToWrite;
        }
        self.merge(|text| records::merge(text, now, network, &learned, seed))
    }

    /// Adds what downloads have shown.
    pub(crate) fn write_downloads(
        &self,
        now: SystemTime,
        network: &Network,
        learned: &LearnedDownloads,
        process: u32,
    ) -> Status {
        self.merge(|text| records::merge_downloads(text, now, network, learned, process))
    }

    fn merge(&self, merge: impl Fn(&[u8]) -> (Vec<u8>, Option<NotACache>)) -> Status {
        let path = || self.path.clone();
        match self.change(|text| Ok(merge(text))) {
            Ok(None) => Status::Fine,
            Ok(Some(why)) => Status::NotACache { path: path(), why },
            Err(FileError::Locked) => Status::Locked { path: path() },
            Err(FileError::Denied(why) | FileError::Other(why)) => Status::Unwritable { path: path(), why },
        }
    }

    /// Reads everything in the file; latencies count up to `max_age`.
    ///
    /// # Errors
    /// If it does not exist, may not be used, or is not a cache.
    pub(crate) fn contents(
        &self,
        now: SystemTime,
        here: &Network,
        max_age: Duration,
    ) -> Result<Cache, FileError> {
        let existing = self.load_whole()?.ok_or("there is no such file")?;
        Ok(contents::read(&existing.text, now, here, max_age)?)
    }

    /// Removes what is remembered of the hosts that match one of these patterns, or with none of
    /// all. Returns how many records that were.
    ///
    /// # Errors
    /// If it is not a cache, or cannot be written.
    pub(crate) fn forget(&self, hosts: Option<&[Pattern]>, now: SystemTime) -> Result<usize, FileError> {
        self.change(|text| Ok(contents::forget(text, hosts, now)?))
    }

    /// Reads the file, if it exists and may be used.
    fn load(&self) -> Result<Option<Existing>, FileError> {
        let file = open_regular(&self.path, OpenOptions::new().read(true))?;
        file.map(|file| self.load_from(&file)).transpose()
    }

    /// As [`load`](CacheFile::load), but waits for a process that is writing the file in place. If
    /// that takes too long, or librepo is writing, this returns what is there.
    fn load_whole(&self) -> Result<Option<Existing>, FileError> {
        let Some(file) = open_regular(&self.path, OpenOptions::new().read(true))? else {
            return Ok(None);
        };
        let existing = self.load_from(&file)?;
        if existing.text.ends_with(b"\n") {
            return Ok(Some(existing));
        }
        // Held while reading, since the next process may be waiting to write. Not every file system
        // lets a reader take it.
        let _lock = Lock::wait(file, Instant::now());
        self.load()
    }

    /// Reads an open file, from its beginning, if it may be used.
    fn load_from(&self, file: &File) -> Result<Existing, FileError> {
        let metadata = file.metadata()?;
        self.check_trust(&metadata)?;
        let size = metadata.len();
        let too_large = || FileError::Other(NotACache::TooLarge.to_string());
        if size > records::MAX_SIZE as u64 {
            return Err(too_large());
        }
        let mut text = Vec::with_capacity(size as usize + 1);
        // It may be growing.
        file.take(records::MAX_SIZE as u64 + 1).read_to_end(&mut text)?;
        if text.len() > records::MAX_SIZE {
            return Err(too_large());
        }
        Ok(Existing { text, mode: metadata.mode(), owner: metadata.uid(), group: metadata.gid() })
    }

    /// A file that any user may write to is not trusted. In a directory in which any user may
    /// create files, such as `/tmp`, only files of root and of our own user are. Elsewhere the
    /// owner of the directory has decided who may put files into it.
    fn check_trust(&self, file: &Metadata) -> Result<(), FileError> {
        const ANY_USER_WRITES: u32 = 0o002;
        let owner = file.uid();
        if file.mode() & ANY_USER_WRITES != 0 {
            return Err("any user may write to it".into());
        }
        if owner == 0 || owner == sys::effective_user() {
            return Ok(());
        }
        let directory = fs::metadata(self.directory()?)?;
        if directory.mode() & ANY_USER_WRITES != 0 {
            let why = format!("it belongs to user {owner} and any user may write to its directory");
            return Err(why.into());
        }
        Ok(())
    }

    fn directory(&self) -> Result<&Path, FileError> {
        Ok(self.path.parent().ok_or("it is not the path of a file")?)
    }

    /// The path of a file beside the cache.
    fn sibling(&self, suffix: &str) -> Result<PathBuf, FileError> {
        let mut name = self.path.file_name().ok_or("it is not the path of a file")?.to_os_string();
        name.push(suffix);
        Ok(self.path.with_file_name(name))
    }

    /// Changes the text of the file under the lock: in a new file that replaces it, or else, if the
    /// system does not let this process make one, in place.
    fn change<T>(&self, change: impl Fn(&[u8]) -> Result<(Vec<u8>, T), FileError>) -> Result<T, FileError> {
        let change = |text: &[u8]| {
            let (text, result) = change(text)?;
            if text.len() > records::MAX_SIZE {
                return Err(FileError::from(
                    "it is full of groups that are not about mirrors, and has no room for records",
                ));
            }
            Ok((text, result))
        };
        // Before the lock, so that no lock is created beside a file that is not used anyway.
        let before = self.load()?;
        // This lock is held during a change in place too, since others may replace the file.
        let (_lock, why) = match Lock::take(&self.sibling(".lock")?, before.as_ref()) {
            Ok(lock) => match self.replace(change) {
                Err(FileError::Denied(why)) => (Some(lock), why),
                replaced => return replaced,
            },
            Err(FileError::Denied(why)) => (None, why),
            Err(error) => return Err(error),
        };
        self.change_in_place(change, &why)
    }

    /// Replaces the file by a new one, if its text changes.
    fn replace<T>(&self, change: impl Fn(&[u8]) -> Result<(Vec<u8>, T), FileError>) -> Result<T, FileError> {
        let existing = self.load_whole()?;
        let old: &[u8] = existing.as_ref().map_or(&[], |existing| &existing.text);
        let (text, result) = change(old)?;
        if existing.is_none() || old != text {
            self.write_and_rename(&text, existing.as_ref())?;
        }
        Ok(result)
    }

    /// A process that is killed meanwhile leaves the old file or the new one, and at worst a
    /// temporary file, which the next writer removes.
    fn write_and_rename(&self, text: &[u8], existing: Option<&Existing>) -> Result<(), FileError> {
        let temporary = self.sibling(".new")?;
        let about = |error: io::Error| FileError::from(error).about(&temporary.display().to_string());
        // Left by a process that was killed: under the lock there is no other one.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(about(error)),
            _ => {}
        }
        // create_new implies O_EXCL, which follows no link.
        let file = OpenOptions::new().write(true).create_new(true).mode(NEW_FILE_MODE).open(&temporary);
        let mut file = file.map_err(about)?;
        let written = write_new(&mut file, text, existing)
            .and_then(|()| fs::rename(&temporary, &self.path).map_err(FileError::from));
        if written.is_err() {
            // If this fails too, the next writer removes the file.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Writes the new text over the old one. `why` is the reason for not replacing the file; it is
    /// the error if this is impossible too.
    fn change_in_place<T>(
        &self,
        change: impl Fn(&[u8]) -> Result<(Vec<u8>, T), FileError>,
        why: &str,
    ) -> Result<T, FileError> {
        let denied = || FileError::Denied(why.into());
        // One descriptor to lock, to read and to write: the path may lead to another file later.
        let lock = Lock::take_on(&self.path, || {
            let file = open_regular(&self.path, OpenOptions::new().read(true).write(true)).ok().flatten();
            file.ok_or_else(denied)
        })?;
        let file = &lock.0;
        let existing = self.load_from(file)?;
        // It may be some other file that got a second name here.
        if file.metadata()?.nlink() != 1 {
            return Err(denied());
        }
        let (text, result) = change(&existing.text)?;
        let fill = |text: &[u8]| file.set_len(0).and_then(|()| file.write_all_at(text, 0));
        if existing.text != text {
            fill(&text).map_err(|error| {
                // The old text has had room before. If there is none any more, what is left of it
                // is no worse than nothing.
                let _ = fill(&existing.text);
                FileError::from(error)
            })?;
        }
        Ok(result)
    }
}

/// Fills the new file. It is not synced to disk: a crash of the machine may lose the cache, which
/// costs one run's measuring. An empty or zeroed file is not a cache, and a cut line is not read.
fn write_new(file: &mut File, text: &[u8], existing: Option<&Existing>) -> Result<(), FileError> {
    let mode = existing.map_or(NEW_FILE_MODE, |existing| existing.mode & 0o777);
    if let Some(existing) = existing {
        let created = file.metadata()?;
        if (created.uid(), created.gid()) != (existing.owner, existing.group) {
            fchown(&*file, Some(existing.owner), Some(existing.group)).map_err(|error| {
                let (owner, group) = (existing.owner, existing.group);
                FileError::from(error).about(&format!("cannot keep its owner {owner} and group {group}"))
            })?;
        }
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text)?;
    Ok(())
}

/// Opens a regular file; returns none if it does not exist. Symbolic links are not followed, and
/// nothing is opened that may block or have side effects.
fn open_regular(path: &Path, options: &mut OpenOptions) -> Result<Option<File>, FileError> {
    match fs::symlink_metadata(path) {
        Ok(found) => check_regular(&found)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    // For what may have replaced it since: no link is followed, a FIFO does not block, and a
    // terminal does not become the controlling one.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    match options.custom_flags(flags).open(path) {
        Ok(file) => {
            check_regular(&file.metadata()?)?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn check_regular(found: &Metadata) -> Result<(), FileError> {
    let kind = found.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_symlink() {
        "it is a symbolic link, which is not followed"
    } else if kind.is_dir() {
        "it is a directory"
    } else if kind.is_fifo() {
        "it is a FIFO"
    } else if kind.is_socket() {
        "it is a socket"
    } else {
        "it is a device"
    };
    Err(what.into())
}

/// The lock among writers: on a file beside the cache, or, for writing in place, on the cache.
/// Readers need none if the file is replaced as a whole. One that may be half written is read again
/// after a reader has got the lock on it.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Takes the lock of a cache. Whoever may write the cache may take it.
    pub(super) fn take(path: &Path, cache: Option<&Existing>) -> Result<Lock, FileError> {
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).mode(NEW_FILE_MODE);
            match options.clone().create_new(true).open(path) {
                Ok(new) => {
                    if let Some(cache) = cache {
                        admit_writers_of(cache, &new);
                    }
                    Ok(new)
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    Ok(open_regular(path, &mut options)?.ok_or("it was removed just now")?)
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Err("its directory does not exist".into())
                }
                Err(error) => Err(error.into()),
            }
        };
        let about_lock = |error: FileError| error.about(&format!("cannot take its lock {}", path.display()));
        Lock::take_on(path, open).map_err(about_lock)
    }

    /// Locks the file that `open` opens at this path.
    fn take_on(path: &Path, open: impl Fn() -> Result<File, FileError>) -> Result<Lock, FileError> {
        let start = Instant::now();
        loop {
            let lock = Lock::wait(open()?, start)?;
            let ours = lock.0.metadata()?;
            // If the file was removed or replaced while we waited, our lock keeps no other process
            // out.
            if fs::symlink_metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == (ours.dev(), ours.ino())) {
                return Ok(lock);
            }
            if start.elapsed() >= LOCK_TIMEOUT {
                return Err(FileError::Locked);
            }
        }
    }

    fn wait(file: File, start: Instant) -> Result<Lock, FileError> {
        while !sys::try_lock(file.as_fd())? {
            if start.elapsed() >= LOCK_TIMEOUT {
                return Err(FileError::Locked);
            }
            thread::sleep(LOCK_RETRY);
        }
        Ok(Lock(file))
    }
}

/// Lets the group of a cache take a new lock if the group may write the cache. Others may not: who
/// holds the lock keeps all from writing. A lock that was there before is left as it is, since any
/// member of the group may have given its name to another file.
fn admit_writers_of(cache: &Existing, new: &File) {
    const GROUP_WRITES: u32 = 0o020;
    const GROUP_LOCKS: u32 = 0o060;
    if cache.mode & GROUP_WRITES != 0 {
        // Without the right to do so, the lock stays ours alone.
        let _ = fchown(new, None, Some(cache.group))
            .and_then(|()| new.set_permissions(Permissions::from_mode(NEW_FILE_MODE | GROUP_LOCKS)));
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread has forked meanwhile has the
        // descriptor too.
        sys::unlock(self.0.as_fd());
    }
}
