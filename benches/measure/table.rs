//! The output of the bench: a table and conclusions, for the terminal and `benches/README.md`.

use super::busy::Busy;
use super::clients::Client;
use super::row::{Floor, Row};
use lab::LabError;
use std::fmt::Write;
use std::fs;
use std::thread::available_parallelism;
use std::time::Duration;
use support::build::{root, run};
use support::programs::program;

const BEGIN: &str = "<!-- from `cargo bench --bench measure` with FASTESTMIRROR_RENEW=1 -->";
const END: &str = "<!-- to here -->";

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) beside_librepo: Vec<Row>,
    pub(crate) growth: Vec<Row>,
    pub(crate) busy: Option<Busy>,
}

/// Prints a row when it has been measured.
pub(crate) fn show(row: &Row) {
    println!("{}", line(row));
    if row.lab.could_not_keep_up() {
        println!("  * {}", row.lab);
    }
}

fn line(row: &Row) -> String {
    let late = mark(&row.lab);
    let error = row.error.map_or("–".into(), |(p50, p99)| format!("{}, {}", ms(p50), ms(p99)));
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let pool = match row.client.is_lower_bound() {
        true => "–".into(),
        false => format!(
            "{} of {}; {}, {}",
            row.pool.exact,
            row.runs,
            row.pool.precision().map_or("–".into(), percent),
            percent(row.pool.recall())
        ),
    };
    let above = |floor: Duration| {
        format!("{} {:+.1}", ms(floor), row.time.as_secs_f64() * 1e3 - floor.as_secs_f64() * 1e3)
    };
    let floor = row.floor.map_or("–".into(), |Floor { stop_reason, lookups, syns }| {
        let with_syns = syns.map_or(String::new(), |floor| format!("; {}", above(floor)));
        format!("{}: {}{with_syns}", stop_reason.name(), above(lookups))
    });
    let (syns, payload) = (row.syns, row.payload);
    format!(
        "| {} | {}{late} | {} | {} | {error} | {pool} | {syns:.0} | {payload:.0} | {:.1} | {floor} |",
        row.label,
        row.client.name(),
        ms(row.time),
        ms(row.cpu),
        row.memory / 1024.0,
    )
}

/// The mark of a row during which the lab was late; [`Table::markdown`] explains it.
fn mark(lab: &LabError) -> &'static str {
    if lab.could_not_keep_up() { "*" } else { "" }
}

/// Milliseconds with three significant digits.
fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    let digits = [1.0, 10.0, 100.0].iter().filter(|&&limit| ms < limit).count();
    format!("{ms:.digits$}")
}

impl Table {
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "{}\n\n\
             | mirrors | client | time | CPU time | error: median, p99 | pool: exact runs; precision, recall | SYNs | bytes | memory | floors, and above them |\n\
             |---|---|--:|--:|---|---|--:|--:|--:|---|\n",
            versions()
        );
        let rows = || self.beside_librepo.iter().chain(&self.growth);
        rows().for_each(|row| writeln!(text, "{}", line(row)).expect("a string"));
        let busy = self.busy.iter().flat_map(|busy| &busy.lab);
        if rows().map(|row| &row.lab).chain(busy).any(LabError::could_not_keep_up) {
            text.push_str(
                "\n\\* While this ran, more than one packet in a hundred was over a millisecond late in the lab, or \
                 one handshake in a hundred over two: the machine was too busy, and the errors are in part the lab's.\n",
            );
        }
        text.push('\n');
        self.conclusions().iter().for_each(|line| writeln!(text, "- {line}").expect("a string"));
        text
    }

    fn row(&self, mirrors: usize, dead: bool, client: Client) -> Option<&Row> {
        let mut rows = self.beside_librepo.iter();
        rows.find(|row| row.mirrors == mirrors && (row.dead > 0) == dead && row.client == client)
    }

    /// The conclusions from the rows.
    fn conclusions(&self) -> Vec<String> {
        let pool = |row: &Row| {
            let right = format!("exactly right in {} of {} runs", row.pool.exact, row.runs);
            match (row.pool.exact == row.runs, row.pool.precision()) {
                (true, _) => right,
                (false, None) => format!("{right}: it is empty"),
                (false, Some(precision)) => format!(
                    "{right}: {:.0} % of it belong, {:.0} % of those that belong are in it",
                    precision * 100.0,
                    row.pool.recall() * 100.0
                ),
            }
        };
        let mut lines = Vec::new();
        let times = |theirs: Duration, ours: Duration| match theirs.as_secs_f64() / ours.as_secs_f64() {
            times if times < 10.0 => format!("{times:.1} times"),
            times => format!("{times:.0} times"),
        };
        for (mirrors, dead, librepo) in [
            (30, false, Client::LibrepoHttps),
            (421, true, Client::LibrepoHttps),
            (421, true, Client::LibrepoHttp),
        ] {
            let rows = self.row(mirrors, dead, Client::Defaults).zip(self.row(mirrors, dead, librepo));
            let Some((ours, theirs)) = rows else { continue };
            lines.push(format!(
                "{} mirrors: {} takes {} as long and {} the CPU time. Our pool is {}; its pool is {}.",
                ours.label,
                librepo.name(),
                times(theirs.time, ours.time),
                times(theirs.cpu, ours.cpu),
                pool(ours),
                pool(theirs),
            ));
        }
        if let Some(warm) = self.row(421, false, Client::Warm) {
            lines.push(format!("421 mirrors from a warm cache: {} ms.", ms(warm.time)));
        }
        if let Some(most) = self.growth.iter().find(|row| row.mirrors == 10_000) {
            lines.push(format!(
                "{} mirrors given by address, 1,024 descriptors: {} ms, {:.1} µs of CPU time and {:.2} KiB for each.",
                most.mirrors,
                ms(most.time),
                most.cpu.as_secs_f64() * 1e6 / most.mirrors as f64,
                most.memory / most.mirrors as f64,
            ));
        }
        if let Some(busy) = &self.busy {
            let p99 = |error: Option<(Duration, Duration)>| error.map_or("–".into(), |(_, p99)| ms(p99));
            let [lab, lab_of_clocks] = busy.lab.each_ref().map(|lab| format!("{}{}", ms(lab.p99), mark(lab)));
            lines.push(format!(
                "Other processes keep all processors busy, {} mirrors: the error of our latencies is {} ms (p99; the lab's own {}). \
                 Of a program that connects to all at once, it is {} ms by the kernel's clock and {} ms by the wall's (the lab's own {}).",
                busy.mirrors,
                p99(busy.ours),
                lab,
                p99(busy.kernel),
                p99(busy.wall),
                lab_of_clocks,
            ));
        }
        lines
    }
}

/// Replaces the table in `benches/README.md`.
pub(crate) fn renew_readme(text: &str) {
    let path = root().join("benches/README.md");
    let readme = fs::read_to_string(&path).expect("a README");
    let (before, rest) = readme.split_once(BEGIN).expect("the mark before the table");
    let (_, after) = rest.split_once(END).expect("the mark after the table");
    fs::write(&path, format!("{before}{BEGIN}\n{text}{END}{after}")).expect("a README that can be written");
}

fn versions() -> String {
    let word = |command: &mut std::process::Command| run(command).trim().to_owned();
    let librepo = match super::clients::has_librepo() {
        true => format!("librepo {}", word(program("pkg-config").args(["--modversion", "librepo"]))),
        false => "no librepo".to_owned(),
    };
    let kernel = word(program("uname").arg("-r"));
    format!(
        "{}: fastestmirror {}, {librepo}, Linux {}, {} processors.",
        word(program("date").arg("+%Y-%m-%d")),
        version(),
        kernel.split('.').take(2).collect::<Vec<_>>().join("."),
        available_parallelism().map_or(1, usize::from),
    )
}

/// The version of the library, from its manifest.
fn version() -> &'static str {
    let manifest = include_str!("../../Cargo.toml");
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = "));
    line.expect("a manifest with a version").trim_matches('"')
}
