//! How exact latencies stay while other processes keep all processors busy: the kernel's, which ours are, beside the wall clock's.

use super::clients::{Client, Found, Run};
use super::row::error;
use super::scene::Scene;
use lab::{LabError, World};
use std::process::{Child, Command};
use std::thread::available_parallelism;
use std::time::Duration;

/// |measured - truth|: median and 99th percentile.
type Error = Option<(Duration, Duration)>;

#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) mirrors: usize,
    pub(crate) ours: Error,
    /// Of a plain client that connects to all at once.
    pub(crate) kernel: Error,
    pub(crate) wall: Error,
    /// While ours ran, and while the other did.
    pub(crate) lab: [LabError; 2],
}

/// A program that does nothing, all the time.
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
    super::until_the_lab_keeps_up(
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
