// SPDX-License-Identifier: MPL-2.0
//
// wss://: ws inside TLS, with the certificates of the ZMQ_WSS_* options, made by certificates.sh. What
// ws does is tested in test_ws.c, what TLS does in test_tls.c, full connections in test_backpressure.c.
#include "harness.h"

#include <unistd.h>

#define NO_WSS "Debian's is built without it"
#define WSS_TEST(name) TEST_OURS_ONLY(name, NO_WSS)

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

static void join(void *server, void *client) {
    CONNECT(client, BIND_ADDRESS(server, "wss://127.0.0.1:*/path"));
}

WSS_TEST(it_is_there) { CHECK_EQ(zmq_has("WSS"), 1); }

WSS_TEST(endpoints) {
    void *server = new_server(ZMQ_PAIR), *client = new_client(ZMQ_PAIR);
    const char *endpoint = BIND_ADDRESS(server, "wss://127.0.0.1:*");
    CHECK(strncmp(endpoint, "wss://127.0.0.1:", 16) == 0);
    CHECK_EQ(endpoint[strlen(endpoint) - 1], '/');
    CONNECT(client, endpoint);
    CHECK_STR(LAST_ENDPOINT(client), endpoint);
    BOUNCE(client, server);
    CHECK_OK(zmq_disconnect(client, endpoint));
    CHECK_OK(zmq_unbind(server, endpoint));
}

WSS_TEST(without_a_certificate) {
    void *server = NEW_SOCKET(ZMQ_PAIR);
    CHECK_ERRNO(zmq_bind(server, "wss://127.0.0.1:*"), EINVAL);
}

WSS_TEST(request_and_reply) {
    void *server = new_server(ZMQ_REP), *client = new_client(ZMQ_REQ);
    join(server, client);
    for (int i = 0; i < 100; i++) {
        SEND(client, "question", "");
        EXPECT(server, "question", "");
        SEND(server, "", "answer");
        EXPECT(client, "", "answer");
    }
}

WSS_TEST(publish_and_subscribe) {
    void *pub = new_server(ZMQ_PUB), *sub = new_client(ZMQ_SUB);
    SET_TEXT(sub, ZMQ_SUBSCRIBE, "news");
    join(pub, sub);
    SYNC_PUBSUB(pub, sub);
    SEND(pub, "other");
    SEND(pub, "news!");
    EXPECT(sub, "news!");
}

static void fill(char *body, size_t size, unsigned seed) {
    for (size_t i = 0; i < size; i++)
        body[i] = (char)(i * 31 + seed + i / 251);
}

WSS_TEST(every_length_both_ways) {
    static const size_t sizes[] = {0,    1,    124,  125,   126,   255,   256,   1000,   8191,
                                   8192, 8193, 16383, 16384, 16385, 65534, 65535, 100000, 1 << 20};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    void *server = new_server(ZMQ_PAIR), *client = new_client(ZMQ_PAIR);
    join(server, client);
    void *ends[] = {client, server};
    char *body = malloc(1 << 20), *got = malloc(1 << 20);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < SIZES; i++) {
            fill(body, sizes[i], (unsigned)i);
            SEND_BYTES(ends[round % 2], body, sizes[i], i + 1 < SIZES && i % 2 ? ZMQ_SNDMORE : 0);
        }
        for (size_t i = 0; i < SIZES; i++) {
            fill(body, sizes[i], (unsigned)i);
            CHECK_EQ(zmq_recv(ends[1 - round % 2], got, 1 << 20, 0), (long long)sizes[i]);
            CHECK(memcmp(body, got, sizes[i]) == 0);
        }
    }
    free(body);
    free(got);
}

WSS_TEST(many_messages) {
    enum { COUNT = 200000 };
    void *server = new_server(ZMQ_PULL), *client = new_client(ZMQ_PUSH);
    join(server, client);
    for (int sent = 0, received = 0; received < COUNT;) {
        int value;
        while (sent < COUNT && zmq_send(client, &sent, sizeof sent, ZMQ_DONTWAIT) > 0)
            sent++;
        if (zmq_recv(server, &value, sizeof value, sent < COUNT ? ZMQ_DONTWAIT : 0) > 0)
            CHECK_EQ(value, received++);
    }
}

WSS_TEST(events) {
    void *server = new_server(ZMQ_DEALER), *client = new_client(ZMQ_DEALER);
    const char *endpoint = BIND_ADDRESS(server, "wss://127.0.0.1:*/path");
    void *of_server = MONITOR(server, ZMQ_EVENT_ALL), *of_client = MONITOR(client, ZMQ_EVENT_ALL);
    SET_INT(client, ZMQ_RECONNECT_IVL, 50);
    CONNECT(client, endpoint);
    CHECK_STR(EXPECT_EVENT(of_server, ZMQ_EVENT_ACCEPTED).address, endpoint);
    CHECK_STR(EXPECT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).address, endpoint);
    CHECK_STR(EXPECT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).address, endpoint);
    CHECK_STR(EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECT_DELAYED).address, endpoint);
    CHECK_STR(EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECTED).address, endpoint);
    CHECK_STR(EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).address, endpoint);
    CHECK_STR(EXPECT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).address, endpoint);
    CLOSE(of_server);
    CLOSE(server);
    EXPECT_EVENT(of_client, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECT_RETRIED);
}

// A client that trusts nobody who could have signed for this server.
WSS_TEST(no_trust) {
    void *server = new_server(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    TRUST(client, "other-ca");
    const char *endpoint = BIND_ADDRESS(server, "wss://127.0.0.1:*");
    void *mon = MONITOR(client, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                    ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    CONNECT(client, endpoint);
    CHECK(NEXT_EVENT(mon).event != ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
}

// Neither speaks to the other without TLS.
WSS_TEST(ws_is_no_wss) {
    void *server = new_server(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND_ADDRESS(server, "wss://127.0.0.1:*");
    char plain[64];
    snprintf(plain, sizeof plain, "ws://127.0.0.1:%d/", port_of(endpoint));
    void *mon = MONITOR(server, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
    CONNECT(client, plain);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
}
