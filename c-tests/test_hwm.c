// SPDX-License-Identifier: MPL-2.0
//
// High water marks: exact counts over inproc, back-pressure over tcp and ipc.
#include "harness.h"

// Sends until it would block; returns how many went out.
static int fill(void *s) {
    int sent = 0;
    while (TRY_SEND(s, "x"))
        CHECK(++sent < 100000);
    return sent;
}

static int drain(void *s) {
    struct frame frame;
    int received = 0;
    while (shows_events(s, ZMQ_POLLIN, ABSENCE_MS)) {
        while (TRY_RECV(s, &frame))
            received++;
    }
    return received;
}

// ---- inproc: the limit is that of both sides together -------------------------------------------

enum order { BIND_FIRST, CONNECT_FIRST };

static int inproc_count(enum order order, bool bind_sender, int send_limit, int recv_limit) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, send_limit);
    SET_INT(pull, ZMQ_RCVHWM, recv_limit);
    void *binder = bind_sender ? push : pull, *connecter = bind_sender ? pull : push;
    if (order == CONNECT_FIRST)
        CONNECT(connecter, "inproc://queue");
    CHECK_OK(zmq_bind(binder, "inproc://queue"));
    if (order == BIND_FIRST)
        CONNECT(connecter, "inproc://queue");
    int sent = 0;
    while (sent < 5000 && TRY_SEND(push, "x"))
        sent++;
    CHECK_EQ(drain(pull), sent);
    CLOSE(push);
    CLOSE(pull);
    END_CONTEXT();
    return sent;
}

TEST(inproc_limits_add_up) {
    static const int limits[][2] = {{1, 1}, {5, 5}, {1, 7}, {7, 1}, {2, 3}, {100, 50}};
    for (int i = 0; i < 6; i++)
        for (int order = BIND_FIRST; order <= CONNECT_FIRST; order++)
            for (int bind_sender = 0; bind_sender < 2; bind_sender++)
                CHECK_EQ(inproc_count((enum order)order, bind_sender, limits[i][0], limits[i][1]),
                         limits[i][0] + limits[i][1]);
}

TEST(inproc_zero_on_either_side_is_unlimited) {
    CHECK_EQ(inproc_count(BIND_FIRST, true, 0, 1), 5000);
    CHECK_EQ(inproc_count(BIND_FIRST, false, 1, 0), 5000);
    CHECK_EQ(inproc_count(BIND_FIRST, false, 0, 0), 5000);
    CHECK_EQ(inproc_count(CONNECT_FIRST, true, 1, 0), 5000);
}

TEST(inproc_default_is_2000) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    CHECK_EQ(fill(push), 2000);
    CHECK_EQ(drain(pull), 2000);
}

TEST(inproc_before_the_bind_the_sender_s_limit_alone) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 5);
    SET_INT(pull, ZMQ_RCVHWM, 3);
    CONNECT(push, "inproc://queue");
    CHECK_EQ(fill(push), 5);
    CHECK_OK(zmq_bind(pull, "inproc://queue"));
    int sent = 0;
    WAIT_UNTIL((sent += fill(push)) == 3);
    CHECK_EQ(drain(pull), 8);
}

TEST(parts_of_a_message_count_once) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 3);
    SET_INT(pull, ZMQ_RCVHWM, 2);
    CONNECT(push, BIND(pull, "inproc"));
    for (int i = 0; i < 5; i++)
        SEND(push, "a", "b", "c", "d");
    CHECK(!TRY_SEND(push, "x"));
    CHECK_EQ(drain(pull), 20);
}

// A message begun can always be ended.
TEST(a_begun_message_is_never_refused) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 1);
    SET_INT(pull, ZMQ_RCVHWM, 1);
    CONNECT(push, BIND(pull, "inproc"));
    SEND(push, "x");
    for (int i = 0; i < 100; i++)
        SEND_BYTES(push, "part", 4, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    SEND_BYTES(push, "end", 3, ZMQ_DONTWAIT);
    CHECK(!TRY_SEND(push, "x"));
    CHECK_EQ(drain(pull), 102);
}

TEST(room_comes_back_by_receiving) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 5);
    SET_INT(pull, ZMQ_RCVHWM, 5);
    CONNECT(push, BIND(pull, "inproc"));
    for (int round = 0; round < 10; round++) {
        int sent = 0;
        WAIT_UNTIL((sent += fill(push)) == 10);
        CHECK(!(GET_INT(push, ZMQ_EVENTS) & ZMQ_POLLOUT));
        for (int i = 0; i < 10; i++)
            EXPECT(pull, "x");
        WAIT_EVENTS(push, ZMQ_POLLOUT);
    }
}

// Room is told of when half the queue was read, not before.
TEST(room_comes_back_after_half_the_queue) {
    for (int limit = 2; limit <= 6; limit++) {
        void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
        SET_INT(push, ZMQ_SNDHWM, limit);
        SET_INT(pull, ZMQ_RCVHWM, limit);
        CONNECT(push, BIND(pull, "inproc"));
        CHECK_EQ(fill(push), 2 * limit);
        for (int i = 1; i < limit; i++)
            EXPECT(pull, "x");
        CHECK(!shows_events(push, ZMQ_POLLOUT, 20));
        EXPECT(pull, "x");
        WAIT_EVENTS(push, ZMQ_POLLOUT);
        CHECK_EQ(fill(push), limit);
    }
}

TEST(two_peers_two_queues) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pulls[2];
    SET_INT(push, ZMQ_SNDHWM, 2);
    for (int i = 0; i < 2; i++) {
        pulls[i] = NEW_SOCKET(ZMQ_PULL);
        SET_INT(pulls[i], ZMQ_RCVHWM, i + 1);
        CONNECT(push, BIND(pulls[i], "inproc"));
    }
    CHECK_EQ(fill(push), 3 + 4);
    CHECK_EQ(drain(pulls[0]), 3);
    CHECK_EQ(drain(pulls[1]), 4);
}

// ---- changes while connected --------------------------------------------------------------------

TEST(raising_the_sender_s_limit) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 1);
    SET_INT(pull, ZMQ_RCVHWM, 1);
    CONNECT(push, BIND(pull, "inproc"));
    SEND(push, "x");
    SET_INT(push, ZMQ_SNDHWM, 5);
    CHECK_EQ(fill(push), 5);
    CHECK_EQ(drain(pull), 6);
}

TEST_OURS_ONLY(raising_the_limit_of_a_full_queue, "it waits for the peer to read") {
    void *push = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(push, ZMQ_SNDHWM, 3);
    CONNECT(push, unused_tcp_endpoint());
    CHECK_EQ(fill(push), 3);
    SET_INT(push, ZMQ_SNDHWM, 7);
    CHECK_EQ(fill(push), 4);
}

TEST_OURS_ONLY(raising_the_limit_of_a_full_pipe, "it shows once the reader has read half of it") {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 1);
    SET_INT(pull, ZMQ_RCVHWM, 1);
    CONNECT(push, BIND(pull, "inproc"));
    CHECK_EQ(fill(push), 2);
    SET_INT(push, ZMQ_SNDHWM, 5);
    CHECK_EQ(GET_INT(push, ZMQ_EVENTS), ZMQ_POLLOUT);
    CHECK_EQ(fill(push), 4);
    CHECK_EQ(drain(pull), 6);
}

TEST(lowering_below_what_waits) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 100);
    SET_INT(pull, ZMQ_RCVHWM, 100);
    CONNECT(push, BIND(pull, "inproc"));
    CHECK_EQ(fill(push), 200);
    SET_INT(push, ZMQ_SNDHWM, 50);
    CHECK(!TRY_SEND(push, "x"));
    CHECK_EQ(drain(pull), 200);
    int sent = 0;
    WAIT_UNTIL((sent += fill(push)) > 0);
    CHECK_BETWEEN(sent, 1, 150);
    CHECK_EQ(drain(pull), sent);
}

TEST(changing_the_receiver_s_limit) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 1);
    SET_INT(pull, ZMQ_RCVHWM, 1);
    CONNECT(push, BIND(pull, "inproc"));
    CHECK_EQ(GET_INT(pull, ZMQ_EVENTS), 0); // libzmq's socket knows its peer only now
    SET_INT(pull, ZMQ_RCVHWM, 9);
    CHECK_EQ(GET_INT(push, ZMQ_EVENTS), ZMQ_POLLOUT); // and here of the change
    CHECK_EQ(fill(push), 10);
    CHECK_EQ(drain(pull), 10);
}

// ---- tcp and ipc: back-pressure -----------------------------------------------------------------

TEST_EACH(back_pressure_loses_nothing, EACH_STREAM, "ws") {
    enum { SIZE = 20000 };
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 10);
    SET_INT(pull, ZMQ_RCVHWM, 10);
    SET_INT(push, ZMQ_SNDBUF, 4096);
    SET_INT(pull, ZMQ_RCVBUF, 4096);
    SET_INT(push, ZMQ_SNDTIMEO, 200);
    CONNECT(push, BIND(pull, transport));
    char body[SIZE] = {0};
    int sent = 0;
    const long long deadline = now_ms() + DEADLINE_MS;
    for (;;) {
        memcpy(body, &sent, sizeof sent);
        if (zmq_send(push, body, SIZE, 0) == SIZE) {
            CHECK(++sent < 5000);
            continue;
        }
        CHECK_EQ(zmq_errno(), EAGAIN);
        // Both queues hold as much; the connection may take its time.
        if (sent >= 20)
            break;
        CHECK(now_ms() < deadline);
    }
    for (int i = 0; i < sent; i++) {
        CHECK_EQ(zmq_recv(pull, body, SIZE, 0), SIZE);
        CHECK(memcmp(body, &i, sizeof i) == 0);
    }
    EXPECT_NOTHING(pull);
    WAIT_EVENTS(push, ZMQ_POLLOUT);
    SEND(push, "room again");
    EXPECT(pull, "room again");
}

TEST_EACH(queued_before_the_connection, EACH_STREAM) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = unused_endpoint(transport);
    SET_INT(push, ZMQ_SNDHWM, 7);
    SET_INT(push, ZMQ_RECONNECT_IVL, 10);
    CONNECT(push, endpoint);
    CHECK_EQ(fill(push), 7);
    CHECK_OK(zmq_bind(pull, endpoint));
    for (int i = 0; i < 7; i++)
        EXPECT(pull, "x");
    EXPECT_NOTHING(pull);
}

static void send_all(void *push) {
    for (int i = 0; i < 3000; i++)
        SEND_BYTES(push, &i, sizeof i, 0);
}

// A blocked sender goes on by itself.
TEST_EACH(blocked_sender_goes_on, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 1);
    SET_INT(pull, ZMQ_RCVHWM, 1);
    CONNECT(push, BIND(pull, transport));
    struct thread thread;
    start_thread(&thread, send_all, push);
    for (int i = 0; i < 3000; i++)
        EXPECT_BYTES(pull, &i, sizeof i, false);
    JOIN(&thread);
}

// The reader stops reading at its limit: what the sender gets rid of is bounded.
TEST_EACH(a_lazy_reader_stops_the_sender, EACH_STREAM, "ws") {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 1);
    SET_INT(pull, ZMQ_RCVHWM, 1);
    SET_INT(push, ZMQ_SNDTIMEO, 300);
    CONNECT(push, BIND(pull, transport));
    char *body = calloc(1, 1 << 20);
    int sent = 0;
    while (zmq_send(push, body, 1 << 20, 0) > 0)
        CHECK(++sent < 100);
    CHECK_EQ(zmq_errno(), EAGAIN);
}

// ---- publishers ---------------------------------------------------------------------------------

TEST(pub_drops_whole_messages_at_the_limit) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    SET_INT(xpub, ZMQ_SNDHWM, 3);
    SET_INT(sub, ZMQ_RCVHWM, 4);
    CONNECT(sub, BIND(xpub, "inproc"));
    SET_TEXT(sub, ZMQ_SUBSCRIBE, "");
    RECV(xpub);
    for (int i = 0; i < 20; i++)
        SEND(xpub, "a", "b", "c");
    CHECK_EQ(drain(sub), 7 * 3);
    SEND(xpub, "again");
    EXPECT(sub, "again");
}

TEST(nodrop_says_eagain_at_the_limit) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    SET_INT(xpub, ZMQ_XPUB_NODROP, 1);
    SET_INT(xpub, ZMQ_SNDHWM, 3);
    SET_INT(sub, ZMQ_RCVHWM, 4);
    CONNECT(sub, BIND(xpub, "inproc"));
    SET_TEXT(sub, ZMQ_SUBSCRIBE, "");
    RECV(xpub);
    CHECK_EQ(fill(xpub), 7);
    CHECK_EQ(drain(sub), 7);
    WAIT_UNTIL(TRY_SEND(xpub, "again"));
    EXPECT(sub, "again");
}

TEST_EACH(pub_at_the_default_limit, EACH_STREAM, "ws") {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    CONNECT(sub, BIND(xpub, transport));
    SET_TEXT(sub, ZMQ_SUBSCRIBE, "");
    RECV(xpub);
    // Nothing is lost below the limit of the sender.
    for (int i = 0; i < 900; i++)
        SEND_BYTES(xpub, &i, sizeof i, 0);
    for (int i = 0; i < 900; i++)
        EXPECT_BYTES(sub, &i, sizeof i, false);
}

// What the kernels take on the way to a peer that does not read is bounded, too.
TEST_EACH_OURS_ONLY(large_messages_to_who_does_not_read, "its I/O thread may get further",
                    EACH_NETWORK) {
    need_transport(transport);
    enum { SIZE = 65536 };
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(router, ZMQ_ROUTER_MANDATORY, 1);
    SET_INT(router, ZMQ_SNDHWM, 1);
    SET_INT(dealer, ZMQ_RCVHWM, 1);
    SET_BYTES(dealer, ZMQ_ROUTING_ID, "X", 1);
    LINK(router, dealer, transport);
    SEND(dealer, "hello");
    EXPECT(router, "X", "hello");
    static const char zeros[SIZE];
    int sent = 0;
    for (; sent < 1000 && zmq_send(router, "X", 1, ZMQ_DONTWAIT | ZMQ_SNDMORE) == 1; sent++)
        SEND_BYTES(router, zeros, SIZE, ZMQ_DONTWAIT);
    CHECK_EQ(zmq_errno(), EAGAIN);
    CHECK_BETWEEN(sent, 1, 12);
    for (int i = 0; i < sent; i++)
        CHECK_EQ(RECV(dealer).size, SIZE);
}
