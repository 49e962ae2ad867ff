// SPDX-License-Identifier: MPL-2.0
//
// Two processes, one over each library, talk to each other. run.py starts both:
//
//   interop list                        the names of all scenarios
//   interop bind NAME                   prints its endpoints, then plays its part
//   interop connect NAME ENDPOINTS      plays the other
//
// With INTEROP_CERTIFICATES=DIRECTORY (that of certificates.sh) a tcp variant goes over tls://, both
// sides showing a certificate.
//
// Each process exits with 0 when everything it received was what it should be. A second connection,
// PAIR to PAIR, lets them wait for each other.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: not true: %s; errno %s\n", __FILE__, __LINE__, #condition,              \
                   zmq_strerror(zmq_errno()));                                                     \
            fflush(stdout);                                                                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

enum kind { REQUESTS, STREAMED, DOWN, UP, RAW, SINGLE };

static const struct scenario {
    const char *name;
    int bind_type, connect_type;
    // REQUESTS: strictly in turns. STREAMED: both ways at will. DOWN: from the binder only. UP: to
    // the binder only. RAW: bytes of STREAM sockets. SINGLE: messages of one part, in turns where
    // both can send. In these and in the first two the connecter begins, unless the binder has to.
    enum kind kind;
    bool binder_begins;
} scenarios[] = {
    {"pair", ZMQ_PAIR, ZMQ_PAIR, STREAMED, false},
    {"pull-push", ZMQ_PULL, ZMQ_PUSH, UP, false},
    {"push-pull", ZMQ_PUSH, ZMQ_PULL, DOWN, false},
    {"pub-sub", ZMQ_PUB, ZMQ_SUB, DOWN, false},
    {"sub-pub", ZMQ_SUB, ZMQ_PUB, UP, false},
    {"xpub-xsub", ZMQ_XPUB, ZMQ_XSUB, DOWN, false},
    {"xsub-xpub", ZMQ_XSUB, ZMQ_XPUB, UP, false},
    {"xpub-sub", ZMQ_XPUB, ZMQ_SUB, DOWN, false},
    {"pub-xsub", ZMQ_PUB, ZMQ_XSUB, DOWN, false},
    {"rep-req", ZMQ_REP, ZMQ_REQ, REQUESTS, false},
    {"req-rep", ZMQ_REQ, ZMQ_REP, REQUESTS, true},
    {"router-req", ZMQ_ROUTER, ZMQ_REQ, REQUESTS, false},
    {"req-router", ZMQ_REQ, ZMQ_ROUTER, REQUESTS, true},
    {"rep-dealer", ZMQ_REP, ZMQ_DEALER, REQUESTS, false},
    {"dealer-rep", ZMQ_DEALER, ZMQ_REP, REQUESTS, true},
    {"dealer-dealer", ZMQ_DEALER, ZMQ_DEALER, STREAMED, false},
    {"router-dealer", ZMQ_ROUTER, ZMQ_DEALER, STREAMED, false},
    {"dealer-router", ZMQ_DEALER, ZMQ_ROUTER, STREAMED, true},
    {"router-router", ZMQ_ROUTER, ZMQ_ROUTER, STREAMED, false},
    {"stream", ZMQ_STREAM, ZMQ_STREAM, RAW, false},
#ifdef ZMQ_BUILD_DRAFT_API
    {"server-client", ZMQ_SERVER, ZMQ_CLIENT, SINGLE, false},
    {"client-server", ZMQ_CLIENT, ZMQ_SERVER, SINGLE, true},
    {"gather-scatter", ZMQ_GATHER, ZMQ_SCATTER, SINGLE, false},
    {"scatter-gather", ZMQ_SCATTER, ZMQ_GATHER, SINGLE, true},
    {"peer", ZMQ_PEER, ZMQ_PEER, SINGLE, false},
    {"channel", ZMQ_CHANNEL, ZMQ_CHANNEL, SINGLE, false},
#endif
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

// RAW runs over tcp alone.
static const char *const variants[] = {"tcp", "ipc", "tcp-curve", "ipc-curve", "tcp-plain",
                                       "tcp-heartbeat", "tcp-curve-heartbeat", "ws", "ws-plain",
                                       "ws-curve"};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static const size_t sizes[] = {0,    1,    32,    33,    34,    254,    255,
                               256,  1000, 8191,  8192,  8193,  65535,  65536,
                               65537, 1 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0], MANY = 20000, TURNS = 1000, LARGE = 1 << 20 };

// One side of the conversation.
struct side {
    const struct scenario *scenario;
    bool binds, begins;
    int type, peer_type;
    const char *peer_name; // routing id of the peer
    uint32_t peer;         // and its number, if it was connected to by that
    void *ctx, *socket, *control;
};

// ---- messages ----------------------------------------------------------------------------------

static char body_byte(size_t size, size_t i) { return (char)(i * 31 + size + i / 4096); }

static char *make_body(size_t size) {
    char *body = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        body[i] = body_byte(size, i);
    return body;
}

static void send_part(void *s, const void *data, size_t size, int flags) {
    int sent = zmq_send(s, data, size, flags);
    CHECK(sent == (int)size);
}

static void recv_part(void *s, const void *expected, size_t size, bool more) {
    static char buffer[LARGE + 64];
    int got = zmq_recv(s, buffer, sizeof buffer, 0), has_more;
    size_t option = sizeof has_more;
    CHECK(got == (int)size);
    CHECK(memcmp(buffer, expected, size) == 0);
    CHECK(zmq_getsockopt(s, ZMQ_RCVMORE, &has_more, &option) == 0);
    CHECK(has_more == more);
}

// What a ROUTER, and one that speaks to REQ or REP without being the other, puts in front.
static void send_envelope(const struct side *side) {
    if (side->type == ZMQ_ROUTER)
        send_part(side->socket, side->peer_name, strlen(side->peer_name), ZMQ_SNDMORE);
    if ((side->type == ZMQ_ROUTER && side->peer_type == ZMQ_REQ) ||
        (side->type == ZMQ_DEALER && side->peer_type == ZMQ_REP))
        send_part(side->socket, "", 0, ZMQ_SNDMORE);
}

static void recv_envelope(const struct side *side) {
    if (side->type == ZMQ_ROUTER)
        recv_part(side->socket, side->peer_name, strlen(side->peer_name), true);
    if ((side->type == ZMQ_ROUTER && side->peer_type == ZMQ_REQ) ||
        (side->type == ZMQ_DEALER && side->peer_type == ZMQ_REP))
        recv_part(side->socket, "", 0, true);
}

// A message of three parts, the middle one of this size.
static void send_sized(const struct side *side, size_t size) {
    char *body = make_body(size);
    send_envelope(side);
    send_part(side->socket, "topic", 5, ZMQ_SNDMORE);
    send_part(side->socket, body, size, ZMQ_SNDMORE);
    send_part(side->socket, "", 0, 0);
    free(body);
}

static void recv_sized(const struct side *side, size_t size) {
    char *body = make_body(size);
    recv_envelope(side);
    recv_part(side->socket, "topic", 5, true);
    recv_part(side->socket, body, size, true);
    recv_part(side->socket, "", 0, false);
    free(body);
}

static void send_number(const struct side *side, int number) {
    char text[32];
    send_envelope(side);
    send_part(side->socket, text, (size_t)snprintf(text, sizeof text, "number %d", number), 0);
}

static void recv_number(const struct side *side, int number) {
    char text[32];
    recv_envelope(side);
    recv_part(side->socket, text, (size_t)snprintf(text, sizeof text, "number %d", number), false);
}

// ---- conversations -----------------------------------------------------------------------------

static void tell(const struct side *side) { send_part(side->control, "go", 2, 0); }
static void wait_told(const struct side *side) { recv_part(side->control, "go", 2, false); }

static bool is_publisher(int type) { return type == ZMQ_PUB || type == ZMQ_XPUB; }

static void send_stream(const struct side *side) {
    for (int i = 0; i < SIZES; i++)
        send_sized(side, sizes[i]);
    for (int i = 0; i < MANY; i++)
        send_number(side, i);
}

static void recv_stream(const struct side *side) {
    for (int i = 0; i < SIZES; i++)
        recv_sized(side, sizes[i]);
    for (int i = 0; i < MANY; i++)
        recv_number(side, i);
}

// A publisher cannot know that it is heard until it is told.
static void publish_until_told(const struct side *side) {
    zmq_pollitem_t item = {.socket = side->control, .events = ZMQ_POLLIN};
    while (zmq_poll(&item, 1, 2) == 0)
        send_part(side->socket, "number sync", 11, 0);
    wait_told(side);
    send_part(side->socket, "number end", 10, 0);
}

static void subscribe_and_tell(const struct side *side) {
    char buffer[32];
    if (side->type == ZMQ_SUB) {
        CHECK(zmq_setsockopt(side->socket, ZMQ_SUBSCRIBE, "topic", 5) == 0);
        CHECK(zmq_setsockopt(side->socket, ZMQ_SUBSCRIBE, "number", 6) == 0);
    } else {
        send_part(side->socket, "\1topic", 6, 0);
        send_part(side->socket, "\1number", 7, 0);
    }
    CHECK(zmq_recv(side->socket, buffer, sizeof buffer, 0) == 11);
    tell(side);
    int size;
    do {
        size = zmq_recv(side->socket, buffer, sizeof buffer, 0);
        CHECK(size == 11 || size == 10);
    } while (size != 10);
}

static void converse_one_way(const struct side *side, bool sends) {
    if (sends) {
        if (is_publisher(side->type))
            publish_until_told(side);
        send_stream(side);
        wait_told(side);
    } else {
        if (is_publisher(side->peer_type))
            subscribe_and_tell(side);
        recv_stream(side);
        tell(side);
    }
}

static void converse_in_turns(const struct side *side) {
    for (int i = 0; i < SIZES; i++) {
        if (side->begins)
            send_sized(side, sizes[i]);
        recv_sized(side, sizes[i]);
        if (!side->begins)
            send_sized(side, sizes[i]);
    }
    for (int i = 0; i < TURNS; i++) {
        if (side->begins)
            send_number(side, i);
        recv_number(side, i);
        if (!side->begins)
            send_number(side, i);
    }
}

// A ROUTER that begins must wait until it knows its peer.
static void wait_routable(const struct side *side) {
    int on = 1, off = 0;
    CHECK(zmq_setsockopt(side->socket, ZMQ_ROUTER_MANDATORY, &on, sizeof on) == 0);
    while (zmq_send(side->socket, side->peer_name, strlen(side->peer_name), ZMQ_SNDMORE) < 0) {
        CHECK(zmq_errno() == EHOSTUNREACH);
        zmq_poll(NULL, 0, 2);
    }
    send_part(side->socket, "first", 5, 0);
    CHECK(zmq_setsockopt(side->socket, ZMQ_ROUTER_MANDATORY, &off, sizeof off) == 0);
}

static void converse_streamed(const struct side *side) {
    const bool first_from_router = side->scenario->bind_type == ZMQ_ROUTER &&
                                   side->scenario->connect_type == ZMQ_ROUTER;
    if (first_from_router && side->begins)
        wait_routable(side);
    else if (first_from_router) {
        recv_envelope(side);
        recv_part(side->socket, "first", 5, false);
    }
    converse_in_turns(side);
    // Then each in one go.
    if (side->begins) {
        send_stream(side);
        recv_stream(side);
    } else {
        recv_stream(side);
        send_stream(side);
    }
}

static void expect_raw(void *s, const char *id, const char *expected, size_t size) {
    static char part[1 << 17];
    for (size_t have = 0; have < size;) {
        recv_part(s, id, 5, true);
        int got = zmq_recv(s, part, sizeof part, 0);
        CHECK(got > 0 && have + (size_t)got <= size);
        CHECK(memcmp(part, expected + have, (size_t)got) == 0);
        have += (size_t)got;
    }
}

static void converse_raw(const struct side *side) {
    char id[8], *body = make_body(LARGE);
    CHECK(zmq_recv(side->socket, id, sizeof id, 0) == 5);
    recv_part(side->socket, "", 0, false);
    for (int turn = 0; turn < 2; turn++) {
        if (side->begins == (turn == 0)) {
            send_part(side->socket, id, 5, ZMQ_SNDMORE);
            send_part(side->socket, body, LARGE, 0);
        } else
            expect_raw(side->socket, id, body, LARGE);
    }
    free(body);
}

// ---- setting up --------------------------------------------------------------------------------

static void set_int(void *s, int option, int value) {
    CHECK(zmq_setsockopt(s, option, &value, sizeof value) == 0);
}

static void set_text(void *s, int option, const char *text) {
    CHECK(zmq_setsockopt(s, option, text, strlen(text)) == 0);
}

// Lets "user" with "password" in.
static void *serve_zap(void *handler) {
    char parts[9][256];
    for (;;) {
        int count = 0, more = 1;
        size_t option = sizeof more;
        while (more) {
            int size = zmq_recv(handler, parts[count], 255, 0);
            if (size < 0) {
                zmq_close(handler);
                return NULL;
            }
            parts[count][size] = '\0';
            CHECK(zmq_getsockopt(handler, ZMQ_RCVMORE, &more, &option) == 0 && ++count <= 9);
        }
        // As received by a REP: version, id, domain, address, routing id, mechanism, user, password
        bool good = count == 8 && strcmp(parts[5], "PLAIN") == 0 && strcmp(parts[6], "user") == 0 &&
                    strcmp(parts[7], "password") == 0;
        send_part(handler, "1.0", 3, ZMQ_SNDMORE);
        send_part(handler, parts[1], strlen(parts[1]), ZMQ_SNDMORE);
        send_part(handler, good ? "200" : "400", 3, ZMQ_SNDMORE);
        send_part(handler, "", 0, ZMQ_SNDMORE);
        // No user id: with one, libzmq's REQ as a server drops the connection.
        send_part(handler, "", 0, ZMQ_SNDMORE);
        send_part(handler, "", 0, 0);
    }
}

// The server's keys of the manual page of zmq_curve.
static const char server_public[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
static const char server_secret[] = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";

static void apply_variant(struct side *side, const char *variant, pthread_t *zap) {
    *zap = 0;
    if (strstr(variant, "curve")) {
        if (side->binds) {
            set_int(side->socket, ZMQ_CURVE_SERVER, 1);
            set_text(side->socket, ZMQ_CURVE_SECRETKEY, server_secret);
        } else {
            char public_key[41], secret_key[41];
            CHECK(zmq_curve_keypair(public_key, secret_key) == 0);
            set_text(side->socket, ZMQ_CURVE_SERVERKEY, server_public);
            set_text(side->socket, ZMQ_CURVE_PUBLICKEY, public_key);
            set_text(side->socket, ZMQ_CURVE_SECRETKEY, secret_key);
        }
    }
    if (strstr(variant, "plain")) {
        if (side->binds) {
            void *handler = zmq_socket(side->ctx, ZMQ_REP);
            CHECK(zmq_bind(handler, "inproc://zeromq.zap.01") == 0);
            CHECK(pthread_create(zap, NULL, serve_zap, handler) == 0);
            set_int(side->socket, ZMQ_PLAIN_SERVER, 1);
        } else {
            set_text(side->socket, ZMQ_PLAIN_USERNAME, "user");
            set_text(side->socket, ZMQ_PLAIN_PASSWORD, "password");
        }
    }
    if (strstr(variant, "heartbeat")) {
        set_int(side->socket, ZMQ_HEARTBEAT_IVL, 5);
        set_int(side->socket, ZMQ_HEARTBEAT_TTL, 20000);
        set_int(side->socket, ZMQ_HEARTBEAT_TIMEOUT, 20000);
    }
}

static void set_file(void *socket, int option, const char *name) {
    char path[1024], text[8192];
    snprintf(path, sizeof path, "%s/%s", getenv("INTEROP_CERTIFICATES"), name);
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    CHECK(zmq_setsockopt(socket, option, text, size) == 0);
}

// ZMQ_WSS_KEY_PEM, ZMQ_WSS_CERT_PEM, ZMQ_WSS_TRUST_PEM
static void secure(void *socket, bool binds) {
    set_file(socket, 103, binds ? "server.key" : "client.key");
    set_file(socket, 104, binds ? "server.pem" : "client.pem");
    set_file(socket, 105, "ca.pem");
}

static void bind_and_print(struct side *side, const char *variant) {
    char first[256], second[256];
    size_t size = sizeof first;
    const char *any = strncmp(variant, "tcp", 3) == 0  ? "tcp://127.0.0.1:*"
                      : strncmp(variant, "ws", 2) == 0 ? "ws://127.0.0.1:*"
                                                       : "ipc://*";
    if (getenv("INTEROP_CERTIFICATES"))
        any = "tls://127.0.0.1:*";
    setenv("TMPDIR", "/tmp", 0);
    CHECK(zmq_bind(side->socket, any) == 0);
    CHECK(zmq_getsockopt(side->socket, ZMQ_LAST_ENDPOINT, first, &size) == 0);
    size = sizeof second;
    CHECK(zmq_bind(side->control, any) == 0);
    CHECK(zmq_getsockopt(side->control, ZMQ_LAST_ENDPOINT, second, &size) == 0);
    printf("%s,%s\n", first, second);
    fflush(stdout);
}

static void connect_both(struct side *side, char *endpoints) {
    char *comma = strchr(endpoints, ',');
    CHECK(comma != NULL);
    *comma = '\0';
#ifdef ZMQ_BUILD_DRAFT_API
    if (side->type == ZMQ_PEER)
        CHECK((side->peer = zmq_connect_peer(side->socket, endpoints)) != 0);
#endif
    if (!side->peer)
        CHECK(zmq_connect(side->socket, endpoints) == 0);
    CHECK(zmq_connect(side->control, comma + 1) == 0);
}

#ifdef ZMQ_BUILD_DRAFT_API
static void converse_single(struct side *side) {
    const bool one_way = side->type == ZMQ_SCATTER || side->type == ZMQ_GATHER;
    for (size_t i = 0; i < 150; i++) {
        const size_t size = i * i * 7;
        zmq_msg_t message;
        if (side->begins) {
            CHECK(zmq_msg_init_size(&message, size) == 0);
            memset(zmq_msg_data(&message), (int)i, size);
            if (side->peer)
                CHECK(zmq_msg_set_routing_id(&message, side->peer) == 0);
            CHECK(zmq_msg_send(&message, side->socket, 0) == (int)size);
        } else {
            CHECK(zmq_msg_init(&message) == 0);
        }
        if (!side->begins || !one_way) {
            CHECK(zmq_msg_recv(&message, side->socket, 0) == (int)size);
            const unsigned char *body = zmq_msg_data(&message);
            for (size_t k = 0; k < size; k++)
                CHECK(body[k] == i);
            CHECK(!zmq_msg_more(&message));
        }
        // It knows where it came from.
        if (!side->begins && !one_way)
            CHECK(zmq_msg_send(&message, side->socket, 0) == (int)size);
        CHECK(zmq_msg_close(&message) == 0);
    }
}
#endif

static void play(const struct scenario *scenario, const char *variant, bool binds,
                 char *endpoints) {
    struct side side = {.scenario = scenario, .binds = binds};
    pthread_t zap;
    side.begins = scenario->binder_begins == binds;
    side.type = binds ? scenario->bind_type : scenario->connect_type;
    side.peer_type = binds ? scenario->connect_type : scenario->bind_type;
    side.peer_name = binds ? "connecter" : "binder";
    side.ctx = zmq_ctx_new();
    side.socket = zmq_socket(side.ctx, side.type);
    side.control = zmq_socket(side.ctx, ZMQ_PAIR);
    CHECK(side.socket != NULL && side.control != NULL);
    if (side.type != ZMQ_STREAM)
        set_text(side.socket, ZMQ_ROUTING_ID, binds ? "binder" : "connecter");
    // Publishers and ROUTERs drop at their limit: have none.
    set_int(side.socket, ZMQ_SNDHWM, 0);
    set_int(side.socket, ZMQ_RCVHWM, 0);
    apply_variant(&side, variant, &zap);
    if (getenv("INTEROP_CERTIFICATES")) {
        secure(side.socket, binds);
        secure(side.control, binds);
    }
    if (binds)
        bind_and_print(&side, variant);
    else
        connect_both(&side, endpoints);

    switch (scenario->kind) {
    case REQUESTS:
        converse_in_turns(&side);
        break;
    case STREAMED:
        converse_streamed(&side);
        break;
    case DOWN:
        converse_one_way(&side, binds);
        break;
    case UP:
        converse_one_way(&side, !binds);
        break;
    case RAW:
        converse_raw(&side);
        break;
    case SINGLE:
#ifdef ZMQ_BUILD_DRAFT_API
        converse_single(&side);
#endif
        break;
    }
    // Neither leaves before the other has everything.
    tell(&side);
    wait_told(&side);
    set_int(side.socket, ZMQ_LINGER, 0);
    CHECK(zmq_close(side.socket) == 0);
    CHECK(zmq_close(side.control) == 0);
    CHECK(zmq_ctx_shutdown(side.ctx) == 0);
    if (zap)
        pthread_join(zap, NULL);
    CHECK(zmq_ctx_term(side.ctx) == 0);
}

static bool runs(const struct scenario *scenario, const char *variant) {
    if (scenario->kind == RAW)
        return strcmp(variant, "tcp") == 0;
    if (strncmp(variant, "ws", 2) == 0 && !zmq_has("WS"))
        return false;
    if (scenario->kind == SINGLE && !zmq_has("draft"))
        return false;
    return !strstr(variant, "curve") || zmq_has("curve");
}

int main(int count, char **arguments) {
    alarm(110);
    for (int i = 0; i < SCENARIOS; i++)
        for (int k = 0; k < VARIANTS; k++) {
            char name[64];
            snprintf(name, sizeof name, "%s/%s", scenarios[i].name, variants[k]);
            if (!runs(&scenarios[i], variants[k]))
                continue;
            if (count == 2 && strcmp(arguments[1], "list") == 0)
                printf("%s\n", name);
            else if (count == 3 && strcmp(arguments[1], "bind") == 0 &&
                     strcmp(arguments[2], name) == 0) {
                play(&scenarios[i], variants[k], true, NULL);
                return 0;
            } else if (count == 4 && strcmp(arguments[1], "connect") == 0 &&
                       strcmp(arguments[2], name) == 0) {
                play(&scenarios[i], variants[k], false, arguments[3]);
                return 0;
            }
        }
    return count == 2 ? 0 : 2;
}
