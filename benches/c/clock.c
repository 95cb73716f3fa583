/* Times each handshake in two ways: the kernel's measurement (TCP_INFO), and the wall-clock time
 * from connect() until epoll reports the connection, as most programs do. Takes IPv4 addresses and
 * connects to all at once, on port 443. Prints a line "mirror INDEX KERNEL WALL" for each that
 * answers within a second. */
#include "client.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    read_lines();
    int poll = epoll_create1(0);
    int *sockets = calloc(count, sizeof *sockets);
    double *started = calloc(count, sizeof *started), *kernel = calloc(count, sizeof *kernel), *wall = calloc(count, sizeof *wall);
    struct cost before = begin();
    for (size_t i = 0; i < count; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(443)};
        struct epoll_event event = {.events = EPOLLOUT, .data.u64 = i};
        inet_pton(AF_INET, lines[i], &to.sin_addr);
        sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        epoll_ctl(poll, EPOLL_CTL_ADD, sockets[i], &event);
        started[i] = now();
        connect(sockets[i], (struct sockaddr *)&to, sizeof to);
    }
    while (now() < before.time + 1) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, 100);
        double noticed = now();
        for (int n = 0; n < ready; n++) {
            size_t i = events[n].data.u64;
            struct tcp_info info;
            socklen_t size = sizeof info;
            if (!(events[n].events & (EPOLLERR | EPOLLHUP)) && getsockopt(sockets[i], IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
                kernel[i] = info.tcpi_rtt / 1e6;
                wall[i] = noticed - started[i];
            }
            close(sockets[i]);
        }
    }
    end(before);
    for (size_t i = 0; i < count; i++)
        if (wall[i] > 0)
            printf("mirror %zu %.9f %.9f\n", i, kernel[i], wall[i]);
    return 0;
}
