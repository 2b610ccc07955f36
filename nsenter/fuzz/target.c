/* Fuzz target of the plan's reader (nsenter/plan.c): whatever the bytes are, it reads none that is not the plan's, and
 * what it has accepted can be walked through to the last byte of the last argument. */
#include "../helper.h"

#include <stdlib.h>
#include <string.h>

static const char *const signatures[STEP_COUNT] = {
#define SIGNATURE(KIND, name, text, signature) [STEP_##KIND] = signature,
    STEP_LIST(SIGNATURE)
#undef SIGNATURE
};

static volatile unsigned sum;

static void read_all(const char *data, size_t size) {
    for (size_t i = 0; i <= size; i++) /* the NUL behind it, too */
        sum += (unsigned char)data[i];
}

static int visit(void *with, enum step_kind kind, uint32_t number, const union argument *arguments) {
    unsigned *steps = with;
    ++*steps;
    sum += number;
    for (const char *type = signatures[kind]; *type != '\0'; type++, arguments++) {
        if (*type == 'd' && (arguments->number < 0 || arguments->number >= SLOT_COUNT))
            abort();
        if (*type == 's' && strlen(arguments->text.data) != arguments->text.size)
            abort();
        if (*type == 's' || *type == 'b')
            read_all(arguments->text.data, arguments->text.size);
        if (*type != 'l')
            continue;
        char **strings = list_strings(&arguments->list);
        if (strings == NULL)
            abort();
        for (size_t i = 0; i < arguments->list.count; i++)
            read_all(strings[i], strlen(strings[i]));
        if (strings[arguments->list.count] != NULL)
            abort();
        free(strings);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct plan plan;
    const char *why = NULL;
    unsigned steps = 0;
    /* Of its own and exactly as long: one byte too many is caught. */
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
