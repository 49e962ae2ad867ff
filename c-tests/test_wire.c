// SPDX-License-Identifier: MPL-2.0
//
// The wire: raw TCP peers speak ZMTP 3.1, 3.0, 2.0 and 1.0 by hand (RFC 37, 23, 15, 13), byte by
// byte where the protocol says which bytes, and then everything a peer must not say.
#include "harness.h"

#include <sys/socket.h>
#include <unistd.h>

// ---- greeting ----------------------------------------------------------------------------------

// Ten bytes, no more, until the peer has shown what it speaks.
static void check_staged_greeting(int fd) {
    unsigned char greeting[64];
    zmtp_greeting(greeting, 3, 1, "NULL");
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f");
    RAW_EXPECT_SILENT(fd);
    RAW_SEND(fd, greeting, 10);
    RAW_EXPECT_LITERAL(fd, "\3");
    RAW_EXPECT_SILENT(fd);
    RAW_SEND(fd, greeting + 10, 1);
    RAW_EXPECT(fd, greeting + 11, 53);
    RAW_SEND(fd, greeting + 11, 53);
    ZMTP_EXPECT_LITERAL(fd, 4, "\5READY\13Socket-Type\0\0\0\4PULL");
}

TEST(greeting_is_staged) {
    check_staged_greeting(RAW_PEER(NEW_SOCKET(ZMQ_PULL)));
}

TEST(greeting_of_a_connecting_socket_is_staged) {
    check_staged_greeting(RAW_SERVER(NEW_SOCKET(ZMQ_PULL)));
}

// The signature's length field is that of the routing id plus one.
TEST(greeting_with_a_routing_id) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(s, ZMQ_ROUTING_ID, "me");
    int fd = RAW_PEER(s);
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\3\x7f");
}

TEST(greeting_says_its_mechanism) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(s, ZMQ_PLAIN_SERVER, 1);
    int fd = RAW_PEER(s);
    unsigned char greeting[64], theirs[64];
    zmtp_greeting(greeting, 3, 1, "PLAIN");
    RAW_SEND(fd, greeting, 64);
    RAW_READ(fd, theirs, 64);
    CHECK_BYTES(theirs, 64, greeting, 64);
}

// What a PULL says until it is ready.
static void take_handshake(int fd) {
    unsigned char greeting[64];
    zmtp_greeting(greeting, 3, 1, "NULL");
    RAW_EXPECT(fd, greeting, 64);
    ZMTP_EXPECT_LITERAL(fd, 4, "\5READY\13Socket-Type\0\0\0\4PULL");
}

TEST(greeting_byte_by_byte) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    unsigned char greeting[64], ready[130] = {4};
    zmtp_greeting(greeting, 3, 1, "NULL");
    for (int i = 0; i < 64; i++)
        RAW_SEND(fd, greeting + i, 1);
    size_t size = zmtp_ready(ready + 2, "PUSH", NULL);
    ready[1] = (unsigned char)size;
    for (size_t i = 0; i < size + 2; i++)
        RAW_SEND(fd, ready + i, 1);
    take_handshake(fd);
    static const char message[] = "\1\3one\0\3two";
    for (size_t i = 0; i < sizeof message - 1; i++)
        RAW_SEND(fd, message + i, 1);
    EXPECT(s, "one", "two");
}

// RFC 37 lets a peer that has said READY send messages at once.
TEST_OURS_ONLY(everything_at_once, "it takes a message before its own READY for a wrong command") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    unsigned char all[256];
    zmtp_greeting(all, 3, 1, "NULL");
    size_t size = zmtp_ready(all + 66, "PUSH", NULL);
    all[64] = 4;
    all[65] = (unsigned char)size;
    size += 66;
    memcpy(all + size, "\1\3one\0\3two", 10);
    RAW_SEND(fd, all, size + 10);
    EXPECT(s, "one", "two");
}

// Bytes the protocol calls padding are not looked at.
TEST(greeting_padding_is_ignored) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    unsigned char greeting[64];
    zmtp_greeting(greeting, 3, 1, "NULL");
    memset(greeting + 1, 0xa5, 8);
    greeting[32] = 1;
    memset(greeting + 33, 0x5a, 31);
    RAW_SEND(fd, greeting, 64);
    ZMTP_SEND_READY(fd, "PUSH", NULL);
    take_handshake(fd);
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    EXPECT(s, "hello");
}

TEST(later_versions_are_spoken_to_in_3_1) {
    static const int versions[][2] = {{3, 1}, {3, 7}, {4, 0}, {255, 255}};
    for (int i = 0; i < 4; i++) {
        void *s = NEW_SOCKET(ZMQ_SUB);
        int fd = RAW_PEER(s);
        SET_TEXT(s, ZMQ_SUBSCRIBE, "a");
        unsigned char greeting[64], theirs[64];
        zmtp_greeting(greeting, versions[i][0], versions[i][1], "NULL");
        RAW_SEND(fd, greeting, 64);
        RAW_READ(fd, theirs, 64);
        ZMTP_SEND_READY(fd, "PUB", NULL);
        CHECK_EQ(ZMTP_RECV(fd).flags, 4);
        WAIT_DRIVING(s, raw_readable(fd));
        ZMTP_EXPECT_LITERAL(fd, 4, "\11SUBSCRIBEa");
    }
}

// A revision nobody ever spoke is taken for a later one.
TEST(revision_2_is_spoken_to_in_3_1) {
    void *s = NEW_SOCKET(ZMQ_SUB);
    int fd = RAW_PEER(s);
    SET_TEXT(s, ZMQ_SUBSCRIBE, "a");
    unsigned char greeting[64], theirs[64];
    zmtp_greeting(greeting, 2, 0, "NULL");
    RAW_SEND(fd, greeting, 64);
    RAW_READ(fd, theirs, 64);
    ZMTP_SEND_READY(fd, "PUB", NULL);
    CHECK_EQ(ZMTP_RECV(fd).flags, 4);
    WAIT_DRIVING(s, raw_readable(fd));
    ZMTP_EXPECT_LITERAL(fd, 4, "\11SUBSCRIBEa");
}

TEST(mechanisms_must_match_exactly) {
    static const char *const names[] = {"PLAIN", "CURVE", "null", "NULLX", "", "NOSUCHMECHANISMATALL"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *s = NEW_SOCKET(ZMQ_PULL);
        void *mon = MONITOR(s, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_DISCONNECTED);
        int fd = RAW_PEER(s);
        unsigned char greeting[64];
        zmtp_greeting(greeting, 3, 1, names[i]);
        RAW_SEND(fd, greeting, 64);
        CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL).value,
                 ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(fd);
        CLOSE(mon);
    }
}

// ---- READY -------------------------------------------------------------------------------------

TEST(ready_of_every_type) {
    static const struct {
        int type;
        const char *name, *peer;
        bool identity;
    } rows[] = {
        {ZMQ_PAIR, "PAIR", "PAIR", false},     {ZMQ_PUB, "PUB", "SUB", false},
        {ZMQ_SUB, "SUB", "PUB", false},        {ZMQ_REQ, "REQ", "REP", true},
        {ZMQ_REP, "REP", "REQ", false},        {ZMQ_DEALER, "DEALER", "ROUTER", true},
        {ZMQ_ROUTER, "ROUTER", "DEALER", true}, {ZMQ_PULL, "PULL", "PUSH", false},
        {ZMQ_PUSH, "PUSH", "PULL", false},     {ZMQ_XPUB, "XPUB", "XSUB", false},
        {ZMQ_XSUB, "XSUB", "XPUB", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *s = NEW_SOCKET(rows[i].type);
        int fd = RAW_PEER(s);
        unsigned char expected[128];
        struct zmtp_frame ready;
        ZMTP_HANDSHAKE(fd, 1, rows[i].peer, &ready);
        size_t size = zmtp_ready(expected, rows[i].name, rows[i].identity ? "" : NULL);
        CHECK_BYTES(ready.body, ready.size, expected, size);
    }
}

TEST(ready_with_identity) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(s, ZMQ_ROUTING_ID, "my name");
    int fd = RAW_PEER(s);
    unsigned char greeting[64], theirs[64], expected[128];
    zmtp_greeting(greeting, 3, 1, "NULL");
    RAW_SEND(fd, greeting, 64);
    RAW_READ(fd, theirs, 64);
    CHECK_EQ(theirs[8], 8);
    ZMTP_SEND_READY(fd, "ROUTER", "");
    ZMTP_EXPECT(fd, 4, expected, zmtp_ready(expected, "DEALER", "my name"));
}

TEST(identity_of_the_peer) {
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    int fd = RAW_PEER(s);
    ZMTP_GREET(fd, 1);
    ZMTP_SEND_READY(fd, "DEALER", "raw peer");
    ZMTP_RECV(fd);
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    EXPECT(s, "raw peer", "hello");
    SEND(s, "raw peer", "back", "");
    ZMTP_EXPECT_LITERAL(fd, 1, "back");
    ZMTP_EXPECT_LITERAL(fd, 0, "");
}

TEST(compatible_types) {
    static const struct {
        int type;
        const char *peers; // separated by spaces
    } rows[] = {
        {ZMQ_PAIR, "PAIR"},       {ZMQ_PUB, "SUB XSUB"},        {ZMQ_SUB, "PUB XPUB"},
        {ZMQ_REQ, "REP ROUTER"},  {ZMQ_REP, "REQ DEALER"},      {ZMQ_DEALER, "REP DEALER ROUTER"},
        {ZMQ_ROUTER, "REQ DEALER ROUTER"}, {ZMQ_PULL, "PUSH"},  {ZMQ_PUSH, "PULL"},
        {ZMQ_XPUB, "SUB XSUB"},   {ZMQ_XSUB, "PUB XPUB"},
    };
    static const char *const names[] = {"PAIR", "PUB",  "SUB",  "REQ",  "REP",  "DEALER", "ROUTER",
                                        "PULL", "PUSH", "XPUB", "XSUB", "pair", "NONSENSE"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            void *s = NEW_SOCKET(rows[i].type);
            void *mon = MONITOR(s, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
            int fd = RAW_PEER(s);
            ZMTP_GREET(fd, 1);
            ZMTP_SEND_READY(fd, names[k], "");
            char padded[64], name[32];
            snprintf(padded, sizeof padded, " %s ", rows[i].peers);
            snprintf(name, sizeof name, " %s ", names[k]);
            int expected =
                strstr(padded, name) ? ZMQ_EVENT_HANDSHAKE_SUCCEEDED : ZMQ_EVENT_DISCONNECTED;
            int event = NEXT_EVENT(mon).event;
            if (event != expected)
                fail("type %d with a peer that says %s: %s", rows[i].type, names[k],
                     event_name(event));
            close(fd);
            CLOSE(mon);
            CLOSE(s);
        }
}

TEST(properties_of_the_peer) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    ZMTP_GREET(fd, 1);
    ZMTP_SEND_LITERAL(fd, 4, "\5READY\13Socket-Type\0\0\0\4PUSH\7X-Thing\0\0\0\5value\5Empty\0\0\0\0");
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, s, 0), 5);
    CHECK_STR(zmq_msg_gets(&message, "X-Thing"), "value");
    CHECK_STR(zmq_msg_gets(&message, "Empty"), "");
    CHECK_STR(zmq_msg_gets(&message, "Socket-Type"), "PUSH");
    CHECK_OK(zmq_msg_close(&message));
}

// During the handshake the text makes the command, not the flag.
// The first of a name counts, what the library itself knows before all; a NUL ends a value.
TEST(properties_twice) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    ZMTP_GREET(fd, 1);
    ZMTP_SEND_LITERAL(fd, 4,
                      "\5READY\13Socket-Type\0\0\0\4PUSH\1X\0\0\0\4ab\0c\1X\0\0\0\1z"
                      "\14Peer-Address\0\0\0\4fake\4__fd\0\0\0\0017\7User-Id\0\0\0\2me");
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, s, 0), 5);
    CHECK_STR(zmq_msg_gets(&message, "X"), "ab");
    CHECK_STR(zmq_msg_gets(&message, "Peer-Address"), "127.0.0.1");
    CHECK(strcmp(zmq_msg_gets(&message, "__fd"), "7") != 0);
    CHECK_STR(zmq_msg_gets(&message, "User-Id"), "me");
    CHECK_OK(zmq_msg_close(&message));
}

TEST(ready_without_the_command_flag) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    unsigned char body[128];
    ZMTP_GREET(fd, 1);
    ZMTP_SEND(fd, 0, body, zmtp_ready(body, "PUSH", NULL));
    ZMTP_RECV(fd);
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    EXPECT(s, "hello");
}

// What is not said is not checked.
TEST(ready_without_a_socket_type) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    void *mon = MONITOR(s, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
    ZMTP_GREET(fd, 1);
    ZMTP_SEND_LITERAL(fd, 4, "\5READY");
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
}

// The names are compared byte by byte: others are properties of the peer's own.
TEST(names_of_properties_have_a_case) {
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    int fd = RAW_PEER(s);
    ZMTP_GREET(fd, 1);
    ZMTP_SEND_LITERAL(fd, 4, "\5READY\13socket-type\0\0\0\3PUB\10identity\0\0\0\4name");
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    CHECK_EQ(RECV(s).size, 5); // an id that was made up
    EXPECT(s, "hello");
}

TEST(own_properties) {
    enum { METADATA = 95 };
    void *s = NEW_SOCKET(ZMQ_PULL);
    static const char *const bad[] = {"", "X-a", ":x", "X-a:", "a:b", "x-a:b", "Y-a:b",
                                      "X-:b"}; // of four bytes: a number
    if (zmq_setsockopt(s, METADATA, "X-one:1", 7) != 0)
        skip("no ZMQ_METADATA");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_ERRNO(zmq_setsockopt(s, METADATA, bad[i], strlen(bad[i])), EINVAL);
    CHECK_OK(zmq_setsockopt(s, METADATA, "X-two:2:3", 9));
    CHECK_OK(zmq_setsockopt(s, METADATA, "X-one:other", 11));
    int fd = RAW_PEER(s);
    ZMTP_GREET(fd, 1);
    ZMTP_EXPECT_LITERAL(fd, 4,
                        "\5READY\13Socket-Type\0\0\0\4PULL\5X-one\0\0\0\0011\5X-two\0\0\0\0032:3");
}

// ---- frames ------------------------------------------------------------------------------------

TEST(frames_out) {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    int fd = ZMTP_PEER(s, "PULL");
    SEND(s, "a", "", "b");
    RAW_EXPECT_LITERAL(fd, "\1\1a\1\0\0\1b");
    unsigned char body[256] = {0}, head[9] = {2, 0, 0, 0, 0, 0, 0, 1, 0};
    SEND_BYTES(s, body, 255, 0);
    RAW_EXPECT_LITERAL(fd, "\0\xff");
    RAW_EXPECT(fd, body, 255);
    SEND_BYTES(s, body, 256, 0);
    RAW_EXPECT(fd, head, 9);
    RAW_EXPECT(fd, body, 256);
}

TEST(a_long_frame_out) {
    enum { SIZE = 300000 };
    void *s = NEW_SOCKET(ZMQ_PUSH);
    int fd = ZMTP_PEER(s, "PULL");
    char *body = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        body[i] = (char)(i % 251);
    SEND_BYTES(s, body, SIZE, ZMQ_SNDMORE);
    SEND(s, "end");
    RAW_EXPECT_LITERAL(fd, "\3\0\0\0\0\0\4\x93\xe0");
    RAW_EXPECT(fd, body, SIZE);
    RAW_EXPECT_LITERAL(fd, "\0\3end");
}

TEST(frames_in) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = ZMTP_PEER(s, "PUSH");
    RAW_SEND_LITERAL(fd, "\1\1a\1\0\0\1b");
    EXPECT(s, "a", "", "b");
    // The long form of a short body is fine, too.
    RAW_SEND_LITERAL(fd, "\2\0\0\0\0\0\0\0\2cd");
    EXPECT(s, "cd");
    RAW_SEND_LITERAL(fd, "\3\0\0\0\0\0\0\0\0\0\1e");
    EXPECT(s, "", "e");
}

TEST(frames_in_pieces) {
    enum { SIZE = 100000 };
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = ZMTP_PEER(s, "PUSH");
    char *body = malloc(SIZE), *got = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        body[i] = (char)(i % 253);
    for (size_t step = 1; step < SIZE; step = step * 7 + 3) {
        RAW_SEND_LITERAL(fd, "\2\0\0\0\0\0\1\x86\xa0");
        size_t at = 0, pieces = 0;
        // A few pieces of this size, then the rest.
        for (; at + step < SIZE && pieces < 40; at += step, pieces++)
            RAW_SEND(fd, body + at, step);
        RAW_SEND(fd, body + at, SIZE - at);
        CHECK_EQ(zmq_recv(s, got, SIZE, 0), SIZE);
        CHECK(memcmp(got, body, SIZE) == 0);
    }
}

// Half a message is no message, and dies with its connection.
TEST(half_a_message) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = ZMTP_PEER(s, "PUSH");
    RAW_SEND_LITERAL(fd, "\1\3one\1\3two\0\5thr");
    EXPECT_NOTHING(s);
    close(fd);
    EXPECT_NOTHING(s);
    fd = RAW_CONNECT(LAST_ENDPOINT(s));
    ZMTP_HANDSHAKE(fd, 1, "PUSH", NULL);
    RAW_SEND_LITERAL(fd, "\0\5whole");
    EXPECT(s, "whole");
}

TEST(unknown_flags_are_ignored) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = ZMTP_PEER(s, "PUSH");
    RAW_SEND_LITERAL(fd, "\xf8\2ab");
    EXPECT(s, "ab");
}

// ---- subscriptions -----------------------------------------------------------------------------

TEST(subscriptions_of_3_1_are_commands) {
    void *s = NEW_SOCKET(ZMQ_SUB);
    int fd = RAW_PEER(s);
    SET_TEXT(s, ZMQ_SUBSCRIBE, "abc");
    ZMTP_HANDSHAKE(fd, 1, "PUB", NULL);
    WAIT_DRIVING(s, raw_readable(fd));
    ZMTP_EXPECT_LITERAL(fd, 4, "\11SUBSCRIBEabc");
    SET_TEXT(s, ZMQ_SUBSCRIBE, "");
    ZMTP_EXPECT_LITERAL(fd, 4, "\11SUBSCRIBE");
    SET_TEXT(s, ZMQ_UNSUBSCRIBE, "abc");
    ZMTP_EXPECT_LITERAL(fd, 4, "\6CANCELabc");
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    EXPECT(s, "hello");
}

// Every subscription is passed on, but only the last unsubscription.
TEST(repeated_subscriptions) {
    void *s = NEW_SOCKET(ZMQ_SUB);
    int fd = ZMTP_PEER(s, "PUB");
    ZMTP_SEND_LITERAL(fd, 0, "a");
    SET_TEXT(s, ZMQ_SUBSCRIBE, "a");
    WAIT_DRIVING(s, raw_readable(fd));
    ZMTP_EXPECT_LITERAL(fd, 4, "\11SUBSCRIBEa");
    SET_TEXT(s, ZMQ_SUBSCRIBE, "a");
    ZMTP_EXPECT_LITERAL(fd, 4, "\11SUBSCRIBEa");
    SET_TEXT(s, ZMQ_UNSUBSCRIBE, "a");
    SET_TEXT(s, ZMQ_UNSUBSCRIBE, "unknown");
    SET_TEXT(s, ZMQ_UNSUBSCRIBE, "a");
    ZMTP_EXPECT_LITERAL(fd, 4, "\6CANCELa");
    RAW_EXPECT_SILENT(fd);
}

// Commands are no messages, whoever says them to whom.
TEST_OURS_ONLY(subscriptions_to_who_does_not_publish, "it hands them out as messages") {
    static const struct {
        int type;
        const char *peer;
    } rows[] = {{ZMQ_PULL, "PUSH"}, {ZMQ_DEALER, "DEALER"}, {ZMQ_PAIR, "PAIR"}, {ZMQ_XSUB, "PUB"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *s = NEW_SOCKET(rows[i].type);
        int fd = ZMTP_PEER(s, rows[i].peer);
        ZMTP_SEND_LITERAL(fd, 4, "\11SUBSCRIBEtopic");
        ZMTP_SEND_LITERAL(fd, 4, "\6CANCELtopic");
        ZMTP_SEND_LITERAL(fd, 0, "hello");
        EXPECT(s, "hello");
    }
}

// An XPUB passes up what takes back nothing.
TEST(unsubscription_of_what_nobody_had) {
    void *s = NEW_SOCKET(ZMQ_XPUB);
    int fd = ZMTP_PEER(s, "SUB");
    ZMTP_SEND_LITERAL(fd, 4, "\6CANCELa");
    EXPECT_BYTES(s, "\0a", 2, false);
    ZMTP_SEND(fd, 0, "\0b", 2);
    EXPECT_BYTES(s, "\0b", 2, false);
}

TEST_OURS_ONLY(a_topic_of_255_bytes_to_3_0, "the header lacks the flag of its length") {
    void *s = NEW_SOCKET(ZMQ_SUB);
    int fd = RAW_PEER(s);
    unsigned char topic[256];
    memset(topic, 't', sizeof topic);
    topic[0] = 1;
    SET_BYTES(s, ZMQ_SUBSCRIBE, topic + 1, 255);
    ZMTP_HANDSHAKE(fd, 0, "PUB", NULL);
    WAIT_DRIVING(s, raw_readable(fd));
    ZMTP_EXPECT(fd, 2, topic, 256);
}

TEST(subscriptions_of_3_0_are_messages) {
    void *s = NEW_SOCKET(ZMQ_SUB);
    int fd = RAW_PEER(s);
    SET_TEXT(s, ZMQ_SUBSCRIBE, "abc");
    ZMTP_HANDSHAKE(fd, 0, "PUB", NULL);
    WAIT_DRIVING(s, raw_readable(fd));
    ZMTP_EXPECT_LITERAL(fd, 0, "\1abc");
    SET_TEXT(s, ZMQ_UNSUBSCRIBE, "abc");
    ZMTP_EXPECT(fd, 0, "\0abc", 4);
}

TEST(both_kinds_of_subscription_are_understood) {
    void *s = NEW_SOCKET(ZMQ_XPUB);
    int fd = ZMTP_PEER(s, "SUB");
    ZMTP_SEND_LITERAL(fd, 4, "\11SUBSCRIBEA");
    EXPECT_BYTES(s, "\1A", 2, false);
    ZMTP_SEND_LITERAL(fd, 0, "\1B");
    EXPECT_BYTES(s, "\1B", 2, false);
    SEND(s, "A");
    SEND(s, "B");
    SEND(s, "C");
    ZMTP_EXPECT_LITERAL(fd, 0, "A");
    ZMTP_EXPECT_LITERAL(fd, 0, "B");
    ZMTP_SEND_LITERAL(fd, 4, "\6CANCELA");
    EXPECT_BYTES(s, "\0A", 2, false);
    ZMTP_SEND(fd, 0, "\0B", 2);
    EXPECT_BYTES(s, "\0B", 2, false);
    SEND(s, "A");
    SEND(s, "B");
    RAW_EXPECT_SILENT(fd);
}

// ---- commands after the handshake --------------------------------------------------------------

TEST(ping_is_answered_with_its_context) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = ZMTP_PEER(s, "PUSH");
    ZMTP_SEND_LITERAL(fd, 4, "\4PING\0\0");
    ZMTP_EXPECT_LITERAL(fd, 4, "\4PONG");
    ZMTP_SEND_LITERAL(fd, 4, "\4PING\0\0context");
    ZMTP_EXPECT_LITERAL(fd, 4, "\4PONGcontext");
    ZMTP_SEND_LITERAL(fd, 4, "\4PING\0\0sixteen bytes long");
    ZMTP_EXPECT_LITERAL(fd, 4, "\4PONGsixteen bytes lo");
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    EXPECT(s, "hello");
}

TEST(own_pings) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HEARTBEAT_IVL, 50);
    SET_INT(s, ZMQ_HEARTBEAT_TTL, 1200);
    SET_INT(s, ZMQ_HEARTBEAT_TIMEOUT, DEADLINE_MS);
    int fd = ZMTP_PEER(s, "PUSH");
    for (int i = 0; i < 4; i++) {
        ZMTP_EXPECT_LITERAL(fd, 4, "\4PING\0\14");
        ZMTP_SEND_LITERAL(fd, 4, "\4PONG");
    }
}

TEST(a_peer_of_3_0_is_pinged_too) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_INT(s, ZMQ_HEARTBEAT_IVL, 50);
    int fd = RAW_PEER(s);
    ZMTP_HANDSHAKE(fd, 0, "PUSH", NULL);
    ZMTP_EXPECT_LITERAL(fd, 4, "\4PING\0\0");
}

TEST(no_pings_without_an_interval) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = ZMTP_PEER(s, "PUSH");
    RAW_EXPECT_SILENT(fd);
}

TEST(unknown_commands_are_ignored) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = ZMTP_PEER(s, "PUSH");
    ZMTP_SEND_LITERAL(fd, 4, "\7UNKNOWNand more");
    ZMTP_SEND_LITERAL(fd, 4, "\xffTOOLONG");
    ZMTP_SEND_LITERAL(fd, 4, "\4PONG");
    ZMTP_SEND_LITERAL(fd, 4, "");
    // Those of the handshake, and of another socket, are unknown here.
    ZMTP_SEND_LITERAL(fd, 4, "\5READY");
    ZMTP_SEND_LITERAL(fd, 4, "\5ERROR\003400");
    ZMTP_SEND_LITERAL(fd, 4, "\4JOINgroup");
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    EXPECT(s, "hello");
    RAW_EXPECT_SILENT(fd);
}

// To a publisher, too: only the exact name counts. Messages that begin otherwise are passed up.
TEST(what_is_no_subscription) {
    void *s = NEW_SOCKET(ZMQ_XPUB);
    int fd = ZMTP_PEER(s, "SUB");
    ZMTP_SEND_LITERAL(fd, 4, "\12SUBSCRIBEx");
    ZMTP_SEND_LITERAL(fd, 4, "\11subscribex");
    ZMTP_SEND_LITERAL(fd, 4, "\1x");
    ZMTP_SEND_LITERAL(fd, 0, "\11SUBSCRIBEx");
    EXPECT(s, "\11SUBSCRIBEx");
    ZMTP_SEND_LITERAL(fd, 0, "");
    EXPECT(s, "");
    SEND(s, "x");
    RAW_EXPECT_SILENT(fd);
}

// A short PING must not be answered with memory of the process.
TEST_OURS_ONLY(short_ping_is_ignored, "it answers with 16 bytes of stray memory") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = ZMTP_PEER(s, "PUSH");
    ZMTP_SEND_LITERAL(fd, 4, "\4PING");
    ZMTP_SEND_LITERAL(fd, 4, "\4PING\0");
    RAW_EXPECT_SILENT(fd);
    ZMTP_SEND_LITERAL(fd, 0, "hello");
    EXPECT(s, "hello");
}

TEST_OURS_ONLY(a_long_ttl_is_no_short_one, "it multiplies in 16 bits") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    int fd = ZMTP_PEER(s, "PUSH");
    ZMTP_SEND_LITERAL(fd, 4, "\4PING\2\x90"); // 656 tenths; times 100 is 64 modulo 65536
    ZMTP_EXPECT_LITERAL(fd, 4, "\4PONG");
    struct event event;
    CHECK(!event_within(mon, &event, 300));
}

// ---- ZMTP 3.0, 2.0, 1.0 ------------------------------------------------------------------------

TEST(zmtp_3_0) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    int fd = RAW_PEER(s);
    ZMTP_HANDSHAKE(fd, 0, "ROUTER", NULL);
    ZMTP_SEND_LITERAL(fd, 1, "a");
    ZMTP_SEND_LITERAL(fd, 0, "b");
    EXPECT(s, "a", "b");
    SEND(s, "c", "d");
    ZMTP_EXPECT_LITERAL(fd, 1, "c");
    ZMTP_EXPECT_LITERAL(fd, 0, "d");
}

// Revision 1: flags and length as in 3.x; socket type in the greeting; identities as messages.
TEST(zmtp_2_0) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    int fd = RAW_PEER(s);
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f");
    RAW_SEND_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\1\6"); // ROUTER
    RAW_EXPECT_LITERAL(fd, "\3\5");                       // we are a DEALER
    RAW_SEND_LITERAL(fd, "\0\0");                         // no identity
    RAW_EXPECT_LITERAL(fd, "\0\0");
    RAW_SEND_LITERAL(fd, "\1\1a\0\1b");
    EXPECT(s, "a", "b");
    SEND(s, "c", "d");
    RAW_EXPECT_LITERAL(fd, "\1\1c\0\1d");
}

// Its frames have no commands: with their flag they are nothing, whatever they say.
TEST(zmtp_2_0_has_no_commands) {
    void *s = NEW_SOCKET(ZMQ_XPUB);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\1\2\0\0");
    RAW_SEND_LITERAL(fd, "\4\7\4PING\0\0\4\12\11SUBSCRIBE\4\2\1x\0\2\1a");
    EXPECT_BYTES(s, "\1a", 2, false);
    SEND(s, "b");
    SEND(s, "abc");
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\3\11\0\0\0\3abc");
    RAW_EXPECT_SILENT(fd);
}

TEST(zmtp_2_0_identity) {
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\xff\0\0\0\0\0\0\0\5\x7f\1\5\0\4name\0\5hello");
    EXPECT(s, "name", "hello");
}

TEST(zmtp_2_0_subscriptions) {
    void *s = NEW_SOCKET(ZMQ_XPUB);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\1\2\0\0\0\2\1a");
    EXPECT_BYTES(s, "\1a", 2, false);
    SEND(s, "b");
    SEND(s, "abc");
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\3\11\0\0\0\3abc");
}

// Revision 0: the greeting is followed by the framing of 1.0.
TEST(zmtp_1_0_with_a_greeting) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\0\6\1\0\2\1a\2\0b");
    EXPECT(s, "a", "b");
    SEND(s, "c");
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\3\5\1\0\2\0c");
}

// No greeting at all: length, flags, body; the first frame is the identity.
TEST(zmtp_1_0) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\1\0\2\1a\3\0bc");
    EXPECT(s, "a", "bc");
}

TEST(zmtp_1_0_identity) {
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\5\0name\6\0hello");
    EXPECT(s, "name", "hello");
    SEND(s, "name", "back");
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\5\0back");
}

// The routing id goes where each version has it.
TEST(own_identity_in_old_versions) {
    static const struct {
        const char *bytes;
        size_t size;
        const char *answer;
        size_t answer_size;
    } rows[] = {
        {"\xff\0\0\0\0\0\0\0\1\x7f\1\5\0\0\0\5hello", 21,
         "\xff\0\0\0\0\0\0\0\3\x7f\3\5\0\2me\0\4back", 22},
        {"\xff\0\0\0\0\0\0\0\1\x7f\0\5\1\0\6\0hello", 21,
         "\xff\0\0\0\0\0\0\0\3\x7f\3\5\3\0me\5\0back", 22},
        // The greeting itself is the header of the identity.
        {"\1\0\6\0hello", 9, "\xff\0\0\0\0\0\0\0\3\x7fme\5\0back", 18},
    };
    for (int i = 0; i < 3; i++) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        SET_TEXT(s, ZMQ_ROUTING_ID, "me");
        int fd = RAW_PEER(s);
        RAW_SEND(fd, rows[i].bytes, rows[i].size);
        EXPECT(s, "hello");
        SEND(s, "back");
        RAW_EXPECT(fd, rows[i].answer, rows[i].answer_size);
    }
}

TEST(zmtp_1_0_frames_out) {
    void *s = NEW_SOCKET(ZMQ_PUSH);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\1\0");
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f");
    unsigned char body[254] = {0};
    SEND(s, "a", "");
    RAW_EXPECT_LITERAL(fd, "\2\1a\1\0");
    // One byte has room for 254, of which the flags are one.
    SEND_BYTES(s, body, 253, 0);
    RAW_EXPECT_LITERAL(fd, "\xfe\0");
    RAW_EXPECT(fd, body, 253);
    SEND_BYTES(s, body, 254, 0);
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\xff\0");
    RAW_EXPECT(fd, body, 254);
}

TEST(zmtp_1_0_unknown_flags_are_ignored) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\1\0\3\xfeno\3\xff" "a1\3\0a2");
    EXPECT(s, "no");
    EXPECT(s, "a1", "a2");
}

// An identity in the long form: only its tenth byte tells it from a greeting.
TEST(zmtp_1_0_long_identity) {
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\xff\0\0\0\0\0\0\0\5\0name\6\0hello");
    EXPECT(s, "name", "hello");
    SEND(s, "name", "back");
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\5\0back");
}

TEST(zmtp_1_0_long_frames) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    unsigned char body[300];
    memset(body, 'x', sizeof body);
    RAW_SEND_LITERAL(fd, "\1\0\xff\0\0\0\0\0\0\1\x2d\0"); // 301: flags and 300 bytes
    RAW_SEND(fd, body, 300);
    EXPECT_BYTES(s, body, 300, false);
}

// Such a publisher's peer cannot subscribe: it gets everything.
TEST(zmtp_1_0_subscriber_gets_everything) {
    void *s = NEW_SOCKET(ZMQ_XPUB);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\1\0");
    EXPECT_BYTES(s, "\1", 1, false);
    SEND(s, "all");
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\4\0all");
}

// With a greeting it subscribes itself.
TEST(zmtp_1_0_subscriber_with_a_greeting) {
    void *s = NEW_SOCKET(ZMQ_XPUB);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\0\2\1\0\3\0\1a");
    EXPECT_BYTES(s, "\1a", 2, false);
    SEND(s, "b");
    SEND(s, "abc");
    RAW_EXPECT_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\3\11\1\0\4\0abc");
}

// Nobody looks at the type in the greeting of 2.0.
TEST(zmtp_2_0_has_no_type_check) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    RAW_SEND_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\1\1\0\0\0\5hello"); // PUB
    EXPECT(s, "hello");
}

// A PUSH of each of them, with its first message.
static const struct {
    const char *bytes;
    size_t size;
} old_pushes[] = {{"\xff\0\0\0\0\0\0\0\1\x7f\1\10\0\0\0\5hello", 21},
                  {"\xff\0\0\0\0\0\0\0\1\x7f\0\10\1\0\6\0hello", 21},
                  {"\1\0\6\0hello", 9}};

// No mechanism: no event of its success, and its absence told at the end. No heartbeats either, and
// no properties.
TEST(old_versions_have_no_handshake) {
    for (int i = 0; i < 3; i++) {
        void *s = NEW_SOCKET(ZMQ_PULL);
        SET_INT(s, ZMQ_HEARTBEAT_IVL, 30);
        const char *endpoint = BIND(s, "tcp");
        void *mon = MONITOR(s, ZMQ_EVENT_ALL);
        int fd = RAW_CONNECT(endpoint);
        RAW_SEND(fd, old_pushes[i].bytes, old_pushes[i].size);
        EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
        zmq_msg_t message;
        CHECK_OK(zmq_msg_init(&message));
        CHECK_EQ(zmq_msg_recv(&message, s, 0), 5);
        CHECK(zmq_msg_gets(&message, "Socket-Type") == NULL);
        CHECK(zmq_msg_gets(&message, "Peer-Address") == NULL);
        CHECK_OK(zmq_msg_close(&message));
        // Our signature, our type with 2.0 and the other revision, an empty identity; no more.
        static const size_t said[] = {10 + 2 + 2, 10 + 2 + 2, 10};
        char theirs[64];
        RAW_READ(fd, theirs, said[i]);
        RAW_EXPECT_SILENT(fd);
        EXPECT_NOTHING(mon);
        close(fd);
        CHECK_EQ(EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL).value, EPIPE);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        CLOSE(mon);
    }
}

TEST_OURS_ONLY(a_greeting_of_old_ends_the_handshake, "4.3.4 lets its time run out, 4.3.6 does not") {
    for (int i = 0; i < 3; i++) {
        void *s = NEW_SOCKET(ZMQ_PULL);
        SET_INT(s, ZMQ_HANDSHAKE_IVL, 1000);
        const char *endpoint = BIND(s, "tcp");
        void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
        int fd = RAW_CONNECT(endpoint);
        RAW_SEND(fd, old_pushes[i].bytes, old_pushes[i].size);
        EXPECT(s, "hello");
        struct event event;
        CHECK(!event_within(mon, &event, 1200));
        CLOSE(mon);
    }
}

TEST(old_versions_are_refused_with_a_zap_domain) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    SET_TEXT(s, ZMQ_ZAP_DOMAIN, "global");
    const char *endpoint = BIND(s, "tcp");
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    int fd = RAW_CONNECT(endpoint);
    RAW_SEND_LITERAL(fd, "\xff\0\0\0\0\0\0\0\1\x7f\1\10");
    EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPTED);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
}

TEST(a_frame_of_1_0_without_flags) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    RAW_SEND_LITERAL(fd, "\1\0\0");
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
}

TEST(old_versions_are_refused_with_security) {
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {{"\xff\0\0\0\0\0\0\0\1\x7f\1\5", 12}, {"\1\0\2\0a", 5}};
    for (int i = 0; i < 2; i++) {
        void *s = NEW_SOCKET(ZMQ_PULL);
        SET_INT(s, ZMQ_PLAIN_SERVER, 1);
        void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
        int fd = RAW_PEER(s);
        RAW_SEND(fd, rows[i].bytes, rows[i].size);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(fd);
        CLOSE(mon);
    }
}

// Who connected does not come back to them.
TEST(old_versions_are_refused_for_good) {
    for (int i = 0; i < 6; i++) {
        void *s = NEW_SOCKET(ZMQ_PULL);
        if (i < 3)
            SET_TEXT(s, ZMQ_ZAP_DOMAIN, "global");
        else
            SET_TEXT(s, ZMQ_PLAIN_USERNAME, "user");
        void *mon = MONITOR(s, ZMQ_EVENT_ALL & ~ZMQ_EVENT_CONNECT_DELAYED);
        int fd = RAW_SERVER(s);
        RAW_SEND(fd, old_pushes[i % 3].bytes, old_pushes[i % 3].size);
        EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        RAW_EXPECT_CLOSED(fd);
        EXPECT_NOTHING(mon);
        EXPECT_NOTHING(s);
        CLOSE(mon);
    }
}

// ---- what a peer must not say ------------------------------------------------------------------

// The connection ends, the process lives, and the socket serves the next peer.
// No macros in here: a failure is that of the line with the bytes.
static void check_dropped(const char *bytes, size_t size, bool after_handshake) {
    void *s = new_socket(context(), ZMQ_PULL);
    int64_t limit = 100000;
    set_bytes(s, ZMQ_MAXMSGSIZE, &limit, sizeof limit, "ZMQ_MAXMSGSIZE");
    const char *endpoint = bind_fresh(s, "tcp");
    void *mon = monitor(s, ZMQ_EVENT_DISCONNECTED);
    int fd = raw_connect(endpoint);
    if (after_handshake)
        zmtp_handshake(fd, 1, "PUSH", NULL);
    else
        zmtp_greet(fd, 1);
    raw_send(fd, bytes, size);
    expect_event(mon, ZMQ_EVENT_DISCONNECTED);
    raw_expect_closed(fd);
    close(fd);

    fd = raw_connect(endpoint);
    zmtp_handshake(fd, 1, "PUSH", NULL);
    zmtp_send(fd, 0, "still alive", 11);
    expect_bytes(s, "still alive", 11, false);
    close(fd);
    close_socket(mon);
    close_socket(s);
}

#define DROPPED_DURING(literal) (HERE(), check_dropped(literal, sizeof(literal) - 1, false))
#define DROPPED_AFTER(literal) (HERE(), check_dropped(literal, sizeof(literal) - 1, true))

TEST(malformed_ready) {
    DROPPED_DURING("\4\0");                                                // no name
    DROPPED_DURING("\4\6\5READX");                                         // no such command
    DROPPED_DURING("\4\6\6READY");                                         // a name too long
    DROPPED_DURING("\4\7\5READY\1");                                       // a property cut off
    DROPPED_DURING("\4\7\5READY\13");                                      // its name missing
    DROPPED_DURING("\4\25\5READY\13Socket-Type\0\0\0");                    // length cut off
    DROPPED_DURING("\4\31\5READY\13Socket-Type\0\0\0\5PUSH");              // value too short
    DROPPED_DURING("\4\31\5READY\13Socket-Type\xff\xff\xff\xffPUSH");      // a huge length
    DROPPED_DURING("\4\31\5READY\13Socket-Type\x7f\xff\xff\xffPUSH");      // another
    DROPPED_DURING("\4\33\5READY\13Socket-Type\0\0\0\4PUSHx");             // rubbish behind
}

TEST(other_commands_during_the_handshake) {
    DROPPED_DURING("\4\5\4PING");
    DROPPED_DURING("\4\7\4PING\0\0");
    DROPPED_DURING("\4\12\11SUBSCRIBE");
    DROPPED_DURING("\4\6\5HELLO");
    DROPPED_DURING("\0\5hello");
}

TEST(frames_over_the_limit) {
    DROPPED_AFTER("\2\0\0\0\0\0\1\x86\xa1"); // 100001
    DROPPED_AFTER("\2\xff\xff\xff\xff\xff\xff\xff\xff");
    DROPPED_AFTER("\2\x80\0\0\0\0\0\0\0");
    DROPPED_AFTER("\2\x7f\xff\xff\xff\xff\xff\xff\xff");
    DROPPED_AFTER("\6\x7f\xff\xff\xff\xff\xff\xff\xff");
}

// Who connected does not come back to that either; its endpoint stays.
TEST(a_frame_over_the_limit_is_final) {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int64_t limit = 100;
    SET_BYTES(s, ZMQ_MAXMSGSIZE, &limit, sizeof limit);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL & ~ZMQ_EVENT_CONNECT_DELAYED);
    int fd = RAW_SERVER(s);
    ZMTP_HANDSHAKE(fd, 1, "PUSH", NULL);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED);
    EXPECT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    static const char body[101];
    ZMTP_SEND(fd, 0, body, 100);
    ZMTP_SEND(fd, 0, body, 101);
    EXPECT_BYTES(s, body, 100, false);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
    EXPECT_NOTHING(mon);
    CHECK_OK(zmq_disconnect(s, LAST_ENDPOINT(s)));
}

// A size claimed costs nothing until the bytes come.
TEST_OURS_ONLY(a_claimed_size_allocates_nothing, "it allocates first, and drops the connection") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = ZMTP_PEER(s, "PUSH");
    RAW_SEND_LITERAL(fd, "\2\0\0\x7f\xff\xff\xff\xff\xffxxxxxxxx");
    RAW_EXPECT_SILENT(fd);
    int second = ZMTP_CONNECT(LAST_ENDPOINT(s), "PUSH");
    ZMTP_SEND_LITERAL(second, 0, "still alive");
    EXPECT(s, "still alive");
}

TEST_OURS_ONLY(a_huge_handshake, "it takes what ZMQ_MAXMSGSIZE allows") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    int fd = RAW_PEER(s);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    ZMTP_GREET(fd, 1);
    RAW_SEND_LITERAL(fd, "\6\0\0\0\0\0\x10\0\1\5READY");
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    RAW_EXPECT_CLOSED(fd);
}

TEST(error_during_the_handshake) {
    DROPPED_DURING("\4\6\5ERROR");
    DROPPED_DURING("\4\7\5ERROR\4");
    DROPPED_DURING("\4\12\5ERROR\003400");
    DROPPED_DURING("\4\14\5ERROR\5Bad!!");
}

TEST(error_codes_are_told) {
    static const struct {
        const char *bytes;
        size_t size;
        int event, value; // 0 for no event but DISCONNECTED
    } rows[] = {
        {"\4\12\5ERROR\003300", 12, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, 300},
        {"\4\12\5ERROR\003400", 12, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, 400},
        {"\4\12\5ERROR\003500", 12, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, 500},
        {"\4\6\5ERROR", 8, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
         ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_ERROR},
        {"\4\7\5ERROR\4", 9, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
         ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_ERROR},
        {"\4\6\5OTHER", 8, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
         ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND},
        {"\4\0", 2, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
         ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND},
        // Other reasons than a status, and properties that cannot be.
        {"\4\12\5ERROR\003301", 12, 0, 0},
        {"\4\14\5ERROR\5Bad!!", 14, 0, 0},
        {"\4\7\5ERROR\0", 9, 0, 0},
        {"\4\7\5READY\1", 9, 0, 0},
        {"\4\31\5READY\13Socket-Type\0\0\0\3SUB", 27, 0, 0},
        {"\4\33\5READY\13Socket-Type\0\0\0\4PUSHx", 29, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *s = NEW_SOCKET(ZMQ_PULL);
        int fd = RAW_SERVER(s);
        void *mon = MONITOR(s, ZMQ_EVENT_ALL);
        ZMTP_GREET(fd, 1);
        RAW_SEND(fd, rows[i].bytes, rows[i].size);
        struct event event = NEXT_EVENT(mon);
        while (event.event == ZMQ_EVENT_CONNECTED || event.event == ZMQ_EVENT_CONNECT_DELAYED)
            event = NEXT_EVENT(mon);
        if (rows[i].event != 0) {
            if (event.event != rows[i].event || event.value != rows[i].value)
                fail("row %zu: %s with value %#x", i, event_name(event.event), event.value);
            event = NEXT_EVENT(mon);
        }
        if (event.event != ZMQ_EVENT_DISCONNECTED)
            fail("row %zu: %s", i, event_name(event.event));
        // Such a failure is final: it does not come back.
        struct event later;
        CHECK(!event_within(mon, &later, ABSENCE_MS));
        CLOSE(mon);
    }
}

TEST(rubbish_instead_of_a_greeting) {
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"\0", 1},
        {"\0\0\0\0\0\0\0\0\0\0\0\0", 12},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7e\0\0", 12},
        {"\xfe\1", 2},
        {"SSH-2.0-OpenSSH_9.2\r\n", 21},
    };
    void *s = NEW_SOCKET(ZMQ_PULL);
    int64_t limit = 100000;
    CHECK_OK(zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &limit, sizeof limit));
    const char *endpoint = BIND(s, "tcp");
    int fds[7];
    for (int i = 0; i < 7; i++) {
        fds[i] = RAW_CONNECT(endpoint);
        RAW_SEND(fds[i], rows[i].bytes, rows[i].size);
    }
    int good = ZMTP_CONNECT(endpoint, "PUSH");
    ZMTP_SEND_LITERAL(good, 0, "still alive");
    // Whatever the rubbish means in ZMTP 1.0, it is no reason to fall over.
    struct frame frame;
    do
        frame = RECV(s);
    while (frame.size != 11 || memcmp(frame.data, "still alive", 11) != 0);
}

// Random bytes, with and without a handshake before them.
TEST_SLOW(random_bytes, 60) {
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    int64_t limit = 100000;
    CHECK_OK(zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &limit, sizeof limit));
    const char *endpoint = BIND(s, "tcp");
    unsigned state = 12345;
    for (int round = 0; round < 300; round++) {
        int fd = RAW_CONNECT(endpoint);
        unsigned char bytes[200];
        for (int i = 0; i < 200; i++) {
            state = state * 1103515245 + 12345;
            // Small numbers are likelier to mean something.
            bytes[i] = (unsigned char)(round % 2 ? state >> 16 : (state >> 16) % 12);
        }
        if (round % 3)
            ZMTP_GREET(fd, 1);
        if (round % 3 == 2) {
            ZMTP_SEND_READY(fd, "DEALER", "");
        }
        // It may be cut off while it still talks.
        if (write(fd, bytes, sizeof bytes) < 0)
            CHECK(errno == EPIPE || errno == ECONNRESET);
        close(fd);
        struct frame frame;
        while (TRY_RECV(s, &frame))
            ;
    }
    int good = RAW_CONNECT(endpoint);
    ZMTP_GREET(good, 1);
    ZMTP_SEND_READY(good, "DEALER", "good");
    ZMTP_SEND_LITERAL(good, 0, "still alive");
    struct frame frame;
    do
        frame = RECV(s);
    while (frame.size != 11 || memcmp(frame.data, "still alive", 11) != 0);
}

// A write that fails says nothing about what the peer had sent before it went away.
TEST_OURS_ONLY(a_failed_write_loses_nothing_that_was_sent_before,
               "at the high-water mark it forgets what it has not read when the connection breaks") {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(s, ZMQ_RCVHWM, 1);
    const char *endpoint = BIND(s, "tcp");
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    int fd = ZMTP_CONNECT(endpoint, "DEALER");
    AWAIT_EVENT(mon, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    // So few that the kernel sends them at once: what waits there is forgotten with the reset.
    for (int i = 0; i < 5; i++)
        ZMTP_SEND(fd, 0, &(char){(char)('0' + i)}, 1);
    WAIT_EVENTS(s, ZMQ_POLLIN);
    // With a reset, so that already the first write fails.
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
    close(fd);
    for (int i = 0; i < 3; i++)
        TRY_SEND(s, "in vain");
    // Whoever has greeted this one has dealt with the failure too.
    ZMTP_CONNECT(endpoint, "DEALER");
    for (int i = 0; i < 5; i++)
        EXPECT_BYTES(s, &(char){(char)('0' + i)}, 1, false);
    AWAIT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
}

// A REQ takes [delimiter, body]; anything else is a protocol error and final.
TEST(malformed_replies_to_req) {
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {{"\0\5hello", 7},         {"\1\5hello\0\0", 9},      {"\0\0", 2},
                {"\1\0041234\0\1x", 9},   {"\1\003123\1\0\0\1x", 10}, {"\1\0041234\0\0", 8}};
    for (int i = 0; i < 6; i++) {
        void *s = NEW_SOCKET(ZMQ_REQ);
        int fd = RAW_SERVER(s);
        void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED);
        ZMTP_HANDSHAKE(fd, 1, "REP", NULL);
        SEND(s, "request");
        RAW_EXPECT_LITERAL(fd, "\1\0\0\7request");
        RAW_SEND(fd, rows[i].bytes, rows[i].size);
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
        struct event event;
        CHECK(!event_within(mon, &event, ABSENCE_MS));
        CLOSE(mon);
    }
}

// Empty parts and commands in between are nothing unusual.
TEST(a_reply_of_empty_parts) {
    void *s = NEW_SOCKET(ZMQ_REQ);
    int fd = RAW_SERVER(s);
    ZMTP_HANDSHAKE(fd, 1, "REP", NULL);
    SEND(s, "request");
    RAW_EXPECT_LITERAL(fd, "\1\0\0\7request");
    ZMTP_SEND_LITERAL(fd, 1, "");
    ZMTP_SEND_LITERAL(fd, 4, "\4PING\0\0");
    ZMTP_SEND_LITERAL(fd, 1, "");
    ZMTP_SEND_LITERAL(fd, 0, "");
    EXPECT(s, "", "");
}
