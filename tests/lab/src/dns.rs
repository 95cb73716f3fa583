//! The name server of a world, over UDP: answers after a delay, fails, or stays silent.

use super::namespace::{Context, Unavailable};
use super::report::Queries;
use super::spec::Lookup;
use super::timeline::{Timeline, Woken, wait};
use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Every network namespace has a loopback of its own, so port 53 is free on it.
pub(crate) const NAME_SERVER: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What a blocked name is answered with.
const UNSPECIFIED: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

pub(crate) struct Host {
    pub addresses: Vec<IpAddr>,
    pub lookup: Lookup,
    pub delay: Duration,
}

pub(crate) struct NameServer {
    socket: UdpSocket,
    /// By name in lower case.
    hosts: HashMap<String, Host>,
    /// The delay of answers about unknown names.
    delay: Duration,
    queries: Mutex<BTreeMap<String, Queries>>,
}

impl NameServer {
    pub(crate) fn bind(hosts: HashMap<String, Host>, delay: Duration) -> Result<NameServer, Unavailable> {
        let socket = UdpSocket::bind((NAME_SERVER, 53)).context("cannot bind the name server")?;
        socket.set_nonblocking(true).context("cannot make a socket non-blocking")?;
        Ok(NameServer { socket, hosts, delay, queries: Mutex::default() })
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, Queries> {
        self.queries.lock().expect("the name server does not panic").clone()
    }

    /// Answers queries until the other end of `stop` is closed.
    pub(crate) fn run(&self, stop: &UnixStream) {
        let mut timeline: Timeline<(SocketAddr, Vec<u8>)> = Timeline::new();
        let mut buffer = [0; 4096];
        while wait(self.socket.as_raw_fd(), stop.as_raw_fd(), timeline.next_due()) == Woken::Work {
            while let Ok((length, client)) = self.socket.recv_from(&mut buffer) {
                if let Some((delay, answer)) = self.answer(&buffer[..length]) {
                    timeline.push(Instant::now() + delay, (client, answer));
                }
            }
            while let Some((_, (client, answer))) = timeline.pop(Instant::now()) {
                // Fails if the client has closed its socket, and then nothing is missing.
                let _ = self.socket.send_to(&answer, client);
            }
        }
    }

    /// The answer to a query and its delay. None for packets that are no query, and for silent
    /// names.
    fn answer(&self, query: &[u8]) -> Option<(Duration, Vec<u8>)> {
        let query = Packet::parse(query).ok()?;
        let question = query.questions.first()?;
        let name = question.qname.to_string().to_ascii_lowercase();
        let (v4, v6) = (question.qtype == QTYPE::TYPE(TYPE::A), question.qtype == QTYPE::TYPE(TYPE::AAAA));
        {
            let mut queries = self.queries.lock().expect("the name server does not panic");
            let counts = queries.entry(name.clone()).or_default();
            counts.a += usize::from(v4);
            counts.aaaa += usize::from(v6);
        }

        let mut reply = Packet::new_reply(query.id());
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER | PacketFlag::RECURSION_AVAILABLE);
        if query.has_flags(PacketFlag::RECURSION_DESIRED) {
            reply.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        reply.questions.push(question.clone());
        let host = self.hosts.get(&name);
        match host.map(|host| host.lookup) {
            Some(Lookup::Silent) => return None,
            Some(Lookup::ServFail) => *reply.rcode_mut() = RCODE::ServerFailure,
            Some(Lookup::NxDomain) | None => *reply.rcode_mut() = RCODE::NameError,
            Some(Lookup::Found | Lookup::Blocked) => {}
        }
        if let Some(host) = host {
            let addresses = match host.lookup {
                Lookup::Found => &host.addresses[..],
                Lookup::Blocked => &UNSPECIFIED,
                Lookup::NxDomain | Lookup::ServFail | Lookup::Silent => &[],
            };
            for address in addresses {
                let data = match *address {
                    IpAddr::V4(address) if v4 => RData::A(A { address: address.into() }),
                    IpAddr::V6(address) if v6 => RData::AAAA(AAAA { address: address.into() }),
                    _ => continue,
                };
                reply.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 60, data));
            }
        }
        let delay = host.map_or(self.delay, |host| host.delay);
        Some((delay, reply.build_bytes_vec_compressed().ok()?))
    }
}
