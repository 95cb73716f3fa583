/* Ranks the URLs on the command line, with options and progress. Ctrl-C stops measuring and keeps
 * what is known. */
#define _POSIX_C_SOURCE 200809L
#include <fastestmirror.h>
#include <signal.h>
#include <stdio.h>

static fm_ranker *ranker;

static void on_interrupt(int number)
{
    (void)number;
    fm_ranker_cancel(ranker); /* safe in a signal handler */
}

static void on_progress(size_t completed, size_t total, double best, void *userdata)
{
    FILE *out = userdata;
    fprintf(out, "%zu of %zu", completed, total);
    if (best >= 0)
        fprintf(out, ", best %.2f ms", best * 1e3);
    fputc('\n', out);
}

int main(int argc, char **argv)
{
    ranker = fm_ranker_new();
    if (!ranker) {
        fputs("no ranker: out of descriptors\n", stderr);
        return 1;
    }
    fm_ranker_set_progress(ranker, on_progress, stderr);
    if (fm_ranker_set_timeout(ranker, 5.0) != FM_OK ||                   /* seconds */
        fm_ranker_set_fallbacks(ranker, FM_FALLBACKS_ALL) != FM_OK ||    /* measure them all */
        fm_ranker_set_protocols(ranker, FM_PROTOCOL_HTTPS | FM_PROTOCOL_HTTP) != FM_OK) {
        fprintf(stderr, "%s\n", fm_ranker_error(ranker));
        fm_ranker_free(ranker);
        return 1;
    }
    struct sigaction interrupt = { 0 }, before;
    interrupt.sa_handler = on_interrupt;
    sigaction(SIGINT, &interrupt, &before);

    fm_ranking *ranking = NULL;
    int status = fm_rank(ranker, (const char *const *)(argv + 1), NULL, (size_t)(argc - 1), &ranking);
    sigaction(SIGINT, &before, NULL); /* the handler must not outlive the ranker */
    if (status != FM_OK) {
        fprintf(stderr, "%s\n", fm_ranker_error(ranker));
        fm_ranker_free(ranker);
        return 1;
    }

    fm_summary summary;
    fm_mirror mirror;
    fm_ranking_summary(ranking, &summary);
    for (size_t i = 0; i < summary.mirrors && fm_ranking_mirror(ranking, i, &mirror) == FM_OK; i++) {
        if (mirror.latency >= 0)
            printf("%9.2f ms %s %s\n", mirror.latency * 1e3, mirror.pool ? "pool" : "    ", mirror.url);
        else
            printf("%12s %4s %s\n", "-", "", mirror.url);
    }
    fprintf(stderr, "%zu of %zu answered, %zu in the pool, after %.1f ms%s\n", summary.answered, summary.mirrors,
            summary.pool, summary.elapsed * 1e3, summary.stop_reason == FM_STOP_CANCELLED ? " (interrupted)" : "");
    fm_ranking_free(ranking);
    fm_ranker_free(ranker);
    return 0;
}
