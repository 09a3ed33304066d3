/* Calls of port names. A trap serves the caller's own names; other tasks are reached by message. */

#include "call.h"

/* Returns from the function with the result of the trap, unless the task is another one. */
#define TRY_TRAP(trap)                                                                                                 \
    do {                                                                                                               \
        kern_return_t code = (trap);                                                                                   \
        if (code != MACH_SEND_INVALID_DEST)                                                                            \
            return code;                                                                                               \
    } while (0)

/* Makes a call whose arguments are words and that has no result. */
static kern_return_t call_words(ipc_space_t task, mach_msg_id_t id, uint32_t count, const uint32_t *words) {
    CALL(call, CALL_SMALL);
    for (uint32_t i = 0; i < count; i++)
        call_word(&call, words[i]);
    return call_make(&call, task, id, 0);
}

#define CALL_WORDS(task, id, ...)                                                                                      \
    call_words(task, id, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), (uint32_t[]){__VA_ARGS__})

#define LOW(value) ((uint32_t)(value))
#define HIGH(value) ((uint32_t)((value) >> 32))

/* Makes a call with one or two words, whose result is a word. */
static kern_return_t call_for_word(ipc_space_t task, mach_msg_id_t id, uint32_t first, const uint32_t *second,
                                   natural_t *result) {
    CALL(call, CALL_SMALL);
    call_word(&call, first);
    if (second != NULL)
        call_word(&call, *second);
    kern_return_t code = call_make(&call, task, id, 1);
    if (code == KERN_SUCCESS)
        *result = call_result(&call, 0);
    return code;
}

kern_return_t mach_port_type(ipc_space_t task, mach_port_name_t name, mach_port_type_t *ptype) {
    TRY_TRAP(_kernelrpc_mach_port_type_trap(task, name, ptype));
    return call_for_word(task, 3201, name, NULL, ptype);
}

kern_return_t mach_port_allocate_name(ipc_space_t task, mach_port_right_t right, mach_port_name_t name) {
    return CALL_WORDS(task, 3203, right, name);
}

kern_return_t mach_port_allocate(ipc_space_t task, mach_port_right_t right, mach_port_name_t *name) {
    TRY_TRAP(_kernelrpc_mach_port_allocate_trap(task, right, name));
    return call_for_word(task, 3204, right, NULL, name);
}

kern_return_t mach_port_destroy(ipc_space_t task, mach_port_name_t name) {
    return CALL_WORDS(task, 3205, name);
}

kern_return_t mach_port_deallocate(ipc_space_t task, mach_port_name_t name) {
    TRY_TRAP(_kernelrpc_mach_port_deallocate_trap(task, name));
    return CALL_WORDS(task, 3206, name);
}

kern_return_t mach_port_get_refs(ipc_space_t task, mach_port_name_t name, mach_port_right_t right,
                                 mach_port_urefs_t *refs) {
    return call_for_word(task, 3207, name, &right, refs);
}

kern_return_t mach_port_mod_refs(ipc_space_t task, mach_port_name_t name, mach_port_right_t right,
                                 mach_port_delta_t delta) {
    TRY_TRAP(_kernelrpc_mach_port_mod_refs_trap(task, name, right, delta));
    return CALL_WORDS(task, 3208, name, right, LOW(delta));
}

kern_return_t mach_port_set_mscount(ipc_space_t task, mach_port_name_t name, mach_port_mscount_t mscount) {
    return CALL_WORDS(task, 3210, name, mscount);
}

kern_return_t mach_port_move_member(ipc_space_t task, mach_port_name_t member, mach_port_name_t after) {
    TRY_TRAP(_kernelrpc_mach_port_move_member_trap(task, member, after));
    return CALL_WORDS(task, 3212, member, after);
}

kern_return_t mach_port_request_notification(ipc_space_t task, mach_port_name_t name, mach_msg_id_t msgid,
                                             mach_port_mscount_t sync, mach_port_t notify,
                                             mach_msg_type_name_t notifyPoly, mach_port_t *previous) {
    TRY_TRAP(_kernelrpc_mach_port_request_notification_trap(task, name, msgid, sync, notify, notifyPoly, previous));
    CALL(call, CALL_SMALL);
    call_port(&call, notify, notifyPoly);
    call_word(&call, name);
    call_word(&call, (uint32_t)msgid);
    call_word(&call, sync);
    return call_make_for_port(&call, task, 3213, previous, NULL);
}

kern_return_t mach_port_insert_right(ipc_space_t task, mach_port_name_t name, mach_port_t poly,
                                     mach_msg_type_name_t polyPoly) {
    TRY_TRAP(_kernelrpc_mach_port_insert_right_trap(task, name, poly, polyPoly));
    CALL(call, CALL_SMALL);
    call_port(&call, poly, polyPoly);
    call_word(&call, name);
    return call_make(&call, task, 3214, 0);
}

kern_return_t mach_port_extract_right(ipc_space_t task, mach_port_name_t name, mach_msg_type_name_t msgt_name,
                                      mach_port_t *poly, mach_msg_type_name_t *polyPoly) {
    CALL(call, CALL_SMALL);
    call_word(&call, name);
    call_word(&call, msgt_name);
    return call_make_for_port(&call, task, 3215, poly, polyPoly);
}

kern_return_t mach_port_set_seqno(ipc_space_t task, mach_port_name_t name, mach_port_seqno_t seqno) {
    return CALL_WORDS(task, 3216, name, seqno);
}

kern_return_t mach_port_get_attributes(ipc_space_t task, mach_port_name_t name, mach_port_flavor_t flavor,
                                       mach_port_info_t port_info_out, mach_msg_type_number_t *port_info_outCnt) {
    TRY_TRAP(_kernelrpc_mach_port_get_attributes_trap(task, name, flavor, port_info_out, port_info_outCnt));
    CALL(call, CALL_SMALL);
    call_word(&call, name);
    call_word(&call, (uint32_t)flavor);
    call_word(&call, *port_info_outCnt);
    kern_return_t code = call_make(&call, task, 3217, 1);
    if (code != KERN_SUCCESS)
        return code;
    uint32_t count = call_result(&call, 0);
    if (count > *port_info_outCnt)
        return MIG_ARRAY_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++)
        port_info_out[i] = (integer_t)call_result(&call, 1 + i);
    *port_info_outCnt = count;
    return KERN_SUCCESS;
}

kern_return_t mach_port_set_attributes(ipc_space_t task, mach_port_name_t name, mach_port_flavor_t flavor,
                                       mach_port_info_t port_info, mach_msg_type_number_t port_infoCnt) {
    if (port_infoCnt > MACH_PORT_INFO_EXT_COUNT)
        return KERN_INVALID_ARGUMENT;
    CALL(call, CALL_SMALL);
    call_word(&call, name);
    call_word(&call, (uint32_t)flavor);
    call_word(&call, port_infoCnt);
    for (mach_msg_type_number_t i = 0; i < port_infoCnt; i++)
        call_word(&call, (uint32_t)port_info[i]);
    return call_make(&call, task, 3218, 0);
}

kern_return_t mach_port_get_srights(ipc_space_t task, mach_port_name_t name, mach_port_rights_t *srights) {
    return call_for_word(task, 3222, name, NULL, srights);
}

kern_return_t mach_port_insert_member(ipc_space_t task, mach_port_name_t name, mach_port_name_t pset) {
    TRY_TRAP(_kernelrpc_mach_port_insert_member_trap(task, name, pset));
    return CALL_WORDS(task, 3226, name, pset);
}

kern_return_t mach_port_extract_member(ipc_space_t task, mach_port_name_t name, mach_port_name_t pset) {
    TRY_TRAP(_kernelrpc_mach_port_extract_member_trap(task, name, pset));
    return CALL_WORDS(task, 3227, name, pset);
}

kern_return_t mach_port_get_context(ipc_space_t task, mach_port_name_t name, mach_port_context_t *context) {
    CALL(call, CALL_SMALL);
    call_word(&call, name);
    kern_return_t code = call_make(&call, task, 3228, 2);
    if (code == KERN_SUCCESS)
        *context = call_result(&call, 0) | (uint64_t)call_result(&call, 1) << 32;
    return code;
}

kern_return_t mach_port_set_context(ipc_space_t task, mach_port_name_t name, mach_port_context_t context) {
    return CALL_WORDS(task, 3229, name, LOW(context), HIGH(context));
}

kern_return_t mach_port_kobject(ipc_space_t task, mach_port_name_t name, natural_t *object_type,
                                mach_vm_address_t *object_addr) {
    CALL(call, CALL_SMALL);
    call_word(&call, name);
    kern_return_t code = call_make(&call, task, 3230, 3);
    if (code == KERN_SUCCESS) {
        *object_type = call_result(&call, 0);
        *object_addr = call_result(&call, 1) | (uint64_t)call_result(&call, 2) << 32;
    }
    return code;
}

kern_return_t mach_port_construct(ipc_space_t task, mach_port_options_ptr_t options, mach_port_context_t context,
                                  mach_port_name_t *name) {
    TRY_TRAP(_kernelrpc_mach_port_construct_trap(task, options, context, name));
    CALL(call, CALL_SMALL);
    call_raw(&call, options, sizeof *options);
    call_long(&call, context);
    kern_return_t code = call_make(&call, task, 3231, 1);
    if (code == KERN_SUCCESS)
        *name = call_result(&call, 0);
    return code;
}

kern_return_t mach_port_destruct(ipc_space_t task, mach_port_name_t name, mach_port_delta_t srdelta,
                                 mach_port_context_t guard) {
    TRY_TRAP(_kernelrpc_mach_port_destruct_trap(task, name, srdelta, guard));
    return CALL_WORDS(task, 3232, name, LOW(srdelta), LOW(guard), HIGH(guard));
}

kern_return_t mach_port_guard(ipc_space_t task, mach_port_name_t name, mach_port_context_t guard, boolean_t strict) {
    TRY_TRAP(_kernelrpc_mach_port_guard_trap(task, name, guard, strict));
    return CALL_WORDS(task, 3233, name, LOW(guard), HIGH(guard), strict);
}

kern_return_t mach_port_unguard(ipc_space_t task, mach_port_name_t name, mach_port_context_t guard) {
    TRY_TRAP(_kernelrpc_mach_port_unguard_trap(task, name, guard));
    return CALL_WORDS(task, 3234, name, LOW(guard), HIGH(guard));
}

kern_return_t mach_port_guard_with_flags(ipc_space_t task, mach_port_name_t name, mach_port_context_t guard,
                                         uint64_t flags) {
    return CALL_WORDS(task, 3237, name, LOW(guard), HIGH(guard), LOW(flags), HIGH(flags));
}

kern_return_t mach_port_swap_guard(ipc_space_t task, mach_port_name_t name, mach_port_context_t old_guard,
                                   mach_port_context_t new_guard) {
    return CALL_WORDS(task, 3238, name, LOW(old_guard), HIGH(old_guard), LOW(new_guard), HIGH(new_guard));
}
