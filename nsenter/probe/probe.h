/* pyrunc-probe: loads one library in a process that may be lost, and reports what it did meanwhile. */
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

/* The loading process has no descriptor of ours: it speaks by a system call that there is not, which its tracer sees.
 * Only the probe's own code is listened to. */
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
    const char *call; /* NULL unless it is in one that is reported */
    char detail[PATH_MAX + 128];
};

/* load.c */
/* The process that loads; never comes back. `traced` is readable once the tracer has it. */
void load(const char *at, const char *path, int traced) __attribute__((noreturn));
/* What the program does that the loader has loaded a library into (LD_PRELOAD). */
void loaded(const char *path) __attribute__((noreturn));
void ready(const char *path) __attribute__((noreturn));

/* describe.c */
/* What the call is about, taken before it is done: later its memory may be another program's. `who->call` stays NULL for
 * one that changes nothing. */
void note(struct tracee *who, const struct __ptrace_syscall_info *info);
size_t peek(pid_t pid, uint64_t address, void *to, size_t size);
/* One line of the report can't be forged by a name in it. */
void clean(char *text);

/* trace.c */
/* Traces until every process that it traces has ended; writes the report to `report`. */
void trace(pid_t loader, FILE *report);

#endif
