/* Calls the drop-in's functions in a process without librepo and glib. */
#include <dlfcn.h>
#include <stdio.h>

typedef struct Node {
    void *data;
    struct Node *next;
} Node;
typedef int Order(void *, Node **, void **);
typedef int Detailed(void *, Node *, Node **, void **);
typedef int Sort(void *, void **);

#define CHECK(condition) \
    if (!(condition)) \
    return printf("line %d: %s\n", __LINE__, #condition), 1

int main(int argc, char **argv)
{
    /* A library that is preloaded, or the file that is named. */
    void *place = argc > 1 && argv[1][0] ? dlopen(argv[1], RTLD_NOW) : NULL;
    Order *order = (Order *)dlsym(place, "lr_fastestmirror");
    Detailed *detailed = (Detailed *)dlsym(place, "lr_fastestmirror_detailed");
    Sort *one = (Sort *)dlsym(place, "lr_fastestmirror_sort_internalmirrorlist");
    Sort *all = (Sort *)dlsym(place, "lr_fastestmirror_sort_internalmirrorlists");
    void (*free_mirror)(void *) = (void (*)(void *))dlsym(place, "lr_lrfastestmirror_free");
    int (*download)(Node *, int, void **) = (int (*)(Node *, int, void **))dlsym(place, "lr_download");
    CHECK(order && detailed && one && all && free_mirror && download);
    char closed[] = "http://127.0.0.1:1/", local[] = "file:///srv";
    Node second = {local, NULL}, first = {closed, &second}, *list = &first, *result = &first;
    void *error = NULL;
    char handle[256] = {0};

    /* No librepo that could have made this handle is loaded: nothing happens. */
    CHECK(order(handle, &list, &error) == 1 && list == &first && first.data == closed);
    CHECK(one(handle, &error) == 1);
    Node handles = {handle, NULL};
    CHECK(all(&handles, &error) == 1);
    CHECK(download(&handles, 0, &error) == 0);
    /* Wrong arguments fail; without glib there is no GError. */
    CHECK(order(NULL, NULL, &error) == 0 && one(NULL, &error) == 0 && detailed(NULL, list, NULL, &error) == 0);
    CHECK(all(NULL, &error) == 1);
    /* Nor can a list be made. */
    CHECK(detailed(NULL, list, &result, &error) == 0 && result == &first);
    free_mirror(NULL);
    CHECK(!error);
    /* To put a list in order, neither of them is needed. */
    CHECK(order(NULL, &list, &error) == 1 && list == &first && first.data == local && second.data == closed);
    list = NULL;
    CHECK(order(NULL, &list, NULL) == 1 && !list);
    puts("ok");
    return 0;
}
