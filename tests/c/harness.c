/* Checks each function of the C interface.
 *
 * usage: harness OPEN CLOSED SILENT: three endpoints on loopback such as 127.0.0.1:8080. One
 * accepts, one refuses, one never answers. */
#define _XOPEN_SOURCE 700
#include "fastestmirror.h"

#include "check.h"
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char open_url[64], other_url[64], closed_url[64], silent_url[64];

static fm_ranker *new_ranker(void)
{
    fm_ranker *ranker = fm_ranker_new();
    CHECK(ranker);
    return ranker;
}

static void ranking_and_summary(void)
{
    const char *urls[] = { silent_url, closed_url, "rsync://mirror.example/", open_url, "file:///srv", "caf\xe9:\x01" };
    fm_ranker *ranker = new_ranker();
    fm_ranking *ranking = NULL;
    fm_mirror mirror;
    fm_summary summary;
    CHECK(fm_ranker_set_seed(ranker, 7) == FM_OK);
    CHECK(fm_ranker_set_fallbacks(ranker, FM_FALLBACKS_ALL) == FM_OK);
    CHECK(fm_rank(ranker, urls, NULL, 6, &ranking) == FM_OK);
    CHECK(ranking);
    CHECK_TEXT(fm_ranker_error(ranker), "");
    /* A ranking stays valid without its ranker. */
    fm_ranker_free(ranker);

    CHECK(fm_ranking_summary(ranking, &summary) == FM_OK);
    CHECK(summary.mirrors == 6 && summary.excluded == 0 && summary.answered == 1 && summary.pool == 1);
    CHECK(summary.seed == 7 && summary.stop_reason == FM_STOP_QUIET && summary.ambiguous == 0);
    CHECK(summary.elapsed > 0.05 && summary.elapsed < 2.0);

    static const size_t order[] = { 4, 3, 0, 1, 2, 5 };
    static const int outcomes[] = { FM_OUTCOME_LOCAL,   FM_OUTCOME_MEASURED,    FM_OUTCOME_UNANSWERED,
                                    FM_OUTCOME_REFUSED, FM_OUTCOME_UNSUPPORTED, FM_OUTCOME_UNSUPPORTED };
    for (size_t i = 0; i < 6; i++) {
        CHECK(fm_ranking_mirror(ranking, i, &mirror) == FM_OK);
        CHECK(mirror.index == order[i] && mirror.outcome == outcomes[i]);
        CHECK_TEXT(mirror.url, urls[order[i]]);
        CHECK(mirror.url != urls[order[i]]);
        CHECK(mirror.imprecise == 0 && mirror.detoured == 0);
        if (mirror.outcome == FM_OUTCOME_MEASURED) {
            CHECK(mirror.latency > 0 && mirror.latency < 1 && mirror.pool);
            CHECK(strstr(open_url, mirror.address));
        } else {
            CHECK(mirror.latency < 0 && !mirror.pool && !mirror.address);
        }
    }

    /* Failed calls do not change the output. */
    memset(&mirror, 0x55, sizeof mirror);
    memset(&summary, 0x55, sizeof summary);
    fm_mirror mirror_before = mirror;
    fm_summary summary_before = summary;
    CHECK(fm_ranking_mirror(ranking, 6, &mirror) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_mirror(ranking, (size_t)-1, &mirror) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_mirror(NULL, 0, &mirror) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_mirror(ranking, 0, NULL) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_excluded(NULL, 0, &mirror) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_excluded(ranking, 0, &mirror) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_summary(NULL, &summary) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_summary(ranking, NULL) == FM_INVALID_ARGUMENT);
    CHECK(memcmp(&mirror, &mirror_before, sizeof mirror) == 0);
    CHECK(memcmp(&summary, &summary_before, sizeof summary) == 0);
    fm_ranking_free(ranking);
}

static void null_and_invalid_arguments_are_refused(void)
{
    const char *urls[] = { open_url, NULL };
    double weights[] = { 1, -1 };
    fm_ranking *const untouched = (fm_ranking *)urls;
    fm_ranking *ranking = untouched;
    fm_ranker *ranker = new_ranker();

    fm_ranker_free(NULL);
    fm_ranking_free(NULL);
    fm_ranker_cancel(NULL);
    CHECK_TEXT(fm_ranker_error(NULL), "the ranker is NULL");
    CHECK(fm_ranker_set_timeout(NULL, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_fallbacks(NULL, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_family(NULL, FM_FAMILY_ANY) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_factor(NULL, 2) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_slack(NULL, 0) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_pool_order(NULL, FM_POOL_GIVEN) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_pool_reference(NULL, urls, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_seed(NULL, 0) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_protocols(NULL, FM_PROTOCOL_HTTP) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_limits(NULL, 1, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_public_only(NULL, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_progress(NULL, NULL, NULL) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_cache(NULL, "x") == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_max_age(NULL, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_check_after(NULL, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_rotate_every(NULL, 1) == FM_INVALID_ARGUMENT);
    CHECK(!fm_ranking_warning(NULL, 0));
    CHECK(fm_ranking_slack_would_add(NULL) == 0);
    CHECK(fm_ranker_set_cache(ranker, "") == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "the option cache cannot be an empty path");
    CHECK(fm_ranker_set_max_age(ranker, -1) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "the option max_age cannot be -1 s: it must be 0 or more, and finite");
    CHECK(fm_ranker_set_check_after(ranker, -0.5) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "the option check_after cannot be -0.5 s: it must be 0 or more, and finite");
    CHECK(fm_ranker_set_check_after(ranker, NAN) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "the option check_after cannot be NaN s: it must be 0 or more, and finite");
    CHECK(fm_ranker_set_rotate_every(ranker, NAN) == FM_INVALID_ARGUMENT);
    /* A period may be of any length. */
    CHECK(fm_ranker_set_max_age(ranker, 1e300) == FM_OK && fm_ranker_set_max_age(ranker, 0) == FM_OK);
    CHECK(fm_ranker_set_check_after(ranker, 1e300) == FM_OK && fm_ranker_set_rotate_every(ranker, 1e300) == FM_OK);
    CHECK(fm_ranker_set_include(NULL, urls, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_exclude(NULL, urls, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_prefer(NULL, urls, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_rank(NULL, urls, NULL, 1, &ranking) == FM_INVALID_ARGUMENT);

    CHECK(fm_rank(ranker, NULL, NULL, 1, &ranking) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "urls is NULL");
    CHECK(fm_rank(ranker, urls, NULL, 2, &ranking) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "urls[1] is NULL");
    CHECK(fm_rank(ranker, urls, NULL, 1, NULL) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "ranking is NULL");
    urls[1] = "http://two.example/";
    CHECK(fm_rank(ranker, urls, weights, 2, &ranking) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "weights[1] is -1, not a positive, finite number");
    CHECK(ranking == untouched);

    static const double bad_times[] = { -1, 3601, 1e300, INFINITY, -INFINITY, NAN };
    for (size_t i = 0; i < sizeof bad_times / sizeof *bad_times; i++) {
        CHECK(fm_ranker_set_timeout(ranker, bad_times[i]) == FM_INVALID_ARGUMENT);
        CHECK(strstr(fm_ranker_error(ranker), "timeout"));
        CHECK(fm_ranker_set_slack(ranker, bad_times[i]) == FM_INVALID_ARGUMENT);
        CHECK(strstr(fm_ranker_error(ranker), "slack"));
        CHECK(fm_ranker_set_factor(ranker, bad_times[i]) == FM_INVALID_ARGUMENT);
        CHECK(strstr(fm_ranker_error(ranker), "factor"));
    }
    static const int bad_families[] = { -1, 1, 2, 5, 7, 2147483647 };
    for (size_t i = 0; i < sizeof bad_families / sizeof *bad_families; i++)
        CHECK(fm_ranker_set_family(ranker, bad_families[i]) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "2147483647 is not an fm_family");
    static const int bad_orders[] = { -1, 2, 2147483647 };
    for (size_t i = 0; i < sizeof bad_orders / sizeof *bad_orders; i++)
        CHECK(fm_ranker_set_pool_order(ranker, bad_orders[i]) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "2147483647 is not an fm_pool_order");
    static const unsigned bad_protocols[] = { 16, 17, 0xffffffffu };
    for (size_t i = 0; i < sizeof bad_protocols / sizeof *bad_protocols; i++)
        CHECK(fm_ranker_set_protocols(ranker, bad_protocols[i]) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "0xffffffff is not a combination of fm_protocol values");

    const char *patterns[] = { "*.example", NULL, "http://" };
    CHECK(fm_ranker_set_exclude(ranker, NULL, 1) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "patterns is NULL");
    CHECK(fm_ranker_set_prefer(ranker, patterns, 2) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "patterns[1] is NULL");
    CHECK(fm_ranker_set_pool_reference(ranker, NULL, 1) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "urls is NULL");
    CHECK(fm_ranker_set_pool_reference(ranker, patterns, 2) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "urls[1] is NULL");
    CHECK(fm_ranker_set_include(ranker, patterns + 2, 1) == FM_INVALID_ARGUMENT);
    CHECK(strstr(fm_ranker_error(ranker), "include") && strstr(fm_ranker_error(ranker), "\"http://\""));

    /* Refused values have no effect, and an empty list is valid. */
    CHECK(fm_rank(ranker, urls, NULL, 1, &ranking) == FM_OK && ranking != untouched);
    fm_ranking_free(ranking);
    CHECK(fm_rank(ranker, NULL, NULL, 0, &ranking) == FM_OK);
    fm_summary summary;
    CHECK(fm_ranking_summary(ranking, &summary) == FM_OK);
    CHECK(summary.mirrors == 0 && summary.stop_reason == FM_STOP_IDLE);
    fm_ranking_free(ranking);
    fm_ranker_free(ranker);

    CHECK_TEXT(fm_status_text(FM_OK), "success");
    for (int status = -3; status < 100; status++)
        CHECK(fm_status_text(status) && *fm_status_text(status));
    CHECK(strcmp(fm_version(), FASTESTMIRROR_VERSION) == 0);
    CHECK(FASTESTMIRROR_VERSION_NUMBER == (FASTESTMIRROR_VERSION_MAJOR << 16 | FASTESTMIRROR_VERSION_MINOR << 8 |
                                           FASTESTMIRROR_VERSION_PATCH));
}

static void options_have_their_effect(void)
{
    const char *urls[] = { open_url, other_url, "http://[::1]:1/", "https://127.0.0.1:1/", "file:///srv" };
    double weights[] = { 1, 1e6, 1, 1, 1 };
    fm_ranker *ranker = new_ranker();
    fm_ranking *ranking;
    fm_summary summary;
    fm_mirror mirror;

    CHECK(fm_ranker_set_slack(ranker, 60) == FM_OK);
    CHECK(fm_ranker_set_fallbacks(ranker, FM_FALLBACKS_ALL) == FM_OK);
    int heavy = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        CHECK(fm_ranker_set_seed(ranker, seed) == FM_OK);
        CHECK(fm_rank(ranker, urls, weights, 2, &ranking) == FM_OK);
        CHECK(fm_ranking_mirror(ranking, 0, &mirror) == FM_OK);
        heavy += mirror.index == 1;
        fm_ranking_free(ranking);
    }
    CHECK(heavy >= 19);
    /* In the given order, or that of another list, seed and weights have no effect. */
    CHECK(fm_ranker_set_pool_order(ranker, FM_POOL_GIVEN) == FM_OK);
    for (size_t reversed = 0; reversed < 2; reversed++) {
        const char *reference[] = { "file:///srv", other_url, open_url };
        CHECK(fm_ranker_set_pool_reference(ranker, reference, reversed ? 3 : 0) == FM_OK);
        for (uint64_t seed = 0; seed < 20; seed++) {
            CHECK(fm_ranker_set_seed(ranker, seed) == FM_OK);
            CHECK(fm_rank(ranker, urls, weights, 2, &ranking) == FM_OK);
            CHECK(fm_ranking_mirror(ranking, 0, &mirror) == FM_OK && mirror.index == reversed);
            /* 60 s of slack cannot be improved on. */
            CHECK(fm_ranking_slack_would_add(ranking) == 0);
            fm_ranking_free(ranking);
        }
    }
    CHECK(fm_ranker_set_pool_reference(ranker, NULL, 0) == FM_OK);
    CHECK(fm_ranker_set_pool_order(ranker, FM_POOL_SHUFFLED) == FM_OK);

    CHECK(fm_ranker_set_protocols(ranker, FM_PROTOCOL_HTTPS | FM_PROTOCOL_FILE) == FM_OK);
    CHECK(fm_ranker_set_family(ranker, FM_FAMILY_IPV4) == FM_OK);
    CHECK(fm_rank(ranker, urls, NULL, 5, &ranking) == FM_OK);
    CHECK(fm_ranking_summary(ranking, &summary) == FM_OK);
    CHECK(summary.mirrors == 2 && summary.excluded == 3);
    CHECK(fm_ranking_mirror(ranking, 2, &mirror) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_excluded(ranking, 2, &mirror) == FM_OK);
    CHECK(mirror.index == 2 && mirror.outcome == FM_OUTCOME_EXCLUDED);
    CHECK(fm_ranking_excluded(ranking, 3, &mirror) == FM_INVALID_ARGUMENT);
    fm_ranking_free(ranking);

    CHECK(fm_ranker_set_protocols(ranker, FM_PROTOCOL_FTP) == FM_OK);
    fm_ranking *const untouched = (fm_ranking *)urls;
    ranking = untouched;
    CHECK(fm_rank(ranker, urls, NULL, 5, &ranking) == FM_ALL_EXCLUDED && ranking == untouched);
    CHECK_TEXT(fm_ranker_error(ranker), "the filters exclude all 5 mirrors");
    CHECK(fm_ranker_set_protocols(ranker, 0) == FM_OK);
    CHECK(fm_rank(ranker, urls, NULL, 5, &ranking) == FM_OK);
    CHECK(fm_ranking_summary(ranking, &summary) == FM_OK && summary.excluded == 0);
    fm_ranking_free(ranking);
    fm_ranker_free(ranker);

    const char *near_ones[] = { "127.0.0.?" }, *last[] = { "*.2" };
    ranker = new_ranker();
    CHECK(fm_ranker_set_slack(ranker, 60) == FM_OK);
    CHECK(fm_ranker_set_include(ranker, near_ones, 1) == FM_OK);
    CHECK(fm_ranker_set_prefer(ranker, last, 1) == FM_OK);
    for (uint64_t seed = 0; seed < 8; seed++) {
        CHECK(fm_ranker_set_seed(ranker, seed) == FM_OK);
        CHECK(fm_rank(ranker, urls, NULL, 5, &ranking) == FM_OK);
        CHECK(fm_ranking_mirror(ranking, 0, &mirror) == FM_OK && mirror.index == 1);
        CHECK(fm_ranking_summary(ranking, &summary) == FM_OK && summary.excluded == 2);
        fm_ranking_free(ranking);
    }
    CHECK(fm_ranker_set_exclude(ranker, last, 1) == FM_OK);
    CHECK(fm_rank(ranker, urls, NULL, 5, &ranking) == FM_OK);
    CHECK(fm_ranking_summary(ranking, &summary) == FM_OK && summary.excluded == 3);
    fm_ranking_free(ranking);
    fm_ranker_free(ranker);

    ranker = new_ranker();
    CHECK(fm_ranker_set_limits(ranker, 1, 1) == FM_OK);
    CHECK(fm_ranker_set_factor(ranker, 1) == FM_OK);
    CHECK(fm_rank(ranker, urls, NULL, 2, &ranking) == FM_OK);
    CHECK(fm_ranking_summary(ranking, &summary) == FM_OK);
    CHECK(summary.answered == 1 && summary.pool == 0);
    fm_ranking_free(ranking);
    CHECK(fm_ranker_set_timeout(ranker, 0) == FM_OK);
    CHECK(fm_rank(ranker, urls, NULL, 2, &ranking) == FM_OK);
    CHECK(fm_ranking_summary(ranking, &summary) == FM_OK);
    CHECK(summary.answered == 0 && summary.stop_reason == FM_STOP_TIMEOUT);
    fm_ranking_free(ranking);
    fm_ranker_free(ranker);
}

static void cache_is_used_by_the_next_run(void)
{
    const char *urls[] = { open_url, other_url, closed_url };
    char directory[] = "/tmp/fastestmirror-XXXXXX", path[64];
    fm_ranking *ranking;
    fm_summary summary;
    fm_mirror mirror;
    uint64_t seed = 0;
    CHECK(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/cache", directory);
    for (int run = 0; run < 3; run++) {
        fm_ranker *ranker = new_ranker();
        CHECK(fm_ranker_set_cache(ranker, path) == FM_OK);
        CHECK(fm_ranker_set_rotate_every(ranker, 3600) == FM_OK);
        CHECK(fm_ranker_set_max_age(ranker, 3600) == FM_OK);
        CHECK(fm_ranker_set_check_after(ranker, 3600) == FM_OK);
        CHECK(fm_rank(ranker, urls, NULL, 3, &ranking) == FM_OK);
        CHECK(!fm_ranking_warning(ranking, 0));
        CHECK(fm_ranking_summary(ranking, &summary) == FM_OK);
        CHECK(summary.answered == 2 && summary.stop_reason == (run ? FM_STOP_IDLE : FM_STOP_COMPLETE));
        CHECK(run == 0 || summary.seed == seed);
        seed = summary.seed;
        CHECK(fm_ranking_mirror(ranking, 0, &mirror) == FM_OK);
        CHECK(mirror.outcome == (run ? FM_OUTCOME_CACHED : FM_OUTCOME_MEASURED) && mirror.latency > 0);
        CHECK(fm_ranking_mirror(ranking, 2, &mirror) == FM_OK && mirror.outcome == FM_OUTCOME_REFUSED);
        fm_ranking_free(ranking);
        fm_ranker_free(ranker);
    }
    fm_ranker *ranker = new_ranker();
    CHECK(fm_ranker_set_cache(ranker, directory) == FM_OK);
    CHECK(fm_rank(ranker, urls, NULL, 3, &ranking) == FM_OK);
    CHECK(strstr(fm_ranking_warning(ranking, 0), directory) && strstr(fm_ranking_warning(ranking, 0), "it is a directory"));
    fm_ranking_free(ranking);
    CHECK(fm_ranker_set_cache(ranker, NULL) == FM_OK);
    fm_ranker_free(ranker);
    CHECK(remove(path) == 0);
    snprintf(path, sizeof path, "%s/cache.lock", directory);
    CHECK(remove(path) == 0 && remove(directory) == 0);
}

struct progress {
    fm_ranker *ranker;
    pthread_t thread;
    int calls, begins, cancel;
    size_t completed, total;
    double best;
};

static void on_progress(size_t completed, size_t total, double best, void *userdata)
{
    struct progress *progress = userdata;
    CHECK(pthread_equal(progress->thread, pthread_self()));
    CHECK(completed >= progress->completed && completed <= total);
    /* The ranker is in use, and the error says so. */
    CHECK(fm_ranker_set_seed(progress->ranker, 1) == FM_BUSY);
    CHECK_TEXT(fm_ranker_error(progress->ranker), "the ranker is in use");
    progress->calls++;
    if (completed == 0) {
        progress->begins++;
        CHECK(total > 0 && best < 0);
    }
    progress->completed = completed;
    progress->total = total;
    progress->best = best;
    if (progress->cancel && completed > 0)
        fm_ranker_cancel(progress->ranker);
}

static int rank_to_the_end(fm_ranker *ranker, const char *const *urls, size_t count)
{
    fm_ranking *ranking = NULL;
    fm_summary summary;
    CHECK(fm_rank(ranker, urls, NULL, count, &ranking) == FM_OK);
    CHECK(fm_ranking_summary(ranking, &summary) == FM_OK);
    CHECK(summary.mirrors == count);
    fm_ranking_free(ranking);
    return summary.stop_reason;
}

static void history_is_reported_saved_and_heeded(void)
{
    const char *urls[] = { open_url, other_url }, *null = NULL;
    char directory[] = "/tmp/fastestmirror-harness-XXXXXX", path[96];
    CHECK(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/cache", directory);
    CHECK(fm_history_new(NULL) == NULL && fm_history_new("") == NULL);
    fm_history_free(NULL);
    CHECK_TEXT(fm_history_error(NULL), "the history is NULL");
    CHECK(fm_history_report(NULL, open_url, FM_DOWNLOAD_OK, 1, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_history_repository(NULL, urls, 2) == FM_INVALID_ARGUMENT);
    CHECK(fm_history_save(NULL) == FM_INVALID_ARGUMENT);

    fm_history *history = fm_history_new(path);
    CHECK(history);
    CHECK_TEXT(fm_history_error(history), "");
    CHECK(fm_history_report(history, NULL, FM_DOWNLOAD_OK, 1, 1) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_history_error(history), "url is NULL");
    CHECK(fm_history_report(history, open_url, 4, 1, 1) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_history_error(history), "4 is not an fm_download");
    CHECK(fm_history_report(history, open_url, FM_DOWNLOAD_OK, 1, -1) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_history_error(history), "seconds cannot be -1: it must be 0 or more, and finite");
    CHECK(fm_history_repository(history, &null, 1) == FM_INVALID_ARGUMENT);
    CHECK(fm_history_repository(history, NULL, 0) == FM_OK);
    /* Nothing to learn, and so no file. */
    CHECK(fm_history_save(history) == FM_OK && access(path, F_OK) != 0);

    /* Another host had what this one lacked. */
    const char *repository[] = { open_url, "http://another.example/pub" };
    CHECK(fm_history_repository(history, repository, 2) == FM_OK);
    CHECK(fm_history_report(history, repository[0], FM_DOWNLOAD_MISSING, 0, 0) == FM_OK);
    CHECK(fm_history_report(history, repository[1], FM_DOWNLOAD_OK, 1 << 24, 2.0) == FM_OK);
    CHECK(fm_history_save(history) == FM_OK && access(path, F_OK) == 0);
    fm_history_free(history);

    fm_ranker *ranker = new_ranker();
    CHECK(fm_ranker_set_history(ranker, 3) == FM_INVALID_ARGUMENT);
    CHECK_TEXT(fm_ranker_error(ranker), "3 is not an fm_history_use");
    CHECK(fm_ranker_set_history(NULL, FM_HISTORY_ALL) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_cache(ranker, path) == FM_OK);
    for (int use = FM_HISTORY_OFF; use <= FM_HISTORY_ALL; use++) {
        const char *pair[] = { open_url, other_url };
        fm_ranking *ranking = NULL;
        fm_mirror mirror;
        fm_demotion demotion, before;
        memset(&demotion, 0xa5, sizeof demotion);
        before = demotion;
        CHECK(fm_ranker_set_history(ranker, use) == FM_OK);
        CHECK(fm_rank(ranker, pair, NULL, 2, &ranking) == FM_OK);
        CHECK(fm_ranking_demotion(ranking, 0, &demotion) == FM_INVALID_ARGUMENT);
        CHECK(fm_ranking_demotion(ranking, 2, &demotion) == FM_INVALID_ARGUMENT);
        CHECK(fm_ranking_demotion(NULL, 0, &demotion) == FM_INVALID_ARGUMENT);
        CHECK(memcmp(&before, &demotion, sizeof demotion) == 0);
        if (use == FM_HISTORY_OFF) {
            CHECK(fm_ranking_demotion(ranking, 1, &demotion) == FM_INVALID_ARGUMENT);
        } else {
            CHECK(fm_ranking_mirror(ranking, 1, &mirror) == FM_OK && mirror.index == 0 && !mirror.pool);
            CHECK(fm_ranking_demotion(ranking, 1, NULL) == FM_INVALID_ARGUMENT);
            CHECK(fm_ranking_demotion(ranking, 1, &demotion) == FM_OK);
            CHECK(demotion.reason == FM_DEMOTION_MISSING && demotion.age >= 0 && demotion.age < 60);
            CHECK(demotion.speed < 0 && demotion.others < 0 && strstr(demotion.text, "lacked a file"));
        }
        fm_ranking_free(ranking);
    }
    fm_ranker_free(ranker);

    history = fm_history_new(directory);
    CHECK(fm_history_report(history, repository[0], FM_DOWNLOAD_BROKEN, 0, 0) == FM_OK);
    CHECK(fm_history_report(history, repository[1], FM_DOWNLOAD_OK, 0, 0) == FM_OK);
    CHECK(fm_history_save(history) == FM_UNWRITABLE_CACHE);
    CHECK(strstr(fm_history_error(history), "it is a directory"));
    CHECK(fm_history_save(history) == FM_OK);
    fm_history_free(history);

    CHECK(remove(path) == 0);
    snprintf(path, sizeof path, "%s/cache.lock", directory);
    CHECK(remove(path) == 0 && rmdir(directory) == 0);
}

static void callbacks_run_on_the_calling_thread(void)
{
    const char *urls[] = { open_url, silent_url, other_url };
    struct progress progress = { new_ranker(), pthread_self(), 0, 0, 0, 0, 0, -1 };
    CHECK(fm_ranker_set_progress(progress.ranker, on_progress, &progress) == FM_OK);
    CHECK(fm_ranker_set_fallbacks(progress.ranker, FM_FALLBACKS_ALL) == FM_OK);
    CHECK(rank_to_the_end(progress.ranker, urls, 3) == FM_STOP_QUIET);
    CHECK(progress.calls >= 2 && progress.completed == 2 && progress.total == 3 && progress.best > 0);
    CHECK(progress.begins == 1);

    /* A callback may cancel. */
    progress.cancel = 1;
    progress.completed = 0;
    CHECK(fm_ranker_set_timeout(progress.ranker, 600) == FM_OK);
    CHECK(rank_to_the_end(progress.ranker, urls, 3) == FM_STOP_CANCELLED);

    /* A cancel that comes too late for its call does not affect the next one. */
    progress.completed = 0;
    CHECK(rank_to_the_end(progress.ranker, urls, 1) == FM_STOP_COMPLETE);
    progress.completed = 0;
    progress.cancel = 0;
    CHECK(rank_to_the_end(progress.ranker, urls, 1) == FM_STOP_COMPLETE);

    /* Nothing is measured, and so nothing begins. */
    progress.begins = 0;
    CHECK(fm_ranker_set_timeout(progress.ranker, 0) == FM_OK);
    rank_to_the_end(progress.ranker, urls, 3);
    CHECK(progress.begins == 0);

    progress.calls = 0;
    CHECK(fm_ranker_set_timeout(progress.ranker, 600) == FM_OK);
    CHECK(fm_ranker_set_progress(progress.ranker, NULL, NULL) == FM_OK);
    CHECK(rank_to_the_end(progress.ranker, urls, 1) == FM_STOP_COMPLETE);
    CHECK(progress.calls == 0);
    fm_ranker_free(progress.ranker);
}

struct log {
    int mirrors, stops, warnings;
};

static void on_log(int level, const char *message, void *userdata)
{
    struct log *log = userdata;
    CHECK(level == FM_LOG_DEBUG || level == FM_LOG_WARNING);
    CHECK(!strchr(message, '\n') && !strstr(message, "secret"));
    log->mirrors += strncmp(message, "1. ", 3) == 0;
    log->stops += strncmp(message, "measuring stopped after ", 24) == 0;
    log->warnings += level == FM_LOG_WARNING;
}

static void log_has_order_stop_reason_and_warnings(void)
{
    char url[128];
    const char *urls[] = { url };
    struct log log = { 0, 0, 0 };
    fm_ranker *ranker = new_ranker();
    snprintf(url, sizeof url, "http://me:secret@%s", open_url + strlen("http://"));
    CHECK(fm_ranker_set_log(NULL, on_log, &log) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_log(ranker, on_log, &log) == FM_OK);
    CHECK(rank_to_the_end(ranker, urls, 1) == FM_STOP_COMPLETE);
    CHECK(log.mirrors == 1 && log.stops == 1 && log.warnings == 0);
    CHECK(fm_ranker_set_cache(ranker, "/dev/null") == FM_OK);
    CHECK(rank_to_the_end(ranker, urls, 1) == FM_STOP_COMPLETE);
    CHECK(log.mirrors == 2 && log.stops == 2 && log.warnings >= 1);
    CHECK(fm_ranker_set_log(ranker, NULL, NULL) == FM_OK);
    CHECK(rank_to_the_end(ranker, urls, 1) == FM_STOP_COMPLETE);
    CHECK(log.stops == 2);
    fm_ranker_free(ranker);
}

static int count_to_three(void *userdata)
{
    return ++*(int *)userdata >= 3;
}

static void interrupt_check_stops_measuring(void)
{
    const char *urls[] = { silent_url };
    int calls = 0;
    fm_ranker *ranker = new_ranker();
    CHECK(fm_ranker_set_timeout(ranker, 600) == FM_OK);
    CHECK(fm_ranker_set_interrupt_check(NULL, count_to_three, &calls) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranker_set_interrupt_check(ranker, count_to_three, &calls) == FM_OK);
    CHECK(rank_to_the_end(ranker, urls, 1) == FM_STOP_CANCELLED);
    CHECK(calls >= 3);
    CHECK(fm_ranker_set_interrupt_check(ranker, NULL, NULL) == FM_OK);
    urls[0] = open_url;
    CHECK(rank_to_the_end(ranker, urls, 1) == FM_STOP_COMPLETE);
    fm_ranker_free(ranker);
}

static void *cancel_soon(void *ranker)
{
    struct timespec pause = { 0, 50 * 1000 * 1000 };
    nanosleep(&pause, NULL);
    fm_ranker_cancel(ranker);
    return NULL;
}

static fm_ranker *signalled;

static void on_alarm(int number)
{
    (void)number;
    fm_ranker_cancel(signalled);
}

static void cancel_works_from_another_thread_and_a_signal_handler(void)
{
    const char *urls[] = { silent_url };
    fm_ranker *ranker = new_ranker();
    pthread_t thread;
    CHECK(fm_ranker_set_timeout(ranker, 600) == FM_OK);
    CHECK(pthread_create(&thread, NULL, cancel_soon, ranker) == 0);
    CHECK(rank_to_the_end(ranker, urls, 1) == FM_STOP_CANCELLED);
    CHECK(pthread_join(thread, NULL) == 0);

    signalled = ranker;
    signal(SIGALRM, on_alarm);
    alarm(1);
    CHECK(rank_to_the_end(ranker, urls, 1) == FM_STOP_CANCELLED);
    signal(SIGALRM, SIG_DFL);

    /* A cancel before a call stops that call, and only that one. */
    fm_ranker_cancel(ranker);
    CHECK(rank_to_the_end(ranker, urls, 1) == FM_STOP_CANCELLED);
    CHECK(fm_ranker_set_timeout(ranker, 0.05) == FM_OK);
    CHECK(rank_to_the_end(ranker, urls, 1) == FM_STOP_TIMEOUT);
    fm_ranker_free(ranker);
}

static void *rank_often(void *unused)
{
    const char *urls[] = { open_url, closed_url, other_url, "http://localhost:1/" };
    for (int i = 0; i < 20; i++) {
        fm_ranker *ranker = new_ranker();
        CHECK(fm_ranker_set_fallbacks(ranker, FM_FALLBACKS_ALL) == FM_OK);
        rank_to_the_end(ranker, urls, 4);
        fm_ranker_free(ranker);
    }
    return unused;
}

static void rankers_work_in_parallel_threads(void)
{
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, rank_often, NULL) == 0);
    for (size_t i = 0; i < 8; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static uint64_t default_seed(void)
{
    fm_ranker *ranker = new_ranker();
    fm_ranking *ranking;
    fm_summary summary;
    CHECK(fm_rank(ranker, NULL, NULL, 0, &ranking) == FM_OK);
    CHECK(fm_ranking_summary(ranking, &summary) == FM_OK);
    fm_ranking_free(ranking);
    fm_ranker_free(ranker);
    return summary.seed;
}

static void forked_child_has_a_seed_of_its_own(void)
{
    int pipe_ends[2];
    uint64_t seed = default_seed(), child_seed;
    CHECK(pipe(pipe_ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        rank_often(NULL);
        child_seed = default_seed();
        _exit(write(pipe_ends[1], &child_seed, sizeof child_seed) == sizeof child_seed ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(read(pipe_ends[0], &child_seed, sizeof child_seed) == sizeof child_seed);
    CHECK(child_seed != seed);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    CHECK(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    snprintf(open_url, sizeof open_url, "http://%s/pub", argv[1]);
    snprintf(other_url, sizeof other_url, "http://127.0.0.2:%s/pub", strrchr(argv[1], ':') + 1);
    snprintf(closed_url, sizeof closed_url, "http://%s/pub", argv[2]);
    snprintf(silent_url, sizeof silent_url, "http://%s/pub", argv[3]);

    int descriptors = count_entries("/proc/self/fd");
    ranking_and_summary();
    null_and_invalid_arguments_are_refused();
    options_have_their_effect();
    cache_is_used_by_the_next_run();
    history_is_reported_saved_and_heeded();
    callbacks_run_on_the_calling_thread();
    log_has_order_stop_reason_and_warnings();
    interrupt_check_stops_measuring();
    cancel_works_from_another_thread_and_a_signal_handler();
    rankers_work_in_parallel_threads();
    forked_child_has_a_seed_of_its_own();
    CHECK(count_entries("/proc/self/fd") == descriptors);
    CHECK(count_entries("/proc/self/task") == 3); /* ".", ".." and this thread */
    puts("all checks passed");
    return 0;
}
