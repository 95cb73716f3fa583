//! Passes linker arguments for the shared library, and nothing else.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Programs bind to the ABI, not to a release.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libfastestmirror_librepo.so.0");
    // A name lookup that hangs may return after dlclose(): its code must still be there.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // rustc would also export the C functions of the crates that are linked in, such as fm_rank().
    // A program that uses libfastestmirror as well must not find those here. (With link-time
    // optimization they are no longer in a library of their own when the linker runs, and this has
    // no effect.)
    println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
}
