//! The help of the command, read by tests that compare it with something else.

use std::collections::BTreeMap;

/// The options in a help: for each the name of its value, or nothing, and its default.
pub fn options(help: &str) -> BTreeMap<&str, (&str, Option<&str>)> {
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

/// The subcommands, each of which has a line of the usage.
pub fn subcommands(help: &str) -> Vec<&str> {
    let (_, usage) = help.split_once("Usage: ").expect("the usage");
    let lines = usage.lines().take_while(|line| !line.is_empty());
    let first = lines.filter_map(|line| line.trim_start().strip_prefix("fastestmirror ")?.split(' ').next());
    first.filter(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect()
}
