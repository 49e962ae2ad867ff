// SPDX-License-Identifier: MPL-2.0
//
// tls://: ZMTP inside TLS, with the certificates of the ZMQ_WSS_* options. They are made by
// certificates.sh when the tests are built.
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_TLS "it has no tls://"
#define TLS_TEST(name) TEST_OURS_ONLY(name, NO_TLS)
#define TLS_TEST_EACH(name, ...) TEST_EACH_OURS_ONLY(name, NO_TLS, __VA_ARGS__)

static void *new_server(int type) {
    void *socket = NEW_SOCKET(type);
    IDENTIFY(socket, "server");
    return socket;
}

static void *new_client(int type) {
    void *socket = NEW_SOCKET(type);
    TRUST(socket, "ca");
    return socket;
}

static const char *bind_tls(void *socket) { return BIND_ADDRESS(socket, "tls://127.0.0.1:*"); }

struct ends {
    void *server, *client;
    const char *endpoint;
};

static struct ends joined(int server_type, int client_type) {
    struct ends ends = {new_server(server_type), new_client(client_type), NULL};
    ends.endpoint = bind_tls(ends.server);
    CONNECT(ends.client, ends.endpoint);
    return ends;
}

static const char *as_tcp(const char *endpoint) {
    static char text[128];
    snprintf(text, sizeof text, "tcp%s", endpoint + 3);
    return text;
}

// ---- patterns ----------------------------------------------------------------------------------

TLS_TEST(request_and_reply) {
    struct ends ends = joined(ZMQ_REP, ZMQ_REQ);
    for (int i = 0; i < 100; i++) {
        SEND(ends.client, "question", "");
        EXPECT(ends.server, "question", "");
        SEND(ends.server, "", "answer");
        EXPECT(ends.client, "", "answer");
    }
}

TLS_TEST(push_and_pull) {
    struct ends ends = joined(ZMQ_PULL, ZMQ_PUSH);
    enum { COUNT = 200000 };
    SET_INT(ends.server, ZMQ_RCVHWM, 0);
    for (int sent = 0, received = 0; received < COUNT;) {
        int value;
        for (; sent < COUNT && zmq_send(ends.client, &sent, sizeof sent, ZMQ_DONTWAIT) > 0; sent++) {
        }
        if (zmq_recv(ends.server, &value, sizeof value, sent < COUNT ? ZMQ_DONTWAIT : 0) > 0)
            CHECK_EQ(value, received++);
    }
}

TLS_TEST_EACH(publish_and_subscribe, "PUB", "XPUB") {
    bool extended = strcmp(transport, "XPUB") == 0;
    void *publisher = new_server(extended ? ZMQ_XPUB : ZMQ_PUB);
    const char *endpoint = bind_tls(publisher);
    void *subscribers[3];
    for (int i = 0; i < 3; i++) {
        subscribers[i] = new_client(extended ? ZMQ_XSUB : ZMQ_SUB);
        CONNECT(subscribers[i], endpoint);
        if (extended) {
            SEND(subscribers[i], "\1topic");
            EXPECT(publisher, "\1topic");
            break;
        }
        SET_TEXT(subscribers[i], ZMQ_SUBSCRIBE, "topic");
        SYNC_PUBSUB(publisher, subscribers[i]);
    }
    SEND(publisher, "other", "not this");
    SEND(publisher, "topic", "this");
    for (int i = 0; i < (extended ? 1 : 3); i++) {
        struct frame topic;
        do // the harness has published to all of them, too
            topic = RECV(subscribers[i]);
        while (!topic.more);
        CHECK_BYTES(topic.data, topic.size, "topic", 5);
        EXPECT(subscribers[i], "this");
    }
}

TLS_TEST(pair) {
    struct ends ends = joined(ZMQ_PAIR, ZMQ_PAIR);
    for (int i = 0; i < 100; i++)
        BOUNCE(ends.client, ends.server);
}

TLS_TEST_EACH(routers, "DEALER", "ROUTER") {
    void *server = new_server(ZMQ_ROUTER);
    const char *endpoint = bind_tls(server);
    bool router = strcmp(transport, "ROUTER") == 0;
    void *client = new_client(router ? ZMQ_ROUTER : ZMQ_DEALER);
    SET_TEXT(client, ZMQ_ROUTING_ID, "client");
    SET_INT(server, ZMQ_ROUTER_MANDATORY, 1);
    if (router)
        SET_TEXT(client, ZMQ_CONNECT_ROUTING_ID, "server");
    CONNECT(client, endpoint);
    // The router knows its peer once the handshake is complete.
    WAIT_UNTIL(zmq_send(server, "client", 6, ZMQ_SNDMORE) == 6);
    SEND(server, "hello");
    if (router) {
        struct frame id = RECV(client);
        EXPECT(client, "hello");
        SEND_FRAME(client, id, ZMQ_SNDMORE);
    } else {
        EXPECT(client, "hello");
    }
    SEND(client, "answer");
    EXPECT(server, "client", "answer");
}

// Raw connections: what TLS carries is the application's.
TLS_TEST(stream) {
    struct ends ends = joined(ZMQ_STREAM, ZMQ_STREAM);
    struct frame server_id = RECV(ends.client);
    EXPECT(ends.client, "");
    struct frame client_id = RECV(ends.server);
    EXPECT(ends.server, "");
    SEND_FRAME(ends.client, server_id, ZMQ_SNDMORE);
    SEND(ends.client, "GET /");
    CHECK_EQ(RECV(ends.server).size, client_id.size);
    EXPECT(ends.server, "GET /");
    SEND_FRAME(ends.server, client_id, ZMQ_SNDMORE);
    SEND(ends.server, "200 OK");
    CHECK_EQ(RECV(ends.client).size, server_id.size);
    EXPECT(ends.client, "200 OK");
    // An empty message closes the connection, and the peer hears of it.
    SEND_FRAME(ends.server, client_id, ZMQ_SNDMORE);
    SEND(ends.server, "");
    CHECK_EQ(RECV(ends.client).size, server_id.size);
    EXPECT(ends.client, "");
}

TLS_TEST(plain) {
    struct ends ends = {new_server(ZMQ_DEALER), new_client(ZMQ_DEALER), NULL};
    void *handler = NEW_SOCKET(ZMQ_REP);
    CHECK_OK(zmq_bind(handler, "inproc://zeromq.zap.01"));
    SET_INT(ends.server, ZMQ_PLAIN_SERVER, 1);
    SET_TEXT(ends.client, ZMQ_PLAIN_USERNAME, "user");
    SET_TEXT(ends.client, ZMQ_PLAIN_PASSWORD, "secret");
    CONNECT(ends.client, bind_tls(ends.server));
    SEND(ends.client, "hello");
    EXPECT(handler, "1.0", "1", "", "127.0.0.1", "", "PLAIN", "user", "secret");
    SEND(handler, "1.0", "1", "200", "", "alice", "");
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, ends.server, 0), 5);
    CHECK_STR(zmq_msg_gets(&message, "User-Id"), "alice");
    CHECK_STR(zmq_msg_gets(&message, "Peer-Address"), "127.0.0.1");
    CHECK_OK(zmq_msg_close(&message));
}

// ---- volume ------------------------------------------------------------------------------------

static void fill(unsigned char *data, size_t size, uint32_t seed) {
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (unsigned char)(seed >> 24);
    }
}

// Messages of every size around the limits of records, chunks and references.
TLS_TEST(sizes) {
    struct ends ends = joined(ZMQ_PAIR, ZMQ_PAIR);
    static const int sizes[] = {0,     1,     33,    255,   256,   1023,  4095,   4096,   8191,
                                8192,  16383, 16384, 16385, 32768, 65535, 65536,  65537,  131071,
                                200000};
    static unsigned char out[200000], in[200001];
    enum { KINDS = sizeof sizes / sizeof *sizes };
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < KINDS; i++) {
            int size = sizes[(i * 7 + round) % KINDS];
            fill(out, (size_t)size, (uint32_t)(round * 100 + i));
            SEND_BYTES(ends.client, out, (size_t)size, i + 1 < KINDS ? ZMQ_SNDMORE : 0);
        }
        for (int i = 0; i < KINDS; i++) {
            int size = sizes[(i * 7 + round) % KINDS];
            fill(out, (size_t)size, (uint32_t)(round * 100 + i));
            CHECK_EQ(zmq_recv(ends.server, in, sizeof in, 0), size);
            CHECK(memcmp(in, out, (size_t)size) == 0);
            CHECK_EQ(GET_INT(ends.server, ZMQ_RCVMORE), i + 1 < KINDS);
        }
    }
}

struct flow {
    void *socket;
    int count;
};

static void exchange(void *argument) {
    struct flow *flow = argument;
    static const size_t SIZES[] = {10, 3000, 40000};
    static unsigned char data[40000];
    unsigned char *buffer = malloc(40000);
    for (int sent = 0, received = 0; received < flow->count || sent < flow->count;) {
        short events = sent < flow->count ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN;
        zmq_pollitem_t item = {flow->socket, 0, events, 0};
        CHECK(zmq_poll(&item, 1, DEADLINE_MS) > 0);
        if (item.revents & ZMQ_POLLOUT)
            for (int i = 0; i < 50 && sent < flow->count; i++, sent++)
                if (zmq_send(flow->socket, data, SIZES[sent % 3], ZMQ_DONTWAIT) < 0)
                    break;
        for (int size; (size = zmq_recv(flow->socket, buffer, 40000, ZMQ_DONTWAIT)) >= 0; received++)
            CHECK_EQ(size, SIZES[received % 3]);
    }
    free(buffer);
}

// Both ends send and receive as fast as they can.
TLS_TEST(both_directions_at_once) {
    struct ends ends = joined(ZMQ_DEALER, ZMQ_DEALER);
    struct flow flow = {ends.client, 20000}, back = {ends.server, 20000};
    struct thread thread;
    start_thread(&thread, exchange, &flow);
    exchange(&back);
    JOIN(&thread);
}

// What was sent before the close arrives, however much the kernel had not taken.
TLS_TEST(linger) {
    enum { COUNT = 40, SIZE = 1 << 18 };
    struct ends ends = joined(ZMQ_PULL, ZMQ_PUSH);
    SET_INT(ends.client, ZMQ_LINGER, -1);
    static unsigned char data[SIZE];
    for (int i = 0; i < COUNT; i++) {
        data[0] = (unsigned char)i;
        SEND_BYTES(ends.client, data, SIZE, 0);
    }
    CLOSE(ends.client);
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(zmq_recv(ends.server, data, SIZE, 0), SIZE);
        CHECK_EQ(data[0], i);
    }
}

// ---- endpoints and options ---------------------------------------------------------------------

TLS_TEST(capability) { CHECK_EQ(zmq_has("tls"), 1); }

TLS_TEST_EACH(endpoints, "127.0.0.1", "[::1]", "localhost") {
    char address[128];
    bool ipv6 = transport[0] == '[';
    void *server = new_server(ZMQ_REP), *client = new_client(ZMQ_REQ);
    SET_INT(server, ZMQ_IPV6, ipv6);
    SET_INT(client, ZMQ_IPV6, ipv6);
    const char *bound = BIND_ADDRESS(server, ipv6 ? "tls://[::1]:*" : "tls://127.0.0.1:*");
    snprintf(address, sizeof address, "tls://%s:%d", transport, port_of(bound));
    CHECK(strncmp(bound, ipv6 ? "tls://[::1]:" : "tls://127.0.0.1:", ipv6 ? 12 : 16) == 0);
    CONNECT(client, address);
    CHECK_STR(LAST_ENDPOINT(client), address);
    BOUNCE(client, server);
    CHECK_OK(zmq_disconnect(client, address));
    CHECK_ERRNO(zmq_disconnect(client, address), ENOENT);
    CHECK_OK(zmq_unbind(server, bound));
    CHECK_ERRNO(zmq_unbind(server, bound), ENOENT);
}

TLS_TEST(wildcard_and_source_address) {
    void *server = new_server(ZMQ_REP), *client = new_client(ZMQ_REQ);
    const char *bound = BIND_ADDRESS(server, "tls://*:*");
    CHECK(strncmp(bound, "tls://0.0.0.0:", 14) == 0);
    char address[128];
    snprintf(address, sizeof address, "tls://127.0.0.1:0;127.0.0.1:%d", port_of(bound));
    CONNECT(client, address);
    BOUNCE(client, server);
}

TLS_TEST(adopted_descriptor) {
    char endpoint[64];
    int fd = RAW_LISTEN(endpoint);
    void *server = new_server(ZMQ_REP), *client = new_client(ZMQ_REQ);
    SET_INT(server, ZMQ_USE_FD, fd);
    CHECK_OK(zmq_bind(server, "tls://127.0.0.1:*"));
    CHECK_EQ(port_of(LAST_ENDPOINT(server)), port_of(endpoint));
    CONNECT(client, LAST_ENDPOINT(server));
    BOUNCE(client, server);
}

TLS_TEST(options_that_cannot_be_used) {
    void *socket = NEW_SOCKET(ZMQ_PAIR);
    const char *server = "tls://127.0.0.1:*", *client = "tls://127.0.0.1:9";
    CHECK_ERRNO(zmq_bind(socket, server), EINVAL);    // no certificate
    CHECK_ERRNO(zmq_connect(socket, client), EINVAL); // nobody to trust
    SET_PEM(socket, WSS_CERT_PEM, "server.pem");
    CHECK_ERRNO(zmq_bind(socket, server), EINVAL); // no key
    SET_PEM(socket, WSS_KEY_PEM, "client.key");
    CHECK_ERRNO(zmq_bind(socket, server), EINVAL); // another certificate's key
    SET_TEXT(socket, WSS_KEY_PEM, "garbage");
    CHECK_ERRNO(zmq_bind(socket, server), EINVAL);
    IDENTIFY(socket, "server");
    SET_TEXT(socket, WSS_TRUST_PEM, "garbage");
    CHECK_ERRNO(zmq_bind(socket, server), EINVAL);
    CHECK_ERRNO(zmq_connect(socket, client), EINVAL);
    TRUST(socket, "ca");
    SET_TEXT(socket, WSS_HOSTNAME, "no name");
    CHECK_ERRNO(zmq_connect(socket, client), EINVAL);
    SET_TEXT(socket, WSS_HOSTNAME, "localhost");
    CHECK_OK(zmq_connect(socket, client));
    CHECK_OK(zmq_bind(socket, server));
    CHECK_ERRNO(zmq_bind(socket, "tls://127.0.0.1"), EINVAL);
    CHECK_ERRNO(zmq_bind(socket, "tls://no.such.host.invalid:*"), ENODEV);
    CHECK_ERRNO(zmq_bind(socket, LAST_ENDPOINT(socket)), EADDRINUSE);
    CHECK_ERRNO(zmq_connect(socket, "tls://127.0.0.1:*"), EINVAL);
}

// ---- who is let in -----------------------------------------------------------------------------

enum {
    HANDSHAKE_EVENTS = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                       ZMQ_EVENT_DISCONNECTED,
};

// Connects, and expects that both ends report a certificate that one of them does not take; nothing
// gets through.
static void expect_refusal(void *server, void *client) {
    const char *endpoint = bind_tls(server);
    void *of_server = MONITOR(server, HANDSHAKE_EVENTS);
    void *of_client = MONITOR(client, HANDSHAKE_EVENTS | ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(client, endpoint);
    SEND(client, "hello");
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(EXPECT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EACCES);
        EXPECT_EVENT(of_server, ZMQ_EVENT_DISCONNECTED);
        CHECK_EQ(EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EACCES);
        EXPECT_EVENT(of_client, ZMQ_EVENT_DISCONNECTED);
        // It tries again: the server may come with a better certificate.
        EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECT_RETRIED);
    }
    EXPECT_NOTHING(server);
    CLOSE(of_server);
    CLOSE(of_client);
}

TLS_TEST_EACH(wrong_certificate, "stranger", "expired", "client", "own") {
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = new_client(ZMQ_PAIR);
    IDENTIFY(server, transport);
    expect_refusal(server, client);
}

TLS_TEST(wrong_name) {
    void *server = new_server(ZMQ_PAIR), *client = new_client(ZMQ_PAIR);
    SET_TEXT(client, WSS_HOSTNAME, "a.example");
    expect_refusal(server, client);
}

TLS_TEST(wrong_host) {
    // Without the option the name is that of the endpoint: 127.0.0.1, which is not a.example.
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    IDENTIFY(server, "own");
    TRUST(client, "own");
    expect_refusal(server, client);
}

TLS_TEST(no_certificate_where_one_is_required) {
    void *server = new_server(ZMQ_PAIR), *client = new_client(ZMQ_PAIR);
    TRUST(server, "ca");
    expect_refusal(server, client);
}

TLS_TEST(certificate_of_a_stranger) {
    void *server = new_server(ZMQ_PAIR), *client = new_client(ZMQ_PAIR);
    TRUST(server, "other-ca");
    IDENTIFY(client, "client");
    expect_refusal(server, client);
}

TLS_TEST(certificates_on_both_sides) {
    void *server = new_server(ZMQ_PAIR), *client = new_client(ZMQ_PAIR);
    TRUST(server, "ca");
    IDENTIFY(client, "client");
    CONNECT(client, bind_tls(server));
    BOUNCE(client, server);
}

// As `openssl req -x509` makes them, and libzmq's own test for wss has one: its own issuer, with a
// common name and no other.
TLS_TEST(self_signed_certificate_that_is_trusted) {
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    IDENTIFY(server, "own");
    TRUST(client, "own");
    SET_TEXT(client, WSS_HOSTNAME, "a.example");
    CONNECT(client, bind_tls(server));
    BOUNCE(client, server);
}

TLS_TEST(system_trust) {
    // Nobody on the system has heard of these; but the anchors of both options count.
    void *server = new_server(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(client, WSS_TRUST_SYSTEM, 1);
    const char *endpoint = bind_tls(server);
    char bundle[1024];
    snprintf(bundle, sizeof bundle, "%s/%s.pem", CERTIFICATES, "other-ca");
    setenv("SSL_CERT_FILE", bundle, 1);
    unsetenv("SSL_CERT_DIR");
    void *of_client = MONITOR(client, HANDSHAKE_EVENTS);
    CONNECT(client, endpoint);
    CHECK_EQ(EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EACCES);
    CHECK_OK(zmq_disconnect(client, endpoint));
    CLOSE(of_client);
    snprintf(bundle, sizeof bundle, "%s/%s.pem", CERTIFICATES, "ca");
    setenv("SSL_CERT_FILE", bundle, 1);
    CONNECT(client, endpoint);
    BOUNCE(client, server);
    setenv("SSL_CERT_FILE", "/nonexistent", 1);
    void *other = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(other, WSS_TRUST_SYSTEM, 1);
    CHECK_ERRNO(zmq_connect(other, endpoint), EINVAL);
    TRUST(other, "ca");
    CHECK_OK(zmq_connect(other, endpoint));
}

// ---- peers that do not speak TLS ---------------------------------------------------------------

TLS_TEST(plaintext_client) {
    void *server = new_server(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    void *of_server = MONITOR(server, HANDSHAKE_EVENTS);
    CONNECT(client, as_tcp(bind_tls(server)));
    CHECK_EQ(EXPECT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EPROTO);
    EXPECT_EVENT(of_server, ZMQ_EVENT_DISCONNECTED);
}

TLS_TEST(plaintext_server) {
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = new_client(ZMQ_PAIR);
    const char *endpoint = BIND(server, "tcp");
    char address[64];
    snprintf(address, sizeof address, "tls%s", endpoint + 3);
    void *of_client = MONITOR(client, HANDSHAKE_EVENTS | ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(client, address);
    CHECK_EQ(EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EPROTO);
    EXPECT_EVENT(of_client, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECT_RETRIED);
}

// Whatever comes, the server goes on serving others.
TLS_TEST(garbage) {
    void *server = new_server(ZMQ_PAIR);
    const char *endpoint = bind_tls(server);
    uint32_t seed = 1;
    for (int i = 0; i < 200; i++) {
        unsigned char data[600];
        fill(data, sizeof data, seed++);
        if (i % 2) // looks like a handshake record
            memcpy(data, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
        int fd = RAW_CONNECT(as_tcp(endpoint));
        ssize_t sent = send(fd, data, (size_t)(i * 3), MSG_NOSIGNAL);
        (void)sent;
        if (i % 3)
            shutdown(fd, SHUT_WR);
        if (i % 5)
            close(fd);
    }
    void *client = new_client(ZMQ_PAIR);
    CONNECT(client, endpoint);
    BOUNCE(client, server);
}

TLS_TEST_EACH(stalled_handshake, "client", "server") {
    char endpoint[64];
    if (strcmp(transport, "client") == 0) {
        void *server = new_server(ZMQ_PAIR);
        SET_INT(server, ZMQ_HANDSHAKE_IVL, 200);
        void *of_server = MONITOR(server, HANDSHAKE_EVENTS);
        int fd = RAW_CONNECT(as_tcp(bind_tls(server)));
        RAW_SEND_LITERAL(fd, "\x16\x03\x01\x02\x00"); // and no more
        CHECK_EQ(EXPECT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EAGAIN);
        EXPECT_EVENT(of_server, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(fd);
    } else {
        int listener = RAW_LISTEN(endpoint);
        char address[64];
        snprintf(address, sizeof address, "tls%s", endpoint + 3);
        void *client = new_client(ZMQ_PAIR);
        SET_INT(client, ZMQ_HANDSHAKE_IVL, 200);
        void *of_client = MONITOR(client, HANDSHAKE_EVENTS | ZMQ_EVENT_CONNECT_RETRIED);
        CONNECT(client, address);
        int fd = RAW_ACCEPT(listener);
        RAW_EXPECT_LITERAL(fd, "\x16\x03\x01"); // its hello
        CHECK_EQ(EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EAGAIN);
        EXPECT_EVENT(of_client, ZMQ_EVENT_DISCONNECTED);
        EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECT_RETRIED);
    }
}

// ---- connections come and go -------------------------------------------------------------------

TLS_TEST(events) {
    void *server = new_server(ZMQ_PAIR), *client = new_client(ZMQ_PAIR);
    void *of_server = MONITOR(server, ZMQ_EVENT_ALL), *of_client = MONITOR(client, ZMQ_EVENT_ALL);
    const char *endpoint = bind_tls(server);
    CHECK_STR(EXPECT_EVENT(of_server, ZMQ_EVENT_LISTENING).address, endpoint);
    CONNECT(client, endpoint);
    BOUNCE(client, server);
    CHECK_STR(EXPECT_EVENT(of_server, ZMQ_EVENT_ACCEPTED).address, endpoint);
    CHECK_EQ(EXPECT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).value, 0);
    CHECK_STR(AWAIT_EVENT(of_client, ZMQ_EVENT_CONNECTED).address, endpoint);
    CHECK_EQ(EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).value, 0);
    CHECK_OK(zmq_disconnect(client, endpoint));
    EXPECT_EVENT(of_server, ZMQ_EVENT_DISCONNECTED);
}

TLS_TEST(reconnect) {
    void *server = new_server(ZMQ_PULL), *client = new_client(ZMQ_PUSH);
    SET_INT(client, ZMQ_RECONNECT_IVL, 1);
    const char *endpoint = bind_tls(server);
    CONNECT(client, endpoint);
    for (int i = 0; i < 10; i++) {
        SEND(client, "hello");
        EXPECT(server, "hello");
        void *of_client = MONITOR(client, HANDSHAKE_EVENTS);
        CLOSE(server);
        EXPECT_EVENT(of_client, ZMQ_EVENT_DISCONNECTED);
        CLOSE(of_client);
        server = new_server(ZMQ_PULL);
        WAIT_UNTIL(zmq_bind(server, endpoint) == 0);
    }
}

TLS_TEST(heartbeats) {
    struct ends ends = {new_server(ZMQ_PAIR), new_client(ZMQ_PAIR), NULL};
    SET_INT(ends.client, ZMQ_HEARTBEAT_IVL, 20);
    SET_INT(ends.client, ZMQ_HEARTBEAT_TIMEOUT, DEADLINE_MS);
    void *of_client = MONITOR(ends.client, HANDSHAKE_EVENTS);
    CONNECT(ends.client, bind_tls(ends.server));
    EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    EXPECT_NOTHING(of_client);
    BOUNCE(ends.client, ends.server);
}

// Its input stays open, and says nothing.
static pid_t start_openssl(const char *const *arguments, const char *output) {
    int input[2], out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK_OK(pipe2(input, O_CLOEXEC));
    pid_t child = fork();
    if (child == 0) {
        dup2(input[0], 0);
        dup2(out, 1);
        dup2(out, 2);
        execvp("openssl", (char *const *)arguments);
        _exit(127);
    }
    close(out);
    CHECK(child > 0);
    return child;
}

static bool file_contains(const char *path, const char *text) {
    static char contents[65536];
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    size_t size = fread(contents, 1, sizeof contents - 1, file);
    fclose(file);
    contents[size] = '\0';
    for (const char *at = contents; at < contents + size; at += strlen(at) + 1)
        if (strstr(at, text))
            return true;
    return false;
}

// openssl's client comes back with the ticket of our server.
TLS_TEST_EACH(server_resumes_sessions, "-tls1_2", "-tls1_3") {
    void *server = new_server(ZMQ_PAIR);
    SET_INT(server, ZMQ_HANDSHAKE_IVL, 300); // it has nothing to say and waits for the end
    char target[64];
    snprintf(target, sizeof target, "127.0.0.1:%d", port_of(bind_tls(server)));
    const char *const first[] = {"openssl", "s_client",  "-connect",  target,    "-ign_eof",
                                 transport, "-sess_out", "session",   NULL};
    const char *const again[] = {"openssl", "s_client",  "-connect",  target,    "-ign_eof",
                                 transport, "-sess_in",  "session",   NULL};
    waitpid(start_openssl(first, "first"), NULL, 0);
    CHECK(file_contains("first", "New, TLSv1"));
    waitpid(start_openssl(again, "again"), NULL, 0);
    CHECK(file_contains("again", "Reused, TLSv1"));
}

// Our client comes back with the ticket of openssl's server, which says nothing it understands.
TLS_TEST_EACH(client_resumes_sessions, "-tls1_2", "-tls1_3") {
    char endpoint[64], port[16], address[64], certificate[1024], key[1024];
    close(RAW_LISTEN(endpoint));
    snprintf(port, sizeof port, "%d", port_of(endpoint));
    snprintf(address, sizeof address, "tls://127.0.0.1:%s", port);
    snprintf(certificate, sizeof certificate, "%s/server.pem", CERTIFICATES);
    snprintf(key, sizeof key, "%s/server.key", CERTIFICATES);
    void *client = new_client(ZMQ_PAIR);
    const char *const arguments[] = {"openssl", "s_server",  "-accept", port, "-cert",
                                     certificate, "-key", key, transport, NULL};
    pid_t child = start_openssl(arguments, "server");
    SET_INT(client, ZMQ_RECONNECT_IVL, 20);
    SET_INT(client, ZMQ_HANDSHAKE_IVL, 100);
    CONNECT(client, address);
    WAIT_UNTIL(file_contains("server", "Reused session-id"));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

TLS_TEST(many_connections) {
    enum { COUNT = 50 };
    void *server = new_server(ZMQ_ROUTER), *clients[COUNT];
    const char *endpoint = bind_tls(server);
    for (int i = 0; i < COUNT; i++) {
        clients[i] = new_client(ZMQ_REQ);
        CONNECT(clients[i], endpoint);
        SEND(clients[i], "hello");
    }
    for (int i = 0; i < COUNT; i++) {
        struct frame id = RECV(server);
        EXPECT(server, "", "hello");
        SEND_FRAME(server, id, ZMQ_SNDMORE);
        SEND(server, "", "answer");
    }
    for (int i = 0; i < COUNT; i++)
        EXPECT(clients[i], "answer");
}
