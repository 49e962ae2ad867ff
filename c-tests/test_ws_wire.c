// SPDX-License-Identifier: MPL-2.0
//
// The wire of ws: raw TCP peers do the HTTP upgrade and speak ZWS 2.0 by hand (RFC 45, RFC 6455), byte
// by byte where the protocol says which bytes, and then everything a peer must not say.
#include "websocket.h"

#include <unistd.h>

// ---- frames ------------------------------------------------------------------------------------

enum { BINARY = 0x82, TEXT = 0x81, CLOSE_FRAME = 0x88, PING = 0x89, PONG = 0x8a };
enum { LAST = 0, MORE = 1, COMMAND = 2, NO_FLAGS = -1 };

struct ws_frame {
    int first;
    bool masked;
    size_t size;
    unsigned char payload[2048]; // of a binary frame with its flags byte
};

// A frame as a client sends it, or as a server does.
static void ws_send(int fd, bool client, int first, int flags, const void *body, size_t size) {
    unsigned char frame[4096] = {(unsigned char)first}, *at = frame + 2;
    size_t length = size + (flags != NO_FLAGS);
    CHECK(length < 4000);
    if (length < 126)
        frame[1] = (unsigned char)length;
    else {
        frame[1] = 126;
        *at++ = (unsigned char)(length >> 8);
        *at++ = (unsigned char)length;
    }
    unsigned char key[4] = {0};
    if (client) {
        frame[1] |= 0x80;
        memcpy(key, "\x37\xfa\x21\x3d", 4);
        memcpy(at, key, 4);
        at += 4;
    }
    unsigned char *payload = at;
    if (flags != NO_FLAGS)
        *at++ = (unsigned char)flags;
    memcpy(at, body, size);
    for (size_t i = 0; i < length; i++)
        payload[i] ^= key[i % 4];
    RAW_SEND(fd, frame, (size_t)(payload - frame) + length);
}

static struct ws_frame ws_recv(int fd) {
    struct ws_frame frame = {0};
    unsigned char head[10], key[4] = {0};
    RAW_READ(fd, head, 2);
    frame.first = head[0];
    frame.masked = head[1] & 0x80;
    frame.size = head[1] & 0x7f;
    if (frame.size == 126) {
        RAW_READ(fd, head, 2);
        frame.size = (size_t)head[0] << 8 | head[1];
    } else if (frame.size == 127)
        fail("a frame longer than expected");
    CHECK(frame.size <= sizeof frame.payload);
    if (frame.masked)
        RAW_READ(fd, key, 4);
    RAW_READ(fd, frame.payload, frame.size);
    for (size_t i = 0; i < frame.size; i++)
        frame.payload[i] ^= key[i % 4];
    return frame;
}

static void ws_expect(int fd, bool client, int first, int flags, const void *body, size_t size) {
    struct ws_frame frame = ws_recv(fd);
    CHECK_EQ(frame.first, first);
    CHECK_EQ(frame.masked, client);
    const size_t skip = flags != NO_FLAGS;
    CHECK_EQ(frame.size, size + skip);
    if (skip)
        CHECK_EQ(frame.payload[0], flags);
    CHECK_BYTES(frame.payload + skip, frame.size - skip, body, size);
}

#define WS_SEND(fd, client, first, flags, text) ws_send(fd, client, first, flags, text, sizeof(text) - 1)
#define WS_EXPECT(fd, client, first, flags, text)                                                  \
    ws_expect(fd, client, first, flags, text, sizeof(text) - 1)

// ---- whole peers -------------------------------------------------------------------------------

// A raw client past the upgrade, with NULL.
static int upgraded(const char *endpoint) {
    int fd = RAW_CONNECT(endpoint);
    RAW_SEND_LITERAL(fd, REQUEST("ZWS2.0/NULL,ZWS2.0"));
    RAW_EXPECT_LITERAL(fd, RESPONSE("ZWS2.0/NULL"));
    return fd;
}

// A raw client ready for traffic; the library's READY was read.
static int client_of(const char *endpoint, const char *type) {
    int fd = upgraded(endpoint);
    unsigned char ready[128];
    size_t size = zmtp_ready(ready, type, NULL);
    ws_send(fd, true, BINARY, COMMAND, ready, size);
    struct ws_frame theirs = ws_recv(fd);
    CHECK_EQ(theirs.first, BINARY);
    CHECK(!theirs.masked);
    CHECK_EQ(theirs.payload[0], COMMAND);
    CHECK_BYTES(theirs.payload + 1, 6, "\5READY", 6);
    return fd;
}

static int peer_of(int type, const char *peer_type, void **socket) {
    *socket = NEW_SOCKET(type);
    return client_of(BIND(*socket, "ws"), peer_type);
}

// A raw server, ready for traffic, of a fresh socket of this type.
static int server_of(int type, const char *peer_type, void **socket) {
    char endpoint[80];
    int listener = listen_ws(endpoint, "/");
    *socket = NEW_SOCKET(type);
    SET_INT(*socket, ZMQ_RECONNECT_IVL, 10);
    CONNECT(*socket, endpoint);
    int fd = RAW_ACCEPT(listener);
    close(listener);
    accept_upgrade(fd, "ZWS2.0/NULL");
    struct ws_frame theirs = ws_recv(fd);
    CHECK(theirs.masked);
    CHECK_BYTES(theirs.payload, 7, "\2\5READY", 7);
    unsigned char ready[128];
    size_t size = zmtp_ready(ready, peer_type, NULL);
    ws_send(fd, false, BINARY, COMMAND, ready, size);
    return fd;
}

// ---- what is said ------------------------------------------------------------------------------

TEST(the_harness_knows_the_accept_key) {
    char accept[29];
    accept_key(RFC_KEY, accept);
    CHECK_STR(accept, ACCEPT);
}

TEST(request_of_a_client) {
    char endpoint[80], request[2048], key[64] = "", expected[512];
    int listener = listen_ws(endpoint, "/path");
    CONNECT(NEW_SOCKET(ZMQ_DEALER), endpoint);
    int fd = RAW_ACCEPT(listener);
    read_head(fd, request);
    const char *at = strstr(request, "Sec-WebSocket-Key: ");
    CHECK(at != NULL && sscanf(at, "Sec-WebSocket-Key: %63s", key) == 1);
    CHECK_EQ(strlen(key), 24);
    snprintf(expected, sizeof expected,
             "GET /path HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: ZWS2.0/NULL,ZWS2.0\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n",
             key);
    CHECK_STR(request, expected);
}

// With a mechanism other than NULL there is no going without.
TEST_EACH(offers, "PLAIN", "CURVE") {
    char endpoint[80], request[2048], offer[64];
    int listener = listen_ws(endpoint, "");
    void *s = NEW_SOCKET(ZMQ_DEALER);
    if (strcmp(transport, "PLAIN") == 0)
        SET_TEXT(s, ZMQ_PLAIN_USERNAME, "user");
    else if (zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", 40))
        skip("no CURVE");
    CONNECT(s, endpoint);
    read_head(RAW_ACCEPT(listener), request);
    snprintf(offer, sizeof offer, "\r\nSec-WebSocket-Protocol: ZWS2.0/%s\r\n", transport);
    CHECK(strstr(request, offer) != NULL);
}

TEST(each_request_has_its_own_key) {
    char endpoint[80], first[2048], second[2048];
    int listener = listen_ws(endpoint, "");
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(s, ZMQ_RECONNECT_IVL, 10);
    CONNECT(s, endpoint);
    int fd = RAW_ACCEPT(listener);
    read_head(fd, first);
    close(fd);
    read_head(RAW_ACCEPT(listener), second);
    CHECK(strncmp(first, "GET / HTTP/1.1\r\n", 16) == 0);
    CHECK(strcmp(first, second) != 0);
}

TEST(handshake_of_a_server) {
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    SET_TEXT(s, ZMQ_ROUTING_ID, "me");
    int fd = upgraded(BIND(s, "ws"));
    WS_EXPECT(fd, false, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\6ROUTER\10Identity\0\0\0\2me");
    WS_SEND(fd, true, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\3you");
    WS_SEND(fd, true, BINARY, MORE, "one");
    WS_SEND(fd, true, BINARY, LAST, "");
    EXPECT(s, "you", "one", "");
    SEND(s, "you", "two", "three");
    RAW_EXPECT_LITERAL(fd, "\x82\4\1two\x82\6\0three");
}

TEST(handshake_of_a_client) {
    void *s;
    int fd = server_of(ZMQ_DEALER, "ROUTER", &s);
    SEND(s, "one", "");
    WS_EXPECT(fd, true, BINARY, MORE, "one");
    WS_EXPECT(fd, true, BINARY, LAST, "");
    RAW_SEND_LITERAL(fd, "\x82\4\1two\x82\1\0");
    EXPECT(s, "two", "");
}

TEST(byte_by_byte) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_CONNECT(BIND(s, "ws"));
    static const char request[] = REQUEST("ZWS2.0/NULL,ZWS2.0");
    for (size_t i = 0; i < sizeof request - 1; i++)
        RAW_SEND(fd, request + i, 1);
    RAW_EXPECT_LITERAL(fd, RESPONSE("ZWS2.0/NULL"));
    WS_EXPECT(fd, false, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\4PULL");
    // Masked with zeros, and so as it stands.
    static const char frames[] = "\x82\x9b\0\0\0\0\2\5READY\13Socket-Type\0\0\0\4PUSH"
                                 "\x82\x84\0\0\0\0\1one\x89\x80\0\0\0\0\x82\x84\0\0\0\0\0two";
    for (size_t i = 0; i < sizeof frames - 1; i++)
        RAW_SEND(fd, frames + i, 1);
    EXPECT(s, "one", "two");
    WS_EXPECT(fd, false, PONG, NO_FLAGS, "");
}

// Traffic right behind the request and the READY.
TEST_OURS_ONLY(everything_at_once, "it takes a message before its own READY for a wrong command") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_CONNECT(BIND(s, "ws"));
    RAW_SEND_LITERAL(fd, REQUEST("ZWS2.0/NULL")
                     "\x82\x9b\0\0\0\0\2\5READY\13Socket-Type\0\0\0\4PUSH"
                     "\x82\x84\0\0\0\0\1one\x82\x84\0\0\0\0\0two");
    EXPECT(s, "one", "two");
}

// RFC 45: the first message of each side is its routing id.
TEST(without_a_mechanism) {
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    SET_TEXT(s, ZMQ_ROUTING_ID, "me");
    int fd = RAW_CONNECT(BIND(s, "ws"));
    RAW_SEND_LITERAL(fd, REQUEST("ZWS2.0,ZWS2.0/NULL"));
    RAW_EXPECT_LITERAL(fd, RESPONSE("ZWS2.0"));
    WS_EXPECT(fd, false, BINARY, LAST, "me");
    WS_SEND(fd, true, BINARY, LAST, "you");
    WS_SEND(fd, true, BINARY, LAST, "hello");
    EXPECT(s, "you", "hello");
    SEND(s, "you", "hello");
    WS_EXPECT(fd, false, BINARY, LAST, "hello");
}

TEST(a_server_may_choose_no_mechanism) {
    char endpoint[80];
    int listener = listen_ws(endpoint, "");
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CONNECT(s, endpoint);
    int fd = RAW_ACCEPT(listener);
    accept_upgrade(fd, "ZWS2.0");
    WS_EXPECT(fd, true, BINARY, LAST, "");
    WS_SEND(fd, false, BINARY, LAST, "you");
    SEND(s, "hello");
    WS_EXPECT(fd, true, BINARY, LAST, "hello");
    WS_SEND(fd, false, BINARY, LAST, "world");
    EXPECT(s, "world");
}

TEST_OURS_ONLY(nobody_goes_past_a_zap_handler_without_a_mechanism, "it lets such peers in") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_TEXT(s, ZMQ_ZAP_DOMAIN, "global");
    int fd = RAW_CONNECT(BIND(s, "ws"));
    RAW_SEND_LITERAL(fd, REQUEST("ZWS2.0"));
    RAW_EXPECT_CLOSED(fd);
}

// RFC 45 has subscriptions as messages.
TEST(subscriptions_are_messages) {
    void *sub;
    int fd = server_of(ZMQ_SUB, "PUB", &sub);
    SET_TEXT(sub, ZMQ_SUBSCRIBE, "news");
    WS_EXPECT(fd, true, BINARY, LAST, "\1news");
    CHECK_OK(zmq_setsockopt(sub, ZMQ_UNSUBSCRIBE, "news", 4));
    WS_EXPECT(fd, true, BINARY, LAST, "\0news");
    void *xpub;
    fd = peer_of(ZMQ_XPUB, "SUB", &xpub);
    WS_SEND(fd, true, BINARY, LAST, "\1news");
    EXPECT(xpub, "\1news");
    SEND(xpub, "news!");
    WS_EXPECT(fd, false, BINARY, LAST, "news!");
}

TEST(lengths) {
    static const size_t sizes[] = {0, 1, 123, 124, 125, 126, 254, 255, 256, 257, 2000};
    void *s;
    int other = server_of(ZMQ_PAIR, "PAIR", &s);
    char body[2048], back[2048];
    memset(body, 'x', sizeof body);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        SEND_BYTES(s, body, sizes[i], 0);
        ws_expect(other, true, BINARY, LAST, body, sizes[i]);
        ws_send(other, false, BINARY, LAST, body, sizes[i]);
        CHECK_EQ(zmq_recv(s, back, sizeof back, 0), (long long)sizes[i]);
        CHECK(memcmp(back, body, sizes[i]) == 0);
    }
}

// ---- control frames ----------------------------------------------------------------------------

TEST(ping_is_answered) {
    void *s;
    int fd = peer_of(ZMQ_PULL, "PUSH", &s);
    WS_SEND(fd, true, PING, NO_FLAGS, "");
    WS_EXPECT(fd, false, PONG, NO_FLAGS, "");
    fd = server_of(ZMQ_PULL, "PUSH", &s);
    WS_SEND(fd, false, PING, NO_FLAGS, "");
    WS_EXPECT(fd, true, PONG, NO_FLAGS, "");
    WS_SEND(fd, false, BINARY, LAST, "after");
    EXPECT(s, "after");
}

TEST_OURS_ONLY(pong_has_what_ping_had, "its PONG is empty, against RFC 6455") {
    void *s;
    int fd = peer_of(ZMQ_PULL, "PUSH", &s);
    char payload[125];
    memset(payload, 'x', sizeof payload);
    ws_send(fd, true, PING, NO_FLAGS, payload, sizeof payload);
    ws_expect(fd, false, PONG, NO_FLAGS, payload, sizeof payload);
}

TEST(ping_within_a_message) {
    void *s;
    int fd = peer_of(ZMQ_PULL, "PUSH", &s);
    WS_SEND(fd, true, BINARY, MORE, "one");
    WS_SEND(fd, true, PING, NO_FLAGS, "");
    WS_SEND(fd, true, PONG, NO_FLAGS, "");
    WS_SEND(fd, true, BINARY, LAST, "two");
    EXPECT(s, "one", "two");
    WS_EXPECT(fd, false, PONG, NO_FLAGS, "");
}

TEST_OURS_ONLY(ping_before_the_handshake_is_complete, "it takes it for a wrong command") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = upgraded(BIND(s, "ws"));
    WS_EXPECT(fd, false, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\4PULL");
    WS_SEND(fd, true, PING, NO_FLAGS, "x");
    WS_EXPECT(fd, false, PONG, NO_FLAGS, "x");
}

TEST(heartbeats_are_pings) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HEARTBEAT_IVL, 30);
    SET_INT(s, ZMQ_HEARTBEAT_TIMEOUT, 5000);
    SET_INT(s, ZMQ_HEARTBEAT_TTL, 1000);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    int fd = client_of(BIND(s, "ws"), "PUSH");
    for (int i = 0; i < 3; i++) {
        WS_EXPECT(fd, false, PING, NO_FLAGS, "");
        WS_SEND(fd, true, PONG, NO_FLAGS, "");
    }
    WS_SEND(fd, true, BINARY, LAST, "still there");
    EXPECT(s, "still there");
    EXPECT_NOTHING(mon);
}

TEST(heartbeats_of_a_client_are_masked) {
    char endpoint[80];
    int listener = listen_ws(endpoint, "");
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HEARTBEAT_IVL, 30);
    SET_INT(s, ZMQ_HEARTBEAT_TIMEOUT, 5000);
    CONNECT(s, endpoint);
    int fd = RAW_ACCEPT(listener);
    accept_upgrade(fd, "ZWS2.0/NULL");
    WS_EXPECT(fd, true, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\4PULL");
    WS_SEND(fd, false, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\4PUSH");
    WS_EXPECT(fd, true, PING, NO_FLAGS, "");
}

TEST(a_peer_without_pong_is_dropped) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HEARTBEAT_IVL, 50);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    int fd = client_of(BIND(s, "ws"), "PUSH");
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
}

TEST_OURS_ONLY(heartbeats_without_a_mechanism, "the first PING aborts the process") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HEARTBEAT_IVL, 30);
    SET_INT(s, ZMQ_HEARTBEAT_TIMEOUT, 5000);
    int fd = RAW_CONNECT(BIND(s, "ws"));
    RAW_SEND_LITERAL(fd, REQUEST("ZWS2.0"));
    RAW_EXPECT_LITERAL(fd, RESPONSE("ZWS2.0"));
    WS_EXPECT(fd, false, BINARY, LAST, "");
    WS_SEND(fd, true, BINARY, LAST, "");
    WS_EXPECT(fd, false, PING, NO_FLAGS, "");
    WS_SEND(fd, true, PONG, NO_FLAGS, "");
    WS_SEND(fd, true, PING, NO_FLAGS, "");
    WS_SEND(fd, true, BINARY, LAST, "hello");
    EXPECT(s, "hello");
}

// Both have said CLOSE. libzmq leaves it to its peer to end the connection.
static void end_after_close(int fd) {
    if (!reference_library())
        RAW_EXPECT_CLOSED(fd);
    close(fd);
}

TEST(close_is_answered_and_ends_the_connection) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(s, "ws");
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    int fd = client_of(endpoint, "PUSH"), other = client_of(endpoint, "PUSH");
    WS_SEND(fd, true, BINARY, LAST, "before");
    WS_SEND(fd, true, CLOSE_FRAME, NO_FLAGS, "\3\xe8");
    WS_EXPECT(fd, false, CLOSE_FRAME, NO_FLAGS, "\3\xe8");
    end_after_close(fd);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    EXPECT(s, "before");
    WS_SEND(other, true, BINARY, LAST, "other");
    EXPECT(s, "other");
}

TEST(a_client_comes_back_after_a_close) {
    char endpoint[80];
    int listener = listen_ws(endpoint, "");
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_RECONNECT_IVL, 10);
    CONNECT(s, endpoint);
    for (int i = 0; i < 2; i++) {
        int fd = RAW_ACCEPT(listener);
        accept_upgrade(fd, "ZWS2.0/NULL");
        WS_EXPECT(fd, true, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\4PULL");
        WS_SEND(fd, false, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\4PUSH");
        WS_SEND(fd, false, CLOSE_FRAME, NO_FLAGS, "");
        WS_EXPECT(fd, true, CLOSE_FRAME, NO_FLAGS, "");
        end_after_close(fd);
    }
}

// What is said last, with this code, before the connection ends in order: no reset.
static void expect_close(int fd, bool client, const char code[2]) {
    char rest;
    ws_expect(fd, client, CLOSE_FRAME, NO_FLAGS, code, 2);
    CHECK_EQ(read(fd, &rest, 1), 0);
    close(fd);
}

#define NORMAL "\3\xe8"
#define VIOLATION "\3\xea"
#define BAD_DATA "\3\xef"
#define TOO_BIG "\3\xf1"

#define NO_CLOSE "it ends the connection without a word"

TEST_OURS_ONLY(close_of_a_socket_is_said, NO_CLOSE) {
    void *s;
    int fd = peer_of(ZMQ_PUSH, "PULL", &s);
    SET_INT(s, ZMQ_LINGER, -1);
    SEND(s, "before");
    CLOSE(s);
    WS_EXPECT(fd, false, BINARY, LAST, "before");
    expect_close(fd, false, NORMAL);
    fd = server_of(ZMQ_PUSH, "PULL", &s);
    SET_INT(s, ZMQ_LINGER, -1);
    SEND(s, "before");
    CLOSE(s);
    WS_EXPECT(fd, true, BINARY, LAST, "before");
    expect_close(fd, true, NORMAL);
}

TEST_OURS_ONLY(disconnect_and_unbind_are_said, NO_CLOSE) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(s, "ws");
    int one = client_of(endpoint, "PUSH"), two = client_of(endpoint, "PUSH");
    CHECK_OK(zmq_unbind(s, endpoint));
    expect_close(one, false, NORMAL);
    expect_close(two, false, NORMAL);

    char connected[80];
    int listener = listen_ws(connected, "");
    CONNECT(s, connected);
    int fd = RAW_ACCEPT(listener);
    accept_upgrade(fd, "ZWS2.0/NULL");
    WS_EXPECT(fd, true, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\4PULL");
    WS_SEND(fd, false, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\4PUSH");
    WS_SEND(fd, false, BINARY, LAST, "hello");
    EXPECT(s, "hello");
    CHECK_OK(zmq_disconnect(s, connected));
    expect_close(fd, true, NORMAL);
}

TEST_OURS_ONLY(the_end_of_a_context_is_said, NO_CLOSE) {
    void *context = zmq_ctx_new();
    void *s = zmq_socket(context, ZMQ_PULL);
    CHECK(s);
    int fd = client_of(BIND(s, "ws"), "PUSH");
    WS_SEND(fd, true, BINARY, LAST, "hello");
    EXPECT(s, "hello");
    CHECK_OK(zmq_close(s));
    CHECK_OK(zmq_ctx_term(context));
    expect_close(fd, false, NORMAL);
}

TEST_OURS_ONLY(the_end_of_a_handshake_is_said, NO_CLOSE) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = upgraded(BIND(s, "ws"));
    WS_EXPECT(fd, false, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\4PULL");
    CLOSE(s);
    expect_close(fd, false, NORMAL);
}

// A peer that goes on sending loses nothing of what it is told: no reset overtakes the frame.
TEST_OURS_ONLY(a_close_comes_through_to_a_busy_peer, NO_CLOSE) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_RCVHWM, 1);
    int fd = client_of(BIND(s, "ws"), "PUSH");
    char body[2000];
    memset(body, 'x', sizeof body);
    for (int i = 0; i < 100; i++)
        ws_send(fd, true, BINARY, LAST, body, sizeof body);
    CHECK_EQ(zmq_recv(s, body, sizeof body, 0), sizeof body);
    CLOSE(s);
    expect_close(fd, false, NORMAL);
}

// RFC 6455, 7.1.5, 7.4: the code comes back, unless it is none that may be sent.
TEST_OURS_ONLY(what_answers_a_close, "it sends back whatever came") {
    static const struct {
        const char *sent;
        size_t size;
        const char *answer;
    } rows[] = {
        {"", 0, ""},
        {"\3\xe8" "bye", 5, "\3\xe8" "bye"},
        {"\3\xe9", 2, "\3\xe9"},
        {"\xb\xb8", 2, "\xb\xb8"},
        {"\x13\x87", 2, "\x13\x87"},
        {"\3", 1, VIOLATION},
        {"\0\0", 2, VIOLATION},
        {"\3\xe7", 2, VIOLATION},
        {"\3\xec", 2, VIOLATION},
        {"\3\xed", 2, VIOLATION},
        {"\3\xee", 2, VIOLATION},
        {"\7\xd0", 2, VIOLATION},
        {"\x13\x88", 2, VIOLATION},
        {"\3\xe8\xff", 3, BAD_DATA},
    };
    void *s = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(s, "ws");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int fd = client_of(endpoint, "PUSH");
        ws_send(fd, true, CLOSE_FRAME, NO_FLAGS, rows[i].sent, rows[i].size);
        ws_expect(fd, false, CLOSE_FRAME, NO_FLAGS, rows[i].answer, strlen(rows[i].answer));
        RAW_EXPECT_CLOSED(fd);
        close(fd);
    }
}

// What comes behind a CLOSE is not looked at, and nothing follows the answer.
TEST(nothing_follows_a_close) {
    void *s;
    int fd = peer_of(ZMQ_PAIR, "PAIR", &s);
    RAW_SEND_LITERAL(fd, "\x88\x80\0\0\0\0\x82\x84\0\0\0\0\0two");
    WS_EXPECT(fd, false, CLOSE_FRAME, NO_FLAGS, "");
    end_after_close(fd);
    if (!reference_library())
        EXPECT_NOTHING(s);
}

// ---- messages in fragments ---------------------------------------------------------------------

#define ONE_FRAME "it takes only messages of one frame"

TEST_OURS_ONLY(fragments, ONE_FRAME) {
    void *s;
    int fd = peer_of(ZMQ_PULL, "PUSH", &s);
    // The flags are the first byte of the message, wherever that is.
    RAW_SEND_LITERAL(fd, "\x02\x83\0\0\0\0\1on\x80\x81\0\0\0\0e");
    RAW_SEND_LITERAL(fd, "\x02\x80\0\0\0\0\x00\x81\0\0\0\0\0\x00\x80\0\0\0\0\x80\x83\0\0\0\0two");
    EXPECT(s, "one", "two");
    // Masked, each fragment with its own key, and a PING in between.
    ws_send(fd, true, 0x02, LAST, "three", 5);
    WS_SEND(fd, true, PING, NO_FLAGS, "x");
    WS_EXPECT(fd, false, PONG, NO_FLAGS, "x");
    ws_send(fd, true, 0x00, NO_FLAGS, ", four", 6);
    ws_send(fd, true, 0x80, NO_FLAGS, ", five", 6);
    WS_SEND(fd, true, BINARY, LAST, "whole");
    EXPECT(s, "three, four, five");
    EXPECT(s, "whole");
    fd = server_of(ZMQ_PULL, "PUSH", &s);
    RAW_SEND_LITERAL(fd, "\x02\3\0on\x80\1e");
    EXPECT(s, "one");
}

TEST_OURS_ONLY(large_messages_in_fragments, ONE_FRAME) {
    enum { PIECE = 3000, PIECES = 40 };
    void *s;
    int fd = peer_of(ZMQ_PULL, "PUSH", &s);
    char body[PIECE], *whole = malloc(PIECE * PIECES);
    for (int i = 0; i < PIECES; i++) {
        memset(body, 'a' + i % 26, PIECE);
        memcpy(whole + i * PIECE, body, PIECE);
        const bool first = i == 0, last = i == PIECES - 1;
        ws_send(fd, true, first ? 0x02 : last ? 0x80 : 0, first ? LAST : NO_FLAGS, body, PIECE);
    }
    WS_SEND(fd, true, BINARY, LAST, "whole");
    char *received = malloc(PIECE * PIECES);
    CHECK_EQ(zmq_recv(s, received, PIECE * PIECES, 0), PIECE * PIECES);
    CHECK(memcmp(received, whole, PIECE * PIECES) == 0);
    EXPECT(s, "whole");
    free(received);
    free(whole);
}

TEST_OURS_ONLY(fragments_byte_by_byte, ONE_FRAME) {
    void *s;
    int fd = peer_of(ZMQ_PULL, "PUSH", &s);
    static const char frames[] = "\x02\x83\0\0\0\0\1on\x00\x80\0\0\0\0\x80\x82\0\0\0\0e!"
                                 "\x82\x84\0\0\0\0\0end";
    for (size_t i = 0; i < sizeof frames - 1; i++)
        RAW_SEND(fd, frames + i, 1);
    EXPECT(s, "one!", "end");
}

// ---- what must not be said ---------------------------------------------------------------------

// Each ends its own connection; a healthy one to the same socket goes on.
struct scene {
    void *socket, *mon;
    const char *endpoint;
    int healthy;
};

static struct scene make_scene(int events) {
    struct scene scene = {.socket = NEW_SOCKET(ZMQ_PULL)};
    scene.endpoint = BIND(scene.socket, "ws");
    scene.healthy = client_of(scene.endpoint, "PUSH");
    WS_SEND(scene.healthy, true, BINARY, LAST, "healthy");
    EXPECT(scene.socket, "healthy");
    scene.mon = MONITOR(scene.socket, events);
    return scene;
}

static void check_healthy(const struct scene *scene) {
    WS_SEND(scene->healthy, true, BINARY, LAST, "healthy");
    EXPECT(scene->socket, "healthy");
}

enum { WS_UNSPECIFIED = ZMQ_PROTOCOL_ERROR_WS_UNSPECIFIED };

static void check_requests(const char *const *requests) {
    struct scene scene = make_scene(ZMQ_EVENT_ALL & ~ZMQ_EVENT_ACCEPTED);
    for (; *requests; requests++) {
        int fd = RAW_CONNECT(scene.endpoint);
        RAW_SEND(fd, *requests, strlen(*requests));
        struct event event = EXPECT_EVENT(scene.mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
        CHECK_EQ(event.value, WS_UNSPECIFIED);
        EXPECT_EVENT(scene.mon, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(fd);
        close(fd);
        check_healthy(&scene);
    }
    EXPECT_NOTHING(scene.mon);
}

#define LINES(first, ...) first "\r\n" __VA_ARGS__ "\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEYED "Sec-WebSocket-Key: " RFC_KEY "\r\nSec-WebSocket-Version: 13\r\n"
#define OFFER "Sec-WebSocket-Protocol: ZWS2.0/NULL\r\n"

TEST(malformed_requests) {
    check_requests((const char *const[]){
        "hello\r\n\r\n",
        LINES("POST / HTTP/1.1", "Host: a\r\n" UPGRADE KEYED OFFER),
        LINES("GET / HTTP/1.0", "Host: a\r\n" UPGRADE KEYED OFFER),
        LINES("GET / HTTP/2.0", "Host: a\r\n" UPGRADE KEYED OFFER),
        LINES("GET / HTTP/1.1", "Host: a\r\nConnection: Upgrade\r\n" KEYED OFFER),
        LINES("GET / HTTP/1.1", "Host: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n" KEYED OFFER),
        LINES("GET / HTTP/1.1", "Host: a\r\nUpgrade: websocket\r\n" KEYED OFFER),
        LINES("GET / HTTP/1.1", "Host: a\r\nUpgrade: websocket\r\nConnection: close\r\n" KEYED OFFER),
        LINES("GET / HTTP/1.1", "Host: a\r\n" UPGRADE OFFER),
        LINES("GET / HTTP/1.1", "Host: a\r\n" UPGRADE KEYED),
        LINES("GET / HTTP/1.1", "Host: a\r\n" UPGRADE KEYED "Sec-WebSocket-Protocol: chat\r\n"),
        LINES("GET / HTTP/1.1", "Host: a\r\n" UPGRADE KEYED "Sec-WebSocket-Protocol: ZWS2.0/PLAIN\r\n"),
        LINES("GET / HTTP/1.1", "Host: a\r\n" UPGRADE KEYED "Sec-WebSocket-Protocol: ZWS2.0/CURVE\r\n"),
        NULL,
    });
}

// A greeting of ZMTP: somebody has mixed up tcp and ws.
TEST(a_greeting_is_no_request) {
    struct scene scene = make_scene(ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    int fd = RAW_CONNECT(scene.endpoint);
    unsigned char greeting[64];
    zmtp_greeting(greeting, 3, 1, "NULL");
    RAW_SEND(fd, greeting, 10);
    EXPECT_EVENT(scene.mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    RAW_EXPECT_CLOSED(fd);
    check_healthy(&scene);
}

TEST(other_versions_are_refused) {
    if (reference_library())
        skip("libzmq looks at no version");
    check_requests((const char *const[]){
        LINES("GET / HTTP/1.1", "Host: a\r\n" UPGRADE OFFER "Sec-WebSocket-Key: " RFC_KEY "\r\n"
                                "Sec-WebSocket-Version: 8\r\n"),
        NULL,
    });
}

TEST(an_endless_header) {
    struct scene scene = make_scene(ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    int fd = RAW_CONNECT(scene.endpoint);
    char *header = malloc(20000);
    memset(header, 'x', 20000);
    memcpy(header, "GET / HTTP/1.1\r\nCookie: ", 24);
    RAW_SEND(fd, header, 20000);
    struct event event = EXPECT_EVENT(scene.mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    CHECK_EQ(event.value, WS_UNSPECIFIED);
    RAW_EXPECT_CLOSED(fd);
    check_healthy(&scene);
    free(header);
}

TEST_OURS_ONLY(a_slow_request, "it has no time limit for the upgrade") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HANDSHAKE_IVL, 100);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL & ~ZMQ_EVENT_ACCEPTED);
    int fd = RAW_CONNECT(BIND(s, "ws"));
    EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING);
    RAW_SEND_LITERAL(fd, "GET / HTTP/1.1\r\n");
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EAGAIN);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
}

// A client gives up on a server that does not upgrade: it will not do better next time.
static void check_response(const char *response) {
    char endpoint[80], request[2048];
    int listener = listen_ws(endpoint, "");
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(s, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(s, endpoint);
    int fd = RAW_ACCEPT(listener);
    read_head(fd, request);
    RAW_SEND(fd, response, strlen(response));
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    CHECK_EQ(event.value, WS_UNSPECIFIED);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
    EXPECT_NOTHING(mon);
    close(fd);
    close(listener);
    CLOSE(mon);
    CLOSE(s);
}

TEST(malformed_responses) {
    check_response("\xff\r\n\r\n");
    check_response("HTTP/1.1 400 Bad Request\r\n\r\n");
    check_response("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    check_response("HTTP/1.0 101 Switching Protocols\r\n\r\n");
    check_response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n");
}

TEST_OURS_ONLY(the_accept_key_is_checked, "it takes any") {
    check_response(RESPONSE("ZWS2.0/NULL"));
}

static void check_frames(const struct ws_frame *frames, size_t count) {
    struct scene scene = make_scene(ZMQ_EVENT_ALL & ~ZMQ_EVENT_ACCEPTED);
    for (size_t i = 0; i < count; i++) {
        int fd = client_of(scene.endpoint, "PUSH");
        EXPECT_EVENT(scene.mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        EXPECT_EVENT(scene.mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        WS_SEND(fd, true, BINARY, LAST, "before");
        EXPECT(scene.socket, "before");
        RAW_SEND(fd, frames[i].payload, frames[i].size);
        EXPECT_EVENT(scene.mon, ZMQ_EVENT_DISCONNECTED);
        expect_close(fd, false, frames[i].first ? TOO_BIG : VIOLATION);
        check_healthy(&scene);
    }
    EXPECT_NOTHING(scene.mon);
}

#define FRAME(text) {.size = sizeof(text) - 1, .payload = text}

#define STOPS "it stops reading and keeps the connection"

TEST_OURS_ONLY(malformed_frames, STOPS) {
    static const struct ws_frame frames[] = {
        FRAME("\x81\x85\0\0\0\0hello"),                // text
        FRAME("\x80\x82\0\0\0\0\0x"),                  // a continuation of nothing
        FRAME("\x02\x82\0\0\0\0\0x\x82\x82\0\0\0\0\0x"), // a message within a message
        FRAME("\x02\x82\0\0\0\0\0x\x02\x82\0\0\0\0\0x"), // two beginnings
        FRAME("\x02\x80\0\0\0\0\x80\x80\0\0\0\0"),       // fragments without flags
        FRAME("\x09\x80\0\0\0\0"),                     // a ping in fragments
        FRAME("\x83\x82\0\0\0\0\0x"),                  // an opcode nobody knows
        FRAME("\x82\x02\0x"),                          // not masked
        FRAME("\x89\x00"),                             // a ping not masked
        FRAME("\x82\x80\0\0\0\0"),                     // no flags
    };
    check_frames(frames, sizeof frames / sizeof frames[0]);
}

TEST_OURS_ONLY(reserved_bits_and_long_control_frames, "it takes them") {
    static const struct ws_frame frames[] = {
        FRAME("\xc2\x82\0\0\0\0\0x"), FRAME("\xa2\x82\0\0\0\0\0x"), FRAME("\x92\x82\0\0\0\0\0x"),
        FRAME("\x89\xfe\0\x7e\0\0\0\0"),
        // More than there can be.
        {.first = true, .size = 15, .payload = "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0"},
    };
    check_frames(frames, sizeof frames / sizeof frames[0]);
}

TEST_OURS_ONLY(a_masked_frame_from_a_server, STOPS) {
    void *s;
    int fd = server_of(ZMQ_PULL, "PUSH", &s);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED);
    RAW_SEND_LITERAL(fd, "\x82\x82\0\0\0\0\0x");
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    expect_close(fd, true, VIOLATION);
    EXPECT_NOTHING(mon);
}

TEST(longer_than_maxmsgsize) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int64_t limit = 100;
    SET_BYTES(s, ZMQ_MAXMSGSIZE, &limit, sizeof limit);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    const char *endpoint = BIND(s, "ws");
    int fd = client_of(endpoint, "PUSH");
    char body[101];
    memset(body, 'x', sizeof body);
    ws_send(fd, true, BINARY, LAST, body, 100);
    EXPECT_BYTES(s, body, 100, false);
    ws_send(fd, true, BINARY, LAST, body, 101);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    if (reference_library()) {
        RAW_EXPECT_CLOSED(fd);
        return;
    }
    expect_close(fd, false, TOO_BIG);
    // The limit is for the whole of a message in fragments.
    fd = client_of(endpoint, "PUSH");
    ws_send(fd, true, 0x02, LAST, body, 60);
    ws_send(fd, true, 0x80, NO_FLAGS, body, 40);
    EXPECT_BYTES(s, body, 100, false);
    ws_send(fd, true, 0x02, LAST, body, 60);
    ws_send(fd, true, 0x80, NO_FLAGS, body, 41);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    expect_close(fd, false, TOO_BIG);
    EXPECT_NOTHING(s);
}

// A great length is a claim; memory comes with the bytes.
TEST_OURS_ONLY(a_claimed_length_costs_nothing, "it allocates what is claimed") {
    struct scene scene = make_scene(ZMQ_EVENT_DISCONNECTED);
    int fds[20];
    for (int i = 0; i < 20; i++) {
        fds[i] = client_of(scene.endpoint, "PUSH");
        RAW_SEND_LITERAL(fds[i], "\x82\xff\0\0\x40\0\0\0\0\0\0\0\0\0\0begin");
    }
    check_healthy(&scene);
    EXPECT_NOTHING(scene.mon);
    for (int i = 0; i < 20; i++) {
        close(fds[i]);
        EXPECT_EVENT(scene.mon, ZMQ_EVENT_DISCONNECTED);
    }
    check_healthy(&scene);
}

TEST(a_wrong_command_in_the_handshake) {
    struct scene scene = make_scene(ZMQ_EVENT_ALL & ~ZMQ_EVENT_ACCEPTED);
    int fd = upgraded(scene.endpoint);
    EXPECT_EVENT(scene.mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    WS_SEND(fd, true, BINARY, COMMAND, "\5HELLO");
    struct event event = EXPECT_EVENT(scene.mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    CHECK_EQ(event.value, ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND);
    EXPECT_EVENT(scene.mon, ZMQ_EVENT_DISCONNECTED);
    if (reference_library())
        RAW_EXPECT_CLOSED(fd);
    else {
        WS_EXPECT(fd, false, BINARY, COMMAND, "\5READY\13Socket-Type\0\0\0\4PULL");
        expect_close(fd, false, VIOLATION);
    }
    check_healthy(&scene);
}

TEST(gone_in_the_middle) {
    static const char all[] = REQUEST("ZWS2.0/NULL") "\x82\x9b\0\0\0\0\2\5READY\13Socket-Type\0\0\0\4PUSH"
                              "\x82\x84\0\0\0\0\1one\x82\xfe\1\0\0\0\0\0\0two";
    struct scene scene = make_scene(ZMQ_EVENT_DISCONNECTED);
    for (size_t size = 0; size < sizeof all; size += 7) {
        int fd = RAW_CONNECT(scene.endpoint);
        RAW_SEND(fd, all, size);
        close(fd);
        EXPECT_EVENT(scene.mon, ZMQ_EVENT_DISCONNECTED);
    }
    check_healthy(&scene);
    EXPECT_NOTHING(scene.socket);
}
