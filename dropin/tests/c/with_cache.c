/* Preloaded before the drop-in: gives the handle of each download a cache while it lasts, and
 * LRO_FASTESTMIRROR, so that the drop-in watches it. The variable DOWNLOAD_CACHE is the path. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <glib.h>
#include <librepo/librepo.h>
#include <stdlib.h>

static void *librepo(const char *name)
{
    void *handle = dlopen("librepo.so.0", RTLD_NOW | RTLD_NOLOAD);
    void *found = handle ? dlsym(handle, name) : NULL;
    if (!found)
        abort();
    return found;
}

gboolean lr_download(GSList *targets, gboolean failfast, GError **err)
{
    gboolean (*setopt)(LrHandle *, GError **, LrHandleOption, ...) = (gboolean (*)(LrHandle *, GError **, LrHandleOption, ...))librepo("lr_handle_setopt");
    gboolean (*getinfo)(LrHandle *, GError **, LrHandleInfoOption, ...) = (gboolean (*)(LrHandle *, GError **, LrHandleInfoOption, ...))librepo("lr_handle_getinfo");
    gboolean (*next)(GSList *, gboolean, GError **) = (gboolean (*)(GSList *, gboolean, GError **))dlsym(RTLD_NEXT, "lr_download");
    LrHandle *given[64];
    long used[64];
    int count = 0;
    for (GSList *node = targets; node && count < 64; node = node->next) {
        LrHandle *handle = ((LrDownloadTarget *)node->data)->handle;
        char *cache = NULL;
        if (handle && getinfo(handle, NULL, LRI_FASTESTMIRRORCACHE, &cache) && !cache
            && getinfo(handle, NULL, LRI_FASTESTMIRROR, &used[count])
            && setopt(handle, NULL, LRO_FASTESTMIRRORCACHE, getenv("DOWNLOAD_CACHE"))) {
            setopt(handle, NULL, LRO_FASTESTMIRROR, 1L);
            given[count++] = handle;
        }
    }
    gboolean fine = next(targets, failfast, err);
    while (count-- > 0) {
        setopt(given[count], NULL, LRO_FASTESTMIRRORCACHE, NULL);
        setopt(given[count], NULL, LRO_FASTESTMIRROR, used[count]);
    }
    return fine;
}
