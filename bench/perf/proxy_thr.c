/* SPDX-License-Identifier: MPL-2.0 */
/* Throughput through zmq_proxy: two publishers flood it, one subscriber counts, all in-process.
 *
 *     XPUB --+
 *            +--> XSUB proxy XPUB --> SUB
 *     XPUB --+
 *
 * ZMQ_XPUB_NODROP makes a full pipe hold the publishers back instead of losing messages. The proxy
 * ends when the context is shut down. */
#include "perf.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define PUBLISHERS 2

static const char usage[] = "usage: proxy_thr <message-size> <message-count>";
static const char frontend[] = "inproc://proxy_frontend";
static const char backend[] = "inproc://proxy_backend";

static void *context;
static size_t message_size;
static int message_count;
static atomic_bool finished;

static void set_int(void *socket, int option, int value)
{
    check(zmq_setsockopt(socket, option, &value, sizeof value), "zmq_setsockopt");
}

static void *new_socket(int type)
{
    void *socket = check_handle(zmq_socket(context, type), "zmq_socket");
    set_int(socket, ZMQ_SNDHWM, 10000);
    set_int(socket, ZMQ_RCVHWM, 10000);
    set_int(socket, ZMQ_LINGER, 0);
    if (type == ZMQ_XPUB)
        set_int(socket, ZMQ_XPUB_NODROP, 1);
    return socket;
}

static void *run_proxy(void *sockets)
{
    void **pair = sockets;
    zmq_proxy(pair[0], pair[1], NULL);
    check(zmq_close(pair[0]), "zmq_close");
    check(zmq_close(pair[1]), "zmq_close");
    return NULL;
}

static void *publish(void *unused)
{
    void *socket = new_socket(ZMQ_XPUB);
    /* A publisher that waits for room must still notice the end. */
    set_int(socket, ZMQ_SNDTIMEO, 1);
    check(zmq_connect(socket, frontend), "zmq_connect");

    /* The subscription comes through the proxy; before it, messages would go nowhere. */
    char subscription[2];
    if (check(zmq_recv(socket, subscription, sizeof subscription, 0), "zmq_recv") != 1
        || subscription[0] != 1) {
        printf("not the expected subscription\n");
        exit(EXIT_FAILURE);
    }

    zmq_msg_t original, message;
    zeroed_message(&original, message_size);
    for (int sent = 0; sent < message_count && !atomic_load(&finished);) {
        check(zmq_msg_init(&message), "zmq_msg_init");
        check(zmq_msg_copy(&message, &original), "zmq_msg_copy");
        if (zmq_msg_send(&message, socket, 0) >= 0) {
            sent++;
        } else {
            check(zmq_errno() == EAGAIN ? 0 : -1, "zmq_msg_send");
            check(zmq_msg_close(&message), "zmq_msg_close");
        }
    }
    check(zmq_msg_close(&original), "zmq_msg_close");
    check(zmq_close(socket), "zmq_close");
    return unused;
}

static pthread_t start_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, argument) != 0) {
        printf("error in pthread_create\n");
        exit(EXIT_FAILURE);
    }
    return thread;
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        printf("%s\n", usage);
        return 1;
    }
    message_size = (size_t) number_argument(argv[1], 0, usage);
    message_count = number_argument(argv[2], 1, usage);
    printf("message size: %d [B]\n", (int) message_size);
    printf("message count: %d\n", message_count);

    context = check_handle(zmq_ctx_new(), "zmq_ctx_new");
    void *proxied[2] = {new_socket(ZMQ_XSUB), new_socket(ZMQ_XPUB)};
    check(zmq_bind(proxied[0], frontend), "zmq_bind");
    check(zmq_bind(proxied[1], backend), "zmq_bind");
    void *subscriber = new_socket(ZMQ_SUB);
    check(zmq_setsockopt(subscriber, ZMQ_SUBSCRIBE, "", 0), "zmq_setsockopt");
    check(zmq_connect(subscriber, backend), "zmq_connect");

    pthread_t proxy = start_thread(run_proxy, proxied);
    pthread_t publishers[PUBLISHERS];
    for (int i = 0; i < PUBLISHERS; i++)
        publishers[i] = start_thread(publish, NULL);

    uint64_t elapsed = receive_stream(subscriber, message_size, message_count);
    print_throughput(message_size, message_count, elapsed);

    atomic_store(&finished, true);
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_join(publishers[i], NULL);
    check(zmq_close(subscriber), "zmq_close");
    check(zmq_ctx_shutdown(context), "zmq_ctx_shutdown");
    pthread_join(proxy, NULL);
    check(zmq_ctx_term(context), "zmq_ctx_term");
    return 0;
}
