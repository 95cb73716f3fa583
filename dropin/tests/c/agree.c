/* Two libraries, each linked to librepo: made with -DLIBRARY, and loaded by the program as Python
 * loads its modules. They must see the same functions. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

#ifdef LIBRARY
#include <librepo/librepo.h>

/* Fills in what this library calls: two functions of the drop-in, and one of librepo's own. */
void functions(void *found[3])
{
    found[0] = (void *)lr_fastestmirror;
    found[1] = (void *)lr_lrfastestmirror_free;
    found[2] = (void *)lr_handle_init;
}
#else
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        void *library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
        if (!library)
            return fprintf(stderr, "%s\n", dlerror()), 1;
        void (*functions)(void *found[3]) = (void (*)(void **))dlsym(library, "functions");
        void *found[3];
        functions(found);
        for (int j = 0; j < 3; j++) {
            Dl_info info;
            printf("%d: %p %s\n", j, found[j], dladdr(found[j], &info) ? info.dli_fname : "?");
        }
    }
    return 0;
}
#endif
