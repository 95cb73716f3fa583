//! The clients that are compared, each a small C program (`benches/c`) in a process of its own:
//! this library as a release build, the system's librepo, and lookups alone.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::build::{cargo, link_soname, root, run, target};
use support::programs::{have, module, program};

/// The number of lookups at the same time: as many as this library runs (`LOOKUPS` in
/// src/probe/mod.rs).
const THREADS: &str = "64";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Client {
    /// `fm_rank` with its defaults.
    Defaults,
    /// `fm_rank` with `fallbacks` set to all.
    All,
    /// `fm_rank` with its defaults and the cache of an earlier run.
    Warm,
    /// `lr_fastestmirror_detailed` with https URLs, as users have them.
    LibrepoHttps,
    LibrepoHttp,
    /// Only `getaddrinfo`.
    Lookups,
    /// `getaddrinfo`, and a SYN to each mirror.
    Syns,
    /// Two measurements of each handshake.
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
            Client::Lookups => "lookups alone",
            Client::Syns => "lookups and SYNs alone",
            Client::Clock => "two clocks",
        }
    }

    pub(crate) fn scheme(self) -> &'static str {
        if self == Client::LibrepoHttp { "http" } else { "https" }
    }

    /// Whether the client is only a lower bound, without a result.
    pub(crate) fn is_lower_bound(self) -> bool {
        matches!(self, Client::Lookups | Client::Syns)
    }

    pub(crate) fn is_librepo(self) -> bool {
        matches!(self, Client::LibrepoHttps | Client::LibrepoHttp)
    }

    fn program(self) -> &'static str {
        match self {
            Client::Defaults | Client::All | Client::Warm => "ours",
            Client::LibrepoHttps | Client::LibrepoHttp => "librepo",
            Client::Lookups => "lookups",
            Client::Syns => "syns",
            Client::Clock => "clock",
        }
    }
}

/// The result of a client for one mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) latency: Option<Duration>,
    /// For this library 1 if the mirror is in the pool; for the two clocks the wall-clock time in
    /// seconds.
    pub(crate) more: f64,
}

/// One run of a client.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) time: Duration,
    pub(crate) cpu: Duration,
    /// The growth of the peak of memory, in KiB.
    pub(crate) memory: f64,
    /// An `fm_stop_reason`.
    pub(crate) stop_reason: Option<u32>,
    /// One for each mirror, in the order of the list.
    pub(crate) found: Vec<Found>,
}

fn directory() -> PathBuf {
    target().join("tmp").join("bench")
}

/// Whether the client of librepo has been built.
pub(crate) fn has_librepo() -> bool {
    directory().join("librepo").exists()
}

/// Builds all clients. This has to happen outside the lab, where there is a network.
pub(crate) fn build() {
    run(cargo(&["build", "--release", "--lib", "-p", "fastestmirror"]).arg("--target-dir").arg(target()));
    let libraries = target().join("release");
    link_soname(&libraries);

    let include = root().join("include").display().to_string();
    let (libraries, library) = (libraries.display(), "-lfastestmirror");
    let ours = [format!("-I{include}"), format!("-L{libraries}"), format!("-Wl,-rpath,{libraries}")];
    compile("ours", ours.iter().map(String::as_str).chain([library]));
    compile("lookups", ["-lpthread"]);
    compile("syns", ["-lpthread"]);
    compile("clock", []);
    let _ = fs::remove_file(directory().join("librepo"));
    if have("librepo-dev", &mut module("librepo")) {
        let flags = run(program("pkg-config").args(["--cflags", "--libs", "librepo"]));
        compile("librepo", flags.split_whitespace());
    }
}

fn compile<'a>(name: &str, flags: impl IntoIterator<Item = &'a str>) {
    fs::create_dir_all(directory()).expect("the target directory can be written");
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]);
    command
        .arg(root().join("benches/c").join(name).with_extension("c"))
        .arg("-o")
        .arg(directory().join(name));
    run(command.args(flags));
}

impl Client {
    /// Runs the client over these lines. `file` is the cache of this library, or a certificate
    /// authority for librepo.
    pub(crate) fn run(self, lines: &[String], file: Option<&Path>) -> Run {
        let mut command = Command::new(directory().join(self.program()));
        match self {
            Client::Defaults | Client::Warm => drop(command.args(["16", "1000000"])),
            Client::All => drop(command.args(["all", "1000000"])),
            Client::Lookups | Client::Syns => drop(command.arg(THREADS)),
            Client::LibrepoHttps | Client::LibrepoHttp | Client::Clock => {}
        }
        command.args(file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the client starts");
        let mut text = lines.join("\n");
        text.push('\n');
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("the client reads its input");
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
                assert!(before.is_none(), "two lines about one mirror: {line}");
            }
        }
    }
    let (time, cpu, memory) = call.expect("the cost of the call");
    Run {
        time: Duration::from_secs_f64(time),
        cpu: Duration::from_secs_f64(cpu),
        memory,
        stop_reason,
        found: found.into_iter().map(Option::unwrap_or_default).collect(),
    }
}
