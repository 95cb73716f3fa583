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
    parse(xml).expect("a metalink").mirrors.into_iter().map(|mirror| mirror.url).collect()
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
    assert!(input.mirrors.iter().map(|mirror| &mirror.url).eq(urls));
    assert_eq!(input.preferences(), Some(vec![100, 99, 1, 1]));
    assert_eq!(self::urls(&format!("\n\n  {V3}")), urls);
}

#[test]
fn version_4_has_urls_only() {
    let xml = r#"<metalink xmlns="urn:ietf:params:xml:ns:metalink">
            <file name="primary.xml.gz"><url>https://not.example/</url></file>
            <file name="repomd.xml"><metaurl mediatype="torrent">https://not.example/t</metaurl>
            <url location="de" priority="1">https://a.example/repodata/repomd.xml</url>
            <url priority="2">ftp://b.example/repodata/repomd.xml</url></file></metalink>"#;
    let input = parse(xml).expect("a metalink");
    assert_eq!(urls(xml), ["https://a.example/repodata/repomd.xml", "ftp://b.example/repodata/repomd.xml"]);
    assert_eq!(input.preferences(), None);
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
fn preferences_out_of_range_cost_no_mirror() {
    let table = [
        ("0", Some(1)),
        ("-12", Some(1)),
        ("101", Some(100)),
        (" 50 ", Some(50)),
        ("+7", Some(7)),
        ("99999999999999999999", Some(100)),
        ("-99999999999999999999", Some(1)),
        ("9.5", None),
        ("high", None),
        ("", None),
    ];
    for (text, preference) in table {
        let xml = V3.replace("preference=\"99\"", &format!("preference=\"{text}\""));
        let input = parse(&xml).expect("a metalink");
        assert_eq!((input.mirrors.len(), input.mirrors[1].preference), (4, preference), "{text}");
        assert_eq!(input.preferences(), Some(vec![100, preference.unwrap_or(1), 1, 1]));
    }
}

#[test]
fn metalink_errors_name_the_line() {
    const HTML: &str = "this is an HTML page, neither a mirrorlist nor a metalink: check where it came from";
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
        (format!("<metalink>\n<a{attributes}/>"), 2, "not a metalink: a tag or text is longer than 16 KiB"),
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
        let begin: String = (0..count).map(|n| format!("<a xmlns:n{n}='http://n.example/{n}'>\n")).collect();
        format!("<metalink>{begin}{}</metalink>", "</a>".repeat(count))
    };
    assert!(parse(&nested(100)).expect("a metalink").mirrors.is_empty());
    let reason = "not a metalink: more than 100 name spaces are declared";
    assert_eq!(parse(&nested(101)), Err(fault(101, reason)));
    assert_eq!(parse(&nested(100_000)), Err(fault(101, reason)));
}

#[test]
fn deep_nesting_and_truncation_do_not_panic() {
    let deep = "<metalink>".repeat(200_000);
    assert!(parse(&deep).is_err());
    assert!(parse(&(deep + &"</metalink>".repeat(200_000))).expect("well-formed").mirrors.is_empty());
    for end in 0..V3.len() - ">\n".len() {
        assert!(parse(&V3[..end]).is_err(), "{end}");
    }
}

#[test]
fn base_is_the_url_without_the_suffix() {
    assert_eq!(base("https://a.example/f/repodata/repomd.xml"), "https://a.example/f/");
    assert_eq!(base("https://a.example/f/"), "https://a.example/f/");
}
