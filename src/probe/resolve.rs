//! Names to addresses, on worker threads, because the system's resolver blocks and may hang.
//!
//! The names are looked up in the order given. When the run is over, idle workers are joined, and a
//! worker whose lookup hangs is abandoned: it ends with its lookup. Until then it keeps memory of
//! its own, and the descriptors of the system's resolver, but nothing else of the run.
#![forbid(unsafe_code)]

use super::schedule::Addresses;
use crate::fault;
use crate::panic;
use crate::sys::{self, NotFound, Waker};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak, mpsc};
use std::thread::{self, Builder, JoinHandle};

/// The stack of a worker. Only what a lookup touches takes memory; name service modules need more
/// than libc does.
const STACK: usize = 1024 * 1024;

/// The name of a worker thread.
const THREAD_NAME: &str = "mirror-lookup";

/// The system's lookup, or a test's.
pub(super) type Lookup = dyn Fn(&str) -> LookupResult + Send + Sync;

/// The addresses of a name that are worth trying, or why there are none.
pub(super) type LookupResult = Result<Addresses, NotFound>;

/// A finished lookup: the position of the name, and what was found, or the panic that ended it.
pub(super) type Resolved = (usize, thread::Result<LookupResult>);

/// How many threads may look names up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WorkerLimits {
    /// Those of one run.
    pub(super) run: usize,
    /// Those of all runs of the process. Among them are those that earlier runs have abandoned.
    pub(super) process: usize,
}

/// The lookups of one run.
pub(super) struct Resolver {
    work: Arc<Work>,
    finished: mpsc::Receiver<Resolved>,
    workers: Vec<Worker>,
    /// Nothing but the run owns it, so that its descriptor is closed when the run is over.
    _waker: Arc<Waker>,
    no_worker: Option<NoWorker>,
}

/// Why no name of a run was looked up.
#[derive(Debug)]
pub(super) enum NoWorker {
    /// The threads that the process may have are all in lookups, of earlier runs or of others that
    /// are under way.
    AllBusy(usize),
    /// No thread could be started.
    NoThread(io::Error),
}

impl fmt::Display for NoWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoWorker::AllBusy(lookups) => {
                write!(f, "{lookups} lookups of this process have not returned yet")
            }
            NoWorker::NoThread(error) => write!(f, "no thread can be started: {error}"),
        }
    }
}

#[derive(Debug)]
struct Worker {
    state: Arc<WorkerState>,
    thread: JoinHandle<()>,
}

/// What a worker is doing, so that it is settled in one step who may use what belongs to the run:
/// either the worker has finished its lookup and is joined, or it is abandoned and touches nothing
/// of the run any more.
#[derive(Debug, Default)]
struct WorkerState(AtomicU8);

impl WorkerState {
    const IDLE: u8 = 0;
    const LOOKING_UP: u8 = 1;
    const ABANDONED: u8 = 2;

    fn begin_lookup(&self) {
        self.0.store(WorkerState::LOOKING_UP, SeqCst);
    }

    /// Returns false if the worker was abandoned meanwhile.
    fn finish_lookup(&self) -> bool {
        self.0.compare_exchange(WorkerState::LOOKING_UP, WorkerState::IDLE, SeqCst, SeqCst).is_ok()
    }

    /// Returns false if the worker is not in a lookup, so that it can be joined.
    fn abandon(&self) -> bool {
        self.0.compare_exchange(WorkerState::LOOKING_UP, WorkerState::ABANDONED, SeqCst, SeqCst).is_ok()
    }
}

/// What the workers and the run share.
struct Work {
    names: Vec<String>,
    next: AtomicUsize,
    /// Whether the run is over.
    over: AtomicBool,
    /// Whether the run was woken and has not looked since: it will see what finishes now.
    woken: AtomicBool,
    /// The run's. A worker uses it only while the run would wait for it.
    waker: Weak<Waker>,
    lookup: Arc<Lookup>,
}

impl Resolver {
    /// Starts to look up `names`; `waker` is woken when some have finished. If there is no thread
    /// for that, every lookup fails for want of room, and [`no_worker`](Resolver::no_worker) has
    /// the reason.
    pub(super) fn start(
        names: Vec<String>,
        limits: WorkerLimits,
        waker: Waker,
        lookup: Arc<Lookup>,
    ) -> Resolver {
        let (sender, finished) = mpsc::channel();
        let waker = Arc::new(waker);
        let permits = Permit::take(limits.run.min(names.len()), limits.process);
        let work = Arc::new(Work {
            names,
            next: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            waker: Arc::downgrade(&waker),
            lookup,
        });
        let mut no_worker = permits.is_empty().then(|| NoWorker::AllBusy(Permit::count()));
        let mut workers: Vec<Worker> = Vec::new();
        sys::with_signals_blocked(|| {
            for permit in permits {
                // The first worker may have looked up all names before the last is started.
                if !work.has_names() {
                    break;
                }
                match Worker::start(permit, work.clone(), sender.clone()) {
                    Ok(worker) => workers.push(worker),
                    Err(error) => {
                        no_worker = workers.is_empty().then_some(NoWorker::NoThread(error));
                        break;
                    }
                }
            }
        });
        if no_worker.is_some() {
            (0..work.names.len()).for_each(|name| work.report(&sender, (name, Ok(Err(NotFound::NoRoom)))));
        }
        Resolver { work, finished, workers, _waker: waker, no_worker }
    }

    /// Returns the lookups that have finished since the last call.
    pub(super) fn finished(&self) -> impl Iterator<Item = Resolved> + '_ {
        // In this order: what finishes from now on wakes the run again, even if it is returned here
        // already.
        self.work.woken.store(false, SeqCst);
        self.finished.try_iter()
    }

    /// Why no name is looked up, if so.
    pub(super) fn no_worker(&self) -> Option<&NoWorker> {
        self.no_worker.as_ref()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.work.over.store(true, SeqCst);
        for worker in self.workers.drain(..) {
            // A worker that begins a lookup just now is abandoned, sees that the run is over, and
            // ends.
            if !worker.state.abandon() {
                // A worker catches its panics, so the result says nothing.
                let _ = worker.thread.join();
            }
        }
    }
}

impl Worker {
    fn start(permit: Permit, work: Arc<Work>, sender: mpsc::Sender<Resolved>) -> io::Result<Worker> {
        sys::check_thread_keys()?;
        let state = Arc::new(WorkerState::default());
        let thread = Builder::new().name(THREAD_NAME.into()).stack_size(STACK).spawn({
            let state = state.clone();
            move || {
                let _permit = permit;
                panic::silence_this_thread();
                // Should the program change its root directory while this lookup hangs, the
                // resolver must not load a module from in there.
                sys::keep_root_directory();
                while work.one(&state, &sender) {}
            }
        })?;
        Ok(Worker { state, thread })
    }
}

/// Returns how many workers this process has, those that were abandoned among them.
pub(super) fn live_workers() -> usize {
    Permit::count()
}

/// Counts one worker of this process for as long as it exists, or is about to.
#[derive(Debug)]
struct Permit {
    process: u32,
}

/// The process in the upper half, the number of its permits in the lower: a forked child inherits
/// the number, but not the threads.
static PERMITS: AtomicU64 = AtomicU64::new(0);

impl Permit {
    fn count() -> usize {
        Permit::of(std::process::id(), PERMITS.load(SeqCst))
    }

    fn of(process: u32, permits: u64) -> usize {
        if permits >> 32 == u64::from(process) { permits as u32 as usize } else { 0 }
    }

    /// Returns how many permits a run gets: at most half of those that are left, so that lookups
    /// that hang in one run do not take all from the next. A fifth is for runs that come when most
    /// are taken, a few for each.
    fn granted(wanted: usize, used: usize, limit: usize) -> usize {
        const FEW: usize = 2;
        let left = limit.saturating_sub(used);
        let half = left.saturating_sub(limit / 5).div_ceil(2);
        wanted.min(half.max(FEW).min(left))
    }

    fn take(wanted: usize, limit: usize) -> Vec<Permit> {
        let process = std::process::id();
        let mut taken = 0;
        // The closure always returns a value, and so the update always succeeds.
        let _ = PERMITS.fetch_update(SeqCst, SeqCst, |permits| {
            let used = Permit::of(process, permits);
            taken = Permit::granted(wanted, used, limit);
            Some(u64::from(process) << 32 | (used + taken) as u64)
        });
        (0..taken).map(|_| Permit { process }).collect()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let one_less = |permits: u64| (permits >> 32 == u64::from(self.process)).then(|| permits - 1);
        let _ = PERMITS.fetch_update(SeqCst, SeqCst, one_less);
    }
}

impl Work {
    /// Returns whether there are names that no worker has taken.
    fn has_names(&self) -> bool {
        self.next.load(SeqCst) < self.names.len()
    }

    /// Looks up one name. Returns false if there is nothing left to do.
    fn one(&self, state: &WorkerState, sender: &mpsc::Sender<Resolved>) -> bool {
        state.begin_lookup();
        let index = self.next.fetch_add(1, SeqCst);
        let name = self.names.get(index).filter(|_| !self.over.load(SeqCst));
        let found = name.map(|name| {
            catch_unwind(AssertUnwindSafe(|| {
                fault::point("lookup");
                (self.lookup)(name)
            }))
        });
        // From here on, a run that ends waits for this worker, until it has no name left to take.
        if !state.finish_lookup() {
            return false;
        }
        match found {
            Some(addresses) => self.report(sender, (index, addresses)),
            None => return false,
        }
        true
    }

    fn report(&self, sender: &mpsc::Sender<Resolved>, resolved: Resolved) {
        // When the run is over, it does not receive any more.
        if sender.send(resolved).is_ok() && !self.woken.swap(true, SeqCst) {
            if let Some(waker) = self.waker.upgrade() {
                waker.wake();
            }
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
        let limits = WorkerLimits { run: workers, process: 1 << 20 };
        (Resolver::start(names(count), limits, waker, lookup), epoll)
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
    fn workers_block_signals_but_those_of_faults_and_the_caller_does_not() {
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
        let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP];
        let faults = faults.into_iter().chain([libc::SIGSYS]).fold(0, |set, signal| set | 1 << (signal - 1));
        assert_eq!(*seen.lock().unwrap() | unblockable, !faults);
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
    fn workers_are_limited_however_many_lookups_hang() {
        let (mut used, mut runs) = (0, 0);
        while Permit::granted(64, used, 160) > 0 {
            used += Permit::granted(64, used, 160);
            runs += 1;
        }
        assert_eq!(used, 160);
        assert!(runs >= 20, "{runs} runs took all");
        assert_eq!(Permit::granted(64, 0, 160), 64, "a run gets what it wants if nothing hangs");
        assert_eq!(Permit::granted(64, 200, 160), 0, "another limit may have been higher");
        for limit in [1, 2, 3, 9] {
            assert!(Permit::granted(64, 0, limit) >= 1, "{limit}");
        }
    }

    #[test]
    fn lookups_fail_for_want_of_room_if_there_is_no_worker() {
        let (waker, epoll) = (Waker::new().unwrap(), Epoll::new().unwrap());
        epoll.add_readable(std::os::fd::AsFd::as_fd(&waker), 0).unwrap();
        let limits = WorkerLimits { run: 4, process: 0 };
        let resolver = Resolver::start(names(3), limits, waker, Arc::new(|_| address()));
        assert!(matches!(resolver.no_worker(), Some(NoWorker::AllBusy(_))));
        let found = wait_for(&(resolver, epoll), 3);
        assert!(found.iter().all(|(_, found)| matches!(found, Ok(Err(NotFound::NoRoom)))));
    }

    #[test]
    fn abandoned_worker_does_not_keep_the_waker_of_the_run() {
        let (release, hung) = mpsc::channel::<()>();
        let hung = Mutex::new(hung);
        let started = Arc::new(AtomicBool::new(false));
        let has_started = started.clone();
        let (resolver, epoll) = start(
            1,
            1,
            Arc::new(move |_| {
                has_started.store(true, SeqCst);
                let _ = hung.lock().unwrap().recv();
                address()
            }),
        );
        while !started.load(SeqCst) {
            std::thread::yield_now();
        }
        let (work, waker) = (Arc::downgrade(&resolver.work), resolver.work.waker.clone());
        drop(resolver);
        assert!(waker.upgrade().is_none(), "its descriptor is still open");
        drop(epoll);
        drop(release);
        // The worker ends, and gives back what it had.
        while work.upgrade().is_some() {
            std::thread::yield_now();
        }
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
