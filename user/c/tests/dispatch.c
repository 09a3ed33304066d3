/* Every function of <dispatch/dispatch.h>, <pthread/qos.h> and <os/voucher_private.h>. With an argument: one mistake, which
 * ends the program. */

#include "check.h"
#include <dispatch/dispatch.h>
#include <os/voucher_private.h>

enum { COUNT = 100 };

static uint32_t calls;
static char order[8];
static dispatch_semaphore_t done;

static void count(void *number) {
    __atomic_fetch_add(&calls, (uint32_t)(uintptr_t)number, __ATOMIC_SEQ_CST);
}

static void count_iteration(void *number, size_t iteration) {
    __atomic_fetch_add(&calls, (uint32_t)((uintptr_t)number + iteration), __ATOMIC_SEQ_CST);
}

static uint32_t take_calls(void) {
    return __atomic_exchange_n(&calls, 0, __ATOMIC_SEQ_CST);
}

/* Appends a letter; all calls are on one serial queue. */
static void append(void *letter) {
    order[strlen(order)] = (char)(uintptr_t)letter;
}

static void signal_done(void *ignored) {
    (void)ignored;
    dispatch_semaphore_signal(done);
}

static void wait_done(void) {
    EQUAL(dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER), 0);
}

static void note_class(void *to) {
    *(qos_class_t *)to = qos_class_self();
}

static void note_label(void *to) {
    *(const char **)to = dispatch_queue_get_label(DISPATCH_CURRENT_QUEUE_LABEL);
}

static void test_queues(void) {
    dispatch_queue_t serial = dispatch_queue_create("serial", DISPATCH_QUEUE_SERIAL);
    dispatch_async_f(serial, (void *)'a', append);
    dispatch_barrier_async_f(serial, (void *)'b', append);
    dispatch_sync_f(serial, (void *)'c', append);
    dispatch_barrier_sync_f(serial, (void *)'d', append);
    dispatch_async_and_wait_f(serial, (void *)'e', append);
    EQUAL(strcmp(order, "abcde"), 0);

    const char *label = NULL;
    dispatch_sync_f(serial, &label, note_label);
    EQUAL(strcmp(label, "serial"), 0);
    EQUAL(label == dispatch_queue_get_label(serial), 1);
    EQUAL(dispatch_queue_get_label(DISPATCH_CURRENT_QUEUE_LABEL) == NULL, 1);
    EQUAL(*dispatch_queue_get_label(dispatch_queue_create(NULL, NULL)), 0);

    /* A suspended queue waits; what is queued outlives the program's reference. */
    dispatch_suspend(serial);
    dispatch_async_f(serial, (void *)1, count);
    dispatch_async_f(serial, NULL, signal_done);
    EQUAL(dispatch_semaphore_wait(done, dispatch_time(DISPATCH_TIME_NOW, 5 * NSEC_PER_MSEC)) != 0, 1);
    EQUAL(take_calls(), 0);
    dispatch_resume(serial);
    dispatch_release(serial);
    wait_done();
    EQUAL(take_calls(), 1);
}

static void test_attributes(void) {
    int relative = 1;
    qos_class_t class;
    dispatch_queue_attr_t attr =
        dispatch_queue_attr_make_with_qos_class(DISPATCH_QUEUE_CONCURRENT_INACTIVE, QOS_CLASS_UTILITY, -3);
    EQUAL(attr == dispatch_queue_attr_make_with_qos_class(attr, QOS_CLASS_UTILITY, 1), 1);
    EQUAL(attr == dispatch_queue_attr_make_with_qos_class(attr, (qos_class_t)7, 0), 1);
    dispatch_queue_t queue = dispatch_queue_create("attributes", attr);
    EQUAL(dispatch_queue_get_qos_class(queue, &relative), QOS_CLASS_UTILITY);
    EQUAL(relative, -3);
    EQUAL(dispatch_queue_get_qos_class(queue, NULL), QOS_CLASS_UTILITY);
    dispatch_async_f(queue, &class, note_class);
    dispatch_barrier_async_f(queue, NULL, signal_done);
    EQUAL(dispatch_semaphore_wait(done, DISPATCH_TIME_NOW) != 0, 1);
    dispatch_activate(queue);
    wait_done();
    EQUAL(class, QOS_CLASS_UTILITY);
    dispatch_release(queue);
    EQUAL(dispatch_queue_attr_make_initially_inactive(DISPATCH_QUEUE_SERIAL) == DISPATCH_QUEUE_SERIAL_INACTIVE, 1);

    /* Work runs on the target, with the class of that. */
    dispatch_queue_t target = dispatch_queue_create(
        "target", dispatch_queue_attr_make_with_qos_class(DISPATCH_QUEUE_SERIAL, QOS_CLASS_USER_INITIATED, 0));
    dispatch_queue_t above[2] = {dispatch_queue_create("one", NULL),
                                 dispatch_queue_create_with_target("two", NULL, target)};
    dispatch_set_target_queue(above[0], target);
    for (int i = 0; i < 2; i++) {
        dispatch_async_f(above[i], &class, note_class);
        dispatch_async_f(above[i], NULL, signal_done);
        wait_done();
        EQUAL(class, QOS_CLASS_USER_INITIATED);
        dispatch_release(above[i]);
    }
    dispatch_release(target);

    dispatch_queue_t background = dispatch_get_global_queue(QOS_CLASS_BACKGROUND, 0);
    EQUAL(background == dispatch_get_global_queue(DISPATCH_QUEUE_PRIORITY_BACKGROUND, 0), 1);
    EQUAL(dispatch_get_global_queue(12345, 0) == NULL, 1);
    EQUAL(dispatch_get_global_queue(0, 1) == NULL, 1);
    dispatch_retain(background);
    dispatch_release(background);
    dispatch_release(background);
    dispatch_async_f(background, &class, note_class);
    dispatch_async_f(background, NULL, signal_done);
    wait_done();
    EQUAL(class, QOS_CLASS_BACKGROUND);
}

static int stopped;

static void wait_again_and_again(void *semaphore) {
    do
        dispatch_semaphore_wait(semaphore, DISPATCH_TIME_FOREVER);
    while (!__atomic_load_n(&stopped, __ATOMIC_SEQ_CST));
    signal_done(NULL);
}

/* A signal says whether a thread was waiting. */
static void test_signal(dispatch_semaphore_t semaphore) {
    EQUAL(dispatch_semaphore_signal(semaphore), 0);
    dispatch_queue_t queue = dispatch_queue_create("waits", NULL);
    dispatch_async_f(queue, semaphore, wait_again_and_again);
    while (dispatch_semaphore_signal(semaphore) == 0)
        thread_switch(MACH_PORT_NULL, SWITCH_OPTION_WAIT, 1);
    __atomic_store_n(&stopped, 1, __ATOMIC_SEQ_CST);
    dispatch_semaphore_signal(semaphore);
    wait_done();
    dispatch_release(queue);
}

static void test_groups(void) {
    dispatch_queue_t queue = dispatch_queue_create("concurrent", DISPATCH_QUEUE_CONCURRENT);
    dispatch_group_t group = dispatch_group_create();
    EQUAL(dispatch_group_wait(group, DISPATCH_TIME_NOW), 0);
    for (int i = 0; i < COUNT; i++)
        dispatch_group_async_f(group, queue, (void *)1, count);
    EQUAL(dispatch_group_wait(group, DISPATCH_TIME_FOREVER), 0);
    EQUAL(take_calls(), COUNT);

    /* What is entered keeps the group. */
    dispatch_group_enter(group);
    dispatch_group_notify_f(group, queue, NULL, signal_done);
    EQUAL(dispatch_group_wait(group, dispatch_time(DISPATCH_TIME_NOW, NSEC_PER_MSEC)) != 0, 1);
    dispatch_release(group);
    dispatch_group_leave(group);
    wait_done();

    dispatch_apply_f(COUNT, queue, (void *)1, count_iteration);
    EQUAL(take_calls(), COUNT + COUNT * (COUNT - 1) / 2);
    dispatch_apply_f(3, DISPATCH_APPLY_AUTO, (void *)1, count_iteration);
    EQUAL(take_calls(), 6);
    dispatch_release(queue);

    static dispatch_once_t once;
    for (int i = 0; i < 3; i++)
        dispatch_once_f(&once, (void *)1, count);
    EQUAL(take_calls(), 1);

    EQUAL(dispatch_semaphore_create(-1) == NULL, 1);
    dispatch_semaphore_t semaphore = dispatch_semaphore_create(2);
    EQUAL(dispatch_semaphore_signal(semaphore), 0);
    for (int i = 0; i < 3; i++)
        EQUAL(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_NOW), 0);
    EQUAL(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_NOW) != 0, 1);
    test_signal(semaphore);
    dispatch_release(semaphore);
}

static dispatch_source_t timer;

static void handle_timer(void *context) {
    EQUAL(context == &timer, 1);
    calls += dispatch_source_get_data(timer) > 0;
    if (calls == 3) {
        dispatch_source_cancel(timer);
        dispatch_source_cancel(timer);
    }
}

static void test_times(void) {
    dispatch_time_t now = dispatch_time(DISPATCH_TIME_NOW, 0);
    EQUAL(dispatch_time(now, 17), now + 17);
    EQUAL(dispatch_time(DISPATCH_TIME_FOREVER, 17), DISPATCH_TIME_FOREVER);
    dispatch_queue_t queue = dispatch_queue_create("times", NULL);
    dispatch_time_t then = dispatch_time(now, 3 * NSEC_PER_MSEC);
    dispatch_after_f(DISPATCH_TIME_FOREVER, queue, (void *)1, count);
    dispatch_after_f(then, queue, NULL, signal_done);
    wait_done();
    EQUAL(dispatch_time(DISPATCH_TIME_NOW, 0) >= then, 1);

    timer = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, NULL);
    dispatch_set_target_queue(timer, queue);
    dispatch_set_context(timer, &timer);
    EQUAL(dispatch_get_context(timer) == &timer, 1);
    dispatch_source_set_event_handler_f(timer, handle_timer);
    dispatch_source_set_cancel_handler_f(timer, signal_done);
    dispatch_source_set_timer(timer, dispatch_time(DISPATCH_TIME_NOW, NSEC_PER_MSEC), NSEC_PER_MSEC, 0);
    dispatch_suspend(timer);
    dispatch_activate(timer);
    EQUAL(dispatch_semaphore_wait(done, dispatch_time(DISPATCH_TIME_NOW, 5 * NSEC_PER_MSEC)) != 0, 1);
    EQUAL(calls, 0);
    EQUAL(dispatch_source_testcancel(timer), 0);
    dispatch_resume(timer);
    wait_done();
    EQUAL(take_calls(), 3);
    EQUAL(dispatch_source_testcancel(timer) != 0, 1);
    dispatch_release(timer);
    dispatch_release(queue);

    /* A source that is cancelled before it begins ends at once. */
    timer = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, NULL);
    dispatch_set_context(timer, &timer);
    dispatch_source_set_event_handler_f(timer, handle_timer);
    dispatch_source_set_cancel_handler_f(timer, signal_done);
    dispatch_source_set_timer(timer, DISPATCH_TIME_NOW, DISPATCH_TIME_FOREVER, 0);
    dispatch_source_cancel(timer);
    EQUAL(dispatch_semaphore_wait(done, dispatch_time(DISPATCH_TIME_NOW, NSEC_PER_MSEC)) != 0, 1);
    dispatch_resume(timer);
    wait_done();
    EQUAL(take_calls(), 0);
    dispatch_release(timer);
    EQUAL(dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 1, 0, NULL) == NULL, 1);
    EQUAL(dispatch_source_create((dispatch_source_type_t)9, 0, 0, NULL) == NULL, 1);
}

struct buffer {
    mach_msg_header_t header;
    mach_msg_max_trailer_t trailer;
};

static mach_port_t port;

/* Sends a message with a voucher to the port. */
static void send(void) {
    struct buffer buffer = {.header = {.msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, 0),
                                       .msgh_remote_port = port,
                                       .msgh_id = 5}};
    EQUAL(voucher_mach_msg_set(&buffer.header), 1);
    EQUAL(voucher_mach_msg_set(&buffer.header), 0);
    CHECK(mach_msg(&buffer.header, MACH_SEND_MSG, sizeof buffer.header, 0, MACH_PORT_NULL, MACH_MSG_TIMEOUT_NONE, 0));
    voucher_mach_msg_clear(&buffer.header);
    EQUAL(buffer.header.msgh_voucher_port, MACH_PORT_NULL);
    EQUAL(MACH_MSGH_BITS_VOUCHER(buffer.header.msgh_bits), 0);
}

static voucher_t voucher_of_work;

static void note_voucher(void *ignored) {
    (void)ignored;
    voucher_of_work = voucher_copy();
    dispatch_semaphore_signal(done);
}

static void handle_message(void *context) {
    struct buffer buffer;
    EQUAL((uintptr_t)context, port);
    EQUAL(voucher_copy() == VOUCHER_NULL, 1);
    CHECK(mach_msg(&buffer.header, MACH_RCV_MSG | MACH_RCV_VOUCHER, 0, sizeof buffer, port, MACH_MSG_TIMEOUT_NONE, 0));
    EQUAL(buffer.header.msgh_id, 5);
    voucher_mach_msg_state_t state = voucher_mach_msg_adopt(&buffer.header);
    EQUAL(state == VOUCHER_MACH_MSG_STATE_UNCHANGED, 0);
    /* A voucher has one handle. */
    voucher_t voucher = voucher_copy();
    EQUAL(voucher == VOUCHER_NULL, 0);
    EQUAL(voucher_retain(voucher) == voucher, 1);
    EQUAL(voucher_adopt(VOUCHER_NULL) == voucher, 1);
    EQUAL(voucher_adopt(voucher) == VOUCHER_NULL, 1);
    voucher_release(voucher_copy_without_importance());
    /* A serial queue has a thread, although this one waits. */
    dispatch_queue_t work = dispatch_queue_create("work", DISPATCH_QUEUE_SERIAL);
    dispatch_async_f(work, NULL, note_voucher);
    wait_done();
    dispatch_release(work);
    EQUAL(voucher_of_work == voucher, 1);
    voucher_release(voucher_of_work);
    voucher_release(voucher);
    voucher_release(voucher);
    voucher_mach_msg_revert(state);
    EQUAL(voucher_copy() == VOUCHER_NULL, 1);
    EQUAL(voucher_mach_msg_adopt(&buffer.header) == VOUCHER_MACH_MSG_STATE_UNCHANGED, 1);
    voucher_mach_msg_revert(VOUCHER_MACH_MSG_STATE_UNCHANGED);
    count((void *)1);
}

static void test_messages(void) {
    mach_port_options_t options = {.flags = MPO_INSERT_SEND_RIGHT};
    CHECK(mach_port_construct(mach_task_self(), &options, 0, &port));
    dispatch_queue_t queue = dispatch_queue_create("messages", NULL);
    dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_MACH_RECV, port, 0, queue);
    EQUAL(dispatch_source_get_handle(source), port);
    EQUAL(dispatch_source_get_mask(source), 0);
    dispatch_set_context(source, (void *)(uintptr_t)port);
    dispatch_source_set_event_handler_f(source, handle_message);
    dispatch_source_set_cancel_handler_f(source, signal_done);
    send();
    dispatch_suspend(source);
    dispatch_activate(source);
    EQUAL(dispatch_semaphore_wait(done, dispatch_time(DISPATCH_TIME_NOW, 5 * NSEC_PER_MSEC)) != 0, 1);
    EQUAL(__atomic_load_n(&calls, __ATOMIC_SEQ_CST), 0);
    dispatch_resume(source);
    send();
    while (__atomic_load_n(&calls, __ATOMIC_SEQ_CST) < 2)
        thread_switch(MACH_PORT_NULL, SWITCH_OPTION_WAIT, 1);
    dispatch_source_cancel(source);
    dispatch_release(source);
    wait_done();
    EQUAL(take_calls(), 2);
    dispatch_release(queue);
    EQUAL(dispatch_source_create(DISPATCH_SOURCE_TYPE_MACH_RECV, MACH_PORT_NULL, 0, NULL) == NULL, 1);
}

static void choose_class(void *ignored) {
    (void)ignored;
    EQUAL(qos_class_self(), QOS_CLASS_DEFAULT);
    EQUAL(pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, QOS_MIN_RELATIVE_PRIORITY), 0);
    EQUAL(qos_class_self(), QOS_CLASS_UTILITY);
    EQUAL(pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 1), EINVAL);
    EQUAL(pthread_set_qos_class_self_np((qos_class_t)7, 0), EINVAL);
    EQUAL(qos_class_self(), QOS_CLASS_UTILITY);
}

static void run_thread(void *queue) {
    EQUAL(qos_class_self(), QOS_CLASS_UNSPECIFIED);
    EQUAL(pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0), EINVAL);
    dispatch_async_f(queue, NULL, choose_class);
    dispatch_sync_f(queue, (void *)1, count);
    signal_done(NULL);
}

static uint64_t names(void) {
    struct tally_counts counts;
    CHECK(debug_state(DEBUG_COUNTS, MACH_PORT_NULL, &counts, sizeof counts));
    return counts.names;
}

/* Threads of the program use queues too, and leave no names behind. */
static void test_threads(void) {
    dispatch_queue_t queue = dispatch_queue_create("threads", NULL);
    uint64_t before = names();
    for (int i = 0; i < COUNT; i++) {
        CHECK(thread_start(run_thread, queue, NULL));
        wait_done();
    }
    EQUAL(take_calls(), COUNT);
    /* The last ones are still ending, and there may be another worker. */
    EQUAL(names() < before + COUNT / 2, 1);
    dispatch_release(queue);
}

static void end(void *ignored) {
    (void)ignored;
    EQUAL(strcmp(dispatch_queue_get_label(DISPATCH_CURRENT_QUEUE_LABEL), "main"), 0);
    printf("queues, groups, sources, vouchers and classes work\n");
    exit(0);
}

static void sync_again(void *queue) {
    dispatch_sync_f(queue, NULL, count);
}

static void make_mistake(const char *kind) {
    dispatch_queue_t queue = dispatch_queue_create("mistake", DISPATCH_QUEUE_SERIAL);
    dispatch_group_t group = dispatch_group_create();
    if (strcmp(kind, "resume") == 0)
        dispatch_resume(queue);
    else if (strcmp(kind, "leave") == 0)
        dispatch_group_leave(group);
    else if (strcmp(kind, "released") == 0) {
        dispatch_release(queue);
        dispatch_async_f(queue, NULL, count);
    } else if (strcmp(kind, "type") == 0)
        dispatch_async_f((dispatch_queue_t)group, NULL, count);
    else if (strcmp(kind, "null") == 0)
        dispatch_async_f(NULL, NULL, count);
    else if (strcmp(kind, "pointer") == 0)
        dispatch_release((dispatch_queue_t)kind);
    else if (strcmp(kind, "function") == 0)
        dispatch_async_f(queue, NULL, NULL);
    else if (strcmp(kind, "attribute") == 0)
        dispatch_queue_create("", (dispatch_queue_attr_t)4);
    else if (strcmp(kind, "suspended") == 0) {
        dispatch_suspend(queue);
        dispatch_release(queue);
    } else if (strcmp(kind, "inactive") == 0)
        dispatch_release(dispatch_queue_create("", DISPATCH_QUEUE_SERIAL_INACTIVE));
    else if (strcmp(kind, "target") == 0) {
        dispatch_sync_f(queue, NULL, count);
        dispatch_set_target_queue(queue, NULL);
    } else if (strcmp(kind, "itself") == 0)
        dispatch_sync_f(queue, queue, sync_again);
    else if (strcmp(kind, "voucher") == 0)
        voucher_release((voucher_t)queue);
    else if (strcmp(kind, "timer") == 0)
        dispatch_source_set_timer(dispatch_source_create(DISPATCH_SOURCE_TYPE_MACH_RECV, mach_reply_port(), 0, NULL), 0, 0,
                                  0);
    printf("nobody noticed the mistake: %s\n", kind);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        make_mistake(argv[1]);
        return 1;
    }
    done = dispatch_semaphore_create(0);
    test_queues();
    test_attributes();
    test_groups();
    test_times();
    test_messages();
    test_threads();
    dispatch_async_f(dispatch_get_main_queue(), NULL, end);
    dispatch_main();
}
