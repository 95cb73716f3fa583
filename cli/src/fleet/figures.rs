//! What the choices of the clients mean: shares, loads, latencies.

use super::world::{Mirror, Place};
use std::time::Duration;

/// The figures of a place under a policy; averaged, if there are several worlds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    /// The share of the clients that each mirror serves, in the order of the mirrors.
    pub(crate) shares: Vec<f64>,
    /// The same shares, the highest first: of several worlds, the mean of the highest, and so on.
    pub(crate) sorted_shares: Vec<f64>,
    /// The share of the mirror that serves most.
    pub(crate) busiest_share: f64,
    /// The highest ratio of a mirror's load, at the worst time of the day, to its capacity.
    pub(crate) worst_load: f64,
    /// The number of mirrors, the busiest first, that serve half of the clients.
    pub(crate) half_load_mirrors: f64,
    /// The Gini coefficient of the shares: 0 if all are equal, and nearly 1 if one has all.
    pub(crate) gini: f64,
    /// The true latency between clients and their mirrors, in milliseconds: the mean ...
    pub(crate) mean_rtt: f64,
    /// ... the median ...
    pub(crate) p50: f64,
    /// ... and the 95th percentile.
    pub(crate) p95: f64,
    /// The number of mirrors with more load than capacity, at the worst time of the day.
    pub(crate) overloaded: f64,
}

impl Figures {
    /// From how many clients of each view chose each mirror, where all clients of the place
    /// together ask for this many Gbit/s.
    pub(crate) fn new(place: &Place, mirrors: &[Mirror], counts: &[Vec<u64>], demand: f64) -> Figures {
        let total: u64 = counts.iter().flatten().sum();
        let of_all = |count: u64| count as f64 / (total.max(1)) as f64;
        let served = |mirror: usize| counts.iter().map(|view| view[mirror]).sum();
        let shares: Vec<f64> = (0..mirrors.len()).map(|mirror| of_all(served(mirror))).collect();
        let mut sorted = shares.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let loads = || shares.iter().zip(mirrors).map(|(share, mirror)| share * demand / mirror.capacity);

        let mut latencies: Vec<(Duration, u64)> = Vec::new();
        for (view, counts) in place.views.iter().zip(counts) {
            let chosen = view.latencies.iter().zip(counts).filter(|(_, count)| **count > 0);
            latencies.extend(chosen.map(|(&latency, &count)| (latency, count)));
        }
        latencies.sort();
        let milliseconds = |latency: Duration| latency.as_nanos() as f64 / 1e6;
        let mean = latencies.iter().map(|&(latency, count)| milliseconds(latency) * of_all(count)).sum();
        let percentile = |percent: u64| {
            let mut missing = (total * percent).div_ceil(100);
            for &(latency, count) in &latencies {
                if count >= missing {
                    return milliseconds(latency);
                }
                missing -= count;
            }
            0.0
        };

        Figures {
            busiest_share: sorted.first().copied().unwrap_or(0.0),
            worst_load: loads().fold(0.0, f64::max),
            half_load_mirrors: half(&sorted) as f64,
            gini: gini(&sorted),
            mean_rtt: mean,
            p50: percentile(50),
            p95: percentile(95),
            overloaded: loads().filter(|&load| load > 1.0).count() as f64,
            shares,
            sorted_shares: sorted,
        }
    }

    /// The mean of the figures of several worlds. For the share of the busiest mirror, for
    /// example, that is the mean of the busiest of each world.
    pub(crate) fn mean(worlds: &[Figures]) -> Figures {
        let mean = |get: fn(&Figures) -> f64| worlds.iter().map(get).sum::<f64>() / worlds.len() as f64;
        let each = |get: fn(&Figures) -> &Vec<f64>| -> Vec<f64> {
            let count = get(&worlds[0]).len();
            let mean = |n: usize| worlds.iter().map(|world| get(world)[n]).sum::<f64>() / worlds.len() as f64;
            (0..count).map(mean).collect()
        };
        Figures {
            shares: each(|world| &world.shares),
            sorted_shares: each(|world| &world.sorted_shares),
            busiest_share: mean(|world| world.busiest_share),
            worst_load: mean(|world| world.worst_load),
            half_load_mirrors: mean(|world| world.half_load_mirrors),
            gini: mean(|world| world.gini),
            mean_rtt: mean(|world| world.mean_rtt),
            p50: mean(|world| world.p50),
            p95: mean(|world| world.p95),
            overloaded: mean(|world| world.overloaded),
        }
    }
}

/// How many of the highest shares make up half of all.
fn half(sorted: &[f64]) -> usize {
    let mut sum = 0.0;
    for (count, share) in (1..).zip(sorted) {
        sum += share;
        // Shares of equal mirrors may add up to a little less than they should.
        if sum >= 0.5 - 1e-9 {
            return count;
        }
    }
    sorted.len()
}

/// The mean difference between two shares, in terms of twice the mean share.
fn gini(sorted: &[f64]) -> f64 {
    let (count, sum) = (sorted.len() as f64, sorted.iter().sum::<f64>());
    // The highest has the rank n, the lowest 1.
    let weighted: f64 = sorted.iter().enumerate().map(|(n, share)| (count - n as f64) * share).sum();
    if sum > 0.0 { 2.0 * weighted / (count * sum) - (count + 1.0) / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_equal_mirrors_have_closed_forms() {
        for (equal, all) in [(1, 1), (1, 421), (3, 5), (4, 5), (5, 5), (10, 421)] {
            let share = |n: usize| if n < equal { 1.0 / equal as f64 } else { 0.0 };
            let shares: Vec<f64> = (0..all).map(share).collect();
            let expected = 1.0 - equal as f64 / all as f64;
            assert!((gini(&shares) - expected).abs() < 1e-12, "{equal} of {all}");
            assert_eq!(half(&shares), equal.div_ceil(2), "{equal} of {all}");
        }
    }
}
