//! Fetches a source package with apt as it is configured here, but with lists, cache and sources of its own: nothing of
//! the system's changes. apt checks the suite's signature with the keys that this machine trusts for the archive.

use super::sources_list::archives;
use super::{Release, partial};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Into this folder, which is there only when it is complete.
pub(super) fn fetch(release: &Release, folder: &Path) -> Result<(), String> {
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !system.lines().any(|line| line == "ID=debian") {
        return Err("its source is fetched from Debian's archive, and this is not Debian".to_owned());
    }
    let mut reasons = Vec::new();
    for archive in archives()? {
        let scratch = partial(folder);
        let unpacked = fetch_from(&archive.sources_of(release.suite), release, &scratch)
            .map(|source| fs::rename(source, folder).expect("the target folder can be written"));
        fs::remove_dir_all(scratch).expect("our own folder");
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
        fs::write(scratch.join(name), text).expect("the target folder can be written");
    }
    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(scratch.join(folder)).expect("the target folder can be written");
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

    let files = fs::read_dir(scratch).expect("our own folder").flatten().map(|entry| entry.file_name());
    let mut names = files.filter_map(|name| name.into_string().ok());
    let package = names.find(|name| name.ends_with(".dsc")).ok_or("apt has brought no source package")?;
    if !package.starts_with(&format!("librepo_{}-", release.version)) {
        return Err(format!("{suite} has {package} now"));
    }
    // Its checksum is in the signed list; its author's own key need not be here.
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
