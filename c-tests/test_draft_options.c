// SPDX-License-Identifier: MPL-2.0
//
// Draft options: ZMQ_HELLO_MSG, ZMQ_DISCONNECT_MSG, ZMQ_HICCUP_MSG, ZMQ_ROUTER_NOTIFY,
// ZMQ_RECONNECT_STOP, ZMQ_BUSY_POLL and others (zmq_setsockopt(3)).
#include "harness.h"

#include <sys/socket.h>
#include <unistd.h>

// ---- ZMQ_HELLO_MSG -----------------------------------------------------------------------------

TEST_EACH(hello_both_ways, EACH_TRANSPORT) {
    static const int pairs[][2] = {{ZMQ_SERVER, ZMQ_CLIENT}, {ZMQ_CLIENT, ZMQ_SERVER},
                                   {ZMQ_DEALER, ZMQ_DEALER}, {ZMQ_PEER, ZMQ_PEER}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        void *binder = NEW_SOCKET(pairs[i][0]), *connecter = NEW_SOCKET(pairs[i][1]);
        SET_TEXT(binder, ZMQ_HELLO_MSG, "from the binder");
        SET_TEXT(connecter, ZMQ_HELLO_MSG, "from the connecter");
        CONNECT(connecter, BIND(binder, transport));
        EXPECT(binder, "from the connecter");
        EXPECT(connecter, "from the binder");
        EXPECT_NOTHING(binder);
        EXPECT_NOTHING(connecter);
    }
}

TEST_EACH(hello_of_a_router, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(router, ZMQ_HELLO_MSG, "R");
    SET_TEXT(dealer, ZMQ_HELLO_MSG, "D");
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "id");
    CONNECT(dealer, BIND(router, transport));
    EXPECT(dealer, "R");
    EXPECT(router, "id", "D");
}

// Over a stream a request must come first, so REQ says hello in its own process only.
TEST_EACH(hello_of_a_req, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *req = NEW_SOCKET(ZMQ_REQ);
    SET_TEXT(req, ZMQ_HELLO_MSG, "H");
    SET_TEXT(req, ZMQ_ROUTING_ID, "id");
    CONNECT(req, BIND(router, transport));
    if (strcmp(transport, "inproc") == 0)
        EXPECT(router, "id", "H");
    SEND(req, "request");
    EXPECT(router, "id", "", "request");
}

// What no request is for a REP is a message for others.
TEST_EACH(hello_of_a_rep, EACH_TRANSPORT) {
    void *rep = NEW_SOCKET(ZMQ_REP), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(rep, ZMQ_HELLO_MSG, "R");
    SET_TEXT(dealer, ZMQ_HELLO_MSG, "D");
    CONNECT(dealer, BIND(rep, transport));
    EXPECT(dealer, "R");
    SEND(dealer, "", "request");
    EXPECT(rep, "request");
}

TEST_EACH(hello_comes_first, "inproc", "tcp", "ipc") {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    const char *endpoint = unused_endpoint(transport);
    SET_TEXT(client, ZMQ_HELLO_MSG, "hello");
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    CONNECT(client, endpoint);
    SEND(client, "queued");
    SET_TEXT(server, ZMQ_HELLO_MSG, "welcome");
    CHECK_OK(zmq_bind(server, endpoint));
    EXPECT(server, "hello");
    EXPECT(server, "queued");
    EXPECT(client, "welcome");
}

TEST_EACH(hello_for_each_peer, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER);
    SET_TEXT(server, ZMQ_HELLO_MSG, "hello");
    const char *endpoint = BIND(server, transport);
    for (int i = 0; i < 3; i++) {
        void *client = NEW_SOCKET(ZMQ_CLIENT);
        CONNECT(client, endpoint);
        EXPECT(client, "hello");
        EXPECT_NOTHING(client);
    }
}

TEST_EACH(hello_after_reconnecting, EACH_STREAM) {
    void *client = NEW_SOCKET(ZMQ_CLIENT);
    SET_TEXT(client, ZMQ_HELLO_MSG, "hello");
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    const char *endpoint = unused_endpoint(transport);
    CONNECT(client, endpoint);
    for (int i = 0; i < 3; i++) {
        void *server = NEW_SOCKET(ZMQ_SERVER);
        WAIT_UNTIL(zmq_bind(server, endpoint) == 0);
        EXPECT(server, "hello");
        SEND(client, "x");
        EXPECT(server, "x");
        CLOSE(server);
    }
}

TEST_EACH(large_hello, EACH_TRANSPORT) {
    static const size_t sizes[] = {0, 1, 255, 256, 8191, 8192, 100000, 3000000};
    static char hello[3000000], received[3000000];
    memset(hello, 'h', sizeof hello);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
        SET_BYTES(client, ZMQ_HELLO_MSG, hello, sizes[i]);
        SET_INT(client, ZMQ_LINGER, -1);
        CONNECT(client, BIND(server, transport));
        if (sizes[i] > 0) {
            CHECK_EQ(zmq_recv(server, received, sizeof received, 0), sizes[i]);
            CHECK(memcmp(hello, received, sizes[i]) == 0);
        }
        SEND(client, "next");
        EXPECT(server, "next");
    }
}

TEST(hello_over_curve) {
    if (!zmq_has("curve"))
        skip("no CURVE");
    char public[41], secret[41];
    CHECK_OK(zmq_curve_keypair(public, secret));
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    SET_INT(server, ZMQ_CURVE_SERVER, 1);
    SET_TEXT(server, ZMQ_CURVE_SECRETKEY, secret);
    SET_TEXT(server, ZMQ_HELLO_MSG, "welcome");
    SET_TEXT(client, ZMQ_CURVE_SERVERKEY, public);
    SET_TEXT(client, ZMQ_CURVE_PUBLICKEY, public);
    SET_TEXT(client, ZMQ_CURVE_SECRETKEY, secret);
    SET_TEXT(client, ZMQ_HELLO_MSG, "hello");
    CONNECT(client, BIND(server, "tcp"));
    EXPECT(server, "hello");
    EXPECT(client, "welcome");
}

TEST(hello_on_the_wire) {
    void *server = NEW_SOCKET(ZMQ_SERVER);
    SET_TEXT(server, ZMQ_HELLO_MSG, "hello");
    int fd = ZMTP_PEER(server, "CLIENT");
    ZMTP_EXPECT_LITERAL(fd, 0, "hello");
    RAW_EXPECT_SILENT(fd);
}

TEST(hello_of_types_without_one) {
    void *pair = NEW_SOCKET(ZMQ_PAIR), *other = NEW_SOCKET(ZMQ_PAIR);
    SET_TEXT(pair, ZMQ_HELLO_MSG, "hello");
    CONNECT(other, BIND(pair, "tcp"));
    SEND(pair, "x");
    EXPECT(other, "x");
    // An empty one is none.
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    SET_TEXT(client, ZMQ_HELLO_MSG, "hello");
    SET_TEXT(client, ZMQ_HELLO_MSG, "");
    CONNECT(client, BIND(server, "tcp"));
    SEND(client, "x");
    EXPECT(server, "x");
}

// ---- ZMQ_DISCONNECT_MSG ------------------------------------------------------------------------

TEST_EACH(a_client_goes, EACH_TRANSPORT) {
    static const int pairs[][2] = {{ZMQ_SERVER, ZMQ_CLIENT}, {ZMQ_PEER, ZMQ_PEER}};
    for (int i = 0; i < 2; i++) {
        void *server = NEW_SOCKET(pairs[i][0]), *clients[2];
        SET_TEXT(server, ZMQ_DISCONNECT_MSG, "gone");
        const char *endpoint = BIND(server, transport);
        uint32_t ids[2];
        for (int k = 0; k < 2; k++) {
            clients[k] = NEW_SOCKET(pairs[i][1]);
            SET_TEXT(clients[k], ZMQ_HELLO_MSG, "hello");
            CONNECT(clients[k], endpoint);
            zmq_msg_t message;
            CHECK_OK(zmq_msg_init(&message));
            CHECK_EQ(zmq_msg_recv(&message, server, 0), 5);
            ids[k] = zmq_msg_routing_id(&message);
            CHECK_OK(zmq_msg_close(&message));
        }
        for (int k = 1; k >= 0; k--) {
            CLOSE(clients[k]);
            zmq_msg_t message;
            CHECK_OK(zmq_msg_init(&message));
            CHECK_EQ(zmq_msg_recv(&message, server, 0), 4);
            CHECK_BYTES(zmq_msg_data(&message), 4, "gone", 4);
            CHECK_EQ(zmq_msg_routing_id(&message), ids[k]);
            CHECK_OK(zmq_msg_close(&message));
        }
        EXPECT_NOTHING(server);
    }
}

TEST_EACH(a_dealer_goes, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(router, ZMQ_DISCONNECT_MSG, "gone");
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "id");
    CONNECT(dealer, BIND(router, transport));
    SEND(dealer, "hello");
    SEND(dealer, "last");
    EXPECT(router, "id", "hello");
    CLOSE(dealer);
    EXPECT(router, "id", "last");
    EXPECT(router, "id", "gone");
    EXPECT_NOTHING(router);
}

TEST_EACH(zmq_disconnect_is_noticed, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    SET_TEXT(server, ZMQ_DISCONNECT_MSG, "gone");
    const char *endpoint = BIND(server, transport);
    CONNECT(client, endpoint);
    SEND(client, "hello");
    EXPECT(server, "hello");
    CHECK_OK(zmq_disconnect(client, endpoint));
    WAIT_DRIVING(client, GET_INT(server, ZMQ_EVENTS) & ZMQ_POLLIN);
    EXPECT(server, "gone");
    EXPECT_NOTHING(server);
}

TEST(a_pending_inproc_client_goes) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    SET_TEXT(server, ZMQ_DISCONNECT_MSG, "gone");
    CONNECT(client, "inproc://late");
    CHECK_OK(zmq_bind(server, "inproc://late"));
    SEND(client, "hello");
    EXPECT(server, "hello");
    CLOSE(client);
    EXPECT(server, "gone");
}

TEST_EACH(the_connecting_side_hears_nothing, EACH_TRANSPORT) {
    void *peer = NEW_SOCKET(ZMQ_PEER), *other = NEW_SOCKET(ZMQ_PEER);
    SET_TEXT(peer, ZMQ_DISCONNECT_MSG, "gone");
    SET_TEXT(other, ZMQ_HELLO_MSG, "hello");
    CONNECT(peer, BIND(other, transport));
    EXPECT(peer, "hello");
    CLOSE(other);
    EXPECT_NOTHING(peer);
}

TEST(a_handshake_that_fails_is_no_peer) {
    void *server = NEW_SOCKET(ZMQ_SERVER);
    SET_TEXT(server, ZMQ_DISCONNECT_MSG, "gone");
    int fd = RAW_PEER(server);
    ZMTP_GREET(fd, 1);
    CHECK_OK(close(fd));
    EXPECT_NOTHING(server);
}

TEST(the_rest_of_a_message_goes_with_its_peer) {
    void *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_TEXT(router, ZMQ_DISCONNECT_MSG, "gone");
    int fd = ZMTP_PEER(router, "DEALER");
    ZMTP_SEND_LITERAL(fd, 0, "whole");
    ZMTP_SEND_LITERAL(fd, 1, "half");
    CHECK_EQ(RECV(router).size, 5);
    EXPECT(router, "whole");
    CHECK_OK(close(fd));
    CHECK_EQ(RECV(router).size, 5);
    EXPECT(router, "gone");
}

// ---- ZMQ_HICCUP_MSG ----------------------------------------------------------------------------

TEST_EACH(a_server_goes, EACH_STREAM) {
    static const int pairs[][2] = {
        {ZMQ_CLIENT, ZMQ_SERVER}, {ZMQ_DEALER, ZMQ_DEALER}, {ZMQ_PEER, ZMQ_PEER}};
    for (int i = 0; i < 3; i++) {
        void *client = NEW_SOCKET(pairs[i][0]);
        SET_TEXT(client, ZMQ_HICCUP_MSG, "hiccup");
        SET_TEXT(client, ZMQ_HELLO_MSG, "hello");
        SET_INT(client, ZMQ_RECONNECT_IVL, 10);
        const char *endpoint = unused_endpoint(transport);
        CONNECT(client, endpoint);
        for (int k = 0; k < 2; k++) {
            void *server = NEW_SOCKET(pairs[i][1]);
            WAIT_UNTIL(zmq_bind(server, endpoint) == 0);
            EXPECT(server, "hello");
            CLOSE(server);
            EXPECT(client, "hiccup");
        }
        // An attempt that fails is none.
        EXPECT_NOTHING(client);
        CLOSE(client);
        if (strcmp(transport, "ipc") == 0)
            unlink(endpoint + strlen("ipc://"));
    }
}

TEST(no_hiccup_in_one_process) {
    void *client = NEW_SOCKET(ZMQ_CLIENT), *server = NEW_SOCKET(ZMQ_SERVER);
    SET_TEXT(client, ZMQ_HICCUP_MSG, "hiccup");
    CONNECT(client, BIND(server, "inproc"));
    SEND(client, "hello");
    EXPECT(server, "hello");
    CLOSE(server);
    EXPECT_NOTHING(client);
}

TEST(the_binding_side_has_no_hiccups) {
    void *dealer = NEW_SOCKET(ZMQ_DEALER), *other = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(dealer, ZMQ_HICCUP_MSG, "hiccup");
    CONNECT(other, BIND(dealer, "tcp"));
    SEND(other, "hello");
    EXPECT(dealer, "hello");
    CLOSE(other);
    EXPECT_NOTHING(dealer);
}

// ---- ZMQ_ROUTER_NOTIFY -------------------------------------------------------------------------

TEST_EACH(router_hears_of_peers, EACH_STREAM) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(router, ZMQ_ROUTER_NOTIFY, ZMQ_NOTIFY_CONNECT | ZMQ_NOTIFY_DISCONNECT);
    CHECK_EQ(GET_INT(router, ZMQ_ROUTER_NOTIFY), 3);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "id");
    SET_INT(dealer, ZMQ_LINGER, -1);
    CONNECT(dealer, BIND(router, transport));
    EXPECT(router, "id", "");
    SEND(dealer, "hello");
    EXPECT(router, "id", "hello");
    SEND(dealer, "last");
    CLOSE(dealer);
    EXPECT(router, "id", "last");
    EXPECT(router, "id", "");
    EXPECT_NOTHING(router);
}

TEST_EACH(router_hears_of_what_it_asks_for, EACH_STREAM) {
    static const int flags[] = {0, ZMQ_NOTIFY_CONNECT, ZMQ_NOTIFY_DISCONNECT};
    for (int i = 0; i < 3; i++) {
        void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
        SET_INT(router, ZMQ_ROUTER_NOTIFY, flags[i]);
        SET_TEXT(dealer, ZMQ_ROUTING_ID, "id");
        CONNECT(dealer, BIND(router, transport));
        SEND(dealer, "hello");
        if (flags[i] & ZMQ_NOTIFY_CONNECT)
            EXPECT(router, "id", "");
        EXPECT(router, "id", "hello");
        CLOSE(dealer);
        if (flags[i] & ZMQ_NOTIFY_DISCONNECT)
            EXPECT(router, "id", "");
        EXPECT_NOTHING(router);
    }
}

TEST(router_and_unfinished_messages) {
    void *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(router, ZMQ_ROUTER_NOTIFY, ZMQ_NOTIFY_DISCONNECT);
    int fd = ZMTP_PEER(router, "DEALER");
    ZMTP_SEND_LITERAL(fd, 0, "whole");
    ZMTP_SEND_LITERAL(fd, 1, "half");
    CHECK_EQ(RECV(router).size, 5);
    EXPECT(router, "whole");
    CHECK_OK(close(fd));
    CHECK_EQ(RECV(router).size, 5);
    EXPECT(router, "");
}

// The handshake, the message and half of another in one piece: nothing of it is lost.
TEST(notification_and_the_first_bytes) {
    void *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(router, ZMQ_ROUTER_NOTIFY, ZMQ_NOTIFY_CONNECT);
    int fd = RAW_PEER(router);
    ZMTP_GREET(fd, 1);
    unsigned char bytes[256] = {4};
    size_t size = zmtp_ready(bytes + 2, "DEALER", "id");
    bytes[1] = (unsigned char)size;
    size += 2;
    memcpy(bytes + size, "\0\5first\0\6sec", 12);
    RAW_SEND(fd, bytes, size + 12);
    EXPECT(router, "id", "");
    EXPECT(router, "id", "first");
    RAW_SEND_LITERAL(fd, "ond");
    EXPECT(router, "id", "second");
}

// The empty message comes before the one of ZMQ_DISCONNECT_MSG.
TEST(notification_and_disconnect_message) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(router, ZMQ_ROUTER_NOTIFY, ZMQ_NOTIFY_CONNECT | ZMQ_NOTIFY_DISCONNECT);
    SET_TEXT(router, ZMQ_DISCONNECT_MSG, "gone");
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "id");
    SET_TEXT(dealer, ZMQ_HELLO_MSG, "hello");
    CONNECT(dealer, BIND(router, "tcp"));
    EXPECT(router, "id", "");
    EXPECT(router, "id", "hello");
    CLOSE(dealer);
    EXPECT(router, "id", "");
    EXPECT(router, "id", "gone");
}

TEST(no_notifications_in_one_process) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(router, ZMQ_ROUTER_NOTIFY, 3);
    CONNECT(dealer, BIND(router, "inproc"));
    EXPECT_NOTHING(router);
    CLOSE(dealer);
    EXPECT_NOTHING(router);
}

TEST(router_notify_values) {
    void *router = NEW_SOCKET(ZMQ_ROUTER);
    for (int value = -1; value < 6; value++) {
        int result = zmq_setsockopt(router, ZMQ_ROUTER_NOTIFY, &value, sizeof value);
        CHECK_EQ(result, value >= 0 && value <= 3 ? 0 : -1);
        if (result)
            CHECK_EQ(zmq_errno(), EINVAL);
    }
    CHECK_ERRNO(zmq_setsockopt(NEW_SOCKET(ZMQ_DEALER), ZMQ_ROUTER_NOTIFY, &(int){1}, sizeof(int)),
                EINVAL);
    CHECK_EQ(GET_INT(NEW_SOCKET(ZMQ_DEALER), ZMQ_ROUTER_NOTIFY), 0);
}

// ---- ZMQ_RECONNECT_STOP ------------------------------------------------------------------------

TEST(stop_when_refused) {
    void *socket = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(socket, ZMQ_RECONNECT_STOP, ZMQ_RECONNECT_STOP_CONN_REFUSED);
    CHECK_EQ(GET_INT(socket, ZMQ_RECONNECT_STOP), ZMQ_RECONNECT_STOP_CONN_REFUSED);
    SET_INT(socket, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(socket, ZMQ_EVENT_ALL);
    CONNECT(socket, unused_tcp_endpoint());
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    struct event event;
    CHECK(!event_within(mon, &event, ABSENCE_MS));
    CLOSE(mon);
}

TEST(stop_when_the_handshake_fails) {
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    void *socket = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(socket, ZMQ_RECONNECT_STOP, ZMQ_RECONNECT_STOP_HANDSHAKE_FAILED);
    SET_INT(socket, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(socket, ZMQ_EVENT_ALL);
    CONNECT(socket, endpoint);
    CHECK_OK(close(RAW_ACCEPT(listener)));
    AWAIT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    struct event event;
    CHECK(!event_within(mon, &event, ABSENCE_MS));
    CLOSE(mon);
}

TEST(stop_does_not_concern_others) {
    void *socket = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(socket, ZMQ_RECONNECT_STOP, ZMQ_RECONNECT_STOP_HANDSHAKE_FAILED);
    SET_INT(socket, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(socket, ZMQ_EVENT_ALL);
    CONNECT(socket, unused_tcp_endpoint());
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
    CLOSE(mon);
}

TEST(a_lost_connection_comes_again_all_the_same) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    SET_INT(client, ZMQ_RECONNECT_STOP,
            ZMQ_RECONNECT_STOP_HANDSHAKE_FAILED | ZMQ_RECONNECT_STOP_AFTER_DISCONNECT);
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    const char *endpoint = BIND(server, "tcp");
    CONNECT(client, endpoint);
    SEND(client, "first");
    EXPECT(server, "first");
    void *mon = MONITOR(client, ZMQ_EVENT_DISCONNECTED);
    CLOSE(server);
    AWAIT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    CLOSE(mon);
    server = NEW_SOCKET(ZMQ_SERVER);
    CHECK_OK(zmq_bind(server, endpoint));
    SEND(client, "second");
    EXPECT(server, "second");
}

TEST(stop_after_disconnect) {
    void *socket = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(socket, ZMQ_RECONNECT_STOP, ZMQ_RECONNECT_STOP_AFTER_DISCONNECT);
    SET_INT(socket, ZMQ_RECONNECT_IVL, 10);
    const char *endpoint = unused_tcp_endpoint();
    void *mon = MONITOR(socket, ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(socket, endpoint);
    EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
    CHECK_OK(zmq_disconnect(socket, endpoint));
    // Attempts come to an end.
    struct event event;
    WAIT_DRIVING(socket, !event_within(mon, &event, ABSENCE_MS));
    CLOSE(mon);
}

TEST(stop_values) {
    void *socket = NEW_SOCKET(ZMQ_DEALER);
    CHECK_EQ(GET_INT(socket, ZMQ_RECONNECT_STOP), 0);
    for (int value = -1; value < 9; value++) {
        SET_INT(socket, ZMQ_RECONNECT_STOP, value);
        CHECK_EQ(GET_INT(socket, ZMQ_RECONNECT_STOP), value);
    }
}

// ---- setting and getting -----------------------------------------------------------------------

TEST(write_only_messages) {
    static const int options[] = {ZMQ_HELLO_MSG, ZMQ_DISCONNECT_MSG, ZMQ_HICCUP_MSG, ZMQ_METADATA};
    static const int types[] = {ZMQ_PAIR, ZMQ_PUB, ZMQ_STREAM, ZMQ_CLIENT, ZMQ_SCATTER};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        void *socket = NEW_SOCKET(types[i]);
        for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
            SET_TEXT(socket, options[k], "X-a:b");
            char value[64];
            size_t size = sizeof value;
            CHECK_ERRNO(zmq_getsockopt(socket, options[k], value, &size), EINVAL);
        }
    }
}

TEST(whole_numbers) {
    static const struct {
        int option, initial, lowest;
    } rows[] = {{ZMQ_IN_BATCH_SIZE, 8192, 1}, {ZMQ_OUT_BATCH_SIZE, 8192, 1}, {ZMQ_PRIORITY, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *socket = NEW_SOCKET(ZMQ_CLIENT);
        CHECK_EQ(GET_INT(socket, rows[i].option), rows[i].initial);
        CHECK_ERRNO(zmq_setsockopt(socket, rows[i].option, &(int){rows[i].lowest - 1}, sizeof(int)),
                    EINVAL);
        SET_INT(socket, rows[i].option, rows[i].lowest);
        CHECK_EQ(GET_INT(socket, rows[i].option), rows[i].lowest);
    }
}

static int busy_poll_of(int fd) {
    int value = -1;
    socklen_t size = sizeof value;
    CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &value, &size));
    return value;
}

// The descriptors of both sides have what was set.
TEST(busy_poll) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), value = 50;
    if (setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &value, sizeof value) != 0)
        skip("the system does not let it be set");
    close(fd);
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    void *of_server = MONITOR(server, ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED);
    void *of_client = MONITOR(client, ZMQ_EVENT_CONNECTED);
    SET_INT(server, ZMQ_BUSY_POLL, 70);
    SET_INT(client, ZMQ_BUSY_POLL, 30);
    CONNECT(client, BIND(server, "tcp"));
    CHECK_EQ(busy_poll_of(EXPECT_EVENT(of_server, ZMQ_EVENT_LISTENING).value), 70);
    CHECK_EQ(busy_poll_of(EXPECT_EVENT(of_server, ZMQ_EVENT_ACCEPTED).value), 70);
    CHECK_EQ(busy_poll_of(EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECTED).value), 30);
    BOUNCE(client, server);
    // For the next connections; without it the system's own value stays.
    SET_INT(client, ZMQ_BUSY_POLL, 0);
    CONNECT(client, BIND(server, "tcp"));
    const int usual = busy_poll_of(fd = socket(AF_INET, SOCK_STREAM, 0));
    close(fd);
    CHECK_EQ(busy_poll_of(EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECTED).value), usual);
}

// What a STREAM socket hands out is what one read has brought.
TEST(parts_of_a_stream) {
    enum { TOTAL = 60000 };
    static const int sizes[] = {1, 100, 8192, 50000};
    for (int i = 0; i < 4; i++) {
        void *stream = NEW_SOCKET(ZMQ_STREAM);
        SET_INT(stream, ZMQ_IN_BATCH_SIZE, sizes[i]);
        SET_INT(stream, ZMQ_STREAM_NOTIFY, 0);
        int fd = RAW_PEER(stream);
        size_t longest = 0, wanted = sizes[i] > 100 ? 8192 : (size_t)sizes[i];
        char *bytes = calloc(1, TOTAL);
        // Once the peer is ahead of the reader, parts are as long as they may be.
        WAIT_UNTIL(({
            RAW_SEND(fd, bytes, TOTAL);
            for (size_t received = 0; received < TOTAL;) {
                CHECK(RECV(stream).more);
                const size_t size = RECV(stream).size;
                CHECK_BETWEEN(size, 1, sizes[i]);
                received += size;
                longest = size > longest ? size : longest;
            }
            longest >= wanted && (sizes[i] <= 8192 || longest > 8192);
        }));
        free(bytes);
        close(fd);
    }
}

// Whatever the sizes, everything arrives.
TEST_EACH(small_batches, EACH_TRANSPORT) {
    static const int sizes[] = {1, 100, 100000};
    for (int i = 0; i < 3; i++) {
        void *scatter = NEW_SOCKET(ZMQ_SCATTER), *gather = NEW_SOCKET(ZMQ_GATHER);
        SET_INT(scatter, ZMQ_OUT_BATCH_SIZE, sizes[i]);
        SET_INT(gather, ZMQ_IN_BATCH_SIZE, sizes[i]);
        CONNECT(scatter, BIND(gather, transport));
        static char large[20000];
        memset(large, 'x', sizeof large);
        for (int k = 0; k < 100; k++) {
            SEND(scatter, "message");
            SEND_BYTES(scatter, large, k % 2 ? 300 : sizeof large, 0);
        }
        for (int k = 0; k < 100; k++) {
            EXPECT(gather, "message");
            CHECK_EQ(RECV(gather).size, k % 2 ? 300 : sizeof large);
        }
    }
}
