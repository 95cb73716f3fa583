//! The library with librepo's functions, preloaded into programs that have nothing to do with librepo: a preload reaches every child
//! of dnf, the scriptlets of packages included. There it must do nothing, bring nothing along, and cost next to nothing.

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

/// In an environment of nothing but what is needed, with this library preloaded or none.
fn run(preload: Option<&Path>, program: &str, arguments: &[&str]) -> Output {
    command(preload, program, arguments).output().unwrap_or_else(|why| panic!("{program}: {why}"))
}

fn command(preload: Option<&Path>, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(arguments);
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    command
}

/// Standard output of a run that went well and said nothing else.
fn said(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{}: {stderr}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The files that are mapped, by the text of /proc/self/maps.
fn mapped(maps: &str) -> BTreeSet<&str> {
    maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..])).collect()
}

/// What our library may bring into a process besides itself: the compiler's own library, and the half of libc that is called libm.
fn is_of_the_system(path: &str) -> bool {
    ["/libgcc_s.so.1", "/libm.so.6"].iter().any(|name| path.ends_with(name))
}

/// `with` has this library and the system's more than `without`, and nothing else.
#[track_caller]
fn assert_only_ours_is_more(library: &Path, without: &BTreeSet<&str>, with: &BTreeSet<&str>) {
    let library = library.to_str().expect("UTF-8");
    assert!(with.contains(library), "the library was not loaded: {with:?}");
    let more: Vec<_> =
        with.difference(without).filter(|path| **path != library && !is_of_the_system(path)).collect();
    assert!(more.is_empty() && without.is_subset(with), "{more:?} is more than in {without:?}");
}

#[test]
fn it_needs_the_system_library_alone() {
    let library = shared_library();
    let dynamic = build::run(program("readelf").args(["-d", "-W"]).arg(&library));
    let needed: Vec<_> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    let system = ["[libc.so.", "[libm.so.", "[libgcc_s.so.", "[ld-linux"];
    let all = needed.iter().all(|line| system.iter().any(|name| line.contains(name)));
    assert!(!needed.is_empty() && all, "{needed:#?}");
    let undefined =
        build::run(program("nm").args(["-D", "--undefined-only", "--format=posix"]).arg(&library));
    for line in undefined.lines() {
        let [symbol, kind] = line.split(' ').take(2).collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        // Weak ones may be missing; all others say which system library they are from.
        let known = kind.eq_ignore_ascii_case("w") || symbol.contains("@GLIBC_") || symbol.contains("@GCC_");
        assert!(known, "{symbol} is undefined, which breaks every program without it");
    }
    // All of them are found at once in a program that has nothing.
    let mut strict = command(Some(&library), "/bin/true", &[]);
    assert_eq!(said(strict.env("LD_BIND_NOW", "1").output().expect("runs")), "");
}

#[test]
fn programs_say_and_return_the_same() {
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
fn a_process_is_the_same_but_for_one_library() {
    let library = shared_library();
    let maps = |preload| said(run(preload, "/bin/cat", &["/proc/self/maps"]));
    let (without, with) = (maps(None), maps(Some(&library)));
    assert_only_ours_is_more(&library, &mapped(&without), &mapped(&with));
    for part in ["glib", "curl", "librepo.so"] {
        assert!(!with.contains(part), "{with}");
    }
    // Threads, and what is done with which signal.
    let state = |preload| {
        let status = said(run(preload, "/bin/cat", &["/proc/self/status"]));
        let wanted = status.lines().filter(|line| line.starts_with("Threads:") || line.starts_with("Sig"));
        // Of the limit on waiting signals only the limit.
        wanted.filter(|line| !line.starts_with("SigQ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(state(None)[0], "Threads:\t1");
    assert_eq!(state(Some(&library)), state(None));
}

#[test]
fn the_kernel_is_asked_for_nothing_that_a_loader_does_not_ask() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = |preload: Option<&Path>| {
        let file = folder.path().join("trace");
        let mut strace = program("strace");
        strace.env_clear().arg("-f").arg("-o").arg(&file);
        if let Some(library) = preload {
            strace.arg("-E").arg(format!("LD_PRELOAD={}", library.display()));
        }
        build::run(strace.arg("/bin/true"));
        fs::read_to_string(file).expect("strace has written it")
    };
    // In some containers it is there and may not trace.
    if !have("strace", program("strace").args(["-o", "/dev/null", "/bin/true"])) {
        return;
    }
    let library = shared_library();
    let (without, with) = (trace(None), trace(Some(&library)));
    /// "1234 openat(AT_FDCWD, ...": the call.
    fn calls(trace: &str) -> BTreeSet<&str> {
        let heads = trace.lines().filter_map(|line| line.split_once('(')).map(|(head, _)| head);
        heads.filter_map(|head| head.split_whitespace().last()).collect()
    }
    fn opened(trace: &str) -> BTreeSet<&str> {
        let opens = trace.lines().filter(|line| line.contains(" openat(") || line.contains(" open("));
        opens.filter(|line| !line.contains("ENOENT")).filter_map(|line| line.split('"').nth(1)).collect()
    }
    assert_only_ours_is_more(&library, &opened(&without), &opened(&with));
    let more: Vec<_> = calls(&with).difference(&calls(&without)).copied().collect();
    // What the loader does when there is one object more.
    assert!(
        more.iter().all(|call| ["munmap", "pread64", "mprotect", "fstat"].contains(call)),
        "{more:?}\n{with}"
    );
}

#[test]
fn a_scriptlet_of_a_package_runs_as_without_it() {
    if !have("rpmbuild", program("rpmbuild").arg("--version")) {
        return;
    }
    let library = shared_library();
    let folder = tempfile::tempdir().expect("a folder");
    let seen = folder.path().join("seen");
    let scriptlet = format!(
        "%post\nexec >{0}\nid\nenv | sort\necho said $?\ncat /proc/self/maps >{0}.maps\necho a complaint >&2",
        seen.display()
    );
    let package = make_package(folder.path(), folder.path(), "lab-scriptlet", &scriptlet);
    let install = |preload, database: &str| {
        // A database of its own, so that nothing of the machine's changes; the package has no files.
        let database = folder.path().join(database).display().to_string();
        let package = package.display().to_string();
        let output = run(preload, "rpm", &["--dbpath", &database, "--nodeps", "--install", &package]);
        let read = |path: &str| fs::read_to_string(path).expect("the scriptlet has written it");
        let seen = seen.display().to_string();
        let result = (output, read(&seen), read(&format!("{seen}.maps")));
        fs::remove_file(&seen).expect("a file of ours");
        result
    };
    let (without, said_without, maps_without) = install(None, "without");
    let (with, said_with, maps_with) = install(Some(&library), "with");
    assert!(without.status.success(), "{without:?}");
    assert_eq!(with, without);
    assert!(String::from_utf8_lossy(&with.stderr).contains("a complaint"), "{with:?}");
    let preload = format!("LD_PRELOAD={}\n", library.display());
    assert!(said_with.contains(&preload) && said_with.contains("uid="), "{said_with}");
    assert_eq!(said_with.replace(&preload, ""), said_without);
    assert_only_ours_is_more(&library, &mapped(&maps_without), &mapped(&maps_with));
}

#[test]
fn starting_a_program_costs_about_what_any_preloaded_library_costs() {
    const RUNS: usize = 400;
    let library = shared_library();
    let folder = tempfile::tempdir().expect("a folder");
    // One with nothing in it: what is the loader's own price.
    let (source, empty) = (folder.path().join("empty.c"), folder.path().join("libempty.so"));
    fs::write(&source, "").expect("a writable folder");
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
    // Starting a process is nothing that anybody notices; this is wide.
    assert!(with < without * 4, "{with:?} against {without:?}");
}
