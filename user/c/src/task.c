/* Calls of task and thread ports, memory, starting tasks and threads. */

#include "call.h"
#include <tally.h>

/* The most words of a policy. */
enum { POLICY_WORDS = 16 };

kern_return_t task_terminate(task_t task) {
    CALL(call, CALL_SMALL);
    return call_make(&call, task, 3401, 0);
}

/* Makes a call with one word, whose result is a right. */
static kern_return_t call_for_port(mach_port_t object, mach_msg_id_t id, uint32_t word, mach_port_t *port) {
    CALL(call, CALL_SMALL);
    call_word(&call, word);
    return call_make_for_port(&call, object, id, port, NULL);
}

/* Makes a call with a send right, of which a copy is sent. */
static kern_return_t call_with_port(mach_port_t object, mach_msg_id_t id, mach_port_t port) {
    CALL(call, CALL_SMALL);
    call_port(&call, port, MACH_MSG_TYPE_COPY_SEND);
    return call_make(&call, object, id, 0);
}

kern_return_t task_get_special_port(task_t task, int which_port, mach_port_t *special_port) {
    return call_for_port(task, 3409, (uint32_t)which_port, special_port);
}

kern_return_t task_set_special_port(task_t task, int which_port, mach_port_t special_port) {
    CALL(call, CALL_SMALL);
    call_port(&call, special_port, MACH_MSG_TYPE_COPY_SEND);
    call_word(&call, (uint32_t)which_port);
    return call_make(&call, task, 3410, 0);
}

kern_return_t task_policy_set(task_t task, task_policy_flavor_t flavor, task_policy_t policy_info,
                              mach_msg_type_number_t policy_infoCnt) {
    if (policy_infoCnt > POLICY_WORDS)
        return KERN_INVALID_ARGUMENT;
    CALL(call, CALL_SMALL);
    call_word(&call, flavor);
    call_word(&call, policy_infoCnt);
    for (mach_msg_type_number_t i = 0; i < policy_infoCnt; i++)
        call_word(&call, (uint32_t)policy_info[i]);
    return call_make(&call, task, 3420, 0);
}

kern_return_t task_policy_get(task_t task, task_policy_flavor_t flavor, task_policy_t policy_info,
                              mach_msg_type_number_t *policy_infoCnt, boolean_t *get_default) {
    CALL(call, CALL_SMALL);
    call_word(&call, flavor);
    call_word(&call, *policy_infoCnt);
    call_word(&call, *get_default);
    kern_return_t code = call_make(&call, task, 3421, 2);
    if (code != KERN_SUCCESS)
        return code;
    uint32_t count = call_result(&call, 0);
    if (count > *policy_infoCnt || count > POLICY_WORDS)
        return MIG_ARRAY_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++)
        policy_info[i] = (integer_t)call_result(&call, 1 + i);
    *policy_infoCnt = count;
    *get_default = call_result(&call, 1 + count);
    return KERN_SUCCESS;
}

kern_return_t task_get_mach_voucher(task_t task, mach_voucher_selector_t which, ipc_voucher_t *voucher) {
    return call_for_port(task, 3439, which, voucher);
}

kern_return_t task_set_mach_voucher(task_t task, ipc_voucher_t voucher) {
    return call_with_port(task, 3440, voucher);
}

/* Makes a call of a thread without arguments. */
static kern_return_t call_thread(thread_act_t thread, mach_msg_id_t id) {
    CALL(call, CALL_SMALL);
    return call_make(&call, thread, id, 0);
}

kern_return_t thread_terminate(thread_act_t thread) {
    return call_thread(thread, 3600);
}

kern_return_t thread_suspend(thread_act_t thread) {
    return call_thread(thread, 3605);
}

kern_return_t thread_resume(thread_act_t thread) {
    return call_thread(thread, 3606);
}

kern_return_t thread_abort(thread_act_t thread) {
    return call_thread(thread, 3607);
}

kern_return_t thread_get_mach_voucher(thread_act_t thread, mach_voucher_selector_t which, ipc_voucher_t *voucher) {
    return call_for_port(thread, 3625, which, voucher);
}

kern_return_t thread_set_mach_voucher(thread_act_t thread, ipc_voucher_t voucher) {
    return call_with_port(thread, 3626, voucher);
}

kern_return_t mach_vm_allocate(vm_map_t target, mach_vm_address_t *address, mach_vm_size_t size, int flags) {
    return _kernelrpc_mach_vm_allocate_trap(target, address, size, flags);
}

kern_return_t mach_vm_deallocate(vm_map_t target, mach_vm_address_t address, mach_vm_size_t size) {
    return _kernelrpc_mach_vm_deallocate_trap(target, address, size);
}

kern_return_t mach_vm_protect(vm_map_t target, mach_vm_address_t address, mach_vm_size_t size, boolean_t set_maximum,
                              vm_prot_t new_protection) {
    return _kernelrpc_mach_vm_protect_trap(target, address, size, set_maximum, new_protection);
}

kern_return_t vm_allocate(vm_map_t target, vm_address_t *address, vm_size_t size, int flags) {
    mach_vm_address_t wide = *address;
    kern_return_t code = mach_vm_allocate(target, &wide, size, flags);
    *address = wide;
    return code;
}

kern_return_t vm_deallocate(vm_map_t target, vm_address_t address, vm_size_t size) {
    return mach_vm_deallocate(target, address, size);
}

kern_return_t vm_protect(vm_map_t target, vm_address_t address, vm_size_t size, boolean_t set_maximum,
                         vm_prot_t new_protection) {
    return mach_vm_protect(target, address, size, set_maximum, new_protection);
}

kern_return_t spawn_program(const char *const argv[], const struct task_spawn_args *settings, mach_port_t exit_port,
                            task_t *task) {
    struct task_spawn_args args = settings != NULL ? *settings : SPAWN_SETTINGS;
    /* The strings, each with its zero byte, one behind the other. */
    char strings[1024];
    size_t size = 0;
    for (size_t i = 0; argv[i] != NULL; i++) {
        size_t length = strlen(argv[i]) + 1;
        if (length > sizeof strings - size)
            return KERN_INVALID_ARGUMENT;
        memcpy(strings + size, argv[i], length);
        size += length;
    }
    if (size == 0)
        return KERN_INVALID_ARGUMENT;
    args.image_kind = SPAWN_IMAGE_NAME;
    args.image = (uint64_t)argv[0];
    args.image_size = strlen(argv[0]);
    args.arguments = (uint64_t)strings;
    args.arguments_size = size;
    args.exit_port = exit_port;
    args.exit_disposition = MACH_MSG_TYPE_MAKE_SEND_ONCE;
    return task_spawn(&args, sizeof args, task);
}

kern_return_t wait_for_exit(mach_port_t exit_port, uint32_t *status) {
    struct {
        struct exit_message message;
        mach_msg_max_trailer_t trailer;
    } received;
    mach_msg_header_t *header = &received.message.header;
    kern_return_t code =
        mach_msg(header, MACH_RCV_MSG, 0, sizeof received, exit_port, MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL);
    if (code != KERN_SUCCESS)
        return code;
    if (header->msgh_id != EXIT_MESSAGE_ID || header->msgh_size != sizeof received.message) {
        mach_msg_destroy(header);
        return KERN_FAILURE;
    }
    *status = received.message.status;
    return KERN_SUCCESS;
}

/* What a new thread finds at the top of its stack: see entry.S. */
struct thread_record {
    void (*function)(void *);
    void *argument;
    mach_vm_address_t stack;
    mach_vm_size_t size;
};

__attribute__((visibility("hidden"))) void tally_thread_entry(void);

/* What the library of dispatch needs before there is a second thread, and around what a thread does. Without the library
 * they are null. */
__attribute__((weak)) void tally_attach_first_thread(void);
__attribute__((weak)) void tally_call_in_thread(void (*function)(void *), void *argument);

/* What a thread calls, and its argument. */
struct work {
    void (*function)(void *);
    void *argument;
};

static void work_with_dispatch(void *of_record) {
    struct work *work = of_record;
    tally_call_in_thread(work->function, work->argument);
}

enum { STACK_SIZE = 64 << 10 };

kern_return_t thread_start(void (*function)(void *), void *argument, thread_act_t *thread) {
    mach_vm_address_t stack = 0;
    kern_return_t code = mach_vm_allocate(mach_task_self(), &stack, STACK_SIZE, VM_FLAGS_ANYWHERE);
    if (code != KERN_SUCCESS)
        return code;
    struct thread_record *record = (struct thread_record *)(stack + STACK_SIZE) - 1;
    *record = (struct thread_record){function, argument, stack, STACK_SIZE};
    if (tally_call_in_thread != NULL) {
        tally_attach_first_thread();
        /* At the other end of the stack, which the thread reads first. */
        struct work *work = (struct work *)stack;
        *work = (struct work){function, argument};
        record->function = work_with_dispatch;
        record->argument = work;
    }
    thread_act_t name = THREAD_NULL;
    code = tally_thread_create(mach_task_self(), (uint64_t)tally_thread_entry, (uint64_t)record, (uint64_t)record, 0,
                               &name);
    if (code != KERN_SUCCESS)
        mach_vm_deallocate(mach_task_self(), stack, STACK_SIZE);
    else if (thread != NULL)
        *thread = name;
    else
        mach_port_deallocate(mach_task_self(), name);
    return code;
}
