//! Replaces the system's resolver configuration in this mount namespace while a world runs.

use super::namespace::{Context, Unavailable, is_inside};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const RESOLVER: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const NSSWITCH: &str = "/etc/nsswitch.conf";

/// The replaced files. Dropping this brings the system's own back.
pub(crate) struct Files(Vec<PathBuf>);

impl Files {
    /// Replaces the files; `hosts` are lines for /etc/hosts besides those for localhost.
    pub(crate) fn replace(name_server: impl std::fmt::Display, hosts: &str) -> Result<Files, Unavailable> {
        let mut files = Files(Vec::new());
        make_coverable(&[RESOLVER, HOSTS, NSSWITCH]).context("cannot mount a directory over /etc")?;
        // Two attempts of one second: the shortest that the resolver's options allow with a repeat.
        files.cover(RESOLVER, &format!("nameserver {name_server}\noptions timeout:1 attempts:2\n"))?;
        files.cover(HOSTS, &format!("127.0.0.1 localhost\n::1 localhost\n{hosts}"))?;
        // The other lines, about users and groups, are kept.
        let switch = fs::read_to_string(NSSWITCH).unwrap_or_default();
        let others = switch.lines().filter(|line| !line.trim_start().starts_with("hosts:"));
        let switch: String = others.chain(["hosts: files dns"]).flat_map(|line| [line, "\n"]).collect();
        files.cover(NSSWITCH, &switch)?;
        Ok(files)
    }

    /// Mounts a file with this text over another.
    fn cover(&mut self, target: &str, text: &str) -> Result<(), Unavailable> {
        let target = Path::new(target);
        let mounted = (|| {
            let source = temporary("file");
            fs::write(&source, text)?;
            let mounted = bind(&source, target);
            // The mount keeps the file's content.
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

/// Inside the lab: gives this mount namespace an empty file of its own at this path in /etc,
/// whether the machine has one or not. It can be written as any other file; its owner is root. To
/// be called before a world starts.
pub fn own_file_in_etc(path: &str) -> io::Result<()> {
    assert!(is_inside(), "{path} is the machine's own");
    make_coverable(&[path])?;
    let source = temporary("file");
    fs::write(&source, "")?;
    fs::set_permissions(&source, fs::Permissions::from_mode(0o644))?;
    let mounted = bind(&source, Path::new(path));
    fs::remove_file(&source)?;
    mounted
}

/// Makes sure that each of these files in /etc exists, so that it can be mounted over. Creating one
/// there would change the machine, so if one is missing, or is a dangling link, /etc is covered by
/// a new directory into which all else is mounted.
fn make_coverable(files: &[&str]) -> io::Result<()> {
    let missing: Vec<&Path> = files.iter().map(Path::new).filter(|file| !file.exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let etc = Path::new("/etc");
    let twin = temporary("etc");
    fs::create_dir(&twin)?;
    mount(c"lab", &twin, Some(c"tmpfs"), 0)?;
    for entry in fs::read_dir(etc)? {
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
    bind(&twin, etc)?;
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
    CString::new(path.as_os_str().as_bytes()).expect("the path has no NUL byte")
}

fn temporary(what: &str) -> PathBuf {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("fastestmirror-lab-{}-{number}.{what}", std::process::id()))
}
