/* Options of thread_switch. */
#ifndef MACH_THREAD_SWITCH_H
#define MACH_THREAD_SWITCH_H

#include <mach/mach_traps.h>

#define SWITCH_OPTION_NONE 0
#define SWITCH_OPTION_DEPRESS 1 /* at the lowest priority for some milliseconds */
#define SWITCH_OPTION_WAIT 2    /* wait for some milliseconds */

#endif
