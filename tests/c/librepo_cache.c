/* Ranks URLs with the real librepo and a cache.
 *
 * usage: librepo_cache CACHE MAX_AGE URL...
 *
 * Prints whether the cache was read and how many mirrors were probed, then each mirror in librepo's
 * order: its URL, the bits of its latency, and whether that came from the cache. */
#include <glib.h>
#include <inttypes.h>
#include <librepo/librepo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_stage(void *data, LrFastestMirrorStages stage, void *ptr)
{
    (void)data;
    if (stage == LR_FMSTAGE_CACHELOADINGSTATUS)
        printf("cache %s\n", ptr ? (char *)ptr : "read");
    else if (stage == LR_FMSTAGE_DETECTION)
        printf("probes %ld\n", *(long *)ptr);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    GError *error = NULL;
    GSList *in = NULL, *out = NULL;
    lr_global_init();
    LrHandle *handle = lr_handle_init();
    gboolean fine = lr_handle_setopt(handle, &error, LRO_FASTESTMIRRORCACHE, argv[1])
        && lr_handle_setopt(handle, &error, LRO_FASTESTMIRRORMAXAGE, atol(argv[2]))
        && lr_handle_setopt(handle, &error, LRO_FASTESTMIRRORCB, on_stage);
    for (int i = 3; i < argc; i++)
        in = g_slist_append(in, argv[i]);
    if (!fine || !lr_fastestmirror_detailed(handle, in, &out, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    for (GSList *item = out; item; item = item->next) {
        LrFastestMirror *mirror = item->data;
        guint64 bits;
        memcpy(&bits, &mirror->plain_connect_time, sizeof bits);
        printf("mirror %s %" PRIu64 " %d\n", mirror->url, bits, mirror->cached);
        lr_lrfastestmirror_free(mirror);
    }
    g_slist_free(out);
    g_slist_free(in);
    lr_handle_free(handle);
    return 0;
}
