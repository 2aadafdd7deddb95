// Tests of alarms: the order of a heap under setting, moving and clearing.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "script/alarm.h"

enum { COUNT = 500 };

static int rung;
static double last;

static void on_ring(struct alarm *a)
{
    assert_true(a->at >= last);
    assert_int_equal(a->place, 0);
    last = a->at;
    rung++;
}

static void test_alarms_ring_in_order_however_they_were_moved(void **state)
{
    static struct alarm alarm[COUNT];
    struct alarms all;
    uv_loop_t loop;
    double now = clock_mono();
    unsigned seed = 1;
    int set = 0;

    (void)state;
    uv_loop_init(&loop);
    alarms_init(&all, &loop);
    for (int i = 0; i < 5000; i++) {
        struct alarm *a = &alarm[rand_r(&seed) % COUNT];

        a->ring = on_ring;
        if (rand_r(&seed) % 4 == 0)
            alarm_clear(&all, a);
        else
            assert_true(alarm_set(&all, a, now - 10 + rand_r(&seed) % 10000 / 1000.0));
        for (size_t place = 2; place <= all.count; place++)
            assert_true(all.heap[place / 2 - 1]->at <= all.heap[place - 1]->at);
    }
    for (int i = 0; i < COUNT; i++)
        set += alarm[i].place > 0;
    assert_int_equal(all.count, set);
    for (int i = 0; i < 1000 && all.count; i++)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(rung, set);
    assert_true(alarm_set(&all, &alarm[0], INFINITY));
    alarm_clear(&all, &alarm[0]);
    uv_close((uv_handle_t *)&all.timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    alarms_deinit(&all);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alarms_ring_in_order_however_they_were_moved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
