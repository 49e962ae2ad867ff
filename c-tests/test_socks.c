// SPDX-License-Identifier: MPL-2.0
//
// Connecting by way of a SOCKS 5 proxy (RFC 1928, 1929). The test itself is the proxy, and mostly
// the peer behind it as well.
#include "harness.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKS_USERNAME = 99, SOCKS_PASSWORD = 100, RECONNECT_STOP = 109 };

static const char REPLY[] = "\5\0\0\1\177\0\0\1\x12\x34";

struct scene {
    int listener;
    char proxy[64];
    void *socket, *mon;
};

// A socket that connects to `target` through a proxy that is listening.
static struct scene make_scene(int type, const char *target) {
    struct scene scene;
    scene.listener = RAW_LISTEN(scene.proxy);
    scene.socket = NEW_SOCKET(type);
    SET_TEXT(scene.socket, ZMQ_SOCKS_PROXY, scene.proxy + strlen("tcp://"));
    SET_INT(scene.socket, ZMQ_RECONNECT_IVL, 10);
    if (target)
        CONNECT(scene.socket, target);
    return scene;
}

// Reads what asks for no authentication, and agrees.
static int greet(const struct scene *scene) {
    int fd = RAW_ACCEPT(scene->listener);
    RAW_EXPECT_LITERAL(fd, "\5\1\0");
    RAW_SEND_LITERAL(fd, "\5\0");
    return fd;
}

// Ends without a state in which libzmq aborts: waiting to connect again.
static void finish(struct scene *scene, int fd) {
    CLOSE(scene->socket);
    close(fd);
}

// Agrees to everything, up to where the peer speaks.
static int agree(const struct scene *scene) {
    int fd = greet(scene);
    RAW_EXPECT_LITERAL(fd, "\5\1\0\1\12\1\2\3\x12\x34");
    RAW_SEND_LITERAL(fd, REPLY);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    return fd;
}

// ---- the conversation --------------------------------------------------------------------------

TEST(without_authentication) {
    struct scene scene = make_scene(ZMQ_PUSH, "tcp://10.1.2.3:4660");
    int fd = greet(&scene);
    RAW_EXPECT_LITERAL(fd, "\5\1\0\1\12\1\2\3\x12\x34");
    RAW_EXPECT_SILENT(fd);
    RAW_SEND_LITERAL(fd, REPLY);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    SEND(scene.socket, "hello", "world");
    ZMTP_EXPECT_LITERAL(fd, 1, "hello");
    ZMTP_EXPECT_LITERAL(fd, 0, "world");
    finish(&scene, fd);
}

TEST(names_are_for_the_proxy) {
    struct scene scene = make_scene(ZMQ_PUSH, "tcp://no-such-host.invalid:4660");
    int fd = greet(&scene);
    RAW_EXPECT_LITERAL(fd, "\5\1\0\3\24no-such-host.invalid\x12\x34");
    RAW_SEND_LITERAL(fd, REPLY);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    CHECK_STR(LAST_ENDPOINT(scene.socket), "tcp://no-such-host.invalid:4660");
    finish(&scene, fd);
}

TEST(addresses_of_ipv6) {
    struct scene scene = make_scene(ZMQ_PUSH, "tcp://[2001:db8::1]:4660");
    int fd = greet(&scene);
    RAW_EXPECT_LITERAL(fd, "\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x12\x34");
    RAW_SEND_LITERAL(fd, REPLY);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    finish(&scene, fd);
}

TEST_EACH(with_user_and_password, "secret", "", "long") {
    struct scene scene = make_scene(ZMQ_PUSH, NULL);
    char password[256] = {0}, user[256] = {0};
    strcpy(user, "user");
    strcpy(password, transport);
    if (strcmp(transport, "long") == 0) {
        memset(user, 'u', 255);
        memset(password, 'p', 255);
    }
    SET_TEXT(scene.socket, SOCKS_USERNAME, user);
    SET_TEXT(scene.socket, SOCKS_PASSWORD, password);
    CONNECT(scene.socket, "tcp://10.1.2.3:4660");
    int fd = RAW_ACCEPT(scene.listener);
    RAW_EXPECT_LITERAL(fd, "\5\1\2");
    RAW_SEND_LITERAL(fd, "\5\2");
    unsigned char length = (unsigned char)strlen(user);
    RAW_EXPECT_LITERAL(fd, "\1");
    RAW_EXPECT(fd, &length, 1);
    RAW_EXPECT(fd, user, length);
    length = (unsigned char)strlen(password);
    RAW_EXPECT(fd, &length, 1);
    RAW_EXPECT(fd, password, length);
    RAW_SEND_LITERAL(fd, "\1\0");
    RAW_EXPECT_LITERAL(fd, "\5\1\0\1\12\1\2\3\x12\x34");
    RAW_SEND_LITERAL(fd, REPLY);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    finish(&scene, fd);
}

TEST(a_password_without_a_user) {
    struct scene scene = make_scene(ZMQ_PUSH, NULL);
    SET_TEXT(scene.socket, SOCKS_PASSWORD, "secret");
    CONNECT(scene.socket, "tcp://10.1.2.3:4660");
    finish(&scene, agree(&scene));
}

TEST_EACH(replies_in_pieces, "ipv4", "ipv6", "name", "empty-name") {
    static const char *const replies[] = {"\5\0\0\1\1\2\3\4\5\6",
                                          "\5\0\0\4\1\2\3\4\5\6\7\10\1\2\3\4\5\6\7\10\5\6",
                                          "\5\0\0\3\4name\5\6", "\5\0\0\3\0\5\6"};
    static const size_t sizes[] = {10, 22, 11, 7};
    int kind = strcmp(transport, "ipv4") == 0   ? 0
               : strcmp(transport, "ipv6") == 0 ? 1
               : strcmp(transport, "name") == 0 ? 2
                                                : 3;
    struct scene scene = make_scene(ZMQ_PUSH, "tcp://10.1.2.3:4660");
    int fd = RAW_ACCEPT(scene.listener);
    RAW_EXPECT_LITERAL(fd, "\5\1\0");
    RAW_SEND_LITERAL(fd, "\5");
    pause_briefly();
    RAW_SEND_LITERAL(fd, "\0");
    RAW_EXPECT_LITERAL(fd, "\5\1\0\1\12\1\2\3\x12\x34");
    for (size_t i = 0; i < sizes[kind]; i++) {
        RAW_SEND(fd, replies[kind] + i, 1);
        pause_briefly();
    }
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    finish(&scene, fd);
}

TEST(a_peer_that_speaks_with_the_reply) {
    struct scene scene = make_scene(ZMQ_PULL, "tcp://10.1.2.3:4660");
    int fd = greet(&scene);
    RAW_EXPECT_LITERAL(fd, "\5\1\0\1\12\1\2\3\x12\x34");
    // All the peer has to say until its first message but that.
    unsigned char all[256], ready[128];
    size_t size = sizeof REPLY - 1, ready_size = zmtp_ready(ready, "PUSH", NULL);
    memcpy(all, REPLY, size);
    zmtp_greeting(all + size, 3, 1, "NULL");
    size += 64;
    all[size++] = 4;
    all[size++] = (unsigned char)ready_size;
    memcpy(all + size, ready, ready_size);
    RAW_SEND(fd, all, size + ready_size);
    unsigned char greeting[64];
    RAW_READ(fd, greeting, 64);
    CHECK_EQ(ZMTP_RECV(fd).flags, 4);
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    EXPECT(scene.socket, "hello");
    finish(&scene, fd);
}

// ---- failures ----------------------------------------------------------------------------------

TEST(refused_and_tried_again) {
    static const struct {
        const char *method, *reply;
        size_t size;
    } rows[] = {
        {"\5\xff", NULL, 0},
        {"\4\0", NULL, 0},
        {"HT", NULL, 0},
        {"\5\0", "\5\1\0\1\0\0\0\0\0\0", 10},
        {"\5\0", "\5\5\0\1\0\0\0\0\0\0", 10},
        {"\5\0", "\5\11\0\1\0\0\0\0\0\0", 10},
        {"\5\0", "\4\0\0\1\0\0\0\0\0\0", 10},
        {"\5\0", "\5\0\1\1\0\0\0\0\0\0", 10},
        {"\5\0", "\5\0\0\2\0\0\0\0\0\0", 10},
    };
    struct scene scene = make_scene(ZMQ_PUSH, NULL);
    void *mon = MONITOR(scene.socket, ZMQ_EVENT_ALL);
    CONNECT(scene.socket, "tcp://10.1.2.3:4660");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int fd = RAW_ACCEPT(scene.listener);
        RAW_EXPECT_LITERAL(fd, "\5\1\0");
        RAW_SEND(fd, rows[i].method, 2);
        if (rows[i].reply) {
            RAW_EXPECT_LITERAL(fd, "\5\1\0\1\12\1\2\3\x12\x34");
            RAW_SEND(fd, rows[i].reply, rows[i].size);
        }
        RAW_EXPECT_CLOSED(fd);
        close(fd);
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
        EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
    }
    int fd = agree(&scene);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED);
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    finish(&scene, fd);
}

TEST(wrong_password) {
    struct scene scene = make_scene(ZMQ_PUSH, NULL);
    SET_TEXT(scene.socket, SOCKS_USERNAME, "user");
    SET_TEXT(scene.socket, SOCKS_PASSWORD, "wrong");
    CONNECT(scene.socket, "tcp://10.1.2.3:4660");
    for (int i = 0; i < 2; i++) {
        int fd = RAW_ACCEPT(scene.listener);
        RAW_EXPECT_LITERAL(fd, "\5\1\2");
        RAW_SEND_LITERAL(fd, "\5\2");
        RAW_EXPECT_LITERAL(fd, "\1\4user\5wrong");
        RAW_SEND_LITERAL(fd, "\1\1");
        RAW_EXPECT_CLOSED(fd);
        close(fd);
    }
    int fd = RAW_ACCEPT(scene.listener);
    RAW_EXPECT_LITERAL(fd, "\5\1\2");
    RAW_SEND_LITERAL(fd, "\5\0");
    RAW_EXPECT_LITERAL(fd, "\5\1\0\1\12\1\2\3\x12\x34");
    RAW_SEND_LITERAL(fd, REPLY);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    finish(&scene, fd);
}

TEST(a_proxy_that_hangs_up) {
    struct scene scene = make_scene(ZMQ_PUSH, "tcp://10.1.2.3:4660");
    for (int step = 0; step < 4; step++) {
        int fd = RAW_ACCEPT(scene.listener);
        RAW_EXPECT_LITERAL(fd, "\5\1\0");
        if (step > 0)
            RAW_SEND_LITERAL(fd, "\5\0");
        if (step > 1)
            RAW_EXPECT_LITERAL(fd, "\5\1\0\1\12\1\2\3\x12\x34");
        if (step > 2)
            RAW_SEND(fd, REPLY, 6);
        close(fd);
    }
    finish(&scene, agree(&scene));
}

TEST_OURS_ONLY(no_proxy_there, "it aborts") {
    char unused[64];
    close(RAW_LISTEN(unused));
    void *s = NEW_SOCKET(ZMQ_PUSH);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    SET_TEXT(s, ZMQ_SOCKS_PROXY, unused + strlen("tcp://"));
    SET_INT(s, ZMQ_RECONNECT_IVL, 10);
    SET_INT(s, RECONNECT_STOP, 1); // which is about the peer
    CONNECT(s, "tcp://10.1.2.3:4660");
    for (int i = 0; i < 2; i++) {
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
        EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
    }
}

TEST(a_connection_that_breaks) {
    struct scene scene = make_scene(ZMQ_PUSH, "tcp://10.1.2.3:4660");
    for (int i = 0; i < 3; i++) {
        int fd = agree(&scene);
        SEND(scene.socket, "hello");
        ZMTP_EXPECT_LITERAL(fd, 0, "hello");
        close(fd);
    }
    finish(&scene, agree(&scene));
}

TEST(disconnected_meanwhile) {
    struct scene scene = make_scene(ZMQ_PUSH, "tcp://10.1.2.3:4660");
    int fd = greet(&scene);
    CHECK_OK(zmq_disconnect(scene.socket, "tcp://10.1.2.3:4660"));
    WAIT_DRIVING(scene.socket, raw_closed(fd));
    close(fd);
    CONNECT(scene.socket, "tcp://10.1.2.3:4660");
    fd = greet(&scene);
    END_CONTEXT();
    RAW_EXPECT_CLOSED(fd);
    close(fd);
}

TEST_OURS_ONLY(a_proxy_that_says_nothing, "it waits for ever") {
    struct scene scene = make_scene(ZMQ_PUSH, NULL);
    SET_INT(scene.socket, ZMQ_CONNECT_TIMEOUT, 50);
    CONNECT(scene.socket, "tcp://10.1.2.3:4660");
    int fd = RAW_ACCEPT(scene.listener);
    RAW_EXPECT_LITERAL(fd, "\5\1\0");
    RAW_EXPECT_CLOSED(fd);
    close(fd);
    fd = greet(&scene);
    SET_INT(scene.socket, ZMQ_CONNECT_TIMEOUT, 0);
    SET_INT(scene.socket, ZMQ_HANDSHAKE_IVL, 50);
    CONNECT(scene.socket, "tcp://10.1.2.4:4660");
    RAW_EXPECT_CLOSED(fd);
    close(fd);
}

// ---- what the monitor is told ------------------------------------------------------------------

TEST(addresses_of_events) {
    struct scene scene = make_scene(ZMQ_PUSH, NULL);
    void *mon = MONITOR(scene.socket, ZMQ_EVENT_ALL);
    CONNECT(scene.socket, "tcp://10.1.2.3:4660");
    int fd = greet(&scene);
    RAW_EXPECT_LITERAL(fd, "\5\1\0\1\12\1\2\3\x12\x34");
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
    CHECK_STR(event.address, scene.proxy);
    CHECK(!event_within(mon, &event, ABSENCE_MS));
    RAW_SEND_LITERAL(fd, REPLY);
    event = EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED);
    CHECK_STR(event.address, scene.proxy);
    ZMTP_HANDSHAKE(fd, 1, "PULL", NULL);
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    close(fd);
    event = EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    CHECK_STR(event.address, scene.proxy);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
    finish(&scene, agree(&scene));
}

// ---- both ends are the library's ---------------------------------------------------------------

struct relay {
    int from, to;
};

// Passes bytes on both ways until one side ends.
static void relay(void *argument) {
    struct relay *relay = argument;
    struct pollfd items[] = {{relay->from, POLLIN, 0}, {relay->to, POLLIN, 0}};
    char buffer[65536];
    while (poll(items, 2, -1) > 0) {
        for (int i = 0; i < 2; i++) {
            if (!items[i].revents)
                continue;
            ssize_t got = recv(items[i].fd, buffer, sizeof buffer, 0);
            if (got <= 0)
                goto end;
            raw_send(items[!i].fd, buffer, (size_t)got);
        }
    }
end:
    close(relay->from);
    close(relay->to);
}

static void through_a_relay(const char *transport, void *server, void *client, const char *proxy,
                            int listener) {
    const char *endpoint;
    char address[64];
    snprintf(address, sizeof address, "%s://127.0.0.1:*", transport);
    endpoint = BIND_ADDRESS(server, address);
    SET_TEXT(client, ZMQ_SOCKS_PROXY, proxy + strlen("tcp://"));
    CONNECT(client, endpoint);
    int fd = RAW_ACCEPT(listener);
    RAW_EXPECT_LITERAL(fd, "\5\1\0");
    RAW_SEND_LITERAL(fd, "\5\0");
    unsigned char request[10];
    RAW_READ(fd, request, sizeof request);
    CHECK_EQ(request[8] << 8 | request[9], port_of(endpoint));
    RAW_SEND_LITERAL(fd, REPLY);
    struct relay ends = {fd, RAW_CONNECT(endpoint)};
    struct thread thread;
    start_thread(&thread, relay, &ends);
    for (int i = 0; i < 100; i++) {
        BOUNCE(client, server);
        SEND(server, "one", "two");
        EXPECT(client, "one", "two");
    }
    char *large = calloc(1, 1000000);
    SEND_BYTES(client, large, 1000000, 0);
    CHECK_EQ(RECV(server).size, 1000000);
    CLOSE(client);
    JOIN(&thread);
}

TEST(there_and_back) {
    char proxy[64];
    int listener = RAW_LISTEN(proxy);
    through_a_relay("tcp", NEW_SOCKET(ZMQ_PAIR), NEW_SOCKET(ZMQ_PAIR), proxy, listener);
}

TEST_OURS_ONLY(websocket, "tcp alone goes by way of a proxy") {
    char proxy[64];
    int listener = RAW_LISTEN(proxy);
    through_a_relay("ws", NEW_SOCKET(ZMQ_PAIR), NEW_SOCKET(ZMQ_PAIR), proxy, listener);
}

TEST_EACH_OURS_ONLY(tls, "tcp alone goes by way of a proxy", "tls", "wss") {
    char proxy[64];
    int listener = RAW_LISTEN(proxy);
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    SET_PEM(server, WSS_KEY_PEM, "server.key");
    SET_PEM(server, WSS_CERT_PEM, "server.pem");
    SET_PEM(client, WSS_TRUST_PEM, "ca.pem");
    through_a_relay(transport, server, client, proxy, listener);
}

TEST(taken_back) {
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    SET_TEXT(client, ZMQ_SOCKS_PROXY, "127.0.0.1:1");
    CHECK_OK(zmq_setsockopt(client, ZMQ_SOCKS_PROXY, NULL, 0));
    CONNECT(client, BIND(server, "tcp"));
    BOUNCE(client, server);
}
