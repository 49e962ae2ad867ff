// SPDX-License-Identifier: MPL-2.0
//
// SERVER, CLIENT and PEER: messages with a routing id (RFC 41, 51; zmq_connect_peer(3),
// zmq_disconnect_peer(3), zmq_msg_routing_id(3)).
#include "harness.h"

// Sends to a peer; the message is closed whatever comes of it.
static int send_to(void *socket, uint32_t routing_id, const char *text, int flags) {
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init_buffer(&message, text, strlen(text)));
    if (routing_id)
        CHECK_OK(zmq_msg_set_routing_id(&message, routing_id));
    int result = zmq_msg_send(&message, socket, flags);
    int error = errno;
    if (result >= 0) {
        CHECK_EQ(zmq_msg_routing_id(&message), 0);
        CHECK_EQ(zmq_msg_size(&message), 0);
    } else {
        CHECK_EQ(zmq_msg_routing_id(&message), routing_id);
        CHECK_EQ(zmq_msg_size(&message), strlen(text));
    }
    CHECK_OK(zmq_msg_close(&message));
    errno = error;
    return result;
}

// Receives this text; returns who has sent it.
static uint32_t receive_from(void *socket, const char *text) {
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, socket, 0), strlen(text));
    CHECK_BYTES(zmq_msg_data(&message), zmq_msg_size(&message), text, strlen(text));
    CHECK_EQ(zmq_msg_more(&message), 0);
    uint32_t routing_id = zmq_msg_routing_id(&message);
    CHECK_OK(zmq_msg_close(&message));
    return routing_id;
}

// ---- routing -----------------------------------------------------------------------------------

TEST_EACH(answers_go_to_who_has_asked, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *clients[3];
    const char *endpoint = BIND(server, transport);
    uint32_t ids[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = NEW_SOCKET(ZMQ_CLIENT);
        CONNECT(clients[i], endpoint);
        SEND(clients[i], "hello");
        ids[i] = receive_from(server, "hello");
        CHECK(ids[i] != 0);
        for (int k = 0; k < i; k++)
            CHECK(ids[k] != ids[i]);
    }
    CHECK_EQ(GET_INT(server, ZMQ_RCVMORE), 0);
    for (int i = 2; i >= 0; i--)
        CHECK_EQ(send_to(server, ids[i], "back", 0), 4);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(receive_from(clients[i], "back"), 0);
    // The id stays while the connection does.
    SEND(clients[1], "again");
    CHECK_EQ(receive_from(server, "again"), ids[1]);
}

TEST_EACH(connecting_server, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    CONNECT(server, BIND(client, transport));
    SEND(client, "hello");
    uint32_t id = receive_from(server, "hello");
    CHECK_EQ(send_to(server, id, "back", 0), 4);
    EXPECT(client, "back");
}

TEST_EACH(client_takes_turns, EACH_TRANSPORT) {
    void *client = NEW_SOCKET(ZMQ_CLIENT), *servers[2];
    for (int i = 0; i < 2; i++) {
        servers[i] = NEW_SOCKET(ZMQ_SERVER);
        CONNECT(client, BIND(servers[i], transport));
    }
    for (int i = 0; i < 10; i++)
        SEND_BYTES(client, &i, sizeof i, 0);
    for (int i = 0; i < 10; i++)
        EXPECT_BYTES(servers[i % 2], &i, sizeof i, false);
}

TEST_EACH(unroutable_messages, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    CONNECT(client, BIND(server, transport));
    CHECK_ERRNO(zmq_send(server, "x", 1, 0), EHOSTUNREACH);
    CHECK_ERRNO(send_to(server, 0, "x", 0), EHOSTUNREACH);
    SEND(client, "hello");
    uint32_t id = receive_from(server, "hello");
    CHECK_ERRNO(send_to(server, id + 1, "x", 0), EHOSTUNREACH);
    CHECK_ERRNO(send_to(server, id, "x", ZMQ_SNDMORE), EINVAL);
    CHECK_EQ(send_to(server, id, "good", 0), 4);
    EXPECT(client, "good");
    CLOSE(client);
    WAIT_DRIVING(server, send_to(server, id, "x", ZMQ_DONTWAIT) == -1 && errno == EHOSTUNREACH);
    CHECK_ERRNO(send_to(server, id, "x", 0), EHOSTUNREACH);
}

TEST_EACH(the_last_words_of_a_client, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    SET_INT(client, ZMQ_LINGER, -1);
    CONNECT(client, BIND(server, transport));
    SEND(client, "last");
    SEND(client, "words");
    CLOSE(client);
    uint32_t id = receive_from(server, "last");
    CHECK(id != 0);
    CHECK_EQ(receive_from(server, "words"), id);
}

// ---- room --------------------------------------------------------------------------------------

struct blocked_send {
    void *server;
    uint32_t id;
};

static void send_blocked(void *argument) {
    struct blocked_send *blocked = argument;
    CHECK_EQ(send_to(blocked->server, blocked->id, "waited", 0), 6);
}

TEST(a_full_client) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    SET_INT(server, ZMQ_SNDHWM, 1);
    SET_INT(client, ZMQ_RCVHWM, 1);
    CONNECT(client, BIND(server, "inproc"));
    SEND(client, "hello");
    uint32_t id = receive_from(server, "hello");
    CHECK_EQ(send_to(server, id, "1", 0), 1);
    CHECK_EQ(send_to(server, id, "2", 0), 1);
    CHECK_ERRNO(send_to(server, id, "3", ZMQ_DONTWAIT), EAGAIN);
    // Whether there is room depends on the peer, so this says nothing.
    CHECK_EQ(GET_INT(server, ZMQ_EVENTS) & ZMQ_POLLOUT, ZMQ_POLLOUT);
    SET_INT(server, ZMQ_SNDTIMEO, 20);
    CHECK_ERRNO(send_to(server, id, "3", 0), EAGAIN);
    SET_INT(server, ZMQ_SNDTIMEO, -1);
    struct blocked_send blocked = {server, id};
    struct thread thread;
    start_thread(&thread, send_blocked, &blocked);
    WAIT_BLOCKED(&thread);
    EXPECT(client, "1");
    EXPECT(client, "2");
    EXPECT(client, "waited");
    JOIN(&thread);
}

TEST(a_client_without_a_server) {
    void *client = NEW_SOCKET(ZMQ_CLIENT);
    CHECK_ERRNO(zmq_send(client, "x", 1, ZMQ_DONTWAIT), EAGAIN);
    CHECK_EQ(GET_INT(client, ZMQ_EVENTS), 0);
    SET_INT(client, ZMQ_SNDTIMEO, 20);
    CHECK_ERRNO(zmq_send(client, "x", 1, 0), EAGAIN);
}

TEST_EACH(a_mute_client_and_a_live_one, EACH_STREAM) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *mute = NEW_SOCKET(ZMQ_CLIENT),
         *live = NEW_SOCKET(ZMQ_CLIENT);
    SET_INT(server, ZMQ_SNDHWM, 5);
    SET_INT(mute, ZMQ_RCVHWM, 5);
    const char *endpoint = BIND(server, transport);
    CONNECT(mute, endpoint);
    SEND(mute, "hello");
    uint32_t mute_id = receive_from(server, "hello");
    CONNECT(live, endpoint);
    SEND(live, "hello");
    uint32_t live_id = receive_from(server, "hello");
    static char large[200001];
    memset(large, 'x', sizeof large - 1);
    while (send_to(server, mute_id, large, ZMQ_DONTWAIT) >= 0)
        ;
    CHECK_EQ(errno, EAGAIN);
    CHECK_EQ(send_to(server, live_id, "there", 0), 5);
    EXPECT(live, "there");
}

// ---- the routing id of a message ---------------------------------------------------------------

TEST(routing_id_of_a_message) {
    zmq_msg_t a, b;
    CHECK_OK(zmq_msg_init_buffer(&a, "abc", 3));
    CHECK_EQ(zmq_msg_routing_id(&a), 0);
    CHECK_ERRNO(zmq_msg_set_routing_id(&a, 0), EINVAL);
    CHECK_OK(zmq_msg_set_routing_id(&a, 7));
    CHECK_EQ(zmq_msg_routing_id(&a), 7);
    CHECK_ERRNO(zmq_msg_set_routing_id(&a, 0), EINVAL);
    CHECK_EQ(zmq_msg_routing_id(&a), 7);
    CHECK_OK(zmq_msg_set_routing_id(&a, 0xffffffff));
    CHECK_EQ(zmq_msg_routing_id(&a), 0xffffffff);
    CHECK_OK(zmq_msg_init(&b));
    CHECK_OK(zmq_msg_copy(&b, &a));
    CHECK_EQ(zmq_msg_routing_id(&b), 0xffffffff);
    CHECK_OK(zmq_msg_set_routing_id(&a, 8));
    CHECK_EQ(zmq_msg_routing_id(&b), 0xffffffff);
    CHECK_OK(zmq_msg_move(&b, &a));
    CHECK_EQ(zmq_msg_routing_id(&b), 8);
    CHECK_EQ(zmq_msg_routing_id(&a), 0);
    CHECK_OK(zmq_msg_close(&a));
    CHECK_OK(zmq_msg_close(&b));
    CHECK_OK(zmq_msg_init(&b));
    CHECK_EQ(zmq_msg_routing_id(&b), 0);
    CHECK_OK(zmq_msg_close(&b));
}

// Nobody sees the other side's numbers, whatever the message is made of.
TEST_EACH(routing_ids_do_not_travel, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    CONNECT(client, BIND(server, transport));
    static const size_t sizes[] = {0, 1, 33, 34, 300, 10000, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        zmq_msg_t message;
        CHECK_OK(zmq_msg_init_size(&message, sizes[i]));
        memset(zmq_msg_data(&message), 'x', sizes[i]);
        CHECK_OK(zmq_msg_set_routing_id(&message, 1));
        CHECK_EQ(zmq_msg_send(&message, client, 0), sizes[i]);
        CHECK_EQ(zmq_msg_recv(&message, server, 0), sizes[i]);
        uint32_t id = zmq_msg_routing_id(&message);
        CHECK(id > 1);
        // What was received goes back as it is.
        CHECK_EQ(zmq_msg_send(&message, server, 0), sizes[i]);
        CHECK_EQ(zmq_msg_routing_id(&message), 0);
        CHECK_OK(zmq_msg_set_routing_id(&message, 77));
        CHECK_EQ(zmq_msg_recv(&message, client, 0), sizes[i]);
        CHECK_EQ(zmq_msg_routing_id(&message), 0);
        CHECK_OK(zmq_msg_close(&message));
    }
}

TEST(a_message_with_another_use) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "tcp"));
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init_buffer(&message, "abc", 3));
    CHECK_OK(zmq_msg_set_routing_id(&message, 9));
    CHECK_EQ(zmq_msg_send(&message, push, 0), 3);
    CHECK_EQ(zmq_msg_routing_id(&message), 0);
    CHECK_OK(zmq_msg_set_routing_id(&message, 9));
    CHECK_EQ(zmq_msg_recv(&message, pull, 0), 3);
    CHECK_EQ(zmq_msg_routing_id(&message), 0);
    CHECK_OK(zmq_msg_close(&message));
}

TEST_EACH(metadata_of_what_a_server_receives, EACH_STREAM) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    SET_TEXT(client, ZMQ_METADATA, "X-Room:12");
    CONNECT(client, BIND(server, transport));
    SEND(client, "hello");
    zmq_msg_t message, copy;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, server, 0), 5);
    CHECK_OK(zmq_msg_init(&copy));
    CHECK_OK(zmq_msg_copy(&copy, &message));
    CHECK_OK(zmq_msg_close(&message));
    CHECK(zmq_msg_routing_id(&copy) != 0);
    CHECK_STR(zmq_msg_gets(&copy, "Socket-Type"), "CLIENT");
    CHECK_STR(zmq_msg_gets(&copy, "X-Room"), "12");
    CHECK_NULL_ERRNO(zmq_msg_gets(&copy, "Identity"), EINVAL);
    CHECK_OK(zmq_msg_close(&copy));
}

// ---- peers by hand -----------------------------------------------------------------------------

TEST(several_parts_are_dropped) {
    static const struct {
        int type;
        const char *peer;
    } rows[] = {{ZMQ_SERVER, "CLIENT"},   {ZMQ_CLIENT, "SERVER"}, {ZMQ_PEER, "PEER"},
                {ZMQ_GATHER, "SCATTER"}, {ZMQ_CHANNEL, "CHANNEL"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *socket = NEW_SOCKET(rows[i].type);
        int fd = ZMTP_PEER(socket, rows[i].peer);
        ZMTP_SEND_LITERAL(fd, 1, "a");
        ZMTP_SEND_LITERAL(fd, 1, "b");
        ZMTP_SEND_LITERAL(fd, 0, "c");
        ZMTP_SEND_LITERAL(fd, 0, "good");
        EXPECT(socket, "good");
        ZMTP_SEND_LITERAL(fd, 1, "d");
        ZMTP_SEND_LITERAL(fd, 0, "e");
        ZMTP_SEND_LITERAL(fd, 0, "better");
        EXPECT(socket, "better");
    }
}

TEST_OURS_ONLY(polling_does_not_see_what_is_dropped,
               "ZMQ_POLLIN is set by messages that are dropped") {
    void *server = NEW_SOCKET(ZMQ_SERVER);
    int fd = ZMTP_PEER(server, "CLIENT");
    ZMTP_SEND_LITERAL(fd, 1, "a");
    ZMTP_SEND_LITERAL(fd, 0, "b");
    EXPECT_NOTHING(server);
}

TEST(names_in_the_handshake) {
    static const struct {
        int type;
        const char *name, *peer;
    } rows[] = {{ZMQ_SERVER, "SERVER", "CLIENT"},    {ZMQ_CLIENT, "CLIENT", "SERVER"},
                {ZMQ_PEER, "PEER", "PEER"},          {ZMQ_GATHER, "GATHER", "SCATTER"},
                {ZMQ_SCATTER, "SCATTER", "GATHER"},  {ZMQ_CHANNEL, "CHANNEL", "CHANNEL"}};
    const size_t count = sizeof rows / sizeof *rows;
    for (size_t i = 0; i < count; i++) {
        void *socket = NEW_SOCKET(rows[i].type);
        const char *endpoint = BIND(socket, "tcp");
        struct zmtp_frame ready;
        ZMTP_HANDSHAKE(RAW_CONNECT(endpoint), 1, rows[i].peer, &ready);
        unsigned char expected[128];
        size_t size = zmtp_ready(expected, rows[i].name, NULL);
        CHECK_BYTES(ready.body, ready.size, expected, size);
        // Only its counterpart may talk to it.
        for (size_t k = 0; k <= count; k++) {
            const char *name = k < count ? rows[k].name : "DEALER";
            if (strcmp(name, rows[i].peer) == 0)
                continue;
            int fd = RAW_CONNECT(endpoint);
            ZMTP_GREET(fd, 1);
            ZMTP_SEND_READY(fd, name, strcmp(name, "DEALER") ? NULL : "");
            RAW_EXPECT_CLOSED(fd);
        }
    }
}

TEST(a_server_behind_the_wire) {
    void *server = NEW_SOCKET(ZMQ_SERVER);
    int fd = ZMTP_PEER(server, "CLIENT");
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    uint32_t id = receive_from(server, "hello");
    CHECK_EQ(send_to(server, id, "back", 0), 4);
    ZMTP_EXPECT_LITERAL(fd, 0, "back");
}

// ---- PEER --------------------------------------------------------------------------------------

TEST_EACH(peers_talk_first, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_PEER), *b = NEW_SOCKET(ZMQ_PEER);
    uint32_t to_a = zmq_connect_peer(b, BIND(a, transport));
    CHECK(to_a != 0);
    CHECK_EQ(send_to(b, to_a, "hello", 0), 5);
    uint32_t to_b = receive_from(a, "hello");
    CHECK(to_b != 0);
    CHECK_EQ(send_to(a, to_b, "back", 0), 4);
    CHECK_EQ(receive_from(b, "back"), to_a);
    CHECK_ERRNO(send_to(b, to_a + 1, "x", 0), EHOSTUNREACH);
    CHECK_ERRNO(send_to(b, to_a, "x", ZMQ_SNDMORE), EINVAL);
}

TEST_EACH(several_peers, EACH_TRANSPORT) {
    void *center = NEW_SOCKET(ZMQ_PEER), *peers[3];
    uint32_t ids[3];
    for (int i = 0; i < 3; i++) {
        peers[i] = NEW_SOCKET(ZMQ_PEER);
        ids[i] = zmq_connect_peer(center, BIND(peers[i], transport));
        CHECK(ids[i] != 0);
        for (int k = 0; k < i; k++)
            CHECK(ids[k] != ids[i]);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(send_to(center, ids[i], "ask", 0), 3);
        uint32_t back = receive_from(peers[i], "ask");
        CHECK_EQ(send_to(peers[i], back, "answer", 0), 6);
        CHECK_EQ(receive_from(center, "answer"), ids[i]);
    }
}

// What is sent waits for the peer to be there.
TEST_EACH(a_peer_that_comes_later, "tcp", "ipc", "inproc") {
    void *a = NEW_SOCKET(ZMQ_PEER), *b = NEW_SOCKET(ZMQ_PEER);
    SET_INT(b, ZMQ_RECONNECT_IVL, 10);
    const char *endpoint = unused_endpoint(transport);
    uint32_t to_a = zmq_connect_peer(b, endpoint);
    CHECK(to_a != 0);
    CHECK_EQ(send_to(b, to_a, "hello", 0), 5);
    CHECK_OK(zmq_bind(a, endpoint));
    uint32_t to_b = receive_from(a, "hello");
    CHECK_EQ(send_to(a, to_b, "back", 0), 4);
    CHECK_EQ(receive_from(b, "back"), to_a);
}

TEST(connect_peer_errors) {
    void *peer = NEW_SOCKET(ZMQ_PEER);
#define CHECK_NO_PEER(socket, endpoint, error)                                                     \
    do {                                                                                           \
        errno = 0;                                                                                 \
        CHECK_EQ(zmq_connect_peer(socket, endpoint), 0);                                           \
        CHECK_EQ(zmq_errno(), error);                                                              \
    } while (0)
    CHECK_NO_PEER(peer, "tcp://", EINVAL);
    CHECK_NO_PEER(peer, "nothing", EINVAL);
    CHECK_NO_PEER(peer, "nosuch://x", EPROTONOSUPPORT);
    CHECK_NO_PEER(NULL, "tcp://127.0.0.1:1", ENOTSOCK);
    static const int others[] = {ZMQ_PAIR,   ZMQ_ROUTER,  ZMQ_DEALER, ZMQ_SERVER,
                                 ZMQ_CLIENT, ZMQ_SCATTER, ZMQ_GATHER, ZMQ_CHANNEL};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK_NO_PEER(NEW_SOCKET(others[i]), "tcp://127.0.0.1:1", ENOTSUP);
    // With this there is no peer before it has answered.
    SET_INT(peer, ZMQ_IMMEDIATE, 1);
    CHECK_NO_PEER(peer, "tcp://127.0.0.1:1", EFAULT);
    CHECK_NO_PEER(peer, "nothing", EFAULT);
    SET_INT(peer, ZMQ_IMMEDIATE, 0);
    void *other = zmq_ctx_new();
    void *late = zmq_socket(other, ZMQ_PEER);
    CHECK_OK(zmq_ctx_shutdown(other));
    CHECK_NO_PEER(late, "tcp://127.0.0.1:1", ETERM);
    CHECK_OK(zmq_close(late));
    CHECK_OK(zmq_ctx_term(other));
}

// ---- zmq_disconnect_peer -----------------------------------------------------------------------

TEST_EACH(disconnecting_a_client, EACH_TRANSPORT) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *clients[2];
    const char *endpoint = BIND(server, transport);
    uint32_t ids[2];
    for (int i = 0; i < 2; i++) {
        clients[i] = NEW_SOCKET(ZMQ_CLIENT);
        CONNECT(clients[i], endpoint);
        SEND(clients[i], "hello");
        ids[i] = receive_from(server, "hello");
    }
    CHECK_EQ(send_to(server, ids[0], "farewell", 0), 8);
    CHECK_OK(zmq_disconnect_peer(server, ids[0]));
    if (!reference_library())
        CHECK_ERRNO(send_to(server, ids[0], "x", 0), EHOSTUNREACH);
    EXPECT(clients[0], "farewell");
    // Over inproc libzmq needs calls of the client for it.
    WAIT_DRIVING(clients[0],
                 send_to(server, ids[0], "x", ZMQ_DONTWAIT) == -1 && errno == EHOSTUNREACH);
    CHECK_ERRNO(zmq_disconnect_peer(server, ids[0]), EHOSTUNREACH);
    CHECK_EQ(send_to(server, ids[1], "still there", 0), 11);
    EXPECT(clients[1], "still there");
    SEND(clients[1], "yes");
    CHECK_EQ(receive_from(server, "yes"), ids[1]);
}

TEST(disconnect_peer_errors) {
    static const int types[] = {ZMQ_SERVER, ZMQ_PEER};
    for (int i = 0; i < 2; i++) {
        void *socket = NEW_SOCKET(types[i]);
        CHECK_ERRNO(zmq_disconnect_peer(socket, 0), EHOSTUNREACH);
        CHECK_ERRNO(zmq_disconnect_peer(socket, 12345), EHOSTUNREACH);
    }
    static const int others[] = {ZMQ_ROUTER, ZMQ_CLIENT, ZMQ_GATHER, ZMQ_CHANNEL, ZMQ_PAIR};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK_ERRNO(zmq_disconnect_peer(NEW_SOCKET(others[i]), 1), ENOTSUP);
    CHECK_ERRNO(zmq_disconnect_peer(NULL, 1), ENOTSOCK);
}

TEST_EACH(disconnecting_from_the_connecting_side, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_PEER), *b = NEW_SOCKET(ZMQ_PEER);
    const char *endpoint = BIND(a, transport);
    uint32_t first = zmq_connect_peer(b, endpoint);
    CHECK_EQ(send_to(b, first, "hello", 0), 5);
    receive_from(a, "hello");
    CHECK_OK(zmq_disconnect_peer(b, first));
    WAIT_DRIVING(a, send_to(b, first, "x", ZMQ_DONTWAIT) == -1 && errno == EHOSTUNREACH);
    uint32_t second = zmq_connect_peer(b, endpoint);
    CHECK(second != 0 && second != first);
    CHECK_EQ(send_to(b, second, "anew", 0), 4);
    receive_from(a, "anew");
}

TEST_EACH_OURS_ONLY(disconnecting_ends_the_connection, "the connection stays open, unheard",
                    EACH_STREAM) {
    void *server = NEW_SOCKET(ZMQ_SERVER), *client = NEW_SOCKET(ZMQ_CLIENT);
    SET_INT(client, ZMQ_RECONNECT_IVL, 10);
    CONNECT(client, BIND(server, transport));
    SEND(client, "hello");
    uint32_t id = receive_from(server, "hello");
    void *mon = MONITOR(client, ZMQ_EVENT_DISCONNECTED);
    CHECK_OK(zmq_disconnect_peer(server, id));
    AWAIT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    CLOSE(mon);
    // It comes again, as somebody else.
    SEND(client, "anew");
    CHECK(receive_from(server, "anew") != id);
}

// ---- zmq_socket_get_peer_state -----------------------------------------------------------------

TEST_EACH(peer_state_of_a_router, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "peer");
    CHECK_ERRNO(zmq_socket_get_peer_state(router, "peer", 4), EHOSTUNREACH);
    CONNECT(dealer, BIND(router, transport));
    SEND(dealer, "hello");
    EXPECT(router, "peer", "hello");
    CHECK_EQ(zmq_socket_get_peer_state(router, "peer", 4), ZMQ_POLLOUT);
    CHECK_ERRNO(zmq_socket_get_peer_state(router, "pee", 3), EHOSTUNREACH);
    CHECK_ERRNO(zmq_socket_get_peer_state(router, "", 0), EHOSTUNREACH);
    CLOSE(dealer);
    WAIT_DRIVING(router, zmq_socket_get_peer_state(router, "peer", 4) == -1);
    CHECK_ERRNO(zmq_socket_get_peer_state(router, "peer", 4), EHOSTUNREACH);
}

TEST(peer_state_of_a_rep) {
    void *rep = NEW_SOCKET(ZMQ_REP), *req = NEW_SOCKET(ZMQ_REQ);
    SET_TEXT(req, ZMQ_ROUTING_ID, "peer");
    CHECK_ERRNO(zmq_socket_get_peer_state(rep, "peer", 4), EHOSTUNREACH);
    CONNECT(req, BIND(rep, "tcp"));
    SEND(req, "hello");
    EXPECT(rep, "hello");
    CHECK_EQ(zmq_socket_get_peer_state(rep, "peer", 4), ZMQ_POLLOUT);
}

TEST(peer_state_of_a_full_peer) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(router, ZMQ_SNDHWM, 1);
    SET_INT(dealer, ZMQ_RCVHWM, 1);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "peer");
    CONNECT(dealer, BIND(router, "inproc"));
    SEND(router, "peer", "1");
    SEND(router, "peer", "2");
    CHECK_EQ(zmq_socket_get_peer_state(router, "peer", 4), 0);
    EXPECT(dealer, "1");
    EXPECT(dealer, "2");
    WAIT_DRIVING(router, zmq_socket_get_peer_state(router, "peer", 4) == ZMQ_POLLOUT);
}

TEST(peer_state_errors) {
    static const int others[] = {ZMQ_DEALER, ZMQ_PAIR, ZMQ_PUB, ZMQ_SERVER, ZMQ_PEER, ZMQ_CLIENT};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK_ERRNO(zmq_socket_get_peer_state(NEW_SOCKET(others[i]), "x", 1), ENOTSUP);
    CHECK_ERRNO(zmq_socket_get_peer_state(NULL, "x", 1), ENOTSOCK);
}
