/* Looks up the hosts and does nothing else: a lower bound for any client that measures them.
 *
 * usage: lookups THREADS. Prints a line "mirror INDEX SECONDS" for each host, from the start of the
 * run to the end of its lookup. */
#include "client.h"
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_size_t next;
static double start, *done;

static void *work(void *unused)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    size_t name;
    while ((name = atomic_fetch_add(&next, 1)) < count) {
        if (getaddrinfo(lines[name], NULL, &hints, &list) == 0)
            freeaddrinfo(list);
        done[name] = now() - start;
    }
    return unused;
}

int main(int argc, char **argv)
{
    size_t started = 0, threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    pthread_attr_t attributes;

    read_lines();
    threads = threads < count ? threads : count;
    pthread_t *ids = calloc(threads, sizeof *ids);
    done = calloc(count, sizeof *done);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1024 * 1024);
    struct cost before = begin();
    start = before.time;
    while (started < threads && pthread_create(&ids[started], &attributes, work, NULL) == 0)
        started++;
    for (size_t i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    end(before);
    for (size_t i = 0; i < count; i++)
        printf("mirror %zu %.9f\n", i, done[i]);
    return 0;
}
