//! What the project is made of besides its own sources: the crates of the library, and the
//! licenses, sources and versions of all crates. `deny.toml` has the same policy for cargo-deny.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;
use support::build::{cargo, root, run, transcript};
use support::programs::{have, program};

/// The system whose builds are examined: all that is built on any Linux has the same crates.
const LINUX: &str = "x86_64-unknown-linux-gnu";
/// The packages that are installed.
const INSTALLED: [&str; 3] = ["fastestmirror", "fastestmirror-librepo", "fastestmirror-cli"];
/// The name of crates.io in a `Cargo.lock`.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The names and versions of the crates that a build of these packages needs, without our own.
fn tree(what: &[&str], edges: &str) -> BTreeSet<(String, String)> {
    let mut command = cargo(&["tree", "--offline", "--target", LINUX, "--prefix", "none", "--no-dedupe"]);
    let printed = run(command.args(["--format", "{p}", "--edges", edges]).args(what));
    let crates = printed.lines().filter(|line| !line.starts_with("fastestmirror"));
    let crates = crates.filter_map(|line| line.trim().split_once(' '));
    let words = crates.map(|(name, rest)| (name, rest.split(' ').next().expect("a version")));
    words.map(|(name, version)| (name.to_owned(), version.trim_start_matches('v').to_owned())).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The metadata of all packages in `Cargo.lock`, those for other systems included. The test is
/// skipped if their sources are not on this machine.
fn packages() -> Option<Vec<Value>> {
    let output = cargo(&["metadata", "--offline", "--format-version", "1"]).output().expect("cargo runs");
    if !is_fetched(&output) {
        return None;
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    Some(metadata["packages"].as_array().expect("packages").clone())
}

/// Whether a command of Cargo had all packages that it wanted. If not, the test is skipped.
fn is_fetched(output: &Output) -> bool {
    let text = transcript(output);
    if !output.status.success() && text.contains("--offline was specified") {
        lab::skip("the sources of some packages are not on this machine: cargo fetch --locked");
        return false;
    }
    assert!(output.status.success(), "{text}");
    true
}

/// The strings between `begin` and the next bracket of deny.toml.
fn strings<'a>(policy: &'a str, begin: &str) -> Vec<&'a str> {
    let rest = policy.split_once(begin).unwrap_or_else(|| panic!("deny.toml has no {begin:?}")).1;
    let list = rest.split_once(']').expect("the end of a list").0;
    list.split('"').skip(1).step_by(2).collect()
}

/// Whether one may choose from a license expression (SPDX) so that all that is chosen is allowed.
fn allows(expression: &str, allowed: &[&str]) -> bool {
    // OR binds weaker than AND. What is in parentheses is replaced by its value.
    let text = expression.replace('/', " OR ");
    if let Some((before, rest)) = text.rsplit_once('(') {
        let (inner, after) = rest.split_once(')').expect("parentheses match");
        let value = if allows(inner, allowed) { "yes" } else { "no" };
        return allows(&format!("{before}{value}{after}"), allowed);
    }
    let is_allowed = |license: &str| license == "yes" || allowed.contains(&license);
    text.split(" OR ").any(|choice| choice.split(" AND ").all(|license| is_allowed(license.trim())))
}

#[test]
fn library_has_the_crates_that_contributing_explains() {
    let page = read("CONTRIBUTING.md");
    let section = page.split_once("\n## Dependencies\n").expect("the section on dependencies").1;
    let section = section.split("\n## ").next().expect("a section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let explained: BTreeSet<String> = rows.map(str::to_owned).collect();
    let names = |package| -> BTreeSet<String> {
        tree(&["--package", package], "normal,build").into_iter().map(|(name, _)| name).collect()
    };
    for package in ["fastestmirror", "fastestmirror-librepo"] {
        assert_eq!(
            names(package),
            explained,
            "{package} has other crates (left) than the section \"Dependencies\" of CONTRIBUTING.md explains (right)"
        );
    }
    // The manifest itself: four, each with its reason.
    let manifest = read("Cargo.toml");
    let own = manifest.split_once("\n[dependencies]\n").expect("dependencies").1;
    let own = own.split("\n\n").next().expect("lines");
    let direct: Vec<_> = own.lines().map(|line| line.split(' ').next().expect("a name")).collect();
    assert_eq!(direct, ["libc", "rand", "siphasher", "socket2"]);
    assert!(own.lines().all(|line| line.contains(" # ")), "a dependency without its reason:\n{own}");
}

#[test]
fn licenses_are_allowed() {
    let Some(packages) = packages() else { return };
    let policy = read("deny.toml");
    let allowed = strings(&policy, "\nallow = [");
    assert_eq!(allowed, ["Apache-2.0", "MIT"]);
    let exceptions = policy.split_once("\nexceptions = [").expect("exceptions").1;
    let exceptions = exceptions.split_once("\n]").expect("the end of the exceptions").0;
    let mut wrong = Vec::new();
    for package in &packages {
        let (name, license) = (package["name"].as_str().expect("a name"), package["license"].as_str());
        let own = exceptions.lines().find(|line| line.contains(&format!("crate = \"{name}\"")));
        let more = own.map(|line| strings(line, "allow = [")).unwrap_or_default();
        let allowed: Vec<&str> = allowed.iter().copied().chain(more).collect();
        if !license.is_some_and(|license| allows(license, &allowed)) {
            wrong.push(format!("{name}: {}", license.unwrap_or("no license")));
        }
    }
    assert!(wrong.is_empty(), "not allowed by deny.toml: {wrong:#?}");
    assert!(packages.len() > 50, "{}", packages.len());

    // Most of what an exception is made for is never installed, and nothing of it in the libraries.
    let (_, never) = exceptions.split_once("# In tests and builds alone").expect("a comment");
    for package in INSTALLED {
        let forbidden = if package == "fastestmirror-cli" { never } else { exceptions };
        for (name, _) in tree(&["--package", package], "normal") {
            assert!(!forbidden.contains(&format!("\"{name}\"")), "{name} is in {package}");
        }
    }
}

#[test]
fn license_expressions_are_read_as_spdx_has_them() {
    let allowed = ["MIT", "Apache-2.0"];
    for expression in ["MIT", "MIT OR GPL-3.0-only", "MIT/Zlib", "GPL-3.0-only OR (MIT AND Apache-2.0)"] {
        assert!(allows(expression, &allowed), "{expression}");
    }
    let refused = ["", "GPL-3.0-only", "MIT AND Zlib", "(MIT OR Apache-2.0) AND Unicode-3.0"];
    for expression in refused.into_iter().chain(["Apache-2.0 WITH LLVM-exception", "Zlib OR MIT AND Zlib"]) {
        assert!(!allows(expression, &allowed), "{expression}");
    }
}

#[test]
fn all_packages_come_from_crates_io() {
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let text = read(lock);
        for package in text.split("[[package]]").skip(1) {
            let field = |name: &str| package.lines().find_map(|line| line.strip_prefix(name));
            let name = field("name = ").expect("a name").trim_matches('"');
            match field("source = ") {
                Some(source) => {
                    assert_eq!(source.trim_matches('"'), CRATES_IO, "{lock}: {name}");
                    assert!(field("checksum = ").is_some(), "{lock}: {name} has no checksum");
                }
                None => assert!(name.starts_with("fastestmirror"), "{lock}: {name} has no source"),
            }
        }
    }
}

#[test]
fn crates_are_there_in_one_version() {
    let policy = read("deny.toml");
    let skipped = policy.split_once("\nskip = [").expect("skipped versions").1;
    let skipped = skipped.split_once("\n]").expect("the end of the skipped versions").0;
    let skipped: Vec<&str> = skipped.lines().filter_map(|line| line.split('"').nth(1)).collect();
    let duplicates = |crates: BTreeSet<(String, String)>| -> Vec<String> {
        let all: Vec<_> = crates.into_iter().collect();
        let same = |pair: &[(String, String)]| (pair[0].0 == pair[1].0).then(|| pair[0].0.clone());
        all.windows(2).filter_map(same).collect()
    };
    for package in INSTALLED {
        assert_eq!(duplicates(tree(&["--package", package], "normal,build")), [""; 0], "{package}");
    }
    let all = tree(&["--workspace", "--all-features"], "normal,build,dev");
    let is_skipped = |(name, version): &(String, String)| {
        skipped.iter().filter_map(|skip| skip.split_once('@')).any(|(skip, prefix)| {
            let rest = version.strip_prefix(prefix);
            skip == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let unused: Vec<_> = skipped
        .iter()
        .filter(|skip| !all.iter().any(|(n, _)| n == skip.split('@').next().unwrap_or_default()))
        .collect();
    assert!(unused.is_empty(), "deny.toml skips what is not there: {unused:?}");
    let kept = all.into_iter().filter(|one| !is_skipped(one)).collect();
    assert_eq!(duplicates(kept), [""; 0], "in two versions, and not skipped by deny.toml");
}

/// As a distribution builds: from the tracked files and vendored sources alone, without a registry.
#[test]
fn vendored_sources_build_offline() {
    if !have("git", program("git").arg("--version")) {
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let (source, home) = (scratch.path().join("source"), scratch.path().join("home"));
    if !copy_sources(&source) {
        return;
    }
    fs::create_dir(&home).expect("a directory");
    let mut vendor = cargo(&["vendor", "--offline", "--respect-source-config"]);
    let sources = scratch.path().join("vendor");
    if !is_fetched(&vendor.arg(&sources).output().expect("cargo runs")) {
        return;
    }
    let config = format!(
        "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = {sources:?}\n"
    );
    fs::write(home.join("config.toml"), config).expect("a file");
    let mut check = cargo(&["check", "--offline"]);
    check.args(INSTALLED.iter().flat_map(|package| ["--package", package]));
    check.current_dir(&source).env("CARGO_HOME", &home).env("CARGO_NET_OFFLINE", "true");
    check.env_remove("RUSTFLAGS").arg("--target-dir").arg(scratch.path().join("target"));
    run(&mut check);
    assert!(!home.join("registry/cache").exists(), "Cargo has used a registry");
}

/// Copies the files that git tracks or would track, as they are now. Returns false, and the test is
/// skipped, if this is no checkout.
fn copy_sources(to: &Path) -> bool {
    let mut list = program("git");
    list.current_dir(root()).args(["-c", "safe.directory=*", "ls-files", "-z"]);
    list.args(["--cached", "--others", "--exclude-standard"]);
    let output = list.output().expect("git runs");
    if !output.status.success() {
        lab::skip_even_under_ci("this is no git checkout, so which files belong to it is unknown");
        return false;
    }
    let files = String::from_utf8(output.stdout).expect("names of files are UTF-8");
    for file in files.split_terminator('\0').filter(|file| root().join(file).is_file()) {
        let copy = to.join(file);
        fs::create_dir_all(copy.parent().expect("a file in a directory")).expect("a directory");
        fs::copy(root().join(file), copy).unwrap_or_else(|why| panic!("{file}: {why}"));
    }
    true
}
