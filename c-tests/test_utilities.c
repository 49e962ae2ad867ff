// SPDX-License-Identifier: MPL-2.0
//
// Z85, CURVE keys, atomic counters, timers, stopwatch, threads.
#include "harness.h"

#include <signal.h>

// ---- Z85 (RFC 32) ------------------------------------------------------------------------------

TEST(z85_of_the_rfc) {
    static const uint8_t binary[8] = {0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B};
    char encoded[11];
    uint8_t decoded[8];
    CHECK(zmq_z85_encode(encoded, binary, 8) == encoded);
    CHECK_STR(encoded, "HelloWorld");
    CHECK(zmq_z85_decode(decoded, "HelloWorld") == decoded);
    CHECK_BYTES(decoded, 8, binary, 8);
}

TEST(z85_limits_of_a_group) {
    static const uint8_t zeros[4] = {0}, ones[4] = {0xff, 0xff, 0xff, 0xff};
    char encoded[6];
    uint8_t decoded[4];
    CHECK(zmq_z85_encode(encoded, zeros, 4) != NULL);
    CHECK_STR(encoded, "00000");
    CHECK(zmq_z85_encode(encoded, ones, 4) != NULL);
    CHECK_STR(encoded, "%nSc0");
    CHECK(zmq_z85_decode(decoded, "%nSc0") != NULL);
    CHECK_BYTES(decoded, 4, ones, 4);
    CHECK_NULL_ERRNO(zmq_z85_decode(decoded, "%nSc1"), EINVAL);
    CHECK_NULL_ERRNO(zmq_z85_decode(decoded, "#####"), EINVAL);
}

TEST(z85_encode_sizes) {
    uint8_t binary[8] = {0};
    char encoded[16] = "untouched";
    for (size_t size = 1; size < 8; size++)
        if (size % 4 != 0)
            CHECK_NULL_ERRNO(zmq_z85_encode(encoded, binary, size), EINVAL);
    CHECK(zmq_z85_encode(encoded, binary, 0) == encoded);
    CHECK_STR(encoded, "");
}

TEST(z85_decode_sizes) {
    uint8_t decoded[16];
    static const char *const bad[] = {"", "0", "00", "000", "0000", "000000", "0000000000000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_NULL_ERRNO(zmq_z85_decode(decoded, bad[i]), EINVAL);
}

TEST(z85_alphabet) {
    uint8_t decoded[8];
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   ".-:+=^!/*?&<>()[]{}@%$#";
    for (int c = 1; c < 256; c++) {
        char group[6] = {'0', '0', '0', '0', (char)c, 0};
        if (strchr(alphabet, c))
            CHECK(zmq_z85_decode(decoded, group) != NULL);
        else
            CHECK_NULL_ERRNO(zmq_z85_decode(decoded, group), EINVAL);
    }
}

TEST(z85_round_trip) {
    uint8_t binary[256], decoded[256];
    char encoded[321];
    for (int i = 0; i < 256; i++)
        binary[i] = (uint8_t)(i * 37 + 11);
    for (size_t size = 4; size <= 256; size += 4) {
        CHECK(zmq_z85_encode(encoded, binary, size) != NULL);
        CHECK_EQ(strlen(encoded), size / 4 * 5);
        CHECK(zmq_z85_decode(decoded, encoded) != NULL);
        CHECK_BYTES(decoded, size, binary, size);
    }
}

// ---- CURVE keys --------------------------------------------------------------------------------

static bool makes_keys(void) {
    char public_key[41], secret_key[41];
    return zmq_curve_keypair(public_key, secret_key) == 0;
}

TEST(curve_keypair) {
    char public_key[41], secret_key[41], derived[41];
    // A library may make keys without having the mechanism.
    if (!zmq_has("curve") && zmq_curve_keypair(public_key, secret_key) == -1) {
        CHECK_EQ(errno, ENOTSUP);
        CHECK_ERRNO(zmq_curve_public(derived, secret_key), ENOTSUP);
        return;
    }
    CHECK_OK(zmq_curve_keypair(public_key, secret_key));
    CHECK_EQ(strlen(public_key), 40);
    CHECK_EQ(strlen(secret_key), 40);
    CHECK(strcmp(public_key, secret_key) != 0);
    uint8_t binary[32];
    CHECK(zmq_z85_decode(binary, public_key) != NULL);
    CHECK(zmq_z85_decode(binary, secret_key) != NULL);
    CHECK_OK(zmq_curve_public(derived, secret_key));
    CHECK_STR(derived, public_key);
}

// The pair of keys the manual page of zmq_curve prints.
TEST(curve_public_of_a_known_key) {
    if (!makes_keys())
        skip("no CURVE");
    char derived[41];
    CHECK_OK(zmq_curve_public(derived, "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"));
    CHECK_STR(derived, "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
}

TEST(curve_keys_differ) {
    if (!makes_keys())
        skip("no CURVE");
    char first[41], second[41], secret[41];
    CHECK_OK(zmq_curve_keypair(first, secret));
    CHECK_OK(zmq_curve_keypair(second, secret));
    CHECK(strcmp(first, second) != 0);
}

TEST(curve_public_of_no_key) {
    if (!makes_keys())
        skip("no CURVE");
    char derived[41];
    CHECK_ERRNO(zmq_curve_public(derived, "not a multiple of five"), EINVAL);
    CHECK_ERRNO(zmq_curve_public(derived, ""), EINVAL);
    CHECK_ERRNO(zmq_curve_public(derived, "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
                                          "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""),
                EINVAL);
}

TEST_OURS_ONLY(curve_public_wants_forty_characters, "it takes any multiple of five characters") {
    if (!makes_keys())
        skip("no CURVE");
    char derived[41];
    CHECK_ERRNO(zmq_curve_public(derived, "short"), EINVAL);
    CHECK_ERRNO(zmq_curve_public(derived, "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs00000"), EINVAL);
}

// ---- atomic counters ---------------------------------------------------------------------------

TEST(atomic_counter) {
    void *counter = zmq_atomic_counter_new();
    CHECK(counter != NULL);
    CHECK_EQ(zmq_atomic_counter_value(counter), 0);
    CHECK_EQ(zmq_atomic_counter_inc(counter), 0);
    CHECK_EQ(zmq_atomic_counter_inc(counter), 1);
    CHECK_EQ(zmq_atomic_counter_inc(counter), 2);
    CHECK_EQ(zmq_atomic_counter_value(counter), 3);
    CHECK_EQ(zmq_atomic_counter_dec(counter), 1);
    CHECK_EQ(zmq_atomic_counter_dec(counter), 1);
    CHECK_EQ(zmq_atomic_counter_dec(counter), 0);
    CHECK_EQ(zmq_atomic_counter_value(counter), 0);
    zmq_atomic_counter_set(counter, 41);
    CHECK_EQ(zmq_atomic_counter_inc(counter), 41);
    CHECK_EQ(zmq_atomic_counter_value(counter), 42);
    zmq_atomic_counter_set(counter, -5);
    CHECK_EQ(zmq_atomic_counter_value(counter), -5);
    zmq_atomic_counter_destroy(&counter);
    CHECK(counter == NULL);
}

enum { ROUNDS = 20000 };

static void increment(void *counter) {
    for (int i = 0; i < ROUNDS; i++)
        zmq_atomic_counter_inc(counter);
}

TEST(atomic_counter_of_several_threads) {
    void *counter = zmq_atomic_counter_new();
    struct thread threads[4];
    for (int i = 0; i < 4; i++)
        start_thread(&threads[i], increment, counter);
    for (int i = 0; i < 4; i++)
        JOIN(&threads[i]);
    CHECK_EQ(zmq_atomic_counter_value(counter), 4 * ROUNDS);
    zmq_atomic_counter_destroy(&counter);
}

// ---- timers ------------------------------------------------------------------------------------

struct fired {
    int count;
    int last_id;
};

static void on_timer(int id, void *argument) {
    struct fired *fired = argument;
    fired->count++;
    fired->last_id = id;
}

// Executes until the timer has fired `count` times.
static void execute_until(void *timers, struct fired *fired, int count) {
    while (fired->count < count) {
        long wait = zmq_timers_timeout(timers);
        CHECK(wait >= 0);
        long long end = now_ms() + wait;
        while (now_ms() < end)
            pause_briefly();
        CHECK_OK(zmq_timers_execute(timers));
    }
}

TEST(timers_null) {
    void *none = NULL;
    CHECK_ERRNO(zmq_timers_destroy(&none), EFAULT);
    CHECK_ERRNO(zmq_timers_add(NULL, 10, on_timer, NULL), EFAULT);
    CHECK_ERRNO(zmq_timers_cancel(NULL, 1), EFAULT);
    CHECK_ERRNO(zmq_timers_set_interval(NULL, 1, 10), EFAULT);
    CHECK_ERRNO(zmq_timers_reset(NULL, 1), EFAULT);
    CHECK_ERRNO(zmq_timers_timeout(NULL), EFAULT);
    CHECK_ERRNO(zmq_timers_execute(NULL), EFAULT);
    _Alignas(16) char memory[256] = {0};
    CHECK_ERRNO(zmq_timers_execute(memory), EFAULT);
    CHECK_ERRNO(zmq_timers_timeout(memory), EFAULT);
}

TEST(timers_without_any) {
    void *timers = zmq_timers_new();
    CHECK(timers != NULL);
    errno = ENODEV;
    CHECK_EQ(zmq_timers_timeout(timers), -1);
    CHECK_EQ(errno, ENODEV); // it is no error
    CHECK_OK(zmq_timers_execute(timers));
    CHECK_ERRNO(zmq_timers_add(timers, 10, NULL, NULL), EFAULT);
    CHECK_OK(zmq_timers_destroy(&timers));
    CHECK(timers == NULL);
}

TEST(timers_fire_and_repeat) {
    void *timers = zmq_timers_new();
    struct fired fired = {0};
    int id = zmq_timers_add(timers, 30, on_timer, &fired);
    CHECK_EQ(id, 1);
    CHECK_BETWEEN(zmq_timers_timeout(timers), 0, 30);
    long long start = now_ms();
    execute_until(timers, &fired, 1);
    CHECK_BETWEEN(now_ms() - start, 29, DEADLINE_MS);
    CHECK_EQ(fired.last_id, id);
    // Not again before its time, which may have come on a slow machine.
    CHECK_OK(zmq_timers_execute(timers));
    if (now_ms() - start < 59)
        CHECK_EQ(fired.count, 1);
    execute_until(timers, &fired, 3);
    CHECK_BETWEEN(now_ms() - start, 88, DEADLINE_MS);
    CHECK_OK(zmq_timers_destroy(&timers));
}

TEST(timers_fire_once_for_missed_periods) {
    void *timers = zmq_timers_new();
    struct fired fired = {0};
    zmq_timers_add(timers, 5, on_timer, &fired);
    long long end = now_ms() + 30;
    while (now_ms() < end)
        pause_briefly();
    CHECK_OK(zmq_timers_execute(timers));
    CHECK_EQ(fired.count, 1);
    CHECK_OK(zmq_timers_destroy(&timers));
}

TEST(timers_in_order) {
    void *timers = zmq_timers_new();
    struct fired slow = {0}, fast = {0};
    CHECK_EQ(zmq_timers_add(timers, 100000, on_timer, &slow), 1);
    CHECK_EQ(zmq_timers_add(timers, 20, on_timer, &fast), 2);
    CHECK_BETWEEN(zmq_timers_timeout(timers), 0, 20);
    execute_until(timers, &fast, 2);
    CHECK_EQ(slow.count, 0);
    CHECK_OK(zmq_timers_destroy(&timers));
}

TEST(timers_cancel) {
    void *timers = zmq_timers_new();
    struct fired fired = {0};
    int id = zmq_timers_add(timers, 1, on_timer, &fired);
    CHECK_OK(zmq_timers_cancel(timers, id));
    CHECK_EQ(zmq_timers_timeout(timers), -1);
    CHECK_OK(zmq_timers_execute(timers));
    CHECK_EQ(fired.count, 0);
    CHECK_ERRNO(zmq_timers_cancel(timers, id), EINVAL);
    CHECK_ERRNO(zmq_timers_reset(timers, id), EINVAL);
    CHECK_ERRNO(zmq_timers_cancel(timers, 99), EINVAL);
    CHECK_ERRNO(zmq_timers_set_interval(timers, 99, 10), EINVAL);
    CHECK_ERRNO(zmq_timers_reset(timers, 99), EINVAL);
    CHECK(zmq_timers_add(timers, 1, on_timer, &fired) > id);
    CHECK_OK(zmq_timers_destroy(&timers));
}

TEST(timers_set_interval_and_reset) {
    void *timers = zmq_timers_new();
    struct fired fired = {0};
    int id = zmq_timers_add(timers, 100000, on_timer, &fired);
    CHECK_BETWEEN(zmq_timers_timeout(timers), 90000, 100000);
    CHECK_OK(zmq_timers_set_interval(timers, id, 20));
    CHECK_BETWEEN(zmq_timers_timeout(timers), 0, 20);
    execute_until(timers, &fired, 1);
    CHECK_OK(zmq_timers_set_interval(timers, id, 50000));
    // The rest gets less, until the whole interval is set again.
    long before = zmq_timers_timeout(timers), after;
    CHECK_BETWEEN(before, 40000, 50000);
    WAIT_UNTIL((after = zmq_timers_timeout(timers)) < before - 500);
    CHECK_OK(zmq_timers_reset(timers, id));
    WAIT_UNTIL(zmq_timers_timeout(timers) > after || zmq_timers_reset(timers, id) != 0);
    CHECK_BETWEEN(zmq_timers_timeout(timers), 40000, 50000);
    CHECK_OK(zmq_timers_destroy(&timers));
}

TEST_OURS_ONLY(a_cancelled_timer_is_gone, "its id stays good until the next zmq_timers_execute") {
    void *timers = zmq_timers_new();
    struct fired fired = {0};
    int id = zmq_timers_add(timers, 100000, on_timer, &fired);
    CHECK_OK(zmq_timers_cancel(timers, id));
    CHECK_ERRNO(zmq_timers_reset(timers, id), EINVAL);
    CHECK_ERRNO(zmq_timers_set_interval(timers, id, 10), EINVAL);
    CHECK_ERRNO(zmq_timers_cancel(timers, id), EINVAL);
    CHECK_EQ(zmq_timers_timeout(timers), -1);
    CHECK_OK(zmq_timers_destroy(&timers));
}

TEST_OURS_ONLY(timers_with_interval_zero, "zmq_timers_execute never returns") {
    void *timers = zmq_timers_new();
    struct fired fired = {0};
    zmq_timers_add(timers, 0, on_timer, &fired);
    CHECK_EQ(zmq_timers_timeout(timers), 0);
    CHECK_OK(zmq_timers_execute(timers));
    CHECK_EQ(fired.count, 1);
    CHECK_OK(zmq_timers_execute(timers));
    CHECK_EQ(fired.count, 2);
    CHECK_OK(zmq_timers_destroy(&timers));
}

struct mutation {
    void *timers;
    int other;
    struct fired fired;
};

static void cancel_itself_and_other(int id, void *argument) {
    struct mutation *mutation = argument;
    mutation->fired.count++;
    CHECK_OK(zmq_timers_cancel(mutation->timers, id));
    CHECK_OK(zmq_timers_cancel(mutation->timers, mutation->other));
    zmq_timers_add(mutation->timers, 100000, on_timer, &mutation->fired);
}

TEST_OURS_ONLY(timers_changed_by_a_handler, "undefined behaviour") {
    void *timers = zmq_timers_new();
    struct mutation mutation = {.timers = timers};
    zmq_timers_add(timers, 1, cancel_itself_and_other, &mutation);
    mutation.other = zmq_timers_add(timers, 100000, on_timer, &mutation.fired);
    execute_until(timers, &mutation.fired, 1);
    CHECK_EQ(mutation.fired.count, 1);
    CHECK_BETWEEN(zmq_timers_timeout(timers), 90000, 100000);
    CHECK_OK(zmq_timers_destroy(&timers));
}

// ---- stopwatch, sleep, threads -----------------------------------------------------------------

TEST(stopwatch) {
    void *watch = zmq_stopwatch_start();
    CHECK(watch != NULL);
    long long end = now_ms() + 20;
    while (now_ms() < end)
        pause_briefly();
    unsigned long middle = zmq_stopwatch_intermediate(watch);
    CHECK_BETWEEN(middle, 18000, DEADLINE_MS * 1000);
    unsigned long whole = zmq_stopwatch_stop(watch);
    CHECK_BETWEEN(whole, middle, DEADLINE_MS * 1000);
}

TEST(sleep_a_second) {
    long long start = now_ms();
    zmq_sleep(1);
    CHECK_BETWEEN(now_ms() - start, 990, DEADLINE_MS);
    zmq_sleep(0);
}

static void set_flag(void *argument) { *(int *)argument = 7; }

TEST(threads) {
    int flags[4] = {0};
    void *threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = zmq_threadstart(set_flag, &flags[i]);
        CHECK(threads[i] != NULL);
    }
    for (int i = 0; i < 4; i++) {
        zmq_threadclose(threads[i]);
        CHECK_EQ(flags[i], 7);
    }
}

static void exit_thread(void *argument) {
    set_flag(argument);
    pthread_exit(NULL);
}

TEST(a_thread_may_end_itself) {
    int flag = 0;
    zmq_threadclose(zmq_threadstart(exit_thread, &flag));
    CHECK_EQ(flag, 7);
}

static void read_mask(void *argument) { pthread_sigmask(SIG_SETMASK, NULL, argument); }

// Its handlers, too, run in threads of the program.
TEST(threads_block_signals) {
    sigset_t mask;
    sigemptyset(&mask);
    zmq_threadclose(zmq_threadstart(read_mask, &mask));
    CHECK_EQ(sigismember(&mask, SIGUSR1), 1);
    CHECK_EQ(sigismember(&mask, SIGINT), 1);
}

static void read_name(void *argument) { pthread_getname_np(pthread_self(), argument, 16); }

TEST(thread_name) {
    char name[16] = "";
    zmq_threadclose(zmq_threadstart(read_name, name));
    CHECK_STR(name, "ZMQapp");
}
