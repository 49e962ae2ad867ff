/* SPDX-License-Identifier: MPL-2.0 */
/* The answering side of the latency test: a REP socket that sends every request back. */
#include "perf.h"

#include "curve_keys.h"
#include "tls_options.h"

static const char usage[] =
    "usage: local_lat <bind-to> <message-size> <roundtrip-count> [<enable_curve>]";

int main(int argc, char *argv[])
{
    if (argc != 4 && argc != 5) {
        printf("%s\n", usage);
        return 1;
    }
    size_t size = (size_t) number_argument(argv[2], 0, usage);
    int count = number_argument(argv[3], 1, usage);

    void *context = check_handle(zmq_ctx_new(), "zmq_ctx_new");
    void *socket = check_handle(zmq_socket(context, ZMQ_REP), "zmq_socket");
    if (argc == 5 && number_argument(argv[4], 0, usage))
        enable_curve_server(socket);
    prepare_server(socket, argv[1]);
    check(zmq_bind(socket, argv[1]), "zmq_bind");
    echo(socket, count, &size);
    /* The default linger keeps the last reply until it is sent; no sleep is needed. */
    close_all(context, socket);
    return 0;
}
