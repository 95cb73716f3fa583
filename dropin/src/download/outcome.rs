//! What a failure that librepo reports says about the mirror, and which mirror it was. librepo
//! passes texts alone: its message, and the URL of the file.
#![forbid(unsafe_code)]

use fastestmirror::DownloadOutcome;

/// Returns the outcome that a message of librepo stands for; nothing if it says nothing about the
/// mirror, as when the download was cancelled.
pub(super) fn of_message(message: &str) -> Option<DownloadOutcome> {
    if let Some(status) = number_after(message, "Status code: ") {
        return match status {
            404 | 410 => Some(DownloadOutcome::Missing),
            500..=599 => Some(DownloadOutcome::Broken),
            _ => None,
        };
    }
    if let Some(code) = number_after(message, "Curl error (") {
        return of_curl(code);
    }
    // Of the last, the rest is that the server's size of the file is another one.
    let is_stale = [
        "Downloading successful, but checksum doesn't match",
        "At least one of the zchunk checksums doesn't match",
        "Interrupted by header callback: Inconsistent ",
    ];
    is_stale.iter().any(|start| message.starts_with(start)).then_some(DownloadOutcome::Stale)
}

/// Returns the outcome that an error code of libcurl stands for. The others have their causes here:
/// a full disk, a proxy, a callback.
fn of_curl(code: u32) -> Option<DownloadOutcome> {
    match code {
        // FTP: the server could not read the file; there is none.
        19 | 78 => Some(DownloadOutcome::Missing),
        // No address, no connection, a body that is cut short, a timeout or too slow.
        6 | 7 | 18 | 28
        // TLS: no handshake, a certificate that is not accepted.
        | 35 | 60
        // No reply, an error while sending or receiving, and those of HTTP/2 and HTTP/3.
        | 8 | 16 | 52 | 55 | 56 | 92 | 95 => Some(DownloadOutcome::Broken),
        _ => None,
    }
}

fn number_after(message: &str, start: &str) -> Option<u32> {
    let rest = message.strip_prefix(start)?;
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

/// Returns the mirror whose URL of this file is the one that failed. After a redirect there is
/// none, and it is not known which mirror has failed. A redirect may lead to another mirror: if its
/// host alone counted, a hostile mirror could have others demoted, by a file that they lack or a
/// port that is closed. Where it leads to the very URL that librepo would ask of the other mirror,
/// it is that one that has failed.
pub(super) fn mirror_of<'a>(mirrors: &'a [String], path: &str, url: &str) -> Option<&'a str> {
    let found = Location::of(url)?;
    let is_asked = |mirror: &&String| {
        Location::of(mirror).is_some_and(|mirror| {
            let start = mirror.path.trim_end_matches('/');
            let expected = format!("{start}/{}{}", path.trim_matches('/'), mirror.query);
            found.scheme.eq_ignore_ascii_case(mirror.scheme)
                && found.host.eq_ignore_ascii_case(mirror.host)
                && as_sent(&expected) == as_sent(&format!("{}{}", found.path, found.query))
        })
    };
    mirrors.iter().find(is_asked).map(String::as_str)
}

/// Encodes what libcurl encodes, and writes the digits of escapes in capitals. What a server can
/// tell apart stays different.
fn as_sent(path: &str) -> String {
    let mut sent = String::with_capacity(path.len());
    let mut in_escape = 0_u8;
    for byte in path.bytes() {
        match byte {
            b'%' => in_escape = 3,
            _ if in_escape > 0 && !byte.is_ascii_hexdigit() => in_escape = 0,
            _ => {}
        }
        match byte {
            b'!'..=b'~' if in_escape > 0 => sent.push(char::from(byte.to_ascii_uppercase())),
            b'!'..=b'~' => sent.push(char::from(byte)),
            _ => sent.push_str(&format!("%{byte:02X}")),
        }
        in_escape = in_escape.saturating_sub(1);
    }
    sent
}

/// The parts of a URL that say where a file is.
struct Location<'a> {
    scheme: &'a str,
    /// With the port, and without user and password.
    host: &'a str,
    path: &'a str,
    /// With its question mark.
    query: &'a str,
}

impl Location<'_> {
    fn of(url: &str) -> Option<Location<'_>> {
        let (scheme, rest) = url.split_once("://")?;
        let (rest, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        Some(Location { scheme, host, path, query })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DownloadOutcome::{Broken, Missing, Stale};

    #[test]
    fn outcome_is_in_the_message() {
        for (message, outcome) in [
            ("Status code: 404 for http://a.example/x (IP: 127.0.0.1)", Some(Missing)),
            ("Status code: 410 for http://a.example/x (IP: 127.0.0.1)", Some(Missing)),
            ("Status code: 403 for http://a.example/x (IP: 127.0.0.1)", None),
            ("Status code: 503 for http://a.example/x (IP: 127.0.0.1)", Some(Broken)),
            ("Status code:", None),
            ("Status code: ", None),
            ("Status code: 99999999999 for http://a.example/x", None),
            (
                "Curl error (28): Timeout was reached for http://a.example/x [Operation too slow.]",
                Some(Broken),
            ),
            ("Curl error (7): Couldn't connect to server for http://a.example/x []", Some(Broken)),
            ("Curl error (78): Remote file not found for ftp://a.example/x []", Some(Missing)),
            (
                "Curl error (42): Operation was aborted by an application callback for http://a.example/x",
                None,
            ),
            ("Curl error (23): Failed writing received data to disk/application", None),
            (
                "Downloading successful, but checksum doesn't match. Calculated: 1(sha1) Expected: 2(sha1)",
                Some(Stale),
            ),
            (
                "Interrupted by header callback: Inconsistent server data, reported file Content-Length: 1, \
                 repository metadata states file length: 2 (please report to repository maintainer)",
                Some(Stale),
            ),
            ("At least one of the zchunk checksums doesn't match in http://a.example/x", Some(Stale)),
            ("a checksum of another kind", None),
            ("", None),
        ] {
            assert_eq!(of_message(message), outcome, "{message}");
        }
    }

    #[test]
    fn mirror_is_the_one_that_was_asked_for_the_file() {
        let mirrors = [
            "http://a.example/one",
            "http://a.example/one/deep//",
            "https://me:secret@b.example:8443/",
            "http://c.example",
            "file:///srv/one",
            "http://d.example/os/?key=1",
            "ftp://a.example/one",
        ]
        .map(String::from);
        for (path, url, mirror) in [
            ("x.rpm", "http://a.example/one/x.rpm", Some(0)),
            ("/x.rpm", "HTTP://A.example/one/x.rpm", Some(0)),
            ("deep/x.rpm", "http://a.example/one/deep/x.rpm", Some(0)),
            ("x.rpm", "http://a.example/one/deep/x.rpm", Some(1)),
            ("x.rpm", "https://b.example:8443/x.rpm", Some(2)),
            ("x.rpm", "https://me:secret@b.example:8443/x.rpm", Some(2)),
            ("x.rpm", "http://c.example/x.rpm", Some(3)),
            ("x.rpm", "file:///srv/one/x.rpm", Some(4)),
            ("x.rpm", "http://d.example/os/x.rpm?key=1", Some(5)),
            ("x.rpm", "ftp://a.example/one/x.rpm", Some(6)),
            // As libcurl writes them.
            ("a b\u{e4}%2b.rpm", "http://a.example/one/a%20b%c3%A4%2B.rpm", Some(0)),
            ("x.rpm", "http://cdn.example/one/x.rpm", None),
            // To these only a redirect leads, which may be another mirror's.
            ("x.rpm", "https://a.example/one/x.rpm", None),
            ("x.rpm", "http://b.example:8443/x.rpm", None),
            ("x.rpm", "http://a.example:81/one/x.rpm", None),
            ("x.rpm", "http://a.example/one/y.rpm", None),
            ("x.rpm", "http://a.example/ones/x.rpm", None),
            ("x.rpm", "http://a.example/one/X.rpm", None),
            ("x.rpm", "http://a.example/one//x.rpm", None),
            ("x.rpm", "http://a.example/one%2Fx.rpm", None),
            ("x.rpm", "http://a.example/one/%78.rpm", None),
            ("x.rpm", "http://a.example/one/x.rpm?flag", None),
            ("x.rpm", "http://d.example/os/x.rpm", None),
            ("x.rpm", "x.rpm", None),
            ("x.rpm", "", None),
        ] {
            let found = mirror_of(&mirrors, path, url);
            assert_eq!(found, mirror.map(|at: usize| mirrors[at].as_str()), "{path}: {url}");
        }
    }
}
