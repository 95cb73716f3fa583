//! What an administrator can set without code. There is one table of settings (`keys`), and each
//! has its value from the last of these that sets it:
//!
//! 1. whoever has built this library (`FASTESTMIRROR_DEFAULT_...` when it was compiled);
//! 2. the file, if root or the user who reads it is the only one who may have written it;
//! 3. the environment (`FASTESTMIRROR_...`, read with secure_getenv(3)).
//!
//! All is read anew in each call, so that a process that runs for long sees changes.

mod keys;
mod syntax;
#[cfg(test)]
mod tests;

use crate::log::Log;
use fastestmirror::{HistoryUse, Ranker};
use keys::{GIVEN, KEYS, Key};
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::fs::{self, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use syntax::quoted;

/// The directory of the file.
const DIRECTORY: &str = match option_env!("FASTESTMIRROR_SYSCONFDIR") {
    Some(directory) => directory,
    None => "/etc",
};
const _: () = assert!(
    matches!(DIRECTORY.as_bytes(), [b'/', ..]),
    "the variable FASTESTMIRROR_SYSCONFDIR must be the absolute path of a directory, such as /etc"
);
const NAME: &str = "fastestmirror.conf";

/// Returns the path of the file.
pub(crate) fn file() -> PathBuf {
    Path::new(DIRECTORY).join(NAME)
}

/// The most bytes that the file may have.
const MOST_BYTES: u64 = 64 * 1024;
/// How many problems are reported. A file that is something else has one in each line.
const MOST_PROBLEMS: usize = 20;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    BuiltIn,
    File(PathBuf),
    Variable(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::BuiltIn => f.write_str("built in"),
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Variable(name) => f.write_str(name),
        }
    }
}

/// A setting that is not left at its default.
#[derive(Debug, Clone)]
struct Value {
    key: &'static Key,
    text: String,
    source: Source,
}

/// What is set, and what was wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// At most one of each key.
    values: Vec<Value>,
    /// One sentence each.
    problems: Vec<String>,
}

impl Settings {
    /// Reads all sources.
    pub(crate) fn read() -> Settings {
        // SAFETY: always succeeds.
        let user = unsafe { libc::geteuid() };
        Settings::from(&file(), user, variable)
    }

    /// Logs what is in effect, and what is wrong: in the first call of the process and after each
    /// change.
    pub(crate) fn log(&self, log: Log) {
        // No lock, which a fork could leave locked: two threads may both log it.
        static LOGGED: AtomicU64 = AtomicU64::new(0);
        let mut hasher = DefaultHasher::new();
        let lines = (&self.problems, self.to_string());
        lines.hash(&mut hasher);
        if LOGGED.swap(hasher.finish(), SeqCst) != hasher.finish() {
            lines.0.iter().for_each(|problem| log.debug(problem));
            log.debug(&lines.1);
        }
    }

    /// Reads the built-in defaults, this file as this user, and these variables.
    fn from(path: &Path, user: u32, variable: impl Fn(&CStr) -> Option<String>) -> Settings {
        let mut settings = Settings::default();
        for key in KEYS {
            if let Some(value) = key.built_in {
                settings.set(key, value, Source::BuiltIn, |_| "a built-in default".into());
            }
        }
        match read_file(path, user) {
            Ok(text) => settings.read_text(path, &String::from_utf8_lossy(&text)),
            Err(why) => settings.report(format!("ignoring {}: {why}", path.display())),
        }
        for key in KEYS {
            let name = key.variable();
            let value = CString::new(name.as_str()).ok().and_then(|name| variable(&name));
            if let Some(value) = value {
                settings.set(key, value.trim(), Source::Variable(name.clone()), |value| {
                    format!("{name}={}", quoted(value))
                });
            }
        }
        settings
    }

    fn read_text(&mut self, path: &Path, text: &str) {
        let shown = path.display();
        let mut problems = Vec::new();
        let entries = syntax::parse(text, &mut |line, problem| {
            // Those that are not reported need no memory.
            if problems.len() <= MOST_PROBLEMS {
                problems.push(format!("ignoring {shown}, line {line}: {problem}"));
            }
        });
        problems.into_iter().for_each(|problem| self.report(problem));
        for syntax::Entry { line, name, value } in entries {
            match Key::find(name) {
                Some(key) => self.set(key, &value, Source::File(path.into()), |value| {
                    format!("{shown}, line {line}: {name} = {}", quoted(value))
                }),
                None => self.report(format!(
                    "ignoring {shown}, line {line}: {}: no setting has this name",
                    quoted(name)
                )),
            }
        }
    }

    /// Sets a key, unless the value is empty or wrong. `place` describes where a value stands.
    fn set(&mut self, key: &'static Key, value: &str, source: Source, place: impl Fn(&str) -> String) {
        if value.is_empty() {
            return;
        }
        let mut problems = Vec::new();
        let checked = key.check(value, &mut |value, why| {
            problems.push(format!("ignoring {}: {why}", place(value)));
        });
        problems.into_iter().for_each(|problem| self.report(problem));
        if let Some(text) = checked {
            self.values.retain(|value| value.key.name != key.name);
            self.values.push(Value { key, text, source });
        }
    }

    fn report(&mut self, problem: String) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        } else if self.problems.len() == MOST_PROBLEMS {
            self.problems.push(format!("ignoring more than {MOST_PROBLEMS} settings"));
        }
    }

    /// Returns where it comes from, if every list is to be left as it is.
    pub(crate) fn off(&self) -> Option<String> {
        let value = self.values.iter().find(|value| value.key.name == "off")?;
        value.key.is_on(&value.text).then(|| value.to_string())
    }

    /// Whether the pool stands in the given order.
    pub(crate) fn has_given_pool(&self) -> bool {
        self.values.iter().any(|value| value.key.name == "pool" && value.text == GIVEN)
    }

    /// What is made of what downloads have shown.
    pub(crate) fn history(&self) -> HistoryUse {
        let value = self.values.iter().find(|value| value.key.name == "history");
        keys::history(value.map(|value| value.text.as_str()))
    }

    /// Whether any mirror may be excluded.
    pub(crate) fn has_filters(&self) -> bool {
        self.values.iter().any(|value| value.key.is_filter())
    }

    /// Sets which mirrors are used.
    pub(crate) fn apply_filters(&self, ranker: &mut Ranker) {
        for value in self.values.iter().filter(|value| value.key.is_filter()) {
            value.key.set(ranker, &value.text);
        }
    }

    /// Sets how the mirrors are ranked that are used.
    pub(crate) fn apply_ranking(&self, ranker: &mut Ranker) {
        for value in self.values.iter().filter(|value| !value.key.is_filter()) {
            value.key.set(ranker, &value.text);
        }
        ranker.history(self.history());
    }
}

impl fmt::Display for Value {
    /// `slack=5 (/etc/fastestmirror.conf)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 200;
        let start: String = self.text.chars().take(MOST).collect();
        let dots = if start.len() < self.text.len() { "..." } else { "" };
        write!(f, "{}={start}{dots} ({})", self.key.name, self.source)
    }
}

impl fmt::Display for Settings {
    /// One line: what is set, and by what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings: ")?;
        for key in KEYS {
            if let Some(value) = self.values.iter().find(|value| value.key.name == key.name) {
                write!(f, "{value}, ")?;
            }
        }
        f.write_str(if self.values.is_empty() {
            "all at their defaults"
        } else {
            "the others at their defaults"
        })
    }
}

/// Reads the file as this user; returns nothing if there is none.
///
/// Root reads only what no other user can have written. A symbolic link is followed, since only the
/// owner of the directory can have made it; what it leads to is checked.
fn read_file(path: &Path, user: u32) -> Result<Vec<u8>, String> {
    let opened = (|| {
        // Opening a device may have side effects.
        if !fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        // For what may have replaced it since: a FIFO does not block, and a terminal does not
        // become the controlling one.
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).map(Some)
    })();
    let mut text = Vec::new();
    match opened {
        Ok(Some(file)) => {
            let read = file.metadata().map(|metadata| check_trust(&metadata, user));
            read.map_err(|error| error.to_string())??;
            file.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
        }
        Ok(None) => return Err("it is not a regular file".into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.to_string()),
    }
    if text.len() as u64 > MOST_BYTES {
        return Err(format!("it has more than {MOST_BYTES} bytes"));
    }
    Ok(text)
}

/// Whether root, or the user who reads it, is the only one who can have written a file.
fn check_trust(file: &Metadata, user: u32) -> Result<(), String> {
    const OTHERS_WRITE: u32 = 0o022;
    let (owner, mode) = (file.uid(), file.mode());
    if !file.is_file() {
        return Err("it is not a regular file".into());
    }
    if owner != 0 && owner != user {
        return Err(format!("it belongs to user {owner}, and not to root"));
    }
    if mode & OTHERS_WRITE != 0 {
        return Err(format!("users other than its owner may write to it (mode {:o})", mode & 0o7777));
    }
    Ok(())
}

unsafe extern "C" {
    // Not in the libc crate.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

fn variable(name: &CStr) -> Option<String> {
    // SAFETY: a string. The result is valid until the environment changes, which no program may do
    // while another thread reads it; it is copied at once.
    let value = unsafe { secure_getenv(name.as_ptr()) };
    // SAFETY: a string, since it is not NULL.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_string_lossy().into_owned())
}
