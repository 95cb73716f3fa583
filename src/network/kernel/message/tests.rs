//! Tests of messages as bytes.

use super::super::fuzz::any_datagram;
use super::*;
use proptest::prelude::*;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [&(4 + value.len() as u16).to_ne_bytes(), &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn route_message() -> Vec<u8> {
    let mut body = vec![2, 32, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
    body.extend(attribute(libc::RTA_DST, &[64, 0, 0, 1]));
    body.extend(attribute(libc::RTA_TABLE, &1000u32.to_ne_bytes()));
    body.extend(attribute(libc::RTA_OIF, &7u32.to_ne_bytes()));
    body.extend(attribute(libc::RTA_GATEWAY | 0x8000, &[192, 168, 1, 1]));
    body.extend(attribute(99, b"odd"));
    body.extend(attribute(libc::RTA_PREFSRC, &[192, 168, 1, 7]));
    body.extend(attribute(libc::RTA_PRIORITY, &100u32.to_ne_bytes()));
    body
}

#[test]
fn kernel_messages_are_read() {
    let route = Route::read(&route_message()).unwrap();
    let expected = Route {
        kind: libc::RTN_UNICAST,
        destination_length: 32,
        table: 1000,
        metric: 100,
        interface: Some(7),
        gateway: "192.168.1.1".parse().ok(),
        source: "192.168.1.7".parse().ok(),
    };
    assert_eq!(route, expected);

    // IPv4 through an IPv6 gateway.
    let mut body = vec![2, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
    body.extend(attribute(18, &[&10u16.to_ne_bytes()[..], &[0xfe, 0x80], &[0; 13], &[1]].concat()));
    assert_eq!(Route::read(&body).unwrap().gateway, "fe80::1".parse().ok());

    // The address of the other end of a line.
    let mut body = vec![2, 30, 0, 0, 7, 0, 0, 0];
    body.extend(attribute(libc::IFA_ADDRESS, &[10, 8, 0, 5]));
    body.extend(attribute(libc::IFA_LOCAL, &[10, 8, 0, 6]));
    let address = Address::read(&body).unwrap();
    assert_eq!((address.local, address.peer), ("10.8.0.6".parse().unwrap(), "10.8.0.5".parse().unwrap()));
    assert_eq!(address.prefix_length, 30);

    let mut body = [[0, 0, 1, 0], 7u32.to_ne_bytes(), 0x1003u32.to_ne_bytes(), [0; 4]].concat();
    body[2..4].copy_from_slice(&libc::ARPHRD_ETHER.to_ne_bytes());
    body.extend(attribute(libc::IFLA_IFNAME, b"eth0\0"));
    let link = Link::read(&body).unwrap();
    assert_eq!((link.kind, link.index, &link.name[..]), (libc::ARPHRD_ETHER, 7, &b"eth0"[..]));
    assert!(!link.is_tunnel());
}

#[test]
fn link_layer_address_counts_only_in_a_valid_state() {
    let address = |state: u16, link_address: &[u8]| {
        let mut body = [&[2, 0, 0, 0][..], &7u32.to_ne_bytes(), &state.to_ne_bytes(), &[0, 1]].concat();
        body.extend(attribute(libc::NDA_DST, &[192, 168, 1, 1]));
        body.extend(attribute(libc::NDA_LLADDR, link_address));
        Neighbor::read(&body).unwrap().valid_link_address()
    };
    let mac = [2, 0, 0, 0, 0, 1];
    for state in [libc::NUD_REACHABLE, libc::NUD_STALE, libc::NUD_DELAY, libc::NUD_PROBE, libc::NUD_PERMANENT]
    {
        assert_eq!(address(state, &mac), Some(mac.to_vec()));
        assert_eq!(address(state, &[0; 6]), None);
        assert_eq!(address(state, &[]), None);
    }
    for state in [libc::NUD_NONE, libc::NUD_INCOMPLETE, libc::NUD_FAILED, libc::NUD_NOARP] {
        assert_eq!(address(state, &mac), None);
    }
}

#[test]
fn datagram_is_read_up_to_an_incomplete_message() {
    let question = question(26, 0, 5, &header::route(2, 32), &[(libc::RTA_DST, &[64, 0, 0, 1])]);
    assert_eq!(question.len(), 16 + 12 + 8);
    let two = [question.clone(), question.clone()].concat();
    assert_eq!(messages(&two).count(), 2);
    for cut in 0..question.len() {
        assert_eq!(messages(&two[..question.len() + cut]).count(), 1, "{cut}");
    }
    let Some(Message { kind: 26, flags: 1, sequence: 5, body }) = messages(&two).next() else { panic!() };
    assert_eq!(body.len(), 20);
    // With a length of zero, reading must end.
    assert_eq!(messages(&[0; 64]).count(), 0);
    assert_eq!(messages(&[0xff; 64]).count(), 0);
    let route = route_message();
    for cut in 0..route.len() {
        // Incomplete attributes are not read.
        let read = Route::read(&route[..cut]);
        assert!(read.is_none_or(|read| read.interface.is_none_or(|interface| interface == 7)));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        any_datagram(&bytes);
    }

    #[test]
    fn damaged_messages_are_read_without_a_panic(at in 0usize..100, byte: u8, cut in 0usize..100) {
        let mut body = route_message();
        if let Some(damaged) = body.get_mut(at) {
            *damaged = byte;
        }
        any_datagram(&body[..cut.min(body.len())]);
        any_datagram(&question(24, 0, 1, &body, &[(1, &body)]));
    }
}
