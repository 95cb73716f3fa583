/* What a process has, and how late it is. */
#ifndef PROCESS_H
#define PROCESS_H

#include "../check.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Neither the libraries between us and the kernel nor a clock that is stepped have a part in it. */
static inline double now(void)
{
    struct timespec time;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static inline int count_entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    CHECK(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

struct counts {
    int descriptors, threads;
};

static inline struct counts count(void)
{
    struct counts counts = { count_entries("/proc/self/fd") - 1, count_entries("/proc/self/task") };
    return counts;
}

static inline void pause_for(double seconds)
{
    struct timespec time = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
    nanosleep(&time, NULL);
}

/* Counts until the numbers are these, for a while: a thread that has been joined may be listed for
 * another moment. */
static inline struct counts count_again(struct counts expected)
{
    double start = now();
    for (;;) {
        struct counts counts = count();
        if (memcmp(&counts, &expected, sizeof counts) == 0 || now() - start > 3)
            return counts;
        pause_for(0.001);
    }
}

/* Counts when this program has one thread, as at its beginning. */
static inline struct counts count_at_rest(void)
{
    struct counts counts = count();
    counts.threads = 1;
    counts = count_again(counts);
    CHECK(counts.threads == 1);
    return counts;
}

#endif
