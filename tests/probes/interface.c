/* SPDX-License-Identifier: MPL-2.0 */
/* Uses the types of zmq.h the ways programs do; valid C99 and C++17. */

#include <zmq.h>
/* A second time, for the guard. */
#include <zmq.h>

#ifdef ZMQ_EXPORT
#error "ZMQ_EXPORT is left over"
#endif
#ifndef ZMQ_HAVE_TIMERS
#error "ZMQ_HAVE_TIMERS is missing"
#endif
#if defined ZMQ_BUILD_DRAFT_API != defined ZMQ_HAVE_POLLER
#error "ZMQ_HAVE_POLLER belongs to the draft part"
#endif
#if defined ZMQ_BUILD_DRAFT_API != defined ZMQ_SERVER
#error "ZMQ_SERVER belongs to the draft part"
#endif
#if ZMQ_VERSION != ZMQ_MAKE_VERSION(4, 3, 6) || ZMQ_VERSION < 40300
#error "the version is wrong, or no number for the preprocessor"
#endif
#if ZMQ_DEFINED_STDINT != 1 || ZMQ_HAS_CAPABILITIES != 1
#error "feature markers"
#endif
#if EFSM != 156384763 || EMTHREAD != ZMQ_HAUSNUMERO + 54
#error "error numbers"
#endif

/* What came after 4.3.4, whose header the others are compared with. */
#ifdef ZMQ_BUILD_DRAFT_API
#if ZMQ_HELLO_MSG != 110 || ZMQ_DISCONNECT_MSG != 111 || ZMQ_PRIORITY != 112
#error "numbers of options"
#endif
#if ZMQ_BUSY_POLL != 113 || ZMQ_HICCUP_MSG != 114 || ZMQ_XSUB_VERBOSE_UNSUBSCRIBE != 115
#error "numbers of options"
#endif
#if ZMQ_TOPICS_COUNT != 116 || ZMQ_NORM_MODE != 117 || ZMQ_NORM_UNICAST_NACK != 118
#error "numbers of options"
#endif
#if ZMQ_NORM_BUFFER_SIZE != 119 || ZMQ_NORM_SEGMENT_SIZE != 120 || ZMQ_NORM_BLOCK_SIZE != 121
#error "numbers of options"
#endif
#if ZMQ_NORM_NUM_PARITY != 122 || ZMQ_NORM_NUM_AUTOPARITY != 123 || ZMQ_NORM_PUSH != 124
#error "numbers of options"
#endif
#if ZMQ_NORM_FIXED != 0 || ZMQ_NORM_CC != 1 || ZMQ_NORM_CCL != 2 || ZMQ_NORM_CCE != 3
#error "modes of norm"
#endif
#if ZMQ_NORM_CCE_ECNONLY != 4 || ZMQ_RECONNECT_STOP_AFTER_DISCONNECT != 4
#error "values of options"
#endif
#if ZMQ_PEER != 19 || ZMQ_CHANNEL != 20 || ZMQ_EVENT_PIPES_STATS != 0x10000
#error "socket types, events"
#endif
#if ZMQ_EVENT_ALL_V1 != 0xffff || ZMQ_EVENT_ALL_V2 != 0x1ffff
#error "events"
#endif
#endif

/* Forward declarations with a tag, as other headers make them. */
struct zmq_msg_t;
struct zmq_pollitem_t;

/* Functions declared by their type. */
zmq_free_fn free_buffer;
zmq_timer_fn on_timer;
zmq_thread_fn thread_body;

void free_buffer(void *data, void *hint)
{
    (void) data;
    (void) hint;
}

void on_timer(int timer_id, void *arg)
{
    (void) timer_id;
    (void) arg;
}

void thread_body(void *arg)
{
    (void) arg;
}

int use(void *context);
int use(void *context)
{
    static char buffer[4];
    size_t size = sizeof buffer;
    zmq_msg_t msg;
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    void *timers = zmq_timers_new();
    zmq_pollitem_t items[] = {{NULL, 0, ZMQ_POLLIN | ZMQ_POLLOUT, 0}};
    int rc = zmq_msg_init_data(&msg, buffer, sizeof buffer, free_buffer, NULL);

    items[0].socket = socket;
    rc |= zmq_msg_init_data(&msg, buffer, sizeof buffer, NULL, NULL);
    rc |= zmq_timers_add(timers, 10, on_timer, NULL);
    rc |= zmq_timers_add(timers, 10, &on_timer, NULL);
    rc |= zmq_getsockopt(socket, ZMQ_ROUTING_ID, buffer, &size);
    rc |= zmq_poll(items, 1, -1L);
    zmq_threadclose(zmq_threadstart(thread_body, NULL));

    switch (zmq_errno()) {
    case EFSM:
    case ENOCOMPATPROTO:
    case ETERM:
    case EMTHREAD:
    case EAGAIN:
    case ENOTSOCK:
    case EHOSTUNREACH:
        rc = -1;
        break;
    default:
        break;
    }

#ifdef ZMQ_BUILD_DRAFT_API
    {
        zmq_poller_event_t event;
        sigset_t mask;
        zmq_fd_t fd;
        void *poller = zmq_poller_new();
        sigemptyset(&mask);
        rc |= zmq_ppoll(items, 1, -1L, &mask);
        rc |= zmq_poller_fd(poller, &fd);
        rc |= zmq_poller_wait(poller, &event, 0);
        rc |= zmq_socket_monitor_versioned(socket, "inproc://monitor",
            ZMQ_EVENT_ALL_V2, ZMQ_CURRENT_EVENT_VERSION_DRAFT, ZMQ_PUB);
        rc |= zmq_msg_gets(&msg, ZMQ_MSG_PROPERTY_USER_ID) != NULL;
    }
#endif
    return rc;
}
