/* The identity of the user's process: ids, capabilities, keyring, labels, privileges. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int step_keyring(struct context *context, const struct step_keyring *step) {
    long key = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, step->name.data);
    if (key < 0)
        return errno == ENOSYS ? 0 : refuse(context, "keyctl join session keyring");
    /* "type;uid;gid;permissions;name". The user gets the right to search the keyring, as with runc; exec could find no
     * keys in it otherwise. */
    char description[128];
    unsigned permissions = 0;
    if (syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, description, sizeof description) < 0 ||
        sscanf(description, "%*[^;];%*d;%*d;%x", &permissions) != 1)
        return 0;
    syscall(SYS_keyctl, KEYCTL_SETPERM, key, permissions | 0x80000u);
    return 0;
}

/* 32-bit architectures have a second set of system calls, for 32-bit ids. */
#ifdef SYS_setresuid32
enum { SETRESUID = SYS_setresuid32, SETRESGID = SYS_setresgid32, SETGROUPS = SYS_setgroups32 };
#else
enum { SETRESUID = SYS_setresuid, SETRESGID = SYS_setresgid, SETGROUPS = SYS_setgroups };
#endif

int own_user(uid_t uid) { return (int)syscall(SETRESUID, uid, uid, uid); }

int own_group(gid_t gid) { return (int)syscall(SETRESGID, gid, gid, gid); }

int own_groups(size_t count, const gid_t *groups) { return (int)syscall(SETGROUPS, count, groups); }

/* (uid_t)-1 would change nothing, and leave the process root; a larger number would be truncated. */
static bool is_id(int64_t number) { return number >= 0 && number < UINT32_MAX; }

static bool take_groups(const struct list *list, gid_t *groups) {
    const unsigned char *cursor = list->items;
    for (size_t i = 0; i < list->count; i++) {
        struct text text = list_next(&cursor);
        char *end;
        long long number = strtoll(text.data, &end, 10);
        if (text.size == 0 || *end != '\0' || !is_id(number))
            return false;
        groups[i] = (gid_t)number;
    }
    return true;
}

int step_identity(struct context *context, const struct step_identity *step) {
    uid_t uid = (uid_t)step->uid;
    gid_t gid = (gid_t)step->gid;
    const struct list *list = &step->groups;
    gid_t *groups = calloc(list->count + 1, sizeof *groups);
    if (groups == NULL)
        return refuse(context, "memory for %zu groups", list->count);
    if (!is_id(step->uid) || !is_id(step->gid) || !take_groups(list, groups)) {
        free(groups);
        return refuse_without_errno(context, "a uid or gid that is none");
    }
    int result = own_groups(list->count, groups);
    free(groups);
    /* If the config has no groups, EPERM is ignored: a user namespace may deny setgroups. */
    if (result != 0 && !(errno == EPERM && list->count == 0))
        return refuse(context, "setgroups");
    /* The permitted set must survive the change of uid; step `capabilities` sets the exact sets afterwards. */
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        return refuse(context, "prctl PR_SET_KEEPCAPS");
    if (own_group(gid) != 0)
        return refuse(context, "setresgid %u", gid);
    if (own_user(uid) != 0)
        return refuse(context, "setresuid %u", uid);
    return 0;
}

int step_bounding(struct context *context, const struct step_bounding *step) {
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (((uint64_t)step->mask >> capability & 1) == 0 && prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1 &&
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return refuse(context, "drop capability %d from the bounding set", capability);
    return 0;
}

typedef struct __user_cap_data_struct capability_data[_LINUX_CAPABILITY_U32S_3];

static void set_capabilities(capability_data data, uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    for (int half = 0; half < _LINUX_CAPABILITY_U32S_3; half++) {
        data[half].effective = (uint32_t)(effective >> 32 * half);
        data[half].permitted = (uint32_t)(permitted >> 32 * half);
        data[half].inheritable = (uint32_t)(inheritable >> 32 * half);
    }
}

int step_capabilities(struct context *context, const struct step_capabilities *step) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    capability_data data;
    if (syscall(SYS_capget, &header, data) != 0)
        return refuse(context, "capget");
    /* A process cannot grant a capability that it does not have (capabilities(7)). Those are dropped here, so that a
     * runtime inside of a container can start containers whose config has all capabilities. */
    uint64_t held = (uint64_t)data[1].permitted << 32 | data[0].permitted;
    uint64_t effective = (uint64_t)step->effective & held, permitted = (uint64_t)step->permitted & held;
    uint64_t inheritable = (uint64_t)step->inheritable & held, ambient = (uint64_t)step->ambient & held;
    set_capabilities(data, effective, permitted, inheritable);
    if (syscall(SYS_capset, &header, data) != 0)
        return refuse(context, "capset");
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int capability = 0; capability < 64; capability++)
        if ((ambient & permitted & inheritable) >> capability & 1 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
            return refuse(context, "raise ambient capability %d", capability);
    return 0;
}

/* The change of uid clears the effective set. To load a seccomp filter without no_new_privs the process needs
 * CAP_SYS_ADMIN, which is still permitted but no longer effective. */
int step_effective(struct context *context, const struct step_effective *step) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    capability_data data;
    if (syscall(SYS_capget, &header, data) != 0)
        return refuse(context, "capget");
    for (int half = 0; half < _LINUX_CAPABILITY_U32S_3; half++)
        data[half].effective = data[half].permitted & (uint32_t)((uint64_t)step->mask >> 32 * half);
    if (syscall(SYS_capset, &header, data) != 0)
        return refuse(context, "capset");
    return 0;
}

int step_no_new_privileges(struct context *context) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return refuse(context, "prctl PR_SET_NO_NEW_PRIVS");
    return 0;
}

int step_umask(struct context *context, const struct step_umask *step) {
    (void)context;
    umask((mode_t)step->mask);
    return 0;
}

int step_security_label(struct context *context, const struct step_security_label *step) {
    char path[64];
    const struct text *label = &step->label;
    int proc = own_proc(context);
    if (proc < 0)
        return -1;
    snprintf(path, sizeof path, "thread-self/attr/%s", step->file.data);
    /* "thread-self" is a link, so links are allowed. Anything mounted over the file is another mount, and is refused
     * (CVE-2019-16884). */
    int descriptor = resolve_at(proc, path, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
    if (descriptor < 0 || write(descriptor, label->data, label->size) != (ssize_t)label->size) {
        /* AppArmor answers ENOENT to "exec NAME" if the profile is not loaded (apparmor_parser(8) loads profiles). */
        if (descriptor >= 0 && errno == ENOENT && strncmp(label->data, "exec ", 5) == 0)
            return refuse_without_errno(context, "AppArmor has no profile \"%s\" loaded", label->data + 5);
        return refuse(context, "write \"%s\" to /proc/%s", label->data, path);
    }
    close(descriptor);
    return 0;
}
