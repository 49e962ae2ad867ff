// SPDX-License-Identifier: MPL-2.0
//
// Signals in blocking calls, and what a forked child may do with what it inherits.
#include "harness.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

// ---- signals -----------------------------------------------------------------------------------

static _Atomic int handled;

static void on_signal(int number) {
    (void)number;
    handled++;
}

// SA_RESTART as most programs have it, or not: the calls return either way.
static void handle_usr1(int flags) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    sigaction(SIGUSR1, &action, NULL);
}

struct blocked {
    void *socket;
    int (*call)(void *socket);
    int result, error;
    struct thread thread;
};

static int call_recv(void *s) {
    char buffer[8];
    return zmq_recv(s, buffer, sizeof buffer, 0);
}
static int call_msg_recv(void *s) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    int result = zmq_msg_recv(&message, s, 0);
    int error = errno;
    zmq_msg_close(&message);
    errno = error;
    return result;
}
static int call_send(void *s) { return zmq_send(s, "x", 1, 0); }
static int call_poll(void *s) {
    zmq_pollitem_t item = {.socket = s, .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, -1);
}
static int call_poll_of_nothing(void *s) {
    (void)s;
    return zmq_poll(NULL, 0, 100000);
}

static int call_proxy(void *s) { return zmq_proxy(s, s, NULL); }

static void run_blocked(void *argument) {
    struct blocked *blocked = argument;
    blocked->result = blocked->call(blocked->socket);
    blocked->error = zmq_errno();
}

static void check_interrupted(int type, const char *transport, int (*call)(void *)) {
    void *s = NEW_SOCKET(type);
    BIND(s, transport);
    static const int flags[] = {0, SA_RESTART};
    for (int i = 0; i < 2; i++) {
        struct blocked blocked = {.socket = s, .call = call};
        handled = 0;
        handle_usr1(flags[i]);
        start_thread(&blocked.thread, run_blocked, &blocked);
        WAIT_BLOCKED(&blocked.thread);
        CHECK_EQ(pthread_kill(blocked.thread.handle, SIGUSR1), 0);
        JOIN(&blocked.thread);
        CHECK_EQ(handled, 1);
        CHECK_EQ(blocked.result, -1);
        CHECK_EQ(blocked.error, EINTR);
    }
}

TEST_EACH(recv_is_interrupted, EACH_TRANSPORT) { check_interrupted(ZMQ_PULL, transport, call_recv); }
TEST_EACH(msg_recv_is_interrupted, EACH_TRANSPORT) {
    check_interrupted(ZMQ_PULL, transport, call_msg_recv);
}
TEST_EACH(send_is_interrupted, EACH_TRANSPORT) { check_interrupted(ZMQ_PUSH, transport, call_send); }
TEST_EACH(poll_is_interrupted, EACH_TRANSPORT) { check_interrupted(ZMQ_PULL, transport, call_poll); }
TEST(poll_of_nothing_is_interrupted) {
    check_interrupted(ZMQ_PULL, "inproc", call_poll_of_nothing);
}

TEST_EACH(proxy_is_interrupted, EACH_TRANSPORT) { check_interrupted(ZMQ_REP, transport, call_proxy); }

static void recv_with_retries(void *pull) {
    char buffer[8];
    int interruptions = 0, result;
    while ((result = zmq_recv(pull, buffer, sizeof buffer, 0)) < 0) {
        CHECK_EQ(zmq_errno(), EINTR);
        interruptions++;
    }
    CHECK_EQ(result, 5);
    CHECK(interruptions > 0);
}

TEST_EACH(receiving_goes_on_after_an_interruption, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    handle_usr1(0);
    struct thread thread;
    start_thread(&thread, recv_with_retries, pull);
    for (int i = 0; i < 3; i++) {
        WAIT_BLOCKED(&thread);
        CHECK_EQ(pthread_kill(thread.handle, SIGUSR1), 0);
        WAIT_UNTIL(handled > i);
    }
    WAIT_BLOCKED(&thread);
    SEND(push, "there");
    JOIN(&thread);
}

// A signal that is ignored is no interruption.
TEST(ignored_signals_interrupt_nothing) {
    signal(SIGUSR1, SIG_IGN);
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "tcp"));
    struct blocked blocked = {.socket = pull, .call = call_recv};
    start_thread(&blocked.thread, run_blocked, &blocked);
    WAIT_BLOCKED(&blocked.thread);
    CHECK_EQ(pthread_kill(blocked.thread.handle, SIGUSR1), 0);
    WAIT_BLOCKED(&blocked.thread);
    SEND(push, "x");
    JOIN(&blocked.thread);
    CHECK_EQ(blocked.result, 1);
}

// Whether every thread of the process blocks the signal for good: each but this one has come to where
// it sleeps. A thread that begins blocks all signals for a moment, then libzmq's none, then all.
static bool all_threads_block(int number) {
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    bool all = true;
    for (struct dirent *task; (task = readdir(tasks));) {
        char path[300], line[256], state = 0;
        unsigned long long mask = 0;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *status = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (!status)
            continue; // or a thread that has ended meanwhile
        while (fgets(line, sizeof line, status))
            if (sscanf(line, "State: %c", &state) != 1 && sscanf(line, "SigBlk: %llx", &mask) == 1)
                break;
        fclose(status);
        all &= mask >> (number - 1) & 1 && (state == 'S' || atoi(task->d_name) == gettid());
    }
    closedir(tasks);
    return all;
}

// Blocks the signal here and waits until the library's threads do: libzmq's do once they run.
static void block_everywhere(const sigset_t *set, int number) {
    CHECK_OK(pthread_sigmask(SIG_BLOCK, set, NULL));
    WAIT_UNTIL(all_threads_block(number));
}

// The library's own threads take no signals: a handler runs in a thread of the program.
static _Atomic pid_t handled_by;
static void note_thread(int number) {
    (void)number;
    handled_by = gettid();
}

TEST(library_threads_block_signals) {
    struct sigaction action = {.sa_handler = note_thread};
    sigaction(SIGUSR2, &action, NULL);
    NEW_SOCKET(ZMQ_PULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    block_everywhere(&set, SIGUSR2);
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    for (int i = 0; i < 20; i++) {
        handled_by = 0;
        CHECK_OK(kill(getpid(), SIGUSR2));
        WAIT_UNTIL(handled_by != 0);
        CHECK_EQ(handled_by, gettid());
    }
}

// With every thread of the program blocking it, the signal stays pending.
TEST(a_signal_stays_pending_when_the_program_blocks_it) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR2, &action, NULL);
    NEW_SOCKET(ZMQ_PULL);
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    block_everywhere(&set, SIGUSR2);
    CHECK_OK(kill(getpid(), SIGUSR2));
    CHECK_OK(sigpending(&pending));
    CHECK_EQ(sigismember(&pending, SIGUSR2), 1);
    CHECK_EQ(handled, 0);
}

// A peer that closes while much is being sent must not kill the process.
TEST_EACH(no_sigpipe, EACH_STREAM, "ws") {
    signal(SIGPIPE, SIG_DFL);
    void *push = NEW_SOCKET(ZMQ_PUSH);
    const char *endpoint = BIND(push, transport);
    for (int round = 0; round < 10; round++) {
        void *pull = NEW_SOCKET(ZMQ_PULL);
        CONNECT(pull, endpoint);
        SEND(push, "x");
        struct frame frame;
        WAIT_UNTIL(TRY_RECV(pull, &frame) || (TRY_SEND(push, "x"), false));
        char body[4096] = {0};
        for (int i = 0; i < 500; i++)
            zmq_send(push, body, sizeof body, ZMQ_DONTWAIT);
        CLOSE(pull);
        for (int i = 0; i < 500; i++)
            zmq_send(push, body, sizeof body, ZMQ_DONTWAIT);
        // What is left belongs to the dead peer.
        WAIT_UNTIL(!(GET_INT(push, ZMQ_EVENTS) & ZMQ_POLLOUT));
    }
}

TEST(no_sigpipe_on_a_reset_connection) {
    signal(SIGPIPE, SIG_DFL);
    void *push = NEW_SOCKET(ZMQ_PUSH);
    void *mon = MONITOR(push, ZMQ_EVENT_DISCONNECTED);
    const char *endpoint = BIND(push, "tcp");
    for (int round = 0; round < 10; round++) {
        int fd = ZMTP_CONNECT(endpoint, "PULL");
        WAIT_EVENTS(push, ZMQ_POLLOUT);
        close(fd);
        char body[1000] = {0};
        for (int i = 0; i < 100; i++)
            zmq_send(push, body, sizeof body, ZMQ_DONTWAIT);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        WAIT_UNTIL(!(GET_INT(push, ZMQ_EVENTS) & ZMQ_POLLOUT));
    }
}

// ---- fork --------------------------------------------------------------------------------------

static void check_child(pid_t child) {
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

// What the checks in a child print and return is the harness's as well.
TEST(child_makes_its_own_context) {
    void *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(pull, "tcp");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        void *ctx = zmq_ctx_new();
        void *push = zmq_socket(ctx, ZMQ_PUSH);
        CHECK(push != NULL);
        CONNECT(push, endpoint);
        SEND(push, "from the child");
        CHECK_OK(zmq_close(push));
        CHECK_OK(zmq_ctx_term(ctx));
        _exit(0);
    }
    EXPECT(pull, "from the child");
    check_child(child);
}

TEST(child_closes_what_it_inherits) {
    void *ctx = context();
    void *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(pull, "tcp");
    void *local = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(local, endpoint);
    SEND(local, "before");
    EXPECT(pull, "before");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_OK(zmq_close(pull));
        CHECK_ERRNO(zmq_ctx_term(ctx), EINTR);
        void *own = zmq_ctx_new();
        void *push = zmq_socket(own, ZMQ_PUSH);
        CONNECT(push, endpoint);
        SEND(push, "from the child");
        CHECK_OK(zmq_close(push));
        CHECK_OK(zmq_ctx_term(own));
        _exit(0);
    }
    EXPECT(pull, "from the child");
    check_child(child);
    // The parent's goes on as before.
    SEND(local, "after");
    EXPECT(pull, "after");
}

// They say EINTR, however often one asks, and leave the parent's connections alone. What is left is
// to look at options, to set them and to close.
TEST_EACH(inherited_sockets_do_nothing, EACH_TRANSPORT) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    const char *endpoint = BIND(pull, transport);
    CONNECT(push, endpoint);
    SEND(push, "before");
    EXPECT(pull, "before");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char buffer[8];
        int events;
        size_t size = sizeof events;
        zmq_pollitem_t item = {pull, 0, ZMQ_POLLIN, 0};
        for (int i = 0; i < 2; i++) {
            CHECK_ERRNO(zmq_recv(pull, buffer, sizeof buffer, 0), EINTR);
            CHECK_ERRNO(zmq_recv(pull, buffer, sizeof buffer, ZMQ_DONTWAIT), EINTR);
            CHECK_ERRNO(zmq_poll(&item, 1, -1), EINTR);
            CHECK_ERRNO(zmq_getsockopt(pull, ZMQ_EVENTS, &events, &size), EINTR);
            CHECK_ERRNO(zmq_bind(pull, "inproc://new"), EINTR);
            CHECK_ERRNO(zmq_connect(push, "inproc://new"), EINTR);
            // libzmq may take it and do nothing with it.
            if (zmq_send(push, "from the child", 14, ZMQ_DONTWAIT) != 14 || !reference_library())
                CHECK_EQ(zmq_errno(), EINTR);
        }
        SET_INT(pull, ZMQ_LINGER, 7);
        CHECK_EQ(GET_INT(pull, ZMQ_LINGER), 7);
        SET_INT(push, ZMQ_SNDHWM, 7);
        CHECK_OK(zmq_socket_monitor(pull, NULL, 0));
        CHECK_OK(zmq_close(push));
        CHECK_OK(zmq_close(pull));
        _exit(0);
    }
    check_child(child);
    EXPECT_NOTHING(pull);
    SEND(push, "after");
    EXPECT(pull, "after");
    void *another = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(another, endpoint);
    SEND(another, "from another");
    EXPECT(pull, "from another");
}

// Whatever the child did with them, the parent is told of what arrives for it.
TEST_EACH(inherited_sockets_tell_the_parent, "close", "fd") {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(push, BIND(pull, "tcp"));
    // So many that the parent is reading by itself when it forks.
    for (int i = 0; i < 200; i++) {
        SEND(push, "before");
        EXPECT(pull, "before");
    }
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int fd;
        size_t size = sizeof fd;
        if (strcmp(transport, "fd") == 0)
            CHECK_OK(zmq_getsockopt(pull, ZMQ_FD, &fd, &size));
        else
            CHECK_OK(zmq_close(pull));
        _exit(0);
    }
    check_child(child);
    SEND(push, "after");
    // One that is waited for beside others, which are many, is read by its I/O thread.
    zmq_pollitem_t items[10] = {{pull, 0, ZMQ_POLLIN, 0}};
    for (int i = 1; i < 10; i++)
        items[i] = (zmq_pollitem_t){NEW_SOCKET(ZMQ_PULL), 0, ZMQ_POLLIN, 0};
    CHECK_EQ(zmq_poll(items, 10, DEADLINE_MS), 1);
    EXPECT(pull, "after");
}

static atomic_bool enough;

static void send_without_end(void *socket) {
    while (!atomic_load(&enough))
        zmq_send(socket, "x", 1, ZMQ_DONTWAIT);
}

// Nobody in the child gives back what a thread of the parent held.
TEST_EACH_OURS_ONLY(forked_while_another_thread_sends, "not promised", "inproc", "tcp") {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(pull, ZMQ_RCVHWM, 10);
    CONNECT(push, BIND(pull, transport));
    atomic_store(&enough, false);
    struct thread thread;
    start_thread(&thread, send_without_end, push);
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            CHECK_ERRNO(zmq_send(push, "y", 1, 0), EINTR);
            int value = 1;
            if (zmq_setsockopt(push, ZMQ_LINGER, &value, sizeof value) != 0)
                CHECK_EQ(zmq_errno(), EINTR);
            CHECK_OK(zmq_close(push));
            CHECK_ERRNO(zmq_close(push), ENOTSOCK);
            CHECK_OK(zmq_close(pull));
            _exit(0);
        }
        check_child(child);
    }
    atomic_store(&enough, true);
    JOIN(&thread);
}

// A context and what else there is, used and ended.
static void begin_and_end(const char *transport) {
    void *ctx = zmq_ctx_new(), *timers = zmq_timers_new();
    void *a = zmq_socket(ctx, ZMQ_PAIR), *b = zmq_socket(ctx, ZMQ_PAIR);
    CHECK(ctx && timers && a && b);
    CONNECT(b, BIND(a, transport));
    SEND(b, "anew");
    EXPECT(a, "anew");
    CHECK_OK(zmq_timers_destroy(&timers));
    CHECK_OK(zmq_close(a));
    CHECK_OK(zmq_close(b));
    CHECK_OK(zmq_ctx_term(ctx));
}

static void begin_and_end_often(void *transport) {
    while (!atomic_load(&enough))
        begin_and_end(transport);
}

// Nothing a child needs is kept by threads that it does not have.
TEST_EACH(children_begin_anew_whatever_other_threads_did, "inproc", "tcp") {
    atomic_store(&enough, false);
    struct thread threads[3];
    for (int i = 0; i < 3; i++)
        start_thread(&threads[i], begin_and_end_often, (void *)transport);
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            begin_and_end(transport);
            _exit(0);
        }
        check_child(child);
    }
    atomic_store(&enough, true);
    for (int i = 0; i < 3; i++)
        JOIN(&threads[i]);
}

// libzmq opens sockets there that no I/O thread serves.
TEST_OURS_ONLY(inherited_contexts_open_nothing, "libzmq opens sockets that nobody serves") {
    void *ctx = context();
    NEW_SOCKET(ZMQ_PULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(zmq_socket(ctx, ZMQ_PAIR) == NULL);
        CHECK_EQ(zmq_errno(), EINTR);
        CHECK_OK(zmq_ctx_set(ctx, ZMQ_MAX_SOCKETS, 5));
        CHECK_EQ(zmq_ctx_get(ctx, ZMQ_MAX_SOCKETS), 5);
        CHECK_OK(zmq_ctx_shutdown(ctx));
        CHECK_ERRNO(zmq_ctx_term(ctx), EINTR);
        _exit(0);
    }
    check_child(child);
    NEW_SOCKET(ZMQ_PAIR);
}

TEST(parent_goes_on_while_a_child_sits_there) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, "tcp"));
    BOUNCE(a, b);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        for (;;)
            pause();
    for (int i = 0; i < 100; i++)
        BOUNCE(a, b);
    END_CONTEXT();
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

TEST(child_that_exits_at_once) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, "tcp"));
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            exit(0); // with the handlers of atexit
        check_child(child);
        BOUNCE(a, b);
    }
}

// Descriptors are closed on exec.
TEST(nothing_survives_exec) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    BIND(a, "ipc");
    CONNECT(b, BIND(a, "tcp"));
    BOUNCE(a, b);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c",
              "for fd in /proc/self/fd/*; do case $(readlink $fd) in"
              " socket:*|*eventpoll*|*eventfd*) exit 1;; esac; done",
              NULL);
        _exit(2);
    }
    check_child(child);
}
