//! Overlays over directories of the machine, in the mount namespace of one test: what is installed
//! there is gone with the namespace, and the machine stays as it is.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The directories that have an overlay. Dropping it uncovers them.
#[derive(Debug)]
pub struct Overlay {
    scratch: TempDir,
    directories: Vec<&'static str>,
}

impl Overlay {
    /// Covers these directories of the mount namespace. If the system cannot do so, the test is
    /// skipped.
    pub fn over(directories: &[&'static str]) -> Option<Overlay> {
        let scratch = tempfile::tempdir().expect("a directory");
        mount_memory(scratch.path());
        let mut overlay = Overlay { scratch, directories: Vec::new() };
        for directory in directories {
            let layers = overlay.layers(directory);
            for layer in [&layers.lower, &layers.upper, &layers.work] {
                fs::create_dir_all(layer).expect("a directory of this test");
            }
            bind(Path::new(directory), &layers.lower);
            let data = format!(
                "lowerdir={},upperdir={},workdir={}",
                layers.lower.display(),
                layers.upper.display(),
                layers.work.display()
            );
            let data = CString::new(data).expect("no zero byte");
            if let Err(why) = try_mount(c"lab", Path::new(directory), c"overlay", 0, &data) {
                lab::skip(&format!("this system cannot mount an overlay: {why}"));
                return None;
            }
            overlay.directories.push(directory);
        }
        Some(overlay)
    }

    /// What differs from the machine below these directories: for each file what it is now, and for
    /// each new directory, whose name ends with a slash, its mode. A file that has been written
    /// without a change does not differ.
    pub fn changes(&self, directories: &[&'static str]) -> BTreeMap<String, String> {
        let mut changes = BTreeMap::new();
        for directory in directories {
            assert!(self.directories.contains(directory), "{directory} has no overlay");
            let layers = self.layers(directory);
            let mut to_read = vec![layers.upper.clone()];
            while let Some(next) = to_read.pop() {
                for entry in fs::read_dir(&next).expect("a directory") {
                    let path = entry.expect("an entry").path();
                    let below = path.strip_prefix(&layers.upper).expect("it is below");
                    let name = Path::new(directory).join(below).display().to_string();
                    let (now, before) = (describe(&path), describe(&layers.lower.join(below)));
                    let is_directory = path.symlink_metadata().expect("an entry").is_dir();
                    if now != before {
                        let now = now.expect("it is there");
                        changes.insert(if is_directory { name + "/" } else { name }, now);
                    }
                    if is_directory {
                        to_read.push(path);
                    }
                }
            }
        }
        changes
    }

    fn layers(&self, directory: &str) -> Layers {
        let base = self.scratch.path().join(directory.trim_start_matches('/').replace('/', "-"));
        Layers { lower: base.join("lower"), upper: base.join("upper"), work: base.join("work") }
    }
}

struct Layers {
    lower: PathBuf,
    upper: PathBuf,
    work: PathBuf,
}

/// Describes a file: its mode, and what it contains or leads to.
fn describe(path: &Path) -> Option<String> {
    let metadata = path.symlink_metadata().ok()?;
    let kind = metadata.file_type();
    let mode = format!("{:o}", metadata.permissions().mode() & 0o7777);
    Some(if kind.is_dir() {
        mode
    } else if kind.is_symlink() {
        format!("-> {}", fs::read_link(path).expect("a link").display())
    } else if kind.is_char_device() && metadata.rdev() == 0 {
        // This is how an overlay records it.
        "removed".to_owned()
    } else if kind.is_file() {
        let mut hasher = DefaultHasher::new();
        fs::read(path).expect("a file").hash(&mut hasher);
        format!("{mode} {:x}", hasher.finish())
    } else {
        format!("{mode} {kind:?}")
    })
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // Programs may still have files of them open.
        for directory in self.directories.iter().rev() {
            unmount(Path::new(directory));
            unmount(&self.layers(directory).lower);
        }
        unmount(self.scratch.path());
    }
}

/// Covers a directory with an empty file system in memory.
pub(crate) fn mount_memory(directory: &Path) {
    mount(c"lab", directory, c"tmpfs", 0);
}

/// Shows a file or directory at another path, too.
pub(crate) fn bind(source: &Path, target: &Path) {
    let source = CString::new(source.as_os_str().as_bytes()).expect("a path");
    mount(&source, target, c"", libc::MS_BIND);
}

fn mount(source: &CStr, target: &Path, kind: &CStr, flags: libc::c_ulong) {
    try_mount(source, target, kind, flags, c"").unwrap_or_else(|why| panic!("{}: {why}", target.display()));
}

fn try_mount(source: &CStr, target: &Path, kind: &CStr, flags: libc::c_ulong, data: &CStr) -> io::Result<()> {
    assert!(lab::is_inside(), "the machine's own mounts must stay as they are");
    let target = CString::new(target.as_os_str().as_bytes()).expect("a path");
    // SAFETY: terminated strings, alive for the call.
    let mounted =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) };
    if mounted == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn unmount(target: &Path) {
    let target = CString::new(target.as_os_str().as_bytes()).expect("a path");
    // SAFETY: a terminated string, alive for the call.
    unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
}
