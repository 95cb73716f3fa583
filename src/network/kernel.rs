//! What the kernel says about the way out of this machine: questions and answers over rtnetlink(7).
//!
//! No packet is sent: asking for a route does not use it. (The kernel itself may, at most once a
//! minute, look for an IPv6 router whose link-layer address it has lost, RFC 4191 section 3.5, when
//! any process asks for a route; `getaddrinfo` has the same effect.) The only waiting is for locks
//! inside the kernel, as in `getaddrinfo`.
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "__internals"))]
pub(crate) mod fuzz;
mod message;

use super::identity::{Tunnel, Way, octets, prefix};
use crate::sys::Rtnetlink;
use message::{Address, Link, Neighbor, Route, family, header};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The answer to a question for a route.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hop {
    interface: u32,
    gateway: Option<IpAddr>,
    source: Option<IpAddr>,
}

/// A socket for questions to the kernel.
pub(super) struct Kernel {
    socket: Rtnetlink,
    buffer: Vec<u8>,
    sequence: u32,
    deadline: Instant,
    /// How many more bytes may be read.
    allowance: usize,
    /// What is below tunnels, once it has been asked for.
    below: Option<Option<Vec<u8>>>,
}

/// The size of the longest datagram: the kernel makes none longer (netlink_dump in
/// linux/net/netlink/af_netlink.c).
const DATAGRAM: usize = 32 * 1024;
/// The size of all answers together: some 20,000 routes or addresses. A machine with more is a
/// router.
const ALLOWANCE: usize = 2 * 1024 * 1024;
/// How long all questions together may take.
const TIMEOUT: Duration = Duration::from_millis(250);

impl Kernel {
    pub(super) fn open() -> io::Result<Kernel> {
        Ok(Kernel {
            socket: Rtnetlink::open()?,
            buffer: vec![0; DATAGRAM],
            sequence: 0,
            deadline: Instant::now() + TIMEOUT,
            allowance: ALLOWANCE,
            below: None,
        })
    }

    /// Returns the ways to destinations of one family, without repetitions.
    pub(super) fn ways(&mut self, destinations: [IpAddr; 2]) -> io::Result<Vec<Option<Way>>> {
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
        // The router identifies an IPv6 network well enough; prefixes come late and change.
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

    /// Returns where packets to a destination go; none if there is no route.
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

    /// Returns the prefix of one of our addresses; the whole address if it has been removed since.
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

    /// Returns the link-layer address of a neighbor, if it is known.
    fn link_address(&mut self, interface: u32, neighbor: IpAddr) -> io::Result<Option<Vec<u8>>> {
        let mut found = None;
        let mut read = |body: &[u8]| {
            let entry = Neighbor::read(body);
            let entry = entry.filter(|entry| (entry.interface, entry.address) == (interface, neighbor));
            found = found.take().or(entry.and_then(Neighbor::valid_link_address));
        };
        let (family, address) = (family(neighbor), octets(neighbor));
        let header = header::neighbor(family, interface);
        let asked = self.ask(libc::RTM_GETNEIGH, 0, &header, &[(libc::NDA_DST, &address)], &mut read);
        match asked.as_ref().err().and_then(io::Error::raw_os_error) {
            Some(libc::ENOENT) => {}
            // Linux before 5.0 cannot look up one neighbor, only list all.
            Some(libc::EOPNOTSUPP) => {
                let dump = libc::NLM_F_DUMP as u16;
                self.ask(libc::RTM_GETNEIGH, dump, &header::neighbor(family, 0), &[], &mut read)?;
            }
            _ => asked?,
        }
        Ok(found)
    }

    /// Returns the gateway of the best default route through an interface with link-layer
    /// addresses, and its link-layer address: most likely the packets of the VPN itself go there.
    /// Empty if there is no such route; none if it is not known.
    fn below_tunnels(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.below.is_none() {
            // After an error only this is unknown. The rest identifies the network well enough.
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

    /// Asks a question and passes the body of each message of the answer to `each`.
    fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        header: &[u8],
        attributes: &[(u16, &[u8])],
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        /// From the kind of a question to the kind of its answer, RTM_GET... to RTM_NEW...
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
