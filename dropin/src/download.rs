//! Watching librepo's downloads: during a call of librepo's own `lr_download` the callbacks of each
//! target are wrapped, so that a [`History`] learns which mirror failed and how, and with
//! `history = all` how fast the others were. What the callbacks return to librepo is what those of
//! its caller have returned. Nothing is learned of files that do not come from a list of mirrors.

mod outcome;
mod target;

use crate::handle::{Handle, url_of};
use crate::layout::{self, DownloadTarget};
use crate::list;
use crate::log::Log;
use crate::settings::Settings;
use crate::symbols::{EndCallback, FailureCallback, GSList, Glib, Librepo, ProgressCallback};
use fastestmirror::{DownloadOutcome, History, HistoryUse, catch_panic};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The downloads of a call, while their callbacks are wrapped. Dropping it puts the callbacks back
/// and saves what was learned.
#[derive(Debug)]
pub(crate) struct Watched(Rc<Call>);

#[derive(Debug)]
struct Call {
    log: Log,
    /// How many downloads are complete and not yet reported.
    complete: Cell<usize>,
    histories: RefCell<Histories>,
    downloads: Vec<Download>,
}

/// A target whose callbacks are wrapped; they get a pointer to this.
#[derive(Debug)]
struct Download {
    /// The call that has this download.
    call: Cell<*const Call>,
    target: *mut DownloadTarget,
    handle: Handle,
    original: Callbacks,
    /// The position of its history.
    history: usize,
    /// Whether speeds count.
    with_speed: bool,
    body: Cell<Option<Body>>,
    state: Cell<State>,
    /// The mirrors that lacked the file or had another version of it. That is their fault only if
    /// one serves it: with old metadata, a client asks for files that none has any more.
    lacking: RefCell<Vec<(String, DownloadOutcome)>>,
}

#[derive(Debug, Clone, Copy)]
struct Callbacks {
    progress: Option<ProgressCallback>,
    end: Option<EndCallback>,
    failure: Option<FailureCallback>,
    data: *mut c_void,
}

/// What has arrived of a file: its length, and the times of its first and last part.
#[derive(Debug, Clone, Copy)]
struct Body {
    bytes: u64,
    first: Instant,
    last: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Running,
    /// The file is complete. librepo names its mirror only after it has called the last callback.
    Complete,
    Reported,
}

impl Watched {
    /// Wraps the callbacks of these targets; returns nothing if no history is to be kept, or none
    /// can be.
    ///
    /// # Safety
    /// `targets` is a list of `LrDownloadTarget` that outlives the result and that nothing else
    /// changes meanwhile but librepo's `lr_download`.
    pub(crate) unsafe fn begin(targets: *mut GSList) -> Option<Watched> {
        // SAFETY: the caller's promise.
        let targets = unsafe { list::items(targets) };
        if targets.is_empty() {
            return None;
        }
        let settings = Settings::read();
        let history = settings.history();
        if history == HistoryUse::Off || settings.off().is_some() {
            return None;
        }
        let librepo = Librepo::find().filter(|&librepo| target::is_proved(librepo))?;
        let with_speed = history == HistoryUse::All;
        let (mut histories, mut downloads) = (Vec::new(), Vec::new());
        for target in targets {
            // SAFETY: the caller's promise; the layout is proved.
            downloads.extend(unsafe { Download::new(librepo, &mut histories, target.cast(), with_speed) });
        }
        if downloads.is_empty() {
            return None;
        }
        let log = Log(Glib::find());
        log.call("lr_download", downloads.len(), "download");
        settings.log(log);
        name_repositories(&downloads, &mut histories);
        let (histories, complete) = (RefCell::new(histories), Cell::new(0));
        let call = Rc::new(Call { log, histories, downloads, complete });
        for download in &call.downloads {
            download.call.set(Rc::as_ptr(&call));
            // SAFETY: the caller's promise. The downloads stay where they are until this is
            // dropped, which puts the callbacks back.
            unsafe { download.wrap() };
        }
        Some(Watched(call))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let call = &self.0;
        for download in &call.downloads {
            // SAFETY: the promise of `begin`.
            unsafe { download.restore() };
        }
        let saved = catch_panic(|| {
            call.report_complete();
            for (path, history) in &mut *call.histories.borrow_mut() {
                if let Some(problem) = history.save() {
                    call.log.debug(&format!("{}: {problem}", path.display()));
                }
            }
        });
        if let Err(problem) = saved {
            call.log.debug(&format!("what downloads have shown is lost: {problem}"));
        }
    }
}

/// A history for each cache, by its path.
type Histories = Vec<(PathBuf, History)>;

/// Returns the position of the history that is kept in this cache.
fn history_in(path: PathBuf, histories: &mut Histories) -> usize {
    if let Some(position) = histories.iter().position(|(other, _)| *other == path) {
        return position;
    }
    let history = History::new(&path);
    histories.push((path, history));
    histories.len() - 1
}

/// Says which mirrors belong to one repository, which is what a handle is for.
fn name_repositories(downloads: &[Download], histories: &mut Histories) {
    let mut named = HashSet::new();
    for download in downloads {
        if named.insert(download.handle.address()) {
            let mirrors = download.mirrors();
            let mirrors: Vec<&str> = mirrors.iter().map(String::as_str).collect();
            histories[download.history].1.repository(&mirrors);
        }
    }
}

impl Call {
    /// Reports the files that are complete, as far as librepo has named their mirrors.
    fn report_complete(&self) {
        if self.complete.get() == 0 {
            return;
        }
        for download in self.downloads.iter().filter(|download| download.state.get() == State::Complete) {
            // SAFETY: the promise of `begin`; NULL or a string.
            let mirror = unsafe { list::text((*download.target).usedmirror) };
            if mirror.is_empty() {
                continue;
            }
            download.state.set(State::Reported);
            self.complete.set(self.complete.get() - 1);
            // Of a zchunk file there are several transfers, with pauses between them.
            // SAFETY: the promise of `begin`.
            let is_zchunk = unsafe { (*download.target).is_zchunk != 0 };
            let body = download.body.get().filter(|_| !is_zchunk);
            let bytes = body.map_or(0, |body| body.bytes);
            let time = body.map_or(Duration::ZERO, |body| body.last - body.first);
            for (lacking, outcome) in download.lacking.take() {
                self.report(download, &lacking, outcome, 0, Duration::ZERO);
            }
            self.report(download, &mirror, DownloadOutcome::Ok, bytes, time);
        }
    }

    fn report(
        &self,
        download: &Download,
        mirror: &str,
        outcome: DownloadOutcome,
        bytes: u64,
        time: Duration,
    ) {
        self.histories.borrow_mut()[download.history].1.report(mirror, outcome, bytes, time);
    }
}

impl Download {
    /// Returns nothing for a target that does not come from a list of mirrors, for one whose list
    /// keeps its order, or without a cache.
    ///
    /// # Safety
    /// `target` is NULL or a target, and outlives the result; its layout is proved.
    unsafe fn new(
        librepo: Librepo,
        histories: &mut Histories,
        target: *mut DownloadTarget,
        with_speed: bool,
    ) -> Option<Download> {
        // SAFETY: the caller's promise.
        let fields = unsafe { target.as_ref() }?;
        // SAFETY: the strings of a target.
        let has_own_url = !fields.baseurl.is_null() || unsafe { list::text(fields.path) }.contains("://");
        if fields.handle.is_null() || has_own_url {
            return None;
        }
        // SAFETY: the handle of a target outlives it.
        let handle = unsafe { Handle::new(librepo, fields.handle) };
        // dnf names a cache also where its mirrors keep their order, and nothing reads it.
        if !handle.has_fastestmirror() {
            return None;
        }
        let cache = handle.cache()?;
        // Without a list, no mirror can be named.
        handle.mirrors()?;
        Some(Download {
            call: Cell::new(ptr::null()),
            target,
            handle,
            original: Callbacks {
                progress: fields.progresscb,
                end: fields.endcb,
                failure: fields.mirrorfailurecb,
                data: fields.cbdata,
            },
            history: history_in(cache, histories),
            with_speed,
            body: Cell::new(None),
            state: Cell::new(State::Running),
            lacking: RefCell::default(),
        })
    }

    /// # Safety
    /// The target is there, and this stays where it is until [`Download::restore`].
    unsafe fn wrap(&self) {
        // SAFETY: the caller's promise.
        let target = unsafe { &mut *self.target };
        target.cbdata = (&raw const *self).cast_mut().cast();
        target.endcb = Some(on_end);
        target.mirrorfailurecb = Some(on_failure);
        // It shares its data with the others. Without one, libcurl reports no progress.
        if self.original.progress.is_some() || self.with_speed {
            target.progresscb = Some(on_progress);
        }
    }

    /// Notes how much of the file has arrived. The numbers begin again with each mirror that is
    /// tried.
    fn progress(&self, downloaded: f64) {
        let (bytes, now) = (downloaded as u64, Instant::now());
        let body = match self.body.get() {
            _ if bytes == 0 => None,
            Some(body) if body.bytes <= bytes => Some(Body { bytes, last: now, ..body }),
            _ => Some(Body { bytes, first: now, last: now }),
        };
        self.body.set(body);
    }

    /// Returns the URLs of the mirrors that librepo has for it.
    fn mirrors(&self) -> Vec<String> {
        let mirrors = self.handle.mirrors().unwrap_or(ptr::null_mut());
        // SAFETY: the layout is proved, and the list is the handle's.
        unsafe { list::items(mirrors).into_iter().map(|mirror| list::text(url_of(mirror))).collect() }
    }

    /// Puts the callbacks back. (All downloads of a target that is in the list twice have the same
    /// original ones.)
    ///
    /// # Safety
    /// The target is still there.
    unsafe fn restore(&self) {
        // SAFETY: the caller's promise.
        let target = unsafe { &mut *self.target };
        target.cbdata = self.original.data;
        target.endcb = self.original.end;
        target.mirrorfailurecb = self.original.failure;
        target.progresscb = self.original.progress;
    }
}

/// Returns the download that a callback was called for.
///
/// # Safety
/// `data` is what [`Download::wrap`] has set, and the callbacks have not been put back.
unsafe fn download<'a>(data: *mut c_void) -> &'a Download {
    // SAFETY: the caller's promise.
    unsafe { &*data.cast::<Download>() }
}

/// Notes what happens to a download before its own callback is called. Whatever comes of it, the
/// callback is called.
fn note(download: &Download, body: impl FnOnce(&Call)) {
    let result = catch_panic(|| {
        // SAFETY: the call outlives its downloads.
        let call = unsafe { &*download.call.get() };
        call.report_complete();
        body(call);
    });
    if let Err(problem) = result {
        Log(Glib::find()).debug(&format!("a download is not watched: {problem}"));
    }
}

unsafe extern "C-unwind" fn on_progress(data: *mut c_void, total: f64, downloaded: f64) -> c_int {
    // SAFETY: librepo passes the data of the target.
    let download = unsafe { download(data) };
    if download.with_speed {
        note(download, |_| download.progress(downloaded));
    }
    let Some(original) = download.original.progress else { return layout::LR_CB_OK };
    // SAFETY: what librepo would have called.
    unsafe { original(download.original.data, total, downloaded) }
}

unsafe extern "C-unwind" fn on_end(data: *mut c_void, status: c_int, message: *const c_char) -> c_int {
    // SAFETY: librepo passes the data of the target.
    let download = unsafe { download(data) };
    note(download, |call| {
        if status == layout::LR_TRANSFER_SUCCESSFUL && download.state.get() == State::Running {
            download.state.set(State::Complete);
            call.complete.set(call.complete.get() + 1);
        }
    });
    let Some(original) = download.original.end else { return layout::LR_CB_OK };
    // SAFETY: what librepo would have called.
    unsafe { original(download.original.data, status, message) }
}

unsafe extern "C-unwind" fn on_failure(
    data: *mut c_void,
    message: *const c_char,
    url: *const c_char,
) -> c_int {
    // SAFETY: librepo passes the data of the target.
    let download = unsafe { download(data) };
    note(download, |call| {
        download.body.set(None);
        // SAFETY: NULL or a string.
        let (message, url) = unsafe { (list::text(message), list::text(url)) };
        // SAFETY: a string of the target, by the promise of `begin`.
        let path = unsafe { list::text((*download.target).path) };
        let mirrors = download.mirrors();
        if let (Some(outcome), Some(mirror)) =
            (outcome::of_message(&message), outcome::mirror_of(&mirrors, &path, &url))
        {
            match outcome {
                DownloadOutcome::Missing | DownloadOutcome::Stale => {
                    download.lacking.borrow_mut().push((mirror.to_string(), outcome));
                }
                _ => call.report(download, mirror, outcome, 0, Duration::ZERO),
            }
        }
    });
    let Some(original) = download.original.failure else { return layout::LR_CB_OK };
    // SAFETY: what librepo would have called.
    unsafe { original(download.original.data, message, url) }
}
