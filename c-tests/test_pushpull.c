// SPDX-License-Identifier: MPL-2.0
//
// PUSH and PULL (RFC 30).
#include "harness.h"

TEST_EACH(one_way, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    SEND(push, "a", "", "b");
    SEND(push, "");
    EXPECT(pull, "a", "", "b");
    EXPECT(pull, "");
    EXPECT_NOTHING(pull);
}

TEST_EACH(connecting_pull, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(pull, BIND(push, transport));
    SEND(push, "a");
    EXPECT(pull, "a");
}

TEST_EACH(push_goes_round, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pulls[4];
    for (int i = 0; i < 4; i++) {
        pulls[i] = NEW_SOCKET(ZMQ_PULL);
        CONNECT(push, BIND(pulls[i], transport));
    }
    for (int i = 0; i < 20; i++)
        SEND_BYTES(push, &i, sizeof i, 0);
    for (int i = 0; i < 20; i++)
        EXPECT_BYTES(pulls[i % 4], &i, sizeof i, false);
}

// A message is never spread over peers.
TEST_EACH(parts_stay_together, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pulls[2];
    for (int i = 0; i < 2; i++) {
        pulls[i] = NEW_SOCKET(ZMQ_PULL);
        CONNECT(push, BIND(pulls[i], transport));
    }
    for (int i = 0; i < 10; i++)
        SEND(push, "a", "b", "c");
    for (int i = 0; i < 10; i++)
        EXPECT(pulls[i % 2], "a", "b", "c");
}

TEST_EACH(pull_takes_fairly, EACH_TRANSPORT) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *pushes[3];
    const char *endpoint = BIND(pull, transport);
    static const char *const names[] = {"0", "1", "2"};
    int seen[3] = {0};
    for (int i = 0; i < 3; i++) {
        pushes[i] = NEW_SOCKET(ZMQ_PUSH);
        CONNECT(pushes[i], endpoint);
        SEND(pushes[i], "hello");
        EXPECT(pull, "hello");
    }
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 10; k++)
            SEND(pushes[i], names[i], "end");
    for (int i = 0; i < 30; i++) {
        struct frame name = RECV(pull);
        seen[name.data[0] - '0']++;
        EXPECT(pull, "end");
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(seen[i], 10);
}

// With everything there, the turns are strict.
TEST(pull_takes_in_turn) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *pushes[3];
    const char *endpoint = BIND(pull, "inproc");
    static const char *const names[] = {"0", "1", "2"};
    for (int i = 0; i < 3; i++) {
        pushes[i] = NEW_SOCKET(ZMQ_PUSH);
        CONNECT(pushes[i], endpoint);
        for (int k = 0; k < 5; k++)
            SEND(pushes[i], names[i]);
    }
    WAIT_EVENTS(pull, ZMQ_POLLIN);
    int first = RECV(pull).data[0] - '0';
    for (int i = 1; i < 15; i++)
        EXPECT(pull, names[(first + i) % 3]);
}

TEST(push_without_a_peer) {
    void *push = NEW_SOCKET(ZMQ_PUSH);
    BIND(push, "tcp");
    CHECK_ERRNO(zmq_send(push, "x", 1, ZMQ_DONTWAIT), EAGAIN);
    SET_INT(push, ZMQ_SNDTIMEO, 30);
    CHECK_ERRNO(zmq_send(push, "x", 1, 0), EAGAIN);
}

static void push_one(void *push) { SEND(push, "at last"); }

TEST_EACH(a_blocked_push_goes_on_with_a_peer, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(push, transport);
    struct thread thread;
    start_thread(&thread, push_one, push);
    WAIT_BLOCKED(&thread);
    CONNECT(pull, endpoint);
    EXPECT(pull, "at last");
    JOIN(&thread);
}

static void pull_one(void *pull) { EXPECT(pull, "at last"); }

TEST_EACH(a_blocked_pull_is_woken, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    struct thread thread;
    start_thread(&thread, pull_one, pull);
    WAIT_BLOCKED(&thread);
    SEND(push, "at last");
    JOIN(&thread);
}

TEST_EACH(a_pull_blocked_before_the_connection_is_woken, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(pull, transport);
    struct thread thread;
    start_thread(&thread, pull_one, pull);
    WAIT_BLOCKED(&thread);
    CONNECT(push, endpoint);
    SEND(push, "at last");
    JOIN(&thread);
}

TEST_EACH(what_waits_survives_the_sender, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_LINGER, -1);
    CONNECT(push, BIND(pull, transport));
    for (int i = 0; i < 500; i++)
        SEND_BYTES(push, &i, sizeof i, 0);
    CLOSE(push);
    for (int i = 0; i < 500; i++)
        EXPECT_BYTES(pull, &i, sizeof i, false);
}

// What a sender has not finished when it closes is no message.
TEST_EACH(sender_gone_in_mid_message, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *other = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(pull, transport);
    SET_INT(push, ZMQ_LINGER, -1);
    CONNECT(push, endpoint);
    SEND(push, "whole", "message");
    SEND_BYTES(push, "begun", 5, ZMQ_SNDMORE);
    CLOSE(push);
    EXPECT(pull, "whole", "message");
    EXPECT_NOTHING(pull);
    CONNECT(other, endpoint);
    SEND(other, "another's");
    EXPECT(pull, "another's");
}

// A peer that dies in the middle of a message: the rest of it vanishes, the next message is whole.
TEST_EACH(peer_gone_in_mid_message, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *first = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(push, transport);
    CONNECT(first, endpoint);
    SEND(push, "hello");
    EXPECT(first, "hello");
    SEND_BYTES(push, "begun", 5, ZMQ_SNDMORE);
    CLOSE(first);
    void *second = NEW_SOCKET(ZMQ_PULL);
    CONNECT(second, endpoint);
    SEND_BYTES(push, "going on", 8, ZMQ_SNDMORE);
    SEND_BYTES(push, "the end", 7, 0);
    // Some of these may still go to the first; nothing but whole ones reaches the second.
    do
        if (zmq_send(push, "whole", 5, ZMQ_SNDMORE | ZMQ_DONTWAIT) == 5)
            SEND(push, "message");
    while (!shows_events(second, ZMQ_POLLIN, 5));
    EXPECT(second, "whole", "message");
}

// The part that finds its peer gone fails for a sender that does not wait; the rest vanishes too.
TEST_EACH(peer_gone_in_mid_message_without_waiting, "DONTWAIT", "SNDTIMEO") {
    const int flag = strcmp(transport, "DONTWAIT") == 0 ? ZMQ_DONTWAIT : 0;
    void *push = NEW_SOCKET(ZMQ_PUSH), *first = NEW_SOCKET(ZMQ_PULL), *second = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(push, "inproc");
    CONNECT(first, endpoint);
    SEND_BYTES(push, "begun", 5, ZMQ_SNDMORE);
    CONNECT(second, endpoint);
    CLOSE(first);
    SET_INT(push, ZMQ_SNDTIMEO, flag ? -1 : 0);
    // libzmq does not look at the end of a peer with every call. When it finds the pipe gone
    // altogether, it swallows everything without a word.
    const long long deadline = now_ms() + (reference_library() ? 1000 : DEADLINE_MS);
    while (zmq_send(push, "going on", 8, ZMQ_SNDMORE | flag) == 8)
        if (now_ms() > deadline) {
            CHECK(reference_library());
            errno = EAGAIN;
            break;
        }
    CHECK_EQ(zmq_errno(), EAGAIN);
    SEND_BYTES(push, "swallowed", 9, ZMQ_SNDMORE | flag);
    SEND_BYTES(push, "the end", 7, flag);
    SEND(push, "whole", "message");
    EXPECT(second, "whole", "message");
    EXPECT_NOTHING(second);
}

TEST_EACH(a_dead_peer_is_left_out, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *stays = NEW_SOCKET(ZMQ_PULL), *dies = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(push, transport);
    CONNECT(stays, endpoint);
    CONNECT(dies, endpoint);
    // Until both are known.
    bool both[2] = {false};
    struct frame frame;
    WAIT_UNTIL((SEND(push, "?"), both[0] |= TRY_RECV(stays, &frame),
                both[1] |= TRY_RECV(dies, &frame), both[0] && both[1]));
    CLOSE(dies);
    int received = 0;
    const long long deadline = now_ms() + DEADLINE_MS;
    // In the end every message comes here: ten in a row.
    for (int i = 0; received < 10 && now_ms() < deadline; i++) {
        SEND_BYTES(push, &i, sizeof i, 0);
        bool found = false;
        while (shows_events(stays, ZMQ_POLLIN, 20)) {
            struct frame got = RECV(stays);
            found |= got.size == sizeof i && memcmp(got.data, &i, sizeof i) == 0;
        }
        received = found ? received + 1 : 0;
    }
    CHECK_EQ(received, 10);
}

TEST_EACH(many_messages, EACH_TRANSPORT) {
    enum { COUNT = 20000 };
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    int sent = 0, received = 0;
    while (received < COUNT) {
        while (sent < COUNT && zmq_send(push, &sent, sizeof sent, ZMQ_DONTWAIT) == sizeof sent)
            sent++;
        int number;
        while (received < COUNT &&
               zmq_recv(pull, &number, sizeof number, received < sent ? 0 : ZMQ_DONTWAIT) > 0) {
            CHECK_EQ(number, received);
            received++;
            if (received == sent)
                break;
        }
    }
}

// Newcomers take their place behind those that are there.
TEST(newcomers_come_last) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pulls[4];
    for (int i = 0; i < 4; i++)
        pulls[i] = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pulls[0], "inproc"));
    CONNECT(push, BIND(pulls[1], "inproc"));
    SEND(push, "0");
    CONNECT(push, BIND(pulls[2], "inproc"));
    CONNECT(push, BIND(pulls[3], "inproc"));
    SEND(push, "1");
    SEND(push, "2");
    SEND(push, "3");
    SEND(push, "0 again");
    static const char *const texts[] = {"0", "1", "2", "3"};
    for (int i = 0; i < 4; i++)
        EXPECT(pulls[i], texts[i]);
    EXPECT(pulls[0], "0 again");
}
