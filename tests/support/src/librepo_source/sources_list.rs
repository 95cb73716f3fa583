//! Reads from apt's configuration where this machine gets its packages from, in both formats.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// An archive and its signing keys: a path, a fingerprint or a key; None means the system's keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Archive {
    uri: String,
    signed_by: Option<String>,
}

impl Archive {
    /// An entry for apt with the source packages of another suite of this archive.
    pub(crate) fn sources_of(&self, suite: &str) -> String {
        let mut entry = format!("Types: deb-src\nURIs: {}\nSuites: {suite}\nComponents: main\n", self.uri);
        if let Some(keys) = &self.signed_by {
            writeln!(entry, "Signed-By: {keys}").expect("a string");
        }
        entry
    }
}

/// The archives of this machine that have whole suites (not updates of one), each once.
pub(crate) fn archives() -> Result<Vec<Archive>, String> {
    let file = apt_directory("Dir::Etc::sourcelist/f")?;
    let parts = fs::read_dir(apt_directory("Dir::Etc::sourceparts/d")?);
    let parts = parts.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = parts.chain([file]).collect();
    files.sort();
    let mut found: Vec<Archive> = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let archives = match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => stanzas(&text),
            Some("list") => lines(&text),
            _ => continue,
        };
        for archive in archives {
            if !found.contains(&archive) {
                found.push(archive);
            }
        }
    }
    if found.is_empty() { Err("apt knows no archive here".to_owned()) } else { Ok(found) }
}

fn apt_directory(name: &str) -> Result<PathBuf, String> {
    let output = Command::new("apt-config").args(["shell", "path", name]).output();
    let output = output.map_err(|why| format!("there is no apt here: {why}"))?;
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = line.trim().strip_prefix("path='").and_then(|path| path.strip_suffix('\''));
    path.map(PathBuf::from).ok_or_else(|| format!("apt-config does not know {name}"))
}

/// Parses the one-line format: `deb [option=value ...] uri suite component ...`.
fn lines(text: &str) -> Vec<Archive> {
    let mut archives = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(line) = line.strip_prefix("deb ").or(line.strip_prefix("deb-src ")) else { continue };
        let (options, rest) = match line.trim_start().strip_prefix('[').and_then(|line| line.split_once(']'))
        {
            Some(both) => both,
            None => ("", line),
        };
        let mut words = rest.split_whitespace();
        let (Some(uri), Some(suite)) = (words.next(), words.next()) else { continue };
        if is_whole(suite) && words.any(|component| component == "main") {
            let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
            archives.push(Archive { uri: uri.to_owned(), signed_by: signed_by.map(str::to_owned) });
        }
    }
    archives
}

/// Parses the deb822 format: paragraphs of `Field: value`. Lines that begin with a space continue
/// the value.
fn stanzas(text: &str) -> Vec<Archive> {
    let without_comments: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut archives = Vec::new();
    for stanza in without_comments.split(|line| line.trim().is_empty()) {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in stanza {
            match (line.starts_with([' ', '\t']), line.split_once(':'), fields.last_mut()) {
                (true, _, Some((_, value))) => write!(value, "\n{line}").expect("a string"),
                (false, Some((name, value)), _) => {
                    fields.push((name.to_ascii_lowercase(), value.trim().to_owned()))
                }
                _ => {}
            }
        }
        let field = |name: &str| fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str());
        let words = |name| field(name).unwrap_or_default().split_whitespace();
        let off = field("enabled").is_some_and(|value| ["no", "false", "0", "off"].contains(&value));
        if off || !words("suites").any(is_whole) || !words("components").any(|component| component == "main")
        {
            continue;
        }
        let signed_by = field("signed-by");
        archives.extend(
            words("uris").map(|uri| Archive { uri: uri.to_owned(), signed_by: signed_by.map(str::to_owned) }),
        );
    }
    archives
}

/// Whether this is a whole suite: not the updates of one, nor a suite in the style of third
/// parties.
fn is_whole(suite: &str) -> bool {
    suite.chars().all(|c| c.is_ascii_lowercase())
}

#[test]
fn apt_sources_are_read_in_both_formats() {
    let archive =
        |uri: &str, keys: Option<&str>| Archive { uri: uri.to_owned(), signed_by: keys.map(str::to_owned) };
    let text = "# a comment\n\
        deb http://one.example/debian bookworm main contrib # another\n\
        deb [ arch=amd64 signed-by=/keys/two.gpg ] http://two.example/debian stable main\n\
        deb http://security.example/debian bookworm-security main\n\
        # deb http://off.example/debian bookworm main\n\
        deb http://tools.example/ ./\n";
    let two = archive("http://two.example/debian", Some("/keys/two.gpg"));
    assert_eq!(lines(text), [archive("http://one.example/debian", None), two.clone()]);

    let text = "Types: deb\n# a comment\nURIs: http://one.example/debian\n http://three.example/debian\n\
        Suites: bookworm bookworm-updates\nComponents: main\nSigned-By:\n -----BEGIN\n .\n -----END\n\n\
        Types: deb\nURIs: http://off.example/\nSuites: bookworm\nComponents: main\nEnabled: no\n\n\
        types: deb\nuris: http://two.example/debian\nsuites: stable\ncomponents: main\nsigned-by: /keys/two.gpg\n";
    let key = Some("\n -----BEGIN\n .\n -----END");
    let (one, three) =
        (archive("http://one.example/debian", key), archive("http://three.example/debian", key));
    assert_eq!(stanzas(text), [one, three, two.clone()]);
    assert_eq!(stanzas(&two.sources_of("trixie")), [two]);
}
