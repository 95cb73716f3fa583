/* Lookups that hang, and what the rest of the process does meanwhile.
 *
 * usage: surroundings CASE PORT [ARGUMENT]
 *
 * PORT accepts at all addresses 127.x.y.z. Prints "fine" if all is well. */
#define _GNU_SOURCE
#include "fastestmirror.h"
#include "faults.h"
#include "process.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#define HANG "getaddrinfo:hung.loopback.example=hang"

enum { HUNG = 4, MIRRORS = HUNG + 3, NOBODY = 65534 };

/* What a call may take beside its timeout on a busy machine. */
static const double ROOM = 5;

static char urls[MIRRORS][96];
static const char *list[MIRRORS];

/* An address, names whose lookups hang, an address, a name that is found. */
static void make_urls(const char *port)
{
    snprintf(urls[0], sizeof urls[0], "http://127.0.0.1:%s/", port);
    for (int i = 1; i <= HUNG; i++)
        snprintf(urls[i], sizeof urls[i], "http://m%d.hung.loopback.example:%s/", i, port);
    snprintf(urls[HUNG + 1], sizeof urls[0], "http://127.0.0.2:%s/", port);
    snprintf(urls[HUNG + 2], sizeof urls[0], "http://n1.loopback.example:%s/", port);
    for (int i = 0; i < MIRRORS; i++)
        list[i] = urls[i];
}

/* The library's functions, so that it may be loaded at run time. */
static struct {
    fm_ranker *(*new)(void);
    void (*free)(fm_ranker *);
    int (*set_timeout)(fm_ranker *, double);
    int (*rank)(fm_ranker *, const char *const *, const double *, size_t, fm_ranking **);
    int (*mirror)(const fm_ranking *, size_t, fm_mirror *);
    void (*free_ranking)(fm_ranking *);
} library = { fm_ranker_new, fm_ranker_free, fm_ranker_set_timeout, fm_rank, fm_ranking_mirror, fm_ranking_free };

/* On a busy machine a call may be late, and miss what has answered: so often it is tried again. */
enum { ATTEMPTS = 50 };

/* Ranks. The mirrors that did not answer come last, in the given order; among them are the `hung`
 * ones, whose lookups hang. Returns whether all others answered. */
static int rank_list(const char *const *mirrors, size_t count, size_t hung)
{
    const double timeout = 2;
    fm_ranker *ranker = library.new();
    fm_ranking *ranking;
    fm_mirror mirror;
    double start = now();
    CHECK(ranker && library.set_timeout(ranker, timeout) == FM_OK);
    CHECK(library.rank(ranker, mirrors, NULL, count, &ranking) == FM_OK);
    CHECK(now() - start < timeout + ROOM);
    size_t answered = 0, last = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(library.mirror(ranking, i, &mirror) == FM_OK);
        CHECK(mirror.index < count && strcmp(mirror.url, mirrors[mirror.index]) == 0);
        if (mirror.outcome == FM_OUTCOME_MEASURED) {
            CHECK(answered++ == i && !strstr(mirror.url, ".hung."));
        } else {
            CHECK(mirror.outcome == FM_OUTCOME_UNANSWERED && (i == answered || mirror.index > last));
            last = mirror.index;
        }
    }
    CHECK(answered <= count - hung);
    library.free_ranking(ranking);
    library.free(ranker);
    return answered == count - hung;
}

static void rank_hung(void)
{
    rank_list(list, MIRRORS, HUNG);
}

/* Ranks until a lookup hangs. */
static void make_hung(void)
{
    for (int i = 0; i < ATTEMPTS && faults_hanging() == 0; i++)
        rank_hung();
    CHECK(faults_hanging() > 0);
}

/* All that answer are measured, as if nothing had happened. */
static void rank_well(void)
{
    const char *mirrors[] = { urls[0], urls[HUNG + 1], urls[HUNG + 2] };
    int i = 0;
    while (i < ATTEMPTS && !rank_list(mirrors, 3, 0))
        i++;
    CHECK(i < ATTEMPTS);
}

static void wait_for_end(struct counts before)
{
    faults_release();
    struct counts after = count_again(before);
    CHECK(after.descriptors == before.descriptors);
    CHECK(after.threads == before.threads);
    CHECK(faults_hanging() == 0);
}

/* Each case begins and ends with these counts, and ranks with hanging lookups first. */
static struct counts before;

static void *rank_in_thread(void *unused)
{
    rank_hung();
    return unused;
}

static void threads(void)
{
    enum { THREADS = 6 };
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, rank_in_thread, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    /* Those of the other calls hang, and there is room for more. */
    rank_hung();
    rank_well();
    wait_for_end(before);
}

static int wait_for_child(pid_t child)
{
    int status;
    double start = now();
    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        CHECK(ended == 0 || ended == child);
        if (ended)
            break;
        /* It is stuck. */
        if (now() - start > 20)
            kill(child, SIGKILL);
        pause_for(0.001);
    }
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void forks(void)
{
    enum { CHILDREN = 12 };
    pthread_t thread;
    pid_t child[CHILDREN];
    CHECK(pthread_create(&thread, NULL, rank_in_thread, NULL) == 0);
    for (int i = 0; i < CHILDREN; i++) {
        pause_for(0.003 * (i % 4));
        child[i] = fork();
        CHECK(child[i] >= 0);
        if (child[i] == 0) {
            /* Its parent's threads do not exist here. */
            rank_hung();
            rank_well();
            _exit(7);
        }
    }
    for (int i = 0; i < CHILDREN; i++)
        CHECK(wait_for_child(child[i]) == 7);
    CHECK(pthread_join(thread, NULL) == 0);
    wait_for_end(before);
}

static void exits(void)
{
    for (int i = 0; i < 12; i++) {
        double start = now();
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            pthread_t thread;
            /* At the end of a call, or in the middle of one. */
            if (i % 3)
                rank_hung();
            else
                CHECK(pthread_create(&thread, NULL, rank_in_thread, NULL) == 0);
            pause_for(0.002 * i);
            if (i % 2)
                exit(7);
            _exit(7);
        }
        CHECK(wait_for_child(child) == 7);
        CHECK(now() - start < 2 + ROOM);
    }
}

static void closed_library(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(handle && dlsym(handle, "fm_rank") != (void *)(size_t)fm_rank);
    *(void **)&library.new = dlsym(handle, "fm_ranker_new");
    *(void **)&library.free = dlsym(handle, "fm_ranker_free");
    *(void **)&library.set_timeout = dlsym(handle, "fm_ranker_set_timeout");
    *(void **)&library.rank = dlsym(handle, "fm_rank");
    *(void **)&library.mirror = dlsym(handle, "fm_ranking_mirror");
    *(void **)&library.free_ranking = dlsym(handle, "fm_ranking_free");
    make_hung();
    CHECK(dlclose(handle) == 0);
    wait_for_end(before);
}

static void changed_root(const char *directory)
{
    struct stat root;
    unsigned long long device, inode;
    CHECK(stat("/", &root) == 0);
    make_hung();
    CHECK(chroot(directory) == 0 && chdir("/") == 0);
    struct stat inside;
    CHECK(stat("/", &inside) == 0 && inside.st_ino != root.st_ino);
    faults_release();
    double start = now();
    while (faults_hanging() && now() - start < 10)
        pause_for(0.001);
    CHECK(faults_hanging() == 0);
    /* A lookup that loads a module must not find it in there. */
    faults_root(&device, &inode);
    CHECK(device == root.st_dev && inode == root.st_ino);
    /* There is no /proc and no /etc. */
    rank_well();
}

static void changed_user(void)
{
    make_hung();
    alarm(20);
    CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
    alarm(0);
    /* So that /proc/self can be read again. */
    CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    CHECK(directory);
    int checked = 0;
    while ((entry = readdir(directory))) {
        char path[300], line[256];
        int real = -1;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *status = fopen(path, "r");
        CHECK(status);
        while (fgets(line, sizeof line, status))
            sscanf(line, "Uid: %d", &real);
        fclose(status);
        CHECK(real == NOBODY);
        checked++;
    }
    closedir(directory);
    CHECK(checked > before.threads);
    rank_well();
    wait_for_end(before);
}

static void closed_descriptors(void)
{
    enum { FILES = 64 };
    static const char text[] = "the program's own file";
    struct stat files[FILES], file;
    char content[64];
    make_hung();
    /* As a daemon does it, and what runs a child. */
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    for (int i = 0; i < FILES; i++) {
        int fd = memfd_create("own", 0);
        CHECK(fd == 3 + i);
        CHECK(write(fd, text, sizeof text) == sizeof text && fstat(fd, &files[i]) == 0);
    }
    faults_release();
    double start = now();
    while ((faults_hanging() || count_entries("/proc/self/task") > before.threads) && now() - start < 10)
        pause_for(0.001);
    CHECK(faults_hanging() == 0 && count_entries("/proc/self/task") == before.threads);
    for (int i = 0; i < FILES; i++) {
        CHECK(fstat(3 + i, &file) == 0 && file.st_ino == files[i].st_ino);
        CHECK(pread(3 + i, content, sizeof content, 0) == sizeof text && strcmp(content, text) == 0);
        close(3 + i);
    }
    rank_well();
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

static void many_signals(int flags)
{
    const struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int i = 0; i < 20; i++)
        rank_hung();
    rank_well();
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(alarms > 20);
    wait_for_end(before);
}

static void many_hung(const char *port)
{
    enum { NAMES = 70, CALLS = 60 };
    static char names[NAMES + 1][96];
    const char *mirrors[NAMES + 1];
    for (int i = 0; i <= NAMES; i++) {
        snprintf(names[i], sizeof names[i], "http://m%d.hung.loopback.example:%s/", i, port);
        mirrors[i] = names[i];
    }
    mirrors[NAMES / 2] = urls[0];
    for (int i = 0; i < CALLS; i++)
        rank_list(mirrors, NAMES + 1, NAMES);
    struct counts after = count();
    /* Each call starts some; together they must not use up what the process may have. */
    CHECK(after.threads <= 256);
    CHECK(after.descriptors - before.descriptors <= after.threads + 3);
    wait_for_end(before);
    rank_well();
}

/* The process may have one descriptor more each time. Too few are reported. */
static void few_descriptors(void)
{
    struct rlimit limit;
    const char *mirrors[] = { urls[0], urls[HUNG + 1], urls[HUNG + 2] };
    int complete = 0, late = 0;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    faults_arm("");
    for (rlim_t room = 0; room < 16; room++) {
        fm_ranking *ranking = NULL;
        fm_mirror mirror;
        int measured = 0, is_reported = 0;
        fm_ranker *ranker = fm_ranker_new();
        CHECK(ranker && fm_ranker_set_timeout(ranker, 0.3) == FM_OK);
        /* The first free descriptor is the number of those that are open. */
        limit.rlim_cur = (rlim_t)before.descriptors + room;
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        double start = now();
        int status = fm_rank(ranker, mirrors, NULL, 3, &ranking);
        CHECK(now() - start < 0.3 + ROOM);
        limit.rlim_cur = limit.rlim_max;
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        if (status == FM_OK) {
            for (size_t i = 0; i < 3; i++) {
                CHECK(fm_ranking_mirror(ranking, i, &mirror) == FM_OK);
                measured += mirror.outcome == FM_OUTCOME_MEASURED;
            }
            is_reported = fm_ranking_warning(ranking, 0) != NULL;
            fm_ranking_free(ranking);
        } else {
            CHECK(status == FM_SYSTEM && strstr(fm_ranker_error(ranker), "Too many open files"));
            is_reported = 1;
        }
        fm_ranker_free(ranker);
        /* More room never makes it worse. */
        if (measured < 3 && (complete || !is_reported)) {
            CHECK(++late < ATTEMPTS);
            room--;
            continue;
        }
        complete = measured == 3;
    }
    CHECK(complete);
    wait_for_end(before);
}

/* No thread can be started: not for want of memory, or since the user may have no more. */
static void no_threads(void)
{
    const char *mirrors[] = { urls[HUNG + 2], urls[0] };
    fm_ranker *ranker = fm_ranker_new();
    fm_ranking *ranking;
    fm_mirror mirror;
    faults_arm("");
    CHECK(ranker);
    /* There is one mirror to wait for, so nothing but the timeout could be too early. */
    CHECK(fm_ranker_set_timeout(ranker, 30) == FM_OK);
    CHECK(fm_rank(ranker, mirrors, NULL, 2, &ranking) == FM_OK);
    CHECK(fm_ranking_mirror(ranking, 0, &mirror) == FM_OK);
    CHECK(mirror.index == 1 && mirror.outcome == FM_OUTCOME_MEASURED);
    CHECK(fm_ranking_mirror(ranking, 1, &mirror) == FM_OK && mirror.outcome == FM_OUTCOME_UNANSWERED);
    CHECK(strstr(fm_ranking_warning(ranking, 0), "no thread can be started"));
    fm_ranking_free(ranking);
    fm_ranker_free(ranker);
}

/* The header allows the library this much of its caller's stack. The rest is for the C library's
 * data of a thread, for the loader and for this program. */
static void small_stack(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, (64 + 16) * 1024) == 0);
    CHECK(pthread_create(&thread, &attributes, rank_in_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    wait_for_end(before);
}

static void few_processes(void)
{
    const struct rlimit none = { 0, 0 };
    CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
    CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
    no_threads();
}

static void little_memory(void)
{
    unsigned long pages;
    struct rlimit limit;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%lu", &pages) == 1 && fclose(file) == 0);
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    /* Enough for what a call takes, but not for the stack of a thread. */
    limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + 768 * 1024;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    no_threads();
}

int main(int argc, char **argv)
{
    CHECK(argc >= 3);
    make_urls(argv[2]);
    /* Before any thread: glibc keeps the stacks of those that have ended. */
    if (strcmp(argv[1], "little-memory") == 0) {
        little_memory();
        puts("fine");
        return 0;
    }
    /* What glibc and Rust allocate once. */
    faults_arm("");
    rank_well();
    faults_arm(HANG);
    before = count_at_rest();
#define CASE(name) if (strcmp(argv[1], name) == 0)
    CASE("threads") threads();
    else CASE("fork") forks();
    else CASE("exit") exits();
    else CASE("dlclose") closed_library(argv[3]);
    else CASE("chroot") changed_root(argv[3]);
    else CASE("setuid") changed_user();
    else CASE("close") closed_descriptors();
    else CASE("signals") many_signals(0);
    else CASE("restarting-signals") many_signals(SA_RESTART);
    else CASE("few-descriptors") few_descriptors();
    else CASE("small-stack") small_stack();
    else CASE("few-processes") few_processes();
    else CASE("many") many_hung(argv[2]);
    else CHECK(!"there is no such case");
    puts("fine");
    return 0;
}
