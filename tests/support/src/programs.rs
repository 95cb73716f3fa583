//! The system's own programs, for tests with unmodified software: whether they are installed, nginx
//! as a server, and packages for rpm.

use crate::build::run;
use lab::skip;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A command with the system's default path. Servers are in directories that are not in the path of
/// every user.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin");
    command
}

/// A command that succeeds if pkg-config knows this package.
pub fn module(name: &str) -> Command {
    let mut command = program("pkg-config");
    command.args(["--exists", name]);
    command
}

/// A command that succeeds if the system's Python has this module.
pub fn python(name: &str) -> Command {
    let mut command = program("/usr/bin/python3");
    command.args(["-c", &format!("import {name}")]);
    command
}

/// Whether something is installed, which the command `probe` finds out by succeeding. If not, the
/// test is skipped.
pub fn have(what: &str, probe: &mut Command) -> bool {
    let found =
        probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        skip(&format!("{what} is not installed: tests/run installs it"));
    }
    found
}

/// Sends a signal to a child process. It must not have been waited for, so that its ID is still its
/// own.
pub fn send_signal(child: u32, signal: i32) {
    // SAFETY: kill(2) takes two numbers.
    unsafe { libc::kill(child as libc::pid_t, signal) };
}

/// A program without input, whose output can be read, and which SIGINT ends.
pub fn interruptible(path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A shell that runs the tests in the background may have set SIGINT to be ignored, which is
    // inherited.
    // SAFETY: signal(2) is async-signal-safe, so it may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    command
}

/// Builds an RPM package into `directory`; `sections` are additional parts of its spec file.
/// Without a `%files` among them it has no files.
pub fn make_package(scratch: &Path, directory: &Path, name: &str, sections: &str) -> PathBuf {
    let spec = scratch.join(format!("{name}.spec"));
    let files = if sections.contains("%files\n") { "" } else { "%files\n" };
    let text = format!(
        "Name: {name}\nVersion: 1\nRelease: 1\nSummary: Nothing\nLicense: MIT\nBuildArch: noarch\nAutoReqProv: no\n\
         %description\nNothing.\n{sections}\n{files}"
    );
    fs::write(&spec, text).expect("a writable directory");
    let mut build = program("rpmbuild");
    build.env("HOME", scratch).args(["-bb", "--quiet"]);
    build.arg("--define").arg(format!("_topdir {}", scratch.join("rpmbuild").display()));
    build.arg("--define").arg(format!("_tmppath {}", scratch.display()));
    build.arg("--define").arg(format!("_rpmdir {}", directory.display()));
    run(build.args(["--define", "_build_name_fmt %%{NAME}.rpm"]).arg(&spec));
    directory.join(format!("{name}.rpm"))
}

/// nginx as the server of all mirrors, over http and https. Dropping it stops nginx. Its log,
/// `access.log`, has a line for each request: scheme, host, method, path, status. `error.log` has
/// what nginx says at the level `info`.
#[derive(Debug)]
pub struct Nginx(Child);

impl Nginx {
    /// Starts nginx. It serves the directory `files` in `scratch`, where the certificate authority
    /// is in `ca.pem`.
    pub fn start(scratch: &Path) -> Nginx {
        Nginx::start_with(scratch, &[])
    }

    /// Starts nginx with additional directives for some hosts.
    pub fn start_with(scratch: &Path, hosts: &[(&str, &str)]) -> Nginx {
        let path = |name: &str| scratch.join(name).display().to_string();
        run(program("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lab"])
            .args(["-addext", "subjectAltName=DNS:*.lab.example,DNS:*.mirrors.lab.example"])
            .args(["-keyout", &path("key.pem"), "-out", &path("ca.pem")]));
        let mut temporary = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(temporary, "{kind}_temp_path {};", path(kind)).expect("a string");
        }
        let mut others = String::new();
        for (host, directives) in hosts {
            let listen = "listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;";
            writeln!(others, "server {{ {listen} server_name {host}; {directives} }}").expect("a string");
        }
        let config = format!(
            "daemon off; error_log {} info; pid {}; events {{ worker_connections 4096; }} http {{ {temporary}
             log_format lab '$scheme $host $request_method $request_uri $status'; access_log {} lab;
             ssl_certificate {}; ssl_certificate_key {}; root {};
             server {{ listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl; }} {others} }}",
            path("error.log"),
            path("pid"),
            path("access.log"),
            path("ca.pem"),
            path("key.pem"),
            path("files"),
        );
        fs::write(scratch.join("nginx.conf"), format!("user root; {config}")).expect("a writable directory");
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
        send_signal(self.0.id(), libc::SIGTERM);
        let _ = self.0.wait();
    }
}
