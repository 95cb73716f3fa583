//! The worlds of the bench: parts and multiples of the lab's geography.

use lab::geography::{Geography, Place, Sites, State};
use lab::{Random, World};
use std::time::Duration;

const SEED: u64 = 1;

/// If the lab delays the answer of the best mirror, the limit of the pool moves by twice as much.
/// No mirror is nearer beyond the limit than this.
const MARGIN: Duration = Duration::from_millis(1);

/// The place from which most worlds are seen.
pub(crate) const HERE: Place = Place::FRANKFURT;
/// The place for long lists. Few mirrors are near, and there is a wide gap to the others, so that
/// the lateness of the lab with thousands of mirrors does not decide about the pool.
pub(crate) const ELSEWHERE: Place = Place::SAO_PAULO;

#[derive(Debug)]
pub(crate) struct Scene {
    place: Place,
    pub(crate) sites: Sites,
    pub(crate) dead: usize,
    /// Whether mirrors are given by name or by address.
    pub(crate) names: bool,
    /// The delay of the name server.
    lookup_delay: Duration,
}

impl Scene {
    /// A world of `count` mirrors; if there are not enough in the geography, several random worlds
    /// are combined. No mirror is so close to the limit of the pool that the lab's own error would
    /// decide.
    pub(crate) fn new(place: Place, count: usize, dead_percent: usize, names: bool) -> Scene {
        let mut sites = Vec::new();
        for draw in 0.. {
            if sites.len() >= count {
                break;
            }
            let mut drawn = Geography::seen_from(place, SEED + draw).draw().0;
            Random::new(SEED, draw).shuffle(&mut drawn);
            if draw > 0 {
                for site in &mut drawn {
                    // Leaked, since the name is needed until the bench ends.
                    site.host = Box::leak(format!("draw{draw}-{}", site.host).into_boxed_str());
                }
            }
            sites.extend(drawn);
        }
        sites.truncate(count);
        let dead = (count * dead_percent).div_ceil(100);
        // The order is random, so these are random mirrors.
        sites.iter_mut().take(dead).for_each(|site| site.state = State::Dead);
        let mut sites = Sites(sites);
        sites.clear_edge();
        let limit = sites.best() * 2;
        let beyond = sites.0.iter_mut().filter(|site| (limit..limit + MARGIN).contains(&site.rtt));
        beyond.for_each(|site| site.rtt += MARGIN);
        Scene { place, sites, dead, names, lookup_delay: Duration::from_millis(5) }
    }

    /// The same world with a name server at a usual distance: lookups then wait for it, and not for
    /// a CPU.
    pub(crate) fn with_slow_name_server(mut self) -> Scene {
        self.lookup_delay = Duration::from_millis(20);
        self
    }

    pub(crate) fn world(&self, accept: &[u16]) -> World {
        let spec = self.sites.spec().dns_delay(self.lookup_delay).accept(accept);
        World::start(spec).expect("a world")
    }

    pub(crate) fn label(&self) -> String {
        let what = if self.names { "" } else { " addresses" };
        let dead = if self.dead > 0 { format!(", {} dead", self.dead) } else { String::new() };
        let place = if self.place == HERE { String::new() } else { format!(", {}", self.place.name) };
        let lookup = match self.lookup_delay.as_millis() {
            5 => String::new(),
            ms => format!(", lookups take {ms} ms"),
        };
        format!("{}{what}{dead}{place}{lookup}", self.sites.0.len())
    }

    pub(crate) fn urls(&self, scheme: &str, world: &World) -> Vec<String> {
        if self.names {
            return self.sites.0.iter().map(|site| site.url_by(scheme)).collect();
        }
        let address = |site: &lab::geography::Site| format!("{scheme}://{}/", world.ipv4(site.host));
        self.sites.0.iter().map(address).collect()
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        self.sites.0.iter().map(|site| site.host.to_owned()).collect()
    }

    /// Whether each mirror is in the pool.
    pub(crate) fn pool(&self) -> Vec<bool> {
        let limit = self.sites.best() * 2;
        self.sites.0.iter().map(|site| site.is_live() && site.rtt < limit).collect()
    }

    /// A lower bound for the time of a run that stops for this reason, if SYNs are sent at these
    /// times (None: all at the start) and answered in time. It includes the waits that the rules
    /// require.
    pub(crate) fn floor(&self, sent: Option<&[Duration]>, stop_reason: StopReason) -> Duration {
        let at = |index: usize| sent.map_or(Duration::ZERO, |times| times[index]);
        let live = || self.sites.0.iter().enumerate().filter(|(_, site)| site.is_live());
        let answers = || live().map(|(index, site)| at(index) + site.rtt);
        let last_answer = answers().max().unwrap_or_default();
        match stop_reason {
            StopReason::Complete => last_answer,
            StopReason::Quiet => {
                let slowest = live().map(|(_, site)| site.rtt).max().unwrap_or_default();
                last_answer + slowest.max(Duration::from_millis(100))
            }
            StopReason::Settled => {
                let last_syn = (0..self.sites.0.len()).map(at).max().unwrap_or_default();
                let limit = self.sites.best() * 2;
                let mut outside: Vec<Duration> = live()
                    .filter(|(_, site)| site.rtt >= limit)
                    .map(|(index, site)| at(index) + site.rtt)
                    .collect();
                outside.sort();
                // Fallbacks are waited for as long again as proving the pool took.
                let proved = last_syn + limit;
                let longest = proved + limit.clamp(Duration::from_millis(10), Duration::from_millis(50));
                let enough = outside.get(15).copied().unwrap_or(longest);
                proved.max(enough).min(longest)
            }
        }
    }
}

/// The stop reasons of a run that measures, as far as there is a lower bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum StopReason {
    Complete,
    Settled,
    Quiet,
}

impl StopReason {
    /// Converts an `fm_stop_reason`.
    pub(crate) fn from_number(number: u32) -> Option<StopReason> {
        match number {
            1 => Some(StopReason::Complete),
            2 => Some(StopReason::Settled),
            3 => Some(StopReason::Quiet),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            StopReason::Complete => "complete",
            StopReason::Settled => "settled",
            StopReason::Quiet => "quiet",
        }
    }
}
