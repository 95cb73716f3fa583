//! Text in the format of GLib's key files: read as GLib reads it, changed without touching anything else in it.
//!
//! It is GLib's `g_key_file_load_from_data` that decides whether a file is one of librepo's, so this parser gives the
//! same verdict, the same groups and the same values, line by line; a test holds both against each other. What GLib
//! forgets when it writes (comments, blank lines, spacing, the order of things) stays as it was, byte for byte.
//!
//! Bytes, not text: GLib asks for UTF-8 only when a value is fetched as a string, and librepo fetches numbers.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::BufRead;
use std::ops::Range;

/// A file as lines under groups.
#[derive(Debug, Default)]
pub(crate) struct KeyFile<'a> {
    /// What stands before the first group, then each group as often as the file begins it.
    sections: Vec<Section<'a>>,
    /// Where a group is begun first and last; what it holds are the pairs of all its sections together.
    index: HashMap<Cow<'a, [u8]>, (usize, usize)>,
}

#[derive(Debug, Default)]
struct Section<'a> {
    /// None for what stands before the first group, and for what is left of a removed one.
    name: Option<Cow<'a, [u8]>>,
    header: Cow<'a, [u8]>,
    lines: Vec<Line<'a>>,
    /// Whether the group is begun here for the first time, and where the next time.
    is_first: bool,
    next: Option<usize>,
}

/// A group of a file, to look into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'f> {
    pub(crate) name: &'f [u8],
    sections: &'f [Section<'f>],
    first: usize,
}

impl<'f> Group<'f> {
    /// The keys of a group with their values, as often as the file has them.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (&'f [u8], &'f [u8])> {
        let sections = chain(self.sections, self.first);
        let lines = sections.flat_map(move |number| &self.sections[number].lines);
        lines.filter_map(|line| Some((line.key()?, line.value()?)))
    }
}

/// The sections of a group, from its first one.
fn chain(sections: &[Section<'_>], first: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(first), |&number| sections[number].next)
}

/// A line with its end, which the last one may lack.
#[derive(Debug)]
struct Line<'a> {
    raw: Cow<'a, [u8]>,
    pair: Option<Pair>,
}

/// Where key and value stand in a line.
#[derive(Debug, PartialEq)]
struct Pair {
    key: Range<usize>,
    value: Range<usize>,
}

/// What a line is by itself.
enum Kind {
    /// A comment or a blank line.
    Nothing,
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
    /// Reads a file, or says why GLib would not. Takes time in proportion to the text.
    pub(crate) fn parse(text: &'a [u8]) -> Result<KeyFile<'a>, &'static str> {
        let mut file = KeyFile { sections: vec![Section::default()], index: HashMap::new() };
        for line in scan(text) {
            let (raw, pair) = match line? {
                (raw, Kind::Group(name)) => {
                    file.begin(Cow::Borrowed(&raw[name]), Cow::Borrowed(raw));
                    continue;
                }
                (raw, Kind::Nothing) => (raw, None),
                (raw, Kind::Pair(pair)) => (raw, Some(pair)),
            };
            if let Some(section) = file.sections.last_mut() {
                section.lines.push(Line { raw: Cow::Borrowed(raw), pair });
            }
        }
        Ok(file)
    }

    fn begin(&mut self, name: Cow<'a, [u8]>, header: Cow<'a, [u8]>) {
        let new = self.sections.len();
        let (first, last) = self.index.entry(name.clone()).or_insert((new, new));
        if *last != new {
            self.sections[*last].next = Some(new);
            *last = new;
        }
        let is_first = *first == new;
        self.sections.push(Section { name: Some(name), header, lines: Vec::new(), is_first, next: None });
    }

    /// The groups, in the order in which the file begins them.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        let group = |(first, section): (usize, &'_ Section<'a>)| section.is_first.then_some(first);
        let firsts = self.sections.iter().enumerate().filter_map(group);
        firsts.filter_map(|first| {
            Some(Group { name: self.sections[first].name.as_deref()?, sections: &self.sections, first })
        })
    }

    pub(crate) fn group(&self, name: &[u8]) -> Option<Group<'_>> {
        let (name, (first, _)) = self.index.get_key_value(name)?;
        Some(Group { name, sections: &self.sections, first: *first })
    }

    pub(crate) fn has(&self, group: &[u8]) -> bool {
        self.index.contains_key(group)
    }

    /// Gives a key another value where it stands, or appends it to its group, or its group to the file.
    /// All three must be what the format can hold, which is for the caller to know.
    pub(crate) fn set(&mut self, group: &[u8], key: &str, value: &str) {
        if !self.has(group) {
            self.append(group);
        }
        let Some(&(first, last)) = self.index.get(group) else { return };
        let has = |section: &usize| {
            self.sections[*section].lines.iter().any(|line| line.key() == Some(key.as_bytes()))
        };
        let place = chain(&self.sections, first).filter(has).last();
        let section = &mut self.sections[place.unwrap_or(last)];
        match section.lines.iter_mut().rfind(|line| line.key() == Some(key.as_bytes())) {
            Some(line) => line.set(value),
            None => section.append(key, value),
        }
    }

    fn append(&mut self, group: &[u8]) {
        // As GLib writes it: an empty line between groups.
        if let Some(last) = self.sections.iter_mut().rfind(|section| !section.is_empty()) {
            if !is_blank(last.end()) {
                terminate(last.end());
                last.lines.push(Line { raw: Cow::Borrowed(b"\n"), pair: None });
            }
        }
        let header = [b"[", group, b"]\n"].concat();
        self.begin(Cow::Owned(group.to_vec()), Cow::Owned(header));
    }

    /// Removes a group, but not the comments at its end, which speak of the next one.
    pub(crate) fn remove(&mut self, group: &[u8]) {
        let Some((first, _)) = self.index.remove(group) else { return };
        let numbers: Vec<usize> = chain(&self.sections, first).collect();
        for number in numbers {
            let section = &mut self.sections[number];
            section.name = None;
            section.is_first = false;
            section.header = Cow::Borrowed(b"");
            let own = section.lines.iter().rposition(|line| line.pair.is_some()).map_or(0, |last| last + 1);
            section.lines.drain(..own);
            section.lines.retain(|line| !is_blank(&line.raw));
            // At the end of the file nothing is left for the empty line before it to separate.
            if self.sections[number..].iter().all(Section::is_empty) {
                let before = self.sections[..number].iter_mut().rfind(|section| !section.is_empty());
                if let Some(Section { lines, .. }) = before {
                    if lines.last().is_some_and(|line| is_blank(&line.raw)) {
                        lines.pop();
                    }
                }
            }
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let parts = |section: &'_ Section<'a>| -> usize {
            section.header.len() + section.lines.iter().map(|line| line.raw.len()).sum::<usize>()
        };
        let mut text = Vec::with_capacity(self.sections.iter().map(parts).sum());
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

    /// Its last line, be it the header.
    fn end(&mut self) -> &mut Cow<'a, [u8]> {
        self.lines.last_mut().map_or(&mut self.header, |line| &mut line.raw)
    }

    /// Adds a pair behind its last one, before the blank lines and comments at its end.
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

/// Ends a line that is no longer the last one.
fn terminate(raw: &mut Cow<'_, [u8]>) {
    if !raw.ends_with(b"\n") {
        raw.to_mut().push(b'\n');
    }
}

fn is_blank(raw: &[u8]) -> bool {
    raw.iter().all(u8::is_ascii_whitespace)
}

/// The lines of a text, each with its end.
fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let rest = text;
        // Reading from memory cannot fail, and this finds the end of a line several times as fast as an iterator.
        let length = text.skip_until(b'\n').ok().filter(|&length| length > 0)?;
        Some(&rest[..length])
    })
}

/// The lines of a text and what they are; in place of one for which GLib would not read the file, why. What follows that one
/// counts for nothing.
fn scan(text: &[u8]) -> impl Iterator<Item = Result<(&[u8], Kind), &'static str>> {
    let mut first_group: Option<&[u8]> = None;
    let mut in_first = false;
    lines(text).map(move |raw| {
        let kind = kind(raw)?;
        match &kind {
            Kind::Group(name) => {
                let name = &raw[name.clone()];
                in_first = *first_group.get_or_insert(name) == name;
            }
            Kind::Pair(_) if first_group.is_none() => return Err("it does not begin with a group"),
            Kind::Pair(Pair { key, value }) if in_first && &raw[key.clone()] == b"Encoding" => {
                if !raw[value.clone()].eq_ignore_ascii_case(b"UTF-8") {
                    return Err("its encoding is not UTF-8");
                }
            }
            Kind::Pair(_) | Kind::Nothing => {}
        }
        Ok((raw, kind))
    })
}

/// What a file says, in its order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item<'a> {
    /// What follows belongs to this group, which may be begun again.
    Group(&'a [u8]),
    /// A key and its value.
    Pair(&'a [u8], &'a [u8]),
}

/// What a file says, for whom it is enough to hear it once; errors as [`scan`]'s.
pub(crate) fn items(text: &[u8]) -> impl Iterator<Item = Result<Item<'_>, &'static str>> {
    scan(text).filter_map(|line| match line {
        Ok((raw, Kind::Group(name))) => Some(Ok(Item::Group(&raw[name]))),
        Ok((raw, Kind::Pair(Pair { key, value }))) => Some(Ok(Item::Pair(&raw[key], &raw[value]))),
        Ok((_, Kind::Nothing)) => None,
        Err(why) => Some(Err(why)),
    })
}

/// Whether a line is one that a key file may hold.
pub(crate) fn is_valid(raw: &[u8]) -> bool {
    kind(raw).is_ok()
}

/// The key of a line, if it is a pair.
pub(crate) fn key_of(raw: &[u8]) -> Option<&[u8]> {
    match kind(raw) {
        Ok(Kind::Pair(pair)) => Some(&raw[pair.key]),
        _ => None,
    }
}

/// Follows `g_key_file_parse_line` and what it calls.
fn kind(raw: &[u8]) -> Result<Kind, &'static str> {
    let content = match raw.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => raw,
    };
    // Rust's white space and g_ascii_isspace() are the same five characters; the vertical tab is not among them.
    let start = content.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(content.len());
    // To GLib a line ends at a NUL, ...
    let mut line = &content[start..];
    // A fold, here and below, looks at many bytes at once, which is quicker than to stop at the first.
    if line.iter().fold(false, |found, &byte| found | (byte == 0)) {
        line = line.split(|&byte| byte == 0).next().unwrap_or_default();
    }
    match line.first() {
        None | Some(b'#') => return Ok(Kind::Nothing),
        Some(b'[') => {
            if let Some(close) = group_end(line) {
                // ... except that the last bracket of a group is looked for behind it, too.
                let hidden = content[start + line.len()..].contains(&b']');
                if hidden || !is_group_name(&line[1..close]) {
                    return Err("it has an invalid group name");
                }
                return Ok(Kind::Group(start + 1..start + close));
            }
        }
        Some(_) => {}
    }
    let Some(equals) = line.iter().position(|&byte| byte == b'=').filter(|&at| at > 0) else {
        return Err("it has a line that is no group, no key with a value, and no comment");
    };
    let key = line[..equals].trim_ascii_end();
    if !is_key_name(key) {
        return Err("it has an invalid key");
    }
    let value = line[equals + 1..].trim_ascii_start();
    let end = start + line.len();
    Ok(Kind::Pair(Pair { key: start..start + key.len(), value: end - value.len()..end }))
}

/// Where the bracket of a group line closes, if it is one: behind it stand blanks at most, and what GLib's stepping over
/// characters skips with them, bytes that continue a character.
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
/// What counts as a letter there follows std, where GLib has tables of its own; they differ in combining marks.
fn is_key_name(name: &[u8]) -> bool {
    let end = name.iter().position(|byte| matches!(byte, b'=' | b'[' | b']')).unwrap_or(name.len());
    let (word, locale) = name.split_at(end);
    if word.is_empty() || word.ends_with(b" ") {
        return false;
    }
    let Some(mut locale) = locale.strip_prefix(b"[") else { return locale.is_empty() };
    loop {
        let first = locale.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
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
