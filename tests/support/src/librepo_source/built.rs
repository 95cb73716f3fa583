//! Builds librepo and its test suites, unmodified and with this library, as contrib/librepo
//! describes: inside of it, or linked through the adapter.

use super::{Release, WithAdded, home, lock, partial};
use crate::build::{install, root, run, soname};
use crate::programs::{have, module, program, python};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pkg-config packages that librepo's build needs.
const MODULES: [&str; 9] =
    ["glib-2.0", "libcurl", "libxml-2.0", "openssl", "gpgme", "libselinux", "zck", "check", "python3"];

/// The source of the adapter, which becomes one of librepo's own.
const ADAPTER: &str = "fastestmirror_lib.c";

/// librepo's test suites, and two libraries to run them with.
#[derive(Debug)]
pub struct Built {
    tree: PathBuf,
    build: PathBuf,
    /// Where the shared library is installed to which the adapter is linked.
    prefix: Option<PathBuf>,
}

impl Built {
    /// Builds both libraries, one of them with this library as the static library `archive`. If
    /// something is missing, the test is skipped.
    pub fn new(release: &Release, archive: &Path) -> Option<Built> {
        let option = format!("-DFASTESTMIRROR_LIBRARY={}", archive.display());
        Built::of(release).make_both(release, "fastestmirror.patch", "-DFASTESTMIRROR_LIBRARY=", &option)
    }

    /// Builds both libraries, one of them with the adapter, which is linked to a shared library
    /// that `make install` has installed and pkg-config finds. If something is missing, the test is
    /// skipped.
    pub fn with_adapter(release: &Release) -> Option<Built> {
        let (off, on) = ("-DUSE_LIBFASTESTMIRROR=OFF", "-DUSE_LIBFASTESTMIRROR=ON");
        Built::of_adapter(release).make_both(release, "use-libfastestmirror.patch", off, on)
    }

    /// The build with this library inside that another process has made.
    pub fn of(release: &Release) -> Built {
        let directory = |what| home().join(release.version).with_added(what);
        Built { tree: directory("tree"), build: directory("build"), prefix: None }
    }

    /// The build with the adapter that another process has made.
    pub fn of_adapter(release: &Release) -> Built {
        let directory = |what| home().join(release.version).with_added("adapter").with_added(what);
        Built { tree: directory("tree"), build: directory("build"), prefix: Some(directory("prefix")) }
    }

    fn make_both(self, release: &Release, patch: &str, without: &str, with: &str) -> Option<Built> {
        let source = release.source().filter(|_| has_tools())?;
        let _lock = lock(&self.tree);
        let read = |name: &str| fs::read(root().join("contrib/librepo").join(name)).expect(name);
        let patch = read(patch);
        let mark = self.build.with_added("unfinished");
        let is_outdated = fs::read(self.tree.join("applied.patch")).ok().as_ref() != Some(&patch);
        // After a change of the soname everything has to be linked again.
        let needs_relinking =
            self.prefix.as_ref().is_some_and(|prefix| !prefix.join("lib").join(soname()).exists());
        if is_outdated || needs_relinking || self.has_moved() || mark.exists() {
            self.start_over(&source, &patch);
        }
        fs::write(&mark, "").expect("the target directory can be written");
        if let Some(prefix) = &self.prefix {
            install(prefix);
            let (adapter, copy) = (read(ADAPTER), self.tree.join("librepo").join(ADAPTER));
            if fs::read(&copy).ok().as_ref() != Some(&adapter) {
                fs::write(copy, adapter).expect("the target directory can be written");
            }
        }
        if !self.original().is_dir() {
            self.make(without);
            let original = partial(&self.original());
            fs::copy(self.ours().join("librepo.so.0"), original.join("librepo.so.0")).expect("a library");
            fs::rename(original, self.original()).expect("the target directory can be written");
        }
        self.make(with);
        fs::remove_file(mark).expect("a file of this test");
        Some(self)
    }

    /// Whether CMake was run while the target directory was somewhere else.
    fn has_moved(&self) -> bool {
        let here = format!("CMAKE_HOME_DIRECTORY:INTERNAL={}", self.tree.display());
        let cache = fs::read_to_string(self.build.join("CMakeCache.txt"));
        cache.is_ok_and(|cache| !cache.lines().any(|line| line == here))
    }

    fn start_over(&self, source: &Path, patch: &[u8]) {
        for directory in [&self.tree, &self.build].into_iter().chain(&self.prefix) {
            let _ = fs::remove_dir_all(directory);
        }
        fs::create_dir(&self.build).expect("the target directory can be written");
        let tree = partial(&self.tree);
        run(Command::new("cp").arg("-RT").arg(source).arg(&tree));
        fs::write(tree.join("applied.patch"), patch).expect("the target directory can be written");
        // No fuzz: a patch that applies only roughly has to be updated.
        run(Command::new("patch").current_dir(&tree).args(["-p1", "-F0", "-i", "applied.patch"]));
        fs::rename(tree, &self.tree).expect("the target directory can be written");
    }

    /// Builds what has changed since the last time, which is the link of the library.
    fn make(&self, option: &str) {
        let mut cmake = Command::new("cmake");
        cmake.current_dir(&self.build).arg(&self.tree).args([
            "-Wno-dev",
            "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
            "-DENABLE_DOCS=OFF",
            "-DENABLE_EXAMPLES=OFF",
            "-DPYTHON_EXECUTABLE=/usr/bin/python3",
            option,
        ]);
        if let Some(prefix) = &self.prefix {
            cmake.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        }
        run(&mut cmake);
        run(Command::new("cmake").current_dir(&self.build).args(["--build", ".", "--parallel", "2"]));
    }

    /// The directory of librepo.so.0 with librepo's own fastestmirror.
    pub fn original(&self) -> PathBuf {
        self.build.join("original")
    }

    /// The directory of librepo.so.0 with this library.
    pub fn ours(&self) -> PathBuf {
        self.build.join("librepo")
    }

    /// The shared library to which the adapter is linked.
    pub fn library(&self) -> Option<PathBuf> {
        self.prefix.as_ref().map(|prefix| prefix.join("lib/libfastestmirror.so"))
    }

    /// What `LD_LIBRARY_PATH` has to be for the library in this directory.
    pub fn search_path(&self, library: &Path) -> OsString {
        let mut path = library.as_os_str().to_owned();
        if let Some(prefix) = &self.prefix {
            path.push(":");
            path.push(prefix.join("lib"));
        }
        path
    }

    /// librepo's C suite with the library in this directory.
    pub fn c_suite(&self, library: &Path) -> Command {
        let mut command = Command::new(self.build.join("tests/test_main"));
        command.env("LD_LIBRARY_PATH", self.search_path(library)).arg(self.tree.join("tests/test_data/"));
        command
    }

    /// librepo's Python suite with the binding built here and the library in this directory.
    pub fn python_suite(&self, library: &Path) -> Command {
        let mut command = python_suite(&self.tree);
        command
            .env("LD_LIBRARY_PATH", self.search_path(library))
            .env("PYTHONPATH", self.build.join("librepo/python"));
        command
    }
}

/// The Python suite of a source tree, for the system's binding.
pub fn python_suite(tree: &Path) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-W", "ignore", "-m", "unittest", "discover", "-s"]).arg(tree.join("tests/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Whether the tools for the build and for the suites are installed.
fn has_tools() -> bool {
    ["cmake", "make", "patch"].iter().all(|name| have(name, program(name).arg("--version")))
        && MODULES.iter().all(|name| have(name, &mut module(name)))
        && ["gpg", "requests", "xattr"].iter().all(|name| have(name, &mut python(name)))
}
