//! Changes to a child process between fork and exec, so that it sees the machine as another user
//! does. Root only.

use std::io;

/// Whether the test may act as another user, which root alone may do. If not, the test is skipped.
pub fn can_become_others() -> bool {
    // SAFETY: always succeeds.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        lab::skip("only root can act as another user");
    }
    is_root
}

/// The ID of the user nobody, who owns nothing.
pub const NOBODY: u32 = 65_534;

/// Makes the process run as nobody, on a system where any user may open the TUN device, as on most
/// systems.
pub fn become_nobody() -> io::Result<()> {
    hide_device()?;
    let tun = c"/dev/net/tun".as_ptr();
    // SAFETY: constant, terminated strings; the process is a forked child with mounts of its own.
    unsafe {
        check(libc::mknod(tun, libc::S_IFCHR | 0o666, libc::makedev(10, 200)))?;
        check(libc::chmod(tun, 0o666))?;
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(NOBODY, NOBODY, NOBODY))?;
        check(libc::setresuid(NOBODY, NOBODY, NOBODY))
    }
}

/// Removes the TUN device, as in a container without it.
pub fn hide_device() -> io::Result<()> {
    let nothing = std::ptr::null();
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: as above.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        check(libc::mount(nothing, c"/".as_ptr(), nothing, private, nothing.cast()))?;
        check(libc::mount(c"lab".as_ptr(), c"/dev/net".as_ptr(), c"tmpfs".as_ptr(), 0, nothing.cast()))
    }
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
