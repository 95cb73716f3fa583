//! The man page of the command has the options that the command has.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use support::build::{root, run};

fn help(arguments: &[&str]) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_fastestmirror")).args(arguments))
}

/// The options in a help: for each the name of its value, or nothing, and its default.
fn in_help(help: &str) -> BTreeMap<&str, (&str, Option<&str>)> {
    let mut options = BTreeMap::new();
    for line in help.lines() {
        // Only the short name of an option may stand before the long one.
        let Some((short, option)) = line.split_once("--") else { continue };
        if !short.starts_with("  ") || !(short.trim().is_empty() || short.ends_with(", ")) {
            continue;
        }
        let mut words = option.split_whitespace();
        let name = words.next().expect("a name");
        let value = words.next().and_then(|word| word.strip_prefix('<')?.strip_suffix('>'));
        let default = line.split_once("[default: ").and_then(|(_, default)| default.split(']').next());
        options.insert(name, (value.unwrap_or_default(), default));
    }
    options
}

/// The options in the page: for each the name of its value, or nothing, and what is said about it.
fn in_page(page: &str) -> BTreeMap<String, (String, String)> {
    let (_, section) = page.split_once("\n# OPTIONS\n").expect("a section");
    let section = section.split("\n# ").next().expect("split returns a part");
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

#[test]
fn man_page_has_the_options_of_the_help() {
    let page = fs::read_to_string(root().join("docs/man/fastestmirror.1.scd")).expect("the page");
    let (help_text, page_options) = (help(&["--help"]), in_page(&page));
    let help_options = in_help(&help_text);
    assert!(help_options.len() > 15, "{help_options:?}");
    assert!(help_options.keys().eq(page_options.keys()), "{help_options:#?} {page_options:#?}");
    for (name, (value, default)) in help_options {
        let (value_in_page, text) = &page_options[name];
        assert_eq!(value_in_page, value, "--{name}");
        if let Some(default) = default {
            assert!(text.contains("default ") && text.contains(default), "--{name}: {default} in {text}");
        }
    }
    let demo = help(&["demo", "--help"]);
    assert_eq!(in_help(&demo).into_keys().collect::<Vec<_>>(), ["help", "svg", "version"]);
    assert!(page.contains("*--svg* _FILE_"));
    // The table of statuses, too.
    for status in ["0", "1", "2", "3"] {
        assert!(help_text.contains(&format!(" {status} if ")), "{help_text}");
        assert!(page.contains(&format!("\n*{status}*\n\t")), "exit status {status}");
    }
}
