//! The command as a user runs it: a process, its output and its exit status. All mirrors are on
//! loopback addresses; host names occur only where nothing is looked up.

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::programs::{interruptible, send_signal};
use support::servers::{self, Silent};
use support::terminal::Terminal;

fn command(arguments: &[&str]) -> Command {
    interruptible(env!("CARGO_BIN_EXE_fastestmirror"), arguments)
}

/// Runs the command with this on standard input, and waits for its end.
fn run_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().expect("the command starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    // The command need not read all of its input.
    thread::spawn(move || drop(stdin.write_all(&input)));
    finish(child)
}

fn run(arguments: &[&str]) -> Output {
    run_with(arguments, b"")
}

/// Waits for the end of the command. A run takes a few seconds at most; one that hangs is killed,
/// so that its test fails and does not hang as well.
fn finish(child: Child) -> Output {
    let id = child.id();
    let (done, over) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if over.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
            send_signal(id, libc::SIGKILL);
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

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the output is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are UTF-8")
}

/// The JSON object of a run, which must be one line.
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

/// The path of a file with this content, in the directory that Cargo provides for tests.
fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the directory for tests is writable");
    path.into_os_string().into_string().expect("a path is UTF-8")
}

/// A mirror that accepts connections: the kernel does, while the queue of the listener has room.
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
fn mirrorlist_is_ranked_in_a_table() {
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
fn json_has_all_facts_about_each_mirror() {
    let (_listener, port) = open(3);
    let closed = format!("http://127.77.1.4:{}/", servers::closed_port());
    let near = format!("http://127.77.1.3:{port}/");
    let output = run(&["--json", "--seed", "7", &closed, "rsync://127.77.1.3/", &near, "file:/srv"]);
    assert_eq!(output.status.code(), Some(0));
    let json = json(&output);
    assert_eq!(json["stop_reason"], "complete");
    assert_eq!(json["seed"], 7);
    assert_eq!(json["ambiguous"], false);
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
    let fields = r#""outcome":"refused","latency_ms":null,"imprecise":false,"pool":false,"address":null,"from_cache":false,"detoured":false,"demotion":null}"#;
    assert!(stdout(&output).contains(fields), "{}", stdout(&output));
}

#[test]
fn ipv4_and_ipv6_choose_the_family() {
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
fn weights_make_a_preferred_mirror_lead_more_often() {
    let open: Vec<_> = (10..14).map(open).collect();
    let of = |host: usize| format!("http://127.77.1.{}:{}/f/repodata/repomd.xml", host + 10, open[host].1);
    let list: Vec<String> = (0..4).map(of).collect();
    let xml = metalink(&[(&list[0], 1), (&list[1], 1), (&list[2], 100), (&list[3], 1)]);
    // The factor and the slack put all mirrors into the pool, even if a busy machine delays some of
    // them.
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
    // Seeds and hosts are fixed, and so is the order: these numbers are the same in every run.
    assert!(leads(&["--weights"]) >= 17);
    assert!(leads(&[]) <= 12);
}

#[test]
fn pool_keeps_the_order_of_the_list_if_asked_to() {
    let open: Vec<_> = (40..44).map(open).collect();
    let url = |host: usize| format!("http://127.77.1.{}:{}/", host + 40, open[host].1);
    let list: Vec<String> = [2, 0, 3, 1].map(url).into();
    let ranked = |seed: u32, pool: &str| {
        let seed = seed.to_string();
        let mut arguments =
            vec!["--json", "--slack=60000", "--fallbacks=all", "--seed", &seed, "--pool", pool];
        arguments.extend(list.iter().map(String::as_str));
        let json = json(&run(&arguments));
        assert_eq!(json["slack_would_add"], 0, "{json}");
        urls(&json) == list
    };
    assert!((0..10).all(|seed| ranked(seed, "given")));
    assert!(!(0..10).all(|seed| ranked(seed, "shuffled")));
}

#[test]
fn urls_prints_a_mirrorlist() {
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
    // The URLs of a mirrorlist are those of repositories already, whatever they end in.
    let again = run_with(&["--urls", "-"], expected.as_bytes());
    assert_eq!(stdout(&again), expected);
    let list = format!("{}\n", urls[1]);
    assert_eq!(stdout(&run_with(&["--urls", "-"], list.as_bytes())), list);
}

#[test]
fn lines_are_printed_as_they_were() {
    let (_listener, port) = open(22);
    let list = file(
        "lines.txt",
        format!(
            "# A list\n\nServer = http://127.77.1.23:{}/$repo\r\n#Server = http://127.77.1.22:{port}/\n\
             Server = http://127.77.1.22:{port}/$repo # near",
            servers::closed_port()
        ),
    );
    let text = fs::read_to_string(&list).expect("it was just written");
    let line: Vec<&str> = text.split_inclusive('\n').collect();
    let expected = [line[0], line[3], line[4], "\n", line[2]].concat();
    // The output is no terminal, and a line has more than a URL in it.
    for arguments in [&[list.as_str()][..], &["--lines", &list]] {
        assert_eq!(stdout(&run(arguments)), expected);
    }
    assert!(stdout(&run(&["--table", &list])).contains("1 of 2 mirrors answered"));
    let output = stdout(&run(&["--uncomment", "--lines", "--seed=1", &list]));
    let (near, commented) = (format!("{}\n", line[4]), line[3].trim_start_matches('#'));
    assert_eq!(output, [line[0], commented, &near, line[2]].concat());
    // What filters leave out does not come back.
    let output = stdout(&run(&["--exclude=127.77.1.23", &list]));
    assert_eq!(output, [line[0], line[3], line[4], "\n"].concat());
    let (shown, _) = on_terminal(90, &[], &["--lines", &list]);
    let shown = shown.rsplit("\r\x1b[K").next().expect("split returns a part");
    assert!(is_clean(shown) && shown.contains("/$repo\\u{d}\n"), "{shown:?}");
}

#[test]
fn seed_repeats_the_order() {
    let list: String = (0..30).map(|n| format!("http://mirror{n}.example/\n")).collect();
    let file = file("seed.txt", &list);
    // Nothing is measured, so nothing is shuffled.
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
fn input_errors_name_the_file_the_line_and_the_reason() {
    let huge = vec![b'#'; (16 << 20) + 1];
    let directory = env!("CARGO_TARGET_TMPDIR");
    let table: [(&str, &[u8], &str); 9] = [
        (
            "html.txt",
            b"<!DOCTYPE html>\n<title>Sign in</title>",
            "line 1: this is an HTML page, neither a mirrorlist nor a metalink: check where it came from",
        ),
        (
            "text.txt",
            b"http://127.0.0.1/\nno such repository\n",
            "line 2: no URL in \"no such repository\"; a line has one URL, such as https://..., or is a # comment",
        ),
        (
            "control.txt",
            b"\x1b]0;gotcha\x07\n",
            "line 1: no URL in \"\\u{1b}]0;gotcha\\u{7}\"; a line has one URL, such as https://..., or is a # comment",
        ),
        ("empty.txt", b"", "there is no URL in this list"),
        ("comments.txt", b"# nothing\n", "there is no URL in this list"),
        ("huge.txt", &huge, "cannot be read: it is larger than 16 MiB, too large for a list"),
        ("root.xml", b"<?xml version='1.0'?>\n\n<rss/>", "line 3: not a metalink: the root element is <rss>"),
        (
            "broken.xml",
            b"<metalink>\n<files>\n</metalink>",
            "line 3: malformed XML: expected 'files' tag, not 'metalink'",
        ),
        ("none.xml", b"<metalink/>", "there is no URL in this metalink"),
    ];
    for (name, content, reason) in table {
        let path = file(name, content);
        let output = run(&[&path]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{name}");
        assert_eq!(stderr(&output), format!("fastestmirror: {path}: {reason}\n"));
        let output = run_with(&["-"], content);
        let reason = match content {
            b"" => "nothing came; to put a list into order in place, use -o FILE, and not > FILE",
            _ => reason,
        };
        assert_eq!(stderr(&output), format!("fastestmirror: standard input: {reason}\n"));
    }
    let missing = format!("{directory}/missing\x1b[2J.txt");
    assert_eq!(
        stderr(&run(&[&missing])),
        format!(
            "fastestmirror: {directory}/missing\\u{{1b}}[2J.txt: cannot be read: No such file or directory; \
             a URL needs a scheme, such as https://\n"
        )
    );
    let output = run(&[directory]);
    assert_eq!(output.status.code(), Some(2));
    let message = format!("fastestmirror: {directory}: cannot be read: Is a directory; name a file in it\n");
    assert_eq!(stderr(&output), message);
}

#[test]
fn argument_errors_are_reported() {
    let list = file("fine.txt", "http://127.0.0.1/\n");
    let list = list.as_str();
    let metalink = file("fine.xml", metalink(&[("http://127.0.0.1/", 1)]));
    let metalink = metalink.as_str();
    let table: [(&[&str], &str); 28] = [
        (&[list, list], "only one file can be read"),
        (&["http://127.0.0.1/", list], "is not a URL, and files and URLs cannot be mixed"),
        (&["http://127.0.0.1/", "-"], "\"-\" is not a URL"),
        (&["--json", "--urls", list], "'--json' cannot be used with '--urls'"),
        (&["--ipv4", "--ipv6", list], "'--ipv4' cannot be used with '--ipv6'"),
        (
            &["--timeout", "-1", list],
            "'--timeout <SECONDS>': it must be a number of seconds from 0, at most 3600 s",
        ),
        (
            &["--slack", "1e9", list],
            "'--slack <MS>': it must be a number of milliseconds from 0, at most 60 s",
        ),
        (&["--factor", "0.5", list], "'--factor <F>': it must be a number from 1 to 1000"),
        (&["--seed", "x", list], "'--seed <N>': it must be a whole number"),
        (&["--weights", list], "--weights needs preferences"),
        (&["--lines", metalink], "--lines needs a list of lines, and this is a metalink"),
        (&["--metalink", list], "--metalink needs a metalink, and this is a list of lines"),
        (&["--https-only", list], "the filters exclude the only mirror: loosen --include"),
        (&["--uncomment", metalink], "--uncomment needs a list of lines, and this is a metalink"),
        (&["--uncomment", "http://127.0.0.1/"], "--uncomment needs a list, and there are only URLs"),
        (&["--rotate", "60", list], "--rotate needs --cache FILE"),
        (&["--max-age", "60", list], "--max-age needs --cache FILE"),
        (&["--check-after=60", list], "--check-after needs --cache FILE"),
        (&["--weights", "--pool=given", metalink], "--weights has no effect with --pool given"),
        (&["--rotate=60", "--cache=c", "--pool=given", list], "--rotate has no effect with --pool given"),
        (&["--rotate=60", "--cache=c", "--seed=1", list], "--rotate has no effect with --seed"),
        (&["--weights", "--runs=2", metalink], "--weights has no effect with --runs"),
        (&["--prefer=.de", "--runs=2", list], "--prefer has no effect with --runs"),
        (&["--history", "all", list], "--history needs --cache FILE"),
        (&["--json"], "there is nothing to rank"),
        (&[""], "\"\": cannot be read: No such file or directory"),
        (&["--no-such-option", list], "unexpected argument '--no-such-option' found\n\nUsage:"),
        (&["demo", list], "unexpected argument"),
    ];
    for (arguments, reason) in table {
        let output = run(arguments);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{arguments:?}");
        let message = stderr(&output);
        assert!(
            message.starts_with("fastestmirror: ") && message.contains(reason),
            "{arguments:?}: {message}"
        );
    }
}

#[test]
fn no_argument_prints_the_usage() {
    let output = run(&[]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
    assert!(
        stderr(&output).starts_with("Usage: fastestmirror [OPTIONS] FILE | - | URL...\n"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("\n       fastestmirror demo [--svg FILE]\n"), "{}", stderr(&output));
}

#[test]
fn help_goes_to_standard_output() {
    let output = run(&["--help"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    for part in [
        "Usage: fastestmirror [OPTIONS] FILE | - | URL...",
        "Examples:",
        "--https-only",
        "A file called cache, demo or fleet is ranked as ./cache, ./demo or\n./fleet.",
        "Exit status: 0 if",
    ] {
        assert!(stdout(&output).contains(part), "{part}");
    }
}

#[test]
fn file_called_demo_is_ranked_as_dot_slash_demo() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("demo"), "file:///srv/mirror\n").expect("a file");
    let child = command(&["--urls", "./demo"]).current_dir(&directory).spawn().expect("the command starts");
    let output = finish(child);
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "file:///srv/mirror\n".into()));
}

#[cfg(not(feature = "demo"))]
#[test]
fn demo_says_that_this_build_has_none() {
    let output = run(&["demo"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
    let message = stderr(&output);
    assert!(message.starts_with("fastestmirror: this build has no demonstration"), "{message}");
    assert!(message.contains("./demo"), "{message}");
}

#[cfg(not(feature = "fleet"))]
#[test]
fn fleet_says_that_this_build_has_none() {
    let output = run(&["fleet", "--json"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
    let message = stderr(&output);
    assert!(message.starts_with("fastestmirror: this build has no simulation"), "{message}");
    assert!(message.contains("./fleet"), "{message}");
}

#[test]
fn no_answer_keeps_the_given_order_with_status_3() {
    let list = format!(
        "http://127.77.1.41:{}/\nrsync://127.0.0.1/\nhttp://127.77.1.42:{}/\n",
        servers::closed_port(),
        servers::closed_port()
    );
    let output = run_with(&["--urls", "-"], list.as_bytes());
    assert_eq!((output.status.code(), stdout(&output)), (Some(3), list.clone()));
    assert_eq!(stderr(&output), "fastestmirror: warning: no mirror answered: keeping the given order\n");
    let output = run_with(&["-"], list.as_bytes());
    assert_eq!((output.status.code(), stderr(&output)), (Some(3), String::new()));
    assert!(stdout(&output).contains("no mirror answered: keeping the given order"), "{}", stdout(&output));
    let output = run(&["--json", "http://mirror.example/", "--timeout", "0"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(json(&output)["stop_reason"], "timeout");
    assert_eq!(run(&["file:///srv"]).status.code(), Some(0));
}

#[test]
fn https_only_leaves_out_other_mirrors() {
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
    "http://127.77.1.60:1/\x1b[2J\u{7f}\u{85}\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}\x08\x00end";

/// Whether a text has only characters that show, and line breaks.
fn is_clean(text: &str) -> bool {
    let hidden = ['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}'];
    text.chars().all(|c| c == '\n' || !(c.is_control() || hidden.contains(&c)))
}

#[test]
fn control_characters_are_escaped_in_every_format() {
    for format in [&["-"][..], &["--json", "-"], &["--urls", "-"]] {
        let output = run_with(format, NASTY.as_bytes());
        assert_eq!(output.status.code(), Some(3));
        let text = stdout(&output);
        assert!(is_clean(&text), "{text:?}");
        assert!(text.contains("end"), "{text}");
    }
    assert_eq!(json(&run_with(&["--json", "-"], NASTY.as_bytes()))["mirrors"][0]["url"], NASTY);
    let urls = "http://127.77.1.60:1/%1B[2J%7F%C2%85%C2%9B31m%E2%80%AE%E2%81%A6%E2%80%8B%EF%BB%BF%08%00end\n";
    assert_eq!(stdout(&run_with(&["--urls", "-"], NASTY.as_bytes())), urls);
}

#[test]
fn closed_pipe_is_no_error_and_a_full_disk_is() {
    // More than fits into a pipe.
    let list: String = (0..3000).map(|n| format!("http://mirror{n}.example/{}\n", "x".repeat(50))).collect();
    let list = file("long.txt", list);
    for format in ["--json", "--urls", "--seed=7"] {
        let mut child = command(&[format, "--timeout=0", &list]).spawn().expect("the command starts");
        drop(child.stdout.take());
        let output = finish(child);
        assert_eq!(output.status.code(), Some(3), "{format}");
        assert!(!stderr(&output).contains("cannot write"), "{}", stderr(&output));
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has /dev/full");
    let output = finish(command(&["--timeout=0", &list]).stdout(full).spawn().expect("the command starts"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output)
            .ends_with("fastestmirror: cannot write to standard output: No space left on device\n"),
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
    // All fallbacks are wanted, and a silent mirror alone holds the run until the timeout. Only the
    // signal stops these two early.
    for (urls, status) in [(vec![&far], 3), (vec![&far, &near], 0)] {
        let mut arguments = vec!["--json", "--timeout", "50", "--fallbacks", "all"];
        arguments.extend(urls.iter().map(|url| url.as_str()));
        let child = command(&arguments).spawn().expect("the command starts");
        let id = child.id();
        if status == 0 {
            // The latency is known once the connection is there. The quiet time, 100 ms, has only
            // begun.
            listener.accept().expect("the command connects");
        } else {
            wait_until_it_connects(id);
        }
        send_signal(id, libc::SIGINT);
        let output = finish(child);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let json = json(&output);
        if status == 3 {
            assert_eq!(json["stop_reason"], "cancelled");
        }
        assert_eq!(mirrors(&json).len(), urls.len());
        assert_eq!(mirrors(&json)[urls.len() - 1]["outcome"], "unanswered");
    }
}

/// Waits until the process has an epoll set: then it measures, and its signal handler is installed.
fn wait_until_it_connects(id: u32) {
    let has_epoll = || {
        let descriptors = fs::read_dir(format!("/proc/{id}/fd")).expect("the command runs");
        descriptors
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target| target.to_string_lossy().contains("eventpoll"))
    };
    while !has_epoll() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn ctrl_c_while_input_is_read_ends_the_process_as_usual() {
    let mut child = command(&["-"]).stdin(Stdio::piped()).spawn().expect("the command starts");
    let stdin = child.stdin.take();
    send_signal(child.id(), libc::SIGINT);
    let output = finish(child);
    drop(stdin);
    assert_eq!(output.status.signal(), Some(libc::SIGINT));
}

/// Runs the command on a terminal of this width with these variables in its environment, and
/// returns what it printed there, and its exit status.
fn on_terminal(columns: u16, environment: &[(&str, &str)], arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = command(arguments);
    command.env("TERM", "xterm").env_remove("NO_COLOR").envs(environment.iter().copied());
    let (shown, status) = Terminal::start(command, 50, columns).finish();
    (shown, status.code())
}

#[test]
fn terminal_gets_a_progress_line_and_lines_that_fit() {
    let silent_server = Silent::start(Ipv4Addr::new(127, 77, 2, 2));
    let silent = format!("http://{}/", silent_server.address);
    let (_listener, open_port) = open(61);
    let list = format!("{NASTY}\n{silent}\nhttp://127.77.1.61:{open_port}/{}tail\n", "x".repeat(300));
    let list = file("terminal.txt", list);
    // A silent mirror alone holds the run until the timeout, long enough for the progress line.
    let (shown, status) = on_terminal(90, &[], &["--timeout=1", &silent]);
    assert_eq!(status, Some(3));
    let (progress, _) = shown.rsplit_once("\r\x1b[K").expect("the progress line is erased");
    assert!(progress.starts_with("\rMeasuring for 0."), "{progress:?}");
    assert!(progress.len() < 30 * "\rMeasuring for 0.1 s\x1b[K".len(), "{progress:?}");

    let (table, status) = on_terminal(90, &[("NO_COLOR", "1")], &["--color=auto", &list]);
    assert_eq!(status, Some(0));
    // On a busy machine there may have been a line of progress.
    let table = table.rsplit_once("\r\x1b[K").map_or(&*table, |(_, table)| table);
    assert!(is_clean(table), "{table:?}");
    let lines = || table.lines().take_while(|line| !line.is_empty());
    assert!(lines().count() > 4 && lines().all(|line| line.chars().count() <= 90), "{table}");
    assert!(table.contains("xx…xx") && table.contains("xtail"), "{table}");
}

#[test]
fn colors_are_for_terminals_that_have_them() {
    let (_listener, port) = open(62);
    let url = format!("http://127.77.1.62:{port}/");
    let table: [(_, &[&str], _); 8] = [
        (("LANG", "C"), &[], true),
        (("NO_COLOR", ""), &[], true),
        (("NO_COLOR", "1"), &[], false),
        (("TERM", "dumb"), &[], false),
        (("NO_COLOR", "1"), &["--color", "always"], true),
        (("LANG", "C"), &["--color", "never"], false),
        (("LANG", "C"), &["--json", "--color", "always"], false),
        (("LANG", "C"), &["--urls"], false),
    ];
    for (variable, options, expected) in table {
        let (shown, _) = on_terminal(90, &[variable], &[options, &[&url]].concat());
        assert_eq!(shown.contains("\x1b[32m"), expected, "{variable:?} {options:?} {shown:?}");
    }
    assert!(!stdout(&run(&[&url])).contains('\x1b'));
    assert!(stdout(&run(&["--color=always", &url])).contains("\x1b[32m●\x1b[0m"));
}

#[test]
fn history_of_downloads_is_heeded_and_its_reason_is_in_json() {
    let ((_near, port), (_other, other_port)) = (open(88), open(89));
    let urls = [format!("http://127.77.1.88:{port}/pub"), format!("http://127.77.1.89:{other_port}/pub")];
    let cache = file("rank-command.history", "");
    fs::remove_file(&cache).expect("it was just made");
    let mut history = fastestmirror::History::new(cache.as_ref());
    history.report(&urls[0], fastestmirror::DownloadOutcome::Missing, 0, Duration::ZERO);
    history.report(&urls[1], fastestmirror::DownloadOutcome::Ok, 1, Duration::ZERO);
    assert_eq!(history.save(), None);
    for (usage, demotion) in
        [("trouble", Value::from("missing")), ("all", "missing".into()), ("off", Value::Null)]
    {
        let arguments = ["--cache", &cache, "--history", usage, "--json", &urls[0], &urls[1]];
        let result = json(&run(&arguments));
        let mirrors = result["mirrors"].as_array().expect("an array");
        let first = mirrors.iter().position(|mirror| mirror["index"] == 0).expect("it is there");
        assert_eq!(mirrors[first]["demotion"], demotion, "{result}");
        assert!(usage == "off" || (first == 1 && mirrors[first]["pool"] == false), "{result}");
    }
}

#[test]
fn cache_is_used_and_an_unusable_one_is_a_warning() {
    let (_listener, port) = open(40);
    let url = format!("http://127.77.1.40:{port}/");
    let cache = file("rank-command.cache", "");
    fs::remove_file(&cache).expect("it was just made");
    let first = json(&run(&["--cache", &cache, "--rotate", "3600", "--json", &url]));
    let second = json(&run(&["--cache", &cache, "--rotate", "3600", "--json", &url]));
    assert_eq!(
        (&first["mirrors"][0]["outcome"], &first["stop_reason"]),
        (&"measured".into(), &"complete".into())
    );
    assert_eq!(
        (&second["mirrors"][0]["outcome"], &second["stop_reason"]),
        (&"cached".into(), &"idle".into())
    );
    assert_eq!(first["mirrors"][0]["latency_ms"], second["mirrors"][0]["latency_ms"]);
    assert_eq!(first["seed"], second["seed"]);
    // A list that is named as the cache by a slip is not replaced.
    let list = file("rank-command.list", &url);
    let output = run(&["--cache", &list, &list]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(message.contains(&list) && message.contains("not a cache"), "{message}");
    assert_eq!(fs::read_to_string(&list).expect("it is still there"), url);
    let directory = env!("CARGO_TARGET_TMPDIR");
    let output = run(&["--cache", directory, "--json", &url]);
    assert_eq!(output.status.code(), Some(0));
    let message = stderr(&output);
    assert!(message.starts_with("fastestmirror: warning: ") && message.contains(directory), "{message}");
    let warnings = json(&output)["warnings"].as_array().expect("an array").len();
    assert_eq!(warnings, message.lines().count());
}

#[test]
fn command_runs_where_no_thread_can_be_started() {
    if !support::users::can_become_others() {
        return;
    }
    // The limit holds for all processes of a user together, and not for root.
    const USER: u32 = 54_321;
    let (_listener, port) = open(71);
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("fastestmirror");
    fs::copy(env!("CARGO_BIN_EXE_fastestmirror"), &program).expect("a copy");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("root may");
    let mut command = Command::new(program);
    command.args(["--json", &format!("http://127.77.1.71:{port}/"), "http://name.example/"]);
    command.uid(USER).gid(USER);
    // SAFETY: setrlimit(2) is a system call.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
            if libc::setrlimit(libc::RLIMIT_NPROC, &limit) == 0 {
                return Ok(());
            }
            Err(std::io::Error::last_os_error())
        });
    }
    let output = command.output().expect("the command starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let json = json(&output);
    assert_eq!(mirrors(&json)[0]["outcome"], "measured");
    assert_eq!(mirrors(&json)[1]["outcome"], "unanswered");
    let message = stderr(&output);
    assert!(message.contains("a name could not be looked up: no thread can be started: "), "{message}");
}
