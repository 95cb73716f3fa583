//! Completions for shells: clap's, and for the subcommands what clap's lack. Clap knows subcommands
//! behind options, too; here they are found before the arguments are parsed, and only as the first
//! argument.

use super::{command, subcommands};
use clap::Command;
use clap_complete::Shell;

const NAME: &str = "fastestmirror";

/// The completions of all arguments, as a script for this shell.
pub(super) fn completions(shell: Shell) -> String {
    let command = command()
        .mut_arg("protocol", |option| option.value_parser(["http", "https", "ftp", "file"]))
        .mut_arg("pool", |option| option.value_parser(["shuffled", "given"]))
        .mut_arg("color", |option| option.value_parser(["auto", "always", "never"]))
        .mut_arg("generate", |option| option.value_parser(["bash", "zsh", "fish"]));
    match shell {
        Shell::Fish => fish(command),
        Shell::Zsh => zsh(command),
        // Here clap's own are right.
        shell => generate(shell, command.subcommands(subcommands()).disable_help_subcommand(true), NAME),
    }
}

fn generate(shell: Shell, mut command: Command, name: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8(script).expect("clap writes UTF-8")
}

/// Each command of a script for fish completes one thing, and may have a condition.
fn fish(command: Command) -> String {
    let mut script = String::new();
    let mut add = |command: Command, condition: &str| {
        let start = format!("complete -c {NAME} ");
        for line in generate(Shell::Fish, command, NAME).lines() {
            script += &match line.strip_prefix(&start) {
                Some(rest) => format!("{start}-n '{condition}' {rest}\n"),
                // One of the values in a list.
                None => format!("{line}\n"),
            };
        }
    };
    let names: Vec<_> = subcommands().iter().map(|command| command.get_name().to_owned()).collect();
    let is_among = |names: &str| format!("contains -- (commandline -opc)[2] {names}");
    add(command, &format!("not {}", is_among(&names.join(" "))));
    for (command, name) in subcommands().into_iter().zip(&names) {
        add(command, &is_among(name));
    }
    let is_first = "test (count (commandline -opc)) -eq 1";
    script + &format!("complete -c {NAME} -n '{is_first}' -a '{}'\n", names.join(" "))
}

/// A script for zsh defines a function, which is called for each completion.
fn zsh(command: Command) -> String {
    let start = format!("_{NAME}() {{\n");
    let main = generate(Shell::Zsh, command, NAME);
    let (head, body) = main.split_once(&start).expect("the script defines its function");
    let (mut functions, mut cases, mut names) = (String::new(), String::new(), String::new());
    for subcommand in subcommands() {
        let name = subcommand.get_name().to_owned();
        let script = generate(Shell::Zsh, subcommand, &format!("{NAME}_{name}"));
        // Behind the function is what makes it the one of a command.
        let function = script.split_once("\n\n_").and_then(|(_, rest)| rest.split_once("\n}\n"));
        let (function, _) = function.expect("the script defines its function");
        functions += &format!("_{function}\n}}\n\n");
        cases += &format!("    {name}) shift words; (( CURRENT-- )); _{NAME}_{name}; return ;;\n");
        names += &format!(" {name}");
    }
    let choose = format!(
        "    if (( CURRENT == 2 )); then\n    compadd --{names}\n    else\n    case $words[2] in\n{cases}    esac\n    fi\n"
    );
    format!("{head}{functions}{start}{choose}{body}")
}
