//! `--watch`: what it prints on a pipe, as JSON and on a terminal, and how it ends.

use lab::{Fate, Mirror, Spec, World, answer, ms};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use support::programs::{interruptible, send_signal};
use support::servers::Silent;
use support::terminal::Terminal;

/// How long to wait for what must come.
const LIMIT: Duration = Duration::from_secs(60);

/// The command with options that put every mirror that answers into the pool, however busy the
/// machine is.
fn lenient(arguments: &[&str]) -> Command {
    command(&[&["--slack=60000", "--fallbacks=all", "--factor=1000"], arguments].concat())
}

fn command(arguments: &[&str]) -> Command {
    let mut command = interruptible(env!("CARGO_BIN_EXE_fastestmirror"), arguments);
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    command
}

/// The command while it watches, and its lines as they come.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(mut command: Command) -> Watch {
        let mut child = command.spawn().expect("the command starts");
        let lines = lines(child.stdout.take().expect("it is piped"));
        Watch { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a line comes")
    }

    /// The next line that has this.
    fn line_with(&self, part: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(part) {
                return line;
            }
        }
    }

    fn interrupt(self) -> ExitStatus {
        send_signal(self.child.id(), libc::SIGINT);
        self.end()
    }

    fn end(mut self) -> ExitStatus {
        // It has no more to say than fits into a pipe.
        self.child.wait().expect("the command can be waited for")
    }
}

fn lines(from: ChildStdout) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(from).lines();
        lines.map_while(Result::ok).all(|line| send.send(line).is_ok());
    });
    lines
}

/// A mirror that accepts connections: the kernel does, while the queue of the listener has room.
fn open(host: u8) -> TcpListener {
    TcpListener::bind((Ipv4Addr::new(127, 77, 9, host), 0)).expect("loopback can be bound")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("it is bound")
}

fn url(listener: &TcpListener) -> String {
    format!("http://{}/", address(listener))
}

/// Whether a line begins with a time as in 2026-11-29T23:10:05Z and a space.
fn has_time(line: &str) -> bool {
    let shape: String = line.chars().take(21).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00Z "
}

#[test]
fn watch_prints_a_line_for_each_change_of_the_pool() {
    let (stays, leaves) = (open(1), open(2));
    let port = address(&leaves).port();
    let watch = Watch::start(lenient(&["--watch", "1", &url(&stays), &url(&leaves)]));
    let first = [watch.line(), watch.line(), watch.line()];
    assert!(first.iter().all(|line| has_time(line) && line.ends_with(" ms")), "{first:?}");
    for (part, count) in [(" joined the pool: 127.77.9.", 2), (" best is now 127.77.9.", 1)] {
        assert_eq!(first.iter().filter(|line| line.contains(part)).count(), count, "{first:?}");
    }
    drop(leaves);
    let left = watch.line_with("left");
    assert!(has_time(&left) && left.ends_with(" left the pool: 127.77.9.2 refused"), "{left}");
    let _again = TcpListener::bind((Ipv4Addr::new(127, 77, 9, 2), port)).expect("the port is free again");
    let joined = watch.line_with("joined");
    assert!(joined.contains(" joined the pool: 127.77.9.2 "), "{joined}");
    assert_eq!(watch.interrupt().code(), Some(0));
}

#[test]
fn watch_shows_a_mirror_that_falls_silent_and_comes_back() {
    lab::isolated!(|| {
        // Far enough from each other, however late a busy machine is.
        let near = Mirror::new("near.lab.example").both(answer(ms(20)));
        let far = Mirror::new("far.lab.example").both(answer(ms(250)));
        let world = World::start(Spec::new().mirrors([near, far])).expect("a world");
        let watch =
            Watch::start(command(&["--watch=1", "http://far.lab.example/", "http://near.lab.example/"]));
        let mut seen = vec![watch.line(), watch.line()];
        world.change("near.lab.example", Fate::Silent);
        seen.extend([watch.line(), watch.line(), watch.line()]);
        world.change("near.lab.example", answer(ms(20)));
        seen.extend([watch.line(), watch.line(), watch.line()]);
        let expected = [
            "joined the pool: near.lab.example ",
            "best is now near.lab.example ",
            "left the pool: near.lab.example unanswered",
            "joined the pool: far.lab.example ",
            "best is now far.lab.example ",
            // At 80 ms it may not be waited for.
            "left the pool: far.lab.example ",
            "joined the pool: near.lab.example ",
            "best is now near.lab.example ",
        ];
        for (line, expected) in seen.iter().zip(expected) {
            assert!(line.contains(expected), "{expected}: {seen:#?}");
        }
        assert_eq!(watch.interrupt().code(), Some(0));
        // Both were measured in each run: once, or twice where no answer came.
        let report = world.report();
        assert!(report.of("far.lab.example").syns >= 3, "{:?}", report.each());
    });
}

#[test]
fn watch_prints_an_object_for_each_run_with_json() {
    let open = open(3);
    let watch = Watch::start(lenient(&["--watch=1", "--json", &url(&open)]));
    let objects = [watch.line(), watch.line()];
    let objects = objects.map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
    for object in &objects {
        let time = object["time"].as_str().expect("a string");
        assert!(has_time(&format!("{time} ")), "{object}");
        assert_eq!(object["ranking"]["mirrors"][0]["outcome"], "measured");
        assert_eq!(object["ranking"]["mirrors"][0]["url"], url(&open));
    }
    let changes = objects[0]["changes"].as_array().expect("an array");
    assert_eq!(changes.len(), 2, "{changes:?}");
    for (change, kind) in changes.iter().zip(["joined", "best"]) {
        assert_eq!((&change["change"], &change["host"]), (&kind.into(), &"127.77.9.3".into()));
        assert_eq!(change["latency_ms"], objects[0]["ranking"]["mirrors"][0]["latency_ms"]);
    }
    assert_eq!(objects[1]["changes"], Value::Array(vec![]));
    assert_eq!(watch.interrupt().code(), Some(0));
}

#[test]
fn watch_measures_what_the_first_run_takes_from_the_cache() {
    let scratch = tempfile::tempdir().expect("a directory");
    let cache = scratch.path().join("cache").display().to_string();
    let open = open(4);
    let arguments = ["--cache", &cache, "--json", &url(&open)];
    let output = lenient(&arguments).output().expect("the command starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let watch = Watch::start(lenient(&[&["--watch=1"], &arguments[..]].concat()));
    let outcome = |line: String| -> Value {
        serde_json::from_str::<Value>(&line).expect("JSON")["ranking"]["mirrors"][0]["outcome"].clone()
    };
    assert_eq!([outcome(watch.line()), outcome(watch.line())], ["cached", "measured"]);
    assert_eq!(watch.interrupt().code(), Some(0));
}

#[test]
fn watch_ends_with_ctrl_c_while_it_measures() {
    let silent = Silent::start(Ipv4Addr::new(127, 77, 9, 5));
    let url = format!("http://{}/", silent.address);
    // Only the signal stops the run early. The terminal shows progress while it measures.
    let terminal = Terminal::start(lenient(&["--watch=1", "--timeout=50", &url]), 24, 80);
    terminal.wait_until(|shown| shown.contains("Measuring for"));
    send_signal(terminal.id(), libc::SIGINT);
    let (shown, status) = terminal.finish();
    assert_eq!(status.code(), Some(0), "{shown}");
    assert!(!shown.contains("the pool is empty"), "{shown}");
}

#[test]
fn watch_ends_when_its_reader_is_gone() {
    let open = open(6);
    let mut child = lenient(&["--watch=86400", &url(&open)]).spawn().expect("the command starts");
    let mut reader = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line comes");
    drop(reader);
    let status = Watch { child, lines: mpsc::channel().1 }.end();
    assert_eq!((status.code(), status.signal()), (Some(0), None));
}

/// What a terminal shows in the end, as lines: as much of one as the command needs.
fn screen(shown: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let (mut row, mut rest) = (0, shown);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => {
                row += 1;
                lines.resize(lines.len().max(row + 1), String::new());
            }
            // The command writes a line anew after it.
            '\r' => {}
            '\x1b' => {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).expect("a whole sequence");
                let (number, kind) = (&rest[1..end], &rest[end..end + 1]);
                rest = &rest[end + 1..];
                match kind {
                    "A" => row -= number.parse::<usize>().expect("a number"),
                    "J" => {
                        lines.truncate(row);
                        lines.push(String::new());
                    }
                    "K" => lines[row].clear(),
                    "m" => {}
                    kind => panic!("unknown sequence {number}{kind}"),
                }
            }
            c => lines[row].push(c),
        }
    }
    lines
}

#[test]
fn watch_redraws_the_table_below_the_changes_on_a_terminal() {
    let (stays, leaves) = (open(7), open(8));
    // More mirrors than the terminal has lines.
    let mut urls = vec![url(&stays), url(&leaves)];
    urls.extend((0..40).map(|n| format!("rsync://mirror{n}.example/")));
    let mut arguments = vec!["--watch=1"];
    arguments.extend(urls.iter().map(String::as_str));
    let terminal = Terminal::start(lenient(&arguments), 20, 80);
    terminal.wait_until(|shown| shown.contains("Run 1; the next one in 1 s. Ctrl-C ends."));
    drop(leaves);
    terminal.wait_until(|shown| shown.contains("127.77.9.8 refused"));
    terminal.wait_until(|shown| shown.matches("Ctrl-C ends.").count() > 2);
    send_signal(terminal.id(), libc::SIGINT);
    let (shown, status) = terminal.finish();
    assert_eq!(status.code(), Some(0), "{shown}");
    assert!(shown.contains("\x1b[32m") && shown.contains("\x1b[31m"), "{shown:?}");
    let screen = screen(&shown);
    let count = |part: &str| screen.iter().filter(|line| line.contains(part)).count();
    for (part, expected) in [
        ("joined the pool: 127.77.9.", 2),
        ("left the pool: 127.77.9.8 refused", 1),
        ("outcome     mirror", 1),
        ("more lines; a higher terminal shows them", 1),
        ("Measuring stopped after", 1),
        ("Ctrl-C ends.", 1),
    ] {
        assert_eq!(count(part), expected, "{part}: {screen:#?}");
    }
    let table = screen.iter().position(|line| line.contains("outcome     mirror")).expect("a table");
    assert!(screen.len() - table <= 20, "{screen:#?}");
    assert!(screen[..table].iter().all(|line| has_time(line)), "{screen:#?}");
}
