//! The programs that are compared, each a small C program in a process of its own (`benches/c`): ours through the release build
//! of the C library, librepo's through the librepo of the system, and the look-ups alone.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::build::{cargo, root, run, target};
use support::programs::{have, module, program};

/// Look-ups at once: as many as ours has (`LOOK_UPS` in src/probe/mod.rs).
const THREADS: &str = "64";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Client {
    /// `fm_rank` at its defaults.
    Defaults,
    /// The same with `fallbacks` set to all.
    All,
    /// The same at the defaults, with the latencies of an earlier run in a cache.
    Warm,
    /// `lr_fastestmirror_detailed`, as users have it.
    LibrepoHttps,
    LibrepoHttp,
    /// `getaddrinfo` alone.
    LookUps,
    /// The same, and a SYN to each.
    Syns,
    /// Two clocks for one handshake.
    Clock,
}

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Client::Defaults => "ours",
            Client::All => "ours, all measured",
            Client::Warm => "ours, warm cache",
            Client::LibrepoHttps => "librepo, https",
            Client::LibrepoHttp => "librepo, http",
            Client::LookUps => "look-ups alone",
            Client::Syns => "look-ups and SYNs alone",
            Client::Clock => "two clocks",
        }
    }

    pub(crate) fn scheme(self) -> &'static str {
        if self == Client::LibrepoHttp { "http" } else { "https" }
    }

    /// Only what any client has to do: it finds out nothing.
    pub(crate) fn is_bare(self) -> bool {
        matches!(self, Client::LookUps | Client::Syns)
    }

    pub(crate) fn is_librepo(self) -> bool {
        matches!(self, Client::LibrepoHttps | Client::LibrepoHttp)
    }

    fn program(self) -> &'static str {
        match self {
            Client::Defaults | Client::All | Client::Warm => "ours",
            Client::LibrepoHttps | Client::LibrepoHttp => "librepo",
            Client::LookUps => "lookups",
            Client::Syns => "syns",
            Client::Clock => "clock",
        }
    }
}

/// What a client found out about a mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) latency: Option<Duration>,
    /// Of ours, whether it is in the pool; of the clocks, the time on the wall.
    pub(crate) more: f64,
}

/// One run of a client.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) time: Duration,
    pub(crate) processor: Duration,
    /// What the peak of memory grew by, in KiB.
    pub(crate) memory: f64,
    /// An `fm_ended`.
    pub(crate) stop_reason: Option<u32>,
    /// By position in the list.
    pub(crate) found: Vec<Found>,
}

fn folder() -> PathBuf {
    target().join("tmp").join("bench")
}

/// Whether librepo's client has been built.
pub(crate) fn has_librepo() -> bool {
    folder().join("librepo").exists()
}

/// Builds them all; outside the lab, in which there is no network.
pub(crate) fn build() {
    run(cargo(&["build", "--release", "--lib", "-p", "fastestmirror"]).arg("--target-dir").arg(target()));
    let libraries = target().join("release");
    let soname = libraries.join("libfastestmirror.so.0");
    let _ = fs::remove_file(&soname);
    symlink("libfastestmirror.so", soname).expect("the target folder can be written");

    let include = root().join("include").display().to_string();
    let (libraries, library) = (libraries.display(), "-lfastestmirror");
    let ours = [format!("-I{include}"), format!("-L{libraries}"), format!("-Wl,-rpath,{libraries}")];
    compile("ours", ours.iter().map(String::as_str).chain([library]));
    compile("lookups", ["-lpthread"]);
    compile("syns", ["-lpthread"]);
    compile("clock", []);
    let _ = fs::remove_file(folder().join("librepo"));
    if have("librepo-dev", &mut module("librepo")) {
        let flags = run(program("pkg-config").args(["--cflags", "--libs", "librepo"]));
        compile("librepo", flags.split_whitespace());
    }
}

fn compile<'a>(name: &str, flags: impl IntoIterator<Item = &'a str>) {
    fs::create_dir_all(folder()).expect("the target folder can be written");
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]);
    command.arg(root().join("benches/c").join(name).with_extension("c")).arg("-o").arg(folder().join(name));
    run(command.args(flags));
}

impl Client {
    /// Runs it over these lines, with a cache for ours, or a certificate authority for librepo.
    pub(crate) fn run(self, lines: &[String], file: Option<&Path>) -> Run {
        let mut command = Command::new(folder().join(self.program()));
        match self {
            Client::Defaults | Client::Warm => drop(command.args(["16", "1000000"])),
            Client::All => drop(command.args(["all", "1000000"])),
            Client::LookUps | Client::Syns => drop(command.arg(THREADS)),
            Client::LibrepoHttps | Client::LibrepoHttp | Client::Clock => {}
        }
        command.args(file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the client starts");
        let mut text = lines.join("\n");
        text.push('\n');
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("the client reads all");
        let output = child.wait_with_output().expect("the client ends");
        assert!(output.status.success(), "{}: {}", self.name(), output.status);
        read(&String::from_utf8(output.stdout).expect("ASCII"), lines.len())
    }
}

fn read(text: &str, count: usize) -> Run {
    let mut found: Vec<Option<Found>> = vec![None; count];
    let (mut call, mut stop_reason) = (None, None);
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').expect("a word and numbers");
        let numbers: Vec<f64> = rest.split(' ').map(|number| number.parse().expect("a number")).collect();
        match word {
            "call" => call = Some((numbers[0], numbers[1], numbers[3] - numbers[2])),
            "stop_reason" => stop_reason = Some(numbers[0] as u32),
            _ => {
                let latency = (numbers[1] >= 0.0).then(|| Duration::from_secs_f64(numbers[1]));
                let more = numbers.get(2).copied().unwrap_or_default();
                let before = found[numbers[0] as usize].replace(Found { latency, more });
                assert!(before.is_none(), "a mirror comes twice: {line}");
            }
        }
    }
    let (time, processor, memory) = call.expect("the client says what the call cost");
    Run {
        time: Duration::from_secs_f64(time),
        processor: Duration::from_secs_f64(processor),
        memory,
        stop_reason,
        found: found.into_iter().map(Option::unwrap_or_default).collect(),
    }
}
