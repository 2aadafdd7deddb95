// Blocks of a pool keep what is written to them, and slabs go back when they are empty.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/pool.h"

static void test_blocks_of_all_sizes_are_apart_and_keep_their_bytes(void **state)
{
    enum { COUNT = 3 * 300 };
    struct pool p;
    unsigned char *blocks[COUNT];

    (void)state;
    pool_init(&p);
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = pool_resize(&p, NULL, 0, i % 300 + 1);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % POOL_STEP, 0);
        memset(blocks[i], (int)(i & 0xff), i % 300 + 1);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t k = 0; k <= i % 300; k++)
            assert_int_equal(blocks[i][k], i & 0xff);
    for (size_t i = 0; i < COUNT; i++)
        assert_null(pool_resize(&p, blocks[i], i % 300 + 1, 0));
    pool_trim(&p);
    assert_in_range(p.slabs, 1, POOL_MAX / POOL_STEP);
    pool_deinit(&p);
    assert_int_equal(p.slabs, 0);
}

static void test_a_block_that_changes_its_size_keeps_its_beginning(void **state)
{
    static const size_t sizes[] = {1, 16, 17, 256, 257, 5000, 300, 256, 255, 40, 33, 3};
    struct pool p;
    unsigned char *block = NULL;
    size_t before = 0;

    (void)state;
    pool_init(&p);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        size_t kept = before < sizes[i] ? before : sizes[i];

        block = pool_resize(&p, block, before, sizes[i]);
        assert_non_null(block);
        for (size_t k = 0; k < kept; k++)
            assert_int_equal(block[k], k & 0xff);
        for (size_t k = 0; k < sizes[i]; k++)
            block[k] = (unsigned char)k;
        before = sizes[i];
    }
    pool_resize(&p, block, before, 0);
    pool_deinit(&p);
}

// Blocks come and go in any order; every one is written whole.
static void test_slabs_go_back_when_they_are_empty(void **state)
{
    enum { COUNT = 20000 };
    static unsigned char *blocks[COUNT];
    static size_t sizes[COUNT];
    struct pool p;
    uint32_t chance = 12345;
    size_t most = 0;

    (void)state;
    pool_init(&p);
    for (int round = 0; round < 200000; round++) {
        size_t i;

        chance = chance * 1103515245 + 12345;
        i = chance / 65536 % COUNT;
        if (blocks[i]) {
            assert_int_equal(blocks[i][0], i & 0xff);
            assert_int_equal(blocks[i][sizes[i] - 1], i & 0xff);
            pool_resize(&p, blocks[i], sizes[i], 0);
            blocks[i] = NULL;
        } else {
            sizes[i] = chance / 7 % POOL_MAX + 1;
            blocks[i] = pool_resize(&p, NULL, 0, sizes[i]);
            memset(blocks[i], (int)(i & 0xff), sizes[i]);
        }
        most = p.slabs > most ? p.slabs : most;
    }
    for (size_t i = 0; i < COUNT; i++)
        if (blocks[i])
            pool_resize(&p, blocks[i], sizes[i], 0);
    assert_true(most > 4 * (POOL_MAX / POOL_STEP));
    assert_in_range(p.slabs, POOL_SPARE_MAX, POOL_SPARE_MAX + POOL_MAX / POOL_STEP);
    pool_trim(&p);
    assert_in_range(p.slabs, 0, POOL_MAX / POOL_STEP);
    pool_deinit(&p);
    assert_int_equal(p.slabs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_of_all_sizes_are_apart_and_keep_their_bytes),
        cmocka_unit_test(test_a_block_that_changes_its_size_keeps_its_beginning),
        cmocka_unit_test(test_slabs_go_back_when_they_are_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
