/* SPDX-License-Identifier: MPL-2.0 */
/* What is no latency and no throughput: figures of one kind each, over tcp.
 *
 *   bench_cell poll [sockets=400] [seconds=S]        zmq_poll(0) over idle, connected sockets
 *   bench_cell connections [connections=1000] [seconds=S]
 *       idle connections to one ROUTER: how fast they are accepted and greeted, the server's memory
 *       for each, and what the server does while they stay idle for that time
 *   bench_cell burst [messages=100] [gap=2] [seconds=S]
 *       bursts with `gap` ms of silence between: the way of each burst's last message
 *   bench_cell idle [seconds=S]                      what both processes do after the traffic
 *
 * All take cpus=A,B. Prints `key value` lines. */
#include "pair.h"

#include <dirent.h>

static int sockets = 400, connections = 1000, messages = 100, gap = 2;
static double seconds = 0.3;
static int cpus[2] = {-1, -1};

#define SIZE 64

static void *bind_new(struct side *side, int type)
{
    char endpoint[64];
    void *socket = must_handle(zmq_socket(side->context, type), "zmq_socket");
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", free_tcp_port());
    must(zmq_bind(socket, endpoint), "zmq_bind");
    tell(side, endpoint);
    return socket;
}

static void *connect_new(struct side *side, int type, const char *endpoint)
{
    void *socket = must_handle(zmq_socket(side->context, type), "zmq_socket");
    must(zmq_connect(socket, endpoint), "zmq_connect");
    return socket;
}

static void close_now(void *socket)
{
    set_number(socket, ZMQ_LINGER, 0);
    must(zmq_close(socket), "zmq_close");
}

/* Voluntary context switches of all threads of this process but the first. */
static double switches_of_others(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    double sum = 0;
    if (!directory)
        fail("/proc/self/task cannot be read");
    while ((entry = readdir(directory))) {
        char path[300], line[128];
        double count;
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *file = fopen(path, "r");
        while (file && fgets(line, sizeof line, file)) {
            if (sscanf(line, "voluntary_ctxt_switches: %lf", &count) == 1)
                sum += count;
        }
        if (file)
            fclose(file);
    }
    closedir(directory);
    return sum;
}

/* What this process does in `seconds` without traffic, after a moment to settle. */
static void report_idleness(struct side *side)
{
    struct rusage before, after;
    pause_ms(300);
    getrusage(RUSAGE_SELF, &before);
    double switches = switches_of_others();
    pause_ms((int) (seconds * 1000));
    switches = switches_of_others() - switches;
    getrusage(RUSAGE_SELF, &after);
    result(side, side->serving ? "server_idle_switches" : "client_idle_switches", switches);
    result(side, side->serving ? "server_idle_cpu_us" : "client_idle_cpu_us",
           microseconds(after.ru_utime) + microseconds(after.ru_stime)
               - microseconds(before.ru_utime) - microseconds(before.ru_stime));
}

/* --- poll --- */

static void poll_server(struct side *side)
{
    void *socket = bind_new(side, ZMQ_ROUTER);
    char part[SIZE];
    for (int i = 0; i < 2 * sockets; i++)
        must(zmq_recv(socket, part, sizeof part, 0), "zmq_recv");
    tell(side, "connected");
    hear(side);
    close_now(socket);
}

static void poll_client(struct side *side)
{
    zmq_pollitem_t *items = allocate((size_t) sockets, sizeof *items);
    struct samples samples = {0};
    char endpoint[64];
    strcpy(endpoint, hear(side));
    for (int i = 0; i < sockets; i++) {
        items[i].socket = connect_new(side, ZMQ_DEALER, endpoint);
        items[i].events = ZMQ_POLLIN;
        must(zmq_send(items[i].socket, "hello", 5, 0), "zmq_send");
    }
    hear(side);
    uint64_t start = now_ns(), end = start + (uint64_t) (seconds * 1e9);
    while (start < end) {
        if (must(zmq_poll(items, sockets, 0), "zmq_poll") != 0)
            fail("an idle socket is readable");
        uint64_t now = now_ns();
        sample(&samples, now - start);
        start = now;
    }
    result(side, "messages", (double) samples.count);
    report_samples(side, &samples);
    tell(side, "done");
    for (int i = 0; i < sockets; i++)
        close_now(items[i].socket);
    free(items);
    farewell(side);
}

/* --- connections --- */

static void connections_server(struct side *side)
{
    void *socket = bind_new(side, ZMQ_ROUTER);
    hear(side);
    double before = resident_kib();
    struct window window;
    window_begin(&window);
    tell(side, "go");
    hear(side);
    result(side, "rss_per_connection_kib", (resident_kib() - before) / connections);
    window_end(side, &window);
    report_idleness(side);
    tell(side, "done");
    hear(side);
    close_now(socket);
}

static void connections_client(struct side *side)
{
    int port = atoi(strrchr(hear(side), ':') + 1);
    /* The first ones pay for what the server sets up once. */
    int *first = idle_peers(port, GREETED_AT_ONCE, "DEALER");
    tell(side, "greeted");
    hear(side);
    uint64_t start = now_ns();
    int *others = idle_peers(port, connections, "DEALER");
    double elapsed = (double) (now_ns() - start) / 1e9;
    tell(side, "connected");
    result(side, "rate", connections / elapsed);
    result(side, "messages", connections);
    hear(side);
    dismiss(others, connections);
    dismiss(first, GREETED_AT_ONCE);
    tell(side, "dismissed");
    farewell(side);
}

/* --- burst --- */

static void burst_server(struct side *side)
{
    void *socket = bind_new(side, ZMQ_PULL);
    struct window window;
    struct samples samples = {0};
    char body[SIZE];
    must(zmq_recv(socket, body, sizeof body, 0), "zmq_recv");
    meet(side);
    window_begin(&window);
    for (;;) {
        for (int i = 0; i < messages; i++)
            must(zmq_recv(socket, body, sizeof body, 0), "zmq_recv");
        uint64_t sent, now = now_ns();
        memcpy(&sent, body + 8, sizeof sent);
        sample(&samples, now - sent);
        if (body[0])
            break;
    }
    meet(side);
    window_end(side, &window);
    result(side, "messages", (double) samples.count * messages);
    report_samples(side, &samples);
    close_now(socket);
}

static void burst_client(struct side *side)
{
    void *socket = connect_new(side, ZMQ_PUSH, hear(side));
    struct window window;
    char body[SIZE] = "";
    must(zmq_send(socket, body, sizeof body, 0), "zmq_send");
    meet(side);
    window_begin(&window);
    uint64_t end = now_ns() + (uint64_t) (seconds * 1e9);
    do {
        pause_ms(gap);
        body[0] = now_ns() >= end;
        for (int i = 0; i < messages; i++) {
            if (i == messages - 1) {
                uint64_t now = now_ns();
                memcpy(body + 8, &now, sizeof now);
            }
            must(zmq_send(socket, body, sizeof body, 0), "zmq_send");
        }
    } while (!body[0]);
    meet(side);
    window_end(side, &window);
    close_now(socket);
    farewell(side);
}

/* --- idle --- */

static void idle_server(struct side *side)
{
    void *socket = bind_new(side, ZMQ_REP);
    char body[SIZE];
    do {
        must(zmq_recv(socket, body, sizeof body, 0), "zmq_recv");
        must(zmq_send(socket, body, sizeof body, 0), "zmq_send");
    } while (!body[0]);
    meet(side);
    report_idleness(side);
    meet(side);
    close_now(socket);
}

static void idle_client(struct side *side)
{
    void *socket = connect_new(side, ZMQ_REQ, hear(side));
    char body[SIZE] = "";
    uint64_t end = now_ns() + 200000000;
    do {
        body[0] = now_ns() >= end;
        must(zmq_send(socket, body, sizeof body, 0), "zmq_send");
        must(zmq_recv(socket, body, sizeof body, 0), "zmq_recv");
    } while (!body[0]);
    meet(side);
    report_idleness(side);
    meet(side);
    close_now(socket);
    farewell(side);
}

/* --- arguments --- */

static void option(const char *text)
{
    const char *usage = "a whole number from 1";
    const char *value = strchr(text, '=');
    size_t length = value ? (size_t) (value - text) : 0;
#define IS(name) (length == strlen(name) && strncmp(text, name, length) == 0)
    if (IS("sockets"))
        sockets = number_argument(value + 1, 1, usage);
    else if (IS("connections"))
        connections = number_argument(value + 1, 1, usage);
    else if (IS("messages"))
        messages = number_argument(value + 1, 1, usage);
    else if (IS("gap"))
        gap = number_argument(value + 1, 1, usage);
    else if (IS("seconds"))
        seconds = atof(value + 1);
    else if (!IS("cpus") || sscanf(value + 1, "%d,%d", &cpus[0], &cpus[1]) != 2)
        fail("what is %s?", text);
#undef IS
}

int main(int argc, char *argv[])
{
    static const struct {
        const char *name;
        void (*server)(struct side *), (*client)(struct side *);
    } cells[] = {
        {"poll", poll_server, poll_client},
        {"connections", connections_server, connections_client},
        {"burst", burst_server, burst_client},
        {"idle", idle_server, idle_client},
    };
    for (int i = 2; i < argc; i++)
        option(argv[i]);
    for (size_t i = 0; argc > 1 && i < sizeof cells / sizeof *cells; i++) {
        if (strcmp(argv[1], cells[i].name) == 0) {
            run_sides(0, cpus, cells[i].server, cells[i].client);
            return 0;
        }
    }
    fail("usage: bench_cell poll|connections|burst|idle [key=value...]");
}
