/* Fuzz target of the plan's reader (nsenter/helper/plan.c): whatever the bytes are, the reader stays inside the plan,
 * and an accepted plan can be walked to the last byte of its last argument. */
#include "helper.h"

#include <stdlib.h>
#include <string.h>

static volatile unsigned sum;

static void read_all(const char *data, size_t size) {
    for (size_t i = 0; i <= size; i++) /* including the NUL after the data */
        sum += (unsigned char)data[i];
}

static void check_list(const struct list *list) {
    char **strings = list_strings(list);
    if (strings == NULL || strings[list->count] != NULL)
        abort();
    for (size_t i = 0; i < list->count; i++)
        read_all(strings[i], strlen(strings[i]));
    free(strings);
}

static void check(char type, const void *argument) {
    if (type == 'd' && (*(const int *)argument < 0 || *(const int *)argument >= SLOT_COUNT))
        abort();
    if (type == 's' && strlen(((const struct text *)argument)->data) != ((const struct text *)argument)->size)
        abort();
    if (type == 's' || type == 'b')
        read_all(((const struct text *)argument)->data, ((const struct text *)argument)->size);
    if (type == 'l')
        check_list(argument);
}

static int visit(void *with, enum step_kind kind, uint32_t number, const union step *step) {
    unsigned *steps = with;
    ++*steps;
    sum += number;
#define CHECK(NAME, name, type, field)                                                                                  \
    if (kind == STEP_##NAME)                                                                                            \
        check(type, &step->name.field);
    FIELD_LIST(CHECK)
#undef CHECK
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct plan plan;
    const char *why = NULL;
    unsigned steps = 0;
    /* A copy of exactly that length, so that the sanitizer catches a read of one byte more. */
    unsigned char *bytes = malloc(size > 0 ? size : 1);
    if (bytes == NULL)
        return 0;
    memcpy(bytes, data, size);
    if (plan_open(&plan, bytes, size, &why) != 0) {
        if (why == NULL)
            abort();
    } else if (plan_each(&plan, visit, &steps) != 0 || steps != plan.steps)
        abort();
    free(bytes);
    return 0;
}
