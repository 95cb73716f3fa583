//! The mirrors to rank: from a file, standard input or the command line, as a list of lines or a
//! metalink. Whatever is wrong with them becomes one message that names the file, the line and the
//! reason. Bytes become text in `decode`, and the lines of a list are read in `lines`.

mod decode;
mod lines;

use crate::exit::reason;
use crate::metalink::{self, Metalink};
use crate::text::escape;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

pub(crate) use decode::Text;
pub(crate) use lines::List;

/// More than any list of mirrors has, and little enough to hold in memory.
const MAX_BYTES: u64 = 16 << 20;

/// The byte order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The mirrors to rank, and what is needed to write them again as they were.
#[derive(Debug, PartialEq)]
pub(crate) struct Input {
    /// In the order given.
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) kind: Kind,
}

/// A mirror of the input.
#[derive(Debug, PartialEq)]
pub(crate) struct Mirror {
    /// Its URL as given, or the path of a directory. Bytes that are not UTF-8 are percent-encoded.
    pub(crate) url: String,
    /// A metalink's preference for it, from 1 to 100.
    pub(crate) preference: Option<u8>,
}

/// What the mirrors stood in.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    /// Lines with a URL in each.
    Lines(List),
    /// The URLs are those of a file in the repository, not of the repository itself.
    Metalink(Metalink),
}

impl Mirror {
    /// The URL by which the library knows the mirror. It takes no paths.
    pub(crate) fn ranked_url(&self) -> Cow<'_, str> {
        if self.url.starts_with('/') { format!("file://{}", self.url).into() } else { (&self.url).into() }
    }

    /// The URL of the repository, or the path of its directory.
    pub(crate) fn repository(&self, kind: &Kind) -> &str {
        match kind {
            Kind::Metalink(_) => metalink::base(&self.url),
            Kind::Lines(_) => &self.url,
        }
    }
}

impl Input {
    /// A metalink's preferences; `None` if it has none at all. In a list with preferences, a mirror
    /// without one counts least.
    pub(crate) fn preferences(&self) -> Option<Vec<u8>> {
        let has_any = self.mirrors.iter().any(|mirror| mirror.preference.is_some());
        let all = self.mirrors.iter().map(|mirror| mirror.preference.unwrap_or(1));
        has_any.then(|| all.collect())
    }

    /// The line of a mirror in the list, with its end.
    pub(crate) fn line(&self, index: usize) -> Option<&[u8]> {
        match &self.kind {
            Kind::Lines(list) => Some(list.line(index)),
            Kind::Metalink(_) => None,
        }
    }

    /// Whether a line has more than a URL in it, so that the URLs alone are not the list again.
    pub(crate) fn has_more_than_urls(&self) -> bool {
        matches!(&self.kind, Kind::Lines(list) if list.has_more_than_urls)
    }

    /// The list or metalink again, with these of its mirrors alone and in this order, and all else
    /// as it was, byte for byte.
    pub(crate) fn reordered(&self, order: &[usize]) -> Vec<u8> {
        match &self.kind {
            Kind::Lines(list) => list.reordered(order),
            Kind::Metalink(metalink) => metalink.reordered(order),
        }
    }
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
pub(crate) fn from_arguments(arguments: Vec<OsString>) -> Input {
    lines::from_urls(arguments)
}

/// Reads a file, or standard input if it is called `-`. With `uncomment`, mirrors that are
/// commented out count too.
pub(crate) fn read(file: &OsStr, uncomment: bool) -> Result<Input, Error> {
    let is_stdin = file == "-";
    let source = if is_stdin { "standard input".into() } else { file.to_string_lossy().into_owned() };
    let bytes = if is_stdin { read_bytes(io::stdin()) } else { File::open(file).and_then(read_bytes) };
    let parsed = bytes.map_err(|error| unreadable(&error)).and_then(|bytes| {
        if bytes.is_empty() && is_standard_output(file) {
            let reason = "the shell has emptied this file for standard output; to put a list into order in place, \
                          use -o FILE instead of > FILE";
            return Err(Fault { line: None, reason: reason.into() });
        }
        if bytes.is_empty() && is_stdin {
            let reason = "nothing came; to put a list into order in place, use -o FILE, and not > FILE";
            return Err(Fault { line: None, reason: reason.into() });
        }
        parse(bytes, uncomment)
    });
    parsed.map_err(|Fault { line, reason }| Error { source, line, reason })
}

/// Whether standard output writes into this file.
fn is_standard_output(file: &OsStr) -> bool {
    let output = io::stdout().as_fd().try_clone_to_owned().and_then(|output| File::from(output).metadata());
    match (fs::metadata(file), output) {
        (Ok(file), Ok(output)) => file.is_file() && (file.dev(), file.ino()) == (output.dev(), output.ino()),
        _ => false,
    }
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

fn parse(bytes: Vec<u8>, uncomment: bool) -> Result<Input, Fault> {
    let bytes = decode::unpack(bytes).map_err(|error| Fault {
        line: None,
        reason: format!("cannot be decompressed: {}", reason(&error)),
    })?;
    let text = Text::decode(bytes);
    if !text.as_str().trim_ascii_start().starts_with('<') {
        return lines::parse(text.into_bytes(), uncomment);
    }
    let input = metalink::parse(text)?;
    if input.mirrors.is_empty() {
        return Err(Fault { line: None, reason: "there is no URL in this metalink".into() });
    }
    Ok(input)
}

/// The text, with each byte that is not UTF-8 percent-encoded, as it may stand in a URL.
fn percent_encode_invalid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}

#[cfg(test)]
mod tests;
