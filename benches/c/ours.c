/* fm_rank().
 *
 * usage: ours FALLBACKS ENDPOINTS [CACHE]: the number of fallbacks or "all", the maximal number of
 * endpoints, a cache file. Prints "stop_reason NUMBER" and a line "mirror INDEX SECONDS POOL" for
 * each mirror. */
#include "client.h"
#include <fastestmirror.h>

int main(int argc, char **argv)
{
    fm_ranker *ranker = fm_ranker_new();
    fm_ranking *ranking = NULL;
    fm_summary summary;
    fm_mirror mirror;
    size_t fallbacks = strcmp(argv[1], "all") ? strtoul(argv[1], NULL, 10) : FM_FALLBACKS_ALL;

    read_lines();
    if (fm_ranker_set_fallbacks(ranker, fallbacks) || fm_ranker_set_limits(ranker, strtoul(argv[2], NULL, 10), 4) ||
        fm_ranker_set_cache(ranker, argc > 3 ? argv[3] : NULL))
        return 1;
    struct cost before = begin();
    if (fm_rank(ranker, (const char *const *)lines, NULL, count, &ranking) != FM_OK)
        return 1;
    end(before);
    fm_ranking_summary(ranking, &summary);
    printf("stop_reason %d\n", summary.stop_reason);
    for (size_t i = 0; fm_ranking_mirror(ranking, i, &mirror) == FM_OK; i++)
        printf("mirror %zu %.9f %d\n", mirror.index, mirror.latency, mirror.pool);
    for (size_t i = 0; fm_ranking_warning(ranking, i); i++)
        fprintf(stderr, "%s\n", fm_ranking_warning(ranking, i));
    fm_ranking_free(ranking);
    fm_ranker_free(ranker);
    return 0;
}
