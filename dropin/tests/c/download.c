/* Downloads files with librepo and prints all that its caller can see of it: callbacks and what
 * they get, result, error, targets, files. With the drop-in or without, the output is the same, but
 * for the lines that begin with "log" and "left behind".
 *
 *     download FUNCTION [OPTION...] FILE...
 *
 * FUNCTION is download, target (lr_download_target, which takes the first one), single
 * (lr_download_single_cb) or packages (lr_download_packages). A FILE is NAME-COUNT, and has NAME
 * and a line end COUNT times; one with "://" is a whole URL. Options: --mirror URL for the handle,
 * --cache PATH, --fastestmirror, --no-fastestmirror, --fail-fast, --parallel, --no-callbacks,
 * --only-end, --no-handle, --twice (each target is in the list twice), --fd (into a descriptor),
 * --repeat N, and --return progress|failure|end CODE for what a callback returns. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <librepo/librepo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not in an installed header. */
gboolean lr_handle_prepare_internal_mirrorlist(LrHandle *handle, gboolean usefastestmirror, GError **err);

typedef struct {
    const char *name;
    char *path;
    int fd;
    double total, now;
    int rises;
    LrDownloadTarget *target;
} File;

#define LIMIT 64
static File files[LIMIT];
static int count, fail_fast, callbacks = 1, only_end, with_handle = 1, twice, to_fd, repeat = 1;
static char *mirrors[LIMIT], *directory;
static int mirror_count, on_progress_return, on_failure_return, on_end_return;
static LrHandle *handle;

static void on_log(const char *domain, GLogLevelFlags level, const char *message, void *data)
{
    (void)domain, (void)data;
    if (level & G_LOG_LEVEL_WARNING)
        printf("warning %s\n", message);
    else if (g_str_has_prefix(message, "libfastestmirror"))
        printf("log %s\n", message);
}

/* How often it is called depends on the time. */
static int on_progress(void *data, double total, double now)
{
    File *file = data;
    if (now > file->now)
        file->rises = 1;
    file->total = total, file->now = now;
    return now > 0 ? on_progress_return : LR_CB_OK;
}

static void print_progress(File *file)
{
    printf("progress %s %s %g of %g\n", file->name, file->rises ? "rises to" : "stays at", file->now, file->total);
}

static int on_end(void *data, LrTransferStatus status, const char *message)
{
    File *file = data;
    if (on_progress_return == LR_CB_OK)
        print_progress(file);
    printf("end %s %d %s\n", file->name, status, message ? message : "-");
    return on_end_return;
}

static int on_failure(void *data, const char *message, const char *url)
{
    printf("failure %s %s %s\n", ((File *)data)->name, message, url);
    return on_failure_return;
}

static void set(LrHandleOption option, long value)
{
    if (!lr_handle_setopt(handle, NULL, option, value))
        exit(2);
}

static GSList *checksums_of(const char *name)
{
    const char *dash = strrchr(name, '-');
    const char *slash = strrchr(name, '/');
    const char *start = slash ? slash + 1 : name;
    GString *text = g_string_new(NULL);
    for (int i = atoi(dash + 1); i > 0; i--) {
        g_string_append_len(text, start, dash - start);
        g_string_append_c(text, '\n');
    }
    char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text->str, (gssize)text->len);
    GSList *list = g_slist_prepend(NULL, lr_downloadtargetchecksum_new(LR_CHECKSUM_SHA256, sum));
    g_free(sum);
    g_string_free(text, TRUE);
    return list;
}

/* The length is expected only of a name in capitals. */
static gint64 length_of(const char *name)
{
    const char *dash = strrchr(name, '-');
    return g_ascii_isupper(name[0]) ? (dash - name + 1) * (gint64)atoi(dash + 1) : 0;
}

/* lr_download_single_cb replaces the data of all callbacks, but not the one of the end. */
static LrDownloadTarget *new_target(File *file, gboolean single)
{
    file->path = g_build_filename(directory, strrchr(file->name, '/') ? strrchr(file->name, '/') + 1 : file->name, NULL);
    file->fd = to_fd ? open(file->path, O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    file->total = file->now = -1;
    file->rises = 0;
    int has = callbacks && !only_end;
    return file->target = lr_downloadtarget_new(
               with_handle ? handle : NULL, file->name, NULL, file->fd, to_fd ? NULL : file->path, checksums_of(file->name),
               length_of(file->name), FALSE, has ? on_progress : NULL, file, callbacks && !single ? on_end : NULL,
               has ? on_failure : NULL, &count, 0, 0, NULL, FALSE, FALSE);
}

static void print_error(gboolean fine, GError *error)
{
    printf("result %d\n", fine);
    if (error)
        printf("error %s %d %s\n", g_quark_to_string(error->domain), error->code, error->message);
    g_clear_error(&error);
}

static void print_file(File *file)
{
    char *text = NULL;
    gsize length = 0;
    if (g_file_get_contents(file->path, &text, &length, NULL)) {
        char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)text, length);
        printf("file %s %zu %s\n", file->name, length, sum);
        g_free(sum);
        unlink(file->path);
    } else {
        printf("file %s is not there\n", file->name);
    }
    g_free(text);
    g_free(file->path);
    if (file->fd >= 0)
        close(file->fd);
}

static void print_target(File *file, gboolean single)
{
    LrDownloadTarget *target = file->target;
    int has = callbacks && !only_end;
    printf("target %s %d %s, mirror %s, url %s\n", target->path, target->rcode, target->err ? target->err : "-",
           target->usedmirror ? target->usedmirror : "-", target->effectiveurl ? target->effectiveurl : "-");
    /* lr_download_single_cb itself leaves two of them at NULL. */
    if (target->progresscb != (has && !single ? on_progress : NULL) || target->endcb != (callbacks && !single ? on_end : NULL)
        || target->mirrorfailurecb != (has && !single ? on_failure : NULL))
        printf("a callback of %s has changed\n", file->name);
    if (target->cbdata != file || target->userdata != &count)
        printf("the data of %s has changed\n", file->name);
}

static int on_single_progress(void *data, double total, double now)
{
    (void)total;
    return now > 0 && data ? on_progress_return : LR_CB_OK;
}

static void download(const char *function)
{
    GSList *list = NULL;
    GError *error = NULL;
    gboolean fine, single = !strcmp(function, "single");
    for (int i = count - 1; i >= 0; i--) {
        LrDownloadTarget *target = new_target(&files[i], single);
        for (int times = twice ? 2 : 1; times > 0; times--)
            list = g_slist_prepend(list, target);
    }
    if (single)
        fine = lr_download_single_cb(list, fail_fast, callbacks ? on_single_progress : NULL, callbacks ? on_failure : NULL, &error);
    else if (!strcmp(function, "target"))
        fine = lr_download_target(files[0].target, &error);
    else
        fine = lr_download(list, fail_fast, &error);
    print_error(fine, error);
    for (int i = 0; i < count; i++) {
        print_target(&files[i], single);
        print_file(&files[i]);
        lr_downloadtarget_free(files[i].target);
    }
    g_slist_free(list);
}

static void packages(void)
{
    GSList *list = NULL;
    GError *error = NULL;
    for (int i = count - 1; i >= 0; i--) {
        GSList *sums = checksums_of(files[i].name);
        LrDownloadTargetChecksum *sum = sums->data;
        files[i].path = g_build_filename(directory, files[i].name, NULL);
        files[i].fd = -1;
        list = g_slist_prepend(list, lr_packagetarget_new_v2(handle, files[i].name, files[i].path, LR_CHECKSUM_SHA256, sum->value,
                                                             length_of(files[i].name), NULL, FALSE, on_progress, &files[i], on_end,
                                                             on_failure, NULL));
        g_slist_free_full(sums, (GDestroyNotify)lr_downloadtargetchecksum_free);
    }
    gboolean fine = lr_download_packages(list, fail_fast ? LR_PACKAGEDOWNLOAD_FAILFAST : 0, &error);
    print_error(fine, error);
    int i = 0;
    for (GSList *node = list; node; node = node->next) {
        LrPackageTarget *package = node->data;
        printf("package %s %s\n", package->relative_url, package->err ? package->err : "-");
        print_file(&files[i++]);
        lr_packagetarget_free(package);
    }
    g_slist_free(list);
}

static int entries(const char *path)
{
    int found = 0;
    DIR *dir = opendir(path);
    while (readdir(dir))
        found++;
    closedir(dir);
    return found;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    lr_global_init();
    g_log_set_handler("librepo", G_LOG_LEVEL_MASK | G_LOG_FLAG_FATAL, on_log, NULL);
    if (argc < 2)
        return 2;
    directory = g_build_filename(g_get_tmp_dir(), "librepo-XXXXXX", NULL);
    if (!mkdtemp(directory))
        return 2;
    handle = lr_handle_init();
    set(LRO_REPOTYPE, LR_YUMREPO);
    set(LRO_MAXPARALLELDOWNLOADS, 1);
    set(LRO_LOWSPEEDTIME, 1);
    set(LRO_LOWSPEEDLIMIT, 1000);
    set(LRO_CONNECTTIMEOUT, 2);
    for (char **argument = argv + 2; *argument; argument++) {
        if (!strcmp(*argument, "--mirror"))
            mirrors[mirror_count++] = *++argument;
        else if (!strcmp(*argument, "--cache"))
            lr_handle_setopt(handle, NULL, LRO_FASTESTMIRRORCACHE, *++argument);
        else if (!strcmp(*argument, "--fastestmirror"))
            set(LRO_FASTESTMIRROR, 1);
        else if (!strcmp(*argument, "--no-fastestmirror"))
            set(LRO_FASTESTMIRROR, 0);
        else if (!strcmp(*argument, "--fail-fast"))
            fail_fast = 1;
        else if (!strcmp(*argument, "--parallel"))
            /* In such a way that each download tries the same mirrors every time. */
            set(LRO_MAXPARALLELDOWNLOADS, 5), set(LRO_MAXDOWNLOADSPERMIRROR, 5), set(LRO_ADAPTIVEMIRRORSORTING, 0);
        else if (!strcmp(*argument, "--no-callbacks"))
            callbacks = 0;
        else if (!strcmp(*argument, "--only-end"))
            only_end = 1;
        else if (!strcmp(*argument, "--no-handle"))
            with_handle = 0;
        else if (!strcmp(*argument, "--twice"))
            twice = 1;
        else if (!strcmp(*argument, "--fd"))
            to_fd = 1;
        else if (!strcmp(*argument, "--repeat"))
            repeat = atoi(*++argument);
        else if (!strcmp(*argument, "--return")) {
            int code = atoi(argument[2]);
            on_progress_return = !strcmp(argument[1], "progress") ? code : on_progress_return;
            on_failure_return = !strcmp(argument[1], "failure") ? code : on_failure_return;
            on_end_return = !strcmp(argument[1], "end") ? code : on_end_return;
            argument += 2;
        } else if (!strncmp(*argument, "--", 2))
            return 2;
        else
            files[count++].name = *argument;
    }
    int descriptors = 0;
    for (int i = 0; i < repeat; i++) {
        if (!lr_handle_setopt(handle, NULL, LRO_URLS, mirrors) || !lr_handle_prepare_internal_mirrorlist(handle, FALSE, NULL))
            return 2;
        if (!strcmp(argv[1], "packages"))
            packages();
        else
            download(argv[1]);
        if (i == 0)
            descriptors = entries("/proc/self/fd");
    }
    printf("left behind: %d descriptors\n", entries("/proc/self/fd") - descriptors);
    lr_handle_free(handle);
    rmdir(directory);
    g_free(directory);
    return 0;
}
