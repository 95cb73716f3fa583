//! The library where the kernel does not say how long a handshake took. The test runs itself once
//! more with tests/c/no_tcp_info.c preloaded, which hides TCP_INFO.

use fastestmirror::*;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::build::{root, run, target};
use support::servers::{Server, Silent, closed_port};

const TEST: &str = "wall_clock_counts_without_tcp_info";
/// Set in the process that has the library preloaded.
const INSIDE: &str = "FASTESTMIRROR_TEST_NO_TCP_INFO";

#[test]
fn wall_clock_counts_without_tcp_info() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    if cfg!(target_feature = "crt-static") {
        return lab::skip("nothing can be preloaded into a static program");
    }
    let library = target().join("tmp").join("no_tcp_info.so");
    build(&library);
    let mut again = Command::new(std::env::current_exe().expect("the path of this program"));
    again.args([TEST, "--exact", "--nocapture"]).env(INSIDE, "1").env("LD_PRELOAD", &library);
    let output = run(&mut again);
    assert!(output.contains("\nhere the wall clock counted\n"), "{output}");
}

fn build(library: &Path) {
    std::fs::create_dir_all(library.parent().expect("a directory")).expect("a writable directory");
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]);
    run(cc.arg(root().join("tests/c/no_tcp_info.c")).arg("-o").arg(library));
}

/// An address that completes the handshake and closes the connection at once, by an RST.
fn start_closing() -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = socket2::Socket::from(stream.unwrap());
            stream.set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    address
}

fn inside() {
    let server = Server::start(Ipv4Addr::LOCALHOST);
    let silent = Silent::start(Ipv4Addr::new(127, 1, 0, 1));
    let urls = [
        format!("http://{}/silent", silent.address),
        format!("http://127.1.0.2:{}/refused", closed_port()),
        format!("http://{}/closing", start_closing()),
        format!("http://{}/open", server.address),
    ];
    let cache = tempfile::tempdir().unwrap();
    let file = cache.path().join("cache");
    let ranking = Ranker::new().cache(Some(&file)).rank(&urls).unwrap();
    let of = |index| ranking.mirrors.iter().find(|mirror| mirror.index == index).unwrap();
    assert_eq!((of(0).outcome, of(1).outcome), (Outcome::Unanswered, Outcome::Refused));
    for index in [2, 3] {
        let mirror = of(index);
        let Outcome::Measured(latency) = mirror.outcome else { panic!("{mirror:?}") };
        assert!(latency > Duration::ZERO && latency < Duration::from_secs(1), "{latency:?}");
        assert!(mirror.imprecise, "{mirror:?}");
    }
    // What is imprecise is not remembered.
    let mut text = String::new();
    let _ = std::fs::File::open(&file).and_then(|mut file| file.read_to_string(&mut text));
    assert!(!text.contains(&server.address.to_string()), "{text}");
    println!("\nhere the wall clock counted");
}
