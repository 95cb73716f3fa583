//! What long lists cost, in the lab: time, CPU time, memory, allocations, descriptors, system
//! calls.
//!
//! The library runs in a process of its own beside the world, so that the cost of the lab is not
//! counted. This program is both; the environment variable [`CLIENT`] makes it the client.

use fastestmirror::*;
use lab::{Fate, Lookup, Mirror, Names, Spec, World, answer, figure, ms};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use support::build::run;
use support::programs;

/// The environment variable with the path of the client's list of URLs.
const CLIENT: &str = "FASTESTMIRROR_SCALE_CLIENT";
/// Set if the client has to measure all mirrors.
const ALL: &str = "FASTESTMIRROR_SCALE_ALL";
/// Set if the client's system calls are counted: it makes none of its own while it measures.
const TRACED: &str = "FASTESTMIRROR_SCALE_TRACED";
/// The usual limit of open files.
const DESCRIPTORS: usize = 1024;

/// Counts what the client allocates.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Relaxed);
    PEAK.fetch_max(LIVE.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: the system's allocator, with counters beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new block may exist at the same time.
        grow(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The CPU time of this process.
fn cpu_time() -> Duration {
    // SAFETY: plain data, filled in by the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn limit_descriptors() {
    let most = DESCRIPTORS as libc::rlim_t;
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: reads the structure it is given.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

/// The number of open descriptors, without the one that this function opens.
fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("a directory of descriptors").count() - 1
}

/// The client: one run with the defaults over the URLs of a file. Prints a line for each result. As
/// a test it does nothing.
#[test]
fn client() {
    let Some(list) = std::env::var_os(CLIENT) else { return };
    limit_descriptors();
    let urls = fs::read_to_string(list).expect("a list");
    let urls: Vec<&str> = urls.lines().collect();
    let mut ranker = Ranker::new();
    ranker.max_endpoints(urls.len());
    if std::env::var_os(ALL).is_some() {
        ranker.fallbacks(Ranker::ALL);
    }
    static MOST_OPEN: AtomicUsize = AtomicUsize::new(0);
    static COUNTING_COST: AtomicUsize = AtomicUsize::new(0);
    let (before, mut calls) = (open_descriptors(), 0);
    let is_traced = std::env::var_os(TRACED).is_some();
    ranker.observer(move |event| {
        if !matches!(event, Event::Progress(_)) {
            return;
        }
        // Counted only now and then, and without the allocations that counting makes.
        if calls % 64 == 0 && !is_traced {
            let allocations = ALLOCATIONS.load(Relaxed);
            MOST_OPEN.fetch_max(open_descriptors() - before, Relaxed);
            COUNTING_COST.fetch_add(ALLOCATIONS.load(Relaxed) - allocations, Relaxed);
        }
        calls += 1;
    });
    let before = (ALLOCATIONS.load(Relaxed), LIVE.load(Relaxed), cpu_time());
    PEAK.store(before.1, Relaxed);
    let ranking = ranker.rank(urls.iter().copied()).expect("a ranking");
    let allocations = ALLOCATIONS.load(Relaxed) - before.0 - COUNTING_COST.load(Relaxed);
    let (bytes, cpu) = (PEAK.load(Relaxed) - before.1, cpu_time() - before.2);
    let pool: Vec<_> =
        ranking.mirrors.iter().filter(|mirror| mirror.pool).map(|mirror| mirror.index.to_string()).collect();
    // The harness has printed the beginning of a line.
    println!("\nstop_reason={:?}", ranking.stop_reason);
    println!("microseconds={}", ranking.elapsed.as_micros());
    println!("cpu={}", cpu.as_micros());
    println!("allocations={allocations}");
    println!("bytes={bytes}");
    println!("open={}", MOST_OPEN.load(Relaxed));
    println!("pool={}", pool.join(" "));
}

/// The results that a client has printed.
struct Results(HashMap<String, String>);

impl Results {
    /// Runs a client over a list. `wrapper` is a command to run it with.
    fn of_client(list: &Path, wrapper: &[&str]) -> Results {
        let own = std::env::current_exe().expect("a path").display().to_string();
        let client = [&own, "client", "--exact", "--nocapture", "--test-threads=1"];
        let words: Vec<&str> = wrapper.iter().copied().chain(client).collect();
        let output = run(programs::program(words[0]).args(&words[1..]).env(CLIENT, list));
        let pairs = output.lines().filter_map(|line| line.split_once('='));
        Results(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    fn number(&self, key: &str) -> f64 {
        self.0[key].parse().unwrap_or_else(|_| panic!("{key} is {:?}", self.0[key]))
    }

    fn pool(&self) -> HashSet<usize> {
        self.0["pool"].split_whitespace().map(|index| index.parse().expect("a number")).collect()
    }
}

/// A world of many mirrors: eight near ones, spread over the list, some dead ones, and far ones.
struct LongList {
    world: World,
    urls: Vec<String>,
    near: HashSet<usize>,
}

impl LongList {
    fn start(count: usize, named: bool) -> LongList {
        let near: HashSet<usize> = (0..8).map(|n| count / 16 + n * (count / 8)).collect();
        let mirror = |n: usize| {
            let mirror = Mirror::new(&format!("m{n}.lab.example"));
            let fate = match n {
                n if near.contains(&n) => answer(ms(20 + n as u32 % 9)).into(),
                n if n % 50 == 7 => Fate::Silent,
                n => answer(ms(60 + n as u32 * 97 % 240)).into(),
            };
            if named { mirror.both(fate) } else { mirror.ipv4(fate) }
        };
        let spec = Spec::new().mirrors((0..count).map(mirror));
        let spec = if named { spec } else { spec.names(Names::Untouched) };
        let world = World::start(spec).expect("a world");
        let url = |mirror: &Mirror| match named {
            true => format!("http://{}/", mirror.name),
            false => format!("http://{}/", world.ipv4(&mirror.name)),
        };
        let urls = world.spec().mirrors.iter().map(url).collect();
        LongList { world, urls, near }
    }

    /// Writes a list of the first `count` URLs.
    fn write(&self, path: &Path, count: usize) {
        fs::write(path, self.urls[..count].join("\n")).expect("a writable directory");
    }
}

/// The fastest of some runs of the client that find the right pool.
fn best_run(count: usize, named: bool) -> Results {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("list");
    let long = LongList::start(count, named);
    long.write(&list, count);
    let run = || {
        let results = Results::of_client(&list, &[]);
        // These hold for every run, however busy the machine is.
        let bytes = results.number("bytes") / count as f64;
        assert!(bytes < 1280.0, "{bytes} bytes for each of {count} mirrors");
        assert!(results.number("open") <= (DESCRIPTORS / 2) as f64, "{} descriptors", results.number("open"));
        // The timeout, and some room.
        assert!(results.number("microseconds") < 3e6, "{} µs", results.number("microseconds"));
        results
    };
    let mut right: Vec<Results> = Vec::new();
    for attempt in 1..=8 {
        right.extend(Some(run()).filter(|results| results.pool() == long.near));
        if attempt >= 3 && !right.is_empty() {
            break;
        }
    }
    let time = |results: &Results| results.number("microseconds");
    let fastest = right.into_iter().min_by(|a, b| time(a).total_cmp(&time(b)));
    let results = fastest.unwrap_or_else(|| {
        let lab = long.world.report().error;
        assert!(lab.could_not_keep_up(), "the near ones of {count} are wrong eight times: {lab}");
        figure(&format!("{count}: the near ones are wrong eight times: {lab}"));
        run()
    });
    figure(&format!(
        "{count} {}: {} after {:.0} ms, CPU time {:.1} ms, {:.1} allocations and {:.0} bytes for each, at most {} descriptors",
        if named { "names" } else { "addresses" },
        results.0["stop_reason"],
        results.number("microseconds") / 1e3,
        results.number("cpu") / 1e3,
        results.number("allocations") / count as f64,
        results.number("bytes") / count as f64,
        results.number("open"),
    ));
    results
}

#[test]
fn cost_per_address_does_not_grow_with_the_list() {
    lab::isolated!(|| {
        let runs = [100, 421, 2000, 10_000].map(|count| (count as f64, best_run(count, false)));
        for (count, results) in &runs {
            let each = results.number("allocations") / count;
            assert!(each < 3.0, "{each} allocations for each of {count}");
        }
        let cpu = |(count, results): &(f64, Results)| results.number("cpu") / count;
        assert!(cpu(&runs[3]) < 5.0 * cpu(&runs[1]), "{} and {} µs each", cpu(&runs[3]), cpu(&runs[1]));
    });
}

#[test]
fn two_thousand_names_are_measured_in_time() {
    lab::isolated!(|| {
        for count in [100, 421, 2000] {
            let allocations = best_run(count, true).number("allocations");
            // Each of the 64 threads has some allocations, too.
            assert!(allocations < 7.5 * count as f64 + 640.0, "{allocations} allocations for {count}");
        }
    });
}

#[test]
fn mirror_costs_about_seven_system_calls() {
    if !programs::have("strace", Command::new("strace").arg("-V")) {
        return;
    }
    lab::isolated!(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let (list, counts) = (directory.path().join("list"), directory.path().join("counts"));
        let long = LongList::start(2000, false);
        let calls = |count: usize, all: &[&str]| {
            long.write(&list, count);
            let counts = counts.display().to_string();
            Results::of_client(&list, &[all, &["strace", "-f", "-c", "-o", &counts]].concat());
            let table = fs::read_to_string(counts).expect("a table");
            let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let count = |row: &Vec<&str>| row.get(3).and_then(|count| count.parse::<f64>().ok());
            // With debug assertions the standard library checks each descriptor with fcntl before
            // it closes it.
            let counted =
                rows.filter(|row| !["total", "fcntl", "fcntl64"].contains(row.last().unwrap_or(&"total")));
            counted.filter_map(|row| count(&row)).sum::<f64>()
        };
        let (traced, all) = (format!("{TRACED}=1"), format!("{ALL}=1"));
        for (what, all) in
            [("at the defaults", vec!["env", &traced]), ("if all are measured", vec!["env", &traced, &all])]
        {
            // The cost of a run with one mirror is that of the process.
            let alone = calls(1, &all);
            for count in [421, 2000] {
                // A late process waits more often, but not every time.
                let mut each = f64::INFINITY;
                for _ in 0..3 {
                    each = each.min((calls(count, &all) - alone) / count as f64);
                    if each <= 7.5 {
                        break;
                    }
                }
                figure(&format!("{count} addresses {what}: {each:.2} system calls for each"));
                assert!(each <= 7.5, "{each} system calls for each of {count} mirrors {what}");
            }
        }
    });
}

#[test]
fn three_mute_name_servers_leave_half_of_the_descriptors_free() {
    lab::isolated!(|| {
        let hung =
            |n| Mirror::new(&format!("hung{n}.lab.example")).both(answer(ms(1))).lookup(Lookup::Silent);
        let world = World::start(Spec::new().mirrors((0..70).map(hung))).expect("a world");
        let server = fs::read_to_string("/etc/resolv.conf").unwrap();
        let server = server.lines().find(|line| line.starts_with("nameserver")).unwrap();
        // The resolver keeps a socket for each, and asks one after the other.
        let servers = format!("{server}\n{server}\n{server}\noptions timeout:1\n");
        fs::write("/etc/resolv.conf", servers).unwrap();
        limit_descriptors();
        let mut urls: Vec<String> =
            world.spec().mirrors.iter().map(|mirror| format!("http://{}/", mirror.name)).collect();
        let loopback = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        urls.extend((0..30).map(|n| format!("http://{}/{n}", loopback.local_addr().unwrap())));
        std::thread::spawn(move || loopback.incoming().for_each(drop));
        let before = open_descriptors();
        let mut most = 0;
        let mut is_refused = false;
        for _ in 0..200 {
            let ranking = Ranker::new().timeout(ms(30)).unwrap().rank(&urls).unwrap();
            assert_eq!(ranking.mirrors.len(), 100);
            assert!(ranking.mirrors[0].url.contains("127.0.0.1"), "{:?}", ranking.mirrors[0]);
            is_refused |= ranking.warnings.iter().any(|warning| {
                warning.starts_with("70 names could not be looked up: ")
                    && warning.ends_with(" lookups of this process have not returned yet")
            });
            most = most.max(open_descriptors() - before);
        }
        lab::figure(&format!(
            "after each of 200 runs with hung lookups at most {most} of {DESCRIPTORS} descriptors"
        ));
        assert!(most <= DESCRIPTORS / 2, "{most} descriptors");
        assert!(is_refused, "no run had to do without lookups");
    });
}
