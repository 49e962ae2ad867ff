// SPDX-License-Identifier: MPL-2.0
//
// RADIO and DISH for tests: messages with a group.
#ifndef GROUPS_H
#define GROUPS_H

#include "harness.h"

#define SEND_TO(socket, group, text) (HERE(), send_to(socket, group, text, strlen(text), 0))
#define TRY_SEND_TO(socket, group, text)                                                           \
    (HERE(), try_send_to(socket, group, text, strlen(text), ZMQ_DONTWAIT))
#define EXPECT_FROM(socket, group, text) (HERE(), expect_from(socket, group, text, strlen(text)))

static inline int try_send_to(void *socket, const char *group, const void *data, size_t size,
                              int flags) {
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init_size(&message, size));
    memcpy(zmq_msg_data(&message), data, size);
    CHECK_OK(zmq_msg_set_group(&message, group));
    int result = zmq_msg_send(&message, socket, flags), error = errno;
    if (result < 0)
        CHECK_STR(zmq_msg_group(&message), group);
    CHECK_OK(zmq_msg_close(&message));
    errno = error;
    return result;
}

static inline void send_to(void *socket, const char *group, const void *data, size_t size,
                           int flags) {
    CHECK_EQ(try_send_to(socket, group, data, size, flags), size);
}

// Receives within the deadline.
static inline void expect_from(void *socket, const char *group, const void *data, size_t size) {
    WAIT_EVENTS(socket, ZMQ_POLLIN);
    zmq_msg_t message;
    CHECK_OK(zmq_msg_init(&message));
    CHECK(zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) >= 0);
    CHECK_BYTES(zmq_msg_data(&message), zmq_msg_size(&message), data, size);
    CHECK_STR(zmq_msg_group(&message), group);
    CHECK_EQ(zmq_msg_more(&message), 0);
    CHECK_OK(zmq_msg_close(&message));
}

// Returns once everything the DISH joined or left so far has reached the RADIO. Nothing else may be
// on its way between them.
#define SETTLE(radio, dish) (HERE(), settle(radio, dish))
static inline void settle(void *radio, void *dish) {
    static int number;
    char group[32], buffer[8];
    snprintf(group, sizeof group, "settle %d", number++);
    CHECK_OK(zmq_join(dish, group));
    WAIT_UNTIL((send_to(radio, group, "x", 1, 0),
                zmq_recv(dish, buffer, sizeof buffer, ZMQ_DONTWAIT) == 1));
    // What else was sent meanwhile is not received any more.
    CHECK_OK(zmq_leave(dish, group));
}

#endif
