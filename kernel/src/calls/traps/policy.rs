//! The Unix traps for the policy and the identity of tasks (importance 2, errata 6).

use crate::ids::{Context, TaskId};
use crate::kernel::Kernel;
use crate::machine::{Machine, UserAddr};
use abi::code::*;
use abi::policy::*;
use abi::qos::Role;
use abi::task::PERSONA_ID_NONE;
use zerocopy::IntoBytes;

impl Kernel {
    /// `setpriority`: puts a task into the background or takes it out, or gives an application a role. `who` is a pid,
    /// or 0 for the caller.
    ///
    /// # Errors
    /// `EINVAL` for anything else that could be set, and for an unknown role; `ESRCH` if there is no such task; `EPERM`
    /// if it is another user's and the caller is not user 0; `ENOTSUP` for the role of a task that is no application.
    pub(super) fn setpriority(&mut self, caller: Context, which: u32, who: u32, value: u32) -> Result<u64, Errno> {
        if !matches!(which, PRIO_DARWIN_PROCESS | PRIO_DARWIN_ROLE) {
            return Err(EINVAL);
        }
        let task = self.task_of(caller, who).ok_or(ESRCH)?;
        let user = |task: TaskId| self.tasks[task].credentials.uid;
        if user(caller.task) != 0 && user(caller.task) != user(task) {
            return Err(EPERM);
        }
        if which == PRIO_DARWIN_ROLE {
            if !self.tasks[task].policy.app_type.is_application() {
                return Err(ENOTSUP);
            }
            let role = Role::from_darwin(value as i32).ok_or(EINVAL)?;
            self.change_task_policy(task, |policy| policy.role = role);
        } else if value != PRIO_DARWIN_NONUI {
            let background = value == PRIO_DARWIN_BG;
            self.change_task_policy(task, |policy| match task == caller.task {
                true => policy.internal_background = background,
                false => policy.external_background = background,
            });
        }
        Ok(0)
    }

    /// `process_policy`: marks the caller as a donor of importance. `pid` is 0 or the caller's. The attributes and the
    /// thread are not used.
    ///
    /// # Errors
    /// `EINVAL` for an unknown scope, policy, subtype or action, or another task; `ESRCH` if there is no such task;
    /// `ENOTSUP` for policies that Tally does not have. A task cannot manage boosts by itself, because none is left to
    /// it: the attempt gives `EINVAL` for a task that cannot be boosted, otherwise `ENOTSUP` for one more boost and
    /// `EOVERFLOW` for one less.
    pub(super) fn process_policy(
        &mut self,
        caller: Context,
        [scope, action, policy, subtype]: [u32; 4],
        pid: u32,
    ) -> Result<u64, Errno> {
        if !matches!(scope, PROC_POLICY_SCOPE_PROCESS | PROC_POLICY_SCOPE_THREAD) {
            return Err(EINVAL);
        }
        let task = self.task_of(caller, pid).ok_or(ESRCH)?;
        match policy {
            PROC_POLICY_BACKGROUND
            | PROC_POLICY_HARDWARE_ACCESS
            | PROC_POLICY_RESOURCE_STARVATION
            | PROC_POLICY_RESOURCE_USAGE => return Err(ENOTSUP),
            PROC_POLICY_BOOST if scope == PROC_POLICY_SCOPE_PROCESS && task == caller.task => {}
            _ => return Err(EINVAL),
        }
        let element = self.ipc.element_of(caller.space).and_then(|id| self.ipc.importance().element(id));
        let is_receiver = element.is_some_and(|element| element.is_receiver());
        match (subtype, action) {
            (PROC_POLICY_IMP_DONATION, PROC_POLICY_ACTION_SET) => {
                self.ipc.mark_donor(caller.space);
                Ok(0)
            }
            (PROC_POLICY_IMP_IMPORTANT, _) if !is_receiver => Err(EINVAL),
            (PROC_POLICY_IMP_IMPORTANT, PROC_POLICY_ACTION_HOLD) => Err(ENOTSUP),
            (PROC_POLICY_IMP_IMPORTANT, PROC_POLICY_ACTION_DROP) => Err(EOVERFLOW),
            _ => Err(EINVAL),
        }
    }

    /// `proc_info`: writes the numbers of a task and its parent that no other task ever has, and returns the size of the
    /// structure.
    ///
    /// # Errors
    /// `EINVAL` for another call or flavor; `ENOMEM` if the buffer is too small; `ESRCH` if there is no task with this
    /// pid; `EFAULT` if the buffer cannot be written.
    pub(super) fn proc_info(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        [call, pid, flavor]: [u32; 3],
        buffer: UserAddr,
        size: u32,
    ) -> Result<u64, Errno> {
        const SIZE: usize = size_of::<ProcUniqueIdentifierInfo>();
        if (call, flavor) != (PROC_INFO_CALL_PIDINFO, PROC_PIDUNIQIDENTIFIERINFO) {
            return Err(EINVAL);
        }
        if (size as usize) < SIZE {
            return Err(ENOMEM);
        }
        let task = &self.tasks[self.tasks.with_pid(pid).ok_or(ESRCH)?];
        let (pid, parent) = (task.credentials.pid, task.identity.parent);
        let info = ProcUniqueIdentifierInfo {
            p_uniqueid: pid.into(),
            p_puniqueid: parent.into(),
            p_idversion: pid as i32,
            p_orig_ppidversion: parent as i32,
            ..ProcUniqueIdentifierInfo::default()
        };
        machine.copy_out(caller.address_space, buffer, info.as_bytes()).map_err(|_| EFAULT)?;
        Ok(SIZE as u64)
    }

    /// `persona`: writes the id of the persona for which the caller works: that of the voucher that the thread has
    /// adopted, or else that of its task (vouchers 6.3.9).
    ///
    /// # Errors
    /// `ENOSYS` for another operation; `ESRCH` if that is no persona; `EFAULT` if the id cannot be written.
    pub(super) fn persona(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        operation: u32,
        id: UserAddr,
    ) -> Result<u64, Errno> {
        if operation != PERSONA_OP_GET {
            return Err(ENOSYS);
        }
        match self.persona_of(caller.thread) {
            PERSONA_ID_NONE => Err(ESRCH),
            persona => {
                machine.copy_out(caller.address_space, id, persona.as_bytes()).map_err(|_| EFAULT)?;
                Ok(0)
            }
        }
    }

    /// Returns the live task with a pid; for 0 that of the caller.
    fn task_of(&self, caller: Context, pid: u32) -> Option<TaskId> {
        if pid == 0 { Some(caller.task) } else { self.tasks.with_pid(pid) }
    }
}
