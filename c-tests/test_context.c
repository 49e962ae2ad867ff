// SPDX-License-Identifier: MPL-2.0
//
// Contexts: options, shutdown, termination with sockets open, blocked, or owned by other threads.
#include "harness.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

TEST(new_and_term) {
    void *ctx = zmq_ctx_new();
    CHECK(ctx != NULL);
    CHECK_OK(zmq_ctx_term(ctx));
}

TEST(many_contexts) {
    void *all[20];
    for (int i = 0; i < 20; i++) {
        all[i] = zmq_ctx_new();
        CHECK(all[i] != NULL);
        void *s = zmq_socket(all[i], ZMQ_PAIR);
        CHECK(s != NULL);
        CHECK_OK(zmq_close(s));
    }
    for (int i = 0; i < 20; i++)
        CHECK_OK(zmq_ctx_term(all[i]));
}

TEST(deprecated_names) {
    void *ctx = zmq_init(2);
    CHECK(ctx != NULL);
    CHECK_EQ(zmq_ctx_get(ctx, ZMQ_IO_THREADS), 2);
    CHECK_OK(zmq_term(ctx));
    ctx = zmq_init(0);
    CHECK(ctx != NULL);
    CHECK_EQ(zmq_ctx_get(ctx, ZMQ_IO_THREADS), 0);
    CHECK_OK(zmq_ctx_destroy(ctx));
    CHECK_NULL_ERRNO(zmq_init(-1), EINVAL);
}

TEST(null_context) {
    CHECK_ERRNO(zmq_ctx_term(NULL), EFAULT);
    CHECK_ERRNO(zmq_ctx_destroy(NULL), EFAULT);
    CHECK_ERRNO(zmq_term(NULL), EFAULT);
    CHECK_ERRNO(zmq_ctx_shutdown(NULL), EFAULT);
    CHECK_ERRNO(zmq_ctx_set(NULL, ZMQ_IO_THREADS, 1), EFAULT);
    CHECK_ERRNO(zmq_ctx_get(NULL, ZMQ_IO_THREADS), EFAULT);
    CHECK_NULL_ERRNO(zmq_socket(NULL, ZMQ_PAIR), EFAULT);
}

// Memory that is no context is told by its tag.
TEST(not_a_context) {
    _Alignas(16) char memory[1024] = {0};
    CHECK_ERRNO(zmq_ctx_term(memory), EFAULT);
    CHECK_ERRNO(zmq_ctx_shutdown(memory), EFAULT);
    CHECK_ERRNO(zmq_ctx_set(memory, ZMQ_IO_THREADS, 1), EFAULT);
    CHECK_ERRNO(zmq_ctx_get(memory, ZMQ_IO_THREADS), EFAULT);
    CHECK_NULL_ERRNO(zmq_socket(memory, ZMQ_PAIR), EFAULT);
}

// ---- options -----------------------------------------------------------------------------------

TEST(option_defaults) {
    static const struct {
        int option, value;
    } rows[] = {
        {ZMQ_IO_THREADS, ZMQ_IO_THREADS_DFLT},
        {ZMQ_MAX_SOCKETS, ZMQ_MAX_SOCKETS_DFLT},
        {ZMQ_SOCKET_LIMIT, 65535},
        {ZMQ_MAX_MSGSZ, INT_MAX},
        {ZMQ_MSG_T_SIZE, sizeof(zmq_msg_t)},
        {ZMQ_IPV6, 0},
        {ZMQ_BLOCKY, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_EQ(zmq_ctx_get(context(), rows[i].option), rows[i].value);
}

TEST(option_policy_defaults_to_minus_one) {
    errno = 0;
    CHECK_EQ(zmq_ctx_get(context(), ZMQ_THREAD_SCHED_POLICY), ZMQ_THREAD_SCHED_POLICY_DFLT);
}

TEST(options_set_and_get) {
    static const struct {
        int option, value;
    } rows[] = {
        {ZMQ_IO_THREADS, 0}, {ZMQ_IO_THREADS, 7},  {ZMQ_MAX_SOCKETS, 1},
        {ZMQ_IPV6, 1},       {ZMQ_IPV6, 0},        {ZMQ_BLOCKY, 0},
        {ZMQ_BLOCKY, 1},     {ZMQ_MAX_MSGSZ, 0},   {ZMQ_MAX_MSGSZ, 1000},
        {ZMQ_MAX_MSGSZ, INT_MAX}, {ZMQ_THREAD_SCHED_POLICY, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_OK(zmq_ctx_set(context(), rows[i].option, rows[i].value));
        CHECK_EQ(zmq_ctx_get(context(), rows[i].option), rows[i].value);
    }
}

TEST(flags_are_kept_as_0_or_1) {
    static const int options[] = {ZMQ_IPV6, ZMQ_BLOCKY};
    for (int i = 0; i < 2; i++) {
        CHECK_OK(zmq_ctx_set(context(), options[i], 7));
        CHECK_EQ(zmq_ctx_get(context(), options[i]), 1);
    }
}

// Stored, and no more.
TEST_EACH(max_msgsz_limits_nothing, EACH_TRANSPORT) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_MAX_MSGSZ, 1));
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    SEND(push, "more than a byte");
    EXPECT(pull, "more than a byte");
}

// How many threads there are is settled with the first socket.
TEST(io_threads_after_the_first_socket) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_ctx_set(context(), ZMQ_IO_THREADS, 0));
    CONNECT(b, BIND(a, "tcp"));
    BOUNCE(a, b);
}

TEST(options_out_of_range) {
    static const struct {
        int option, value;
    } rows[] = {
        {ZMQ_IO_THREADS, -1},
        {ZMQ_MAX_SOCKETS, 0},
        {ZMQ_MAX_SOCKETS, -1},
        {ZMQ_THREAD_PRIORITY, ZMQ_THREAD_PRIORITY_DFLT},
        {ZMQ_THREAD_SCHED_POLICY, ZMQ_THREAD_SCHED_POLICY_DFLT},
        {ZMQ_THREAD_AFFINITY_CPU_ADD, -1},
        {ZMQ_THREAD_AFFINITY_CPU_REMOVE, -1},
        {ZMQ_MAX_MSGSZ, -1},
        {ZMQ_IPV6, -1},
        {ZMQ_BLOCKY, -1},
        {ZMQ_MSG_T_SIZE, 64},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_ERRNO(zmq_ctx_set(context(), rows[i].option, rows[i].value), EINVAL);
}

TEST(unknown_options) {
    static const int unknown[] = {0, -1, 11, 41, 43, 69, 71, 1000, INT_MIN, INT_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        CHECK_ERRNO(zmq_ctx_set(context(), unknown[i], 1), EINVAL);
        CHECK_ERRNO(zmq_ctx_get(context(), unknown[i]), EINVAL);
    }
}

TEST(write_only_options) {
    CHECK_ERRNO(zmq_ctx_get(context(), ZMQ_THREAD_AFFINITY_CPU_ADD), EINVAL);
    CHECK_ERRNO(zmq_ctx_get(context(), ZMQ_THREAD_AFFINITY_CPU_REMOVE), EINVAL);
}

TEST(affinity_cpus) {
    CHECK_ERRNO(zmq_ctx_set(context(), ZMQ_THREAD_AFFINITY_CPU_REMOVE, 0), EINVAL);
    CHECK_OK(zmq_ctx_set(context(), ZMQ_THREAD_AFFINITY_CPU_ADD, 0));
    CHECK_OK(zmq_ctx_set(context(), ZMQ_THREAD_AFFINITY_CPU_ADD, 0));
    CHECK_OK(zmq_ctx_set(context(), ZMQ_THREAD_AFFINITY_CPU_REMOVE, 0));
    CHECK_ERRNO(zmq_ctx_set(context(), ZMQ_THREAD_AFFINITY_CPU_REMOVE, 0), EINVAL);
    CHECK_OK(zmq_ctx_set(context(), ZMQ_THREAD_AFFINITY_CPU_ADD, 0));
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, "tcp"));
    BOUNCE(a, b);
}

// Looks the thread's name up among the process's threads.
static bool has_thread(const char *name) {
    char command[128];
    snprintf(command, sizeof command, "grep -qxe '%s' /proc/%d/task/*/comm", name, (int)getpid());
    return system(command) == 0;
}

TEST(thread_name_prefix_as_number) {
    CHECK_EQ(zmq_ctx_get(context(), ZMQ_THREAD_NAME_PREFIX), 0);
    CHECK_OK(zmq_ctx_set(context(), ZMQ_THREAD_NAME_PREFIX, 1234));
    CHECK_EQ(zmq_ctx_get(context(), ZMQ_THREAD_NAME_PREFIX), 1234);
    NEW_SOCKET(ZMQ_PAIR);
    WAIT_UNTIL(has_thread("1234/ZMQbg/IO/0"));
}

// Any number will do; the kernel has room for 15 letters.
TEST(thread_name_prefix_of_any_length) {
    static const struct {
        int number;
        const char *name;
    } rows[] = {{0, "0/ZMQbg/IO/0"}, {-5, "-5/ZMQbg/IO/0"}, {1234567, "1234567/ZMQbg/I"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *ctx = zmq_ctx_new();
        CHECK_OK(zmq_ctx_set(ctx, ZMQ_THREAD_NAME_PREFIX, rows[i].number));
        CHECK_EQ(zmq_ctx_get(ctx, ZMQ_THREAD_NAME_PREFIX), rows[i].number);
        void *s = zmq_socket(ctx, ZMQ_PAIR);
        CHECK(s != NULL);
        WAIT_UNTIL(has_thread(rows[i].name));
        CHECK_OK(zmq_close(s));
        CHECK_OK(zmq_ctx_term(ctx));
    }
}

TEST(io_thread_names) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_IO_THREADS, 2));
    NEW_SOCKET(ZMQ_PAIR);
    WAIT_UNTIL(has_thread("ZMQbg/IO/0"));
    WAIT_UNTIL(has_thread("ZMQbg/IO/1"));
}

TEST(no_io_threads_leaves_inproc) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_IO_THREADS, 0));
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CHECK_ERRNO(zmq_bind(a, "tcp://127.0.0.1:*"), EMTHREAD);
    CHECK_ERRNO(zmq_connect(a, "tcp://127.0.0.1:1"), EMTHREAD);
    CHECK_ERRNO(zmq_bind(a, "ipc://here"), EMTHREAD);
    CHECK_ERRNO(zmq_connect(a, "ipc://here"), EMTHREAD);
    CONNECT(b, BIND(a, "inproc"));
    BOUNCE(a, b);
}

TEST(several_io_threads) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_IO_THREADS, 4));
    for (int i = 0; i < 8; i++) {
        void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
        CONNECT(b, BIND(a, "tcp"));
        BOUNCE(a, b);
    }
}

TEST(max_sockets_after_the_first_socket) {
    NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_ctx_set(context(), ZMQ_MAX_SOCKETS, 1));
    CHECK_EQ(zmq_ctx_get(context(), ZMQ_MAX_SOCKETS), 1);
    NEW_SOCKET(ZMQ_PAIR);
}

TEST(max_sockets) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_MAX_SOCKETS, 3));
    void *last = NULL;
    for (int i = 0; i < 3; i++)
        last = NEW_SOCKET(ZMQ_PAIR);
    CHECK_NULL_ERRNO(zmq_socket(context(), ZMQ_PAIR), EMFILE);
    // A closed socket's place can be used again, once it is really gone.
    CLOSE(last);
    void *again = NULL;
    WAIT_UNTIL((again = zmq_socket(context(), ZMQ_PAIR)) != NULL);
    CHECK_OK(zmq_close(again));
}

TEST(default_max_sockets) {
    if (sysconf(_SC_OPEN_MAX) < 1200)
        skip("not enough file descriptors");
    for (int i = 0; i < ZMQ_MAX_SOCKETS_DFLT; i++)
        NEW_SOCKET(ZMQ_PAIR);
    CHECK_NULL_ERRNO(zmq_socket(context(), ZMQ_PAIR), EMFILE);
}

TEST(ipv6_is_the_default_of_new_sockets) {
    void *before = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_ctx_set(context(), ZMQ_IPV6, 1));
    void *after = NEW_SOCKET(ZMQ_PAIR);
    CHECK_EQ(GET_INT(before, ZMQ_IPV6), 0);
    CHECK_EQ(GET_INT(after, ZMQ_IPV6), 1);
}

TEST(blocky_is_the_default_of_linger) {
    void *ctx = context();
    void *before = zmq_socket(ctx, ZMQ_PUSH);
    CHECK_OK(zmq_ctx_set(ctx, ZMQ_BLOCKY, 0));
    void *after = zmq_socket(ctx, ZMQ_PUSH);
    CHECK_EQ(GET_INT(before, ZMQ_LINGER), -1);
    CHECK_EQ(GET_INT(after, ZMQ_LINGER), 0);
    CHECK_OK(zmq_close(before));
    CHECK_OK(zmq_close(after));
}

// ---- sockets of a context ----------------------------------------------------------------------

TEST(socket_types) {
    for (int type = ZMQ_PAIR; type <= ZMQ_STREAM; type++)
        CHECK_EQ(GET_INT(NEW_SOCKET(type), ZMQ_TYPE), type);
    CHECK_NULL_ERRNO(zmq_socket(context(), -1), EINVAL);
    CHECK_NULL_ERRNO(zmq_socket(context(), 21), EINVAL);
    CHECK_NULL_ERRNO(zmq_socket(context(), 1000), EINVAL);
}

// The end of the context comes first, then the place, the type last.
TEST(which_error_zmq_socket_tells) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_MAX_SOCKETS, 1));
    CHECK_NULL_ERRNO(zmq_socket(context(), 1000), EINVAL);
    NEW_SOCKET(ZMQ_PAIR);
    CHECK_NULL_ERRNO(zmq_socket(context(), 1000), EMFILE);
    CHECK_OK(zmq_ctx_shutdown(context()));
    CHECK_NULL_ERRNO(zmq_socket(context(), 1000), ETERM);
}

TEST(inproc_names_belong_to_a_context) {
    void *other = zmq_ctx_new();
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = zmq_socket(other, ZMQ_PAIR);
    CHECK_OK(zmq_bind(a, "inproc://same"));
    CHECK_OK(zmq_bind(b, "inproc://same"));
    CHECK_OK(zmq_close(b));
    CHECK_OK(zmq_ctx_term(other));
}

// ---- shutdown ----------------------------------------------------------------------------------

TEST(shutdown_then_term) {
    void *ctx = zmq_ctx_new();
    CHECK_OK(zmq_ctx_shutdown(ctx));
    CHECK_OK(zmq_ctx_shutdown(ctx));
    CHECK_OK(zmq_ctx_term(ctx));
}

TEST(shutdown_forbids_new_sockets) {
    void *first = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_ctx_shutdown(context()));
    CHECK_NULL_ERRNO(zmq_socket(context(), ZMQ_PAIR), ETERM);
    CLOSE(first);
    CHECK_NULL_ERRNO(zmq_socket(context(), ZMQ_PAIR), ETERM);
}

TEST(shutdown_before_the_first_socket) {
    CHECK_OK(zmq_ctx_shutdown(context()));
    CHECK_NULL_ERRNO(zmq_socket(context(), ZMQ_PAIR), ETERM);
}

TEST(options_after_shutdown) {
    NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_ctx_shutdown(context()));
    CHECK_EQ(zmq_ctx_get(context(), ZMQ_IO_THREADS), 1);
    CHECK_OK(zmq_ctx_set(context(), ZMQ_IO_THREADS, 2));
}

// Everything but closing says ETERM.
TEST(calls_after_shutdown) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    BIND(s, "tcp");
    CHECK_OK(zmq_ctx_shutdown(context()));
    char buffer[8];
    int value = 0;
    size_t size = sizeof value;
    CHECK_ERRNO(zmq_send(s, "x", 1, 0), ETERM);
    CHECK_ERRNO(zmq_send(s, "x", 1, ZMQ_DONTWAIT), ETERM);
    CHECK_ERRNO(zmq_send_const(s, "x", 1, 0), ETERM);
    CHECK_ERRNO(zmq_recv(s, buffer, sizeof buffer, 0), ETERM);
    CHECK_ERRNO(zmq_recv(s, buffer, sizeof buffer, ZMQ_DONTWAIT), ETERM);
    CHECK_ERRNO(zmq_bind(s, "inproc://x"), ETERM);
    CHECK_ERRNO(zmq_connect(s, "inproc://x"), ETERM);
    CHECK_ERRNO(zmq_unbind(s, "inproc://x"), ETERM);
    CHECK_ERRNO(zmq_disconnect(s, "inproc://x"), ETERM);
    CHECK_ERRNO(zmq_getsockopt(s, ZMQ_LINGER, &value, &size), ETERM);
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_LINGER, &value, sizeof value), ETERM);
    CHECK_ERRNO(zmq_socket_monitor(s, "inproc://monitor", ZMQ_EVENT_ALL), ETERM);
    zmq_pollitem_t item = {.socket = s, .events = ZMQ_POLLIN};
    CHECK_ERRNO(zmq_poll(&item, 1, 0), ETERM);
    CHECK_ERRNO(zmq_poll(&item, 1, -1), ETERM);
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init_size(&message, 5));
    CHECK_ERRNO(zmq_msg_send(&message, s, 0), ETERM);
    CHECK_EQ(zmq_msg_size(&message), 5);
    CHECK_OK(zmq_msg_close(&message));
    CLOSE(s);
}

// Messages that wait already may still be taken; the end is noticed before long.
TEST(receiving_ends_soon_after_shutdown) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    for (int i = 0; i < 900; i++)
        SEND(push, "left");
    WAIT_EVENTS(pull, ZMQ_POLLIN);
    CHECK_OK(zmq_ctx_shutdown(context()));
    char buffer[8];
    int received = 0;
    while (zmq_recv(pull, buffer, sizeof buffer, 0) == 4)
        received++;
    CHECK_EQ(zmq_errno(), ETERM);
    CHECK_BETWEEN(received, 0, 200);
}

// ---- termination -------------------------------------------------------------------------------

static void term(void *ctx) { CHECK_OK(zmq_ctx_term(ctx)); }

TEST(term_waits_for_open_sockets) {
    void *ctx = zmq_ctx_new();
    void *s = zmq_socket(ctx, ZMQ_PAIR);
    struct thread thread;
    start_thread(&thread, term, ctx);
    WAIT_BLOCKED(&thread);
    CHECK_ERRNO(zmq_send(s, "x", 1, 0), ETERM);
    CHECK(!thread.ended);
    CHECK_OK(zmq_close(s));
    JOIN(&thread);
}

struct call {
    void *socket;
    int result;
    int error;
};

static void blocking_recv(void *argument) {
    struct call *call = argument;
    char buffer[8];
    call->result = zmq_recv(call->socket, buffer, sizeof buffer, 0);
    call->error = zmq_errno();
}

static void blocking_send(void *argument) {
    struct call *call = argument;
    call->result = zmq_send(call->socket, "x", 1, 0);
    call->error = zmq_errno();
}

static void blocking_poll(void *argument) {
    struct call *call = argument;
    zmq_pollitem_t item = {.socket = call->socket, .events = ZMQ_POLLIN};
    call->result = zmq_poll(&item, 1, -1);
    call->error = zmq_errno();
}

static void shutdown_while(void (*run)(void *), int type, const char *transport) {
    struct call call = {.socket = NEW_SOCKET(type)};
    struct thread thread;
    BIND(call.socket, transport);
    start_thread(&thread, run, &call);
    WAIT_BLOCKED(&thread);
    CHECK_OK(zmq_ctx_shutdown(context()));
    JOIN(&thread);
    CHECK_EQ(call.result, -1);
    CHECK_EQ(call.error, ETERM);
}

TEST_EACH(shutdown_wakes_recv, EACH_TRANSPORT) { shutdown_while(blocking_recv, ZMQ_PULL, transport); }
TEST_EACH(shutdown_wakes_send, EACH_TRANSPORT) { shutdown_while(blocking_send, ZMQ_PUSH, transport); }
TEST_EACH(shutdown_wakes_poll, EACH_TRANSPORT) { shutdown_while(blocking_poll, ZMQ_PULL, transport); }

static void recv_until_term_and_close(void *s) {
    char buffer[8];
    CHECK_ERRNO(zmq_recv(s, buffer, sizeof buffer, 0), ETERM);
    CHECK_OK(zmq_close(s));
}

TEST(term_wakes_sockets_blocked_in_threads) {
    void *ctx = zmq_ctx_new();
    struct thread threads[8];
    for (int i = 0; i < 8; i++) {
        void *s = zmq_socket(ctx, i % 2 ? ZMQ_PULL : ZMQ_REP);
        CHECK(s != NULL);
        CHECK(zmq_bind(s, "tcp://127.0.0.1:*") == 0);
        start_thread(&threads[i], recv_until_term_and_close, s);
    }
    for (int i = 0; i < 8; i++)
        WAIT_BLOCKED(&threads[i]);
    CHECK_OK(zmq_ctx_term(ctx));
    for (int i = 0; i < 8; i++)
        JOIN(&threads[i]);
}

static void connect_until_term(void *ctx) {
    // The context may be terminating already when the thread gets here.
    void *s = zmq_socket(ctx, ZMQ_SUB);
    if (!s) {
        CHECK_EQ(zmq_errno(), ETERM);
        return;
    }
    char buffer[8];
    if (zmq_connect(s, "tcp://127.0.0.1:1") != 0)
        CHECK_EQ(zmq_errno(), ETERM);
    CHECK_ERRNO(zmq_recv(s, buffer, sizeof buffer, 0), ETERM);
    CHECK_OK(zmq_close(s));
}

TEST(shutdown_races_with_connecting_threads) {
    for (int round = 0; round < 10; round++) {
        void *ctx = zmq_ctx_new();
        struct thread threads[20];
        for (int i = 0; i < 20; i++)
            start_thread(&threads[i], connect_until_term, ctx);
        CHECK_OK(zmq_ctx_shutdown(ctx));
        for (int i = 0; i < 20; i++)
            JOIN(&threads[i]);
        CHECK_OK(zmq_ctx_term(ctx));
    }
}

TEST(term_with_a_connect_nobody_bound) {
    for (int i = 0; i < 3; i++) {
        void *s = NEW_SOCKET(ZMQ_PUSH);
        CONNECT(s, "inproc://nobody");
        SEND(s, "into the void");
    }
    END_CONTEXT();
}

TEST(term_with_linger_zero_discards) {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(s, unused_tcp_endpoint());
    SEND(s, "never delivered");
    CLOSE(s);
    END_CONTEXT();
}

TEST(close_never_waits) {
    void *ctx = zmq_ctx_new();
    void *s = zmq_socket(ctx, ZMQ_PUSH);
    CHECK_OK(zmq_connect(s, "tcp://127.0.0.1:1"));
    int linger = 2000;
    CHECK_OK(zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof linger));
    SEND(s, "lingers");
    long long start = now_ms();
    CHECK_OK(zmq_close(s));
    CHECK_BETWEEN(now_ms() - start, 0, 1900);
    CHECK_OK(zmq_ctx_term(ctx));
    CHECK_BETWEEN(now_ms() - start, 1990, DEADLINE_MS);
}

// ---- signals -----------------------------------------------------------------------------------

static void do_nothing(int number) { (void)number; }

static void handle_usr1(void) {
    struct sigaction action = {.sa_handler = do_nothing};
    sigaction(SIGUSR1, &action, NULL);
}

static void term_interrupted(void *ctx) {
    CHECK_ERRNO(zmq_ctx_term(ctx), EINTR);
    CHECK_OK(zmq_ctx_term(ctx));
}

TEST(a_signal_interrupts_term_which_can_be_called_again) {
    handle_usr1();
    void *ctx = zmq_ctx_new();
    void *s = zmq_socket(ctx, ZMQ_PAIR);
    struct thread thread;
    start_thread(&thread, term_interrupted, ctx);
    WAIT_BLOCKED(&thread);
    pthread_kill(thread.handle, SIGUSR1);
    CHECK_ERRNO(zmq_send(s, "x", 1, 0), ETERM);
    WAIT_BLOCKED(&thread);
    CHECK_OK(zmq_close(s));
    JOIN(&thread);
}

static void *twice_ended;

static void term_with_another(void *result) {
    const int outcome = zmq_ctx_term(twice_ended);
    *(int *)result = outcome == 0 ? 0 : zmq_errno();
}

// One of them ends it, and the other one hears that it is gone.
TEST_OURS_ONLY(terminated_by_two_threads, "undefined") {
    for (int i = 0; i < 200; i++) {
        twice_ended = zmq_ctx_new();
        void *s = zmq_socket(twice_ended, ZMQ_PULL);
        struct thread threads[2];
        int results[2];
        for (int k = 0; k < 2; k++)
            start_thread(&threads[k], term_with_another, &results[k]);
        char buffer[1];
        CHECK_ERRNO(zmq_recv(s, buffer, 1, 0), ETERM);
        if (i % 10 == 0)
            for (int k = 0; k < 2; k++)
                WAIT_BLOCKED(&threads[k]);
        CHECK_OK(zmq_close(s));
        for (int k = 0; k < 2; k++)
            JOIN(&threads[k]);
        CHECK_EQ(results[0] + results[1], EFAULT);
    }
}

// ---- out of descriptors ------------------------------------------------------------------------

// Takes all the descriptors there are; returns one of them, to be closed first.
static int take_all_descriptors(void) {
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64}));
    int fd = open("/dev/null", O_RDONLY), last = fd;
    CHECK(fd >= 0);
    for (int next; (next = dup(fd)) >= 0;)
        last = next;
    CHECK_EQ(errno, EMFILE);
    return last;
}

TEST(no_descriptors_for_a_context) {
    take_all_descriptors();
    void *ctx = zmq_ctx_new();
    // The one or the other is where they are missed.
    if (ctx)
        CHECK_NULL_ERRNO(zmq_socket(ctx, ZMQ_PULL), EMFILE);
    else
        CHECK_EQ(errno, EMFILE);
    if (ctx)
        CHECK_OK(zmq_ctx_term(ctx));
}

// What exists goes on, in threads that have never waited before, too.
TEST_EACH(no_descriptors_for_others, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, transport));
    BOUNCE(a, b);
    take_all_descriptors();
    struct call call = {.socket = a};
    for (int i = 0; i < 2; i++) {
        struct thread thread;
        start_thread(&thread, i ? blocking_poll : blocking_recv, &call);
        // Time to fall asleep: looking whether it does takes a descriptor.
        WAIT_UNTIL(thread.id != 0);
        for (int k = 0; k < 10; k++)
            pause_briefly();
        SEND(b, "hello");
        JOIN(&thread);
        CHECK_EQ(call.result, i ? 1 : 5);
    }
    EXPECT(a, "hello");
    if (!reference_library()) // it aborts
        CHECK_ERRNO(zmq_bind(a, "tcp://127.0.0.1:*"), EMFILE);
}
