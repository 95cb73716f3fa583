//! The table of several runs, and what it means.

use super::statistics::{Mirror, Statistics};
use crate::table::time;
use crate::terminal::Palette;
use crate::text::{cut, escape, without_password};
use fastestmirror::Outcome;
use std::io::{self, Write};
use std::time::Duration;

/// Writes the table and a summary. URLs are cut to make the lines of the table fit the `width`.
pub(super) fn write(
    out: &mut impl Write,
    statistics: &Statistics,
    width: Option<usize>,
    palette: &Palette,
) -> io::Result<()> {
    let Palette { header, dim, good, bad } = palette;
    let mirrors = &statistics.mirrors;
    let runs = statistics.runs;
    let position_width = mirrors.len().to_string().len().max(3);
    let count_width = (2 * runs.to_string().len() + 1).max("answered".len());
    let before_url = position_width + 4 + count_width + 2 + count_width + 3 * 13 + 2;
    let url_width = width.map(|width| width.saturating_sub(before_url).max(20));
    // Where all mirrors are near, two decimals would make them look alike.
    let slowest = mirrors.iter().filter_map(Mirror::median).max();
    let decimals = if slowest.is_some_and(|slowest| slowest < Duration::from_millis(10)) { 3 } else { 2 };
    let ms = |mark: &str, latency: Option<Duration>| {
        latency
            .map_or(String::new(), |latency| format!("{mark}{:.decimals$} ms", latency.as_secs_f64() * 1e3))
    };

    writeln!(
        out,
        "{header}{:>position_width$}    {:>count_width$}  {:>count_width$}  {:>11}  {:>11}  {:>11}  mirror{header:#}",
        "#", "in pool", "answered", "min", "median", "max"
    )?;
    for (position, mirror) in (1..).zip(mirrors) {
        let mark = match mirror.pool {
            0 => ' ',
            pool if pool == runs => '●',
            _ => '○',
        };
        let answered = mirror.latencies.len();
        let pool = format!("{}/{runs}", mirror.pool);
        let (answered, style) = match answered {
            0 if mirror.outcome == Outcome::Local => ("local".into(), dim),
            0 => (mirror.outcome.name().to_owned(), bad),
            _ => (format!("{answered}/{runs}"), &Palette::PLAIN.dim),
        };
        // The longest word is longer than the column, and there is nothing behind it then.
        let answered_width = count_width.max(answered.len());
        let min_width = 11 - (answered_width - count_width);
        let min = ms("", mirror.min());
        let median = ms(if mirror.is_detoured() { "+" } else { "" }, mirror.median());
        let max = ms(if mirror.imprecise > 0 { "~" } else { "" }, mirror.max());
        let url = escape(&without_password(&mirror.url));
        let url = url_width.map_or(url.clone(), |width| cut(&url, width));
        writeln!(
            out,
            "{position:>position_width$} {good}{mark}{good:#}  {pool:>count_width$}  \
             {style}{answered:>count_width$}{style:#}  {min:>min_width$}  {median:>11}  {max:>11}  {url}"
        )?;
    }
    write_summary(out, statistics)
}

fn write_summary(out: &mut impl Write, statistics: &Statistics) -> io::Result<()> {
    let runs = statistics.runs;
    let count =
        |counts: &dyn Fn(&Mirror) -> bool| statistics.mirrors.iter().filter(|mirror| counts(mirror)).count();
    let always = count(&|mirror| mirror.pool == runs);
    let sometimes = count(&|mirror| (1..runs).contains(&mirror.pool));
    writeln!(
        out,
        "\n{} in {}, each with the seed {}. In the pool in every run (●): {}; in some (○): {sometimes}.",
        if runs == 1 { "1 run".into() } else { format!("{runs} runs") },
        time(statistics.elapsed),
        statistics.seed,
        if always == 1 { "1 mirror".into() } else { format!("{always} mirrors") },
    )?;
    let rarely = count(&|mirror| (1..runs).contains(&(2 * mirror.latencies.len())));
    if rarely > 0 {
        writeln!(out, "Answered in fewer than half of the runs, and stand behind: {rarely}.")?;
    }
    if statistics.excluded > 0 {
        writeln!(out, "Left out by filters: {}.", statistics.excluded)?;
    }
    let lossy = count(&|mirror| mirror.imprecise > 0);
    if lossy > 0 {
        writeln!(out, "Packets were lost, so a longest latency marked ~ may be too long: {lossy}.")?;
    }
    let detoured = count(&|mirror| mirror.is_detoured());
    if detoured > 0 {
        writeln!(
            out,
            "The address that a client tries first is silent, so it waits beyond a latency marked +: {detoured}."
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(url: &str, pool: usize, milliseconds: &[u64]) -> Mirror {
        let latencies = milliseconds.iter().map(|&latency| Duration::from_millis(latency)).collect();
        Mirror { pool, latencies, ..Mirror::new(0, url) }
    }

    fn table(mirrors: Vec<Mirror>, runs: usize, width: Option<usize>) -> String {
        let mut statistics = Statistics { runs, seed: 7, mirrors, ..Statistics::default() };
        statistics.finish(Duration::from_millis(3210));
        let mut out = Vec::new();
        write(&mut out, &statistics, width, &Palette::PLAIN).expect("memory takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn table_shows_how_much_runs_differ() {
        let mirrors = vec![
            mirror("http://a.example/", 4, &[10, 10, 11, 12]),
            Mirror { imprecise: 1, ..mirror("http://b.example/", 3, &[19, 20, 1021]) },
            Mirror { outcome: Outcome::Refused, ..mirror("http://c.example/\x1b", 0, &[5]) },
            Mirror { outcome: Outcome::Unsupported, ..mirror("rsync://u:p@d.example/", 0, &[]) },
            Mirror { outcome: Outcome::Local, ..mirror("file:///srv", 0, &[]) },
        ];
        let expected = "  \
  #     in pool  answered          min       median          max  mirror
  1         0/4     local                                         file:///srv
  2 ●       4/4       4/4     10.00 ms     10.50 ms     12.00 ms  http://a.example/
  3 ○       3/4       3/4     19.00 ms     20.00 ms  ~1021.00 ms  http://b.example/
  4         0/4       1/4      5.00 ms      5.00 ms      5.00 ms  http://c.example/\\u{1b}
  5         0/4  unsupported                                      rsync://u:***@d.example/

4 runs in 3.21 s, each with the seed 7. In the pool in every run (●): 1 mirror; in some (○): 1.
Answered in fewer than half of the runs, and stand behind: 1.
Packets were lost, so a longest latency marked ~ may be too long: 1.
";
        assert_eq!(table(mirrors, 4, None), expected);
    }

    #[test]
    fn lines_fit_the_terminal() {
        let url = format!("http://a.example/{}", "x".repeat(500));
        for (runs, width) in [(1, 100), (10, 90), (1000, 120)] {
            let text = table(vec![mirror(&url, runs, &[10])], runs, Some(width));
            let (table, _) = text.split_once("\n\n").expect("a summary");
            let longest = table.lines().map(|line| line.chars().count()).max();
            assert_eq!(longest, Some(width), "{text}");
        }
    }
}
