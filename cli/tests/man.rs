//! The man page of the command has the options and the output that the command has.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use support::build::{root, run};
use support::help;

fn help_of(arguments: &[&str]) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_fastestmirror")).args(arguments))
}

/// The section of the page with this heading, up to the next one of its level or above.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, section) = page.split_once(&format!("\n{heading}\n")).expect(heading);
    let section = section.split("\n# ").next().expect("split returns a part");
    let is_below = heading.starts_with("## ");
    if is_below { section.split("\n## ").next().expect("split returns a part") } else { section }
}

/// The options in a section: for each the name of its value, or nothing, and what is said about it.
fn in_section(section: &str) -> BTreeMap<String, (String, String)> {
    let mut options = BTreeMap::new();
    let mut names: Vec<String> = Vec::new();
    for line in section.lines() {
        if line.starts_with("*-") {
            let plain = line.replace(['*', '_'], "");
            let entries = plain.split(", ").filter_map(|entry| entry.strip_prefix("--"));
            let entries = entries.map(|entry| entry.split_once(' ').unwrap_or((entry, "")));
            names = entries.clone().map(|(name, _)| name.to_owned()).collect();
            options.extend(entries.map(|(name, value)| (name.to_owned(), (value.to_owned(), String::new()))));
        } else if let Some(text) = line.strip_prefix('\t') {
            for name in &names {
                options.get_mut(name).expect("it has been added").1 += &format!("{text} ");
            }
        }
    }
    options
}

/// Compares a help with the section of the page about the same options.
fn compare(help: &str, section: &str) {
    let (in_help, in_section) = (help::options(help), in_section(section));
    assert!(in_help.keys().eq(in_section.keys()), "{in_help:#?} {in_section:#?}");
    for (name, (value, default)) in in_help {
        let (value_in_page, text) = &in_section[name];
        assert_eq!(value_in_page, value, "--{name}");
        assert!(!text.is_empty(), "nothing is said about --{name}");
        if let Some(default) = default {
            assert!(text.contains("default ") && text.contains(default), "--{name}: {default} in {text}");
        }
    }
}

#[test]
fn man_page_has_the_options_of_the_help() {
    let page = fs::read_to_string(root().join("docs/man/fastestmirror.1.scd")).expect("the page");
    let help_text = help_of(&["--help"]);
    assert!(help::options(&help_text).len() > 15, "{help_text}");
    compare(&help_text, section(&page, "# OPTIONS"));
    // The table of statuses, too.
    for status in ["0", "1", "2", "3"] {
        assert!(help_text.contains(&format!(" {status} if ")), "{help_text}");
        assert!(page.contains(&format!("\n*{status}*\n\t")), "exit status {status}");
    }
}

/// The section of a subcommand, with the options that all have.
fn section_of(page: &str, subcommand: &str) -> String {
    let of_all = "\n*--help*\n\tText.\n\n*--version*\n\tText.\n";
    format!("{}{of_all}", section(page, &format!("## fastestmirror {subcommand}")))
}

#[cfg(feature = "fleet")]
#[test]
fn man_page_has_the_options_of_the_simulation() {
    let page = fs::read_to_string(root().join("docs/man/fastestmirror.1.scd")).expect("the page");
    let help_text = run(Command::new(support::build::fleet()).args(["fleet", "--help"]));
    compare(&help_text, &section_of(&page, "fleet"));
    let places = "Ashburn, Frankfurt, Frankfurt dense, Singapore, São Paulo, Sydney";
    assert!(page.contains(places) && page.contains("68"), "{places}");
}

#[test]
fn man_page_has_the_subcommands_and_their_options() {
    let page = fs::read_to_string(root().join("docs/man/fastestmirror.1.scd")).expect("the page");
    let help_text = help_of(&["--help"]);
    let subcommands = help::subcommands(&help_text);
    assert!(subcommands.contains(&"demo"), "{help_text}");
    let sections = page.lines().filter_map(|line| line.strip_prefix("## fastestmirror "));
    // Other tests build the command without the simulator, in place of one that has it.
    let sections = sections.filter(|&name| name != "fleet" || subcommands.contains(&"fleet"));
    assert_eq!(sections.collect::<Vec<_>>(), subcommands);
    for subcommand in subcommands {
        compare(&help_of(&[subcommand, "--help"]), &section_of(&page, subcommand));
        assert!(page.contains(&format!("\n*fastestmirror {subcommand}* ")), "{subcommand} in the synopsis");
    }
}

#[test]
fn man_page_has_the_keys_of_json_and_the_columns_of_csv() {
    let page = fs::read_to_string(root().join("docs/man/fastestmirror.1.scd")).expect("the page");
    let json: Value = serde_json::from_str(&help_of(&["--json", "file:///srv"])).expect("JSON");
    let csv = help_of(&["--csv", "file:///srv"]);
    let keys = json.as_object().expect("an object").keys();
    let keys = keys.chain(json["mirrors"][0].as_object().expect("an object").keys());
    for name in keys.map(String::as_str).chain(csv.lines().next().expect("a header").split(',')) {
        assert!(page.contains(&format!("*{name}*")), "{name}");
    }
}
