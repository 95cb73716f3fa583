//! Network links besides the world's own: an Ethernet or a tunnel with addresses, routes and
//! neighbors, so that a test can move this machine from one network to another. No host answers on
//! them. The routes of a world are more specific and keep working.
//!
//! ```ignore
//! let home = Link::ethernet("eth0").address("192.168.1.7/24").default_via("192.168.1.1", 100);
//! home.neighbor("192.168.1.1", [2, 0, 0, 0, 0, 1]);
//! // ... rank ...
//! // Another router with the same address: the machine has moved.
//! home.neighbor("192.168.1.1", [2, 0, 0, 0, 0, 2]);
//! ```

use super::device::{Device, ask_kernel, attribute, family_and_octets};
use std::io::{self, Read};
use std::net::IpAddr;

/// A network link. Dropping it removes it with its addresses, routes and neighbors. The methods
/// panic if the kernel refuses a request.
#[derive(Debug)]
pub struct Link {
    device: Device,
}

impl Link {
    pub fn ethernet(name: &str) -> Link {
        // Without an automatic IPv6 address, so that the kernel sends no packets of its own.
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1");
        Link { device: Device::open_ethernet(name).unwrap() }
    }

    /// Opens a TUN device, as most VPNs use: its packets have no link-layer addresses.
    pub fn tunnel(name: &str) -> Link {
        Link { device: Device::open(name).unwrap() }
    }

    #[track_caller]
    pub fn address(self, address: &str) -> Link {
        let (address, prefix) = network(address);
        self.device.add_address(address, prefix).unwrap();
        self
    }

    #[track_caller]
    pub fn default_via(self, gateway: &str, metric: u32) -> Link {
        let to = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
        self.route(to, Some(gateway), metric)
    }

    /// Adds a route through this link, to a gateway or to the link itself.
    #[track_caller]
    pub fn route(self, to: &str, gateway: Option<&str>, metric: u32) -> Link {
        self.change_route(libc::RTM_NEWROUTE, to, gateway, metric).unwrap();
        self
    }

    /// Deletes a route that `route` has added.
    #[track_caller]
    pub fn unroute(self, to: &str, gateway: Option<&str>, metric: u32) -> Link {
        self.change_route(libc::RTM_DELROUTE, to, gateway, metric).unwrap();
        self
    }

    /// Adds a route to the link itself in a table that only a [`Rule`] leads to.
    #[track_caller]
    pub fn route_in_table(self, table: u8, to: &str) -> Link {
        let route = Route { table, kind: libc::RTN_UNICAST, link: Some(self.device.index), to, metric: 0 };
        route.change(libc::RTM_NEWROUTE, None).unwrap();
        self
    }

    fn change_route(&self, what: u16, to: &str, gateway: Option<&str>, metric: u32) -> io::Result<()> {
        let (table, kind) = (libc::RT_TABLE_MAIN, libc::RTN_UNICAST);
        Route { table, kind, link: Some(self.device.index), to, metric }.change(what, gateway)
    }

    /// Sets the link-layer address of a neighbor, in the state of one that was heard long ago.
    pub fn neighbor(&self, address: &str, link_address: [u8; 6]) {
        let entry = self.entry(address, libc::NUD_STALE, Some(link_address));
        ask_kernel(libc::RTM_NEWNEIGH, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &entry).unwrap();
    }

    /// Puts a neighbor into the state in which the kernel has asked for its address and waits for
    /// the answer.
    pub fn neighbor_incomplete(&self, address: &str) {
        self.forget_neighbor(address);
        let entry = self.entry(address, libc::NUD_INCOMPLETE, None);
        ask_kernel(libc::RTM_NEWNEIGH, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &entry).unwrap();
    }

    pub fn forget_neighbor(&self, address: &str) {
        // Fails if there is no such neighbor.
        let _ = ask_kernel(libc::RTM_DELNEIGH, 0, &self.entry(address, 0, None));
    }

    fn entry(&self, address: &str, state: u16, link_address: Option<[u8; 6]>) -> Vec<u8> {
        let (family, octets) = family_and_octets(address.parse().unwrap());
        // struct ndmsg: family, padding, interface, state, flags, kind.
        let mut body = vec![family, 0, 0, 0];
        body.extend(self.device.index.to_ne_bytes());
        body.extend(state.to_ne_bytes());
        body.extend([0, 0]);
        body.extend(attribute(libc::NDA_DST, &octets));
        if let Some(link_address) = link_address {
            body.extend(attribute(libc::NDA_LLADDR, &link_address));
        }
        body
    }

    /// The packets that were sent through this link since the last call.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut buffer = [0; 2048];
        while let Ok(length) = (&self.device.file).read(&mut buffer) {
            packets.push(buffer[..length].to_vec());
        }
        packets
    }
}

struct Route<'a> {
    table: u8,
    kind: u8,
    link: Option<u32>,
    to: &'a str,
    metric: u32,
}

impl Route<'_> {
    #[track_caller]
    fn change(&self, what: u16, gateway: Option<&str>) -> io::Result<()> {
        /// The gateway is on this link, whether or not an address of the link says so.
        const RTNH_F_ONLINK: u32 = 4;
        let (to, prefix) = network(self.to);
        let (family, octets) = family_and_octets(to);
        // struct rtmsg: family, lengths, service, table, protocol, scope, kind, flags.
        let direct = gateway.is_none() && self.link.is_some();
        let scope = if direct { libc::RT_SCOPE_LINK } else { libc::RT_SCOPE_UNIVERSE };
        let mut body = vec![family, prefix, 0, 0, self.table, libc::RTPROT_STATIC, scope, self.kind];
        body.extend((if gateway.is_some() { RTNH_F_ONLINK } else { 0 }).to_ne_bytes());
        body.extend(attribute(libc::RTA_DST, &octets));
        body.extend(attribute(libc::RTA_PRIORITY, &self.metric.to_ne_bytes()));
        if let Some(link) = self.link {
            body.extend(attribute(libc::RTA_OIF, &link.to_ne_bytes()));
        }
        if let Some(gateway) = gateway {
            let (_, octets) = family_and_octets(gateway.parse().unwrap());
            body.extend(attribute(libc::RTA_GATEWAY, &octets));
        }
        // In a request to delete the same bits have other meanings.
        let make = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        ask_kernel(what, if what == libc::RTM_NEWROUTE { make } else { 0 }, &body)
    }
}

/// A route of a kind that leads nowhere (`RTN_UNREACHABLE`, `RTN_BLACKHOLE`, ...). Dropping it
/// deletes it.
#[derive(Debug)]
pub struct Refusal {
    to: String,
    kind: u8,
}

#[track_caller]
pub fn refuse(to: &str, kind: u8) -> Refusal {
    let refusal = Refusal { to: to.to_owned(), kind };
    refusal.route().change(libc::RTM_NEWROUTE, None).unwrap();
    refusal
}

impl Refusal {
    fn route(&self) -> Route<'_> {
        Route { table: libc::RT_TABLE_MAIN, kind: self.kind, link: None, to: &self.to, metric: 100 }
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        let _ = self.route().change(libc::RTM_DELROUTE, None);
    }
}

/// A rule that makes all IPv4 packets use another routing table before the main one. Dropping it
/// deletes it.
#[derive(Debug)]
pub struct Rule(u8);

impl Rule {
    #[track_caller]
    pub fn to_table(table: u8) -> Rule {
        let rule = Rule(table);
        ask_kernel(libc::RTM_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &rule.body()).unwrap();
        rule
    }

    fn body(&self) -> Vec<u8> {
        const FR_ACT_TO_TBL: u8 = 1;
        // struct fib_rule_hdr: family, lengths, service, table, two reserved bytes, action, flags.
        vec![libc::AF_INET as u8, 0, 0, 0, self.0, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0]
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        let _ = ask_kernel(libc::RTM_DELRULE, 0, &self.body());
    }
}

/// Parses an address and a prefix length such as "192.168.1.7/24".
#[track_caller]
fn network(text: &str) -> (IpAddr, u8) {
    let (address, prefix) = text.split_once('/').expect("an address and the length of its prefix");
    (address.parse().unwrap(), prefix.parse().unwrap())
}
