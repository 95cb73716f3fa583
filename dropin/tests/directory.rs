//! The drop-in directory: a librepo.so.0 of our own before the real one, found by the loader
//! itself. What it exports, whose calls reach it and in which processes, and what `fm-librepo` says
//! of it.
//!
//! The loader's cache is that of a mount namespace of each test; the machine's stays as it is.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use support::build::{dropin, root, run, transcript};
use support::dnf::{Site, Task};
use support::dropin_directory::*;
use support::librepo_calls::{Call, World, caller, compile, lines, order};
use support::programs::{have, make_package, program, python};
use support::users::{NOBODY, can_become_others};

/// The committed list of exports, sorted.
const SYMBOLS: &str = include_str!("symbols.txt");
const PYTHON: &str = "/usr/bin/python3";
/// Prints the files of librepo that the process has mapped, each once.
const PRINT_MAPPED: &str = "print(*sorted({line.split()[-1] for line in open('/proc/self/maps') if 'librepo.so' in line}), sep='\\n')";

fn have_python() -> bool {
    have("python3-librepo", &mut python("librepo"))
}

/// Runs a test in a mount namespace with an empty /var, where it may change the loader's cache.
fn in_a_namespace(test: &str, body: impl FnOnce()) {
    if have_tools() {
        lab::isolated(test, || {
            cover_var();
            body();
        });
    }
}

/// What a command prints with the loader's messages of this kind.
fn debugging(kind: &str, command: &mut Command) -> String {
    let output = command.env("LD_DEBUG", kind).output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", transcript(&output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The real librepo that a drop-in needs.
fn real(library: &Path) -> String {
    let dynamic = run(program("readelf").args(["-d", "-W"]).arg(library));
    let first = dynamic.lines().find(|line| line.contains("(NEEDED)")).expect("it needs something");
    first.split(['[', ']']).nth(1).expect("a name").to_owned()
}

#[test]
fn drop_in_exports_the_committed_symbols_and_needs_the_real_librepo_by_its_path() {
    if !have_tools() {
        return;
    }
    let installed = Installed::install();
    let library = installed.library();
    let symbols = run(program("nm").args(["-D", "--defined-only", "--format=posix"]).arg(&library));
    let mut symbols: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').next()).collect();
    symbols.sort_unstable();
    assert_eq!(symbols, SYMBOLS.lines().collect::<Vec<_>>());

    let librepo = real(&library);
    assert!(librepo.starts_with('/') && librepo.ends_with("/librepo.so.0"), "{librepo}");
    assert!(Path::new(&librepo).is_file(), "{librepo}");
    let dynamic = run(program("readelf").args(["-d", "-W"]).arg(&library));
    for part in ["soname: [librepo.so.0]", "NODELETE", "NOW"] {
        assert!(dynamic.contains(part), "{part}: {dynamic}");
    }
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).skip(1).collect();
    let system = ["[libc.so.", "[libm.so.", "[libgcc_s.so.", "[ld-linux"];
    let is_system = |line: &&str| system.iter().any(|name| line.contains(name));
    assert!(needed.iter().all(is_system), "{needed:#?}");
    // Not even librepo's: it is looked up when a function is called.
    let undefined = run(program("nm").args(["-D", "--undefined-only", "--format=posix"]).arg(&library));
    assert!(!undefined.lines().any(|line| line.starts_with("lr_") || line.starts_with("g_")), "{undefined}");
}

#[test]
fn calls_of_librepo_and_its_callers_reach_the_drop_in() {
    if !have_tools() || !have_python() {
        return;
    }
    let installed = Installed::install();
    let (ours, librepo) = (installed.library().display().to_string(), real(&installed.library()));
    let mut python = clean(PYTHON);
    python.args(["-c", "import librepo"]).env("LD_LIBRARY_PATH", installed.directory());
    let bindings = debugging("bindings", python.env("LD_BIND_NOW", "1"));
    // The functions that librepo calls itself, and those that it would have exported.
    for symbol in SYMBOLS.lines() {
        let from_librepo = format!("binding file {librepo} [0] to {ours} [0]: normal symbol `{symbol}'");
        assert!(bindings.contains(&from_librepo), "{from_librepo:?} is not in\n{bindings}");
    }
    let to_librepo = |line: &&str| line.contains(&format!(" to {librepo} [0]"));
    let bound: Vec<&str> = bindings.lines().filter(to_librepo).collect();
    assert!(!bound.is_empty());
    for symbol in SYMBOLS.lines() {
        assert!(!bound.iter().any(|line| line.contains(&format!("`{symbol}'"))), "{symbol}: {bound:#?}");
    }

    // By calls: of the program, and of librepo itself during a download.
    let world = World::start();
    let (live, refusing) = (world.live(), world.refusing());
    let path = installed.directory().display().to_string();
    for function in ["order", "internal", "detailed"] {
        if caller().is_none() {
            return;
        }
        let call = Call::of("loaded", function, &[&refusing, &live]).env("LD_LIBRARY_PATH", &path).output();
        assert_eq!(lines(&call, "library "), [ours.as_str()]);
        assert_eq!(order(&call), [1, 0], "{call}");
        assert_eq!(lines(&call, "left behind: "), ["0 descriptors, 0 threads"], "{call}");
    }
    let urls = [refusing.as_str(), &live];
    let call = Call::of("loaded", "perform", &urls).env("LD_LIBRARY_PATH", &path).output();
    assert!(call.contains("lr_fastestmirror_sort_internalmirrorlist: 1 handle"), "{call}");
}

#[test]
fn other_programs_load_nothing_of_ours() {
    in_a_namespace(lab::test_name!(), || {
        let installed = Installed::install();
        installed.use_cache();
        let loaded = debugging("libs", &mut clean("/bin/true"));
        assert!(loaded.contains("ld.so.cache") && !loaded.contains("fastestmirror"), "{loaded}");
        let maps = run(clean("/bin/cat").arg("/proc/self/maps"));
        assert!(maps.contains("/libc.so.6") && !maps.contains("fastestmirror"), "{maps}");
        // Nor do children of the wrapper, which have a directory more to search.
        let maps = run(&mut installed.fm_librepo(&["/bin/cat", "/proc/self/maps"]));
        assert!(maps.contains("/libc.so.6") && !maps.contains("fastestmirror"), "{maps}");
        // What does load librepo gets both.
        if have_python() {
            let mapped = run(clean(PYTHON).args(["-c", &format!("import librepo\n{PRINT_MAPPED}")]));
            let both = [installed.library().display().to_string(), real(&installed.library())];
            assert_eq!(mapped.lines().count(), 2, "{mapped}");
            assert!(both.iter().all(|path| mapped.contains(path.as_str())), "{mapped}");
        }
    });
}

#[test]
fn scriptlet_of_a_package_that_dnf_installs_loads_nothing_of_ours() {
    if !support::dnf::have_all() {
        return;
    }
    in_a_namespace(lab::test_name!(), || {
        let installed = Installed::install();
        installed.use_cache();
        // dnf itself, with this namespace's database of packages.
        let scratch = installed.path("scratch");
        fs::create_dir(&scratch).expect("a directory of this test");
        let (own, parent) = (scratch.join("own"), scratch.join("parent"));
        // The database is empty, and a scriptlet needs a shell.
        let scriptlet = format!(
            "%package shell\nSummary: A shell\nProvides: /bin/sh\n%description shell\nNothing.\n%files shell\n\
             %post\ncat /proc/self/maps >{}\ncat /proc/$PPID/maps >{}\nenv",
            own.display(),
            parent.display()
        );
        let package = make_package(&scratch, &scratch, "lab-scriptlet", &scriptlet);
        let configuration = scratch.join("dnf.conf");
        let none = scratch.join("none").display().to_string();
        fs::write(
            &configuration,
            format!(
                "[main]\nplugins=0\ngpgcheck=0\nreposdir={none}\nvarsdir={none}\npluginconfpath={none}\n"
            ),
        )
        .expect("a directory of this test");
        let mut dnf = clean("dnf-3");
        dnf.env("HOME", &scratch).arg("--config").arg(&configuration);
        dnf.args(["--releasever=1", "--assumeyes", "--quiet", "--disablerepo=*", "install"]);
        run(dnf.arg(&package).arg(package.with_file_name("lab-scriptlet-shell.rpm")));
        let read = |path: &Path| fs::read_to_string(path).expect("the scriptlet has written it");
        let (own, parent) = (read(&own), read(&parent));
        assert!(parent.contains(&installed.library().display().to_string()), "dnf has it: {parent}");
        assert!(own.contains("/libc.so.6") && !own.contains("fastestmirror"), "{own}");
    });
}

#[test]
fn two_libraries_that_load_librepo_agree() {
    if !have_tools() {
        return;
    }
    let installed = Installed::install();
    let source = "dropin/tests/c/agree.c";
    let shared = ["-DLIBRARY", "-shared", "-fPIC"];
    let [one, two] =
        ["agree-one.so", "agree-two.so"].map(|name| compile(source, name, &shared, &["librepo"]));
    let program = compile(source, "agree", &[], &["glib-2.0"]);
    let output = run(clean(&program.display().to_string())
        .args([&one, &two])
        .env("LD_LIBRARY_PATH", installed.directory()));
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 6, "{output}");
    assert_eq!(lines[..3], lines[3..], "{output}");
    let ours = installed.library().display().to_string();
    assert!(lines[0].ends_with(&ours) && lines[1].ends_with(&ours), "{output}");
    assert!(lines[2].ends_with(&real(&installed.library())), "{output}");
    // dnf 4's own two, in both orders.
    if have_python() && have("python3-libdnf", &mut python("libdnf")) {
        for imports in ["import libdnf, librepo", "import librepo, libdnf"] {
            let mapped = run(clean(PYTHON)
                .args(["-c", &format!("{imports}\n{PRINT_MAPPED}")])
                .env("LD_LIBRARY_PATH", installed.directory()));
            assert_eq!(mapped.lines().count(), 2, "{mapped}");
        }
    }
}

#[test]
fn drop_in_serves_its_own_librepo_where_there_are_two() {
    if !have_tools() || caller().is_none() {
        return;
    }
    let installed = Installed::install();
    // Another librepo, with other handles, is loaded first, so that its name leads to it.
    let shared = ["-DLAYOUT=1", "-shared", "-fPIC", "-Wl,-soname,librepo.so.0"];
    let other = installed.path("other");
    fs::create_dir(&other).expect("a directory of this test");
    let other = other.join("librepo.so.0").display().to_string();
    compile("dropin/tests/c/other.c", &other, &shared, &["glib-2.0"]);
    let world = World::start();
    let urls = [world.refusing(), world.live()];
    // A handle of the real one, in a program that is linked to that by its path.
    let library = real(&installed.library());
    let ours = installed.library().display().to_string();
    let script = format!(
        "import ctypes\n\
         ctypes.CDLL({other:?})\n\
         ours, real = ctypes.CDLL({ours:?}), ctypes.CDLL({library:?})\n\
         glib = ctypes.CDLL('libglib-2.0.so.0')\n\
         handle_init, setopt = real.lr_handle_init, real.lr_handle_setopt\n\
         handle_init.restype = ctypes.c_void_p\n\
         handle = ctypes.c_void_p(handle_init())\n\
         urls = (ctypes.c_char_p * 3)({:?}.encode(), {:?}.encode(), None)\n\
         assert setopt(handle, None, 1, urls)\n\
         assert real.lr_handle_prepare_internal_mirrorlist(handle, 0, None)\n\
         assert ours.lr_fastestmirror_sort_internalmirrorlist(handle, None)\n\
         print('found by its name:', ctypes.CDLL('librepo.so.0')._handle == ctypes.CDLL({other:?})._handle)\n",
        urls[0], urls[1]
    );
    let output = run(clean(PYTHON).args(["-c", &script]).env("G_MESSAGES_DEBUG", "librepo"));
    assert!(output.contains("found by its name: True"), "{output}");
    assert!(output.contains(&format!("1. {}: measured", urls[1])), "{output}");
    assert!(!output.contains("unknown"), "{output}");
}

#[test]
fn dnf_uses_the_drop_in_as_long_as_the_loader_finds_it() {
    if !support::dnf::have_all() {
        return;
    }
    in_a_namespace(lab::test_name!(), || {
        // Nothing is preloaded, and the environment of dnf is the same in all runs.
        let site = Site::start(&dropin().join("libfastestmirror_librepo.so"));
        let is_ours = |task| site.run_as_installed(task);
        let (before, theirs) = is_ours(Task::Makecache);
        assert!(!before);

        let installed = Installed::install();
        installed.use_cache();
        let (with, ours) = is_ours(Task::Makecache);
        assert!(with, "dnf has not used the drop-in");
        assert!(is_ours(Task::Download).0);
        lab::figure(&format!(
            "dnf makecache, a dead mirror in the lists: {theirs:.2} s, and {ours:.2} s with the drop-in directory"
        ));

        // Removed, with the cache as it was, and with a new one.
        installed.uninstall();
        assert!(!is_ours(Task::Makecache).0);
        installed.use_cache();
        assert!(!is_ours(Task::Makecache).0);
    });
}

#[test]
fn loader_finds_the_drop_in_before_every_directory_of_the_system() {
    in_a_namespace(lab::test_name!(), || {
        let installed = Installed::install();
        // As Debian has it on several machines: the directory of librepo itself is in such a file.
        let system = installed.path("system");
        fs::create_dir(&system).expect("a directory of this test");
        fs::copy(real(&installed.library()), system.join("librepo.so.0")).expect("a library");
        let directory = installed.activation().parent().expect("a directory").to_owned();
        for name in ["aarch64-linux-gnu", "arm-linux-gnueabihf", "libc", "x86_64-linux-gnu"] {
            let other = directory.join(format!("{name}.conf"));
            fs::write(&other, format!("{}\n", system.display())).expect("a directory of this test");
            let found = || {
                let cached = run(program("ldconfig").arg("-p").arg("-C").arg(installed.make_cache()));
                let lines = cached.lines().filter(|line| line.trim().starts_with("librepo.so.0 "));
                let paths = lines.filter_map(|line| line.split_once(" => ")).map(|(_, path)| path.to_owned());
                paths.collect::<Vec<_>>()
            };
            let paths = found();
            assert_eq!(paths[0], installed.library().display().to_string(), "{name}: {paths:?}");
            assert!(paths.len() > 2 && paths[1].starts_with(&*system.to_string_lossy()), "{name}: {paths:?}");
            fs::remove_file(&other).expect("a file of this test");
        }
    });
}

/// Runs `fm-librepo --check`, and returns its exit status and what it printed.
fn check(installed: &Installed) -> (i32, String) {
    let output: Output = installed.fm_librepo(&["--check"]).output().expect("it runs");
    assert!(output.stderr.is_empty(), "{}", transcript(&output));
    (output.status.code().expect("no signal"), String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn check_says_what_is_in_effect_and_what_to_do() {
    in_a_namespace(lab::test_name!(), || {
        let installed = Installed::install();
        let (library, librepo) = (installed.library().display().to_string(), real(&installed.library()));
        let version = run(program("pkg-config").args(["--modversion", "librepo"]));
        let expect = |status: i32, parts: &[&str]| {
            let (found, text) = check(&installed);
            assert!(parts.iter().all(|part| text.contains(part)), "{parts:#?} are not in\n{text}");
            assert_eq!(found, status, "{text}");
        };
        let uses = format!("It uses librepo {}, {librepo}.", version.trim());
        let proved = "The layout of the handles of that librepo is proved.";

        // Installed, and not yet in the cache; without the file, too.
        expect(1, &["Not in effect, except", "is there; run ldconfig.", &uses, proved]);
        let (activation, aside) = (installed.activation(), installed.path("aside"));
        fs::rename(&activation, &aside).expect("a file of this test");
        let line =
            format!("write the line {} into {}", installed.directory().display(), activation.display());
        expect(1, &["Not in effect, except", &line]);
        fs::rename(&aside, &activation).expect("a file of this test");

        // After ldconfig; for any user.
        installed.use_cache();
        expect(0, &[&format!("In effect: programs that load librepo get {library}."), &uses, proved]);
        if have_python() {
            expect(0, &["dnf-3: gets the drop-in ("]);
        }
        let off = installed.fm_librepo(&["--check"]).env("FASTESTMIRROR_OFF", "1").output().expect("it runs");
        let text = String::from_utf8_lossy(&off.stdout);
        assert!(text.contains("In effect") && text.contains("keeping the given order: "), "{text}");
        assert!(text.contains("FASTESTMIRROR_OFF"), "{text}");
        assert_eq!(off.status.code(), Some(1));

        // A program that finds the real one by a path of its own.
        let programs = installed.path("bin");
        fs::create_dir(&programs).expect("a directory of this test");
        let dnf5 = programs.join("dnf5").display().to_string();
        let directory = Path::new(&librepo).parent().expect("a directory").display().to_string();
        let rpath = format!("-Wl,-rpath,{directory}");
        for (flags, status, line) in [
            (&["-Wl,--no-as-needed"][..], 0, format!("dnf5: gets the drop-in ({dnf5})\n")),
            (&["-Wl,--no-as-needed", &rpath], 1, format!("dnf5: gets {librepo} ({dnf5})\n")),
        ] {
            compile("dropin/tests/c/agree.c", &dnf5, flags, &["librepo"]);
            let mut command = installed.fm_librepo(&["--check"]);
            let output = command.env("PATH", &programs).output().expect("it runs");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains(&line), "{line:?} is not in\n{text}");
            assert_eq!(output.status.code(), Some(status), "{text}");
        }

        // A directory before it.
        let other = activation.with_file_name("00-a.conf");
        fs::write(&other, format!("{directory}\n")).expect("a file of this test");
        installed.use_cache();
        expect(1, &["Not in effect, except", "the loader's cache has both, that one first"]);
        fs::remove_file(other).expect("a file of this test");

        fs::rename(installed.library(), installed.path("aside")).expect("a file of this test");
        expect(1, &[&format!("Not in effect: {library} is missing.")]);
    });
}

#[test]
fn check_needs_no_root() {
    if !have_tools() || !can_become_others() {
        return;
    }
    let installed = Installed::install();
    let mut command = installed.fm_librepo(&["--check"]);
    let output = command.current_dir("/").uid(NOBODY).gid(NOBODY).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Not in effect, except") && text.contains("is proved"), "{}", transcript(&output));
    assert!(output.stderr.is_empty() && output.status.code() == Some(1), "{}", transcript(&output));
}

#[test]
fn check_says_when_the_real_librepo_is_gone_or_unknown() {
    in_a_namespace(lab::test_name!(), || {
        let scratch = tempfile::tempdir().expect("a directory");
        let other = scratch.path().join("librepo.so.0");
        let shared = ["-DLAYOUT=1", "-shared", "-fPIC", "-Wl,-soname,librepo.so.0"];
        compile("dropin/tests/c/other.c", &other.display().to_string(), &shared, &["glib-2.0"]);
        let installed = Installed::install_before(Some(&other));
        installed.use_cache();
        let (status, text) = check(&installed);
        assert!(
            text.contains("In effect") && text.contains("is unknown, so mirrors are not sorted"),
            "{text}"
        );
        assert_eq!(status, 1, "{text}");

        fs::remove_file(&other).expect("a file of this test");
        let (status, text) = check(&installed);
        let parts = [
            "The drop-in cannot be loaded: ",
            "No program on this machine can load librepo.",
            "make the drop-in again.",
        ];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(status, 1, "{text}");
    });
}

#[test]
fn fm_librepo_runs_a_command_with_the_drop_in() {
    if !have_tools() {
        return;
    }
    let installed = Installed::install();
    let status =
        |arguments: &[&str]| installed.fm_librepo(arguments).output().expect("it runs").status.code();
    assert_eq!(status(&["sh", "-c", "exit $#", "name", "a b", "c"]), Some(2));
    assert_eq!(status(&["/nonexistent/command"]), Some(127));
    assert_eq!((status(&[]), status(&["--nonsense"])), (Some(2), Some(2)));
    let print = ["sh", "-c", "echo $LD_LIBRARY_PATH"];
    let path = installed.directory().display().to_string();
    assert_eq!(run(&mut installed.fm_librepo(&print)).trim(), path);
    let more = run(installed.fm_librepo(&print).env("LD_LIBRARY_PATH", "/a:/b"));
    assert_eq!(more.trim(), format!("{path}:/a:/b"));
    let version = run(&mut installed.fm_librepo(&["--version"]));
    assert_eq!(version.trim(), format!("fm-librepo {}", env!("CARGO_PKG_VERSION")));
    assert!(run(&mut installed.fm_librepo(&["--help"])).contains("fm-librepo COMMAND"));
    if have_python() {
        let script = format!("import librepo\n{PRINT_MAPPED}");
        let mapped = run(&mut installed.fm_librepo(&[PYTHON, "-c", &script]));
        assert!(mapped.contains(&path), "{mapped}");
    }
}

/// `dropin/directory/link` for this output.
fn link(output: &Path) -> Command {
    let mut link = program(&root().join("dropin/directory/link").display().to_string());
    link.arg(dropin().join("libfastestmirror_librepo.a")).arg(output);
    link
}

#[test]
fn link_refuses_what_is_no_librepo() {
    if !have_tools() {
        return;
    }
    let installed = Installed::install();
    let output = installed.path("scratch/librepo.so.0");
    let ours = installed.library().display().to_string();
    // A librepo for another machine: the number after the type of the file names it.
    let foreign = installed.path("foreign.so");
    let mut contents = fs::read(real(&installed.library())).expect("a library");
    contents[18] ^= 1;
    fs::write(&foreign, contents).expect("a directory of this test");
    for (librepo, why) in [
        ("librepo.so.0", "must be an absolute path"),
        ("/nonexistent/librepo.so.0", "there is no such file"),
        ("/bin/true", "this is not a librepo"),
        (&ours, "or it is the drop-in itself"),
        (&foreign.display().to_string(), "this is not a librepo for this architecture"),
    ] {
        let refused = link(&output).arg(librepo).output().expect("it runs");
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && text.contains(why) && text.contains(librepo), "{text}");
        assert!(!output.exists(), "{librepo}");
    }
}

#[test]
fn link_finds_the_real_librepo_behind_a_drop_in() {
    in_a_namespace(lab::test_name!(), || {
        let installed = Installed::install();
        installed.use_cache();
        let output = installed.path("scratch/librepo.so.0");
        // By pkg-config, and without it by the loader's cache, where the drop-in stands first.
        for pkg_config in [None, Some("/nonexistent")] {
            let mut link = link(&output);
            if let Some(directory) = pkg_config {
                link.env("PKG_CONFIG_LIBDIR", directory).env_remove("PKG_CONFIG_PATH");
            }
            run(&mut link);
            let found = fs::canonicalize(real(&output)).expect("a library");
            assert_eq!(found, fs::canonicalize(real(&installed.library())).expect("a library"));
        }
    });
}

#[test]
fn drop_in_without_a_whole_librepo_is_not_put_into_effect() {
    if !have_tools() {
        return;
    }
    let installed = Installed::install();
    installed.uninstall();
    let part = installed.path("librepo.so.0");
    let source = installed.path("part.c");
    fs::write(&source, "void *lr_handle_init(void) { return 0; }\n").expect("a directory of this test");
    run(program("cc").args(["-shared", "-fPIC", "-o"]).arg(&part).arg(&source));
    let output = installed.make("install-dropin", Some(&part)).output().expect("it runs");
    let text = transcript(&output);
    assert!(!output.status.success() && text.contains("is not put into effect"), "{text}");
    assert!(!installed.activation().exists());
}

#[test]
fn uninstalling_leaves_nothing_but_changed_settings() {
    if !have_tools() {
        return;
    }
    let installed = Installed::install();
    let settings = installed.path("etc/fastestmirror.conf");
    fs::write(&settings, "[main]\nslack = 5\n").expect("a directory of this test");
    run(&mut installed.make("install-dropin", None));
    let listed = || run(program("find").arg(installed.path("")).args(["-type", "f"]));
    let root = installed.path("").display().to_string();
    let files = listed();
    let mut files: Vec<&str> = files.lines().filter_map(|file| file.strip_prefix(&root)).collect();
    files.sort_unstable();
    let expected = [
        &format!("etc/ld.so.conf.d/{ACTIVATION}"),
        "etc/fastestmirror.conf",
        "usr/bin/fm-librepo",
        "usr/lib/fastestmirror/librepo.so.0",
        "usr/libexec/fastestmirror/report-librepo",
        "usr/share/man/man1/fm-librepo.1",
        "usr/share/man/man5/fastestmirror.conf.5",
    ];
    assert_eq!(files, BTreeSet::from(expected).into_iter().collect::<Vec<_>>());
    installed.uninstall();
    assert_eq!(listed().trim(), settings.display().to_string());
    assert_eq!(fs::read_to_string(settings).expect("it is there"), "[main]\nslack = 5\n");
    assert!(!installed.directory().exists());
}
