/* What a program has from the start. */
#ifndef MACH_MACH_INIT_H
#define MACH_MACH_INIT_H

#include <mach/mach_types.h>

extern mach_port_t mach_task_self_;
/* The port of the name service: see <servers/bootstrap.h>. */
extern mach_port_t bootstrap_port;

/* The task's own port. Does not add a reference. */
#define mach_task_self() mach_task_self_
#define current_task() mach_task_self_

extern vm_size_t vm_page_size;
#define vm_page_shift 12

#include <mach/mach_traps.h>

/* Names of the thread's own port and of the host. Each call adds a reference. */
#define mach_thread_self() thread_self_trap()
#define mach_host_self() host_self_trap()

#endif
