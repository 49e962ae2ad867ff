/* SPDX-License-Identifier: MPL-2.0 */
/* What the machine can do without any protocol: the same bytes over plain sockets, and between two
 * threads over plain memory. Prints the lines of the perf tools.
 *
 * Waiting, for bytes or for room, is either `block` (sleep in the kernel at once) or `spin` (look
 * again for up to 20 us, giving the core away with sched_yield between looks, and only then
 * sleep). */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS 20000u
#define READ_SIZE (256 * 1024)

static const char usage[] =
    "usage: raw_limit local_lat|remote_lat <endpoint> <size> <count> block|spin\n"
    "       raw_limit local_thr|remote_thr <endpoint> <write-size> <count> block|spin\n"
    "       raw_limit inproc_lat <size> <count> block|spin\n"
    "endpoint: tcp://127.0.0.1:<port> or ipc://<path>";

static _Noreturn void fail(const char *what)
{
    printf("error in %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static _Noreturn void fail_usage(void)
{
    printf("%s\n", usage);
    exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static int number_argument(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < 1 || number > INT_MAX)
        fail_usage();
    return (int) number;
}

static bool spin_argument(const char *text)
{
    if (strcmp(text, "spin") != 0 && strcmp(text, "block") != 0)
        fail_usage();
    return text[0] == 's';
}

/* --- sockets --- */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in tcp;
        struct sockaddr_un ipc;
    } name;
    socklen_t length;
};

static struct address parse_endpoint(const char *endpoint)
{
    static const char tcp[] = "tcp://127.0.0.1:", ipc[] = "ipc://";
    struct address address;
    memset(&address, 0, sizeof address);
    if (strncmp(endpoint, tcp, strlen(tcp)) == 0) {
        address.name.tcp.sin_family = AF_INET;
        address.name.tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.name.tcp.sin_port = htons((uint16_t) number_argument(endpoint + strlen(tcp)));
        address.length = sizeof address.name.tcp;
    } else if (strncmp(endpoint, ipc, strlen(ipc)) == 0
               && strlen(endpoint + strlen(ipc)) < sizeof address.name.ipc.sun_path) {
        address.name.ipc.sun_family = AF_UNIX;
        strcpy(address.name.ipc.sun_path, endpoint + strlen(ipc));
        address.length = sizeof address.name.ipc;
    } else {
        fail_usage();
    }
    return address;
}

static int new_socket(const struct address *address)
{
    int descriptor = socket(address->name.any.sa_family, SOCK_STREAM, 0);
    if (descriptor < 0)
        fail("socket");
    /* As the library does within one machine. */
    if (address->name.any.sa_family == AF_INET)
        setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
    return descriptor;
}

static void set_nodelay(int descriptor, const struct address *address)
{
    int on = 1;
    if (address->name.any.sa_family == AF_INET
        && setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail("setsockopt");
}

static int accept_one(const char *endpoint)
{
    struct address address = parse_endpoint(endpoint);
    int on = 1, listener = new_socket(&address);
    if (address.name.any.sa_family == AF_UNIX)
        unlink(address.name.ipc.sun_path);
    else
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, &address.name.any, address.length) != 0)
        fail("bind");
    if (listen(listener, 1) != 0)
        fail("listen");
    int connection = accept(listener, NULL, NULL);
    if (connection < 0)
        fail("accept");
    close(listener);
    set_nodelay(connection, &address);
    return connection;
}

static int connect_one(const char *endpoint)
{
    struct address address = parse_endpoint(endpoint);
    int connection = new_socket(&address);
    if (connect(connection, &address.name.any, address.length) != 0)
        fail("connect");
    set_nodelay(connection, &address);
    return connection;
}

/* Whether a spin that began with `*deadline` zero may go on; gives the core away if so. */
static bool spin_on(uint64_t *deadline)
{
    uint64_t now = now_ns();
    if (*deadline == 0)
        *deadline = now + SPIN_NS;
    if (now >= *deadline)
        return false;
    sched_yield();
    return true;
}

static void send_all(int connection, const char *bytes, size_t size, bool spin)
{
    while (size > 0) {
        uint64_t deadline = 0;
        int flags = MSG_NOSIGNAL | (spin ? MSG_DONTWAIT : 0);
        ssize_t sent;
        while ((sent = send(connection, bytes, size, flags)) < 0) {
            if (errno != EAGAIN)
                fail("send");
            if (!spin_on(&deadline))
                flags &= ~MSG_DONTWAIT;
        }
        bytes += sent;
        size -= (size_t) sent;
    }
}

static size_t receive_some(int connection, char *bytes, size_t size, bool spin)
{
    uint64_t deadline = 0;
    int flags = spin ? MSG_DONTWAIT : 0;
    ssize_t got;
    while ((got = recv(connection, bytes, size, flags)) < 0) {
        if (errno != EAGAIN)
            fail("recv");
        if (!spin_on(&deadline))
            flags = 0;
    }
    if (got == 0) {
        printf("connection closed early\n");
        exit(EXIT_FAILURE);
    }
    return (size_t) got;
}

static void receive_all(int connection, char *bytes, size_t size, bool spin)
{
    for (size_t filled = 0; filled < size;)
        filled += receive_some(connection, bytes + filled, size - filled, spin);
}

static char *buffer_of(size_t size)
{
    char *buffer = calloc(1, size);
    if (!buffer)
        fail("calloc");
    return buffer;
}

static void print_latency(int size, int count, uint64_t elapsed_ns)
{
    printf("message size: %d [B]\n", size);
    printf("roundtrip count: %d\n", count);
    printf("average latency: %.3f [us]\n", (double) elapsed_ns / 2000.0 / count);
}

static void local_lat(int connection, int size, int count, bool spin)
{
    char *buffer = buffer_of((size_t) size);
    for (int i = 0; i < count; i++) {
        receive_all(connection, buffer, (size_t) size, spin);
        send_all(connection, buffer, (size_t) size, spin);
    }
    free(buffer);
}

static void remote_lat(int connection, int size, int count, bool spin)
{
    char *buffer = buffer_of((size_t) size);
    uint64_t start = now_ns();
    for (int i = 0; i < count; i++) {
        send_all(connection, buffer, (size_t) size, spin);
        receive_all(connection, buffer, (size_t) size, spin);
    }
    print_latency(size, count, now_ns() - start);
    free(buffer);
}

static void local_thr(int connection, int size, int count, bool spin)
{
    char *buffer = buffer_of(READ_SIZE);
    uint64_t total = (uint64_t) size * (uint64_t) count;
    uint64_t received = receive_some(connection, buffer, READ_SIZE, spin);
    uint64_t start = now_ns(), timed = total - received;
    while (received < total)
        received += receive_some(connection, buffer, READ_SIZE, spin);
    uint64_t elapsed = now_ns() - start;
    double bytes_per_second = (double) timed * 1e9 / (double) (elapsed ? elapsed : 1);
    printf("message size: %d [B]\n", size);
    printf("message count: %d\n", count);
    printf("mean throughput: %d [msg/s]\n", (int) (bytes_per_second / size));
    printf("mean throughput: %.3f [Mb/s]\n", bytes_per_second * 8 / 1e6);
    free(buffer);
}

static void remote_thr(int connection, int size, int count, bool spin)
{
    char *buffer = buffer_of((size_t) size);
    for (int i = 0; i < count; i++)
        send_all(connection, buffer, (size_t) size, spin);
    /* Wait until the receiver has closed: an early close could cut the stream short. */
    shutdown(connection, SHUT_WR);
    while (recv(connection, buffer, (size_t) size, 0) > 0) {}
    free(buffer);
}

/* --- two threads --- */

/* A slot for one message: filled by one thread, emptied by the other. */
struct slot {
    _Alignas(64) atomic_uint state;
    char *bytes;
};

enum { EMPTY, FULL, EMPTY_AWAITED };

struct exchange {
    struct slot there, back;
    int size, count;
    bool spin;
};

static void put(struct slot *slot, const char *bytes, size_t size)
{
    memcpy(slot->bytes, bytes, size);
    if (atomic_exchange(&slot->state, FULL) == EMPTY_AWAITED)
        syscall(SYS_futex, &slot->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void take(struct slot *slot, char *bytes, size_t size, bool spin)
{
    uint64_t deadline = 0;
    while (atomic_load(&slot->state) != FULL) {
        if (spin && spin_on(&deadline))
            continue;
        unsigned expected = EMPTY;
        if (atomic_compare_exchange_strong(&slot->state, &expected, EMPTY_AWAITED)
            || expected == EMPTY_AWAITED)
            syscall(SYS_futex, &slot->state, FUTEX_WAIT_PRIVATE, EMPTY_AWAITED, NULL, NULL, 0);
    }
    memcpy(bytes, slot->bytes, size);
    atomic_store(&slot->state, EMPTY);
}

static void *answer(void *argument)
{
    struct exchange *exchange = argument;
    char *buffer = buffer_of((size_t) exchange->size);
    for (int i = 0; i < exchange->count; i++) {
        take(&exchange->there, buffer, (size_t) exchange->size, exchange->spin);
        put(&exchange->back, buffer, (size_t) exchange->size);
    }
    free(buffer);
    return NULL;
}

static void inproc_lat(int size, int count, bool spin)
{
    static struct exchange exchange;
    exchange.size = size;
    exchange.count = count;
    exchange.spin = spin;
    exchange.there.bytes = buffer_of((size_t) size);
    exchange.back.bytes = buffer_of((size_t) size);
    char *buffer = buffer_of((size_t) size);
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer, &exchange) != 0)
        fail("pthread_create");
    uint64_t start = now_ns();
    for (int i = 0; i < count; i++) {
        put(&exchange.there, buffer, (size_t) size);
        take(&exchange.back, buffer, (size_t) size, spin);
    }
    print_latency(size, count, now_ns() - start);
    pthread_join(thread, NULL);
    free(buffer);
}

int main(int argc, char *argv[])
{
    static const struct {
        const char *name;
        int (*open)(const char *endpoint);
        void (*run)(int connection, int size, int count, bool spin);
    } roles[] = {
        {"local_lat", accept_one, local_lat},
        {"remote_lat", connect_one, remote_lat},
        {"local_thr", accept_one, local_thr},
        {"remote_thr", connect_one, remote_thr},
    };

    if (argc == 5 && strcmp(argv[1], "inproc_lat") == 0) {
        inproc_lat(number_argument(argv[2]), number_argument(argv[3]), spin_argument(argv[4]));
        return 0;
    }
    for (size_t i = 0; argc == 6 && i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(argv[1], roles[i].name) == 0) {
            int size = number_argument(argv[3]), count = number_argument(argv[4]);
            bool spin = spin_argument(argv[5]);
            roles[i].run(roles[i].open(argv[2]), size, count, spin);
            return 0;
        }
    }
    fail_usage();
}
