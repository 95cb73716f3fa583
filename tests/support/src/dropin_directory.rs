//! The drop-in directory as the Makefile installs it, and a loader cache for one mount namespace
//! that names it or not.

use crate::build::{dropin, root, run, target};
use crate::overlay::{bind, mount_memory};
use crate::programs::{have, program};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The name of the file that puts the drop-in into effect.
pub const ACTIVATION: &str = "00-fastestmirror-librepo.conf";

/// An installation below a temporary directory, which is removed with it.
#[derive(Debug)]
pub struct Installed {
    scratch: TempDir,
    caches: Cell<usize>,
}

impl Installed {
    /// Installs the drop-in before the librepo of this machine.
    pub fn install() -> Installed {
        Installed::install_before(None)
    }

    /// Installs the drop-in before this librepo.
    pub fn install_before(librepo: Option<&Path>) -> Installed {
        let scratch = tempfile::tempdir().expect("a directory");
        // Any user may run what is installed.
        fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("a directory of this test");
        let installed = Installed { scratch, caches: Cell::new(0) };
        run(&mut installed.make("install-dropin", librepo));
        installed
    }

    /// A command that installs or uninstalls here.
    pub fn make(&self, what: &str, librepo: Option<&Path>) -> Command {
        dropin();
        let mut make = program("make");
        make.current_dir(root()).args(["-s", what, "LDCONFIG=:"]);
        make.arg(format!("CARGO_TARGET_DIR={}", target().display()));
        make.arg(format!("PREFIX={}", self.path("usr").display()));
        make.arg(format!("SYSCONFDIR={}", self.path("etc").display()));
        if let Some(librepo) = librepo {
            make.arg(format!("LIBREPO={}", librepo.display()));
        }
        make
    }

    /// Removes what was installed.
    pub fn uninstall(&self) {
        run(&mut self.make("uninstall-dropin", None));
    }

    /// A path in the directory that everything is below.
    pub fn path(&self, below: &str) -> PathBuf {
        self.scratch.path().join(below)
    }

    /// The directory that the loader is to search.
    pub fn directory(&self) -> PathBuf {
        self.path("usr/lib/fastestmirror")
    }

    pub fn library(&self) -> PathBuf {
        self.directory().join("librepo.so.0")
    }

    pub fn activation(&self) -> PathBuf {
        self.path("etc/ld.so.conf.d").join(ACTIVATION)
    }

    /// `fm-librepo` with nothing in its environment that concerns the loader or the drop-in.
    pub fn fm_librepo(&self, arguments: &[&str]) -> Command {
        let mut command = clean("/bin/sh");
        command.arg(self.path("usr/bin/fm-librepo")).args(arguments);
        command
    }

    /// What ldconfig makes of the files in ld.so.conf.d here, and then of those of the machine.
    pub fn make_cache(&self) -> PathBuf {
        // A new file each time, since the last one may be mounted.
        self.caches.set(self.caches.get() + 1);
        let cache = self.path(&format!("ld.so.cache.{}", self.caches.get()));
        let configuration = self.path("ld.so.conf");
        let files = format!(
            "include {}/*.conf\ninclude /etc/ld.so.conf\n",
            self.activation().parent().expect("a directory").display()
        );
        fs::write(&configuration, files).expect("a directory of this test");
        ldconfig(&configuration, &cache);
        cache
    }

    /// Has the loader use that cache in this mount namespace from now on, as after ldconfig.
    pub fn use_cache(&self) {
        bind(&self.make_cache(), Path::new(CACHE));
    }
}

const CACHE: &str = "/etc/ld.so.cache";

/// A command in a minimal environment.
pub fn clean(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command
}

/// Whether what every test of the directory needs is installed.
pub fn have_tools() -> bool {
    have("make", program("make").arg("--version"))
        && have("cc", program("cc").arg("--version"))
        && have("librepo", program("pkg-config").args(["--exists", "librepo", "glib-2.0"]))
        && have("ldconfig", program("sh").args(["-c", &format!("ldconfig -p && [ -f {CACHE} ]")]))
}

/// Makes a loader cache. In the lab only, with a /var of its own: ldconfig keeps what it knows of
/// each library there.
pub fn ldconfig(configuration: &Path, cache: &Path) {
    assert!(lab::is_inside());
    run(program("ldconfig").arg("-X").arg("-C").arg(cache).arg("-f").arg(configuration));
}

/// Gives this mount namespace an empty /var: databases of packages, caches, logs.
pub fn cover_var() {
    mount_memory(Path::new("/var"));
    for directory in ["/var/tmp", "/var/cache", "/var/lib", "/var/log"] {
        fs::create_dir(directory).expect("an empty directory");
    }
}
