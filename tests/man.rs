//! The man pages in docs/man: the committed pages are those of their sources, have no fault, and
//! name what the library has.
//!
//! To make the pages anew: `FASTESTMIRROR_RENEW=1 cargo test --test man`. A page that has changed
//! gets the date of that day, or that of `SOURCE_DATE_EPOCH`; the others keep theirs.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use support::build::{root, run, transcript};
use support::programs::{have, program};

const PAGES: [&str; 5] =
    ["fastestmirror.1", "fastestmirror.3", "fastestmirror.7", "fastestmirror.conf.5", "fm-librepo.1"];
/// What scdoc writes if it is asked for the first second of its calendar.
const NO_DATE: &str = "\"1970-01-01\"";

fn path(page: &str) -> PathBuf {
    root().join("docs/man").join(page)
}

fn source(page: &str) -> String {
    fs::read_to_string(path(&format!("{page}.scd"))).expect("a source")
}

/// The text below a heading of a source, up to the next one.
fn section<'a>(source: &'a str, heading: &str) -> &'a str {
    let (_, text) = source.split_once(&format!("\n# {heading}\n")).expect("the page has this section");
    text.split("\n# ").next().expect("split returns a part")
}

/// The literal text in a section.
fn literal<'a>(source: &'a str, heading: &str) -> &'a str {
    section(source, heading).split("```").nth(1).expect("literal text")
}

/// The words that consist of letters, digits and underscores.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect()
}

/// What scdoc makes of a source, without the version of scdoc and without the date.
fn made(page: &str) -> String {
    let mut scdoc = program("scdoc");
    scdoc.env("SOURCE_DATE_EPOCH", "0").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = scdoc.spawn().expect("scdoc runs");
    child.stdin.take().expect("a pipe").write_all(source(page).as_bytes()).expect("scdoc reads");
    let output = child.wait_with_output().expect("scdoc ends");
    assert!(output.status.success(), "{page}.scd: {}", transcript(&output));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (_, rest) = text.split_once('\n').expect("more than a line");
    format!(".\\\" Made by scdoc from {page}.scd, which is to be changed in its place.\n{rest}")
}

/// The date in the heading of a page, in quotes.
fn date(page: &str) -> Option<&str> {
    let heading = page.lines().find(|line| line.starts_with(".TH "))?;
    heading.split(' ').nth(3)
}

#[test]
fn committed_pages_are_up_to_date() {
    if !have("scdoc", program("scdoc").arg("-v")) {
        return;
    }
    let sources: BTreeSet<String> = PAGES.iter().map(|page| format!("{page}.scd")).collect();
    let pages: BTreeSet<String> = PAGES.iter().map(|page| page.to_string()).collect();
    let renew = std::env::var_os("FASTESTMIRROR_RENEW").is_some();
    for page in PAGES {
        let made = made(page);
        assert_eq!(date(&made), Some(NO_DATE), "{page}");
        let committed = fs::read_to_string(path(page)).unwrap_or_default();
        let with_its_date = |date: &str| made.replacen(NO_DATE, date, 1);
        if date(&committed).is_some_and(|date| with_its_date(date) == committed) {
            continue;
        }
        assert!(
            renew,
            "docs/man/{page} is out of date; to update it: FASTESTMIRROR_RENEW=1 cargo test --test man"
        );
        let epoch = std::env::var("SOURCE_DATE_EPOCH").map(|seconds| format!("@{seconds}"));
        let mut today = program("date");
        today.args(["-u", "+\"%Y-%m-%d\"", "-d", epoch.as_deref().unwrap_or("now")]);
        fs::write(path(page), with_its_date(run(&mut today).trim())).expect("docs/man can be written");
    }
    let found = fs::read_dir(root().join("docs/man")).expect("a directory");
    let found: BTreeSet<String> =
        found.map(|entry| entry.expect("an entry").file_name().into_string().expect("ASCII")).collect();
    assert_eq!(found, &sources | &pages);
}

#[test]
fn pages_have_no_fault() {
    let has_groff = have("groff", program("groff").arg("--version"));
    // It has no option that only succeeds.
    let has_mandoc = have("mandoc", program("mandoc").arg("/dev/null"));
    for page in PAGES {
        if has_groff {
            let groff = program("groff").args(["-man", "-ww", "-Tutf8"]).arg(path(page)).output();
            let groff = groff.expect("groff runs");
            assert!(groff.status.success() && groff.stderr.is_empty(), "{page}: {}", transcript(&groff));
        }
        if has_mandoc {
            run(program("mandoc").args(["-T", "lint", "-W", "error"]).arg(path(page)));
        }
    }
}

#[test]
fn pages_refer_to_pages_that_exist() {
    for page in PAGES {
        let source = source(page);
        let (name, number) = page.rsplit_once('.').expect("a section");
        assert!(source.starts_with(&format!("{name}({number}) \"fastestmirror\" ")), "{page}");
        for reference in source.split('*').zip(source.split('*').skip(1)) {
            let (name, after) = reference;
            let number = after.strip_prefix('(').and_then(|after| after.split_once(')'));
            let Some((number, _)) = number.filter(|(number, _)| number.len() == 1) else { continue };
            if name.starts_with("fastestmirror") || name.starts_with("fm-") {
                assert!(PAGES.contains(&format!("{name}.{number}").as_str()), "{page}: {name}({number})");
            }
        }
        assert!(source.contains("\n# SEE ALSO\n"), "{page}");
    }
}

#[test]
fn library_page_has_every_function_and_constant() {
    let page = source("fastestmirror.3");
    let symbols: Vec<&str> = include_str!("c/symbols.txt").lines().collect();
    let name = section(&page, "NAME").trim().replace('\n', " ");
    let (names, _) = name.split_once(" - ").expect("a summary");
    assert_eq!(names.split(", ").collect::<Vec<_>>(), [&["fastestmirror"], &symbols[..]].concat());
    // Each is described, beside its prototype.
    for symbol in &symbols {
        assert!(page.contains(&format!("*{symbol}*()")), "{symbol} is not described");
    }
    let header = fs::read_to_string(root().join("include/fastestmirror.h")).expect("the header");
    let ours = |word: &&str| word.starts_with("FM_") || word.starts_with("fm_");
    let (in_header, in_page) = (words(&header), words(&page));
    for word in in_page.iter().filter(|word| ours(word)) {
        assert!(in_header.contains(word), "the header has no {word}");
    }
    let is_constant = |word: &&&str| word.starts_with("FM_");
    for word in in_header.iter().filter(is_constant) {
        assert!(in_page.contains(word), "the page lacks {word}");
    }
}

#[test]
fn library_page_compiles() {
    if !have("cc", program("cc").arg("--version")) {
        return;
    }
    let page = source("fastestmirror.3");
    let scratch = tempfile::tempdir().expect("a directory");
    for (heading, standard) in [("SYNOPSIS", "c11"), ("EXAMPLES", "c99")] {
        // A prototype that differs from that of the header would be an error.
        let text = literal(&page, heading).replacen("#include", "#include <stdint.h>\n#include", 1);
        let file = scratch.path().join(format!("{heading}.c"));
        fs::write(&file, text).expect("a writable directory");
        let mut cc = program("cc");
        cc.args([&format!("-std={standard}"), "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]);
        run(cc.arg("-I").arg(root().join("include")).arg(file));
    }
    for prototype in include_str!("c/symbols.txt").lines() {
        assert!(literal(&page, "SYNOPSIS").contains(&format!("{prototype}(")), "{prototype}");
    }
}

#[test]
fn page_of_the_wrapper_has_its_options() {
    let script = fs::read_to_string(root().join("dropin/directory/fm-librepo.in")).expect("the script");
    let page = source("fm-librepo.1");
    let options = script.lines().filter_map(|line| line.strip_prefix("  --")?.split(' ').next());
    let options: Vec<_> = options.collect();
    assert_eq!(options, ["check", "help", "version"]);
    for option in options {
        assert!(section(&page, "OPTIONS").contains(&format!("*--{option}*\n")), "{option}");
    }
    for number in ["0", "1", "2"] {
        assert!(section(&page, "EXIT STATUS").contains(&format!("*{number}*\n")), "{number}");
    }
}

/// A page as a reader of `man` sees it; None if groff is not installed, and the test is skipped.
fn shown(page: &str) -> Option<String> {
    if !have("groff", program("groff").arg("--version")) {
        return None;
    }
    let mut groff = program("groff");
    Some(run(groff.args(["-man", "-Tascii", "-P-cbou", "-rLL=78n"]).arg(path(page))))
}

#[test]
fn pages_fit_a_terminal() {
    for page in PAGES {
        let Some(text) = shown(page) else { return };
        for line in text.lines() {
            // One line of a log is longer than that.
            assert!(line.len() <= 80 || line.contains("libfastestmirror: "), "{page}: {line}");
            // But for one that continues a command, no escape is left.
            assert!(!line.trim_end_matches('\\').contains('\\'), "{page}: {line}");
        }
    }
}
