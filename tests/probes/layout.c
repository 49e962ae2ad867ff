/* SPDX-License-Identifier: MPL-2.0 */
/* Prints size, alignment and field offsets of the structures of HEADER. */

#include HEADER
#include <stddef.h>
#include <stdio.h>

#define TYPE(type) \
    printf(#type " size %zu align %zu\n", sizeof(type), _Alignof(type))
#define FIELD(type, field)                                          \
    printf(#type "." #field " at %zu size %zu\n", offsetof(type, field), \
        sizeof(((type *) NULL)->field))

int main(void)
{
    TYPE(zmq_fd_t);
    TYPE(zmq_msg_t);
    TYPE(zmq_pollitem_t);
    FIELD(zmq_pollitem_t, socket);
    FIELD(zmq_pollitem_t, fd);
    FIELD(zmq_pollitem_t, events);
    FIELD(zmq_pollitem_t, revents);
    TYPE(zmq_poller_event_t);
    FIELD(zmq_poller_event_t, socket);
    FIELD(zmq_poller_event_t, fd);
    FIELD(zmq_poller_event_t, user_data);
    FIELD(zmq_poller_event_t, events);
    return 0;
}
