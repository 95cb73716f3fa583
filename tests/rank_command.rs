//! The command `rank`, run as a user runs it: a process, its output and its exit status. All mirrors are on loopback
//! addresses; names occur only where nothing is looked up.
//!
//! The command is also a module here, so that the unit tests of its parts run: an example with `test = true` would run
//! them, but then `cargo test` no longer builds the example itself.

#[path = "../examples/rank.rs"]
#[allow(dead_code)]
mod parts;

use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::servers::Silent;
use support::{build, servers};

fn rank(arguments: &[&str]) -> Command {
    let mut command = Command::new(build::rank());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: signal(2) is async-signal-safe, which is all that is allowed between fork and exec. Who runs the tests
    // in the background of a shell may have set SIGINT to be ignored, which is inherited.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    command
}

/// Runs the command to its end with this on standard input. No run takes longer than a few seconds; one that hangs is
/// killed, so that the test fails instead of hanging, too.
fn run_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = rank(arguments).stdin(Stdio::piped()).spawn().expect("the command starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    // Who does not read all of its input is right, too.
    thread::spawn(move || drop(stdin.write_all(&input)));
    finish(child)
}

fn run(arguments: &[&str]) -> Output {
    run_with(arguments, b"")
}

fn finish(child: Child) -> Output {
    let id = child.id();
    let (done, over) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if over.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
            kill(id, libc::SIGKILL);
        }
    });
    let output = child.wait_with_output().expect("the command can be waited for");
    drop(done);
    watchdog.join().expect("the watchdog does not panic");
    assert_ne!(output.status.signal(), Some(libc::SIGKILL), "the command hung");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    output
}

fn kill(id: u32, signal: i32) {
    // SAFETY: kill(2) takes two numbers; the child has not been waited for, so that the first is still its.
    unsafe { libc::kill(id as i32, signal) };
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the output is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are UTF-8")
}

/// The JSON of a run, which must be one line.
fn json(output: &Output) -> Value {
    let text = stdout(output);
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    serde_json::from_str(&text).expect("the output is JSON")
}

/// The URLs in the order of a run's JSON.
fn urls(json: &Value) -> Vec<&str> {
    mirrors(json).iter().map(|mirror| mirror["url"].as_str().expect("a URL is a string")).collect()
}

fn mirrors(json: &Value) -> &[Value] {
    json["mirrors"].as_array().expect("mirrors are an array")
}

/// A file with this content in the folder that Cargo gives to tests.
fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the folder for tests can be written to");
    path.into_os_string().into_string().expect("a path is UTF-8")
}

/// A mirror that accepts connections: the kernel does, as long as there is room in the queue.
fn open(host: u8) -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 77, 1, host), 0)).expect("loopback can be bound");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

fn metalink(urls: &[(&str, u8)]) -> String {
    let urls: String = urls
        .iter()
        .map(|(url, preference)| {
            format!("<url protocol='http' type='http' location='DE' preference='{preference}'>{url}</url>\n")
        })
        .collect();
    format!(
        "<?xml version='1.0' encoding='utf-8'?>\n\
         <metalink version='3.0' xmlns='http://www.metalinker.org/' type='dynamic' \
         xmlns:mm0='http://fedorahosted.org/mirrormanager'>\n<files>\n<file name='repomd.xml'>\n\
         <mm0:timestamp>1</mm0:timestamp>\n<resources maxconnections='1'>\n{urls}\
         </resources>\n</file>\n</files>\n</metalink>\n"
    )
}

#[test]
fn a_mirrorlist_comes_out_as_a_table() {
    let (_listener, port) = open(1);
    let list = file(
        "table.txt",
        format!(
            "# a comment\n\nrsync://127.0.0.1/pub\nhttp://127.77.1.2:{}/pub\nhttp://127.77.1.1:{port}/pub\n\
             file:///srv/mirror\n",
            servers::closed_port()
        ),
    );
    let output = run(&[&list]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
    let text = stdout(&output);
    let order =
        ["local", "file:///srv", "the pool", "● ", "measured", &format!(":{port}/pub"), "failed", "refused"];
    let mut rest = &text[..];
    for part in order {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} is not in its place:\n{text}"));
        rest = &rest[at + part.len()..];
    }
    assert!(text.contains("\n1 of 3 mirrors answered; 1 in the pool (●); 1 on this machine."), "{text}");
    assert!(text.contains("(complete): every mirror has an outcome."), "{text}");
}

#[test]
fn json_tells_all_of_each_mirror() {
    let (_listener, port) = open(3);
    let closed = format!("http://127.77.1.4:{}/", servers::closed_port());
    let near = format!("http://127.77.1.3:{port}/");
    let output = run(&["--json", "--seed", "7", &closed, "rsync://127.77.1.3/", &near, "file:/srv"]);
    assert_eq!(output.status.code(), Some(0));
    let json = json(&output);
    assert_eq!(json["ended"], "complete");
    assert_eq!(json["seed"], 7);
    assert_eq!(json["indistinct"], false);
    assert!(json["elapsed_ms"].as_f64().expect("a number") >= 0.0);
    let expected = [(3, "local"), (2, "measured"), (0, "refused"), (1, "unsupported")];
    let found: Vec<_> = mirrors(&json)
        .iter()
        .map(|mirror| (mirror["index"].as_u64().unwrap_or(99), mirror["outcome"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(found, expected);
    let measured = &mirrors(&json)[1];
    assert_eq!(measured["url"], near.as_str());
    assert_eq!(measured["address"], format!("127.77.1.3:{port}"));
    assert_eq!(measured["pool"], true);
    let latency = measured["latency_ms"].as_f64().expect("a number");
    assert!(latency >= 0.001 && (latency * 1000.0 - (latency * 1000.0).round()).abs() < 1e-6, "{latency}");
    let refused = &mirrors(&json)[2];
    assert!(refused["latency_ms"].is_null() && refused["address"].is_null() && refused["pool"] == false);
    let fields = r#""outcome":"refused","latency_ms":null,"imprecise":false,"pool":false,"address":null}"#;
    assert!(stdout(&output).contains(fields), "{}", stdout(&output));
}

#[test]
fn ipv6_mirrors_are_measured_and_a_family_can_be_chosen() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        lab::skip("there is no IPv6 on this machine");
        return;
    };
    let v6 = format!("http://[::1]:{}/", listener.local_addr().expect("it is bound").port());
    let (_listener, port) = open(5);
    let v4 = format!("http://127.77.1.5:{port}/");
    for (option, answers) in [("--ipv4", &v4), ("--ipv6", &v6)] {
        let output = run(&["--json", option, &v4, &v6]);
        let json = json(&output);
        assert_eq!(urls(&json)[0], answers);
        assert_eq!(mirrors(&json)[0]["outcome"], "measured");
        assert_eq!(mirrors(&json)[1]["outcome"], "unresolved");
        let address: SocketAddr =
            mirrors(&json)[0]["address"].as_str().and_then(|a| a.parse().ok()).expect(option);
        assert_eq!(matches!(address.ip(), IpAddr::V4(_)), option == "--ipv4");
    }
}

#[test]
fn a_metalink_is_read_from_standard_input_and_its_preferences_can_count() {
    let open: Vec<_> = (10..14).map(open).collect();
    let of = |host: usize| format!("http://127.77.1.{}:{}/f/repodata/repomd.xml", host + 10, open[host].1);
    let list: Vec<String> = (0..4).map(of).collect();
    let xml = metalink(&[(&list[0], 1), (&list[1], 1), (&list[2], 100), (&list[3], 1)]);
    // The factor puts all into the pool, however uneven a busy machine makes them.
    let leads = |weights: &[&str]| {
        let lead = |seed: u32| {
            let mut arguments = vec!["--json", "--fallbacks=all", "--factor=1000", "--slack=60000", "--seed"];
            let seed = seed.to_string();
            arguments.push(&seed);
            arguments.extend(weights);
            arguments.push("-");
            let json = json(&run_with(&arguments, xml.as_bytes()));
            assert!(mirrors(&json).iter().all(|mirror| mirror["pool"] == true), "{json}");
            urls(&json)[0] == list[2]
        };
        (0..20).filter(|seed| lead(*seed)).count()
    };
    // With fixed seeds and hosts the order is fixed: no chance is left in these numbers.
    assert!(leads(&["--weights"]) >= 17);
    assert!(leads(&[]) <= 12);
}

#[test]
fn urls_make_a_mirrorlist_again() {
    let (_listener, port) = open(20);
    let urls = [
        format!("http://127.77.1.21:{}/f/repodata/repomd.xml", servers::closed_port()),
        format!("http://127.77.1.20:{port}/f/repodata/repomd.xml"),
        "rsync://127.77.1.20/f/repodata/repomd.xml".to_string(),
    ];
    let xml = metalink(&[(&urls[0], 100), (&urls[1], 99), (&urls[2], 98)]);
    let base = |url: &String| url.replace("repodata/repomd.xml", "");
    let expected = format!("{}\n{}\n{}\n", base(&urls[1]), base(&urls[0]), base(&urls[2]));
    let output = run_with(&["--urls", "-"], xml.as_bytes());
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), expected.clone()));
    // A mirrorlist has base URLs already, whatever they end in.
    let again = run_with(&["--urls", "-"], expected.as_bytes());
    assert_eq!(stdout(&again), expected);
    let list = format!("{}\n", urls[1]);
    assert_eq!(stdout(&run_with(&["--urls", "-"], list.as_bytes())), list);
}

#[test]
fn one_seed_gives_one_order() {
    let list: String = (0..30).map(|n| format!("http://mirror{n}.example/\n")).collect();
    let file = file("seed.txt", &list);
    // Nothing is measured, so nothing is shuffled: the order given.
    let output = run(&["--urls", "--timeout", "0", "--seed", "7", &file]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(3), list));

    let open: Vec<_> = (30..36).map(open).collect();
    let urls: Vec<String> =
        (30..).zip(&open).map(|(host, (_, port))| format!("http://127.77.1.{host}:{port}/")).collect();
    let mut arguments = vec!["--urls", "--slack=60000", "--fallbacks=all", "--seed=7"];
    arguments.extend(urls.iter().map(String::as_str));
    assert_eq!(stdout(&run(&arguments)), stdout(&run(&arguments)));
}

#[test]
fn input_that_cannot_be_used_is_told_with_file_line_and_reason() {
    let huge = vec![b'#'; (16 << 20) + 1];
    let folder = env!("CARGO_TARGET_TMPDIR");
    let table: [(&str, &[u8], &str); 10] = [
        (
            "html.txt",
            b"<!DOCTYPE html>\n<title>Sign in</title>",
            ":1: an HTML page, neither a mirrorlist nor a metalink",
        ),
        ("text.txt", b"http://127.0.0.1/\nno such repository\n", ":2: not a URL: no such repository"),
        ("control.txt", b"\x1b]0;gotcha\x07\n", ":1: not a URL: \\u{1b}]0;gotcha\\u{7}"),
        ("latin1.txt", b"# \xfc\n", ":1: not UTF-8"),
        ("empty.txt", b"", ": there is no URL in it"),
        ("comments.txt", b"# nothing\n", ": there is no URL in it"),
        ("huge.txt", &huge, ": cannot be read: larger than 16 MiB, too large for a list"),
        ("root.xml", b"<?xml version='1.0'?>\n\n<rss/>", ":3: not a metalink: the root element is <rss>"),
        (
            "broken.xml",
            b"<metalink>\n<files>\n</metalink>",
            ":3: malformed XML: expected 'files' tag, not 'metalink'",
        ),
        ("none.xml", b"<metalink/>", ": there is no URL in it"),
    ];
    for (name, content, reason) in table {
        let path = file(name, content);
        let output = run(&[&path]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{name}");
        assert_eq!(stderr(&output), format!("error: {path}{reason}\n"));
        let output = run_with(&["-"], content);
        assert_eq!(stderr(&output), format!("error: standard input{reason}\n"));
    }
    let missing = format!("{folder}/missing\x1b[2J.txt");
    let message =
        format!("error: {folder}/missing\\u{{1b}}[2J.txt: cannot be read: No such file or directory\n");
    assert_eq!(stderr(&run(&[&missing])), message);
    assert_eq!(stderr(&run(&[folder])), format!("error: {folder}: cannot be read: Is a directory\n"));
    assert_eq!(run(&[folder]).status.code(), Some(2));
    let preference = metalink(&[("http://127.0.0.1/", 1), ("http://127.0.0.2/", 101)]);
    let message = "error: standard input:8: the preference \"101\" is not a number from 1 to 100\n";
    assert_eq!(stderr(&run_with(&["-"], preference.as_bytes())), message);
}

#[test]
fn arguments_that_cannot_be_used_are_told() {
    let list = file("fine.txt", "http://127.0.0.1/\n");
    let list = list.as_str();
    let table: [(&[&str], &str); 12] = [
        (&[list, list], "only one file can be read"),
        (&["http://127.0.0.1/", list], "is not a URL, and files and URLs do not mix"),
        (&["http://127.0.0.1/", "-"], "\"-\" is not a URL"),
        (&["--json", "--urls", list], "'--json' cannot be used with '--urls'"),
        (&["--ipv4", "--ipv6", list], "'--ipv4' cannot be used with '--ipv6'"),
        (&["--timeout", "-1", list], "'--timeout <SECONDS>': it must be a number from 0, at most 3600 s"),
        (&["--slack", "1e9", list], "'--slack <MS>': it must be a number from 0, at most 60 s"),
        (&["--factor", "0.5", list], "'--factor <F>': it must be a number from 1 to 1000"),
        (&["--seed", "x", list], "'--seed <N>': it must be a whole number"),
        (&["--weights", list], "--weights needs preferences"),
        (&["--https-only", list], "the filters leave nothing of 1 mirror"),
        (&["--json"], "there is no list and no URL"),
    ];
    for (arguments, reason) in table {
        let output = run(arguments);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{arguments:?}");
        assert!(stderr(&output).contains(reason), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn help_is_an_answer() {
    let output = run(&["--help"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    for part in
        ["Usage: rank [OPTIONS] FILE | - | URL...", "Examples:", "--https-only", "Exit status: 0; 2 if"]
    {
        assert!(stdout(&output).contains(part), "{part}");
    }
}

#[test]
fn without_an_answer_the_order_given_is_printed_and_the_status_is_3() {
    let list = format!(
        "http://127.77.1.41:{}/\nrsync://127.0.0.1/\nhttp://127.77.1.42:{}/\n",
        servers::closed_port(),
        servers::closed_port()
    );
    let output = run_with(&["--urls", "-"], list.as_bytes());
    assert_eq!((output.status.code(), stdout(&output)), (Some(3), list.clone()));
    assert_eq!(stderr(&output), "warning: no mirror answered: this is the order given\n");
    let output = run_with(&["-"], list.as_bytes());
    assert_eq!((output.status.code(), stderr(&output)), (Some(3), String::new()));
    assert!(stdout(&output).contains("no answer from anybody: the order given"), "{}", stdout(&output));
    let output = run(&["--json", "http://mirror.example/", "--timeout", "0"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(json(&output)["ended"], "timeout");
    assert_eq!(run(&["file:///srv"]).status.code(), Some(0));
}

#[test]
fn https_only_leaves_the_others_out() {
    let (_listener, port) = open(50);
    let list =
        format!("http://127.77.1.50:{port}/\nhttps://127.77.1.50:{port}/\nfile:///srv\nrsync://127.0.0.1/\n");
    let output = run_with(&["--https-only", "--json", "-"], list.as_bytes());
    let json = json(&output);
    assert_eq!(urls(&json), [format!("https://127.77.1.50:{port}/")]);
    assert_eq!(mirrors(&json)[0]["index"], 1);
    let table = stdout(&run_with(&["--https-only", "-"], list.as_bytes()));
    assert!(table.contains("Left out by filters: 3 mirrors."), "{table}");
}

const NASTY: &str =
    "http://127.77.1.60:1/\x1b[2J\u{7f}\u{85}\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}\t\x08\x00end";

/// Whether a text has nothing but lines of characters that show.
fn is_clean(text: &str) -> bool {
    let hidden = ['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}'];
    text.chars().all(|c| c == '\n' || !(c.is_control() || hidden.contains(&c)))
}

#[test]
fn control_characters_never_come_out_raw() {
    for format in [&["-"][..], &["--json", "-"], &["--urls", "-"]] {
        let output = run_with(format, NASTY.as_bytes());
        assert_eq!(output.status.code(), Some(3));
        let text = stdout(&output);
        assert!(is_clean(&text), "{text:?}");
        assert!(text.contains("end"), "{text}");
    }
    assert_eq!(json(&run_with(&["--json", "-"], NASTY.as_bytes()))["mirrors"][0]["url"], NASTY);
    let urls =
        "http://127.77.1.60:1/%1B[2J%7F%C2%85%C2%9B31m%E2%80%AE%E2%81%A6%E2%80%8B%EF%BB%BF%09%08%00end\n";
    assert_eq!(stdout(&run_with(&["--urls", "-"], NASTY.as_bytes())), urls);
}

#[test]
fn who_stops_reading_gets_no_complaint() {
    // More than fits into a pipe.
    let list: String = (0..3000).map(|n| format!("http://mirror{n}.example/{}\n", "x".repeat(50))).collect();
    let list = file("long.txt", list);
    for format in ["--json", "--urls", "--seed=7"] {
        let mut child = rank(&[format, "--timeout=0", &list]).spawn().expect("the command starts");
        drop(child.stdout.take());
        let output = finish(child);
        assert_eq!(output.status.code(), Some(3), "{format}");
        assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has /dev/full");
    let output = finish(rank(&["--timeout=0", &list]).stdout(full).spawn().expect("the command starts"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("error: cannot write: No space left on device"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn ctrl_c_prints_what_is_known() {
    let silent = Silent::start(Ipv4Addr::new(127, 77, 2, 1));
    let (listener, port) = open(70);
    let near = format!("http://127.77.1.70:{port}/");
    let far = format!("http://{}/", silent.address);
    // The whole pool and no more is known at once, but so few fallbacks do not end the run, and one silent mirror
    // alone would be waited for until the time is up. Only the signal ends these two early.
    for (urls, status) in [(vec![&far], 3), (vec![&far, &near], 0)] {
        let mut arguments = vec!["--json", "--timeout", "50"];
        arguments.extend(urls.iter().map(|url| url.as_str()));
        let child = rank(&arguments).spawn().expect("the command starts");
        let id = child.id();
        if status == 0 {
            // Something is known once the connection is there. Nothing more is heard 100 ms later, at the earliest.
            listener.accept().expect("the command connects");
        } else {
            wait_until_it_connects(id);
        }
        kill(id, libc::SIGINT);
        let output = finish(child);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let json = json(&output);
        if status == 3 {
            assert_eq!(json["ended"], "cancelled");
        }
        assert_eq!(mirrors(&json).len(), urls.len());
        assert_eq!(mirrors(&json)[urls.len() - 1]["outcome"], "unanswered");
    }
}

/// Until the process has a socket: then it measures, and its handler has long been there.
fn wait_until_it_connects(id: u32) {
    let has_socket = || {
        let descriptors = fs::read_dir(format!("/proc/{id}/fd")).expect("the command runs");
        descriptors
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target| target.to_string_lossy().contains("eventpoll"))
    };
    while !has_socket() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn ctrl_c_while_input_is_read_ends_the_program_as_usual() {
    let mut child = rank(&["-"]).stdin(Stdio::piped()).spawn().expect("the command starts");
    let stdin = child.stdin.take();
    kill(child.id(), libc::SIGINT);
    let output = finish(child);
    drop(stdin);
    assert_eq!(output.status.signal(), Some(libc::SIGINT));
}

/// Runs the command on a terminal of this width and returns all that came out there, with the exit status.
fn on_terminal(columns: u16, arguments: &[&str]) -> (String, Option<i32>) {
    let (mut primary, mut secondary) = (0, 0);
    let size = libc::winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: openpty(3) writes two descriptors, which nobody else owns, and reads the size; null is allowed for the
    // name and the settings.
    let (mut master, slave) = unsafe {
        let failed =
            libc::openpty(&mut primary, &mut secondary, std::ptr::null_mut(), std::ptr::null(), &size);
        assert_eq!(failed, 0, "there is no pseudo-terminal to be had");
        (fs::File::from_raw_fd(primary), OwnedFd::from_raw_fd(secondary))
    };
    let mut command = rank(arguments);
    let again = || Stdio::from(slave.try_clone().expect("there are descriptors"));
    let child =
        command.env("TERM", "xterm").stdout(again()).stderr(again()).spawn().expect("the command starts");
    // The command object keeps copies of the terminal; reading ends when the last is closed.
    drop((command, slave));
    let reader = thread::spawn(move || {
        let mut shown = Vec::new();
        // Linux reports the end of a terminal as EIO.
        let _ = master.read_to_end(&mut shown);
        shown
    });
    let output = finish(child);
    let shown = reader.join().expect("the reader does not panic");
    (String::from_utf8(shown).expect("UTF-8").replace("\r\n", "\n"), output.status.code())
}

#[test]
fn a_terminal_sees_progress_that_vanishes_and_lines_that_fit() {
    let silent_server = Silent::start(Ipv4Addr::new(127, 77, 2, 2));
    let silent = format!("http://{}/", silent_server.address);
    let (_listener, open_port) = open(61);
    let list = format!("{NASTY}\n{silent}\nhttp://127.77.1.61:{open_port}/{}tail\n", "x".repeat(300));
    let list = file("terminal.txt", list);
    // A silent mirror alone is waited for until the time is up, which is long enough to be shown.
    let (shown, status) = on_terminal(90, &["--timeout=1", &silent]);
    assert_eq!(status, Some(3));
    let (progress, _) = shown.rsplit_once("\r\x1b[K").expect("the progress line is erased");
    assert!(progress.starts_with("\rMeasuring for 0."), "{progress:?}");
    assert!(progress.len() < 30 * "\rMeasuring for 0.1 s\x1b[K".len(), "{progress:?}");

    let (shown, status) = on_terminal(90, &[&list]);
    assert_eq!(status, Some(0));
    let (_, table) = shown.rsplit_once("\r\x1b[K").expect("the progress line is erased");
    assert!(is_clean(table), "{table:?}");
    let lines = || table.lines().take_while(|line| !line.is_empty());
    assert!(lines().count() > 4 && lines().all(|line| line.chars().count() <= 90), "{table}");
    assert!(table.contains("xx…xx") && table.contains("xtail"), "{table}");
}

#[test]
fn a_cache_is_used_and_one_that_cannot_be_is_warned_of() {
    let (_listener, port) = open(40);
    let url = format!("http://127.77.1.40:{port}/");
    let cache = file("rank-command.cache", "");
    fs::remove_file(&cache).expect("it was just made");
    let first = json(&run(&["--cache", &cache, "--rotate", "3600", "--json", &url]));
    let second = json(&run(&["--cache", &cache, "--rotate", "3600", "--json", &url]));
    assert_eq!((&first["mirrors"][0]["outcome"], &first["ended"]), (&"measured".into(), &"complete".into()));
    assert_eq!((&second["mirrors"][0]["outcome"], &second["ended"]), (&"cached".into(), &"idle".into()));
    assert_eq!(first["mirrors"][0]["latency_ms"], second["mirrors"][0]["latency_ms"]);
    assert_eq!(first["seed"], second["seed"]);
    let output = run(&["--cache", env!("CARGO_TARGET_TMPDIR"), "--json", &url]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("warning: the cache ") && stderr(&output).contains("it is a folder"));
    let output = run(&["--rotate", "60", &url]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--cache"), "{}", stderr(&output));
}
