//! The public face: a setter for each option, and the call that ranks.
#![forbid(unsafe_code)]

use crate::cache::{Cache, CacheFile};
use crate::event::Event;
use crate::history::HistoryUse;
use crate::network;
use crate::options::{ALL_FALLBACKS, MAX_PATTERN_CHARS, Options, Pattern};
use crate::probe::Cancel;
use crate::rank::{self, PoolOrder};
use crate::ranking::{Candidate, Error, Ranking};
use crate::run::{self, Hooks};
use crate::url::{Family, Mirror, Protocol};
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

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
#[derive(Default)]
pub struct Ranker {
    options: Options,
    hooks: Hooks,
}

impl fmt::Debug for Ranker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranker").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Ranker {
    /// The number of fallbacks that means: measure every mirror. See [`Ranker::fallbacks`].
    pub const ALL: usize = ALL_FALLBACKS;

    /// The slack that a pool of very few hosts may be worth: 5 ms. See [`Ranker::slack`] and
    /// [`Ranking::slack_would_add`].
    pub const SUGGESTED_SLACK: Duration = rank::SUGGESTED_SLACK;

    /// Makes a ranker with the defaults that each setter names.
    pub fn new() -> Ranker {
        Ranker::default()
    }

    /// Sets how long measuring may take in all, lookups included; 0 to 3,600 s, default 2 s. With 0
    /// nothing is measured.
    ///
    /// # Errors
    /// If it is longer.
    pub fn timeout(&mut self, timeout: Duration) -> Result<&mut Ranker, Error> {
        check_duration("timeout", timeout, Duration::from_secs(3600), "at most 3600 s")?;
        self.options.timeout = timeout;
        Ok(self)
    }

    /// Sets how many hosts outside the pool are enough, so that a client whose pool fails has
    /// somewhere to go; default 16. Once the pool is proved (no other mirror can belong to it),
    /// measuring stops as soon as so many have a latency, or when as long again as proving it took
    /// has passed, at least 10 and at most 50 ms. Mirrors that are silent until then follow in the
    /// given order. With [`Ranker::ALL`] neither counts: measuring goes on until every mirror
    /// has answered or no further replies come.
    pub fn fallbacks(&mut self, fallbacks: usize) -> &mut Ranker {
        self.options.fallbacks = fallbacks;
        self
    }

    /// Sets the address family to connect over; default: both, as the system prefers.
    pub fn family(&mut self, family: Family) -> &mut Ranker {
        self.options.family = family;
        self
    }

    /// Sets the factor of the pool: mirrors nearer than this many times the best latency belong to
    /// it; 1 to 1,000, default 2.
    ///
    /// # Errors
    /// If it is outside that range or not a number.
    pub fn factor(&mut self, factor: f64) -> Result<&mut Ranker, Error> {
        if !(1.0..=1000.0).contains(&factor) {
            let allowed = "from 1 to 1000";
            return Err(Error::InvalidOption { option: "factor", value: factor.to_string(), allowed });
        }
        self.options.rule.factor = factor;
        Ok(self)
    }

    /// Sets the slack of the pool: mirrors nearer than the best latency plus this belong to it,
    /// too; 0 to 60 s, default 0. In a data center 1 ms from its nearest mirror, a factor alone
    /// leaves the whole load to that mirror; [`Ranker::SUGGESTED_SLACK`] shares it.
    ///
    /// # Errors
    /// If it is longer.
    pub fn slack(&mut self, slack: Duration) -> Result<&mut Ranker, Error> {
        check_duration("slack", slack, Duration::from_secs(60), "at most 60 s")?;
        self.options.rule.slack = slack;
        Ok(self)
    }

    /// Sets the order of the hosts in the pool; default: shuffled. Preferred hosts are first in
    /// either ([`Ranker::prefer`]), and the URLs of a host stay together.
    ///
    /// [`PoolOrder::Given`] is for lists that a server shuffles by the capacity of the mirrors,
    /// anew for each request, as MirrorManager does: the nearest mirrors then share the load in
    /// proportion to their capacity. The place of a host is that of its first URL; seed and weights
    /// have no effect. With a list that stays the same, all clients would go to the same mirror.
    pub fn pool_order(&mut self, order: PoolOrder) -> &mut Ranker {
        self.options.rule.pool_order = order;
        self
    }

    /// Sets another list by which a pool in the given order is put in order, so that several lists
    /// agree on it: the hosts stand as this list has them, followed by those that it lacks, as
    /// their own list has them. Default, and with no URL: none. Has no effect on a shuffled pool
    /// ([`Ranker::pool_order`]), nor on mirrors outside the pool.
    pub fn pool_reference(&mut self, urls: &[&str]) -> &mut Ranker {
        self.options.pool_reference =
            urls.iter().filter_map(|url| Mirror::parse(url).host().cloned()).collect();
        self
    }

    /// Sets the seed of the shuffle: with one seed, two hosts of equal weight stand in the same
    /// order in every list and on every machine. Default: from the operating system, fresh in every
    /// process, after a fork, and every hour, so that all lists of a transaction agree and the load
    /// is spread over the pool.
    pub fn seed(&mut self, seed: u64) -> &mut Ranker {
        self.options.seed = Some(seed);
        self
    }

    /// Keeps only mirrors of these protocols; default, and with none: all, including URLs of no
    /// known protocol.
    pub fn protocols(&mut self, protocols: &[Protocol]) -> &mut Ranker {
        self.options.protocols = protocols.to_vec();
        self
    }

    /// Keeps only mirrors whose host matches one of these patterns; default, and with no pattern:
    /// all. A pattern is a glob over the whole name (`*` any text, `?` any character) or a domain's
    /// suffix (`.gov`), of at most 1,024 characters. A name that is not ASCII is compared as it
    /// stands in the URL, and not in its punycode form. A URL without a host matches none.
    ///
    /// # Errors
    /// If a pattern could match no host, or is longer.
    pub fn include(&mut self, patterns: &[&str]) -> Result<&mut Ranker, Error> {
        self.options.include = read_patterns("include", patterns)?;
        Ok(self)
    }

    /// Drops the mirrors whose host matches one of these patterns (see [`Ranker::include`]), even
    /// if they are included; default: none.
    ///
    /// # Errors
    /// If a pattern could match no host, or is too long.
    pub fn exclude(&mut self, patterns: &[&str]) -> Result<&mut Ranker, Error> {
        self.options.exclude = read_patterns("exclude", patterns)?;
        Ok(self)
    }

    /// Moves mirrors whose host matches one of these patterns (see [`Ranker::include`]) to the
    /// front of the pool, and to the front of the other mirrors that have a latency; default: none.
    /// A mirror that has not answered stays where it is.
    ///
    /// # Errors
    /// If a pattern could match no host, or is too long.
    pub fn prefer(&mut self, patterns: &[&str]) -> Result<&mut Ranker, Error> {
        self.options.prefer = read_patterns("prefer", patterns)?;
        Ok(self)
    }

    /// Sets the cache file, in librepo's format, or none; default: none.
    ///
    /// A latency is remembered for the maximal age ([`Ranker::max_age`]). For one hour the file
    /// remembers that a mirror refused or was unreachable, that its name has no address or that
    /// looking it up took too long, that it is detoured
    /// ([`RankedMirror::is_detoured`](crate::RankedMirror::is_detoured)), and for how long it was
    /// silent. Such a silence counts in another list only where it is at least as long as the limit
    /// of that list's pool. Nothing is remembered if no mirror answered, or if the result is
    /// ambiguous.
    ///
    /// What is remembered is not measured again, but it is checked before it is believed: the first
    /// mirrors of the pool that it predicts are asked again ([`Ranker::check_after`]). One that is
    /// silent counts as unanswered, and a new latency replaces the old one. If none of them answers
    /// within the limit of that pool, or all that answer take less than half the remembered time,
    /// nothing that is remembered counts, and every mirror is measured.
    ///
    /// A file that cannot be used is no error but a warning in the [`Ranking`]. A relative path
    /// counts from the current directory of the process when it ranks.
    pub fn cache(&mut self, path: Option<&Path>) -> &mut Ranker {
        self.options.cache.path = path.map(Path::to_path_buf);
        self
    }

    /// Sets how old a remembered latency may be; default 30 days. With 0 nothing from before the
    /// current second counts.
    pub fn max_age(&mut self, age: Duration) -> &mut Ranker {
        self.options.cache.max_age = age;
        self
    }

    /// Sets how long a mirror that has answered is believed without being asked again: the first
    /// eight hosts of the pool that the remembered latencies predict are asked again, unless each
    /// was heard within this time, in this process or another one that uses the same cache. Default
    /// 10 minutes; with 0 they are asked in each run. Has no effect without a cache.
    pub fn check_after(&mut self, time: Duration) -> &mut Ranker {
        self.options.check_after = time;
        self
    }

    /// Keeps the seed in the cache for this long, so that a machine keeps its order of mirrors
    /// across processes, and has another one afterwards; default, and with 0: a fresh seed in every
    /// process and hour. Has no effect without a cache, or with [`Ranker::seed`].
    pub fn rotate_every(&mut self, period: Duration) -> &mut Ranker {
        self.options.cache.rotate_every = period;
        self
    }

    /// Sets what is made of what downloads have shown, as [`History`](crate::History) has written
    /// it into the cache; default: nothing. Has no effect without a cache.
    ///
    /// With [`HistoryUse::Trouble`] a mirror whose downloads failed in the last hour, although
    /// another one served that repository, stands behind all others that have a latency. It does
    /// not count for the best latency, so that the pool is made by the others. With
    /// [`HistoryUse::All`] a member of the pool with less than a quarter of the speed of the
    /// others, as far as two of its runs can tell, goes to the end of the pool, and returns after
    /// about two weeks. Preferred hosts ([`Ranker::prefer`]) stay in front of the others of the
    /// pool. Nothing is ever dropped, or moved to the front.
    /// [`RankedMirror::demotion`](crate::RankedMirror::demotion) says which mirrors these are, and
    /// why.
    pub fn history(&mut self, history: HistoryUse) -> &mut Ranker {
        self.options.history = history;
        self
    }

    /// Measures public addresses only; off by default, since private mirrors are common. For lists
    /// from others: they could otherwise make this machine connect to its own network, or ask the
    /// metadata service of a cloud.
    ///
    /// A mirror that is given by an address that is private, link-local, loopback, reserved or the
    /// like is [`Outcome::Unsupported`](crate::Outcome::Unsupported) then. So is one whose name
    /// leads to such an address, among others or alone. The list's only endpoint is measured
    /// nevertheless.
    pub fn public_only(&mut self, public_only: bool) -> &mut Ranker {
        self.options.public_only = public_only;
        self
    }

    /// Sets how many endpoints (host and port) to measure in a run at most, so that a hostile list
    /// does not turn clients into a flood; default 2,048. Endpoints beyond it, in the order given,
    /// count as unanswered.
    pub fn max_endpoints(&mut self, endpoints: usize) -> &mut Ranker {
        self.options.max_endpoints = endpoints;
        self
    }

    /// Sets how many endpoints (ports) of one host to measure at most; default 4. Endpoints beyond
    /// it count as unanswered.
    pub fn max_endpoints_per_host(&mut self, endpoints: usize) -> &mut Ranker {
        self.options.max_endpoints_per_host = endpoints;
        self
    }

    /// Sets a handle with which another thread can stop measuring early.
    pub fn cancel(&mut self, cancel: &Cancel) -> &mut Ranker {
        self.hooks.cancel = Some(cancel.clone());
        self
    }

    /// Sets a function that is called at least every 20 ms while measuring and whose `true` stops
    /// it, as [`Cancel::cancel`] does: for a flag that is set by a signal handler of somebody
    /// else's.
    pub fn interrupt_check(&mut self, check: impl FnMut() -> bool + Send + 'static) -> &mut Ranker {
        self.hooks.interrupt_check = Some(Box::new(check));
        self
    }

    /// Removes what [`Ranker::interrupt_check`] has set.
    pub fn no_interrupt_check(&mut self) -> &mut Ranker {
        self.hooks.interrupt_check = None;
        self
    }

    /// Sets the callback that is called on the ranking thread with each [`Event`] of a run.
    pub fn observer(&mut self, callback: impl FnMut(&Event<'_>) + Send + 'static) -> &mut Ranker {
        self.hooks.observer = Some(Box::new(callback));
        self
    }

    /// Removes what [`Ranker::observer`] has set.
    pub fn no_observer(&mut self) -> &mut Ranker {
        self.hooks.observer = None;
        self
    }

    /// Measures the mirrors and puts them in order. Blocks until measuring stops (see
    /// [`StopReason`](crate::StopReason)), at most for the timeout and a few milliseconds.
    ///
    /// # Errors
    /// If a weight is not positive and finite, if the filters exclude every mirror, or if the
    /// process has no file descriptor left. Mirrors that cannot be reached are no error; that is
    /// their [`Outcome`](crate::Outcome).
    pub fn rank<C: Into<Candidate>>(
        &mut self,
        candidates: impl IntoIterator<Item = C>,
    ) -> Result<Ranking, Error> {
        run::rank(candidates.into_iter().map(Into::into).collect(), &self.options, &mut self.hooks)
    }

    #[cfg(test)]
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Reads the cache file ([`Ranker::cache`]): everything in it, and whether it counts here and
    /// now, with latencies up to [`Ranker::max_age`]. Nothing is written. If a process is writing
    /// the file in place, this waits for up to 100 ms.
    ///
    /// ```no_run
    /// let mut ranker = fastestmirror::Ranker::new();
    /// for record in ranker.cache(Some("/var/cache/mirrors".as_ref())).read_cache()?.records {
    ///     println!("{} {:?}, {:?} ago", record.endpoint.host, record.remembered, record.age);
    /// }
    /// # Ok::<(), fastestmirror::Error>(())
    /// ```
    ///
    /// # Errors
    /// If no cache is set, or the file does not exist, may not be read, or is not a cache.
    pub fn read_cache(&self) -> Result<Cache, Error> {
        let (file, path) = self.cache_file()?;
        let contents = file.contents(self.time(), &network::here(), self.options.cache.max_age);
        contents.map_err(|why| Error::UnreadableCache { path: path.into(), why: why.to_string() })
    }

    /// Removes from the cache file what is remembered of the hosts that match one of these patterns
    /// (see [`Ranker::include`]): latencies, librepo's own among them, and failures. Returns how
    /// many records that were. All else in the file stays as it is, except that librepo's records
    /// of URLs with a password lose that, as in each write. If nothing matches, nothing is written.
    ///
    /// # Errors
    /// If no cache is set, if a pattern could match no host or is too long, or if the file does not
    /// exist, is not a cache, or cannot be written.
    pub fn forget(&self, hosts: &[&str]) -> Result<usize, Error> {
        self.forget_matching(Some(&read_patterns("hosts", hosts)?))
    }

    /// Removes all records from the cache file, also those of mirrors over other protocols. It
    /// stays a cache, with its mode and owner, and keeps the seed if it has one. Returns how many
    /// records there were.
    ///
    /// # Errors
    /// As [`Ranker::forget`].
    pub fn forget_all(&self) -> Result<usize, Error> {
        self.forget_matching(None)
    }

    fn forget_matching(&self, hosts: Option<&[Pattern]>) -> Result<usize, Error> {
        // Before it is written: a file that is something else is a mistake of the caller's, and not
        // of the system.
        self.read_cache()?;
        let (file, path) = self.cache_file()?;
        let forgotten = file.forget(hosts, self.time());
        forgotten.map_err(|why| Error::UnwritableCache { path: path.into(), why: why.to_string() })
    }

    fn cache_file(&self) -> Result<(CacheFile, &Path), Error> {
        let path = self.options.cache.path.as_deref();
        let path = path.ok_or_else(|| Error::InvalidOption {
            option: "cache",
            value: "none".into(),
            allowed: "a file",
        })?;
        Ok((CacheFile::new(path), path))
    }

    fn time(&self) -> SystemTime {
        self.options.now.unwrap_or_else(SystemTime::now)
    }

    /// Sets the time of day.
    #[cfg(test)]
    pub(crate) fn now(&mut self, now: std::time::SystemTime) -> &mut Ranker {
        self.options.now = Some(now);
        self
    }
}

fn check_duration(
    option: &'static str,
    value: Duration,
    most: Duration,
    allowed: &'static str,
) -> Result<(), Error> {
    if value > most {
        return Err(Error::InvalidOption { option, value: format!("{value:?}"), allowed });
    }
    Ok(())
}

fn read_patterns(option: &'static str, patterns: &[&str]) -> Result<Vec<Pattern>, Error> {
    const _: () = assert!(MAX_PATTERN_CHARS == 1024);
    let allowed = "a host name, in which * stands for any text and ? for any character, or a suffix such as \
                   .gov; at most 1024 characters";
    let mut read = Vec::with_capacity(patterns.len());
    for text in patterns {
        match Pattern::new(text) {
            Some(pattern) => read.push(pattern),
            None => return Err(Error::InvalidOption { option, value: format!("{text:?}"), allowed }),
        }
    }
    Ok(read)
}
