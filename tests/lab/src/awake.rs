//! Keeps the processors awake while a world runs.
//!
//! A virtual processor that has nothing to do is given back to the host, which may take milliseconds to bring it back: each timer
//! and each packet would be late by that. One thread of the idle class on each processor prevents this and takes no time from
//! anybody, since any other thread comes before it. Measured on two virtual processors: the 99th percentile of the lab's error
//! goes from several milliseconds to 0.05.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// More processors than this are not kept awake; nor are any where there is a limit on the time that this process may use.
const MOST: usize = 16;

static WORLDS: AtomicUsize = AtomicUsize::new(0);
// Never joined: on a busy machine it may be long before a thread of the idle class has the time to end.
static THREADS: OnceLock<Vec<JoinHandle<()>>> = OnceLock::new();

/// While there is one of these the processors do not sleep.
pub(crate) struct Awake(());

impl Awake {
    pub(crate) fn keep() -> Awake {
        WORLDS.fetch_add(1, Ordering::SeqCst);
        let awake = Awake(());
        awake.threads().iter().for_each(|thread| thread.thread().unpark());
        awake
    }

    pub(crate) fn threads(&self) -> &'static [JoinHandle<()>] {
        THREADS.get_or_init(|| processors().into_iter().filter_map(start).collect())
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        WORLDS.fetch_sub(1, Ordering::SeqCst);
    }
}

fn start(processor: usize) -> Option<JoinHandle<()>> {
    let body = move || {
        if !stay_on(processor) {
            return;
        }
        loop {
            while WORLDS.load(Ordering::Relaxed) > 0 {
                // No pause instruction, upon which a host may take the processor away.
                for step in 0..1000 {
                    std::hint::black_box(step);
                }
            }
            thread::park();
        }
    };
    thread::Builder::new().name(format!("lab awake {processor}")).spawn(body).ok()
}

/// Binds the calling thread to a processor and puts it into the idle class.
fn stay_on(processor: usize) -> bool {
    // SAFETY: integers only; musl has more of them.
    let lowest: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: plain data, and calls that concern the calling thread alone.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setscheduler(0, libc::SCHED_IDLE, &lowest) == 0
            && libc::sched_setaffinity(0, size_of_val(&set), &set) == 0
    }
}

/// Those we may run on, if we may use all their time.
fn processors() -> Vec<usize> {
    // SAFETY: plain data, filled in by the call; CPU_ISSET reads it within its size.
    let ours: Vec<usize> = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &mut set);
        (0..libc::CPU_SETSIZE as usize).filter(|&processor| libc::CPU_ISSET(processor, &set)).collect()
    };
    // Smaller than the number of processors where a control group limits the time.
    let usable = thread::available_parallelism().map_or(1, usize::from);
    if usable < ours.len() || ours.len() > MOST { Vec::new() } else { ours }
}
