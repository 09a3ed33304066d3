/* Calls of task ports. */
#ifndef MACH_TASK_H
#define MACH_TASK_H

#include <mach/mach_types.h>
#include <mach/message.h>
#include <mach/task_special_ports.h>

/* Ends a task with the status 0x0900. */
kern_return_t task_terminate(task_t task);
/* Returns a send right; sets the bootstrap port. */
kern_return_t task_get_special_port(task_t task, int which_port, mach_port_t *special_port);
kern_return_t task_set_special_port(task_t task, int which_port, mach_port_t special_port);
/* Set and read a policy. Counts are numbers of words. */
kern_return_t task_policy_set(task_t task, task_policy_flavor_t flavor, task_policy_t policy_info,
                              mach_msg_type_number_t policy_infoCnt);
kern_return_t task_policy_get(task_t task, task_policy_flavor_t flavor, task_policy_t policy_info,
                              mach_msg_type_number_t *policy_infoCnt, boolean_t *get_default);
/* A task has no voucher: the first returns null, the second has no effect. Threads have vouchers. */
kern_return_t task_get_mach_voucher(task_t task, mach_voucher_selector_t which, ipc_voucher_t *voucher);
kern_return_t task_set_mach_voucher(task_t task, ipc_voucher_t voucher);

#endif
