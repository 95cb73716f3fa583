//! Compares the numbers with librepo's headers, the internal ones too, in each version that Debian
//! has.

use crate::layout::{self, DownloadTarget};
use std::ffi::c_int;
use std::fmt::Write;
use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;
use support::build::{run, target};
use support::librepo_source::{RELEASES, Release};
use support::programs::{have, module, program};

macro_rules! values {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), layout::$name)),*] };
}

/// The struct, the name and the offset of each field.
const FIELDS: [(&str, &str, usize); 29] = [
    ("struct _LrHandle", "curl_handle", layout::CURL),
    ("struct _LrHandle", "internal_mirrorlist", layout::MIRRORS),
    ("struct _LrHandle", "fastestmirrorcache", layout::CACHE),
    ("struct _LrHandle", "fastestmirrorcb", layout::CALLBACK),
    ("struct _LrHandle", "fastestmirrordata", layout::DATA),
    ("LrInternalMirror", "url", layout::MIRROR_URL),
    ("LrDownloadTarget", "handle", offset_of!(DownloadTarget, handle)),
    ("LrDownloadTarget", "path", offset_of!(DownloadTarget, path)),
    ("LrDownloadTarget", "baseurl", offset_of!(DownloadTarget, baseurl)),
    ("LrDownloadTarget", "fd", offset_of!(DownloadTarget, fd)),
    ("LrDownloadTarget", "fn", offset_of!(DownloadTarget, r#fn)),
    ("LrDownloadTarget", "checksums", offset_of!(DownloadTarget, checksums)),
    ("LrDownloadTarget", "expectedsize", offset_of!(DownloadTarget, expectedsize)),
    ("LrDownloadTarget", "origsize", offset_of!(DownloadTarget, origsize)),
    ("LrDownloadTarget", "resume", offset_of!(DownloadTarget, resume)),
    ("LrDownloadTarget", "progresscb", offset_of!(DownloadTarget, progresscb)),
    ("LrDownloadTarget", "cbdata", offset_of!(DownloadTarget, cbdata)),
    ("LrDownloadTarget", "endcb", offset_of!(DownloadTarget, endcb)),
    ("LrDownloadTarget", "mirrorfailurecb", offset_of!(DownloadTarget, mirrorfailurecb)),
    ("LrDownloadTarget", "chunk", offset_of!(DownloadTarget, chunk)),
    ("LrDownloadTarget", "byterangestart", offset_of!(DownloadTarget, byterangestart)),
    ("LrDownloadTarget", "byterangeend", offset_of!(DownloadTarget, byterangeend)),
    ("LrDownloadTarget", "no_cache", offset_of!(DownloadTarget, no_cache)),
    ("LrDownloadTarget", "usedmirror", offset_of!(DownloadTarget, usedmirror)),
    ("LrDownloadTarget", "effectiveurl", offset_of!(DownloadTarget, effectiveurl)),
    ("LrDownloadTarget", "rcode", offset_of!(DownloadTarget, rcode)),
    ("LrDownloadTarget", "err", offset_of!(DownloadTarget, err)),
    ("LrDownloadTarget", "userdata", offset_of!(DownloadTarget, userdata)),
    ("LrDownloadTarget", "is_zchunk", offset_of!(DownloadTarget, is_zchunk)),
];

/// The values of enums, by their names in librepo.
const VALUES: [(&str, i32); 21] = values![
    LRO_URLS,
    LRO_FASTESTMIRRORCACHE,
    LRO_FASTESTMIRRORCB,
    LRO_FASTESTMIRRORDATA,
    LRI_FASTESTMIRROR,
    LRI_FASTESTMIRRORCACHE,
    LRI_FASTESTMIRRORMAXAGE,
    LRI_IPRESOLVE,
    LRI_FASTESTMIRRORTIMEOUT,
    LRI_OFFLINE,
    LR_IPRESOLVE_V4,
    LR_IPRESOLVE_V6,
    LRE_BADFUNCARG,
    LR_FMSTAGE_INIT,
    LR_FMSTAGE_CACHELOADING,
    LR_FMSTAGE_CACHELOADINGSTATUS,
    LR_FMSTAGE_DETECTION,
    LR_FMSTAGE_FINISHING,
    LR_FMSTAGE_STATUS,
    LR_TRANSFER_SUCCESSFUL,
    LR_CB_OK,
];

#[test]
fn layout_is_that_of_librepos_headers() {
    let modules = ["glib-2.0", "libcurl", "zck"];
    if !have("cc", program("cc").arg("--version"))
        || !modules.iter().all(|name| have(name, &mut module(name)))
    {
        return;
    }
    let fields = FIELDS.iter().map(|(of, field, offset)| {
        let size = match *field {
            "fd" | "resume" | "no_cache" | "rcode" | "is_zchunk" => size_of::<c_int>(),
            "expectedsize" | "origsize" | "byterangestart" | "byterangeend" => size_of::<i64>(),
            _ => size_of::<usize>(),
        };
        format!("{of}.{field} {offset} {size}")
    });
    let values = VALUES.iter().map(|(name, value)| format!("{name} {value}"));
    let size = format!("LrInternalMirror {}", layout::MIRROR_SIZE);
    let expected: Vec<String> = fields.chain(values).chain([size]).collect();
    for release in &RELEASES {
        let Some(source) = release.source() else { continue };
        // Debian and Fedora disagree on zchunk.
        for zchunk in [false, true] {
            let printed = printed(release, &source, zchunk);
            assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{}", release.version);
        }
    }
}

#[test]
fn layout_test_compares_every_number() {
    let is_number = |line: &&str| line.contains("pub(crate) const ") || line.starts_with("    pub(crate) ");
    let numbers = include_str!("../layout.rs").lines().filter(is_number).count();
    assert_eq!(numbers, FIELDS.len() + VALUES.len() + 1);
}

/// Returns a C program that prints the numbers as librepo has them.
fn source_text() -> String {
    let mut text = "#include <stddef.h>\n#include <stdio.h>\n#include \"handle_internal.h\"\n\
        #include \"fastestmirror.h\"\n#include \"rcodes.h\"\n\
        #include \"downloadtarget.h\"\n\
        /* Its type is checked here; its items are LrInternalMirror. */\n\
        GSList **list_of(struct _LrHandle *handle) { return &handle->internal_mirrorlist; }\n\
        int main(void) {\n"
        .to_owned();
    for (of, field, _) in FIELDS {
        let size = format!("sizeof((({of} *)0)->{field})");
        writeln!(text, "printf(\"{of}.{field} %zu %zu\\n\", offsetof({of}, {field}), {size});")
            .expect("a string");
    }
    for (name, _) in VALUES {
        writeln!(text, "printf(\"{name} %d\\n\", (int){name});").expect("a string");
    }
    text + "printf(\"LrInternalMirror %zu\\n\", sizeof(LrInternalMirror));\nreturn 0;\n}\n"
}

/// Compiles that program with the headers of a source tree, and returns what it prints.
fn printed(release: &Release, source: &Path, zchunk: bool) -> String {
    let directory = target().join("tmp/layout").join(format!("{}-{zchunk}", release.version));
    let generated = directory.join("librepo");
    fs::create_dir_all(&generated).expect("the target directory can be written");
    // CMake makes some headers from templates.
    for entry in fs::read_dir(source.join("librepo")).expect("a source tree").flatten() {
        let name = entry.file_name().into_string().expect("ASCII");
        if let Some(header) = name.strip_suffix(".in").filter(|header| header.ends_with(".h")) {
            let text = fs::read_to_string(entry.path()).expect("a template");
            let text = text.replace("@LIBREPO_ZCHUNK_ENABLED@", if zchunk { "1" } else { "0" });
            fs::write(generated.join(header), text).expect("the target directory can be written");
        }
    }
    let (program, text) = (directory.join("layout"), directory.join("layout.c"));
    fs::write(&text, source_text()).expect("the target directory can be written");
    let flags = run(Command::new("pkg-config").args(["--cflags", "glib-2.0", "libcurl"]));
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=gnu99", "-Wall", "-Werror"]).args(flags.split_whitespace());
    for directory in [&directory, &generated, source, &source.join("librepo")] {
        cc.arg("-I").arg(directory);
    }
    if zchunk {
        cc.arg("-DWITH_ZCHUNK");
    }
    run(cc.arg(&text).arg("-o").arg(&program));
    run(&mut Command::new(program))
}
