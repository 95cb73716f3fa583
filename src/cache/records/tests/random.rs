//! Random files and random facts: what is written is read, and other text is preserved.

use super::*;
use proptest::prelude::*;

fn any_url() -> impl Strategy<Value = String> {
    "(http|https|ftp|HTTP)://([a-z]{1,3}:[a-z@]{0,3}@)?([a-cA-C]{1,2}\\.example\\.?|192\\.0\\.2\\.[1-9]|\\[2001:db8::[1-9]\\])(:[1-9][0-9]{0,3})?(/[ -~]{0,9})?"
}

fn any_fact() -> impl Strategy<Value = Remembered> {
    prop_oneof![
        (1u64..59_999_999).prop_map(|micros| Remembered::Latency(Duration::from_micros(micros))),
        Just(Remembered::Refused),
        Just(Remembered::Unreachable),
        Just(Remembered::Unresolved),
        (1u64..59_999_999).prop_map(|micros| Remembered::Silent(Duration::from_micros(micros))),
        (1u64..59_999_999).prop_map(|micros| Remembered::Detoured(Duration::from_micros(micros))),
    ]
}

proptest! {
    #[test]
    fn written_facts_are_read(learned in proptest::collection::vec((any_url(), any_fact()), 1..9)) {
        let keyed: Vec<_> = learned.iter().map(|(url, remembered)| (record_name(url), *remembered)).collect();
        // The first of several facts about one endpoint counts.
        let distinct: Learned = keyed.iter().cloned().collect();
        let answered = distinct.facts().any(|remembered| matches!(remembered, Remembered::Latency(_) | Remembered::Detoured(_)));
        let (file, _) = merge(b"", at(NOW), Some(&HERE), &keyed, None);
        let records = records(&file, NOW, Some(&HERE));
        for (url, remembered) in &learned {
            let known = records.get(&endpoint(url));
            prop_assert_eq!(known.is_some(), answered, "{} {:?}", url, remembered);
        }
        prop_assert!(!file.contains(&b'@'));
        // Writing once more changes nothing.
        prop_assert_eq!(merge(&file, at(NOW), Some(&HERE), &[], None).0, file);
    }

    #[test]
    fn any_bytes_are_merged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, at(NOW), Some(&HERE), MONTH);
        let (file, _) = merge(&bytes, at(NOW), Some(&HERE), &[(record_name("http://a.example"), Remembered::Latency(ms(5)))], None);
        prop_assert!(records(&file, NOW, Some(&HERE)).get(&endpoint("http://a.example")).is_some());
    }

    #[test]
    fn read_groups_and_key_file_agree(
        lines in proptest::collection::vec(
            "\\[(http://[ab]|:_fm_:(network:|outcome:)?http://[ab]|:_fm_:|:_librepo_:)\\]|(ts|drawn|seed)=[0-9 ]{1,3}|version=1|(connectime|latency|waited)=[0-9.]{1,3}|network=[0-9-]{1,3}|outcome=(refused|silent|detoured|x)|#",
            0..30,
        ),
        last in proptest::option::weighted(0.1, Just("=")),
    ) {
        let text = format!("[:_librepo_:]\nversion=1\n{}\n{}", lines.join("\n"), last.unwrap_or_default());
        match (read_groups(text.as_bytes()), parse(text.as_bytes())) {
            (Ok(groups), Ok(file)) => {
                prop_assert_eq!(groups.len(), file.groups().count());
                for group in file.groups() {
                    let values = GroupValues::of(group);
                    prop_assert_eq!(groups.get(&GroupKind::of(group.name)), Some(&values));
                }
            }
            (groups, file) => prop_assert_eq!(groups.err(), file.err()),
        }
    }

    #[test]
    fn valid_file_is_preserved_and_stays_valid(
        lines in proptest::collection::vec("(\\[[a-z :_]{1,4}\\]|[a-z]{1,3} ?= ?[ -~]{0,4}|#.{0,3}| ?)\r?", 0..20),
    ) {
        let file = format!("[:_librepo_:]\nversion=1\n{}\n", lines.join("\n"));
        // It is a cache unless a line makes it another version.
        prop_assume!(parse(file.as_bytes()).is_ok());
        let (same, _) = merge(file.as_bytes(), at(NOW), None, &[], None);
        prop_assert_eq!(String::from_utf8(same).unwrap(), file.clone());
        let written = write(file.as_bytes(), NOW, None, &[("http://a.example", Remembered::Latency(ms(5)))]);
        prop_assert!(records(&written, NOW, None).get(&endpoint("http://a.example")).is_some());
        prop_assert!(written.starts_with(file.as_bytes()));
    }
}
