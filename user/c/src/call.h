/* Calls by message in the form that MIG gives them: docs/spec/mach-ipc.md 7.3. Not for programs. */
#ifndef CALL_H
#define CALL_H

#include <mach/mach.h>
#include <stddef.h>

/* A request under construction, and later its reply. */
struct call {
    union {
        mach_msg_header_t *header;
        uint32_t *words;
    };
    uint32_t room; /* bytes of the buffer */
    uint32_t size; /* bytes of the request so far */
    boolean_t has_data;
};

/* Bytes of a request or reply with few arguments, and of a voucher's contents with what surrounds them. */
enum { CALL_SMALL = 256, CALL_LARGE = MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE + 256 };

/* Begins a call `name` with a buffer of so many bytes. */
#define CALL(name, bytes)                                                                                              \
    union {                                                                                                            \
        mach_msg_header_t header;                                                                                      \
        uint32_t words[(bytes) / sizeof(uint32_t)];                                                                    \
    } name##_buffer;                                                                                                   \
    struct call name = {.header = &name##_buffer.header, .room = sizeof name##_buffer};                                \
    call_begin(&name)

#pragma GCC visibility push(hidden)

void call_begin(struct call *call);
/* Appends a port descriptor. All of them come before the data. */
void call_port(struct call *call, mach_port_t name, mach_msg_type_name_t disposition);
/* Append data. */
void call_word(struct call *call, uint32_t word);
void call_long(struct call *call, uint64_t value);
void call_array(struct call *call, const void *bytes, uint32_t size);
void call_raw(struct call *call, const void *bytes, uint32_t size);

/* Sends the request to `port` and waits for the reply, which carries a return code and at least `results` words. */
kern_return_t call_make(struct call *call, mach_port_t port, mach_msg_id_t id, uint32_t results);
/* The same for a reply that carries a right. `disposition` may be null. */
kern_return_t call_make_for_port(struct call *call, mach_port_t port, mach_msg_id_t id, mach_port_t *name,
                                 mach_msg_type_name_t *disposition);
/* A word behind the return code. */
uint32_t call_result(const struct call *call, uint32_t number);
/* Copies an array behind the return code, whose length is the first result. `*size` is its room, and then its size. */
kern_return_t call_result_array(const struct call *call, void *to, mach_msg_type_number_t *size);

#pragma GCC visibility pop

#endif
