// SPDX-License-Identifier: MPL-2.0
//
// Monitors: which events come, in which order, with which values and addresses.
#include "harness.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void make_pair(const char *transport, void **server, void **client, const char **endpoint) {
    *server = NEW_SOCKET(ZMQ_DEALER);
    *client = NEW_SOCKET(ZMQ_DEALER);
    *endpoint = BIND(*server, transport);
}

// ---- starting and stopping ---------------------------------------------------------------------

TEST(arguments) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_ERRNO(zmq_socket_monitor(s, "tcp://127.0.0.1:*", ZMQ_EVENT_ALL), EPROTONOSUPPORT);
    CHECK_ERRNO(zmq_socket_monitor(s, "ipc://file", ZMQ_EVENT_ALL), EPROTONOSUPPORT);
    CHECK_ERRNO(zmq_socket_monitor(s, "nonsense", ZMQ_EVENT_ALL), EINVAL);
    CHECK_ERRNO(zmq_socket_monitor(s, "inproc://m", 0x10000), EINVAL);
    CHECK_ERRNO(zmq_socket_monitor(s, "", ZMQ_EVENT_ALL), EINVAL);
    CHECK_ERRNO(zmq_socket_monitor(s, "inproc://", ZMQ_EVENT_ALL), EINVAL);
    CHECK_OK(zmq_socket_monitor(s, "inproc://none", 0));
    CHECK_OK(zmq_socket_monitor(s, NULL, 0));
    CHECK_OK(zmq_socket_monitor(s, NULL, 0));
    CHECK_OK(zmq_socket_monitor(s, "inproc://m", ZMQ_EVENT_ALL & ~ZMQ_EVENT_MONITOR_STOPPED));
    CHECK_OK(zmq_socket_monitor(s, NULL, 0));
    // The name is free again.
    void *other = NEW_SOCKET(ZMQ_PAIR);
    WAIT_UNTIL(zmq_bind(other, "inproc://m") == 0);
}

// What the arguments alone tell leaves the monitor before running; a name in use comes later.
TEST(refused_while_another_runs) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    CHECK_ERRNO(zmq_socket_monitor(s, "inproc://m", -1), EINVAL);
    CHECK_ERRNO(zmq_socket_monitor(s, NULL, -1), EINVAL);
    CHECK_ERRNO(zmq_socket_monitor(s, "nonsense", ZMQ_EVENT_ALL), EINVAL);
    CHECK_ERRNO(zmq_socket_monitor(s, "tcp://127.0.0.1:*", ZMQ_EVENT_ALL), EPROTONOSUPPORT);
    BIND(s, "tcp");
    EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING);
    CHECK_OK(zmq_bind(NEW_SOCKET(ZMQ_PAIR), "inproc://m"));
    CHECK_ERRNO(zmq_socket_monitor(s, "inproc://m", ZMQ_EVENT_ALL), EADDRINUSE);
    EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED);
    BIND(s, "tcp");
    EXPECT_NOTHING(mon);
}

TEST_OURS_ONLY(stopping_without_a_reader, "it waits for ever to say MONITOR_STOPPED") {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_OK(zmq_socket_monitor(s, "inproc://m", ZMQ_EVENT_ALL));
    CHECK_OK(zmq_socket_monitor(s, NULL, 0));
}

// It is a socket of the context, and has one reader.
TEST(takes_a_place) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_MAX_SOCKETS, 1));
    CHECK_ERRNO(zmq_socket_monitor(NEW_SOCKET(ZMQ_DEALER), "inproc://m", ZMQ_EVENT_ALL), EMFILE);
}

TEST(one_reader) {
    void *s = NEW_SOCKET(ZMQ_DEALER), *first = NEW_SOCKET(ZMQ_PAIR), *second = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_socket_monitor(s, "inproc://m", ZMQ_EVENT_LISTENING));
    CONNECT(first, "inproc://m");
    CONNECT(second, "inproc://m");
    for (int i = 0; i < 2; i++) {
        BIND(s, "tcp");
        EXPECT_EVENT(first, ZMQ_EVENT_LISTENING);
    }
    EXPECT_NOTHING(second);
}

TEST(address_in_use) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_OK(zmq_bind(NEW_SOCKET(ZMQ_PAIR), "inproc://m"));
    CHECK_ERRNO(zmq_socket_monitor(s, "inproc://m", ZMQ_EVENT_ALL), EADDRINUSE);
}

TEST(stopped_by_null) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    CHECK_OK(zmq_socket_monitor(s, NULL, 0));
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED);
    CHECK_EQ(event.value, 0);
    CHECK_STR(event.address, "");
}

TEST(stopped_by_another) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    void *first = MONITOR(s, ZMQ_EVENT_ALL), *second = MONITOR(s, ZMQ_EVENT_ALL);
    EXPECT_EVENT(first, ZMQ_EVENT_MONITOR_STOPPED);
    BIND(s, "tcp");
    EXPECT_EVENT(second, ZMQ_EVENT_LISTENING);
    EXPECT_NOTHING(first);
}

TEST(stopped_by_close) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(s, ZMQ_EVENT_MONITOR_STOPPED);
    CLOSE(s);
    EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED);
}

TEST(only_what_was_asked_for) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(s, ZMQ_EVENT_CLOSED);
    const char *endpoint = BIND(s, "tcp");
    CHECK_OK(zmq_unbind(s, endpoint));
    EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    CHECK_OK(zmq_socket_monitor(s, NULL, 0));
    EXPECT_NOTHING(mon);
}

TEST(nothing_about_inproc) {
    void *s = NEW_SOCKET(ZMQ_DEALER), *peer = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    CONNECT(peer, BIND(s, "inproc"));
    SEND(peer, "x");
    EXPECT(s, "x");
    CHECK_ERRNO(zmq_bind(s, LAST_ENDPOINT(s)), EADDRINUSE);
    EXPECT_NOTHING(mon);
}

// ---- sequences ---------------------------------------------------------------------------------

static bool is_open_descriptor(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST_EACH(listener, EACH_STREAM) {
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(server, ZMQ_EVENT_ALL);
    const char *endpoint = BIND(server, transport);
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING);
    CHECK_STR(event.address, endpoint);
    CHECK(is_open_descriptor(event.value));
    const int listening = event.value;

    CONNECT(client, endpoint);
    event = EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    CHECK_STR(event.address, endpoint);
    CHECK(is_open_descriptor(event.value));
    const int accepted = event.value;
    event = EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    CHECK_STR(event.address, endpoint);
    CHECK_EQ(event.value, 0);

    CLOSE(client);
    event = EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    CHECK_STR(event.address, endpoint);
    CHECK_EQ(event.value, accepted);

    CHECK_OK(zmq_unbind(server, endpoint));
    event = EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    CHECK_STR(event.address, endpoint);
    CHECK_EQ(event.value, listening);

    CLOSE(server);
    EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED);
    EXPECT_NOTHING(mon);
}

TEST(tcp_connecter) {
    void *server, *client;
    const char *endpoint;
    make_pair("tcp", &server, &client, &endpoint);
    void *mon = MONITOR(client, ZMQ_EVENT_ALL);
    SET_INT(client, ZMQ_RECONNECT_IVL, 50);
    CONNECT(client, endpoint);
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
    CHECK_EQ(event.value, EINPROGRESS);
    CHECK_STR(event.address, endpoint);
    event = EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED);
    CHECK(is_open_descriptor(event.value));
    CHECK_STR(event.address, endpoint);
    const int fd = event.value;
    event = EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    CHECK_EQ(event.value, 0);
    CHECK_STR(event.address, endpoint);
    CLOSE(server);
    event = EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    CHECK_EQ(event.value, fd);
    CHECK_STR(event.address, endpoint);
    event = EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
    CHECK_BETWEEN(event.value, 50, 99);
    CHECK_STR(event.address, endpoint);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
}

TEST(tcp_connecter_refused) {
    void *client = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = unused_tcp_endpoint();
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(client, ZMQ_EVENT_ALL);
    CONNECT(client, endpoint);
    for (int i = 0; i < 3; i++) {
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED).address, endpoint);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED).address, endpoint);
        CHECK_BETWEEN(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).value, 10, 19);
    }
}

// A connect that fails before it has begun: the descriptor is closed without a delay.
TEST(tcp_connecter_fails_at_once) {
    void *client = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(client, ZMQ_EVENT_ALL);
    // An address of nobody here to connect from.
    static const char endpoint[] = "tcp://192.0.2.1:0;127.0.0.1:1";
    CONNECT(client, endpoint);
    for (int i = 0; i < 3; i++) {
        struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
        CHECK_STR(event.address, endpoint);
        CHECK(event.value > 2);
        event = EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
        CHECK_STR(event.address, endpoint);
        CHECK_BETWEEN(event.value, 10, 19);
    }
}

// The text of the user, until a connection that came about is lost: from then on its address.
TEST(a_name_becomes_an_address) {
    static const char *const formats[] = {"tcp://localhost:%d", "tcp://127.0.0.1:0;127.0.0.1:%d"};
    for (int i = 0; i < 2; i++) {
        void *server, *client;
        const char *endpoint;
        make_pair("tcp", &server, &client, &endpoint);
        char name[64];
        snprintf(name, sizeof name, formats[i], port_of(endpoint));
        SET_INT(client, ZMQ_RECONNECT_IVL, 10);
        void *mon = MONITOR(client, ZMQ_EVENT_ALL);
        CONNECT(client, name);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED).address, name);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED).address, name);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).address, name);
        CLOSE(server);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED).address, name);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).address, endpoint);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED).address, endpoint);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED).address, endpoint);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).address, endpoint);
        server = NEW_SOCKET(ZMQ_DEALER);
        WAIT_UNTIL(zmq_bind(server, endpoint) == 0);
        CHECK_STR(AWAIT_EVENT(mon, ZMQ_EVENT_CONNECTED).address, endpoint);
        CHECK_STR(LAST_ENDPOINT(client), name);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).address, endpoint);
        CLOSE(mon);
    }
}

// Nothing to close yet: the address does not come to anything.
TEST(tcp_connecter_without_an_address) {
    static const char *const endpoints[] = {"tcp://[::1]:1", "tcp://nobody-here:0;127.0.0.1:1"};
    for (int i = 0; i < 2; i++) {
        void *client = NEW_SOCKET(ZMQ_DEALER); // IPV6 is off
        SET_INT(client, ZMQ_RECONNECT_IVL, 10);
        void *mon = MONITOR(client, ZMQ_EVENT_ALL);
        CONNECT(client, endpoints[i]);
        for (int k = 0; k < 3; k++)
            CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).address, endpoints[i]);
        CLOSE(mon);
    }
}

TEST(ipc_connecter_refused) {
    void *client = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(client, ZMQ_EVENT_ALL);
    CONNECT(client, "ipc://nobody");
    for (int i = 0; i < 3; i++) {
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED).address, "ipc://nobody");
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).address, "ipc://nobody");
    }
}

// Another path to the same file: each side calls it as it was told.
TEST(ipc_connecter_by_another_path) {
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    void *of_server = MONITOR(server, ZMQ_EVENT_ALL), *mon = MONITOR(client, ZMQ_EVENT_ALL);
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    CHECK_OK(zmq_bind(server, "ipc://a-file"));
    CONNECT(client, "ipc://./a-file");
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED).address, "ipc://./a-file");
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).address, "ipc://./a-file");
    CHECK_STR(EXPECT_EVENT(of_server, ZMQ_EVENT_LISTENING).address, "ipc://a-file");
    CHECK_STR(EXPECT_EVENT(of_server, ZMQ_EVENT_ACCEPTED).address, "ipc://a-file");
    CLOSE(of_server);
    CLOSE(server);
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED).address, "ipc://./a-file");
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).address, "ipc://./a-file");
}

// A listener whose queue is full answers nothing: the attempt ends by its time.
TEST(connect_timeout) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_OK(bind(listener, (struct sockaddr *)&address, size));
    CHECK_OK(listen(listener, 0));
    CHECK_OK(getsockname(listener, (struct sockaddr *)&address, &size));
    for (int i = 0; i < 4; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(fd, (struct sockaddr *)&address, size) != 0)
            CHECK_EQ(errno, EINPROGRESS);
    }
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    void *client = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(client, ZMQ_CONNECT_TIMEOUT, 50);
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(client, ZMQ_EVENT_ALL);
    CONNECT(client, endpoint);
    for (int i = 0; i < 2; i++) {
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED).address, endpoint);
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED).address, endpoint);
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
    }
}

// No CONNECT_DELAYED: a connection over ipc is there at once.
TEST(ipc_connecter) {
    void *server, *client;
    const char *endpoint;
    make_pair("ipc", &server, &client, &endpoint);
    void *mon = MONITOR(client, ZMQ_EVENT_ALL);
    CONNECT(client, endpoint);
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED).address, endpoint);
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED).address, endpoint);
    CLOSE(server);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
}

TEST_EACH(disconnect_says_nothing_more, EACH_STREAM) {
    void *server, *client;
    const char *endpoint;
    make_pair(transport, &server, &client, &endpoint);
    void *mon = MONITOR(client, ZMQ_EVENT_ALL);
    CONNECT(client, endpoint);
    AWAIT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    CHECK_OK(zmq_disconnect(client, endpoint));
    EXPECT_NOTHING(mon);
}

// Of the connections that end with it nothing is said either.
TEST_EACH(unbinding_and_closing_say_no_more, EACH_STREAM) {
    for (int closing = 0; closing < 2; closing++) {
        void *server, *client;
        const char *endpoint;
        make_pair(transport, &server, &client, &endpoint);
        void *mon = MONITOR(server, ZMQ_EVENT_ALL);
        CONNECT(client, endpoint);
        AWAIT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        SET_INT(client, ZMQ_RECONNECT_IVL, -1);
        if (closing)
            CLOSE(server);
        else
            CHECK_OK(zmq_unbind(server, endpoint));
        EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
        if (closing)
            EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED);
        EXPECT_NOTHING(mon);
        CLOSE(mon);
    }
}

TEST(several_connections) {
    void *server = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(server, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    const char *endpoint = BIND(server, "tcp");
    for (int i = 0; i < 5; i++) {
        CONNECT(NEW_SOCKET(ZMQ_DEALER), endpoint);
        EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
        EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    }
}

// The address without its scheme. Before that, the end of the descriptor, which with tcp has no
// address yet.
TEST(bind_failed) {
    void *first = NEW_SOCKET(ZMQ_DEALER), *second = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(first, "tcp");
    void *mon = MONITOR(second, ZMQ_EVENT_ALL);
    CHECK_EQ(zmq_bind(second, endpoint), -1);
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    CHECK(event.value > 2);
    CHECK_STR(event.address, "");
    event = EXPECT_EVENT(mon, ZMQ_EVENT_BIND_FAILED);
    CHECK_EQ(event.value, EADDRINUSE);
    CHECK_STR(event.address, endpoint + strlen("tcp://"));
    CHECK_EQ(zmq_bind(second, "ipc://no/such/directory"), -1);
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED).address, "ipc://no/such/directory");
    event = EXPECT_EVENT(mon, ZMQ_EVENT_BIND_FAILED);
    CHECK_EQ(event.value, ENOENT);
    CHECK_STR(event.address, "no/such/directory");
}

TEST(bind_failed_before_there_is_a_descriptor) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    static const struct {
        const char *endpoint;
        int error;
    } rows[] = {{"tcp://no-such-interface:5555", ENODEV},
                {"tcp://127.0.0.1", EINVAL},
                {"tcp://127.0.0.1:abc", EINVAL},
                {"ipc://@", EINVAL}};
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(zmq_bind(s, rows[i].endpoint), -1);
        struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_BIND_FAILED);
        CHECK_EQ(event.value, rows[i].error);
        CHECK_STR(event.address, rows[i].endpoint + 6);
    }
    // Not even an address of a transport.
    CHECK_EQ(zmq_bind(s, "foo://a"), -1);
    CHECK_EQ(zmq_bind(s, "tcp://"), -1);
    EXPECT_NOTHING(mon);
}

// The directory of a wildcard cannot go while something else is in it.
TEST(close_failed) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    const char *endpoint = BIND(s, "ipc");
    EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING);
    char other[300];
    snprintf(other, sizeof other, "%s-too", endpoint + 6);
    int fd = open(other, O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0);
    CHECK_OK(zmq_unbind(s, endpoint));
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_CLOSE_FAILED);
    CHECK_EQ(event.value, ENOTEMPTY);
    CHECK_STR(event.address, endpoint);
    EXPECT_NOTHING(mon);
}

// Out of descriptors: the connection waits until there are some again.
TEST_OURS_ONLY(accept_failed, "it says so without a pause, until its monitor is full") {
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(server, "tcp");
    BIND(client, "tcp"); // its descriptors exist
    void *mon = MONITOR(server, ZMQ_EVENT_ACCEPT_FAILED);
    int fds[100], count = 0, raw = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 100}));
    while ((fds[count] = dup(raw)) >= 0)
        count++;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port_of(endpoint))};
    CHECK_OK(connect(raw, (struct sockaddr *)&address, sizeof address));
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPT_FAILED);
    CHECK_EQ(event.value, EMFILE);
    CHECK_STR(event.address, endpoint);
    while (count > 0)
        close(fds[--count]);
    ZMTP_HANDSHAKE(raw, 1, "DEALER", NULL);
    ZMTP_SEND_LITERAL(raw, 0, "at last");
    EXPECT(server, "at last");
}

TEST_OURS_ONLY(a_monitor_leaves_errno_alone, "sending the event overwrites it") {
    void *first = NEW_SOCKET(ZMQ_DEALER), *second = NEW_SOCKET(ZMQ_DEALER);
    const char *endpoint = BIND(first, "tcp");
    MONITOR(second, ZMQ_EVENT_ALL);
    CHECK_ERRNO(zmq_bind(second, endpoint), EADDRINUSE);
}

// ---- failures ----------------------------------------------------------------------------------

TEST_EACH(mismatched_types, EACH_STREAM) {
    void *server = NEW_SOCKET(ZMQ_PULL), *client = NEW_SOCKET(ZMQ_SUB);
    const char *endpoint = BIND(server, transport);
    void *of_server = MONITOR(server, ZMQ_EVENT_ALL & ~ZMQ_EVENT_ACCEPTED);
    void *of_client = MONITOR(client, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED |
                                          ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    SET_INT(client, ZMQ_RECONNECT_IVL, 5);
    CONNECT(client, endpoint);
    AWAIT_EVENT(of_server, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(of_client, ZMQ_EVENT_DISCONNECTED);
    struct event event;
    CHECK(!event_within(of_server, &event, ABSENCE_MS));
}

TEST(mismatched_mechanisms) {
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(client, ZMQ_PLAIN_USERNAME, "user");
    SET_TEXT(client, ZMQ_PLAIN_PASSWORD, "password");
    const char *endpoint = BIND(server, "tcp");
    void *of_server = MONITOR(server, ZMQ_EVENT_ALL), *of_client = MONITOR(client, ZMQ_EVENT_ALL);
    CONNECT(client, endpoint);
    CHECK_EQ(AWAIT_EVENT(of_server, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH);
    EXPECT_EVENT(of_server, ZMQ_EVENT_DISCONNECTED);
    CHECK_EQ(AWAIT_EVENT(of_client, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
             ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH);
    EXPECT_EVENT(of_client, ZMQ_EVENT_DISCONNECTED);
    // It does not try again.
    struct event event;
    CHECK(!event_within(of_client, &event, 300));
}

TEST(peer_closes_during_the_handshake) {
    void *server = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(server, ZMQ_EVENT_ALL);
    int fd = RAW_PEER(server);
    AWAIT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    close(fd);
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    CHECK(event.value == EPIPE || event.value == ECONNRESET);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
}

TEST(plain_without_a_handler) {
    void *server = NEW_SOCKET(ZMQ_DEALER), *client = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(server, ZMQ_PLAIN_SERVER, 1);
    SET_TEXT(client, ZMQ_PLAIN_USERNAME, "user");
    SET_TEXT(client, ZMQ_PLAIN_PASSWORD, "password");
    const char *endpoint = BIND(server, "tcp");
    void *mon = MONITOR(server, ZMQ_EVENT_ALL);
    CONNECT(client, endpoint);
    AWAIT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EFAULT);
}

TEST(stream_sockets_have_events_too) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    void *mon = MONITOR(stream, ZMQ_EVENT_ALL);
    int fd = RAW_PEER(stream);
    EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING);
    EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    close(fd);
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
}

// A monitor must not hold up what it watches, though nobody reads it: 10,000 events are kept, and as
// many as the reader's own mark allows, the oldest ones. How many were lost the last event says.

enum { KEPT = 10000, MARK = 1000 };

// One event, BIND_FAILED, with this number in its address.
static void fail_to_bind(void *s, int number) {
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:number-%d", number);
    CHECK_ERRNO(zmq_bind(s, endpoint), EINVAL);
}

static void expect_failure(void *mon, int number) {
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:number-%d", number);
    CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_BIND_FAILED).address, address);
}

TEST_OURS_ONLY(an_unread_monitor_blocks_nothing, "zmq_bind waits for ever once 1000 events wait") {
    enum { EVENTS = KEPT + MARK + 4321 };
    void *s = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(s, ZMQ_EVENT_BIND_FAILED | ZMQ_EVENT_MONITOR_STOPPED);
    for (int i = 0; i < EVENTS; i++)
        fail_to_bind(s, i);
    CHECK_OK(zmq_socket_monitor(s, NULL, 0));
    for (int i = 0; i < KEPT + MARK; i++)
        expect_failure(mon, i);
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED).value, EVENTS - KEPT - MARK);
    EXPECT_NOTHING(mon);
}

// Who reads again hears of what happens from then on.
TEST_OURS_ONLY(a_monitor_that_is_read_again, "zmq_bind waits for ever once 1000 events wait") {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(s, ZMQ_EVENT_BIND_FAILED | ZMQ_EVENT_MONITOR_STOPPED);
    for (int round = 1, number = 0; round <= 2; round++) {
        const int first = number;
        while (number < first + KEPT + MARK + round * 7)
            fail_to_bind(s, number++);
        for (int i = 0; i < KEPT + MARK; i++)
            expect_failure(mon, first + i);
        EXPECT_NOTHING(mon);
    }
    fail_to_bind(s, 99999);
    expect_failure(mon, 99999);
    CLOSE(s);
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED).value, 7 + 14);
}

// As libzmq's examples have it: first the monitor, then a thread that connects to it. libzmq waits for
// the reader with the first event.
TEST_OURS_ONLY(events_before_there_is_a_reader, "zmq_bind waits for one") {
    enum { EVENTS = KEPT + 5 };
    void *s = NEW_SOCKET(ZMQ_DEALER), *mon = NEW_SOCKET(ZMQ_PAIR);
    CHECK_OK(zmq_socket_monitor(s, "inproc://m", ZMQ_EVENT_BIND_FAILED | ZMQ_EVENT_MONITOR_STOPPED));
    for (int i = 0; i < EVENTS; i++)
        fail_to_bind(s, i);
    // It gets them although nothing more happens.
    CONNECT(mon, "inproc://m");
    for (int i = 0; i < KEPT; i++)
        expect_failure(mon, i);
    fail_to_bind(s, EVENTS);
    expect_failure(mon, EVENTS);
    // After it comes another one.
    CLOSE(mon);
    fail_to_bind(s, EVENTS + 1);
    mon = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(mon, "inproc://m");
    expect_failure(mon, EVENTS + 1);
    CHECK_OK(zmq_socket_monitor(s, NULL, 0));
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED).value, EVENTS - KEPT);
}

struct reader {
    char endpoint[32];
    _Atomic bool has_begun;
    struct thread thread;
};

static void read_events(void *argument) {
    struct reader *reader = argument;
    void *mon = zmq_socket(context(), ZMQ_PAIR);
    CHECK_OK(zmq_connect(mon, reader->endpoint));
    EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING);
    reader->has_begun = true;
    EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED);
    CHECK_OK(zmq_close(mon));
}

TEST(a_reader_that_is_started_after_its_monitor) {
    for (int i = 0; i < 20; i++) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        struct reader reader = {0};
        snprintf(reader.endpoint, sizeof reader.endpoint, "inproc://m-%d", i);
        CHECK_OK(zmq_socket_monitor(s, reader.endpoint, ZMQ_EVENT_ALL));
        start_thread(&reader.thread, read_events, &reader);
        const char *endpoint = BIND(s, "tcp");
        WAIT_UNTIL(reader.has_begun);
        CHECK_OK(zmq_unbind(s, endpoint));
        CLOSE(s);
        JOIN(&reader.thread);
    }
}

// A mark of 0 is none, here as elsewhere.
TEST_OURS_ONLY(a_reader_without_a_mark_loses_nothing,
               "its monitor has a mark of 1000 of its own, then zmq_bind waits for ever") {
    enum { EVENTS = 2 * KEPT };
    void *s = NEW_SOCKET(ZMQ_DEALER), *mon = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(mon, ZMQ_RCVHWM, 0);
    CHECK_OK(zmq_socket_monitor(s, "inproc://m", ZMQ_EVENT_BIND_FAILED | ZMQ_EVENT_MONITOR_STOPPED));
    CONNECT(mon, "inproc://m");
    for (int i = 0; i < EVENTS; i++)
        fail_to_bind(s, i);
    CHECK_OK(zmq_socket_monitor(s, NULL, 0));
    for (int i = 0; i < EVENTS; i++)
        expect_failure(mon, i);
    CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED).value, 0);
}

enum { FAILURES = 6000 };

static void fail_to_bind_often(void *s) {
    for (int i = 0; i < FAILURES; i++)
        fail_to_bind(s, i);
}

// What was read and what was lost is all there was, whoever was in time.
TEST_OURS_ONLY(what_is_lost_is_counted_while_it_is_read, "its socket belongs to one thread") {
    enum { THREADS = 3 };
    void *s = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(s, ZMQ_EVENT_BIND_FAILED | ZMQ_EVENT_MONITOR_STOPPED);
    struct thread threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        start_thread(&threads[i], fail_to_bind_often, s);
    int read = 0;
    for (; read < FAILURES / 2; read++)
        EXPECT_EVENT(mon, ZMQ_EVENT_BIND_FAILED);
    for (int i = 0; i < THREADS; i++)
        JOIN(&threads[i]);
    CHECK_OK(zmq_socket_monitor(s, NULL, 0));
    struct event event;
    while ((event = NEXT_EVENT(mon)).event == ZMQ_EVENT_BIND_FAILED)
        read++;
    CHECK_EQ(event.event, ZMQ_EVENT_MONITOR_STOPPED);
    CHECK_BETWEEN(read, KEPT + MARK, THREADS * FAILURES);
    CHECK_EQ(read + event.value, THREADS * FAILURES);
}

TEST_OURS_ONLY(started_again_under_its_name, "the name is in use for a moment") {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (int i = 0; i < 20; i++)
        CHECK_OK(zmq_socket_monitor(s, "inproc://m", ZMQ_EVENT_LISTENING));
}

// A peer that is known by the connection's address.
TEST(peer_of_the_accepted_descriptor) {
    void *server = NEW_SOCKET(ZMQ_DEALER);
    void *mon = MONITOR(server, ZMQ_EVENT_ACCEPTED);
    int fd = RAW_PEER(server);
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    struct sockaddr_in peer, own;
    socklen_t size = sizeof peer;
    CHECK_OK(getpeername(event.value, (struct sockaddr *)&peer, &size));
    CHECK_OK(getsockname(fd, (struct sockaddr *)&own, &size));
    CHECK_EQ(peer.sin_port, own.sin_port);
}
