/* Calls of port names (docs/spec/mach-ipc.md 2). A task other than the caller is named by its task port. */
#ifndef MACH_MACH_PORT_H
#define MACH_MACH_PORT_H

#include <mach/mach_types.h>
#include <mach/message.h>

/* Makes a receive right, a port set or a dead name. */
kern_return_t mach_port_allocate(ipc_space_t task, mach_port_right_t right, mach_port_name_t *name);
/* The same under a name that the caller chooses; its two low bits must be set. */
kern_return_t mach_port_allocate_name(ipc_space_t task, mach_port_right_t right, mach_port_name_t name);
/* Makes a receive right with attributes, and a send right under the same name if the options say so. */
kern_return_t mach_port_construct(ipc_space_t task, mach_port_options_ptr_t options, mach_port_context_t context,
                                  mach_port_name_t *name);
/* Takes a receive right, with `srdelta` (0 or less) send references, out of its name. */
kern_return_t mach_port_destruct(ipc_space_t task, mach_port_name_t name, mach_port_delta_t srdelta,
                                 mach_port_context_t guard);
/* Takes away all rights of a name. */
kern_return_t mach_port_destroy(ipc_space_t task, mach_port_name_t name);
/* Gives up one reference to a send right, send-once right or dead name. */
kern_return_t mach_port_deallocate(ipc_space_t task, mach_port_name_t name);
/* Reads or changes the number of references that a name has to a kind of right. */
kern_return_t mach_port_get_refs(ipc_space_t task, mach_port_name_t name, mach_port_right_t right,
                                 mach_port_urefs_t *refs);
kern_return_t mach_port_mod_refs(ipc_space_t task, mach_port_name_t name, mach_port_right_t right,
                                 mach_port_delta_t delta);
/* Reads which rights a name has. */
kern_return_t mach_port_type(ipc_space_t task, mach_port_name_t name, mach_port_type_t *ptype);

/* Gives a task a right of the caller under a name; takes one from it. */
kern_return_t mach_port_insert_right(ipc_space_t task, mach_port_name_t name, mach_port_t poly,
                                     mach_msg_type_name_t polyPoly);
kern_return_t mach_port_extract_right(ipc_space_t task, mach_port_name_t name, mach_msg_type_name_t msgt_name,
                                      mach_port_t *poly, mach_msg_type_name_t *polyPoly);

/* Changes the sets that a receive right is in. */
kern_return_t mach_port_move_member(ipc_space_t task, mach_port_name_t member, mach_port_name_t after);
kern_return_t mach_port_insert_member(ipc_space_t task, mach_port_name_t name, mach_port_name_t pset);
kern_return_t mach_port_extract_member(ipc_space_t task, mach_port_name_t name, mach_port_name_t pset);

/* Asks for a notification (<mach/notify.h>). Returns the right that was registered before, or null. */
kern_return_t mach_port_request_notification(ipc_space_t task, mach_port_name_t name, mach_msg_id_t msgid,
                                             mach_port_mscount_t sync, mach_port_t notify,
                                             mach_msg_type_name_t notifyPoly, mach_port_t *previous);

/* Read and set attributes. Counts are numbers of words; the room goes in, and the size of the result comes out. */
kern_return_t mach_port_get_attributes(ipc_space_t task, mach_port_name_t name, mach_port_flavor_t flavor,
                                       mach_port_info_t port_info_out, mach_msg_type_number_t *port_info_outCnt);
kern_return_t mach_port_set_attributes(ipc_space_t task, mach_port_name_t name, mach_port_flavor_t flavor,
                                       mach_port_info_t port_info, mach_msg_type_number_t port_infoCnt);
kern_return_t mach_port_set_mscount(ipc_space_t task, mach_port_name_t name, mach_port_mscount_t mscount);
kern_return_t mach_port_set_seqno(ipc_space_t task, mach_port_name_t name, mach_port_seqno_t seqno);
/* Are there send rights to a receive right? */
kern_return_t mach_port_get_srights(ipc_space_t task, mach_port_name_t name, mach_port_rights_t *srights);
/* The kind of the kernel's object behind a port: 0 none, 1 thread, 2 task, 3 host, 20 task name, 37 voucher. The
 * address is always 0. */
kern_return_t mach_port_kobject(ipc_space_t task, mach_port_name_t name, natural_t *object_type,
                                mach_vm_address_t *object_addr);

/* The context, a number that comes with received messages. As a guard it protects the receive right. */
kern_return_t mach_port_get_context(ipc_space_t task, mach_port_name_t name, mach_port_context_t *context);
kern_return_t mach_port_set_context(ipc_space_t task, mach_port_name_t name, mach_port_context_t context);
kern_return_t mach_port_guard(ipc_space_t task, mach_port_name_t name, mach_port_context_t guard, boolean_t strict);
kern_return_t mach_port_unguard(ipc_space_t task, mach_port_name_t name, mach_port_context_t guard);
kern_return_t mach_port_guard_with_flags(ipc_space_t task, mach_port_name_t name, mach_port_context_t guard,
                                         uint64_t flags);
kern_return_t mach_port_swap_guard(ipc_space_t task, mach_port_name_t name, mach_port_context_t old_guard,
                                   mach_port_context_t new_guard);

#endif
