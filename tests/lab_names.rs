//! Names and addresses that need a lookup of a special kind, or are none: names in other scripts,
//! 0.0.0.0 and ::.

use fastestmirror::*;
use lab::{Lookup, Spec, World, answer, ms};
use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::Ordering::SeqCst;
use support::build::run;
use support::programs::{have, program};
use support::servers::Server;

const PUNYCODE: &str = "xn--mnchen-3ya.lab.example";

/// A world where a mirror with that name is 20 ms away, and another one is 50 ms away.
fn world() -> World {
    let mirror = |name, rtt: u32| lab::Mirror::new(name).both(answer(ms(rtt)));
    let mirrors = [mirror(PUNYCODE, 20), mirror("far.lab.example", 50)];
    World::start(Spec::new().mirrors(mirrors)).expect("a world")
}

/// The file of libidn2, which glibc loads to encode names. If there is none, the test is skipped.
fn libidn2() -> Option<PathBuf> {
    if cfg!(not(target_env = "gnu")) {
        lab::skip("this libc knows no names but ASCII ones");
        return None;
    }
    let known = run(program("ldconfig").arg("-p"));
    let file = known
        .lines()
        .filter(|line| line.trim_start().starts_with("libidn2.so.0 "))
        .find_map(|line| line.split_once(" => "));
    if file.is_none() {
        lab::skip("libidn2 is not installed: tests/run installs it");
    }
    file.map(|(_, path)| path.into())
}

/// The locale of the process and the encoding of this thread.
fn locale() -> [String; 2] {
    // SAFETY: both calls only ask, and return strings that nothing changes meanwhile.
    unsafe {
        [libc::setlocale(libc::LC_ALL, ptr::null()), libc::nl_langinfo(libc::CODESET)]
            .map(|text| CStr::from_ptr(text).to_str().expect("ASCII").into())
    }
}

fn rank<const N: usize>(urls: [&str; N]) -> ([Outcome; N], Ranking) {
    let ranking = Ranker::new().fallbacks(Ranker::ALL).rank(urls).unwrap();
    let of = |index| ranking.mirrors.iter().find(|mirror| mirror.index == index).unwrap().outcome;
    (std::array::from_fn(of), ranking)
}

#[test]
fn name_in_another_script_is_measured_as_its_punycode_form() {
    lab::isolated!(|| {
        if libidn2().is_none() {
            return;
        }
        let world = world();
        let before = locale();
        let urls =
            ["http://far.lab.example/", "http://münchen.lab.example/", "http://M%C3%9CNCHEN.lab.example/"];
        let (outcomes, ranking) = rank(urls);
        for (url, outcome) in urls.iter().zip(outcomes) {
            assert!(matches!(outcome, Outcome::Measured(_)), "{url}: {outcome:?}");
        }
        assert!(outcomes[1].latency() < outcomes[0].latency());
        let best = &ranking.mirrors[0];
        assert_ne!(best.index, 0);
        let address = best.address.expect("an address").ip();
        assert!(world.addresses(PUNYCODE).contains(&address), "{address}");
        let names: Vec<_> = world.report().lookups.into_keys().collect();
        assert_eq!(names, ["far.lab.example", PUNYCODE]);
        // The encoding was that of the lookup's thread alone.
        assert_eq!(locale(), before);
        assert_eq!(before[0], "C", "the test means to run without a locale");

        // curl goes there, too.
        if have("curl", program("curl").arg("--version")) {
            let mut curl = program("curl");
            curl.env("LC_ALL", "C.UTF-8").args(["-q", "-s", "--noproxy", "*", "-w", "%{remote_ip}"]);
            // It closes the connection without a reply, but not before it has got the request.
            let server = Server::start(Ipv6Addr::UNSPECIFIED);
            let url = format!("http://münchen.lab.example:{}/", server.port());
            let output = curl.arg(url).output().expect("curl runs");
            let reached = String::from_utf8_lossy(&output.stdout).parse::<IpAddr>().expect("an address");
            assert!(world.addresses(PUNYCODE).contains(&reached), "{reached}");
        }
    });
}

#[test]
fn name_that_cannot_be_encoded_is_unresolved() {
    lab::isolated!(|| {
        let world = world();
        // IDNA allows no label with hyphens in these places (RFC 5891, section 4.2.3.1), or without
        // any character that stays.
        let urls = ["http://far.lab.example/", "http://ab--ü.lab.example/", "http://\u{ad}.lab.example/"];
        let (outcomes, _) = rank(urls);
        assert!(matches!(outcomes[0], Outcome::Measured(_)));
        assert_eq!(outcomes[1..], [Outcome::Unresolved; 2]);
        assert!(world.report().lookups.keys().all(|name| name.is_ascii()));
    });
}

#[test]
fn name_in_another_script_is_unresolved_without_libidn2() {
    lab::isolated!(|| {
        let Some(library) = libidn2() else { return };
        let library = CString::new(library.into_os_string().into_vec()).unwrap();
        // SAFETY: terminated paths, alive for the call. The mount is seen by this process alone.
        let mounted = unsafe {
            let nothing = c"/dev/null".as_ptr();
            libc::mount(nothing, library.as_ptr(), ptr::null(), libc::MS_BIND, ptr::null())
        };
        assert_eq!(mounted, 0, "{}", std::io::Error::last_os_error());
        let world = world();
        let (outcomes, _) = rank(["http://far.lab.example/", "http://münchen.lab.example/"]);
        assert!(matches!(outcomes[0], Outcome::Measured(_)));
        assert_eq!(outcomes[1], Outcome::Unresolved);
        assert_eq!(world.report().lookups.len(), 1);
    });
}

#[test]
fn blocked_name_does_not_lead_to_this_machine() {
    lab::isolated!(|| {
        let here = [Server::start(Ipv4Addr::UNSPECIFIED), Server::start(Ipv6Addr::UNSPECIFIED)];
        let blocked = lab::Mirror::new("blocked.lab.example").lookup(Lookup::Blocked);
        let near = lab::Mirror::new("near.lab.example").both(answer(ms(20)));
        let _world = World::start(Spec::new().mirrors([blocked, near])).expect("a world");
        for server in &here {
            let port = server.port();
            let urls = [
                "http://near.lab.example/",
                &format!("http://blocked.lab.example:{port}/"),
                &format!("http://0.0.0.0:{port}/"),
                &format!("http://[::]:{port}/"),
                &format!("http://[::ffff:0.0.0.0]:{port}/"),
            ];
            let (outcomes, ranking) = rank(urls);
            assert_eq!(ranking.mirrors[0].index, 0, "{ranking:#?}");
            assert!(matches!(outcomes[0], Outcome::Measured(_)));
            assert_eq!(outcomes[1..], [Outcome::Unresolved; 4]);
        }
        // They would have answered.
        for (server, ip) in here.iter().zip(["127.0.0.1", "[::1]"]) {
            let (outcomes, _) = rank([&format!("http://{ip}:{}/", server.port())]);
            assert!(matches!(outcomes[0], Outcome::Measured(_)), "{outcomes:?}");
        }
        // Only the connections that were just made.
        std::thread::sleep(ms(50));
        assert!(here.iter().all(|server| server.accepted.load(SeqCst) == 1));
    });
}
