//! Checks that the committed C header matches the sources. To update it: `FASTESTMIRROR_RENEW=1
//! cargo test -p fastestmirror-header`.
#![cfg(test)]

use std::fs;
use std::path::Path;

#[test]
fn committed_header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/header");
    let config =
        cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is well-formed");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/capi/status.rs"))
        .with_src(root.join("src/capi/ranker.rs"))
        .with_src(root.join("src/capi/callbacks.rs"))
        .with_src(root.join("src/capi/options.rs"))
        .with_src(root.join("src/capi/ranking.rs"))
        .generate()
        .expect("cbindgen understands the sources");
    let mut header = Vec::new();
    bindings.write(&mut header);
    let path = root.join("include/fastestmirror.h");
    if std::env::var_os("FASTESTMIRROR_RENEW").is_some() {
        fs::write(&path, &header).expect("include/ can be written");
    }
    assert!(
        fs::read(&path).is_ok_and(|committed| committed == header),
        "include/fastestmirror.h is out of date; to update it: FASTESTMIRROR_RENEW=1 cargo test -p fastestmirror-header"
    );
}
