/* Opens events of the processor that its children inherit, and that signal them (perf_event_open(2)). */
#include "library.h"
#include <linux/perf_event.h>

ON_LOAD {
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = PERF_COUNT_SW_CONTEXT_SWITCHES,
                                    .sample_period = 1, .inherit = 1, .inherit_thread = 1, .wakeup_events = 1};
    int counter = (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
    fcntl(counter, F_SETFL, O_ASYNC);
    fcntl(counter, F_SETOWN, getpid());
}
