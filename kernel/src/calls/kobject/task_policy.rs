//! Messages to task control ports about the task's policy (importance 2.5, 2.6 and 9.1, errata 6).

use super::{Answer, KernelObject, Reply};
use crate::credentials::Credentials;
use crate::ids::{MessageId, SpaceId, TaskId};
use crate::kernel::Kernel;
use crate::policy::{Suppression, mark_flags};
use abi::KernReturn;
use abi::code::*;
use abi::mig::task::POLICY_SET;
use abi::policy::*;
use abi::qos::Role;
use heapless::Vec;
use zerocopy::{FromBytes, IntoBytes};

/// The words of a policy.
type Words = [u32; TASK_POLICY_WORDS_MAX];

impl Kernel {
    /// `task_policy_set` and `task_policy_get`.
    ///
    /// # Errors
    /// `MIG_BAD_ARGUMENTS`; `KERN_INVALID_ARGUMENT` if `object` is not a task that may be controlled; those of the call.
    pub(super) fn serve_task_policy(&mut self, object: KernelObject, id: i32, message: MessageId) -> Answer {
        let sender = self.ipc.message(message).sender;
        if id == POLICY_SET {
            let request = self.ipc.request_words(message, 0)?;
            let [flavor, count, ref policy @ ..] = request[..] else { return Err(MIG_BAD_ARGUMENTS) };
            if count as usize != policy.len() || policy.len() > TASK_POLICY_WORDS_MAX {
                return Err(MIG_BAD_ARGUMENTS);
            }
            let task = self.task_behind(object).ok_or(KERN_INVALID_ARGUMENT)?;
            self.set_task_policy(task, sender, flavor, policy)?;
            return Ok(Reply::none());
        }
        let [flavor, asked, default] = self.ipc.request_arguments(message, 0)?;
        let task = self.task_behind(object).ok_or(KERN_INVALID_ARGUMENT)?;
        let count = (asked as usize).min(TASK_POLICY_WORDS_MAX);
        let words = self.task_policy(task, sender, flavor, count, default != 0)?;
        let mut reply = Vec::from_array([count as u32]);
        reply.extend(words[..count].iter().copied());
        reply.push(default).expect("the words of every reply fit");
        Ok(Reply::Words(reply))
    }

    /// Sets one flavor of a task's policy.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` for a flavor that cannot be set, too few words, a value out of range, and a role that the
    /// sender may not give this task.
    fn set_task_policy(
        &mut self,
        task: TaskId,
        sender: Credentials,
        flavor: u32,
        policy: &[u32],
    ) -> Result<(), KernReturn> {
        match flavor {
            TASK_CATEGORY_POLICY => {
                let role = policy.first().and_then(|&word| Role::from_number(word)).ok_or(KERN_INVALID_ARGUMENT)?;
                let is_self = self.tasks[task].credentials.pid == sender.pid;
                let allowed = match role {
                    Role::Foreground | Role::Background | Role::Default => true,
                    privileged => privileged.is_privileged() && is_self && sender.uid == 0,
                };
                if !allowed {
                    return Err(KERN_INVALID_ARGUMENT);
                }
                self.change_task_policy(task, |policy| policy.role = role);
            }
            TASK_SUPPRESSION_POLICY => {
                let words: &Words = policy.try_into().map_err(|_| KERN_INVALID_ARGUMENT)?;
                let asked = SuppressionPolicy::read_from_bytes(words.as_bytes()).expect("the sizes are equal");
                let suppression = decode_suppression(&asked)?;
                self.change_task_policy(task, |policy| policy.suppression = suppression);
            }
            _ => return Err(KERN_INVALID_ARGUMENT),
        }
        Ok(())
    }

    /// Returns one flavor of a task's policy, or its default. Words behind the flavor's own are 0.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` for an unknown flavor or too small a `count` of words; `KERN_PROTECTION_FAILURE` if the
    /// flavor is for user 0 alone.
    fn task_policy(
        &self,
        task: TaskId,
        sender: Credentials,
        flavor: u32,
        count: usize,
        default: bool,
    ) -> Result<Words, KernReturn> {
        let asked = &self.tasks[task];
        let mut words = Words::default();
        let needed = match flavor {
            TASK_CATEGORY_POLICY => 1,
            TASK_SUPPRESSION_POLICY => size_of::<SuppressionPolicy>() / size_of::<u32>(),
            TASK_POLICY_STATE => size_of::<PolicyState>() / size_of::<u32>(),
            _ => return Err(KERN_INVALID_ARGUMENT),
        };
        if count < needed {
            return Err(KERN_INVALID_ARGUMENT);
        }
        match flavor {
            TASK_POLICY_STATE if sender.uid != 0 => return Err(KERN_PROTECTION_FAILURE),
            _ if default => {}
            TASK_CATEGORY_POLICY => words[0] = asked.policy.role as u32,
            TASK_SUPPRESSION_POLICY => {
                words.as_mut_bytes().copy_from_slice(encode_suppression(&asked.policy.suppression).as_bytes());
            }
            _ => {
                words.as_mut_bytes().copy_from_slice(self.importance_state(asked.space).as_bytes());
            }
        }
        Ok(words)
    }
}

impl Kernel {
    /// Returns what `TASK_POLICY_STATE` tells of the importance of a live task (importance 9.1).
    fn importance_state(&self, space: SpaceId) -> PolicyState {
        let importance = self.ipc.importance();
        let element = self.ipc.element_of(space).and_then(|id| importance.element(id));
        let element = element.expect("a live task has an element");
        let word = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        PolicyState {
            imp_assertcnt: word(element.assertions()),
            imp_externcnt: word(element.external().outstanding()),
            flags: mark_flags(element.marks()),
            imp_transitions: element.transitions(),
            ..PolicyState::default()
        }
    }
}

/// Decodes a policy of App Nap.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` for an unknown tier.
fn decode_suppression(asked: &SuppressionPolicy) -> Result<Suppression, KernReturn> {
    Ok(Suppression {
        active: asked.active != 0,
        lowpri_cpu: asked.lowpri_cpu != 0,
        cpu: asked.suppressed_cpu != 0,
        disk: asked.disk_throttle != 0,
        background_sockets: asked.background_sockets != 0,
        timer: decode_tier(asked.timer_throttle, LATENCY_QOS_TIER_0)?,
        throughput: decode_tier(asked.throughput_qos, THROUGHPUT_QOS_TIER_0)?,
    })
}

/// Encodes a policy of App Nap.
fn encode_suppression(suppression: &Suppression) -> SuppressionPolicy {
    SuppressionPolicy {
        active: suppression.active.into(),
        lowpri_cpu: suppression.lowpri_cpu.into(),
        timer_throttle: encode_tier(suppression.timer, LATENCY_QOS_TIER_0),
        disk_throttle: suppression.disk.into(),
        throughput_qos: encode_tier(suppression.throughput, THROUGHPUT_QOS_TIER_0),
        suppressed_cpu: suppression.cpu.into(),
        background_sockets: suppression.background_sockets.into(),
        ..SuppressionPolicy::default()
    }
}

/// Returns the code of a tier: 0 for none, 1 for the first tier.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` for an unknown tier.
fn decode_tier(tier: u32, first: u32) -> Result<u8, KernReturn> {
    match tier.wrapping_sub(first) {
        _ if tier == 0 => Ok(0),
        number @ 0..QOS_TIERS => Ok(number as u8 + 1),
        _ => Err(KERN_INVALID_ARGUMENT),
    }
}

/// Returns the tier with a code.
fn encode_tier(code: u8, first: u32) -> u32 {
    if code == 0 { 0 } else { first + u32::from(code) - 1 }
}
