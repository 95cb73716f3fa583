/* The common part of the clients of the bench `measure`. Each reads a list of lines from standard
 * input, times one call, and prints its cost ("call SECONDS CPU_SECONDS KIB_BEFORE KIB_AT_PEAK")
 * and its results. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static char **lines;
static size_t count;

/* Sets the limit of a login shell: the bench has a higher one, which the client inherits. */
static void limit_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 1024) {
        limit.rlim_cur = 1024;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static inline void read_lines(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    limit_descriptors();
    while ((length = getline(&line, &room, stdin)) > 0) {
        lines = realloc(lines, (count + 1) * sizeof *lines);
        if (!lines)
            abort();
        line[strcspn(line, "\n")] = 0;
        lines[count++] = strdup(line);
    }
    free(line);
}

static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* The CPU time of all threads, including those that have ended. */
static inline double cpu_time(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* ru_maxrss would include the memory that the parent had before exec. */
static inline long peak_kib(void)
{
    char line[256];
    long peak = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        sscanf(line, "VmHWM: %ld", &peak);
    if (status)
        fclose(status);
    return peak;
}

struct cost {
    double time, cpu_time;
    long peak_kib;
};

static inline struct cost begin(void)
{
    struct cost cost = {.peak_kib = peak_kib()};
    cost.cpu_time = cpu_time();
    cost.time = now();
    return cost;
}

static inline void end(struct cost before)
{
    double time = now() - before.time, used = cpu_time() - before.cpu_time;
    printf("call %.9f %.6f %ld %ld\n", time, used, before.peak_kib, peak_kib());
}
