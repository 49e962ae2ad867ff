// SPDX-License-Identifier: MPL-2.0
//
// SCATTER and GATHER, CHANNEL (RFC 49, 52), and what the socket types have in common that several
// threads may use at a time.
#include "harness.h"

#include <poll.h>

// With the type each talks to, and whether it sends and receives.
static const struct single_part {
    int type, peer;
    bool sends, receives;
} single_part[] = {
    {ZMQ_SERVER, ZMQ_CLIENT, true, true},     {ZMQ_CLIENT, ZMQ_SERVER, true, true},
    {ZMQ_GATHER, ZMQ_SCATTER, false, true},   {ZMQ_SCATTER, ZMQ_GATHER, true, false},
    {ZMQ_PEER, ZMQ_PEER, true, true},         {ZMQ_CHANNEL, ZMQ_CHANNEL, true, true},
};
enum { SINGLE_PART = sizeof single_part / sizeof *single_part };

// ---- SCATTER and GATHER ------------------------------------------------------------------------

TEST_EACH(scatter_takes_turns, EACH_TRANSPORT) {
    void *scatter = NEW_SOCKET(ZMQ_SCATTER), *gathers[3];
    for (int i = 0; i < 3; i++) {
        gathers[i] = NEW_SOCKET(ZMQ_GATHER);
        CONNECT(scatter, BIND(gathers[i], transport));
    }
    for (int i = 0; i < 12; i++)
        SEND_BYTES(scatter, &i, sizeof i, 0);
    for (int i = 0; i < 12; i++)
        EXPECT_BYTES(gathers[i % 3], &i, sizeof i, false);
}

TEST_EACH(gather_takes_from_all, EACH_TRANSPORT) {
    void *gather = NEW_SOCKET(ZMQ_GATHER), *scatters[3];
    const char *endpoint = BIND(gather, transport);
    static const char *const names[] = {"0", "1", "2"};
    for (int i = 0; i < 3; i++) {
        scatters[i] = NEW_SOCKET(ZMQ_SCATTER);
        CONNECT(scatters[i], endpoint);
        for (int k = 0; k < 5; k++)
            SEND(scatters[i], names[i]);
    }
    int seen[3] = {0};
    for (int i = 0; i < 15; i++)
        seen[RECV(gather).data[0] - '0']++;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(seen[i], 5);
    EXPECT_NOTHING(gather);
}

TEST(scatter_waits_for_room) {
    void *scatter = NEW_SOCKET(ZMQ_SCATTER), *gather = NEW_SOCKET(ZMQ_GATHER);
    CHECK_ERRNO(zmq_send(scatter, "x", 1, ZMQ_DONTWAIT), EAGAIN);
    SET_INT(scatter, ZMQ_SNDHWM, 1);
    SET_INT(gather, ZMQ_RCVHWM, 1);
    CONNECT(scatter, BIND(gather, "inproc"));
    SEND(scatter, "1");
    SEND(scatter, "2");
    CHECK_EQ(GET_INT(scatter, ZMQ_EVENTS), 0);
    CHECK_ERRNO(zmq_send(scatter, "3", 1, ZMQ_DONTWAIT), EAGAIN);
    EXPECT(gather, "1");
    EXPECT(gather, "2");
    WAIT_EVENTS(scatter, ZMQ_POLLOUT);
    SEND(scatter, "3");
    EXPECT(gather, "3");
}

TEST_EACH(large_messages, EACH_TRANSPORT) {
    void *scatter = NEW_SOCKET(ZMQ_SCATTER), *gather = NEW_SOCKET(ZMQ_GATHER);
    CONNECT(scatter, BIND(gather, transport));
    for (size_t size = 1; size < 3000000; size = size * 7 + 3) {
        char *sent = malloc(size), *received = malloc(size);
        for (size_t i = 0; i < size; i++)
            sent[i] = (char)(i * 31);
        SEND_BYTES(scatter, sent, size, 0);
        CHECK_EQ(zmq_recv(gather, received, size, 0), size);
        CHECK(memcmp(sent, received, size) == 0);
        free(sent);
        free(received);
    }
}

// ---- CHANNEL -----------------------------------------------------------------------------------

TEST_EACH(channel_both_ways, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_CHANNEL), *b = NEW_SOCKET(ZMQ_CHANNEL);
    CHECK_ERRNO(zmq_send(a, "x", 1, ZMQ_DONTWAIT), EAGAIN);
    CONNECT(b, BIND(a, transport));
    for (int i = 0; i < 5; i++) {
        SEND(b, "to a");
        SEND(b, "");
        EXPECT(a, "to a");
        EXPECT(a, "");
        SEND(a, "to b");
        EXPECT(b, "to b");
    }
}

TEST_EACH(channel_has_one_peer, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_CHANNEL), *b = NEW_SOCKET(ZMQ_CHANNEL), *c = NEW_SOCKET(ZMQ_CHANNEL);
    const char *endpoint = BIND(a, transport);
    CONNECT(b, endpoint);
    SEND(b, "first");
    EXPECT(a, "first");
    CONNECT(c, endpoint);
    zmq_send(c, "unheard", 7, ZMQ_DONTWAIT);
    EXPECT_NOTHING(a);
    SEND(a, "back");
    EXPECT(b, "back");
    EXPECT_NOTHING(c);
}

static void meet_one_after_the_other(const char *transport) {
    void *a = NEW_SOCKET(ZMQ_CHANNEL);
    const char *endpoint = BIND(a, transport);
    for (int i = 0; i < 3; i++) {
        void *b = NEW_SOCKET(ZMQ_CHANNEL);
        CONNECT(b, endpoint);
        SEND(b, "hello");
        EXPECT(a, "hello");
        SEND(a, "back");
        EXPECT(b, "back");
        CLOSE(b);
        WAIT_DRIVING(a, !(GET_INT(a, ZMQ_EVENTS) & ZMQ_POLLOUT));
    }
}

TEST_EACH(channel_takes_the_next_peer, "tcp", "ipc", "ws") { meet_one_after_the_other(transport); }

TEST_OURS_ONLY(channel_takes_the_next_peer_of_its_process, "the place may stay taken for a while") {
    meet_one_after_the_other("inproc");
}

// ---- single parts ------------------------------------------------------------------------------

TEST_EACH(several_parts_are_refused, EACH_TRANSPORT) {
    for (int i = 0; i < SINGLE_PART; i++) {
        if (!single_part[i].sends)
            continue;
        void *socket = NEW_SOCKET(single_part[i].type), *peer = NEW_SOCKET(single_part[i].peer);
        CHECK_ERRNO(zmq_send(socket, "x", 1, ZMQ_SNDMORE), EINVAL);
        CHECK_ERRNO(zmq_send(socket, "x", 1, ZMQ_SNDMORE | ZMQ_DONTWAIT), EINVAL);
        CONNECT(socket, BIND(peer, transport));
        CHECK_ERRNO(zmq_send(socket, "x", 1, ZMQ_SNDMORE), EINVAL);
        CHECK_ERRNO(zmq_send_const(socket, "x", 1, ZMQ_SNDMORE), EINVAL);
        zmq_msg_t message;
        CHECK_OK(zmq_msg_init_buffer(&message, "kept", 4));
        CHECK_ERRNO(zmq_msg_send(&message, socket, ZMQ_SNDMORE), EINVAL);
        CHECK_BYTES(zmq_msg_data(&message), zmq_msg_size(&message), "kept", 4);
        CHECK_OK(zmq_msg_close(&message));
    }
}

// Over inproc nobody looks at types.
TEST(several_parts_over_inproc_are_dropped) {
    static const int types[] = {ZMQ_SERVER, ZMQ_CLIENT, ZMQ_GATHER, ZMQ_PEER, ZMQ_CHANNEL};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        void *socket = NEW_SOCKET(types[i]), *dealer = NEW_SOCKET(ZMQ_DEALER);
        CONNECT(dealer, BIND(socket, "inproc"));
        SEND(dealer, "a", "b");
        SEND(dealer, "a", "b", "c");
        SEND(dealer, "good");
        SEND(dealer, "d", "e");
        SEND(dealer, "better");
        EXPECT(socket, "good");
        EXPECT(socket, "better");
        CHECK_ERRNO(zmq_recv(socket, NULL, 0, ZMQ_DONTWAIT), EAGAIN);
    }
}

TEST(the_wrong_direction) {
    char buffer[4];
    for (int i = 0; i < SINGLE_PART; i++) {
        void *socket = NEW_SOCKET(single_part[i].type);
        if (!single_part[i].sends) {
            CHECK_ERRNO(zmq_send(socket, "x", 1, 0), ENOTSUP);
            CHECK_ERRNO(zmq_send(socket, "x", 1, ZMQ_DONTWAIT), ENOTSUP);
        }
        if (!single_part[i].receives)
            CHECK_ERRNO(zmq_recv(socket, buffer, sizeof buffer, 0), ENOTSUP);
        else
            CHECK_ERRNO(zmq_recv(socket, buffer, sizeof buffer, ZMQ_DONTWAIT), EAGAIN);
    }
}

// ---- options -----------------------------------------------------------------------------------

TEST(thread_safe_types) {
    for (int type = ZMQ_PAIR; type <= ZMQ_CHANNEL; type++) {
        bool safe = type >= ZMQ_SERVER && type != ZMQ_DGRAM;
        void *socket = zmq_socket(context(), type);
        if (!socket) {
            CHECK_EQ(zmq_errno(), EINVAL);
            continue;
        }
        int value = -1;
        size_t size = sizeof value;
        CHECK_OK(zmq_getsockopt(socket, ZMQ_THREAD_SAFE, &value, &size));
        CHECK_EQ(value, safe);
        CHECK_OK(zmq_getsockopt(socket, ZMQ_TYPE, &value, &size));
        CHECK_EQ(value, type);
        if (safe)
            CHECK_ERRNO(zmq_getsockopt(socket, ZMQ_FD, &value, &size), EINVAL);
        else
            CHECK_OK(zmq_getsockopt(socket, ZMQ_FD, &value, &size));
        CHECK_ERRNO(zmq_setsockopt(socket, ZMQ_THREAD_SAFE, &value, sizeof value), EINVAL);
        CHECK_OK(zmq_close(socket));
    }
}

TEST(events_of_fresh_sockets) {
    for (int i = 0; i < SINGLE_PART; i++) {
        int type = single_part[i].type;
        bool always = type == ZMQ_SERVER || type == ZMQ_PEER;
        CHECK_EQ(GET_INT(NEW_SOCKET(type), ZMQ_EVENTS), always ? ZMQ_POLLOUT : 0);
    }
}

TEST(linger_defaults) {
    for (int type = ZMQ_SERVER; type <= ZMQ_CHANNEL; type++) {
        void *socket = zmq_socket(context(), type);
        CHECK_EQ(GET_INT(socket, ZMQ_LINGER), type == ZMQ_DISH ? 0 : -1);
        CHECK_OK(zmq_close(socket));
    }
}

TEST(options_of_other_types) {
    static const int options[] = {ZMQ_ROUTER_MANDATORY, ZMQ_ROUTER_NOTIFY, ZMQ_PROBE_ROUTER,
                                  ZMQ_XPUB_VERBOSE,     ZMQ_REQ_RELAXED,   ZMQ_STREAM_NOTIFY,
                                  ZMQ_XSUB_VERBOSE_UNSUBSCRIBE};
    for (int i = 0; i < SINGLE_PART; i++) {
        void *socket = NEW_SOCKET(single_part[i].type);
        for (size_t k = 0; k < sizeof options / sizeof *options; k++)
            CHECK_ERRNO(zmq_setsockopt(socket, options[k], &(int){1}, sizeof(int)), EINVAL);
        CHECK_ERRNO(zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0), EINVAL);
        CHECK_ERRNO(zmq_setsockopt(socket, ZMQ_CONNECT_ROUTING_ID, "x", 1), EINVAL);
        // Stored, without effect.
        SET_INT(socket, ZMQ_CONFLATE, 1);
        CHECK_EQ(GET_INT(socket, ZMQ_ROUTER_NOTIFY), 0);
    }
}

// ---- polling -----------------------------------------------------------------------------------

static void *connected(const struct single_part *row, const char *transport, void **peer) {
    void *socket = NEW_SOCKET(row->type);
    *peer = NEW_SOCKET(row->peer);
    CONNECT(*peer, BIND(socket, transport));
    return socket;
}

TEST_EACH(zmq_poll_on_them, EACH_TRANSPORT) {
    for (int i = 0; i < SINGLE_PART; i++) {
        if (!single_part[i].receives || single_part[i].peer == ZMQ_PEER ||
            single_part[i].peer == ZMQ_SERVER)
            continue;
        void *peer, *socket = connected(&single_part[i], transport, &peer);
        zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};
        CHECK_EQ(zmq_poll(&item, 1, 0), 0);
        CHECK_EQ(zmq_poll(&item, 1, 5), 0);
        SEND(peer, "x");
        CHECK_EQ(zmq_poll(&item, 1, DEADLINE_MS), 1);
        CHECK_EQ(item.revents, ZMQ_POLLIN);
        EXPECT(socket, "x");
        CHECK_EQ(zmq_poll(&item, 1, 0), 0);
    }
}

TEST(zmq_poll_on_a_mixture) {
    void *gather = NEW_SOCKET(ZMQ_GATHER), *scatter = NEW_SOCKET(ZMQ_SCATTER);
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(scatter, BIND(gather, "tcp"));
    CONNECT(push, BIND(pull, "tcp"));
    zmq_pollitem_t items[] = {{gather, 0, ZMQ_POLLIN, 0}, {pull, 0, ZMQ_POLLIN, 0}};
    CHECK_EQ(zmq_poll(items, 2, 0), 0);
    SEND(push, "p");
    CHECK_EQ(zmq_poll(items, 2, DEADLINE_MS), 1);
    CHECK_EQ(items[1].revents, ZMQ_POLLIN);
    SEND(scatter, "s");
    CHECK_EQ(zmq_poll(items, 1, DEADLINE_MS), 1);
    CHECK_EQ(zmq_poll(items, 2, 0), 2);
    EXPECT(gather, "s");
    EXPECT(pull, "p");
}

// Waiting for nothing is refused, for want of a time.
TEST(zmq_poll_for_nothing) {
    void *gather = NEW_SOCKET(ZMQ_GATHER);
    zmq_pollitem_t items[] = {{gather, 0, 0, 0}, {NULL, 0, 0, 0}};
    CHECK_EQ(zmq_poll(items, 1, 0), 0);
    CHECK_EQ(zmq_poll(items, 1, 5), 0);
    CHECK_ERRNO(zmq_poll(items, 1, -1), EFAULT);
    CHECK_ERRNO(zmq_poll(items, 2, -1), EFAULT);
}

// In several items, each with its own events.
TEST_OURS_ONLY(zmq_poll_on_them_twice, "it counts the socket once") {
    void *gather = NEW_SOCKET(ZMQ_GATHER), *scatter = NEW_SOCKET(ZMQ_SCATTER);
    CONNECT(scatter, BIND(gather, "inproc"));
    SEND(scatter, "x");
    zmq_pollitem_t items[] = {{gather, 0, ZMQ_POLLIN, 0}, {gather, 0, ZMQ_POLLOUT, 0},
                              {gather, 0, ZMQ_POLLIN | ZMQ_POLLOUT, 0}, {gather, 0, 0, 0}};
    CHECK_EQ(zmq_poll(items, 4, DEADLINE_MS), 2);
    CHECK_EQ(items[0].revents, ZMQ_POLLIN);
    CHECK_EQ(items[1].revents, 0);
    CHECK_EQ(items[2].revents, ZMQ_POLLIN);
    CHECK_EQ(items[3].revents, 0);
}

TEST_OURS_ONLY(zmq_ppoll_on_them, "they have no descriptor to select on") {
    void *gather = NEW_SOCKET(ZMQ_GATHER), *scatter = NEW_SOCKET(ZMQ_SCATTER);
    CONNECT(scatter, BIND(gather, "tcp"));
    zmq_pollitem_t item = {gather, 0, ZMQ_POLLIN, 0};
    CHECK_EQ(zmq_ppoll(&item, 1, 0, NULL), 0);
    SEND(scatter, "x");
    CHECK_EQ(zmq_ppoll(&item, 1, DEADLINE_MS, NULL), 1);
    CHECK_EQ(item.revents, ZMQ_POLLIN);
}

TEST_EACH(poller_on_them, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    CONNECT(client, BIND(server, transport));
    void *poller = zmq_poller_new();
    int mark;
    zmq_poller_event_t event;
    CHECK_OK(zmq_poller_add(poller, server, &mark, ZMQ_POLLIN));
    CHECK_ERRNO(zmq_poller_wait(poller, &event, 0), EAGAIN);
    SEND(client, "hello");
    CHECK_OK(zmq_poller_wait(poller, &event, DEADLINE_MS));
    CHECK(event.socket == server && event.user_data == &mark && event.events == ZMQ_POLLIN);
    EXPECT(server, "hello");
    CHECK_ERRNO(zmq_poller_wait(poller, &event, 5), EAGAIN);
    CHECK_OK(zmq_poller_modify(poller, server, ZMQ_POLLIN | ZMQ_POLLOUT));
    CHECK_OK(zmq_poller_wait(poller, &event, DEADLINE_MS));
    CHECK_EQ(event.events, ZMQ_POLLOUT);
    CHECK_OK(zmq_poller_remove(poller, server));
    CHECK_EQ(zmq_poller_size(poller), 0);
    CHECK_OK(zmq_poller_destroy(&poller));
}

static void wait_for_poller(void *poller) {
    zmq_poller_event_t event;
    CHECK_OK(zmq_poller_wait(poller, &event, -1));
    CHECK_EQ(event.events, ZMQ_POLLIN);
}

TEST_EACH(a_poller_that_waits_is_woken, EACH_TRANSPORT) {
    void *gather = NEW_SOCKET(ZMQ_GATHER), *scatter = NEW_SOCKET(ZMQ_SCATTER);
    CONNECT(scatter, BIND(gather, transport));
    void *poller = zmq_poller_new();
    CHECK_OK(zmq_poller_add(poller, gather, NULL, ZMQ_POLLIN));
    struct thread thread;
    start_thread(&thread, wait_for_poller, poller);
    WAIT_BLOCKED(&thread);
    SEND(scatter, "x");
    JOIN(&thread);
    CHECK_OK(zmq_poller_destroy(&poller));
}

static bool readable(int fd, int ms) {
    struct pollfd item = {fd, POLLIN, 0};
    return poll(&item, 1, ms) == 1;
}

TEST_EACH(descriptor_of_a_poller, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    void *pair = NEW_SOCKET(ZMQ_PAIR), *poller = zmq_poller_new();
    const char *endpoint = BIND(server, transport);
    zmq_fd_t fd = -1;
    CHECK_ERRNO(zmq_poller_fd(poller, &fd), EINVAL);
    CHECK_OK(zmq_poller_add(poller, pair, NULL, ZMQ_POLLIN));
    CHECK_ERRNO(zmq_poller_fd(poller, &fd), EINVAL);
    CHECK_ERRNO(zmq_poller_fd(NULL, &fd), EFAULT);
    CHECK_OK(zmq_poller_add(poller, server, NULL, ZMQ_POLLIN));
    CHECK_OK(zmq_poller_fd(poller, &fd));
    CHECK(fd >= 0);
    zmq_poller_event_t event;
    CONNECT(client, endpoint);
    for (int i = 0; i < 5; i++) {
        CHECK_ERRNO(zmq_poller_wait(poller, &event, 0), EAGAIN);
        SEND(client, "hello");
        // It may be readable without need, so one asks the poller what there is.
        const long long deadline = now_ms() + DEADLINE_MS;
        while (zmq_poller_wait(poller, &event, 0) != 0) {
            CHECK_EQ(zmq_errno(), EAGAIN);
            CHECK(now_ms() < deadline);
            CHECK(readable(fd, DEADLINE_MS));
        }
        CHECK(event.socket == server);
        EXPECT(server, "hello");
    }
    CHECK_OK(zmq_poller_destroy(&poller));
}

// ---- threads -----------------------------------------------------------------------------------

static void expect_answer(void *client) { EXPECT(client, "answer"); }

// One thread waits for the answer while another asks.
TEST_EACH(send_while_receiving, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    CONNECT(client, BIND(server, transport));
    for (int i = 0; i < 5; i++) {
        struct thread thread;
        start_thread(&thread, expect_answer, client);
        WAIT_BLOCKED(&thread);
        SEND(client, "question");
        zmq_msg_t message;
        CHECK_OK(zmq_msg_init(&message));
        CHECK_EQ(zmq_msg_recv(&message, server, 0), 8);
        uint32_t id = zmq_msg_routing_id(&message);
        CHECK_OK(zmq_msg_close(&message));
        CHECK_OK(zmq_msg_init_buffer(&message, "answer", 6));
        CHECK_OK(zmq_msg_set_routing_id(&message, id));
        CHECK_EQ(zmq_msg_send(&message, server, 0), 6);
        JOIN(&thread);
    }
}

enum { SENDERS = 4, EACH = 2000 };

static void send_many(void *scatter) {
    for (int i = 0; i < EACH; i++)
        SEND(scatter, "message");
}

static void receive_many(void *gather) {
    for (int i = 0; i < SENDERS * EACH / 2; i++)
        EXPECT(gather, "message");
}

TEST_EACH(many_threads_on_one_socket, EACH_TRANSPORT) {
    void *scatter = NEW_SOCKET(ZMQ_SCATTER), *gather = NEW_SOCKET(ZMQ_GATHER);
    CONNECT(scatter, BIND(gather, transport));
    struct thread senders[SENDERS], receivers[2];
    for (int i = 0; i < 2; i++)
        start_thread(&receivers[i], receive_many, gather);
    for (int i = 0; i < SENDERS; i++)
        start_thread(&senders[i], send_many, scatter);
    for (int i = 0; i < SENDERS; i++)
        JOIN(&senders[i]);
    for (int i = 0; i < 2; i++)
        JOIN(&receivers[i]);
    EXPECT_NOTHING(gather);
}

static void expect_term(void *socket) {
    char buffer[4];
    CHECK_ERRNO(zmq_recv(socket, buffer, sizeof buffer, 0), ETERM);
}

TEST(a_blocked_call_hears_of_the_end) {
    void *other = zmq_ctx_new();
    void *server = zmq_socket(other, ZMQ_SERVER);
    struct thread thread;
    start_thread(&thread, expect_term, server);
    WAIT_BLOCKED(&thread);
    CHECK_OK(zmq_ctx_shutdown(other));
    JOIN(&thread);
    CHECK_OK(zmq_close(server));
    CHECK_OK(zmq_ctx_term(other));
}

// ---- proxies -----------------------------------------------------------------------------------

static void *proxied[2];

static void run_proxy(void *unused) {
    (void)unused;
    CHECK_ERRNO(zmq_proxy(proxied[0], proxied[1], NULL), ETERM);
    CHECK_OK(zmq_close(proxied[0]));
    CHECK_OK(zmq_close(proxied[1]));
}

TEST(a_proxy_between_them) {
    void *middle = zmq_ctx_new();
    proxied[0] = zmq_socket(middle, ZMQ_GATHER);
    proxied[1] = zmq_socket(middle, ZMQ_SCATTER);
    void *scatter = NEW_SOCKET(ZMQ_SCATTER), *gather = NEW_SOCKET(ZMQ_GATHER);
    const char *front = BIND(proxied[0], "tcp"), *back = BIND(proxied[1], "tcp");
    CONNECT(scatter, front);
    CONNECT(gather, back);
    struct thread thread;
    start_thread(&thread, run_proxy, NULL);
    for (int i = 0; i < 10; i++) {
        SEND(scatter, "through");
        EXPECT(gather, "through");
    }
    CHECK_OK(zmq_ctx_shutdown(middle));
    JOIN(&thread);
    CHECK_OK(zmq_ctx_term(middle));
}
