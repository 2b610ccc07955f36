/* pyrunc-probe: loads one library in a separate process, which it may crash, and reports what the library did. */
#ifndef PYRUNC_PROBE_H
#define PYRUNC_PROBE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <limits.h>
#include <linux/audit.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/types.h>

#if defined __x86_64__
enum { ARCHITECTURE = AUDIT_ARCH_X86_64 };
#elif defined __aarch64__
enum { ARCHITECTURE = AUDIT_ARCH_AARCH64 };
#else
#error "the probe knows the system calls of x86_64 and aarch64"
#endif

enum { CHANNEL = 3, LIBRARY = 4, REPORT = 5 };

/* The loading process has no descriptor of the probe's. It sends messages by a system call number that does not exist,
 * which the tracer sees. The tracer accepts them only from the probe's own code. */
enum { MAGIC = 0x70797265 };
enum word { WORD_TEXT, WORD_BEFORE, WORD_AFTER, WORD_ENDING };

struct call {
    const char *name;
    char class; /* `H` harmless, `R` reads, `C` changes */
    const char *how;
    long number;
};
extern const struct call calls[];
extern const size_t call_count;

struct tracee {
    pid_t pid;
    const char *call; /* the current call if it is to be reported, else NULL */
    char detail[PATH_MAX + 128];
};

/* load.c */
/* Runs the process that loads. `traced` becomes readable when the tracer is attached. */
void load(const char *at, const char *path, int traced) __attribute__((noreturn));
/* Runs the program into which the dynamic loader has loaded a library (LD_PRELOAD). */
void loaded(const char *path) __attribute__((noreturn));
void ready(const char *path) __attribute__((noreturn));

/* describe.c */
/* Describes a call before it is executed, because afterwards its memory may be another program's. `who->call` is NULL
 * for a call that changes nothing. */
void note(struct tracee *who, const struct __ptrace_syscall_info *info);
size_t peek(pid_t pid, uint64_t address, void *to, size_t size);
/* Replaces control characters, so that a name cannot forge a line of the report. */
void clean(char *text);

/* trace.c */
/* Traces until every traced process has ended; writes the report to `report`. */
void trace(pid_t loader, FILE *report);

#endif
