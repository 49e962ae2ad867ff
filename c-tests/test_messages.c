// SPDX-License-Identifier: MPL-2.0
//
// zmq_msg_t: sizes around the inline limit, moving, copying, sharing, buffers of the caller.
#include "harness.h"

#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

static void fill(zmq_msg_t *message, size_t size, char byte) {
    CHECK_OK(zmq_msg_init_size(message, size));
    memset(zmq_msg_data(message), byte, size);
}

static void check_filled(zmq_msg_t *message, size_t size, char byte) {
    CHECK_EQ(zmq_msg_size(message), size);
    const char *data = zmq_msg_data(message);
    for (size_t i = 0; i < size; i++)
        CHECK_EQ(data[i], byte);
}

TEST(structure) {
    CHECK_EQ(sizeof(zmq_msg_t), 64);
    CHECK_EQ(_Alignof(zmq_msg_t), sizeof(void *));
}

TEST(empty) {
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_size(&message), 0);
    CHECK(zmq_msg_data(&message) != NULL);
    CHECK_EQ(zmq_msg_more(&message), 0);
    CHECK_OK(zmq_msg_close(&message));
}

static const size_t sizes[] = {0, 1, 32, 33, 34, 35, 255, 256, 8191, 8192, 8193, 1 << 20};
#define EACH_SIZE(size) \
    for (size_t i_ = 0, size; i_ < sizeof sizes / sizeof sizes[0] && (size = sizes[i_], true); i_++)

TEST(sizes) {
    EACH_SIZE(size) {
        zmq_msg_t message;
        fill(&message, size, 'x');
        check_filled(&message, size, 'x');
        CHECK_OK(zmq_msg_close(&message));
    }
}

TEST(too_large) {
    zmq_msg_t message;
    CHECK_ERRNO(zmq_msg_init_size(&message, SIZE_MAX), ENOMEM);
    CHECK_ERRNO(zmq_msg_init_size(&message, SIZE_MAX - 8), ENOMEM);
}

TEST(close_twice) {
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_OK(zmq_msg_close(&message));
    CHECK_ERRNO(zmq_msg_close(&message), EFAULT);
    fill(&message, 100, 'x');
    CHECK_OK(zmq_msg_close(&message));
    CHECK_ERRNO(zmq_msg_close(&message), EFAULT);
}

TEST(never_initialised) {
    zmq_msg_t zeros = {0}, good;
    CHECK_OK(zmq_msg_init(&good));
    CHECK_ERRNO(zmq_msg_close(&zeros), EFAULT);
    CHECK_ERRNO(zmq_msg_copy(&good, &zeros), EFAULT);
    CHECK_ERRNO(zmq_msg_move(&good, &zeros), EFAULT);
    CHECK_OK(zmq_msg_close(&good));
}

// ---- move and copy -----------------------------------------------------------------------------

TEST(move) {
    EACH_SIZE(size) {
        zmq_msg_t from, to;
        fill(&from, size, 'f');
        fill(&to, 50, 't');
        CHECK_OK(zmq_msg_move(&to, &from));
        check_filled(&to, size, 'f');
        CHECK_EQ(zmq_msg_size(&from), 0);
        CHECK_OK(zmq_msg_close(&from));
        CHECK_OK(zmq_msg_close(&to));
    }
}

TEST(move_keeps_the_buffer) {
    zmq_msg_t from, to;
    fill(&from, 1000, 'f');
    CHECK_OK(zmq_msg_init(&to));
    void *data = zmq_msg_data(&from);
    CHECK_OK(zmq_msg_move(&to, &from));
    CHECK(zmq_msg_data(&to) == data);
    CHECK_OK(zmq_msg_close(&to));
}

TEST(copy) {
    EACH_SIZE(size) {
        zmq_msg_t from, to;
        fill(&from, size, 'f');
        fill(&to, 50, 't');
        CHECK_OK(zmq_msg_copy(&to, &from));
        check_filled(&to, size, 'f');
        check_filled(&from, size, 'f');
        CHECK_OK(zmq_msg_close(&from));
        check_filled(&to, size, 'f');
        CHECK_OK(zmq_msg_close(&to));
    }
}

TEST(copies_share_large_content_only) {
    zmq_msg_t from, to;
    CHECK_OK(zmq_msg_init(&to));
    fill(&from, 33, 'f');
    CHECK_OK(zmq_msg_copy(&to, &from));
    CHECK(zmq_msg_data(&to) != zmq_msg_data(&from));
    CHECK_EQ(zmq_msg_get(&from, ZMQ_SHARED), 0);
    CHECK_EQ(zmq_msg_get(&to, ZMQ_SHARED), 0);
    CHECK_OK(zmq_msg_close(&from));

    fill(&from, 34, 'f');
    CHECK_EQ(zmq_msg_get(&from, ZMQ_SHARED), 0);
    CHECK_OK(zmq_msg_copy(&to, &from));
    CHECK(zmq_msg_data(&to) == zmq_msg_data(&from));
    CHECK_EQ(zmq_msg_get(&from, ZMQ_SHARED), 1);
    CHECK_EQ(zmq_msg_get(&to, ZMQ_SHARED), 1);
    CHECK_OK(zmq_msg_close(&from));
    CHECK_EQ(zmq_msg_get(&to, ZMQ_SHARED), 1);
    check_filled(&to, 34, 'f');
    CHECK_OK(zmq_msg_close(&to));
}

TEST(many_copies) {
    zmq_msg_t first, copies[50];
    fill(&first, 5000, 'f');
    for (int i = 0; i < 50; i++) {
        CHECK_OK(zmq_msg_init(&copies[i]));
        CHECK_OK(zmq_msg_copy(&copies[i], i ? &copies[i - 1] : &first));
    }
    CHECK_OK(zmq_msg_close(&first));
    for (int i = 0; i < 50; i++) {
        check_filled(&copies[i], 5000, 'f');
        CHECK_OK(zmq_msg_close(&copies[i]));
    }
}

// ---- properties --------------------------------------------------------------------------------

TEST(properties) {
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_msg_get(&message, ZMQ_MORE), 0);
    CHECK_EQ(zmq_msg_get(&message, ZMQ_SHARED), 0);
    CHECK_ERRNO(zmq_msg_get(&message, ZMQ_SRCFD), EINVAL);
    CHECK_ERRNO(zmq_msg_get(&message, 0), EINVAL);
    CHECK_ERRNO(zmq_msg_get(&message, 4), EINVAL);
    CHECK_ERRNO(zmq_msg_get(&message, -1), EINVAL);
    CHECK_ERRNO(zmq_msg_set(&message, ZMQ_MORE, 1), EINVAL);
    CHECK_ERRNO(zmq_msg_set(&message, ZMQ_SHARED, 1), EINVAL);
    CHECK_ERRNO(zmq_msg_set(&message, 77, 1), EINVAL);
    CHECK_NULL_ERRNO(zmq_msg_gets(&message, "Socket-Type"), EINVAL);
    CHECK_NULL_ERRNO(zmq_msg_gets(&message, "nonsense"), EINVAL);
    CHECK_OK(zmq_msg_close(&message));
}

static void recv_message(void *socket, zmq_msg_t *message) {
    CHECK_OK(zmq_msg_init(message));
    CHECK(zmq_msg_recv(message, socket, 0) >= 0);
}

TEST_EACH(more, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    SEND(push, "a", "b", "c");
    for (int i = 0; i < 3; i++) {
        zmq_msg_t message;
        recv_message(pull, &message);
        CHECK_EQ(zmq_msg_more(&message), i < 2);
        CHECK_EQ(zmq_msg_get(&message, ZMQ_MORE), i < 2);
        CHECK_EQ(GET_INT(pull, ZMQ_RCVMORE), i < 2);
        CHECK_OK(zmq_msg_close(&message));
        // As many programs ask only after closing.
        CHECK_EQ(zmq_msg_more(&message), i < 2);
    }
}

TEST(a_copy_keeps_more) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    SEND(push, "a", "b");
    zmq_msg_t message, copy;
    recv_message(pull, &message);
    CHECK_OK(zmq_msg_init(&copy));
    CHECK_OK(zmq_msg_copy(&copy, &message));
    CHECK_EQ(zmq_msg_more(&copy), 1);
    CHECK_OK(zmq_msg_close(&copy));
    CHECK_OK(zmq_msg_close(&message));
}

TEST_EACH(metadata, EACH_STREAM, "ws") {
    void *dealer = NEW_SOCKET(ZMQ_DEALER), *router = NEW_SOCKET(ZMQ_ROUTER);
    SET_TEXT(dealer, ZMQ_ROUTING_ID, "a name");
    CONNECT(dealer, BIND(router, transport));
    SEND(dealer, "one", "two");
    for (int i = 0; i < 3; i++) {
        zmq_msg_t message;
        recv_message(router, &message);
        CHECK_STR(zmq_msg_gets(&message, "Socket-Type"), "DEALER");
        CHECK_STR(zmq_msg_gets(&message, "Identity"), "a name");
        if (strcmp(transport, "tcp") == 0)
            CHECK_STR(zmq_msg_gets(&message, "Peer-Address"), "127.0.0.1");
        else
            CHECK(zmq_msg_gets(&message, "Peer-Address") != NULL);
        CHECK_NULL_ERRNO(zmq_msg_gets(&message, "User-Id"), EINVAL);
        CHECK_NULL_ERRNO(zmq_msg_gets(&message, "socket-type"), EINVAL);
        CHECK_NULL_ERRNO(zmq_msg_gets(&message, ""), EINVAL);
        CHECK(zmq_msg_get(&message, ZMQ_SRCFD) > 2);
        CHECK_EQ(atoi(zmq_msg_gets(&message, "__fd")), zmq_msg_get(&message, ZMQ_SRCFD));
        CHECK_OK(zmq_msg_close(&message));
    }
}

// Over ipc a peer's address is who it is: user, group and process.
TEST(address_of_an_ipc_peer) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "ipc"));
    SEND(push, "x");
    zmq_msg_t message;
    recv_message(pull, &message);
    char expected[64];
    snprintf(expected, sizeof expected, ":%u:%u:%d", getuid(), getgid(), (int)getpid());
    const char *address = zmq_msg_gets(&message, "Peer-Address");
    CHECK(address != NULL && strchr(address, ':') != NULL);
    CHECK_STR(strchr(address, ':'), expected);
    CHECK_OK(zmq_msg_close(&message));
}

// REQ, DEALER and ROUTER say who they are, even if they have no name; others do not.
TEST_EACH(identity_by_type, "named", "nameless") {
    static const struct {
        int type, peer;
        bool tells;
    } rows[] = {{ZMQ_REQ, ZMQ_ROUTER, true},   {ZMQ_DEALER, ZMQ_DEALER, true},
                {ZMQ_ROUTER, ZMQ_DEALER, true}, {ZMQ_PUSH, ZMQ_PULL, false},
                {ZMQ_PAIR, ZMQ_PAIR, false},    {ZMQ_XSUB, ZMQ_XPUB, false}};
    const bool named = strcmp(transport, "named") == 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *s = NEW_SOCKET(rows[i].type), *peer = NEW_SOCKET(rows[i].peer);
        if (named)
            SET_TEXT(s, ZMQ_ROUTING_ID, "name");
        if (rows[i].type == ZMQ_ROUTER)
            SET_TEXT(s, ZMQ_CONNECT_ROUTING_ID, "peer");
        CONNECT(s, BIND(peer, "tcp"));
        if (rows[i].type == ZMQ_ROUTER)
            SEND(s, "peer", "\1x");
        else
            SEND(s, "\1x");
        zmq_msg_t message;
        recv_message(peer, &message);
        if (rows[i].tells)
            CHECK_STR(zmq_msg_gets(&message, "Identity"), named ? "name" : "");
        else
            CHECK_NULL_ERRNO(zmq_msg_gets(&message, "Identity"), EINVAL);
        CHECK_OK(zmq_msg_close(&message));
    }
}

TEST(no_metadata_over_inproc) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    SEND(push, "x");
    zmq_msg_t message;
    recv_message(pull, &message);
    CHECK_NULL_ERRNO(zmq_msg_gets(&message, "Socket-Type"), EINVAL);
    CHECK_ERRNO(zmq_msg_get(&message, ZMQ_SRCFD), EINVAL);
    CHECK_OK(zmq_msg_close(&message));
}

TEST(metadata_survives_copy_and_move) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "tcp"));
    SEND(push, "a message that is longer than thirty-three bytes");
    zmq_msg_t message, copy, moved;
    recv_message(pull, &message);
    CHECK_OK(zmq_msg_init(&copy));
    CHECK_OK(zmq_msg_init(&moved));
    CHECK_OK(zmq_msg_copy(&copy, &message));
    CHECK_OK(zmq_msg_move(&moved, &message));
    CHECK_STR(zmq_msg_gets(&copy, "Socket-Type"), "PUSH");
    CHECK_OK(zmq_msg_close(&copy));
    CHECK_STR(zmq_msg_gets(&moved, "Socket-Type"), "PUSH");
    CHECK_OK(zmq_msg_close(&moved));
}

TEST(sending_strips_metadata) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(push, BIND(pull, "tcp"));
    CONNECT(b, BIND(a, "inproc"));
    SEND(push, "x");
    zmq_msg_t message;
    recv_message(pull, &message);
    CHECK_EQ(zmq_msg_send(&message, a, 0), 1);
    recv_message(b, &message);
    CHECK_NULL_ERRNO(zmq_msg_gets(&message, "Socket-Type"), EINVAL);
    CHECK_OK(zmq_msg_close(&message));
}

// ---- sending and receiving ---------------------------------------------------------------------

TEST_EACH(sizes_arrive, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    EACH_SIZE(size) {
        zmq_msg_t message;
        fill(&message, size, 'm');
        CHECK_EQ(zmq_msg_send(&message, push, 0), size);
        CHECK_EQ(zmq_msg_size(&message), 0);
        CHECK_OK(zmq_msg_close(&message));
        recv_message(pull, &message);
        check_filled(&message, size, 'm');
        CHECK_OK(zmq_msg_close(&message));
    }
}

TEST_EACH(truncated_receive, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    SEND(push, "0123456789", "next");
    char buffer[16] = "________________";
    CHECK_EQ(zmq_recv(pull, buffer, 4, 0), 10);
    CHECK_BYTES(buffer, 16, "0123____________", 16);
    CHECK_EQ(zmq_recv(pull, NULL, 0, 0), 4);
    SEND(push, "");
    CHECK_EQ(zmq_recv(pull, buffer, 16, 0), 0);
    CHECK_BYTES(buffer, 16, "0123____________", 16);
}

TEST(failed_send_leaves_the_message) {
    void *push = NEW_SOCKET(ZMQ_PUSH);
    zmq_msg_t message;
    fill(&message, 100, 'k');
    CHECK_ERRNO(zmq_msg_send(&message, push, ZMQ_DONTWAIT), EAGAIN);
    check_filled(&message, 100, 'k');
    CHECK_ERRNO(zmq_msg_send(&message, NULL, 0), ENOTSOCK);
    check_filled(&message, 100, 'k');
    CHECK_OK(zmq_msg_close(&message));
}

TEST(receiving_replaces_the_content) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    zmq_msg_t message;
    fill(&message, 1000, 'o');
    SEND(push, "new");
    CHECK_EQ(zmq_msg_recv(&message, pull, 0), 3);
    CHECK_BYTES(zmq_msg_data(&message), zmq_msg_size(&message), "new", 3);
    SEND(push, "newer");
    CHECK_EQ(zmq_msg_recv(&message, pull, 0), 5);
    CHECK_OK(zmq_msg_close(&message));
}

TEST(older_names) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    zmq_msg_t message;
    fill(&message, 3, 'o');
    CHECK_EQ(zmq_sendmsg(push, &message, 0), 3);
    CHECK_OK(zmq_msg_init(&message));
    CHECK_EQ(zmq_recvmsg(pull, &message, 0), 3);
    check_filled(&message, 3, 'o');
    CHECK_OK(zmq_msg_close(&message));
    CHECK_ERRNO(zmq_sendmsg(NULL, &message, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_recvmsg(NULL, &message, 0), ENOTSOCK);
}

// ---- buffers of the caller ---------------------------------------------------------------------

// Counts its calls in what `hint` points to; may be called by any thread.
static void count_free(void *data, void *hint) {
    (void)data;
    __atomic_fetch_add((int *)hint, 1, __ATOMIC_SEQ_CST);
}

static int count_of(int *counter) { return __atomic_load_n(counter, __ATOMIC_SEQ_CST); }

static char text[] = "a buffer the caller keeps, longer than the inline limit of a message";

static void from_buffer(zmq_msg_t *message, size_t size, int *freed) {
    CHECK_OK(zmq_msg_init_data(message, text, size, count_free, freed));
}

static void check_no_second_call(int *freed) {
    long long end = now_ms() + ABSENCE_MS;
    while (now_ms() < end) {
        CHECK_EQ(count_of(freed), 1);
        pause_briefly();
    }
}

TEST(freed_by_close) {
    static const size_t buffer_sizes[] = {1, 33, 34, sizeof text};
    for (int i = 0; i < 4; i++) {
        int freed = 0;
        zmq_msg_t message;
        from_buffer(&message, buffer_sizes[i], &freed);
        CHECK(zmq_msg_data(&message) == text);
        CHECK_EQ(zmq_msg_size(&message), buffer_sizes[i]);
        CHECK_EQ(zmq_msg_get(&message, ZMQ_SHARED), 0);
        CHECK_EQ(count_of(&freed), 0);
        CHECK_OK(zmq_msg_close(&message));
        CHECK_EQ(count_of(&freed), 1);
    }
}

// There need not be anything in it.
TEST(freed_without_content) {
    int freed = 0;
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init_data(&message, NULL, 0, count_free, &freed));
    CHECK_EQ(zmq_msg_size(&message), 0);
    CHECK_EQ(count_of(&freed), 0);
    CHECK_OK(zmq_msg_close(&message));
    CHECK_EQ(count_of(&freed), 1);
}

TEST(freed_with_the_last_copy) {
    int freed = 0;
    zmq_msg_t message, copy, third;
    from_buffer(&message, 10, &freed);
    CHECK_OK(zmq_msg_init(&copy));
    CHECK_OK(zmq_msg_init(&third));
    CHECK_OK(zmq_msg_copy(&copy, &message));
    CHECK(zmq_msg_data(&copy) == text);
    CHECK_EQ(zmq_msg_get(&copy, ZMQ_SHARED), 1);
    CHECK_OK(zmq_msg_move(&third, &copy));
    CHECK_OK(zmq_msg_close(&message));
    CHECK_EQ(count_of(&freed), 0);
    CHECK_OK(zmq_msg_close(&copy));
    CHECK_EQ(count_of(&freed), 0);
    CHECK_OK(zmq_msg_close(&third));
    CHECK_EQ(count_of(&freed), 1);
}

TEST(freed_by_being_overwritten) {
    int freed[3] = {0};
    zmq_msg_t messages[3], other;
    for (int i = 0; i < 3; i++)
        from_buffer(&messages[i], sizeof text, &freed[i]);
    fill(&other, 5, 'o');
    CHECK_OK(zmq_msg_copy(&messages[0], &other));
    CHECK_EQ(count_of(&freed[0]), 1);
    CHECK_OK(zmq_msg_move(&messages[1], &other));
    CHECK_EQ(count_of(&freed[1]), 1);
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    SEND(push, "x");
    CHECK_EQ(zmq_msg_recv(&messages[2], pull, 0), 1);
    CHECK_EQ(count_of(&freed[2]), 1);
    for (int i = 0; i < 3; i++)
        CHECK_OK(zmq_msg_close(&messages[i]));
}

// A receive that finds nothing has let go of the old content; one that is refused leaves it.
TEST(content_after_a_failed_receive) {
    void *pull = NEW_SOCKET(ZMQ_PULL), *push = NEW_SOCKET(ZMQ_PUSH), *req = NEW_SOCKET(ZMQ_REQ);
    zmq_msg_t message;
    fill(&message, 100, 'o');
    CHECK_ERRNO(zmq_msg_recv(&message, NULL, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_msg_recv(&message, push, ZMQ_DONTWAIT), ENOTSUP);
    CHECK_ERRNO(zmq_msg_recv(&message, req, ZMQ_DONTWAIT), EFSM);
    check_filled(&message, 100, 'o');
    CHECK_ERRNO(zmq_msg_recv(&message, pull, ZMQ_DONTWAIT), EAGAIN);
    CHECK_EQ(zmq_msg_size(&message), 0);
    CHECK_OK(zmq_msg_close(&message));
    int freed = 0;
    from_buffer(&message, sizeof text, &freed);
    SET_INT(pull, ZMQ_RCVTIMEO, 20);
    CHECK_ERRNO(zmq_msg_recv(&message, pull, 0), EAGAIN);
    CHECK_EQ(count_of(&freed), 1);
    CHECK_OK(zmq_msg_close(&message));
}

// The receiver over inproc gets the very same buffer.
TEST(freed_by_the_receiver_over_inproc) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    int freed = 0;
    zmq_msg_t message;
    from_buffer(&message, sizeof text, &freed);
    CHECK_EQ(zmq_msg_send(&message, push, 0), sizeof text);
    recv_message(pull, &message);
    CHECK(zmq_msg_data(&message) == text);
    CHECK_EQ(count_of(&freed), 0);
    CHECK_OK(zmq_msg_close(&message));
    CHECK_EQ(count_of(&freed), 1);
}

TEST_EACH(freed_after_transmission, EACH_STREAM, "ws") {
    if (reference_library() && strcmp(transport, "ws") == 0)
        skip("libzmq masks the buffer itself");
    static const size_t buffer_sizes[] = {5, sizeof text};
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    for (int i = 0; i < 2; i++) {
        int freed = 0;
        zmq_msg_t message;
        from_buffer(&message, buffer_sizes[i], &freed);
        CHECK_EQ(zmq_msg_send(&message, push, 0), buffer_sizes[i]);
        CHECK_OK(zmq_msg_close(&message));
        struct frame frame = RECV(pull);
        CHECK_BYTES(frame.data, frame.size, text, buffer_sizes[i]);
        WAIT_UNTIL(count_of(&freed) == 1);
        check_no_second_call(&freed);
    }
}

TEST_EACH(large_buffer_freed_after_transmission, EACH_TRANSPORT) {
    if (reference_library() && strcmp(transport, "ws") == 0)
        skip("libzmq masks the buffer itself");
    enum { SIZE = 3 << 20 };
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    char *data = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        data[i] = (char)(i * 7 + i / 999);
    int freed = 0;
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init_data(&message, data, SIZE, count_free, &freed));
    CHECK_EQ(zmq_msg_send(&message, push, 0), SIZE);
    recv_message(pull, &message);
    CHECK_EQ(zmq_msg_size(&message), SIZE);
    CHECK(memcmp(zmq_msg_data(&message), data, SIZE) == 0);
    CHECK_OK(zmq_msg_close(&message));
    WAIT_UNTIL(count_of(&freed) == 1);
    free(data);
}

TEST_EACH(freed_when_undelivered, EACH_TRANSPORT) {
    int freed = 0;
    zmq_msg_t message;
    void *push = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(push, unused_endpoint(transport));
    from_buffer(&message, sizeof text, &freed);
    CHECK_EQ(zmq_msg_send(&message, push, 0), sizeof text);
    CHECK_EQ(count_of(&freed), 0);
    END_CONTEXT();
    CHECK_EQ(count_of(&freed), 1);
}

TEST(freed_when_dropped_by_a_publisher) {
    void *pub = NEW_SOCKET(ZMQ_PUB);
    BIND(pub, "inproc");
    int freed = 0;
    zmq_msg_t message;
    from_buffer(&message, sizeof text, &freed);
    CHECK_EQ(zmq_msg_send(&message, pub, 0), sizeof text);
    CHECK_EQ(count_of(&freed), 1);
}

TEST(freed_once_by_a_fan_out) {
    void *pub = NEW_SOCKET(ZMQ_XPUB), *subs[4];
    const char *endpoint = BIND(pub, "inproc"), *tcp = BIND(pub, "tcp");
    for (int i = 0; i < 4; i++) {
        subs[i] = NEW_SOCKET(ZMQ_SUB);
        SET_TEXT(subs[i], ZMQ_SUBSCRIBE, i == 0 ? "" : i == 1 ? "a" : i == 2 ? "a b" : "a bu");
        CONNECT(subs[i], i < 2 ? endpoint : tcp);
        CHECK(RECV(pub).data[0] == 1);
    }
    int freed = 0;
    zmq_msg_t message;
    from_buffer(&message, sizeof text, &freed);
    CHECK_EQ(zmq_msg_send(&message, pub, 0), sizeof text);
    for (int i = 0; i < 4; i++) {
        struct frame frame = RECV(subs[i]);
        CHECK_BYTES(frame.data, frame.size, text, sizeof text);
    }
    WAIT_UNTIL(count_of(&freed) == 1);
    check_no_second_call(&freed);
}

TEST(not_freed_by_a_failed_send) {
    void *push = NEW_SOCKET(ZMQ_PUSH);
    int freed = 0;
    zmq_msg_t message;
    from_buffer(&message, sizeof text, &freed);
    CHECK_ERRNO(zmq_msg_send(&message, push, ZMQ_DONTWAIT), EAGAIN);
    CHECK_EQ(count_of(&freed), 0);
    CHECK(zmq_msg_data(&message) == text);
    CHECK_OK(zmq_msg_close(&message));
    CHECK_EQ(count_of(&freed), 1);
}

// ---- constant content --------------------------------------------------------------------------

TEST(constant_content) {
    zmq_msg_t message, copy;
    CHECK_OK(zmq_msg_init_data(&message, text, 5, NULL, NULL));
    CHECK(zmq_msg_data(&message) == text);
    CHECK_EQ(zmq_msg_get(&message, ZMQ_SHARED), 1);
    CHECK_OK(zmq_msg_init(&copy));
    CHECK_OK(zmq_msg_copy(&copy, &message));
    CHECK(zmq_msg_data(&copy) == text);
    CHECK_OK(zmq_msg_close(&message));
    CHECK_OK(zmq_msg_close(&copy));
}

TEST_EACH(send_const, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    CHECK_EQ(zmq_send_const(push, "constant", 8, ZMQ_SNDMORE), 8);
    CHECK_EQ(zmq_send_const(push, "", 0, ZMQ_SNDMORE), 0);
    CHECK_EQ(zmq_send_const(push, NULL, 0, ZMQ_SNDMORE), 0);
    CHECK_EQ(zmq_send_const(push, text, sizeof text - 1, 0), sizeof text - 1);
    EXPECT(pull, "constant", "", "", text);
}

TEST(send_const_over_inproc_shares_the_buffer) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    CHECK_EQ(zmq_send_const(push, text, sizeof text, 0), sizeof text);
    zmq_msg_t message;
    recv_message(pull, &message);
    CHECK(zmq_msg_data(&message) == text);
    CHECK_OK(zmq_msg_close(&message));
}

// No int can tell their size: calls answer the largest there is.
TEST(messages_above_two_gigabytes) {
    const size_t size = (size_t)3 << 30;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        skip("no room for them");
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init_data(&message, data, size, NULL, NULL));
    CHECK_EQ(zmq_msg_send(&message, push, 0), INT_MAX);
    CHECK_EQ(zmq_send_const(push, data, size, 0), INT_MAX);
    CHECK_EQ(zmq_msg_recv(&message, pull, 0), INT_MAX);
    CHECK_EQ(zmq_msg_size(&message), size);
    CHECK_OK(zmq_msg_close(&message));
    char buffer[4];
    CHECK_EQ(zmq_recv(pull, buffer, sizeof buffer, 0), INT_MAX);
    munmap(data, size);
}

// ---- iovec -------------------------------------------------------------------------------------

struct iovec {
    void *iov_base;
    size_t iov_len;
};

TEST_EACH(iovec_parts, EACH_TRANSPORT) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, transport));
    struct iovec out[3] = {{"one", 3}, {"", 0}, {text, sizeof text}}, in[5] = {0};
    CHECK_EQ(zmq_sendiov(push, out, 3, ZMQ_SNDMORE), sizeof text);
    size_t count = 5;
    CHECK_EQ(zmq_recviov(pull, in, &count, 0), 3);
    CHECK_EQ(count, 3);
    for (int i = 0; i < 3; i++) {
        CHECK_BYTES(in[i].iov_base, in[i].iov_len, out[i].iov_base, out[i].iov_len);
        free(in[i].iov_base);
    }
}

TEST(iovec_without_sndmore_sends_messages) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    struct iovec out[2] = {{"one", 3}, {"two", 3}};
    CHECK_EQ(zmq_sendiov(push, out, 2, 0), 3);
    EXPECT(pull, "one");
    EXPECT(pull, "two");
}

TEST(iovec_takes_no_more_than_its_room) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    CONNECT(push, BIND(pull, "inproc"));
    SEND(push, "a", "b", "c");
    struct iovec in[2];
    size_t count = 2;
    CHECK_EQ(zmq_recviov(pull, in, &count, 0), 2);
    CHECK_EQ(count, 2);
    free(in[0].iov_base);
    free(in[1].iov_base);
    EXPECT(pull, "c");
}

TEST(iovec_errors) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    struct iovec parts[2] = {{"a", 1}, {"b", 1}};
    size_t count = 0;
    CHECK_ERRNO(zmq_sendiov(push, parts, 0, 0), EINVAL);
    CHECK_ERRNO(zmq_sendiov(push, NULL, 2, 0), EINVAL);
    CHECK_ERRNO(zmq_sendiov(NULL, parts, 2, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_sendiov(push, parts, 2, ZMQ_DONTWAIT), EAGAIN);
    CHECK_ERRNO(zmq_recviov(pull, parts, &count, 0), EINVAL);
    CHECK_ERRNO(zmq_recviov(pull, parts, NULL, 0), EINVAL);
    count = 2;
    CHECK_ERRNO(zmq_recviov(pull, NULL, &count, 0), EINVAL);
    CHECK_ERRNO(zmq_recviov(NULL, parts, &count, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_recviov(pull, parts, &count, ZMQ_DONTWAIT), EAGAIN);
    CHECK_EQ(count, 0); // so many were received
}

// A list of messages stops at the first that cannot be sent; those before it are on their way.
TEST(iovec_stops_at_an_error) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDHWM, 1);
    SET_INT(pull, ZMQ_RCVHWM, 1);
    CONNECT(push, BIND(pull, "inproc"));
    struct iovec out[4] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}};
    CHECK_ERRNO(zmq_sendiov(push, out, 4, ZMQ_DONTWAIT), EAGAIN);
    EXPECT(pull, "a");
    EXPECT(pull, "b");
    EXPECT_NOTHING(pull);
}
