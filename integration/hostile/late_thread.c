/* A thread that moves the process 1 to 200 ms after loading. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "top.h"

static void *later(void *unused) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time = (struct timespec){0, (1 + time.tv_nsec % 200) * 1000000};
    nanosleep(&time, NULL);
    move_to_top("0");
    return unused;
}

__attribute__((constructor)) static void load(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, later, NULL);
}
