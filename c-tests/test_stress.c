// SPDX-License-Identifier: MPL-2.0
//
// Everything at once: threads that open, connect, send, receive, poll, set, watch and close sockets
// of every type over every transport at random, among signals, in contexts that others shut down or
// terminate meanwhile; and threads that wait without end on the same sockets, so that a wake-up that
// is missed is a hang. Any result is good but a crash, a hang, an errno that the call cannot have,
// or something that is not given back: a buffer, a descriptor, a thread, a socket's place. What is
// done is counted, not timed; the seed is printed, and can be given in STRESS_SEED.
#include "harness.h"

#include <dirent.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum {
    THREADS = 6,
    PATIENT = 3,
    ROUNDS = 5,       // two of the families in each
    OPERATIONS = 800, // of a thread in a round
    STEP = 104729,    // from the seed of a round to the next one's
    SLOTS = 14,
    ENDLESS = 4, // of them for sockets whose calls may wait without end
    SOCKETS = 60, // with those that are being closed, and the monitors'
    POLLERS = 3,
    ENDPOINTS = 8,
    POLLED = 12, // more than a caller of zmq_poll reads itself
};

// When a context ends, among the operations of its threads.
enum ending { AT_THE_END, SHUT_DOWN_MEANWHILE, TERMINATED_MEANWHILE, AFTER_ITS_SOCKETS, ENDINGS };

// A context, its sockets and pollers, which any thread may take, and where they are bound.
struct arena {
    void *ctx;
    void *sockets[SLOTS], *pollers[POLLERS];
    char endpoints[ENDPOINTS][256];
    uint32_t routing_id; // of some peer
    pthread_mutex_t names;
    const char *transport;
    uint32_t families[2]; // most of the sockets are of
    int ends[2];          // of a pipe, for pollers
    enum ending ending;
    int ends_after, operations, working;
    int lent;  // buffers of messages
    int ended; // calls of zmq_ctx_term that did
    bool over;
    struct thread threads[THREADS + PATIENT], enders[2];
    char public_key[41], secret_key[41]; // empty without CURVE
};

struct worker {
    struct arena *arena;
    uint64_t random;
};

static uint32_t pick(struct worker *worker, uint32_t below) {
    worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(worker->random >> 33) % below;
}

// ---- what a call may answer --------------------------------------------------------------------

// Each call may find its socket closed or its context ended: by another thread, or by the limit on
// open files.
#define GONE ENOTSOCK, ETERM
static const int for_context[] = {EFAULT, ETERM, EMFILE, EINVAL, 0};
static const int for_end[] = {EFAULT, EINTR, 0};
static const int for_close[] = {ENOTSOCK, 0};
static const int for_bind[] = {GONE, EADDRINUSE, EINVAL, ENOCOMPATPROTO, EPROTONOSUPPORT, EMFILE, 0};
static const int for_connect[] = {GONE, EINVAL, ENOCOMPATPROTO, EPROTONOSUPPORT, EADDRINUSE, EMFILE, 0};
// EFAULT: with ZMQ_IMMEDIATE.
static const int for_connect_peer[] = {GONE,   EINVAL, ENOCOMPATPROTO, EPROTONOSUPPORT, EADDRINUSE,
                                       ENOTSUP, EFAULT, EMFILE,         0};
static const int for_taking_back[] = {GONE, ENOENT, EINVAL, ENOCOMPATPROTO, 0};
static const int for_send[] = {GONE, EAGAIN, EINTR, EFSM, EHOSTUNREACH, ENOTSUP, EINVAL, 0};
static const int for_receive[] = {GONE, EAGAIN, EINTR, EFSM, ENOTSUP, 0};
static const int for_poll[] = {GONE, EINTR, 0};
static const int for_option[] = {GONE, EINVAL, EMFILE, 0};
static const int for_group[] = {GONE, EINVAL, ENOTSUP, 0};
static const int for_monitor[] = {GONE, EADDRINUSE, EINVAL, EAGAIN, EMFILE, 0};
static const int for_peer[] = {GONE, EHOSTUNREACH, ENOTSUP, EINVAL, 0};
// Those of all it does.
static const int for_proxy[] = {GONE, EAGAIN, EINTR, EFSM, EHOSTUNREACH, ENOTSUP, EINVAL, 0};
static const int for_poller[] = {GONE, EFAULT, EINVAL, EMFILE, 0};
static const int for_poller_wait[] = {GONE, EFAULT, EAGAIN, EINTR, EINVAL, 0};

static int check_answer(int result, const int *good, const char *call) {
    const int error = zmq_errno();
    if (result >= 0)
        return result;
    for (; *good != 0; good++)
        if (error == *good)
            return result;
    fail("%s failed with %d (%s)", call, error, zmq_strerror(error));
}

#define TRY(good, call) (HERE(), check_answer((call), for_##good, #call))

// ---- operations --------------------------------------------------------------------------------

// Anybody is a server, and trusts any.
static void secure(void *s) {
    static const struct {
        int option;
        const char *file;
    } rows[] = {
        {WSS_CERT_PEM, "server.pem"}, {WSS_KEY_PEM, "server.key"}, {WSS_TRUST_PEM, "ca.pem"}};
    for (int i = 0; i < 3; i++) {
        char text[8192];
        size_t size = read_pem(rows[i].file, text, sizeof text);
        TRY(option, zmq_setsockopt(s, rows[i].option, text, size));
    }
}

static void put(struct worker *worker, uint32_t slot, void *s) {
    // Whoever was there is closed, perhaps in the middle of somebody else's call.
    void *before = __atomic_exchange_n(&worker->arena->sockets[slot], s, __ATOMIC_SEQ_CST);
    if (before)
        TRY(close, zmq_close(before));
}

// Types that talk to each other.
enum { FAMILIES = 10 };
static const int families[FAMILIES][4] = {
    {ZMQ_PUB, ZMQ_SUB, ZMQ_XPUB, ZMQ_XSUB}, {ZMQ_REQ, ZMQ_REP, ZMQ_DEALER, ZMQ_ROUTER},
    {ZMQ_PUSH, ZMQ_PULL, ZMQ_PUSH, ZMQ_PULL}, {ZMQ_PAIR, ZMQ_PAIR, ZMQ_PAIR, ZMQ_PAIR},
    {ZMQ_SERVER, ZMQ_CLIENT, ZMQ_SERVER, ZMQ_CLIENT}, {ZMQ_RADIO, ZMQ_DISH, ZMQ_RADIO, ZMQ_DISH},
    {ZMQ_SCATTER, ZMQ_GATHER, ZMQ_SCATTER, ZMQ_GATHER}, {ZMQ_PEER, ZMQ_PEER, ZMQ_PEER, ZMQ_PEER},
    {ZMQ_CHANNEL, ZMQ_CHANNEL, ZMQ_CHANNEL, ZMQ_CHANNEL},
    {ZMQ_STREAM, ZMQ_STREAM, ZMQ_DGRAM, ZMQ_DGRAM},
};

static int some_type(struct worker *worker) {
    static const int of_datagrams[] = {ZMQ_RADIO, ZMQ_DISH, ZMQ_DGRAM};
    // Most are of two families; strangers and who knows no datagrams are refused.
    if (pick(worker, 8) == 0)
        return families[pick(worker, FAMILIES)][pick(worker, 4)];
    if (strcmp(worker->arena->transport, "udp") == 0)
        return of_datagrams[pick(worker, 3)];
    return families[worker->arena->families[pick(worker, 2)]][pick(worker, 4)];
}

// Anybody talks to any of the other half.
static void encrypt(struct worker *worker, void *s) {
    const struct arena *arena = worker->arena;
    const int server = (int)pick(worker, 2);
    TRY(option, zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, arena->secret_key, 40));
    TRY(option, zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, arena->public_key, 40));
    if (server)
        TRY(option, zmq_setsockopt(s, ZMQ_CURVE_SERVER, &server, sizeof server));
    else
        TRY(option, zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, arena->public_key, 40));
}

static void discard_what_is_left(void *s) {
    TRY(option, zmq_setsockopt(s, ZMQ_LINGER, &(int){0}, sizeof(int)));
}

// No call on it waits for long.
static void make_impatient(void *s) {
    static const int short_time = 2;
    TRY(option, zmq_setsockopt(s, ZMQ_RCVTIMEO, &short_time, sizeof short_time));
    TRY(option, zmq_setsockopt(s, ZMQ_SNDTIMEO, &short_time, sizeof short_time));
}

static void open_one(struct worker *worker, uint32_t slot) {
    struct arena *arena = worker->arena;
    const int type = some_type(worker);
    void *s = zmq_socket(arena->ctx, type);
    if (!s) {
        TRY(context, -1);
        return;
    }
    const int short_time = 2, small = (int)pick(worker, 5);
    discard_what_is_left(s);
    if (slot >= ENDLESS)
        make_impatient(s);
    TRY(option, zmq_setsockopt(s, ZMQ_SNDHWM, &small, sizeof small));
    TRY(option, zmq_setsockopt(s, ZMQ_RECONNECT_IVL, &short_time, sizeof short_time));
    if (type == ZMQ_SUB)
        TRY(option, zmq_setsockopt(s, ZMQ_SUBSCRIBE, "", 0));
    if (type == ZMQ_DISH)
        TRY(group, zmq_join(s, "group"));
    if (strcmp(arena->transport, "tls") == 0 || strcmp(arena->transport, "wss") == 0)
        secure(s);
    else if (arena->public_key[0])
        encrypt(worker, s);
    put(worker, slot, s);
}

static void bind_one(struct worker *worker, void *s) {
    struct arena *arena = worker->arena;
    char address[256], bound[256];
    size_t size = sizeof bound;
    const char *transport = arena->transport;
    if (strcmp(transport, "inproc") == 0)
        snprintf(address, sizeof address, "inproc://%u", pick(worker, ENDPOINTS));
    else
        snprintf(address, sizeof address,
                 strcmp(transport, "ipc") == 0 ? "%s://*" : "%s://127.0.0.1:*", transport);
    if (TRY(bind, zmq_bind(s, address)) != 0)
        return;
    if (TRY(option, zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, bound, &size)) != 0 || size < 2)
        return;
    pthread_mutex_lock(&arena->names);
    memcpy(arena->endpoints[pick(worker, ENDPOINTS)], bound, size);
    pthread_mutex_unlock(&arena->names);
}

static bool some_endpoint(struct worker *worker, char address[256]) {
    struct arena *arena = worker->arena;
    pthread_mutex_lock(&arena->names);
    memcpy(address, arena->endpoints[pick(worker, ENDPOINTS)], 256);
    pthread_mutex_unlock(&arena->names);
    return address[0] != '\0';
}

static void use_endpoint(struct worker *worker, void *s) {
    char address[256];
    if (!some_endpoint(worker, address))
        return;
    switch (pick(worker, 7)) {
    case 0:
        TRY(taking_back, zmq_disconnect(s, address));
        break;
    case 1:
        TRY(taking_back, zmq_unbind(s, address));
        break;
    case 2: {
        const uint32_t peer = zmq_connect_peer(s, address);
        if (peer == 0)
            TRY(connect_peer, -1);
        else
            __atomic_store_n(&worker->arena->routing_id, peer, __ATOMIC_RELAXED);
        break;
    }
    default:
        TRY(connect, zmq_connect(s, address));
    }
}

// errno stays that of the call before.
static void give_up(zmq_msg_t *message) {
    const int error = errno;
    CHECK_OK(zmq_msg_close(message));
    errno = error;
}

static void give_back(void *data, void *arena) {
    free(data);
    __atomic_fetch_sub(&((struct arena *)arena)->lent, 1, __ATOMIC_SEQ_CST);
}

static void fill(struct worker *worker, zmq_msg_t *message, size_t size) {
    struct arena *arena = worker->arena;
    if (pick(worker, 2)) {
        CHECK_OK(zmq_msg_init_size(message, size));
    } else {
        __atomic_fetch_add(&arena->lent, 1, __ATOMIC_SEQ_CST);
        CHECK_OK(zmq_msg_init_data(message, malloc(size + 1), size, give_back, arena));
    }
    memset(zmq_msg_data(message), 1, size);
    // A message has the one or the other.
    const uint32_t peer = __atomic_load_n(&arena->routing_id, __ATOMIC_RELAXED);
    if (peer != 0 && pick(worker, 2))
        CHECK_OK(zmq_msg_set_routing_id(message, peer));
    else if (pick(worker, 2))
        CHECK_OK(zmq_msg_set_group(message, "group"));
}

static int send_one(struct worker *worker, void *s, int flags) {
    static const size_t sizes[] = {0, 1, 40, 300, 5000, 9000, 70000};
    static const char zeros[70000];
    int result = 0;
    for (uint32_t parts = pick(worker, 3) + 1; parts > 0; parts--) {
        const size_t size = sizes[pick(worker, 7)];
        const int more = parts > 1 ? ZMQ_SNDMORE : 0;
        switch (pick(worker, 4)) {
        case 0:
            result = TRY(send, zmq_send(s, zeros, size, flags | more));
            break;
        case 1:
            result = TRY(send, zmq_send_const(s, zeros, size, flags | more));
            break;
        default: {
            zmq_msg_t message;
            fill(worker, &message, size);
            result = TRY(send, zmq_msg_send(&message, s, flags | more));
            if (result < 0)
                give_up(&message);
        }
        }
    }
    return result;
}

// Looks at all that a message has; what it says of its peer is kept.
static void use_message(struct worker *worker, zmq_msg_t *message) {
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < zmq_msg_size(message); i++)
        sum = (unsigned char)(sum + ((unsigned char *)zmq_msg_data(message))[i]);
    sum = (unsigned char)(sum + strlen(zmq_msg_group(message)));
    if (zmq_msg_routing_id(message) != 0)
        __atomic_store_n(&worker->arena->routing_id, zmq_msg_routing_id(message), __ATOMIC_RELAXED);
    zmq_msg_gets(message, "Socket-Type");
}

static int receive_one(struct worker *worker, void *s, int flags) {
    if (pick(worker, 2)) {
        char buffer[256];
        return TRY(receive, zmq_recv(s, buffer, sizeof buffer, flags));
    }
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    const int result = TRY(receive, zmq_msg_recv(&message, s, flags));
    if (result >= 0)
        use_message(worker, &message);
    give_up(&message);
    return result;
}

// Sends back what came: the only messages that get anywhere from ROUTER, STREAM, SERVER and others.
static void answer_one(struct worker *worker, void *s) {
    for (int parts = 0; parts < 5; parts++) {
        zmq_msg_t message;
        CHECK_OK(zmq_msg_init(&message));
        if (TRY(receive, zmq_msg_recv(&message, s, ZMQ_DONTWAIT)) < 0) {
            CHECK_OK(zmq_msg_close(&message));
            return;
        }
        use_message(worker, &message);
        const int more = zmq_msg_more(&message);
        if (TRY(send, zmq_msg_send(&message, s, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0))) < 0)
            CHECK_OK(zmq_msg_close(&message));
        if (!more)
            return;
    }
}

static void *some_socket(struct worker *worker) {
    return __atomic_load_n(&worker->arena->sockets[pick(worker, SLOTS)], __ATOMIC_SEQ_CST);
}

static int poll_some(struct worker *worker, long timeout) {
    zmq_pollitem_t items[POLLED] = {0};
    int count = 0;
    for (uint32_t i = pick(worker, 3) ? 4 : POLLED; i > 0; i--) {
        void *s = some_socket(worker);
        const short events = (short)(pick(worker, 2) ? ZMQ_POLLIN : ZMQ_POLLIN | ZMQ_POLLOUT);
        if (s)
            items[count++] = (zmq_pollitem_t){s, 0, events, 0};
    }
    if (count == 0)
        return 0;
    if (pick(worker, 2))
        return TRY(poll, zmq_poll(items, count, timeout));
    sigset_t mask;
    sigemptyset(&mask);
    return TRY(poll, zmq_ppoll(items, count, timeout, &mask));
}

// Pollers are shared, too, and go as sockets do.
static void use_poller(struct worker *worker) {
    struct arena *arena = worker->arena;
    const uint32_t slot = pick(worker, POLLERS);
    void *poller = __atomic_load_n(&arena->pollers[slot], __ATOMIC_SEQ_CST);
    const uint32_t what = pick(worker, 20);
    if (!poller || what < 2) {
        void *fresh = zmq_poller_new();
        if (!fresh)
            TRY(poller, -1);
        void *before = __atomic_exchange_n(&arena->pollers[slot], fresh, __ATOMIC_SEQ_CST);
        if (before)
            CHECK_OK(zmq_poller_destroy(&before));
        return;
    }
    void *s = some_socket(worker);
    const short events = (short)(pick(worker, 2) ? ZMQ_POLLIN : ZMQ_POLLIN | ZMQ_POLLOUT);
    zmq_poller_event_t found[4];
    int fd;
    if (what < 6)
        TRY(poller, zmq_poller_add(poller, s, s, events));
    else if (what < 8)
        TRY(poller, zmq_poller_modify(poller, s, (short)(pick(worker, 2) ? events : 0)));
    else if (what < 11)
        TRY(poller, zmq_poller_remove(poller, s));
    else if (what == 11)
        TRY(poller, zmq_poller_add_fd(poller, arena->ends[pick(worker, 2)], NULL, ZMQ_POLLIN));
    else if (what == 12)
        TRY(poller, zmq_poller_remove_fd(poller, arena->ends[pick(worker, 2)]));
    else if (what == 13)
        TRY(poller, zmq_poller_fd(poller, &fd));
    else if (what == 14)
        TRY(poller, zmq_poller_size(poller));
    else if (what == 15)
        TRY(poller_wait, zmq_poller_wait(poller, found, (long)pick(worker, 3)));
    else
        TRY(poller_wait, zmq_poller_wait_all(poller, found, 4, (long)pick(worker, 3)));
}

static void set_or_get(struct worker *worker, void *s) {
    static const int numbers[] = {ZMQ_SNDHWM,    ZMQ_RCVHWM,     ZMQ_LINGER,        ZMQ_IMMEDIATE,
                                  ZMQ_RATE,      ZMQ_MAXMSGSIZE, ZMQ_OUT_BATCH_SIZE, ZMQ_IN_BATCH_SIZE,
                                  ZMQ_XPUB_NODROP, ZMQ_ROUTER_MANDATORY, ZMQ_HEARTBEAT_IVL,
                                  ZMQ_CONFLATE, ZMQ_ROUTER_NOTIFY, ZMQ_RECONNECT_STOP, ZMQ_PRIORITY,
                                  ZMQ_XPUB_MANUAL, ZMQ_ONLY_FIRST_SUBSCRIBE};
    static const int texts[] = {ZMQ_SUBSCRIBE,  ZMQ_UNSUBSCRIBE,    ZMQ_ROUTING_ID,
                                ZMQ_HELLO_MSG,  ZMQ_DISCONNECT_MSG, ZMQ_CONNECT_ROUTING_ID,
                                ZMQ_HICCUP_MSG, ZMQ_XPUB_WELCOME_MSG};
    static const int answers[] = {ZMQ_SNDHWM,  ZMQ_EVENTS, ZMQ_EVENTS,      ZMQ_FD,
                                  ZMQ_RCVMORE, ZMQ_TYPE,   ZMQ_TOPICS_COUNT};
    char text[256] = {(char)('a' + pick(worker, 3))};
    int64_t value = pick(worker, 100);
    size_t size = sizeof(int);
    switch (pick(worker, 5)) {
    case 0: {
        const int option = numbers[pick(worker, sizeof numbers / sizeof numbers[0])];
        TRY(option, zmq_setsockopt(s, option, &value,
                                   option == ZMQ_MAXMSGSIZE ? sizeof value : sizeof(int)));
        break;
    }
    case 1:
        TRY(option, zmq_setsockopt(s, texts[pick(worker, 8)], text, pick(worker, 2)));
        break;
    case 2:
        TRY(group, pick(worker, 2) ? zmq_join(s, text) : zmq_leave(s, text));
        break;
    default:
        TRY(option, zmq_getsockopt(s, answers[pick(worker, 7)], &value, &size));
    }
}

static void watch(struct worker *worker, void *s) {
    static const int types[][2] = {{ZMQ_PAIR, ZMQ_PAIR}, {ZMQ_PUB, ZMQ_XSUB}, {ZMQ_PUSH, ZMQ_PULL}};
    char address[64];
    snprintf(address, sizeof address, "inproc://monitor-%u", pick(worker, 4));
    switch (pick(worker, 4)) {
    case 0:
        TRY(monitor, zmq_socket_monitor(s, NULL, 0));
        break;
    case 1: {
        // Somebody who reads, in the place of another socket.
        void *mon = zmq_socket(worker->arena->ctx, types[pick(worker, 3)][1]);
        if (!mon) {
            TRY(context, -1);
            return;
        }
        discard_what_is_left(mon);
        make_impatient(mon);
        TRY(connect, zmq_connect(mon, address));
        put(worker, pick(worker, SLOTS), mon);
        break;
    }
    case 2:
        TRY(monitor, zmq_socket_monitor_pipes_stats(s));
        break;
    default:
        TRY(monitor,
            zmq_socket_monitor_versioned(s, address, pick(worker, 4) ? ZMQ_EVENT_ALL : ZMQ_EVENT_ALL_V2,
                                         (int)pick(worker, 2) + 1, types[pick(worker, 3)][0]));
    }
}

static void part_with_a_peer(struct worker *worker, void *s) {
    const uint32_t peer = __atomic_load_n(&worker->arena->routing_id, __ATOMIC_RELAXED);
    if (pick(worker, 2))
        TRY(peer, zmq_disconnect_peer(s, peer));
    else
        TRY(peer, zmq_socket_get_peer_state(s, &peer, sizeof peer));
}

static void use_context(struct worker *worker) {
    void *ctx = worker->arena->ctx;
    char prefix[17] = "a";
    size_t size = sizeof prefix;
    switch (pick(worker, 4)) {
    case 0:
        TRY(context, zmq_ctx_set(ctx, ZMQ_MAX_MSGSZ, (int)pick(worker, 100) - 1));
        break;
    case 1:
        TRY(context, zmq_ctx_get(ctx, ZMQ_MAX_SOCKETS));
        break;
    case 2:
        TRY(context, zmq_ctx_set_ext(ctx, ZMQ_THREAD_NAME_PREFIX, prefix, pick(worker, 2)));
        break;
    default:
        TRY(context, zmq_ctx_get_ext(ctx, ZMQ_THREAD_NAME_PREFIX, prefix, &size));
    }
}

// ---- waiting without end -----------------------------------------------------------------------

// A poller of its own.
static int wait_in_a_poller(struct worker *worker) {
    void *poller = zmq_poller_new();
    CHECK(poller != NULL);
    zmq_poller_event_t found[4];
    int count = 0, result = 0;
    for (int i = 0; i < 4; i++)
        count += TRY(poller, zmq_poller_add(poller, some_socket(worker), NULL, ZMQ_POLLIN)) == 0;
    if (count > 0)
        result = TRY(poller_wait, zmq_poller_wait_all(poller, found, 4, -1));
    const int error = errno;
    CHECK_OK(zmq_poller_destroy(&poller));
    errno = error;
    return result;
}

static int run_a_proxy(struct worker *worker) {
    void *front = some_socket(worker), *back = some_socket(worker);
    void *capture = pick(worker, 2) ? some_socket(worker) : NULL;
    if (!front || !back)
        return 0;
    if (pick(worker, 2))
        return TRY(proxy, zmq_proxy(front, back, capture));
    return TRY(proxy, zmq_proxy_steerable(front, back, capture, some_socket(worker)));
}

static void wait_for_ever(void *argument) {
    struct worker *worker = argument;
    struct arena *arena = worker->arena;
    while (!__atomic_load_n(&arena->over, __ATOMIC_SEQ_CST)) {
        void *s = __atomic_load_n(&arena->sockets[pick(worker, ENDLESS)], __ATOMIC_SEQ_CST);
        int result = 0;
        if (!s)
            pause_briefly();
        else if (pick(worker, 2))
            result = receive_one(worker, s, 0);
        else if (pick(worker, 2))
            result = send_one(worker, s, 0);
        else if (pick(worker, 2))
            result = poll_some(worker, -1);
        else if (pick(worker, 2))
            result = wait_in_a_poller(worker);
        else
            result = run_a_proxy(worker);
        if (result < 0 && zmq_errno() == ETERM)
            return;
    }
}

// ---- the arena ---------------------------------------------------------------------------------

static void work(void *argument) {
    struct worker *worker = argument;
    struct arena *arena = worker->arena;
    for (int i = 0; i < OPERATIONS; i++) {
        const uint32_t slot = pick(worker, SLOTS), what = pick(worker, 100);
        void *s = __atomic_load_n(&arena->sockets[slot], __ATOMIC_SEQ_CST);
        const int flags = slot < ENDLESS || pick(worker, 4) ? ZMQ_DONTWAIT : 0;
        if (!s || what < 4)
            open_one(worker, slot);
        else if (what < 8)
            bind_one(worker, s);
        else if (what < 18)
            use_endpoint(worker, s);
        else if (what < 44)
            send_one(worker, s, flags);
        else if (what < 64)
            receive_one(worker, s, flags);
        else if (what < 72)
            answer_one(worker, s);
        else if (what < 80)
            poll_some(worker, (long)pick(worker, 3));
        else if (what < 86)
            use_poller(worker);
        else if (what < 94)
            set_or_get(worker, s);
        else if (what < 95)
            use_context(worker);
        else if (what < 99)
            watch(worker, s);
        else
            part_with_a_peer(worker, s);
        __atomic_fetch_add(&arena->operations, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_fetch_sub(&arena->working, 1, __ATOMIC_SEQ_CST);
}

static void do_nothing(int number) { (void)number; }

// Signals for everybody while there is work.
static void disturb(void *argument) {
    struct worker *worker = argument;
    struct arena *arena = worker->arena;
    while (__atomic_load_n(&arena->working, __ATOMIC_SEQ_CST) > 0) {
        const uint32_t number = pick(worker, THREADS + PATIENT + 2);
        struct thread *thread = number < THREADS + PATIENT
                                    ? &arena->threads[number]
                                    : &arena->enders[number - THREADS - PATIENT];
        pthread_kill(thread->handle, SIGUSR1);
        pause_briefly();
    }
}

// Of two threads that do, one ends the context, and the other one may hear that it is gone.
static void terminate(struct arena *arena) {
    int result;
    while ((result = TRY(end, zmq_ctx_term(arena->ctx))) != 0 && zmq_errno() == EINTR)
        continue;
    if (result == 0)
        __atomic_fetch_add(&arena->ended, 1, __ATOMIC_SEQ_CST);
}

// In the middle of it all.
static void end_meanwhile(void *argument) {
    struct worker *worker = argument;
    struct arena *arena = worker->arena;
    const int after = (int)pick(worker, THREADS * OPERATIONS);
    while (__atomic_load_n(&arena->operations, __ATOMIC_SEQ_CST) < after &&
           __atomic_load_n(&arena->working, __ATOMIC_SEQ_CST) > 0)
        pause_briefly();
    if (arena->ending == SHUT_DOWN_MEANWHILE)
        TRY(end, zmq_ctx_shutdown(arena->ctx));
    while (arena->ending == AT_THE_END && !__atomic_load_n(&arena->over, __ATOMIC_SEQ_CST))
        pause_briefly();
    if (arena->ending != AFTER_ITS_SOCKETS)
        terminate(arena);
}

// All that is closed has made room.
static void check_room(void *ctx) {
    void *sockets[SOCKETS];
    for (int i = 0; i < SOCKETS; i++)
        WAIT_UNTIL((sockets[i] = zmq_socket(ctx, ZMQ_PAIR)) != NULL);
    CHECK_NULL_ERRNO(zmq_socket(ctx, ZMQ_PAIR), EMFILE);
    for (int i = 0; i < SOCKETS; i++)
        CHECK_OK(zmq_close(sockets[i]));
}

static void run_round(const char *transport, uint64_t seed, int round) {
    struct worker own = {NULL, seed};
    struct arena arena = {.ctx = zmq_ctx_new(),
                          .transport = transport,
                          .ending = (enum ending)(round % ENDINGS),
                          .working = THREADS};
    CHECK(arena.ctx != NULL);
    CHECK_OK(pipe(arena.ends));
    pthread_mutex_init(&arena.names, NULL);
    // All families have their turn.
    const uint32_t first = pick(&(struct worker){NULL, seed - (uint64_t)round * STEP}, FAMILIES);
    for (int i = 0; i < 2; i++)
        arena.families[i] = (first + (uint32_t)(round * 2 + i)) % FAMILIES;
    if (pick(&own, 3) == 0 && zmq_has("curve"))
        CHECK_OK(zmq_curve_keypair(arena.public_key, arena.secret_key));
    CHECK_OK(zmq_ctx_set(arena.ctx, ZMQ_IO_THREADS, (int)pick(&own, 2) + 1));
    CHECK_OK(zmq_ctx_set(arena.ctx, ZMQ_MAX_SOCKETS, SOCKETS));
    struct worker workers[THREADS + PATIENT + 3];
    for (int i = 0; i < THREADS + PATIENT + 3; i++)
        workers[i] = (struct worker){&arena, seed + (uint64_t)(i + 1) * 7919};
    for (int i = 0; i < THREADS + PATIENT; i++)
        start_thread(&arena.threads[i], i < THREADS ? work : wait_for_ever, &workers[i]);
    for (int i = 0; i < 2; i++)
        start_thread(&arena.enders[i], end_meanwhile, &workers[THREADS + PATIENT + i]);
    struct thread disturber;
    start_thread(&disturber, disturb, &workers[THREADS + PATIENT + 2]);
    // Before there is nobody any more whom it could send a signal to.
    JOIN(&disturber);
    for (int i = 0; i < THREADS; i++)
        JOIN(&arena.threads[i]);
    __atomic_store_n(&arena.over, true, __ATOMIC_SEQ_CST);
    // While it terminates, the sockets are closed.
    for (int i = 0; i < POLLERS; i++)
        if (arena.pollers[i])
            CHECK_OK(zmq_poller_destroy(&arena.pollers[i]));
    for (int i = 0; i < SLOTS; i++)
        if (arena.sockets[i])
            CHECK_OK(zmq_close(arena.sockets[i]));
    for (int i = 0; i < PATIENT; i++)
        JOIN(&arena.threads[THREADS + i]);
    for (int i = 0; i < 2; i++)
        JOIN(&arena.enders[i]);
    if (arena.ending == AFTER_ITS_SOCKETS) {
        check_room(arena.ctx);
        terminate(&arena);
    }
    CHECK_EQ(arena.ended, 1);
    CHECK_EQ(arena.lent, 0);
    close(arena.ends[0]);
    close(arena.ends[1]);
}

static void end_at_once(void *unused) { (void)unused; }

static int entries(const char *path) {
    DIR *directory = opendir(path);
    if (!directory)
        skip("no /proc");
    int count = 0;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

TEST_EACH_OURS_ONLY(anything_at_any_time, "its sockets must not be used by two threads at a time",
                    "inproc", "tcp", "ipc", "ws", "tls", "wss", "udp") {
    if (strcmp(transport, "udp") != 0)
        need_transport(transport);
    const char *given = getenv("STRESS_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed =
        given ? strtoull(given, NULL, 0) : (uint64_t)(now.tv_sec * 1000000007 + now.tv_nsec);
    printf("# STRESS_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = do_nothing}, NULL);
    // With the first thread ThreadSanitizer starts one of its own.
    struct thread nobody;
    start_thread(&nobody, end_at_once, NULL);
    JOIN(&nobody);
    const int descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task");
    for (int round = 0; round < ROUNDS; round++) {
        run_round(transport, seed + (uint64_t)round * STEP, round);
        WAIT_UNTIL(entries("/proc/self/fd") == descriptors);
        WAIT_UNTIL(entries("/proc/self/task") == threads);
    }
}
