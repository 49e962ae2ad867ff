// SPDX-License-Identifier: MPL-2.0
//
// zmq_poll, and ZMQ_FD with ZMQ_EVENTS in an event loop of one's own.
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static void make_pair(const char *transport, void **push, void **pull) {
    *push = NEW_SOCKET(ZMQ_PUSH);
    *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(*push, BIND(*pull, transport));
}

// ---- zmq_poll ----------------------------------------------------------------------------------

TEST(arguments) {
    zmq_pollitem_t item = {.fd = 0};
    CHECK_ERRNO(zmq_poll(NULL, 1, 0), EFAULT);
    CHECK_ERRNO(zmq_poll(&item, -1, 0), EINVAL);
    CHECK_ERRNO(zmq_poll(NULL, -1, 0), EINVAL);
    CHECK_EQ(zmq_poll(NULL, 0, 0), 0);
    CHECK_EQ(zmq_poll(&item, 0, 0), 0);
    long long start = now_ms();
    CHECK_EQ(zmq_poll(NULL, 0, 60), 0);
    CHECK_BETWEEN(now_ms() - start, 59, DEADLINE_MS);
}

TEST(timeout) {
    void *push, *pull;
    make_pair("tcp", &push, &pull);
    zmq_pollitem_t item = {.socket = pull, .events = ZMQ_POLLIN, .revents = 0x77};
    CHECK_EQ(zmq_poll(&item, 1, 0), 0);
    CHECK_EQ(item.revents, 0);
    long long start = now_ms();
    CHECK_EQ(zmq_poll(&item, 1, 80), 0);
    CHECK_BETWEEN(now_ms() - start, 79, DEADLINE_MS);
}

TEST_EACH(in_and_out, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, transport));
    BOUNCE(a, b);
    zmq_pollitem_t items[] = {{a, 0, ZMQ_POLLIN | ZMQ_POLLOUT, 0},
                              {b, 0, ZMQ_POLLIN | ZMQ_POLLOUT, 0}};
    CHECK_EQ(zmq_poll(items, 2, -1), 2);
    CHECK_EQ(items[0].revents, ZMQ_POLLOUT);
    CHECK_EQ(items[1].revents, ZMQ_POLLOUT);
    SEND(a, "x");
    WAIT_EVENTS(b, ZMQ_POLLIN);
    CHECK_EQ(zmq_poll(items, 2, -1), 2);
    CHECK_EQ(items[0].revents, ZMQ_POLLOUT);
    CHECK_EQ(items[1].revents, ZMQ_POLLIN | ZMQ_POLLOUT);
    EXPECT(b, "x");
    CHECK_EQ(zmq_poll(items, 2, -1), 2);
    CHECK_EQ(items[1].revents, ZMQ_POLLOUT);
}

TEST(only_what_was_asked_for) {
    void *push, *pull;
    make_pair("inproc", &push, &pull);
    SEND(push, "x");
    zmq_pollitem_t items[] = {{push, 0, 0, 0},
                              {push, 0, ZMQ_POLLIN, 0},
                              {pull, 0, ZMQ_POLLOUT, 0},
                              {pull, 0, ZMQ_POLLIN | ZMQ_POLLERR | ZMQ_POLLPRI, 0}};
    WAIT_EVENTS(pull, ZMQ_POLLIN);
    CHECK_EQ(zmq_poll(items, 4, 0), 1);
    CHECK_EQ(items[0].revents, 0);
    CHECK_EQ(items[1].revents, 0);
    CHECK_EQ(items[2].revents, 0);
    CHECK_EQ(items[3].revents, ZMQ_POLLIN);
}

TEST(the_same_socket_twice) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, "inproc"));
    SEND(a, "x");
    WAIT_EVENTS(b, ZMQ_POLLIN);
    zmq_pollitem_t items[] = {{b, 0, ZMQ_POLLIN, 0}, {b, 0, ZMQ_POLLOUT, 0}};
    CHECK_EQ(zmq_poll(items, 2, -1), 2);
    CHECK_EQ(items[0].revents, ZMQ_POLLIN);
    CHECK_EQ(items[1].revents, ZMQ_POLLOUT);
}

TEST(file_descriptors) {
    int fds[2];
    CHECK_OK(pipe(fds));
    zmq_pollitem_t items[] = {{NULL, fds[0], ZMQ_POLLIN, 0}, {NULL, fds[1], ZMQ_POLLOUT, 0}};
    CHECK_EQ(zmq_poll(items, 2, 0), 1);
    CHECK_EQ(items[0].revents, 0);
    CHECK_EQ(items[1].revents, ZMQ_POLLOUT);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(zmq_poll(items, 2, -1), 2);
    CHECK_EQ(items[0].revents, ZMQ_POLLIN);
}

TEST(a_closed_pipe_is_an_error) {
    int fds[2];
    CHECK_OK(pipe(fds));
    close(fds[1]);
    zmq_pollitem_t item = {NULL, fds[0], ZMQ_POLLIN, 0};
    CHECK_EQ(zmq_poll(&item, 1, -1), 1);
    CHECK_EQ(item.revents, ZMQ_POLLERR);
}

TEST(a_closed_descriptor_is_an_error) {
    int fds[2];
    CHECK_OK(pipe(fds));
    close(fds[0]);
    close(fds[1]);
    zmq_pollitem_t item = {NULL, fds[0], ZMQ_POLLIN, 0};
    CHECK_EQ(zmq_poll(&item, 1, 0), 1);
    CHECK_EQ(item.revents, ZMQ_POLLERR);
}

// Beside what there is to read, and though nothing was asked for.
TEST(errors_need_not_be_asked_for) {
    int fds[2];
    CHECK_OK(pipe(fds));
    CHECK_EQ(write(fds[1], "x", 1), 1);
    close(fds[1]);
    zmq_pollitem_t items[] = {{NULL, fds[0], ZMQ_POLLIN, 0}, {NULL, fds[0], 0, 0},
                              {NULL, fds[0], ZMQ_POLLOUT, 0}, {NULL, -1, ZMQ_POLLIN, 0x77}};
    CHECK_EQ(zmq_poll(items, 4, 0), 3);
    CHECK_EQ(items[0].revents, ZMQ_POLLIN | ZMQ_POLLERR);
    CHECK_EQ(items[1].revents, ZMQ_POLLERR);
    CHECK_EQ(items[2].revents, ZMQ_POLLERR);
    CHECK_EQ(items[3].revents, 0); // poll(2) passes it over
}

TEST(urgent_data) {
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint), near = RAW_CONNECT(endpoint), far = RAW_ACCEPT(listener);
    CHECK_EQ(send(near, "!", 1, MSG_OOB), 1);
    zmq_pollitem_t item = {NULL, far, ZMQ_POLLPRI, 0};
    CHECK_EQ(zmq_poll(&item, 1, DEADLINE_MS), 1);
    CHECK_EQ(item.revents, ZMQ_POLLPRI);
    item.events = ZMQ_POLLIN | ZMQ_POLLOUT | ZMQ_POLLPRI;
    CHECK_EQ(zmq_poll(&item, 1, DEADLINE_MS), 1);
    CHECK_EQ(item.revents, ZMQ_POLLOUT | ZMQ_POLLPRI);
}

// Nothing is looked at then, and nothing said.
TEST(an_error_leaves_what_was_there) {
    void *push, *pull;
    make_pair("inproc", &push, &pull);
    SEND(push, "x");
    char no_socket[1024] = {0};
    zmq_pollitem_t items[] = {{pull, 0, ZMQ_POLLIN, 0x77}, {no_socket, 0, ZMQ_POLLIN, 0x77},
                              {pull, 0, ZMQ_POLLIN, 0x77}};
    CHECK_ERRNO(zmq_poll(items, 3, 0), ENOTSOCK);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(items[i].revents, 0x77);
}

TEST_EACH(sockets_beside_descriptors, EACH_TRANSPORT) {
    void *push, *pull;
    int fds[2];
    CHECK_OK(pipe(fds));
    make_pair(transport, &push, &pull);
    zmq_pollitem_t items[] = {{pull, 0, ZMQ_POLLIN, 0}, {NULL, fds[0], ZMQ_POLLIN, 0}};
    CHECK_EQ(zmq_poll(items, 2, 0), 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(zmq_poll(items, 2, -1), 1);
    CHECK_EQ(items[0].revents, 0);
    CHECK_EQ(items[1].revents, ZMQ_POLLIN);
    SEND(push, "x");
    WAIT_EVENTS(pull, ZMQ_POLLIN);
    CHECK_EQ(zmq_poll(items, 2, -1), 2);
    CHECK_EQ(items[0].revents, ZMQ_POLLIN);
    CHECK_EQ(items[1].revents, ZMQ_POLLIN);
    char c;
    CHECK_EQ(read(fds[0], &c, 1), 1);
    CHECK_EQ(zmq_poll(items, 2, -1), 1);
    CHECK_EQ(items[0].revents, ZMQ_POLLIN);
}

// The socket wins over the descriptor of an item.
TEST(socket_and_descriptor_in_one_item) {
    void *push, *pull;
    int fds[2];
    CHECK_OK(pipe(fds));
    make_pair("inproc", &push, &pull);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    zmq_pollitem_t item = {pull, fds[0], ZMQ_POLLIN, 0};
    CHECK_EQ(zmq_poll(&item, 1, 30), 0);
}

static void poll_one(void *pull) {
    zmq_pollitem_t item = {.socket = pull, .events = ZMQ_POLLIN};
    CHECK_EQ(zmq_poll(&item, 1, -1), 1);
    CHECK_EQ(item.revents, ZMQ_POLLIN);
    EXPECT(pull, "wake up");
}

TEST_EACH(a_blocked_poll_is_woken, EACH_TRANSPORT) {
    void *push, *pull;
    make_pair(transport, &push, &pull);
    for (int i = 0; i < 5; i++) {
        struct thread thread;
        start_thread(&thread, poll_one, pull);
        WAIT_BLOCKED(&thread);
        SEND(push, "wake up");
        JOIN(&thread);
    }
}

static void poll_out(void *push) {
    zmq_pollitem_t item = {.socket = push, .events = ZMQ_POLLOUT};
    CHECK_EQ(zmq_poll(&item, 1, -1), 1);
    CHECK_EQ(item.revents, ZMQ_POLLOUT);
}

TEST_EACH(a_poll_for_out_is_woken_by_a_peer, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(push, transport);
    struct thread thread;
    start_thread(&thread, poll_out, push);
    WAIT_BLOCKED(&thread);
    CONNECT(pull, endpoint);
    JOIN(&thread);
}

TEST(a_poll_for_out_is_woken_by_room) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 1);
    SET_INT(pull, ZMQ_RCVHWM, 1);
    CONNECT(push, BIND(pull, "inproc"));
    SEND(push, "a");
    SEND(push, "b");
    struct thread thread;
    start_thread(&thread, poll_out, push);
    WAIT_BLOCKED(&thread);
    EXPECT(pull, "a");
    EXPECT(pull, "b");
    JOIN(&thread);
}

TEST(many_items) {
    enum { COUNT = 4 * ZMQ_POLLITEMS_DFLT };
    void *pushes[COUNT], *pulls[COUNT];
    zmq_pollitem_t items[COUNT];
    for (int i = 0; i < COUNT; i++) {
        make_pair(i % 3 ? "inproc" : "tcp", &pushes[i], &pulls[i]);
        items[i] = (zmq_pollitem_t){pulls[i], 0, ZMQ_POLLIN, 0};
    }
    for (int i = 0; i < COUNT; i += 7) {
        SEND(pushes[i], "x");
        CHECK_EQ(zmq_poll(items, COUNT, -1), 1);
        for (int k = 0; k < COUNT; k++)
            CHECK_EQ(items[k].revents, k == i ? ZMQ_POLLIN : 0);
        EXPECT(pulls[i], "x");
    }
}

// What polling found can be received without waiting.
TEST_EACH(poll_then_receive, EACH_TRANSPORT) {
    void *push, *pull;
    make_pair(transport, &push, &pull);
    int received = 0;
    for (int i = 0; i < 1000; i++)
        SEND_BYTES(push, &i, sizeof i, i % 4 == 0 ? ZMQ_SNDMORE : 0);
    while (received < 1000) {
        zmq_pollitem_t item = {.socket = pull, .events = ZMQ_POLLIN};
        CHECK_EQ(zmq_poll(&item, 1, DEADLINE_MS), 1);
        int number;
        CHECK_EQ(zmq_recv(pull, &number, sizeof number, ZMQ_DONTWAIT), sizeof number);
        CHECK_EQ(number, received++);
    }
}

TEST(a_filtered_message_is_no_event) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    CONNECT(sub, BIND(xpub, "tcp"));
    SET_TEXT(sub, ZMQ_SUBSCRIBE, "a");
    RECV(xpub);
    SEND(xpub, "b");
    CHECK(!shows_events(sub, ZMQ_POLLIN, ABSENCE_MS));
}

// ---- ZMQ_FD and ZMQ_EVENTS ---------------------------------------------------------------------

static bool fd_readable(void *s, int ms) {
    struct pollfd item = {GET_INT(s, ZMQ_FD), POLLIN, 0};
    return poll(&item, 1, ms) == 1;
}

TEST(fd_stays_the_same) {
    void *push, *pull;
    make_pair("tcp", &push, &pull);
    int fd = GET_INT(pull, ZMQ_FD);
    SEND(push, "x");
    EXPECT(pull, "x");
    CHECK_EQ(GET_INT(pull, ZMQ_FD), fd);
    CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST_EACH(fd_wakes_an_idle_loop, EACH_TRANSPORT) {
    void *push, *pull;
    make_pair(transport, &push, &pull);
    SEND(push, "first");
    EXPECT(pull, "first");
    for (int i = 0; i < 10; i++) {
        // Quiet until the events have been read and nothing is there.
        while (GET_INT(pull, ZMQ_EVENTS) & ZMQ_POLLIN)
            EXPECT(pull, "x");
        SEND(push, "x");
        CHECK(fd_readable(pull, DEADLINE_MS));
        WAIT_UNTIL(GET_INT(pull, ZMQ_EVENTS) & ZMQ_POLLIN);
        EXPECT(pull, "x");
    }
}

// The descriptor falls silent once the events were read, though the message is left.
TEST_EACH(fd_is_an_edge, EACH_TRANSPORT) {
    void *push, *pull;
    make_pair(transport, &push, &pull);
    SEND(push, "a");
    WAIT_UNTIL(GET_INT(pull, ZMQ_EVENTS) & ZMQ_POLLIN);
    WAIT_UNTIL(GET_INT(pull, ZMQ_EVENTS) >= 0 && !fd_readable(pull, 10));
    CHECK(GET_INT(pull, ZMQ_EVENTS) & ZMQ_POLLIN);
    EXPECT(pull, "a");
    CHECK_EQ(GET_INT(pull, ZMQ_EVENTS), 0);
}

// The loop as event libraries have it: wait for the descriptor, then read until EAGAIN.
TEST_EACH(event_loop, EACH_TRANSPORT) {
    enum { COUNT = 5000 };
    void *push, *pull;
    make_pair(transport, &push, &pull);
    int sent = 0, received = 0;
    while (received < COUNT) {
        for (int i = 0; i < 37 && sent < COUNT; i++)
            if (zmq_send(push, &sent, sizeof sent, ZMQ_DONTWAIT) == sizeof sent)
                sent++;
        if (received < sent && !(GET_INT(pull, ZMQ_EVENTS) & ZMQ_POLLIN))
            CHECK(fd_readable(pull, DEADLINE_MS));
        while (GET_INT(pull, ZMQ_EVENTS) & ZMQ_POLLIN) {
            int number;
            CHECK_EQ(zmq_recv(pull, &number, sizeof number, ZMQ_DONTWAIT), sizeof number);
            CHECK_EQ(number, received++);
        }
    }
}

// Both directions on one socket: after each send the events must be read again.
TEST_EACH(event_loop_of_both_directions, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, transport));
    BOUNCE(a, b);
    for (int i = 0; i < 300; i++) {
        SEND_BYTES(b, &i, sizeof i, 0);
        while (!(GET_INT(a, ZMQ_EVENTS) & ZMQ_POLLIN))
            CHECK(fd_readable(a, DEADLINE_MS));
        EXPECT_BYTES(a, &i, sizeof i, false);
        SEND_BYTES(a, &i, sizeof i, 0);
        while (!(GET_INT(b, ZMQ_EVENTS) & ZMQ_POLLIN))
            CHECK(fd_readable(b, DEADLINE_MS));
        EXPECT_BYTES(b, &i, sizeof i, false);
    }
}

// Many peers have sent by the time anybody looks.
TEST(event_loop_of_many_peers) {
    enum { PEERS = 200 };
    void *pull = NEW_SOCKET(ZMQ_PULL), *push[PEERS];
    const char *endpoint = BIND(pull, "tcp");
    for (int i = 0; i < PEERS; i++) {
        push[i] = NEW_SOCKET(ZMQ_PUSH);
        CONNECT(push[i], endpoint);
        SEND(push[i], "hello");
    }
    for (int i = 0; i < PEERS; i++)
        EXPECT(pull, "hello");
    // Waiting calls first: whoever does the reading then is to hand it over with all that came.
    for (int i = 0; i < 5; i++) {
        SEND(push[0], "x");
        EXPECT(pull, "x");
    }
    for (int i = 0; i < PEERS; i++)
        SEND(push[i], "x");
    CHECK(GET_INT(pull, ZMQ_FD) >= 0);
    for (int received = 0; received < PEERS;) {
        if (GET_INT(pull, ZMQ_EVENTS) & ZMQ_POLLIN) {
            EXPECT(pull, "x");
            received++;
        } else {
            CHECK(fd_readable(pull, DEADLINE_MS));
        }
    }
}

TEST_EACH(fd_tells_of_room_to_send, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(push, transport);
    CHECK_EQ(GET_INT(push, ZMQ_EVENTS), 0);
    CONNECT(pull, endpoint);
    while (!(GET_INT(push, ZMQ_EVENTS) & ZMQ_POLLOUT))
        CHECK(fd_readable(push, DEADLINE_MS));
}

TEST(fd_wakes_for_the_end_of_the_context) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    CHECK_EQ(GET_INT(s, ZMQ_EVENTS), 0);
    struct pollfd item = {GET_INT(s, ZMQ_FD), POLLIN, 0};
    CHECK_OK(zmq_ctx_shutdown(context()));
    CHECK_EQ(poll(&item, 1, DEADLINE_MS), 1);
    int events;
    size_t size = sizeof events;
    CHECK_ERRNO(zmq_getsockopt(s, ZMQ_EVENTS, &events, &size), ETERM);
}
