//! The packages for crates.io: Cargo makes them without a warning, they hold what they should, and
//! their documentation builds as docs.rs builds it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use support::build::{cargo, root, run, target, transcript, version};

/// The library, and the command with what it depends on.
const PUBLISHED: [&str; 3] = ["fastestmirror", "fastestmirror-lab", "fastestmirror-cli"];

fn scratch() -> PathBuf {
    target().join("tmp").join("package")
}

/// What Cargo has said while it made the packages. They are in `package/` in `scratch()`.
fn packaged() -> &'static str {
    static SAID: OnceLock<String> = OnceLock::new();
    SAID.get_or_init(|| {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(root()).args([
            "package",
            "--locked",
            "--offline",
            "--allow-dirty",
            "--no-verify",
        ]);
        command.args(PUBLISHED.map(|name| format!("--package={name}"))).arg("--target-dir").arg(scratch());
        let output = command.output().expect("Cargo runs");
        assert!(output.status.success(), "{}", transcript(&output));
        transcript(&output)
    })
}

/// The files in a package, without the name of the package in front.
fn files(name: &str) -> BTreeSet<String> {
    packaged();
    let directory = format!("{name}-{}/", version());
    let archive = scratch().join("package").join(format!("{name}-{}.crate", version()));
    let listed = run(Command::new("tar").arg("-tzf").arg(archive));
    listed.lines().map(|line| line.strip_prefix(&directory).expect("all is in it").to_owned()).collect()
}

#[test]
fn packages_are_made_without_a_warning() {
    let said = packaged();
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(said.matches("Packaged ").count(), PUBLISHED.len(), "{said}");
}

#[test]
fn packages_hold_what_they_need_and_no_more() {
    let added = ["Cargo.lock", "Cargo.toml", "Cargo.toml.orig", "LICENSE-APACHE", "LICENSE-MIT"];
    let more: [&[&str]; 3] =
        [&["README.md", "CHANGELOG.md", "build.rs", "include/fastestmirror.h"], &[], &["README.md"]];
    let sources: [&[&str]; 3] = [&["src/", "examples/", "tests/"], &["src/", "tests/"], &["src/", "tests/"]];
    for ((name, more), sources) in PUBLISHED.iter().zip(more).zip(sources) {
        let mut files = files(name);
        // It is there if the package was made in a work tree of git.
        files.remove(".cargo_vcs_info.json");
        for file in added.iter().chain(more) {
            assert!(files.remove(*file), "{name} has no {file}");
        }
        // In tests/ are packages of their own, too, and Cargo leaves them out.
        for package in ["tests/header/", "tests/lab/", "tests/support/"] {
            assert!(!files.iter().any(|file| file.starts_with(package)), "{name} has {package}");
        }
        files.retain(|file| !sources.iter().any(|source| file.starts_with(source)));
        assert!(files.is_empty(), "{name} has {files:?}");
    }
    for name in PUBLISHED {
        let archive = scratch().join("package").join(format!("{name}-{}.crate", version()));
        let size = fs::metadata(archive).expect("a package").len();
        assert!(size < 400_000, "{name} has {size} bytes");
    }
}

#[test]
fn documentation_builds_as_on_docs_rs() {
    packaged();
    let nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
    let has_nightly = nightly.is_ok_and(|output| output.status.success());
    let unpacked = scratch().join("unpacked");
    let _ = fs::remove_dir_all(&unpacked);
    fs::create_dir(&unpacked).expect("the target directory can be written");
    for (name, library) in [("fastestmirror", "fastestmirror"), ("fastestmirror-lab", "lab")] {
        let name = format!("{name}-{}", version());
        let archive = scratch().join("package").join(format!("{name}.crate"));
        run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&unpacked));
        // As on docs.rs: outside of this workspace, and with a nightly toolchain if there is one.
        let manifest = unpacked.join(&name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("the manifest");
        fs::write(&manifest, text + "\n[workspace]\n").expect("the target directory can be written");
        let mut command = cargo(&["doc"]);
        if has_nightly {
            command = Command::new("cargo");
            command.env_remove("RUSTUP_TOOLCHAIN").args(["+nightly", "doc", "--locked", "--quiet"]);
        }
        command.current_dir(unpacked.join(&name)).args(["--offline", "--no-deps", "--lib"]);
        command.args(["--target", "x86_64-unknown-linux-gnu", "--target-dir"]).arg(scratch().join("docs"));
        run(command.env("RUSTDOCFLAGS", "--cfg docsrs -D warnings"));
        let pages = scratch().join("docs/x86_64-unknown-linux-gnu/doc");
        assert!(pages.join(library).join("index.html").is_file(), "{library} has no pages");
    }
}
