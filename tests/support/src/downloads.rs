//! Downloads with librepo by a C program (`dropin/tests/c/download.c`), which prints what its
//! caller sees, and HTTP mirrors on loopback that fail in all ways.

use crate::build::run;
use crate::librepo_calls::{compile, have_librepo, lines};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// HTTP mirrors at every address 127.x.y.z, each of which does what the first part of the path
/// says.
#[derive(Debug)]
pub struct Mirrors {
    port: u16,
    directory: tempfile::TempDir,
}

impl Mirrors {
    pub fn start() -> Mirrors {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(stream));
            }
        });
        Mirrors { port, directory: tempfile::tempdir().expect("a directory") }
    }

    /// The arguments of the C program for mirrors of these kinds, in this order, each on a host of
    /// its own. `arguments` is the function and what follows.
    pub fn arguments(&self, kinds: &[&str], arguments: &[&str]) -> Vec<String> {
        let mirrors =
            kinds.iter().enumerate().flat_map(|(n, kind)| ["--mirror".to_string(), self.mirror(n, kind)]);
        let (function, others) = arguments.split_first().expect("a function");
        let before = [function.to_string(), "--cache".to_string(), self.cache().display().to_string()];
        // lr_download_packages would put the mirrors in another order.
        let is_used = if *function == "packages" { "--no-fastestmirror" } else { "--fastestmirror" };
        let before = before.into_iter().chain([is_used.to_string()]);
        before.chain(mirrors).chain(others.iter().map(ToString::to_string)).collect()
    }

    pub fn mirror(&self, n: usize, kind: &str) -> String {
        format!("http://127.0.0.{}:{}/{kind}/os/", n + 2, self.port)
    }

    pub fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }
}

/// Answers one request. A failure to write is the client's.
fn serve(stream: TcpStream) {
    let mut request = String::new();
    let mut reader = BufReader::new(&stream);
    let _ = reader.read_line(&mut request);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let kind = path.split('/').nth(1).unwrap_or_default();
    let (name, count) = path.rsplit('/').next().and_then(|name| name.rsplit_once('-')).unwrap_or_default();
    let body = format!("{name}\n").repeat(count.parse().unwrap_or(0));
    let mut stream = &stream;
    let mut reply = |status: &str, length: usize, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
        let location = match kind {
            "moved" => format!("Location: {}\r\n", path.replace("/moved/", "/good/")),
            // To the third mirror, which has another file there.
            "hostile" => {
                let port = stream.local_addr().expect("a connection").port();
                format!("Location: http://127.0.0.4:{port}/good/os/other-1\r\n")
            }
            _ => String::new(),
        };
        let _ = stream.write_all(format!("{head}{location}\r\n").as_bytes());
        let _ = stream.write_all(body);
    };
    match kind {
        "good" | "private" if name == "absent" => {
            reply(if kind == "good" { "404 Not Found" } else { "403 Forbidden" }, 0, b"");
        }
        "good" | "private" => reply("200 OK", body.len(), body.as_bytes()),
        "moved" | "hostile" => reply("302 Found", 0, b""),
        "missing" => reply("404 Not Found", 7, b"no file"),
        "gone" => reply("410 Gone", 0, b""),
        "forbidden" => reply("403 Forbidden", 0, b""),
        "stale" => reply("200 OK", body.len(), body.replace('\n', " ").as_bytes()),
        "longer" => reply("200 OK", body.len() + 1, format!("{body}!").as_bytes()),
        "broken" => reply("503 Service Unavailable", 0, b""),
        "cut" => reply("200 OK", body.len(), &body.as_bytes()[..body.len() / 2]),
        "closed" => {}
        "hanging" => {
            reply("200 OK", body.len(), &body.as_bytes()[..1]);
            std::thread::sleep(Duration::from_secs(20));
        }
        _ => panic!("{request}"),
    }
}

/// The C program; nothing if there is no librepo here.
pub fn downloader() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compiled = || compile("dropin/tests/c/download.c", "download", &[], &["librepo", "glib-2.0"]);
    BUILT.get_or_init(|| have_librepo().then(compiled)).as_deref()
}

/// The command, without settings and proxies.
pub fn command(downloader: &Path, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(downloader);
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if text.ends_with("_proxy") || text.starts_with("fastestmirror") {
            command.env_remove(name);
        }
    }
    command
}

/// The lines that have to be the same; in any order, if several downloads run at once.
pub fn comparable(output: &str, is_parallel: bool) -> Vec<&str> {
    let kept = output.lines().filter(|line| !line.starts_with("log ") && !line.starts_with("left behind"));
    let mut kept: Vec<&str> = kept.collect();
    if is_parallel {
        kept.sort_unstable();
    }
    kept
}

/// The calls that are compared: the kinds of the mirrors, and the arguments.
pub const CALLS: &[(&[&str], &[&str])] = &[
    (&["good"], &["download", "a-10", "b-20", "C-30"]),
    (&["good"], &["download", "--fd", "a-10", "b-100000"]),
    (&["missing", "good"], &["download", "a-10", "b-20"]),
    (
        &["missing", "gone", "forbidden", "broken", "closed", "cut", "stale", "good"],
        &["download", "a-10", "b-1000"],
    ),
    (&["longer", "good"], &["download", "A-10", "b-10"]),
    (&["hanging", "good"], &["download", "a-10", "b-10"]),
    (&["moved", "missing"], &["download", "a-10"]),
    (&["missing", "broken"], &["download", "a-10", "b-10"]),
    (&["missing", "broken"], &["download", "--fail-fast", "a-10", "b-10"]),
    (&["stale"], &["download", "--fail-fast", "a-10", "b-10"]),
    (&["missing", "good"], &["download", "--no-callbacks", "a-10", "b-10"]),
    (&["missing", "good"], &["download", "--only-end", "a-10", "b-10"]),
    (&["missing", "good"], &["target", "a-10"]),
    (&["missing", "broken"], &["target", "a-10"]),
    (&["missing", "good"], &["single", "a-10", "b-10"]),
    (&["missing", "good"], &["packages", "a-10", "B-10"]),
    (&["missing", "stale"], &["packages", "a-10", "B-10"]),
    (&["missing", "good"], &["packages", "--fail-fast", "--parallel", "a-10", "b-1000", "C-20000", "d-4"]),
    (&["missing", "good", "stale"], &["download", "--parallel", "a-10", "b-1000", "c-200000", "d-4", "e-5"]),
    (&["good"], &["download", "--fd", "--twice", "a-10"]),
    // Cancelled: LR_CB_ABORT is 1, and LR_CB_ERROR is 2.
    (&["missing", "good"], &["download", "--return", "failure", "1", "a-10", "b-10"]),
    (&["missing", "good"], &["download", "--return", "failure", "2", "a-10", "b-10"]),
    (&["missing", "good"], &["download", "--return", "end", "2", "a-10", "b-10"]),
    (&["good"], &["download", "--return", "progress", "1", "a-10", "b-10"]),
    (&["good"], &["download", "--return", "progress", "2", "a-10", "b-10"]),
    (&["good"], &["single", "--return", "progress", "2", "a-10", "b-10"]),
    (&["good"], &["packages", "--return", "end", "2", "a-10", "b-10"]),
    (&["good"], &["download"]),
    (&[], &["download", "a-10"]),
];

/// Mirrors that fail, and what that counts as if a good one follows.
pub const FAILURES: &[(&str, Option<&str>)] = &[
    ("missing", Some("missing")),
    ("gone", Some("missing")),
    ("stale", Some("stale")),
    ("longer", Some("stale")),
    ("broken", Some("broken")),
    ("closed", Some("broken")),
    ("cut", Some("broken")),
    ("hanging", Some("broken")),
    ("forbidden", None),
    ("moved", None),
];

/// Calls that say nothing about a mirror: all of them fail, the program ends a download, no
/// mirror has the file, or nothing puts them in order.
pub const NO_FAULT: &[(&[&str], &[&str])] = &[
    (&["missing", "broken", "cut"], &["download", "a-10", "b-10"]),
    (&["good", "good"], &["download", "--return", "progress", "2", "a-10", "b-10"]),
    (&["good", "missing"], &["download", "--return", "end", "2", "a-10", "b-10"]),
    (&["missing", "good"], &["download", "--no-fastestmirror", "a-10"]),
    // What no mirror serves is no mirror's fault: the metadata here is old. Some mirrors forbid
    // what they lack.
    (&["private", "good"], &["download", "absent-1", "b-10"]),
    (&["private", "good", "private"], &["download", "absent-1", "b-10"]),
];

/// The first mirror redirects to another file of the third, and the second serves. librepo's
/// callbacks do not say which mirror has failed; its own code knows that it was the first.
pub const REDIRECTED: (&[&str], &[&str]) = (&["hostile", "good", "good"], &["download", "a-10"]);

/// Runs a command of [`command`] whose cache is that of these mirrors, and returns what it has left
/// in that cache, which is removed: the words for troubles, and whether there are speeds.
pub fn learned(world: &Mirrors, command: &mut Command) -> (Vec<String>, bool) {
    run(command);
    let text = fs::read_to_string(world.cache()).unwrap_or_default();
    let _ = fs::remove_file(world.cache());
    let troubles = lines(&text, "trouble=").into_iter().map(String::from).collect();
    (troubles, !lines(&text, "speeds=").is_empty())
}
