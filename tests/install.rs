//! `make install`: which files it installs, and that C programs build with pkg-config alone.
//!
//! The Makefile runs in a copy of the tracked files, as in a fresh clone, which has a target
//! directory of its own. It builds there once; every `make install` in these tests only copies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use support::build::{root, run, soname, soname_number, target, version};
use support::files::{contents, copy_tracked, tracked};
use support::programs::{have, program};
use support::servers::{Server, closed_port};
use support::users::{NOBODY, can_become_others};
use tempfile::TempDir;

const EXAMPLES: [&str; 3] = ["smallest", "options", "librepo_adapter"];

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn scratch() -> PathBuf {
    let directory = target().join("tmp").join("install");
    fs::create_dir_all(&directory).expect("the target directory can be written");
    directory
}

/// `make` in this directory, with nothing of what Cargo has set for this test.
fn make(source: &Path) -> Command {
    let mut make = Command::new("make");
    make.current_dir(source).args(["--no-print-directory", "PROFILE=dev"]);
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("MAKE") || name == "CARGO_TARGET_DIR" {
            make.env_remove(name);
        }
    }
    make
}

/// A copy of the tracked files in which `make` has built, and the directory with what it has built.
struct Clone {
    source: PathBuf,
    out: PathBuf,
}

/// If git, make or pkg-config is not installed, the test is skipped.
fn clone() -> Option<&'static Clone> {
    static CLONE: OnceLock<Clone> = OnceLock::new();
    let files = tracked()?;
    for command in ["make", "pkg-config"] {
        if !have(command, program(command).arg("--version")) {
            return None;
        }
    }
    Some(CLONE.get_or_init(|| {
        let (source, target) = (scratch().join("source"), scratch().join("target"));
        let _ = fs::remove_dir_all(&source);
        fs::create_dir(&source).expect("the target directory can be written");
        copy_tracked(files, &source);
        let out = target.join("debug");
        // Line tables would make the libraries some times as large.
        let mut make = make(&source);
        make.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_TARGET_DIR", &target);
        make.arg(format!("CARGO={}", env!("CARGO"))).arg(format!("OUT={}", out.display()));
        run(make.arg("CARGOFLAGS=--quiet"));
        Clone { source, out }
    }))
}

impl Clone {
    /// `make` with these arguments, which cannot build, and must not change the machine.
    fn make(&self, arguments: &[&str]) -> Command {
        let mut make = make(&self.source);
        make.args(["CARGO=false", "LDCONFIG=true"]).arg(format!("OUT={}", self.out.display()));
        make.args(arguments);
        make
    }
}

fn assignment(name: &str, directory: &Path) -> String {
    format!("{name}={}", directory.display())
}

/// What `make install` installs, below its prefix.
fn expected() -> BTreeMap<String, String> {
    let full = format!("libfastestmirror.so.{}", version());
    let mut expected = BTreeMap::new();
    let mut add = |name: &str, what: &str| expected.insert(name.to_owned(), what.to_owned());
    add("bin/fastestmirror", "755");
    add("include/fastestmirror.h", "644");
    add("lib/libfastestmirror.a", "644");
    add("lib/libfastestmirror.so", &format!("-> {}", soname()));
    add(&format!("lib/{}", soname()), &format!("-> {full}"));
    add(&format!("lib/{full}"), "755");
    add("lib/pkgconfig/fastestmirror.pc", "644");
    add("share/bash-completion/completions/fastestmirror", "644");
    add("share/fish/vendor_completions.d/fastestmirror.fish", "644");
    add("share/zsh/site-functions/_fastestmirror", "644");
    for page in ["man1/fastestmirror.1", "man3/fastestmirror.3", "man7/fastestmirror.7"] {
        add(&format!("share/man/{page}"), "644");
    }
    for function in include_str!("c/symbols.txt").lines() {
        add(&format!("share/man/man3/{function}.3"), "644");
    }
    expected
}

#[test]
fn install_copies_exactly_these_files() {
    let Some(clone) = clone() else { return };
    let scratch = directory();
    let stage = scratch.path().join("a stage");
    let mut install = Command::new("sh");
    // A file that others cannot read would be of no use there, whatever the umask of root is.
    install.args(["-c", "umask 077; exec \"$@\"", "sh"]);
    let make = clone.make(&["install", &assignment("DESTDIR", &stage)]);
    install.arg(make.get_program()).args(make.get_args()).current_dir(&clone.source);
    run(&mut install);
    let root_of_stage = stage.join("usr/local");
    assert_eq!(contents(&root_of_stage), expected());
    assert_eq!(contents(&stage).len(), expected().len(), "files outside of /usr/local");

    let installed = |name: &str| fs::read(root_of_stage.join(name)).expect("an installed file");
    let committed = fs::read(root().join("include/fastestmirror.h")).expect("the header");
    assert!(installed("include/fastestmirror.h") == committed, "another header");
    let metadata = String::from_utf8(installed("lib/pkgconfig/fastestmirror.pc")).expect("UTF-8");
    let head = "prefix=/usr/local\nlibdir=${prefix}/lib\nincludedir=${prefix}/include\n";
    assert!(metadata.starts_with(head) && !metadata.contains('@'), "{metadata}");
    assert!(metadata.contains(&format!("\nVersion: {}\n", version())), "{metadata}");

    // Nothing but the target directory, which is elsewhere here, is written by a build.
    let mut files: BTreeSet<_> = contents(&clone.source).into_keys().collect();
    files.retain(|file| !file.ends_with('/'));
    assert_eq!(&files, tracked().expect("git"));

    run(&mut clone.make(&["uninstall", &assignment("DESTDIR", &stage)]));
    assert_eq!(contents(&stage), BTreeMap::new());
}

#[test]
fn each_function_leads_to_the_page_of_the_library() {
    let Some(clone) = clone() else { return };
    if !have("mandoc", program("mandoc").arg("/dev/null")) {
        return;
    }
    let stage = directory();
    run(&mut clone.make(&["install", &assignment("DESTDIR", stage.path())]));
    let pages = stage.path().join("usr/local/share/man");
    let show = |page: &str| run(program("mandoc").current_dir(&pages).arg(format!("man3/{page}.3")));
    let library = show("fastestmirror");
    assert!(library.contains("fm_rank, fm_ranker_cancel"), "{library}");
    for function in ["fm_rank", "fm_version"] {
        assert_eq!(show(function), library);
    }
}

#[test]
fn install_follows_its_variables() {
    let Some(clone) = clone() else { return };
    let stage = directory();
    let usual = [
        "PREFIX=/usr",
        "LIBDIR=/usr/lib64",
        "BINDIR=/bin",
        "INCLUDEDIR=/opt/include",
        "MANDIR=/man",
        "PKGCONFIGDIR=/pc",
    ];
    let stage_argument = assignment("DESTDIR", stage.path());
    let variables = || usual.iter().copied().chain([stage_argument.as_str()]);
    run(&mut clone.make(&["install"].into_iter().chain(variables()).collect::<Vec<_>>()));
    let moved = expected().into_iter().map(|(name, what)| {
        let name = match name.split_once('/').expect("it is in a directory") {
            ("lib", name) if name.starts_with("pkgconfig/") => name.replace("pkgconfig", "pc"),
            ("lib", name) => format!("usr/lib64/{name}"),
            ("include", name) => format!("opt/include/{name}"),
            ("share", name) if name.starts_with("man/") => name.to_owned(),
            ("share", name) => format!("usr/share/{name}"),
            (_, name) => format!("bin/{name}"),
        };
        (name, what)
    });
    assert_eq!(contents(stage.path()), moved.collect());
    let metadata = fs::read_to_string(stage.path().join("pc/fastestmirror.pc")).expect("the metadata");
    let head = "prefix=/usr\nlibdir=${prefix}/lib64\nincludedir=/opt/include\n";
    assert!(metadata.starts_with(head), "{metadata}");
    run(&mut clone.make(&["uninstall"].into_iter().chain(variables()).collect::<Vec<_>>()));
    assert_eq!(contents(stage.path()), BTreeMap::new());
}

#[test]
fn install_renews_the_cache_of_the_loader_only_as_root_on_this_machine() {
    let Some(clone) = clone() else { return };
    let prefix = directory();
    let prefix_argument = assignment("PREFIX", prefix.path());
    let renews = |arguments: &[&str]| {
        let mut make = clone.make(arguments);
        run(make.args([&prefix_argument, "LDCONFIG=echo the cache is renewed"])).contains("\nthe cache")
    };
    // SAFETY: always succeeds.
    let is_root = unsafe { libc::geteuid() } == 0;
    for target in ["install", "uninstall"] {
        assert_eq!(renews(&[target]), is_root);
        assert!(!renews(&[target, &assignment("DESTDIR", &prefix.path().join("stage"))]));
    }
}

/// The command in docs/c.md that builds this example, and how it names the program.
fn documented(example: &str, kind: &str) -> String {
    let page = fs::read_to_string(root().join("docs/c.md")).expect("the page");
    let line = page
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with(kind) && line.contains(&format!("{example}.c ")));
    line.unwrap_or_else(|| panic!("docs/c.md has no command that builds {example}.c")).to_owned()
}

/// Two URLs: of a mirror that refuses, and of one that answers.
fn urls(server: &Server) -> [String; 2] {
    [format!("http://127.0.0.1:{}/closed", closed_port()), format!("http://127.0.0.1:{}/open", server.port())]
}

/// Builds a program with a command of a shell, and runs it.
fn build_and_run(line: &str, example: &str, prefix: &Path, server: &Server) -> PathBuf {
    let program = prefix.join(example);
    let output = format!("-o {example}");
    assert!(line.contains(&output), "{line}");
    let line = line.replace(&output, &format!("-o {} -std=gnu99 -Wall -Wextra -Werror", program.display()));
    let mut shell = Command::new("sh");
    shell.current_dir(root()).args(["-ec", &line]);
    run(shell.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")));
    let urls = urls(server);
    let output = run(Command::new(&program).args(&urls).env("LD_LIBRARY_PATH", prefix.join("lib")));
    let order: Vec<_> = output.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(order, [urls[1].as_str(), urls[0].as_str()], "{example}: {output}");
    assert!(example != "options" || output.contains(" ms pool http://"), "{output}");
    program
}

#[test]
fn examples_build_with_pkg_config_alone_as_docs_c_md_has_it() {
    let Some(clone) = clone() else { return };
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let prefix = directory();
    run(&mut clone.make(&["install", &assignment("PREFIX", prefix.path())]));
    let has_glib = have("glib-2.0", &mut support::programs::module("glib-2.0"));
    let examples = || EXAMPLES.iter().filter(|example| **example != "librepo_adapter" || has_glib);
    for example in examples() {
        let program = build_and_run(&documented(example, "cc examples/"), example, prefix.path(), &server);
        let needed = run(Command::new("readelf").arg("-d").arg(program));
        assert!(needed.contains(&format!("[{}]", soname())), "{needed}");
    }
    // Only this library is static where the shared one is not installed.
    for suffix in ["", &format!(".{}", soname_number(version()))] {
        fs::remove_file(prefix.path().join(format!("lib/libfastestmirror.so{suffix}"))).expect("a link");
    }
    for example in examples() {
        let line = documented(example, "cc examples/").replace("pkg-config ", "pkg-config --static ");
        let program = build_and_run(&line, example, prefix.path(), &server);
        let needed = run(Command::new("readelf").arg("-d").arg(program));
        assert!(needed.contains("[libc.so.6]") && !needed.contains("libfastestmirror"), "{needed}");
    }
}

#[test]
fn static_programs_build_with_pkg_config_alone_as_docs_c_md_has_it() {
    let Some(clone) = clone() else { return };
    let mut find = Command::new("sh");
    find.args(["-c", "test -f \"$(cc -print-file-name=libc.a)\""]);
    if !have("the static C library", &mut find) {
        return;
    }
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let prefix = directory();
    run(&mut clone.make(&["install", &assignment("PREFIX", prefix.path())]));
    for example in ["smallest", "options"] {
        let line = documented("smallest", "cc -static ").replace("smallest", example);
        let program = build_and_run(&line, example, prefix.path(), &server);
        let headers = run(Command::new("readelf").arg("-l").arg(program));
        assert!(!headers.contains("INTERP"), "{example} is not static: {headers}");
    }
}

#[test]
fn staged_library_is_found_with_a_sysroot() {
    let Some(clone) = clone() else { return };
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let stage = directory();
    run(&mut clone.make(&["install", &assignment("DESTDIR", stage.path())]));
    let line = format!("export PKG_CONFIG_SYSROOT_DIR='{}'; ", stage.path().display());
    let line = line + &documented("smallest", "cc examples/");
    build_and_run(&line, "smallest", &stage.path().join("usr/local"), &server);
}

#[test]
fn ordinary_user_installs_into_the_home_directory() {
    let Some(clone) = clone() else { return };
    if !can_become_others() {
        return;
    }
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let home = directory();
    // Where a plain `make` would have built.
    let source = home.path().join("source");
    let out = source.join("target/release");
    fs::create_dir_all(&out).expect("a directory");
    copy_tracked(tracked().expect("git"), &source);
    let built = ["fastestmirror", "libfastestmirror.so", "libfastestmirror.a"];
    for file in built.into_iter().chain(["completions.bash", "completions.zsh", "completions.fish"]) {
        fs::copy(clone.out.join(file), out.join(file)).expect("a built file");
    }
    let mut own = Command::new("chown");
    run(own.arg("-R").arg(format!("{NOBODY}:{NOBODY}")).arg(home.path()));
    chown(home.path(), Some(NOBODY), Some(NOBODY)).expect("root can do this");

    let urls = urls(&server);
    let commands = format!(
        "make install CARGO=false PREFIX=$HOME/.local
         PATH=$HOME/.local/bin:$PATH PKG_CONFIG_PATH=$HOME/.local/lib/pkgconfig
         export PATH PKG_CONFIG_PATH LD_LIBRARY_PATH=$HOME/.local/lib
         {}
         ./smallest {1} {2} >order
         test \"$(head -n 1 order)\" = {2}
         fastestmirror --urls {1} {2} | cmp - order",
        documented("smallest", "cc examples/"),
        urls[0],
        urls[1],
    );
    let as_nobody = |commands: &str| {
        let mut shell = program("sh");
        shell.args(["-euc", commands]).current_dir(&source).env("HOME", home.path());
        shell.uid(NOBODY).gid(NOBODY).env_remove("CARGO_TARGET_DIR");
        run(&mut shell);
    };
    as_nobody(&commands);
    assert_eq!(contents(&home.path().join(".local")), expected());
    as_nobody("make uninstall PREFIX=$HOME/.local");
    assert_eq!(contents(&home.path().join(".local")), BTreeMap::new());
}

#[test]
fn install_builds_only_where_nothing_is_built() {
    let Some(clone) = clone() else { return };
    let (stage, empty) = (directory(), directory());
    let mut install = clone.make(&["install", &assignment("DESTDIR", stage.path())]);
    let output = install.args([&assignment("OUT", empty.path()), "CARGO=echo cargo"]).output();
    let output = String::from_utf8(output.expect("make runs").stdout).expect("UTF-8");
    assert!(output.contains("cargo build --locked --profile dev"), "{output}");
}

#[test]
fn documentation_names_the_shared_library() {
    let page = fs::read_to_string(root().join("docs/c.md")).expect("the page");
    for name in [soname(), format!("libfastestmirror.so.{}", version())] {
        assert!(
            page.contains(&format!("`{name}`")) || page.contains(&format!("/{name}`")),
            "docs/c.md lacks {name}"
        );
    }
}

#[test]
fn soname_follows_the_version() {
    let scratch = directory();
    let script = scratch.path().join("build");
    let mut rustc = Command::new("rustc");
    run(rustc.args(["--edition=2024"]).arg(root().join("build.rs")).arg("-o").arg(&script));
    for (version, number) in
        [("0.1.0", "0.1"), ("0.1.9", "0.1"), ("0.12.3", "0.12"), ("1.4.0", "1"), ("12.0.1", "12")]
    {
        assert_eq!(soname_number(version), number);
        let mut parts = version.split('.');
        let mut build = Command::new(&script);
        for name in ["CARGO_PKG_VERSION_MAJOR", "CARGO_PKG_VERSION_MINOR", "CARGO_PKG_VERSION_PATCH"] {
            build.env(name, parts.next().expect("three numbers"));
        }
        let passed = run(&mut build);
        assert!(passed.contains(&format!("-soname,libfastestmirror.so.{number}\n")), "{passed}");
        if have("make", program("make").arg("--version")) {
            let mut make = make(root());
            let commands = run(make.args(["--dry-run", "uninstall", &format!("VERSION={version}")]));
            assert!(commands.contains(&format!(" a so so.{number} so.{version};")), "{commands}");
        }
    }
}

#[test]
fn cargo_c_installs_the_same_files() {
    let Some(clone) = clone() else { return };
    let present = Command::new("cargo").args(["cinstall", "--version"]).output();
    if !present.is_ok_and(|output| output.status.success()) {
        lab::skip_even_under_ci("cargo-c is not installed, and takes too long to build");
        return;
    }
    let (ours, theirs) = (directory(), directory());
    run(&mut clone.make(&["install", &assignment("DESTDIR", ours.path())]));
    let mut cinstall = Command::new("cargo");
    cinstall.current_dir(&clone.source).args(["cinstall", "--locked", "--offline", "--debug", "--quiet"]);
    cinstall.args(["--prefix=/usr/local", "--libdir=/usr/local/lib", "--destdir"]).arg(theirs.path());
    run(cinstall.arg("--target-dir").arg(scratch().join("cargo-c")));
    let mut library = contents(ours.path());
    library.retain(|name, _| !name.contains("/bin/") && !name.contains("/share/"));
    let mut names: BTreeSet<_> = library.keys().collect();
    let installed = contents(theirs.path());
    assert_eq!(installed.keys().collect::<BTreeSet<_>>(), names);
    names.retain(|name| name.ends_with(".so") || name.ends_with(&soname()));
    let both = [ours.path(), theirs.path()];
    let header = both.map(|at| fs::read(at.join("usr/local/include/fastestmirror.h")).expect("the header"));
    assert!(header[0] == header[1], "another header");
    let named = both.map(|at| {
        let library = at.join("usr/local/lib/libfastestmirror.so");
        let dynamic = run(Command::new("readelf").arg("-d").arg(library));
        dynamic.lines().filter(|line| line.contains("SONAME")).map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(named[0], named[1]);
    let flags = both.map(|at| {
        let mut ask = program("pkg-config");
        ask.env("PKG_CONFIG_PATH", at.join("usr/local/lib/pkgconfig"));
        run(ask.args(["--cflags", "--libs", "--modversion", "fastestmirror"]))
    });
    assert_eq!(flags[0], flags[1]);
}
