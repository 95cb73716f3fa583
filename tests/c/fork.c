/* The library works in a child that is forked while another thread makes the very first call. */
#define _POSIX_C_SOURCE 200809L
#include "fastestmirror.h"

#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static void *first_call(void *unused)
{
    fm_ranker_free(fm_ranker_new());
    return unused;
}

int main(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, first_call, NULL) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(10); /* a lock whose holder does not exist in the child would block forever */
        fm_ranker *ranker = fm_ranker_new();
        fm_ranking *ranking = NULL;
        int status = fm_rank(ranker, NULL, NULL, 0, &ranking);
        _exit(ranker && status == FM_OK ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
