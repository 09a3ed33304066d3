/* What happens to the header of a message on its way, and to a sender whose message finds no room.
 *
 *   gcc -O2 -ffreestanding -nostdlib -static -o queue.elf docs/examples/queue.c
 *   ./run-qemu.sh run queue.elf */

#include "traps.h"

/* A header, and room for a trailer with the number of the message on its port. */
struct message {
    u32 bits, size, remote_port, local_port, voucher_port;
    int id;
    u32 trailer_type, trailer_size, seqno;
};

enum { SIZE = 24, WITH_SEQNO = 1 << 24 };

static void say_header(const char *title, const struct message *message) {
    say(title);
    say_hex("  bits         ", message->bits);
    say_hex("  remote port  ", message->remote_port);
    say_hex("  local port   ", message->local_port);
    say_hex("  id           ", message->id);
}

static int run(void) {
    u32 port = make_port(), answers = mach_reply_port();
    struct message message = {
        .bits = MACH_MSG_TYPE_COPY_SEND | MACH_MSG_TYPE_MAKE_SEND_ONCE << 8,
        .remote_port = port,
        .local_port = answers,
        .id = 1,
    };
    say_header("sent\n", &message);
    int sent = 0;
    u32 code = 0;
    while (code == 0) {
        code = mach_msg(&message, MACH_SEND_MSG | MACH_SEND_TIMEOUT, SIZE, 0, 0, 0, 0);
        if (code == 0)
            message.id = ++sent + 1;
    }
    say("messages in the queue: ");
    say_number(sent, 10);
    say_hex("\nthe next one: ", code);

    u32 first = 0;
    for (int number = 0; number < sent; number++) {
        CHECK(mach_msg(&message, MACH_RCV_MSG | WITH_SEQNO, 0, sizeof message, port, 0, 0) == 0);
        /* The messages come in the order in which they were sent. */
        CHECK(message.id == number + 1 && message.seqno == (u32)number);
        if (number == 0) {
            say_header("received\n", &message);
            first = message.remote_port;
        }
    }
    say(message.remote_port == first ? "one reply right\n" : "each message brought a reply right of its own\n");
    return 0;
}
