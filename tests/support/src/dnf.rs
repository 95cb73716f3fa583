//! Real dnf in a world of the lab: two repositories behind twelve mirrors, their lists by another host, one run of dnf at a time,
//! and what it asked of whom.

use crate::build::run;
use crate::programs::{Nginx, have, make_package, program};
use lab::{Attempt, Fate, Mirror, Spec, World, answer, ms};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The mirrors, in the order of the first repository's lists, and how far they are away in milliseconds; None is dead. Four are
/// nearer than twice the best one, and none is near that edge.
pub const MIRRORS: [(&str, Option<f64>); 12] = [
    ("fair.lab.example", Some(30.0)),
    ("near3.lab.example", Some(12.0)),
    ("far2.lab.example", Some(110.0)),
    ("near1.lab.example", Some(8.0)),
    ("dead.lab.example", None),
    ("mid2.lab.example", Some(60.0)),
    ("near4.lab.example", Some(14.0)),
    ("far4.lab.example", Some(200.0)),
    ("mid1.lab.example", Some(45.0)),
    ("far3.lab.example", Some(150.0)),
    ("near2.lab.example", Some(10.0)),
    ("far1.lab.example", Some(80.0)),
];
pub const POOL: [&str; 4] =
    ["near1.lab.example", "near2.lab.example", "near3.lab.example", "near4.lab.example"];
pub const DEAD: &str = "dead.lab.example";
/// Has the lists, and is no mirror.
const LISTS: &str = "lists.lab.example";

/// dnf 4, also where `dnf` is the fifth.
const DNF: &str = "dnf-3";
const REPOSITORIES: [&str; 2] = ["one", "two"];

/// The hosts of a repository's list. The second one's is in another order and lacks a mirror, as lists of different repositories do.
fn hosts(repository: &str, dead: bool) -> Vec<&'static str> {
    let all = MIRRORS.iter().filter(|(_, rtt)| dead || rtt.is_some()).map(|(name, _)| *name);
    match repository {
        "one" => all.collect(),
        _ => all.rev().filter(|&name| name != "far1.lab.example").collect(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task {
    Makecache,
    /// `install --downloadonly` of a package from each repository.
    Download,
}

/// How dnf is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub scheme: &'static str,
    /// `mirrorlist` or `metalink`.
    pub list: &'static str,
    /// The dead mirror is in the lists.
    pub dead: bool,
    pub fastestmirror: bool,
    /// Our library is preloaded.
    pub ours: bool,
    /// What is besides in dnf's environment.
    pub environment: &'static [(&'static str, &'static str)],
}

#[derive(Debug, PartialEq)]
pub struct Request {
    pub scheme: String,
    pub host: String,
    pub path: String,
}

/// What came of a run of dnf.
#[derive(Debug)]
pub struct Run {
    pub elapsed: Duration,
    /// For files of the repositories, by nginx's log.
    pub requests: Vec<Request>,
    /// Connections to whomever.
    pub attempts: Vec<Attempt>,
    /// dnf's own log of what librepo said.
    pub log: String,
}

impl Run {
    /// The hosts that were asked for files of this repository, or of all (""), each once.
    pub fn hosts(&self, repository: &str) -> Vec<&str> {
        let mut hosts: Vec<_> = self
            .requests
            .iter()
            .filter(|request| request.path.starts_with(&format!("/{repository}")))
            .map(|request| request.host.as_str())
            .collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Seconds that our library has taken, all its calls together, by its own lines.
    pub fn measuring(&self) -> f64 {
        let lines = self.log.lines().filter_map(|line| line.split_once("libfastestmirror: "));
        let times =
            lines.filter_map(|(_, line)| line.split_once("measuring stopped after ")?.1.split_once(" s ("));
        times.map(|(seconds, _)| seconds.parse::<f64>().expect("seconds")).sum()
    }
}

/// A world with nginx behind its mirrors and the repositories in it.
#[derive(Debug)]
pub struct Site {
    pub world: World,
    library: PathBuf,
    scratch: TempDir,
    runs: Cell<usize>,
    /// How many may still be done again.
    repeats: Cell<usize>,
    log_read: Cell<usize>,
    _nginx: Nginx,
}

impl Site {
    /// `library` is what is preloaded.
    pub fn start(library: &Path) -> Site {
        let mirrors = MIRRORS.iter().map(|&(name, rtt)| match rtt {
            Some(rtt) => Mirror::new(name).both(answer(ms(rtt))),
            None => Mirror::new(name).both(Fate::Silent),
        });
        let lists = Mirror::new(LISTS).both(answer(ms(5)));
        let world = World::start(Spec::new().mirrors(mirrors).mirror(lists).accept(&[])).expect("a world");
        let scratch = tempfile::tempdir().expect("a folder");
        for repository in REPOSITORIES {
            let files = scratch.path().join("files").join(repository);
            make_package(scratch.path(), &files, &format!("lab-{repository}"), "");
            run(program("createrepo_c").args(["--quiet", "--no-database"]).arg(&files));
            let repomd = fs::read(files.join("repodata/repomd.xml")).expect("createrepo_c has written it");
            let hash = run(program("sha256sum").arg(files.join("repodata/repomd.xml")));
            let hash = hash.split(' ').next().expect("a hash");
            for (scheme, dead) in [("http", true), ("http", false), ("https", true), ("https", false)] {
                let folder = scratch.path().join("files").join(lists_folder(scheme, dead));
                fs::create_dir_all(&folder).expect("a folder");
                let bases: Vec<_> = hosts(repository, dead)
                    .iter()
                    .map(|host| format!("{scheme}://{host}/{repository}/"))
                    .collect();
                fs::write(folder.join(format!("{repository}.mirrorlist")), bases.join("\n")).expect("a file");
                let metalink = metalink(&bases, scheme, hash, &repomd);
                fs::write(folder.join(format!("{repository}.metalink")), metalink).expect("a file");
            }
        }
        let nginx = Nginx::start(scratch.path());
        let (runs, repeats, log_read) = (Cell::new(0), Cell::new(20), Cell::new(0));
        Site { world, library: library.to_owned(), scratch, runs, repeats, log_read, _nginx: nginx }
    }

    /// Runs dnf in a new root, without anything cached.
    pub fn run(&self, task: Task, setup: Setup) -> Run {
        self.run_remembering(task, setup, &mut None)
    }

    /// The same with the latencies that a run before has written, and nothing else of it; then with those of this one. While the
    /// lab cannot keep up this is done again, a few times in a site.
    pub fn run_remembering(&self, task: Task, setup: Setup, latencies: &mut Option<Vec<u8>>) -> Run {
        loop {
            let (watch, mut written) = (self.world.watch(), latencies.clone());
            let run = self.run_once(task, setup, &mut written);
            if setup.ours {
                assert_polite(setup, &run);
            }
            if watch.could_not_keep_up() && self.repeats.get() > 0 {
                self.repeats.set(self.repeats.get() - 1);
                println!("run {}: the lab could not keep up", self.runs.get());
                continue;
            }
            *latencies = written;
            return run;
        }
    }

    fn run_once(&self, task: Task, setup: Setup, latencies: &mut Option<Vec<u8>>) -> Run {
        self.runs.set(self.runs.get() + 1);
        let folder = self.scratch.path().join(format!("run{}", self.runs.get()));
        let root = folder.join("root");
        fs::create_dir_all(&root).expect("a folder");
        let cache = root.join("cache/fastestmirror.cache");
        if let Some(latencies) = latencies {
            fs::create_dir(root.join("cache")).expect("a folder");
            fs::write(&cache, latencies).expect("a file");
        }
        fs::write(folder.join("dnf.conf"), self.configuration(&folder, setup)).expect("a file");
        let mut dnf = dnf(&folder);
        dnf.args(match task {
            Task::Makecache => &["makecache"][..],
            Task::Download => &["install", "--downloadonly", "lab-one", "lab-two"],
        });
        if setup.ours {
            dnf.env("LD_PRELOAD", &self.library);
        }
        dnf.envs(setup.environment.iter().copied());
        let attempts_before = self.world.report().attempts.len();
        let begin = Instant::now();
        run(&mut dnf);
        let elapsed = begin.elapsed();

        let attempts = self.world.report().attempts.split_off(attempts_before);
        let log = fs::read_to_string(root.join("log/dnf.librepo.log")).expect("dnf keeps a log of librepo");
        *latencies = fs::read(&cache).ok();
        let files = match task {
            Task::Makecache => &["repomd.xml", "primary.xml.gz", "filelists.xml.gz"][..],
            Task::Download => &["repomd.xml", "primary.xml.gz", "filelists.xml.gz", ".rpm"],
        };
        let requests = self.new_requests(setup, files);
        fs::remove_dir_all(&folder).expect("a folder of ours");
        Run { elapsed, requests, attempts, log }
    }

    /// What dnf complains of over https where nobody has told it of the lab's authority.
    pub fn complaint_about_an_unknown_authority(&self, setup: Setup) -> String {
        let folder = self.scratch.path().join("untold");
        fs::create_dir_all(folder.join("root")).expect("a folder");
        let text = self.configuration(&folder, Setup { scheme: "https", ..setup });
        let untold: String =
            text.lines().filter(|line| !line.starts_with("sslcacert=")).map(|l| format!("{l}\n")).collect();
        fs::write(folder.join("dnf.conf"), untold).expect("a file");
        let output = dnf(&folder).arg("makecache").output().expect("dnf runs");
        assert!(!output.status.success(), "dnf does not verify certificates");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn configuration(&self, folder: &Path, setup: Setup) -> String {
        let Setup { scheme, list, dead, fastestmirror, .. } = setup;
        // Folders of dnf's own are below its root, wherever that is.
        let mut text = format!(
            "[main]\ncachedir=/cache\nlogdir=/log\nlogfilelevel=10\npersistdir=/persist\nplugins=0\ngpgcheck=0\n\
             reposdir={none}\nvarsdir={none}\npluginconfpath={none}\nsslverify=1\nsslcacert={}\nfastestmirror={}\n",
            self.scratch.path().join("ca.pem").display(),
            u8::from(fastestmirror),
            none = folder.join("none").display(),
        );
        let lists = lists_folder(scheme, dead);
        for repository in REPOSITORIES {
            text += &format!(
                "[{repository}]\nname={repository}\n{list}={scheme}://{LISTS}/{lists}/{repository}.{list}\n"
            );
        }
        text
    }

    /// What nginx has logged since the last run, lists left out: each of these files of each repository, once.
    fn new_requests(&self, setup: Setup, files: &[&str]) -> Vec<Request> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let log = fs::read_to_string(self.scratch.path().join("access.log")).expect("nginx's log");
            let (lists, requests): (Vec<_>, Vec<_>) =
                log[self.log_read.get()..].lines().map(request).partition(|request| request.host == LISTS);
            // A line is written when the answer is out, which may be a moment after dnf has it.
            if requests.len() < REPOSITORIES.len() * files.len() && Instant::now() < deadline {
                std::thread::sleep(ms(5));
                continue;
            }
            self.log_read.set(log.len());
            assert!(lists.len() >= REPOSITORIES.len(), "{setup:?}: {lists:?}");
            for (repository, file) in REPOSITORIES.iter().flat_map(|r| files.iter().map(move |f| (r, f))) {
                let asked = requests.iter().filter(|request| {
                    request.path.starts_with(&format!("/{repository}/")) && request.path.ends_with(file)
                });
                assert_eq!(asked.count(), 1, "{setup:?}: {file} of {repository}: {requests:?}");
            }
            assert_eq!(requests.len(), REPOSITORIES.len() * files.len(), "{setup:?}: {requests:?}");
            return requests;
        }
    }
}

/// Whoever was not asked for files has seen a handshake at most, or two where a second attempt was due, and no byte; whoever is in no
/// list, nothing. So it is however late the lab is.
#[track_caller]
fn assert_polite(setup: Setup, run: &Run) {
    let asked = run.hosts("");
    for (mirror, (name, _)) in MIRRORS.iter().enumerate().filter(|(_, (name, _))| !asked.contains(name)) {
        let attempts: Vec<_> = run.attempts.iter().filter(|attempt| attempt.mirror == mirror).collect();
        // Both repositories together: what was measured for the first is known to the second.
        assert!(attempts.len() <= 2, "{setup:?}: {} attempts at {name}", attempts.len());
        assert!(attempts.iter().all(|attempt| attempt.payload == 0), "{setup:?}: bytes were sent to {name}");
        assert!(setup.dead || *name != DEAD || attempts.is_empty());
    }
}

/// dnf with the configuration in this folder, below which it keeps all it writes.
fn dnf(folder: &Path) -> Command {
    let mut dnf = program(DNF);
    // What this test has in its environment is not to decide anything: neither proxies nor the toolchain's libraries.
    dnf.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", folder).env("LC_ALL", "C.UTF-8");
    dnf.arg("--config").arg(folder.join("dnf.conf")).arg("--installroot").arg(folder.join("root"));
    dnf.args(["--releasever=1", "--assumeyes", "--quiet"]);
    dnf
}

/// Whether everything is installed that a site needs.
pub fn have_all() -> bool {
    // Started outside of a root of ours it would make a database of packages in the user's home.
    have(DNF, program("sh").args(["-c", &format!("command -v {DNF}")]))
        && have("createrepo_c", program("createrepo_c").arg("--version"))
        && have("rpmbuild", program("rpmbuild").arg("--version"))
        && have("nginx", program("nginx").arg("-v"))
        && have("openssl", program("openssl").arg("version"))
}

fn lists_folder(scheme: &str, dead: bool) -> String {
    format!("{scheme}-{}", if dead { "dead" } else { "alive" })
}

fn metalink(bases: &[String], scheme: &str, hash: &str, repomd: &[u8]) -> String {
    let text = std::str::from_utf8(repomd).expect("XML in UTF-8");
    let timestamp = text.split("<timestamp>").skip(1).filter_map(|rest| rest.split('<').next());
    let timestamp = timestamp.max().expect("repomd.xml has timestamps");
    let urls = bases.iter().enumerate().map(|(n, base)| {
        // The server's preference falls in the order of its list, as real ones do.
        format!(
            "<url protocol=\"{scheme}\" type=\"{scheme}\" preference=\"{}\">{base}repodata/repomd.xml</url>",
            100 - n
        )
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\" xmlns:mm0=\"http://fedorahosted.org/mirrormanager\">\
         <files><file name=\"repomd.xml\"><mm0:timestamp>{timestamp}</mm0:timestamp><size>{}</size>\
         <verification><hash type=\"sha256\">{hash}</hash></verification>\
         <resources maxconnections=\"1\">{}</resources></file></files></metalink>\n",
        repomd.len(),
        urls.collect::<Vec<_>>().join("\n")
    )
}

/// A line of nginx's log; all of them have to be answers with the file that was asked for.
fn request(line: &str) -> Request {
    let fields: Vec<_> = line.split(' ').collect();
    let &[scheme, host, "GET", path, "200"] = fields.as_slice() else { panic!("nginx's log says {line:?}") };
    Request { scheme: scheme.to_owned(), host: host.to_owned(), path: path.to_owned() }
}
