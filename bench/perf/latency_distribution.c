/* SPDX-License-Identifier: MPL-2.0 */
/* Like remote_lat, against the same local_lat, but times every round trip and prints percentiles
 * of the one-way time. The two clock reads a trip are part of the figure. */
#include "perf.h"

static const char usage[] =
    "usage: latency_distribution <connect-to> <message-size> <roundtrip-count>";

static int ascending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *) left, b = *(const uint64_t *) right;
    return (a > b) - (a < b);
}

/* The smallest sample that at least `share` of all samples do not exceed. */
static double percentile_us(const uint64_t *sorted, int count, double share)
{
    int rank = (int) (share * count);
    if ((double) rank < share * count)
        rank++;
    return (double) sorted[rank > 0 ? rank - 1 : 0] / 2000.0;
}

int main(int argc, char *argv[])
{
    if (argc != 4) {
        printf("%s\n", usage);
        return 1;
    }
    size_t size = (size_t) number_argument(argv[2], 0, usage);
    int count = number_argument(argv[3], 2, usage);
    int samples = count - 1;
    uint64_t *nanoseconds = calloc((size_t) samples, sizeof *nanoseconds);
    if (!nanoseconds) {
        printf("error in calloc\n");
        return 1;
    }

    void *context = check_handle(zmq_ctx_new(), "zmq_ctx_new");
    void *socket = check_handle(zmq_socket(context, ZMQ_REQ), "zmq_socket");
    check(zmq_connect(socket, argv[1]), "zmq_connect");

    zmq_msg_t message;
    zeroed_message(&message, size);
    round_trips(socket, &message, size, 1);
    uint64_t total = 0;
    for (int i = 0; i < samples; i++) {
        uint64_t start = now_ns();
        send_message(socket, &message);
        receive_sized(socket, &message, size);
        nanoseconds[i] = now_ns() - start;
        total += nanoseconds[i];
    }
    check(zmq_msg_close(&message), "zmq_msg_close");
    qsort(nanoseconds, (size_t) samples, sizeof *nanoseconds, ascending);

    printf("message size: %d [B]\n", (int) size);
    printf("roundtrip count: %d\n", count);
    printf("average latency: %.3f [us]\n", (double) total / 2000.0 / samples);
    printf("p50 latency: %.3f [us]\n", percentile_us(nanoseconds, samples, 0.5));
    printf("p99 latency: %.3f [us]\n", percentile_us(nanoseconds, samples, 0.99));
    printf("p99.9 latency: %.3f [us]\n", percentile_us(nanoseconds, samples, 0.999));
    free(nanoseconds);
    close_all(context, socket);
    return 0;
}
