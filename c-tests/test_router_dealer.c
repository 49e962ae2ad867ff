// SPDX-License-Identifier: MPL-2.0
//
// ROUTER and DEALER: routing ids, unroutable messages, handover, probes, load balancing.
#include "harness.h"

static void make_pair(const char *transport, void **router, void **dealer) {
    *router = NEW_SOCKET(ZMQ_ROUTER);
    *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(*dealer, ZMQ_ROUTING_ID, "peer");
    CONNECT(*dealer, BIND(*router, transport));
}

TEST_EACH(both_ways, EACH_TRANSPORT) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    for (int i = 0; i < 20; i++) {
        SEND(dealer, "a", "", "b");
        EXPECT(router, "peer", "a", "", "b");
        SEND(router, "peer", "c", "");
        EXPECT(dealer, "c", "");
    }
}

TEST_EACH(connecting_router, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "peer");
    CONNECT(router, BIND(dealer, transport));
    SEND(dealer, "a");
    EXPECT(router, "peer", "a");
    SEND(router, "peer", "b");
    EXPECT(dealer, "b");
}

TEST_EACH(made_up_ids, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealers[3];
    struct frame ids[3];
    const char *endpoint = BIND(router, transport);
    for (int i = 0; i < 3; i++) {
        dealers[i] = NEW_SOCKET(ZMQ_DEALER);
        CONNECT(dealers[i], endpoint);
        SEND(dealers[i], "hello");
        ids[i] = RECV(router);
        CHECK_EQ(ids[i].size, 5);
        CHECK_EQ(ids[i].data[0], 0);
        CHECK(ids[i].more);
        EXPECT(router, "hello");
        for (int k = 0; k < i; k++)
            CHECK(memcmp(ids[i].data, ids[k].data, 5) != 0);
    }
    for (int i = 2; i >= 0; i--) {
        SEND_FRAME(router, ids[i], ZMQ_SNDMORE);
        SEND(router, "you");
        EXPECT(dealers[i], "you");
        EXPECT_NOTHING(dealers[(i + 1) % 3]);
    }
}

// A zero byte, and a number that goes up from wherever it began.
TEST(made_up_ids_count) {
    void *router = NEW_SOCKET(ZMQ_ROUTER);
    const char *endpoint = BIND(router, "inproc");
    uint32_t last = 0;
    for (int i = 0; i < 5; i++) {
        void *dealer = NEW_SOCKET(ZMQ_DEALER);
        CONNECT(dealer, endpoint);
        SEND(dealer, "hello");
        struct frame id = RECV(router);
        EXPECT(router, "hello");
        CHECK_EQ(id.size, 5);
        CHECK_EQ(id.data[0], 0);
        uint32_t number = (uint32_t)id.data[1] << 24 | (uint32_t)id.data[2] << 16 |
                          (uint32_t)id.data[3] << 8 | id.data[4];
        if (i > 0)
            CHECK_EQ(number, (uint32_t)(last + 1));
        last = number;
    }
}

TEST_EACH(long_ids, EACH_TRANSPORT) {
    unsigned char id[255];
    memset(id, 0xf0, sizeof id);
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_BYTES(dealer, ZMQ_ROUTING_ID, id, sizeof id);
    CONNECT(dealer, BIND(router, transport));
    SEND(dealer, "a");
    EXPECT_BYTES(router, id, sizeof id, true);
    EXPECT(router, "a");
    SEND_BYTES(router, id, sizeof id, ZMQ_SNDMORE);
    SEND(router, "b");
    EXPECT(dealer, "b");
}

TEST_EACH(router_to_router, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_ROUTER), *b = NEW_SOCKET(ZMQ_ROUTER);
    SET_TEXT(a, ZMQ_ROUTING_ID, "A");
    SET_TEXT(b, ZMQ_ROUTING_ID, "B");
    SET_INT(b, ZMQ_ROUTER_MANDATORY, 1);
    CONNECT(b, BIND(a, transport));
    // B can send as soon as it knows who A is.
    WAIT_UNTIL(zmq_send(b, "A", 1, ZMQ_SNDMORE | ZMQ_DONTWAIT) == 1);
    SEND(b, "hello");
    EXPECT(a, "B", "hello");
    SEND(a, "B", "back");
    EXPECT(b, "A", "back");
}

// ---- unroutable --------------------------------------------------------------------------------

TEST_EACH(unknown_ids_are_dropped, EACH_TRANSPORT) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SEND(router, "nobody", "a", "b");
    SEND(router, "", "a");
    SEND(dealer, "hello");
    EXPECT(router, "peer", "hello");
    SEND(router, "peer", "arrives");
    EXPECT(dealer, "arrives");
}

TEST(id_alone_is_ignored) {
    void *router, *dealer;
    make_pair("inproc", &router, &dealer);
    SEND(router, "peer");
    SEND(router, "nobody");
    SEND(router, "peer", "arrives");
    EXPECT(dealer, "arrives");
    EXPECT_NOTHING(dealer);
}

TEST_EACH(mandatory, EACH_TRANSPORT) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SET_INT(router, ZMQ_ROUTER_MANDATORY, 1);
    CHECK_ERRNO(zmq_send(router, "nobody", 6, ZMQ_SNDMORE), EHOSTUNREACH);
    CHECK_ERRNO(zmq_send(router, "nobody", 6, ZMQ_SNDMORE | ZMQ_DONTWAIT), EHOSTUNREACH);
    SEND(dealer, "hello");
    EXPECT(router, "peer", "hello");
    // After the failure an id is expected again.
    SEND(router, "peer", "arrives");
    EXPECT(dealer, "arrives");
}

// A peer is nobody until it has said who it is.
TEST(mandatory_before_the_peer_is_known) {
    void *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(router, ZMQ_ROUTER_MANDATORY, 1);
    int fd = RAW_SERVER(router);
    CHECK_EQ(GET_INT(router, ZMQ_EVENTS), 0);
    CHECK_ERRNO(zmq_send(router, "peer", 4, ZMQ_SNDMORE), EHOSTUNREACH);
    ZMTP_GREET(fd, 1);
    CHECK_ERRNO(zmq_send(router, "peer", 4, ZMQ_SNDMORE), EHOSTUNREACH);
    CHECK_EQ(GET_INT(router, ZMQ_EVENTS), 0);
    ZMTP_SEND_READY(fd, "DEALER", "peer");
    WAIT_UNTIL(zmq_send(router, "peer", 4, ZMQ_SNDMORE) == 4);
    SEND(router, "hello");
    CHECK_EQ(ZMTP_RECV(fd).flags, 4);
    ZMTP_EXPECT_LITERAL(fd, 0, "hello");
}

TEST(mandatory_before_the_bind) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(router, ZMQ_ROUTER_MANDATORY, 1);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "peer");
    CONNECT(router, "inproc://late");
    CHECK_EQ(GET_INT(router, ZMQ_EVENTS), 0);
    CHECK_ERRNO(zmq_send(router, "peer", 4, ZMQ_SNDMORE), EHOSTUNREACH);
    CHECK_OK(zmq_bind(dealer, "inproc://late"));
    CHECK_EQ(GET_INT(router, ZMQ_EVENTS), ZMQ_POLLOUT);
    SEND(router, "peer", "hello");
    EXPECT(dealer, "hello");
}

TEST_EACH(mandatory_after_the_peer_has_gone, EACH_TRANSPORT) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SET_INT(router, ZMQ_ROUTER_MANDATORY, 1);
    SEND(dealer, "hello");
    EXPECT(router, "peer", "hello");
    CLOSE(dealer);
    const long long deadline = now_ms() + DEADLINE_MS;
    for (;;) {
        CHECK(now_ms() < deadline);
        if (zmq_send(router, "peer", 4, ZMQ_SNDMORE) < 0)
            break;
        zmq_send(router, "x", 1, 0);
        pause_briefly();
    }
    CHECK_EQ(zmq_errno(), EHOSTUNREACH);
}

TEST_EACH(mandatory_at_the_limit, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(router, ZMQ_ROUTER_MANDATORY, 1);
    SET_INT(router, ZMQ_SNDHWM, 1);
    SET_INT(dealer, ZMQ_RCVHWM, 1);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "peer");
    CONNECT(dealer, BIND(router, transport));
    SEND(dealer, "hello");
    EXPECT(router, "peer", "hello");
    // The kernel takes its share first; then nothing moves any more.
    char *body = calloc(1, 65536);
    int sent = 0;
    SET_INT(router, ZMQ_SNDTIMEO, 300);
    while (zmq_send(router, "peer", 4, ZMQ_SNDMORE) == 4) {
        SEND_BYTES(router, body, 65536, 0);
        CHECK(++sent < 10000);
    }
    CHECK_EQ(zmq_errno(), EAGAIN);
    if (strcmp(transport, "inproc") == 0)
        CHECK_ERRNO(zmq_send(router, "peer", 4, ZMQ_SNDMORE | ZMQ_DONTWAIT), EAGAIN);
    for (int i = 0; i < sent; i++)
        CHECK_EQ(RECV(dealer).size, 65536);
    WAIT_UNTIL(zmq_send(router, "peer", 4, ZMQ_SNDMORE | ZMQ_DONTWAIT) == 4);
    SEND(router, "room again");
    EXPECT(dealer, "room again");
}

TEST(pollout_of_a_mandatory_router) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    CHECK_EQ(GET_INT(router, ZMQ_EVENTS), ZMQ_POLLOUT);
    SET_INT(router, ZMQ_ROUTER_MANDATORY, 1);
    CHECK_EQ(GET_INT(router, ZMQ_EVENTS), 0);
    CONNECT(dealer, BIND(router, "tcp"));
    WAIT_EVENTS(router, ZMQ_POLLOUT);
}

// It can send if one of its peers has room.
TEST(pollout_of_a_mandatory_router_with_full_peers) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealers[2];
    SET_INT(router, ZMQ_ROUTER_MANDATORY, 1);
    SET_INT(router, ZMQ_SNDHWM, 1);
    const char *endpoint = BIND(router, "inproc");
    static const char *const names[] = {"one", "two"};
    for (int i = 0; i < 2; i++) {
        dealers[i] = NEW_SOCKET(ZMQ_DEALER);
        SET_TEXT(dealers[i], ZMQ_ROUTING_ID, names[i]);
        SET_INT(dealers[i], ZMQ_RCVHWM, 1);
        CONNECT(dealers[i], endpoint);
        SEND(dealers[i], "hello");
        EXPECT(router, names[i], "hello");
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(GET_INT(router, ZMQ_EVENTS), ZMQ_POLLOUT);
        SEND(router, names[i], "a");
        SEND(router, names[i], "b");
        CHECK_ERRNO(zmq_send(router, names[i], 3, ZMQ_SNDMORE | ZMQ_DONTWAIT), EAGAIN);
    }
    CHECK_EQ(GET_INT(router, ZMQ_EVENTS), 0);
    EXPECT(dealers[1], "a");
    EXPECT(dealers[1], "b");
    WAIT_EVENTS(router, ZMQ_POLLOUT);
    SEND(router, "two", "c");
    CHECK_ERRNO(zmq_send(router, "one", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT), EAGAIN);
}

// The identity that goes ahead of a connection's messages is none of them.
TEST(ids_do_not_count_for_the_limit) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(router, ZMQ_RCVHWM, 1);
    SET_INT(dealer, ZMQ_SNDHWM, 1);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "peer");
    CONNECT(dealer, BIND(router, "inproc"));
    CHECK(TRY_SEND(dealer, "a"));
    CHECK(TRY_SEND(dealer, "b"));
    CHECK(!TRY_SEND(dealer, "c"));
    EXPECT(router, "peer", "a");
    EXPECT(router, "peer", "b");
}

TEST(full_peers_do_not_block) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(router, ZMQ_SNDHWM, 2);
    SET_INT(dealer, ZMQ_RCVHWM, 2);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "peer");
    CONNECT(dealer, BIND(router, "inproc"));
    SEND(dealer, "hello");
    EXPECT(router, "peer", "hello");
    for (int i = 0; i < 50; i++)
        SEND(router, "peer", "first", "last");
    for (int i = 0; i < 4; i++)
        EXPECT(dealer, "first", "last");
    EXPECT_NOTHING(dealer);
}

// ---- equal ids ---------------------------------------------------------------------------------

TEST_EACH(second_of_two_equal_ids_stays_out, EACH_TRANSPORT) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SEND(dealer, "first");
    EXPECT(router, "peer", "first");
    void *twin = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(twin, ZMQ_ROUTING_ID, "peer");
    CONNECT(twin, LAST_ENDPOINT(router));
    SEND(twin, "second");
    EXPECT_NOTHING(router);
    SEND(router, "peer", "to the first");
    EXPECT(dealer, "to the first");
    EXPECT_NOTHING(twin);
}

TEST_EACH(handover, EACH_TRANSPORT) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SET_INT(router, ZMQ_ROUTER_HANDOVER, 1);
    SEND(dealer, "first");
    EXPECT(router, "peer", "first");
    void *twin = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(twin, ZMQ_ROUTING_ID, "peer");
    CONNECT(twin, LAST_ENDPOINT(router));
    SEND(twin, "second");
    EXPECT(router, "peer", "second");
    SEND(router, "peer", "to the second");
    EXPECT(twin, "to the second");
    EXPECT_NOTHING(dealer);
}

// It stays connected, and its messages stay with it.
TEST_EACH(second_of_two_equal_ids_fills_up, EACH_STREAM) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SEND(dealer, "first");
    EXPECT(router, "peer", "first");
    void *twin = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(twin, ZMQ_ROUTING_ID, "peer");
    SET_INT(twin, ZMQ_SNDHWM, 5);
    SET_INT(twin, ZMQ_SNDTIMEO, 200);
    void *mon = MONITOR(twin, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
    CONNECT(twin, LAST_ENDPOINT(router));
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    char *body = calloc(1, 100000);
    int sent = 0;
    while (zmq_send(twin, body, 100000, 0) == 100000)
        CHECK(++sent < 2000);
    CHECK_EQ(zmq_errno(), EAGAIN);
    EXPECT_NOTHING(router);
    EXPECT_NOTHING(mon);
}

// The connection of the old peer stays, but nobody listens to it any more.
TEST_EACH(handover_leaves_the_connection, EACH_STREAM) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SET_INT(router, ZMQ_ROUTER_HANDOVER, 1);
    SEND(dealer, "first");
    EXPECT(router, "peer", "first");
    void *mon = MONITOR(dealer, ZMQ_EVENT_DISCONNECTED);
    void *twin = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(twin, ZMQ_ROUTING_ID, "peer");
    CONNECT(twin, LAST_ENDPOINT(router));
    SEND(twin, "second");
    EXPECT(router, "peer", "second");
    SEND(dealer, "unheard");
    EXPECT_NOTHING(router);
    EXPECT_NOTHING(mon);
    SEND(router, "peer", "to the second");
    EXPECT(twin, "to the second");
}

// Over inproc there is no connection without a pipe.
TEST(handover_over_inproc_ends_the_pipe) {
    void *router, *dealer;
    make_pair("inproc", &router, &dealer);
    SET_INT(router, ZMQ_ROUTER_HANDOVER, 1);
    SEND(dealer, "first");
    EXPECT(router, "peer", "first");
    void *twin = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(twin, ZMQ_ROUTING_ID, "peer");
    CONNECT(twin, LAST_ENDPOINT(router));
    SEND(twin, "second");
    EXPECT(router, "peer", "second");
    WAIT_UNTIL(!TRY_SEND(dealer, "unheard"));
}

// A message of the old peer that is being read is read to its end.
TEST_EACH(handover_in_mid_message, EACH_TRANSPORT) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SET_INT(router, ZMQ_ROUTER_HANDOVER, 1);
    SEND(dealer, "a", "b", "c");
    EXPECT_BYTES(router, "peer", 4, true);
    EXPECT_BYTES(router, "a", 1, true);
    void *twin = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(twin, ZMQ_ROUTING_ID, "peer");
    CONNECT(twin, LAST_ENDPOINT(router));
    SEND(twin, "second");
    struct frame none;
    WAIT_DRIVING(router, (SEND(router, "peer", "to the second"), TRY_RECV(twin, &none)));
    EXPECT(router, "b", "c");
    EXPECT(router, "peer", "second");
}

// An id is free again for a later connection.
TEST_EACH(an_id_comes_back, EACH_TRANSPORT) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SEND(dealer, "first");
    EXPECT(router, "peer", "first");
    CLOSE(dealer);
    // The id is taken for as long as the end of the first is not known.
    for (int attempt = 0;; attempt++) {
        CHECK(attempt < 200);
        dealer = NEW_SOCKET(ZMQ_DEALER);
        SET_TEXT(dealer, ZMQ_ROUTING_ID, "peer");
        CONNECT(dealer, LAST_ENDPOINT(router));
        SEND(dealer, "second");
        if (shows_events(router, ZMQ_POLLIN, 50))
            break;
        CLOSE(dealer);
    }
    EXPECT(router, "peer", "second");
    SEND(router, "peer", "back");
    EXPECT(dealer, "back");
}

// ---- CONNECT_ROUTING_ID, PROBE_ROUTER ----------------------------------------------------------

TEST_EACH(connect_routing_id, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *a = NEW_SOCKET(ZMQ_DEALER), *b = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(router, ZMQ_ROUTER_MANDATORY, 1);
    SET_TEXT(router, ZMQ_CONNECT_ROUTING_ID, "A");
    CONNECT(router, BIND(a, transport));
    // It can be addressed before anything came from it.
    SEND(router, "A", "hello");
    EXPECT(a, "hello");
    SET_TEXT(router, ZMQ_CONNECT_ROUTING_ID, "B");
    CONNECT(router, BIND(b, transport));
    SEND(router, "B", "hello too");
    EXPECT(b, "hello too");
    SEND(b, "I am");
    EXPECT(router, "B", "I am");
    SEND(a, "me too");
    EXPECT(router, "A", "me too");
}

TEST_EACH(connect_routing_id_is_for_one_connect, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *a = NEW_SOCKET(ZMQ_DEALER), *b = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(b, ZMQ_ROUTING_ID, "own name");
    SET_TEXT(router, ZMQ_CONNECT_ROUTING_ID, "A");
    CONNECT(router, BIND(a, transport));
    CONNECT(router, BIND(b, transport));
    SEND(b, "hello");
    EXPECT(router, "own name", "hello");
}

// Of any bytes, and longer than an id that a peer may have itself.
TEST_EACH(connect_routing_id_of_any_kind, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    char id[300] = {0};
    id[299] = 1;
    SET_BYTES(router, ZMQ_CONNECT_ROUTING_ID, id, sizeof id);
    CONNECT(router, BIND(dealer, transport));
    SEND_BYTES(router, id, sizeof id, ZMQ_SNDMORE);
    SEND(router, "hello");
    EXPECT(dealer, "hello");
    SEND(dealer, "back");
    EXPECT_BYTES(router, id, sizeof id, true);
    EXPECT(router, "back");
}

TEST_EACH(connect_routing_id_wins_over_the_peer_s_own, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *a = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(a, ZMQ_ROUTING_ID, "own name");
    SET_TEXT(router, ZMQ_CONNECT_ROUTING_ID, "given name");
    CONNECT(router, BIND(a, transport));
    SEND(a, "hello");
    EXPECT(router, "given name", "hello");
}

TEST_EACH(probe, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_ROUTER), *client = NEW_SOCKET(ZMQ_ROUTER);
    SET_TEXT(client, ZMQ_ROUTING_ID, "client");
    SET_INT(client, ZMQ_PROBE_ROUTER, 1);
    CONNECT(client, BIND(server, transport));
    EXPECT(server, "client", "");
    SEND(server, "client", "hello");
    CHECK_EQ(RECV(client).size, 5);
    EXPECT(client, "hello");
}

TEST_EACH(probe_of_a_dealer, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "client");
    SET_INT(dealer, ZMQ_PROBE_ROUTER, 1);
    CONNECT(dealer, BIND(router, transport));
    EXPECT(router, "client", "");
    SEND(dealer, "hello");
    EXPECT(router, "client", "hello");
}

// Whoever binds probes, too: each peer as it comes.
TEST_EACH(probe_of_who_binds, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealers[2];
    SET_INT(router, ZMQ_PROBE_ROUTER, 1);
    const char *endpoint = BIND(router, transport);
    for (int i = 0; i < 2; i++) {
        dealers[i] = NEW_SOCKET(ZMQ_DEALER);
        CONNECT(dealers[i], endpoint);
        WAIT_DRIVING(router, shows_events(dealers[i], ZMQ_POLLIN, 1));
        EXPECT(dealers[i], "");
    }
    EXPECT_NOTHING(dealers[0]);
}

TEST_EACH(probe_of_a_req, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *req = NEW_SOCKET(ZMQ_REQ);
    SET_TEXT(req, ZMQ_ROUTING_ID, "client");
    SET_INT(req, ZMQ_PROBE_ROUTER, 1);
    CONNECT(req, BIND(router, transport));
    EXPECT(router, "client", "");
    SEND(req, "question");
    EXPECT(router, "client", "", "question");
}

// One probe for each pipe: a connection that comes back has its pipe already.
TEST(one_probe_for_a_connecting_peer) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "client");
    SET_INT(dealer, ZMQ_PROBE_ROUTER, 1);
    SET_INT(dealer, ZMQ_RECONNECT_IVL, 10);
    char *endpoint = strdup(BIND(router, "tcp"));
    void *mon = MONITOR(dealer, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    CONNECT(dealer, endpoint);
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    EXPECT(router, "client", "");
    CLOSE(router);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    router = NEW_SOCKET(ZMQ_ROUTER);
    WAIT_UNTIL(zmq_bind(router, endpoint) == 0);
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    SEND(dealer, "no probe first");
    EXPECT(router, "client", "no probe first");
}

// ---- balance -----------------------------------------------------------------------------------

TEST_EACH(dealer_goes_round, EACH_TRANSPORT) {
    void *dealer = NEW_SOCKET(ZMQ_DEALER), *peers[3];
    for (int i = 0; i < 3; i++) {
        peers[i] = NEW_SOCKET(ZMQ_DEALER);
        CONNECT(dealer, BIND(peers[i], transport));
    }
    static const char *const texts[] = {"0", "1", "2", "3", "4", "5"};
    for (int i = 0; i < 6; i++)
        SEND(dealer, texts[i], "end");
    for (int i = 0; i < 6; i++)
        EXPECT(peers[i % 3], texts[i], "end");
}

TEST_EACH(router_takes_in_turn, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealers[3];
    const char *endpoint = BIND(router, transport);
    static const char *const names[] = {"0", "1", "2"};
    int seen[3] = {0};
    for (int i = 0; i < 3; i++) {
        dealers[i] = NEW_SOCKET(ZMQ_DEALER);
        SET_TEXT(dealers[i], ZMQ_ROUTING_ID, names[i]);
        CONNECT(dealers[i], endpoint);
    }
    // Let everyone be known first.
    for (int i = 0; i < 3; i++) {
        SEND(dealers[i], "hello");
        EXPECT(router, names[i], "hello");
    }
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 5; k++)
            SEND(dealers[i], "a", "b");
    // Each message comes whole, each peer's turn comes.
    for (int i = 0; i < 15; i++) {
        struct frame id = RECV(router);
        CHECK_EQ(id.size, 1);
        CHECK(++seen[id.data[0] - '0'] <= 5);
        EXPECT(router, "a", "b");
    }
    EXPECT_NOTHING(router);
}

TEST(dealer_without_a_peer) {
    void *dealer = NEW_SOCKET(ZMQ_DEALER);
    CHECK_EQ(GET_INT(dealer, ZMQ_EVENTS), 0);
    CHECK_ERRNO(zmq_send(dealer, "x", 1, ZMQ_DONTWAIT), EAGAIN);
    SET_INT(dealer, ZMQ_SNDTIMEO, 30);
    CHECK_ERRNO(zmq_send(dealer, "x", 1, 0), EAGAIN);
}

// Messages half received stay so for as long as the application likes.
TEST_EACH(parts_received_later, EACH_TRANSPORT) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SEND(dealer, "a", "b", "c");
    SEND(dealer, "d");
    CHECK_EQ(RECV(router).size, 4);
    CHECK_EQ(RECV(router).data[0], 'a');
    SEND(router, "peer", "in between");
    EXPECT(dealer, "in between");
    EXPECT(router, "b", "c");
    EXPECT(router, "peer", "d");
}

TEST_EACH(what_came_before_the_peer_left_stays, EACH_TRANSPORT) {
    void *router, *dealer;
    make_pair(transport, &router, &dealer);
    SEND(dealer, "last words", "of two parts");
    SET_INT(dealer, ZMQ_LINGER, -1);
    CLOSE(dealer);
    EXPECT(router, "peer", "last words", "of two parts");
}

// After polling the message is held ready, whatever becomes of its sender.
TEST(polled_message_of_a_peer_that_left) {
    void *router, *dealer;
    make_pair("tcp", &router, &dealer);
    void *mon = MONITOR(router, ZMQ_EVENT_DISCONNECTED);
    SEND(dealer, "polled");
    WAIT_EVENTS(router, ZMQ_POLLIN);
    CLOSE(dealer);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    EXPECT(router, "peer", "polled");
}

TEST_EACH(polled_message_of_a_peer_that_was_replaced, EACH_TRANSPORT) {
    void *router, *dealer, *twin = NEW_SOCKET(ZMQ_DEALER);
    make_pair(transport, &router, &dealer);
    SET_INT(router, ZMQ_ROUTER_HANDOVER, 1);
    SEND(dealer, "polled");
    WAIT_EVENTS(router, ZMQ_POLLIN);
    SET_TEXT(twin, ZMQ_ROUTING_ID, "peer");
    CONNECT(twin, LAST_ENDPOINT(router));
    struct frame none;
    WAIT_DRIVING(router, (SEND(router, "peer", "to the second"), TRY_RECV(twin, &none)));
    EXPECT(router, "peer", "polled");
    SEND(twin, "second");
    EXPECT(router, "peer", "second");
}

TEST_EACH(polled_message_of_a_connection_taken_back, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "peer");
    const char *endpoint = BIND(dealer, transport);
    CONNECT(router, endpoint);
    SEND(dealer, "polled");
    WAIT_EVENTS(router, ZMQ_POLLIN);
    CHECK_OK(zmq_disconnect(router, endpoint));
    EXPECT(router, "peer", "polled");
}

TEST(many_dealers) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealers[100];
    const char *endpoint = BIND(router, "tcp");
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        dealers[i] = NEW_SOCKET(ZMQ_DEALER);
        SET_TEXT(dealers[i], ZMQ_ROUTING_ID, name);
        CONNECT(dealers[i], endpoint);
        SEND(dealers[i], "hello");
    }
    for (int i = 0; i < 100; i++) {
        struct frame id = RECV(router);
        EXPECT(router, "hello");
        SEND_FRAME(router, id, ZMQ_SNDMORE);
        SEND_FRAME(router, id, 0);
    }
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        EXPECT(dealers[i], name);
    }
}

// ---- the deprecated raw router -----------------------------------------------------------------

TEST(raw_router) {
    void *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(router, ZMQ_ROUTER_RAW, 1);
    int fd = RAW_PEER(router);
    struct frame id = RECV(router);
    CHECK_EQ(id.size, 5);
    EXPECT(router, "");
    RAW_SEND_LITERAL(fd, "GET /\r\n");
    EXPECT_BYTES(router, id.data, id.size, true);
    EXPECT(router, "GET /\r\n");
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND(router, "raw bytes");
    RAW_EXPECT_LITERAL(fd, "raw bytes");
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND(router, "");
    WAIT_DRIVING(router, raw_closed(fd));
}

// One piece a message, whatever is said of more; who is unknown gets nothing, and nobody is told.
TEST(raw_router_sends_single_parts) {
    void *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_INT(router, ZMQ_ROUTER_RAW, 1);
    CHECK_ERRNO(zmq_setsockopt(router, ZMQ_STREAM_NOTIFY, &(int){0}, sizeof(int)), EINVAL);
    int fd = RAW_PEER(router);
    struct frame id = RECV(router);
    EXPECT(router, "");
    for (int i = 0; i < 3; i++) {
        SEND_FRAME(router, id, ZMQ_SNDMORE);
        SEND_BYTES(router, "x", 1, ZMQ_SNDMORE);
    }
    SEND_FRAME(router, id, 0);
    SEND(router, "nobody", "lost");
    SEND_FRAME(router, id, ZMQ_SNDMORE);
    SEND(router, "y");
    RAW_EXPECT_LITERAL(fd, "xxxy");
}
