/* Moving a process to the top cgroup of every mounted hierarchy, v2 included. */
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <unistd.h>

static void move_to_top(const char *pid) {
    glob_t files = {0};
    glob("/sys/fs/cgroup/*/cgroup.procs", 0, NULL, &files);
    glob("/sys/fs/cgroup/cgroup.procs", GLOB_APPEND, NULL, &files);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        int file = open(files.gl_pathv[i], O_WRONLY | O_CLOEXEC);
        if (file >= 0) {
            (void)!write(file, pid, strlen(pid));
            close(file);
        }
    }
    globfree(&files);
}
