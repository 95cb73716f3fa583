/* Calls the drop-in's functions with a handle of the librepo in other.c. */
#include <glib.h>
#include <stdio.h>
#include <string.h>

void *lr_handle_init(void);
void lr_handle_free(void *handle);
int lr_handle_setopt(void *handle, GError **error, int option, ...);
gboolean lr_fastestmirror(void *handle, GSList **list, GError **error);
gboolean lr_fastestmirror_sort_internalmirrorlist(void *handle, GError **error);
int lr_download(GSList *targets, int failfast, GError **error);

static void callback(void *data, int stage, void *ptr)
{
    (void)data, (void)ptr;
    printf("stage %d\n", stage);
}

int main(void)
{
    void *handle = lr_handle_init();
    GError *error = NULL;
    lr_handle_setopt(handle, &error, 30, callback);
    lr_handle_setopt(handle, &error, 31, callback);
    GSList *list = g_slist_prepend(g_slist_prepend(NULL, "file:///srv"), "http://127.0.0.1:1/");
    if (!lr_fastestmirror(handle, &list, &error) || !lr_fastestmirror_sort_internalmirrorlist(handle, &error))
        return 1;
    char target[1024];
    memset(target, 'x', sizeof(target));
    GSList targets = {target, NULL};
    if (!lr_download(&targets, 42, &error))
        return 2;
    printf("%s\n", (char *)list->data);
    g_slist_free(list);
    lr_handle_free(handle);
    return 0;
}
