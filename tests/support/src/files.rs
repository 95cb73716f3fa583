//! Copies of the files that git tracks, and what is in a directory.

use crate::build::{root, run};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The files that git tracks, as they are in the work tree. If git is not installed, the test is
/// skipped.
pub fn tracked() -> Option<&'static BTreeSet<String>> {
    static TRACKED: OnceLock<Option<BTreeSet<String>>> = OnceLock::new();
    let list = TRACKED.get_or_init(|| {
        if Command::new("git").arg("--version").output().is_err() {
            return None;
        }
        let mut git = Command::new("git");
        // Another user may own the repository.
        git.args(["-c", "safe.directory=*", "ls-files"]).current_dir(root());
        let exists = |file: &&str| root().join(file).symlink_metadata().is_ok();
        Some(run(&mut git).lines().filter(exists).map(str::to_owned).collect())
    });
    if list.is_none() {
        lab::skip("git is not installed: tests/run installs it");
    }
    list.as_ref()
}

/// Copies the tracked files. They keep their times, by which Cargo knows what it has built.
pub fn copy_tracked(files: &BTreeSet<String>, to: &Path) {
    let mut copy = Command::new("cp");
    copy.current_dir(root()).args(["-dp", "--parents", "-t"]).arg(to).args(files);
    run(&mut copy);
}

/// What is in a directory: for each file its mode, and for each link what it leads to. Directories
/// are there with a mode only if it is not 755.
pub fn contents(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut to_read = vec![directory.to_owned()];
    while let Some(next) = to_read.pop() {
        for entry in fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = path.symlink_metadata().expect("an entry");
            let name = path.strip_prefix(directory).expect("it is below").display().to_string();
            let mode = format!("{:o}", metadata.permissions().mode() & 0o7777);
            if metadata.is_dir() {
                to_read.push(path);
                if mode != "755" {
                    found.insert(name + "/", mode);
                }
            } else if metadata.is_symlink() {
                let link = fs::read_link(&path).expect("a link");
                found.insert(name, format!("-> {}", link.display()));
            } else {
                found.insert(name, mode);
            }
        }
    }
    found
}

/// The text of a cache in librepo's format, with these URLs and latencies in seconds, which have
/// just been measured.
pub fn cache(latencies: &[(&str, f64)]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let record = |(url, latency): &(&str, f64)| format!("\n[{url}]\nts={now}\nconnectime={latency}\n");
    "[:_librepo_:]\nversion=1\n".to_owned() + &latencies.iter().map(record).collect::<String>()
}
