/* SPDX-License-Identifier: MPL-2.0 */
/* Throughput between two threads of one process: PULL in the main thread, PUSH in a second one. */
#include "perf.h"

#include <pthread.h>

static const char usage[] = "usage: inproc_thr <message-size> <message-count>";
static const char endpoint[] = "inproc://thr_test";

static void *context;
static size_t message_size;
static int message_count;

static void *push(void *unused)
{
    void *socket = check_handle(zmq_socket(context, ZMQ_PUSH), "zmq_socket");
    check(zmq_connect(socket, endpoint), "zmq_connect");
    send_stream(socket, message_size, message_count);
    check(zmq_close(socket), "zmq_close");
    return unused;
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        printf("%s\n", usage);
        return 1;
    }
    message_size = (size_t) number_argument(argv[1], 0, usage);
    message_count = number_argument(argv[2], 1, usage);

    context = check_handle(zmq_ctx_new(), "zmq_ctx_new");
    void *socket = check_handle(zmq_socket(context, ZMQ_PULL), "zmq_socket");
    check(zmq_bind(socket, endpoint), "zmq_bind");

    pthread_t thread;
    if (pthread_create(&thread, NULL, push, NULL) != 0) {
        printf("error in pthread_create\n");
        return 1;
    }
    printf("message size: %d [B]\n", (int) message_size);
    printf("message count: %d\n", message_count);

    uint64_t elapsed = receive_stream(socket, message_size, message_count);
    pthread_join(thread, NULL);

    print_throughput(message_size, message_count, elapsed);
    close_all(context, socket);
    return 0;
}
