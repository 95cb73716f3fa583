/* Looks up the hosts and sends a SYN to each, and does nothing else: a lower bound for any client
 * that measures them. Each SYN is sent by the thread that looked up the address. Connections that
 * are established meanwhile are timed by the kernel and closed. The run is over when the last SYN
 * has been sent.
 *
 * usage: syns THREADS. Prints a line "mirror INDEX SECONDS" for each host, from the start of the
 * run until its SYN has been sent. */
#include "client.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_size_t next, working;
static double start, *sent;
static int events, finished;

static void send_syn(size_t name)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    if (getaddrinfo(lines[name], "443", &hints, &list))
        abort();
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.fd = fd};
    if (fd < 0 || (connect(fd, list->ai_addr, list->ai_addrlen) && errno != EINPROGRESS))
        abort();
    sent[name] = now() - start;
    /* After connect(): epoll reports EPOLLHUP for a socket that is not connecting. */
    epoll_ctl(events, EPOLL_CTL_ADD, fd, &event);
    freeaddrinfo(list);
}

static void done(void)
{
    if (atomic_fetch_sub(&working, 1) == 1)
        eventfd_write(finished, 1);
}

static void *work(void *unused)
{
    size_t name;
    while ((name = atomic_fetch_add(&next, 1)) < count)
        send_syn(name);
    done();
    return unused;
}

int main(int argc, char **argv)
{
    size_t threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    struct epoll_event ready[256], last = {.events = EPOLLIN, .data.fd = -1};
    pthread_attr_t attributes;

    read_lines();
    threads = threads < count ? threads : count;
    sent = calloc(count, sizeof *sent);
    pthread_t *ids = calloc(threads, sizeof *ids);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1024 * 1024);
    struct cost before = begin();
    start = before.time;
    events = epoll_create1(EPOLL_CLOEXEC);
    finished = eventfd(0, EFD_CLOEXEC);
    epoll_ctl(events, EPOLL_CTL_ADD, finished, &last);
    if (events < 0 || finished < 0)
        abort();
    working = threads + 1;
    for (size_t i = 0; i < threads; i++)
        if (pthread_create(&ids[i], &attributes, work, NULL))
            abort();
    done();
    for (int over = 0; !over;) {
        int answers = epoll_wait(events, ready, 256, -1);
        for (int i = 0; i < answers; i++) {
            int fd = ready[i].data.fd;
            struct tcp_info info;
            socklen_t length = sizeof info;
            over |= fd < 0;
            if (fd < 0)
                continue;
            getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
            close(fd);
        }
    }
    end(before);
    for (size_t i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    for (size_t i = 0; i < count; i++)
        printf("mirror %zu %.9f\n", i, sent[i]);
    return 0;
}
