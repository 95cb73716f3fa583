//! Checks that the committed C header matches the sources (`committed_header_is_up_to_date`), and
//! that neither header nor library has lost what was promised (`abi`). To update what is committed:
//! `FASTESTMIRROR_RENEW=1 cargo test -p fastestmirror-header`.
#![cfg(test)]

mod abi;

use std::ffi::OsString;
use std::fs;
use support::build::root;

/// How the committed files are to be renewed: not at all if it is not set.
fn renew() -> Option<OsString> {
    std::env::var_os("FASTESTMIRROR_RENEW")
}

/// The version of the package of this manifest.
fn version(manifest: &str) -> &str {
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
    line.and_then(|line| line.split('"').next()).expect("a package has a version")
}

/// Puts the version in place of the names in `@`.
fn with_version(definitions: &str, version: &str) -> String {
    // The part after a hyphen, as in 1.0.0-rc.1, is in the string alone.
    let release = version.split(['-', '+']).next().expect("split returns a part");
    let numbers: Vec<u32> = release.split('.').map(|part| part.parse().expect("a number")).collect();
    let [major, minor, patch] = numbers[..] else { panic!("{version} has not three numbers") };
    assert!(minor < 256 && patch < 256, "{version} does not fit into a number of the form 0xMMmmpp");
    definitions
        .replace("@VERSION@", version)
        .replace("@MAJOR@", &major.to_string())
        .replace("@MINOR@", &minor.to_string())
        .replace("@PATCH@", &patch.to_string())
        .replace("@NUMBER@", &format!("0x{major:02x}{minor:02x}{patch:02x}"))
}

/// The header that the sources make.
fn header() -> String {
    let mut config =
        cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml is well-formed");
    let definitions = config.after_includes.expect("cbindgen.toml defines the version");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    config.after_includes = Some(with_version(&definitions, version(&manifest)));
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root().join("src/capi/status.rs"))
        .with_src(root().join("src/capi/ranker.rs"))
        .with_src(root().join("src/capi/callbacks.rs"))
        .with_src(root().join("src/capi/options.rs"))
        .with_src(root().join("src/capi/ranking.rs"))
        .with_src(root().join("src/capi/reason.rs"))
        .with_src(root().join("src/capi/cache.rs"))
        .with_src(root().join("src/capi/history.rs"))
        .generate()
        .expect("cbindgen understands the sources");
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).expect("the sources are UTF-8")
}

#[test]
fn version_macros_follow_the_manifest() {
    let manifest = "[package]\nname = \"a\"\nversion = \"1.12.3-rc.1\"\n";
    let defined = with_version("@VERSION@ @MAJOR@ @MINOR@ @PATCH@ @NUMBER@", version(manifest));
    assert_eq!(defined, "1.12.3-rc.1 1 12 3 0x010c03");
}

#[test]
fn committed_header_is_up_to_date() {
    let (header, path) = (header(), root().join("include/fastestmirror.h"));
    if renew().is_some() {
        fs::write(&path, &header).expect("include/ can be written");
    }
    assert!(
        fs::read_to_string(&path).is_ok_and(|committed| committed == header),
        "include/fastestmirror.h is out of date; to update it: FASTESTMIRROR_RENEW=1 cargo test -p fastestmirror-header"
    );
}
