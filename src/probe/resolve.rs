//! Names to addresses, on worker threads, because the system's resolver blocks and may hang.
//!
//! The names are looked up in the order given. When the run is over, idle workers are joined, and a
//! worker whose lookup hangs is left behind: it owns all that it touches, and ends with its lookup.
#![forbid(unsafe_code)]

use super::schedule::Addresses;
use crate::fault;
use crate::panic;
use crate::sys::{self, NotFound, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread::{self, Builder, JoinHandle};

/// The stack of a worker. Only what a lookup touches takes memory; name service modules need more
/// than libc does.
const STACK: usize = 1024 * 1024;

/// How many workers a run gets at least, however many lookups of other runs hang.
const LEAST: usize = 8;

/// The name of a worker thread.
const THREAD_NAME: &str = "mirror-lookup";

/// The system's lookup, or a test's.
pub(super) type Lookup = dyn Fn(&str) -> LookupResult + Send + Sync;

/// The addresses of a name that are worth trying, or why there are none.
pub(super) type LookupResult = Result<Addresses, NotFound>;

/// A finished lookup: the position of the name, and what was found, or the panic that ended it.
pub(super) type Resolved = (usize, thread::Result<LookupResult>);

/// The lookups of one run.
pub(super) struct Resolver {
    work: Arc<Work>,
    finished: mpsc::Receiver<Resolved>,
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    /// Whether it is in a lookup, so that joining it could take forever.
    busy: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What the workers and the run share.
struct Work {
    names: Vec<String>,
    next: AtomicUsize,
    /// Whether the run is over.
    over: AtomicBool,
    /// Whether the run was woken and has not looked since: it will see what finishes now.
    woken: AtomicBool,
    waker: Waker,
    lookup: Arc<Lookup>,
}

impl Resolver {
    /// Starts to look up `names` with at most `workers` threads; `waker` is woken when some have
    /// finished. There are fewer threads while those of other runs work or hang, so that hung
    /// lookups do not pile up. If no thread can be started, every lookup fails for want of room.
    pub(super) fn start(names: Vec<String>, workers: usize, waker: Waker, lookup: Arc<Lookup>) -> Resolver {
        let (sender, finished) = mpsc::channel();
        let wanted = workers.min(names.len());
        let admitted = wanted.min((2 * workers).saturating_sub(Live::count()).max(LEAST));
        let work = Arc::new(Work {
            names,
            next: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            waker,
            lookup,
        });
        let workers: Vec<_> = sys::with_signals_blocked(|| {
            let start = |_| Worker::start(work.clone(), sender.clone()).ok();
            // The first worker may have looked up all names before the last is started.
            (0..admitted).take_while(|_| work.has_names()).map_while(start).collect()
        });
        if workers.is_empty() && wanted > 0 {
            (0..work.names.len()).for_each(|name| work.report(&sender, (name, Ok(Err(NotFound::NoRoom)))));
        }
        Resolver { work, finished, workers }
    }

    /// Returns the lookups that have finished since the last call.
    pub(super) fn finished(&self) -> impl Iterator<Item = Resolved> + '_ {
        // In this order: what finishes from now on wakes the run again, even if it is returned here
        // already.
        self.work.woken.store(false, SeqCst);
        self.finished.try_iter()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.work.over.store(true, SeqCst);
        for worker in self.workers.drain(..) {
            // Either the worker is seen to be busy here, or it sees that the run is over before it
            // takes a name.
            if !worker.busy.load(SeqCst) {
                // A worker catches its panics, so the result says nothing.
                let _ = worker.thread.join();
            }
        }
    }
}

impl Worker {
    fn start(work: Arc<Work>, sender: mpsc::Sender<Resolved>) -> std::io::Result<Worker> {
        let busy = Arc::new(AtomicBool::new(false));
        let flag = busy.clone();
        let thread = Builder::new().name(THREAD_NAME.into()).stack_size(STACK).spawn({
            let live = Live::new();
            move || {
                let _live = live;
                panic::silence_this_thread();
                while work.one(&flag, &sender) {}
            }
        })?;
        Ok(Worker { busy, thread })
    }
}

/// Counts one worker of this process for as long as it exists. Hung workers of earlier runs are
/// among them.
struct Live {
    process: u32,
}

/// The process in the upper half, its count in the lower: a forked child inherits the count, but
/// not the threads.
static LIVE: AtomicU64 = AtomicU64::new(0);

impl Live {
    fn count() -> usize {
        let live = LIVE.load(SeqCst);
        if live >> 32 == u64::from(std::process::id()) { live as u32 as usize } else { 0 }
    }

    fn new() -> Live {
        let process = std::process::id();
        let start = u64::from(process) << 32;
        let one_more = |live: u64| Some(if live >> 32 == u64::from(process) { live + 1 } else { start + 1 });
        let _ = LIVE.fetch_update(SeqCst, SeqCst, one_more);
        Live { process }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let one_less = |live: u64| (live >> 32 == u64::from(self.process)).then(|| live - 1);
        let _ = LIVE.fetch_update(SeqCst, SeqCst, one_less);
    }
}

impl Work {
    /// Returns whether there are names that no worker has taken.
    fn has_names(&self) -> bool {
        self.next.load(SeqCst) < self.names.len()
    }

    /// Looks up one name. Returns false if there is none left to take.
    fn one(&self, busy: &AtomicBool, sender: &mpsc::Sender<Resolved>) -> bool {
        busy.store(true, SeqCst);
        let index = self.next.fetch_add(1, SeqCst);
        let name = self.names.get(index).filter(|_| !self.over.load(SeqCst));
        let found = name.map(|name| {
            catch_unwind(AssertUnwindSafe(|| {
                fault::point("lookup");
                (self.lookup)(name)
            }))
        });
        // Before it is reported: a run that ends with this news must join this worker, which holds
        // the run's waker.
        busy.store(false, SeqCst);
        if let Some(addresses) = found {
            self.report(sender, (index, addresses));
        }
        name.is_some()
    }

    fn report(&self, sender: &mpsc::Sender<Resolved>, resolved: Resolved) {
        // When the run is over, it does not receive any more.
        if sender.send(resolved).is_ok() && !self.woken.swap(true, SeqCst) {
            self.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Epoll;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("h{n}.example")).collect()
    }

    fn address() -> LookupResult {
        Ok(Addresses { first: ([192, 0, 2, 1], 0).into(), next: None, other_family: None })
    }

    /// Waits until `count` lookups have finished.
    fn wait_for((resolver, epoll): &(Resolver, Epoll), count: usize) -> Vec<Resolved> {
        let (mut found, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(20));
        while found.len() < count {
            let left = deadline.checked_duration_since(Instant::now());
            let left = left.unwrap_or_else(|| panic!("only {} of {count} lookups came back", found.len()));
            // Never longer than the news take.
            epoll.wait(left, &mut Vec::new()).unwrap();
            found.extend(resolver.finished());
        }
        found
    }

    /// As a run does it: the waker is watched first, and then in the resolver's hands alone.
    fn start(count: usize, workers: usize, lookup: Arc<Lookup>) -> (Resolver, Epoll) {
        let (waker, epoll) = (Waker::new().unwrap(), Epoll::new().unwrap());
        epoll.add_readable(std::os::fd::AsFd::as_fd(&waker), 0).unwrap();
        (Resolver::start(names(count), workers, waker, lookup), epoll)
    }

    #[test]
    fn results_of_finished_workers_are_returned() {
        for _ in 0..200 {
            let run = start(2, 2, Arc::new(|_| address()));
            std::thread::sleep(Duration::from_micros(300));
            wait_for(&run, 2);
        }
    }

    #[test]
    fn names_are_looked_up_once_in_the_order_given() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let run = start(
            500,
            1,
            Arc::new(move |name| {
                log.lock().unwrap().push(name.to_string());
                if name.starts_with("h3") { Err(NotFound::NoAddress) } else { address() }
            }),
        );
        let found = wait_for(&run, 500);
        assert_eq!(*asked.lock().unwrap(), names(500));
        assert!(found.iter().enumerate().all(|(n, (index, _))| n == *index));
        assert!(
            found.iter().all(|(n, list)| list.as_ref().unwrap().is_err() == n.to_string().starts_with('3'))
        );
    }

    #[test]
    fn workers_share_the_names() {
        let run = start(1000, 64, Arc::new(|_| address()));
        let mut found: Vec<_> = wait_for(&run, 1000).into_iter().map(|(n, _)| n).collect();
        found.sort();
        assert_eq!(found, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn workers_block_all_signals_and_the_caller_does_not() {
        fn blocked() -> u64 {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
            u64::from_str_radix(mask.trim(), 16).unwrap()
        }
        let (before, seen) = (blocked(), Arc::new(Mutex::new(0)));
        let log = seen.clone();
        let run = start(
            1,
            1,
            Arc::new(move |_| {
                *log.lock().unwrap() = blocked();
                address()
            }),
        );
        wait_for(&run, 1);
        // All but KILL and STOP, and those that glibc (32 and 33) or musl (34 too) keeps for
        // itself.
        let unblockable = (1 << 8) | (1 << 18) | (1 << 31) | (1 << 32) | (1 << 33);
        assert_eq!(*seen.lock().unwrap() | unblockable, u64::MAX);
        assert_eq!(blocked(), before);
    }

    #[test]
    fn a_panic_in_a_look_up_is_told() {
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let run = start(3, 2, Arc::new(|_| panic!("a name service module went wrong")));
        let found = wait_for(&run, 3);
        std::panic::set_hook(quiet);
        assert!(found.iter().all(|(_, list)| list.is_err()));
    }

    #[test]
    fn a_hung_look_up_is_left_behind_and_no_new_name_is_taken() {
        let (release, hung) = mpsc::channel::<()>();
        let hung = Mutex::new(hung);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let run = start(
            10,
            2,
            Arc::new(move |name| {
                count.fetch_add(1, SeqCst);
                if name.starts_with("h1.") || name.starts_with("h2.") {
                    let _ = hung.lock().unwrap().recv();
                }
                address()
            }),
        );
        wait_for(&run, 1);
        while asked.load(SeqCst) < 3 {
            std::thread::yield_now();
        }
        // Would never return if it waited for the two.
        drop(run);
        drop(release);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(asked.load(SeqCst), 3, "a name was taken after the end");
    }
}
