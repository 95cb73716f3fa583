//! The figures for people: a table for each place, with the policies side by side; and the story.

use super::Results;
use super::figures::Figures;
use super::options::Options;
use super::policy::{Choice, Policy};
use std::io::{self, Write};
use std::time::Duration;

/// The width of the names of the figures.
const LABELS: usize = 18;
/// The least width of a column.
const COLUMN: usize = 6;

/// What is printed of a figure: its name, and its value.
type Row = (&'static str, fn(&Figures) -> String);

const ROWS: [Row; 7] = [
    ("busiest share, %", |figures| short(100.0 * figures.busiest_share)),
    ("worst load", |figures| short(figures.worst_load)),
    ("overloaded", |figures| short(figures.overloaded)),
    ("half the load on", |figures| short(figures.half_load_mirrors)),
    ("Gini", |figures| format!("{:.3}", figures.gini)),
    ("RTT median, ms", |figures| short(figures.p50)),
    ("RTT 95 %, ms", |figures| short(figures.p95)),
];

const LEGEND: &str = "\
busiest share     of the clients, that the mirror with the most of them serves; they
                  are hit when it dies
worst load        the highest load of a mirror, in terms of its capacity
overloaded        how many mirrors have more load than capacity
half the load on  so many mirrors
Gini              0 if all mirrors serve alike, nearly 1 if one serves all
RTT               between clients and the mirrors that serve them";

pub(super) fn write(out: &mut impl Write, options: &Options, results: &Results) -> io::Result<()> {
    write_head(out, options, results)?;
    for (place, figures) in results.places.iter().zip(&results.figures) {
        write!(out, "\n{place:LABELS$}")?;
        for name in &results.policies {
            write!(out, "  {name:>COLUMN$}")?;
        }
        writeln!(out)?;
        for (label, value) in ROWS {
            write!(out, "  {label:width$}", width = LABELS - 2)?;
            for (name, figures) in results.policies.iter().zip(figures) {
                write!(out, "  {:>width$}", value(figures), width = name.len().max(COLUMN))?;
            }
            writeln!(out)?;
        }
    }
    writeln!(out, "\n{LEGEND}")
}

fn write_head(out: &mut impl Write, options: &Options, results: &Results) -> io::Result<()> {
    let mirrors = results.figures.first().and_then(|place| place.first()).map_or(0, |it| it.shares.len());
    let worlds = match options.worlds {
        1 => String::new(),
        worlds => format!(" Means of {worlds} worlds."),
    };
    writeln!(
        out,
        "{} clients are simulated, with {mirrors} mirrors. In each place the load is as if all of them\n\
         stood there: {} Gbit/s at the worst time of the day.{worlds}",
        options.clients,
        short(results.demand)
    )
}

/// The policies of the story, as variations of the rule.
pub(super) fn story_policies(options: &Options) -> Vec<(String, Choice)> {
    let factor = options.factor;
    let with_slack = |milliseconds: u64| {
        let choice = Choice::uniform(factor, Duration::from_millis(milliseconds));
        (format!("{factor}x or +{milliseconds} ms"), choice)
    };
    let named = |name: String, policy: Policy| (name, policy.choice(factor, options.slack));
    vec![
        named("the nearest mirror (strict)".into(), Policy::Strict),
        named(format!("{factor}x, the rule (factor)"), Policy::Factor),
        with_slack(2),
        with_slack(5),
        with_slack(10),
        named(format!("{factor}x, by capacity (weights)"), Policy::Weights),
        named(
            format!("{factor}x or +{} ms, by capacity (given)", options.slack.as_secs_f64() * 1e3),
            Policy::Given,
        ),
    ]
}

pub(super) fn write_story(out: &mut impl Write, results: &Results) -> io::Result<()> {
    let place = results.places.first().map_or("", String::as_str);
    writeln!(
        out,
        "The story: {place}, 0.8 ms from the machines; all others from 2 ms on.\n{} clients ask for {} Gbit/s \
         at the worst time of the day. This mirror gets:\n",
        results.clients,
        short(results.demand),
    )?;
    writeln!(out, "{:36}  {:>8}  {:>7}  {:>14}", "policy", "share, %", "Gbit/s", "RTT median, ms")?;
    for (name, figures) in results.policies.iter().zip(results.figures.iter().flatten()) {
        let share = figures.shares.first().copied().unwrap_or(0.0);
        writeln!(
            out,
            "{name:36}  {:>8}  {:>7}  {:>14}",
            short(100.0 * share),
            short(results.demand * share),
            short(figures.p50)
        )?;
    }
    Ok(())
}

/// A number with as many digits as matter.
fn short(number: f64) -> String {
    match number {
        _ if number == number.trunc() && number < 1e6 => format!("{number}"),
        _ if number >= 99.95 => format!("{number:.0}"),
        _ if number >= 1.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
