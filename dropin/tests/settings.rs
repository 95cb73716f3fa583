//! What an administrator sets, from the file and the variables to the lists of a program: which
//! mirrors are left, which come first, and what the log says. (dnf itself reads the file in the
//! test `dnf`.)

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use support::build::{cargo, run, target};
use support::librepo_calls::*;
use support::programs::{have, program};
use support::servers::{Server, closed_port};

/// Where a program expects the file.
const FILE: &str = "/etc/fastestmirror.conf";

fn with(function: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let call = variables
        .iter()
        .fold(Call::of(ours(), function, arguments), |call, (name, value)| call.env(name, value));
    let output = call.output();
    assert!(lines(&output, "result ").iter().all(|result| *result == "1"), "{output}");
    output
}

/// The lines of our log that say what is in effect or what is wrong.
fn about_settings(output: &str) -> Vec<&str> {
    let lines = lines(output, "log libfastestmirror: ").into_iter();
    lines.filter(|line| line.starts_with("settings: ") || line.starts_with("ignoring ")).collect()
}

/// Three mirrors on loopback, by their index, of which the first refuses.
struct Three {
    _server: Server,
    urls: [String; 3],
}

impl Three {
    fn start() -> Three {
        let server = Server::start(Ipv4Addr::UNSPECIFIED);
        let live = |host: u8| format!("http://127.0.0.{host}:{}/", server.port());
        let urls = [format!("http://127.0.0.1:{}/", closed_port()), live(2), live(3)];
        Three { _server: server, urls }
    }

    fn urls(&self) -> [&str; 3] {
        self.urls.each_ref().map(String::as_str)
    }
}

#[test]
fn excluded_mirrors_are_removed_from_internal_lists_and_last_in_others() {
    if caller().is_none() {
        return;
    }
    let world = Three::start();
    let urls = world.urls();
    for exclude in ["127.0.0.2", "*.2", "192.0.2.1, 127.0.0.2"] {
        let variables = [("FASTESTMIRROR_EXCLUDE", exclude)];
        let output = with("internal", &urls, &variables);
        assert_eq!(order(&output), [2, 0], "{output}");
        assert!(output.contains("the settings exclude 1 of 3 mirrors: 127.0.0.2\n"), "{output}");
        assert!(!output.contains("log libfastestmirror: 3. "), "it is not ranked: {output}");
        // What librepo reports of the list that was given does not change.
        assert_eq!(lines(&output, "LRI_MIRRORS "), lines(&with("internal", &urls, &[]), "LRI_MIRRORS "));
        // These functions promise that each URL comes back.
        assert_eq!(order(&with("order", &urls, &variables)), [2, 0, 1]);
        let output = with("detailed", &urls, &variables);
        assert_eq!(order(&output), [2, 0, 1]);
        assert!(output.contains("item 1 ") && output.contains("unmeasured 0 -1\n"), "{output}");
    }
    // So it is by other filters.
    for (name, value, expected) in [
        ("FASTESTMIRROR_INCLUDE_ONLY", "127.0.0.1 127.0.0.3", vec![2, 0]),
        ("FASTESTMIRROR_INCLUDE_ONLY", "127.0.0.3", vec![2]),
        ("FASTESTMIRROR_HTTPS_ONLY", "yes", vec![0, 1, 2]),
        ("FASTESTMIRROR_HTTPS_ONLY", "no", vec![1, 2, 0]),
    ] {
        let mut found = order(&with("internal", &urls, &[(name, value)]));
        if expected == [1, 2, 0] && found[0] == 2 {
            found.swap(0, 1); // both are near
        }
        assert_eq!(found, expected, "{name}={value}");
    }
    let https = urls[1].replace("http:", "https:");
    let output = with("internal", &[urls[0], &https, "file:///srv"], &[("FASTESTMIRROR_HTTPS_ONLY", "1")]);
    assert_eq!(order(&output), [1], "{output}");
    assert!(output.contains("the settings exclude 2 of 3 mirrors: 127.0.0.1, local files\n"), "{output}");
}

#[test]
fn list_of_which_every_mirror_is_excluded_stays_as_it_is() {
    if caller().is_none() {
        return;
    }
    let world = Three::start();
    let urls = world.urls();
    for function in ["internal", "order", "detailed"] {
        let output = with(function, &urls, &[("FASTESTMIRROR_EXCLUDE", "*")]);
        assert_eq!(order(&output), [0, 1, 2], "{output}");
        assert!(
            output.contains("keeping the list of 3 mirrors: the settings exclude each of them\n"),
            "{output}"
        );
        assert_eq!(lines(&output, "stage "), ["0 -", "5 fine"], "nothing is measured: {output}");
    }
    // Another list of the call is ranked.
    let batch = [&urls[..2], &["+"], &urls[..], &["+"], &[urls[2], urls[0]]].concat();
    let output = with("internal", &batch, &[("FASTESTMIRROR_INCLUDE_ONLY", "127.0.0.3")]);
    assert_eq!(order(&output), [0, 1, 2, 0], "{output}");
    assert!(output.contains("the settings exclude 2 of 3 mirrors: 127.0.0.1, 127.0.0.2\n"), "{output}");
    assert_eq!(output.matches("the settings exclude each of them").count(), 1, "{output}");
}

#[test]
fn mirrors_are_excluded_whether_or_not_a_list_can_be_ranked() {
    if caller().is_none() {
        return;
    }
    let world = Three::start();
    let urls = world.urls();
    let exclude = ("FASTESTMIRROR_EXCLUDE", "127.0.0.1");
    let proxy = format!("http://127.0.0.1:{}", closed_port());
    let output = with("internal", &urls, &[exclude, ("http_proxy", &proxy)]);
    assert!(output.contains("is reached through a proxy") && order(&output) == [1, 2], "{output}");
    // The proxy is that of an excluded mirror alone.
    let output =
        with("internal", &urls, &[exclude, ("http_proxy", &proxy), ("no_proxy", "127.0.0.2,127.0.0.3")]);
    assert!(!output.contains("through a proxy") && order(&output).len() == 2, "{output}");
    // One that stays: a download would not use it, and nothing is measured for it.
    let output = with("internal", &urls, &[("FASTESTMIRROR_INCLUDE_ONLY", "127.0.0.2")]);
    assert!(output.contains("no latency can change the order") && order(&output) == [1], "{output}");
    // A process without a descriptor left cannot measure.
    for function in ["internal", "order"] {
        let output = with(function, &[&["--no-descriptors"], &urls[..]].concat(), &[exclude]);
        assert!(output.contains("keeping the given order: ") && order(&output)[..2] == [1, 2], "{output}");
    }
    // Nothing is left out where nothing is done.
    let output = with("internal", &urls, &[exclude, ("FASTESTMIRROR_OFF", "1")]);
    assert!(output.contains("keeping the given order: off=1 (FASTESTMIRROR_OFF)\n"), "{output}");
    assert_eq!(order(&output), [0, 1, 2], "{output}");
    let output = with("internal", &[&["--offline"], &urls[..]].concat(), &[exclude]);
    assert_eq!(order(&output), [1, 2], "{output}");
}

#[test]
fn preferred_mirror_leads_the_pool() {
    if caller().is_none() {
        return;
    }
    let world = Three::start();
    let slack = ("FASTESTMIRROR_SLACK", "1000");
    for (host, leader) in [("127.0.0.2", 1), ("127.0.0.3", 2)] {
        for _ in 0..5 {
            let output = with("internal", &world.urls(), &[slack, ("FASTESTMIRROR_PREFER", host)]);
            assert_eq!(order(&output)[0], leader, "{output}");
        }
    }
    // One that does not answer is not lifted.
    let output = with("internal", &world.urls(), &[("FASTESTMIRROR_PREFER", "127.0.0.1")]);
    assert_eq!(order(&output)[2], 0, "{output}");
}

#[test]
fn pool_in_the_given_order_is_that_of_the_first_list_of_the_process() {
    if caller().is_none() {
        return;
    }
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let urls = [1, 2, 3, 4].map(|host| format!("http://127.0.0.{host}:{}/", server.port()));
    let [a, b, c, d] = urls.each_ref().map(String::as_str);
    let slack = ("FASTESTMIRROR_SLACK", "1000");
    let given = [slack, ("FASTESTMIRROR_POOL", "given")];
    // `c` leads all three lists, and `d`, which the first lacks, is last.
    let lists = [&[c, a, b][..], &["+"], &[a, b, c, d], &["+"], &[d, c]].concat();
    for arguments in [&[&["--one-by-one"], &lists[..]].concat(), &lists] {
        for _ in 0..3 {
            let output = with("internal", arguments, &given);
            assert_eq!(order(&output), [0, 1, 2, 2, 0, 1, 3, 1, 0], "{output}");
        }
    }
    assert_eq!(order(&with("order", &[d, b, a, c], &given)), [0, 1, 2, 3]);
    // A list that needs no order, and one that is not ranked, do not count as the first.
    for first in [&[b][..], &[b, "file:///srv"], &["--offline", b, a, c]] {
        let arguments = [&["--one-by-one"], first, &["+"], &lists[..3]].concat();
        let output = with("internal", &arguments, &given);
        let second = lines(&output, "item ").split_off(first.iter().filter(|it| it.contains(':')).count());
        assert!(second[0].starts_with("0 ") && second[1].starts_with("1 "), "{output}");
    }
    let shuffled = |_| order(&with("order", &[a, b, c, d], &[slack, ("FASTESTMIRROR_POOL", "shuffled")]));
    let orders: std::collections::HashSet<Vec<usize>> = (0..6).map(shuffled).collect();
    assert!(orders.len() > 1, "{orders:?}");
}

#[test]
fn rotate_keeps_the_order_of_the_pool_in_the_cache() {
    if caller().is_none() {
        return;
    }
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let urls: Vec<String> = (1..=6).map(|host| format!("http://127.0.0.{host}:{}/", server.port())).collect();
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("cache").display().to_string();
    let mut arguments = vec!["--cache", &cache];
    arguments.extend(urls.iter().map(String::as_str));
    let slack = ("FASTESTMIRROR_SLACK", "1000");
    let runs = |rotate: &str| -> std::collections::HashSet<Vec<usize>> {
        let run = |_| order(&with("internal", &arguments, &[slack, ("FASTESTMIRROR_ROTATE", rotate)]));
        (0..6).map(run).collect()
    };
    assert_eq!(runs("86400").len(), 1, "all processes agree");
    assert!(runs("0").len() > 1);
}

/// The list is shortened in librepo's memory, and librepo frees what is left.
#[test]
fn valgrind_finds_no_error_where_mirrors_are_removed() {
    if caller().is_none() || !have("valgrind", program("valgrind").arg("--version")) {
        return;
    }
    let world = Three::start();
    let urls = world.urls();
    let batch = [&urls[..], &["+"], &urls[..2], &["+"], &urls[1..]].concat();
    for (exclude, arguments, left) in [
        ("127.0.0.1", &[&["--repeat", "3"], &batch[..]].concat()[..], 3 * 5),
        ("127.0.0.2", &[&["--repeat", "3", "--keep-lists"], &batch[..]].concat(), 3 * 4),
        ("127.0.0.2", &[&["--one-by-one", "--repeat", "2"], &batch[..]].concat(), 2 * 4),
        // The list is another one when the call returns.
        ("127.0.0.2", &[&["--meddle"], &urls[..]].concat(), 2),
        ("*", &urls, 3),
    ] {
        let call = Call::of(ours(), "internal", arguments).0;
        let mut valgrind = program("valgrind");
        valgrind.args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible"]);
        valgrind.args(["--show-leak-kinds=definite,indirect,possible", "--error-exitcode=9"]);
        valgrind.arg(call.get_program()).args(call.get_args()).env("FASTESTMIRROR_EXCLUDE", exclude);
        let output = valgrind.output().expect("valgrind runs");
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{exclude} {arguments:?}: {stderr}");
        assert_eq!(lines(&stdout, "item ").len(), left, "{exclude} {arguments:?}: {stdout}");
    }
}

#[test]
fn settings_in_effect_are_logged_once_per_process_and_change() {
    if caller().is_none() {
        return;
    }
    lab::isolated!(|| {
        lab::own_file_in_etc(FILE).expect("a file");
        let write = |text: &str| fs::write(FILE, text).expect("our own file");
        let world = Three::start();
        let urls = world.urls();
        // Without it, with it, and with a variable beside it.
        let output = with("order", &urls, &[]);
        assert_eq!(about_settings(&output), ["settings: all at their defaults"]);
        write("[main]\nslack = 5\nfactor = x\nexclude = 127.0.0.1\n");
        let wrong =
            "ignoring /etc/fastestmirror.conf, line 3: factor = \"x\": it must be a number from 1 to 1000";
        let output =
            with("internal", &[&["--repeat", "3"], &urls[..]].concat(), &[("FASTESTMIRROR_SLACK", "7")]);
        let in_effect = "settings: slack=7 (FASTESTMIRROR_SLACK), exclude=127.0.0.1 (/etc/fastestmirror.conf), \
                         the others at their defaults";
        assert_eq!(about_settings(&output), [wrong, in_effect], "{output}");
        assert_eq!(order(&output).len(), 6, "{output}");

        // A process that runs for long sees a change.
        write("[main]\nexclude = 127.0.0.1\n");
        let change = format!("echo 'exclude = 127.0.0.2 127.0.0.3' >>{FILE}");
        let arguments = [&["--repeat", "3", "--between", &change], &urls[..]].concat();
        let output = with("internal", &arguments[..], &[])
            .replace(" (/etc/fastestmirror.conf), the others at their defaults", "");
        assert_eq!(
            about_settings(&output),
            ["settings: exclude=127.0.0.1", "settings: exclude=127.0.0.2 127.0.0.3"],
            "{output}"
        );
        assert_eq!(order(&output)[2..], [0, 0], "{output}");

        // One that any user may write to is not read.
        write("[main]\noff = yes\n");
        assert!(
            with("order", &urls, &[])
                .contains("keeping the given order: off=yes (/etc/fastestmirror.conf)\n")
        );
        run(Command::new("chmod").args(["0666", FILE]));
        let output = with("order", &urls, &[]);
        assert_eq!(
            about_settings(&output),
            [
                "ignoring /etc/fastestmirror.conf: users other than its owner may write to it (mode 666)",
                "settings: all at their defaults"
            ]
        );
        assert_eq!(order(&output)[2], 0, "{output}");
    });
}

/// What a distribution sets when it builds the library.
#[test]
fn built_in_defaults_are_checked_by_the_compiler_and_can_be_overridden() {
    if caller().is_none() {
        return;
    }
    let built_in = BUILT_IN.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, value) in [
        ("FASTESTMIRROR_DEFAULT_SLACK", "5ms"),
        ("FASTESTMIRROR_DEFAULT_POOL", "random"),
        ("FASTESTMIRROR_DEFAULT_EXCLUDE", "a.example"),
        ("FASTESTMIRROR_SYSCONFDIR", "etc"),
    ] {
        let output = built_in.cargo("check", &[(name, value)]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(&format!("the variable {name} ")), "{stderr}");
    }
    let library = built_in.build();
    let call = |variable: &str| {
        let urls = ["http://127.0.0.1:1/", "http://127.0.0.2:1/"];
        let output = Call::of(&library, "order", &urls).env("FASTESTMIRROR_FALLBACKS", variable).output();
        about_settings(&output)[0].to_string()
    };
    assert_eq!(
        call(""),
        "settings: slack=4.5 (built in), pool=given (built in), fallbacks=all (built in), \
         the others at their defaults"
    );
    let file = built_in.write_file("slack = 0");
    assert_eq!(
        call("3"),
        format!(
            "settings: slack=0 ({}), pool=given (built in), fallbacks=3 (FASTESTMIRROR_FALLBACKS), \
             the others at their defaults",
            file.display()
        )
    );
}

/// Calls of a library whose pool is one mirror at 2 ms, without slack; others are at 5 ms.
#[test]
fn slack_is_hinted_at_where_it_would_help_and_a_built_in_one_helps() {
    if caller().is_none() {
        return;
    }
    // Built once, before the same test runs again in the lab.
    let built_in = BUILT_IN.lock().unwrap_or_else(PoisonError::into_inner);
    let library = built_in.build();
    lab::isolated!(|| {
        lab::own_file_in_etc(FILE).expect("a file");
        let mirrors = [("near", 2), ("next1", 5), ("next2", 5), ("far", 60)];
        let mirror = |(name, rtt): (&str, u32)| {
            lab::Mirror::new(&format!("{name}.lab.example")).both(lab::answer(lab::ms(rtt)))
        };
        let world = lab::World::start(lab::Spec::new().mirrors(mirrors.map(mirror))).expect("a world");
        let urls = mirrors.map(|(name, _)| format!("http://{name}.lab.example/"));
        let call = |library: &Path, options: &[&str], variables: &[(&str, &str)]| {
            for attempt in 1.. {
                let watch = world.watch();
                let arguments: Vec<&str> =
                    options.iter().copied().chain(urls.iter().map(String::as_str)).collect();
                let call = Call::of(library, "internal", &arguments);
                let call = variables.iter().fold(call, |call, (name, value)| call.env(name, value));
                let output = call.output();
                if !watch.could_not_keep_up() || attempt == 20 {
                    return output;
                }
            }
            unreachable!("it has returned")
        };
        let pool = |output: &str| output.matches(", pool\n").count();
        let hint = "log libfastestmirror: the pool has few hosts, which carry all load from here: \
                    slack = 5 in /etc/fastestmirror.conf would add 2\n";
        let output = call(&ours(), &["--repeat", "3"], &[]);
        assert_eq!((pool(&output), output.matches(hint).count()), (3, 1), "once in a process: {output}");
        let output = call(&ours(), &[], &[("FASTESTMIRROR_SLACK", "5")]);
        assert!(pool(&output) == 3 && !output.contains("slack = "), "{output}");

        let output = call(&library, &[], &[]);
        assert!(pool(&output) == 3 && !output.contains("slack = "), "{output}");
        let file = built_in.write_file("slack = 0");
        let output = call(&library, &[], &[]);
        let hint = hint.replace(FILE, &file.display().to_string());
        assert!(pool(&output) == 1 && output.contains(&hint), "{output}");
    });
}

/// The drop-in as a distribution builds it, with defaults of its own, in a target directory of its
/// own. One test at a time has it.
static BUILT_IN: Mutex<BuiltIn> = Mutex::new(BuiltIn);

struct BuiltIn;

impl BuiltIn {
    /// Where it looks for the file.
    fn etc(&self) -> PathBuf {
        target().join("tmp").join("sysconfdir")
    }

    fn directory(&self) -> PathBuf {
        target().join("tmp").join("built-in")
    }

    fn cargo(&self, command: &str, variables: &[(&str, &str)]) -> Output {
        let mut cargo = cargo(&[command, "-p", "fastestmirror-librepo", "--offline"]);
        cargo.arg("--target-dir").arg(self.directory()).envs(variables.iter().copied());
        cargo.output().expect("cargo runs")
    }

    /// Builds it, without a file.
    fn build(&self) -> PathBuf {
        let _ = fs::remove_dir_all(self.etc());
        let etc = self.etc().display().to_string();
        let variables = [
            ("FASTESTMIRROR_DEFAULT_SLACK", "4.5"),
            ("FASTESTMIRROR_DEFAULT_POOL", "given"),
            ("FASTESTMIRROR_DEFAULT_FALLBACKS", "all"),
            ("FASTESTMIRROR_DEFAULT_ROTATE", ""),
            ("FASTESTMIRROR_SYSCONFDIR", &etc),
        ];
        let output = self.cargo("build", &variables);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.directory().join("debug/libfastestmirror_librepo.so")
    }

    fn write_file(&self, text: &str) -> PathBuf {
        let file = self.etc().join("fastestmirror.conf");
        let write =
            || fs::create_dir_all(self.etc()).and_then(|()| fs::write(&file, format!("[main]\n{text}\n")));
        write().expect("the target directory can be written");
        run(Command::new("chmod").arg("0644").arg(&file));
        file
    }
}
