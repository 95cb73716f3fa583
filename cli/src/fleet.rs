//! `fastestmirror fleet`: what a policy does to the load of mirrors. Simulates many clients, each
//! of which ranks with the library's own rule.
//!
//! From the options to worlds (`world`, `mirrors`), from these to what each client chooses
//! (`policy`, `simulate`), to figures (`figures`), and to what is printed (`report`, `json`) or
//! drawn (`plot`).

mod figures;
mod json;
mod mirrors;
pub(crate) mod options;
mod plot;
mod policy;
mod report;
mod simulate;
#[cfg(test)]
mod tests;
mod world;

use crate::exit::{Exit, reason};
use crate::text::escape;
use figures::Figures;
use indicatif::{ProgressBar, ProgressStyle};
use options::{Options, Source, Svg};
use policy::{Choice, Policy};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::thread::available_parallelism;
use world::{Plan, World, demand};

/// The figures of all places and policies.
#[derive(Debug)]
pub(crate) struct Results {
    /// The clients that were simulated.
    clients: u64,
    worlds: u64,
    /// What the clients of a place ask for together, in Gbit/s.
    demand: f64,
    policies: Vec<String>,
    places: Vec<String>,
    /// By place and policy.
    figures: Vec<Vec<Figures>>,
}

/// Simulates, and prints the result.
pub(crate) fn run(options: &Options) -> Result<ExitCode, Exit> {
    let policies: Vec<(String, Choice)> = match &options.source {
        Source::Story => report::story_policies(options),
        _ => {
            let choice = |policy: &Policy| policy.choice(options.factor, options.slack);
            options.policies.iter().map(|policy| (policy.name().to_owned(), choice(policy))).collect()
        }
    };
    let results = simulate(options, &policies, options.clients, usize::MAX);
    if let Some(svg) = &options.svg {
        draw(options, svg, &results)?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match options {
        Options { source: Source::Story, .. } => report::write_story(&mut out, &results),
        Options { json: true, .. } => json::write(&mut out, &results),
        _ => report::write(&mut out, options, &results),
    };
    written.and_then(|()| out.flush()).map_err(|failure| Exit::unwritable(&failure))?;
    Ok(ExitCode::SUCCESS)
}

/// Simulates so many clients in all, in so many places at most, and computes the figures of each
/// place as if all clients that the options name stood there.
fn simulate(options: &Options, policies: &[(String, Choice)], clients: u64, places: usize) -> Results {
    let (names, choices): (Vec<_>, Vec<_>) = policies.iter().cloned().unzip();
    let threads = available_parallelism().map_or(1, usize::from);
    let bar = ProgressBar::new(clients).with_style(style());
    let mut place_names = Vec::new();
    let mut worlds: Vec<Vec<Vec<Figures>>> = Vec::new();
    for number in 0..options.worlds {
        // An equal part of the clients for each world.
        let part = world::part(clients, number as usize, options.worlds as usize);
        let world = world(options, number, part, places);
        let counts = simulate::simulate(&world, &choices, threads, &|done| bar.inc(done));
        let figures = |(place, counts): (&world::Place, &Vec<Vec<Vec<u64>>>)| -> Vec<Figures> {
            let figures =
                |counts: &Vec<Vec<u64>>| Figures::new(place, &world.mirrors, counts, demand(options.clients));
            counts.iter().map(figures).collect()
        };
        worlds.push(world.places.iter().zip(&counts).map(figures).collect());
        place_names = world.places.into_iter().map(|place| place.name).collect();
    }
    bar.finish_and_clear();
    let mean = |place: usize, choice: usize| {
        Figures::mean(&worlds.iter().map(|world| world[place][choice].clone()).collect::<Vec<_>>())
    };
    let figures = (0..place_names.len()).map(|place| (0..choices.len()).map(|n| mean(place, n)).collect());
    Results {
        clients,
        worlds: options.worlds,
        demand: demand(options.clients),
        policies: names,
        figures: figures.collect(),
        places: place_names,
    }
}

/// The world of this number, from 0, with so many clients in all, in so many places at most.
fn world(options: &Options, number: u64, clients: u64, places_at_most: usize) -> World {
    let seed = options.seed.wrapping_add(number);
    match &options.source {
        Source::Latencies { latencies, capacities } => {
            World::with_latencies(latencies, capacities, &options.dead, seed, options.noise, clients)
        }
        Source::Geography { sites, places, dead_share } => World::draw(&Plan {
            sites,
            places: &places[..places.len().min(places_at_most)],
            seed,
            noise: options.noise,
            dead_share: *dead_share,
            dead: &options.dead,
            clients,
        }),
        Source::Story => {
            let (sites, places) = (mirrors::table(), [world::place_names().map(str::to_owned).next()]);
            let places: Vec<String> = places.into_iter().flatten().collect();
            World::draw_story(&Plan {
                sites: &sites,
                places: &places,
                seed,
                noise: options.noise,
                dead_share: 0.0,
                dead: &[],
                clients,
            })
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("Simulating {human_pos} of {human_len} clients {wide_bar} {eta}")
        .expect("the template is one")
}

/// Draws the first place.
fn draw(options: &Options, svg: &Svg, results: &Results) -> Result<(), Exit> {
    let frontiers = svg.latency.then(|| plot::frontiers(options));
    let frontiers = frontiers.map(|curves| {
        curves.map(|curve| {
            let clients = options.clients.min(plot::FRONTIER_CLIENTS * options.worlds);
            (curve.name, simulate(options, &curve.points, clients, 1))
        })
    });
    let text = plot::draw(results, svg.load, frontiers.as_ref());
    std::fs::write(&svg.file, text).map_err(|error| {
        let file = escape(&svg.file.to_string_lossy());
        Exit::failed(&format!("--svg {file}: cannot be written: {}", reason(&error)))
    })
}
