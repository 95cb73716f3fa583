//! One row for each fault, with what comes of it.

use super::{cache, cannot_inject, library, programs};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use support::build::{run, transcript};
use support::servers::{Server, closed_port};
use support::users;

/// What an earlier call in the same process has left in the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    /// The latency of another mirror.
    Other,
    /// The latencies of these mirrors.
    These,
    /// That of another mirror, in a file that belongs to another user.
    Foreign,
    /// That of another mirror, in a file whose path is relative.
    Relative,
    /// There was no call, and there is no cache.
    Nothing,
}

impl Before {
    fn name(self) -> &'static str {
        match self {
            Before::Other | Before::Relative => "fresh",
            Before::These => "remembered",
            Before::Foreign => "foreign",
            Before::Nothing => "first",
        }
    }
}

/// What the caller gets to know beside the outcomes.
#[derive(Debug, Clone, Copy)]
enum Reported {
    Nothing,
    /// A warning that contains this.
    Warning(&'static str),
    /// There is no ranking, and the error contains this.
    Error(&'static str),
}

/// A fault and what comes of it.
#[derive(Debug, Clone, Copy)]
struct Fault {
    /// The calls that fail and how, as in `tests/c/faults/faults.h`.
    calls: &'static str,
    before: Before,
    /// A letter for each mirror: local, measured (m if imprecise), cached, unanswered, refused,
    /// unreachable (X), not resolved. They are a file: URL, two addresses, two names, a name that
    /// is not ASCII, and a closed port. A question mark stands for any of these.
    outcomes: &'static str,
    stop: &'static str,
    reported: Reported,
    /// How many descriptors stay open, and how many more after the next call, which is without a
    /// fault.
    kept: [&'static str; 2],
}

/// What comes of it without any fault.
const ALL: &str = "LMMMMMR";

/// A fault that changes nothing.
const fn fault(calls: &'static str) -> Fault {
    Fault {
        calls,
        before: Before::Other,
        outcomes: ALL,
        stop: "complete",
        reported: Reported::Nothing,
        kept: ["0", "0"],
    }
}

impl Fault {
    const fn after(mut self, before: Before) -> Fault {
        self.before = before;
        self
    }

    const fn leaves(mut self, outcomes: &'static str) -> Fault {
        self.outcomes = outcomes;
        self
    }

    /// The measuring stops for this reason, with these outcomes.
    const fn stops(mut self, stop: &'static str, outcomes: &'static str) -> Fault {
        self.stop = stop;
        self.leaves(outcomes)
    }

    const fn warns(mut self, warning: &'static str) -> Fault {
        self.reported = Reported::Warning(warning);
        self
    }

    const fn fails(mut self, error: &'static str) -> Fault {
        self.reported = Reported::Error(error);
        self
    }
}

/// The lookups of the three names fail.
const NO_NAMES: &str = "LMMNNNR";
/// They do not take place.
const NOT_LOOKED_UP: &str = "LMMUUUR";

const FAULTS: &[Fault] = &[
    // No descriptor, no memory for one.
    fault("eventfd=EMFILE").fails("Too many open files"),
    fault("eventfd=ENFILE").fails("Too many open files in system"),
    fault("eventfd=ENOMEM").fails("Cannot allocate memory"),
    fault("epoll_create1=EMFILE").fails("Too many open files"),
    fault("epoll_create1=ENFILE").fails("Too many open files in system"),
    fault("epoll_create1=ENOMEM").fails("Cannot allocate memory"),
    fault("epoll_ctl:eventfd=ENOSPC").fails("No space left"),
    fault("epoll_ctl:eventfd=ENOMEM").fails("Cannot allocate memory"),
    fault("epoll_ctl:socket@2=ENOMEM"),
    fault("epoll_ctl:socket=ENOMEM").stops("timeout", "LUUUUUU").warns("Cannot allocate memory"),
    fault("epoll_ctl:socket=ENOSPC").stops("timeout", "LUUUUUU").warns("No space left"),
    fault("socket:inet@3=EMFILE"),
    fault("socket:inet@2+2=ENFILE"),
    fault("socket:inet=EMFILE").stops("timeout", "LUUUUUU").warns("Too many open files"),
    fault("socket:inet=ENFILE").stops("timeout", "LUUUUUU").warns("Too many open files in system"),
    fault("socket:inet=ENOBUFS").stops("timeout", "LUUUUUU").warns("No buffer space"),
    fault("socket:inet=ENOMEM").stops("timeout", "LUUUUUU").warns("Cannot allocate memory"),
    fault("socket:inet@2+=EMFILE").stops("timeout", "LMUUUUU").warns("Too many open files"),
    fault("connect=ENOBUFS").stops("timeout", "LUUUUUU").warns("No buffer space"),
    fault("connect=EAGAIN").stops("timeout", "LUUUUUU").warns("temporarily unavailable"),
    fault("connect@3=ENOMEM"),
    fault("opendir=EMFILE"),
    fault("opendir=ENOENT"),
    fault("readdir64=EIO"),
    fault("getrlimit=EPERM"),
    fault("getrlimit=none"),
    fault("getrlimit=infinite"),
    // No such call: a sandbox, or another kernel.
    fault("eventfd=ENOSYS").fails("not implemented"),
    fault("epoll_create1=ENOSYS").fails("not implemented"),
    fault("getrlimit=ENOSYS"),
    fault("socket:netlink=EPERM"),
    fault("flock=ENOSYS").warns("not implemented"),
    fault("statx=EPERM").after(Before::Nothing),
    // No thread.
    fault("pthread_create=EAGAIN").leaves(NOT_LOOKED_UP).warns("looked up"),
    fault("pthread_create=EPERM").leaves(NOT_LOOKED_UP).warns("looked up"),
    // The program has used up all keys for the local data of threads.
    fault("pthread_key_create=EAGAIN").leaves(NOT_LOOKED_UP).warns("no thread can be started"),
    fault("pthread_key_create@2=EAGAIN").leaves(NOT_LOOKED_UP).warns("no thread can be started"),
    fault("pthread_setname_np=ERANGE"),
    fault("unshare=EPERM"),
    fault("unshare=ENOSYS"),
    // Sockets that this machine refuses, and a connect that fails at once.
    fault("socket:inet=EACCES").leaves("LXXXXXX"),
    fault("socket:inet=EPERM").leaves("LXXXXXX"),
    fault("socket:inet=EAFNOSUPPORT").leaves("LXXXXXX"),
    fault("epoll_ctl:socket=EPERM").leaves("LXXXXXX"),
    fault("connect=EACCES").leaves("LXXXXXX"),
    fault("connect=EPERM").leaves("LXXXXXX"),
    fault("connect=EADDRINUSE").leaves("LXXXXXX"),
    fault("connect=EADDRNOTAVAIL").leaves("LXXXXXX"),
    fault("connect=EAFNOSUPPORT").leaves("LXXXXXX"),
    fault("connect=ENETDOWN").leaves("LXXXXXX"),
    fault("connect=ENETUNREACH").leaves("LXXXXXX"),
    fault("connect=EHOSTDOWN").leaves("LXXXXXX"),
    fault("connect=EHOSTUNREACH").leaves("LXXXXXX"),
    fault("connect=ETIMEDOUT").leaves("LXXXXXX"),
    fault("connect=ECONNRESET").leaves("LXXXXXX"),
    fault("connect=EPROTO").leaves("LXXXXXX"),
    fault("connect=EINVAL").leaves("LXXXXXX"),
    fault("connect=EBADF").leaves("LXXXXXX"),
    fault("connect=ECONNREFUSED").leaves("LRRRRRR"),
    fault("connect:127.0.0.2=EHOSTUNREACH").leaves("LMXMMMR"),
    // A signal came, and the connection goes on.
    fault("connect=interrupted"),
    fault("close=EIO"),
    fault("close=EINTR"),
    // Waiting.
    fault("epoll_wait@1+2=EINTR"),
    fault("epoll_wait@1+2=nothing"),
    fault("epoll_wait=nothing").stops("timeout", "LUUUUUU"),
    fault("epoll_wait=EBADF").fails("Bad file descriptor"),
    fault("write:[eventfd]=EAGAIN"),
    // What the kernel says about a connection.
    fault("getsockopt:TCP_INFO=ENOPROTOOPT").leaves("LmmmmmR"),
    fault("getsockopt:TCP_INFO=zero").leaves("LmmmmmR"),
    fault("getsockopt:TCP_INFO=short").leaves("LmmmmmR"),
    fault("getsockopt:TCP_INFO=ones").leaves("LmmmmmR"),
    fault("getsockopt:TCP_INFO=slow").leaves("LmmmmmR"),
    fault("getsockopt:TCP_INFO=ENOPROTOOPT;getpeername=ENOTCONN").leaves("LXXXXXR"),
    fault("getsockopt:SO_ERROR=ENOBUFS").leaves("LMMMMMX"),
    // Lookups that fail.
    fault("getaddrinfo=EAI_ADDRFAMILY").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_AGAIN").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_BADFLAGS").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_FAIL").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_FAMILY").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_IDN_ENCODE").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_NODATA").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_NONAME").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_OVERFLOW").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_SERVICE").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_SOCKTYPE").leaves(NO_NAMES),
    fault("getaddrinfo=EAI_SYSTEM").leaves(NO_NAMES),
    fault("getaddrinfo:n1.loopback.example=EAI_NONAME").leaves("LMMNMMR"),
    fault("getaddrinfo=EAI_MEMORY").leaves(NOT_LOOKED_UP).warns("looked up"),
    fault("getaddrinfo=EMFILE").leaves(NOT_LOOKED_UP).warns("looked up"),
    fault("getaddrinfo=ENFILE").leaves(NOT_LOOKED_UP).warns("looked up"),
    fault("getaddrinfo=ENOMEM").leaves(NOT_LOOKED_UP).warns("looked up"),
    fault("getaddrinfo=full").leaves(NOT_LOOKED_UP).warns("looked up"),
    fault("newlocale=ENOENT").leaves("LMMMMNR"),
    fault("newlocale=ENOMEM").leaves("LMMMMNR"),
    fault("uselocale=EINVAL"),
    // Absurd results of lookups; with a plus, a good address follows.
    fault("getaddrinfo=empty").leaves(NO_NAMES),
    fault("getaddrinfo=null").leaves(NO_NAMES),
    fault("getaddrinfo=null+"),
    fault("getaddrinfo=tiny").leaves(NO_NAMES),
    fault("getaddrinfo=tiny+"),
    fault("getaddrinfo=short").leaves(NO_NAMES),
    fault("getaddrinfo=short+"),
    fault("getaddrinfo=short6").leaves(NO_NAMES),
    fault("getaddrinfo=short6+"),
    fault("getaddrinfo=families").leaves(NO_NAMES),
    fault("getaddrinfo=families+"),
    fault("getaddrinfo=any").leaves(NO_NAMES),
    fault("getaddrinfo=any+"),
    fault("getaddrinfo=broadcast").leaves("LMMXXXR"),
    fault("getaddrinfo=scoped").leaves("LMMXXXR"),
    fault("getaddrinfo=scoped+"),
    fault("getaddrinfo=many"),
    // Which families are in use, and which network this is, may stay unknown.
    fault("getifaddrs=ENOMEM"),
    fault("getifaddrs=EMFILE"),
    fault("getifaddrs=empty"),
    fault("getifaddrs=null"),
    fault("socket:netlink=EMFILE"),
    fault("socket:netlink=EAFNOSUPPORT"),
    fault("send=ENOBUFS"),
    fault("send@1+2=EINTR"),
    fault("send=short"),
    fault("recvfrom=EAGAIN"),
    fault("recvfrom@1+2=EINTR"),
    fault("recvfrom=ENOBUFS"),
    fault("recvfrom=ones"),
    fault("recvfrom=zeros"),
    fault("recvfrom=half"),
    fault("recvfrom=nothing"),
    fault("recvfrom=huge"),
    fault("recvfrom=foreign"),
    fault("open64:/machine-id=EACCES"),
    fault("read:/machine-id=EIO"),
    fault("read:/machine-id=short"),
    // The clocks. That of the calendar is stepped, was never set, or is wrong; that of the process
    // goes on by an hour at once, as when a machine was stopped.
    fault("clock_gettime:realtime@1+2=later;clock_gettime:realtime@2+2=earlier"),
    fault("clock_gettime:realtime=later").after(Before::These).leaves("L?????R"),
    fault("clock_gettime:realtime=earlier").after(Before::These),
    fault("clock_gettime:realtime=epoch"),
    fault("clock_gettime:realtime=past"),
    fault("clock_gettime:realtime=last"),
    fault("clock_gettime:boottime=EINVAL").after(Before::Nothing),
    fault("clock_gettime:monotonic@2+=later").stops("timeout", "LUUUUUU"),
    fault("clock_gettime:monotonic@15+=later").stops("timeout", "L??????"),
    fault("clock_gettime:monotonic@9+=earlier"),
    // The cache cannot be read.
    fault("open64:/cache=EACCES").warns("cannot read cache"),
    fault("open64:/cache=EMFILE").warns("Too many open files"),
    fault("open64:/cache=ENOENT"),
    fault("open64:/cache@1=EINTR"),
    fault("statx:/cache=EIO").warns("Input/output error"),
    fault("statx:/cache=EACCES").warns("cannot read cache"),
    fault("statx=ENOSYS").after(Before::Nothing),
    fault("statx=ENOSYS;lstat64=EIO").after(Before::Nothing).warns("Input/output error"),
    fault("statx=ENOSYS;fstat64=EIO").after(Before::Nothing).warns("Input/output error"),
    fault("statx:/cache=huge").warns("larger than"),
    fault("statx:/cache=fifo").warns("it is a FIFO"),
    fault("statx:/cache=open").warns("any user may write to it"),
    fault("read:/cache=EIO").warns("Input/output error"),
    fault("read:/cache@1+2=EINTR"),
    fault("read:/cache=short"),
    fault("getcwd=ENOENT").after(Before::Relative),
    // The cache cannot be written.
    fault("flock=ENOLCK").warns("No locks available"),
    fault("flock=EOPNOTSUPP").warns("not supported"),
    fault("flock=EAGAIN").warns("locked for 100 ms"),
    fault("flock@1=EAGAIN;clock_nanosleep@1=EINTR"),
    fault("flock@1=EINTR"),
    fault("flock:unlock=EIO"),
    fault("open64:/cache.lock=EMFILE").warns("cannot take its lock"),
    fault("open64:/cache.new=ENOSPC").warns("No space left"),
    fault("open64:/cache.new=EEXIST").warns("File exists"),
    fault("unlink:/cache.new=EIO").warns("Input/output error"),
    fault("write:/cache.new=ENOSPC").warns("No space left"),
    fault("write:/cache.new=EDQUOT").warns("Disk quota exceeded"),
    fault("write:/cache.new=EIO").warns("Input/output error"),
    fault("write:/cache.new=nothing").warns("cannot write cache"),
    fault("write:/cache.new=short"),
    fault("write:/cache.new@1=EINTR"),
    fault("fchmod=EIO").warns("Input/output error"),
    fault("fchown=EIO").after(Before::Foreign).warns("cannot keep its owner"),
    fault("rename=EIO").warns("Input/output error"),
    fault("rename=ENOSPC").warns("No space left"),
    // It may be written, but nothing beside it, or it cannot be replaced: it is written in place.
    fault("open64:/cache.lock=EACCES"),
    fault("open64:/cache.lock=EROFS"),
    fault("open64:/cache.lock=EACCES;open64:/cache@3+=EACCES").warns("cannot take its lock"),
    fault("open64:/cache.new=EACCES"),
    fault("open64:/cache.new=EACCES;open64:/cache@4=EACCES").warns("Permission denied"),
    fault("unlink:/cache.new=EPERM"),
    fault("fchmod=EPERM"),
    fault("fchown=EPERM").after(Before::Foreign),
    fault("rename=EACCES"),
    fault("rename=EBUSY"),
    fault("rename=EXDEV"),
    fault("rename=EBUSY;ftruncate64=EIO").warns("Input/output error"),
    fault("rename=EBUSY;pwrite64=ENOSPC").warns("No space left"),
    fault("rename=EBUSY;pwrite64=nothing").warns("cannot write cache"),
    fault("rename=EBUSY;pwrite64=short"),
    fault("rename=EBUSY;pwrite64@1=EINTR"),
    // No randomness.
    fault("getrandom@1=EINTR").after(Before::Nothing),
    // Then std and the crate rand read /dev/urandom, which both keep open.
    Fault { kept: ["2", "0"], ..fault("getrandom=ENOSYS").after(Before::Nothing) },
    Fault {
        kept: ["0", "1"],
        ..fault("getrandom=ENOSYS;open:/urandom=ENOENT;open64:/urandom=ENOENT")
            .after(Before::Nothing)
            .fails("no random numbers")
    },
];

/// The functions of the C library that a row need not let fail, and why.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    (
        "cannot fail",
        &[
            "__errno_location",
            "__tls_get_addr",
            "__xpg_strerror_r",
            "abort",
            "bcmp",
            "dirfd",
            "exp",
            "exp2",
            "free",
            "freeaddrinfo",
            "freeifaddrs",
            "freelocale",
            "getauxval",
            "getenv",
            "geteuid",
            "getpid",
            "gettid",
            "log",
            "memcmp",
            "memcpy",
            "memmove",
            "memset",
            "strlen",
        ],
    ),
    (
        "fails only if it is given something invalid, which would be an error of this library or std",
        &[
            "closedir",
            "pthread_attr_destroy",
            "pthread_attr_init",
            "pthread_attr_setstacksize",
            "pthread_detach",
            "pthread_join",
            "pthread_key_delete",
            "pthread_self",
            "pthread_setspecific",
            "pthread_sigmask",
            "sigdelset",
            "sigfillset",
        ],
    ),
    (
        "belongs to the linker, the loader and the unwinder",
        &[
            "_ITM_deregisterTMCloneTable",
            "_ITM_registerTMCloneTable",
            "__cxa_finalize",
            "__cxa_thread_atexit_impl",
            "__gmon_start__",
            "dl_iterate_phdr",
            "dlsym",
        ],
    ),
    (
        "without memory, std ends the process, as the documentation of the library says",
        &["calloc", "malloc", "posix_memalign", "realloc"],
    ),
    ("std falls back to it where there is no statx(2), as to lstat64", &["stat64"]),
    ("std waits for a futex with it, and waits again whatever it returns", &["syscall"]),
];

/// What std contains for backtraces, for the main function of a Rust program and for its standard
/// streams. A test sees that no ranking calls it.
const NEVER_CALLED: &[&str] = &[
    "lseek64",
    "mmap64",
    "mprotect",
    "munmap",
    "open",
    "pause",
    "poll",
    "pthread_attr_getguardsize",
    "pthread_attr_getstack",
    "pthread_getattr_np",
    "readlink",
    "realpath",
    "sched_yield",
    "sigaltstack",
    "sysconf",
    "writev",
];

/// What the driver has printed, by the first word of each line.
fn lines(output: &str) -> BTreeMap<&str, &str> {
    output.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect()
}

struct Endpoints {
    open: Server,
    closed: u16,
}

impl Endpoints {
    fn start() -> Endpoints {
        Endpoints { open: Server::start(Ipv4Addr::UNSPECIFIED), closed: closed_port() }
    }

    /// A command of the driver; the last arguments are a cache and these endpoints.
    fn driver(&self, arguments: &[&str], cache: &Path) -> Command {
        let mut command = Command::new(&programs().driver);
        command.args(arguments).arg(cache).arg(self.open.port().to_string()).arg(self.closed.to_string());
        command
    }
}

/// Marks a problem that a late machine can be the cause of.
const OTHERWISE: &str = "otherwise";

/// Injects one fault, and says what is wrong with what comes of it.
fn problems(fault: &Fault, endpoints: &Endpoints) -> Vec<String> {
    let (directory, path) = cache();
    let path = if fault.before == Before::Relative { Path::new("cache") } else { &path };
    let mut command = endpoints.driver(&["row", fault.calls, fault.before.name()], path);
    let output = command.current_dir(directory.path()).output().expect("the driver runs");
    if !output.status.success() {
        return vec![format!("{}\n{}", output.status, transcript(&output))];
    }
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = lines(&output);
    let mut problems = Vec::new();
    let mut expect = |what: &str, is_so: bool| {
        if !is_so {
            problems.push(what.to_owned());
        }
    };
    let number = |name: &str| lines[name].parse::<f64>().expect("a number");

    expect("the order is not whole, or there is neither an order nor an error", lines["whole"] == "1");
    expect("it took too long", number("elapsed") < 6.0);
    expect("the fault was not reached", number("hits") > 0.0);
    expect("descriptors are left", lines["descriptors"] == fault.kept[0]);
    expect("threads are left", lines["threads"] == "0");
    expect("the next call leaves more descriptors", lines["more"] == fault.kept[1]);
    expect(
        &format!("the next call {OTHERWISE}, not as without a fault"),
        lines["again"] == format!("0 {ALL} complete "),
    );
    let (status, warning, error) = match fault.reported {
        Reported::Nothing => ("0", None, None),
        Reported::Warning(text) => ("0", Some(text), None),
        Reported::Error(text) => ("3", None, Some(text)),
    };
    expect("another status is expected", lines["status"] == status);
    expect(
        "another warning is expected",
        match warning {
            Some(text) => lines["warnings"].contains(text),
            None => lines["warnings"].is_empty(),
        },
    );
    expect(
        "another error is expected",
        match error {
            Some(text) => !lines["error"].is_empty() && lines["error"].contains(text),
            None => lines["error"].is_empty(),
        },
    );
    if status == "0" {
        let same = |(expected, found): (char, char)| expected == '?' || expected == found;
        let outcomes = lines["outcomes"];
        expect(&format!("the measuring stops {OTHERWISE}"), lines["stop"] == fault.stop);
        expect(
            &format!("the measuring goes {OTHERWISE} than {}", fault.outcomes),
            outcomes.len() == fault.outcomes.len() && fault.outcomes.chars().zip(outcomes.chars()).all(same),
        );
        expect("the order does not follow from the outcomes", follows(lines["order"], outcomes));
    }
    if !problems.is_empty() {
        problems.push(format!("\n{output}"));
    }
    problems
}

/// Whether an order follows from the outcomes: local mirrors, those with a latency, the unanswered,
/// the failed; the last two in the given order. Without any latency, all but local ones as given.
fn follows(order: &str, outcomes: &str) -> bool {
    let has_latency = outcomes.contains(['M', 'm', 'C']);
    let place = |index: usize| match outcomes.as_bytes()[index] {
        b'L' => (0, index),
        b'M' | b'm' | b'C' => (1, 0),
        b'U' if has_latency => (2, index),
        _ if has_latency => (3, index),
        _ => (2, index),
    };
    let order: Vec<usize> = order.split(' ').map(|index| index.parse().expect("a number")).collect();
    order.iter().map(|&index| place(index)).is_sorted()
}

#[test]
fn fault_leaves_an_order_and_nothing_else_and_is_reported() {
    inject(|fault| fault.before != Before::Foreign);
}

#[test]
fn fault_with_a_cache_of_another_user_leaves_an_order_and_is_reported() {
    if users::can_become_others() {
        inject(|fault| fault.before == Before::Foreign);
    }
}

fn inject(is_wanted: impl Fn(&Fault) -> bool) {
    if cannot_inject() {
        return;
    }
    let endpoints = Endpoints::start();
    let mut failures = Vec::new();
    for fault in FAULTS.iter().filter(|fault| is_wanted(fault)) {
        // A call on a busy machine may be late, and miss what has answered.
        let mut problems = problems(fault, &endpoints);
        for _ in 0..4 {
            if !problems.iter().any(|problem| problem.contains(OTHERWISE)) {
                break;
            }
            problems = self::problems(fault, &endpoints);
        }
        if !problems.is_empty() {
            failures.push(format!("{} after {:?}: {}", fault.calls, fault.before, problems.join("; ")));
        }
    }
    assert!(failures.is_empty(), "{} rows:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn any_single_call_may_fail() {
    if cannot_inject() {
        return;
    }
    let endpoints = Endpoints::start();
    for before in ["fresh", "remembered"] {
        let (_directory, path) = cache();
        let output = run(&mut endpoints.driver(&["sweep", before], &path));
        let words: Vec<&str> = output.lines().last().unwrap_or_default().split(' ').collect();
        let ["injected", injected, "violations", violations, "afterwards", _] = words[..] else {
            panic!("{output}")
        };
        assert_eq!(violations, "0", "{output}");
        let injected: u32 = injected.parse().expect("a number");
        assert!(injected > 500, "only {injected} faults were reached");
        lab::figure(&format!("{injected} faults, one in each call of the library ({before})"));
    }
}

#[test]
fn process_killed_at_any_call_leaves_the_old_cache_or_a_new_one() {
    if cannot_inject() {
        return;
    }
    let endpoints = Endpoints::start();
    // In place, where the cache cannot be replaced, it may also be the beginning of the new one.
    for (how, in_place) in [("replaced", ""), ("written in place", "rename=EBUSY;")] {
        let (_directory, path) = cache();
        let output = run(&mut endpoints.driver(&["kills", in_place], &path));
        let words: Vec<&str> = output.trim().split(' ').collect();
        let ["killed", killed, "old", old, "new", new, "stale", stale] = words[..] else {
            panic!("{output}")
        };
        let [killed, old, new, stale] =
            [killed, old, new, stale].map(|word| word.parse::<u32>().expect("a number"));
        assert!(killed > 100 && old > 0 && new > 0 && stale > 0 && old + new == killed, "{output}");
        lab::figure(&format!(
            "a process that was killed at each of its {killed} calls: the cache, {how}, is the old one \
             {old} times, and {stale} times a temporary file is left until the next run"
        ));
    }
}

#[test]
fn every_import_has_a_row_or_a_reason() {
    if cannot_inject() {
        return;
    }
    let symbols = run(Command::new("nm").args(["-D", "--undefined-only", "--format=posix"]).arg(library()));
    let imports: BTreeSet<&str> = symbols
        .lines()
        .filter_map(|line| line.split([' ', '@']).next())
        .filter(|name| !name.starts_with("_Unwind_"))
        .collect();
    let faults = FAULTS.iter().flat_map(|fault| fault.calls.split(';'));
    let failing: BTreeSet<&str> = faults.filter_map(|call| call.split([':', '@', '=']).next()).collect();
    let exceptions: BTreeSet<&str> = EXCEPTIONS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let never_called: BTreeSet<&str> = NEVER_CALLED.iter().copied().collect();
    let unknown: Vec<_> = imports
        .iter()
        .filter(|name| {
            !(failing.contains(*name) || exceptions.contains(*name) || never_called.contains(*name))
        })
        .collect();
    assert!(
        unknown.is_empty(),
        "the library calls these functions, and no test says what happens if they fail: {unknown:?}. \
         Add them to tests/c/faults/shim.c and a row to FAULTS in this file, or a reason to EXCEPTIONS"
    );

    let endpoints = Endpoints::start();
    for before in ["fresh", "remembered"] {
        let (_directory, path) = cache();
        let output = run(&mut endpoints.driver(&["functions", before], &path));
        let counts = lines(&output);
        for name in NEVER_CALLED {
            assert_eq!(counts.get(name), Some(&"0"), "calls of {name}");
        }
    }
}
