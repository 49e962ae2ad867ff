// SPDX-License-Identifier: MPL-2.0
//
// RADIO and DISH (RFC 48), and the groups of messages. Over udp they are in test_draft_udp.c.
#include "groups.h"

#include <unistd.h>

// ---- groups of messages ------------------------------------------------------------------------

TEST(groups_of_messages) {
    zmq_msg_t message, copy;
    CHECK_OK(zmq_msg_init_size(&message, 3));
    CHECK_STR(zmq_msg_group(&message), "");
    static const char *const groups[] = {"TV", "", "fourteen bytes", "fifteen bytes..",
                                         "a group with a name that is longer than others"};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        CHECK_OK(zmq_msg_set_group(&message, groups[i]));
        CHECK_STR(zmq_msg_group(&message), groups[i]);
        CHECK_OK(zmq_msg_init(&copy));
        CHECK_OK(zmq_msg_copy(&copy, &message));
        CHECK_STR(zmq_msg_group(&copy), groups[i]);
        CHECK_STR(zmq_msg_group(&message), groups[i]);
        CHECK_OK(zmq_msg_close(&copy));
        CHECK_STR(zmq_msg_group(&message), groups[i]);
        CHECK_OK(zmq_msg_init(&copy));
        CHECK_OK(zmq_msg_move(&copy, &message));
        CHECK_STR(zmq_msg_group(&copy), groups[i]);
        CHECK_STR(zmq_msg_group(&message), "");
        CHECK_OK(zmq_msg_move(&message, &copy));
        CHECK_OK(zmq_msg_close(&copy));
    }
    CHECK_EQ(zmq_msg_size(&message), 3);
    CHECK_OK(zmq_msg_close(&message));
}

TEST_OURS_ONLY(a_short_group_after_a_long_one, "it keeps the long one") {
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_OK(zmq_msg_set_group(&message, "a group with a name that is longer than others"));
    CHECK_OK(zmq_msg_set_group(&message, "TV"));
    CHECK_STR(zmq_msg_group(&message), "TV");
    CHECK_OK(zmq_msg_close(&message));
}

TEST(long_groups_are_cut) {
    char group[300];
    memset(group, 'g', sizeof group);
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    for (int length = 253; length <= 257; length++) {
        group[length] = 0;
        CHECK_OK(zmq_msg_set_group(&message, group));
        CHECK_EQ(strlen(zmq_msg_group(&message)),
                 length < ZMQ_GROUP_MAX_LENGTH ? length : ZMQ_GROUP_MAX_LENGTH);
        group[length] = 'g';
    }
    CHECK_OK(zmq_msg_close(&message));
}

// ---- joining and leaving -----------------------------------------------------------------------

TEST(join_and_leave_errors) {
    void *dish = NEW_SOCKET(ZMQ_DISH);
    char group[ZMQ_GROUP_MAX_LENGTH + 2];
    memset(group, 'g', sizeof group);
    group[ZMQ_GROUP_MAX_LENGTH + 1] = 0;
    CHECK_ERRNO(zmq_leave(dish, "TV"), EINVAL);
    CHECK_ERRNO(zmq_join(dish, group), EINVAL);
    CHECK_ERRNO(zmq_leave(dish, group), EINVAL);
    group[ZMQ_GROUP_MAX_LENGTH] = 0;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(zmq_join(dish, group));
        CHECK_ERRNO(zmq_join(dish, group), EINVAL);
        CHECK_OK(zmq_join(dish, ""));
        CHECK_ERRNO(zmq_join(dish, ""), EINVAL);
        CHECK_OK(zmq_leave(dish, group));
        CHECK_ERRNO(zmq_leave(dish, group), EINVAL);
        CHECK_OK(zmq_leave(dish, ""));
    }
    for (int type = 0; type <= ZMQ_CHANNEL; type++) {
        if (type == ZMQ_DISH)
            continue;
        void *s = zmq_socket(context(), type);
        if (!s)
            continue;
        CHECK_ERRNO(zmq_join(s, "TV"), ENOTSUP);
        CHECK_ERRNO(zmq_leave(s, "TV"), ENOTSUP);
        CHECK_OK(zmq_close(s));
    }
    CHECK_ERRNO(zmq_join(NULL, "TV"), ENOTSOCK);
    CHECK_ERRNO(zmq_leave(NULL, "TV"), ENOTSOCK);
}

// These two do not look whether the context is still there.
TEST(join_and_leave_after_shutdown) {
    void *dish = NEW_SOCKET(ZMQ_DISH), *radio = NEW_SOCKET(ZMQ_RADIO);
    CONNECT(dish, BIND(radio, "inproc"));
    CHECK_OK(zmq_ctx_shutdown(context()));
    CHECK_OK(zmq_join(dish, "TV"));
    CHECK_ERRNO(zmq_join(dish, "TV"), EINVAL);
    CHECK_OK(zmq_leave(dish, "TV"));
    CHECK_ERRNO(zmq_leave(dish, "TV"), EINVAL);
    CHECK_ERRNO(zmq_join(radio, "TV"), ENOTSUP);
}

TEST_OURS_ONLY(a_group_that_is_null, "it crashes") {
    void *dish = NEW_SOCKET(ZMQ_DISH);
    CHECK_ERRNO(zmq_join(dish, NULL), EFAULT);
    CHECK_ERRNO(zmq_leave(dish, NULL), EFAULT);
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_ERRNO(zmq_msg_set_group(&message, NULL), EFAULT);
    CHECK_OK(zmq_msg_close(&message));
}

// ---- messages ----------------------------------------------------------------------------------

TEST_EACH(only_joined_groups_arrive, EACH_TRANSPORT) {
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dish = NEW_SOCKET(ZMQ_DISH);
    char longest[ZMQ_GROUP_MAX_LENGTH + 1];
    memset(longest, 'g', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    CHECK_OK(zmq_join(dish, "before"));
    CONNECT(dish, BIND(radio, transport));
    CHECK_OK(zmq_join(dish, "after"));
    CHECK_OK(zmq_join(dish, longest));
    CHECK_OK(zmq_join(dish, ""));
    SETTLE(radio, dish);
    for (int i = 0; i < 3; i++) {
        SEND_TO(radio, "before", "1");
        SEND_TO(radio, "other", "nobody gets it");
        SEND_TO(radio, "aft", "a part of a name");
        SEND_TO(radio, "after", "2");
        SEND_TO(radio, "after that", "more than a name");
        SEND_TO(radio, longest, "3");
        SEND_TO(radio, "", "4");
        SEND(radio, "5");
        EXPECT_FROM(dish, "before", "1");
        EXPECT_FROM(dish, "after", "2");
        EXPECT_FROM(dish, longest, "3");
        EXPECT_FROM(dish, "", "4");
        EXPECT_FROM(dish, "", "5");
    }
    CHECK_OK(zmq_leave(dish, "after"));
    SETTLE(radio, dish);
    SEND_TO(radio, "after", "too late");
    SEND_TO(radio, "before", "last");
    EXPECT_FROM(dish, "before", "last");
    CHECK(!shows_events(dish, ZMQ_POLLIN, ABSENCE_MS));
}

TEST_EACH(the_dish_may_bind, EACH_TRANSPORT) {
    void *dish = NEW_SOCKET(ZMQ_DISH), *radios[2];
    const char *endpoint = BIND(dish, transport);
    CHECK_OK(zmq_join(dish, "TV"));
    for (int i = 0; i < 2; i++) {
        radios[i] = NEW_SOCKET(ZMQ_RADIO);
        CONNECT(radios[i], endpoint);
        SETTLE(radios[i], dish);
    }
    for (int i = 0; i < 2; i++) {
        SEND_TO(radios[i], "TV", "news");
        EXPECT_FROM(dish, "TV", "news");
    }
}

TEST_EACH(each_dish_gets_its_groups, EACH_TRANSPORT) {
    enum { DISHES = 5 };
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dishes[DISHES];
    const char *endpoint = BIND(radio, transport);
    for (int i = 0; i < DISHES; i++) {
        dishes[i] = NEW_SOCKET(ZMQ_DISH);
        CONNECT(dishes[i], endpoint);
        CHECK_OK(zmq_join(dishes[i], i % 2 ? "odd" : "even"));
        CHECK_OK(zmq_join(dishes[i], "all"));
        SETTLE(radio, dishes[i]);
    }
    SEND_TO(radio, "odd", "1");
    SEND_TO(radio, "even", "2");
    SEND_TO(radio, "all", "3");
    for (int i = 0; i < DISHES; i++) {
        EXPECT_FROM(dishes[i], i % 2 ? "odd" : "even", i % 2 ? "1" : "2");
        EXPECT_FROM(dishes[i], "all", "3");
    }
    CLOSE(dishes[0]);
    SEND_TO(radio, "all", "4");
    for (int i = 1; i < DISHES; i++)
        EXPECT_FROM(dishes[i], "all", "4");
}

TEST_EACH(sizes, EACH_TRANSPORT) {
    static const size_t sizes[] = {0, 1, 33, 34, 254, 255, 256, 8191, 8192, 100000, 1000000};
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dishes[2];
    const char *endpoint = BIND(radio, transport);
    for (int i = 0; i < 2; i++) {
        dishes[i] = NEW_SOCKET(ZMQ_DISH);
        CONNECT(dishes[i], endpoint);
        CHECK_OK(zmq_join(dishes[i], "TV"));
        CHECK_OK(zmq_join(dishes[i], ""));
        SETTLE(radio, dishes[i]);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *data = malloc(sizes[i] + 1);
        memset(data, 'a' + (int)i, sizes[i]);
        send_to(radio, "TV", data, sizes[i], 0);
        SEND_BYTES(radio, data, sizes[i], 0);
        for (int to = 0; to < 2; to++) {
            expect_from(dishes[to], "TV", data, sizes[i]);
            expect_from(dishes[to], "", data, sizes[i]);
        }
        free(data);
    }
}

TEST(directions_and_parts) {
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dish = NEW_SOCKET(ZMQ_DISH);
    char buffer[8];
    CHECK_ERRNO(zmq_send(radio, "x", 1, ZMQ_SNDMORE), EINVAL);
    CHECK_ERRNO(zmq_recv(radio, buffer, sizeof buffer, ZMQ_DONTWAIT), ENOTSUP);
    CHECK_ERRNO(zmq_send(dish, "x", 1, ZMQ_DONTWAIT), ENOTSUP);
    CHECK_ERRNO(zmq_recv(dish, buffer, sizeof buffer, ZMQ_DONTWAIT), EAGAIN);
    SEND_TO(radio, "TV", "nobody is there");
}

TEST(types_for_many_threads) {
    for (int type = ZMQ_RADIO; type <= ZMQ_DISH; type++) {
        void *s = NEW_SOCKET(type);
        int fd;
        size_t size = sizeof fd;
        CHECK_EQ(GET_INT(s, ZMQ_TYPE), type);
        CHECK_EQ(GET_INT(s, ZMQ_THREAD_SAFE), 1);
        CHECK_ERRNO(zmq_getsockopt(s, ZMQ_FD, &fd, &size), EINVAL);
        CHECK_EQ(GET_INT(s, ZMQ_EVENTS), ZMQ_POLLOUT);
    }
}

TEST_EACH(polling, "inproc", "tcp") {
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dish = NEW_SOCKET(ZMQ_DISH);
    CONNECT(dish, BIND(radio, transport));
    CHECK_OK(zmq_join(dish, "TV"));
    SETTLE(radio, dish);
    CHECK_EQ(GET_INT(dish, ZMQ_EVENTS), ZMQ_POLLOUT);
    SEND_TO(radio, "radio", "not joined");
    CHECK(!shows_events(dish, ZMQ_POLLIN, ABSENCE_MS));
    SEND_TO(radio, "TV", "joined");
    zmq_pollitem_t items[] = {{radio, 0, ZMQ_POLLIN, 0}, {dish, 0, ZMQ_POLLIN, 0}};
    CHECK_EQ(zmq_poll(items, 2, DEADLINE_MS), 1);
    CHECK_EQ(items[0].revents, 0);
    CHECK_EQ(items[1].revents, ZMQ_POLLIN);
    CHECK_EQ(GET_INT(dish, ZMQ_EVENTS), ZMQ_POLLIN | ZMQ_POLLOUT);
    EXPECT_FROM(dish, "TV", "joined");
}

TEST_EACH(a_full_dish, "inproc", "tcp") {
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dish = NEW_SOCKET(ZMQ_DISH);
    SET_INT(radio, ZMQ_SNDHWM, 10);
    SET_INT(dish, ZMQ_RCVHWM, 10);
    SET_INT(radio, ZMQ_SNDBUF, 4096);
    SET_INT(dish, ZMQ_RCVBUF, 4096);
    CONNECT(dish, BIND(radio, transport));
    CHECK_OK(zmq_join(dish, "TV"));
    SETTLE(radio, dish);
    char *data = calloc(1, 50000);
    // It is dropped, nobody waits.
    for (int i = 0; i < 1000; i++)
        send_to(radio, "TV", data, 50000, 0);
    struct frame frame;
    int received = 0;
    while (shows_events(dish, ZMQ_POLLIN, ABSENCE_MS) && TRY_RECV(dish, &frame))
        received++;
    CHECK_BETWEEN(received, 1, 999);

    SET_INT(radio, ZMQ_XPUB_NODROP, 1);
    CHECK_ERRNO(zmq_setsockopt(radio, ZMQ_XPUB_NODROP, &(int){-1}, sizeof(int)), EINVAL);
    int sent = 0;
    while (try_send_to(radio, "TV", data, 50000, ZMQ_DONTWAIT) >= 0)
        CHECK_BETWEEN(++sent, 1, 10000);
    CHECK_EQ(errno, EAGAIN);
    SET_INT(radio, ZMQ_SNDTIMEO, 50);
    while (try_send_to(radio, "TV", data, 50000, 0) >= 0)
        CHECK_BETWEEN(++sent, 1, 10000);
    CHECK_EQ(errno, EAGAIN);
    CHECK_EQ(try_send_to(radio, "other", data, 50000, 0), 50000);
    for (int i = 0; i < sent; i++)
        expect_from(dish, "TV", data, 50000);
    send_to(radio, "TV", "again", 5, 0);
    EXPECT_FROM(dish, "TV", "again");
}

TEST_EACH(groups_are_joined_again_after_a_reconnect, EACH_STREAM) {
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dish = NEW_SOCKET(ZMQ_DISH);
    SET_INT(dish, ZMQ_RECONNECT_IVL, 10);
    const char *endpoint = unused_endpoint(transport);
    CHECK_OK(zmq_bind(radio, endpoint));
    CONNECT(dish, endpoint);
    CHECK_OK(zmq_join(dish, "TV"));
    SETTLE(radio, dish);
    CLOSE(radio);
    radio = NEW_SOCKET(ZMQ_RADIO);
    WAIT_UNTIL(zmq_bind(radio, endpoint) == 0);
    // Before the dish is there again it is sent to nobody.
    WAIT_UNTIL((SEND_TO(radio, "TV", "news"), shows_events(dish, ZMQ_POLLIN, 1)));
    EXPECT_FROM(dish, "TV", "news");
}

TEST_EACH(connecting_before_binding, "inproc", "tcp") {
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dish = NEW_SOCKET(ZMQ_DISH);
    const char *endpoint = unused_endpoint(transport);
    CHECK_OK(zmq_join(dish, "TV"));
    SET_INT(dish, ZMQ_RECONNECT_IVL, 10);
    CONNECT(dish, endpoint);
    CHECK_OK(zmq_bind(radio, endpoint));
    SETTLE(radio, dish);
    SEND_TO(radio, "TV", "news");
    EXPECT_FROM(dish, "TV", "news");
}

TEST_EACH(encrypted, "tcp", "ws") {
    if (!zmq_has("curve"))
        skip("no CURVE");
    char server_public[41], server_secret[41], client_public[41], client_secret[41];
    CHECK_OK(zmq_curve_keypair(server_public, server_secret));
    CHECK_OK(zmq_curve_keypair(client_public, client_secret));
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dish = NEW_SOCKET(ZMQ_DISH);
    SET_INT(radio, ZMQ_CURVE_SERVER, 1);
    SET_TEXT(radio, ZMQ_CURVE_SECRETKEY, server_secret);
    SET_TEXT(dish, ZMQ_CURVE_SERVERKEY, server_public);
    SET_TEXT(dish, ZMQ_CURVE_PUBLICKEY, client_public);
    SET_TEXT(dish, ZMQ_CURVE_SECRETKEY, client_secret);
    CHECK_OK(zmq_join(dish, "before"));
    CONNECT(dish, BIND(radio, transport));
    CHECK_OK(zmq_join(dish, "after"));
    SETTLE(radio, dish);
    SEND_TO(radio, "before", "1");
    SEND_TO(radio, "after", "2");
    EXPECT_FROM(dish, "before", "1");
    EXPECT_FROM(dish, "after", "2");
}

// ---- threads -----------------------------------------------------------------------------------

enum { SENDERS = 4, EACH = 500 };

static void send_many(void *radio) {
    for (int i = 0; i < EACH; i++)
        send_to(radio, "TV", "news", 4, 0);
}

static void receive_until_end(void *dish) {
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    do {
        CHECK(zmq_msg_recv(&message, dish, 0) >= 0);
        CHECK_STR(zmq_msg_group(&message), zmq_msg_size(&message) == 4 ? "TV" : "end");
    } while (zmq_msg_size(&message) == 4);
    CHECK_OK(zmq_msg_close(&message));
}

TEST_EACH(several_threads, "inproc", "tcp") {
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dish = NEW_SOCKET(ZMQ_DISH);
    SET_INT(radio, ZMQ_SNDHWM, 0);
    SET_INT(dish, ZMQ_RCVHWM, 0);
    CONNECT(dish, BIND(radio, transport));
    CHECK_OK(zmq_join(dish, "TV"));
    CHECK_OK(zmq_join(dish, "end"));
    SETTLE(radio, dish);
    struct thread senders[SENDERS], receivers[2];
    for (int i = 0; i < 2; i++)
        start_thread(&receivers[i], receive_until_end, dish);
    for (int i = 0; i < SENDERS; i++)
        start_thread(&senders[i], send_many, radio);
    for (int i = 0; i < SENDERS; i++)
        JOIN(&senders[i]);
    for (int i = 0; i < 2; i++)
        SEND_TO(radio, "end", "end");
    for (int i = 0; i < 2; i++)
        JOIN(&receivers[i]);
}

static void *proxied[2];

static void run_proxy(void *unused) {
    (void)unused;
    CHECK_ERRNO(zmq_proxy(proxied[0], proxied[1], NULL), ETERM);
    for (int i = 0; i < 2; i++)
        CHECK_OK(zmq_close(proxied[i]));
}

TEST(through_a_proxy) {
    void *own = zmq_ctx_new();
    void *radio = NEW_SOCKET(ZMQ_RADIO), *dish = NEW_SOCKET(ZMQ_DISH);
    const char *in = unused_endpoint("tcp"), *out = unused_endpoint("tcp");
    proxied[0] = zmq_socket(own, ZMQ_DISH);
    proxied[1] = zmq_socket(own, ZMQ_RADIO);
    SET_INT(proxied[1], ZMQ_LINGER, 0);
    CHECK_OK(zmq_bind(proxied[0], in));
    CHECK_OK(zmq_bind(proxied[1], out));
    CHECK_OK(zmq_join(proxied[0], "TV"));
    CONNECT(radio, in);
    CONNECT(dish, out);
    CHECK_OK(zmq_join(dish, "TV"));
    struct thread thread;
    start_thread(&thread, run_proxy, NULL);
    WAIT_UNTIL((SEND_TO(radio, "TV", "news"), shows_events(dish, ZMQ_POLLIN, 1)));
    EXPECT_FROM(dish, "TV", "news");
    CHECK_OK(zmq_ctx_term(own));
    JOIN(&thread);
}

// ---- on the wire -------------------------------------------------------------------------------

TEST(a_radio_on_the_wire) {
    void *radio = NEW_SOCKET(ZMQ_RADIO);
    int fd = RAW_PEER(radio);
    struct zmtp_frame ready;
    ZMTP_HANDSHAKE(fd, 1, "DISH", &ready);
    CHECK_BYTES(ready.body, ready.size, "\5READY\13Socket-Type\0\0\0\5RADIO", 6 + 12 + 9);
    ZMTP_SEND_LITERAL(fd, 4, "\4JOINTV");
    ZMTP_SEND_LITERAL(fd, 4, "\4JOIN");
    ZMTP_SEND_LITERAL(fd, 4, "\4JOINTV");
    ZMTP_SEND_LITERAL(fd, 4, "\5LEAVETV");
    ZMTP_SEND_LITERAL(fd, 0, "messages are dropped");
    ZMTP_SEND_LITERAL(fd, 4, "\7UNKNOWN");
    ZMTP_SEND_LITERAL(fd, 4, "\5LEAVEnever joined");
    ZMTP_SEND_LITERAL(fd, 4, "\4JOINready");
    WAIT_UNTIL((SEND_TO(radio, "ready", ""), raw_readable(fd)));
    SEND_TO(radio, "TV", "news");
    SEND_TO(radio, "", "to all");
    struct zmtp_frame frame;
    while (frame = ZMTP_RECV(fd), frame.size == 5 && memcmp(frame.body, "ready", 5) == 0)
        ZMTP_EXPECT_LITERAL(fd, 0, "");
    CHECK_EQ(frame.flags, 1);
    CHECK_BYTES(frame.body, frame.size, "TV", 2);
    ZMTP_EXPECT_LITERAL(fd, 0, "news");
    ZMTP_EXPECT_LITERAL(fd, 1, "");
    ZMTP_EXPECT_LITERAL(fd, 0, "to all");
}

TEST(a_dish_on_the_wire) {
    void *dish = NEW_SOCKET(ZMQ_DISH);
    const char *endpoint = BIND(dish, "tcp");
    CHECK_OK(zmq_join(dish, "TV"));
    int fd = RAW_CONNECT(endpoint);
    struct zmtp_frame ready;
    ZMTP_HANDSHAKE(fd, 1, "RADIO", &ready);
    CHECK_BYTES(ready.body, ready.size, "\5READY\13Socket-Type\0\0\0\4DISH", 6 + 12 + 8);
    WAIT_DRIVING(dish, raw_readable(fd));
    ZMTP_EXPECT_LITERAL(fd, 4, "\4JOINTV");
    CHECK_OK(zmq_leave(dish, "TV"));
    CHECK_OK(zmq_join(dish, ""));
    ZMTP_EXPECT_LITERAL(fd, 4, "\5LEAVETV");
    ZMTP_EXPECT_LITERAL(fd, 4, "\4JOIN");
    ZMTP_SEND_LITERAL(fd, 1, "TV");
    ZMTP_SEND_LITERAL(fd, 0, "left before");
    ZMTP_SEND_LITERAL(fd, 1, "");
    ZMTP_SEND_LITERAL(fd, 0, "news");
    EXPECT_FROM(dish, "", "news");
}

TEST_EACH(what_a_dish_does_not_take, "no-group", "long-group", "three-parts") {
    void *dish = NEW_SOCKET(ZMQ_DISH);
    const char *endpoint = BIND(dish, "tcp");
    CHECK_OK(zmq_join(dish, "TV"));
    void *mon = MONITOR(dish, ZMQ_EVENT_DISCONNECTED);
    int fd = ZMTP_CONNECT(endpoint, "RADIO");
    ZMTP_SEND_LITERAL(fd, 1, "TV");
    ZMTP_SEND_LITERAL(fd, 0, "good");
    EXPECT_FROM(dish, "TV", "good");
    if (strcmp(transport, "no-group") == 0) {
        ZMTP_SEND_LITERAL(fd, 0, "TV");
    } else if (strcmp(transport, "long-group") == 0) {
        char group[256];
        memset(group, 'g', sizeof group);
        ZMTP_SEND(fd, 1, group, sizeof group);
    } else {
        ZMTP_SEND_LITERAL(fd, 1, "TV");
        ZMTP_SEND_LITERAL(fd, 1, "bad");
    }
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
    struct frame frame;
    CHECK(!TRY_RECV(dish, &frame));
    close(fd);
}

TEST(peers_of_other_types) {
    void *radio = NEW_SOCKET(ZMQ_RADIO);
    const char *endpoint = BIND(radio, "tcp");
    static const char *const types[] = {"RADIO", "SUB", "dish", "PULL"};
    void *mon = MONITOR(radio, ZMQ_EVENT_DISCONNECTED);
    for (int i = 0; i < 4; i++) {
        int fd = RAW_CONNECT(endpoint);
        unsigned char ready[128];
        ZMTP_GREET(fd, 1);
        ZMTP_SEND(fd, 4, ready, zmtp_ready(ready, types[i], NULL));
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        close(fd);
    }
}

// ---- groups joined just now --------------------------------------------------------------------

// As with subscriptions (test_pubsub): whoever sends reads first.
TEST_OURS_ONLY(late_joins, "its I/O thread reads, some time") {
    void *radio = NEW_SOCKET(ZMQ_RADIO);
    int fd = RAW_CONNECT(BIND(radio, "ipc"));
    ZMTP_HANDSHAKE(fd, 1, "DISH", NULL);
    ZMTP_SEND_LITERAL(fd, 4, "\4JOINready");
    do
        SEND_TO(radio, "ready", "");
    while (!raw_readable(fd) && (pause_briefly(), true));
    for (int i = 0; i < 40; i++) {
        char group[16], command[32];
        snprintf(group, sizeof group, "%08d", i);
        int size = snprintf(command, sizeof command, "\4%c\4JOIN%s", 13, group);
        RAW_SEND_THROUGH(fd, command, (size_t)size);
        SEND_TO(radio, group, "news");
        struct zmtp_frame frame;
        do {
            frame = ZMTP_RECV(fd);
            ZMTP_RECV(fd);
        } while (frame.size == 5);
        CHECK_BYTES(frame.body, frame.size, group, 8);
    }
    CHECK_OK(close(fd));
}
