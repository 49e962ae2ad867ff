/* SPDX-License-Identifier: MPL-2.0 */
/* The sending side of the throughput test: a PUSH socket. Prints nothing unless it fails. */
#include "perf.h"

#include "curve_keys.h"
#include "tls_options.h"

static const char usage[] =
    "usage: remote_thr <connect-to> <message-size> <message-count> [<enable_curve>]";

int main(int argc, char *argv[])
{
    if (argc != 4 && argc != 5) {
        printf("%s\n", usage);
        return 1;
    }
    size_t size = (size_t) number_argument(argv[2], 0, usage);
    int count = number_argument(argv[3], 1, usage);

    void *context = check_handle(zmq_ctx_new(), "zmq_ctx_new");
    void *socket = check_handle(zmq_socket(context, ZMQ_PUSH), "zmq_socket");
    if (argc == 5 && number_argument(argv[4], 0, usage))
        enable_curve_client(socket);
    prepare_client(socket, argv[1]);
    check(zmq_connect(socket, argv[1]), "zmq_connect");
    send_stream(socket, size, count);
    close_all(context, socket);
    return 0;
}
