//! The policy and the identity of tasks, and the classes of threads.

use crate::message::{Message, call_object};
use crate::sys::unix_trap;
use abi::mig::task::{POLICY_GET, POLICY_SET};
use abi::policy::*;
use abi::qos::{Priority, Qos, Role};
use abi::trap::unix::*;
use abi::{KernReturn, PortName};
use core::sync::atomic::AtomicU32;
use zerocopy::{FromZeros, IntoBytes};

/// Calls `setpriority` for the task with a pid, or for the caller with 0.
///
/// # Errors
/// The error number of the call, here and in the functions below.
pub fn set_priority(which: u32, who: u64, value: u32) -> Result<(), u64> {
    unix_trap(SETPRIORITY, [which.into(), who, value.into()]).map(|_| ())
}

/// Sets the role of the application with a pid.
pub fn set_role(pid: u64, role: Role) -> Result<(), u64> {
    let number = role.to_darwin().expect("the role is one of setpriority");
    set_priority(PRIO_DARWIN_ROLE, pid, number)
}

/// Marks the task as a donor of importance.
pub fn mark_donor() -> Result<(), u64> {
    let arguments =
        [PROC_POLICY_SCOPE_PROCESS, PROC_POLICY_ACTION_SET, PROC_POLICY_BOOST, PROC_POLICY_IMP_DONATION, 0, 0];
    unix_trap(PROCESS_POLICY, arguments.map(u64::from)).map(|_| ())
}

/// Returns the unique numbers of the task with a pid.
pub fn unique_numbers(pid: u64) -> Result<ProcUniqueIdentifierInfo, u64> {
    let mut info = ProcUniqueIdentifierInfo::new_zeroed();
    let size = size_of::<ProcUniqueIdentifierInfo>() as u64;
    let at = info.as_mut_bytes().as_mut_ptr() as u64;
    let (call, flavor) = (u64::from(PROC_INFO_CALL_PIDINFO), u64::from(PROC_PIDUNIQIDENTIFIERINFO));
    unix_trap(PROC_INFO, [call, pid, flavor, 0, at, size])?;
    Ok(info)
}

/// Returns the id of the task's persona.
pub fn persona() -> Result<u32, u64> {
    let mut id = 0u32;
    unix_trap(PERSONA, [PERSONA_OP_GET.into(), 0, 0, (&raw mut id) as u64])?;
    Ok(id)
}

/// Sets the class and relative priority that the running thread requests.
pub fn set_own_class(priority: Priority) -> Result<(), u64> {
    let arguments = [BSDTHREAD_CTL_SET_SELF, priority.to_pthread(), 0, SET_SELF_QOS];
    unix_trap(BSDTHREAD_CTL, arguments.map(u64::from)).map(|_| ())
}

/// Starts an explicit override of the class of a thread of this task, for a resource.
pub fn start_override(thread: PortName, priority: Priority, resource: u64) -> Result<(), u64> {
    let (command, class) = (BSDTHREAD_CTL_QOS_OVERRIDE_START.into(), priority.to_pthread().into());
    unix_trap(BSDTHREAD_CTL, [command, thread.0.into(), class, resource]).map(|_| ())
}

/// Ends an explicit override.
pub fn end_override(thread: PortName, resource: u64) -> Result<(), u64> {
    unix_trap(BSDTHREAD_CTL, [BSDTHREAD_CTL_QOS_OVERRIDE_END.into(), thread.0.into(), resource, 0]).map(|_| ())
}

/// Calls `task_policy_set`.
///
/// # Errors
/// Those of the call.
pub fn set_task_policy(task: PortName, flavor: u32, policy: &[u32]) -> Result<(), KernReturn> {
    let mut words = heapless::Vec::<u32, { TASK_POLICY_WORDS_MAX + 2 }>::new();
    let fits =
        words.extend_from_slice(&[flavor, policy.len() as u32]).is_ok() && words.extend_from_slice(policy).is_ok();
    assert!(fits, "a policy has at most {TASK_POLICY_WORDS_MAX} words");
    call_object(task, POLICY_SET, &words).map(|_| ())
}

/// Calls `task_policy_get` and returns the reply. Its words 4 and following are the policy.
///
/// # Errors
/// Those of the call.
pub fn task_policy(task: PortName, flavor: u32, count: u32) -> Result<Message, KernReturn> {
    call_object(task, POLICY_GET, &[flavor, count, 0])
}

/// Sets the class and relative priority that the running thread requests, the voucher that it has adopted, or both, in one
/// call.
pub fn set_self(priority: Option<Priority>, voucher: Option<PortName>) -> Result<(), u64> {
    let class = priority.map_or(0, Priority::to_pthread);
    let name = voucher.map_or(0, |name| name.0);
    let given = |flag: u32, is_given: bool| if is_given { flag } else { 0 };
    let flags = given(SET_SELF_QOS, priority.is_some()) | given(SET_SELF_VOUCHER, voucher.is_some());
    let arguments = [BSDTHREAD_CTL_SET_SELF, class, name, flags];
    unix_trap(BSDTHREAD_CTL, arguments.map(u64::from)).map(|_| ())
}

/// Raises the class of a thread of this task that owns a lock: if the word holds its name, the two low bits aside.
pub fn override_owner(thread: PortName, class: Qos, lock: &AtomicU32) -> Result<(), u64> {
    let (command, class) = (BSDTHREAD_CTL_QOS_OVERRIDE_DISPATCH.into(), Priority::of(class).to_pthread().into());
    unix_trap(BSDTHREAD_CTL, [command, thread.0.into(), class, lock.as_ptr() as u64]).map(|_| ())
}

/// Ends what [`override_owner`] has done to the running thread.
pub fn reset_override() -> Result<(), u64> {
    unix_trap(BSDTHREAD_CTL, [BSDTHREAD_CTL_QOS_OVERRIDE_RESET.into(), 0, 0, 0]).map(|_| ())
}
