//! Lists with a mirror in each line, whatever else is in it: those of dnf, pacman, apk, XBPS, apt
//! and others. One rule holds for all: a line with exactly one URL in it is a mirror, and the line
//! comes out as it was.

use super::{BYTE_ORDER_MARK, Fault, Input, Kind, Mirror, percent_encode_invalid};
use crate::text::{cut, escape};
use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;

/// The columns of a line that a message quotes.
const MAX_QUOTED: usize = 60;
/// The bytes at the start and at the end of a line that are looked at for that: a line may have 16
/// MiB.
const QUOTED_BYTES: usize = 4 * MAX_QUOTED;
/// How many mirrors a list may have; real ones have up to a thousand. A small packed file could
/// hold millions, for which there is no memory.
const MAX_MIRRORS: usize = 100_000;

/// The text of a list, with what is not a mirror in it.
#[derive(Debug, PartialEq)]
pub(crate) struct List {
    text: Vec<u8>,
    /// The lines of the mirrors, in the order of the input's mirrors.
    lines: Vec<Range<usize>>,
    comments: Vec<Range<usize>>,
    /// What ends a line that has no end, being the last one.
    line_end: &'static [u8],
    /// Whether a mirror's line has more in it than the URL.
    pub(super) has_more_than_urls: bool,
}

impl List {
    /// The line of a mirror, with its end.
    pub(super) fn line(&self, index: usize) -> &[u8] {
        &self.text[self.lines[index].clone()]
    }

    /// The list again: first its comments, and then the lines of these mirrors, all as they were.
    pub(super) fn reordered(&self, order: &[usize]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len());
        for line in self.comments.iter().chain(order.iter().map(|&index| &self.lines[index])) {
            let line = &self.text[line.clone()];
            out.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                out.extend_from_slice(self.line_end);
            }
        }
        out
    }
}

/// Takes URLs as the lines of a list.
pub(super) fn from_urls(urls: Vec<OsString>) -> Input {
    let mut text = Vec::new();
    let (mut mirrors, mut lines) = (Vec::new(), Vec::new());
    for url in urls {
        let url = url.into_vec();
        lines.push(text.len()..text.len() + url.len());
        text.extend_from_slice(&url);
        mirrors.push(Mirror { url: percent_encode_invalid(&url), preference: None });
    }
    let list = List { text, lines, comments: Vec::new(), line_end: b"\n", has_more_than_urls: false };
    Input { mirrors, kind: Kind::Lines(list) }
}

/// Reads a list. Empty lines are left out.
pub(super) fn parse(text: Vec<u8>, uncomment: bool) -> Result<Input, Fault> {
    let (mut mirrors, mut lines, mut comments) = (Vec::new(), Vec::new(), Vec::new());
    let mut first_fault = None;
    let mut faults: usize = 0;
    let mut commented_out = 0;
    let mut has_more_than_urls = false;
    let mut next = 0;
    for (number, mut line) in (1..).zip(text.split_inclusive(|&byte| byte == b'\n')) {
        next += line.len();
        // One for each of several lists that were appended to each other.
        while let Some(rest) = line.strip_prefix(BYTE_ORDER_MARK) {
            line = rest;
        }
        let mut content = line.trim_ascii();
        if content.is_empty() {
            continue;
        }
        if content.starts_with(b"#") {
            match commented_mirror(content) {
                Some(mirror) if uncomment => {
                    line = &line[line.trim_ascii_end().len() - mirror.len()..];
                    content = mirror;
                }
                mirror => {
                    commented_out += usize::from(mirror.is_some());
                    comments.push(next - line.len()..next);
                    continue;
                }
            }
        }
        match find_url(content) {
            Ok(range) => {
                has_more_than_urls |= range != (0..content.len());
                let url = percent_encode_invalid(&content[range]);
                mirrors.push(Mirror { url, preference: None });
                lines.push(next - line.len()..next);
            }
            Err(found) => {
                faults += 1;
                first_fault.get_or_insert((number, found, content));
            }
        }
        if mirrors.len() > MAX_MIRRORS {
            return Err(Fault {
                line: Some(number),
                reason: format!("a list has at most {MAX_MIRRORS} mirrors"),
            });
        }
    }
    if let Some((line, found, content)) = first_fault {
        let start = content.len().min(QUOTED_BYTES);
        let end = content.len().saturating_sub(QUOTED_BYTES).max(start);
        let ends = [&content[..start], &content[end..]].concat();
        let quoted = cut(&escape(&String::from_utf8_lossy(&ends)), MAX_QUOTED);
        let others = match faults - 1 {
            0 => String::new(),
            1 => " (and 1 more line is wrong)".into(),
            count => format!(" (and {count} more lines are wrong)"),
        };
        let reason = format!(
            "{found} in \"{quoted}\"; a line has one URL, such as https://..., or is a # comment{others}"
        );
        return Err(Fault { line: Some(line), reason });
    }
    if mirrors.is_empty() {
        let hint = match commented_out {
            0 => String::new(),
            count => format!("; --uncomment takes the {count} that are commented out"),
        };
        return Err(Fault { line: None, reason: format!("there is no URL in this list{hint}") });
    }
    let first = text.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
    let line_end: &[u8] = if first.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
    let list = List { text, lines, comments, line_end, has_more_than_urls };
    Ok(Input { mirrors, kind: Kind::Lines(list) })
}

/// Where the URL is in a line without white space around it. It begins with its scheme, and ends
/// before white space, or before the quote if there is one before it. A line with `file:` and a
/// path has a URL too, and so does one that begins with a path, as for librepo.
///
/// The error is what there is instead. The library takes any text, and calls it unsupported if it
/// cannot connect to it; but a line without a URL shows that this is no list but, for example, an
/// error page, and ranking the rest of it would hide that.
fn find_url(line: &[u8]) -> Result<Range<usize>, String> {
    // It would make the text no list, should the line be the first one of what comes out.
    if line.starts_with(b"<") {
        return Err("markup".into());
    }
    let find = |mark: &'static [u8]| {
        let marks = (0..line.len()).filter(move |&at| line[at..].starts_with(mark));
        marks.filter_map(|at| Some(scheme(line, at)?..at))
    };
    let mut starts: Vec<usize> = find(b"://").map(|scheme| scheme.start).collect();
    if starts.is_empty() {
        let is_file = |scheme: &Range<usize>| line[scheme.clone()].eq_ignore_ascii_case(b"file");
        starts = find(b":/").filter(is_file).map(|scheme| scheme.start).collect();
    }
    if starts.is_empty() && line.starts_with(b"/") && !line.starts_with(b"//") {
        starts = vec![0];
    }
    let start = match starts[..] {
        [] => return Err("no URL".into()),
        [start] => start,
        _ => return Err(format!("{} URLs", starts.len())),
    };
    let before = start.checked_sub(1).map(|before| line[before]);
    let quote = before.filter(|byte| [b'"', b'\''].contains(byte));
    let is_end = |&byte: &u8| byte.is_ascii_whitespace() || byte == b'\x0b' || Some(byte) == quote;
    let length = line[start..].iter().position(is_end).unwrap_or(line.len() - start);
    Ok(start..start + length)
}

/// Where the scheme begins that ends before the colon at `colon` (RFC 3986, section 3.1).
fn scheme(line: &[u8], colon: usize) -> Option<usize> {
    let is_in_scheme = |&byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let length = line[..colon].iter().rev().take_while(|&byte| is_in_scheme(byte)).count();
    (colon - length..colon).find(|&at| line[at].is_ascii_alphabetic())
}

/// The mirror's line in a comment, if it is a mirror that is commented out. Comments for people
/// have URLs in them too, so what is before the URL decides: nothing at all, not even a blank after
/// the `#`, or what lists have there.
fn commented_mirror(comment: &[u8]) -> Option<&[u8]> {
    let after = &comment[comment.iter().take_while(|&&byte| byte == b'#').count()..];
    let line = after.trim_ascii_start();
    if line.starts_with(b"/") {
        return None;
    }
    let start = find_url(line).ok()?.start;
    let before = line[..start].trim_ascii_end();
    let before = before.strip_suffix(b"\"").or(before.strip_suffix(b"'")).unwrap_or(before);
    let is_mirror = match before.strip_suffix(b"=") {
        Some(key) => KEYS.contains(&key.trim_ascii_end()),
        None if before.is_empty() => comment.len() == 1 + line.len(),
        None => before.starts_with(b"@") && !before.contains(&b' ') || is_apt_source(before),
    };
    is_mirror.then_some(line)
}

/// What is before `=` in a line of pacman (both of its kinds of mirrors), XBPS, and yum or dnf.
const KEYS: [&[u8]; 4] = [b"Server", b"CacheServer", b"repository", b"baseurl"];

/// Whether the text is `deb` or `deb-src`, maybe with options in brackets after it.
fn is_apt_source(text: &[u8]) -> bool {
    let options = text.strip_prefix(b"deb-src").or(text.strip_prefix(b"deb"));
    let options = options.map(<[u8]>::trim_ascii_start);
    options.is_some_and(|options| options.is_empty() || options.starts_with(b"[") && options.ends_with(b"]"))
}

#[cfg(test)]
mod tests;
