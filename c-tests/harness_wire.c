// SPDX-License-Identifier: MPL-2.0
//
// Raw TCP and ipc peers, and ZMTP spoken by hand (RFC 37, 23).
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void no_delay(int fd) { setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); }

int raw_listen(char endpoint[64]) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        fail("listening failed: %s", strerror(errno));
    snprintf(endpoint, 64, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static bool is_tcp(int fd) {
    int domain = 0;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){sizeof domain});
    return domain != AF_UNIX;
}

static bool readable(int fd, long ms) {
    const long long deadline = now_ms() + ms;
    for (;;) {
        struct pollfd item = {fd, POLLIN, 0};
        long left = (long)(deadline - now_ms());
        int result = poll(&item, 1, left > 0 ? (int)left : 0);
        if (result > 0)
            return true;
        if (result < 0 && errno != EINTR)
            fail("poll failed: %s", strerror(errno));
        if (now_ms() >= deadline)
            return false;
    }
}

int raw_accept(int listener) {
    if (!readable(listener, DEADLINE_MS))
        fail("nobody connects");
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        fail("accept failed: %s", strerror(errno));
    no_delay(fd);
    return fd;
}

static int raw_connect_ipc(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connecting to %s failed: %s", path, strerror(errno));
    return fd;
}

int raw_connect(const char *endpoint) {
    if (strncmp(endpoint, "ipc://", 6) == 0)
        return raw_connect_ipc(endpoint + 6);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port_of(endpoint))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connecting to %s failed: %s", endpoint, strerror(errno));
    no_delay(fd);
    return fd;
}

int raw_peer(void *socket) { return raw_connect(bind_fresh(socket, "tcp")); }

int raw_server(void *socket) {
    char endpoint[64];
    int listener = raw_listen(endpoint);
    set_int(socket, ZMQ_RECONNECT_IVL, 10, "ZMQ_RECONNECT_IVL");
    connect_address(socket, endpoint);
    int fd = raw_accept(listener);
    close(listener);
    return fd;
}

void raw_send(int fd, const void *data, size_t size) {
    const char *bytes = data;
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            fail("the connection is lost while sending: %s", strerror(errno));
        bytes += sent;
        size -= (size_t)sent;
    }
}

void raw_send_through(int fd, const void *data, size_t size) {
    raw_send(fd, data, size);
    // On a local socket they are there already; tcp's peer acknowledges them.
    const long long deadline = now_ms() + DEADLINE_MS;
    for (int left = 0; ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0 && is_tcp(fd);) {
        if (now_ms() > deadline)
            fail("%d bytes are not acknowledged", left);
    }
}

void raw_read(int fd, void *data, size_t size) {
    char *bytes = data;
    size_t have = 0;
    while (have < size) {
        if (!readable(fd, DEADLINE_MS))
            fail("only %zu of %zu bytes arrived", have, size);
        ssize_t got = recv(fd, bytes + have, size - have, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            fail("the connection ends after %zu of %zu bytes: %s", have, size,
                 got < 0 ? strerror(errno) : "closed");
        have += (size_t)got;
    }
}

void raw_expect(int fd, const void *expected, size_t size) {
    unsigned char *data = malloc(size ? size : 1);
    raw_read(fd, data, size);
    check_bytes(data, size, expected, size, "what arrived");
    free(data);
}

void raw_expect_closed(int fd) {
    char rest[4096];
    for (;;) {
        if (!readable(fd, DEADLINE_MS))
            fail("the connection stays open");
        ssize_t got = recv(fd, rest, sizeof rest, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            return;
    }
}

bool raw_readable(int fd) { return readable(fd, 0); }

bool raw_closed(int fd) {
    char rest[4096];
    ssize_t got;
    do
        got = recv(fd, rest, sizeof rest, MSG_DONTWAIT);
    while (got > 0);
    return got == 0 || (errno != EAGAIN && errno != EINTR);
}

void raw_expect_silent(int fd) {
    if (!readable(fd, ABSENCE_MS))
        return;
    char rest[64];
    ssize_t got = recv(fd, rest, sizeof rest, 0);
    fail("%zd bytes, or the end, arrived where nothing should", got);
}

// ---- ZMTP --------------------------------------------------------------------------------------

void zmtp_greeting(unsigned char greeting[64], int major, int minor, const char *mechanism) {
    memset(greeting, 0, 64);
    greeting[0] = 0xff;
    greeting[8] = 1;
    greeting[9] = 0x7f;
    greeting[10] = (unsigned char)major;
    greeting[11] = (unsigned char)minor;
    memcpy(greeting + 12, mechanism, strlen(mechanism));
}

void zmtp_greet(int fd, int minor) {
    unsigned char greeting[64], theirs[64];
    zmtp_greeting(greeting, 3, minor, "NULL");
    raw_send(fd, greeting, sizeof greeting);
    raw_read(fd, theirs, sizeof theirs);
    if (theirs[0] != 0xff || theirs[9] != 0x7f)
        fail("no ZMTP signature: %02x ... %02x", theirs[0], theirs[9]);
    if (theirs[10] != 3 || theirs[11] != 1)
        fail("ZMTP version %d.%d, not 3.1", theirs[10], theirs[11]);
    check_bytes(theirs + 12, 52, greeting + 12, 52, "the greeting after its version");
}

size_t zmtp_ready(unsigned char body[128], const char *type, const char *identity) {
    size_t size = 0;
#define APPEND(data, count) (memcpy(body + size, data, count), size += (count))
    APPEND("\5READY", 6);
    APPEND("\13Socket-Type\0\0\0", 15);
    body[size++] = (unsigned char)strlen(type);
    APPEND(type, strlen(type));
    if (identity) {
        APPEND("\10Identity\0\0\0", 12);
        body[size++] = (unsigned char)strlen(identity);
        APPEND(identity, strlen(identity));
    }
#undef APPEND
    return size;
}

void zmtp_send_ready(int fd, const char *type, const char *identity) {
    unsigned char body[128];
    zmtp_send(fd, 4, body, zmtp_ready(body, type, identity));
}

static bool sends_identity(const char *type) {
    return strcmp(type, "REQ") == 0 || strcmp(type, "DEALER") == 0 || strcmp(type, "ROUTER") == 0;
}

void zmtp_handshake(int fd, int minor, const char *type, struct zmtp_frame *ready) {
    zmtp_greet(fd, minor);
    zmtp_send_ready(fd, type, sends_identity(type) ? "" : NULL);
    struct zmtp_frame frame = zmtp_recv(fd);
    if (frame.flags != 4 || frame.size < 6 || memcmp(frame.body, "\5READY", 6) != 0)
        fail("not a READY command: flags %d, %zu bytes", frame.flags, frame.size);
    if (ready)
        *ready = frame;
}

int zmtp_connect(const char *endpoint, const char *type) {
    int fd = raw_connect(endpoint);
    zmtp_handshake(fd, 1, type, NULL);
    return fd;
}

int zmtp_peer(void *socket, const char *type) {
    return zmtp_connect(bind_fresh(socket, "tcp"), type);
}

void zmtp_send(int fd, int flags, const void *body, size_t size) {
    unsigned char head[9] = {(unsigned char)flags, (unsigned char)size};
    size_t head_size = 2;
    if (size > 255 || (flags & 2)) {
        head[0] |= 2;
        for (int i = 0; i < 8; i++)
            head[1 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
        head_size = 9;
    }
    raw_send(fd, head, head_size);
    raw_send(fd, body, size);
}

struct zmtp_frame zmtp_recv(int fd) {
    struct zmtp_frame frame;
    unsigned char head[9];
    raw_read(fd, head, 2);
    frame.flags = head[0];
    frame.size = head[1];
    if (frame.flags & 2) {
        raw_read(fd, head + 2, 7);
        frame.size = 0;
        for (int i = 0; i < 8; i++)
            frame.size = frame.size << 8 | head[1 + i];
    }
    if (frame.size > sizeof frame.body)
        fail("a frame of %zu bytes is more than the test wants", frame.size);
    raw_read(fd, frame.body, frame.size);
    return frame;
}

void zmtp_expect(int fd, int flags, const void *body, size_t size) {
    struct zmtp_frame frame = zmtp_recv(fd);
    check_bytes(frame.body, frame.size, body, size, "the frame");
    if (frame.flags != flags)
        fail("the frame has flags %d, not %d", frame.flags, flags);
}
