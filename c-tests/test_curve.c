// SPDX-License-Identifier: MPL-2.0
//
// CURVE (RFC 26): sockets among themselves, and against peers made by hand, which do their own
// cryptography with libsodium where it is installed.
#include "harness.h"

#include <dlfcn.h>
#include <unistd.h>

enum { ZAP_ENFORCE_DOMAIN = 93, KEY = 32, TAG = 16 };

#define CRYPTOGRAPHIC ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC

// ---- sockets -----------------------------------------------------------------------------------

struct keys {
    char public_text[41], secret_text[41];
    unsigned char public_key[KEY], secret_key[KEY];
};

static struct keys make_keys(void) {
    struct keys keys;
    CHECK_OK(zmq_curve_keypair(keys.public_text, keys.secret_text));
    CHECK(zmq_z85_decode(keys.public_key, keys.public_text) != NULL);
    CHECK(zmq_z85_decode(keys.secret_key, keys.secret_text) != NULL);
    return keys;
}

static void be_server(void *socket, const struct keys *keys) {
    SET_INT(socket, ZMQ_CURVE_SERVER, 1);
    SET_TEXT(socket, ZMQ_CURVE_SECRETKEY, keys->secret_text);
}

static void be_client(void *socket, const struct keys *keys, const char *server) {
    SET_TEXT(socket, ZMQ_CURVE_SERVERKEY, server);
    SET_TEXT(socket, ZMQ_CURVE_PUBLICKEY, keys->public_text);
    SET_TEXT(socket, ZMQ_CURVE_SECRETKEY, keys->secret_text);
}

struct scene {
    struct keys of_server, of_client;
    void *server, *client, *server_events, *client_events;
    const char *endpoint;
};

enum {
    EVENTS = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
             ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
             ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED
};

// A server that is bound, and a client that is not connected yet.
static struct scene make_scene(int server_type, int client_type, const char *transport) {
    if (!zmq_has("curve"))
        skip("no CURVE");
    struct scene scene = {.of_server = make_keys(), .of_client = make_keys()};
    scene.server = NEW_SOCKET(server_type);
    scene.client = NEW_SOCKET(client_type);
    be_server(scene.server, &scene.of_server);
    be_client(scene.client, &scene.of_client, scene.of_server.public_text);
    scene.endpoint = BIND(scene.server, transport);
    scene.server_events = MONITOR(scene.server, EVENTS);
    scene.client_events = MONITOR(scene.client, EVENTS);
    return scene;
}

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
    SEND(other, "hello");
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

// ---- peers made by hand ------------------------------------------------------------------------

static int (*box_keypair)(unsigned char *pk, unsigned char *sk);
static int (*box_seal)(unsigned char *out, const unsigned char *text, unsigned long long size,
                       const unsigned char *nonce, const unsigned char *pk,
                       const unsigned char *sk);
static int (*box_open)(unsigned char *text, const unsigned char *sealed, unsigned long long size,
                       const unsigned char *nonce, const unsigned char *pk,
                       const unsigned char *sk);

static void load_sodium(void) {
    void *library = dlopen("libsodium.so.23", RTLD_NOW);
    if (!library)
        library = dlopen("libsodium.so", RTLD_NOW);
    if (!library)
        skip("no libsodium");
    int (*init)(void) = (int (*)(void))dlsym(library, "sodium_init");
    *(void **)&box_keypair = dlsym(library, "crypto_box_keypair");
    *(void **)&box_seal = dlsym(library, "crypto_box_easy");
    *(void **)&box_open = dlsym(library, "crypto_box_open_easy");
    CHECK(init && box_keypair && box_seal && box_open && init() >= 0);
}

struct peer {
    int fd;
    bool is_server;
    struct keys own;
    unsigned char theirs[KEY];                            // permanent
    unsigned char public_key[KEY], secret_key[KEY];       // of this connection
    unsigned char transient[KEY];                         // theirs
    unsigned char cookie[96];
    uint64_t sent, received;
};

static void put_counter(unsigned char *to, uint64_t counter) {
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char)(counter >> (56 - 8 * i));
}

static uint64_t counter_at(const unsigned char *from) {
    uint64_t counter = 0;
    for (int i = 0; i < 8; i++)
        counter = counter << 8 | from[i];
    return counter;
}

static void make_nonce(unsigned char nonce[24], const char *prefix, const unsigned char *rest) {
    size_t size = strlen(prefix);
    memcpy(nonce, prefix, size);
    memcpy(nonce + size, rest, 24 - size);
}

static void greet_curve(int fd, int minor) {
    unsigned char greeting[64], theirs[64];
    zmtp_greeting(greeting, 3, minor, "CURVE");
    raw_send(fd, greeting, sizeof greeting);
    raw_read(fd, theirs, sizeof theirs);
    greeting[11] = 1;
    check_bytes(theirs + 9, 55, greeting + 9, 55, "the greeting after its signature");
}

static struct peer make_peer(int fd, bool is_server, const struct keys *own,
                             const unsigned char *theirs) {
    struct peer peer = {.fd = fd, .is_server = is_server, .own = *own};
    memcpy(peer.theirs, theirs, KEY);
    CHECK_OK(box_keypair(peer.public_key, peer.secret_key));
    return peer;
}

// Connects to the server of the scene and greets it.
static struct peer connect_peer(const struct scene *scene) {
    load_sodium();
    int fd = RAW_CONNECT(scene->endpoint);
    greet_curve(fd, 1);
    return make_peer(fd, false, &scene->of_client, scene->of_server.public_key);
}

enum { HELLO = 200, WELCOME = 168 };

static void make_hello(struct peer *peer, unsigned char body[HELLO]) {
    static const unsigned char zeros[64];
    unsigned char nonce[24];
    memset(body, 0, HELLO);
    memcpy(body, "\5HELLO\1", 7);
    memcpy(body + 80, peer->public_key, KEY);
    put_counter(body + 112, ++peer->sent);
    make_nonce(nonce, "CurveZMQHELLO---", body + 112);
    CHECK_OK(box_seal(body + 120, zeros, sizeof zeros, nonce, peer->theirs, peer->secret_key));
}

static void read_welcome(struct peer *peer) {
    struct zmtp_frame frame = zmtp_recv(peer->fd);
    CHECK_EQ(frame.flags, 4);
    CHECK_EQ(frame.size, WELCOME);
    CHECK_BYTES(frame.body, 8, "\7WELCOME", 8);
    unsigned char nonce[24], text[KEY + 96];
    make_nonce(nonce, "WELCOME-", frame.body + 8);
    CHECK_OK(box_open(text, frame.body + 24, sizeof text + TAG, nonce, peer->theirs,
                      peer->secret_key));
    memcpy(peer->transient, text, KEY);
    memcpy(peer->cookie, text + KEY, sizeof peer->cookie);
}

static const char DEALER_PROPERTIES[] = "\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\0";

// With `vouched`, 64 bytes, in the place of what should be vouched for. Returns the size.
static size_t make_initiate(struct peer *peer, unsigned char body[1024], const char *properties,
                            size_t size, const unsigned char *vouched) {
    unsigned char nonce[24], vouch[2 * KEY], text[512];
    memcpy(vouch, peer->public_key, KEY);
    memcpy(vouch + KEY, peer->theirs, KEY);
    memcpy(text, peer->own.public_key, KEY);
    memset(text + KEY, 7, 16);
    make_nonce(nonce, "VOUCH---", text + KEY);
    CHECK_OK(box_seal(text + KEY + 16, vouched ? vouched : vouch, sizeof vouch, nonce,
                      peer->transient, peer->own.secret_key));
    memcpy(text + 128, properties, size);
    memcpy(body, "\10INITIATE", 9);
    memcpy(body + 9, peer->cookie, sizeof peer->cookie);
    put_counter(body + 105, ++peer->sent);
    make_nonce(nonce, "CurveZMQINITIATE", body + 105);
    CHECK_OK(box_seal(body + 113, text, 128 + size, nonce, peer->transient, peer->secret_key));
    return 113 + TAG + 128 + size;
}

static void read_ready(struct peer *peer, const char *properties, size_t size) {
    struct zmtp_frame frame = zmtp_recv(peer->fd);
    CHECK_EQ(frame.flags, 4);
    CHECK_EQ(frame.size, 14 + TAG + size);
    CHECK_BYTES(frame.body, 6, "\5READY", 6);
    unsigned char nonce[24], text[512];
    make_nonce(nonce, "CurveZMQREADY---", frame.body + 6);
    peer->received = counter_at(frame.body + 6);
    CHECK_EQ(peer->received, 1);
    CHECK_OK(box_open(text, frame.body + 14, size + TAG, nonce, peer->transient, peer->secret_key));
    CHECK_BYTES(text, size, properties, size);
}

static void say_hello(struct peer *peer) {
    unsigned char body[HELLO];
    make_hello(peer, body);
    ZMTP_SEND(peer->fd, 4, body, HELLO);
    read_welcome(peer);
}

static void say_initiate(struct peer *peer) {
    unsigned char body[1024];
    size_t size =
        make_initiate(peer, body, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1, NULL);
    ZMTP_SEND(peer->fd, 4, body, size);
}

// A peer in the place of a DEALER that is through with its handshake.
static struct peer established_peer(const struct scene *scene) {
    struct peer peer = connect_peer(scene);
    say_hello(&peer);
    say_initiate(&peer);
    read_ready(&peer, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1);
    return peer;
}

// The body of a MESSAGE with this counter. Returns its size.
static size_t make_message(const struct peer *peer, unsigned char *body, uint64_t counter,
                           int flags, const void *data, size_t size) {
    unsigned char nonce[24], *text = malloc(size + 1);
    text[0] = (unsigned char)flags;
    memcpy(text + 1, data, size);
    memcpy(body, "\7MESSAGE", 8);
    put_counter(body + 8, counter);
    make_nonce(nonce, peer->is_server ? "CurveZMQMESSAGES" : "CurveZMQMESSAGEC", body + 8);
    CHECK_OK(box_seal(body + 16, text, size + 1, nonce, peer->transient, peer->secret_key));
    free(text);
    return 16 + TAG + 1 + size;
}

static void say(struct peer *peer, int flags, const void *data, size_t size) {
    unsigned char *body = malloc(size + 64);
    size_t sealed = make_message(peer, body, ++peer->sent, flags, data, size);
    ZMTP_SEND(peer->fd, 0, body, sealed);
    free(body);
}

static void hear(struct peer *peer, int flags, const void *expected, size_t size) {
    struct zmtp_frame frame = zmtp_recv(peer->fd);
    unsigned char nonce[24], text[1024];
    CHECK_EQ(frame.flags & ~2, 0);
    CHECK_EQ(frame.size, 33 + size);
    CHECK_BYTES(frame.body, 8, "\7MESSAGE", 8);
    CHECK_EQ(counter_at(frame.body + 8), ++peer->received);
    make_nonce(nonce, peer->is_server ? "CurveZMQMESSAGEC" : "CurveZMQMESSAGES", frame.body + 8);
    CHECK_OK(box_open(text, frame.body + 16, frame.size - 16, nonce, peer->transient,
                      peer->secret_key));
    CHECK_BYTES(text + 1, size, expected, size);
    CHECK_EQ(text[0], flags);
}

#define SAY(peer, flags, text) (HERE(), say(peer, flags, text, sizeof(text) - 1))
#define HEAR(peer, flags, text) (HERE(), hear(peer, flags, text, sizeof(text) - 1))

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

// Reads HELLO and answers.
static void welcome_client(struct peer *peer) {
    static const unsigned char zeros[72];
    struct zmtp_frame frame = zmtp_recv(peer->fd);
    CHECK_EQ(frame.flags, 4);
    CHECK_EQ(frame.size, HELLO);
    CHECK_BYTES(frame.body, 8, "\5HELLO\1\0", 8);
    CHECK_BYTES(frame.body + 8, 72, zeros, 72);
    memcpy(peer->transient, frame.body + 80, KEY);
    peer->received = counter_at(frame.body + 112);
    CHECK_EQ(peer->received, 1);
    unsigned char nonce[24], text[KEY + 96], body[WELCOME];
    make_nonce(nonce, "CurveZMQHELLO---", frame.body + 112);
    CHECK_OK(box_open(text, frame.body + 120, 80, nonce, peer->transient, peer->own.secret_key));
    CHECK_BYTES(text, 64, zeros, 64);
    memset(peer->cookie, 'c', sizeof peer->cookie);
    memcpy(text, peer->public_key, KEY);
    memcpy(text + KEY, peer->cookie, sizeof peer->cookie);
    memcpy(body, "\7WELCOME", 8);
    memset(body + 8, 9, 16);
    make_nonce(nonce, "WELCOME-", body + 8);
    CHECK_OK(box_seal(body + 24, text, sizeof text, nonce, peer->transient, peer->own.secret_key));
    ZMTP_SEND(peer->fd, 4, body, sizeof body);
}

static void read_initiate(struct peer *peer, const char *properties, size_t size) {
    struct zmtp_frame frame = zmtp_recv(peer->fd);
    CHECK_EQ(frame.flags & ~2, 4);
    CHECK_EQ(frame.size, 113 + TAG + 128 + size);
    CHECK_BYTES(frame.body, 9, "\10INITIATE", 9);
    CHECK_BYTES(frame.body + 9, 96, peer->cookie, 96);
    CHECK_EQ(counter_at(frame.body + 105), ++peer->received);
    unsigned char nonce[24], text[512], vouch[2 * KEY];
    make_nonce(nonce, "CurveZMQINITIATE", frame.body + 105);
    CHECK_OK(box_open(text, frame.body + 113, frame.size - 113, nonce, peer->transient,
                      peer->secret_key));
    CHECK_BYTES(text, KEY, peer->theirs, KEY);
    make_nonce(nonce, "VOUCH---", text + KEY);
    CHECK_OK(box_open(vouch, text + KEY + 16, 80, nonce, peer->theirs, peer->secret_key));
    CHECK_BYTES(vouch, KEY, peer->transient, KEY);
    CHECK_BYTES(vouch + KEY, KEY, peer->own.public_key, KEY);
    CHECK_BYTES(text + 128, size, properties, size);
}

static void say_ready(struct peer *peer, const char *properties, size_t size) {
    unsigned char nonce[24], body[512];
    memcpy(body, "\5READY", 6);
    put_counter(body + 6, ++peer->sent);
    make_nonce(nonce, "CurveZMQREADY---", body + 6);
    CHECK_OK(box_seal(body + 14, (const unsigned char *)properties, size, nonce, peer->transient,
                      peer->secret_key));
    ZMTP_SEND(peer->fd, 4, body, 14 + TAG + size);
}

// Has the client of the scene connect to a server made by hand.
static struct peer accept_client(struct scene *scene, int minor) {
    load_sodium();
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    SET_INT(scene->client, ZMQ_RECONNECT_IVL, -1);
    CONNECT(scene->client, endpoint);
    int fd = RAW_ACCEPT(listener);
    close(listener);
    greet_curve(fd, minor);
    return make_peer(fd, true, &scene->of_server, scene->of_client.public_key);
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
