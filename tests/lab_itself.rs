//! The lab, tested with plain clients: does a world do what its spec says?

mod lab;

use lab::*;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Connects; the time it took as this process sees it.
fn connect(to: IpAddr) -> (io::Result<TcpStream>, Duration) {
    let begin = Instant::now();
    let stream = TcpStream::connect_timeout(&SocketAddr::new(to, 80), ms(3000));
    (stream, begin.elapsed())
}

fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 80).to_socket_addrs()?.map(|found| found.ip()).collect())
}

#[test]
fn an_answer_takes_the_round_trip_time_asked_for_in_both_families() {
    isolated("an_answer_takes_the_round_trip_time_asked_for_in_both_families", || {
        let mirror = Mirror::new("a.lab.example").ipv4(answer(ms(20))).ipv6(answer(ms(50)));
        let world = World::start(Spec::new().mirror(mirror)).unwrap();
        for (address, rtt) in [(world.ipv4("a.lab.example"), 20), (world.ipv6("a.lab.example"), 50)] {
            let (stream, took) = connect(address);
            stream.unwrap();
            assert!(took >= ms(rtt));
        }
    });
}

#[test]
fn refusal_and_unreachability_come_after_one_round_trip_and_silence_lasts() {
    isolated("refusal_and_unreachability_come_after_one_round_trip_and_silence_lasts", || {
        let spec = Spec::new()
            .mirror(Mirror::new("refuses").both(refuse(ms(30))))
            .mirror(Mirror::new("unreachable").both(unreachable(ms(40))))
            .mirror(Mirror::new("silent").both(Fate::Silent));
        let world = World::start(spec).unwrap();
        for (name, rtt, error) in
            [("refuses", 30, ErrorKind::ConnectionRefused), ("unreachable", 40, ErrorKind::HostUnreachable)]
        {
            for &address in world.addresses(name) {
                let (stream, took) = connect(address);
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
fn names_are_found_ipv6_first_and_counted() {
    isolated("names_are_found_ipv6_first_and_counted", || {
        let mirror = Mirror::new("a.lab.example").both(answer(ms(1)));
        let world = World::start(Spec::new().mirror(mirror)).unwrap();
        let expected = [world.ipv6("a.lab.example"), world.ipv4("a.lab.example")];
        assert_eq!(look_up("a.lab.example").unwrap(), expected);
        assert_eq!(world.report().lookups["a.lab.example"], Asked { a: 1, aaaa: 1 });
    });
}
