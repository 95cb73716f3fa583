//! The messages of rtnetlink(7), written and read as bytes. Pure; reading never panics, whatever
//! the bytes are.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `RTA_VIA`, which libc does not have.
const RTA_VIA: u16 = 18;

/// The length of a `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;

/// The kernel's number of an address's family.
pub(super) fn family(of: IpAddr) -> u8 {
    match of {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

/// Writes a question: a `struct nlmsghdr`, the header of its kind, attributes.
pub(super) fn question(
    kind: u16,
    flags: u16,
    sequence: u32,
    header: &[u8],
    attributes: &[(u16, &[u8])],
) -> Vec<u8> {
    let mut message = vec![0; 4];
    message.extend(kind.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16 | flags).to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(header);
    for (kind, value) in attributes {
        message.extend((4 + value.len() as u16).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(*value);
        message.resize(message.len().next_multiple_of(4), 0);
    }
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}

/// The header of each kind of question: `rtmsg`, `ifinfomsg`, `ifaddrmsg`, `ndmsg`.
pub(super) mod header {
    pub(crate) fn route(family: u8, destination_length: u8) -> [u8; 12] {
        [family, destination_length, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    pub(crate) fn link(index: u32) -> [u8; 16] {
        let [a, b, c, d] = index.to_ne_bytes();
        [0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    pub(crate) fn address(family: u8) -> [u8; 8] {
        [family, 0, 0, 0, 0, 0, 0, 0]
    }

    /// The interface is that of the one neighbor that is asked for, and 0 when all are.
    pub(crate) fn neighbor(family: u8, interface: u32) -> [u8; 12] {
        let [a, b, c, d] = interface.to_ne_bytes();
        [family, 0, 0, 0, a, b, c, d, 0, 0, 0, 0]
    }
}

/// One message of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) body: &'a [u8],
}

impl Message<'_> {
    /// The errno in an error message or at the end of a dump; 0 means success.
    pub(super) fn error(&self) -> i32 {
        read_u32(self.body, 0).map_or(0, |code| (code as i32).wrapping_neg())
    }
}

/// The messages of a datagram, up to the first that is incomplete.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = read_u32(datagram, 0)? as usize;
        let message = Message {
            kind: read_u16(datagram, 4)?,
            flags: read_u16(datagram, 6)?,
            sequence: read_u32(datagram, 8)?,
            body: datagram.get(HEADER..length)?,
        };
        datagram = rest(datagram, length);
        Some(message)
    })
}

/// The attributes of a message, up to the first that is incomplete.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// The bits of the kind; those above are flags.
    const KIND: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let length = read_u16(bytes, 0)? as usize;
        let attribute = (read_u16(bytes, 2)? & KIND, bytes.get(4..length)?);
        bytes = rest(bytes, length);
        Some(attribute)
    })
}

/// A route: the answer for one destination, or an entry of a routing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// `RTN_UNICAST` or another one of its kind.
    pub(super) kind: u8,
    pub(super) destination_length: u8,
    pub(super) table: u32,
    pub(super) metric: u32,
    pub(super) interface: Option<u32>,
    pub(super) gateway: Option<IpAddr>,
    pub(super) source: Option<IpAddr>,
}

impl Route {
    pub(super) fn read(body: &[u8]) -> Option<Route> {
        let mut route = Route {
            kind: *body.get(7)?,
            destination_length: *body.get(1)?,
            table: (*body.get(4)?).into(),
            metric: 0,
            interface: None,
            gateway: None,
            source: None,
        };
        for (kind, value) in attributes(body.get(12..)?) {
            match kind {
                libc::RTA_TABLE => route.table = read_u32(value, 0)?,
                libc::RTA_PRIORITY => route.metric = read_u32(value, 0)?,
                libc::RTA_OIF => route.interface = read_u32(value, 0),
                libc::RTA_GATEWAY => route.gateway = read_ip(value),
                // A gateway of the other family: `struct rtvia`.
                RTA_VIA => route.gateway = read_ip(value.get(2..)?),
                libc::RTA_PREFSRC => route.source = read_ip(value),
                _ => {}
            }
        }
        Some(route)
    }
}

/// A network interface.
#[derive(Debug, PartialEq)]
pub(super) struct Link {
    /// `ARPHRD_ETHER` or another one of its kind.
    pub(super) kind: u16,
    pub(super) index: u32,
    pub(super) flags: u32,
    pub(super) name: Vec<u8>,
}

impl Link {
    pub(super) fn read(body: &[u8]) -> Option<Link> {
        let mut link = Link {
            kind: read_u16(body, 2)?,
            index: read_u32(body, 4)?,
            flags: read_u32(body, 8)?,
            name: Vec::new(),
        };
        for (kind, value) in attributes(body.get(16..)?) {
            if kind == libc::IFLA_IFNAME {
                link.name = value.strip_suffix(b"\0").unwrap_or(value).to_vec();
            }
        }
        Some(link)
    }

    /// Whether its neighbors have no link-layer addresses: tun, WireGuard, PPP, most mobile
    /// broadband.
    pub(super) fn is_tunnel(&self) -> bool {
        self.flags & (libc::IFF_NOARP | libc::IFF_POINTOPOINT) as u32 != 0
    }
}

/// An address of this machine.
#[derive(Debug, PartialEq)]
pub(super) struct Address {
    pub(super) local: IpAddr,
    /// The address that has the prefix: the same one, or that of the other end of the line.
    pub(super) peer: IpAddr,
    pub(super) prefix_length: u8,
}

impl Address {
    pub(super) fn read(body: &[u8]) -> Option<Address> {
        let prefix_length = *body.get(1)?;
        let (mut local, mut peer) = (None, None);
        for (kind, value) in attributes(body.get(8..)?) {
            match kind {
                libc::IFA_LOCAL => local = read_ip(value),
                libc::IFA_ADDRESS => peer = read_ip(value),
                _ => {}
            }
        }
        Some(Address { local: local.or(peer)?, peer: peer.or(local)?, prefix_length })
    }
}

/// An entry of the neighbor table.
#[derive(Debug, PartialEq)]
pub(super) struct Neighbor {
    pub(super) interface: u32,
    /// A combination of `NUD_REACHABLE` and its kind.
    pub(super) state: u16,
    pub(super) address: IpAddr,
    pub(super) link_address: Vec<u8>,
}

impl Neighbor {
    pub(super) fn read(body: &[u8]) -> Option<Neighbor> {
        let (interface, state) = (read_u32(body, 4)?, read_u16(body, 8)?);
        let (mut address, mut link_address) = (None, Vec::new());
        for (kind, value) in attributes(body.get(12..)?) {
            match kind {
                libc::NDA_DST => address = read_ip(value),
                libc::NDA_LLADDR => link_address = value.to_vec(),
                _ => {}
            }
        }
        Some(Neighbor { interface, state, address: address?, link_address })
    }

    /// Its link-layer address, if the neighbor has announced it and the kernel still uses it.
    pub(super) fn valid_link_address(self) -> Option<Vec<u8>> {
        const VALID: u16 =
            libc::NUD_REACHABLE | libc::NUD_STALE | libc::NUD_DELAY | libc::NUD_PROBE | libc::NUD_PERMANENT;
        let real = self.link_address.iter().any(|&byte| byte != 0);
        (real && self.state & VALID != 0).then_some(self.link_address)
    }
}

/// The bytes after a message or an attribute of this length, from the next multiple of four.
fn rest(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(length.next_multiple_of(4)..).unwrap_or_default()
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        16 => bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
