/* Sending, receiving and destroying messages. */

#include <mach/mach.h>
#include <string.h>

mach_msg_return_t mach_msg_overwrite(mach_msg_header_t *msg, mach_msg_option_t option, mach_msg_size_t send_size,
                                     mach_msg_size_t rcv_size, mach_port_name_t rcv_name, mach_msg_timeout_t timeout,
                                     mach_msg_priority_t priority, mach_msg_header_t *rcv_msg,
                                     mach_msg_size_t rcv_limit) {
    (void)rcv_limit;
    for (;;) {
        mach_msg_return_t code =
            mach_msg_overwrite_trap(msg, option, send_size, rcv_size, rcv_name, timeout, priority, rcv_msg);
        if (code == MACH_RCV_INTERRUPTED && !(option & MACH_RCV_INTERRUPT)) {
            /* The message is sent already. */
            option &= ~(MACH_SEND_MSG | MACH_RCV_SYNC_WAIT);
            send_size = 0;
        } else if (code != MACH_SEND_INTERRUPTED || option & MACH_SEND_INTERRUPT)
            return code;
    }
}

mach_msg_return_t mach_msg(mach_msg_header_t *msg, mach_msg_option_t option, mach_msg_size_t send_size,
                           mach_msg_size_t rcv_size, mach_port_name_t rcv_name, mach_msg_timeout_t timeout,
                           mach_port_name_t notify) {
    return mach_msg_overwrite(msg, option, send_size, rcv_size, rcv_name, timeout, notify, NULL, 0);
}

mach_msg_return_t mach_msg_send(mach_msg_header_t *msg) {
    return mach_msg(msg, MACH_SEND_MSG, msg->msgh_size, 0, MACH_PORT_NULL, MACH_MSG_TIMEOUT_NONE, 0);
}

mach_msg_return_t mach_msg_receive(mach_msg_header_t *msg) {
    return mach_msg(msg, MACH_RCV_MSG, 0, msg->msgh_size, msg->msgh_local_port, MACH_MSG_TIMEOUT_NONE, 0);
}

static void destroy_right(mach_port_name_t name, mach_msg_type_name_t disposition) {
    if (!MACH_PORT_VALID(name))
        return;
    if (disposition == MACH_MSG_TYPE_PORT_SEND || disposition == MACH_MSG_TYPE_PORT_SEND_ONCE)
        mach_port_deallocate(mach_task_self(), name);
    else if (disposition == MACH_MSG_TYPE_PORT_RECEIVE)
        mach_port_mod_refs(mach_task_self(), name, MACH_PORT_RIGHT_RECEIVE, -1);
}

void mach_msg_destroy(mach_msg_header_t *msg) {
    destroy_right(msg->msgh_remote_port, MACH_MSGH_BITS_REMOTE(msg->msgh_bits));
    destroy_right(msg->msgh_voucher_port, MACH_MSGH_BITS_VOUCHER(msg->msgh_bits));
    if (!MACH_MSGH_BITS_IS_COMPLEX(msg->msgh_bits))
        return;
    mach_msg_base_t *base = (mach_msg_base_t *)msg;
    const char *at = (const char *)(base + 1);
    for (mach_msg_size_t left = base->body.msgh_descriptor_count; left > 0; left--) {
        mach_msg_port_descriptor_t descriptor;
        memcpy(&descriptor, at, sizeof descriptor);
        destroy_right(descriptor.name, descriptor.disposition);
        at += sizeof descriptor;
    }
}
