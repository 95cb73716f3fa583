//! Passes linker arguments for the shared library, and does nothing else.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Programs depend on the ABI, not on a release. The argument is for all targets of this
    // package, although only the shared library needs a soname: Cargo would pass one for cdylibs on
    // to the shared libraries of packages that depend on this one (Cargo's issue 9562).
    println!("cargo::rustc-link-arg=-Wl,-soname,libfastestmirror.so.0");
    // A lookup that hangs may return after dlclose(): its code must still be there.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
