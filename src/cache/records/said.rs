//! The groups of a cache file: their names and keys, what they are about, and what each says.
#![forbid(unsafe_code)]

use crate::cache::keyfile::Group;
use crate::cache::number;
use crate::network::Network;
use std::cmp::Reverse;
use std::time::Duration;

pub(super) const NETWORK_OF: &[u8] = b":_fm_:network:";
pub(super) const OUTCOME_OF: &[u8] = b":_fm_:outcome:";

pub(super) const VERSION: &str = "version";
pub(super) const TS: &str = "ts";
/// librepo's spelling.
pub(super) const LATENCY: &str = "connectime";
pub(super) const NETWORK: &str = "network";
pub(super) const OUTCOME: &str = "outcome";
pub(super) const SEED: &str = "seed";
pub(super) const DRAWN: &str = "drawn";

/// What is nearer counts as the first; no mirror is as far as the second.
const LATENCIES: (Duration, Duration) = (Duration::from_micros(1), Duration::from_secs(60));

/// What is known of an endpoint from earlier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It answered, after so long.
    Latency(Duration),
    /// It refused, at most an hour ago.
    Refused,
    /// The network said that it cannot be reached, at most an hour ago.
    Unreachable,
    /// It did not answer in time to belong to the pool, at most an hour ago.
    OutsidePool,
}

/// When a fact was learned, and the fact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fact {
    pub(super) at: i64,
    pub(super) known: Known,
}

impl Fact {
    /// Whether it is to be believed rather than another about the same endpoint: the newer one; of two from the same
    /// second a latency, since whoever answers is up, and the lower one; and of two failures always the same, whichever
    /// is read first.
    pub(super) fn beats(&self, other: &Fact) -> bool {
        let worth = |fact: &Fact| match fact.known {
            Known::Latency(latency) => (3, Reverse(latency)),
            Known::Refused => (2, Reverse(Duration::ZERO)),
            Known::Unreachable => (1, Reverse(Duration::ZERO)),
            Known::OutsidePool => (0, Reverse(Duration::ZERO)),
        };
        (self.at, worth(self)) > (other.at, worth(other))
    }
}

/// What a group is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum About {
    /// How far a mirror is; or what is none of our business.
    Record,
    /// In which network a mirror was measured.
    Network,
    /// That a mirror did not answer.
    Outcome,
}

impl About {
    /// What a group is about, and of which mirror.
    pub(super) fn of(group: &[u8]) -> (About, &[u8]) {
        let note = |prefix, about| Some((about, group.strip_prefix(prefix)?));
        note(NETWORK_OF, About::Network)
            .or_else(|| note(OUTCOME_OF, About::Outcome))
            .unwrap_or((About::Record, group))
    }
}

/// What a group says, as far as we ask.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said<'a> {
    pub(super) ts: Option<i64>,
    latency: Option<Duration>,
    outcome: Option<Known>,
    network: Option<&'a [u8]>,
    of_file: Option<Box<OfFile>>,
}

/// What the groups say that are about no mirror; apart, since there are so many others.
#[derive(Debug, Default, PartialEq)]
struct OfFile {
    version: Option<i32>,
    seed: Option<u64>,
    drawn: Option<i64>,
}

impl<'a> Said<'a> {
    pub(super) fn by(group: Group<'a>) -> Said<'a> {
        let mut said = Said::default();
        group.pairs().for_each(|(key, value)| said.hear(key, value));
        said
    }

    /// What is said twice is as it was said last.
    pub(super) fn hear(&mut self, key: &[u8], value: &'a [u8]) {
        match std::str::from_utf8(key) {
            Ok(TS) => self.ts = number::integer64(value),
            Ok(LATENCY) => self.latency = number::double(value).and_then(latency_of),
            Ok(NETWORK) => self.network = Some(value),
            Ok(OUTCOME) => {
                self.outcome = match value {
                    b"refused" => Some(Known::Refused),
                    b"unreachable" => Some(Known::Unreachable),
                    b"outside" => Some(Known::OutsidePool),
                    _ => None,
                }
            }
            Ok(VERSION) => self.of_file().version = number::integer(value),
            Ok(SEED) => {
                self.of_file().seed = std::str::from_utf8(value).ok().and_then(|seed| seed.parse().ok());
            }
            Ok(DRAWN) => self.of_file().drawn = number::integer64(value),
            _ => {}
        }
    }

    fn of_file(&mut self) -> &mut OfFile {
        self.of_file.get_or_insert_default()
    }

    /// Of a record.
    pub(super) fn latency(&self) -> Option<Fact> {
        Some(Fact { at: self.ts?, known: Known::Latency(self.latency?) })
    }

    /// Of a note on an outcome.
    pub(super) fn failure(&self) -> Option<Fact> {
        Some(Fact { at: self.ts?, known: self.outcome? })
    }

    pub(super) fn network(&self) -> Option<Network> {
        Network::from_text(std::str::from_utf8(self.network?).ok()?)
    }

    /// The header's.
    pub(super) fn version(&self) -> Option<i32> {
        self.of_file.as_ref()?.version
    }

    /// The seed, and when it was drawn.
    pub(super) fn seed(&self) -> Option<(u64, i64)> {
        let of_file = self.of_file.as_ref()?;
        of_file.seed.zip(of_file.drawn)
    }
}

/// What can be a latency: neither the -1 of a failure, nor the 0 of a local folder, nor nonsense.
pub(super) fn latency_of(seconds: f64) -> Option<Duration> {
    let (least, end) = LATENCIES;
    // Also false for what is not a number.
    let fine = seconds > 0.0 && seconds < end.as_secs_f64();
    Duration::try_from_secs_f64(seconds).ok().filter(|_| fine).map(|latency| latency.max(least))
}
