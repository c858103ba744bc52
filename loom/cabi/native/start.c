/* Start the interpreter that the library was built with, or join one that runs.

   CPython's own defaults guess the prefix from the host program and its environment,
   which are not ours. PyConfig's isolated settings take neither: the executable of the
   build, through its pyvenv.cfg, decides the standard library and the packages.

   built.h has LOOM_EXECUTABLE (that Python), and as Python's text LOOM_PACKAGE (the
   package's __init__.py) and LOOM_PATHS (the folders of what it needs). */

#ifndef _WIN32
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
#define readable(path) (access(path, R_OK) == 0)
#else
#include <io.h>
#define readable(path) (_access(path, 4) == 0)
#endif

#include <Python.h>

#include "built.h"
#include "internal.h"
#include "loom.h"

/* `started` is read without the lock; what was written before it is then seen too. */
#ifdef _MSC_VER
#define load(variable) (*(volatile int *)&(variable))
#define store(variable, value) (*(volatile int *)&(variable) = (value))
#else
#define load(variable) __atomic_load_n(&(variable), __ATOMIC_ACQUIRE)
#define store(variable, value) __atomic_store_n(&(variable), (value), __ATOMIC_RELEASE)
#endif

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define PYTHON TEXT(PY_MAJOR_VERSION) "." TEXT(PY_MINOR_VERSION)

static loom_mutex start_mutex = LOOM_MUTEX;
static int started; /* 0 not yet, 1 runs, -1 failed */
static char failure[3072];

/* The package is the one that the library was built from, unless the host has imported
   Loom already; what it needs comes from the host's own path first. */
static const char preparation[] =
    "import importlib.util, sys\n"
    "sys.path.extend(p for p in " LOOM_PATHS " if p not in sys.path)\n"
    "if 'loom' not in sys.modules:\n"
    "    spec = importlib.util.spec_from_file_location('loom', " LOOM_PACKAGE ")\n"
    "    loom = sys.modules['loom'] = importlib.util.module_from_spec(spec)\n"
    "    try:\n"
    "        spec.loader.exec_module(loom)\n"
    "    except BaseException:\n"
    "        del sys.modules['loom']\n"
    "        raise\n"
    "import loom, _cffi_backend\n"
    "if loom.__version__ != '" LOOM_VERSION "':\n"
    "    raise ImportError('the library is Loom " LOOM_VERSION ", the package in '\n"
    "        f'{loom.__path__[0]} is Loom {loom.__version__}')\n"
    "import loom.cabi.bridge\n";
static const char attachment[] = "loom.cabi.bridge.attach(glue.ffi, glue.lib)\n";

/* cffi's module of this library (glue.c), which it makes when asked for. */
PyMODINIT_FUNC PyInit__loom_cabi(void);

static void fail(const char *what, const char *why) {
    snprintf(failure, sizeof failure,
             "Loom could not start: %s%s. It was built with Python " PYTHON
             " at " LOOM_EXECUTABLE
             "; if that was moved or changed, run python -m loom.cabi build again.",
             what, why);
}

static bool same_version(const char *version) {
    size_t length = strlen(PYTHON);
    return strncmp(version, PYTHON, length) == 0 &&
           !(version[length] >= '0' && version[length] <= '9');
}

/* Extension modules take Python's symbols from the global scope; a host that opened
   libloom by dlopen has them in a local one. */
static void publish_python(void) {
#ifndef _WIN32
    Dl_info info;
    if (dladdr((void *)Py_InitializeFromConfig, &info) && info.dli_fname)
        dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
#endif
}

static bool initialize(void) {
    if (!readable(LOOM_EXECUTABLE)) {
        fail("there is no Python at its place", "");
        return false;
    }
    publish_python();
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1; /* whatever the host's locale, which stays as it is */
    PyStatus status = Py_PreInitialize(&before);
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.buffered_stdio = 0; /* the process may end without Python's goodbye */
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesString(&config, &config.program_name, LOOM_EXECUTABLE);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        fail("Python says ", status.err_msg ? status.err_msg : "nothing");
        return false;
    }
    return true;
}

static bool run(const char *code, PyObject *scope) {
    PyObject *done = PyRun_String(code, Py_file_input, scope, scope);
    Py_XDECREF(done);
    return done != NULL;
}

/* Import Loom and give it this library's glue. */
static bool attach(PyObject *scope) {
    if (PyDict_SetItemString(scope, "__builtins__", PyEval_GetBuiltins()) < 0 ||
        !run(preparation, scope))
        return false;
    PyObject *glue = PyInit__loom_cabi();
    if (!glue)
        return false;
    int set = PyDict_SetItemString(scope, "glue", glue);
    Py_DECREF(glue);
    return set == 0 && run(attachment, scope);
}

/* The exception that is raised, as the failure's text. */
static void tell_exception(void) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *text = NULL;
    if (value)
        text = PyUnicode_FromFormat("%s: %S", Py_TYPE(value)->tp_name, value);
    const char *bytes = text ? PyUnicode_AsUTF8(text) : NULL;
    fail("", bytes ? bytes : "an import failed");
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
}

static bool import_loom(void) {
    PyObject *scope = PyDict_New();
    bool attached = scope && attach(scope);
    if (!attached)
        tell_exception();
    Py_XDECREF(scope);
    return attached;
}

static bool start(void) {
    bool joined = Py_IsInitialized();
    if (!joined && !initialize())
        return false;
    if (!joined) {
        bool imported = import_loom();
        PyEval_SaveThread();
        return imported;
    }
    PyGILState_STATE state = PyGILState_Ensure();
    bool imported = import_loom();
    PyGILState_Release(state);
    return imported;
}

const char *loom_start(void) {
    int state = load(started);
    if (state)
        return state > 0 ? NULL : failure;
    /* Whichever Python is in this process gives this symbol, safely in any version. */
    const char *version = Py_GetVersion();
    bool ours = same_version(version);
    /* A thread that holds the interpreter's lock (ctypes.PyDLL) must not wait with it. */
    bool holds = ours && Py_IsInitialized() && PyGILState_Check();
    PyThreadState *thread = holds ? PyEval_SaveThread() : NULL;
    loom_lock(&start_mutex);
    if (load(started) == 0) {
        if (!ours)
            snprintf(failure, sizeof failure,
                     "Loom could not start: this process is Python %.*s, the library "
                     "was built with Python " PYTHON ", and one process cannot hold "
                     "both. Build it with this Python (python -m loom.cabi build), or "
                     "load it in Python " PYTHON ".",
                     (int)strcspn(version, " "), version);
        store(started, ours && start() ? 1 : -1);
    }
    loom_unlock(&start_mutex);
    if (thread)
        PyEval_RestoreThread(thread);
    return load(started) > 0 ? NULL : failure;
}
