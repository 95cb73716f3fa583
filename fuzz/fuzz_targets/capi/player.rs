//! Makes the calls, and checks what the header promises.

#[path = "player/insight.rs"]
mod insight;

use crate::call::{Call, Deed, Path, Patterns, SECRET, Slot, Url};
use crate::isolation::Surroundings;
use fastestmirror::capi::*;
use fastestmirror::{Host, Mirror};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::{fs, ptr};

const OK: c_int = fm_status::FM_OK as c_int;
const INVALID: c_int = fm_status::FM_INVALID_ARGUMENT as c_int;
const ALL_EXCLUDED: c_int = fm_status::FM_ALL_EXCLUDED as c_int;
const BUSY: c_int = fm_status::FM_BUSY as c_int;

/// How many slots there are. The last one stays empty, and stands for NULL.
const SLOTS: usize = 4;
/// A number for each of the others.
const USED_SLOTS: [Slot; SLOTS - 1] = [0, 3, 5];
/// More URLs than this are not in one call, so that no call takes long.
const MOST_URLS: usize = 24;

/// A ranker, and what is known of it.
struct Held {
    ranker: *mut fm_ranker,
    timeout: f64,
    seed: Option<u64>,
    has_filters: bool,
    has_cache: bool,
    is_cancelled: bool,
    has_error: bool,
    /// What its callbacks do. They have a pointer to it.
    deeds: Box<Deeds>,
}

struct Deeds {
    ranker: *mut fm_ranker,
    progress: Deed,
    log: Deed,
    interrupt: Deed,
    answer: c_int,
    is_cancelled: bool,
}

/// A ranking with the list that it was made of.
struct Made {
    ranking: *mut fm_ranking,
    urls: Vec<CString>,
}

struct Player {
    rankers: [Option<Held>; SLOTS],
    rankings: [Option<Made>; SLOTS],
    histories: [*mut fm_history; SLOTS],
}

pub(crate) fn play(calls: &[Call], surroundings: &Surroundings) {
    let mut player = Player {
        rankers: Default::default(),
        rankings: Default::default(),
        histories: [ptr::null_mut(); SLOTS],
    };
    for call in calls.iter().take(100) {
        player.call(call, surroundings);
    }
    // Rankings outlive their rankers.
    for slot in USED_SLOTS {
        player.free(slot);
        player.free_history(slot);
    }
    for slot in USED_SLOTS {
        player.check_ranking(slot);
        player.free_ranking(slot);
    }
    surroundings.tidy();
}

/// The slot of a number: mostly one of the first ones, so that the calls meet.
fn index(slot: Slot) -> usize {
    [0, 0, 0, 1, 1, 2, 3][usize::from(slot % 7)]
}

fn is_null(slot: Slot) -> bool {
    index(slot) == SLOTS - 1
}

/// The strings of a C caller.
fn strings<'a>(texts: impl Iterator<Item = Option<&'a CString>>) -> Vec<*const c_char> {
    texts.map(|text| text.map_or(ptr::null(), |text| text.as_ptr())).collect()
}

/// Bytes up to the first NUL.
fn c_string(mut bytes: Vec<u8>) -> CString {
    bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
    CString::new(bytes).expect("no NUL")
}

impl Player {
    fn ranker(&self, slot: Slot) -> *mut fm_ranker {
        self.rankers[index(slot)].as_ref().map_or(ptr::null_mut(), |held| held.ranker)
    }

    fn ranking(&self, slot: Slot) -> *mut fm_ranking {
        self.rankings[index(slot)].as_ref().map_or(ptr::null_mut(), |made| made.ranking)
    }

    fn free(&mut self, slot: Slot) {
        // SAFETY: NULL, or a ranker that is not used any more.
        unsafe { fm_ranker_free(self.ranker(slot)) };
        self.rankers[index(slot)] = None;
    }

    fn free_ranking(&mut self, slot: Slot) {
        // SAFETY: NULL, or a ranking that is not used any more.
        unsafe { fm_ranking_free(self.ranking(slot)) };
        self.rankings[index(slot)] = None;
    }

    /// Checks the status of a setter. Whether the value is a good one is not always known here.
    fn set(&mut self, slot: Slot, status: c_int, is_good: Option<bool>) -> bool {
        let Some(held) = &mut self.rankers[index(slot)] else {
            assert_eq!(status, INVALID, "for a ranker that is NULL");
            return false;
        };
        let is_ok = status == OK;
        assert!(is_ok || status == INVALID, "status {status}");
        assert!(is_good.is_none_or(|is_good| is_good == is_ok), "status {status}: {:?}", error(held.ranker));
        held.has_error |= !is_ok;
        if !is_ok {
            assert!(!error(held.ranker).is_empty());
        }
        is_ok
    }

    fn call(&mut self, call: &Call, surroundings: &Surroundings) {
        match call {
            &Call::New(slot) if !is_null(slot) => {
                self.free(slot);
                let ranker = fm_ranker_new();
                assert!(!ranker.is_null());
                let deeds = Deeds {
                    ranker,
                    progress: Deed::Nothing,
                    log: Deed::Nothing,
                    interrupt: Deed::Nothing,
                    answer: 0,
                    is_cancelled: false,
                };
                self.rankers[index(slot)] = Some(Held {
                    ranker,
                    timeout: 2.0,
                    seed: None,
                    has_filters: false,
                    has_cache: false,
                    is_cancelled: false,
                    has_error: false,
                    deeds: Box::new(deeds),
                });
            }
            Call::New(_) => {}
            &Call::Free(slot) => self.free(slot),
            &Call::Error(slot) => match &self.rankers[index(slot)] {
                Some(held) => assert_eq!(error(held.ranker).is_empty(), !held.has_error),
                None => assert_eq!(error(ptr::null()), "the ranker is NULL"),
            },
            &Call::Cancel(slot) => {
                // SAFETY: NULL or a ranker.
                unsafe { fm_ranker_cancel(self.ranker(slot)) };
                if let Some(held) = &mut self.rankers[index(slot)] {
                    held.is_cancelled = true;
                }
            }
            Call::FreeRanking(slot) => self.free_ranking(*slot),
            &Call::Texts(status) => {
                // SAFETY: strings that are never freed.
                let texts = unsafe { [CStr::from_ptr(fm_status_text(status)), CStr::from_ptr(fm_version())] };
                assert!(texts.iter().all(|text| !text.is_empty()));
            }
            Call::CacheContents(bytes) => {
                let _ = fs::write(surroundings.cache(), bytes);
            }
            Call::Rank { ranker, urls, weights, output } => {
                let weights = weights.as_ref().map(|weights| weights.iter().map(|w| w.value()).collect());
                self.rank(*ranker, urls.as_deref(), weights, *output, surroundings);
            }
            &Call::Limit(slot, has_output) => self.limit(slot, has_output),
            &Call::Filter(slot, position, has_output) => self.filter(slot, position, has_output),
            &Call::ReadCache(slot, has_output) => self.read_cache(slot, has_output),
            Call::Forget(..) | Call::ForgetAll(..) => self.forget(call),
            Call::NewHistory(..)
            | Call::FreeHistory(_)
            | Call::Repository(..)
            | Call::Report(..)
            | Call::SaveHistory(_) => self.history(call, surroundings),
            &Call::Demotion(slot, position, has_output) => self.demotion(slot, position, has_output),
            Call::Summary(..) | Call::Mirror(..) | Call::Excluded(..) | Call::Warning(..) => self.get(call),
            _ => self.set_option(call, surroundings),
        }
    }

    fn set_option(&mut self, call: &Call, surroundings: &Surroundings) {
        /// Calls a setter, and checks its status.
        macro_rules! set {
            ($slot:expr, $setter:ident($($argument:expr),*), $is_good:expr) => {{
                // SAFETY: the ranker is NULL or valid, strings end in NUL, and what callbacks point
                // to is freed after the ranker.
                let status = unsafe { $setter(self.ranker($slot), $($argument),*) };
                self.set($slot, status, $is_good)
            }};
        }
        match *call {
            Call::Timeout(slot, number) => {
                let number = number.value();
                if set!(slot, fm_ranker_set_timeout(number), Some((0.0..=3600.0).contains(&number))) {
                    self.rankers[index(slot)].as_mut().expect("a ranker").timeout = number;
                }
            }
            Call::Fallbacks(slot, number) => {
                set!(slot, fm_ranker_set_fallbacks(number), Some(true));
            }
            Call::Family(slot, family) => {
                let family = family.value();
                set!(slot, fm_ranker_set_family(family), Some(matches!(family, 0 | 4 | 6)));
            }
            Call::Factor(slot, number) => {
                set!(
                    slot,
                    fm_ranker_set_factor(number.value()),
                    Some((1.0..=1000.0).contains(&number.value()))
                );
            }
            Call::Slack(slot, number) => {
                set!(slot, fm_ranker_set_slack(number.value()), Some((0.0..=60.0).contains(&number.value())));
            }
            Call::PoolOrder(slot, order) => {
                let order = order.value();
                set!(slot, fm_ranker_set_pool_order(order), Some(matches!(order, 0 | 1)));
            }
            Call::PoolReference(slot, ref urls) => {
                self.patterns(slot, urls, fm_ranker_set_pool_reference, false);
            }
            Call::UseHistory(slot, history) => {
                let history = history.value();
                set!(slot, fm_ranker_set_history(history), Some(matches!(history, 0..=2)));
            }
            Call::Seed(slot, seed) => {
                if set!(slot, fm_ranker_set_seed(seed), Some(true)) {
                    self.rankers[index(slot)].as_mut().expect("a ranker").seed = Some(seed);
                }
            }
            Call::Protocols(slot, protocols) => {
                let protocols = protocols.value() as u32;
                if set!(slot, fm_ranker_set_protocols(protocols), Some(protocols < 16)) {
                    self.rankers[index(slot)].as_mut().expect("a ranker").has_filters |= protocols != 0;
                }
            }
            Call::Include(slot, ref patterns) => {
                self.patterns(slot, patterns, fm_ranker_set_include, true);
            }
            Call::Exclude(slot, ref patterns) => {
                self.patterns(slot, patterns, fm_ranker_set_exclude, true);
            }
            Call::Prefer(slot, ref patterns) => {
                self.patterns(slot, patterns, fm_ranker_set_prefer, false);
            }
            Call::Cache(slot, ref path) => {
                let path = cache_path(path, surroundings);
                let pointer = path.as_ref().map_or(ptr::null(), |path| path.as_ptr());
                let is_empty = path.as_ref().is_some_and(|path| path.is_empty());
                if set!(slot, fm_ranker_set_cache(pointer), Some(!is_empty)) {
                    self.rankers[index(slot)].as_mut().expect("a ranker").has_cache = path.is_some();
                }
            }
            Call::MaxAge(slot, number) => {
                set!(slot, fm_ranker_set_max_age(number.value()), Some(is_period(number.value())));
            }
            Call::CheckAfter(slot, number) => {
                set!(slot, fm_ranker_set_check_after(number.value()), Some(is_period(number.value())));
            }
            Call::RotateEvery(slot, number) => {
                set!(slot, fm_ranker_set_rotate_every(number.value()), Some(is_period(number.value())));
            }
            Call::Limits(slot, endpoints, per_host) => {
                let limits = (endpoints.into(), per_host.into());
                set!(slot, fm_ranker_set_limits(limits.0, limits.1), Some(true));
            }
            Call::PublicOnly(slot, number) => {
                set!(slot, fm_ranker_set_public_only(number), Some(true));
            }
            Call::Progress(slot, deed) => {
                let data = self.deeds(slot, |deeds| deeds.progress = deed.unwrap_or(Deed::Nothing));
                let function: fm_progress_fn = deed.map(|_| on_progress as _);
                set!(slot, fm_ranker_set_progress(function, data), Some(true));
            }
            Call::Log(slot, deed) => {
                let data = self.deeds(slot, |deeds| deeds.log = deed.unwrap_or(Deed::Nothing));
                let function: fm_log_fn = deed.map(|_| on_log as _);
                set!(slot, fm_ranker_set_log(function, data), Some(true));
            }
            Call::InterruptCheck(slot, deed, answer) => {
                let data = self.deeds(slot, |deeds| {
                    deeds.interrupt = deed.unwrap_or(Deed::Nothing);
                    deeds.answer = answer.value();
                });
                let function: fm_interrupt_fn = deed.map(|_| on_interrupt_check as _);
                set!(slot, fm_ranker_set_interrupt_check(function, data), Some(true));
            }
            _ => unreachable!("it is in another match"),
        }
    }

    fn deeds(&mut self, slot: Slot, change: impl FnOnce(&mut Deeds)) -> *mut c_void {
        let Some(held) = &mut self.rankers[index(slot)] else { return ptr::null_mut() };
        change(&mut held.deeds);
        ptr::from_mut::<Deeds>(&mut held.deeds).cast()
    }

    fn patterns(
        &mut self,
        slot: Slot,
        patterns: &Patterns,
        set: unsafe extern "C" fn(*mut fm_ranker, *const *const c_char, usize) -> c_int,
        is_filter: bool,
    ) {
        let (status, is_good) = match patterns {
            // SAFETY: NULL is refused, unless it holds no pattern.
            &Patterns::Null(count) => unsafe {
                (set(self.ranker(slot), ptr::null(), count.into()), Some(count == 0))
            },
            Patterns::These(patterns) => {
                let texts: Vec<_> =
                    patterns.iter().map(|pattern| pattern.as_ref().map(|p| c_string(p.text()))).collect();
                let pointers = strings(texts.iter().map(Option::as_ref));
                let has_null = texts.iter().any(Option::is_none);
                // SAFETY: an array of this length, of strings and NULL.
                let status = unsafe { set(self.ranker(slot), pointers.as_ptr(), pointers.len()) };
                (status, has_null.then_some(false))
            }
        };
        if self.set(slot, status, is_good) {
            self.rankers[index(slot)].as_mut().expect("a ranker").has_filters |= is_filter;
        }
    }

    fn free_history(&mut self, slot: Slot) {
        // SAFETY: NULL, or a history that is not used any more.
        unsafe { fm_history_free(self.histories[index(slot)]) };
        self.histories[index(slot)] = ptr::null_mut();
    }

    fn history(&mut self, call: &Call, surroundings: &Surroundings) {
        let (slot, status, is_good) = match call {
            Call::NewHistory(slot, _) if is_null(*slot) => return,
            Call::NewHistory(slot, path) => {
                self.free_history(*slot);
                let path = cache_path(path, surroundings);
                let is_good = path.as_ref().is_some_and(|path| !path.is_empty());
                // SAFETY: NULL or a string.
                let history =
                    unsafe { fm_history_new(path.as_ref().map_or(ptr::null(), |path| path.as_ptr())) };
                assert_eq!(history.is_null(), !is_good);
                self.histories[index(*slot)] = history;
                return;
            }
            Call::FreeHistory(slot) => return self.free_history(*slot),
            Call::Repository(slot, Patterns::Null(count)) => {
                // SAFETY: NULL is refused, unless it holds no URL.
                let status = unsafe {
                    fm_history_repository(self.histories[index(*slot)], ptr::null(), (*count).into())
                };
                (*slot, status, Some(*count == 0))
            }
            Call::Repository(slot, Patterns::These(urls)) => {
                let texts: Vec<_> =
                    urls.iter().map(|url| url.as_ref().map(|it| c_string(it.text()))).collect();
                let pointers = strings(texts.iter().map(Option::as_ref));
                let history = self.histories[index(*slot)];
                // SAFETY: an array of this length, of strings and NULL.
                let status = unsafe { fm_history_repository(history, pointers.as_ptr(), pointers.len()) };
                (*slot, status, Some(texts.iter().all(Option::is_some)))
            }
            Call::Report(slot, url, outcome, bytes, seconds) => {
                let url = url.as_ref().map(|url| c_string(url.text(surroundings.port())));
                let pointer = url.as_ref().map_or(ptr::null(), |url| url.as_ptr());
                let (outcome, seconds) = (outcome.value(), seconds.value());
                let history = self.histories[index(*slot)];
                // SAFETY: NULL or a history; NULL or a string.
                let status = unsafe { fm_history_report(history, pointer, outcome, *bytes, seconds) };
                // Longer than a duration can be is refused too.
                let is_good = url.is_some() && (0..=3).contains(&outcome) && (0.0..1e19).contains(&seconds);
                (*slot, status, Some(is_good))
            }
            Call::SaveHistory(slot) => {
                const UNWRITABLE: c_int = fm_status::FM_UNWRITABLE_CACHE as c_int;
                // SAFETY: NULL or a history.
                let status = unsafe { fm_history_save(self.histories[index(*slot)]) };
                assert!([OK, INVALID, UNWRITABLE].contains(&status), "status {status}");
                (*slot, if status == UNWRITABLE { INVALID } else { status }, None)
            }
            _ => unreachable!("it is in another match"),
        };
        let history = self.histories[index(slot)];
        if history.is_null() {
            return assert_eq!(status, INVALID, "for a history that is NULL");
        }
        assert!(is_good.is_none_or(|is_good| is_good == (status == OK)), "status {status} of {call:?}");
        // SAFETY: a history; the message is valid until the next call.
        assert!(status == OK || !unsafe { CStr::from_ptr(fm_history_error(history)) }.is_empty());
    }

    fn demotion(&self, slot: Slot, position: usize, has_output: bool) {
        let mut demotion = MaybeUninit::<fm_demotion>::uninit();
        let output = if has_output { demotion.as_mut_ptr() } else { ptr::null_mut() };
        // SAFETY: NULL or a ranking; NULL or a place for the output, which is read if written.
        unsafe {
            if fm_ranking_demotion(self.ranking(slot), position % 100, output) == OK {
                let demotion = demotion.assume_init();
                assert!(has_output && (0..=3).contains(&demotion.reason));
                assert_eq!(demotion.age < 0.0, demotion.reason == 3);
                assert!(!CStr::from_ptr(demotion.text).is_empty());
            }
        }
    }

    fn rank(
        &mut self,
        slot: Slot,
        urls: Option<&[Option<Url>]>,
        weights: Option<Vec<f64>>,
        output: Option<Slot>,
        surroundings: &Surroundings,
    ) {
        let texts: Option<Vec<Option<CString>>> = urls.map(|urls| {
            let text = |url: &Option<Url>| url.as_ref().map(|url| c_string(url.text(surroundings.port())));
            urls.iter().take(MOST_URLS).map(text).collect()
        });
        let count = texts.as_ref().map_or(usize::from(slot % 2), Vec::len);
        let weights = weights.map(|mut weights: Vec<f64>| {
            weights.resize(count, 1.0);
            weights
        });
        let may_measure = surroundings.is_isolated() && texts.iter().flatten().flatten().all(is_harmless);
        if let Some(held) =
            self.rankers[index(slot)].as_mut().filter(|held| !may_measure && held.timeout != 0.0)
        {
            // SAFETY: a ranker.
            assert_eq!(unsafe { fm_ranker_set_timeout(held.ranker, 0.0) }, OK);
            held.timeout = 0.0;
        }
        let pointers = texts.as_ref().map(|texts| strings(texts.iter().map(Option::as_ref)));
        let untouched = ptr::without_provenance_mut::<fm_ranking>(1);
        let mut ranking = untouched;
        // SAFETY: the ranker is NULL or valid, strings end in NUL, arrays have this length.
        let status = unsafe {
            fm_rank(
                self.ranker(slot),
                pointers.as_ref().map_or(ptr::null(), |pointers| pointers.as_ptr()),
                weights.as_ref().map_or(ptr::null(), |weights| weights.as_ptr()),
                count,
                if output.is_some() { &mut ranking } else { ptr::null_mut() },
            )
        };
        surroundings.hang_up();
        let is_good = (texts.is_some() || count == 0)
            && texts.iter().flatten().all(Option::is_some)
            && weights.iter().flatten().all(|weight| *weight > 0.0 && weight.is_finite())
            && output.is_some();
        let Some(held) = &mut self.rankers[index(slot)] else {
            return assert!(status == INVALID && ranking == untouched);
        };
        // A call that fails uses a cancel up, too.
        let was_cancelled = std::mem::take(&mut held.is_cancelled);
        let by_callback = std::mem::take(&mut held.deeds.is_cancelled);
        if status != OK {
            held.has_error = true;
            assert!(ranking == untouched && !error(held.ranker).is_empty());
            let is_all_excluded = status == ALL_EXCLUDED && held.has_filters && count > 0;
            return assert!(
                if is_good { is_all_excluded } else { status == INVALID },
                "status {status}: {}",
                error(held.ranker)
            );
        }
        assert!(is_good && ranking != untouched && !ranking.is_null());
        let (seed, has_filters, has_cache) = (held.seed, held.has_filters, held.has_cache);
        let urls = texts.into_iter().flatten().flatten().collect();
        let output = output.filter(|&slot| !is_null(slot)).unwrap_or(0);
        self.free_ranking(output);
        self.rankings[index(output)] = Some(Made { ranking, urls });
        let summary = self.check_ranking(output).expect("it was just made");
        assert!(seed.is_none_or(|seed| seed == summary.seed));
        assert!(has_filters || summary.excluded == 0);
        // SAFETY: a ranking.
        assert!(has_cache || unsafe { fm_ranking_warning(ranking, 0) }.is_null());
        let is_cancelled = summary.stop_reason == fm_stop_reason::FM_STOP_CANCELLED as c_int;
        assert!(!is_cancelled || was_cancelled || by_callback);
        if was_cancelled {
            use fm_stop_reason::{FM_STOP_COMPLETE, FM_STOP_IDLE};
            let others = [FM_STOP_IDLE as c_int, FM_STOP_COMPLETE as c_int];
            assert!(is_cancelled || others.contains(&summary.stop_reason), "{summary:?}");
        }
    }

    /// Checks a ranking as a whole.
    fn check_ranking(&self, slot: Slot) -> Option<fm_summary> {
        let made = self.rankings[index(slot)].as_ref()?;
        let mut summary = MaybeUninit::uninit();
        // SAFETY: a ranking, and a place for a summary, which is written.
        let summary = unsafe {
            assert_eq!(fm_ranking_summary(made.ranking, summary.as_mut_ptr()), OK);
            summary.assume_init()
        };
        let read = |get: unsafe extern "C" fn(*const fm_ranking, usize, *mut fm_mirror) -> c_int| {
            let mut mirrors = Vec::new();
            loop {
                let mut mirror = MaybeUninit::uninit();
                // SAFETY: a ranking, and a place for a mirror, which is read if it was written.
                match unsafe { get(made.ranking, mirrors.len(), mirror.as_mut_ptr()) } {
                    OK => mirrors.push(unsafe { mirror.assume_init() }),
                    status => return (mirrors, assert_eq!(status, INVALID)).0,
                }
            }
        };
        let (mirrors, excluded) = (read(fm_ranking_mirror), read(fm_ranking_excluded));
        assert_eq!((mirrors.len(), excluded.len()), (summary.mirrors, summary.excluded));
        let mut is_seen = vec![false; made.urls.len()];
        for mirror in mirrors.iter().chain(&excluded) {
            assert!(!std::mem::replace(&mut is_seen[mirror.index], true), "a URL comes out twice");
            // SAFETY: a string of the ranking.
            assert_eq!(unsafe { CStr::from_ptr(mirror.url) }, &*made.urls[mirror.index]);
            let has_latency = mirror.latency >= 0.0;
            let is_measured = mirror.outcome == fm_outcome::FM_OUTCOME_MEASURED as c_int;
            assert!(mirror.latency.is_finite() && (has_latency || mirror.latency < 0.0));
            assert_eq!(has_latency, is_measured || mirror.outcome == fm_outcome::FM_OUTCOME_CACHED as c_int);
            assert!(has_latency || mirror.pool == 0);
            assert_eq!(!mirror.address.is_null(), is_measured);
            if is_measured {
                // SAFETY: a string of the ranking.
                let address = unsafe { CStr::from_ptr(mirror.address) }.to_str().expect("ASCII");
                let address: std::net::SocketAddr = address.parse().expect("an address");
                assert!(address.ip().to_canonical().is_loopback(), "{address}");
            }
        }
        self.check_reasons(made.ranking, &mirrors);
        assert!(is_seen.iter().all(|&is_seen| is_seen), "a URL is missing");
        let is_excluded = |mirror: &fm_mirror| mirror.outcome == fm_outcome::FM_OUTCOME_EXCLUDED as c_int;
        assert!(excluded.iter().all(is_excluded) && !mirrors.iter().any(is_excluded));
        assert!(excluded.is_sorted_by_key(|mirror| mirror.index));
        let count = |is: fn(&&fm_mirror) -> bool| mirrors.iter().filter(is).count();
        assert_eq!(summary.answered, count(|mirror| mirror.latency >= 0.0));
        assert_eq!(summary.pool, count(|mirror| mirror.pool != 0));
        // SAFETY: a ranking.
        assert!(unsafe { fm_ranking_slack_would_add(made.ranking) } <= summary.answered - summary.pool);
        assert!(summary.elapsed >= 0.0 && (0..=5).contains(&summary.stop_reason));
        // Local ones first, then those with a latency, then the others.
        let class = |mirror: &fm_mirror| match mirror.outcome {
            outcome if outcome == fm_outcome::FM_OUTCOME_LOCAL as c_int => 0,
            _ if mirror.latency >= 0.0 => 1,
            _ => 2,
        };
        assert!(mirrors.is_sorted_by_key(class), "{mirrors:?}");
        if summary.answered == 0 {
            assert!(mirrors.is_sorted_by_key(|mirror| (class(mirror), mirror.index)), "{mirrors:?}");
        }
        Some(summary)
    }

    fn get(&self, call: &Call) {
        /// Bytes that no output has by chance.
        const MARK: u8 = 0xa5;
        let (slot, has_output) = match *call {
            Call::Summary(slot, has_output) => (slot, has_output),
            Call::Mirror(slot, _, has_output) | Call::Excluded(slot, _, has_output) => (slot, has_output),
            Call::Warning(slot, position) => {
                // SAFETY: NULL or a ranking; the string belongs to it.
                let warning = unsafe { fm_ranking_warning(self.ranking(slot), position) };
                if !warning.is_null() {
                    // SAFETY: as above.
                    assert!(!unsafe { CStr::from_ptr(warning) }.is_empty());
                }
                return;
            }
            _ => unreachable!("it is in another match"),
        };
        let ranking = self.ranking(slot);
        let (mut summary, mut mirror) = ([MARK; size_of::<fm_summary>()], [MARK; size_of::<fm_mirror>()]);
        let mut place = MaybeUninit::<(fm_summary, fm_mirror)>::uninit();
        // SAFETY: NULL or a ranking; NULL or a place for the output, all of whose bytes are set.
        let status = unsafe {
            place.as_mut_ptr().write_bytes(MARK, 1);
            let to_summary = &raw mut (*place.as_mut_ptr()).0;
            let to_mirror = &raw mut (*place.as_mut_ptr()).1;
            let status = match *call {
                Call::Summary(..) => {
                    fm_ranking_summary(ranking, if has_output { to_summary } else { ptr::null_mut() })
                }
                Call::Mirror(_, position, _) => {
                    fm_ranking_mirror(ranking, position, if has_output { to_mirror } else { ptr::null_mut() })
                }
                Call::Excluded(_, position, _) => fm_ranking_excluded(
                    ranking,
                    position,
                    if has_output { to_mirror } else { ptr::null_mut() },
                ),
                _ => unreachable!("it is in another match"),
            };
            if status != OK {
                ptr::copy_nonoverlapping(to_summary.cast(), summary.as_mut_ptr(), summary.len());
                ptr::copy_nonoverlapping(to_mirror.cast(), mirror.as_mut_ptr(), mirror.len());
            }
            status
        };
        assert!(status == OK || status == INVALID);
        assert!(status != OK || (has_output && !ranking.is_null()));
        assert!(summary.iter().chain(&mirror).all(|&byte| byte == MARK), "an output was written on failure");
    }
}

fn error(ranker: *const fm_ranker) -> String {
    // SAFETY: NULL or a ranker; the string is copied before the next call.
    unsafe { CStr::from_ptr(fm_ranker_error(ranker)) }.to_string_lossy().into_owned()
}

fn is_period(seconds: f64) -> bool {
    seconds >= 0.0 && seconds.is_finite()
}

/// Whether a URL leads to no other machine, without a lookup, as the library reads it.
fn is_harmless(url: &CString) -> bool {
    match Mirror::parse(&url.to_string_lossy()) {
        Mirror::Remote(_, endpoint) => {
            matches!(endpoint.host, Host::Address(address) if address.to_canonical().is_loopback())
        }
        _ => true,
    }
}

fn cache_path(path: &Path, surroundings: &Surroundings) -> Option<CString> {
    let directory = surroundings.directory.as_os_str().as_bytes();
    let below = |name: &[u8]| Some(c_string([directory, b"/", name].concat()));
    match path {
        Path::Null => None,
        Path::Empty => Some(CString::default()),
        Path::Usual => below(b"cache"),
        Path::Directory => Some(c_string(directory.to_vec())),
        Path::Missing => below(b"no/cache"),
        Path::Device => Some(c"/dev/null".to_owned()),
        Path::Any(bytes) => {
            let name: Vec<u8> = bytes.iter().map(|&byte| if byte == b'/' { b'_' } else { byte }).collect();
            below(&[b"any".as_slice(), &name].concat())
        }
    }
}

/// What a callback does besides returning.
fn act(deeds: &mut Deeds, deed: Deed) {
    // SAFETY: the ranker is in use by the call that calls back.
    unsafe {
        match deed {
            Deed::Nothing => {}
            Deed::Cancel => {
                deeds.is_cancelled = true;
                fm_ranker_cancel(deeds.ranker);
            }
            Deed::Meddle => {
                let mut ranking = ptr::null_mut();
                assert_eq!(fm_ranker_set_seed(deeds.ranker, 1), BUSY);
                assert_eq!(fm_ranker_set_cache(deeds.ranker, ptr::null()), BUSY);
                assert_eq!(fm_ranker_set_log(deeds.ranker, None, ptr::null_mut()), BUSY);
                assert_eq!(fm_rank(deeds.ranker, ptr::null(), ptr::null(), 0, &mut ranking), BUSY);
                assert!(ranking.is_null());
                assert_eq!(error(deeds.ranker), "the ranker is in use");
            }
        }
    }
}

unsafe extern "C" fn on_progress(completed: usize, total: usize, best: f64, data: *mut c_void) {
    assert!(completed <= total && best.is_finite());
    // SAFETY: what was passed with the function.
    let deeds = unsafe { &mut *data.cast::<Deeds>() };
    act(deeds, deeds.progress);
}

unsafe extern "C" fn on_log(level: c_int, message: *const c_char, data: *mut c_void) {
    assert!((0..=1).contains(&level));
    // SAFETY: a string that is valid during the call.
    let message = unsafe { CStr::from_ptr(message) }.to_str().expect("UTF-8");
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(!message.contains(SECRET) && !message.contains("hunter2hunter2"), "{message:?}");
    // SAFETY: what was passed with the function.
    let deeds = unsafe { &mut *data.cast::<Deeds>() };
    act(deeds, deeds.log);
}

unsafe extern "C" fn on_interrupt_check(data: *mut c_void) -> c_int {
    // SAFETY: what was passed with the function.
    let deeds = unsafe { &mut *data.cast::<Deeds>() };
    act(deeds, deeds.interrupt);
    deeds.is_cancelled |= deeds.answer != 0;
    deeds.answer
}
