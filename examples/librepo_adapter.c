/* Puts the list of lr_fastestmirror() in order: the core of an adapter for librepo. The whole one
 * is contrib/librepo/fastestmirror_lib.c. */
#include <fastestmirror.h>
#include <glib.h>
#include <stdio.h>

/* Replaces the list's nodes and keeps the caller's strings; on failure the list is as it was. */
static gboolean fastestmirror(GSList **list)
{
    g_autoptr(GPtrArray) urls = g_ptr_array_new();
    for (GSList *node = *list; node; node = node->next)
        g_ptr_array_add(urls, node->data);

    fm_ranker *ranker = fm_ranker_new();
    fm_ranking *ranking = NULL;
    gboolean ok = ranker && fm_rank(ranker, (const char *const *)urls->pdata, NULL, urls->len, &ranking) == FM_OK;
    if (ok) {
        GSList *ordered = NULL;
        fm_mirror mirror;
        for (size_t i = 0; fm_ranking_mirror(ranking, i, &mirror) == FM_OK; i++)
            ordered = g_slist_prepend(ordered, g_ptr_array_index(urls, mirror.index));
        g_slist_free(*list);
        *list = g_slist_reverse(ordered);
    } else {
        g_debug("fastestmirror: %s", ranker ? fm_ranker_error(ranker) : "no ranker");
    }
    fm_ranking_free(ranking);
    fm_ranker_free(ranker);
    return ok;
}

int main(int argc, char **argv)
{
    GSList *list = NULL;
    for (int i = argc - 1; i > 0; i--)
        list = g_slist_prepend(list, argv[i]);
    gboolean ok = fastestmirror(&list);
    for (GSList *node = list; node; node = node->next)
        puts(node->data);
    g_slist_free(list);
    return ok ? 0 : 1;
}
