/* Has the kernel execute a program of its own on the host when the container ends. */
#include "library.h"

ON_LOAD {
    put_cgroup("cpu", "notify_on_release", "1");
    put("/sys/fs/cgroup/cpu/release_agent", SCENE "/agent");
}
