//! Faults that are injected one by one into a C program that uses the library: system calls that
//! fail, absurd results, a clock that is stepped, and what the rest of a process may do while a
//! lookup hangs. Whatever happens, the call returns in its time, the caller has an order, nothing
//! is left behind, and the reason is reported.
//!
//! `tests/c/faults/shim.c` stands between the library and the C library, and makes calls fail.

mod network;
mod surroundings;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use support::build::{libraries, root, run, scratch};

/// Whether nothing can stand between the library and this C library. If so, the test is skipped.
fn cannot_inject() -> bool {
    let cannot = cfg!(not(target_env = "gnu"));
    if cannot {
        lab::skip("the names of the functions that fail are those of glibc");
    }
    cannot
}

/// The C programs with `libfaults.so` and the library.
struct Programs {
    driver: PathBuf,
    surroundings: PathBuf,
}

fn programs() -> &'static Programs {
    static BUILT: OnceLock<Programs> = OnceLock::new();
    BUILT.get_or_init(|| {
        let directory = scratch("faults-programs");
        let source = |name: &str| root().join("tests/c/faults").join(name);
        run(cc()
            .args(["-shared", "-fPIC"])
            .arg(source("shim.c"))
            .arg("-o")
            .arg(directory.join("libfaults.so")));
        let program = |name: &str| {
            let output = directory.join(name);
            let mut command = cc();
            command.arg(source(&format!("{name}.c"))).arg("-o").arg(&output);
            // The shim comes first in the order in which functions are searched.
            for (library, directory) in [("-lfaults", directory.as_path()), ("-lfastestmirror", libraries())]
            {
                command.arg("-Wl,--no-as-needed").arg("-L").arg(directory).arg(library);
                command.arg(format!("-Wl,-rpath,{}", directory.display()));
            }
            run(command.args(["-lpthread", "-ldl"]));
            output
        };
        Programs { driver: program("driver"), surroundings: program("surroundings") }
    })
}

fn cc() -> Command {
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-I"]).arg(root().join("include"));
    command
}

/// A temporary directory of a test, and the path of a cache in it.
fn cache() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("cache");
    (directory, path)
}

/// The library itself.
fn library() -> PathBuf {
    Path::new(libraries()).join("libfastestmirror.so")
}
