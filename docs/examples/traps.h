/* What the examples of the tour share: trap stubs, constants, and printing. docs/abi.md has the whole interface.
 *
 * A program includes this file and defines `run`, whose result is its exit status. */

typedef unsigned int u32;
typedef unsigned long u64;

/* The arguments of a C function are already in the right registers, except the fourth, which `syscall` needs in r10. */
#define TRAP(name, number)                                                                                             \
    __asm__(".text\n.globl " #name "\n" #name ":\n"                                                                    \
            "mov $" #number ", %eax\n mov %rcx, %r10\n syscall\n ret\n")

TRAP(mach_vm_allocate, 0x100000a);
TRAP(mach_port_mod_refs, 0x1000013);
TRAP(mach_port_construct, 0x1000018);
TRAP(mach_reply_port, 0x100001a);
TRAP(thread_self, 0x100001b);
TRAP(task_self, 0x100001c);
TRAP(mach_msg, 0x100001f);
TRAP(swtch, 0x100003c);
TRAP(thread_get_special_reply_port, 0x1000032);
TRAP(mach_port_type, 0x100004c);
TRAP(mach_port_request_notification, 0x100004d);
TRAP(exit_task, 0x2000001);
TRAP(write, 0x2000004);
TRAP(ulock_wait, 0x2000203);
TRAP(ulock_wake, 0x2000204);
TRAP(thread_create, 0x5000002);
TRAP(thread_set_qos, 0x5000004);
TRAP(port_bind_servicer, 0x5000005);
TRAP(debug_state, 0x5000008);

int mach_vm_allocate(u32 task, u64 *address, u64 size, u32 flags);
int mach_port_mod_refs(u32 task, u32 name, u32 right, int delta);
int mach_port_construct(u32 task, const void *options, u64 context, u32 *name);
u32 mach_reply_port(void);
u32 thread_self(void);
u32 task_self(void);
int mach_msg(void *message, u32 option, u32 send_size, u32 receive_size, u32 receive_name, u32 timeout, u32 priority);
u32 swtch(void);
u32 thread_get_special_reply_port(void);
int mach_port_type(u32 task, u32 name, u32 *type);
int mach_port_request_notification(u32 task, u32 name, u32 id, u32 sync, u32 notify, u32 disposition, u32 *previous);
void exit_task(int status) __attribute__((noreturn));
long write(int descriptor, const void *bytes, u64 size);
long ulock_wait(u32 operation, const u32 *address, u64 value, u32 microseconds);
long ulock_wake(u32 operation, const u32 *address);
int thread_create(u32 task, void (*entry)(u32), u64 stack, u64 argument, u32 flags, u32 *name);
int thread_set_qos(u32 thread, u32 priority);
int port_bind_servicer(u32 port, u32 thread);
int debug_state(u32 kind, u32 name, void *buffer, u32 size);

enum {
    MACH_SEND_MSG = 1,
    MACH_RCV_MSG = 2,
    MACH_SEND_TIMEOUT = 0x10,
    MACH_RCV_TIMEOUT = 0x100,
    MACH_MSG_TYPE_MOVE_RECEIVE = 16,
    MACH_MSG_TYPE_MOVE_SEND_ONCE = 18,
    MACH_MSG_TYPE_COPY_SEND = 19,
    MACH_MSG_TYPE_MAKE_SEND_ONCE = 21,
    MACH_MSGH_BITS_COMPLEX = 0x80000000,
    MACH_PORT_RIGHT_RECEIVE = 1,
    MPO_INSERT_SEND_RIGHT = 0x10,
    VM_FLAGS_ANYWHERE = 1,
    STACK_SIZE = 16384,
};

/* Ends the program with the number of the line (modulo 256) if a condition does not hold. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            exit_task(__LINE__);                                                                                       \
    } while (0)

static inline void say(const char *text) {
    u64 length = 0;
    while (text[length] != 0)
        length++;
    CHECK(write(1, text, length) == (long)length);
}

static inline void say_number(u64 number, u32 base) {
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = 0;
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    say(base == 16 ? "0x" : "");
    say(digits + at);
}

/* Prints a text and a number in hexadecimal, in a line of its own. */
static inline void say_hex(const char *text, u64 number) {
    say(text);
    say_number(number, 16);
    say("\n");
}

/* Makes a port, with a receive and a send right under one name. */
static inline u32 make_port(void) {
    const u32 options[6] = {MPO_INSERT_SEND_RIGHT};
    u32 name = 0;
    CHECK(mach_port_construct(task_self(), options, 0, &name) == 0);
    return name;
}

static int run(void);

__asm__(".text\n.globl _start\n_start:\n call start\n");

__attribute__((noreturn, used)) void start(void) {
    exit_task(run());
}
