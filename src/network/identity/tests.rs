//! Tests of the identity, its comparison and its text.

use super::*;
use proptest::prelude::*;

const KEY: [u8; 16] = *b"a key for tests.";

// Values as `identity` returns them: a place and a link-layer address.
const A: u64 = 0x0000_000a_0000_0001;
const A_UNKNOWN_ROUTER: u64 = 0x0000_000a_0000_0000;
const A_OTHER_ROUTER: u64 = 0x0000_000a_0000_0002;
const B: u64 = 0x0000_000b_0000_0001;
const TUNNEL: u64 = 0x8000_000c_0000_0001;

pub(in crate::network) fn network(ipv4: impl Into<Option<u64>>, ipv6: impl Into<Option<u64>>) -> Network {
    Network { ipv4: ipv4.into(), ipv6: ipv6.into() }
}

/// Checks a comparison in both directions, and with the families swapped.
#[track_caller]
pub(in crate::network) fn differ(a: Network, b: Network, expected: bool) {
    assert_eq!(a.differs(&b), expected, "{a:x?} and {b:x?}");
    assert_eq!(b.differs(&a), expected, "{b:x?} and {a:x?}");
    let swapped = |network: Network| Network { ipv4: network.ipv6, ipv6: network.ipv4 };
    assert_eq!(swapped(a).differs(&swapped(b)), expected, "{a:x?} and {b:x?}, families swapped");
}

#[test]
fn networks_differ_only_in_what_is_known_of_both() {
    let unknown = network(None, None);
    // The last column: whether the two are known to differ.
    for (a, b, expected) in [
        (unknown, unknown, false),
        (unknown, network(A, B), false),
        (unknown, network(NO_ROUTE, NO_ROUTE), false),
        (unknown, network(TUNNEL, TUNNEL), false),
        (network(A, B), network(A, B), false),
        (network(A, B), network(A, None), false),
        (network(A, None), network(None, B), false),
        // Another gateway, in one family or in both.
        (network(A, NO_ROUTE), network(B, NO_ROUTE), true),
        (network(A, A), network(A, B), true),
        (network(A, None), network(B, None), true),
        (network(A, A), network(B, B), true),
        // The same gateway address, another link-layer address.
        (network(A, NO_ROUTE), network(A_OTHER_ROUTER, NO_ROUTE), true),
        // A link-layer address that is not known yet.
        (network(A, NO_ROUTE), network(A_UNKNOWN_ROUTER, NO_ROUTE), false),
        (network(A_UNKNOWN_ROUTER, B), network(A_OTHER_ROUTER, B), false),
        (network(A_UNKNOWN_ROUTER, NO_ROUTE), network(B, NO_ROUTE), true),
        (network(A_UNKNOWN_ROUTER, A), network(A, B), true),
        // No route in either family: a container.
        (network(NO_ROUTE, NO_ROUTE), network(NO_ROUTE, NO_ROUTE), false),
        (network(NO_ROUTE, NO_ROUTE), network(A, NO_ROUTE), true),
        (network(NO_ROUTE, NO_ROUTE), network(A, B), true),
        (network(NO_ROUTE, NO_ROUTE), network(A, None), false),
        // A family that appears or vanishes, while the other one stays the same, as far as is
        // known.
        (network(A, NO_ROUTE), network(A, B), false),
        (network(A, NO_ROUTE), network(A_UNKNOWN_ROUTER, B), false),
        (network(A, NO_ROUTE), network(None, B), false),
        (network(A, NO_ROUTE), network(B, B), true),
        // From a network of one family to one of the other.
        (network(A, NO_ROUTE), network(NO_ROUTE, B), true),
        // A VPN up or down, in one family or both, whatever happens to the other family.
        (network(A, B), network(TUNNEL, B), true),
        (network(A, B), network(TUNNEL, NO_ROUTE), true),
        (network(A, NO_ROUTE), network(A, TUNNEL), true),
        (network(A, NO_ROUTE), network(None, TUNNEL), true),
        (network(TUNNEL, TUNNEL), network(TUNNEL, TUNNEL), false),
        (network(TUNNEL, NO_ROUTE), network(TUNNEL, B), false),
    ] {
        differ(a, b, expected);
    }
}

#[test]
fn network_is_written_as_a_short_text() {
    for (network, text) in [
        (network(None, None), "x-x"),
        (network(NO_ROUTE, None), "0-x"),
        (network(A, TUNNEL), "a00000001-8000000c00000001"),
        (network(u64::MAX, 1), "ffffffffffffffff-1"),
    ] {
        assert_eq!(network.to_text(), text);
        assert_eq!(Network::from_text(text), Some(network));
    }
    for text in ["", "-", "x", "x-", "-x", "x-x-x", "X-x", "+1-x", "01-x", "A-x", "1-g", " x-x", "x-x\n"] {
        assert_eq!(Network::from_text(text), None, "{text:?}");
    }
    assert_eq!(Network::from_text("10000000000000000-x"), None);
}

fn way(gateway: &str, local: Option<(&str, u8)>, next: Option<&[u8]>) -> Way {
    Way {
        tunnel: None,
        gateway: gateway.parse().ok(),
        prefix: local.map(|(ip, length)| (prefix(ip.parse().unwrap(), length), length)),
        next: next.map(<[u8]>::to_vec),
    }
}

#[test]
fn hash_is_the_same_in_every_release() {
    // Computed with another implementation of SipHash. If the hash changes, every user's cache has
    // to be measured again.
    let expected = [138, 243, 36, 148, 46, 66, 93, 137, 170, 222, 61, 236, 137, 191, 198, 255];
    assert_eq!(key(b"0123456789abcdef0123456789abcdef"), expected);
    let home = way("192.168.1.1", Some(("192.168.1.7", 24)), Some(&[2, 0, 0, 0, 0, 1]));
    assert_eq!(identity(&KEY, &[Some(home)]), 0x67d4_90f1_c5b4_3179);
}

#[test]
fn machine_id_is_used_only_if_complete() {
    let id = b"0123456789abcdef0123456789ABCDEF";
    assert_eq!(machine_id(id), id);
    assert_eq!(machine_id(b"0123456789abcdef0123456789ABCDEF\n"), id);
    for id in
        [&b""[..], b"\n", b"uninitialized\n", &id[1..], b"0123456789abcdef0123456789abcdef0", &[b'x'; 32]]
    {
        assert_eq!(machine_id(id), b"");
    }
}

#[test]
fn identity_depends_on_each_part_of_a_route_and_on_the_key() {
    let home = || way("192.168.1.1", Some(("192.168.1.7", 24)), Some(&[2, 0, 0, 0, 0, 1]));
    let tunnel = |name: &str| {
        let tunnel = Some(Tunnel { kind: libc::ARPHRD_NONE, name: name.into() });
        Some(Way { tunnel, ..home() })
    };
    let ways = [
        vec![Some(home())],
        vec![Some(way("192.168.1.2", Some(("192.168.1.7", 24)), Some(&[2, 0, 0, 0, 0, 1])))],
        vec![Some(way("192.168.1.1", Some(("192.168.1.7", 16)), Some(&[2, 0, 0, 0, 0, 1])))],
        vec![Some(way("192.168.1.1", None, Some(&[2, 0, 0, 0, 0, 1])))],
        vec![Some(way("192.168.1.1", Some(("192.168.1.7", 24)), Some(&[2, 0, 0, 0, 0, 2])))],
        vec![Some(home()), None],
        vec![None, Some(home())],
        vec![Some(home()), tunnel("tun0")],
        vec![tunnel("tun0")],
        vec![tunnel("tun1")],
        vec![None, None],
    ];
    let mut values = Vec::new();
    for (key, ways) in [KEY, key(b"")].iter().flat_map(|key| ways.iter().map(move |ways| (key, ways))) {
        values.push(network(identity(key, ways), NO_ROUTE));
    }
    // The last two are both "no route".
    assert_eq!(values.pop(), Some(network(NO_ROUTE, NO_ROUTE)));
    for (n, a) in values.iter().enumerate() {
        for b in &values[..n] {
            differ(*a, *b, true);
        }
    }
    // A link-layer address that is not known makes no difference, and the rest still counts.
    let unknown = network(identity(&KEY, &[Some(way("192.168.1.1", Some(("192.168.1.9", 24)), None))]), 0);
    differ(unknown, values[0], false);
    differ(unknown, values[4], false);
    differ(unknown, values[1], true);
}

#[test]
fn prefix_is_cut_at_any_length() {
    for (ip, length, expected) in [
        ("192.168.1.7", 24, "192.168.1.0"),
        ("192.168.1.7", 0, "0.0.0.0"),
        ("192.168.1.7", 32, "192.168.1.7"),
        ("192.168.1.7", 200, "192.168.1.7"),
        ("2001:db8:1:2:3::4", 64, "2001:db8:1:2::"),
        ("2001:db8:1:2:3::4", 0, "::"),
        ("2001:db8:1:2:3::4", 128, "2001:db8:1:2:3::4"),
    ] {
        assert_eq!(prefix(ip.parse().unwrap(), length), expected.parse::<IpAddr>().unwrap());
    }
}

proptest! {
    #[test]
    fn network_text_is_read_back_and_any_text_without_a_panic(
        text in ".*", ipv4: Option<u64>, ipv6: Option<u64>
    ) {
        if let Some(network) = Network::from_text(&text) {
            prop_assert_eq!(network.to_text(), text);
        }
        let network = network(ipv4, ipv6);
        prop_assert_eq!(Network::from_text(&network.to_text()), Some(network));
        // Nothing that a key file escapes, or a list in it separates.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        prop_assert!(network.to_text().len() <= 33 && network.to_text().chars().all(plain));
        prop_assert!(!network.differs(&network));
    }

    #[test]
    fn differs_is_symmetric(a: [Option<u64>; 2], b: [Option<u64>; 2]) {
        let (a, b) = (network(a[0], a[1]), network(b[0], b[1]));
        prop_assert_eq!(a.differs(&b), b.differs(&a));
    }
}
