//! One row of the table: a client in a world, its runs, and their summary.

use super::clients::{Client, Found, Run};
use super::scene::{Scene, StopReason};
use lab::{LabError, percentile};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// After this time two runs are enough.
const ENOUGH: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) mirrors: usize,
    pub(crate) dead: usize,
    pub(crate) client: Client,
    pub(crate) time: Duration,
    pub(crate) cpu: Duration,
    /// KiB.
    pub(crate) memory: f64,
    /// |measured - truth|: the median and the 99th percentile. None if nothing was measured.
    pub(crate) error: Option<(Duration, Duration)>,
    pub(crate) runs: usize,
    pub(crate) pool: Pool,
    /// The average of a run.
    pub(crate) syns: f64,
    pub(crate) payload: f64,
    pub(crate) floor: Option<Floor>,
    pub(crate) lab: LabError,
}

/// The mirrors that a client put into its pool, and those that belong there, in all runs together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pool {
    /// The number of runs in which these were the same.
    pub(crate) exact: usize,
    taken: usize,
    near: usize,
    both: usize,
}

impl Pool {
    /// The part of the client's pool that belongs there. None if that pool is empty.
    pub(crate) fn precision(&self) -> Option<f64> {
        (self.taken > 0).then(|| self.both as f64 / self.taken as f64)
    }

    /// The part of the true pool that is in the client's pool.
    pub(crate) fn recall(&self) -> f64 {
        self.both as f64 / self.near as f64
    }
}

/// A lower bound for the time of a run that stops for this reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) stop_reason: StopReason,
    /// With the measured times of lookups.
    pub(crate) lookups: Duration,
    /// With the measured times of lookups and SYNs, if there are any.
    pub(crate) syns: Option<Duration>,
}

/// The measured times of what any client has to do, for each run: when each lookup was done, and,
/// from other runs, when each SYN was sent.
#[derive(Debug, Default)]
pub(crate) struct LowerBounds {
    pub(crate) lookups: Vec<Vec<Duration>>,
    pub(crate) syns: Vec<Vec<Duration>>,
}

impl LowerBounds {
    fn floor(&self, scene: &Scene, stop_reason: StopReason) -> Floor {
        let median_floor = |runs: &[Vec<Duration>]| {
            let floors: Vec<_> = runs.iter().map(|times| scene.floor(Some(times), stop_reason)).collect();
            (!floors.is_empty()).then(|| median(floors))
        };
        let lookups = median_floor(&self.lookups).unwrap_or_else(|| scene.floor(None, stop_reason));
        Floor { stop_reason, lookups, syns: median_floor(&self.syns) }
    }
}

pub(crate) struct Plan<'a> {
    pub(crate) runs: usize,
    /// The ports that the lab serves itself; none if nginx does.
    pub(crate) accept: &'a [u16],
    /// The cache of this library, or a certificate authority for librepo.
    pub(crate) file: Option<PathBuf>,
}

/// Runs a client in a new world.
pub(crate) fn measure(scene: &Scene, client: Client, bounds: &LowerBounds, plan: &Plan) -> (Row, Vec<Run>) {
    let world = scene.world(plan.accept);
    let lines = match client {
        Client::Lookups | Client::Syns => scene.hosts(),
        _ => scene.urls(client.scheme(), &world),
    };
    if let (Client::Warm, Some(cache)) = (client, &plan.file) {
        let _ = std::fs::remove_file(cache);
        Client::All.run(&lines, Some(cache));
        assert!(cache.exists(), "the first run writes the cache");
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
    let floor = stop_reason.map(|stop_reason| bounds.floor(scene, stop_reason));
    let row = Row {
        label: scene.label(),
        mirrors: scene.sites.0.len(),
        dead: scene.dead,
        client,
        time: median(runs.iter().map(|run| run.time).collect()),
        cpu: median(runs.iter().map(|run| run.cpu).collect()),
        memory: middle(runs.iter().map(|run| run.memory)),
        error: if client.is_lower_bound() { None } else { error(scene, &runs, |found| found.latency) },
        runs: runs.len(),
        pool: judge(scene, client, &runs),
        syns: each(total.syns - before.syns),
        payload: each((total.payload - before.payload) as usize),
        floor,
        lab: report.error,
    };
    (row, runs)
}

/// The pool of librepo is what it shuffles since 1.19: mirrors nearer than twice the best.
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

/// The median. For an even number of values it is the mean of the middle two.
fn middle(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_by(f64::total_cmp);
    (all[(all.len() - 1) / 2] + all[all.len() / 2]) / 2.0
}
