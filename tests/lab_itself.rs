//! The lab, tested with plain clients: does a world do what its spec says?

mod lab;

use lab::*;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
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

/// Connects to all at once; the kernel's own measurement of each handshake that completes within the time.
fn handshakes(targets: &[SocketAddr], patience: Duration) -> Vec<Option<Duration>> {
    let begin = Instant::now();
    let sockets: Vec<Socket> = targets
        .iter()
        .map(|&target| {
            let socket = Socket::new(Domain::for_address(target), Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let started = socket.connect(&SockAddr::from(target)).unwrap_err();
            assert_eq!(started.raw_os_error(), Some(libc::EINPROGRESS));
            socket
        })
        .collect();
    let mut times = vec![None; targets.len()];
    let mut open: Vec<usize> = (0..targets.len()).collect();
    while !open.is_empty() && begin.elapsed() < patience {
        let mut polled: Vec<_> = open
            .iter()
            .map(|&i| libc::pollfd { fd: sockets[i].as_raw_fd(), events: libc::POLLOUT, revents: 0 })
            .collect();
        // SAFETY: as many descriptors as the vector has.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, 50) };
        let mut ready = polled.iter().map(|polled| polled.revents != 0);
        open.retain(|&i| {
            let over = ready.next().unwrap();
            if over && sockets[i].take_error().unwrap().is_none() {
                times[i] = Some(handshake_time(&sockets[i]));
            }
            !over
        });
    }
    times
}

fn handshake_time(socket: &Socket) -> Duration {
    // SAFETY: plain data, filled in by the kernel up to the length it returns.
    let info = unsafe {
        let mut info: libc::tcp_info = std::mem::zeroed();
        let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
        let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
        assert_eq!(libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut info).cast(), &mut length), 0);
        info
    };
    Duration::from_micros(info.tcpi_rtt.into())
}

fn of_all(world: &World) -> Vec<SocketAddr> {
    let mirrors = &world.spec().mirrors;
    mirrors
        .iter()
        .flat_map(|mirror| world.addresses(&mirror.name))
        .map(|&ip| SocketAddr::new(ip, 80))
        .collect()
}

#[test]
fn the_kernel_measures_what_was_asked_for_at_400_mirrors() {
    isolated("the_kernel_measures_what_was_asked_for_at_400_mirrors", || {
        let rtts: Vec<_> = (0..400).map(|i| ms(5 + i * 7 % 300)).collect();
        let mirrors = rtts.iter().enumerate().map(|(i, &rtt)| {
            let mirror = Mirror::new(&format!("m{i}"));
            if i % 2 == 0 { mirror.ipv4(answer(rtt)) } else { mirror.ipv6(answer(rtt)) }
        });
        let spec = Spec::new().mirrors(mirrors).names(Names::Untouched);
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let world = World::start(spec.clone()).unwrap();
            let measured = handshakes(&of_all(&world), ms(5000));
            let mut errors: Vec<_> =
                measured.iter().zip(&rtts).map(|(measured, rtt)| measured.unwrap().abs_diff(*rtt)).collect();
            errors.sort();
            figure(&format!(
                "|tcpi_rtt - asked| at 400 mirrors: median {:?}, p99 {:?}; {}",
                percentile(&errors, 0.5),
                percentile(&errors, 0.99),
                world.report().error
            ));
            best = best.min(percentile(&errors, 0.99));
        }
        assert!(best < ms(1));
    });
}
