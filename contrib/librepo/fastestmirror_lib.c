/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * librepo's fastestmirror over libfastestmirror: what fastestmirror.c has, without a line of it.
 * Built in its place with -DUSE_LIBFASTESTMIRROR=ON.
 *
 * The library measures (one TCP handshake for each host and port, not a byte sent), shuffles the
 * mirrors nearer than twice the best, sorts the others, and reads and writes the cache file in
 * librepo's format. This file takes the options from the handle, calls the callback, and puts the
 * lists in the new order. Whatever goes wrong, the caller has all its mirrors and gets TRUE; an
 * error is reported for a NULL argument only.
 *
 * The drop-in of the same project stands before a librepo that is not rebuilt. It has what this
 * file leaves out: the settings in fastestmirror.conf and in the variables FASTESTMIRROR_*. Here
 * librepo's own options are all there is. */

#define _GNU_SOURCE
#include <fastestmirror.h>
#ifndef FASTESTMIRROR_VERSION
#error "<fastestmirror.h> is librepo's own: build in another directory than that of the sources"
#endif
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "downloader.h"
#include "fastestmirror.h"
#include "fastestmirror_internal.h"
#include "handle_internal.h"
#include "rcodes.h"

/* A mirror in a list, and what has become of it. */
typedef struct {
    void *item;         /* the data of its node */
    gchar *url;         /* a copy: the callback may change the handle */
    size_t index;       /* in the given order */
    size_t position;    /* in the new one */
    double latency;     /* in seconds; negative if there is none */
    gboolean cached;
    gboolean open;      /* has not answered, but may if it is given more time */
} Mirror;

/* The mirrors of one repository. */
typedef struct {
    LrHandle *handle;   /* or NULL */
    GArray *mirrors;
} MirrorList;

/* The callback of a handle, or NULL. */
typedef struct {
    LrFastestMirrorCb callback;
    void *data;
} Listener;

static void
notify(const Listener *listener, LrFastestMirrorStages stage, void *ptr)
{
    if (listener->callback)
        listener->callback(listener->data, stage, ptr);
}

static void
on_progress(size_t completed, size_t total, G_GNUC_UNUSED double best, void *listener)
{
    long number = (long) total;
    if (completed == 0)
        notify(listener, LR_FMSTAGE_DETECTION, &number);
}

/* Warnings too are debug lines: they concern a cache file that the user did not choose. */
static void
on_log(G_GNUC_UNUSED int level, const char *line, G_GNUC_UNUSED void *data)
{
    g_debug("libfastestmirror: %s", line);
}

static int
is_interrupted(G_GNUC_UNUSED void *data)
{
    return lr_interrupt;
}

static void
clear_mirror(void *mirror)
{
    g_free(((Mirror *) mirror)->url);
}

static MirrorList
list_of(LrHandle *handle, GSList *nodes, gboolean internal)
{
    MirrorList list = { handle, g_array_new(FALSE, FALSE, sizeof(Mirror)) };
    g_array_set_clear_func(list.mirrors, clear_mirror);
    for (GSList *node = nodes; node; node = node->next) {
        const char *url = internal ? ((LrInternalMirror *) node->data)->url : node->data;
        size_t index = list.mirrors->len;
        Mirror mirror = { node->data, g_strdup(url ? url : ""), index, index, -1.0, FALSE, FALSE };
        g_array_append_val(list.mirrors, mirror);
    }
    return list;
}

#define MIRROR(list, i) (&g_array_index((list)->mirrors, Mirror, (i)))

static int
by_position(const void *a, const void *b)
{
    const Mirror *one = a, *other = b;
    return (one->position > other->position) - (one->position < other->position);
}

/* Those without a latency follow in the order of the ranking. */
static int
by_latency(const void *a, const void *b)
{
    const Mirror *one = a, *other = b;
    if (one->latency < 0 || other->latency < 0)
        return one->latency < 0 && other->latency < 0 ? by_position(a, b) : one->latency < 0 ? 1 : -1;
    if (one->latency != other->latency)
        return one->latency > other->latency ? 1 : -1;
    return (one->index > other->index) - (one->index < other->index);
}

/* Puts the nodes of a list in the new order, unless the callback has changed the list. */
static void
reorder(const MirrorList *list, GSList *nodes)
{
    GSList *node = nodes;
    guint i = 0;
    for (; node && i < list->mirrors->len && node->data == MIRROR(list, i)->item; i++)
        node = node->next;
    if (node || i < list->mirrors->len)
        return;
    g_array_sort(list->mirrors, by_position);
    for (node = nodes, i = 0; node; node = node->next)
        node->data = MIRROR(list, i++)->item;
}

static int
refuse_lookup(G_GNUC_UNUSED void *state, G_GNUC_UNUSED void *reserved, G_GNUC_UNUSED void *data)
{
    return 1;
}

typedef struct {
    const char *url;
    gboolean direct;
} Question;

/* Opens no socket. The address is that of the mirror if the mirror's URL has it. */
static curl_socket_t
refuse_socket(void *data, G_GNUC_UNUSED curlsocktype purpose, struct curl_sockaddr *address)
{
    Question *question = data;
    char text[NI_MAXHOST];
    if (getnameinfo(&address->addr, address->addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
        question->direct |= strstr(question->url, text) != NULL;
    return CURL_SOCKET_BAD;
}

/* Whether libcurl would go through a proxy for this URL. It is asked to connect, and allowed
 * neither a lookup nor a socket, so that no packet leaves. */
static gboolean
is_proxied(CURL *curl, const char *url)
{
    Question question = { url, FALSE };
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &question);
    switch (curl_easy_perform(curl)) {
    case CURLE_COULDNT_RESOLVE_HOST:    /* and not CURLE_COULDNT_RESOLVE_PROXY */
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return FALSE;
    default:
        return !question.direct;
    }
}

/* Whether a mirror of the list is reached through a proxy: by the handle's options, or by the
 * environment. Every mirror is as far away as the proxy then, and may be reachable in no other
 * way. */
static gboolean
is_behind_proxy(const MirrorList *list)
{
    /* What is answered for this address goes for all hosts, unless there are exceptions. */
    const char *const anywhere[] = { "http://192.0.2.1/", "https://192.0.2.1/", "ftp://192.0.2.1/" };
    CURL *curl = list->handle ? curl_easy_duphandle(list->handle->curl_handle) : lr_get_curl_handle();
    gboolean found = FALSE;
    if (!curl)
        return FALSE;
    curl_easy_setopt(curl, CURLOPT_VERBOSE, 0L);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(curl, CURLOPT_IPRESOLVE, CURL_IPRESOLVE_WHATEVER);
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 1000L);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, refuse_socket);
#if LIBCURL_VERSION_NUM >= 0x073b00
    curl_easy_setopt(curl, CURLOPT_RESOLVER_START_FUNCTION, refuse_lookup);
#endif
    for (guint scheme = 0; scheme < G_N_ELEMENTS(anywhere) && !found; scheme++) {
        size_t length = strcspn(anywhere[scheme], "1");
        int proxied = -1;
        for (guint i = 0; i < list->mirrors->len && proxied != 0 && !found; i++) {
            const char *url = MIRROR(list, i)->url;
            if (g_ascii_strncasecmp(url, anywhere[scheme], length) != 0)
                continue;
            if (proxied < 0)
                proxied = is_proxied(curl, anywhere[scheme]);
            found = proxied && is_proxied(curl, url);
        }
    }
    curl_easy_cleanup(curl);
    return found;
}

static gboolean
may_be_measured(const MirrorList *list)
{
    const char *why = NULL;
    if (list->handle && list->handle->offline)
        why = "offline";
    else if (is_behind_proxy(list))
        why = "they are reached through a proxy";
    if (why)
        g_debug("libfastestmirror: keeping the given order of %u mirrors: %s", list->mirrors->len, why);
    return !why;
}

/* Counts the hosts that the mirrors are on, that is the different URLs up to the path. Local ones
 * count as one host, or not at all. */
static guint
count_hosts(GPtrArray *mirrors, gboolean local)
{
    g_autoptr(GHashTable) hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < mirrors->len; i++) {
        const char *url = ((Mirror *) mirrors->pdata[i])->url, *host = strstr(url, "://");
        gboolean is_local = g_ascii_strncasecmp(url, "file:", 5) == 0;
        host = host ? host + 3 : url;
        if (is_local && local)
            g_hash_table_add(hosts, g_strdup("file:"));
        else if (!is_local)
            g_hash_table_add(hosts, g_strndup(url, (gsize) (host - url) + strcspn(host, "/")));
    }
    return g_hash_table_size(hosts);
}

static void
add_mirrors(GPtrArray *all, const MirrorList *list)
{
    for (guint i = 0; i < list->mirrors->len; i++)
        g_ptr_array_add(all, MIRROR(list, i));
}

/* Ranks these mirrors, and notes what has become of them. */
static gboolean
rank_mirrors(fm_ranker *ranker, GPtrArray *mirrors)
{
    g_autoptr(GPtrArray) urls = g_ptr_array_new();
    fm_ranking *ranking = NULL;
    fm_mirror result;
    for (guint i = 0; i < mirrors->len; i++)
        g_ptr_array_add(urls, ((Mirror *) mirrors->pdata[i])->url);
    if (fm_rank(ranker, (const char *const *) urls->pdata, NULL, urls->len, &ranking) != FM_OK)
        return FALSE;
    for (size_t i = 0; fm_ranking_mirror(ranking, i, &result) == FM_OK; i++) {
        Mirror *mirror = mirrors->pdata[result.index];
        mirror->position = i;
        mirror->latency = result.outcome == FM_OUTCOME_LOCAL ? 0.0 : result.latency;
        mirror->cached = result.from_cache;
        mirror->open = result.from_cache || result.outcome == FM_OUTCOME_UNANSWERED;
    }
    fm_ranking_free(ranking);
    return TRUE;
}

/* Finds the mirrors of those lists of which none has answered, but may. Returns whether a mirror of
 * any list has answered. */
static gboolean
find_unheard(const MirrorList *lists, guint count, GPtrArray *unheard)
{
    gboolean anything_heard = FALSE;
    for (guint i = 0; i < count; i++) {
        gboolean heard = FALSE, open = FALSE;
        for (guint j = 0; j < lists[i].mirrors->len; j++) {
            heard |= MIRROR(&lists[i], j)->latency >= 0;
            open |= MIRROR(&lists[i], j)->open;
        }
        anything_heard |= heard;
        if (!heard && open && lists[i].mirrors->len > 1)
            add_mirrors(unheard, &lists[i]);
    }
    return anything_heard;
}

/* Among nearer mirrors of other repositories, measuring may stop before any mirror of a repository
 * can answer. Such repositories are measured once more, before the deadline, and as long as that
 * makes them fewer. */
static void
remeasure_unanswered(fm_ranker *ranker, const MirrorList *lists, guint count, gint64 deadline)
{
    guint before = G_MAXUINT;
    fm_ranker_set_fallbacks(ranker, FM_FALLBACKS_ALL);
    while (!lr_interrupt) {
        g_autoptr(GPtrArray) unheard = g_ptr_array_new();
        double left = (double) (deadline - g_get_monotonic_time()) / G_USEC_PER_SEC;
        if (!find_unheard(lists, count, unheard) || unheard->len == 0 || unheard->len >= before || left <= 0)
            return;
        before = unheard->len;
        g_debug("libfastestmirror: measuring %u mirrors once more: they are all that their repositories have, and none is known to answer",
                unheard->len);
        fm_ranker_set_timeout(ranker, left);
        if (!rank_mirrors(ranker, unheard)) {
            g_debug("libfastestmirror: keeping their given order: %s", fm_ranker_error(ranker));
            return;
        }
    }
}

/* The body of rank_lists(), between the first and the last stage. Returns an error, or NULL. */
static gchar *
measure(MirrorList *lists, guint count, gboolean latencies, Listener *listener)
{
    LrHandle *handle = lists[0].handle;
    g_autoptr(GPtrArray) mirrors = g_ptr_array_new();
    double timeout = handle ? handle->fastestmirrortimeout : LRO_FASTESTMIRRORTIMEOUT_DEFAULT;
    gchar *error = NULL;
    /* What is no number becomes the default. */
    timeout = timeout >= 0 ? MIN(timeout, 3600) : timeout < 0 ? 0 : LRO_FASTESTMIRRORTIMEOUT_DEFAULT;
    gint64 deadline = g_get_monotonic_time() + (gint64) (timeout * G_USEC_PER_SEC);
    for (guint i = 0; i < count; i++) {
        if (lists[i].mirrors->len > 0 && may_be_measured(&lists[i]))
            add_mirrors(mirrors, &lists[i]);
    }
    if (mirrors->len == 0)
        return NULL;
    fm_ranker *ranker = fm_ranker_new();
    if (!ranker)
        return g_strdup("no ranker could be made");

    /* No latency changes the order of the mirrors of one host. */
    gboolean decided = !latencies && count_hosts(mirrors, FALSE) <= 1;
    fm_ranker_set_timeout(ranker, decided ? 0 : timeout);
    if (latencies)
        fm_ranker_set_fallbacks(ranker, FM_FALLBACKS_ALL);
    fm_ranker_set_log(ranker, on_log, NULL);
    fm_ranker_set_interrupt_check(ranker, is_interrupted, NULL);
    fm_ranker_set_progress(ranker, on_progress, listener);
    if (handle) {
        LrIpResolveType family = handle->ipresolve;
        fm_ranker_set_max_age(ranker, (double) handle->fastestmirrormaxage);
        fm_ranker_set_family(ranker, family == LR_IPRESOLVE_V4   ? FM_FAMILY_IPV4
                                     : family == LR_IPRESOLVE_V6 ? FM_FAMILY_IPV6
                                                                 : FM_FAMILY_ANY);
    }
    fm_ranker_set_history(ranker, FM_HISTORY_TROUBLE);
    if (handle && handle->fastestmirrorcache) {
        g_autofree gchar *path = g_strdup(handle->fastestmirrorcache);
        fm_ranker_set_cache(ranker, path);
        notify(listener, LR_FMSTAGE_CACHELOADING, path);
        /* What is wrong inside of the file is logged. */
        int problem = access(path, R_OK) == 0 ? 0 : errno;
        notify(listener, LR_FMSTAGE_CACHELOADINGSTATUS, problem ? (gpointer) g_strerror(problem) : NULL);
    }
    if (rank_mirrors(ranker, mirrors)) {
        notify(listener, LR_FMSTAGE_FINISHING, NULL);
        fm_ranker_set_progress(ranker, NULL, NULL);
        if (count > 1 && !decided)
            remeasure_unanswered(ranker, lists, count, deadline);
    } else {
        error = g_strdup(fm_ranker_error(ranker));
    }
    fm_ranker_free(ranker);
    return error;
}

/* Ranks the mirrors of several lists together. The options and the callback of the first handle
 * count. A list that cannot be measured keeps its order. */
static void
rank_lists(MirrorList *lists, guint count, gboolean latencies)
{
    LrHandle *handle = lists[0].handle;
    Listener listener = { handle ? handle->fastestmirrorcb : NULL, handle ? handle->fastestmirrordata : NULL };
    if (handle && handle->offline) {
        g_debug("libfastestmirror: keeping the given order: offline");
        return;
    }
    notify(&listener, LR_FMSTAGE_INIT, NULL);
    g_autofree gchar *error = measure(lists, count, latencies, &listener);
    if (error)
        g_debug("libfastestmirror: keeping the given order: %s", error);
    notify(&listener, LR_FMSTAGE_STATUS, error);
}

/* What the downloads of a call of lr_download() show of their mirrors. It counts for an hour,
 * and is kept in the cache of the handle. */
typedef struct {
    fm_history *history;
    gchar *cache;       /* its path */
    LrHandle *handle;   /* whose mirrors the history knows */
    GArray *lacking;    /* of Lacking */
} Downloads;

/* A mirror that lacks a file or has another version of it. That is its fault only if one serves the
 * file: with old metadata, a client asks for files that none has any more. */
typedef struct {
    const void *file;   /* which download */
    gchar *mirror;
    int outcome;
} Lacking;

static void
clear_lacking(void *lacking)
{
    g_free(((Lacking *) lacking)->mirror);
}

static void
free_downloads(gpointer data)
{
    Downloads *downloads = data;
    fm_history_free(downloads->history);
    g_free(downloads->cache);
    g_array_unref(downloads->lacking);
    g_free(downloads);
}

/* Those of the call in this thread. */
static GPrivate current_downloads = G_PRIVATE_INIT(free_downloads);

/* Finds what a download says about the mirror. Returns FALSE if that is nothing. */
static gboolean
find_outcome(const GError *failure, CURLcode result, CURL *curl, int *outcome)
{
    long status = 0;
    *outcome = FM_DOWNLOAD_BROKEN;
    if (!failure) {
        *outcome = FM_DOWNLOAD_OK;
        return TRUE;
    }
    switch (failure->code) {
    case LRE_BADCHECKSUM:
        *outcome = FM_DOWNLOAD_STALE;
        return TRUE;
    case LRE_BADSTATUS:
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        if (status == 404 || status == 410)
            *outcome = FM_DOWNLOAD_MISSING;
        return status == 404 || status == 410 || status / 100 == 5;
    case LRE_CURL:
        break;
    default:
        return FALSE;
    }
    /* The server's size of the file is not the one expected. */
    if (g_str_has_prefix(failure->message, "Interrupted by header callback: Inconsistent ")) {
        *outcome = FM_DOWNLOAD_STALE;
        return TRUE;
    }
    switch (result) {
    case CURLE_REMOTE_FILE_NOT_FOUND:
    case CURLE_FTP_COULDNT_RETR_FILE:
        *outcome = FM_DOWNLOAD_MISSING;
        return TRUE;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_FTP_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return TRUE;
    default:
        /* The cause is here: a full disk, a proxy, a callback. */
        return FALSE;
    }
}

void
lr_fastestmirror_save_downloads(void)
{
    Downloads *downloads = g_private_get(&current_downloads);
    if (downloads && fm_history_save(downloads->history) != FM_OK)
        g_debug("libfastestmirror: %s", fm_history_error(downloads->history));
    g_private_replace(&current_downloads, NULL);
}

void
lr_fastestmirror_note_download(LrHandle *handle, const void *file, const char *mirror, const GError *failure, CURLcode result, CURL *curl)
{
    Downloads *downloads = g_private_get(&current_downloads);
    int outcome;
    if (!handle || !handle->fastestmirror || !handle->fastestmirrorcache || !find_outcome(failure, result, curl, &outcome))
        return;
    if (!downloads || strcmp(downloads->cache, handle->fastestmirrorcache) != 0) {
        lr_fastestmirror_save_downloads();
        downloads = g_new0(Downloads, 1);
        downloads->history = fm_history_new(handle->fastestmirrorcache);
        downloads->cache = g_strdup(handle->fastestmirrorcache);
        downloads->lacking = g_array_new(FALSE, FALSE, sizeof(Lacking));
        g_array_set_clear_func(downloads->lacking, clear_lacking);
        g_private_set(&current_downloads, downloads);
    }
    if (downloads->handle != handle) {
        g_autoptr(GPtrArray) urls = g_ptr_array_new();
        for (GSList *node = handle->internal_mirrorlist; node; node = node->next)
            g_ptr_array_add(urls, ((LrInternalMirror *) node->data)->url);
        fm_history_repository(downloads->history, (const char *const *) urls->pdata, urls->len);
        downloads->handle = handle;
    }
    if (outcome == FM_DOWNLOAD_MISSING || outcome == FM_DOWNLOAD_STALE) {
        Lacking lacking = { file, g_strdup(mirror), outcome };
        g_array_append_val(downloads->lacking, lacking);
        return;
    }
    for (guint i = downloads->lacking->len; outcome == FM_DOWNLOAD_OK && i-- > 0;) {
        const Lacking *lacking = &g_array_index(downloads->lacking, Lacking, i);
        if (lacking->file == file) {
            fm_history_report(downloads->history, lacking->mirror, lacking->outcome, 0, 0);
            g_array_remove_index(downloads->lacking, i);
        }
    }
    /* No speeds are kept: they would need the length and the time of the body. */
    fm_history_report(downloads->history, mirror, outcome, 0, 0);
}

static void
log_call(const char *function, guint count, const char *what)
{
    g_debug("libfastestmirror %s: %s: %u %s%s", fm_version(), function, count, what, count == 1 ? "" : "s");
}

gboolean
lr_fastestmirror(LrHandle *handle, GSList **list, GError **err)
{
    if (!list) {
        g_set_error(err, LR_FASTESTMIRROR_ERROR, LRE_BADFUNCARG, "%s: no list", __func__);
        return FALSE;
    }
    MirrorList mirrors = list_of(handle, *list, FALSE);
    log_call(__func__, mirrors.mirrors->len, "mirror");
    rank_lists(&mirrors, 1, FALSE);
    reorder(&mirrors, *list);
    g_array_unref(mirrors.mirrors);
    return TRUE;
}

gboolean
lr_fastestmirror_detailed(LrHandle *handle, GSList *inlist, GSList **outlist, GError **err)
{
    if (!outlist) {
        g_set_error(err, LR_FASTESTMIRROR_ERROR, LRE_BADFUNCARG, "%s: no result", __func__);
        return FALSE;
    }
    MirrorList list = list_of(handle, inlist, FALSE);
    log_call(__func__, list.mirrors->len, "mirror");
    rank_lists(&list, 1, TRUE);
    g_array_sort(list.mirrors, by_latency);
    *outlist = NULL;
    for (guint i = list.mirrors->len; i-- > 0;) {
        LrFastestMirror *mirror = g_new0(LrFastestMirror, 1);
        mirror->url = MIRROR(&list, i)->item;
        mirror->plain_connect_time = MIRROR(&list, i)->latency;
        mirror->cached = MIRROR(&list, i)->cached;
        *outlist = g_slist_prepend(*outlist, mirror);
    }
    g_array_unref(list.mirrors);
    return TRUE;
}

void
lr_lrfastestmirror_free(LrFastestMirror *mirror)
{
    if (mirror && mirror->curl)
        curl_easy_cleanup(mirror->curl);
    g_free(mirror);
}

static void
sort_handles(const char *function, GSList *handles)
{
    guint count = 0;
    g_autofree MirrorList *lists = g_new0(MirrorList, g_slist_length(handles) + 1);
    g_autoptr(GPtrArray) mirrors = g_ptr_array_new();
    for (GSList *node = handles; node; node = node->next) {
        LrHandle *handle = node->data;
        if (!handle)
            continue;
        lists[count] = list_of(handle, handle->internal_mirrorlist, TRUE);
        add_mirrors(mirrors, &lists[count++]);
        const char *used = lists[0].handle->fastestmirrorcache, *other = handle->fastestmirrorcache;
        if (other && g_strcmp0(used, other) != 0)
            g_warning("%s: ignoring the cache %s: the first handle has %s", function, other, used ? used : "none");
    }
    log_call(function, count, "handle");
    if (count_hosts(mirrors, TRUE) > 1)
        rank_lists(lists, count, FALSE);
    else
        g_debug("libfastestmirror: keeping the given order: there is only one host");
    for (guint i = 0; i < count; i++) {
        reorder(&lists[i], lists[i].handle->internal_mirrorlist);
        g_array_unref(lists[i].mirrors);
    }
}

gboolean
lr_fastestmirror_sort_internalmirrorlist(LrHandle *handle, GError **err)
{
    if (!handle) {
        g_set_error(err, LR_FASTESTMIRROR_ERROR, LRE_BADFUNCARG, "%s: no handle", __func__);
        return FALSE;
    }
    GSList handles = { handle, NULL };
    sort_handles(__func__, &handles);
    return TRUE;
}

gboolean
lr_fastestmirror_sort_internalmirrorlists(GSList *handles, G_GNUC_UNUSED GError **err)
{
    sort_handles(__func__, handles);
    return TRUE;
}
