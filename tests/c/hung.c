/* A lookup that hangs is harmless after the call, after both objects are freed, and after dlclose.
 *
 * usage: hung LIBRARY URL SECONDS: a URL whose name server never answers, and the time after which
 * the lookup has given up. */
#define _POSIX_C_SOURCE 200809L
#include "fastestmirror.h"

#include "check.h"
#include <dlfcn.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library);
    fm_ranker *(*new_ranker)(void);
    int (*set_timeout)(fm_ranker *, double);
    int (*rank)(fm_ranker *, const char *const *, const double *, size_t, fm_ranking **);
    int (*get_summary)(const fm_ranking *, fm_summary *);
    void (*free_ranking)(fm_ranking *), (*free_ranker)(fm_ranker *);
    /* ISO C cannot convert an object pointer to a function pointer; POSIX can. */
    *(void **)&new_ranker = dlsym(library, "fm_ranker_new");
    *(void **)&set_timeout = dlsym(library, "fm_ranker_set_timeout");
    *(void **)&rank = dlsym(library, "fm_rank");
    *(void **)&get_summary = dlsym(library, "fm_ranking_summary");
    *(void **)&free_ranking = dlsym(library, "fm_ranking_free");
    *(void **)&free_ranker = dlsym(library, "fm_ranker_free");

    const char *urls[] = { argv[2] };
    fm_ranker *ranker = new_ranker();
    fm_ranking *ranking;
    fm_summary summary;
    CHECK(set_timeout(ranker, 0.2) == FM_OK);
    CHECK(rank(ranker, urls, NULL, 1, &ranking) == FM_OK);
    CHECK(get_summary(ranking, &summary) == FM_OK);
    CHECK(summary.stop_reason == FM_STOP_TIMEOUT && summary.elapsed < 1);
    free_ranking(ranking);
    free_ranker(ranker);
    CHECK(dlclose(library) == 0);
    sleep((unsigned)atoi(argv[3]));
    puts("still running");
    return 0;
}
