// SPDX-License-Identifier: MPL-2.0
//
// What a program must not do: NULLs, handles of closed objects, messages that are none, values that
// make libzmq assert. Ours answers with an error; nothing here may end the process.
#include "harness.h"

#include <sys/wait.h>
#include <unistd.h>

#define ABORTS "it crashes or asserts"

// Refused, whichever of these errors fits the library's idea of the mistake.
#define CHECK_REFUSED(call)                                                                        \
    ({                                                                                             \
        HERE();                                                                                    \
        errno = 0;                                                                                 \
        long long refused_ = (long long)(call);                                                    \
        int error_ = errno;                                                                        \
        if (refused_ != -1 || (error_ != EFAULT && error_ != EINVAL && error_ != ENOTSOCK))        \
            fail("%s returned %lld with errno %d (%s)", #call, refused_, error_,                   \
                 zmq_strerror(error_));                                                            \
    })

// ---- NULLs -------------------------------------------------------------------------------------

TEST_OURS_ONLY(null_endpoints, ABORTS) {
    void *s = NEW_SOCKET(ZMQ_DEALER);
    CHECK_ERRNO(zmq_bind(s, NULL), EINVAL);
    CHECK_ERRNO(zmq_connect(s, NULL), EINVAL);
}

TEST_OURS_ONLY(null_buffers, ABORTS) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, "inproc"));
    CHECK_REFUSED(zmq_send(a, NULL, 5, 0));
    CHECK_REFUSED(zmq_send_const(a, NULL, 5, 0));
    SEND(a, "x");
    CHECK_REFUSED(zmq_recv(b, NULL, 5, 0));
    EXPECT(b, "x");
    CHECK_EQ(zmq_send(a, NULL, 0, 0), 0);
    CHECK_EQ(zmq_recv(b, NULL, 0, 0), 0);
}

TEST_OURS_ONLY(null_option_values, ABORTS) {
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    int value;
    size_t size = sizeof value;
    static const int options[] = {ZMQ_LINGER, ZMQ_AFFINITY, ZMQ_ROUTING_ID, ZMQ_MAXMSGSIZE,
                                  ZMQ_ROUTER_MANDATORY, ZMQ_CONNECT_ROUTING_ID, ZMQ_EVENTS,
                                  ZMQ_LAST_ENDPOINT, ZMQ_PLAIN_USERNAME, ZMQ_CURVE_SERVERKEY};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        CHECK_REFUSED(zmq_setsockopt(s, options[i], NULL, 4));
        CHECK_REFUSED(zmq_setsockopt(s, options[i], NULL, 8));
        CHECK_REFUSED(zmq_getsockopt(s, options[i], NULL, &size));
        CHECK_REFUSED(zmq_getsockopt(s, options[i], &value, NULL));
    }
}

TEST_OURS_ONLY(null_messages, ABORTS) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, "inproc"));
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK_REFUSED(zmq_msg_init(NULL));
    CHECK_REFUSED(zmq_msg_init_size(NULL, 5));
    CHECK_REFUSED(zmq_msg_init_data(NULL, "x", 1, NULL, NULL));
    CHECK_REFUSED(zmq_msg_init_data(&message, NULL, 5, NULL, NULL));
    CHECK_OK(zmq_msg_init(&message));
    CHECK_REFUSED(zmq_msg_close(NULL));
    CHECK_REFUSED(zmq_msg_copy(NULL, &message));
    CHECK_REFUSED(zmq_msg_copy(&message, NULL));
    CHECK_REFUSED(zmq_msg_move(NULL, &message));
    CHECK_REFUSED(zmq_msg_move(&message, NULL));
    CHECK_REFUSED(zmq_msg_send(NULL, a, 0));
    CHECK_REFUSED(zmq_msg_recv(NULL, b, 0));
    CHECK_REFUSED(zmq_msg_get(NULL, ZMQ_MORE));
    CHECK(zmq_msg_data(NULL) == NULL);
    CHECK_EQ(zmq_msg_size(NULL), 0);
    CHECK(zmq_msg_gets(NULL, "Socket-Type") == NULL);
    CHECK(zmq_msg_gets(&message, NULL) == NULL);
    CHECK_OK(zmq_msg_close(&message));
}

TEST_OURS_ONLY(null_arguments_of_utilities, ABORTS) {
    char text[64];
    uint8_t bytes[64] = {0};
    zmq_version(NULL, NULL, NULL);
    CHECK_EQ(zmq_has(NULL), 0);
    CHECK(zmq_z85_encode(NULL, bytes, 4) == NULL);
    CHECK(zmq_z85_encode(text, NULL, 4) == NULL);
    CHECK(zmq_z85_decode(NULL, "00000") == NULL);
    CHECK(zmq_z85_decode(bytes, NULL) == NULL);
    CHECK_REFUSED(zmq_curve_keypair(NULL, text));
    CHECK_REFUSED(zmq_curve_keypair(text, NULL));
    CHECK_REFUSED(zmq_curve_public(NULL, text));
    CHECK_REFUSED(zmq_curve_public(text, NULL));
    CHECK_REFUSED(zmq_timers_destroy(NULL));
    zmq_atomic_counter_set(NULL, 1);
    zmq_atomic_counter_inc(NULL);
    zmq_atomic_counter_dec(NULL);
    CHECK_EQ(zmq_atomic_counter_value(NULL), 0);
    zmq_atomic_counter_destroy(NULL);
    void *none = NULL;
    zmq_atomic_counter_destroy(&none);
    CHECK_EQ(zmq_stopwatch_intermediate(NULL), 0);
    CHECK_EQ(zmq_stopwatch_stop(NULL), 0);
    zmq_threadclose(NULL);
}

TEST_OURS_ONLY(device_and_proxy_of_no_sockets, ABORTS) {
    _Alignas(16) char memory[4096] = {0};
    void *s = NEW_SOCKET(ZMQ_ROUTER);
    CHECK_REFUSED(zmq_device(ZMQ_QUEUE, NULL, NULL));
    CHECK_REFUSED(zmq_proxy(s, memory, NULL));
    CHECK_REFUSED(zmq_proxy(memory, s, NULL));
    CHECK_REFUSED(zmq_proxy(s, NEW_SOCKET(ZMQ_DEALER), memory));
}

// ---- stale handles -----------------------------------------------------------------------------

static void check_stale_socket(void *s) {
    char buffer[64];
    int value = 0;
    size_t size = sizeof value;
    zmq_pollitem_t item = {.socket = s, .events = ZMQ_POLLIN};
    CHECK_ERRNO(zmq_close(s), ENOTSOCK);
    CHECK_ERRNO(zmq_bind(s, "inproc://x"), ENOTSOCK);
    CHECK_ERRNO(zmq_connect(s, "inproc://x"), ENOTSOCK);
    CHECK_ERRNO(zmq_unbind(s, "inproc://x"), ENOTSOCK);
    CHECK_ERRNO(zmq_disconnect(s, "inproc://x"), ENOTSOCK);
    CHECK_ERRNO(zmq_send(s, "x", 1, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_recv(s, buffer, sizeof buffer, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_getsockopt(s, ZMQ_LINGER, &value, &size), ENOTSOCK);
    CHECK_ERRNO(zmq_setsockopt(s, ZMQ_LINGER, &value, sizeof value), ENOTSOCK);
    CHECK_ERRNO(zmq_socket_monitor(s, "inproc://m", ZMQ_EVENT_ALL), ENOTSOCK);
    CHECK_ERRNO(zmq_poll(&item, 1, 0), ENOTSOCK);
    CHECK_ERRNO(zmq_proxy(s, s, NULL), ENOTSOCK);
}

TEST_OURS_ONLY(closed_sockets, "the memory is gone") {
    for (int type = 0; type <= ZMQ_STREAM; type++) {
        void *s = zmq_socket(context(), type);
        CHECK_OK(zmq_close(s));
        check_stale_socket(s);
    }
}

TEST_OURS_ONLY(closed_socket_after_others_were_made, "the memory is gone") {
    void *stale = zmq_socket(context(), ZMQ_PUSH);
    CHECK_OK(zmq_close(stale));
    for (int i = 0; i < 200; i++) {
        void *s = zmq_socket(context(), ZMQ_PULL);
        // The handle may be given again only to a socket that is alive.
        if (s == stale) {
            CHECK_OK(zmq_close(s));
            return;
        }
        CHECK_ERRNO(zmq_close(stale), ENOTSOCK);
        CHECK_OK(zmq_close(s));
    }
}

TEST_OURS_ONLY(sockets_of_a_terminated_context, "the memory is gone") {
    void *ctx = zmq_ctx_new(), *s = zmq_socket(ctx, ZMQ_PULL);
    CHECK_OK(zmq_close(s));
    CHECK_OK(zmq_ctx_term(ctx));
    check_stale_socket(s);
}

TEST_OURS_ONLY(terminated_contexts, "the memory is gone") {
    void *ctx = zmq_ctx_new();
    CHECK_OK(zmq_ctx_term(ctx));
    CHECK_ERRNO(zmq_ctx_term(ctx), EFAULT);
    CHECK_ERRNO(zmq_ctx_shutdown(ctx), EFAULT);
    CHECK_ERRNO(zmq_ctx_set(ctx, ZMQ_IO_THREADS, 1), EFAULT);
    CHECK_ERRNO(zmq_ctx_get(ctx, ZMQ_IO_THREADS), EFAULT);
    CHECK_NULL_ERRNO(zmq_socket(ctx, ZMQ_PAIR), EFAULT);
}

TEST_OURS_ONLY(a_context_is_no_socket, "only best effort") {
    void *ctx = context(), *s = NEW_SOCKET(ZMQ_PULL);
    check_stale_socket(ctx);
    CHECK_ERRNO(zmq_ctx_term(s), EFAULT);
    CHECK_NULL_ERRNO(zmq_socket(s, ZMQ_PAIR), EFAULT);
}

TEST_OURS_ONLY(destroyed_timers, "the memory is gone") {
    void *timers = zmq_timers_new(), *stale = timers;
    CHECK_OK(zmq_timers_destroy(&timers));
    CHECK_ERRNO(zmq_timers_execute(stale), EFAULT);
    CHECK_ERRNO(zmq_timers_timeout(stale), EFAULT);
    CHECK_ERRNO(zmq_timers_destroy(&stale), EFAULT);
}

// ---- messages that are none --------------------------------------------------------------------

TEST_OURS_ONLY(closed_messages, "it asserts") {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(b, BIND(a, "inproc"));
    zmq_msg_t message, good;
    CHECK_OK(zmq_msg_init(&good));
    CHECK_OK(zmq_msg_init_size(&message, 100));
    CHECK_OK(zmq_msg_close(&message));
    CHECK(zmq_msg_data(&message) == NULL);
    CHECK_EQ(zmq_msg_size(&message), 0);
    CHECK_ERRNO(zmq_msg_send(&message, a, 0), EFAULT);
    CHECK_ERRNO(zmq_msg_copy(&good, &message), EFAULT);
    CHECK_ERRNO(zmq_msg_copy(&message, &good), EFAULT);
    CHECK_ERRNO(zmq_msg_move(&good, &message), EFAULT);
    CHECK_ERRNO(zmq_msg_move(&message, &good), EFAULT);
    SEND(a, "x");
    CHECK_ERRNO(zmq_msg_recv(&message, b, 0), EFAULT);
    EXPECT(b, "x");
}

TEST_OURS_ONLY(zeroed_messages, "it asserts") {
    void *a = NEW_SOCKET(ZMQ_PAIR);
    zmq_msg_t zeros = {0};
    CHECK(zmq_msg_data(&zeros) == NULL);
    CHECK_EQ(zmq_msg_size(&zeros), 0);
    CHECK_EQ(zmq_msg_more(&zeros), 0);
    CHECK_ERRNO(zmq_msg_send(&zeros, a, 0), EFAULT);
}

TEST_OURS_ONLY(message_copied_onto_itself, "not handled") {
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init_size(&message, 100));
    memset(zmq_msg_data(&message), 'x', 100);
    CHECK_OK(zmq_msg_copy(&message, &message));
    CHECK_EQ(zmq_msg_size(&message), 100);
    CHECK_EQ(((char *)zmq_msg_data(&message))[99], 'x');
    CHECK_OK(zmq_msg_move(&message, &message));
    CHECK_EQ(zmq_msg_size(&message), 100);
    CHECK_EQ(((char *)zmq_msg_data(&message))[99], 'x');
    CHECK_OK(zmq_msg_close(&message));
}

// ---- what makes libzmq assert ------------------------------------------------------------------

TEST_EACH_OURS_ONLY(connect_routing_id_twice, ABORTS, EACH_TRANSPORT) {
    void *router = NEW_SOCKET(ZMQ_ROUTER), *a = NEW_SOCKET(ZMQ_DEALER), *b = NEW_SOCKET(ZMQ_DEALER);
    const char *first = BIND(a, transport), *second = BIND(b, transport);
    SET_TEXT(router, ZMQ_CONNECT_ROUTING_ID, "same");
    CONNECT(router, first);
    SET_TEXT(router, ZMQ_CONNECT_ROUTING_ID, "same");
    errno = 0;
    if (zmq_connect(router, second) != 0)
        CHECK(errno == EINVAL || errno == EADDRINUSE);
    SEND(router, "same", "hello");
    EXPECT(a, "hello");
}

// Requests from a peer that takes no replies.
TEST_OURS_ONLY(mandatory_rep_with_a_full_requester, ABORTS) {
    void *rep = NEW_SOCKET(ZMQ_REP), *dealer = NEW_SOCKET(ZMQ_DEALER);
    SET_INT(rep, ZMQ_ROUTER_MANDATORY, 1);
    SET_INT(rep, ZMQ_SNDHWM, 1);
    SET_INT(dealer, ZMQ_RCVHWM, 1);
    CONNECT(dealer, BIND(rep, "inproc"));
    for (int i = 0; i < 10; i++) {
        SEND(dealer, "", "request");
        EXPECT(rep, "request");
        if (zmq_send(rep, "reply", 5, ZMQ_DONTWAIT) < 0)
            break;
    }
}

TEST_OURS_ONLY(term_without_room_for_pending_connects, ABORTS) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_MAX_SOCKETS, 2));
    void *a = NEW_SOCKET(ZMQ_PUSH), *b = NEW_SOCKET(ZMQ_PUSH);
    CONNECT(a, "inproc://nobody");
    CONNECT(b, "inproc://nobody-else");
    END_CONTEXT();
}

TEST_OURS_ONLY(inproc_name_bound_after_its_connect_was_taken_back, ABORTS) {
    void *a = NEW_SOCKET(ZMQ_PAIR), *b = NEW_SOCKET(ZMQ_PAIR);
    CONNECT(a, "inproc://name");
    CHECK_OK(zmq_disconnect(a, "inproc://name"));
    CHECK_OK(zmq_bind(a, "inproc://name"));
    CONNECT(b, "inproc://name");
    BOUNCE(a, b);
}

TEST_OURS_ONLY(thread_priority_without_permission, ABORTS) {
    CHECK_OK(zmq_ctx_set(context(), ZMQ_THREAD_PRIORITY, 5));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (getuid() == 0 && setuid(65534) != 0)
            _exit(0);
        void *ctx = zmq_ctx_new();
        CHECK_OK(zmq_ctx_set(ctx, ZMQ_THREAD_PRIORITY, 5));
        void *s = zmq_socket(ctx, ZMQ_PULL);
        CHECK(s != NULL);
        CHECK_OK(zmq_close(s));
        CHECK_OK(zmq_ctx_term(ctx));
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

// Numbers of draft options and types: the header may hide them, the library knows them.
enum { SERVER = 12, CLIENT, RADIO, DISH, GATHER, SCATTER, DGRAM, PEER, CHANNEL };
enum { ZAP_ENFORCE_DOMAIN = 93, BUSY_POLL = 113 };

// Skips the test when the library has no sockets of this type.
static void need_type(int type) {
    void *context = zmq_ctx_new();
    void *s = zmq_socket(context, type);
    bool has = s || errno != EINVAL;
    if (s)
        zmq_close(s);
    zmq_ctx_term(context);
    if (!has)
        skip("no draft sockets");
}

TEST_EACH_OURS_ONLY(draft_types_over_streams, ABORTS, EACH_STREAM) {
    need_type(SERVER);
    static const int pairs[][2] = {{SERVER, CLIENT}, {GATHER, SCATTER}, {CHANNEL, CHANNEL}};
    for (int i = 0; i < 3; i++) {
        void *a = NEW_SOCKET(pairs[i][0]), *b = NEW_SOCKET(pairs[i][1]);
        CONNECT(b, BIND(a, transport));
        SEND(b, "hello");
        char buffer[8];
        CHECK_EQ(zmq_recv(a, buffer, sizeof buffer, 0), 5);
    }
}

TEST_OURS_ONLY(radio_with_an_endless_group, ABORTS) {
    need_type(RADIO);
    void *radio = NEW_SOCKET(RADIO);
    const char *endpoint = BIND(radio, "tcp");
    void *mon = MONITOR(radio, ZMQ_EVENT_DISCONNECTED);
    int fd = ZMTP_CONNECT(endpoint, "DISH");
    unsigned char join[300] = "\4JOIN";
    memset(join + 5, 'g', sizeof join - 5);
    ZMTP_SEND(fd, 4, join, sizeof join);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
}

TEST_OURS_ONLY(dgram_before_bind, "it hangs or aborts") {
    need_type(DGRAM);
    void *s = NEW_SOCKET(DGRAM);
    CHECK_EQ(zmq_send(s, "127.0.0.1:9", 11, ZMQ_SNDMORE | ZMQ_DONTWAIT), -1);
    CHECK(errno == EAGAIN || errno == EHOSTUNREACH);
}

TEST_OURS_ONLY(dgram_with_a_large_body, "it writes beyond its buffer") {
    need_type(DGRAM);
    void *s = NEW_SOCKET(DGRAM);
    CHECK_OK(zmq_bind(s, "udp://127.0.0.1:*"));
    char *body = calloc(1, 100000);
    SEND_BYTES(s, "127.0.0.1:9", 11, ZMQ_SNDMORE);
    zmq_send(s, body, 100000, 0);
    SEND_BYTES(s, "127.0.0.1:9", 11, ZMQ_SNDMORE);
    SEND(s, "small");
}

TEST_OURS_ONLY(busy_poll_can_be_read, "not in 4.3.4; in 4.3.6 reading it fails") {
    void *s = NEW_SOCKET(ZMQ_PULL);
    CHECK_EQ(GET_INT(s, BUSY_POLL), 0);
}

TEST_OURS_ONLY(plain_server_enforcing_no_domain, ABORTS) {
    void *server = NEW_SOCKET(ZMQ_PULL), *client = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(server, ZMQ_PLAIN_SERVER, 1);
    SET_INT(server, ZAP_ENFORCE_DOMAIN, 1);
    SET_TEXT(client, ZMQ_PLAIN_USERNAME, "user");
    SET_TEXT(client, ZMQ_PLAIN_PASSWORD, "password");
    const char *endpoint = BIND(server, "tcp");
    void *mon = MONITOR(server, ZMQ_EVENT_DISCONNECTED);
    CONNECT(client, endpoint);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
}

TEST_OURS_ONLY(a_pull_as_zap_handler, ABORTS) {
    void *handler = NEW_SOCKET(ZMQ_PULL);
    CHECK_OK(zmq_bind(handler, "inproc://zeromq.zap.01"));
    void *server = NEW_SOCKET(ZMQ_PULL), *client = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(server, ZMQ_PLAIN_SERVER, 1);
    SET_TEXT(client, ZMQ_PLAIN_USERNAME, "user");
    SET_TEXT(client, ZMQ_PLAIN_PASSWORD, "password");
    const char *endpoint = BIND(server, "tcp");
    void *mon = MONITOR(server, ZMQ_EVENT_DISCONNECTED);
    CONNECT(client, endpoint);
    EXPECT_EVENT(mon, ZMQ_EVENT_DISCONNECTED);
}

TEST_OURS_ONLY(tipc_with_a_bad_address, "it leaves errno as it was") {
    if (!zmq_has("tipc"))
        skip("no TIPC");
    void *s = NEW_SOCKET(ZMQ_PULL);
    CHECK_ERRNO(zmq_bind(s, "tipc://nonsense"), EINVAL);
    CHECK_ERRNO(zmq_connect(s, "tipc://<*>"), EINVAL);
}

TEST_OURS_ONLY(wss_without_a_certificate, ABORTS) {
    if (!zmq_has("WSS"))
        skip("no WSS");
    CHECK_ERRNO(zmq_bind(NEW_SOCKET(ZMQ_PULL), "wss://127.0.0.1:*"), EINVAL);
}

// ---- anything at all ---------------------------------------------------------------------------

static unsigned random_state = 4711;
static unsigned random_number(void) {
    random_state = random_state * 1103515245 + 12345;
    return random_state >> 8;
}

TEST(random_options) {
    for (int round = 0; round < 40; round++) {
        void *s = NEW_SOCKET(round % 12);
        for (int i = 0; i < 500; i++) {
            unsigned char value[300];
            size_t size = random_number() % 3 ? 4 : random_number() % sizeof value;
            for (size_t k = 0; k < sizeof value; k++)
                value[k] = (unsigned char)(random_number() % 5 ? random_number() % 3 : random_number());
            int option = (int)(random_number() % 130);
            zmq_setsockopt(s, option, value, size);
            zmq_getsockopt(s, option, value, &size);
        }
        SET_INT(s, ZMQ_LINGER, 0);
        CLOSE(s);
    }
}

TEST(random_endpoints) {
    static const char *const schemes[] = {"tcp://", "ipc://", "inproc://", "udp://", "ws://",
                                          "tipc://", "pgm://", "", "tcp:", "foo://"};
    // Neither names to be resolved, nor digits that make the address of someone else, nor paths
    // that lead out of the test's directory.
    static const char network[] = "0.:*@[]%;/-_ {},\\\"\x80\xff", local[] = "0a.:*@[]%;-_ {}\x80\xff";
    for (int i = 0; i < 3000; i++) {
        char endpoint[64];
        const int scheme = (int)(random_number() % 10);
        const char *letters = scheme == 1 || scheme == 2 ? local : network;
        int size = snprintf(endpoint, sizeof endpoint, "%s", schemes[scheme]);
        for (int left = (int)(random_number() % 14); left > 0; left--)
            endpoint[size++] = letters[random_number() % strlen(letters)];
        endpoint[size] = '\0';
        // libzmq frees what is closed in its own time, and may come to have too many.
        void *s;
        WAIT_UNTIL((s = zmq_socket(context(), i % 12)));
        SET_INT(s, ZMQ_LINGER, 0);
        zmq_unbind(s, endpoint);
        zmq_bind(s, endpoint);
        zmq_connect(s, endpoint);
        zmq_disconnect(s, endpoint);
        CHECK_OK(zmq_close(s));
    }
}

TEST(random_z85) {
    uint8_t decoded[256];
    for (int i = 0; i < 20000; i++) {
        char text[64];
        size_t size = random_number() % 40;
        for (size_t k = 0; k < size; k++)
            text[k] = (char)(random_number() % 255 + 1);
        text[size] = '\0';
        zmq_z85_decode(decoded, text);
    }
}
