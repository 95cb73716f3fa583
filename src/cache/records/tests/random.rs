//! Random files and random news: what is written is read, and what others wrote stays.

use super::*;
use proptest::prelude::*;

fn a_url() -> impl Strategy<Value = String> {
    "(http|https|ftp|HTTP)://([a-z]{1,3}:[a-z@]{0,3}@)?([a-cA-C]{1,2}\\.example\\.?|192\\.0\\.2\\.[1-9]|\\[2001:db8::[1-9]\\])(:[1-9][0-9]{0,3})?(/[ -~]{0,9})?"
}

fn an_update() -> impl Strategy<Value = Update> {
    prop_oneof![
        (1u64..59_999_999).prop_map(|micros| Update::Latency(Duration::from_micros(micros))),
        Just(Update::Refused),
        Just(Update::Unreachable),
        Just(Update::OutsidePool),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(updates in proptest::collection::vec((a_url(), an_update()), 1..9)) {
        let keyed: Vec<_> = updates.iter().map(|(url, update)| (key(url), *update)).collect();
        let answered = keyed.iter().any(|(_, update)| matches!(update, Update::Latency(_)));
        let (file, _) = merge(b"", at(NOW), Some(&HERE), &keyed, None);
        let memory = memory(&file, NOW, Some(&HERE));
        for (url, update) in &updates {
            let known = memory.of(&endpoint(url));
            prop_assert_eq!(known.is_some(), answered, "{} {:?}", url, update);
        }
        prop_assert!(!file.contains(&b'@'));
        // To write the same again changes nothing.
        prop_assert_eq!(merge(&file, at(NOW), Some(&HERE), &[], None).0, file);
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, at(NOW), Some(&HERE), MONTH);
        let (file, _) = merge(&bytes, at(NOW), Some(&HERE), &[(key("http://a.example"), Update::Latency(ms(5)))], None);
        prop_assert!(memory(&file, NOW, Some(&HERE)).of(&endpoint("http://a.example")).is_some());
    }

    #[test]
    fn reading_a_file_and_changing_it_see_the_same(
        lines in proptest::collection::vec(
            "\\[(http://[ab]|:_fm_:(network:|outcome:)?http://[ab]|:_fm_:|:_librepo_:)\\]|(ts|drawn|seed)=[0-9 ]{1,3}|version=1|connectime=[0-9.]{1,3}|network=[0-9-]{1,3}|outcome=(refused|outside|x)|#",
            0..30,
        ),
        last in proptest::option::weighted(0.1, Just("=")),
    ) {
        let text = format!("[:_librepo_:]\nversion=1\n{}\n{}", lines.join("\n"), last.unwrap_or_default());
        match (read_groups(text.as_bytes()), parse(text.as_bytes())) {
            (Ok(groups), Ok(file)) => {
                prop_assert_eq!(groups.len(), file.groups().count());
                for group in file.groups() {
                    let said = Said::by(group);
                    prop_assert_eq!(groups.get(&About::of(group.name)), Some(&said));
                }
            }
            (groups, file) => prop_assert_eq!(groups.err(), file.err()),
        }
    }

    #[test]
    fn a_valid_file_is_kept_and_stays_valid(
        lines in proptest::collection::vec("(\\[[a-z :_]{1,4}\\]|[a-z]{1,3} ?= ?[ -~]{0,4}|#.{0,3}| ?)\r?", 0..20),
    ) {
        let file = format!("[:_librepo_:]\nversion=1\n{}\n", lines.join("\n"));
        // Only what makes it another version may stand in the way.
        prop_assume!(parse(file.as_bytes()).is_ok());
        let (same, _) = merge(file.as_bytes(), at(NOW), None, &[], None);
        prop_assert_eq!(String::from_utf8(same).unwrap(), file.clone());
        let written = write(file.as_bytes(), NOW, None, &[("http://a.example", Update::Latency(ms(5)))]);
        prop_assert!(memory(&written, NOW, None).of(&endpoint("http://a.example")).is_some());
        prop_assert!(written.starts_with(file.as_bytes()));
    }
}
