// SPDX-License-Identifier: MPL-2.0
//
// Versions, errors and their texts, capabilities, and the errno of calls on no socket.
#include "harness.h"

TEST(version) {
    int major = 0, minor = 0, patch = -1;
    zmq_version(&major, &minor, &patch);
    CHECK_EQ(major, 4);
    CHECK_EQ(minor, 3);
    CHECK(patch >= 4);
    CHECK_EQ(ZMQ_VERSION, ZMQ_MAKE_VERSION(ZMQ_VERSION_MAJOR, ZMQ_VERSION_MINOR, ZMQ_VERSION_PATCH));
}

TEST(own_error_numbers) {
    CHECK_EQ(EFSM, 156384763);
    CHECK_EQ(ENOCOMPATPROTO, 156384764);
    CHECK_EQ(ETERM, 156384765);
    CHECK_EQ(EMTHREAD, 156384766);
}

TEST(own_error_texts) {
    CHECK_STR(zmq_strerror(EFSM), "Operation cannot be accomplished in current state");
    CHECK_STR(zmq_strerror(ENOCOMPATPROTO),
              "The protocol is not compatible with the socket type");
    CHECK_STR(zmq_strerror(ETERM), "Context was terminated");
    CHECK_STR(zmq_strerror(EMTHREAD), "No thread available");
    CHECK_STR(zmq_strerror(EHOSTUNREACH), "Host unreachable");
}

TEST(other_error_texts_are_the_system_s) {
    static const int errors[] = {0,       EAGAIN,      EINVAL,     ENOTSOCK, ENOTSUP,
                                 EFAULT,  EADDRINUSE,  ENOENT,     ENODEV,   EPROTONOSUPPORT,
                                 ENOMEM,  EMFILE,      EINTR,      -1,       100000};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        char *expected = strdup(strerror(errors[i]));
        CHECK_STR(zmq_strerror(errors[i]), expected);
        free(expected);
    }
}

TEST(errno_is_that_of_the_thread) {
    errno = EPIPE;
    CHECK_EQ(zmq_errno(), EPIPE);
    errno = 0;
    CHECK_EQ(zmq_errno(), 0);
    CHECK_ERRNO(zmq_ctx_term(NULL), EFAULT);
    CHECK_EQ(zmq_errno(), EFAULT);
}

static void other_thread(void *unused) {
    (void)unused;
    CHECK_EQ(zmq_errno(), 0);
    CHECK_ERRNO(zmq_close(NULL), ENOTSOCK);
}

TEST(errno_of_another_thread) {
    struct thread thread;
    CHECK_ERRNO(zmq_ctx_term(NULL), EFAULT);
    start_thread(&thread, other_thread, NULL);
    JOIN(&thread);
    CHECK_EQ(zmq_errno(), EFAULT);
}

TEST(capabilities) {
    CHECK_EQ(zmq_has("ipc"), 1);
    CHECK_BETWEEN(zmq_has("curve"), 0, 1);
    CHECK_BETWEEN(zmq_has("draft"), 0, 1);
    CHECK_BETWEEN(zmq_has("gssapi"), 0, 1);
    CHECK_BETWEEN(zmq_has("pgm"), 0, 1);
    CHECK_BETWEEN(zmq_has("tipc"), 0, 1);
    CHECK_BETWEEN(zmq_has("norm"), 0, 1);
    CHECK_BETWEEN(zmq_has("vmci"), 0, 1);
    CHECK_BETWEEN(zmq_has("WS"), 0, 1);
    CHECK_BETWEEN(zmq_has("WSS"), 0, 1);
}

TEST(capability_names_are_exact) {
    static const char *const names[] = {"",   "IPC", "ipc ", "tcp", "inproc", "udp",   "epgm",
                                        "ws", "wss", "Curve", "i",  "curves", "nonsense"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        CHECK_EQ(zmq_has(names[i]), 0);
}

static void check_no_socket(void *s) {
    char buffer[64];
    int value = 0;
    size_t size = sizeof value;
    CHECK_ERRNO(zmq_close(s), ENOTSOCK);
    CHECK_ERRNO(zmq_bind(s, "inproc://x"), ENOTSOCK);
    CHECK_ERRNO(zmq_connect(s, "inproc://x"), ENOTSOCK);
    CHECK_ERRNO(zmq_unbind(s, "inproc://x"), ENOTSOCK);
    CHECK_ERRNO(zmq_disconnect(s, "inproc://x"), ENOTSOCK);
    CHECK_ERRNO(zmq_send(s, "x", 1, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_send_const(s, "x", 1, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_recv(s, buffer, sizeof buffer, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_getsockopt(s, ZMQ_LINGER, &value, &size), ENOTSOCK);
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_LINGER, &value, sizeof value), ENOTSOCK);
    CHECK_ERRNO(zmq_socket_monitor(s, "inproc://x", ZMQ_EVENT_ALL), ENOTSOCK);
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_ERRNO(zmq_msg_send(&message, s, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_msg_recv(&message, s, 0), ENOTSOCK);
    CHECK_OK(zmq_msg_close(&message));
}

TEST(null_socket) { check_no_socket(NULL); }

// Memory that is no socket is told by its tag.
TEST(not_a_socket) {
    _Alignas(16) char memory[4096] = {0};
    check_no_socket(memory);
    zmq_pollitem_t item = {.socket = memory, .events = ZMQ_POLLIN};
    CHECK_ERRNO(zmq_poll(&item, 1, 0), ENOTSOCK);
}

TEST(directions) {
    static const int no_recv[] = {ZMQ_PUB, ZMQ_PUSH}, no_send[] = {ZMQ_SUB, ZMQ_PULL};
    char buffer[8];
    for (int i = 0; i < 2; i++) {
        void *s = NEW_SOCKET(no_recv[i]);
        CHECK_ERRNO(zmq_recv(s, buffer, sizeof buffer, 0), ENOTSUP);
        CHECK_ERRNO(zmq_recv(s, buffer, sizeof buffer, ZMQ_DONTWAIT), ENOTSUP);
        s = NEW_SOCKET(no_send[i]);
        CHECK_ERRNO(zmq_send(s, "x", 1, 0), ENOTSUP);
        CHECK_ERRNO(zmq_send(s, "x", 1, ZMQ_DONTWAIT), ENOTSUP);
    }
}

TEST(unknown_flags_are_ignored) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, "inproc"));
    CHECK_EQ(zmq_send(a, "x", 1, 0x70), 1);
    struct frame frame = {0};
    CHECK_EQ(zmq_recv(b, frame.data, sizeof frame.data, 0x70), 1);
    CHECK_EQ(GET_INT(b, ZMQ_RCVMORE), 0);
}
