/* A call by Mach messages: one thread asks, another answers.
 *
 *   gcc -O2 -ffreestanding -nostdlib -static -o echo.elf echo.c
 *   ./run-qemu.sh run echo.elf; echo $?
 *
 * The main thread makes a port and a second thread. In one call of mach_msg it sends the second thread a number, in a
 * message that carries a send-once right to a reply port, and waits for the reply. The second thread adds one to the
 * number and sends it back. The program ends with status 0, or with the number of the line whose check failed (modulo
 * 256). */

typedef unsigned int u32;
typedef unsigned long u64;

/* The traps. The arguments of a C function are already in the right registers, except the fourth, which `syscall` needs
 * in r10. The seventh argument is at rsp + 8, since these functions push no register. */
#define TRAP(name, number)                                                                                             \
    __asm__(".text\n.globl " #name "\n" #name ":\n"                                                                    \
            "mov $" #number ", %eax\n mov %rcx, %r10\n syscall\n ret\n")

TRAP(mach_vm_allocate, 0x100000a);
TRAP(mach_port_construct, 0x1000018);
TRAP(mach_reply_port, 0x100001a);
TRAP(task_self, 0x100001c);
TRAP(mach_msg, 0x100001f);
TRAP(thread_create, 0x5000002);
TRAP(write, 0x2000004);
TRAP(exit_task, 0x2000001);

int mach_vm_allocate(u32 task, u64 *address, u64 size, u32 flags);
int mach_port_construct(u32 task, const void *options, u64 context, u32 *name);
u32 mach_reply_port(void);
u32 task_self(void);
int mach_msg(void *message, u32 option, u32 send_size, u32 receive_size, u32 receive_name, u32 timeout, u32 priority);
int thread_create(u32 task, void (*entry)(u32), u64 stack, u64 argument, u32 flags, u32 *name);
long write(int descriptor, const void *bytes, u64 size);
void exit_task(int status) __attribute__((noreturn));

enum {
    MACH_SEND_MSG = 1,
    MACH_RCV_MSG = 2,
    MACH_MSG_TYPE_MOVE_SEND_ONCE = 18,
    MACH_MSG_TYPE_COPY_SEND = 19,
    MACH_MSG_TYPE_MAKE_SEND_ONCE = 21,
    MPO_INSERT_SEND_RIGHT = 0x10,
    VM_FLAGS_ANYWHERE = 1,
    STACK_SIZE = 16384,
    REQUEST_ID = 1000,
};

/* A message with one number. The receive buffer also has room for the trailer, which has at least 8 bytes. */
struct number_message {
    u32 bits, size, remote_port, local_port, voucher_port;
    int id;
    u32 number;
    u32 trailer[2];
};

enum { SEND_SIZE = sizeof(struct number_message) - 8 };

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            exit_task(__LINE__);                                                                                       \
    } while (0)

/* The second thread. It uses the same name for the port as the main thread, since threads share the task's names. */
static void serve(u32 port) {
    struct number_message message;
    CHECK(mach_msg(&message, MACH_RCV_MSG, 0, sizeof message, port, 0, 0) == 0);
    CHECK(message.size == SEND_SIZE && message.id == REQUEST_ID);
    for (;;) {
        /* The reply right arrived in the field of the remote port, and is sent back from there. */
        message.bits = MACH_MSG_TYPE_MOVE_SEND_ONCE;
        message.local_port = 0;
        message.id += 100;
        message.number += 1;
        CHECK(mach_msg(&message, MACH_SEND_MSG | MACH_RCV_MSG, SEND_SIZE, sizeof message, port, 0, 0) == 0);
    }
}

static void say(const char *text) {
    u64 length = 0;
    while (text[length] != 0)
        length++;
    CHECK(write(1, text, length) == (long)length);
}

__asm__(".text\n.globl _start\n_start:\n mov %rsp, %rdi\n call start\n");

/* `block` is the first stack as the kernel made it: argc, then the pointers of argv. */
__attribute__((noreturn, used)) void start(const u64 *block) {
    CHECK(block[0] >= 1);

    u32 self = task_self(), port = 0, thread = 0;
    const u32 options[6] = {MPO_INSERT_SEND_RIGHT};
    CHECK(mach_port_construct(self, options, 0, &port) == 0);

    u64 stack = 0;
    CHECK(mach_vm_allocate(self, &stack, STACK_SIZE, VM_FLAGS_ANYWHERE) == 0);
    /* A C function expects the stack as after a call: 8 below a multiple of 16. */
    CHECK(thread_create(self, serve, stack + STACK_SIZE - 8, port, 0, &thread) == 0);

    u32 reply_port = mach_reply_port();
    CHECK(reply_port != 0);
    struct number_message message = {
        .bits = MACH_MSG_TYPE_COPY_SEND | MACH_MSG_TYPE_MAKE_SEND_ONCE << 8,
        .remote_port = port,
        .local_port = reply_port,
        .id = REQUEST_ID,
        .number = 41,
    };
    CHECK(mach_msg(&message, MACH_SEND_MSG | MACH_RCV_MSG, SEND_SIZE, sizeof message, reply_port, 0, 0) == 0);
    CHECK(message.id == REQUEST_ID + 100 && message.local_port == reply_port);
    CHECK(message.bits == MACH_MSG_TYPE_MOVE_SEND_ONCE << 8);
    CHECK(message.number == 42);

    say("sent 41, received 42\n");
    exit_task(0);
}
