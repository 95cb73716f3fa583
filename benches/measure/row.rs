//! One client in one world: its runs, and what they come to.

use super::clients::{Client, Found, Run};
use super::scene::{Scene, StopReason};
use lab::{LabError, percentile};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// After this long two runs will do.
const ENOUGH: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) mirrors: usize,
    pub(crate) dead: usize,
    pub(crate) client: Client,
    pub(crate) time: Duration,
    pub(crate) processor: Duration,
    /// KiB.
    pub(crate) memory: f64,
    /// |measured - truth| at the median and the 99th percentile; none where nothing was measured.
    pub(crate) error: Option<(Duration, Duration)>,
    pub(crate) runs: usize,
    pub(crate) pool: Pool,
    /// In a run, on average.
    pub(crate) syns: f64,
    pub(crate) payload: f64,
    pub(crate) floor: Option<Floor>,
    pub(crate) lab: LabError,
}

/// What a client took for near, and what was, all runs together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pool {
    /// Runs in which these were the same mirrors.
    pub(crate) exact: usize,
    taken: usize,
    near: usize,
    both: usize,
}

impl Pool {
    /// Of all whom it took for near, how many were; None if it took nobody.
    pub(crate) fn precision(&self) -> Option<f64> {
        (self.taken > 0).then(|| self.both as f64 / self.taken as f64)
    }

    /// Of all who were near, how many it took for near.
    pub(crate) fn recall(&self) -> f64 {
        self.both as f64 / self.near as f64
    }
}

/// The earliest a run that stop_reason so could end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) stop_reason: StopReason,
    /// With these look-ups.
    pub(crate) look_ups: Duration,
    /// With these look-ups and SYNs, where that was tried.
    pub(crate) syns: Option<Duration>,
}

/// What nobody can do without, of each run: when each name was looked up, and, of other runs, when each SYN had left.
#[derive(Debug, Default)]
pub(crate) struct Bare {
    pub(crate) look_ups: Vec<Vec<Duration>>,
    pub(crate) syns: Vec<Vec<Duration>>,
}

impl Bare {
    fn floor(&self, scene: &Scene, stop_reason: StopReason) -> Floor {
        let median_floor = |runs: &[Vec<Duration>]| {
            let floors: Vec<_> = runs.iter().map(|times| scene.floor(Some(times), stop_reason)).collect();
            (!floors.is_empty()).then(|| median(floors))
        };
        let look_ups = median_floor(&self.look_ups).unwrap_or_else(|| scene.floor(None, stop_reason));
        Floor { stop_reason, look_ups, syns: median_floor(&self.syns) }
    }
}

pub(crate) struct Plan<'a> {
    pub(crate) runs: usize,
    /// Ports at which the lab's own servers answer; none where nginx does.
    pub(crate) accept: &'a [u16],
    /// For the client: our cache, or a certificate authority for librepo.
    pub(crate) file: Option<PathBuf>,
}

/// Runs a client in a new world.
pub(crate) fn measure(scene: &Scene, client: Client, bare: &Bare, plan: &Plan) -> (Row, Vec<Run>) {
    let world = scene.world(plan.accept);
    let lines = match client {
        Client::LookUps | Client::Syns => scene.hosts(),
        _ => scene.urls(client.scheme(), &world),
    };
    if let (Client::Warm, Some(cache)) = (client, &plan.file) {
        let _ = std::fs::remove_file(cache);
        Client::All.run(&lines, Some(cache));
        assert!(cache.exists(), "the first run is remembered");
    }
    let before = world.report().total();
    let start = Instant::now();
    let mut runs: Vec<Run> = Vec::new();
    while runs.len() < plan.runs && (runs.len() < 2 || start.elapsed() < ENOUGH) {
        runs.push(client.run(&lines, plan.file.as_deref()));
    }
    let report = world.report();
    let total = report.total();
    let each = |number: usize| number as f64 / runs.len() as f64;

    let stop_reason = runs.last().and_then(|run| run.stop_reason).and_then(StopReason::from_number);
    let floor = stop_reason.map(|stop_reason| bare.floor(scene, stop_reason));
    let row = Row {
        label: scene.label(),
        mirrors: scene.sites.0.len(),
        dead: scene.dead,
        client,
        time: median(runs.iter().map(|run| run.time).collect()),
        processor: median(runs.iter().map(|run| run.processor).collect()),
        memory: middle(runs.iter().map(|run| run.memory)),
        error: if client.is_bare() { None } else { error(scene, &runs, |found| found.latency) },
        runs: runs.len(),
        pool: judge(scene, client, &runs),
        syns: each(total.syns - before.syns),
        payload: each((total.payload - before.payload) as usize),
        floor,
        lab: report.error,
    };
    (row, runs)
}

/// librepo's pool is what it would shuffle since 1.19: nearer than twice the best.
fn judge(scene: &Scene, client: Client, runs: &[Run]) -> Pool {
    let truth = scene.pool();
    let mut pool = Pool::default();
    for run in runs {
        let best = run.found.iter().filter_map(|found| found.latency).min();
        let is_taken = |found: &Found| match client.is_librepo() {
            true => found.latency.zip(best).is_some_and(|(latency, best)| latency < best * 2),
            false => found.more > 0.0,
        };
        let taken: Vec<bool> = run.found.iter().map(is_taken).collect();
        pool.exact += usize::from(taken == truth);
        for (&taken, &near) in taken.iter().zip(&truth) {
            pool.taken += usize::from(taken);
            pool.near += usize::from(near);
            pool.both += usize::from(taken && near);
        }
    }
    pool
}

/// |measured - truth| over all mirrors of all runs: median and 99th percentile.
pub(crate) fn error(
    scene: &Scene,
    runs: &[Run],
    latency: impl Fn(&Found) -> Option<Duration>,
) -> Option<(Duration, Duration)> {
    let all = runs.iter().flat_map(|run| run.found.iter().zip(&scene.sites.0));
    let mut errors: Vec<Duration> =
        all.filter_map(|(found, site)| Some(latency(found)?.abs_diff(site.rtt))).collect();
    errors.sort();
    (!errors.is_empty()).then(|| (percentile(&errors, 0.5), percentile(&errors, 0.99)))
}

fn median(times: Vec<Duration>) -> Duration {
    Duration::from_secs_f64(middle(times.iter().map(Duration::as_secs_f64)))
}

/// The median; of an even number, halfway between the two in the middle.
fn middle(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_by(f64::total_cmp);
    (all[(all.len() - 1) / 2] + all[all.len() / 2]) / 2.0
}
