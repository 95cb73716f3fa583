/* Checks what the C interface says of the reasons of a ranking and of a cache.
 *
 * usage: insight OPEN CLOSED SILENT: three endpoints on loopback such as 127.0.0.1:8080. One
 * accepts, one refuses, one never answers. */
#define _XOPEN_SOURCE 700
#include "fastestmirror.h"

#include "check.h"
#include <math.h>
#include <unistd.h>

static char open_url[64], closed_url[64], silent_url[64];

/* With a ranker whose cache has the latency of one mirror, and that another one refused. */
static void reasons_are_given(fm_ranker *ranker)
{
    const char *urls[] = { silent_url, open_url, closed_url, "ftp://127.0.0.1/", "http://a.example/" };
    const char *no[] = { "*.org", "*.example" }, *yes = "127.0.0.1";
    const int remembered[] = { FM_REMEMBERED_LATENCY, -1, FM_REMEMBERED_REFUSED };
    fm_ranking *ranking;
    fm_reason reason;
    fm_tried tried;
    fm_mirror mirror;
    double best = 0, limit = 0;
    int filter = -1;
    size_t pattern = 99;
    CHECK(fm_ranker_set_exclude(ranker, no, 2) == FM_OK && fm_ranker_set_prefer(ranker, &yes, 1) == FM_OK);
    CHECK(fm_ranker_set_protocols(ranker, FM_PROTOCOL_HTTP) == FM_OK);
    CHECK(fm_rank(ranker, urls, NULL, 5, &ranking) == FM_OK);
    CHECK(fm_ranking_limit(ranking, &best, &limit) == FM_OK && best > 0 && fabs(limit - 2 * best) < 1e-6);
    for (size_t i = 0; i < 3; i++) {
        CHECK(fm_ranking_mirror(ranking, i, &mirror) == FM_OK && fm_ranking_reason(ranking, i, &reason) == FM_OK);
        CHECK(reason.preferred && !reason.lookup_unfinished);
        CHECK(reason.remembered == remembered[i]);
        CHECK((reason.remembered_age >= 0) == (i != 1) && (reason.remembered_time > 0) == (i == 0));
        CHECK(reason.tried == 0 || !mirror.from_cache);
        CHECK(fm_ranking_tried(ranking, i, reason.tried, &tried) == FM_INVALID_ARGUMENT);
    }
    /* The silent one was tried, and maybe again after a while. */
    CHECK(fm_ranking_tried(ranking, 1, 0, &tried) == FM_OK && strstr(silent_url, tried.address));
    CHECK(tried.outcome == FM_OUTCOME_UNANSWERED && tried.latency < 0 && tried.waited > 0);
    CHECK(fm_ranking_filter(ranking, 0, &filter, &pattern) == FM_OK && filter == FM_FILTER_PROTOCOL && pattern == 0);
    CHECK(fm_ranking_filter(ranking, 1, &filter, &pattern) == FM_OK && filter == FM_FILTER_EXCLUDE && pattern == 1);
    CHECK(fm_ranking_filter(ranking, 2, &filter, &pattern) == FM_INVALID_ARGUMENT && pattern == 1);
    CHECK(fm_ranking_filter(ranking, 0, NULL, &pattern) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_reason(ranking, 3, &reason) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_reason(NULL, 0, &reason) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_tried(ranking, 0, 0, NULL) == FM_INVALID_ARGUMENT);
    CHECK(fm_ranking_limit(NULL, &best, &limit) == FM_INVALID_ARGUMENT);
    fm_ranking_free(ranking);
}

static void cache_is_read_and_forgotten(void)
{
    const char *urls[] = { open_url, closed_url }, *pattern = "127.0.0.1", *other = "other.example";
    const char *null = NULL;
    char directory[] = "/tmp/fastestmirror-insight-XXXXXX", path[96];
    CHECK(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/cache", directory);
    fm_ranker *ranker = fm_ranker_new();
    CHECK(ranker);
    fm_ranking *ranking = NULL;
    fm_cache *const untouched = (fm_cache *)urls, *cache = untouched;
    fm_cache_record record;
    uint64_t seed = 0;
    double age = -1;
    size_t forgotten = 99;

    CHECK(fm_cache_read(ranker, &cache) == FM_INVALID_ARGUMENT && cache == untouched);
    CHECK_TEXT(fm_ranker_error(ranker), "the option cache cannot be none: it must be a file");
    CHECK(fm_ranker_set_cache(ranker, path) == FM_OK);
    CHECK(fm_cache_read(ranker, &cache) == FM_UNREADABLE_CACHE && cache == untouched);
    CHECK(strstr(fm_ranker_error(ranker), "/cache: there is no such file"));
    CHECK(fm_cache_forget_all(ranker, &forgotten) == FM_UNREADABLE_CACHE && forgotten == 99);
    CHECK(fm_cache_read(ranker, NULL) == FM_INVALID_ARGUMENT);
    CHECK(fm_cache_read(NULL, &cache) == FM_INVALID_ARGUMENT && cache == untouched);

    CHECK(fm_ranker_set_rotate_every(ranker, 3600) == FM_OK);
    CHECK(fm_rank(ranker, urls, NULL, 2, &ranking) == FM_OK);
    fm_ranking_free(ranking);
    CHECK(fm_cache_read(ranker, &cache) == FM_OK && cache != untouched);
    CHECK(fm_cache_size(cache) == 2 && fm_cache_size(NULL) == 0);
    reasons_are_given(ranker);
    for (size_t i = 0; i < 2; i++) {
        CHECK(fm_cache_get(cache, i, &record) == FM_OK);
        CHECK_TEXT(record.scheme, "http");
        CHECK_TEXT(record.host, "127.0.0.1");
        CHECK(record.remembered == (i ? FM_REMEMBERED_REFUSED : FM_REMEMBERED_LATENCY));
        CHECK(i ? record.time < 0 : record.time > 0 && record.time < 1);
        CHECK(record.port > 0 && !record.shared_address && !record.of_librepo && record.counts);
        CHECK(record.network == FM_NETWORK_THIS || record.network == FM_NETWORK_UNKNOWN);
        CHECK(record.age >= 0 && record.age < 60 && record.remaining > 3500);
    }
    CHECK(fm_cache_get(cache, 2, &record) == FM_INVALID_ARGUMENT);
    CHECK(fm_cache_get(cache, 0, NULL) == FM_INVALID_ARGUMENT);
    CHECK(fm_cache_get(NULL, 0, &record) == FM_INVALID_ARGUMENT);
    CHECK(fm_cache_seed(cache, &seed, &age) == FM_OK && age >= 0 && age < 60);
    CHECK(fm_cache_seed(cache, NULL, &age) == FM_INVALID_ARGUMENT);
    CHECK(fm_cache_seed(NULL, &seed, &age) == FM_INVALID_ARGUMENT);

    CHECK(fm_cache_forget(ranker, &null, 1, &forgotten) == FM_INVALID_ARGUMENT);
    CHECK(fm_cache_forget(ranker, &pattern, 1, NULL) == FM_INVALID_ARGUMENT);
    CHECK(fm_cache_forget(ranker, &other, 1, &forgotten) == FM_OK && forgotten == 0);
    CHECK(fm_cache_forget(ranker, &pattern, 1, &forgotten) == FM_OK && forgotten == 3);
    CHECK(fm_cache_forget_all(ranker, &forgotten) == FM_OK && forgotten == 0);
    CHECK(fm_cache_size(cache) == 2);
    fm_cache_free(cache);
    fm_cache_free(NULL);
    fm_ranker_free(ranker);

    CHECK(remove(path) == 0);
    snprintf(path, sizeof path, "%s/cache.lock", directory);
    CHECK(remove(path) == 0 && rmdir(directory) == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    snprintf(open_url, sizeof open_url, "http://%s/pub", argv[1]);
    snprintf(closed_url, sizeof closed_url, "http://%s/pub", argv[2]);
    snprintf(silent_url, sizeof silent_url, "http://%s/pub", argv[3]);
    cache_is_read_and_forgotten();
    puts("all checks passed");
    return 0;
}
