// SPDX-License-Identifier: MPL-2.0
//
// CURVE among sockets: what they say to each other, and who is let in.
#include "curve.h"

enum { ZAP_ENFORCE_DOMAIN = 93 };

TEST_EACH(both_ways, EACH_STREAM) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, transport);
    CONNECT(scene.client, scene.endpoint);
    BOUNCE(scene.server, scene.client);
    CHECK_EQ(EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).value, 0);
    CHECK_EQ(EXPECT_EVENT(scene.client_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).value, 0);
    SEND(scene.client, "a", "", "c");
    EXPECT(scene.server, "a", "", "c");
    CLOSE(scene.client_events);
    CLOSE(scene.client);
    EXPECT_EVENT(scene.server_events, ZMQ_EVENT_DISCONNECTED);
}

// The server may connect, and the client bind.
TEST_EACH(the_server_connects, EACH_STREAM) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, transport);
    CONNECT(scene.server, BIND(scene.client, transport));
    BOUNCE(scene.server, scene.client);
}

TEST(requests) {
    struct scene scene = make_scene(ZMQ_REP, ZMQ_REQ, "tcp");
    CONNECT(scene.client, scene.endpoint);
    for (int i = 0; i < 100; i++) {
        SEND(scene.client, "question");
        EXPECT(scene.server, "question");
        SEND(scene.server, "answer", "");
        EXPECT(scene.client, "answer", "");
    }
}

TEST_EACH(subscriptions, EACH_STREAM) {
    struct scene scene = make_scene(ZMQ_XPUB, ZMQ_SUB, transport);
    SET_TEXT(scene.client, ZMQ_SUBSCRIBE, "early");
    CONNECT(scene.client, scene.endpoint);
    EXPECT(scene.server, "\1early");
    SET_TEXT(scene.client, ZMQ_SUBSCRIBE, "late");
    EXPECT(scene.server, "\1late");
    SEND(scene.server, "other", "x");
    SEND(scene.server, "late news", "y");
    EXPECT(scene.client, "late news", "y");
    SET_TEXT(scene.client, ZMQ_UNSUBSCRIBE, "early");
    char cancelled[6];
    CHECK_EQ(zmq_recv(scene.server, cancelled, sizeof cancelled, 0), 6);
    CHECK_BYTES(cancelled, 6, "\0early", 6);
}

// Commands are sealed as well.
TEST(heartbeats) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    SET_INT(scene.client, ZMQ_HEARTBEAT_IVL, 5);
    SET_INT(scene.client, ZMQ_HEARTBEAT_TTL, 30000);
    SET_INT(scene.client, ZMQ_HEARTBEAT_TIMEOUT, 30000);
    CONNECT(scene.client, scene.endpoint);
    EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    for (int i = 0; i < 40; i++) {
        SEND(scene.server, "down");
        EXPECT(scene.client, "down");
        SEND(scene.client, "up");
        EXPECT(scene.server, "up");
        pause_briefly();
    }
    struct event event;
    CHECK(!event_within(scene.server_events, &event, ABSENCE_MS));
}

static void send_pattern(void *socket, size_t size, int number) {
    unsigned char *body = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        body[i] = (unsigned char)(i * 31 + i / 4096 + (size_t)number);
    SEND_BYTES(socket, body, size, 0);
    free(body);
}

static void expect_pattern(void *socket, size_t size, int number) {
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, socket, 0), size);
    const unsigned char *body = zmq_msg_data(&message);
    for (size_t i = 0; i < size; i++)
        if (body[i] != (unsigned char)(i * 31 + i / 4096 + (size_t)number))
            fail("message %d of %zu bytes: byte %zu is %02x", number, size, i, body[i]);
    CHECK_OK(zmq_msg_close(&message));
}

TEST_EACH(bodies_of_every_size, EACH_STREAM) {
    struct scene scene = make_scene(ZMQ_PAIR, ZMQ_PAIR, transport);
    static const size_t sizes[] = {0,    1,    31,   32,   33,    222,   223,   224,    255,    256,
                                   989,  990,  991,  992,  993,   1024,  8158,  8159,   8160,   8191,
                                   8192, 8193, 9000, 65000, 65535, 65536, 70000, 1 << 20, 3 << 20};
    CONNECT(scene.client, scene.endpoint);
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            send_pattern(scene.client, sizes[i], (int)i);
            expect_pattern(scene.server, sizes[i], (int)i);
            send_pattern(scene.server, sizes[i], (int)i + 1);
            expect_pattern(scene.client, sizes[i], (int)i + 1);
        }
        // And all of them on their way at once.
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            send_pattern(scene.client, sizes[i], (int)i);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            expect_pattern(scene.server, sizes[i], (int)i);
    }
}

static void close_and_terminate(void *argument) {
    void **all = argument;
    zmq_close(all[1]);
    zmq_ctx_term(all[0]);
}

// What is sealed and not written counts as waiting.
TEST_EACH(all_is_sent_before_the_end, EACH_STREAM) {
    enum { MANY = 500, SIZE = 20000 };
    struct scene scene = make_scene(ZMQ_PULL, ZMQ_PUSH, transport);
    SET_INT(scene.server, ZMQ_RCVHWM, 10);
    const char *endpoint = BIND(scene.server, transport);
    void *ctx = zmq_ctx_new(), *client = zmq_socket(ctx, ZMQ_PUSH);
    SET_INT(client, ZMQ_LINGER, -1);
    SET_INT(client, ZMQ_SNDHWM, 0);
    be_client(client, &scene.of_client, scene.of_server.public_text);
    CONNECT(client, endpoint);
    for (int i = 0; i < MANY; i++)
        send_pattern(client, SIZE, i);
    struct thread thread;
    start_thread(&thread, close_and_terminate, (void *[]){ctx, client});
    for (int i = 0; i < MANY; i++)
        expect_pattern(scene.server, SIZE, i);
    JOIN(&thread);
}

TEST(zmq_has_it) { CHECK(reference_library() || zmq_has("curve")); }

// ---- who is let in -----------------------------------------------------------------------------

TEST_EACH(without_a_handler_all_are_let_in, EACH_STREAM) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, transport);
    SET_TEXT(scene.server, ZMQ_ZAP_DOMAIN, "global");
    CONNECT(scene.client, BIND(scene.server, transport));
    BOUNCE(scene.server, scene.client);
}

TEST(without_a_handler_enforced) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    int on = 1;
    if (zmq_setsockopt(scene.server, ZAP_ENFORCE_DOMAIN, &on, sizeof on) != 0)
        skip("no ZMQ_ZAP_ENFORCE_DOMAIN");
    // Without a domain nobody is asked.
    CONNECT(scene.client, BIND(scene.server, "tcp"));
    BOUNCE(scene.server, scene.client);
    EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    SET_TEXT(scene.server, ZMQ_ZAP_DOMAIN, "global");
    CONNECT(scene.client, BIND(scene.server, "tcp"));
    CHECK_EQ(EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EFAULT);
}

TEST_EACH(the_handler_gets_the_key, EACH_STREAM) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, transport);
    void *handler = NEW_SOCKET(ZMQ_REP);
    CHECK_OK(zmq_bind(handler, "inproc://zeromq.zap.01"));
    CONNECT(scene.client, scene.endpoint);
    EXPECT_BYTES(handler, "1.0", 3, true);
    EXPECT_BYTES(handler, "1", 1, true);
    EXPECT_BYTES(handler, "", 0, true);
    CHECK(RECV(handler).more); // the address
    EXPECT_BYTES(handler, "", 0, true);
    EXPECT_BYTES(handler, "CURVE", 5, true);
    EXPECT_BYTES(handler, scene.of_client.public_key, KEY, false);
    SEND(handler, "1.0", "1", "200", "OK", "alice", "");
    SEND(scene.client, "hello");
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, scene.server, 0), 5);
    CHECK_STR(zmq_msg_gets(&message, "User-Id"), "alice");
    CHECK_STR(zmq_msg_gets(&message, "Socket-Type"), "DEALER");
    CHECK_STR(zmq_msg_gets(&message, "Identity"), "");
    CHECK(zmq_msg_gets(&message, "Peer-Address") != NULL);
    // Large bodies come another way.
    send_pattern(scene.client, 100000, 0);
    CHECK_EQ(zmq_msg_recv(&message, scene.server, 0), 100000);
    CHECK_STR(zmq_msg_gets(&message, "User-Id"), "alice");
    CHECK_OK(zmq_msg_close(&message));
}

// The server cannot read what was meant for another one; the client learns nothing, and tries on.
TEST(wrong_server_key) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    SET_TEXT(scene.client, ZMQ_CURVE_SERVERKEY, scene.of_client.public_text);
    SET_INT(scene.client, ZMQ_RECONNECT_IVL, 10);
    CONNECT(scene.client, scene.endpoint);
    SEND(scene.client, "hello");
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
                 CRYPTOGRAPHIC);
        EXPECT_EVENT(scene.server_events, ZMQ_EVENT_DISCONNECTED);
        struct event event = EXPECT_EVENT(scene.client_events, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
        CHECK(event.value == EPIPE || event.value == ECONNRESET);
        EXPECT_EVENT(scene.client_events, ZMQ_EVENT_DISCONNECTED);
        EXPECT_EVENT(scene.client_events, ZMQ_EVENT_CONNECT_RETRIED);
    }
    EXPECT_NOTHING(scene.server);
}

// The client's keys do not belong together.
TEST(wrong_client_key) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    SET_TEXT(scene.client, ZMQ_CURVE_PUBLICKEY, scene.of_server.public_text);
    CONNECT(scene.client, scene.endpoint);
    CHECK_EQ(EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             CRYPTOGRAPHIC);
    EXPECT_EVENT(scene.server_events, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(scene.client_events, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
}

// A key that was never set is all zeros.
TEST(no_server_key) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    SET_BYTES(scene.client, ZMQ_CURVE_SERVERKEY, (char[KEY]){0}, KEY);
    CONNECT(scene.client, scene.endpoint);
    CHECK_EQ(EXPECT_EVENT(scene.client_events, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             CRYPTOGRAPHIC);
    EXPECT_NOTHING(scene.server);
}

TEST(no_client_keys) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    SET_BYTES(scene.client, ZMQ_CURVE_PUBLICKEY, (char[KEY]){0}, KEY);
    SET_BYTES(scene.client, ZMQ_CURVE_SECRETKEY, (char[KEY]){0}, KEY);
    CONNECT(scene.client, scene.endpoint);
    CHECK_EQ(EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             CRYPTOGRAPHIC);
    EXPECT_NOTHING(scene.server);
}

static void expect_mismatch(void *mon) {
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
}

TEST_EACH(other_mechanisms, "NULL", "PLAIN") {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    void *other = NEW_SOCKET(ZMQ_DEALER), *other_events;
    if (strcmp(transport, "PLAIN") == 0) {
        SET_TEXT(other, ZMQ_PLAIN_USERNAME, "user");
        SET_TEXT(other, ZMQ_PLAIN_PASSWORD, "secret");
    }
    other_events = MONITOR(other, EVENTS);
    CONNECT(other, scene.endpoint);
    expect_mismatch(scene.server_events);
    expect_mismatch(other_events);
    EXPECT_NOTHING(scene.server);
    // And the other way round: a client that wants CURVE, where there is none.
    CONNECT(scene.client, BIND(other, "tcp"));
    expect_mismatch(other_events);
    expect_mismatch(scene.client_events);
    struct event event;
    CHECK(!event_within(scene.client_events, &event, 250));
}

TEST(two_clients) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    void *other = NEW_SOCKET(ZMQ_DEALER);
    be_client(other, &scene.of_client, scene.of_server.public_text);
    CONNECT(scene.client, BIND(other, "tcp"));
    CHECK_EQ(EXPECT_EVENT(scene.client_events, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND);
}

TEST(two_servers) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    void *other = NEW_SOCKET(ZMQ_DEALER);
    be_server(other, &scene.of_server);
    SET_INT(other, ZMQ_HANDSHAKE_IVL, 100);
    void *mon = MONITOR(other, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    CONNECT(other, scene.endpoint);
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EAGAIN);
}

TEST(old_peers_are_refused) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    static const char *const greetings[] = {
        "\1\0\10\0sneaky\0",                                // 1.0 without a greeting
        "\xff\0\0\0\0\0\0\0\1\x7f\1\5\0\0\0\6sneaky\0\0\0", // 2.0
    };
    for (int i = 0; i < 2; i++) {
        int fd = RAW_CONNECT(scene.endpoint);
        RAW_SEND(fd, greetings[i], i == 0 ? 11 : 22);
        RAW_EXPECT_CLOSED(fd);
        close(fd);
    }
    EXPECT_NOTHING(scene.server);
}

// The server sees it first and hangs up, which says nothing to the client: it comes again.
TEST_EACH(types_that_do_not_match, EACH_STREAM) {
    struct scene scene = make_scene(ZMQ_PULL, ZMQ_SUB, transport);
    void *retries = NEW_SOCKET(ZMQ_SUB);
    be_client(retries, &scene.of_client, scene.of_server.public_text);
    SET_INT(retries, ZMQ_RECONNECT_IVL, 5);
    void *mon = MONITOR(retries, ZMQ_EVENT_ALL & ~ZMQ_EVENT_CONNECT_DELAYED);
    CONNECT(retries, scene.endpoint);
    for (int i = 0; i < 3; i++) {
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED);
        CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EPIPE);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
        EXPECT_EVENT(scene.server_events, ZMQ_EVENT_DISCONNECTED);
    }
}
