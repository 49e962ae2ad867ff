// SPDX-License-Identifier: MPL-2.0
//
// zmq_ppoll: the signal mask is that of the wait, and of nothing else. A signal that only the mask
// lets through ends the wait; one that only the mask keeps away waits until it is over.
#include "harness.h"

#include <signal.h>
#include <unistd.h>

static _Atomic int handled;

static void on_signal(int number) {
    (void)number;
    handled++;
}

static void handle_usr1(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
}

static sigset_t only_usr1(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return set;
}

static bool is_blocked_here(void) {
    sigset_t now;
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
    return sigismember(&now, SIGUSR1);
}

// What is waited for: a socket, or the reading end of a pipe.
struct waiter {
    zmq_pollitem_t items[2];
    int count;
    bool blocks_before, blocks_meanwhile;
    int result, error;
    struct thread thread;
};

static void wait_with_mask(void *argument) {
    struct waiter *waiter = argument;
    const sigset_t usr1 = only_usr1();
    sigset_t mask;
    sigemptyset(&mask);
    if (waiter->blocks_meanwhile)
        mask = usr1;
    CHECK_EQ(pthread_sigmask(waiter->blocks_before ? SIG_BLOCK : SIG_UNBLOCK, &usr1, NULL), 0);
    errno = 0;
    waiter->result = zmq_ppoll(waiter->items, waiter->count, -1, &mask);
    waiter->error = zmq_errno();
    CHECK_EQ(is_blocked_here(), waiter->blocks_before);
}

// A pipe ("descriptor"), a pair of sockets over a transport, or both.
struct source {
    void *push, *pull;
    int ends[2];
};

static struct source make_source(const char *kind, struct waiter *waiter) {
    struct source source = {0};
    CHECK_OK(pipe(source.ends));
    waiter->count = 0;
    if (strcmp(kind, "descriptor") != 0) {
        source.push = NEW_SOCKET(ZMQ_PUSH);
        source.pull = NEW_SOCKET(ZMQ_PULL);
        CONNECT(source.push, BIND(source.pull, strcmp(kind, "both") == 0 ? "tcp" : kind));
        // The connection is there.
        SEND(source.push, "first");
        EXPECT(source.pull, "first");
        waiter->items[waiter->count++] = (zmq_pollitem_t){source.pull, 0, ZMQ_POLLIN, 0};
    }
    if (strcmp(kind, "descriptor") == 0 || strcmp(kind, "both") == 0)
        waiter->items[waiter->count++] = (zmq_pollitem_t){NULL, source.ends[0], ZMQ_POLLIN, 0};
    return source;
}

static void make_ready(struct source *source) {
    if (source->push)
        SEND(source->push, "x");
    else
        CHECK_EQ(write(source->ends[1], "x", 1), 1);
}

#define EACH_SOURCE "descriptor", "both", EACH_TRANSPORT

TEST_EACH(a_signal_the_mask_lets_through, EACH_SOURCE) {
    handle_usr1();
    struct waiter waiter = {.blocks_before = true};
    struct source source = make_source(transport, &waiter);
    for (int i = 1; i <= 3; i++) {
        start_thread(&waiter.thread, wait_with_mask, &waiter);
        WAIT_BLOCKED(&waiter.thread);
        CHECK_EQ(pthread_kill(waiter.thread.handle, SIGUSR1), 0);
        JOIN(&waiter.thread);
        CHECK_EQ(waiter.result, -1);
        CHECK_EQ(waiter.error, EINTR);
        CHECK_EQ(handled, i);
    }
    // Nothing of it is left for the next wait.
    start_thread(&waiter.thread, wait_with_mask, &waiter);
    make_ready(&source);
    JOIN(&waiter.thread);
    CHECK_EQ(waiter.result, 1);
}

// It came before the wait: no wait can be late for it.
TEST_EACH(a_signal_that_is_pending, EACH_SOURCE) {
    handle_usr1();
    const sigset_t usr1 = only_usr1();
    sigset_t before;
    struct waiter waiter = {0};
    make_source(transport, &waiter);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &usr1, &before), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(handled, 0);
    // Another mask that blocks it, too, does not let it through.
    CHECK_EQ(zmq_ppoll(waiter.items, waiter.count, 20, &usr1), 0);
    CHECK_EQ(handled, 0);
    CHECK_ERRNO(zmq_ppoll(waiter.items, waiter.count, -1, &before), EINTR);
    CHECK_EQ(handled, 1);
    CHECK(is_blocked_here());
    CHECK_EQ(zmq_ppoll(waiter.items, waiter.count, 20, &before), 0);
}

TEST_EACH(a_signal_the_mask_keeps_away, EACH_SOURCE) {
    handle_usr1();
    struct waiter waiter = {.blocks_meanwhile = true};
    struct source source = make_source(transport, &waiter);
    start_thread(&waiter.thread, wait_with_mask, &waiter);
    WAIT_BLOCKED(&waiter.thread);
    CHECK_EQ(pthread_kill(waiter.thread.handle, SIGUSR1), 0);
    WAIT_BLOCKED(&waiter.thread);
    CHECK_EQ(handled, 0);
    make_ready(&source);
    JOIN(&waiter.thread);
    CHECK_EQ(waiter.result, 1);
    CHECK_EQ(handled, 1);
}

TEST_EACH(without_a_mask_it_is_the_threads_own, EACH_SOURCE) {
    handle_usr1();
    const sigset_t usr1 = only_usr1();
    struct waiter waiter = {0};
    make_source(transport, &waiter);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &usr1, NULL), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(zmq_ppoll(waiter.items, waiter.count, 20, NULL), 0);
    CHECK_EQ(handled, 0);
}

TEST(timeout_and_arguments) {
    sigset_t mask;
    sigemptyset(&mask);
    zmq_pollitem_t item = {.fd = 0};
    CHECK_ERRNO(zmq_ppoll(NULL, 1, 0, &mask), EFAULT);
    CHECK_ERRNO(zmq_ppoll(&item, -1, 0, &mask), EINVAL);
    CHECK_EQ(zmq_ppoll(NULL, 0, 0, &mask), 0);
    long long start = now_ms();
    CHECK_EQ(zmq_ppoll(NULL, 0, 60, &mask), 0);
    CHECK_BETWEEN(now_ms() - start, 59, DEADLINE_MS);
}

// However lively the traffic is, a signal that only the mask lets through is handled: the call that
// finds a message as well answers EINTR, and the message is still there.
TEST(a_signal_beside_a_message) {
    handle_usr1();
    const sigset_t usr1 = only_usr1();
    sigset_t before;
    struct waiter waiter = {0};
    struct source source = make_source("tcp", &waiter);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &usr1, &before), 0);
    for (int i = 1; i <= 20; i++) {
        make_ready(&source);
        WAIT_EVENTS(source.pull, ZMQ_POLLIN);
        CHECK_EQ(raise(SIGUSR1), 0);
        CHECK_ERRNO(zmq_ppoll(waiter.items, waiter.count, -1, &before), EINTR);
        CHECK_EQ(handled, i);
        CHECK_EQ(zmq_ppoll(waiter.items, waiter.count, -1, &before), 1);
        EXPECT(source.pull, "x");
    }
}
