//! Calls of librepo's functions or ours by one C program (`dropin/tests/c/call.c`), and what it
//! printed.

use crate::build::{dropin, root, run, target};
use crate::programs::{have, program};
use crate::servers::{Server, Silent, closed_port};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The file that a program links or loads.
pub fn ours() -> PathBuf {
    dropin().join("libfastestmirror_librepo.so")
}

/// The name that programs load.
pub fn make_soname() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let soname = dropin().join("libfastestmirror_librepo.so.0");
        let _ = fs::remove_file(&soname);
        symlink("libfastestmirror_librepo.so", soname).expect("the target directory can be written");
    });
}

pub const THEIRS: &str = "librepo.so.0";

pub fn scratch() -> PathBuf {
    let directory = target().join("tmp").join("librepo");
    fs::create_dir_all(&directory).expect("the target directory can be written");
    directory
}

/// Compiles a C program with the installed librepo and glib.
pub fn compile(source: &str, output: &str, more: &[&str], packages: &[&str]) -> PathBuf {
    let output = scratch().join(output);
    // Renamed when it is complete, since the same test inside the lab may be running the old one.
    let partial = output.with_extension(std::process::id().to_string());
    let flags = run(program("pkg-config").args(["--cflags", "--libs"]).args(packages));
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g"])
        .arg(root().join(source))
        .arg("-o")
        .arg(&partial);
    run(cc.args(more).args(flags.split_whitespace()).arg("-ldl"));
    fs::rename(partial, &output).expect("the target directory can be written");
    output
}

pub fn have_librepo() -> bool {
    have("librepo-dev", program("pkg-config").args(["--exists", "librepo", "glib-2.0"]))
}

/// Whether this machine leaves all settings of the library at their defaults, as the tests expect
/// it. If not, the test is skipped.
fn has_default_settings() -> bool {
    const FILE: &str = "/etc/fastestmirror.conf";
    let text = fs::read_to_string(FILE).unwrap_or_default();
    let is_set = text.lines().any(|line| !line.is_empty() && !line.starts_with(['#', ';', '[']));
    if is_set {
        lab::skip(&format!("{FILE} has settings, which the library would follow"));
    }
    !is_set
}

/// The program that calls either library; nothing if there is no librepo here.
pub fn caller() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compiled = || compile("dropin/tests/c/call.c", "call", &[], &["librepo", "glib-2.0"]);
    BUILT.get_or_init(|| (have_librepo() && has_default_settings()).then(compiled)).as_deref()
}

/// A call of one of the functions.
#[derive(Debug)]
pub struct Call(pub Command);

impl Call {
    pub fn of(library: impl AsRef<Path>, function: &str, arguments: &[&str]) -> Call {
        let mut command = Command::new(caller().expect("asked before"));
        command.arg(library.as_ref()).arg(function).args(arguments);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy().to_lowercase();
            if name_text.ends_with("_proxy") || name_text.starts_with("fastestmirror") {
                command.env_remove(name);
            }
        }
        Call(command)
    }

    pub fn env(mut self, name: &str, value: &str) -> Call {
        self.0.env(name, value);
        self
    }

    /// Runs the call and returns what it printed. Nothing may be on standard error.
    pub fn output(mut self) -> String {
        let output = self.0.output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{:?}: {}: {stderr}", self.0, output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

pub fn call_ours(function: &str, arguments: &[&str]) -> String {
    Call::of(ours(), function, arguments).output()
}

/// The lines that begin with `head`, without it.
pub fn lines<'a>(output: &'a str, head: &str) -> Vec<&'a str> {
    output.lines().filter_map(|line| line.strip_prefix(head)).collect()
}

/// The indices of the items in the order of the output.
pub fn order(output: &str) -> Vec<usize> {
    let first = |line: &str| line.split(' ').next().expect("a word").parse().expect("a number");
    lines(output, "item ").into_iter().map(first).collect()
}

/// The part of the output that is the same for both libraries: all but the name of the library, its
/// log, and latencies. (With stage 3 librepo reports the number of URLs, and this library that of
/// endpoints, which is the same unless a host is listed twice.)
pub fn comparable(output: &str) -> String {
    let kept = output.lines().filter(|line| !line.starts_with("library ") && !line.starts_with("log "));
    let plain = |line: &str| match line.rsplit_once(' ') {
        Some((rest, number)) if rest.contains("measured") && number.contains('.') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    kept.map(plain).collect()
}

/// Mirrors of every kind, on loopback.
#[derive(Debug)]
pub struct World {
    pub live: Server,
    pub other: Server,
    silent: Silent,
    closed: u16,
    directory: tempfile::TempDir,
}

impl World {
    pub fn start() -> World {
        World {
            live: Server::start(Ipv4Addr::LOCALHOST),
            other: Server::start(Ipv4Addr::LOCALHOST),
            silent: Silent::start(Ipv4Addr::LOCALHOST),
            closed: closed_port(),
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    pub fn live(&self) -> String {
        format!("http://{}", self.live.address)
    }

    pub fn other(&self) -> String {
        format!("https://{}", self.other.address)
    }

    pub fn silent(&self) -> String {
        format!("http://{}", self.silent.address)
    }

    pub fn refusing(&self) -> String {
        format!("http://127.0.0.1:{}", self.closed)
    }

    pub fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}
