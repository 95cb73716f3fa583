//! Where the result goes: to standard output, or into a file (`--output`), which then has the whole
//! result or is as it was before.

use crate::exit::{Exit, reason};
use crate::text::escape;
use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// How many symbolic links in a row are followed; the kernel follows as many.
const MAX_LINKS: usize = 40;

/// The extended attribute with a file's access control list. If there is one, what the mode says of
/// the group is the most that users and groups of the list may do: it is not for the group itself.
const ACCESS_LIST: &str = "system.posix_acl_access";
/// The largest extended attribute that the kernel has (XATTR_SIZE_MAX).
const MAX_ATTRIBUTE: usize = 64 << 10;

/// Where the result goes.
#[derive(Debug)]
pub(crate) enum Destination {
    StandardOutput,
    /// A device, a FIFO, or what a descriptor of a process leads to: written as it is.
    Stream {
        file: File,
        name: String,
    },
    /// A regular file, which is replaced, or a new one.
    File {
        /// What the name leads to, behind all symbolic links.
        path: PathBuf,
        name: String,
        existing: Option<Existing>,
    },
}

/// The file that is replaced, as it was when it was found.
#[derive(Debug)]
pub(crate) struct Existing {
    file: File,
    metadata: Box<Metadata>,
}

impl Existing {
    /// Whether the path still leads to this file, and its content has not been changed. Another
    /// process may have written a newer list, or put a link to elsewhere in the place of a
    /// directory.
    fn is_unchanged_at(&self, path: &Path) -> io::Result<bool> {
        let identity =
            |file: &Metadata| (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec());
        Ok(identity(&fs::symlink_metadata(path)?) == identity(&self.metadata))
    }

    /// The access control list, if the file has one.
    fn access_list(&self) -> io::Result<Option<Vec<u8>>> {
        let mut list = vec![0; MAX_ATTRIBUTE];
        match fgetxattr(&self.file, ACCESS_LIST, &mut list[..]) {
            Ok(length) => {
                list.truncate(length);
                Ok(Some(list))
            }
            // The file has none, or the file system has no such lists.
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Destination {
    /// Finds what the name leads to. Nothing is written or made before [`Destination::write`].
    pub(crate) fn find(name: Option<&Path>) -> Result<Destination, Exit> {
        let Some(path) = name.filter(|name| *name != Path::new("-")) else {
            return Ok(Destination::StandardOutput);
        };
        let name = escape(&path.to_string_lossy());
        let destination = find(path, &name).map_err(|error| {
            let hint = if error.kind() == ErrorKind::IsADirectory { "; name a file in it" } else { "" };
            Exit::unusable(&format!("{name}: cannot be written: {}{hint}", reason(&error)))
        })?;
        match &destination {
            Destination::File { path, .. }
                if path.extension().is_some_and(|end| end == "gz" || end == "xz") =>
            {
                let reason = "the result is not compressed: use a name without .gz or .xz";
                Err(Exit::unusable(&format!("{name}: {reason}")))
            }
            _ => Ok(destination),
        }
    }

    /// The name of the file that is replaced as a whole, and whether it exists.
    pub(crate) fn replaced(&self) -> Option<(&str, bool)> {
        match self {
            Destination::File { name, existing, .. } => Some((name, existing.is_some())),
            _ => None,
        }
    }

    /// Whether people see the result on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Destination::StandardOutput => io::stdout().is_terminal(),
            Destination::Stream { file, .. } => file.is_terminal(),
            Destination::File { .. } => false,
        }
    }

    /// The width of the terminal that the result goes to, in columns.
    pub(crate) fn columns(&self) -> Option<usize> {
        let size = match self {
            Destination::StandardOutput => rustix::termios::tcgetwinsize(io::stdout()),
            Destination::Stream { file, .. } => rustix::termios::tcgetwinsize(file),
            Destination::File { .. } => return None,
        };
        size.ok().map(|size| size.ws_col.into()).filter(|&columns| columns > 0)
    }

    /// Writes the whole result. A reader that has closed the pipe, such as `head`, has all that it
    /// wants: no error.
    pub(crate) fn write(self, text: &[u8]) -> Result<(), Exit> {
        let (written, message) = match self {
            Destination::StandardOutput => {
                let mut out = io::stdout().lock();
                (out.write_all(text).and_then(|()| out.flush()), "cannot write to standard output".into())
            }
            Destination::Stream { mut file, name } => {
                (file.write_all(text), format!("{name}: cannot be written"))
            }
            Destination::File { path, name, existing } => {
                return replace(&path, existing.as_ref(), text)
                    .map_err(|(what, error)| Exit::failed(&format!("{name}: {what}: {}", reason(&error))));
            }
        };
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Exit::failed(&format!("{message}: {}", reason(&error))))
            }
            _ => Ok(()),
        }
    }
}

fn find(path: &Path, name: &str) -> io::Result<Destination> {
    let name = name.to_string();
    // The kernel decides here whether this user may write the file, as if a shell had opened it,
    // although it is another file that takes its place.
    let file = match OpenOptions::new().append(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let path = follow_links(path)?.ok_or(error)?;
            if path.as_os_str().as_bytes().ends_with(b"/") {
                return Err(ErrorKind::IsADirectory.into());
            }
            // Fails if there is no such directory.
            fs::metadata(directory_of(&path))?;
            return Ok(Destination::File { path, name, existing: None });
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if metadata.is_file() {
        if let Some(path) = follow_links(path)? {
            return Ok(Destination::File {
                path,
                name,
                existing: Some(Existing { file, metadata: metadata.into() }),
            });
        }
        // This is /dev/stdout, say, and a shell has opened the file: what it has written must stay,
        // and what it writes later has to stand behind the result.
        let is_same = |other: &File| {
            other.metadata().is_ok_and(|other| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino()))
        };
        if is_same(&File::from(io::stdout().as_fd().try_clone_to_owned()?)) {
            return Ok(Destination::StandardOutput);
        }
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        if is_same(&stderr) {
            return Ok(Destination::Stream { file: stderr, name });
        }
    }
    Ok(Destination::Stream { file, name })
}

/// Returns what the path leads to behind all symbolic links, which need not exist. `None` if it is
/// a descriptor of a process: the link to it is no name by which it could be replaced.
fn follow_links(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
            return Ok(Some(path));
        }
        let directory = directory_of(&path);
        if fs::canonicalize(directory)?.starts_with("/proc") {
            return Ok(None);
        }
        path = directory.join(fs::read_link(&path)?);
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a new file beside the existing one and gives it its name. On failure the existing one is
/// untouched, and the error comes with what could not be done.
fn replace(path: &Path, existing: Option<&Existing>, text: &[u8]) -> Result<(), (&'static str, io::Error)> {
    // Until it has the mode of the old file, no other user may read the new one; one without an old
    // file gets the usual mode, from which the system takes the umask.
    let mode = if existing.is_some() { 0o600 } else { 0o666 };
    let mut new = Builder::new()
        .prefix(".fastestmirror-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory_of(path))
        .map_err(|error| ("a new file cannot be made beside it", error))?;
    fill(&mut new, existing, text).map_err(|error| ("cannot be written", error))?;
    if let Some(existing) = existing {
        let is_unchanged = existing.is_unchanged_at(path).map_err(|error| ("cannot be replaced", error))?;
        if !is_unchanged {
            let reason = "it has changed since this command began; run it again";
            return Err(("cannot be replaced", io::Error::other(reason)));
        }
    }
    new.persist(path).map_err(|error| ("cannot be replaced", error.error))?;
    Ok(())
}

/// Fills the new file. It is on the disk before it takes the name of the old one, so that a crash
/// of the machine leaves one of them.
fn fill(new: &mut NamedTempFile, existing: Option<&Existing>, text: &[u8]) -> io::Result<()> {
    new.write_all(text)?;
    if let Some(existing) = existing {
        let metadata = &existing.metadata;
        let mut mode = metadata.mode() & 0o777;
        let mut access_list = existing.access_list()?;
        // Root alone may give a file away; for others it is theirs from now on.
        let _ = fchown(new.as_file(), Some(metadata.uid()), None);
        if fchown(new.as_file(), None, Some(metadata.gid())).is_err() {
            // What the old group was allowed is not for the new one, which gets what all others
            // have, and so do the users and groups of the list.
            mode = mode & 0o707 | (mode & 0o007) << 3;
            access_list = None;
        }
        match access_list {
            Some(list) => fsetxattr(new.as_file(), ACCESS_LIST, &list, XattrFlags::empty())?,
            // The directory may have given the new file one.
            None => match fremovexattr(new.as_file(), ACCESS_LIST) {
                Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
                Err(error) => return Err(error.into()),
            },
        }
        new.as_file().set_permissions(Permissions::from_mode(mode))?;
    }
    new.as_file().sync_all()
}
