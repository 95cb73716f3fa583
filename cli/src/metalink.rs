//! Metalinks of version 3, as Fedora's MirrorManager writes them (<http://www.metalinker.org/>),
//! with a preference from 1 to 100 for each URL, and of version 4 (RFC 5854). The priorities of
//! version 4 are ranks, not weights, so they are not used.

use crate::input::{Fault, Input};
use crate::text::escape;
use roxmltree::{Document, Node};

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
/// The end of a metalink's URLs that makes them differ from those of a mirrorlist. librepo removes
/// it too (`lr_lrmirrorlist_append_metalink`).
const SUFFIX: &str = "repodata/repomd.xml";

/// The URL of the repository, from the URL of a file in it.
pub(crate) fn base(url: &str) -> &str {
    url.strip_suffix(SUFFIX).unwrap_or(url)
}

/// Reads a text that starts with `<`, possibly after white space.
pub(crate) fn parse(text: &str) -> Result<Input, Fault> {
    // XML forbids white space before its declaration; it does no harm here.
    let xml = text.trim_start();
    let lines_before = lines(&text[..text.len() - xml.len()]);
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
    let document = Document::parse(xml).map_err(|error| match error {
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
    let files: Vec<_> = children(root, "files").flat_map(|files| children(files, "file")).collect();
    let files = if files.is_empty() { children(root, "file").collect() } else { files };
    let file = files.iter().find(|file| file.attribute("name") == Some(REPOMD));
    let file = file.or_else(|| files.iter().find(|file| urls_of(**file).next().is_some()));

    let mut urls = Vec::new();
    let mut preferences = Vec::new();
    for node in file.into_iter().flat_map(|file| urls_of(*file)) {
        let url: String = node.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect();
        let preference = match node.attribute("preference") {
            Some(text) => Some(preference(text).map_err(|reason| fault(line(&node), &reason))?),
            None => None,
        };
        if !url.trim().is_empty() {
            urls.push(url.trim().to_string());
            preferences.push(preference);
        }
    }
    let has_preferences = preferences.iter().any(Option::is_some);
    // In a list with preferences, a mirror without one counts least.
    let preferences: Vec<u8> = preferences.into_iter().map(|preference| preference.unwrap_or(1)).collect();
    Ok(Input { urls, preferences: has_preferences.then_some(preferences), is_metalink: true })
}

fn fault(line: usize, reason: &str) -> Fault {
    Fault { line: Some(line), reason: reason.into() }
}

fn preference(text: &str) -> Result<u8, String> {
    match text.trim().parse() {
        Ok(preference @ 1..=100) => Ok(preference),
        _ => Err(format!("the preference \"{}\" is not a number from 1 to 100", escape(text))),
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

fn urls_of<'a, 'input>(file: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    let resources = children(file, "resources").flat_map(|resources| children(resources, "url"));
    resources.chain(children(file, "url"))
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
mod tests {
    use super::*;

    /// Modeled on what mirrors.fedoraproject.org sends.
    const V3: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic" pubdate="Sat, 21 Nov 2026 20:00:00 GMT" generator="mirrormanager" xmlns:mm0="http://fedorahosted.org/mirrormanager">
 <files>
  <file name="repomd.xml">
   <mm0:timestamp>1713000000</mm0:timestamp>
   <size>8192</size>
   <verification>
    <hash type="sha256">00</hash>
   </verification>
   <mm0:alternates>
    <mm0:alternate>
     <mm0:timestamp>1712000000</mm0:timestamp>
     <mm0:url>http://not.example/repodata/repomd.xml</mm0:url>
    </mm0:alternate>
   </mm0:alternates>
   <resources maxconnections="1">
    <url protocol="https" type="https" location="DE" preference="100">https://a.example/f/repodata/repomd.xml</url>
    <url protocol="rsync" type="rsync" location="DE" preference="99">rsync://a.example/f/repodata/repomd.xml</url>
    <url protocol="http" type="http" location="FR" preference="1">
      http://b.example/f?a=1&amp;b=2<![CDATA[&c=3]]>
    </url>
    <url protocol="http" type="http" location="US">http://c.example/f/repodata/repomd.xml</url>
    <url/>
   </resources>
  </file>
 </files>
</metalink>
"#;

    fn urls(xml: &str) -> Vec<String> {
        parse(xml).expect("a metalink").urls
    }

    #[test]
    fn version_3_has_urls_and_preferences() {
        let input = parse(V3).expect("a metalink");
        let urls = [
            "https://a.example/f/repodata/repomd.xml",
            "rsync://a.example/f/repodata/repomd.xml",
            "http://b.example/f?a=1&b=2&c=3",
            "http://c.example/f/repodata/repomd.xml",
        ];
        assert_eq!(input.urls, urls);
        assert_eq!(input.preferences, Some(vec![100, 99, 1, 1]));
        assert!(input.is_metalink);
        assert_eq!(parse(&format!("\n\n  {V3}")), Ok(input));
    }

    #[test]
    fn version_4_has_urls_only() {
        let xml = r#"<metalink xmlns="urn:ietf:params:xml:ns:metalink">
            <file name="primary.xml.gz"><url>https://not.example/</url></file>
            <file name="repomd.xml"><metaurl mediatype="torrent">https://not.example/t</metaurl>
            <url location="de" priority="1">https://a.example/repodata/repomd.xml</url>
            <url priority="2">ftp://b.example/repodata/repomd.xml</url></file></metalink>"#;
        let input = parse(xml).expect("a metalink");
        assert_eq!(
            input.urls,
            ["https://a.example/repodata/repomd.xml", "ftp://b.example/repodata/repomd.xml"]
        );
        assert_eq!(input.preferences, None);
    }

    #[test]
    fn first_file_with_urls_is_used_if_there_is_no_repomd() {
        let xml = "<metalink><files><file name='a'><resources/></file><file name='b'><resources>\
                   <url>https://b.example/</url></resources></file><file name='c'><resources>\
                   <url>https://c.example/</url></resources></file></files></metalink>";
        assert_eq!(urls(xml), ["https://b.example/"]);
        assert!(urls("<metalink><files/></metalink>").is_empty());
    }

    #[test]
    fn metalink_errors_name_the_line() {
        let preference = |text: &str| V3.replace("preference=\"99\"", &format!("preference=\"{text}\""));
        const HTML: &str =
            "this is an HTML page, neither a mirrorlist nor a metalink: check where it came from";
        let attributes: String = (0..9999).map(|n| format!(" a{n}=''")).collect();
        let table = [
            ("\n<!DOCTYPE HTML>\n<p>".to_string(), 2, HTML),
            ("<html lang=en>".to_string(), 1, HTML),
            (
                "<?xml version='1.0'?>\n<h:html xmlns:h='x'/>".into(),
                2,
                "not a metalink: the root element is <html>",
            ),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>".into(), 1, "not a metalink: XML with a DTD"),
            ("\n<metalink>\n<a>\n</b></metalink>".into(), 4, "malformed XML: expected 'a' tag, not 'b'"),
            (
                "<metalink>\n<url>http://a.example/?a&b</url>".into(),
                2,
                "malformed XML: malformed entity reference",
            ),
            ("\n<metalink>\n<files>\n".into(), 3, "malformed XML: the end is missing"),
            ("\n<metalink>\n<files".into(), 3, "malformed XML: the end is missing"),
            (preference("0"), 18, "the preference \"0\" is not a number from 1 to 100"),
            (preference("101"), 18, "the preference \"101\" is not a number from 1 to 100"),
            (preference("9.5"), 18, "the preference \"9.5\" is not a number from 1 to 100"),
            (preference("\u{85}"), 18, "the preference \"\\u{85}\" is not a number from 1 to 100"),
            (
                format!("<metalink>\n<a{attributes}/>"),
                2,
                "not a metalink: a tag or text is longer than 16 KiB",
            ),
            (
                format!("<metalink>\n<a{}/>", &attributes[..1500]),
                2,
                "not a metalink: a tag has more than 100 attributes",
            ),
        ];
        for (xml, line, reason) in table {
            assert_eq!(parse(&xml), Err(fault(line, reason)));
        }
    }

    #[test]
    fn nested_name_spaces_are_refused() {
        let nested = |count: usize| -> String {
            let begin: String =
                (0..count).map(|n| format!("<a xmlns:n{n}='http://n.example/{n}'>\n")).collect();
            format!("<metalink>{begin}{}</metalink>", "</a>".repeat(count))
        };
        assert!(parse(&nested(100)).expect("a metalink").urls.is_empty());
        let reason = "not a metalink: more than 100 name spaces are declared";
        assert_eq!(parse(&nested(101)), Err(fault(101, reason)));
        assert_eq!(parse(&nested(100_000)), Err(fault(101, reason)));
    }

    #[test]
    fn deep_nesting_and_truncation_do_not_panic() {
        let deep = "<metalink>".repeat(200_000);
        assert!(parse(&deep).is_err());
        assert!(parse(&(deep + &"</metalink>".repeat(200_000))).expect("well-formed").urls.is_empty());
        for end in 0..V3.len() - ">\n".len() {
            assert!(parse(&V3[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn base_is_the_url_without_the_suffix() {
        assert_eq!(base("https://a.example/f/repodata/repomd.xml"), "https://a.example/f/");
        assert_eq!(base("https://a.example/f/"), "https://a.example/f/");
    }
}
