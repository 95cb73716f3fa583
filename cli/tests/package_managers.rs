//! Package managers as their distributions ship them take the lists that the command writes: apt
//! follows its priorities, in the lab; pacman's and dnf's own readers have every mirror in order.

use lab::{Mirror, Spec, World, answer, ms, refuse};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::build::{run, transcript};
use support::dnf::{Repomd, dnf, have_all};
use support::programs::{Nginx, have, program};
use support::servers::closed_port;
use tempfile::TempDir;

/// The mirrors in the given order, with their round-trip times in milliseconds. Three are nearer
/// than twice the best, and none is close to that limit.
const MIRRORS: [(&str, f64); 5] = [
    ("far.lab.example", 120.0),
    ("near3.lab.example", 13.0),
    ("near1.lab.example", 8.0),
    ("mid.lab.example", 50.0),
    ("near2.lab.example", 10.0),
];
const POOL: [&str; 3] = ["near1.lab.example", "near2.lab.example", "near3.lab.example"];

/// The key that signs apt's repository, in the directory of the site.
const KEY: &str = "key.gpg";

/// The command has to succeed with these arguments.
fn fastestmirror(arguments: &[&str]) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_fastestmirror")).args(arguments))
}

/// Whether nginx is installed, and what it needs here.
fn have_nginx() -> bool {
    have("nginx", program("nginx").arg("-v")) && have("openssl", program("openssl").arg("version"))
}

/// The mirrors, served by nginx.
struct Site {
    world: World,
    scratch: TempDir,
    log_read: usize,
    _nginx: Nginx,
}

impl Site {
    /// Starts it; `fill` makes the files that the mirrors serve.
    fn start(fill: impl FnOnce(&Path)) -> Site {
        let mirrors = MIRRORS.map(|(name, rtt)| Mirror::new(name).both(answer(ms(rtt))));
        let world = World::start(Spec::new().mirrors(mirrors).accept(&[])).expect("a world");
        let scratch = tempfile::tempdir().expect("a directory");
        let files = scratch.path().join("files");
        fs::create_dir(&files).expect("a directory");
        fill(&files);
        let nginx = Nginx::start(scratch.path());
        Site { world, scratch, log_read: 0, _nginx: nginx }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The hosts that have been asked since the last call, each once. They have served `count`
    /// files, and nothing else has been asked for.
    fn hosts(&mut self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let log = fs::read_to_string(self.path("access.log")).expect("nginx's log");
            let served: Vec<_> = log[self.log_read..].lines().collect();
            // nginx may write the line a moment after its client has the file.
            if served.len() < count && Instant::now() < deadline {
                std::thread::sleep(ms(5));
                continue;
            }
            assert_eq!(served.len(), count, "{}", &log[self.log_read..]);
            self.log_read = log.len();
            let mut hosts: Vec<String> = Vec::new();
            for line in served {
                let &[_, host, "GET", _, "200"] = line.split(' ').collect::<Vec<_>>().as_slice() else {
                    panic!("nginx's log says {line:?}")
                };
                if !hosts.iter().any(|known| known == host) {
                    hosts.push(host.to_owned());
                }
            }
            return hosts;
        }
    }
}

/// Makes a repository for apt with one package.
fn make_apt_repository(directory: &Path) {
    let package = directory.with_file_name("package");
    fs::create_dir_all(package.join("DEBIAN")).expect("a directory");
    let control = "Package: lab-tool\nVersion: 1\nArchitecture: all\nMaintainer: Lab <lab@lab.example>\n\
                   Description: Nothing\n";
    fs::write(package.join("DEBIAN/control"), control).expect("a file");
    run(program("dpkg-deb").args(["--build", "--root-owner-group"]).arg(&package).arg(directory));
    let archive = |command: &str| {
        let mut archive = program("apt-ftparchive");
        run(archive.current_dir(directory).args([command, "."]))
    };
    fs::write(directory.join("Packages"), archive("packages")).expect("a file");
    let release = directory.with_file_name("Release");
    fs::write(&release, archive("release")).expect("a file");
    // apt looks for InRelease first, and on every mirror if it is on none.
    let home = directory.with_file_name("gnupg");
    fs::create_dir(&home).expect("a directory");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).expect("a directory of this test");
    let gpg = |arguments: &[&str]| run(program("gpg").env("GNUPGHOME", &home).arg("--batch").args(arguments));
    gpg(&["--passphrase", "", "--quick-generate-key", "Lab <lab@lab.example>", "ed25519", "sign", "never"]);
    let path = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
    gpg(&["--output", &path(directory.join("InRelease")), "--clearsign", &path(release)]);
    gpg(&["--output", &path(directory.with_file_name(KEY)), "--export"]);
    run(program("gpgconf").env("GNUPGHOME", &home).args(["--kill", "all"]));
}

/// apt with directories of its own, and nothing of the system's configuration.
struct Apt {
    directory: PathBuf,
}

impl Apt {
    /// Makes the directories; the list of mirrors is `list`.
    fn new(directory: PathBuf, list: &Path) -> Apt {
        for below in ["etc/apt.conf.d", "etc/preferences.d", "state", "cache", "log"] {
            fs::create_dir_all(directory.join(below)).expect("a directory");
        }
        let path = |below: &str| directory.join(below).display().to_string();
        fs::write(path("state/status"), "").expect("a file");
        let key = directory.with_file_name(KEY);
        let source = format!("deb [signed-by={}] mirror+file:{} ./\n", key.display(), list.display());
        fs::write(path("etc/sources.list"), source).expect("a file");
        // The lab's name server knows no SRV records, and its root may be no other user. A mirror
        // that fails is asked again, but without a delay.
        let configuration = format!(
            "Dir::Etc \"{}\"; Dir::State \"{}\"; Dir::State::status \"{}\"; Dir::Cache \"{}\"; Dir::Log \"{}\";\n\
             Acquire::EnableSrvRecords \"false\"; Acquire::Languages \"none\";\n\
             Acquire::Retries::Delay \"false\"; APT::Sandbox::User \"root\";\n",
            path("etc"),
            path("state"),
            path("state/status"),
            path("cache"),
            path("log"),
        );
        fs::write(path("configuration"), configuration).expect("a file");
        Apt { directory }
    }

    fn run(&self, arguments: &[&str]) {
        let mut apt = program("apt-get");
        apt.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        apt.env("APT_CONFIG", self.directory.join("configuration")).current_dir(&self.directory);
        let output = apt.arg("-q").args(arguments).output().expect("apt runs");
        assert!(output.status.success(), "{}", transcript(&output));
    }

    /// Updates an empty cache and downloads the package: three files.
    fn update_and_download(&self) {
        for below in ["state/lists", "cache"] {
            let _ = fs::remove_dir_all(self.directory.join(below));
            fs::create_dir(self.directory.join(below)).expect("a directory");
        }
        self.run(&["update"]);
        let _ = fs::remove_file(self.directory.join("lab-tool_1_all.deb"));
        self.run(&["download", "lab-tool"]);
        assert!(self.directory.join("lab-tool_1_all.deb").exists());
    }
}

#[test]
fn apt_shares_the_pool_and_asks_others_in_order_only_after_it() {
    let is_there = have("apt", program("apt-get").arg("--version"))
        && have("dpkg-deb", program("dpkg-deb").arg("--version"))
        && have("apt-ftparchive", program("apt-ftparchive").arg("--version"))
        && have("gpg", program("gpg").arg("--version"))
        && have_nginx();
    if !is_there {
        return;
    }
    lab::isolated!(|| {
        let mut site = Site::start(make_apt_repository);
        let list = site.path("apt-mirrors");
        let urls = MIRRORS.map(|(name, _)| format!("http://{name}/"));
        let mut arguments = vec!["--apt", "--fallbacks=all", "-o", list.to_str().expect("UTF-8")];
        arguments.extend(urls.iter().map(String::as_str));
        // apt has no method for this one, and need not ask it.
        arguments.push("rsync://rsync.lab.example/");
        fastestmirror(&arguments);
        let text = fs::read_to_string(&list).expect("the list");
        assert_eq!(text.matches("\tpriority:1\n").count(), POOL.len(), "{text}");
        assert!(text.ends_with("\nrsync://rsync.lab.example/\tpriority:4\n"), "{text}");

        let apt = Apt::new(site.path("apt"), &list);
        // Every mirror of the pool is asked in some runs. By chance alone one would be missing
        // after these many runs once in ten billion times.
        let mut asked = BTreeSet::new();
        for _ in 0..60 {
            apt.update_and_download();
            let hosts = site.hosts(3);
            assert!(hosts.iter().all(|host| POOL.contains(&host.as_str())), "{hosts:?}");
            asked.extend(hosts);
            if asked.len() == POOL.len() {
                break;
            }
        }
        assert_eq!(asked.len(), POOL.len(), "{asked:?}");
        // One after the other goes down.
        for name in POOL {
            site.world.change(name, refuse(ms(8)));
        }
        for fallback in ["mid.lab.example", "far.lab.example"] {
            apt.update_and_download();
            assert_eq!(site.hosts(3), [fallback]);
            site.world.change(fallback, refuse(ms(50)));
        }
    });
}

/// dnf 4 with a repository whose list is this file, in a root of its own. `kind` is the name of the
/// setting.
fn dnf_makecache(directory: &Path, kind: &str, list: &Path) {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory.join("root")).expect("a directory");
    let none = directory.join("none");
    let configuration = format!(
        "[main]\ncachedir=/cache\nlogdir=/log\npersistdir=/persist\nplugins=0\nfastestmirror=0\n\
         reposdir={none}\nvarsdir={none}\npluginconfpath={none}\n[lab]\nname=lab\n{kind}=file://{}\n",
        list.display(),
        none = none.display(),
    );
    fs::write(directory.join("dnf.conf"), configuration).expect("a file");
    run(dnf(directory).arg("makecache"));
}

/// Lists of dnf: `kind` is the setting, and `format` the option with which they are written.
fn dnf_follows(kind: &str, format: &str, list: impl Fn(&[String], &Path) -> String) {
    let mut site = Site::start(|files| {
        run(program("createrepo_c").args(["--quiet", "--no-database"]).arg(files));
    });
    let bases = MIRRORS.map(|(name, _)| format!("http://{name}/"));
    let path = site.path(kind);
    fs::write(&path, list(&bases, &site.path("files"))).expect("a file");
    let name = path.to_str().expect("UTF-8");
    let json = fastestmirror(&["--json", "--fallbacks=all", "--seed=7", name]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let urls = json["mirrors"].as_array().expect("an array").iter().map(|mirror| mirror["url"].as_str());
    let order: Vec<_> = urls.map(|url| url.expect("a URL").split('/').nth(2).expect("a host")).collect();
    assert_eq!((order.len(), order[3], order[4]), (MIRRORS.len(), "mid.lab.example", "far.lab.example"));
    fastestmirror(&[format, "--fallbacks=all", "--seed=7", "-o", name, name]);
    // Three files: repomd.xml, primary and filelists. The next mirror serves them when those before
    // it are down.
    for host in order {
        dnf_makecache(&site.path("dnf"), kind, &path);
        assert_eq!(site.hosts(3), [host]);
        site.world.change(host, refuse(ms(8)));
    }
}

#[test]
fn dnf_reads_a_mirrorlist_and_follows_its_order() {
    if have_all() {
        lab::isolated!(|| dnf_follows("mirrorlist", "--urls", |bases, _| bases.join("\n")));
    }
}

#[test]
fn dnf_reads_a_metalink_and_follows_its_order() {
    if have_all() {
        lab::isolated!(|| dnf_follows("metalink", "--metalink", |bases, files| {
            Repomd::read(files).metalink(bases, "http")
        }));
    }
}

#[test]
fn pacman_reads_the_lines_of_its_own_list_in_order() {
    if !have("pacman-conf", program("pacman-conf").arg("--version")) {
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let path = |name: &str| scratch.path().join(name).to_str().expect("UTF-8").to_owned();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 77, 4, 1), 0)).expect("loopback can be bound");
    let near = format!("http://{}", listener.local_addr().expect("it is bound"));
    let servers: Vec<String> = (2..9)
        .map(|host| format!("http://127.77.4.{host}:{}", closed_port()))
        .chain([near.clone()])
        .collect();
    let mut text = String::from("##\n## Arch Linux repository mirrorlist\n##\n\n## Worldwide\n");
    for server in &servers {
        text += &format!("Server = {server}/$repo/os/$arch\n");
    }
    text += "#Server = http://127.77.4.9/$repo/os/$arch\n";
    fs::write(path("mirrorlist"), &text).expect("a file");
    fastestmirror(&["-o", &path("mirrorlist"), &path("mirrorlist")]);
    let configuration =
        format!("[options]\nArchitecture = x86_64\n[core]\nInclude = {}\n", path("mirrorlist"));
    fs::write(path("pacman.conf"), configuration).expect("a file");
    let mut pacman = program("pacman-conf");
    let read = run(pacman.args(["--config", &path("pacman.conf"), "--repo=core", "Server"]));
    let order = [&near].into_iter().chain(&servers[..servers.len() - 1]);
    let expected: Vec<_> = order.map(|server| format!("{server}/core/os/x86_64")).collect();
    assert_eq!(read.lines().collect::<Vec<_>>(), expected);
    let written = fs::read_to_string(path("mirrorlist")).expect("the list");
    assert!(written.starts_with("##\n## Arch Linux repository mirrorlist\n"), "{written}");
    assert_eq!(written.matches("#Server = http://127.77.4.9/$repo/os/$arch\n").count(), 1, "{written}");
}
