/* What the clients of the bench `measure` have in common: a list of lines on stdin, one call to be timed, and on
 * stdout what it cost ("call SECONDS PROCESSOR_SECONDS KIB_BEFORE KIB_AT_PEAK") and what it found. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static char **lines;
static size_t count;

/* As a login shell has it: the bench itself needs more, and would hand it down. */
static void usual_descriptors(void)
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
    usual_descriptors();
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

/* Of all threads, those that have ended too. */
static inline double processor_time(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Not ru_maxrss, which begins at what the parent had. */
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
    double time, processor_time;
    long peak_kib;
};

static inline struct cost begin(void)
{
    struct cost cost = {.peak_kib = peak_kib()};
    cost.processor_time = processor_time();
    cost.time = now();
    return cost;
}

static inline void end(struct cost before)
{
    double time = now() - before.time, used = processor_time() - before.processor_time;
    printf("call %.9f %.6f %ld %ld\n", time, used, before.peak_kib, peak_kib());
}
