// SPDX-License-Identifier: MPL-2.0
//
// Socket options: for each its default, values in and out of range, sizes, and where it is accepted.
#include "harness.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ALL_TYPES = 12 };

// Numbers of draft options that a library without the draft API knows as well.
enum {
    ZAP_ENFORCE_DOMAIN = 93,
    MULTICAST_LOOP = 96,
    XPUB_MANUAL_LAST_VALUE = 98,
    SOCKS_USERNAME = 99,
    SOCKS_PASSWORD = 100,
    ONLY_FIRST_SUBSCRIBE = 108,
};

// ---- int options with a getter -----------------------------------------------------------------

enum { END = INT_MIN }; // of the lists below

static const struct int_option {
    const char *name;
    int option;
    int initial;
    int valid[8];
    int invalid[8];
} int_options[] = {
    {"LINGER", ZMQ_LINGER, -1, {-1, 0, 1, 30000, INT_MAX, END}, {-2, -1000, END}},
    {"SNDHWM", ZMQ_SNDHWM, 1000, {0, 1, 2000, INT_MAX, END}, {-1, END}},
    {"RCVHWM", ZMQ_RCVHWM, 1000, {0, 1, 2000, INT_MAX, END}, {-1, END}},
    {"SNDTIMEO", ZMQ_SNDTIMEO, -1, {-1, 0, 250, INT_MAX, END}, {-2, END}},
    {"RCVTIMEO", ZMQ_RCVTIMEO, -1, {-1, 0, 250, INT_MAX, END}, {-2, END}},
    {"SNDBUF", ZMQ_SNDBUF, -1, {-1, 0, 4096, 1 << 20, END}, {-2, END}},
    {"RCVBUF", ZMQ_RCVBUF, -1, {-1, 0, 4096, 1 << 20, END}, {-2, END}},
    {"RATE", ZMQ_RATE, 100, {1, 1000, END}, {0, -1, END}},
    {"RECOVERY_IVL", ZMQ_RECOVERY_IVL, 10000, {0, 1, 60000, END}, {-1, END}},
    {"RECONNECT_IVL", ZMQ_RECONNECT_IVL, 100, {-1, 0, 1, 5000, END}, {-2, END}},
    {"RECONNECT_IVL_MAX", ZMQ_RECONNECT_IVL_MAX, 0, {0, 1, 50, 60000, END}, {-1, END}},
    {"BACKLOG", ZMQ_BACKLOG, 100, {0, 1, 4096, END}, {-1, END}},
    {"MULTICAST_HOPS", ZMQ_MULTICAST_HOPS, 1, {1, 64, END}, {0, -1, END}},
    {"MULTICAST_MAXTPDU", ZMQ_MULTICAST_MAXTPDU, 1500, {1, 1500, 9000, END}, {0, -1, END}},
    {"TOS", ZMQ_TOS, 0, {0, 0x10, 0x58, END}, {-1, END}},
    {"IMMEDIATE", ZMQ_IMMEDIATE, 0, {0, 1, END}, {-1, 2, END}},
    {"IPV6", ZMQ_IPV6, 0, {0, 1, END}, {-1, 2, END}},
    {"IPV4ONLY", ZMQ_IPV4ONLY, 1, {0, 1, END}, {-1, 2, END}},
    {"CONFLATE", ZMQ_CONFLATE, 0, {0, 1, END}, {-1, 2, END}},
    {"HANDSHAKE_IVL", ZMQ_HANDSHAKE_IVL, 30000, {0, 1, 500, END}, {-1, END}},
    {"CONNECT_TIMEOUT", ZMQ_CONNECT_TIMEOUT, 0, {0, 1, 500, END}, {-1, END}},
    {"TCP_MAXRT", ZMQ_TCP_MAXRT, 0, {0, 1, 500, END}, {-1, END}},
    {"TCP_KEEPALIVE", ZMQ_TCP_KEEPALIVE, -1, {-1, 0, 1, END}, {-2, 2, END}},
    {"TCP_KEEPALIVE_CNT", ZMQ_TCP_KEEPALIVE_CNT, -1, {-1, 0, 5, END}, {-2, END}},
    {"TCP_KEEPALIVE_IDLE", ZMQ_TCP_KEEPALIVE_IDLE, -1, {-1, 0, 5, END}, {-2, END}},
    {"TCP_KEEPALIVE_INTVL", ZMQ_TCP_KEEPALIVE_INTVL, -1, {-1, 0, 5, END}, {-2, END}},
    {"HEARTBEAT_IVL", ZMQ_HEARTBEAT_IVL, 0, {0, 1, 1000, END}, {-1, END}},
    {"HEARTBEAT_TTL", ZMQ_HEARTBEAT_TTL, 0, {0, 100, 6553500, END}, {-100, 6553600, END}},
    {"HEARTBEAT_TIMEOUT", ZMQ_HEARTBEAT_TIMEOUT, -1, {0, 1, 1000, END}, {-1, -2, END}},
    {"USE_FD", ZMQ_USE_FD, -1, {-1, 0, 5, END}, {-2, END}},
    {"INVERT_MATCHING", ZMQ_INVERT_MATCHING, 0, {0, 1, END}, {END}},
    {"PLAIN_SERVER", ZMQ_PLAIN_SERVER, 0, {0, 1, END}, {-1, 2, END}},
    {"ZAP_ENFORCE_DOMAIN", ZAP_ENFORCE_DOMAIN, 0, {0, 1, END}, {END}},
    {"MULTICAST_LOOP", MULTICAST_LOOP, 1, {0, 1, END}, {END}},
};
enum { INT_OPTIONS = sizeof int_options / sizeof int_options[0] };

// Which row a failed check was about: the checks themselves are the same for all.
#define FOR_EACH_INT_OPTION(row)                                                                   \
    for (const struct int_option *row = int_options; row < int_options + INT_OPTIONS; row++)
#define ROW_CHECK(row, condition)                                                                  \
    (HERE(), (condition) ? (void)0 : fail("%s: not true: %s; errno %s", (row)->name, #condition,   \
                                          zmq_strerror(zmq_errno())))

TEST(int_defaults) {
    FOR_EACH_INT_OPTION(row) {
        if (row->option == ZMQ_LINGER)
            continue; // the harness sets it; see linger_defaults
        void *s = NEW_SOCKET(ZMQ_DEALER);
        int value = -77;
        size_t size = sizeof value;
        ROW_CHECK(row, zmq_getsockopt(s, row->option, &value, &size) == 0);
        ROW_CHECK(row, size == sizeof value);
        if (value != row->initial)
            fail("%s is %d, not %d", row->name, value, row->initial);
        CLOSE(s);
    }
}

TEST(int_valid_values) {
    FOR_EACH_INT_OPTION(row) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        for (const int *value = row->valid; *value != END; value++) {
            int now = -77;
            size_t size = sizeof now;
            ROW_CHECK(row, zmq_setsockopt(s, row->option, value, sizeof *value) == 0);
            ROW_CHECK(row, zmq_getsockopt(s, row->option, &now, &size) == 0);
            if (now != *value)
                fail("%s is %d after being set to %d", row->name, now, *value);
        }
        CLOSE(s);
    }
}

TEST(int_invalid_values) {
    FOR_EACH_INT_OPTION(row) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        int before, after;
        size_t size = sizeof before;
        ROW_CHECK(row, zmq_getsockopt(s, row->option, &before, &size) == 0);
        for (const int *value = row->invalid; *value != END; value++) {
            errno = 0;
            if (zmq_setsockopt(s, row->option, value, sizeof *value) != -1)
                fail("%s takes %d", row->name, *value);
            ROW_CHECK(row, errno == EINVAL);
        }
        ROW_CHECK(row, zmq_getsockopt(s, row->option, &after, &size) == 0);
        ROW_CHECK(row, before == after);
        CLOSE(s);
    }
}

TEST(int_sizes) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    static const size_t wrong[] = {0, 1, 2, 3, 5, 8, 16};
    FOR_EACH_INT_OPTION(row) {
        union {
            int value;
            char bytes[16];
        } buffer = {.value = row->valid[0]};
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            size_t size = wrong[i];
            errno = 0;
            if (zmq_setsockopt(s, row->option, &buffer, size) != -1 || errno != EINVAL)
                fail("%s can be set with %zu bytes", row->name, wrong[i]);
            errno = 0;
            if (zmq_getsockopt(s, row->option, &buffer, &size) != -1 || errno != EINVAL)
                fail("%s can be read with %zu bytes", row->name, wrong[i]);
        }
    }
}

// Values that are rounded or normalised.
TEST(heartbeat_ttl_is_in_tenths_of_a_second) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(s, ZMQ_HEARTBEAT_TTL, 150);
    CHECK_EQ(GET_INT(s, ZMQ_HEARTBEAT_TTL), 100);
    SET_INT(s, ZMQ_HEARTBEAT_TTL, 99);
    CHECK_EQ(GET_INT(s, ZMQ_HEARTBEAT_TTL), 0);
    SET_INT(s, ZMQ_HEARTBEAT_TTL, 100);
    SET_INT(s, ZMQ_HEARTBEAT_TTL, -99);
    CHECK_EQ(GET_INT(s, ZMQ_HEARTBEAT_TTL), 0);
    SET_INT(s, ZMQ_HEARTBEAT_TTL, 6553599);
    CHECK_EQ(GET_INT(s, ZMQ_HEARTBEAT_TTL), 6553500);
}

TEST(any_number_but_0_is_1) {
    static const int options[] = {ZMQ_INVERT_MATCHING, ZAP_ENFORCE_DOMAIN, MULTICAST_LOOP};
    static const int values[] = {5, -5, INT_MAX, INT_MIN};
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++) {
            SET_INT(s, options[i], 0);
            SET_INT(s, options[i], values[k]);
            CHECK_EQ(GET_INT(s, options[i]), 1);
        }
}

TEST(ipv4only_is_the_inverse_of_ipv6) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(s, ZMQ_IPV6, 1);
    CHECK_EQ(GET_INT(s, ZMQ_IPV4ONLY), 0);
    SET_INT(s, ZMQ_IPV4ONLY, 1);
    CHECK_EQ(GET_INT(s, ZMQ_IPV6), 0);
}

TEST(linger_defaults) {
    for (int type = 0; type < ALL_TYPES; type++) {
        void *s = zmq_socket(context(), type);
        CHECK_EQ(GET_INT(s, ZMQ_LINGER), type == ZMQ_SUB || type == ZMQ_XSUB ? 0 : -1);
        CHECK_OK(zmq_close(s));
    }
}

// The same defaults whatever the type.
TEST(int_options_on_every_type) {
    for (int type = 0; type < ALL_TYPES; type++) {
        void *s = NEW_SOCKET(type);
        FOR_EACH_INT_OPTION(row) {
            int value = row->valid[0];
            size_t size = sizeof value;
            ROW_CHECK(row, zmq_setsockopt(s, row->option, &value, size) == 0);
            ROW_CHECK(row, zmq_getsockopt(s, row->option, &value, &size) == 0);
        }
    }
}

// ---- options of eight bytes --------------------------------------------------------------------

TEST(affinity) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    uint64_t value = 7;
    size_t size = sizeof value;
    CHECK_OK(zmq_getsockopt(s, ZMQ_AFFINITY, &value, &size));
    CHECK_EQ(value, 0);
    CHECK_EQ(size, 8);
    value = UINT64_MAX;
    CHECK_OK(zmq_setsockopt(s, ZMQ_AFFINITY, &value, 8));
    CHECK_OK(zmq_getsockopt(s, ZMQ_AFFINITY, &value, &size));
    CHECK(value == UINT64_MAX);
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_AFFINITY, &value, 4), EINVAL);
    size = 4;
    CHECK_ERRNO(zmq_getsockopt(s, ZMQ_AFFINITY, &value, &size), EINVAL);
}

TEST(affinity_without_a_thread) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    uint64_t second = 2;
    CHECK_OK(zmq_setsockopt(s, ZMQ_AFFINITY, &second, 8));
    CHECK_ERRNO(zmq_bind(s, "tcp://127.0.0.1:*"), EMTHREAD);
    CHECK_ERRNO(zmq_connect(s, "tcp://127.0.0.1:9"), EMTHREAD);
}

TEST(maxmsgsize) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    int64_t value = 7;
    size_t size = sizeof value;
    CHECK_OK(zmq_getsockopt(s, ZMQ_MAXMSGSIZE, &value, &size));
    CHECK_EQ(value, -1);
    static const int64_t valid[] = {0, 1, -1, -5, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 6; i++) {
        CHECK_OK(zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &valid[i], 8));
        CHECK_OK(zmq_getsockopt(s, ZMQ_MAXMSGSIZE, &value, &size));
        CHECK_EQ(value, valid[i]);
    }
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &value, 4), EINVAL);
    size = 4;
    CHECK_ERRNO(zmq_getsockopt(s, ZMQ_MAXMSGSIZE, &value, &size), EINVAL);
}

// ---- read only, write only, unknown ------------------------------------------------------------

TEST(read_only_options) {
    static const int options[] = {ZMQ_RCVMORE, ZMQ_FD,        ZMQ_EVENTS,     ZMQ_TYPE,
                                  ZMQ_LAST_ENDPOINT, ZMQ_MECHANISM, ZMQ_THREAD_SAFE};
    void *s = NEW_SOCKET(ZMQ_DEALER);
    int value = 0;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        CHECK_ERRNO(zmq_setsockopt(s, options[i], &value, sizeof value), EINVAL);
}

TEST(write_only_options) {
    static const struct {
        int type, option;
    } rows[] = {
        {ZMQ_SUB, ZMQ_SUBSCRIBE},
        {ZMQ_SUB, ZMQ_UNSUBSCRIBE},
        {ZMQ_ROUTER, ZMQ_ROUTER_MANDATORY},
        {ZMQ_ROUTER, ZMQ_ROUTER_RAW},
        {ZMQ_ROUTER, ZMQ_ROUTER_HANDOVER},
        {ZMQ_ROUTER, ZMQ_PROBE_ROUTER},
        {ZMQ_ROUTER, ZMQ_CONNECT_ROUTING_ID},
        {ZMQ_REQ, ZMQ_REQ_CORRELATE},
        {ZMQ_REQ, ZMQ_REQ_RELAXED},
        {ZMQ_XPUB, ZMQ_XPUB_VERBOSE},
        {ZMQ_XPUB, ZMQ_XPUB_VERBOSER},
        {ZMQ_XPUB, ZMQ_XPUB_NODROP},
        {ZMQ_XPUB, ZMQ_XPUB_MANUAL},
        {ZMQ_XPUB, ZMQ_XPUB_WELCOME_MSG},
        {ZMQ_STREAM, ZMQ_STREAM_NOTIFY},
        {ZMQ_DEALER, ZMQ_TCP_ACCEPT_FILTER},
        {ZMQ_DEALER, ZMQ_IPC_FILTER_UID},
        {ZMQ_DEALER, ZMQ_IPC_FILTER_GID},
        {ZMQ_DEALER, ZMQ_IPC_FILTER_PID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *s = NEW_SOCKET(rows[i].type);
        char buffer[64];
        size_t size = sizeof buffer;
        CHECK_ERRNO(zmq_getsockopt(s, rows[i].option, buffer, &size), EINVAL);
        size = sizeof(int);
        CHECK_ERRNO(zmq_getsockopt(s, rows[i].option, buffer, &size), EINVAL);
    }
}

TEST(unknown_options) {
    static const int options[] = {-1, 0, 1, 2,  3,   10,  20,   26,     29,
                                  30, 67, ZMQ_BLOCKY, 82, 83, 125, 999, INT_MIN, INT_MAX};
    for (int type = 0; type < ALL_TYPES; type++) {
        void *s = NEW_SOCKET(type);
        for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
            int value = 0;
            size_t size = sizeof value;
            CHECK_ERRNO(zmq_setsockopt(s, options[i], &value, sizeof value), EINVAL);
            CHECK_ERRNO(zmq_getsockopt(s, options[i], &value, &size), EINVAL);
        }
    }
}

// Those of a transport that is not built in are unknown, too.
TEST(vmci_options) {
    static const int options[] = {ZMQ_VMCI_BUFFER_SIZE, ZMQ_VMCI_BUFFER_MIN_SIZE,
                                  ZMQ_VMCI_BUFFER_MAX_SIZE, ZMQ_VMCI_CONNECT_TIMEOUT};
    if (zmq_has("vmci"))
        skip("the library has vmci");
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        uint64_t value = 65536;
        size_t size = sizeof value;
        CHECK_ERRNO(zmq_setsockopt(s, options[i], &value, sizeof value), EINVAL);
        CHECK_ERRNO(zmq_setsockopt(s, options[i], &value, sizeof(int)), EINVAL);
        CHECK_ERRNO(zmq_getsockopt(s, options[i], &value, &size), EINVAL);
    }
}

TEST(older_names) {
    void *dealer = NEW_SOCKET(ZMQ_XREQ), *router = NEW_SOCKET(ZMQ_XREP);
    CHECK_EQ(GET_INT(dealer, ZMQ_TYPE), ZMQ_DEALER);
    CHECK_EQ(GET_INT(router, ZMQ_TYPE), ZMQ_ROUTER);
    SET_INT(dealer, ZMQ_DELAY_ATTACH_ON_CONNECT, 1);
    CHECK_EQ(GET_INT(dealer, ZMQ_IMMEDIATE), 1);
    SET_INT(dealer, ZMQ_DELAY_ATTACH_ON_CONNECT, 0);
    SET_TEXT(dealer, ZMQ_IDENTITY, "dealer");
    const char *endpoint = BIND(dealer, "inproc");
    SET_TEXT(router, ZMQ_CONNECT_RID, "peer");
    CONNECT(router, endpoint);
    SEND(router, "peer", "question");
    EXPECT(dealer, "question");
    static const int mandatory[] = {ZMQ_FAIL_UNROUTABLE, ZMQ_ROUTER_BEHAVIOR};
    for (int i = 0; i < 2; i++) {
        SET_INT(router, mandatory[i], 0);
        CHECK_EQ(zmq_send(router, "nobody", 6, ZMQ_SNDMORE | ZMQ_NOBLOCK), 6);
        CHECK_EQ(zmq_send(router, "x", 1, ZMQ_NOBLOCK), 1);
        SET_INT(router, mandatory[i], 1);
        CHECK_ERRNO(zmq_send(router, "nobody", 6, ZMQ_SNDMORE | ZMQ_NOBLOCK), EHOSTUNREACH);
    }
}

TEST(type_and_mechanism_and_thread_safe) {
    for (int type = 0; type < ALL_TYPES; type++) {
        void *s = NEW_SOCKET(type);
        CHECK_EQ(GET_INT(s, ZMQ_TYPE), type);
        CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_NULL);
        CHECK_EQ(GET_INT(s, ZMQ_THREAD_SAFE), 0);
        CHECK_EQ(GET_INT(s, ZMQ_RCVMORE), 0);
        CHECK(GET_INT(s, ZMQ_FD) >= 0);
    }
}

TEST(events_of_a_fresh_socket) {
    for (int type = 0; type < ALL_TYPES; type++) {
        int writable = type == ZMQ_PUB || type == ZMQ_XPUB || type == ZMQ_XSUB ||
                       type == ZMQ_ROUTER || type == ZMQ_STREAM;
        CHECK_EQ(GET_INT(NEW_SOCKET(type), ZMQ_EVENTS), writable ? ZMQ_POLLOUT : 0);
    }
}

// These take any buffer that is large enough, clear the rest, and say the real size.
TEST(larger_buffers_are_cleared) {
    static const int options[] = {ZMQ_RCVMORE, ZMQ_FD, ZMQ_EVENTS, ZMQ_THREAD_SAFE};
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (int i = 0; i < 4; i++) {
        unsigned char buffer[24];
        memset(buffer, 0xee, sizeof buffer);
        size_t size = sizeof buffer;
        CHECK_OK(zmq_getsockopt(s, options[i], buffer, &size));
        CHECK_EQ(size, sizeof(int));
        for (size_t k = sizeof(int); k < sizeof buffer; k++)
            CHECK_EQ(buffer[k], 0);
        size = sizeof(int) - 1;
        CHECK_ERRNO(zmq_getsockopt(s, options[i], buffer, &size), EINVAL);
    }
}

// ---- strings and bytes -------------------------------------------------------------------------

static void check_text(void *s, int option, const char *expected) {
    char buffer[300];
    memset(buffer, 0xee, sizeof buffer);
    size_t size = sizeof buffer;
    CHECK_OK(zmq_getsockopt(s, option, buffer, &size));
    CHECK_EQ(size, strlen(expected) + 1);
    CHECK_STR(buffer, expected);
    size = strlen(expected) + 1;
    CHECK_OK(zmq_getsockopt(s, option, buffer, &size));
    size = strlen(expected);
    CHECK_ERRNO(zmq_getsockopt(s, option, buffer, &size), EINVAL);
}

TEST(text_options) {
    static const int options[] = {ZMQ_PLAIN_USERNAME, ZMQ_PLAIN_PASSWORD, ZMQ_ZAP_DOMAIN,
                                  ZMQ_SOCKS_PROXY};
    for (int i = 0; i < 4; i++) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        check_text(s, options[i], "");
        SET_TEXT(s, options[i], "some text");
        check_text(s, options[i], "some text");
        SET_BYTES(s, options[i], "other textual content", 5);
        check_text(s, options[i], "other");
        CHECK_ERRNO(zmq_setsockopt(s, options[i], "", 0), EINVAL);
    }
}

TEST(text_options_limit) {
    char text[257];
    memset(text, 't', sizeof text);
    static const int options[] = {ZMQ_PLAIN_USERNAME, ZMQ_PLAIN_PASSWORD, ZMQ_ZAP_DOMAIN};
    for (int i = 0; i < 3; i++) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        CHECK_OK(zmq_setsockopt(s, options[i], text, 255));
        CHECK_ERRNO(zmq_setsockopt(s, options[i], text, 256), EINVAL);
    }
}

TEST(plain_sets_the_mechanism) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(s, ZMQ_PLAIN_USERNAME, "someone");
    CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_PLAIN);
    CHECK_EQ(GET_INT(s, ZMQ_PLAIN_SERVER), 0);
    CHECK_OK(zmq_setsockopt(s, ZMQ_PLAIN_USERNAME, NULL, 0));
    CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_NULL);
    SET_TEXT(s, ZMQ_PLAIN_PASSWORD, "secret");
    CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_PLAIN);
    CHECK_OK(zmq_setsockopt(s, ZMQ_PLAIN_PASSWORD, NULL, 0));
    CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_NULL);
    SET_INT(s, ZMQ_PLAIN_SERVER, 1);
    CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_PLAIN);
    SET_INT(s, ZMQ_PLAIN_SERVER, 0);
    CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_NULL);
}

// There is one role for all mechanisms: what makes the one a client does so for the other.
TEST(mechanisms_share_the_role) {
    if (!zmq_has("curve"))
        skip("no CURVE");
    static const uint8_t key[32] = {1};
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(s, ZMQ_PLAIN_SERVER, 1);
    SET_TEXT(s, ZMQ_PLAIN_USERNAME, "someone");
    CHECK_EQ(GET_INT(s, ZMQ_PLAIN_SERVER), 0);
    SET_INT(s, ZMQ_PLAIN_SERVER, 1);
    SET_BYTES(s, ZMQ_CURVE_PUBLICKEY, key, 32);
    CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_CURVE);
    CHECK_EQ(GET_INT(s, ZMQ_PLAIN_SERVER), 0);
    CHECK_EQ(GET_INT(s, ZMQ_CURVE_SERVER), 1);
    SET_BYTES(s, ZMQ_CURVE_SERVERKEY, key, 32);
    CHECK_EQ(GET_INT(s, ZMQ_CURVE_SERVER), 0);
    SET_INT(s, ZMQ_CURVE_SERVER, 1);
    SET_INT(s, ZMQ_PLAIN_SERVER, 0);
    CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_NULL);
    CHECK_EQ(GET_INT(s, ZMQ_CURVE_SERVER), 0);
}

TEST(socks_credentials) {
    static const int options[] = {SOCKS_USERNAME, SOCKS_PASSWORD};
    char text[256];
    memset(text, 't', sizeof text);
    for (int i = 0; i < 2; i++) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        check_text(s, options[i], "");
        CHECK_OK(zmq_setsockopt(s, options[i], text, 255));
        CHECK_ERRNO(zmq_setsockopt(s, options[i], text, 256), EINVAL);
        // Nothing takes it back, however it is written.
        CHECK_OK(zmq_setsockopt(s, options[i], "", 0));
        check_text(s, options[i], "");
        SET_TEXT(s, options[i], "some text");
        CHECK_OK(zmq_setsockopt(s, options[i], NULL, 0));
        check_text(s, options[i], "");
    }
}

TEST(socks_proxy_can_be_cleared) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(s, ZMQ_SOCKS_PROXY, "127.0.0.1:1080");
    CHECK_OK(zmq_setsockopt(s, ZMQ_SOCKS_PROXY, NULL, 0));
    check_text(s, ZMQ_SOCKS_PROXY, "");
}

TEST(zap_domain_cannot_be_cleared) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    SET_TEXT(s, ZMQ_ZAP_DOMAIN, "global");
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_ZAP_DOMAIN, NULL, 0), EINVAL);
    check_text(s, ZMQ_ZAP_DOMAIN, "global");
}

TEST(bindtodevice) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    check_text(s, ZMQ_BINDTODEVICE, "");
    SET_TEXT(s, ZMQ_BINDTODEVICE, "lo");
    check_text(s, ZMQ_BINDTODEVICE, "lo");
    CHECK_OK(zmq_setsockopt(s, ZMQ_BINDTODEVICE, "a name of sixteen", 16));
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_BINDTODEVICE, "a name of sixteen", 17), EINVAL);
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_BINDTODEVICE, "", 0), EINVAL);
    CHECK_OK(zmq_setsockopt(s, ZMQ_BINDTODEVICE, NULL, 0));
    check_text(s, ZMQ_BINDTODEVICE, "");
}

TEST(routing_id) {
    unsigned char id[256], read[300];
    for (int i = 0; i < 256; i++)
        id[i] = (unsigned char)(i + 1);
    for (int type = 0; type < ALL_TYPES; type++) {
        if (type == ZMQ_STREAM)
            continue;
        void *s = NEW_SOCKET(type);
        size_t size = sizeof read;
        CHECK_OK(zmq_getsockopt(s, ZMQ_ROUTING_ID, read, &size));
        CHECK_EQ(size, 0);
        static const size_t lengths[] = {1, 5, 255};
        for (int i = 0; i < 3; i++) {
            memset(read, 0xee, sizeof read);
            size = sizeof read;
            CHECK_OK(zmq_setsockopt(s, ZMQ_ROUTING_ID, id, lengths[i]));
            CHECK_OK(zmq_getsockopt(s, ZMQ_ROUTING_ID, read, &size));
            CHECK_BYTES(read, size, id, lengths[i]);
            size = lengths[i] - 1;
            CHECK_ERRNO(zmq_getsockopt(s, ZMQ_ROUTING_ID, read, &size), EINVAL);
        }
        CHECK_ERRNO(zmq_setsockopt(s, ZMQ_ROUTING_ID, id, 0), EINVAL);
        CHECK_ERRNO(zmq_setsockopt(s, ZMQ_ROUTING_ID, id, 256), EINVAL);
    }
}

// The manual forbids it; neither library minds.
TEST(routing_id_may_start_with_zero) {
    CHECK_OK(zmq_setsockopt(NEW_SOCKET(ZMQ_DEALER), ZMQ_ROUTING_ID, "\0abc", 4));
}

TEST(last_endpoint_is_empty_at_first) { check_text(NEW_SOCKET(ZMQ_DEALER), ZMQ_LAST_ENDPOINT, ""); }

// ---- CURVE keys --------------------------------------------------------------------------------

TEST(curve_keys) {
    if (!zmq_has("curve"))
        skip("no CURVE");
    static const int options[] = {ZMQ_CURVE_PUBLICKEY, ZMQ_CURVE_SECRETKEY, ZMQ_CURVE_SERVERKEY};
    char public_key[41], secret_key[41], text[41];
    uint8_t binary[32], expected[32];
    CHECK_OK(zmq_curve_keypair(public_key, secret_key));
    CHECK(zmq_z85_decode(expected, public_key) != NULL);
    static const uint8_t zeros[32];
    for (int i = 0; i < 3; i++) {
        void *s = NEW_SOCKET(ZMQ_DEALER);
        size_t size = 32;
        CHECK_OK(zmq_getsockopt(s, options[i], binary, &size));
        CHECK_BYTES(binary, size, zeros, 32);
        size = 41;
        CHECK_OK(zmq_getsockopt(s, options[i], text, &size));
        CHECK_EQ(strspn(text, "0"), 40);
        CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_NULL);
        for (size_t length = 40; length <= 41; length++) {
            CHECK_OK(zmq_setsockopt(s, options[i], public_key, length));
            size = 41;
            CHECK_OK(zmq_getsockopt(s, options[i], text, &size));
            CHECK_EQ(size, 41);
            CHECK_STR(text, public_key);
        }
        CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_CURVE);
        CHECK_OK(zmq_setsockopt(s, options[i], expected, 32));
        size = 32;
        CHECK_OK(zmq_getsockopt(s, options[i], binary, &size));
        CHECK_BYTES(binary, size, expected, 32);
        static const size_t wrong[] = {0, 1, 31, 33, 39, 42};
        for (int k = 0; k < 6; k++) {
            char buffer[64] = {0};
            size = wrong[k];
            CHECK_ERRNO(zmq_setsockopt(s, options[i], buffer, wrong[k]), EINVAL);
            CHECK_ERRNO(zmq_getsockopt(s, options[i], buffer, &size), EINVAL);
        }
        CHECK_ERRNO(zmq_setsockopt(s, options[i], "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
                                                  "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"", 40),
                    EINVAL);
    }
}

TEST(curve_server) {
    if (!zmq_has("curve"))
        skip("no CURVE");
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_EQ(GET_INT(s, ZMQ_CURVE_SERVER), 0);
    SET_INT(s, ZMQ_CURVE_SERVER, 1);
    CHECK_EQ(GET_INT(s, ZMQ_CURVE_SERVER), 1);
    CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_CURVE);
    SET_INT(s, ZMQ_CURVE_SERVER, 0);
    CHECK_EQ(GET_INT(s, ZMQ_MECHANISM), ZMQ_NULL);
    int two = 2;
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_CURVE_SERVER, &two, sizeof two), EINVAL);
}

// ---- options of some types only ----------------------------------------------------------------

#define BIT(type) (1u << (type))

static const struct {
    const char *name;
    int option;
    unsigned types;
    bool strict; // 0 or 1, not any number from 0 on
} pattern_options[] = {
    {"ROUTER_MANDATORY", ZMQ_ROUTER_MANDATORY, BIT(ZMQ_ROUTER) | BIT(ZMQ_REP), false},
    {"ROUTER_RAW", ZMQ_ROUTER_RAW, BIT(ZMQ_ROUTER) | BIT(ZMQ_REP), false},
    {"ROUTER_HANDOVER", ZMQ_ROUTER_HANDOVER, BIT(ZMQ_ROUTER) | BIT(ZMQ_REP), false},
    {"PROBE_ROUTER", ZMQ_PROBE_ROUTER,
     BIT(ZMQ_REQ) | BIT(ZMQ_REP) | BIT(ZMQ_DEALER) | BIT(ZMQ_ROUTER), false},
    {"REQ_CORRELATE", ZMQ_REQ_CORRELATE, BIT(ZMQ_REQ), false},
    {"REQ_RELAXED", ZMQ_REQ_RELAXED, BIT(ZMQ_REQ), false},
    {"XPUB_VERBOSE", ZMQ_XPUB_VERBOSE, BIT(ZMQ_PUB) | BIT(ZMQ_XPUB), false},
    {"XPUB_VERBOSER", ZMQ_XPUB_VERBOSER, BIT(ZMQ_PUB) | BIT(ZMQ_XPUB), false},
    {"XPUB_NODROP", ZMQ_XPUB_NODROP, BIT(ZMQ_PUB) | BIT(ZMQ_XPUB), false},
    {"XPUB_MANUAL", ZMQ_XPUB_MANUAL, BIT(ZMQ_PUB) | BIT(ZMQ_XPUB), false},
    {"XPUB_MANUAL_LAST_VALUE", XPUB_MANUAL_LAST_VALUE, BIT(ZMQ_PUB) | BIT(ZMQ_XPUB), false},
    {"ONLY_FIRST_SUBSCRIBE", ONLY_FIRST_SUBSCRIBE, BIT(ZMQ_PUB) | BIT(ZMQ_XPUB) | BIT(ZMQ_XSUB),
     false},
    {"STREAM_NOTIFY", ZMQ_STREAM_NOTIFY, BIT(ZMQ_STREAM), true},
};

TEST(pattern_options_by_type) {
    for (size_t i = 0; i < sizeof pattern_options / sizeof pattern_options[0]; i++)
        for (int type = 0; type < ALL_TYPES; type++) {
            void *s = NEW_SOCKET(type);
            int values[] = {1, 0, 2, -1};
            for (int k = 0; k < 4; k++) {
                bool accepted = pattern_options[i].types & BIT(type) &&
                                (k < 2 || (k == 2 && !pattern_options[i].strict));
                errno = 0;
                int result = zmq_setsockopt(s, pattern_options[i].option, &values[k], sizeof(int));
                if (result != (accepted ? 0 : -1) || (!accepted && errno != EINVAL))
                    fail("%s = %d on type %d returns %d, errno %s", pattern_options[i].name,
                         values[k], type, result, zmq_strerror(errno));
            }
            if (pattern_options[i].types & BIT(type))
                CHECK_ERRNO(zmq_setsockopt(s, pattern_options[i].option, values, 3), EINVAL);
            CLOSE(s);
        }
}

TEST(subscribe_by_type) {
    for (int type = 0; type < ALL_TYPES; type++) {
        void *s = NEW_SOCKET(type);
        if (type == ZMQ_SUB) {
            CHECK_OK(zmq_setsockopt(s, ZMQ_SUBSCRIBE, "a", 1));
            CHECK_OK(zmq_setsockopt(s, ZMQ_SUBSCRIBE, NULL, 0));
            CHECK_OK(zmq_setsockopt(s, ZMQ_SUBSCRIBE, "", 0));
            CHECK_OK(zmq_setsockopt(s, ZMQ_UNSUBSCRIBE, "a", 1));
            CHECK_OK(zmq_setsockopt(s, ZMQ_UNSUBSCRIBE, "unknown", 7));
        } else {
            CHECK_ERRNO(zmq_setsockopt(s, ZMQ_SUBSCRIBE, "a", 1), EINVAL);
            CHECK_ERRNO(zmq_setsockopt(s, ZMQ_UNSUBSCRIBE, "a", 1), EINVAL);
        }
    }
}

TEST(connect_routing_id_by_type) {
    for (int type = 0; type < ALL_TYPES; type++) {
        void *s = NEW_SOCKET(type);
        if (type == ZMQ_ROUTER || type == ZMQ_REP || type == ZMQ_STREAM) {
            CHECK_OK(zmq_setsockopt(s, ZMQ_CONNECT_ROUTING_ID, "id", 2));
            CHECK_ERRNO(zmq_setsockopt(s, ZMQ_CONNECT_ROUTING_ID, "", 0), EINVAL);
        } else
            CHECK_ERRNO(zmq_setsockopt(s, ZMQ_CONNECT_ROUTING_ID, "id", 2), EINVAL);
    }
}

TEST(welcome_message_by_type) {
    for (int type = 0; type < ALL_TYPES; type++) {
        void *s = NEW_SOCKET(type);
        if (type == ZMQ_PUB || type == ZMQ_XPUB) {
            CHECK_OK(zmq_setsockopt(s, ZMQ_XPUB_WELCOME_MSG, "hello", 5));
            CHECK_OK(zmq_setsockopt(s, ZMQ_XPUB_WELCOME_MSG, NULL, 0));
        } else
            CHECK_ERRNO(zmq_setsockopt(s, ZMQ_XPUB_WELCOME_MSG, "hello", 5), EINVAL);
    }
}

// ---- filters -----------------------------------------------------------------------------------

TEST(accept_filter_syntax) {
    static const char *const good[] = {"127.0.0.1", "127.0.0.0/8", "0.0.0.0/0", "1.2.3.4/32"};
    static const char *const good6[] = {"::1", "::1/128", "::/0"};
    static const char *const bad[] = {"nonsense", "127.0.0.1/33", "127.0.0.1/", "::1/129",
                                      "127.0.0.1/x", "/8"};
    void *s = NEW_SOCKET(ZMQ_DEALER);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK_OK(zmq_setsockopt(s, ZMQ_TCP_ACCEPT_FILTER, good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_ERRNO(zmq_setsockopt(s, ZMQ_TCP_ACCEPT_FILTER, bad[i], strlen(bad[i])), EINVAL);
    SET_INT(s, ZMQ_IPV6, 1);
    for (size_t i = 0; i < sizeof good6 / sizeof good6[0]; i++)
        CHECK_OK(zmq_setsockopt(s, ZMQ_TCP_ACCEPT_FILTER, good6[i], strlen(good6[i])));
    CHECK_OK(zmq_setsockopt(s, ZMQ_TCP_ACCEPT_FILTER, NULL, 0));
    char text[257];
    memset(text, '1', sizeof text);
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_TCP_ACCEPT_FILTER, text, 256), EINVAL);
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_TCP_ACCEPT_FILTER, "", 0), EINVAL);
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_TCP_ACCEPT_FILTER, "", 1), EINVAL);
}

TEST(accept_filters_can_be_cleared) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    SET_TEXT(a, ZMQ_TCP_ACCEPT_FILTER, "10.11.12.0/24");
    CHECK_OK(zmq_setsockopt(a, ZMQ_TCP_ACCEPT_FILTER, NULL, 0));
    CONNECT(b, BIND(a, "tcp"));
    BOUNCE(a, b);
}

TEST(accept_filter_works) {
    void *filtered = NEW_SOCKET(ZMQ_PAIR), *open = NEW_SOCKET(ZMQ_PAIR);
    SET_TEXT(filtered, ZMQ_TCP_ACCEPT_FILTER, "10.11.12.0/24");
    void *mon = MONITOR(filtered, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED);
    void *client = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(client, BIND(filtered, "tcp"));
    EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPT_FAILED);
    SET_TEXT(open, ZMQ_TCP_ACCEPT_FILTER, "10.11.12.0/24");
    SET_TEXT(open, ZMQ_TCP_ACCEPT_FILTER, "127.0.0.0/8");
    void *second = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(second, BIND(open, "tcp"));
    BOUNCE(open, second);
}

TEST(ipc_filters) {
    static const int options[] = {ZMQ_IPC_FILTER_UID, ZMQ_IPC_FILTER_GID, ZMQ_IPC_FILTER_PID};
    const int own[] = {(int)getuid(), (int)getgid(), (int)getpid()};
    for (int i = 0; i < 3; i++) {
        void *strict = NEW_SOCKET(ZMQ_PAIR), *open = NEW_SOCKET(ZMQ_PAIR);
        SET_INT(strict, options[i], 54321);
        void *mon = MONITOR(strict, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED);
        void *client = NEW_SOCKET(ZMQ_PAIR), *second = NEW_SOCKET(ZMQ_PAIR);
        CONNECT(client, BIND(strict, "ipc"));
        EXPECT_EVENT(mon, ZMQ_EVENT_ACCEPT_FAILED);
        SET_INT(open, options[i], 54321);
        SET_INT(open, options[i], own[i]);
        CONNECT(second, BIND(open, "ipc"));
        BOUNCE(open, second);
        CHECK_ERRNO(zmq_setsockopt(open, options[i], "x", 1), EINVAL);
        CHECK_OK(zmq_setsockopt(open, options[i], NULL, 0));
    }
}

// Whoever passes one of them is let in, whatever the others are about.
TEST(ipc_filters_are_alternatives) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(a, ZMQ_IPC_FILTER_UID, 54321);
    SET_INT(a, ZMQ_IPC_FILTER_GID, 54321);
    SET_INT(a, ZMQ_IPC_FILTER_PID, (int)getpid());
    CONNECT(b, BIND(a, "ipc"));
    BOUNCE(a, b);
    // Those of a kind are cleared together.
    void *open = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(open, ZMQ_IPC_FILTER_UID, 54321);
    CHECK_OK(zmq_setsockopt(open, ZMQ_IPC_FILTER_UID, NULL, 0));
    CONNECT(client, BIND(open, "ipc"));
    BOUNCE(open, client);
}

// A group admits those it lists as members, whatever groups their processes are in.
TEST(ipc_filter_for_a_supplementary_group) {
    if (geteuid() != 0)
        skip("only root can be somebody else");
    uid_t uid = 0;
    gid_t gid = 0, own = 0;
    struct group *group;
    while (uid == 0 && (group = getgrent())) {
        for (char **member = group->gr_mem; *member; member++) {
            struct passwd *user = getpwnam(*member);
            if (user && user->pw_uid != 0 && user->pw_gid != group->gr_gid) {
                uid = user->pw_uid;
                own = user->pw_gid;
                gid = group->gr_gid;
            }
        }
    }
    endgrent();
    if (uid == 0)
        skip("no group has a member");
    const gid_t filters[] = {gid, own, 54321};
    const int expected[] = {ZMQ_EVENT_ACCEPTED, ZMQ_EVENT_ACCEPTED, ZMQ_EVENT_ACCEPT_FAILED};
    for (int i = 0; i < 3; i++) {
        char endpoint[64];
        snprintf(endpoint, sizeof endpoint, "ipc://@zmq-c-test-%d-%d", (int)getpid(), i);
        void *s = NEW_SOCKET(ZMQ_PAIR);
        SET_INT(s, ZMQ_IPC_FILTER_GID, (int)filters[i]);
        void *mon = MONITOR(s, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED);
        CHECK_OK(zmq_bind(s, endpoint));
        pid_t child = fork();
        if (child == 0) {
            struct sockaddr_un address = {.sun_family = AF_UNIX};
            size_t length = strlen(endpoint + 7);
            memcpy(address.sun_path + 1, endpoint + 7, length);
            int fd = socket(AF_UNIX, SOCK_STREAM, 0);
            bool good = setgroups(0, NULL) == 0 && setgid(own) == 0 && setuid(uid) == 0 &&
                        connect(fd, (struct sockaddr *)&address,
                                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)) == 0;
            _exit(good ? 0 : 1);
        }
        int status = -1;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
        EXPECT_EVENT(mon, expected[i]);
    }
}

// ---- effects -----------------------------------------------------------------------------------

TEST(timeouts) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH);
    char buffer[8];
    SET_INT(pull, ZMQ_RCVTIMEO, 120);
    SET_INT(push, ZMQ_SNDTIMEO, 120);
    long long start = now_ms();
    CHECK_ERRNO(zmq_recv(pull, buffer, sizeof buffer, 0), EAGAIN);
    CHECK_BETWEEN(now_ms() - start, 118, DEADLINE_MS);
    start = now_ms();
    CHECK_ERRNO(zmq_send(push, "x", 1, 0), EAGAIN);
    CHECK_BETWEEN(now_ms() - start, 118, DEADLINE_MS);
    // DONTWAIT wins.
    SET_INT(pull, ZMQ_RCVTIMEO, 100000);
    SET_INT(push, ZMQ_SNDTIMEO, 100000);
    CHECK_ERRNO(zmq_recv(pull, buffer, sizeof buffer, ZMQ_DONTWAIT), EAGAIN);
    CHECK_ERRNO(zmq_send(push, "x", 1, ZMQ_DONTWAIT), EAGAIN);
    SET_INT(pull, ZMQ_RCVTIMEO, 0);
    SET_INT(push, ZMQ_SNDTIMEO, 0);
    CHECK_ERRNO(zmq_recv(pull, buffer, sizeof buffer, 0), EAGAIN);
    CHECK_ERRNO(zmq_send(push, "x", 1, 0), EAGAIN);
}

TEST(buffers_and_tos_and_keepalive_connect) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    void *both[] = {a, b};
    for (int i = 0; i < 2; i++) {
        SET_INT(both[i], ZMQ_SNDBUF, 4096);
        SET_INT(both[i], ZMQ_RCVBUF, 4096);
        SET_INT(both[i], ZMQ_TOS, 0x28);
        SET_INT(both[i], ZMQ_TCP_KEEPALIVE, 1);
        SET_INT(both[i], ZMQ_TCP_KEEPALIVE_IDLE, 60);
        SET_INT(both[i], ZMQ_TCP_KEEPALIVE_CNT, 3);
        SET_INT(both[i], ZMQ_TCP_KEEPALIVE_INTVL, 5);
        SET_INT(both[i], ZMQ_TCP_MAXRT, 5000);
    }
    void *mon = MONITOR(b, ZMQ_EVENT_CONNECTED);
    CONNECT(b, BIND(a, "tcp"));
    BOUNCE(a, b);
    const int fd = EXPECT_EVENT(mon, ZMQ_EVENT_CONNECTED).value;
    int value;
    socklen_t size = sizeof value;
    CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size));
    CHECK_EQ(value, 1);
    CHECK_OK(getsockopt(fd, IPPROTO_IP, IP_TOS, &value, &size));
    CHECK_EQ(value, 0x28);
    CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &size));
    CHECK_EQ(value, 8192); // the kernel doubles it
    CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

static int listening_socket(struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_OK(bind(fd, (struct sockaddr *)address, size));
    CHECK_OK(listen(fd, 5));
    CHECK_OK(getsockname(fd, (struct sockaddr *)address, &size));
    return fd;
}

TEST(use_fd) {
    struct sockaddr_in address;
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(a, ZMQ_USE_FD, listening_socket(&address));
    CHECK_OK(zmq_bind(a, "tcp://127.0.0.1:*"));
    CHECK_EQ(port_of(LAST_ENDPOINT(a)), ntohs(address.sin_port));
    CONNECT(b, LAST_ENDPOINT(a));
    BOUNCE(a, b);
}

// Another process may have the same: it goes on listening there.
TEST_EACH(use_fd_leaves_copies_listening, "unbind", "close") {
    char endpoint[64];
    const int fd = RAW_LISTEN(endpoint), copy = dup(fd);
    void *s = NEW_SOCKET(ZMQ_DEALER), *mon = MONITOR(s, ZMQ_EVENT_CLOSED);
    SET_INT(s, ZMQ_USE_FD, fd);
    CHECK_OK(zmq_bind(s, endpoint));
    if (strcmp(transport, "unbind") == 0)
        CHECK_OK(zmq_unbind(s, endpoint));
    else
        CLOSE(s);
    EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    close(RAW_CONNECT(endpoint));
    close(RAW_ACCEPT(copy));
    close(copy);
}

TEST(maxmsgsize_drops_the_connection) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    int64_t limit = 100;
    CHECK_OK(zmq_setsockopt(pull, ZMQ_MAXMSGSIZE, &limit, sizeof limit));
    const char *endpoint = BIND(pull, "tcp");
    void *mon = MONITOR(pull, ZMQ_EVENT_DISCONNECTED);
    CONNECT(push, endpoint);
    char data[101] = {0};
    SEND_BYTES(push, data, 100, 0);
    EXPECT_BYTES(pull, data, 100, false);
    SEND_BYTES(push, data, 101, 0);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    EXPECT_NOTHING(pull);
}

// What is there already keeps the options it was made with.
TEST_EACH(options_act_on_the_next_bind, "tcp", "ws") {
    void *s = NEW_SOCKET(ZMQ_PULL), *before = NEW_SOCKET(ZMQ_PUSH), *after = NEW_SOCKET(ZMQ_PUSH);
    const char *first = BIND(s, transport);
    int64_t limit = 4;
    CHECK_OK(zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &limit, sizeof limit));
    const char *second = BIND(s, transport);
    void *mon = MONITOR(s, ZMQ_EVENT_DISCONNECTED);
    CONNECT(after, second);
    SEND(after, "too long");
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    CONNECT(before, first);
    SEND(before, "long");
    SEND(before, "longer than that");
    EXPECT(s, "long");
    EXPECT(s, "longer than that");
}

TEST_EACH(options_act_on_the_next_connect, "tcp", "ipc", "ws") {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *dealer = NEW_SOCKET(ZMQ_DEALER);
    const char *first = BIND(router, transport), *second = BIND(router, transport);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "before");
    CONNECT(dealer, first);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "after");
    SEND(dealer, "x");
    EXPECT(router, "before", "x");
    CONNECT(dealer, second);
    CHECK_OK(zmq_disconnect(dealer, first));
    SEND(dealer, "y");
    EXPECT(router, "after", "y");
}

// Each frame is measured, not the message.
TEST(maxmsgsize_is_for_each_part) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    int64_t limit = 100;
    CHECK_OK(zmq_setsockopt(pull, ZMQ_MAXMSGSIZE, &limit, sizeof limit));
    CONNECT(push, BIND(pull, "tcp"));
    char data[100] = {0};
    for (int i = 0; i < 5; i++)
        SEND_BYTES(push, data, 100, i < 4 ? ZMQ_SNDMORE : 0);
    for (int i = 0; i < 5; i++)
        EXPECT_BYTES(pull, data, 100, i < 4);
}

// Other types take the option and go on as they were.
TEST_EACH(conflate_elsewhere, EACH_TRANSPORT) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    SET_INT(a, ZMQ_CONFLATE, 1);
    SET_INT(b, ZMQ_CONFLATE, 1);
    CONNECT(b, BIND(a, transport));
    for (int i = 0; i < 20; i++)
        SEND_BYTES(a, &i, sizeof i, i % 3 ? ZMQ_SNDMORE : 0);
    SEND(a, "end");
    for (int i = 0; i < 20; i++)
        EXPECT_BYTES(b, &i, sizeof i, i % 3);
    EXPECT(b, "end");
}

// Parts are messages to it.
TEST(conflating_parts) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_CONFLATE, 1);
    SET_INT(pull, ZMQ_CONFLATE, 1);
    CONNECT(push, BIND(pull, "inproc"));
    SEND(push, "a", "b", "c");
    EXPECT(pull, "c");
    EXPECT_NOTHING(pull);
}

TEST_EACH_OURS_ONLY(conflate_outlives_the_sender, "the end of the pipe takes the place of the message",
                    EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_CONFLATE, 1);
    SET_INT(pull, ZMQ_CONFLATE, 1);
    const char *endpoint = BIND(pull, transport);
    void *mon = MONITOR(pull, ZMQ_EVENT_DISCONNECTED);
    CONNECT(push, endpoint);
    SEND(push, "newest");
    WAIT_EVENTS(pull, ZMQ_POLLIN);
    CLOSE(push);
    if (strcmp(transport, "inproc") != 0)
        EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
    EXPECT(pull, "newest");
    EXPECT_NOTHING(pull);
}

TEST_EACH_OURS_ONLY(conflate_keeps_the_newest,
                    "now and then, on a busy machine, the newest never arrives", EACH_TRANSPORT) {
    static const int types[][2] = {
        {ZMQ_PUSH, ZMQ_PULL}, {ZMQ_DEALER, ZMQ_DEALER}, {ZMQ_PUB, ZMQ_SUB}};
    for (int k = 0; k < 3; k++) {
        void *sender = NEW_SOCKET(types[k][0]), *receiver = NEW_SOCKET(types[k][1]);
        SET_INT(sender, ZMQ_CONFLATE, 1);
        SET_INT(receiver, ZMQ_CONFLATE, 1);
        CONNECT(sender, BIND(receiver, transport));
        if (types[k][1] == ZMQ_SUB)
            SET_TEXT(receiver, ZMQ_SUBSCRIBE, "");
        struct frame frame;
        WAIT_UNTIL(TRY_SEND(sender, "-1") && TRY_RECV(receiver, &frame));
        char text[16];
        for (int i = 0; i < 200; i++) {
            snprintf(text, sizeof text, "%d", i);
            SEND(sender, text);
        }
        // Whatever comes, it gets newer, and the last one stays.
        int last = -1;
        while (last != 199) {
            frame = RECV(receiver);
            frame.data[frame.size] = '\0';
            const int number = atoi((char *)frame.data);
            CHECK(number > last || last == -1);
            last = number;
        }
        EXPECT_NOTHING(receiver);
    }
}
