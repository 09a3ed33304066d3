/* Importance follows the work: a daemon whose work goes on after its handler has returned, and whose boost lasts until
 * the last piece of it is done.
 *
 * The program starts itself again as an adaptive daemon, which runs in the background, and sends it a request. A Mach
 * source of the daemon receives that and hands the work on to a second queue, from there to a third one for later. None
 * of this mentions the voucher of the message after its receipt: the queues take it along. */

#include <dispatch/dispatch.h>
#include <os/voucher_private.h>
#include <tally.h>

static const char service[] = "org.example.queues";

enum { REQUEST_ID = 3100 };

struct request {
    mach_msg_header_t header;
    uint32_t number;
};

struct request_buffer {
    struct request message;
    mach_msg_max_trailer_t trailer;
};

static uint32_t boosts(void) {
    struct task_policy_state state;
    mach_msg_type_number_t count = TASK_POLICY_STATE_COUNT;
    boolean_t get_default = FALSE;
    CHECK(task_policy_get(mach_task_self(), TASK_POLICY_STATE, (task_policy_t)&state, &count, &get_default));
    return state.imp_assertcnt;
}

/* Prints the class of the calling thread, and what holds the daemon up. */
static void show(const char *when) {
    const char *label = dispatch_queue_get_label(DISPATCH_CURRENT_QUEUE_LABEL);
    voucher_t voucher = voucher_copy();
    printf("%-8s %-12s class %#04x, %s voucher, boosts %u\n", label != NULL ? label : "-", when, qos_class_self(),
           voucher != VOUCHER_NULL ? "a" : "no", boosts());
    voucher_release(voucher);
}

static mach_port_t port;
static dispatch_queue_t work_queue, late_queue;
static dispatch_semaphore_t done;

static void finish(void *context) {
    (void)context;
    show("later");
    dispatch_semaphore_signal(done);
}

static void work(void *context) {
    struct request *request = context;
    show("works");
    /* The reply goes to the client while the daemon has something left to do. */
    request->header.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_MOVE_SEND_ONCE, 0);
    request->header.msgh_local_port = MACH_PORT_NULL;
    request->header.msgh_id += 100;
    request->number *= 2;
    CHECK(mach_msg(&request->header, MACH_SEND_MSG, sizeof *request, 0, MACH_PORT_NULL, MACH_MSG_TIMEOUT_NONE, 0));
    free(request);
    dispatch_after_f(dispatch_time(DISPATCH_TIME_NOW, 20 * NSEC_PER_MSEC), late_queue, NULL, finish);
}

/* The handler of the source: a message is there. */
static void receive(void *context) {
    (void)context;
    struct request_buffer *buffer = malloc(sizeof *buffer);
    mach_msg_header_t *header = &buffer->message.header;
    show("before");
    CHECK(mach_msg(header, MACH_RCV_MSG | MACH_RCV_VOUCHER, 0, sizeof *buffer, port, MACH_MSG_TIMEOUT_NONE, 0));
    voucher_mach_msg_state_t state = voucher_mach_msg_adopt(header);
    show("received");
    dispatch_async_f(work_queue, buffer, work);
    voucher_mach_msg_revert(state);
}

static int be_daemon(void) {
    mach_port_options_t options = {.flags = MPO_IMPORTANCE_RECEIVER | MPO_INSERT_SEND_RIGHT};
    CHECK(mach_port_construct(mach_task_self(), &options, 0, &port));
    done = dispatch_semaphore_create(0);
    dispatch_queue_t requests = dispatch_queue_create("requests", DISPATCH_QUEUE_SERIAL);
    work_queue = dispatch_queue_create(
        "work", dispatch_queue_attr_make_with_qos_class(DISPATCH_QUEUE_SERIAL, QOS_CLASS_USER_INITIATED, 0));
    late_queue = dispatch_queue_create(
        "late", dispatch_queue_attr_make_with_qos_class(DISPATCH_QUEUE_SERIAL, QOS_CLASS_UTILITY, 0));

    dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_MACH_RECV, port, 0, requests);
    dispatch_source_set_event_handler_f(source, receive);
    dispatch_activate(source);
    show("at first");
    CHECK(bootstrap_register(bootstrap_port, service, port));

    dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
    /* The thread that was the last to work gives the voucher up when it finds no more to do. */
    while (boosts() > 0)
        CHECK(thread_switch(MACH_PORT_NULL, SWITCH_OPTION_WAIT, 1));
    show("at last");
    dispatch_source_cancel(source);
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

    struct request_buffer buffer = {.message.number = 21};
    mach_msg_header_t *header = &buffer.message.header;
    header->msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, MACH_MSG_TYPE_MAKE_SEND_ONCE);
    header->msgh_remote_port = daemon_port;
    header->msgh_local_port = reply_port;
    header->msgh_id = REQUEST_ID;
    CHECK(mach_msg(header, MACH_SEND_MSG | MACH_RCV_MSG, sizeof buffer.message, sizeof buffer, reply_port,
                   MACH_MSG_TIMEOUT_NONE, MACH_PORT_NULL));

    uint32_t status;
    CHECK(wait_for_exit(exit_port, &status));
    printf("the client got the reply %u\n", buffer.message.number);
    return (int)status;
}
