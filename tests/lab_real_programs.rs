//! Unchanged programs run against a world of the lab: nginx behind the mirrors, curl and librepo before them.

mod lab;

use lab::{Mirror, Spec, World, answer, figure, ms};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The mirrors and how far they are away, in milliseconds.
const MIRRORS: [(&str, f64); 3] =
    [("far.lab.example", 120.0), ("near.lab.example", 20.0), ("mid.lab.example", 60.0)];

/// A program of the system's: servers lie in folders that are not on everybody's path.
fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin");
    command
}

/// Says why a test cannot run here: a failure under CI, where nothing is skipped in silence.
fn have(program: &str, probe: &mut Command) -> bool {
    let found =
        probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    assert!(found || std::env::var_os("CI").is_none(), "{program} is not installed: tests/run installs it");
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {stderr}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// nginx behind all mirrors, with http and https; it ends with this value.
struct Nginx(Child);

impl Nginx {
    /// Serves the folder `files` below `scratch`, where the certificate authority is put as `ca.pem`.
    fn start(scratch: &Path) -> Nginx {
        let path = |name: &str| scratch.join(name).display().to_string();
        output(
            program("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lab"])
                .args(["-addext", "subjectAltName=DNS:*.lab.example"])
                .args(["-keyout", &path("key.pem"), "-out", &path("ca.pem")]),
        );
        let mut temporary = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(temporary, "{kind}_temp_path {};", path(kind)).expect("a string");
        }
        let config = format!(
            "daemon off; error_log stderr; pid {}; events {{ }} http {{ {temporary} access_log {};
             server {{ listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;
             ssl_certificate {}; ssl_certificate_key {}; root {}; }} }}",
            path("pid"),
            path("access.log"),
            path("ca.pem"),
            path("key.pem"),
            path("files"),
        );
        fs::write(scratch.join("nginx.conf"), format!("user root; {config}")).expect("a writable folder");
        let nginx = program("nginx")
            .args(["-c", &path("nginx.conf"), "-e", "stderr"])
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect("127.0.0.1:443").is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Nginx(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(self.0.id() as libc::pid_t, libc::SIGTERM) };
        let _ = self.0.wait();
    }
}

/// Runs `body` in a world with nginx behind its mirrors.
fn with_nginx(test: &str, body: impl FnOnce(&World, &Path)) {
    if !have("nginx", program("nginx").arg("-v")) || !have("openssl", program("openssl").arg("version")) {
        return;
    }
    lab::isolated(test, || {
        let mirrors = MIRRORS.map(|(name, rtt)| Mirror::new(name).both(answer(ms(rtt))));
        let world = World::start(Spec::new().mirrors(mirrors).accept(&[])).expect("a world");
        let scratch = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(scratch.path().join("files/repodata")).expect("a folder");
        let repomd = r#"<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision></repomd>"#;
        fs::write(scratch.path().join("files/repodata/repomd.xml"), repomd).expect("a file");
        let _nginx = Nginx::start(scratch.path());
        body(&world, scratch.path());
    });
}

#[test]
fn curl_fetches_over_http_and_https_at_the_distance_asked_for() {
    if !have("curl", program("curl").arg("--version")) {
        return;
    }
    with_nginx("curl_fetches_over_http_and_https_at_the_distance_asked_for", |world, scratch| {
        for (name, rtt) in MIRRORS {
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://{name}/repodata/repomd.xml");
                let text = output(
                    program("curl")
                        .args([
                            "--silent",
                            "--show-error",
                            "--fail",
                            "--write-out",
                            "\n%{time_namelookup} %{time_connect}",
                        ])
                        .arg("--cacert")
                        .arg(scratch.join("ca.pem"))
                        .arg(url),
                );
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

/// What librepo's Python binding says: the mirror it fetched from, and how long that took.
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
fn librepo_finds_the_nearest_mirror_of_the_world() {
    if !have("python3-librepo", program("/usr/bin/python3").args(["-c", "import librepo"])) {
        return;
    }
    with_nginx("librepo_finds_the_nearest_mirror_of_the_world", |world, scratch| {
        let urls = MIRRORS.map(|(name, _)| format!("http://{name}/"));
        let seconds = output(program("/usr/bin/python3").args(["-c", LIBREPO]).args(urls));
        figure(&format!("librepo itself, three http mirrors, one file: {} s", seconds.trim()));
        for (name, _) in MIRRORS {
            assert!(world.report().of(name).attempts >= 1, "librepo has not measured {name}");
        }
        let log = fs::read_to_string(scratch.join("access.log")).expect("nginx's log");
        assert!(log.contains("/repodata/repomd.xml"), "{log}");
        let report = world.report();
        let asked = report.attempts.iter().filter(|attempt| attempt.payload > 0);
        let asked: Vec<_> = asked.map(|attempt| MIRRORS[attempt.mirror].0).collect();
        assert!(asked.iter().all(|&name| name == "near.lab.example") && !asked.is_empty(), "{asked:?}");
    });
}
