//! The system's own programs, for tests that run unchanged software: whether they are there, nginx as a server, packages for rpm.

use crate::build::run;
use lab::skip;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program of the system's: servers lie in folders that are not on everybody's path.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin");
    command
}

/// What pkg-config knows under this name.
pub fn module(name: &str) -> Command {
    let mut command = program("pkg-config");
    command.args(["--exists", name]);
    command
}

/// A module of the system's Python.
pub fn python(name: &str) -> Command {
    let mut command = program("/usr/bin/python3");
    command.args(["-c", &format!("import {name}")]);
    command
}

/// Whether something is there, which `probe` then finds. If not, the test cannot run.
pub fn have(what: &str, probe: &mut Command) -> bool {
    let found =
        probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        skip(&format!("{what} is not installed: tests/run installs it"));
    }
    found
}

/// Builds a package without files into `folder`; `sections` is for scriptlets.
pub fn make_package(scratch: &Path, folder: &Path, name: &str, sections: &str) -> PathBuf {
    let spec = scratch.join(format!("{name}.spec"));
    let text = format!(
        "Name: {name}\nVersion: 1\nRelease: 1\nSummary: Nothing\nLicense: MIT\nBuildArch: noarch\nAutoReqProv: no\n\
         %description\nNothing.\n{sections}\n%files\n"
    );
    fs::write(&spec, text).expect("a writable folder");
    let mut build = program("rpmbuild");
    build.env("HOME", scratch).args(["-bb", "--quiet"]);
    build.arg("--define").arg(format!("_topdir {}", scratch.join("rpmbuild").display()));
    build.arg("--define").arg(format!("_tmppath {}", scratch.display()));
    build.arg("--define").arg(format!("_rpmdir {}", folder.display()));
    run(build.args(["--define", "_build_name_fmt %%{NAME}.rpm"]).arg(&spec));
    folder.join(format!("{name}.rpm"))
}

/// nginx behind all mirrors, with http and https; it ends with this value. Its log has a line for each request:
/// scheme, host, method, path, status.
#[derive(Debug)]
pub struct Nginx(Child);

impl Nginx {
    /// Serves the folder `files` below `scratch`, where the certificate authority is put as `ca.pem`.
    pub fn start(scratch: &Path) -> Nginx {
        let path = |name: &str| scratch.join(name).display().to_string();
        run(program("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lab"])
            .args(["-addext", "subjectAltName=DNS:*.lab.example,DNS:*.mirrors.lab.example"])
            .args(["-keyout", &path("key.pem"), "-out", &path("ca.pem")]));
        let mut temporary = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(temporary, "{kind}_temp_path {};", path(kind)).expect("a string");
        }
        let config = format!(
            "daemon off; error_log stderr; pid {}; events {{ worker_connections 4096; }} http {{ {temporary}
             log_format lab '$scheme $host $request_method $request_uri $status'; access_log {} lab;
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
