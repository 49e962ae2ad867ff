// SPDX-License-Identifier: MPL-2.0
//
// A small test harness for programs written against the public header. Each test runs in a process
// of its own, in an empty directory of its own, so a crash, an abort or a hang is one failed test.
//
// A check that does not hold prints `# file:line: what` and ends the test. Sockets made with
// new_socket() have LINGER 0, and are closed when the test returns, before its context is
// terminated, so that every test also checks that termination comes to an end.
//
// Waiting is always for a condition with a deadline. Only the absence of something is asserted by
// letting a short time pass (EXPECT_NOTHING).
#ifndef HARNESS_H
#define HARNESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <zmq.h>

// ---- tests -------------------------------------------------------------------------------------

// TEST(name) { ... }                                      one test
// TEST_EACH(name, "inproc", "tcp") { ... transport ... }  one test for each parameter
// The OURS_ONLY forms are skipped on libzmq (--reference): it crashes, hangs or differs there, for
// the reason given, which stands in differences.md as well.
// TEST_SLOW(name, seconds) has a limit other than the usual one.

struct test_case {
    const char *name;
    void (*run)(const char *parameter);
    const char *const *parameters; // NULL-terminated, or NULL for a test without
    const char *ours_only;         // why it is skipped on libzmq, or NULL
    int seconds;                   // 0 for the usual limit
    int line;
    struct test_case *next;
};

void register_test(struct test_case *test);

// A program compiled with the draft API (test_draft_*.c) is skipped over a library without it.
void need_draft_api(void);
#ifdef ZMQ_BUILD_DRAFT_API
__attribute__((constructor)) static void register_draft_api(void) { need_draft_api(); }
#endif

#define TEST_DEFINE_(test, argument, parameter_list, reason, limit)                                \
    static void test_##test(const char *argument);                                                 \
    static struct test_case case_##test = {#test, test_##test, parameter_list, reason,             \
                                           limit, __LINE__,    NULL};                              \
    __attribute__((constructor)) static void register_##test(void) { register_test(&case_##test); } \
    static void test_##test(__attribute__((unused)) const char *argument)

#define TEST_PARAMETERS_(test, ...)                                                                \
    static const char *const parameters_##test[] = {__VA_ARGS__, NULL};

#define TEST(test) TEST_DEFINE_(test, unused_, NULL, NULL, 0)
#define TEST_SLOW(test, limit) TEST_DEFINE_(test, unused_, NULL, NULL, limit)
#define TEST_OURS_ONLY(test, reason) TEST_DEFINE_(test, unused_, NULL, reason, 0)
#define TEST_EACH(test, ...)                                                                       \
    TEST_PARAMETERS_(test, __VA_ARGS__)                                                            \
    TEST_DEFINE_(test, transport, parameters_##test, NULL, 0)
#define TEST_EACH_OURS_ONLY(test, reason, ...)                                                     \
    TEST_PARAMETERS_(test, __VA_ARGS__)                                                            \
    TEST_DEFINE_(test, transport, parameters_##test, reason, 0)

#define EACH_TRANSPORT "inproc", "tcp", "ipc", "ws"
#define EACH_STREAM "tcp", "ipc"
// With LINK, which ends a test as skipped where the library lacks the transport.
#define EACH_NETWORK "tcp", "ipc", "ws", "tls", "wss"

// Ends the test as skipped: this build or machine cannot run it.
_Noreturn void skip(const char *reason);

// True when the library under test is libzmq. For the few values that may differ inside a test.
bool reference_library(void);

// ---- checks ------------------------------------------------------------------------------------

// Remembers where the test is: for the message of a failure, and of a timeout.
void here(const char *file, int line);
#define HERE() here(__FILE__, __LINE__)

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define CHECK(condition)                                                                           \
    ({                                                                                             \
        HERE();                                                                                    \
        bool holds_ = (condition);                                                                 \
        HERE();                                                                                    \
        if (!holds_)                                                                               \
            fail("not true: %s", #condition);                                                      \
    })
#define CHECK_EQ(actual, expected)                                                                 \
    CHECKED_(actual, check_eq(result_, (long long)(expected), #actual, #expected))
#define CHECK_OK(call) CHECKED_(call, check_ok(result_, #call))
#define CHECK_ERRNO(call, error)                                                                   \
    (errno = 0, CHECKED_(call, check_errno(result_, error, #call, #error)))
#define CHECK_NULL_ERRNO(call, error)                                                              \
    (HERE(), errno = 0, check_null_errno((call), error, #call, #error))
#define CHECK_STR(actual, expected) (HERE(), check_str(actual, expected, #actual))
#define CHECK_BYTES(actual, actual_size, expected, expected_size)                                  \
    (HERE(), check_bytes(actual, actual_size, expected, expected_size, #actual))
// Both bounds included.
#define CHECK_BETWEEN(actual, low, high)                                                           \
    CHECKED_(actual, check_between(result_, (long long)(low), (long long)(high), #actual))

// The call may move the position; a failure is that of the line it stands on.
#define CHECKED_(call, check)                                                                      \
    ({                                                                                             \
        HERE();                                                                                    \
        long long result_ = (long long)(call);                                                     \
        HERE();                                                                                    \
        check;                                                                                     \
    })

void check_eq(long long actual, long long expected, const char *text, const char *expected_text);
void check_ok(long long result, const char *text);
void check_errno(long long result, int error, const char *text, const char *error_text);
void check_null_errno(const void *result, int error, const char *text, const char *error_text);
void check_str(const char *actual, const char *expected, const char *text);
void check_bytes(const void *actual, size_t actual_size, const void *expected,
                 size_t expected_size, const char *text);
void check_between(long long actual, long long low, long long high, const char *text);

// ---- time --------------------------------------------------------------------------------------

enum {
    // How long a condition may take to come true. Generous: a loaded machine is slow.
    DEADLINE_MS = 8000,
    // How long "nothing arrives" is watched.
    ABSENCE_MS = 60,
};

long long now_ms(void);
// For loops that look at a condition again: a millisecond's pause.
void pause_briefly(void);

// Repeats `condition` until it holds; fails after the deadline.
#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        HERE();                                                                                    \
        const long long deadline_ = now_ms() + DEADLINE_MS;                                        \
        while (!(condition)) {                                                                     \
            if (now_ms() > deadline_)                                                              \
                fail("did not come true: %s", #condition);                                         \
            pause_briefly();                                                                       \
        }                                                                                          \
    } while (0)

// ---- contexts and sockets ----------------------------------------------------------------------

// The test's own context, made on first use, terminated when the test returns.
void *context(void);
// Closes the test's sockets and terminates its context now.
#define END_CONTEXT() (HERE(), end_context())
void end_context(void);

// Opens and closes; both are remembered, so that the rest is closed when the test returns.
#define NEW_SOCKET(type) (HERE(), new_socket(context(), type))
#define NEW_SOCKET_IN(ctx, type) (HERE(), new_socket(ctx, type))
#define CLOSE(socket) (HERE(), close_socket(socket))
void *new_socket(void *ctx, int type);
void close_socket(void *socket);

#define SET_INT(socket, option, value) (HERE(), set_int(socket, option, value, #option))
#define GET_INT(socket, option) (HERE(), get_int(socket, option, #option))
#define SET_BYTES(socket, option, data, size) (HERE(), set_bytes(socket, option, data, size, #option))
#define SET_TEXT(socket, option, text) SET_BYTES(socket, option, text, strlen(text))
void set_int(void *socket, int option, int value, const char *name);
int get_int(void *socket, int option, const char *name);
void set_bytes(void *socket, int option, const void *data, size_t size, const char *name);

// Binds to a fresh address of the transport ("inproc", "tcp", "ipc", "ws"; "tcp6"), and returns it.
#define BIND(socket, transport) (HERE(), bind_fresh(socket, transport))
// Binds to a fresh address of any transport, and connects the other to it. With tls and wss the
// first has the certificate "server", and the other trusts "ca". Returns the endpoint.
#define LINK(binder, connecter, transport) (HERE(), link_sockets(binder, connecter, transport))
// Either half of that.
#define BIND_SECURED(socket, transport) (HERE(), bind_secured(socket, transport))
#define CONNECT_SECURED(socket, endpoint) (HERE(), connect_secured(socket, endpoint))
// Sets options to what certificates.sh has made; SET_PEM(s, option, "server.key") one of them.
#define IDENTIFY(socket, name) (HERE(), identify(socket, name))
#define TRUST(socket, name) (HERE(), trust(socket, name))
#define SET_PEM(socket, option, file) (HERE(), set_pem(socket, option, file))
// Ends the test as skipped if the library lacks the transport.
void need_transport(const char *transport);
const char *link_sockets(void *binder, void *connecter, const char *transport);
const char *bind_secured(void *socket, const char *transport);
void connect_secured(void *socket, const char *endpoint);
size_t read_pem(const char *file_name, char *text, size_t room);
void identify(void *socket, const char *name);
void trust(void *socket, const char *name);
void set_pem(void *socket, int option, const char *file);
// The numbers of these options: zmq.h may hide them.
enum {
    WSS_KEY_PEM = 103,
    WSS_CERT_PEM = 104,
    WSS_TRUST_PEM = 105,
    WSS_HOSTNAME = 106,
    WSS_TRUST_SYSTEM = 107,
};
// Binds to this address, wildcards included; returns what it became.
#define BIND_ADDRESS(socket, address) (HERE(), bind_address(socket, address))
#define CONNECT(socket, endpoint) (HERE(), connect_address(socket, endpoint))
#define LAST_ENDPOINT(socket) (HERE(), last_endpoint(socket))
const char *bind_fresh(void *socket, const char *transport);
const char *bind_address(void *socket, const char *address);
void connect_address(void *socket, const char *endpoint);
const char *last_endpoint(void *socket);
// An address nobody has bound, of any of the transports, or of tcp. It can be bound later.
const char *unused_endpoint(const char *transport);
const char *unused_tcp_endpoint(void);
int port_of(const char *endpoint);

// ---- messages ----------------------------------------------------------------------------------

struct frame {
    size_t size; // of the frame; at most sizeof data of it are kept
    bool more;
    unsigned char data[512];
};

// SEND(s, "a", "b"): one message of these parts. EXPECT(s, "a", "b"): receives exactly that.
#define PARTS_(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SEND(socket, ...) (HERE(), send_parts(socket, PARTS_(__VA_ARGS__)))
#define EXPECT(socket, ...) (HERE(), expect_parts(socket, PARTS_(__VA_ARGS__)))
#define SEND_BYTES(socket, data, size, flags) (HERE(), send_bytes(socket, data, size, flags))
#define SEND_FRAME(socket, frame, flags) SEND_BYTES(socket, (frame).data, (frame).size, flags)
// The next part, whatever it is.
#define RECV(socket) (HERE(), recv_frame(socket))
#define EXPECT_BYTES(socket, expected, size, expected_more)                                        \
    (HERE(), expect_bytes(socket, expected, size, expected_more))
#define EXPECT_NOTHING(socket) (HERE(), expect_nothing(socket))
// False when it would have to wait.
#define TRY_SEND(socket, text) (HERE(), try_send(socket, text))
#define TRY_RECV(socket, frame) (HERE(), try_recv(socket, frame))
void send_parts(void *socket, const char *const *parts);
void expect_parts(void *socket, const char *const *parts);
void send_bytes(void *socket, const void *data, size_t size, int flags);
struct frame recv_frame(void *socket);
void expect_bytes(void *socket, const void *expected, size_t size, bool more);
void expect_nothing(void *socket);
bool try_send(void *socket, const char *text);
bool try_recv(void *socket, struct frame *frame);

// Waits until the socket shows these events.
#define WAIT_EVENTS(socket, events) (HERE(), wait_events(socket, events))
void wait_events(void *socket, short events);
// True when it shows them within `ms`.
bool shows_events(void *socket, short events, long ms);

// Some of a socket's work (ending a pipe, renewing subscriptions) libzmq does inside the calls of
// that socket alone: waits for the condition while calling it.
#define WAIT_DRIVING(driven, condition)                                                            \
    WAIT_UNTIL(get_int(driven, ZMQ_EVENTS, "ZMQ_EVENTS") >= 0 && (condition))

// One message there and one back over a pair of sockets that can do both.
#define BOUNCE(a, b) (HERE(), bounce(a, b))
void bounce(void *a, void *b);

// Returns once everything the SUB socket subscribed to so far has reached the PUB socket. Leaves a
// subscription to a topic of the harness behind.
#define SYNC_PUBSUB(pub, sub) (HERE(), sync_pubsub(pub, sub))
void sync_pubsub(void *pub, void *sub);

// ---- monitors ----------------------------------------------------------------------------------

struct event {
    int event;
    int value;
    char address[256];
};

// Starts a monitor on the socket; returns the PAIR socket its events arrive at. Close it before the
// socket it watches.
#define MONITOR(socket, events) (HERE(), monitor(socket, events))
#define NEXT_EVENT(mon) (HERE(), next_event(mon))
// The next event is this one / skips others until this one.
#define EXPECT_EVENT(mon, expected) (HERE(), expect_event(mon, expected))
#define AWAIT_EVENT(mon, expected) (HERE(), await_event(mon, expected))
void *monitor(void *socket, int events);
struct event next_event(void *mon);
struct event expect_event(void *mon, int expected);
struct event await_event(void *mon, int expected);
bool event_within(void *mon, struct event *event, long ms);
const char *event_name(int event);

// ---- raw peers ---------------------------------------------------------------------------------

// These speak bytes to the library's tcp sockets; raw_connect to ipc, too. All wait with the deadline.
#define RAW_LISTEN(endpoint) (HERE(), raw_listen(endpoint))
#define RAW_ACCEPT(listener) (HERE(), raw_accept(listener))
#define RAW_CONNECT(endpoint) (HERE(), raw_connect(endpoint))
// A peer of the socket, which is bound to a fresh address for it / which connects to it, and tries
// again every 10 ms.
#define RAW_PEER(socket) (HERE(), raw_peer(socket))
#define RAW_SERVER(socket) (HERE(), raw_server(socket))
#define RAW_SEND(fd, data, size) (HERE(), raw_send(fd, data, size))
// Returns when the bytes are in the library's receive buffer, whether it has read them or not.
#define RAW_SEND_THROUGH(fd, data, size) (HERE(), raw_send_through(fd, data, size))
#define RAW_READ(fd, data, size) (HERE(), raw_read(fd, data, size))
#define RAW_EXPECT(fd, expected, size) (HERE(), raw_expect(fd, expected, size))
#define RAW_EXPECT_CLOSED(fd) (HERE(), raw_expect_closed(fd))
#define RAW_EXPECT_SILENT(fd) (HERE(), raw_expect_silent(fd))
// String literals with their NULs inside: RAW_SEND_LITERAL(fd, "\x01\x00").
#define RAW_SEND_LITERAL(fd, text) RAW_SEND(fd, text, sizeof(text) - 1)
#define RAW_EXPECT_LITERAL(fd, text) RAW_EXPECT(fd, text, sizeof(text) - 1)
int raw_listen(char endpoint[64]);
int raw_accept(int listener);
int raw_connect(const char *endpoint);
int raw_peer(void *socket);
int raw_server(void *socket);
void raw_send(int fd, const void *data, size_t size);
void raw_send_through(int fd, const void *data, size_t size);
void raw_read(int fd, void *data, size_t size);
void raw_expect(int fd, const void *expected, size_t size);
// The peer closes, or resets, after whatever it still had to say.
void raw_expect_closed(int fd);
// Looks, without waiting, whether something can be read.
bool raw_readable(int fd);
// Looks, without waiting, whether the peer has closed; reads what it said before.
bool raw_closed(int fd);
void raw_expect_silent(int fd);

// The 64 bytes of a ZMTP greeting.
void zmtp_greeting(unsigned char greeting[64], int major, int minor, const char *mechanism);
// Exchanges greetings (ZMTP 3.minor, NULL), checking those of the library.
#define ZMTP_GREET(fd, minor) (HERE(), zmtp_greet(fd, minor))
// As above, and READY both ways; returns the library's READY body in `ready`.
#define ZMTP_HANDSHAKE(fd, minor, type, ready) (HERE(), zmtp_handshake(fd, minor, type, ready))
// RAW_CONNECT and RAW_PEER, and the handshake of ZMTP 3.1 as a peer of this type.
#define ZMTP_CONNECT(endpoint, type) (HERE(), zmtp_connect(endpoint, type))
#define ZMTP_PEER(socket, type) (HERE(), zmtp_peer(socket, type))
// READY for a socket type, with an Identity unless that is NULL.
#define ZMTP_SEND_READY(fd, type, identity) (HERE(), zmtp_send_ready(fd, type, identity))
#define ZMTP_SEND(fd, flags, body, size) (HERE(), zmtp_send(fd, flags, body, size))
#define ZMTP_SEND_LITERAL(fd, flags, text) ZMTP_SEND(fd, flags, text, sizeof(text) - 1)
#define ZMTP_RECV(fd) (HERE(), zmtp_recv(fd))
#define ZMTP_EXPECT(fd, flags, body, size) (HERE(), zmtp_expect(fd, flags, body, size))
#define ZMTP_EXPECT_LITERAL(fd, flags, text) ZMTP_EXPECT(fd, flags, text, sizeof(text) - 1)
struct zmtp_frame {
    int flags; // as on the wire: 1 more, 2 long, 4 command
    size_t size;
    unsigned char body[1024];
};
void zmtp_greet(int fd, int minor);
void zmtp_handshake(int fd, int minor, const char *type, struct zmtp_frame *ready);
int zmtp_connect(const char *endpoint, const char *type);
int zmtp_peer(void *socket, const char *type);
void zmtp_send_ready(int fd, const char *type, const char *identity);
void zmtp_send(int fd, int flags, const void *body, size_t size);
struct zmtp_frame zmtp_recv(int fd);
void zmtp_expect(int fd, int flags, const void *body, size_t size);
// What ZMTP_SEND_READY sends. Returns its size.
size_t zmtp_ready(unsigned char body[128], const char *type, const char *identity);

// ---- threads -----------------------------------------------------------------------------------

struct thread {
    pthread_t handle;
    void (*run)(void *argument);
    void *argument;
    _Atomic pid_t id;
    _Atomic bool ended;
};

void start_thread(struct thread *thread, void (*run)(void *), void *argument);
#define JOIN(thread) (HERE(), join_thread(thread))
void join_thread(struct thread *thread);
// Waits until the thread sleeps in the kernel, as in a call that blocks.
#define WAIT_BLOCKED(thread) (HERE(), wait_blocked(thread))
void wait_blocked(struct thread *thread);

#endif
