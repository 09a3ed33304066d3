/* Importance donation: a request lifts a daemon out of the background for as long as it works on it.
 *
 * The program starts itself again as an adaptive daemon, which runs in the background, and sends it a request. As a
 * donor of importance it boosts the daemon by that. The boost comes with the message as a voucher, and ends when the
 * daemon gives the voucher up. */

#include <tally.h>

static const char service[] = "org.example.daemon";

enum { REQUEST_ID = 3000 };

struct priority_message {
    mach_msg_header_t header;
    uint32_t priority;
};

struct priority_buffer {
    struct priority_message message;
    mach_msg_max_trailer_t trailer;
};

/* Prints what boosts mean for the daemon, and returns its thread's priority. */
static uint32_t show(const char *when) {
    struct task_policy_state state;
    mach_msg_type_number_t count = TASK_POLICY_STATE_COUNT;
    boolean_t get_default = FALSE;
    CHECK(task_policy_get(mach_task_self(), TASK_POLICY_STATE, (task_policy_t)&state, &count, &get_default));
    struct tally_thread_info info;
    mach_port_t thread = mach_thread_self();
    CHECK(debug_state(DEBUG_THREAD, thread, &info, sizeof info));
    CHECK(mach_port_deallocate(mach_task_self(), thread));
    printf("daemon: %-17s boosts %u, priority %2u\n", when, state.imp_assertcnt, info.base_priority);
    return info.base_priority;
}

static int be_daemon(void) {
    /* Messages to this port may boost the task that receives from it. */
    mach_port_t port;
    mach_port_options_t options = {.flags = MPO_IMPORTANCE_RECEIVER | MPO_INSERT_SEND_RIGHT};
    CHECK(mach_port_construct(mach_task_self(), &options, 0, &port));
    show("at first");
    /* From here on clients may send. */
    CHECK(bootstrap_register(bootstrap_port, service, port));

    struct priority_buffer buffer;
    mach_msg_header_t *header = &buffer.message.header;
    CHECK(mach_msg(header, MACH_RCV_MSG | MACH_RCV_VOUCHER, 0, sizeof buffer, port, MACH_MSG_TIMEOUT_NONE,
                   MACH_PORT_NULL));
    mach_port_t voucher = header->msgh_voucher_port;
    uint32_t priority = show("with the request");
    CHECK(mach_port_deallocate(mach_task_self(), voucher));
    show("without voucher");

    header->msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_MOVE_SEND_ONCE, 0);
    header->msgh_local_port = MACH_PORT_NULL;
    header->msgh_id += 100;
    buffer.message.priority = priority;
    CHECK(mach_msg(header, MACH_SEND_MSG, sizeof buffer.message, 0, MACH_PORT_NULL, MACH_MSG_TIMEOUT_NONE,
                   MACH_PORT_NULL));
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1)
        return be_daemon();

    if (process_policy(PROC_POLICY_SCOPE_PROCESS, PROC_POLICY_ACTION_SET, PROC_POLICY_BOOST, PROC_POLICY_IMP_DONATION,
                       NULL, 0, 0) < 0)
        return 1;

    mach_port_t daemon_port, exit_port, reply_port = mach_reply_port();
    task_t daemon;
    CHECK(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &exit_port));
    const char *const arguments[] = {argv[0], "daemon", NULL};
    struct task_spawn_args settings = SPAWN_SETTINGS;
    settings.app_type = APP_TYPE_DAEMON_ADAPTIVE;
    CHECK(spawn_program(arguments, &settings, exit_port, &daemon));

    /* A daemon in the background runs while nobody else does. */
    while (bootstrap_look_up(bootstrap_port, service, &daemon_port) == BOOTSTRAP_UNKNOWN_SERVICE)
        CHECK(thread_switch(MACH_PORT_NULL, SWITCH_OPTION_WAIT, 10));

    struct priority_buffer buffer = {0};
    mach_msg_header_t *header = &buffer.message.header;
    header->msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    header->msgh_remote_port = daemon_port;
    header->msgh_local_port = reply_port;
    header->msgh_id = REQUEST_ID;
    CHECK(mach_msg(header, MACH_SEND_MSG | MACH_RCV_MSG, sizeof buffer.message, sizeof buffer, reply_port,
                   MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL));
    printf("client: the daemon worked at priority %u\n", buffer.message.priority);

    uint32_t status;
    CHECK(wait_for_exit(exit_port, &status));
    return (int)status;
}
