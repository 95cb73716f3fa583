//! The command with long lists, with a process that is stopped for a while, and with lookups that
//! hang.

use lab::{Lookup, Mirror, Spec, World, answer, figure, ms};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::programs::send_signal;
use support::servers::{Server, Silent, closed_port};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fastestmirror"));
    command.stdin(Stdio::null());
    command
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{} {}", output.status, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// A TLS server (openssl s_server) on every address of 127.0.0.0/8.
struct Tls(Child, u16);

impl Tls {
    /// Starts the server; `None` if openssl is not installed.
    fn start(scratch: &Path) -> Option<Tls> {
        let path = |name: &str| scratch.join(name).display().to_string();
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=mirror.example",
            ])
            .args(["-keyout", &path("key.pem"), "-out", &path("certificate.pem")])
            .output();
        let made = made.is_ok_and(|output| output.status.success());
        if !made {
            lab::skip("openssl is not installed, so no server has TLS: tests/run installs it");
            return None;
        }
        let port = closed_port();
        let server = Command::new("openssl")
            .args(["s_server", "-quiet", "-accept", &format!("0.0.0.0:{port}")])
            .args(["-key", &path("key.pem"), "-cert", &path("certificate.pem")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        let tls = Tls(server, port);
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "openssl does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(tls)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A list like those of distributions: some 400 URLs of several protocols, with hosts that have
/// several URLs, duplicates, addresses in place of names, and comments; and the servers behind it.
struct Field {
    /// Each URL with the outcome to expect.
    urls: Vec<(String, &'static str)>,
    _silent: Vec<Silent>,
    _servers: [Server; 2],
    _tls: Option<Tls>,
}

impl Field {
    fn start(scratch: &Path) -> Field {
        let open = Server::start(Ipv4Addr::UNSPECIFIED);
        let six = Server::start(Ipv6Addr::LOCALHOST);
        let tls = Tls::start(scratch);
        let silent: Vec<_> = (1..=3).map(|n| Silent::start(Ipv4Addr::new(127, 60, 9, n))).collect();
        let (http, https, closed) =
            (open.port(), tls.as_ref().map_or(open.port(), |tls| tls.1), closed_port());
        let mut urls = Vec::new();
        for n in 0..120u8 {
            let host = format!("127.60.{}.{}", n / 60, n % 60 + 1);
            urls.push((format!("http://{host}:{http}/pub/linux/"), "measured"));
            if n % 8 == 0 {
                urls.push((format!("https://{host}:{https}/pub/linux/"), "measured"));
            }
            if n % 3 == 0 {
                urls.push((format!("rsync://{host}/linux/"), "unsupported"));
            }
            if n % 10 == 0 {
                urls.push((format!("ftp://anonymous@{host}:{closed}/linux/"), "refused"));
            }
            if n % 15 == 0 {
                urls.push((format!("HTTP://{host}:{http}/other/path/"), "measured"));
            }
        }
        urls.extend(silent.iter().map(|silent| (format!("http://{}/pub/", silent.address), "unanswered")));
        urls.push((format!("http://[::1]:{}/pub/", six.port()), "measured"));
        urls.push(("file:///srv/mirror/".into(), "local"));
        // Duplicates, in another part of the list.
        urls.extend_from_within(0..150);
        Field { urls, _silent: silent, _servers: [open, six], _tls: tls }
    }

    fn mirrorlist(&self) -> String {
        let mut list = "# Mirrors of a distribution, made by a server\n\n".to_string();
        for (n, (url, _)) in self.urls.iter().enumerate() {
            if n % 40 == 0 {
                writeln!(list, "\n# part {n}").unwrap();
            }
            writeln!(list, "{url}{}", if n % 7 == 0 { "  \r" } else { "" }).unwrap();
        }
        list
    }

    fn metalink(&self) -> String {
        let mut list = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<metalink version=\"3.0\" \
            xmlns=\"http://www.metalinker.org/\" type=\"dynamic\" xmlns:mm0=\"http://fedorahosted.org/mirrormanager\">\n\
            <files><file name=\"repomd.xml\">\n<mm0:timestamp>1790000000</mm0:timestamp>\n<size>4000</size>\n\
            <verification><hash type=\"md5\">00</hash></verification>\n<resources maxconnections=\"1\">\n"
            .to_string();
        for (n, (url, _)) in self.urls.iter().enumerate() {
            let protocol = url.split(':').next().unwrap();
            let preference = 100 - n % 100;
            writeln!(
                list,
                "<url protocol=\"{protocol}\" type=\"{protocol}\" location=\"DE\" preference=\"{preference}\">{url}</url>"
            )
            .unwrap();
        }
        list + "</resources></file></files></metalink>\n"
    }

    /// Checks the result of ranking the whole list, and returns how long that took in milliseconds.
    fn check(&self, run: &Value) -> f64 {
        let mirrors = run["mirrors"].as_array().unwrap();
        assert_eq!(mirrors.len(), self.urls.len());
        let mut seen = vec![false; mirrors.len()];
        let class = |outcome: &str, pool: bool| match (outcome, pool) {
            ("local", _) => 0,
            ("measured", true) => 1,
            ("measured", false) => 2,
            ("unanswered", _) => 3,
            _ => 4,
        };
        let mut classes = Vec::new();
        let mut hosts: HashMap<(usize, String), usize> = HashMap::new();
        for (position, mirror) in mirrors.iter().enumerate() {
            let index = mirror["index"].as_u64().unwrap() as usize;
            let outcome = mirror["outcome"].as_str().unwrap();
            assert!(!std::mem::replace(&mut seen[index], true), "{index} comes out twice");
            assert_eq!(mirror["url"].as_str().unwrap(), self.urls[index].0);
            assert_eq!(outcome, self.urls[index].1, "{mirror}");
            let class = class(outcome, mirror["pool"].as_bool().unwrap());
            classes.push(class);
            if let Some(address) = mirror["address"].as_str() {
                let host = address.rsplit_once(':').unwrap().0.to_string();
                let before = hosts.insert((class, host), position);
                assert!(
                    before.is_none_or(|before| before + 1 == position),
                    "the URLs of a host are not together: {mirror}"
                );
            }
        }
        assert!(classes.is_sorted(), "{classes:?}");
        run["elapsed_ms"].as_f64().unwrap()
    }
}

#[test]
fn long_lists_with_silent_mirrors_cost_the_quiet_time_at_most() {
    let scratch = tempfile::tempdir().expect("a directory");
    let field = Field::start(scratch.path());
    assert!(field.urls.len() >= 350, "{}", field.urls.len());
    for (name, text) in [("mirrorlist", field.mirrorlist()), ("metalink.xml", field.metalink())] {
        let file = scratch.path().join(name);
        fs::write(&file, text).expect("a file");
        // Three silent endpoints cost the quiet time of 100 ms, not the timeout of 2 s.
        let all = (0..3).map(|_| {
            let run = json(&command().args(["--json", "--fallbacks", "all"]).arg(&file).output().unwrap());
            assert_eq!(run["stop_reason"], "quiet");
            field.check(&run)
        });
        let all = all.fold(f64::INFINITY, f64::min);
        // If no fallbacks are wanted they cost almost nothing.
        let none = (0..3).map(|_| {
            let run = json(&command().args(["--json", "--fallbacks", "0"]).arg(&file).output().unwrap());
            assert_eq!(run["stop_reason"], "settled");
            run["elapsed_ms"].as_f64().unwrap()
        });
        let none = none.fold(f64::INFINITY, f64::min);
        figure(&format!("{name} of {} URLs: {all:.0} ms for all, {none:.0} ms settled", field.urls.len()));
        assert!((100.0..500.0).contains(&all) && none < 100.0, "{all} ms, {none} ms");
    }
    let weighted =
        command().args(["--json", "--weights"]).arg(scratch.path().join("metalink.xml")).output().unwrap();
    assert_eq!(json(&weighted)["mirrors"].as_array().unwrap().len(), field.urls.len());
}

#[test]
fn stopped_process_reports_true_latencies() {
    lab::isolated!(|| {
        let rtts = [40, 45, 50, 55, 60, 65, 70, 75];
        let named = |n: usize| format!("m{n}.lab.example");
        let mirrors = rtts.iter().enumerate().map(|(n, &rtt)| Mirror::new(&named(n)).ipv4(answer(ms(rtt))));
        let world = World::start(Spec::new().mirrors(mirrors)).expect("a world");
        let urls = (0..rtts.len()).map(|n| format!("http://{}/", world.ipv4(&named(n))));
        let mut command = command();
        command.args(["--json", "--timeout", "10", "--fallbacks", "all"]).args(urls).stdout(Stdio::piped());
        let child = command.spawn().expect("the command starts");
        let deadline = Instant::now() + Duration::from_secs(20);
        while world.report().total().attempts < rtts.len() {
            assert!(Instant::now() < deadline, "the command sends nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        send_signal(child.id(), libc::SIGSTOP);
        std::thread::sleep(Duration::from_millis(150));
        send_signal(child.id(), libc::SIGCONT);
        let run = json(&child.wait_with_output().unwrap());
        assert_eq!(run["stop_reason"], "complete");
        assert!(run["elapsed_ms"].as_f64().unwrap() > 150.0, "it was not stopped: {run}");
        for mirror in run["mirrors"].as_array().unwrap() {
            let rtt = f64::from(rtts[mirror["index"].as_u64().unwrap() as usize]);
            let latency = mirror["latency_ms"].as_f64().unwrap();
            assert!((rtt..rtt + 80.0).contains(&latency), "{latency} ms instead of {rtt}");
        }
        assert_eq!(world.report().total().attempts, rtts.len(), "a mirror got a second attempt");
    });
}

#[test]
fn hanging_lookups_delay_neither_the_result_nor_the_exit() {
    lab::isolated!(|| {
        let named = |n: usize| format!("hung{n}.lab.example");
        let mirrors = (0..80).map(|n| Mirror::new(&named(n)).lookup(Lookup::Silent));
        let _world = World::start(Spec::new().mirrors(mirrors)).expect("a world");
        let best = (0..3).map(|_| {
            let begin = Instant::now();
            let urls = (0..80).map(|n| format!("http://{}/", named(n)));
            let output = command().args(["--json", "--timeout", "0.3"]).args(urls).output().unwrap();
            assert_eq!(output.status.code(), Some(3), "a mirror answered");
            let run: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(run["stop_reason"], "timeout");
            begin.elapsed()
        });
        let best = best.min().unwrap();
        figure(&format!("80 lookups hang, timeout 300 ms: the process ended after {} ms", best.as_millis()));
        // The lookups themselves would take two seconds.
        assert!(best >= ms(300) && best < ms(1000), "{best:?}");
    });
}
