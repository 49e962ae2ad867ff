/* SPDX-License-Identifier: MPL-2.0 */
/* What the perf tools share: arguments, clock, error reports, printed lines.
 *
 * The names, arguments and printed lines are those of libzmq's perf tools, so scripts written for
 * those read these as well. Only zmq.h is used, and the library is chosen when the program starts
 * (LD_LIBRARY_PATH): one binary measures every implementation. The clock is ours, so that no
 * library times itself. */
#ifndef PERF_H
#define PERF_H

#include <zmq.h>

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Ends the program with the library's error text when a zmq call has failed. */
static inline int check(int result, const char *call)
{
    if (result < 0) {
        printf("error in %s: %s\n", call, zmq_strerror(zmq_errno()));
        exit(EXIT_FAILURE);
    }
    return result;
}

static inline void *check_handle(void *handle, const char *call)
{
    check(handle ? 0 : -1, call);
    return handle;
}

/* A whole number of at least `least`; anything else ends the program with the usage text. */
static inline int number_argument(const char *text, int least, const char *usage)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < least || number > INT_MAX) {
        printf("%s\n", usage);
        exit(EXIT_FAILURE);
    }
    return (int) number;
}

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static inline void receive(void *socket, zmq_msg_t *message)
{
    check(zmq_msg_recv(message, socket, 0), "zmq_msg_recv");
}

/* Receives one message, which must have exactly this size. */
static inline void receive_sized(void *socket, zmq_msg_t *message, size_t size)
{
    receive(socket, message);
    if (zmq_msg_size(message) != size) {
        printf("message of incorrect size received\n");
        exit(EXIT_FAILURE);
    }
}

static inline void send_message(void *socket, zmq_msg_t *message)
{
    check(zmq_msg_send(message, socket, 0), "zmq_msg_send");
}

static inline void zeroed_message(zmq_msg_t *message, size_t size)
{
    check(zmq_msg_init_size(message, size), "zmq_msg_init_size");
    memset(zmq_msg_data(message), 0, size);
}

/* Sends `count` messages of `size` bytes, each a new message. The bodies stay as allocated: what
 * is measured is the library, not how fast an application fills memory. */
static inline void send_stream(void *socket, size_t size, int count)
{
    for (int i = 0; i < count; i++) {
        zmq_msg_t message;
        check(zmq_msg_init_size(&message, size), "zmq_msg_init_size");
        send_message(socket, &message);
        check(zmq_msg_close(&message), "zmq_msg_close");
    }
}

/* Receives `count` messages. Returns the nanoseconds between the first and the last: the time the
 * connection takes to come up is not part of the figure. */
static inline uint64_t receive_stream(void *socket, size_t size, int count)
{
    zmq_msg_t message;
    check(zmq_msg_init(&message), "zmq_msg_init");
    receive_sized(socket, &message, size);
    uint64_t start = now_ns();
    for (int i = 1; i < count; i++)
        receive_sized(socket, &message, size);
    uint64_t elapsed = now_ns() - start;
    check(zmq_msg_close(&message), "zmq_msg_close");
    return elapsed;
}

/* Makes `count` round trips with `message`. Returns the mean one-way time in microseconds. The
 * first trip also waits for the connection, so with more than one it stays out of the mean. */
static inline double round_trips(void *socket, zmq_msg_t *message, size_t size, int count)
{
    uint64_t start = now_ns();
    for (int i = 0; i < count; i++) {
        if (i == 1)
            start = now_ns();
        send_message(socket, message);
        receive_sized(socket, message, size);
    }
    int timed = count > 1 ? count - 1 : 1;
    return (double) (now_ns() - start) / 1000.0 / (2.0 * timed);
}

/* Sends back `count` messages as they come. */
static inline void echo(void *socket, int count, const size_t *expected_size)
{
    zmq_msg_t message;
    check(zmq_msg_init(&message), "zmq_msg_init");
    for (int i = 0; i < count; i++) {
        if (expected_size)
            receive_sized(socket, &message, *expected_size);
        else
            receive(socket, &message);
        send_message(socket, &message);
    }
    check(zmq_msg_close(&message), "zmq_msg_close");
}

static inline void print_throughput(size_t size, int count, uint64_t elapsed_ns)
{
    int timed = count > 1 ? count - 1 : 1;
    double per_second = timed * 1e9 / (double) (elapsed_ns ? elapsed_ns : 1);
    printf("mean throughput: %d [msg/s]\n", per_second < INT_MAX ? (int) per_second : INT_MAX);
    printf("mean throughput: %.3f [Mb/s]\n", per_second * (double) size * 8 / 1e6);
}

static inline void close_all(void *context, void *socket)
{
    check(zmq_close(socket), "zmq_close");
    check(zmq_ctx_term(context), "zmq_ctx_term");
}

#endif
