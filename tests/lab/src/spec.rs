//! What a world is to be like: its mirrors, how each of their addresses answers, and how names are looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The client's own addresses. With these prefixes glibc sorts a host's IPv6 addresses before its IPv4 ones.
pub(crate) const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
pub(crate) const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// How one address of a mirror treats a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Answer(Answer),
    /// RST, one round trip after the SYN.
    Refuse {
        rtt: Duration,
    },
    /// Nothing ever comes back.
    Silent,
    /// ICMP or ICMPv6 "host unreachable", one round trip after the SYN.
    Unreachable {
        rtt: Duration,
    },
}

/// A mirror that is there. All other packets of a connection take half the round trip each way.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub rtt: Duration,
    /// Each SYN-ACK comes later by a uniform share of this.
    pub jitter: Duration,
    /// The first so many SYNs that reach this address, whoever sent them, are lost; a world counts them from its start.
    pub lose_first_syns: u32,
    pub lose_first_syn_acks: u32,
    /// Chance of loss of each packet of the handshake: SYN, SYN-ACK and the ACK that completes it.
    pub loss: f64,
}

pub fn answer(rtt: Duration) -> Answer {
    Answer { rtt, jitter: Duration::ZERO, lose_first_syns: 0, lose_first_syn_acks: 0, loss: 0.0 }
}

pub fn refuse(rtt: Duration) -> Fate {
    Fate::Refuse { rtt }
}

pub fn unreachable(rtt: Duration) -> Fate {
    Fate::Unreachable { rtt }
}

impl Answer {
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = most;
        self
    }

    pub fn lose_first_syns(mut self, count: u32) -> Self {
        self.lose_first_syns = count;
        self
    }

    pub fn lose_first_syn_acks(mut self, count: u32) -> Self {
        self.lose_first_syn_acks = count;
        self
    }

    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = probability;
        self
    }
}

impl From<Answer> for Fate {
    fn from(answer: Answer) -> Fate {
        Fate::Answer(answer)
    }
}

/// What the name server says of a name; a family without address is an empty answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Lookup {
    #[default]
    Found,
    NxDomain,
    ServFail,
    Silent,
}

/// A host of the world. A host without address and with [`Lookup::Found`] exists but has no records.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    pub name: String,
    pub ipv4: Vec<Fate>,
    pub ipv6: Vec<Fate>,
    pub lookup: Lookup,
    /// Instead of the name server's ordinary delay.
    pub lookup_delay: Option<Duration>,
    /// Other ports of this mirror are refused. None: all ports lead to the servers of the world: the lab's own ([`Spec::accept`]),
    /// and else whoever listens on any address in this namespace.
    pub only_ports: Option<Vec<u16>>,
}

impl Mirror {
    pub fn new(name: &str) -> Self {
        Mirror {
            name: name.to_owned(),
            ipv4: Vec::new(),
            ipv6: Vec::new(),
            lookup: Lookup::Found,
            lookup_delay: None,
            only_ports: None,
        }
    }

    /// Adds an IPv4 address.
    pub fn ipv4(mut self, fate: impl Into<Fate>) -> Self {
        self.ipv4.push(fate.into());
        self
    }

    /// Adds an IPv6 address.
    pub fn ipv6(mut self, fate: impl Into<Fate>) -> Self {
        self.ipv6.push(fate.into());
        self
    }

    /// Adds an address of each family, alike.
    pub fn both(self, fate: impl Into<Fate>) -> Self {
        let fate = fate.into();
        self.ipv4(fate.clone()).ipv6(fate)
    }

    pub fn lookup(mut self, lookup: Lookup) -> Self {
        self.lookup = lookup;
        self
    }

    pub fn lookup_delay(mut self, delay: Duration) -> Self {
        self.lookup_delay = Some(delay);
        self
    }

    pub fn only_ports(mut self, ports: &[u16]) -> Self {
        self.only_ports = Some(ports.to_vec());
        self
    }
}

/// How the system resolves names inside the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Names {
    /// By a name server that takes this long to answer.
    Dns { delay: Duration },
    /// By /etc/hosts; names that fail or have no address are left out of it.
    Hosts,
    /// The system's files stay as they are: addresses only.
    Untouched,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub mirrors: Vec<Mirror>,
    pub names: Names,
    /// Of loss and jitter.
    pub seed: u64,
    /// Where the lab itself accepts, reads until the client closes, and closes; empty to leave the ports to a real server, which
    /// would hear nothing on these.
    pub accept: Vec<u16>,
}

impl Default for Spec {
    fn default() -> Self {
        Spec {
            mirrors: Vec::new(),
            names: Names::Dns { delay: Duration::from_millis(5) },
            seed: 1,
            accept: vec![80, 443],
        }
    }
}

impl Spec {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn mirror(mut self, mirror: Mirror) -> Self {
        self.mirrors.push(mirror);
        self
    }

    pub fn mirrors(mut self, mirrors: impl IntoIterator<Item = Mirror>) -> Self {
        self.mirrors.extend(mirrors);
        self
    }

    pub fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    pub fn dns_delay(self, delay: Duration) -> Self {
        self.names(Names::Dns { delay })
    }

    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub fn accept(mut self, ports: &[u16]) -> Self {
        self.accept = ports.to_vec();
        self
    }
}

/// The place of an address in the world, by number. At most [`MOST_ADDRESSES`] of each family.
pub(crate) fn ipv4_of(number: usize) -> Ipv4Addr {
    let [high, low] = (FIRST_V4 + number as u16).to_be_bytes();
    Ipv4Addr::new(198, 18, high, low)
}

pub(crate) fn ipv6_of(number: usize) -> Ipv6Addr {
    let segments = CLIENT_V6.segments();
    Ipv6Addr::new(segments[0], segments[1], 1, 0, 0, 0, 0, FIRST_V4 + number as u16)
}

/// The number of the address, if it can belong to a mirror.
pub(crate) fn number_of(address: IpAddr) -> Option<usize> {
    let low = match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(v6) => v6.octets()[12..].try_into().ok()?,
    };
    let number = u16::from_be_bytes([low[2], low[3]]).checked_sub(FIRST_V4)? as usize;
    let known = match address {
        IpAddr::V4(v4) => ipv4_of(number) == v4,
        IpAddr::V6(v6) => ipv6_of(number) == v6,
    };
    (known && number < MOST_ADDRESSES).then_some(number)
}

const FIRST_V4: u16 = 0x0100;
pub(crate) const MOST_ADDRESSES: usize = 60_000;
