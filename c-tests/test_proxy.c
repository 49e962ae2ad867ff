// SPDX-License-Identifier: MPL-2.0
//
// zmq_proxy, zmq_proxy_steerable, zmq_device.
#include "harness.h"

struct proxy {
    void *front, *back, *capture, *control;
    int result, error;
    struct thread thread;
};

static void run_proxy(void *argument) {
    struct proxy *proxy = argument;
    proxy->result = zmq_proxy(proxy->front, proxy->back, proxy->capture);
    proxy->error = zmq_errno();
}

static void run_steerable(void *argument) {
    struct proxy *proxy = argument;
    proxy->result = zmq_proxy_steerable(proxy->front, proxy->back, proxy->capture, proxy->control);
    proxy->error = zmq_errno();
}

// Ends a proxy by its context; the test's other sockets are closed with it.
static void end_by_shutdown(struct proxy *proxy) {
    CHECK_OK(zmq_ctx_shutdown(context()));
    JOIN(&proxy->thread);
    CHECK_EQ(proxy->result, -1);
    CHECK_EQ(proxy->error, ETERM);
}

TEST(null_sockets) {
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    CHECK_ERRNO(zmq_proxy(NULL, s, NULL), EFAULT);
    CHECK_ERRNO(zmq_proxy(s, NULL, NULL), EFAULT);
    CHECK_ERRNO(zmq_proxy(NULL, NULL, NULL), EFAULT);
    CHECK_ERRNO(zmq_proxy_steerable(NULL, s, NULL, NULL), EFAULT);
    CHECK_ERRNO(zmq_proxy_steerable(s, NULL, NULL, NULL), EFAULT);
}

TEST_OURS_ONLY(device_without_sockets, "it crashes") {
    CHECK_ERRNO(zmq_device(ZMQ_QUEUE, NULL, NULL), EFAULT);
}

TEST_EACH(queue, EACH_TRANSPORT) {
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_ROUTER), .back = NEW_SOCKET(ZMQ_DEALER)};
    const char *front = BIND(proxy.front, transport), *back = BIND(proxy.back, transport);
    start_thread(&proxy.thread, run_proxy, &proxy);
    void *rep = NEW_SOCKET(ZMQ_REP), *reqs[3];
    CONNECT(rep, back);
    for (int i = 0; i < 3; i++) {
        reqs[i] = NEW_SOCKET(ZMQ_REQ);
        CONNECT(reqs[i], front);
    }
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 3; i++) {
            SEND(reqs[i], "a", "", "b");
            EXPECT(rep, "a", "", "b");
            SEND(rep, "c", "d");
            EXPECT(reqs[i], "c", "d");
        }
    end_by_shutdown(&proxy);
}

TEST_EACH(streamer, EACH_TRANSPORT) {
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_PULL), .back = NEW_SOCKET(ZMQ_PUSH)};
    const char *front = BIND(proxy.front, transport), *back = BIND(proxy.back, transport);
    start_thread(&proxy.thread, run_proxy, &proxy);
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, front);
    CONNECT(pull, back);
    for (int i = 0; i < 2000; i++)
        SEND_BYTES(push, &i, sizeof i, i % 5 == 1 ? ZMQ_SNDMORE : 0);
    for (int i = 0; i < 2000; i++)
        EXPECT_BYTES(pull, &i, sizeof i, i % 5 == 1);
    end_by_shutdown(&proxy);
}

TEST_EACH(forwarder, EACH_TRANSPORT) {
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_XSUB), .back = NEW_SOCKET(ZMQ_XPUB)};
    const char *front = BIND(proxy.front, transport), *back = BIND(proxy.back, transport);
    start_thread(&proxy.thread, run_proxy, &proxy);
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    CONNECT(xpub, front);
    CONNECT(sub, back);
    SET_TEXT(sub, ZMQ_SUBSCRIBE, "a");
    EXPECT_BYTES(xpub, "\1a", 2, false);
    SEND(xpub, "b");
    SEND(xpub, "a", "body");
    EXPECT(sub, "a", "body");
    end_by_shutdown(&proxy);
}

TEST(device_is_a_proxy) {
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_PULL), .back = NEW_SOCKET(ZMQ_PUSH)};
    CHECK_OK(zmq_ctx_shutdown(context()));
    static const int types[] = {ZMQ_STREAMER, ZMQ_FORWARDER, ZMQ_QUEUE};
    for (int i = 0; i < 3; i++)
        CHECK_ERRNO(zmq_device(types[i], proxy.front, proxy.back), ETERM);
}

TEST(capture) {
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_ROUTER),
                          .back = NEW_SOCKET(ZMQ_DEALER),
                          .capture = NEW_SOCKET(ZMQ_PUSH)};
    const char *front = BIND(proxy.front, "inproc"), *back = BIND(proxy.back, "inproc");
    void *tap = NEW_SOCKET(ZMQ_PULL), *rep = NEW_SOCKET(ZMQ_REP), *req = NEW_SOCKET(ZMQ_REQ);
    CONNECT(tap, BIND(proxy.capture, "inproc"));
    start_thread(&proxy.thread, run_proxy, &proxy);
    SET_TEXT(req, ZMQ_ROUTING_ID, "client");
    CONNECT(rep, back);
    CONNECT(req, front);
    SEND(req, "question", "of two");
    EXPECT(rep, "question", "of two");
    EXPECT(tap, "client", "", "question", "of two");
    SEND(rep, "answer");
    EXPECT(req, "answer");
    EXPECT(tap, "client", "", "answer");
    end_by_shutdown(&proxy);
}

// Who gets a message finds it captured: the capture socket comes first, and is waited for.
TEST(capture_comes_first) {
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_PULL),
                          .back = NEW_SOCKET(ZMQ_PUSH),
                          .capture = NEW_SOCKET(ZMQ_PUSH)};
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL), *tap = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(proxy.front, "inproc"));
    CONNECT(pull, BIND(proxy.back, "inproc"));
    const char *endpoint = BIND(proxy.capture, "inproc");
    start_thread(&proxy.thread, run_proxy, &proxy);
    SEND(push, "a", "b");
    EXPECT_NOTHING(pull);
    CONNECT(tap, endpoint);
    EXPECT(pull, "a", "b");
    EXPECT(tap, "a", "b");
    SEND(push, "c");
    EXPECT(pull, "c");
    CHECK_EQ(GET_INT(tap, ZMQ_EVENTS), ZMQ_POLLIN);
    EXPECT(tap, "c");
    end_by_shutdown(&proxy);
}

// One socket as both ends: an echo.
TEST(both_ends_the_same) {
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_REP)};
    proxy.back = proxy.front;
    const char *endpoint = BIND(proxy.front, "tcp");
    start_thread(&proxy.thread, run_proxy, &proxy);
    void *req = NEW_SOCKET(ZMQ_REQ);
    CONNECT(req, endpoint);
    for (int i = 0; i < 5; i++) {
        SEND(req, "echo");
        EXPECT(req, "echo");
    }
    end_by_shutdown(&proxy);
}

// A full back side stops the flow; nothing is lost.
TEST(back_pressure) {
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_PULL), .back = NEW_SOCKET(ZMQ_PUSH)};
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    void *all[] = {proxy.front, proxy.back, push, pull};
    for (int i = 0; i < 4; i++) {
        SET_INT(all[i], ZMQ_SNDHWM, 5);
        SET_INT(all[i], ZMQ_RCVHWM, 5);
    }
    CONNECT(push, BIND(proxy.front, "inproc"));
    CONNECT(pull, BIND(proxy.back, "inproc"));
    start_thread(&proxy.thread, run_proxy, &proxy);
    int sent = 0;
    SET_INT(push, ZMQ_SNDTIMEO, 200);
    while (zmq_send(push, &sent, sizeof sent, 0) > 0)
        CHECK(++sent < 1000);
    CHECK_BETWEEN(sent, 10, 40);
    for (int i = 0; i < sent; i++)
        EXPECT_BYTES(pull, &i, sizeof i, false);
    EXPECT_NOTHING(pull);
    end_by_shutdown(&proxy);
}

// ---- steering ----------------------------------------------------------------------------------

struct steered {
    struct proxy proxy;
    void *control, *push, *pull;
};

static void start_steered(struct steered *s, int control_type, int own_type) {
    s->proxy = (struct proxy){.front = NEW_SOCKET(ZMQ_PULL),
                              .back = NEW_SOCKET(ZMQ_PUSH),
                              .control = NEW_SOCKET(control_type)};
    s->control = NEW_SOCKET(own_type);
    s->push = NEW_SOCKET(ZMQ_PUSH);
    s->pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(s->push, BIND(s->proxy.front, "inproc"));
    CONNECT(s->pull, BIND(s->proxy.back, "inproc"));
    CONNECT(s->control, BIND(s->proxy.control, "inproc"));
    if (control_type == ZMQ_SUB)
        SET_TEXT(s->proxy.control, ZMQ_SUBSCRIBE, "");
    start_thread(&s->proxy.thread, run_steerable, &s->proxy);
}

static void terminate(struct steered *s) {
    SEND(s->control, "TERMINATE");
    JOIN(&s->proxy.thread);
    CHECK_EQ(s->proxy.result, 0);
}

TEST(terminate_with_pair) {
    struct steered s;
    start_steered(&s, ZMQ_PAIR, ZMQ_PAIR);
    SEND(s.push, "through");
    EXPECT(s.pull, "through");
    terminate(&s);
}

TEST(terminate_with_push) {
    struct steered s;
    start_steered(&s, ZMQ_PULL, ZMQ_PUSH);
    SEND(s.push, "through");
    EXPECT(s.pull, "through");
    terminate(&s);
}

TEST(terminate_with_a_publisher) {
    struct steered s;
    start_steered(&s, ZMQ_SUB, ZMQ_XPUB);
    EXPECT_BYTES(s.control, "\1", 1, false);
    SEND(s.push, "through");
    EXPECT(s.pull, "through");
    terminate(&s);
}

static void check_statistics(struct steered *s, const uint64_t expected[8]) {
    SEND(s->control, "STATISTICS");
    for (int i = 0; i < 8; i++) {
        struct frame frame = RECV(s->control);
        uint64_t value;
        CHECK_EQ(frame.size, 8);
        CHECK_EQ(frame.more, i < 7);
        memcpy(&value, frame.data, 8);
        CHECK_EQ(value, expected[i]);
    }
}

TEST(pause_and_resume) {
    struct steered s;
    start_steered(&s, ZMQ_PAIR, ZMQ_PAIR);
    SEND(s.push, "before");
    EXPECT(s.pull, "before");
    SEND(s.control, "PAUSE");
    // Commands are taken in their order: after this answer it pauses.
    check_statistics(&s, (const uint64_t[8]){1, 6, 0, 0, 0, 0, 1, 6});
    SEND(s.push, "waits");
    SEND(s.push, "waits, too");
    EXPECT_NOTHING(s.pull);
    SEND(s.control, "RESUME");
    EXPECT(s.pull, "waits");
    EXPECT(s.pull, "waits, too");
    terminate(&s);
}

// Publishers that wait for their subscribers: one that does not read stops them through a proxy, and
// nothing is lost. libzmq's proxy waits as well, and answers only then.
TEST(a_subscriber_stops_the_publisher) {
    enum { SIZE = 50000 };
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_XSUB),
                          .back = NEW_SOCKET(ZMQ_XPUB),
                          .control = NEW_SOCKET(ZMQ_PAIR)};
    struct steered s = {.proxy = proxy, .control = NEW_SOCKET(ZMQ_PAIR)};
    void *pub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    void *all[] = {proxy.front, proxy.back, pub, sub};
    for (int i = 0; i < 4; i++) {
        SET_INT(all[i], ZMQ_SNDHWM, 10);
        SET_INT(all[i], ZMQ_RCVHWM, 10);
    }
    SET_INT(pub, ZMQ_XPUB_NODROP, 1);
    SET_INT(proxy.back, ZMQ_XPUB_NODROP, 1);
    CONNECT(pub, BIND(proxy.front, "inproc"));
    CONNECT(sub, BIND(proxy.back, "inproc"));
    CONNECT(s.control, BIND(proxy.control, "inproc"));
    start_thread(&s.proxy.thread, run_steerable, &s.proxy);
    SET_TEXT(sub, ZMQ_SUBSCRIBE, "");
    EXPECT_BYTES(pub, "\1", 1, false);
    char *body = calloc(1, SIZE);
    int sent = 0;
    SET_INT(pub, ZMQ_SNDTIMEO, 200);
    for (memcpy(body, &sent, sizeof sent); zmq_send(pub, body, SIZE, 0) == SIZE;
         memcpy(body, &sent, sizeof sent))
        CHECK(++sent < 1000);
    CHECK_BETWEEN(sent, 20, 50);
    SEND(s.control, "STATISTICS");
    for (int i = 0; i < 8 && !reference_library(); i++)
        CHECK_EQ(RECV(s.control).size, 8);
    for (int i = 0; i < sent; i++) {
        CHECK_EQ(zmq_recv(sub, body, SIZE, 0), SIZE);
        CHECK(memcmp(body, &i, sizeof i) == 0);
    }
    EXPECT_NOTHING(sub);
    terminate(&s);
}

TEST(paused_proxy_terminates) {
    struct steered s;
    start_steered(&s, ZMQ_PAIR, ZMQ_PAIR);
    SEND(s.control, "PAUSE");
    SEND(s.push, "left behind");
    terminate(&s);
}

TEST(statistics) {
    struct steered s;
    start_steered(&s, ZMQ_PAIR, ZMQ_PAIR);
    for (int i = 0; i < 10; i++) {
        SEND(s.push, "12345");
        EXPECT(s.pull, "12345");
    }
    check_statistics(&s, (const uint64_t[8]){10, 50, 0, 0, 0, 0, 10, 50});
    terminate(&s);
}

// What an echo receives counts for the front, what it sends for the back.
TEST(statistics_of_one_socket) {
    struct steered s = {.proxy = {.front = NEW_SOCKET(ZMQ_PAIR), .control = NEW_SOCKET(ZMQ_PAIR)},
                        .control = NEW_SOCKET(ZMQ_PAIR)};
    s.proxy.back = s.proxy.front;
    void *other = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(other, BIND(s.proxy.front, "inproc"));
    CONNECT(s.control, BIND(s.proxy.control, "inproc"));
    start_thread(&s.proxy.thread, run_steerable, &s.proxy);
    for (int i = 0; i < 3; i++) {
        SEND(other, "12345");
        EXPECT(other, "12345");
    }
    check_statistics(&s, (const uint64_t[8]){3, 15, 0, 0, 0, 0, 3, 15});
    terminate(&s);
}

TEST_OURS_ONLY(statistics_count_parts, "4.3.4 counts messages, 4.3.6 parts") {
    struct steered s;
    start_steered(&s, ZMQ_PAIR, ZMQ_PAIR);
    for (int i = 0; i < 10; i++) {
        SEND(s.push, "12345", "678");
        EXPECT(s.pull, "12345", "678");
    }
    check_statistics(&s, (const uint64_t[8]){20, 80, 0, 0, 0, 0, 20, 80});
    terminate(&s);
}

TEST_OURS_ONLY(rep_as_control_answers_everything, "4.3.4 answers nothing but STATISTICS") {
    struct steered s;
    start_steered(&s, ZMQ_REP, ZMQ_REQ);
    SEND(s.control, "PAUSE");
    EXPECT(s.control, "");
    SEND(s.push, "waits");
    EXPECT_NOTHING(s.pull);
    SEND(s.control, "RESUME");
    EXPECT(s.control, "");
    EXPECT(s.pull, "waits");
    check_statistics(&s, (const uint64_t[8]){1, 5, 0, 0, 0, 0, 1, 5});
    terminate(&s);
}

// Not the exact text: no command.
TEST_OURS_ONLY(unknown_commands, "4.3.4 aborts, 4.3.6 does not") {
    struct steered s;
    start_steered(&s, ZMQ_PAIR, ZMQ_PAIR);
    SEND(s.control, "pause");
    SEND(s.control, "TERMINATE now");
    SEND(s.control, "");
    SEND(s.push, "through");
    EXPECT(s.pull, "through");
    terminate(&s);
}

TEST(steerable_without_control) {
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_PULL), .back = NEW_SOCKET(ZMQ_PUSH)};
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(proxy.front, "inproc"));
    CONNECT(pull, BIND(proxy.back, "inproc"));
    start_thread(&proxy.thread, run_steerable, &proxy);
    SEND(push, "through");
    EXPECT(pull, "through");
    end_by_shutdown(&proxy);
}

// A proxy whose back side takes nothing still listens to its control socket.
TEST(terminates_with_a_blocked_back_side) {
    struct proxy proxy = {.front = NEW_SOCKET(ZMQ_PULL),
                          .back = NEW_SOCKET(ZMQ_PUSH),
                          .control = NEW_SOCKET(ZMQ_PAIR)};
    void *push = NEW_SOCKET(ZMQ_PUSH), *control = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(push, BIND(proxy.front, "inproc"));
    CONNECT(control, BIND(proxy.control, "inproc"));
    BIND(proxy.back, "tcp");
    for (int i = 0; i < 10; i++)
        SEND(push, "stuck");
    start_thread(&proxy.thread, run_steerable, &proxy);
    SEND(control, "TERMINATE");
    JOIN(&proxy.thread);
    CHECK_EQ(proxy.result, 0);
}
