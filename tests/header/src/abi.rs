//! The ABI, by abidiff: what C programs were promised is still there, and the library exports
//! exactly what the header declares.
//!
//! Described is not the library but an empty one in C with the functions of the header: that is
//! what the compiler of a C program sees, whatever becomes of the Rust types behind it.

use crate::{header, renew};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use support::build::{cargo, root, run, target, transcript};
use support::programs::{have, program};

/// The committed description of everything that was promised.
const DESCRIPTION: &str = "tests/c/abi/fastestmirror.abi";
/// The header of the first release that has this soname.
const FIRST_HEADER: &str = "tests/c/abi/0.1.0/fastestmirror.h";
/// The committed list of exported functions.
const SYMBOLS: &str = "tests/c/symbols.txt";

/// In the description: a function for each enum, because the functions of the library take enums as
/// int.
const ENUM: &str = "type_";

const RENEW: &str = "FASTESTMIRROR_RENEW=1 cargo test -p fastestmirror-header";

/// The shared library of a plain build, with its soname and the functions that it exports.
struct Library {
    soname: String,
    functions: BTreeSet<String>,
}

impl Library {
    fn build() -> Library {
        run(cargo(&["build", "--release", "--lib"]).arg("--target-dir").arg(target()));
        let library = target().join("release/libfastestmirror.so");
        let dynamic = run(program("readelf").args(["-d", "-W"]).arg(&library));
        let soname = dynamic.split_once("soname: [").and_then(|(_, rest)| rest.split_once(']'));
        let symbols = run(program("nm").args(["-D", "--defined-only", "--format=posix"]).arg(&library));
        Library {
            soname: soname.expect("a soname").0.to_owned(),
            functions: symbols.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect(),
        }
    }
}

/// Returns the text without comments.
fn without_comments(header: &str) -> String {
    let mut text = String::new();
    for (number, part) in header.split("/*").enumerate() {
        text += if number == 0 { part } else { part.split_once("*/").expect("comments end").1 };
    }
    text
}

/// A C file with an empty body for each function of the header, and with a function for each enum.
fn stub(header: &str) -> String {
    let text = without_comments(header);
    let functions = text.split_once("extern \"C\" {").expect("the declarations").1;
    let functions = functions.split_once("#endif").expect("the end of the condition").1;
    let functions = functions.split_once("#ifdef").expect("the end of the declarations").0;
    let lines = functions.lines().filter(|line| !line.trim_start().starts_with("//"));
    let lines = lines.map(|line| line.strip_prefix(" // __cplusplus").unwrap_or(line));
    let functions = lines.collect::<Vec<_>>().join("\n").replace(");", ") {}");
    let mut stub = format!("#include \"fastestmirror.h\"\n{functions}\n");
    for rest in text.split("typedef enum ").skip(1) {
        let name = rest.split_whitespace().next().expect("enums have names");
        writeln!(stub, "void {ENUM}{name}({name} value) {{}}").expect("a string");
    }
    stub
}

/// Writes a description of what a C program sees of this header. It has no path and no line number
/// in it, and does not depend on the system's headers.
fn describe(directory: &Path, header: &str, soname: &str) -> PathBuf {
    fs::create_dir(directory).expect("a directory");
    fs::write(directory.join("fastestmirror.h"), header).expect("a file");
    fs::write(directory.join("fastestmirror.c"), stub(header)).expect("a file");
    let mut compile = program("cc");
    compile.args(["-std=c99", "-g", "-w", "-ffreestanding", "-nostdlib", "-fPIC", "-shared"]);
    compile.arg(format!("-Wl,-soname,{soname}")).args(["-o", "libfastestmirror.so", "fastestmirror.c"]);
    run(compile.current_dir(directory));
    let mut describe = program("abidw");
    describe.args(["--no-show-locs", "--no-comp-dir-path", "--no-corpus-path", "--no-architecture"]);
    describe.args(["--no-elf-needed", "--no-parameter-names", "--type-id-style", "hash"]);
    describe.args(["--out-file", "fastestmirror.abi", "libfastestmirror.so"]);
    run(describe.current_dir(directory));
    directory.join("fastestmirror.abi")
}

/// What differs between two descriptions.
#[derive(Debug, PartialEq)]
enum Difference {
    None,
    /// Programs built before run as they did: functions, enums or values were added.
    Additions(String),
    Incompatible(String),
}

fn compare(old: &Path, new: &Path) -> Difference {
    let differs = |options: &[&str]| {
        let mut command = program("abidiff");
        command.args(["--no-show-locs", "--no-architecture"]).args(options).arg(old).arg(new);
        let output = command.output().expect("abidiff is installed");
        // The two lowest bits mean that it could not compare.
        let compared = output.status.code().is_some_and(|code| code & 3 == 0);
        assert!(compared, "{command:?}: {}\n{}", output.status, transcript(&output));
        (!output.status.success()).then(|| transcript(&output))
    };
    if let Some(report) = differs(&["--no-added-syms"]) {
        return Difference::Incompatible(report);
    }
    differs(&["--harmless"]).map_or(Difference::None, Difference::Additions)
}

/// The functions in a description, without those that stand for enums.
fn functions(description: &Path) -> BTreeSet<String> {
    let text =
        fs::read_to_string(description).unwrap_or_else(|why| panic!("{}: {why}", description.display()));
    let names = text.split("<elf-symbol name='").skip(1).filter_map(|rest| rest.split('\'').next());
    names.filter(|name| !name.starts_with(ENUM)).map(str::to_owned).collect()
}

/// Whether the ABI can be described here. If not, the test is skipped.
fn can_describe() -> bool {
    if cfg!(not(target_pointer_width = "64")) {
        lab::skip_even_under_ci("the committed description of the ABI is that of 64-bit machines");
        return false;
    }
    let tools = ["cc", "nm", "readelf", "abidw", "abidiff"];
    tools.iter().all(|name| have(name, program(name).arg("--version")))
}

#[test]
fn abi_has_what_was_promised() {
    if !can_describe() {
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let (header, library) = (header(), Library::build());
    let new = describe(&scratch.path().join("new"), &header, &library.soname);
    assert_eq!(
        functions(&new),
        library.functions,
        "the header declares other functions (left) than the library exports (right)"
    );

    let committed = root().join(DESCRIPTION);
    let write = |path: &str, text: &[u8]| {
        fs::create_dir_all(root().join(path).parent().expect("a file in the tree")).expect("a directory");
        fs::write(root().join(path), text).unwrap_or_else(|why| panic!("{path}: {why}"));
    };
    let renew_description = || {
        write(DESCRIPTION, &fs::read(&new).expect("the new description"));
        let symbols: String = library.functions.iter().map(|name| format!("{name}\n")).collect();
        write(SYMBOLS, symbols.as_bytes());
    };
    if renew().as_deref() == Some(OsStr::new("incompatible")) {
        renew_description();
        write(FIRST_HEADER, header.as_bytes());
    }
    assert!(
        committed.exists(),
        "{DESCRIPTION} is missing; to begin a new one: FASTESTMIRROR_RENEW=incompatible cargo test -p fastestmirror-header"
    );
    match compare(&committed, &new) {
        Difference::None => {}
        Difference::Additions(_) if renew().is_some() => renew_description(),
        Difference::Additions(report) => {
            panic!("{DESCRIPTION} lacks what was added; to add it: {RENEW}\n{report}")
        }
        Difference::Incompatible(report) => panic!(
            "programs built with an earlier header would break ({DESCRIPTION} differs). Undo the change. If it must be: \
             raise the minor version if this one is in a release (the soname follows it), and then run \
             FASTESTMIRROR_RENEW=incompatible cargo test -p fastestmirror-header\n{report}"
        ),
    }
    let symbols = fs::read_to_string(root().join(SYMBOLS)).expect("the list");
    let listed: BTreeSet<String> = symbols.lines().map(str::to_owned).collect();
    assert_eq!(listed, functions(&committed), "{SYMBOLS} (left) and {DESCRIPTION} (right) differ: {RENEW}");

    let text = fs::read_to_string(&committed).expect("the description");
    let paths: Vec<_> = text.lines().filter(|line| line.contains("='/")).collect();
    assert!(paths.is_empty(), "{DESCRIPTION} names files of a machine: {paths:#?}");

    // The first header is older than the description, or as old.
    let first = fs::read_to_string(root().join(FIRST_HEADER)).expect("the first header");
    let first = describe(&scratch.path().join("first"), &first, &library.soname);
    let difference = compare(&first, &committed);
    assert!(
        !matches!(difference, Difference::Incompatible(_)),
        "{DESCRIPTION} lacks something of {FIRST_HEADER}: {difference:#?}"
    );
}

/// Shows that each kind of change is recognized, so that the test above does not pass for nothing.
#[test]
fn changes_of_the_abi_are_recognized() {
    if !can_describe() {
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let soname = "libfastestmirror.so.0";
    let first = fs::read_to_string(root().join(FIRST_HEADER)).expect("the first header");
    let old = describe(&scratch.path().join("old"), &first, soname);
    assert_eq!(compare(&old, &describe(&scratch.path().join("same"), &first, soname)), Difference::None);

    // What is replaced by what, and whether that is compatible.
    let version = "const char *fm_version(void);";
    let family = "typedef enum fm_family {";
    let changes = [
        (version, &*format!("{version}\nint fm_more(fm_ranker *ranker, int more);"), true),
        ("  FM_INTERNAL = 5,", "  FM_INTERNAL = 5,\n  FM_MORE = 99,", true),
        (family, &*format!("typedef enum fm_more {{ FM_MORE }} fm_more;\n{family}"), true),
        (version, "", false),
        (version, "const int *fm_version(void);", false),
        ("  FM_INTERNAL = 5,", "", false),
        ("  FM_INTERNAL = 5,", "  FM_INTERNAL = 6,", false),
        ("  FM_INTERNAL = 5,", "  FM_BUG = 5,", false),
        (
            "int fm_ranker_set_timeout(fm_ranker *ranker, double",
            "int fm_ranker_set_timeout(fm_ranker *ranker, float",
            false,
        ),
        ("typedef int (*fm_interrupt_fn)(", "typedef int (*fm_interrupt_fn)(int more, ", false),
        ("  int detoured;", "  int detoured;\n  int more;", false),
        ("  int pool;", "  unsigned int pool;", false),
        ("  int imprecise;", "", false),
    ];
    for (number, (before, after, compatible)) in changes.into_iter().enumerate() {
        assert!(first.contains(before), "{before}");
        let changed = first.replacen(before, after, 1);
        let new = describe(&scratch.path().join(number.to_string()), &changed, soname);
        let difference = compare(&old, &new);
        let recognized = match difference {
            Difference::None => false,
            Difference::Additions(_) => compatible,
            Difference::Incompatible(_) => !compatible,
        };
        assert!(recognized, "{before:?} became {after:?}: {difference:#?}");
    }
    let renamed = describe(&scratch.path().join("soname"), &first, "libfastestmirror.so.1");
    assert!(matches!(compare(&old, &renamed), Difference::Incompatible(_)));
}
