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
