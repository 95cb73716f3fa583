//! Keeps the CPUs awake while a world runs.
//!
//! An idle virtual CPU is given back to the host, which may take milliseconds to schedule it again,
//! and every timer and packet would be late by that. A busy thread of the idle class on each CPU
//! prevents this. It takes no time from other threads, since all of them have precedence. On two
//! virtual CPUs this lowered the 99th percentile of the lab's error from several milliseconds to
//! 0.05.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// On machines with more CPUs than this none is kept awake; nor where a control group limits the
/// CPU time.
const MOST: usize = 16;

static WORLDS: AtomicUsize = AtomicUsize::new(0);
// Never joined: on a busy machine it may take long until a thread of the idle class gets the time
// to end.
static THREADS: OnceLock<Vec<JoinHandle<()>>> = OnceLock::new();

/// Keeps the CPUs awake as long as it exists.
pub(crate) struct Awake(());

impl Awake {
    pub(crate) fn keep() -> Awake {
        WORLDS.fetch_add(1, Ordering::SeqCst);
        let awake = Awake(());
        awake.threads().iter().for_each(|thread| thread.thread().unpark());
        awake
    }

    pub(crate) fn threads(&self) -> &'static [JoinHandle<()>] {
        THREADS.get_or_init(|| cpus().into_iter().filter_map(start).collect())
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        WORLDS.fetch_sub(1, Ordering::SeqCst);
    }
}

fn start(cpu: usize) -> Option<JoinHandle<()>> {
    let body = move || {
        if !stay_on(cpu) {
            return;
        }
        loop {
            while WORLDS.load(Ordering::Relaxed) > 0 {
                // Without a pause instruction, at which a host may take the CPU away.
                for step in 0..1000 {
                    std::hint::black_box(step);
                }
            }
            thread::park();
        }
    };
    thread::Builder::new().name(format!("lab awake {cpu}")).spawn(body).ok()
}

/// Binds the calling thread to a CPU and puts it into the idle class.
fn stay_on(cpu: usize) -> bool {
    // SAFETY: a structure of integers. It is zeroed since musl has more fields than glibc.
    let lowest: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: plain data, and calls that affect the calling thread only.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setscheduler(0, libc::SCHED_IDLE, &lowest) == 0
            && libc::sched_setaffinity(0, size_of_val(&set), &set) == 0
    }
}

/// The CPUs this process may run on, or none if it may not use all their time.
fn cpus() -> Vec<usize> {
    // SAFETY: plain data, filled in by the call; CPU_ISSET reads it within its size.
    let allowed: Vec<usize> = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &mut set);
        (0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &set)).collect()
    };
    // This is smaller than the number of CPUs where a control group limits the time.
    let usable = thread::available_parallelism().map_or(1, usize::from);
    if usable < allowed.len() || allowed.len() > MOST { Vec::new() } else { allowed }
}
