//! All clients of a world: what each of them chooses, counted.
//!
//! Clients of one view share its latencies, so a world takes memory for its mirrors and views, and
//! for a counter of each mirror, view and policy, however many clients there are. Every client has
//! a seed of its own, made from the world's seed and its number. The result does therefore not
//! depend on how many threads share the work.

use super::policy::{Choice, Client};
use super::world::World;
use lab::Random;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// How many clients a thread takes at a time.
const CHUNK: u64 = 4096;

/// How many clients of each view chose each mirror, by place, policy and view.
pub(crate) type Counts = Vec<Vec<Vec<Vec<u64>>>>;

/// Some clients of one view.
struct Chunk {
    place: usize,
    view: usize,
    clients: Range<u64>,
}

/// Simulates all clients of the world under each of these policies. `done` is called with the
/// number of clients that have been simulated since it was called last.
pub(crate) fn simulate(
    world: &World,
    choices: &[Choice],
    threads: usize,
    done: &(dyn Fn(u64) + Sync),
) -> Counts {
    let mut chunks = Vec::new();
    for (number, place) in world.places.iter().enumerate() {
        for (view, seen) in place.views.iter().enumerate() {
            let starts = (0..seen.clients).step_by(CHUNK as usize);
            let clients = starts.map(|start| start..seen.clients.min(start + CHUNK));
            chunks.extend(clients.map(|clients| Chunk { place: number, view, clients }));
        }
    }
    let none = |views: usize| vec![vec![vec![0; world.mirrors.len()]; views]; choices.len()];
    let counts = Mutex::new(world.places.iter().map(|place| none(place.views.len())).collect::<Counts>());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(chunk) = chunks.get(next.fetch_add(1, Relaxed)) {
            let chosen = simulate_chunk(world, choices, chunk);
            let mut counts = counts.lock().expect("no thread panics while it adds");
            for (choice, chosen) in chosen.iter().enumerate() {
                let sums = &mut counts[chunk.place][choice][chunk.view];
                sums.iter_mut().zip(chosen).for_each(|(sum, count)| *sum += count);
            }
            drop(counts);
            done(chunk.clients.end - chunk.clients.start);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where no thread can be started, there are fewer to share the work.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    counts.into_inner().expect("no thread has panicked")
}

/// How many clients of the chunk chose each mirror, by policy.
fn simulate_chunk(world: &World, choices: &[Choice], chunk: &Chunk) -> Vec<Vec<u64>> {
    let view = &world.places[chunk.place].views[chunk.view];
    let stream = (chunk.place as u64) << 32 | chunk.view as u64;
    let view_seed = Random::new(!world.seed, stream).next_u64();
    let mut chosen = vec![vec![0; world.mirrors.len()]; choices.len()];
    let mut client = Client::new(world, view);
    for number in chunk.clients.clone() {
        client.reset(Random::new(view_seed, number).next_u64());
        for (chosen, choice) in chosen.iter_mut().zip(choices) {
            chosen[client.choose(choice)] += 1;
        }
    }
    chosen
}
