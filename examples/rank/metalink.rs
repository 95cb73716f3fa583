//! Metalinks: version 3 as Fedora's MirrorManager gives it (<http://www.metalinker.org/>), with a preference from 1
//! to 100 for each URL, and version 4 (RFC 5854), which has priorities instead: ranks, not weights, so they are
//! not used.

use super::input::{Input, Wrong};
use super::text::escape;
use roxmltree::{Document, Node};

/// The file that stands for a repository.
const REPOMD: &str = "repomd.xml";
/// No tag and no text may be longer. The parser compares all attributes of a tag with each other, so that a huge tag
/// would keep it busy for hours; real ones have a few hundred bytes.
const MAX_PIECE: usize = 16 << 10;
/// What librepo, too, takes off to come from a metalink's URLs to those of a mirrorlist
/// (`lr_lrmirrorlist_append_metalink`).
const SUFFIX: &str = "repodata/repomd.xml";

/// The URL of the repository that a metalink's URL is in.
pub(crate) fn base(url: &str) -> &str {
    url.strip_suffix(SUFFIX).unwrap_or(url)
}

/// Reads a text that starts with `<`, possibly after white space.
pub(crate) fn parse(text: &str) -> Result<Input, Wrong> {
    // White space before an XML declaration is an error by the book, but what is meant is clear.
    let xml = text.trim_start();
    let lines_before = lines(&text[..text.len() - xml.len()]);
    let start: String = xml.chars().take(14).collect::<String>().to_ascii_lowercase();
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        return Err((Some(lines_before + 1), "an HTML page, neither a mirrorlist nor a metalink".into()));
    }
    let mut at = 0;
    for piece in xml.split('<') {
        if piece.len() > MAX_PIECE {
            let line = lines_before + lines(&xml[..at]) + 1;
            return Err((Some(line), "not a metalink: a tag or text of more than 16 KiB".into()));
        }
        at += piece.len() + 1;
    }
    let document = Document::parse(xml).map_err(|error| match error {
        roxmltree::Error::DtdDetected => (Some(lines_before + 1), "XML with a DTD, not a metalink".into()),
        // These two know no place: it is where the text breaks off.
        roxmltree::Error::UnclosedRootNode | roxmltree::Error::UnexpectedEndOfStream => {
            (Some(lines_before + xml.lines().count()), "malformed XML: it breaks off".into())
        }
        error => {
            (Some(lines_before + error.pos().row as usize), format!("malformed XML: {}", reason(&error)))
        }
    })?;
    let line = |node: &Node<'_, '_>| Some(lines_before + lines(&xml[..node.range().start]) + 1);

    let root = document.root_element();
    if root.tag_name().name() != "metalink" {
        let name = escape(root.tag_name().name());
        return Err((line(&root), format!("not a metalink: the root element is <{name}>")));
    }
    // Version 3 wraps files and URLs; version 4 does not.
    let files: Vec<_> = children(root, "files").flat_map(|files| children(files, "file")).collect();
    let files = if files.is_empty() { children(root, "file").collect() } else { files };
    let file = files.iter().find(|file| file.attribute("name") == Some(REPOMD));
    let file = file.or_else(|| files.iter().find(|file| urls_of(**file).next().is_some()));

    let mut urls = Vec::new();
    let mut preferences = Vec::new();
    for node in file.into_iter().flat_map(|file| urls_of(*file)) {
        let url: String = node.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect();
        let preference = node.attribute("preference").map(|text| {
            text.trim().parse().ok().filter(|preference| (1..=100).contains(preference)).ok_or_else(|| {
                (line(&node), format!("the preference \"{}\" is not a number from 1 to 100", escape(text)))
            })
        });
        let preference: Option<u8> = preference.transpose()?;
        if !url.trim().is_empty() {
            urls.push(url.trim().to_string());
            preferences.push(preference);
        }
    }
    let has_preferences = preferences.iter().any(Option::is_some);
    // Who prefers some mirrors does not prefer the others: they count least.
    let preferences: Vec<u8> = preferences.into_iter().map(|preference| preference.unwrap_or(1)).collect();
    Ok(Input { urls, preferences: has_preferences.then_some(preferences), is_metalink: true })
}

/// The elements of this name in `node`. They must be of its name space: there are extensions with names of theirs.
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

/// The parser's reason without the place, which stands before it already.
fn reason(error: &roxmltree::Error) -> String {
    let text = error.to_string();
    escape(&text.replace(&format!(" at {}", error.pos()), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the shape of what mirrors.fedoraproject.org gives.
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
    fn version_3_gives_urls_and_preferences() {
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
    fn version_4_gives_urls_alone() {
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
    fn without_repomd_the_first_file_with_urls_counts() {
        let xml = "<metalink><files><file name='a'><resources/></file><file name='b'><resources>\
                   <url>https://b.example/</url></resources></file><file name='c'><resources>\
                   <url>https://c.example/</url></resources></file></files></metalink>";
        assert_eq!(urls(xml), ["https://b.example/"]);
        assert!(urls("<metalink><files/></metalink>").is_empty());
    }

    #[test]
    fn what_is_no_metalink_is_told_with_its_line() {
        let preference = |text: &str| V3.replace("preference=\"99\"", &format!("preference=\"{text}\""));
        let attributes: String = (0..9999).map(|n| format!(" a{n}=''")).collect();
        let table = [
            ("\n<!DOCTYPE HTML>\n<p>".to_string(), 2, "an HTML page, neither a mirrorlist nor a metalink"),
            ("<html lang=en>".to_string(), 1, "an HTML page, neither a mirrorlist nor a metalink"),
            (
                "<?xml version='1.0'?>\n<h:html xmlns:h='x'/>".into(),
                2,
                "not a metalink: the root element is <html>",
            ),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>".into(), 1, "XML with a DTD, not a metalink"),
            ("\n<metalink>\n<a>\n</b></metalink>".into(), 4, "malformed XML: expected 'a' tag, not 'b'"),
            (
                "<metalink>\n<url>http://a.example/?a&b</url>".into(),
                2,
                "malformed XML: malformed entity reference",
            ),
            ("\n<metalink>\n<files>\n".into(), 3, "malformed XML: it breaks off"),
            ("\n<metalink>\n<files".into(), 3, "malformed XML: it breaks off"),
            (preference("0"), 18, "the preference \"0\" is not a number from 1 to 100"),
            (preference("101"), 18, "the preference \"101\" is not a number from 1 to 100"),
            (preference("9.5"), 18, "the preference \"9.5\" is not a number from 1 to 100"),
            (preference("\u{85}"), 18, "the preference \"\\u{85}\" is not a number from 1 to 100"),
            (format!("<metalink>\n<a{attributes}/>"), 2, "not a metalink: a tag or text of more than 16 KiB"),
        ];
        for (xml, line, reason) in table {
            assert_eq!(parse(&xml), Err((Some(line), reason.to_string())));
        }
    }

    #[test]
    fn deep_nesting_and_broken_text_are_taken_without_a_panic() {
        let deep = "<metalink>".repeat(200_000);
        assert!(parse(&deep).is_err());
        assert!(parse(&(deep + &"</metalink>".repeat(200_000))).expect("well-formed").urls.is_empty());
        for end in 0..V3.len() - ">\n".len() {
            assert!(parse(&V3[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_base_is_what_the_suffix_leaves() {
        assert_eq!(base("https://a.example/f/repodata/repomd.xml"), "https://a.example/f/");
        assert_eq!(base("https://a.example/f/"), "https://a.example/f/");
    }
}
