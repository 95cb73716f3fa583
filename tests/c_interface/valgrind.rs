//! Every C program of the tests and the examples once under valgrind: no error, no leak. The
//! directories are listed, so that a new program is not forgotten.

use super::{Endpoints, faulty, have, libraries, program, scratch};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use support::build::{dropin, root, run};
use support::files;
use support::librepo_calls::{self, World, compile, have_librepo, make_soname, ours};
use support::programs;
use support::servers::Server;

/// Which leaks are errors.
const ALL_LEAKS: &str = "definite,indirect,possible";

/// A command that runs a program under valgrind. It fails if the program does, and at an error or a
/// leak of these kinds. What is still reachable at the end is no leak: glib and libcrypto keep
/// things for good.
fn valgrind(leaks: &str, program: &Path) -> Command {
    let mut command = programs::program("valgrind");
    command.args(["--quiet", "--error-exitcode=9", "--child-silent-after-fork=yes"]);
    if leaks.is_empty() {
        command.arg("--leak-check=no");
    } else {
        command.arg("--leak-check=full").arg(format!("--show-leak-kinds={leaks}"));
        command.arg(format!("--errors-for-leak-kinds={leaks}"));
    }
    command.arg(program);
    command
}

/// Passes each C source of a directory to `check`.
fn each_source(directory: &str, check: impl Fn(&str, &str)) {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join(directory)).expect("a directory") {
        let name = entry.expect("an entry").file_name().into_string().expect("ASCII");
        names.extend(Some(name).filter(|name| name.ends_with(".c")));
    }
    names.sort();
    assert!(!names.is_empty());
    for name in names {
        check(&name, &format!("{directory}/{name}"));
    }
}

fn unknown(source: &str) -> ! {
    panic!("{source}: tests/c_interface/valgrind.rs does not say how to run it under valgrind");
}

#[test]
fn valgrind_finds_nothing_in_the_programs_of_the_tests() {
    if !have("valgrind") || !have_librepo() {
        return;
    }
    let endpoints = Endpoints::start();
    let [open, _, _] = endpoints.arguments();
    each_source("tests/c", |name, source| match name {
        "harness.c" | "insight.c" => {
            let output = run(valgrind(ALL_LEAKS, &program(source)).args(endpoints.arguments()));
            assert_eq!(output, "all checks passed\n");
        }
        "fleet.c" => {
            let cache = scratch("valgrind").join("fleet-cache");
            let text = files::cache(&[("http://m1.example", 0.01), ("http://m3.example", 0.03)]);
            fs::write(&cache, text).expect("the target directory can be written");
            let mut command = valgrind(ALL_LEAKS, &program(source));
            command.arg(cache).args(["20", "0", "http://m1.example", "1", "http://m3.example", "2"]);
            assert_eq!(run(&mut command), "20\n0\n");
        }
        "fork.c" | "layout.c" => drop(run(&mut valgrind(ALL_LEAKS, &program(source)))),
        "faults.c" => {
            // The payload of a panic is leaked on purpose: dropping it could panic.
            run(valgrind("", &faulty()).args([&open, "run"]));
        }
        "keyfile.c" => {
            let input = scratch("valgrind").join("keyfile");
            fs::write(&input, "12\n[a]\nb=1\nc=x\n7\n[a]\nb=1").expect("the target directory can be written");
            let program = compile(source, "keyfile", &[], &["glib-2.0"]);
            let input = File::open(input).expect("it was just written");
            let output = run(valgrind(ALL_LEAKS, &program).stdin(input));
            assert_eq!(output.matches("end\n").count(), 2, "{output}");
        }
        "librepo_cache.c" => {
            let world = World::start();
            let program = compile(source, "librepo_cache", &[], &["librepo", "glib-2.0"]);
            let arguments = [world.file("cache"), "1000".into(), world.live(), world.refusing()];
            let output = run(valgrind(ALL_LEAKS, &program).args(arguments));
            assert!(output.contains("probes 2\n"), "{output}");
        }
        "no_tcp_info.c" => {
            // It is no program, but preloaded into one.
            let library = scratch("valgrind").join("no_tcp_info.so");
            run(Command::new("cc")
                .args(["-shared", "-fPIC", "-g", "-o"])
                .arg(&library)
                .arg(root().join(source)));
            let program = program("examples/smallest.c");
            let urls = ["http://127.0.0.1:1/".to_string(), format!("http://{open}/")];
            let output = run(valgrind(ALL_LEAKS, &program).env("LD_PRELOAD", &library).args(&urls));
            assert_eq!(output, format!("{}\n{}\n", urls[1], urls[0]));
        }
        // In a test of its own, since it needs a network of its own.
        "hung.c" => {}
        _ => unknown(source),
    });
}

#[test]
fn valgrind_finds_nothing_after_a_hanging_lookup() {
    if !have("valgrind") {
        return;
    }
    let (program, library) = (program("tests/c/hung.c"), libraries().join("libfastestmirror.so"));
    lab::isolated!(|| {
        let hung = lab::Mirror::new("hung.lab.example").lookup(lab::Lookup::Silent);
        let _world = lab::World::start(lab::Spec::new().mirror(hung)).expect("a world");
        // What the thread that hangs holds is possibly lost, as valgrind has it.
        let mut command = valgrind("definite", &program);
        let output = run(command.arg(&library).args(["http://hung.lab.example/", "3"]));
        assert_eq!(output, "still running\n");
    });
}

#[test]
fn valgrind_finds_nothing_in_the_examples() {
    if !have("valgrind") || !have_librepo() {
        return;
    }
    let server = Server::start(Ipv4Addr::LOCALHOST);
    let urls = ["http://127.0.0.1:1/closed".to_string(), format!("http://{}/open", server.address)];
    each_source("examples", |name, source| {
        let program = match name {
            "smallest.c" | "options.c" => program(source),
            "librepo_adapter.c" => {
                let include = format!("-I{}", root().join("include").display());
                let [search, rpath] = linked_from(libraries());
                let more = [include.as_str(), &search, "-lfastestmirror", &rpath];
                compile(source, "adapter", &more, &["glib-2.0"])
            }
            "through_librepo.c" => {
                make_soname();
                let [search, rpath] = linked_from(dropin());
                let more = ["-Wl,--no-as-needed", &search, "-lfastestmirror_librepo", &rpath];
                compile(source, "through_librepo-valgrind", &more, &["librepo", "glib-2.0"])
            }
            _ => unknown(source),
        };
        let output = run(valgrind(ALL_LEAKS, &program).args(&urls));
        let first = output.lines().next().unwrap_or_default();
        assert!(first.ends_with("/open"), "{source}: {output}");
    });
}

/// The words that make a program find libraries in a directory, when it is linked and when it runs.
fn linked_from(directory: &Path) -> [String; 2] {
    ["-L", "-Wl,-rpath,"].map(|option| format!("{option}{}", directory.display()))
}

#[test]
fn valgrind_finds_nothing_in_the_programs_of_the_drop_in() {
    if !have("valgrind") || !have_librepo() {
        return;
    }
    let world = World::start();
    each_source("dropin/tests/c", |name, source| match name {
        "absent.c" => {
            let program = scratch("valgrind").join("absent");
            run(Command::new("cc").args(["-g", "-o"]).arg(&program).arg(root().join(source)).arg("-ldl"));
            assert_eq!(run(valgrind(ALL_LEAKS, &program).arg(ours())), "ok\n");
        }
        "agree.c" => {
            let directory = librepo_calls::scratch().join("valgrind");
            fs::create_dir_all(&directory).expect("the target directory can be written");
            let shared = ["-DLIBRARY", "-shared", "-fPIC"];
            let library = compile(source, "valgrind/agree.so", &shared, &["librepo"]);
            let program = compile(source, "valgrind/agree", &[], &["glib-2.0"]);
            assert_eq!(run(valgrind(ALL_LEAKS, &program).arg(library)).lines().count(), 3);
        }
        // dropin/tests/in_place.rs has its other functions and options.
        "call.c" => {
            let mut command = valgrind(ALL_LEAKS, librepo_calls::caller().expect("librepo is here"));
            let output = run(command.arg(ours()).args(["order", &world.refusing(), &world.live()]));
            assert!(output.contains("left behind: 0 descriptors"), "{output}");
        }
        // dropin/tests/download.rs runs it under valgrind, with its servers.
        "download.c" => {}
        "other_call.c" => {
            // With the library other.c in librepo's place.
            let directory = librepo_calls::scratch().join("valgrind");
            fs::create_dir_all(&directory).expect("the target directory can be written");
            let shared = ["-DLAYOUT=1", "-shared", "-fPIC", "-Wl,-soname,librepo.so.0"];
            let other = compile("dropin/tests/c/other.c", "valgrind/librepo.so.0", &shared, &["glib-2.0"]);
            make_soname();
            let libraries = [ours(), other].map(|path| path.display().to_string());
            let rpath = format!("-Wl,--no-as-needed,-rpath,{}:{}", dropin().display(), directory.display());
            let more = [libraries[0].as_str(), &libraries[1], &rpath];
            let program = compile(source, "valgrind/call", &more, &["glib-2.0"]);
            assert!(run(&mut valgrind(ALL_LEAKS, &program)).ends_with("file:///srv\n"));
        }
        // Libraries: see other_call.c, and dropin/tests/suites.rs.
        "other.c" | "with_cache.c" => {}
        _ => unknown(source),
    });
}
