/* Makes every call of the library once, with a result that a wrong number or layout would change. */

#include "check.h"

static mach_port_t self(void) {
    return mach_task_self();
}

static mach_port_t new_port(void) {
    mach_port_t port;
    CHECK(mach_port_allocate(self(), MACH_PORT_RIGHT_RECEIVE, &port));
    CHECK(mach_port_insert_right(self(), port, port, MACH_MSG_TYPE_MAKE_SEND));
    return port;
}

static mach_port_type_t type_of(task_t task, mach_port_name_t name) {
    mach_port_type_t type = 0;
    return mach_port_type(task, name, &type) == KERN_SUCCESS ? type : 0;
}

static void rights_and_references(task_t task) {
    mach_port_t port, chosen = 0x4003;
    mach_port_urefs_t refs;
    CHECK(mach_port_allocate(task, MACH_PORT_RIGHT_DEAD_NAME, &port));
    CHECK(mach_port_mod_refs(task, port, MACH_PORT_RIGHT_DEAD_NAME, 2));
    CHECK(mach_port_get_refs(task, port, MACH_PORT_RIGHT_DEAD_NAME, &refs));
    EQUAL(refs, 3);
    CHECK(mach_port_deallocate(task, port));
    CHECK(mach_port_get_refs(task, port, MACH_PORT_RIGHT_DEAD_NAME, &refs));
    EQUAL(refs, 2);
    CHECK(mach_port_destroy(task, port));
    EQUAL(mach_port_deallocate(task, port), KERN_INVALID_NAME);

    CHECK(mach_port_allocate_name(task, MACH_PORT_RIGHT_RECEIVE, chosen));
    EQUAL(type_of(task, chosen), MACH_PORT_TYPE_RECEIVE);
    mach_port_t extracted;
    mach_msg_type_name_t kind;
    CHECK(mach_port_extract_right(task, chosen, MACH_MSG_TYPE_MAKE_SEND, &extracted, &kind));
    EQUAL(kind, MACH_MSG_TYPE_PORT_SEND);
    mach_port_rights_t senders;
    CHECK(mach_port_get_srights(task, chosen, &senders));
    EQUAL(senders, MACH_PORT_SRIGHTS_PRESENT);
    CHECK(mach_port_deallocate(self(), extracted));

    /* In this task the right has one name already. */
    port = new_port();
    mach_port_name_t name = task == self() ? port : 0x5003;
    CHECK(mach_port_insert_right(task, name, port, MACH_MSG_TYPE_COPY_SEND));
    EQUAL(type_of(task, name) & MACH_PORT_TYPE_SEND, MACH_PORT_TYPE_SEND);
    CHECK(mach_port_destroy(self(), port));
    CHECK(mach_port_destroy(task, chosen));
}

static void sets_and_attributes(task_t task) {
    mach_port_t port, first, second;
    CHECK(mach_port_allocate(task, MACH_PORT_RIGHT_RECEIVE, &port));
    CHECK(mach_port_allocate(task, MACH_PORT_RIGHT_PORT_SET, &first));
    CHECK(mach_port_allocate(task, MACH_PORT_RIGHT_PORT_SET, &second));
    CHECK(mach_port_move_member(task, port, first));
    EQUAL(mach_port_insert_member(task, port, first), KERN_ALREADY_IN_SET);
    CHECK(mach_port_insert_member(task, port, second));
    mach_port_status_t status;
    mach_msg_type_number_t count = MACH_PORT_RECEIVE_STATUS_COUNT;
    CHECK(mach_port_get_attributes(task, port, MACH_PORT_RECEIVE_STATUS, (mach_port_info_t)&status, &count));
    EQUAL(count, MACH_PORT_RECEIVE_STATUS_COUNT);
    EQUAL(status.mps_pset, 1);
    EQUAL(status.mps_qlimit, MACH_PORT_QLIMIT_DEFAULT);
    CHECK(mach_port_extract_member(task, port, second));
    EQUAL(mach_port_extract_member(task, port, second), KERN_NOT_IN_SET);

    mach_port_limits_t limits = {7};
    CHECK(mach_port_set_attributes(task, port, MACH_PORT_LIMITS_INFO, (mach_port_info_t)&limits,
                                   MACH_PORT_LIMITS_INFO_COUNT));
    CHECK(mach_port_set_mscount(task, port, 9));
    CHECK(mach_port_set_seqno(task, port, 11));
    CHECK(mach_port_get_attributes(task, port, MACH_PORT_RECEIVE_STATUS, (mach_port_info_t)&status, &count));
    EQUAL(status.mps_qlimit, 7);
    EQUAL(status.mps_mscount, 9);
    EQUAL(status.mps_seqno, 11);
    for (int i = 0; i < 2; i++)
        CHECK(mach_port_destroy(task, i == 0 ? first : second));
    CHECK(mach_port_destroy(task, port));
}

static void guards_and_context(task_t task) {
    const mach_port_context_t guard = 0x123456789abcdef0, other = 0xfedcba9876543210;
    mach_port_t port;
    mach_port_options_t options = {.flags = MPO_QLIMIT | MPO_INSERT_SEND_RIGHT, .mpl.mpl_qlimit = 3};
    CHECK(mach_port_construct(task, &options, guard, &port));
    mach_port_context_t context;
    CHECK(mach_port_get_context(task, port, &context));
    EQUAL(context, guard);
    CHECK(mach_port_set_context(task, port, 0));
    CHECK(mach_port_guard(task, port, guard, FALSE));
    EQUAL(mach_port_guard(task, port, other, FALSE), KERN_INVALID_ARGUMENT);
    CHECK(mach_port_swap_guard(task, port, guard, other));
    CHECK(mach_port_unguard(task, port, other));
    CHECK(mach_port_guard_with_flags(task, port, guard, MPG_STRICT));
    mach_port_status_t status;
    mach_msg_type_number_t count = MACH_PORT_RECEIVE_STATUS_COUNT;
    CHECK(mach_port_get_attributes(task, port, MACH_PORT_RECEIVE_STATUS, (mach_port_info_t)&status, &count));
    EQUAL(status.mps_flags & (MACH_PORT_STATUS_FLAG_GUARDED | MACH_PORT_STATUS_FLAG_STRICT_GUARD),
          MACH_PORT_STATUS_FLAG_GUARDED | MACH_PORT_STATUS_FLAG_STRICT_GUARD);
    EQUAL(status.mps_qlimit, 3);
    CHECK(mach_port_destruct(task, port, -1, guard));
    EQUAL(type_of(task, port), 0);
}

static void notifications(task_t task) {
    mach_port_t notify = new_port(), previous = 1, target = new_port();
    mach_port_name_t name = task == self() ? target : 0x6003;
    CHECK(mach_port_insert_right(task, name, target, MACH_MSG_TYPE_MAKE_SEND));
    CHECK(mach_port_request_notification(task, name, MACH_NOTIFY_DEAD_NAME, 0, notify, MACH_MSG_TYPE_MAKE_SEND_ONCE,
                                         &previous));
    EQUAL(previous, MACH_PORT_NULL);
    CHECK(mach_port_mod_refs(self(), target, MACH_PORT_RIGHT_RECEIVE, -1));
    mach_dead_name_notification_t message;
    CHECK(mach_msg(&message.not_header, MACH_RCV_MSG | MACH_RCV_TIMEOUT, 0, sizeof message, notify, 0, 0));
    EQUAL(message.not_header.msgh_id, MACH_NOTIFY_DEAD_NAME);
    EQUAL(message.not_port, name);
    CHECK(mach_port_destroy(self(), notify));
    CHECK(mach_port_destroy(task, name));
}

static void kernel_objects(task_t task) {
    natural_t kind;
    mach_vm_address_t address;
    mach_port_t host = mach_host_self(), thread = mach_thread_self();
    CHECK(mach_port_kobject(self(), host, &kind, &address));
    EQUAL(kind, 3);
    CHECK(mach_port_kobject(self(), thread, &kind, &address));
    EQUAL(kind, 1);
    CHECK(mach_port_kobject(self(), task, &kind, &address));
    EQUAL(kind, 2);
    mach_port_t port;
    CHECK(task_get_special_port(task, TASK_NAME_PORT, &port));
    CHECK(mach_port_kobject(self(), port, &kind, &address));
    EQUAL(kind, 20);
    CHECK(mach_port_deallocate(self(), port));
    CHECK(task_get_bootstrap_port(task, &port));
    EQUAL(port, bootstrap_port);
    CHECK(task_set_bootstrap_port(task, port));
    CHECK(mach_port_deallocate(self(), port));
    CHECK(task_get_mach_voucher(task, MACH_VOUCHER_SELECTOR_CURRENT, &port));
    EQUAL(port, MACH_PORT_NULL);
    CHECK(task_set_mach_voucher(task, MACH_PORT_NULL));

    task_category_policy_data_t category = {TASK_FOREGROUND_APPLICATION};
    CHECK(task_policy_set(task, TASK_CATEGORY_POLICY, (task_policy_t)&category, TASK_CATEGORY_POLICY_COUNT));
    category.role = TASK_UNSPECIFIED;
    mach_msg_type_number_t count = TASK_CATEGORY_POLICY_COUNT;
    boolean_t get_default = FALSE;
    CHECK(task_policy_get(task, TASK_CATEGORY_POLICY, (task_policy_t)&category, &count, &get_default));
    EQUAL(category.role, TASK_FOREGROUND_APPLICATION);
    EQUAL(get_default, FALSE);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        /* The child waits for its end. */
        struct {
            mach_msg_header_t header;
            mach_msg_max_trailer_t trailer;
        } message;
        mach_msg(&message.header, MACH_RCV_MSG, 0, sizeof message, new_port(), 0, 0);
        return 1;
    }
    mach_port_t exit_port = new_port();
    task_t child;
    const char *const arguments[] = {argv[0], "child", NULL};
    CHECK(spawn_program(arguments, NULL, exit_port, &child));
    /* A trap serves the caller's own names, a message those of another task. */
    for (int i = 0; i < 2; i++) {
        task_t task = i == 0 ? self() : child;
        rights_and_references(task);
        sets_and_attributes(task);
        guards_and_context(task);
        notifications(task);
        kernel_objects(task);
    }
    CHECK(task_terminate(child));
    uint32_t status;
    CHECK(wait_for_exit(exit_port, &status));
    EQUAL(status, 0x900);
    printf("the calls of tasks and ports work\n");
    return 0;
}
