/* Puts URLs in order through librepo's own header. Which library answers is decided when the
 * program is linked, or run. */
#include <librepo/librepo.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    lr_global_init();
    LrHandle *handle = lr_handle_init();
    GSList *list = NULL;
    for (int i = argc - 1; i > 0; i--)
        list = g_slist_prepend(list, argv[i]);
    GError *error = NULL;
    if (!lr_handle_setopt(handle, &error, LRO_FASTESTMIRRORTIMEOUT, 5.0) || !lr_fastestmirror(handle, &list, &error)) {
        fprintf(stderr, "%s\n", error->message); /* the list is as it was */
        g_clear_error(&error);
    }
    for (GSList *node = list; node; node = node->next)
        puts(node->data);
    g_slist_free(list);
    lr_handle_free(handle);
    return 0;
}
