//! The RPM packages of contrib/fedora, built by rpmbuild from files that Cargo has built before:
//! what they contain, provide and require. They are installed, used by dnf and removed in overlays
//! of one mount namespace, with a database of its own; the machine stays as it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use support::build::{dropin, root, run, soname, soname_number, transcript, version};
use support::dnf::{Site, Task};
use support::overlay::Overlay;
use support::packages::{Part, Workshop, part_of};
use support::programs::{have, make_package, program};
use support::users::can_become_others;

const PACKAGES: [(&str, Part); 5] = [
    ("fastestmirror", Part::Command),
    ("fastestmirror-libs", Part::Library),
    ("fastestmirror-devel", Part::Development),
    ("fastestmirror-librepo-libs", Part::DropIn),
    ("fastestmirror-librepo", Part::Activation),
];

/// The packages, and the directory in which they have been built.
struct Built {
    workshop: Workshop,
}

impl Built {
    /// The packages, which are built once. If something is missing for that, the test is skipped.
    fn get() -> Option<&'static Built> {
        static BUILT: OnceLock<Option<Built>> = OnceLock::new();
        let built = BUILT.get_or_init(Built::build);
        if built.is_none() {
            lab::skip("the packages were not built");
        }
        built.as_ref()
    }

    fn build() -> Option<Built> {
        if !have("rpmbuild", program("rpmbuild").arg("--version")) {
            return None;
        }
        let workshop = Workshop::open("rpm")?;
        if lab::is_inside() {
            return Some(Built { workshop });
        }
        let mut archive = workshop.command("tar");
        let name = format!("fastestmirror-{}", version());
        run(archive.arg("-czf").arg(format!("{name}.tar.gz")).arg(&name));
        let built = Built { workshop };
        let mut rpmbuild = built.rpm("rpmbuild");
        rpmbuild.args(["-bb", "--quiet", "--nodeps", "--without", "vendor"]);
        rpmbuild.arg("--load").arg(root().join("contrib/fedora/macros.cargo"));
        for (name, value) in [
            ("_topdir", built.path("rpmbuild")),
            ("_sourcedir", built.path("")),
            ("_tmppath", built.path("")),
            ("_libdir", PathBuf::from(&built.workshop.libdir)),
        ] {
            rpmbuild.arg("--define").arg(format!("{name} {}", value.display()));
        }
        // What rpm adds for debuggers, and good compression, would only take time.
        rpmbuild.args(["--define", "debug_package %{nil}", "--define", "_binary_payload w1.gzdio"]);
        run(rpmbuild
            .args(["--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"])
            .arg(spec()));
        Some(built)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.workshop.path(below)
    }

    /// A command of rpm's with a database of the tests, and with a new one in the lab.
    fn rpm(&self, name: &str) -> Command {
        let mut command = self.workshop.command(name);
        let database =
            if lab::is_inside() { "/var/lib/rpm-in-the-lab".into() } else { self.path("database") };
        command.arg("--define").arg(format!("_dbpath {}", database.display()));
        command
    }

    fn file(&self, package: &str) -> PathBuf {
        let prefix = format!("{package}-{}-", version());
        let packages = fs::read_dir(self.path("rpmbuild/RPMS")).expect("rpmbuild has made it");
        let mut paths = packages.map(|entry| entry.expect("an entry").path());
        let named =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
        paths.find(named).unwrap_or_else(|| panic!("{package} has not been built"))
    }

    fn query(&self, package: &str, what: &str) -> BTreeSet<String> {
        let listed = run(self.rpm("rpm").arg("-qp").arg(what).arg(self.file(package)));
        listed.lines().filter(|line| *line != "(contains no files)").map(str::to_owned).collect()
    }

    /// A field of a package.
    fn tag(&self, package: &str, tag: &str) -> String {
        run(self.rpm("rpm").args(["-qp", "--queryformat", &format!("%{{{tag}}}")]).arg(self.file(package)))
    }

    /// Installs or removes packages, or does not: see the result.
    fn try_transaction(&self, arguments: &[&str], packages: impl IntoIterator<Item = PathBuf>) -> Output {
        self.rpm("rpm").args(arguments).args(packages).output().expect("rpm runs")
    }

    fn transaction(&self, arguments: &[&str], packages: impl IntoIterator<Item = PathBuf>) {
        let output = self.try_transaction(arguments, packages);
        let text = transcript(&output);
        assert!(output.status.success() && !text.contains("warning"), "rpm {arguments:?}: {text}");
    }

    /// The files of these packages.
    fn files<'a>(&self, packages: impl IntoIterator<Item = &'a str>) -> Vec<PathBuf> {
        packages.into_iter().map(|package| self.file(package)).collect()
    }

    /// Dependencies that rpm, the C library and the compiler's library satisfy.
    fn is_of_the_system(requirement: &str) -> bool {
        ["rpmlib(", "rtld(", "libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux", "/lib/ld", "/lib64/ld"]
            .iter()
            .any(|start| requirement.starts_with(start))
    }
}

fn spec() -> PathBuf {
    root().join("contrib/fedora/fastestmirror.spec")
}

/// What rpm appends to the names of packages and libraries of this architecture.
fn marks(built: &Built) -> (String, &'static str) {
    let isa = run(built.rpm("rpm").args(["--eval", "%{?_isa}"])).trim().to_owned();
    let bits = run(built.rpm("rpm").args(["--eval", "%{?__isa_bits}"]));
    (isa, if bits.trim() == "64" { "()(64bit)" } else { "" })
}

#[test]
fn rpm_packages_have_the_files_of_the_makefile() {
    let Some(built) = Built::get() else { return };
    let installed = built.workshop.installed();
    let expected_documents = [
        (
            "fastestmirror",
            &["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "LICENSE.dependencies"][..],
        ),
        ("fastestmirror-libs", &["LICENSE-APACHE", "LICENSE-MIT"]),
        (
            "fastestmirror-devel",
            &["c.md", "librepo_adapter.c", "options.c", "smallest.c", "through_librepo.c"],
        ),
        ("fastestmirror-librepo-libs", &["librepo.md", "LICENSE-APACHE", "LICENSE-MIT"]),
        ("fastestmirror-librepo", &[]),
    ];
    for ((package, part), (_, documents)) in PACKAGES.into_iter().zip(expected_documents) {
        let mut listed = built.query(package, "--list");
        // The links by which debuggers find files, and the directories for documents.
        listed.retain(|path| !path.starts_with("/usr/lib/.build-id"));
        let is_document = |path: &&String| {
            ["/usr/share/doc/", "/usr/share/licenses/"].iter().any(|at| path.starts_with(at))
        };
        let own: BTreeSet<_> =
            listed.iter().filter(is_document).filter_map(|path| path.split('/').nth(5)).collect();
        assert_eq!(own, documents.iter().copied().collect(), "{package}");
        listed.retain(|path| !is_document(&path));

        let mut expected: BTreeSet<_> =
            installed.iter().filter(|path| part_of(path) == part).cloned().collect();
        // Fedora has no static libraries, and its packages own their directories.
        expected.remove(&format!("{}/libfastestmirror.a", built.workshop.libdir));
        if part == Part::DropIn {
            expected.extend([
                format!("{}/fastestmirror", built.workshop.libdir),
                "/usr/libexec/fastestmirror".to_owned(),
            ]);
        }
        // rpm compresses manual pages, but not everywhere.
        let listed: BTreeSet<_> = listed.iter().map(|path| path.trim_end_matches(".gz").to_owned()).collect();
        assert_eq!(listed, expected, "{package}");
    }
    assert_eq!(
        built.query("fastestmirror-librepo-libs", "--configfiles"),
        ["/etc/fastestmirror.conf".to_owned()].into()
    );
}

#[test]
fn rpm_packages_never_provide_librepo() {
    let Some(built) = Built::get() else { return };
    let (isa, library) = marks(built);
    let release = format!("{}-{}", version(), built.tag("fastestmirror", "RELEASE"));
    let soname = soname();
    let provides: [&[String]; 5] = [
        &[],
        &[format!("{soname}{library}")],
        &[format!("pkgconfig(fastestmirror) = {}", version())],
        &[format!("config(fastestmirror-librepo-libs) = {release}")],
        &[format!("config(fastestmirror-librepo) = {release}")],
    ];
    let requires: [&[String]; 5] = [
        &[],
        &[],
        &["/usr/bin/pkg-config".to_owned(), format!("fastestmirror-libs{isa} = {release}")],
        &[
            "/bin/sh".to_owned(),
            format!("config(fastestmirror-librepo-libs) = {release}"),
            format!("librepo{isa} >= 1.7.14"),
            format!("librepo.so.0{library}"),
        ],
        &[
            "/sbin/ldconfig".to_owned(),
            format!("config(fastestmirror-librepo) = {release}"),
            format!("fastestmirror-librepo-libs{isa} = {release}"),
        ],
    ];
    for (((package, part), provides), requires) in PACKAGES.into_iter().zip(provides).zip(requires) {
        let mut expected: BTreeSet<_> = provides.iter().cloned().collect();
        expected.extend([format!("{package} = {release}"), format!("{package}{isa} = {release}")]);
        assert_eq!(built.query(package, "--provides"), expected, "{package}");

        let mut needed = built.query(package, "--requires");
        needed.retain(|requirement| !Built::is_of_the_system(requirement));
        let mut expected: BTreeSet<_> = requires.iter().cloned().collect();
        // rpm finds a link to a library, too, and may require what it leads to.
        if part == Part::Development && needed.contains(&format!("{soname}{library}")) {
            expected.insert(format!("{soname}{library}"));
        }
        assert_eq!(needed, expected, "{package}");

        let scripts = run(built.rpm("rpm").args(["-qp", "--scripts"]).arg(built.file(package)));
        let expected = match part {
            Part::Activation => {
                "postinstall program: /sbin/ldconfig\npostuninstall program: /sbin/ldconfig\n"
            }
            _ => "",
        };
        assert_eq!(scripts, expected, "{package}");
    }
}

#[test]
fn spec_follows_the_version_and_the_licenses_of_what_is_linked() {
    let Some(built) = Built::get() else { return };
    let text = fs::read_to_string(spec()).expect("the spec file");
    assert!(text.contains(&format!("\n%global soversion {}\n", soname_number(version()))), "another soname");
    let changes = text.split_once("\n%changelog\n").expect("it has one").1;
    let head = changes.lines().next().expect("an entry");
    assert!(head.ends_with(&format!(" - {}-{}", version(), built.tag("fastestmirror", "RELEASE"))), "{head}");

    // The packages with code, and the package of Cargo that brings what is linked into it.
    for (package, crate_name) in [
        ("fastestmirror", "fastestmirror-cli"),
        ("fastestmirror-libs", "fastestmirror"),
        ("fastestmirror-librepo-libs", "fastestmirror-librepo"),
    ] {
        let mut tree = support::build::cargo(&[
            "tree",
            "--offline",
            "-p",
            crate_name,
            "--edges",
            "normal,no-proc-macro",
        ]);
        let machine = std::env::consts::ARCH;
        tree.args([
            "--target",
            &format!("{machine}-unknown-linux-gnu"),
            "--no-dedupe",
            "--prefix",
            "none",
            "--format",
            "{l}",
        ]);
        let licenses: BTreeSet<_> = run(&mut tree).lines().flat_map(parts).collect();
        let stated: BTreeSet<_> = parts(&built.tag(package, "LICENSE")).into_iter().collect();
        assert_eq!(licenses, stated, "{package}: Cargo's, and those of the package");
    }
}

/// The licenses that all hold, each with its alternatives in a fixed order.
fn parts(license: &str) -> Vec<String> {
    let sorted = |part: &str| {
        let mut alternatives: Vec<&str> = part.trim_matches(['(', ')']).split(" OR ").collect();
        alternatives.sort();
        alternatives.join(" OR ")
    };
    license.split(" AND ").map(sorted).collect()
}

#[test]
fn rpmlint_finds_no_errors() {
    if !have("rpmlint", program("rpmlint").arg("--version")) {
        return;
    }
    let Some(built) = Built::get() else { return };
    let mut rpmlint = built.workshop.command("rpmlint");
    rpmlint.arg("--rpmlintrc").arg(root().join("contrib/fedora/fastestmirror.rpmlintrc"));
    let output = rpmlint.args(built.files(PACKAGES.map(|(name, _)| name))).arg(spec()).output();
    let report = transcript(&output.expect("rpmlint runs"));
    // Which filters are needed depends on the versions of rpm and rpmlint.
    let is_error = |line: &&str| line.contains(": E: ") && !line.contains("unused-rpmlintrc-filter");
    assert!(report.contains("5 packages and 1 specfiles checked"), "{report}");
    assert_eq!(report.lines().find(is_error), None, "{report}");
}

/// A package that has what ours need, as the database of this test knows of no other.
fn stand_in(built: &Built, name: &str, provides: &BTreeSet<String>) -> PathBuf {
    let lines: String = provides.iter().map(|what| format!("Provides: {what}\n")).collect();
    let sections = format!(
        "%package -n {name}\nSummary: Stands for the system's own\n{lines}%description -n {name}\nNothing.\n%files -n {name}"
    );
    fs::create_dir_all(built.path("stand-ins")).expect("the target directory can be written");
    let package = make_package(
        &built.path("stand-ins"),
        &built.path("stand-ins"),
        &format!("{name}-source"),
        &sections,
    );
    package.with_file_name(format!("{name}.rpm"))
}

#[test]
fn rpm_packages_are_installed_used_by_dnf_and_removed_without_a_trace() {
    if !support::dnf::have_all() || !can_become_others() {
        return;
    }
    // Built outside, since the machine is free for other tests meanwhile.
    if Built::get().is_none() {
        return;
    }
    lab::isolated!(|| {
        let Some(overlay) = Overlay::over(&["/etc", "/usr", "/var"]) else { return };
        let Some(built) = Built::get() else { return };
        let site = Site::start(&dropin().join("libfastestmirror_librepo.so"));
        run(&mut program("ldconfig"));
        // Directories of Fedora's package `filesystem`.
        for directory in [
            "licenses",
            "bash-completion/completions",
            "fish/vendor_completions.d",
            "zsh/site-functions",
            "man/man1",
            "man/man3",
            "man/man5",
            "man/man7",
        ] {
            fs::create_dir_all(Path::new("/usr/share").join(directory)).expect("an overlay");
        }
        let machine = ["/etc", "/usr"];
        let before = overlay.changes(&machine);
        let dnf_uses_ours = || site.run_as_installed(Task::Makecache).0;
        let check = || {
            let output =
                built.workshop.command("/usr/bin/fm-librepo").arg("--check").output().expect("it runs");
            (output.status.code(), transcript(&output))
        };
        assert!(!dnf_uses_ours());

        // The real librepo has to be there.
        let (isa, library) = marks(built);
        let librepo = [format!("librepo{isa} = 1.14.5"), format!("librepo.so.0{library}")];
        let mut system: BTreeSet<_> =
            PACKAGES.iter().flat_map(|(package, _)| built.query(package, "--requires")).collect();
        system.retain(|what| Built::is_of_the_system(what) && !what.starts_with("rpmlib("));
        system.extend(["/bin/sh", "/sbin/ldconfig", "/usr/bin/pkg-config"].map(str::to_owned));
        built.transaction(&["--install"], [stand_in(built, "system", &system)]);
        let all = PACKAGES.map(|(package, _)| package);
        let refused = built.try_transaction(&["--install"], built.files(all));
        let why = transcript(&refused);
        assert!(
            !refused.status.success() && why.contains("librepo.so.0") && why.contains(&librepo[0][..7]),
            "{why}"
        );
        built.transaction(&["--install"], [stand_in(built, "librepo", &librepo.into())]);

        // Installed, and not in effect: only the command of fm-librepo uses it.
        let without_activation =
            || built.files(all.into_iter().filter(|name| *name != "fastestmirror-librepo"));
        built.transaction(&["--install"], without_activation());
        assert!(!dnf_uses_ours());
        let (status, text) = check();
        assert!(status == Some(1) && text.contains("Not in effect, except"), "{text}");
        let said = run(built.workshop.command("/usr/bin/fastestmirror").arg("--version"));
        assert!(said.contains(version()), "{said}");
        let found = run(program("pkg-config").args(["--modversion", "fastestmirror"]));
        assert_eq!(found.trim(), version());
        let linked = run(program("sh").args(["-c", "ldconfig && ldconfig -p"]));
        assert!(linked.contains(&soname()), "{linked}");

        built.transaction(&["--install"], built.files(["fastestmirror-librepo"]));
        let (status, text) = check();
        assert!(status == Some(0) && text.contains("In effect: "), "{text}");
        assert!(dnf_uses_ours(), "dnf has not used the drop-in");
        assert!(site.run_as_installed(Task::Download).0);
        let refused = built.try_transaction(&["--erase", "librepo"], []);
        assert!(!refused.status.success(), "librepo was removed: {}", transcript(&refused));

        // An update, in which rpm runs the scripts of both the new and the old package.
        built.transaction(&["--upgrade", "--replacepkgs"], built.files(all));
        assert!(dnf_uses_ours(), "dnf has not used the drop-in after an update");
        let verified = run(built.rpm("rpm").arg("--verify").args(all));
        assert_eq!(verified, "");

        // Out of effect again, and in, and all removed at once.
        built.transaction(&["--erase", "fastestmirror-librepo"], []);
        assert!(!dnf_uses_ours());
        built.transaction(&["--install"], built.files(["fastestmirror-librepo"]));
        let mut erase = vec!["--erase"];
        erase.extend(all);
        built.transaction(&erase, []);
        assert!(!dnf_uses_ours());
        run(&mut program("ldconfig"));
        assert_eq!(overlay.changes(&machine), before, "files that were left behind");
        assert!(!Path::new("/usr/bin/fm-librepo").exists());
    });
}
