/* Calls of thread ports. <tally.h> has thread_start. */
#ifndef MACH_THREAD_ACT_H
#define MACH_THREAD_ACT_H

#include <mach/mach_types.h>

kern_return_t thread_terminate(thread_act_t thread);
/* Suspensions are counted: a thread runs again after as many resumptions. */
kern_return_t thread_suspend(thread_act_t thread);
kern_return_t thread_resume(thread_act_t thread);
/* Ends the wait of a thread with an error. */
kern_return_t thread_abort(thread_act_t thread);
/* Reads and sets the voucher that a thread has adopted. Null stands for none. */
kern_return_t thread_get_mach_voucher(thread_act_t thread, mach_voucher_selector_t which, ipc_voucher_t *voucher);
kern_return_t thread_set_mach_voucher(thread_act_t thread, ipc_voucher_t voucher);

#endif
