/* librepo's own lr_fastestmirror_detailed().
 *
 * usage: librepo [CERTIFICATE]: the certificate authority to trust besides the system's. Prints a
 * line "mirror INDEX SECONDS" for each mirror. */
#include "client.h"
#include <librepo/librepo.h>

int main(int argc, char **argv)
{
    LrHandle *handle = lr_handle_init();
    GSList *urls = NULL, *mirrors = NULL;

    read_lines();
    for (size_t i = count; i > 0; i--)
        urls = g_slist_prepend(urls, lines[i - 1]);
    if (argc > 1 && !lr_handle_setopt(handle, NULL, LRO_SSLCACERT, argv[1]))
        return 1;
    struct cost before = begin();
    if (!lr_fastestmirror_detailed(handle, urls, &mirrors, NULL))
        return 1;
    end(before);
    for (GSList *entry = mirrors; entry; entry = entry->next) {
        const LrFastestMirror *mirror = entry->data;
        printf("mirror %d %.9f\n", g_slist_index(urls, mirror->url), mirror->plain_connect_time);
    }
    g_slist_free_full(mirrors, (GDestroyNotify)lr_lrfastestmirror_free);
    g_slist_free(urls);
    lr_handle_free(handle);
    return 0;
}
