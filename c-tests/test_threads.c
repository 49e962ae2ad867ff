// SPDX-License-Identifier: MPL-2.0
//
// Contexts and sockets in several threads. libzmq's sockets may only be handed over from thread to
// thread; ours may be used by any thread at any time.
#include "harness.h"

#include <sys/syscall.h>
#include <unistd.h>

#define UNDEFINED "its sockets must not be used by two threads at a time"

// ---- what both allow ---------------------------------------------------------------------------

static void own_sockets(void *ctx) {
    void *a = NEW_SOCKET_IN(ctx, ZMQ_PAIR), *b = NEW_SOCKET_IN(ctx, ZMQ_PAIR);
    CONNECT(b, BIND(a, "tcp"));
    for (int i = 0; i < 50; i++)
        BOUNCE(a, b);
    CLOSE(a);
    CLOSE(b);
}

TEST(sockets_of_one_context_in_many_threads) {
    struct thread threads[8];
    for (int i = 0; i < 8; i++)
        start_thread(&threads[i], own_sockets, context());
    for (int i = 0; i < 8; i++)
        JOIN(&threads[i]);
}

static void use_and_return(void *s) {
    SEND(s, "from another thread");
    EXPECT(s, "answer");
}

TEST_EACH(handed_over, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, transport));
    for (int i = 0; i < 10; i++) {
        struct thread thread;
        start_thread(&thread, use_and_return, b);
        EXPECT(a, "from another thread");
        SEND(a, "answer");
        JOIN(&thread);
        SEND(b, "from the first thread");
        EXPECT(a, "from the first thread");
    }
}

static void close_it(void *s) { CLOSE(s); }

TEST(closed_by_another_thread) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    BIND(s, "tcp");
    struct thread thread;
    start_thread(&thread, close_it, s);
    JOIN(&thread);
}

struct ring {
    void *in, *out;
};

static void pass_on(void *argument) {
    struct ring *ring = argument;
    for (int i = 0; i < 100; i++) {
        struct frame frame = RECV(ring->in);
        SEND_FRAME(ring->out, frame, 0);
    }
}

TEST_EACH(a_ring_of_threads, EACH_TRANSPORT) {
    enum { LINKS = 6 };
    void *outs[LINKS], *ins[LINKS];
    struct ring rings[LINKS];
    struct thread threads[LINKS];
    for (int i = 0; i < LINKS; i++) {
        outs[i] = NEW_SOCKET(ZMQ_PAIR);
        ins[i] = NEW_SOCKET(ZMQ_PAIR);
        CONNECT(ins[i], BIND(outs[i], transport));
    }
    for (int i = 1; i < LINKS; i++) {
        rings[i] = (struct ring){ins[i - 1], outs[i]};
        start_thread(&threads[i], pass_on, &rings[i]);
    }
    for (int i = 0; i < 100; i++) {
        SEND_BYTES(outs[0], &i, sizeof i, 0);
        EXPECT_BYTES(ins[LINKS - 1], &i, sizeof i, false);
    }
    for (int i = 1; i < LINKS; i++)
        JOIN(&threads[i]);
}

static void set_and_get(void *ctx) {
    for (int i = 0; i < 2000; i++) {
        CHECK_OK(zmq_ctx_set(ctx, ZMQ_MAX_SOCKETS, 1000 + i));
        CHECK_BETWEEN(zmq_ctx_get(ctx, ZMQ_MAX_SOCKETS), 1000, 3000);
    }
}

TEST(options_of_a_context_in_many_threads) {
    struct thread threads[4];
    for (int i = 0; i < 4; i++)
        start_thread(&threads[i], set_and_get, context());
    for (int i = 0; i < 4; i++)
        JOIN(&threads[i]);
}

static void open_and_close(void *ctx) {
    for (int i = 0; i < 200; i++) {
        void *s = zmq_socket(ctx, i % 2 ? ZMQ_PULL : ZMQ_PUB);
        CHECK(s != NULL);
        CHECK_OK(zmq_close(s));
    }
}

TEST(opening_and_closing_in_many_threads) {
    struct thread threads[4];
    for (int i = 0; i < 4; i++)
        start_thread(&threads[i], open_and_close, context());
    for (int i = 0; i < 4; i++)
        JOIN(&threads[i]);
}

// ---- what ours allows --------------------------------------------------------------------------

enum { SENDERS = 4, EACH = 2000 };

struct sender {
    void *socket;
    int number;
};

static void send_numbered(void *argument) {
    struct sender *sender = argument;
    for (int i = 0; i < EACH; i++) {
        int pair[2] = {sender->number, i};
        SEND_BYTES(sender->socket, pair, sizeof pair, 0);
    }
}

TEST_EACH_OURS_ONLY(several_senders_on_one_socket, UNDEFINED, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    struct thread threads[SENDERS];
    struct sender senders[SENDERS];
    int next[SENDERS] = {0};
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){push, i};
        start_thread(&threads[i], send_numbered, &senders[i]);
    }
    // Each thread's messages stay in their order.
    for (int i = 0; i < SENDERS * EACH; i++) {
        int pair[2];
        CHECK_EQ(zmq_recv(pull, pair, sizeof pair, 0), sizeof pair);
        CHECK_BETWEEN(pair[0], 0, SENDERS - 1);
        CHECK_EQ(pair[1], next[pair[0]]++);
    }
    for (int i = 0; i < SENDERS; i++)
        JOIN(&threads[i]);
}

struct receiver {
    void *socket;
    void *counter;
};

static void receive_until_empty_message(void *argument) {
    struct receiver *receiver = argument;
    for (;;) {
        int number, size = zmq_recv(receiver->socket, &number, sizeof number, 0);
        if (size == 0)
            return;
        CHECK_EQ(size, sizeof number);
        zmq_atomic_counter_inc(receiver->counter);
    }
}

TEST_EACH_OURS_ONLY(several_receivers_on_one_socket, UNDEFINED, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    struct thread threads[SENDERS];
    struct receiver receiver = {pull, zmq_atomic_counter_new()};
    for (int i = 0; i < SENDERS; i++)
        start_thread(&threads[i], receive_until_empty_message, &receiver);
    for (int i = 0; i < SENDERS * EACH; i++)
        SEND_BYTES(push, &i, sizeof i, 0);
    for (int i = 0; i < SENDERS; i++)
        SEND(push, "");
    for (int i = 0; i < SENDERS; i++)
        JOIN(&threads[i]);
    CHECK_EQ(zmq_atomic_counter_value(receiver.counter), SENDERS * EACH);
    zmq_atomic_counter_destroy(&receiver.counter);
}

static void receive_numbered(void *socket) {
    for (int i = 0; i < EACH; i++)
        EXPECT_BYTES(socket, &i, sizeof i, false);
}

// One thread blocks in receiving while another sends on the same socket.
TEST_EACH_OURS_ONLY(sending_while_another_thread_receives, UNDEFINED, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, transport));
    struct thread receiver;
    start_thread(&receiver, receive_numbered, a);
    WAIT_BLOCKED(&receiver);
    for (int i = 0; i < EACH; i++) {
        SEND_BYTES(a, &i, sizeof i, 0);
        EXPECT_BYTES(b, &i, sizeof i, false);
        SEND_BYTES(b, &i, sizeof i, 0);
    }
    JOIN(&receiver);
}

static void recv_until_closed(void *s) {
    char buffer[8];
    CHECK_ERRNO(zmq_recv(s, buffer, sizeof buffer, 0), ENOTSOCK);
}

TEST_EACH_OURS_ONLY(closing_wakes_a_blocked_receiver, UNDEFINED, EACH_TRANSPORT) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    BIND(s, transport);
    struct thread thread;
    start_thread(&thread, recv_until_closed, s);
    WAIT_BLOCKED(&thread);
    CLOSE(s);
    JOIN(&thread);
}

struct stale {
    _Atomic(void *) socket; // a PUSH
    _Atomic bool over;
};

// The socket may be closed before each call, and others take its place.
static void call_whatever_is_there(void *argument) {
    struct stale *stale = argument;
    while (!stale->over) {
        void *s = stale->socket;
        int type;
        size_t size = sizeof type;
        if (zmq_send(s, "x", 1, ZMQ_DONTWAIT) != -1)
            fail("another socket has sent it");
        if (zmq_errno() != EAGAIN)
            CHECK_EQ(zmq_errno(), ENOTSOCK);
        if (zmq_recv(s, &type, sizeof type, ZMQ_DONTWAIT) != -1)
            fail("another socket has received");
        if (zmq_errno() != ENOTSUP)
            CHECK_EQ(zmq_errno(), ENOTSOCK);
        if (zmq_getsockopt(s, ZMQ_TYPE, &type, &size) == 0)
            CHECK_EQ(type, ZMQ_PUSH);
        else
            CHECK_EQ(zmq_errno(), ENOTSOCK);
    }
}

TEST_OURS_ONLY(calls_on_a_closed_socket_reach_no_other, UNDEFINED) {
    struct stale stale = {.socket = zmq_socket(context(), ZMQ_PUSH)};
    struct thread threads[4];
    for (int i = 0; i < 4; i++)
        start_thread(&threads[i], call_whatever_is_there, &stale);
    for (int i = 0; i < 700; i++) {
        pause_briefly();
        CHECK_OK(zmq_close(stale.socket));
        void *other = zmq_socket(context(), ZMQ_PULL);
        CHECK(other != NULL);
        CHECK_OK(zmq_close(other));
        stale.socket = zmq_socket(context(), ZMQ_PUSH);
        CHECK(stale.socket != NULL);
    }
    stale.over = true;
    for (int i = 0; i < 4; i++)
        JOIN(&threads[i]);
    CHECK_OK(zmq_close(stale.socket));
}

enum { LEAVING = 8 };

static void close_all(void *sockets) {
    for (int i = 0; i < LEAVING; i++)
        CHECK_OK(zmq_close(((void **)sockets)[i]));
}

static void come_and_go(void *over) {
    while (!*(_Atomic bool *)over) {
        void *s = zmq_socket(context(), ZMQ_PUSH);
        if (!s) {
            CHECK_EQ(zmq_errno(), EMFILE); // those before are still being closed
            continue;
        }
        CHECK_ERRNO(zmq_send(s, "x", 1, ZMQ_DONTWAIT), EAGAIN);
        CHECK_OK(zmq_close(s));
    }
}

// While its sockets go, and those of another one come.
TEST(the_end_of_a_context_concerns_no_other) {
    context();
    _Atomic bool over = false;
    struct thread threads[2], closer;
    for (int i = 0; i < 2; i++)
        start_thread(&threads[i], come_and_go, &over);
    for (int i = 0; i < 300; i++) {
        void *ctx = zmq_ctx_new(), *sockets[LEAVING];
        for (int k = 0; k < LEAVING; k++)
            sockets[k] = zmq_socket(ctx, ZMQ_PUSH);
        start_thread(&closer, close_all, sockets);
        CHECK_OK(zmq_ctx_term(ctx));
        JOIN(&closer);
    }
    over = true;
    for (int i = 0; i < 2; i++)
        JOIN(&threads[i]);
}

struct call {
    const char *kind;
    void *socket, *other;
};

static void call_until_closed(void *argument) {
    enum { MANY = 12 }; // more than a caller of zmq_poll reads itself
    struct call *call = argument;
    zmq_pollitem_t items[MANY];
    for (int i = 0; i < MANY; i++)
        items[i] = (zmq_pollitem_t){i == 1 ? call->socket : call->other, 0, ZMQ_POLLIN, 0};
    if (strcmp(call->kind, "send") == 0)
        CHECK_ERRNO(zmq_send(call->other, "x", 1, 0), ENOTSOCK);
    else if (strcmp(call->kind, "poll") == 0)
        CHECK_ERRNO(zmq_poll(items, 2, -1), ENOTSOCK);
    else if (strcmp(call->kind, "poll-of-many") == 0)
        CHECK_ERRNO(zmq_poll(items, MANY, -1), ENOTSOCK);
    else if (strcmp(call->kind, "proxy") == 0)
        CHECK_ERRNO(zmq_proxy(call->socket, call->other, NULL), ENOTSOCK);
    else
        CHECK_ERRNO(zmq_proxy(call->other, call->socket, NULL), ENOTSOCK);
}

TEST_EACH_OURS_ONLY(closing_wakes_whoever_waits, UNDEFINED, "send", "poll", "poll-of-many", "proxy",
                    "backward-proxy") {
    static const char *const transports[] = {EACH_TRANSPORT};
    for (int i = 0; i < 4; i++) {
        // The call is there before or after the first message was.
        for (int used = 0; used < 2; used++) {
            struct call call = {transport, NEW_SOCKET(ZMQ_PULL), NEW_SOCKET(ZMQ_DEALER)};
            void *peer = NEW_SOCKET(ZMQ_PUSH);
            CONNECT(peer, BIND(call.socket, transports[i]));
            if (used) {
                SEND(peer, "x");
                EXPECT(call.socket, "x");
            }
            struct thread thread;
            start_thread(&thread, call_until_closed, &call);
            WAIT_BLOCKED(&thread);
            CLOSE(strcmp(transport, "send") == 0 ? call.other : call.socket);
            JOIN(&thread);
        }
    }
}

static _Atomic bool stop;

static void change_options(void *s) {
    while (!stop) {
        SET_INT(s, ZMQ_SNDTIMEO, -1);
        GET_INT(s, ZMQ_EVENTS);
        LAST_ENDPOINT(s);
    }
}

TEST_EACH_OURS_ONLY(options_while_sending, UNDEFINED, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    struct thread thread;
    start_thread(&thread, change_options, push);
    for (int i = 0; i < EACH; i++) {
        SEND_BYTES(push, &i, sizeof i, 0);
        EXPECT_BYTES(pull, &i, sizeof i, false);
    }
    stop = true;
    JOIN(&thread);
}

static void subscribe_and_unsubscribe(void *sub) {
    while (!stop) {
        SET_TEXT(sub, ZMQ_SUBSCRIBE, "other");
        SET_TEXT(sub, ZMQ_UNSUBSCRIBE, "other");
    }
}

TEST_EACH_OURS_ONLY(subscribing_while_receiving, UNDEFINED, EACH_TRANSPORT) {
    void *pub = NEW_SOCKET(ZMQ_PUB), *sub = NEW_SOCKET(ZMQ_SUB);
    CONNECT(sub, BIND(pub, transport));
    SET_TEXT(sub, ZMQ_SUBSCRIBE, "a");
    SYNC_PUBSUB(pub, sub);
    struct thread thread;
    start_thread(&thread, subscribe_and_unsubscribe, sub);
    for (int i = 0; i < 500; i++) {
        SEND(pub, "abc");
        EXPECT(sub, "abc");
    }
    stop = true;
    JOIN(&thread);
}

static void poll_socket(void *s) {
    zmq_pollitem_t item = {.socket = s, .events = ZMQ_POLLIN};
    CHECK_EQ(zmq_poll(&item, 1, -1), 1);
}

TEST_EACH_OURS_ONLY(two_polls_of_one_socket, UNDEFINED, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    struct thread threads[2];
    for (int i = 0; i < 2; i++)
        start_thread(&threads[i], poll_socket, pull);
    for (int i = 0; i < 2; i++)
        WAIT_BLOCKED(&threads[i]);
    SEND(push, "for both");
    for (int i = 0; i < 2; i++)
        JOIN(&threads[i]);
    EXPECT(pull, "for both");
}

static void bind_and_connect(void *s) {
    for (int i = 0; i < 50; i++) {
        char endpoint[64];
        snprintf(endpoint, sizeof endpoint, "inproc://%d-%d", (int)gettid(), i);
        CHECK_OK(zmq_bind(s, endpoint));
        CHECK_OK(zmq_connect(s, "tcp://127.0.0.1:9"));
        CHECK_OK(zmq_unbind(s, endpoint));
    }
}

TEST_OURS_ONLY(binding_and_connecting_in_many_threads, UNDEFINED) {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    struct thread threads[4];
    for (int i = 0; i < 4; i++)
        start_thread(&threads[i], bind_and_connect, s);
    for (int i = 0; i < 4; i++)
        JOIN(&threads[i]);
}

static void watch_again_and_again(void *s) {
    static int number;
    for (int i = 0; i < 200; i++) {
        char address[64];
        snprintf(address, sizeof address, "inproc://watch-%d",
                 __atomic_fetch_add(&number, 1, __ATOMIC_SEQ_CST));
        CHECK_OK(zmq_socket_monitor(s, address, ZMQ_EVENT_ALL));
    }
}

// One monitor is left of all that are started, and goes with the socket.
TEST_OURS_ONLY(monitors_started_in_many_threads, UNDEFINED) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    struct thread threads[4];
    for (int i = 0; i < 4; i++)
        start_thread(&threads[i], watch_again_and_again, s);
    for (int i = 0; i < 4; i++)
        JOIN(&threads[i]);
}

// Fences on all threads take the kernel milliseconds to prepare once a process has several: that is
// done before there is any socket.
TEST_OURS_ONLY(fences_are_prepared_with_the_context, "it has none") {
    enum { PRIVATE_EXPEDITED = 1 << 3 };
    const long before = syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0);
    if (before != -1 || errno != EPERM)
        skip("the system has none, or they are prepared");
    void *ctx = zmq_ctx_new();
    CHECK_OK(syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0));
    CHECK_OK(zmq_ctx_term(ctx));
}
