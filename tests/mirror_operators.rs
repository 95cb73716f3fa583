//! What docs/mirror-operators.md says: which packets and log lines of a measurement an operator
//! sees. What it says of other tests is there; its figures of the load, in cli/tests/fleet.

use fastestmirror::{Outcome, Ranker, StopReason};
use lab::{Mirror, Spec, World, answer, ms};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::build::{root, run};
use support::programs::{Nginx, have, program, send_signal};
use support::users::can_become_others;

/// How long is waited for what is bound to come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn page() -> String {
    fs::read_to_string(root().join("docs/mirror-operators.md")).expect("the page")
}

/// The cells of the rows of the table with this heading in its first cell, as numbers.
fn table(first: &str) -> Vec<Vec<f64>> {
    let page = page();
    let rows = page.lines().skip_while(|line| !line.starts_with(&format!("| {first} |"))).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let number = |cell: &str| cell.trim().trim_end_matches(" %").parse().ok();
    rows.map(|row| row.split('|').filter_map(number).collect()).collect()
}

/// tcpdump at work in this network namespace, on all of its devices.
struct Trace {
    tcpdump: Child,
    file: PathBuf,
}

impl Trace {
    fn start(directory: &Path) -> Trace {
        let file = directory.join("trace.pcap");
        let mut tcpdump = program("tcpdump");
        // As another user it could not write the file.
        tcpdump.args(["-i", "any", "-nn", "-U", "-Z", "root", "-w"]).arg(&file).arg("tcp");
        let mut tcpdump = tcpdump.stderr(Stdio::piped()).spawn().expect("tcpdump runs");
        let mut messages = BufReader::new(tcpdump.stderr.take().expect("a pipe"));
        let mut said = String::new();
        while !said.contains("listening on") {
            assert!(messages.read_line(&mut said).is_ok_and(|length| length > 0), "tcpdump: {said}");
        }
        // It must not wait for a reader of the rest.
        std::thread::spawn(move || messages.read_to_end(&mut Vec::new()));
        Trace { tcpdump, file }
    }

    /// What tcpdump says of the packets so far that this expression lets through.
    fn read(&self, expression: &str) -> Vec<String> {
        let output = program("tcpdump").args(["-nn", "-r"]).arg(&self.file).arg(expression).output();
        let output = output.expect("tcpdump runs");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until `count` packets have come that this expression lets through and that are as
    /// `is_awaited` says, and returns all that the expression lets through.
    fn wait_for(&self, expression: &str, is_awaited: impl Fn(&str) -> bool, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.read(expression);
            if lines.iter().filter(|line| is_awaited(line)).count() >= count {
                return lines;
            }
            assert!(Instant::now() < deadline, "fewer than {count} are awaited ones: {lines:#?}");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        send_signal(self.tcpdump.id(), libc::SIGTERM);
        let _ = self.tcpdump.wait();
    }
}

/// Whether tcpdump can be used: it changes its user, which in a user namespace it may not.
fn have_tcpdump() -> bool {
    have("tcpdump", program("tcpdump").arg("--version")) && can_become_others()
}

/// Waits until a file has a text.
fn wait_for_text(file: &Path, is_right: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        if is_right(&text) {
            return;
        }
        assert!(Instant::now() < deadline, "{}: {text}", file.display());
        sleep(Duration::from_millis(20));
    }
}

/// The flags in a line of tcpdump.
fn flags(line: &str) -> &str {
    let (_, rest) = line.split_once("Flags [").unwrap_or_else(|| panic!("no flags: {line}"));
    rest.split(']').next().expect("split returns a part")
}

#[test]
fn measurement_is_a_handshake_that_no_access_log_has_and_the_documented_filter_finds() {
    if !have_tcpdump() || !have("nginx", program("nginx").arg("-v")) {
        return;
    }
    if !have("openssl", program("openssl").arg("version")) || !have("curl", program("curl").arg("-V")) {
        return;
    }
    lab::isolated!(|| {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("files")).expect("a directory");
        fs::write(directory.path().join("files/file"), "contents").expect("a file");
        let _nginx = Nginx::start(directory.path());
        let [error_log, access_log] = ["error.log", "access.log"].map(|name| directory.path().join(name));
        // nginx was asked for a connection to see whether it is ready.
        wait_for_text(&error_log, |log| log.contains("client closed connection"));
        let before = fs::read_to_string(&error_log).expect("a log").len();
        let trace = Trace::start(directory.path());

        let urls = ["http://127.0.0.1/", "https://127.0.0.1/", "https://[::1]/"];
        let ranking = Ranker::new().rank(urls).expect("a ranking");
        assert_eq!(ranking.stop_reason, StopReason::Complete);
        let is_from_client = |packet: &str| packet.contains(".80: ") || packet.contains(".443: ");
        let packets = trace.wait_for("tcp", |packet| is_from_client(packet) && flags(packet) == "F.", 3);
        for endpoint in ["127.0.0.1.80:", "127.0.0.1.443:", "::1.443:"] {
            let is_to_it = |packet: &&String| packet.contains(&format!(" > {endpoint} "));
            let packets: Vec<_> = packets.iter().filter(is_to_it).collect();
            // After these comes the reply to the server's own FIN.
            let flags: Vec<_> = packets.iter().map(|packet| flags(packet)).collect();
            assert_eq!(flags[..3], ["S", ".", "F."], "{packets:#?}");
            assert!(packets.iter().all(|packet| packet.ends_with("length 0")), "{packets:#?}");
            assert!(packets[2].contains("seq 1, ack 1,"), "{packets:#?}");
        }

        // The lines that the page has, with other addresses.
        let page = page();
        let documented = page.lines().filter_map(|line| line.strip_prefix("    client closed connection "));
        let documented: Vec<_> = documented.filter_map(|line| line.split(',').next()).collect();
        assert_eq!(documented.len(), 2);
        for line in documented {
            let line = format!("client closed connection {line}, client: ");
            wait_for_text(&error_log, |log| log[before..].contains(&line));
        }
        assert_eq!(fs::read_to_string(&access_log).expect("a log"), "");

        // A download is logged, and has the same packets but more of them.
        let mut curl = program("curl");
        curl.args(["-s", "--insecure", "--noproxy", "*", "https://127.0.0.1/file"]);
        assert_eq!(run(&mut curl), "contents");
        let is_end = |packet: &str| packet.contains(" > 127.0.0.1.443: ") && flags(packet).contains('F');
        trace.wait_for("tcp", is_end, 2);
        let command = page.lines().map(str::trim).find(|line| line.starts_with("tcpdump "));
        let (tcpdump, grep) = command.and_then(|line| line.split_once(" | grep -F ")).expect("a command");
        let expression = tcpdump.split('\'').nth(1).expect("an expression");
        let found = trace.read(expression);
        let is_to_port = |packet: &&String| packet.contains(".443: ") && flags(packet) == "S";
        assert_eq!(found.iter().filter(is_to_port).count(), 3, "{found:#?}");
        let found: Vec<_> = found.iter().filter(|packet| packet.contains(grep.trim_matches('\''))).collect();
        assert_eq!(found.len(), 2, "the measurements alone: {found:#?}");
        wait_for_text(&access_log, |log| log == "https 127.0.0.1 GET /file 200\n");
    });
}

#[test]
fn mirror_that_is_too_far_away_sees_its_answer_reset() {
    if !have_tcpdump() {
        return;
    }
    lab::isolated!(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let near = Mirror::new("near.lab.example").ipv4(answer(ms(10)));
        let far = Mirror::new("far.lab.example").ipv4(answer(ms(600)));
        let world = World::start(Spec::new().mirrors([near, far])).expect("a world");
        let trace = Trace::start(directory.path());
        let urls = ["http://near.lab.example/", "http://far.lab.example/"];
        let ranking = Ranker::new().rank(urls).expect("a ranking");
        assert_eq!(ranking.mirrors[1].outcome, Outcome::Unanswered);
        let far = world.ipv4("far.lab.example");
        let packets = trace.wait_for(&format!("host {far}"), |packet| flags(packet).starts_with('R'), 1);
        let flags: Vec<_> = packets.iter().map(|packet| flags(packet)).collect();
        assert_eq!(flags[0], "S", "{packets:#?}");
        // A busy machine may have sent a second SYN.
        assert!(flags.iter().all(|flags| ["S", "S.", "R"].contains(flags)), "{packets:#?}");
    });
}

#[test]
fn rates_of_syns_follow_from_the_limits() {
    const MACHINES: f64 = 1.4e6;
    let rates: Vec<f64> = table("your mirror").into_iter().flatten().collect();
    let hourly = MACHINES / 3600.0;
    // A mirror without a reply in time may get a second SYN.
    let expected = [hourly, 2.0 * hourly, MACHINES / (30.0 * 24.0 * 3600.0)];
    assert_eq!(rates.len(), expected.len());
    for (rate, expected) in rates.iter().zip(expected) {
        assert!((rate / expected - 1.0).abs() < 0.01, "{rate}, and not {expected}");
    }
}

#[test]
fn page_leads_to_tests_that_exist() {
    let page = page();
    let links: Vec<&str> = page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 5, "{links:?}");
    for link in links {
        assert!(root().join("docs").join(link).is_file(), "{link}");
    }
}
