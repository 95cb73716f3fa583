//! Ranks the URLs given as arguments, or one per line on standard input, and prints the order in
//! which to try them: `cargo run --example rank -- http://127.0.0.1:9/pub file:///srv/mirror`.

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
        let latency = mirror.outcome.latency().map(|latency| format!("{latency:.2?}"));
        let pool = if mirror.pool { "pool" } else { "" };
        println!("{:11} {:>10} {pool:4} {}", mirror.outcome.name(), latency.unwrap_or_default(), mirror.url);
    }
    println!("Measuring stopped after {:.2?}: {}.", ranking.elapsed, ranking.stop_reason);
    Ok(())
}
