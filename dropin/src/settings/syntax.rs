//! The syntax of the settings file, as in dnf's own: which value is given to which name, in which
//! line. What a name or a value means is not known here.
#![forbid(unsafe_code)]

/// The section that has the settings.
const SECTION: &str = "main";

/// A value in the file.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry<'a> {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) name: &'a str,
    pub(crate) value: String,
}

/// Reads the text of a file. A line that is wrong is reported, with its number, and ignored.
///
/// - `[main]` begins the section with the settings. Other sections are ignored.
/// - `name = value`; white space around both is ignored.
/// - A line without a `=` that begins with white space continues the value above it.
/// - A line whose first character, after white space, is `#` or `;` is a comment.
pub(crate) fn parse<'a>(text: &'a str, report: &mut dyn FnMut(usize, String)) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut section = None;
    // Whether the line before belongs to the last entry.
    let mut is_open = false;
    for (line, text) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let (line, is_indented, text) = (line + 1, text.starts_with([' ', '\t']), text.trim());
        if text.is_empty() || text.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = text.strip_prefix('[') {
            is_open = false;
            match header.strip_suffix(']') {
                Some(name) => {
                    if name.trim() != SECTION {
                        report(line, format!("the section {text}: settings are in [{SECTION}]"));
                    }
                    section = Some(name.trim());
                }
                None => report(line, format!("{}: no ] at its end", quoted(text))),
            }
            continue;
        }
        let is_ours = section == Some(SECTION);
        match (text.split_once('='), entries.last_mut()) {
            (Some((name, value)), _) => {
                is_open = is_ours;
                if is_ours {
                    entries.push(Entry { line, name: name.trim_end(), value: value.trim_start().into() });
                } else if section.is_none() {
                    report(line, format!("{}: it stands before [{SECTION}]", quoted(text)));
                }
            }
            (None, Some(entry)) if is_indented && is_open => {
                if !entry.value.is_empty() {
                    entry.value.push(' ');
                }
                entry.value.push_str(text);
            }
            _ if is_ours || section.is_none() => {
                report(line, format!("{}: neither `name = value` nor a comment", quoted(text)));
            }
            _ => {}
        }
    }
    entries
}

/// The beginning of a text, for a message.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
