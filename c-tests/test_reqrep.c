// SPDX-License-Identifier: MPL-2.0
//
// REQ and REP (RFC 28): the order of calls, envelopes, correlated and relaxed requests.
#include "harness.h"

static void make_pair(const char *transport, void **req, void **rep) {
    *rep = NEW_SOCKET(ZMQ_REP);
    *req = NEW_SOCKET(ZMQ_REQ);
    CONNECT(*req, BIND(*rep, transport));
}

TEST_EACH(round_trips, EACH_TRANSPORT) {
    void *req, *rep;
    make_pair(transport, &req, &rep);
    for (int i = 0; i < 50; i++) {
        SEND(req, "question");
        EXPECT(rep, "question");
        SEND(rep, "answer");
        EXPECT(req, "answer");
    }
}

TEST_EACH(multipart, EACH_TRANSPORT) {
    void *req, *rep;
    make_pair(transport, &req, &rep);
    SEND(req, "a", "", "b", "");
    EXPECT(rep, "a", "", "b", "");
    SEND(rep, "", "c");
    EXPECT(req, "", "c");
    SEND(req, "");
    EXPECT(rep, "");
    SEND(rep, "");
    EXPECT(req, "");
}

TEST_EACH(connecting_rep, EACH_TRANSPORT) {
    void *req = NEW_SOCKET(ZMQ_REQ), *rep = NEW_SOCKET(ZMQ_REP);
    CONNECT(rep, BIND(req, transport));
    SEND(req, "question");
    EXPECT(rep, "question");
    SEND(rep, "answer");
    EXPECT(req, "answer");
}

// ---- the order of calls ------------------------------------------------------------------------

TEST_EACH(req_order, EACH_TRANSPORT) {
    void *req, *rep;
    char buffer[8];
    make_pair(transport, &req, &rep);
    CHECK_ERRNO(zmq_recv(req, buffer, sizeof buffer, 0), EFSM);
    CHECK_ERRNO(zmq_recv(req, buffer, sizeof buffer, ZMQ_DONTWAIT), EFSM);
    SEND_BYTES(req, "a", 1, ZMQ_SNDMORE);
    CHECK_ERRNO(zmq_recv(req, buffer, sizeof buffer, 0), EFSM);
    SEND_BYTES(req, "b", 1, 0);
    CHECK_ERRNO(zmq_send(req, "again", 5, 0), EFSM);
    CHECK_ERRNO(zmq_send(req, "again", 5, ZMQ_DONTWAIT), EFSM);
    EXPECT(rep, "a", "b");
    SEND(rep, "c", "d");
    EXPECT_BYTES(req, "c", 1, true);
    CHECK_ERRNO(zmq_send(req, "again", 5, 0), EFSM);
    EXPECT_BYTES(req, "d", 1, false);
    CHECK_ERRNO(zmq_recv(req, buffer, sizeof buffer, 0), EFSM);
    SEND(req, "next");
    EXPECT(rep, "next");
}

TEST_EACH(rep_order, EACH_TRANSPORT) {
    void *req, *rep;
    char buffer[8];
    make_pair(transport, &req, &rep);
    CHECK_ERRNO(zmq_send(rep, "x", 1, 0), EFSM);
    SEND(req, "a", "b");
    EXPECT_BYTES(rep, "a", 1, true);
    CHECK_ERRNO(zmq_send(rep, "x", 1, 0), EFSM);
    EXPECT_BYTES(rep, "b", 1, false);
    CHECK_ERRNO(zmq_recv(rep, buffer, sizeof buffer, 0), EFSM);
    CHECK_ERRNO(zmq_recv(rep, buffer, sizeof buffer, ZMQ_DONTWAIT), EFSM);
    SEND_BYTES(rep, "c", 1, ZMQ_SNDMORE);
    CHECK_ERRNO(zmq_recv(rep, buffer, sizeof buffer, 0), EFSM);
    SEND_BYTES(rep, "d", 1, 0);
    CHECK_ERRNO(zmq_send(rep, "x", 1, 0), EFSM);
    EXPECT(req, "c", "d");
}

TEST_EACH(events_follow_the_order, EACH_TRANSPORT) {
    void *req, *rep;
    make_pair(transport, &req, &rep);
    WAIT_EVENTS(req, ZMQ_POLLOUT);
    CHECK_EQ(GET_INT(req, ZMQ_EVENTS), ZMQ_POLLOUT);
    CHECK_EQ(GET_INT(rep, ZMQ_EVENTS), 0);
    SEND(req, "question");
    CHECK_EQ(GET_INT(req, ZMQ_EVENTS), 0);
    WAIT_EVENTS(rep, ZMQ_POLLIN);
    CHECK_EQ(GET_INT(rep, ZMQ_EVENTS), ZMQ_POLLIN);
    EXPECT(rep, "question");
    CHECK_EQ(GET_INT(rep, ZMQ_EVENTS), ZMQ_POLLOUT);
    SEND(rep, "answer");
    CHECK_EQ(GET_INT(rep, ZMQ_EVENTS), 0);
    WAIT_EVENTS(req, ZMQ_POLLIN);
    CHECK_EQ(GET_INT(req, ZMQ_EVENTS), ZMQ_POLLIN);
    EXPECT(req, "answer");
    CHECK_EQ(GET_INT(req, ZMQ_EVENTS), ZMQ_POLLOUT);
}

TEST(req_without_a_peer) {
    void *req = NEW_SOCKET(ZMQ_REQ);
    BIND(req, "tcp");
    CHECK_ERRNO(zmq_send(req, "x", 1, ZMQ_DONTWAIT), EAGAIN);
    SET_INT(req, ZMQ_SNDTIMEO, 50);
    CHECK_ERRNO(zmq_send(req, "x", 1, 0), EAGAIN);
    char buffer[8];
    CHECK_ERRNO(zmq_recv(req, buffer, sizeof buffer, 0), EFSM);
    // Nothing was begun: the whole request is sent once a peer is there.
    void *rep = NEW_SOCKET(ZMQ_REP);
    CONNECT(rep, LAST_ENDPOINT(req));
    SET_INT(req, ZMQ_SNDTIMEO, -1);
    SEND(req, "request");
    EXPECT(rep, "request");
}

// ---- several peers -----------------------------------------------------------------------------

TEST_EACH(requests_go_round, EACH_TRANSPORT) {
    void *req = NEW_SOCKET(ZMQ_REQ), *reps[3];
    for (int i = 0; i < 3; i++) {
        reps[i] = NEW_SOCKET(ZMQ_REP);
        CONNECT(req, BIND(reps[i], transport));
    }
    for (int i = 0; i < 9; i++) {
        SEND(req, "question");
        EXPECT(reps[i % 3], "question");
        SEND(reps[i % 3], "answer");
        EXPECT(req, "answer");
    }
}

TEST_EACH(requests_are_taken_fairly, EACH_TRANSPORT) {
    void *rep = NEW_SOCKET(ZMQ_REP), *reqs[5];
    const char *endpoint = BIND(rep, transport);
    static const char *const names[] = {"0", "1", "2", "3", "4"};
    int seen[5] = {0};
    for (int i = 0; i < 5; i++) {
        reqs[i] = NEW_SOCKET(ZMQ_REQ);
        CONNECT(reqs[i], endpoint);
        SEND(reqs[i], names[i]);
    }
    for (int i = 0; i < 5; i++) {
        struct frame frame = RECV(rep);
        seen[frame.data[0] - '0']++;
        SEND_FRAME(rep, frame, 0);
    }
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(seen[i], 1);
        EXPECT(reqs[i], names[i]);
    }
}

TEST_EACH(reply_to_who_has_gone, EACH_TRANSPORT) {
    void *rep = NEW_SOCKET(ZMQ_REP), *gone = NEW_SOCKET(ZMQ_REQ), *stays = NEW_SOCKET(ZMQ_REQ);
    const char *endpoint = BIND(rep, transport);
    CONNECT(gone, endpoint);
    SEND(gone, "and away");
    EXPECT(rep, "and away");
    CLOSE(gone);
    CONNECT(stays, endpoint);
    SEND(stays, "question");
    SEND(rep, "nobody hears this");
    EXPECT(rep, "question");
    SEND(rep, "answer");
    EXPECT(stays, "answer");
}

// ---- envelopes ---------------------------------------------------------------------------------

TEST_EACH(what_req_sends, EACH_TRANSPORT) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_TEXT(req, ZMQ_ROUTING_ID, "the client");
    CONNECT(req, BIND(router, transport));
    SEND(req, "a", "b");
    EXPECT(router, "the client", "", "a", "b");
    SEND(router, "the client", "", "c", "d");
    EXPECT(req, "c", "d");
}

TEST_EACH(what_rep_returns, EACH_TRANSPORT) {
    void *rep = NEW_SOCKET(ZMQ_REP), *dealer = NEW_SOCKET(ZMQ_DEALER);
    CONNECT(dealer, BIND(rep, transport));
    SEND(dealer, "way", "back", "", "a", "", "b");
    EXPECT(rep, "a", "", "b");
    SEND(rep, "c", "d");
    EXPECT(dealer, "way", "back", "", "c", "d");
    SEND(dealer, "", "a");
    EXPECT(rep, "a");
    SEND(rep, "b");
    EXPECT(dealer, "", "b");
}

TEST_EACH(rep_skips_what_has_no_delimiter, EACH_TRANSPORT) {
    void *rep = NEW_SOCKET(ZMQ_REP), *dealer = NEW_SOCKET(ZMQ_DEALER);
    CONNECT(dealer, BIND(rep, transport));
    SEND(dealer, "no", "delimiter");
    SEND(dealer, "one part");
    SEND(dealer, "id", "", "good");
    EXPECT(rep, "good");
    SEND(rep, "answer");
    EXPECT(dealer, "id", "", "answer");
    EXPECT_NOTHING(dealer);
}

// An answer without a delimiter, over inproc, where no session looks at it first.
TEST(req_skips_a_malformed_reply) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    CONNECT(req, BIND(router, "inproc"));
    SEND(req, "question");
    struct frame id = RECV(router);
    EXPECT(router, "", "question");
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND(router, "malformed");
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND(router, "malformed", "too");
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND(router, "", "good");
    EXPECT(req, "good");
}

TEST_EACH(a_malformed_reply_ends_the_connection, EACH_STREAM, "ws") {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    void *mon = MONITOR(req, ZMQ_EVENT_DISCONNECTED);
    CONNECT(req, BIND(router, transport));
    SEND(req, "question");
    struct frame id = RECV(router);
    EXPECT(router, "", "question");
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND(router, "malformed");
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
}

// Nothing ties a reply to its request without REQ_CORRELATE: a surplus reply is dropped when it is
// there before the next request, and answers that request when it comes later.
TEST_EACH(a_surplus_reply_is_taken_at_most_once, EACH_TRANSPORT) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_TEXT(req, ZMQ_ROUTING_ID, "c");
    CONNECT(req, BIND(router, transport));
    SEND(req, "first");
    EXPECT(router, "c", "", "first");
    SEND(router, "c", "", "answer");
    SEND(router, "c", "", "surplus");
    EXPECT(req, "answer");
    SEND(req, "second");
    EXPECT(router, "c", "", "second");
    SEND(router, "c", "", "answer to the second");
    struct frame frame = RECV(req);
    bool surplus = frame.size == 7 && !memcmp(frame.data, "surplus", 7);
    // Over inproc the surplus is there before the second request, always.
    CHECK(!surplus || strcmp(transport, "inproc"));
    if (!surplus) {
        CHECK_EQ(frame.size, 20);
        CHECK(!memcmp(frame.data, "answer to the second", 20));
    }
    // Either way that was the reply, and the next word is the caller's.
    char byte;
    CHECK_ERRNO(zmq_recv(req, &byte, 1, ZMQ_DONTWAIT), EFSM);
}

// Only who was asked may answer.
TEST_EACH(another_peer_s_reply_is_not_taken, EACH_TRANSPORT) {
    void *req = NEW_SOCKET(ZMQ_REQ), *routers[2];
    SET_TEXT(req, ZMQ_ROUTING_ID, "c");
    for (int i = 0; i < 2; i++) {
        routers[i] = NEW_SOCKET(ZMQ_ROUTER);
        CONNECT(req, BIND(routers[i], transport));
    }
    for (int i = 0; i < 2; i++) {
        SEND(req, "hello");
        EXPECT(routers[i], "c", "", "hello");
        SEND(routers[i], "c", "", "hello");
        EXPECT(req, "hello");
    }
    SEND(req, "question");
    EXPECT(routers[0], "c", "", "question");
    SEND(routers[1], "c", "", "not asked");
    // libzmq's ZMQ_EVENTS may tell of it; there is nothing to receive.
    struct frame frame;
    shows_events(req, ZMQ_POLLIN, ABSENCE_MS);
    CHECK(!TRY_RECV(req, &frame));
    SEND(routers[0], "c", "", "answer");
    EXPECT(req, "answer");
}

// Once who was asked has gone, anybody's reply is as good.
TEST_EACH(after_the_peer_has_gone_another_s_reply_is_taken, EACH_TRANSPORT) {
    void *req = NEW_SOCKET(ZMQ_REQ), *routers[2];
    const char *endpoints[2];
    SET_TEXT(req, ZMQ_ROUTING_ID, "c");
    for (int i = 0; i < 2; i++) {
        routers[i] = NEW_SOCKET(ZMQ_ROUTER);
        endpoints[i] = BIND(routers[i], transport);
        CONNECT(req, endpoints[i]);
    }
    for (int i = 0; i < 2; i++) {
        SEND(req, "hello");
        EXPECT(routers[i], "c", "", "hello");
        SEND(routers[i], "c", "", "hello");
        EXPECT(req, "hello");
    }
    SEND(req, "question");
    EXPECT(routers[0], "c", "", "question");
    CHECK_OK(zmq_disconnect(req, endpoints[0]));
    // With libzmq the pipe is gone only when its other end has heard of it.
    struct frame reply;
    WAIT_DRIVING(routers[0], (SEND(routers[1], "c", "", "answer"), TRY_RECV(req, &reply)));
    CHECK_BYTES(reply.data, reply.size, "answer", 6);
}

TEST(a_full_requester_loses_its_reply) {
    void *rep = NEW_SOCKET(ZMQ_REP), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(rep, ZMQ_SNDHWM, 1);
    SET_INT(dealer, ZMQ_RCVHWM, 1);
    CONNECT(dealer, BIND(rep, "inproc"));
    for (int i = 0; i < 10; i++) {
        SEND(dealer, "", "request");
        EXPECT(rep, "request");
        SEND(rep, "reply");
    }
    for (int i = 0; i < 2; i++)
        EXPECT(dealer, "", "reply");
    EXPECT_NOTHING(dealer);
}

// A requester that goes while its request is being read: the rest is there, the reply is dropped.
TEST_EACH(requester_gone_in_mid_request, EACH_TRANSPORT) {
    void *rep = NEW_SOCKET(ZMQ_REP), *dealer = NEW_SOCKET(ZMQ_DEALER), *req = NEW_SOCKET(ZMQ_REQ);
    const char *endpoint = BIND(rep, transport);
    CONNECT(dealer, endpoint);
    SEND(dealer, "", "a", "b");
    EXPECT_BYTES(rep, "a", 1, true);
    CLOSE(dealer);
    CONNECT(req, endpoint);
    SEND(req, "next");
    EXPECT(rep, "b");
    SEND(rep, "to nobody", "any more");
    EXPECT(rep, "next");
    SEND(rep, "answer");
    EXPECT(req, "answer");
}

// ---- REQ_CORRELATE and REQ_RELAXED -------------------------------------------------------------

static void send_reply(void *router, const struct frame *id, const struct frame *request_id,
                       const char *text) {
    SEND_BYTES(router, id->data, id->size, ZMQ_SNDMORE);
    if (request_id)
        SEND_BYTES(router, request_id->data, request_id->size, ZMQ_SNDMORE);
    SEND(router, "", text);
}

TEST_EACH(correlate, EACH_TRANSPORT) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(req, ZMQ_REQ_CORRELATE, 1);
    CONNECT(req, BIND(router, transport));
    SEND(req, "question");
    struct frame id = RECV(router), request_id = RECV(router);
    CHECK_EQ(request_id.size, 4);
    CHECK(request_id.more);
    EXPECT(router, "", "question");

    struct frame wrong = request_id;
    wrong.data[0] ^= 0xff;
    send_reply(router, &id, &wrong, "wrong id");
    send_reply(router, &id, &request_id, "right id");
    EXPECT(req, "right id");

    // Each request has the next id.
    SEND(req, "question");
    RECV(router);
    struct frame next = RECV(router);
    uint32_t first_number, second_number;
    memcpy(&first_number, request_id.data, 4);
    memcpy(&second_number, next.data, 4);
    CHECK_EQ(second_number, (uint32_t)(first_number + 1));
}

TEST(correlate_skips_a_reply_without_id) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(req, ZMQ_REQ_CORRELATE, 1);
    CONNECT(req, BIND(router, "inproc"));
    SEND(req, "question");
    struct frame id = RECV(router), request_id = RECV(router);
    EXPECT(router, "", "question");
    send_reply(router, &id, NULL, "no id");
    send_reply(router, &id, &request_id, "right id");
    EXPECT(req, "right id");
}

TEST(correlate_skips_what_has_the_id_and_no_delimiter) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(req, ZMQ_REQ_CORRELATE, 1);
    CONNECT(req, BIND(router, "inproc"));
    SEND(req, "question");
    struct frame id = RECV(router), request_id = RECV(router);
    EXPECT(router, "", "question");
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND_FRAME(router, request_id, ZMQ_SNDMORE);
    SEND(router, "no delimiter", "answer");
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND_FRAME(router, request_id, 0);
    // A delimiter with nothing behind it.
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND_FRAME(router, request_id, ZMQ_SNDMORE);
    SEND(router, "");
    send_reply(router, &id, &request_id, "good");
    EXPECT(req, "good");
}

// Four bytes ahead of the delimiter are well-formed, but not asked for.
TEST_EACH(a_reply_with_an_id_that_was_not_asked_for, EACH_TRANSPORT) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    CONNECT(req, BIND(router, transport));
    SEND(req, "question");
    struct frame id = RECV(router);
    EXPECT(router, "", "question");
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND(router, "1234", "", "skipped");
    send_reply(router, &id, NULL, "answer");
    EXPECT(req, "answer");
}

// The id moves on with every attempt, those that fail included.
TEST(correlate_counts_failed_attempts) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(req, ZMQ_REQ_CORRELATE, 1);
    const char *endpoint = BIND(router, "tcp");
    uint32_t numbers[2];
    for (int i = 0; i < 2; i++) {
        CONNECT(req, endpoint);
        SEND(req, "question");
        struct frame id = RECV(router), number = RECV(router);
        EXPECT(router, "", "question");
        CHECK_EQ(number.size, 4);
        memcpy(&numbers[i], number.data, 4);
        SEND_FRAME(router, id, ZMQ_SNDMORE);
        SEND_FRAME(router, number, ZMQ_SNDMORE);
        SEND(router, "", "answer");
        EXPECT(req, "answer");
        CHECK_OK(zmq_disconnect(req, endpoint));
        for (int k = 0; k < 2; k++)
            CHECK_ERRNO(zmq_send(req, "nobody", 6, ZMQ_DONTWAIT), EAGAIN);
    }
    CHECK_EQ(numbers[1], (uint32_t)(numbers[0] + 3));
}

TEST_EACH(correlate_with_rep, EACH_TRANSPORT) {
    void *req, *rep;
    make_pair(transport, &req, &rep);
    SET_INT(req, ZMQ_REQ_CORRELATE, 1);
    for (int i = 0; i < 5; i++) {
        SEND(req, "a", "b");
        EXPECT(rep, "a", "b");
        SEND(rep, "c");
        EXPECT(req, "c");
    }
}

TEST_EACH(relaxed_sends_again, EACH_TRANSPORT) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(req, ZMQ_REQ_RELAXED, 1);
    SET_INT(req, ZMQ_REQ_CORRELATE, 1);
    CONNECT(req, BIND(router, transport));
    SEND(req, "first");
    struct frame id = RECV(router), first = RECV(router);
    EXPECT(router, "", "first");
    SEND(req, "second");
    RECV(router);
    struct frame second = RECV(router);
    EXPECT(router, "", "second");
    send_reply(router, &id, &first, "to the first");
    send_reply(router, &id, &second, "to the second");
    EXPECT(req, "to the second");
}

TEST_EACH(relaxed_goes_to_the_next_peer, EACH_TRANSPORT) {
    void *req = NEW_SOCKET(ZMQ_REQ), *reps[2];
    SET_INT(req, ZMQ_REQ_RELAXED, 1);
    SET_INT(req, ZMQ_REQ_CORRELATE, 1);
    for (int i = 0; i < 2; i++) {
        reps[i] = NEW_SOCKET(ZMQ_REP);
        CONNECT(req, BIND(reps[i], transport));
    }
    SEND(req, "first");
    EXPECT(reps[0], "first");
    SEND(req, "second");
    EXPECT(reps[1], "second");
    SEND(reps[0], "late");
    SEND(reps[1], "in time");
    EXPECT(req, "in time");
}

TEST(relaxed_survives_its_server) {
    void *req = NEW_SOCKET(ZMQ_REQ), *rep = NEW_SOCKET(ZMQ_REP);
    SET_INT(req, ZMQ_REQ_RELAXED, 1);
    SET_INT(req, ZMQ_REQ_CORRELATE, 1);
    SET_INT(req, ZMQ_RECONNECT_IVL, 10);
    char *endpoint = strdup(BIND(rep, "tcp"));
    void *mon = MONITOR(req, ZMQ_EVENT_DISCONNECTED);
    CONNECT(req, endpoint);
    SEND(req, "lost");
    EXPECT(rep, "lost");
    CLOSE(rep);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    rep = NEW_SOCKET(ZMQ_REP);
    WAIT_UNTIL(zmq_bind(rep, endpoint) == 0);
    SEND(req, "again");
    EXPECT(rep, "again");
    SEND(rep, "answer");
    EXPECT(req, "answer");
}

// Without ids nothing tells the reply to a request that was given up from that to the present one.
TEST(relaxed_takes_a_late_reply_without_correlate) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(req, ZMQ_REQ_RELAXED, 1);
    CONNECT(req, BIND(router, "inproc"));
    SEND(req, "first");
    SEND(req, "second");
    struct frame id = RECV(router);
    EXPECT(router, "", "first");
    RECV(router);
    EXPECT(router, "", "second");
    send_reply(router, &id, NULL, "to the first");
    send_reply(router, &id, NULL, "to the second");
    EXPECT(req, "to the first");
    // What waits when the next request is sent is dropped.
    SEND(req, "third");
    RECV(router);
    EXPECT(router, "", "third");
    send_reply(router, &id, NULL, "to the third");
    EXPECT(req, "to the third");
}

// The rest of a reply goes with the request it answers.
TEST(relaxed_in_the_middle_of_a_reply) {
    void *req = NEW_SOCKET(ZMQ_REQ), *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(req, ZMQ_REQ_RELAXED, 1);
    SET_TEXT(req, ZMQ_ROUTING_ID, "c");
    CONNECT(req, BIND(router, "inproc"));
    for (int taken = 1; taken <= 2; taken++) {
        SEND(req, "first");
        EXPECT(router, "c", "", "first");
        SEND(router, "c", "", "a", "b", "rest");
        for (int i = 0; i < taken; i++)
            CHECK(RECV(req).more);
        SEND(req, "second");
        EXPECT(router, "c", "", "second");
        SEND(router, "c", "", "answer");
        EXPECT(req, "answer");
    }
    // A request that was begun is not given up.
    SEND_BYTES(req, "a", 1, ZMQ_SNDMORE);
    CHECK_ERRNO(zmq_recv(req, NULL, 0, 0), EFSM);
    SEND_BYTES(req, "b", 1, 0);
    EXPECT(router, "c", "", "a", "b");
}

// Without RELAXED a request whose server went away is waited for for ever.
TEST(strict_waits_for_ever) {
    void *req = NEW_SOCKET(ZMQ_REQ), *rep = NEW_SOCKET(ZMQ_REP);
    void *mon = MONITOR(req, ZMQ_EVENT_DISCONNECTED);
    CONNECT(req, BIND(rep, "tcp"));
    SEND(req, "lost");
    EXPECT(rep, "lost");
    CLOSE(rep);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    CHECK_ERRNO(zmq_send(req, "again", 5, 0), EFSM);
    EXPECT_NOTHING(req);
}

// ---- a chain of devices ------------------------------------------------------------------------

// ROUTER and DEALER between, as a queue device has them.
static void forward(void *from, void *to) {
    bool more = true;
    while (more) {
        struct frame frame = RECV(from);
        more = frame.more;
        SEND_FRAME(to, frame, more ? ZMQ_SNDMORE : 0);
    }
}

TEST_EACH(through_a_queue, EACH_TRANSPORT) {
    void *front = NEW_SOCKET(ZMQ_ROUTER), *back = NEW_SOCKET(ZMQ_DEALER);
    void *rep = NEW_SOCKET(ZMQ_REP), *reqs[3];
    CONNECT(rep, BIND(back, transport));
    const char *endpoint = BIND(front, transport);
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        reqs[i] = NEW_SOCKET(ZMQ_REQ);
        CONNECT(reqs[i], endpoint);
        SEND(reqs[i], names[i], "question");
    }
    for (int i = 0; i < 3; i++)
        forward(front, back);
    for (int i = 0; i < 3; i++) {
        struct frame name = RECV(rep);
        EXPECT(rep, "question");
        SEND_FRAME(rep, name, ZMQ_SNDMORE);
        SEND(rep, "answer");
        forward(back, front);
    }
    for (int i = 0; i < 3; i++)
        EXPECT(reqs[i], names[i], "answer");
}
