/* A call by Mach messages: one thread asks, another answers.
 *
 * The main thread makes a port and a second thread. In one call of mach_msg it sends the second thread a number, in a
 * message that carries a send-once right to a reply port, and waits for the reply. The second thread adds one to the
 * number and sends it back. */

#include <tally.h>

enum { REQUEST_ID = 1000 };

struct number_message {
    mach_msg_header_t header;
    uint32_t number;
};

/* A receive buffer also has room for the trailer. */
struct number_buffer {
    struct number_message message;
    mach_msg_max_trailer_t trailer;
};

/* The second thread. It uses the same name for the port as the main thread, since threads share the task's names. */
static void serve(void *argument) {
    mach_port_t port = *(mach_port_t *)argument;
    struct number_buffer buffer;
    mach_msg_header_t *header = &buffer.message.header;
    CHECK(mach_msg(header, MACH_RCV_MSG, 0, sizeof buffer, port, MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL));
    for (;;) {
        /* The reply right arrived in the field of the remote port, and is sent back from there. */
        header->msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_MOVE_SEND_ONCE, 0);
        header->msgh_local_port = MACH_PORT_NULL;
        header->msgh_id += 100;
        buffer.message.number += 1;
        CHECK(mach_msg(header, MACH_SEND_MSG | MACH_RCV_MSG, sizeof buffer.message, sizeof buffer, port,
                       MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL));
    }
}

int main(void) {
    mach_port_t port, reply_port = mach_reply_port();
    CHECK(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &port));
    CHECK(mach_port_insert_right(mach_task_self(), port, port, MACH_MSG_TYPE_MAKE_SEND));
    CHECK(thread_start(serve, &port, NULL));

    struct number_buffer buffer = {
        .message = {
            .header = {
                .msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE),
                .msgh_remote_port = port,
                .msgh_local_port = reply_port,
                .msgh_id = REQUEST_ID,
            },
            .number = 41,
        },
    };
    CHECK(mach_msg(&buffer.message.header, MACH_SEND_MSG | MACH_RCV_MSG, sizeof buffer.message, sizeof buffer,
                   reply_port, MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL));
    printf("sent 41, received %u in a message with the id %d\n", buffer.message.number, buffer.message.header.msgh_id);
    return 0;
}
