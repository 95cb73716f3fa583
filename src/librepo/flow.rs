//! From lists of URLs to an order, as far as administrator, handles and network let it be measured; and each stage told to
//! who listens.

use super::found::{Curl, Librepo};
use super::handle::{Handle, Listener};
use super::log::{self, Log};
use super::settings::Settings;
use super::{layout, proxy};
use crate::outcome::Outcome;
use crate::panic::catch_panic;
use crate::ranker::{Ranker, Run};
use crate::ranking::{Candidate, RankedMirror, Ranking};
use std::ffi::{CString, c_int, c_long, c_void};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

/// What a caller is after.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Wanted {
    Order,
    Latencies,
}

/// The mirrors of one repository.
pub(crate) struct Part {
    pub(crate) handle: Option<Handle>,
    pub(crate) urls: Vec<String>,
}

/// Ranks, as far as administrator, handles and network let it; nothing means: keep the order given. The first handle's
/// options count, and its callback is told of each stage. The indices are those of all URLs in a row; those of a
/// handle that keeps its order are not among them.
pub(crate) fn rank(log: &Log, settings: &Settings, parts: Vec<Part>, wanted: Wanted) -> Option<Ranking> {
    let first = parts.first()?.handle;
    if first.is_some_and(|handle| handle.is_offline()) {
        log.debug("the order is kept: offline");
        return None;
    }
    let stages = Stages(first.and_then(|handle| handle.listener()));
    stages.tell(layout::LR_FMSTAGE_INIT, ptr::null_mut());
    // Guarded by itself, so that the last stage is told whatever happens.
    let result = catch_panic(|| measured(log, settings, first, parts, wanted, &stages));
    match result.and_then(|result| result.map_err(|error| error.to_string())) {
        Ok(ranking) => {
            stages.tell(layout::LR_FMSTAGE_STATUS, ptr::null_mut());
            ranking
        }
        Err(failed) => {
            log.debug(&format!("the order is kept: {failed}"));
            stages.tell_text(layout::LR_FMSTAGE_STATUS, Some(&failed));
            None
        }
    }
}

fn measured(
    log: &Log,
    settings: &Settings,
    first: Option<Handle>,
    parts: Vec<Part>,
    wanted: Wanted,
    stages: &Stages,
) -> Result<Option<Ranking>, crate::Error> {
    let repositories = parts.len();
    // What is ranked of each repository: its URLs, and their positions among all.
    let mut kept: Vec<(Range<usize>, Vec<String>)> = Vec::new();
    let mut begin = 0;
    for part in parts {
        let range = begin..begin + part.urls.len();
        begin = range.end;
        if !range.is_empty() && may_be_measured(log, &part) {
            kept.push((range, part.urls));
        }
    }
    if kept.is_empty() {
        return Ok(None);
    }

    let mut ranker = Ranker::new();
    heed_interrupts(&mut ranker);
    if let Some(handle) = first {
        ranker.timeout(handle.timeout())?.family(handle.family()).max_age(handle.max_age());
    }
    if repositories > 1 {
        // The fallbacks of one repository are none for another.
        ranker.fallbacks(Ranker::ALL);
    }
    settings.apply(&mut ranker);
    let cache = first.and_then(|handle| handle.cache());
    ranker.cache(cache.as_deref());
    if let Some(path) = &cache {
        // A path from C holds no NUL.
        let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        stages.tell(layout::LR_FMSTAGE_CACHELOADING, path.as_ptr().cast_mut().cast());
    }
    let urls = kept.iter().flat_map(|(_, urls)| urls);
    let list = ranker.read(urls.map(Candidate::from).collect())?;
    let mut run = Run::begin(&ranker, list);
    if cache.is_some() {
        stages.tell_text(layout::LR_FMSTAGE_CACHELOADINGSTATUS, run.cache_problem());
    }
    if wanted == Wanted::Latencies || !run.is_decided() {
        if run.to_measure() > 0 {
            let mut number = run.to_measure() as c_long;
            stages.tell(layout::LR_FMSTAGE_DETECTION, (&raw mut number).cast());
        }
        run.measure(&mut ranker)?;
    }
    stages.tell(layout::LR_FMSTAGE_FINISHING, ptr::null_mut());
    let mut ranking = run.conclude(&ranker);
    log.ranking(&ranking);
    let positions: Vec<usize> = kept.iter().flat_map(|(range, _)| range.clone()).collect();
    for mirror in &mut ranking.mirrors {
        mirror.index = positions[mirror.index];
    }
    if repositories > 1 {
        measure_the_hopeless(log, &mut ranker, kept, &mut ranking);
    }
    Ok(Some(ranking))
}

/// Among nearer mirrors, measuring may end before those of a repository that has only far ones have answered. Such a
/// repository is measured by itself.
fn measure_the_hopeless(
    log: &Log,
    ranker: &mut Ranker,
    kept: Vec<(Range<usize>, Vec<String>)>,
    ranking: &mut Ranking,
) {
    for (range, urls) in kept {
        let mut mirrors = ranking.mirrors.iter().filter(|mirror| range.contains(&mirror.index));
        let is_good =
            |mirror: &RankedMirror| mirror.outcome.latency().is_some() || mirror.outcome == Outcome::Local;
        let is_open = |mirror: &RankedMirror| mirror.from_cache || mirror.outcome == Outcome::Unanswered;
        if mirrors.clone().any(is_good) || !mirrors.any(is_open) || interrupted() {
            continue;
        }
        log.debug(&format!("none of {} mirrors of one repository is known to answer: once more", urls.len()));
        let again = match ranker.rank(urls) {
            Ok(again) => again,
            // What is known of the others is not lost for that.
            Err(why) => {
                log.debug(&format!("its order is kept: {why}"));
                continue;
            }
        };
        log.ranking(&again);
        ranking.mirrors.retain(|mirror| !range.contains(&mirror.index));
        let moved = |mut mirror: RankedMirror| {
            mirror.index += range.start;
            mirror
        };
        ranking.mirrors.extend(again.mirrors.into_iter().map(moved));
    }
}

/// Whether these mirrors can be reached directly, as far as libcurl is concerned.
fn may_be_measured(log: &Log, part: &Part) -> bool {
    if part.handle.is_some_and(|handle| handle.is_offline()) {
        log.debug(&format!("the order of {} mirrors is kept: offline", part.urls.len()));
        return false;
    }
    let Some(curl) = Curl::find() else { return true };
    let own = part.handle.and_then(|handle| handle.curl()).unwrap_or(ptr::null_mut());
    // SAFETY: the handle's own, and the handle is the caller's during this call.
    let Some(index) = (unsafe { proxy::first_behind_one(&curl, own, &part.urls) }) else { return true };
    let (url, mirrors) = (log::without_user(&part.urls[index]), part.urls.len());
    log.debug(&format!("the order of {mirrors} mirrors is kept: {url} is reached through a proxy"));
    false
}

/// Who is told of the stages of a call, if anybody.
struct Stages(Option<Listener>);

impl Stages {
    /// With what librepo passes with this stage.
    fn tell(&self, stage: c_int, pointer: *mut c_void) {
        if let Some(listener) = &self.0 {
            // SAFETY: see the callers: NULL, a string or a number, as librepo's headers say of the stage.
            unsafe { listener.tell(stage, pointer) };
        }
    }

    fn tell_text(&self, stage: c_int, text: Option<&str>) {
        let text = text.map(|text| CString::new(text.replace('\0', "?")).unwrap_or_default());
        self.tell(stage, text.as_ref().map_or(ptr::null_mut(), |text| text.as_ptr().cast_mut().cast()));
    }
}

/// The flag that librepo's signal handler sets.
static INTERRUPT: AtomicPtr<c_int> = AtomicPtr::new(ptr::null_mut());

/// Lets an interrupt of librepo's end measuring, where its flag is to be found: once, not at each step.
fn heed_interrupts(ranker: &mut Ranker) {
    if let Some(librepo) = Librepo::find().filter(|librepo| !librepo.interrupt.is_null()) {
        INTERRUPT.store(librepo.interrupt.cast_mut(), SeqCst);
        ranker.interrupt_check(interrupted);
    }
}

fn interrupted() -> bool {
    let flag = INTERRUPT.load(SeqCst);
    // SAFETY: NULL, or a `volatile sig_atomic_t` of librepo's, which stays loaded.
    !flag.is_null() && unsafe { flag.read_volatile() != 0 }
}
