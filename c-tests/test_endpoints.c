// SPDX-License-Identifier: MPL-2.0
//
// Endpoints: syntax and errnos, LAST_ENDPOINT, wildcards, what unbind and disconnect must be given.
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool has_ipv6(void) {
    void *s = zmq_socket(context(), ZMQ_PAIR);
    SET_INT(s, ZMQ_IPV6, 1);
    bool has = zmq_bind(s, "tcp://[::1]:*") == 0;
    CHECK_OK(zmq_close(s));
    return has;
}

// ---- syntax ------------------------------------------------------------------------------------

TEST(syntax_errors) {
    static const char *const bad[] = {"",      "tcp",   "tcp:",  "tcp:/", "tcp://", "://127.0.0.1:1",
                                      "://",   "127.0.0.1:5555", "inproc://", "ipc://", ":tcp//a:1",
                                      "inproc:x"};
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_ERRNO(zmq_bind(s, bad[i]), EINVAL);
        CHECK_ERRNO(zmq_connect(s, bad[i]), EINVAL);
        CHECK_ERRNO(zmq_unbind(s, bad[i]), EINVAL);
        CHECK_ERRNO(zmq_disconnect(s, bad[i]), EINVAL);
    }
}

TEST(unknown_transports) {
    static const char *const bad[] = {"foo://127.0.0.1:1", "TCP://127.0.0.1:1", "Inproc://a",
                                      "IPC://a",           "tcp ://127.0.0.1:1"};
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_ERRNO(zmq_bind(s, bad[i]), EPROTONOSUPPORT);
        CHECK_ERRNO(zmq_connect(s, bad[i]), EPROTONOSUPPORT);
        CHECK_ERRNO(zmq_unbind(s, bad[i]), EPROTONOSUPPORT);
        CHECK_ERRNO(zmq_disconnect(s, bad[i]), EPROTONOSUPPORT);
    }
}

TEST(udp_is_not_for_these_types) {
    for (int type = 0; type <= ZMQ_STREAM; type++) {
        void *s = NEW_SOCKET(type);
        CHECK_ERRNO(zmq_bind(s, "udp://127.0.0.1:5555"), ENOCOMPATPROTO);
        CHECK_ERRNO(zmq_connect(s, "udp://127.0.0.1:5555"), ENOCOMPATPROTO);
        CHECK_ERRNO(zmq_unbind(s, "udp://127.0.0.1:5555"), ENOCOMPATPROTO);
        CHECK_ERRNO(zmq_disconnect(s, "udp://127.0.0.1:5555"), ENOCOMPATPROTO);
    }
}

TEST(transports_that_are_not_built_in) {
    static const char *const endpoints[] = {"pgm://127.0.0.1;239.0.0.1:5555", "norm://127.0.0.1:5555",
                                            "vmci://@:5555"};
    static const char *const names[] = {"pgm", "norm", "vmci"};
    for (int i = 0; i < 3; i++) {
        if (zmq_has(names[i]))
            continue;
        // That comes first, whether or not the type could use it.
        static const int types[] = {ZMQ_PUB, ZMQ_PAIR};
        for (int k = 0; k < 2; k++) {
            void *s = NEW_SOCKET(types[k]);
            CHECK_ERRNO(zmq_bind(s, endpoints[i]), EPROTONOSUPPORT);
            CHECK_ERRNO(zmq_connect(s, endpoints[i]), EPROTONOSUPPORT);
            CHECK_ERRNO(zmq_unbind(s, endpoints[i]), EPROTONOSUPPORT);
            CHECK_ERRNO(zmq_disconnect(s, endpoints[i]), EPROTONOSUPPORT);
        }
    }
}

TEST(null_endpoint_of_unbind_and_disconnect) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_ERRNO(zmq_unbind(s, NULL), EINVAL);
    CHECK_ERRNO(zmq_disconnect(s, NULL), EINVAL);
}

TEST(tcp_bind_errors) {
    static const struct {
        const char *endpoint;
        int error;
    } rows[] = {
        {"tcp://127.0.0.1", EINVAL},
        {"tcp://127.0.0.1:", EINVAL},
        {"tcp://127.0.0.1:abc", EINVAL},
        {"tcp://127.0.0.1:65536", EINVAL},
        {"tcp://*", EINVAL},
        {"tcp://:5555", ENODEV},
        {"tcp://no-such-interface:5555", ENODEV},
        {"tcp://[::1]:5555", ENODEV}, // IPV6 is off
        {"tcp://[::1]:0;127.0.0.1:*", ENODEV},
        {"tcp://192.0.2.1:*", EADDRNOTAVAIL},
    };
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_ERRNO(zmq_bind(s, rows[i].endpoint), rows[i].error);
    CHECK_STR(LAST_ENDPOINT(s), "");
}

TEST(tcp_connect_errors) {
    static const char *const bad[] = {
        "tcp://127.0.0.1",   "tcp://127.0.0.1:",    "tcp://127.0.0.1:*",  "tcp://*:5555",
        "tcp://local host:5555", "tcp://-a:5555",   "tcp://127.0.0.1:abc", "tcp://a/b:5555",
        "tcp://localhost",   "tcp:// 127.0.0.1:1",  "tcp://_a:1",         "tcp://.a:1",
        "tcp://a:1 ",        "tcp://a:1/",          "tcp://%a:1",         "tcp://;a:1",
        "tcp://a,b:1",       "tcp://a@b:1",         "tcp://\xc3\xa4:1",
    };
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_ERRNO(zmq_connect(s, bad[i]), EINVAL);
}

// Connecting resolves nothing: these are accepted, and never come about.
TEST(tcp_connect_looks_at_the_text_only) {
    static const char *const good[] = {
        "tcp://127.0.0.1:0", "tcp://no-such-host.invalid:1", "tcp://[::1]:1", "tcp://localhost:1",
        "tcp://127.0.0.1:9x", "tcp://:1", "tcp://[:1",
        "tcp://a_b.c-d:1", "tcp://fe80::1%lo:1", "tcp://1.2.3.4.5:1", "tcp://a*b:1",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        CONNECT(s, good[i]);
        CHECK_STR(LAST_ENDPOINT(s), good[i]);
        CHECK_OK(zmq_disconnect(s, good[i]));
    }
}

TEST(tcp_brackets) {
    static const char *const good[] = {"tcp://[127.0.0.1]:*", "tcp://[lo]:*", "tcp://[0.0.0.0]:0"};
    for (int i = 0; i < 3; i++)
        BIND_ADDRESS(NEW_SOCKET(ZMQ_DEALER), good[i]);
}

TEST(tcp_zones) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(s, ZMQ_IPV6, 1);
    static const char *const bad[] = {"tcp://[::1%]:*", "tcp://[::1%0]:*", "tcp://[::1%nosuch]:*"};
    for (int i = 0; i < 3; i++)
        CHECK_ERRNO(zmq_bind(s, bad[i]), EINVAL);
    CHECK_ERRNO(zmq_bind(s, "tcp://[::1]%lo:*"), ENODEV);
    // By name or number; where a zone means nothing it is not told.
    static const char *const good[][2] = {
        {"tcp://[::1%lo]:*", "tcp://[::1]:"}, {"tcp://::1%1:*", "tcp://[::1]:"},
        {"tcp://[::1%99]:*", "tcp://[::1]:"}, {"tcp://[*%lo]:*", "tcp://[::]:"},
        {"tcp://127.0.0.1%lo:*", "tcp://[::ffff:127.0.0.1]:"},
    };
    if (!has_ipv6())
        skip("no IPv6");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const char *endpoint = BIND_ADDRESS(s, good[i][0]);
        CHECK(strncmp(endpoint, good[i][1], strlen(good[i][1])) == 0);
    }
}

// As atoi() has it, but not nothing and not too much.
TEST(tcp_bind_reads_a_number) {
    static const char *const bad[] = {"00", "0x", " 0", "+0", "*x", "**", "!"};
    char address[64], text[64];
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(address, sizeof address, "tcp://127.0.0.1:%s", bad[i]);
        CHECK_ERRNO(zmq_bind(s, address), EINVAL);
    }
    CHECK_ERRNO(zmq_bind(s, "tcp://127.0.0.1:1:0"), ENODEV);
    static const char *const forms[] = {"tcp://127.0.0.1:%dx", "tcp://127.0.0.1:00%d",
                                        "tcp://127.0.0.1:%d*"};
    for (int i = 0; i < 3; i++) {
        const char *free = unused_tcp_endpoint();
        snprintf(text, sizeof text, forms[i], port_of(free));
        CHECK_STR(BIND_ADDRESS(s, text), free);
    }
}

TEST_OURS_ONLY(tcp_ports_above_65535, "it takes the lower 16 bits") {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_ERRNO(zmq_bind(s, "tcp://127.0.0.1:99999"), EINVAL);
    CHECK_ERRNO(zmq_bind(s, "tcp://127.0.0.1:-1"), EINVAL);
    CHECK_ERRNO(zmq_connect(s, "tcp://127.0.0.1:99999"), EINVAL);
}

// ---- tcp ---------------------------------------------------------------------------------------

TEST(tcp_wildcard_port) {
    static const char *const wild[] = {"tcp://127.0.0.1:*", "tcp://127.0.0.1:0"};
    for (int i = 0; i < 2; i++) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        const char *endpoint = BIND_ADDRESS(s, wild[i]);
        CHECK(strncmp(endpoint, "tcp://127.0.0.1:", 16) == 0);
        CHECK_BETWEEN(port_of(endpoint), 1024, 65535);
    }
}

TEST(tcp_wildcard_host) {
    static const char *const wild[] = {"tcp://*:*", "tcp://0.0.0.0:*", "tcp://[*]:*"};
    for (int i = 0; i < 3; i++) {
        void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
        const char *endpoint = BIND_ADDRESS(a, wild[i]);
        CHECK(strncmp(endpoint, "tcp://0.0.0.0:", 14) == 0);
        char address[64];
        snprintf(address, sizeof address, "tcp://127.0.0.1:%d", port_of(endpoint));
        CONNECT(b, address);
        BOUNCE(a, b);
    }
}

TEST(tcp_names) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    const char *endpoint = BIND_ADDRESS(a, "tcp://lo:*");
    CHECK(strncmp(endpoint, "tcp://127.0.0.1:", 16) == 0);
    char address[64];
    snprintf(address, sizeof address, "tcp://localhost:%d", port_of(endpoint));
    CONNECT(b, address);
    BOUNCE(a, b);
}

// An address of IPv4 may be written as one of IPv6, whatever ZMQ_IPV6 says.
TEST(tcp_mapped_addresses) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    const char *endpoint = BIND_ADDRESS(a, "tcp://[::ffff:127.0.0.1]:*");
    CHECK(strncmp(endpoint, "tcp://127.0.0.1:", 16) == 0);
    char mapped[64];
    snprintf(mapped, sizeof mapped, "tcp://[::ffff:127.0.0.1]:%d", port_of(endpoint));
    CONNECT(b, mapped);
    BOUNCE(a, b);
    CHECK_OK(zmq_unbind(a, mapped));
    CHECK_ERRNO(zmq_bind(a, "tcp://[::127.0.0.1]:*"), ENODEV);
}

TEST_OURS_ONLY(tcp_bind_to_a_host_name, "4.3.4 takes addresses and interfaces only; 4.3.6 takes it") {
    const char *endpoint = BIND_ADDRESS(NEW_SOCKET(ZMQ_PAIR), "tcp://localhost:*");
    CHECK(strncmp(endpoint, "tcp://127.0.0.1:", 16) == 0);
}

TEST(tcp_address_in_use) {
    void *a = NEW_SOCKET(ZMQ_DEALER), *b = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(a, "tcp");
    CHECK_ERRNO(zmq_bind(b, endpoint), EADDRINUSE);
    CHECK_ERRNO(zmq_bind(a, endpoint), EADDRINUSE);
}

TEST(tcp_bind_again_after_unbind) {
    void *a = NEW_SOCKET(ZMQ_DEALER), *b = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(a, "tcp");
    CHECK_OK(zmq_unbind(a, endpoint));
    WAIT_UNTIL(zmq_bind(b, endpoint) == 0);
    CLOSE(b);
    b = NEW_SOCKET(ZMQ_DEALER);
    WAIT_UNTIL(zmq_bind(b, endpoint) == 0);
}

TEST_EACH_OURS_ONLY(a_port_is_free_at_once, "once the I/O thread has come to it", "tcp", "ws", "tls",
                    "wss") {
    void *a = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND_SECURED(a, transport);
    for (int i = 0; i < 10; i++) {
        void *b = NEW_SOCKET(ZMQ_DEALER), *mon = MONITOR(a, ZMQ_EVENT_CLOSED | ZMQ_EVENT_ACCEPT_FAILED);
        if (strcmp(transport, "tls") == 0 || strcmp(transport, "wss") == 0)
            IDENTIFY(b, "server");
        // A connection that waits to be accepted, perhaps, is no obstacle.
        const int fd = RAW_CONNECT(endpoint);
        if (i % 2)
            CHECK_OK(zmq_unbind(a, endpoint));
        else
            CLOSE(a);
        CHECK_OK(zmq_bind(b, endpoint));
        EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
        if (i % 2)
            CLOSE(a);
        close(fd);
        CLOSE(mon);
        a = b;
    }
}

// A monitor can tell by the last event whether the socket listens, however fast that changes.
TEST(unbind_and_bind_in_turn) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(s, "tcp");
    void *mon = MONITOR(s, ZMQ_EVENT_LISTENING | ZMQ_EVENT_CLOSED);
    for (int i = 0; i < 100; i++) {
        CHECK_OK(zmq_unbind(s, endpoint));
        WAIT_UNTIL(zmq_bind(s, endpoint) == 0);
    }
    // Binds that fail have events as well.
    for (int listening = 0; listening < 100;)
        listening += NEXT_EVENT(mon).event == ZMQ_EVENT_LISTENING;
    EXPECT_NOTHING(mon);
}

TEST(tcp_several_endpoints) {
    void *pull = NEW_SOCKET(ZMQ_PULL);
    for (int i = 0; i < 5; i++) {
        void *push = NEW_SOCKET(ZMQ_PUSH);
        CONNECT(push, BIND(pull, i % 2 ? "tcp" : "ipc"));
        SEND(push, "hello");
        EXPECT(pull, "hello");
    }
}

TEST(tcp_source_address) {
    void *pull = NEW_SOCKET(ZMQ_PULL);
    int port = port_of(BIND(pull, "tcp"));
    static const char *const sources[] = {"127.0.0.1:0", "0.0.0.0:0", "lo:0", "127.0.0.1:*"};
    for (int i = 0; i < 4; i++) {
        void *push = NEW_SOCKET(ZMQ_PUSH);
        char address[96];
        snprintf(address, sizeof address, "tcp://%s;127.0.0.1:%d", sources[i], port);
        CONNECT(push, address);
        CHECK_STR(LAST_ENDPOINT(push), address);
        SEND(push, sources[i]);
        EXPECT(pull, sources[i]);
    }
}

// The connection comes from there, also when it is made again.
TEST(tcp_source_address_is_bound) {
    char endpoint[64], address[128];
    int listener = RAW_LISTEN(endpoint), port = port_of(unused_tcp_endpoint());
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(s, ZMQ_RECONNECT_IVL, 10);
    snprintf(address, sizeof address, "tcp://127.0.0.2:%d;127.0.0.1:%d", port, port_of(endpoint));
    CONNECT(s, address);
    for (int i = 0; i < 3; i++) {
        int fd = RAW_ACCEPT(listener);
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        CHECK_OK(getpeername(fd, (struct sockaddr *)&from, &size));
        CHECK_STR(inet_ntoa(from.sin_addr), "127.0.0.2");
        CHECK_EQ(ntohs(from.sin_port), port);
        close(fd);
    }
}

// What cannot be a source is found out later, and nobody is ever connected.
TEST(tcp_source_that_cannot_be) {
    char endpoint[64], address[128];
    int listener = RAW_LISTEN(endpoint);
    static const char *const sources[] = {"localhost:0", "127.0.0.1", "127.0.0.1:0;127.0.0.1:0"};
    for (int i = 0; i < 3; i++) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        SET_INT(s, ZMQ_RECONNECT_IVL, 5);
        void *mon = MONITOR(s, ZMQ_EVENT_ALL);
        snprintf(address, sizeof address, "tcp://%s;127.0.0.1:%d", sources[i], port_of(endpoint));
        CONNECT(s, address);
        for (int k = 0; k < 2; k++)
            EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
        CLOSE(mon);
    }
    CHECK(!raw_readable(listener));
}

// Whoever binds has no use for one, but it must be one.
TEST(tcp_bind_with_a_source_address) {
    static const char *const good[] = {"tcp://127.0.0.1:0;127.0.0.1:*", "tcp://*:*;127.0.0.1:*",
                                       "tcp://lo:0;lo:*"};
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (int i = 0; i < 3; i++)
        CHECK(strncmp(BIND_ADDRESS(s, good[i]), "tcp://127.0.0.1:", 16) == 0);
    static const char *const bad[] = {"tcp://x;127.0.0.1:*", "tcp://;127.0.0.1:*",
                                      "tcp://127.0.0.1;127.0.0.1:*", "tcp://127.0.0.1:*;"};
    for (int i = 0; i < 4; i++)
        CHECK_ERRNO(zmq_bind(s, bad[i]), EINVAL);
    CHECK_ERRNO(zmq_bind(s, "tcp://localhost:0;127.0.0.1:*"), ENODEV);
}

TEST(tcp_ipv6) {
    if (!has_ipv6())
        skip("no IPv6");
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(a, ZMQ_IPV6, 1);
    SET_INT(b, ZMQ_IPV6, 1);
    const char *endpoint = BIND(a, "tcp6");
    CHECK(strncmp(endpoint, "tcp://[::1]:", 12) == 0);
    CONNECT(b, endpoint);
    BOUNCE(a, b);
}

TEST(tcp_ipv6_takes_ipv4_too) {
    if (!has_ipv6())
        skip("no IPv6");
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR), *c = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(a, ZMQ_IPV6, 1);
    SET_INT(c, ZMQ_IPV6, 1);
    const char *endpoint = BIND_ADDRESS(a, "tcp://*:*");
    CHECK(strncmp(endpoint, "tcp://[::]:", 11) == 0);
    char address[64];
    snprintf(address, sizeof address, "tcp://127.0.0.1:%d", port_of(endpoint));
    CONNECT(b, address);
    BOUNCE(a, b);
    endpoint = BIND_ADDRESS(c, "tcp://127.0.0.1:*");
    CHECK(strncmp(endpoint, "tcp://[::ffff:127.0.0.1]:", 25) == 0);
}

TEST(tcp_connect_to_ipv4_with_ipv6_on) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(b, ZMQ_IPV6, 1);
    CONNECT(b, BIND(a, "tcp"));
    BOUNCE(a, b);
}

// What is set on the sockets of the kernel, on both sides.
TEST(tcp_kernel_options) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    void *both[] = {a, b}, *mons[2];
    for (int i = 0; i < 2; i++) {
        SET_INT(both[i], ZMQ_TCP_KEEPALIVE, 1);
        SET_INT(both[i], ZMQ_TCP_KEEPALIVE_IDLE, 60);
        SET_INT(both[i], ZMQ_TCP_KEEPALIVE_CNT, 3);
        SET_INT(both[i], ZMQ_TCP_KEEPALIVE_INTVL, 5);
        SET_INT(both[i], ZMQ_TCP_MAXRT, 5000);
        SET_INT(both[i], ZMQ_TOS, 0x28);
        mons[i] = MONITOR(both[i], ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CONNECTED | ZMQ_EVENT_LISTENING);
    }
    CONNECT(b, BIND(a, "tcp"));
    const int listening = EXPECT_EVENT(mons[0], ZMQ_EVENT_LISTENING).value;
    BOUNCE(a, b);
    const int fds[] = {EXPECT_EVENT(mons[0], ZMQ_EVENT_ACCEPTED).value,
                       EXPECT_EVENT(mons[1], ZMQ_EVENT_CONNECTED).value};
    static const struct {
        int level, option, value;
    } rows[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},       {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},     {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_KEEPINTVL, 5},     {IPPROTO_TCP, TCP_USER_TIMEOUT, 5000},
        {IPPROTO_IP, IP_TOS, 0x28},
    };
    int value;
    socklen_t size = sizeof value;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int k = 0; k < 2; k++) {
            CHECK_OK(getsockopt(fds[k], rows[i].level, rows[i].option, &value, &size));
            CHECK_EQ(value, rows[i].value);
        }
    CHECK_OK(getsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &value, &size));
    CHECK_EQ(value, 1);
}

// The three about keepalive need ZMQ_TCP_KEEPALIVE: -1 leaves all to the system, 0 does not.
TEST(tcp_keepalive_off) {
    int usual, value, plain = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof value;
    CHECK_OK(getsockopt(plain, IPPROTO_TCP, TCP_KEEPIDLE, &usual, &size));
    for (int keepalive = -1; keepalive <= 0; keepalive++) {
        void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
        SET_INT(b, ZMQ_TCP_KEEPALIVE, keepalive);
        SET_INT(b, ZMQ_TCP_KEEPALIVE_IDLE, 60);
        void *mon = MONITOR(b, ZMQ_EVENT_CONNECTED);
        CONNECT(b, BIND(a, "tcp"));
        const int fd = EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED).value;
        CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size));
        CHECK_EQ(value, 0);
        CHECK_OK(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &size));
        CHECK_EQ(value, keepalive == -1 ? usual : 60);
    }
    close(plain);
}

TEST(tcp_traffic_class_of_ipv6) {
    if (!has_ipv6())
        skip("no IPv6");
    void *both[] = {NEW_SOCKET(ZMQ_PAIR), NEW_SOCKET(ZMQ_PAIR)}, *mons[2];
    for (int i = 0; i < 2; i++) {
        SET_INT(both[i], ZMQ_IPV6, 1);
        SET_INT(both[i], ZMQ_TOS, i ? 0x58 : 0x28);
        mons[i] = MONITOR(both[i], i ? ZMQ_EVENT_CONNECTED : ZMQ_EVENT_ACCEPTED);
    }
    CONNECT(both[1], BIND(both[0], "tcp6"));
    for (int i = 0; i < 2; i++) {
        int value;
        socklen_t size = sizeof value;
        CHECK_OK(getsockopt(NEXT_EVENT(mons[i]).value, IPPROTO_IPV6, IPV6_TCLASS, &value, &size));
        CHECK_EQ(value, i ? 0x58 : 0x28);
    }
}

TEST(tcp_backlog) {
    static const int lengths[] = {100, 7, 1};
    for (int i = 0; i < 3; i++) {
        void *s = NEW_SOCKET(ZMQ_PAIR);
        if (i > 0)
            SET_INT(s, ZMQ_BACKLOG, lengths[i]);
        void *mon = MONITOR(s, ZMQ_EVENT_LISTENING);
        BIND(s, "tcp");
        // Of a listening socket that is where Linux tells it.
        struct tcp_info info = {0};
        socklen_t size = sizeof info;
        CHECK_OK(getsockopt(EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING).value, IPPROTO_TCP, TCP_INFO,
                            &info, &size));
        CHECK_EQ(info.tcpi_sacked, lengths[i]);
        CLOSE(mon);
    }
}

TEST(tcp_ipv6_listens_for_both) {
    if (!has_ipv6())
        skip("no IPv6");
    void *s = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(s, ZMQ_IPV6, 1);
    void *mon = MONITOR(s, ZMQ_EVENT_LISTENING);
    BIND_ADDRESS(s, "tcp://*:*");
    int value = -1;
    socklen_t size = sizeof value;
    CHECK_OK(getsockopt(EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING).value, IPPROTO_IPV6, IPV6_V6ONLY,
                        &value, &size));
    CHECK_EQ(value, 0);
}

// ---- LAST_ENDPOINT -----------------------------------------------------------------------------

TEST(last_endpoint_follows_bind_and_connect) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    const char *bound = BIND(s, "tcp");
    CONNECT(s, "tcp://127.0.0.1:9");
    CHECK_STR(LAST_ENDPOINT(s), "tcp://127.0.0.1:9");
    CONNECT(s, "tcp://localhost:9");
    CHECK_STR(LAST_ENDPOINT(s), "tcp://localhost:9");
    CHECK_OK(zmq_bind(s, "inproc://name"));
    CHECK_STR(LAST_ENDPOINT(s), "inproc://name");
    CHECK_OK(zmq_bind(s, "ipc://file"));
    CHECK_STR(LAST_ENDPOINT(s), "ipc://file");
    CONNECT(s, "inproc://other");
    CHECK_STR(LAST_ENDPOINT(s), "inproc://other");
    CHECK_OK(zmq_unbind(s, bound));
    CHECK_STR(LAST_ENDPOINT(s), "inproc://other");
    CHECK_ERRNO(zmq_bind(s, "inproc://name"), EADDRINUSE);
    CHECK_STR(LAST_ENDPOINT(s), "inproc://other");
}

TEST(last_endpoint_stays_after_unbind) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    const char *bound = BIND(s, "tcp");
    CHECK_OK(zmq_unbind(s, bound));
    CHECK_STR(LAST_ENDPOINT(s), bound);
}

TEST(last_endpoint_buffer) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_OK(zmq_bind(s, "inproc://ab"));
    char buffer[32];
    size_t size = 11;
    CHECK_ERRNO(zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, buffer, &size), EINVAL);
    size = 12;
    CHECK_OK(zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, buffer, &size));
    CHECK_EQ(size, 12);
    memset(buffer, 0xee, sizeof buffer);
    size = sizeof buffer;
    CHECK_OK(zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, buffer, &size));
    CHECK_BYTES(buffer, size, "inproc://ab", 12);
    for (size_t i = size; i < sizeof buffer; i++)
        CHECK_EQ(buffer[i], 0);
}

// ---- unbind and disconnect ---------------------------------------------------------------------

TEST_EACH(unbind_twice, EACH_TRANSPORT) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(s, transport);
    CHECK_OK(zmq_unbind(s, endpoint));
    CHECK_ERRNO(zmq_unbind(s, endpoint), ENOENT);
}

TEST_EACH(disconnect_twice, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_DEALER), *b = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(a, transport);
    CONNECT(b, endpoint);
    CHECK_OK(zmq_disconnect(b, endpoint));
    CHECK_ERRNO(zmq_disconnect(b, endpoint), ENOENT);
    CHECK_ERRNO(zmq_unbind(b, endpoint), ENOENT);
}

TEST(unbind_and_disconnect_are_the_same) {
    void *a = NEW_SOCKET(ZMQ_DEALER), *b = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(a, "tcp");
    CONNECT(b, endpoint);
    CHECK_OK(zmq_unbind(b, endpoint));
    CHECK_OK(zmq_disconnect(a, endpoint));
}

TEST(unbind_of_a_wildcard_text) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND_ADDRESS(s, "tcp://*:*");
    char text[32];
    snprintf(text, sizeof text, "tcp://*:%d", port_of(endpoint));
    CHECK_ERRNO(zmq_unbind(s, text), ENOENT);
    CHECK_ERRNO(zmq_unbind(s, "tcp://*:*"), ENOENT);
    CHECK_OK(zmq_unbind(s, endpoint));
}

TEST(unbind_by_a_name) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    char text[64];
    snprintf(text, sizeof text, "tcp://localhost:%d", port_of(BIND(s, "tcp")));
    CHECK_OK(zmq_unbind(s, text));
}

// Only a name that could be connected to.
TEST(unbind_by_an_interface) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND_ADDRESS(s, "tcp://lo:*");
    char text[64];
    snprintf(text, sizeof text, "tcp://lo:%d", port_of(endpoint));
    CHECK_ERRNO(zmq_unbind(s, text), ENOENT);
    CHECK_OK(zmq_unbind(s, endpoint));
}

TEST(disconnect_by_the_text_of_connect) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CONNECT(s, "tcp://localhost:9");
    CHECK_OK(zmq_disconnect(s, "tcp://localhost:9"));
    CHECK_ERRNO(zmq_disconnect(s, "tcp://localhost:9"), ENOENT);
}

// What is not found as it stands is looked up, as one would connect to it; names of interfaces are
// none of those. A connection is known by the text it was made with.
TEST(disconnect_by_another_text) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    static const char *const texts[] = {"tcp://localhost:9", "tcp://[127.0.0.1]:9", "tcp://127.0.0.1:09"};
    for (int i = 0; i < 3; i++) {
        CONNECT(s, "tcp://127.0.0.1:9");
        CHECK_OK(zmq_disconnect(s, texts[i]));
        CHECK_ERRNO(zmq_disconnect(s, "tcp://127.0.0.1:9"), ENOENT);
        CONNECT(s, texts[i]);
        CHECK_ERRNO(zmq_disconnect(s, "tcp://127.0.0.1:9"), ENOENT);
        CHECK_OK(zmq_disconnect(s, texts[i]));
    }
    CONNECT(s, "tcp://127.0.0.1:0;127.0.0.1:9");
    CHECK_ERRNO(zmq_disconnect(s, "tcp://127.0.0.1:9"), ENOENT);
    static const char *const none[] = {"tcp://nobody.invalid:9", "tcp://127.0.0.1:x", "tcp://127.0.0.1",
                                       "tcp://127.0.0.1:*", "tcp://a b:9", "ws://nothing", "ipc://@"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        CHECK_ERRNO(zmq_disconnect(s, none[i]), ENOENT);
}

TEST(disconnect_of_what_is_not_connected) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_ERRNO(zmq_disconnect(s, "tcp://127.0.0.1:9"), ENOENT);
    CHECK_ERRNO(zmq_disconnect(s, "ipc://none"), ENOENT);
    CHECK_ERRNO(zmq_disconnect(s, "inproc://none"), ENOENT);
}

TEST_EACH(unbind_closes_accepted_connections, EACH_STREAM, "ws") {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    const char *endpoint = BIND(a, transport);
    CONNECT(b, endpoint);
    BOUNCE(a, b);
    void *mon = MONITOR(b, ZMQ_EVENT_DISCONNECTED);
    CHECK_OK(zmq_unbind(a, endpoint));
    struct event event;
    WAIT_DRIVING(a, event_within(mon, &event, 1));
    CHECK_EQ(event.event, ZMQ_EVENT_DISCONNECTED);
    WAIT_UNTIL(!TRY_SEND(a, "x"));
}

TEST(unbind_of_inproc_leaves_the_pipes) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    const char *endpoint = BIND(a, "inproc");
    CONNECT(b, endpoint);
    CHECK_OK(zmq_unbind(a, endpoint));
    BOUNCE(a, b);
}

TEST_EACH(disconnect_ends_delivery, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(pull, transport);
    CONNECT(push, endpoint);
    SEND(push, "before");
    EXPECT(pull, "before");
    CHECK_OK(zmq_disconnect(push, endpoint));
    CHECK_ERRNO(zmq_send(push, "after", 5, ZMQ_DONTWAIT), EAGAIN);
    // And it can be connected again.
    CONNECT(push, endpoint);
    SEND(push, "again");
    EXPECT(pull, "again");
}

TEST_EACH(two_connections_to_one_endpoint, EACH_STREAM, "ws") {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    const char *endpoint = BIND(pull, transport);
    void *mon = MONITOR(pull, ZMQ_EVENT_ACCEPTED);
    CONNECT(push, endpoint);
    CONNECT(push, endpoint);
    EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    // One disconnect ends both.
    CHECK_OK(zmq_disconnect(push, endpoint));
    CHECK_ERRNO(zmq_disconnect(push, endpoint), ENOENT);
}

// These types connect to an endpoint once, however often they are told to.
TEST_EACH(dealer_sub_pub_req_connect_once, EACH_STREAM, "ws") {
    static const int types[] = {ZMQ_DEALER, ZMQ_SUB, ZMQ_PUB, ZMQ_REQ};
    static const int peers[] = {ZMQ_DEALER, ZMQ_PUB, ZMQ_SUB, ZMQ_REP};
    for (int i = 0; i < 4; i++) {
        void *server = NEW_SOCKET(peers[i]), *client = NEW_SOCKET(types[i]);
        const char *endpoint = BIND(server, transport);
        void *mon = MONITOR(server, ZMQ_EVENT_ACCEPTED);
        CONNECT(client, endpoint);
        EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
        CONNECT(client, endpoint);
        struct event event;
        CHECK(!event_within(mon, &event, ABSENCE_MS));
        CLOSE(mon);
    }
}

// It is the text that counts.
TEST(another_text_is_another_connection) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(router, "tcp");
    char text[64];
    void *mon = MONITOR(router, ZMQ_EVENT_ACCEPTED);
    snprintf(text, sizeof text, "tcp://localhost:%d", port_of(endpoint));
    for (int i = 0; i < 2; i++) {
        CONNECT(dealer, endpoint);
        CONNECT(dealer, text);
    }
    EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    struct event event;
    CHECK(!event_within(mon, &event, ABSENCE_MS));
}

// Over inproc every zmq_connect is a connection.
TEST(inproc_connects_as_often_as_told) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(router, "inproc");
    CONNECT(dealer, endpoint);
    CONNECT(dealer, endpoint);
    struct frame ids[2];
    for (int i = 0; i < 2; i++) {
        SEND(dealer, "in turn");
        ids[i] = RECV(router);
        EXPECT(router, "in turn");
    }
    CHECK(memcmp(ids[0].data, ids[1].data, 5) != 0);
    // One disconnect ends both.
    CHECK_OK(zmq_disconnect(dealer, endpoint));
    CHECK_ERRNO(zmq_send(dealer, "x", 1, ZMQ_DONTWAIT), EAGAIN);
}

// What these types have bound they do not connect to.
TEST_EACH(what_is_bound_is_not_connected, EACH_STREAM) {
    void *dealer = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(dealer, transport);
    void *mon = MONITOR(dealer, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CONNECTED);
    CONNECT(dealer, endpoint);
    EXPECT_NOTHING(mon);
}

// What was received and not read goes with a connection that is taken back.
TEST_EACH(disconnect_discards_what_is_unread, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(push, transport);
    CONNECT(pull, endpoint);
    SEND(push, "read");
    SEND(push, "unread");
    EXPECT(pull, "read");
    WAIT_EVENTS(pull, ZMQ_POLLIN);
    CHECK_OK(zmq_disconnect(pull, endpoint));
    EXPECT_NOTHING(pull);
}

// A session that ends by itself takes its endpoint along, unless the peer broke the protocol.
TEST(endpoints_of_dead_sessions) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH), *req = NEW_SOCKET(ZMQ_REQ);
    const char *endpoint = BIND(pull, "tcp");
    SET_INT(push, ZMQ_RECONNECT_IVL, -1);
    CONNECT(push, endpoint);
    SEND(push, "hello");
    EXPECT(pull, "hello");
    void *mon = MONITOR(req, ZMQ_EVENT_DISCONNECTED);
    CONNECT(req, endpoint);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    // No second connection, dead as it is.
    CONNECT(req, endpoint);
    EXPECT_NOTHING(mon);
    CHECK_OK(zmq_disconnect(req, endpoint));
    CHECK_ERRNO(zmq_disconnect(req, endpoint), ENOENT);
    void *of_push = MONITOR(push, ZMQ_EVENT_DISCONNECTED);
    CLOSE(pull);
    EXPECT_EVENT(of_push, ZMQ_EVENT_DISCONNECTED);
    WAIT_DRIVING(push, zmq_disconnect(push, endpoint) == -1);
    CHECK_EQ(errno, ENOENT);
}

// ---- ipc ---------------------------------------------------------------------------------------

TEST(ipc_path) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_bind(a, "ipc://a-file"));
    struct stat status;
    CHECK_OK(stat("a-file", &status));
    CHECK(S_ISSOCK(status.st_mode));
    CONNECT(b, "ipc://a-file");
    BOUNCE(a, b);
}

TEST(ipc_path_length) {
    void *s = NEW_SOCKET(ZMQ_PAIR);
    char endpoint[256];
    snprintf(endpoint, sizeof endpoint, "ipc://%0107d", 7);
    CHECK_OK(zmq_bind(s, endpoint));
    CHECK_OK(zmq_connect(s, endpoint));
    snprintf(endpoint, sizeof endpoint, "ipc://%0108d", 7);
    CHECK_ERRNO(zmq_bind(s, endpoint), ENAMETOOLONG);
    CHECK_ERRNO(zmq_connect(s, endpoint), ENAMETOOLONG);
}

TEST(ipc_missing_directory) {
    CHECK_ERRNO(zmq_bind(NEW_SOCKET(ZMQ_PAIR), "ipc://no/such/directory"), ENOENT);
}

// A directory is not replaced.
TEST(ipc_paths_that_cannot_be) {
    void *s = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(mkdir("directory", 0700));
    static const char *const directories[] = {"ipc://directory", "ipc://directory/", "ipc://.", "ipc:///"};
    for (int i = 0; i < 4; i++)
        CHECK_ERRNO(zmq_bind(s, directories[i]), EADDRINUSE);
    CHECK_OK(zmq_bind(s, "ipc://a-file"));
    CHECK_ERRNO(zmq_bind(s, "ipc://a-file/b"), ENOTDIR);
    CHECK_STR(LAST_ENDPOINT(s), "ipc://a-file");
}

TEST(ipc_bind_replaces_the_file) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR), *c = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_bind(a, "ipc://a-file"));
    CHECK_OK(zmq_bind(b, "ipc://a-file"));
    CONNECT(c, "ipc://a-file");
    BOUNCE(b, c);
}

TEST(ipc_bind_replaces_any_file) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    int fd = open("a-file", O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0);
    close(fd);
    CHECK_OK(zmq_bind(a, "ipc://a-file"));
    CONNECT(b, "ipc://a-file");
    BOUNCE(a, b);
}

TEST(ipc_connect_takes_a_star_as_it_is) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, "ipc://*");
    CHECK_STR(LAST_ENDPOINT(b), "ipc://*");
    // Only a star in front is a wildcard.
    CHECK_STR(BIND_ADDRESS(a, "ipc://a*"), "ipc://a*");
}

TEST(ipc_file_stays_after_close) {
    void *s = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_bind(s, "ipc://a-file"));
    END_CONTEXT();
    CHECK_OK(access("a-file", F_OK));
    s = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_bind(s, "ipc://a-file"));
}

TEST(ipc_wildcard) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR), *c = NEW_SOCKET(ZMQ_PAIR);
    const char *first = BIND_ADDRESS(a, "ipc://*"), *second = BIND_ADDRESS(b, "ipc://*");
    CHECK(strncmp(first, "ipc://", 6) == 0);
    CHECK(strcmp(first, second) != 0);
    CHECK_OK(access(first + 6, F_OK));
    CONNECT(c, first);
    BOUNCE(a, c);
    char *path = strdup(first + 6);
    END_CONTEXT();
    CHECK_ERRNO(access(path, F_OK), ENOENT);
    char *slash = strrchr(path, '/');
    CHECK(slash != NULL);
    *slash = '\0';
    CHECK_ERRNO(access(path, F_OK), ENOENT);
}

// Whatever follows the star; zmq_unbind removes file and directory.
TEST(ipc_wildcard_and_more) {
    void *s = NEW_SOCKET(ZMQ_PAIR);
    static const char *const wild[] = {"ipc://*", "ipc://*.sock", "ipc://**"};
    for (int i = 0; i < 3; i++) {
        const char *endpoint = BIND_ADDRESS(s, wild[i]);
        CHECK(strncmp(endpoint, "ipc://tmp", 9) == 0);
        char *path = strdup(endpoint + 6);
        CHECK_OK(access(path, F_OK));
        CHECK_ERRNO(zmq_unbind(s, wild[i]), ENOENT);
        CHECK_OK(zmq_unbind(s, endpoint));
        *strrchr(path, '/') = '\0';
        WAIT_UNTIL(access(path, F_OK) != 0);
    }
}

TEST(ipc_wildcard_in_tmpdir) {
    CHECK_OK(mkdir("own", 0700));
    CHECK_OK(setenv("TMPDIR", "own", 1));
    void *s = NEW_SOCKET(ZMQ_PAIR);
    CHECK(strncmp(BIND_ADDRESS(s, "ipc://*"), "ipc://own/", 10) == 0);
    // The next of the names, when that is no directory.
    CHECK_OK(setenv("TEMPDIR", "nowhere", 1));
    CHECK_OK(setenv("TMPDIR", "nowhere", 1));
    CHECK_OK(setenv("TMP", "own", 1));
    CHECK(strncmp(BIND_ADDRESS(s, "ipc://*"), "ipc://own/", 10) == 0);
    CHECK_OK(setenv("TMP", "nowhere", 1));
    CHECK(strncmp(BIND_ADDRESS(s, "ipc://*"), "ipc://tmp", 9) == 0);
}

TEST(ipc_abstract) {
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "ipc://@zmq-test-%d", (int)getpid());
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR), *c = NEW_SOCKET(ZMQ_PAIR);
    CHECK_STR(BIND_ADDRESS(a, endpoint), endpoint);
    CHECK_ERRNO(zmq_bind(b, endpoint), EADDRINUSE);
    CONNECT(c, endpoint);
    BOUNCE(a, c);
    CHECK(access(endpoint + 6, F_OK) != 0);
    CHECK_ERRNO(zmq_bind(b, "ipc://@"), EINVAL);
    CHECK_ERRNO(zmq_connect(b, "ipc://@"), EINVAL);
}

TEST(ipc_abstract_name_length) {
    void *s = NEW_SOCKET(ZMQ_PAIR);
    char endpoint[256];
    snprintf(endpoint, sizeof endpoint, "ipc://@%0106d", (int)getpid());
    CHECK_STR(BIND_ADDRESS(s, endpoint), endpoint);
    snprintf(endpoint, sizeof endpoint, "ipc://@%0107d", (int)getpid());
    CHECK_ERRNO(zmq_bind(s, endpoint), ENAMETOOLONG);
    CHECK_ERRNO(zmq_connect(s, endpoint), ENAMETOOLONG);
}

TEST(ipc_connect_before_bind) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(b, ZMQ_RECONNECT_IVL, 10);
    CONNECT(b, "ipc://late");
    SEND(b, "early");
    CHECK_OK(zmq_bind(a, "ipc://late"));
    EXPECT(a, "early");
    BOUNCE(a, b);
}

TEST(ipc_use_fd) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "given"};
    CHECK_OK(bind(fd, (struct sockaddr *)&address, sizeof address));
    CHECK_OK(listen(fd, 5));
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(a, ZMQ_USE_FD, fd);
    CHECK_OK(zmq_bind(a, "ipc://given"));
    CONNECT(b, "ipc://given");
    BOUNCE(a, b);
}

// Its own name counts, not the one in the endpoint.
TEST_EACH(ipc_use_fd_of_another_name, "ipc://other", "ipc://*") {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "given"};
    CHECK_OK(bind(fd, (struct sockaddr *)&address, sizeof address));
    CHECK_OK(listen(fd, 5));
    void *s = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(s, ZMQ_USE_FD, fd);
    CHECK_STR(BIND_ADDRESS(s, transport), "ipc://given");
    CHECK_OK(access("given", F_OK));
    CHECK(access("other", F_OK) != 0);
    CHECK_ERRNO(zmq_unbind(s, "ipc://other"), ENOENT);
    CHECK_OK(zmq_unbind(s, "ipc://given"));
}

// ---- inproc ------------------------------------------------------------------------------------

TEST(inproc_names) {
    char longest[600] = "inproc://";
    memset(longest + 9, 'n', 500);
    const char *const names[] = {"inproc://a", "inproc://a/b", "inproc://with space", "inproc://*",
                                 "inproc://\xff\xfe", "inproc://inproc://x", longest};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR), *c = NEW_SOCKET(ZMQ_PAIR);
        CHECK_OK(zmq_bind(a, names[i]));
        CHECK_ERRNO(zmq_bind(c, names[i]), EADDRINUSE);
        CONNECT(b, names[i]);
        BOUNCE(a, b);
    }
}

TEST(inproc_name_is_free_after_unbind_and_close) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR), *c = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_bind(a, "inproc://x"));
    CHECK_OK(zmq_unbind(a, "inproc://x"));
    CHECK_OK(zmq_bind(b, "inproc://x"));
    CLOSE(b);
    WAIT_UNTIL(zmq_bind(c, "inproc://x") == 0);
}

TEST(inproc_connect_before_bind) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, "inproc://late");
    SEND(b, "early", "in parts");
    SEND(b, "second");
    CHECK_OK(zmq_bind(a, "inproc://late"));
    EXPECT(a, "early", "in parts");
    EXPECT(a, "second");
    BOUNCE(a, b);
}

TEST(inproc_several_connects_before_bind) {
    void *pull = NEW_SOCKET(ZMQ_PULL);
    for (int i = 0; i < 5; i++) {
        void *push = NEW_SOCKET(ZMQ_PUSH);
        CONNECT(push, "inproc://late");
        SEND(push, "one of five");
    }
    CHECK_OK(zmq_bind(pull, "inproc://late"));
    for (int i = 0; i < 5; i++)
        EXPECT(pull, "one of five");
    EXPECT_NOTHING(pull);
}

TEST(inproc_close_before_bind) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(push, "inproc://late");
    SEND(push, "sent and gone");
    CLOSE(push);
    CHECK_OK(zmq_bind(pull, "inproc://late"));
    EXPECT(pull, "sent and gone");
}

TEST(inproc_messages_stay_after_the_sender_closed) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(push, BIND(pull, "inproc"));
    SEND(push, "a", "b");
    SEND(push, "c");
    CLOSE(push);
    EXPECT(pull, "a", "b");
    EXPECT(pull, "c");
}

TEST(inproc_binder_gone) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, "inproc"));
    BOUNCE(a, b);
    CLOSE(a);
    WAIT_UNTIL(!TRY_SEND(b, "x"));
}

// No reconnection: the connecter stays without a peer, whoever binds the name next.
TEST(inproc_binder_gone_for_good) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR), *c = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_bind(a, "inproc://x"));
    CONNECT(b, "inproc://x");
    BOUNCE(a, b);
    CLOSE(a);
    WAIT_UNTIL(!TRY_SEND(b, "x"));
    WAIT_UNTIL(zmq_bind(c, "inproc://x") == 0);
    CHECK(!TRY_SEND(b, "x"));
    EXPECT_NOTHING(c);
}

// The thread is asked for first, the address then.
TEST(no_io_thread) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_IO_THREADS, 0));
    void *s = NEW_SOCKET(ZMQ_PAIR);
    CHECK_ERRNO(zmq_bind(s, "tcp://127.0.0.1:abc"), EMTHREAD);
    CHECK_ERRNO(zmq_connect(s, "tcp://127.0.0.1:abc"), EMTHREAD);
    CHECK_ERRNO(zmq_connect(s, "foo://a"), EPROTONOSUPPORT);
    CHECK_ERRNO(zmq_connect(s, "tcp://"), EINVAL);
}

// A name bound and connected to by one socket: the first call takes back the name, the second the
// connection.
TEST(inproc_to_oneself) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_OK(zmq_bind(s, "inproc://self"));
    CONNECT(s, "inproc://self");
    SEND(s, "to myself");
    EXPECT(s, "to myself");
    CHECK_OK(zmq_disconnect(s, "inproc://self"));
    SEND(s, "still");
    CHECK_OK(zmq_disconnect(s, "inproc://self"));
    CHECK_ERRNO(zmq_disconnect(s, "inproc://self"), ENOENT);
}

TEST(inproc_checks_no_types) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pair = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(push, BIND(pair, "inproc"));
    SEND(push, "odd");
    EXPECT(pair, "odd");
}

// Types that have nothing to say to each other: what is a command elsewhere is a message here.
TEST(inproc_subscriptions_are_messages_to_others) {
    static const int peers[] = {ZMQ_PULL, ZMQ_PAIR, ZMQ_DEALER};
    for (int i = 0; i < 3; i++) {
        void *peer = NEW_SOCKET(peers[i]), *sub = NEW_SOCKET(ZMQ_SUB);
        SET_TEXT(sub, ZMQ_SUBSCRIBE, "before");
        CONNECT(sub, BIND(peer, "inproc"));
        SET_TEXT(sub, ZMQ_SUBSCRIBE, "");
        SET_TEXT(sub, ZMQ_UNSUBSCRIBE, "before");
        EXPECT(peer, "before");
        EXPECT(peer, "");
        EXPECT(peer, "before");
        EXPECT_NOTHING(peer);
    }
    // Of another SUB they are, if it has subscribed to them.
    void *listener = NEW_SOCKET(ZMQ_SUB), *speaker = NEW_SOCKET(ZMQ_SUB);
    SET_TEXT(listener, ZMQ_SUBSCRIBE, "topic");
    CONNECT(speaker, BIND(listener, "inproc"));
    SET_TEXT(speaker, ZMQ_SUBSCRIBE, "other");
    SET_TEXT(speaker, ZMQ_SUBSCRIBE, "topic/long");
    SET_TEXT(speaker, ZMQ_UNSUBSCRIBE, "topic/long");
    EXPECT(listener, "topic/long");
    EXPECT(listener, "topic/long");
    EXPECT_NOTHING(listener);
    void *pub = NEW_SOCKET(ZMQ_PUB), *push = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(push, BIND(pub, "inproc"));
    SEND(push, "nothing to a PUB");
    SEND(pub, "nothing to a PUSH");
    CHECK_EQ(GET_INT(push, ZMQ_EVENTS), ZMQ_POLLOUT);
}

// There is no handshake, so nobody is asked for a password or a key, and no handler for anybody.
TEST(inproc_has_no_security) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR), *handler = NEW_SOCKET(ZMQ_REP);
    CHECK_OK(zmq_bind(handler, "inproc://zeromq.zap.01"));
    SET_TEXT(a, ZMQ_ZAP_DOMAIN, "domain");
    SET_INT(a, ZMQ_PLAIN_SERVER, 1);
    SET_TEXT(b, ZMQ_PLAIN_USERNAME, "user");
    // Nor are there limits of a connection, or heartbeats.
    int64_t limit = 2;
    CHECK_OK(zmq_setsockopt(a, ZMQ_MAXMSGSIZE, &limit, sizeof limit));
    SET_INT(a, ZMQ_HEARTBEAT_IVL, 1);
    SET_INT(a, ZMQ_HEARTBEAT_TIMEOUT, 1);
    CONNECT(b, BIND(a, "inproc"));
    BOUNCE(a, b);
    EXPECT_NOTHING(handler);
    BOUNCE(a, b);
}

struct racer {
    void *ctx;
    pthread_barrier_t *start;
};

static void race_connect(void *argument) {
    struct racer *racer = argument;
    void *s = NEW_SOCKET_IN(racer->ctx, ZMQ_PUSH);
    pthread_barrier_wait(racer->start);
    CONNECT(s, "inproc://race");
    SEND(s, "here");
}

TEST(inproc_bind_and_connect_race) {
    for (int round = 0; round < 20; round++) {
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, 3);
        struct racer racer = {context(), &start};
        struct thread threads[2];
        void *pull = NEW_SOCKET(ZMQ_PULL);
        for (int i = 0; i < 2; i++)
            start_thread(&threads[i], race_connect, &racer);
        pthread_barrier_wait(&start);
        CHECK_OK(zmq_bind(pull, "inproc://race"));
        EXPECT(pull, "here");
        EXPECT(pull, "here");
        for (int i = 0; i < 2; i++)
            JOIN(&threads[i]);
        END_CONTEXT();
    }
}
