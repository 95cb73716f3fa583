//! Ranks 100,000 times in one process, half of them with a name lookup that hangs and with a cache,
//! and fails if memory, descriptors or threads grow: `cargo bench --bench soak` takes some minutes
//! and prints a table. `cargo test` runs it with 1,000 rankings.
//!
//! The lab has the mirrors and the name server. The process that ranks is another one, so that what
//! is counted is the library's alone; the environment variable [`CLIENT`] makes this program that
//! process.

use fastestmirror::{Outcome, Ranker, Ranking, StopReason};
use lab::{Lookup, Mirror, Spec, World, answer, ms, refuse};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use support::bench_mode::BenchMode;

/// Set for the client: how many rankings.
const CLIENT: &str = "FASTESTMIRROR_SOAK_RANKINGS";

/// When the process is looked at, in percent of all rankings.
const CHECKPOINTS: [usize; 4] = [1, 10, 50, 100];

/// How many threads of lookups that hang a process may have: twice as many as a run uses.
const MOST_WORKERS: usize = 160;
/// How many descriptors the system's resolver uses for a lookup.
const PER_LOOKUP: usize = 3;
/// How many descriptors a run with our few mirrors may have beside those of lookups.
const PER_RUN: usize = 16;
/// How much memory may differ from one checkpoint to the next in KiB, because the allocator keeps
/// more or less of it.
const MEMORY: usize = 2048;

/// The timeout of a ranking whose lookup hangs: shorter than what makes a lookup be remembered as
/// one that hangs, so that the next ranking looks the name up again.
const TIMEOUT: f64 = 2.0;
/// How long a slow lookup takes. At some hundred rankings a second, all of them together need fewer
/// threads than [`MOST_WORKERS`].
const SLOW: f64 = 200.0;
/// How many names are slow to look up. Many, since each is remembered from the first time that its
/// answer is there before a late process looks.
const SLOW_NAMES: usize = 2_000;
/// How many names the name server never answers, so that the resolver gives up after two seconds.
const MUTE_NAMES: usize = 64;
/// The mirrors, which clients know by their addresses. Several, so that no address runs out of
/// ports.
const MIRRORS: usize = 16;

fn main() -> ExitCode {
    if let Ok(rankings) = std::env::var(CLIENT) {
        client(rankings.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let mode = BenchMode::of("soak");
    let rankings = if mode == BenchMode::Full { 100_000 } else { 1_000 };
    if lab::is_inside() {
        // The process outside reports the result.
        return lab::run(|| soak(rankings)).expect("the lab is here");
    }
    mode.run(|| match lab::run(|| soak(rankings)) {
        Ok(status) => status,
        Err(why) => {
            lab::skip(&why.to_string());
            ExitCode::SUCCESS
        }
    })
}

fn near(n: usize) -> String {
    format!("near{n}.lab.example")
}

fn slow(n: usize) -> String {
    format!("slow{n}.lab.example")
}

fn soak(rankings: usize) {
    let mirrors = (0..MIRRORS).flat_map(|n| {
        let far = Mirror::new(&format!("far{n}.lab.example")).ipv4(answer(ms(0.8)));
        let refusing = Mirror::new(&format!("refusing{n}.lab.example")).ipv4(refuse(ms(0.3)));
        [Mirror::new(&near(n)).ipv4(answer(ms(0.3))), far, refusing]
    });
    let slow = Mirror::new("slow.lab.example").aliases((0..SLOW_NAMES).map(slow));
    let slow = slow.lookup(Lookup::NxDomain).lookup_delay(ms(SLOW));
    let mute = (0..MUTE_NAMES).map(|n| Mirror::new(&format!("mute{n}.lab.example")).lookup(Lookup::Silent));
    let world = World::start(Spec::new().mirrors(mirrors.chain([slow]).chain(mute))).expect("a world");

    let scratch = tempfile::tempdir().expect("a directory");
    let addresses = (0..MIRRORS).flat_map(|n| {
        ["near", "far", "refusing"].map(|kind| world.ipv4(&format!("{kind}{n}.lab.example")).to_string())
    });
    let mut client = Command::new(std::env::current_exe().expect("the path of this program"));
    client.env(CLIENT, rankings.to_string()).arg(scratch.path().join("cache")).args(addresses);
    let status = client.status().expect("this program starts");
    assert!(status.success(), "the process that ranks: {status}");
}

/// What the process has at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    /// Resident, in KiB.
    memory: usize,
    descriptors: usize,
    threads: usize,
}

impl Usage {
    fn now() -> Usage {
        // The sum of the kernel's counters; those in /proc/self/statm may be off by some pages.
        let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("the memory of this process");
        let resident = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).expect("resident memory");
        let memory = resident.trim_end_matches("kB").trim().parse().expect("a number");
        Usage { memory, ..Usage::counts() }
    }

    fn counts() -> Usage {
        let entries = |path| fs::read_dir(path).expect("a directory of /proc").count();
        // One descriptor is that of the directory.
        Usage { memory: 0, descriptors: entries("/proc/self/fd") - 1, threads: entries("/proc/self/task") }
    }

    fn raise(&mut self, other: Usage) {
        self.memory = self.memory.max(other.memory);
        self.descriptors = self.descriptors.max(other.descriptors);
        self.threads = self.threads.max(other.threads);
    }
}

/// How the rankings with hanging lookups went.
#[derive(Debug, Default)]
struct Hanging {
    rankings: usize,
    /// Those that waited for the lookup until the timeout.
    waited: usize,
    /// Those in which no thread was left for lookups.
    without: usize,
}

fn client(rankings: usize) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (cache, addresses) = arguments.split_first().expect("a cache and addresses");
    let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}/pub/")).collect();
    let (cache, begin) = (Path::new(cache), Instant::now());
    // What the system's resolver needs, and what the allocator keeps for so many threads, is not
    // growth.
    hanging(600, cache, &urls);
    hanging(602, cache, &urls);
    rest(1);
    let first = Usage::now();
    let mut kept = Ranker::new();
    let (mut most, mut earlier, mut hung) = (first, None, Hanging::default());
    println!("| rankings | time | memory | descriptors: now, most | threads: now, most |");
    println!("|--:|--:|--:|--:|--:|");
    for n in 1..=rankings {
        if n % 2 == 0 {
            let ranking = hanging(n, cache, &urls);
            hung.rankings += 1;
            hung.waited += usize::from(ranking.stop_reason == StopReason::Timeout);
            let is_without = |warning: &String| warning.contains("could not be looked up");
            hung.without += usize::from(ranking.warnings.iter().any(is_without));
        } else {
            plain(n, &mut kept, &urls);
        }
        most.raise(Usage::counts());
        if !CHECKPOINTS.iter().any(|percent| n * 100 == rankings * percent) {
            continue;
        }
        let now = Usage::now();
        print_row(&n.to_string(), begin.elapsed(), now, most);
        assert!(
            most.threads <= 1 + MOST_WORKERS,
            "{} threads, although only {MOST_WORKERS} may look names up",
            most.threads
        );
        let descriptors = first.descriptors + MOST_WORKERS * PER_LOOKUP + PER_RUN;
        assert!(most.descriptors <= descriptors, "{} descriptors of {descriptors}", most.descriptors);
        // Until the first tenth, memory grows to what the threads and the allocator need.
        if n * 10 >= rankings {
            let before = *earlier.get_or_insert(now.memory);
            assert!(now.memory <= before + MEMORY, "memory grew from {before} to {} KiB", now.memory);
        }
        most = Usage::default();
    }
    rest(1);
    let end = Usage::now();
    print_row("at rest", begin.elapsed(), end, end);
    println!(
        "\nOf {} rankings with a hanging lookup, {} waited for it, and {} found no thread left for lookups.",
        hung.rankings, hung.waited, hung.without
    );
    assert_eq!(end.descriptors, first.descriptors, "descriptors are left behind");
    assert!(hung.waited * 2 > hung.rankings, "most lookups did not hang: {hung:?}");
}

fn print_row(rankings: &str, time: Duration, now: Usage, most: Usage) {
    println!(
        "| {rankings} | {:.0} s | {:.1} MiB | {}, {} | {}, {} |",
        time.as_secs_f64(),
        now.memory as f64 / 1024.0,
        now.descriptors,
        most.descriptors,
        now.threads,
        most.threads
    );
}

/// Waits until no more threads than these are left: until all lookups have returned.
fn rest(threads: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Usage::counts().threads > threads {
        assert!(Instant::now() < deadline, "{} threads are left behind", Usage::counts().threads);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A ranking with nothing but addresses, by a ranker that is used again and again.
fn plain(n: usize, ranker: &mut Ranker, urls: &[String]) {
    let urls = of_three(n, urls);
    let ranking = ranker.rank(urls).expect("a ranking");
    assert_eq!(ranking.mirrors.len(), urls.len());
    let nearest = &ranking.mirrors[0];
    assert!(nearest.pool && matches!(nearest.outcome, Outcome::Measured(_)), "{nearest:?}");
    // On a busy machine measuring may stop before the refusal is there.
    let last = &ranking.mirrors[urls.len() - 1];
    assert!(matches!(last.outcome, Outcome::Refused | Outcome::Unanswered), "{last:?}");
}

/// A ranking with a cache and with a name whose lookup hangs, by a new ranker. Each tenth asks the
/// remembered mirrors again, and has a name that is never answered. Now and then two in a row have
/// as many of these as there may be threads.
fn hanging(n: usize, cache: &Path, urls: &[String]) -> Ranking {
    let mut urls = of_three(n, urls).to_vec();
    urls.push(format!("http://{}/pub/", slow(n / 2 % SLOW_NAMES)));
    let (is_tenth, has_many) = (n % 20 == 10, matches!(n % 10_000, 600 | 602));
    if is_tenth {
        urls.push(format!("http://mute{}.lab.example/pub/", n / 2 % MUTE_NAMES));
    }
    if has_many {
        urls.extend((0..MUTE_NAMES).map(|mute| format!("http://mute{mute}.lab.example/pub/")));
    }
    let mut ranker = Ranker::new();
    // All threads have to begin their lookups.
    let timeout = if has_many { 20.0 * TIMEOUT } else { TIMEOUT };
    ranker.cache(Some(cache)).timeout(ms(timeout)).expect("a timeout");
    if is_tenth {
        ranker.check_after(Duration::ZERO);
    }
    let ranking = ranker.rank(&urls).expect("a ranking");
    assert_eq!(ranking.mirrors.len(), urls.len());
    ranking
}

/// The near, the far and the refusing mirror of this ranking.
fn of_three(n: usize, urls: &[String]) -> &[String] {
    let first = n / 2 % MIRRORS * 3;
    &urls[first..first + 3]
}
