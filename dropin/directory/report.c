/* Loads librepo.so.0 as dnf's Python does, and prints for `fm-librepo --check` what it got:
 *
 *     loader PATH        the dynamic loader of this machine
 *     functions PATH     the file whose lr_fastestmirror librepo's callers get
 *     librepo PATH       the file that has all else
 *     version NUMBER     of that librepo
 *     drop-in NUMBER     the version of this project, if the functions are its own
 *     layout proved      or unknown: whether librepo's handles are as the drop-in expects
 *     log LINE           each other line of the drop-in
 *
 * It makes one handle without mirrors and has its mirrors sorted, which measures nothing. Nothing
 * but the C library is linked, so that the loader alone decides which librepo this is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#define G_LOG_LEVEL_MASK (~3)

typedef void *Init(void);
typedef void Free(void *handle);
typedef int Sort(void *handle, void **error);
typedef void Log(const char *domain, int level, const char *message, void *data);
typedef unsigned SetLog(const char *domain, int levels, Log *log, void *data);

static const char *file_of(void *address)
{
    Dl_info info;
    return address && dladdr(address, &info) ? info.dli_fname : "?";
}

static void on_log(const char *domain, int level, const char *message, void *data)
{
    int version[3];
    (void)domain, (void)level, (void)data;
    if (sscanf(message, "Librepo version: %d.%d.%d", &version[0], &version[1], &version[2]) == 3)
        printf("version %d.%d.%d\n", version[0], version[1], version[2]);
    const char *line = strstr(message, "libfastestmirror");
    if (line != message)
        return;
    line += strlen("libfastestmirror");
    if (*line == ' ')
        printf("drop-in %.*s\n", (int)strcspn(line + 1, ":"), line + 1);
    else if (strstr(line, "the layout of this librepo's handles is unknown"))
        printf("layout unknown\n");
    else if (strstr(line, "there is only one host"))
        printf("layout proved\n");
    else if (!strstr(line, "checking the layout"))
        printf("log %s\n", line + strspn(line, ": "));
}

int main(void)
{
    void *loader = (void *)getauxval(AT_BASE);
    printf("loader %s\n", file_of(loader));
    void *librepo = dlopen("librepo.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!librepo) {
        printf("error %s\n", dlerror());
        return 1;
    }
    Init *handle_init = (Init *)dlsym(librepo, "lr_handle_init");
    Free *handle_free = (Free *)dlsym(librepo, "lr_handle_free");
    Sort *sort = (Sort *)dlsym(librepo, "lr_fastestmirror_sort_internalmirrorlist");
    SetLog *set_log = (SetLog *)dlsym(librepo, "g_log_set_handler");
    printf("functions %s\n", file_of(dlsym(librepo, "lr_fastestmirror")));
    printf("librepo %s\n", file_of((void *)handle_init));
    if (!handle_init || !handle_free || !sort || !set_log) {
        printf("error %s has not all functions of librepo\n", file_of((void *)handle_init));
        return 1;
    }
    set_log("librepo", G_LOG_LEVEL_MASK, on_log, NULL);
    void *handle = handle_init();
    if (handle) {
        sort(handle, NULL);
        handle_free(handle);
    }
    return 0;
}
