/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A server that squares numbers, and its client, in one program:
 *
 *   cc request_reply.c $(pkg-config --cflags --libs libzmq) -o request_reply
 */

#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
        exit(1);
    }
}

/* Answers until it is sent an empty request. */
static void serve(void *server)
{
    char text[32];
    int size;

    do {
        size = zmq_recv(server, text, sizeof text - 1, 0);
        check(size >= 0 && size < (int) sizeof text, "server: zmq_recv");
        text[size] = '\0';
        if (size > 0)
            size = snprintf(text, sizeof text, "%ld", atol(text) * atol(text));
        check(zmq_send(server, text, (size_t) size, 0) == size, "server: zmq_send");
    } while (size > 0);
    check(zmq_close(server) == 0, "server: zmq_close");
}

int main(void)
{
    int major, minor, patch, size, number;
    char endpoint[64], text[32];
    size_t endpoint_size = sizeof endpoint;
    void *context, *server, *client, *thread;

    zmq_version(&major, &minor, &patch);
    printf("libzmq %d.%d.%d\n", major, minor, patch);

    context = zmq_ctx_new();
    check(context != NULL, "zmq_ctx_new");
    server = zmq_socket(context, ZMQ_REP);
    check(server != NULL, "zmq_socket");
    check(zmq_bind(server, "tcp://127.0.0.1:*") == 0, "zmq_bind");
    check(zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, endpoint, &endpoint_size) == 0,
        "zmq_getsockopt");
    thread = zmq_threadstart(serve, server);
    check(thread != NULL, "zmq_threadstart");

    client = zmq_socket(context, ZMQ_REQ);
    check(client != NULL, "zmq_socket");
    check(zmq_connect(client, endpoint) == 0, "zmq_connect");
    for (number = 1; number <= 3; number++) {
        size = snprintf(text, sizeof text, "%d", number);
        check(zmq_send(client, text, (size_t) size, 0) == size, "zmq_send");
        size = zmq_recv(client, text, sizeof text - 1, 0);
        check(size > 0, "zmq_recv");
        text[size] = '\0';
        printf("%d squared is %s\n", number, text);
    }
    check(zmq_send(client, "", 0, 0) == 0, "zmq_send");
    check(zmq_recv(client, text, sizeof text, 0) == 0, "zmq_recv");

    zmq_threadclose(thread);
    check(zmq_close(client) == 0, "zmq_close");
    check(zmq_ctx_term(context) == 0, "zmq_ctx_term");
    return 0;
}
