// SPDX-License-Identifier: MPL-2.0
//
// vsock and tipc: what their addresses may look like, and what happens where the kernel has no such
// sockets. Where it has, over tipc, there and back.
#include "harness.h"

#include <sys/socket.h>
#include <unistd.h>

static bool kernel_has(int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno != EAFNOSUPPORT;
}

static void need(const char *transport) {
    if (!zmq_has(transport))
        skip("the library is built without it");
}

TEST_EACH(without_support_in_the_library, "vsock", "tipc") {
    if (zmq_has(transport))
        skip("the library has it");
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "%s://whatever", transport);
    void *s = NEW_SOCKET(ZMQ_PAIR);
    CHECK_ERRNO(zmq_bind(s, endpoint), EPROTONOSUPPORT);
    CHECK_ERRNO(zmq_connect(s, endpoint), EPROTONOSUPPORT);
}

TEST_OURS_ONLY(both_are_there, "it may be built without them") {
    CHECK_EQ(zmq_has("tipc"), 1);
    CHECK_EQ(zmq_has("vsock"), 1);
    CHECK_EQ(zmq_has("vmci"), 0);
}

// ---- tipc --------------------------------------------------------------------------------------

// libzmq leaves errno as it was here.
TEST_OURS_ONLY(tipc_addresses_that_cannot_be, "it leaves errno as it was") {
    static const char *const bad[] = {
        "tipc://x",           "tipc://{",         "tipc://{5560}",     "tipc://{5560,1",
        "tipc://{63,0,0}",    "tipc://{64,0}",    "tipc://{5560,2,1}", "tipc://{5560,0}@1.2",
        "tipc://{5560,0}@x",  "tipc://<1.2.3:4",  "tipc://<1.2.3>",    "tipc://{5560,-1}",
        "tipc://{5560,0}x",   "tipc://<256.0.0:1>",
    };
    void *s = NEW_SOCKET(ZMQ_PAIR);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (zmq_bind(s, bad[i]) != -1 || errno != EINVAL)
            fail("binding %s: %s", bad[i], strerror(errno));
        if (zmq_connect(s, bad[i]) != -1 || errno != EINVAL)
            fail("connecting %s: %s", bad[i], strerror(errno));
    }
}

TEST(tipc_ports_are_not_to_choose) {
    need("tipc");
    void *s = NEW_SOCKET(ZMQ_PAIR);
    CHECK_ERRNO(zmq_bind(s, "tipc://<1.2.3:123123>"), EINVAL);
    CHECK_ERRNO(zmq_connect(s, "tipc://<*>"), EINVAL);
}

TEST(tipc_without_a_kernel_that_has_it) {
    need("tipc");
    if (kernel_has(AF_TIPC))
        skip("the kernel has such sockets");
    void *s = NEW_SOCKET(ZMQ_PAIR);
    CHECK_ERRNO(zmq_bind(s, "tipc://{5560,0,0}"), EAFNOSUPPORT);
    CHECK_ERRNO(zmq_bind(s, "tipc://<*>"), EAFNOSUPPORT);
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    CHECK_EQ(zmq_bind(s, "tipc://{5560,0,0}"), -1);
    CHECK_EQ(zmq_bind(s, "tipc://<*>"), -1);
    struct event event = EXPECT_EVENT(mon, ZMQ_EVENT_BIND_FAILED);
    CHECK_EQ(event.value, EAFNOSUPPORT);
    EXPECT_EVENT(mon, ZMQ_EVENT_BIND_FAILED);
    // Connecting is tried again and again.
    SET_INT(s, ZMQ_RECONNECT_IVL, 5);
    CONNECT(s, "tipc://{5560,0}");
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
    EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED);
    CHECK_OK(zmq_disconnect(s, "tipc://{5560,0}"));
}

TEST_EACH(tipc_there_and_back, "name", "domain", "identity") {
    need("tipc");
    if (!kernel_has(AF_TIPC))
        skip("the kernel has no such sockets");
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    if (strcmp(transport, "identity") == 0) {
        CONNECT(client, BIND_ADDRESS(server, "tipc://<*>"));
    } else {
        // A name without a domain is looked for in 1.0.0, where a machine must be given its place.
        void *other = NEW_SOCKET(ZMQ_PAIR);
        if (strcmp(transport, "name") == 0 && strncmp(BIND_ADDRESS(other, "tipc://<*>"), "tipc://<1.", 10))
            skip("this machine is not in the zone of names without a domain");
        CHECK_OK(zmq_bind(server, "tipc://{5560,0,0}"));
        CONNECT(client, strcmp(transport, "name") ? "tipc://{5560,0}@0.0.0" : "tipc://{5560,0}");
    }
    BOUNCE(client, server);
    if (strcmp(transport, "identity") != 0)
        CHECK_OK(zmq_unbind(server, "tipc://{5560,0,0}"));
}

// ---- vsock -------------------------------------------------------------------------------------

TEST(vsock_addresses_that_cannot_be) {
    need("vsock");
    static const char *const bad[] = {"vsock://3", "vsock://:1", "vsock://3:", "vsock://x:1",
                                      "vsock://3:x"};
    void *s = NEW_SOCKET(ZMQ_PAIR);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (zmq_bind(s, bad[i]) != -1 || errno != EINVAL)
            fail("binding %s: %s", bad[i], strerror(errno));
        if (zmq_connect(s, bad[i]) != -1 || errno != EINVAL)
            fail("connecting %s: %s", bad[i], strerror(errno));
    }
}

TEST(vsock_listening) {
    need("vsock");
    void *s = NEW_SOCKET(ZMQ_PAIR);
    if (!kernel_has(AF_VSOCK)) {
        CHECK_ERRNO(zmq_bind(s, "vsock://*:*"), EAFNOSUPPORT);
        return;
    }
    void *mon = MONITOR(s, ZMQ_EVENT_ALL);
    const char *endpoint = BIND_ADDRESS(s, "vsock://*:*");
    unsigned port;
    CHECK(sscanf(endpoint, "vsock://*:%u", &port) == 1 && port > 0);
    EXPECT_EVENT(mon, ZMQ_EVENT_LISTENING);
    void *second = NEW_SOCKET(ZMQ_PAIR);
    CHECK_ERRNO(zmq_bind(second, endpoint), EADDRINUSE);
    CHECK_OK(zmq_unbind(s, endpoint));
    EXPECT_EVENT(mon, ZMQ_EVENT_CLOSED);
    CHECK_OK(zmq_bind(second, endpoint));
}

// Nobody listens there: whether that is said at once or not at all, the attempt ends and is made again.
TEST_EACH(vsock_without_a_peer, "1", "2") {
    need("vsock");
    void *s = NEW_SOCKET(ZMQ_PAIR);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "vsock://%s:3345678901", transport);
    SET_INT(s, ZMQ_CONNECT_TIMEOUT, 50);
    SET_INT(s, ZMQ_RECONNECT_IVL, 10);
    void *mon = MONITOR(s, ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(s, endpoint);
    for (int i = 0; i < 3; i++)
        CHECK_STR(EXPECT_EVENT(mon, ZMQ_EVENT_CONNECT_RETRIED).address, endpoint);
    CHECK_OK(zmq_disconnect(s, endpoint));
}

TEST(vsock_there_and_back) {
    need("vsock");
    if (!kernel_has(AF_VSOCK))
        skip("the kernel has no such sockets");
    void *server = NEW_SOCKET(ZMQ_PAIR), *client = NEW_SOCKET(ZMQ_PAIR);
    const char *endpoint = BIND_ADDRESS(server, "vsock://*:*");
    char target[64];
    snprintf(target, sizeof target, "vsock://1:%s", strrchr(endpoint, ':') + 1);
    // The address of this machine takes a module of its own, which is not everywhere.
    SET_INT(client, ZMQ_CONNECT_TIMEOUT, 3000);
    void *mon = MONITOR(client, ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_RETRIED);
    CONNECT(client, target);
    struct event event;
    if (!event_within(mon, &event, DEADLINE_MS) || event.event != ZMQ_EVENT_CONNECTED)
        skip("vsock does not lead back to this machine");
    BOUNCE(client, server);
}
