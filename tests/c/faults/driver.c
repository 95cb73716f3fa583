/* Ranks a few mirrors while calls fail, and prints what came of it.
 *
 * usage: driver row SPEC LIST CACHE PORT CLOSED [TIMEOUT]
 *        driver sweep LIST CACHE PORT CLOSED
 *        driver functions
 *
 * SPEC is for faults_arm(). LIST is "remembered" if an earlier call has learned the latencies,
 * "fresh" if it has learned another one, "foreign" if the cache then belongs to another user, and
 * "first" if there is no earlier call and no cache. PORT accepts at all addresses 127.x.y.z, and
 * CLOSED refuses. */
#define _GNU_SOURCE
#include "../check.h"
#include "fastestmirror.h"
#include "faults.h"
#include "process.h"

#include <sys/wait.h>
#include <unistd.h>

enum { MIRRORS = 7, MANY = 64 };

static char urls[MIRRORS][96];
static const char *list[MIRRORS];

/* In this order: local, two addresses, two names, one name that is not ASCII, a closed port. */
static void make_urls(const char *port, const char *closed)
{
    snprintf(urls[0], sizeof urls[0], "file:///srv/mirror");
    snprintf(urls[1], sizeof urls[1], "http://127.0.0.1:%s/", port);
    snprintf(urls[2], sizeof urls[2], "http://127.0.0.2:%s/", port);
    snprintf(urls[3], sizeof urls[3], "http://n1.loopback.example:%s/", port);
    snprintf(urls[4], sizeof urls[4], "http://n2.loopback.example:%s/", port);
    snprintf(urls[5], sizeof urls[5], "http://\xc3\xbc.loopback.example:%s/", port);
    snprintf(urls[6], sizeof urls[6], "http://127.0.0.3:%s/", closed);
    for (int i = 0; i < MIRRORS; i++)
        list[i] = urls[i];
}

/* What came of a call. */
struct result {
    int status;
    fm_summary summary;
    size_t order[MIRRORS];
    /* By index, a letter for each. */
    char outcomes[MIRRORS + 1];
    /* The order is one of all mirrors, or there is an error and the ranking is left alone. */
    int is_whole;
    char warnings[1024], error[256];
    double elapsed;
    unsigned hits;
};

/* L for local, M and m for measured and imprecise, C for cached, U for unanswered, R for refused,
 * X for unreachable, N for unresolved. */
static char letter(const fm_mirror *mirror)
{
    switch (mirror->outcome) {
    case FM_OUTCOME_MEASURED: return mirror->imprecise ? 'm' : 'M';
    case FM_OUTCOME_CACHED: return 'C';
    case FM_OUTCOME_LOCAL: return 'L';
    case FM_OUTCOME_UNANSWERED: return 'U';
    case FM_OUTCOME_REFUSED: return 'R';
    case FM_OUTCOME_UNREACHABLE: return 'X';
    case FM_OUTCOME_UNRESOLVED: return 'N';
    default: return '?';
    }
}

struct job {
    const char *const *list;
    size_t count;
    const char *cache;
    double timeout;
};

/* Ranks while the calls in `spec` fail. */
static void rank(const char *spec, const struct job *job, struct result *result)
{
    memset(result, 0, sizeof *result);
    memset(result->outcomes, '-', MIRRORS);
    fm_ranking *const untouched = (fm_ranking *)urls;
    fm_ranking *ranking = untouched;
    double start = now();
    faults_arm(spec);
    fm_ranker *ranker = fm_ranker_new();
    CHECK(ranker);
    CHECK(fm_ranker_set_timeout(ranker, job->timeout) == FM_OK);
    CHECK(fm_ranker_set_fallbacks(ranker, FM_FALLBACKS_ALL) == FM_OK);
    CHECK(fm_ranker_set_cache(ranker, job->cache) == FM_OK);
    CHECK(fm_ranker_set_check_after(ranker, 0) == FM_OK);
    result->status = fm_rank(ranker, job->list, NULL, job->count, &ranking);
    result->hits = faults_hits();
    faults_arm(NULL);
    result->elapsed = now() - start;
    snprintf(result->error, sizeof result->error, "%s", fm_ranker_error(ranker));
    fm_ranker_free(ranker);
    if (result->status != FM_OK) {
        result->is_whole = ranking == untouched && result->error[0];
        return;
    }
    CHECK(ranking != untouched);
    CHECK(fm_ranking_summary(ranking, &result->summary) == FM_OK);
    size_t places = result->summary.mirrors;
    char seen[MIRRORS] = { 0 };
    result->is_whole = places == job->count && result->summary.excluded == 0;
    for (size_t i = 0; i < places && result->is_whole; i++) {
        fm_mirror mirror;
        CHECK(fm_ranking_mirror(ranking, i, &mirror) == FM_OK);
        int has_latency = mirror.outcome == FM_OUTCOME_MEASURED || mirror.outcome == FM_OUTCOME_CACHED;
        result->is_whole = mirror.index < job->count && !seen[mirror.index]
            && strcmp(mirror.url, job->list[mirror.index]) == 0 && has_latency == (mirror.latency > 0);
        if (!result->is_whole)
            break;
        seen[mirror.index] = 1;
        result->order[i] = mirror.index;
        result->outcomes[mirror.index] = letter(&mirror);
    }
    const char *warning;
    for (size_t i = 0; (warning = fm_ranking_warning(ranking, i)); i++) {
        size_t length = strlen(result->warnings);
        snprintf(result->warnings + length, sizeof result->warnings - length, "%s%s", i ? " | " : "", warning);
    }
    fm_ranking_free(ranking);
}

/* Makes a cache that holds these mirrors, or just another one. */
static void make_cache(const char *path, int is_remembered, const char *port)
{
    char other[64], lock[512];
    const char *others[] = { other };
    snprintf(other, sizeof other, "http://127.0.0.9:%s/", port);
    struct job job = { is_remembered ? list : others, is_remembered ? MIRRORS : 1, path, 2 };
    struct result result;
    snprintf(lock, sizeof lock, "%s.lock", path);
    remove(lock);
    /* On a busy machine a call may be late, and miss what has answered. */
    for (int i = 0; i < 50; i++) {
        remove(path);
        rank(NULL, &job, &result);
        CHECK(result.status == FM_OK && !result.warnings[0]);
        if (strspn(result.outcomes, "LMR") >= job.count)
            return;
    }
    CHECK(!"the mirrors answer");
}

static const char *const stops[] = { "idle", "complete", "settled", "quiet", "timeout", "cancelled" };

static int row(char **arguments, double timeout)
{
    const char *spec = arguments[0], *cache = arguments[2];
    int is_remembered = strcmp(arguments[1], "remembered") == 0;
    struct result result;
    make_urls(arguments[3], arguments[4]);
    /* The faults of the very first call are those of what the process does once. */
    if (strcmp(arguments[1], "first") == 0)
        remove(cache);
    else
        make_cache(cache, is_remembered, arguments[3]);
    if (strcmp(arguments[1], "foreign") == 0)
        CHECK(chown(cache, 65534, 65534) == 0);
    struct job job = { list, MIRRORS, cache, timeout };
    struct counts before = count_at_rest();
    rank(spec, &job, &result);
    struct counts after = count_again(before);
    printf("status %d\nwhole %d\n", result.status, result.is_whole);
    printf("stop %s\n", result.status == FM_OK ? stops[result.summary.stop_reason] : "none");
    printf("outcomes %s\norder", result.outcomes);
    for (int i = 0; i < MIRRORS && result.status == FM_OK; i++)
        printf(" %zu", result.order[i]);
    printf("\nelapsed %.6f\nwarnings %s\nerror %s\nhits %u\n", result.elapsed, result.warnings, result.error,
           result.hits);
    printf("descriptors %d\nthreads %d\n", after.descriptors - before.descriptors, after.threads - before.threads);
    /* The next call is as if nothing had happened. */
    remove(cache);
    rank(NULL, &job, &result);
    printf("more %d\n", count_again(after).descriptors - after.descriptors);
    printf("again %d %s %s %s\n", result.status, result.outcomes, stops[result.summary.stop_reason], result.warnings);
    return 0;
}

/* The errors that each call may have, from its manual page. */
static const struct plausible {
    const char *function, *effects;
} plausible[] = {
    { "close", "EINTR EIO ENOSPC" },
    { "closedir", "EINTR" },
    { "connect",
      "EACCES EPERM EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY ECONNREFUSED EINTR EINVAL "
      "EISCONN ENETUNREACH EHOSTUNREACH ENOBUFS ENOMEM ETIMEDOUT interrupted" },
    { "epoll_create1", "EMFILE ENFILE ENOMEM" },
    { "epoll_ctl", "ENOMEM ENOSPC EPERM" },
    { "epoll_wait", "EINTR nothing" },
    { "eventfd", "EMFILE ENFILE ENODEV ENOMEM" },
    { "fchmod", "EPERM EROFS EIO" },
    { "fchown", "EPERM EROFS EIO" },
    { "flock", "EINTR ENOLCK EAGAIN EOPNOTSUPP" },
    { "getaddrinfo",
      "EMFILE ENFILE ENOMEM EIO full empty null null+ short+ short6 tiny families families+ any broadcast "
      "multicast scoped many EAI_ADDRFAMILY EAI_AGAIN EAI_BADFLAGS EAI_FAIL EAI_FAMILY EAI_IDN_ENCODE EAI_MEMORY "
      "EAI_NODATA EAI_NONAME EAI_OVERFLOW EAI_SERVICE EAI_SOCKTYPE EAI_SYSTEM" },
    { "getcwd", "ENOENT EACCES ERANGE" },
    { "getifaddrs", "EMFILE ENFILE ENOMEM ENOBUFS empty null" },
    { "getpeername", "ENOTCONN ENOBUFS" },
    { "getrandom", "EAGAIN EINTR short" },
    { "getrlimit", "EPERM none infinite" },
    { "getsockopt:TCP_INFO", "ENOPROTOOPT EINVAL zero short ones slow" },
    { "getsockopt:SO_ERROR", "ENOBUFS ENOMEM" },
    { "lstat64", "EACCES EIO ENOENT ENOMEM" },
    { "newlocale", "ENOENT ENOMEM" },
    { "open", "EACCES EMFILE ENFILE ENOENT" },
    { "open64", "EACCES EAGAIN EEXIST EINTR EIO ELOOP EMFILE ENFILE ENOENT ENOMEM ENOSPC EPERM EROFS ESTALE" },
    { "opendir", "EACCES EMFILE ENFILE ENOENT ENOMEM" },
    { "pthread_create", "EAGAIN EPERM" },
    { "pthread_key_create", "EAGAIN ENOMEM" },
    { "pthread_setname_np", "ERANGE" },
    { "read", "EINTR EIO EISDIR ESTALE short" },
    { "readdir64", "EIO" },
    { "recvfrom", "EAGAIN EINTR ENOBUFS ENOMEM ones zeros half nothing huge foreign" },
    { "rename", "EACCES EBUSY EDQUOT EIO ENOSPC EPERM EROFS EXDEV" },
    { "send", "EINTR ENOBUFS ENOMEM short" },
    { "socket", "EACCES EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM EPERM" },
    { "statx", "EACCES EINTR EIO ENOENT ENOSYS EPERM huge empty fifo open foreign" },
    { "stat64", "EACCES EIO ENOENT" },
    { "unlink", "EACCES EBUSY EIO EPERM EROFS" },
    { "unshare", "EINVAL EPERM" },
    { "uselocale", "EINVAL" },
    { "write", "EAGAIN EDQUOT EINTR EIO ENOSPC short" },
};

struct bytes {
    char data[65536];
    size_t length;
};

static void load(const char *path, struct bytes *bytes)
{
    FILE *file = fopen(path, "rb");
    CHECK(file);
    bytes->length = fread(bytes->data, 1, sizeof bytes->data, file);
    CHECK(bytes->length < sizeof bytes->data && fclose(file) == 0);
}

static void store(const char *path, const struct bytes *bytes)
{
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(bytes->data, 1, bytes->length, file) == bytes->length && fclose(file) == 0);
}

/* Lets each call that a ranking makes fail in each way that it can, one in each run. What must hold
 * always is checked; what came of it is for the table of the test. */
static int sweep(char **arguments)
{
    const char *state = arguments[0], *cache = arguments[1];
    static struct bytes kept;
    struct result result;
    int injected = 0, violations = 0;
    make_urls(arguments[2], arguments[3]);
    make_cache(cache, strcmp(state, "remembered") == 0, arguments[2]);
    load(cache, &kept);
    struct job job = { list, MIRRORS, cache, 0.5 };
    /* The calls of a run that misses nothing. */
    for (int i = 0; i < 50; i++) {
        store(cache, &kept);
        rank("", &job, &result);
        CHECK(result.status == FM_OK && result.is_whole);
        if (strspn(result.outcomes, "LMCR") == MIRRORS)
            break;
    }
    static int made[MANY];
    size_t functions = sizeof plausible / sizeof *plausible;
    for (size_t f = 0; f < functions; f++) {
        char function[32];
        snprintf(function, sizeof function, "%.*s", (int)strcspn(plausible[f].function, ":"), plausible[f].function);
        made[f] = faults_calls(function);
    }
    struct counts before = count_at_rest();
    for (size_t f = 0; f < functions; f++) {
        char effects[1024], *rest = effects, *effect;
        strcpy(effects, plausible[f].effects);
        while ((effect = strsep(&rest, " "))) {
            for (int call = 1; call <= made[f]; call++) {
                char spec[128];
                snprintf(spec, sizeof spec, "%s@%d=%s", plausible[f].function, call, effect);
                store(cache, &kept);
                rank(spec, &job, &result);
                struct counts after = count_again(before);
                int is_known = result.status == FM_OK || result.status == FM_SYSTEM;
                int is_fine = is_known && result.is_whole && result.elapsed < job.timeout + 5
                    && memcmp(&before, &after, sizeof before) == 0;
                if (result.hits == 0)
                    break;
                injected++;
                violations += !is_fine;
                if (!is_fine)
                    printf("violation: %s: status %d whole %d elapsed %.3f outcomes %s descriptors %+d threads %+d: %s\n",
                           spec, result.status, result.is_whole, result.elapsed, result.outcomes,
                           after.descriptors - before.descriptors, after.threads - before.threads, result.error);
                before = after;
            }
        }
    }
    /* All that has left no trace in the process. */
    store(cache, &kept);
    rank(NULL, &job, &result);
    printf("injected %d violations %d afterwards %s\n", injected, violations, result.outcomes);
    return 0;
}

/* Kills a process before each call that it makes while it ranks, one in each run, and so on both
 * sides of each. The cache is the old one or a whole new one then, and the next run writes it. */
static int kills(char **arguments)
{
    const char *in_place = arguments[0], *cache = arguments[1];
    static struct bytes kept, left;
    struct result result;
    char temporary[512];
    int killed = 0, old = 0, whole = 0, stale = 0;
    make_urls(arguments[2], arguments[3]);
    make_cache(cache, 0, arguments[2]);
    load(cache, &kept);
    snprintf(temporary, sizeof temporary, "%s.new", cache);
    struct job job = { list, MIRRORS, cache, 2 };
    for (unsigned i = 0; faults_function(i); i++) {
        for (int call = 1;; call++) {
            char spec[128];
            snprintf(spec, sizeof spec, "%s%s@%d=killed", in_place, faults_function(i), call);
            store(cache, &kept);
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                rank(spec, &job, &result);
                _exit(0);
            }
            int status;
            CHECK(waitpid(child, &status, 0) == child);
            if (WIFEXITED(status))
                break;
            CHECK(WTERMSIG(status) == SIGKILL);
            killed++;
            load(cache, &left);
            stale += access(temporary, F_OK) == 0;
            int is_old = left.length == kept.length && memcmp(left.data, kept.data, kept.length) == 0;
            old += is_old;
            /* The new one has the old record, and one or a note of each mirror, or is the beginning
             * of that where it was written in place. */
            if (*in_place)
                whole += !is_old && left.length < sizeof left.data;
            else if (!is_old) {
                left.data[left.length] = 0;
                CHECK(left.length > kept.length && left.data[left.length - 1] == '\n');
                CHECK(strncmp(left.data, kept.data, strlen("[:_librepo_:]\nversion=1\n")) == 0);
                CHECK(strstr(left.data, "[http://127.0.0.9:"));
                whole++;
            }
            rank(NULL, &job, &result);
            CHECK(result.status == FM_OK && result.is_whole && (*in_place || !result.warnings[0]));
            CHECK(access(temporary, F_OK) != 0);
        }
    }
    printf("killed %d old %d new %d stale %d\n", killed, old, whole, stale);
    return 0;
}

/* How often a ranking calls each function. */
static int functions(char **arguments)
{
    struct result result;
    make_urls(arguments[2], arguments[3]);
    make_cache(arguments[1], strcmp(arguments[0], "remembered") == 0, arguments[2]);
    struct job job = { list, MIRRORS, arguments[1], 2 };
    rank("", &job, &result);
    CHECK(result.status == FM_OK);
    for (unsigned i = 0; faults_function(i); i++)
        printf("%s %d\n", faults_function(i), faults_calls(faults_function(i)));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 7 && strcmp(argv[1], "row") == 0)
        return row(argv + 2, argc > 7 ? atof(argv[7]) : 1);
    if (argc == 6 && strcmp(argv[1], "sweep") == 0)
        return sweep(argv + 2);
    if (argc == 6 && strcmp(argv[1], "kills") == 0)
        return kills(argv + 2);
    if (argc == 6 && strcmp(argv[1], "functions") == 0)
        return functions(argv + 2);
    fprintf(stderr, "usage: see the source\n");
    return 2;
}
