//! The result for people: a table in sections, each headed by the reason for its place, and a
//! summary.

use crate::terminal::Palette;
use crate::text::{cut, escape, without_password};
use anstyle::Style;
use fastestmirror::{Outcome, PoolOrder, RankedMirror, Ranker, Ranking, StopReason};
use std::io::{self, Write};
use std::time::Duration;

/// The line of a mirror.
pub(crate) struct Row<'a> {
    url: &'a str,
    outcome: Outcome,
    pool: bool,
    imprecise: bool,
    is_detoured: bool,
    /// Whether downloads have shown that it is to stand further back.
    is_demoted: bool,
    pool_order: PoolOrder,
}

impl<'a> From<&'a RankedMirror> for Row<'a> {
    fn from(mirror: &'a RankedMirror) -> Row<'a> {
        Row {
            url: &mirror.url,
            outcome: mirror.outcome,
            pool: mirror.pool,
            imprecise: mirror.imprecise,
            is_detoured: mirror.is_detoured,
            is_demoted: mirror.demotion.is_some(),
            pool_order: PoolOrder::Shuffled,
        }
    }
}

/// What the summary has to say that is not in the rows.
struct Facts {
    stop_reason: StopReason,
    elapsed: Duration,
    /// If it has an effect.
    seed: Option<u64>,
    ambiguous: bool,
    slack_would_add: usize,
    excluded: usize,
    /// How many of the last rows `--top` leaves out.
    omitted: usize,
}

impl Facts {
    fn new(ranking: &Ranking, omitted: &[RankedMirror]) -> Facts {
        Facts {
            stop_reason: ranking.stop_reason,
            elapsed: ranking.elapsed,
            seed: Some(ranking.seed).filter(|_| ranking.pool_order == PoolOrder::Shuffled),
            ambiguous: ranking.ambiguous,
            slack_would_add: ranking.slack_would_add,
            excluded: ranking.excluded.len(),
            omitted: omitted.len(),
        }
    }
}

/// Writes the table and the summary. URLs are cut to make the lines of the table fit the `width`.
/// `omitted` are the mirrors that `--top` leaves out: the summary is about them, too.
pub(crate) fn write(
    out: &mut impl Write,
    ranking: &Ranking,
    omitted: &[RankedMirror],
    width: Option<usize>,
    palette: &Palette,
) -> io::Result<()> {
    let rows = rows(ranking, omitted);
    write_rows(out, &rows, ranking.mirrors.len(), width, palette)?;
    write_summary(out, &rows, &Facts::new(ranking, omitted))
}

/// What the table says below its summary, a sentence each.
pub(crate) fn notes(ranking: &Ranking, omitted: &[RankedMirror]) -> Vec<String> {
    notes_about(&rows(ranking, omitted), &Facts::new(ranking, omitted))
}

/// The lines of all mirrors that have been ranked.
fn rows<'a>(ranking: &'a Ranking, omitted: &'a [RankedMirror]) -> Vec<Row<'a>> {
    let row = |mirror| Row { pool_order: ranking.pool_order, ..Row::from(mirror) };
    ranking.mirrors.iter().chain(omitted).map(row).collect()
}

/// The heading of the section that a mirror belongs to.
pub(crate) fn section(row: &Row<'_>, any_answered: bool) -> &'static str {
    match row.outcome {
        Outcome::Local => "on this machine",
        _ if row.pool && row.is_demoted => "the end of the pool: downloads from these were slow",
        _ if row.is_demoted => "behind: downloads from these have failed within the last hour",
        _ if row.pool && row.pool_order == PoolOrder::Given => {
            "the pool: near enough to share the load, in the given order"
        }
        _ if row.pool => "the pool: near enough to share the load, in random order",
        _ if row.is_detoured => "behind: each connection first waits for an address that is silent",
        Outcome::Measured(_) | Outcome::Cached(_) => "farther away, nearest first",
        _ if !any_answered => "no mirror answered: keeping the given order",
        Outcome::Unanswered => "no reply before measuring stopped",
        _ => "failed",
    }
}

/// Writes the first `count` of the rows.
fn write_rows(
    out: &mut impl Write,
    rows: &[Row<'_>],
    count: usize,
    width: Option<usize>,
    palette: &Palette,
) -> io::Result<()> {
    let Palette { header, dim, good, bad } = palette;
    let any_answered = rows.iter().any(|row| row.outcome.latency().is_some());
    let rows = &rows[..count];
    let position_width = rows.len().to_string().len().max(3);
    let bar_width = if width.is_some_and(|width| width < 100) { 8 } else { 16 };
    let before_url = position_width + " ●  ".len() - "●".len() + 1 + 11 + 2 + bar_width + 1 + 11 + 1;
    let url_width = width.map(|width| width.saturating_sub(before_url).max(20));
    let slowest = rows.iter().filter(|row| !row.imprecise).filter_map(|row| row.outcome.latency()).max();
    // Where all mirrors are near, in a data center for example, two decimals would make them look
    // alike.
    let decimals = if slowest.is_some_and(|slowest| slowest < Duration::from_millis(10)) { 3 } else { 2 };

    writeln!(
        out,
        "{header}{:>position_width$}    {:>11}  {:bar_width$} {:11} mirror{header:#}",
        "#", "latency", "", "outcome"
    )?;
    let mut last_section = "";
    for (position, row) in (1..).zip(rows) {
        let section = section(row, any_answered);
        if section != last_section {
            writeln!(out, "{dim}{:─>position_width$} {section}{dim:#}", "")?;
            last_section = section;
        }
        let latency = row.outcome.latency().map_or(String::new(), |latency| {
            let mark = match (row.imprecise, row.is_detoured) {
                (true, _) => "~",
                (false, true) => "+",
                (false, false) => "",
            };
            format!("{mark}{:.decimals$} ms", latency.as_secs_f64() * 1e3)
        });
        let bar = match (row.outcome.latency(), slowest) {
            (Some(latency), Some(slowest)) => bar(share(latency, slowest), bar_width),
            _ => String::new(),
        };
        let url = escape(&without_password(row.url));
        let url = url_width.map_or(url.clone(), |width| cut(&url, width));
        let pool = if row.pool { '●' } else { ' ' };
        let outcome = row.outcome.name();
        let style = match row.outcome {
            Outcome::Local | Outcome::Measured(_) | Outcome::Cached(_) => Style::new(),
            Outcome::Unanswered => *dim,
            _ => *bad,
        };
        writeln!(
            out,
            "{position:>position_width$} {good}{pool}{good:#}  {latency:>11}  {bar:bar_width$} \
             {style}{outcome:11}{style:#} {url}"
        )?;
    }
    Ok(())
}

/// The length of a latency's bar, as a share of the longest bar. An imprecise latency may be a
/// second too long, and would make all other bars short: it does not count as the slowest, and
/// fills its bar.
pub(crate) fn share(latency: Duration, slowest: Duration) -> f64 {
    (latency.as_secs_f64() / slowest.as_secs_f64()).min(1.0)
}

/// A bar that fills this share of `width` columns, to an eighth of a column.
pub(crate) fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = ((share * 8.0 * width as f64).round() as usize).max(1);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

fn write_summary(out: &mut impl Write, rows: &[Row<'_>], facts: &Facts) -> io::Result<()> {
    let count = |counts: &dyn Fn(&Row<'_>) -> bool| rows.iter().filter(|row| counts(row)).count();
    let local = count(&|row| row.outcome == Outcome::Local);
    let answered = count(&|row| row.outcome.latency().is_some());
    let cached = count(&|row| matches!(row.outcome, Outcome::Cached(_)));
    let pool = count(&|row| row.pool);

    let mut parts = Vec::new();
    if rows.len() > local {
        parts.push(format!("{answered} of {} answered", mirrors(rows.len() - local)));
        if cached > 0 {
            parts[0] += &format!(", {cached} of them in an earlier run");
        }
    }
    if pool > 0 {
        parts.push(format!("{pool} in the pool (●)"));
    }
    if local > 0 {
        let subject = if parts.is_empty() { mirrors(local) } else { local.to_string() };
        parts.push(format!("{subject} on this machine"));
    }
    let seed = facts.seed.map_or(String::new(), |seed| format!(" Seed of the shuffle: {seed}."));
    writeln!(out, "\n{}.{seed}", parts.join("; "))?;
    writeln!(
        out,
        "Measuring stopped after {} ({}): {}.",
        time(facts.elapsed),
        facts.stop_reason.name(),
        facts.stop_reason
    )?;
    notes_about(rows, facts).iter().try_for_each(|note| writeln!(out, "{note}"))
}

fn notes_about(rows: &[Row<'_>], facts: &Facts) -> Vec<String> {
    let count = |counts: &dyn Fn(&Row<'_>) -> bool| rows.iter().filter(|row| counts(row)).count();
    let about = |count: usize, what: &str| (count > 0).then(|| format!("{what}: {}.", mirrors(count)));
    let notes = [
        about(facts.omitted, "Left out by --top"),
        about(facts.excluded, "Left out by filters"),
        about(
            count(&|row| row.imprecise),
            "Packets were lost, so a latency marked ~ may be too long",
        ),
        about(
            count(&|row| row.is_detoured),
            "The address that a client tries first is silent, so it waits beyond a latency marked +",
        ),
        facts.ambiguous.then(|| {
            "Nearly all mirrors are equally near: if a proxy or firewall answers for them, the order means little.".into()
        }),
        (facts.slack_would_add > 0).then(|| {
            let (slack, added) = (Ranker::SUGGESTED_SLACK.as_millis(), facts.slack_would_add);
            format!("The pool has few hosts, which carry all load from here: --slack {slack} would add {added}.")
        }),
    ];
    notes.into_iter().flatten().collect()
}

fn mirrors(count: usize) -> String {
    format!("{count} mirror{}", if count == 1 { "" } else { "s" })
}

pub(crate) fn time(elapsed: Duration) -> String {
    match elapsed.as_secs_f64() {
        seconds if seconds < 0.01 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Colors;

    fn row(url: &str, outcome: Outcome, pool: bool) -> Row<'_> {
        Row {
            url,
            outcome,
            pool,
            imprecise: false,
            is_detoured: false,
            is_demoted: false,
            pool_order: PoolOrder::Shuffled,
        }
    }

    fn measured(milliseconds: u64) -> Outcome {
        Outcome::Measured(Duration::from_millis(milliseconds))
    }

    fn table(rows: &[Row<'_>], width: Option<usize>) -> String {
        let mut out = Vec::new();
        write_rows(&mut out, rows, rows.len(), width, &Palette::PLAIN).expect("memory takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    fn facts() -> Facts {
        Facts {
            stop_reason: StopReason::Settled,
            elapsed: Duration::from_millis(48),
            seed: Some(7),
            ambiguous: false,
            slack_would_add: 0,
            excluded: 0,
            omitted: 0,
        }
    }

    fn summary(rows: &[Row<'_>], facts: &Facts) -> String {
        let mut out = Vec::new();
        write_summary(&mut out, rows, facts).expect("memory takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn table_shows_order_latencies_and_sections() {
        let imprecise = Row { imprecise: true, ..row("http://d.example/", measured(1000), false) };
        let detoured = Row { is_detoured: true, ..row("http://e.example/", measured(10), false) };
        let slow = Row { is_demoted: true, ..row("http://slow.example/", measured(12), true) };
        let broken = Row { is_demoted: true, ..row("http://broken.example/", measured(9), false) };
        let rows = [
            row("file:///srv", Outcome::Local, false),
            row("http://a.example/", measured(15), true),
            row("http://b.example/", Outcome::Cached(Duration::from_millis(10)), true),
            slow,
            row("http://c.example/", measured(160), false),
            imprecise,
            detoured,
            broken,
            row("http://f.example/", Outcome::Unanswered, false),
            row("http://g.example/\x1b[2J", Outcome::Unsupported, false),
        ];
        let expected = "  \
  #        latency                   outcome     mirror
─── on this machine
  1                                  local       file:///srv
─── the pool: near enough to share the load, in random order
  2 ●     15.00 ms  █▌               measured    http://a.example/
  3 ●     10.00 ms  █                cached      http://b.example/
─── the end of the pool: downloads from these were slow
  4 ●     12.00 ms  █▎               measured    http://slow.example/
─── farther away, nearest first
  5      160.00 ms  ████████████████ measured    http://c.example/
  6    ~1000.00 ms  ████████████████ measured    http://d.example/
─── behind: each connection first waits for an address that is silent
  7      +10.00 ms  █                measured    http://e.example/
─── behind: downloads from these have failed within the last hour
  8        9.00 ms  ▉                measured    http://broken.example/
─── no reply before measuring stopped
  9                                  unanswered  http://f.example/
─── failed
 10                                  unsupported http://g.example/\\u{1b}[2J
";
        assert_eq!(table(&rows, None), expected);
        assert_eq!(
            summary(&rows, &facts()),
            "\n7 of 9 mirrors answered, 1 of them in an earlier run; 3 in the pool (●); 1 on this machine. \
             Seed of the shuffle: 7.\n\
             Measuring stopped after 48 ms (settled): no other mirror can belong to the pool.\n\
             Packets were lost, so a latency marked ~ may be too long: 1 mirror.\n\
             The address that a client tries first is silent, so it waits beyond a latency marked +: 1 mirror.\n"
        );
    }

    #[test]
    fn table_without_an_answer_has_one_section() {
        let rows = [
            row("http://a.example/", Outcome::Refused, false),
            row("http://b.example/", Outcome::Unanswered, false),
            row("http://c.example/", Outcome::Refused, false),
        ];
        assert_eq!(table(&rows, None).matches("───").count(), 1);
        let facts = Facts { ambiguous: true, excluded: 2, elapsed: Duration::from_secs(2), ..facts() };
        let summary = summary(&rows, &facts);
        for part in ["0 of 3 mirrors answered", "after 2.00 s", "filters: 2 mirrors", "equally near"] {
            assert!(summary.contains(part), "{part}: {summary}");
        }
    }

    #[test]
    fn pool_in_the_given_order_has_no_seed() {
        let rows = [Row { pool_order: PoolOrder::Given, ..row("http://a.example/", measured(15), true) }];
        assert!(
            table(&rows, None).contains("─── the pool: near enough to share the load, in the given order\n")
        );
        let summary = summary(&rows, &Facts { seed: None, ..facts() });
        assert!(summary.starts_with("\n1 of 1 mirror answered; 1 in the pool (●).\nMeasuring"), "{summary}");
    }

    #[test]
    fn summary_hints_at_slack_that_would_help() {
        let rows = [row("http://a.example/", measured(1), true)];
        let hint = "--slack 5 would add 3.\n";
        assert!(summary(&rows, &Facts { slack_would_add: 3, ..facts() }).ends_with(hint));
        assert!(!summary(&rows, &facts()).contains("--slack"));
    }

    #[test]
    fn summary_of_local_mirrors_counts_no_answers() {
        let rows = [row("file:///a", Outcome::Local, false), row("file:///b", Outcome::Local, false)];
        let summary = summary(&rows, &facts());
        assert!(summary.starts_with("\n2 mirrors on this machine. Seed"), "{summary}");
    }

    #[test]
    fn lines_fit_the_terminal() {
        let url = format!("http://a.example/{}", "x".repeat(500));
        let rows = [row(&url, measured(1), true)];
        for width in [70, 80, 99, 100, 200] {
            let longest = table(&rows, Some(width)).lines().map(|line| line.chars().count()).max();
            assert_eq!(longest, Some(width));
        }
        assert!(table(&rows, None).contains(&url));
        assert!(table(&rows, Some(3)).contains("http://a.exam…"));
    }

    #[test]
    fn colors_repeat_what_the_text_says() {
        let rows = [
            row("http://a.example/", measured(1), true),
            row("http://b.example/", Outcome::Unanswered, false),
            row("http://c.example/", Outcome::Refused, false),
        ];
        let mut out = Vec::new();
        let palette = Colors::Always.palette(false);
        write_rows(&mut out, &rows, rows.len(), None, &palette).expect("memory takes all");
        let colored = String::from_utf8(out).expect("UTF-8");
        for part in ["\x1b[32m●\x1b[0m", "\x1b[2munanswered ", "\x1b[31mrefused ", "\x1b[1m  #"] {
            assert!(colored.contains(part), "{part:?} in {colored:?}");
        }
        let mut plain = colored;
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m"] {
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, table(&rows, None));
    }

    #[test]
    fn bar_is_as_long_as_the_latency() {
        let table =
            [(0, "▏"), (1, "▏"), (2, "▎"), (8, "█"), (60, "███████▌"), (64, "████████"), (999, "████████")];
        for (latency, expected) in table {
            let share = share(Duration::from_millis(latency), Duration::from_millis(64));
            assert_eq!(bar(share, 8), expected);
        }
    }
}
