// SPDX-License-Identifier: MPL-2.0
//
// ws between two sockets: endpoints, every message length masked and not, back-pressure, monitors,
// and who is let in. The socket types over ws are tested where they are over the other transports.
#include "harness.h"

#include <unistd.h>

static void make_pair(void **server, void **client) {
    *server = NEW_SOCKET(ZMQ_PAIR);
    *client = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(*client, BIND(*server, "ws"));
}

// ---- endpoints ---------------------------------------------------------------------------------

static bool starts(const char *text, const char *beginning) {
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

static bool ends(const char *text, const char *end) {
    return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

TEST(it_is_there) { CHECK_EQ(zmq_has("WS"), 1); }

TEST(bound_endpoints) {
    static const struct {
        const char *address, *start, *end;
    } rows[] = {
        {"ws://127.0.0.1:*", "ws://127.0.0.1:", "/"},
        {"ws://127.0.0.1:*/", "ws://127.0.0.1:", "/"},
        {"ws://127.0.0.1:*/path", "ws://127.0.0.1:", "/path"},
        {"ws://*:*", "ws://0.0.0.0:", "/"},
        {"ws://*:*/a", "ws://0.0.0.0:", "/a"},
        {"ws://lo:*", "ws://127.0.0.1:", "/"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
        const char *endpoint = BIND_ADDRESS(server, rows[i].address);
        CHECK(starts(endpoint, rows[i].start));
        CHECK(ends(endpoint, rows[i].end));
        CHECK(port_of(endpoint) > 0);
        char address[64];
        snprintf(address, sizeof address, "ws://127.0.0.1:%d", port_of(endpoint));
        CONNECT(client, address);
        BOUNCE(client, server);
        CHECK_OK(zmq_unbind(server, endpoint));
        CHECK_ERRNO(zmq_unbind(server, endpoint), ENOENT);
    }
}

TEST_OURS_ONLY(paths_of_several_parts, "EINVAL, or the last part alone") {
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    const char *endpoint = BIND_ADDRESS(server, "ws://127.0.0.1:*/a/b:c");
    CHECK(ends(endpoint, "/a/b:c"));
    CONNECT(client, endpoint);
    CHECK_STR(LAST_ENDPOINT(client), endpoint);
    BOUNCE(client, server);
}

// A server serves every path.
TEST(another_path) {
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    char address[64];
    int port = port_of(BIND_ADDRESS(server, "ws://127.0.0.1:*/one"));
    snprintf(address, sizeof address, "ws://127.0.0.1:%d/two", port);
    CONNECT(client, address);
    BOUNCE(client, server);
}

TEST(connected_endpoints) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    static const char *const rows[][2] = {
        {"ws://127.0.0.1:5555", "ws://127.0.0.1:5555/"},
        {"ws://localhost:5555/", "ws://localhost:5555/"},
        {"ws://127.0.0.1:5555/path", "ws://127.0.0.1:5555/path"},
        {"ws://127.0.0.1:0", "ws://127.0.0.1:0/"},
        {"ws://127.0.0.1:5x/path", "ws://127.0.0.1:5/path"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CONNECT(s, rows[i][0]);
        CHECK_STR(LAST_ENDPOINT(s), rows[i][1]);
        CHECK_OK(zmq_disconnect(s, rows[i][0]));
        CHECK_ERRNO(zmq_disconnect(s, rows[i][0]), ENOENT);
    }
}

TEST(by_name) {
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    char address[64];
    snprintf(address, sizeof address, "ws://localhost:%d/", port_of(BIND(server, "ws")));
    CONNECT(client, address);
    BOUNCE(client, server);
}

TEST(addresses_that_are_none) {
    void *s = NEW_SOCKET(ZMQ_PAIR);
    static const char *const binds[] = {"ws://127.0.0.1", "ws://127.0.0.1/path", "ws://*",
                                        "ws://127.0.0.1:x", "ws://127.0.0.1:/path", "ws:///path"};
    for (size_t i = 0; i < sizeof binds / sizeof binds[0]; i++)
        CHECK_ERRNO(zmq_bind(s, binds[i]), EINVAL);
    // Whoever binds looks up interfaces, no host names.
    static const char *const hosts[] = {"ws://no-such-interface:*", "ws://localhost:*", "ws://:*",
                                        "ws://[::1]:*"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        CHECK_ERRNO(zmq_bind(s, hosts[i]), ENODEV);
    CHECK_ERRNO(zmq_bind(s, "ws://192.0.2.1:*"), EADDRNOTAVAIL);
    static const char *const connects[] = {"ws://127.0.0.1", "ws://127.0.0.1:*", "ws://*:5555",
                                           "ws://no.such.host.invalid:5555", "ws://lo:5555",
                                           "ws://127.0.0.1:x", "ws://:5555", "ws://[::1]:5555"};
    for (size_t i = 0; i < sizeof connects / sizeof connects[0]; i++)
        CHECK_ERRNO(zmq_connect(s, connects[i]), EINVAL);
}

TEST(in_use) {
    void *first = NEW_SOCKET(ZMQ_PAIR), *second = NEW_SOCKET(ZMQ_PAIR);
    CHECK_ERRNO(zmq_bind(second, BIND(first, "ws")), EADDRINUSE);
}

TEST_OURS_ONLY(stream_sockets, "it lets them bind, to no use") {
    void *s = NEW_SOCKET(ZMQ_STREAM);
    CHECK_ERRNO(zmq_bind(s, "ws://127.0.0.1:*"), ENOCOMPATPROTO);
    CHECK_ERRNO(zmq_connect(s, "ws://127.0.0.1:5555"), ENOCOMPATPROTO);
}

TEST(reconnects) {
    void *server, *client;
    make_pair(&server, &client);
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    const char *endpoint = LAST_ENDPOINT(server);
    BOUNCE(client, server);
    void *mon = MONITOR(client, ZMQ_EVENT_DISCONNECTED);
    CLOSE(server);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    server = NEW_SOCKET(ZMQ_PAIR);
    WAIT_UNTIL(zmq_bind(server, endpoint) == 0);
    BOUNCE(client, server);
}

// ---- messages ----------------------------------------------------------------------------------

static void fill(char *body, size_t size, unsigned seed) {
    for (size_t i = 0; i < size; i++)
        body[i] = (char)(i * 31 + seed + i / 251);
}

static const size_t sizes[] = {0,    1,    2,     3,     4,     33,    123,   124,   125,  126,
                               254,  255,  256,   257,   1000,  8190,  8191,  8192,  8193, 65533,
                               65534, 65535, 65536, 65537, 99999, 1 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void send_all(void *s) {
    char *body = malloc(1 << 20);
    for (size_t i = 0; i < SIZES; i++) {
        fill(body, sizes[i], (unsigned)i);
        SEND_BYTES(s, body, sizes[i], i % 3 ? ZMQ_SNDMORE : 0);
    }
    SEND_BYTES(s, "end", 3, 0);
    free(body);
}

static void expect_all(void *s) {
    char *body = malloc(1 << 20), *got = malloc(1 << 20);
    for (size_t i = 0; i < SIZES; i++) {
        fill(body, sizes[i], (unsigned)i);
        CHECK_EQ(zmq_recv(s, got, 1 << 20, 0), (long long)sizes[i]);
        CHECK_EQ(GET_INT(s, ZMQ_RCVMORE), i % 3 != 0);
        CHECK(memcmp(body, got, sizes[i]) == 0);
    }
    EXPECT(s, "end");
    free(body);
    free(got);
}

TEST(every_length_both_ways) {
    void *server, *client;
    make_pair(&server, &client);
    for (int round = 0; round < 3; round++) {
        send_all(client);
        send_all(server);
        expect_all(server);
        expect_all(client);
    }
}

// What is masked is a copy: the message may be somebody else's as well.
TEST(masking_leaves_messages_alone) {
    void *server, *client, *inside = NEW_SOCKET(ZMQ_PAIR), *other = NEW_SOCKET(ZMQ_PAIR);
    make_pair(&server, &client);
    CONNECT(other, BIND(inside, "inproc"));
    static const size_t lengths[] = {10, 100, 10000, 1 << 20};
    for (size_t i = 0; i < 4; i++) {
        char *body = malloc(lengths[i]), *got = malloc(lengths[i]);
        fill(body, lengths[i], 7);
        zmq_msg_t first, second;
        CHECK_OK(zmq_msg_init_size(&first, lengths[i]));
        memcpy(zmq_msg_data(&first), body, lengths[i]);
        CHECK_OK(zmq_msg_init(&second));
        CHECK_OK(zmq_msg_copy(&second, &first));
        CHECK_EQ(zmq_msg_send(&first, client, 0), (long long)lengths[i]);
        CHECK_EQ(zmq_recv(server, got, lengths[i], 0), (long long)lengths[i]);
        CHECK(memcmp(got, body, lengths[i]) == 0);
        CHECK(memcmp(zmq_msg_data(&second), body, lengths[i]) == 0);
        CHECK_EQ(zmq_msg_send(&second, inside, 0), (long long)lengths[i]);
        CHECK_EQ(zmq_recv(other, got, lengths[i], 0), (long long)lengths[i]);
        CHECK(memcmp(got, body, lengths[i]) == 0);
        free(body);
        free(got);
    }
}

// ---- monitors ----------------------------------------------------------------------------------

TEST(events_of_a_listener) {
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(server, ZMQ_EVENT_ALL);
    const char *endpoint = BIND_ADDRESS(server, "ws://127.0.0.1:*/path");
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING).address, endpoint);
    CONNECT(client, endpoint);
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    CHECK_STR(event.address, endpoint);
    const int accepted = event.value;
    // For the upgrade, and for the mechanism.
    for (int i = 0; i < 2; i++) {
        event = EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        CHECK_STR(event.address, endpoint);
        CHECK_EQ(event.value, 0);
    }
    CLOSE(client);
    event = EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    CHECK_STR(event.address, endpoint);
    CHECK_EQ(event.value, accepted);
    CHECK_OK(zmq_unbind(server, endpoint));
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED).address, endpoint);
    EXPECT_NOTHING(mon);
}

TEST(events_of_a_connecter) {
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND_ADDRESS(server, "ws://127.0.0.1:*/path");
    void *mon = MONITOR(client, ZMQ_EVENT_ALL);
    SET_INT(client, ZMQ_RECONNECT_IVL, 50);
    CONNECT(client, endpoint);
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED).address, endpoint);
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED).address, endpoint);
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).address, endpoint);
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).address, endpoint);
    CLOSE(server);
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED).address, endpoint);
    CHECK_BETWEEN(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).value, 50, 99);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
}

TEST(mismatched_mechanisms) {
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(client, ZMQ_PLAIN_USERNAME, "user");
    SET_TEXT(client, ZMQ_PLAIN_PASSWORD, "password");
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    const char *endpoint = BIND(server, "ws");
    void *of_server = MONITOR(server, ZMQ_EVENT_ALL & ~ZMQ_EVENT_ACCEPTED);
    void *of_client = MONITOR(client, ZMQ_EVENT_ALL & ~ZMQ_EVENT_CONNECT_DELAYED);
    CONNECT(client, endpoint);
    CHECK_EQ(EXPECT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             ZMQ_PROTOCOL_ERROR_WS_UNSPECIFIED);
    EXPECT_EVENT(of_server, ZMQ_EVENT_DISCONNECTED);
    // The client sees the end of the connection, and tries again.
    EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECTED);
    EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    EXPECT_EVENT(of_client, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECT_RETRIED);
}

TEST(mismatched_types) {
    void *server = NEW_SOCKET(ZMQ_PULL), *client = NEW_SOCKET(ZMQ_SUB);
    const char *endpoint = BIND(server, "ws");
    void *of_client = MONITOR(client, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED);
    SET_INT(client, ZMQ_RECONNECT_IVL, 5);
    CONNECT(client, endpoint);
    EXPECT_EVENT(of_client, ZMQ_EVENT_DISCONNECTED);
    EXPECT_NOTHING(of_client);
}

// ---- who is let in -----------------------------------------------------------------------------

static void answer(void *handler, const char *status) {
    SEND_BYTES(handler, "1.0", 3, ZMQ_SNDMORE);
    SEND_BYTES(handler, "1", 1, ZMQ_SNDMORE);
    SEND_BYTES(handler, status, 3, ZMQ_SNDMORE);
    SEND_BYTES(handler, "", 0, ZMQ_SNDMORE);
    SEND_BYTES(handler, "alice", 5, ZMQ_SNDMORE);
    SEND_BYTES(handler, "", 0, 0);
}

static void check_let_in(bool plain, const char *status) {
    void *handler = NEW_SOCKET(ZMQ_REP);
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    CHECK_OK(zmq_bind(handler, "inproc://zeromq.zap.01"));
    SET_TEXT(server, ZMQ_ZAP_DOMAIN, "global");
    SET_TEXT(server, ZMQ_ROUTING_ID, "IDENT");
    if (plain) {
        SET_INT(server, ZMQ_PLAIN_SERVER, 1);
        SET_TEXT(client, ZMQ_PLAIN_USERNAME, "user");
        SET_TEXT(client, ZMQ_PLAIN_PASSWORD, "secret");
    }
    const char *endpoint = BIND(server, "ws");
    const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    void *of_server = MONITOR(server, events), *of_client = MONITOR(client, events);
    CONNECT(client, endpoint);
    EXPECT_BYTES(handler, "1.0", 3, true);
    EXPECT_BYTES(handler, "1", 1, true);
    EXPECT_BYTES(handler, "global", 6, true);
    EXPECT_BYTES(handler, "127.0.0.1", 9, true);
    EXPECT_BYTES(handler, "IDENT", 5, true);
    if (plain)
        EXPECT(handler, "PLAIN", "user", "secret");
    else
        EXPECT(handler, "NULL");
    answer(handler, status);
    EXPECT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    if (strcmp(status, "200") != 0) {
        CHECK_EQ(EXPECT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH).value, 400);
        CHECK_EQ(EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH).value, 400);
        return;
    }
    EXPECT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    SEND(client, "hello");
    CHECK_EQ(zmq_msg_recv(&message, server, 0), 5);
    CHECK_STR(zmq_msg_gets(&message, "User-Id"), "alice");
    CHECK_STR(zmq_msg_gets(&message, "Socket-Type"), "DEALER");
    CHECK_STR(zmq_msg_gets(&message, "Peer-Address"), "127.0.0.1");
    SEND(server, "hello");
    EXPECT(client, "hello");
    CHECK_OK(zmq_msg_close(&message));
}

TEST(null_accepted) { check_let_in(false, "200"); }
TEST(null_refused) { check_let_in(false, "400"); }
TEST(plain_accepted) { check_let_in(true, "200"); }
TEST(plain_refused) { check_let_in(true, "400"); }

// The server's keys of the manual page of zmq_curve.
static const char server_public[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
static const char server_secret[] = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";

static void set_curve(void *server, void *client) {
    char public_key[41], secret_key[41];
    CHECK_OK(zmq_curve_keypair(public_key, secret_key));
    SET_INT(server, ZMQ_CURVE_SERVER, 1);
    SET_TEXT(server, ZMQ_CURVE_SECRETKEY, server_secret);
    SET_TEXT(client, ZMQ_CURVE_SERVERKEY, server_public);
    SET_TEXT(client, ZMQ_CURVE_PUBLICKEY, public_key);
    SET_TEXT(client, ZMQ_CURVE_SECRETKEY, secret_key);
}

TEST(curve) {
    if (!zmq_has("curve"))
        skip("no CURVE");
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    set_curve(server, client);
    void *both[] = {server, client};
    for (int i = 0; i < 2; i++) {
        SET_INT(both[i], ZMQ_HEARTBEAT_IVL, 20);
        SET_INT(both[i], ZMQ_HEARTBEAT_TIMEOUT, DEADLINE_MS);
    }
    CONNECT(client, BIND(server, "ws"));
    for (int round = 0; round < 3; round++) {
        send_all(client);
        send_all(server);
        expect_all(server);
        expect_all(client);
    }
}

TEST_OURS_ONLY(subscriptions_inside_curve, "its PUB does not understand its SUB") {
    void *pub = NEW_SOCKET(ZMQ_PUB), *sub = NEW_SOCKET(ZMQ_SUB);
    set_curve(pub, sub);
    SET_TEXT(sub, ZMQ_SUBSCRIBE, "news");
    CONNECT(sub, BIND(pub, "ws"));
    SYNC_PUBSUB(pub, sub);
    SEND(pub, "other");
    SEND(pub, "news!");
    EXPECT(sub, "news!");
}
