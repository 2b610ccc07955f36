/* CPython in this process: its library is loaded by name, and only the first phase of its start is executed.
 *
 * Python's "core" phase has only built-in and frozen modules, and costs a third of a whole start. The rest is the
 * import of files, the codecs and the standard streams (C API, "Multi-Phase Initialization"). A hot command needs none
 * of that; code that does calls _launcher.complete() first (pyrunc/interpreter.py). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "launcher.h"

#ifndef PYTHON_LIBRARY /* the interpreter that the launcher was built for has no shared library */

void interpret(const char *code, const char *executable, char **words, int count) {
    (void)code, (void)executable, (void)words, (void)count;
}

#else
#include <Python.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if PY_VERSION_HEX >= 0x030D0000
#define UNCHECKED_STATE PyThreadState_GetUnchecked
#else
#define UNCHECKED_STATE _PyThreadState_UncheckedGet
#endif

/* Loaded at run time, not linked: without the library the launcher executes python3, which is slower. */
#define FUNCTIONS(X)                                                                                                    \
    X(void, PyPreConfig_InitIsolatedConfig, (PyPreConfig *))                                                            \
    X(PyStatus, Py_PreInitialize, (const PyPreConfig *))                                                                \
    X(void, PyConfig_InitIsolatedConfig, (PyConfig *))                                                                  \
    X(PyStatus, PyConfig_SetBytesString, (PyConfig *, wchar_t **, const char *))                                        \
    X(PyStatus, PyConfig_SetBytesArgv, (PyConfig *, Py_ssize_t, char *const *))                                         \
    X(PyStatus, PyWideStringList_Append, (PyWideStringList *, const wchar_t *))                                         \
    X(PyStatus, Py_InitializeFromConfig, (const PyConfig *))                                                            \
    X(PyStatus, _Py_InitializeMain, (void))                                                                             \
    X(int, PyStatus_Exception, (PyStatus))                                                                              \
    X(int, PyImport_AppendInittab, (const char *, PyObject *(*)(void)))                                                 \
    X(PyObject *, PyModule_Create2, (PyModuleDef *, int))                                                               \
    X(PyObject *, PyLong_FromLong, (long))                                                                              \
    X(int, PyArg_ParseTuple, (PyObject *, const char *, ...))                                                           \
    X(PyObject *, PyList_New, (Py_ssize_t))                                                                             \
    X(int, PyList_Append, (PyObject *, PyObject *))                                                                     \
    X(PyObject *, PyUnicode_DecodeFSDefault, (const char *))                                                            \
    X(PyObject *, Py_BuildValue, (const char *, ...))                                                                   \
    X(PyObject *, PyBytes_FromStringAndSize, (const char *, Py_ssize_t))                                                \
    X(PyObject *, PyEval_EvalCode, (PyObject *, PyObject *, PyObject *))                                                \
    X(PyObject *, PyTuple_GetItem, (PyObject *, Py_ssize_t))                                                            \
    X(const char *, PyImport_GetMagicTag, (void))                                                                       \
    X(PyObject *, PyMarshal_ReadObjectFromString, (const char *, Py_ssize_t))                                           \
    X(PyObject *, PyObject_GetAttrString, (PyObject *, const char *))                                                   \
    X(PyObject *, PyImport_ImportModule, (const char *))                                                                \
    X(void, PyErr_Clear, (void))                                                                                        \
    X(void, PyMem_GetAllocator, (PyMemAllocatorDomain, PyMemAllocatorEx *))                                             \
    X(void, PyMem_SetAllocator, (PyMemAllocatorDomain, PyMemAllocatorEx *))                                             \
    X(PyThreadState *, UNCHECKED_STATE, (void))                                                                         \
    X(int, PyGC_Disable, (void))                                                                                        \
    X(int, PySys_SetObject, (const char *, PyObject *))                                                                 \
    X(int, PyRun_SimpleStringFlags, (const char *, PyCompilerFlags *))

#define POINTER(type, name, arguments) type(*name) arguments;
static struct {
    FUNCTIONS(POINTER)
    const unsigned long *Py_Version; /* a variable */
} python;

static int load(void) {
    void *library = dlopen(PYTHON_LIBRARY, RTLD_LAZY | RTLD_GLOBAL); /* global: for extension modules */
    if (library == NULL)
        return -1;
#define NAME(name) #name
#define FIND(type, name, arguments)                                                                                     \
    if ((*(void **)(void *)&python.name = dlsym(library, NAME(name))) == NULL)                                          \
        return -1;
    FUNCTIONS(FIND)
    python.Py_Version = dlsym(library, "Py_Version");
    return 0;
}

static void give_up(PyStatus status) {
    dprintf(2, "pyrunc: the interpreter does not start: %s\n", status.err_msg != NULL ? status.err_msg : "no reason");
    _exit(1);
}

/* Python reports a failed start in twenty lines of paths; the launcher reports it in one. `silence` redirects standard
 * error to /dev/null and returns a copy of it for `speak`, or -1 if no descriptor is available: then Python's report is
 * shown. */
static int silence(void) {
    int kept = fcntl(2, F_DUPFD_CLOEXEC, 3), null = kept < 0 ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, 2);
        close(null);
    } else if (kept >= 0) {
        close(kept);
        kept = -1;
    }
    return kept;
}

static void speak(int kept) {
    if (kept >= 0) {
        dup2(kept, 2);
        close(kept);
    }
}

#if PY_VERSION_HEX >= 0x030D0000
/* In its first phase Python has no registry of codecs, but from 3.13 on it uses the registry for text that cannot be
 * encoded, and crashes. Only a bug of pyrunc can lead there; it is reported in one line as well. */
static void end_in_one_line(int number) {
    static const char words[] = "pyrunc: internal error: text in the half-started interpreter\n";
    (void)number;
    (void)!write(2, words, sizeof words - 1);
    _exit(1);
}
#define WITHOUT_CODECS(disposition) signal(SIGSEGV, disposition)
#else
#define WITHOUT_CODECS(disposition) (void)0
#endif

static PyObject *complete(PyObject *self, PyObject *arguments) {
    (void)self, (void)arguments;
    static int done;
    if (!done) {
        done = 1;
        int kept = silence();
        PyStatus status = python._Py_InitializeMain();
        speak(kept);
        if (python.PyStatus_Exception(status))
            give_up(status);
        WITHOUT_CODECS(SIG_DFL);
    }
    return python.PyLong_FromLong(0);
}

/* The signals that are held back while a hot command runs: all but those that report an error of this process, or
 * concern only a terminal. Signals that stop a process are held back too: in the foreground they are for the
 * container's program (as with runc), and a stopped command would keep the container's lock. */
static sigset_t held_signals(void) {
    static const int others[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,   SIGTRAP, SIGABRT,
                                 SIGSYS,  SIGURG,  SIGWINCH};
    sigset_t held;
    sigfillset(&held);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        sigdelset(&held, others[i]);
    return held;
}

/* Replaces the module `_signal`, which the interpreter's first phase does not have. */
static PyObject *next_signal(PyObject *self, PyObject *arguments) {
    (void)self, (void)arguments;
    sigset_t held = held_signals();
    int number;
    do
        number = sigwaitinfo(&held, NULL);
    while (number < 0 && errno == EINTR);
    return python.PyLong_FromLong(number == SIGCHLD ? 0 : number);
}

static PyObject *send_signal(PyObject *self, PyObject *arguments) {
    (void)self;
    int pidfd, number;
    if (!python.PyArg_ParseTuple(arguments, "ii", &pidfd, &number))
        return NULL;
    return python.PyLong_FromLong(syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) == 0 ? 0 : errno);
}

/* A command's archive (pyrunc/fastpath). It stays mapped, so that unused parts are never unmarshalled. */
static struct {
    const char *key, *late, *content, *end;
    size_t key_length; /* without the end of the line */
} archive;

static PyObject *late(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_ssize_t offset;
    if (!python.PyArg_ParseTuple(arguments, "n", &offset))
        return NULL;
    return python.PyMarshal_ReadObjectFromString(archive.late + offset, archive.content - archive.late - offset);
}

/* True if the bytecode of this interpreter has that magic number. In its first phase Python cannot answer, because the
 * module with the number is not executed yet. But the interpreter is the one that the launcher was built for, or an
 * update of it, and after a version's release its bytecode does not change (the comment on MAGIC_NUMBER in CPython's
 * importlib). */
static bool has_magic(unsigned number) {
    unsigned long version = python.Py_Version != NULL ? *python.Py_Version : 0;
    bool released = (version >> 4 & 0xf) == 0xf && (PY_VERSION_HEX >> 4 & 0xf) == 0xf;
    return number == PYTHON_MAGIC && (released ? version >> 16 == PY_VERSION_HEX >> 16 : version == PY_VERSION_HEX);
}

/* Maps _bin/hot/COMMAND below the first of the directories. True if the file begins with the key of this interpreter's
 * archives (pyrunc/fastpath/archive_key.py). */
static bool map_archive(const char *packages, const char *command) {
    char path[PATH_MAX], key[64];
    snprintf(path, sizeof path, "%.*s/pyrunc/_bin/hot/%s", (int)strcspn(packages, "\n"), packages, command);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0)
        return false;
    const char *map = MAP_FAILED;
    if (fstat(file, &status) == 0 && status.st_size > 0)
        map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    close(file);
    if (map == MAP_FAILED)
        return false;
    archive.end = map + status.st_size;
    /* "pyrunc TAG MAGIC": MAGIC is four bytes in hexadecimal, two of the number and then \r\n. */
    size_t length = (size_t)snprintf(key, sizeof key, "pyrunc %s ", python.PyImport_GetMagicTag());
    unsigned low, high;
    if (archive.end - map < (ptrdiff_t)sizeof key || memcmp(map, key, length) != 0 ||
        sscanf(map + length, "%2x%2x0d0a\n", &low, &high) != 2 || !has_magic(low | high << 8))
        return false;
    length += 9;
    const char *line = memchr(map + length, '\n', (size_t)(archive.end - map) - length);
    long late_length = line != NULL ? strtol(map + length, NULL, 10) : -1;
    if (late_length < 0 || late_length >= archive.end - line)
        return false;
    archive.key = map;
    archive.key_length = length - 1;
    archive.late = line + 1;
    archive.content = archive.late + late_length;
    return true;
}

static PyObject *make_module(void) {
    static PyMethodDef methods[] = {
        {"complete", complete, METH_NOARGS, "Starts the rest of the interpreter."},
        {"late", late, METH_VARARGS, "The code at an offset of the archive's late section."},
        {"next_signal", next_signal, METH_NOARGS, "Waits for one that was held back; 0: a child has ended."},
        {"send_signal", send_signal, METH_VARARGS, "pidfd_send_signal(2); 0, or the errno."},
        {0},
    };
    static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_launcher", .m_size = -1, .m_methods = methods};
    return python.PyModule_Create2(&module, PYTHON_API_VERSION);
}

/* A command ends before there is garbage worth collecting. Python would collect four times while it makes its types,
 * and collection can be disabled only after Python has a thread state: at the first allocation after that. */
static PyMemAllocatorEx objects;

static void *allocate(void *context, size_t size) {
    if (python.UNCHECKED_STATE() != NULL) {
        python.PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &objects);
        python.PyGC_Disable();
    }
    return objects.malloc(context, size);
}

static void collect_nothing(void) {
    python.PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &objects);
    PyMemAllocatorEx watching = objects;
    watching.malloc = allocate;
    python.PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &watching);
}

static int configure(PyConfig *config, const char *executable, char **words, int count) {
    PyPreConfig before;
    python.PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1; /* paths are bytes: the same in any locale */
    before.configure_locale = before.coerce_c_locale = 0;
    if (python.PyStatus_Exception(python.Py_PreInitialize(&before)))
        return -1;
    python.PyConfig_InitIsolatedConfig(config);
    config->_init_main = 0;
    if (python.PyStatus_Exception(python.PyConfig_SetBytesString(config, &config->home, PYTHON_PREFIX)))
        return -1;
    config->site_import = config->write_bytecode = config->pathconfig_warnings = 0;
    config->install_signal_handlers = config->use_frozen_modules = config->module_search_paths_set = 1;
    /* All paths that Python would search the file system for are known from the build. */
    wchar_t **paths[] = {&config->prefix, &config->exec_prefix, &config->base_prefix, &config->base_exec_prefix};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (python.PyStatus_Exception(python.PyConfig_SetBytesString(config, paths[i], PYTHON_PREFIX)))
            return -1;
    if (python.PyStatus_Exception(python.PyConfig_SetBytesString(config, &config->executable, executable)) ||
        python.PyStatus_Exception(python.PyConfig_SetBytesString(config, &config->base_executable, executable)) ||
        python.PyStatus_Exception(python.PyConfig_SetBytesString(config, &config->stdlib_dir, PYTHON_STDLIB)) ||
        python.PyStatus_Exception(python.PyWideStringList_Append(&config->module_search_paths, L"" PYTHON_STDLIB)) ||
        python.PyStatus_Exception(python.PyWideStringList_Append(&config->module_search_paths, L"" PYTHON_DYNLOAD)))
        return -1;
    return python.PyStatus_Exception(python.PyConfig_SetBytesArgv(config, count, words)) ? -1 : 0;
}

/* Sets sys.argv, which Python itself sets only in the second phase of its start. */
static void set_arguments(char **words, int count) {
    PyObject *list = python.PyList_New(0);
    for (int i = 0; list != NULL && i < count; i++) {
        PyObject *word = python.PyUnicode_DecodeFSDefault(words[i]);
        if (word == NULL || python.PyList_Append(list, word) != 0)
            _exit(1);
    }
    python.PySys_SetObject("argv", list);
}

/* In its first phase Python handles no signals, so the signals that a caller may send are blocked. SIGPIPE and SIGXFSZ,
 * which report an error of a system call, are ignored, as Python does. */
static void hold_signals(bool hot) {
    sigset_t held = held_signals();
    if (hot)
        sigprocmask(SIG_BLOCK, &held, NULL);
    WITHOUT_CODECS(end_in_one_line);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* Runs the compiled prelude.py of the command's archive, with ARCHIVE = (key, content, late) as a global. Returns only
 * if there is no archive for this interpreter. */
static void run_archive(const char *packages, const char *command) {
    if (!map_archive(packages, command))
        return;
    PyObject *content = python.PyMarshal_ReadObjectFromString(archive.content, archive.end - archive.content);
    PyObject *code = content != NULL ? python.PyTuple_GetItem(content, 0) : NULL;
    PyObject *module = code != NULL ? python.PyImport_ImportModule("_launcher") : NULL;
    if (module == NULL) { /* truncated or damaged: treated as a missing archive */
        python.PyErr_Clear();
        return;
    }
    PyObject *key = python.PyBytes_FromStringAndSize(archive.key, (Py_ssize_t)archive.key_length);
    /* __builtins__: an import from C, as in the second phase of the start, looks for it in the frame's globals. */
    PyObject *globals = python.Py_BuildValue(
        "{s:s,s:N,s:(N,N,N)}", "__name__", "__main__", "__builtins__", python.PyImport_ImportModule("builtins"), "ARCHIVE",
        key, content, python.PyObject_GetAttrString(module, "late"));
    if (globals != NULL)
        python.PyEval_EvalCode(code, globals, globals);
    dprintf(2, "pyrunc: cannot allocate memory\n"); /* the prelude ends the process itself */
    _exit(1);
}

void interpret(const char *code, const char *executable, char **words, int count) {
    PyConfig config;
    if (load() != 0)
        return;
    hold_signals(words[2][0] != '-');
    PyStatus status = {0};
    if (python.PyImport_AppendInittab("_launcher", make_module) != 0 || configure(&config, executable, words, count) != 0)
        give_up(status);
    collect_nothing();
    int kept = silence();
    status = python.Py_InitializeFromConfig(&config);
    speak(kept);
    if (python.PyStatus_Exception(status))
        give_up(status);
    set_arguments(words, count);
    if (words[2][0] != '-')
        run_archive(words[1], words[2]);
    python.PyRun_SimpleStringFlags(code, NULL);
    _exit(1); /* pyrunc.cli.dispatch.main never returns */
}
#endif
