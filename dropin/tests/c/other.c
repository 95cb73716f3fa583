/* A librepo whose handles have another layout, as those of a future one might: only its public
 * interface can be relied on. With SMALL its handles are smaller than the known fields. */
#include <glib.h>
#include <stdarg.h>
#include <string.h>

typedef struct {
    char more[8 * LAYOUT];
    void *curl;
    int update;
    GSList *internal_mirrorlist;
    char *cache;
    void *callback, *data;
} Handle;

#ifdef SMALL
/* The handle is a number, and its fields are elsewhere. */
static Handle hidden[8];
static int last;
static Handle *of(void *handle) { return &hidden[*(int *)handle]; }
void *lr_handle_init(void)
{
    int *handle = g_malloc0(sizeof(int));
    *handle = last++ % 8;
    memset(of(handle), 0, sizeof(Handle));
    return handle;
}
#else
static Handle *of(void *handle) { return handle; }
void *lr_handle_init(void) { return g_malloc0(sizeof(Handle)); }
#endif

void lr_handle_free(void *handle)
{
    g_free(of(handle)->cache);
    g_free(handle);
}

GQuark lr_fastestmirror_error_quark(void) { return g_quark_from_static_string("other"); }

int lr_handle_setopt(void *handle, GError **error, int option, ...)
{
    (void)error;
    va_list list;
    va_start(list, option);
    if (option == 28)
        of(handle)->cache = g_strdup(va_arg(list, char *));
    if (option == 30)
        of(handle)->callback = va_arg(list, void *);
    if (option == 31)
        of(handle)->data = va_arg(list, void *);
    va_end(list);
    return TRUE;
}

int lr_handle_getinfo(void *handle, GError **error, int option, ...)
{
    (void)error;
    va_list list;
    va_start(list, option);
    void *out = va_arg(list, void *);
    va_end(list);
    if (option == 19)
        *(char **)out = of(handle)->cache;
    else if (option == 20)
        *(long *)out = 1000;
    else if (option == 24)
        *(int *)out = 0;
    else if (option == 28)
        *(double *)out = 1.0;
    else if (option == 30)
        *(long *)out = 0;
    else
        return FALSE;
    return TRUE;
}

/* Its targets have other fields, too, and must be left alone. */
void *lr_downloadtarget_new(void) { return g_malloc0(1024); }
void lr_downloadtarget_free(void *target) { g_free(target); }
void lr_downloadtarget_set_usedmirror(void *target, const char *url) { (void)target, (void)url; }

int lr_download(GSList *targets, int failfast, GError **error)
{
    (void)error;
    for (char *byte = targets->data; byte < (char *)targets->data + 1024; byte++)
        if (*byte != 'x')
            return FALSE;
    return failfast == 42 && !targets->next;
}
