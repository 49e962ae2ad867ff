// SPDX-License-Identifier: MPL-2.0
//
// CURVE byte by byte (RFC 26), and what peers may do wrong.
#include "curve.h"

TEST(bytes_of_a_server) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    struct peer peer = connect_peer(&scene);
    RAW_EXPECT_SILENT(peer.fd);
    say_hello(&peer);
    RAW_EXPECT_SILENT(peer.fd);
    say_initiate(&peer);
    read_ready(&peer, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1);
    EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    SAY(&peer, 1, "hello");
    SAY(&peer, 0, "");
    EXPECT(scene.server, "hello", "");
    SEND(scene.server, "", "world");
    HEAR(&peer, 1, "");
    HEAR(&peer, 0, "world");
    SAY(&peer, 2, "\4PING\0\0abc");
    HEAR(&peer, 2, "\4PONGabc");
    // Unknown commands are nobody's.
    SAY(&peer, 2, "\3WHO");
    // A gap in the counters is allowed.
    peer.sent += 1000;
    SAY(&peer, 0, "last");
    EXPECT(scene.server, "last");
}

TEST(bytes_of_a_client) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    SET_TEXT(scene.client, ZMQ_ROUTING_ID, "me");
    struct peer peer = accept_client(&scene, 1);
    welcome_client(&peer);
    static const char properties[] = "\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\2me";
    read_initiate(&peer, properties, sizeof properties - 1);
    RAW_EXPECT_SILENT(peer.fd);
    say_ready(&peer, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1);
    EXPECT_EVENT(scene.client_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    SEND(scene.client, "hello", "you");
    HEAR(&peer, 1, "hello");
    HEAR(&peer, 0, "you");
    SAY(&peer, 1, "world");
    SAY(&peer, 0, "");
    EXPECT(scene.client, "world", "");
}

// To a peer of 3.1 a subscription is a command, to one of 3.0 a message.
TEST(subscriptions_on_the_wire) {
    static const char publisher[] = "\13Socket-Type\0\0\0\3PUB";
    static const char subscriber[] = "\13Socket-Type\0\0\0\3SUB";
    for (int minor = 0; minor < 2; minor++) {
        struct scene scene = make_scene(ZMQ_PUB, ZMQ_SUB, "tcp");
        SET_TEXT(scene.client, ZMQ_SUBSCRIBE, "topic");
        struct peer peer = accept_client(&scene, minor);
        welcome_client(&peer);
        read_initiate(&peer, subscriber, sizeof subscriber - 1);
        say_ready(&peer, publisher, sizeof publisher - 1);
        if (minor == 0)
            HEAR(&peer, 0, "\1topic");
        else
            HEAR(&peer, 2, "\11SUBSCRIBEtopic");
        SET_TEXT(scene.client, ZMQ_UNSUBSCRIBE, "topic");
        if (minor == 0)
            HEAR(&peer, 0, "\0topic");
        else
            HEAR(&peer, 2, "\6CANCELtopic");
        END_CONTEXT();
    }
}

TEST(subscriptions_from_the_wire) {
    static const char publisher[] = "\13Socket-Type\0\0\0\4XPUB";
    static const char subscriber[] = "\13Socket-Type\0\0\0\3SUB";
    struct scene scene = make_scene(ZMQ_XPUB, ZMQ_SUB, "tcp");
    struct peer peer = connect_peer(&scene);
    unsigned char body[1024];
    say_hello(&peer);
    ZMTP_SEND(peer.fd, 4, body,
              make_initiate(&peer, body, subscriber, sizeof subscriber - 1, NULL));
    read_ready(&peer, publisher, sizeof publisher - 1);
    SAY(&peer, 2, "\11SUBSCRIBEone");
    EXPECT(scene.server, "\1one");
    SAY(&peer, 0, "\1two");
    EXPECT(scene.server, "\1two");
    SEND(scene.server, "two!");
    HEAR(&peer, 0, "two!");
}

// However the bytes of sealed frames are cut, and more than the pipe will take.
TEST(in_pieces_and_beyond_the_high_water_mark) {
    enum { MANY = 60 };
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    SET_INT(scene.server, ZMQ_RCVHWM, 3);
    scene.endpoint = BIND(scene.server, "tcp");
    struct peer peer = established_peer(&scene);
    static unsigned char stream[MANY * 600], data[500];
    size_t size = 0;
    for (int i = 0; i < MANY; i++) {
        size_t length = (size_t)(i * 8);
        memset(data, i, length);
        unsigned char body[600];
        size_t sealed = make_message(&peer, body, ++peer.sent, i % 3 == 0 ? 1 : 0, data, length);
        size_t head = sealed > 255 ? 9 : 2;
        memset(stream + size, 0, head);
        stream[size] = sealed > 255 ? 2 : 0;
        stream[size + head - 1] = (unsigned char)sealed;
        if (head == 9)
            stream[size + 7] = (unsigned char)(sealed >> 8);
        memcpy(stream + size + head, body, sealed);
        size += head + sealed;
    }
    for (size_t at = 0, step = 1; at < size; at += step, step = step % 97 + 1) {
        if (step > size - at)
            step = size - at;
        RAW_SEND(peer.fd, stream + at, step);
    }
    for (int i = 0; i < MANY; i++) {
        memset(data, i, sizeof data);
        EXPECT_BYTES(scene.server, data, (size_t)(i * 8), i % 3 == 0);
    }
    // The connection is as good as before.
    SEND(scene.server, "and?");
    HEAR(&peer, 0, "and?");
}

TEST(too_large_a_message) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    SET_BYTES(scene.server, ZMQ_MAXMSGSIZE, (int64_t[]){1000}, 8);
    scene.endpoint = BIND(scene.server, "tcp");
    struct peer peer = established_peer(&scene);
    EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    unsigned char data[1000] = {0};
    say(&peer, 0, data, 900);
    CHECK_EQ(RECV(scene.server).size, 900);
    say(&peer, 0, data, 1000);
    EXPECT_EVENT(scene.server_events, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(peer.fd);
    EXPECT_NOTHING(scene.server);
}

// ---- what goes wrong ---------------------------------------------------------------------------

// The server breaks off with this event; with 0 without one.
static void expect_failure(const struct scene *scene, struct peer *peer, int error) {
    if (error != 0) {
        struct event event = AWAIT_EVENT(scene->server_events, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
        if (event.value != error)
            fail("event value %x, not %x", event.value, error);
    }
    // There libzmq goes by whatever errno the monitor has left, and may wait.
    if (!reference_library() || error == 0) {
        EXPECT_EVENT(scene->server_events, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(peer->fd);
    }
    close(peer->fd);
}

static int error_of_cut(size_t length, size_t name, size_t least, int malformed) {
    if (length < name)
        return ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_UNSPECIFIED;
    return length < least ? malformed : CRYPTOGRAPHIC;
}

TEST(hello_cut_at_every_byte) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    for (size_t length = 0; length < HELLO; length++) {
        struct peer peer = connect_peer(&scene);
        unsigned char body[HELLO];
        make_hello(&peer, body);
        ZMTP_SEND(peer.fd, 4, body, length);
        expect_failure(&scene, &peer,
                       error_of_cut(length, 6, HELLO, ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_HELLO));
    }
}

TEST(hello_changed) {
    static const struct {
        int index, error;
    } rows[] = {
        {0, ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_UNSPECIFIED},
        {5, ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND},
        {6, ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_HELLO},
        {7, ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_HELLO},
        {80, CRYPTOGRAPHIC},
        {119, CRYPTOGRAPHIC},
        {120, CRYPTOGRAPHIC},
        {199, CRYPTOGRAPHIC},
    };
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct peer peer = connect_peer(&scene);
        unsigned char body[HELLO];
        make_hello(&peer, body);
        body[rows[i].index] ^= 0xfa;
        ZMTP_SEND(peer.fd, 4, body, HELLO);
        expect_failure(&scene, &peer, rows[i].error);
    }
}

TEST(initiate_cut_at_every_byte) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    for (size_t length = 0, whole = 1; length < whole; length++) {
        struct peer peer = connect_peer(&scene);
        unsigned char body[1024];
        say_hello(&peer);
        whole = make_initiate(&peer, body, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1, NULL);
        ZMTP_SEND(peer.fd, 4, body, length);
        expect_failure(&scene, &peer,
                       error_of_cut(length, 9, 257,
                                    ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_INITIATE));
    }
}

TEST(initiate_changed) {
    static const struct {
        int index, error;
    } rows[] = {
        {8, ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND},
        {9, CRYPTOGRAPHIC},   // the cookie
        {104, CRYPTOGRAPHIC}, // its end
        {105, CRYPTOGRAPHIC}, // the counter
        {113, CRYPTOGRAPHIC},
        {200, CRYPTOGRAPHIC},
    };
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct peer peer = connect_peer(&scene);
        unsigned char body[1024];
        say_hello(&peer);
        size_t size =
            make_initiate(&peer, body, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1, NULL);
        body[rows[i].index] ^= 1;
        ZMTP_SEND(peer.fd, 4, body, size);
        expect_failure(&scene, &peer, rows[i].error);
    }
    EXPECT_NOTHING(scene.server);
}

static void expect_vouch_refused(int error, bool other_server) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    struct peer peer = connect_peer(&scene);
    unsigned char body[1024], vouched[2 * KEY];
    say_hello(&peer);
    memcpy(vouched, other_server ? peer.public_key : peer.own.public_key, KEY);
    memcpy(vouched + KEY, other_server ? peer.own.public_key : peer.theirs, KEY);
    size_t size =
        make_initiate(&peer, body, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1, vouched);
    ZMTP_SEND(peer.fd, 4, body, size);
    expect_failure(&scene, &peer, error);
}

TEST(a_vouch_for_another_connection) {
    expect_vouch_refused(ZMQ_PROTOCOL_ERROR_ZMTP_KEY_EXCHANGE, false);
}

TEST_OURS_ONLY(a_vouch_to_another_server, "it does not compare the server's key") {
    expect_vouch_refused(ZMQ_PROTOCOL_ERROR_ZMTP_KEY_EXCHANGE, true);
}

// Whoever vouches has to own the key that the handler will be asked about.
TEST(somebody_elses_key) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    struct peer peer = connect_peer(&scene);
    say_hello(&peer);
    memcpy(peer.own.public_key, scene.of_server.public_key, KEY);
    say_initiate(&peer);
    expect_failure(&scene, &peer, CRYPTOGRAPHIC);
}

TEST(a_cookie_of_another_connection) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    struct peer one = connect_peer(&scene), other = connect_peer(&scene);
    say_hello(&one);
    say_hello(&other);
    memcpy(other.cookie, one.cookie, sizeof one.cookie);
    say_initiate(&other);
    expect_failure(&scene, &other, CRYPTOGRAPHIC);
    say_initiate(&one);
    read_ready(&one, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1);
}

TEST(bad_properties) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    static const struct {
        const char *properties;
        size_t size;
    } rows[] = {
        {"\13", 1},
        {"\13Socket-Type\0\0\0\7DEALER", 22},
        {"\13Socket-Type\0\0\0\3SUB", 19},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct peer peer = connect_peer(&scene);
        unsigned char body[1024];
        say_hello(&peer);
        size_t size = make_initiate(&peer, body, rows[i].properties, rows[i].size, NULL);
        ZMTP_SEND(peer.fd, 4, body, size);
        expect_failure(&scene, &peer, 0);
    }
}

// ---- traffic -----------------------------------------------------------------------------------

TEST(messages_cut_at_every_byte) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    for (size_t length = 0; length < 40; length++) {
        struct peer peer = established_peer(&scene);
        AWAIT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        unsigned char body[128];
        CHECK_EQ(make_message(&peer, body, ++peer.sent, 0, "message", 7), 40);
        ZMTP_SEND(peer.fd, 0, body, length);
        expect_failure(&scene, &peer,
                       error_of_cut(length, 8, 33,
                                    ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_MESSAGE));
    }
    EXPECT_NOTHING(scene.server);
}

TEST(messages_changed) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    for (size_t index = 1; index < 40; index++) {
        struct peer peer = established_peer(&scene);
        AWAIT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        unsigned char body[128];
        make_message(&peer, body, ++peer.sent, 0, "message", 7);
        body[index] ^= 1;
        ZMTP_SEND(peer.fd, 0, body, 40);
        int error = CRYPTOGRAPHIC;
        if (index < 8)
            error = ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND;
        else if (index == 15) // 3 has become 2
            error = ZMQ_PROTOCOL_ERROR_ZMTP_INVALID_SEQUENCE;
        expect_failure(&scene, &peer, error);
    }
    EXPECT_NOTHING(scene.server);
}

TEST(messages_replayed) {
    // How far back the counter of the second message is, and how far ahead the first one's.
    static const struct {
        int ahead, back;
    } rows[] = {{0, 0}, {0, 1}, {5, 5}, {5, 1}, {100, 0}};
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct peer peer = established_peer(&scene);
        AWAIT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        peer.sent += (uint64_t)rows[i].ahead;
        SAY(&peer, 0, "first");
        EXPECT(scene.server, "first");
        unsigned char body[128];
        size_t size =
            make_message(&peer, body, peer.sent - (uint64_t)rows[i].back, 0, "first", 5);
        ZMTP_SEND(peer.fd, 0, body, size);
        expect_failure(&scene, &peer, ZMQ_PROTOCOL_ERROR_ZMTP_INVALID_SEQUENCE);
    }
    EXPECT_NOTHING(scene.server);
}

// Another text under a counter that was used.
TEST(a_counter_used_twice) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    struct peer peer = established_peer(&scene);
    EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    unsigned char bodies[2][128], stream[256];
    size_t size = 0, sealed = 0;
    for (int i = 0; i < 2; i++) {
        sealed = make_message(&peer, bodies[i], peer.sent + 1, 0, i == 0 ? "one" : "two", 3);
        stream[size++] = 0;
        stream[size++] = (unsigned char)sealed;
        memcpy(stream + size, bodies[i], sealed);
        size += sealed;
    }
    RAW_SEND(peer.fd, stream, size);
    EXPECT(scene.server, "one");
    expect_failure(&scene, &peer, ZMQ_PROTOCOL_ERROR_ZMTP_INVALID_SEQUENCE);
    EXPECT_NOTHING(scene.server);
}

// Sent back to where it came from.
TEST(messages_reflected) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    struct peer peer = established_peer(&scene);
    EXPECT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    for (int i = 0; i < 4; i++)
        SEND(scene.server, "mine");
    struct zmtp_frame frame;
    for (int i = 0; i < 4; i++)
        frame = ZMTP_RECV(peer.fd);
    ZMTP_SEND(peer.fd, 0, frame.body, frame.size);
    expect_failure(&scene, &peer, CRYPTOGRAPHIC);
}

// Not sealed at all.
TEST(clear_text_after_the_handshake) {
    static const struct {
        const char *body;
        size_t size;
        int error;
    } rows[] = {
        {"", 0, ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_UNSPECIFIED},
        {"hello", 5, ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_UNSPECIFIED},
        {"\4PING\0\0", 7, ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND},
        {"\5ERROR\003400", 10, ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND},
    };
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct peer peer = established_peer(&scene);
        AWAIT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        ZMTP_SEND(peer.fd, i > 1 ? 4 : 0, rows[i].body, rows[i].size);
        expect_failure(&scene, &peer, rows[i].error);
    }
    EXPECT_NOTHING(scene.server);
}

// A large body is opened in the message's own memory.
TEST(a_large_message_changed) {
    enum { SIZE = 200000 };
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    static unsigned char data[SIZE], body[SIZE + 64];
    for (int turn = 0; turn < 2; turn++) {
        struct peer peer = established_peer(&scene);
        AWAIT_EVENT(scene.server_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        size_t size = make_message(&peer, body, ++peer.sent, 0, data, SIZE);
        if (turn == 1)
            body[size - 1] ^= 1;
        ZMTP_SEND(peer.fd, 0, body, size);
        if (turn == 0)
            CHECK_EQ(RECV(scene.server).size, SIZE);
        else
            expect_failure(&scene, &peer, CRYPTOGRAPHIC);
        if (turn == 0) {
            close(peer.fd);
            EXPECT_EVENT(scene.server_events, ZMQ_EVENT_DISCONNECTED);
        }
    }
    EXPECT_NOTHING(scene.server);
}

// ---- what a client does with a bad server ------------------------------------------------------

static void expect_client_failure(const struct scene *scene, struct peer *peer, int error) {
    CHECK_EQ(EXPECT_EVENT(scene->client_events, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value, error);
    if (!reference_library()) { // as above
        EXPECT_EVENT(scene->client_events, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(peer->fd);
    }
}

TEST(commands_to_a_client_instead_of_welcome) {
    static const struct {
        const char *body;
        size_t size;
        int error;
    } rows[] = {
        {"", 0, ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND},
        {"\7WELCOM", 7, ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND},
        {"\7WELCOME", 8, CRYPTOGRAPHIC},
        {"\5ERROR", 6, ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_ERROR},
        {"\5ERROR\00340", 9, ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_ERROR},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
        struct peer peer = accept_client(&scene, 1);
        ZMTP_RECV(peer.fd);
        ZMTP_SEND(peer.fd, 4, rows[i].body, rows[i].size);
        expect_client_failure(&scene, &peer, rows[i].error);
        END_CONTEXT();
    }
}

TEST(error_to_a_client) {
    for (int initiated = 0; initiated < 2; initiated++) {
        struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
        struct peer peer = accept_client(&scene, 1);
        if (initiated) {
            welcome_client(&peer);
            read_initiate(&peer, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1);
        }
        ZMTP_SEND_LITERAL(peer.fd, 4, "\5ERROR\003400");
        CHECK_EQ(EXPECT_EVENT(scene.client_events, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH).value, 400);
        EXPECT_EVENT(scene.client_events, ZMQ_EVENT_DISCONNECTED);
        END_CONTEXT();
    }
}

TEST_OURS_ONLY(ready_without_welcome, "it opens READY with a key of zeros") {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    struct peer peer = accept_client(&scene, 1);
    memcpy(peer.transient, ZMTP_RECV(peer.fd).body + 80, KEY);
    say_ready(&peer, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1);
    expect_client_failure(&scene, &peer, ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND);
}

TEST(bad_ready) {
    for (int row = 0; row < 3; row++) {
        struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
        struct peer peer = accept_client(&scene, 1);
        welcome_client(&peer);
        read_initiate(&peer, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1);
        unsigned char body[64] = "\5READY";
        if (row < 2)
            ZMTP_SEND(peer.fd, 4, body, row == 0 ? 29 : 30);
        else
            say_ready(&peer, "\13", 1);
        static const int errors[] = {ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_READY, CRYPTOGRAPHIC,
                                     ZMQ_PROTOCOL_ERROR_ZMTP_INVALID_METADATA};
        CHECK_EQ(EXPECT_EVENT(scene.client_events, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
                 errors[row]);
        END_CONTEXT();
    }
}

TEST(a_server_that_replays) {
    struct scene scene = make_scene(ZMQ_DEALER, ZMQ_DEALER, "tcp");
    struct peer peer = accept_client(&scene, 1);
    welcome_client(&peer);
    read_initiate(&peer, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1);
    say_ready(&peer, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1);
    EXPECT_EVENT(scene.client_events, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    SAY(&peer, 0, "hello");
    EXPECT(scene.client, "hello");
    peer.sent--;
    SAY(&peer, 0, "hello");
    expect_client_failure(&scene, &peer, ZMQ_PROTOCOL_ERROR_ZMTP_INVALID_SEQUENCE);
    EXPECT_NOTHING(scene.client);
}
