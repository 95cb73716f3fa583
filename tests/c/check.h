/* What the C tests share: a check that says where and what, and URLs of the servers that the test has started. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

/* The texts are quoted so that a failure shows the one that came. */
#define CHECK_TEXT(found, wanted)                                                                \
    do {                                                                                         \
        const char *text = (found);                                                              \
        if (!text || strcmp(text, (wanted)) != 0) {                                              \
            fprintf(stderr, "%s:%d: \"%s\" instead of \"%s\"\n", __FILE__, __LINE__, text ? text : "NULL", (wanted)); \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)

#endif
