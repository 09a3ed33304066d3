/* Two tasks: a server, and a client that the server starts.
 *
 * Both are this program. Without an argument it is the server: it checks in with the name service, starts itself with
 * the argument "client", answers one request, and waits until the client has ended. The client looks the server up and
 * asks it to double a number. */

#include <tally.h>

static const char service[] = "org.example.doubler";

enum { DOUBLE_ID = 2000 };

struct number_message {
    mach_msg_header_t header;
    uint32_t number;
};

struct number_buffer {
    struct number_message message;
    mach_msg_audit_trailer_t trailer;
};

static int be_client(void) {
    mach_port_t server, reply_port = mach_reply_port();
    CHECK(bootstrap_look_up(bootstrap_port, service, &server));
    struct number_buffer buffer = {.message.number = 21};
    mach_msg_header_t *header = &buffer.message.header;
    header->msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    header->msgh_remote_port = server;
    header->msgh_local_port = reply_port;
    header->msgh_id = DOUBLE_ID;
    CHECK(mach_msg(header, MACH_SEND_MSG | MACH_RCV_MSG, sizeof buffer.message, sizeof buffer, reply_port,
                   MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL));
    printf("client: 21 doubled is %u\n", buffer.message.number);
    return 5;
}

/* Answers one request. */
static void serve(mach_port_t port) {
    struct number_buffer buffer;
    mach_msg_header_t *header = &buffer.message.header;
    /* The trailer says who sent the message. */
    CHECK(mach_msg(header, MACH_RCV_MSG | MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_AUDIT), 0, sizeof buffer, port,
                   MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL));
    /* A message may come from anyone who knows the port: look before using it. */
    if (header->msgh_id != DOUBLE_ID || header->msgh_size != sizeof buffer.message) {
        mach_msg_destroy(header);
        return;
    }
    printf("server: process %u asks for %u\n", buffer.trailer.msgh_audit.val[5], buffer.message.number);
    header->msgh_bits = MACH_MSGH_BITS(MACH_MSGH_BITS_REMOTE(header->msgh_bits), 0);
    header->msgh_local_port = MACH_PORT_NULL;
    header->msgh_id += 100;
    buffer.message.number *= 2;
    CHECK(mach_msg(header, MACH_SEND_MSG, sizeof buffer.message, 0, MACH_PORT_NULL, MACH_MSG_TIMEOUT_NONE,
                   MACH_PORT_NULL));
}

int main(int argc, char **argv) {
    if (argc > 1)
        return be_client();

    mach_port_t port, exit_port;
    task_t client;
    CHECK(bootstrap_check_in(bootstrap_port, service, &port));
    CHECK(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &exit_port));

    /* A program finds its own name in argv[0]. */
    const char *const arguments[] = {argv[0], "client", NULL};
    CHECK(spawn_program(arguments, NULL, exit_port, &client));
    serve(port);

    uint32_t status;
    CHECK(wait_for_exit(exit_port, &status));
    printf("server: the client has ended with status %u\n", status);
    return 0;
}
