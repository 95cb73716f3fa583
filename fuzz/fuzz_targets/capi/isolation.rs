//! A network without other machines, a server in it, and a directory for caches.

use std::io::ErrorKind;
use std::mem::zeroed;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, process};

/// What the calls happen in.
pub(crate) struct Surroundings {
    pub(crate) directory: PathBuf,
    /// Accepts connections, in a network of its own; none if there can be no such network.
    server: Option<TcpListener>,
}

static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

impl Surroundings {
    pub(crate) fn new() -> Surroundings {
        let directory = env::temp_dir().join(format!("fastestmirror-fuzz-{}", process::id()));
        fs::create_dir_all(&directory).expect("a temporary directory");
        extern "C" fn remove() {
            let _ = DIRECTORY.get().map(fs::remove_dir_all);
        }
        DIRECTORY.get_or_init(|| directory.clone());
        // SAFETY: the function may be called at the end of the process.
        unsafe { libc::atexit(remove) };
        let server = is_isolated().then(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port"));
        if let Some(server) = &server {
            server.set_nonblocking(true).expect("a socket");
        }
        Surroundings { directory, server }
    }

    pub(crate) fn is_isolated(&self) -> bool {
        self.server.is_some()
    }

    /// The port of the server.
    pub(crate) fn port(&self) -> u16 {
        self.server.as_ref().and_then(|server| server.local_addr().ok()).map_or(2, |address| address.port())
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.join("cache")
    }

    /// Closes the connections of the last call, so that there is always room for new ones.
    pub(crate) fn hang_up(&self) {
        let Some(server) = &self.server else { return };
        while !matches!(server.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock) {}
    }

    /// Removes what a sequence of calls has left.
    pub(crate) fn tidy(&self) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let path: &Path = &entry.path();
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
        }
    }
}

/// Enters a network namespace that has a loopback interface and nothing else.
fn is_isolated() -> bool {
    // SAFETY: the fuzzer has not started a thread yet; the request is that of netdevice(7).
    unsafe {
        if libc::unshare(libc::CLONE_NEWNET) != 0
            && libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) != 0
        {
            return false;
        }
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
        let is_up = libc::ioctl(socket, libc::SIOCSIFFLAGS, &request) == 0;
        libc::close(socket);
        is_up
    }
}
