//! One client in one world: its runs, and what they come to.

use super::clients::{Client, Found, Run};
use super::lab::{LabError, percentile};
use super::scene::{Ended, Scene};
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
    /// Of all whom it took for near, how many were; of all who were, how many it took for near. None: it took nobody.
    pub(crate) precision: Option<f64>,
    pub(crate) recall: f64,
    /// In a run.
    pub(crate) syns: f64,
    pub(crate) payload: f64,
    pub(crate) floor: Option<Floor>,
    pub(crate) lab: LabError,
}

/// The earliest a run that ended so could end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) ended: Ended,
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
    fn floor(&self, scene: &Scene, ended: Ended) -> Floor {
        let lowest = |runs: &[Vec<Duration>]| {
            let floors: Vec<_> = runs.iter().map(|times| scene.floor(Some(times), ended)).collect();
            (!floors.is_empty()).then(|| median(floors))
        };
        let look_ups = lowest(&self.look_ups).unwrap_or_else(|| scene.floor(None, ended));
        Floor { ended, look_ups, syns: lowest(&self.syns) }
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

    let (precision, recall) = judge(scene, client, &runs);
    let ended = runs.last().and_then(|run| run.ended).and_then(Ended::from_number);
    let floor = ended.map(|ended| bare.floor(scene, ended));
    let row = Row {
        label: scene.label(),
        mirrors: scene.sites.0.len(),
        dead: scene.dead,
        client,
        time: median(runs.iter().map(|run| run.time).collect()),
        processor: median(runs.iter().map(|run| run.processor).collect()),
        memory: median(runs.iter().map(|run| run.memory).collect()),
        error: if client.is_bare() { None } else { error(scene, &runs, |found| found.latency) },
        precision,
        recall,
        syns: each(total.syns - before.syns),
        payload: each((total.payload - before.payload) as usize),
        floor,
        lab: report.error,
    };
    (row, runs)
}

/// Precision (none: it took nobody) and recall of the pool in the median run: the lab may stall in one, and then a dozen mirrors
/// are late together. librepo's pool is what it would shuffle since 1.19: nearer than twice the best.
fn judge(scene: &Scene, client: Client, runs: &[Run]) -> (Option<f64>, f64) {
    let truth = scene.pool();
    let near = truth.iter().filter(|near| **near).count() as f64;
    let (mut precisions, mut recalls) = (Vec::new(), Vec::new());
    for run in runs {
        let best = run.found.iter().filter_map(|found| found.latency).min();
        let in_pool = |found: &Found| match client.is_librepo() {
            true => found.latency.zip(best).is_some_and(|(latency, best)| latency < best * 2),
            false => found.more > 0.0,
        };
        let taken = || run.found.iter().zip(&truth).filter(|(found, _)| in_pool(found));
        let right = taken().filter(|(_, near)| **near).count() as f64;
        precisions.extend((taken().count() > 0).then(|| right / taken().count() as f64));
        recalls.push(right / near);
    }
    ((!precisions.is_empty()).then(|| median(precisions)), median(recalls))
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

fn median<T: Copy + Default + PartialOrd>(mut all: Vec<T>) -> T {
    all.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    percentile(&all, 0.5)
}
