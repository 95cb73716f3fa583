//! What downloads have shown, in the simulated network: a near mirror that accepts connections and
//! then hangs does not make the pool, neither in the order nor while measuring.

use fastestmirror::{Demotion, DownloadOutcome, History, HistoryUse, Ranker, StopReason};
use lab::{Mirror, Spec, World, answer, ms};
use std::time::Duration;

#[test]
fn near_mirror_in_trouble_leaves_the_pool_to_the_others() {
    lab::isolated!(|| {
        let mirror =
            |name: &str, latency| Mirror::new(&format!("{name}.lab.example")).both(answer(ms(latency)));
        // Twice the latency of the near one has long passed when the others answer.
        let mirrors = [("near", 5), ("a", 60), ("b", 80), ("far", 250)];
        let _world =
            World::start(Spec::new().mirrors(mirrors.map(|(name, it)| mirror(name, it)))).expect("a world");
        let directory = tempfile::tempdir().expect("a directory");
        let cache = directory.path().join("cache");
        let url = |name: &str| format!("http://{name}.lab.example/pub/os");
        let urls = mirrors.map(|(name, _)| url(name));

        let mut history = History::new(&cache);
        history.repository(&urls.each_ref().map(String::as_str));
        history.report(&url("near"), DownloadOutcome::Broken, 1000, Duration::from_secs(30));
        history.report(&url("b"), DownloadOutcome::Ok, 5_000_000, Duration::from_secs(1));
        assert_eq!(history.save(), None);

        // Measured anew, and then from the cache.
        for _ in 0..2 {
            let mut ranker = Ranker::new();
            ranker.cache(Some(&cache)).history(HistoryUse::Trouble).fallbacks(0);
            let ranking = ranker.rank(&urls).expect("a ranking");
            assert!(matches!(ranking.stop_reason, StopReason::Settled | StopReason::Idle), "{ranking:?}");
            let pool: Vec<bool> = ranking.mirrors.iter().map(|mirror| mirror.pool).collect();
            assert_eq!(pool, [true, true, false, false], "{ranking:?}");
            let near = ranking.mirrors.iter().position(|mirror| mirror.index == 0).expect("it is there");
            let near_one = &ranking.mirrors[near];
            assert!(matches!(near_one.demotion, Some(Demotion::Broken { .. })), "{ranking:?}");
            // Behind all that have a latency; the far one need not be waited for.
            let has_latency = |place: usize| ranking.mirrors[place].outcome.latency().is_some();
            assert!((near + 1..4).all(|place| !has_latency(place)) && near >= 2, "{ranking:?}");
        }
        let ranking = Ranker::new().cache(Some(&cache)).rank(&urls).expect("a ranking");
        assert!(ranking.mirrors[0].index == 0 && ranking.mirrors[0].pool && !ranking.mirrors[1].pool);
    });
}
