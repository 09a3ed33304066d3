/* What Tally adds to Mach: tasks, threads, the Unix subset, diagnosis. Includes all of <mach/mach.h>.
 *
 * Functions that make a trap of the Unix class return minus the error number when they fail. */
#ifndef TALLY_H
#define TALLY_H

#include <mach/mach.h>
#include <servers/bootstrap.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Tasks ------------------------------------------------------------------------------------------------------- */

/* The arguments of task_spawn: docs/abi.md, "Starting tasks". */
struct task_spawn_args {
    uint64_t image;
    uint64_t image_size;
    uint64_t arguments;
    uint64_t arguments_size;
    uint64_t environment;
    uint64_t environment_size;
    uint32_t image_kind;
    uint32_t app_type;
    uint32_t role; /* enum task_role */
    uint32_t qos_clamp;
    uint32_t uid;
    uint32_t gid;
    mach_port_name_t bootstrap_port;
    mach_port_name_t exit_port;
    uint32_t exit_disposition;
    uint32_t persona;
    uint32_t properties;
    uint32_t watch_port_count;
    uint64_t watch_ports;
    uint32_t system_persona;
    uint32_t system_proxy_persona;
    uint64_t kernel_bytes; /* 0: the usual share of the caller's budget */
    uint64_t pages; /* likewise */
    uint64_t coalition;
};

/* image_kind */
#define SPAWN_IMAGE_NAME 0
#define SPAWN_IMAGE_BYTES 1
/* uid and gid: those of the caller */
#define SPAWN_INHERIT 0xFFFFFFFFu
#define PERSONA_ID_NONE 0xFFFFFFFFu
/* coalition: the task shares the turns of the caller, or has its own, which only user 0 can give */
#define SPAWN_COALITION_PARENT 0
#define SPAWN_COALITION_OWN 1
/* kernel_bytes and pages: plus a number of parts, of which 256 are all that the caller has left */
#define SPAWN_SHARE_OF (1ull << 63)

/* app_type */
#define APP_TYPE_INHERIT 0
#define APP_TYPE_DAEMON_INTERACTIVE 1
#define APP_TYPE_DAEMON_STANDARD 2
#define APP_TYPE_DAEMON_ADAPTIVE 3
#define APP_TYPE_DAEMON_BACKGROUND 4
#define APP_TYPE_APP_DEFAULT 5
#define APP_TYPE_APP_TAL 6
#define APP_TYPE_DRIVER 7

/* qos_clamp, and the classes of threads */
#define QOS_UNSPECIFIED 0
#define QOS_MAINTENANCE 1
#define QOS_BACKGROUND 2
#define QOS_UTILITY 3
#define QOS_LEGACY 4
#define QOS_USER_INITIATED 5
#define QOS_USER_INTERACTIVE 6

/* The pthread_priority_t of a class, and of none. */
#define QOS_PRIORITY(class) ((class) == 0 ? 0u : 1u << (7 + (class)) | 0xFFu)

/* The trap itself. */
kern_return_t task_spawn(const struct task_spawn_args *args, size_t size, task_t *task);

/* Starts a program of the bundle: argv[0] is its name there, and a null pointer ends argv. A program finds its own name
 * in its argv[0]. `settings` gives type, role and the like; of it image, arguments and exit port do not count, and null
 * means those of the caller. `exit_port` is a receive right for the exit message, or null. */
kern_return_t spawn_program(const char *const argv[], const struct task_spawn_args *settings,
                            mach_port_t exit_port, task_t *task);
/* Settings that change nothing, to be changed further. */
#define SPAWN_SETTINGS ((struct task_spawn_args){.uid = SPAWN_INHERIT, .gid = SPAWN_INHERIT})

/* The message that the kernel sends when a task has ended. */
#define EXIT_MESSAGE_ID 5001

#pragma pack(push, 4)
struct exit_message {
    mach_msg_header_t header;
    NDR_record_t ndr;
    uint32_t status; /* docs/abi.md, "How tasks end" */
};
#pragma pack(pop)

/* Waits for an exit message and reads its status. */
kern_return_t wait_for_exit(mach_port_t exit_port, uint32_t *status);

/* --- Threads ----------------------------------------------------------------------------------------------------- */

/* Starts a thread that calls `function` on a stack of 64 KiB and ends when it returns. `thread` may be null. */
kern_return_t thread_start(void (*function)(void *), void *argument, thread_act_t *thread);
/* Ends the thread that calls it. When the last one has ended, the task ends with status 0. */
__attribute__((noreturn)) void thread_exit(void);

/* The trap that thread_start uses: entry, stack pointer and argument are those of the new thread. */
kern_return_t tally_thread_create(task_t task, uint64_t entry, uint64_t stack, uint64_t argument, uint32_t flags,
                                  thread_act_t *thread);
#define THREAD_CREATE_SUSPENDED 1
/* The class bits of a priority: the class that the thread requests. */
#define THREAD_CREATE_CLASS 0x3F00

/* Sets the class of a thread of the caller's task that waits in ulock_wait. */
kern_return_t thread_set_qos(thread_act_t thread, uint32_t priority);
/* Makes a thread serve a port or set, so that those that wait for it push the thread. */
kern_return_t port_bind_servicer(mach_port_name_t port, thread_act_t thread);
/* Sets the base of fs and gs. */
kern_return_t set_thread_base(uint64_t base);

/* Wait on a word as long as it holds `value`, and wake such threads of this task. */
#define UL_COMPARE_AND_WAIT 1
#define ULF_WAKE_ALL 0x100
long ulock_wait(uint32_t operation, uint32_t *address, uint64_t value, uint32_t microseconds);
long ulock_wake(uint32_t operation, uint32_t *address);

/* --- The Unix subset --------------------------------------------------------------------------------------------- */

#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EBADF 9
#define ENOMEM 12
#define EFAULT 14
#define EINVAL 22
#define ENOTSUP 45
#define ETIMEDOUT 60
#define ENOSYS 78
#define EOVERFLOW 84
#define EBADMSG 94

/* Writes at most 1024 bytes to the console and returns how many. */
long read(int descriptor, void *bytes, size_t size);
long write(int descriptor, const void *bytes, size_t size);
long getpid(void);
/* The number of the thread, which is never given twice. */
long thread_selfid(void);

#define PRIO_DARWIN_PROCESS 4
#define PRIO_DARWIN_ROLE 6
#define PRIO_DARWIN_BG 0x1000
#define PRIO_DARWIN_NONUI 0x1001
long setpriority(int which, uint32_t pid, int value);

#define PROC_POLICY_SCOPE_PROCESS 1
#define PROC_POLICY_ACTION_SET 10
#define PROC_POLICY_BOOST 7
#define PROC_POLICY_IMP_DONATION 3
long process_policy(int scope, int action, int policy, int subtype, void *ignored, int pid, uint64_t ignored_too);

struct proc_uniqidentifierinfo {
    uint8_t p_uuid[16];
    uint64_t p_uniqueid;
    uint64_t p_puniqueid;
    int32_t p_idversion;
    int32_t p_orig_ppidversion;
    uint64_t p_reserve2[2];
};
#define PROC_INFO_CALL_PIDINFO 2
#define PROC_PIDUNIQIDENTIFIERINFO 17
long proc_info(int call, int pid, uint32_t flavor, uint64_t ignored, void *buffer, int size);

#define BSDTHREAD_CTL_QOS_OVERRIDE_START 0x40
#define BSDTHREAD_CTL_QOS_OVERRIDE_END 0x80
#define BSDTHREAD_CTL_SET_SELF 0x100
#define BSDTHREAD_CTL_QOS_OVERRIDE_RESET 0x200
#define BSDTHREAD_CTL_QOS_OVERRIDE_DISPATCH 0x400
#define SET_SELF_QOS 1
#define SET_SELF_VOUCHER 2
#define SET_SELF_FIXED_PRIORITY 4
#define SET_SELF_TIMESHARE 8
long bsdthread_ctl(uint64_t command, uint64_t first, uint64_t second, uint64_t third);

#define PERSONA_OP_GET 4
long persona(uint32_t operation, uint32_t flags, void *info, uint32_t *id);

/* --- Diagnosis --------------------------------------------------------------------------------------------------- */

#define DEBUG_COUNTS 1
#define DEBUG_THREAD 2

/* Objects in the whole system. */
struct tally_counts {
    uint64_t tasks, threads, ports, port_sets, names, send_rights, send_once_rights, messages, regions, free_frames,
        vouchers;
};

/* The scheduler's record of a thread. */
struct tally_thread_info {
    uint32_t requested; /* as a pthread_priority_t */
    uint32_t effective; /* likewise */
    uint32_t base_priority;
    uint32_t scheduled_priority;
    uint32_t set_self_calls;
    uint32_t io_tier;
    uint32_t latency_qos;
    uint32_t throughput_qos;
    uint64_t voucher;  /* the adopted one: a number, or 0 */
    uint64_t run_time; /* in ns */
    uint64_t energy;   /* in nJ */
};

/* Kind 6 for user 0: the longest step of the kernel, measured while the name was 1 (docs/abi.md). */
kern_return_t debug_state(uint32_t kind, mach_port_name_t name, void *buffer, size_t size);

/* Records of the kernel's objects, and of events, for user 0: docs/abi.md, "Looking into the kernel". */
kern_return_t inspect(uint32_t kind, uint32_t version, uint64_t argument, void *cursor, void *buffer, size_t size);
long trace_control(uint32_t operation, uint32_t version, void *buffer, size_t size);
long trace_note(uint64_t note, uint64_t object, uint64_t a, uint64_t b, mach_port_name_t voucher);
uint32_t cpu_count(void);

/* Ends the program with a message if a call failed: CHECK(mach_port_allocate(...)). */
#define CHECK(call) check_call((call), #call, __FILE__, __LINE__)
void check_call(kern_return_t code, const char *call, const char *file, int line);

#endif
