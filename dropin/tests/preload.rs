//! The library, preloaded into programs that have nothing to do with librepo. A preload reaches
//! every child process of dnf, scriptlets of packages included. There the library must do nothing,
//! bring no other library along, and cost next to nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::build;
use support::build::dropin;
use support::programs::{have, make_package, program};

fn shared_library() -> PathBuf {
    dropin().join("libfastestmirror_librepo.so")
}

/// Runs a program in a minimal environment, with a library preloaded or none.
fn run(preload: Option<&Path>, program: &str, arguments: &[&str]) -> Output {
    command(preload, program, arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn command(preload: Option<&Path>, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(arguments);
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    command
}

/// Returns the standard output of a program that succeeded and printed no error.
fn stdout_of(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{}: {stderr}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns the files that are mapped, from the text of /proc/self/maps.
fn mapped_files(maps: &str) -> BTreeSet<&str> {
    maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..])).collect()
}

/// Whether the file is a library that ours may bring into a process: that of the compiler, or libm.
fn is_of_the_system(path: &str) -> bool {
    ["/libgcc_s.so.1", "/libm.so.6"].iter().any(|name| path.ends_with(name))
}

/// Asserts that `with` has nothing more than `without` but this library and the system's.
#[track_caller]
fn assert_adds_only(library: &Path, without: &BTreeSet<&str>, with: &BTreeSet<&str>) {
    let library = library.to_str().expect("UTF-8");
    assert!(with.contains(library), "the library was not loaded: {with:?}");
    let more: Vec<_> =
        with.difference(without).filter(|path| **path != library && !is_of_the_system(path)).collect();
    assert!(more.is_empty() && without.is_subset(with), "{more:?} was added to {without:?}");
}

#[test]
fn preloaded_library_binds_all_its_symbols_in_a_program_that_has_none() {
    let library = shared_library();
    let mut program = command(Some(&library), "/bin/true", &[]);
    assert_eq!(stdout_of(program.env("LD_BIND_NOW", "1").output().expect("runs")), "");
}

#[test]
fn preloaded_programs_print_and_return_the_same() {
    let library = shared_library();
    let script = "echo out; echo err >&2; (exit 5); echo $? $#; exec 3</etc/passwd; ls /proc/self/fd; exit 3";
    for (program, arguments) in
        [("/bin/true", &[][..]), ("/bin/false", &[]), ("/bin/sh", &["-c", script, "name", "a", "b"])]
    {
        let (without, with) = (run(None, program, arguments), run(Some(&library), program, arguments));
        assert_eq!(with, without, "{program}");
    }
}

#[test]
fn preloaded_process_differs_by_one_library_only() {
    let library = shared_library();
    let maps = |preload| stdout_of(run(preload, "/bin/cat", &["/proc/self/maps"]));
    let (without, with) = (maps(None), maps(Some(&library)));
    assert_adds_only(&library, &mapped_files(&without), &mapped_files(&with));
    for part in ["/libglib", "/libcurl", "/librepo"] {
        assert!(!with.contains(part), "{with}");
    }
    // Threads, and the disposition of each signal.
    let state = |preload| {
        let status = stdout_of(run(preload, "/bin/cat", &["/proc/self/status"]));
        let wanted = status.lines().filter(|line| line.starts_with("Threads:") || line.starts_with("Sig"));
        // How many signals are queued for the user changes with other processes.
        wanted.filter(|line| !line.starts_with("SigQ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(state(None)[0], "Threads:\t1");
    assert_eq!(state(Some(&library)), state(None));
}

#[test]
fn preload_makes_no_system_call_but_those_of_the_loader() {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = |preload: Option<&Path>| {
        let file = directory.path().join("trace");
        let mut strace = program("strace");
        strace.env_clear().arg("-f").arg("-o").arg(&file);
        if let Some(library) = preload {
            strace.arg("-E").arg(format!("LD_PRELOAD={}", library.display()));
        }
        build::run(strace.arg("/bin/true"));
        fs::read_to_string(file).expect("strace has written it")
    };
    // In some containers strace is installed but may not trace.
    if !have("strace", program("strace").args(["-o", "/dev/null", "/bin/true"])) {
        return;
    }
    let library = shared_library();
    let (without, with) = (trace(None), trace(Some(&library)));
    /// Returns the names of the calls, from lines such as "1234 openat(AT_FDCWD, ...".
    fn calls(trace: &str) -> BTreeSet<&str> {
        let heads = trace.lines().filter_map(|line| line.split_once('(')).map(|(head, _)| head);
        heads.filter_map(|head| head.split_whitespace().last()).collect()
    }
    fn opened(trace: &str) -> BTreeSet<&str> {
        let opens = trace.lines().filter(|line| line.contains(" openat(") || line.contains(" open("));
        opens.filter(|line| !line.contains("ENOENT")).filter_map(|line| line.split('"').nth(1)).collect()
    }
    assert_adds_only(&library, &opened(&without), &opened(&with));
    let more: Vec<_> = calls(&with).difference(&calls(&without)).copied().collect();
    // What the loader does with one more object.
    assert!(
        more.iter().all(|call| ["munmap", "pread64", "mprotect", "fstat"].contains(call)),
        "{more:?}\n{with}"
    );
}

#[test]
fn scriptlet_of_a_package_runs_as_without_the_library() {
    if !have("rpmbuild", program("rpmbuild").arg("--version")) {
        return;
    }
    let library = shared_library();
    let directory = tempfile::tempdir().expect("a directory");
    let seen = directory.path().join("seen");
    let scriptlet = format!(
        "%post\nexec >{0}\nid\nenv | sort\necho status $?\ncat /proc/self/maps >{0}.maps\necho a complaint >&2",
        seen.display()
    );
    let package = make_package(directory.path(), directory.path(), "lab-scriptlet", &scriptlet);
    let install = |preload, database: &str| {
        // A database of its own, so that the machine's stays as it is. The package has no files.
        let database = directory.path().join(database).display().to_string();
        let package = package.display().to_string();
        let output = run(preload, "rpm", &["--dbpath", &database, "--nodeps", "--install", &package]);
        let read = |path: &str| fs::read_to_string(path).expect("the scriptlet has written it");
        let seen = seen.display().to_string();
        let result = (output, read(&seen), read(&format!("{seen}.maps")));
        fs::remove_file(&seen).expect("the scriptlet has written it");
        result
    };
    let (without, seen_without, maps_without) = install(None, "without");
    let (with, seen_with, maps_with) = install(Some(&library), "with");
    assert!(without.status.success(), "{without:?}");
    assert_eq!(with, without);
    assert!(String::from_utf8_lossy(&with.stderr).contains("a complaint"), "{with:?}");
    let preload = format!("LD_PRELOAD={}\n", library.display());
    assert!(seen_with.contains(&preload) && seen_with.contains("uid="), "{seen_with}");
    assert_eq!(seen_with.replace(&preload, ""), seen_without);
    assert_adds_only(&library, &mapped_files(&maps_without), &mapped_files(&maps_with));
}

#[test]
fn preload_slows_the_start_of_a_program_by_little() {
    const RUNS: usize = 400;
    let library = shared_library();
    let directory = tempfile::tempdir().expect("a directory");
    // An empty library shows what the loader itself takes for one more.
    let (source, empty) = (directory.path().join("empty.c"), directory.path().join("libempty.so"));
    fs::write(&source, "").expect("the directory can be written");
    build::run(program("cc").args(["-shared", "-o"]).arg(&empty).arg(&source));
    let variants = [None, Some(empty.as_path()), Some(library.as_path())];
    let mut times = variants.map(|_| Vec::with_capacity(RUNS));
    for _ in 0..RUNS {
        for (variant, times) in variants.into_iter().zip(&mut times) {
            let mut command = command(variant, "/bin/true", &[]);
            let begin = Instant::now();
            assert!(command.status().expect("runs").success());
            times.push(begin.elapsed());
        }
    }
    let [without, empty, with] = times.map(|mut times| {
        times.sort();
        times[RUNS / 2]
    });
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    lab::figure(&format!(
        "/bin/true, median of {RUNS}: {:.2} ms; with an empty library preloaded {:.2} ms; with ours {:.2} ms",
        ms(without),
        ms(empty),
        ms(with)
    ));
    // A wide limit: the machine may be busy.
    assert!(with < without * 4, "{with:?} against {without:?}");
}
