/* A thread that waits for an answer pushes the thread that makes it.
 *
 *   gcc -O2 -ffreestanding -nostdlib -static -o push.elf docs/examples/push.c
 *   ./run-qemu.sh run push.elf
 *
 * The server is a thread of the class background, and is bound to its port as the servicer. Its answer is the base
 * priority that it has while it serves the request. The client asks with an ordinary reply port, and then with a
 * special one, by which the kernel knows who waits. */

#include "traps.h"

/* A message with one number. The receive buffer also has room for the trailer, which has at least 8 bytes. */
struct number_message {
    u32 bits, size, remote_port, local_port, voucher_port;
    int id;
    u32 number;
    u32 trailer[2];
};

enum {
    SEND_SIZE = sizeof(struct number_message) - 8,
    UL_COMPARE_AND_WAIT = 1,
    /* The class background with the relative priority 0, as a pthread_priority_t. */
    BACKGROUND = 0x2ff,
    THREAD_INFO = 2,
};

/* Returns the base priority of a thread. */
static u32 base_of(u32 thread) {
    u32 info[14];
    CHECK(debug_state(THREAD_INFO, thread, info, sizeof info) == 0);
    return info[2];
}

static u32 server_thread, gate;

static void serve(u32 port) {
    struct number_message message;
    /* A class is given to a thread that waits here. */
    ulock_wait(UL_COMPARE_AND_WAIT, &gate, 0, 0);
    CHECK(mach_msg(&message, MACH_RCV_MSG, 0, sizeof message, port, 0, 0) == 0);
    for (;;) {
        message.bits = MACH_MSG_TYPE_MOVE_SEND_ONCE;
        message.local_port = 0;
        message.number = base_of(server_thread);
        CHECK(mach_msg(&message, MACH_SEND_MSG | MACH_RCV_MSG, SEND_SIZE, sizeof message, port, 0, 0) == 0);
    }
}

/* Asks the server and returns its answer. */
static u32 ask(u32 port, u32 reply_port) {
    struct number_message message = {
        .bits = MACH_MSG_TYPE_COPY_SEND | MACH_MSG_TYPE_MAKE_SEND_ONCE << 8,
        .remote_port = port,
        .local_port = reply_port,
    };
    CHECK(mach_msg(&message, MACH_SEND_MSG | MACH_RCV_MSG, SEND_SIZE, sizeof message, reply_port, 0, 0) == 0);
    return message.number;
}

static void say_base(const char *text, u32 base) {
    say(text);
    say_number(base, 10);
    say("\n");
}

static int run(void) {
    u32 port = make_port();
    u64 stack = 0;
    CHECK(mach_vm_allocate(task_self(), &stack, STACK_SIZE, VM_FLAGS_ANYWHERE) == 0);
    CHECK(thread_create(task_self(), serve, stack + STACK_SIZE - 8, port, 0, &server_thread) == 0);
    while (thread_set_qos(server_thread, BACKGROUND) != 0)
        swtch();
    gate = 1;
    CHECK(ulock_wake(UL_COMPARE_AND_WAIT, &gate) == 0);
    CHECK(port_bind_servicer(port, server_thread) == 0);

    say_base("client:                                 ", base_of(thread_self()));
    say_base("server, asked with a plain reply port:  ", ask(port, mach_reply_port()));
    say_base("server, asked with a special one:       ", ask(port, thread_get_special_reply_port()));
    say_base("server, when it has answered:           ", base_of(server_thread));
    return 0;
}
