//! The lab's own servers: they accept any number of connections, read until the client closes, and close.

use super::namespace::{Context, Unavailable};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::HashMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub struct Servers {
    listeners: HashMap<RawFd, Socket>,
    epoll: OwnedFd,
}

impl Servers {
    pub fn listen(on: &[SocketAddr]) -> Result<Servers, Unavailable> {
        // The ordinary backlog is too short for a world of thousands. Where this is forbidden SYN cookies help out.
        let _ = std::fs::write("/proc/sys/net/core/somaxconn", "65535");
        // SAFETY: no pointers; the descriptor is checked and then ours.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let epoll = if epoll < 0 { Err(io::Error::last_os_error()) } else { Ok(epoll) };
        // SAFETY: as above.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll.context("cannot make an epoll set")?) };
        let mut servers = Servers { listeners: HashMap::new(), epoll };
        for &address in on {
            let listener = listen(address).context(&format!("cannot listen on {address}"))?;
            servers.watch(listener.as_raw_fd()).context("cannot watch a listener")?;
            servers.listeners.insert(listener.as_raw_fd(), listener);
        }
        Ok(servers)
    }

    /// Until the other end of `stop` is closed.
    pub fn run(&self, stop: &UnixStream) {
        // SAFETY: concerns the calling thread alone. The client under test is the one to be quick.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, libc::gettid() as _, 5) };
        if self.watch(stop.as_raw_fd()).is_err() {
            return;
        }
        let mut connections: HashMap<RawFd, Socket> = HashMap::new();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
        let mut buffer = vec![0; 65_536];
        loop {
            // SAFETY: room for as many events as named.
            let ready = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 256, -1) };
            for event in &events[..ready.max(0) as usize] {
                let fd = event.u64 as RawFd;
                if fd == stop.as_raw_fd() {
                    // Nothing of this world is to be sent into the next.
                    connections
                        .values()
                        .for_each(|connection| drop(connection.set_linger(Some(Duration::ZERO))));
                    return;
                }
                if let Some(listener) = self.listeners.get(&fd) {
                    self.accept(listener, &mut connections);
                } else if connections.get(&fd).is_some_and(|connection| is_over(connection, &mut buffer)) {
                    connections.remove(&fd);
                }
            }
        }
    }

    fn accept(&self, listener: &Socket, connections: &mut HashMap<RawFd, Socket>) {
        loop {
            match listener.accept() {
                Ok((connection, _)) => {
                    let fd = connection.as_raw_fd();
                    if connection.set_nonblocking(true).is_ok() && self.watch(fd).is_ok() {
                        connections.insert(fd, connection);
                    }
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return,
                // Out of descriptors, most likely: others are about to be closed.
                Err(_) => return std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn watch(&self, fd: RawFd) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
        // SAFETY: an open epoll set, an open descriptor and an event that lives for the call.
        match unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(65_535)?;
    Ok(socket)
}

fn is_over(mut connection: &Socket, buffer: &mut [u8]) -> bool {
    loop {
        match connection.read(buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(why) => return why.kind() != io::ErrorKind::WouldBlock,
        }
    }
}
