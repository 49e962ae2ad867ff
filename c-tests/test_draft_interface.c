// SPDX-License-Identifier: MPL-2.0
//
// Draft functions that are not about one socket type: context options of any type, pollers of
// sockets and file descriptors, monitors of the second version.
#include "harness.h"

#include <sys/socket.h>
#include <unistd.h>

// ---- zmq_ctx_set_ext, zmq_ctx_get_ext ----------------------------------------------------------

TEST(context_numbers) {
    static const int options[] = {ZMQ_IO_THREADS, ZMQ_MAX_SOCKETS, ZMQ_ZERO_COPY_RECV};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        int value = 1;
        size_t size = sizeof value;
        CHECK_OK(zmq_ctx_set_ext(context(), options[i], &value, sizeof value));
        value = -77;
        CHECK_OK(zmq_ctx_get_ext(context(), options[i], &value, &size));
        CHECK_EQ(value, 1);
        CHECK_EQ(zmq_ctx_get(context(), options[i]), 1);
        CHECK_ERRNO(zmq_ctx_set_ext(context(), options[i], &value, sizeof value - 1), EINVAL);
        size = sizeof value - 1;
        CHECK_ERRNO(zmq_ctx_get_ext(context(), options[i], &value, &size), EINVAL);
        int64_t wide = 1;
        size = sizeof wide;
        CHECK_ERRNO(zmq_ctx_set_ext(context(), options[i], &wide, sizeof wide), EINVAL);
        CHECK_ERRNO(zmq_ctx_get_ext(context(), options[i], &wide, &size), EINVAL);
        CHECK_ERRNO(zmq_ctx_set_ext(context(), options[i], &(int){-1}, sizeof(int)), EINVAL);
    }
    CHECK_ERRNO(zmq_ctx_set_ext(NULL, ZMQ_IO_THREADS, &(int){1}, sizeof(int)), EFAULT);
    CHECK_ERRNO(zmq_ctx_get_ext(NULL, ZMQ_IO_THREADS, &(int){1}, &(size_t){sizeof(int)}), EFAULT);
    CHECK_ERRNO(zmq_ctx_get_ext(context(), 999, &(int){1}, &(size_t){sizeof(int)}), EINVAL);
    CHECK_ERRNO(zmq_ctx_set_ext(context(), 999, &(int){1}, sizeof(int)), EINVAL);
}

TEST(zero_copy_recv) {
    CHECK_EQ(zmq_ctx_get(context(), ZMQ_ZERO_COPY_RECV), 1);
    CHECK_OK(zmq_ctx_set(context(), ZMQ_ZERO_COPY_RECV, 7));
    CHECK_EQ(zmq_ctx_get(context(), ZMQ_ZERO_COPY_RECV), 1);
    CHECK_OK(zmq_ctx_set(context(), ZMQ_ZERO_COPY_RECV, 0));
    CHECK_EQ(zmq_ctx_get(context(), ZMQ_ZERO_COPY_RECV), 0);
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(client, BIND(server, "tcp"));
    BOUNCE(client, server);
}

TEST(thread_name_prefix_of_letters) {
    char name[32] = "";
    size_t size = sizeof name;
    CHECK_OK(zmq_ctx_set_ext(context(), ZMQ_THREAD_NAME_PREFIX, "prefix", 6));
    CHECK_OK(zmq_ctx_get_ext(context(), ZMQ_THREAD_NAME_PREFIX, name, &size));
    CHECK_STR(name, "prefix");
    CHECK_EQ(zmq_ctx_get(context(), ZMQ_THREAD_NAME_PREFIX), 0); // no number
    // Nobody tells the length, nor writes more than the letters.
    memset(name, '_', sizeof name - 1);
    CHECK_OK(zmq_ctx_get_ext(context(), ZMQ_THREAD_NAME_PREFIX, name, &size));
    CHECK_EQ(size, sizeof name);
    CHECK_BYTES(name, 8, "prefix__", 8);
    size = 5;
    CHECK_ERRNO(zmq_ctx_get_ext(context(), ZMQ_THREAD_NAME_PREFIX, name, &size), EINVAL);
    CHECK_OK(zmq_ctx_set_ext(context(), ZMQ_THREAD_NAME_PREFIX, "seventeen letters", 16));
    // With room for an int it is one.
    int number = -77;
    CHECK_OK(zmq_ctx_set_ext(context(), ZMQ_THREAD_NAME_PREFIX, "12", 2));
    size = sizeof number;
    CHECK_OK(zmq_ctx_get_ext(context(), ZMQ_THREAD_NAME_PREFIX, &number, &size));
    CHECK_EQ(number, 12);
    CHECK_ERRNO(zmq_ctx_set_ext(context(), ZMQ_THREAD_NAME_PREFIX, "seventeen letters", 17),
                EINVAL);
    CHECK_ERRNO(zmq_ctx_set_ext(context(), ZMQ_THREAD_NAME_PREFIX, "", 0), EINVAL);
}

// ---- pollers -----------------------------------------------------------------------------------

TEST(poller_of_descriptors) {
    int ends[2], mark;
    CHECK_OK(pipe(ends));
    void *poller = zmq_poller_new();
    CHECK_OK(zmq_poller_add_fd(poller, ends[0], &mark, ZMQ_POLLIN));
    CHECK_EQ(zmq_poller_size(poller), 1);
    CHECK_ERRNO(zmq_poller_add_fd(poller, ends[0], NULL, ZMQ_POLLIN), EINVAL);
    CHECK_ERRNO(zmq_poller_modify_fd(poller, ends[1], ZMQ_POLLOUT), EINVAL);
    CHECK_ERRNO(zmq_poller_remove_fd(poller, ends[1]), EINVAL);
    zmq_poller_event_t event;
    CHECK_ERRNO(zmq_poller_wait(poller, &event, 0), EAGAIN);
    CHECK(event.socket == NULL && event.fd == -1 && event.user_data == NULL && event.events == 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_OK(zmq_poller_wait(poller, &event, DEADLINE_MS));
    CHECK(event.socket == NULL && event.fd == ends[0]);
    CHECK(event.user_data == &mark && event.events == ZMQ_POLLIN);
    CHECK_OK(zmq_poller_modify_fd(poller, ends[0], 0));
    CHECK_ERRNO(zmq_poller_wait(poller, &event, 0), EAGAIN);
    CHECK_OK(zmq_poller_modify_fd(poller, ends[0], ZMQ_POLLIN));
    CHECK_OK(zmq_poller_wait(poller, &event, DEADLINE_MS));
    CHECK_OK(zmq_poller_remove_fd(poller, ends[0]));
    CHECK_EQ(zmq_poller_size(poller), 0);
    CHECK_ERRNO(zmq_poller_add_fd(poller, -1, NULL, ZMQ_POLLIN), EBADF);
    CHECK_ERRNO(zmq_poller_modify_fd(poller, -1, ZMQ_POLLIN), EBADF);
    CHECK_ERRNO(zmq_poller_remove_fd(poller, -1), EBADF);
    CHECK_ERRNO(zmq_poller_add_fd(NULL, ends[0], NULL, ZMQ_POLLIN), EFAULT);
    CHECK_OK(zmq_poller_destroy(&poller));
    CHECK(poller == NULL);
    close(ends[0]);
    close(ends[1]);
}

TEST_EACH(poller_of_sockets_and_descriptors, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL), *idle = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    int ends[2];
    CHECK_OK(pipe(ends));
    void *poller = zmq_poller_new();
    CHECK_OK(zmq_poller_add(poller, idle, NULL, ZMQ_POLLIN));
    CHECK_OK(zmq_poller_add(poller, pull, NULL, ZMQ_POLLIN));
    CHECK_OK(zmq_poller_add_fd(poller, ends[0], NULL, ZMQ_POLLIN));
    zmq_poller_event_t events[3];
    CHECK_ERRNO(zmq_poller_wait_all(poller, events, 3, 0), EAGAIN);
    SEND(push, "x");
    CHECK_EQ(zmq_poller_wait_all(poller, events, 3, DEADLINE_MS), 1);
    CHECK(events[0].socket == pull);
    for (int i = 1; i < 3; i++)
        CHECK(events[i].socket == NULL && events[i].fd == -1 && events[i].events == 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(zmq_poller_wait_all(poller, events, 3, DEADLINE_MS), 2);
    bool socket_first = events[0].socket != NULL;
    CHECK(events[!socket_first].socket == pull && events[socket_first].fd == ends[0]);
    // As many as there is room for.
    CHECK_EQ(zmq_poller_wait_all(poller, events, 1, DEADLINE_MS), 1);
    CHECK_ERRNO(zmq_poller_wait_all(poller, events, -1, 0), EINVAL);
    CHECK_OK(zmq_poller_destroy(&poller));
    close(ends[0]);
    close(ends[1]);
}

TEST(poller_of_nothing) {
    void *poller = zmq_poller_new();
    zmq_poller_event_t events[2];
    CHECK_ERRNO(zmq_poller_wait_all(poller, events, 2, 0), EAGAIN);
    CHECK_ERRNO(zmq_poller_wait_all(poller, events, 2, -1), EFAULT);
    CHECK_OK(zmq_poller_destroy(&poller));
}

// ---- monitors ----------------------------------------------------------------------------------

static void *monitor_of(void *socket, uint64_t events, int version, int type, int reader) {
    static int number;
    char address[64];
    snprintf(address, sizeof address, "inproc://versioned-%d", number++);
    CHECK_OK(zmq_socket_monitor_versioned(socket, address, events, version, type));
    void *mon = NEW_SOCKET(reader);
    if (reader == ZMQ_SUB)
        SET_TEXT(mon, ZMQ_SUBSCRIBE, "");
    CONNECT(mon, address);
    return mon;
}

static uint64_t next_number(void *mon) {
    struct frame frame = RECV(mon);
    uint64_t number;
    CHECK_EQ(frame.size, sizeof number);
    CHECK(frame.more);
    memcpy(&number, frame.data, sizeof number);
    return number;
}

static void expect_address(void *mon, const char *address, bool more) {
    EXPECT_BYTES(mon, address, strlen(address), more);
}

TEST(versioned_monitor_types) {
    static const int types[][2] = {
        {ZMQ_PAIR, ZMQ_PAIR}, {ZMQ_PUB, ZMQ_SUB}, {ZMQ_PUSH, ZMQ_PULL}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        void *socket = NEW_SOCKET(ZMQ_PULL);
        void *mon = monitor_of(socket, ZMQ_EVENT_LISTENING | ZMQ_EVENT_MONITOR_STOPPED,
                               ZMQ_CURRENT_EVENT_VERSION, types[i][0], types[i][1]);
        const char *endpoint = BIND(socket, "tcp");
        struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING);
        CHECK_STR(event.address, endpoint);
        CHECK_OK(zmq_socket_monitor_versioned(socket, NULL, 0, ZMQ_CURRENT_EVENT_VERSION,
                                              types[i][0]));
        EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED);
    }
}

TEST(versioned_monitor_arguments) {
    void *socket = NEW_SOCKET(ZMQ_PULL);
    const char *address = "inproc://monitor";
    CHECK_ERRNO(zmq_socket_monitor_versioned(socket, address, ZMQ_EVENT_ALL_V2,
                                             ZMQ_CURRENT_EVENT_VERSION, ZMQ_PAIR),
                EINVAL);
    CHECK_ERRNO(zmq_socket_monitor_versioned(socket, address, ZMQ_EVENT_ALL_V1,
                                             ZMQ_CURRENT_EVENT_VERSION, ZMQ_REQ),
                EINVAL);
    CHECK_ERRNO(zmq_socket_monitor_versioned(socket, "tcp://127.0.0.1:*", ZMQ_EVENT_ALL_V1,
                                             ZMQ_CURRENT_EVENT_VERSION, ZMQ_PAIR),
                EPROTONOSUPPORT);
}

// The type is looked at once the monitor before has been stopped, the rest earlier.
TEST(versioned_monitor_refused_while_another_runs) {
    void *socket = NEW_SOCKET(ZMQ_PULL);
    void *mon = monitor_of(socket, ZMQ_EVENT_ALL, ZMQ_CURRENT_EVENT_VERSION, ZMQ_PAIR, ZMQ_PAIR);
    CHECK_ERRNO(zmq_socket_monitor_versioned(socket, "inproc://other", ZMQ_EVENT_ALL_V2,
                                             ZMQ_CURRENT_EVENT_VERSION, ZMQ_PAIR),
                EINVAL);
    BIND(socket, "tcp");
    EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING);
    CHECK_ERRNO(zmq_socket_monitor_versioned(socket, "inproc://other", ZMQ_EVENT_ALL_V1,
                                             ZMQ_CURRENT_EVENT_VERSION, ZMQ_REQ),
                EINVAL);
    EXPECT_EVENT(mon, ZMQ_EVENT_MONITOR_STOPPED);
}

TEST_OURS_ONLY(no_third_version, "it takes any version, and then reports nothing") {
    void *socket = NEW_SOCKET(ZMQ_PULL);
    CHECK_ERRNO(zmq_socket_monitor_versioned(socket, "inproc://monitor", ZMQ_EVENT_ALL,
                                             ZMQ_CURRENT_EVENT_VERSION_DRAFT + 1, ZMQ_PAIR),
                EINVAL);
}

TEST(second_version_of_events) {
    void *server = NEW_SOCKET(ZMQ_PULL), *client = NEW_SOCKET(ZMQ_PUSH);
    void *mon = monitor_of(client, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_CONNECT_DELAYED,
                           ZMQ_CURRENT_EVENT_VERSION_DRAFT, ZMQ_PAIR, ZMQ_PAIR);
    const char *endpoint = BIND(server, "tcp");
    CONNECT(client, endpoint);
    CHECK_EQ(next_number(mon), ZMQ_EVENT_CONNECT_DELAYED);
    CHECK_EQ(next_number(mon), 1);
    CHECK_EQ(next_number(mon), EINPROGRESS);
    CHECK_EQ(RECV(mon).size, 0); // it has no local address yet
    expect_address(mon, endpoint, false);
    CHECK_EQ(next_number(mon), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    CHECK_EQ(next_number(mon), 1);
    CHECK_EQ(next_number(mon), 0);
    struct frame local = RECV(mon);
    CHECK(local.size > 6 && memcmp(local.data, "tcp://", 6) == 0);
    expect_address(mon, endpoint, false);
}

struct wide_event {
    uint64_t event, value;
    struct frame local, remote;
};

static struct wide_event expect_wide(void *mon, uint64_t expected) {
    struct wide_event event = {.event = next_number(mon)};
    CHECK_EQ(event.event, expected);
    CHECK_EQ(next_number(mon), 1);
    event.value = next_number(mon);
    event.local = RECV(mon);
    CHECK(event.local.more);
    event.remote = RECV(mon);
    CHECK(!event.remote.more);
    return event;
}

static void check_addresses(struct wide_event event, const char *local, const char *remote) {
    CHECK_BYTES(event.local.data, event.local.size, local, strlen(local));
    CHECK_BYTES(event.remote.data, event.remote.size, remote, strlen(remote));
}

// Which addresses there are depends on whether there is a connection yet; what is local to one side is
// remote to the other.
TEST_EACH(second_version_on_both_sides, EACH_STREAM) {
    void *server = NEW_SOCKET(ZMQ_PULL), *client = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    void *of_server = monitor_of(server, ZMQ_EVENT_ALL, ZMQ_CURRENT_EVENT_VERSION_DRAFT, ZMQ_PAIR,
                                 ZMQ_PAIR);
    void *of_client = monitor_of(client, ZMQ_EVENT_ALL, ZMQ_CURRENT_EVENT_VERSION_DRAFT, ZMQ_PAIR,
                                 ZMQ_PAIR);
    const char *endpoint = BIND(server, transport);
    const struct wide_event listening = expect_wide(of_server, ZMQ_EVENT_LISTENING);
    check_addresses(listening, endpoint, "");
    CONNECT(client, endpoint);
    if (strcmp(transport, "tcp") == 0)
        check_addresses(expect_wide(of_client, ZMQ_EVENT_CONNECT_DELAYED), "", endpoint);
    const struct wide_event connected = expect_wide(of_client, ZMQ_EVENT_CONNECTED);
    char own[513] = "";
    memcpy(own, connected.local.data, connected.local.size);
    CHECK(strcmp(own, endpoint) != 0 && strncmp(own, endpoint, 6) == 0);
    check_addresses(connected, own, endpoint);
    check_addresses(expect_wide(of_client, ZMQ_EVENT_HANDSHAKE_SUCCEEDED), own, endpoint);
    const struct wide_event accepted = expect_wide(of_server, ZMQ_EVENT_ACCEPTED);
    check_addresses(accepted, endpoint, own);
    check_addresses(expect_wide(of_server, ZMQ_EVENT_HANDSHAKE_SUCCEEDED), endpoint, own);

    CLOSE(client);
    CHECK_EQ(expect_wide(of_client, ZMQ_EVENT_MONITOR_STOPPED).value, 0);
    struct wide_event event = expect_wide(of_server, ZMQ_EVENT_DISCONNECTED);
    check_addresses(event, endpoint, own);
    CHECK_EQ(event.value, accepted.value);
    CHECK_OK(zmq_unbind(server, endpoint));
    event = expect_wide(of_server, ZMQ_EVENT_CLOSED);
    check_addresses(event, endpoint, "");
    CHECK_EQ(event.value, listening.value);
    CLOSE(server);
    check_addresses(expect_wide(of_server, ZMQ_EVENT_MONITOR_STOPPED), "", "");
}

TEST(pipes_stats) {
    void *push = NEW_SOCKET(ZMQ_PUSH);
    CHECK_ERRNO(zmq_socket_monitor_pipes_stats(push), EINVAL);
    void *mon = monitor_of(push, ZMQ_EVENT_PIPES_STATS, ZMQ_CURRENT_EVENT_VERSION_DRAFT, ZMQ_PAIR,
                           ZMQ_PAIR);
    CHECK_ERRNO(zmq_socket_monitor_pipes_stats(push), EAGAIN);
    CONNECT(push, unused_tcp_endpoint());
    for (int i = 0; i < 3; i++)
        SEND(push, "waiting");
    CHECK_OK(zmq_socket_monitor_pipes_stats(push));
    WAIT_DRIVING(push, shows_events(mon, ZMQ_POLLIN, 0));
    CHECK_EQ(next_number(mon), ZMQ_EVENT_PIPES_STATS);
    CHECK_EQ(next_number(mon), 2);
    CHECK_EQ(next_number(mon), 3);
    CHECK_EQ(next_number(mon), 0);
    CHECK(RECV(mon).more);
    CHECK(!RECV(mon).more);
}

// One event of each peer, with its addresses and its queue.
TEST_EACH(pipes_stats_of_each_peer, EACH_STREAM) {
    enum { PEERS = 3, MARK = 5 };
    void *push = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(push, ZMQ_SNDHWM, MARK);
    void *mon = monitor_of(push, ZMQ_EVENT_PIPES_STATS, ZMQ_CURRENT_EVENT_VERSION_DRAFT, ZMQ_PAIR,
                           ZMQ_PAIR);
    const char *endpoint = BIND(push, transport);
    int fds[PEERS];
    for (int i = 0; i < PEERS; i++) {
        fds[i] = ZMTP_CONNECT(endpoint, "PULL");
        WAIT_UNTIL(TRY_SEND(push, "x") && raw_readable(fds[i]));
    }
    // One message is more than the kernel has room for.
    static char large[16 << 20];
    while (zmq_send_const(push, large, sizeof large, ZMQ_DONTWAIT) >= 0)
        continue;
    CHECK_EQ(zmq_errno(), EAGAIN);
    CHECK_OK(zmq_socket_monitor_pipes_stats(push));
    WAIT_DRIVING(push, shows_events(mon, ZMQ_POLLIN, 0));
    for (int i = 0; i < PEERS; i++) {
        CHECK_EQ(next_number(mon), ZMQ_EVENT_PIPES_STATS);
        CHECK_EQ(next_number(mon), 2);
        CHECK_BETWEEN(next_number(mon), MARK - 1, MARK);
        CHECK_EQ(next_number(mon), 0);
        expect_address(mon, endpoint, true);
        struct frame remote = RECV(mon);
        CHECK(!remote.more && remote.size >= 6 && memcmp(remote.data, endpoint, 6) == 0);
    }
    EXPECT_NOTHING(mon);
}

// ---- options -----------------------------------------------------------------------------------

TEST(loopback_fastpath) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_EQ(GET_INT(s, ZMQ_LOOPBACK_FASTPATH), 0);
    SET_INT(s, ZMQ_LOOPBACK_FASTPATH, 1);
    CHECK_EQ(GET_INT(s, ZMQ_LOOPBACK_FASTPATH), 1);
}

TEST(priority) {
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(server, ZMQ_PRIORITY, 3);
    SET_INT(client, ZMQ_PRIORITY, 4);
    void *of_server = MONITOR(server, ZMQ_EVENT_LISTENING);
    void *of_client = MONITOR(client, ZMQ_EVENT_CONNECTED);
    CONNECT(client, BIND(server, "tcp"));
    const int descriptors[] = {EXPECT_EVENT(of_server, ZMQ_EVENT_LISTENING).value,
                               EXPECT_EVENT(of_client, ZMQ_EVENT_CONNECTED).value};
    for (int i = 0; i < 2; i++) {
        int value;
        socklen_t size = sizeof value;
        CHECK_OK(getsockopt(descriptors[i], SOL_SOCKET, SO_PRIORITY, &value, &size));
        CHECK_EQ(value, 3 + i);
    }
}

// Without it an unsubscription that leaves another subscription to the topic stays here.
TEST_EACH(xsub_verbose_unsubscribe, "off", "on") {
    const bool on = strcmp(transport, "on") == 0;
    void *xsub = NEW_SOCKET(ZMQ_XSUB);
    SET_INT(xsub, ZMQ_XSUB_VERBOSE_UNSUBSCRIBE, on);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    CONNECT(xsub, endpoint);
    int fd = RAW_ACCEPT(listener);
    struct zmtp_frame ready;
    ZMTP_HANDSHAKE(fd, 0, "XPUB", &ready);
    for (int i = 0; i < 2; i++) {
        SEND(xsub, "\1a");
        ZMTP_EXPECT_LITERAL(fd, 0, "\1a");
    }
    for (int i = 0; i < 2; i++) {
        SEND_BYTES(xsub, "\0a", 2, 0);
        if (on || i == 1)
            ZMTP_EXPECT_LITERAL(fd, 0, "\0a");
    }
    RAW_EXPECT_SILENT(fd);
}

// Those of a transport that is not built in are unknown.
TEST(norm_options) {
    static const int options[] = {
        ZMQ_NORM_MODE,       ZMQ_NORM_UNICAST_NACK, ZMQ_NORM_BUFFER_SIZE,    ZMQ_NORM_SEGMENT_SIZE,
        ZMQ_NORM_BLOCK_SIZE, ZMQ_NORM_NUM_PARITY,   ZMQ_NORM_NUM_AUTOPARITY, ZMQ_NORM_PUSH,
    };
    static const int values[] = {ZMQ_NORM_FIXED, ZMQ_NORM_CC, ZMQ_NORM_CCL, ZMQ_NORM_CCE,
                                 ZMQ_NORM_CCE_ECNONLY};
    if (zmq_has("norm"))
        skip("the library has norm");
    void *s = NEW_SOCKET(ZMQ_PUB);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        for (size_t k = 0; k < sizeof values / sizeof *values; k++)
            CHECK_ERRNO(zmq_setsockopt(s, options[i], &values[k], sizeof(int)), EINVAL);
        int value;
        size_t size = sizeof value;
        CHECK_ERRNO(zmq_getsockopt(s, options[i], &value, &size), EINVAL);
    }
}

// ---- message properties ------------------------------------------------------------------------

// A message from a DEALER with a routing id.
static void receive_message(zmq_msg_t *message) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "id");
    CONNECT(dealer, BIND(router, "tcp"));
    SEND(dealer, "x");
    RECV(router);
    CHECK_OK(zmq_msg_init(message));
    CHECK_EQ(zmq_msg_recv(message, router, 0), 1);
}

TEST(names_of_properties) {
    zmq_msg_t message;
    receive_message(&message);
    CHECK_STR(zmq_msg_gets(&message, ZMQ_MSG_PROPERTY_SOCKET_TYPE), "DEALER");
    CHECK_STR(zmq_msg_gets(&message, ZMQ_MSG_PROPERTY_PEER_ADDRESS), "127.0.0.1");
    CHECK_NULL_ERRNO(zmq_msg_gets(&message, ZMQ_MSG_PROPERTY_USER_ID), EINVAL);
    CHECK_STR(zmq_msg_gets(&message, "Identity"), "id");
    CHECK_OK(zmq_msg_close(&message));
}

TEST_OURS_ONLY(routing_id_property, "the property has its old name alone") {
    zmq_msg_t message;
    receive_message(&message);
    CHECK_STR(zmq_msg_gets(&message, ZMQ_MSG_PROPERTY_ROUTING_ID), "id");
    CHECK_OK(zmq_msg_close(&message));
}
