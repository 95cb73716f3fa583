//! The groups of a cache file: their names, the mirrors these stand for, and the values in them.
#![forbid(unsafe_code)]

use super::keyfile::Group;
use super::number;
use super::policy::{self, Fact, Remembered};
use crate::network::Network;
use crate::url::{Endpoint, Host, Mirror, Protocol};
use std::net::IpAddr;
use std::time::Duration;

/// The group that makes a file a cache.
pub(super) const HEADER: &[u8] = b":_librepo_:";
/// The group for what is about no mirror and has no place in librepo's format.
pub(super) const OWN: &[u8] = b":_fm_:";
/// How the names of groups begin that librepo does not take for records.
pub(super) const NOT_A_RECORD: &[u8] = b":_";
const NETWORK_NOTE: &[u8] = b":_fm_:network:";
const OUTCOME_NOTE: &[u8] = b":_fm_:outcome:";

pub(super) const VERSION: &str = "version";
pub(super) const TS: &str = "ts";
/// librepo's spelling.
pub(super) const LATENCY: &str = "connectime";
pub(super) const NETWORK: &str = "network";
pub(super) const OUTCOME: &str = "outcome";
/// The address of a mirror, if other names of the same run led to it too.
pub(super) const ADDRESS: &str = "address";
/// How long a silent mirror was waited for.
pub(super) const WAITED: &str = "waited";
/// The latency in a note on an outcome, by another name than that in a record.
pub(super) const NOTED_LATENCY: &str = "latency";
pub(super) const SEED: &str = "seed";
pub(super) const DRAWN: &str = "drawn";

/// What went wrong with downloads.
pub(super) const TROUBLE: &str = "trouble";
/// How fast downloads were.
pub(super) const SPEEDS: &str = "speeds";

/// All keys that librepo or this crate writes.
pub(super) const KEYS: [&str; 12] =
    [TS, LATENCY, VERSION, NETWORK, ADDRESS, OUTCOME, WAITED, NOTED_LATENCY, SEED, DRAWN, TROUBLE, SPEEDS];

// The values of OUTCOME.
const REFUSED: &str = "refused";
const UNREACHABLE: &str = "unreachable";
const UNRESOLVED: &str = "unresolved";
const SILENT: &str = "silent";
const DETOURED: &str = "detoured";

/// What a note on an outcome holds besides time and network.
#[derive(Debug)]
pub(super) struct NoteValues {
    /// The value of [`OUTCOME`].
    pub(super) outcome: &'static str,
    /// A key and its value.
    pub(super) time: Option<(&'static str, Duration)>,
}

impl NoteValues {
    /// Returns none for a plain latency, which has a record.
    pub(super) fn of(remembered: Remembered) -> Option<NoteValues> {
        let (outcome, time) = match remembered {
            Remembered::Latency(_) => return None,
            Remembered::Detoured(latency) => (DETOURED, Some((NOTED_LATENCY, latency))),
            Remembered::Refused => (REFUSED, None),
            Remembered::Unreachable => (UNREACHABLE, None),
            Remembered::Unresolved => (UNRESOLVED, None),
            Remembered::Silent(waited) => (SILENT, Some((WAITED, waited))),
        };
        Some(NoteValues { outcome, time })
    }
}

/// What a record is about: a protocol at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Service {
    pub(super) protocol: Protocol,
    pub(super) endpoint: Endpoint,
}

impl Service {
    /// Returns what a group, or the record that a note belongs to, is about, if its name is a
    /// spelling of that alone: without a user name, a path or a query.
    pub(super) fn of(record: &[u8]) -> Option<Service> {
        let (_, authority) = std::str::from_utf8(record).ok()?.split_once("://")?;
        if authority.bytes().any(|byte| matches!(byte, b'/' | b'?' | b'#' | b'@')) {
            return None;
        }
        match RecordName::mirror(record) {
            Mirror::Remote(protocol, endpoint) => Some(Service { protocol, endpoint }),
            Mirror::Local | Mirror::Unsupported => None,
        }
    }

    /// The name of its record in our own spelling.
    fn canonical(&self) -> String {
        let name = self.without_port();
        let port = self.endpoint.port;
        if port == self.protocol.default_port() { name } else { format!("{name}:{port}") }
    }

    fn without_port(&self) -> String {
        let scheme = self.protocol.scheme();
        match &self.endpoint.host {
            Host::Address(IpAddr::V6(address)) => format!("{scheme}://%5B{address}%5D"),
            host => format!("{scheme}://{host}"),
        }
    }
}

/// The group in which a mirror's record stands, and the name under which notes on it stand.
///
/// Where possible this is the URL up to its path, letter for letter, since librepo looks for
/// exactly that (`lr_url_without_path`). Where that part of the URL has a user name, a password, a
/// query, an IPv6 address, whose brackets the format cannot hold, or more letters than it needs, it
/// is a spelling of our own, which librepo neither writes nor finds.
///
/// It is never longer than a scheme, the name of a host, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordName {
    text: String,
    service: Service,
    /// The address behind it, if other names lead to it too.
    shared_address: Option<IpAddr>,
}

impl RecordName {
    /// Returns the name for a URL that leads to this endpoint.
    pub(crate) fn new(url: &str, protocol: Protocol, endpoint: &Endpoint) -> RecordName {
        let service = Service { protocol, endpoint: endpoint.clone() };
        let own = RecordName::own_spelling(url, &service).map(str::to_string);
        let text = own.unwrap_or_else(|| service.canonical());
        RecordName { text, service, shared_address: None }
    }

    /// Adds the address behind the name, to which other names lead too.
    pub(crate) fn with_shared_address(self, address: IpAddr) -> RecordName {
        RecordName { shared_address: Some(address), ..self }
    }

    /// The URL up to its path, if that can be the name.
    fn own_spelling<'u>(url: &'u str, service: &Service) -> Option<&'u str> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split('/').next()?;
        let text = &url[..scheme.len() + "://".len() + authority.len()];
        // With three slashes librepo finds no host at all, and looks for one record for all such
        // URLs.
        let is_plain = scheme.eq_ignore_ascii_case(service.protocol.scheme())
            && !authority.is_empty()
            && authority.bytes().all(plain);
        // Leading zeros of the port, of which there may be a million, make another spelling.
        let longest = || service.without_port().len() + format!(":{}", service.endpoint.port).len();
        (is_plain && text.len() <= longest()).then_some(text)
    }

    /// Returns the name for a URL that leads to an endpoint.
    #[cfg(test)]
    pub(super) fn for_url(url: &str) -> RecordName {
        match Mirror::parse(url) {
            Mirror::Remote(protocol, endpoint) => RecordName::new(url, protocol, &endpoint),
            other => panic!("{url} has no record: {other:?}"),
        }
    }

    /// The name in our own spelling.
    pub(super) fn canonical(protocol: Protocol, endpoint: Endpoint) -> RecordName {
        let service = Service { protocol, endpoint };
        RecordName { text: service.canonical(), service, shared_address: None }
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    pub(super) fn shared_address(&self) -> Option<IpAddr> {
        self.shared_address
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    #[cfg(test)]
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The mirror that a group is about, in any spelling, librepo's with a password included.
    #[inline]
    pub(super) fn mirror(group: &[u8]) -> Mirror {
        let Ok(url) = std::str::from_utf8(group) else { return Mirror::Unsupported };
        if url.contains('%') {
            Mirror::parse(&url.replacen("%5B", "[", 1).replacen("%5D", "]", 1))
        } else {
            Mirror::parse(url)
        }
    }
}

/// The group of the note that says in which network a record's latency was measured.
pub(super) fn network_note(record: &[u8]) -> Vec<u8> {
    [NETWORK_NOTE, record].concat()
}

/// The group of the note that says what became of a mirror, unless it simply answered.
pub(super) fn outcome_note(record: &[u8]) -> Vec<u8> {
    [OUTCOME_NOTE, record].concat()
}

/// What a group is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum GroupKind {
    /// A mirror's latency; or something that is not about a mirror.
    Record,
    /// The network in which a mirror was measured.
    NetworkNote,
    /// What became of a mirror, unless it simply answered.
    OutcomeNote,
}

impl GroupKind {
    /// Returns what a group is about, and the name of the record that it belongs to.
    #[inline]
    pub(super) fn of(group: &[u8]) -> (GroupKind, &[u8]) {
        if let Some(record) = group.strip_prefix(NETWORK_NOTE) {
            (GroupKind::NetworkNote, record)
        } else if let Some(record) = group.strip_prefix(OUTCOME_NOTE) {
            (GroupKind::OutcomeNote, record)
        } else {
            (GroupKind::Record, group)
        }
    }
}

/// The values in a group, as far as they are used.
#[derive(Debug, Default, PartialEq)]
pub(super) struct GroupValues<'a> {
    pub(super) ts: Option<i64>,
    latency: Option<Duration>,
    outcome: Option<&'a [u8]>,
    waited: Option<Duration>,
    noted_latency: Option<Duration>,
    network: Option<&'a [u8]>,
    address: Option<&'a [u8]>,
    of_file: Option<Box<FileValues>>,
}

/// Values in the groups that are about no mirror. They are kept apart since there are so many other
/// groups.
#[derive(Debug, Default, PartialEq)]
struct FileValues {
    version: Option<i32>,
    seed: Option<u64>,
    drawn: Option<i64>,
}

impl<'a> GroupValues<'a> {
    pub(super) fn of(group: Group<'a>) -> GroupValues<'a> {
        let mut values = GroupValues::default();
        for (key, value) in group.pairs() {
            values.set(key, value);
        }
        values
    }

    /// Takes one pair. Of a key that stands there twice the last value counts, as for GLib.
    #[inline]
    pub(super) fn set(&mut self, key: &[u8], value: &'a [u8]) {
        match std::str::from_utf8(key) {
            Ok(TS) => self.ts = number::parse_int64(value),
            Ok(LATENCY) => self.latency = parse_time(value),
            Ok(NETWORK) => self.network = Some(value),
            Ok(ADDRESS) => self.address = Some(value),
            Ok(OUTCOME) => self.outcome = Some(value),
            Ok(WAITED) => self.waited = parse_time(value),
            Ok(NOTED_LATENCY) => self.noted_latency = parse_time(value),
            Ok(VERSION) => self.of_file().version = number::parse_int(value),
            Ok(SEED) => {
                self.of_file().seed = std::str::from_utf8(value).ok().and_then(|seed| seed.parse().ok());
            }
            Ok(DRAWN) => self.of_file().drawn = number::parse_int64(value),
            _ => {}
        }
    }

    fn of_file(&mut self) -> &mut FileValues {
        self.of_file.get_or_insert_default()
    }

    /// The latency in a record.
    #[inline]
    pub(super) fn latency(&self) -> Option<Fact> {
        Some(Fact { at: self.ts?, remembered: Remembered::Latency(self.latency?) })
    }

    /// What a note on an outcome says. None if the word, or the time that belongs to it, cannot be
    /// read.
    #[inline]
    pub(super) fn outcome(&self) -> Option<Fact> {
        let remembered = match std::str::from_utf8(self.outcome?).ok()? {
            REFUSED => Remembered::Refused,
            UNREACHABLE => Remembered::Unreachable,
            UNRESOLVED => Remembered::Unresolved,
            SILENT => Remembered::Silent(self.waited?),
            DETOURED => Remembered::Detoured(self.noted_latency?),
            _ => return None,
        };
        Some(Fact { at: self.ts?, remembered })
    }

    /// The network in a note of either kind.
    #[inline]
    pub(super) fn network(&self) -> Option<Network> {
        Network::from_text(std::str::from_utf8(self.network?).ok()?)
    }

    /// The address in a note on a network, if other names lead to it too.
    pub(super) fn shared_address(&self) -> Option<IpAddr> {
        std::str::from_utf8(self.address?).ok()?.parse().ok()
    }

    /// The format's version, in the header.
    pub(super) fn version(&self) -> Option<i32> {
        self.of_file.as_ref()?.version
    }

    /// The seed that is kept, and when it was drawn.
    pub(super) fn seed(&self) -> Option<(u64, i64)> {
        let of_file = self.of_file.as_ref()?;
        of_file.seed.zip(of_file.drawn)
    }
}

/// Reads a number of seconds.
#[inline]
fn parse_time(value: &[u8]) -> Option<Duration> {
    number::parse_double(value).and_then(policy::believable_time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::keyfile;

    #[test]
    fn record_name_is_what_librepo_looks_for_and_never_has_a_password() {
        let table = [
            ("http://mirror.example/pub/os", "http://mirror.example"),
            ("http://mirror.example", "http://mirror.example"),
            ("HTTP://Mirror.EXAMPLE:80/pub", "HTTP://Mirror.EXAMPLE:80"),
            ("http://mirror.example./pub", "http://mirror.example."),
            ("http://mirror.example:/pub", "http://mirror.example:"),
            ("https://192.0.2.1:8443/a://b", "https://192.0.2.1:8443"),
            ("https://user:pass@Mirror.example/pub", "https://mirror.example"),
            ("https://user:p@ss@mirror.example:8443/pub", "https://mirror.example:8443"),
            ("https://token@mirror.example", "https://mirror.example"),
            ("https://mirror.example?token=1", "https://mirror.example"),
            ("https://mirror.example#token/", "https://mirror.example"),
            ("http://[2001:DB8::1]/pub", "http://%5B2001:db8::1%5D"),
            ("http://me:pw@[2001:db8::1]:8080/pub", "http://%5B2001:db8::1%5D:8080"),
        ];
        for (url, expected) in table {
            let name = RecordName::for_url(url);
            assert_eq!(name.as_str(), expected, "{url}");
            assert!(keyfile::is_group_name(name.as_bytes()), "{expected}");
            assert_eq!(
                Service::of(name.as_bytes()).as_ref(),
                Some(name.service()),
                "{expected} does not lead back to {url}"
            );
        }
    }

    #[test]
    fn record_name_has_no_more_letters_than_it_needs() {
        let table = [
            ("http://mirror.example:80/", "http://mirror.example:80"),
            ("http://mirror.example:080/", "http://mirror.example"),
            ("http://mirror.example:08080/", "http://mirror.example:8080"),
            (&format!("http://mirror.example:{}8080/", "0".repeat(1 << 20)), "http://mirror.example:8080"),
            ("http://192.0.2.1./", "http://192.0.2.1."),
            ("http://192.0.2.1.:80/", "http://192.0.2.1"),
        ];
        for (url, expected) in table {
            assert_eq!(RecordName::for_url(url).as_str(), expected, "{}", &url[..20]);
        }
        let label = "A".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}.", "A".repeat(61));
        let name = RecordName::for_url(&format!("HTTPS://{longest}:65535/pub"));
        assert_eq!(name.as_str(), format!("HTTPS://{longest}:65535"));
        assert_eq!(name.as_str().len(), "https://".len() + 254 + ":65535".len());
    }

    #[test]
    fn group_names_with_more_than_a_service_are_not_spellings_of_it() {
        for group in [
            "http://mirror.example/pub",
            "http://mirror.example?release=40",
            "http://mirror.example#top",
            "http://user@mirror.example",
            "rsync://mirror.example",
            "mirror.example",
            "file:///srv",
        ] {
            assert_eq!(Service::of(group.as_bytes()), None, "{group}");
        }
    }
}
