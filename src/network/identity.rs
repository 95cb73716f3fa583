//! From what the kernel says about the way out of this machine to the identity of a network, and
//! the comparison of two identities. Pure: the kernel is asked in `kernel`.
#![forbid(unsafe_code)]

use siphasher::sip::SipHasher24;
use siphasher::sip128;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network this machine is in, as far as it is known; by default nothing is. Two values that
/// are not equal may be the same network: see [`differs`](Network::differs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Network {
    /// The identity for IPv4; none if the kernel did not say.
    pub(crate) ipv4: Option<u64>,
    /// The identity for IPv6; none if the kernel did not say.
    pub(crate) ipv6: Option<u64>,
}

/// The identity of a family without a route out. This is known, unlike what the kernel did not say.
pub(super) const NO_ROUTE: u64 = 0;

/// How two identities of one family compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// One of them is not known.
    Unknown,
    /// Neither has a route.
    NoRoute,
    /// Only one has a route, which is not a tunnel.
    Appeared,
    /// Both have a route, and nothing tells the two apart.
    Alike,
    /// Only one has a tunnel, or both have a route and the two are not the same.
    Different,
}

impl Network {
    /// Whether the two are known to be different networks, so that what was measured in one says
    /// nothing about the other. It is symmetric, and false where too little is known.
    ///
    /// - If a family has a route on both sides and the two are not the same, the networks differ. A
    ///   link-layer address that is not known on one side makes no difference.
    /// - If a tunnel appears or vanishes, they differ.
    /// - If another route appears or vanishes, they differ only if the other family has no route or
    ///   has changed in the same way. Otherwise the other family decides: IPv6 comes seconds after
    ///   IPv4, and goes when router advertisements are lost, in a network that stays the same.
    /// - A family about which the kernel did not say anything makes no difference.
    pub(crate) fn differs(&self, other: &Network) -> bool {
        use Comparison::*;
        let families = (compare(self.ipv4, other.ipv4), compare(self.ipv6, other.ipv6));
        matches!(families, (Different, _) | (_, Different))
            || matches!(families, (Appeared, Appeared | NoRoute) | (NoRoute, Appeared))
    }

    /// Whether the two can be told to be the same: some family is known of both.
    pub(crate) fn is_comparable(&self, other: &Network) -> bool {
        (self.ipv4.is_some() && other.ipv4.is_some()) || (self.ipv6.is_some() && other.ipv6.is_some())
    }

    /// Writes two words of hexadecimal digits with a hyphen between them; a word is `x` if nothing
    /// is known.
    pub(crate) fn to_text(self) -> String {
        let word = |value: Option<u64>| value.map_or("x".to_string(), |value| format!("{value:x}"));
        format!("{}-{}", word(self.ipv4), word(self.ipv6))
    }

    /// Reads what [`to_text`](Network::to_text) wrote, and nothing else.
    pub(crate) fn from_text(text: &str) -> Option<Network> {
        let is_digit = |digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        // Leading zeros and signs would be other spellings of the same value.
        let is_ours = |word: &str| word == "0" || (!word.starts_with('0') && word.bytes().all(is_digit));
        let word = |word: &str| match word {
            "x" => Some(None),
            _ if is_ours(word) => u64::from_str_radix(word, 16).ok().map(Some),
            _ => None,
        };
        let (ipv4, ipv6) = text.split_once('-')?;
        Some(Network { ipv4: word(ipv4)?, ipv6: word(ipv6)? })
    }
}

fn compare(a: Option<u64>, b: Option<u64>) -> Comparison {
    let place = |value: u64| value >> 32;
    let is_tunnel = |value: u64| value >> 63 == 1;
    match (a, b) {
        (None, _) | (_, None) => Comparison::Unknown,
        (Some(NO_ROUTE), Some(NO_ROUTE)) => Comparison::NoRoute,
        (Some(NO_ROUTE), Some(route)) | (Some(route), Some(NO_ROUTE)) => {
            if is_tunnel(route) {
                Comparison::Different
            } else {
                Comparison::Appeared
            }
        }
        (Some(a), Some(b)) => match (a as u32, b as u32) {
            _ if place(a) != place(b) => Comparison::Different,
            (0, _) | (_, 0) => Comparison::Alike,
            (a, b) if a != b => Comparison::Different,
            _ => Comparison::Alike,
        },
    }
}

/// A way out of this machine, as far as it identifies a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) tunnel: Option<Tunnel>,
    pub(super) gateway: Option<IpAddr>,
    /// The prefix of the source address, if it counts.
    pub(super) prefix: Option<(IpAddr, u8)>,
    /// What identifies the next machine on the link: its link-layer address, and below a tunnel the
    /// gateway's address too. Empty if there is no such thing; none if it is not known at the
    /// moment.
    pub(super) next: Option<Vec<u8>>,
}

/// What identifies an interface without link-layer addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tunnel {
    pub(super) kind: u16,
    pub(super) name: Vec<u8>,
}

/// Returns the identity for one family, from the ways to its destinations: 1 bit for a tunnel, 31
/// bits for the place, 32 bits for the next machine on the link. In the last 32, 0 means not known.
pub(super) fn identity(key: &[u8; 16], ways: &[Option<Way>]) -> u64 {
    if ways.iter().all(Option::is_none) {
        return NO_ROUTE;
    }
    // Each part follows its length, so that different parts never result in the same bytes.
    fn add(to: &mut Vec<u8>, part: &[u8]) {
        to.extend((part.len() as u32).to_le_bytes());
        to.extend(part);
    }
    let (mut place, mut next) = (Vec::new(), Some(Vec::new()));
    for way in ways {
        let Some(way) = way else {
            add(&mut place, b"none");
            continue;
        };
        let tunnel = way.tunnel.as_ref();
        add(&mut place, &tunnel.map_or(Vec::new(), |tunnel| tunnel.kind.to_le_bytes().to_vec()));
        add(&mut place, tunnel.map_or(&[], |tunnel| &tunnel.name));
        add(&mut place, &way.gateway.map_or(Vec::new(), octets));
        let (prefix, length) = way.prefix.map_or((Vec::new(), 0), |(ip, length)| (octets(ip), length));
        add(&mut place, &prefix);
        place.push(length);
        match (&mut next, &way.next) {
            (Some(next), Some(here)) => add(next, here),
            _ => next = None,
        }
    }
    let digest = |salt: u8, bytes: &[u8]| {
        let mut hasher = SipHasher24::new_with_key(key);
        hasher.write_u8(salt);
        hasher.write(bytes);
        hasher.finish()
    };
    let place = (digest(1, &place) >> 33).max(1);
    let next = next.map_or(0, |next| (digest(2, &next) >> 32).max(1));
    let tunnel = ways.iter().flatten().any(|way| way.tunnel.is_some());
    u64::from(tunnel) << 63 | place << 32 | next
}

/// Returns the first `length` bits of an address.
pub(super) fn prefix(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(length.into())).unwrap_or(0);
            Ipv4Addr::from(u32::from(ip) & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(length.into())).unwrap_or(0);
            Ipv6Addr::from(u128::from(ip) & mask).into()
        }
    }
}

/// Returns the key of the hash. The machine id itself must not be used as one: machine-id(5).
pub(super) fn key(machine_id: &[u8]) -> [u8; 16] {
    let mut hasher = sip128::SipHasher24::new_with_key(b"fastestmirrornet");
    hasher.write(machine_id);
    sip128::Hasher128::finish128(&hasher).as_bytes()
}

/// Returns the 32 digits of a machine id. The file may also be empty or say "uninitialized"; then
/// this returns nothing.
pub(super) fn machine_id(file: &[u8]) -> &[u8] {
    let id = file.trim_ascii_end();
    if id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit) { id } else { b"" }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
pub(super) mod tests;
