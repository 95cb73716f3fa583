//! Builds with Cargo what tests run or link, so that they are up to date even if a single test is
//! run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this package is in <root>/tests/support")
}

/// Cargo's target directory, wherever it has been configured to be.
pub fn target() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this program");
    test.ancestors().nth(3).expect("a test is in <target>/<profile>/deps").to_owned()
}

/// Runs a command that has to succeed, and returns its standard output.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, transcript(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything that a command has printed, for the message of a failing test. It is indented, since
/// the command may be a test itself, and `tests/run` counts the results at the beginning of a line.
pub fn transcript(output: &Output) -> String {
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// A Cargo command in the root of the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(arguments).args(["--locked", "--quiet"]);
    // Cargo has set these for this test. They would make another build start from scratch.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    command
}

/// The version of the library.
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
        let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
        line.and_then(|line| line.split('"').next()).expect("a package has a version").to_owned()
    })
}

/// The number in a soname: what a compatible release shares with this version. It is 0.MINOR, and
/// from 1.0 on MAJOR.
pub fn soname_number(version: &str) -> String {
    let parts: Vec<_> = version.split('.').collect();
    if parts[0] == "0" { format!("0.{}", parts[1]) } else { parts[0].to_owned() }
}

/// The name by which programs load the library.
pub fn soname() -> String {
    format!("libfastestmirror.so.{}", soname_number(version()))
}

/// Gives the library in this directory of Cargo's the name by which programs load it.
pub fn link_soname(directory: &Path) {
    let link = directory.join(soname());
    let _ = fs::remove_file(&link);
    symlink("libfastestmirror.so", link).expect("the target directory can be written");
}

/// The directory with the libraries of a plain `cargo build --release`, and the name that programs
/// load.
pub fn libraries() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        run(cargo(&["build", "--release", "--lib"]).arg("--target-dir").arg(target()));
        let directory = target().join("release");
        link_soname(&directory);
        directory
    })
}

/// A directory for the files of the tests of this name.
pub fn scratch(name: &str) -> PathBuf {
    let directory = target().join("tmp").join(name);
    fs::create_dir_all(&directory).expect("the target directory can be written");
    directory
}

/// The directory of `libfastestmirror_librepo.so` and `libfastestmirror_librepo.a`.
pub fn dropin() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // There is no network inside the lab, and none is needed: the test itself has been built
        // from the same packages.
        let mut command = cargo(&["build", "--release", "-p", "fastestmirror-librepo", "--offline"]);
        run(command.arg("--target-dir").arg(target()));
        target().join("release")
    })
}

/// Installs the C library and the command below this prefix, with the Makefile, which builds them
/// first with the profile of this test.
pub fn install(prefix: &Path) {
    let (profile, out) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    let make = |arguments: &[&str]| {
        let mut make = Command::new("make");
        make.current_dir(root()).args(["--no-print-directory", "CARGOFLAGS=--quiet --offline"]);
        // Cargo has set these for this test.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
            make.env_remove(name);
        }
        make.arg(format!("CARGO={}", env!("CARGO"))).arg(format!("PROFILE={profile}"));
        make.arg(format!("CARGO_TARGET_DIR={}", target().display()));
        make.arg(format!("OUT={}", target().join(out).display()));
        run(make.args(arguments));
    };
    make(&["all"]);
    // The cache of the machine's loader is none of this prefix's business.
    make(&["install", "LDCONFIG=true", &format!("PREFIX={}", prefix.display())]);
}

/// The command with its simulator. A test of a debug build would wait for minutes, so this is
/// always a release build. It has a directory of its own: its library is built with another
/// feature, and in one directory each of the two builds would undo the other.
pub fn fleet() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let directory = scratch("fleet");
        let mut command = cargo(&["build", "--release", "-p", "fastestmirror-cli", "--features", "fleet"]);
        run(command.arg("--target-dir").arg(&directory));
        directory.join("release/fastestmirror")
    })
}
