/* Calls the fastestmirror functions of a library, librepo's own or the drop-in's, and prints
 * what can be seen of the call: stages, log lines, result, error, list. Two libraries that keep
 * the same promises print the same.
 *
 *     call LIBRARY FUNCTION [OPTION...] [URL...]
 *
 * LIBRARY is a file, or "loaded" for the functions that a program linked to librepo gets.
 * FUNCTION is order, detailed, internal, or perform: a whole, interruptible download by librepo,
 * which calls the functions that are loaded. With internal, "+" begins the next handle, and an
 * option is that of the handle after whose "+" it stands. --meddle makes the callback change
 * options of its handle and call a function again. --free-by LIBRARY frees with the function of
 * another library. With --repeat, --between COMMAND is run by the shell between two calls, and
 * --keep-lists leaves the internal lists as the call before has left them. With --no-descriptors
 * the process can open no file descriptor while it calls. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <glib.h>
#include <librepo/librepo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Not in an installed header. */
typedef struct {
    char *url;
    int preference;
    int protocol;
} Mirror;
gboolean lr_handle_prepare_internal_mirrorlist(LrHandle *handle, gboolean usefastestmirror, GError **err);

typedef gboolean Order(LrHandle *, GSList **, GError **);
typedef gboolean Detailed(LrHandle *, GSList *, GSList **, GError **);
typedef void Free(LrFastestMirror *);
typedef gboolean SortOne(LrHandle *, GError **);
typedef gboolean SortAll(GSList *, GError **);

#define LIMIT 64
static LrHandle *handles[LIMIT];
static char *urls[LIMIT][LIMIT * 64];
static int counts[LIMIT], used = 1, with_handle = 1, repeat = 1, no_list = 0, one_by_one = 0;
static const char *library, *free_by, *between;
static int meddle = 0, keep_lists = 0, no_descriptors = 0;
static void *place;

static void *find(const char *name)
{
    void *found = dlsym(place, name);
    if (!found) {
        fprintf(stderr, "%s: no %s\n", library, name);
        exit(2);
    }
    return found;
}

/* Changes the handle during its call: fills its internal list again, and sorts it in a nested
 * call. */
static void meddle_with(LrHandle *handle)
{
    static int inside;
    char *other[] = {urls[0][0], "http://127.0.0.1:1/new/", NULL};
    if (inside++ == 0) {
        SortOne *function = (SortOne *)find("lr_fastestmirror_sort_internalmirrorlist");
        if (!lr_handle_setopt(handle, NULL, LRO_URLS, other) || !lr_handle_prepare_internal_mirrorlist(handle, FALSE, NULL)
            || !function(handle, NULL) || !lr_handle_setopt(handle, NULL, LRO_FASTESTMIRRORCACHE, NULL))
            exit(2);
    }
    inside--;
}

static void on_stage(void *data, LrFastestMirrorStages stage, void *ptr)
{
    if (data != urls)
        printf("stage with other data\n");
    if (stage == LR_FMSTAGE_DETECTION)
        printf("stage %d %ld\n", stage, *(long *)ptr);
    else if (stage == LR_FMSTAGE_CACHELOADINGSTATUS || stage == LR_FMSTAGE_STATUS)
        printf("stage %d %s\n", stage, ptr ? "message" : "fine");
    else
        printf("stage %d %s\n", stage, ptr ? (char *)ptr : "-");
    if (meddle && (stage == LR_FMSTAGE_INIT || stage == LR_FMSTAGE_FINISHING))
        meddle_with(handles[0]);
}

static void on_log(const char *domain, GLogLevelFlags level, const char *message, void *data)
{
    (void)domain, (void)data;
    if (level & G_LOG_LEVEL_WARNING)
        printf("warning %s\n", message);
    else if (g_str_has_prefix(message, "libfastestmirror"))
        printf("log %s\n", message);
}

static void set(LrHandle *handle, LrHandleOption option, const char *kind, const char *value)
{
    GError *error = NULL;
    gboolean fine;
    if (!strcmp(kind, "long"))
        fine = lr_handle_setopt(handle, &error, option, atol(value));
    else if (!strcmp(kind, "double"))
        fine = lr_handle_setopt(handle, &error, option, g_ascii_strtod(value, NULL));
    else
        fine = lr_handle_setopt(handle, &error, option, value);
    if (!fine) {
        fprintf(stderr, "%s\n", error->message);
        exit(2);
    }
}

static LrHandle *new_handle(void)
{
    LrHandle *handle = lr_handle_init();
    GError *error = NULL;
    if (!lr_handle_setopt(handle, &error, LRO_FASTESTMIRRORCB, on_stage)
        || !lr_handle_setopt(handle, &error, LRO_FASTESTMIRRORDATA, (void *)urls))
        exit(2);
    return handle;
}

static void read_arguments(char **argv)
{
    handles[0] = new_handle();
    for (; *argv; argv++) {
        LrHandle *handle = handles[used - 1];
        if (!strcmp(*argv, "+"))
            handles[used++] = new_handle();
        else if (!strcmp(*argv, "--no-handle"))
            with_handle = 0;
        else if (!strcmp(*argv, "--no-list"))
            no_list = 1;
        else if (!strcmp(*argv, "--one-by-one"))
            one_by_one = 1;
        else if (!strcmp(*argv, "--no-callback"))
            lr_handle_setopt(handle, NULL, LRO_FASTESTMIRRORCB, NULL);
        else if (!strcmp(*argv, "--offline"))
            set(handle, LRO_OFFLINE, "long", "1");
        else if (!strcmp(*argv, "--meddle"))
            meddle = 1;
        else if (!strcmp(*argv, "--free-by"))
            free_by = *++argv;
        else if (!strcmp(*argv, "--repeat"))
            repeat = atoi(*++argv);
        else if (!strcmp(*argv, "--between"))
            between = *++argv;
        else if (!strcmp(*argv, "--keep-lists"))
            keep_lists = 1;
        else if (!strcmp(*argv, "--no-descriptors"))
            no_descriptors = 1;
        else if (!strcmp(*argv, "--cache"))
            set(handle, LRO_FASTESTMIRRORCACHE, "string", *++argv);
        else if (!strcmp(*argv, "--max-age"))
            set(handle, LRO_FASTESTMIRRORMAXAGE, "long", *++argv);
        else if (!strcmp(*argv, "--timeout"))
            set(handle, LRO_FASTESTMIRRORTIMEOUT, "double", *++argv);
        else if (!strcmp(*argv, "--ip"))
            lr_handle_setopt(handle, NULL, LRO_IPRESOLVE, (long)atoi(*++argv));
        else if (!strcmp(*argv, "--proxy"))
            set(handle, LRO_PROXY, "string", *++argv);
        else if (!strncmp(*argv, "--", 2))
            exit(2);
        else
            urls[used - 1][counts[used - 1]++] = *argv;
    }
}

static void print_result(gboolean fine, GError *error)
{
    printf("result %d\n", fine);
    if (error)
        printf("error %s %d\n", g_quark_to_string(error->domain), error->code);
    if (fine != !error)
        printf("result and error contradict each other\n");
    g_clear_error(&error);
}

/* Returns the position of a string among the URLs of a handle, by its address. */
static int position(const char *url, int handle)
{
    for (int i = 0; i < counts[handle]; i++)
        if (urls[handle][i] == url)
            return i;
    return -1;
}

static GSList *list_of(int handle)
{
    GSList *list = NULL;
    for (int i = counts[handle] - 1; i >= 0; i--)
        list = g_slist_prepend(list, urls[handle][i]);
    return list;
}

static void order(void)
{
    Order *function = (Order *)find("lr_fastestmirror");
    GSList *list = list_of(0);
    GError *error = NULL;
    gboolean fine = function(with_handle ? handles[0] : NULL, no_list ? NULL : &list, &error);
    print_result(fine, error);
    for (GSList *node = list; node; node = node->next)
        printf("item %d %s\n", position(node->data, 0), (char *)node->data);
    g_slist_free(list);
}

static void detailed(void)
{
    Detailed *function = (Detailed *)find("lr_fastestmirror_detailed");
    void *from = free_by ? dlopen(free_by, RTLD_NOW | RTLD_LOCAL) : place;
    Free *free_mirror = (Free *)dlsym(from, "lr_lrfastestmirror_free");
    GSList unset, *list = list_of(0), *result = &unset;
    GError *error = NULL;
    gboolean fine = function(with_handle ? handles[0] : NULL, list, no_list ? NULL : &result, &error);
    print_result(fine, error);
    if (result == &unset) {
        printf("no list was written\n");
        result = NULL;
    }
    GSList *node = list;
    for (int i = 0; i < counts[0]; i++, node = node->next)
        if (node->data != urls[0][i])
            printf("the list given was changed\n");
    double before = 0;
    for (node = result; node; node = node->next) {
        LrFastestMirror *mirror = node->data;
        double time = mirror->plain_connect_time;
        printf("item %d %s %s %d %.17g\n", position(mirror->url, 0), mirror->url, time < 0 ? "unmeasured" : "measured",
               mirror->cached, time);
        if (time >= 0 && time < before)
            printf("not sorted\n");
        before = time < 0 ? 1e9 : time;
        free_mirror(mirror);
    }
    g_slist_free(result);
    g_slist_free(list);
    free_mirror(NULL);
}

static GSList **internal_list(LrHandle *handle)
{
    return (GSList **)((char *)handle + 2 * sizeof(void *));
}

static void internal(void)
{
    GSList *before[LIMIT], *all = NULL;
    GError *error = NULL;
    for (int i = 0; i < used; i++) {
        urls[i][counts[i]] = NULL;
        if ((!(keep_lists && *internal_list(handles[i])) && !lr_handle_setopt(handles[i], &error, LRO_URLS, urls[i]))
            || !lr_handle_prepare_internal_mirrorlist(handles[i], FALSE, &error))
            exit(2);
        before[i] = g_slist_copy(*internal_list(handles[i]));
        all = g_slist_append(all, handles[i]);
    }
    gboolean fine = TRUE;
    if (!one_by_one) {
        SortAll *function = (SortAll *)find("lr_fastestmirror_sort_internalmirrorlists");
        fine = function(no_list ? NULL : all, &error);
    } else {
        SortOne *function = (SortOne *)find("lr_fastestmirror_sort_internalmirrorlist");
        for (int i = 0; i < used && fine; i++)
            fine = function(with_handle ? handles[i] : NULL, &error);
    }
    print_result(fine, error);
    for (int i = 0; i < used; i++) {
        printf("handle %d\n", i);
        for (GSList *node = *internal_list(handles[i]); node; node = node->next) {
            Mirror *mirror = node->data;
            printf("item %d %s %d %d\n", g_slist_index(before[i], mirror), mirror->url, mirror->preference, mirror->protocol);
        }
        g_slist_free(before[i]);
        char **mirrors = NULL;
        if (!lr_handle_getinfo(handles[i], NULL, LRI_MIRRORS, &mirrors))
            exit(2);
        for (int j = 0; mirrors && mirrors[j]; j++)
            printf("LRI_MIRRORS %s\n", mirrors[j]);
        g_strfreev(mirrors);
    }
    g_slist_free(all);
}

static void perform(void)
{
    char *directory = g_build_filename(g_get_tmp_dir(), "librepo-XXXXXX", NULL);
    char *nothing[] = {NULL};
    GError *error = NULL;
    LrHandle *handle = handles[0];
    if (!mkdtemp(directory) || !lr_handle_setopt(handle, &error, LRO_URLS, urls[0])
        || !lr_handle_setopt(handle, &error, LRO_REPOTYPE, LR_YUMREPO)
        || !lr_handle_setopt(handle, &error, LRO_FASTESTMIRROR, 1L)
        || !lr_handle_setopt(handle, &error, LRO_INTERRUPTIBLE, 1L)
        || !lr_handle_setopt(handle, &error, LRO_MAXMIRRORTRIES, 1L)
        || !lr_handle_setopt(handle, &error, LRO_YUMDLIST, nothing)
        || !lr_handle_setopt(handle, &error, LRO_DESTDIR, directory))
        exit(2);
    LrResult *result = lr_result_init();
    gint64 start = g_get_monotonic_time();
    printf("begin\n");
    fflush(stdout);
    gboolean fine = lr_handle_perform(handle, result, &error);
    print_result(fine, error);
    printf("milliseconds %" G_GINT64_FORMAT "\n", (g_get_monotonic_time() - start) / 1000);
    lr_result_free(result);
    char *command[] = {"rm", "-rf", directory, NULL};
    g_spawn_sync(NULL, command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
    g_free(directory);
}

static int entries(const char *directory)
{
    int count = 0;
    DIR *dir = opendir(directory);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    library = argv[1];
    place = strcmp(library, "loaded") ? dlopen(library, RTLD_NOW | RTLD_LOCAL) : RTLD_DEFAULT;
    if (!place && strcmp(library, "loaded")) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    Dl_info info;
    if (!dladdr(find("lr_fastestmirror"), &info))
        return 2;
    printf("library %s\n", info.dli_fname);
    lr_global_init();
    g_log_set_handler("librepo", G_LOG_LEVEL_MASK | G_LOG_FLAG_FATAL, on_log, NULL);
    read_arguments(argv + 3);
    struct rlimit limit, none;
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 0;
    int descriptors = 0, threads = 0;
    for (int i = 0; i < repeat; i++) {
        if (i > 0 && between && system(between) != 0)
            return 2;
        if (no_descriptors)
            setrlimit(RLIMIT_NOFILE, &none);
        if (!strcmp(argv[2], "order"))
            order();
        else if (!strcmp(argv[2], "detailed"))
            detailed();
        else if (!strcmp(argv[2], "internal"))
            internal();
        else if (!strcmp(argv[2], "perform"))
            perform();
        else
            return 2;
        setrlimit(RLIMIT_NOFILE, &limit);
        /* glib, libcurl and the resolver may keep what they open in the first call. */
        if (i == 0)
            descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task");
    }
    printf("left behind: %d descriptors, %d threads\n", entries("/proc/self/fd") - descriptors,
           entries("/proc/self/task") - threads);
    for (int i = 0; i < used; i++)
        lr_handle_free(handles[i]);
    return 0;
}
