// SPDX-License-Identifier: MPL-2.0
//
// STREAM: plain TCP, every message an id and a piece of the stream.
#include "harness.h"

#include <unistd.h>

// A raw peer of the socket, connected; returns its id after taking the notification.
static int peer_of(void *stream, const char *endpoint, struct frame *id) {
    int fd = RAW_CONNECT(endpoint);
    *id = RECV(stream);
    CHECK_EQ(id->size, 5);
    CHECK_EQ(id->data[0], 0);
    EXPECT(stream, "");
    return fd;
}

static void send_to(void *stream, const struct frame *id, const void *data, size_t size) {
    SEND_FRAME(stream, *id, ZMQ_SNDMORE);
    SEND_BYTES(stream, data, size, 0);
}

// Receives until so many bytes came from the peer with this id.
static void expect_from(void *stream, const struct frame *id, const void *expected, size_t size) {
    char *all = malloc(size), part[65536];
    for (size_t have = 0; have < size;) {
        EXPECT_BYTES(stream, id->data, id->size, true);
        int got = zmq_recv(stream, part, sizeof part, 0);
        CHECK_BETWEEN(got, 1, size - have);
        CHECK_EQ(GET_INT(stream, ZMQ_RCVMORE), 0);
        memcpy(all + have, part, (size_t)got);
        have += (size_t)got;
    }
    CHECK(memcmp(all, expected, size) == 0);
    free(all);
}

TEST_EACH(connect_data_disconnect, EACH_STREAM) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    struct frame id;
    int fd = peer_of(stream, BIND(stream, transport), &id);
    RAW_SEND_LITERAL(fd, "hello");
    expect_from(stream, &id, "hello", 5);
    send_to(stream, &id, "back", 4);
    RAW_EXPECT_LITERAL(fd, "back");
    close(fd);
    EXPECT_BYTES(stream, id.data, id.size, true);
    EXPECT(stream, "");
}

TEST(nothing_is_said_first) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    int fd = RAW_PEER(stream);
    RAW_EXPECT_SILENT(fd);
}

TEST(several_peers) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    const char *endpoint = BIND(stream, "tcp");
    struct frame ids[4];
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = peer_of(stream, endpoint, &ids[i]);
        for (int k = 0; k < i; k++)
            CHECK(memcmp(ids[i].data, ids[k].data, 5) != 0);
    }
    for (int i = 3; i >= 0; i--) {
        char c = (char)('a' + i);
        send_to(stream, &ids[i], &c, 1);
        RAW_EXPECT(fds[i], &c, 1);
        RAW_SEND(fds[i], &c, 1);
        expect_from(stream, &ids[i], &c, 1);
    }
}

TEST(an_empty_part_closes) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    struct frame id;
    int fd = peer_of(stream, BIND(stream, "tcp"), &id);
    send_to(stream, &id, "", 0);
    WAIT_DRIVING(stream, raw_closed(fd));
    CHECK_ERRNO(zmq_send(stream, id.data, id.size, ZMQ_SNDMORE), EHOSTUNREACH);
}

TEST(an_empty_constant_part_closes) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    struct frame id;
    int fd = peer_of(stream, BIND(stream, "tcp"), &id);
    SEND_FRAME(stream, id, ZMQ_SNDMORE);
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init_data(&message, "", 0, NULL, NULL));
    CHECK_EQ(zmq_msg_send(&message, stream, 0), 0);
    CHECK_OK(zmq_msg_close(&message));
    WAIT_DRIVING(stream, raw_closed(fd));
}

TEST(unknown_id) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    BIND(stream, "tcp");
    CHECK_ERRNO(zmq_send(stream, "nobody", 6, ZMQ_SNDMORE), EHOSTUNREACH);
    CHECK_ERRNO(zmq_send(stream, "nobody", 6, ZMQ_SNDMORE | ZMQ_DONTWAIT), EHOSTUNREACH);
}

TEST(id_without_more_is_swallowed) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    struct frame id;
    int fd = peer_of(stream, BIND(stream, "tcp"), &id);
    SEND_FRAME(stream, id, 0);
    SEND(stream, "data for nobody");
    send_to(stream, &id, "arrives", 7);
    RAW_EXPECT_LITERAL(fd, "arrives");
}

TEST(more_on_data_is_ignored) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    struct frame id;
    int fd = peer_of(stream, BIND(stream, "tcp"), &id);
    for (int i = 0; i < 3; i++) {
        SEND_FRAME(stream, id, ZMQ_SNDMORE);
        SEND_BYTES(stream, "x", 1, ZMQ_SNDMORE);
    }
    RAW_EXPECT_LITERAL(fd, "xxx");
}

TEST(without_notifications) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    SET_INT(stream, ZMQ_STREAM_NOTIFY, 0);
    int fd = RAW_PEER(stream);
    EXPECT_NOTHING(stream);
    RAW_SEND_LITERAL(fd, "hello");
    CHECK_EQ(RECV(stream).size, 5);
    EXPECT(stream, "hello");
    close(fd);
    EXPECT_NOTHING(stream);
}

TEST(connecting_stream) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    CONNECT(stream, endpoint);
    int fd = RAW_ACCEPT(listener);
    struct frame id = RECV(stream);
    EXPECT(stream, "");
    // The socket knows it, too.
    unsigned char same[16];
    size_t size = sizeof same;
    CHECK_OK(zmq_getsockopt(stream, ZMQ_ROUTING_ID, same, &size));
    CHECK_BYTES(same, size, id.data, id.size);
    send_to(stream, &id, "GET /", 5);
    RAW_EXPECT_LITERAL(fd, "GET /");
    RAW_SEND_LITERAL(fd, "200");
    expect_from(stream, &id, "200", 3);
}

TEST(connecting_stream_comes_back_with_its_id) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    SET_INT(stream, ZMQ_RECONNECT_IVL, 10);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    CONNECT(stream, endpoint);
    int fd = RAW_ACCEPT(listener);
    struct frame id = RECV(stream);
    EXPECT(stream, "");
    close(fd);
    EXPECT_BYTES(stream, id.data, id.size, true); // gone
    EXPECT(stream, "");
    fd = RAW_ACCEPT(listener);
    EXPECT_BYTES(stream, id.data, id.size, true); // here again
    EXPECT(stream, "");
    send_to(stream, &id, "hello", 5);
    RAW_EXPECT_LITERAL(fd, "hello");
}

TEST(connect_routing_id) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    SET_TEXT(stream, ZMQ_CONNECT_ROUTING_ID, "chosen");
    CONNECT(stream, endpoint);
    int fd = RAW_ACCEPT(listener);
    EXPECT(stream, "chosen", "");
    SEND(stream, "chosen", "hello");
    RAW_EXPECT_LITERAL(fd, "hello");
}

TEST(stream_to_stream) {
    void *a = NEW_SOCKET(ZMQ_STREAM), *b = NEW_SOCKET(ZMQ_STREAM);
    CONNECT(b, BIND(a, "tcp"));
    struct frame of_b = RECV(a), of_a = RECV(b);
    EXPECT(a, "");
    EXPECT(b, "");
    send_to(a, &of_b, "hello", 5);
    expect_from(b, &of_a, "hello", 5);
    send_to(b, &of_a, "back", 4);
    expect_from(a, &of_b, "back", 4);
}

TEST(a_large_piece) {
    enum { SIZE = 1 << 20 };
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    struct frame id;
    int fd = peer_of(stream, BIND(stream, "tcp"), &id);
    char *data = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        data[i] = (char)(i * 13 + i / 4097);
    send_to(stream, &id, data, SIZE);
    RAW_EXPECT(fd, data, SIZE);
    // And in: more than any buffer of the library, in as many pieces as it likes.
    RAW_SEND(fd, data, 30000);
    expect_from(stream, &id, data, 30000);
}

TEST(pieces_keep_their_order) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    struct frame id;
    int fd = peer_of(stream, BIND(stream, "tcp"), &id);
    char expected[4000];
    for (int i = 0; i < 500; i++) {
        char text[9];
        snprintf(text, sizeof text, "%08d", i);
        memcpy(expected + 8 * i, text, 8);
        send_to(stream, &id, text, 8);
    }
    RAW_EXPECT(fd, expected, sizeof expected);
}

// A STREAM socket speaks ZMTP with a DEALER by hand.
TEST(plays_zmtp) {
    void *stream = NEW_SOCKET(ZMQ_STREAM), *dealer = NEW_SOCKET(ZMQ_DEALER);
    CONNECT(dealer, BIND(stream, "tcp"));
    struct frame id = RECV(stream);
    EXPECT(stream, "");
    unsigned char greeting[64], ready[130] = {4};
    zmtp_greeting(greeting, 3, 0, "NULL");
    send_to(stream, &id, greeting, 64);
    size_t size = zmtp_ready(ready + 2, "ROUTER", "");
    ready[1] = (unsigned char)size;
    send_to(stream, &id, ready, size + 2);
    SEND(dealer, "hello");
    // Everything the dealer says ends with its message.
    char all[512];
    size_t have = 0;
    static const char tail[] = "\0\5hello";
    while (have < 7 || memcmp(all + have - 7, tail, 7) != 0) {
        EXPECT_BYTES(stream, id.data, id.size, true);
        int got = zmq_recv(stream, all + have, sizeof all - have, 0);
        CHECK(got > 0);
        have += (size_t)got;
        CHECK(have < sizeof all);
    }
    CHECK_EQ((unsigned char)all[0], 0xff);
    send_to(stream, &id, "\0\4back", 6);
    EXPECT(dealer, "back");
}

TEST(peer_address) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    RAW_PEER(stream);
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, stream, 0), 5);
    CHECK_STR(zmq_msg_gets(&message, "Peer-Address"), "127.0.0.1");
    CHECK_NULL_ERRNO(zmq_msg_gets(&message, "Socket-Type"), EINVAL);
    CHECK_OK(zmq_msg_close(&message));
}

// Of a STREAM this option tells who came last.
TEST(routing_id) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    const char *endpoint = BIND(stream, "tcp");
    char read[300];
    size_t size = sizeof read;
    CHECK_OK(zmq_getsockopt(stream, ZMQ_ROUTING_ID, read, &size));
    CHECK_EQ(size, 0);
    for (int i = 0; i < 3; i++) {
        struct frame id;
        peer_of(stream, endpoint, &id);
        size = sizeof read;
        CHECK_OK(zmq_getsockopt(stream, ZMQ_ROUTING_ID, read, &size));
        CHECK_BYTES(read, size, id.data, id.size);
        CHECK_ERRNO(zmq_setsockopt(stream, ZMQ_ROUTING_ID, "", 0), EINVAL);
        size = sizeof read;
        CHECK_OK(zmq_getsockopt(stream, ZMQ_ROUTING_ID, read, &size));
        CHECK_EQ(size, id.size);
        SET_TEXT(stream, ZMQ_ROUTING_ID, "own");
        size = sizeof read;
        CHECK_OK(zmq_getsockopt(stream, ZMQ_ROUTING_ID, read, &size));
        CHECK_BYTES(read, size, "own", 3);
    }
}

TEST(closing_the_socket_closes_the_peers) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    struct frame id;
    int fd = peer_of(stream, BIND(stream, "tcp"), &id);
    CLOSE(stream);
    RAW_EXPECT_CLOSED(fd);
}

// Raw bytes have no handshake that could take too long, and no heartbeats.
TEST(no_timers) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    SET_INT(stream, ZMQ_HANDSHAKE_IVL, 20);
    SET_INT(stream, ZMQ_HEARTBEAT_IVL, 20);
    int64_t limit = 1;
    CHECK_OK(zmq_setsockopt(stream, ZMQ_MAXMSGSIZE, &limit, sizeof limit));
    struct frame id;
    int fd = peer_of(stream, BIND(stream, "tcp"), &id);
    RAW_EXPECT_SILENT(fd);
    RAW_SEND_LITERAL(fd, "more than a byte");
    expect_from(stream, &id, "more than a byte", 16);
}

// What this side has closed it does not connect to again.
TEST(closing_a_connection_of_one_s_own_is_final) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    SET_INT(stream, ZMQ_RECONNECT_IVL, 10);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    void *mon = MONITOR(stream, ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(stream, endpoint);
    int fd = RAW_ACCEPT(listener);
    struct frame id = RECV(stream);
    EXPECT(stream, "");
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED);
    send_to(stream, &id, "", 0);
    WAIT_DRIVING(stream, raw_closed(fd));
    EXPECT_NOTHING(mon);
    RAW_EXPECT_SILENT(listener);
    CHECK_ERRNO(zmq_send(stream, id.data, id.size, ZMQ_SNDMORE), EHOSTUNREACH);
}

TEST(a_full_peer) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    SET_INT(stream, ZMQ_SNDHWM, 2);
    SET_INT(stream, ZMQ_SNDTIMEO, 200);
    struct frame id;
    int fd = peer_of(stream, BIND(stream, "tcp"), &id);
    char *data = calloc(1, 1 << 20);
    size_t sent = 0;
    while (zmq_send(stream, id.data, id.size, ZMQ_SNDMORE) == (int)id.size) {
        SEND_BYTES(stream, data, 1 << 20, 0);
        CHECK((sent += 1 << 20) < (size_t)1 << 30);
    }
    CHECK_EQ(zmq_errno(), EAGAIN);
    for (size_t have = 0; have < sent; have += 1 << 20)
        RAW_READ(fd, data, 1 << 20);
    WAIT_UNTIL(zmq_send(stream, id.data, id.size, ZMQ_SNDMORE | ZMQ_DONTWAIT) == (int)id.size);
    SEND(stream, "room again");
    RAW_EXPECT_LITERAL(fd, "room again");
}

// ZMQ_ROUTING_ID is that of the peer that came last.
TEST(routing_id_of_the_last_peer) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    unsigned char id[256];
    size_t size = sizeof id;
    CHECK_OK(zmq_getsockopt(stream, ZMQ_ROUTING_ID, id, &size));
    CHECK_EQ(size, 0);
    const char *endpoint = BIND(stream, "tcp");
    for (int i = 0; i < 3; i++) {
        struct frame of_peer;
        peer_of(stream, endpoint, &of_peer);
        size = sizeof id;
        CHECK_OK(zmq_getsockopt(stream, ZMQ_ROUTING_ID, id, &size));
        CHECK_BYTES(id, size, of_peer.data, of_peer.size);
    }
}

// Its own connections have an id at once, and take data before there is anybody.
TEST(data_before_the_connection) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    SET_INT(stream, ZMQ_RECONNECT_IVL, 10);
    char endpoint[64];
    close(RAW_LISTEN(endpoint));
    SET_TEXT(stream, ZMQ_CONNECT_ROUTING_ID, "chosen");
    CONNECT(stream, endpoint);
    SEND(stream, "chosen", "early");
    EXPECT_NOTHING(stream);
    void *server = NEW_SOCKET(ZMQ_STREAM);
    WAIT_UNTIL(zmq_bind(server, endpoint) == 0);
    struct frame id = RECV(server);
    EXPECT(server, "");
    expect_from(server, &id, "early", 5);
    EXPECT(stream, "chosen", "");
}

// After a failure an id comes first again; what is no id of two parts is swallowed with the next.
TEST(data_after_an_unknown_id) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    struct frame id;
    int fd = peer_of(stream, BIND(stream, "tcp"), &id);
    CHECK_ERRNO(zmq_send(stream, "nobody", 6, ZMQ_SNDMORE), EHOSTUNREACH);
    SEND(stream, "taken for an id");
    SEND(stream, "and its data");
    send_to(stream, &id, "arrives", 7);
    RAW_EXPECT_LITERAL(fd, "arrives");
}

TEST(events_of_a_connection_of_one_s_own) {
    void *stream = NEW_SOCKET(ZMQ_STREAM);
    void *mon = MONITOR(stream, ZMQ_EVENT_ALL);
    char endpoint[64];
    int listener = RAW_LISTEN(endpoint);
    CONNECT(stream, endpoint);
    int fd = RAW_ACCEPT(listener);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_DELAYED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED);
    close(fd);
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
}
