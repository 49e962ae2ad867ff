// SPDX-License-Identifier: MPL-2.0
//
// Everything at once: threads that open, connect, send, receive, poll, set, watch and close sockets
// of every type over every transport at random, in contexts that others shut down and terminate
// meanwhile. Any result is good but a crash, a hang, or an errno that the call cannot have. What is
// done is counted, not timed; the seed is printed, and can be given in STRESS_SEED.
#include "harness.h"

#include <time.h>

enum { THREADS = 6, ROUNDS = 2, OPERATIONS = 1500, SLOTS = 12, ENDPOINTS = 8 };

// A context, its sockets, which any thread may take, and where they are bound.
struct arena {
    void *ctx;
    void *sockets[SLOTS];
    int types[SLOTS];
    char endpoints[ENDPOINTS][256];
    pthread_mutex_t names;
    const char *transport;
    int refusals;
};

struct worker {
    struct arena *arena;
    uint64_t random;
    bool ends; // it shuts the context down when it is done
};

static uint32_t pick(struct worker *worker, uint32_t below) {
    worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(worker->random >> 33) % below;
}

// An errno that a call on a socket of another thread's may have.
static void check_refusal(struct worker *worker, int result, const char *call) {
    static const int good[] = {EAGAIN,       ENOTSOCK,   ETERM,    EINTR,     EFSM,  EINVAL,
                               EHOSTUNREACH, EADDRINUSE, ENOENT,   EMFILE,    EPROTONOSUPPORT,
                               ENOTSUP,      EFAULT,     ENOCOMPATPROTO, EADDRNOTAVAIL, ENODEV,
                               ENOTCONN};
    const int error = zmq_errno();
    if (result >= 0)
        return;
    __atomic_fetch_add(&worker->arena->refusals, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (error == good[i])
            return;
    fail("%s failed with %d (%s)", call, error, zmq_strerror(error));
}

#define TRY(call) check_refusal(worker, (call), #call)

// Anybody is a server, and trusts any.
static void secure(struct worker *worker, void *s) {
    static const struct {
        int option;
        const char *file;
    } rows[] = {
        {WSS_CERT_PEM, "server.pem"}, {WSS_KEY_PEM, "server.key"}, {WSS_TRUST_PEM, "ca.pem"}};
    for (int i = 0; i < 3; i++) {
        char text[8192];
        size_t size = read_pem(rows[i].file, text, sizeof text);
        TRY(zmq_setsockopt(s, rows[i].option, text, size));
    }
}

static void open_one(struct worker *worker, uint32_t slot) {
    static const int types[] = {ZMQ_PAIR, ZMQ_PUB,  ZMQ_SUB,  ZMQ_REQ,  ZMQ_REP,   ZMQ_DEALER,
                                ZMQ_ROUTER, ZMQ_PULL, ZMQ_PUSH, ZMQ_XPUB, ZMQ_XSUB};
    struct arena *arena = worker->arena;
    const int type = types[pick(worker, sizeof types / sizeof types[0])];
    void *s = zmq_socket(arena->ctx, type);
    if (!s) {
        TRY(-1);
        return;
    }
    const int none = 0, short_time = 2, small = (int)pick(worker, 5);
    TRY(zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none));
    TRY(zmq_setsockopt(s, ZMQ_RCVTIMEO, &short_time, sizeof short_time));
    TRY(zmq_setsockopt(s, ZMQ_SNDTIMEO, &short_time, sizeof short_time));
    TRY(zmq_setsockopt(s, ZMQ_SNDHWM, &small, sizeof small));
    TRY(zmq_setsockopt(s, ZMQ_RECONNECT_IVL, &short_time, sizeof short_time));
    if (type == ZMQ_SUB)
        TRY(zmq_setsockopt(s, ZMQ_SUBSCRIBE, "", 0));
    if (strcmp(arena->transport, "tls") == 0 || strcmp(arena->transport, "wss") == 0)
        secure(worker, s);
    // Whoever was there is closed, perhaps in the middle of somebody else's call.
    void *before = __atomic_exchange_n(&arena->sockets[slot], s, __ATOMIC_SEQ_CST);
    if (before)
        TRY(zmq_close(before));
}

static void bind_one(struct worker *worker, void *s) {
    struct arena *arena = worker->arena;
    char address[256], bound[256];
    size_t size = sizeof bound;
    const char *transport = arena->transport;
    if (strcmp(transport, "inproc") == 0)
        snprintf(address, sizeof address, "inproc://%u", pick(worker, ENDPOINTS));
    else
        snprintf(address, sizeof address, strcmp(transport, "ipc") == 0 ? "%s://*" : "%s://127.0.0.1:*",
                 transport);
    int result = zmq_bind(s, address);
    TRY(result);
    if (result != 0)
        return;
    result = zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, bound, &size);
    TRY(result);
    if (result != 0 || size < 2)
        return;
    pthread_mutex_lock(&arena->names);
    memcpy(arena->endpoints[pick(worker, ENDPOINTS)], bound, size);
    pthread_mutex_unlock(&arena->names);
}

static void use_endpoint(struct worker *worker, void *s, uint32_t how) {
    struct arena *arena = worker->arena;
    char address[256];
    pthread_mutex_lock(&arena->names);
    memcpy(address, arena->endpoints[pick(worker, ENDPOINTS)], sizeof address);
    pthread_mutex_unlock(&arena->names);
    if (address[0] == '\0')
        return;
    if (how < 4)
        TRY(zmq_connect(s, address));
    else if (how == 4)
        TRY(zmq_disconnect(s, address));
    else
        TRY(zmq_unbind(s, address));
}

static void send_one(struct worker *worker, void *s) {
    static const size_t sizes[] = {0, 1, 40, 300, 5000, 9000, 70000};
    static const char zeros[70000];
    const int flags = pick(worker, 4) ? ZMQ_DONTWAIT : 0;
    for (uint32_t parts = pick(worker, 3) + 1; parts > 0; parts--) {
        const size_t size = sizes[pick(worker, 7)];
        const int more = parts > 1 ? ZMQ_SNDMORE : 0;
        if (pick(worker, 2)) {
            TRY(zmq_send(s, zeros, size, flags | more));
        } else {
            zmq_msg_t message;
            CHECK_OK(zmq_msg_init_size(&message, size));
            memset(zmq_msg_data(&message), 1, size);
            int result = zmq_msg_send(&message, s, flags | more);
            TRY(result);
            if (result < 0)
                CHECK_OK(zmq_msg_close(&message));
        }
    }
}

static void receive_one(struct worker *worker, void *s) {
    const int flags = pick(worker, 4) ? ZMQ_DONTWAIT : 0;
    if (pick(worker, 2)) {
        char buffer[256];
        TRY(zmq_recv(s, buffer, sizeof buffer, flags));
    } else {
        zmq_msg_t message;
        CHECK_OK(zmq_msg_init(&message));
        int result = zmq_msg_recv(&message, s, flags);
        TRY(result);
        volatile unsigned char sum = 0;
        for (size_t i = 0; result > 0 && i < zmq_msg_size(&message); i++)
            sum = (unsigned char)(sum + ((unsigned char *)zmq_msg_data(&message))[i]);
        CHECK_OK(zmq_msg_close(&message));
    }
}

static void poll_some(struct worker *worker) {
    zmq_pollitem_t items[4] = {0};
    int count = 0;
    for (int i = 0; i < 4; i++) {
        void *s = __atomic_load_n(&worker->arena->sockets[pick(worker, SLOTS)], __ATOMIC_SEQ_CST);
        if (s)
            items[count++] = (zmq_pollitem_t){s, 0, ZMQ_POLLIN | ZMQ_POLLOUT, 0};
    }
    TRY(zmq_poll(items, count, (long)pick(worker, 3)));
}

static void set_or_get(struct worker *worker, void *s) {
    static const int options[] = {ZMQ_SNDHWM, ZMQ_RCVHWM, ZMQ_EVENTS, ZMQ_FD, ZMQ_RCVMORE, ZMQ_TYPE};
    const uint32_t which = pick(worker, 6);
    int value = (int)pick(worker, 100);
    size_t size = sizeof value;
    if (which < 2 && pick(worker, 2))
        TRY(zmq_setsockopt(s, options[which], &value, size));
    else
        TRY(zmq_getsockopt(s, options[which], &value, &size));
}

static void watch(struct worker *worker, void *s) {
    char address[64];
    snprintf(address, sizeof address, "inproc://monitor-%u", pick(worker, 4));
    TRY(zmq_socket_monitor(s, pick(worker, 2) ? address : NULL, ZMQ_EVENT_ALL));
}

static void work(void *argument) {
    struct worker *worker = argument;
    struct arena *arena = worker->arena;
    for (int i = 0; i < OPERATIONS; i++) {
        const uint32_t slot = pick(worker, SLOTS), what = pick(worker, 100);
        void *s = __atomic_load_n(&arena->sockets[slot], __ATOMIC_SEQ_CST);
        if (!s || what < 4)
            open_one(worker, slot);
        else if (what < 8)
            bind_one(worker, s);
        else if (what < 18)
            use_endpoint(worker, s, what % 6);
        else if (what < 50)
            send_one(worker, s);
        else if (what < 80)
            receive_one(worker, s);
        else if (what < 90)
            poll_some(worker);
        else if (what < 97)
            set_or_get(worker, s);
        else
            watch(worker, s);
    }
    if (worker->ends)
        TRY(zmq_ctx_shutdown(arena->ctx));
}

static void terminate(void *ctx) {
    while (zmq_ctx_term(ctx) != 0)
        CHECK_EQ(zmq_errno(), EINTR);
}

TEST_EACH_OURS_ONLY(anything_at_any_time, "its sockets must not be used by two threads at a time",
                    "inproc", "tcp", "ipc", "ws", "tls", "wss") {
    need_transport(transport);
    const char *given = getenv("STRESS_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)(now.tv_sec * 1000000007 + now.tv_nsec);
    printf("# STRESS_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    for (int round = 0; round < ROUNDS; round++) {
        struct arena arena = {.ctx = zmq_ctx_new(), .transport = transport};
        pthread_mutex_init(&arena.names, NULL);
        CHECK(arena.ctx != NULL);
        CHECK_OK(zmq_ctx_set(arena.ctx, ZMQ_IO_THREADS, round % 2 + 1));
        struct thread threads[THREADS], last;
        struct worker workers[THREADS];
        for (int i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){&arena, seed + (uint64_t)(round * THREADS + i) * 7919, i == 0};
            start_thread(&threads[i], work, &workers[i]);
        }
        for (int i = 0; i < THREADS; i++)
            JOIN(&threads[i]);
        // While it terminates, the sockets are closed.
        start_thread(&last, terminate, arena.ctx);
        for (int i = 0; i < SLOTS; i++)
            if (arena.sockets[i])
                CHECK_OK(zmq_close(arena.sockets[i]));
        JOIN(&last);
    }
}
