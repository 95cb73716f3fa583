//! The worlds that are simulated: mirrors, their capacities and which of them are dead, and how far
//! they are from the places where clients stand.

use super::mirrors::Site;
use fastestmirror::internals::fleet::Hosts;
use lab::Random;
use lab::geography::{Place as Coordinates, access_ms, rtt};
use std::time::Duration;

/// Shares of the mirrors and their capacities in Gbit/s. Assumed: no list of mirrors that could
/// be had says more than what its operators have typed in.
const CAPACITIES: [(f64, f64); 4] = [(0.30, 1.0), (0.50, 10.0), (0.12, 40.0), (0.08, 100.0)];
/// What a client downloads on average.
const MEGABYTES_A_DAY: f64 = 100.0;
/// The load at the worst time of the day, in terms of the mean.
const PEAK: f64 = 3.0;
/// How near a mirror has to be for a server that goes by geography.
const SERVER_KM: f64 = 500.0;
/// How many mirrors such a server names if no mirror of the country is that near.
const SERVER_LEAST: usize = 10;
/// In a dense place, which is an exchange or next to one: the range of the latency of the nearest
/// mirror, in milliseconds.
const DENSE_MS: (f64, f64) = (0.5, 0.8);
/// The mirror of the story.
const STORY_CAPACITY: f64 = 1.0;
const STORY_LATENCY: Duration = Duration::from_micros(800);
/// Where the others of the story begin.
const STORY_OTHERS: Duration = Duration::from_millis(2);

/// The streams of a world's seed: the first ones are those of the mirrors' access networks.
const CAPACITY: u64 = u64::MAX - 1;
const DEAD: u64 = u64::MAX;
const DENSE: u64 = u64::MAX - 2;

const CITIES: &str = include_str!("cities.tsv");
/// The name of the place that stands for all cities.
pub(crate) const ALL_CITIES: &str = "68 cities";
/// The data centers: a name, where it is, its country, and whether the place is dense.
const DATA_CENTERS: [(&str, Coordinates, &str, bool); 6] = [
    ("Ashburn", Coordinates::ASHBURN, "US", false),
    ("Frankfurt", Coordinates::FRANKFURT, "DE", false),
    ("Frankfurt dense", Coordinates::FRANKFURT, "DE", true),
    ("Singapore", Coordinates::SINGAPORE, "SG", false),
    ("São Paulo", Coordinates::SAO_PAULO, "BR", false),
    ("Sydney", Coordinates::SYDNEY, "AU", false),
];

/// The names of all places of the geography.
pub(crate) fn place_names() -> impl Iterator<Item = &'static str> {
    DATA_CENTERS.iter().map(|(name, ..)| *name).chain([ALL_CITIES])
}

/// A mirror of a world.
#[derive(Debug, Clone)]
pub(crate) struct Mirror {
    pub(crate) name: String,
    /// In Gbit/s.
    pub(crate) capacity: f64,
    pub(crate) is_dead: bool,
}

/// Where clients stand that have the same latencies. What they measure differs by its noise.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) clients: u64,
    /// The true ones, of all mirrors.
    pub(crate) latencies: Vec<Duration>,
    /// The mirrors that are not dead, nearest first, and their table of hosts in this order.
    pub(crate) nearest: Vec<usize>,
    pub(crate) hosts: Hosts,
    /// The mirrors that a server names which goes by geography.
    pub(crate) server: Vec<usize>,
}

/// A place with a load of its own: a data center, or all cities together.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) views: Vec<View>,
}

#[derive(Debug)]
pub(crate) struct World {
    /// The seed of its clients.
    pub(crate) seed: u64,
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) places: Vec<Place>,
    /// The mean of the exponential delay that is added to each measurement.
    pub(crate) noise: Duration,
}

/// What a world of the geography is drawn from.
#[derive(Debug, Clone)]
pub(crate) struct Plan<'a> {
    pub(crate) sites: &'a [Site],
    /// The places to simulate.
    pub(crate) places: &'a [String],
    pub(crate) seed: u64,
    pub(crate) noise: Duration,
    pub(crate) dead_share: f64,
    /// The positions of further dead mirrors.
    pub(crate) dead: &'a [usize],
    /// The clients in all, of whom each place has an equal part.
    pub(crate) clients: u64,
}

/// Returns the number of clients in an equal part of them.
pub(crate) fn part(clients: u64, number: usize, parts: usize) -> u64 {
    let (clients, number, parts) = (u128::from(clients), number as u128, parts as u128);
    (clients * (number + 1) / parts - clients * number / parts) as u64
}

/// Returns what so many clients download at the worst time of the day, in Gbit/s.
pub(crate) fn demand(clients: u64) -> f64 {
    clients as f64 * MEGABYTES_A_DAY * 8e-3 / (24.0 * 3600.0) * PEAK
}

impl View {
    pub(crate) fn new(
        clients: u64,
        latencies: Vec<Duration>,
        mirrors: &[Mirror],
        server: Vec<usize>,
    ) -> View {
        let mut nearest: Vec<usize> = (0..mirrors.len()).filter(|&n| !mirrors[n].is_dead).collect();
        nearest.sort_by_key(|&n| latencies[n]);
        let hosts = Hosts::new(nearest.iter().map(|&n| mirrors[n].name.as_str()));
        View { clients, latencies, nearest, hosts, server }
    }
}

impl World {
    /// One place with mirrors at these latencies and with these capacities, of which some are dead.
    pub(crate) fn with_latencies(
        latencies: &[Duration],
        capacities: &[f64],
        dead: &[usize],
        seed: u64,
        noise: Duration,
        clients: u64,
    ) -> World {
        let mirror = |(number, &capacity): (usize, &f64)| {
            let name = format!("m{number}.example");
            Mirror { name, capacity, is_dead: dead.contains(&number) }
        };
        let mirrors: Vec<Mirror> = capacities.iter().enumerate().map(mirror).collect();
        // Without a geography a server knows no mirror from another.
        let all = (0..mirrors.len()).collect();
        let view = View::new(clients, latencies.to_vec(), &mirrors, all);
        World { seed, mirrors, places: vec![Place { name: "as given".into(), views: vec![view] }], noise }
    }

    /// Draws a world of the geography.
    pub(crate) fn draw(plan: &Plan) -> World {
        let mirrors = draw_mirrors(plan);
        let access = draw_access(plan);
        let mut places = Vec::new();
        for (number, name) in plan.places.iter().enumerate() {
            let clients = part(plan.clients, number, plan.places.len());
            let views = if name == ALL_CITIES {
                let cities: Vec<_> = CITIES.lines().filter(|line| !line.starts_with('#')).map(city).collect();
                let inhabitants: Vec<f64> = cities.iter().map(|city| city.inhabitants).collect();
                let view = |(city, clients): (&City, u64)| {
                    let latencies = latencies(plan.sites, &access, &city.at);
                    let server = server_list(plan.sites, &city.at, city.country);
                    View::new(clients, latencies, &mirrors, server)
                };
                cities.iter().zip(in_proportion(clients, &inhabitants)).map(view).collect()
            } else {
                let center = DATA_CENTERS.iter().find(|(center, ..)| center == name);
                let (_, at, country, is_dense) = center.expect("the options have checked the name");
                let mut latencies = latencies(plan.sites, &access, at);
                if *is_dense {
                    condense(&mut latencies, plan.seed);
                }
                let server = server_list(plan.sites, at, country);
                vec![View::new(clients, latencies, &mirrors, server)]
            };
            places.push(Place { name: name.clone(), views });
        }
        World { seed: plan.seed, mirrors, places, noise: plan.noise }
    }

    /// Draws a world for the story: the first place, with one more mirror in its very building,
    /// and no other one so near.
    pub(crate) fn draw_story(plan: &Plan) -> World {
        let mut world = World::draw(&Plan { places: &plan.places[..1], ..plan.clone() });
        let lone = Mirror { name: "lone.example".into(), capacity: STORY_CAPACITY, is_dead: false };
        world.mirrors.insert(0, lone);
        let [place] = world.places.as_mut_slice() else { panic!("one place was asked for") };
        place.name = format!("a mirror of {STORY_CAPACITY} Gbit/s in {}", place.name);
        for view in &mut place.views {
            let others = view.latencies.iter().map(|&latency| latency.max(STORY_OTHERS));
            let latencies = [STORY_LATENCY].into_iter().chain(others).collect();
            let server = [0].into_iter().chain(view.server.iter().map(|n| n + 1)).collect();
            *view = View::new(view.clients, latencies, &world.mirrors, server);
        }
        world
    }
}

fn draw_mirrors(plan: &Plan) -> Vec<Mirror> {
    let mut random = Random::new(plan.seed, CAPACITY);
    let mirror = |site: &Site| {
        // Drawn for each, so that one that is given changes no other.
        let drawn = draw_capacity(&mut random);
        Mirror { name: site.name.clone(), capacity: site.capacity.unwrap_or(drawn), is_dead: false }
    };
    let mut mirrors: Vec<Mirror> = plan.sites.iter().map(mirror).collect();
    let mut order: Vec<usize> = (0..mirrors.len()).collect();
    Random::new(plan.seed, DEAD).shuffle(&mut order);
    let count = (plan.dead_share * mirrors.len() as f64).round() as usize;
    for &dead in order.iter().take(count).chain(plan.dead) {
        mirrors[dead].is_dead = true;
    }
    mirrors
}

fn draw_capacity(random: &mut Random) -> f64 {
    let mut rest = random.unit();
    for (share, capacity) in CAPACITIES {
        if rest < share {
            return capacity;
        }
        rest -= share;
    }
    CAPACITIES[CAPACITIES.len() - 1].1
}

/// The delay of each mirror's access network, the same from everywhere.
fn draw_access(plan: &Plan) -> Vec<f64> {
    (0..plan.sites.len() as u64).map(|n| access_ms(&mut Random::new(plan.seed, n))).collect()
}

fn latencies(sites: &[Site], access: &[f64], from: &Coordinates) -> Vec<Duration> {
    let latency =
        |(site, &access): (&Site, &f64)| rtt(from.distance_km(site.latitude, site.longitude), access);
    sites.iter().zip(access).map(latency).collect()
}

/// Moves all mirrors nearer by what the nearest has to be nearer for a dense place.
fn condense(latencies: &mut [Duration], seed: u64) {
    let (low, high) = DENSE_MS;
    let wanted = low + (high - low) * Random::new(seed, DENSE).unit();
    let nearest = latencies.iter().min().copied().unwrap_or_default();
    let shift = nearest.saturating_sub(Duration::from_secs_f64(wanted / 1e3));
    for latency in latencies {
        *latency -= shift;
    }
}

/// The mirrors of the same country that are near enough, or else the nearest ones of any country.
fn server_list(sites: &[Site], from: &Coordinates, country: &str) -> Vec<usize> {
    let distance = |n: usize| from.distance_km(sites[n].latitude, sites[n].longitude);
    let is_near = |&n: &usize| sites[n].country == country && distance(n) <= SERVER_KM;
    let near: Vec<usize> = (0..sites.len()).filter(is_near).collect();
    if !near.is_empty() {
        return near;
    }
    let mut all: Vec<usize> = (0..sites.len()).collect();
    all.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
    all.truncate(SERVER_LEAST);
    all
}

/// A city of the table.
struct City {
    country: &'static str,
    at: Coordinates,
    /// In millions.
    inhabitants: f64,
}

fn city(line: &'static str) -> City {
    let columns: Vec<&str> = line.split('\t').collect();
    let [name, latitude, longitude, inhabitants] = columns[..] else {
        panic!("cities.tsv: not four columns: {line}")
    };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("cities.tsv: no number: {text}"));
    City {
        country: name.split(' ').next().expect("split returns a part"),
        at: Coordinates { name, latitude: number(latitude), longitude: number(longitude) },
        inhabitants: number(inhabitants),
    }
}

/// Divides the clients in these proportions.
fn in_proportion(clients: u64, weights: &[f64]) -> Vec<u64> {
    let (all, mut sum, mut divided) = (weights.iter().sum::<f64>(), 0.0, 0);
    let part = |weight: &f64| {
        sum += weight;
        let until = (clients as f64 * (sum / all)).round() as u64;
        let part = until - divided;
        divided = until;
        part
    };
    weights.iter().map(part).collect()
}
