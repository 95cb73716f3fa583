/* Many clients, each with a seed of its own, that have all measured the same latencies: how often
 * each mirror leads. What the library says is compared with what `fastestmirror fleet` simulates.
 *
 * usage: fleet CACHE CLIENTS SLACK URL WEIGHT...: the path of a cache with all latencies, and the
 * slack in seconds. */
#include "fastestmirror.h"

#include "check.h"

enum { MOST = 64 };

int main(int argc, char **argv)
{
    CHECK(argc > 5 && argc <= 4 + 2 * MOST && argc % 2 == 0);
    const char *urls[MOST];
    double weights[MOST];
    unsigned long leads[MOST] = {0};
    size_t count = (size_t)(argc - 4) / 2;
    for (size_t i = 0; i < count; i++) {
        urls[i] = argv[4 + 2 * i];
        weights[i] = atof(argv[5 + 2 * i]);
    }

    fm_ranker *ranker = fm_ranker_new();
    CHECK(ranker);
    /* Nothing is measured, nor checked. */
    CHECK(fm_ranker_set_cache(ranker, argv[1]) == FM_OK);
    CHECK(fm_ranker_set_timeout(ranker, 0) == FM_OK);
    CHECK(fm_ranker_set_check_after(ranker, 86400) == FM_OK);
    CHECK(fm_ranker_set_slack(ranker, atof(argv[3])) == FM_OK);
    for (unsigned long client = 0, clients = strtoul(argv[2], NULL, 10); client < clients; client++) {
        fm_ranking *ranking = NULL;
        fm_mirror first;
        CHECK(fm_ranker_set_seed(ranker, client) == FM_OK);
        CHECK(fm_rank(ranker, urls, weights, count, &ranking) == FM_OK);
        CHECK(fm_ranking_mirror(ranking, 0, &first) == FM_OK);
        CHECK(first.outcome == FM_OUTCOME_CACHED && first.index < count);
        leads[first.index]++;
        fm_ranking_free(ranking);
    }
    fm_ranker_free(ranker);
    for (size_t i = 0; i < count; i++)
        printf("%lu\n", leads[i]);
    return 0;
}
