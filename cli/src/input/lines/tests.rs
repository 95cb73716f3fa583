use super::*;
use crate::input::tests::message;

fn list(text: &[u8], uncomment: bool) -> Input {
    parse(text.to_vec(), uncomment).expect("a list")
}

/// The URLs of a list, and what comes out if its last mirror is the best.
fn reversed(text: &[u8], uncomment: bool) -> (Vec<String>, Vec<u8>) {
    let input = list(text, uncomment);
    let lines = input.reordered(&(0..input.mirrors.len()).rev().collect::<Vec<_>>());
    (input.mirrors.into_iter().map(|mirror| mirror.url).collect(), lines)
}

#[test]
fn url_is_found_in_any_kind_of_line() {
    let table: [(&str, &str); 20] = [
        ("https://a.example/pub/", "https://a.example/pub/"),
        ("\t ftp://a.example/pub \r", "ftp://a.example/pub"),
        ("HTTP://a.example", "HTTP://a.example"),
        ("rsync://a.example/pub", "rsync://a.example/pub"),
        ("Server = https://a.example/$repo/os/$arch", "https://a.example/$repo/os/$arch"),
        ("Server=https://a.example/$repo/os/$arch", "https://a.example/$repo/os/$arch"),
        ("@tag https://a.example/alpine/edge/main", "https://a.example/alpine/edge/main"),
        ("repository=https://a.example/current", "https://a.example/current"),
        ("https://a.example/debian\tpriority:1\ttype:index", "https://a.example/debian"),
        ("https://a.example/debian\x0b1", "https://a.example/debian"),
        ("https://a.example/pub # Berlin", "https://a.example/pub"),
        ("deb [arch=amd64] https://a.example/debian stable main", "https://a.example/debian"),
        ("deb file:/srv/debian stable main", "file:/srv/debian"),
        ("baseurl=\"https://a.example/my pub/\"", "https://a.example/my"),
        ("baseurl='https://a.example/pub'", "https://a.example/pub"),
        ("https://a.example/it's", "https://a.example/it's"),
        ("1.2+x:https://a.example/:8", "https://a.example/:8"),
        ("file:///srv/mirror", "file:///srv/mirror"),
        ("FILE:/srv/mirror # here", "FILE:/srv/mirror"),
        ("/srv/mirror\tpriority:1", "/srv/mirror"),
    ];
    for (line, url) in table {
        assert_eq!(list(line.as_bytes(), false).mirrors[0].url, url, "{line}");
    }
}

#[test]
fn lines_come_out_as_they_were() {
    let text = b"\n## A list \xfc\r\n\nServer = http://a.example/\xe9\xff\n \t# old\n\r\n  \
                 @b\thttp://b.example/ \r\nhttp://a.example/\nhttp://a.example/\x1b[2J";
    let expected: &[u8] = b"## A list \xfc\r\n \t# old\nhttp://a.example/\x1b[2J\nhttp://a.example/\n  \
                            @b\thttp://b.example/ \r\nServer = http://a.example/\xe9\xff\n";
    let (urls, lines) = reversed(text, false);
    assert_eq!(
        urls,
        ["http://a.example/%E9%FF", "http://b.example/", "http://a.example/", "http://a.example/\x1b[2J"]
    );
    assert_eq!(lines, expected);
    // The last line, which may have no end, gets that of the first.
    assert_eq!(
        reversed(b"http://a.example/\r\nx=http://b.example/", false).1,
        b"x=http://b.example/\r\nhttp://a.example/\r\n"
    );
}

#[test]
fn byte_order_marks_are_left_out() {
    let text =
        b"\xef\xbb\xbf# a\n\xef\xbb\xbf\nhttp://a.example/\n\xef\xbb\xbf\xef\xbb\xbfhttp://b.example/\n";
    let (urls, lines) = reversed(text, false);
    assert_eq!(urls, ["http://a.example/", "http://b.example/"]);
    assert_eq!(lines, b"# a\nhttp://b.example/\nhttp://a.example/\n");
}

#[test]
fn commented_mirrors_are_told_from_other_comments() {
    let mirrors = [
        "#Server = https://a.example/$repo/os/$arch",
        "  # Server = https://a.example/$repo/os/$arch  ",
        "##CacheServer=https://a.example/",
        "#https://a.example/alpine/edge/testing",
        "# @testing https://a.example/alpine/edge/testing",
        "#repository=https://a.example/",
        "# baseurl=\"https://a.example/\"",
        "# deb https://a.example/debian stable main",
        "#deb-src [arch=amd64 lang=de] https://a.example/debian stable main",
        "#file:/srv/mirror",
    ];
    for line in mirrors {
        let uncommented = format!("{}\n", line.trim_start_matches([' ', '#']));
        assert_eq!(reversed(format!("{line}\n").as_bytes(), true).1, uncommented.as_bytes(), "{line}");
        let hint = "list: there is no URL in this list; --uncomment takes the 1 that are commented out";
        assert_eq!(message(line.as_bytes()), hint, "{line}");
    }
    let comments = [
        "# https://a.example/how-to",
        "## https://a.example/how-to",
        "# See https://a.example/how-to",
        "# Server: https://a.example/",
        "# Homepage = https://a.example/",
        "# Write to @a or see https://a.example/",
        "# @a or https://a.example/",
        "# debian https://a.example/",
        "#Server = https://a.example/ or https://b.example/",
        "#/srv/mirror",
        "#!/bin/sh",
        "#",
    ];
    for line in comments {
        let text = format!("{line}\nhttp://c.example/");
        let (urls, lines) = reversed(text.as_bytes(), true);
        assert_eq!(urls, ["http://c.example/"], "{line}");
        assert_eq!(lines, format!("{text}\n").into_bytes());
    }
}

#[test]
fn more_than_a_url_is_more_than_a_url() {
    for line in ["http://a.example/", "  http://a.example/\r", "# comment\nhttp://a.example/", "/srv"] {
        assert!(!list(line.as_bytes(), false).has_more_than_urls(), "{line}");
    }
    for line in ["Server = http://a.example/", "http://a.example/ # a", "/srv\tpriority:1"] {
        assert!(list(line.as_bytes(), false).has_more_than_urls(), "{line}");
    }
}

#[test]
fn errors_name_the_line_and_count_the_others() {
    let rule = "; a line has one URL, such as https://..., or is a # comment";
    let long = format!("https://a.example/\n{}", "no such repository ".repeat(9));
    let table: [(&[u8], &str, &str); 14] = [
        (b"https://a.example/\n\nbad repository\n", "line 3: no URL in \"bad repository\"", ""),
        (b"mirror.example/pub\n", "line 1: no URL in \"mirror.example/pub\"", ""),
        (b"//mirror.example/pub\n", "line 1: no URL in \"//mirror.example/pub\"", ""),
        (b"://mirror.example/pub\n", "line 1: no URL in \"://mirror.example/pub\"", ""),
        (b"http:/mirror.example/\n", "line 1: no URL in \"http:/mirror.example/\"", ""),
        (b"mirror+file:/a\n", "line 1: no URL in \"mirror+file:/a\"", ""),
        (b"x\x1b[2J\nhttp:", "line 1: no URL in \"x\\u{1b}[2J\"", " (and 1 more line is wrong)"),
        (b"a\nhttp://a.example/\nb\nc", "line 1: no URL in \"a\"", " (and 2 more lines are wrong)"),
        (b"http ://a.example/", "line 1: no URL in \"http ://a.example/\"", ""),
        (b"http://a.example/ ftp://b.example", "line 1: 2 URLs in \"http://a.example/ ftp://b.example\"", ""),
        (
            b"http://a.example/\n<a href=http://b.example/>",
            "line 2: markup in \"<a href=http://b.example/>\"",
            "",
        ),
        (b"a\xe9\n", "line 1: no URL in \"a\u{fffd}\"", ""),
        (b"file:/a file:/b", "line 1: 2 URLs in \"file:/a file:/b\"", ""),
        (
            long.as_bytes(),
            "line 2: no URL in \"no such repository no such repository no… no such repository\"",
            "",
        ),
    ];
    for (bytes, start, end) in table {
        assert_eq!(message(bytes), format!("list: {start}{rule}{end}"));
    }
}

#[test]
fn longest_line_is_quoted_at_once() {
    let line = [&b"start"[..], &b"\0".repeat(15 << 20), b"end"].concat();
    let start = "list: line 1: no URL in \"start\\u{0}";
    assert!(message(&line).starts_with(start) && message(&line).contains("\\u{0}end\""));
}

#[test]
fn lists_of_millions_of_mirrors_are_refused() {
    let reason = "list: line 100002: a list has at most 100000 mirrors";
    let list = |count: usize| [b"# comment\n".to_vec(), b"/\n".repeat(count)].concat();
    assert_eq!(parse(list(100_000), false).expect("a list").mirrors.len(), 100_000);
    assert_eq!(message(&list(100_001)), reason);
    assert_eq!(message(&list(8_000_000)), reason);
}
