/* Options of the sanitizers for the helper, which has no environment: a report aborts it, and so fails the test. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void) { return "abort_on_error=1:detect_leaks=0:detect_stack_use_after_return=0"; }

const char *__ubsan_default_options(void) { return "halt_on_error=1:abort_on_error=1:print_stacktrace=1"; }
