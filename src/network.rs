//! Which network this machine is in. A laptop that has moved must not use latencies measured
//! elsewhere.
//!
//! A network is identified, for each address family, by the way out of it: the kernel's answer for
//! the route to addresses somewhere on the internet, which is the way of packets to a mirror. So
//! policy routing counts (the tables of wg-quick and Tailscale), and so do routes that are more
//! specific than the default one (the two halves of OpenVPN): with a VPN up it is another network.
//! Of that way these count:
//! - the gateway's address, and its link-layer address from the neighbor table, once that is known;
//! - for IPv4, the prefix of the source address. It tells apart networks with the same private
//!   gateway address while the link-layer address is not known, and it shows an IPsec tunnel, which
//!   may change nothing else. Not so for IPv6: some providers renumber their customers daily, and
//!   prefixes come later than routers. There the gateway, usually a link-local address, and its
//!   link-layer address are enough;
//! - of an interface without link-layer addresses (tun, WireGuard, PPP, mobile broadband): its
//!   type, its name, the gateway if any, the prefix, and the gateway *below* it, which is that of
//!   the best default route through another kind of interface, since a machine may move with its
//!   VPN up.
//!
//! Nothing else counts: not the names of other interfaces, not metrics, lifetimes, own or temporary
//! addresses. A cable instead of Wi-Fi at the same router is the same network.
//!
//! What is not noticed: that the router has moved together with the machine (a telephone's hotspot,
//! a train, the host of a virtual machine or of a container behind NAT); that two places use the
//! same gateway address with the same virtual link-layer address (VRRP); that a VPN has changed its
//! exit but no address.
//!
//! # What the hash hides, and what it does not
//! A family is written as 64 bits: one says whether it is a tunnel, 31 are a keyed hash
//! (SipHash-2-4) of the place, and 32 a hash of the link-layer address. The key is a hash of
//! `/etc/machine-id`. So the file alone reveals no address, and two machines write different values
//! in the same network.
//!
//! It does *not* hide that a machine was in the same network twice, in how many networks it was,
//! and when; whether a family had a route and whether through a tunnel; whether the gateway's
//! link-layer address was known. Someone who also has the machine id (any local user who can read
//! the cache, or the owner of the disk) can test guesses: there are few private addresses, and
//! there are databases of the link-layer addresses of routers. Without a machine id the key is the
//! same everywhere, and anyone can.
#![forbid(unsafe_code)]

mod identity;
mod kernel;

pub(crate) use identity::Network;
#[cfg(feature = "__internals")]
pub(crate) use kernel::fuzz;

use kernel::Kernel;
use std::fs::OpenOptions;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Returns a key for hashes that differ from machine to machine; the same everywhere where there is
/// no machine id.
pub(crate) fn machine_key() -> [u8; 16] {
    identity::key(&machine_id(Path::new("/etc/machine-id")))
}

/// Asks the kernel which network this is. If anything goes wrong, the network is not known.
pub(crate) fn here() -> Network {
    let key = machine_key();
    let Ok(mut kernel) = Kernel::open() else { return Network::default() };
    let mut identify =
        |destinations| kernel.ways(destinations).map(|ways| identity::identity(&key, &ways)).ok();
    Network { ipv4: identify(SOMEWHERE_V4), ipv6: identify(SOMEWHERE_V6) }
}

/// Destinations to which only default routes lead, one in each half of the address space, since
/// OpenVPN's "def1" and others route the halves separately. Nothing is ever sent to them.
///
/// 198.51.100.0/24 is for documentation (RFC 5737). The lower half has no such prefix; this is an
/// address in its middle.
const SOMEWHERE_V4: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(64, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))];
/// The same for IPv6: 2001:db8::/32 and 3fff::/20 are for documentation (RFC 3849 and 9637), and
/// are in different halves of 2000::/3, the part of the address space in use.
const SOMEWHERE_V6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1)),
];

/// Returns the machine's id; empty if it has none, or if this is no regular file.
fn machine_id(path: &Path) -> Vec<u8> {
    let mut file = Vec::new();
    // A FIFO would block, and a device may do anything.
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let Ok(id) = open else { return Vec::new() };
    if !id.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Vec::new();
    }
    // This is more than an id can be, and a limit if the file is something else.
    let read = id.take(64).read_to_end(&mut file);
    read.map_or(Vec::new(), |_| identity::machine_id(&file).to_vec())
}

#[cfg(test)]
mod tests;
