//! Why a mirror stands where it stands, in the lab: what was tried, what was remembered, and the
//! limit of the pool.

use fastestmirror::*;
use lab::{Fate, Lookup, Mirror, Spec, World, answer, ms, refuse, unreachable};
use std::fs;
use std::time::Duration;

fn named(name: &str) -> Mirror {
    Mirror::new(&format!("{name}.lab.example"))
}

fn url(name: &str) -> String {
    format!("http://{name}.lab.example/pub")
}

/// The mirror of this name, excluded or not.
fn of<'a>(ranking: &'a Ranking, name: &str) -> &'a RankedMirror {
    let url = url(name);
    ranking.mirrors.iter().chain(&ranking.excluded).find(|mirror| mirror.url == url).expect("it comes out")
}

/// The outcome of each address that was tried, and whether it is one of IPv6.
fn tried(ranking: &Ranking, name: &str) -> Vec<(&'static str, bool)> {
    let tried = ranking.tried(of(ranking, name));
    tried.map(|it| (it.outcome.name(), it.address.is_ipv6())).collect()
}

#[test]
fn tried_addresses_and_the_limit_are_reported() {
    lab::isolated!(|| {
        let spec = Spec::new().mirrors([
            named("near").both(answer(ms(20))).aliases([String::from("alias.lab.example")]),
            named("far").ipv4(answer(ms(55))),
            named("silent").both(Fate::Silent),
            named("around").ipv6(Fate::Silent).ipv4(answer(ms(25))),
            named("second").ipv6(unreachable(ms(5))).ipv4(answer(ms(22))),
            named("refusing").both(refuse(ms(7))),
            named("nowhere").lookup(Lookup::NxDomain),
            named("hung").ipv4(answer(ms(1))).lookup(Lookup::Silent),
        ]);
        let names = ["near", "alias", "far", "silent", "around", "second", "refusing", "nowhere", "hung"];
        let world = World::start(spec).expect("a world");
        let mut urls: Vec<String> = names.iter().map(|name| url(name)).collect();
        urls.extend([url("out"), url("other"), "ftp://out.lab.example/".into()]);
        let mut ranker = Ranker::new();
        ranker
            .fallbacks(Ranker::ALL)
            .include(&["*.example"])
            .expect("a pattern")
            .prefer(&["far.*"])
            .expect("a pattern");
        ranker.exclude(&["x.*", "out.*", "other.*"]).expect("patterns");
        ranker.protocols(&[Protocol::Http]);
        let expected = [
            ("near", &[("measured", true)][..]),
            // Measured under the other name.
            ("alias", &[("measured", true)]),
            ("far", &[("measured", false)]),
            ("silent", &[("unanswered", true), ("unanswered", false)]),
            ("around", &[("unanswered", true), ("measured", false)]),
            ("second", &[("unreachable", true), ("measured", false)]),
            ("refusing", &[("refused", true), ("refused", false)]),
            ("nowhere", &[]),
            ("hung", &[]),
            ("out", &[]),
        ];
        for attempt in 1.. {
            let ranking = ranker.rank(&urls).expect("a ranking");
            // A process that is stopped at the wrong moment has fewer answers, or asks once more.
            let is_usual = expected.iter().all(|(name, expected)| tried(&ranking, name) == *expected);
            if !is_usual && attempt < 10 {
                continue;
            }
            let of = |name: &str| of(&ranking, name);
            let near = of("near").outcome.latency().expect("it answers");
            let best = ranking.best.expect("some answer");
            assert!(best <= near && best >= ms(19), "{best:?}");
            assert_eq!(ranking.limit, Some(best * 2));
            for (name, expected) in expected {
                assert_eq!(tried(&ranking, name), expected, "{name}: {ranking:#?}");
                let mirror = of(name);
                let answered: Vec<_> =
                    ranking.tried(mirror).filter(|it| it.outcome.latency().is_some()).collect();
                assert!(answered.iter().all(|it| Some(it.address) == mirror.address), "{ranking:#?}");
                assert!(answered.iter().all(|it| it.outcome == mirror.outcome && it.waited >= ms(19)));
                assert_eq!(ranking.recalled(mirror), None);
                assert_eq!(mirror.is_lookup_unfinished, name == "hung");
                assert_eq!(mirror.is_preferred, name == "far");
            }
            // It is waited for at least as long as a mirror of the pool may take.
            assert!(ranking.tried(of("silent")).next().expect("tried").waited >= ms(38), "{ranking:#?}");
            assert!(ranking.tried(of("refusing")).all(|it| it.waited >= ms(6)), "{ranking:#?}");
            let excluded: Vec<_> = ranking.excluded.iter().map(|mirror| ranking.filter(mirror)).collect();
            let expected = [Filter::Exclude(1), Filter::Exclude(2), Filter::Protocol].map(Some);
            assert_eq!(excluded, expected);
            assert!(ranking.mirrors.iter().all(|mirror| ranking.filter(mirror).is_none()));
            let elsewhere = Ranker::new().include(&["far.*"]).expect("a pattern").rank(&urls);
            let elsewhere = elsewhere.expect("a ranking");
            let filters = elsewhere.excluded.iter().map(|mirror| elsewhere.filter(mirror));
            assert_eq!(filters.collect::<Vec<_>>(), [Some(Filter::Include); 11]);
            break;
        }
        drop(world);
    });
}

#[test]
fn remembered_outcomes_are_reported_with_their_age() {
    lab::isolated!(|| {
        let spec = Spec::new().mirrors([
            named("near").both(answer(ms(20))),
            named("far").both(answer(ms(90))),
            named("silent").ipv4(Fate::Silent),
            named("refusing").ipv4(refuse(ms(7))),
        ]);
        let _world = World::start(spec).expect("a world");
        let urls = ["near", "far", "silent", "refusing"].map(url);
        let directory = tempfile::tempdir().expect("a directory");
        let cache = directory.path().join("cache");
        let rank = || {
            let mut ranker = Ranker::new();
            ranker.fallbacks(Ranker::ALL).cache(Some(&cache));
            ranker.rank(&urls).expect("a ranking")
        };
        let first = rank();
        assert!(first.mirrors.iter().all(|mirror| first.recalled(mirror).is_none()));
        // Older than the time after which the pool is asked again.
        let text = fs::read_to_string(&cache).expect("a cache");
        let older = |line: &str| match line.strip_prefix("ts=").and_then(|ts| ts.parse::<u64>().ok()) {
            Some(ts) => format!("ts={}\n", ts - 900),
            None => format!("{line}\n"),
        };
        fs::write(&cache, text.lines().map(older).collect::<String>()).expect("a writable cache");
        let second = rank();
        for (name, remembered, from_cache, count) in [
            ("near", "latency", false, 1),
            ("far", "latency", true, 0),
            ("silent", "silent", true, 0),
            ("refusing", "refused", true, 0),
        ] {
            let mirror = of(&second, name);
            let recalled = second.recalled(mirror).unwrap_or_else(|| panic!("{name}: {second:#?}"));
            assert_eq!(recalled.remembered.name(), remembered);
            assert!((900..960).contains(&recalled.age.as_secs()), "{recalled:?}");
            assert_eq!((mirror.from_cache, tried(&second, name).len()), (from_cache, count), "{second:#?}");
            if let Remembered::Silent(waited) = recalled.remembered {
                assert!(waited >= ms(80), "{waited:?}");
            }
        }
        assert!(second.limit.is_some_and(|limit| limit > Duration::from_millis(39)));
    });
}
