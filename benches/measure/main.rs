//! Compares this library with the system's librepo in worlds of the lab: time, CPU time, errors,
//! pool, packets, memory. Also how far this library is from the lower bound, how its cost grows
//! with the list, and how exact it stays on a busy machine.
//!
//! `cargo bench --bench measure` takes about five minutes. With `FASTESTMIRROR_RENEW=1` it puts its
//! table into README.md beside it. `cargo test` runs it once, with few mirrors.

mod busy;
mod clients;
mod row;
mod scene;
mod table;

use clients::{Client, Run};
use lab::LabError;
use row::{LowerBounds, Plan, Row};
use scene::{ELSEWHERE, HERE, Scene};
use std::path::Path;
use std::process::ExitCode;
use support::bench_mode::BenchMode;
use support::programs::{Nginx, have, program};

/// The ports that the lab serves itself, unless nginx does.
const PORTS: [u16; 2] = [80, 443];

fn main() -> ExitCode {
    let mode = BenchMode::of("measure");
    let full = mode == BenchMode::Full;
    if lab::is_inside() {
        // The process outside reports the result.
        return lab::run(|| bench(full)).expect("the lab is here");
    }
    mode.run(|| {
        clients::build();
        match lab::run(|| bench(full)) {
            Ok(status) => status,
            Err(why) => {
                lab::skip(&why.to_string());
                ExitCode::SUCCESS
            }
        }
    })
}

fn bench(full: bool) {
    let scratch = tempfile::tempdir().expect("a directory");
    let bench = Bench { full, scratch: scratch.path() };
    let mut table = table::Table::default();
    let sizes: &[usize] = if full { &[12, 30, 120, 421] } else { &[12] };
    for &size in sizes {
        for &dead in if full { &[0, 5][..] } else { &[5] } {
            table.beside_librepo.extend(bench.beside_librepo(&Scene::new(HERE, size, dead, true)));
        }
    }
    let names: &[usize] = if full { &[100, 421, 2000] } else { &[] };
    let addresses: &[usize] = if full { &[100, 421, 2000, 10_000] } else { &[100] };
    for (sizes, names) in [(names, true), (addresses, false)] {
        table
            .growth
            .extend(sizes.iter().flat_map(|&size| bench.growth(&Scene::new(ELSEWHERE, size, 0, names))));
    }
    if full {
        table.growth.extend(bench.growth(&Scene::new(HERE, 421, 0, true).with_slow_name_server()));
    }
    let (size, runs) = if full { (421, 5) } else { (12, 1) };
    table.busy = Some(busy::measure(&Scene::new(HERE, size, 0, true), runs));
    let text = table.markdown();
    if full {
        println!("\n{text}");
    }
    if full && std::env::var_os("FASTESTMIRROR_RENEW").is_some() {
        table::renew_readme(&text);
    }
}

/// If the lab could not keep up, measures again in another world, up to three times in all.
fn repeat_while_lab_is_late<T>(again: bool, measure: impl Fn() -> T, lab: impl Fn(&T) -> &LabError) -> T {
    let mut measured = measure();
    for _ in 1..if again { 3 } else { 1 } {
        if !lab(&measured).could_not_keep_up() {
            break;
        }
        measured = measure();
    }
    measured
}

struct Bench<'a> {
    full: bool,
    scratch: &'a Path,
}

impl Bench<'_> {
    fn beside_librepo(&self, scene: &Scene) -> Vec<Row> {
        let (mut rows, bounds) = self.lower_bounds(scene);
        let ours = [Client::Defaults, Client::All, Client::Warm];
        rows.extend(ours.map(|client| self.row(scene, client, &bounds)));
        // Without TLS servers librepo cannot be measured.
        let servers =
            have("nginx", program("nginx").arg("-v")) && have("openssl", program("openssl").arg("version"));
        if clients::has_librepo() && servers {
            let scratch = self.scratch.join("nginx");
            std::fs::create_dir_all(scratch.join("files")).expect("a directory");
            let _nginx = Nginx::start(&scratch);
            let plan = Plan { runs: self.runs(3), accept: &[], file: Some(scratch.join("ca.pem")) };
            for client in [Client::LibrepoHttp, Client::LibrepoHttps] {
                rows.push(self.shown(|| row::measure(scene, client, &bounds, &plan)).0);
            }
        }
        rows
    }

    fn growth(&self, scene: &Scene) -> Vec<Row> {
        let (mut rows, bounds) = if scene.names { self.lower_bounds(scene) } else { Default::default() };
        rows.push(self.row(scene, Client::Defaults, &bounds));
        rows
    }

    /// The lower bounds: lookups alone, and with SYNs if all of these may be under way at the same
    /// time.
    fn lower_bounds(&self, scene: &Scene) -> (Vec<Row>, LowerBounds) {
        let plan = Plan { runs: self.runs(7), accept: &PORTS, file: None };
        let mut rows = Vec::new();
        let mut times = |client| {
            let (row, runs) = self.shown(|| row::measure(scene, client, &LowerBounds::default(), &plan));
            rows.push(row);
            let times = |run: &Run| run.found.iter().filter_map(|found| found.latency).collect();
            runs.iter().map(times).collect()
        };
        let lookups = times(Client::Lookups);
        let syns = if scene.sites.0.len() <= 500 { times(Client::Syns) } else { Vec::new() };
        (rows, LowerBounds { lookups, syns })
    }

    fn row(&self, scene: &Scene, client: Client, bounds: &LowerBounds) -> Row {
        let cache = (client == Client::Warm).then(|| self.scratch.join("cache"));
        let plan = Plan { runs: self.runs(7), accept: &PORTS, file: cache };
        self.shown(|| row::measure(scene, client, bounds, &plan)).0
    }

    fn shown(&self, measure: impl Fn() -> (Row, Vec<Run>)) -> (Row, Vec<Run>) {
        let measured = repeat_while_lab_is_late(self.full, measure, |(row, _)| &row.lab);
        table::show(&measured.0);
        measured
    }

    fn runs(&self, many: usize) -> usize {
        if self.full { many } else { 1 }
    }
}
