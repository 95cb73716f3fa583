//! The C interface as C programs use it: the libraries of a plain build, the header, the ABI.
//!
//! The C programs are in `tests/c/`. This file builds them, starts servers for them, and runs them.
//! The examples are built in `install.rs`.

#[path = "c_interface/sanitizer.rs"]
mod sanitizer;
#[path = "c_interface/valgrind.rs"]
mod valgrind;

use std::collections::BTreeMap;
use std::fs;
use std::mem::{offset_of, size_of};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use support::build::{cargo, libraries, link_soname, root, run, scratch, soname};
use support::programs;
use support::servers::{Server, Silent, closed_port};

const C99: [&str; 5] = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn cc() -> Command {
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(C99).arg("-g").arg("-I").arg(root().join("include"));
    command
}

/// Builds a C program with the shared library in `directory`.
fn build_with(directory: &Path, source: &str, output: &Path, more: &[&str]) {
    // Renamed when it is complete, since another test may be running the same program.
    static BUILDS: AtomicUsize = AtomicUsize::new(0);
    let partial = output.with_extension(format!("{}.{}", process::id(), BUILDS.fetch_add(1, SeqCst)));
    let mut command = cc();
    command.arg(root().join(source)).arg("-o").arg(&partial).arg("-L").arg(directory);
    command.arg(format!("-Wl,-rpath,{}", directory.display())).args(["-lfastestmirror", "-lpthread", "-lm"]);
    run(command.args(more));
    fs::rename(partial, output).expect("the target directory can be written");
}

fn program(source: &str) -> PathBuf {
    let name = Path::new(source).file_stem().expect("a source file").to_str().expect("ASCII");
    let output = scratch("c").join(name);
    build_with(libraries(), source, &output, &[]);
    output
}

/// The endpoints that tests/c/harness.c needs: open, silent, closed.
struct Endpoints {
    open: Server,
    silent: Silent,
    closed: u16,
}

impl Endpoints {
    fn start() -> Endpoints {
        Endpoints {
            open: Server::start(Ipv4Addr::UNSPECIFIED),
            silent: Silent::start(Ipv4Addr::LOCALHOST),
            closed: closed_port(),
        }
    }

    fn arguments(&self) -> [String; 3] {
        let at = |port| format!("127.0.0.1:{port}");
        [at(self.open.port()), at(self.closed), self.silent.address.to_string()]
    }
}

fn have(program: &str) -> bool {
    programs::have(program, programs::program(program).arg("--version"))
}

#[test]
fn header_is_valid_c99_and_cpp() {
    let header = root().join("include/fastestmirror.h");
    run(cc().args(["-fsyntax-only", "-x", "c"]).arg(&header));
    if have("c++") {
        // The header uses the integer types of C99, which C++11 has adopted.
        for standard in ["-std=c++11", "-std=c++20"] {
            let mut command = Command::new("c++");
            command.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
            run(command.args(["-fsyntax-only", "-x", "c++"]).arg(&header));
        }
    }
}

#[test]
fn functions_keep_their_contract() {
    let endpoints = Endpoints::start();
    for source in ["tests/c/harness.c", "tests/c/insight.c"] {
        assert_eq!(run(Command::new(program(source)).args(endpoints.arguments())), "all checks passed\n");
    }
}

#[test]
fn fork_at_the_first_call_leaves_no_lock_held_in_the_child() {
    let fork = program("tests/c/fork.c");
    for _ in 0..100 {
        run(&mut Command::new(&fork));
    }
}

/// The system libraries that a static link needs, as pkg-config has them.
fn native_libraries() -> String {
    let template = fs::read_to_string(root().join("fastestmirror.pc.in")).expect("the template");
    let line = template.lines().find_map(|line| line.strip_prefix("Libs.private: "));
    line.expect("the template has this line").to_owned()
}

#[test]
fn static_library_needs_the_libraries_in_fastestmirror_pc() {
    let directory = scratch("static");
    let printed = directory.join("native-static-libs");
    let mut command = cargo(&["rustc", "--lib", "--crate-type", "staticlib"]);
    command.arg("--target-dir").arg(&directory).arg("--").arg("--print");
    run(command.arg(format!("native-static-libs={}", printed.display())));
    let printed = fs::read_to_string(&printed).expect("the file that rustc writes");
    // A C compiler adds libgcc itself. A static program needs another one than -lgcc_s.
    assert_eq!(printed.trim(), format!("-lgcc_s {}", native_libraries()));

    let program = scratch("c").join("harness-static");
    let mut command = cc();
    command.arg(root().join("tests/c/harness.c")).arg("-o").arg(&program);
    command.arg(libraries().join("libfastestmirror.a")).args(native_libraries().split(' '));
    run(&mut command);
    let endpoints = Endpoints::start();
    assert_eq!(run(Command::new(&program).args(endpoints.arguments())), "all checks passed\n");
}

#[test]
fn shared_library_exports_exactly_the_committed_symbols() {
    let library = libraries().join("libfastestmirror.so");
    let symbols = run(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(&library));
    let mut symbols: Vec<_> = symbols.lines().filter_map(|line| line.split(' ').next()).collect();
    symbols.sort();
    let committed = fs::read_to_string(root().join("tests/c/symbols.txt")).expect("the list");
    assert_eq!(symbols, committed.lines().collect::<Vec<_>>());
    let header = fs::read_to_string(root().join("include/fastestmirror.h")).expect("the header");
    for symbol in symbols {
        assert!(header.contains(&format!("{symbol}(")), "{symbol} is not in the header");
    }
    let dynamic = run(Command::new("readelf").arg("-d").arg(&library));
    assert!(dynamic.contains(&format!("soname: [{}]", soname())), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    let needed: Vec<_> = dynamic.lines().filter(|line| line.contains("NEEDED")).collect();
    let system =
        |line: &&str| ["libc.", "libgcc_s.", "ld-linux", "libm."].iter().any(|name| line.contains(name));
    assert!(needed.iter().all(system), "{needed:?}");
}

#[test]
fn struct_layouts_and_enum_values_are_stable() {
    use fastestmirror::capi::*;
    let printed = run(&mut Command::new(program("tests/c/layout.c")));
    let in_c: BTreeMap<&str, usize> = printed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(n, v)| (n, v.parse().unwrap()))
        .collect();
    let offsets = [
        ("fm_cache_record", size_of::<fm_cache_record>()),
        ("fm_cache_record.scheme", offset_of!(fm_cache_record, scheme)),
        ("fm_cache_record.host", offset_of!(fm_cache_record, host)),
        ("fm_cache_record.shared_address", offset_of!(fm_cache_record, shared_address)),
        ("fm_cache_record.time", offset_of!(fm_cache_record, time)),
        ("fm_cache_record.age", offset_of!(fm_cache_record, age)),
        ("fm_cache_record.remaining", offset_of!(fm_cache_record, remaining)),
        ("fm_cache_record.port", offset_of!(fm_cache_record, port)),
        ("fm_cache_record.remembered", offset_of!(fm_cache_record, remembered)),
        ("fm_cache_record.network", offset_of!(fm_cache_record, network)),
        ("fm_cache_record.of_librepo", offset_of!(fm_cache_record, of_librepo)),
        ("fm_cache_record.counts", offset_of!(fm_cache_record, counts)),
        ("fm_demotion", size_of::<fm_demotion>()),
        ("fm_demotion.text", offset_of!(fm_demotion, text)),
        ("fm_demotion.age", offset_of!(fm_demotion, age)),
        ("fm_demotion.speed", offset_of!(fm_demotion, speed)),
        ("fm_demotion.others", offset_of!(fm_demotion, others)),
        ("fm_demotion.reason", offset_of!(fm_demotion, reason)),
        ("fm_mirror", size_of::<fm_mirror>()),
        ("fm_mirror.index", offset_of!(fm_mirror, index)),
        ("fm_mirror.url", offset_of!(fm_mirror, url)),
        ("fm_mirror.address", offset_of!(fm_mirror, address)),
        ("fm_mirror.latency", offset_of!(fm_mirror, latency)),
        ("fm_mirror.outcome", offset_of!(fm_mirror, outcome)),
        ("fm_mirror.pool", offset_of!(fm_mirror, pool)),
        ("fm_mirror.imprecise", offset_of!(fm_mirror, imprecise)),
        ("fm_mirror.from_cache", offset_of!(fm_mirror, from_cache)),
        ("fm_mirror.detoured", offset_of!(fm_mirror, detoured)),
        ("fm_reason", size_of::<fm_reason>()),
        ("fm_reason.remembered_time", offset_of!(fm_reason, remembered_time)),
        ("fm_reason.remembered_age", offset_of!(fm_reason, remembered_age)),
        ("fm_reason.tried", offset_of!(fm_reason, tried)),
        ("fm_reason.remembered", offset_of!(fm_reason, remembered)),
        ("fm_reason.preferred", offset_of!(fm_reason, preferred)),
        ("fm_reason.lookup_unfinished", offset_of!(fm_reason, lookup_unfinished)),
        ("fm_summary", size_of::<fm_summary>()),
        ("fm_summary.mirrors", offset_of!(fm_summary, mirrors)),
        ("fm_summary.excluded", offset_of!(fm_summary, excluded)),
        ("fm_summary.answered", offset_of!(fm_summary, answered)),
        ("fm_summary.pool", offset_of!(fm_summary, pool)),
        ("fm_summary.seed", offset_of!(fm_summary, seed)),
        ("fm_summary.elapsed", offset_of!(fm_summary, elapsed)),
        ("fm_summary.stop_reason", offset_of!(fm_summary, stop_reason)),
        ("fm_summary.ambiguous", offset_of!(fm_summary, ambiguous)),
        ("fm_tried", size_of::<fm_tried>()),
        ("fm_tried.address", offset_of!(fm_tried, address)),
        ("fm_tried.latency", offset_of!(fm_tried, latency)),
        ("fm_tried.waited", offset_of!(fm_tried, waited)),
        ("fm_tried.outcome", offset_of!(fm_tried, outcome)),
    ];
    // These numbers never change, so they are repeated here.
    let values = [
        ("FM_OK", 0),
        ("FM_INVALID_ARGUMENT", 1),
        ("FM_ALL_EXCLUDED", 2),
        ("FM_SYSTEM", 3),
        ("FM_BUSY", 4),
        ("FM_INTERNAL", 5),
        ("FM_UNREADABLE_CACHE", 6),
        ("FM_UNWRITABLE_CACHE", 7),
        ("FM_FAMILY_ANY", 0),
        ("FM_FAMILY_IPV4", 4),
        ("FM_FAMILY_IPV6", 6),
        ("FM_POOL_SHUFFLED", 0),
        ("FM_POOL_GIVEN", 1),
        ("FM_PROTOCOL_HTTP", 1),
        ("FM_PROTOCOL_HTTPS", 2),
        ("FM_PROTOCOL_FTP", 4),
        ("FM_PROTOCOL_FILE", 8),
        ("FM_OUTCOME_MEASURED", 0),
        ("FM_OUTCOME_CACHED", 1),
        ("FM_OUTCOME_LOCAL", 2),
        ("FM_OUTCOME_UNANSWERED", 3),
        ("FM_OUTCOME_REFUSED", 4),
        ("FM_OUTCOME_UNREACHABLE", 5),
        ("FM_OUTCOME_UNRESOLVED", 6),
        ("FM_OUTCOME_UNSUPPORTED", 7),
        ("FM_OUTCOME_EXCLUDED", 8),
        ("FM_STOP_IDLE", 0),
        ("FM_STOP_COMPLETE", 1),
        ("FM_STOP_SETTLED", 2),
        ("FM_STOP_QUIET", 3),
        ("FM_STOP_TIMEOUT", 4),
        ("FM_STOP_CANCELLED", 5),
        ("FM_LOG_DEBUG", 0),
        ("FM_LOG_WARNING", 1),
        ("FM_REMEMBERED_LATENCY", 0),
        ("FM_REMEMBERED_DETOURED", 1),
        ("FM_REMEMBERED_REFUSED", 2),
        ("FM_REMEMBERED_UNREACHABLE", 3),
        ("FM_REMEMBERED_UNRESOLVED", 4),
        ("FM_REMEMBERED_SILENT", 5),
        ("FM_NETWORK_THIS", 0),
        ("FM_NETWORK_ANOTHER", 1),
        ("FM_NETWORK_UNKNOWN", 2),
        ("FM_FILTER_PROTOCOL", 0),
        ("FM_FILTER_INCLUDE", 1),
        ("FM_FILTER_EXCLUDE", 2),
        ("FM_DOWNLOAD_OK", 0),
        ("FM_DOWNLOAD_MISSING", 1),
        ("FM_DOWNLOAD_STALE", 2),
        ("FM_DOWNLOAD_BROKEN", 3),
        ("FM_HISTORY_OFF", 0),
        ("FM_HISTORY_TROUBLE", 1),
        ("FM_HISTORY_ALL", 2),
        ("FM_DEMOTION_MISSING", 0),
        ("FM_DEMOTION_STALE", 1),
        ("FM_DEMOTION_BROKEN", 2),
        ("FM_DEMOTION_SLOW", 3),
    ];
    let here: BTreeMap<&str, usize> = offsets.into_iter().chain(values).collect();
    assert_eq!(in_c, here);
    // These hold on every 64-bit Linux.
    #[cfg(target_pointer_width = "64")]
    assert_eq!(
        (here["fm_mirror"], here["fm_summary"], here["fm_mirror.outcome"], here["fm_summary.stop_reason"]),
        (56, 56, 32, 48)
    );
}

/// `tests/c/faults.c` with a library that panics on demand.
fn faulty() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let directory = scratch("faults");
        run(cargo(&["build", "--lib", "--features", "__fault-injection"])
            .arg("--target-dir")
            .arg(&directory));
        let libraries = directory.join("debug");
        link_soname(&libraries);
        let program = scratch("c").join("faults");
        build_with(&libraries, "tests/c/faults.c", &program, &[]);
        program
    };
    BUILT.get_or_init(build).clone()
}

#[test]
fn program_built_with_the_first_header_still_runs() {
    let (first, scratch) = (root().join("tests/c/abi/0.1.0"), tempfile::tempdir().expect("a directory"));
    // Every function of that header has to be tried.
    let text = |name: &str| fs::read_to_string(first.join(name)).expect("a file of this directory");
    let (header, source) = (text("fastestmirror.h"), text("program.c"));
    let declared = header.lines().filter(|line| line.contains('(') && !line.starts_with([' ', '/', 't']));
    let name = |line: &str| Some(line.split('(').next()?.split([' ', '*']).next_back()?.to_owned());
    let names: Vec<String> = declared.filter_map(name).collect();
    assert!(names.len() >= 30, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !source.contains(&format!("{name}("))).collect();
    // This one is passed on as a pointer.
    assert!(missing.iter().all(|name| source.contains(&format!("({name}, "))), "never called: {missing:?}");

    let (program, server) = (scratch.path().join("program"), Server::start(Ipv4Addr::UNSPECIFIED));
    // The header beside the program is found first.
    build_with(libraries(), "tests/c/abi/0.1.0/program.c", &program, &[]);
    let endpoint = |port| format!("127.0.0.1:{port}");
    let mut command = Command::new(&program);
    command.args([endpoint(server.port()), endpoint(closed_port())]).arg(scratch.path().join("cache"));
    assert_eq!(run(&mut command), "the program of 0.1.0 still works\n");
}

#[test]
fn panic_in_any_layer_becomes_an_error_and_prints_nothing() {
    let program = faulty();
    let server = Server::start(Ipv4Addr::LOCALHOST);
    for place in ["capi", "run", "lookup"] {
        let output =
            Command::new(&program).arg(server.address.to_string()).arg(place).output().expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{place}: {} {stderr}", output.status);
    }
}

#[test]
fn hanging_lookup_is_harmless_after_the_library_is_closed() {
    let (program, library) = (program("tests/c/hung.c"), libraries().join("libfastestmirror.so"));
    lab::isolated!(|| {
        let hung = lab::Mirror::new("hung.lab.example").lookup(lab::Lookup::Silent);
        let _world = lab::World::start(lab::Spec::new().mirror(hung)).expect("a world");
        // The resolver in this world makes two attempts of one second each.
        let output = run(Command::new(program).arg(library).args(["http://hung.lab.example/", "3"]));
        assert_eq!(output, "still running\n");
    });
}
