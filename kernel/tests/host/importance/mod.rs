//! Importance in the kernel: messages boost their receivers, boosts decide what runs, and end when they must
//! (importance 3 to 6).
//!
//! In the names of the specification A, X and Y are applications in the foreground, B, C and D adaptive daemons, S is a
//! standard daemon and G a background daemon. The engine has tests of its own, in `voucher/tests`.

mod basics;
mod chains;
mod costs;
mod endings;
mod errors;
mod live;
mod messages;
mod nap;
mod queues;
mod refusals;
mod rights;
pub mod scenarios;
mod scheduling;

use crate::message::{Msg, Received};
use crate::unix::call;
use crate::world::{Actor, BUFFER_SIZE, World};
use abi::message::{HeaderFlags, MsgOption};
use abi::policy::*;
use abi::port::*;
use abi::qos::{AppType, Role};
use abi::trap::unix::PROCESS_POLICY;
use abi::{KernReturn, PortName};
use kernel::ids::PortId;
use kernel::kernel::Event;
use voucher::importance::{ElementId, Inherit, TaskElement};

/// The state of a task: its boosts, those of them that inherits hold as "ever/given back", and the base priority of its
/// first thread: `a`, `x` and `p` of the specification.
pub type State = (u64, (u64, u64), u8);

/// The states of an adaptive daemon and of an application without boosts.
pub const IDLE: State = (0, (0, 0), 4);
pub const IDLE_APP: State = (0, (0, 0), 47);
/// The state of an adaptive daemon with one boost on a port, and with one that an inherit holds.
pub const WAITED_FOR: State = (1, (0, 0), 31);
pub const AT_WORK: State = (1, (1, 0), 31);

/// The receipt of a message with its voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The header says that importance came with the message.
    pub raised: bool,
    pub voucher: PortName,
    /// The disposition of the voucher.
    pub disposition: Disposition,
}

impl World {
    pub fn app(&mut self) -> Actor {
        self.task_of(AppType::AppDefault, Role::Foreground)
    }

    pub fn adaptive(&mut self) -> Actor {
        self.task_of(AppType::DaemonAdaptive, Role::Unspecified)
    }

    pub fn standard(&mut self) -> Actor {
        self.task_of(AppType::DaemonStandard, Role::Unspecified)
    }

    /// Returns a new port that accepts donation.
    pub fn donation_port(&mut self, owner: Actor) -> PortName {
        let port = self.port(owner);
        self.set_attributes(owner, port, MACH_PORT_IMPORTANCE_RECEIVER, &[]).unwrap();
        port
    }

    /// Returns a new port that accepts donation, and the name by which `sender` sends to it.
    pub fn donation_path(&mut self, sender: Actor, receiver: Actor) -> (PortName, PortName) {
        let port = self.donation_port(receiver);
        (port, self.give_send(receiver, port, sender))
    }

    pub fn element_id(&self, actor: Actor) -> ElementId {
        self.kernel.ipc.element_of(self.kernel.tasks[actor.task].space).unwrap()
    }

    pub fn element(&self, actor: Actor) -> &TaskElement {
        self.kernel.ipc.importance().element(self.element_id(actor)).unwrap()
    }

    pub fn boosts(&self, actor: Actor) -> State {
        let element = self.element(actor);
        let external = element.external();
        (element.assertions(), (external.total, external.dropped), self.kernel.sched[actor.thread].schedule().base)
    }

    pub fn is_donor(&self, actor: Actor) -> bool {
        self.element(actor).is_donor()
    }

    pub fn transitions(&self, actor: Actor) -> u64 {
        self.element(actor).transitions()
    }

    /// Returns the references to a task's element.
    pub fn element_refs(&self, actor: Actor) -> u64 {
        self.element(actor).refs()
    }

    /// Returns the port that an actor's name denotes.
    pub fn port_of(&self, actor: Actor, name: PortName) -> PortId {
        self.space_of(actor.task).get(name).unwrap().right.port().unwrap()
    }

    /// Returns the boosts on a port of an actor.
    pub fn on_port(&self, actor: Actor, name: PortName) -> u64 {
        self.kernel.ipc.port(self.port_of(actor, name)).boosts().count()
    }

    /// Returns the inherits of an actor.
    pub fn inherits(&self, to: Actor) -> Vec<&Inherit> {
        let id = self.element_id(to);
        self.kernel.ipc.importance().inherits().map(|(_, inherit)| inherit).filter(|i| i.to() == id).collect()
    }

    /// Returns the numbers of task elements and inherits in the system.
    pub fn importance_objects(&self) -> (usize, usize) {
        let importance = self.kernel.ipc.importance();
        (importance.elements().count(), importance.inherits().count())
    }

    /// Sends an empty message.
    #[track_caller]
    pub fn ping(&mut self, sender: Actor, to: PortName) {
        self.send(sender, &Msg::copy_send(to)).unwrap();
    }

    /// Receives a message with its voucher.
    #[track_caller]
    pub fn take(&mut self, actor: Actor, name: PortName) -> Receipt {
        receipt(&self.poll_with(actor, name, MsgOption::RCV_VOUCHER, BUFFER_SIZE).unwrap())
    }

    /// Receives a message without its voucher.
    #[track_caller]
    pub fn take_plain(&mut self, actor: Actor, name: PortName) {
        let receipt = receipt(&self.poll(actor, name).unwrap());
        assert!(!receipt.raised && receipt.disposition == Disposition::NONE, "{receipt:?}");
    }

    /// Puts an application into App Nap, or takes it out.
    pub fn set_nap(&mut self, actor: Actor, naps: bool) {
        self.start_nap(actor, naps);
        self.settle();
    }

    /// Puts an application into App Nap, or takes it out, and leaves what is too long for one step.
    pub fn start_nap(&mut self, actor: Actor, naps: bool) {
        self.kernel.change_task_policy(actor.task, |policy| {
            policy.suppression.active = naps;
            policy.suppression.lowpri_cpu = naps;
        });
        let _ = self.event(Event::Timer);
    }

    /// Makes a task a donor, by its own call.
    pub fn mark_donor(&mut self, actor: Actor) {
        let (scope, policy) = (PROC_POLICY_SCOPE_PROCESS, PROC_POLICY_BOOST);
        let args = [scope, PROC_POLICY_ACTION_SET, policy, PROC_POLICY_IMP_DONATION, 0, 0].map(u64::from);
        call(self, actor, PROCESS_POLICY, &args).unwrap();
    }

    pub fn set_role(&mut self, actor: Actor, role: Role) {
        self.kernel.change_task_policy(actor.task, |policy| policy.role = role);
        self.advance(0);
    }

    /// Sends without waiting for room, with options.
    pub fn try_send_with(&mut self, actor: Actor, message: &Msg, options: MsgOption) -> Result<(), KernReturn> {
        self.send_with(actor, message, options | MsgOption::SEND_TIMEOUT, 0).code().ok()
    }
}

/// Returns what a received message tells of its importance.
pub fn receipt(message: &Received) -> Receipt {
    let disposition = message.header.voucher();
    let voucher = if disposition == Disposition::NONE { MACH_PORT_NULL } else { message.header.msgh_voucher_port };
    Receipt { raised: message.header.flags().contains(HeaderFlags::RAISEIMP), voucher, disposition }
}

/// Returns the counts of an inherit: ever, given back, made references, references, and whether it donates.
pub fn counts_of(inherit: &Inherit) -> (u64, u64, u64, u64, bool) {
    let external = inherit.external();
    (external.total, external.dropped, inherit.made(), inherit.refs(), inherit.is_donating())
}
