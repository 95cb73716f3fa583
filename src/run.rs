//! One run, from list to order: what is remembered, what is measured, what comes of it. Its steps
//! are reported to one observer.
#![forbid(unsafe_code)]

mod knowledge;

use crate::cache::{self, CacheSession, Finding, KeptSeed, RecordName, Remembered};
use crate::event::{Event, Progress};
use crate::fault;
use crate::history::{self, Demotion, HistoryUse, Observation};
use crate::hosts::{EndpointId, HostId, ListedEndpoint};
use crate::list::{List, Target};
use crate::network;
use crate::options::Options;
use crate::outcome::{Outcome, StopReason, TriedAddress};
use crate::probe::{self, AttemptCounts, Cancel, GRACE, Job, ProbeResult, ProbeTarget};
use crate::rank::{self, Entry, Ranked};
use crate::ranking::{Candidate, Error, RankedMirror, Ranking};
use crate::seed;
use crate::url::Family;
use knowledge::Knowledge;
use std::collections::{HashMap, HashSet, hash_map};
use std::mem;
use std::net::IpAddr;
use std::time::{Instant, SystemTime};

/// What the caller wants to be called, or asked, during a run.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) cancel: Option<Cancel>,
    pub(crate) interrupt_check: Option<Box<InterruptCheck>>,
    pub(crate) observer: Option<Box<Observer>>,
}

pub(crate) type InterruptCheck = dyn FnMut() -> bool + Send;
pub(crate) type Observer = dyn FnMut(&Event<'_>) + Send;

impl Hooks {
    fn notify(&mut self, event: &Event<'_>) {
        if let Some(observer) = &mut self.observer {
            observer(event);
        }
    }

    fn is_cancelled(&mut self) -> bool {
        self.cancel.as_ref().is_some_and(Cancel::is_cancelled)
            || self.interrupt_check.as_mut().is_some_and(|check| check())
    }
}

/// Measures the candidates and puts them in order.
///
/// # Errors
/// See [`Ranker::rank`](crate::Ranker::rank).
pub(crate) fn rank(
    candidates: Vec<Candidate>,
    options: &Options,
    hooks: &mut Hooks,
) -> Result<Ranking, Error> {
    fault::point("run");
    let start = Instant::now();
    // std's hash tables panic where there are none.
    seed::check_random_numbers().map_err(Error::System)?;
    let list = List::read(candidates, options)?;
    let cache =
        CacheSession::open(&options.cache, options.history, options.now.unwrap_or_else(SystemTime::now));
    if let Some(path) = &options.cache.path {
        hooks.notify(&Event::CacheRead { path, problem: cache.problem() });
    }
    let mut run = Run::new(list, options, cache, start)?;
    run.measure(hooks)?;
    let ranking = run.finish();
    hooks.notify(&Event::Ranked(&ranking));
    Ok(ranking)
}

/// How many hosts of the pool that the remembered latencies predict are checked: as many as a
/// client may come to try.
const CHECKED_HOSTS: usize = 8;
/// After so many checks that changed the prediction, everything is measured.
const MAX_CHECKS: usize = 3;

/// What a pass over some endpoints is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To confirm what is remembered of them.
    Check,
    /// To find out about them.
    Measure,
}

struct Run<'a> {
    options: &'a Options,
    start: Instant,
    list: List,
    cache: CacheSession,
    knowledge: Knowledge,
    /// Why mirrors are in trouble, by their position in the list; empty if none is.
    troubles: Vec<Option<Demotion>>,
    seed: u64,
    /// The seed to keep in the cache, if it is a new one.
    seed_to_keep: Option<KeptSeed>,
    attempts: AttemptCounts,
    /// What was tried so far, in the order of the passes.
    tried: Vec<(EndpointId, TriedAddress)>,
    progress: Progress,
    stop_reason: StopReason,
    warnings: Vec<String>,
}

impl<'a> Run<'a> {
    /// # Errors
    /// If the system has no random numbers.
    fn new(list: List, options: &'a Options, cache: CacheSession, start: Instant) -> Result<Run<'a>, Error> {
        let (seed, seed_to_keep) = match options.seed {
            Some(seed) => (seed, None),
            None => cache.seed().map_err(Error::System)?,
        };
        let mut troubles = Vec::new();
        let mut is_troubled = vec![false; list.endpoints.len()];
        // Most runs use no history, and a list may have a million mirrors.
        if cache.downloads().has_troubles() {
            // An endpoint with any sound mirror is sound.
            is_troubled.fill(true);
            for mirror in &list.mirrors {
                let trouble = cache.downloads().trouble(&mirror.url);
                if let (Target::Remote { endpoint: Some(EndpointId(id)), .. }, None) =
                    (mirror.target, trouble)
                {
                    is_troubled[id] = false;
                }
                troubles.push(trouble);
            }
        }
        Ok(Run {
            options,
            start,
            knowledge: Knowledge::recall(&list, &cache, &is_troubled, options),
            troubles,
            list,
            cache,
            seed,
            seed_to_keep,
            attempts: AttemptCounts::default(),
            tried: Vec::new(),
            progress: Progress { completed: 0, total: 0, best: None },
            stop_reason: StopReason::Idle,
            warnings: Vec::new(),
        })
    }

    /// Checks what is remembered, as far as the order depends on it, and measures the endpoints of
    /// which nothing is known.
    ///
    /// # Errors
    /// If the process has no file descriptor left.
    fn measure(&mut self, hooks: &mut Hooks) -> Result<(), Error> {
        let (due, unknown) = (self.due().len(), self.knowledge.unknown().len());
        let control = unknown > 0 && due == 0 && self.knowledge.control().is_some();
        self.progress.total = due + unknown + usize::from(control);
        if self.progress.total == 0 {
            return Ok(());
        }
        if !self.options.timeout.is_zero() {
            hooks.notify(&Event::Measuring { endpoints: self.progress.total });
        }
        for check in 1.. {
            let due = self.due();
            if due.is_empty() {
                break;
            }
            let is_confirmed = self.check(&due, hooks)?;
            if !self.may_go_on() {
                return Ok(());
            }
            if !is_confirmed || check == MAX_CHECKS {
                // Another place behind the same gateway, a captive portal, or a network that has
                // changed.
                self.knowledge.forget();
            }
        }
        // The limit may turn out to be higher than it was when a silence was long enough for it.
        // What is unknown then is measured once more.
        for _ in 0..2 {
            let mut unknown = self.knowledge.unknown();
            if unknown.is_empty() {
                break;
            }
            // The control is measured last. If only dead mirrors are left to measure, its answer
            // shows that they are down and not the network, so that they can be remembered as such.
            let control = self.knowledge.control();
            unknown.extend(control.map(|control| self.knowledge.target(control)));
            let results = self.pass(&unknown, Purpose::Measure, hooks)?;
            for (&ProbeTarget { endpoint, .. }, result) in unknown.iter().zip(results) {
                self.knowledge.learn(endpoint, result, Some(endpoint) == control);
            }
            if !self.may_go_on() {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether there may be another pass.
    fn may_go_on(&self) -> bool {
        !matches!(self.stop_reason, StopReason::Timeout | StopReason::Cancelled)
    }

    /// Returns what is to be checked before it is believed: the endpoints of the first hosts of the
    /// predicted pool, unless they were heard a short while ago.
    fn due(&self) -> Vec<ProbeTarget> {
        // Most runs have no cache, and no prediction to rank.
        if !self.knowledge.is_any_due(self.options.check_after) {
            return Vec::new();
        }
        let (ranked, _) = self.ranked(&self.results());
        let (mut hosts, mut due) = (Vec::new(), Vec::new());
        for &index in ranked.order.iter().filter(|&&index| ranked.pool[index]) {
            let Target::Remote { host, endpoint: Some(endpoint), .. } = self.list.mirrors[index].target
            else {
                continue;
            };
            if !hosts.contains(&host) {
                if hosts.len() == CHECKED_HOSTS {
                    break;
                }
                hosts.push(host);
            }
            let is_new = due.iter().all(|target: &ProbeTarget| target.endpoint != endpoint);
            if is_new
                && due.len() < CHECKED_HOSTS
                && self.knowledge.is_due(endpoint, self.options.check_after)
            {
                due.push(self.knowledge.target(endpoint));
            }
        }
        due
    }

    /// Measures endpoints whose latency is remembered. Returns whether that confirms what is
    /// remembered: one of them answered in time to be in the predicted pool, and not all that
    /// answered are nearer than half of what was remembered.
    ///
    /// # Errors
    /// If the process has no file descriptor left.
    fn check(&mut self, due: &[ProbeTarget], hooks: &mut Hooks) -> Result<bool, Error> {
        let limit = self.knowledge.limit().unwrap_or_default() + GRACE;
        let mut is_confirmed = false;
        let results = self.pass(due, Purpose::Check, hooks)?;
        for (&ProbeTarget { endpoint, .. }, result) in due.iter().zip(results) {
            if let Some(latency) = result.outcome.latency() {
                let remembered = self.knowledge.latency(endpoint).unwrap_or_default();
                is_confirmed |= latency < limit && (latency + GRACE) * 2 >= remembered;
            }
            self.knowledge.learn(endpoint, result, false);
        }
        Ok(is_confirmed)
    }

    /// Measures endpoints, and returns what was found, in their order.
    ///
    /// # Errors
    /// If the process has no file descriptor left.
    fn pass(
        &mut self,
        targets: &[ProbeTarget],
        purpose: Purpose,
        hooks: &mut Hooks,
    ) -> Result<Vec<ProbeResult>, Error> {
        // Without time nothing is sent, and the run needs no descriptor: filters apply where a
        // process has none left.
        if self.options.timeout.is_zero() {
            self.stop_reason = if hooks.is_cancelled() { StopReason::Cancelled } else { StopReason::Timeout };
            return Ok(vec![ProbeResult::not_sent(Outcome::Unanswered); targets.len()]);
        }
        let before = self.progress;
        let mut progress = before;
        progress.total = progress.total.max(before.completed + targets.len());
        let Hooks { cancel, interrupt_check, observer } = hooks;
        let measured = probe::measure(Job {
            list: &self.list,
            targets,
            latencies: self.knowledge.latencies(self.list.hosts.len()),
            options: self.options,
            timeout: self.options.timeout.saturating_sub(self.start.elapsed()),
            // No fallback is looked for among mirrors that would lead.
            fallbacks: if purpose == Purpose::Check { 0 } else { self.options.fallbacks },
            is_check: purpose == Purpose::Check,
            attempts: &mut self.attempts,
            cancel: cancel.as_ref(),
            interrupt_check: interrupt_check.as_mut().map(|check| check as &mut dyn FnMut() -> bool),
            progress: &mut |pass: Progress| {
                progress =
                    Progress { completed: before.completed + pass.completed, best: pass.best, ..progress };
                if let Some(observer) = observer {
                    observer(&Event::Progress(progress));
                }
            },
        })
        .map_err(Error::System)?;
        self.progress = progress;
        self.stop_reason = measured.stop_reason;
        if self.tried.is_empty() {
            self.tried = measured.tried;
        } else {
            self.tried.extend(measured.tried);
        }
        for warning in measured.warnings {
            // Another pass may have had the same to say.
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        Ok(measured.results)
    }

    /// Returns what became of each mirror, as far as is known now.
    fn results(&self) -> Vec<ProbeResult> {
        let silence = self.knowledge.silence();
        let mut results = Vec::with_capacity(self.list.mirrors.len());
        for mirror in &self.list.mirrors {
            results.push(match mirror.target {
                _ if mirror.is_excluded => ProbeResult::not_sent(Outcome::Excluded),
                Target::Local => ProbeResult::not_sent(Outcome::Local),
                Target::Unsupported => ProbeResult::not_sent(Outcome::Unsupported),
                Target::Remote { host, endpoint, .. } => {
                    let otherwise = self.list.host(host).refused_as.unwrap_or(Outcome::Unanswered);
                    let known = endpoint.and_then(|endpoint| self.knowledge.result(endpoint, silence));
                    known.unwrap_or(ProbeResult::not_sent(otherwise))
                }
            });
        }
        results
    }

    /// Puts the mirrors in order, after what became of each, and says why some of them are demoted,
    /// by their position in the list; nothing if none is.
    fn ranked(&self, results: &[ProbeResult]) -> (Ranked, Vec<Option<Demotion>>) {
        let groups = self.groups();
        let mut entries = Vec::with_capacity(self.list.mirrors.len());
        for (mirror, result) in self.list.mirrors.iter().zip(results) {
            let (host, place) = match mirror.target {
                Target::Remote { host, .. } => {
                    (Some(*groups.get(&host).unwrap_or(&host)), self.list.host(host).place)
                }
                Target::Local | Target::Unsupported => (None, 0),
            };
            let ProbeResult { outcome, is_detoured, .. } = *result;
            let is_troubled = self.troubles.get(entries.len()).is_some_and(Option::is_some);
            let weight = mirror.weight;
            entries.push(Entry { host, outcome, is_detoured, is_troubled, is_slow: false, weight, place });
        }
        let rank = |entries: &[Entry]| rank::rank(entries, &self.list.hosts, &self.options.rule, self.seed);
        let mut ranked = rank(&entries);
        let mut demotions = self.troubles.clone();
        let slow = self.slow(&entries, &ranked);
        if !slow.is_empty() {
            demotions.resize(entries.len(), None);
            for (index, entry) in entries.iter_mut().enumerate() {
                let demotion = entry.host.filter(|_| ranked.pool[index]).and_then(|host| slow.get(&host));
                entry.is_slow = demotion.is_some();
                demotions[index] = demotion.copied().or(demotions[index]);
            }
            // Which hosts are slow depends on which are in the pool.
            ranked = rank(&entries);
        }
        for (demotion, is_demoted) in demotions.iter_mut().zip(&ranked.demoted) {
            *demotion = demotion.filter(|_| *is_demoted);
        }
        (ranked, demotions)
    }

    /// Returns the members of the pool that are much slower than the others.
    fn slow(&self, entries: &[Entry], ranked: &Ranked) -> HashMap<HostId, Demotion> {
        let downloads = self.cache.downloads();
        if self.options.history < HistoryUse::All || !downloads.has_speeds() {
            return HashMap::new();
        }
        // In the order of the list, so that nothing depends on a hash table.
        let mut members: Vec<(HostId, Vec<Observation>)> = Vec::new();
        let mut places: HashMap<HostId, usize> = HashMap::new();
        let mut is_seen = HashSet::new();
        for (index, mirror) in self.list.mirrors.iter().enumerate() {
            let (Target::Remote { host, .. }, Some(group)) = (mirror.target, entries[index].host) else {
                continue;
            };
            if !ranked.pool[index] || !is_seen.insert(host) {
                continue;
            }
            let member = *places.entry(group).or_insert(members.len());
            if member == members.len() {
                members.push((group, Vec::new()));
            }
            members[member].1.extend(downloads.observations(&self.list.host(host).host));
        }
        let machine = network::machine_key();
        let evidence = |(group, observations): &(HostId, Vec<Observation>)| {
            downloads.evidence(observations, history::spread(&machine, &self.list.host(*group).host))
        };
        let evidence: Vec<_> = members.iter().map(evidence).collect();
        let slow = members.iter().zip(history::is_slow(&evidence));
        slow.filter_map(|((group, _), demotion)| Some((*group, demotion?))).collect()
    }

    /// Returns the host that stands for each host that shares its address with others: names of one
    /// address are one host, and earn no more than one share. The one whose name sorts first stands
    /// for them, in every list.
    fn groups(&self) -> HashMap<HostId, HostId> {
        let mut by_address: HashMap<IpAddr, HostId> = HashMap::new();
        let mut addresses = Vec::new();
        // The endpoints, which are limited in number, and not the mirrors, which are not.
        for (id, &ListedEndpoint { host, .. }) in self.list.endpoints.iter().enumerate() {
            let Some(ip) = self.knowledge.address(EndpointId(id)) else { continue };
            addresses.push((host, ip));
            match by_address.entry(ip) {
                hash_map::Entry::Vacant(new) => {
                    new.insert(host);
                }
                hash_map::Entry::Occupied(mut first) => {
                    let name = |id: HostId| self.list.host(id).host.to_string();
                    if *first.get() != host && name(host) < name(*first.get()) {
                        first.insert(host);
                    }
                }
            }
        }
        let mut groups = HashMap::new();
        for (host, ip) in addresses {
            if by_address[&ip] != host {
                groups.insert(host, by_address[&ip]);
            }
        }
        groups
    }

    /// Ranks, and writes the cache.
    fn finish(mut self) -> Ranking {
        let results = self.results();
        let (ranked, demotions) = self.ranked(&results);
        // Where a middlebox may be answering for all mirrors, nothing is learned about any.
        let has_cache = self.options.cache.path.is_some();
        let learned = if ranked.ambiguous || !has_cache { Vec::new() } else { self.learned() };
        let mut warnings = mem::take(&mut self.warnings);
        warnings.extend(self.cache.store(learned, self.seed_to_keep));

        let silence = self.knowledge.silence();
        let mut in_place = |index: usize| {
            let result = results[index];
            let mirror = &mut self.list.mirrors[index];
            let (host, endpoint) = match mirror.target {
                Target::Remote { host, endpoint, .. } => (Some(host), endpoint),
                Target::Local | Target::Unsupported => (None, None),
            };
            let from_cache = endpoint.is_some_and(|endpoint| {
                let is_measured = self.knowledge.measured(endpoint).is_some();
                !is_measured && self.knowledge.result(endpoint, silence).is_some()
            });
            RankedMirror {
                index,
                url: mem::take(&mut mirror.url),
                outcome: result.outcome,
                pool: ranked.pool[index],
                imprecise: result.imprecise,
                address: result.address,
                from_cache,
                is_detoured: result.is_detoured,
                is_preferred: host.is_some_and(|HostId(host)| self.list.hosts[host].is_preferred),
                is_lookup_unfinished: result.is_lookup_unfinished,
                endpoint,
                demotion: demotions.get(index).copied().flatten(),
            }
        };
        let excluded = (0..results.len()).filter(|&index| results[index].outcome == Outcome::Excluded);
        let excluded = excluded.map(&mut in_place).collect();
        // Stable, so that the attempts of an endpoint keep their order.
        self.tried.sort_by_key(|&(endpoint, _)| endpoint);
        Ranking {
            mirrors: ranked.order.iter().map(|&index| in_place(index)).collect(),
            excluded,
            filters: mem::take(&mut self.list.filters),
            best: ranked.best,
            limit: ranked.limit,
            tried: self.tried,
            recalled: self.knowledge.recalled(),
            stop_reason: self.stop_reason,
            elapsed: self.start.elapsed(),
            seed: self.seed,
            pool_order: self.options.rule.pool_order,
            ambiguous: ranked.ambiguous,
            slack_would_add: ranked.slack_would_add,
            warnings,
        }
    }

    /// Returns what later runs should know, by the names under which mirrors stand in the cache.
    fn learned(&self) -> Vec<(RecordName, Remembered)> {
        let waited =
            matches!(self.stop_reason, StopReason::Complete | StopReason::Settled | StopReason::Quiet);
        let groups = self.groups();
        let is_shared: HashSet<HostId> = groups.iter().flat_map(|(&host, &first)| [host, first]).collect();
        let mut learned = Vec::new();
        if self.options.cache.path.is_none() {
            return learned;
        }
        let mut is_learned = HashSet::new();
        for mirror in &self.list.mirrors {
            let Target::Remote { protocol, host, endpoint: Some(endpoint) } = mirror.target else { continue };
            // The first URL of an endpoint and protocol names its record.
            if !is_learned.insert((endpoint, protocol)) {
                continue;
            }
            // What is only remembered is not learned: it would count for ever.
            let Some(result) = self.knowledge.measured(endpoint) else { continue };
            let finding = Finding {
                outcome: result.outcome,
                syn_sent: result.syn_sent,
                imprecise: result.imprecise,
                reported_by_network: result.reported_by_network,
                is_detoured: result.is_detoured,
                waited: result.waited,
                is_lookup_unfinished: result.is_lookup_unfinished,
            };
            let Some(remembered) = cache::to_remember(&finding, waited) else { continue };
            // A name may have addresses of the family that was not requested.
            if remembered == Remembered::Unresolved && self.options.family != Family::Any {
                continue;
            }
            let name = RecordName::new(&mirror.url, protocol, &self.list.endpoint(endpoint));
            let name = match self.knowledge.address(endpoint) {
                Some(address) if is_shared.contains(&host) => name.with_shared_address(address),
                _ => name,
            };
            learned.push((name, remembered));
        }
        learned
    }
}

#[cfg(test)]
mod tests;
