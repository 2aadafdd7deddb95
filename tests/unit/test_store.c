// test_store.c - the shared store.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "store/store.h"

#define SOON 1e-9  // has passed at the next look
#define LATER 1000

static const struct store_value TRUE_VALUE = {.type = STORE_BOOLEAN, .boolean = true};

static struct store_value integer(int64_t n)
{
    return (struct store_value){.type = STORE_INTEGER, .integer = n};
}

static struct store_value string(const char *text)
{
    return (struct store_value){.type = STORE_STRING, .text = text, .len = strlen(text)};
}

static bool set(struct store *s, const char *key, struct store_value value, double ttl)
{
    return store_set(s, key, strlen(key), &value, ttl);
}

static bool has(struct store *s, const char *key)
{
    struct store_value value;
    struct buf text;
    bool found;

    buf_init(&text, 1000);
    found = store_get(s, key, strlen(key), &value, &text, NULL);
    assert_int_equal(found, value.type != STORE_NONE);
    buf_deinit(&text);
    return found;
}

// The clock moves on, however coarse it is.
static void let_time_pass(void)
{
    double start = clock_mono();

    while (clock_mono() <= start + SOON)
        nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
}

static void values_of_every_type_come_back(void **state)
{
    struct store *s = store_new(0);
    struct store_value value;
    struct buf text;
    double ttl = -1;

    (void)state;
    buf_init(&text, 100);
    assert_true(set(s, "b", TRUE_VALUE, 0));
    assert_true(set(s, "i", integer(INT64_MIN), 0));
    assert_true(set(s, "n", (struct store_value){.type = STORE_NUMBER, .number = 0.5}, LATER));
    assert_true(set(s, "s", (struct store_value){STORE_STRING, .text = "a\0b", .len = 3}, 0));
    assert_true(set(s, "", string(""), 0));
    assert_true(store_get(s, "b", 1, &value, &text, &ttl));
    assert_true(value.type == STORE_BOOLEAN && value.boolean && ttl == 0);
    assert_true(store_get(s, "i", 1, &value, &text, NULL));
    assert_true(value.type == STORE_INTEGER && value.integer == INT64_MIN);
    assert_true(store_get(s, "n", 1, &value, &text, &ttl));
    assert_true(value.type == STORE_NUMBER && value.number == 0.5);
    assert_true(ttl > 0 && ttl <= LATER);
    assert_true(store_get(s, "s", 1, &value, &text, NULL));
    assert_int_equal(value.len, 3);
    assert_memory_equal(value.text, "a\0b", 3);
    assert_true(store_get(s, "", 0, &value, &text, NULL));
    assert_int_equal(value.len, 0);
    assert_false(store_get(s, "none", 4, &value, &text, NULL));
    assert_int_equal(value.type, STORE_NONE);
    buf_deinit(&text);
    store_free(s);
    store_free(NULL);
}

static void a_string_is_appended_or_not_given_at_all(void **state)
{
    struct store *s = store_new(0);
    struct store_value value;
    struct buf text;

    (void)state;
    buf_init(&text, 8);
    buf_puts(&text, "abc");
    assert_true(set(s, "k", string("12345"), 0));
    assert_true(store_get(s, "k", 1, &value, &text, NULL));
    assert_memory_equal(value.text, "12345", 5);
    assert_string_equal(buf_cstr(&text), "abc12345");
    assert_false(store_get(s, "k", 1, &value, &text, NULL));
    assert_int_equal(value.type, STORE_NONE);
    buf_deinit(&text);
    store_free(s);
}

static void what_has_expired_is_gone(void **state)
{
    struct store *s = store_new(0);
    struct buf keys;

    (void)state;
    buf_init(&keys, 100);
    assert_true(set(s, "short", integer(1), SOON));
    assert_true(set(s, "gone", integer(1), SOON));
    assert_true(set(s, "long", integer(1), LATER));
    let_time_pass();
    assert_false(has(s, "short"));
    assert_false(store_delete(s, "gone", 4));
    assert_true(has(s, "long"));
    assert_int_equal(store_keys(s, "", 0, &keys), 1);
    assert_true(set(s, "short", integer(2), 0)); // never expires now
    let_time_pass();
    assert_true(has(s, "short"));
    assert_true(set(s, "short", integer(3), SOON));
    let_time_pass();
    assert_false(has(s, "short"));
    buf_deinit(&keys);
    store_free(s);
}

static void expired_keys_are_swept_by_new_ones(void **state)
{
    struct store *s = store_new(0);
    char key[16];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "%d", i);
        assert_true(set(s, key, integer(i), SOON));
        let_time_pass();
    }
    assert_int_equal(store_count(s), 1);
    store_free(s);
}

static void a_counter_starts_at_zero_and_keeps_its_expiry(void **state)
{
    struct store *s = store_new(0);
    struct store_value value;
    struct buf text;
    double first, second;

    (void)state;
    buf_init(&text, 10);
    assert_int_equal(store_add(s, "n", 1, 5, LATER), 5);
    assert_true(store_get(s, "n", 1, &value, &text, &first));
    assert_int_equal(store_add(s, "n", 1, -7, 2 * LATER), -2);
    assert_true(store_get(s, "n", 1, &value, &text, &second));
    assert_true(second <= first);
    assert_int_equal(value.integer, -2);
    assert_int_equal(store_add(s, "gone", 4, 3, SOON), 3);
    let_time_pass();
    assert_int_equal(store_add(s, "gone", 4, 3, SOON), 3);
    assert_true(set(s, "text", string("x"), 0));
    assert_int_equal(store_add(s, "text", 4, 1, 0), 1); // what is no integer counts as absent
    assert_true(set(s, "most", integer(INT64_MAX), 0));
    assert_int_equal(store_add(s, "most", 4, 1, 0), INT64_MIN);
    buf_deinit(&text);
    store_free(s);
}

static void only_the_first_claim_succeeds_until_it_expires(void **state)
{
    struct store *s = store_new(0);

    (void)state;
    assert_true(store_claim(s, "k", 1, &TRUE_VALUE, LATER));
    assert_false(store_claim(s, "k", 1, &TRUE_VALUE, LATER));
    assert_true(store_delete(s, "k", 1));
    assert_false(store_delete(s, "k", 1));
    assert_true(store_claim(s, "k", 1, &TRUE_VALUE, SOON));
    let_time_pass();
    assert_true(store_claim(s, "k", 1, &TRUE_VALUE, 0));
    store_free(s);
}

static void keys_are_listed_by_prefix(void **state)
{
    struct store *s = store_new(0);
    struct buf keys;

    (void)state;
    buf_init(&keys, 100);
    assert_true(set(s, "cool/a", integer(1), 0));
    assert_true(set(s, "cool/b", integer(1), 0));
    assert_true(set(s, "coo", integer(1), 0));
    assert_int_equal(store_keys(s, "cool/", 5, &keys), 2);
    assert_int_equal(keys.len, 14);
    assert_int_equal(strlen(keys.data), 6);
    assert_string_not_equal(keys.data, keys.data + 7);
    assert_int_equal(store_keys(s, "x", 1, &keys), 0);
    assert_int_equal(keys.len, 14);
    buf_deinit(&keys);
    buf_init(&keys, 8); // room for one
    assert_int_equal(store_keys(s, "cool/", 5, &keys), 1);
    assert_int_equal(keys.len, 7);
    buf_deinit(&keys);
    store_free(s);
}

static void the_key_that_expires_first_makes_room(void **state)
{
    struct store *s = store_new(4);
    char key[16];

    (void)state;
    assert_true(set(s, "for ever", integer(1), 0));
    assert_true(set(s, "third", integer(1), 3 * LATER));
    assert_true(set(s, "first", integer(1), LATER));
    assert_true(set(s, "second", integer(1), 2 * LATER));
    assert_true(set(s, "third", integer(2), 3 * LATER)); // replacing asks for no room
    assert_int_equal(store_count(s), 4);
    assert_true(has(s, "first"));
    assert_true(set(s, "new", integer(1), 9 * LATER));
    assert_false(has(s, "first"));
    assert_int_equal(store_add(s, "counter", 7, 1, 9 * LATER), 1);
    assert_false(has(s, "second"));
    assert_true(store_claim(s, "claimed", 7, &TRUE_VALUE, 9 * LATER));
    assert_false(has(s, "third"));
    assert_true(has(s, "for ever"));
    assert_int_equal(store_count(s), 4);
    for (int i = 0; i < 100; i++) { // none of these expires, yet there is room for the next
        snprintf(key, sizeof(key), "%d", i);
        assert_true(set(s, key, integer(i), 0));
        assert_true(has(s, key));
        assert_int_equal(store_count(s), 4);
    }
    store_free(s);
}

static void room_is_made_in_order_of_expiry(void **state)
{
    enum { KEYS = 500 };
    struct store *s = store_new(KEYS);
    char key[16];

    (void)state;
    for (int i = 0; i < KEYS; i++) { // a permutation: 7 and 500 have no common factor
        snprintf(key, sizeof(key), "%d", i * 7 % KEYS);
        assert_true(set(s, key, integer(i), LATER + i * 7 % KEYS));
    }
    for (int i = 0; i < KEYS; i += 3) {
        snprintf(key, sizeof(key), "%d", i);
        assert_true(store_delete(s, key, strlen(key)));
        snprintf(key, sizeof(key), "more %d", i);
        assert_true(set(s, key, integer(i), 9 * LATER));
    }
    for (int i = 0; i < KEYS; i++) {
        if (i % 3 == 0)
            continue;
        snprintf(key, sizeof(key), "%d", i);
        assert_true(has(s, key));
        snprintf(key, sizeof(key), "again %d", i);
        assert_true(set(s, key, integer(i), 9 * LATER));
        snprintf(key, sizeof(key), "%d", i);
        assert_false(has(s, key));
    }
    store_free(s);
}

enum { THREADS = 4, ROUNDS = 3000 };

static void *hammer(void *ctx)
{
    struct store *s = ctx;
    struct store_value value;
    struct buf text;
    int64_t claims = 0;
    char key[16];

    buf_init(&text, 4096);
    for (int i = 0; i < ROUNDS; i++) {
        store_add(s, "count", 5, 1, 0);
        snprintf(key, sizeof(key), "claim %d", i);
        claims += store_claim(s, key, strlen(key), &TRUE_VALUE, LATER);
        snprintf(key, sizeof(key), "shared %d", i % 10);
        set(s, key, string("some text"), i % 3 ? LATER : SOON);
        buf_clear(&text);
        if (store_get(s, key, strlen(key), &value, &text, NULL) &&
            memcmp(value.text, "some text", 9) != 0)
            abort();
        if (i % 100 == 0)
            store_keys(s, "shared", 6, &text);
        store_delete(s, key, i % 7 ? 0 : strlen(key));
    }
    buf_deinit(&text);
    store_add(s, "claims", 6, claims, 0);
    return NULL;
}

static void threads_share_it_without_losing_a_count_or_a_claim(void **state)
{
    struct store *s = store_new(0);
    pthread_t threads[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, s), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(store_add(s, "count", 5, 0, 0), THREADS * ROUNDS);
    assert_int_equal(store_add(s, "claims", 6, 0, 0), ROUNDS);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type_come_back),
        cmocka_unit_test(a_string_is_appended_or_not_given_at_all),
        cmocka_unit_test(what_has_expired_is_gone),
        cmocka_unit_test(expired_keys_are_swept_by_new_ones),
        cmocka_unit_test(a_counter_starts_at_zero_and_keeps_its_expiry),
        cmocka_unit_test(only_the_first_claim_succeeds_until_it_expires),
        cmocka_unit_test(keys_are_listed_by_prefix),
        cmocka_unit_test(the_key_that_expires_first_makes_room),
        cmocka_unit_test(room_is_made_in_order_of_expiry),
        cmocka_unit_test(threads_share_it_without_losing_a_count_or_a_claim),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
