/* The clock, which counts nanoseconds since boot. */
#ifndef MACH_MACH_TIME_H
#define MACH_MACH_TIME_H

#include <mach/kern_return.h>
#include <stdint.h>

struct mach_timebase_info {
    uint32_t numer;
    uint32_t denom;
};
typedef struct mach_timebase_info *mach_timebase_info_t;
typedef struct mach_timebase_info mach_timebase_info_data_t;

uint64_t mach_absolute_time(void);
/* Nanoseconds are clock units times `numer` divided by `denom`, which are both 1. */
kern_return_t mach_timebase_info(mach_timebase_info_t info);
/* Waits until the clock has reached `deadline`. */
kern_return_t mach_wait_until(uint64_t deadline);

#endif
