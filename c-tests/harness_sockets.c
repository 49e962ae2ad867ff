// SPDX-License-Identifier: MPL-2.0
//
// The harness's helpers over the library: contexts, sockets, messages, monitors.
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_TRACKED = 4096 };

static void *own_context;
static void *tracked[MAX_TRACKED];
static void *watched[MAX_TRACKED]; // by the monitor socket at the same place
static size_t tracked_count;
// Only for the tables above: sockets of one test may be opened in several threads.
static pthread_mutex_t tables = PTHREAD_MUTEX_INITIALIZER;

// ---- contexts and sockets ----------------------------------------------------------------------

void *context(void) {
    pthread_mutex_lock(&tables);
    if (!own_context)
        own_context = zmq_ctx_new();
    void *ctx = own_context;
    pthread_mutex_unlock(&tables);
    if (!ctx)
        fail("zmq_ctx_new failed: %s", zmq_strerror(zmq_errno()));
    return ctx;
}

void end_context(void) {
    while (tracked_count > 0) {
        void *socket = tracked[--tracked_count];
        if (zmq_close(socket) != 0)
            fail("zmq_close failed: %s", zmq_strerror(zmq_errno()));
    }
    if (!own_context)
        return;
    void *ctx = own_context;
    own_context = NULL;
    while (zmq_ctx_term(ctx) != 0)
        if (zmq_errno() != EINTR)
            fail("zmq_ctx_term failed: %s", zmq_strerror(zmq_errno()));
}

void *new_socket(void *ctx, int type) {
    void *socket = zmq_socket(ctx, type);
    if (!socket)
        fail("zmq_socket(%d) failed: %s", type, zmq_strerror(zmq_errno()));
    set_int(socket, ZMQ_LINGER, 0, "ZMQ_LINGER");
    pthread_mutex_lock(&tables);
    if (tracked_count == MAX_TRACKED)
        fail("too many sockets");
    watched[tracked_count] = NULL;
    tracked[tracked_count++] = socket;
    pthread_mutex_unlock(&tables);
    return socket;
}

// The caller holds the tables. tracked_count when it is not there.
static size_t place_of(const void *socket) {
    size_t i = 0;
    while (i < tracked_count && tracked[i] != socket)
        i++;
    return i;
}

void close_socket(void *socket) {
    pthread_mutex_lock(&tables);
    size_t place = place_of(socket);
    if (place == tracked_count)
        fail("this socket was not opened with NEW_SOCKET, or is closed already");
    void *source = watched[place];
    if (source && place_of(source) == tracked_count)
        source = NULL;
    tracked_count--;
    tracked[place] = tracked[tracked_count];
    watched[place] = watched[tracked_count];
    for (size_t i = 0; i < tracked_count; i++)
        if (watched[i] == socket)
            watched[i] = NULL;
    pthread_mutex_unlock(&tables);
    // libzmq's threads wait for ever to tell a monitor whose reader has gone.
    if (source)
        zmq_socket_monitor(source, NULL, 0);
    check_ok(zmq_close(socket), "zmq_close");
}

void set_int(void *socket, int option, int value, const char *name) {
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0)
        fail("setting %s to %d failed: %s", name, value, zmq_strerror(zmq_errno()));
}

int get_int(void *socket, int option, const char *name) {
    int value = -12345;
    size_t size = sizeof value;
    if (zmq_getsockopt(socket, option, &value, &size) != 0)
        fail("getting %s failed: %s", name, zmq_strerror(zmq_errno()));
    if (size != sizeof value)
        fail("getting %s gave %zu bytes", name, size);
    return value;
}

void set_bytes(void *socket, int option, const void *data, size_t size, const char *name) {
    if (zmq_setsockopt(socket, option, data, size) != 0)
        fail("setting %s to %zu bytes failed: %s", name, size, zmq_strerror(zmq_errno()));
}

const char *last_endpoint(void *socket) {
    char *endpoint = malloc(512); // lives as long as the test
    size_t size = 512;
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
        fail("getting ZMQ_LAST_ENDPOINT failed: %s", zmq_strerror(zmq_errno()));
    if (size == 0 || endpoint[size - 1] != '\0' || strlen(endpoint) != size - 1)
        fail("ZMQ_LAST_ENDPOINT has the size %zu for a text of %zu", size, strlen(endpoint));
    return endpoint;
}

const char *bind_address(void *socket, const char *address) {
    if (zmq_bind(socket, address) != 0)
        fail("binding to %s failed: %s", address, zmq_strerror(zmq_errno()));
    return last_endpoint(socket);
}

const char *bind_fresh(void *socket, const char *transport) {
    static int number;
    char address[64];
    if (strcmp(transport, "tcp") == 0)
        return bind_address(socket, "tcp://127.0.0.1:*");
    if (strcmp(transport, "tcp6") == 0)
        return bind_address(socket, "tcp://[::1]:*");
    if (strcmp(transport, "ipc") == 0)
        return bind_address(socket, "ipc://*");
    if (strcmp(transport, "ws") == 0)
        return bind_address(socket, "ws://127.0.0.1:*");
    if (strcmp(transport, "inproc") != 0)
        fail("no such transport: %s", transport);
    snprintf(address, sizeof address, "inproc://test-%d",
             __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED));
    return bind_address(socket, address);
}

void need_transport(const char *transport) {
    const bool wss = strcmp(transport, "wss") == 0, tls = strcmp(transport, "tls") == 0;
    if (strcmp(transport, "ws") == 0 && !zmq_has("WS"))
        skip("no ws");
    if ((wss && !zmq_has("WSS")) || (tls && !zmq_has("tls")))
        skip("no TLS in this library");
}

size_t read_pem(const char *file_name, char *text, size_t room) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", CERTIFICATES, file_name);
    FILE *file = fopen(path, "rb");
    if (!file)
        skip("no certificates: openssl is not installed");
    size_t size = fread(text, 1, room, file);
    fclose(file);
    return size;
}

void set_pem(void *socket, int option, const char *file_name) {
    char text[8192];
    size_t size = read_pem(file_name, text, sizeof text);
    set_bytes(socket, option, text, size, file_name);
}

void identify(void *socket, const char *name) {
    char file[64];
    snprintf(file, sizeof file, "%s.pem", name);
    set_pem(socket, WSS_CERT_PEM, file);
    snprintf(file, sizeof file, "%s.key", name);
    set_pem(socket, WSS_KEY_PEM, file);
}

void trust(void *socket, const char *name) {
    char file[64];
    snprintf(file, sizeof file, "%s.pem", name);
    set_pem(socket, WSS_TRUST_PEM, file);
}

const char *bind_secured(void *socket, const char *transport) {
    char address[64];
    need_transport(transport);
    if (strcmp(transport, "tls") != 0 && strcmp(transport, "wss") != 0)
        return bind_fresh(socket, transport);
    identify(socket, "server");
    snprintf(address, sizeof address, "%s://127.0.0.1:*", transport);
    return bind_address(socket, address);
}

void connect_secured(void *socket, const char *endpoint) {
    if (strncmp(endpoint, "tls:", 4) == 0 || strncmp(endpoint, "wss:", 4) == 0)
        trust(socket, "ca");
    connect_address(socket, endpoint);
}

const char *link_sockets(void *binder, void *connecter, const char *transport) {
    const char *endpoint = bind_secured(binder, transport);
    connect_secured(connecter, endpoint);
    return endpoint;
}

void connect_address(void *socket, const char *endpoint) {
    if (zmq_connect(socket, endpoint) != 0)
        fail("connecting to %s failed: %s", endpoint, zmq_strerror(zmq_errno()));
}

const char *unused_endpoint(const char *transport) {
    if (strcmp(transport, "tcp") == 0)
        return unused_tcp_endpoint();
    return strcmp(transport, "ipc") == 0 ? "ipc://nobody-yet" : "inproc://nobody-yet";
}

const char *unused_tcp_endpoint(void) {
    // Bound but not listening for the rest of the test: nobody else gets the port, and connecting
    // to it is refused.
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        fail("no unused port: %s", strerror(errno));
    // So that the test can bind there later through a library that sets it as well.
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    char *endpoint = malloc(64);
    snprintf(endpoint, 64, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    return endpoint;
}

int port_of(const char *endpoint) {
    const char *colon = strrchr(endpoint, ':');
    return colon ? atoi(colon + 1) : -1;
}

// ---- messages ----------------------------------------------------------------------------------

void send_bytes(void *socket, const void *data, size_t size, int flags) {
    int result = zmq_send(socket, data, size, flags);
    if (result < 0)
        fail("sending %zu bytes failed: %s", size, zmq_strerror(zmq_errno()));
    if (result != (int)size)
        fail("sending %zu bytes returned %d", size, result);
}

void send_parts(void *socket, const char *const *parts) {
    for (; *parts; parts++)
        send_bytes(socket, *parts, strlen(*parts), parts[1] ? ZMQ_SNDMORE : 0);
}

static void wait_receivable(void *socket) {
    if (!shows_events(socket, ZMQ_POLLIN, DEADLINE_MS))
        fail("nothing arrived within %d ms", DEADLINE_MS);
}

struct frame recv_frame(void *socket) {
    struct frame frame = {0};
    int size;
    // A plain blocking receive: polling first would hide the path most programs use. The time
    // limit of the test ends it when nothing comes.
    do
        size = zmq_recv(socket, frame.data, sizeof frame.data, 0);
    while (size < 0 && zmq_errno() == EINTR);
    if (size < 0)
        fail("receiving failed: %s", zmq_strerror(zmq_errno()));
    frame.size = (size_t)size;
    frame.more = get_int(socket, ZMQ_RCVMORE, "ZMQ_RCVMORE") != 0;
    return frame;
}

void expect_bytes(void *socket, const void *expected, size_t size, bool more) {
    struct frame frame = recv_frame(socket);
    check_bytes(frame.data, frame.size < sizeof frame.data ? frame.size : sizeof frame.data,
                expected, size, "the received part");
    if (frame.more != more)
        fail("the received part has RCVMORE %d", frame.more);
}

void expect_parts(void *socket, const char *const *parts) {
    for (; *parts; parts++)
        expect_bytes(socket, *parts, strlen(*parts), parts[1] != NULL);
}

bool try_send(void *socket, const char *text) {
    int result = zmq_send(socket, text, strlen(text), ZMQ_DONTWAIT);
    if (result < 0 && zmq_errno() != EAGAIN)
        fail("sending failed: %s", zmq_strerror(zmq_errno()));
    return result >= 0;
}

bool try_recv(void *socket, struct frame *frame) {
    memset(frame, 0, sizeof *frame);
    int size = zmq_recv(socket, frame->data, sizeof frame->data, ZMQ_DONTWAIT);
    if (size < 0 && zmq_errno() != EAGAIN)
        fail("receiving failed: %s", zmq_strerror(zmq_errno()));
    if (size < 0)
        return false;
    frame->size = (size_t)size;
    frame->more = get_int(socket, ZMQ_RCVMORE, "ZMQ_RCVMORE") != 0;
    return true;
}

void expect_nothing(void *socket) {
    struct frame frame;
    if (shows_events(socket, ZMQ_POLLIN, ABSENCE_MS))
        fail("polling found something to receive");
    if (try_recv(socket, &frame))
        fail("received %zu bytes where nothing should come", frame.size);
}

bool shows_events(void *socket, short events, long ms) {
    const long long deadline = now_ms() + ms;
    for (;;) {
        zmq_pollitem_t item = {.socket = socket, .events = events};
        long left = (long)(deadline - now_ms());
        int result = zmq_poll(&item, 1, left > 0 ? left : 0);
        if (result < 0 && zmq_errno() != EINTR)
            fail("zmq_poll failed: %s", zmq_strerror(zmq_errno()));
        if (result > 0 && (item.revents & events) == events)
            return true;
        if (now_ms() >= deadline)
            return false;
        if (result > 0)
            pause_briefly(); // one of several events shows already
    }
}

void wait_events(void *socket, short events) {
    if (!shows_events(socket, events, DEADLINE_MS))
        fail("the socket does not show the events %d", events);
}

void bounce(void *a, void *b) {
    send_parts(a, PARTS_("ping", "", "of two and a half parts"));
    wait_receivable(b);
    expect_parts(b, PARTS_("ping", "", "of two and a half parts"));
    send_parts(b, PARTS_("pong"));
    wait_receivable(a);
    expect_parts(a, PARTS_("pong"));
}

void sync_pubsub(void *pub, void *sub) {
    static int number;
    char text[64];
    const int round = __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED);
    set_bytes(sub, ZMQ_SUBSCRIBE, "harness-sync ", 13, "ZMQ_SUBSCRIBE");
    const long long deadline = now_ms() + DEADLINE_MS;
    do {
        if (now_ms() > deadline)
            fail("the subscription does not reach the publisher");
        snprintf(text, sizeof text, "harness-sync %d", round);
        send_bytes(pub, text, strlen(text), 0);
    } while (!shows_events(sub, ZMQ_POLLIN, 5));
    snprintf(text, sizeof text, "harness-sync end %d", round);
    send_bytes(pub, text, strlen(text), 0);
    for (;;) {
        wait_receivable(sub);
        struct frame frame = recv_frame(sub);
        if (frame.size == strlen(text) && memcmp(frame.data, text, frame.size) == 0)
            return;
    }
}

// ---- monitors ----------------------------------------------------------------------------------

void *monitor(void *socket, int events) {
    static int number;
    char address[64];
    snprintf(address, sizeof address, "inproc://monitor-%d",
             __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED));
    if (zmq_socket_monitor(socket, address, events) != 0)
        fail("zmq_socket_monitor failed: %s", zmq_strerror(zmq_errno()));
    void *mon = new_socket(context(), ZMQ_PAIR);
    connect_address(mon, address);
    pthread_mutex_lock(&tables);
    watched[place_of(mon)] = socket;
    pthread_mutex_unlock(&tables);
    return mon;
}

bool event_within(void *mon, struct event *event, long ms) {
    if (!shows_events(mon, ZMQ_POLLIN, ms))
        return false;
    struct frame head = recv_frame(mon);
    if (head.size != 6 || !head.more)
        fail("a monitor event of %zu bytes, RCVMORE %d", head.size, head.more);
    uint16_t number;
    uint32_t value;
    memcpy(&number, head.data, 2);
    memcpy(&value, head.data + 2, 4);
    struct frame address = recv_frame(mon);
    if (address.more || address.size >= sizeof event->address)
        fail("a monitor address of %zu bytes, RCVMORE %d", address.size, address.more);
    event->event = number;
    event->value = (int)value;
    memcpy(event->address, address.data, address.size);
    event->address[address.size] = '\0';
    return true;
}

struct event next_event(void *mon) {
    struct event event;
    if (!event_within(mon, &event, DEADLINE_MS))
        fail("no monitor event within %d ms", DEADLINE_MS);
    return event;
}

struct event expect_event(void *mon, int expected) {
    struct event event = next_event(mon);
    if (event.event != expected)
        fail("the monitor says %s (value %d, address %s), not %s", event_name(event.event),
             event.value, event.address, event_name(expected));
    return event;
}

struct event await_event(void *mon, int expected) {
    const long long deadline = now_ms() + DEADLINE_MS;
    for (;;) {
        struct event event;
        if (!event_within(mon, &event, (long)(deadline - now_ms())))
            fail("the monitor does not say %s", event_name(expected));
        if (event.event == expected)
            return event;
    }
}

const char *event_name(int event) {
    static const struct {
        int event;
        const char *name;
    } names[] = {
        {ZMQ_EVENT_CONNECTED, "CONNECTED"},
        {ZMQ_EVENT_CONNECT_DELAYED, "CONNECT_DELAYED"},
        {ZMQ_EVENT_CONNECT_RETRIED, "CONNECT_RETRIED"},
        {ZMQ_EVENT_LISTENING, "LISTENING"},
        {ZMQ_EVENT_BIND_FAILED, "BIND_FAILED"},
        {ZMQ_EVENT_ACCEPTED, "ACCEPTED"},
        {ZMQ_EVENT_ACCEPT_FAILED, "ACCEPT_FAILED"},
        {ZMQ_EVENT_CLOSED, "CLOSED"},
        {ZMQ_EVENT_CLOSE_FAILED, "CLOSE_FAILED"},
        {ZMQ_EVENT_DISCONNECTED, "DISCONNECTED"},
        {ZMQ_EVENT_MONITOR_STOPPED, "MONITOR_STOPPED"},
        {ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, "HANDSHAKE_FAILED_NO_DETAIL"},
        {ZMQ_EVENT_HANDSHAKE_SUCCEEDED, "HANDSHAKE_SUCCEEDED"},
        {ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, "HANDSHAKE_FAILED_PROTOCOL"},
        {ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, "HANDSHAKE_FAILED_AUTH"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].event == event)
            return names[i].name;
    return "an unknown event";
}
