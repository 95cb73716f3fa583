//! What tests of packages for distributions share: the sources, a Cargo that has built already, and
//! what the Makefile would install.

use crate::build::{cargo, dropin, run, target, version};
use crate::files::{contents, copy_tracked, tracked};
use crate::programs::{have, module, program};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory below Cargo's, in which packages are built.
#[derive(Debug)]
pub struct Workshop {
    scratch: PathBuf,
    /// The directory of the machine's librepo, which is that of all libraries.
    pub libdir: String,
}

impl Workshop {
    /// Makes the directory of this name with a copy of the sources, and builds what the packages
    /// contain. In the lab it is the directory that has been made outside, as it is. If something
    /// is missing for that, the test is skipped.
    pub fn open(name: &str) -> Option<Workshop> {
        let files = tracked()?;
        let has_all = have("make", program("make").arg("--version"))
            && have("cc", program("cc").arg("--version"))
            && have("pkg-config", program("pkg-config").arg("--version"))
            && have("librepo", &mut module("librepo"));
        if !has_all {
            return None;
        }
        let libdir = run(program("pkg-config").args(["--variable=libdir", "librepo"])).trim().to_owned();
        let workshop = Workshop { scratch: target().join("tmp").join(name), libdir };
        if !lab::is_inside() {
            let _ = fs::remove_dir_all(&workshop.scratch);
            for directory in [workshop.sources(), workshop.path("bin"), workshop.path("home")] {
                fs::create_dir_all(directory).expect("the target directory can be written");
            }
            copy_tracked(files, &workshop.sources());
            workshop.put_cargo();
        }
        Some(workshop)
    }

    /// Puts a Cargo into `bin` that copies what it should build.
    fn put_cargo(&self) {
        let mut build = cargo(&["build", "-p", "fastestmirror", "-p", "fastestmirror-cli", "--offline"]);
        run(build.arg("--target-dir").arg(target()));
        let debug = target().join("debug");
        let built =
            ["fastestmirror", "libfastestmirror.so", "libfastestmirror.a"].map(|name| debug.join(name));
        let built = built.into_iter().chain([dropin().join("libfastestmirror_librepo.a")]);
        let quoted: Vec<_> = built.map(|file| format!("'{}'", file.display())).collect();
        let script = format!(
            "#!/bin/sh
             # Stands for a Cargo that has built already.
             set -eu
             case $1 in
             build) ;;
             test) exit ;;
             tree) exec '{}' \"$@\" --offline ;;
             *) echo \"cargo $1 is not expected here\" >&2; exit 1 ;;
             esac
             profile=dev target=target
             while [ $# -gt 0 ]; do
                 case $1 in
                 --profile) profile=$2 ;;
                 --target-dir) target=$2 ;;
                 esac
                 shift
             done
             mkdir -p \"$target/$profile\"
             # make may run two of these at once.
             for file in {}; do
                 cp -p \"$file\" \"$target/$profile/${{file##*/}}.$$\"
                 mv -f \"$target/$profile/${{file##*/}}.$$\" \"$target/$profile/${{file##*/}}\"
             done
            ",
            env!("CARGO"),
            quoted.join(" "),
        );
        let path = self.path("bin/cargo");
        fs::write(&path, script).expect("a directory of this test");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file of this test");
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.scratch.join(below)
    }

    /// The copy of the sources, in a directory with the name that it has in an archive.
    pub fn sources(&self) -> PathBuf {
        self.path(&format!("fastestmirror-{}", version()))
    }

    /// A command that finds that Cargo, and nothing of the user's configuration.
    pub fn command(&self, name: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(name);
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let path = std::env::var("PATH").unwrap_or_default();
        let system = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
        command.env_clear().env("LC_ALL", "C.UTF-8").env("HOME", self.path("home"));
        command.env("PATH", format!("{}:{system}:{path}", self.path("bin").display()));
        for (name, default) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(name, std::env::var_os(name).unwrap_or_else(|| home.join(default).into()));
        }
        command.envs(std::env::var_os("RUSTUP_TOOLCHAIN").map(|toolchain| ("RUSTUP_TOOLCHAIN", toolchain)));
        command.current_dir(&self.scratch);
        command
    }

    /// The paths of all that the Makefile installs with the drop-in.
    pub fn installed(&self) -> BTreeSet<String> {
        let stage = self.path("stage");
        let mut make = self.command("make");
        make.current_dir(self.sources()).args(["-s", "install", "install-dropin", "PREFIX=/usr"]);
        make.arg(format!("LIBDIR={}", self.libdir)).arg(format!("DESTDIR={}", stage.display()));
        run(make.arg(format!("LIBREPO={}/librepo.so.0", self.libdir)));
        contents(&stage).into_keys().map(|name| format!("/{name}")).collect()
    }
}

/// Which package of a split a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    Command,
    Library,
    Development,
    DropIn,
    /// The file that puts the drop-in into effect.
    Activation,
}

/// The part to which an installed file belongs.
pub fn part_of(path: &str) -> Part {
    let path = Path::new(path);
    let name = path.file_name().and_then(OsStr::to_str).expect("ASCII");
    let is_below = |directory: &str| path.to_string_lossy().contains(directory);
    match name {
        _ if is_below("/ld.so.conf.d/") => Part::Activation,
        "librepo.so.0" | "report-librepo" | "fm-librepo" | "fastestmirror.conf" => Part::DropIn,
        _ if name.starts_with("fm-librepo.") || name.starts_with("fastestmirror.conf.") => Part::DropIn,
        _ if is_below("/include/") || is_below("/pkgconfig/") || is_below("/man3/") => Part::Development,
        "libfastestmirror.so" | "libfastestmirror.a" => Part::Development,
        _ if name.starts_with("libfastestmirror.so.") => Part::Library,
        _ => Part::Command,
    }
}
