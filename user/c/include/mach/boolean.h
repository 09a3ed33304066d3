/* Truth values in the interfaces of Mach. */
#ifndef MACH_BOOLEAN_H
#define MACH_BOOLEAN_H

typedef unsigned int boolean_t;

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif

#endif
