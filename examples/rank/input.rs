//! Where the mirrors come from: a file, standard input or the command line; a mirrorlist or a metalink. Everything
//! that is wrong with it ends in one message that names the file, the line and the reason.

use super::metalink;
use super::text::{cut, escape};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};

/// More than any list of mirrors has, and no strain on memory.
const MAX_BYTES: u64 = 16 << 20;
/// Of a line that is quoted in a message.
const QUOTED: usize = 60;

/// The mirrors to rank, in the order given.
#[derive(Debug, PartialEq)]
pub(crate) struct Input {
    pub(crate) urls: Vec<String>,
    /// What a metalink prefers, from 1 to 100, URL by URL; `None` if it says nothing of the kind.
    pub(crate) preferences: Option<Vec<u8>>,
    /// The URLs are those of a file in the repository, not of its base.
    pub(crate) is_metalink: bool,
}

/// What is wrong with the input.
#[derive(Debug, PartialEq)]
pub(crate) struct Error {
    /// The file, as the user knows it.
    source: String,
    /// Counted from 1.
    line: Option<usize>,
    reason: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.source))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What is wrong with a list's text: where, counted from 1, and what.
pub(crate) type Wrong = (Option<usize>, String);

/// Whether an argument is a URL rather than a file's name.
pub(crate) fn is_url(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    let is_file_url = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
    is_file_url || text.contains("://")
}

/// Takes URLs from the command line.
pub(crate) fn from_arguments(arguments: Vec<OsString>) -> Result<Input, Error> {
    let into_url = |argument: OsString| {
        argument.into_string().map_err(|argument| Error {
            source: argument.to_string_lossy().into_owned(),
            line: None,
            reason: "not UTF-8".into(),
        })
    };
    let urls = arguments.into_iter().map(into_url).collect::<Result<_, _>>()?;
    Ok(Input { urls, preferences: None, is_metalink: false })
}

/// Reads a file, or standard input if it is called `-`.
pub(crate) fn read(file: &OsStr) -> Result<Input, Error> {
    let is_stdin = file == "-";
    let source = if is_stdin { "standard input".into() } else { file.to_string_lossy().into_owned() };
    let bytes = if is_stdin { read_bytes(io::stdin()) } else { File::open(file).and_then(read_bytes) };
    let input = bytes
        .map_err(|error| (None, format!("cannot be read: {}", reason(&error))))
        .and_then(|bytes| parse(&bytes));
    input.map_err(|(line, reason)| Error { source, line, reason })
}

fn read_bytes(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("larger than {} MiB, too large for a list", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

/// The system's reason without "(os error 2)", which tells a user nothing.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

fn parse(bytes: &[u8]) -> Result<Input, Wrong> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        (Some(1 + before.iter().filter(|&&byte| byte == b'\n').count()), "not UTF-8".to_string())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let input = if text.trim_start().starts_with('<') { metalink::parse(text)? } else { mirrorlist(text)? };
    if input.urls.is_empty() {
        return Err((None, "there is no URL in it".into()));
    }
    Ok(input)
}

/// A URL a line, as yum and dnf take it.
fn mirrorlist(text: &str) -> Result<Input, Wrong> {
    let mut urls = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The library takes any URL, and calls what it cannot connect to unsupported. What is no URL at all shows
        // that this is no mirrorlist but an error page, say, and to rank the rest of it would help nobody.
        if !has_scheme(line) {
            return Err((Some(number), format!("not a URL: {}", cut(&escape(line), QUOTED))));
        }
        urls.push(line.to_string());
    }
    Ok(Input { urls, preferences: None, is_metalink: false })
}

/// Whether the text starts as a URL does (RFC 3986, section 3.1) and goes on after that.
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

    fn wrong(bytes: &[u8]) -> String {
        let (line, reason) = parse(bytes).expect_err("the list is wrong");
        Error { source: "list".into(), line, reason }.to_string()
    }

    #[test]
    fn a_mirrorlist_is_a_url_a_line() {
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
    fn what_is_no_mirrorlist_is_told_with_its_line() {
        let long = format!("https://a.example/\n{}", "no such repository ".repeat(9));
        let table: [(&[u8], &str); 10] = [
            (b"", "list: there is no URL in it"),
            (b" \n\t\r\n# nothing\n", "list: there is no URL in it"),
            (b"https://a.example/\n\nbad repository\n", "list:3: not a URL: bad repository"),
            (b"mirror.example/pub\n", "list:1: not a URL: mirror.example/pub"),
            (b"//mirror.example/pub\n", "list:1: not a URL: //mirror.example/pub"),
            (b"Error: no\x1b[2J\nhttp:", "list:2: not a URL: http:"),
            (b"http ://a.example/", "list:1: not a URL: http ://a.example/"),
            (b"\x1b]0;gotcha\x07", "list:1: not a URL: \\u{1b}]0;gotcha\\u{7}"),
            (b"https://a.example/\n# \xc3\xa9\nhttps://b.example/\xe9\n", "list:3: not UTF-8"),
            (
                long.as_bytes(),
                "list:2: not a URL: no such repository no such repository no… no such repository",
            ),
        ];
        for (bytes, message) in table {
            assert!(wrong(bytes).starts_with(message), "{}", wrong(bytes));
        }
    }

    #[test]
    fn a_url_is_told_from_a_file_name() {
        for url in ["http://a.example/", "file:/srv", "FILE:///srv", "rsync://a", "://"] {
            assert!(is_url(OsStr::new(url)), "{url}");
        }
        for file in ["-", "mirrorlist", "/srv/list", "a:b", "file", "http:", "fil€:x"] {
            assert!(!is_url(OsStr::new(file)), "{file}");
        }
    }

    #[test]
    fn a_list_without_end_is_cut_off() {
        let error = read_bytes(io::repeat(b'#')).expect_err("it is too large");
        assert_eq!(error.to_string(), "larger than 16 MiB, too large for a list");
        let list = b"#".repeat(MAX_BYTES as usize);
        assert_eq!(read_bytes(&list[..]).expect("it just fits").len(), list.len());
    }
}
