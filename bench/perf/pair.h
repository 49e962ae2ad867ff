/* SPDX-License-Identifier: MPL-2.0 */
/* Two sides of a benchmark: two processes, or two threads of one process (inproc).
 *
 * The sides agree over a socket pair that is no part of the library measured: where to connect,
 * when both are ready, what was counted. So nothing but the traffic itself is timed, and no run
 * depends on luck with ports or start-up. Results are printed by the serving side as `key value`
 * lines. Whatever goes wrong ends both sides with a reason on stderr. */
#ifndef PAIR_H
#define PAIR_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "perf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct side {
    int control;
    int serving;
    int threads; /* both sides are in this process */
    void *context;
};

__attribute__((noreturn, format(printf, 1, 2))) static inline void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    _exit(EXIT_FAILURE);
}

/* Like check(), with the reason on stderr. */
static inline int must(int result, const char *call)
{
    if (result < 0)
        fail("%s: %s", call, zmq_strerror(zmq_errno()));
    return result;
}

static inline void *must_handle(void *handle, const char *call)
{
    must(handle ? 0 : -1, call);
    return handle;
}

static inline void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        fail("calloc: out of memory");
    return memory;
}

/* --- the control channel --- */

static inline void tell(struct side *side, const char *text)
{
    if (send(side->control, text, strlen(text) + 1, MSG_NOSIGNAL) < 0)
        fail("the other side is gone");
}

/* A figure of this side. */
static inline void result(struct side *side, const char *key, double value)
{
    char line[128];
    snprintf(line, sizeof line, "=%s %.17g", key, value);
    if (side->serving)
        puts(line + 1);
    else
        tell(side, line);
}

/* The next word of the other side; its figures are printed on the way. */
static inline const char *hear(struct side *side)
{
    static __thread char line[256];
    for (;;) {
        ssize_t length = recv(side->control, line, sizeof line - 1, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            fail("the other side is gone");
        line[length] = '\0';
        if (line[0] != '=')
            return line;
        puts(line + 1);
    }
}

/* Like hear(), but gives up after so many milliseconds: NULL. */
static inline const char *hear_within(struct side *side, int milliseconds)
{
    struct timeval limit = {milliseconds / 1000, milliseconds % 1000 * 1000};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(side->control, &set);
    return select(side->control + 1, &set, NULL, NULL, &limit) == 1 ? hear(side) : NULL;
}

/* Both sides go on together. */
static inline void meet(struct side *side)
{
    tell(side, "here");
    hear(side);
}

/* --- what a phase costs --- */

struct window {
    struct rusage usage;
};

static inline void window_begin(struct window *window)
{
    getrusage(RUSAGE_SELF, &window->usage);
}

static inline double microseconds(struct timeval time)
{
    return (double) time.tv_sec * 1e6 + (double) time.tv_usec;
}

/* The most memory this process has had in RAM. (ru_maxrss would count what the program that started
 * this one had.) */
static inline double peak_rss_kib(void)
{
    char line[128];
    double kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && kib == 0 && fgets(line, sizeof line, file))
        (void) sscanf(line, "VmHWM: %lf", &kib);
    if (!file || kib == 0)
        fail("/proc/self/status cannot be read");
    fclose(file);
    return kib;
}

/* CPU time and voluntary context switches of all this process's threads since window_begin. With
 * both sides in one process only the serving side reports. */
static inline void window_end(struct side *side, const struct window *window)
{
    struct rusage now;
    getrusage(RUSAGE_SELF, &now);
    if (side->threads && !side->serving)
        return;
    result(side, side->serving ? "server_cpu_us" : "client_cpu_us",
           microseconds(now.ru_utime) + microseconds(now.ru_stime)
               - microseconds(window->usage.ru_utime) - microseconds(window->usage.ru_stime));
    result(side, side->serving ? "server_switches" : "client_switches",
           (double) (now.ru_nvcsw - window->usage.ru_nvcsw));
    result(side, side->serving ? "server_rss_kib" : "client_rss_kib", peak_rss_kib());
}

/* The memory this process has in RAM, in KiB. */
static inline double resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*s %ld", &pages) != 1)
        fail("/proc/self/statm cannot be read");
    fclose(file);
    return (double) pages * (double) sysconf(_SC_PAGESIZE) / 1024;
}

/* --- times --- */

struct samples {
    uint64_t *nanoseconds;
    size_t count, room;
};

static inline void sample(struct samples *samples, uint64_t nanoseconds)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 1 << 16;
        samples->nanoseconds =
            realloc(samples->nanoseconds, samples->room * sizeof *samples->nanoseconds);
        if (!samples->nanoseconds)
            fail("realloc: out of memory");
    }
    samples->nanoseconds[samples->count++] = nanoseconds;
}

static int ascending_ns(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *) left, b = *(const uint64_t *) right;
    return (a > b) - (a < b);
}

/* The smallest sample that at least `share` of all samples do not exceed, in microseconds. */
static inline double quantile_us(const struct samples *samples, double share)
{
    size_t rank = (size_t) (share * (double) samples->count);
    if ((double) rank < share * (double) samples->count)
        rank++;
    return (double) samples->nanoseconds[rank > 0 ? rank - 1 : 0] / 1000.0;
}

static inline void report_samples(struct side *side, struct samples *samples)
{
    if (samples->count == 0)
        fail("nothing was measured");
    qsort(samples->nanoseconds, samples->count, sizeof *samples->nanoseconds, ascending_ns);
    result(side, "p50_us", quantile_us(samples, 0.5));
    result(side, "p99_us", quantile_us(samples, 0.99));
    result(side, "p999_us", quantile_us(samples, 0.999));
    double sum = 0;
    for (size_t i = 0; i < samples->count; i++)
        sum += (double) samples->nanoseconds[i];
    result(side, "mean_us", sum / 1000.0 / (double) samples->count);
    free(samples->nanoseconds);
}

static inline void pause_ms(int milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

/* --- starting both sides --- */

static inline void place(int cpu)
{
    if (cpu < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        fail("cannot run on CPU %d: %s", cpu, strerror(errno));
}

static inline void raise_descriptor_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static pid_t client_process;

/* A client that fails has said why; the server must not wait for it for ever. */
static void client_ended(int signal)
{
    (void) signal;
    int saved = errno, status;
    if (waitpid(client_process, &status, WNOHANG) == client_process && status != 0)
        _exit(EXIT_FAILURE);
    errno = saved;
}

static inline void *new_context(void)
{
    void *context = must_handle(zmq_ctx_new(), "zmq_ctx_new");
    must(zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 8192), "zmq_ctx_set");
    return context;
}

struct thread_start {
    struct side *side;
    void (*body)(struct side *);
};

static inline void *client_thread(void *argument)
{
    struct thread_start *start = argument;
    start->body(start->side);
    return NULL;
}

/* Runs `server` and `client`, each with a context of its own unless they are `threads` of this
 * process. `cpus`: the core of the server and of the client, -1 for any. */
static inline void run_sides(int threads, const int cpus[2], void (*server)(struct side *),
                             void (*client)(struct side *))
{
    int controls[2];
    raise_descriptor_limit();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, controls) != 0)
        fail("socketpair: %s", strerror(errno));
    struct side serving = {controls[0], 1, threads, NULL};
    struct side asking = {controls[1], 0, threads, NULL};
    if (threads) {
        place(cpus[0]);
        serving.context = asking.context = new_context();
        struct thread_start start = {&asking, client};
        pthread_t thread;
        if (pthread_create(&thread, NULL, client_thread, &start) != 0)
            fail("pthread_create failed");
        server(&serving);
        tell(&serving, "end");
        hear(&serving);
        pthread_join(thread, NULL);
        must(zmq_ctx_term(serving.context), "zmq_ctx_term");
        fflush(stdout);
        return;
    }
    signal(SIGCHLD, client_ended);
    /* The handler needs the child's number, so the child may not end before it is known. */
    sigset_t child_signal, before;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signal, &before);
    client_process = fork();
    if (client_process < 0)
        fail("fork: %s", strerror(errno));
    if (client_process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_DFL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        close(controls[0]);
        place(cpus[1]);
        asking.context = new_context();
        client(&asking);
        must(zmq_ctx_term(asking.context), "zmq_ctx_term");
        _exit(EXIT_SUCCESS);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(controls[1]);
    place(cpus[0]);
    serving.context = new_context();
    server(&serving);
    /* From here on the client may end, which must not interrupt anything. */
    signal(SIGCHLD, SIG_DFL);
    tell(&serving, "end");
    hear(&serving);
    must(zmq_ctx_term(serving.context), "zmq_ctx_term");
    int status;
    if (waitpid(client_process, &status, 0) != client_process || status != 0)
        fail("the client ended badly");
    fflush(stdout);
}

/* The last words of a client. */
static inline void farewell(struct side *side)
{
    tell(side, "end");
    hear(side);
}

/* --- sockets --- */

static inline void set_number(void *socket, int option, int value)
{
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0)
        fail("zmq_setsockopt(%d): %s", option, zmq_strerror(zmq_errno()));
}

static inline int free_tcp_port(void)
{
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (probe < 0 || bind(probe, (struct sockaddr *) &address, length) != 0
        || getsockname(probe, (struct sockaddr *) &address, &length) != 0)
        fail("no free port: %s", strerror(errno));
    close(probe);
    return ntohs(address.sin_port);
}

/* --- idle peers: connections with a finished ZMTP 3.1 handshake (RFC 37) and nothing after it,
 * made by hand so that they cost their own side nothing and are the same for every library --- */

static inline void write_whole(int descriptor, const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = send(descriptor, bytes, length, MSG_NOSIGNAL);
        if (written <= 0)
            fail("an idle peer cannot write: %s", strerror(errno));
        bytes += written;
        length -= (size_t) written;
    }
}

static inline void read_whole(int descriptor, unsigned char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t got = recv(descriptor, bytes, length, 0);
        if (got <= 0)
            fail("an idle peer was not greeted: %s", got ? strerror(errno) : "closed");
        bytes += got;
        length -= (size_t) got;
    }
}

static inline void greet(int descriptor, const char *socket_type)
{
    unsigned char bytes[64 + 64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'N', 'U', 'L', 'L'};
    size_t type_length = strlen(socket_type), at = 64;
    bytes[at++] = 4;
    bytes[at++] = (unsigned char) (6 + 12 + 4 + type_length);
    memcpy(bytes + at, "\5READY\13Socket-Type\0\0\0", 21);
    at += 21;
    bytes[at++] = (unsigned char) type_length;
    memcpy(bytes + at, socket_type, type_length);
    write_whole(descriptor, bytes, at + type_length);
}

static inline void await_greeting(int descriptor)
{
    unsigned char bytes[64 + 2 + 255];
    read_whole(descriptor, bytes, 64 + 2);
    if (bytes[64] != 4)
        fail("an idle peer was greeted with 0x%02x instead of a short command", bytes[64]);
    read_whole(descriptor, bytes, bytes[65]);
    if (memcmp(bytes, "\5READY", 6) != 0)
        fail("an idle peer was refused");
}

#define GREETED_AT_ONCE 50

/* Opens `count` such connections to the port, some at a time. */
static inline int *idle_peers(int port, int count, const char *socket_type)
{
    int *descriptors = allocate((size_t) count, sizeof *descriptors);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int first = 0; first < count; first += GREETED_AT_ONCE) {
        int last = first + GREETED_AT_ONCE < count ? first + GREETED_AT_ONCE : count;
        for (int i = first; i < last; i++) {
            int one = 1;
            descriptors[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (descriptors[i] < 0)
                fail("idle peer %d: %s", i, strerror(errno));
            setsockopt(descriptors[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            if (connect(descriptors[i], (struct sockaddr *) &address, sizeof address) != 0)
                fail("idle peer %d cannot connect: %s", i, strerror(errno));
            greet(descriptors[i], socket_type);
        }
        for (int i = first; i < last; i++)
            await_greeting(descriptors[i]);
    }
    return descriptors;
}

static inline void dismiss(int *descriptors, int count)
{
    /* A reset leaves no port behind in TIME_WAIT. */
    struct linger none = {1, 0};
    for (int i = 0; i < count; i++) {
        setsockopt(descriptors[i], SOL_SOCKET, SO_LINGER, &none, sizeof none);
        close(descriptors[i]);
    }
    free(descriptors);
}

#endif
