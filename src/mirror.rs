//! A mirror's URL and the endpoint behind it: protocol, host, port. Pure text; nothing is looked up here.
#![forbid(unsafe_code)]

use crate::fault;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The protocols a package manager fetches over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// `http:`, port 80.
    Http,
    /// `https:`, port 443.
    Https,
    /// `ftp:`, port 21.
    Ftp,
    /// `file:`, a mirror on this machine.
    File,
}

impl Protocol {
    /// The scheme of its URLs, in lower case and without the colon.
    pub fn scheme(self) -> &'static str {
        REMOTE.iter().find(|(_, protocol, _)| *protocol == self).map_or("file", |(scheme, ..)| scheme)
    }

    /// The port of a URL that names none; `file:` has no port.
    pub fn default_port(self) -> Option<u16> {
        REMOTE.iter().find(|(_, protocol, _)| *protocol == self).map(|(_, _, port)| *port)
    }
}

/// The host of a mirror, in one spelling: names in lower case, literals as addresses. A name that ends in a dot is
/// another one, since the resolver's search list does not apply to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(address) => address.fmt(f),
        }
    }
}

/// What a connection goes to; measured once, however many URLs lead there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// The protocols with somebody to connect to, and their ports.
const REMOTE: [(&str, Protocol, u16); 3] =
    [("http", Protocol::Http, 80), ("https", Protocol::Https, 443), ("ftp", Protocol::Ftp, 21)];

/// What a URL says of its mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mirror {
    Local,
    Remote(Protocol, Endpoint),
    Unsupported,
}

impl Mirror {
    /// Reads a URL as curl would, as far as the connection is concerned. What cannot be connected to is
    /// `Unsupported`, never an error: one odd line must not cost the caller the list.
    pub(crate) fn parse(url: &str) -> Mirror {
        fault::point("mirror");
        Mirror::read(url).unwrap_or(Mirror::Unsupported)
    }

    pub(crate) fn protocol(&self) -> Option<Protocol> {
        match self {
            Mirror::Local => Some(Protocol::File),
            Mirror::Remote(protocol, _) => Some(*protocol),
            Mirror::Unsupported => None,
        }
    }

    /// Where there is one to connect to.
    pub(crate) fn host(&self) -> Option<&Host> {
        match self {
            Mirror::Remote(_, endpoint) => Some(&endpoint.host),
            _ => None,
        }
    }

    fn read(url: &str) -> Option<Mirror> {
        // A fold looks at many bytes at once.
        if url.bytes().fold(false, |found, b| found | b.is_ascii_control()) {
            return None;
        }
        let (scheme, rest) = url.split_once(':')?;
        if scheme.eq_ignore_ascii_case("file") {
            return Some(Mirror::Local);
        }
        let (_, protocol, default_port) =
            *REMOTE.iter().find(|(name, ..)| scheme.eq_ignore_ascii_case(name))?;
        let rest = rest.strip_prefix("//")?;
        // By bytes, since a list has thousands of them: what is looked for is never a part of another character.
        let authority =
            &rest[..rest.bytes().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len())];
        // A password may hold an `@`: the host follows the last one.
        let address = &authority[authority.bytes().rposition(|b| b == b'@').map_or(0, |at| at + 1)..];
        let (host, port) = match address.strip_prefix('[') {
            Some(literal) => {
                let (literal, port) = literal.split_once(']')?;
                (Host::Address(literal.parse::<Ipv6Addr>().ok()?.into()), port)
            }
            None => {
                let end = address.bytes().position(|b| b == b':').unwrap_or(address.len());
                let (host, port) = address.split_at(end);
                (read_host(host)?, port)
            }
        };
        let port = match port {
            "" | ":" => default_port,
            _ => read_port(port.strip_prefix(':')?)?,
        };
        Some(Mirror::Remote(protocol, Endpoint { host, port }))
    }
}

fn read_host(host: &str) -> Option<Host> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        return Some(Host::Address(address.into()));
    }
    // Limits of RFC 1035, section 2.3.4. The underscore is in no host name by the book and in some in the field.
    // Other scripts arrive in their punycode form or not at all.
    let label_is_fine = |label: &[u8]| {
        (1..=63).contains(&label.len())
            && label.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let mut labels = name.as_bytes().split(|&b| b == b'.');
    let fine = name.len() <= 253 && labels.clone().all(label_is_fine);
    // A number at the end is one of the old spellings of IPv4 addresses (127.1, 0x7f.1), under which one host could
    // pass for many: no domain is called so.
    let last = labels.next_back().unwrap_or_default();
    let hex = last.strip_prefix(b"0x").or_else(|| last.strip_prefix(b"0X"));
    let is_number = last.iter().all(u8::is_ascii_digit)
        || hex.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    (fine && !is_number).then(|| Host::Name(host.to_ascii_lowercase()))
}

fn read_port(digits: &str) -> Option<u16> {
    // parse() alone would take "+80".
    let digits_only = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|&port| digits_only && port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endpoint(url: &str) -> Option<(String, u16)> {
        match Mirror::parse(url) {
            Mirror::Remote(_, endpoint) => Some((endpoint.host.to_string(), endpoint.port)),
            _ => None,
        }
    }

    #[test]
    fn a_url_leads_to_the_endpoint_that_curl_would_connect_to() {
        let label = "a".repeat(63);
        let long = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        let table = [
            ("http://mirror.example/pub", "mirror.example", 80),
            ("https://mirror.example/pub", "mirror.example", 443),
            ("ftp://mirror.example/pub", "mirror.example", 21),
            ("HTTPS://Mirror.EXAMPLE/Pub", "mirror.example", 443),
            ("http://mirror.example", "mirror.example", 80),
            ("http://mirror.example./pub", "mirror.example.", 80),
            ("http://mirror.0xg/", "mirror.0xg", 80),
            ("http://mirror.example?release=40", "mirror.example", 80),
            ("http://mirror.example#top", "mirror.example", 80),
            ("http://mirror.example:8080/", "mirror.example", 8080),
            ("http://mirror.example:/", "mirror.example", 80),
            ("http://mirror.example:00080/", "mirror.example", 80),
            ("http://mirror.example:65535/", "mirror.example", 65535),
            ("https://user@mirror.example/", "mirror.example", 443),
            ("https://user:pass@mirror.example:8443/", "mirror.example", 8443),
            ("https://user:p@ss:w0rd@mirror.example/", "mirror.example", 443),
            ("http://mirror.example/a@b:c", "mirror.example", 80),
            ("http://192.0.2.7/", "192.0.2.7", 80),
            ("http://192.0.2.7:81/", "192.0.2.7", 81),
            ("http://192.0.2.7./", "192.0.2.7", 80),
            ("http://192.0.2.7.:81/", "192.0.2.7", 81),
            ("https://[2001:db8::1]/", "2001:db8::1", 443),
            ("https://[2001:DB8:0:0::1]:8443/", "2001:db8::1", 8443),
            ("ftp://user:pw@[2001:db8::1]:2121/", "2001:db8::1", 2121),
            ("http://my_mirror-1.example/", "my_mirror-1.example", 80),
            ("http://xn--mnchen-3ya.example/", "xn--mnchen-3ya.example", 80),
            ("http://localhost/", "localhost", 80),
            (&format!("http://{long}/"), &long, 80),
        ];
        for (url, host, port) in table {
            assert_eq!(endpoint(url), Some((host.into(), port)), "{url}");
        }
    }

    #[test]
    fn an_address_is_one_with_the_root_dot_too() {
        assert_eq!(Mirror::parse("http://192.0.2.7./"), Mirror::parse("http://192.0.2.7/"));
    }

    #[test]
    fn a_file_is_local() {
        for url in ["file:///srv/mirror", "file:/srv/mirror", "FILE:///srv/mirror"] {
            assert_eq!(Mirror::parse(url), Mirror::Local, "{url}");
        }
    }

    #[test]
    fn what_cannot_be_connected_to_is_unsupported() {
        let label = "a".repeat(64);
        let long = format!("{0}.{0}.{0}.{0}", "a".repeat(63));
        for url in [
            "",
            ":",
            "http",
            "http:",
            "http:/mirror.example/",
            "http://",
            "http:///path",
            "://mirror.example/",
            "mirror.example/pub",
            "/srv/mirror",
            "rsync://mirror.example/pub",
            "httpx://mirror.example/",
            " http://mirror.example/",
            "http://:80/",
            "http://mirror.example:0/",
            "http://mirror.example:65536/",
            "http://mirror.example:99999999999999999999/",
            "http://mirror.example:+80/",
            "http://mirror.example:-1/",
            "http://mirror.example:80a/",
            "http://mirror.example:80:80/",
            "http://mirror example/",
            "http://mirror..example/",
            "http://.mirror.example/",
            "http://mirror.example../",
            "http://./",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0X7f000001/",
            "http://017700000001/",
            "http://1.2.3.256/",
            "http://mirror%2eexample/",
            "http://mün.example/",
            "http://2001:db8::1/",
            "http://[2001:db8::1/",
            "http://[2001:db8::1]80/",
            "http://[192.0.2.7]/",
            "http://[fe80::1%25eth0]/",
            "http://[]/",
            "http://mirror.example/\n",
            "http://mirror\0.example/",
            "http://mirror.example/\x1b[2J",
            "http://mirror.example/\x7f",
            "fi\tle:///srv",
            &format!("http://{label}.example/"),
            &format!("http://{long}/"),
        ] {
            assert_eq!(Mirror::parse(url), Mirror::Unsupported, "{url:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_without_a_panic(url in "\\PC*") {
            Mirror::parse(&url);
        }

        #[test]
        fn what_is_put_together_is_found_again(
            user in "([a-z:@]{1,8}@)?", host in "[a-z0-9]{1,9}(\\.[a-z][a-z0-9-]{0,9}){1,3}", port in 1u16.., path in "(/[ -~]{0,20})?",
        ) {
            let found = endpoint(&format!("http://{user}{host}:{port}{path}"));
            prop_assert_eq!(found, Some((host, port)));
        }
    }
}
