/* Calls of the host port. */
#ifndef MACH_MACH_HOST_H
#define MACH_MACH_HOST_H

#include <mach/mach_types.h>
#include <mach/message.h>

/* Makes a voucher from recipes. The result is null if no attribute is present. */
kern_return_t host_create_mach_voucher(host_t host, mach_voucher_attr_raw_recipe_array_t recipes,
                                       mach_msg_type_number_t recipesCnt, ipc_voucher_t *voucher);

#endif
