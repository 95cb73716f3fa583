//! The settings from text and files to a ranker, and the table beside its documentation.

use super::keys::Kind;
use super::*;
use proptest::prelude::*;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use support::users::{NOBODY, can_become_others};

/// The user who runs the test.
fn me() -> u32 {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() }
}

fn no_variable(_: &CStr) -> Option<String> {
    None
}

/// What is set and what is wrong, if the file has this text and these variables are set.
fn read(text: &str, variables: &[(&str, &str)]) -> Settings {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("conf");
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its owner's");
    let mut settings = Settings::from(&path, me(), |name| {
        let (_, value) = variables.iter().find(|(set, _)| name.to_str() == Ok(*set))?;
        Some((*value).to_string())
    });
    // A distribution may test what it has built.
    settings.values.retain(|value| value.source != Source::BuiltIn);
    // The path is another one in each test.
    let shown = path.display().to_string();
    for value in settings.values.iter_mut().filter(|value| matches!(value.source, Source::File(_))) {
        value.source = Source::File("FILE".into());
    }
    for problem in &mut settings.problems {
        *problem = problem.replace(&shown, "FILE");
    }
    settings
}

/// A setting in a file that sets nothing else.
fn line(text: &str) -> Settings {
    read(&format!("[main]\n{text}\n"), &[])
}

/// What of a ranker is not as in a new one, as its text for debugging shows it.
fn changes(settings: &Settings) -> String {
    let mut ranker = Ranker::new();
    settings.apply_filters(&mut ranker);
    settings.apply_ranking(&mut ranker);
    format!("{ranker:?}")
}

#[test]
fn settings_in_file_and_variables_are_read() {
    assert_eq!(read("", &[]).to_string(), "settings: all at their defaults");
    let settings = read(
        "# A comment\r\n; and another\n\n[main]\nslack=2.5\n factor = 1.5 \nexclude = *.far.example,\n\tb.example\n\
         \x20 # not this\n   .gov\nprefer=a.example\nhttps_only = Yes\ncheck_after=90.5\nrotate=86400\n",
        &[("FASTESTMIRROR_FALLBACKS", "all"), ("FASTESTMIRROR_FACTOR", " 3 "), ("FASTESTMIRROR_OFF", "")],
    );
    assert_eq!(settings.problems, [""; 0]);
    assert_eq!(
        settings.to_string(),
        "settings: factor=3 (FASTESTMIRROR_FACTOR), slack=2.5 (FILE), fallbacks=all (FASTESTMIRROR_FALLBACKS), \
         exclude=*.far.example b.example .gov (FILE), prefer=a.example (FILE), https_only=Yes (FILE), \
         check_after=90.5 (FILE), rotate=86400 (FILE), the others at their defaults"
    );
    let ranker = changes(&settings);
    for part in [
        "factor: 3.0",
        "slack: 2.5ms",
        "fallbacks: 18446744073709551615",
        "exclude: [Pattern(\"*.far.example\"), Pattern(\"b.example\"), Pattern(\".gov\")]",
        "prefer: [Pattern(\"a.example\")]",
        "include: []",
        "protocols: [Https]",
        "check_after: 90.5s",
        "rotate_every: 86400s",
    ] {
        assert!(ranker.contains(part) || usize::BITS < 64, "{part} in {ranker}");
    }
}

/// Matching 256 patterns again and again would take time before each ranking of a call.
#[test]
fn filters_are_applied_once_and_all_else_when_mirrors_are_ranked() {
    let settings = read(
        "[main]\nexclude=a.example\ninclude_only=b.example\nhttps_only=1\nprefer=c.example\nslack=5\n",
        &[],
    );
    let (mut filter, mut ranking) = (Ranker::new(), Ranker::new());
    settings.apply_filters(&mut filter);
    settings.apply_ranking(&mut ranking);
    let (filter, ranking) = (format!("{filter:?}"), format!("{ranking:?}"));
    for (part, is_filter) in [
        ("exclude: [Pattern(\"a.example\")]", true),
        ("include: [Pattern(\"b.example\")]", true),
        ("protocols: [Https]", true),
        ("prefer: [Pattern(\"c.example\")]", false),
        ("slack: 5ms", false),
    ] {
        assert_eq!((filter.contains(part), ranking.contains(part)), (is_filter, !is_filter), "{part}");
    }
    assert!(settings.has_filters() && !line("slack=5").has_filters());
}

#[test]
fn values_are_read_as_the_table_says() {
    for (text, part) in [
        ("factor=1", "factor: 1.0"),
        ("factor=1000", "factor: 1000.0"),
        ("slack=0.1", "slack: 100µs"),
        ("slack=6.5222222222222", "slack: 6.522222ms"),
        ("slack=60000", "slack: 60s"),
        ("fallbacks=0", "fallbacks: 0"),
        ("fallbacks=1000000", "fallbacks: 1000000"),
        ("https_only=1", "protocols: [Https]"),
        ("https_only=TRUE", "protocols: [Https]"),
        ("https_only=on", "protocols: [Https]"),
        ("https_only=off", "protocols: []"),
        ("https_only=False", "protocols: []"),
        ("public_only=yes", "public_only: true"),
        ("https_only=1\nhttps_only=no", "protocols: []"),
        ("pool=shuffled", "pool_order: Shuffled"),
        ("pool=given", "pool_order: Given"),
        ("check_after=0", "check_after: 0ns"),
        ("check_after=31536000", "check_after: 31536000s"),
        ("include_only=a.example , b.example", "include: [Pattern(\"a.example\"), Pattern(\"b.example\")]"),
        ("exclude=192.0.2.* 2001:db8:*", "exclude: [Pattern(\"192.0.2.*\"), Pattern(\"2001:db8:*\")]"),
        ("exclude=a\nexclude=b", "exclude: [Pattern(\"b\")]"),
        ("exclude=m\u{fc}nchen.example", "exclude: [Pattern(\"m\u{fc}nchen.example\")]"),
        ("exclude =\n  a\n\n  b\n#c\n  d", "exclude: [Pattern(\"a\"), Pattern(\"b\"), Pattern(\"d\")]"),
        // A line with a `=` is no continuation.
        ("exclude = a\n  slack = 5", "slack: 5ms"),
    ] {
        let settings = line(text);
        assert_eq!(settings.problems, [""; 0], "{text}");
        assert!(changes(&settings).contains(part), "{text}: {part} in {}", changes(&settings));
    }
    // What is empty is not set.
    for text in ["slack=", "slack =  ", "exclude=", "off=", "exclude=,"] {
        let settings = line(text);
        assert!(settings.values.is_empty() && settings.problems.is_empty(), "{text}: {settings:?}");
    }
    assert_eq!(line("off = 1").off().as_deref(), Some("off=1 (FILE)"));
    assert_eq!(line("off = 0").off(), None);
    assert!(line("pool = given").has_given_pool());
    assert!(!line("pool = shuffled").has_given_pool() && !line("slack = 5").has_given_pool());
    assert_eq!(read("[main]\noff=1", &[("FASTESTMIRROR_OFF", "0")]).off(), None);
}

#[test]
fn wrong_values_are_reported_and_ignored() {
    for (name, values) in [
        ("off", &["2", "maybe", "y", "\u{1b}[2J"][..]),
        ("factor", &["0.5", "1001", "NaN", "inf", "2x", "-2", "two", "1,5"]),
        (
            "slack",
            &[
                "-1", "60001", "60000.1", "1 s", "5ms", ".", "5.", ".5", "1.2.3", "1e3", "+5", "0x5",
                "\u{661}",
            ],
        ),
        ("slack", &["0000000000000005", "5 # a comment"]),
        ("fallbacks", &["-1", "many", "1.5", "1000001", "ALL"]),
        ("pool", &["Given", "give", "givenness", "random", "1"]),
        ("https_only", &["http"]),
        ("check_after", &["-1", "31536001", "10 min"]),
        ("rotate", &["1d", "daily"]),
        ("exclude", &["http://a.example/", "a.example/", "\"a.example\"", ".", "[::1]", "a=b"]),
    ] {
        for value in values {
            let key = Key::find(name).expect(name);
            let settings = line(&format!("\n{name} = {value}"));
            assert!(settings.values.is_empty(), "{name}={value}: {settings}");
            let must_be = format!("it must be {}", key.allowed());
            assert_eq!(settings.problems, [format!("ignoring FILE, line 3: {name} = {value:?}: {must_be}")]);
            let variable = key.variable();
            let settings = read("", &[(&variable, value)]);
            assert!(settings.values.is_empty(), "{name}={value}: {settings}");
            assert_eq!(settings.problems, [format!("ignoring {variable}={value:?}: {must_be}")]);
        }
    }
    // The value that counted before it still does, and the rest of a list.
    let settings = read("[main]\nslack=5\nslack=x\n", &[("FASTESTMIRROR_SLACK", "y")]);
    assert_eq!((settings.problems.len(), settings.values[0].text.as_str()), (2, "5"));
    let settings = line("exclude = a.example http://b.example c.example");
    assert_eq!((settings.problems.len(), settings.values[0].text.as_str()), (1, "a.example c.example"));
    // The beginning of a long value is enough.
    let long = "x".repeat(1000);
    assert!(line(&format!("slack = {long}")).problems[0].len() < 200);
    assert!(line(&format!("exclude = {long}")).to_string().len() < 300);
    let many: String = (0..1000).map(|n| format!("host{n}.example ")).collect();
    let settings = line(&format!("exclude = {many}"));
    assert_eq!(settings.values[0].text.split(' ').count(), 256);
    assert_eq!(
        settings.problems,
        ["ignoring FILE, line 2: exclude = \"host256.example\": only the first 256 of a list count"]
    );
}

#[test]
fn wrong_lines_are_reported_and_ignored() {
    for (text, problem) in [
        ("slack = 5\n[main]", "line 1: \"slack = 5\": it stands before [main]"),
        ("[main]\nslack", "line 2: \"slack\": neither `name = value` nor a comment"),
        ("slack", "line 1: \"slack\": neither `name = value` nor a comment"),
        ("[main]\n  5", "line 2: \"5\": neither `name = value` nor a comment"),
        ("[main]\nexclude = a\n[main]\n  b", "line 4: \"b\": neither `name = value` nor a comment"),
        ("[main]\nSlack = 5", "line 2: \"Slack\": no setting has this name"),
        ("[main]\n = 5", "line 2: \"\": no setting has this name"),
        ("[main]\nmax-age = 5\n  7", "line 2: \"max-age\": no setting has this name"),
        ("[other]\nslack = 5\nfoo\n", "line 1: the section [other]: settings are in [main]"),
        ("[main\nslack = 5", "line 1: \"[main\": no ] at its end"),
    ] {
        let problems = read(text, &[]).problems;
        assert_eq!(problems[0], format!("ignoring FILE, {problem}"), "{text:?}");
    }
    // All of these are about one thing.
    assert!(
        read("[other]\nslack = 5\nfoo\n[main]\nfactor = 3\n", &[])
            .to_string()
            .starts_with("settings: factor=3")
    );
    // A file that is something else.
    let settings = read(&"\u{0}\n".repeat(30_000), &[]);
    assert_eq!(settings.problems.len(), MOST_PROBLEMS + 1);
    assert_eq!(settings.problems[MOST_PROBLEMS], "ignoring more than 20 settings");
}

#[test]
fn file_that_others_may_write_is_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("conf");
    let read = |user| read_file(&path, user).map(|text| String::from_utf8(text).expect("UTF-8"));
    assert_eq!(read(me()).as_deref(), Ok(""), "there is none");
    fs::write(&path, "text").expect("a file");
    let set_mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its owner's");
    for (mode, is_trusted) in [
        (0o644, true),
        (0o600, true),
        (0o755, true),
        (0o664, false),
        (0o646, false),
        (0o666, false),
        (0o620, false),
    ] {
        set_mode(mode);
        match read(me()) {
            Ok(text) => assert!(is_trusted && text == "text", "{mode:o}"),
            Err(why) => assert_eq!(
                (is_trusted, why),
                (false, format!("users other than its owner may write to it (mode {mode:o})"))
            ),
        }
    }
    set_mode(0o644);
    // A link is followed, to a file that is checked.
    let link = directory.path().join("link");
    symlink(&path, &link).expect("a link");
    assert_eq!(read_file(&link, me()), Ok(b"text".to_vec()));
    set_mode(0o646);
    assert!(read_file(&link, me()).is_err());
    set_mode(0o644);
    if me() != 0 {
        // Root does not read what belongs to somebody else.
        assert_eq!(read(0), Err(format!("it belongs to user {}, and not to root", me())));
    }
    if can_become_others() {
        // Any user reads what belongs to root.
        assert_eq!(read(NOBODY).as_deref(), Ok("text"));
        chown(&path, Some(NOBODY), None).expect("root may");
        assert_eq!(read(NOBODY).as_deref(), Ok("text"));
        assert_eq!(read(0), Err("it belongs to user 65534, and not to root".into()));
        assert_eq!(read(1), Err("it belongs to user 65534, and not to root".into()));
    }
}

#[test]
fn what_is_no_regular_file_or_too_large_is_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("conf");
    let not_regular = Err("it is not a regular file".to_string());
    assert_eq!(read_file(directory.path(), me()), not_regular);
    assert_eq!(read_file(Path::new("/dev/null"), 0), not_regular);
    // Opening a FIFO would wait for a writer.
    let name = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
    // SAFETY: a string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o644) }, 0);
    assert_eq!(read_file(&path, me()), not_regular);
    fs::remove_file(&path).expect("a FIFO");

    for (bytes, is_read) in [(MOST_BYTES, true), (MOST_BYTES + 1, false), (1 << 40, false)] {
        // Without blocks on the disk.
        fs::File::create(&path).and_then(|file| file.set_len(bytes)).expect("a file");
        assert_eq!(read_file(&path, me()).is_ok(), is_read, "{bytes}");
    }
    assert_eq!(read_file(&path, me()), Err("it has more than 65536 bytes".into()));
    assert!(Settings::from(&path, me(), no_variable).problems[0].ends_with("it has more than 65536 bytes"));
    // A link that leads nowhere is like no file.
    fs::remove_file(&path).expect("a file");
    symlink("nowhere", &path).expect("a link");
    assert_eq!(read_file(&path, me()), Ok(Vec::new()));
}

#[test]
fn table_has_the_defaults_and_the_ranges_of_the_library() {
    let shown = |key: &Key, value: &str| {
        let mut ranker = Ranker::new();
        assert!(key.set(&mut ranker, value), "{}={value}", key.name);
        format!("{ranker:?}")
    };
    let default = format!("{:?}", Ranker::new());
    for key in KEYS {
        assert_eq!(shown(key, key.default), default, "{}", key.name);
        let changed = match key.kind {
            Kind::Number { least, most, .. } => {
                // The ranker takes both ends: it has changed.
                assert_ne!(shown(key, &least.to_string()), shown(key, &most.to_string()), "{}", key.name);
                continue;
            }
            Kind::Count { most, .. } => most.to_string(),
            Kind::Flag(_) => if key.is_on(key.default) { "no" } else { "yes" }.into(),
            Kind::Choice { words, .. } => words[1].into(),
            Kind::Patterns(_) => "a.example".into(),
        };
        let is_no_option = matches!(key.name, "off" | "history");
        assert_eq!(shown(key, &changed) == default, is_no_option, "{}", key.name);
    }
}

/// The lines of the example that are settings, without their `#`.
fn example() -> String {
    let text = include_str!("../../fastestmirror.conf");
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_string(),
        _ => line.to_string(),
    };
    text.lines().map(|line| uncommented(line) + "\n").collect()
}

#[test]
fn example_has_all_settings_with_their_defaults() {
    let unchanged = read(include_str!("../../fastestmirror.conf"), &[]);
    assert!(unchanged.values.is_empty() && unchanged.problems.is_empty(), "{unchanged:?}");
    let text = example();
    let entries = syntax::parse(&text, &mut |line, problem| panic!("line {line}: {problem}"));
    let found: Vec<(&str, &str)> = entries.iter().map(|entry| (entry.name, entry.value.as_str())).collect();
    let expected: Vec<(&str, &str)> = KEYS.iter().map(|key| (key.name, key.default)).collect();
    assert_eq!(found, expected);
    assert_eq!(read(&text, &[]).problems, [""; 0]);
    // The comment above a setting has its range, unless another one has it.
    let prose = include_str!("../../fastestmirror.conf").replace("\n# ", " ");
    for key in KEYS.iter().filter(|key| !matches!(key.kind, Kind::Flag(_) | Kind::Patterns(_))) {
        assert!(prose.contains(&key.allowed()), "{}: {}", key.name, key.allowed());
    }
}

/// The row of a setting in the table of the documentation.
fn row(key: &Key) -> String {
    let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
    let values = match key.kind {
        Kind::Flag(_) => "yes or no".into(),
        Kind::Patterns(_) => "hosts".into(),
        Kind::Number { .. } | Kind::Count { .. } | Kind::Choice { .. } => key.allowed(),
    };
    format!("| `{}` | {} | {values} | {default} |\n", key.name, key.help)
}

#[test]
fn documentation_has_the_table() {
    let path = support::build::root().join("docs/librepo.md");
    let text = fs::read_to_string(path).expect("the documentation");
    let table: String = KEYS.iter().map(row).collect();
    assert!(text.contains(&table), "docs/librepo.md must have these rows:\n{table}");
    // Below it, what "yes or no" and "hosts" are.
    let prose = text.replace('\n', " ");
    for key in KEYS {
        let is_there = prose.contains(&key.allowed());
        assert!(is_there, "{}: docs/librepo.md must have these words: {}", key.name, key.allowed());
    }
}

#[test]
fn man_page_has_all_settings() {
    let path = support::build::root().join("docs/man/fastestmirror.conf.5.scd");
    let page = fs::read_to_string(path).expect("the page").replace('\\', "");
    let (_, settings) = page.split_once("\n# SETTINGS\n").expect("a section");
    let settings = settings.split("\n# ").next().expect("split returns a part");
    // A name stands alone in its line, and what is indented below it is about it.
    let mut entries: Vec<(&str, String)> = Vec::new();
    for line in settings.lines().take_while(|line| !line.starts_with("Values ")) {
        if let Some(name) = line.strip_prefix('*').and_then(|line| line.strip_suffix('*')) {
            entries.push((name, String::new()));
        } else if let (Some(text), Some(entry)) = (line.strip_prefix('\t'), entries.last_mut()) {
            entry.1 += &format!("{text} ");
        }
    }
    assert!(entries.iter().map(|entry| entry.0).eq(KEYS.iter().map(|key| key.name)), "{entries:#?}");
    let prose = settings.replace('\n', " ");
    for (key, (name, text)) in KEYS.iter().zip(&entries) {
        let default = format!("Default: {}", if key.default.is_empty() { "" } else { key.default });
        assert!(text.contains(&default), "{name}: {default:?} in {text}");
        let allowed = key.allowed().replace('`', "");
        let prose = if matches!(key.kind, Kind::Flag(_) | Kind::Patterns(_)) { &prose } else { text };
        assert!(prose.contains(&allowed), "{name}: {allowed:?} in {prose}");
    }
}

proptest! {
    /// Whatever the file and a variable hold, there is no panic, and what is set is allowed.
    #[test]
    fn any_text_gives_settings(text in any_file(), value in "\\PC{0,20}") {
        let settings = read(&text, &[("FASTESTMIRROR_SLACK", &value)]);
        for set in &settings.values {
            prop_assert!(set.key.set(&mut Ranker::new(), &set.text));
        }
        prop_assert!(settings.values.len() <= KEYS.len());
        prop_assert!(settings.problems.len() <= MOST_PROBLEMS + 1);
        prop_assert!(settings.problems.iter().all(|problem| problem.starts_with("ignoring ")));
        // What is in effect can be written to a file, and means the same.
        let written: String = settings.values.iter().map(|set| format!("{}={}\n", set.key.name, set.text)).collect();
        let again = line(&written);
        prop_assert_eq!(&again.problems, &[""; 0]);
        prop_assert_eq!(changes(&again), changes(&settings));
    }

    #[test]
    fn unknown_name_is_reported(name in "[a-z_]{1,12}", value in "[a-z0-9]{0,5}") {
        prop_assume!(Key::find(&name).is_none());
        let settings = line(&format!("{name} = {value}"));
        prop_assert!(settings.values.is_empty());
        prop_assert_eq!(settings.problems, [format!("ignoring FILE, line 2: {name:?}: no setting has this name")]);
    }
}

/// Text that looks like a file of settings, more or less.
fn any_file() -> impl Strategy<Value = String> {
    let name = prop::sample::select(
        KEYS.iter().map(|key| key.name).chain(["other", "", "#slack"]).collect::<Vec<_>>(),
    );
    let value = prop_oneof!["[0-9]{1,6}", "[a-z*?., ]{0,30}", "yes|no|all|1|0|given", "\\PC{0,10}"];
    let line = prop_oneof![
        8 => (name, value).prop_map(|(name, value)| format!("{name} = {value}")),
        1 => Just("[main]".to_string()),
        1 => "[ \\t\\[\\]=#;a-z]{0,12}",
        1 => "\\PC{0,20}",
    ];
    prop::collection::vec(line, 0..20).prop_map(|lines| format!("[main]\n{}", lines.join("\n")))
}
