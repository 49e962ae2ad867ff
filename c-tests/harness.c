// SPDX-License-Identifier: MPL-2.0
//
// The runner: forks a process for each test, enforces its time limit, prints the result in TAP
// and a final line `N passed, N failed, N skipped`.
#include "harness.h"

#include <dirent.h>
#include <dlfcn.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { USUAL_SECONDS = 30, SKIPPED = 77 };

// Any thread of the test writes it, and the parent reads: a child has its parent's literals.
struct shared {
    _Atomic(const char *) file;
    _Atomic int line;
    char skipped[160]; // why, written just before the end
};

static struct test_case *all_tests;
static bool is_reference, needs_draft_api;
// Where the running test is, for the parent to print when it times out.
static struct shared *shared;
static _Thread_local const char *here_file = "?";
static _Thread_local int here_line;

// ---- inside a test -----------------------------------------------------------------------------

void here(const char *file, int line) {
    here_file = file;
    here_line = line;
    if (shared) {
        // Relaxed, or the harness would put in order what the library must.
        atomic_store_explicit(&shared->file, file, memory_order_relaxed);
        atomic_store_explicit(&shared->line, line, memory_order_relaxed);
    }
}

static void say(const char *format, va_list arguments) {
    char text[2048];
    int size = snprintf(text, sizeof text, "# %s:%d: ", here_file, here_line);
    size += vsnprintf(text + size, sizeof text - (size_t)size - 1, format, arguments);
    if (size > (int)sizeof text - 2)
        size = (int)sizeof text - 2;
    text[size++] = '\n';
    if (write(STDOUT_FILENO, text, (size_t)size) < 0)
        _exit(2);
}

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    _exit(1);
}

void skip(const char *reason) {
    snprintf(shared->skipped, sizeof shared->skipped, "%s", reason);
    _exit(SKIPPED);
}

bool reference_library(void) { return is_reference; }

void check_eq(long long actual, long long expected, const char *text, const char *expected_text) {
    int error = errno;
    if (actual != expected)
        fail("%s is %lld, not %s (%lld); errno %d (%s)", text, actual, expected_text, expected,
             error, zmq_strerror(error));
}

void check_ok(long long result, const char *text) {
    int error = errno;
    if (result != 0)
        fail("%s returned %lld; errno %d (%s)", text, result, error, zmq_strerror(error));
}

void check_errno(long long result, int error, const char *text, const char *error_text) {
    int actual = errno;
    if (result != -1)
        fail("%s returned %lld, not -1 with %s", text, result, error_text);
    if (actual != error)
        fail("%s failed with %d (%s), not %s", text, actual, zmq_strerror(actual), error_text);
}

void check_null_errno(const void *result, int error, const char *text, const char *error_text) {
    int actual = errno;
    if (result != NULL)
        fail("%s returned a pointer, not NULL with %s", text, error_text);
    if (actual != error)
        fail("%s failed with %d (%s), not %s", text, actual, zmq_strerror(actual), error_text);
}

void check_str(const char *actual, const char *expected, const char *text) {
    if (actual == NULL || strcmp(actual, expected) != 0)
        fail("%s is \"%s\", not \"%s\"", text, actual ? actual : "(null)", expected);
}

static const char *printable(char *text, size_t capacity, const void *data, size_t size) {
    const unsigned char *bytes = data;
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < size && used + 8 < capacity; i++) {
        if (bytes[i] >= ' ' && bytes[i] < 127)
            used += (size_t)snprintf(text + used, capacity - used, "%c", bytes[i]);
        else
            used += (size_t)snprintf(text + used, capacity - used, "\\x%02x", bytes[i]);
    }
    return text;
}

void check_bytes(const void *actual, size_t actual_size, const void *expected,
                 size_t expected_size, const char *text) {
    if (actual_size == expected_size && memcmp(actual, expected, expected_size) == 0)
        return;
    char is[400], should[400];
    fail("%s is \"%s\" (%zu bytes), not \"%s\" (%zu bytes)", text,
         printable(is, sizeof is, actual, actual_size), actual_size,
         printable(should, sizeof should, expected, expected_size), expected_size);
}

void check_between(long long actual, long long low, long long high, const char *text) {
    if (actual < low || actual > high)
        fail("%s is %lld, not in %lld..%lld", text, actual, low, high);
}

long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void pause_briefly(void) { nanosleep(&(struct timespec){0, 1000000}, NULL); }

// ---- threads -----------------------------------------------------------------------------------

static void *thread_main(void *argument) {
    struct thread *thread = argument;
    thread->id = gettid();
    thread->run(thread->argument);
    thread->ended = true;
    return NULL;
}

void start_thread(struct thread *thread, void (*run)(void *), void *argument) {
    thread->run = run;
    thread->argument = argument;
    thread->id = 0;
    thread->ended = false;
    int error = pthread_create(&thread->handle, NULL, thread_main, thread);
    if (error != 0)
        fail("pthread_create: %s", strerror(error));
}

void join_thread(struct thread *thread) { pthread_join(thread->handle, NULL); }

static bool sleeps(pid_t id) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    const char *state = strrchr(line, ')');
    return state && state[1] == ' ' && state[2] == 'S';
}

void wait_blocked(struct thread *thread) {
    // A lock taken for a moment sleeps too: several looks in a row must agree.
    int looks = 0;
    const long long deadline = now_ms() + DEADLINE_MS;
    while (looks < 8) {
        if (thread->ended)
            fail("the thread ended where it should have blocked");
        if (now_ms() > deadline)
            fail("the thread does not block");
        looks = thread->id != 0 && sleeps(thread->id) ? looks + 1 : 0;
        pause_briefly();
        pause_briefly();
    }
}

// ---- the runner --------------------------------------------------------------------------------

void register_test(struct test_case *test) {
    // Constructors may run in any order; the order in the source is wanted.
    struct test_case **place = &all_tests;
    while (*place && (*place)->line < test->line)
        place = &(*place)->next;
    test->next = *place;
    *place = test;
}

struct counts {
    int passed, failed, skipped, number;
};

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

void need_draft_api(void) { needs_draft_api = true; }

static _Noreturn void run_child(const struct test_case *test, const char *parameter,
                                const char *directory, const sigset_t *mask) {
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (chdir(directory) != 0)
        _exit(2);
    // The ipc wildcard makes its directory here; the name must stay short.
    unsetenv("TMPDIR");
    unsetenv("TEMPDIR");
    unsetenv("TMP");
    test->run(parameter);
    here("end of the test", 0);
    end_context();
    fflush(stdout);
    _exit(0);
}

// Waits for the child until the deadline, and ends its whole group: nothing of it is there any more
// when the next test begins.
static bool wait_child(pid_t child, int seconds, int *status) {
    sigset_t child_signal;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    const long long deadline = now_ms() + seconds * 1000LL;
    bool in_time = true;
    while (in_time && waitpid(child, status, WNOHANG) == 0) {
        long long left = deadline - now_ms();
        struct timespec wait = {left / 1000, left % 1000 * 1000000};
        if (left > 0)
            sigtimedwait(&child_signal, NULL, &wait);
        else
            in_time = false;
    }
    if (!in_time) {
        kill(child, SIGKILL);
        waitpid(child, status, 0);
    }
    kill(-child, SIGKILL);
    // Its own children are this process's now (PR_SET_CHILD_SUBREAPER).
    while (waitpid(-child, NULL, 0) > 0)
        continue;
    return in_time;
}

static void run_test(const struct test_case *test, const char *parameter, const char *name,
                     struct counts *counts) {
    const int number = ++counts->number;
    if (test->ours_only && is_reference) {
        printf("ok %d - %s # SKIP not for libzmq: %s\n", number, name, test->ours_only);
        counts->skipped++;
        return;
    }
    if (needs_draft_api && !zmq_has("draft")) {
        printf("ok %d - %s # SKIP the library has no draft API\n", number, name);
        counts->skipped++;
        return;
    }
    char directory[] = "/tmp/zmq-c-test-XXXXXX";
    if (!mkdtemp(directory)) {
        perror("mkdtemp");
        exit(2);
    }
    fflush(stdout);
    sigset_t block, mask;
    sigemptyset(&block);
    sigaddset(&block, SIGCHLD);
    sigprocmask(SIG_BLOCK, &block, &mask);
    here("start of the test", 0);
    pid_t child = fork();
    if (child == 0)
        run_child(test, parameter, directory, &mask);
    const int seconds = test->seconds ? test->seconds : USUAL_SECONDS;
    int status = 0;
    const bool in_time = child > 0 && wait_child(child, seconds, &status);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);

    if (!in_time) {
        printf("not ok %d - %s # no end within %d s; last seen at %s:%d\n", number, name, seconds,
               shared->file, shared->line);
        counts->failed++;
    } else if (WIFSIGNALED(status)) {
        printf("not ok %d - %s # killed by %s; last seen at %s:%d\n", number, name,
               strsignal(WTERMSIG(status)), shared->file, shared->line);
        counts->failed++;
    } else if (WEXITSTATUS(status) == SKIPPED) {
        printf("ok %d - %s # SKIP %s\n", number, name, shared->skipped);
        counts->skipped++;
    } else if (WEXITSTATUS(status) != 0) {
        printf("not ok %d - %s\n", number, name);
        counts->failed++;
    } else {
        printf("ok %d - %s\n", number, name);
        counts->passed++;
    }
    fflush(stdout);
}

static void usage(const char *program) {
    printf("usage: %s [--list] [--filter TEXT] [--reference] [--repeat N]\n"
           "  --list       names only; those not for libzmq with their reason\n"
           "  --filter     only tests whose name contains TEXT\n"
           "  --reference  the library is libzmq: skip what is not for it\n",
           program);
}

int main(int count, char **arguments) {
    const char *filter = "";
    bool list = false;
    int repeat = 1;
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--list") == 0)
            list = true;
        else if (strcmp(arguments[i], "--reference") == 0)
            is_reference = true;
        else if (strcmp(arguments[i], "--filter") == 0 && i + 1 < count)
            filter = arguments[++i];
        else if (strcmp(arguments[i], "--repeat") == 0 && i + 1 < count)
            repeat = atoi(arguments[++i]);
        else {
            usage(arguments[0]);
            return 2;
        }
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("mmap");
        return 2;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (!list) {
        Dl_info info = {0};
        int major, minor, patch;
        zmq_version(&major, &minor, &patch);
        void *symbol = dlsym(RTLD_DEFAULT, "zmq_version");
        printf("# library %s version %d.%d.%d\n",
               symbol && dladdr(symbol, &info) ? info.dli_fname : "?", major, minor, patch);
    }
    static const char *const no_parameter[] = {"", NULL};
    struct counts counts = {0};
    for (; repeat > 0; repeat--)
        for (struct test_case *test = all_tests; test; test = test->next)
            for (const char *const *p = test->parameters ? test->parameters : no_parameter; *p;
                 p++) {
                char name[256];
                snprintf(name, sizeof name, "%s%s%s", test->name, **p ? "/" : "", *p);
                if (!strstr(name, filter))
                    continue;
                if (list)
                    printf("%s\t%s\n", name, test->ours_only ? test->ours_only : "");
                else
                    run_test(test, *p, name, &counts);
            }
    if (list)
        return 0;
    printf("%d passed, %d failed, %d skipped\n", counts.passed, counts.failed, counts.skipped);
    return counts.failed == 0 ? 0 : 1;
}
