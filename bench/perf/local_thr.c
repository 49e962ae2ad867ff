/* SPDX-License-Identifier: MPL-2.0 */
/* The receiving side of the throughput test: a PULL socket that counts and times. */
#include "perf.h"

#include "curve_keys.h"
#include "tls_options.h"

static const char usage[] =
    "usage: local_thr <bind-to> <message-size> <message-count> [<enable_curve>]";

int main(int argc, char *argv[])
{
    if (argc != 4 && argc != 5) {
        printf("%s\n", usage);
        return 1;
    }
    size_t size = (size_t) number_argument(argv[2], 0, usage);
    int count = number_argument(argv[3], 1, usage);

    void *context = check_handle(zmq_ctx_new(), "zmq_ctx_new");
    void *socket = check_handle(zmq_socket(context, ZMQ_PULL), "zmq_socket");
    if (argc == 5 && number_argument(argv[4], 0, usage))
        enable_curve_server(socket);
    prepare_server(socket, argv[1]);
    check(zmq_bind(socket, argv[1]), "zmq_bind");
    uint64_t elapsed = receive_stream(socket, size, count);

    printf("message size: %d [B]\n", (int) size);
    printf("message count: %d\n", count);
    print_throughput(size, count, elapsed);
    close_all(context, socket);
    return 0;
}
