/* Traps: one stub each, with the arguments as the kernel takes them (docs/abi.md, "All traps"). */
#ifndef MACH_MACH_TRAPS_H
#define MACH_MACH_TRAPS_H

#include <mach/mach_time.h>
#include <mach/mach_types.h>
#include <mach/message.h>
#include <stdint.h>

mach_port_name_t mach_reply_port(void);
mach_port_name_t thread_get_special_reply_port(void);
mach_port_name_t task_self_trap(void);
mach_port_name_t thread_self_trap(void);
mach_port_name_t host_self_trap(void);

mach_msg_return_t mach_msg_trap(mach_msg_header_t *msg, mach_msg_option_t option, mach_msg_size_t send_size,
                                mach_msg_size_t rcv_size, mach_port_name_t rcv_name, mach_msg_timeout_t timeout,
                                mach_msg_priority_t priority);
mach_msg_return_t mach_msg_overwrite_trap(mach_msg_header_t *msg, mach_msg_option_t option, mach_msg_size_t send_size,
                                          mach_msg_size_t rcv_size, mach_port_name_t rcv_name,
                                          mach_msg_timeout_t timeout, mach_msg_priority_t priority,
                                          mach_msg_header_t *rcv_msg);

/* Each of these returns MACH_SEND_INVALID_DEST if the task is not the caller. */
kern_return_t _kernelrpc_mach_vm_allocate_trap(mach_port_name_t target, mach_vm_address_t *address,
                                               mach_vm_size_t size, int flags);
kern_return_t _kernelrpc_mach_vm_deallocate_trap(mach_port_name_t target, mach_vm_address_t address,
                                                 mach_vm_size_t size);
kern_return_t _kernelrpc_mach_vm_protect_trap(mach_port_name_t target, mach_vm_address_t address, mach_vm_size_t size,
                                              boolean_t set_maximum, int protection);
kern_return_t _kernelrpc_mach_port_allocate_trap(mach_port_name_t target, mach_port_right_t right,
                                                 mach_port_name_t *name);
kern_return_t _kernelrpc_mach_port_deallocate_trap(mach_port_name_t target, mach_port_name_t name);
kern_return_t _kernelrpc_mach_port_mod_refs_trap(mach_port_name_t target, mach_port_name_t name,
                                                 mach_port_right_t right, mach_port_delta_t delta);
kern_return_t _kernelrpc_mach_port_move_member_trap(mach_port_name_t target, mach_port_name_t member,
                                                    mach_port_name_t after);
kern_return_t _kernelrpc_mach_port_insert_right_trap(mach_port_name_t target, mach_port_name_t name, mach_port_t poly,
                                                     mach_msg_type_name_t disposition);
kern_return_t _kernelrpc_mach_port_insert_member_trap(mach_port_name_t target, mach_port_name_t name,
                                                      mach_port_name_t set);
kern_return_t _kernelrpc_mach_port_extract_member_trap(mach_port_name_t target, mach_port_name_t name,
                                                       mach_port_name_t set);
kern_return_t _kernelrpc_mach_port_construct_trap(mach_port_name_t target, mach_port_options_t *options,
                                                  uint64_t context, mach_port_name_t *name);
kern_return_t _kernelrpc_mach_port_destruct_trap(mach_port_name_t target, mach_port_name_t name,
                                                 mach_port_delta_t srdelta, uint64_t guard);
kern_return_t _kernelrpc_mach_port_get_attributes_trap(mach_port_name_t target, mach_port_name_t name,
                                                       mach_port_flavor_t flavor, mach_port_info_t info,
                                                       mach_msg_type_number_t *count);
kern_return_t _kernelrpc_mach_port_guard_trap(mach_port_name_t target, mach_port_name_t name, uint64_t guard,
                                              boolean_t strict);
kern_return_t _kernelrpc_mach_port_unguard_trap(mach_port_name_t target, mach_port_name_t name, uint64_t guard);
kern_return_t _kernelrpc_mach_port_type_trap(mach_port_name_t target, mach_port_name_t name, mach_port_type_t *type);
kern_return_t _kernelrpc_mach_port_request_notification_trap(mach_port_name_t target, mach_port_name_t name,
                                                             mach_msg_id_t msgid, mach_port_mscount_t sync,
                                                             mach_port_name_t notify, mach_msg_type_name_t disposition,
                                                             mach_port_name_t *previous);

kern_return_t host_create_mach_voucher_trap(mach_port_name_t host, mach_voucher_attr_raw_recipe_array_t recipes,
                                            int recipes_size, mach_port_name_t *voucher);
kern_return_t mach_voucher_extract_attr_recipe_trap(mach_port_name_t voucher, mach_voucher_attr_key_t key,
                                                    mach_voucher_attr_raw_recipe_t recipe,
                                                    mach_msg_type_number_t *recipe_size);
/* Reserves `count` numbers, at most 16, and writes the first one. */
kern_return_t mach_generate_activity_id(mach_port_name_t target, int count, uint64_t *first);

/* Names the control port of another task. For user 0. */
kern_return_t task_for_pid(mach_port_name_t target, int pid, mach_port_name_t *task);

/* Let other threads run. Both return TRUE if another thread was ready. */
boolean_t swtch(void);
boolean_t swtch_pri(int priority);
kern_return_t thread_switch(mach_port_name_t thread, int option, mach_msg_timeout_t milliseconds);

#endif
