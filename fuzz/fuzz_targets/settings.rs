//! The settings of the drop-in, from any text of a file to the options of a ranker. The drop-in is
//! no Rust library, and so its two modules that know no file are compiled here.
#![no_main]

#[path = "../../dropin/src/settings/keys.rs"]
#[allow(dead_code, reason = "the rest is for the drop-in")]
mod keys;
#[path = "../../dropin/src/settings/syntax.rs"]
mod syntax;

use fastestmirror::Ranker;
use keys::Key;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().count();
    let entries = syntax::parse(&text, &mut |line, problem| {
        assert!((1..=lines).contains(&line) && !problem.is_empty());
    });
    let mut ranker = Ranker::new();
    let mut written = String::from("[main]\n");
    for syntax::Entry { line, name, value } in entries {
        assert!((1..=lines).contains(&line) && !syntax::quoted(&value).is_empty());
        let Some(key) = Key::find(name) else { continue };
        let Some(checked) = key.check(&value, &mut |_, why| assert!(!why.is_empty())) else { continue };
        // What is accepted can be set, and means the same when it is read again.
        assert!(key.set(&mut ranker, &checked));
        written += &format!("{name}={checked}\n");
    }
    let mut again = Ranker::new();
    for syntax::Entry { name, value, .. } in syntax::parse(&written, &mut |_, why| panic!("{why}")) {
        assert!(Key::find(name).is_some_and(|key| key.set(&mut again, &value)), "{name}={value}");
    }
    assert_eq!(format!("{again:?}"), format!("{ranker:?}"));
});
