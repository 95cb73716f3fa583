//! The name server of a world: UDP, with a delay, failures and silence.

use super::namespace::{Context, Unavailable};
use super::report::Asked;
use super::spec::Lookup;
use super::timeline::{Timeline, Woken, wait};
use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Every network namespace has a loopback of its own, and so this one is free.
pub(crate) const NAME_SERVER: Ipv4Addr = Ipv4Addr::LOCALHOST;

pub(crate) struct Host {
    pub addresses: Vec<IpAddr>,
    pub lookup: Lookup,
    pub delay: Duration,
}

pub(crate) struct NameServer {
    socket: UdpSocket,
    /// By name in lower case.
    hosts: HashMap<String, Host>,
    /// For names that nobody has.
    delay: Duration,
    asked: Mutex<BTreeMap<String, Asked>>,
}

impl NameServer {
    pub(crate) fn bind(hosts: HashMap<String, Host>, delay: Duration) -> Result<NameServer, Unavailable> {
        let socket = UdpSocket::bind((NAME_SERVER, 53)).context("cannot bind the name server")?;
        socket.set_nonblocking(true).context("cannot make a socket non-blocking")?;
        Ok(NameServer { socket, hosts, delay, asked: Mutex::default() })
    }

    pub(crate) fn asked(&self) -> BTreeMap<String, Asked> {
        self.asked.lock().expect("the name server does not panic").clone()
    }

    /// Until the other end of `stop` is closed.
    pub(crate) fn run(&self, stop: &UnixStream) {
        let mut timeline: Timeline<(SocketAddr, Vec<u8>)> = Timeline::new();
        let mut buffer = [0; 4096];
        while wait(self.socket.as_raw_fd(), stop.as_raw_fd(), timeline.next_due()) == Woken::ToWork {
            while let Ok((length, client)) = self.socket.recv_from(&mut buffer) {
                if let Some((delay, answer)) = self.answer(&buffer[..length]) {
                    timeline.push(Instant::now() + delay, (client, answer));
                }
            }
            while let Some((_, (client, answer))) = timeline.pop(Instant::now()) {
                // A client that has gone does not miss it.
                let _ = self.socket.send_to(&answer, client);
            }
        }
    }

    /// None for what is no question, and for names that are to stay without an answer.
    fn answer(&self, query: &[u8]) -> Option<(Duration, Vec<u8>)> {
        let query = Packet::parse(query).ok()?;
        let question = query.questions.first()?;
        let name = question.qname.to_string().to_ascii_lowercase();
        let (v4, v6) = (question.qtype == QTYPE::TYPE(TYPE::A), question.qtype == QTYPE::TYPE(TYPE::AAAA));
        {
            let mut asked = self.asked.lock().expect("nobody panics with it");
            let asked = asked.entry(name.clone()).or_default();
            asked.a += usize::from(v4);
            asked.aaaa += usize::from(v6);
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
            Some(Lookup::Found) => {}
        }
        if let Some(host) = host.filter(|host| host.lookup == Lookup::Found) {
            for address in &host.addresses {
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
