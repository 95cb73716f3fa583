//! What the command shows without arguments: some 400 mirrors of a simulated internet, as seen from a few places,
//! ranked, with the truth beside the measurement. Where no such world can be had, a small one on loopback.

use super::table::{self, bar};
use super::words;
use fastestmirror::{RankedMirror, Ranker, Ranking};
use lab::geography::{Geography, Place, Sites, State};
use lab::{Report, Unavailable, World};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// The places, and how many mirrors to show from there.
const VIEWS: [(Place, usize); 3] = [(Place::FRANKFURT, 20), (Place::SAO_PAULO, 5), (Place::SYDNEY, 5)];
/// Of everything that is drawn by lot, so that everybody sees the same worlds.
const SEED: u64 = 1;

/// Prints the demonstration.
pub(crate) fn run() -> io::Result<ExitCode> {
    let mut shown = Ok(());
    match lab::run(|| shown = show_worlds()) {
        Ok(status) => shown.map(|()| status),
        Err(unavailable) => {
            show_loopback(&unavailable)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show_worlds() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "A simulated internet in a network namespace; nothing leaves this machine.")?;
    for (place, rows) in VIEWS {
        // The edge of the pool is kept clear: there the simulation's own error would decide, not the measurement.
        let sites = Geography::seen_from(place, SEED).with_trouble().with_clear_edge().draw();
        let (ranking, report) = rank(&sites)?;
        show(&mut out, place, &sites, &ranking, rows)?;
        if report.error.could_not_keep_up() {
            writeln!(
                out,
                "This machine was too busy to simulate the network on time, so some mirrors really were farther\n\
                 away than the truth has it, by which the pool is judged:"
            )?;
        }
        writeln!(out, "{}", verdict(&sites, &ranking))?;
        writeln!(
            out,
            "Measuring ended after {} ({}): {}.",
            ms(ranking.elapsed),
            words::ended(ranking.stop_reason),
            words::ended_because(ranking.stop_reason)
        )?;
        let total = report.total();
        writeln!(
            out,
            "It cost {} SYNs to {} mirrors, and {} bytes. The simulation's own error: {} (99th percentile).",
            total.syns,
            sites.0.len(),
            total.payload,
            ms(report.error.p99),
        )?;
    }
    writeln!(out, "\nYour own list: cargo run --release --example rank -- FILE, or --help.")
}

/// Ranks the mirrors of a world; in another one of the same, if the machine was too busy to simulate it.
fn rank(sites: &Sites) -> io::Result<(Ranking, Report)> {
    for attempt in 1.. {
        let world = World::start(sites.spec()).map_err(io::Error::other)?;
        let ranking = Ranker::new().rank(sites.urls()).map_err(io::Error::other)?;
        let report = world.report();
        if attempt == 3 || !report.error.could_not_keep_up() {
            return Ok((ranking, report));
        }
    }
    unreachable!("the third attempt returns")
}

fn show(out: &mut impl Write, place: Place, sites: &Sites, ranking: &Ranking, rows: usize) -> io::Result<()> {
    let count = |state| sites.0.iter().filter(|site| site.state == state).count();
    writeln!(
        out,
        "\nFrom {}: {} mirrors, {} of them dead, {} refusing, {} losing the first SYN.\n",
        place.name,
        sites.0.len(),
        count(State::Dead),
        count(State::Refusing),
        count(State::LosesFirstSyn),
    )?;
    writeln!(out, "  #    measured      truth  {:16} mirror", "")?;
    let slowest = ranking.mirrors.iter().take(rows).filter_map(|mirror| mirror.outcome.latency()).max();
    let mut last_section = "";
    for (position, mirror) in (1..).zip(&ranking.mirrors).take(rows) {
        let site = &sites.0[mirror.index];
        let latency = mirror.outcome.latency();
        let (measured, bar) = match (latency, slowest) {
            (Some(latency), Some(slowest)) => (ms(latency), bar(latency, slowest, 16)),
            _ => (words::outcome(mirror.outcome).into(), String::new()),
        };
        let section = table::section(mirror.outcome, mirror.pool, true);
        if std::mem::replace(&mut last_section, section) != section {
            writeln!(out, "─── {section}")?;
        }
        let mark = if mirror.pool { '●' } else { ' ' };
        let truth = ms(site.rtt);
        writeln!(
            out,
            "{position:>3} {mark} {measured:>10} {truth:>10}  {bar:16} {} ({})",
            site.host, site.place
        )?;
    }

    let answered = ranking.mirrors.iter().filter(|mirror| mirror.outcome.latency().is_some()).count();
    writeln!(out, "  … and {} more; {answered} have answered in all.\n", ranking.mirrors.len() - rows)
}

/// Whether the pool is the true one, and who is wrongly in or out.
fn verdict(sites: &Sites, ranking: &Ranking) -> String {
    let truth = sites.pool();
    let belongs = |mirror: &RankedMirror| truth.iter().any(|site| site.host == sites.0[mirror.index].host);
    let pool = ranking.mirrors.iter().filter(|mirror| mirror.pool).count();
    let wrong: Vec<_> = ranking.mirrors.iter().filter(|mirror| mirror.pool != belongs(mirror)).collect();
    if wrong.is_empty() {
        return format!("The pool (●) is exactly right: {pool} of {}.", truth.len());
    }
    let name = |mirror: &&RankedMirror| {
        let site = &sites.0[mirror.index];
        let why = match (mirror.pool, site.state) {
            (true, _) => "does not belong",
            (false, State::LosesFirstSyn) => "is missing: its first SYN was lost, and nobody waits for one",
            (false, _) => "is missing",
        };
        format!("{} {why}", site.host)
    };
    let wrong: Vec<_> = wrong.iter().map(name).collect();
    format!("The pool (●) has {pool} mirrors where {} belong: {}.", truth.len(), wrong.join("; "))
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// A few mirrors on loopback addresses, all of them near.
fn show_loopback(unavailable: &Unavailable) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port();
    // Who has connected has what it came for.
    thread::spawn(move || listener.incoming().for_each(drop));
    let mut urls: Vec<_> = (1..=5).map(|n| format!("http://127.0.0.{n}:{port}/pub/")).collect();
    urls.extend(["http://127.0.0.1:1/refused/".into(), "file:///srv/mirror/".into()]);
    let ranking = Ranker::new().rank(&urls).map_err(io::Error::other)?;
    let mut out = io::stdout().lock();
    writeln!(out, "There is no simulated internet on this machine, for this user: {}.", unavailable.why())?;
    writeln!(out, "Instead, a few mirrors on this machine's loopback addresses:\n")?;
    table::write(&mut out, &ranking, None)
}
