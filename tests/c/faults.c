/* A panic in any layer reaches C as FM_INTERNAL, prints nothing, and the next call works.
 *
 * usage: faults OPEN PLACE: an endpoint on loopback that accepts, and the place where the library
 * has to panic. The library must be built with the feature __fault-injection. */
#define _POSIX_C_SOURCE 200809L
#include "fastestmirror.h"

#include "check.h"

int main(int argc, char **argv)
{
    char url[64];
    const char *urls[2] = { url, "http://localhost:1/" };
    fm_ranking *const untouched = (fm_ranking *)urls;
    fm_ranking *ranking = untouched;
    CHECK(argc == 3);
    snprintf(url, sizeof url, "http://%s/pub", argv[1]);

    setenv("FASTESTMIRROR_FAULT", argv[2], 1);
    fm_ranker *ranker = fm_ranker_new();
    CHECK(ranker);
    CHECK(fm_rank(ranker, urls, NULL, 2, &ranking) == FM_INTERNAL && ranking == untouched);
    CHECK(strstr(fm_ranker_error(ranker), argv[2]));

    unsetenv("FASTESTMIRROR_FAULT");
    CHECK(fm_rank(ranker, urls, NULL, 2, &ranking) == FM_OK && ranking != untouched);
    fm_mirror mirror;
    CHECK(fm_ranking_mirror(ranking, 0, &mirror) == FM_OK && mirror.index == 0);
    fm_ranking_free(ranking);
    fm_ranker_free(ranker);
    return 0;
}
