//! Builds with Cargo what tests run or link: an edit is never missed, whichever test is run alone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this package is in <root>/tests/support")
}

/// The folder of what Cargo builds, wherever it was told to put it.
pub fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows itself");
    test.ancestors().nth(3).expect("a test is in <target>/<profile>/deps").to_owned()
}

/// Runs a command that has to succeed, and returns what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(arguments).args(["--locked", "--quiet"]);
    // What Cargo set for this test is not for another build, and would make it start anew.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    command
}

/// The example command `rank`.
pub fn rank() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // No network inside the lab, and none needed: the test itself has been built from the same packages.
        run(cargo(&["build", "--example", "rank", "--offline"]).arg("--target-dir").arg(target()));
        target().join("debug/examples/rank")
    })
}

/// The directory of `libfastestmirror_librepo.so` and `libfastestmirror_librepo.a`.
pub fn dropin() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // No network inside the lab, and none needed: the test itself has been built from the same packages.
        let mut command = cargo(&["build", "--release", "-p", "fastestmirror-librepo", "--offline"]);
        run(command.arg("--target-dir").arg(target()));
        target().join("release")
    })
}
