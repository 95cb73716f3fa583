//! Unmodified programs in the lab: nginx serves the mirrors; curl and librepo are the clients.

use lab::{Mirror, Spec, World, answer, figure, ms};
use std::fs;
use std::path::Path;
use support::build::run;
use support::programs::{Nginx, have, program};

/// The mirrors and their round-trip times in milliseconds.
const MIRRORS: [(&str, f64); 3] =
    [("far.lab.example", 120.0), ("near.lab.example", 20.0), ("mid.lab.example", 60.0)];

/// Runs `body` in a world whose mirrors are served by nginx.
fn with_nginx(test: &str, body: impl FnOnce(&World, &Path)) {
    if !have("nginx", program("nginx").arg("-v")) || !have("openssl", program("openssl").arg("version")) {
        return;
    }
    lab::isolated(test, || {
        let mirrors = MIRRORS.map(|(name, rtt)| Mirror::new(name).both(answer(ms(rtt))));
        let world = World::start(Spec::new().mirrors(mirrors).accept(&[])).expect("a world");
        let scratch = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(scratch.path().join("files/repodata")).expect("a directory");
        let repomd = r#"<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision></repomd>"#;
        fs::write(scratch.path().join("files/repodata/repomd.xml"), repomd).expect("a file");
        let _nginx = Nginx::start(scratch.path());
        body(&world, scratch.path());
    });
}

#[test]
fn curl_fetches_over_http_and_https_at_the_configured_distance() {
    if !have("curl", program("curl").arg("--version")) {
        return;
    }
    with_nginx(lab::test_name!(), |world, scratch| {
        for (name, rtt) in MIRRORS {
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://{name}/repodata/repomd.xml");
                let text = run(program("curl")
                    .args([
                        "--silent",
                        "--show-error",
                        "--fail",
                        "--write-out",
                        "\n%{time_namelookup} %{time_connect}",
                    ])
                    .arg("--cacert")
                    .arg(scratch.join("ca.pem"))
                    .arg(url));
                assert!(text.contains("<repomd"), "{text}");
                let times: Vec<f64> =
                    text.lines().last().unwrap().split(' ').map(|time| time.parse().unwrap()).collect();
                let handshake = (times[1] - times[0]) * 1e3;
                assert!((rtt - 1.0..rtt + 100.0).contains(&handshake), "{name}: {handshake} ms");
            }
            assert!(world.report().of(name).payload > 100);
        }
    });
}

/// Fetches repomd.xml with librepo's Python binding from the fastest of some URLs, and prints the
/// time it took.
const LIBREPO: &str = r#"
import librepo, sys, tempfile, time
h = librepo.Handle()
h.urls, h.repotype, h.destdir = sys.argv[1:], librepo.YUMREPO, tempfile.mkdtemp()
h.yumdlist, h.fastestmirror = [None], True
begin = time.time()
h.perform(librepo.Result())
print(time.time() - begin)
"#;

#[test]
fn librepo_finds_the_nearest_mirror() {
    if !have("python3-librepo", program("/usr/bin/python3").args(["-c", "import librepo"])) {
        return;
    }
    with_nginx(lab::test_name!(), |world, scratch| {
        let urls = MIRRORS.map(|(name, _)| format!("http://{name}/"));
        let seconds = run(program("/usr/bin/python3").args(["-c", LIBREPO]).args(urls));
        figure(&format!("librepo itself, three http mirrors, one file: {} s", seconds.trim()));
        for (name, _) in MIRRORS {
            assert!(world.report().of(name).attempts >= 1, "librepo has not measured {name}");
        }
        let log = fs::read_to_string(scratch.join("access.log")).expect("nginx's log");
        assert!(log.contains("/repodata/repomd.xml"), "{log}");
        let report = world.report();
        let used = report.attempts.iter().filter(|attempt| attempt.payload > 0);
        let used: Vec<_> = used.map(|attempt| MIRRORS[attempt.mirror].0).collect();
        assert!(used.iter().all(|&name| name == "near.lab.example") && !used.is_empty(), "{used:?}");
    });
}
