//! C programs with AddressSanitizer and LeakSanitizer, in the program and in the library. Left to
//! valgrind are those that load the library at run time, and those that leave a panic or a thread
//! behind. `tests/sanitize` does the same to the tests in Rust.

use super::{Endpoints, cc, scratch};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use support::build::{root, run};
use support::librepo_calls::{World, have_librepo};
use support::programs::{have, module, program};

/// The host of the nightly toolchain; none if there is no such toolchain, and the test is skipped.
fn nightly() -> Option<&'static str> {
    static HOST: OnceLock<Option<String>> = OnceLock::new();
    let find = || {
        let output = rustc().arg("-vV").output().ok().filter(|output| output.status.success())?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.lines().find_map(|line| line.strip_prefix("host: ")).map(String::from)
    };
    let host = HOST.get_or_init(find).as_deref();
    if host.is_none() {
        lab::skip_even_under_ci("AddressSanitizer needs a nightly toolchain, which is not installed");
    }
    host
}

fn rustc() -> Command {
    let mut command = Command::new("rustc");
    command.env_remove("RUSTUP_TOOLCHAIN").arg("+nightly");
    command
}

/// A static library of a package with AddressSanitizer.
fn library(host: &str, package: &str, file: &str) -> PathBuf {
    let directory = scratch("sanitizer");
    let mut command = Command::new("cargo");
    command.current_dir(root()).env("RUSTFLAGS", "-Zsanitizer=address").env_remove("RUSTUP_TOOLCHAIN");
    command.args(["+nightly", "rustc", "--locked", "--quiet", "-p", package, "--lib"]);
    command.args(["--crate-type", "staticlib", "--target", host, "--target-dir"]);
    run(command.arg(&directory));
    directory.join(host).join("debug").join(file)
}

/// Builds a C program with a library. rustc links the sanitizer's runtime into a Rust program, so a
/// small Rust program starts the C program's `main`.
fn build(host: &str, source: &str, library: &Path, packages: &[&str]) -> PathBuf {
    let mut flags = String::new();
    if !packages.is_empty() {
        flags = run(program("pkg-config").args(["--cflags", "--libs"]).args(packages));
    }
    let directory = scratch("sanitizer");
    let name = Path::new(source).file_stem().expect("a source file").to_str().expect("ASCII");
    let object = directory.join(format!("{name}.o"));
    let mut command = cc();
    // Not in ISO C99: what glib's headers use.
    command.args(["-std=gnu11", "-Wno-pedantic", "-fsanitize=address", "-c", "-Dmain=c_main"]);
    command.args(flags.split_whitespace().filter(|flag| !flag.starts_with("-l")));
    run(command.arg(root().join(source)).arg("-o").arg(&object));
    let start = directory.join(format!("{name}.rs"));
    fs::write(&start, START).expect("the target directory can be written");
    let output = directory.join(name);
    let mut command = rustc();
    command.args(["-Zsanitizer=address", "--edition", "2024", "--target", host]).arg(&start);
    command.arg("-o").arg(&output);
    // The library contains a standard library of its own, equal to the program's.
    // Programs of the drop-in look for its functions at run time.
    let others = ["--allow-multiple-definition", "--export-dynamic", "--undefined=lr_fastestmirror"];
    let others = others.map(|option| format!("-Wl,{option}"));
    let files = [object.display().to_string(), library.display().to_string()];
    let libraries = flags.split_whitespace().filter(|flag| flag.starts_with("-l")).map(String::from);
    for argument in files.into_iter().chain(others).chain(libraries) {
        command.args(["-C", &format!("link-arg={argument}")]);
    }
    run(&mut command);
    output
}

const START: &str = r#"
use std::ffi::{CString, c_char, c_int};
unsafe extern "C" {
    fn c_main(argc: c_int, argv: *const *const c_char) -> c_int;
}
fn main() {
    let arguments: Vec<CString> = std::env::args().map(|a| CString::new(a).unwrap()).collect();
    let mut pointers: Vec<_> = arguments.iter().map(|a| a.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: as C's main gets them.
    let status = unsafe { c_main(arguments.len() as c_int, pointers.as_ptr()) };
    std::process::exit(status);
}
"#;

#[test]
fn address_sanitizer_finds_nothing_in_c_programs() {
    let Some(host) = nightly() else { return };
    let library = library(host, "fastestmirror", "libfastestmirror.a");
    let endpoints = Endpoints::start();
    for source in ["tests/c/harness.c", "tests/c/insight.c"] {
        let program = build(host, source, &library, &[]);
        assert_eq!(run(Command::new(program).args(endpoints.arguments())), "all checks passed\n");
    }
    for source in ["tests/c/fork.c", "tests/c/layout.c"] {
        run(&mut Command::new(build(host, source, &library, &[])));
    }
    let urls = ["http://127.0.0.1:1/closed".to_string(), format!("http://{}/open", endpoints.arguments()[0])];
    let examples = [
        ("examples/smallest.c", &[][..]),
        ("examples/options.c", &[]),
        ("examples/librepo_adapter.c", &["glib-2.0"]),
    ];
    for (source, packages) in examples {
        if packages.iter().all(|package| have(package, &mut module(package))) {
            let output = run(Command::new(build(host, source, &library, packages)).args(&urls));
            assert!(output.lines().next().is_some_and(|first| first.ends_with("/open")), "{output}");
        }
    }
}

#[test]
fn address_sanitizer_finds_nothing_in_the_drop_in() {
    let (Some(host), true) = (nightly(), have_librepo()) else { return };
    let library = library(host, "fastestmirror-librepo", "libfastestmirror_librepo.a");
    let caller = build(host, "dropin/tests/c/call.c", &library, &["librepo", "glib-2.0"]);
    let world = World::start();
    let (live, refusing, cache) = (world.live(), world.refusing(), world.file("cache"));
    let calls: [(&str, &[&str]); 6] = [
        ("order", &["--cache", &cache, &refusing, &live, "file:///srv"]),
        ("detailed", &["--cache", &cache, &refusing, &live, "nonsense"]),
        ("detailed", &["--no-handle", &refusing, &live]),
        ("internal", &["--one-by-one", "--no-callback", &refusing, &live, "+", &live, &refusing]),
        ("order", &["--no-list"]),
        ("internal", &["--meddle", &refusing, &live]),
    ];
    for (function, arguments) in calls {
        let mut command = Command::new(&caller);
        let output = run(command.args(["loaded", function, "--repeat", "3"]).args(arguments));
        // The functions are those of this program.
        let path = format!("library {}\n", caller.display());
        assert!(output.starts_with(&path), "{output}");
    }
}
