//! Tests of what the kernel says, in networks made in a namespace.

use super::identity::NO_ROUTE;
use super::identity::tests::{differ, network};
use super::*;
use lab::gateway::Link as Cable;
use std::time::{Duration, Instant};

#[test]
fn here_says_the_same_twice() {
    let begin = Instant::now();
    let network = here();
    lab::figure(&format!("here() for the first time: {:?}", begin.elapsed()));
    assert_eq!(Network::from_text(&network.to_text()), Some(network));
    assert!(!network.differs(&here()));
}

#[test]
fn machine_id_is_read_from_a_regular_file_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("machine-id");
    let id = || machine_id(&path);
    assert_eq!(id(), []);
    // Nothing ever writes to it, so that opening it in the usual way would take for ever.
    let fifo = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(fifo.is_ok_and(|status| status.success()));
    assert_eq!(id(), []);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
    assert_eq!(id(), b"0123456789abcdef0123456789abcdef");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(machine_id(&link), id(), "some systems have a link there");
}

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// An ordinary network with IPv4.
fn home() -> Cable {
    let cable = Cable::ethernet("eth0").address("192.168.1.7/24").default_via("192.168.1.1", 100);
    cable.neighbor("192.168.1.1", MAC);
    cable
}

/// Returns the network as it is with `world`, which then vanishes.
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
        assert_eq!(first, seen(home()), "the interface is new, the network is the same");

        let cable = home();
        cable.neighbor("192.168.1.1", OTHER_MAC);
        differ(first, here(), true);
        // Not known: the kernel has asked for it, or has no entry at all.
        cable.neighbor_incomplete("192.168.1.1");
        let unknown = here();
        assert_eq!(unknown.ipv4.map(|value| value as u32), Some(0), "{unknown:x?}");
        differ(first, unknown, false);
        cable.forget_neighbor("192.168.1.1");
        assert_eq!(unknown, here());
        cable.neighbor("192.168.1.1", MAC);
        assert_eq!(first, here());

        let cable = cable.unroute("0.0.0.0/0", Some("192.168.1.1"), 100).default_via("192.168.1.2", 100);
        differ(first, here(), true);
        cable.neighbor("192.168.1.2", MAC);
        differ(first, seen(cable), true);

        // Another interface and another address of ours at the same router; another prefix.
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

        // Both families: IPv6 appears later, and vanishes.
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
        // As NetworkManager does: a default route of a lower metric, with and without a gateway.
        let manager = seen(tunnel("tun0", "10.8.0.6/24").default_via("10.8.0.1", 50));
        let bare = seen(tunnel("tun0", "10.8.0.6/24").route("0.0.0.0/0", None, 50));
        // As OpenVPN does: two halves.
        let halves = || tunnel("tun0", "10.8.0.6/24").route("0.0.0.0/1", Some("10.8.0.1"), 0);
        let openvpn = seen(halves().route("128.0.0.0/1", Some("10.8.0.1"), 0));
        let half = seen(halves());
        let other_name = seen(tunnel("nl", "10.8.0.6/24").route("0.0.0.0/0", None, 50));
        let other_prefix = seen(tunnel("tun0", "10.9.0.6/24").route("0.0.0.0/0", None, 50));
        // In IPv6 only, beside an IPv4 network that stays the same.
        let six = seen(tunnel("tun0", "fd00::7/64").route("::/0", None, 50));
        let six_halves =
            seen(tunnel("tun0", "fd00::7/64").route("2000::/4", None, 50).route("3000::/4", None, 50));
        assert_eq!(here(), down);
        assert_eq!(manager, openvpn, "the same tunnel, with other routes");
        assert_eq!(six, six_halves);
        let all = [down, manager, bare, half, other_name, other_prefix, six];
        for (n, a) in all.iter().enumerate() {
            for b in &all[..n] {
                differ(*a, *b, true);
            }
        }
        // Another address from the VPN's own pool is the same VPN.
        assert_eq!(bare, seen(tunnel("tun0", "10.8.0.77/24").route("0.0.0.0/0", None, 50)));

        // Moved with the VPN up: another router below it, or one that is not yet known.
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
        // As wg-quick does: a default route in another table, and a rule that leads there.
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
        // The link-layer address of the IPv4 gateway is not known; the kernel could ask for it.
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
        // What the kernel sends by itself: multicast membership reports, behind a hop-by-hop
        // header, and router solicitations.
        let is_kernels = |frame: &[u8]| {
            let solicits_router = frame.get(20) == Some(&58) && frame.get(54) == Some(&133);
            frame.get(12..14) == Some(&[0x86, 0xdd]) && (frame.get(20) == Some(&0) || solicits_router)
        };
        let others: Vec<_> = cable.sent().into_iter().filter(|frame| !is_kernels(frame)).collect();
        assert!(others.is_empty(), "{others:x?}");
        // A question would have been seen: for a datagram the kernel asks for the gateway.
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
        // On a busy machine only the best of many runs can be relied on.
        assert!(many < Duration::from_millis(10) && below < Duration::from_millis(200));
        drop((vpn, cable));
    });
}
