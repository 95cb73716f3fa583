//! Text from outside, made safe to print: on a terminal, in JSON, in a mirrorlist. A list comes
//! from the network, and nothing in it may control the terminal that shows it.

use std::fmt::Write;
use std::time::Duration;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character shows as itself. Control characters, characters that reorder, join or hide
/// text and unassigned ones do not. The standard library has the table (`char::escape_debug`).
pub(crate) fn is_plain(c: char) -> bool {
    // Printable ASCII first: most URLs are nothing else.
    matches!(c, ' '..='~') || c.escape_debug().len() == 1
}

/// The text for people: a character that is not plain becomes its escape, such as `\u{1b}`, and a
/// backslash becomes two, so that no two texts look the same.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            c if is_plain(c) => escaped.push(c),
            c => escaped.extend(c.escape_unicode()),
        }
    }
    escaped
}

/// The text like [`escape`] makes it, but with its line breaks: for a message of several lines.
pub(crate) fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape).collect::<Vec<_>>().join("\n")
}

/// The URL with `***` in place of a password: other people may see the screen.
pub(crate) fn without_password(url: &str) -> String {
    let hidden = || {
        // As curl does it, one to three slashes introduce the host.
        let (scheme, rest) = url.split_once(":/")?;
        let rest = rest.trim_start_matches('/');
        let slashes = &url[scheme.len() + 1..url.len() - rest.len()];
        // A password with one of these characters makes it no URL, and is hidden nevertheless.
        let end = match fastestmirror::Mirror::parse(url) {
            fastestmirror::Mirror::Unsupported => rest.rfind('@').map_or(0, |at| at + 1),
            _ => 0,
        };
        let end = end + rest[end..].find(['/', '?', '#']).unwrap_or(rest.len() - end);
        let authority = &rest[..end];
        let (user, host) = authority.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}:{slashes}{name}:***@{host}{}", &rest[authority.len()..]))
    };
    hidden().unwrap_or_else(|| url.into())
}

/// The URL for a mirrorlist: every character that is not plain is percent-encoded, so that it takes
/// one line and is still the same URL.
pub(crate) fn percent_encode(url: &str) -> String {
    let mut encoded = String::with_capacity(url.len());
    for c in url.chars() {
        if is_plain(c) {
            encoded.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// A time that is not measured but passes, in its greatest unit, rounded down: "3 days".
pub(crate) fn period(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds if seconds < 3600 => format!("{} min", seconds / 60),
        seconds if seconds < 48 * 3600 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / (24 * 3600)),
    }
}

/// Cuts the middle out of a text that is wider than `width` columns. More is kept of the start,
/// which names the host.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let room = width.saturating_sub(1);
    let tail_room = room / 3;
    let head = prefix(text.chars(), room - tail_room);
    let tail: String = prefix(text.chars().rev(), tail_room).chars().rev().collect();
    format!("{head}…{tail}")
}

/// The first of the characters, as many as fit into `width` columns.
fn prefix(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_hidden_and_nothing_else() {
        let table = [
            ("http://u:p@ss@a.example:80/x@y:z", "http://u:***@a.example:80/x@y:z"),
            ("http:/u:secret@a.example/", "http:/u:***@a.example/"),
            ("http://u:se/cret@a.example/x", "http://u:***@a.example/x"),
            ("http://u:se#cret@a.example", "http://u:***@a.example"),
            ("rsync://u:se?cret@a.example/x", "rsync://u:***@a.example/x"),
            ("http://a.example:80/@scope/x", "http://a.example:80/@scope/x"),
            ("https://u@a.example/", "https://u@a.example/"),
            ("http://a.example/u:p@b", "http://a.example/u:p@b"),
            ("file:///srv", "file:///srv"),
        ];
        for (url, shown) in table {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn escape_replaces_what_is_not_plain() {
        let table = [
            ("http://a.example/x?y='\"", "http://a.example/x?y='\""),
            ("http://münchen.example/镜像", "http://münchen.example/镜像"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\tb\r\n\0\x7f", "a\\u{9}b\\u{d}\\u{a}\\u{0}\\u{7f}"),
            ("\u{80}\u{9b}31m\u{9f}", "\\u{80}\\u{9b}31m\\u{9f}"),
            ("\u{202e}gpj\u{2066}\u{200b}\u{feff}", "\\u{202e}gpj\\u{2066}\\u{200b}\\u{feff}"),
            ("\u{2028}\u{ad}\u{e000}\u{a0}", "\\u{2028}\\u{ad}\\u{e000}\\u{a0}"),
            ("C:\\u{1b}", "C:\\\\u{1b}"),
        ];
        for (text, escaped) in table {
            assert_eq!(escape(text), escaped);
        }
        assert_eq!(escape_lines("a\x1b\nb"), "a\\u{1b}\nb");
    }

    #[test]
    fn percent_encode_keeps_a_url_on_one_line() {
        assert_eq!(percent_encode("http://a.example/ü\n\x1b\u{9b}"), "http://a.example/ü%0A%1B%C2%9B");
    }

    #[test]
    fn period_has_one_unit() {
        let table = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
            (2_592_000, "30 days"),
        ];
        for (seconds, expected) in table {
            assert_eq!(period(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn cut_removes_the_middle() {
        assert_eq!(cut("0123456789", 10), "0123456789");
        assert_eq!(cut("0123456789", 9), "012345…89");
        assert_eq!(cut("0123456789", 1), "…");
        assert_eq!(cut("镜像镜像镜像", 8), "镜像…像");
        assert_eq!(cut("0123456789", 0), "…");
    }
}
