//! A simulated internet for tests of programs that measure mirrors.
//!
//! On loopback every server is 0.05 ms away, so a test cannot show that a near mirror is preferred,
//! or what a lost packet costs. The lab runs a test in a network namespace of its own, where all
//! traffic goes through a TUN device to a small router in this process. The router plays a "world":
//! mirrors at given round-trip times, some of which lose packets, refuse connections or never
//! answer, and a name server that may be slow or fail. Programs under test run unchanged, since the
//! kernel's own TCP and the system's own resolver talk to this world. Nothing leaves the machine.
//!
//! The mirrors accept connections themselves, or hand them to a real server (nginx, for example)
//! that listens in the namespace. Afterwards a [`Report`] says how many SYNs, handshakes, bytes and
//! DNS queries each mirror got.
//!
//! A latency that a client's kernel measures (`tcpi_rtt`) is about 0.03 ms above the configured
//! round-trip time: the way through the device and back. A virtual machine whose host takes the CPU
//! away adds milliseconds; the lab measures its own lateness, and [`LabError::could_not_keep_up`]
//! says when a run proves nothing.
//!
//! It needs root, or a user who may make user namespaces and open `/dev/net/tun`. Elsewhere its
//! tests are skipped, or fail under CI.
//!
//! ```ignore
//! #[test]
//! fn nearest_mirror_is_first() {
//!     lab::isolated!(|| {
//!         let mirror = Mirror::new("a.lab.example").both(answer(ms(20)));
//!         let world = World::start(Spec::new().mirror(mirror)).unwrap();
//!         // ... connect to a.lab.example:80 ...
//!         assert_eq!(world.report().of("a.lab.example").syns, 1);
//!     });
//! }
//! ```

mod awake;
mod device;
mod dns;
pub mod gateway;
pub mod geography;
mod names;
mod namespace;
mod packet;
mod random;
mod report;
mod router;
mod skip;
mod spec;
mod timeline;

pub use names::own_file_in_etc;
pub use namespace::{
    Unavailable, attempt, figure, is_inside, isolated, isolated_with_output, name_of_test, run,
};
pub use random::Random;
pub use report::{Attempt, Counts, LabError, Queries, Report, percentile};
pub use skip::{skip, skip_even_under_ci};
pub use spec::{Answer, Fate, Lookup, Mirror, Names, Spec, answer, refuse, unreachable};

use awake::Awake;
use device::Device;
use dns::{Host, NAME_SERVER, NameServer};
use names::Files;
use router::{Address, Router};
use spec::{CLIENT_V4, CLIENT_V6};
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::net::UnixStream;
use std::os::unix::thread::JoinHandleExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

/// A duration in milliseconds.
pub fn ms(count: impl Into<f64>) -> Duration {
    Duration::from_secs_f64(count.into() / 1e3)
}

/// A running world. It can be started only inside the lab ([`isolated!`], [`run`]), one at a time,
/// and stops when it is dropped.
pub struct World {
    spec: Spec,
    addresses: Vec<Vec<IpAddr>>,
    router: Arc<Router>,
    name_server: Option<Arc<NameServer>>,
    /// Dropped with the world, which brings the system's own files back.
    _files: Option<Files>,
    /// Closing this stops the threads.
    stop: Option<UnixStream>,
    threads: Vec<JoinHandle<()>>,
    awake: Awake,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("spec", &self.spec)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl World {
    pub fn start(spec: Spec) -> Result<World, Unavailable> {
        let Allotted { addresses, v4, v6 } = allot(&spec)?;
        let servers = next_servers();
        let device = Device::open("lab")?;
        device.add_address(CLIENT_V4, 16)?;
        device.add_address(servers.0, 32)?;
        // A world without IPv6 works on a kernel without IPv6.
        if !v6.is_empty() {
            device.add_address(CLIENT_V6, 32)?;
            device.add_address(servers.1, 128)?;
        }
        let (name_server, files) = match spec.names {
            Names::Dns { delay } => {
                let name_server = NameServer::bind(hosts(&spec, &addresses, delay), delay)?;
                (Some(Arc::new(name_server)), Some(Files::replace(NAME_SERVER, "")?))
            }
            Names::Hosts => (None, Some(Files::replace(NAME_SERVER, &hosts_file(&spec, &addresses))?)),
            Names::Untouched => (None, None),
        };

        let router = Arc::new(Router::new(device.file, servers.0, servers.1, spec.accept.clone(), v4, v6));
        let (stop, stopped) = UnixStream::pair().map_err(|why| Unavailable::new(why.to_string()))?;
        let mut world = World {
            spec,
            addresses,
            router,
            name_server,
            _files: files,
            stop: Some(stop),
            threads: Vec::new(),
            awake: Awake::keep(),
        };
        let stopped = Arc::new(stopped);
        let (router, router_stopped) = (world.router.clone(), stopped.clone());
        // On a busy machine it may take long until a new thread runs, and the first packets would
        // wait for it.
        let (ready, is_ready) = sync_channel(0);
        world.spawn("lab router", move || {
            router::raise_priority();
            let _ = ready.send(());
            router.run(&router_stopped);
        });
        let _ = is_ready.recv();
        if let Some(name_server) = world.name_server.clone() {
            world.spawn("lab names", move || name_server.run(&stopped));
        }
        Ok(world)
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        self.threads.push(thread.expect("the system has room for a thread"));
    }

    /// The addresses of a mirror in the order of the spec, IPv4 first.
    pub fn addresses(&self, name: &str) -> &[IpAddr] {
        &self.addresses[self.index(name)]
    }

    fn index(&self, name: &str) -> usize {
        let mirror = self.spec.mirrors.iter().position(|mirror| mirror.name == name);
        mirror.unwrap_or_else(|| panic!("no mirror of this world is called {name}"))
    }

    /// Changes how all addresses of a mirror treat packets from now on.
    pub fn change(&self, name: &str, fate: impl Into<Fate>) {
        self.router.change(self.index(name), &fate.into());
    }

    /// The (first) IPv4 address of a mirror that has one.
    pub fn ipv4(&self, name: &str) -> IpAddr {
        self.first(name, IpAddr::is_ipv4)
    }

    /// The (first) IPv6 address of a mirror that has one.
    pub fn ipv6(&self, name: &str) -> IpAddr {
        self.first(name, IpAddr::is_ipv6)
    }

    fn first(&self, name: &str, wanted: impl Fn(&IpAddr) -> bool) -> IpAddr {
        let found = self.addresses(name).iter().copied().find(wanted);
        found.unwrap_or_else(|| panic!("{name} has no address of that family"))
    }

    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The CPU time that the lab's own threads have used so far, including those that keep the CPUs
    /// awake.
    pub fn cpu_time(&self) -> Duration {
        self.threads.iter().chain(self.awake.threads()).map(cpu_time).sum()
    }

    /// Everything the world has seen so far.
    pub fn report(&self) -> Report {
        let (attempts, lateness) = self.router.seen();
        let lookups = self.name_server.as_ref().map(|names| names.counts()).unwrap_or_default();
        Report::new(&self.spec.mirrors, attempts, lookups, lateness)
    }

    /// Watches the lab's lateness from now on. In a world that lasts long, a short time of late
    /// packets would not be noticed among all its packets.
    pub fn watch(&self) -> Watch<'_> {
        Watch { world: self, before: self.report().error }
    }

    /// Prints for a test that fails whether the lab was late meanwhile.
    fn explain(&self, before: &LabError) {
        // A thread of the lab has panicked and printed that; its locks are poisoned.
        if self.threads.iter().any(JoinHandle::is_finished) {
            return;
        }
        let error = self.report().error.since(before);
        println!("{error}");
        if error.may_explain_failure() {
            println!("{}", namespace::LATE_LAB);
        }
    }
}

/// A part of a world's time: whether the lab has kept up since [`World::watch`]. If the test fails
/// meanwhile, dropping this prints the lab's error.
#[derive(Debug)]
pub struct Watch<'a> {
    world: &'a World,
    before: LabError,
}

impl Watch<'_> {
    pub fn could_not_keep_up(&self) -> bool {
        self.world.report().error.since(&self.before).could_not_keep_up()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.world.explain(&self.before);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.explain(&LabError::default());
        }
        self.stop = None;
        for thread in self.threads.drain(..) {
            // The thread's panic has been printed. A second panic in a test that is failing would
            // abort it.
            if thread.join().is_err() && !std::thread::panicking() {
                panic!("a thread of the lab panicked");
            }
        }
    }
}

fn cpu_time(thread: &JoinHandle<()>) -> Duration {
    // SAFETY: the ID of a thread that has not been joined is valid, and both calls write to local
    // variables.
    let used = unsafe {
        let (mut clock, mut used) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // A thread that has ended has no clock and counts as zero.
        if libc::pthread_getcpuclockid(thread.as_pthread_t() as _, &mut clock) == 0 {
            libc::clock_gettime(clock, &mut used);
        }
        used
    };
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// The addresses of a world.
struct Allotted {
    /// For each mirror of the spec, its addresses.
    addresses: Vec<Vec<IpAddr>>,
    v4: Vec<Address>,
    v6: Vec<Address>,
}

fn allot(spec: &Spec) -> Result<Allotted, Unavailable> {
    let mut allotted = Allotted { addresses: Vec::new(), v4: Vec::new(), v6: Vec::new() };
    for (index, mirror) in spec.mirrors.iter().enumerate() {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for (stream, fate) in mirror.ipv4.iter().chain(&mirror.ipv6).enumerate() {
            let random = Random::new(spec.seed, (index * 256 + stream) as u64);
            let address = Address::new(index, fate.clone(), mirror.only_ports.clone(), random);
            if stream < mirror.ipv4.len() {
                addresses.push(spec::ipv4_of(allotted.v4.len()).into());
                allotted.v4.push(address);
            } else {
                addresses.push(spec::ipv6_of(allotted.v6.len()).into());
                allotted.v6.push(address);
            }
        }
        allotted.addresses.push(addresses);
    }
    if allotted.v4.len().max(allotted.v6.len()) > spec::MOST_ADDRESSES {
        return Err(Unavailable::new(format!(
            "a world has at most {} addresses of a family",
            spec::MOST_ADDRESSES
        )));
    }
    Ok(allotted)
}

/// The addresses of the world's servers. Each world gets new ones, so that old connections of an
/// earlier world cannot interfere.
fn next_servers() -> (Ipv4Addr, Ipv6Addr) {
    static WORLDS: AtomicU16 = AtomicU16::new(0);
    let world = WORLDS.fetch_add(1, Ordering::Relaxed) % 65_000 + 1;
    let [high, low] = world.to_be_bytes();
    // The kernel uses the local address most similar to the destination as a source: that must be
    // the client's.
    (Ipv4Addr::new(198, 19, high, low), Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, world))
}

fn hosts(spec: &Spec, addresses: &[Vec<IpAddr>], delay: Duration) -> HashMap<String, Host> {
    let mut hosts = HashMap::new();
    for (mirror, addresses) in spec.mirrors.iter().zip(addresses) {
        let delay = mirror.lookup_delay.unwrap_or(delay);
        for name in mirror.aliases.iter().chain([&mirror.name]) {
            let host = Host { addresses: addresses.clone(), lookup: mirror.lookup, delay };
            hosts.insert(name.to_ascii_lowercase(), host);
        }
    }
    hosts
}

fn hosts_file(spec: &Spec, addresses: &[Vec<IpAddr>]) -> String {
    let mut lines = String::new();
    for (mirror, addresses) in spec.mirrors.iter().zip(addresses) {
        for address in addresses.iter().filter(|_| mirror.lookup == Lookup::Found) {
            write!(lines, "{address} {}", mirror.name).expect("writing to a string");
            for alias in &mirror.aliases {
                write!(lines, " {alias}").expect("writing to a string");
            }
            lines.push('\n');
        }
    }
    lines
}
