//! A mirror's URL and the endpoint behind it: protocol, host, port. Pure text; nothing is looked up
//! here.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// The protocol of a mirror's URL.
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
    /// The protocols over which a connection is made.
    const REMOTE: [Protocol; 3] = [Protocol::Http, Protocol::Https, Protocol::Ftp];

    /// Returns the scheme of its URLs, in lower case and without the colon.
    pub fn scheme(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Https => "https",
            Protocol::Ftp => "ftp",
            Protocol::File => "file",
        }
    }

    /// Returns the port of a URL that names none; 0 for `file:`, which has no port.
    pub fn default_port(self) -> u16 {
        match self {
            Protocol::Http => 80,
            Protocol::Https => 443,
            Protocol::Ftp => 21,
            Protocol::File => 0,
        }
    }
}

/// Which IP addresses to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Family {
    /// Both families, in the order that the system prefers.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// The host of a mirror, in one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, its ASCII letters in lower case. A name in another script stands as it is in the
    /// URL, not in its punycode form. With a dot at the end it is another name than without, since
    /// the resolver's search list does not apply to it.
    Name(String),
    /// An IP address.
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

/// Returns whether this is 0.0.0.0 or ::, in any form. It is no host's address, and Linux connects
/// to this machine instead.
pub(crate) fn is_unspecified(ip: IpAddr) -> bool {
    ip.to_canonical().is_unspecified()
}

/// Returns whether an address is one of the internet's: neither private, link-local, loopback or
/// multicast, nor shared, reserved or for documentation. An IPv6 address that stands for an IPv4
/// address (mapped, 6to4, NAT64) is what that one is.
///
/// These are the ranges that are not globally reachable in IANA's registries of special-purpose
/// addresses (RFC 6890), of 2026.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !matches!(
                (a, b, c),
                (0 | 10 | 127 | 224.., ..)
                    | (100, 64..128, _)
                    | (169, 254, _)
                    | (172, 16..32, _)
                    | (192, 168, _)
                    | (192, 0, 0 | 2)
                    | (192, 88, 99)
                    | (198, 18 | 19, _)
                    | (198, 51, 100)
                    | (203, 0, 113)
            )
        }
        IpAddr::V6(ip) => match ip.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, a, b] => is_public(embedded(a, b)),
            [0x2002, a, b, ..] => is_public(embedded(a, b)),
            // Protocol assignments, Teredo among them; documentation.
            [0x2001, 0..0x200 | 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
            [first, ..] => first & 0xe000 == 0x2000,
        },
    }
}

/// Returns an IPv4 address that is part of an IPv6 address.
fn embedded(a: u16, b: u16) -> IpAddr {
    Ipv4Addr::from(u32::from(a) << 16 | u32::from(b)).into()
}

/// What a connection goes to. Measured once in a run, however many URLs lead to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The TCP port, from 1.
    pub port: u16,
}

/// What a mirror's URL leads to.
///
/// ```
/// use fastestmirror::{Endpoint, Host, Mirror, Protocol};
/// let endpoint = Endpoint { host: Host::Name("mirror.example".into()), port: 443 };
/// let mirror = Mirror::parse("https://mirror.example/pub");
/// assert_eq!(mirror, Mirror::Remote(Protocol::Https, endpoint));
/// assert_eq!(Mirror::parse("file:///srv/mirror"), Mirror::Local);
/// assert_eq!(Mirror::parse("rsync://mirror.example/pub"), Mirror::Unsupported);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mirror {
    /// A directory of this machine.
    Local,
    /// A host to connect to.
    Remote(Protocol, Endpoint),
    /// Nothing to which a connection can be made.
    Unsupported,
}

impl Mirror {
    /// Reads a URL as curl does, as far as the connection is concerned: with one to three slashes
    /// after the scheme, percent-encoded characters in the host, and names in any script. Never
    /// fails: one odd line must not cost the caller the whole list.
    ///
    /// Unsupported, although curl takes them, are old spellings of IPv4 addresses (`127.1`,
    /// `0x7f.1`), under which one host could pass for many, and IPv6 addresses with a zone
    /// (`[fe80::1%25eth0]`), which lead to a neighbor on one link and into no list of mirrors.
    pub fn parse(url: &str) -> Mirror {
        Mirror::read(url).unwrap_or(Mirror::Unsupported)
    }

    /// Returns the URL's protocol, if it is a known one.
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Mirror::Local => Some(Protocol::File),
            Mirror::Remote(protocol, _) => Some(*protocol),
            Mirror::Unsupported => None,
        }
    }

    /// Returns the host, if there is one to connect to.
    pub fn host(&self) -> Option<&Host> {
        match self {
            Mirror::Remote(_, endpoint) => Some(&endpoint.host),
            _ => None,
        }
    }

    fn read(url: &str) -> Option<Mirror> {
        // A fold checks many bytes at once, which is quicker than stopping at the first.
        if url.bytes().fold(false, |found, b| found | b.is_ascii_control()) {
            return None;
        }
        let (scheme, rest) = url.split_once(':')?;
        if scheme.eq_ignore_ascii_case("file") {
            return Some(Mirror::Local);
        }
        let protocol = *Protocol::REMOTE.iter().find(|it| scheme.eq_ignore_ascii_case(it.scheme()))?;
        let slashes = rest.bytes().take_while(|&b| b == b'/').count();
        if !(1..=3).contains(&slashes) {
            return None;
        }
        let rest = &rest[slashes..];
        // By bytes, since a list has thousands of URLs. None of these bytes is ever part of a
        // longer character.
        let authority =
            &rest[..rest.bytes().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len())];
        // The host follows the last `@`. curl rejects a second one, but in a record of librepo's a
        // password may hold it, and has to be recognized there.
        let address = &authority[authority.bytes().rposition(|b| b == b'@').map_or(0, |at| at + 1)..];
        let (host, port) = match address.strip_prefix('[') {
            Some(literal) => {
                let (literal, port) = literal.split_once(']')?;
                (Host::Address(literal.parse::<Ipv6Addr>().ok()?.into()), port)
            }
            None => {
                let end = address.bytes().position(|b| b == b':').unwrap_or(address.len());
                let (host, port) = address.split_at(end);
                (read_host(&decode(host)?)?, port)
            }
        };
        let port = match port {
            "" | ":" => protocol.default_port(),
            _ => read_port(port.strip_prefix(':')?)?,
        };
        Some(Mirror::Remote(protocol, Endpoint { host, port }))
    }
}

/// Returns the host with its percent-encoded characters decoded, and with the full stops of other
/// scripts replaced by dots, which they stand for in a name (UTS #46, section 2.3).
fn decode(host: &str) -> Option<Cow<'_, str>> {
    let mut host = Cow::Borrowed(host);
    if host.contains('%') {
        let mut bytes = Vec::with_capacity(host.len());
        let mut rest = host.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(if byte == b'%' {
                hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?
            } else {
                byte
            });
        }
        host = Cow::Owned(String::from_utf8(bytes).ok()?);
    }
    if !host.is_ascii() {
        host = Cow::Owned(host.replace(FULL_STOPS, "."));
    }
    Some(host)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

const FULL_STOPS: [char; 3] = ['\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// Returns whether a host's name may have this character, besides dots. No standard allows the
/// underscore, but some hosts have it. What else a name in another script must fulfill is left to
/// the lookup.
pub(crate) fn is_in_names(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '-' || c == '_';
    }
    !c.is_control() && !c.is_whitespace() && !FULL_STOPS.contains(&c) && c != char::REPLACEMENT_CHARACTER
}

fn read_host(host: &str) -> Option<Host> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        return Some(Host::Address(address.into()));
    }
    // The limits are those of RFC 1035, section 2.3.4. In other scripts the label counts in
    // characters, of which its punycode form has no fewer, and the name in bytes of UTF-8.
    let is_label = |label: &str| (1..=63).contains(&label.chars().count()) && label.chars().all(is_in_names);
    let mut labels = name.split('.');
    let is_valid = name.len() <= 253 && labels.clone().all(is_label);
    // A number at the end makes it an old spelling of an IPv4 address (127.1, 0x7f.1), under which
    // one host could pass for many. No domain has such a name.
    let last = labels.next_back().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = last.chars().all(char::is_numeric)
        || hex.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    (is_valid && !is_number).then(|| Host::Name(host.to_ascii_lowercase()))
}

fn read_port(digits: &str) -> Option<u16> {
    // parse() alone would accept "+80".
    let only_digits = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|&port| only_digits && port > 0)
}

/// Returns the URL up to its path.
pub(crate) fn without_path(url: &str) -> &str {
    &url[..authority(url).end]
}

/// Returns the path of a URL, without query and fragment.
pub(crate) fn path(url: &str) -> &str {
    let rest = &url[authority(url).end..];
    &rest[..rest.find(['?', '#']).unwrap_or(rest.len())]
}

/// Returns a URL without the user name and password before its host, in whatever form libcurl would
/// take them: for texts that others may read.
pub(crate) fn without_user(url: &str) -> String {
    if url.starts_with("file:") {
        return url.into();
    }
    let Range { start, end } = authority(url);
    let host = match (url[start..end].rfind('@'), Mirror::parse(url)) {
        (Some(at), _) => start + at + 1,
        // A password with a `/`, `?` or `#` makes it no URL, and may stand anywhere in it.
        (None, Mirror::Unsupported) => url[start..].rfind('@').map_or(start, |at| start + at + 1),
        (None, _) => start,
    };
    format!("{}{}", &url[..start], &url[host..])
}

/// Returns where the URL has user name, password, host and port, in whatever form libcurl would
/// take them.
fn authority(url: &str) -> Range<usize> {
    let scheme = url.find([':', '/', '@']).filter(|&at| url[at..].starts_with(":/")).map_or(0, |at| at + 1);
    let start = scheme + url[scheme..].find(|c| c != '/').unwrap_or(url.len() - scheme);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    start..end
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
    fn public_addresses_are_those_of_the_internet() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
            "2001:200::1",
            "2600::1",
            "2a00:1450::1",
            "3ffe::1",
            "3fff:1000::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "fc00::1",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn password_is_never_logged() {
        for (url, logged) in [
            ("http://me:secret@a.example/b@c", "http://a.example/b@c"),
            ("http://me:p@ss@a.example?x@y", "http://a.example?x@y"),
            ("http://a.example/me@b", "http://a.example/me@b"),
            ("file:///a@b", "file:///a@b"),
            ("http:/me:secret@a.example/", "http:/a.example/"),
            ("http:///me:secret@a.example/", "http:///a.example/"),
            ("me:secret@a.example/x", "a.example/x"),
            ("nonsense@x", "x"),
            ("http://me:se/cret@a.example/b", "http://a.example/b"),
            ("http://me:se?cret@a.example/b", "http://a.example/b"),
            ("http://me:se#cret@a.example/b", "http://a.example/b"),
            ("rsync://me:se/cret@a.example/b", "rsync://a.example/b"),
            ("http://a.example:80/@scope/b", "http://a.example:80/@scope/b"),
            ("http://", "http://"),
            ("", ""),
        ] {
            assert_eq!(without_user(url), logged);
        }
    }

    #[test]
    fn urls_of_one_host_are_equal_up_to_their_path() {
        for (url, expected) in [
            ("http://a.example/x/y", "http://a.example"),
            ("http://a.example:80?x", "http://a.example:80"),
            ("http:/a.example/x", "http:/a.example"),
            ("http:///a.example/x", "http:///a.example"),
            ("http://", "http://"),
        ] {
            assert_eq!(without_path(url), expected);
        }
    }

    #[test]
    fn url_leads_to_the_endpoint_that_curl_connects_to() {
        let label = "a".repeat(63);
        let long = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        let script = "ü".repeat(63);
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
            ("http:/mirror.example/", "mirror.example", 80),
            ("http:///mirror.example/", "mirror.example", 80),
            ("https:/user:pw@mirror.example:8443/", "mirror.example", 8443),
            ("http:///path", "path", 80),
            ("http://%61.example/", "a.example", 80),
            ("http://mirror%2Eexample:81/", "mirror.example", 81),
            ("http://%4d%49RROR.example%2e/", "mirror.example.", 80),
            ("http://192.0.2.%37/", "192.0.2.7", 80),
            ("http://user%40:p%2fw@%6d.example/", "m.example", 80),
            ("http://münchen.EXAMPLE/", "münchen.example", 80),
            ("http://MÜNCHEN.example:8080", "mÜnchen.example", 8080),
            ("http://m%C3%BCnchen.example/", "münchen.example", 80),
            ("http://镜像.例子/", "镜像.例子", 80),
            ("http://镜像。例子｡/", "镜像.例子.", 80),
            ("http://192．0。2｡7/", "192.0.2.7", 80),
            (&format!("http://{script}.example/"), &format!("{script}.example"), 80),
            (&format!("http://{long}/"), &long, 80),
        ];
        for (url, host, port) in table {
            assert_eq!(endpoint(url), Some((host.into(), port)), "{url}");
        }
    }

    #[test]
    fn address_with_the_root_dot_is_the_same_address() {
        assert_eq!(Mirror::parse("http://192.0.2.7./"), Mirror::parse("http://192.0.2.7/"));
    }

    #[test]
    fn file_url_is_local() {
        for url in ["file:///srv/mirror", "file:/srv/mirror", "FILE:///srv/mirror"] {
            assert_eq!(Mirror::parse(url), Mirror::Local, "{url}");
        }
    }

    #[test]
    fn other_urls_are_unsupported() {
        let label = "a".repeat(64);
        let long = format!("{0}.{0}.{0}.{0}", "a".repeat(63));
        for url in [
            "",
            ":",
            "http",
            "http:",
            "http:mirror.example/",
            "http:////mirror.example/",
            "http:/",
            "http://",
            "http:///",
            "http:///:80/",
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
            "http://mirror%2fexample/",
            "http://user%40mirror.example/",
            "http://mirror.example%3a80/",
            "http://mirror.example%/",
            "http://mirror.example%4/",
            "http://%6g.example/",
            "http://%+1.example/",
            "http://%2561.example/",
            "http://mirror%00.example/",
            "http://mirror%0a.example/",
            "http://mirror%20example/",
            "http://mirror%7f.example/",
            "http://mirror%2e%2eexample/",
            "http://127%2e1/",
            "http://%5b2001:db8::1%5d/",
            "http://m%FCnchen.example/",
            "http://m\u{fffd}nchen.example/",
            "http://mirror\u{85}.example/",
            "http://mirror\u{2028}.example/",
            "http://mirror\u{3000}.example/",
            "http://mirror%C2%A0.example/",
            "http://。/",
            "http://ü..example/",
            "http://127.１/",
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
            &format!("http://{}.example/", "ü".repeat(64)),
            &format!("http://{0}.{0}.example/", "镜".repeat(42)),
        ] {
            assert_eq!(Mirror::parse(url), Mirror::Unsupported, "{url:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(url in "\\PC*") {
            Mirror::parse(&url);
        }

        #[test]
        fn any_host_that_is_taken_leads_back_to_itself(host in "[-_a%1-9.:\\PC]{1,20}") {
            if let Some((host, port)) = endpoint(&format!("http://{host}/")) {
                let host = if host.contains(':') { format!("[{host}]") } else { host };
                let again = endpoint(&format!("http://{host}:{port}/"));
                prop_assert_eq!(again, Some((host.trim_matches(['[', ']']).into(), port)));
            }
        }

        #[test]
        fn parts_of_a_url_are_found_again(
            user in "([a-z:@]{1,8}@)?", host in "[a-z0-9]{1,9}(\\.[a-z][a-z0-9-]{0,9}){1,3}", port in 1u16.., path in "(/[ -~]{0,20})?",
        ) {
            let found = endpoint(&format!("http://{user}{host}:{port}{path}"));
            prop_assert_eq!(found, Some((host, port)));
        }
    }
}
