use super::*;

fn parsed(arguments: &[&str]) -> Result<Options, Exit> {
    match parse(["fastestmirror"].iter().chain(arguments).map(OsString::from))? {
        Request::Rank(options) => Ok(*options),
        other => panic!("{arguments:?}: {other:?}"),
    }
}

#[test]
fn commands_are_consistent_and_their_help_fits_a_terminal() {
    command().debug_assert();
    let help = command().render_help().to_string();
    let short = summary();
    assert!(help.lines().count() <= 85, "{help}");
    assert!(short.lines().count() <= 45, "{short}");
    let mut helps = vec![help, short];
    for mut subcommand in subcommands() {
        assert!(helps[0].contains(&format!("fastestmirror {} ", subcommand.get_name())), "{}", helps[0]);
        helps.push(subcommand.render_help().to_string());
        subcommand.debug_assert();
    }
    for line in helps.iter().flat_map(|help| help.lines()) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn options_reach_the_ranker() {
    let options = parsed(&[
        "--timeout=0.25",
        "--fallbacks",
        "all",
        "--factor",
        "1.5",
        "--slack",
        "2.5",
        "--pool",
        "shuffled",
        "--seed",
        "7",
        "--cache=/none/cache",
        "--check-after",
        "90.5",
        "--ipv6",
        "--https-only",
        "--public-only",
        "--urls",
        "--weights",
        "--uncomment",
        "list",
    ]);
    let options = options.expect("usable");
    let ranker = format!("{:?}", options.ranker);
    let all = format!("fallbacks: {}", usize::MAX);
    for part in [
        "timeout: 250ms",
        &all,
        "factor: 1.5",
        "slack: 2.5ms",
        "pool_order: Shuffled",
        "seed: Some(7)",
        "check_after: 90.5s",
        "family: Ipv6",
        "public_only: true",
        "protocols: [Https]",
    ] {
        assert!(ranker.contains(part), "{part} in {ranker}");
    }
    assert_eq!((options.format, options.weights), (Some(Format::Urls), true));
    assert!(options.uncomment);
    assert_eq!(options.input, ["list"]);
    let given = parsed(&["--pool=given", "list"]).expect("usable");
    assert!(format!("{:?}", given.ranker).contains("pool_order: Given"));
    let heeding = parsed(&["--history=trouble", "--cache=file", "list"]).expect("usable");
    assert!(format!("{:?}", heeding.ranker).contains("history: Trouble"));
    let protocols = parsed(&["--protocol=ftp", "--protocol", "file", "list"]).expect("usable");
    assert!(format!("{:?}", protocols.ranker).contains("protocols: [Ftp, File]"));
}

#[test]
fn input_is_what_is_no_option() {
    assert_eq!(parsed(&["-"]).expect("usable").input, ["-"]);
    assert_eq!(parsed(&["--", "--json"]).expect("usable").input, ["--json"]);
    assert_eq!(parsed(&["a", "--json", "b"]).expect("usable").input, ["a", "b"]);
}

#[test]
fn demo_is_a_command_only_as_the_first_argument() {
    let svg = |arguments: &[&str]| match parse(arguments.iter().map(OsString::from)) {
        Ok(Request::Demonstrate { svg }) => svg,
        other => panic!("{other:?}"),
    };
    assert_eq!(svg(&["fastestmirror", "demo"]), None);
    assert_eq!(svg(&["fastestmirror", "demo", "--svg", "a.svg"]), Some("a.svg".into()));
    for file in [&["./demo"][..], &["--json", "demo"], &["--", "demo"]] {
        assert!(parsed(file).expect("usable").input[0].to_string_lossy().ends_with("demo"));
    }
    let error = parsed(&["demo", "list"]).expect_err("the demonstration takes no list");
    assert_eq!(error.status, 2);
    assert!(error.message.starts_with("fastestmirror: unexpected argument 'list'"), "{}", error.message);
}

#[test]
fn cache_is_a_command_only_as_the_first_argument() {
    let action = |arguments: &[&str]| match parse(arguments.iter().map(OsString::from)) {
        Ok(Request::Cache(options)) => (options.file.display().to_string(), options.action),
        other => panic!("{other:?}"),
    };
    use cache::Action::{Forget, ForgetAll, ShowJson, ShowTable};
    let file = || "file".to_string();
    assert_eq!(action(&["fastestmirror", "cache", "file"]), (file(), ShowTable));
    assert_eq!(action(&["fastestmirror", "cache", "--json", "file"]), (file(), ShowJson));
    assert_eq!(action(&["fastestmirror", "cache", "file", "--forget", "all"]), (file(), ForgetAll));
    let forget = Forget("*.de".into());
    assert_eq!(action(&["fastestmirror", "cache", "--forget=*.de", "file"]), (file(), forget));
    for file in [&["./cache"][..], &["--json", "cache"], &["--", "cache"]] {
        assert!(parsed(file).expect("usable").input[0].to_string_lossy().ends_with("cache"));
    }
    for (wrong, reason) in [
        (&["cache"][..], "required arguments were not provided"),
        (&["cache", "a", "b"], "unexpected argument 'b'"),
        (&["cache", "--json", "--forget", "all", "a"], "cannot be used with"),
        (&["cache", "--forget", "a/b", "a"], "'--forget <HOST|all>'"),
    ] {
        let error = parsed(wrong).expect_err(reason);
        assert_eq!(error.status, 2);
        assert!(error.message.contains(reason), "{}", error.message);
    }
}

#[test]
fn explanation_has_the_options_of_its_reasons() {
    let options = ["--explain", "a.example", "--factor=3", "--slack=5", "--exclude=*.x", "--exclude", "y"];
    let question = parsed(&[&options[..], &["list"]].concat()).expect("usable").explain.expect("a question");
    assert_eq!((&*question.mirror, question.factor), ("a.example", 3.0));
    assert_eq!(
        (question.slack, question.exclude),
        (Duration::from_millis(5), vec!["*.x".into(), "y".into()])
    );
    for format in ["--json", "--urls"] {
        let error = parsed(&["--explain", "a", format, "list"]).expect_err("a contradiction");
        assert!(error.message.contains("--explain"), "{}", error.message);
    }
}

#[test]
fn nothing_to_rank_is_an_error_with_the_usage() {
    let error = parsed(&[]).expect_err("no argument");
    assert_eq!(error.status, 2);
    assert!(error.message.starts_with("Usage: fastestmirror [OPTIONS] FILE"), "{}", error.message);
    let error = parsed(&["--json"]).expect_err("no input");
    assert_eq!(error.status, 2);
    assert!(error.message.starts_with("fastestmirror: there is nothing to rank:"), "{}", error.message);
}

#[test]
fn invalid_values_are_reported_with_the_option_and_its_range() {
    let seconds = "it must be a number of seconds from 0, at most 3600 s";
    let milliseconds = "it must be a number of milliseconds from 0, at most 60 s";
    let whole = format!("it must be a whole number from 0 to {}, or all", usize::MAX);
    let table = [
        ("--timeout", "3601", seconds),
        ("--timeout", "-1", seconds),
        ("--timeout", "nan", seconds),
        ("--timeout", "inf", seconds),
        ("--timeout", "2s", seconds),
        ("--timeout", "", seconds),
        ("--slack", "60001", milliseconds),
        ("--slack", "-0.1", milliseconds),
        ("--max-age", "-1", "it must be a number of seconds from 0"),
        ("--check-after", "-1", "it must be a number of seconds from 0"),
        ("--check-after", "nan", "it must be a number of seconds from 0"),
        ("--check-after", "10m", "it must be a number of seconds from 0"),
        ("--factor", "0.99", "it must be a number from 1 to 1000"),
        ("--factor", "NaN", "it must be a number from 1 to 1000"),
        ("--fallbacks", "-1", &whole),
        ("--fallbacks", "some", &whole),
        ("--pool", "Given", "it must be shuffled or given"),
        ("--top", "0", "it must be a whole number from 1"),
        ("--top", "all", "it must be a whole number from 1"),
        ("--seed", "18446744073709551616", "it must be a whole number from 0 to 18446744073709551615"),
        ("--seed", "-7", "it must be a whole number from 0 to 18446744073709551615"),
        ("--protocol", "rsync", "it must be http, https, ftp or file"),
        ("--watch", "0.5", "it must be a number of seconds from 1 to 86400; more often would burden"),
        ("--watch", "nan", "it must be a number of seconds from 1 to 86400"),
        ("--runs", "0", "it must be a whole number from 1 to 1000"),
        ("--runs", "1001", "it must be a whole number from 1 to 1000"),
        ("--pause", "-1", "it must be a number of seconds from 0 to 3600"),
        ("--color", "yes", "it must be auto, always or never"),
        ("--generate", "powershell", "it must be bash, zsh or fish"),
    ];
    for (option, value, reason) in table {
        let exit = parsed(&[option, value, "list"]).expect_err(value);
        assert_eq!(exit.status, 2);
        assert!(exit.message.starts_with("fastestmirror: "), "{}", exit.message);
        assert!(exit.message.contains(&format!("'{option} <")), "{}", exit.message);
        assert!(exit.message.contains(reason), "{}", exit.message);
    }
    for edge in
        ["--timeout=0", "--timeout=3600", "--slack=60000", "--factor=1", "--factor=1e3", "--fallbacks=0"]
    {
        parsed(&[edge, "list"]).expect(edge);
    }
}

#[test]
fn contradictory_options_are_refused() {
    for pair in [
        ["--json", "--urls"],
        ["--table", "--lines"],
        ["--ipv4", "--ipv6"],
        ["--watch=1", "--urls"],
        ["--runs=2", "--urls"],
        ["--runs=2", "--watch=1"],
        ["--runs=2", "--output=file"],
        ["--watch=1", "--top=3"],
        ["--pause=2", "--watch=1"],
        ["--runs=2", "--cache=c"],
    ] {
        let exit = parsed(&[pair[0], pair[1], "list"]).expect_err("a contradiction");
        let pair = pair.map(|option| option.split('=').next().unwrap_or(option));
        assert_eq!(exit.status, 2);
        assert!(exit.message.contains(pair[0]), "{}", exit.message);
    }
}

#[test]
fn weights_are_refused_where_they_have_no_effect() {
    let exit = parsed(&["--weights", "--pool=given", "list"]).expect_err("a contradiction");
    assert_eq!(exit.status, 2);
    assert!(exit.message.contains("--weights has no effect with --pool given"), "{}", exit.message);
    parsed(&["--weights", "--pool=shuffled", "list"]).expect("usable");
}

#[test]
fn output_is_not_the_cache() {
    let exit = parsed(&["--cache=a.cache", "-o", "a.cache", "list"]).expect_err("a contradiction");
    assert!(exit.message.contains("--output and --cache name the same file"), "{}", exit.message);
    let options = parsed(&["--cache=a.cache", "-o", "b", "--top=7", "list"]).expect("usable");
    assert_eq!((options.output, options.top), (Some("b".into()), 7));
}

#[test]
fn help_is_an_answer() {
    for question in [&["--help"][..], &["-h"], &["--version"], &["demo", "--help"]] {
        let exit = parsed(question).expect_err("an answer");
        assert_eq!(exit.status, 0, "{}", exit.message);
    }
}

#[test]
fn completions_name_every_option() {
    let command = command();
    let options: Vec<_> = command.get_arguments().filter_map(|option| option.get_long()).collect();
    assert!(options.len() > 15, "{options:?}");
    for shell in ["bash", "zsh", "fish"] {
        // Nothing else is needed, and nothing else counts.
        let answer = parsed(&["--generate", shell]).expect_err("an answer");
        assert_eq!(answer.status, 0);
        assert_eq!(parsed(&["--generate", shell, "list"]).expect_err("an answer"), answer);
        for option in options.iter().copied().chain(["help", "version"]) {
            assert!(answer.message.contains(option), "{shell} does not complete {option}");
        }
    }
}

#[test]
fn quoted_arguments_are_free_of_control_characters() {
    let message = parsed(&["--seed", "\x1b[2J"]).expect_err("no number").message;
    assert!(message.contains("\\u{1b}[2J") && !message.contains('\x1b'), "{message}");
}
