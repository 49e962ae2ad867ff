// SPDX-License-Identifier: MPL-2.0
//
// Who is let in: NULL with a ZAP domain, PLAIN, CURVE, and what a ZAP handler may answer (RFC 24,
// 27). More of CURVE is in test_curve.c.
#include "harness.h"

#include <unistd.h>

enum { ZAP_ENFORCE_DOMAIN = 93 };

static const char HANDLER[] = "inproc://zeromq.zap.01";
static const char METADATA[] = "\5Hello\0\0\0\5World\4Note\0\0\0\2ok";

// Of the manual page of zmq_curve.
static const char SERVER_PUBLIC[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
static const char SERVER_SECRET[] = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";
static const char CLIENT_PUBLIC[] = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
static const char CLIENT_SECRET[] = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

// A server, a client, and the handler of the server's context. The test plays the handler itself.
struct scene {
    void *handler, *server, *client, *of_server, *of_client;
    const char *endpoint, *mechanism;
};

static void set_credentials(void *client, const char *name, const char *password) {
    SET_TEXT(client, ZMQ_PLAIN_USERNAME, name);
    SET_TEXT(client, ZMQ_PLAIN_PASSWORD, password);
}

// Has a client use the mechanism.
static void be_client(void *client, const char *mechanism) {
    if (strcmp(mechanism, "PLAIN") == 0)
        set_credentials(client, "user", "secret");
    if (strcmp(mechanism, "CURVE") == 0) {
        SET_TEXT(client, ZMQ_CURVE_SERVERKEY, SERVER_PUBLIC);
        SET_TEXT(client, ZMQ_CURVE_PUBLICKEY, CLIENT_PUBLIC);
        SET_TEXT(client, ZMQ_CURVE_SECRETKEY, CLIENT_SECRET);
    }
}

static struct scene make_scene(const char *mechanism, const char *transport) {
    struct scene scene = {.mechanism = mechanism};
    scene.handler = NEW_SOCKET(ZMQ_REP);
    CHECK_OK(zmq_bind(scene.handler, HANDLER));
    scene.server = NEW_SOCKET(ZMQ_DEALER);
    scene.client = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(scene.server, ZMQ_ZAP_DOMAIN, "global");
    SET_TEXT(scene.server, ZMQ_ROUTING_ID, "IDENT");
    if (strcmp(mechanism, "PLAIN") == 0)
        SET_INT(scene.server, ZMQ_PLAIN_SERVER, 1);
    if (strcmp(mechanism, "CURVE") == 0) {
        if (!zmq_has("curve"))
            skip("no CURVE");
        SET_INT(scene.server, ZMQ_CURVE_SERVER, 1);
        SET_TEXT(scene.server, ZMQ_CURVE_SECRETKEY, SERVER_SECRET);
    }
    be_client(scene.client, mechanism);
    const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                       ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED;
    scene.endpoint = BIND(scene.server, transport);
    scene.of_server = MONITOR(scene.server, events);
    scene.of_client = MONITOR(scene.client, events);
    return scene;
}

static void expect_question(const struct scene *scene) {
    EXPECT_BYTES(scene->handler, "1.0", 3, true);
    EXPECT_BYTES(scene->handler, "1", 1, true);
    EXPECT_BYTES(scene->handler, "global", 6, true);
    CHECK(RECV(scene->handler).more); // the address
    EXPECT_BYTES(scene->handler, "IDENT", 5, true);
    if (strcmp(scene->mechanism, "NULL") == 0)
        EXPECT(scene->handler, "NULL");
    else if (strcmp(scene->mechanism, "PLAIN") == 0)
        EXPECT(scene->handler, "PLAIN", "user", "secret");
    else {
        unsigned char key[32];
        CHECK(zmq_z85_decode(key, CLIENT_PUBLIC) != NULL);
        EXPECT_BYTES(scene->handler, "CURVE", 5, true);
        EXPECT_BYTES(scene->handler, key, sizeof key, false);
    }
}

static void answer(void *handler, const char *status, const char *user) {
    SEND_BYTES(handler, "1.0", 3, ZMQ_SNDMORE);
    SEND_BYTES(handler, "1", 1, ZMQ_SNDMORE);
    SEND_BYTES(handler, status, strlen(status), ZMQ_SNDMORE);
    SEND_BYTES(handler, "text", 4, ZMQ_SNDMORE);
    SEND_BYTES(handler, user, strlen(user), ZMQ_SNDMORE);
    SEND_BYTES(handler, METADATA, sizeof METADATA - 1, 0);
}

#define EACH_MECHANISM "NULL", "PLAIN", "CURVE"

// ---- let in ------------------------------------------------------------------------------------

// Parameters here are mechanisms, although the harness calls them transports.
TEST_EACH(accepted, EACH_MECHANISM) {
    struct scene scene = make_scene(transport, "tcp");
    CONNECT(scene.client, scene.endpoint);
    // Sent before it is known whether the server will have it.
    SEND(scene.client, "early");
    expect_question(&scene);
    answer(scene.handler, "200", "alice");
    EXPECT(scene.server, "early");
    SEND(scene.server, "answer");
    EXPECT(scene.client, "answer");
    CHECK_EQ(EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).value, 0);
    CHECK_EQ(EXPECT_EVENT(scene.of_client, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).value, 0);
}

// The address: of ipc peers their credentials, as the server sees them, too.
TEST_EACH(address_and_properties, EACH_STREAM) {
    struct scene scene = make_scene("PLAIN", transport);
    CONNECT(scene.client, scene.endpoint);
    EXPECT_BYTES(scene.handler, "1.0", 3, true);
    EXPECT_BYTES(scene.handler, "1", 1, true);
    EXPECT_BYTES(scene.handler, "global", 6, true);
    struct frame address = RECV(scene.handler);
    char expected[64] = "127.0.0.1";
    if (strcmp(transport, "ipc") == 0)
        snprintf(expected, sizeof expected, "localhost:%d:%d:%d", getuid(), getgid(), getpid());
    CHECK_BYTES(address.data, address.size, expected, strlen(expected));
    EXPECT(scene.handler, "IDENT", "PLAIN", "user", "secret");
    answer(scene.handler, "200", "alice");
    SEND(scene.client, "hello");
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, scene.server, 0), 5);
    CHECK_STR(zmq_msg_gets(&message, "User-Id"), "alice");
    CHECK_STR(zmq_msg_gets(&message, "Hello"), "World");
    CHECK_STR(zmq_msg_gets(&message, "Note"), "ok");
    CHECK_STR(zmq_msg_gets(&message, "Socket-Type"), "DEALER");
    CHECK_STR(zmq_msg_gets(&message, "Identity"), "");
    CHECK_STR(zmq_msg_gets(&message, "Peer-Address"), (char *)address.data);
    CHECK_NULL_ERRNO(zmq_msg_gets(&message, "Other"), EINVAL);
    // Nobody has said anything about the server.
    SEND(scene.server, "hello");
    CHECK_EQ(zmq_msg_recv(&message, scene.client, 0), 5);
    CHECK_STR(zmq_msg_gets(&message, "Identity"), "IDENT");
    CHECK_NULL_ERRNO(zmq_msg_gets(&message, "User-Id"), EINVAL);
    CHECK_NULL_ERRNO(zmq_msg_gets(&message, "Hello"), EINVAL);
    CHECK_OK(zmq_msg_close(&message));
}

TEST(the_handler_overrules_the_peer) {
    struct scene scene = make_scene("NULL", "tcp");
    CONNECT(scene.client, scene.endpoint);
    expect_question(&scene);
    static const char metadata[] = "\10Identity\0\0\0\4boss\14Peer-Address\0\0\0\1x";
    SEND_BYTES(scene.handler, "1.0", 3, ZMQ_SNDMORE);
    SEND_BYTES(scene.handler, "1", 1, ZMQ_SNDMORE);
    SEND_BYTES(scene.handler, "200", 3, ZMQ_SNDMORE);
    SEND_BYTES(scene.handler, "", 0, ZMQ_SNDMORE);
    SEND_BYTES(scene.handler, "", 0, ZMQ_SNDMORE);
    SEND_BYTES(scene.handler, metadata, sizeof metadata - 1, 0);
    SEND(scene.client, "hello");
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, scene.server, 0), 5);
    CHECK_STR(zmq_msg_gets(&message, "Identity"), "boss");
    CHECK_STR(zmq_msg_gets(&message, "Peer-Address"), "127.0.0.1");
    CHECK_STR(zmq_msg_gets(&message, "User-Id"), "");
    CHECK_OK(zmq_msg_close(&message));
}

// A ROUTER can ask around before it answers, in any order.
TEST(a_router_as_handler) {
    void *handler = NEW_SOCKET(ZMQ_ROUTER), *server = NEW_SOCKET(ZMQ_PULL), *clients[3];
    CHECK_OK(zmq_bind(handler, HANDLER));
    SET_INT(server, ZMQ_PLAIN_SERVER, 1);
    const char *endpoint = BIND(server, "tcp");
    static const char *const names[] = {"one", "two", "three"};
    struct frame ids[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = NEW_SOCKET(ZMQ_PUSH);
        SET_TEXT(clients[i], ZMQ_PLAIN_USERNAME, names[i]);
        CONNECT(clients[i], endpoint);
        SEND(clients[i], names[i]);
        ids[i] = RECV(handler);
        EXPECT(handler, "", "1.0", "1", "", "127.0.0.1", "", "PLAIN", names[i], "");
    }
    EXPECT_NOTHING(server);
    for (int i = 2; i >= 0; i--) {
        SEND_FRAME(handler, ids[i], ZMQ_SNDMORE);
        SEND(handler, "", "1.0", "1", "200", "", names[i], "");
        EXPECT(server, names[i]);
    }
}

// Its high-water marks are not those of its requests.
TEST(a_handler_with_a_mark_of_1) {
    enum { CLIENTS = 10 };
    void *handler = NEW_SOCKET(ZMQ_ROUTER), *server = NEW_SOCKET(ZMQ_PULL);
    SET_INT(handler, ZMQ_RCVHWM, 1);
    SET_INT(handler, ZMQ_SNDHWM, 1);
    CHECK_OK(zmq_bind(handler, HANDLER));
    SET_INT(server, ZMQ_PLAIN_SERVER, 1);
    const char *endpoint = BIND(server, "tcp");
    for (int i = 0; i < CLIENTS; i++) {
        void *client = NEW_SOCKET(ZMQ_PUSH);
        set_credentials(client, "user", "secret");
        CONNECT(client, endpoint);
        SEND(client, "hello");
    }
    struct frame ids[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        ids[i] = RECV(handler);
        EXPECT(handler, "", "1.0", "1", "", "127.0.0.1", "", "PLAIN", "user", "secret");
    }
    for (int i = 0; i < CLIENTS; i++) {
        SEND_FRAME(handler, ids[i], ZMQ_SNDMORE);
        SEND(handler, "", "1.0", "1", "200", "", "alice", "");
    }
    for (int i = 0; i < CLIENTS; i++)
        EXPECT(server, "hello");
}

TEST(a_long_user_id) {
    struct scene scene = make_scene("NULL", "tcp");
    CONNECT(scene.client, scene.endpoint);
    expect_question(&scene);
    static char user[100001];
    memset(user, 'u', sizeof user - 1);
    answer(scene.handler, "200", user);
    SEND(scene.client, "hello");
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, scene.server, 0), 5);
    CHECK_STR(zmq_msg_gets(&message, "User-Id"), user);
    CHECK_OK(zmq_msg_close(&message));
}

// Both sides may ask, each about the other.
TEST(a_client_that_asks) {
    struct scene scene = make_scene("NULL", "tcp");
    SET_TEXT(scene.client, ZMQ_ZAP_DOMAIN, "global");
    SET_TEXT(scene.client, ZMQ_ROUTING_ID, "IDENT");
    CONNECT(scene.client, scene.endpoint);
    for (int i = 0; i < 2; i++) {
        expect_question(&scene);
        answer(scene.handler, "200", "alice");
    }
    BOUNCE(scene.server, scene.client);
}

TEST(no_domain_no_question) {
    struct scene scene = make_scene("NULL", "tcp");
    void *server = NEW_SOCKET(ZMQ_DEALER);
    CONNECT(scene.client, BIND(server, "tcp"));
    BOUNCE(server, scene.client);
    EXPECT_NOTHING(scene.handler);
}

// ---- not let in --------------------------------------------------------------------------------

// The client is told, and does not come back.
static void refused_for_good(const char *mechanism, const char *status) {
    struct scene scene = make_scene(mechanism, "tcp");
    CONNECT(scene.client, scene.endpoint);
    SEND(scene.client, "hello");
    expect_question(&scene);
    answer(scene.handler, status, "alice");
    CHECK_EQ(EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH).value, atoi(status));
    CHECK_EQ(EXPECT_EVENT(scene.of_client, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH).value, atoi(status));
    EXPECT_EVENT(scene.of_client, ZMQ_EVENT_DISCONNECTED);
    AWAIT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
    struct event event;
    CHECK(!event_within(scene.of_client, &event, 250));
    EXPECT_NOTHING(scene.handler);
    EXPECT_NOTHING(scene.server);
}

TEST_EACH(status_400, EACH_MECHANISM) { refused_for_good(transport, "400"); }

TEST_EACH(status_500, EACH_MECHANISM) { refused_for_good(transport, "500"); }

// Not now: the client may try again.
TEST_EACH_OURS_ONLY(status_300, "the connection idles until its time is over", EACH_MECHANISM) {
    struct scene scene = make_scene(transport, "tcp");
    CONNECT(scene.client, scene.endpoint);
    expect_question(&scene);
    answer(scene.handler, "300", "alice");
    CHECK_EQ(EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH).value, 300);
    EXPECT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(scene.of_client, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    EXPECT_EVENT(scene.of_client, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(scene.of_client, ZMQ_EVENT_CONNECT_RETRIED);
    expect_question(&scene);
    answer(scene.handler, "200", "alice");
    BOUNCE(scene.server, scene.client);
}

TEST_EACH(malformed_replies, EACH_MECHANISM) {
    static const struct {
        const char *parts[10];
        int error;
    } rows[] = {
        {{"2.0", "1", "200", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_BAD_VERSION},
        {{"", "1", "200", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_BAD_VERSION},
        {{"1.0", "2", "200", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_BAD_REQUEST_ID},
        {{"1.0", "11", "200", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_BAD_REQUEST_ID},
        {{"1.0", "1", "", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_INVALID_STATUS_CODE},
        {{"1.0", "1", "100", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_INVALID_STATUS_CODE},
        {{"1.0", "1", "201", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_INVALID_STATUS_CODE},
        {{"1.0", "1", "20", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_INVALID_STATUS_CODE},
        {{"1.0", "1", "0200", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_INVALID_STATUS_CODE},
        {{"1.0", "1", "600", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_INVALID_STATUS_CODE},
        {{"1.0", "1", "2000", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_INVALID_STATUS_CODE},
        {{"1.0", "1", "200", "", "", "x"}, ZMQ_PROTOCOL_ERROR_ZAP_INVALID_METADATA},
        {{"1.0", "1", "400", "", "", "x"}, ZMQ_PROTOCOL_ERROR_ZAP_INVALID_METADATA},
        // Of several faults the first one.
        {{"2.0", "2", "201", "", "", "x"}, ZMQ_PROTOCOL_ERROR_ZAP_BAD_VERSION},
        {{"1.0", "2", "201", "", "", "x"}, ZMQ_PROTOCOL_ERROR_ZAP_BAD_REQUEST_ID},
        {{"1.0", "1", "201", "", "", "x"}, ZMQ_PROTOCOL_ERROR_ZAP_INVALID_STATUS_CODE},
        {{"1.0", "1", "200", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_MALFORMED_REPLY},
        {{"1.0"}, ZMQ_PROTOCOL_ERROR_ZAP_MALFORMED_REPLY},
        {{"1.0", "1", "200", "", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_MALFORMED_REPLY},
        {{"1.0", "1", "200", "", "", "", "", "", ""}, ZMQ_PROTOCOL_ERROR_ZAP_MALFORMED_REPLY},
    };
    struct scene scene = make_scene(transport, "tcp");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *client = NEW_SOCKET(ZMQ_DEALER);
        SET_INT(client, ZMQ_RECONNECT_IVL, -1);
        be_client(client, transport);
        CONNECT(client, scene.endpoint);
        expect_question(&scene);
        send_parts(scene.handler, rows[i].parts);
        CHECK_EQ(EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
                 rows[i].error);
        // libzmq sometimes leaves it to the client to close a connection with NULL.
        if (reference_library())
            CLOSE(client);
        AWAIT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
        if (!reference_library())
            CLOSE(client);
    }
    CONNECT(scene.client, scene.endpoint);
    expect_question(&scene);
    answer(scene.handler, "200", "alice");
    BOUNCE(scene.server, scene.client);
}

TEST(a_reply_without_delimiter) {
    void *handler = NEW_SOCKET(ZMQ_ROUTER), *server = NEW_SOCKET(ZMQ_PULL);
    void *client = NEW_SOCKET(ZMQ_PUSH);
    CHECK_OK(zmq_bind(handler, HANDLER));
    SET_TEXT(server, ZMQ_ZAP_DOMAIN, "global");
    const char *endpoint = BIND(server, "tcp");
    void *mon = MONITOR(server, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    CONNECT(client, endpoint);
    struct frame id = RECV(handler);
    EXPECT(handler, "", "1.0", "1", "global", "127.0.0.1", "", "NULL");
    SEND_FRAME(handler, id, ZMQ_SNDMORE);
    SEND(handler, "x", "1.0", "1", "200", "", "", "");
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             ZMQ_PROTOCOL_ERROR_ZAP_UNSPECIFIED);
}

// Nothing may come behind READY while the handler thinks.
TEST(a_second_command_before_the_answer) {
    struct scene scene = make_scene("NULL", "tcp");
    static const char ready[] = "\5READY\13Socket-Type\0\0\0\6DEALER";
    static const char *const second[] = {ready, "\5ERROR\003400", "\4PING\1\1"};
    static const size_t sizes[] = {sizeof ready - 1, 10, 7};
    for (int i = 0; i < 3; i++) {
        int fd = RAW_CONNECT(scene.endpoint);
        ZMTP_GREET(fd, 1);
        ZMTP_SEND(fd, 4, ready, sizeof ready - 1);
        expect_question(&scene);
        ZMTP_SEND(fd, 4, second[i], sizes[i]);
        CHECK_EQ(EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
                 ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND);
        EXPECT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(fd);
        answer(scene.handler, "200", "alice");
        EXPECT_NOTHING(scene.of_server);
        close(fd);
    }
}

// ---- handlers that are missing, silent, or leave -----------------------------------------------

TEST_EACH(null_without_a_handler_is_open, EACH_STREAM, "ws") {
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(server, ZMQ_ZAP_DOMAIN, "global");
    CONNECT(client, BIND(server, transport));
    BOUNCE(server, client);
}

TEST(null_without_a_handler_enforced) {
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    int on = 1;
    if (zmq_setsockopt(server, ZAP_ENFORCE_DOMAIN, &on, sizeof on) != 0)
        skip("no ZMQ_ZAP_ENFORCE_DOMAIN");
    SET_TEXT(server, ZMQ_ZAP_DOMAIN, "global");
    const char *endpoint = BIND(server, "tcp");
    void *mon = MONITOR(server, ZMQ_EVENT_ALL);
    CONNECT(client, endpoint);
    SEND(client, "hello");
    CHECK_EQ(AWAIT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EFAULT);
    EXPECT_NOTHING(server);
}

// It comes late, and lets the client in at its next attempt.
TEST_OURS_ONLY(plain_waits_for_a_handler, "under a monitor the connection idles") {
    struct scene scene = make_scene("PLAIN", "tcp");
    CHECK_OK(zmq_unbind(scene.handler, HANDLER));
    SET_INT(scene.client, ZMQ_RECONNECT_IVL, 10);
    CONNECT(scene.client, scene.endpoint);
    CHECK_EQ(EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EFAULT);
    EXPECT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
    void *handler = NEW_SOCKET(ZMQ_REP);
    WAIT_UNTIL(zmq_bind(handler, HANDLER) == 0);
    scene.handler = handler;
    expect_question(&scene);
    answer(scene.handler, "200", "alice");
    BOUNCE(scene.server, scene.client);
}

// The time for a handshake runs on while the handler thinks.
TEST_EACH(a_silent_handler, EACH_MECHANISM) {
    struct scene scene = make_scene(transport, "tcp");
    CHECK_OK(zmq_unbind(scene.server, scene.endpoint));
    SET_INT(scene.server, ZMQ_HANDSHAKE_IVL, 150);
    SET_INT(scene.client, ZMQ_HANDSHAKE_IVL, 10000);
    scene.endpoint = BIND(scene.server, "tcp");
    CONNECT(scene.client, scene.endpoint);
    expect_question(&scene);
    CHECK_EQ(EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EAGAIN);
    EXPECT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(scene.of_client, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    // The answer comes too late; that to a later attempt in time.
    answer(scene.handler, "200", "alice");
    SEND(scene.client, "at last");
    while (!shows_events(scene.server, ZMQ_POLLIN, 5))
        if (shows_events(scene.handler, ZMQ_POLLIN, 0)) {
            expect_question(&scene);
            answer(scene.handler, "200", "alice");
        }
    EXPECT(scene.server, "at last");
}

TEST_EACH(a_handler_that_closes, EACH_MECHANISM) {
    struct scene scene = make_scene(transport, "tcp");
    CHECK_OK(zmq_unbind(scene.server, scene.endpoint));
    SET_INT(scene.server, ZMQ_HANDSHAKE_IVL, 150);
    scene.endpoint = BIND(scene.server, "tcp");
    CONNECT(scene.client, scene.endpoint);
    SEND(scene.client, "hello");
    expect_question(&scene);
    SEND_BYTES(scene.handler, "1.0", 3, ZMQ_SNDMORE);
    CLOSE(scene.handler);
    EXPECT_NOTHING(scene.server);
    EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    EXPECT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
}

// One that never looks at its requests holds nobody else up, and the context ends.
TEST(a_handler_that_does_not_look) {
    struct scene scene = make_scene("PLAIN", "tcp");
    void *other = NEW_SOCKET(ZMQ_DEALER), *friend = NEW_SOCKET(ZMQ_DEALER);
    CONNECT(scene.client, scene.endpoint);
    WAIT_EVENTS(scene.handler, ZMQ_POLLIN);
    CONNECT(friend, BIND(other, "tcp"));
    BOUNCE(other, friend);
    EXPECT_NOTHING(scene.server);
}

TEST_EACH(a_client_that_leaves, EACH_MECHANISM) {
    struct scene scene = make_scene(transport, "tcp");
    CONNECT(scene.client, scene.endpoint);
    expect_question(&scene);
    CLOSE(scene.of_client);
    CLOSE(scene.client);
    EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    EXPECT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
    answer(scene.handler, "200", "alice");
    struct event event;
    CHECK(!event_within(scene.of_server, &event, ABSENCE_MS));
}

TEST_EACH(a_server_that_closes, EACH_MECHANISM) {
    struct scene scene = make_scene(transport, "tcp");
    CONNECT(scene.client, scene.endpoint);
    expect_question(&scene);
    CLOSE(scene.of_server);
    CLOSE(scene.server);
    answer(scene.handler, "200", "alice");
}

// ---- PLAIN on the wire -------------------------------------------------------------------------

static const char HELLO[] = "\5HELLO\4user\6secret";
static const char INITIATE[] = "\10INITIATE\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\0";
static const char READY[] = "\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\5IDENT";

static void greet_plain(int fd) {
    unsigned char greeting[64], theirs[64];
    zmtp_greeting(greeting, 3, 1, "PLAIN");
    raw_send(fd, greeting, sizeof greeting);
    raw_read(fd, theirs, sizeof theirs);
    check_bytes(theirs + 9, 55, greeting + 9, 55, "the greeting after its signature");
}

TEST(bytes_of_a_server) {
    struct scene scene = make_scene("PLAIN", "tcp");
    int fd = RAW_CONNECT(scene.endpoint);
    greet_plain(fd);
    RAW_EXPECT_SILENT(fd);
    ZMTP_SEND(fd, 4, HELLO, sizeof HELLO - 1);
    expect_question(&scene);
    RAW_EXPECT_SILENT(fd);
    answer(scene.handler, "200", "alice");
    ZMTP_EXPECT_LITERAL(fd, 4, "\7WELCOME");
    RAW_EXPECT_SILENT(fd);
    ZMTP_SEND(fd, 4, INITIATE, sizeof INITIATE - 1);
    ZMTP_EXPECT(fd, 4, READY, sizeof READY - 1);
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    EXPECT(scene.server, "hello");
    SEND(scene.server, "world");
    ZMTP_EXPECT_LITERAL(fd, 0, "world");
}

TEST(bytes_of_a_client) {
    void *client = NEW_SOCKET(ZMQ_DEALER);
    set_credentials(client, "user", "secret");
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    CONNECT(client, endpoint);
    int fd = RAW_ACCEPT(listener);
    greet_plain(fd);
    ZMTP_EXPECT(fd, 4, HELLO, sizeof HELLO - 1);
    RAW_EXPECT_SILENT(fd);
    ZMTP_SEND_LITERAL(fd, 4, "\7WELCOME");
    ZMTP_EXPECT(fd, 4, INITIATE, sizeof INITIATE - 1);
    ZMTP_SEND(fd, 4, READY, sizeof READY - 1);
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    EXPECT(client, "hello");
}

TEST(error_on_the_wire) {
    static const char *const statuses[] = {"400", "500"};
    for (int i = 0; i < 2; i++) {
        struct scene scene = make_scene("PLAIN", "tcp");
        int fd = RAW_CONNECT(scene.endpoint);
        greet_plain(fd);
        ZMTP_SEND(fd, 4, HELLO, sizeof HELLO - 1);
        expect_question(&scene);
        answer(scene.handler, statuses[i], "alice");
        // Not ERROR: in C, the E belongs to the \x05 of libzmq's source, which makes it a 5E.
        char error[] = "^RROR\003x00";
        error[6] = statuses[i][0];
        ZMTP_EXPECT(fd, 4, error, sizeof error - 1);
        END_CONTEXT();
    }
}

// What a peer says to a server: the event, and whether the handler is bothered.
TEST(malformed_commands_to_a_server) {
    static const struct {
        const char *body;
        size_t size;
        int error;
    } rows[] = {
#define ROW(text, name) {text, sizeof text - 1, ZMQ_PROTOCOL_ERROR_ZMTP_##name}
        ROW("", MALFORMED_COMMAND_UNSPECIFIED),
        ROW("\5", MALFORMED_COMMAND_UNSPECIFIED),
        ROW("\5HELL", MALFORMED_COMMAND_UNSPECIFIED),
        ROW("\5HELLX", UNEXPECTED_COMMAND),
        ROW("\5READY", UNEXPECTED_COMMAND),
        ROW("\7WELCOME", UNEXPECTED_COMMAND),
        ROW("\10INITIATE", UNEXPECTED_COMMAND),
        ROW("\5ERROR\003400", UNEXPECTED_COMMAND),
        ROW("\5HELLO", MALFORMED_COMMAND_HELLO),
        ROW("\5HELLO\0", MALFORMED_COMMAND_HELLO),
        ROW("\5HELLO\4use", MALFORMED_COMMAND_HELLO),
        ROW("\5HELLO\4user", MALFORMED_COMMAND_HELLO),
        ROW("\5HELLO\4user\6secre", MALFORMED_COMMAND_HELLO),
        ROW("\5HELLO\4user\6secret!", MALFORMED_COMMAND_HELLO),
    };
    struct scene scene = make_scene("PLAIN", "tcp");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int fd = RAW_CONNECT(scene.endpoint);
        greet_plain(fd);
        ZMTP_SEND(fd, 4, rows[i].body, rows[i].size);
        struct event event = EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
        if (event.value != rows[i].error)
            fail("row %zu: event value %x, not %x", i, event.value, rows[i].error);
        EXPECT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(fd);
        close(fd);
    }
    EXPECT_NOTHING(scene.handler);
}

TEST(malformed_commands_after_welcome) {
    static const struct {
        const char *body;
        size_t size;
        int error; // 0 for no event but DISCONNECTED
    } rows[] = {
        ROW("", UNEXPECTED_COMMAND),
        ROW("\10INITIATX", UNEXPECTED_COMMAND),
        ROW("\5HELLO\4user\6secret", UNEXPECTED_COMMAND),
        {"\10INITIATE\1", 10, 0},
        {"\10INITIATE\13Socket-Type\0\0\0\3SUB", 28, 0},
    };
    struct scene scene = make_scene("PLAIN", "tcp");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int fd = RAW_CONNECT(scene.endpoint);
        greet_plain(fd);
        ZMTP_SEND(fd, 4, HELLO, sizeof HELLO - 1);
        expect_question(&scene);
        answer(scene.handler, "200", "alice");
        ZMTP_EXPECT_LITERAL(fd, 4, "\7WELCOME");
        ZMTP_SEND(fd, 4, rows[i].body, rows[i].size);
        if (rows[i].error != 0)
            CHECK_EQ(EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
                     rows[i].error);
        EXPECT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(fd);
        close(fd);
    }
}

TEST(initiate_before_welcome) {
    struct scene scene = make_scene("PLAIN", "tcp");
    int fd = RAW_CONNECT(scene.endpoint);
    greet_plain(fd);
    ZMTP_SEND(fd, 4, HELLO, sizeof HELLO - 1);
    expect_question(&scene);
    ZMTP_SEND(fd, 4, INITIATE, sizeof INITIATE - 1);
    CHECK_EQ(EXPECT_EVENT(scene.of_server, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             ZMQ_PROTOCOL_ERROR_ZMTP_UNSPECIFIED);
    EXPECT_EVENT(scene.of_server, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
    answer(scene.handler, "200", "alice");
}

// What a peer says to a client, which never comes back.
TEST(malformed_commands_to_a_client) {
    static const struct {
        const char *body;
        size_t size;
        bool welcomed;
        int event, value;
    } rows[] = {
#define CLIENT_ROW(text, welcomed, name)                                                           \
    {text, sizeof text - 1, welcomed, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,                         \
     ZMQ_PROTOCOL_ERROR_ZMTP_##name}
        CLIENT_ROW("", false, UNEXPECTED_COMMAND),
        CLIENT_ROW("\7WELCOM", false, UNEXPECTED_COMMAND),
        CLIENT_ROW("\7WELCOME!", false, MALFORMED_COMMAND_WELCOME),
        CLIENT_ROW("\5HELLO\4user\6secret", false, UNEXPECTED_COMMAND),
        CLIENT_ROW("\5READY", false, UNEXPECTED_COMMAND),
        CLIENT_ROW("^RROR", false, MALFORMED_COMMAND_ERROR),
        CLIENT_ROW("^RROR\00340", false, MALFORMED_COMMAND_ERROR),
        {"^RROR\003400", 9, false, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, 400},
        {"^RROR\003500", 9, true, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, 500},
        {"^RROR\004late", 10, false, 0, 0},
        CLIENT_ROW("\7WELCOME", true, UNEXPECTED_COMMAND),
        CLIENT_ROW("\5READY\1", true, INVALID_METADATA),
        CLIENT_ROW("\5READY\13Socket-Type\0\0\0\3SUB", true, INVALID_METADATA),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *client = NEW_SOCKET(ZMQ_DEALER);
        set_credentials(client, "user", "secret");
        SET_INT(client, ZMQ_RECONNECT_IVL, 10);
        void *mon = MONITOR(client, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_DISCONNECTED |
                                        ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                                        ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                        ZMQ_EVENT_CONNECT_RETRIED);
        char endpoint[64];
        int listener = RAW_LISTEN(endpoint);
        CONNECT(client, endpoint);
        int fd = RAW_ACCEPT(listener);
        greet_plain(fd);
        ZMTP_EXPECT(fd, 4, HELLO, sizeof HELLO - 1);
        if (rows[i].welcomed) {
            ZMTP_SEND_LITERAL(fd, 4, "\7WELCOME");
            ZMTP_RECV(fd);
        }
        ZMTP_SEND(fd, 4, rows[i].body, rows[i].size);
        if (rows[i].event != 0) {
            struct event event = NEXT_EVENT(mon);
            if (event.event != rows[i].event || event.value != rows[i].value)
                fail("row %zu: %s %x", i, event_name(event.event), event.value);
        }
        // There libzmq goes by whatever errno the monitor has left, and may wait.
        if (!reference_library() || rows[i].value != ZMQ_PROTOCOL_ERROR_ZMTP_INVALID_METADATA) {
            EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
            struct event event;
            CHECK(!event_within(mon, &event, 30));
            RAW_EXPECT_CLOSED(fd);
        }
        close(fd);
        close(listener);
        CLOSE(mon);
        CLOSE(client);
    }
}

TEST_OURS_ONLY(error_as_the_rfc_writes_it, "it knows the command under a misspelt name only") {
    void *client = NEW_SOCKET(ZMQ_DEALER);
    set_credentials(client, "user", "secret");
    void *mon = MONITOR(client, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    CONNECT(client, endpoint);
    int fd = RAW_ACCEPT(listener);
    greet_plain(fd);
    ZMTP_EXPECT(fd, 4, HELLO, sizeof HELLO - 1);
    ZMTP_SEND_LITERAL(fd, 4, "\5ERROR\003400");
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH).value, 400);
}

TEST(two_plain_clients) {
    void *one = NEW_SOCKET(ZMQ_DEALER), *other = NEW_SOCKET(ZMQ_DEALER);
    set_credentials(one, "user", "secret");
    set_credentials(other, "user", "secret");
    const char *endpoint = BIND(one, "tcp");
    void *mon = MONITOR(one, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    CONNECT(other, endpoint);
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND);
}

TEST(two_plain_servers) {
    struct scene scene = make_scene("PLAIN", "tcp");
    void *other = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(other, ZMQ_PLAIN_SERVER, 1);
    SET_INT(other, ZMQ_HANDSHAKE_IVL, 100);
    void *mon = MONITOR(other, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    CONNECT(other, scene.endpoint);
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EAGAIN);
    EXPECT_NOTHING(scene.handler);
}
