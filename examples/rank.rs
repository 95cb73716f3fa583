//! Ranks the URLs given as arguments, or one per line on standard input, and prints the order in which
//! to try them: `cargo run --example rank -- http://127.0.0.1:9/pub file:///srv/mirror`.

use fastestmirror::{Ranker, Ranking};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut urls: Vec<String> = std::env::args().skip(1).collect();
    if urls.is_empty() {
        urls = std::io::stdin().lines().collect::<Result<_, _>>()?;
    }

    let mut ranker = Ranker::new();
    ranker.timeout(Duration::from_secs(1))?;
    let ranking: Ranking = ranker.rank(&urls)?;

    for mirror in &ranking.mirrors {
        let mark = if mirror.pool { "pool" } else { "" };
        match mirror.outcome.latency() {
            Some(latency) => println!("{latency:>12.2?} {mark:4} {}", mirror.url),
            None => println!("{:>12} {mark:4} {}", format!("{:?}", mirror.outcome), mirror.url),
        }
    }
    println!("stopped after {:.2?}: {:?}", ranking.elapsed, ranking.ended);
    Ok(())
}
