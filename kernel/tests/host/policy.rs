//! The policy of tasks: types, roles, App Nap, background, the calls that set them, and who the task is (importance 2).

use crate::message::Msg;
use crate::program::spawn_args;
use crate::unix::call;
use crate::world::{ARGUMENTS, Actor, World};
use abi::PortName;
use abi::code::*;
use abi::mig::task as mig;
use abi::policy::*;
use abi::qos::{AppType, Role};
use abi::task::*;
use abi::trap::unix::*;
use kernel::machine::USER_END;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// The words of App Nap that lowers all threads to the lowest priority, "nap" in the examples of the specification.
const NAP: SuppressionPolicy = SuppressionPolicy { active: 1, lowpri_cpu: 1, ..NO_NAP };
const NO_NAP: SuppressionPolicy = SuppressionPolicy {
    active: 0,
    lowpri_cpu: 0,
    timer_throttle: 0,
    disk_throttle: 0,
    cpu_limit: 0,
    suspend: 0,
    throughput_qos: 0,
    suppressed_cpu: 0,
    background_sockets: 0,
    reserved: [0; 7],
};

/// A number that is no pid.
const NO_PID: u64 = 1_000_000;

/// Returns the base priority of an actor's thread.
fn base(w: &World, a: Actor) -> u8 {
    w.kernel.sched[a.thread].schedule().base
}

fn pid(w: &World, a: Actor) -> u64 {
    w.kernel.tasks[a.task].credentials.pid.into()
}

/// Calls `task_policy_set` for a task of which the caller has the port `to`.
fn set_policy(w: &mut World, a: Actor, to: PortName, flavor: u32, words: &[u32]) -> Result<(), KernReturn> {
    let request = [&[flavor, words.len() as u32], words].concat();
    w.mig(a, to, mig::POLICY_SET, &request).map(|results| assert!(results.is_empty()))
}

/// Calls `task_policy_get` and returns the words of the policy.
fn get_policy(
    w: &mut World,
    a: Actor,
    to: PortName,
    flavor: u32,
    count: u32,
    default: u32,
) -> Result<Vec<u32>, KernReturn> {
    let reply = w.mig(a, to, mig::POLICY_GET, &[flavor, count, default])?;
    assert_eq!((reply[0], reply.len(), *reply.last().unwrap()), (count, count as usize + 2, default));
    Ok(reply[1..=count as usize].to_vec())
}

/// Sets App Nap from outside, as the task's parent does.
fn nap(w: &mut World, a: Actor, policy: SuppressionPolicy) {
    let words = <[u32; 16]>::read_from_bytes(policy.as_bytes()).unwrap();
    set_policy(w, w.init, a.task_port, TASK_SUPPRESSION_POLICY, &words).unwrap();
}

/// Returns the state of a task's importance, as its parent sees it.
fn state(w: &mut World, a: Actor) -> PolicyState {
    let words = get_policy(w, w.init, a.task_port, TASK_POLICY_STATE, 16, 0).unwrap();
    PolicyState::read_from_bytes(words.as_bytes()).unwrap()
}

/// Spawns a child of `parent` without a type of its own.
fn child_of(w: &mut World, parent: Actor) -> Actor {
    let (mut child, task_port) = w.spawn(parent, spawn_args()).unwrap();
    // The parent hands the right to its child's port to init.
    w.send(parent, &Msg::copy_send(parent.to_init).port(task_port, abi::port::Disposition::COPY_SEND)).unwrap();
    child.task_port = w.poll(w.init, w.init.inbox).unwrap().descriptor(0).name;
    child
}

// covers importance E1
#[test]
fn each_type_starts_with_its_priority_and_its_marks() {
    let mut w = World::new();
    let rows = [
        (AppType::AppDefault, Role::Foreground, 47, 0xE, 1),
        (AppType::DaemonAdaptive, Role::Unspecified, 4, 0x1, 0),
        (AppType::DaemonStandard, Role::Unspecified, 31, 0x2, 1),
        (AppType::DaemonInteractive, Role::Unspecified, 31, 0x2, 1),
        (AppType::DaemonBackground, Role::Unspecified, 4, 0, 0),
        (AppType::None, Role::Unspecified, 31, 0, 0),
    ];
    for (app_type, role, priority, flags, transitions) in rows {
        let a = w.task_of(app_type, role);
        assert_eq!(base(&w, a), priority, "{app_type:?}");
        let PolicyState { imp_assertcnt, imp_externcnt, imp_transitions, .. } = state(&mut w, a);
        assert_eq!((imp_assertcnt, imp_externcnt, imp_transitions), (0, 0, transitions), "{app_type:?}");
        assert_eq!(state(&mut w, a).flags, flags, "{app_type:?}");
    }
}

// covers importance E83
#[test]
fn the_child_of_a_boosted_adaptive_daemon_is_an_interactive_one() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (_, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    let child = child_of(&mut w, b);
    assert_eq!(w.kernel.tasks[child.task].policy.app_type, AppType::DaemonInteractive);
    assert_eq!((base(&w, child), state(&mut w, child).flags), (31, TASK_IMP_DONOR));
    assert_eq!((w.boosts(child), w.is_donor(child)), ((0, (0, 0), 31), true));
    assert_eq!((base(&w, b), state(&mut w, b).flags), (31, TASK_IMP_RECEIVER), "the parent is unchanged");
    assert_eq!((w.boosts(b), w.transitions(b)), ((1, (0, 0), 31), 1));
}

// covers importance E84
#[test]
fn the_child_of_an_unboosted_adaptive_daemon_is_a_background_one() {
    let mut w = World::new();
    let b = w.task_of(AppType::DaemonAdaptive, Role::Unspecified);
    let child = child_of(&mut w, b);
    assert_eq!(w.kernel.tasks[child.task].policy.app_type, AppType::DaemonBackground);
    assert_eq!((base(&w, child), state(&mut w, child).flags), (4, 0), "without any mark it never is a donor");
}

// covers importance E85
#[test]
fn the_child_of_an_application_is_one_without_a_role() {
    let mut w = World::new();
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    let child = child_of(&mut w, a);
    let policy = &w.kernel.tasks[child.task].policy;
    assert_eq!((policy.app_type, policy.role), (AppType::AppDefault, Role::Unspecified));
    let flags = TASK_IMP_LIVE_DONOR | TASK_DENAP_RECEIVER | TASK_IMP_DONOR;
    assert_eq!((base(&w, child), state(&mut w, child).flags), (31, flags));
}

#[test]
fn setpriority_gives_an_application_a_role_with_its_priority_and_its_donor_mark() {
    const DONOR: u64 = 0xE;
    const NO_DONOR: u64 = 0xC;
    let mut w = World::new();
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    let rows = [
        (0, Role::Unspecified, 31, DONOR),
        (1, Role::Foreground, 47, DONOR),
        (2, Role::Default, 46, DONOR),
        (3, Role::NonUi, 31, DONOR),
        (4, Role::Background, 46, DONOR),
        (5, Role::Throttle, 4, DONOR),
        (6, Role::DarwinBg, 4, NO_DONOR),
    ];
    for who in [0, pid(&w, a)] {
        for (number, role, priority, flags) in rows {
            assert_eq!(call(&mut w, a, SETPRIORITY, &[PRIO_DARWIN_ROLE.into(), who, number]), Ok(0));
            let words = get_policy(&mut w, a, a.self_port, TASK_CATEGORY_POLICY, 1, 0);
            assert_eq!(words, Ok(vec![role as u32]));
            assert_eq!((base(&w, a), state(&mut w, a).flags), (priority, flags), "{role:?}");
        }
    }
    assert_eq!(
        state(&mut w, a).imp_transitions,
        2,
        "the mark is set at the start and after the role darwin background"
    );
}

#[test]
fn only_a_background_that_others_choose_takes_the_donor_mark_from_an_application() {
    let mut w = World::new();
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    let init = w.init;
    let set = |w: &mut World, by: Actor, who: u64, value: u32| {
        assert_eq!(call(w, by, SETPRIORITY, &[PRIO_DARWIN_PROCESS.into(), who, value.into()]), Ok(0));
        (base(w, a), state(w, a).flags & TASK_IMP_DONOR != 0)
    };
    let number = pid(&w, a);
    assert_eq!(set(&mut w, a, 0, PRIO_DARWIN_BG), (4, true));
    assert_eq!(set(&mut w, init, number, 0), (4, true), "the two backgrounds are apart");
    assert_eq!(set(&mut w, a, number, 0), (47, true));
    assert_eq!(set(&mut w, init, number, PRIO_DARWIN_BG), (4, false));
    assert_eq!(set(&mut w, a, 0, 0), (4, false));
    assert_eq!(set(&mut w, init, number, PRIO_DARWIN_NONUI), (4, false), "this value has no effect");
    assert_eq!(set(&mut w, init, number, 0), (47, true));
}

#[test]
fn setpriority_refuses_unknown_tasks_users_roles_and_what_is_no_application() {
    let mut w = World::new();
    let app = w.task_of(AppType::AppDefault, Role::Foreground);
    let daemon = w.task_of(AppType::DaemonStandard, Role::Unspecified);
    let (user, _) = w.spawn(w.init, TaskSpawnArgs { uid: 1000, ..spawn_args() }).unwrap();
    let (same, _) = w.spawn(w.init, TaskSpawnArgs { uid: 1000, app_type: 5, ..spawn_args() }).unwrap();
    let [process, role] = [PRIO_DARWIN_PROCESS, PRIO_DARWIN_ROLE].map(u64::from);
    let (app_pid, daemon_pid, same_pid) = (pid(&w, app), pid(&w, daemon), pid(&w, same));
    let rows = [
        (app, [0, 0, 0], Err(EINVAL)),
        (app, [3, 0, 0], Err(EINVAL)),
        (app, [5, 0, 0], Err(EINVAL)),
        (app, [7, NO_PID, 0], Err(EINVAL)),
        (app, [process, NO_PID, 0], Err(ESRCH)),
        (app, [role, NO_PID, 77], Err(ESRCH)),
        (user, [process, app_pid, 0], Err(EPERM)),
        (user, [role, daemon_pid, 77], Err(EPERM)),
        (user, [role, same_pid, 1], Ok(0)),
        (user, [process, same_pid, PRIO_DARWIN_BG.into()], Ok(0)),
        (app, [role, daemon_pid, 77], Err(ENOTSUP)),
        (daemon, [role, 0, 1], Err(ENOTSUP)),
        (daemon, [role, app_pid, 7], Err(EINVAL)),
        (daemon, [role, app_pid, u64::MAX], Err(EINVAL)),
        (daemon, [role, app_pid, 1], Ok(0)),
    ];
    for (caller, args, result) in rows {
        assert_eq!(call(&mut w, caller, SETPRIORITY, &args), result, "{args:?}");
    }
    w.exit(same.task);
    assert_eq!(call(&mut w, user, SETPRIORITY, &[process, same_pid, 0]), Err(ESRCH), "a task that has ended");
}

// covers importance E66
#[test]
fn a_nap_that_lowers_the_processor_is_lifted_by_a_boost() {
    let mut w = World::new();
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    nap(&mut w, a, SuppressionPolicy { active: 1, suppressed_cpu: 1, ..NO_NAP });
    assert_eq!(base(&w, a), 28);
    let s = w.standard();
    let (_, to_a) = w.donation_path(s, a);
    w.ping(s, to_a);
    assert_eq!(w.boosts(a), (1, (0, 0), 47));
}

#[test]
fn a_napping_application_is_no_donor_and_each_end_of_a_nap_is_a_transition() {
    let mut w = World::new();
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    for transitions in 2..5 {
        nap(&mut w, a, NAP);
        assert_eq!((base(&w, a), state(&mut w, a).flags), (4, 0xC));
        nap(&mut w, a, NO_NAP);
        assert_eq!((base(&w, a), state(&mut w, a).flags), (47, 0xE));
        assert_eq!(state(&mut w, a).imp_transitions, transitions);
    }
}

#[test]
fn all_words_of_app_nap_are_kept_and_their_tiers_are_in_effect() {
    let mut w = World::new();
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    let asked = SuppressionPolicy {
        active: 7,
        lowpri_cpu: 1,
        suppressed_cpu: 1,
        disk_throttle: 1,
        timer_throttle: LATENCY_QOS_TIER_0 + 5,
        throughput_qos: THROUGHPUT_QOS_TIER_0 + 4,
        cpu_limit: 50,
        suspend: 1,
        background_sockets: 1,
        reserved: [9; 7],
    };
    nap(&mut w, a, asked);
    let kept = SuppressionPolicy { active: 1, cpu_limit: 0, suspend: 0, reserved: [0; 7], ..asked };
    let words = get_policy(&mut w, a, a.self_port, TASK_SUPPRESSION_POLICY, 16, 0).unwrap();
    assert_eq!(SuppressionPolicy::read_from_bytes(words.as_bytes()), Ok(kept));
    let task = w.kernel.tasks[a.task].policy.effective();
    let tiers = w.kernel.sched[a.thread].policy().effective(&task).tiers;
    assert_eq!((tiers.io, tiers.latency, tiers.throughput), (2, 6, 5));
    let default = get_policy(&mut w, a, a.self_port, TASK_SUPPRESSION_POLICY, 16, 1);
    assert_eq!(default, Ok(vec![0; 16]));
}

#[test]
fn a_policy_with_a_wrong_flavor_count_or_tier_is_refused_and_changes_nothing() {
    let mut w = World::new();
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    let me = a.self_port;
    let before = w.kernel.tasks[a.task].policy;
    let with = |at: usize, word: u32| {
        let mut words = [1; 16];
        (words[2], words[6]) = (0, 0);
        words[at] = word;
        words
    };
    for flavor in [0, 2, TASK_POLICY_STATE, 5, 8, u32::MAX] {
        assert_eq!(set_policy(&mut w, a, me, flavor, &with(0, 0)), Err(KERN_INVALID_ARGUMENT), "{flavor}");
    }
    assert_eq!(set_policy(&mut w, a, me, TASK_CATEGORY_POLICY, &[]), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(set_policy(&mut w, a, me, TASK_SUPPRESSION_POLICY, &[1; 15]), Err(KERN_INVALID_ARGUMENT));
    for (at, tier) in [
        (2, 1),
        (2, LATENCY_QOS_TIER_0 - 1),
        (2, LATENCY_QOS_TIER_0 + 6),
        (2, THROUGHPUT_QOS_TIER_0),
        (6, LATENCY_QOS_TIER_0),
        (6, THROUGHPUT_QOS_TIER_0 + 6),
    ] {
        let set = set_policy(&mut w, a, me, TASK_SUPPRESSION_POLICY, &with(at, tier));
        assert_eq!(set, Err(KERN_INVALID_ARGUMENT), "{tier:#x}");
    }
    for words in [vec![], vec![1], vec![1, 2, 1], vec![3, 15, 0, 0], [&[3, 17], &[0; 17][..]].concat()] {
        assert_eq!(w.mig(a, me, mig::POLICY_SET, &words), Err(MIG_BAD_ARGUMENTS), "{words:?}");
    }
    assert_eq!(w.kernel.tasks[a.task].policy, before);
    for (flavor, count, code) in [
        (0, 16, KERN_INVALID_ARGUMENT),
        (2, 16, KERN_INVALID_ARGUMENT),
        (TASK_CATEGORY_POLICY, 0, KERN_INVALID_ARGUMENT),
        (TASK_SUPPRESSION_POLICY, 15, KERN_INVALID_ARGUMENT),
        (TASK_POLICY_STATE, 15, KERN_INVALID_ARGUMENT),
    ] {
        assert_eq!(w.mig(a, me, mig::POLICY_GET, &[flavor, count, 0]), Err(code), "{flavor}");
    }
    assert_eq!(w.mig(a, me, mig::POLICY_GET, &[1, 1]), Err(MIG_BAD_ARGUMENTS));
    let host = w.trap(a, abi::trap::mach::HOST_SELF, &[]).name();
    for (id, words) in [(mig::POLICY_SET, &[1, 1, 1][..]), (mig::POLICY_GET, &[1, 1, 0])] {
        assert_eq!(w.mig(a, host, id, words), Err(KERN_INVALID_ARGUMENT), "the port is no task's");
    }
}

#[test]
fn an_answer_has_at_most_sixteen_words_and_zeros_behind_the_policy() {
    let mut w = World::new();
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    let role = Role::Foreground as u32;
    assert_eq!(get_policy(&mut w, a, a.self_port, TASK_CATEGORY_POLICY, 3, 0), Ok(vec![role, 0, 0]));
    let reply = w.mig(a, a.self_port, mig::POLICY_GET, &[TASK_CATEGORY_POLICY, u32::MAX, 0]).unwrap();
    assert_eq!(reply, [&[16, role][..], &[0; 16]].concat());
    assert_eq!(get_policy(&mut w, a, a.self_port, TASK_CATEGORY_POLICY, 1, 1), Ok(vec![0]), "the default");
}

#[test]
fn the_state_of_importance_is_for_user_0_alone() {
    let mut w = World::new();
    let (user, _) = w.spawn(w.init, TaskSpawnArgs { uid: 1000, app_type: 5, ..spawn_args() }).unwrap();
    for default in [0, 1] {
        let refused = get_policy(&mut w, user, user.self_port, TASK_POLICY_STATE, 16, default);
        assert_eq!(refused, Err(KERN_PROTECTION_FAILURE));
    }
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    assert_eq!(get_policy(&mut w, a, a.self_port, TASK_POLICY_STATE, 16, 1), Ok(vec![0; 16]));
    let words = get_policy(&mut w, a, a.self_port, TASK_POLICY_STATE, 16, 0).unwrap();
    let (flags, transitions) = (8, 10);
    assert_eq!((words[flags], words[transitions]), (0xE, 1), "flags at offset 32 and transitions at offset 40");
}

#[test]
fn a_task_marks_itself_as_a_donor() {
    let mut w = World::new();
    let b = w.task_of(AppType::DaemonAdaptive, Role::Unspecified);
    let mark = |w: &mut World, args: [u32; 4], pid: u64| {
        let [scope, action, policy, subtype] = args.map(u64::from);
        call(w, b, PROCESS_POLICY, &[scope, action, policy, subtype, 0, pid])
    };
    let set = [1, PROC_POLICY_ACTION_SET, PROC_POLICY_BOOST, PROC_POLICY_IMP_DONATION];
    let (own, other) = (pid(&w, b), pid(&w, w.init));
    for (args, pid, errno) in [
        ([0, 10, 7, 3], NO_PID, EINVAL),
        ([3, 10, 7, 3], 0, EINVAL),
        (set, NO_PID, ESRCH),
        (set, other, EINVAL),
        ([2, 10, 7, 3], 0, EINVAL),
        ([1, 10, 0, 3], 0, EINVAL),
        ([1, 10, 5, 0], 0, EINVAL),
        ([1, 10, 8, 3], 0, EINVAL),
        ([1, 11, 7, 3], 0, EINVAL),
        ([1, 10, 7, 0], 0, EINVAL),
        ([1, 10, 7, 2], 0, EINVAL),
        ([1, 10, 7, 1], 0, EINVAL),
        ([1, 10, 1, 0], 0, ENOTSUP),
        ([1, 10, 2, 0], 0, ENOTSUP),
        ([2, 10, 3, 0], 0, ENOTSUP),
        ([1, 10, 4, 0], 0, ENOTSUP),
        ([1, PROC_POLICY_ACTION_HOLD, 7, PROC_POLICY_IMP_IMPORTANT], 0, ENOTSUP),
        ([1, PROC_POLICY_ACTION_DROP, 7, PROC_POLICY_IMP_IMPORTANT], 0, EOVERFLOW),
    ] {
        assert_eq!(mark(&mut w, args, pid), Err(errno), "{args:?}");
    }
    assert_eq!(state(&mut w, b).flags, TASK_IMP_RECEIVER);
    for _ in 0..2 {
        assert_eq!(mark(&mut w, set, own), Ok(0));
        assert_eq!((state(&mut w, b).flags, state(&mut w, b).imp_transitions), (TASK_IMP_RECEIVER | TASK_IMP_DONOR, 1));
    }
    assert_eq!(base(&w, b), 4, "the mark changes no priority");
    let g = w.task_of(AppType::DaemonBackground, Role::Unspecified);
    let hold = [1, PROC_POLICY_ACTION_HOLD, PROC_POLICY_BOOST, PROC_POLICY_IMP_IMPORTANT].map(u64::from);
    assert_eq!(call(&mut w, g, PROCESS_POLICY, &hold), Err(EINVAL), "this task cannot be boosted");
}

#[test]
fn the_donor_mark_of_an_application_follows_its_policy_again_after_the_next_change() {
    let mut w = World::new();
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    nap(&mut w, a, NAP);
    let set = [1, PROC_POLICY_ACTION_SET, PROC_POLICY_BOOST, PROC_POLICY_IMP_DONATION].map(u64::from);
    assert_eq!(call(&mut w, a, PROCESS_POLICY, &set), Ok(0));
    assert_eq!(state(&mut w, a).flags, 0xE);
    nap(&mut w, a, NO_NAP);
    nap(&mut w, a, NAP);
    assert_eq!(state(&mut w, a).flags, 0xC);
}

#[test]
fn proc_info_returns_the_unique_numbers_of_a_task_and_its_parent() {
    let mut w = World::new();
    let a = w.task();
    let (child, _) = w.spawn(a, spawn_args()).unwrap();
    let size = size_of::<ProcUniqueIdentifierInfo>() as u64;
    assert_eq!(size, 56);
    let at = a.memory + ARGUMENTS;
    let (number, parent) = (pid(&w, child), pid(&w, a));
    assert_eq!(call(&mut w, a, PROC_INFO, &[2, number, 17, 99, at, size]), Ok(size));
    let info = ProcUniqueIdentifierInfo::read_from_bytes(&w.get(a, ARGUMENTS, size as usize)).unwrap();
    let expected = ProcUniqueIdentifierInfo {
        p_uniqueid: number,
        p_puniqueid: parent,
        p_idversion: number as i32,
        p_orig_ppidversion: parent as i32,
        ..ProcUniqueIdentifierInfo::new_zeroed()
    };
    assert_eq!(info, expected);
    assert_eq!(w.get(a, ARGUMENTS + 16, 8), number.to_le_bytes(), "the number is at offset 16");
    w.exit(child.task);
    for (args, errno) in [
        ([1, parent, 17, 0, at, size], EINVAL),
        ([3, parent, 17, 0, at, size], EINVAL),
        ([2, parent, 16, 0, at, size], EINVAL),
        ([2, NO_PID, 3, 0, 8, 0], EINVAL),
        ([2, NO_PID, 17, 0, 8, size - 1], ENOMEM),
        ([2, NO_PID, 17, 0, 8, size], ESRCH),
        ([2, 0, 17, 0, at, size], ESRCH),
        ([2, number, 17, 0, at, size], ESRCH),
        ([2, parent, 17, 0, 8, size], EFAULT),
        ([2, parent, 17, 0, USER_END - 8, size], EFAULT),
    ] {
        assert_eq!(call(&mut w, a, PROC_INFO, &args), Err(errno), "{args:x?}");
    }
}

#[test]
fn persona_returns_the_id_that_the_parent_gave() {
    const PERSONA: u32 = 501;
    let mut w = World::new();
    let a = w.task();
    let get = |w: &mut World, a: Actor, operation: u32, at: u64| {
        call(w, a, abi::trap::unix::PERSONA, &[operation.into(), 0, 0, at])
    };
    let at = a.memory + ARGUMENTS;
    assert_eq!(get(&mut w, a, PERSONA_OP_GET, 8), Err(ESRCH), "the first task and its children have none");
    let (b, _) = w.spawn(w.init, TaskSpawnArgs { persona: PERSONA, ..spawn_args() }).unwrap();
    let (child, _) = w.spawn(b, spawn_args()).unwrap();
    for b in [b, child] {
        assert_eq!(get(&mut w, b, PERSONA_OP_GET, b.memory + ARGUMENTS), Ok(0));
        assert_eq!(w.get(b, ARGUMENTS, 4), PERSONA.to_le_bytes());
    }
    assert_eq!(get(&mut w, b, PERSONA_OP_GET, 8), Err(EFAULT));
    for operation in [0, 1, 2, 3, 5, 6, 7, 8, 9, u32::MAX] {
        assert_eq!(get(&mut w, b, operation, at), Err(ENOSYS), "{operation}");
    }
    let (none, _) = w.spawn(b, TaskSpawnArgs { persona: PERSONA_ID_NONE, ..spawn_args() }).unwrap();
    assert_eq!(get(&mut w, none, PERSONA_OP_GET, at), Err(ESRCH));
}

#[test]
fn roles_that_lift_a_task_above_all_others_are_for_user_0_itself() {
    let mut w = World::new();
    let a = w.task_of(AppType::AppDefault, Role::Foreground);
    let (user, _) = w.spawn(w.init, TaskSpawnArgs { uid: 1000, app_type: 5, ..spawn_args() }).unwrap();
    let (init, port, refused) = (w.init, a.task_port, Err(KERN_INVALID_ARGUMENT));
    let role = |w: &mut World, by: Actor, to: PortName, role: Role| {
        set_policy(w, by, to, TASK_CATEGORY_POLICY, &[role as u32])
    };
    for allowed in [Role::Foreground, Role::Background, Role::Default] {
        for (by, to) in [(a, a.self_port), (init, port), (user, user.self_port)] {
            assert_eq!(role(&mut w, by, to, allowed), Ok(()));
        }
    }
    for privileged in [Role::Control, Role::GraphicsServer] {
        assert_eq!(role(&mut w, user, user.self_port, privileged), refused, "the caller is not user 0");
        assert_eq!(role(&mut w, init, port, privileged), refused, "the task is not the caller");
        assert_eq!(role(&mut w, a, a.self_port, privileged), Ok(()));
    }
    assert_eq!(w.kernel.tasks[a.task].policy.effective().priority, 76);
    for other in [Role::Unspecified, Role::Throttle, Role::NonUi, Role::DarwinBg] {
        assert_eq!(role(&mut w, a, a.self_port, other), refused, "setpriority gives this role");
    }
    assert_eq!(set_policy(&mut w, a, a.self_port, TASK_CATEGORY_POLICY, &[9]), refused);
}
