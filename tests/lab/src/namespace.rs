//! Into a network and mount namespace of our own, as root or through a user namespace, by starting this program again inside.

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

/// Set inside: the process outside and the descriptor on which it hears from us.
const INSIDE: &str = "FASTESTMIRROR_LAB_INSIDE";

/// What begins a line that a test wants seen although it passed.
pub(crate) const FIGURE: &str = "measured: ";

/// A test that hangs would keep its turn for ever: seconds.
const LONGEST_TEST: u32 = 600;

/// In what a failing test writes: its failure may be the lab's.
pub(crate) const TO_BLAME: &str = "this failure may be the lab's";

/// How often such a test is run at most.
const TRIES: u32 = 3;

/// Set inside: for which time the test is run.
const TRY: &str = "FASTESTMIRROR_LAB_TRY";

/// Why there can be no lab here, and what would help.
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

/// Runs the body of the test that this stands in inside the lab: see [`isolated`](fn@isolated).
#[macro_export]
macro_rules! isolated {
    ($body:expr) => {
        $crate::isolated($crate::test_name!(), $body)
    };
}

/// The name of the test that this stands in, as the harness knows it: with its modules, without the crate.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        $crate::name_of_test(here)
    }};
}

/// For [`test_name`]: of a function that is declared in a test, or in a closure there.
pub fn name_of_test<F>(_declared_there: F) -> &'static str {
    let path = std::any::type_name::<F>();
    let test = path.rsplit_once("::").map_or(path, |(test, _)| test).trim_end_matches("::{{closure}}");
    test.split_once("::").map_or(test, |(_, test)| test)
}

/// Runs the body of the test of this name inside. Where there can be no lab the test fails under CI, and is skipped elsewhere.
/// One that fails in a world that was late has shown nothing, and is run again.
pub fn isolated(test: &str, body: impl FnOnce()) {
    isolated_saying(test, say, body);
}

/// The same with somebody else to be told what is worth reading although the test passes. Returns whether there was a lab.
pub fn isolated_saying(test: &str, mut say: impl FnMut(&str), body: impl FnOnce()) -> bool {
    if is_inside() {
        settle(body);
        return true;
    }
    for attempt in 1..=TRIES {
        let ended = start_inside(LONGEST_TEST, |command| {
            command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(TRY, attempt.to_string());
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        });
        match ended {
            Ok((output, finished)) => {
                pass_on(&output, &mut say);
                let blamed = String::from_utf8_lossy(&output.stdout).contains(TO_BLAME);
                if attempt < TRIES && blamed && !output.status.success() {
                    say(&format!("tried again: {test}: the lab was late"));
                    continue;
                }
                assert!(output.status.success(), "inside the lab: {}", output.status);
                assert!(finished, "nothing ran inside the lab: is the test's full name {test:?}?");
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

/// Inside: for which time this test is run.
pub fn attempt() -> u32 {
    std::env::var(TRY).ok().and_then(|attempt| attempt.parse().ok()).unwrap_or(1)
}

/// Not eprintln, which the harness keeps to itself when a test passes.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The same for `main` of an example: the whole program runs again inside, with the same arguments and streams.
/// Returns the exit code of that run.
pub fn run(body: impl FnOnce()) -> Result<ExitCode, Unavailable> {
    if is_inside() {
        settle(body);
        return Ok(ExitCode::SUCCESS);
    }
    let (output, _) = start_inside(0, |command| {
        command.args(std::env::args_os().skip(1));
    })?;
    Ok(ExitCode::from(exit_code(output.status)))
}

/// A line worth reading although all is well.
pub fn figure(line: &str) {
    println!("{FIGURE}{line}");
}

/// Whether this process, or one that started it, was started by the lab.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, signal) => 128 + signal.unwrap_or(0) as u8,
    }
}

/// Shows what a test wrote inside: figures always, the rest as the harness likes.
fn pass_on(output: &Output, say: &mut impl FnMut(&str)) {
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // The harness writes "test name ... " without a line end before the body runs.
        match line.find(FIGURE) {
            Some(at) => say(&line[at..]),
            // The test outside has a result of its own, and tests/run counts these lines.
            None if line.starts_with("test result: ") => {}
            None => println!("{line}"),
        }
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}

/// Inside: what must be there before the body runs. Tells the process outside how it went.
fn settle(body: impl FnOnce()) {
    let mut outside = adopt_report();
    let ready =
        device::set_up("lo").context("cannot bring loopback up").and_then(|_| device::Device::open("probe"));
    let word = match ready {
        Ok(probe) => {
            drop(probe);
            make_room();
            body();
            "done".to_owned()
        }
        Err(why) => why.0,
    };
    if let Some(outside) = &mut outside {
        // Who started us may be gone; then nobody needs to know.
        let _ = outside.write_all(word.as_bytes());
    }
}

/// None in a program that was started from inside: nobody listens to that one.
fn adopt_report() -> Option<UnixStream> {
    let mark = std::env::var(INSIDE).ok()?;
    let (parent, descriptor) = mark.split_once(':')?;
    if parent.parse::<u32>().ok()? != std::os::unix::process::parent_id() {
        return None;
    }
    // SAFETY: our parent, and only it, names a descriptor it has left open for us; `settle` runs once in a process.
    let stream = unsafe { UnixStream::from_raw_fd(descriptor.parse().ok()?) };
    // SAFETY: fcntl on an open descriptor.
    unsafe { libc::fcntl(stream.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    Some(stream)
}

/// A world of thousands is more than the ordinary limit lets a test connect to at once.
fn make_room() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls read or write the structure they are given.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max.min(limit.rlim_cur.max(16_384));
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}

/// Starts this program again inside and waits for it; one at a time on the whole machine, since worlds are timed.
/// Also returns whether the body ran to its end. After so many seconds, if not zero, an alarm ends it.
fn start_inside(limit: u32, prepare: impl FnOnce(&mut Command)) -> Result<(Output, bool), Unavailable> {
    let _turn = take_turn().context("cannot open the lock in the folder for temporary files")?;
    let (mut report, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
    let step = Step {
        report: theirs.as_raw_fd(),
        parent: std::process::id(),
        limit,
        // SAFETY: these two calls cannot fail.
        uid_map: unsafe { format!("0 {} 1", libc::geteuid()) },
        // SAFETY: as above.
        gid_map: unsafe { format!("0 {} 1", libc::getegid()) },
    };
    // By this name, not by its path: the folder may be closed to us, or the file replaced meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command.arg0(std::env::args_os().next().unwrap_or_default());
    command.env(INSIDE, format!("{}:{}", step.parent, step.report));
    prepare(&mut command);
    // SAFETY: `go_inside` makes system calls only, as a forked child of a threaded process must; its strings are made above.
    unsafe { command.pre_exec(move || step.go_inside()) };
    let started = command.spawn();
    drop(theirs);
    let output = started.and_then(|child| child.wait_with_output());

    let mut word = String::new();
    let _ = report.read_to_string(&mut word);
    match (output, word.as_str()) {
        (Ok(output), "done") => Ok((output, true)),
        (Ok(output), "") => Ok((output, false)),
        (Ok(_), _) => Err(Unavailable(word)),
        (Err(why), _) => Err(Unavailable(format!("{why}, when trying to {}", explain(&word)))),
    }
}

/// What failed, from the word of the child that could not say more.
fn explain(word: &str) -> &str {
    match word {
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

struct Step {
    report: RawFd,
    parent: u32,
    limit: u32,
    uid_map: String,
    gid_map: String,
}

impl Step {
    /// Between fork and exec.
    fn go_inside(&self) -> io::Result<()> {
        let spaces = libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWUTS;
        // SAFETY: system calls on our own process, with constant, terminated strings.
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
            // A host name without a domain, under which the resolver would look for failed names again.
            self.check(NAME, libc::sethostname(c"client".as_ptr(), 6))?;
            // After the change of credentials, which would clear it.
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

/// Without allocation; -1 on failure, as the system calls have it.
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

/// A file lock, held until the value is dropped.
fn take_turn() -> io::Result<File> {
    let path = std::env::temp_dir().join("fastestmirror-lab.lock");
    let file = loop {
        // Opened for reading, and created only if missing: another user's file in a sticky folder allows no more.
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
