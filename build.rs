//! Passes linker arguments for the shared library, and does nothing else.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Programs depend on the ABI, not on a release. The number is the part of the version that says
    // whether a release is compatible, which is also the rule of cargo-c: 0.MINOR, and from 1.0 on
    // MAJOR. The Makefile follows it.
    let part = |name| env::var(name).expect("Cargo sets the version");
    let number = match part("CARGO_PKG_VERSION_MAJOR").as_str() {
        "0" => format!("0.{}", part("CARGO_PKG_VERSION_MINOR")),
        major => major.to_owned(),
    };
    // The argument is for all targets of this package, although only the shared library needs a
    // soname: Cargo would pass one for cdylibs on to the shared libraries of packages that depend
    // on this one (Cargo's issue 9562).
    println!("cargo::rustc-link-arg=-Wl,-soname,libfastestmirror.so.{number}");
    // A lookup that hangs may return after dlclose(): its code must still be there.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
