//! The completions that the command prints, in the shells that use them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::build::run;
use support::help;
use support::programs::{have, program};

fn script(shell: &str) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_fastestmirror")).args(["--generate", shell]))
}

fn help_of(subcommand: &[&str]) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_fastestmirror")).args(subcommand).arg("--help"))
}

/// The options that a help names.
fn options(help: &str) -> BTreeSet<String> {
    help::options(help).keys().map(|name| format!("--{name}")).collect()
}

/// Whether the shell is installed. If not, the test is skipped.
fn have_shell(shell: &str) -> bool {
    have(shell, program(shell).arg("--version"))
}

/// What bash proposes for the last of these words.
fn in_bash(script: &str, words: &[&str]) -> Vec<String> {
    let ask = r#"
        eval "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _fastestmirror fastestmirror "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = program("bash");
    bash.args(["--norc", "-c", ask, "bash", script, "fastestmirror"]).args(words);
    run(&mut bash).lines().map(str::to_owned).collect()
}

#[test]
fn completions_work_in_bash() {
    if !have_shell("bash") {
        return;
    }
    let script = script("bash");
    assert_eq!(in_bash(&script, &["--gen"]), ["--generate"]);
    assert_eq!(in_bash(&script, &["--generate", ""]), ["bash", "zsh", "fish"]);
    assert_eq!(in_bash(&script, &["--protocol", "h"]), ["http", "https"]);
    assert_eq!(in_bash(&script, &["de"]), ["demo"]);
    assert_eq!(in_bash(&script, &["demo", "--s"]), ["--svg"]);
    // Nothing is proposed for a file, and bash then completes its name.
    assert_eq!(in_bash(&script, &["mirr"]), [""]);
    assert!(script.contains("complete -F _fastestmirror -o nosort -o bashdefault -o default fastestmirror"));
}

#[cfg(feature = "fleet")]
#[test]
fn completions_of_the_simulation_work_in_bash() {
    if !have_shell("bash") {
        return;
    }
    // Other tests build the command without the feature, in place of the one built with it.
    let script = run(Command::new(support::build::fleet()).args(["--generate", "bash"]));
    assert_eq!(in_bash(&script, &["fl"]), ["fleet"]);
    assert_eq!(in_bash(&script, &["fleet", "--sto"]), ["--story"]);
    assert_eq!(in_bash(&script, &["fleet", "--picture", "la"]), ["latency"]);
}

#[test]
fn completions_in_bash_have_every_option_of_every_command() {
    if !have_shell("bash") {
        return;
    }
    let script = script("bash");
    let proposed = |words: &[&str]| in_bash(&script, words).into_iter().collect::<BTreeSet<_>>();
    let help_text = help_of(&[]);
    assert_eq!(proposed(&["--"]), options(&help_text));
    for subcommand in help::subcommands(&help_text) {
        assert_eq!(proposed(&[subcommand, "--"]), options(&help_of(&[subcommand])), "{subcommand}");
        assert_eq!(in_bash(&script, &[&subcommand[..2]]), [subcommand]);
    }
}

/// What fish proposes for the last of these words, in a directory with a file called mirrorlist.
fn in_fish(directory: &Path, words: &str) -> Vec<String> {
    let file = directory.join("fastestmirror.fish");
    fs::write(&file, script("fish")).expect("a writable directory");
    fs::write(directory.join("mirrorlist"), "").expect("a writable directory");
    let mut fish = program("fish");
    fish.current_dir(directory).env("HOME", directory);
    fish.args(["--no-config", "-c", &format!("source {}; complete -C '{words}'", file.display())]);
    let proposed = run(&mut fish);
    proposed.lines().map(|line| line.split('\t').next().unwrap_or(line).to_owned()).collect()
}

#[test]
fn completions_work_in_fish() {
    if !have_shell("fish") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let complete = |words: &str| in_fish(directory.path(), words);
    assert_eq!(complete("fastestmirror --gen"), ["--generate"]);
    assert_eq!(complete("fastestmirror --generate z"), ["zsh"]);
    assert_eq!(complete("fastestmirror --protocol h"), ["http", "https"]);
    assert_eq!(complete("fastestmirror --urls mirr"), ["mirrorlist"]);
    assert_eq!(complete("fastestmirror de"), ["demo"]);
    assert!(complete("fastestmirror --urls de").is_empty());
    assert_eq!(complete("fastestmirror demo --s"), ["--svg"]);
    assert_eq!(complete("fastestmirror demo --svg mirr"), ["mirrorlist"]);
}

#[test]
fn completions_in_fish_have_every_option_of_every_command() {
    if !have_shell("fish") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let proposed = |words: &str| in_fish(directory.path(), words).into_iter().collect::<BTreeSet<_>>();
    let help_text = help_of(&[]);
    assert_eq!(proposed("fastestmirror --"), options(&help_text));
    for subcommand in help::subcommands(&help_text) {
        let of_subcommand = options(&help_of(&[subcommand]));
        assert_eq!(proposed(&format!("fastestmirror {subcommand} --")), of_subcommand, "{subcommand}");
    }
}

/// What zsh proposes for the last of these words, which is what it gives to `compadd` and
/// `_arguments`.
fn in_zsh(script: &Path, words: &[&str]) -> String {
    let ask = r#"
        compadd() { shift; print -l -- "$@" }
        _arguments() { print -l -- "$@"; return 1 }
        compdef() { }
        _describe() { }
        source "$1"; shift
        words=("$@"); CURRENT=$#
        _fastestmirror"#;
    let mut zsh = program("zsh");
    let output = zsh.args(["-f", "-c", ask, "zsh"]).arg(script).args(words).output().expect("zsh starts");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn completions_are_valid_in_zsh_and_have_every_option_of_every_command() {
    if !have_shell("zsh") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("_fastestmirror");
    let script = script("zsh");
    assert!(script.starts_with("#compdef fastestmirror\n"), "{script}");
    fs::write(&file, &script).expect("a writable directory");
    run(program("zsh").args(["-f", "-n"]).arg(&file));
    for part in ["'*::input -- ", ":SHELL:(bash zsh fish)", ":NAME:(http https ftp file)"] {
        assert!(script.contains(part), "{part} in {script}");
    }
    let long = |specifications: &str| -> BTreeSet<String> {
        // Before an option there may be those that it excludes, in parentheses.
        let lines = specifications.lines().map(|line| match line.split_once(')') {
            Some((excluded, option)) if excluded.starts_with('(') => option,
            _ => line,
        });
        let lines = lines.filter_map(|line| line.trim_start_matches('*').strip_prefix("--"));
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        let names = lines.filter_map(|line| line.split(is_end).next());
        names.filter(|name| !name.is_empty()).map(|name| format!("--{name}")).collect()
    };
    let help_text = help_of(&[]);
    assert_eq!(long(&in_zsh(&file, &["fastestmirror", "list", "--"])), options(&help_text));
    let first = in_zsh(&file, &["fastestmirror", ""]);
    let subcommands = help::subcommands(&help_text);
    assert_eq!(first.lines().take(subcommands.len()).collect::<Vec<_>>(), subcommands);
    for subcommand in subcommands {
        let specifications = in_zsh(&file, &["fastestmirror", subcommand, "--"]);
        assert_eq!(long(&specifications), options(&help_of(&[subcommand])), "{subcommand}");
    }
}
