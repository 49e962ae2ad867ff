/* SPDX-License-Identifier: MPL-2.0 */
/* The asking side of the latency test: REQ round trips, mean one-way time. */
#include "perf.h"

#include "curve_keys.h"
#include "tls_options.h"

static const char usage[] =
    "usage: remote_lat <connect-to> <message-size> <roundtrip-count> [<enable_curve>]";

int main(int argc, char *argv[])
{
    if (argc != 4 && argc != 5) {
        printf("%s\n", usage);
        return 1;
    }
    size_t size = (size_t) number_argument(argv[2], 0, usage);
    int count = number_argument(argv[3], 1, usage);

    void *context = check_handle(zmq_ctx_new(), "zmq_ctx_new");
    void *socket = check_handle(zmq_socket(context, ZMQ_REQ), "zmq_socket");
    if (argc == 5 && number_argument(argv[4], 0, usage))
        enable_curve_client(socket);
    prepare_client(socket, argv[1]);
    check(zmq_connect(socket, argv[1]), "zmq_connect");

    zmq_msg_t message;
    zeroed_message(&message, size);
    double latency = round_trips(socket, &message, size, count);
    check(zmq_msg_close(&message), "zmq_msg_close");

    printf("message size: %d [B]\n", (int) size);
    printf("roundtrip count: %d\n", count);
    printf("average latency: %.3f [us]\n", latency);
    close_all(context, socket);
    return 0;
}
