//! The Debian packages of contrib/debian, built by dpkg-buildpackage from files that Cargo has
//! built before: what they contain, provide and depend on. They are installed, used by dnf and
//! removed in overlays of one mount namespace; the machine and its database stay as they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use support::build::{dropin, root, run, soname, soname_number, transcript, version};
use support::dnf::{Site, Task};
use support::overlay::Overlay;
use support::packages::{Part, Workshop, part_of};
use support::programs::{have, program};
use support::users::can_become_others;

/// The packages by name, with their parts.
fn packages() -> [(String, &'static [Part]); 4] {
    [
        ("fastestmirror".to_owned(), &[Part::Command]),
        (library_package(), &[Part::Library]),
        ("libfastestmirror-dev".to_owned(), &[Part::Development]),
        ("fastestmirror-librepo".to_owned(), &[Part::DropIn, Part::Activation]),
    ]
}

/// Debian's rule for names: an ABI has a package of its own.
fn library_package() -> String {
    format!("libfastestmirror{}", soname_number(version()))
}

struct Built {
    workshop: Workshop,
}

impl Built {
    /// The packages, which are built once. If something is missing for that, the test is skipped.
    fn get() -> Option<&'static Built> {
        static BUILT: OnceLock<Option<Built>> = OnceLock::new();
        let built = BUILT.get_or_init(Built::build);
        if built.is_none() {
            lab::skip_even_under_ci("the Debian packages were not built");
        }
        built.as_ref()
    }

    fn build() -> Option<Built> {
        let is_debian = program("dpkg-query").args(["--status", "libc6"]).output();
        if !is_debian.is_ok_and(|output| output.status.success()) {
            lab::skip_even_under_ci("this is no Debian system");
            return None;
        }
        if !have("dpkg-buildpackage", program("dpkg-buildpackage").arg("--version"))
            || !have("debhelper", program("sh").args(["-c", "command -v dh"]))
        {
            return None;
        }
        let workshop = Workshop::open("deb")?;
        if lab::is_inside() {
            return Some(Built { workshop });
        }
        let sources = workshop.sources();
        run(Command::new("cp").arg("-r").arg(sources.join("contrib/debian")).arg(sources.join("debian")));
        let mut build = workshop.command("dpkg-buildpackage");
        // Cargo and rustc may be there without packages of theirs.
        build.current_dir(&sources).args(["--build=binary", "--no-sign", "--no-check-builddeps"]);
        // Packages for debuggers, and good compression, would only take time.
        build.env("DEB_BUILD_OPTIONS", "noautodbgsym").env("DPKG_DEB_COMPRESSOR_TYPE", "gzip");
        run(build.env("DPKG_DEB_COMPRESSOR_LEVEL", "1"));
        Some(Built { workshop })
    }

    fn file(&self, package: &str) -> PathBuf {
        let entries = fs::read_dir(self.workshop.path("")).expect("a directory of this test");
        let mut paths = entries.map(|entry| entry.expect("an entry").path());
        let prefix = format!("{package}_{}-", version());
        let is_it = |path: &PathBuf| {
            let name = path.file_name().expect("a name").to_string_lossy();
            name.starts_with(&prefix) && name.ends_with(".deb")
        };
        paths.find(is_it).unwrap_or_else(|| panic!("{package} has not been built"))
    }

    /// The paths of the files in a package, without its directories.
    fn files(&self, package: &str) -> BTreeSet<String> {
        let archive = self.workshop.path(&format!("{package}.tar"));
        fs::write(&archive, self.deb("--fsys-tarfile", package)).expect("a directory of this test");
        let listed = run(program("tar").arg("-tf").arg(archive));
        let paths = listed.lines().filter(|path| !path.ends_with('/'));
        paths.map(|path| path.trim_start_matches('.').to_owned()).collect()
    }

    /// A file of the part of a package that is for dpkg.
    fn control(&self, package: &str, file: &str) -> Option<String> {
        let output = program("dpkg-deb").arg("--info").arg(self.file(package)).arg(file).output();
        let output = output.expect("dpkg-deb runs");
        output.status.success().then(|| String::from_utf8(output.stdout).expect("UTF-8"))
    }

    /// A field of a package, as a list.
    fn field(&self, package: &str, name: &str) -> Vec<String> {
        let text = run(program("dpkg-deb").arg("--field").arg(self.file(package)).arg(name));
        text.trim().split(", ").filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    fn deb(&self, what: &str, package: &str) -> Vec<u8> {
        let output = program("dpkg-deb").arg(what).arg(self.file(package)).output().expect("dpkg-deb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

#[test]
fn debian_packages_have_the_files_of_the_makefile() {
    let Some(built) = Built::get() else { return };
    let installed = built.workshop.installed();
    for (package, parts) in packages() {
        let mut files = built.files(&package);
        let of_debian = format!("/usr/share/doc/{package}/");
        let documents: BTreeSet<_> =
            files.iter().filter_map(|path| path.strip_prefix(&of_debian)).map(str::to_owned).collect();
        assert!(documents.contains("copyright") && documents.contains("changelog.gz"), "{documents:?}");
        files.retain(|path| !path.starts_with(&of_debian) && !path.starts_with("/usr/share/lintian/"));
        let expected = installed.iter().filter(|path| parts.contains(&part_of(path)));
        // Debian's zsh looks elsewhere, and its manual pages are compressed.
        let expected = expected.map(|path| path.replace("/zsh/site-functions/", "/zsh/vendor-completions/"));
        let expected = expected.map(|path| if path.contains("/share/man/") { path + ".gz" } else { path });
        assert_eq!(files, expected.collect(), "{package}");
    }
    let settings = built.control("fastestmirror-librepo", "conffiles").expect("it has some");
    assert_eq!(
        settings.lines().collect::<BTreeSet<_>>(),
        ["/etc/fastestmirror.conf", "/etc/ld.so.conf.d/00-fastestmirror-librepo.conf"].into()
    );
}

#[test]
fn debian_packages_never_stand_for_librepo() {
    let Some(built) = Built::get() else { return };
    let of_the_system =
        |dependency: &String| ["libc6 ", "libgcc-s1 "].iter().any(|name| dependency.starts_with(name));
    for (package, parts) in packages() {
        let mut dependencies = built.field(&package, "Depends");
        dependencies.retain(|dependency| !of_the_system(dependency));
        let expected = match parts[0] {
            Part::Development => vec![format!("{} (= {}-1)", library_package(), version())],
            Part::DropIn => {
                let librepo = format!("{}/librepo.so.0", built.workshop.libdir);
                let owner = run(program("dpkg-query").arg("--search").arg(librepo));
                vec![format!("{} (>= 1.7.14)", owner.split(':').next().expect("a package"))]
            }
            _ => Vec::new(),
        };
        assert_eq!(dependencies, expected, "{package}");
        assert_eq!(built.field(&package, "Provides"), Vec::<String>::new(), "{package}");

        // These say which libraries of other programs a package satisfies.
        let (shlibs, symbols) = (built.control(&package, "shlibs"), built.control(&package, "symbols"));
        if parts[0] == Part::Library {
            let expected = format!("libfastestmirror {} {package}", soname_number(version()));
            assert!(shlibs.expect("it has a library").starts_with(&expected));
            let symbols = symbols.expect("it has a library");
            let mut lines = symbols.lines();
            assert!(
                lines.next().is_some_and(|head| head.starts_with(&format!("{} {package} ", soname()))),
                "{symbols}"
            );
            let names: BTreeSet<_> = lines.filter_map(|line| line.trim().split('@').next()).collect();
            let exported =
                fs::read_to_string(root().join("tests/c/symbols.txt")).expect("the list of exports");
            assert_eq!(
                names,
                exported.lines().collect(),
                "contrib/debian/{package}.symbols is not up to date"
            );
        } else {
            assert_eq!((shlibs, symbols), (None, None), "{package}");
        }
        let expected = match parts[0] {
            Part::Library | Part::DropIn => Some(["activate-noawait ldconfig"].into()),
            _ => None,
        };
        let triggers = built.control(&package, "triggers");
        let triggers = triggers.as_ref().map(|text| {
            text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect::<BTreeSet<_>>()
        });
        assert_eq!(triggers, expected, "{package}");
    }
    let changelog = fs::read_to_string(root().join("contrib/debian/changelog")).expect("the changelog");
    assert!(changelog.starts_with(&format!("fastestmirror ({}-1) ", version())), "{changelog}");
}

#[test]
fn lintian_finds_no_errors() {
    if !have("lintian", program("lintian").arg("--version")) {
        return;
    }
    let Some(built) = Built::get() else { return };
    let mut lintian = built.workshop.command("lintian");
    // It would read each object of the static library by itself, for a minute.
    let packages = packages().into_iter().filter(|(_, parts)| parts[0] != Part::Development);
    let report = run(lintian.arg("--allow-root").args(packages.map(|(package, _)| built.file(&package))));
    assert!(!report.lines().any(|line| line.starts_with("E:")), "{report}");
}

#[test]
fn debian_packages_are_installed_used_by_dnf_and_removed_without_a_trace() {
    if !support::dnf::have_all() || !can_become_others() || Built::get().is_none() {
        return;
    }
    lab::isolated!(|| {
        let Some(overlay) = Overlay::over(&["/etc", "/usr", "/var"]) else { return };
        let Some(built) = Built::get() else { return };
        let site = Site::start(&dropin().join("libfastestmirror_librepo.so"));
        run(&mut program("ldconfig"));
        let machine = ["/etc", "/usr"];
        let before = overlay.changes(&machine);
        let known = || {
            let all = run(program("dpkg-query").args(["--show", "--showformat", "${Package} ${Status}\n"]));
            let ours =
                all.lines().filter(|line| line.contains("fastestmirror") && !line.contains("not-installed"));
            ours.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(known(), [""; 0], "packages of this machine");
        let dnf_uses_ours = || site.run_as_installed(Task::Makecache).0;
        let dpkg = |what: &str, packages: &[&str]| {
            let mut command = built.workshop.command("dpkg");
            command.env("DEBIAN_FRONTEND", "noninteractive").arg(what);
            match what {
                "--install" => command.args(packages.iter().map(|package| built.file(package))),
                _ => command.args(packages),
            };
            command
        };
        let check = || {
            let output =
                built.workshop.command("/usr/bin/fm-librepo").arg("--check").output().expect("it runs");
            (output.status.code(), transcript(&output))
        };
        let cached = || run(program("ldconfig").arg("-p"));
        assert!(!dnf_uses_ours());

        let library = library_package();
        run(&mut dpkg("--install", &[&library, "libfastestmirror-dev", "fastestmirror"]));
        assert!(cached().contains(&soname()), "{}", cached());
        let said = run(built.workshop.command("/usr/bin/fastestmirror").arg("--version"));
        assert!(said.contains(version()), "{said}");
        let found = run(program("pkg-config").args(["--modversion", "fastestmirror"]));
        assert_eq!(found.trim(), version());
        assert!(!dnf_uses_ours());

        // dpkg's trigger has the loader's cache made, with nothing done by hand.
        run(&mut dpkg("--install", &["fastestmirror-librepo"]));
        let (status, text) = check();
        assert!(status == Some(0) && text.contains("In effect: "), "{text}");
        assert!(dnf_uses_ours(), "dnf has not used the drop-in");
        assert!(site.run_as_installed(Task::Download).0);
        let librepo = &built.field("fastestmirror-librepo", "Depends")[0];
        let librepo = librepo.split(' ').next().expect("a package");
        let refused = dpkg("--remove", &[librepo]).output().expect("dpkg runs");
        let why = transcript(&refused);
        assert!(!refused.status.success() && why.contains("fastestmirror-librepo depends on"), "{why}");

        // Removed, which leaves the settings, as Debian has it; installed again; and purged.
        run(&mut dpkg("--remove", &["fastestmirror-librepo"]));
        assert!(!dnf_uses_ours());
        assert!(!cached().contains("/fastestmirror/"), "{}", cached());
        assert!(Path::new("/etc/fastestmirror.conf").exists());
        run(&mut dpkg("--install", &["fastestmirror-librepo"]));
        assert!(dnf_uses_ours(), "dnf has not used the drop-in");
        run(&mut dpkg(
            "--purge",
            &[&library, "libfastestmirror-dev", "fastestmirror", "fastestmirror-librepo"],
        ));
        assert!(!dnf_uses_ours());
        assert_eq!(known(), [""; 0]);
        assert_eq!(overlay.changes(&machine), before, "files that were left behind");
    });
}
