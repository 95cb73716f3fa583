/* Preloaded, makes the kernel look as if it had no TCP_INFO, as in WSL 1 and in some sandboxes.
 *
 * build: cc -shared -fPIC no_tcp_info.c -o no_tcp_info.so */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    if (level == IPPROTO_TCP && name == TCP_INFO) {
        errno = ENOPROTOOPT;
        return -1;
    }
    return (int)syscall(SYS_getsockopt, fd, level, name, value, length);
}
