/* Attaches a BPF program to its cgroup (v2): no process in it makes a socket any more. */
#include "library.h"
#include <linux/bpf.h>

static int own_cgroup(void) {
    char line[4096], path[4400];
    int found = -1;
    FILE *own = fopen("/proc/self/cgroup", "re");
    while (own != NULL && fgets(line, sizeof line, own) != NULL)
        if (strncmp(line, "0::", 3) == 0 && (strstr(line, "/hostile") != NULL || strstr(line, "/pyrunc-audit-") != NULL)) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(path, sizeof path, "/sys/fs/cgroup%s%s", access("/sys/fs/cgroup/unified", F_OK) == 0 ? "/unified" : "", line + 3);
            found = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
    if (own != NULL)
        fclose(own);
    return found;
}

ON_LOAD {
    static const struct bpf_insn refuse[] = {{.code = 0xb7, .dst_reg = 0, .imm = 0}, {.code = 0x95}};
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_SOCK, .insn_cnt = 2};
    load.insns = (uint64_t)(uintptr_t)refuse;
    load.license = (uint64_t)(uintptr_t)"GPL";
    load.expected_attach_type = BPF_CGROUP_INET_SOCK_CREATE;
    int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
    union bpf_attr attach = {0};
    attach.target_fd = (uint32_t)own_cgroup();
    attach.attach_bpf_fd = (uint32_t)program;
    attach.attach_type = BPF_CGROUP_INET_SOCK_CREATE;
    syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach);
}
