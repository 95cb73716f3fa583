//! Starts this program again in network and mount namespaces of its own, as root or through a user
//! namespace.

use super::device;
use super::skip::skip;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};

/// Set inside: the ID of the process outside, and the descriptor on which it waits for a message.
const INSIDE: &str = "FASTESTMIRROR_LAB_INSIDE";

/// The prefix of a line that is shown although the test passes.
pub(crate) const FIGURE: &str = "measured: ";

/// The longest time of a test in seconds: one that hangs would block the lab for all others.
const LONGEST_TEST: u32 = 600;

/// Printed by a failing test if the lab was late, which may be the cause.
pub(crate) const LATE_LAB: &str = "the lab was late, which may be why the test fails";

/// How often a test is run at most while the lab is late.
const ATTEMPTS: u32 = 3;

/// Set inside: the number of the attempt.
const ATTEMPT: &str = "FASTESTMIRROR_LAB_ATTEMPT";

/// The reason why the lab cannot run here, and what would help.
#[derive(Clone, Debug)]
pub struct Unavailable(String);

impl Unavailable {
    pub fn new(why: impl Into<String>) -> Self {
        Unavailable(why.into())
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the lab is not available here: {}", self.0)
    }
}

impl Unavailable {
    /// The reason alone.
    pub fn why(&self) -> &str {
        &self.0
    }
}

impl std::error::Error for Unavailable {}

pub(crate) trait Context<T> {
    fn context(self, what: &str) -> Result<T, Unavailable>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: &str) -> Result<T, Unavailable> {
        self.map_err(|why| Unavailable::new(format!("{what}: {why}")))
    }
}

/// Runs the body of the test that contains this call inside the lab: see [`isolated`](fn@isolated).
#[macro_export]
macro_rules! isolated {
    ($body:expr) => {
        $crate::isolated($crate::test_name!(), $body)
    };
}

/// The name of the test that contains this call as the harness knows it: with its modules, without
/// the crate.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        $crate::name_of_test(here)
    }};
}

/// The name of the test in whose body a function is declared; for [`test_name!`].
pub fn name_of_test<F>(_declared_in_test: F) -> &'static str {
    let path = std::any::type_name::<F>();
    let test = path.rsplit_once("::").map_or(path, |(test, _)| test).trim_end_matches("::{{closure}}");
    test.split_once("::").map_or(test, |(_, test)| test)
}

/// Runs the body of the test of this name inside the lab: the process starts itself again there,
/// with this one test selected. Where the lab cannot run, the test is skipped. A test that fails
/// while the lab was late proves nothing and is run again.
pub fn isolated(test: &str, body: impl FnOnce()) {
    isolated_with_output(test, print, body);
}

/// Like [`isolated`](fn@isolated), but passes the lines to be shown although the test passes to a
/// function. Returns whether the lab could run.
pub fn isolated_with_output(test: &str, mut print: impl FnMut(&str), body: impl FnOnce()) -> bool {
    if is_inside() {
        run_inside(body);
        return true;
    }
    for attempt in 1..=ATTEMPTS {
        let result = start_inside(LONGEST_TEST, |command| {
            command
                .args([test, "--exact", "--nocapture", "--test-threads=1"])
                .env(ATTEMPT, attempt.to_string());
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        });
        match result {
            Ok((output, finished)) => {
                forward_output(&output, &mut print);
                let late = String::from_utf8_lossy(&output.stdout).contains(LATE_LAB);
                if attempt < ATTEMPTS && late && !output.status.success() {
                    print(&format!("{test}: the lab was late, running it again"));
                    continue;
                }
                assert!(output.status.success(), "inside the lab: {}", output.status);
                assert!(finished, "no test ran inside the lab: is the full name of the test {test:?}?");
            }
            Err(why) => {
                skip(&why.to_string());
                return false;
            }
        }
        break;
    }
    true
}

/// Inside: the number of this attempt at running the test, from 1.
pub fn attempt() -> u32 {
    std::env::var(ATTEMPT).ok().and_then(|attempt| attempt.parse().ok()).unwrap_or(1)
}

/// Prints a line to standard error, even if the test passes. The harness would capture `eprintln!`.
fn print(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Runs a whole program inside the lab, with the same arguments and streams: for `main` of a
/// command or a bench. Returns the exit code of the process inside.
pub fn run(body: impl FnOnce()) -> Result<ExitCode, Unavailable> {
    if is_inside() {
        run_inside(body);
        return Ok(ExitCode::SUCCESS);
    }
    let (output, _) = start_inside(0, |command| {
        command.args(std::env::args_os().skip(1));
    })?;
    Ok(ExitCode::from(exit_code(output.status)))
}

/// Prints a measured value, which is shown although the test passes.
pub fn figure(line: &str) {
    println!("{FIGURE}{line}");
}

/// Whether this process runs inside the lab.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, signal) => 128 + signal.unwrap_or(0) as u8,
    }
}

/// Prints what a test has printed inside: measured values always, the rest in the way that the
/// harness captures.
fn forward_output(output: &Output, print: &mut impl FnMut(&str)) {
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // The harness prints "test name ... " without a newline before the body runs.
        match line.find(FIGURE) {
            Some(at) => print(&line[at..]),
            // tests/run counts these lines, and the test outside prints its own.
            None if line.starts_with("test result: ") => {}
            None => println!("{line}"),
        }
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}

/// Inside: brings up loopback, checks that there is a TUN device, and runs the body. Sends the
/// process outside "done", or the reason why the lab cannot run.
fn run_inside(body: impl FnOnce()) {
    let mut outside = connection_outside();
    let ready =
        device::set_up("lo").context("cannot bring loopback up").and_then(|_| device::Device::open("probe"));
    let message = match ready {
        Ok(probe) => {
            drop(probe);
            raise_descriptor_limit();
            body();
            "done".to_owned()
        }
        Err(why) => why.0,
    };
    if let Some(outside) = &mut outside {
        // Fails if the process outside has been killed.
        let _ = outside.write_all(message.as_bytes());
    }
}

/// The connection to the process outside. None in a program that was started from inside the lab.
fn connection_outside() -> Option<UnixStream> {
    let value = std::env::var(INSIDE).ok()?;
    let (parent, descriptor) = value.split_once(':')?;
    if parent.parse::<u32>().ok()? != std::os::unix::process::parent_id() {
        return None;
    }
    // SAFETY: the parent names a descriptor that it has left open for this process; `run_inside`
    // runs only once.
    let stream = unsafe { UnixStream::from_raw_fd(descriptor.parse().ok()?) };
    // SAFETY: fcntl on an open descriptor.
    unsafe { libc::fcntl(stream.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    Some(stream)
}

/// Raises the limit of open files, so that a test can connect to thousands of mirrors at once.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls access only the structure that they are given.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max.min(limit.rlim_cur.max(16_384));
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}

/// Starts this program again inside the lab and waits for it. Only one runs at a time on the whole
/// machine, since they measure time. An alarm kills it after `limit` seconds, unless that is zero.
/// Also returns whether the body ran to its end.
fn start_inside(limit: u32, prepare: impl FnOnce(&mut Command)) -> Result<(Output, bool), Unavailable> {
    let _lock = lock_machine().context("cannot open the lock in the directory for temporary files")?;
    let (mut report, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
    let entry = Entry {
        report: theirs.as_raw_fd(),
        parent: std::process::id(),
        limit,
        // SAFETY: these two calls cannot fail.
        uid_map: unsafe { format!("0 {} 1", libc::geteuid()) },
        // SAFETY: as above.
        gid_map: unsafe { format!("0 {} 1", libc::getegid()) },
    };
    // Not by its path: the directory may be inaccessible, or the file may have been replaced.
    let mut command = Command::new("/proc/self/exe");
    command.arg0(std::env::args_os().next().unwrap_or_default());
    command.env(INSIDE, format!("{}:{}", entry.parent, entry.report));
    prepare(&mut command);
    // SAFETY: `go_inside` only makes system calls, as a forked child of a threaded process must.
    unsafe { command.pre_exec(move || entry.go_inside()) };
    let started = command.spawn();
    drop(theirs);
    let output = started.and_then(|child| child.wait_with_output());

    let mut message = String::new();
    let _ = report.read_to_string(&mut message);
    match (output, message.as_str()) {
        (Ok(output), "done") => Ok((output, true)),
        (Ok(output), "") => Ok((output, false)),
        (Ok(_), _) => Err(Unavailable(message)),
        (Err(why), _) => Err(Unavailable(format!("{why}, when trying to {}", explain(&message)))),
    }
}

/// Describes the step that failed, from the name that the forked child could send.
fn explain(step: &str) -> &str {
    match step {
        UNSHARE => {
            "make a network namespace; run as root, or allow user namespaces (sysctl user.max_user_namespaces, \
             kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; in a container, its seccomp profile)"
        }
        MAP => {
            "become root in a user namespace (sysctl kernel.apparmor_restrict_unprivileged_userns=0 may help)"
        }
        MOUNT => {
            "make the mounts private (in a chroot, / has to be a mount point; \
             sysctl kernel.apparmor_restrict_unprivileged_userns=0 may help)"
        }
        NAME => "set the host name",
        _ => "start this program again",
    }
}

const UNSHARE: &str = "unshare";
const MAP: &str = "map";
const MOUNT: &str = "mount";
const NAME: &str = "name";

/// What a forked child needs to enter the namespaces.
struct Entry {
    report: RawFd,
    parent: u32,
    limit: u32,
    uid_map: String,
    gid_map: String,
}

impl Entry {
    /// Enters the namespaces, between fork and exec.
    fn go_inside(&self) -> io::Result<()> {
        let spaces = libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWUTS;
        // SAFETY: system calls that affect this process, with constant, terminated strings.
        unsafe {
            if libc::unshare(spaces) != 0 {
                self.check(UNSHARE, libc::unshare(libc::CLONE_NEWUSER | spaces))?;
                self.check(MAP, write_file(c"/proc/self/setgroups", "deny"))?;
                self.check(MAP, write_file(c"/proc/self/uid_map", &self.uid_map))?;
                self.check(MAP, write_file(c"/proc/self/gid_map", &self.gid_map))?;
            }
            let private = libc::MS_REC | libc::MS_PRIVATE;
            let nothing = std::ptr::null();
            self.check(MOUNT, libc::mount(nothing, c"/".as_ptr(), nothing, private, nothing.cast()))?;
            // Without a domain in the host name, in which the resolver would look up failed names
            // again.
            self.check(NAME, libc::sethostname(c"client".as_ptr(), 6))?;
            // After the change of credentials, which clears this setting.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::getppid() != self.parent as libc::pid_t {
                libc::_exit(1);
            }
            libc::fcntl(self.report, libc::F_SETFD, 0);
            libc::alarm(self.limit);
        }
        Ok(())
    }

    fn check(&self, step: &str, result: i32) -> io::Result<()> {
        if result >= 0 {
            return Ok(());
        }
        let why = io::Error::last_os_error();
        // SAFETY: the bytes live as long as the call.
        unsafe { libc::write(self.report, step.as_ptr().cast(), step.len()) };
        Err(why)
    }
}

/// Writes a file without allocating. Returns -1 on failure, like the system calls.
fn write_file(path: &std::ffi::CStr, text: &str) -> i32 {
    // SAFETY: a terminated path and a buffer of the length given.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return -1;
        }
        libc::write(file, text.as_ptr().cast(), text.len()) as i32
    }
}

/// Takes the lock that only one lab on this machine may hold. Dropping the file releases it.
fn lock_machine() -> io::Result<File> {
    let path = std::env::temp_dir().join("fastestmirror-lab.lock");
    let file = loop {
        // Opened for reading: another user's file in a sticky directory can neither be written nor
        // opened with O_CREAT.
        match File::open(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            other => break other?,
        }
        match OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path) {
            Ok(file) => file.set_permissions(PermissionsExt::from_mode(0o644))?,
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(why),
        }
    };
    loop {
        // SAFETY: flock on an open descriptor.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } == 0 {
            return Ok(file);
        }
        let why = io::Error::last_os_error();
        if why.kind() != io::ErrorKind::Interrupted {
            return Err(why);
        }
    }
}
