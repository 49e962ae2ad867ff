// SPDX-License-Identifier: MPL-2.0
//
// Connections that take less than they are given, over every transport: receivers that pause, tiny
// kernel buffers, senders in several threads, bursts, connections that end under a backlog. Nothing
// is lost, doubled or changed, no call waits inside a write, no buffer is given back early or twice.
#include "harness.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static uint32_t random_state = 12345;
static uint32_t random_number(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static void fill(void *body, size_t size, uint32_t seed) {
    unsigned char *bytes = body;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 31 + seed * 7 + i / 251);
}

// ---- a receiver that is stopped ----------------------------------------------------------------

// The bodies are shared, so that the backlog takes no memory of its own.
enum { MEGABYTE = 1 << 20, BODIES = 16 };
static unsigned char bodies[BODIES][MEGABYTE];

static void make_bodies(void) {
    for (int i = 0; i < BODIES; i++)
        fill(bodies[i], MEGABYTE, (uint32_t)i);
}

static int freed;
static void count_free(void *data, void *hint) {
    (void)data, (void)hint;
    __atomic_fetch_add(&freed, 1, __ATOMIC_SEQ_CST);
}
static int freed_so_far(void) { return __atomic_load_n(&freed, __ATOMIC_SEQ_CST); }

struct process {
    pid_t id;
    const char *endpoint;
};

// Receives numbered bodies in order until the number -1.
static _Noreturn void receive_all(const char *transport, int limit, int out) {
    void *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(pull, ZMQ_RCVHWM, limit);
    const char *endpoint = BIND_SECURED(pull, transport);
    CHECK_EQ(write(out, endpoint, strlen(endpoint) + 1), strlen(endpoint) + 1);
    static unsigned char body[MEGABYTE];
    for (int expected = 0, number;; expected++) {
        CHECK_EQ(zmq_recv(pull, &number, sizeof number, 0), sizeof number);
        if (number == -1)
            break;
        CHECK_EQ(number, expected);
        CHECK_EQ(GET_INT(pull, ZMQ_RCVMORE), 1);
        CHECK_EQ(zmq_recv(pull, body, MEGABYTE, 0), MEGABYTE);
        CHECK(memcmp(body, bodies[number % BODIES], MEGABYTE) == 0);
        CHECK_EQ(GET_INT(pull, ZMQ_RCVMORE), 0);
    }
    END_CONTEXT();
    _exit(0);
}

static struct process start_receiver(const char *transport, int limit) {
    if (reference_library() && strcmp(transport, "ws") == 0)
        skip("libzmq masks the bodies themselves");
    need_transport(transport);
    make_bodies();
    int ends[2];
    CHECK_OK(pipe(ends));
    struct process process = {fork(), calloc(1, 256)};
    CHECK(process.id >= 0);
    if (process.id == 0)
        receive_all(transport, limit, ends[1]);
    for (char *at = (char *)process.endpoint; read(ends[0], at, 1) == 1 && *at != '\0'; at++) {
    }
    close(ends[0]);
    close(ends[1]);
    CHECK(process.endpoint[0] != '\0');
    return process;
}

static void stop(const struct process *process) {
    int status;
    CHECK_OK(kill(process->id, SIGSTOP));
    CHECK_EQ(waitpid(process->id, &status, WUNTRACED), process->id);
    CHECK(WIFSTOPPED(status));
}

static void go_on(const struct process *process) { CHECK_OK(kill(process->id, SIGCONT)); }

static void wait_for_end(const struct process *process) {
    int status;
    CHECK_EQ(waitpid(process->id, &status, 0), process->id);
    CHECK_EQ(status, 0);
}

// True when it went. The body goes by reference.
static bool send_numbered(void *push, int number, int flags) {
    if (zmq_send(push, &number, sizeof number, flags | ZMQ_SNDMORE) < 0) {
        CHECK_EQ(zmq_errno(), EAGAIN);
        return false;
    }
    zmq_msg_t body;
    CHECK_OK(zmq_msg_init_data(&body, bodies[number % BODIES], MEGABYTE, count_free, NULL));
    CHECK_EQ(zmq_msg_send(&body, push, flags), MEGABYTE);
    return true;
}

static bool is_masked(const char *transport) {
    return strcmp(transport, "ws") == 0 || strcmp(transport, "wss") == 0;
}

// A megabyte each to a process that stands still, without any limit to what may wait. No call waits.
TEST_EACH(a_stopped_receiver_without_a_limit, EACH_NETWORK) {
    const int count = is_masked(transport) ? 300 : 1000;
    struct process receiver = start_receiver(transport, 1);
    void *push = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(push, ZMQ_SNDHWM, 0);
    SET_INT(push, ZMQ_LINGER, -1);
    CONNECT_SECURED(push, receiver.endpoint);
    CHECK(send_numbered(push, 0, 0));
    WAIT_UNTIL(freed_so_far() == 1);
    stop(&receiver);
    for (int i = 1; i < count; i++)
        CHECK(send_numbered(push, i, ZMQ_DONTWAIT));
    // The kernel's buffers hold some; the others' bytes are still to go.
    CHECK_BETWEEN(freed_so_far(), 1, 100);
    go_on(&receiver);
    const int end = -1;
    SEND_BYTES(push, &end, sizeof end, 0);
    wait_for_end(&receiver);
    WAIT_UNTIL(freed_so_far() == count);
    END_CONTEXT();
    CHECK_EQ(freed_so_far(), count);
}

// The same with low marks: it is refused, again and again, and goes on where it was.
TEST_EACH(a_stopped_receiver_with_a_limit, EACH_NETWORK) {
    struct process receiver = start_receiver(transport, 2);
    void *push = NEW_SOCKET(ZMQ_PUSH);
    SET_INT(push, ZMQ_SNDHWM, 2);
    SET_INT(push, ZMQ_LINGER, -1);
    CONNECT_SECURED(push, receiver.endpoint);
    int sent = 0;
    for (int round = 0; round < 4; round++) {
        for (int end = sent + 10; sent < end; sent++)
            CHECK(send_numbered(push, sent, 0));
        stop(&receiver);
        // Until it was refused often enough for the I/O thread to have filled the kernel's buffers.
        for (int refused = 0; refused < 200;) {
            if (send_numbered(push, sent, ZMQ_DONTWAIT)) {
                refused = 0;
                CHECK(++sent < 200);
            } else if (++refused % 10 == 0)
                pause_briefly();
        }
        // What the I/O thread has written since made room.
        while (GET_INT(push, ZMQ_EVENTS) & ZMQ_POLLOUT)
            CHECK(send_numbered(push, sent++, ZMQ_DONTWAIT));
        CHECK_BETWEEN(freed_so_far(), sent - 3, sent);
        go_on(&receiver);
    }
    const int end = -1;
    SEND_BYTES(push, &end, sizeof end, 0);
    wait_for_end(&receiver);
    WAIT_UNTIL(freed_so_far() == sent);
}

// ---- tiny buffers ------------------------------------------------------------------------------

enum { LARGEST = 200000, MESSAGES = 24 };

// The parts of a message, which both ends know by its number.
static int parts_of(int message) { return message * 5 % 6 + 1; }
static size_t size_of(int message, int part) {
    static const size_t sizes[] = {0, 1, 255, 256, 4095, 8191, 8192, 40000, 65536, LARGEST, 3, 100};
    return sizes[(message * 7 + part * 5) % 12];
}

static void exchange(void *s) {
    char *body = malloc(LARGEST), *got = malloc(LARGEST);
    int sent = 0, part = 0;
    for (int received = 0, got_part = 0; sent < MESSAGES || received < MESSAGES;) {
        zmq_pollitem_t item = {s, 0, sent < MESSAGES ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN, 0};
        CHECK(zmq_poll(&item, 1, DEADLINE_MS) > 0);
        while (sent < MESSAGES) {
            size_t size = size_of(sent, part);
            bool last = part + 1 == parts_of(sent);
            fill(body, size, (uint32_t)(sent * 10 + part));
            if (zmq_send(s, body, size, ZMQ_DONTWAIT | (last ? 0 : ZMQ_SNDMORE)) < 0) {
                CHECK_EQ(zmq_errno(), EAGAIN);
                CHECK_EQ(part, 0);
                break;
            }
            part = last ? 0 : part + 1;
            sent += last;
        }
        for (int size; (size = zmq_recv(s, got, LARGEST, ZMQ_DONTWAIT)) >= 0;) {
            CHECK(received < MESSAGES);
            CHECK_EQ(size, size_of(received, got_part));
            fill(body, (size_t)size, (uint32_t)(received * 10 + got_part));
            CHECK(memcmp(body, got, (size_t)size) == 0);
            bool more = GET_INT(s, ZMQ_RCVMORE);
            CHECK_EQ(more, got_part + 1 < parts_of(received));
            got_part = more ? got_part + 1 : 0;
            received += !more;
        }
    }
    free(body);
    free(got);
}

// Nearly every frame is written in parts, both ways at once.
static void through_buffers_of(int bytes, const char *transport) {
    void *ends[] = {NEW_SOCKET(ZMQ_PAIR), NEW_SOCKET(ZMQ_PAIR)};
    for (int i = 0; i < 2; i++) {
        SET_INT(ends[i], ZMQ_SNDBUF, bytes);
        SET_INT(ends[i], ZMQ_SNDHWM, 3);
        SET_INT(ends[i], ZMQ_RCVHWM, 3);
    }
    LINK(ends[0], ends[1], transport);
    struct thread thread;
    start_thread(&thread, exchange, ends[0]);
    exchange(ends[1]);
    JOIN(&thread);
}

TEST_EACH(send_buffers_of_4_kilobytes, EACH_NETWORK) { through_buffers_of(4096, transport); }
TEST_EACH(send_buffers_of_1_byte, EACH_NETWORK) { through_buffers_of(1, transport); }

// ---- sends while a write is pending ------------------------------------------------------------

enum { SENDERS = 4, EACH = 60, SENT = 30000 };

struct sender {
    void *socket;
    int number;
};

static void send_from_one(void *argument) {
    struct sender *sender = argument;
    char *body = malloc(SENT);
    for (int i = 0; i < EACH; i++) {
        int numbers[] = {sender->number, i};
        fill(body, SENT, (uint32_t)(sender->number + i));
        // A part of the thread's own cannot be kept together: a message of one part.
        memcpy(body, numbers, sizeof numbers);
        SEND_BYTES(sender->socket, body, SENT - (size_t)i * 400, 0);
    }
    free(body);
}

static void receive_from_all(void *pull, int threads) {
    char *body = malloc(SENT), *got = malloc(SENT);
    int next[SENDERS] = {0};
    for (int i = 0; i < threads * EACH; i++) {
        int size = zmq_recv(pull, got, SENT, 0), numbers[2];
        CHECK(size >= 8);
        memcpy(numbers, got, sizeof numbers);
        CHECK_BETWEEN(numbers[0], 0, threads - 1);
        CHECK_EQ(numbers[1], next[numbers[0]]++);
        CHECK_EQ(size, SENT - numbers[1] * 400);
        fill(body, SENT, (uint32_t)(numbers[0] + numbers[1]));
        CHECK(memcmp(body + 8, got + 8, (size_t)size - 8) == 0);
    }
    free(body);
    free(got);
}

static void sends_meet(int threads, const char *transport) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDBUF, 4096);
    SET_INT(push, ZMQ_SNDHWM, 2);
    SET_INT(pull, ZMQ_RCVHWM, 1);
    LINK(pull, push, transport);
    struct thread running[SENDERS];
    struct sender senders[SENDERS];
    for (int i = 0; i < threads; i++) {
        senders[i] = (struct sender){push, i};
        start_thread(&running[i], send_from_one, &senders[i]);
    }
    for (int i = 0; i < threads; i++)
        WAIT_BLOCKED(&running[i]);
    receive_from_all(pull, threads);
    for (int i = 0; i < threads; i++)
        JOIN(&running[i]);
}

TEST_EACH(a_sender_beyond_the_limit, EACH_NETWORK) { sends_meet(1, transport); }

TEST_EACH_OURS_ONLY(senders_beyond_the_limit, "its sockets must not be used by two threads at a time",
                    EACH_NETWORK) {
    sends_meet(SENDERS, transport);
}

// ---- bursts ------------------------------------------------------------------------------------

enum { LONGEST = 70, SMALL = 8, LARGER = 3000 };

// From nothing to some hundred microseconds, so that every state of the output is met.
static void spin(void) {
    for (volatile uint32_t left = random_number() % 4 ? random_number() % 30000 : 0; left > 0; left--) {
    }
}

static void send_burst(void *push, int count) {
    char body[LARGER] = {0};
    const bool paced = random_number() % 2;
    const size_t size = random_number() % 4 ? SMALL : LARGER;
    for (int i = 0; i < count; i++) {
        memcpy(body, &i, sizeof i);
        SEND_BYTES(push, body, size, 0);
        if (paced)
            spin();
    }
}

static void receive_burst(void *pull, int count) {
    char body[LARGER];
    for (int i = 0, number; i < count; i++) {
        if (count % 3 == 0) {
            zmq_pollitem_t item = {pull, 0, ZMQ_POLLIN, 0};
            CHECK_EQ(zmq_poll(&item, 1, -1), 1);
        }
        CHECK(zmq_recv(pull, body, sizeof body, 0) >= SMALL);
        memcpy(&number, body, sizeof number);
        CHECK_EQ(number, i);
    }
}

// The sender does nothing more until all of a burst is there.
TEST_EACH(the_last_of_a_burst_arrives, EACH_NETWORK) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    LINK(pull, push, transport);
    for (int round = 0; round < 8; round++)
        for (int count = 1; count <= LONGEST; count++) {
            send_burst(push, count);
            receive_burst(pull, count);
        }
}

struct bursts {
    void *socket;
    int go[2];
};

static void send_bursts(void *argument) {
    struct bursts *bursts = argument;
    unsigned char count;
    while (read(bursts->go[0], &count, 1) == 1)
        send_burst(bursts->socket, count);
}

// The same with a reader that reads, or sleeps, meanwhile.
TEST_EACH(the_last_of_a_burst_arrives_at_a_reader, EACH_NETWORK) {
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    LINK(pull, push, transport);
    struct bursts bursts = {.socket = push};
    CHECK_OK(pipe(bursts.go));
    struct thread thread;
    start_thread(&thread, send_bursts, &bursts);
    for (int round = 0; round < 8; round++)
        for (unsigned char count = 1; count <= LONGEST; count++) {
            CHECK_EQ(write(bursts.go[1], &count, 1), 1);
            receive_burst(pull, count);
        }
    close(bursts.go[1]);
    JOIN(&thread);
}

// ---- buffers of the application ----------------------------------------------------------------

enum { BUFFERS = 40 };
enum way { DELIVERED, DISCONNECTED, CLOSED, PEER_CLOSED, TERMINATED, WAYS };

struct buffer {
    size_t size;
    int freed;
    unsigned char data[];
};

// Whoever still reads the buffer now gets rubbish.
static void poison(void *data, void *hint) {
    struct buffer *buffer = hint;
    memset(data, 0xdd, buffer->size);
    __atomic_fetch_add(&buffer->freed, 1, __ATOMIC_SEQ_CST);
}

static void terminate(void *ctx) { CHECK_OK(zmq_ctx_shutdown(ctx)); }

// Each buffer is given back once, and not before its bytes went, however the connection ends.
static void lifetimes(enum way way, const char *transport) {
    static const size_t sizes[] = {10, 33, 300, 5000, 8192, 8193, 70000, 300000};
    void *push = NEW_SOCKET(ZMQ_PUSH), *pull = NEW_SOCKET(ZMQ_PULL);
    SET_INT(push, ZMQ_SNDBUF, 4096);
    SET_INT(push, ZMQ_SNDHWM, 0);
    SET_INT(pull, ZMQ_RCVHWM, 1);
    const char *endpoint = LINK(pull, push, transport);
    struct buffer *buffers[BUFFERS];
    for (int i = 0; i < BUFFERS; i++) {
        size_t size = sizes[i * 5 % 8];
        buffers[i] = malloc(sizeof *buffers[i] + size);
        buffers[i]->size = size;
        buffers[i]->freed = 0;
        fill(buffers[i]->data, size, (uint32_t)i);
        zmq_msg_t message;
        CHECK_OK(zmq_msg_init_data(&message, buffers[i]->data, size, poison, buffers[i]));
        CHECK_EQ(zmq_msg_send(&message, push, 0), size);
    }
    WAIT_EVENTS(pull, ZMQ_POLLIN);
    char *expected = malloc(300000), *got = malloc(300000);
    for (int i = 0; i < BUFFERS; i++) {
        if (i == 5 && way == DISCONNECTED)
            CHECK_OK(zmq_disconnect(push, endpoint));
        else if (i == 5 && way == CLOSED)
            CLOSE(push);
        else if (i == 5 && way == PEER_CLOSED)
            CLOSE(pull);
        else if (i == 5 && way == TERMINATED)
            terminate(context());
        if (i >= 5 && way >= PEER_CLOSED)
            break;
        // What was under way may still come, and then it is whole.
        if (i >= 5 && way != DELIVERED && !shows_events(pull, ZMQ_POLLIN, ABSENCE_MS))
            break;
        CHECK_EQ(zmq_recv(pull, got, 300000, 0), buffers[i]->size);
        fill(expected, buffers[i]->size, (uint32_t)i);
        CHECK(memcmp(got, expected, buffers[i]->size) == 0);
    }
    free(expected);
    free(got);
    END_CONTEXT();
    for (int i = 0; i < BUFFERS; i++) {
        CHECK_EQ(buffers[i]->freed, 1);
        free(buffers[i]);
    }
}

TEST_EACH(buffers_are_given_back_once, EACH_NETWORK) {
    for (int way = 0; way < WAYS; way++)
        lifetimes((enum way)way, transport);
}

// ---- fairness ----------------------------------------------------------------------------------

static int flood_received;

static void receive_flood(void *pull) {
    static unsigned char body[MEGABYTE];
    int number;
    while (zmq_recv(pull, &number, sizeof number, 0) >= 0 && zmq_recv(pull, body, MEGABYTE, 0) >= 0)
        __atomic_fetch_add(&flood_received, 1, __ATOMIC_SEQ_CST);
}

// One I/O thread has a backlog that its reader never lets come to an end, and still reads for others.
TEST_EACH(an_endless_backlog_starves_nobody, EACH_NETWORK) {
    enum { BACKLOG = 20000, ROUNDS = 100, AT_MOST = 4000 };
    if (reference_library() && strcmp(transport, "ws") == 0)
        skip("libzmq masks the bodies themselves");
    make_bodies();
    void *elsewhere = zmq_ctx_new();
    void *flood = NEW_SOCKET(ZMQ_PUSH), *quiet = NEW_SOCKET(ZMQ_PAIR);
    void *drain = NEW_SOCKET_IN(elsewhere, ZMQ_PULL), *other = NEW_SOCKET_IN(elsewhere, ZMQ_PAIR);
    SET_INT(flood, ZMQ_SNDHWM, 0);
    LINK(drain, flood, transport);
    LINK(other, quiet, transport);
    BOUNCE(other, quiet);
    // Who has asked for the descriptor leaves the reading to the I/O thread.
    struct pollfd readable = {.events = POLLIN};
    size_t size = sizeof readable.fd;
    CHECK_OK(zmq_getsockopt(quiet, ZMQ_FD, &readable.fd, &size));
    struct thread thread;
    start_thread(&thread, receive_flood, drain);
    for (int i = 0; i < BACKLOG; i++)
        CHECK(send_numbered(flood, i, ZMQ_DONTWAIT));
    WAIT_UNTIL(__atomic_load_n(&flood_received, __ATOMIC_SEQ_CST) > 10);
    const int before = __atomic_load_n(&flood_received, __ATOMIC_SEQ_CST);
    for (int i = 0; i < ROUNDS; i++) {
        struct frame frame;
        SEND(other, "question");
        while (!(GET_INT(quiet, ZMQ_EVENTS) & ZMQ_POLLIN))
            CHECK_EQ(poll(&readable, 1, DEADLINE_MS), 1);
        CHECK(TRY_RECV(quiet, &frame));
        SEND(quiet, "answer");
        EXPECT(other, "answer");
    }
    const int meanwhile = __atomic_load_n(&flood_received, __ATOMIC_SEQ_CST) - before;
    printf("# %d messages of a megabyte meanwhile\n", meanwhile);
    CHECK(meanwhile < AT_MOST);
    CHECK(before + meanwhile < BACKLOG);
    CHECK_OK(zmq_ctx_shutdown(elsewhere));
    JOIN(&thread);
    CLOSE(drain);
    CLOSE(other);
    CHECK_OK(zmq_ctx_term(elsewhere));
}
