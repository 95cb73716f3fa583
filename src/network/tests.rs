//! Tests of network identity: the comparison, the text, the messages as bytes, and networks made in a namespace.

use super::*;
use lab::gateway::Link as Cable;
use message::{Message, messages};
use proptest::prelude::*;

const KEY: [u8; 16] = *b"a key for tests.";

// Values as `identity` makes them: a place, a link-layer address.
const A: u64 = 0x0000_000a_0000_0001;
const A_UNHEARD: u64 = 0x0000_000a_0000_0000;
const A_OTHER_ROUTER: u64 = 0x0000_000a_0000_0002;
const B: u64 = 0x0000_000b_0000_0001;
const TUNNEL: u64 = 0x8000_000c_0000_0001;

fn network(ipv4: impl Into<Option<u64>>, ipv6: impl Into<Option<u64>>) -> Network {
    Network { ipv4: ipv4.into(), ipv6: ipv6.into() }
}

#[track_caller]
fn differ(a: Network, b: Network, expected: bool) {
    assert_eq!(a.differs(&b), expected, "{a:x?} and {b:x?}");
    assert_eq!(b.differs(&a), expected, "{b:x?} and {a:x?}");
    let swapped = |network: Network| Network { ipv4: network.ipv6, ipv6: network.ipv4 };
    assert_eq!(swapped(a).differs(&swapped(b)), expected, "{a:x?} and {b:x?}, families swapped");
}

#[test]
fn networks_differ_only_in_what_is_known_of_both() {
    let unknown = network(None, None);
    // The second column: whether they are known to differ.
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
        (network(A, NO_ROUTE), network(A_UNHEARD, NO_ROUTE), false),
        (network(A_UNHEARD, B), network(A_OTHER_ROUTER, B), false),
        (network(A_UNHEARD, NO_ROUTE), network(B, NO_ROUTE), true),
        (network(A_UNHEARD, A), network(A, B), true),
        // No route in either family: a container.
        (network(NO_ROUTE, NO_ROUTE), network(NO_ROUTE, NO_ROUTE), false),
        (network(NO_ROUTE, NO_ROUTE), network(A, NO_ROUTE), true),
        (network(NO_ROUTE, NO_ROUTE), network(A, B), true),
        (network(NO_ROUTE, NO_ROUTE), network(A, None), false),
        // A family that appears or vanishes, while the other one stays what it is, or may have.
        (network(A, NO_ROUTE), network(A, B), false),
        (network(A, NO_ROUTE), network(A_UNHEARD, B), false),
        (network(A, NO_ROUTE), network(None, B), false),
        (network(A, NO_ROUTE), network(B, B), true),
        // From a network of one family to one of the other.
        (network(A, NO_ROUTE), network(NO_ROUTE, B), true),
        // A VPN up or down, in one family or both, whatever the other does.
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
    // By another implementation of SipHash. If this fails on purpose: all records of all users will be measured anew.
    let expected = [138, 243, 36, 148, 46, 66, 93, 137, 170, 222, 61, 236, 137, 191, 198, 255];
    assert_eq!(key(b"0123456789abcdef0123456789abcdef"), expected);
    let home = way("192.168.1.1", Some(("192.168.1.7", 24)), Some(&[2, 0, 0, 0, 0, 1]));
    assert_eq!(identity(&KEY, &[Some(home)]), 0x67d4_90f1_c5b4_3179);
}

#[test]
fn machine_id_is_used_only_if_complete() {
    let id = b"0123456789abcdef0123456789ABCDEF";
    assert_eq!(whole(id), id);
    assert_eq!(whole(b"0123456789abcdef0123456789ABCDEF\n"), id);
    for id in
        [&b""[..], b"\n", b"uninitialized\n", &id[1..], b"0123456789abcdef0123456789abcdef0", &[b'x'; 32]]
    {
        assert_eq!(whole(id), b"");
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
    // Not known is not different, and the rest still counts.
    let unheard = network(identity(&KEY, &[Some(way("192.168.1.1", Some(("192.168.1.9", 24)), None))]), 0);
    differ(unheard, values[0], false);
    differ(unheard, values[4], false);
    differ(unheard, values[1], true);
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

// Messages as bytes.

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

    // The other end of a line.
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
    let known = |state: u16, link_address: &[u8]| {
        let mut body = [&[2, 0, 0, 0][..], &7u32.to_ne_bytes(), &state.to_ne_bytes(), &[0, 1]].concat();
        body.extend(attribute(libc::NDA_DST, &[192, 168, 1, 1]));
        body.extend(attribute(libc::NDA_LLADDR, link_address));
        Neighbour::read(&body).unwrap().known()
    };
    let mac = [2, 0, 0, 0, 0, 1];
    for state in [libc::NUD_REACHABLE, libc::NUD_STALE, libc::NUD_DELAY, libc::NUD_PROBE, libc::NUD_PERMANENT]
    {
        assert_eq!(known(state, &mac), Some(mac.to_vec()));
        assert_eq!(known(state, &[0; 6]), None);
        assert_eq!(known(state, &[]), None);
    }
    for state in [libc::NUD_NONE, libc::NUD_INCOMPLETE, libc::NUD_FAILED, libc::NUD_NOARP] {
        assert_eq!(known(state, &mac), None);
    }
}

#[test]
fn datagram_is_read_up_to_an_incomplete_message() {
    let question = message::question(26, 0, 5, &header::route(2, 32), &[(libc::RTA_DST, &[64, 0, 0, 1])]);
    assert_eq!(question.len(), 16 + 12 + 8);
    let two = [question.clone(), question.clone()].concat();
    assert_eq!(messages(&two).count(), 2);
    for cut in 0..question.len() {
        assert_eq!(messages(&two[..question.len() + cut]).count(), 1, "{cut}");
    }
    let Some(Message { kind: 26, flags: 1, sequence: 5, body }) = messages(&two).next() else { panic!() };
    assert_eq!(body.len(), 20);
    // A length of zero would never end.
    assert_eq!(messages(&[0; 64]).count(), 0);
    assert_eq!(messages(&[0xff; 64]).count(), 0);
    let route = route_message();
    for cut in 0..route.len() {
        // Whole attributes only.
        let read = Route::read(&route[..cut]);
        assert!(read.is_none_or(|read| read.interface.is_none_or(|interface| interface == 7)));
    }
}

/// Reads everything as everything.
fn read_all(bytes: &[u8]) {
    for body in messages(bytes).map(|message| message.body).chain([bytes]) {
        let _ = (Route::read(body), Address::read(body), Neighbour::read(body).map(Neighbour::known));
        let _ = Link::read(body).map(|link| link.is_tunnel());
        let _ = Message { kind: 2, flags: 0, sequence: 0, body }.error();
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn damaged_messages_are_read_without_a_panic(at in 0usize..100, byte: u8, cut in 0usize..100) {
        let mut body = route_message();
        if let Some(damaged) = body.get_mut(at) {
            *damaged = byte;
        }
        read_all(&body[..cut.min(body.len())]);
        read_all(&message::question(24, 0, 1, &body, &[(1, &body)]));
    }

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

#[test]
fn here_says_the_same_twice() {
    let begin = Instant::now();
    let network = here();
    lab::figure(&format!("here() for the first time: {:?}", begin.elapsed()));
    assert_eq!(Network::from_text(&network.to_text()), Some(network));
    assert!(!network.differs(&here()));
}

// In a namespace: what the kernel really says.

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// An ordinary network with IPv4.
fn home() -> Cable {
    let cable = Cable::ethernet("eth0").address("192.168.1.7/24").default_via("192.168.1.1", 100);
    cable.neighbor("192.168.1.1", MAC);
    cable
}

/// The network while `world` stands, which then goes.
fn seen<T>(world: T) -> Network {
    let network = here();
    drop(world);
    network
}

#[test]
fn no_route_out_is_a_network_too() {
    lab::isolated!(|| {
        let nowhere = network(NO_ROUTE, NO_ROUTE);
        assert_eq!(here(), nowhere);
        assert_eq!(seen(Cable::ethernet("eth0").address("192.168.1.7/24").address("fd00::7/64")), nowhere);
        differ(nowhere, seen(home()), true);
        assert_eq!(here(), nowhere);
    });
}

#[test]
fn gateway_or_router_that_changes_is_another_network() {
    lab::isolated!(|| {
        let first = seen(home());
        assert_eq!(first.ipv6, Some(NO_ROUTE));
        assert_eq!(first, seen(home()), "the interface is new, the network is not");

        let cable = home();
        cable.neighbor("192.168.1.1", OTHER_MAC);
        differ(first, here(), true);
        // Not known: asked for, or no entry at all.
        cable.neighbor_incomplete("192.168.1.1");
        let unheard = here();
        assert_eq!(unheard.ipv4.map(|value| value as u32), Some(0), "{unheard:x?}");
        differ(first, unheard, false);
        cable.forget_neighbor("192.168.1.1");
        assert_eq!(unheard, here());
        cable.neighbor("192.168.1.1", MAC);
        assert_eq!(first, here());

        let cable = cable.unroute("0.0.0.0/0", Some("192.168.1.1"), 100).default_via("192.168.1.2", 100);
        differ(first, here(), true);
        cable.neighbor("192.168.1.2", MAC);
        differ(first, seen(cable), true);

        // Another interface and another own address at the same router; another prefix.
        let wireless = |address: &str| {
            let wireless = Cable::ethernet("wlan0").address(address).default_via("192.168.1.1", 600);
            wireless.neighbor("192.168.1.1", MAC);
            wireless
        };
        assert_eq!(first, seen(wireless("192.168.1.99/24")));
        differ(first, seen(wireless("192.168.1.7/16")), true);
    });
}

#[test]
fn route_of_the_lowest_metric_counts() {
    lab::isolated!(|| {
        let cable = home();
        let first = here();
        let wireless = Cable::ethernet("wlan0").address("10.0.0.7/8").default_via("10.0.0.1", 600);
        wireless.neighbor("10.0.0.1", OTHER_MAC);
        assert_eq!(first, here(), "a second, worse route changes nothing");
        drop(cable);
        differ(first, here(), true);
        let cable = home();
        assert_eq!(first, here());
        let wireless = wireless.default_via("10.0.0.1", 50);
        differ(first, here(), true);
        drop((cable, wireless));
    });
}

#[test]
fn ipv6_network_is_its_router_and_not_its_prefixes() {
    lab::isolated!(|| {
        let routed = |gateway: &str, address: &str, mac| {
            let cable = Cable::ethernet("eth0").address(address).default_via(gateway, 1024);
            cable.neighbor(gateway, mac);
            cable
        };
        let first = seen(routed("fe80::1", "2001:db8:1::7/64", MAC));
        assert_eq!(first.ipv4, Some(NO_ROUTE));
        assert_eq!(first, seen(routed("fe80::1", "2001:db8:2::7/64", MAC)), "renumbered by the provider");
        let temporary = routed("fe80::1", "2001:db8:1::7/64", MAC).address("2001:db8:1::9:9:9/64");
        assert_eq!(first, seen(temporary));
        differ(first, seen(routed("fe80::1", "2001:db8:1::7/64", OTHER_MAC)), true);
        differ(first, seen(routed("fe80::2", "2001:db8:1::7/64", MAC)), true);

        // Both families; IPv6 comes later, and goes.
        let four = home();
        let only_four = here();
        let six = Cable::ethernet("eth1").address("2001:db8:1::7/64").default_via("fe80::1", 1024);
        six.neighbor("fe80::1", MAC);
        let both = here();
        assert_eq!((both.ipv4, both.ipv6), (only_four.ipv4, first.ipv6));
        differ(both, only_four, false);
        drop(four);
        differ(both, here(), false);
        differ(only_four, here(), true);
    });
}

#[test]
fn vpn_up_or_down_is_another_network() {
    lab::isolated!(|| {
        let cable = home();
        let down = here();
        let tunnel = |name: &str, address: &str| Cable::tunnel(name).address(address);
        // As NetworkManager does it: a default route of a lower metric; with and without a gateway.
        let manager = seen(tunnel("tun0", "10.8.0.6/24").default_via("10.8.0.1", 50));
        let bare = seen(tunnel("tun0", "10.8.0.6/24").route("0.0.0.0/0", None, 50));
        // As OpenVPN does it: two halves.
        let halves = || tunnel("tun0", "10.8.0.6/24").route("0.0.0.0/1", Some("10.8.0.1"), 0);
        let openvpn = seen(halves().route("128.0.0.0/1", Some("10.8.0.1"), 0));
        let half = seen(halves());
        let other_name = seen(tunnel("nl", "10.8.0.6/24").route("0.0.0.0/0", None, 50));
        let other_prefix = seen(tunnel("tun0", "10.9.0.6/24").route("0.0.0.0/0", None, 50));
        // In IPv6 only, next to an IPv4 network that stays as it was.
        let six = seen(tunnel("tun0", "fd00::7/64").route("::/0", None, 50));
        let six_halves =
            seen(tunnel("tun0", "fd00::7/64").route("2000::/4", None, 50).route("3000::/4", None, 50));
        assert_eq!(here(), down);
        assert_eq!(manager, openvpn, "the same tunnel, whoever made the routes");
        assert_eq!(six, six_halves);
        let all = [down, manager, bare, half, other_name, other_prefix, six];
        for (n, a) in all.iter().enumerate() {
            for b in &all[..n] {
                differ(*a, *b, true);
            }
        }
        // Another address from the VPN's own pool is the same VPN.
        assert_eq!(bare, seen(tunnel("tun0", "10.8.0.77/24").route("0.0.0.0/0", None, 50)));

        // Moved with the VPN up: another router below it, or one not yet known.
        let vpn = tunnel("tun0", "10.8.0.6/24").route("0.0.0.0/0", None, 50);
        cable.neighbor("192.168.1.1", OTHER_MAC);
        differ(bare, here(), true);
        cable.forget_neighbor("192.168.1.1");
        differ(bare, here(), false);
        drop((vpn, cable));
    });
}

#[test]
fn vpn_with_its_own_routing_table_is_seen() {
    lab::isolated!(|| {
        // As wg-quick does it: a default route in another table, and a rule that leads there.
        let cable = home();
        let down = here();
        let tunnel = Cable::tunnel("wg0").address("10.2.0.2/32");
        assert_eq!(here(), down);
        let tunnel = tunnel.route_in_table(51, "0.0.0.0/0");
        assert_eq!(here(), down);
        let rule = lab::gateway::Rule::to_table(51);
        differ(down, here(), true);
        drop((rule, tunnel));
        assert_eq!(here(), down);
        drop(cable);
    });
}

#[test]
fn rejecting_routes_are_no_routes() {
    lab::isolated!(|| {
        for kind in [libc::RTN_UNREACHABLE, libc::RTN_PROHIBIT, libc::RTN_BLACKHOLE] {
            let refusal = ["0.0.0.0/0", "::/0"].map(|to| lab::gateway::refuse(to, kind));
            assert_eq!(here(), network(NO_ROUTE, NO_ROUTE), "{kind}");
            drop(refusal);
        }
    });
}

#[test]
fn here_sends_nothing_and_leaves_nothing_open() {
    lab::isolated!(|| {
        // The IPv4 gateway is not known, and could be asked for.
        let cable = Cable::ethernet("eth0").address("192.168.1.7/24").default_via("192.168.1.1", 100);
        let cable = cable.address("fe80::7/64").address("2001:db8:1::7/64").default_via("fe80::1", 1024);
        cable.neighbor("fe80::1", MAC);
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = descriptors();
        for _ in 0..100 {
            assert_ne!(here().ipv4.unwrap(), NO_ROUTE);
        }
        assert_eq!(descriptors(), before);
        std::thread::sleep(Duration::from_millis(100));
        // The kernel's own: reports of multicast membership, behind a hop-by-hop header, and a call for routers.
        let is_kernels = |frame: &[u8]| {
            let solicits_router = frame.get(20) == Some(&58) && frame.get(54) == Some(&133);
            frame.get(12..14) == Some(&[0x86, 0xdd]) && (frame.get(20) == Some(&0) || solicits_router)
        };
        let others: Vec<_> = cable.sent().into_iter().filter(|frame| !is_kernels(frame)).collect();
        assert!(others.is_empty(), "{others:x?}");
        // It would have been seen: a datagram has the gateway asked for.
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"", "198.51.100.1:9").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(cable.sent().iter().any(|frame| frame.get(12..14) == Some(&[0x08, 0x06])));
    });
}

#[test]
fn here_is_quick_with_any_number_of_routes() {
    lab::isolated!(|| {
        let best = |label: &str| {
            let run = |_| {
                let begin = Instant::now();
                let network = here();
                (begin.elapsed(), network)
            };
            let mut runs: Vec<_> = (0..200).map(run).collect();
            runs.sort_by_key(|run| run.0);
            lab::figure(&format!("{label}: best {:?}, median {:?}", runs[0].0, runs[100].0));
            runs[0].0
        };
        best("here() without routes");
        let mut cable = home();
        best("here() at home");
        for n in 0..10_000u32 {
            let [_, a, b, c] = (n << 8).to_be_bytes();
            cable = cable.route(&format!("20.{a}.{b}.{c}/24"), Some("192.168.1.1"), 0);
        }
        let many = best("here() with 10,000 routes");
        let vpn = Cable::tunnel("tun0").address("10.8.0.6/24").route("0.0.0.0/0", None, 50);
        let below = best("here() with 10,000 routes and a VPN");
        assert_ne!(here().ipv4.unwrap() as u32, 0);
        // No more than the best of many runs is promised by a busy machine.
        assert!(many < Duration::from_millis(10) && below < Duration::from_millis(200));
        drop((vpn, cable));
    });
}
