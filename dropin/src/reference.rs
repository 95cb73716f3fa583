//! The list that puts the pools of all lists of a process in order where the setting `pool` is
//! `given`: the first one that it ranks. Each repository has a list of its own, shuffled for
//! itself; without this, each would lead with another mirror.
//!
//! Like the seed of the shuffle it counts for an hour, so that a process that runs for long comes
//! to follow newer lists, and not in a forked child.

use fastestmirror::{Host, Mirror};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many hosts are kept: as many as a run measures endpoints. A name has at most 254 bytes.
/// Hosts that find no room stand behind the others, in the order of their own list.
const MOST_HOSTS: usize = 2048;
const HOUR: Duration = Duration::from_secs(3600);

/// Hosts as URLs, in the order of their first list.
#[derive(Debug)]
struct Reference {
    began: Instant,
    urls: Vec<String>,
    known: BTreeSet<String>,
}

impl Reference {
    fn new(now: Instant) -> Reference {
        Reference { began: now, urls: Vec::new(), known: BTreeSet::new() }
    }

    /// Appends the hosts of a list that are not yet in it, and returns what is in it then.
    fn extend(&mut self, list: &[&String], now: Instant) -> Vec<String> {
        if now.saturating_duration_since(self.began) >= HOUR {
            *self = Reference::new(now);
        }
        for url in list {
            if self.urls.len() == MOST_HOSTS {
                break;
            }
            let Some(url) = Mirror::parse(url).host().map(url_of) else { continue };
            if self.known.insert(url.clone()) {
                self.urls.push(url);
            }
        }
        self.urls.clone()
    }
}

fn url_of(host: &Host) -> String {
    match host {
        Host::Address(IpAddr::V6(address)) => format!("http://[{address}]/"),
        host => format!("http://{host}/"),
    }
}

/// Appends the hosts of a list to the reference of this process, and returns it.
pub(crate) fn extend(list: &[&String]) -> Vec<String> {
    // A panic while it is locked leaves it in order.
    let mut reference = of_this_process().lock().unwrap_or_else(PoisonError::into_inner);
    reference.extend(list, Instant::now())
}

/// Returns the reference of this process. A forked child gets a new one: the lock of the other may
/// be held by a thread that is not in the child.
fn of_this_process() -> &'static Mutex<Reference> {
    struct Owned {
        process: u32,
        reference: Mutex<Reference>,
    }
    static CURRENT: AtomicPtr<Owned> = AtomicPtr::new(ptr::null_mut());
    let process = process::id();
    let current = CURRENT.load(Acquire);
    // SAFETY: NULL, or what was made below, which is never freed.
    match unsafe { current.as_ref() } {
        Some(owned) if owned.process == process => &owned.reference,
        _ => {
            let new = Owned { process, reference: Mutex::new(Reference::new(Instant::now())) };
            let new = Box::into_raw(Box::new(new));
            match CURRENT.compare_exchange(current, new, AcqRel, Acquire) {
                // SAFETY: just made, and from now on never freed: the parent's is lost, once in a
                // child.
                Ok(_) => unsafe { &(*new).reference },
                Err(other) => {
                    // SAFETY: no other thread has seen `new`; `other` is one of this process, since
                    // another thread has just put it there.
                    unsafe {
                        drop(Box::from_raw(new));
                        &(*other).reference
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn extended(reference: &mut Reference, list: &[&str], now: Instant) -> Vec<String> {
        let list: Vec<String> = list.iter().map(|url| url.to_string()).collect();
        reference.extend(&list.iter().collect::<Vec<_>>(), now)
    }

    #[test]
    fn reference_begins_with_the_first_list_and_takes_what_later_ones_add() {
        let now = Instant::now();
        let mut reference = Reference::new(now);
        let first = ["https://me:secret@B.example:8443/x", "file:///srv", "ftp://a.example/", "x:"];
        let hosts = ["http://b.example/", "http://a.example/"];
        assert_eq!(extended(&mut reference, &first, now), hosts);
        let second =
            ["http://a.example/", "http://c.example/", "http://b.example/", "http://[2001:DB8::7]:81/"];
        let hosts = [hosts[0], hosts[1], "http://c.example/", "http://[2001:db8::7]/"];
        assert_eq!(extended(&mut reference, &second, now), hosts);
        assert_eq!(extended(&mut reference, &[], now + HOUR - Duration::from_millis(1)), hosts);
        // A URL stands for the host that it was made of.
        for url in hosts {
            assert_eq!(Mirror::parse(url).host().map(url_of).as_deref(), Some(url));
        }
        assert_eq!(extended(&mut reference, &second[1..2], now + HOUR), ["http://c.example/"]);
    }

    #[test]
    fn reference_has_a_limited_size() {
        let mut reference = Reference::new(Instant::now());
        let urls: Vec<String> = (0..5000).map(|n| format!("http://{n}.example/")).collect();
        for chunk in urls.chunks(700) {
            let kept = reference.extend(&chunk.iter().collect::<Vec<_>>(), reference.began);
            assert!(kept.len() <= MOST_HOSTS && urls.starts_with(&kept));
        }
        assert_eq!((reference.urls.len(), reference.known.len()), (MOST_HOSTS, MOST_HOSTS));
    }

    /// Each thread ranks the same hosts in another order, and all agree.
    #[test]
    fn reference_is_one_for_all_threads_and_another_in_a_forked_child() {
        let hosts: Vec<String> = (0..50).map(|n| format!("http://{n}.thread.example/")).collect();
        let lists = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| {
                    let mut list: Vec<&String> = hosts.iter().collect();
                    list.rotate_left(n * 7);
                    scope.spawn(move || extend(&list))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert!(lists.iter().all(|list| *list == lists[0] && list.len() >= hosts.len()), "{lists:?}");

        // However many threads are using it, a child is never stuck.
        let _held = of_this_process().lock();
        // SAFETY: the child allocates, which glibc allows after a fork, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_new = extend(&[&hosts[3], &hosts[1]]) == [hosts[3].clone(), hosts[1].clone()];
            // SAFETY: ends the child, without its parent's handlers.
            unsafe { libc::_exit(if is_new { 0 } else { 1 }) };
        }
        let mut status = -1;
        // SAFETY: waits for the child.
        assert_eq!((unsafe { libc::waitpid(child, &mut status, 0) }, status), (child, 0));
    }
}
