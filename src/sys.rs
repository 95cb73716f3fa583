//! The few system calls that std and socket2 lack, each behind a safe function. This is the only
//! unsafe code outside the C layers. What to do about an error is left to the caller.

use crate::url::{self, Family};
use std::ffi::CString;
use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// Turns the -1 that a system call returns into its errno.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A set of descriptors to wait for: `epoll_create1`(2). It is edge-triggered: each change is
/// reported once. Otherwise a descriptor that is closed here but was inherited by a forked child
/// would be reported again and again.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: no pointer is passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the call returned this new descriptor, and nothing else uses it.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Waits for `fd` to become writable or fail (a finished connect).
    pub(crate) fn add_writable(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        self.add(fd.as_raw_fd(), token, libc::EPOLLOUT)
    }

    /// Waits for `fd` to become readable.
    pub(crate) fn add_readable(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        self.add(fd.as_raw_fd(), token, libc::EPOLLIN)
    }

    fn add(&self, fd: RawFd, token: u64, interest: libc::c_int) -> io::Result<()> {
        let mut event = libc::epoll_event { events: (interest | libc::EPOLLET) as u32, u64: token };
        // SAFETY: both descriptors are open (borrowed for this call) and `event` outlives the call.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) })?;
        Ok(())
    }

    /// Appends the tokens of the descriptors that are ready, after at most `timeout` (rounded up to
    /// 1 ms). If a signal interrupts the call, that counts as the timeout.
    pub(crate) fn wait(&self, timeout: Duration, tokens: &mut Vec<u64>) -> io::Result<()> {
        const BATCH: usize = 256;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        let mut timeout = timeout.as_micros().div_ceil(1000).min(i32::MAX as u128) as libc::c_int;
        loop {
            // SAFETY: `events` has room for BATCH events and outlives the call.
            let count = unsafe {
                libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), BATCH as libc::c_int, timeout)
            };
            let count = match check(count) {
                Ok(count) => count as usize,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
            tokens.extend(events[..count].iter().map(|event| event.u64));
            if count < BATCH {
                return Ok(());
            }
            timeout = 0;
        }
    }
}

/// Wakes an `Epoll` from another thread: `eventfd`(2).
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    pub(crate) fn new() -> io::Result<Waker> {
        // SAFETY: no pointer is passed.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the call returned this new descriptor, and nothing else uses it.
        Ok(Waker(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes the descriptor readable.
    pub(crate) fn wake(&self) {
        let one = 1u64;
        // The call fails only if the counter is full. Then the descriptor is readable already.
        // SAFETY: `one` has the eight readable bytes that eventfd requires.
        unsafe { libc::write(self.0.as_raw_fd(), ptr::from_ref(&one).cast(), mem::size_of_val(&one)) };
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What the kernel knows about a connection: `TCP_INFO`, tcp(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    pub(crate) established: bool,
    /// The round-trip time of the handshake; zero if the kernel has no sample.
    pub(crate) rtt: Duration,
    /// SYNs that were sent again.
    pub(crate) retransmits: u32,
}

/// Fails where there is no such thing: in WSL 1, and in some sandboxes.
pub(crate) fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    const TCP_ESTABLISHED: u8 = 1;
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `info` has `length` writable bytes and both outlive the call.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut length,
        )
    })?;
    // SAFETY: it consists of integers, all of which were zeroed before the kernel filled in those
    // that it knows.
    let info = unsafe { info.assume_init() };
    // The states of a connection begin with 1, so nothing has been filled in.
    if info.tcpi_state == 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(TcpInfo {
        established: info.tcpi_state == TCP_ESTABLISHED,
        rtt: Duration::from_micros(info.tcpi_rtt.into()),
        retransmits: info.tcpi_total_retrans,
    })
}

/// A socket for questions to the kernel about routes, addresses and neighbors: rtnetlink(7).
///
/// The kernel answers a question while it is being sent. An answer that is not there immediately
/// never comes, so no call waits for one.
#[derive(Debug)]
pub(crate) struct Rtnetlink(OwnedFd);

impl Rtnetlink {
    pub(crate) fn open() -> io::Result<Rtnetlink> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointer is passed.
        let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
        // SAFETY: the call returned this new descriptor, and nothing else uses it.
        Ok(Rtnetlink(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends one question. A netlink socket without a peer sends to the kernel.
    pub(crate) fn send(&self, question: &[u8]) -> io::Result<()> {
        let sent = retry_if_interrupted(|| {
            // SAFETY: `question` has `len` readable bytes and outlives the call.
            unsafe { libc::send(self.0.as_raw_fd(), question.as_ptr().cast(), question.len(), 0) }
        })?;
        if sent == question.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Receives one datagram of the answer; the error is `WouldBlock` if there is none. Datagrams
    /// from other processes are discarded. One that is longer than `buffer` is an error.
    pub(crate) fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        /// The number of datagrams from other processes that are discarded before giving up.
        const MAX_FOREIGN: usize = 64;
        for _ in 0..MAX_FOREIGN {
            // SAFETY: it consists of integers, for which zero is a valid value.
            let mut sender: libc::sockaddr_nl = unsafe { mem::zeroed() };
            let length = retry_if_interrupted(|| {
                let mut sender_length = mem::size_of::<libc::sockaddr_nl>() as libc::socklen_t;
                // SAFETY: `buffer` and `sender` have as many writable bytes as the call is given,
                // and outlive it.
                unsafe {
                    libc::recvfrom(
                        self.0.as_raw_fd(),
                        buffer.as_mut_ptr().cast(),
                        buffer.len(),
                        // Returns the true length, including what did not fit into the buffer.
                        libc::MSG_TRUNC,
                        ptr::from_mut(&mut sender).cast(),
                        &mut sender_length,
                    )
                }
            })?;
            // Zero is the kernel's address, which no process can have.
            if sender.nl_family == libc::AF_NETLINK as libc::sa_family_t && sender.nl_pid == 0 {
                return buffer.get(..length).ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Repeats a call as long as signals interrupt it. Only for calls that do not wait.
fn retry_if_interrupted(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        let result = call();
        match usize::try_from(result) {
            Ok(length) => return Ok(length),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Why a lookup found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// The name has no address, or the resolver could not find out.
    NoAddress,
    /// This process or system had no descriptor or memory left, which says nothing about the name.
    NoRoom,
    /// It has an address to which no connection is allowed.
    NotPublic,
}

/// Returns the family to look names up in. If this machine has addresses of one family only, a
/// query for the other one is a waste, and some name servers never reply to it.
///
/// `AI_ADDRCONFIG` makes `getaddrinfo`(3) do the same, but for every name: glibc then asks the
/// kernel for all addresses, and the threads wait for each other. This is called once in a run.
pub(crate) fn family_in_use(family: Family) -> Family {
    match (family, families_here()) {
        (Family::Any, (true, false)) => Family::Ipv4,
        (Family::Any, (false, true)) => Family::Ipv6,
        _ => family,
    }
}

/// Returns whether this machine has IPv4 and IPv6 addresses other than those of loopback:
/// `getifaddrs`(3). If that fails, it has neither.
fn families_here() -> (bool, bool) {
    let mut list = ptr::null_mut();
    // SAFETY: `list` outlives the call.
    if unsafe { libc::getifaddrs(&mut list) } != 0 {
        return (false, false);
    }
    let (mut ipv4, mut ipv6) = (false, false);
    let mut entry = list;
    // SAFETY: the list that a successful call returns ends in NULL and is valid until it is freed
    // below.
    while let Some(interface) = unsafe { entry.as_ref() } {
        // SAFETY: an address of that list. Its length is not known, but that of its family is
        // there.
        match unsafe { read_address(interface.ifa_addr, usize::MAX) } {
            Some(address) if address.ip().is_loopback() => {}
            Some(SocketAddr::V4(_)) => ipv4 = true,
            Some(SocketAddr::V6(_)) => ipv6 = true,
            None => {}
        }
        entry = interface.ifa_next;
    }
    // SAFETY: the list comes from getifaddrs and is not used any more.
    unsafe { libc::freeifaddrs(list) };
    (ipv4, ipv6)
}

/// Returns the addresses of a host in the system's order of preference, with port 0:
/// `getaddrinfo`(3). Blocks for as long as the system's resolver does.
///
/// A name that is not ASCII is looked up in its punycode form, as curl does, where glibc can load
/// libidn2 for that. Elsewhere, and if it has no such form, it has no address.
pub(crate) fn lookup(name: &str, family: Family) -> Result<Vec<SocketAddr>, NotFound> {
    let encoding = if name.is_ascii() { None } else { Some(idn::Utf8::new().ok_or(NotFound::NoAddress)?) };
    let name = CString::new(name).map_err(|_| NotFound::NoAddress)?;
    // SAFETY: it consists of integers and pointers, for which zero is a valid value.
    let mut hints: libc::addrinfo = unsafe { mem::zeroed() };
    if encoding.is_some() {
        hints.ai_flags = idn::AI_IDN;
    }
    hints.ai_socktype = libc::SOCK_STREAM;
    hints.ai_family = match family {
        Family::Any => libc::AF_UNSPEC,
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    };
    let mut list = ptr::null_mut();
    // SAFETY: this thread's errno, which may be left from an earlier call.
    unsafe { *libc::__errno_location() = 0 };
    // SAFETY: `name` is a C string, the service is null, `hints` and `list` outlive the call.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &hints, &mut list) };
    // If it gets no descriptor for its query, the resolver returns EAI_AGAIN and leaves the reason
    // in errno.
    let no_room =
        matches!(io::Error::last_os_error().raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM));
    match code {
        0 => {}
        libc::EAI_MEMORY => return Err(NotFound::NoRoom),
        libc::EAI_SYSTEM | libc::EAI_AGAIN if no_room => return Err(NotFound::NoRoom),
        _ => return Err(NotFound::NoAddress),
    }
    let mut addresses = Vec::new();
    let mut entry = list;
    // SAFETY: the list that a successful call returns ends in NULL and is valid until it is freed
    // below.
    while let Some(info) = unsafe { entry.as_ref() } {
        // SAFETY: an address of that list, of this length.
        let address = unsafe { read_address(info.ai_addr, info.ai_addrlen as usize) };
        // With 0.0.0.0 or :: a name server says that it blocks the name. A connection to it would
        // go to this machine.
        addresses.extend(address.filter(|address| !url::is_unspecified(address.ip())));
        entry = info.ai_next;
    }
    // A name service module may bring about an empty list, which musl cannot free.
    if !list.is_null() {
        // SAFETY: the list comes from getaddrinfo and is not used any more.
        unsafe { libc::freeaddrinfo(list) };
    }
    Ok(addresses)
}

/// Names that are not ASCII. glibc and libidn2 take their encoding from the locale, and a program
/// that never calls `setlocale`(3) has one for ASCII alone.
#[cfg(target_env = "gnu")]
mod idn {
    use std::{marker::PhantomData, ptr};

    /// Has `getaddrinfo`(3) bring the name into its punycode form; from `netdb.h`.
    pub(super) const AI_IDN: libc::c_int = 0x0040;

    /// UTF-8 as the encoding of this thread, and of no other: `uselocale`(3). Dropping this brings
    /// the one before back.
    pub(super) struct Utf8 {
        locale: libc::locale_t,
        before: libc::locale_t,
        _of_this_thread: PhantomData<*const ()>,
    }

    impl Utf8 {
        /// Returns none if the system lacks the locale, or memory.
        pub(super) fn new() -> Option<Utf8> {
            // SAFETY: the name is a C string, and null stands for no locale to start from.
            let locale =
                unsafe { libc::newlocale(libc::LC_CTYPE_MASK, c"C.UTF-8".as_ptr(), ptr::null_mut()) };
            if locale.is_null() {
                return None;
            }
            // SAFETY: the locale is freed only after the thread has the one before again.
            let before = unsafe { libc::uselocale(locale) };
            Some(Utf8 { locale, before, _of_this_thread: PhantomData })
        }
    }

    impl Drop for Utf8 {
        fn drop(&mut self) {
            // SAFETY: this is the thread that got the locale, since this type cannot be sent. If
            // the one before cannot be set, the thread keeps this one, which must stay then;
            // otherwise nothing uses it any more.
            unsafe {
                if !libc::uselocale(self.before).is_null() {
                    libc::freelocale(self.locale);
                }
            }
        }
    }
}

/// musl knows no names but ASCII ones.
#[cfg(not(target_env = "gnu"))]
mod idn {
    pub(super) const AI_IDN: libc::c_int = 0;

    pub(super) enum Utf8 {}

    impl Utf8 {
        pub(super) fn new() -> Option<Utf8> {
            None
        }
    }
}

/// Reads an IPv4 or IPv6 address of at most `length` bytes; returns none for null, for other
/// families, and for one that is too short for its family.
///
/// # Safety
/// `address` must be null, or readable as an address of the family that it names, as far as
/// `length`.
unsafe fn read_address(address: *const libc::sockaddr, length: usize) -> Option<SocketAddr> {
    if address.is_null() || length < mem::size_of::<libc::sa_family_t>() {
        return None;
    }
    // SAFETY: the caller guarantees it. Here and below the read is unaligned, since nothing
    // guarantees the alignment of list entries.
    let family = unsafe { (&raw const (*address).sa_family).read_unaligned() };
    match family.into() {
        libc::AF_INET if length >= mem::size_of::<libc::sockaddr_in>() => {
            // SAFETY: as above.
            let address = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, 0).into())
        }
        libc::AF_INET6 if length >= mem::size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above.
            let address = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, 0, 0, address.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Signals that report a fault of the thread itself. To block them would keep the program's crash
/// handler from reporting a crash in the system's resolver.
const FAULTS: [libc::c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

/// Runs `body` with all signals blocked in this thread but those of faults: `pthread_sigmask`(3).
/// Threads that it starts inherit this, so they run no other signal handler of the program that
/// uses the library.
pub(crate) fn with_signals_blocked<T>(body: impl FnOnce() -> T) -> T {
    /// Restores the thread's mask, after a panic too.
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: pthread_sigmask filled in this mask.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
        }
    }
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: both sets outlive the calls. sigfillset initializes the first one, pthread_sigmask
    // the second one; with a valid `how` it cannot fail.
    let _restore = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for signal in FAULTS {
            libc::sigdelset(all.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        Restore(before.assume_init())
    };
    body()
}

/// Returns an error if std cannot start a thread for want of a key for its local data:
/// `pthread_key_create`(3). It needs one for the first thread that it starts, and ends the process
/// if the program has used up all keys (1024 with glibc).
pub(crate) fn check_thread_keys() -> io::Result<()> {
    // std makes a second one if the first is zero.
    let mut keys = [None; 2];
    let mut error = 0;
    for made in &mut keys {
        let mut key = 0;
        // SAFETY: `key` outlives the call. Without a destructor nothing is called.
        error = unsafe { libc::pthread_key_create(&mut key, None) };
        if error != 0 {
            break;
        }
        *made = Some(key);
    }
    for key in keys.into_iter().flatten() {
        // SAFETY: a key that was just made and that nothing else uses.
        unsafe { libc::pthread_key_delete(key) };
    }
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// Gives this thread a root directory and a working directory of its own, which stay where they are
/// when the program changes those of its other threads: `unshare`(2). Where the system does not
/// allow that, the thread goes on sharing them.
pub(crate) fn keep_root_directory() {
    // SAFETY: no pointer is passed. The call changes this thread alone.
    unsafe { libc::unshare(libc::CLONE_FS) };
}

/// Returns the time since the system was started, including suspend: `clock_gettime`(2).
pub(crate) fn uptime() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call. With this clock it cannot fail; if it did, the time would
    // be zero.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Returns how many descriptors this process may have open: `getrlimit`(2).
pub(crate) fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives the call.
    match check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }) {
        Ok(_) => usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX),
        // This cannot happen. POSIX guarantees at least this many.
        Err(_) => 20,
    }
}

/// Takes the exclusive lock on an open file, unless it is already held: `flock`(2). Processes that
/// inherit the descriptor hold the lock too.
pub(crate) fn try_lock(file: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: the descriptor is open (borrowed for this call), and no pointer is passed.
    match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Releases the lock, for the processes that have inherited it too.
pub(crate) fn unlock(file: BorrowedFd<'_>) {
    // SAFETY: as above. It cannot fail on an open descriptor.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
}

/// Returns the user that owns the files this process creates: `geteuid`(2).
pub(crate) fn effective_user() -> u32 {
    // SAFETY: no pointer is passed, and the call cannot fail.
    unsafe { libc::geteuid() }
}
