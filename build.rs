//! Passes linker arguments for the shared library, and does nothing else.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Programs depend on the ABI, not on a release.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libfastestmirror.so.0");
    // A lookup that hangs may return after dlclose(): its code must still be there.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
