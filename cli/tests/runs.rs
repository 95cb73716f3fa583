//! `--runs`: what it prints, what it costs the mirrors, and how it ends early.

use lab::{Mirror, Spec, World, answer, ms, refuse};
use serde_json::Value;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output};
use support::programs::{interruptible, send_signal};
use support::servers::closed_port;
use support::terminal::Terminal;

/// The command with options that put every mirror that answers into the pool, however busy the
/// machine is.
fn command(arguments: &[&str]) -> Command {
    plain_command(&[&["--slack=60000", "--factor=1000"], arguments].concat())
}

fn plain_command(arguments: &[&str]) -> Command {
    let mut command = interruptible(env!("CARGO_BIN_EXE_fastestmirror"), arguments);
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the command starts")
}

fn json(output: &Output) -> Value {
    assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1, "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A mirror that accepts connections: the kernel does, while the queue of the listener has room.
fn open(host: u8) -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 77, 10, host), 0)).expect("loopback can be bound");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    (listener, url)
}

/// How many connections have been made to a mirror.
fn connections(listener: &TcpListener) -> usize {
    listener.set_nonblocking(true).expect("it can be set");
    let mut count = 0;
    loop {
        match listener.accept() {
            Ok(_) => count += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn runs_are_summed_up_and_cost_a_handshake_each() {
    let ((near, near_url), (other, other_url)) = (open(1), open(2));
    let refused = format!("http://127.77.10.3:{}/", closed_port());
    let urls = [&*refused, &near_url, "file:///srv", &other_url];
    let output = run(&[&["--runs", "4", "--pause=0", "--json", "--seed=7"], &urls[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let object = json(&output);
    assert_eq!((&object["version"], &object["runs"], &object["seed"]), (&1.into(), &4.into(), &7.into()));
    assert_eq!(object["warnings"], Value::Array(vec![]));
    let mirrors = object["mirrors"].as_array().expect("an array");
    let outcomes: Vec<_> = mirrors.iter().map(|mirror| mirror["outcome"].as_str().expect("text")).collect();
    assert_eq!(outcomes, ["local", "measured", "measured", "refused"]);
    for mirror in &mirrors[1..3] {
        assert_eq!((&mirror["answered"], &mirror["pool"]), (&4.into(), &4.into()));
        let latency = |key: &str| mirror[key].as_f64().expect("a number");
        let (min, median, max) = (latency("min_ms"), latency("median_ms"), latency("max_ms"));
        assert!(0.0 < min && min <= median && median <= max, "{mirror}");
    }
    assert_eq!((&mirrors[3]["answered"], &mirrors[3]["min_ms"]), (&0.into(), &Value::Null));
    assert!(mirrors[1]["median_ms"].as_f64() <= mirrors[2]["median_ms"].as_f64(), "{object}");
    assert_eq!((connections(&near), connections(&other)), (4, 4));

    let output = run(&[&["--runs", "2", "--pause=0"], &urls[..]].concat());
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    for part in [" ●       2/2       2/2 ", "   refused ", "\n2 runs in ", "in every run (●): 2 mirrors"]
    {
        assert!(table.contains(part), "{part:?} in {table}");
    }
}

#[test]
fn runs_show_noise() {
    lab::isolated!(|| {
        const RUNS: u64 = 20;
        let mirrors = [
            Mirror::new("steady.lab.example").both(answer(ms(10))),
            // The limit of the pool is 20 ms and a little more.
            Mirror::new("edge.lab.example").both(answer(ms(17)).jitter(ms(7))),
            // Outside of the pool, however late a busy machine is.
            Mirror::new("far.lab.example").both(answer(ms(90))),
            Mirror::new("closed.lab.example").both(refuse(ms(10))),
        ];
        let world = World::start(Spec::new().mirrors(mirrors)).expect("a world");
        let urls = ["closed", "far", "edge", "steady"].map(|name| format!("http://{name}.lab.example/"));
        let mut command = plain_command(&["--runs", &RUNS.to_string(), "--pause=0", "--json"]);
        let object = json(&command.args(&urls).output().expect("the command starts"));
        let mirrors = object["mirrors"].as_array().expect("an array");
        let order: Vec<_> =
            mirrors.iter().map(|mirror| mirror["index"].as_u64().expect("a number")).collect();
        assert_eq!(order, [3, 2, 1, 0], "{object}");
        let number = |place: usize, key: &str| mirrors[place][key].as_f64().expect("a number");
        let counts = |place: usize| {
            let count = |key: &str| mirrors[place][key].as_u64().expect("a number");
            (count("answered"), count("pool"))
        };
        assert_eq!([counts(0), counts(2), counts(3)], [(RUNS, RUNS), (RUNS, 0), (0, 0)], "{object}");
        let (answered, pool) = counts(1);
        assert!(answered == RUNS && (1..RUNS).contains(&pool), "{object}");
        assert!(number(1, "max_ms") - number(1, "min_ms") > 2.0, "{object}");
        assert!(world.report().of("steady.lab.example").handshakes >= RUNS as usize, "{object}");
    });
}

#[test]
fn runs_are_a_second_apart() {
    let (_open, url) = open(4);
    let object = json(&run(&["--runs=2", "--json", &url]));
    assert!(object["elapsed_ms"].as_f64().expect("a number") >= 1000.0, "{object}");
}

#[test]
fn runs_without_an_answer_end_as_a_single_one_does() {
    let refused = format!("http://127.77.10.5:{}/", closed_port());
    let output = run(&["--runs=2", "--pause=0", "--json", &refused]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(json(&output)["mirrors"][0]["outcome"], "refused");
}

#[test]
fn ctrl_c_ends_runs_and_prints_those_that_were_made() {
    let (listener, url) = open(6);
    let arguments = ["--runs=1000", "--pause=3600", "--json", &url];
    let child = command(&arguments).spawn().expect("the command starts");
    listener.accept().expect("the command connects");
    send_signal(child.id(), libc::SIGINT);
    let output = child.wait_with_output().expect("the command can be waited for");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(json(&output)["runs"], 1);
}

#[test]
fn runs_show_progress_and_erase_it() {
    let (_open, url) = open(7);
    let (shown, status) = Terminal::start(command(&["--runs=2", &url]), 24, 100).finish();
    assert_eq!(status.code(), Some(0), "{shown}");
    let (progress, table) = shown.rsplit_once("\r\x1b[K").expect("the progress line is erased");
    // On a busy machine it may be there before the mirror has answered.
    assert!(progress.starts_with("\rRun 1 of 2"), "{progress:?}");
    assert!(progress.contains("\rRun 1 of 2: 1 of 1 done, best "), "{progress:?}");
    assert!(table.contains("\x1b[32m●\x1b[0m") && table.contains("2/2"), "{table:?}");
}
