/* A program of the first release: it is built with the header beside it, whatever the header of
 * today is, and linked with the library of today. It calls every function of that header, reads
 * every field, and has the sizes of the structs compiled in.
 *
 * usage: program OPEN CLOSED CACHE: two endpoints on loopback such as 127.0.0.1:8080, one that
 * accepts and one that refuses, and the path of a cache that does not exist yet. */
#include "fastestmirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

/* A struct with room behind it, which a library whose struct is larger would overwrite. */
struct guarded_summary {
    fm_summary summary;
    unsigned char guard[64];
};
struct guarded_mirror {
    fm_mirror mirror;
    unsigned char guard[64];
};

static void check_guard(const unsigned char guard[64])
{
    for (int i = 0; i < 64; i++)
        CHECK(guard[i] == 0xa5);
}

static void get_summary(const fm_ranking *ranking, fm_summary *summary)
{
    struct guarded_summary guarded;
    memset(&guarded, 0xa5, sizeof guarded);
    CHECK(fm_ranking_summary(ranking, &guarded.summary) == FM_OK);
    check_guard(guarded.guard);
    *summary = guarded.summary;
}

typedef int get_fn(const fm_ranking *ranking, size_t position, struct fm_mirror *mirror);

static void get_mirror(get_fn *get, const fm_ranking *ranking, size_t position, fm_mirror *mirror)
{
    struct guarded_mirror guarded;
    memset(&guarded, 0xa5, sizeof guarded);
    CHECK(get(ranking, position, &guarded.mirror) == FM_OK);
    check_guard(guarded.guard);
    *mirror = guarded.mirror;
}

struct calls {
    fm_ranker *ranker;
    int progress, log, interrupt, cancel;
};

static void on_progress(size_t completed, size_t total, double best, void *userdata)
{
    struct calls *calls = userdata;
    CHECK(completed <= total && total == 2 && best < 1);
    calls->progress++;
}

static void on_log(int level, const char *message, void *userdata)
{
    struct calls *calls = userdata;
    CHECK(level == FM_LOG_DEBUG || level == FM_LOG_WARNING);
    CHECK(*message);
    calls->log++;
}

static int on_interrupt(void *userdata)
{
    struct calls *calls = userdata;
    calls->interrupt++;
    return calls->cancel;
}

static void set_options(fm_ranker *ranker, struct calls *calls)
{
    const char *all[] = { "*" }, *none[] = { "*.excluded.example" };
    CHECK(fm_ranker_set_timeout(ranker, 5.0) == FM_OK);
    CHECK(fm_ranker_set_fallbacks(ranker, FM_FALLBACKS_ALL) == FM_OK);
    CHECK(fm_ranker_set_family(ranker, FM_FAMILY_IPV4) == FM_OK);
    CHECK(fm_ranker_set_factor(ranker, 3.0) == FM_OK);
    CHECK(fm_ranker_set_slack(ranker, 0.25) == FM_OK);
    CHECK(fm_ranker_set_pool_order(ranker, FM_POOL_GIVEN) == FM_OK);
    CHECK(fm_ranker_set_pool_reference(ranker, all, 1) == FM_OK);
    CHECK(fm_ranker_set_seed(ranker, UINT64_C(0x1234567890)) == FM_OK);
    CHECK(fm_ranker_set_protocols(ranker, FM_PROTOCOL_HTTP | FM_PROTOCOL_HTTPS | FM_PROTOCOL_FILE) == FM_OK);
    CHECK(fm_ranker_set_include(ranker, all, 1) == FM_OK);
    CHECK(fm_ranker_set_exclude(ranker, none, 1) == FM_OK);
    CHECK(fm_ranker_set_prefer(ranker, all, 1) == FM_OK);
    CHECK(fm_ranker_set_max_age(ranker, 3600.0) == FM_OK);
    CHECK(fm_ranker_set_check_after(ranker, 600.0) == FM_OK);
    CHECK(fm_ranker_set_rotate_every(ranker, 0.0) == FM_OK);
    CHECK(fm_ranker_set_limits(ranker, 100, 2) == FM_OK);
    CHECK(fm_ranker_set_public_only(ranker, 0) == FM_OK);
    CHECK(fm_ranker_set_progress(ranker, on_progress, calls) == FM_OK);
    CHECK(fm_ranker_set_log(ranker, on_log, calls) == FM_OK);
    CHECK(fm_ranker_set_interrupt_check(ranker, on_interrupt, calls) == FM_OK);
}

/* Why the mirrors stand where they stand: one that has answered, and one that refused. */
static void read_reasons(const fm_ranking *ranking, int run)
{
    struct {
        fm_reason reason;
        unsigned char guard[64];
    } reason;
    struct {
        fm_tried tried;
        unsigned char guard[64];
    } tried;
    double best, limit;
    int filter;
    size_t pattern;
    CHECK(fm_ranking_limit(ranking, &best, &limit) == FM_OK && best > 0 && limit > best);
    for (size_t i = 0; i < 2; i++) {
        memset(&reason, 0xa5, sizeof reason);
        memset(&tried, 0xa5, sizeof tried);
        CHECK(fm_ranking_reason(ranking, i, &reason.reason) == FM_OK);
        check_guard(reason.guard);
        CHECK(reason.reason.tried == (run ? 0 : 1) && reason.reason.preferred && !reason.reason.lookup_unfinished);
        CHECK((reason.reason.remembered >= 0) == run && (reason.reason.remembered_age >= 0) == run);
        CHECK((reason.reason.remembered_time > 0) == (run && i == 0));
        CHECK(fm_ranking_tried(ranking, i, 0, &tried.tried) == (run ? FM_INVALID_ARGUMENT : FM_OK));
        check_guard(tried.guard);
        if (run == 0) {
            CHECK(*tried.tried.address && tried.tried.waited >= 0 && (tried.tried.latency > 0) == (i == 0));
            CHECK(tried.tried.outcome == (i == 0 ? FM_OUTCOME_MEASURED : FM_OUTCOME_REFUSED));
        }
    }
    CHECK(fm_ranking_filter(ranking, 1, &filter, &pattern) == FM_OK);
    CHECK(filter == FM_FILTER_EXCLUDE && filter != FM_FILTER_INCLUDE && filter != FM_FILTER_PROTOCOL && pattern == 0);
}

/* The cache as it is after fm_rank(), and its end. */
static void look_into_cache(fm_ranker *ranker)
{
    struct {
        fm_cache_record record;
        unsigned char guard[64];
    } guarded;
    const char *all[] = { "*" };
    fm_cache *cache = NULL;
    uint64_t seed;
    double age;
    size_t forgotten;
    CHECK(fm_cache_read(ranker, &cache) == FM_OK && fm_cache_size(cache) == 2);
    for (size_t i = 0; i < 2; i++) {
        memset(&guarded, 0xa5, sizeof guarded);
        CHECK(fm_cache_get(cache, i, &guarded.record) == FM_OK);
        check_guard(guarded.guard);
        const fm_cache_record *record = &guarded.record;
        CHECK(strcmp(record->scheme, "http") == 0 && *record->host && !record->shared_address);
        CHECK(record->remembered == FM_REMEMBERED_LATENCY ? record->time > 0 : record->time < 0);
        CHECK(record->remembered == FM_REMEMBERED_LATENCY || record->remembered == FM_REMEMBERED_REFUSED);
        CHECK(record->age >= 0 && record->remaining > 0 && record->port > 0);
        CHECK(record->network == FM_NETWORK_THIS || record->network == FM_NETWORK_UNKNOWN);
        CHECK(!record->of_librepo && record->counts);
    }
    CHECK(fm_cache_seed(cache, &seed, &age) == FM_INVALID_ARGUMENT);
    fm_cache_free(cache);
    CHECK(fm_cache_forget(ranker, all, 1, &forgotten) == FM_OK && forgotten == 2);
    CHECK(fm_cache_forget_all(ranker, &forgotten) == FM_OK && forgotten == 0);
    CHECK(fm_ranker_set_cache(ranker, "/dev/null") == FM_OK);
    CHECK(fm_cache_read(ranker, &cache) == FM_UNREADABLE_CACHE);
}

/* Another host has what the first one lacks. */
static void report_downloads(const char *cache, const char *url)
{
    const char *repository[] = { url, "http://another.example/pub" };
    fm_history *history = fm_history_new(cache);
    CHECK(history && *fm_history_error(history) == '\0');
    CHECK(fm_history_repository(history, repository, 2) == FM_OK);
    CHECK(fm_history_report(history, repository[0], FM_DOWNLOAD_MISSING, 0, 0.0) == FM_OK);
    CHECK(fm_history_report(history, repository[1], FM_DOWNLOAD_OK, UINT64_C(1) << 24, 2.0) == FM_OK);
    CHECK(fm_history_save(history) == FM_OK);
    fm_history_free(history);
}

/* The first of two mirrors stands behind the second. */
static void heed_downloads(fm_ranker *ranker, const char *cache, const char *const *urls)
{
    struct {
        fm_demotion demotion;
        unsigned char guard[64];
    } guarded;
    fm_ranking *ranking = NULL;
    fm_mirror mirror;
    size_t forgotten;
    CHECK(fm_ranker_set_cache(ranker, cache) == FM_OK);
    CHECK(fm_ranker_set_history(ranker, FM_HISTORY_TROUBLE) == FM_OK);
    CHECK(fm_rank(ranker, urls, NULL, 2, &ranking) == FM_OK);
    get_mirror(fm_ranking_mirror, ranking, 1, &mirror);
    CHECK(mirror.index == 0);
    memset(&guarded, 0xa5, sizeof guarded);
    CHECK(fm_ranking_demotion(ranking, 0, &guarded.demotion) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_demotion(ranking, 1, &guarded.demotion) == FM_OK);
    check_guard(guarded.guard);
    CHECK(guarded.demotion.reason == FM_DEMOTION_MISSING && *guarded.demotion.text);
    CHECK(guarded.demotion.age >= 0 && guarded.demotion.speed < 0 && guarded.demotion.others < 0);
    fm_ranking_free(ranking);
    CHECK(fm_cache_forget_all(ranker, &forgotten) == FM_OK && forgotten > 1);
}

int main(int argc, char **argv)
{
    char open_url[64], closed_url[64];
    fm_summary summary;
    fm_mirror mirror;
    CHECK(argc == 4);
    snprintf(open_url, sizeof open_url, "http://%s/pub", argv[1]);
    snprintf(closed_url, sizeof closed_url, "http://%s/pub", argv[2]);
    const char *urls[] = { closed_url, "http://one.excluded.example/", open_url, "http://two.excluded.example/" };
    const double weights[] = { 1.0, 1.0, 2.5, 1.0 };

    /* The layout of 64-bit machines. */
    if (sizeof(void *) == 8)
        CHECK(sizeof(fm_summary) == 56 && sizeof(fm_mirror) == 56 && sizeof(fm_cache_record) == 72 &&
              sizeof(fm_reason) == 40 && sizeof(fm_tried) == 32 && sizeof(fm_demotion) == 40);
    CHECK(strchr(fm_version(), '.'));
    for (int status = FM_OK; status <= FM_UNWRITABLE_CACHE; status++)
        CHECK(*fm_status_text(status));

    struct calls calls = { fm_ranker_new(), 0, 0, 0, 0 };
    CHECK(calls.ranker);
    set_options(calls.ranker, &calls);
    CHECK(fm_ranker_set_cache(calls.ranker, argv[3]) == FM_OK);
    for (int run = 0; run < 2; run++) {
        fm_ranking *ranking = NULL;
        CHECK(fm_rank(calls.ranker, urls, weights, 4, &ranking) == FM_OK && ranking);
        CHECK(*fm_ranker_error(calls.ranker) == '\0');
        CHECK(!fm_ranking_warning(ranking, 0));
        CHECK(fm_ranking_slack_would_add(ranking) == 0);

        get_summary(ranking, &summary);
        CHECK(summary.mirrors == 2 && summary.excluded == 2 && summary.answered == 1 && summary.pool == 1);
        CHECK(summary.seed == UINT64_C(0x1234567890) && summary.elapsed >= 0 && summary.elapsed < 5);
        CHECK(summary.stop_reason == (run ? FM_STOP_IDLE : FM_STOP_COMPLETE) && summary.ambiguous == 0);

        get_mirror(fm_ranking_mirror, ranking, 0, &mirror);
        CHECK(mirror.index == 2 && strcmp(mirror.url, open_url) == 0);
        CHECK(mirror.outcome == (run ? FM_OUTCOME_CACHED : FM_OUTCOME_MEASURED) && mirror.from_cache == run);
        CHECK(run ? !mirror.address : strcmp(mirror.address, argv[1]) == 0);
        CHECK(mirror.latency > 0 && mirror.latency < 1 && mirror.pool == 1);
        CHECK(mirror.imprecise == 0 && mirror.detoured == 0);

        get_mirror(fm_ranking_mirror, ranking, 1, &mirror);
        CHECK(mirror.index == 0 && strcmp(mirror.url, closed_url) == 0 && !mirror.address);
        CHECK(mirror.outcome == FM_OUTCOME_REFUSED && mirror.from_cache == run);
        CHECK(mirror.latency < 0 && mirror.pool == 0);

        get_mirror(fm_ranking_excluded, ranking, 1, &mirror);
        CHECK(mirror.index == 3 && strcmp(mirror.url, urls[3]) == 0 && mirror.outcome == FM_OUTCOME_EXCLUDED);
        CHECK(fm_ranking_mirror(ranking, 2, &mirror) == FM_INVALID_ARGUMENT);
        read_reasons(ranking, run);
        fm_ranking_free(ranking);
    }
    CHECK(calls.log > 0);
    look_into_cache(calls.ranker);
    fm_ranker *fresh = fm_ranker_new();
    char second_url[64];
    snprintf(second_url, sizeof second_url, "http://127.0.0.2:%s/pub", strrchr(argv[1], ':') + 1);
    const char *pair[] = { open_url, second_url };
    report_downloads(argv[3], open_url);
    heed_downloads(fresh, argv[3], pair);
    fm_ranker_free(fresh);

    /* A run that is very short may have no progress to report. */
    CHECK(fm_ranker_set_cache(calls.ranker, NULL) == FM_OK);
    for (int run = 0; run < 50 && !(calls.progress && calls.interrupt); run++) {
        fm_ranking *ranking = NULL;
        CHECK(fm_rank(calls.ranker, urls, weights, 4, &ranking) == FM_OK);
        fm_ranking_free(ranking);
    }
    CHECK(calls.progress > 0 && calls.interrupt > 0);

    /* Both ways to cancel. */
    for (int way = 0; way < 2; way++) {
        fm_ranking *ranking = NULL;
        calls.cancel = way == 0;
        if (way == 1)
            fm_ranker_cancel(calls.ranker);
        CHECK(fm_rank(calls.ranker, urls, NULL, 4, &ranking) == FM_OK);
        get_summary(ranking, &summary);
        CHECK(summary.stop_reason == FM_STOP_CANCELLED || (way == 0 && summary.stop_reason == FM_STOP_COMPLETE));
        fm_ranking_free(ranking);
    }

    /* Errors. */
    CHECK(fm_ranker_set_family(calls.ranker, 5) == FM_INVALID_ARGUMENT);
    CHECK(*fm_ranker_error(calls.ranker));
    CHECK(fm_ranker_set_protocols(calls.ranker, FM_PROTOCOL_FTP) == FM_OK);
    fm_ranking *ranking = NULL;
    CHECK(fm_rank(calls.ranker, urls, NULL, 4, &ranking) == FM_ALL_EXCLUDED && !ranking);
    fm_ranker_free(calls.ranker);
    puts("the program of 0.1.0 still works");
    return 0;
}
