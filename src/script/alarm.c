#include "script/alarm.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"

static void put(struct alarms *all, struct alarm *a, size_t place)
{
    all->heap[place - 1] = a;
    a->place = place;
}

static void sift_up(struct alarms *all, struct alarm *a)
{
    size_t place = a->place;

    while (place > 1 && all->heap[place / 2 - 1]->at > a->at) {
        put(all, all->heap[place / 2 - 1], place);
        place /= 2;
    }
    put(all, a, place);
}

static void sift_down(struct alarms *all, struct alarm *a)
{
    size_t place = a->place;

    for (;;) {
        size_t child = place * 2;

        if (child > all->count)
            break;
        if (child < all->count && all->heap[child]->at < all->heap[child - 1]->at)
            child++;
        if (all->heap[child - 1]->at >= a->at)
            break;
        put(all, all->heap[child - 1], place);
        place = child;
    }
    put(all, a, place);
}

// A timer that fires early looks again, so no single delay has to be longer than this.
static const double DELAY_MAX = 24 * 3600 * 1000.0;

static void on_timer(uv_timer_t *timer);

// Sets the timer when the earliest deadline moved forward.  A timer that fires too early just
// looks again, so a deadline that moved back costs nothing here.
static void arm(struct alarms *all)
{
    double first = all->count ? all->heap[0]->at : 0;
    double delay;

    if (first == 0 || (all->armed_for > 0 && all->armed_for <= first))
        return;
    delay = ceil((first - clock_mono()) * 1000);
    if (!(delay < DELAY_MAX))
        delay = DELAY_MAX;
    all->armed_for = first;
    uv_update_time(all->timer.loop);
    uv_timer_start(&all->timer, on_timer, delay > 0 ? (uint64_t)delay : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct alarms *all = timer->data;
    double now = clock_mono();

    all->armed_for = 0;
    while (all->count && all->heap[0]->at <= now) {
        struct alarm *a = all->heap[0];

        alarm_clear(all, a);
        a->ring(a);
    }
    arm(all);
}

void alarms_init(struct alarms *all, uv_loop_t *loop)
{
    *all = (struct alarms){0};
    uv_timer_init(loop, &all->timer);
    all->timer.data = all;
}

void alarms_deinit(struct alarms *all)
{
    free(all->heap);
    all->heap = NULL;
}

bool alarm_set(struct alarms *all, struct alarm *a, double at)
{
    if (a->place) {
        a->at = at;
        sift_up(all, a);
        sift_down(all, a);
        arm(all);
        return true;
    }
    if (all->count == all->cap) {
        size_t cap = all->cap ? all->cap * 2 : 64;
        struct alarm **more = realloc(all->heap, cap * sizeof(*more));

        if (!more)
            return false;
        all->heap = more;
        all->cap = cap;
    }
    a->at = at;
    a->place = ++all->count;
    all->heap[a->place - 1] = a;
    sift_up(all, a);
    arm(all);
    return true;
}

void alarm_clear(struct alarms *all, struct alarm *a)
{
    struct alarm *last;

    if (!a->place)
        return;
    last = all->heap[--all->count];
    if (last != a) {
        put(all, last, a->place);
        sift_up(all, last);
        sift_down(all, last);
    }
    a->place = 0;
}
