// test_cliproxy.c - the proxy as a library: its end.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "app/cliproxy.h"
#include "base/clock.h"

// --- a thread pool with nothing to spare
// -----------------------------------------------------------

enum { POOL = 4 }; // threads of libuv's pool

struct busy_pool {
    uv_loop_t loop;
    uv_work_t work[POOL];
    uv_sem_t taken, over;
};

static void occupy(uv_work_t *work)
{
    struct busy_pool *b = work->data;

    uv_sem_post(&b->taken);
    uv_sem_wait(&b->over);
}

static void on_free(uv_work_t *work, int status)
{
    (void)work;
    assert_int_equal(status, 0);
}

// Returns when no thread of the pool is free any more.
static void pool_occupy(struct busy_pool *b)
{
    assert_int_equal(uv_loop_init(&b->loop), 0);
    uv_sem_init(&b->taken, 0);
    uv_sem_init(&b->over, 0);
    for (int i = 0; i < POOL; i++) {
        b->work[i].data = b;
        uv_queue_work(&b->loop, &b->work[i], occupy, on_free);
    }
    for (int i = 0; i < POOL; i++)
        uv_sem_wait(&b->taken);
}

static void pool_release(struct busy_pool *b)
{
    for (int i = 0; i < POOL; i++)
        uv_sem_post(&b->over);
}

static void pool_end(struct busy_pool *b)
{
    uv_run(&b->loop, UV_RUN_DEFAULT);
    uv_sem_destroy(&b->taken);
    uv_sem_destroy(&b->over);
    assert_int_equal(uv_loop_close(&b->loop), 0);
}

// --- tests
// -----------------------------------------------------------------------------------------

struct ending {
    struct cliproxy *proxy;
    struct busy_pool pool;
    uv_sem_t ended;
};

static void end_it(void *arg)
{
    struct ending *e = arg;

    usleep(200 * 1000); // until auth-dir is to be read
    cliproxy_stop(e->proxy);
    uv_sem_wait(&e->ended);
    usleep(300 * 1000); // until cliproxy_free() is under way
    pool_release(&e->pool);
}

static void a_proxy_ends_while_its_files_are_still_to_be_read(void **state)
{
    char directory[] = "/tmp/cliproxy-XXXXXX", path[64], command[64], error[4096];
    struct cliproxy_options options = {.config_path = path};
    struct ending e;
    uv_thread_t thread;
    double began;
    FILE *file;

    (void)state;
    setenv("UV_THREADPOOL_SIZE", "4", 1);
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/config.yaml", directory);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "port: 0\nlogging-to-file: false\nworkers: 1\nauth-dir: %s/auth\n", directory);
    fclose(file);
    e.proxy = cliproxy_new(&options, error, sizeof(error));
    if (!e.proxy)
        fail_msg("%s", error);
    uv_sem_init(&e.ended, 0);
    pool_occupy(&e.pool);
    began = clock_mono();
    uv_thread_create(&thread, end_it, &e);
    assert_int_equal(cliproxy_run(e.proxy), 0);
    assert_true(clock_mono() - began < 4); // it did not wait for accounts any longer
    uv_sem_post(&e.ended);
    cliproxy_free(e.proxy);
    uv_thread_join(&thread);
    uv_sem_destroy(&e.ended);
    pool_end(&e.pool);
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proxy_ends_while_its_files_are_still_to_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
