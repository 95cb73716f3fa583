//! Which network is this machine in? A laptop that has moved must not believe latencies measured elsewhere.
//!
//! A network is named, per address family, by the way out of it: what the kernel answers when asked for the route
//! to addresses somewhere in the internet, which is where packets to a mirror would go. So policy routing counts
//! (the tables of wg-quick and Tailscale), and so do routes more specific than the default one (the two halves of
//! OpenVPN): with a VPN up it is another network. Of that way:
//! - the gateway's address, and its link-layer address from the neighbour table, once that is known;
//! - IPv4: the prefix of the source address. It tells networks with the same private gateway address apart while
//!   the link-layer address is not known, and shows an IPsec tunnel, which may change nothing else. Not so with
//!   IPv6: some providers renumber their customers daily, and prefixes come later than routers. There a gateway,
//!   link-local as a rule, and its link-layer address are enough;
//! - of an interface without link-layer addresses (tun, WireGuard, PPP, mobile broadband): its type, its name, the
//!   gateway if any, the prefix, and the gateway *below* it, that of the best default route through an ordinary
//!   interface, since a machine may move with its VPN up.
//!
//! Nothing else counts: not the names of ordinary interfaces, not metrics, lifetimes, own or temporary addresses. A
//! cable instead of Wi-Fi at the same router is the same network.
//!
//! What it cannot see: that the router moved, and we with it (a telephone's hotspot, a train, the host of a virtual
//! machine or a container behind NAT); that two places use the same gateway address with the same virtual
//! link-layer address (VRRP); another exit inside one VPN that changes no address.
//!
//! [`here`] asks over rtnetlink(7) and reads one file. It sends no packet: asking for a route does not use it. (The
//! kernel itself may, once a minute at most, look for an IPv6 router whose link-layer address it has lost, RFC 4191
//! section 3.5, when anybody asks for a route; `getaddrinfo` has the same effect.) It waits for nothing but locks
//! inside the kernel, again as `getaddrinfo` does.
//!
//! # What the hash hides, and what it does not
//! A family is written as 64 bits: one that says "tunnel", 31 bits of a keyed hash (SipHash-2-4) of the place, and
//! 32 of the link-layer address. The key is a hash of `/etc/machine-id`. So the file alone tells no address, and
//! two machines write different values in one network.
//!
//! It does *not* hide that a machine was in the same network twice, in how many it was, and when; whether a family
//! had a route and whether through a tunnel; whether the gateway's link-layer address was known. Who also has the
//! machine id (any local user who can read the cache, whoever has the disk) can test guesses; private addresses are
//! few, and there are databases of the link-layer addresses of routers. Without a machine id the key is the same
//! everywhere, and everybody can.
#![forbid(unsafe_code)]

mod message;

use crate::sys::Rtnetlink;
use message::{Address, Link, Neighbour, Route, family, header, octets};
use siphasher::sip::SipHasher24;
use siphasher::sip128;
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The network this machine is in, as far as it is known; by default, nothing is. Values that are not equal may be
/// the same network: ask [`differs`](Network::differs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Network {
    /// The network of IPv4 packets; none if the kernel did not say.
    pub(crate) ipv4: Option<u64>,
    /// The same of IPv6.
    pub(crate) ipv6: Option<u64>,
}

/// The value of a family without a route out: known, and not the same as "the kernel did not say".
const NO_ROUTE: u64 = 0;

/// How two values of one family compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Not known on one side.
    Unknown,
    /// No route on either side.
    NoRoute,
    /// A route on one side only, and no tunnel.
    Appeared,
    /// A route on both sides, and nothing that tells them apart.
    Alike,
    /// A tunnel on one side only, or a route on both sides, and not the same.
    Different,
}

impl Network {
    /// Whether what was measured in the one says nothing in the other. Symmetric, and false where not enough is known.
    ///
    /// - A family that has a route on both sides, and not the same one, makes a difference. A link-layer address
    ///   that was not known on one side does not.
    /// - A tunnel that appears or vanishes makes a difference.
    /// - Another route that appears or vanishes does only if the other family has none, or did the same. Otherwise
    ///   that one decides: IPv6 comes seconds after IPv4, and comes and goes with lost router advertisements, in
    ///   networks that stay what they are.
    /// - A family about which the kernel did not say anything makes none.
    pub(crate) fn differs(&self, other: &Network) -> bool {
        use Comparison::*;
        let families = (compare(self.ipv4, other.ipv4), compare(self.ipv6, other.ipv6));
        matches!(families, (Different, _) | (_, Different))
            || matches!(families, (Appeared, Appeared | NoRoute) | (NoRoute, Appeared))
    }

    /// Two words of hexadecimal digits, or `x` where nothing is known, and a hyphen between them.
    pub(crate) fn to_text(self) -> String {
        let word = |value: Option<u64>| value.map_or("x".to_string(), |value| format!("{value:x}"));
        format!("{}-{}", word(self.ipv4), word(self.ipv6))
    }

    /// What [`to_text`](Network::to_text) wrote, and nothing else.
    pub(crate) fn from_text(text: &str) -> Option<Network> {
        let is_digit = |digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        // Without leading zeros and signs, which would be other spellings of the same.
        let is_ours = |word: &str| word == "0" || (!word.starts_with('0') && word.bytes().all(is_digit));
        let word = |word: &str| match word {
            "x" => Some(None),
            _ => u64::from_str_radix(word, 16).ok().filter(|_| is_ours(word)).map(Some),
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

/// Asks the kernel. Whatever goes wrong, the network is unknown then.
pub(crate) fn here() -> Network {
    let key = key(&machine_id());
    let Ok(mut kernel) = Kernel::open() else { return Network::default() };
    let mut identify = |destinations| kernel.ways(destinations).map(|ways| identity(&key, &ways)).ok();
    Network { ipv4: identify(SOMEWHERE_V4), ipv6: identify(SOMEWHERE_V6) }
}

/// Destinations for which nobody has a route of their own but the default one, one in each half of the addresses,
/// as OpenVPN's "def1" and others route them. Nothing is ever sent there. 198.51.100.0/24 is for documentation (RFC
/// 5737); the lower half has no such prefix, and its middle will do.
const SOMEWHERE_V4: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(64, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))];
/// 2001:db8::/32 and 3fff::/20 are for documentation (RFC 3849, 9637), and in different halves of 2000::/3, the
/// part of the addresses in use.
const SOMEWHERE_V6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1)),
];

/// The answer of a route look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hop {
    interface: u32,
    gateway: Option<IpAddr>,
    source: Option<IpAddr>,
}

/// A way out of this machine, as far as it names a network.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    tunnel: Option<Tunnel>,
    gateway: Option<IpAddr>,
    /// Of the source address, if it counts.
    prefix: Option<(IpAddr, u8)>,
    /// What names the next machine on the link, and is not always known: its link-layer address; below a tunnel
    /// the gateway's address too. Empty if there is none to know.
    next: Option<Vec<u8>>,
}

/// What names an interface without link-layer addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tunnel {
    kind: u16,
    name: Vec<u8>,
}

/// The value of a family, from the ways to its destinations: 1 bit for a tunnel, 31 of the place, 32 of what is
/// next on the link, where 0 means that this is not known.
fn identity(key: &[u8; 16], ways: &[Option<Way>]) -> u64 {
    if ways.iter().all(Option::is_none) {
        return NO_ROUTE;
    }
    // Each part with its length before it, so that different parts never make the same bytes.
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

/// The first `length` bits of an address.
fn prefix(ip: IpAddr, length: u8) -> IpAddr {
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

/// The hash key. The machine id itself must not be used as one: machine-id(5).
fn key(machine_id: &[u8]) -> [u8; 16] {
    let mut hasher = sip128::SipHasher24::new_with_key(b"fastestmirrornet");
    hasher.write(machine_id);
    sip128::Hasher128::finish128(&hasher).as_bytes()
}

/// The machine's id, or nothing where it has none.
fn machine_id() -> Vec<u8> {
    let mut id = Vec::new();
    // More than it can be, and not all of whatever else it is.
    let read = File::open("/etc/machine-id").and_then(|file| file.take(64).read_to_end(&mut id));
    read.map_or(Vec::new(), |_| whole(&id).to_vec())
}

/// Nothing, unless these are the 32 digits of an id: the file may be empty, or say "uninitialized".
fn whole(id: &[u8]) -> &[u8] {
    let id = id.trim_ascii_end();
    if id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit) { id } else { b"" }
}

/// A conversation with the kernel.
struct Kernel {
    socket: Rtnetlink,
    buffer: Vec<u8>,
    sequence: u32,
    deadline: Instant,
    /// How much more may be read.
    allowance: usize,
    /// What is below tunnels, once that was asked.
    below: Option<Option<Vec<u8>>>,
}

/// What a datagram holds at most: the kernel makes none longer (netlink_dump, linux/net/netlink/af_netlink.c).
const DATAGRAM: usize = 32 * 1024;
/// What all answers together may hold: some 20,000 routes or addresses. A machine with more is a router.
const ALLOWANCE: usize = 2 * 1024 * 1024;
/// How long all questions together may take.
const PATIENCE: Duration = Duration::from_millis(250);

impl Kernel {
    fn open() -> io::Result<Kernel> {
        Ok(Kernel {
            socket: Rtnetlink::open()?,
            buffer: vec![0; DATAGRAM],
            sequence: 0,
            deadline: Instant::now() + PATIENCE,
            allowance: ALLOWANCE,
            below: None,
        })
    }

    /// The ways to some destinations of one family, each named once.
    fn ways(&mut self, destinations: [IpAddr; 2]) -> io::Result<Vec<Option<Way>>> {
        let mut hops = Vec::new();
        for destination in destinations {
            hops.push(self.hop(destination)?);
        }
        hops.dedup();
        hops.into_iter().map(|hop| hop.map(|hop| self.way(hop)).transpose()).collect()
    }

    fn way(&mut self, Hop { interface, gateway, source }: Hop) -> io::Result<Way> {
        let link = self.link(interface)?;
        let is_tunnel = link.is_tunnel();
        // Routers name an IPv6 network well enough; prefixes come late and change.
        let counts = |source: &IpAddr| is_tunnel || gateway.is_none() || source.is_ipv4();
        let prefix = source.filter(counts).map(|source| self.prefix_of(source)).transpose()?;
        let next = match gateway {
            _ if is_tunnel => self.below_tunnels()?,
            Some(gateway) => self.link_address(interface, gateway)?,
            None => Some(Vec::new()),
        };
        let tunnel = is_tunnel.then_some(Tunnel { kind: link.kind, name: link.name });
        Ok(Way { tunnel, gateway, prefix, next })
    }

    /// Where packets to a destination go; none if there is no route.
    fn hop(&mut self, destination: IpAddr) -> io::Result<Option<Hop>> {
        let address = octets(destination);
        let header = header::route(family(destination), address.len() as u8 * 8);
        let mut route = None;
        let asked = self.ask(libc::RTM_GETROUTE, 0, &header, &[(libc::RTA_DST, &address)], |body| {
            route = Route::read(body).filter(|route| route.kind == libc::RTN_UNICAST);
        });
        match asked {
            Ok(()) => Ok(route.and_then(|Route { interface, gateway, source, .. }| {
                Some(Hop { interface: interface?, gateway, source })
            })),
            Err(error) => match error.raw_os_error() {
                // No route, or one of the types "unreachable", "prohibit" and "blackhole".
                Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL) => Ok(None),
                // A kernel without this family.
                Some(libc::EAFNOSUPPORT | libc::EPFNOSUPPORT | libc::EOPNOTSUPP) => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn link(&mut self, index: u32) -> io::Result<Link> {
        let mut link = None;
        self.ask(libc::RTM_GETLINK, 0, &header::link(index), &[], |body| link = Link::read(body))?;
        link.filter(|link| link.index == index).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The prefix from which we have this address; the address itself if it is gone again.
    fn prefix_of(&mut self, source: IpAddr) -> io::Result<(IpAddr, u8)> {
        let mut found = None;
        let dump = libc::NLM_F_DUMP as u16;
        self.ask(libc::RTM_GETADDR, dump, &header::address(family(source)), &[], |body| {
            found = found.or(Address::read(body)
                .filter(|address| address.local == source)
                .map(|Address { peer, prefix_length, .. }| (prefix(peer, prefix_length), prefix_length)));
        })?;
        Ok(found.unwrap_or((source, octets(source).len() as u8 * 8)))
    }

    /// The link-layer address of a neighbour, if it is known.
    fn link_address(&mut self, interface: u32, neighbour: IpAddr) -> io::Result<Option<Vec<u8>>> {
        let mut found = None;
        let mut read = |body: &[u8]| {
            let entry = Neighbour::read(body);
            let entry = entry.filter(|entry| (entry.interface, entry.address) == (interface, neighbour));
            found = found.take().or(entry.and_then(Neighbour::known));
        };
        let (family, address) = (family(neighbour), octets(neighbour));
        let header = header::neighbour(family, interface);
        let asked = self.ask(libc::RTM_GETNEIGH, 0, &header, &[(libc::NDA_DST, &address)], &mut read);
        match asked.as_ref().err().and_then(io::Error::raw_os_error) {
            Some(libc::ENOENT) => {}
            // Before Linux 5.0 one has to ask for all of them.
            Some(libc::EOPNOTSUPP) => {
                let dump = libc::NLM_F_DUMP as u16;
                self.ask(libc::RTM_GETNEIGH, dump, &header::neighbour(family, 0), &[], &mut read)?;
            }
            _ => asked?,
        }
        Ok(found)
    }

    /// The gateway of the best default route through an interface with link-layer addresses, and its link-layer
    /// address: what a VPN's own packets use most likely. Empty if there is no such route; none if it is not known.
    fn below_tunnels(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.below.is_none() {
            // An error leaves only this unknown: the rest names the network well enough.
            self.below = Some(self.ask_below_tunnels().unwrap_or_default());
        }
        Ok(self.below.clone().flatten())
    }

    fn ask_below_tunnels(&mut self) -> io::Result<Option<Vec<u8>>> {
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut defaults = Vec::new();
            let dump = libc::NLM_F_DUMP as u16;
            self.ask(libc::RTM_GETROUTE, dump, &header::route(family as u8, 0), &[], |body| {
                defaults.extend(Route::read(body).filter(|route| {
                    let main = route.table == libc::RT_TABLE_MAIN.into();
                    main && route.destination_length == 0 && route.kind == libc::RTN_UNICAST
                }));
            })?;
            defaults.sort_by_key(|route| route.metric);
            for route in defaults {
                let (Some(interface), Some(gateway)) = (route.interface, route.gateway) else { continue };
                if !self.link(interface)?.is_tunnel() {
                    let address = self.link_address(interface, gateway)?;
                    return Ok(address.map(|address| [octets(gateway), address].concat()));
                }
            }
        }
        Ok(Some(Vec::new()))
    }

    /// Asks one question, or for a dump, and hands over the body of each message of the answer.
    fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        header: &[u8],
        attributes: &[(u16, &[u8])],
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        /// What a question is answered with: each kind comes as new, get, delete, set.
        const ANSWER: u16 = libc::RTM_GETLINK - libc::RTM_NEWLINK;
        self.sequence += 1;
        self.socket.send(&message::question(kind, flags, self.sequence, header, attributes))?;
        loop {
            if Instant::now() > self.deadline || self.allowance < DATAGRAM {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let datagram = self.socket.receive(&mut self.buffer)?;
            self.allowance -= datagram.len();
            for message in message::messages(datagram).filter(|message| message.sequence == self.sequence) {
                if message.flags & libc::NLM_F_DUMP_INTR as u16 != 0 {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                if matches!(i32::from(message.kind), libc::NLMSG_ERROR | libc::NLMSG_DONE) {
                    let error = message.error();
                    return if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) };
                }
                if message.kind == kind - ANSWER {
                    each(message.body);
                }
                if flags & libc::NLM_F_DUMP as u16 == 0 {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
