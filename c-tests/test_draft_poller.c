// SPDX-License-Identifier: MPL-2.0
//
// zmq_poller_*: what it refuses, the order of its events, and what ends its waiting.
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static void *new_poller(void) {
    void *poller = zmq_poller_new();
    if (!poller)
        fail("zmq_poller_new failed: %s", zmq_strerror(zmq_errno()));
    return poller;
}

TEST(what_is_no_poller) {
    void *s = NEW_SOCKET(ZMQ_PULL), *nothing = NULL;
    zmq_poller_event_t event;
    CHECK_ERRNO(zmq_poller_destroy(NULL), EFAULT);
    CHECK_ERRNO(zmq_poller_destroy(&nothing), EFAULT);
    CHECK_ERRNO(zmq_poller_destroy(&s), EFAULT);
    CHECK(s != NULL);
    void *const bad[] = {NULL, s};
    for (int i = 0; i < 2; i++) {
        CHECK_ERRNO(zmq_poller_size(bad[i]), EFAULT);
        CHECK_ERRNO(zmq_poller_add(bad[i], s, NULL, ZMQ_POLLIN), EFAULT);
        CHECK_ERRNO(zmq_poller_modify(bad[i], s, ZMQ_POLLIN), EFAULT);
        CHECK_ERRNO(zmq_poller_remove(bad[i], s), EFAULT);
        CHECK_ERRNO(zmq_poller_add_fd(bad[i], 0, NULL, ZMQ_POLLIN), EFAULT);
        CHECK_ERRNO(zmq_poller_modify_fd(bad[i], 0, ZMQ_POLLIN), EFAULT);
        CHECK_ERRNO(zmq_poller_remove_fd(bad[i], 0), EFAULT);
        CHECK_ERRNO(zmq_poller_wait(bad[i], &event, 0), EFAULT);
        CHECK_ERRNO(zmq_poller_wait_all(bad[i], &event, 1, 0), EFAULT);
    }
    void *poller = new_poller();
    CHECK_ERRNO(zmq_poller_wait(poller, NULL, 0), EFAULT);
    CHECK_ERRNO(zmq_poller_wait_all(poller, NULL, 1, 0), EFAULT);
    CHECK_OK(zmq_poller_destroy(&poller));
}

TEST(sockets_it_does_not_take) {
    void *poller = new_poller(), *s = NEW_SOCKET(ZMQ_PULL), *other = NEW_SOCKET(ZMQ_PULL);
    CHECK_ERRNO(zmq_poller_add(poller, NULL, NULL, ZMQ_POLLIN), ENOTSOCK);
    CHECK_ERRNO(zmq_poller_add(poller, context(), NULL, ZMQ_POLLIN), ENOTSOCK);
    CHECK_ERRNO(zmq_poller_modify(poller, NULL, ZMQ_POLLIN), ENOTSOCK);
    CHECK_ERRNO(zmq_poller_remove(poller, NULL), ENOTSOCK);
    CHECK_ERRNO(zmq_poller_add(poller, s, NULL, 16), EINVAL);
    CHECK_OK(zmq_poller_add(poller, s, NULL,
                            ZMQ_POLLIN | ZMQ_POLLOUT | ZMQ_POLLERR | ZMQ_POLLPRI));
    CHECK_ERRNO(zmq_poller_add(poller, s, NULL, ZMQ_POLLIN), EINVAL);
    CHECK_ERRNO(zmq_poller_modify(poller, s, 16), EINVAL);
    CHECK_ERRNO(zmq_poller_modify(poller, other, ZMQ_POLLIN), EINVAL);
    CHECK_ERRNO(zmq_poller_remove(poller, other), EINVAL);
    CHECK_EQ(zmq_poller_size(poller), 1);
    CHECK_OK(zmq_poller_remove(poller, s));
    CHECK_ERRNO(zmq_poller_remove(poller, s), EINVAL);
    CHECK_EQ(zmq_poller_size(poller), 0);
    CHECK_OK(zmq_poller_destroy(&poller));
}

// Those without events are members, but nobody waits for them.
TEST(sockets_without_events) {
    void *poller = new_poller(), *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    zmq_poller_event_t event;
    CONNECT(b, BIND(a, "inproc"));
    SEND(a, "x");
    CHECK_OK(zmq_poller_add(poller, b, NULL, 0));
    CHECK_EQ(zmq_poller_size(poller), 1);
    CHECK_ERRNO(zmq_poller_wait(poller, &event, 0), EAGAIN);
    CHECK_ERRNO(zmq_poller_wait(poller, &event, -1), EFAULT);
    CHECK_OK(zmq_poller_modify(poller, b, ZMQ_POLLIN));
    CHECK_OK(zmq_poller_wait(poller, &event, -1));
    CHECK(event.socket == b && event.events == ZMQ_POLLIN && event.fd == -1);
    CHECK_OK(zmq_poller_destroy(&poller));
}

// The first that was added is the first of those that are ready.
TEST_EACH(events_in_the_order_of_adding, EACH_TRANSPORT) {
    enum { COUNT = 5 };
    void *poller = new_poller(), *push[COUNT], *pull[COUNT];
    zmq_poller_event_t events[COUNT];
    int marks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        push[i] = NEW_SOCKET(ZMQ_PUSH);
        pull[i] = NEW_SOCKET(ZMQ_PULL);
        CONNECT(push[i], BIND(pull[i], transport));
        CHECK_OK(zmq_poller_add(poller, pull[i], &marks[i], ZMQ_POLLIN));
    }
    for (int i = COUNT - 1; i >= 0; i--) {
        SEND(push[i], "x");
        WAIT_EVENTS(pull[i], ZMQ_POLLIN);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(zmq_poller_wait_all(poller, events, COUNT, DEADLINE_MS), COUNT - i);
        for (int k = i; k < COUNT; k++)
            CHECK(events[k - i].socket == pull[k] && events[k - i].user_data == &marks[k]);
        CHECK_OK(zmq_poller_wait(poller, &events[0], DEADLINE_MS));
        CHECK(events[0].socket == pull[i]);
        EXPECT(pull[i], "x");
    }
    CHECK_OK(zmq_poller_destroy(&poller));
}

TEST(waiting_takes_its_time) {
    void *poller = new_poller(), *s = NEW_SOCKET(ZMQ_PULL);
    zmq_poller_event_t event;
    for (int i = 0; i < 2; i++) {
        long long start = now_ms();
        CHECK_ERRNO(zmq_poller_wait(poller, &event, 60), EAGAIN);
        CHECK_BETWEEN(now_ms() - start, 59, DEADLINE_MS);
        if (i == 0)
            CHECK_OK(zmq_poller_add(poller, s, NULL, ZMQ_POLLIN));
    }
    CHECK_OK(zmq_poller_destroy(&poller));
}

// A byte out of band, and the end of the other side.
TEST(urgent_data_and_errors_of_descriptors) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), peer = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    CHECK_OK(bind(listener, (struct sockaddr *)&address, size));
    CHECK_OK(listen(listener, 1));
    CHECK_OK(getsockname(listener, (struct sockaddr *)&address, &size));
    CHECK_OK(connect(peer, (struct sockaddr *)&address, size));
    int fd = RAW_ACCEPT(listener);
    void *poller = new_poller();
    zmq_poller_event_t event;
    CHECK_OK(zmq_poller_add_fd(poller, fd, NULL, ZMQ_POLLPRI));
    CHECK_ERRNO(zmq_poller_wait(poller, &event, 0), EAGAIN);
    CHECK_EQ(send(peer, "!", 1, MSG_OOB), 1);
    CHECK_OK(zmq_poller_wait(poller, &event, DEADLINE_MS));
    CHECK(event.fd == fd && event.events == ZMQ_POLLPRI);
    // Errors are told without being asked for.
    CHECK_OK(setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
    close(peer);
    WAIT_UNTIL(zmq_poller_wait(poller, &event, 0) == 0 && event.events & ZMQ_POLLERR);
    CHECK_OK(zmq_poller_destroy(&poller));
    close(fd);
    close(listener);
}

// ---- what ends the waiting ---------------------------------------------------------------------

struct waiting {
    void *poller;
    int result, error;
    zmq_poller_event_t event;
    struct thread thread;
};

static void run_waiting(void *argument) {
    struct waiting *waiting = argument;
    waiting->result = zmq_poller_wait(waiting->poller, &waiting->event, -1);
    waiting->error = zmq_errno();
}

static void on_signal(int number) { (void)number; }

TEST_EACH(a_signal_ends_the_waiting, EACH_TRANSPORT) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    void *s = NEW_SOCKET(ZMQ_PULL);
    BIND(s, transport);
    struct waiting waiting = {.poller = new_poller()};
    CHECK_OK(zmq_poller_add(waiting.poller, s, NULL, ZMQ_POLLIN));
    start_thread(&waiting.thread, run_waiting, &waiting);
    WAIT_BLOCKED(&waiting.thread);
    CHECK_EQ(pthread_kill(waiting.thread.handle, SIGUSR1), 0);
    JOIN(&waiting.thread);
    CHECK_EQ(waiting.result, -1);
    CHECK_EQ(waiting.error, EINTR);
    CHECK(waiting.event.socket == NULL && waiting.event.fd == -1 && waiting.event.events == 0);
    CHECK_OK(zmq_poller_destroy(&waiting.poller));
}

TEST_EACH(the_end_of_the_context_ends_the_waiting, "pull", "server") {
    void *s = NEW_SOCKET(strcmp(transport, "pull") == 0 ? ZMQ_PULL : ZMQ_SERVER);
    struct waiting waiting = {.poller = new_poller()};
    CHECK_OK(zmq_poller_add(waiting.poller, s, NULL, ZMQ_POLLIN));
    start_thread(&waiting.thread, run_waiting, &waiting);
    WAIT_BLOCKED(&waiting.thread);
    CHECK_OK(zmq_ctx_shutdown(context()));
    JOIN(&waiting.thread);
    CHECK_EQ(waiting.result, -1);
    CHECK_EQ(waiting.error, ETERM);
    CHECK_OK(zmq_poller_destroy(&waiting.poller));
}

TEST_EACH_OURS_ONLY(closing_ends_the_waiting, "its sockets belong to one thread", "pull", "server") {
    void *s = NEW_SOCKET(strcmp(transport, "pull") == 0 ? ZMQ_PULL : ZMQ_SERVER);
    void *other = NEW_SOCKET(ZMQ_PULL);
    struct waiting waiting = {.poller = new_poller()};
    CHECK_OK(zmq_poller_add(waiting.poller, other, NULL, ZMQ_POLLIN));
    CHECK_OK(zmq_poller_add(waiting.poller, s, NULL, ZMQ_POLLIN));
    start_thread(&waiting.thread, run_waiting, &waiting);
    WAIT_BLOCKED(&waiting.thread);
    CLOSE(s);
    JOIN(&waiting.thread);
    CHECK_EQ(waiting.result, -1);
    CHECK_EQ(waiting.error, ENOTSOCK);
    // Others that come and find nothing to receive do not stand for it.
    for (int i = 0; i < 3; i++)
        CHECK_EQ(GET_INT(NEW_SOCKET(ZMQ_PULL), ZMQ_EVENTS), 0);
    CHECK_ERRNO(zmq_poller_wait(waiting.poller, &waiting.event, 0), ENOTSOCK);
    // It waits again once it has forgotten the socket.
    CHECK_ERRNO(zmq_poller_remove(waiting.poller, s), ENOTSOCK);
    CHECK_EQ(zmq_poller_size(waiting.poller), 1);
    CHECK_ERRNO(zmq_poller_wait(waiting.poller, &waiting.event, 0), EAGAIN);
    CHECK_OK(zmq_poller_destroy(&waiting.poller));
}
