// SPDX-License-Identifier: MPL-2.0
//
// Memory that a peer can make a socket keep whose program does not get round to reading: what has
// come, up to the high-water mark, and no claims, answers or commands beyond.
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MIB = 1 << 20,
    // What the tests send, and far less, beside all that differs from run to run.
    FLOOD = 64 * MIB,
    GROWTH = 24 * MIB,
    // How long a peer looks whether more can be sent.
    STUCK_MS = 300,
};

// The memory of this process, in bytes.
static long long resident(void) {
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        skip("no /proc");
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    CHECK(size > 0);
    text[size] = 0;
    const char *line = strstr(text, "VmRSS:");
    if (line == NULL)
        skip("no VmRSS");
    return atoll(line + 6) * 1024;
}

// Sends these bytes over and over, until so many are sent or no more are taken; `sent` were already.
// Returns how many are then.
static long long flood(int fd, const char *from, size_t size, long long sent, long long total) {
    while (sent < total) {
        ssize_t count = send(fd, from + sent % size, size - sent % size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) {
            sent += count;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            fail("the connection is lost after %lld bytes: %s", sent, strerror(errno));
        struct pollfd item = {fd, POLLOUT, 0};
        if (poll(&item, 1, STUCK_MS) == 0)
            break;
    }
    return sent;
}

// Repeats a frame up to 64 KiB and more, so that a flood is not made of many small calls.
static char *repeated(const void *frame, size_t size, size_t *total) {
    size_t count = 64 * 1024 / size + 1;
    char *bytes = malloc(count * size);
    for (size_t i = 0; i < count; i++)
        memcpy(bytes + i * size, frame, size);
    *total = count * size;
    return bytes;
}

static void check_flood(int fd, const void *frame, size_t frame_size) {
    size_t size;
    char *bytes = repeated(frame, frame_size, &size);
    long long sent = flood(fd, bytes, size, 0, MIB);
    long long before = resident();
    flood(fd, bytes, size, sent, FLOOD);
    CHECK_BETWEEN(resident() - before, -(long long)FLOOD, GROWTH);
    free(bytes);
}

// 2^62 bytes in a frame, of which one comes, from each of many peers of every version.
TEST_OURS_ONLY(claimed_sizes, "it allocates what is claimed") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    const char *endpoint = BIND(s, "tcp");
    int fds[60];
    for (int i = 0; i < 60; i++)
        fds[i] = RAW_CONNECT(endpoint);
    long long before = resident();
    for (int i = 0; i < 60; i++) {
        switch (i % 3) {
        case 0:
            ZMTP_HANDSHAKE(fds[i], 1, "PUSH", NULL);
            RAW_SEND(fds[i], "\2\x40\0\0\0\0\0\0\0x", 10);
            break;
        case 1:
            // ZMTP 2.0: a greeting, an empty routing id.
            RAW_SEND(fds[i], "\xff\0\0\0\0\0\0\0\1\x7f\1\10\0\0\3\x40\0\0\0\0\0\0\0x", 24);
            break;
        default:
            // ZMTP 1.0: an empty routing id.
            RAW_SEND(fds[i], "\1\0\xff\x40\0\0\0\0\0\0\0\0x", 13);
        }
    }
    // They were all read once the newest peer is served.
    int fd = ZMTP_CONNECT(endpoint, "PUSH");
    ZMTP_SEND(fd, 0, "after them", 10);
    EXPECT(s, "after them");
    CHECK_BETWEEN(resident() - before, -(long long)FLOOD, GROWTH);
    for (int i = 0; i < 60; i++)
        CHECK(!raw_closed(fds[i]));
}

// Answers that the peer does not read are not kept for it.
TEST(pings_whose_answers_nobody_reads) {
    int fd = ZMTP_PEER(NEW_SOCKET(ZMQ_PULL), "PUSH");
    check_flood(fd, "\4\7\4PING\0\0", 9);
}

TEST(pings_among_messages) {
    int fd = ZMTP_PEER(NEW_SOCKET(ZMQ_PULL), "PUSH");
    check_flood(fd, "\0\1x\4\7\4PING\0\0", 12);
}

// Commands without a meaning here, short and long.
TEST(unknown_commands) {
    int fd = ZMTP_PEER(NEW_SOCKET(ZMQ_PULL), "PUSH");
    check_flood(fd, "\4\7\6UNKNOW", 9);
}

TEST(large_unknown_commands) {
    int fd = ZMTP_PEER(NEW_SOCKET(ZMQ_PULL), "PUSH");
    size_t size = 9 + MIB;
    char *frame = calloc(1, size);
    memcpy(frame, "\6\0\0\0\0\0\x10\0\0\7UNKNOWN", 17);
    check_flood(fd, frame, size);
    free(frame);
}

// Subscriptions wait for the publisher as messages do.
TEST(subscriptions_of_an_idle_publisher) {
    int fd = ZMTP_PEER(NEW_SOCKET(ZMQ_PUB), "SUB");
    check_flood(fd, "\4\x14\11SUBSCRIBE0123456789", 22);
}

TEST(large_subscriptions_of_an_idle_publisher) {
    size_t size = 9 + MIB;
    char *frame = calloc(1, size);
    memcpy(frame, "\6\0\0\0\0\0\x10\0\0\11SUBSCRIBE", 19);
    void *s = NEW_SOCKET(ZMQ_XPUB);
    SET_INT(s, ZMQ_RCVHWM, 4);
    int fd = ZMTP_PEER(s, "SUB");
    check_flood(fd, frame, size);
    free(frame);
}

// 0000 to 0999.
static void subscribe_to_numbers(int fd) {
    for (int i = 0; i < 1000; i++) {
        char command[32];
        int size = snprintf(command, sizeof command, "\4%c\11SUBSCRIBE%04d", 14, i);
        RAW_SEND(fd, command, size);
    }
}

// All of them arrive once it is asked.
TEST(more_subscriptions_than_the_high_water_mark) {
    void *s = NEW_SOCKET(ZMQ_XPUB);
    SET_INT(s, ZMQ_RCVHWM, 10);
    int fd = ZMTP_PEER(s, "SUB");
    subscribe_to_numbers(fd);
    for (int i = 0; i < 1000; i++) {
        char expected[8];
        snprintf(expected, sizeof expected, "\1%04d", i);
        EXPECT_BYTES(s, expected, 5, false);
    }
    RAW_SEND(fd, "\4\7\4PING\0\0", 9);
    RAW_EXPECT(fd, "\4\5\4PONG", 7);
}

// And a plain publisher deals with them whenever it is called at all.
TEST(more_subscriptions_than_the_mark_of_a_publisher) {
    void *s = NEW_SOCKET(ZMQ_PUB);
    SET_INT(s, ZMQ_RCVHWM, 10);
    int fd = ZMTP_PEER(s, "SUB");
    subscribe_to_numbers(fd);
    WAIT_UNTIL((SEND(s, "0999"), raw_readable(fd)));
    RAW_EXPECT(fd, "\0\0040999", 6);
}
