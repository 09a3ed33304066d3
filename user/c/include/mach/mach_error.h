/* Names of return codes. */
#ifndef MACH_MACH_ERROR_H
#define MACH_MACH_ERROR_H

#include <mach/kern_return.h>

typedef kern_return_t mach_error_t;

/* Returns the name of a return code, or "unknown code". Bits of MACH_MSG_MASK do not count. */
const char *mach_error_string(mach_error_t code);
/* Prints a text and the name of a code. */
void mach_error(const char *text, mach_error_t code);

#endif
