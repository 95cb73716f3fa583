//! Servers on loopback addresses: open, refusing and silent ones.

use socket2::{Domain, Protocol, Socket, Type};
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// A server that accepts every connection until the test ends, and counts connections and bytes.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    pub accepted: Arc<AtomicUsize>,
    pub bytes: Arc<AtomicUsize>,
}

impl Server {
    /// Listens at `ip`, on a free port. At 0.0.0.0 it is a mirror at every address 127.x.y.z.
    pub fn start(ip: impl Into<std::net::IpAddr>) -> Server {
        let ip = ip.into();
        let address = SocketAddr::new(ip, 0);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(4096).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let server = Server { address, accepted: Arc::default(), bytes: Arc::default() };
        let (accepted, bytes) = (server.accepted.clone(), server.bytes.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // There may be no free descriptor for a moment.
                let Ok(mut stream) = stream else { continue };
                accepted.fetch_add(1, SeqCst);
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                // Counts what the client has sent before it closed the connection.
                bytes.fetch_add(stream.read(&mut [0; 4096]).unwrap_or(0), SeqCst);
            }
        });
        server
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

/// A port without a listener.
pub fn closed_port() -> u16 {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port()
}

/// An endpoint that drops every SYN as long as it exists: a listener whose queue is full.
#[derive(Debug)]
pub struct Silent {
    pub address: SocketAddr,
    _listener: Socket,
    _queue: Vec<TcpStream>,
}

impl Silent {
    pub fn start(ip: Ipv4Addr) -> Silent {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queue = Vec::new();
        loop {
            match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                Ok(stream) => queue.push(stream),
                Err(error) if error.kind() == ErrorKind::TimedOut => break,
                Err(error) => panic!("filling the queue of {address}: {error}"),
            }
            assert!(queue.len() < 100, "the queue of {address} does not fill");
        }
        Silent { address, _listener: socket, _queue: queue }
    }
}
