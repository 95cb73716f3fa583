//! Builds librepo and its test suites, unmodified and with this library inside, as contrib/librepo
//! describes.

use super::{Release, WithAdded, home, lock, partial};
use crate::build::{root, run};
use crate::programs::{have, module, program, python};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pkg-config packages that librepo's build needs.
const MODULES: [&str; 9] =
    ["glib-2.0", "libcurl", "libxml-2.0", "openssl", "gpgme", "libselinux", "zck", "check", "python3"];

/// librepo's test suites, and two libraries to run them with.
#[derive(Debug)]
pub struct Built {
    tree: PathBuf,
    build: PathBuf,
}

impl Built {
    /// Builds both libraries, one of them with this library as the static library `archive`. If
    /// something is missing, the test is skipped.
    pub fn new(release: &Release, archive: &Path) -> Option<Built> {
        let source = release.source().filter(|_| has_tools())?;
        let built = Built::of(release);
        let _lock = lock(&built.tree);
        let patch = fs::read(root().join("contrib/librepo/fastestmirror.patch")).expect("the patch");
        let mark = built.build.with_added("unfinished");
        if fs::read(built.tree.join("applied.patch")).ok().as_ref() != Some(&patch) || mark.exists() {
            built.start_over(&source, &patch);
        }
        fs::write(&mark, "").expect("the target directory can be written");
        if !built.original().is_dir() {
            built.make(None);
            let original = partial(&built.original());
            fs::copy(built.ours().join("librepo.so.0"), original.join("librepo.so.0")).expect("a library");
            fs::rename(original, built.original()).expect("the target directory can be written");
        }
        built.make(Some(archive));
        fs::remove_file(mark).expect("a file of this test");
        Some(built)
    }

    /// The build that another process has made.
    pub fn of(release: &Release) -> Built {
        let directory = |what| home().join(release.version).with_added(what);
        Built { tree: directory("tree"), build: directory("build") }
    }

    fn start_over(&self, source: &Path, patch: &[u8]) {
        for directory in [&self.tree, &self.build] {
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
    fn make(&self, archive: Option<&Path>) {
        let archive = archive.map(|path| path.display().to_string()).unwrap_or_default();
        let mut cmake = Command::new("cmake");
        cmake.current_dir(&self.build).arg(&self.tree).args([
            "-Wno-dev",
            "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
            "-DENABLE_DOCS=OFF",
            "-DENABLE_EXAMPLES=OFF",
            "-DPYTHON_EXECUTABLE=/usr/bin/python3",
            &format!("-DFASTESTMIRROR_LIBRARY={archive}"),
        ]);
        run(&mut cmake);
        run(Command::new("cmake").current_dir(&self.build).args(["--build", ".", "--parallel", "2"]));
    }

    /// The directory of librepo.so.0 with librepo's own fastestmirror.
    pub fn original(&self) -> PathBuf {
        self.build.join("original")
    }

    /// The directory of librepo.so.0 with this library inside.
    pub fn ours(&self) -> PathBuf {
        self.build.join("librepo")
    }

    /// librepo's C suite with the library in this directory.
    pub fn c_suite(&self, library: &Path) -> Command {
        let mut command = Command::new(self.build.join("tests/test_main"));
        command.env("LD_LIBRARY_PATH", library).arg(self.tree.join("tests/test_data/"));
        command
    }

    /// librepo's Python suite with the binding built here and the library in this directory.
    pub fn python_suite(&self, library: &Path) -> Command {
        let mut command = python_suite(&self.tree);
        command.env("LD_LIBRARY_PATH", library).env("PYTHONPATH", self.build.join("librepo/python"));
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
