#include "parse.h"

#include <limits.h>
#include <string.h>

enum {
    LINE_LIMIT = 64 << 10,
    FIELDS = 7, /* name, password, uid, gid, comment, home, shell (passwd(5)) */
    UID = 2,
    HOME = 5,
};

size_t shebang(const char *head, size_t size, const char **interpreter) {
    size_t begin = 2, end;
    if (size < 2 || head[0] != '#' || head[1] != '!')
        return 0;
    while (begin < size && (head[begin] == ' ' || head[begin] == '\t'))
        begin++;
    for (end = begin; end < size; end++)
        if (head[end] == ' ' || head[end] == '\t' || head[end] == '\n' || head[end] == '\0')
            break;
    *interpreter = head + begin;
    return end - begin;
}

/* Decimal, with leading zeros as in "01000". */
static bool is_number(const char *text, size_t size, uint32_t number) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9' || value > UINT32_MAX)
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    return size > 0 && value == number;
}

static struct passwd_home home_in_line(const char *line, size_t size, uint32_t uid) {
    struct passwd_home fields[FIELDS] = {0};
    const char *end = line + size;
    for (size_t i = 0; i < FIELDS && line <= end; i++) {
        const char *colon = memchr(line, ':', (size_t)(end - line));
        const char *stop = colon != NULL ? colon : end;
        fields[i] = (struct passwd_home){line, (size_t)(stop - line)};
        line = stop + 1;
    }
    bool found = fields[HOME].size > 0 && fields[HOME].path[0] == '/' && fields[HOME].size < PATH_MAX &&
                 memchr(fields[HOME].path, '\0', fields[HOME].size) == NULL &&
                 is_number(fields[UID].path, fields[UID].size, uid);
    return found ? fields[HOME] : (struct passwd_home){NULL, 0};
}

struct passwd_home passwd_home(const char *text, size_t size, uint32_t uid) {
    struct passwd_home found = {NULL, 0};
    const char *end = text + size;
    while (text < end && found.path == NULL) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline != NULL ? newline : end; /* the last line may have no newline */
        if (stop - text <= LINE_LIMIT)
            found = home_in_line(text, (size_t)(stop - text), uid);
        text = stop + 1;
    }
    return found;
}

static bool is_octal(char digit) { return digit >= '0' && digit <= '7'; }

/* Returns the next character of a path in mountinfo, with escapes such as `\040` decoded (proc_pid_mountinfo(5)). */
static char next_character(const char **from) {
    const char *at = *from;
    bool octal = at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && is_octal(at[2]) && is_octal(at[3]);
    *from += octal ? 4 : 1;
    return octal ? (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0')) : at[0];
}

static void unescape(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; to++)
        *to = next_character(&from);
    *to = '\0';
}

/* True if the path that begins at `escaped`, and ends at a space, is `path` or a directory above it. */
static bool is_above(const char *escaped, const char *path) {
    const char *begin = path;
    while (*escaped != ' ' && *escaped != '\n' && *escaped != '\0') {
        if (*path == '\0' || next_character(&escaped) != *path)
            return false;
        path++;
    }
    return path > begin && (*path == '\0' || *path == '/' || path[-1] == '/');
}

bool mountinfo_covers(const char *lines, const char *path) {
    for (const char *line = lines; line != NULL && *line != '\0';) {
        const char *field = line, *end = line + strcspn(line, "\n");
        for (int i = 0; i < 4 && field != NULL; i++) {
            field = memchr(field, ' ', (size_t)(end - field));
            field = field != NULL ? field + 1 : NULL;
        }
        if (field != NULL && is_above(field, path))
            return true;
        line = *end == '\n' ? end + 1 : NULL;
    }
    return false;
}

const char *mountinfo_elsewhere(char *line, const char *root) {
    char *fields[5], *rest = line, *type = strstr(line, " - ");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if ((fields[i] = strsep(&rest, " ")) == NULL)
            return NULL;
    if (type == NULL || (strncmp(type, " - proc ", 8) != 0 && strncmp(type, " - sysfs ", 9) != 0))
        return NULL;
    if (strcmp(fields[3], "/") != 0)
        return NULL;
    unescape(fields[4]);
    size_t length = strlen(root);
    bool inside = strncmp(fields[4], root, length) == 0 && (fields[4][length] == '/' || fields[4][length] == '\0');
    return inside ? NULL : fields[4];
}
