// SPDX-License-Identifier: MPL-2.0
//
// PAIR: one peer at a time.
#include "harness.h"

static void make_pair(const char *transport, void **a, void **b) {
    *a = NEW_SOCKET(ZMQ_PAIR);
    *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(*b, BIND(*a, transport));
}

TEST_EACH(both_ways, EACH_TRANSPORT) {
    void *a, *b;
    make_pair(transport, &a, &b);
    for (int i = 0; i < 20; i++) {
        BOUNCE(a, b);
        BOUNCE(b, a);
    }
}

TEST_EACH(in_order, EACH_TRANSPORT) {
    void *a, *b;
    make_pair(transport, &a, &b);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 500; i++)
            SEND_BYTES(a, &i, sizeof i, i % 3 == 0 ? ZMQ_SNDMORE : 0);
        for (int i = 0; i < 500; i++)
            EXPECT_BYTES(b, &i, sizeof i, i % 3 == 0);
    }
}

TEST(without_a_peer) {
    void *a = NEW_SOCKET(ZMQ_PAIR);
    BIND(a, "tcp");
    CHECK_EQ(GET_INT(a, ZMQ_EVENTS), 0);
    CHECK_ERRNO(zmq_send(a, "x", 1, ZMQ_DONTWAIT), EAGAIN);
    EXPECT_NOTHING(a);
}

TEST(second_peer_over_inproc_gets_nothing) {
    void *a, *b, *c = NEW_SOCKET(ZMQ_PAIR);
    make_pair("inproc", &a, &b);
    BOUNCE(a, b);
    CONNECT(c, LAST_ENDPOINT(a));
    BOUNCE(a, b);
    EXPECT_NOTHING(c);
    WAIT_UNTIL(!TRY_SEND(c, "to nobody"));
    EXPECT_NOTHING(a);
}

TEST_EACH(second_peer_gets_nothing, EACH_STREAM) {
    void *a, *b, *c = NEW_SOCKET(ZMQ_PAIR);
    make_pair(transport, &a, &b);
    BOUNCE(a, b);
    void *mon = MONITOR(c, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    CONNECT(c, LAST_ENDPOINT(a));
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    SEND(c, "to nobody");
    EXPECT_NOTHING(a);
    BOUNCE(a, b);
    EXPECT_NOTHING(c);
}

// The surplus connection stays open, its messages queue up, and it is not promoted.
TEST_EACH(second_peer_waits_in_vain, EACH_STREAM) {
    void *a, *b, *c = NEW_SOCKET(ZMQ_PAIR);
    a = NEW_SOCKET(ZMQ_PAIR);
    b = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(a, ZMQ_RCVHWM, 10);
    CONNECT(b, BIND(a, transport));
    BOUNCE(a, b);
    SET_INT(c, ZMQ_SNDHWM, 10);
    SET_INT(c, ZMQ_SNDTIMEO, 200);
    void *mon = MONITOR(c, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
    void *of_a = MONITOR(a, ZMQ_EVENT_DISCONNECTED);
    CONNECT(c, LAST_ENDPOINT(a));
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    char *body = calloc(1, 100000);
    int sent = 0;
    while (zmq_send(c, body, 100000, 0) == 100000)
        CHECK(++sent < 1000);
    CHECK_EQ(zmq_errno(), EAGAIN);
    CHECK(sent >= 10);
    BOUNCE(a, b);
    EXPECT_NOTHING(mon);
    CLOSE(b);
    EXPECT_EVENT(of_a, ZMQ_EVENT_DISCONNECTED);
    EXPECT_NOTHING(a);
    WAIT_UNTIL(!TRY_SEND(a, "nobody"));
    EXPECT_NOTHING(c);
    EXPECT_NOTHING(mon);
    // The place is free for somebody new all the same.
    void *d = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(d, LAST_ENDPOINT(a));
    BOUNCE(d, a);
}

// What one side has not read when the other goes is still there for it.
TEST_EACH(what_came_before_the_peer_left_stays, EACH_TRANSPORT) {
    void *a, *b;
    make_pair(transport, &a, &b);
    SET_INT(b, ZMQ_LINGER, -1);
    for (int i = 0; i < 5; i++)
        SEND_BYTES(b, &i, sizeof i, i % 2 ? ZMQ_SNDMORE : 0);
    SEND(b, "end");
    CLOSE(b);
    for (int i = 0; i < 5; i++)
        EXPECT_BYTES(a, &i, sizeof i, i % 2);
    EXPECT(a, "end");
    WAIT_UNTIL(!TRY_SEND(a, "nobody"));
}

TEST_EACH(next_peer_after_the_first_has_gone, EACH_TRANSPORT) {
    void *a, *b;
    make_pair(transport, &a, &b);
    BOUNCE(a, b);
    CLOSE(b);
    // The place is taken for as long as the end of the first is not known.
    for (int attempt = 0;; attempt++) {
        CHECK(attempt < 200);
        b = NEW_SOCKET(ZMQ_PAIR);
        CONNECT(b, LAST_ENDPOINT(a));
        TRY_SEND(b, "hello");
        if (shows_events(a, ZMQ_POLLIN, 50))
            break;
        CLOSE(b);
    }
    EXPECT(a, "hello");
    BOUNCE(a, b);
}

TEST_OURS_ONLY(peer_gone_in_mid_message, "the next peer gets the rest of the message") {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR), *c = NEW_SOCKET(ZMQ_PAIR);
    const char *endpoint = BIND(a, "inproc");
    CONNECT(b, endpoint);
    SEND_BYTES(a, "begun", 5, ZMQ_SNDMORE);
    CLOSE(b);
    CONNECT(c, endpoint);
    SEND_BYTES(a, "going on", 8, ZMQ_SNDMORE);
    SEND_BYTES(a, "the end", 7, 0);
    SEND(a, "whole", "message");
    EXPECT(c, "whole", "message");
    EXPECT_NOTHING(c);
}

TEST(reconnects) {
    void *a, *b;
    make_pair("tcp", &a, &b);
    SET_INT(b, ZMQ_RECONNECT_IVL, 10);
    char *endpoint = strdup(LAST_ENDPOINT(a));
    void *mon = MONITOR(b, ZMQ_EVENT_DISCONNECTED);
    BOUNCE(a, b);
    CLOSE(a);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    a = NEW_SOCKET(ZMQ_PAIR);
    WAIT_UNTIL(zmq_bind(a, endpoint) == 0);
    BOUNCE(b, a);
}

TEST_EACH(connect_before_bind, EACH_STREAM) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    const char *endpoint = unused_endpoint(transport);
    SET_INT(b, ZMQ_RECONNECT_IVL, 10);
    CONNECT(b, endpoint);
    SEND(b, "early");
    CHECK_OK(zmq_bind(a, endpoint));
    EXPECT(a, "early");
    BOUNCE(a, b);
}

static void echo(void *s) {
    for (int i = 0; i < 200; i++) {
        struct frame frame = RECV(s);
        SEND_FRAME(s, frame, 0);
    }
}

TEST_EACH(between_threads, EACH_TRANSPORT) {
    void *a, *b;
    make_pair(transport, &a, &b);
    struct thread thread;
    start_thread(&thread, echo, b);
    for (int i = 0; i < 200; i++) {
        SEND_BYTES(a, &i, sizeof i, 0);
        EXPECT_BYTES(a, &i, sizeof i, false);
    }
    JOIN(&thread);
}

TEST_EACH(large_messages, EACH_TRANSPORT) {
    enum { SIZE = 1 << 20 };
    void *a, *b;
    make_pair(transport, &a, &b);
    char *data = malloc(SIZE), *back = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        data[i] = (char)(i * 31 ^ i >> 9);
    for (int round = 0; round < 8; round++)
        SEND_BYTES(a, data, SIZE - (size_t)round, 0);
    for (int round = 0; round < 8; round++) {
        CHECK_EQ(zmq_recv(b, back, SIZE, 0), SIZE - round);
        CHECK(memcmp(back, data, (size_t)(SIZE - round)) == 0);
    }
}
