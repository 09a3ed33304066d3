/* Messages, vouchers, threads, memory, the clock, the Unix subset and the name service: every call once. */

#include "check.h"

struct buffer {
    mach_msg_header_t header;
    uint32_t words[16];
    mach_msg_max_trailer_t trailer;
};

static mach_port_t new_port(void) {
    mach_port_t port;
    CHECK(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &port));
    CHECK(mach_port_insert_right(mach_task_self(), port, port, MACH_MSG_TYPE_MAKE_SEND));
    return port;
}

static void messages(void) {
    mach_port_t port = new_port(), carried = new_port();
    struct buffer out = {.header = {.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0), .msgh_size = 28,
                                    .msgh_remote_port = port, .msgh_id = 5}};
    out.words[0] = 77;
    CHECK(mach_msg_send(&out.header));
    struct buffer in = {.header = {.msgh_size = sizeof in, .msgh_local_port = port}};
    CHECK(mach_msg_receive(&in.header));
    EQUAL(in.words[0], 77);
    EQUAL(in.header.msgh_size, 28);

    /* A separate receive buffer, in the eighth argument; and the override, in the seventh. */
    CHECK(mach_msg_overwrite(&out.header, MACH_SEND_MSG | MACH_RCV_MSG | MACH_SEND_OVERRIDE, 28, sizeof in, port, 0,
                             QOS_PRIORITY(QOS_USER_INITIATED), &in.header, 0));
    EQUAL(in.header.msgh_id, 5);
    EQUAL(out.header.msgh_remote_port, port);

    /* A message that is destroyed gives its rights back. */
    struct {
        mach_msg_base_t base;
        mach_msg_port_descriptor_t descriptor;
        mach_msg_max_trailer_t trailer;
    } complex = {.base.header = {.msgh_bits = MACH_MSGH_BITS_SET(MACH_MSG_TYPE_COPY_SEND, 0, 0, MACH_MSGH_BITS_COMPLEX),
                                 .msgh_remote_port = port},
                 .base.body = {1},
                 .descriptor = {.name = carried, .disposition = MACH_MSG_TYPE_MOVE_RECEIVE}};
    CHECK(mach_msg(&complex.base.header, MACH_SEND_MSG | MACH_RCV_MSG, 40, sizeof complex, port, 0, 0));
    EQUAL(complex.descriptor.disposition, MACH_MSG_TYPE_PORT_RECEIVE);
    mach_msg_destroy(&complex.base.header);
    mach_port_type_t type;
    CHECK(mach_port_type(mach_task_self(), carried, &type));
    EQUAL(type, MACH_PORT_TYPE_DEAD_NAME);

    EQUAL(mach_msg(&in.header, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof in, port, 0, 0), MACH_RCV_TIMED_OUT);
    mach_port_t special = thread_get_special_reply_port();
    CHECK(mach_port_type(mach_task_self(), special, &type));
    EQUAL(type, MACH_PORT_TYPE_SEND_RECEIVE);
}

static void vouchers(void) {
    uint8_t store[sizeof(mach_voucher_attr_recipe_data_t) + 6];
    mach_voucher_attr_recipe_t fields = (mach_voucher_attr_recipe_t)store;
    *fields = (mach_voucher_attr_recipe_data_t){
        .key = MACH_VOUCHER_ATTR_KEY_USER_DATA, .command = MACH_VOUCHER_ATTR_USER_DATA_STORE, .content_size = 6};
    memcpy(fields->content, "hello", 6);
    mach_port_t host = mach_host_self(), thread = mach_thread_self(), voucher, adopted;
    CHECK(host_create_mach_voucher(host, store, sizeof store, &voucher));
    uint8_t content[64], recipe[64];
    mach_msg_type_number_t size = sizeof content;
    CHECK(mach_voucher_extract_attr_content(voucher, MACH_VOUCHER_ATTR_KEY_USER_DATA, content, &size));
    EQUAL(size, 6);
    EQUAL(memcmp(content, "hello", 6), 0);
    size = 3;
    EQUAL(mach_voucher_extract_attr_content(voucher, MACH_VOUCHER_ATTR_KEY_USER_DATA, content, &size) == 0, 0);
    size = sizeof recipe;
    CHECK(mach_voucher_extract_attr_recipe(voucher, MACH_VOUCHER_ATTR_KEY_USER_DATA, recipe, &size));
    EQUAL(size, sizeof store);
    EQUAL(memcmp(recipe, store, sizeof store), 0);
    size = sizeof recipe;
    CHECK(mach_voucher_extract_all_attr_recipes(voucher, recipe, &size));
    EQUAL(size, sizeof store);
    size = sizeof content;
    EQUAL(mach_voucher_attr_command(voucher, MACH_VOUCHER_ATTR_KEY_USER_DATA, 1, NULL, 0, content, &size) == 0, 0);
    CHECK(thread_set_mach_voucher(thread, voucher));
    CHECK(thread_get_mach_voucher(thread, MACH_VOUCHER_SELECTOR_CURRENT, &adopted));
    EQUAL(adopted, voucher);
    CHECK(thread_set_mach_voucher(thread, MACH_PORT_NULL));
    uint64_t first, second;
    CHECK(mach_generate_activity_id(mach_task_self(), 16, &first));
    CHECK(mach_generate_activity_id(mach_task_self(), 1, &second));
    EQUAL(second - first, 16);
}

static uint32_t gate, passed;

static void wait_at_gate(void *argument) {
    /* Variables of the vector registers and the stack's alignment: a movaps would fault. */
    volatile double x = *(double *)argument;
    while (__atomic_load_n(&gate, __ATOMIC_ACQUIRE) == 0)
        ulock_wait(UL_COMPARE_AND_WAIT, &gate, 0, 0);
    __atomic_store_n(&passed, (uint32_t)(x * 2), __ATOMIC_RELEASE);
}

static void threads(void) {
    double argument = 1.5;
    struct tally_counts before, after;
    thread_act_t thread, self = mach_thread_self();
    CHECK(debug_state(DEBUG_COUNTS, 0, &before, sizeof before));
    CHECK(thread_start(wait_at_gate, &argument, &thread));
    CHECK(thread_suspend(thread));
    CHECK(thread_resume(thread));
    while (thread_set_qos(thread, QOS_PRIORITY(QOS_UTILITY)) == KERN_FAILURE)
        swtch_pri(0);
    CHECK(thread_abort(thread));
    __atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
    ulock_wake(UL_COMPARE_AND_WAIT | ULF_WAKE_ALL, &gate);
    while (__atomic_load_n(&passed, __ATOMIC_ACQUIRE) == 0)
        CHECK(thread_switch(MACH_PORT_NULL, SWITCH_OPTION_DEPRESS, 1));
    EQUAL(passed, 3);
    /* The thread gives its stack back. */
    mach_port_type_t type;
    while (mach_port_type(mach_task_self(), thread, &type) == KERN_SUCCESS && type != MACH_PORT_TYPE_DEAD_NAME)
        CHECK(thread_switch(MACH_PORT_NULL, SWITCH_OPTION_WAIT, 1));
    CHECK(mach_port_deallocate(mach_task_self(), thread));
    CHECK(debug_state(DEBUG_COUNTS, 0, &after, sizeof after));
    EQUAL(after.regions, before.regions);
    EQUAL(after.threads, before.threads);

    gate = 0;
    CHECK(thread_start(wait_at_gate, &argument, &thread));
    CHECK(thread_terminate(thread));
    mach_port_t port = new_port();
    CHECK(port_bind_servicer(port, self));
    CHECK(port_bind_servicer(port, THREAD_NULL));
    swtch();
    EQUAL(cpu_count(), 1);
    CHECK(set_thread_base(0));
}

static void memory_and_time(void) {
    mach_vm_address_t address = 0;
    vm_address_t old = 0;
    CHECK(mach_vm_allocate(mach_task_self(), &address, 8192, VM_FLAGS_ANYWHERE));
    *(uint8_t *)address = 1;
    CHECK(mach_vm_protect(mach_task_self(), address, vm_page_size, FALSE, VM_PROT_READ));
    CHECK(mach_vm_deallocate(mach_task_self(), address, 8192));
    CHECK(vm_allocate(mach_task_self(), &old, vm_page_size, VM_FLAGS_ANYWHERE));
    CHECK(vm_protect(mach_task_self(), old, vm_page_size, FALSE, VM_PROT_READ | VM_PROT_EXECUTE));
    CHECK(vm_deallocate(mach_task_self(), old, vm_page_size));

    mach_timebase_info_data_t base;
    CHECK(mach_timebase_info(&base));
    EQUAL(base.numer, base.denom);
    uint64_t deadline = mach_absolute_time() + 2000000;
    CHECK(mach_wait_until(deadline));
    EQUAL(mach_absolute_time() >= deadline, 1);
}

static void unix_subset(void) {
    EQUAL(write(3, "x", 1), -EBADF);
    EQUAL(write(1, "", 0), 0);
    struct proc_uniqidentifierinfo info;
    EQUAL(proc_info(PROC_INFO_CALL_PIDINFO, (int)getpid(), PROC_PIDUNIQIDENTIFIERINFO, 0, &info, sizeof info), 56);
    EQUAL(info.p_uniqueid, getpid());
    EQUAL(proc_info(PROC_INFO_CALL_PIDINFO, -1, PROC_PIDUNIQIDENTIFIERINFO, 0, &info, sizeof info), -ESRCH);
    EQUAL(thread_selfid() > 0, 1);
    EQUAL(setpriority(PRIO_DARWIN_PROCESS, 0, 0), 0);
    EQUAL(setpriority(5, 0, 0), -EINVAL);
    EQUAL(process_policy(PROC_POLICY_SCOPE_PROCESS, PROC_POLICY_ACTION_SET, PROC_POLICY_BOOST,
                         PROC_POLICY_IMP_DONATION, NULL, 0, 0), 0);
    thread_act_t thread = mach_thread_self();
    EQUAL(bsdthread_ctl(BSDTHREAD_CTL_QOS_OVERRIDE_START, thread, QOS_PRIORITY(QOS_USER_INTERACTIVE), 1), 0);
    EQUAL(bsdthread_ctl(BSDTHREAD_CTL_QOS_OVERRIDE_END, thread, 1, 0), 0);
    EQUAL(bsdthread_ctl(BSDTHREAD_CTL_QOS_OVERRIDE_END, 0, 1, 0), -ESRCH);
    EQUAL(bsdthread_ctl(BSDTHREAD_CTL_SET_SELF, QOS_PRIORITY(QOS_UTILITY), 0, SET_SELF_QOS), -EPERM);
    uint32_t id = 0;
    EQUAL(persona(1, 0, NULL, &id), -ENOSYS);
    EQUAL(persona(PERSONA_OP_GET, 0, NULL, &id), -ESRCH);
    EQUAL(ulock_wait(UL_COMPARE_AND_WAIT, &gate, 0, 1000), -ETIMEDOUT);
    EQUAL(ulock_wake(UL_COMPARE_AND_WAIT, &gate), -ENOENT);
}

static void name_service(void) {
    mach_port_t service, found, other = new_port();
    CHECK(bootstrap_check_in(bootstrap_port, "a", &service));
    EQUAL(bootstrap_check_in(bootstrap_port, "a", &found), BOOTSTRAP_SERVICE_ACTIVE);
    CHECK(bootstrap_look_up(bootstrap_port, "a", &found));
    EQUAL(found, service);
    CHECK(bootstrap_register(bootstrap_port, "b", other));
    EQUAL(bootstrap_register(bootstrap_port, "b", other), BOOTSTRAP_NAME_IN_USE);
    EQUAL(bootstrap_look_up(bootstrap_port, "c", &found), BOOTSTRAP_UNKNOWN_SERVICE);
    EQUAL(strcmp(bootstrap_strerror(BOOTSTRAP_UNKNOWN_SERVICE), "BOOTSTRAP_UNKNOWN_SERVICE"), 0);
    EQUAL(strcmp(mach_error_string(MACH_SEND_TIMED_OUT | MACH_MSG_IPC_SPACE), "MACH_SEND_TIMED_OUT"), 0);
}

int main(void) {
    messages();
    vouchers();
    threads();
    memory_and_time();
    unix_subset();
    name_service();
    mach_error("a code", MIG_BAD_ID);
    printf("messages, vouchers, threads, memory and names work\n");
    return 0;
}
