/* SPDX-License-Identifier: MPL-2.0 */
/* Latency or throughput of one pattern over one transport, with any number of clients.
 *
 *   bench_pattern latency|throughput PATTERN TRANSPORT [size=N] [clients=N] [seconds=S] [cpus=A,B]
 *                 [curve=1] [idle=N] [directory=D]
 *
 * The server binds; the clients are sockets of one thread on the other side, used in turn. Latency
 * is half a round trip; where messages go one way only (pub_sub, push_pull) it is the time from
 * before the send to after the receive, on a clock both sides share, and the next message waits
 * for an answer on a second connection. Throughput is at the receiver, from the first message to
 * the last; for req_rep it counts round trips, one for each client under way. A publisher does
 * not drop (ZMQ_XPUB_NODROP), and every message is accounted for. `idle` connections do nothing
 * meanwhile. `directory` is for ipc, and holds cert.pem and key.pem for tls and wss.
 *
 * Prints `key value` lines; "not there" and status 3 if the library lacks the transport. */
#include "pair.h"

#include "curve_keys.h"

#include <stdbool.h>

#define EXIT_NOT_THERE 3

/* The first byte of each body. */
enum { DATA = 0, LAST = 1, HELLO = 2 };
/* Where the time of sending stands. */
#define STAMP 8
#define SMALLEST 16

struct pattern {
    const char *name;
    int server, client;
    bool polls;
    /* Messages go one way only; in a publishing pattern from the server to the clients. */
    bool one_way, publishes;
    bool single; /* one client only */
    const char *idle_type;
};

static const struct pattern patterns[] = {
    {"pair", ZMQ_PAIR, ZMQ_PAIR, .single = true, .idle_type = NULL},
    {"pub_sub", ZMQ_PUB, ZMQ_SUB, .one_way = true, .publishes = true, .idle_type = "SUB"},
    {"dealer_dealer", ZMQ_DEALER, ZMQ_DEALER, .single = true, .idle_type = NULL},
    {"dealer_router", ZMQ_ROUTER, ZMQ_DEALER, .idle_type = "DEALER"},
    {"router_router", ZMQ_ROUTER, ZMQ_ROUTER, .idle_type = "DEALER"},
    {"router_router_poll", ZMQ_ROUTER, ZMQ_ROUTER, .polls = true, .idle_type = "DEALER"},
    {"req_rep", ZMQ_REP, ZMQ_REQ, .idle_type = "REQ"},
    {"push_pull", ZMQ_PULL, ZMQ_PUSH, .one_way = true, .idle_type = "PUSH"},
};

static const struct pattern *pattern;
static const char *transport;
static bool throughput;
static size_t size = 64;
static int clients = 1;
static double seconds = 0.3;
static bool curve;
static int idle;
static const char *directory = "/tmp";
static int cpus[2] = {-1, -1};

/* --- sockets --- */

static bool is_encrypted(void)
{
    return strcmp(transport, "tls") == 0 || strcmp(transport, "wss") == 0;
}

static char *file_text(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail("%s: %s", path, strerror(errno));
    char *text = allocate(1, 16384);
    if (fread(text, 1, 16383, file) == 0)
        fail("%s is empty", path);
    fclose(file);
    return text;
}

static void set_text(void *socket, int option, const char *text)
{
    if (zmq_setsockopt(socket, option, text, strlen(text)) != 0)
        fail("zmq_setsockopt(%d): %s", option, zmq_strerror(zmq_errno()));
}

static void *new_socket(struct side *side, int type, int number)
{
    void *socket = must_handle(zmq_socket(side->context, type), "zmq_socket");
    if (type == ZMQ_ROUTER) {
        set_number(socket, ZMQ_ROUTER_MANDATORY, 1);
        char name[16];
        if (side->serving)
            strcpy(name, "S");
        else
            snprintf(name, sizeof name, "C%04d", number);
        must(zmq_setsockopt(socket, ZMQ_ROUTING_ID, name, strlen(name)), "ZMQ_ROUTING_ID");
    }
    if (type == ZMQ_PUB)
        set_number(socket, ZMQ_XPUB_NODROP, 1);
    if (type == ZMQ_SUB)
        must(zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0), "ZMQ_SUBSCRIBE");
    if (curve && side->serving) {
        set_number(socket, ZMQ_CURVE_SERVER, 1);
        set_key(socket, ZMQ_CURVE_SECRETKEY, SERVER_SECRET_KEY);
    } else if (curve) {
        set_key(socket, ZMQ_CURVE_SECRETKEY, CLIENT_SECRET_KEY);
        set_key(socket, ZMQ_CURVE_PUBLICKEY, CLIENT_PUBLIC_KEY);
        set_key(socket, ZMQ_CURVE_SERVERKEY, SERVER_PUBLIC_KEY);
    }
    if (is_encrypted() && side->serving) {
        set_text(socket, ZMQ_WSS_CERT_PEM, file_text("cert.pem"));
        set_text(socket, ZMQ_WSS_KEY_PEM, file_text("key.pem"));
    } else if (is_encrypted()) {
        set_text(socket, ZMQ_WSS_TRUST_PEM, file_text("cert.pem"));
        set_text(socket, ZMQ_WSS_HOSTNAME, "localhost");
    }
    return socket;
}

/* A fresh endpoint of the transport. */
static const char *new_endpoint(char *room, size_t length)
{
    static int number;
    if (strcmp(transport, "inproc") == 0)
        snprintf(room, length, "inproc://bench%d", number++);
    else if (strcmp(transport, "ipc") == 0)
        snprintf(room, length, "ipc://%s/socket%d", directory, number++);
    else
        snprintf(room, length, "%s://127.0.0.1:%d", transport, free_tcp_port());
    return room;
}

static void *bind_new(struct side *side, int type)
{
    char endpoint[256];
    void *socket = new_socket(side, type, 0);
    new_endpoint(endpoint, sizeof endpoint);
    if (zmq_bind(socket, endpoint) != 0) {
        if (zmq_errno() == EPROTONOSUPPORT) {
            fputs("not there\n", stderr);
            _exit(EXIT_NOT_THERE);
        }
        fail("zmq_bind to %s: %s", endpoint, zmq_strerror(zmq_errno()));
    }
    tell(side, endpoint);
    return socket;
}

/* --- messages --- */

static void new_message(zmq_msg_t *message, size_t length, int kind)
{
    must(zmq_msg_init_size(message, length), "zmq_msg_init_size");
    *(unsigned char *) zmq_msg_data(message) = (unsigned char) kind;
}

static int kind_of(zmq_msg_t *message)
{
    return *(unsigned char *) zmq_msg_data(message);
}

static void stamp(zmq_msg_t *message)
{
    uint64_t now = now_ns();
    memcpy((char *) zmq_msg_data(message) + STAMP, &now, sizeof now);
}

static uint64_t age_ns(zmq_msg_t *message)
{
    uint64_t sent;
    memcpy(&sent, (char *) zmq_msg_data(message) + STAMP, sizeof sent);
    return now_ns() - sent;
}

/* The peer a ROUTER talks to. */
static __thread char peer[256];
static __thread size_t peer_length;

static void send_body(void *socket, int type, zmq_msg_t *message)
{
    if (type == ZMQ_ROUTER)
        must(zmq_send(socket, peer, peer_length, ZMQ_SNDMORE), "zmq_send");
    must(zmq_msg_send(message, socket, 0), "zmq_msg_send");
}

/* Receives a body, which must have the size of all bodies. */
static void receive_body(void *socket, int type, zmq_msg_t *message)
{
    int flags = 0;
    if (pattern->polls) {
        zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};
        must(zmq_poll(&item, 1, -1), "zmq_poll");
        flags = ZMQ_DONTWAIT;
    }
    if (type == ZMQ_ROUTER) {
        /* A client knows its only peer already. */
        char ignored[sizeof peer];
        bool server = pattern->client != ZMQ_ROUTER || peer[0] != 'S';
        int length = must(zmq_recv(socket, server ? peer : ignored, sizeof peer, flags), "zmq_recv");
        if (server)
            peer_length = (size_t) length;
    }
    must(zmq_msg_recv(message, socket, flags), "zmq_msg_recv");
    if (zmq_msg_size(message) != size)
        fail("a message of %zu bytes instead of %zu", zmq_msg_size(message), size);
}

/* --- setting up: every client's connection has carried a message --- */

struct server_sockets {
    void *socket;
    void *back; /* the way back of a one-way pattern's latency test */
};

struct client_sockets {
    void **sockets;
    void *back;
};

static struct server_sockets server_up(struct side *side)
{
    struct server_sockets sockets = {bind_new(side, pattern->server), NULL};
    if (pattern->one_way && !throughput)
        sockets.back = bind_new(side, pattern->publishes ? ZMQ_PULL : ZMQ_PUSH);
    zmq_msg_t message;
    must(zmq_msg_init(&message), "zmq_msg_init");
    if (pattern->publishes) {
        /* Who has its greeting already reads no further ones yet: do not wait for room. */
        do {
            new_message(&message, size, HELLO);
            if (zmq_msg_send(&message, sockets.socket, ZMQ_DONTWAIT) < 0) {
                must(zmq_errno() == EAGAIN ? 0 : -1, "zmq_msg_send");
                zmq_msg_close(&message);
            }
            must(zmq_msg_init(&message), "zmq_msg_init");
        } while (!hear_within(side, 5));
    } else {
        for (int i = 0; i < clients; i++) {
            receive_body(sockets.socket, pattern->server, &message);
            if (!pattern->one_way)
                send_body(sockets.socket, pattern->server, &message);
        }
    }
    if (sockets.back && pattern->publishes) {
        must(zmq_msg_recv(&message, sockets.back, 0), "zmq_msg_recv");
    } else if (sockets.back) {
        new_message(&message, 1, HELLO);
        must(zmq_msg_send(&message, sockets.back, 0), "zmq_msg_send");
    }
    zmq_msg_close(&message);
    return sockets;
}

static struct client_sockets clients_up(struct side *side)
{
    struct client_sockets up = {allocate((size_t) clients, sizeof *up.sockets), NULL};
    char endpoint[256];
    strcpy(endpoint, hear(side));
    for (int i = 0; i < clients; i++) {
        up.sockets[i] = new_socket(side, pattern->client, i);
        must(zmq_connect(up.sockets[i], endpoint), "zmq_connect");
    }
    if (pattern->one_way && !throughput) {
        up.back = new_socket(side, pattern->publishes ? ZMQ_PUSH : ZMQ_PULL, 0);
        must(zmq_connect(up.back, hear(side)), "zmq_connect");
    }
    if (pattern->client == ZMQ_ROUTER) {
        strcpy(peer, "S");
        peer_length = 1;
    }
    zmq_msg_t message;
    must(zmq_msg_init(&message), "zmq_msg_init");
    for (int i = 0; i < clients; i++) {
        if (!pattern->publishes) {
            new_message(&message, size, HELLO);
            /* A ROUTER does not know its peer before the handshake is done. */
            while (pattern->client == ZMQ_ROUTER
                   && zmq_send(up.sockets[i], peer, peer_length, ZMQ_SNDMORE) < 0) {
                if (zmq_errno() != EHOSTUNREACH)
                    must(-1, "zmq_send");
                pause_ms(1);
            }
            must(zmq_msg_send(&message, up.sockets[i], 0), "zmq_msg_send");
        }
        if (pattern->publishes || !pattern->one_way)
            receive_body(up.sockets[i], pattern->client, &message);
    }
    if (pattern->publishes)
        tell(side, "subscribed");
    if (up.back && pattern->publishes) {
        new_message(&message, 1, HELLO);
        must(zmq_msg_send(&message, up.back, 0), "zmq_msg_send");
    } else if (up.back) {
        must(zmq_msg_recv(&message, up.back, 0), "zmq_msg_recv");
    }
    zmq_msg_close(&message);
    if (idle > 0) {
        if (strcmp(transport, "tcp") != 0 || !pattern->idle_type)
            fail("idle connections are for tcp and patterns of many peers");
        idle_peers(atoi(strrchr(endpoint, ':') + 1), idle, pattern->idle_type);
    }
    return up;
}

static void server_down(struct server_sockets sockets)
{
    set_number(sockets.socket, ZMQ_LINGER, 0);
    must(zmq_close(sockets.socket), "zmq_close");
    if (sockets.back)
        must(zmq_close(sockets.back), "zmq_close");
}

static void clients_down(struct client_sockets up)
{
    for (int i = 0; i < clients; i++) {
        set_number(up.sockets[i], ZMQ_LINGER, 0);
        must(zmq_close(up.sockets[i]), "zmq_close");
    }
    if (up.back)
        must(zmq_close(up.back), "zmq_close");
    free(up.sockets);
}

/* --- latency --- */

/* What comes before the timed part, as a share of it: caches, branch predictors, and the library's
 * own judgement of the traffic settle meanwhile. */
#define WARM_UP 0.2

static void latency_answers(struct side *side)
{
    struct server_sockets sockets = server_up(side);
    struct window window;
    zmq_msg_t message;
    must(zmq_msg_init(&message), "zmq_msg_init");
    for (int phase = 0; phase < 2; phase++) {
        meet(side);
        window_begin(&window);
        int kind;
        do {
            receive_body(sockets.socket, pattern->server, &message);
            kind = kind_of(&message);
            send_body(sockets.socket, pattern->server, &message);
        } while (kind != LAST);
    }
    meet(side);
    window_end(side, &window);
    zmq_msg_close(&message);
    server_down(sockets);
}

static void latency_asks(struct side *side)
{
    struct client_sockets up = clients_up(side);
    struct window window;
    struct samples samples = {0};
    zmq_msg_t message;
    for (int phase = 0; phase < 2; phase++) {
        meet(side);
        window_begin(&window);
        uint64_t begin = now_ns();
        uint64_t end = begin + (uint64_t) (seconds * 1e9 * (phase ? 1 : WARM_UP));
        uint64_t start = begin;
        new_message(&message, size, DATA);
        samples.count = 0;
        for (int i = 0; start < end; i = i + 1 < clients ? i + 1 : 0) {
            send_body(up.sockets[i], pattern->client, &message);
            receive_body(up.sockets[i], pattern->client, &message);
            uint64_t now = now_ns();
            sample(&samples, (now - start) / 2);
            start = now;
        }
        if (phase)
            result(side, "elapsed_s", (double) (start - begin) / 1e9);
        *(unsigned char *) zmq_msg_data(&message) = LAST;
        send_body(up.sockets[0], pattern->client, &message);
        receive_body(up.sockets[0], pattern->client, &message);
        zmq_msg_close(&message);
    }
    meet(side);
    window_end(side, &window);
    result(side, "messages", (double) samples.count);
    report_samples(side, &samples);
    clients_down(up);
    farewell(side);
}

/* One way: the sender of a message waits for the other side's answer to it. */
static void one_way_sends(struct side *side, void **sockets, int count, void *back)
{
    struct window window;
    zmq_msg_t message;
    double messages = 0;
    for (int phase = 0; phase < 2; phase++) {
        meet(side);
        window_begin(&window);
        uint64_t end = now_ns() + (uint64_t) (seconds * 1e9 * (phase ? 1 : WARM_UP));
        bool over = false;
        messages = 0;
        for (int i = 0; !over; i = i + 1 < count ? i + 1 : 0) {
            over = now_ns() >= end;
            new_message(&message, size, over ? LAST : DATA);
            stamp(&message);
            must(zmq_msg_send(&message, sockets[i], 0), "zmq_msg_send");
            messages++;
            must(zmq_msg_init(&message), "zmq_msg_init");
            must(zmq_msg_recv(&message, back, 0), "zmq_msg_recv");
            zmq_msg_close(&message);
        }
    }
    meet(side);
    window_end(side, &window);
    result(side, "messages", messages);
}

static void one_way_receives(struct side *side, void **sockets, int count, void *back)
{
    struct window window;
    struct samples samples = {0};
    zmq_msg_t message, answer;
    must(zmq_msg_init(&message), "zmq_msg_init");
    for (int phase = 0; phase < 2; phase++) {
        meet(side);
        window_begin(&window);
        samples.count = 0;
        int kind;
        do {
            for (int i = 0; i < count; i++) {
                do {
                    must(zmq_msg_recv(&message, sockets[i], 0), "zmq_msg_recv");
                    kind = kind_of(&message);
                } while (kind == HELLO);
                sample(&samples, age_ns(&message));
            }
            new_message(&answer, 1, DATA);
            must(zmq_msg_send(&answer, back, 0), "zmq_msg_send");
        } while (kind != LAST);
    }
    meet(side);
    window_end(side, &window);
    report_samples(side, &samples);
    zmq_msg_close(&message);
}

static void server_latency(struct side *side)
{
    if (!pattern->one_way) {
        latency_answers(side);
        return;
    }
    struct server_sockets sockets = server_up(side);
    if (pattern->publishes)
        one_way_sends(side, &sockets.socket, 1, sockets.back);
    else
        one_way_receives(side, &sockets.socket, 1, sockets.back);
    server_down(sockets);
}

static void client_latency(struct side *side)
{
    if (!pattern->one_way) {
        latency_asks(side);
        return;
    }
    struct client_sockets up = clients_up(side);
    if (pattern->publishes)
        one_way_receives(side, up.sockets, clients, up.back);
    else
        one_way_sends(side, up.sockets, clients, up.back);
    clients_down(up);
    farewell(side);
}

/* --- throughput --- */

/* Sends for the time, in turn over the sockets; ends each with a last message. */
static void stream_sends(struct side *side, void **sockets, int count, int type)
{
    struct window window;
    zmq_msg_t message;
    size_t stride = 65536 / size;
    stride = stride < 1 ? 1 : stride > 256 ? 256 : stride;
    uint64_t sent = 0;
    meet(side);
    window_begin(&window);
    uint64_t end = now_ns() + (uint64_t) (seconds * 1e9);
    int at = 0;
    do {
        for (size_t i = 0; i < stride; i++) {
            new_message(&message, size, DATA);
            send_body(sockets[at], type, &message);
            sent++;
            at = at + 1 < count ? at + 1 : 0;
        }
    } while (now_ns() < end);
    for (int i = 0; i < count; i++) {
        new_message(&message, size, LAST);
        send_body(sockets[i], type, &message);
        sent++;
    }
    meet(side);
    window_end(side, &window);
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long) sent);
    tell(side, text);
}

/* Receives a stream up to `lasts` last messages, each socket a block at a time, so that none runs
 * into its high-water mark while another one is waited for. */
static void stream_receives(struct side *side, void **sockets, int count, int type, int lasts)
{
    enum { BLOCK = 50 };
    struct window window;
    zmq_msg_t message;
    uint64_t received = 0, start = 0;
    must(zmq_msg_init(&message), "zmq_msg_init");
    meet(side);
    window_begin(&window);
    while (lasts > 0) {
        for (int i = 0; i < count && lasts > 0; i++) {
            for (int n = 0; n < BLOCK;) {
                receive_body(sockets[i], type, &message);
                int kind = kind_of(&message);
                if (kind == HELLO)
                    continue;
                n++;
                if (received++ == 0)
                    start = now_ns();
                if (kind == LAST && (--lasts == 0 || count > 1))
                    break;
            }
        }
    }
    double elapsed = (double) (now_ns() - start) / 1e9;
    meet(side);
    window_end(side, &window);
    zmq_msg_close(&message);
    double expected = atof(hear(side)) * (pattern->publishes ? clients : 1);
    if ((double) received != expected)
        fail("%.0f messages arrived of %.0f", (double) received, expected);
    result(side, "messages", (double) received);
    result(side, "elapsed_s", elapsed);
    result(side, "rate", (double) (received - 1) / (elapsed > 0 ? elapsed : 1e-9));
}

/* One request under way for each client. */
static void requests(struct side *side, void **sockets)
{
    struct window window;
    zmq_msg_t message;
    uint64_t done = 0;
    must(zmq_msg_init(&message), "zmq_msg_init");
    meet(side);
    window_begin(&window);
    uint64_t start = now_ns(), end = start + (uint64_t) (seconds * 1e9), now = start;
    while (now < end) {
        for (int i = 0; i < clients; i++) {
            new_message(&message, size, DATA);
            send_body(sockets[i], pattern->client, &message);
        }
        for (int i = 0; i < clients; i++)
            receive_body(sockets[i], pattern->client, &message);
        done += (uint64_t) clients;
        now = now_ns();
    }
    new_message(&message, size, LAST);
    send_body(sockets[0], pattern->client, &message);
    receive_body(sockets[0], pattern->client, &message);
    meet(side);
    window_end(side, &window);
    zmq_msg_close(&message);
    result(side, "messages", (double) done);
    result(side, "elapsed_s", (double) (now - start) / 1e9);
    result(side, "rate", (double) done * 1e9 / (double) (now - start));
}

static void replies(struct side *side, void *socket)
{
    struct window window;
    zmq_msg_t message;
    int kind;
    must(zmq_msg_init(&message), "zmq_msg_init");
    meet(side);
    window_begin(&window);
    do {
        receive_body(socket, pattern->server, &message);
        kind = kind_of(&message);
        send_body(socket, pattern->server, &message);
    } while (kind != LAST);
    meet(side);
    window_end(side, &window);
    zmq_msg_close(&message);
}

static void server_throughput(struct side *side)
{
    struct server_sockets sockets = server_up(side);
    if (pattern->publishes)
        stream_sends(side, &sockets.socket, 1, pattern->server);
    else if (pattern->server == ZMQ_REP)
        replies(side, sockets.socket);
    else
        stream_receives(side, &sockets.socket, 1, pattern->server, clients);
    server_down(sockets);
}

static void client_throughput(struct side *side)
{
    struct client_sockets up = clients_up(side);
    if (pattern->publishes)
        stream_receives(side, up.sockets, clients, pattern->client, clients);
    else if (pattern->client == ZMQ_REQ)
        requests(side, up.sockets);
    else
        stream_sends(side, up.sockets, clients, pattern->client);
    clients_down(up);
    farewell(side);
}

/* --- arguments --- */

static bool is_there(void)
{
    char upper[8] = "";
    for (size_t i = 0; transport[i] && i < sizeof upper - 1; i++)
        upper[i] = (char) (transport[i] - 'a' + 'A');
    if (strcmp(transport, "tcp") == 0 || strcmp(transport, "inproc") == 0)
        return !curve || zmq_has("curve");
    /* Some versions answer to the upper-case name. */
    return zmq_has(transport) || zmq_has(upper);
}

static void option(const char *text)
{
    const char *value = strchr(text, '=');
    size_t length = value ? (size_t) (value - text) : 0;
#define IS(name) (length == strlen(name) && strncmp(text, name, length) == 0)
    if (IS("size"))
        size = (size_t) number_argument(value + 1, SMALLEST, "size: from 16 bytes");
    else if (IS("clients"))
        clients = number_argument(value + 1, 1, "clients: from 1");
    else if (IS("seconds"))
        seconds = atof(value + 1);
    else if (IS("cpus") && sscanf(value + 1, "%d,%d", &cpus[0], &cpus[1]) == 2)
        return;
    else if (IS("curve"))
        curve = number_argument(value + 1, 0, "curve: 0 or 1");
    else if (IS("idle"))
        idle = number_argument(value + 1, 0, "idle: from 0");
    else if (IS("directory"))
        directory = value + 1;
    else
        fail("what is %s?", text);
#undef IS
}

int main(int argc, char *argv[])
{
    if (argc < 4)
        fail("usage: bench_pattern latency|throughput PATTERN TRANSPORT [key=value...]");
    throughput = strcmp(argv[1], "throughput") == 0;
    if (!throughput && strcmp(argv[1], "latency") != 0)
        fail("latency or throughput, not %s", argv[1]);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (strcmp(argv[2], patterns[i].name) == 0)
            pattern = &patterns[i];
    }
    if (!pattern)
        fail("there is no pattern %s", argv[2]);
    transport = argv[3];
    for (int i = 4; i < argc; i++)
        option(argv[i]);
    if (pattern->single && clients > 1)
        fail("%s has one client", pattern->name);
    if (!is_there()) {
        fputs("not there\n", stderr);
        return EXIT_NOT_THERE;
    }
    bool threads = strcmp(transport, "inproc") == 0;
    run_sides(threads, cpus, throughput ? server_throughput : server_latency,
              throughput ? client_throughput : client_latency);
    return 0;
}
