/* Queues for work, and what belongs to them (docs/spec/dispatch.md 4, 5). A piece of work is a function and the address
 * that it gets; it takes the class and the voucher of the thread that submits it along. A program that uses this is linked
 * with user/c/cc.sh --dispatch.
 *
 * An object that does not exist, a null pointer in place of a function, and a call that breaks a rule given here end the
 * program with a message and status 101. */
#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#include <pthread/qos.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*dispatch_function_t)(void *context);

typedef struct dispatch_queue_s *dispatch_queue_t;
typedef dispatch_queue_t dispatch_queue_main_t, dispatch_queue_global_t;
typedef struct dispatch_queue_attr_s *dispatch_queue_attr_t;
typedef struct dispatch_group_s *dispatch_group_t;
typedef struct dispatch_semaphore_s *dispatch_semaphore_t;
typedef struct dispatch_source_s *dispatch_source_t;
typedef const struct dispatch_source_type_s *dispatch_source_type_t;

/* Any of them. */
typedef union {
    dispatch_queue_t queue;
    dispatch_group_t group;
    dispatch_semaphore_t semaphore;
    dispatch_source_t source;
} dispatch_object_t __attribute__((transparent_union));

/* --- Time -------------------------------------------------------------------------------------------------------- */

/* Nanoseconds since the machine started. */
typedef uint64_t dispatch_time_t;

#define DISPATCH_TIME_NOW (0ull)
#define DISPATCH_TIME_FOREVER (~0ull)

#define NSEC_PER_SEC 1000000000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_USEC 1000ull
#define USEC_PER_SEC 1000000ull

/* The time so many nanoseconds after another. */
dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta);

/* --- Objects ----------------------------------------------------------------------------------------------------- */

/* Adds a reference, and gives one up. What is queued has references of its own. A queue must not be suspended or inactive
 * when its last reference goes. The main queue and the global queues always exist. */
void dispatch_retain(dispatch_object_t object);
void dispatch_release(dispatch_object_t object);

/* An address that the program keeps with an object; handlers of a source get that of the source. The queues that always
 * exist keep none. */
void dispatch_set_context(dispatch_object_t object, void *context);
void *dispatch_get_context(dispatch_object_t object);

/* Let an inactive queue or a new source begin. */
void dispatch_activate(dispatch_object_t object);
/* Keep further work of a queue or source from starting, and end that. To resume more often than to suspend is an error,
 * but for a new source, which begins with it. */
void dispatch_suspend(dispatch_object_t object);
void dispatch_resume(dispatch_object_t object);

/* Makes the work of a queue or source run on another queue. Comes before the first use of a queue, and before a source
 * begins. A null pointer stands for the default queue. */
void dispatch_set_target_queue(dispatch_object_t object, dispatch_queue_t queue);

/* --- Queues ------------------------------------------------------------------------------------------------------ */

/* Attributes of a new queue. */
#define DISPATCH_QUEUE_SERIAL ((dispatch_queue_attr_t)0)
#define DISPATCH_QUEUE_CONCURRENT ((dispatch_queue_attr_t)1)
#define DISPATCH_QUEUE_SERIAL_INACTIVE ((dispatch_queue_attr_t)2)
#define DISPATCH_QUEUE_CONCURRENT_INACTIVE ((dispatch_queue_attr_t)3)

/* Returns the attributes with a class, which beats that of the work; the same ones if the class does not exist or the
 * relative priority is out of range. */
dispatch_queue_attr_t dispatch_queue_attr_make_with_qos_class(dispatch_queue_attr_t attr, qos_class_t qos_class,
                                                              int relative_priority);
dispatch_queue_attr_t dispatch_queue_attr_make_initially_inactive(dispatch_queue_attr_t attr);

#define DISPATCH_TARGET_QUEUE_DEFAULT ((dispatch_queue_t)0)

/* Make a queue. The label may be null. */
dispatch_queue_t dispatch_queue_create(const char *label, dispatch_queue_attr_t attr);
dispatch_queue_t dispatch_queue_create_with_target(const char *label, dispatch_queue_attr_t attr,
                                                   dispatch_queue_t target);

#define DISPATCH_QUEUE_PRIORITY_HIGH 2
#define DISPATCH_QUEUE_PRIORITY_DEFAULT 0
#define DISPATCH_QUEUE_PRIORITY_LOW (-2)
#define DISPATCH_QUEUE_PRIORITY_BACKGROUND INT16_MIN

/* The queue of the main thread; its work runs once the main thread has called dispatch_main. */
dispatch_queue_main_t dispatch_get_main_queue(void);
/* The queue of a qos_class_t or of one of the priorities above. Null if there is none, or a flag is unknown: pass 0. */
dispatch_queue_global_t dispatch_get_global_queue(intptr_t identifier, uintptr_t flags);

#define DISPATCH_CURRENT_QUEUE_LABEL ((dispatch_queue_t)0)

/* The label of a queue, which stays where it is. With DISPATCH_CURRENT_QUEUE_LABEL that of the queue whose work the caller
 * is, or null. */
const char *dispatch_queue_get_label(dispatch_queue_t queue);
/* The class that the queue was given, and its relative priority, unless that pointer is null. */
qos_class_t dispatch_queue_get_qos_class(dispatch_queue_t queue, int *relative_priority);

/* Run work later. A barrier runs alone on a concurrent queue. */
void dispatch_async_f(dispatch_queue_t queue, void *context, dispatch_function_t work);
void dispatch_barrier_async_f(dispatch_queue_t queue, void *context, dispatch_function_t work);
/* Run work, and return when it has ended. A queue that waits for itself is an error. */
void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work);
void dispatch_barrier_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work);
void dispatch_async_and_wait_f(dispatch_queue_t queue, void *context, dispatch_function_t work);
/* Runs work at a time. */
void dispatch_after_f(dispatch_time_t when, dispatch_queue_t queue, void *context, dispatch_function_t work);

#define DISPATCH_APPLY_AUTO ((dispatch_queue_t)0)

/* Calls work with 0, 1 and so on, on several threads if the queue is concurrent, and returns when all calls have. */
void dispatch_apply_f(size_t iterations, dispatch_queue_t queue, void *context,
                      void (*work)(void *context, size_t iteration));

/* Gives the main thread up. */
__attribute__((noreturn)) void dispatch_main(void);

/* --- Groups, semaphores, work that is done once ------------------------------------------------------------------ */

dispatch_group_t dispatch_group_create(void);
/* Count a thing that is not done yet, and one that is. To leave more often than to enter is an error. */
void dispatch_group_enter(dispatch_group_t group);
void dispatch_group_leave(dispatch_group_t group);
/* Runs work later, as a thing of the group. */
void dispatch_group_async_f(dispatch_group_t group, dispatch_queue_t queue, void *context, dispatch_function_t work);
/* Runs work later, as soon as nothing is left to do. */
void dispatch_group_notify_f(dispatch_group_t group, dispatch_queue_t queue, void *context, dispatch_function_t work);
/* Waits until nothing is left to do. Returns 0, or another number if the time came first. */
intptr_t dispatch_group_wait(dispatch_group_t group, dispatch_time_t timeout);

/* Returns null if the value is less than 0. */
dispatch_semaphore_t dispatch_semaphore_create(intptr_t value);
/* Returns 0 if no thread was waiting. */
intptr_t dispatch_semaphore_signal(dispatch_semaphore_t semaphore);
/* Returns 0, or another number if the time came first. */
intptr_t dispatch_semaphore_wait(dispatch_semaphore_t semaphore, dispatch_time_t timeout);

/* A static variable that is 0. */
typedef intptr_t dispatch_once_t;

/* Calls the function unless an earlier call with this variable did, and returns when it has ended. */
void dispatch_once_f(dispatch_once_t *predicate, void *context, dispatch_function_t function);

/* --- Sources ----------------------------------------------------------------------------------------------------- */

/* Messages wait at a receive right: the handle is its name. The handler receives them. */
#define DISPATCH_SOURCE_TYPE_MACH_RECV ((dispatch_source_type_t)1)
/* A time has come. The handle and the mask are 0. */
#define DISPATCH_SOURCE_TYPE_TIMER ((dispatch_source_type_t)2)

/* Makes a source, which dispatch_activate or dispatch_resume lets begin. Its handlers run on the queue with the queue's
 * class and without voucher. Returns null if the handle does not fit the type. A Mach source that has begun must be
 * cancelled before its last reference goes; a timer ends with it. */
dispatch_source_t dispatch_source_create(dispatch_source_type_t type, uintptr_t handle, uintptr_t mask,
                                         dispatch_queue_t queue);
/* Handlers get the context of the source. That for the end runs after all others, when the port is not used any more. */
void dispatch_source_set_event_handler_f(dispatch_source_t source, dispatch_function_t handler);
void dispatch_source_set_cancel_handler_f(dispatch_source_t source, dispatch_function_t handler);
/* When a timer fires: at a time, and then after each interval, in nanoseconds, unless it is DISPATCH_TIME_FOREVER. Tally's
 * timers are as exact as they can be whatever the leeway. */
void dispatch_source_set_timer(dispatch_source_t source, dispatch_time_t start, uint64_t interval, uint64_t leeway);
/* Ends the source. */
void dispatch_source_cancel(dispatch_source_t source);
intptr_t dispatch_source_testcancel(dispatch_source_t source);
uintptr_t dispatch_source_get_handle(dispatch_source_t source);
uintptr_t dispatch_source_get_mask(dispatch_source_t source);
/* How often a timer has fired since its handler was called before. */
uintptr_t dispatch_source_get_data(dispatch_source_t source);

#endif
