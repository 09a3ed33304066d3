/* Calls by message: building a request, checking a reply. */

#include "call.h"
#include <string.h>

const NDR_record_t NDR_record = {.int_rep = NDR_INT_LITTLE_ENDIAN};

/* Words of a reply: behind the header, the NDR record and the return code; or the count, and the first descriptor. */
enum { RETURN_CODE = 8, RESULTS = 9, DESCRIPTOR_COUNT = 6, DESCRIPTOR = 7, REPLY_ID_OFFSET = 100 };

/* A reply port that no call uses at the moment, or null. */
static mach_port_t spare_reply_port;

static mach_port_t take_reply_port(void) {
    mach_port_t spare = __atomic_exchange_n(&spare_reply_port, MACH_PORT_NULL, __ATOMIC_ACQ_REL);
    return spare != MACH_PORT_NULL ? spare : mach_reply_port();
}

static void destroy_reply_port(mach_port_t port) {
    if (port != MACH_PORT_NULL)
        mach_port_mod_refs(mach_task_self(), port, MACH_PORT_RIGHT_RECEIVE, -1);
}

static void keep_reply_port(mach_port_t port) {
    destroy_reply_port(__atomic_exchange_n(&spare_reply_port, port, __ATOMIC_ACQ_REL));
}

void call_begin(struct call *call) {
    memset(call->header, 0, sizeof *call->header);
    call->size = sizeof *call->header;
    call->has_data = FALSE;
}

void call_port(struct call *call, mach_port_t name, mach_msg_type_name_t disposition) {
    if (!MACH_MSGH_BITS_IS_COMPLEX(call->header->msgh_bits)) {
        call->header->msgh_bits |= MACH_MSGH_BITS_COMPLEX;
        call->words[DESCRIPTOR_COUNT] = 0;
        call->size += sizeof(uint32_t);
    }
    call->words[DESCRIPTOR_COUNT]++;
    mach_msg_port_descriptor_t descriptor = {
        .name = name, .disposition = disposition, .type = MACH_MSG_PORT_DESCRIPTOR};
    memcpy((char *)call->words + call->size, &descriptor, sizeof descriptor);
    call->size += sizeof descriptor;
}

void call_raw(struct call *call, const void *bytes, uint32_t size) {
    if (!call->has_data) {
        call->has_data = TRUE;
        call_raw(call, &NDR_record, sizeof NDR_record);
    }
    memcpy((char *)call->words + call->size, bytes, size);
    call->size += size;
    for (; call->size % sizeof(uint32_t) != 0; call->size++)
        ((char *)call->words)[call->size] = 0;
}

void call_word(struct call *call, uint32_t word) {
    call_raw(call, &word, sizeof word);
}

void call_long(struct call *call, uint64_t value) {
    call_raw(call, &value, sizeof value);
}

void call_array(struct call *call, const void *bytes, uint32_t size) {
    call_word(call, size);
    call_raw(call, bytes, size);
}

/* Sends the request and receives a reply with the right id. */
static kern_return_t exchange(struct call *call, mach_port_t port, mach_msg_id_t id) {
    mach_port_t reply = take_reply_port();
    if (reply == MACH_PORT_NULL)
        return KERN_RESOURCE_SHORTAGE;
    mach_msg_header_t *header = call->header;
    header->msgh_bits |= MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    header->msgh_remote_port = port;
    header->msgh_local_port = reply;
    header->msgh_id = id;
    kern_return_t code =
        mach_msg(header, MACH_SEND_MSG | MACH_RCV_MSG, call->size, call->room, reply, MACH_MSG_TIMEOUT_NONE, 0);
    if (code != MACH_MSG_SUCCESS) {
        destroy_reply_port(reply);
        return code;
    }
    keep_reply_port(reply);
    if (header->msgh_id == MACH_NOTIFY_SEND_ONCE)
        code = MIG_SERVER_DIED;
    else if (header->msgh_id != id + REPLY_ID_OFFSET)
        code = MIG_REPLY_MISMATCH;
    if (code != KERN_SUCCESS)
        mach_msg_destroy(header);
    return code;
}

/* Returns the return code of a reply without rights. */
static kern_return_t return_code(const struct call *call) {
    return call->header->msgh_size < RESULTS * sizeof(uint32_t) ? MIG_TYPE_ERROR
                                                                : (kern_return_t)call->words[RETURN_CODE];
}

kern_return_t call_make(struct call *call, mach_port_t port, mach_msg_id_t id, uint32_t results) {
    kern_return_t code = exchange(call, port, id);
    if (code != KERN_SUCCESS)
        return code;
    if (MACH_MSGH_BITS_IS_COMPLEX(call->header->msgh_bits)) {
        mach_msg_destroy(call->header);
        return MIG_TYPE_ERROR;
    }
    code = return_code(call);
    if (code == KERN_SUCCESS && call->header->msgh_size < (RESULTS + results) * sizeof(uint32_t))
        code = MIG_TYPE_ERROR;
    return code;
}

kern_return_t call_make_for_port(struct call *call, mach_port_t port, mach_msg_id_t id, mach_port_t *name,
                                 mach_msg_type_name_t *disposition) {
    kern_return_t code = exchange(call, port, id);
    if (code != KERN_SUCCESS)
        return code;
    if (!MACH_MSGH_BITS_IS_COMPLEX(call->header->msgh_bits)) {
        code = return_code(call);
        return code != KERN_SUCCESS ? code : MIG_TYPE_ERROR;
    }
    mach_msg_port_descriptor_t descriptor;
    memcpy(&descriptor, call->words + DESCRIPTOR, sizeof descriptor);
    if (call->words[DESCRIPTOR_COUNT] != 1 || descriptor.type != MACH_MSG_PORT_DESCRIPTOR) {
        mach_msg_destroy(call->header);
        return MIG_TYPE_ERROR;
    }
    *name = descriptor.name;
    if (disposition != NULL)
        *disposition = descriptor.disposition;
    return KERN_SUCCESS;
}

uint32_t call_result(const struct call *call, uint32_t number) {
    return call->words[RESULTS + number];
}

kern_return_t call_result_array(const struct call *call, void *to, mach_msg_type_number_t *size) {
    uint32_t length = call_result(call, 0);
    if (length > call->header->msgh_size - (RESULTS + 1) * sizeof(uint32_t))
        return MIG_TYPE_ERROR;
    if (length > *size)
        return MIG_ARRAY_TOO_LARGE;
    memcpy(to, call->words + RESULTS + 1, length);
    *size = length;
    return KERN_SUCCESS;
}
