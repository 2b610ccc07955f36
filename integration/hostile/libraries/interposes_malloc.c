/* Its own malloc(3) and free(3) act when anything is allocated. */
#include "library.h"

static char room[1 << 20];
static size_t used;

void *malloc(size_t size) {
    umask(0);
    prctl(PR_SET_TIMERSLACK, 55555, 0, 0, 0);
    void *at = room + used;
    used += (size + 31) & ~(size_t)15;
    return used < sizeof room ? at : NULL;
}

void *calloc(size_t count, size_t size) { return malloc(count * size); }

void *realloc(void *old, size_t size) {
    void *made = malloc(size);
    if (old != NULL && made != NULL)
        memmove(made, old, size);
    return made;
}

void free(void *unused) { (void)unused; }
