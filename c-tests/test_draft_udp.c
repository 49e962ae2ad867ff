// SPDX-License-Identifier: MPL-2.0
//
// udp (zmq_udp(7)): RADIO, DISH and DGRAM, what they put on the wire, and multicast. Datagrams go
// no further than this machine.
#include "groups.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONGEST = 8192 };

static const char GROUP_OF_IPV4[] = "239.192.17.5";
static const char GROUP_OF_IPV6[] = "ff02::7a65:726f:17:5";

// ---- raw datagrams -----------------------------------------------------------------------------

// A socket bound to a port of its own on the loopback interface.
static int raw_udp(bool ipv6, int *port) {
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = ipv6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t size = ipv6 ? sizeof v6 : sizeof v4;
    if (ipv6 && fd >= 0 && bind(fd, address, size) != 0)
        skip("no IPv6");
    if (fd < 0 || (!ipv6 && bind(fd, address, size) != 0) || getsockname(fd, address, &size) != 0)
        fail("no datagram socket: %s", strerror(errno));
    *port = ntohs(ipv6 ? v6.sin6_port : v4.sin_port);
    return fd;
}

// A port nobody has bound.
static int free_port(bool ipv6) {
    int port;
    close(raw_udp(ipv6, &port));
    return port;
}

static void raw_send_to(int fd, int port, const void *data, size_t size) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    if (sendto(fd, data, size, 0, (struct sockaddr *)&address, sizeof address) != (ssize_t)size)
        fail("sendto failed: %s", strerror(errno));
}

#define RAW_SEND_TO(fd, port, text) (HERE(), raw_send_to(fd, port, text, sizeof(text) - 1))
#define RAW_EXPECT_DATAGRAM(fd, data, size) (HERE(), raw_expect_datagram(fd, data, size))

static void raw_expect_datagram(int fd, const void *data, size_t size) {
    static char buffer[70000];
    WAIT_UNTIL(raw_readable(fd));
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    check_bytes(buffer, (size_t)got, data, size, "the datagram");
}

// ---- sockets -----------------------------------------------------------------------------------

static const char *endpoint_of(char text[128], const char *host, int port) {
    snprintf(text, 128, "udp://%s:%d", host, port);
    return text;
}

// A RADIO and a DISH with this endpoint between them.
static void join_up(void *radio, void *dish, const char *bind_to, const char *connect_to) {
    CHECK_OK(zmq_bind(dish, bind_to));
    CHECK_STR(LAST_ENDPOINT(dish), reference_library() ? strchr(bind_to, '/') + 2 : bind_to);
    CONNECT(radio, connect_to);
    CHECK_STR(LAST_ENDPOINT(radio), reference_library() ? strchr(connect_to, '/') + 2 : connect_to);
    SETTLE(radio, dish);
}

// Returns once what is sent to the DGRAM socket arrives, and nothing is left of what was sent to
// find out.
static void await_bound(void *dgram, int port) {
    int own, fd = raw_udp(false, &own);
    char buffer[32];
    WAIT_UNTIL((RAW_SEND_TO(fd, port, "try"), zmq_recv(dgram, buffer, 32, ZMQ_DONTWAIT) > 0));
    CHECK_EQ(zmq_recv(dgram, buffer, sizeof buffer, 0), 3);
    RAW_SEND_TO(fd, port, "last");
    int size;
    do {
        CHECK(zmq_recv(dgram, buffer, sizeof buffer, 0) > 0);
        size = zmq_recv(dgram, buffer, sizeof buffer, 0);
    } while (size == 3);
    CHECK_EQ(size, 4);
    close(fd);
}

static void *bound_dgram(int *port) {
    char endpoint[128];
    void *s = NEW_SOCKET(ZMQ_DGRAM);
    *port = free_port(false);
    CHECK_OK(zmq_bind(s, endpoint_of(endpoint, "127.0.0.1", *port)));
    await_bound(s, *port);
    return s;
}

// ---- endpoints ---------------------------------------------------------------------------------

TEST(which_types_bind_and_connect) {
    for (int type = 0; type <= ZMQ_CHANNEL; type++) {
        void *s = zmq_socket(context(), type);
        if (!s)
            continue;
        char endpoint[128];
        endpoint_of(endpoint, "127.0.0.1", free_port(false));
        if (type != ZMQ_DISH && type != ZMQ_DGRAM)
            CHECK_ERRNO(zmq_bind(s, endpoint), ENOCOMPATPROTO);
        if (type != ZMQ_RADIO)
            CHECK_ERRNO(zmq_connect(s, endpoint), ENOCOMPATPROTO);
        CHECK_OK(zmq_close(s));
    }
}

TEST(addresses_that_cannot_be) {
    static const struct {
        const char *address;
        bool ipv6;
        int bind, connect; // the errors
    } rows[] = {
        {"127.0.0.1", false, EINVAL, EINVAL},
        {"127.0.0.1:", false, EINVAL, EINVAL},
        {"127.0.0.1:x", false, EINVAL, EINVAL},
        {":5555", false, ENODEV, EINVAL},
        {"no-such-host.invalid:5555", false, ENODEV, EINVAL},
        {"[::1]:5555", false, ENODEV, EINVAL},
        {"lo;127.0.0.1:5555", false, EINVAL, EINVAL},
        {"239.0.0.1;239.0.0.2:5555", false, EINVAL, EINVAL},
        {"nosuch0;239.0.0.1:5555", false, ENODEV, ENODEV},
        {"[::1];[ff02::1]:5555", true, ENODEV, ENODEV},
        {"127.0.0.1;[ff02::1]:5555", true, ENODEV, ENODEV},
        {"[::1];239.0.0.1:5555", true, EINVAL, EINVAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char endpoint[128];
        snprintf(endpoint, sizeof endpoint, "udp://%s", rows[i].address);
        void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
        SET_INT(dish, ZMQ_IPV6, rows[i].ipv6);
        SET_INT(radio, ZMQ_IPV6, rows[i].ipv6);
        if (zmq_bind(dish, endpoint) != -1 || errno != rows[i].bind)
            fail("binding %s: %s", endpoint, strerror(errno));
        if (zmq_connect(radio, endpoint) != -1 || errno != rows[i].connect)
            fail("connecting %s: %s", endpoint, strerror(errno));
    }
    void *radio = NEW_SOCKET(ZMQ_RADIO);
    CHECK_ERRNO(zmq_connect(radio, "udp://*:5555"), EINVAL);
    CHECK_ERRNO(zmq_connect(radio, "udp://127.0.0.1:*"), EINVAL);
}

// The thread is asked for first, the address then.
TEST(no_io_thread) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_IO_THREADS, 0));
    CHECK_ERRNO(zmq_bind(NEW_SOCKET(ZMQ_DISH), "udp://127.0.0.1:x"), EMTHREAD);
    CHECK_ERRNO(zmq_connect(NEW_SOCKET(ZMQ_RADIO), "udp://127.0.0.1:x"), EMTHREAD);
}

TEST_OURS_ONLY(binding_tells_its_errors, "it binds later and tells nobody") {
    void *dish = NEW_SOCKET(ZMQ_DISH);
    CHECK_ERRNO(zmq_bind(dish, "udp://203.0.113.1:5555"), EADDRNOTAVAIL);
    int port, fd = raw_udp(false, &port);
    char endpoint[128];
    CHECK_ERRNO(zmq_bind(dish, endpoint_of(endpoint, "127.0.0.1", port)), EADDRINUSE);
    close(fd);
    CHECK_OK(zmq_bind(dish, endpoint));
}

TEST_OURS_ONLY(wildcard_ports, "it does not tell which port") {
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
    static const char *const wild[] = {"udp://127.0.0.1:*", "udp://127.0.0.1:0"};
    for (int i = 0; i < 2; i++) {
        CHECK_OK(zmq_bind(dish, wild[i]));
        const char *endpoint = LAST_ENDPOINT(dish);
        CHECK(strncmp(endpoint, "udp://127.0.0.1:", 16) == 0 && port_of(endpoint) > 0);
        CONNECT(radio, endpoint);
        SETTLE(radio, dish);
        CHECK_OK(zmq_disconnect(radio, endpoint));
        CHECK_OK(zmq_unbind(dish, i ? endpoint : wild[i]));
        CHECK_ERRNO(zmq_unbind(dish, endpoint), ENOENT);
    }
}

TEST_OURS_ONLY(unbinding_and_disconnecting, "it forgets what it bound: ENOENT") {
    int own, fd = raw_udp(false, &own);
    int port = free_port(false);
    char endpoint[128], target[128];
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
    join_up(radio, dish, endpoint_of(endpoint, "127.0.0.1", port), endpoint);
    CONNECT(radio, endpoint_of(target, "127.0.0.1", own));
    SEND_TO(radio, "1", "");
    RAW_EXPECT_DATAGRAM(fd, "\1\x31", 2);
    CHECK_OK(zmq_disconnect(radio, target));
    CHECK_ERRNO(zmq_disconnect(radio, target), ENOENT);
    CHECK_OK(zmq_join(dish, "TV"));
    SEND_TO(radio, "TV", "2");
    EXPECT_FROM(dish, "TV", "2");
    CHECK(!raw_readable(fd));
    CHECK_OK(zmq_unbind(dish, endpoint));
    CHECK_ERRNO(zmq_unbind(dish, endpoint), ENOENT);
    SEND_TO(radio, "TV", "3");
    // The port is free again.
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    int again = socket(AF_INET, SOCK_DGRAM, 0);
    WAIT_UNTIL(bind(again, (struct sockaddr *)&address, sizeof address) == 0);
    close(again);
    close(fd);
}

TEST(no_events) {
    int port = free_port(false);
    char endpoint[128];
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
    void *of_dish = MONITOR(dish, ZMQ_EVENT_ALL), *of_radio = MONITOR(radio, ZMQ_EVENT_ALL);
    join_up(radio, dish, endpoint_of(endpoint, "127.0.0.1", port), endpoint);
    CHECK_OK(zmq_disconnect(radio, endpoint));
    struct event event;
    CHECK(!event_within(of_dish, &event, ABSENCE_MS));
    CHECK(!event_within(of_radio, &event, ABSENCE_MS));
}

// ---- RADIO and DISH ----------------------------------------------------------------------------

TEST_EACH(groups, "127.0.0.1", "[::1]", "*", "localhost") {
    const bool ipv6 = strchr(transport, ':') != NULL;
    int port = free_port(ipv6);
    char bind_to[128], connect_to[128];
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
    SET_INT(dish, ZMQ_IPV6, ipv6);
    SET_INT(radio, ZMQ_IPV6, ipv6);
    if (strcmp(transport, "localhost") == 0 && !zmq_has("draft"))
        skip("no host names");
    endpoint_of(bind_to, transport, port);
    endpoint_of(connect_to, strcmp(transport, "*") ? transport : "127.0.0.1", port);
    join_up(radio, dish, bind_to, connect_to);
    char longest[ZMQ_GROUP_MAX_LENGTH + 1];
    memset(longest, 'g', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    CHECK_OK(zmq_join(dish, "TV"));
    CHECK_OK(zmq_join(dish, longest));
    for (int i = 0; i < 200; i++) {
        SEND_TO(radio, "other", "not joined");
        SEND_TO(radio, "TV", "news");
        SEND_TO(radio, longest, "");
        SEND_TO(radio, "T", "a part of a name");
        EXPECT_FROM(dish, "TV", "news");
        EXPECT_FROM(dish, longest, "");
    }
    CHECK_OK(zmq_leave(dish, "TV"));
    SEND_TO(radio, "TV", "too late");
    SEND_TO(radio, longest, "last");
    EXPECT_FROM(dish, longest, "last");
}

TEST(a_radio_on_the_wire) {
    int ports[2], fds[2];
    char endpoint[128];
    void *radio = NEW_SOCKET(ZMQ_RADIO);
    for (int i = 0; i < 2; i++) {
        fds[i] = raw_udp(false, &ports[i]);
        CONNECT(radio, endpoint_of(endpoint, "127.0.0.1", ports[i]));
    }
    SEND_TO(radio, "TV", "news");
    SEND(radio, "no group");
    SEND_TO(radio, "only a group", "");
    // The longest there may be, and one byte more, which is dropped.
    char *body = malloc(LONGEST), *datagram = malloc(LONGEST);
    memset(body, 'x', LONGEST);
    memcpy(datagram, "\2TV", 3);
    memset(datagram + 3, 'x', LONGEST - 3);
    send_to(radio, "TV", body, LONGEST - 3, 0);
    send_to(radio, "TV", body, LONGEST - 2, 0);
    send_to(radio, "TV", body, LONGEST, 0);
    SEND_TO(radio, "TV", "last");
    for (int i = 0; i < 2; i++) {
        RAW_EXPECT_DATAGRAM(fds[i], "\2TVnews", 7);
        RAW_EXPECT_DATAGRAM(fds[i], "\0no group", 9);
        RAW_EXPECT_DATAGRAM(fds[i], "\14only a group", 13);
        RAW_EXPECT_DATAGRAM(fds[i], datagram, LONGEST);
        RAW_EXPECT_DATAGRAM(fds[i], "\2TVlast", 7);
        close(fds[i]);
    }
}

TEST(a_dish_on_the_wire) {
    int port = free_port(false), own, fd = raw_udp(false, &own);
    char endpoint[128];
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
    join_up(radio, dish, endpoint_of(endpoint, "127.0.0.1", port), endpoint);
    CHECK_OK(zmq_join(dish, "TV"));
    CHECK_OK(zmq_join(dish, ""));
    for (int i = 0; i < 3; i++) {
        RAW_SEND_TO(fd, port, "\2TVnews");
        // Shorter than they say.
        RAW_SEND_TO(fd, port, "\3TV");
        RAW_SEND_TO(fd, port, "\377TV");
        RAW_SEND_TO(fd, port, "\4othernews");
        RAW_SEND_TO(fd, port, "\0no group");
        RAW_SEND_TO(fd, port, "\2TV");
        EXPECT_FROM(dish, "TV", "news");
        EXPECT_FROM(dish, "", "no group");
        EXPECT_FROM(dish, "TV", "");
    }
    // It never answers.
    CHECK(!raw_readable(fd));
    close(fd);
}

TEST_OURS_ONLY(empty_datagrams, "it looks at the bytes of the one before") {
    int port = free_port(false), own, fd = raw_udp(false, &own);
    char endpoint[128];
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
    join_up(radio, dish, endpoint_of(endpoint, "127.0.0.1", port), endpoint);
    CHECK_OK(zmq_join(dish, ""));
    RAW_SEND_TO(fd, port, "\0a");
    RAW_SEND_TO(fd, port, "");
    RAW_SEND_TO(fd, port, "\0b");
    EXPECT_FROM(dish, "", "a");
    EXPECT_FROM(dish, "", "b");
    close(fd);
}

TEST_OURS_ONLY(long_datagrams_arrive_whole, "it cuts them off after 8192 bytes") {
    int port = free_port(false), own, fd = raw_udp(false, &own);
    char endpoint[128], *datagram = calloc(1, 60000);
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
    join_up(radio, dish, endpoint_of(endpoint, "127.0.0.1", port), endpoint);
    CHECK_OK(zmq_join(dish, ""));
    raw_send_to(fd, port, datagram, 60000);
    expect_from(dish, "", datagram + 1, 59999);
    close(fd);
}

TEST(a_dish_on_streams_and_datagrams) {
    int port = free_port(false);
    char endpoint[128];
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO), *other = NEW_SOCKET(ZMQ_RADIO);
    join_up(radio, dish, endpoint_of(endpoint, "127.0.0.1", port), endpoint);
    CONNECT(other, BIND(dish, "tcp"));
    CHECK_OK(zmq_join(dish, "TV"));
    SETTLE(other, dish);
    SEND_TO(radio, "TV", "1");
    EXPECT_FROM(dish, "TV", "1");
    SEND_TO(other, "TV", "2");
    EXPECT_FROM(dish, "TV", "2");
}

TEST(a_dish_that_is_not_read) {
    int port = free_port(false);
    char endpoint[128];
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
    SET_INT(dish, ZMQ_RCVHWM, 4);
    SET_INT(radio, ZMQ_SNDHWM, 4);
    join_up(radio, dish, endpoint_of(endpoint, "127.0.0.1", port), endpoint);
    CHECK_OK(zmq_join(dish, "TV"));
    CHECK_OK(zmq_join(dish, "end"));
    for (int i = 0; i < 5000; i++)
        SEND_TO(radio, "TV", "perhaps");
    // What was dropped is gone, what comes later arrives.
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    WAIT_UNTIL((SEND_TO(radio, "end", "end"),
                zmq_msg_recv(&message, dish, ZMQ_DONTWAIT) == 3));
    CHECK_STR(zmq_msg_group(&message), "end");
    CHECK_OK(zmq_msg_close(&message));
}

// ---- multicast ---------------------------------------------------------------------------------

// Skips the test unless datagrams to a group come back on the loopback interface.
static void need_multicast(bool ipv6) {
    // The loopback interface has no route for groups of IPv6; a network of the test's own can.
    if (ipv6 && unshare(CLONE_NEWNET) == 0 &&
        system("ip link set lo up && ip -6 route add local ff00::/8 dev lo table local") != 0)
        skip("no route for IPv6 multicast on the loopback interface");
    int in = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    int out = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    int joined, sent;
    unsigned number = if_nametoindex("lo");
    if (ipv6) {
        struct sockaddr_in6 address = {.sin6_family = AF_INET6};
        socklen_t size = sizeof address;
        struct ipv6_mreq request = {.ipv6mr_interface = number};
        inet_pton(AF_INET6, GROUP_OF_IPV6, &request.ipv6mr_multiaddr);
        bind(in, (struct sockaddr *)&address, size);
        getsockname(in, (struct sockaddr *)&address, &size);
        joined = setsockopt(in, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof request);
        setsockopt(out, IPPROTO_IPV6, IPV6_MULTICAST_IF, &number, sizeof number);
        address.sin6_addr = request.ipv6mr_multiaddr;
        sent = (int)sendto(out, "x", 1, 0, (struct sockaddr *)&address, size);
    } else {
        struct sockaddr_in address = {.sin_family = AF_INET};
        socklen_t size = sizeof address;
        struct ip_mreq request = {.imr_interface.s_addr = htonl(INADDR_LOOPBACK)};
        inet_pton(AF_INET, GROUP_OF_IPV4, &request.imr_multiaddr);
        bind(in, (struct sockaddr *)&address, size);
        getsockname(in, (struct sockaddr *)&address, &size);
        joined = setsockopt(in, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
        setsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &request.imr_interface, sizeof(struct in_addr));
        address.sin_addr = request.imr_multiaddr;
        sent = (int)sendto(out, "x", 1, 0, (struct sockaddr *)&address, size);
    }
    long long deadline = now_ms() + 500;
    while (joined == 0 && sent == 1 && !raw_readable(in) && now_ms() < deadline)
        pause_briefly();
    bool good = joined == 0 && sent == 1 && raw_readable(in);
    close(in);
    close(out);
    if (!good)
        skip("no multicast on the loopback interface");
}

static const char *multicast_endpoint(char text[128], const char *interface, int port) {
    const bool ipv6 = strcmp(interface, "lo6") == 0;
    snprintf(text, 128, ipv6 ? "udp://%s;[%s]:%d" : "udp://%s;%s:%d", ipv6 ? "lo" : interface,
             ipv6 ? GROUP_OF_IPV6 : GROUP_OF_IPV4, port);
    return text;
}

TEST_EACH(multicast, "lo", "127.0.0.1", "lo6") {
    const bool ipv6 = strcmp(transport, "lo6") == 0;
    need_multicast(ipv6);
    int port = free_port(ipv6);
    char endpoint[128];
    multicast_endpoint(endpoint, transport, port);
    void *dishes[2], *radio = NEW_SOCKET(ZMQ_RADIO);
    SET_INT(radio, ZMQ_IPV6, ipv6);
    SET_INT(radio, ZMQ_MULTICAST_HOPS, 2);
    CHECK_EQ(GET_INT(radio, ZMQ_MULTICAST_LOOP), 1);
    CONNECT(radio, endpoint);
    // Whoever joins gets it, several on one machine, too.
    for (int i = 0; i < 2; i++) {
        dishes[i] = NEW_SOCKET(ZMQ_DISH);
        SET_INT(dishes[i], ZMQ_IPV6, ipv6);
        CHECK_OK(zmq_bind(dishes[i], endpoint));
        SETTLE(radio, dishes[i]);
        CHECK_OK(zmq_join(dishes[i], "TV"));
    }
    for (int i = 0; i < 20; i++) {
        SEND_TO(radio, "TV", "news");
        EXPECT_FROM(dishes[0], "TV", "news");
        EXPECT_FROM(dishes[1], "TV", "news");
    }
    CLOSE(dishes[0]);
    SEND_TO(radio, "TV", "news");
    EXPECT_FROM(dishes[1], "TV", "news");
}

TEST_EACH_OURS_ONLY(dgram_in_a_group, "its DGRAM sends to groups as it pleases the system", "lo",
                    "lo6") {
    const bool ipv6 = strcmp(transport, "lo6") == 0;
    need_multicast(ipv6);
    int port = free_port(ipv6);
    char endpoint[128], address[64];
    multicast_endpoint(endpoint, transport, port);
    void *one = NEW_SOCKET(ZMQ_DGRAM), *other = NEW_SOCKET(ZMQ_DGRAM);
    SET_INT(one, ZMQ_IPV6, ipv6);
    SET_INT(other, ZMQ_IPV6, ipv6);
    CHECK_OK(zmq_bind(one, endpoint));
    CHECK_OK(zmq_bind(other, endpoint));
    snprintf(address, sizeof address, ipv6 ? "[%s]:%d" : "%s:%d",
             ipv6 ? GROUP_OF_IPV6 : GROUP_OF_IPV4, port);
    // There and back: each of them, and the sender too, is in the group.
    void *both[] = {one, other};
    for (int i = 0; i < 20; i++) {
        SEND(both[i % 2], address, "hello, all");
        for (int k = 0; k < 2; k++) {
            CHECK(RECV(both[k]).more);
            EXPECT(both[k], "hello, all");
        }
    }
}

TEST(bound_to_a_device) {
    int port = free_port(false);
    char endpoint[128];
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
    if (geteuid() != 0)
        skip("it takes a privilege");
    SET_TEXT(dish, ZMQ_BINDTODEVICE, "lo");
    SET_TEXT(radio, ZMQ_BINDTODEVICE, "lo");
    SET_INT(radio, ZMQ_TOS, 0x28);
    join_up(radio, dish, endpoint_of(endpoint, "127.0.0.1", port), endpoint);
}

// ---- DGRAM -------------------------------------------------------------------------------------

TEST(dgram_there_and_back) {
    int ports[2];
    char addresses[2][32];
    void *s[2];
    for (int i = 0; i < 2; i++) {
        s[i] = bound_dgram(&ports[i]);
        snprintf(addresses[i], sizeof addresses[i], "127.0.0.1:%d", ports[i]);
    }
    for (int i = 0; i < 100; i++) {
        SEND(s[0], addresses[1], "question");
        EXPECT_BYTES(s[1], addresses[0], strlen(addresses[0]) + 1, true);
        EXPECT(s[1], "question");
        // With the NUL the address came with.
        SEND_BYTES(s[1], addresses[0], strlen(addresses[0]) + 1, ZMQ_SNDMORE);
        SEND(s[1], "answer");
        EXPECT_BYTES(s[0], addresses[1], strlen(addresses[1]) + 1, true);
        EXPECT(s[0], "answer");
    }
    SEND(s[0], addresses[1], "");
    EXPECT_BYTES(s[1], addresses[0], strlen(addresses[0]) + 1, true);
    EXPECT(s[1], "");
}

TEST(dgram_on_the_wire) {
    int port, own, fd = raw_udp(false, &own);
    char address[32], *body = malloc(LONGEST);
    memset(body, 'x', LONGEST);
    void *s = bound_dgram(&port);
    snprintf(address, sizeof address, "127.0.0.1:%d", own);
    static const char *const nowhere[] = {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", ":1",
                                          "no-such-host.invalid:1", "[::1:1", "x"};
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++)
        SEND(s, nowhere[i], "dropped");
    SEND(s, address, "anything");
    SEND_BYTES(s, address, strlen(address), ZMQ_SNDMORE);
    SEND_BYTES(s, body, LONGEST, 0);
    RAW_EXPECT_DATAGRAM(fd, "anything", 8);
    RAW_EXPECT_DATAGRAM(fd, body, LONGEST);
    raw_send_to(fd, port, "\0\1\2", 3);
    EXPECT_BYTES(s, address, strlen(address) + 1, true);
    EXPECT_BYTES(s, "\0\1\2", 3, false);
    close(fd);
}

TEST(dgram_messages_have_two_parts) {
    int port;
    void *s = bound_dgram(&port);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    CHECK_EQ(GET_INT(s, ZMQ_THREAD_SAFE), 0);
    CHECK_EQ(GET_INT(s, ZMQ_EVENTS), ZMQ_POLLOUT);
    for (int i = 0; i < 3; i++) {
        CHECK_ERRNO(zmq_send(s, address, strlen(address), 0), EINVAL);
        SEND_BYTES(s, address, strlen(address), ZMQ_SNDMORE);
        CHECK_ERRNO(zmq_send(s, "x", 1, ZMQ_SNDMORE), EINVAL);
        SEND(s, "to itself");
        EXPECT_BYTES(s, address, strlen(address) + 1, true);
        EXPECT(s, "to itself");
    }
}

TEST(dgram_by_descriptor) {
    int port, own, fd = raw_udp(false, &own), ready;
    size_t size = sizeof ready;
    void *s = bound_dgram(&port);
    CHECK_OK(zmq_getsockopt(s, ZMQ_FD, &ready, &size));
    CHECK_EQ(GET_INT(s, ZMQ_EVENTS), ZMQ_POLLOUT);
    RAW_SEND_TO(fd, port, "x");
    WAIT_UNTIL(raw_readable(ready) && GET_INT(s, ZMQ_EVENTS) & ZMQ_POLLIN);
    CHECK(RECV(s).more);
    EXPECT(s, "x");
    close(fd);
}

TEST(dgram_sends_what_is_left_after_close) {
    int own, fd = raw_udp(false, &own);
    char address[32], endpoint[128];
    snprintf(address, sizeof address, "127.0.0.1:%d", own);
    void *s = zmq_socket(context(), ZMQ_DGRAM);
    CHECK_OK(zmq_bind(s, endpoint_of(endpoint, "127.0.0.1", free_port(false))));
    for (int i = 0; i < 5; i++)
        SEND(s, address, "last words");
    CHECK_OK(zmq_close(s));
    for (int i = 0; i < 5; i++)
        RAW_EXPECT_DATAGRAM(fd, "last words", 10);
    close(fd);
}

TEST_OURS_ONLY(dgram_before_and_after_its_bind, "it hangs or aborts") {
    int own, fd = raw_udp(false, &own);
    char address[32], endpoint[128];
    snprintf(address, sizeof address, "127.0.0.1:%d", own);
    void *s = NEW_SOCKET(ZMQ_DGRAM);
    endpoint_of(endpoint, "127.0.0.1", free_port(false));
    for (int i = 0; i < 2; i++) {
        CHECK_ERRNO(zmq_send(s, address, strlen(address), ZMQ_SNDMORE), EHOSTUNREACH);
        CHECK_EQ(GET_INT(s, ZMQ_EVENTS), 0);
        CHECK_OK(zmq_bind(s, endpoint));
        SEND(s, address, "x");
        RAW_EXPECT_DATAGRAM(fd, "x", 1);
        CHECK_OK(zmq_unbind(s, endpoint));
    }
    close(fd);
}

TEST_OURS_ONLY(dgram_over_ipv6, "it knows IPv4 alone") {
    int port = free_port(true), own, fd = raw_udp(false, &own);
    char address[64], from[64], endpoint[128];
    void *s = NEW_SOCKET(ZMQ_DGRAM);
    SET_INT(s, ZMQ_IPV6, 1);
    CHECK_OK(zmq_bind(s, endpoint_of(endpoint, "*", port)));
    snprintf(address, sizeof address, "[::1]:%d", port);
    SEND(s, address, "to itself");
    EXPECT_BYTES(s, address, strlen(address) + 1, true);
    EXPECT(s, "to itself");
    // IPv4 as ever.
    snprintf(from, sizeof from, "127.0.0.1:%d", own);
    RAW_SEND_TO(fd, port, "x");
    EXPECT_BYTES(s, from, strlen(from) + 1, true);
    EXPECT(s, "x");
    SEND(s, from, "y");
    RAW_EXPECT_DATAGRAM(fd, "y", 1);
    close(fd);
}

// Where it has no place, too, no message may keep a caller: an empty one is no bytes there.
TEST_OURS_ONLY(dgram_over_a_stream, "it crashes") {
    void *s = NEW_SOCKET(ZMQ_DGRAM);
    int fd = RAW_PEER(s);
    WAIT_EVENTS(s, ZMQ_POLLOUT);
    for (int i = 0; i < 3; i++)
        SEND(s, "", "");
    SEND(s, "a", "b");
    RAW_EXPECT_LITERAL(fd, "ab");
    close(fd);
}
