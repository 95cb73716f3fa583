//! Short ways to write worlds, and to say what is expected of their runs.

use super::*;

pub(super) fn v4(path: Path) -> Site {
    Site { lookup: None, paths: vec![(false, path)], twin_of: None }
}

pub(super) fn both(ipv6: Path, ipv4: Path) -> Site {
    Site { lookup: None, paths: vec![(true, ipv6), (false, ipv4)], twin_of: None }
}

impl Site {
    pub(super) fn named(self, lookup: u64) -> Site {
        Site { lookup: Some(lookup), ..self }
    }

    pub(super) fn twin_of(self, site: usize) -> Site {
        Site { twin_of: Some(site), ..self }
    }
}

impl World {
    pub(super) fn fallbacks(mut self, fallbacks: usize) -> World {
        self.options.fallbacks = fallbacks;
        self
    }

    pub(super) fn timeout(mut self, timeout: u64) -> World {
        self.options.timeout = ms(timeout);
        self
    }

    pub(super) fn in_flight(mut self, in_flight: usize) -> World {
        self.options.in_flight = in_flight;
        self
    }
}

impl Run {
    #[track_caller]
    pub(super) fn ends(&self, stop_reason: StopReason, at: u64) -> &Run {
        assert_eq!((self.stop_reason, self.elapsed), (stop_reason, ms(at)), "{self:#?}");
        self
    }

    pub(super) fn outcomes(&self, outcomes: &[Outcome]) -> &Run {
        assert_eq!(self.outcomes, outcomes);
        self
    }

    /// When SYNs left for a site.
    pub(super) fn syns_to(&self, site: usize) -> Vec<u64> {
        let mine = self.syns.iter().filter(|(_, attempt, _)| attempt.endpoint() == site);
        mine.map(|(time, ..)| time.as_millis() as u64).collect()
    }
}
