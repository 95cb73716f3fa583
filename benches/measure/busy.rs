//! The errors of latencies while other processes keep all CPUs busy: those of this library, which
//! are the kernel's, beside those of the wall clock.

use super::clients::{Client, Found, Run};
use super::row::error;
use super::scene::Scene;
use lab::{LabError, World};
use std::process::{Child, Command};
use std::thread::available_parallelism;
use std::time::Duration;

/// The median and the 99th percentile of |measured - truth|.
type Error = Option<(Duration, Duration)>;

#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) mirrors: usize,
    pub(crate) ours: Error,
    /// The errors of a plain client that connects to all mirrors at once.
    pub(crate) kernel: Error,
    pub(crate) wall: Error,
    /// The lab's error while this library ran, and while the plain client ran.
    pub(crate) lab: [LabError; 2],
}

/// A process that uses all the CPU time it gets.
struct Spinner(Child);

impl Spinner {
    fn start() -> Spinner {
        Spinner(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell"))
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn measure(scene: &Scene, count: usize) -> Busy {
    let _spinners: Vec<_> =
        (0..available_parallelism().map_or(1, usize::from)).map(|_| Spinner::start()).collect();
    let (ours, lab) = run(scene, Client::All, count, |world| scene.urls("https", world));
    let addresses = |world: &World| scene.hosts().iter().map(|host| world.ipv4(host).to_string()).collect();
    let (clocks, lab_of_clocks) = run(scene, Client::Clock, count, addresses);
    Busy {
        mirrors: scene.sites.0.len(),
        ours: error(scene, &ours, |found| found.latency),
        kernel: error(scene, &clocks, |found| found.latency),
        wall: error(scene, &clocks, |found: &Found| {
            found.latency.map(|_| Duration::from_secs_f64(found.more))
        }),
        lab: [lab, lab_of_clocks],
    }
}

fn run(
    scene: &Scene,
    client: Client,
    count: usize,
    lines: impl Fn(&World) -> Vec<String>,
) -> (Vec<Run>, LabError) {
    super::repeat_while_lab_is_late(
        count > 1,
        || {
            let world = scene.world(&super::PORTS);
            let lines = lines(&world);
            let runs = (0..count).map(|_| client.run(&lines, None)).collect();
            (runs, world.report().error)
        },
        |(_, lab)| lab,
    )
}
