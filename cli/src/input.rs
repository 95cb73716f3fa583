//! The mirrors to rank: from a file, standard input or the command line, as a mirrorlist or a
//! metalink. Whatever is wrong with them becomes one message that names the file, the line and the
//! reason.

use crate::exit::reason;
use crate::metalink;
use crate::text::{cut, escape};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};

/// More than any list of mirrors has, and little enough to hold in memory.
const MAX_BYTES: u64 = 16 << 20;
/// The columns of a line that a message quotes.
const MAX_QUOTED: usize = 60;

/// The mirrors to rank, in the order given.
#[derive(Debug, PartialEq)]
pub(crate) struct Input {
    pub(crate) urls: Vec<String>,
    /// A metalink's preference for each URL, from 1 to 100; `None` if it has none at all.
    pub(crate) preferences: Option<Vec<u8>>,
    /// Whether the URLs are those of a file in the repository, not of the repository itself.
    pub(crate) is_metalink: bool,
}

/// What is wrong with the input.
#[derive(Debug, PartialEq)]
pub(crate) struct Error {
    /// The name of the file, or what stands for it in messages.
    source: String,
    /// Counted from 1.
    line: Option<usize>,
    reason: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = if self.source.is_empty() { "\"\"".into() } else { escape(&self.source) };
        f.write_str(&source)?;
        if let Some(line) = self.line {
            write!(f, ": line {line}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What is wrong with the text of a list.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    /// Counted from 1; `None` if it is the text as a whole.
    pub(crate) line: Option<usize>,
    pub(crate) reason: String,
}

/// Whether an argument is a URL rather than a file's name.
pub(crate) fn is_url(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    let is_file_url = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
    is_file_url || text.contains("://")
}

/// Takes URLs from the command line.
pub(crate) fn from_arguments(arguments: Vec<OsString>) -> Result<Input, Error> {
    let mut urls = Vec::new();
    for argument in arguments {
        let url = argument.into_string().map_err(|argument| Error {
            source: argument.to_string_lossy().into_owned(),
            line: None,
            reason: "not UTF-8: percent-encode the URL".into(),
        })?;
        urls.push(url);
    }
    Ok(Input { urls, preferences: None, is_metalink: false })
}

/// Reads a file, or standard input if it is called `-`.
pub(crate) fn read(file: &OsStr) -> Result<Input, Error> {
    let is_stdin = file == "-";
    let source = if is_stdin { "standard input".into() } else { file.to_string_lossy().into_owned() };
    let bytes = if is_stdin { read_bytes(io::stdin()) } else { File::open(file).and_then(read_bytes) };
    let parsed = bytes.map_err(|error| unreadable(&error)).and_then(|bytes| parse(&bytes));
    parsed.map_err(|Fault { line, reason }| Error { source, line, reason })
}

fn unreadable(error: &io::Error) -> Fault {
    let hint = match error.kind() {
        // A host name alone looks like a file name.
        io::ErrorKind::NotFound => "; a URL needs a scheme, such as https://",
        io::ErrorKind::IsADirectory => "; name a file in it",
        _ => "",
    };
    Fault { line: None, reason: format!("cannot be read: {}{hint}", reason(error)) }
}

fn read_bytes(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!(
            "it is larger than {} MiB, too large for a list",
            MAX_BYTES >> 20
        )));
    }
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<Input, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        Fault { line: Some(line), reason: "not UTF-8: convert the list, with iconv for example".into() }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let input = if text.trim_start().starts_with('<') { metalink::parse(text)? } else { mirrorlist(text)? };
    if input.urls.is_empty() {
        let kind = if input.is_metalink { "metalink" } else { "list" };
        return Err(Fault { line: None, reason: format!("there is no URL in this {kind}") });
    }
    Ok(input)
}

/// Reads a mirrorlist as yum and dnf do: one URL per line.
fn mirrorlist(text: &str) -> Result<Input, Fault> {
    let mut urls = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The library takes any text, and calls it unsupported if it cannot connect to it. A line
        // that is not a URL at all shows that this is not a mirrorlist but, for example, an error
        // page; ranking the rest of it would hide that.
        if !has_scheme(line) {
            let quoted = cut(&escape(line), MAX_QUOTED);
            let reason =
                format!("not a URL: \"{quoted}\"; a line is a URL, such as https://..., or a # comment");
            return Err(Fault { line: Some(number), reason });
        }
        urls.push(line.to_string());
    }
    Ok(Input { urls, preferences: None, is_metalink: false })
}

/// Whether the text begins with a scheme (RFC 3986, section 3.1) and has something after it.
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !rest.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        let Fault { line, reason } = parse(bytes).expect_err("the list is wrong");
        Error { source: "list".into(), line, reason }.to_string()
    }

    #[test]
    fn mirrorlist_has_one_url_per_line() {
        let list = "\u{feff}# repo = fedora-40 arch = x86_64\r\n\
                    https://a.example/pub/\r\n\
                    \r\n\
                    \t ftp://b.example/pub  \n\
                    # http://not.example/\n\
                    rsync://c.example/pub\n\
                    https://a.example/pub/\n\
                    FILE:/srv/mirror\n\
                    http://d.example/\x1b[2J";
        let urls = [
            "https://a.example/pub/",
            "ftp://b.example/pub",
            "rsync://c.example/pub",
            "https://a.example/pub/",
            "FILE:/srv/mirror",
            "http://d.example/\x1b[2J",
        ];
        let expected = Input { urls: urls.map(String::from).into(), preferences: None, is_metalink: false };
        assert_eq!(parse(list.as_bytes()), Ok(expected));
    }

    #[test]
    fn mirrorlist_errors_name_the_line() {
        let long = format!("https://a.example/\n{}", "no such repository ".repeat(9));
        let table: [(&[u8], &str); 10] = [
            (b"", "list: there is no URL in this list"),
            (b" \n\t\r\n# nothing\n", "list: there is no URL in this list"),
            (
                b"https://a.example/\n\nbad repository\n",
                "list: line 3: not a URL: \"bad repository\"; a line is",
            ),
            (b"mirror.example/pub\n", "list: line 1: not a URL: \"mirror.example/pub\""),
            (b"//mirror.example/pub\n", "list: line 1: not a URL: \"//mirror.example/pub\""),
            (b"Error: no\x1b[2J\nhttp:", "list: line 2: not a URL: \"http:\""),
            (b"http ://a.example/", "list: line 1: not a URL: \"http ://a.example/\""),
            (b"\x1b]0;gotcha\x07", "list: line 1: not a URL: \"\\u{1b}]0;gotcha\\u{7}\""),
            (b"https://a.example/\n# \xc3\xa9\nhttps://b.example/\xe9\n", "list: line 3: not UTF-8"),
            (
                long.as_bytes(),
                "list: line 2: not a URL: \"no such repository no such repository no… no such repository\"",
            ),
        ];
        for (bytes, start) in table {
            assert!(message(bytes).starts_with(start), "{}", message(bytes));
        }
    }

    #[test]
    fn urls_are_distinguished_from_file_names() {
        for url in ["http://a.example/", "file:/srv", "FILE:///srv", "rsync://a", "://"] {
            assert!(is_url(OsStr::new(url)), "{url}");
        }
        for file in ["-", "mirrorlist", "/srv/list", "a:b", "file", "http:", "fil€:x"] {
            assert!(!is_url(OsStr::new(file)), "{file}");
        }
    }

    #[test]
    fn endless_input_is_refused() {
        let error = read_bytes(io::repeat(b'#')).expect_err("it is too large");
        assert_eq!(error.to_string(), "it is larger than 16 MiB, too large for a list");
        let list = b"#".repeat(MAX_BYTES as usize);
        assert_eq!(read_bytes(&list[..]).expect("it just fits").len(), list.len());
    }
}
