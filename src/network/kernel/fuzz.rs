//! What any bytes in place of the kernel's answers come to, for random tests and for the fuzz
//! target `netlink`.
#![forbid(unsafe_code)]

use super::message::{self, Address, Link, Message, Neighbor, Route};
use crate::network::identity::{self, Network, Tunnel, Way, octets, prefix};

/// Reads the bytes as a datagram, each of its messages as every kind, and makes a network of them.
pub(crate) fn any_datagram(bytes: &[u8]) {
    let messages: Vec<Message<'_>> = message::messages(bytes).collect();
    let taken: usize = messages.iter().map(|message| message.body.len() + message::HEADER).sum();
    assert!(taken <= bytes.len(), "{taken} of {} bytes", bytes.len());
    let mut ways = vec![read_as_all(bytes)];
    for message in &messages {
        let _ = message.error();
        ways.push(read_as_all(message.body));
        // What was read is read again where it is written.
        let written = message::question(message.kind, message.flags, message.sequence, message.body, &[]);
        let again: Vec<Message<'_>> = message::messages(&written).collect();
        let flags = message.flags | libc::NLM_F_REQUEST as u16;
        let padding = message.body.len().next_multiple_of(4) - message.body.len();
        assert!(padding > 0 || again == [Message { flags, ..*message }]);
    }
    let key = identity::key(identity::machine_id(bytes));
    let here = Network {
        ipv4: Some(identity::identity(&key, &ways)),
        ipv6: Some(identity::identity(&key, &ways[..1])).filter(|_| messages.len() % 2 == 0),
    };
    assert!(!here.differs(&here));
    assert_eq!(Network::from_text(&here.to_text()), Some(here));
    // The text comes from a file that any program may have written.
    let there = Network::from_text(&String::from_utf8_lossy(bytes));
    if let Some(there) = there {
        assert_eq!(there.to_text().as_bytes(), bytes);
        assert_eq!(here.differs(&there), there.differs(&here));
    }
}

/// Reads the body of a message as every kind. Returns a way out of the machine with what was found.
pub(super) fn read_as_all(body: &[u8]) -> Option<Way> {
    let route = Route::read(body);
    let link = Link::read(body);
    let address = Address::read(body);
    let neighbor = Neighbor::read(body);
    let tunnel = link.filter(Link::is_tunnel).map(|link| {
        assert!(link.name.len() <= body.len());
        Tunnel { kind: link.kind, name: link.name }
    });
    let prefix = address.map(|Address { local, peer, prefix_length }| {
        let cut = prefix(peer, prefix_length);
        assert!(cut.is_ipv4() == peer.is_ipv4() && prefix(cut, prefix_length) == cut);
        assert!(octets(local).len() <= body.len());
        (cut, prefix_length)
    });
    let next = neighbor.map(Neighbor::valid_link_address);
    assert!(next.iter().flatten().all(|address| address.iter().any(|&byte| byte != 0)));
    Some(Way { tunnel, gateway: route?.gateway, prefix, next: next.flatten() })
}
