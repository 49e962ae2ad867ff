// SPDX-License-Identifier: MPL-2.0
//
// CURVE (RFC 26) for tests: keys, a server and a client, and peers made by hand, which do their own
// cryptography with libsodium where it is installed.
#ifndef CURVE_H
#define CURVE_H

#include "harness.h"

#include <dlfcn.h>
#include <unistd.h>

enum { KEY = 32, TAG = 16 };

#define CRYPTOGRAPHIC ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC

// ---- sockets -----------------------------------------------------------------------------------

struct keys {
    char public_text[41], secret_text[41];
    unsigned char public_key[KEY], secret_key[KEY];
};

static inline struct keys make_keys(void) {
    struct keys keys;
    CHECK_OK(zmq_curve_keypair(keys.public_text, keys.secret_text));
    CHECK(zmq_z85_decode(keys.public_key, keys.public_text) != NULL);
    CHECK(zmq_z85_decode(keys.secret_key, keys.secret_text) != NULL);
    return keys;
}

static inline void be_server(void *socket, const struct keys *keys) {
    SET_INT(socket, ZMQ_CURVE_SERVER, 1);
    SET_TEXT(socket, ZMQ_CURVE_SECRETKEY, keys->secret_text);
}

static inline void be_client(void *socket, const struct keys *keys, const char *server) {
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
static inline struct scene make_scene(int server_type, int client_type, const char *transport) {
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

// ---- peers made by hand ------------------------------------------------------------------------

static int (*box_keypair)(unsigned char *pk, unsigned char *sk);
static int (*box_seal)(unsigned char *out, const unsigned char *text, unsigned long long size,
                       const unsigned char *nonce, const unsigned char *pk,
                       const unsigned char *sk);
static int (*box_open)(unsigned char *text, const unsigned char *sealed, unsigned long long size,
                       const unsigned char *nonce, const unsigned char *pk,
                       const unsigned char *sk);

static inline void load_sodium(void) {
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

static inline void put_counter(unsigned char *to, uint64_t counter) {
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char)(counter >> (56 - 8 * i));
}

static inline uint64_t counter_at(const unsigned char *from) {
    uint64_t counter = 0;
    for (int i = 0; i < 8; i++)
        counter = counter << 8 | from[i];
    return counter;
}

static inline void make_nonce(unsigned char nonce[24], const char *prefix,
                              const unsigned char *rest) {
    size_t size = strlen(prefix);
    memcpy(nonce, prefix, size);
    memcpy(nonce + size, rest, 24 - size);
}

static inline void greet_curve(int fd, int minor) {
    unsigned char greeting[64], theirs[64];
    zmtp_greeting(greeting, 3, minor, "CURVE");
    raw_send(fd, greeting, sizeof greeting);
    raw_read(fd, theirs, sizeof theirs);
    greeting[11] = 1;
    check_bytes(theirs + 9, 55, greeting + 9, 55, "the greeting after its signature");
}

static inline struct peer make_peer(int fd, bool is_server, const struct keys *own,
                                    const unsigned char *theirs) {
    struct peer peer = {.fd = fd, .is_server = is_server, .own = *own};
    memcpy(peer.theirs, theirs, KEY);
    CHECK_OK(box_keypair(peer.public_key, peer.secret_key));
    return peer;
}

// Connects to the server of the scene and greets it.
static inline struct peer connect_peer(const struct scene *scene) {
    load_sodium();
    int fd = RAW_CONNECT(scene->endpoint);
    greet_curve(fd, 1);
    return make_peer(fd, false, &scene->of_client, scene->of_server.public_key);
}

enum { HELLO = 200, WELCOME = 168 };

static inline void make_hello(struct peer *peer, unsigned char body[HELLO]) {
    static const unsigned char zeros[64];
    unsigned char nonce[24];
    memset(body, 0, HELLO);
    memcpy(body, "\5HELLO\1", 7);
    memcpy(body + 80, peer->public_key, KEY);
    put_counter(body + 112, ++peer->sent);
    make_nonce(nonce, "CurveZMQHELLO---", body + 112);
    CHECK_OK(box_seal(body + 120, zeros, sizeof zeros, nonce, peer->theirs, peer->secret_key));
}

static inline void read_welcome(struct peer *peer) {
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
static inline size_t make_initiate(struct peer *peer, unsigned char body[1024],
                                   const char *properties, size_t size,
                                   const unsigned char *vouched) {
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

static inline void read_ready(struct peer *peer, const char *properties, size_t size) {
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

static inline void say_hello(struct peer *peer) {
    unsigned char body[HELLO];
    make_hello(peer, body);
    ZMTP_SEND(peer->fd, 4, body, HELLO);
    read_welcome(peer);
}

static inline void say_initiate(struct peer *peer) {
    unsigned char body[1024];
    size_t size =
        make_initiate(peer, body, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1, NULL);
    ZMTP_SEND(peer->fd, 4, body, size);
}

// A peer in the place of a DEALER that is through with its handshake.
static inline struct peer established_peer(const struct scene *scene) {
    struct peer peer = connect_peer(scene);
    say_hello(&peer);
    say_initiate(&peer);
    read_ready(&peer, DEALER_PROPERTIES, sizeof DEALER_PROPERTIES - 1);
    return peer;
}

// The body of a MESSAGE with this counter. Returns its size.
static inline size_t make_message(const struct peer *peer, unsigned char *body, uint64_t counter,
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

static inline void say(struct peer *peer, int flags, const void *data, size_t size) {
    unsigned char *body = malloc(size + 64);
    size_t sealed = make_message(peer, body, ++peer->sent, flags, data, size);
    ZMTP_SEND(peer->fd, 0, body, sealed);
    free(body);
}

static inline void hear(struct peer *peer, int flags, const void *expected, size_t size) {
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

// Reads HELLO and answers.
static inline void welcome_client(struct peer *peer) {
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

static inline void read_initiate(struct peer *peer, const char *properties, size_t size) {
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

static inline void say_ready(struct peer *peer, const char *properties, size_t size) {
    unsigned char nonce[24], body[512];
    memcpy(body, "\5READY", 6);
    put_counter(body + 6, ++peer->sent);
    make_nonce(nonce, "CurveZMQREADY---", body + 6);
    CHECK_OK(box_seal(body + 14, (const unsigned char *)properties, size, nonce, peer->transient,
                      peer->secret_key));
    ZMTP_SEND(peer->fd, 4, body, 14 + TAG + size);
}

// Has the client of the scene connect to a server made by hand.
static inline struct peer accept_client(struct scene *scene, int minor) {
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

#endif
