//! The policies, and how a client chooses its mirror by each. Those that rank do so with the
//! library's own rule.

use super::world::{View, World};
use fastestmirror::PoolOrder;
use fastestmirror::internals::fleet::{Rule, Seen};
use lab::Random;
use std::time::Duration;

/// A policy by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Strict,
    Factor,
    FactorSlack,
    Given,
    Weights,
    Server,
    Random,
}

impl Policy {
    pub(crate) const ALL: [Policy; 7] = [
        Policy::Strict,
        Policy::Factor,
        Policy::FactorSlack,
        Policy::Given,
        Policy::Weights,
        Policy::Server,
        Policy::Random,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Policy::Strict => "strict",
            Policy::Factor => "factor",
            Policy::FactorSlack => "factor+slack",
            Policy::Given => "given",
            Policy::Weights => "weights",
            Policy::Server => "server",
            Policy::Random => "random",
        }
    }

    /// What a client does under this policy.
    pub(crate) fn choice(self, factor: f64, slack: Duration) -> Choice {
        match self {
            // A factor of 1 leaves the pool empty, and the nearest leads.
            Policy::Strict => Choice::uniform(1.0, Duration::ZERO),
            Policy::Factor => Choice::uniform(factor, Duration::ZERO),
            Policy::FactorSlack => Choice::uniform(factor, slack),
            Policy::Given => Choice::Ranked(Rule::new(factor, slack, PoolOrder::Given), Pool::Listed),
            Policy::Weights => {
                Choice::Ranked(Rule::new(factor, Duration::ZERO, PoolOrder::Shuffled), Pool::Weighted)
            }
            Policy::Server => Choice::Server,
            Policy::Random => Choice::Random,
        }
    }
}

/// How a client chooses its mirror.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Choice {
    /// It measures, and ranks with the rule.
    Ranked(Rule, Pool),
    /// It takes the first mirror of a server's list, which is shuffled for each client.
    Server,
    /// It takes any mirror.
    Random,
}

/// The order of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Shuffled, every mirror alike.
    Uniform,
    /// Shuffled with the capacities as weights.
    Weighted,
    /// That of the list, which the server shuffles for each client with the capacities as weights.
    Listed,
}

impl Choice {
    pub(crate) fn uniform(factor: f64, slack: Duration) -> Choice {
        Choice::Ranked(Rule::new(factor, slack, PoolOrder::Shuffled), Pool::Uniform)
    }
}

/// The streams of a client's seed.
const NOISE: u64 = 1;
const LIST: u64 = 2;
const PICK: u64 = 3;

/// One client at a time, which chooses by one policy after the other from the same measurements.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    world: &'a World,
    view: &'a View,
    seed: u64,
    noise: Random,
    /// What it has measured so far, of the nearest mirrors.
    measured: Vec<Duration>,
    /// Those mirrors in the order of its list, with the keys of their shuffle.
    listed: Vec<(f64, usize)>,
    list: Vec<Seen>,
    rest: Vec<usize>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(world: &'a World, view: &'a View) -> Client<'a> {
        Client {
            world,
            view,
            seed: 0,
            noise: Random::new(0, NOISE),
            measured: Vec::new(),
            listed: Vec::new(),
            list: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Makes it the next client, which has this seed and has measured nothing yet.
    pub(crate) fn reset(&mut self, seed: u64) {
        self.seed = seed;
        self.noise = Random::new(seed, NOISE);
        self.measured.clear();
    }

    /// Returns the mirror that serves the client: the first one of its order that is not dead.
    pub(crate) fn choose(&mut self, choice: &Choice) -> usize {
        match choice {
            Choice::Ranked(rule, pool) => {
                let count = self.measure(rule);
                self.rank(rule, *pool, count)
            }
            Choice::Server => self.pick(Some(&self.view.server)),
            Choice::Random => self.pick(None),
        }
    }

    /// Measures the nearest mirrors, until no further one can be in the pool, nor lead. Returns how
    /// many these are.
    ///
    /// Noise makes no latency lower, and the limit of the pool is never below the best latency. So
    /// as soon as the true latency of the next mirror has reached the limit of those before it,
    /// neither that one nor any behind it can belong to the pool or lower its limit.
    fn measure(&mut self, rule: &Rule) -> usize {
        let mut limit = Duration::MAX;
        let mut best = Duration::MAX;
        for (count, &mirror) in self.view.nearest.iter().enumerate() {
            let truth = self.view.latencies[mirror];
            if truth >= limit {
                return count;
            }
            if count == self.measured.len() {
                let delay = -(1.0 - self.noise.unit()).ln() * self.world.noise.as_nanos() as f64;
                self.measured.push(truth + Duration::from_nanos(delay as u64));
            }
            if self.measured[count] < best {
                best = self.measured[count];
                limit = rule.limit(best);
            }
        }
        self.view.nearest.len()
    }

    /// How many mirrors it has measured.
    #[cfg(test)]
    pub(crate) fn measured(&self) -> usize {
        self.measured.len()
    }

    /// Ranks all mirrors, which it has measured, where `choose` ranks those that can matter.
    #[cfg(test)]
    pub(crate) fn choose_of_all(&mut self, choice: &Choice) -> usize {
        match choice {
            Choice::Ranked(rule, pool) => self.rank(rule, *pool, self.measured.len()),
            _ => self.choose(choice),
        }
    }

    /// Ranks so many of the nearest mirrors.
    fn rank(&mut self, rule: &Rule, pool: Pool, count: usize) -> usize {
        let (mirrors, nearest) = (&self.world.mirrors, &self.view.nearest[..count]);
        let capacity = |host: usize| mirrors[nearest[host]].capacity;
        self.listed.clear();
        self.listed.extend((0..count).map(|host| (0.0, host)));
        if pool == Pool::Listed {
            // Exponential keys, as in the library's shuffle. The mirrors that are left out here
            // do not change the order of these.
            let mut random = Random::new(self.seed, LIST);
            for (key, host) in &mut self.listed {
                *key = -(1.0 - random.unit()).ln() / capacity(*host);
            }
            self.listed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        }
        let seen = |&(_, host): &(f64, usize)| {
            let weight = if pool == Pool::Weighted { capacity(host) } else { 1.0 };
            Seen { host, latency: self.measured[host], weight }
        };
        self.list.clear();
        self.list.extend(self.listed.iter().map(seen));
        let order = self.view.hosts.rank(count, &self.list, rule, self.seed);
        nearest[self.list[order[0]].host]
    }

    /// Tries the mirrors in random order, these or all, until one is not dead. If all of these are
    /// dead, it goes on with all.
    fn pick(&mut self, among: Option<&'a [usize]>) -> usize {
        let mut random = Random::new(self.seed, PICK);
        let mirrors = &self.world.mirrors;
        self.rest.clear();
        match among {
            Some(among) => self.rest.extend(among),
            None => self.rest.extend(0..mirrors.len()),
        }
        while !self.rest.is_empty() {
            let position = (random.next_u64() % self.rest.len() as u64) as usize;
            let mirror = self.rest.swap_remove(position);
            if !mirrors[mirror].is_dead {
                return mirror;
            }
        }
        self.pick(None)
    }
}
