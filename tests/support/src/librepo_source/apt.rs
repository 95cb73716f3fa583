//! Fetches a source package with apt. It uses this machine's configuration, but lists, cache and
//! sources of its own, so that the system is not changed. apt checks the signature of the suite
//! with the keys that this machine trusts for the archive.

use super::sources_list::archives;
use super::{Release, partial};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fetches the source into this directory, which exists only when it is complete.
pub(super) fn fetch(release: &Release, directory: &Path) -> Result<(), String> {
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !system.lines().any(|line| line == "ID=debian") {
        return Err("its source comes from Debian's archive, and this system is not Debian".to_owned());
    }
    let mut reasons = Vec::new();
    for archive in archives()? {
        let scratch = partial(directory);
        let unpacked = fetch_from(&archive.sources_of(release.suite), release, &scratch)
            .map(|source| fs::rename(source, directory).expect("the target directory can be written"));
        fs::remove_dir_all(scratch).expect("a directory of this test");
        match unpacked {
            Ok(()) => return Ok(()),
            Err(why) => reasons.push(why),
        }
    }
    Err(reasons.join("; "))
}

fn fetch_from(entry: &str, release: &Release, scratch: &Path) -> Result<PathBuf, String> {
    let path = |name: &str| scratch.join(name).display().to_string();
    let config = format!(
        r#"Dir::Etc::SourceList "{}"; Dir::Etc::SourceParts "-"; Dir::State::Lists "{}"; Dir::Cache "{}";
        #clear APT::Update::Pre-Invoke; #clear APT::Update::Post-Invoke; #clear APT::Update::Post-Invoke-Success;
        APT::Update::Error-Mode "any"; APT::Get::AllowUnauthenticated "false"; Acquire::Retries "2";
        Acquire::AllowInsecureRepositories "false"; Acquire::AllowWeakRepositories "false";
        "#,
        path("main.sources"),
        path("lists"),
        path("cache"),
    );
    for (name, text) in [("main.sources", entry), ("apt.conf", &config)] {
        fs::write(scratch.join(name), text).expect("the target directory can be written");
    }
    for directory in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(scratch.join(directory)).expect("the target directory can be written");
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["--config-file", &path("apt.conf"), "-q"]).args(arguments);
        succeed(command.current_dir(scratch))
    };
    let suite = release.suite;
    apt(&["update"]).map_err(|why| match why.contains("NO_PUBKEY") {
        true => format!("the keys on this machine do not verify the signature of {suite}: {why}"),
        false => why,
    })?;
    apt(&["source", "--download-only", &format!("librepo/{suite}")])?;

    let files =
        fs::read_dir(scratch).expect("a directory of this test").flatten().map(|entry| entry.file_name());
    let mut names = files.filter_map(|name| name.into_string().ok());
    let package = names.find(|name| name.ends_with(".dsc")).ok_or("apt has fetched no source package")?;
    if !package.starts_with(&format!("librepo_{}-", release.version)) {
        return Err(format!("{suite} has {package} now"));
    }
    // The signed list has its checksum, so the signature of the package's author need not be
    // checked.
    let mut command = Command::new("dpkg-source");
    succeed(command.current_dir(scratch).args(["--no-check", "--extract", &package, "source"]))?;
    Ok(scratch.join("source"))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.env("LC_ALL", "C").output();
    let output = output.map_err(|why| format!("{}: {why}", command.get_program().to_string_lossy()))?;
    let text = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    if output.status.success() { Ok(()) } else { Err(text) }
}
