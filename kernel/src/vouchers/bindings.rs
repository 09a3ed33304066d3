//! The records of the ports of vouchers, by the number that the registry keeps.

use crate::ids::{BudgetId, KernelObject, PortId, VoucherId};
use crate::ipc::Ipc;
use crate::machine::NoMemory;
use crate::step::Step;
use store::{Compaction, Id, Singles};
use voucher::PortBinding;

/// The port of a voucher, and what the voucher costs.
#[derive(Debug)]
pub struct Binding {
    /// The port.
    pub(super) port: PortId,
    /// The budget that voucher and port are on: that of the task for which the voucher was made.
    pub(super) budget: BudgetId,
    /// What they cost it, in bytes.
    pub(super) cost: usize,
    /// The first message with which a task received the voucher. For listings only. Later ones may be handed over by the
    /// fast path, which makes no notes: it is taken only if the receiver has the voucher already.
    pub(super) came: Option<Came>,
}

/// The message that brought a voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// The port on which it was received, which may be dead by now.
    pub by: PortId,
    /// Its `msgh_id`.
    pub with: i32,
    /// The pid of its sender, 0 for the kernel.
    pub from: u32,
}

/// The ports of all vouchers that have one.
#[derive(Debug, Default)]
pub struct Bindings(Singles<Binding>);

impl Bindings {
    /// Makes room for the addresses of so many records. Until there are more, growth of the table moves nothing.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out; nothing has changed.
    pub(super) fn set_places(&mut self, records: usize) -> Result<(), NoMemory> {
        self.0.set_places(records)
    }

    /// Gives back what the table does not need any more, up to a bound, and returns true if there is more.
    pub(super) fn trim(&mut self) -> bool {
        self.0.trim()
    }

    /// Goes on with a round of compaction.
    pub(super) fn compact(&mut self, compaction: &mut Compaction) {
        self.0.compact(compaction, |_, _| {});
    }

    /// Makes a port for a voucher and puts both on a budget.
    ///
    /// # Errors
    /// [`NoMemory`] if memory or the budget is used up; nothing has changed.
    pub(super) fn add(
        &mut self,
        ipc: &mut Ipc,
        step: &mut Step,
        voucher: VoucherId,
        (budget, cost): (BudgetId, usize),
    ) -> Result<PortBinding, NoMemory> {
        self.0.reserve()?;
        let port = ipc.charged(budget, cost, |ipc| ipc.new_kernel_port(step, KernelObject::Voucher(voucher)))?;
        let id = self.0.insert_reserved(|_| Binding { port, budget, cost, came: None });
        Ok(PortBinding::new(id.to_bits()).expect("an id is not 0"))
    }

    /// Destroys the port of a dead voucher, and takes both off their budget.
    pub(super) fn remove(&mut self, ipc: &mut Ipc, step: &mut Step, binding: PortBinding) {
        let removed = Id::from_bits(binding.get()).and_then(|id| self.0.remove(id));
        let Binding { port, budget, cost, came: _ } = removed.expect("a binding is removed once");
        assert_eq!(ipc.port(port).send_rights(), 0, "a voucher dies whose {port:?} has send rights");
        ipc.destroy_port(step, port);
        ipc.refund(budget, cost);
    }

    /// Returns the record of a port.
    pub(super) fn get(&self, binding: PortBinding) -> Option<&Binding> {
        self.0.get(Id::from_bits(binding.get())?)
    }

    /// Notes the message that brought the voucher of a port, if it is the first.
    pub(super) fn note_came(&mut self, binding: PortBinding, came: Came) {
        let binding = Id::from_bits(binding.get()).and_then(|id| self.0.get_mut(id));
        binding.expect("a voucher that a message brings has a port").came.get_or_insert(came);
    }

    /// Returns all records. For checks.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.0.iter().map(|(_, binding)| binding)
    }
}
