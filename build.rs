//! Passes linker arguments for the shared library, and nothing else.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Programs bind to the ABI, not to a release.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libfastestmirror.so.0");
    // A look-up that hangs may return after dlclose: its code must still be there.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
