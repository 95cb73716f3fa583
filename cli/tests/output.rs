//! What the command writes, and where: files are replaced as a whole or not at all, in every
//! format.

use serde_json::Value;
use std::ffi::{CStr, CString};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use support::programs::send_signal;
use support::servers::{Silent, closed_port};
use support::users::can_become_others;
use tempfile::TempDir;

/// A user and a group that own nothing.
const USER: u32 = 54_322;

/// Three mirrors, of which one answers, and a directory for files.
struct Place {
    directory: TempDir,
    /// The mirrors in the given order: one that refuses, the one that answers, one of no protocol.
    urls: [String; 3],
    _listener: TcpListener,
}

impl Place {
    fn new() -> Place {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 77, 3, 1), 0)).expect("loopback can be bound");
        let port = listener.local_addr().expect("it is bound").port();
        let urls = [
            format!("http://127.77.3.2:{}/pub/", closed_port()),
            format!("http://127.77.3.1:{port}/pub/"),
            "rsync://127.77.3.1/pub/".to_string(),
        ];
        Place { directory: tempfile::tempdir().expect("a directory"), urls, _listener: listener }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the mirrors into a file, one a line.
    fn list(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, self.given()).expect("a writable directory");
        path
    }

    /// The list in the given order.
    fn given(&self) -> String {
        self.urls.iter().map(|url| format!("{url}\n")).collect()
    }

    /// The list in the order of the result.
    fn ranked(&self) -> String {
        format!("{}\n{}\n{}\n", self.urls[1], self.urls[0], self.urls[2])
    }

    /// The names of the files in the directory: whether anything was left behind.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).expect("a directory");
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut files: Vec<_> = entries.map(|entry| name(entry.expect("an entry"))).collect();
        files.sort();
        files
    }

    /// The command in this directory.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fastestmirror"));
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the command starts")
    }

    /// Runs the command, which has to succeed without a word, and returns its standard output.
    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{arguments:?}");
        text(&output.stdout)
    }
}

/// The command as run by the user who owns nothing, and cannot search the directories above it.
fn command_of_other_user(place: &Place, arguments: &[&str]) -> Command {
    // It is not closed before exec. A copy of the command could not be run while another test
    // starts a process, which has it open for writing until exec.
    static PROGRAM: OnceLock<fs::File> = OnceLock::new();
    let program =
        PROGRAM.get_or_init(|| fs::File::open(env!("CARGO_BIN_EXE_fastestmirror")).expect("the command"));
    // SAFETY: fcntl on an open descriptor.
    assert_eq!(unsafe { libc::fcntl(program.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.args(arguments).current_dir(&place.directory).uid(USER).gid(USER);
    command
}

/// The command with SIGINT as it is in a terminal. A shell may have set it to be ignored.
fn default_interrupt(command: &mut Command) -> &mut Command {
    // SAFETY: signal(2) is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.as_ref().display()))
}

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o7777
}

#[test]
fn output_replaces_the_list_itself_and_keeps_its_mode() {
    let place = Place::new();
    let list = place.list("list");
    for mode_before in [0o640, 0o600, 0o666] {
        set_mode(&list, mode_before);
        assert_eq!(place.succeed(&["-o", "list", "list"]), "");
        assert_eq!((read(&list), mode(&list)), (place.ranked(), mode_before));
    }
    assert_eq!(place.files(), ["list"]);
    // An absolute name, and standard input.
    let output = format!("--output={}", list.display());
    let given = fs::File::open(place.list("given")).expect("a file");
    let status = place.command(&[&output, "-"]).stdin(given).status().expect("the command starts");
    assert_eq!((status.code(), read(&list)), (Some(0), place.ranked()));
}

#[test]
fn output_is_a_list_of_the_same_kind() {
    let place = Place::new();
    let line = |url: &str| format!("Server = {url}$repo/os/$arch # mine\r\n");
    let [refused, near, rsync] = &place.urls;
    let given = format!("{}{}# comment\r\n{}", line(refused), line(near), line(rsync));
    fs::write(place.path("list"), given).expect("a writable directory");
    place.succeed(&["-o", "list", "list"]);
    let expected = format!("# comment\r\n{}{}{}", line(near), line(refused), line(rsync));
    assert_eq!(read(place.path("list")), expected);
    let metalink = |urls: [&str; 2]| {
        let urls: Vec<_> = (0..)
            .zip(urls)
            .map(|(n, url)| format!("<url preference='{}'>{url}repodata/repomd.xml</url>\n", 100 - n))
            .collect();
        format!(
            "<metalink version='3.0'><files><file name='repomd.xml'><resources>\n{}</resources></file></files></metalink>\n",
            urls.concat()
        )
    };
    fs::write(place.path("metalink"), metalink([refused, near])).expect("a writable directory");
    place.succeed(&["-o", "metalink", "metalink"]);
    assert_eq!(read(place.path("metalink")), metalink([near, refused]));
    // URLs on the command line, and the table, if it is asked for.
    place.succeed(&["-o", "new", refused, near]);
    assert_eq!(read(place.path("new")), format!("{near}\n{refused}\n"));
    place.succeed(&["--table", "-o", "new", "list"]);
    assert!(read(place.path("new")).contains("Measuring stopped after"));
}

#[test]
fn output_makes_a_new_file_with_the_usual_mode() {
    let place = Place::new();
    place.list("list");
    let mut command = place.command(&["-o", "new", "list"]);
    // SAFETY: umask(2) is a system call.
    unsafe {
        command.pre_exec(|| {
            libc::umask(0o027);
            Ok(())
        });
    }
    assert!(command.status().expect("the command starts").success());
    assert_eq!((read(place.path("new")), mode(place.path("new"))), (place.ranked(), 0o640));
    assert_eq!(place.files(), ["list", "new"]);
}

#[test]
fn output_has_every_format() {
    let place = Place::new();
    let list = place.list("list");
    for format in ["--urls", "--apt"] {
        let printed = place.succeed(&[format, "list"]);
        assert_eq!(place.succeed(&[format, "-o", "new", "list"]), "");
        assert_eq!(read(place.path("new")), printed, "{format}");
    }
    place.succeed(&["--json", "-o", "new", "list"]);
    let json: Value = serde_json::from_str(&read(place.path("new"))).expect("JSON");
    assert_eq!(json["mirrors"][0]["url"], place.urls[1].as_str());
    place.succeed(&["--csv", "-o", "new", "list"]);
    assert!(read(place.path("new")).starts_with("position,url,"));
    assert_eq!(read(list), place.given());
}

#[test]
fn output_keeps_owner_and_group_where_it_may() {
    if !can_become_others() {
        return;
    }
    let place = Place::new();
    let list = place.list("list");
    std::os::unix::fs::chown(&list, Some(USER), Some(USER)).expect("root may");
    set_mode(&list, 0o660);
    place.succeed(&["-o", "list", "list"]);
    let metadata = fs::metadata(&list).expect("a file");
    assert_eq!((metadata.uid(), metadata.gid(), mode(&list)), (USER, USER, 0o660));

    // This user may write the file as one of all users, and may give it neither to its owner nor to
    // its group: what the group could do is not for the user's own group.
    let place = Place::new();
    let list = place.list("list");
    set_mode(&list, 0o672);
    set_mode(&place.directory, 0o777);
    let mut command = command_of_other_user(&place, &["-o", "list", "--urls"]);
    let output = command.args(&place.urls).output().expect("the command starts");
    assert!(output.status.success(), "{output:?}");
    let metadata = fs::metadata(&list).expect("a file");
    assert_eq!((metadata.uid(), metadata.gid(), mode(&list)), (USER, USER, 0o622));
    assert_eq!(read(&list), place.ranked());
}

/// The access control list of a file, as the kernel has it: none, or the bytes.
fn access_list(path: &Path) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    let mut list = vec![0_u8; 1000];
    // SAFETY: the names end in NUL, and the length is that of the buffer.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), ACCESS_LIST.as_ptr(), list.as_mut_ptr().cast(), list.len()) };
    list.truncate(usize::try_from(length).ok()?);
    Some(list)
}

/// Sets an access control list in which this user may read and write, and the group nothing.
/// `false` if the file system has none.
fn set_access_list(path: &Path, name: &CStr) -> bool {
    const NONE: u32 = u32::MAX;
    let mut list = 2_u32.to_le_bytes().to_vec();
    // The owner, the user, the group, the most for both of these, and all others.
    for (tag, allowed, id) in [(1_u16, 6_u16, NONE), (2, 6, USER), (4, 0, NONE), (16, 6, NONE), (32, 0, NONE)]
    {
        list.extend([tag.to_le_bytes(), allowed.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: the names end in NUL, and the length is that of the list.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), list.as_ptr().cast(), list.len(), 0) };
    if set != 0 {
        lab::skip_even_under_ci("the file system of temporary files has no access control lists");
    }
    set == 0
}

const ACCESS_LIST: &CStr = c"system.posix_acl_access";

#[test]
fn output_keeps_the_access_control_list() {
    let place = Place::new();
    let list = place.list("list");
    if !set_access_list(&list, ACCESS_LIST) {
        return;
    }
    let before = (access_list(&list), mode(&list));
    // Without the list, this would be the mode of a file that the group may write.
    assert_eq!(before.1, 0o660);
    place.succeed(&["-o", "list", "list"]);
    assert_eq!((access_list(&list), mode(&list)), before);
    assert_eq!(read(&list), place.ranked());

    // The directory gives each new file a list; that of a file without one stays without.
    let list = place.list("plain");
    set_mode(&list, 0o640);
    assert!(set_access_list(place.directory.path(), c"system.posix_acl_default"));
    place.succeed(&["-o", "plain", "plain"]);
    assert_eq!((access_list(&list), mode(&list)), (None, 0o640));
    assert_eq!(read(&list), place.ranked());
}

#[test]
fn output_does_not_replace_a_file_that_has_changed_meanwhile() {
    let silent = Silent::start(Ipv4Addr::new(127, 77, 3, 5));
    let far = format!("http://{}/", silent.address);
    let newer = "a newer list, which is not to be lost\n";
    let rewrite = |place: &Place| fs::write(place.path("below/file"), newer).expect("a writable directory");
    let rename = |place: &Place| {
        fs::write(place.path("below/new"), newer).expect("a writable directory");
        fs::rename(place.path("below/new"), place.path("below/file")).expect("a writable directory");
    };
    // Whoever owns the directory would have a user with more rights replace a file elsewhere.
    let redirect = |place: &Place| {
        fs::rename(place.path("below"), place.path("old")).expect("a writable directory");
        fs::create_dir(place.path("elsewhere")).expect("a writable directory");
        fs::write(place.path("elsewhere/file"), newer).expect("a writable directory");
        symlink("elsewhere", place.path("below")).expect("a writable directory");
    };
    for change in [&rewrite as &dyn Fn(&Place), &rename, &redirect] {
        let place = Place::new();
        fs::create_dir(place.path("below")).expect("a writable directory");
        fs::write(place.path("below/file"), "precious\n").expect("a writable directory");
        let near = place.urls[1].as_str();
        let mut command = place.command(&["-o", "below/file", "--timeout=50", "--fallbacks=all", &far, near]);
        let child = default_interrupt(&mut command).spawn().expect("the command starts");
        place._listener.accept().expect("the command connects");
        change(&place);
        send_signal(child.id(), libc::SIGINT);
        let output = child.wait_with_output().expect("a child");
        let message = "fastestmirror: below/file: cannot be replaced: it has changed since this command \
                       began; run it again\n";
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), message));
        assert_eq!(read(place.path("below/file")), newer);
        assert_eq!(fs::read_dir(place.path("below")).expect("a directory").count(), 1);
    }
}

#[test]
fn output_writes_through_symbolic_links() {
    let place = Place::new();
    place.list("list");
    fs::create_dir(place.path("below")).expect("a writable directory");
    fs::write(place.path("below/target"), "old\n").expect("a writable directory");
    // A relative link to a link in another directory; then one to a file that does not exist.
    symlink("target", place.path("below/link")).expect("a writable directory");
    symlink("below/link", place.path("link")).expect("a writable directory");
    symlink("below/new", place.path("dangling")).expect("a writable directory");
    for (link, target) in [("link", "below/target"), ("dangling", "below/new")] {
        place.succeed(&["-o", link, "list"]);
        assert!(fs::symlink_metadata(place.path(link)).expect("a link").is_symlink());
        assert_eq!(read(place.path(target)), place.ranked());
    }
    assert!(fs::symlink_metadata(place.path("below/link")).expect("a link").is_symlink());
    symlink("loop", place.path("loop")).expect("a writable directory");
    let output = place.run(&["-o", "loop", "list"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("fastestmirror: loop: cannot be written: Too many levels"));
}

#[test]
fn failures_leave_the_file_untouched() {
    let place = Place::new();
    place.list("list");
    fs::write(place.path("wrong"), "http://a.example/\nno such repository\n").expect("a writable directory");
    let dead = format!("http://127.77.3.2:{}/", closed_port());
    let good = place.urls[1].as_str();
    fs::write(place.path("good"), "precious\n").expect("a writable directory");
    let table: [(&[&str], i32, &str); 10] = [
        (&["-o", "good", "wrong"], 2, "wrong: line 2: "),
        (&["-o", "good", "missing"], 2, "missing: cannot be read: "),
        (&["-o", "good", "--https-only", "list"], 2, "the filters exclude all 3 mirrors: "),
        (&["-o", "good", &dead], 3, "no mirror answered: good is left as it was\n"),
        (&["-o", "good", "--timeout=0", "--json", "list"], 3, "no mirror answered: good is left as it was\n"),
        (&["-o", "new", &dead], 3, "no mirror answered: new is not written\n"),
        (&["-o", ".", good], 2, ".: cannot be written: Is a directory; name a file in it\n"),
        (&["-o", "new/", good], 2, "new/: cannot be written: is a directory; name a file in it\n"),
        (&["-o", "new.gz", good], 2, "new.gz: the result is not compressed: use a name without .gz or .xz"),
        (&["-o", "none/new", good], 2, "none/new: cannot be written: No such file or directory\n"),
    ];
    for (arguments, status, message) in table {
        let output = place.run(arguments);
        assert_eq!(
            (output.status.code(), text(&output.stdout).as_str()),
            (Some(status), ""),
            "{arguments:?}"
        );
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with(&format!("fastestmirror: {message}")), "{stderr}");
    }
    // A file that may grow no further stands for a full disk.
    let mut command = place.command(&["-o", "good", good]);
    // SAFETY: signal(2) and setrlimit(2) are async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let limit = libc::rlimit { rlim_cur: 10, rlim_max: 10 };
            if libc::setrlimit(libc::RLIMIT_FSIZE, &limit) == 0 {
                return Ok(());
            }
            Err(std::io::Error::last_os_error())
        });
    }
    let output = command.output().expect("the command starts");
    let message = "fastestmirror: good: cannot be written: File too large\n";
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), message));
    assert_eq!(read(place.path("good")), "precious\n");
    assert_eq!(place.files(), ["good", "list", "wrong"]);
}

#[test]
fn list_that_the_shell_has_emptied_is_named() {
    let place = Place::new();
    place.list("list");
    let script = format!("{} list >list", env!("CARGO_BIN_EXE_fastestmirror"));
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", &script]).current_dir(&place.directory).output().expect("a shell");
    let message = "fastestmirror: list: the shell has emptied this file for standard output; to put a list \
                   into order in place, use -o FILE instead of > FILE\n";
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(2), message));
}

#[test]
fn output_does_not_replace_the_cache() {
    let place = Place::new();
    let url = place.urls[1].as_str();
    let absolute = place.path("cache").display().to_string();
    fs::create_dir(place.path("below")).expect("a writable directory");
    symlink("cache", place.path("link")).expect("a writable directory");
    let refused = |output: &str| {
        let output = place.run(&["--cache", "cache", "-o", output, url]);
        let message = "fastestmirror: --output and --cache name the same file\n";
        assert!(text(&output.stderr).starts_with(message), "{output:?}");
        assert_eq!(output.status.code(), Some(2));
    };
    // Before there is a cache, and then when there is one.
    for output in ["cache", "./cache", "below/../cache", &absolute] {
        refused(output);
    }
    place.succeed(&["--cache", "cache", url]);
    let cache = read(place.path("cache"));
    for output in ["cache", "./cache", "below/../cache", &absolute, "link"] {
        refused(output);
    }
    assert_eq!(read(place.path("cache")), cache);
}

#[test]
fn files_that_the_user_may_not_write_are_not_replaced() {
    if !can_become_others() {
        return;
    }
    let place = Place::new();
    let file = place.path("file");
    // In a directory in which the user may rename files, and in one in which the user may not.
    let table = [
        (0o777, 0o644, 2, "fastestmirror: file: cannot be written: Permission denied\n"),
        (0o755, 0o666, 1, "fastestmirror: file: a new file cannot be made beside it: Permission denied\n"),
    ];
    for (directory_mode, file_mode, status, message) in table {
        fs::write(&file, "precious\n").expect("root may");
        set_mode(&file, file_mode);
        set_mode(&place.directory, directory_mode);
        let output = command_of_other_user(&place, &["-o", "file", &place.urls[1]])
            .output()
            .expect("the command starts");
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(status), message));
        assert_eq!(read(&file), "precious\n");
    }
}

#[test]
fn signals_leave_the_old_file_or_the_new_one() {
    let place = Place::new();
    let silent = Silent::start(Ipv4Addr::new(127, 77, 3, 3));
    let far = format!("http://{}/", silent.address);
    let near = place.urls[1].as_str();
    let interrupted = format!("{near}\n{far}\n");
    for (signal, dies, expected) in [
        (libc::SIGTERM, true, "precious\n"),
        (libc::SIGKILL, true, "precious\n"),
        // The first Ctrl-C stops measuring, and what is known is written.
        (libc::SIGINT, false, interrupted.as_str()),
    ] {
        fs::write(place.path("file"), "precious\n").expect("a writable directory");
        let mut command = place.command(&["-o", "file", "--timeout=50", "--fallbacks=all", &far, near]);
        let child = default_interrupt(&mut command).spawn().expect("the command starts");
        // The latency is known once the connection is there, and the silent mirror is waited for.
        place._listener.accept().expect("the command connects");
        thread::sleep(Duration::from_millis(5));
        send_signal(child.id(), signal);
        let output = child.wait_with_output().expect("a child");
        assert_eq!(output.status.signal().is_some(), dies, "{output:?}");
        assert_eq!(read(place.path("file")), expected);
        assert_eq!(place.files(), ["file"]);
    }
}

#[test]
fn standard_output_devices_and_pipes_are_written_directly() {
    let place = Place::new();
    place.list("list");
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert_eq!(place.succeed(&["--urls", "-o", name, "list"]), place.ranked(), "{name}");
    }
    // A shell has opened this file, and writes to it before and after.
    for (name, descriptor, open) in
        [("/dev/stdout", 1, ">"), ("/dev/stderr", 2, ">"), ("/dev/stdout", 1, ">>"), ("/dev/fd/3", 3, ">>")]
    {
        let script = format!(
            "{{ echo before >&{descriptor}; {} --urls -o {name} list; echo after >&{descriptor}; }} {descriptor}{open}log",
            env!("CARGO_BIN_EXE_fastestmirror")
        );
        let _ = fs::remove_file(place.path("log"));
        let mut shell = Command::new("sh");
        assert!(
            shell.args(["-c", &script]).current_dir(&place.directory).status().expect("a shell").success()
        );
        assert_eq!(read(place.path("log")), format!("before\n{}after\n", place.ranked()), "{name}");
    }
    // No mirror answers, and no file would lose anything by it.
    let output = place.run(&["--urls", "--timeout=0", "-o", "/dev/stdout", "list"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), place.given()));

    place.succeed(&["--urls", "-o", "/dev/null", "list"]);
    assert!(fs::metadata("/dev/null").expect("a device").mode() & libc::S_IFMT == libc::S_IFCHR);
    let output = place.run(&["-o", "/dev/full", "list"]);
    let message = "fastestmirror: /dev/full: cannot be written: No space left on device\n";
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), message));

    let fifo = std::ffi::CString::new(place.path("fifo").into_os_string().into_string().expect("UTF-8"));
    // SAFETY: mkfifo(3) reads the name, which ends in a zero.
    assert_eq!(unsafe { libc::mkfifo(fifo.expect("a name").as_ptr(), 0o600) }, 0);
    let child = place.command(&["--urls", "-o", "fifo", "list"]).spawn().expect("the command starts");
    assert_eq!(read(place.path("fifo")), place.ranked());
    assert!(child.wait_with_output().expect("a child").status.success());
    assert_eq!(place.files(), ["fifo", "list", "log"]);
}

#[test]
fn top_leaves_out_the_last_mirrors_and_says_how_many() {
    let place = Place::new();
    place.list("list");
    let first = format!("{}\n", place.urls[1]);
    assert_eq!(place.succeed(&["--urls", "--top=1", "list"]), first);
    assert_eq!(place.succeed(&["--urls", "--top", "9", "list"]), place.ranked());
    let url = &place.urls[1];
    assert_eq!(place.succeed(&["--apt", "--top=1", "list"]), format!("{url}\tpriority:1\n"));
    assert_eq!(place.succeed(&["--csv", "--top=1", "list"]).lines().count(), 2);
    let table = place.succeed(&["--top=1", "list"]);
    assert!(table.contains(url.as_str()) && !table.contains(&place.urls[0]), "{table}");
    for part in ["1 of 3 mirrors answered", "\nLeft out by --top: 2 mirrors.\n"] {
        assert!(table.contains(part), "{table}");
    }
    let json: Value = serde_json::from_str(&place.succeed(&["--json", "--top=1", "list"])).expect("JSON");
    assert_eq!((json["mirrors"].as_array().map(Vec::len), &json["omitted"]), (Some(1), &2.into()));
    assert_eq!(json["notes"][0], "Left out by --top: 2 mirrors.");
    // The status is about all mirrors, and the file has as many as were asked for.
    place.succeed(&["--top=2", "-o", "new", "list"]);
    assert_eq!(read(place.path("new")), format!("{first}{}\n", place.urls[0]));
}

#[test]
fn json_has_a_version_notes_and_what_is_excluded() {
    let place = Place::new();
    place.list("list");
    let line = place.succeed(&["--json", "--exclude=127.77.3.2", "list"]);
    assert!(line.starts_with("{\"version\":1,"), "{line}");
    let json: Value = serde_json::from_str(&line).expect("JSON");
    let excluded = serde_json::json!([{"index": 0, "url": place.urls[0], "filter": "exclude"}]);
    assert_eq!((&json["excluded"], &json["omitted"]), (&excluded, &0.into()));
    assert_eq!(json["notes"], serde_json::json!(["Left out by filters: 1 mirror."]));
    // What is noted below the table is noted here.
    let table = place.succeed(&["--exclude=127.77.3.2", "list"]);
    assert!(table.ends_with("\nLeft out by filters: 1 mirror.\n"), "{table}");
}

#[test]
fn csv_has_a_row_for_each_mirror_in_order() {
    let place = Place::new();
    let mut list = fs::OpenOptions::new().append(true).open(place.list("list")).expect("a file");
    writeln!(list, "file:///srv/a,\"b\"").expect("a file");
    let csv = place.succeed(&["--csv", "list"]);
    let rows: Vec<_> = csv.split_terminator("\r\n").collect();
    assert_eq!(
        rows[0],
        "position,url,host,outcome,latency_ms,pool,address,imprecise,from_cache,detoured,index"
    );
    assert_eq!(rows[1], "1,\"file:///srv/a,\"\"b\"\"\",,local,,false,,false,false,false,3");
    let near: Vec<_> = rows[2].split(',').collect();
    let address = place.urls[1].trim_start_matches("http://").trim_end_matches("/pub/");
    assert_eq!(near[..4], ["2", &place.urls[1], "127.77.3.1", "measured"]);
    assert!(near[4].parse::<f64>().is_ok_and(|latency| latency > 0.0), "{csv}");
    assert_eq!((near[5], near[6], near[10]), ("true", address, "1"));
    assert_eq!(rows[3], format!("3,{},127.77.3.2,refused,,false,,false,false,false,0", place.urls[0]));
    assert_eq!(rows[4], format!("4,{},,unsupported,,false,,false,false,false,2", place.urls[2]));
    assert_eq!(rows.len(), 5);
    assert!(!csv.replace("\r\n", "").contains(char::is_control), "{csv:?}");
}

#[test]
fn apt_gives_the_pool_one_priority_and_others_their_own() {
    let place = Place::new();
    let open = TcpListener::bind((Ipv4Addr::new(127, 77, 3, 4), 0)).expect("loopback can be bound");
    let second = format!("http://{}/pub/", open.local_addr().expect("it is bound"));
    let [refused, near, rsync] = &place.urls;
    let arguments = ["--apt", "--slack=60000", "--fallbacks=all", "--seed=7"];
    let urls = [refused, near, rsync, &second].map(String::as_str);
    let printed = place.succeed(&[&arguments[..], &urls[..]].concat());
    let mut lines: Vec<_> = printed.lines().collect();
    // The seed and the port decide which of the two is first.
    lines[..2].sort();
    let mut pool = [near, &second].map(|url| format!("{url}\tpriority:1"));
    pool.sort();
    let expected = [&pool[0], &pool[1], &format!("{refused}\tpriority:2"), &format!("{rsync}\tpriority:3")];
    assert_eq!(lines, expected);
    // What apt's own list says about its mirrors stays; a path becomes a URL.
    let given =
        format!("{refused}\tarch:amd64 priority:9\n{near}\tpriority:7\ttype:index type:deb\n/srv/pub\n");
    fs::write(place.path("list"), given).expect("a writable directory");
    let expected = format!(
        "file:///srv/pub\tpriority:1\n{near}\tpriority:2 type:index type:deb\n{refused}\tpriority:3 arch:amd64\n"
    );
    assert_eq!(place.succeed(&["--apt", "list"]), expected);
    // Without an answer there is no pool, and the given order is the one to try.
    let output = place.run(&["--apt", "--timeout=0", refused, near]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(text(&output.stdout), format!("{refused}\tpriority:1\n{near}\tpriority:2\n"));
}
