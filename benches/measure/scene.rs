//! The worlds of the bench: parts and multiples of the lab's geography, with the truth about them.

use lab::geography::{Geography, Place, Sites, State};
use lab::{Random, World};
use std::time::Duration;

const SEED: u64 = 1;

/// What the lab is late by at the best mirror moves the edge of the pool by twice as much: nobody stands so near beyond it.
const MARGIN: Duration = Duration::from_millis(1);

/// From where most worlds are seen.
pub(crate) const HERE: Place = Place::FRANKFURT;
/// For long lists: few are near, and there is much room between them and the others, so that what the lab is late by, which is
/// something with thousands at once, does not decide about the pool.
pub(crate) const ELSEWHERE: Place = Place::SAO_PAULO;

#[derive(Debug)]
pub(crate) struct Scene {
    place: Place,
    pub(crate) sites: Sites,
    pub(crate) dead: usize,
    /// By name, or by address.
    pub(crate) names: bool,
    /// How long the name server takes.
    look_up: Duration,
}

impl Scene {
    /// So many mirrors; more than there are in the geography come from several draws of it. No mirror is so near the edge of
    /// the pool that the lab's own error would decide.
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
                    // For as long as the bench runs.
                    site.host = Box::leak(format!("draw{draw}-{}", site.host).into_boxed_str());
                }
            }
            sites.extend(drawn);
        }
        sites.truncate(count);
        let dead = (count * dead_percent).div_ceil(100);
        // The shuffle has put anybody here.
        sites.iter_mut().take(dead).for_each(|site| site.state = State::Dead);
        let mut sites = Sites(sites);
        sites.clear_edge();
        let limit = sites.best() * 2;
        let beyond = sites.0.iter_mut().filter(|site| (limit..limit + MARGIN).contains(&site.rtt));
        beyond.for_each(|site| site.rtt += MARGIN);
        Scene { place, sites, dead, names, look_up: Duration::from_millis(5) }
    }

    /// With a name server as far as most are: look-ups then wait for it, and not for a processor.
    pub(crate) fn far_from_names(mut self) -> Scene {
        self.look_up = Duration::from_millis(20);
        self
    }

    pub(crate) fn world(&self, accept: &[u16]) -> World {
        let spec = self.sites.spec().dns_delay(self.look_up).accept(accept);
        World::start(spec).expect("a world")
    }

    pub(crate) fn label(&self) -> String {
        let what = if self.names { "" } else { " addresses" };
        let dead = if self.dead > 0 { format!(", {} dead", self.dead) } else { String::new() };
        let place = if self.place == HERE { String::new() } else { format!(", {}", self.place.name) };
        let look_up = match self.look_up.as_millis() {
            5 => String::new(),
            ms => format!(", {ms} ms a look-up"),
        };
        format!("{}{what}{dead}{place}{look_up}", self.sites.0.len())
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

    /// Who is in the pool, by position.
    pub(crate) fn pool(&self) -> Vec<bool> {
        let limit = self.sites.best() * 2;
        self.sites.0.iter().map(|site| site.is_live() && site.rtt < limit).collect()
    }

    /// The earliest moment at which a run that ends so can end, when SYNs leave at these times (none: all at once) and are
    /// answered in time. That a rule makes the run wait is part of it.
    pub(crate) fn floor(&self, left: Option<&[Duration]>, stop_reason: StopReason) -> Duration {
        let at = |index: usize| left.map_or(Duration::ZERO, |times| times[index]);
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
                (last_syn + limit).max(outside.get(15).copied().unwrap_or_default())
            }
        }
    }
}

/// How a run that measured something stop_reason, as far as there is a floor for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum StopReason {
    Complete,
    Settled,
    Quiet,
}

impl StopReason {
    /// From an `fm_ended`.
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
