//! Real dnf in the lab: two repositories on twelve mirrors, their mirror lists on another host, and
//! for each run of dnf which mirrors it connected to and what it fetched from them.

use crate::build::{run, transcript};
use crate::mirror_manager::MirrorManager;
use crate::programs::{Nginx, have, make_package, program};
use lab::{Attempt, Fate, Mirror, Spec, World, answer, ms};
use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The mirrors in the order of the first repository's lists, with their round-trip times in
/// milliseconds; None is dead. Four are nearer than twice the best latency, and none is close to
/// that limit.
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
/// A host that can stand in the lists in the place of the dead one: its first IPv4 address is
/// silent, and the second is nearer than every mirror.
pub const HALF_DEAD: &str = "half-dead.lab.example";
/// The host of the mirror lists, which is not a mirror.
const LISTS: &str = "lists.lab.example";

/// The command of dnf 4, even where `dnf` is dnf 5.
const DNF: &str = "dnf-3";
const REPOSITORIES: [&str; 2] = ["one", "two"];

/// The hosts of a repository's list, with this one in the place of the dead one. The list of the
/// second repository has another order and lacks a mirror, as it happens with real repositories.
fn hosts(repository: &str, bad: Option<&'static str>) -> Vec<&'static str> {
    let all = MIRRORS.iter().filter_map(|&(name, rtt)| if rtt.is_some() { Some(name) } else { bad });
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

/// What is wrong with some mirrors: directives of nginx, by the host.
pub type Faults = &'static [(&'static str, &'static str)];

/// How dnf is run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub scheme: &'static str,
    /// `mirrorlist` or `metalink`.
    pub list: &'static str,
    /// Which host without a use is in the lists: [`DEAD`], [`HALF_DEAD`] or none.
    pub bad: Option<&'static str>,
    pub fastestmirror: bool,
    /// Whether this library is preloaded.
    pub ours: bool,
    /// Additional environment variables of dnf.
    pub environment: &'static [(&'static str, &'static str)],
}

#[derive(Debug, PartialEq)]
pub struct Request {
    pub scheme: String,
    pub host: String,
    pub path: String,
    pub status: u16,
}

/// The result of a run of dnf.
#[derive(Debug)]
pub struct Run {
    pub elapsed: Duration,
    pub succeeded: bool,
    /// The requests for files of the repositories, from nginx's log.
    pub requests: Vec<Request>,
    /// All connection attempts, to any host.
    pub attempts: Vec<Attempt>,
    /// The log of librepo that dnf writes.
    pub log: String,
}

impl Run {
    /// The mirrors that got a request, each once, by the bytes that were sent to them.
    pub fn asked(&self) -> Vec<&'static str> {
        let with_bytes = self.attempts.iter().filter(|attempt| attempt.payload > 0);
        let asked = with_bytes.filter_map(|attempt| Some(MIRRORS.get(attempt.mirror)?.0));
        asked.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The hosts that were asked for files of this repository, or of any repository for "", each
    /// once.
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

    /// The seconds that all calls of this library took together, according to its log lines.
    pub fn measuring(&self) -> f64 {
        let lines = self.log.lines().filter_map(|line| line.split_once("libfastestmirror: "));
        let times =
            lines.filter_map(|(_, line)| line.split_once("measuring stopped after ")?.1.split_once(" s ("));
        times.map(|(seconds, _)| seconds.parse::<f64>().expect("seconds")).sum()
    }
}

/// A world whose mirrors are served by nginx, with the repositories.
#[derive(Debug)]
pub struct Site {
    pub world: World,
    library: PathBuf,
    scratch: TempDir,
    runs: Cell<usize>,
    /// The number of runs that may still be repeated because the lab was late.
    repeats: Cell<usize>,
    log_read: Cell<usize>,
    /// With any, dnf may fail, and mirrors may be asked in vain.
    faults: Faults,
    /// Where dnf gets its lists, if not from nginx.
    manager: OnceCell<MirrorManager>,
    _nginx: Nginx,
}

impl Site {
    /// Starts the world; `library` is preloaded into dnf.
    pub fn start(library: &Path) -> Site {
        Site::start_with(library, &[], "")
    }

    /// Starts a world with faults; the packages have these additional parts in their spec files.
    pub fn start_with(library: &Path, faults: Faults, sections: &str) -> Site {
        let mirrors = MIRRORS.iter().map(|&(name, rtt)| match rtt {
            Some(rtt) => Mirror::new(name).both(answer(ms(rtt))),
            None => Mirror::new(name).both(Fate::Silent),
        });
        let half_dead = Mirror::new(HALF_DEAD).ipv4(Fate::Silent).ipv4(answer(ms(4)));
        let lists = Mirror::new(LISTS).both(answer(ms(5)));
        let spec = Spec::new().mirrors(mirrors).mirror(half_dead).mirror(lists).accept(&[]);
        let world = World::start(spec).expect("a world");
        let scratch = tempfile::tempdir().expect("a directory");
        for repository in REPOSITORIES {
            let files = scratch.path().join("files").join(repository);
            make_package(scratch.path(), &files, &format!("lab-{repository}"), sections);
            run(program("createrepo_c").args(["--quiet", "--no-database"]).arg(&files));
            let repomd = Repomd::read(&files);
            let all = [None, Some(DEAD), Some(HALF_DEAD)];
            for (scheme, bad) in all.iter().flat_map(|bad| ["http", "https"].map(|scheme| (scheme, *bad))) {
                let directory = scratch.path().join("files").join(lists_directory(scheme, bad));
                fs::create_dir_all(&directory).expect("a directory");
                let bases = bases(scheme, repository, &hosts(repository, bad));
                fs::write(directory.join(format!("{repository}.mirrorlist")), bases.join("\n"))
                    .expect("a file");
                let metalink = repomd.metalink(&bases, scheme);
                fs::write(directory.join(format!("{repository}.metalink")), metalink).expect("a file");
            }
        }
        let nginx = Nginx::start_with(scratch.path(), faults);
        let (runs, repeats, log_read) = (Cell::new(0), Cell::new(40), Cell::new(0));
        Site {
            world,
            library: library.to_owned(),
            scratch,
            runs,
            repeats,
            log_read,
            faults,
            manager: OnceCell::new(),
            _nginx: nginx,
        }
    }

    /// Has dnf get its lists from a server that shuffles them by these capacities, in each round
    /// anew. The dead mirror is among the hosts.
    pub fn start_mirror_manager(&self, capacity: impl Fn(&str) -> f64) -> &MirrorManager {
        let of = |repository| {
            let hosts = hosts(repository, Some(DEAD));
            (repository, hosts.into_iter().map(|host| (host, capacity(host))).collect())
        };
        let files = self.scratch.path().join("files");
        let repomds = REPOSITORIES.map(|repository| (repository, Repomd::read(&files.join(repository))));
        let metalink = move |repository: &str, hosts: &[&'static str]| {
            let (_, repomd) = repomds.iter().find(|(name, _)| *name == repository).expect("a repository");
            repomd.metalink(&bases("http", repository, hosts), "http")
        };
        self.manager.get_or_init(|| MirrorManager::start(REPOSITORIES.map(of).into(), metalink))
    }

    /// Runs dnf in a new root without any cache.
    pub fn run(&self, task: Task, setup: Setup) -> Run {
        self.run_remembering(task, setup, &mut None)
    }

    /// Runs dnf in a new root that contains only the latencies of an earlier run, and replaces
    /// these by what it has written. The run is repeated if the lab was late, a few times for each
    /// site.
    pub fn run_remembering(&self, task: Task, setup: Setup, latencies: &mut Option<Vec<u8>>) -> Run {
        loop {
            let (watch, mut written) = (self.world.watch(), latencies.clone());
            let run = self.run_once(task, setup, &mut written);
            if setup.ours && self.faults.is_empty() {
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

    /// Runs dnf as it is installed, with nothing preloaded and a dead mirror in the lists. Returns
    /// whether the drop-in has chosen the mirrors, and the seconds that it took.
    pub fn run_as_installed(&self, task: Task) -> (bool, f64) {
        let setup = Setup {
            scheme: "http",
            list: "metalink",
            bad: Some(DEAD),
            fastestmirror: true,
            ours: false,
            environment: &[],
        };
        let run = self.run(task, setup);
        let is_ours = run.log.contains("libfastestmirror ");
        if is_ours {
            let hosts = run.hosts("");
            assert!(hosts.len() == 1 && POOL.contains(&hosts[0]), "{hosts:?}");
        }
        (is_ours, run.elapsed.as_secs_f64())
    }

    fn run_once(&self, task: Task, setup: Setup, latencies: &mut Option<Vec<u8>>) -> Run {
        self.runs.set(self.runs.get() + 1);
        let directory = self.scratch.path().join(format!("run{}", self.runs.get()));
        let root = directory.join("root");
        fs::create_dir_all(&root).expect("a directory");
        let cache = root.join("cache/fastestmirror.cache");
        if let Some(latencies) = latencies {
            fs::create_dir(root.join("cache")).expect("a directory");
            fs::write(&cache, latencies).expect("a file");
        }
        fs::write(directory.join("dnf.conf"), self.configuration(&directory, setup)).expect("a file");
        let mut dnf = dnf(&directory);
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
        let output = dnf.output().expect("dnf runs");
        assert!(output.status.success() || !self.faults.is_empty(), "{dnf:?}: {}", transcript(&output));
        let elapsed = begin.elapsed();

        let attempts = self.world.report().attempts.split_off(attempts_before);
        let log = fs::read_to_string(root.join("log/dnf.librepo.log")).expect("dnf keeps a log of librepo");
        *latencies = fs::read(&cache).ok();
        let files = match task {
            Task::Makecache => &["repomd.xml", "primary.xml.gz", "filelists.xml.gz"][..],
            Task::Download => &["repomd.xml", "primary.xml.gz", "filelists.xml.gz", ".rpm"],
        };
        let requests = self.new_requests(setup, files);
        fs::remove_dir_all(&directory).expect("the directory of the run");
        Run { elapsed, succeeded: output.status.success(), requests, attempts, log }
    }

    /// The error message of dnf over https if the lab's certificate authority is not configured.
    pub fn complaint_about_an_unknown_authority(&self, setup: Setup) -> String {
        let directory = self.scratch.path().join("no-authority");
        fs::create_dir_all(directory.join("root")).expect("a directory");
        let text = self.configuration(&directory, Setup { scheme: "https", ..setup });
        let without_authority: String =
            text.lines().filter(|line| !line.starts_with("sslcacert=")).map(|l| format!("{l}\n")).collect();
        fs::write(directory.join("dnf.conf"), without_authority).expect("a file");
        let output = dnf(&directory).arg("makecache").output().expect("dnf runs");
        assert!(!output.status.success(), "dnf does not verify certificates");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn configuration(&self, directory: &Path, setup: Setup) -> String {
        let Setup { scheme, list, bad, fastestmirror, .. } = setup;
        // dnf's own directories are relative to its root.
        let mut text = format!(
            "[main]\ncachedir=/cache\nlogdir=/log\nlogfilelevel=10\npersistdir=/persist\nplugins=0\ngpgcheck=0\n\
             reposdir={none}\nvarsdir={none}\npluginconfpath={none}\nsslverify=1\nsslcacert={}\nfastestmirror={}\n",
            self.scratch.path().join("ca.pem").display(),
            u8::from(fastestmirror),
            none = directory.join("none").display(),
        );
        if !self.faults.is_empty() {
            // The shortest time that dnf knows; so slow is as good as nothing.
            text += "timeout=1\nminrate=1000\nretries=20\n";
        }
        let lists = lists_directory(scheme, bad);
        for repository in REPOSITORIES {
            let list = match self.manager.get() {
                Some(manager) => format!("metalink=http://{LISTS}:{}/{repository}", manager.port),
                None => format!("{list}={scheme}://{LISTS}/{lists}/{repository}.{list}"),
            };
            text += &format!("[{repository}]\nname={repository}\n{list}\n");
        }
        text
    }

    /// The requests that nginx has logged since the last run, without those for mirror lists. If no
    /// mirror has a fault: exactly one for each of these files of each repository, and it
    /// succeeded.
    fn new_requests(&self, setup: Setup, files: &[&str]) -> Vec<Request> {
        let deadline = Instant::now() + Duration::from_secs(10);
        if !self.faults.is_empty() {
            std::thread::sleep(ms(200));
        }
        loop {
            let log = fs::read_to_string(self.scratch.path().join("access.log")).expect("nginx's log");
            let (lists, requests): (Vec<_>, Vec<_>) =
                log[self.log_read.get()..].lines().map(request).partition(|request| request.host == LISTS);
            // nginx may write the line a moment after dnf has the file.
            let expected = REPOSITORIES.len() * files.len();
            if self.faults.is_empty() && requests.len() < expected && Instant::now() < deadline {
                std::thread::sleep(ms(5));
                continue;
            }
            self.log_read.set(log.len());
            if !self.faults.is_empty() {
                return requests;
            }
            assert!(requests.iter().all(|request| request.status == 200), "{setup:?}: {requests:?}");
            let has_lists = lists.len() >= REPOSITORIES.len() || self.manager.get().is_some();
            assert!(has_lists, "{setup:?}: {lists:?}");
            for (repository, file) in REPOSITORIES.iter().flat_map(|r| files.iter().map(move |f| (r, f))) {
                let matching = requests.iter().filter(|request| {
                    request.path.starts_with(&format!("/{repository}/")) && request.path.ends_with(file)
                });
                assert_eq!(matching.count(), 1, "{setup:?}: {file} of {repository}: {requests:?}");
            }
            assert_eq!(requests.len(), REPOSITORIES.len() * files.len(), "{setup:?}: {requests:?}");
            return requests;
        }
    }
}

/// Asserts that a mirror that served no file got at most one handshake, or two where a second
/// attempt was due, and no byte; and that a mirror in no list got nothing. This holds however late
/// the lab is.
#[track_caller]
fn assert_polite(setup: Setup, run: &Run) {
    let used = run.hosts("");
    for (mirror, (name, _)) in MIRRORS.iter().enumerate().filter(|(_, (name, _))| !used.contains(name)) {
        let attempts: Vec<_> = run.attempts.iter().filter(|attempt| attempt.mirror == mirror).collect();
        // This is for both repositories together: the second uses what was measured for the first.
        assert!(attempts.len() <= 2, "{setup:?}: {} attempts at {name}", attempts.len());
        assert!(attempts.iter().all(|attempt| attempt.payload == 0), "{setup:?}: bytes were sent to {name}");
        assert!(setup.bad == Some(DEAD) || *name != DEAD || attempts.is_empty());
    }
}

/// A dnf command with the configuration in this directory, `dnf.conf`, which also contains its
/// root.
pub fn dnf(directory: &Path) -> Command {
    let mut dnf = program(DNF);
    // The environment of this test must not have an effect, such as proxies or the toolchain's
    // libraries.
    dnf.env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", directory)
        .env("LC_ALL", "C.UTF-8");
    dnf.arg("--config").arg(directory.join("dnf.conf")).arg("--installroot").arg(directory.join("root"));
    dnf.args(["--releasever=1", "--assumeyes", "--quiet"]);
    dnf
}

/// Whether everything is installed that a site needs. If not, the test is skipped.
pub fn have_all() -> bool {
    // dnf is not run here: without a root of its own it would create a package database in the
    // user's home.
    have(DNF, program("sh").args(["-c", &format!("command -v {DNF}")]))
        && have("createrepo_c", program("createrepo_c").arg("--version"))
        && have("rpmbuild", program("rpmbuild").arg("--version"))
        && have("nginx", program("nginx").arg("-v"))
        && have("openssl", program("openssl").arg("version"))
}

fn lists_directory(scheme: &str, bad: Option<&str>) -> String {
    format!("{scheme}-{}", bad.unwrap_or("alive"))
}

/// The URLs of a repository on these hosts.
fn bases(scheme: &str, repository: &str, hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| format!("{scheme}://{host}/{repository}/")).collect()
}

/// What a metalink says of a repository's repomd.xml.
#[derive(Debug)]
pub struct Repomd {
    timestamp: String,
    size: usize,
    hash: String,
}

impl Repomd {
    /// Reads it in a repository's directory.
    pub fn read(files: &Path) -> Repomd {
        let path = files.join("repodata/repomd.xml");
        let text = fs::read_to_string(&path).expect("createrepo_c has written it, in UTF-8");
        let timestamp = text.split("<timestamp>").skip(1).filter_map(|rest| rest.split('<').next());
        let timestamp = timestamp.max().expect("repomd.xml has timestamps").to_owned();
        let hash = run(program("sha256sum").arg(path));
        Repomd { timestamp, size: text.len(), hash: hash.split(' ').next().expect("a hash").to_owned() }
    }

    /// A metalink for a repository at these URLs.
    pub fn metalink(&self, bases: &[String], scheme: &str) -> String {
        let Repomd { timestamp, size, hash } = self;
        let urls = bases.iter().enumerate().map(|(n, base)| {
            // The preference decreases in the order of the list, as in real metalinks.
            format!(
                "<url protocol=\"{scheme}\" type=\"{scheme}\" preference=\"{}\">{base}repodata/repomd.xml</url>",
                100 - n
            )
        });
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\" xmlns:mm0=\"http://fedorahosted.org/mirrormanager\">\
             <files><file name=\"repomd.xml\"><mm0:timestamp>{timestamp}</mm0:timestamp><size>{size}</size>\
             <verification><hash type=\"sha256\">{hash}</hash></verification>\
             <resources maxconnections=\"1\">{}</resources></file></files></metalink>\n",
            urls.collect::<Vec<_>>().join("\n")
        )
    }
}

/// Parses a line of nginx's log.
fn request(line: &str) -> Request {
    let fields: Vec<_> = line.split(' ').collect();
    let &[scheme, host, "GET", path, status] = fields.as_slice() else { panic!("nginx's log says {line:?}") };
    let status = status.parse().unwrap_or_else(|_| panic!("nginx's log says {line:?}"));
    Request { scheme: scheme.to_owned(), host: host.to_owned(), path: path.to_owned(), status }
}
