//! The description of a world: its mirrors, how each of their addresses answers, and how names are
//! resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The client's own addresses. With these prefixes glibc sorts the IPv6 addresses of a host before
/// the IPv4 ones.
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
    /// Never answers.
    Silent,
    /// ICMP or ICMPv6 "host unreachable", one round trip after the SYN.
    Unreachable {
        rtt: Duration,
    },
}

/// An address that answers. The other packets of a connection take half the round trip in each
/// direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub rtt: Duration,
    /// Each SYN-ACK is delayed by a random part of this, uniformly distributed.
    pub jitter: Duration,
    /// The number of SYNs to this address that are lost, counted from the start of the world for
    /// all connections.
    pub lose_first_syns: u32,
    pub lose_first_syn_acks: u32,
    /// The probability with which each packet of a handshake is lost: SYN, SYN-ACK and ACK.
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

/// How the name server answers queries for a name. If found, a family without addresses gets an
/// empty answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Lookup {
    #[default]
    Found,
    NxDomain,
    ServFail,
    Silent,
    /// Found, but at 0.0.0.0 and ::, the answer of name servers that block a name.
    Blocked,
}

/// A host of the world. Without addresses, and with [`Lookup::Found`], its name exists but has no
/// records.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    pub name: String,
    /// Further names that lead to the same addresses.
    pub aliases: Vec<String>,
    pub ipv4: Vec<Fate>,
    pub ipv6: Vec<Fate>,
    pub lookup: Lookup,
    /// The delay of answers about this name, instead of the name server's.
    pub lookup_delay: Option<Duration>,
    /// The ports that are not refused. None means all: they lead to the lab's own server
    /// ([`Spec::accept`]), or to any server that listens in this namespace.
    pub only_ports: Option<Vec<u16>>,
}

impl Mirror {
    pub fn new(name: &str) -> Self {
        Mirror {
            name: name.to_owned(),
            aliases: Vec::new(),
            ipv4: Vec::new(),
            ipv6: Vec::new(),
            lookup: Lookup::Found,
            lookup_delay: None,
            only_ports: None,
        }
    }

    /// Adds further names that lead to the same addresses.
    pub fn aliases(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.aliases.extend(names);
        self
    }

    /// Adds an IPv4 address. The name server gives those of a family in this order.
    pub fn ipv4(mut self, fate: impl Into<Fate>) -> Self {
        self.ipv4.push(fate.into());
        self
    }

    /// Adds an IPv6 address.
    pub fn ipv6(mut self, fate: impl Into<Fate>) -> Self {
        self.ipv6.push(fate.into());
        self
    }

    /// Adds an address of each family that behaves in this way.
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

/// How names are resolved inside the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Names {
    /// By a name server that answers after this delay.
    Dns { delay: Duration },
    /// By /etc/hosts, without the names that fail or have no address.
    Hosts,
    /// Not at all: the system's configuration is left alone, and clients use addresses.
    Untouched,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub mirrors: Vec<Mirror>,
    pub names: Names,
    /// The seed of loss and jitter.
    pub seed: u64,
    /// The ports that the lab serves itself: it accepts, reads until the client closes, and closes.
    /// Empty if a real server listens, which gets no packets on these ports.
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

/// The IPv4 address of this number; there are at most [`MOST_ADDRESSES`].
pub(crate) fn ipv4_of(number: usize) -> Ipv4Addr {
    let [high, low] = (FIRST_V4 + number as u16).to_be_bytes();
    Ipv4Addr::new(198, 18, high, low)
}

/// The IPv6 address of this number.
pub(crate) fn ipv6_of(number: usize) -> Ipv6Addr {
    let segments = CLIENT_V6.segments();
    Ipv6Addr::new(segments[0], segments[1], 1, 0, 0, 0, 0, FIRST_V4 + number as u16)
}

/// The number of an address, if it can belong to a mirror.
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
