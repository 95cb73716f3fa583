//! Worlds made from data: the mirrors of a real network, at the distances seen from a given place.
//!
//! A round trip takes 1.5 ms, plus 0.016 ms per kilometer of great circle, plus the delay of an
//! access network: log-normal with a median of 2 ms.

use super::random::Random;
use super::spec::{Fate, Mirror, Spec, answer, refuse};
use std::time::Duration;

const TABLE: &str = include_str!("mirrors.tsv");

const BASE_MS: f64 = 1.5;
const MS_PER_KM: f64 = 0.016;
const ACCESS_MEDIAN_MS: f64 = 2.0;
const ACCESS_SIGMA: f64 = 0.8;
const EARTH_RADIUS_KM: f64 = 6371.0;

/// The place of a client, in degrees north and east.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub name: &'static str,
    pub latitude: f64,
    pub longitude: f64,
}

impl Place {
    pub const FRANKFURT: Place = Place { name: "Frankfurt", latitude: 50.11, longitude: 8.68 };
    pub const ASHBURN: Place = Place { name: "Ashburn", latitude: 39.04, longitude: -77.49 };
    pub const SAO_PAULO: Place = Place { name: "São Paulo", latitude: -23.55, longitude: -46.63 };
    pub const SYDNEY: Place = Place { name: "Sydney", latitude: -33.87, longitude: 151.21 };
    pub const NAIROBI: Place = Place { name: "Nairobi", latitude: -1.29, longitude: 36.82 };
    pub const TOKYO: Place = Place { name: "Tokyo", latitude: 35.68, longitude: 139.69 };
    pub const SINGAPORE: Place = Place { name: "Singapore", latitude: 1.35, longitude: 103.82 };
    pub const ALL: [Place; 6] =
        [Place::FRANKFURT, Place::ASHBURN, Place::SAO_PAULO, Place::SYDNEY, Place::NAIROBI, Place::TOKYO];

    pub fn distance_km(&self, latitude: f64, longitude: f64) -> f64 {
        let (from, to) = (self.latitude.to_radians(), latitude.to_radians());
        let (north, east) = ((to - from) / 2.0, (longitude - self.longitude).to_radians() / 2.0);
        let chord = north.sin().powi(2) + from.cos() * to.cos() * east.sin().powi(2);
        2.0 * EARTH_RADIUS_KM * chord.sqrt().asin()
    }
}

/// A line of the table: a mirror, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Country and city.
    pub place: &'static str,
    pub latitude: f64,
    pub longitude: f64,
    pub host: &'static str,
    /// Separated by spaces.
    pub protocols: &'static str,
}

/// The mirrors of the table.
pub fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[place, latitude, longitude, host, protocols] = columns.as_slice() else {
            panic!("mirrors.tsv: not five columns: {line}")
        };
        let degrees = |text: &str| text.parse().unwrap_or_else(|_| panic!("mirrors.tsv: no number: {text}"));
        Row { place, latitude: degrees(latitude), longitude: degrees(longitude), host, protocols }
    })
}

/// Draws the delay of an access network, in milliseconds.
pub fn access_ms(random: &mut Random) -> f64 {
    ACCESS_MEDIAN_MS * (ACCESS_SIGMA * random.normal()).exp()
}

/// The round-trip time over this distance, to a mirror behind an access network with this delay.
pub fn rtt(distance_km: f64, access_ms: f64) -> Duration {
    Duration::from_micros(((BASE_MS + MS_PER_KM * distance_km + access_ms) * 1e3) as u64)
}

/// The parameters of a random world. Shares are fractions of all mirrors, rounded to whole mirrors.
#[derive(Clone, Debug, PartialEq)]
pub struct Geography {
    pub place: Place,
    pub seed: u64,
    /// Mirrors that never answer, in both families.
    pub dead: f64,
    pub refusing: f64,
    /// Mirrors that answer, but lose the first SYN: to their IPv6 address if they have one, which
    /// clients try first.
    pub losing: f64,
    /// The chance that a mirror has an IPv6 address too, equally far away. A guess; it does not
    /// affect the ranking.
    pub ipv6: f64,
    /// Move mirrors away from twice the best latency, where the lab's own error would decide about
    /// the pool.
    pub clear_edge: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Live,
    LosesFirstSyn,
    Refusing,
    Dead,
}

/// A mirror of the drawn world, with its true latency and state.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    pub host: &'static str,
    /// Country and city.
    pub place: &'static str,
    pub protocols: Vec<&'static str>,
    pub rtt: Duration,
    pub state: State,
    pub ipv6: bool,
}

impl Site {
    /// Whether the mirror answers, even if it loses the first SYN.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Live | State::LosesFirstSyn)
    }

    /// Whether a client reaches it without waiting for another address first. One whose IPv6
    /// address loses the SYN cannot be told from one whose IPv6 address is dead.
    pub fn is_direct(&self) -> bool {
        self.is_live() && !(self.state == State::LosesFirstSyn && self.ipv6)
    }

    /// The https URL, or the http URL of a mirror without https. Each host of the table has one of
    /// them.
    pub fn url(&self) -> String {
        let scheme = if self.protocols.contains(&"https") { "https" } else { "http" };
        self.url_by(scheme)
    }

    pub fn url_by(&self, scheme: &str) -> String {
        format!("{scheme}://{}/pub/linux/", self.host)
    }

    fn mirror(&self) -> Mirror {
        let (v4, v6): (Fate, Fate) = match self.state {
            State::Live => (answer(self.rtt).into(), answer(self.rtt).into()),
            State::LosesFirstSyn => {
                let losing = answer(self.rtt).lose_first_syns(1);
                (if self.ipv6 { answer(self.rtt) } else { losing.clone() }.into(), losing.into())
            }
            State::Refusing => (refuse(self.rtt), refuse(self.rtt)),
            State::Dead => (Fate::Silent, Fate::Silent),
        };
        let mirror = Mirror::new(self.host).ipv4(v4);
        if self.ipv6 { mirror.ipv6(v6) } else { mirror }
    }
}

/// All mirrors of the drawn world: the truth that a measurement is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Sites(pub Vec<Site>);

impl Geography {
    /// The world as seen from a place, with all mirrors live.
    pub fn seen_from(place: Place, seed: u64) -> Self {
        Geography { place, seed, dead: 0.0, refusing: 0.0, losing: 0.0, ipv6: 0.5, clear_edge: false }
    }

    /// Adds the failures of a bad day: 5 % dead, 2 % refusing, 3 % losing the first SYN.
    pub fn with_trouble(self) -> Self {
        Geography { dead: 0.05, refusing: 0.02, losing: 0.03, ..self }
    }

    pub fn with_clear_edge(self) -> Self {
        Geography { clear_edge: true, ..self }
    }

    pub fn draw(&self) -> Sites {
        let mut sites: Vec<Site> = rows().enumerate().map(|(n, row)| self.draw_site(n, row)).collect();

        let mut order: Vec<usize> = (0..sites.len()).collect();
        Random::new(self.seed, u64::MAX).shuffle(&mut order);
        let mut order = order.into_iter();
        let shares =
            [(self.dead, State::Dead), (self.refusing, State::Refusing), (self.losing, State::LosesFirstSyn)];
        for (share, state) in shares {
            let count = (share * sites.len() as f64).round() as usize;
            order.by_ref().take(count).for_each(|site| sites[site].state = state);
        }

        let mut sites = Sites(sites);
        if self.clear_edge {
            sites.clear_edge();
        }
        sites
    }

    fn draw_site(&self, number: usize, row: Row) -> Site {
        let mut random = Random::new(self.seed, number as u64);
        let access = access_ms(&mut random);
        Site {
            host: row.host,
            place: row.place,
            protocols: row.protocols.split(' ').collect(),
            rtt: rtt(self.place.distance_km(row.latitude, row.longitude), access),
            state: State::Live,
            ipv6: random.chance(self.ipv6),
        }
    }
}

impl Sites {
    pub fn spec(&self) -> Spec {
        Spec::new().mirrors(self.0.iter().map(Site::mirror))
    }

    /// The lowest round-trip time of a live mirror that is reached directly.
    pub fn best(&self) -> Duration {
        self.0.iter().filter(|site| site.is_direct()).map(|site| site.rtt).min().expect("a live mirror")
    }

    /// The highest round-trip time of a live mirror.
    pub fn slowest(&self) -> Duration {
        self.0.iter().filter(|site| site.is_live()).map(|site| site.rtt).max().expect("a live mirror")
    }

    /// The true pool: mirrors that are reached directly and nearer than twice the best. Mirrors
    /// that lose a SYN to their only address belong to it, since a client can find them with a
    /// second SYN.
    pub fn pool(&self) -> Vec<&Site> {
        let limit = self.best() * 2;
        self.0.iter().filter(|site| site.is_direct() && site.rtt < limit).collect()
    }

    /// A mirror list with one URL for each host.
    pub fn urls(&self) -> Vec<String> {
        self.0.iter().map(Site::url).collect()
    }

    /// A mirror list as projects publish them: one URL for each protocol of each host, including
    /// rsync.
    pub fn all_urls(&self) -> Vec<String> {
        let each = |site: &Site| site.protocols.iter().map(|scheme| site.url_by(scheme)).collect::<Vec<_>>();
        self.0.iter().flat_map(each).collect()
    }

    /// Moves mirrors between 1.85 and 2.15 times the best latency out of that range, each to its
    /// nearer side.
    pub fn clear_edge(&mut self) {
        let best = self.best().as_secs_f64();
        for site in &mut self.0 {
            let times = site.rtt.as_secs_f64() / best;
            if (1.85..2.0).contains(&times) {
                site.rtt -= Duration::from_secs_f64(best * 0.15);
            } else if (2.0..=2.15).contains(&times) {
                site.rtt += Duration::from_secs_f64(best * 0.151);
            }
        }
    }
}
