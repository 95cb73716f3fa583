//! From lists of URLs to an order: which lists may be measured, one run over all of them, and the
//! calls of librepo's callback on the way.

use crate::handle::{Handle, Listener};
use crate::layout;
use crate::log::Log;
use crate::proxy::{self, Answer, Patience};
use crate::reference;
use crate::settings::{self, Settings};
use crate::symbols::{Curl, InterruptFlag, Librepo};
use fastestmirror::{
    Endpoint, Error, Event, Mirror, Outcome, RankedMirror, Ranker, Ranking, StopReason, catch_panic,
};
use std::ffi::{CString, c_int, c_long, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What a caller wants to know.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Wanted {
    Order,
    Latencies,
}

/// The mirrors of one repository, as far as they are used.
pub(crate) struct MirrorList {
    pub(crate) handle: Option<Handle>,
    pub(crate) urls: Vec<String>,
    /// The position of each URL among those of all lists of a call in a row; they ascend.
    pub(crate) positions: Vec<usize>,
}

/// Ranks the mirrors of several lists together, as far as handles and network allow it. Returns
/// nothing if every list keeps its order. What the settings exclude is no longer in the lists.
///
/// The options of the first handle count, and its callback is called at each stage. An index in the
/// result is a position in a list. Mirrors of a list that keeps its order are not in it.
pub(crate) fn rank(log: Log, settings: &Settings, lists: Vec<MirrorList>, wanted: Wanted) -> Option<Ranking> {
    let first = lists.first()?.handle;
    if first.is_some_and(|handle| handle.is_offline()) {
        log.debug("keeping the given order: offline");
        return None;
    }
    let stages = Stages(first.and_then(|handle| handle.listener()));
    stages.notify(layout::LR_FMSTAGE_INIT, ptr::null_mut());
    // A panic is caught here already, so that the last stage is called whatever happens.
    let result = catch_panic(|| measure(log, settings, first, lists, wanted, stages));
    match result.and_then(|result| result.map_err(|error| error.to_string())) {
        Ok(ranking) => {
            stages.notify_text(layout::LR_FMSTAGE_STATUS, None);
            ranking
        }
        Err(problem) => {
            log.debug(&format!("keeping the given order: {problem}"));
            stages.notify_text(layout::LR_FMSTAGE_STATUS, Some(&problem));
            None
        }
    }
}

fn measure(
    log: Log,
    settings: &Settings,
    first: Option<Handle>,
    lists: Vec<MirrorList>,
    wanted: Wanted,
    stages: Stages,
) -> Result<Option<Ranking>, Error> {
    let repositories = lists.len();
    let start = Instant::now();
    let timeout = first.map_or(Duration::from_secs(2), |handle| handle.timeout());
    let interrupt = Librepo::find().and_then(|librepo| librepo.interrupt);
    let mut patience = Patience::new(start + timeout, interrupt);
    let measurable: Vec<MirrorList> = lists
        .into_iter()
        .filter(|list| !list.urls.is_empty() && may_be_measured(log, list, &mut patience))
        .collect();
    if measurable.is_empty() {
        return Ok(None);
    }
    let urls: Vec<&String> = measurable.iter().flat_map(|list| &list.urls).collect();
    let is_decided = wanted == Wanted::Order && !depends_on_latency(&urls);

    let mut ranker = Ranker::new();
    ranker.timeout(timeout.saturating_sub(start.elapsed()))?;
    if let Some(handle) = first {
        ranker.family(handle.family()).max_age(handle.max_age());
    }
    settings.apply_ranking(&mut ranker);
    if wanted == Wanted::Latencies {
        // The latencies themselves were asked for, also those that no order depends on.
        ranker.fallbacks(Ranker::ALL);
    }
    if is_decided {
        log.debug("measuring nothing: no latency can change the order");
        ranker.timeout(Duration::ZERO)?;
    } else if wanted == Wanted::Order && settings.has_given_pool() {
        // All lists of the process agree.
        let reference = reference::extend(&urls);
        ranker.pool_reference(&reference.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if let Some(flag) = interrupt {
        watch_interrupt_flag(&mut ranker, flag);
    }
    if let Some(path) = first.and_then(|handle| handle.cache()) {
        ranker.cache(Some(&path));
        stages.notify_path(layout::LR_FMSTAGE_CACHELOADING, &path);
    }
    ranker.observer(move |event| {
        log.event(event);
        stages.notify_event(event);
    });
    let mut ranking = ranker.rank(urls)?;
    stages.notify(layout::LR_FMSTAGE_FINISHING, ptr::null_mut());
    if wanted == Wanted::Order {
        hint_at_slack(log, &ranking);
    }

    let positions: Vec<usize> = measurable.iter().flat_map(|list| &list.positions).copied().collect();
    for mirror in &mut ranking.mirrors {
        mirror.index = positions[mirror.index];
    }
    if repositories > 1 && !is_decided {
        // The stages have been called; of these runs there are log lines alone.
        ranker.observer(move |event| log.event(event));
        remeasure_unanswered(log, &mut ranker, start + timeout, measurable, &mut ranking)?;
    }
    Ok(Some(ranking))
}

/// Says, once in a process, that a pool has few hosts and that some slack would add others.
fn hint_at_slack(log: Log, ranking: &Ranking) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if ranking.slack_would_add > 0 && !SAID.swap(true, Relaxed) {
        let (added, slack) = (ranking.slack_would_add, Ranker::SUGGESTED_SLACK.as_millis());
        log.debug(&format!(
            "the pool has few hosts, which carry all load from here: slack = {slack} in {} would add {added}",
            settings::file().display()
        ));
    }
}

/// Whether the order of these mirrors can depend on a latency. It cannot if there is one endpoint,
/// and nothing but local mirrors besides.
fn depends_on_latency(urls: &[&String]) -> bool {
    let mut single: Option<Endpoint> = None;
    for url in urls {
        match Mirror::parse(url) {
            Mirror::Local => {}
            Mirror::Remote(_, endpoint) => {
                if *single.get_or_insert_with(|| endpoint.clone()) != endpoint {
                    return true;
                }
            }
            Mirror::Unsupported => return true,
        }
    }
    false
}

/// How often repositories without an answer are measured once more. Each time, an endpoint that is
/// silent gets two more attempts.
const MORE_PASSES: usize = 2;

/// Measures the repositories that have no mirror known to answer once more, all of them together,
/// until the deadline of the call. A fallback of one repository is of no use to another, and among
/// nearer mirrors of other repositories, measuring may have stopped before any of its own could
/// answer.
fn remeasure_unanswered(
    log: Log,
    ranker: &mut Ranker,
    deadline: Instant,
    mut lists: Vec<MirrorList>,
    ranking: &mut Ranking,
) -> Result<(), Error> {
    // Each repository needs a mirror of its own.
    ranker.fallbacks(Ranker::ALL);
    let mut may_help = another_pass_may_help(ranking);
    for _ in 0..MORE_PASSES {
        lists = without_answer(lists, ranking);
        if lists.is_empty() || !may_help {
            break;
        }
        log.debug(&format!(
            "measuring once more: no mirror of {} of the repositories is known to answer",
            lists.len()
        ));
        let positions: Vec<usize> = lists.iter().flat_map(|list| &list.positions).copied().collect();
        ranker.timeout(deadline.saturating_duration_since(Instant::now()))?;
        let again = match ranker.rank(lists.iter().flat_map(|list| &list.urls)) {
            Ok(again) => again,
            // The results for the other repositories still count.
            Err(error) => {
                log.debug(&format!("keeping their given order: {error}"));
                break;
            }
        };
        may_help = another_pass_may_help(&again);
        ranking.mirrors.retain(|mirror| positions.binary_search(&mirror.index).is_err());
        for mut mirror in again.mirrors {
            mirror.index = positions[mirror.index];
            ranking.mirrors.push(mirror);
        }
    }
    Ok(())
}

/// Whether mirrors that have not answered may do so in another pass: there is time left, and a
/// mirror has answered, which shows that the network is there. (If all was known, none was asked.)
fn another_pass_may_help(ranking: &Ranking) -> bool {
    let is_heard = |mirror: &RankedMirror| matches!(mirror.outcome, Outcome::Measured(_));
    match ranking.stop_reason {
        StopReason::Timeout | StopReason::Cancelled => false,
        StopReason::Idle => true,
        _ => ranking.mirrors.iter().any(is_heard),
    }
}

/// Returns the lists of which no mirror is known to answer, but may.
fn without_answer(lists: Vec<MirrorList>, ranking: &Ranking) -> Vec<MirrorList> {
    let mut place = vec![None; ranking.mirrors.iter().map(|mirror| mirror.index + 1).max().unwrap_or(0)];
    for (at, mirror) in ranking.mirrors.iter().enumerate() {
        place[mirror.index] = Some(at);
    }
    let is_usable =
        |mirror: &RankedMirror| mirror.outcome.latency().is_some() || mirror.outcome == Outcome::Local;
    // A failure that was read from the cache may be over.
    let may_answer = |mirror: &RankedMirror| mirror.from_cache || mirror.outcome == Outcome::Unanswered;
    let is_left = |list: &MirrorList| {
        let mut own = list.positions.iter().filter_map(|&index| Some(&ranking.mirrors[place[index]?]));
        !own.clone().any(is_usable) && own.any(may_answer)
    };
    lists.into_iter().filter(is_left).collect()
}

/// Whether these mirrors can be reached, and directly, as far as librepo and libcurl are concerned.
fn may_be_measured(log: Log, list: &MirrorList, patience: &mut Patience) -> bool {
    let mirrors = list.urls.len();
    if list.handle.is_some_and(|handle| handle.is_offline()) {
        log.debug(&format!("keeping the given order of {mirrors} mirrors: offline"));
        return false;
    }
    let Some(functions) = Curl::find() else { return true };
    let curl = list.handle.and_then(|handle| handle.curl()).unwrap_or(ptr::null_mut());
    // SAFETY: the libcurl handle of a librepo handle, which is the caller's during this call.
    let behind_proxy = unsafe { proxy::first_behind_proxy(&functions, curl, &list.urls, patience) };
    let index = match behind_proxy {
        Answer::No => return true,
        Answer::Yes(index) => index,
        Answer::Unknown => {
            log.debug(&format!(
                "keeping the given order of {mirrors} mirrors: it takes too long to find out which of \
                 them are reached through a proxy"
            ));
            return false;
        }
    };
    // The host alone: the URL may hold a password.
    if let Some(host) = Mirror::parse(&list.urls[index]).host() {
        log.debug(&format!(
            "keeping the given order of {mirrors} mirrors: {host} is reached through a proxy"
        ));
    }
    false
}

/// The callback that is called at each stage of a call, if there is one.
#[derive(Clone, Copy)]
struct Stages(Option<Listener>);

impl Stages {
    /// Calls it with what librepo passes with this stage: NULL, a string or a number.
    fn notify(self, stage: c_int, pointer: *mut c_void) {
        if let Some(listener) = self.0 {
            // SAFETY: librepo's caller is waiting on this thread; the callers of this function pass
            // what librepo's headers say of the stage.
            unsafe { listener.call(stage, pointer) };
        }
    }

    fn notify_text(self, stage: c_int, text: Option<&str>) {
        let text = text.map(|text| CString::new(text.replace('\0', "?")).unwrap_or_default());
        self.notify(stage, text.as_ref().map_or(ptr::null_mut(), |text| text.as_ptr().cast_mut().cast()));
    }

    fn notify_path(self, stage: c_int, path: &Path) {
        // A path from C holds no NUL.
        let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        self.notify(stage, path.as_ptr().cast_mut().cast());
    }

    /// Calls it where an event of a run is one of librepo's stages.
    fn notify_event(self, event: &Event<'_>) {
        match event {
            Event::CacheRead { problem, .. } => {
                self.notify_text(layout::LR_FMSTAGE_CACHELOADINGSTATUS, *problem);
            }
            Event::Measuring { endpoints } => {
                let mut number = *endpoints as c_long;
                self.notify(layout::LR_FMSTAGE_DETECTION, (&raw mut number).cast());
            }
            _ => {}
        }
    }
}

/// Lets an interrupt that librepo has noticed stop measuring.
fn watch_interrupt_flag(ranker: &mut Ranker, flag: InterruptFlag) {
    ranker.interrupt_check(move || flag.is_set());
}
