// clock.h - the two clocks, in seconds as numbers.

#pragma once

#include <stdint.h>
#include <time.h>

// Monotonic, for time limits and latencies.
static inline double clock_mono(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// Unix time, for what people and files see.
static inline double clock_wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// CPU time of the calling thread, for the limits of scripts.
static inline double clock_thread(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
