//! Options, and the one path through all of it: URLs in, endpoints measured, outcomes ranked, an order out.
#![forbid(unsafe_code)]

mod memory;
mod run;

use crate::event::Event;
use crate::filter::Pattern;
use crate::probe::Cancel;
use crate::rank::Rule;
use crate::ranking::{Candidate, Error, Ranking};
use crate::sys::Family;
use crate::url::{Host, Mirror, Protocol};
use run::Run;
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Candidates, read.
pub(crate) struct List {
    candidates: Vec<Candidate>,
    mirrors: Vec<Mirror>,
    excluded: Vec<bool>,
}

/// Ranks mirrors.
///
/// ```
/// use fastestmirror::{Outcome, Ranker};
/// use std::time::Duration;
///
/// let ranking = Ranker::new()
///     .timeout(Duration::from_millis(500))?
///     .rank(["http://127.0.0.1:9/closed", "file:///srv/mirror"])?;
/// let order: Vec<_> = ranking.mirrors.iter().map(|mirror| mirror.url.as_str()).collect();
/// assert_eq!(order, ["file:///srv/mirror", "http://127.0.0.1:9/closed"]);
/// assert_eq!(ranking.mirrors[1].outcome, Outcome::Refused);
/// # Ok::<(), fastestmirror::Error>(())
/// ```
pub struct Ranker {
    timeout: Duration,
    fallbacks: usize,
    family: Family,
    rule: Rule,
    seed: Option<u64>,
    protocols: Vec<Protocol>,
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    prefer: Vec<Pattern>,
    memory: memory::Options,
    /// The time of day, for tests.
    now: Option<SystemTime>,
    max_endpoints: usize,
    max_endpoints_per_host: usize,
    cancel: Option<Cancel>,
    interrupt_check: Option<Box<InterruptCheck>>,
    observer: Option<Box<Observer>>,
}

type InterruptCheck = dyn FnMut() -> bool + Send;
type Observer = dyn FnMut(&Event<'_>) + Send;

impl fmt::Debug for Ranker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranker")
            .field("timeout", &self.timeout)
            .field("fallbacks", &self.fallbacks)
            .field("family", &self.family)
            .field("rule", &self.rule)
            .field("seed", &self.seed)
            .field("protocols", &self.protocols)
            .field("include", &self.include)
            .field("exclude", &self.exclude)
            .field("prefer", &self.prefer)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

impl Default for Ranker {
    fn default() -> Ranker {
        Ranker::new()
    }
}

impl Ranker {
    /// The fallbacks that mean: measure every mirror. See [`Ranker::fallbacks`].
    pub const ALL: usize = usize::MAX;

    /// A ranker with the defaults that each option names.
    pub fn new() -> Ranker {
        Ranker {
            timeout: Duration::from_secs(2),
            fallbacks: 16,
            family: Family::Any,
            rule: Rule { factor: 2.0, slack: Duration::ZERO },
            seed: None,
            protocols: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            prefer: Vec::new(),
            memory: memory::Options::default(),
            now: None,
            max_endpoints: 2048,
            max_endpoints_per_host: 4,
            cancel: None,
            interrupt_check: None,
            observer: None,
        }
    }

    /// How long measuring may take in all, look-ups included; 0 to 3,600 s, default 2 s. With 0 nothing is
    /// measured.
    ///
    /// # Errors
    /// If it is longer.
    pub fn timeout(&mut self, timeout: Duration) -> Result<&mut Ranker, Error> {
        let allowed = "at most 3600 s";
        self.timeout =
            within("timeout", timeout, timeout <= Duration::from_secs(3600), allowed, |t| format!("{t:?}"))?;
        Ok(self)
    }

    /// How many hosts outside the pool to measure before ending early, so that a client whose pool fails has
    /// somewhere to go; default 16. With [`Ranker::ALL`] measuring goes on until every mirror has answered or
    /// nothing is heard any more.
    pub fn fallbacks(&mut self, fallbacks: usize) -> &mut Ranker {
        self.fallbacks = fallbacks;
        self
    }

    /// The address family to connect over; default: both, as the system prefers.
    pub fn family(&mut self, family: Family) -> &mut Ranker {
        self.family = family;
        self
    }

    /// The pool holds what is nearer than this many times the best; 1 to 1,000, default 2.
    ///
    /// # Errors
    /// If it is outside that range or not a number.
    pub fn factor(&mut self, factor: f64) -> Result<&mut Ranker, Error> {
        let fine = (1.0..=1000.0).contains(&factor);
        self.rule.factor = within("factor", factor, fine, "from 1 to 1000", |f| f.to_string())?;
        Ok(self)
    }

    /// The pool holds what is nearer than the best plus this, too; 0 to 60 s, default 0. In a data centre 1 ms
    /// from its nearest mirror a factor alone leaves that mirror alone with the load.
    ///
    /// # Errors
    /// If it is longer.
    pub fn slack(&mut self, slack: Duration) -> Result<&mut Ranker, Error> {
        let allowed = "at most 60 s";
        self.rule.slack =
            within("slack", slack, slack <= Duration::from_secs(60), allowed, |s| format!("{s:?}"))?;
        Ok(self)
    }

    /// The seed of the shuffle: one seed gives two hosts of equal weight the same order in every list and on
    /// every machine. Default: from the operating system, fresh in every process, after a fork, and every hour,
    /// so that all lists of a transaction agree and the load is spread over the pool.
    pub fn seed(&mut self, seed: u64) -> &mut Ranker {
        self.seed = Some(seed);
        self
    }

    /// Keeps only mirrors of these protocols; default, and with none: all, and what is of no known protocol too.
    pub fn protocols(&mut self, protocols: &[Protocol]) -> &mut Ranker {
        self.protocols = protocols.to_vec();
        self
    }

    /// Keeps only mirrors whose host matches one of these patterns; default, and with no pattern: all. A pattern is
    /// a glob over the whole name (`*` any text, `?` any character) or a domain's suffix (`.gov`). A URL without a
    /// host matches none.
    ///
    /// # Errors
    /// If a pattern could match no host.
    pub fn include(&mut self, patterns: &[&str]) -> Result<&mut Ranker, Error> {
        self.include = read_patterns("include", patterns)?;
        Ok(self)
    }

    /// Drops the mirrors whose host matches one of these patterns (see [`Ranker::include`]), included or not;
    /// default: none.
    ///
    /// # Errors
    /// If a pattern could match no host.
    pub fn exclude(&mut self, patterns: &[&str]) -> Result<&mut Ranker, Error> {
        self.exclude = read_patterns("exclude", patterns)?;
        Ok(self)
    }

    /// Moves mirrors whose host matches one of these patterns (see [`Ranker::include`]) to the front, within the
    /// pool and within the rest that has a latency; default: none. A mirror that has not answered stays where it is.
    ///
    /// # Errors
    /// If a pattern could match no host.
    pub fn prefer(&mut self, patterns: &[&str]) -> Result<&mut Ranker, Error> {
        self.prefer = read_patterns("prefer", patterns)?;
        Ok(self)
    }

    /// A file in which latencies are remembered, in librepo's format, or none; default: none. What is remembered is not
    /// measured again: a latency for the maximal age; for an hour that a mirror failed, or was outside the pool. Where
    /// others have to be measured, the nearest one of those remembered is measured with them: if it answers, the network
    /// is up, and who is silent is down. A file that cannot be used is no error but a note in the [`Ranking`]. A relative
    /// path counts from the folder that
    /// the process is in when it ranks.
    pub fn cache(&mut self, path: Option<&Path>) -> &mut Ranker {
        self.memory.cache = path.map(Path::to_path_buf);
        self
    }

    /// How old a remembered latency may be; default 30 days. With 0 nothing from before this second counts.
    pub fn max_age(&mut self, age: Duration) -> &mut Ranker {
        self.memory.max_age = age;
        self
    }

    /// Keeps the seed in the cache for this long, so that a machine keeps its order of mirrors across processes, and
    /// has another one afterwards; default, and with 0: a fresh seed in every process and hour. Without a cache, or
    /// with a seed of the caller's, it has no effect.
    pub fn rotate_every(&mut self, period: Duration) -> &mut Ranker {
        self.memory.rotate = period;
        self
    }

    /// How many endpoints to measure in a run at most, so that a hostile list does not turn clients into a
    /// flood; default 2,048. Those beyond, in the order given, count as unanswered.
    pub fn max_endpoints(&mut self, endpoints: usize) -> &mut Ranker {
        self.max_endpoints = endpoints;
        self
    }

    /// How many endpoints (ports) of one host to measure at most; default 4. Those beyond count as unanswered.
    pub fn max_endpoints_per_host(&mut self, endpoints: usize) -> &mut Ranker {
        self.max_endpoints_per_host = endpoints;
        self
    }

    /// A handle with which another thread can end measuring early.
    pub fn cancel(&mut self, cancel: &Cancel) -> &mut Ranker {
        self.cancel = Some(cancel.clone());
        self
    }

    /// Sets a function that is called at least every 20 ms while measuring and whose `true` stops it, as
    /// [`Cancel::cancel`] does: for a flag that a signal handler sets which the program does not own.
    pub fn interrupt_check(&mut self, check: impl FnMut() -> bool + Send + 'static) -> &mut Ranker {
        self.interrupt_check = Some(Box::new(check));
        self
    }

    /// Takes away what [`Ranker::interrupt_check`] has set.
    pub fn no_interrupt_check(&mut self) -> &mut Ranker {
        self.interrupt_check = None;
        self
    }

    /// Sets the callback that is called on the ranking thread with each [`Event`] of a run.
    pub fn observer(&mut self, callback: impl FnMut(&Event<'_>) + Send + 'static) -> &mut Ranker {
        self.observer = Some(Box::new(callback));
        self
    }

    /// Takes away what [`Ranker::observer`] has set.
    pub fn no_observer(&mut self) -> &mut Ranker {
        self.observer = None;
        self
    }

    fn notify(&mut self, event: &Event<'_>) {
        if let Some(observer) = &mut self.observer {
            observer(event);
        }
    }

    /// Measures the mirrors and puts them in order. Blocks until measuring ends (see [`StopReason`](crate::StopReason)), at most for the
    /// timeout and a few milliseconds.
    ///
    /// # Errors
    /// If a weight is not positive and finite, if the filters exclude every mirror, or if the process has no
    /// descriptor left. That mirrors cannot be reached is not an error but their [`Outcome`](crate::Outcome).
    pub fn rank<C: Into<Candidate>>(
        &mut self,
        candidates: impl IntoIterator<Item = C>,
    ) -> Result<Ranking, Error> {
        self.rank_all(candidates.into_iter().map(Into::into).collect())
    }

    fn rank_all(&mut self, candidates: Vec<Candidate>) -> Result<Ranking, Error> {
        let list = self.read(candidates)?;
        let mut run = Run::begin(self, list);
        if let Some(path) = self.memory.cache.clone() {
            self.notify(&Event::CacheRead { path: &path, problem: run.cache_problem() });
        }
        run.measure(self)?;
        let ranking = run.conclude(self);
        self.notify(&Event::Ranked(&ranking));
        Ok(ranking)
    }

    /// Reads the candidates.
    ///
    /// # Errors
    /// If a weight is not positive and finite, or if the filters exclude every mirror.
    fn read(&self, candidates: Vec<Candidate>) -> Result<List, Error> {
        let fine = |weight: f64| weight > 0.0 && weight.is_finite();
        if let Some(bad) = candidates.iter().find(|candidate| !fine(candidate.weight)) {
            return Err(Error::InvalidWeight { url: bad.url.clone(), weight: bad.weight });
        }
        let mirrors: Vec<Mirror> = candidates.iter().map(|candidate| Mirror::parse(&candidate.url)).collect();
        let excluded: Vec<bool> = mirrors.iter().map(|mirror| self.excludes(mirror)).collect();
        if !candidates.is_empty() && excluded.iter().all(|&excluded| excluded) {
            return Err(Error::AllExcluded { mirrors: candidates.len() });
        }
        Ok(List { candidates, mirrors, excluded })
    }

    fn excludes(&self, mirror: &Mirror) -> bool {
        let allowed = mirror.protocol().is_some_and(|protocol| self.protocols.contains(&protocol));
        (!self.protocols.is_empty() && !allowed)
            || (!self.include.is_empty() && !matches_any(&self.include, mirror.host()))
            || matches_any(&self.exclude, mirror.host())
    }

    /// Whether the host may have an address of the family asked for.
    fn can_reach(&self, host: &Host) -> bool {
        match (self.family, host) {
            (Family::Ipv4, Host::Address(ip)) => ip.is_ipv4(),
            (Family::Ipv6, Host::Address(ip)) => ip.is_ipv6(),
            _ => true,
        }
    }
}

fn matches_any(patterns: &[Pattern], host: Option<&Host>) -> bool {
    host.is_some_and(|host| patterns.iter().any(|pattern| pattern.matches(host)))
}

fn read_patterns(option: &'static str, patterns: &[&str]) -> Result<Vec<Pattern>, Error> {
    let allowed =
        "a host name, in which * stands for any text and ? for any character, or a suffix such as .gov";
    let read = |text: &&str| {
        Pattern::new(text).ok_or_else(|| Error::InvalidOption { option, value: format!("{text:?}"), allowed })
    };
    patterns.iter().map(read).collect()
}

/// The value, or an error that names option and value if it is not `fine`.
fn within<T: Copy>(
    option: &'static str,
    value: T,
    fine: bool,
    allowed: &'static str,
    show: impl Fn(T) -> String,
) -> Result<T, Error> {
    if fine { Ok(value) } else { Err(Error::InvalidOption { option, value: show(value), allowed }) }
}

#[cfg(test)]
mod tests;
