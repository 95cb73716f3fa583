/* libfaults.so stands between a program and its C library, and makes calls fail: faults.h.
 *
 * It comes before the C library in the order in which names are searched, since the program is
 * linked with it, or since it is preloaded. The environment variable FAULTS holds what to do from
 * the start. The C library's own calls of its functions do not come here.
 *
 * Names under loopback.example are always found, without the system's resolver: n7 is at
 * 127.0.1.7, and any other at 127.0.1.99. */
#define _GNU_SOURCE
#include "faults.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <locale.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Every function that this library stands in for. */
#define FUNCTIONS(F)                                                                               \
    F(clock_gettime) F(clock_nanosleep) F(close) F(closedir) F(connect) F(epoll_create1)           \
    F(epoll_ctl) F(epoll_wait) F(eventfd) F(fchmod) F(fchown) F(flock) F(fstat64) F(ftruncate64) F(getaddrinfo)   \
    F(getcwd) F(getifaddrs) F(getpeername) F(getrandom) F(getrlimit) F(getsockopt) F(lseek64)      \
    F(lstat64) F(mmap64) F(mprotect) F(munmap) F(newlocale) F(open) F(open64) F(opendir) F(pause)  \
    F(poll) F(pthread_attr_getguardsize) F(pthread_attr_getstack) F(pthread_create)                \
    F(pthread_detach) F(pthread_getattr_np) F(pthread_join) F(pthread_key_create)                  \
    F(pthread_setname_np) F(pthread_sigmask) F(pwrite64) F(read) F(readdir64) F(readlink) F(realpath)          \
    F(recvfrom) F(rename) F(sched_yield) F(send) F(sigaltstack) F(socket) F(stat64) F(statx)       \
    F(syscall) F(sysconf) F(unlink) F(unshare) F(uselocale) F(write) F(writev)

enum function {
#define F(name) F_##name,
    FUNCTIONS(F)
#undef F
    FUNCTION_COUNT
};

static const char *const names[] = {
#define F(name) #name,
    FUNCTIONS(F)
#undef F
};

static const struct errno_name {
    const char *name;
    int value;
} errnos[] = {
#define E(name) { #name, name }
    E(EACCES),      E(EADDRINUSE),   E(EADDRNOTAVAIL), E(EAFNOSUPPORT), E(EAGAIN),
    E(EALREADY),    E(EBADF),        E(EBUSY),         E(ECONNABORTED), E(ECONNREFUSED),
    E(ECONNRESET),  E(EDQUOT),       E(EEXIST),        E(EFAULT),       E(EFBIG),
    E(EHOSTDOWN),   E(EHOSTUNREACH), E(EINTR),         E(EINVAL),       E(EIO),
    E(EISCONN),     E(EISDIR),       E(ELOOP),         E(EMFILE),       E(ENAMETOOLONG),
    E(ENETDOWN),    E(ENETUNREACH),  E(ENFILE),        E(ENOBUFS),      E(ENODEV),
    E(ENOENT),      E(ENOLCK),       E(ENOMEM),        E(ENOPROTOOPT),  E(ENOSPC),
    E(ENOSYS),      E(ENOTCONN),     E(ENOTDIR),       E(ENOTSOCK),     E(ENXIO),
    E(EOPNOTSUPP),  E(EPERM),        E(EPIPE),         E(EPROTO),       E(EPROTONOSUPPORT),
    E(EPROTOTYPE),  E(ERANGE),       E(EROFS),        E(ESTALE),       E(ETIMEDOUT),     E(ETXTBSY),
    E(EXDEV),
#undef E
};

static const struct errno_name lookup_errors[] = {
#define E(name) { #name, name }
    E(EAI_ADDRFAMILY), E(EAI_AGAIN),    E(EAI_BADFLAGS), E(EAI_FAIL),   E(EAI_FAMILY),
    E(EAI_IDN_ENCODE), E(EAI_MEMORY),   E(EAI_NODATA),   E(EAI_NONAME), E(EAI_OVERFLOW),
    E(EAI_SERVICE),    E(EAI_SOCKTYPE), E(EAI_SYSTEM),
#undef E
};

struct fault {
    enum function function;
    char context[64];
    unsigned from, step, to;
    /* One of them. */
    int error;
    char word[32];
    atomic_uint matched;
};

static struct fault faults[8];
static atomic_uint fault_count, hits, calls[FUNCTION_COUNT], hanging, releases;
static atomic_ullong root_device, root_inode;
/* The word of the effect, for the call that is under way. */
static __thread const char *word;

static void die(const char *message, const char *text)
{
    fprintf(stderr, "libfaults: %s: %s\n", message, text);
    abort();
}

static int find_errno(const struct errno_name *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i].value;
    return 0;
}

static void parse(struct fault *fault, char *text)
{
    char *effect = strchr(text, '=');
    if (!effect)
        die("no effect", text);
    *effect++ = 0;
    char *at = strchr(text, '@'), *context = strchr(text, ':');
    fault->from = fault->step = 1;
    fault->to = UINT_MAX;
    if (at) {
        *at++ = 0;
        char *end;
        fault->from = fault->to = (unsigned)strtoul(at, &end, 10);
        if (*end == '+') {
            fault->to = UINT_MAX;
            if (end[1])
                fault->step = (unsigned)strtoul(end + 1, &end, 10);
        }
        if (fault->from == 0 || fault->step == 0)
            die("calls count from 1", at);
    }
    if (context)
        *context++ = 0;
    if ((context && strlen(context) >= sizeof fault->context) || strlen(effect) >= sizeof fault->word)
        die("too long", effect);
    strcpy(fault->context, context ? context : "");
    fault->error = find_errno(errnos, sizeof errnos / sizeof *errnos, effect);
    strcpy(fault->word, effect);
    unsigned function = 0;
    while (function < FUNCTION_COUNT && strcmp(names[function], text) != 0)
        function++;
    if (function == FUNCTION_COUNT)
        die("no such function", text);
    fault->function = function;
    fault->matched = 0;
}

void faults_arm(const char *spec)
{
    char text[512];
    unsigned count = 0;
    fault_count = 0;
    if (!spec)
        return;
    hits = 0;
    for (unsigned i = 0; i < FUNCTION_COUNT; i++)
        calls[i] = 0;
    if (strlen(spec) >= sizeof text)
        die("too long", spec);
    strcpy(text, spec);
    char *rest = text, *one;
    while ((one = strsep(&rest, ";"))) {
        if (!*one)
            continue;
        if (count == sizeof faults / sizeof *faults)
            die("too many", spec);
        parse(&faults[count++], one);
    }
    fault_count = count;
}

__attribute__((constructor)) static void arm_from_environment(void)
{
    const char *spec = getenv("FAULTS");
    if (spec)
        faults_arm(spec);
}

static void *real(enum function function)
{
    static void *_Atomic found[FUNCTION_COUNT];
    void *address = found[function];
    if (!address) {
        address = dlsym(RTLD_NEXT, names[function]);
        if (!address)
            die("the C library has no such function", names[function]);
        found[function] = address;
    }
    return address;
}
#define REAL(name) ((__typeof__(&name))real(F_##name))

unsigned faults_hits(void)
{
    return hits;
}

int faults_calls(const char *function)
{
    for (unsigned i = 0; i < FUNCTION_COUNT; i++)
        if (strcmp(names[i], function) == 0)
            return (int)calls[i];
    return -1;
}

const char *faults_function(unsigned position)
{
    return position < FUNCTION_COUNT ? names[position] : NULL;
}

unsigned faults_hanging(void)
{
    return hanging;
}

void faults_release(void)
{
    releases++;
    REAL(syscall)(SYS_futex, &releases, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void faults_root(unsigned long long *device, unsigned long long *inode)
{
    *device = root_device;
    *inode = root_inode;
}

static int ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

/* What becomes of a call: 0 for nothing special, an errno, or -1 for the effect in `word`. */
static int effect(enum function function, const char *context)
{
    calls[function]++;
    unsigned count = fault_count;
    for (unsigned i = 0; i < count; i++) {
        struct fault *fault = &faults[i];
        if (fault->function != function || !ends_with(context, fault->context))
            continue;
        unsigned call = ++fault->matched;
        if (call < fault->from || call > fault->to || (call - fault->from) % fault->step)
            continue;
        hits++;
        word = fault->word;
        if (strcmp(word, "killed") == 0)
            raise(SIGKILL);
        return fault->error ? fault->error : -1;
    }
    return 0;
}

/* What a descriptor stands for: a path, or "socket:[4711]". */
struct path {
    char text[PATH_MAX];
};

static const char *path_of(int fd, struct path *path)
{
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = REAL(syscall)(SYS_readlink, link, path->text, sizeof path->text - 1);
    path->text[length < 0 ? 0 : length] = 0;
    return path->text;
}

static void unknown_word(enum function function)
{
    fprintf(stderr, "libfaults: %s does not know the effect %s\n", names[function], word);
    abort();
}

static int is_word(const char *wanted)
{
    return strcmp(word, wanted) == 0;
}

/* For functions that return -1 and set errno, and know no word. */
#define FAIL(name, context)                        \
    do {                                           \
        int saved = errno;                         \
        int error = effect(F_##name, context);     \
        if (error < 0)                             \
            unknown_word(F_##name);                \
        if (error > 0) {                           \
            errno = error;                         \
            return -1;                             \
        }                                          \
        errno = saved;                             \
    } while (0)

/* The same for those that return the error. */
#define RETURN(name)                               \
    do {                                           \
        int error = effect(F_##name, "");          \
        if (error < 0)                             \
            unknown_word(F_##name);                \
        if (error > 0)                             \
            return error;                          \
    } while (0)

/* Sockets. */

int socket(int family, int kind, int protocol)
{
    FAIL(socket, family == AF_NETLINK ? "netlink" : family == AF_INET6 ? "inet6" : "inet");
    return REAL(socket)(family, kind, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    char to[32] = "";
    if (address->sa_family == AF_INET) {
        const uint8_t *ip = (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
        snprintf(to, sizeof to, "%d.%d.%d.%d", ip[0], ip[1], ip[2], ip[3]);
    }
    int error = effect(F_connect, to);
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error < 0) {
        if (!is_word("interrupted"))
            unknown_word(F_connect);
        /* As POSIX has it: the connection goes on. */
        REAL(connect)(fd, address, length);
        errno = EINTR;
        return -1;
    }
    return REAL(connect)(fd, address, length);
}

int getpeername(int fd, struct sockaddr *restrict address, socklen_t *restrict length)
{
    FAIL(getpeername, "");
    return REAL(getpeername)(fd, address, length);
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
    int is_info = level == IPPROTO_TCP && name == TCP_INFO;
    int error = effect(F_getsockopt, is_info ? "TCP_INFO" : name == SO_ERROR ? "SO_ERROR" : "other");
    if (error > 0) {
        errno = error;
        return -1;
    }
    int result = REAL(getsockopt)(fd, level, name, value, length);
    if (error < 0 && is_info) {
        struct tcp_info *info = value;
        if (is_word("zero"))
            memset(value, 0, *length);
        else if (is_word("short"))
            memset((char *)value + 1, 0, *length - 1), *length = 1;
        else if (is_word("ones"))
            memset(value, 0xff, *length);
        else if (is_word("slow"))
            info->tcpi_rtt = UINT32_MAX;
        else
            unknown_word(F_getsockopt);
    } else if (error < 0)
        unknown_word(F_getsockopt);
    return result;
}

ssize_t send(int fd, const void *buffer, size_t length, int flags)
{
    int error = effect(F_send, "");
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error < 0) {
        if (!is_word("short"))
            unknown_word(F_send);
        return (ssize_t)length / 2;
    }
    return REAL(send)(fd, buffer, length, flags);
}

ssize_t recvfrom(int fd, void *restrict buffer, size_t length, int flags, struct sockaddr *restrict from,
                 socklen_t *restrict from_length)
{
    int error = effect(F_recvfrom, "");
    if (error > 0) {
        errno = error;
        return -1;
    }
    ssize_t got = REAL(recvfrom)(fd, buffer, length, flags, from, from_length);
    if (error == 0 || got < 0)
        return got;
    if (is_word("ones"))
        memset(buffer, 0xff, (size_t)got);
    else if (is_word("zeros"))
        memset(buffer, 0, (size_t)got);
    else if (is_word("half"))
        got /= 2;
    else if (is_word("nothing"))
        got = 0;
    else if (is_word("huge"))
        got = (ssize_t)length + 1;
    else if (is_word("foreign"))
        ((struct sockaddr_nl *)from)->nl_pid = 1;
    else
        unknown_word(F_recvfrom);
    return got;
}

/* Waiting. */

int epoll_create1(int flags)
{
    FAIL(epoll_create1, "");
    return REAL(epoll_create1)(flags);
}

int epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
    struct path path;
    FAIL(epoll_ctl, strstr(path_of(fd, &path), "eventfd") ? "eventfd" : "socket");
    return REAL(epoll_ctl)(set, operation, fd, event);
}

int epoll_wait(int set, struct epoll_event *events, int room, int timeout)
{
    int error = effect(F_epoll_wait, "");
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error < 0) {
        if (!is_word("nothing"))
            unknown_word(F_epoll_wait);
        return 0;
    }
    return REAL(epoll_wait)(set, events, room, timeout);
}

int eventfd(unsigned count, int flags)
{
    FAIL(eventfd, "");
    return REAL(eventfd)(count, flags);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    FAIL(poll, "");
    return REAL(poll)(fds, count, timeout);
}

int pause(void)
{
    FAIL(pause, "");
    return REAL(pause)();
}

int sched_yield(void)
{
    FAIL(sched_yield, "");
    return REAL(sched_yield)();
}

/* Time. */

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int error = effect(F_clock_gettime, clock == CLOCK_REALTIME   ? "realtime"
                                        : clock == CLOCK_MONOTONIC ? "monotonic"
                                                                   : "boottime");
    if (error > 0) {
        errno = error;
        return -1;
    }
    int result = REAL(clock_gettime)(clock, time);
    if (error < 0) {
        if (is_word("later"))
            time->tv_sec += 3600;
        else if (is_word("earlier"))
            time->tv_sec -= 3600;
        else if (is_word("epoch"))
            time->tv_sec = 0;
        else if (is_word("past"))
            time->tv_sec = -1000;
        else if (is_word("last"))
            time->tv_sec = INT64_MAX;
        else
            unknown_word(F_clock_gettime);
    }
    return result;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
    if (effect(F_clock_nanosleep, "") == EINTR) {
        *left = *time;
        return EINTR;
    }
    return REAL(clock_nanosleep)(clock, flags, time, left);
}

/* Files. */

static int failed_open(enum function function, const char *path)
{
    int error = effect(function, path);
    if (error < 0)
        unknown_word(function);
    if (error > 0)
        errno = error;
    return error;
}

int open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
    va_end(list);
    return failed_open(F_open, path) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
    va_end(list);
    return failed_open(F_open64, path) ? -1 : REAL(open64)(path, flags, mode);
}

/* As Linux does it: the descriptor is closed in any case. */
int close(int fd)
{
    int error = effect(F_close, "");
    int result = REAL(close)(fd);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return result;
}

ssize_t read(int fd, void *buffer, size_t length)
{
    struct path path;
    int error = effect(F_read, path_of(fd, &path));
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error < 0) {
        if (is_word("short"))
            length = length > 1;
        else
            unknown_word(F_read);
    }
    return REAL(read)(fd, buffer, length);
}

ssize_t write(int fd, const void *buffer, size_t length)
{
    struct path path;
    int error = effect(F_write, path_of(fd, &path));
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error < 0) {
        if (is_word("nothing"))
            return 0;
        if (is_word("short"))
            length = (length + 1) / 2;
        else
            unknown_word(F_write);
    }
    return REAL(write)(fd, buffer, length);
}

ssize_t pwrite64(int fd, const void *buffer, size_t length, off64_t offset)
{
    struct path path;
    int error = effect(F_pwrite64, path_of(fd, &path));
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error < 0) {
        if (is_word("nothing"))
            return 0;
        if (is_word("short"))
            length = (length + 1) / 2;
        else
            unknown_word(F_pwrite64);
    }
    return REAL(pwrite64)(fd, buffer, length, offset);
}

int ftruncate64(int fd, off64_t length)
{
    struct path path;
    FAIL(ftruncate64, path_of(fd, &path));
    return REAL(ftruncate64)(fd, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    FAIL(writev, "");
    return REAL(writev)(fd, parts, count);
}

off64_t lseek64(int fd, off64_t offset, int whence)
{
    FAIL(lseek64, "");
    return REAL(lseek64)(fd, offset, whence);
}

int rename(const char *from, const char *to)
{
    FAIL(rename, to);
    return REAL(rename)(from, to);
}

int unlink(const char *path)
{
    FAIL(unlink, path);
    return REAL(unlink)(path);
}

int flock(int fd, int operation)
{
    struct path path;
    FAIL(flock, operation == LOCK_UN ? "unlock" : path_of(fd, &path));
    return REAL(flock)(fd, operation);
}

int fchmod(int fd, mode_t mode)
{
    struct path path;
    FAIL(fchmod, path_of(fd, &path));
    return REAL(fchmod)(fd, mode);
}

int fchown(int fd, uid_t owner, gid_t group)
{
    struct path path;
    FAIL(fchown, path_of(fd, &path));
    return REAL(fchown)(fd, owner, group);
}

int statx(int directory, const char *restrict path, int flags, unsigned mask, struct statx *restrict result)
{
    struct path buffer;
    /* Rust's std passes NULL to find out whether there is such a call; the header forbids that. */
    const char *volatile given = path;
    int error = effect(F_statx, given && *given ? given : path_of(directory, &buffer));
    if (error > 0) {
        errno = error;
        return -1;
    }
    int code = REAL(statx)(directory, path, flags, mask, result);
    if (error < 0 && code == 0) {
        if (is_word("huge"))
            result->stx_size = UINT64_C(1) << 62;
        else if (is_word("empty"))
            result->stx_size = 0;
        else if (is_word("fifo"))
            result->stx_mode = S_IFIFO | 0600;
        else if (is_word("open"))
            result->stx_mode = S_IFREG | 0666;
        else if (is_word("foreign"))
            result->stx_uid = 4711;
        else
            unknown_word(F_statx);
    }
    return code;
}

int stat64(const char *restrict path, struct stat64 *restrict result)
{
    FAIL(stat64, path);
    return REAL(stat64)(path, result);
}

int lstat64(const char *restrict path, struct stat64 *restrict result)
{
    FAIL(lstat64, path);
    return REAL(lstat64)(path, result);
}

int fstat64(int fd, struct stat64 *result)
{
    struct path path;
    FAIL(fstat64, path_of(fd, &path));
    return REAL(fstat64)(fd, result);
}

DIR *opendir(const char *path)
{
    int error = effect(F_opendir, path);
    if (error > 0) {
        errno = error;
        return NULL;
    }
    return REAL(opendir)(path);
}

struct dirent64 *readdir64(DIR *directory)
{
    int error = effect(F_readdir64, "");
    if (error > 0) {
        errno = error;
        return NULL;
    }
    return REAL(readdir64)(directory);
}

int closedir(DIR *directory)
{
    int error = effect(F_closedir, "");
    int result = REAL(closedir)(directory);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return result;
}

char *getcwd(char *buffer, size_t length)
{
    int error = effect(F_getcwd, "");
    if (error > 0) {
        errno = error;
        return NULL;
    }
    return REAL(getcwd)(buffer, length);
}

ssize_t readlink(const char *restrict path, char *restrict buffer, size_t length)
{
    FAIL(readlink, path);
    return REAL(readlink)(path, buffer, length);
}

char *realpath(const char *restrict path, char *restrict resolved)
{
    effect(F_realpath, path);
    return REAL(realpath)(path, resolved);
}

/* The process. */

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
    int error = effect(F_getrlimit, "");
    if (error > 0) {
        errno = error;
        return -1;
    }
    int result = REAL(getrlimit)(resource, limit);
    if (error < 0) {
        if (is_word("none"))
            limit->rlim_cur = limit->rlim_max = 0;
        else if (is_word("infinite"))
            limit->rlim_cur = limit->rlim_max = RLIM_INFINITY;
        else
            unknown_word(F_getrlimit);
    }
    return result;
}

ssize_t getrandom(void *buffer, size_t length, unsigned flags)
{
    int error = effect(F_getrandom, "");
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error < 0) {
        if (!is_word("short"))
            unknown_word(F_getrandom);
        length = length > 1;
    }
    return REAL(getrandom)(buffer, length, flags);
}

long syscall(long number, ...)
{
    va_list list;
    va_start(list, number);
    long a[6];
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    FAIL(syscall, number == SYS_futex ? "futex" : number == SYS_getrandom ? "getrandom" : "other");
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int unshare(int what)
{
    FAIL(unshare, "");
    return REAL(unshare)(what);
}

long sysconf(int name)
{
    FAIL(sysconf, "");
    return REAL(sysconf)(name);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
                   void *(*start)(void *), void *restrict argument)
{
    RETURN(pthread_create);
    return REAL(pthread_create)(thread, attributes, start, argument);
}

int pthread_join(pthread_t thread, void **result)
{
    RETURN(pthread_join);
    return REAL(pthread_join)(thread, result);
}

int pthread_detach(pthread_t thread)
{
    RETURN(pthread_detach);
    return REAL(pthread_detach)(thread);
}

int pthread_setname_np(pthread_t thread, const char *name)
{
    RETURN(pthread_setname_np);
    return REAL(pthread_setname_np)(thread, name);
}

int pthread_sigmask(int how, const sigset_t *restrict set, sigset_t *restrict before)
{
    RETURN(pthread_sigmask);
    return REAL(pthread_sigmask)(how, set, before);
}

int pthread_key_create(pthread_key_t *key, void (*destroy)(void *))
{
    RETURN(pthread_key_create);
    return REAL(pthread_key_create)(key, destroy);
}

int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes)
{
    RETURN(pthread_getattr_np);
    return REAL(pthread_getattr_np)(thread, attributes);
}

int pthread_attr_getstack(const pthread_attr_t *restrict attributes, void **restrict address, size_t *restrict size)
{
    RETURN(pthread_attr_getstack);
    return REAL(pthread_attr_getstack)(attributes, address, size);
}

int pthread_attr_getguardsize(const pthread_attr_t *restrict attributes, size_t *restrict size)
{
    RETURN(pthread_attr_getguardsize);
    return REAL(pthread_attr_getguardsize)(attributes, size);
}

int sigaltstack(const stack_t *restrict stack, stack_t *restrict before)
{
    FAIL(sigaltstack, "");
    return REAL(sigaltstack)(stack, before);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
    int error = effect(F_mmap64, "");
    if (error > 0) {
        errno = error;
        return MAP_FAILED;
    }
    return REAL(mmap64)(address, length, protection, flags, fd, offset);
}

int mprotect(void *address, size_t length, int protection)
{
    FAIL(mprotect, "");
    return REAL(mprotect)(address, length, protection);
}

int munmap(void *address, size_t length)
{
    FAIL(munmap, "");
    return REAL(munmap)(address, length);
}

locale_t newlocale(int mask, const char *name, locale_t base)
{
    int error = effect(F_newlocale, "");
    if (error > 0) {
        errno = error;
        return (locale_t)0;
    }
    return REAL(newlocale)(mask, name, base);
}

locale_t uselocale(locale_t locale)
{
    int error = effect(F_uselocale, "");
    if (error > 0) {
        errno = error;
        return (locale_t)0;
    }
    return REAL(uselocale)(locale);
}

/* Lookups. */

/* A list of our own, with the addresses at the very end of what may be read. */
struct list {
    struct list *self;
    size_t size;
    struct addrinfo entries[];
};

static size_t page_size(void)
{
    return (size_t)REAL(sysconf)(_SC_PAGESIZE);
}

/* A list of `count` addresses of `length` bytes, all of them copies of `address`. */
static struct addrinfo *make_list(unsigned count, const void *address, socklen_t length)
{
    size_t page = page_size();
    size_t size = sizeof(struct list) + count * sizeof(struct addrinfo) + length;
    size = (size + page - 1) / page * page;
    char *memory = REAL(mmap64)(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || REAL(mprotect)(memory + size, page, PROT_NONE) != 0)
        die("no memory", "getaddrinfo");
    struct list *list = (struct list *)memory;
    list->self = list;
    list->size = size + page;
    for (unsigned i = 0; i < count; i++) {
        struct addrinfo *entry = &list->entries[i];
        entry->ai_family = ((const struct sockaddr *)address)->sa_family;
        entry->ai_socktype = SOCK_STREAM;
        entry->ai_protocol = IPPROTO_TCP;
        entry->ai_addrlen = length;
        entry->ai_addr = memcpy(memory + size - length, address, length);
        entry->ai_next = i + 1 < count ? entry + 1 : NULL;
    }
    return list->entries;
}

/* The fields of the first entry that freeaddrinfo() gets. */
static struct list *list_of(struct addrinfo *first)
{
    return (struct list *)((char *)first - offsetof(struct list, entries));
}

/* Puts an entry before a list. */
static struct addrinfo *before(struct addrinfo *first, struct addrinfo *rest)
{
    first->ai_next = rest;
    return first;
}

static struct sockaddr_in address_of_name(const char *name)
{
    unsigned number = 99;
    sscanf(name, "n%u.", &number);
    struct sockaddr_in address = { .sin_family = AF_INET };
    address.sin_addr.s_addr = htonl(0x7f000100 + number);
    return address;
}

static struct addrinfo *absurd(const char *name)
{
    struct sockaddr_in good = address_of_name(name), other = good;
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    struct addrinfo *list;
    /* With a plus at the end, a good address comes after the absurd ones. */
    char kind[sizeof faults->word];
    strcpy(kind, word);
    char *plus = strchr(kind, '+');
    if (plus)
        *plus = 0;
    struct addrinfo *rest = plus ? make_list(1, &good, sizeof good) : NULL;
#define KIND(text) (strcmp(kind, text) == 0)
    if (KIND("null")) {
        list = make_list(1, &good, sizeof good);
        list->ai_addr = NULL;
    } else if (KIND("short")) {
        list = make_list(1, &good, sizeof good.sin_family);
    } else if (KIND("short6")) {
        list = make_list(1, &six, sizeof good);
    } else if (KIND("tiny")) {
        list = make_list(1, &good, 1);
    } else if (KIND("families")) {
        other.sin_family = AF_UNIX;
        list = make_list(1, &other, sizeof other);
        other.sin_family = 0xffff;
        list = before(list, make_list(1, &other, sizeof other));
        /* What the entry says is not what the address says. */
        list->ai_next->ai_family = AF_INET;
        list->ai_next->ai_next = rest;
        return list;
    } else if (KIND("any")) {
        other.sin_addr.s_addr = 0;
        list = make_list(1, &other, sizeof other);
    } else if (KIND("broadcast")) {
        other.sin_addr.s_addr = 0xffffffff;
        list = make_list(1, &other, sizeof other);
    } else if (KIND("multicast")) {
        other.sin_addr.s_addr = htonl(0xe0000001);
        list = make_list(1, &other, sizeof other);
    } else if (KIND("scoped")) {
        six.sin6_addr.s6_addr[0] = 0xfe;
        six.sin6_addr.s6_addr[1] = 0x80;
        six.sin6_addr.s6_addr[15] = 1;
        six.sin6_scope_id = 0x7fffffff;
        list = make_list(1, &six, sizeof six);
    } else if (KIND("many")) {
        return make_list(10000, &good, sizeof good);
    } else if (KIND("good")) {
        return make_list(1, &good, sizeof good);
    } else {
        unknown_word(F_getaddrinfo);
        return NULL;
    }
    return before(list, rest);
}

static void hang(void)
{
    unsigned released = releases;
    hanging++;
    /* Not a lock of pthreads, which a fork could leave locked. */
    while (releases == released)
        REAL(syscall)(SYS_futex, &releases, FUTEX_WAIT_PRIVATE, released, NULL, NULL, 0);
    struct stat root;
    if (stat("/", &root) == 0) {
        root_device = root.st_dev;
        root_inode = root.st_ino;
    }
    hanging--;
}

int getaddrinfo(const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict list)
{
    int error = effect(F_getaddrinfo, name);
    if (error > 0) {
        errno = error;
        return EAI_SYSTEM;
    }
    if (error < 0) {
        size_t count = sizeof lookup_errors / sizeof *lookup_errors;
        int code = find_errno(lookup_errors, count, word);
        if (code) {
            errno = EIO;
            return code;
        }
        if (is_word("full")) {
            /* So does glibc if it gets no socket. */
            errno = EMFILE;
            return EAI_AGAIN;
        }
        if (is_word("hang")) {
            hang();
            return EAI_AGAIN;
        }
        *list = is_word("empty") ? NULL : absurd(name);
        return 0;
    }
    if (ends_with(name, ".loopback.example")) {
        struct sockaddr_in address = address_of_name(name);
        *list = make_list(1, &address, sizeof address);
        return 0;
    }
    return REAL(getaddrinfo)(name, service, hints, list);
}

void freeaddrinfo(struct addrinfo *list)
{
    static void (*_Atomic next)(struct addrinfo *);
    if (!list)
        return;
    /* glibc's entries begin after its own header, so this much before one may be read. */
    if (((uintptr_t)list_of(list) & (page_size() - 1)) != 0 || list_of(list)->self != list_of(list)) {
        if (!next)
            next = (void (*)(struct addrinfo *))dlsym(RTLD_NEXT, "freeaddrinfo");
        next(list);
        return;
    }
    while (list) {
        struct list *whole = list_of(list);
        /* The entries of one list are in one piece; what is beyond it is another list. */
        struct addrinfo *last = list;
        while (last->ai_next == last + 1)
            last++;
        struct addrinfo *rest = last->ai_next;
        REAL(munmap)(whole, whole->size);
        list = rest;
    }
}

static struct ifaddrs nameless = { .ifa_name = "none" };

int getifaddrs(struct ifaddrs **list)
{
    int error = effect(F_getifaddrs, "");
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error < 0) {
        if (!is_word("empty") && !is_word("null"))
            unknown_word(F_getifaddrs);
        *list = is_word("empty") ? NULL : &nameless;
        return 0;
    }
    return REAL(getifaddrs)(list);
}

void freeifaddrs(struct ifaddrs *list)
{
    static void (*_Atomic next)(struct ifaddrs *);
    if (!next)
        next = (void (*)(struct ifaddrs *))dlsym(RTLD_NEXT, "freeifaddrs");
    if (list && list != &nameless)
        next(list);
}
