/* Reads a plan. The plan comes from the runtime in a sealed memfd, but every length is checked before any step is
 * executed: a bug of the runtime must not become a memory error in a half-built container. Fuzzed (nsenter/fuzz). */
#include "helper.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 8 };

/* An argument of a step, in the plan's order: its type (pyrunc/plan/steps.py), and its offset in the step's struct. */
struct field {
    char type;
    unsigned char offset;
};

#define FIELD(NAME, name, type, field) {type, offsetof(struct step_##name, field)},
static const struct field fields[] = {FIELD_LIST(FIELD)};
#undef FIELD

#define LENGTH(NAME, kind, name, signature) sizeof signature - 1,
static const unsigned char lengths[STEP_COUNT] = {STEP_LIST(LENGTH)};
#undef LENGTH

/* The bytes that are not read yet. */
struct window {
    const unsigned char *at;
    size_t left;
};

static bool take(struct window *window, size_t size, const unsigned char **bytes) {
    if (size > window->left)
        return false;
    *bytes = window->at;
    window->at += size;
    window->left -= size;
    return true;
}

static bool take_u32(struct window *window, uint32_t *value) {
    const unsigned char *bytes;
    if (!take(window, sizeof *value, &bytes))
        return false;
    memcpy(value, bytes, sizeof *value);
    return true;
}

static bool take_u64(struct window *window, uint64_t *value) {
    const unsigned char *bytes;
    if (!take(window, sizeof *value, &bytes))
        return false;
    memcpy(value, bytes, sizeof *value);
    return true;
}

/* Reads a text: a length, the bytes, at least one NUL, padding up to the alignment. */
static bool take_text(struct window *window, struct text *text) {
    uint64_t size;
    const unsigned char *bytes;
    if (!take_u64(window, &size) || size >= window->left)
        return false;
    size_t padded = (size_t)size + ALIGN - (size_t)size % ALIGN;
    if (!take(window, padded, &bytes) || bytes[size] != '\0')
        return false;
    *text = (struct text){(const char *)bytes, (size_t)size};
    return true;
}

static bool has_nul(const struct text *text) { return memchr(text->data, '\0', text->size) != NULL; }

static bool take_list(struct window *window, struct list *list) {
    uint64_t count;
    if (!take_u64(window, &count))
        return false;
    *list = (struct list){window->at, (size_t)count};
    for (uint64_t i = 0; i < count; i++) {
        struct text item;
        if (!take_text(window, &item) || has_nul(&item))
            return false;
    }
    return true;
}

static bool take_slot(struct window *window, int *slot) {
    uint64_t number;
    if (!take_u64(window, &number) || number >= SLOT_COUNT)
        return false;
    *slot = (int)number;
    return true;
}

/* `argument` points to a field of the type that its letter stands for (nsenter/generate.py C_TYPES). */
static bool take_argument(struct window *window, char type, void *argument) {
    switch (type) {
    case 'i':
        return take_u64(window, argument); /* int64_t: the same representation */
    case 'd':
        return take_slot(window, argument);
    case 's':
        return take_text(window, argument) && !has_nul(argument);
    case 'b':
        return take_text(window, argument);
    default:
        return take_list(window, argument);
    }
}

static const char *take_step(struct window *plan, uint32_t *opcode, uint32_t *number, union step *step) {
    uint64_t size;
    const unsigned char *body;
    if (!take_u32(plan, opcode) || !take_u32(plan, number) || !take_u64(plan, &size))
        return "a step is cut short";
    if (*opcode >= STEP_COUNT)
        return "a step of an unknown kind";
    if (size < HEADER || !take(plan, (size_t)size - HEADER, &body))
        return "a step that is longer than the plan";
    struct window rest = {body, (size_t)size - HEADER};
    const struct field *field = fields;
    for (uint32_t kind = 0; kind < *opcode; kind++)
        field += lengths[kind];
    for (const struct field *end = field + lengths[*opcode]; field < end; field++)
        if (!take_argument(&rest, field->type, (unsigned char *)step + field->offset))
            return "a step whose arguments do not fit its kind";
    return rest.left == 0 ? NULL : "a step with bytes after its arguments";
}

int plan_open(struct plan *plan, const void *bytes, size_t size, const char **why) {
    struct window window = {bytes, size};
    uint32_t magic = 0, steps = 0;
    uint64_t length = 0;
    *why = "not a plan of this version of pyrunc";
    if (!take_u32(&window, &magic) || !take_u32(&window, &steps) || !take_u64(&window, &length) ||
        magic != MAGIC || length != size)
        return -1;
    *plan = (struct plan){window.at, window.left, steps};
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t opcode, number;
        union step step;
        if ((*why = take_step(&window, &opcode, &number, &step)) != NULL)
            return -1;
    }
    *why = "bytes after the last step";
    return window.left == 0 ? 0 : -1;
}

int plan_each(const struct plan *plan,
              int (*visit)(void *with, enum step_kind kind, uint32_t number, const union step *step), void *with) {
    struct window window = {plan->bytes, plan->size};
    for (uint32_t i = 0; i < plan->steps; i++) {
        uint32_t opcode, number;
        union step step;
        if (take_step(&window, &opcode, &number, &step) != NULL)
            return -1; /* cannot be: plan_open has read it all */
        int result = visit(with, (enum step_kind)opcode, number, &step);
        if (result != 0)
            return result;
    }
    return 0;
}

struct text list_next(const unsigned char **cursor) {
    uint64_t size;
    memcpy(&size, *cursor, sizeof size);
    struct text text = {(const char *)*cursor + sizeof size, (size_t)size};
    *cursor += sizeof size + text.size + ALIGN - text.size % ALIGN;
    return text;
}

char **list_strings(const struct list *list) {
    char **strings = calloc(list->count + 1, sizeof *strings);
    const unsigned char *cursor = list->items;
    for (size_t i = 0; strings != NULL && i < list->count; i++)
        strings[i] = (char *)(uintptr_t)list_next(&cursor).data; /* execve takes char *, but does not change the strings */
    return strings;
}
