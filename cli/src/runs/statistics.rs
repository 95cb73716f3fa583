//! What several runs say about each mirror: counts and quantiles, and the order to show them in.

use crate::json::milliseconds;
use fastestmirror::{Outcome, Ranking};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

/// The version of the JSON format.
const VERSION: u32 = 1;

#[derive(Debug, Default)]
pub(super) struct Statistics {
    pub(super) runs: usize,
    pub(super) elapsed: Duration,
    pub(super) seed: u64,
    pub(super) excluded: usize,
    pub(super) warnings: Vec<String>,
    pub(super) mirrors: Vec<Mirror>,
    /// The place of each mirror by its index in the input.
    pub(super) places: HashMap<usize, usize>,
}

/// A mirror in all runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mirror {
    pub(super) index: usize,
    pub(super) url: String,
    /// That of the last run.
    pub(super) outcome: Outcome,
    /// One for each run in which it answered; sorted in the end.
    pub(super) latencies: Vec<Duration>,
    /// In how many runs it was in the pool.
    pub(super) pool: usize,
    /// In how many runs a packet was lost.
    pub(super) imprecise: usize,
    /// In how many runs its clients would have waited for another address.
    pub(super) detoured: usize,
}

impl Statistics {
    /// Adds a run.
    pub(super) fn add(&mut self, ranking: &Ranking) {
        self.runs += 1;
        self.seed = ranking.seed;
        self.excluded = ranking.excluded.len();
        for warning in &ranking.warnings {
            if !self.warnings.contains(warning) {
                self.warnings.push(warning.clone());
            }
        }
        for ranked in &ranking.mirrors {
            let place = *self.places.entry(ranked.index).or_insert_with(|| {
                self.mirrors.push(Mirror::new(ranked.index, &ranked.url));
                self.mirrors.len() - 1
            });
            let mirror = &mut self.mirrors[place];
            mirror.outcome = ranked.outcome;
            mirror.latencies.extend(ranked.outcome.latency());
            mirror.pool += usize::from(ranked.pool);
            mirror.imprecise += usize::from(ranked.imprecise);
            mirror.detoured += usize::from(ranked.is_detoured);
        }
    }

    /// Puts the mirrors in order, after the last run.
    pub(super) fn finish(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
        for mirror in &mut self.mirrors {
            mirror.latencies.sort_unstable();
        }
        let runs = self.runs;
        self.mirrors.sort_by_key(|mirror| mirror.rank(runs));
    }

    pub(super) fn any_answered(&self) -> bool {
        self.mirrors.iter().any(|mirror| mirror.outcome == Outcome::Local || !mirror.latencies.is_empty())
    }
}

impl Mirror {
    pub(super) fn new(index: usize, url: &str) -> Mirror {
        Mirror {
            index,
            url: url.into(),
            outcome: Outcome::Unanswered,
            latencies: Vec::new(),
            pool: 0,
            imprecise: 0,
            detoured: 0,
        }
    }

    /// The key to sort by: as in a single ranking local mirrors are first and the detoured are
    /// behind. One that answered in fewer than half of the runs is not believed to be near.
    fn rank(&self, runs: usize) -> (u8, Reverse<usize>, Option<Duration>, usize) {
        let answered = self.latencies.len();
        let class = match () {
            () if self.outcome == Outcome::Local => 0,
            () if answered == 0 => 4,
            () if answered * 2 < runs => 3,
            () if self.is_detoured() => 2,
            () => 1,
        };
        let count = if class == 3 { answered } else { 0 };
        (class, Reverse(count), self.median(), self.index)
    }

    pub(super) fn is_detoured(&self) -> bool {
        self.detoured * 2 > self.latencies.len()
    }

    pub(super) fn min(&self) -> Option<Duration> {
        self.latencies.first().copied()
    }

    pub(super) fn max(&self) -> Option<Duration> {
        self.latencies.last().copied()
    }

    /// The middle latency, or the mean of the two in the middle.
    pub(super) fn median(&self) -> Option<Duration> {
        let middle = self.latencies.len() / 2;
        let upper = *self.latencies.get(middle)?;
        let is_odd = self.latencies.len() % 2 == 1;
        Some(if is_odd { upper } else { (self.latencies[middle - 1] + upper) / 2 })
    }
}

impl Serialize for Statistics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Statistics", 6)?;
        object.serialize_field("version", &VERSION)?;
        object.serialize_field("runs", &self.runs)?;
        object.serialize_field("elapsed_ms", &milliseconds(self.elapsed))?;
        object.serialize_field("seed", &self.seed)?;
        object.serialize_field("warnings", &self.warnings)?;
        object.serialize_field("mirrors", &self.mirrors)?;
        object.end()
    }
}

impl Serialize for Mirror {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Mirror", 10)?;
        object.serialize_field("index", &self.index)?;
        object.serialize_field("url", &self.url)?;
        object.serialize_field("outcome", self.outcome.name())?;
        object.serialize_field("answered", &self.latencies.len())?;
        object.serialize_field("pool", &self.pool)?;
        object.serialize_field("imprecise", &self.imprecise)?;
        object.serialize_field("detoured", &self.detoured)?;
        object.serialize_field("min_ms", &self.min().map(milliseconds))?;
        object.serialize_field("median_ms", &self.median().map(milliseconds))?;
        object.serialize_field("max_ms", &self.max().map(milliseconds))?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(index: usize, milliseconds: &[u64]) -> Mirror {
        let latencies = milliseconds.iter().map(|&latency| Duration::from_millis(latency)).collect();
        Mirror { latencies, ..Mirror::new(index, "http://a.example/") }
    }

    fn order(mirrors: Vec<Mirror>, runs: usize) -> Vec<usize> {
        let mut statistics = Statistics { runs, mirrors, ..Statistics::default() };
        statistics.finish(Duration::ZERO);
        statistics.mirrors.iter().map(|mirror| mirror.index).collect()
    }

    #[test]
    fn median_is_in_the_middle() {
        let median = |milliseconds: &[u64]| mirror(0, milliseconds).median();
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7]), Some(Duration::from_millis(7)));
        assert_eq!(median(&[7, 8]), Some(Duration::from_micros(7500)));
        assert_eq!(median(&[7, 8, 100]), Some(Duration::from_millis(8)));
    }

    #[test]
    fn mirrors_stand_by_median_latency_and_those_that_rarely_answer_behind() {
        let local = Mirror { outcome: Outcome::Local, ..mirror(9, &[]) };
        let detoured = Mirror { detoured: 4, ..mirror(8, &[1, 1, 1, 1]) };
        let mirrors = vec![
            mirror(0, &[]),
            mirror(1, &[9, 10, 11, 90]),
            mirror(2, &[5]),
            mirror(3, &[80, 8, 8, 8]),
            mirror(4, &[3, 3]),
            detoured,
            local,
        ];
        assert_eq!(order(mirrors, 4), [9, 4, 3, 1, 8, 2, 0]);
    }

    #[test]
    fn runs_are_added_up() {
        let mut ranker = fastestmirror::Ranker::new();
        ranker.timeout(Duration::ZERO).expect("in range").exclude(&["x.example"]).expect("a pattern");
        let urls = ["http://a.example/", "http://x.example/", "file:///srv"];
        let mut statistics = Statistics::default();
        for _ in 0..3 {
            statistics.add(&ranker.rank(urls).expect("a ranking"));
        }
        statistics.finish(Duration::from_secs(3));
        assert_eq!((statistics.runs, statistics.excluded), (3, 1));
        let found: Vec<_> = statistics.mirrors.iter().map(|mirror| (mirror.index, mirror.outcome)).collect();
        assert_eq!(found, [(2, Outcome::Local), (0, Outcome::Unanswered)]);
        assert!(statistics.any_answered());
    }
}
