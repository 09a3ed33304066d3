/* All of Mach that most programs need. */
#ifndef MACH_MACH_H
#define MACH_MACH_H

#include <mach/mach_error.h>
#include <mach/mach_host.h>
#include <mach/mach_init.h>
#include <mach/mach_port.h>
#include <mach/mach_traps.h>
#include <mach/mach_types.h>
#include <mach/mach_vm.h>
#include <mach/mach_voucher.h>
#include <mach/message.h>
#include <mach/mig_errors.h>
#include <mach/notify.h>
#include <mach/task.h>
#include <mach/thread_act.h>
#include <mach/thread_switch.h>

#endif
