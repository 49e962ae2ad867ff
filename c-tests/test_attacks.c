// SPDX-License-Identifier: MPL-2.0
//
// Peers that mean harm, or are cut off, over every transport they can use: slow handshakes, endless
// headers, connections cut at any byte with FIN or RST, recorded handshakes said again, changed
// bytes, claims of great lengths, weaker security than was asked for, crowds that say nothing. The
// socket serves its other peers meanwhile, and nothing but whole, genuine messages is delivered.
#include "curve.h"
#include "websocket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static bool is(const char *text, const char *other) { return strcmp(text, other) == 0; }

// As tcp://, whatever runs over it.
static const char *as_tcp(const char *endpoint) {
    static char text[64];
    snprintf(text, sizeof text, "tcp://127.0.0.1:%d", port_of(endpoint));
    return text;
}

// ---- slow handshakes ---------------------------------------------------------------------------

// Says `first` at once and `then` byte by byte.
struct slow {
    const char *name, *transport;
    const char *first;
    size_t first_size;
    const char *then;
    size_t then_size;
};

#define SLOW(name, transport, first, then)                                                         \
    {name, transport, first, sizeof(first) - 1, then, sizeof(then) - 1}
#define ZEROS_20 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define ZEROS_100 ZEROS_20 ZEROS_20 ZEROS_20 ZEROS_20 ZEROS_20
#define GREETING(mechanism) "\xff\0\0\0\0\0\0\0\1\x7f\3\1" mechanism
#define NULL_GREETING GREETING("NULL" ZEROS_20 ZEROS_20 "\0\0\0\0\0\0\0\0")
#define X_20 "xxxxxxxxxxxxxxxxxxxx"
#define X_100 X_20 X_20 X_20 X_20 X_20

static const struct slow slow_peers[] = {
    SLOW("signature", "tcp", "", "\xff\0\0\0\0\0\0\0"),
    SLOW("greeting", "tcp", GREETING(""), "NULL" ZEROS_20),
    SLOW("ready", "tcp", NULL_GREETING, "\4\xfa\5READY\13Socket-Type\0\0\0\6DEALER" X_100),
    SLOW("unversioned", "tcp", "", "\5\0"),
    SLOW("hello", "tcp-curve", GREETING("CURVE" ZEROS_20 ZEROS_20 "\0\0\0\0\0\0\0"),
         "\4\xc8\5HELLO\1\0" ZEROS_100 ZEROS_20),
    SLOW("request", "ws", "", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"),
    SLOW("headers", "ws", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
         "X-a: b\r\nX-c: d\r\nX-e: f\r\nX-g: h\r\nX-i: k\r\nX-l: m\r\nX-n: o\r\nX-p: q\r\nX-r: s\r\n"),
    SLOW("ws-ready", "ws", REQUEST("ZWS2.0/NULL"), "\x82\xfe\0\xc8\0\0\0\0\2\5READY" ZEROS_100),
    SLOW("hello-of-tls", "tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ZEROS_100),
    SLOW("hello-of-wss", "wss", "", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" ZEROS_100),
    // Past TLS, of which the time is part.
    SLOW("inside-tls", "tls-stream", GREETING(""), "NULL" ZEROS_20 ZEROS_20),
};

static const char *const refused_by_time = "libzmq has no time limit for the upgrade";

enum { OF_HANDSHAKE = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                      ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED };

// A connection on which bytes are said by hand, inside TLS or without.
struct raw {
    int fd;
    void *stream;
    struct frame id;
};

static struct raw open_raw(const char *endpoint, bool inside_tls) {
    struct raw raw = {.fd = -1};
    if (!inside_tls) {
        raw.fd = RAW_CONNECT(as_tcp(endpoint));
        return raw;
    }
    raw.stream = NEW_SOCKET(ZMQ_STREAM);
    CONNECT_SECURED(raw.stream, endpoint);
    raw.id = RECV(raw.stream);
    EXPECT(raw.stream, "");
    return raw;
}

// The connection may be gone.
static void raw_say(struct raw *raw, const void *bytes, size_t size) {
    if (raw->stream) {
        if (size > 0 && zmq_send(raw->stream, raw->id.data, raw->id.size, ZMQ_SNDMORE) > 0)
            zmq_send(raw->stream, bytes, size, 0);
    } else if (send(raw->fd, bytes, size, MSG_NOSIGNAL) < 0)
        CHECK(errno == EPIPE || errno == ECONNRESET);
}

static void close_raw(struct raw *raw) {
    if (raw->stream)
        CLOSE(raw->stream);
    else
        close(raw->fd);
}

TEST_EACH(slow_peers_lose_their_connection, "signature", "greeting", "ready", "unversioned",
          "hello", "request", "headers", "ws-ready", "hello-of-tls", "hello-of-wss", "inside-tls") {
    const struct slow *slow = slow_peers;
    while (!is(slow->name, transport))
        slow++;
    char name[16];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(slow->transport, "-"), slow->transport);
    if (reference_library() && is(name, "ws"))
        skip(refused_by_time);
    if (reference_library() && is(transport, "unversioned"))
        skip("libzmq sends to it at once");
    void *server = NEW_SOCKET(ZMQ_DEALER), *healthy = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(server, ZMQ_HANDSHAKE_IVL, 150);
    if (is(slow->transport, "tcp-curve")) {
        if (!zmq_has("curve"))
            skip("no CURVE");
        struct keys of_server = make_keys(), of_client = make_keys();
        be_server(server, &of_server);
        be_client(healthy, &of_client, of_server.public_text);
    }
    const char *endpoint = LINK(server, healthy, name);
    BOUNCE(server, healthy);
    void *mon = MONITOR(server, OF_HANDSHAKE);
    struct raw raw = open_raw(endpoint, is(slow->transport, "tls-stream"));
    raw_say(&raw, slow->first, slow->first_size);
    struct event event;
    const long long deadline = now_ms() + DEADLINE_MS;
    for (size_t said = 0; !event_within(mon, &event, 5);) {
        CHECK(now_ms() < deadline);
        if (said < slow->then_size)
            raw_say(&raw, slow->then + said++, 1);
        BOUNCE(server, healthy);
    }
    CHECK_EQ(event.event, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    CHECK_EQ(event.value, EAGAIN);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    if (raw.fd >= 0)
        RAW_EXPECT_CLOSED(raw.fd);
    BOUNCE(server, healthy);
}

// Servers can be slow as well: the client breaks off and tries again.
TEST_EACH(slow_servers_lose_their_connection, "tcp", "ws", "tls") {
    static const char response[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                   "Connection: Upgrade\r\nX-a: b\r\nX-c: d\r\nX-e: f\r\n";
    static const char greeting[] = GREETING("NULL" ZEROS_20);
    static const char record[] = "\x16\x03\x03\x02\x00\x02\x00\x00\x76\x03\x03" ZEROS_100;
    const bool ws = is(transport, "ws"), tls = is(transport, "tls");
    if (reference_library() && ws)
        skip(refused_by_time);
    need_transport(transport);
    char endpoint[64], address[80];
    int listener = RAW_LISTEN(endpoint);
    snprintf(address, sizeof address, "%s%s", transport, endpoint + 3);
    void *client = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(client, ZMQ_HANDSHAKE_IVL, 150);
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(client, OF_HANDSHAKE);
    CONNECT_SECURED(client, address);
    for (int round = 0; round < 2; round++) {
        int fd = RAW_ACCEPT(listener);
        const char *bytes = ws ? response : tls ? record : greeting;
        const size_t size = ws    ? sizeof response - 1
                            : tls ? sizeof record - 1
                                  : sizeof greeting - 1;
        struct event event;
        const long long deadline = now_ms() + DEADLINE_MS;
        for (size_t said = 0; !event_within(mon, &event, 5);) {
            CHECK(now_ms() < deadline);
            if (said < size && send(fd, bytes + said++, 1, MSG_NOSIGNAL) < 0)
                CHECK(errno == EPIPE || errno == ECONNRESET);
        }
        CHECK_EQ(event.event, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
        CHECK_EQ(event.value, EAGAIN);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(fd);
        close(fd);
    }
}

// A megabyte of header, in one line or in many.
static void endless(int fd, bool lines) {
    char block[1000];
    memset(block, 'x', sizeof block);
    for (size_t i = 0; lines && i + 8 <= sizeof block; i += 8)
        memcpy(block + i, "X-a: b\r\n", 8);
    for (int i = 0; i < 1000; i++)
        if (send(fd, block, sizeof block, MSG_NOSIGNAL) < 0) {
            CHECK(errno == EPIPE || errno == ECONNRESET);
            return;
        }
}

TEST_EACH(endless_requests, "line", "lines") {
    if (reference_library() && is(transport, "lines"))
        skip("libzmq does not count the lines");
    void *server = NEW_SOCKET(ZMQ_DEALER), *healthy = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = LINK(server, healthy, "ws");
    BOUNCE(server, healthy);
    void *mon = MONITOR(server, OF_HANDSHAKE);
    for (int i = 0; i < 10; i++) {
        int fd = RAW_CONNECT(as_tcp(endpoint));
        RAW_SEND_LITERAL(fd, "GET / HTTP/1.1\r\nHost: a\r\nCookie: ");
        if (is(transport, "lines"))
            RAW_SEND_LITERAL(fd, "a\r\n");
        endless(fd, is(transport, "lines"));
        EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(fd);
        close(fd);
    }
    BOUNCE(server, healthy);
}

TEST_EACH_OURS_ONLY(endless_responses, "it does not count the lines", "line", "lines") {
    char endpoint[80], request[2048];
    int listener = listen_ws(endpoint, "");
    void *client = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(client, OF_HANDSHAKE);
    CONNECT(client, endpoint);
    int fd = RAW_ACCEPT(listener);
    read_head(fd, request);
    RAW_SEND_LITERAL(fd, "HTTP/1.1 101 Switching Protocols\r\nCookie: ");
    if (is(transport, "lines"))
        RAW_SEND_LITERAL(fd, "a\r\n");
    endless(fd, is(transport, "lines"));
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
}

// ---- in the middle -----------------------------------------------------------------------------

enum end { FIN, RST, CHANGED, NEVER };

enum { RECORDED = 20000 };

// Passes on what a client and a server say to each other, until so many bytes went to the one whose
// reading is under test, and then ends that connection, or changes a bit and goes on.
struct middle {
    int listener, to_client, to_server;
    bool towards_server;
    enum end end;
    long limit, count;
    int silence; // in milliseconds at least
    bool ended;
    unsigned char recorded[RECORDED]; // what went there
};

static struct middle make_middle(char address[80], const char *transport) {
    struct middle middle = {.towards_server = true, .end = NEVER, .limit = -1};
    char endpoint[64];
    middle.listener = RAW_LISTEN(endpoint);
    snprintf(address, 80, "%s%s", transport, endpoint + 3);
    return middle;
}

static void meet(struct middle *middle, const char *endpoint) {
    middle->to_client = RAW_ACCEPT(middle->listener);
    middle->to_server = RAW_CONNECT(as_tcp(endpoint));
    middle->count = 0;
    middle->silence = 0;
    middle->ended = false;
}

static void reset(int fd) {
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(fd);
}

static void end_middle(struct middle *middle) {
    int *victim = middle->towards_server ? &middle->to_server : &middle->to_client;
    middle->ended = true;
    if (middle->end == FIN)
        shutdown(*victim, SHUT_WR);
    else {
        reset(*victim);
        *victim = -1;
    }
}

// Passes on what is there; false when one of them has ended its side.
static bool pass_on_from(struct middle *middle, int from, int to, bool counted) {
    unsigned char bytes[4096];
    size_t room = sizeof bytes;
    const bool cuts = counted && middle->end != NEVER && middle->end != CHANGED;
    if (cuts && (long)room > middle->limit - middle->count)
        room = (size_t)(middle->limit - middle->count);
    ssize_t got = recv(from, bytes, room, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return room == 0;
    const long at = middle->limit - middle->count;
    if (counted && middle->end == CHANGED && at >= 0 && at < got)
        bytes[at] ^= 1;
    for (ssize_t i = 0; counted && i < got && middle->count + i < RECORDED; i++)
        middle->recorded[middle->count + i] = bytes[i];
    if (counted)
        middle->count += got;
    return send(to, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

// One round; false once there is nothing more to pass on.
static bool pass_on(struct middle *middle) {
    if (middle->ended)
        return false;
    struct pollfd both[] = {{middle->to_client, POLLIN, 0}, {middle->to_server, POLLIN, 0}};
    const bool silent = poll(both, 2, 1) == 0;
    // With a changed length each may wait for the other.
    middle->silence = silent ? middle->silence + 1 : 0;
    if (middle->end == CHANGED && middle->count > middle->limit && middle->silence > ABSENCE_MS)
        return false;
    bool goes_on = pass_on_from(middle, middle->to_client, middle->to_server, middle->towards_server) &&
                   pass_on_from(middle, middle->to_server, middle->to_client, !middle->towards_server);
    if ((middle->end == FIN || middle->end == RST) && middle->count == middle->limit) {
        end_middle(middle);
        return false;
    }
    return goes_on;
}

static void part(struct middle *middle) {
    if (middle->to_client >= 0)
        close(middle->to_client);
    if (middle->to_server >= 0)
        close(middle->to_server);
}

static bool has_message(void *s) { return GET_INT(s, ZMQ_EVENTS) & ZMQ_POLLIN; }

static void expect_long(void *s) {
    char expected[300];
    memset(expected, 'x', sizeof expected);
    EXPECT_BYTES(s, "one", 3, true);
    EXPECT_BYTES(s, expected, sizeof expected, false);
}

static void send_long(void *s) {
    char body[300];
    memset(body, 'x', sizeof body);
    SEND_BYTES(s, "one", 3, ZMQ_SNDMORE);
    SEND_BYTES(s, body, sizeof body, 0);
}

struct ends {
    void *server, *client, *server_mon, *client_mon;
    const char *endpoint;
};

// "tcp", "ws", ..., or "curve": that is tcp with CURVE.
static const char *beneath(const char *transport) {
    return is(transport, "curve") ? "tcp" : transport;
}

// Two ends, one of which sends, with the middle between them.
static struct ends make_ends(const char *transport, struct middle *middle, const char *address) {
    const int types[] = {ZMQ_PULL, ZMQ_PUSH};
    struct ends ends = {.server = NEW_SOCKET(types[!middle->towards_server]),
                        .client = NEW_SOCKET(types[middle->towards_server])};
    if (is(transport, "curve")) {
        if (!zmq_has("curve"))
            skip("no CURVE");
        const struct keys of_server = make_keys(), of_client = make_keys();
        be_server(ends.server, &of_server);
        be_client(ends.client, &of_client, of_server.public_text);
    }
    SET_INT(ends.client, ZMQ_RECONNECT_IVL, -1);
    ends.endpoint = BIND_SECURED(ends.server, beneath(transport));
    ends.server_mon = MONITOR(ends.server, ZMQ_EVENT_DISCONNECTED);
    ends.client_mon = MONITOR(ends.client, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED);
    CONNECT_SECURED(ends.client, address);
    meet(middle, ends.endpoint);
    return ends;
}

static void close_ends(const struct ends *ends) {
    CLOSE(ends->client_mon);
    CLOSE(ends->server_mon);
    CLOSE(ends->client);
    CLOSE(ends->server);
}

// One connection through the middle, ended or changed at `limit`. Returns how many bytes went, 0 if
// no message came of them.
static long one_connection(const char *transport, struct middle *middle, const char *address,
                           long limit, enum end end) {
    middle->limit = limit;
    middle->end = end;
    if (getenv("TRACE"))
        fprintf(stderr, "# cut at %ld\n", limit);
    const struct ends ends = make_ends(transport, middle, address);
    void *sender = middle->towards_server ? ends.client : ends.server;
    void *victim = middle->towards_server ? ends.server : ends.client;
    bool sent = false, received = false;
    while (!received && pass_on(middle)) {
        if (!sent && GET_INT(sender, ZMQ_EVENTS) & ZMQ_POLLOUT) {
            send_long(sender);
            sent = true;
        }
        received = has_message(victim);
    }
    // Whoever is told that there will be no more hangs up, too.
    if (middle->ended && end == FIN)
        RAW_EXPECT_CLOSED(middle->towards_server ? middle->to_server : middle->to_client);
    if (!received) {
        part(middle);
        // A connection that is reset before the client knows of it has failed to be made.
        struct event event = NEXT_EVENT(middle->towards_server ? ends.server_mon : ends.client_mon);
        CHECK(event.event == ZMQ_EVENT_DISCONNECTED ||
              (event.event == ZMQ_EVENT_CLOSED && end == RST));
        received = has_message(victim);
    } else
        part(middle);
    if (received)
        expect_long(victim);
    CHECK(!has_message(victim));
    close_ends(&ends);
    return received ? middle->count : 0;
}

static void everywhere(const char *transport, bool towards_server, enum end end) {
    char address[80];
    struct middle middle = make_middle(address, beneath(transport));
    middle.towards_server = towards_server;
    const long whole = one_connection(transport, &middle, address, -1, NEVER);
    CHECK(whole > 300);
    const long step = whole / 60 + 1;
    for (long at = 0; at < whole; at += whole - at <= 8 ? 1 : step) {
        long went = one_connection(transport, &middle, address, at, end);
        // Nothing comes of a part. What TLS adds is more or less, as the bytes were collected.
        CHECK(went == 0 || end == CHANGED || is(transport, "tls") || is(transport, "wss"));
    }
}

#define EACH_CUT "tcp", "ws", "tls", "wss", "curve"

TEST_EACH(clients_that_stop_anywhere, EACH_CUT) { everywhere(transport, true, FIN); }
TEST_EACH(clients_that_are_reset_anywhere, EACH_CUT) { everywhere(transport, true, RST); }
TEST_EACH(servers_that_stop_anywhere, EACH_CUT) { everywhere(transport, false, FIN); }
TEST_EACH(servers_that_are_reset_anywhere, EACH_CUT) { everywhere(transport, false, RST); }

// A message comes as it was sent or not at all.
TEST_EACH(clients_with_a_bit_changed_anywhere, "tls", "wss", "curve") {
    everywhere(transport, true, CHANGED);
}
TEST_EACH(servers_with_a_bit_changed_anywhere, "tls", "wss", "curve") {
    everywhere(transport, false, CHANGED);
}

// ---- said again --------------------------------------------------------------------------------

// All that a client said, recorded, is worth nothing to a second connection.
TEST_EACH(a_recorded_client, "tls", "wss", "curve") {
    char address[80];
    struct middle middle = make_middle(address, beneath(transport));
    middle.towards_server = true;
    const struct ends ends = make_ends(transport, &middle, address);
    for (bool sent = false; !has_message(ends.server);) {
        CHECK(pass_on(&middle));
        if (!sent && GET_INT(ends.client, ZMQ_EVENTS) & ZMQ_POLLOUT) {
            send_long(ends.client);
            sent = true;
        }
    }
    expect_long(ends.server);
    part(&middle);
    EXPECT_EVENT(ends.server_mon, ZMQ_EVENT_DISCONNECTED);
    CHECK(middle.count < RECORDED);
    void *mon = MONITOR(ends.server, OF_HANDSHAKE);
    for (int i = 0; i < 5; i++) {
        int fd = RAW_CONNECT(as_tcp(ends.endpoint));
        // It may be refused in the middle of it.
        for (long at = 0; at < middle.count; at += 100)
            if (send(fd, middle.recorded + at, (size_t)(middle.count - at < 100 ? middle.count - at : 100),
                     MSG_NOSIGNAL) < 0)
                break;
        struct event event = NEXT_EVENT(mon);
        // libzmq may report nothing but the end, or wait.
        if (is(transport, "curve") && !reference_library()) {
            CHECK_EQ(event.event, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
            CHECK_EQ(event.value, CRYPTOGRAPHIC);
        } else if (!reference_library()) {
            CHECK_EQ(event.event, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
            CHECK_EQ(event.value, EPROTO);
        }
        if (!reference_library()) {
            EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
            RAW_EXPECT_CLOSED(fd);
        }
        close(fd);
        CHECK(!has_message(ends.server));
    }
}

// ---- great claims ------------------------------------------------------------------------------

static long resident_kilobytes(void) {
    char line[128];
    long size = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &size) == 1)
            break;
    fclose(file);
    return size;
}

static const struct {
    const char *name, *transport, *handshake;
    size_t handshake_size;
    const char *claim;
    size_t claim_size;
    bool answered; // the connection is ended
} claims[] = {
#define CLAIM(name, transport, handshake, claim, answered)                                         \
    {name, transport, handshake, sizeof(handshake) - 1, claim, sizeof(claim) - 1, answered}
#define READY_PUSH "\4\x1a\5READY\13Socket-Type\0\0\0\4PUSH"
    CLAIM("3.1", "tcp", NULL_GREETING READY_PUSH, "\2\x40\0\0\0\0\0\0\0beginning", false),
    CLAIM("more", "tcp", NULL_GREETING READY_PUSH, "\1\3one\3\x40\0\0\0\0\0\0\0beginning", false),
    CLAIM("command", "tcp", NULL_GREETING READY_PUSH, "\6\x40\0\0\0\0\0\0\0\4PINGx", false),
    CLAIM("ready", "tcp", NULL_GREETING, "\6\x40\0\0\0\0\0\0\0\5READY", true),
    CLAIM("2.0", "tcp", "\xff\0\0\0\0\0\0\0\1\x7f\1\x08\0\0", "\2\x40\0\0\0\0\0\0\0beginning", false),
    CLAIM("1.0", "tcp", "\1\0", "\xff\x40\0\0\0\0\0\0\0\0beginning", false),
    CLAIM("ws", "ws", REQUEST("ZWS2.0/NULL") "\x82\x9b\0\0\0\0\2\5READY\13Socket-Type\0\0\0\4PUSH",
          "\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0\0beginning", false),
    CLAIM("tls", "tls", NULL_GREETING READY_PUSH, "\2\x40\0\0\0\0\0\0\0beginning", false),
};

// What is claimed costs nothing, however many claim it, and delivers nothing.
TEST_EACH_OURS_ONLY(claims_of_2_to_the_62_bytes, "it allocates first", "3.1", "more", "command",
                    "ready", "2.0", "1.0", "ws", "tls") {
    enum { PEERS = 20 };
    int row = 0;
    while (!is(claims[row].name, transport))
        row++;
    void *pull = NEW_SOCKET(ZMQ_PULL), *healthy = NEW_SOCKET(ZMQ_PUSH);
    const char *endpoint = LINK(pull, healthy, claims[row].transport);
    SEND(healthy, "healthy");
    EXPECT(pull, "healthy");
    void *mon = MONITOR(pull, ZMQ_EVENT_DISCONNECTED);
    const long before = resident_kilobytes();
    struct raw peers[PEERS];
    for (int i = 0; i < PEERS; i++) {
        peers[i] = open_raw(endpoint, is(transport, "tls"));
        raw_say(&peers[i], claims[row].handshake, claims[row].handshake_size);
        raw_say(&peers[i], claims[row].claim, claims[row].claim_size);
        if (claims[row].answered)
            EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    }
    for (int i = 0; i < 100; i++) {
        SEND(healthy, "healthy");
        EXPECT(pull, "healthy");
    }
    CHECK(resident_kilobytes() - before < 100000);
    struct event event;
    CHECK(!event_within(mon, &event, ABSENCE_MS));
    for (int i = 0; i < PEERS; i++) {
        close_raw(&peers[i]);
        if (!claims[row].answered)
            EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    }
    SEND(healthy, "healthy");
    EXPECT(pull, "healthy");
    CHECK(!has_message(pull));
}

// ---- less security -----------------------------------------------------------------------------

static void secure(void *s, const char *mechanism, bool server) {
    static const char key[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    if (is(mechanism, "PLAIN") && server)
        SET_INT(s, ZMQ_PLAIN_SERVER, 1);
    else if (is(mechanism, "PLAIN")) {
        SET_TEXT(s, ZMQ_PLAIN_USERNAME, "somebody");
        SET_TEXT(s, ZMQ_PLAIN_PASSWORD, "secret");
    } else if (!zmq_has("curve"))
        skip("no CURVE");
    else {
        const struct keys keys = make_keys();
        if (server)
            be_server(s, &keys);
        else
            be_client(s, &keys, key);
    }
}

static const struct {
    const char *bytes;
    size_t size;
} weaker[] = {
#define WEAKER(text) {text, sizeof(text) - 1}
    WEAKER(NULL_GREETING "\4\x1a\5READY\13Socket-Type\0\0\0\4PAIR\0\6sneaky"),
    WEAKER("\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" ZEROS_20 ZEROS_20 "\0\0\0\0\0\0\0\0"
           "\4\x1a\5READY\13Socket-Type\0\0\0\4PAIR\0\6sneaky"),
    WEAKER("\xff\0\0\0\0\0\0\0\1\x7f\1\0\0\0\0\6sneaky"),
    WEAKER("\xff\0\0\0\0\0\0\0\1\x7f\0\0\1\0\7\0sneaky"),
    WEAKER("\1\0\7\0sneaky"),
};
enum { WEAKER_PEERS = sizeof weaker / sizeof weaker[0] };

// Who asks for PLAIN or CURVE talks to nobody in an older version or without a mechanism.
TEST_EACH(servers_are_not_talked_down, "PLAIN", "CURVE") {
    void *server = NEW_SOCKET(ZMQ_PAIR);
    secure(server, transport, true);
    const char *endpoint = BIND(server, "tcp");
    for (int i = 0; i < WEAKER_PEERS; i++) {
        int fd = RAW_CONNECT(endpoint);
        RAW_SEND(fd, weaker[i].bytes, weaker[i].size);
        RAW_EXPECT_CLOSED(fd);
        close(fd);
    }
    EXPECT_NOTHING(server);
}

// Nor does it say anything beyond its greeting: no name, no password, no message.
TEST_EACH(clients_are_not_talked_down, "PLAIN", "CURVE") {
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    for (int i = 0; i < WEAKER_PEERS; i++) {
        void *client = NEW_SOCKET(ZMQ_PAIR);
        secure(client, transport, false);
        SET_INT(client, ZMQ_RECONNECT_IVL, -1);
        CONNECT(client, endpoint);
        SEND(client, "confidential");
        int fd = RAW_ACCEPT(listener);
        RAW_SEND(fd, weaker[i].bytes, weaker[i].size);
        char said[4096];
        size_t size = 0;
        for (ssize_t got; (got = recv(fd, said + size, sizeof said - size, 0)) > 0;)
            size += (size_t)got;
        CHECK_BETWEEN(size, 0, 64);
        CHECK(memmem(said, size, "secret", 6) == NULL);
        CHECK(memmem(said, size, "confidential", 12) == NULL);
        close(fd);
        struct frame frame;
        CHECK(!TRY_RECV(client, &frame));
        CLOSE(client);
    }
}

static const char *const weaker_protocols[] = {"ZWS2.0", "ZWS2.0/NULL", "ZWS2.0,ZWS2.0/NULL", "NULL"};
enum { WEAKER_PROTOCOLS = sizeof weaker_protocols / sizeof weaker_protocols[0] };

TEST_EACH(websocket_servers_are_not_talked_down, "PLAIN", "CURVE") {
    void *server = NEW_SOCKET(ZMQ_PAIR);
    secure(server, transport, true);
    const char *endpoint = BIND(server, "ws");
    for (int i = 0; i < WEAKER_PROTOCOLS; i++) {
        char request[1024];
        int size = snprintf(request, sizeof request,
                            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Key: " RFC_KEY "\r\n"
                            "Sec-WebSocket-Protocol: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                            weaker_protocols[i]);
        int fd = RAW_CONNECT(as_tcp(endpoint));
        RAW_SEND(fd, request, (size_t)size);
        RAW_EXPECT_CLOSED(fd);
        close(fd);
    }
    EXPECT_NOTHING(server);
}

TEST_EACH(websocket_clients_are_not_talked_down, "PLAIN", "CURVE") {
    char endpoint[80];
    int listener = listen_ws(endpoint, "");
    for (int i = 0; i < WEAKER_PROTOCOLS; i++) {
        void *client = NEW_SOCKET(ZMQ_PAIR);
        secure(client, transport, false);
        SET_INT(client, ZMQ_RECONNECT_IVL, -1);
        CONNECT(client, endpoint);
        SEND(client, "confidential");
        int fd = RAW_ACCEPT(listener);
        accept_upgrade(fd, weaker_protocols[i]);
        char said[4096];
        CHECK_EQ(recv(fd, said, sizeof said, 0) > 0, false);
        close(fd);
        CLOSE(client);
    }
}

// ---- crowds ------------------------------------------------------------------------------------

// A thousand connections that say nothing keep nobody from being served.
TEST_EACH(a_silent_crowd, "tcp", "ws", "tls", "wss") {
    enum { CROWD = 1000 };
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_max < 2 * CROWD + 200)
        skip("too few descriptors allowed");
    limit.rlim_cur = 2 * CROWD + 200;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    void *server = NEW_SOCKET(ZMQ_ROUTER), *early = NEW_SOCKET(ZMQ_REQ), *late = NEW_SOCKET(ZMQ_REQ);
    SET_INT(server, ZMQ_BACKLOG, CROWD);
    const char *endpoint = LINK(server, early, transport);
    int crowd[CROWD];
    for (int i = 0; i < CROWD; i++)
        crowd[i] = RAW_CONNECT(as_tcp(endpoint));
    CONNECT_SECURED(late, endpoint);
    void *good[] = {early, late};
    for (int round = 0; round < 20; round++) {
        SEND(good[round % 2], "question");
        struct frame id = RECV(server);
        EXPECT(server, "", "question");
        SEND_FRAME(server, id, ZMQ_SNDMORE);
        SEND(server, "", "answer");
        EXPECT(good[round % 2], "answer");
        for (int i = round; round % 2 == 0 && i < CROWD; i += 20)
            close(crowd[i]);
    }
}

static void knock(int fd, const char *endpoint) {
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port_of(endpoint))};
    const bool ipc = strncmp(endpoint, "ipc", 3) == 0;
    if (ipc)
        snprintf(path.sun_path, sizeof path.sun_path, "%s", endpoint + 6);
    CHECK_OK(ipc ? connect(fd, (struct sockaddr *)&path, sizeof path)
                 : connect(fd, (struct sockaddr *)&address, sizeof address));
}

// There is a pause between two failures to accept, and others are served.
static void expect_rests(void *mon, void *server, void *client) {
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPT_FAILED).value, EMFILE);
    const long long start = now_ms();
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPT_FAILED).value, EMFILE);
        BOUNCE(server, client);
    }
    CHECK(now_ms() - start >= 200);
}

// Without a descriptor left nobody is let in, those who are in are served, and nothing spins. When there are descriptors again, who waits is let in.
TEST_EACH_OURS_ONLY(out_of_descriptors, "it says so without a pause, or asserts", "tcp", "ipc",
                    "tls") {
    enum { LIMIT = 120 };
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    void *other = NEW_SOCKET(ZMQ_PUSH), *elsewhere = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = LINK(server, client, transport);
    BOUNCE(server, client);
    BIND(elsewhere, "tcp");
    void *mon = MONITOR(server, ZMQ_EVENT_ACCEPT_FAILED);
    int told[2];
    CHECK_OK(pipe(told));
    int fds[LIMIT], count = 0, late = socket(is(transport, "ipc") ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){LIMIT, LIMIT}));
    while ((fds[count] = dup(late)) >= 0)
        count++;
    knock(late, endpoint);
    expect_rests(mon, server, client);
    // More of them do not make it more frequent.
    if (fork() == 0) {
        while (count > 0)
            close(fds[--count]);
        for (int i = 0; i < 30; i++)
            knock(socket(is(transport, "ipc") ? AF_UNIX : AF_INET, SOCK_STREAM, 0), endpoint);
        CHECK_EQ(write(told[1], "x", 1), 1);
        for (;;)
            pause();
    }
    char told_byte;
    CHECK_EQ(read(told[0], &told_byte, 1), 1);
    struct event event;
    while (event_within(mon, &event, 0)) {
    }
    expect_rests(mon, server, client);
    // Connecting fails for the time being, and is tried again. Nothing aborts.
    SET_INT(other, ZMQ_RECONNECT_IVL, 10);
    CONNECT(other, LAST_ENDPOINT(elsewhere));
    void *more = zmq_ctx_new();
    if (more) {
        void *s = zmq_socket(more, ZMQ_PULL);
        CHECK(s != NULL || errno == EMFILE);
        if (s) {
            CHECK_ERRNO(zmq_bind(s, "tcp://127.0.0.1:*"), EMFILE);
            CHECK_OK(zmq_close(s));
        }
        CHECK_OK(zmq_ctx_term(more));
    }
    SEND(other, "late");
    while (count > 0)
        close(fds[--count]);
    EXPECT(elsewhere, "late");
    void *last = NEW_SOCKET(ZMQ_DEALER);
    if (is(transport, "tcp") || is(transport, "ipc")) {
        ZMTP_HANDSHAKE(late, 1, "DEALER", NULL);
        ZMTP_SEND_LITERAL(late, 0, "at last");
    } else {
        CONNECT_SECURED(last, endpoint);
        SEND(last, "at last");
    }
    EXPECT(server, "at last");
}
