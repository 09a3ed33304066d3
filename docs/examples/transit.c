/* A receive right that travels, and dies on the way.
 *
 *   gcc -O2 -ffreestanding -nostdlib -static -o transit.elf docs/examples/transit.c
 *   ./run-qemu.sh run transit.elf
 *
 * The program sends the receive right of a port `box` in a message to a port `carrier`, twice. The first time it takes
 * the message. The second time it destroys the carrier. */

#include "traps.h"

/* A message with one right. The receive buffer also has room for the trailer, which has at least 8 bytes. */
struct right_message {
    u32 bits, size, remote_port, local_port, voucher_port;
    int id;
    u32 count, name, zero;
    unsigned short pad;
    unsigned char disposition, type;
    u32 trailer[2];
};

enum { PLAIN_SIZE = 24, RIGHT_SIZE = sizeof(struct right_message) - 8, MACH_NOTIFY_DEAD_NAME = 72 };

/* Sends a message without content. */
static int send_plain(u32 port, int id) {
    struct right_message message = {.bits = MACH_MSG_TYPE_COPY_SEND, .remote_port = port, .id = id};
    return mach_msg(&message, MACH_SEND_MSG | MACH_SEND_TIMEOUT, PLAIN_SIZE, 0, 0, 0, 0);
}

/* Sends a receive right. */
static int send_right(u32 port, u32 right) {
    struct right_message message = {
        .bits = MACH_MSG_TYPE_COPY_SEND | MACH_MSGH_BITS_COMPLEX,
        .remote_port = port,
        .count = 1,
        .name = right,
        .disposition = MACH_MSG_TYPE_MOVE_RECEIVE,
    };
    return mach_msg(&message, MACH_SEND_MSG | MACH_SEND_TIMEOUT, RIGHT_SIZE, 0, 0, 0, 0);
}

/* Receives a message that is there already. */
static int receive(u32 port, struct right_message *message) {
    return mach_msg(message, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof *message, port, 0, 0);
}

/* Prints what a name denotes. */
static void say_type(u32 name) {
    u32 type = 0;
    CHECK(mach_port_type(task_self(), name, &type) == 0);
    say("  box is:");
    say(type & 0x10000 ? " send" : "");
    say(type & 0x20000 ? " receive" : "");
    say(type & 0x100000 ? " dead name" : "");
    say("\n");
}

static int run(void) {
    struct right_message message;
    u32 box = make_port(), carrier = make_port(), notices = mach_reply_port(), previous = 0;
    say("two ports, box and carrier\n");
    say_type(box);

    say("the receive right of box travels in a message to carrier\n");
    CHECK(send_right(carrier, box) == 0);
    say_type(box);
    say_hex("  receive from box: ", (u32)receive(box, &message));
    say_hex("  send to box: ", (u32)send_plain(box, 5));

    say("the message is received\n");
    CHECK(receive(carrier, &message) == 0);
    say(message.name == box ? "  the right has the old name\n" : "  the right has a new name\n");
    say_type(box);
    CHECK(receive(box, &message) == 0);
    say_hex("  receive from box: message ", message.id);

    say("the right travels again, and carrier is destroyed\n");
    CHECK(mach_port_request_notification(task_self(), box, MACH_NOTIFY_DEAD_NAME, 0, notices,
                                         MACH_MSG_TYPE_MAKE_SEND_ONCE, &previous) == 0);
    CHECK(send_right(carrier, box) == 0);
    CHECK(mach_port_mod_refs(task_self(), carrier, MACH_PORT_RIGHT_RECEIVE, -1) == 0);
    say_type(box);
    say_hex("  send to box: ", (u32)send_plain(box, 6));
    CHECK(receive(notices, &message) == 0);
    say(message.id == MACH_NOTIFY_DEAD_NAME ? "  a dead-name notification came\n" : "  something else came\n");
    return 0;
}
