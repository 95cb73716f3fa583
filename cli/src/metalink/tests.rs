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

fn parse(xml: &str) -> Result<Input, Fault> {
    super::parse(Text::decode(xml.into()))
}

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
fn millions_of_elements_are_refused() {
    let xml = |count: usize| format!("<metalink>{}</metalink>", "<a/>".repeat(count));
    assert!(parse(&xml(400_000)).expect("a metalink").mirrors.is_empty());
    let reason = "not a metalink: more than 500000 elements and texts";
    assert_eq!(parse(&xml(3_000_000)), Err(Fault { line: None, reason: reason.into() }));
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

/// What a client that sorts by preference or priority has: the URLs, and these numbers.
fn reordered(xml: &[u8], order: &[usize]) -> (Vec<u8>, Vec<String>) {
    let input = super::parse(Text::decode(xml.to_vec())).expect("a metalink");
    let bytes = input.reordered(order);
    let again = super::parse(Text::decode(bytes.clone())).expect("a metalink again");
    let expected = order.iter().map(|&index| &input.mirrors[index].url);
    let urls: Vec<String> = again.mirrors.into_iter().map(|mirror| mirror.url).collect();
    assert!(urls.iter().eq(expected), "{urls:?}");
    (bytes, urls)
}

#[test]
fn version_3_is_reordered_with_preferences() {
    let (bytes, _) = reordered(V3.as_bytes(), &[3, 2, 0, 1]);
    let (before, rest) = V3.split_once("    <url").expect("a URL");
    let (_, after) = rest.rsplit_once("    <url/>").expect("an empty URL");
    let urls = r#"    <url protocol="http" type="http" location="US" preference="100">http://c.example/f/repodata/repomd.xml</url>
    <url protocol="http" type="http" location="FR" preference="99">
      http://b.example/f?a=1&amp;b=2<![CDATA[&c=3]]>
    </url>
    <url protocol="https" type="https" location="DE" preference="98">https://a.example/f/repodata/repomd.xml</url>
    <url protocol="rsync" type="rsync" location="DE" preference="97">rsync://a.example/f/repodata/repomd.xml</url>
    <url/>"#;
    let urls = urls.replacen(" location=\"US\" preference=\"100\"", " location=\"US\"", 1);
    let urls = urls.replacen("<url protocol", "<url preference=\"100\" protocol", 1);
    assert_eq!(String::from_utf8(bytes).expect("UTF-8"), format!("{before}{urls}{after}"));
}

#[test]
fn places_of_mirrors_that_are_left_out_go() {
    let (bytes, _) = reordered(V3.as_bytes(), &[2]);
    let (before, rest) = V3.split_once("    <url").expect("a URL");
    let (_, after) = rest.rsplit_once("    <url/>").expect("an empty URL");
    let urls = r#"    <url protocol="http" type="http" location="FR" preference="100">
      http://b.example/f?a=1&amp;b=2<![CDATA[&c=3]]>
    </url>
    <url/>"#;
    assert_eq!(String::from_utf8(bytes).expect("UTF-8"), format!("{before}{urls}{after}"));
    let (bytes, _) = reordered(V3.as_bytes(), &[]);
    assert_eq!(String::from_utf8(bytes).expect("UTF-8"), format!("{}\n    <url/>{after}", before.trim_end()));
}

#[test]
fn version_4_is_in_the_order_of_priorities() {
    let xml = "<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='repomd.xml'><size>1</size>\
               <url priority='3' location='de'>https://c.example/</url><url>https://none.example/</url>\
               <url priority='-1'>https://a.example/</url><metaurl mediatype='torrent'>https://not.example/\
               </metaurl><url priority='x'>https://text.example/</url><url priority='1'>https://b.example/</url>\
               </file></metalink>";
    let given = ["a", "b", "c", "none", "text"].map(|name| format!("https://{name}.example/"));
    assert_eq!(urls(xml), given);
    let (bytes, _) = reordered(xml.as_bytes(), &[4, 2, 0, 1]);
    let expected = "<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='repomd.xml'><size>1</size>\
                    <url priority='1'>https://text.example/</url>\
                    <url priority='2' location='de'>https://c.example/</url>\
                    <url priority='3'>https://a.example/</url><metaurl mediatype='torrent'>https://not.example/\
                    </metaurl><url priority='4'>https://b.example/</url></file></metalink>";
    assert_eq!(String::from_utf8(bytes).expect("UTF-8"), expected);
}

#[test]
fn other_networks_are_no_mirrors() {
    let xml = V3.replacen("type=\"https\"", "type=\"BitTorrent\"", 1);
    assert_eq!(urls(&xml).len(), 3);
    let (bytes, _) = reordered(xml.as_bytes(), &[2, 1, 0]);
    let text = String::from_utf8(bytes).expect("UTF-8");
    // It stays where it is, as it is.
    assert!(text.contains("maxconnections=\"1\">\n    <url protocol=\"https\" type=\"BitTorrent\" location=\"DE\" \
                           preference=\"100\">https://a.example/f/repodata/repomd.xml</url>\n    <url preference=\"100\""), "{text}");
}

#[test]
fn many_mirrors_have_the_last_preference_in_order() {
    let elements: String =
        (0..300).map(|n| format!("<url preference='50'>http://m{n}.example/</url>\n")).collect();
    let xml = format!(
        "<metalink><files><file name='repomd.xml'><resources>\n{elements}</resources></file></files></metalink>"
    );
    let order: Vec<usize> = (0..300).rev().collect();
    let (bytes, _) = reordered(xml.as_bytes(), &order);
    let text = String::from_utf8(bytes).expect("UTF-8");
    assert!(
        text.contains("<url preference='100'>http://m299.example/</url>\n<url preference='99'>"),
        "{text}"
    );
    assert_eq!(text.matches("preference='1'").count(), 201);
}

#[test]
fn encoding_and_odd_bytes_are_kept() {
    let utf_16 = |text: &str| -> Vec<u8> {
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect()
    };
    let a = "<url preference='1' location='é'>http://a.example/é</url>";
    let b = "<url>http://b.example/ü</url>";
    let c = "<url preference='7'>http://c.example/</url>";
    let document = |name: &str, urls: &[&str]| {
        let urls = urls.concat();
        format!(
            "<?xml version='1.0' encoding='{name}'?><!-- é --><metalink><files><file name='repomd.xml'><resources>{urls}</resources></file></files><!-- ö -->\n</metalink>"
        )
    };
    let expected = |name: &str| {
        let urls =
            [c.replace("7", "100"), b.replace("<url", "<url preference=\"99\""), a.replace("'1'", "'98'")];
        document(name, &urls.each_ref().map(String::as_str))
    };
    let latin_1 = |text: String| -> Vec<u8> { text.chars().map(|c| c as u8).collect() };
    let xml = document("ISO-8859-1", &[a, b, c]);
    let (bytes, urls) = reordered(&latin_1(xml), &[2, 1, 0]);
    assert_eq!(bytes, latin_1(expected("ISO-8859-1")));
    assert_eq!(urls, ["http://c.example/", "http://b.example/ü", "http://a.example/é"]);
    // Declared as UTF-8, it is wrong; the bytes are kept nevertheless.
    let (bytes, urls) = reordered(&latin_1(document("UTF-8", &[a, b, c])), &[2, 1, 0]);
    assert_eq!(bytes, latin_1(expected("UTF-8")));
    assert_eq!(urls, ["http://c.example/", "http://b.example/%FC", "http://a.example/%E9"]);
    let (bytes, _) = reordered(&utf_16(&document("UTF-16", &[a, b, c])), &[2, 1, 0]);
    assert_eq!(bytes, utf_16(&expected("UTF-16")));
    let (bytes, _) = reordered(format!("\u{feff} {}", document("utf-8", &[a, b, c])).as_bytes(), &[2, 1, 0]);
    assert_eq!(String::from_utf8(bytes).expect("UTF-8"), format!("\u{feff} {}", expected("utf-8")));
}

#[test]
fn urls_in_different_name_spaces_cannot_change_places() {
    let can_be_reordered = |xml: &str| match parse(xml).expect("a metalink").kind {
        Kind::Metalink(metalink) => metalink.can_be_reordered,
        Kind::Lines(_) => panic!("it is a metalink"),
    };
    let xml = |a: &str, b: &str| {
        format!(
            "<metalink xmlns='x'><files><file name='repomd.xml'><resources{a}><url>http://a.example/</url></resources>\
             <resources{b}><url>http://b.example/</url></resources></file></files></metalink>"
        )
    };
    assert!(can_be_reordered(V3) && can_be_reordered(&xml("", "")));
    assert!(can_be_reordered(&xml(" xmlns:p='y'", " xmlns:p='y'")));
    assert!(!can_be_reordered(&xml(" xmlns:p='y'", " xmlns:p='z'")));
}

#[test]
fn urls_stay_where_bytes_depend_on_those_before() {
    // In this encoding a sequence shifts to other characters until the next one, wherever that is.
    let xml = "<?xml version='1.0' encoding='ISO-2022-JP'?><metalink><files><file name='repomd.xml'><resources>\
               \x1b(J<url>http://a.example/~</url>\x1b$B$\"\x1b(B<url>http://b.example/~</url></resources>\
               </file></files></metalink>";
    let Input { mirrors, kind: Kind::Metalink(metalink) } = parse(xml).expect("a metalink") else {
        panic!("it is a metalink")
    };
    let urls: Vec<_> = mirrors.iter().map(|mirror| &*mirror.url).collect();
    assert_eq!(urls, ["http://a.example/\u{203e}", "http://b.example/~"]);
    assert!(!metalink.can_be_reordered);
}
