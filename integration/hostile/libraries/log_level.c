/* Sets the level of messages that the console shows, as it is. */
#include "library.h"

ON_LOAD {
    int level = 7;
    FILE *file = fopen("/proc/sys/kernel/printk", "re");
    if (file != NULL) {
        (void)!fscanf(file, "%d", &level);
        fclose(file);
    }
    syscall(SYS_syslog, 8, NULL, level);
}
