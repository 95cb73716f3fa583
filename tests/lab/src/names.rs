//! The system's files about names, replaced in this mount namespace for the life of a world.

use super::namespace::{Context, Unavailable};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const RESOLVER: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const SWITCH: &str = "/etc/nsswitch.conf";

/// The replaced files; dropping it brings the system's own back.
pub(crate) struct Files(Vec<PathBuf>);

impl Files {
    /// `hosts` are lines for /etc/hosts beyond those for localhost.
    pub(crate) fn replace(name_server: impl std::fmt::Display, hosts: &str) -> Result<Files, Unavailable> {
        let mut files = Files(Vec::new());
        make_coverable().context("cannot put up a folder in place of /etc")?;
        // One second for each of two tries: as short as the resolver's options allow with a repeat.
        files.cover(RESOLVER, &format!("nameserver {name_server}\noptions timeout:1 attempts:2\n"))?;
        files.cover(HOSTS, &format!("127.0.0.1 localhost\n::1 localhost\n{hosts}"))?;
        // The rest of this file is about users and such, and stays.
        let switch = fs::read_to_string(SWITCH).unwrap_or_default();
        let others = switch.lines().filter(|line| !line.trim_start().starts_with("hosts:"));
        let switch: String = others.chain(["hosts: files dns"]).flat_map(|line| [line, "\n"]).collect();
        files.cover(SWITCH, &switch)?;
        Ok(files)
    }

    /// Mounts a file with this text over another.
    fn cover(&mut self, target: &str, text: &str) -> Result<(), Unavailable> {
        let target = Path::new(target);
        let mounted = (|| {
            let source = temporary("file");
            fs::write(&source, text)?;
            let mounted = bind(&source, target);
            // The mount keeps the file.
            fs::remove_file(&source)?;
            mounted
        })();
        mounted.context(&format!("cannot cover {}", target.display()))?;
        self.0.push(target.to_owned());
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for target in &self.0 {
            let target = path(target);
            // SAFETY: a terminated path.
            unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

/// A missing file, or a link that leads nowhere, cannot be mounted over; and making one would change the machine itself. So /etc
/// is covered by a new folder in which everything else of the old one is mounted.
fn make_coverable() -> io::Result<()> {
    let missing: Vec<&Path> =
        [RESOLVER, HOSTS, SWITCH].map(Path::new).into_iter().filter(|file| !file.exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let folder = Path::new("/etc");
    let twin = temporary("folder");
    fs::create_dir(&twin)?;
    mount(c"lab", &twin, Some(c"tmpfs"), 0)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (from, to) = (entry.path(), twin.join(entry.file_name()));
        if missing.contains(&from.as_path()) {
            continue;
        }
        if entry.file_type()?.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::create_dir(&to)?
        } else {
            fs::write(&to, "")?
        }
        bind(&from, &to)?;
    }
    for file in missing {
        fs::write(twin.join(file.file_name().unwrap_or_default()), "")?;
    }
    bind(&twin, folder)?;
    // SAFETY: a terminated path.
    unsafe { libc::umount2(path(&twin).as_ptr(), libc::MNT_DETACH) };
    fs::remove_dir(&twin)
}

fn bind(source: &Path, target: &Path) -> io::Result<()> {
    mount(&path(source), target, None, libc::MS_BIND | libc::MS_REC)
}

fn mount(
    source: &std::ffi::CStr,
    target: &Path,
    kind: Option<&std::ffi::CStr>,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let target = path(target);
    let kind = kind.map_or(std::ptr::null(), |kind| kind.as_ptr());
    // SAFETY: terminated strings or null, alive for the call.
    match unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, std::ptr::null()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("paths hold no NUL")
}

fn temporary(what: &str) -> PathBuf {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("fastestmirror-lab-{}-{number}.{what}", std::process::id()))
}
