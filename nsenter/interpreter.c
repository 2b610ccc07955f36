/* CPython in this process: its library loaded by name and started half.
 *
 * Half: Python's "core" phase has built-in and frozen modules only, and costs a third of a whole start, of which the
 * import of files, the codecs and the standard streams are the rest (C API, "Multi-Phase Initialization"). A hot command
 * needs none of that; whatever does asks for it, by _launcher.complete() (pyrunc/hot.py). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "launcher.h"

#ifndef PYTHON_LIBRARY /* the interpreter that we were built for has no shared library */

void interpret(const char *code, const char *executable, char **words, int count, bool hot) {
    (void)code, (void)executable, (void)words, (void)count, (void)hot;
}

#else
#include <Python.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Loaded, not linked: a machine without the library still has the slower way. */
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
    X(int, PySys_SetObject, (const char *, PyObject *))                                                                 \
    X(int, PyRun_SimpleStringFlags, (const char *, PyCompilerFlags *))

#define POINTER(type, name, arguments) type(*name) arguments;
static struct {
    FUNCTIONS(POINTER)
} python;

static int load(void) {
    void *library = dlopen(PYTHON_LIBRARY, RTLD_LAZY | RTLD_GLOBAL); /* global: for extension modules */
    if (library == NULL)
        return -1;
#define FIND(type, name, arguments)                                                                                     \
    if ((*(void **)(void *)&python.name = dlsym(library, #name)) == NULL)                                               \
        return -1;
    FUNCTIONS(FIND)
    return 0;
}

static void give_up(PyStatus status) {
    dprintf(2, "pyrunc: the interpreter does not start: %s\n", status.err_msg != NULL ? status.err_msg : "no reason");
    _exit(1);
}

static PyObject *complete(PyObject *self, PyObject *arguments) {
    (void)self, (void)arguments;
    static int done;
    if (!done) {
        done = 1;
        PyStatus status = python._Py_InitializeMain();
        if (python.PyStatus_Exception(status))
            give_up(status);
    }
    return python.PyLong_FromLong(0);
}

/* Held back for as long as a hot command runs; what is an error of our own, or only of interest to a terminal, is not. */
static sigset_t held_signals(void) {
    static const int others[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,   SIGTRAP, SIGABRT,
                                 SIGSYS,  SIGTSTP, SIGTTIN, SIGTTOU, SIGURG,  SIGWINCH};
    sigset_t held;
    sigfillset(&held);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        sigdelset(&held, others[i]);
    return held;
}

/* In place of the module `_signal`, which the first half has not. */
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

static PyObject *make_module(void) {
    static PyMethodDef methods[] = {
        {"complete", complete, METH_NOARGS, "Starts the rest of the interpreter."},
        {"next_signal", next_signal, METH_NOARGS, "Waits for one that was held back; 0: a child has ended."},
        {"send_signal", send_signal, METH_VARARGS, "pidfd_send_signal(2); 0, or the errno."},
        {0},
    };
    static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_launcher", .m_size = -1, .m_methods = methods};
    return python.PyModule_Create2(&module, PYTHON_API_VERSION);
}

static int configure(PyConfig *config, const char *executable, char **words, int count) {
    PyPreConfig before;
    python.PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1; /* paths are bytes: in any locale the same */
    before.configure_locale = before.coerce_c_locale = 0;
    if (python.PyStatus_Exception(python.Py_PreInitialize(&before)))
        return -1;
    python.PyConfig_InitIsolatedConfig(config);
    config->_init_main = 0;
    if (python.PyStatus_Exception(python.PyConfig_SetBytesString(config, &config->home, PYTHON_PREFIX)))
        return -1;
    config->site_import = config->write_bytecode = config->pathconfig_warnings = 0;
    config->install_signal_handlers = config->use_frozen_modules = config->module_search_paths_set = 1;
    /* All that Python would look for in the file system is known since the build. */
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

/* Python sets sys.argv in the second half only. */
static void set_arguments(char **words, int count) {
    PyObject *list = python.PyList_New(0);
    for (int i = 0; list != NULL && i < count; i++) {
        PyObject *word = python.PyUnicode_DecodeFSDefault(words[i]);
        if (word == NULL || python.PyList_Append(list, word) != 0)
            _exit(1);
    }
    python.PySys_SetObject("argv", list);
}

/* Half started, Python knows no signals: those that a caller may send wait until it does. The two that are errors of a
 * system call are ignored, as Python has them. */
static void hold_signals(bool hot) {
    sigset_t held = held_signals();
    if (hot)
        sigprocmask(SIG_BLOCK, &held, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

void interpret(const char *code, const char *executable, char **words, int count, bool hot) {
    PyConfig config;
    if (load() != 0)
        return;
    hold_signals(hot);
    PyStatus status = {0};
    if (python.PyImport_AppendInittab("_launcher", make_module) != 0 || configure(&config, executable, words, count) != 0)
        give_up(status);
    status = python.Py_InitializeFromConfig(&config);
    if (python.PyStatus_Exception(status))
        give_up(status);
    set_arguments(words, count);
    python.PyRun_SimpleStringFlags(code, NULL);
    _exit(1); /* pyrunc.main.main never returns */
}
#endif
