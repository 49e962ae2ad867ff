/* SPDX-License-Identifier: MPL-2.0 */
/* Latency between two threads of one process: REQ in the main thread, REP in a second one. */
#include "perf.h"

#include <pthread.h>

static const char usage[] = "usage: inproc_lat <message-size> <roundtrip-count>";
static const char endpoint[] = "inproc://lat_test";

static void *context;
static int roundtrip_count;

static void *answer(void *unused)
{
    void *socket = check_handle(zmq_socket(context, ZMQ_REP), "zmq_socket");
    check(zmq_connect(socket, endpoint), "zmq_connect");
    echo(socket, roundtrip_count, NULL);
    check(zmq_close(socket), "zmq_close");
    return unused;
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        printf("%s\n", usage);
        return 1;
    }
    size_t size = (size_t) number_argument(argv[1], 0, usage);
    roundtrip_count = number_argument(argv[2], 1, usage);

    context = check_handle(zmq_ctx_new(), "zmq_ctx_new");
    void *socket = check_handle(zmq_socket(context, ZMQ_REQ), "zmq_socket");
    check(zmq_bind(socket, endpoint), "zmq_bind");

    pthread_t thread;
    if (pthread_create(&thread, NULL, answer, NULL) != 0) {
        printf("error in pthread_create\n");
        return 1;
    }
    printf("message size: %d [B]\n", (int) size);
    printf("roundtrip count: %d\n", roundtrip_count);

    zmq_msg_t message;
    zeroed_message(&message, size);
    double latency = round_trips(socket, &message, size, roundtrip_count);
    check(zmq_msg_close(&message), "zmq_msg_close");
    pthread_join(thread, NULL);

    printf("average latency: %.3f [us]\n", latency);
    close_all(context, socket);
    return 0;
}
