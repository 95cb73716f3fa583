/* Ranks the URLs on the command line and prints them in the order in which to try them. */
#include <fastestmirror.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const char *const *urls = (const char *const *)(argv + 1);
    fm_ranker *ranker = fm_ranker_new();
    fm_ranking *ranking = NULL;
    fm_mirror mirror;

    if (!ranker || fm_rank(ranker, urls, NULL, (size_t)(argc - 1), &ranking) != FM_OK)
        for (int i = 1; i < argc; i++) /* whatever fails, the order given is an order */
            puts(argv[i]);
    for (size_t i = 0; fm_ranking_mirror(ranking, i, &mirror) == FM_OK; i++)
        puts(mirror.url);

    fm_ranking_free(ranking);
    fm_ranker_free(ranker);
    return 0;
}
