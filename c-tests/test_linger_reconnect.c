// SPDX-License-Identifier: MPL-2.0
//
// LINGER, reconnecting, IMMEDIATE, connect and handshake timeouts, heartbeats between sockets.
#include "harness.h"

#include <unistd.h>

// ---- LINGER ------------------------------------------------------------------------------------

static long long close_and_term(void *s, int linger) {
    SET_INT(s, ZMQ_LINGER, linger);
    long long start = now_ms();
    END_CONTEXT();
    return now_ms() - start;
}

TEST_EACH(linger_zero_does_not_wait, EACH_STREAM, "ws") {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(s, unused_endpoint(transport));
    SEND(s, "undelivered");
    CHECK_BETWEEN(close_and_term(s, 0), 0, 2000);
}

TEST_EACH(linger_waits_its_time, EACH_STREAM) {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(s, unused_endpoint(transport));
    SEND(s, "undelivered");
    CHECK_BETWEEN(close_and_term(s, 300), 295, DEADLINE_MS);
}

TEST(linger_waits_only_for_messages) {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(s, unused_tcp_endpoint());
    CHECK_BETWEEN(close_and_term(s, -1), 0, 2000);
}

TEST_EACH(linger_delivers, EACH_STREAM, "ws") {
    enum { COUNT = 100, SIZE = 100000 };
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(push, BIND(pull, transport));
    char *body = malloc(SIZE);
    for (int i = 0; i < COUNT; i++) {
        memset(body, i, SIZE);
        SEND_BYTES(push, body, SIZE, 0);
    }
    SET_INT(push, ZMQ_LINGER, -1);
    CLOSE(push);
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(zmq_recv(pull, body, SIZE, 0), SIZE);
        CHECK(body[0] == (char)i && body[SIZE - 1] == (char)i);
    }
    EXPECT_NOTHING(pull);
}

static void term(void *ctx) { CHECK_OK(zmq_ctx_term(ctx)); }

// The connection itself is still made while lingering.
TEST_EACH(linger_reaches_a_late_peer, EACH_STREAM) {
    const char *endpoint = unused_endpoint(transport);
    void *ctx = zmq_ctx_new();
    void *push = zmq_socket(ctx, ZMQ_PUSH);
    SET_INT(push, ZMQ_RECONNECT_IVL, 10);
    CONNECT(push, endpoint);
    SEND(push, "patience");
    CHECK_OK(zmq_close(push));
    struct thread thread;
    start_thread(&thread, term, ctx);
    WAIT_BLOCKED(&thread);
    void *pull = NEW_SOCKET(ZMQ_PULL);
    CHECK_OK(zmq_bind(pull, endpoint));
    EXPECT(pull, "patience");
    JOIN(&thread);
}

TEST(linger_of_disconnect) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    const char *endpoint = BIND(pull, "tcp");
    SET_INT(push, ZMQ_LINGER, -1);
    CONNECT(push, endpoint);
    for (int i = 0; i < 200; i++)
        SEND_BYTES(push, &i, sizeof i, 0);
    CHECK_OK(zmq_disconnect(push, endpoint));
    for (int i = 0; i < 200; i++)
        EXPECT_BYTES(pull, &i, sizeof i, false);
}

// ---- reconnecting ------------------------------------------------------------------------------

TEST_EACH(reconnects_to_a_new_binder, EACH_STREAM) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    const char *endpoint = unused_endpoint(transport);
    CHECK_OK(zmq_bind(pull, endpoint));
    SET_INT(push, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(push, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    CONNECT(push, endpoint);
    for (int i = 0; i < 3; i++) {
        AWAIT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        SEND(push, "hello");
        EXPECT(pull, "hello");
        CLOSE(pull);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        pull = NEW_SOCKET(ZMQ_PULL);
        WAIT_UNTIL(zmq_bind(pull, endpoint) == 0);
    }
}

// The connecting side's queue outlives the connection.
TEST(messages_wait_for_the_next_connection) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    char *endpoint = strdup(BIND(pull, "tcp"));
    SET_INT(push, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(push, ZMQ_EVENT_DISCONNECTED);
    CONNECT(push, endpoint);
    SEND(push, "first");
    EXPECT(pull, "first");
    CLOSE(pull);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    for (int i = 0; i < 100; i++)
        SEND_BYTES(push, &i, sizeof i, 0);
    pull = NEW_SOCKET(ZMQ_PULL);
    WAIT_UNTIL(zmq_bind(pull, endpoint) == 0);
    for (int i = 0; i < 100; i++)
        EXPECT_BYTES(pull, &i, sizeof i, false);
}

// The binding side's queue goes with the connection.
TEST(the_binder_loses_its_queue) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    void *mon = MONITOR(push, ZMQ_EVENT_DISCONNECTED);
    CONNECT(pull, BIND(push, "tcp"));
    SEND(push, "first");
    EXPECT(pull, "first");
    CLOSE(pull);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    WAIT_UNTIL(!(GET_INT(push, ZMQ_EVENTS) & ZMQ_POLLOUT));
    CHECK(!TRY_SEND(push, "nobody there"));
}

TEST(interval_minus_one_connects_once) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    char *endpoint = strdup(BIND(pull, "tcp"));
    SET_INT(push, ZMQ_RECONNECT_IVL, -1);
    void *mon = MONITOR(push, ZMQ_EVENT_ALL);
    CONNECT(push, endpoint);
    SEND(push, "first");
    EXPECT(pull, "first");
    CLOSE(pull);
    AWAIT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    struct event event;
    CHECK(!event_within(mon, &event, 200));
    // Another zmq_connect does.
    pull = NEW_SOCKET(ZMQ_PULL);
    WAIT_UNTIL(zmq_bind(pull, endpoint) == 0);
    CONNECT(push, endpoint);
    AWAIT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    WAIT_UNTIL(TRY_SEND(push, "second"));
    EXPECT(pull, "second");
}

// The intervals the monitor tells: doubling up to the maximum.
TEST_OURS_ONLY(interval_doubles_up_to_the_maximum, "4.3.4 adds a random part, 4.3.6 does not") {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(s, ZMQ_RECONNECT_IVL, 10);
    SET_INT(s, ZMQ_RECONNECT_IVL_MAX, 60);
    void *mon = MONITOR(s, ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(s, unused_tcp_endpoint());
    static const int expected[] = {10, 20, 40, 60, 60, 60};
    for (int i = 0; i < 6; i++)
        CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).value, expected[i]);
}

// Not even the first interval is longer than the maximum.
TEST_OURS_ONLY(interval_beyond_the_maximum, "4.3.4 takes no notice of such a maximum, 4.3.6 does") {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(s, ZMQ_RECONNECT_IVL, 100);
    SET_INT(s, ZMQ_RECONNECT_IVL_MAX, 20);
    void *mon = MONITOR(s, ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(s, unused_tcp_endpoint());
    for (int i = 0; i < 3; i++)
        CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).value, 20);
}

// Neither 0 nor -1 connects again: a refused first attempt stays where it is, and a lost connection
// takes its endpoint along.
TEST(intervals_that_mean_never) {
    static const int intervals[] = {0, -1};
    for (int i = 0; i < 2; i++) {
        void *s = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
        SET_INT(s, ZMQ_RECONNECT_IVL, intervals[i]);
        void *mon = MONITOR(s, ZMQ_EVENT_ALL);
        const char *nobody = unused_tcp_endpoint(), *endpoint = BIND(pull, "tcp");
        CONNECT(s, nobody);
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
        EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
        EXPECT_NOTHING(mon);
        CHECK_OK(zmq_disconnect(s, nobody));
        CONNECT(s, endpoint);
        AWAIT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        CLOSE(pull);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        EXPECT_NOTHING(mon);
        WAIT_UNTIL(!(GET_INT(s, ZMQ_EVENTS) & ZMQ_POLLOUT));
        CHECK_ERRNO(zmq_disconnect(s, endpoint), ENOENT);
        CLOSE(mon);
    }
}

// The counting begins again with every connection that comes about.
TEST_OURS_ONLY(interval_doubles_anew, "4.3.4 adds a random part, 4.3.6 does not") {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(s, ZMQ_RECONNECT_IVL, 10);
    SET_INT(s, ZMQ_RECONNECT_IVL_MAX, 1000);
    void *mon = MONITOR(s, ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_CONNECTED);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    CONNECT(s, endpoint);
    for (int i = 0; i < 3; i++) {
        close(RAW_ACCEPT(listener));
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED);
        CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).value, 10);
    }
    close(RAW_ACCEPT(listener));
    close(listener);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED);
    static const int expected[] = {10, 20, 40, 80};
    for (int i = 0; i < 4; i++)
        CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).value, expected[i]);
}

TEST(interval_without_maximum_is_spread) {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(s, ZMQ_RECONNECT_IVL, 20);
    void *mon = MONITOR(s, ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(s, unused_tcp_endpoint());
    for (int i = 0; i < 8; i++)
        CHECK_BETWEEN(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).value, 20, 39);
}

TEST(connection_refused_many_times) {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(s, ZMQ_RECONNECT_IVL, 5);
    const char *endpoint = unused_tcp_endpoint();
    void *mon = MONITOR(s, ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(s, endpoint);
    SEND(s, "patience");
    for (int i = 0; i < 10; i++)
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
    void *pull = NEW_SOCKET(ZMQ_PULL);
    CHECK_OK(zmq_bind(pull, endpoint));
    EXPECT(pull, "patience");
}

// Half a message from a broken connection is forgotten on both sides; whole ones go on.
TEST(half_a_message_of_a_broken_connection) {
    void *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(pull, ZMQ_RECONNECT_IVL, 10);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    CONNECT(pull, endpoint);
    int fd = RAW_ACCEPT(listener);
    ZMTP_HANDSHAKE(fd, 1, "PUSH", NULL);
    ZMTP_SEND_LITERAL(fd, 0, "whole");
    RAW_SEND_LITERAL(fd, "\1\4half\1\5");
    EXPECT(pull, "whole");
    close(fd);
    fd = RAW_ACCEPT(listener);
    ZMTP_HANDSHAKE(fd, 1, "PUSH", NULL);
    ZMTP_SEND_LITERAL(fd, 0, "whole again");
    EXPECT(pull, "whole again");
}

// What the application had begun to send when the connection broke is not sent by halves.
TEST(a_message_begun_before_the_connection_broke) {
    void *push = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(push, ZMQ_RECONNECT_IVL, 10);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    CONNECT(push, endpoint);
    int fd = RAW_ACCEPT(listener);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    SEND(push, "hello");
    ZMTP_EXPECT_LITERAL(fd, 0, "hello");
    SEND_BYTES(push, "a", 1, ZMQ_SNDMORE);
    close(fd);
    fd = RAW_ACCEPT(listener);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    SEND_BYTES(push, "b", 1, 0);
    SEND(push, "c", "d");
    ZMTP_EXPECT_LITERAL(fd, 1, "a");
    ZMTP_EXPECT_LITERAL(fd, 0, "b");
    ZMTP_EXPECT_LITERAL(fd, 1, "c");
    ZMTP_EXPECT_LITERAL(fd, 0, "d");
}

// What the kernel has had a part of is not sent again; what waits behind it is.
TEST(a_message_written_in_part_is_lost) {
    enum { SIZE = 20000000 };
    void *push = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(push, ZMQ_RECONNECT_IVL, 10);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    CONNECT(push, endpoint);
    int fd = RAW_ACCEPT(listener);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    SEND_BYTES(push, calloc(1, SIZE), SIZE, 0);
    SEND(push, "next", "one");
    char begin[1000];
    RAW_READ(fd, begin, sizeof begin);
    close(fd);
    fd = RAW_ACCEPT(listener);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    ZMTP_EXPECT_LITERAL(fd, 1, "next");
    ZMTP_EXPECT_LITERAL(fd, 0, "one");
}

// ---- IMMEDIATE ---------------------------------------------------------------------------------

TEST_EACH(immediate_queues_nothing_without_a_connection, EACH_STREAM) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = unused_endpoint(transport);
    SET_INT(push, ZMQ_IMMEDIATE, 1);
    SET_INT(push, ZMQ_RECONNECT_IVL, 10);
    CONNECT(push, endpoint);
    CHECK(!TRY_SEND(push, "too early"));
    CHECK_OK(zmq_bind(pull, endpoint));
    WAIT_EVENTS(push, ZMQ_POLLOUT);
    SEND(push, "in time");
    EXPECT(pull, "in time");
}

TEST(immediate_leaves_out_unreachable_peers) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_IMMEDIATE, 1);
    const char *endpoint = BIND(pull, "tcp");
    CONNECT(push, unused_tcp_endpoint());
    CONNECT(push, endpoint);
    WAIT_EVENTS(push, ZMQ_POLLOUT);
    for (int i = 0; i < 20; i++)
        SEND_BYTES(push, &i, sizeof i, 0);
    for (int i = 0; i < 20; i++)
        EXPECT_BYTES(pull, &i, sizeof i, false);
}

TEST(without_immediate_half_waits_for_the_unreachable) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(pull, "tcp");
    CONNECT(push, unused_tcp_endpoint());
    CONNECT(push, endpoint);
    for (int i = 0; i < 20; i++)
        SEND_BYTES(push, &i, sizeof i, 0);
    for (int i = 1; i < 20; i += 2)
        EXPECT_BYTES(pull, &i, sizeof i, false);
    EXPECT_NOTHING(pull);
}

TEST(immediate_forgets_a_lost_connection) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_IMMEDIATE, 1);
    SET_INT(push, ZMQ_RECONNECT_IVL, 10);
    char *endpoint = strdup(BIND(pull, "tcp"));
    CONNECT(push, endpoint);
    WAIT_EVENTS(push, ZMQ_POLLOUT);
    SEND(push, "hello");
    EXPECT(pull, "hello");
    CLOSE(pull);
    WAIT_UNTIL(!(GET_INT(push, ZMQ_EVENTS) & ZMQ_POLLOUT));
    CHECK(!TRY_SEND(push, "nobody there"));
    pull = NEW_SOCKET(ZMQ_PULL);
    WAIT_UNTIL(zmq_bind(pull, endpoint) == 0);
    WAIT_EVENTS(push, ZMQ_POLLOUT);
    SEND(push, "back");
    EXPECT(pull, "back");
}

// With the connection goes what waited for it.
TEST(immediate_loses_its_queue) {
    enum { SIZE = 1000000 };
    void *push = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(push, ZMQ_IMMEDIATE, 1);
    SET_INT(push, ZMQ_RECONNECT_IVL, 10);
    char endpoint[64], *body = calloc(1, SIZE);
    int listener = RAW_LISTEN(endpoint);
    CONNECT(push, endpoint);
    int fd = RAW_ACCEPT(listener);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    WAIT_EVENTS(push, ZMQ_POLLOUT);
    for (int i = 0; i < 20; i++)
        SEND_BYTES(push, body, SIZE, ZMQ_DONTWAIT);
    close(fd);
    WAIT_UNTIL(!(GET_INT(push, ZMQ_EVENTS) & ZMQ_POLLOUT));
    fd = RAW_ACCEPT(listener);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    WAIT_EVENTS(push, ZMQ_POLLOUT);
    SEND(push, "new");
    ZMTP_EXPECT_LITERAL(fd, 0, "new");
}

// ---- timeouts ----------------------------------------------------------------------------------

// A raw peer that connects and says nothing.
TEST(handshake_timeout_of_the_accepting_side) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HANDSHAKE_IVL, 100);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    const char *endpoint = BIND(s, "tcp");
    long long start = now_ms();
    int fd = RAW_CONNECT(endpoint);
    AWAIT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EAGAIN);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    CHECK_BETWEEN(now_ms() - start, 95, DEADLINE_MS);
    RAW_EXPECT_CLOSED(fd);
}

TEST(handshake_timeout_of_the_connecting_side) {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(s, ZMQ_HANDSHAKE_IVL, 100);
    SET_INT(s, ZMQ_RECONNECT_IVL, 10);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    CONNECT(s, endpoint);
    int first = RAW_ACCEPT(listener);
    AWAIT_EVENT(mon, ZMQ_EVENT_CONNECTED);
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EAGAIN);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(first);
    // It tries again.
    RAW_ACCEPT(listener);
}

TEST(handshake_timeout_off) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HANDSHAKE_IVL, 0);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    int fd = RAW_PEER(s);
    struct event event;
    CHECK(!event_within(mon, &event, 200));
    close(fd);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
}

TEST_EACH(heartbeats_between_healthy_peers, EACH_STREAM, "ws") {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    void *both[] = {a, b};
    for (int i = 0; i < 2; i++) {
        SET_INT(both[i], ZMQ_HEARTBEAT_IVL, 20);
        SET_INT(both[i], ZMQ_HEARTBEAT_TTL, DEADLINE_MS);
        SET_INT(both[i], ZMQ_HEARTBEAT_TIMEOUT, DEADLINE_MS);
    }
    void *mon = MONITOR(a, ZMQ_EVENT_DISCONNECTED);
    CONNECT(b, BIND(a, transport));
    BOUNCE(a, b);
    struct event event;
    CHECK(!event_within(mon, &event, 300));
    BOUNCE(a, b);
}

TEST(a_peer_without_pong_is_dropped) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HEARTBEAT_IVL, 50);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    int fd = ZMTP_PEER(s, "PUSH");
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
}

// Who connected tries again: the handshake was through, so nothing else is said.
TEST(a_server_without_pong_is_connected_to_again) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HEARTBEAT_IVL, 50);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    int fd = RAW_SERVER(s);
    ZMTP_HANDSHAKE(fd, 1, "PUSH", NULL);
    AWAIT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
}

TEST(the_ttl_of_a_silent_peer_ends_it) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    int fd = ZMTP_PEER(s, "PUSH");
    long long start = now_ms();
    ZMTP_SEND_LITERAL(fd, 4, "\4PING\0\2"); // two tenths of a second
    ZMTP_EXPECT_LITERAL(fd, 4, "\4PONG");
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    CHECK_BETWEEN(now_ms() - start, 195, DEADLINE_MS);
    RAW_EXPECT_CLOSED(fd);
}

TEST(traffic_keeps_the_ttl_from_ending_it) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    int fd = ZMTP_PEER(s, "PUSH");
    ZMTP_SEND_LITERAL(fd, 4, "\4PING\0\12"); // a second
    ZMTP_SEND_LITERAL(fd, 0, "alive");
    EXPECT(s, "alive");
    struct event event;
    CHECK(!event_within(mon, &event, 1300));
}

// Whatever the command; a PING that asks for no time, too.
TEST(a_command_is_traffic) {
    static const char *const commands[] = {"\7UNKNOWN", "\4PING\0\0"};
    static const size_t sizes[] = {8, 7};
    for (int i = 0; i < 2; i++) {
        void *s = NEW_SOCKET(ZMQ_PULL);
        void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
        int fd = ZMTP_PEER(s, "PUSH");
        ZMTP_SEND_LITERAL(fd, 4, "\4PING\0\5"); // half a second
        ZMTP_EXPECT_LITERAL(fd, 4, "\4PONG");
        ZMTP_SEND(fd, 4, commands[i], sizes[i]);
        struct event event;
        CHECK(!event_within(mon, &event, 700));
        CLOSE(mon);
    }
}

TEST_OURS_ONLY(part_of_a_message_is_traffic, "it waits for the whole of it") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    int fd = ZMTP_PEER(s, "PUSH");
    ZMTP_SEND_LITERAL(fd, 4, "\4PING\0\5");
    ZMTP_EXPECT_LITERAL(fd, 4, "\4PONG");
    RAW_SEND_LITERAL(fd, "\0\5hel");
    struct event event;
    CHECK(!event_within(mon, &event, 700));
    RAW_SEND_LITERAL(fd, "lo");
    EXPECT(s, "hello");
}

// A listener that is taken back lets its connections say what they have to say.
TEST_EACH(unbind_lingers, EACH_STREAM) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_LINGER, -1);
    SET_INT(pull, ZMQ_RECONNECT_IVL, 10000);
    const char *endpoint = BIND(push, transport);
    CONNECT(pull, endpoint);
    SEND(push, "first");
    EXPECT(pull, "first");
    for (int i = 0; i < 500; i++)
        SEND_BYTES(push, &i, sizeof i, 0);
    CHECK_OK(zmq_unbind(push, endpoint));
    for (int i = 0; i < 500; i++)
        EXPECT_BYTES(pull, &i, sizeof i, false);
    WAIT_UNTIL(!TRY_SEND(push, "nobody there"));
}

// The value at the end counts, for what lingers then.
TEST(linger_of_several_connections) {
    void *ctx = zmq_ctx_new(), *push = zmq_socket(ctx, ZMQ_PUSH);
    SET_INT(push, ZMQ_LINGER, -1);
    const char *first = unused_tcp_endpoint(), *second = unused_tcp_endpoint();
    CONNECT(push, first);
    CONNECT(push, second);
    for (int i = 0; i < 4; i++)
        SEND(push, "undelivered");
    SET_INT(push, ZMQ_LINGER, 200);
    CHECK_OK(zmq_disconnect(push, first));
    SET_INT(push, ZMQ_LINGER, 0);
    long long start = now_ms();
    CHECK_OK(zmq_close(push));
    CHECK_OK(zmq_ctx_term(ctx));
    // The one that was taken back before has its own time: less than a fifth of a second is left.
    CHECK_BETWEEN(now_ms() - start, 0, 2000);
}
