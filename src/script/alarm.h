// alarm.h - many deadlines on one libuv timer: a binary heap.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct alarm {
    double at;    // clock_mono()
    size_t place; // in the heap, counted from 1; 0 when not set
    void (*ring)(struct alarm *a);
};

struct alarms {
    uv_timer_t timer;
    struct alarm **heap;
    size_t count, cap;
    double armed_for; // deadline the timer is set to, 0 when stopped
};

void alarms_init(struct alarms *all, uv_loop_t *loop);
void alarms_deinit(struct alarms *all); // the timer handle must have been closed

// Sets (or moves) an alarm.  False without memory.
bool alarm_set(struct alarms *all, struct alarm *a, double at);
void alarm_clear(struct alarms *all, struct alarm *a);
