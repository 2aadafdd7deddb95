// histogram.h - counts of durations with under 1 % error, in fixed memory.

#pragma once

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_SLOTS (64 << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t count;
    uint64_t max;
    uint32_t slots[HISTOGRAM_SLOTS];
};

void histogram_add(struct histogram *h, uint64_t value);

// The value that `part` (0 to 1) of all values do not exceed; 0 when there are none.
uint64_t histogram_quantile(const struct histogram *h, double part);
