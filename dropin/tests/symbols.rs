//! What the shared library exports and what it needs, by its dynamic symbol table: six functions,
//! and the system's own libraries. A program without librepo must be able to load it.

use support::build::run;
use support::librepo_calls::ours;
use support::programs::{have, program};

/// The committed list of exports, sorted.
const SYMBOLS: &str = include_str!("symbols.txt");

fn have_binutils() -> bool {
    have("nm", program("nm").arg("--version")) && have("readelf", program("readelf").arg("--version"))
}

#[test]
fn exported_symbols_are_the_committed_ones() {
    if !have_binutils() {
        return;
    }
    let output = run(program("nm").args(["-D", "--defined-only", "--format=posix"]).arg(ours()));
    let mut symbols: Vec<&str> = output.lines().filter_map(|line| line.split(' ').next()).collect();
    symbols.sort_unstable();
    assert_eq!(symbols, SYMBOLS.lines().collect::<Vec<_>>());
}

#[test]
fn needed_libraries_and_symbols_are_the_systems() {
    if !have_binutils() {
        return;
    }
    let dynamic = run(program("readelf").args(["-d", "-W"]).arg(ours()));
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    let system = ["[libc.so.", "[libm.so.", "[libgcc_s.so.", "[ld-linux"];
    let is_system = |line: &&str| system.iter().any(|name| line.contains(name));
    assert!(!needed.is_empty() && needed.iter().all(is_system), "{needed:#?}");

    let undefined = run(program("nm").args(["-D", "--undefined-only", "--format=posix"]).arg(ours()));
    for line in undefined.lines() {
        let [symbol, kind] = line.split(' ').take(2).collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        // Weak symbols may be missing; the version of all others names the system library.
        let is_system =
            kind.eq_ignore_ascii_case("w") || symbol.contains("@GLIBC_") || symbol.contains("@GCC_");
        assert!(is_system, "{symbol} is undefined, so no program without it can start");
    }
}

#[test]
fn soname_is_set_and_the_library_is_never_unloaded() {
    if !have_binutils() {
        return;
    }
    let dynamic = run(program("readelf").args(["-d", "-W"]).arg(ours()));
    assert!(dynamic.contains("soname: [libfastestmirror_librepo.so.0]"), "{dynamic}");
    // A name lookup that hangs may return after dlclose().
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}
