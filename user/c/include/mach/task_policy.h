/* Policies of tasks (docs/spec/importance.md 2 and 9.1). */
#ifndef MACH_TASK_POLICY_H
#define MACH_TASK_POLICY_H

#include <mach/vm_types.h>
#include <stdint.h>

typedef natural_t task_policy_flavor_t;
typedef integer_t *task_policy_t;

#define TASK_CATEGORY_POLICY 1
#define TASK_SUPPRESSION_POLICY 3
#define TASK_POLICY_STATE 4

/* The role of a task: flavor 1. */
enum task_role {
    TASK_UNSPECIFIED = 0,
    TASK_FOREGROUND_APPLICATION = 1,
    TASK_BACKGROUND_APPLICATION = 2,
    TASK_CONTROL_APPLICATION = 3,
    TASK_GRAPHICS_SERVER = 4,
    TASK_THROTTLE_APPLICATION = 5,
    TASK_NONUI_APPLICATION = 6,
    TASK_DEFAULT_APPLICATION = 7,
    TASK_DARWINBG_APPLICATION = 8,
};
typedef integer_t task_role_t;

struct task_category_policy {
    task_role_t role;
};
typedef struct task_category_policy task_category_policy_data_t;
typedef struct task_category_policy *task_category_policy_t;

#define TASK_CATEGORY_POLICY_COUNT ((natural_t)(sizeof(task_category_policy_data_t) / sizeof(integer_t)))

/* App Nap: flavor 3. */
struct task_suppression_policy {
    integer_t active;
    integer_t lowpri_cpu;
    integer_t timer_throttle; /* latency tier: 0, or 0xFF0001 to 0xFF0006 */
    integer_t disk_throttle;
    integer_t cpu_limit; /* ignored */
    integer_t suspend;   /* ignored */
    integer_t throughput_qos; /* throughput tier: 0, or 0xFE0001 to 0xFE0006 */
    integer_t suppressed_cpu;
    integer_t background_sockets;
    integer_t reserved[7];
};
typedef struct task_suppression_policy task_suppression_policy_data_t;
typedef struct task_suppression_policy *task_suppression_policy_t;

#define TASK_SUPPRESSION_POLICY_COUNT ((natural_t)(sizeof(task_suppression_policy_data_t) / sizeof(integer_t)))

/* Importance: flavor 4, which cannot be set. */
struct task_policy_state {
    uint64_t requested;      /* 0 */
    uint64_t effective;      /* 0 */
    uint64_t pending;        /* 0 */
    uint32_t imp_assertcnt;  /* boosts */
    uint32_t imp_externcnt;  /* boosts of received messages */
    uint64_t flags;
    uint64_t imp_transitions; /* how often the task was boosted */
    uint64_t reserved[2];
};
typedef struct task_policy_state task_policy_state_data_t;
typedef struct task_policy_state *task_policy_state_t;

#define TASK_POLICY_STATE_COUNT ((natural_t)(sizeof(task_policy_state_data_t) / sizeof(integer_t)))

#define TASK_IMP_RECEIVER 0x00000001
#define TASK_IMP_DONOR 0x00000002
#define TASK_IMP_LIVE_DONOR 0x00000004
#define TASK_DENAP_RECEIVER 0x00000008

#endif
