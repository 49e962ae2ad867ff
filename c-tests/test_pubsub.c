// SPDX-License-Identifier: MPL-2.0
//
// PUB, SUB, XPUB, XSUB (RFC 29): filters, subscriptions as messages, and the XPUB options.
#include "harness.h"

#include <unistd.h>

// An XPUB says when a subscription has arrived, so tests need not guess.
static void make_pair(const char *transport, void **xpub, void **sub) {
    *xpub = NEW_SOCKET(ZMQ_XPUB);
    *sub = NEW_SOCKET(ZMQ_SUB);
    CONNECT(*sub, BIND(*xpub, transport));
}

static void subscribe(void *sub, const char *topic) { SET_TEXT(sub, ZMQ_SUBSCRIBE, topic); }
static void unsubscribe(void *sub, const char *topic) { SET_TEXT(sub, ZMQ_UNSUBSCRIBE, topic); }

// The XPUB receives the (un)subscription to this topic.
static void expect_subscription(void *xpub, int on, const char *topic) {
    char expected[300] = {(char)on};
    memcpy(expected + 1, topic, strlen(topic));
    EXPECT_BYTES(xpub, expected, strlen(topic) + 1, false);
}

static void join(void *xpub, void *sub, const char *topic) {
    subscribe(sub, topic);
    expect_subscription(xpub, 1, topic);
}

// ---- filters -----------------------------------------------------------------------------------

TEST_EACH(pub_to_sub, EACH_TRANSPORT) {
    void *pub = NEW_SOCKET(ZMQ_PUB), *sub = NEW_SOCKET(ZMQ_SUB);
    CONNECT(sub, BIND(pub, transport));
    subscribe(sub, "");
    SYNC_PUBSUB(pub, sub);
    SEND(pub, "a", "", "b");
    SEND(pub, "");
    EXPECT(sub, "a", "", "b");
    EXPECT(sub, "");
}

TEST_EACH(connecting_pub, EACH_TRANSPORT) {
    void *pub = NEW_SOCKET(ZMQ_PUB), *sub = NEW_SOCKET(ZMQ_SUB);
    CONNECT(pub, BIND(sub, transport));
    subscribe(sub, "a");
    SYNC_PUBSUB(pub, sub);
    SEND(pub, "b");
    SEND(pub, "a");
    EXPECT(sub, "a");
}

TEST_EACH(prefixes, EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    join(xpub, sub, "ab");
    join(xpub, sub, "abcd");
    join(xpub, sub, "x");
    static const char *const texts[] = {"a", "ab", "b", "abc", "", "abcde", "xyz", "ax", "X"};
    for (int i = 0; i < 9; i++)
        SEND(xpub, texts[i]);
    EXPECT(sub, "ab");
    EXPECT(sub, "abc");
    EXPECT(sub, "abcde");
    EXPECT(sub, "xyz");
    EXPECT_NOTHING(sub);
}

TEST_EACH(only_the_first_part_counts, EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    join(xpub, sub, "a");
    SEND(xpub, "b", "a");
    SEND(xpub, "a", "b");
    EXPECT(sub, "a", "b");
    EXPECT_NOTHING(sub);
}

TEST_EACH(nothing_without_a_subscription, EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    join(xpub, sub, "a");
    unsubscribe(sub, "a");
    expect_subscription(xpub, 0, "a");
    SEND(xpub, "a");
    SEND(xpub, "");
    EXPECT_NOTHING(sub);
}

TEST_EACH(topics_with_any_byte, EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    static const char topic[] = "\0\xff\0";
    SET_BYTES(sub, ZMQ_SUBSCRIBE, topic, 3);
    EXPECT_BYTES(xpub, "\1\0\xff\0", 4, false);
    SEND_BYTES(xpub, "\0\xff\1", 3, 0);
    SEND_BYTES(xpub, "\0\xff\0\7", 4, 0);
    EXPECT_BYTES(sub, "\0\xff\0\7", 4, false);
}

static void check_topics_of(const size_t *lengths, int count, void *xpub, void *sub) {
    char topic[5002];
    for (int i = 0; i < count; i++) {
        memset(topic, 'a' + i, sizeof topic);
        SET_BYTES(sub, ZMQ_SUBSCRIBE, topic, lengths[i]);
        char *got = malloc(6000);
        CHECK_EQ(zmq_recv(xpub, got, 6000, 0), lengths[i] + 1);
        CHECK_EQ(got[0], 1);
        CHECK(memcmp(got + 1, topic, lengths[i]) == 0);
        SEND_BYTES(xpub, topic, lengths[i] - 1, 0);
        SEND_BYTES(xpub, topic, lengths[i] + 1, 0);
        CHECK_EQ(zmq_recv(sub, got, 6000, 0), lengths[i] + 1);
        free(got);
    }
}

TEST_EACH(long_topics, EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    static const size_t lengths[] = {244, 245, 256, 400, 5000};
    check_topics_of(lengths, 5, xpub, sub);
}

TEST_EACH_OURS_ONLY(topics_of_246_to_255_bytes, "4.3.4 sends a wrong frame header", EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    static const size_t lengths[] = {246, 250, 254, 255};
    check_topics_of(lengths, 4, xpub, sub);
}
TEST_EACH(fan_out, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *subs[8];
    const char *endpoint = BIND(xpub, transport);
    static const char *const topics[] = {"", "a", "b", "ab", "abc", "c", "a", "abcd"};
    SET_INT(xpub, ZMQ_XPUB_VERBOSE, 1);
    for (int i = 0; i < 8; i++) {
        subs[i] = NEW_SOCKET(ZMQ_SUB);
        CONNECT(subs[i], endpoint);
        join(xpub, subs[i], topics[i]);
    }
    for (int i = 0; i < 100; i++)
        SEND(xpub, "abc", "body");
    for (int i = 0; i < 8; i++) {
        bool matches = strncmp("abc", topics[i], strlen(topics[i])) == 0;
        for (int k = 0; matches && k < 100; k++)
            EXPECT(subs[i], "abc", "body");
        EXPECT_NOTHING(subs[i]);
    }
}

TEST_EACH(a_sub_of_two_pubs, EACH_TRANSPORT) {
    void *xpubs[2], *sub = NEW_SOCKET(ZMQ_SUB);
    subscribe(sub, "a");
    for (int i = 0; i < 2; i++) {
        xpubs[i] = NEW_SOCKET(ZMQ_XPUB);
        CONNECT(sub, BIND(xpubs[i], transport));
    }
    subscribe(sub, "b");
    for (int i = 0; i < 2; i++) {
        expect_subscription(xpubs[i], 1, "a");
        expect_subscription(xpubs[i], 1, "b");
        SEND(xpubs[i], i ? "a1" : "b0");
    }
    struct frame first = RECV(sub), second = RECV(sub);
    CHECK(first.data[1] != second.data[1]);
}

TEST(pub_drops_without_subscribers) {
    void *pub = NEW_SOCKET(ZMQ_PUB);
    BIND(pub, "tcp");
    for (int i = 0; i < 5000; i++)
        SEND(pub, "into the void");
    CHECK_EQ(GET_INT(pub, ZMQ_EVENTS), ZMQ_POLLOUT);
}

// ---- subscriptions as messages -----------------------------------------------------------------

TEST_EACH(xpub_hears_the_first_and_the_last, EACH_TRANSPORT) {
    void *xpub, *sub, *other = NEW_SOCKET(ZMQ_SUB);
    make_pair(transport, &xpub, &sub);
    CONNECT(other, LAST_ENDPOINT(xpub));
    join(xpub, sub, "a");
    subscribe(other, "a"); // known already
    join(xpub, other, "b");
    unsubscribe(sub, "a"); // the other still wants it
    EXPECT_NOTHING(xpub);
    unsubscribe(other, "a");
    expect_subscription(xpub, 0, "a");
    unsubscribe(other, "b");
    expect_subscription(xpub, 0, "b");
}

TEST_EACH(a_repeated_subscription_counts, EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    join(xpub, sub, "a");
    subscribe(sub, "a");
    unsubscribe(sub, "a");
    join(xpub, sub, "b");
    SEND(xpub, "a");
    EXPECT(sub, "a");
    unsubscribe(sub, "a");
    expect_subscription(xpub, 0, "a");
}

TEST_EACH(a_subscriber_that_leaves_unsubscribes, EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    join(xpub, sub, "a");
    join(xpub, sub, "b");
    CLOSE(sub);
    struct frame first = RECV(xpub), second = RECV(xpub);
    CHECK_EQ(first.data[0], 0);
    CHECK_EQ(second.data[0], 0);
    CHECK_EQ(first.data[1] + second.data[1], 'a' + 'b');
}

TEST_EACH(subscriptions_before_connecting, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    subscribe(sub, "b");
    subscribe(sub, "a");
    subscribe(sub, "");
    CONNECT(sub, BIND(xpub, transport));
    int seen = 0;
    for (int i = 0; i < 3; i++) {
        struct frame frame = RECV(xpub);
        CHECK_EQ(frame.data[0], 1);
        seen += frame.size == 1 ? 1 : frame.data[1] == 'a' ? 10 : 100;
    }
    CHECK_EQ(seen, 111);
}

// A new peer is told of everything in the order of the bytes, each topic once, and of a subscriber
// that leaves the same is said.
TEST_EACH(topics_in_order, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    static const char *const given[] = {"b", "a", "", "abc", "ab", "\x80q", "B", "a"};
    static const char *const sorted[] = {"", "B", "a", "ab", "abc", "b", "\x80q"};
    SET_INT(xpub, ZMQ_XPUB_VERBOSER, 1);
    for (int i = 0; i < 8; i++)
        subscribe(sub, given[i]);
    CONNECT(sub, BIND(xpub, transport));
    for (int i = 0; i < 7; i++)
        expect_subscription(xpub, 1, sorted[i]);
    CLOSE(sub);
    for (int i = 0; i < 7; i++)
        expect_subscription(xpub, 0, sorted[i]);
    EXPECT_NOTHING(xpub);
}

TEST_EACH(xpub_verbose, EACH_TRANSPORT) {
    void *xpub, *sub, *other = NEW_SOCKET(ZMQ_SUB);
    make_pair(transport, &xpub, &sub);
    SET_INT(xpub, ZMQ_XPUB_VERBOSE, 1);
    CONNECT(other, LAST_ENDPOINT(xpub));
    join(xpub, sub, "a");
    join(xpub, other, "a");
    unsubscribe(sub, "a");
    EXPECT_NOTHING(xpub);
    unsubscribe(other, "a");
    expect_subscription(xpub, 0, "a");
}

TEST_EACH(xpub_verboser, EACH_TRANSPORT) {
    void *xpub, *sub, *other = NEW_SOCKET(ZMQ_SUB);
    make_pair(transport, &xpub, &sub);
    SET_INT(xpub, ZMQ_XPUB_VERBOSER, 1);
    CONNECT(other, LAST_ENDPOINT(xpub));
    join(xpub, sub, "a");
    join(xpub, other, "a");
    unsubscribe(sub, "a");
    expect_subscription(xpub, 0, "a");
    unsubscribe(other, "a");
    expect_subscription(xpub, 0, "a");
}

// Each of the two options sets both halves of what is reported.
TEST_EACH(verbose_and_verboser, EACH_TRANSPORT) {
    void *xpub, *sub, *other = NEW_SOCKET(ZMQ_SUB);
    make_pair(transport, &xpub, &sub);
    SET_INT(xpub, ZMQ_XPUB_VERBOSER, 1);
    SET_INT(xpub, ZMQ_XPUB_VERBOSE, 1); // unsubscriptions as usual again
    CONNECT(other, LAST_ENDPOINT(xpub));
    join(xpub, sub, "a");
    join(xpub, other, "a");
    unsubscribe(sub, "a");
    EXPECT_NOTHING(xpub);
    SET_INT(xpub, ZMQ_XPUB_VERBOSER, 0); // and subscriptions, too
    subscribe(sub, "a");
    EXPECT_NOTHING(xpub);
}

TEST_EACH(verboser_reports_every_topic_of_who_leaves, EACH_TRANSPORT) {
    void *xpub, *sub, *other = NEW_SOCKET(ZMQ_SUB);
    make_pair(transport, &xpub, &sub);
    SET_INT(xpub, ZMQ_XPUB_VERBOSER, 1);
    CONNECT(other, LAST_ENDPOINT(xpub));
    join(xpub, sub, "a");
    join(xpub, other, "a");
    join(xpub, other, "b");
    CLOSE(other);
    struct frame first = RECV(xpub), second = RECV(xpub);
    CHECK_EQ(first.data[0], 0);
    CHECK_EQ(second.data[0], 0);
    CHECK_EQ(first.data[1] + second.data[1], 'a' + 'b');
    EXPECT_NOTHING(xpub);
}

TEST_EACH(xsub_subscribes_by_messages, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    CONNECT(xsub, BIND(xpub, transport));
    SEND(xsub, "\1a");
    expect_subscription(xpub, 1, "a");
    SEND(xpub, "b");
    SEND(xpub, "abc");
    EXPECT(xsub, "abc");
    SEND_BYTES(xsub, "\0a", 2, 0);
    expect_subscription(xpub, 0, "a");
    SEND(xpub, "abc");
    EXPECT_NOTHING(xsub);
}

TEST_EACH(xsub_sends_other_messages, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    CONNECT(xsub, BIND(xpub, transport));
    SEND(xsub, "hello", "xpub");
    EXPECT(xpub, "hello", "xpub");
    SEND(xsub, "");
    EXPECT(xpub, "");
}

// What is not subscribed to need not be cancelled, what is subscribed to twice only once.
TEST_EACH(xsub_counts_subscriptions, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    SET_INT(xpub, ZMQ_XPUB_VERBOSER, 1);
    CONNECT(xsub, BIND(xpub, transport));
    SEND_BYTES(xsub, "\0a", 2, 0);
    SEND(xsub, "\1a");
    SEND(xsub, "\1a");
    for (int i = 0; i < 3; i++)
        SEND_BYTES(xsub, "\0a", 2, 0);
    SEND(xsub, "end");
    expect_subscription(xpub, 1, "a");
    expect_subscription(xpub, 1, "a");
    expect_subscription(xpub, 0, "a");
    EXPECT(xpub, "end");
}

// SUB takes what it has subscribed to, XSUB what comes.
TEST(xsub_filters_nothing) {
    static const int types[] = {ZMQ_XSUB, ZMQ_SUB};
    for (int i = 0; i < 2; i++) {
        void *s = NEW_SOCKET(types[i]);
        int fd = ZMTP_PEER(s, "PUB");
        if (i == 1)
            subscribe(s, "last");
        ZMTP_SEND_LITERAL(fd, 1, "unasked");
        ZMTP_SEND_LITERAL(fd, 0, "for");
        ZMTP_SEND_LITERAL(fd, 0, "last");
        if (i == 0)
            EXPECT(s, "unasked", "for");
        EXPECT(s, "last");
    }
}

// It can always send: what a full publisher has no room for is dropped.
TEST(a_full_publisher_misses_messages) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    SET_INT(xsub, ZMQ_SNDHWM, 2);
    SET_INT(xpub, ZMQ_RCVHWM, 2);
    CONNECT(xsub, BIND(xpub, "inproc"));
    for (int i = 0; i < 20; i++)
        CHECK(TRY_SEND(xsub, "hello"));
    CHECK_EQ(GET_INT(xsub, ZMQ_EVENTS), ZMQ_POLLOUT);
    for (int i = 0; i < 4; i++)
        EXPECT(xpub, "hello");
    EXPECT_NOTHING(xpub);
}

// PUB has no use for what comes from below.
TEST_EACH(pub_ignores_other_messages, EACH_TRANSPORT) {
    void *pub = NEW_SOCKET(ZMQ_PUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    CONNECT(xsub, BIND(pub, transport));
    SEND(xsub, "hello");
    SEND(xsub, "\1a");
    while (!shows_events(xsub, ZMQ_POLLIN, 5))
        SEND(pub, "a");
    EXPECT(xsub, "a");
}

// Subscriptions may hide in later parts, unless only the first may be one.
TEST_EACH(subscriptions_in_later_parts, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    CONNECT(xsub, BIND(xpub, transport));
    SEND(xsub, "first", "\1a", "\1b");
    EXPECT_BYTES(xpub, "first", 5, true);
    EXPECT_BYTES(xpub, "\1a", 2, false);
    EXPECT_BYTES(xpub, "\1b", 2, false);
    SEND(xpub, "a");
    SEND(xpub, "b");
    EXPECT(xsub, "a");
    EXPECT(xsub, "b");
}

enum { ONLY_FIRST_SUBSCRIBE = 108, XPUB_MANUAL_LAST_VALUE = 98, TOPICS_COUNT = 116 };

static bool knows_option(void *s, int option) {
    int on = 1;
    return zmq_setsockopt(s, option, &on, sizeof on) == 0;
}

TEST_EACH(only_first_subscribe, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    if (!knows_option(xpub, ONLY_FIRST_SUBSCRIBE))
        skip("no ZMQ_ONLY_FIRST_SUBSCRIBE");
    CHECK(knows_option(xsub, ONLY_FIRST_SUBSCRIBE));
    CONNECT(xsub, BIND(xpub, transport));
    SEND(xsub, "first", "\1a");
    EXPECT(xpub, "first", "\1a");
    SEND(xsub, "\1b");
    EXPECT_BYTES(xpub, "\1b", 2, false);
    SEND(xpub, "a");
    SEND(xpub, "b");
    EXPECT(xsub, "b");
}

// What a subscription carries besides its topic.
TEST_EACH(metadata_of_a_subscription, EACH_STREAM) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    subscribe(sub, "a");
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_recv(&message, xpub, 0), 2);
    CHECK_STR(zmq_msg_gets(&message, "Socket-Type"), "SUB");
    CHECK(zmq_msg_gets(&message, "Peer-Address") != NULL);
    CHECK_OK(zmq_msg_close(&message));
}

// A device of XSUB and XPUB carries messages down and subscriptions up.
TEST_EACH(through_a_forwarder, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    void *pub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    CONNECT(xsub, BIND(pub, transport));
    CONNECT(sub, BIND(xpub, transport));
    subscribe(sub, "a");
    struct frame frame = RECV(xpub);
    SEND_FRAME(xsub, frame, 0);
    expect_subscription(pub, 1, "a");
    SEND(pub, "b");
    SEND(pub, "abc");
    frame = RECV(xsub);
    SEND_FRAME(xpub, frame, 0);
    EXPECT(sub, "abc");
}

// ---- manual, welcome, inverted, no drop --------------------------------------------------------

TEST_EACH(xpub_manual, EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    SET_INT(xpub, ZMQ_XPUB_MANUAL, 1);
    subscribe(sub, "A");
    expect_subscription(xpub, 1, "A");
    SEND(xpub, "A");
    EXPECT_NOTHING(sub);
    // It gets B for its A; the SUB must want B, too.
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "B");
    subscribe(sub, "B");
    expect_subscription(xpub, 1, "B");
    SEND(xpub, "A");
    SEND(xpub, "B");
    EXPECT(sub, "B");
    unsubscribe(sub, "A");
    expect_subscription(xpub, 0, "A");
    SET_TEXT(xpub, ZMQ_UNSUBSCRIBE, "B");
    SEND(xpub, "B");
    EXPECT_NOTHING(sub);
}

TEST_EACH(xpub_manual_reports_everything, EACH_TRANSPORT) {
    void *xpub, *sub, *other = NEW_SOCKET(ZMQ_SUB);
    make_pair(transport, &xpub, &sub);
    SET_INT(xpub, ZMQ_XPUB_MANUAL, 1);
    CONNECT(other, LAST_ENDPOINT(xpub));
    join(xpub, sub, "a");
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "a");
    join(xpub, other, "a");
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "a");
    SEND(xpub, "a");
    EXPECT(sub, "a");
    EXPECT(other, "a");
    unsubscribe(sub, "a");
    expect_subscription(xpub, 0, "a");
    unsubscribe(other, "a");
    expect_subscription(xpub, 0, "a");
}

// Who leaves takes back what was received from it, whatever it was given for that.
TEST_EACH(xpub_manual_at_the_end_of_a_subscriber, EACH_TRANSPORT) {
    void *xpub, *sub, *other = NEW_SOCKET(ZMQ_SUB);
    make_pair(transport, &xpub, &sub);
    SET_INT(xpub, ZMQ_XPUB_MANUAL, 1);
    join(xpub, sub, "A");
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "XA");
    CLOSE(sub);
    expect_subscription(xpub, 0, "A");
    // There is nobody to whom it could apply.
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "B");
    SET_TEXT(xpub, ZMQ_UNSUBSCRIBE, "B");
    CONNECT(other, LAST_ENDPOINT(xpub));
    join(xpub, other, "C");
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "C");
    SEND(xpub, "B");
    SEND(xpub, "C");
    EXPECT(other, "C");
}

TEST_EACH(xpub_manual_repeats, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    CONNECT(xsub, BIND(xpub, transport));
    SET_INT(xpub, ZMQ_XPUB_MANUAL, 1);
    for (int i = 0; i < 3; i++) {
        SEND(xsub, "\1a");
        EXPECT_BYTES(xpub, "\1a", 2, false);
    }
}

// Before anything was received nobody is meant; a message that is no subscription changes nothing.
TEST_EACH(xpub_manual_applies_to_the_last_subscription, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *first = NEW_SOCKET(ZMQ_XSUB), *other = NEW_SOCKET(ZMQ_XSUB);
    CHECK_ERRNO(zmq_setsockopt(xpub, ZMQ_SUBSCRIBE, "a", 1), EINVAL);
    SET_INT(xpub, ZMQ_XPUB_MANUAL, 1);
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "a");
    SET_TEXT(xpub, ZMQ_UNSUBSCRIBE, "a");
    const char *endpoint = BIND(xpub, transport);
    CONNECT(first, endpoint);
    CONNECT(other, endpoint);
    SEND(first, "\1a");
    expect_subscription(xpub, 1, "a");
    SEND(other, "hello");
    EXPECT(xpub, "hello");
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "b");
    SEND(xpub, "b");
    EXPECT(first, "b");
    EXPECT_NOTHING(other);
}

// What was applied before the option was set stays, what is given under it as well.
TEST_EACH(xpub_manual_set_and_reset, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    CONNECT(xsub, BIND(xpub, transport));
    SEND(xsub, "\1a");
    expect_subscription(xpub, 1, "a");
    SET_INT(xpub, ZMQ_XPUB_MANUAL, 1);
    SEND_BYTES(xsub, "\0a", 2, 0);
    expect_subscription(xpub, 0, "a");
    SEND(xpub, "a");
    EXPECT(xsub, "a");
    SEND(xsub, "\1b");
    expect_subscription(xpub, 1, "b");
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "b");
    SET_INT(xpub, ZMQ_XPUB_MANUAL, 0);
    SEND(xpub, "b");
    EXPECT(xsub, "b");
    SEND_BYTES(xsub, "\0b", 2, 0);
    expect_subscription(xpub, 0, "b");
    SEND(xpub, "b");
    EXPECT_NOTHING(xsub);
    CLOSE(xsub);
    expect_subscription(xpub, 0, "a");
    EXPECT_NOTHING(xpub);
}

// A PUB in manual mode takes the options, but nobody can tell it what to apply.
TEST_EACH(pub_manual_is_of_no_use, EACH_TRANSPORT) {
    void *pub = NEW_SOCKET(ZMQ_PUB), *xsub = NEW_SOCKET(ZMQ_XSUB);
    SET_INT(pub, ZMQ_XPUB_MANUAL, 1);
    CONNECT(xsub, BIND(pub, transport));
    SEND(xsub, "\1a");
    for (int i = 0; i < 5; i++)
        SEND(pub, "a");
    EXPECT_NOTHING(xsub);
    SET_TEXT(pub, ZMQ_SUBSCRIBE, "a");
    SET_TEXT(pub, ZMQ_UNSUBSCRIBE, "a");
}

// `sub` has had the one message after its subscription to "a"; `other` has none yet.
static void last_value_pair(const char *transport, void **xpub, void **sub, void **other) {
    *other = NEW_SOCKET(ZMQ_SUB);
    make_pair(transport, xpub, sub);
    if (!knows_option(*xpub, XPUB_MANUAL_LAST_VALUE))
        skip("no ZMQ_XPUB_MANUAL_LAST_VALUE");
    CONNECT(*other, LAST_ENDPOINT(*xpub));
    join(*xpub, *sub, "a");
    SET_TEXT(*xpub, ZMQ_SUBSCRIBE, "a");
    SEND(*xpub, "a1");
    EXPECT(*sub, "a1");
}

// After a subscription was read, one message for its subscriber alone.
TEST_EACH(xpub_manual_last_value, EACH_TRANSPORT) {
    void *xpub, *sub, *other;
    last_value_pair(transport, &xpub, &sub, &other);
    join(xpub, other, "a");
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "a");
    SEND(xpub, "a2");
    SEND(xpub, "a3");
    EXPECT(other, "a2");
    EXPECT(other, "a3");
    EXPECT(sub, "a3");
}

// That one message is used up even if it is not for its subscriber.
TEST_EACH(xpub_manual_last_value_only_if_it_matches, EACH_TRANSPORT) {
    void *xpub, *sub, *other;
    last_value_pair(transport, &xpub, &sub, &other);
    join(xpub, other, "b");
    SET_TEXT(xpub, ZMQ_SUBSCRIBE, "b");
    SEND(xpub, "a2");
    SEND(xpub, "a3");
    SEND(xpub, "b1");
    EXPECT(sub, "a3");
    EXPECT(other, "b1");
}

TEST_EACH(topics_count, EACH_TRANSPORT) {
    void *xpub, *sub, *other = NEW_SOCKET(ZMQ_SUB);
    make_pair(transport, &xpub, &sub);
    int count;
    size_t size = sizeof count;
    if (zmq_getsockopt(xpub, TOPICS_COUNT, &count, &size) != 0)
        skip("no ZMQ_TOPICS_COUNT");
    CONNECT(other, LAST_ENDPOINT(xpub));
    CHECK_EQ(GET_INT(xpub, TOPICS_COUNT), 0);
    SET_INT(xpub, ZMQ_XPUB_VERBOSER, 1);
    join(xpub, sub, "a");
    join(xpub, sub, "ab");
    join(xpub, other, "a");
    CHECK_EQ(GET_INT(xpub, TOPICS_COUNT), 2);
    CHECK_EQ(GET_INT(sub, TOPICS_COUNT), 2);
    CHECK_EQ(GET_INT(other, TOPICS_COUNT), 1);
    unsubscribe(sub, "a");
    expect_subscription(xpub, 0, "a");
    CHECK_EQ(GET_INT(xpub, TOPICS_COUNT), 2);
    unsubscribe(other, "a");
    expect_subscription(xpub, 0, "a");
    CHECK_EQ(GET_INT(xpub, TOPICS_COUNT), 1);
    CHECK_EQ(GET_INT(sub, TOPICS_COUNT), 1);
    CHECK_ERRNO(zmq_getsockopt(NEW_SOCKET(ZMQ_PUSH), TOPICS_COUNT, &count, &size), EINVAL);
}

TEST_EACH(welcome_message, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    SET_TEXT(xpub, ZMQ_XPUB_WELCOME_MSG, "welcome");
    subscribe(sub, "wel");
    CONNECT(sub, BIND(xpub, transport));
    expect_subscription(xpub, 1, "wel");
    EXPECT(sub, "welcome");
    void *uninterested = NEW_SOCKET(ZMQ_SUB);
    subscribe(uninterested, "other");
    CONNECT(uninterested, LAST_ENDPOINT(xpub));
    expect_subscription(xpub, 1, "other");
    EXPECT_NOTHING(uninterested);
}

// It is for who comes while it is set.
TEST_EACH(welcome_message_of_the_moment, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *xsubs[3];
    const char *endpoint = BIND(xpub, transport);
    static const char *const texts[] = {"", "welcome", ""};
    for (int i = 0; i < 3; i++) {
        SET_TEXT(xpub, ZMQ_XPUB_WELCOME_MSG, texts[i]);
        xsubs[i] = NEW_SOCKET(ZMQ_XSUB);
        CONNECT(xsubs[i], endpoint);
        SEND(xsubs[i], "here");
        EXPECT(xpub, "here");
    }
    EXPECT(xsubs[1], "welcome");
    for (int i = 0; i < 3; i++)
        EXPECT_NOTHING(xsubs[i]);
}

TEST_EACH(invert_matching, EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    SET_INT(xpub, ZMQ_INVERT_MATCHING, 1);
    SET_INT(sub, ZMQ_INVERT_MATCHING, 1);
    join(xpub, sub, "a");
    SEND(xpub, "abc");
    SEND(xpub, "bcd");
    EXPECT(sub, "bcd");
    EXPECT_NOTHING(sub);
}

TEST_EACH(nodrop, EACH_TRANSPORT) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    SET_INT(xpub, ZMQ_SNDHWM, 10);
    SET_INT(sub, ZMQ_RCVHWM, 10);
    SET_INT(xpub, ZMQ_XPUB_NODROP, 1);
    CONNECT(sub, BIND(xpub, transport));
    join(xpub, sub, "");
    char *body = calloc(1, 100000);
    int sent = 0, received = 0;
    SET_INT(xpub, ZMQ_SNDTIMEO, 200);
    while (zmq_send(xpub, body, 100000, 0) == 100000)
        CHECK(++sent < 5000);
    CHECK_EQ(zmq_errno(), EAGAIN);
    CHECK(sent >= 10);
    while (shows_events(sub, ZMQ_POLLIN, received < sent ? DEADLINE_MS : ABSENCE_MS)) {
        CHECK_EQ(RECV(sub).size, 100000);
        received++;
    }
    CHECK_EQ(received, sent);
    WAIT_UNTIL(zmq_send(xpub, "room", 4, ZMQ_DONTWAIT) == 4);
    EXPECT(sub, "room");
}

TEST(full_subscribers_are_passed_over) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *slow = NEW_SOCKET(ZMQ_SUB), *fast = NEW_SOCKET(ZMQ_SUB);
    SET_INT(xpub, ZMQ_SNDHWM, 2);
    SET_INT(slow, ZMQ_RCVHWM, 2);
    SET_INT(fast, ZMQ_RCVHWM, 1000);
    const char *endpoint = BIND(xpub, "inproc");
    CONNECT(slow, endpoint);
    CONNECT(fast, endpoint);
    join(xpub, slow, "");
    subscribe(fast, "");
    join(xpub, fast, "sync");
    for (int i = 0; i < 100; i++)
        SEND(xpub, "a", "b");
    for (int i = 0; i < 100; i++)
        EXPECT(fast, "a", "b");
    // Whole messages only.
    for (int i = 0; i < 4; i++)
        EXPECT(slow, "a", "b");
    EXPECT_NOTHING(slow);
}

// ---- connections that come and go --------------------------------------------------------------

TEST(subscriptions_come_back_with_the_connection) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    SET_INT(sub, ZMQ_RECONNECT_IVL, 10);
    char *endpoint = strdup(BIND(xpub, "tcp"));
    CONNECT(sub, endpoint);
    join(xpub, sub, "a");
    join(xpub, sub, "b");
    unsubscribe(sub, "b");
    expect_subscription(xpub, 0, "b");
    void *mon = MONITOR(sub, ZMQ_EVENT_DISCONNECTED);
    CLOSE(xpub);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    subscribe(sub, "c");
    xpub = NEW_SOCKET(ZMQ_XPUB);
    WAIT_UNTIL(zmq_bind(xpub, endpoint) == 0);
    WAIT_DRIVING(sub, shows_events(xpub, ZMQ_POLLIN, 1));
    struct frame first = RECV(xpub);
    WAIT_DRIVING(sub, shows_events(xpub, ZMQ_POLLIN, 1));
    struct frame second = RECV(xpub);
    CHECK_EQ(first.data[0], 1);
    CHECK_EQ(second.data[0], 1);
    CHECK_EQ(first.data[1] + second.data[1], 'a' + 'c');
    SEND(xpub, "a");
    EXPECT(sub, "a");
    EXPECT_NOTHING(xpub);
}

TEST_EACH(disconnecting_a_sub, EACH_TRANSPORT) {
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    const char *endpoint = LAST_ENDPOINT(xpub);
    for (int i = 0; i < 5; i++) {
        if (i == 0)
            subscribe(sub, "a");
        else
            CONNECT(sub, endpoint);
        expect_subscription(xpub, 1, "a");
        SEND(xpub, "a");
        EXPECT(sub, "a");
        CHECK_OK(zmq_disconnect(sub, endpoint));
        WAIT_DRIVING(sub, shows_events(xpub, ZMQ_POLLIN, 1));
        expect_subscription(xpub, 0, "a");
    }
}

TEST_EACH(a_dead_subscriber_is_left_out, EACH_TRANSPORT) {
    void *xpub, *sub, *dies = NEW_SOCKET(ZMQ_SUB);
    make_pair(transport, &xpub, &sub);
    CONNECT(dies, LAST_ENDPOINT(xpub));
    join(xpub, dies, "dies");
    join(xpub, sub, "a");
    CLOSE(dies);
    for (int i = 0; i < 50; i++)
        SEND(xpub, "a", "b");
    expect_subscription(xpub, 0, "dies");
    for (int i = 0; i < 50; i++)
        EXPECT(sub, "a", "b");
}

TEST_EACH(many_topics, EACH_TRANSPORT) {
    enum { COUNT = 900 };
    void *xpub, *sub;
    make_pair(transport, &xpub, &sub);
    char topic[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(topic, sizeof topic, "%d.", i);
        subscribe(sub, topic);
    }
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(RECV(xpub).data[0], 1);
    for (int i = 0; i < COUNT; i++) {
        snprintf(topic, sizeof topic, "%d.x", i);
        SEND(xpub, topic);
        EXPECT(sub, topic);
    }
    SEND(xpub, "900.x");
    EXPECT_NOTHING(sub);
}

TEST(events) {
    void *xpub, *sub;
    make_pair("tcp", &xpub, &sub);
    CHECK_EQ(GET_INT(sub, ZMQ_EVENTS), 0);
    subscribe(sub, "a");
    WAIT_EVENTS(xpub, ZMQ_POLLIN);
    CHECK_EQ(GET_INT(xpub, ZMQ_EVENTS), ZMQ_POLLIN | ZMQ_POLLOUT);
    expect_subscription(xpub, 1, "a");
    CHECK_EQ(GET_INT(xpub, ZMQ_EVENTS), ZMQ_POLLOUT);
    SEND(xpub, "b");
    SEND(xpub, "a");
    WAIT_EVENTS(sub, ZMQ_POLLIN);
    EXPECT(sub, "a");
    CHECK_EQ(GET_INT(sub, ZMQ_EVENTS), 0);
}

// A subscriber that comes in the middle of a message gets the next one.
TEST(a_subscriber_in_mid_message) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *first = NEW_SOCKET(ZMQ_SUB), *late = NEW_SOCKET(ZMQ_SUB);
    const char *endpoint = BIND(xpub, "inproc");
    CONNECT(first, endpoint);
    join(xpub, first, "");
    SEND_BYTES(xpub, "a", 1, ZMQ_SNDMORE);
    CONNECT(late, endpoint);
    subscribe(late, "b");
    expect_subscription(xpub, 1, "b");
    SEND_BYTES(xpub, "b", 1, ZMQ_SNDMORE);
    SEND_BYTES(xpub, "c", 1, 0);
    SEND(xpub, "b", "next");
    EXPECT(late, "b", "next");
    EXPECT(first, "a", "b", "c");
    EXPECT(first, "b", "next");
}

// With NODROP a message goes to everybody it is for, or to nobody.
TEST(nodrop_is_for_all) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *slow = NEW_SOCKET(ZMQ_SUB), *fast = NEW_SOCKET(ZMQ_SUB);
    SET_INT(xpub, ZMQ_XPUB_NODROP, 1);
    SET_INT(xpub, ZMQ_SNDHWM, 1);
    SET_INT(slow, ZMQ_RCVHWM, 1);
    SET_INT(fast, ZMQ_RCVHWM, 100);
    const char *endpoint = BIND(xpub, "inproc");
    CONNECT(slow, endpoint);
    CONNECT(fast, endpoint);
    join(xpub, slow, "a");
    join(xpub, fast, "");
    SEND(xpub, "a1");
    SEND(xpub, "a2");
    CHECK(!TRY_SEND(xpub, "a3"));
    // The full one is no obstacle to what is not for it.
    SEND(xpub, "b");
    EXPECT(fast, "a1");
    EXPECT(fast, "a2");
    EXPECT(fast, "b");
    EXPECT_NOTHING(fast);
    EXPECT(slow, "a1");
    EXPECT(slow, "a2");
    WAIT_UNTIL(TRY_SEND(xpub, "a3"));
    EXPECT(fast, "a3");
    EXPECT(slow, "a3");
}

// Subscriptions take their place in the queue, and there is no more place than that.
TEST(subscriptions_beyond_the_limit_are_dropped) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB), *sub = NEW_SOCKET(ZMQ_SUB);
    SET_INT(sub, ZMQ_SNDHWM, 3);
    SET_INT(sub, ZMQ_RECONNECT_IVL, 10);
    const char *endpoint = unused_tcp_endpoint();
    CONNECT(sub, endpoint);
    static const char *const topics[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++)
        subscribe(sub, topics[i]);
    CHECK_OK(zmq_bind(xpub, endpoint));
    for (int i = 0; i < 3; i++)
        expect_subscription(xpub, 1, topics[i]);
    EXPECT_NOTHING(xpub);
}

// ---- subscriptions that have just arrived ------------------------------------------------------

// Whoever sends reads first, so that what a peer has said before counts, whether or not the I/O
// thread has run meanwhile.
static void late_subscriptions(void *pub, const char *transport) {
    int fd = RAW_CONNECT(BIND(pub, transport));
    ZMTP_HANDSHAKE(fd, 1, "SUB", NULL);
    ZMTP_SEND_LITERAL(fd, 4, "\11SUBSCRIBEready");
    // The connection has been established once something arrives.
    do
        SEND(pub, "ready");
    while (!raw_readable(fd) && (pause_briefly(), true));
    for (int i = 0; i < 40; i++) {
        char topic[16], command[32];
        snprintf(topic, sizeof topic, "%08d", i);
        int size = snprintf(command, sizeof command, "\4%c\11SUBSCRIBE%s", 18, topic);
        RAW_SEND_THROUGH(fd, command, (size_t)size);
        SEND(pub, topic);
        struct zmtp_frame frame;
        do
            frame = ZMTP_RECV(fd);
        while (frame.size == 5);
        CHECK_BYTES(frame.body, frame.size, topic, 8);
    }
    CHECK_OK(close(fd));
}

TEST_EACH_OURS_ONLY(late_subscriptions_to_pub, "its I/O thread reads, some time", EACH_STREAM) {
    late_subscriptions(NEW_SOCKET(ZMQ_PUB), transport);
}

TEST_EACH_OURS_ONLY(late_subscriptions_to_xpub, "its I/O thread reads, some time", EACH_STREAM) {
    late_subscriptions(NEW_SOCKET(ZMQ_XPUB), transport);
}

// A thread that waits for subscriptions gets those that a sender has read.
static void *receive_subscriptions(void *xpub) {
    expect_subscription(xpub, 1, "ready");
    for (int i = 0; i < 40; i++) {
        char topic[16];
        snprintf(topic, sizeof topic, "%08d", i);
        expect_subscription(xpub, 1, topic);
    }
    return NULL;
}

TEST_EACH_OURS_ONLY(late_subscriptions_beside_a_receiver, "its sockets belong to one thread",
                    EACH_STREAM) {
    void *xpub = NEW_SOCKET(ZMQ_XPUB);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, receive_subscriptions, xpub), 0);
    late_subscriptions(xpub, transport);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}
