//! Text in the format of GLib's key files: read as GLib reads it, changed without touching anything
//! else in it.
//!
//! librepo accepts a cache file if GLib's `g_key_file_load_from_data` does, so this parser accepts
//! the same files and finds the same groups and values in them; a test compares the two. Unlike
//! GLib it preserves comments, blank lines, spacing and order, byte for byte.
//!
//! It works on bytes: GLib wants UTF-8 only when a value is fetched as a string, and librepo
//! fetches numbers.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;
use std::ops::Range;

/// Why GLib would not read a text as a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The number of the line, from 1.
    pub(crate) line: usize,
    pub(crate) reason: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// A file as lines under groups.
#[derive(Debug, Default)]
pub(crate) struct KeyFile<'a> {
    /// One for the lines before the first group, then one for each group line. A group that the
    /// file opens several times has several sections.
    sections: Vec<Section<'a>>,
    /// The first and the last section of each group.
    index: HashMap<Cow<'a, [u8]>, (usize, usize)>,
    /// All sections from this one on are empty.
    end: usize,
}

#[derive(Debug, Default)]
struct Section<'a> {
    /// None for the lines before the first group, and for what is left of a removed one.
    name: Option<Cow<'a, [u8]>>,
    header: Cow<'a, [u8]>,
    lines: Vec<Line<'a>>,
    /// Whether this is the first section of its group.
    is_first: bool,
    /// The next section of the same group.
    next: Option<usize>,
}

/// A group of a file, for reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'f> {
    pub(crate) name: &'f [u8],
    sections: &'f [Section<'f>],
    first: usize,
}

impl<'f> Group<'f> {
    /// The keys of the group with their values, in the order of the file. A key may occur several
    /// times.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (&'f [u8], &'f [u8])> {
        let sections = sections_from(self.sections, self.first);
        let lines = sections.flat_map(move |number| &self.sections[number].lines);
        lines.filter_map(|line| Some((line.key()?, line.value()?)))
    }
}

/// The sections of a group, given its first one.
fn sections_from(sections: &[Section<'_>], first: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(first), |&number| sections[number].next)
}

/// A line with its line break, which the last line may lack.
#[derive(Debug)]
struct Line<'a> {
    raw: Cow<'a, [u8]>,
    pair: Option<Pair>,
}

/// The positions of key and value in a line.
#[derive(Debug, PartialEq)]
struct Pair {
    key: Range<usize>,
    value: Range<usize>,
}

/// What a line is.
enum LineKind {
    /// A comment or a blank line.
    Ignored,
    Group(Range<usize>),
    Pair(Pair),
}

impl Line<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.pair.as_ref().map(|pair| &self.raw[pair.key.clone()])
    }

    fn value(&self) -> Option<&[u8]> {
        self.pair.as_ref().map(|pair| &self.raw[pair.value.clone()])
    }
}

impl<'a> KeyFile<'a> {
    /// Reads a file. Takes time in proportion to its length.
    ///
    /// # Errors
    /// If GLib would not read it.
    pub(crate) fn parse(text: &'a [u8]) -> Result<KeyFile<'a>, Malformed> {
        let mut file = KeyFile { sections: vec![Section::default()], index: HashMap::new(), end: 1 };
        for line in scan(text) {
            let (raw, pair) = match line? {
                (raw, LineKind::Group(name)) => {
                    file.open_group(Cow::Borrowed(&raw[name]), Cow::Borrowed(raw));
                    continue;
                }
                (raw, LineKind::Ignored) => (raw, None),
                (raw, LineKind::Pair(pair)) => (raw, Some(pair)),
            };
            if let Some(section) = file.sections.last_mut() {
                section.lines.push(Line { raw: Cow::Borrowed(raw), pair });
            }
        }
        Ok(file)
    }

    fn open_group(&mut self, name: Cow<'a, [u8]>, header: Cow<'a, [u8]>) {
        let new = self.sections.len();
        let (first, last) = self.index.entry(name.clone()).or_insert((new, new));
        if *last != new {
            self.sections[*last].next = Some(new);
            *last = new;
        }
        let is_first = *first == new;
        self.sections.push(Section { name: Some(name), header, lines: Vec::new(), is_first, next: None });
        self.end = self.sections.len();
    }

    /// The groups, in the order in which the file first opens them.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        let firsts = self.sections.iter().enumerate().filter(|(_, section)| section.is_first);
        firsts.filter_map(|(first, section)| {
            Some(Group { name: section.name.as_deref()?, sections: &self.sections, first })
        })
    }

    pub(crate) fn group(&self, name: &[u8]) -> Option<Group<'_>> {
        let (name, (first, _)) = self.index.get_key_value(name)?;
        Some(Group { name, sections: &self.sections, first: *first })
    }

    pub(crate) fn has(&self, group: &[u8]) -> bool {
        self.index.contains_key(group)
    }

    /// Replaces the value of a key in its place, or else appends the pair to its group, and if need
    /// be the group to the file. The caller sees to it that the format can hold group, key and
    /// value.
    pub(crate) fn set(&mut self, group: &[u8], key: &str, value: &str) {
        if !self.has(group) {
            self.append_group(group);
        }
        let Some(&(first, last)) = self.index.get(group) else { return };
        let has = |section: &usize| {
            self.sections[*section].lines.iter().any(|line| line.key() == Some(key.as_bytes()))
        };
        let place = sections_from(&self.sections, first).filter(has).last();
        let section = &mut self.sections[place.unwrap_or(last)];
        match section.lines.iter_mut().rfind(|line| line.key() == Some(key.as_bytes())) {
            Some(line) => line.set(value),
            None => section.append(key, value),
        }
    }

    fn append_group(&mut self, group: &[u8]) {
        // GLib writes an empty line between groups.
        if let Some(last) = self.last_section() {
            if !is_blank(last.last_line()) {
                terminate(last.last_line());
                last.lines.push(Line { raw: Cow::Borrowed(b"\n"), pair: None });
            }
        }
        let header = [b"[", group, b"]\n"].concat();
        self.open_group(Cow::Owned(group.to_vec()), Cow::Owned(header));
    }

    /// The last section that is not empty. Sections never fill again, so that all calls together
    /// take time in proportion to the number of sections.
    fn last_section(&mut self) -> Option<&mut Section<'a>> {
        while self.end > 0 && self.sections[self.end - 1].is_empty() {
            self.end -= 1;
        }
        self.sections[..self.end].last_mut()
    }

    /// Removes a group, but not the comments at its end, which are about the next one.
    pub(crate) fn remove(&mut self, group: &[u8]) {
        let Some((first, _)) = self.index.remove(group) else { return };
        let numbers: Vec<usize> = sections_from(&self.sections, first).collect();
        for number in numbers {
            let section = &mut self.sections[number];
            section.name = None;
            section.is_first = false;
            section.header = Cow::Borrowed(b"");
            let own = section.lines.iter().rposition(|line| line.pair.is_some()).map_or(0, |last| last + 1);
            section.lines.drain(..own);
            section.lines.retain(|line| !is_blank(&line.raw));
            // At the end of the file, the empty line before the group separates nothing any more.
            if number + 1 == self.end && section.is_empty() {
                if let Some(Section { lines, .. }) = self.last_section() {
                    if lines.last().is_some_and(|line| is_blank(&line.raw)) {
                        lines.pop();
                    }
                }
            }
        }
    }

    /// The length of the text.
    pub(crate) fn text_len(&self) -> usize {
        let parts = |section: &'_ Section<'a>| -> usize {
            section.header.len() + section.lines.iter().map(|line| line.raw.len()).sum::<usize>()
        };
        self.sections.iter().map(parts).sum()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.text_len());
        for section in &self.sections {
            text.extend_from_slice(&section.header);
            for line in &section.lines {
                text.extend_from_slice(&line.raw);
            }
        }
        text
    }
}

impl<'a> Section<'a> {
    fn is_empty(&self) -> bool {
        self.header.is_empty() && self.lines.is_empty()
    }

    /// The last line, which may be the header.
    fn last_line(&mut self) -> &mut Cow<'a, [u8]> {
        self.lines.last_mut().map_or(&mut self.header, |line| &mut line.raw)
    }

    /// Adds a pair after the last one, before the blank lines and comments at the end.
    fn append(&mut self, key: &str, value: &str) {
        let place = self.lines.iter().rposition(|line| line.pair.is_some()).map_or(0, |last| last + 1);
        let before = match place {
            0 => &mut self.header,
            _ => &mut self.lines[place - 1].raw,
        };
        terminate(before);
        let end = key.len() + 1 + value.len();
        let raw = Cow::Owned(format!("{key}={value}\n").into_bytes());
        self.lines
            .insert(place, Line { raw, pair: Some(Pair { key: 0..key.len(), value: key.len() + 1..end }) });
    }
}

impl Line<'_> {
    fn set(&mut self, value: &str) {
        let Some(pair) = &mut self.pair else { return };
        let end: &[u8] = if self.raw.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
        let raw = [&self.raw[..pair.value.start], value.as_bytes(), end].concat();
        pair.value.end = pair.value.start + value.len();
        self.raw = Cow::Owned(raw);
    }
}

/// Ends a line that is no longer the last one with a line break.
fn terminate(raw: &mut Cow<'_, [u8]>) {
    if !raw.ends_with(b"\n") {
        raw.to_mut().push(b'\n');
    }
}

fn is_blank(raw: &[u8]) -> bool {
    raw.iter().all(u8::is_ascii_whitespace)
}

/// The lines of a text, each with its line break.
fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let rest = text;
        // Reading from memory cannot fail, and skip_until is several times as fast as split.
        let length = text.skip_until(b'\n').ok().filter(|&length| length > 0)?;
        Some(&rest[..length])
    })
}

/// The lines of a text and what each is. The first error is what makes GLib reject the file; what
/// follows it means nothing.
fn scan(text: &[u8]) -> impl Iterator<Item = Result<(&[u8], LineKind), Malformed>> {
    let mut first_group: Option<&[u8]> = None;
    let mut in_first = false;
    let mut check = move |raw| {
        let kind = line_kind(raw)?;
        match &kind {
            LineKind::Group(name) => {
                let name = &raw[name.clone()];
                in_first = *first_group.get_or_insert(name) == name;
            }
            LineKind::Pair(_) if first_group.is_none() => return Err("a key before the first group"),
            LineKind::Pair(Pair { key, value }) if in_first && &raw[key.clone()] == b"Encoding" => {
                if !raw[value.clone()].eq_ignore_ascii_case(b"UTF-8") {
                    return Err("the encoding is not UTF-8");
                }
            }
            LineKind::Pair(_) | LineKind::Ignored => {}
        }
        Ok((raw, kind))
    };
    (1..).zip(lines(text)).map(move |(line, raw)| check(raw).map_err(|reason| Malformed { line, reason }))
}

/// A group line or a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item<'a> {
    /// The pairs that follow belong to this group. A file may open a group several times.
    Group(&'a [u8]),
    /// A key and its value.
    Pair(&'a [u8], &'a [u8]),
}

/// The groups and pairs of a text in their order, for a reader that goes through it once. This is
/// quicker than [`KeyFile::parse`]; errors are as for [`scan`].
pub(crate) fn items(text: &[u8]) -> impl Iterator<Item = Result<Item<'_>, Malformed>> {
    scan(text).filter_map(|line| match line {
        Ok((raw, LineKind::Group(name))) => Some(Ok(Item::Group(&raw[name]))),
        Ok((raw, LineKind::Pair(Pair { key, value }))) => Some(Ok(Item::Pair(&raw[key], &raw[value]))),
        Ok((_, LineKind::Ignored)) => None,
        Err(malformed) => Some(Err(malformed)),
    })
}

/// Whether a key file may hold this line.
pub(crate) fn is_valid(raw: &[u8]) -> bool {
    line_kind(raw).is_ok()
}

/// The key of a line, if it is a pair.
pub(crate) fn key_of(raw: &[u8]) -> Option<&[u8]> {
    match line_kind(raw) {
        Ok(LineKind::Pair(pair)) => Some(&raw[pair.key]),
        _ => None,
    }
}

/// Follows `g_key_file_parse_line` and the functions that it calls.
fn line_kind(raw: &[u8]) -> Result<LineKind, &'static str> {
    let content = match raw.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => raw,
    };
    // Rust's ASCII white space and g_ascii_isspace() are the same five characters, without the
    // vertical tab.
    let start = content.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(content.len());
    // For GLib a line ends at a NUL, ...
    let mut line = &content[start..];
    // Here and below, a fold compares many bytes at once, which is quicker than stopping at the
    // first.
    if line.iter().fold(false, |found, &byte| found | (byte == 0)) {
        line = line.split(|&byte| byte == 0).next().unwrap_or_default();
    }
    match line.first() {
        None | Some(b'#') => return Ok(LineKind::Ignored),
        Some(b'[') => {
            if let Some(close) = group_end(line) {
                // ... except that the last bracket of a group is searched for behind it too.
                let hidden = content[start + line.len()..].contains(&b']');
                if hidden || !is_group_name(&line[1..close]) {
                    return Err("invalid group name");
                }
                return Ok(LineKind::Group(start + 1..start + close));
            }
        }
        Some(_) => {}
    }
    let Some(equals) = line.iter().position(|&byte| byte == b'=').filter(|&at| at > 0) else {
        return Err("not a group, a key with a value, or a comment");
    };
    let key = line[..equals].trim_ascii_end();
    if !is_key_name(key) {
        return Err("invalid key");
    }
    let value = line[equals + 1..].trim_ascii_start();
    let end = start + line.len();
    Ok(LineKind::Pair(Pair { key: start..start + key.len(), value: end - value.len()..end }))
}

/// The position of the closing bracket, if this is a group line: nothing may follow it but blanks
/// and UTF-8 continuation bytes, which GLib skips because it steps by whole characters.
fn group_end(line: &[u8]) -> Option<usize> {
    let close = line.iter().position(|&byte| byte == b']')?;
    let fine = |byte: &u8| matches!(byte, b' ' | b'\t' | 0x80..=0xbf);
    line[close + 1..].iter().all(fine).then_some(close)
}

/// Follows `g_key_file_is_group_name`.
pub(crate) fn is_group_name(name: &[u8]) -> bool {
    let fine = |byte: &u8| !matches!(byte, b'[' | b']') && !byte.is_ascii_control();
    !name.is_empty() && name.iter().fold(true, |all, byte| all & fine(byte))
}

/// Follows `g_key_file_is_key_name`: anything without brackets, then perhaps a locale in them.
///
/// Which characters are letters there is decided by std; GLib's own tables differ in combining
/// marks.
fn is_key_name(name: &[u8]) -> bool {
    let end = name.iter().position(|byte| matches!(byte, b'=' | b'[' | b']')).unwrap_or(name.len());
    let (word, locale) = name.split_at(end);
    if word.is_empty() || word.ends_with(b" ") {
        return false;
    }
    let Some(mut locale) = locale.strip_prefix(b"[") else { return locale.is_empty() };
    loop {
        // No more bytes than a character may have, since a chunk may be as long as the line.
        let start = &locale[..locale.len().min(4)];
        let first = start.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
        match first {
            Some(']') => return locale.len() == 1,
            Some(letter) if letter.is_alphanumeric() || "-_.@".contains(letter) => {
                let next = locale[1..].iter().position(|byte| !matches!(byte, 0x80..=0xbf));
                locale = next.map_or(&[], |next| &locale[1 + next..]);
            }
            _ => return false,
        }
    }
}
