/* The name service behind the bootstrap port (docs/abi.md, "The name service"). */
#ifndef SERVERS_BOOTSTRAP_H
#define SERVERS_BOOTSTRAP_H

#include <mach/mach_init.h>
#include <mach/std_types.h>

#define BOOTSTRAP_MAX_NAME_LEN 128

typedef char name_t[BOOTSTRAP_MAX_NAME_LEN];

#define BOOTSTRAP_SUCCESS 0
#define BOOTSTRAP_NOT_PRIVILEGED 1100
#define BOOTSTRAP_NAME_IN_USE 1101
#define BOOTSTRAP_UNKNOWN_SERVICE 1102
#define BOOTSTRAP_SERVICE_ACTIVE 1103
#define BOOTSTRAP_BAD_COUNT 1104
#define BOOTSTRAP_NO_MEMORY 1105
#define BOOTSTRAP_SERVICE_THROTTLED 1150

/* A name may have 127 characters; the rest of a longer one does not count. */

/* Makes a port under a name and returns its receive right, or that of a service that is declared for this program. */
kern_return_t bootstrap_check_in(mach_port_t bp, const char *service_name, mach_port_t *sp);
/* Puts a copy of a send right of the caller under a name. */
kern_return_t bootstrap_register(mach_port_t bp, const char *service_name, mach_port_t sp);
/* Returns a send right to the port under a name. A program that is declared for the name is started. */
kern_return_t bootstrap_look_up(mach_port_t bp, const char *service_name, mach_port_t *sp);
/* Returns the name of an error of these calls. */
const char *bootstrap_strerror(kern_return_t code);

#endif
