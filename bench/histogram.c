#include "histogram.h"

// Values below 2^SUB_BITS have a slot each; above, every power of two has 2^SUB_BITS slots.
static unsigned slot_of(uint64_t value)
{
    unsigned shift;

    if (value < 1u << HISTOGRAM_SUB_BITS)
        return (unsigned)value;
    shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift) -
           (1u << HISTOGRAM_SUB_BITS);
}

static uint64_t value_of(unsigned slot)
{
    unsigned shift = slot >> HISTOGRAM_SUB_BITS;
    uint64_t rest = slot & ((1u << HISTOGRAM_SUB_BITS) - 1);

    if (!shift)
        return rest;
    return (rest + (1u << HISTOGRAM_SUB_BITS)) << (shift - 1);
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    if (value > h->max)
        h->max = value;
    h->slots[slot_of(value)]++;
}

uint64_t histogram_quantile(const struct histogram *h, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)h->count + 0.5);
    uint64_t seen = 0;

    if (wanted >= h->count)
        return h->max;
    for (unsigned slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        seen += h->slots[slot];
        if (seen >= wanted && seen)
            return value_of(slot);
    }
    return h->max;
}
