//! Metalinks of version 3, as Fedora's MirrorManager writes them (<http://www.metalinker.org/>),
//! with a preference from 1 to 100 for each URL, and of version 4 (RFC 5854), with priorities. To
//! write one again is the task of `rewrite`.
//!
//! librepo takes the URLs of version 3 as they stand and never sorts them by preference; so it is
//! done here. The priorities of version 4, which librepo does not read, are ranks, not weights:
//! they give the order, and nothing else.

mod rewrite;

use crate::input::{Fault, Input, Kind, Mirror, Text};
use crate::text::escape;
use rewrite::{Element, Version};
use roxmltree::{Document, Node, ParsingOptions};
use std::num::IntErrorKind;

pub(crate) use rewrite::Metalink;

/// The file of a repository that its metalink is about.
const REPOMD: &str = "repomd.xml";
/// The longest tag or text that is read, in bytes; real ones have a few hundred.
const MAX_PIECE: usize = 16 << 10;
/// How many attributes a tag may have; real ones have six. The parser compares each with every
/// other one.
const MAX_ATTRIBUTES: usize = 100;
/// How many name spaces may be declared; real ones declare two. The parser copies those of the
/// outer elements for each element that declares another.
const MAX_NAME_SPACES: usize = 100;
/// How many elements and texts there may be; real metalinks have up to a few thousand. The parser
/// takes 70 bytes for each, and a small packed file could hold millions.
const MAX_NODES: u32 = 500_000;
/// The last of the priorities of version 4, which a URL without one has (RFC 5854, section
/// 4.2.16.1.2).
const MAX_PRIORITY: u32 = 999_999;
/// The end of a metalink's URLs that makes them differ from those of a mirrorlist. librepo removes
/// it too (`lr_lrmirrorlist_append_metalink`).
const SUFFIX: &str = "repodata/repomd.xml";

/// The URL of the repository, from the URL of a file in it.
pub(crate) fn base(url: &str) -> &str {
    url.strip_suffix(SUFFIX).unwrap_or(url)
}

/// Types of URLs that lead to other networks than a mirror's, in version 3. In version 4 these have
/// an element of their own.
const NO_MIRRORS: [&str; 3] = ["bittorrent", "ed2k", "magnet"];

/// Reads a text that starts with `<`, possibly after white space.
pub(crate) fn parse(text: Text) -> Result<Input, Fault> {
    // XML forbids white space before its declaration; it does no harm here.
    let xml = text.as_str().trim_ascii_start();
    let offset = text.as_str().len() - xml.len();
    let lines_before = lines(&text.as_str()[..offset]);
    let start: String = xml.chars().take(14).collect::<String>().to_ascii_lowercase();
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        let reason = "this is an HTML page, neither a mirrorlist nor a metalink: check where it came from";
        return Err(fault(lines_before + 1, reason));
    }
    let mut at = 0;
    for piece in xml.split('<') {
        if piece.len() > MAX_PIECE {
            let line = lines_before + lines(&xml[..at]) + 1;
            return Err(fault(line, "not a metalink: a tag or text is longer than 16 KiB"));
        }
        let tag = piece.split('>').next().unwrap_or_default();
        if tag.bytes().filter(|&byte| byte == b'=').count() > MAX_ATTRIBUTES {
            let line = lines_before + lines(&xml[..at]) + 1;
            return Err(fault(line, "not a metalink: a tag has more than 100 attributes"));
        }
        at += piece.len() + 1;
    }
    if let Some((at, _)) = xml.match_indices("xmlns").nth(MAX_NAME_SPACES) {
        let line = lines_before + lines(&xml[..at]) + 1;
        return Err(fault(line, "not a metalink: more than 100 name spaces are declared"));
    }
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(xml, options).map_err(|error| match error {
        // It has no position either.
        roxmltree::Error::NodesLimitReached => {
            Fault { line: None, reason: "not a metalink: more than 500000 elements and texts".into() }
        }
        roxmltree::Error::DtdDetected => fault(lines_before + 1, "not a metalink: XML with a DTD"),
        // These two have no position: it is the end of the text.
        roxmltree::Error::UnclosedRootNode | roxmltree::Error::UnexpectedEndOfStream => {
            fault(lines_before + xml.lines().count(), "malformed XML: the end is missing")
        }
        error => {
            fault(lines_before + error.pos().row as usize, &format!("malformed XML: {}", reason(&error)))
        }
    })?;
    let line = |node: &Node<'_, '_>| lines_before + lines(&xml[..node.range().start]) + 1;

    let root = document.root_element();
    if root.tag_name().name() != "metalink" {
        let name = escape(root.tag_name().name());
        return Err(fault(line(&root), &format!("not a metalink: the root element is <{name}>")));
    }
    // Version 3 has <files> around the files and <resources> around the URLs; version 4 has
    // neither.
    let mut version = Version::V3;
    let mut files: Vec<_> = children(root, "files").flat_map(|files| children(files, "file")).collect();
    if files.is_empty() {
        version = Version::V4;
        files = children(root, "file").collect();
    }
    let file = files.iter().find(|file| file.attribute("name") == Some(REPOMD));
    let file = file.or_else(|| files.iter().find(|file| !urls_of(**file).is_empty()));

    let urls = file.map(|file| urls_of(*file)).unwrap_or_default();
    let have_same_name_spaces = urls.windows(2).all(|pair| match (pair[0].parent(), pair[1].parent()) {
        (Some(one), Some(other)) => one == other || one.namespaces().eq(other.namespaces()),
        _ => false,
    });
    let can_be_reordered = have_same_name_spaces && !text.has_shifts();
    let mut found = Vec::new();
    for node in urls {
        let url: String = node.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect();
        if !url.trim().is_empty() && is_mirror(&node) {
            let number = |low, high| nearest(node.attribute(version.attribute())?, low, high);
            let (preference, priority) = match version {
                Version::V3 => (number(1, 100).map(|preference| preference as u8), None),
                Version::V4 => (None, number(1, MAX_PRIORITY)),
            };
            let mirror = Mirror { url: url.trim().into(), preference };
            found.push((priority.unwrap_or(MAX_PRIORITY), mirror, Element::new(node, version, offset)));
        }
    }
    found.sort_by_key(|(priority, ..)| *priority);
    let (mirrors, elements) = found.into_iter().map(|(_, mirror, element)| (mirror, element)).unzip();
    drop(document);
    let metalink = Metalink::new(text, version, elements, can_be_reordered);
    Ok(Input { mirrors, kind: Kind::Metalink(metalink) })
}

/// Whether the element of a URL is that of a mirror.
fn is_mirror(url: &Node<'_, '_>) -> bool {
    let type_ = url.attribute("type").unwrap_or_default();
    !NO_MIRRORS.iter().any(|other| other.eq_ignore_ascii_case(type_))
}

fn fault(line: usize, reason: &str) -> Fault {
    Fault { line: Some(line), reason: reason.into() }
}

/// Reads a whole number. One out of range counts as the nearest end: MirrorBrain writes preferences
/// of 0, and MirrorCache negative ones. Anything else counts as no number.
fn nearest(text: &str, low: u32, high: u32) -> Option<u32> {
    match text.trim().parse::<i64>() {
        Ok(number) => Some(number.clamp(low.into(), high.into()) as u32),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Some(high),
            IntErrorKind::NegOverflow => Some(low),
            _ => None,
        },
    }
}

/// The elements of this name in `node` and in its name space. Extensions have elements of the same
/// names in other name spaces.
fn children<'a, 'input>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    let is_meant = move |child: &Node<'_, '_>| {
        child.tag_name().name() == name && child.tag_name().namespace() == node.tag_name().namespace()
    };
    node.children().filter(Node::is_element).filter(is_meant)
}

/// The elements of a file's URLs, in the order of the document.
fn urls_of<'a, 'input>(file: Node<'a, 'input>) -> Vec<Node<'a, 'input>> {
    let resources = children(file, "resources").flat_map(|resources| children(resources, "url"));
    let mut urls: Vec<_> = resources.chain(children(file, "url")).collect();
    urls.sort_by_key(|url| url.range().start);
    urls
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|&byte| byte == b'\n').count()
}

/// The parser's reason without the position, which the message begins with.
fn reason(error: &roxmltree::Error) -> String {
    let text = error.to_string();
    escape(&text.replace(&format!(" at {}", error.pos()), ""))
}

#[cfg(test)]
mod tests;
