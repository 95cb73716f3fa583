//! What the library costs apart from measuring: the rule, URLs, the list with its table of hosts,
//! the cache file; beside a plain sort of the same latencies, which no rule can do without.
//!
//! `cargo bench --bench rank` prints criterion's results, and after them the best time per mirror.

use criterion::{Criterion, Throughput};
use fastestmirror::internals::bench::{Filters, Mirrors, parse, read_cache, write_cache};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use support::bench_mode::BenchMode;

fn main() -> ExitCode {
    let mode = BenchMode::of("rank");
    mode.run(|| {
        bench(mode == BenchMode::Full);
        ExitCode::SUCCESS
    })
}

fn bench(full: bool) {
    let mut bench = if full { Bench::new() } else { Bench::default() };
    for &size in if full { &[10, 100, 421, 10_000, 100_000][..] } else { &[10, 421] } {
        let (urls, latencies) = list(size);
        let (equal, filters) = (|_| 1.0, Filters::default());
        let mirrors = Mirrors::read(&urls, &latencies, equal, &filters);
        bench.time("sort alone", size, || sort(&latencies));
        bench.time("rule", size, || assert_eq!(mirrors.rank(7).len(), size));

        let weighted = Mirrors::read(&urls, &latencies, |index| 1.0 + (index % 100) as f64, &filters);
        bench.time("rule, weighted", size, || weighted.rank(7));

        bench.time("URLs", size, || assert_eq!(parse(&urls), size));
        bench.time("list", size, || Mirrors::read(&urls, &latencies, equal, &filters));
        let filters = Filters::new(&["*.m7.example", ".ru", "mirror1*"], &[".edu"]);
        bench.time("list, filtered", size, || Mirrors::read(&urls, &latencies, equal, &filters));
    }
    for &size in if full { &[421, 10_000][..] } else { &[421] } {
        let (urls, latencies) = list(size);
        let mirrors = Mirrors::read(&urls, &latencies, |_| 1.0, &Filters::default());
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("cache");
        write_cache(&path, &mirrors);
        bench.time("cache, read", size, || assert_eq!(read_cache(&path, &mirrors), size));
        bench.time("cache, renew all", size, || write_cache(&path, &mirrors));
    }
    bench.print();
}

/// URLs with realistic host names, and latencies from 2 to 300 ms in no order. About one mirror in
/// a hundred is in the pool.
fn list(size: usize) -> (Vec<String>, Vec<Duration>) {
    let url = |index| format!("https://mirror{index}.m{}.example/pub/linux/updates/", index % 97);
    // The fractional parts of the multiples of the golden ratio are evenly spread.
    let spread = |index| (index as f64 * 0.618_033_988_749_895).fract();
    let latency = |index| Duration::from_secs_f64(0.002 * 150f64.powf(spread(index)));
    ((0..size).map(url).collect(), (0..size).map(latency).collect())
}

fn sort(latencies: &[Duration]) -> Vec<usize> {
    let mut keyed: Vec<_> = latencies.iter().zip(0usize..).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, index)| index).collect()
}

/// Times routines with criterion, or only runs each once.
#[derive(Default)]
struct Bench {
    criterion: Option<Criterion>,
    /// The name, the number of mirrors, and the best time of each: for a summary that criterion
    /// does not print.
    timed: Vec<(&'static str, usize, Duration)>,
}

impl Bench {
    fn new() -> Bench {
        let criterion = Criterion::default()
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(1))
            .sample_size(20)
            .without_plots()
            .configure_from_args();
        Bench { criterion: Some(criterion), timed: Vec::new() }
    }

    fn time<R>(&mut self, name: &'static str, size: usize, mut routine: impl FnMut() -> R) {
        let Some(criterion) = &mut self.criterion else { return drop(routine()) };
        let mut best = Duration::MAX;
        let mut group = criterion.benchmark_group(format!("{size} mirrors"));
        group.throughput(Throughput::Elements(size as u64)).bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let start = Instant::now();
                for _ in 0..iterations {
                    black_box(routine());
                }
                let elapsed = start.elapsed();
                best = best.min(elapsed.div_f64(iterations as f64));
                elapsed
            })
        });
        // A filter on the command line may have excluded it.
        if best < Duration::MAX {
            self.timed.push((name, size, best));
        }
    }

    fn print(&mut self) {
        let Some(criterion) = &mut self.criterion else { return };
        criterion.final_summary();
        println!("\n{:>8}  {:<17} {:>12} {:>13}  beside the sort", "mirrors", "what", "in all", "per mirror");
        for (name, size, time) in &self.timed {
            let sort = self.timed.iter().find(|(other, count, _)| (*other, count) == ("sort alone", size));
            let times = |sort: &Duration| format!("{:.1} x", time.as_secs_f64() / sort.as_secs_f64());
            println!(
                "{size:>8}  {name:<17} {:>9.1} us {:>10.1} ns  {}",
                time.as_secs_f64() * 1e6,
                time.as_secs_f64() * 1e9 / *size as f64,
                sort.map(|(_, _, sort)| times(sort)).unwrap_or_default(),
            );
        }
    }
}
