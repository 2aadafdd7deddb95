// test_buf.c - buffers, lists and maps.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

// --- buf ---------------------------------------------------------------------------------------

static void a_fresh_buffer_has_no_memory_and_is_an_empty_string(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    assert_null(b.data);
    assert_string_equal(buf_cstr(&b), "");
    buf_deinit(&b);
    buf_deinit(&b);
}

static void a_buffer_takes_its_maximum_and_not_a_byte_more(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 6);
    assert_true(buf_puts(&b, "abc"));
    assert_true(buf_append(&b, NULL, 0));
    assert_false(buf_puts(&b, "defg"));
    assert_true(b.overflow);
    assert_int_equal(b.len, 3);
    assert_true(buf_puts(&b, "def"));
    assert_true(b.overflow); // stays until the buffer is cleared
    assert_false(buf_putc(&b, 'g'));
    assert_string_equal(buf_cstr(&b), "abcdef");
    buf_clear(&b);
    assert_false(b.overflow);
    assert_true(buf_printf(&b, "%d", 123456));
    assert_string_equal(buf_cstr(&b), "123456");
    assert_false(buf_printf(&b, "%d", 7));
    buf_deinit(&b);
}

static void absurd_sizes_are_refused(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, SIZE_MAX);
    assert_true(buf_putc(&b, 'x'));
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_null(buf_reserve(&b, SIZE_MAX - 1));
    assert_string_equal(buf_cstr(&b), "x");
    buf_deinit(&b);
}

static void reserved_room_counts_once_it_is_committed(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    memcpy(buf_reserve(&b, 50), "hello", 5);
    buf_commit(&b, 5);
    assert_int_equal(b.len, 5);
    assert_non_null(buf_reserve(&b, 95));
    assert_null(buf_reserve(&b, 96));
    assert_string_equal(buf_cstr(&b), "hello");
    buf_deinit(&b);
}

// A queue of numbered bytes: what comes out is what went in, in order, whatever the steps.
static void run_queue(size_t in_step, size_t out_step, size_t max)
{
    struct buf b;
    unsigned char in = 0, out = 0;
    size_t peak = 0;

    buf_init(&b, max);
    for (int round = 0; round < 3000; round++) {
        for (size_t i = 0; i < in_step && b.len < max; i++)
            assert_true(buf_putc(&b, (char)in++));
        for (size_t i = 0; i < out_step && i < b.len; i++)
            assert_int_equal((unsigned char)b.data[i], (unsigned char)(out + i));
        out = (unsigned char)(out + (out_step < b.len ? out_step : b.len));
        buf_consume(&b, out_step < b.len ? out_step : b.len);
        peak = b.cap > peak ? b.cap : peak;
    }
    assert_true(peak <= 4 * (max + 64));
    buf_deinit(&b);
}

static void bytes_leave_in_the_order_they_came(void **state)
{
    (void)state;
    for (size_t in = 1; in <= 64; in += 7)
        for (size_t out = 1; out <= 64; out += 9)
            run_queue(in, out, 1000);
}

static void a_buffer_emptied_by_consuming_starts_at_its_memory_again(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_puts(&b, "abcdef");
    buf_consume(&b, 2);
    assert_string_equal(buf_cstr(&b), "cdef");
    buf_consume(&b, 4);
    assert_int_equal(b.start, 0);
    buf_consume(&b, 0);
    assert_string_equal(buf_cstr(&b), "");
    buf_deinit(&b);
}

static void detached_memory_holds_the_unread_bytes_and_a_nul(void **state)
{
    struct buf b;
    size_t len;
    char *text;

    (void)state;
    buf_init(&b, 100);
    buf_puts(&b, "abcdef");
    buf_consume(&b, 2);
    text = buf_detach(&b, &len);
    assert_string_equal(text, "cdef");
    assert_int_equal(len, 4);
    free(text);
    assert_null(b.data);
    text = buf_detach(&b, NULL); // of an empty one
    assert_string_equal(text, "");
    free(text);
    assert_true(buf_puts(&b, "again"));
    buf_deinit(&b);
}

// --- list --------------------------------------------------------------------------------------

struct item {
    int number;
    struct list node;
};

static void assert_numbers(struct list *head, const int *numbers, size_t count)
{
    size_t i = 0;

    list_each(it, next, head) {
        assert_true(i < count);
        assert_int_equal(list_entry(it, struct item, node)->number, numbers[i++]);
    }
    assert_int_equal(i, count);
}

static void a_list_keeps_order_and_removal_may_be_repeated(void **state)
{
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    struct list head;

    (void)state;
    list_init(&head);
    assert_true(list_empty(&head));
    assert_null(list_shift(&head));
    for (size_t i = 0; i < 3; i++)
        list_append(&head, &items[i].node);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    assert_numbers(&head, (const int[]){1, 3}, 2);
    assert_ptr_equal(list_shift(&head), &items[0].node);
    assert_true(list_empty(&items[0].node));
    assert_numbers(&head, (const int[]){3}, 1);
}

static void a_walk_may_remove_where_it_stands(void **state)
{
    struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    struct list head;

    (void)state;
    list_init(&head);
    for (size_t i = 0; i < 4; i++)
        list_append(&head, &items[i].node);
    list_each(it, next, &head) {
        if (list_entry(it, struct item, node)->number % 2 == 0)
            list_remove(it);
    }
    assert_numbers(&head, (const int[]){1, 3}, 2);
}

static void a_spliced_list_goes_to_the_end_and_leaves_nothing_behind(void **state)
{
    struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    struct list a, b;

    (void)state;
    list_init(&a);
    list_init(&b);
    list_splice(&a, &b);
    assert_true(list_empty(&a));
    list_append(&a, &items[0].node);
    for (size_t i = 1; i < 4; i++)
        list_append(&b, &items[i].node);
    list_splice(&a, &b);
    assert_true(list_empty(&b));
    assert_numbers(&a, (const int[]){1, 2, 3, 4}, 4);
}

// --- map ---------------------------------------------------------------------------------------

static void a_map_finds_what_was_set_and_nothing_else(void **state)
{
    struct map m;
    int one, two;
    void *old;

    (void)state;
    map_init(&m);
    assert_null(map_get(&m, "a", 1));
    assert_null(map_remove(&m, "a", 1));
    assert_true(map_set(&m, "a", 1, &one, &old));
    assert_null(old);
    assert_true(map_set(&m, "a", 1, &two, &old));
    assert_ptr_equal(old, &one);
    assert_int_equal(m.count, 1);
    assert_ptr_equal(map_get(&m, "a", 1), &two);
    assert_null(map_get(&m, "ab", 2));
    assert_null(map_find(&m, "", 0));
    assert_string_equal(map_find(&m, "a", 1)->key, "a");
    assert_ptr_equal(map_remove(&m, "a", 1), &two);
    assert_int_equal(m.count, 0);
    map_deinit(&m);
}

static void keys_are_bytes_and_may_be_empty_or_hold_nul(void **state)
{
    struct map m;
    int one, two, three;

    (void)state;
    map_init(&m);
    assert_true(map_set(&m, "", 0, &one, NULL));
    assert_true(map_set(&m, "a\0b", 3, &two, NULL));
    assert_true(map_set(&m, "a\0c", 3, &three, NULL));
    assert_ptr_equal(map_get(&m, "", 0), &one);
    assert_ptr_equal(map_get(&m, "a\0b", 3), &two);
    assert_ptr_equal(map_get(&m, "a\0c", 3), &three);
    assert_null(map_get(&m, "a", 1));
    map_deinit(&m);
}

enum { MANY = 5000 };

// Compares the map with an array of what should be in it.
static void assert_holds(const struct map *m, const char *values, size_t count)
{
    size_t pos = 0, seen = 0;
    char key[16];

    for (size_t i = 0; i < MANY; i++) {
        int len = snprintf(key, sizeof(key), "key %zu", i);

        assert_ptr_equal(map_get(m, key, (size_t)len), values[i] ? values + i : NULL);
    }
    while (map_next(m, &pos))
        seen++;
    assert_int_equal(seen, count);
    assert_int_equal(m->count, count);
}

static void many_keys_come_and_go(void **state)
{
    static char values[MANY];
    struct map m;
    size_t count = 0;
    unsigned random = 1;
    char key[16];

    (void)state;
    memset(values, 0, sizeof(values));
    map_init(&m);
    for (int step = 0; step < 60000; step++) {
        size_t i = (random = random * 1103515245 + 12345) >> 8;
        int len;

        i %= MANY;
        len = snprintf(key, sizeof(key), "key %zu", i);
        if (values[i]) {
            assert_ptr_equal(map_remove(&m, key, (size_t)len), values + i);
            count--;
        } else {
            assert_true(map_set(&m, key, (size_t)len, values + i, NULL));
            count++;
        }
        values[i] = !values[i];
        if (step % 20000 == 0)
            assert_holds(&m, values, count);
    }
    assert_holds(&m, values, count);
    map_deinit(&m);
}

// Small tables have long chains, which wrap around the end of the table; for many seeds every
// pair of removals leaves the others where they are found.
static void removal_closes_the_holes_of_probing(void **state)
{
    static const char keys[] = "abcdefghijkl"; // 12 of 16 slots: as full as it gets
    size_t wrapped = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        for (size_t first = 0; first < 12; first++) {
            struct map m;

            map_init(&m);
            m.seed = seed * 0x9e3779b97f4a7c15u;
            for (size_t i = 0; i < 12; i++)
                assert_true(map_set(&m, keys + i, 1, (void *)(keys + i), NULL));
            assert_int_equal(m.cap, 16);
            for (size_t i = 0; i < 4; i++)
                wrapped += m.slots[i].key && (m.slots[i].hash & 15) > 8;
            for (size_t i = 0; i < 12; i++) {
                size_t gone = (first + i * 5) % 12;

                assert_ptr_equal(map_remove(&m, keys + gone, 1), keys + gone);
                for (size_t j = i + 1; j < 12; j++) {
                    size_t kept = (first + j * 5) % 12;

                    assert_ptr_equal(map_get(&m, keys + kept, 1), keys + kept);
                }
            }
            assert_int_equal(m.count, 0);
            map_deinit(&m);
        }
    }
    assert_true(wrapped > 100); // else this test looks at nothing
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_buffer_has_no_memory_and_is_an_empty_string),
        cmocka_unit_test(a_buffer_takes_its_maximum_and_not_a_byte_more),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(reserved_room_counts_once_it_is_committed),
        cmocka_unit_test(bytes_leave_in_the_order_they_came),
        cmocka_unit_test(a_buffer_emptied_by_consuming_starts_at_its_memory_again),
        cmocka_unit_test(detached_memory_holds_the_unread_bytes_and_a_nul),
        cmocka_unit_test(a_list_keeps_order_and_removal_may_be_repeated),
        cmocka_unit_test(a_walk_may_remove_where_it_stands),
        cmocka_unit_test(a_spliced_list_goes_to_the_end_and_leaves_nothing_behind),
        cmocka_unit_test(a_map_finds_what_was_set_and_nothing_else),
        cmocka_unit_test(keys_are_bytes_and_may_be_empty_or_hold_nul),
        cmocka_unit_test(many_keys_come_and_go),
        cmocka_unit_test(removal_closes_the_holes_of_probing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
