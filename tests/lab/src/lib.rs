//! The lab: a simulated internet for tests and for the demonstration of the example.
//!
//! On loopback every mirror is 0.05 ms away. Here a world of mirrors stands behind a TUN device in a network namespace of its own,
//! each address with its own round-trip time, loss, refusal or silence, with a name server, and with ordinary servers or the lab
//! itself behind all of them. Clients run unchanged; what they sent is counted, and so is the error of the lab itself.
//!
//! What a client's kernel measures (tcpi_rtt) is some 0.03 ms more than was asked for: the way through the device and back. The
//! host of a virtual machine adds milliseconds when it stops the machine for a while; [`LabError::could_not_keep_up`] tells.
//!
//! ```ignore
//! #[test]
//! fn the_near_one_is_first() {
//!     lab::isolated!(|| {
//!         let world = World::start(Spec::new().mirror(Mirror::new("a.lab.example").both(answer(ms(20))))).unwrap();
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

pub use namespace::{Unavailable, attempt, figure, is_inside, isolated, isolated_saying, name_of_test, run};
pub use random::Random;
pub use report::{Asked, Attempt, Counts, LabError, Report, percentile};
pub use skip::skip;
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

/// Milliseconds, of which tests are full.
pub fn ms(count: impl Into<f64>) -> Duration {
    Duration::from_secs_f64(count.into() / 1e3)
}

/// A running world, to be started inside ([`isolated`], [`run`]), one at a time. Dropping it ends it.
pub struct World {
    spec: Spec,
    addresses: Vec<Vec<IpAddr>>,
    router: Arc<Router>,
    name_server: Option<Arc<NameServer>>,
    /// Dropped with the world, which brings the system's own files back.
    _files: Option<Files>,
    /// Closing it stops the threads.
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
        // A world without IPv6 can do with a kernel without IPv6.
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
        let (router, end) = (world.router.clone(), stopped.clone());
        // Waited for: on a busy machine a new thread may be long in coming, and the first packets with it.
        let (ready, punctual) = sync_channel(0);
        world.spawn("lab router", move || {
            router::be_punctual();
            let _ = ready.send(());
            router.run(&end);
        });
        let _ = punctual.recv();
        if let Some(name_server) = world.name_server.clone() {
            world.spawn("lab names", move || name_server.run(&stopped));
        }
        Ok(world)
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        self.threads.push(thread.expect("the system has room for a thread"));
    }

    /// The addresses of a mirror, in the order of the spec, IPv4 first.
    pub fn addresses(&self, name: &str) -> &[IpAddr] {
        let mirror = self.spec.mirrors.iter().position(|mirror| mirror.name == name);
        &self.addresses[mirror.unwrap_or_else(|| panic!("no mirror of this world is called {name}"))]
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

    /// Processor time the lab's own threads have used so far, those that keep the processors awake included: what to take from
    /// the difference of two getrusage(RUSAGE_SELF) to have a client's own.
    pub fn cpu_time(&self) -> Duration {
        self.threads.iter().chain(self.awake.threads()).map(cpu_time).sum()
    }

    /// All that was seen until now.
    pub fn report(&self) -> Report {
        let (attempts, lateness) = self.router.seen();
        let lookups = self.name_server.as_ref().map(|names| names.asked()).unwrap_or_default();
        Report::new(&self.spec.mirrors, attempts, lookups, lateness)
    }

    /// Watches the lab from now on: in a world that lasts, a short spell of late packets is less than one in a hundred of all.
    pub fn watch(&self) -> Watch<'_> {
        Watch { world: self, before: self.report().error }
    }

    /// Of a test that fails: what the lab has to do with it.
    fn explain(&self, before: &LabError) {
        // A thread of ours that has panicked has said so itself, and nothing can be asked any more.
        if self.threads.iter().any(JoinHandle::is_finished) {
            return;
        }
        let error = self.report().error.since(before);
        println!("{error}");
        if error.may_be_to_blame() {
            println!("{}", namespace::TO_BLAME);
        }
    }
}

/// Tells whether the lab has kept up since this was made, and says so by itself when a test fails meanwhile.
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
            // A panic of a thread has been printed, and must not abort a test that is failing already.
            if thread.join().is_err() && !std::thread::panicking() {
                panic!("a thread of the lab panicked");
            }
        }
    }
}

fn cpu_time(thread: &JoinHandle<()>) -> Duration {
    // SAFETY: a thread that has not been joined keeps its identity, and both calls write to local variables.
    let used = unsafe {
        let (mut clock, mut used) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // A thread that has ended has no clock, and counts as zero.
        if libc::pthread_getcpuclockid(thread.as_pthread_t() as _, &mut clock) == 0 {
            libc::clock_gettime(clock, &mut used);
        }
        used
    };
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

struct Allotted {
    /// Of each mirror.
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

/// Each world has addresses of its own for its servers, so that nothing left of an earlier one's connections is in the way.
fn next_servers() -> (Ipv4Addr, Ipv6Addr) {
    static WORLDS: AtomicU16 = AtomicU16::new(0);
    let world = WORLDS.fetch_add(1, Ordering::Relaxed) % 65_000 + 1;
    let [high, low] = world.to_be_bytes();
    // Less like the mirrors' addresses than the client's own, or the kernel would choose it as a source.
    (Ipv4Addr::new(198, 19, high, low), Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, world))
}

fn hosts(spec: &Spec, addresses: &[Vec<IpAddr>], delay: Duration) -> HashMap<String, Host> {
    let hosts = spec.mirrors.iter().zip(addresses).map(|(mirror, addresses)| {
        let delay = mirror.lookup_delay.unwrap_or(delay);
        (
            mirror.name.to_ascii_lowercase(),
            Host { addresses: addresses.clone(), lookup: mirror.lookup, delay },
        )
    });
    hosts.collect()
}

fn hosts_file(spec: &Spec, addresses: &[Vec<IpAddr>]) -> String {
    let mut lines = String::new();
    for (mirror, addresses) in spec.mirrors.iter().zip(addresses) {
        for address in addresses.iter().filter(|_| mirror.lookup == Lookup::Found) {
            writeln!(lines, "{address} {}", mirror.name).expect("writing to a string");
        }
    }
    lines
}
