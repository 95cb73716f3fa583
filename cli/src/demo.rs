//! The demonstration: some 400 mirrors of a simulated internet, ranked as seen from a few cities,
//! with their true latencies beside the measured ones. Where there can be no simulated internet, it
//! ranks a few loopback addresses instead.

mod svg;

use crate::exit::{Exit, reason};
use crate::table::{self, bar, share};
use crate::terminal::Palette;
use crate::text::escape;
use fastestmirror::{Outcome, RankedMirror, Ranker, Ranking};
use lab::geography::{Geography, Place, Sites, State};
use lab::{Report, Unavailable, World};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// The cities, and how many mirrors to show of each ranking.
const CITIES: [(Place, usize); 3] = [(Place::FRANKFURT, 20), (Place::SAO_PAULO, 5), (Place::SYDNEY, 5)];
/// How many mirrors to show in the picture.
const ROWS_IN_PICTURE: usize = 12;
/// The seed of everything that is drawn at random, so that every run shows the same worlds.
const SEED: u64 = 1;
/// How often a world is tried if the machine is too busy to simulate it.
const ATTEMPTS: usize = 3;

/// What is shown of one ranking, as a table or as a picture.
struct View {
    headline: String,
    rows: Vec<SiteRow>,
    /// How many mirrors follow the rows, and their outcomes.
    rest: String,
    /// Lines below the table: whether the pool is right, why measuring stopped, what it cost.
    facts: Vec<String>,
}

/// The line of a mirror.
struct SiteRow {
    position: usize,
    /// The heading above the row, unless the row before is in the same section.
    heading: Option<&'static str>,
    pool: bool,
    /// The latency, or the outcome of a mirror without one.
    measured: String,
    truth: String,
    /// The length of the bar, from 0 to 1; 0 for none.
    bar: f64,
    mirror: String,
}

/// Prints the demonstration, and draws the first ranking into the file `svg`.
pub(crate) fn run(svg: Option<&Path>) -> Result<ExitCode, Exit> {
    let mut shown = Ok(());
    match lab::run(|| shown = show_worlds(svg)) {
        Ok(status) => shown.map(|()| status),
        Err(unavailable) => {
            show_loopback(&unavailable)?;
            match svg {
                Some(file) => Err(Exit::failed(&format!(
                    "{}: not written: it would show the simulated internet",
                    escape(&file.to_string_lossy())
                ))),
                None => Ok(ExitCode::SUCCESS),
            }
        }
    }
}

fn show_worlds(svg: Option<&Path>) -> Result<(), Exit> {
    let mut out = io::stdout().lock();
    let unwritable = |failure| Exit::unwritable(&failure);
    writeln!(out, "A simulated internet in a network namespace; nothing leaves this machine.")
        .map_err(unwritable)?;
    for (index, (place, rows)) in CITIES.into_iter().enumerate() {
        // No mirror is near the limit of the pool, where the simulation's own error would decide.
        let sites = Geography::seen_from(place, SEED).with_trouble().with_clear_edge().draw();
        let (ranking, report) = rank(&sites)?;
        let view = |rows| View::new(place, &sites, &ranking, &report, rows);
        if let (0, Some(file)) = (index, svg) {
            draw(&view(ROWS_IN_PICTURE), file)?;
        }
        view(rows).write(&mut out).map_err(unwritable)?;
    }
    writeln!(out, "\nTo rank a list of your own: fastestmirror FILE (see fastestmirror --help).")
        .map_err(unwritable)
}

fn draw(view: &View, file: &Path) -> Result<(), Exit> {
    std::fs::write(file, svg::draw(view)).map_err(|error| {
        let file = escape(&file.to_string_lossy());
        Exit::failed(&format!("{file}: cannot be written: {}", reason(&error)))
    })
}

/// Ranks the mirrors of a world. Starts another one like it if the machine was too busy to simulate
/// it, up to [`ATTEMPTS`] in all.
fn rank(sites: &Sites) -> Result<(Ranking, Report), Exit> {
    let failed = |why: String| Exit::failed(&format!("the demonstration cannot go on: {why}"));
    for attempt in 1.. {
        let world = World::start(sites.spec()).map_err(|error| failed(error.to_string()))?;
        let ranking = Ranker::new().rank(sites.urls()).map_err(|error| failed(error.to_string()))?;
        let report = world.report();
        if attempt == ATTEMPTS || !report.error.could_not_keep_up() {
            return Ok((ranking, report));
        }
    }
    unreachable!("the last attempt returns")
}

impl View {
    fn new(place: Place, sites: &Sites, ranking: &Ranking, report: &Report, rows: usize) -> View {
        let count = |state| sites.0.iter().filter(|site| site.state == state).count();
        let headline = format!(
            "From {}: {} mirrors, of which {} are dead, {} refuse, and {} lose the first SYN.",
            place.name,
            sites.0.len(),
            count(State::Dead),
            count(State::Refusing),
            count(State::LosesFirstSyn),
        );

        let mut facts = Vec::new();
        if report.error.could_not_keep_up() {
            facts.push(
                "This machine was too busy to simulate the network on time: some mirrors really were".into(),
            );
            facts.push("farther away than their true latencies, by which the pool is judged.".into());
        }
        facts.extend(verdict(sites, ranking));
        facts.push(format!(
            "Measuring stopped after {} ({}): {}.",
            ms(ranking.elapsed),
            ranking.stop_reason.name(),
            ranking.stop_reason
        ));
        let total = report.total();
        facts.push(format!(
            "It cost {} SYNs to {} mirrors, and {} bytes. The simulation's own error: {} (99th percentile).",
            total.syns,
            sites.0.len(),
            total.payload,
            ms(report.error.p99),
        ));

        let (shown, rest) = ranking.mirrors.split_at(rows.min(ranking.mirrors.len()));
        View { headline, rows: View::rows(sites, shown), rest: outcomes(rest), facts }
    }

    fn rows(sites: &Sites, mirrors: &[RankedMirror]) -> Vec<SiteRow> {
        let slowest = mirrors.iter().filter_map(|mirror| mirror.outcome.latency()).max();
        let mut section_above = "";
        let mut rows = Vec::new();
        for (position, mirror) in (1..).zip(mirrors) {
            let site = &sites.0[mirror.index];
            let (measured, bar) = match (mirror.outcome.latency(), slowest) {
                (Some(latency), Some(slowest)) => (ms(latency), share(latency, slowest)),
                _ => (mirror.outcome.name().into(), 0.0),
            };
            let section = table::section(&table::Row::from(mirror), true);
            let heading = (section != section_above).then_some(section);
            section_above = section;
            rows.push(SiteRow {
                position,
                heading,
                pool: mirror.pool,
                measured,
                truth: ms(site.rtt),
                bar,
                mirror: format!("{} ({})", site.host, site.place),
            });
        }
        rows
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n{}\n", self.headline)?;
        writeln!(out, "  #    measured      truth  {:16} mirror", "")?;
        for row in &self.rows {
            if let Some(heading) = row.heading {
                writeln!(out, "─── {heading}")?;
            }
            let mark = if row.pool { '●' } else { ' ' };
            let bar = if row.bar > 0.0 { bar(row.bar, 16) } else { String::new() };
            writeln!(
                out,
                "{:>3} {mark} {:>10} {:>10}  {bar:16} {}",
                row.position, row.measured, row.truth, row.mirror
            )?;
        }
        writeln!(out, "  … {}\n", self.rest)?;
        for fact in &self.facts {
            writeln!(out, "{fact}")?;
        }
        Ok(())
    }
}

/// How many mirrors follow those that are shown, and what became of them.
fn outcomes(rest: &[RankedMirror]) -> String {
    // In the order of their first mirrors.
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for mirror in rest {
        let name = mirror.outcome.name();
        match counts.iter_mut().find(|(counted, _)| *counted == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let describe = |&(name, count): &(&str, usize)| {
        let when = if name == Outcome::Unanswered.name() { " when measuring stopped" } else { "" };
        format!("{count} {name}{when}")
    };
    let counts: Vec<_> = counts.iter().map(describe).collect();
    format!("and {} more: {}", rest.len(), counts.join(", "))
}

/// Whether the pool is the true one, and which mirrors are wrongly in it or not in it.
fn verdict(sites: &Sites, ranking: &Ranking) -> Vec<String> {
    let truth = sites.pool();
    let belongs = |mirror: &RankedMirror| truth.iter().any(|site| site.host == sites.0[mirror.index].host);
    let pool = ranking.mirrors.iter().filter(|mirror| mirror.pool).count();
    let wrong: Vec<_> = ranking.mirrors.iter().filter(|mirror| mirror.pool != belongs(mirror)).collect();
    if wrong.is_empty() {
        return vec![format!("The pool (●) is exactly right: {pool} of {}.", truth.len())];
    }
    let mut lines = vec![format!("The pool (●) has {pool} mirrors where {} belong:", truth.len())];
    for mirror in wrong {
        let site = &sites.0[mirror.index];
        let why = match (mirror.pool, site.state) {
            (true, _) => "does not belong",
            (false, State::LosesFirstSyn) => {
                "is missing: its first SYN was lost, and measuring stopped before the second"
            }
            (false, _) => "is missing",
        };
        lines.push(format!("  {} {why}", site.host));
    }
    lines
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// Ranks a few mirrors on loopback addresses, all of them near.
fn show_loopback(unavailable: &Unavailable) -> Result<(), Exit> {
    let failed =
        |why: &dyn std::fmt::Display| Exit::failed(&format!("the demonstration cannot start: {why}"));
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(|error| failed(&error))?;
    let port = listener.local_addr().map_err(|error| failed(&error))?.port();
    // A connection is all that a client of this listener wants.
    let accept = move || listener.incoming().for_each(drop);
    thread::Builder::new().spawn(accept).map_err(|error| failed(&error))?;
    let mut urls: Vec<_> = (1..=5).map(|n| format!("http://127.0.0.{n}:{port}/pub/")).collect();
    urls.extend(["http://127.0.0.1:1/refused/".into(), "file:///srv/mirror/".into()]);
    let ranking = Ranker::new().rank(&urls).map_err(|error| failed(&error))?;
    let mut out = io::stdout().lock();
    let mut write = || {
        writeln!(
            out,
            "There can be no simulated internet on this machine for this user: {}.",
            unavailable.why()
        )?;
        writeln!(out, "Instead, a few mirrors on loopback addresses:\n")?;
        table::write(&mut out, &ranking, &[], None, &Palette::PLAIN)
    };
    write().map_err(|failure| Exit::unwritable(&failure))
}
