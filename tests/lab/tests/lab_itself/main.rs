//! Tests of the lab with plain clients: a world does what its spec says.
//!
//! Times are compared with a lower bound only, or with an upper bound for the best of a few runs: a
//! busy machine makes everything later, and nothing earlier.

mod client;
mod geography;
mod names;
mod namespace;

use client::{all_addresses, connect, handshakes, tcp_info};
use lab::*;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A world without a name server.
fn addresses_only(mirrors: impl IntoIterator<Item = Mirror>) -> Spec {
    Spec::new().names(Names::Untouched).mirrors(mirrors)
}

#[test]
fn answer_takes_the_configured_round_trip_time_in_both_families() {
    isolated!(|| {
        let world =
            World::start(addresses_only([Mirror::new("a").ipv4(answer(ms(20))).ipv6(answer(ms(50)))]))
                .unwrap();
        for (address, rtt) in [(world.ipv4("a"), ms(20)), (world.ipv6("a"), ms(50))] {
            let best =
                (0..5).map(|_| handshakes(&[SocketAddr::new(address, 80)], ms(5000))[0].unwrap()).min();
            assert!((rtt..rtt + ms(5)).contains(&best.unwrap()), "{best:?} at {rtt:?}");
        }
    });
}

#[test]
fn kernel_measures_the_configured_latency_of_400_mirrors() {
    isolated!(|| {
        let rtts: Vec<_> = (0..400).map(|i| ms(5 + i * 7 % 300)).collect();
        let spec = addresses_only(rtts.iter().enumerate().map(|(i, &rtt)| {
            let mirror = Mirror::new(&format!("m{i}"));
            if i % 2 == 0 { mirror.ipv4(answer(rtt)) } else { mirror.ipv6(answer(rtt)) }
        }));
        let runs = (0..5).map(|_| {
            let world = World::start(spec.clone()).unwrap();
            let times = handshakes(&all_addresses(&world), ms(10_000)).into_iter().map(|time| time.unwrap());
            // No answer is early on any machine.
            let mut errors: Vec<_> =
                times.zip(&rtts).map(|(time, &rtt)| time.checked_sub(rtt).expect("not early")).collect();
            errors.sort();
            (percentile(&errors, 0.99), percentile(&errors, 0.5), world.report().error)
        });
        let (p99, median, lab) = runs.min_by_key(|run| run.0).unwrap();
        figure(&format!(
            "tcpi_rtt above the configured latency, 400 mirrors, best of 5: median {median:?}, p99 {p99:?}; {lab}"
        ));
        assert!(median < ms(2) || lab.could_not_keep_up(), "{median:?}");
    });
}

#[test]
fn jitter_delays_answers_uniformly() {
    isolated!(|| {
        let mirrors = (0..100).map(|i| Mirror::new(&format!("m{i}")).ipv4(answer(ms(10)).jitter(ms(40))));
        let spec = addresses_only(mirrors);
        let uniform = (0..5).any(|_| {
            let world = World::start(spec.clone()).unwrap();
            let times = handshakes(&all_addresses(&world), ms(10_000)).into_iter();
            let mut times: Vec<_> = times.map(|time| time.unwrap()).collect();
            times.sort();
            assert!(times[0] >= ms(10));
            times[10] < ms(25) && (ms(20)..ms(40)).contains(&times[50]) && times[90] > ms(35)
        });
        assert!(uniform);
    });
}

#[test]
fn refused_and_unreachable_come_after_one_round_trip_and_silence_lasts() {
    isolated!(|| {
        let world = World::start(addresses_only([
            Mirror::new("refuses").both(refuse(ms(30))),
            Mirror::new("unreachable").both(unreachable(ms(40))),
            Mirror::new("silent").both(Fate::Silent),
        ]))
        .unwrap();
        let fates =
            [("refuses", 30, ErrorKind::ConnectionRefused), ("unreachable", 40, ErrorKind::HostUnreachable)];
        for (name, rtt, error) in fates {
            for &address in world.addresses(name) {
                let (stream, took) = connect(address, 80);
                assert_eq!(stream.unwrap_err().kind(), error, "{address}");
                assert!(took >= ms(rtt));
            }
        }
        for &address in world.addresses("silent") {
            let stream = TcpStream::connect_timeout(&SocketAddr::new(address, 80), ms(200));
            assert_eq!(stream.unwrap_err().kind(), ErrorKind::TimedOut);
        }
    });
}

#[test]
fn port_without_listener_refuses_after_one_round_trip() {
    isolated!(|| {
        let world =
            World::start(addresses_only([Mirror::new("a").both(answer(ms(20))).only_ports(&[80, 81])]))
                .unwrap();
        for &address in world.addresses("a") {
            connect(address, 80).0.unwrap();
            for port in [81, 443] {
                let (stream, took) = connect(address, port);
                assert_eq!(stream.unwrap_err().kind(), ErrorKind::ConnectionRefused);
                assert!(took >= ms(20));
            }
        }
    });
}

#[test]
fn lost_syn_or_syn_ack_is_repeated_by_the_kernel_after_a_second() {
    isolated!(|| {
        let world = World::start(addresses_only([
            Mirror::new("syn").ipv4(answer(ms(20)).lose_first_syns(1)),
            Mirror::new("syn-ack").ipv6(answer(ms(20)).lose_first_syn_acks(1)),
        ]))
        .unwrap();
        for name in ["syn", "syn-ack"] {
            let (stream, took) = connect(world.addresses(name)[0], 80);
            stream.unwrap();
            assert!(took >= ms(900), "{took:?}");
            // Only the first one is lost.
            let quickest = (0..3).map(|_| connect(world.addresses(name)[0], 80).1).min().unwrap();
            assert!(quickest < ms(900), "{quickest:?}");
            let counts = world.report().of(name);
            assert_eq!((counts.attempts, counts.syns), (4, 5));
        }
    });
}

#[test]
fn random_loss_is_the_same_for_the_same_seed() {
    isolated!(|| {
        let answered = |seed| {
            let mirrors = (0..200).map(|i| Mirror::new(&format!("m{i}")).ipv4(answer(ms(5)).loss(0.3)));
            let world = World::start(addresses_only(mirrors).seed(seed)).unwrap();
            // The kernel repeats nothing within this time.
            handshakes(&all_addresses(&world), ms(900)).iter().map(Option::is_some).collect::<Vec<_>>()
        };
        let first = answered(1);
        assert_eq!(first, answered(1));
        assert_ne!(first, answered(2));
        // The SYN or the SYN-ACK is lost in half of the connections.
        let count = first.iter().filter(|answered| **answered).count();
        assert!((70..130).contains(&count), "{count}");
    });
}

#[test]
fn report_counts_attempts_handshakes_and_payload_by_mirror_and_address() {
    isolated!(|| {
        let world = World::start(addresses_only([
            Mirror::new("a").both(answer(ms(5))),
            Mirror::new("b").ipv4(refuse(ms(5))),
            Mirror::new("c").ipv4(answer(ms(5))).ipv4(Fate::Silent),
        ]))
        .unwrap();
        drop(connect(world.ipv4("a"), 80).0.unwrap());
        connect(world.ipv6("a"), 80).0.unwrap().write_all(b"0123456789").unwrap();
        connect(world.ipv4("b"), 80).0.unwrap_err();
        let report = world.report();
        let a = report.of("a");
        assert_eq!((a.syns, a.attempts, a.handshakes, a.payload), (2, 2, 2, 10));
        assert_eq!((report.at(world.ipv4("a")).payload, report.at(world.ipv6("a")).payload), (0, 10));
        assert!(a.first_syn < report.of("b").first_syn);
        assert_eq!((report.of("b").attempts, report.of("b").handshakes), (1, 0));
        assert_eq!(report.of("c"), Counts::default());
        assert_eq!(world.addresses("c").len(), 2);
        assert_eq!(report.total().syns, 3);
        assert_eq!(report.most_in_flight(ms(1000)), 1);
    });
}

#[test]
fn report_has_bursts_and_attempts_in_flight() {
    isolated!(|| {
        let mirrors = (0..60).map(|i| Mirror::new(&format!("m{i}")).ipv4(answer(ms(300))));
        let world = World::start(addresses_only(mirrors)).unwrap();
        let targets = all_addresses(&world);
        handshakes(&targets[..40], ms(5000));
        handshakes(&targets[40..], ms(5000));
        let report = world.report();
        assert_eq!((report.first_burst(ms(250)), report.most_in_flight(ms(1000))), (40, 40));
    });
}

#[test]
fn ten_thousand_mirrors_answer() {
    isolated!(|| {
        let mirrors = (0..10_000).map(|i| {
            let mirror = Mirror::new(&format!("m{i}"));
            let rtt = ms(20 + i % 400);
            if i % 2 == 0 { mirror.ipv4(answer(rtt)) } else { mirror.ipv6(answer(rtt)) }
        });
        let world = World::start(addresses_only(mirrors)).unwrap();
        let begin = Instant::now();
        for targets in all_addresses(&world).chunks(2000) {
            assert!(
                handshakes(targets, ms(20_000)).iter().all(|time| time.is_some_and(|time| time >= ms(20)))
            );
        }
        figure(&format!("10,000 mirrors, 2,000 at once: {:.1?}; {}", begin.elapsed(), world.report().error));
        let total = world.report().total();
        assert_eq!((total.attempts, total.payload), (10_000, 0));
        assert!(world.report().each().iter().all(|(_, counts)| counts.attempts == 1));
    });
}

#[test]
fn own_server_accepts_any_data_and_closes_when_the_client_does() {
    isolated!(|| {
        let world = World::start(addresses_only([Mirror::new("a").both(answer(ms(10)))])).unwrap();
        for &address in world.addresses("a") {
            for size in [0, 1, 1221, 1_000_000] {
                let repeats = || {
                    let (mut stream, begin) = (connect(address, 80).0.unwrap(), Instant::now());
                    stream.write_all(&vec![7; size]).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0, "the server sends nothing");
                    assert!(begin.elapsed() >= ms(10));
                    let info = tcp_info(&stream);
                    assert_eq!(info.tcpi_unacked, 0, "{size} bytes to {address}: not all has arrived");
                    info.tcpi_total_retrans
                };
                // On a busy machine an acknowledgment may be late.
                assert!((0..5).any(|_| repeats() == 0), "{size} bytes to {address} are sent again");
            }
        }
    });
}

#[test]
fn real_server_serves_all_mirrors_and_data_arrive_intact() {
    isolated!(|| {
        let world =
            World::start(addresses_only([Mirror::new("a").both(answer(ms(10)))]).accept(&[])).unwrap();
        let server = TcpListener::bind("[::]:80").unwrap();
        std::thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut back = stream.try_clone().unwrap();
                    std::io::copy(&mut stream, &mut back).unwrap();
                    back.shutdown(Shutdown::Write).unwrap();
                });
            }
        });
        let sent: Vec<u8> = (0..1_048_576u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for &address in world.addresses("a") {
            let mut stream = connect(address, 80).0.unwrap();
            let (mut there, data) = (stream.try_clone().unwrap(), sent.clone());
            std::thread::spawn(move || {
                there.write_all(&data).unwrap();
                there.shutdown(Shutdown::Write).unwrap();
            });
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            assert!(received == sent);
            assert!(world.report().at(address).payload >= sent.len() as u64);
        }
    });
}

#[test]
fn worlds_can_be_started_again_and_leave_nothing_behind() {
    isolated!(|| {
        let count = |directory| std::fs::read_dir(directory).unwrap().count();
        let mounts = || std::fs::read_to_string("/proc/self/mounts").unwrap().lines().count();
        let leftovers = || (count("/proc/self/fd"), count("/proc/self/task"), mounts());
        let run = |i: u64| {
            let mirror = Mirror::new("a.lab.example").both(answer(ms(1) + Duration::from_micros(i)));
            let world = World::start(Spec::new().mirror(mirror)).unwrap();
            connect(world.ipv4("a.lab.example"), 80).0.unwrap();
            connect(world.ipv6("a.lab.example"), 80).0.unwrap();
            assert_eq!(world.report().total().handshakes, 2);
        };
        run(0);
        let before = leftovers();
        let begin = Instant::now();
        (1..=100).for_each(run);
        figure(&format!("start of a world, two connections and its end: {:.1?}", begin.elapsed() / 100));
        assert_eq!(leftovers(), before);
    });
}

#[test]
fn cpu_time_of_the_lab_is_counted() {
    isolated!(|| {
        let world = World::start(addresses_only([Mirror::new("a").ipv4(answer(ms(1)))])).unwrap();
        let before = world.cpu_time();
        (0..50).for_each(|_| drop(connect(world.ipv4("a"), 80).0.unwrap()));
        assert!(world.cpu_time() > before);
    });
}
