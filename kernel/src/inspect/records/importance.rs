//! Records of vouchers, accounts, inherits and importance elements.

use super::word;
use crate::ids::VoucherId;
use crate::kernel::Kernel;
use crate::policy::mark_flags;
use abi::inspect::*;
use voucher::importance::{ElementId, Inherit, InheritId, Source, TaskElement};
use voucher::managers::bank::{BankElement, BankElementId};
use voucher::{Key, Voucher};

impl Kernel {
    pub(super) fn voucher_record(&self, id: VoucherId, voucher: &Voucher) -> VoucherRecord {
        let system = self.vouchers.system();
        let registry = &system.registry;
        let port = self.vouchers.port(id);
        let mut record = VoucherRecord {
            voucher: id.to_bits(),
            references: voucher.refs(),
            keys: registry.attributes(id).map(|(key, _)| 1 << key.number()).sum(),
            port: port.map_or(0, |port| port.to_bits()),
            send_rights: port.map_or(0, |port| self.ipc.port(port).send_rights()),
            priority: word(registry.handle(id, Key::PTHPRIORITY).unwrap_or(0)),
            ..VoucherRecord::default()
        };
        if let Some(came) = self.vouchers.came(id) {
            record.came_by = came.by.to_bits();
            (record.came_with, record.came_from) = (came.with as u32, came.from);
        }
        match registry.handle(id, Key::IMPORTANCE).and_then(Source::from_handle) {
            Some(Source::Task(element)) => record.importance_of = self.pid_of_element(element),
            Some(Source::Inherit(inherit)) => record.inherit = inherit.to_bits(),
            None => {}
        }
        match registry.handle(id, Key::BANK).and_then(|handle| system.bank.element_of(handle)) {
            Some((task, BankElement::Task(_))) => record.holder = self.pid_in_bank(task),
            Some((_, BankElement::Account(account))) => {
                let roles = account.roles();
                record.holder = self.pid_in_bank(roles.holder);
                record.merchant = self.pid_in_bank(roles.merchant);
                record.persona = roles.persona;
            }
            None => {}
        }
        record
    }

    /// Returns the record of an account, or `None` if the element is a task.
    pub(super) fn account_record(&self, element: &BankElement) -> Option<AccountRecord> {
        let BankElement::Account(account) = element else { return None };
        let roles = account.roles();
        Some(AccountRecord {
            holder: self.pid_in_bank(roles.holder),
            merchant: self.pid_in_bank(roles.merchant),
            originator: self.pid_in_bank(roles.originator),
            proximate: self.pid_in_bank(roles.proximate),
            persona: roles.persona,
            ..AccountRecord::default()
        })
    }

    pub(super) fn inherit_record(&self, id: InheritId, inherit: &Inherit) -> InheritRecord {
        let (from, from_inherit) = match inherit.from() {
            Source::Task(element) => (element, 0),
            Source::Inherit(before) => {
                let element = self.ipc.importance().inherit(before).expect("an inherit's source is alive").to();
                (element, before.to_bits())
            }
        };
        InheritRecord {
            inherit: id.to_bits(),
            from_inherit,
            from: from.to_bits(),
            to: inherit.to().to_bits(),
            total: inherit.external().total,
            dropped: inherit.external().dropped,
            depth: inherit.depth().word(),
            donating: inherit.is_donating().into(),
        }
    }

    pub(super) fn element_record(&self, id: ElementId, element: &TaskElement) -> ElementRecord {
        let importance = self.ipc.importance();
        ElementRecord {
            element: id.to_bits(),
            pid: self.pid_of_element(id),
            flags: mark_flags(element.marks()) as u32,
            boosts: element.assertions(),
            external: element.external().outstanding(),
            references: element.refs(),
            made: element.made(),
            messages: word(importance.linked_messages(id)),
            inherits: word(importance.hanging_inherits(id)),
        }
    }

    /// Returns the pid of an element's task, or 0 if the task has ended.
    pub(super) fn pid_of_element(&self, element: ElementId) -> u32 {
        let task = self.ipc.importance().element(element).and_then(TaskElement::task);
        task.and_then(store::Id::from_bits).and_then(|space| self.ipc.pid_of(space)).unwrap_or(0)
    }

    fn pid_in_bank(&self, task: BankElementId) -> u32 {
        match self.vouchers.system().bank.element(task) {
            Some(BankElement::Task(task)) => task.identity().info.pid as u32,
            _ => 0,
        }
    }
}
