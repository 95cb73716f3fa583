//! What a world has seen: every connection attempt, every DNS query, and how late the world itself
//! was.

use super::spec::Mirror;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::AddAssign;
use std::time::Duration;

/// A connection attempt of a client, including the SYNs that its kernel repeats. Times are since
/// the start of the world.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Index into the mirrors of the spec.
    pub mirror: usize,
    pub to: SocketAddr,
    pub from_port: u16,
    /// When each SYN arrived; more than one if the kernel repeated it.
    pub syns: Vec<Duration>,
    /// When the first SYN-ACK, RST or ICMP error left for the client.
    pub answered: Option<Duration>,
    /// When the client's ACK of the SYN-ACK arrived.
    pub completed: Option<Duration>,
    /// Bytes of data the client sent.
    pub payload: u64,
}

/// Totals over a set of connection attempts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// SYNs, including those that the kernel repeats.
    pub syns: usize,
    /// SYNs without those that the kernel repeats.
    pub attempts: usize,
    pub handshakes: usize,
    /// Bytes of data from the client.
    pub payload: u64,
    pub first_syn: Option<Duration>,
}

impl AddAssign<&Attempt> for Counts {
    fn add_assign(&mut self, attempt: &Attempt) {
        self.syns += attempt.syns.len();
        self.attempts += 1;
        self.handshakes += usize::from(attempt.completed.is_some());
        self.payload += attempt.payload;
        self.first_syn = [self.first_syn, attempt.syns.first().copied()].into_iter().flatten().min();
    }
}

/// The number of DNS queries for a name, by record type.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Queries {
    pub a: usize,
    pub aaaa: usize,
}

#[derive(Clone, Debug)]
pub struct Report {
    pub names: Vec<String>,
    /// In the order of their first SYNs.
    pub attempts: Vec<Attempt>,
    /// By name in lower case, without the final dot.
    pub lookups: BTreeMap<String, Queries>,
    pub error: LabError,
}

impl Report {
    pub(super) fn new(
        mirrors: &[Mirror],
        attempts: Vec<Attempt>,
        lookups: BTreeMap<String, Queries>,
        lateness: Lateness,
    ) -> Self {
        let names = mirrors.iter().map(|mirror| mirror.name.clone()).collect();
        Report { names, attempts, lookups, error: lateness.into() }
    }

    /// The totals of the whole world.
    pub fn total(&self) -> Counts {
        self.sum(|_| true)
    }

    /// The totals of a mirror, all its addresses together.
    pub fn of(&self, name: &str) -> Counts {
        let mirror = self.names.iter().position(|known| known == name);
        assert!(mirror.is_some(), "no mirror of this world is called {name}");
        self.sum(|attempt| Some(attempt.mirror) == mirror)
    }

    /// The totals of one address.
    pub fn at(&self, address: impl Into<IpAddr>) -> Counts {
        let address = address.into();
        self.sum(|attempt| attempt.to.ip() == address)
    }

    /// The name and the totals of each mirror, in the order of the spec.
    pub fn each(&self) -> Vec<(&str, Counts)> {
        let mut each: Vec<_> = self.names.iter().map(|name| (name.as_str(), Counts::default())).collect();
        for attempt in &self.attempts {
            each[attempt.mirror].1 += attempt;
        }
        each
    }

    /// The times of all SYNs, ascending.
    fn syn_times(&self) -> Vec<Duration> {
        let mut times: Vec<_> =
            self.attempts.iter().flat_map(|attempt| attempt.syns.iter().copied()).collect();
        times.sort_unstable();
        times
    }

    /// The number of SYNs that arrived within this time of the first.
    pub fn first_burst(&self, window: Duration) -> usize {
        let times = self.syn_times();
        times.iter().take_while(|&&at| at - times[0] <= window).count()
    }

    /// The largest number of attempts that waited for an answer at the same time. The lab cannot
    /// see when a client gives up; it assumes `patience` after the first SYN.
    pub fn most_in_flight(&self, patience: Duration) -> usize {
        let mut changes = Vec::new();
        for attempt in &self.attempts {
            let begin = attempt.syns[0];
            changes.push((begin, 1));
            changes.push((attempt.answered.unwrap_or(begin + patience).min(begin + patience), -1));
        }
        changes.sort_unstable();
        let in_flight = changes.iter().scan(0i64, |now, (_, change)| {
            *now += change;
            Some(*now)
        });
        in_flight.max().unwrap_or(0) as usize
    }

    fn sum(&self, wanted: impl Fn(&Attempt) -> bool) -> Counts {
        let mut counts = Counts::default();
        self.attempts.iter().filter(|attempt| wanted(attempt)).for_each(|attempt| counts += attempt);
        counts
    }
}

/// What the router records about its own lateness.
#[derive(Clone, Debug, Default)]
pub(super) struct Lateness {
    /// For each answer to a SYN, how much later than intended it left.
    pub answers: Vec<Duration>,
    pub packets: u64,
    /// Packets that left more than [`LATE`] after they were due, or are still waiting by then.
    pub late: u64,
    /// Handshakes that were completed.
    pub handshakes: u64,
    /// Handshakes that took more than [`LATE_HANDSHAKE`] too long by the client's own clock.
    pub late_handshakes: u64,
    /// See [`stolen`].
    pub stolen: Duration,
}

/// The CPU time that the host has withheld from this virtual machine since it booted ("steal" in
/// /proc/stat), all CPUs together.
pub(super) fn stolen() -> Duration {
    let statistics = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = statistics.lines().next().unwrap_or_default();
    // "cpu", then user, nice, system, idle, iowait, irq, softirq, steal: in hundredths of a second.
    let ticks = all.split_whitespace().nth(8).and_then(|steal| steal.parse().ok()).unwrap_or(0);
    Duration::from_millis(ticks * 10)
}

pub(super) const LATE: Duration = Duration::from_millis(1);

/// TCP timestamps count milliseconds, so a difference of one means nothing.
pub(super) const LATE_HANDSHAKE: Duration = Duration::from_millis(2);

/// The lab's own error: how much later than intended its answers to SYNs left, from reading the SYN
/// to writing the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabError {
    pub answers: usize,
    pub median: Duration,
    pub p99: Duration,
    pub max: Duration,
    pub packets: u64,
    /// Packets that left more than a millisecond after they were due.
    pub late: u64,
    /// Handshakes that took over two milliseconds too long by the client's TCP timestamps. These
    /// also show that a SYN was read late.
    pub late_handshakes: u64,
    pub handshakes: u64,
    /// The CPU time that the host withheld from this virtual machine meanwhile: the usual cause.
    pub stolen: Duration,
}

impl LabError {
    /// Whether more than one packet or handshake in a hundred was late, and more than one at all.
    /// Such a run proves nothing.
    pub fn could_not_keep_up(&self) -> bool {
        self.more_are_late_than(1)
    }

    /// Whether the lab's lateness may explain a failure: like `could_not_keep_up`, but a single
    /// late packet among few is enough.
    pub(crate) fn may_explain_failure(&self) -> bool {
        self.more_are_late_than(0)
    }

    fn more_are_late_than(&self, count: u64) -> bool {
        let too_many = |late: u64, of: u64| late > count && late * 100 > of;
        too_many(self.late, self.packets) || too_many(self.late_handshakes, self.handshakes)
    }

    /// The error since an earlier report of the same world. Packets and handshakes are the
    /// difference; the times of answers are still those of the whole world.
    pub fn since(&self, earlier: &LabError) -> LabError {
        LabError {
            packets: self.packets - earlier.packets,
            late: self.late - earlier.late,
            late_handshakes: self.late_handshakes - earlier.late_handshakes,
            handshakes: self.handshakes - earlier.handshakes,
            ..self.clone()
        }
    }
}

impl From<Lateness> for LabError {
    fn from(mut lateness: Lateness) -> Self {
        lateness.answers.sort_unstable();
        let at = |share: f64| percentile(&lateness.answers, share);
        LabError {
            answers: lateness.answers.len(),
            median: at(0.5),
            p99: at(0.99),
            max: at(1.0),
            packets: lateness.packets,
            late: lateness.late,
            late_handshakes: lateness.late_handshakes,
            handshakes: lateness.handshakes,
            stolen: lateness.stolen,
        }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "lab error over {} answers: median {:.3} ms, p99 {:.3} ms, max {:.3} ms",
            self.answers,
            ms(self.median),
            ms(self.p99),
            ms(self.max)
        )?;
        if self.late + self.late_handshakes > 0 {
            write!(f, "; {} of {} packets over 1 ms late", self.late, self.packets)?;
            write!(f, ", {} of {} handshakes over 2 ms", self.late_handshakes, self.handshakes)?;
            write!(f, " ({} ms of CPU time stolen by the host)", self.stolen.as_millis())?;
        }
        if self.could_not_keep_up() {
            write!(f, ": THE LAB COULD NOT KEEP UP")?;
        }
        Ok(())
    }
}

/// The smallest value of an ascending list that this share of the list does not exceed.
pub fn percentile<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}
