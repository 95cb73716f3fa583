/* Checks that print where they failed, and end the program. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

/* Compares texts, and prints both if they differ. */
#define CHECK_TEXT(actual, expected)                                                                \
    do {                                                                                         \
        const char *text = (actual);                                                              \
        if (!text || strcmp(text, (expected)) != 0) {                                              \
            fprintf(stderr, "%s:%d: found \"%s\", expected \"%s\"\n", __FILE__, __LINE__, text ? text : "NULL", (expected)); \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)

#endif
