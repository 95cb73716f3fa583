/* Shows how GLib reads and writes key files.
 *
 * Without an argument: standard input has any number of files, each as its length in decimal, a
 * newline, and that many bytes. For each, standard output gets "invalid", or for each group "group
 * NAME" and for each of its keys "key NAME VALUE INT64 INTEGER DOUBLE"; then "end". Names and
 * values are in hexadecimal after a dot. A number that GLib does not read is "-"; the double is
 * given by its bits.
 *
 * With an argument: standard input has the bits of a double on each line, and standard output gets
 * what GLib writes for it. */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_hex(const char *text)
{
    putchar('.');
    for (; *text; text++)
        printf("%02x", (unsigned char)*text);
}

static void put_group(GKeyFile *file, const char *group)
{
    gsize count;
    gchar **keys = g_key_file_get_keys(file, group, &count, NULL);
    printf("group ");
    put_hex(group);
    putchar('\n');
    for (gsize i = 0; i < count; i++) {
        GError *error = NULL;
        gchar *value = g_key_file_get_value(file, group, keys[i], NULL);
        printf("key ");
        put_hex(keys[i]);
        putchar(' ');
        put_hex(value);
        gint64 int64 = g_key_file_get_int64(file, group, keys[i], &error);
        error ? printf(" -") : printf(" %" PRId64, int64);
        g_clear_error(&error);
        gint integer = g_key_file_get_integer(file, group, keys[i], &error);
        error ? printf(" -") : printf(" %d", integer);
        g_clear_error(&error);
        double number = g_key_file_get_double(file, group, keys[i], &error);
        guint64 bits;
        memcpy(&bits, &number, sizeof bits);
        error ? printf(" -\n") : printf(" %" PRIu64 "\n", bits);
        g_clear_error(&error);
        g_free(value);
    }
    g_strfreev(keys);
}

static void put_doubles(void)
{
    guint64 bits;
    while (scanf("%" SCNu64, &bits) == 1) {
        double number;
        memcpy(&number, &bits, sizeof number);
        GKeyFile *file = g_key_file_new();
        g_key_file_set_double(file, "group", "key", number);
        gchar *value = g_key_file_get_value(file, "group", "key", NULL);
        puts(value);
        g_free(value);
        g_key_file_free(file);
    }
}

int main(int argc, char **argv)
{
    size_t length;
    (void)argv;
    if (argc > 1) {
        put_doubles();
        return 0;
    }
    while (scanf("%zu", &length) == 1) {
        getchar();
        char *text = g_malloc(length + 1);
        if (fread(text, 1, length, stdin) != length)
            return 1;
        GKeyFile *file = g_key_file_new();
        /* Without this flag, what is read depends on the user's language. */
        if (!g_key_file_load_from_data(file, text, length, G_KEY_FILE_KEEP_TRANSLATIONS, NULL)) {
            puts("invalid");
        } else {
            gchar **groups = g_key_file_get_groups(file, NULL);
            for (gchar **group = groups; *group; group++)
                put_group(file, *group);
            g_strfreev(groups);
        }
        puts("end");
        g_key_file_free(file);
        g_free(text);
    }
    return 0;
}
