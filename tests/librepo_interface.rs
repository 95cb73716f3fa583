//! librepo's own functions and ours, side by side: one C program (`tests/c/librepo_call.c`) calls either and prints what
//! can be seen. Where they differ on purpose, the difference is pinned here.

mod build;
mod lab;
mod programs;
mod servers;

use build::{root, run, target, with_librepo};
use programs::{have, program};
use servers::{Server, Silent, closed_port};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The file that a program links or loads.
fn ours() -> PathBuf {
    with_librepo().join("libfastestmirror.so")
}

/// The name that programs load.
fn make_soname() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let soname = with_librepo().join("libfastestmirror.so.0");
        let _ = fs::remove_file(&soname);
        symlink("libfastestmirror.so", soname).expect("the target folder can be written");
    });
}

const THEIRS: &str = "librepo.so.0";

fn scratch() -> PathBuf {
    let folder = target().join("tmp").join("librepo");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// Compiles C against the installed librepo and glib.
fn compile(source: &str, output: &str, more: &[&str], packages: &[&str]) -> PathBuf {
    let output = scratch().join(output);
    // Moved into place when it is done: the same test inside the lab may be running what is there.
    let partial = output.with_extension(std::process::id().to_string());
    let flags = run(program("pkg-config").args(["--cflags", "--libs"]).args(packages));
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g"])
        .arg(root().join(source))
        .arg("-o")
        .arg(&partial);
    run(cc.args(more).args(flags.split_whitespace()).arg("-ldl"));
    fs::rename(partial, &output).expect("the target folder can be written");
    output
}

fn have_librepo() -> bool {
    have("librepo-dev", program("pkg-config").args(["--exists", "librepo", "glib-2.0"]))
}

/// The program that calls either library; nothing if there is no librepo here.
fn caller() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compiled = || compile("tests/c/librepo_call.c", "call", &[], &["librepo", "glib-2.0"]);
    BUILT.get_or_init(|| have_librepo().then(compiled)).as_deref()
}

/// One call of one of the functions.
#[derive(Debug)]
struct Call(Command);

impl Call {
    fn of(library: impl AsRef<Path>, function: &str, arguments: &[&str]) -> Call {
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

    fn env(mut self, name: &str, value: &str) -> Call {
        self.0.env(name, value);
        self
    }

    /// What it printed; nothing may be on standard error.
    fn output(mut self) -> String {
        let output = self.0.output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{:?}: {}: {stderr}", self.0, output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

fn call_ours(function: &str, arguments: &[&str]) -> String {
    Call::of(ours(), function, arguments).output()
}

/// The lines that begin so, without that.
fn lines<'a>(output: &'a str, head: &str) -> Vec<&'a str> {
    output.lines().filter_map(|line| line.strip_prefix(head)).collect()
}

/// The indices of the items, in the order in which they came out.
fn order(output: &str) -> Vec<usize> {
    let first = |line: &str| line.split(' ').next().expect("a word").parse().expect("a number");
    lines(output, "item ").into_iter().map(first).collect()
}

/// What must be the same whichever library was called: all but its name, its log, and latencies. (The number that is
/// told with stage 3 is that of URLs in librepo's own, and of endpoints in ours: the same unless a host is listed twice.)
fn comparable(output: &str) -> String {
    let kept = output.lines().filter(|line| !line.starts_with("library ") && !line.starts_with("log "));
    let plain = |line: &str| match line.rsplit_once(' ') {
        Some((rest, number)) if rest.contains("measured") && number.contains('.') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    kept.map(plain).collect()
}

/// Mirrors of every kind.
struct World {
    live: Server,
    other: Server,
    silent: Silent,
    closed: u16,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        World {
            live: Server::start(Ipv4Addr::LOCALHOST),
            other: Server::start(Ipv4Addr::LOCALHOST),
            silent: Silent::start(Ipv4Addr::LOCALHOST),
            closed: closed_port(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn live(&self) -> String {
        format!("http://{}", self.live.address)
    }

    fn other(&self) -> String {
        format!("https://{}", self.other.address)
    }

    fn silent(&self) -> String {
        format!("http://{}", self.silent.address)
    }

    fn refusing(&self) -> String {
        format!("http://127.0.0.1:{}", self.closed)
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

#[test]
fn whatever_is_promised_is_seen_alike_of_both() {
    if caller().is_none() {
        return;
    }
    let world = World::new();
    let (live, refusing) = (world.live(), world.refusing());
    let nowhere = world.file("no-folder/cache");
    let foreign = world.file("foreign");
    fs::write(&foreign, "[something]\nelse=1\n").expect("a file");
    let old = world.file("old");
    fs::write(&old, "[:_librepo_:]\nversion=0\n").expect("a file");
    let kept = world.file("kept");
    let record = |url: &str, latency: &str| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        format!("[{url}]\nts={now}\nconnectime={latency}\n\n")
    };
    let three = [live.as_str(), "http://b.example", "http://c.example"];
    let records = record(three[0], "0.3") + &record(three[1], "0.004") + &record(three[2], "0.1");
    fs::write(&kept, format!("[:_librepo_:]\nversion=1\n\n{records}")).expect("a file");

    let cases: &[(&str, &[&str])] = &[
        // Contents, ownership, the sequence of stages.
        ("order", &[&refusing, &live]),
        ("detailed", &[&refusing, &live]),
        ("order", &["--no-callback", &refusing, &live]),
        ("detailed", &["--no-handle", &refusing, &live]),
        ("order", &["--no-handle", &refusing, &live]),
        ("order", &["--ip", "1", &refusing, &live]),
        ("order", &[]),
        ("detailed", &[]),
        // Caches: none yet, unwritable, not one, of another version.
        ("order", &["--cache", &nowhere, &refusing, &live]),
        ("detailed", &["--cache", &foreign, &refusing, &live]),
        ("detailed", &["--cache", &old, &refusing, &live]),
        // From the cache, and nothing is measured; strictly sorted.
        ("detailed", &["--cache", &kept, three[0], three[1], three[2]]),
        ("detailed", &["--offline"]),
        // Internal lists.
        ("internal", &[&refusing, &live]),
        ("internal", &["--one-by-one", &refusing, &live]),
        ("internal", &[&live]),
        ("internal", &["--offline", &refusing, &live]),
        ("internal", &["http://a.example/1/", "http://a.example/2/"]),
        ("internal", &[&refusing, "+", &live]),
        ("internal", &[&refusing, &live, "+", &live, &refusing, "+", &refusing]),
        ("internal", &["--no-list", &refusing, &live]),
    ];
    for (function, arguments) in cases {
        let restore = |name: &str, text: &str| {
            if arguments.contains(&name) {
                fs::write(name, text).expect("a file");
            }
        };
        let theirs = Call::of(THEIRS, function, arguments).output();
        restore(&foreign, "[something]\nelse=1\n");
        restore(&old, "[:_librepo_:]\nversion=0\n");
        let ours = call_ours(function, arguments);
        // They are two.
        assert_ne!(lines(&theirs, "library "), lines(&ours, "library "));
        assert!(lines(&theirs, "log ").is_empty());
        let is_named = |line: &&str| line.starts_with("libfastestmirror 0.");
        assert!(
            arguments.contains(&"--no-list") || lines(&ours, "log ").first().is_some_and(is_named),
            "{ours}"
        );
        assert_eq!(comparable(&theirs), comparable(&ours), "{function} {arguments:?}");
        assert!(
            !ours.contains("not sorted") && !ours.contains("was changed") && !ours.contains("contradict")
        );
    }
}

#[test]
fn each_reads_the_others_cache() {
    if caller().is_none() {
        return;
    }
    let world = World::new();
    let (live, other) = (world.live(), world.other().replace("https", "http"));
    for (index, (writer, reader)) in
        [(PathBuf::from(THEIRS), ours()), (ours(), PathBuf::from(THEIRS))].into_iter().enumerate()
    {
        let cache = world.file(&index.to_string());
        let arguments = ["--cache", &cache, &live, &other];
        let written = Call::of(&writer, "detailed", &arguments).output();
        let read = Call::of(&reader, "detailed", &arguments).output();
        assert_eq!(lines(&written, "stage ")[3], "3 2", "two are measured: {written}");
        let stages = lines(&read, "stage ");
        assert_eq!(stages, ["0 -", &format!("1 {cache}"), "2 fine", "4 -", "5 fine"], "none is measured");
        let latencies = |output: &str| {
            let mut items: Vec<(usize, f64)> = lines(output, "item ")
                .into_iter()
                .map(|line| {
                    let words: Vec<&str> = line.split(' ').collect();
                    (words[0].parse().expect("an index"), words[4].parse().expect("seconds"))
                })
                .collect();
            items.sort_by_key(|(index, _)| *index);
            items
        };
        for (written, read) in latencies(&written).into_iter().zip(latencies(&read)) {
            // librepo writes 17 digits, we write microseconds.
            assert!((written.1 - read.1).abs() < 2e-6, "{written:?}, {read:?}");
        }
        assert!(lines(&read, "item ").iter().all(|line| line.split(' ').nth(3) == Some("1")), "{read}");
    }
}

/// librepo's own asks for whole hosts when it sorts; only a program that calls it directly asks for more.
#[test]
fn what_a_path_was_asked_for_with_is_remembered_for_its_host() {
    if caller().is_none() {
        return;
    }
    let world = World::new();
    let (cache, host) = (world.file("cache"), world.live());
    let with_path = format!("{host}/pub/linux/");
    call_ours("detailed", &["--cache", &cache, &with_path]);
    let probes = |library: &Path, url: &str| {
        let output = Call::of(library, "detailed", &["--cache", &cache, url]).output();
        lines(&output, "stage 3").len()
    };
    assert_eq!((probes(&ours(), &with_path), probes(&ours(), &host)), (0, 0));
    assert_eq!((probes(Path::new(THEIRS), &host), probes(Path::new(THEIRS), &with_path)), (0, 1));
    // What librepo's own has written for a path serves us.
    assert_eq!(probes(&ours(), &with_path), 0);
}

#[test]
fn nothing_but_a_handshake_and_no_whole_timeout_for_a_silent_mirror() {
    if caller().is_none() {
        return;
    }
    let world = World::new();
    let (live, other, silent) = (world.live(), world.other(), world.silent());
    let time = |library: &Path| {
        let start = Instant::now();
        let output = Call::of(library, "order", &["--timeout", "5", &silent, &live, &other]).output();
        (start.elapsed(), output)
    };
    let (took, output) = time(&ours());
    let mut live_ones = order(&output);
    assert_eq!(live_ones.pop(), Some(0), "the silent one is last: {output}");
    let (upstream, _) = time(Path::new(THEIRS));
    assert!(upstream > Duration::from_secs(4) && took * 4 < upstream, "{took:?} and {upstream:?}");
    // librepo's own has sent its TLS greeting; ours came first, and had sent none.
    let world = World::new();
    call_ours("order", &["--timeout", "5", &world.live(), &world.other()]);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(world.other.bytes.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn the_order_given_stands_when_nothing_answers_and_offline() {
    if caller().is_none() {
        return;
    }
    let ports: Vec<u16> = (0..8).map(|_| closed_port()).collect();
    let urls: Vec<String> =
        ports.iter().map(|port| format!("http://127.0.0.{}:{port}/x", port % 200 + 1)).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let given: Vec<usize> = (0..urls.len()).collect();
    for function in ["order", "detailed", "internal"] {
        let output = call_ours(function, &urls);
        assert_eq!(order(&output), given, "{function}");
        // Offline, librepo's own empties the list; nothing is told or measured.
        let output = call_ours(function, &[&["--offline"], &urls[..]].concat());
        assert_eq!(order(&output), given, "{function}");
        assert!(
            lines(&output, "stage ").is_empty() && output.contains("the order is kept: offline"),
            "{output}"
        );
    }
    // Known latencies that are equal: ties.
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let mut text = "[:_librepo_:]\nversion=1\n\n[http://near.example]\nts=1\nconnectime=0\n"
        .replace("ts=1", &format!("ts={now}"));
    let mut far = vec!["http://near.example".to_string()];
    for index in 0..8 {
        far.push(format!("http://far{index}.example"));
    }
    text = text.replace("connectime=0\n", "connectime=0.001\n");
    for url in &far[1..] {
        text += &format!("[{url}]\nts={now}\nconnectime=0.5\n");
    }
    fs::write(&cache, text).expect("a file");
    let mut arguments = vec!["--cache", cache.to_str().expect("UTF-8")];
    arguments.extend(far.iter().map(String::as_str));
    assert_eq!(order(&call_ours("order", &arguments)), (0..9).collect::<Vec<_>>());
}

#[test]
fn siblings_stay_together_and_a_file_leaves_the_others_shuffled() {
    if caller().is_none() {
        return;
    }
    let world = World::new();
    let (live, refusing) = (world.live(), world.refusing());
    let (first, second) = (format!("{live}/1/"), format!("{live}/2/"));
    let urls = [first.as_str(), &refusing, &second];
    let output = call_ours("order", &urls);
    assert!(output.contains("stage 3 2\n"), "two endpoints, three URLs: {output}");
    // With librepo's own the second one lands behind the dead one.
    assert_eq!(order(&call_ours("internal", &urls)), [0, 2, 1]);
    assert_eq!(order(&Call::of(THEIRS, "internal", &urls).output()), [0, 1, 2]);

    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let urls: Vec<String> = (1..=4).map(|host| format!("http://127.0.0.{host}:{}/", server.port())).collect();
    let arguments = ["file:///srv", &urls[0], &urls[1], &urls[2], &urls[3]];
    let orders: Vec<Vec<usize>> = (0..12)
        .map(|_| order(&Call::of(ours(), "order", &arguments).env("FASTESTMIRROR_SLACK", "1000").output()))
        .collect();
    assert!(orders.iter().all(|order| order[0] == 0), "{orders:?}");
    assert!(orders.iter().any(|order| *order != orders[0]), "{orders:?}");
}

#[test]
fn one_process_has_one_shuffle() {
    if caller().is_none() {
        return;
    }
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let url = |host: usize| format!("http://127.0.0.{host}:{}/", server.port());
    let urls: Vec<String> = (1..=6).map(url).collect();
    let mut arguments = vec!["--one-by-one"];
    arguments.extend(urls.iter().map(String::as_str));
    arguments.push("+");
    arguments.extend(urls.iter().rev().map(String::as_str));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..8 {
        let output = Call::of(ours(), "internal", &arguments).env("FASTESTMIRROR_SLACK", "1000").output();
        let items: Vec<String> = lines(&output, "item ")
            .iter()
            .map(|line| line.split(' ').nth(1).expect("a URL").to_string())
            .collect();
        // Two calls, for two handles whose lists are turned round.
        assert_eq!(items[..6], items[6..], "{output}");
        seen.insert(items[0].clone());
        // What the handle tells of its mirrors is not shuffled.
        assert!(output.contains("handle 1"));
    }
    assert!(seen.len() > 1, "every process prefers {seen:?}");
}

#[test]
fn ipv6_literals_are_measured_and_remembered() {
    if caller().is_none() || std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let world = World::new();
    let six = Server::start(Ipv6Addr::LOCALHOST);
    let url = format!("http://{}/", six.address);
    let cache = world.file("cache");
    for stages in [5, 4] {
        // `output` asserts that nothing is on standard error, where librepo's own has glib's criticals.
        let output = call_ours("internal", &["--cache", &cache, &world.refusing(), &url]);
        assert_eq!(order(&output), [1, 0]);
        assert_eq!(lines(&output, "stage ").len(), stages + 1, "{output}");
    }
}

#[test]
fn errors_are_librepos_and_only_for_wrong_arguments() {
    if caller().is_none() {
        return;
    }
    for (function, arguments) in [
        ("order", &["--no-list", "http://a.example"][..]),
        ("detailed", &["--no-list", "http://a.example"]),
        ("internal", &["--no-handle", "--one-by-one", "http://a.example"]),
    ] {
        let output = call_ours(function, arguments);
        assert_eq!(lines(&output, "result "), ["0"], "{output}");
        assert_eq!(lines(&output, "error "), ["lr_fastestmirror_error 1"], "{output}");
    }
    // What librepo's own fails for: a string that is no URL.
    let output = call_ours("order", &["", "\u{1b}[2J", "http://[nonsense", "nonsense://x"]);
    assert_eq!((lines(&output, "result "), order(&output)), (vec!["1"], vec![0, 1, 2, 3]));
    assert!(!output.contains('\u{1b}') || lines(&output, "log ").iter().all(|line| !line.contains('\u{1b}')));
}

#[test]
fn caches_that_differ_are_warned_of() {
    if caller().is_none() {
        return;
    }
    let world = World::new();
    let (a, b) = (world.file("a"), world.file("b"));
    let (live, refusing) = (world.live(), world.refusing());
    for arguments in
        [&["--cache", &a, &live, "+", "--cache", &b, &refusing][..], &[&live, "+", "--cache", &b, &refusing]]
    {
        let theirs = Call::of(THEIRS, "internal", arguments).output();
        let ours = call_ours("internal", arguments);
        assert_eq!(lines(&theirs, "warning ").len(), 1, "{theirs}");
        assert_eq!(lines(&ours, "warning ").len(), 1, "{ours}");
        assert!(lines(&ours, "warning ")[0].contains(&b), "{ours}");
    }
}

#[test]
fn behind_a_proxy_the_order_is_kept() {
    if caller().is_none() {
        return;
    }
    let world = World::new();
    let (live, refusing, other) = (world.live(), world.refusing(), world.other());
    let proxy = format!("http://127.0.0.1:{}", closed_port());
    let urls = [refusing.as_str(), &live, "http://foo.example:8080/x"];
    let is_kept = |output: &str| {
        assert_eq!(lines(output, "stage "), ["0 -", "5 fine"], "{output}");
        let said = lines(output, "log ").iter().any(|line| line.contains("is reached through a proxy"));
        assert!(said, "{output}");
    };
    for function in ["order", "detailed", "internal"] {
        let output = call_ours(function, &[&["--proxy", &proxy], &urls[..]].concat());
        is_kept(&output);
        assert_eq!(order(&output), [0, 1, 2], "{output}");
    }
    is_kept(&Call::of(ours(), "order", &urls).env("http_proxy", &proxy).output());
    is_kept(&Call::of(ours(), "order", &urls).env("ALL_PROXY", "socks5h://127.0.0.1:1").output());
    let alone = Call::of(ours(), "order", &[&["--no-handle"], &urls[..]].concat()).env("http_proxy", &proxy);
    assert!(alone.output().contains("is reached through a proxy"));
    // One for https alone; exceptions for none, for some, for all.
    let both = [live.as_str(), &other];
    is_kept(&Call::of(ours(), "order", &both).env("https_proxy", &proxy).output());
    let partly = ["http://127.0.0.2:1/", "http://foo.example:1/"];
    is_kept(
        &Call::of(ours(), "order", &partly).env("http_proxy", &proxy).env("no_proxy", "127.0.0.2").output(),
    );
    let is_measured = |output: &str| assert!(output.contains("stage 3"), "{output}");
    assert_eq!(world.live.accepted.load(std::sync::atomic::Ordering::SeqCst), 0, "nothing was connected to");
    is_measured(&Call::of(ours(), "order", &both).env("ftp_proxy", &proxy).output());
    let here = [live.as_str(), &refusing];
    is_measured(
        &Call::of(ours(), "order", &here).env("http_proxy", &proxy).env("no_proxy", "127.0.0.1").output(),
    );
    is_measured(&Call::of(ours(), "order", &here).env("http_proxy", &proxy).env("no_proxy", "*").output());
}

#[test]
fn nobody_is_asked_for_the_address_of_a_proxy_or_a_mirror_behind_it() {
    if caller().is_none() {
        return;
    }
    lab::isolated("nobody_is_asked_for_the_address_of_a_proxy_or_a_mirror_behind_it", || {
        let world = lab::World::start(lab::Spec::new()).expect("a world");
        let urls = ["http://127.0.0.1:1/", "http://foo.example/"];
        for proxy in
            ["http://proxy.example:3128", "socks5h://proxy.example", "foo://127.0.0.1:9", "198.51.100.1"]
        {
            let output = Call::of(ours(), "order", &urls).env("http_proxy", proxy).output();
            assert!(output.contains("is reached through a proxy") && !output.contains("stage 3"), "{output}");
        }
        let report = world.report();
        let is_ours = |name: &String| name.contains("proxy") || name.contains("foo");
        assert!(!report.lookups.keys().any(is_ours) && report.attempts.is_empty(), "{:?}", report.lookups);
    });
}

#[test]
fn each_handles_own_proxy_counts() {
    if caller().is_none() {
        return;
    }
    let world = World::new();
    let (live, refusing) = (world.live(), world.refusing());
    let proxy = format!("http://127.0.0.1:{}", closed_port());
    // 127.0.0.3 and 127.0.0.4 are reached through it; what is there must not be told from what is not.
    let behind = ["http://127.0.0.3:1/", "http://127.0.0.4:1/"];
    let plain = [refusing.as_str(), &live];
    let through = [&["--proxy", proxy.as_str()], &behind[..]].concat();
    for (arguments, plain_first) in [
        ([&plain[..], &["+"], &through[..]].concat(), true),
        ([&through[..], &["+"], &plain[..]].concat(), false),
    ] {
        let output = call_ours("internal", &arguments);
        let expected = if plain_first { [1, 0, 0, 1] } else { [0, 1, 1, 0] };
        assert_eq!(order(&output), expected, "{output}");
        assert!(!output.contains("127.0.0.3:1/: refused"), "{output}");
        assert!(output.contains("stage 3 2\n"), "{output}");
    }
    // A handle with an empty proxy has none, whatever the environment says: dnf's proxy=_none_.
    let none = [&["--proxy", ""], &plain[..]].concat();
    let output = Call::of(ours(), "internal", &none).env("http_proxy", &proxy).output();
    assert_eq!(order(&output), [1, 0], "{output}");
}

/// The fallbacks of one repository are none for another, and a mirror that was outside a pool of others is looked at again.
#[test]
fn no_list_of_a_batch_is_left_without_a_mirror_that_answers() {
    if caller().is_none() {
        return;
    }
    lab::isolated("no_list_of_a_batch_is_left_without_a_mirror_that_answers", || {
        let mut mirrors = vec![
            lab::Mirror::new("near.lab.example").ipv4(lab::answer(lab::ms(1.0))),
            lab::Mirror::new("dead.lab.example").ipv4(lab::Fate::Silent),
            lab::Mirror::new("far.lab.example").ipv4(lab::answer(lab::ms(250.0))),
            lab::Mirror::new("mid.lab.example").ipv4(lab::answer(lab::ms(200.0))),
        ];
        let many: Vec<String> = (0..20).map(|n| format!("m{n}.lab.example")).collect();
        let rtt = |n: usize| lab::answer(lab::ms(20.0 + 2.0 * n as f64));
        mirrors.extend(many.iter().enumerate().map(|(n, name)| lab::Mirror::new(name).ipv4(rtt(n))));
        let _world = lab::World::start(lab::Spec::new().mirrors(mirrors)).expect("a world");
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache").display().to_string();
        let url = |name: &str| format!("http://{name}/");
        let few = ["dead", "far", "mid"].map(|name| url(&format!("{name}.lab.example")));
        let (near, many): (String, Vec<String>) =
            (url("near.lab.example"), many.iter().map(|name| url(name)).collect());
        // First one list in which these are outside the pool, and far enough away not to be waited for.
        let mut all = vec!["--cache", cache.as_str(), &near];
        all.extend(many.iter().map(String::as_str));
        all.extend(few.iter().map(String::as_str));
        let first = call_ours("internal", &all);
        let unanswered = first.lines().filter(|line| line.ends_with(": no answer")).count();
        assert!(unanswered >= 3, "settled before they answered: {first}");
        // Then the batch, twice.
        let mut batch = vec!["--cache", cache.as_str(), &near, "+"];
        batch.extend(many.iter().map(String::as_str));
        batch.push("+");
        batch.extend(few.iter().map(String::as_str));
        for arguments in [&batch[..], &batch[..], &batch[2..]] {
            let output = call_ours("internal", arguments);
            // The other two are near enough to each other to be shuffled.
            assert_eq!(order(&output).last(), Some(&0), "the dead one is last: {output}");
        }
    });
}

/// Ours ends as soon as the pool and 16 more are known; librepo's own waits for the last, up to the timeout.
#[test]
fn a_far_mirror_may_be_unmeasured_but_none_of_the_nearest_sixteen_outside_the_pool() {
    if caller().is_none() {
        return;
    }
    lab::isolated("a_far_mirror_may_be_unmeasured_but_none_of_the_nearest_sixteen_outside_the_pool", || {
        let rtts: Vec<f64> =
            [900.0; 5].into_iter().chain([20.0, 24.0]).chain((0..20).map(|n| 60.0 + n as f64)).collect();
        let name = |index: usize| format!("m{index}.lab.example");
        let mirrors = rtts
            .iter()
            .enumerate()
            .map(|(index, rtt)| lab::Mirror::new(&name(index)).ipv4(lab::answer(lab::ms(*rtt))));
        let world = lab::World::start(lab::Spec::new().mirrors(mirrors)).expect("a world");
        let urls: Vec<String> = (0..rtts.len()).map(|index| format!("http://{}", name(index))).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let output = call_ours("detailed", &urls);
        assert!(!output.contains("not sorted"), "{output}");
        let order = order(&output);
        assert!(order.iter().take(2).all(|index| [5, 6].contains(index)), "{output}");
        let unmeasured = lines(&output, "item ").iter().filter(|line| line.contains(" unmeasured ")).count();
        let last = &order[order.len() - unmeasured..];
        assert!(last.starts_with(&[0, 1, 2, 3, 4]) && last.is_sorted(), "last, in the order given: {output}");
        assert!((5..=9).contains(&unmeasured), "{output}");
        drop(world);
    });
}

#[test]
fn an_administrator_can_turn_it() {
    if caller().is_none() {
        return;
    }
    let world = World::new();
    let urls = [world.refusing(), world.live()];
    let urls = [urls[0].as_str(), &urls[1]];
    let with = |name: &str, value: &str| Call::of(ours(), "order", &urls).env(name, value).output();
    let off = with("FASTESTMIRROR_OFF", "1");
    assert_eq!((order(&off), lines(&off, "stage ").len()), (vec![0, 1], 0));
    let off = Call::of(ours(), "internal", &urls).env("FASTESTMIRROR_OFF", "1").output();
    assert_eq!((order(&off), lines(&off, "stage ").len()), (vec![0, 1], 0));
    assert!(off.contains("FASTESTMIRROR_OFF is set"));
    for (name, value) in [
        ("FASTESTMIRROR_OFF", "0"),
        ("FASTESTMIRROR_OFF", ""),
        ("FASTESTMIRROR_FALLBACKS", "all"),
        ("FASTESTMIRROR_FACTOR", "1.5"),
        ("FASTESTMIRROR_SLACK", "5"),
    ] {
        let output = with(name, value);
        assert_eq!(order(&output), [1, 0], "{name}={value}");
        assert!(!output.contains("ignored"), "{output}");
    }
    for (name, value) in
        [("FASTESTMIRROR_OFF", "maybe"), ("FASTESTMIRROR_FACTOR", "0"), ("FASTESTMIRROR_SLACK", "x")]
    {
        let output = with(name, value);
        assert_eq!(order(&output), [1, 0], "{name}={value}");
        let said = lines(&output, "log ").iter().any(|line| line.contains(name) && line.contains("ignored"));
        assert!(said, "{output}");
    }
}

#[test]
fn an_interrupt_ends_measuring_at_once() {
    if caller().is_none() {
        return;
    }
    let silent: Vec<Silent> =
        [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)].map(Silent::start).into();
    let urls: Vec<String> = silent.iter().map(|silent| format!("http://{}/", silent.address)).collect();
    let time = |preload: Option<PathBuf>| {
        let mut call = Call::of("loaded", "perform", &["--timeout", "4", &urls[0], &urls[1]]).0;
        if let Some(library) = preload {
            call.env("LD_PRELOAD", library);
        }
        let mut child = call.stdout(Stdio::piped()).spawn().expect("it runs");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        while line != "begin\n" {
            line.clear();
            assert!(output.read_line(&mut line).expect("a pipe") > 0, "it has ended");
        }
        std::thread::sleep(Duration::from_millis(400));
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("UTF-8");
        assert!(child.wait().expect("a child").success());
        // LRE_INTERRUPTED.
        assert!(lines(&rest, "error ")[0].ends_with(" 27"), "{rest}");
        let milliseconds: u64 = lines(&rest, "milliseconds ")[0].parse().expect("a number");
        (milliseconds, rest)
    };
    let (took, output) = time(Some(ours()));
    assert!(output.contains("measuring ended with an interrupt"), "{output}");
    assert!(took < 2500, "{took} ms: {output}");
    let (theirs, _) = time(None);
    assert!(theirs > 3900, "{theirs} ms");
}

#[test]
fn linked_before_librepo_or_preloaded_it_takes_its_place() {
    if caller().is_none() {
        return;
    }
    make_soname();
    let folder = with_librepo().display().to_string();
    let before =
        ["-Wl,--no-as-needed", &format!("-L{folder}"), "-lfastestmirror", &format!("-Wl,-rpath,{folder}")];
    let linked = compile("tests/c/librepo_call.c", "call-linked", &before, &["librepo", "glib-2.0"]);
    let world = World::new();
    let arguments = ["loaded", "perform", &world.refusing(), &format!("{}1", world.refusing())];
    let runs = [
        (run(Command::new(linked).args(arguments)), true),
        (run(Command::new(caller().expect("asked before")).args(arguments).env("LD_PRELOAD", ours())), true),
        (run(Command::new(caller().expect("asked before")).args(arguments)), false),
    ];
    for (output, is_ours) in runs {
        assert_eq!(lines(&output, "library ")[0].contains("libfastestmirror"), is_ours, "{output}");
        // librepo itself called it.
        let called = output.contains("lr_fastestmirror_sort_internalmirrorlist: 1 handle");
        assert_eq!(called, is_ours, "{output}");
    }
}

#[test]
fn the_example_works_as_the_readme_builds_it() {
    if !have_librepo() {
        return;
    }
    make_soname();
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    let line = readme.lines().map(str::trim).find(|line| line.starts_with("cc examples/through_librepo.c"));
    let program = scratch().join("through_librepo");
    let line = line.expect("the README says how to build it").replace("$PWD/", "");
    let line = line.replace("target/release", &with_librepo().display().to_string());
    let line = line.replace("target/through_librepo", &program.display().to_string());
    run(Command::new("sh").current_dir(root()).args(["-ec", &format!("{line} -Wall -Wextra -Werror")]));
    let world = World::new();
    let urls = [world.refusing(), world.live()];
    let output = run(Command::new(&program).args(&urls).env("G_MESSAGES_DEBUG", "librepo"));
    assert!(output.contains("libfastestmirror 0."), "{output}");
    let order: Vec<&str> = output.lines().filter(|line| line.starts_with("http")).collect();
    assert_eq!(order, [urls[1].as_str(), &urls[0]]);
}

#[test]
fn a_hundred_calls_leave_nothing_behind_and_valgrind_finds_nothing() {
    if caller().is_none() {
        return;
    }
    let world = World::new();
    let (live, refusing, other) = (world.live(), world.refusing(), world.other());
    let cache = world.file("cache");
    let calls: &[(&str, &[&str])] = &[
        ("order", &["--cache", &cache, &refusing, &live, &other, "http://127.0.0.1:1/a/", "file:///srv"]),
        ("detailed", &["--cache", &cache, &refusing, &live, &other, "nonsense"]),
        ("detailed", &["--no-handle", &refusing, &live]),
        ("internal", &["--cache", &cache, &refusing, &live, "+", &other, &live]),
        ("internal", &["--one-by-one", "--no-callback", &refusing, &live, "+", &other, &live]),
        ("order", &["--no-list"]),
    ];
    for (function, arguments) in calls {
        let output = call_ours(function, &[&["--repeat", "100"], *arguments].concat());
        assert_eq!(lines(&output, "left behind: "), ["0 descriptors, 0 threads"]);
    }
    if !have("valgrind", program("valgrind").arg("--version")) {
        return;
    }
    for (function, arguments) in calls {
        let mut valgrind = program("valgrind");
        valgrind.args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible"]);
        // glib and libcrypto keep what they allocate once; ours must not be in any leak.
        valgrind.args([
            "--show-leak-kinds=definite,indirect,possible",
            "--error-exitcode=9",
            "--track-fds=no",
        ]);
        let caller = caller().expect("asked before");
        let output =
            valgrind.arg(caller).arg(ours()).arg(function).args(["--repeat", "3"]).args(*arguments).output();
        let output = output.expect("valgrind runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{function} {arguments:?}: {stderr}");
    }
}

#[test]
fn without_librepo_nothing_happens_that_needs_it() {
    let program = scratch().join("absent");
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g"]);
    run(cc.arg(root().join("tests/c/librepo_absent.c")).arg("-o").arg(&program).arg("-ldl"));
    assert_eq!(run(Command::new(&program).arg(ours())), "all is well\n");
    assert_eq!(run(Command::new(&program).env("LD_PRELOAD", ours())), "all is well\n");
}

#[test]
fn a_librepo_of_unknown_layout_is_used_by_its_public_interface() {
    if !have("glib", program("pkg-config").args(["--exists", "glib-2.0"])) {
        return;
    }
    for (name, define) in [("grown", &["-DLAYOUT=1"][..]), ("small", &["-DLAYOUT=0", "-DSMALL"])] {
        let folder = scratch().join(name);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let shared = [define, &["-shared", "-fPIC", "-Wl,-soname,librepo.so.0"]].concat();
        compile("tests/c/librepo_other.c", &format!("{name}/librepo.so.0"), &shared, &["glib-2.0"]);
        let libraries = [ours(), folder.join("librepo.so.0")].map(|path| path.display().to_string());
        let rpath = format!("-Wl,--no-as-needed,-rpath,{}:{}", with_librepo().display(), folder.display());
        let more = [libraries[0].as_str(), &libraries[1], &rpath];
        let caller = compile("tests/c/librepo_other_call.c", &format!("{name}/call"), &more, &["glib-2.0"]);
        make_soname();
        // Measured, as the getters allow it; the callback is not to be had, the internal list is left alone.
        let output = run(Command::new(caller).env("G_MESSAGES_DEBUG", "librepo"));
        assert!(output.ends_with("file:///srv\n") && !output.contains("stage"), "{output}");
        assert!(output.contains("this librepo is not known well enough"), "{output}");
    }
}

#[test]
fn the_symbols_are_librepos_and_ours_and_no_others() {
    if !have("nm", program("nm").arg("--version")) {
        return;
    }
    let symbols = run(program("nm").args(["-D", "--defined-only"]).arg(ours()));
    let mut symbols: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    symbols.sort_unstable();
    let expected = fs::read_to_string(root().join("tests/c/symbols.txt")).expect("a list");
    let expected = format!(
        "{expected}lr_fastestmirror\nlr_fastestmirror_detailed\nlr_fastestmirror_sort_internalmirrorlist\n\
         lr_fastestmirror_sort_internalmirrorlists\nlr_lrfastestmirror_free\n"
    );
    let mut expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
    expected.sort_unstable();
    assert_eq!(symbols, expected);
    let wanted = run(program("nm").args(["-D", "--undefined-only"]).arg(ours()));
    for foreign in ["g_", "curl_", "lr_"] {
        assert!(!wanted.contains(&format!(" {foreign}")), "{wanted}");
    }
    let needed = run(program("readelf").arg("-d").arg(ours()));
    for foreign in ["glib", "curl", "repo", "gio"] {
        let is_it = |line: &str| line.contains("NEEDED") && line.contains(&format!("lib{foreign}"));
        assert!(!needed.lines().any(is_it), "{needed}");
    }
}
