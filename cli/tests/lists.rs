//! Lists and metalinks in the shapes of real ones, which were made for this test (`lists/`). Each
//! mirror comes out exactly once; lines, and all of a metalink but the order of its mirrors, come
//! out byte for byte. All hosts are under .example or on loopback, and with a timeout of 0 nothing
//! is sent.

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::servers;

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lists").join(name);
    fs::read(path).expect("a list of this test")
}

/// What the command prints about this input.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fastestmirror"));
    command.args(arguments).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input).expect("the command reads its input before it prints");
    drop(stdin);
    child.wait_with_output().expect("the command ends")
}

/// What the command prints about this input if nothing is measured.
fn printed(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let output = run(&[&["--timeout=0"], arguments].concat(), input);
    // No mirror answers, but some are directories.
    let status = output.status.code().expect("the command ends by itself");
    assert!(status == 0 || status == 3, "{output:?}");
    output.stdout
}

fn json(arguments: &[&str], input: &[u8]) -> Vec<Value> {
    let value: Value =
        serde_json::from_slice(&printed(&[&["--json"], arguments].concat(), input)).expect("JSON");
    value["mirrors"].as_array().expect("an array").clone()
}

/// The URLs of the mirrors, best first. Each of so many mirrors must be there exactly once.
fn urls(arguments: &[&str], input: &[u8], count: usize) -> Vec<String> {
    let mirrors = json(arguments, input);
    let mut indices: Vec<_> = mirrors.iter().filter_map(|mirror| mirror["index"].as_u64()).collect();
    indices.sort_unstable();
    assert!(indices.into_iter().eq(0..count as u64), "{count} mirrors");
    mirrors.iter().map(|mirror| mirror["url"].as_str().expect("a URL").to_owned()).collect()
}

fn utf_8(utf_16: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    let units = utf_16.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.expect("UTF-16").into_bytes()
}

/// The lines of a text that are not empty, with their ends, but without byte order marks.
fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).to_vec());
    lines.filter(|line| !line.trim_ascii().is_empty()).collect()
}

fn is_comment(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"#")
}

fn sorted(mut lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    lines.sort();
    lines
}

/// The lists that are neither packed nor in UTF-16, with the number of their mirrors, and with that
/// of those that are commented out.
const LISTS: [(&str, usize, usize); 12] = [
    ("almalinux", 12, 0),
    ("apk", 6, 2),
    ("appended", 49, 33),
    ("apt-mirrors", 8, 0),
    ("apt-sources", 4, 2),
    ("bom", 12, 0),
    ("latin-1", 2, 1),
    ("mirrormanager-mirrorlist", 40, 0),
    ("pacman", 0, 300),
    ("pacman-crlf", 18, 31),
    ("pacman-selected", 18, 31),
    ("xbps", 4, 1),
];

/// Checks that these lines come out: first the comments, as they were and in their order, and then
/// the mirrors, as they were and each once.
fn assert_lines(name: &str, arguments: &[&str], text: &[u8], comments: &[Vec<u8>], mirrors: &[Vec<u8>]) {
    let out = lines(&printed(&[&["--lines"], arguments].concat(), text));
    assert_eq!(out[..comments.len()], *comments, "{name}");
    assert_eq!(sorted(out[comments.len()..].to_vec()), sorted(mirrors.to_vec()), "{name}");
    let urls = urls(arguments, text, mirrors.len());
    for (line, url) in out[comments.len()..].iter().zip(urls) {
        // A path is ranked as a URL, and bytes that are not UTF-8 are percent-encoded.
        let (line, path) = (String::from_utf8_lossy(line), url.trim_start_matches("file://"));
        assert!(
            line.contains(path) || line.contains('\u{fffd}') && url.contains("%F6%DFe/"),
            "{url} in {line}"
        );
    }
    let printed_urls = String::from_utf8(printed(&[&["--urls"], arguments].concat(), text)).expect("UTF-8");
    assert_eq!(printed_urls.lines().count(), mirrors.len(), "{name}");
}

#[test]
fn lines_come_out_once_and_byte_for_byte() {
    for (name, count, commented_out) in LISTS {
        let text = read(name);
        let mut all = lines(&text);
        if let Some(last) = all.last_mut().filter(|last| !last.ends_with(b"\n")) {
            last.push(b'\n');
        }
        let (comments, mirrors): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|line| is_comment(line));
        assert_eq!(mirrors.len(), count, "{name}");
        if count > 0 {
            assert_lines(name, &[], &text, &comments, &mirrors);
        } else {
            let output = run(&["--lines", "--timeout=0"], &text);
            assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{name}");
            let message = String::from_utf8(output.stderr).expect("UTF-8");
            let hint = format!(
                "there is no URL in this list; --uncomment takes the {commented_out} that are commented out"
            );
            assert!(message.contains(&hint), "{name}: {message}");
        }

        // What these lists have commented out, and nothing else that is in their comments.
        let starts: [&[u8]; 6] =
            [b"Server", b"@", b"repository=", b"deb", b"deb-src", b"https://cdn.example"];
        let mirror = |line: &Vec<u8>| -> Option<Vec<u8>> {
            let line = if is_comment(line) { line.strip_prefix(b"#")?.trim_ascii_start() } else { line };
            let is_mirror = line.len() < 200 && starts.iter().any(|start| line.starts_with(start));
            is_mirror.then(|| line.to_vec())
        };
        let (commented, comments): (Vec<_>, Vec<_>) =
            comments.into_iter().partition(|line| mirror(line).is_some());
        assert_eq!(commented.len(), commented_out, "{name}");
        let uncommented = commented.iter().filter_map(mirror).chain(mirrors).collect::<Vec<_>>();
        assert_lines(name, &["--uncomment"], &text, &comments, &uncommented);
    }
}

#[test]
fn packed_lists_are_as_the_unpacked_ones() {
    for (packed, plain, format) in [
        ("almalinux.gz", "almalinux", "--lines"),
        ("almalinux.xz", "almalinux", "--lines"),
        ("bom", "almalinux", "--lines"),
        ("mirrormanager.metalink.gz", "mirrormanager.metalink", "--metalink"),
        ("mirrorbrain.meta4.xz", "mirrorbrain.meta4", "--metalink"),
    ] {
        for format in [format, "--urls"] {
            assert_eq!(printed(&[format], &read(packed)), printed(&[format], &read(plain)), "{packed}");
        }
    }
}

#[test]
fn lists_in_utf_16_come_out_in_utf_8() {
    for (name, unit) in
        [("utf-16le", u16::from_le_bytes as fn([u8; 2]) -> u16), ("utf-16be", u16::from_be_bytes)]
    {
        let text = read(name);
        let (comments, mirrors): (Vec<_>, Vec<_>) =
            lines(&utf_8(&text, unit)).into_iter().partition(|line| is_comment(line));
        assert_eq!((comments.len(), mirrors.len()), (1, 5));
        assert_lines(name, &[], &text, &comments, &mirrors);
    }
}

#[test]
fn lines_are_the_default_where_the_urls_are_not_the_list() {
    for (name, is_default) in [("pacman-selected", true), ("apk", true), ("almalinux", false)] {
        let (text, default) = (read(name), printed(&[], &read(name)));
        assert_eq!(default == printed(&["--lines"], &text), is_default, "{name}");
    }
}

/// The elements of URLs in a metalink, and what is between them.
fn elements(text: &str) -> (Vec<String>, Vec<String>) {
    let mut between = Vec::new();
    let mut urls = Vec::new();
    let (head, mut rest) = text.split_once("<file name=\"repomd.xml\">").expect("the file");
    between.push(head.to_owned());
    while let Some((before, after)) = rest.split_once("<url") {
        let (element, after) = after.split_once("</url>").expect("the end of a URL");
        between.push(before.to_owned());
        urls.push(element.to_owned());
        rest = after;
    }
    between.push(rest.to_owned());
    (urls, between)
}

/// An element of a URL without its preference or priority, and that number.
fn without_number(element: &str, attribute: &str) -> (String, Option<String>) {
    match element.split_once(&format!(" {attribute}=")) {
        Some((before, after)) => {
            let quote = &after[..1];
            let (number, after) = after[1..].split_once(quote).expect("a quote");
            (format!("{before}{after}"), Some(number.to_owned()))
        }
        None => (element.to_owned(), None),
    }
}

/// Metalinks: the number of their mirrors, that of their other URLs, and how they are ordered.
const METALINKS: [(&str, usize, usize, &str); 7] = [
    ("latin-1.metalink", 5, 0, "preference"),
    ("mirrorbrain.meta4", 30, 0, "priority"),
    ("mirrorbrain.metalink", 130, 2, "preference"),
    ("mirrorcache.meta4", 26, 0, "priority"),
    ("mirrorcache.metalink", 120, 0, "preference"),
    ("mirrormanager.metalink", 89, 0, "preference"),
    ("mirrormanager-utf-16.metalink", 89, 0, "preference"),
];

/// Decodes a metalink of this test for comparisons.
fn decode(bytes: &[u8]) -> String {
    if bytes.starts_with(b"\xff\xfe") {
        return String::from_utf8(utf_8(bytes, u16::from_le_bytes)).expect("UTF-8");
    }
    String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| bytes.iter().map(|&byte| char::from(byte)).collect())
}

#[test]
fn metalinks_keep_all_but_the_order() {
    for (name, count, others, attribute) in METALINKS {
        let input = read(name);
        let output = printed(&["--metalink"], &input);
        let (given, between) = elements(&decode(&input));
        let (out, between_out) = elements(&decode(&output));
        assert_eq!(between_out, between, "{name}");
        assert_eq!((given.len(), out.len()), (count + others, count + others), "{name}");
        let plain = |elements: &[String]| -> Vec<String> {
            elements.iter().map(|element| without_number(element, attribute).0).collect()
        };
        let (mut given_plain, mut out_plain) = (plain(&given), plain(&out));
        given_plain.sort();
        out_plain.sort();
        assert_eq!(out_plain, given_plain, "{name}");

        // The numbers say the same as the order, and what is no mirror is as it was.
        let is_other = |element: &&String| element.contains("bittorrent") || element.contains("magnet");
        let numbers = out.iter().filter(|element| !is_other(element));
        let numbers = numbers.map(|element| without_number(element, attribute).1.expect(attribute));
        let expected = (0..count).map(|place| match attribute {
            "preference" => 100_usize.saturating_sub(place).max(1).to_string(),
            _ => (place + 1).to_string(),
        });
        assert!(numbers.eq(expected), "{name}");
        let places = |elements: &[String]| -> Vec<(usize, String)> {
            let others = elements.iter().enumerate().filter(|(_, element)| is_other(element));
            others.map(|(place, element)| (place, element.clone())).collect()
        };
        assert_eq!(places(&out), places(&given), "{name}");

        // Read again, it has the same mirrors in the same order, and nothing is left to be changed.
        let order = urls(&[], &input, count);
        assert_eq!(urls(&[], &output, count), order, "{name}");
        assert_eq!(printed(&["--metalink"], &output), output, "{name}");
        let printed_urls = String::from_utf8(printed(&["--urls"], &input)).expect("UTF-8");
        let bases = order.iter().map(|url| url.trim_end_matches("repodata/repomd.xml"));
        assert!(printed_urls.lines().eq(bases), "{name}");
    }
}

#[test]
fn mirrors_that_filters_leave_out_are_in_no_format() {
    let metalink = read("mirrormanager.metalink");
    let out = decode(&printed(&["--metalink", "--exclude=*.de.example"], &metalink));
    let (given, between) = elements(&decode(&metalink));
    // The library knows no host of what it cannot connect to.
    let is_kept = |element: &String| element.contains("rsync") || !element.contains(".de.example");
    let kept = given.iter().filter(|element| is_kept(element)).count();
    assert!((10..given.len() - 10).contains(&kept));
    let (out, between_out) = elements(&out);
    assert!(out.len() == kept && out.iter().all(is_kept));
    assert_eq!(between_out[..=kept], between[..=kept]);
    assert_eq!(between_out.last(), between.last());

    let text = read("pacman-selected");
    let lines_out = lines(&printed(&["--lines", "--exclude=*.example"], &text));
    let expected = lines(&text).into_iter().filter(|line| {
        is_comment(line)
            || [&b"rsync:"[..], b"file:"]
                .iter()
                .any(|scheme| line.windows(scheme.len()).any(|it| it == *scheme))
    });
    assert_eq!(sorted(lines_out), sorted(expected.collect()));
}

#[test]
fn order_of_version_4_is_that_of_the_priorities() {
    let metalink = read("mirrorcache.meta4");
    let (given, _) = elements(&decode(&metalink));
    let mut sorted: Vec<_> = given
        .iter()
        .map(|element| {
            let number = without_number(element, "priority").1.and_then(|number| number.parse::<i32>().ok());
            (number.map_or(999_999, |number| number.max(1)), element.split_once('>').expect("a URL").1)
        })
        .collect();
    sorted.sort_by_key(|(priority, _)| *priority);
    assert!(urls(&[], &metalink, 26).iter().eq(sorted.iter().map(|(_, url)| url)));
}

#[test]
fn nearest_mirror_is_first_in_lists_and_metalinks() {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 77, 5, 1), 0)).expect("loopback can be bound");
    let port = listener.local_addr().expect("it is bound").port();
    let closed = [2, 3].map(|host| format!("http://127.77.5.{host}:{}/$a", servers::closed_port()));
    let near = format!("http://127.77.5.1:{port}/$a");
    let line = |url: &str| format!("Server = {url}\n");
    let list = format!("# A list\n{}{}{}", line(&closed[0]), line(&closed[1]), line(&near));
    let expected = format!("# A list\n{}{}{}", line(&near), line(&closed[0]), line(&closed[1]));
    let output = run(&[], list.as_bytes());
    assert_eq!((output.status.code(), output.stdout), (Some(0), expected.into_bytes()));

    let element = |url: &str, preference: u8| format!("<url preference=\"{preference}\">{url}</url>");
    let metalink = |elements: [String; 3]| {
        let elements = elements.concat();
        format!(
            "<metalink><files><file name=\"repomd.xml\"><resources>{elements}</resources></file></files></metalink>"
        )
    };
    let given = metalink([element(&closed[0], 70), element(&closed[1], 0), element(&near, 1)]);
    let expected = metalink([element(&near, 100), element(&closed[0], 99), element(&closed[1], 98)]);
    let output = run(&["--metalink"], given.as_bytes());
    assert_eq!((output.status.code(), output.stdout), (Some(0), expected.into_bytes()));
}
